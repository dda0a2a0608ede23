"""The fuzzer in small: some inputs of each kind, always the same ones."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fuzz import KINDS, Kind, failures


@pytest.mark.parametrize(
    ("name", "count", "least"),
    [
        ("texts", 400, {"parsed": 20, "refused": 200}),
        ("calls", 400, {"answered": 50, "refused": 50}),
        ("lines", 76, {"status 0": 10, "status 1": 2, "status 2": 20}),
        ("settings", 160, {"taken": 15, "refused": 25, "by hand": 30}),
    ],
)
def test_nothing_but_a_clear_error_comes_out(name: str, count: int, least: dict[str, int]) -> None:
    ends = Counter[str]()
    assert list(failures(KINDS[name], range(count), ends)) == []
    assert {end: ends[end] for end, few in least.items() if ends[end] < few} == {}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_input_follows_from_its_number(kind: Kind) -> None:
    made = [kind.made(number) for number in range(20)]
    assert made == [kind.made(number) for number in range(20)]
    assert len({repr(row) for row in made}) > 10


def test_a_failure_is_reported() -> None:
    """What is no KvmvizError is told with the input, and counted."""
    ends = Counter[str]()
    broken = KINDS["texts"]._replace(run=lambda text, number: str(1 // 0))
    assert "ZeroDivisionError" in next(failures(broken, [7], ends))
    assert ends == {"failed": 1}
