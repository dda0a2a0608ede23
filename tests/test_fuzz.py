"""The fuzzer in small: a few hundred inputs, always the same ones."""

from __future__ import annotations

from collections import Counter

from tests import fuzz


def test_nothing_but_a_clear_error_comes_out() -> None:
    ends = Counter[str]()
    assert not list(fuzz.failures(iter(range(400)), ends))
    assert ends["parsed"] > 20
    assert ends["refused"] > 200


def test_an_input_follows_from_its_number() -> None:
    assert [fuzz.made(number) for number in range(20)] == [fuzz.made(n) for n in range(20)]


def test_a_failure_is_reported() -> None:
    """What is no KvmvizError is told with the input, and counted."""
    ends = Counter[str]()
    broken = fuzz.run
    try:
        fuzz.run = lambda text, number: 1 // 0  # type: ignore[assignment,return-value]
        assert "ZeroDivisionError" in next(fuzz.failures(iter([7]), ends))
    finally:
        fuzz.run = broken
    assert ends == {"failed": 1}
