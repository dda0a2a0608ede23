"""ABIs by name and of one's own."""

from __future__ import annotations

import re

import pytest

from kvmviz import ABIS, KvmvizError, abi


class Odd:
    """What compares, hashes and shows itself with an error."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError


LEGAL = ", ".join(ABIS)
UNKNOWN = [
    ("vax", "'vax'"),
    ("", "''"),
    ("\x1b[31m", r"'\x1b[31m'"),
    ("x" * 10**6, "'xxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxx'"),
    (None, "None"),
    (5, "5"),
    (10**5000, "an integer of 16610 bits"),
    (b"x" * 1000, "1000 bytes"),
    ([1] * 1000, "[1, 1, 1, 1, 1, 1, ...]"),
    ({"arm": Odd()}, "{'arm': an object of type Odd}"),
    (Odd(), "an object of type Odd"),
]


@pytest.mark.parametrize(("name", "told"), UNKNOWN, ids=[told for _, told in UNKNOWN])
def test_an_unknown_abi_is_one_error_with_the_legal_ones(name: object, told: str) -> None:
    with pytest.raises(KvmvizError, match=re.escape(f"unknown ABI {told}; legal are {LEGAL}")):
        abi.find(name)  # type: ignore[arg-type]


def test_an_abi_is_found_by_name_and_passes_through() -> None:
    assert [abi.find(name) for name in ABIS] == list(ABIS.values())
    assert [abi.find(one) for one in ABIS.values()] == list(ABIS.values())
