"""ABIs by name and of one's own."""

from __future__ import annotations

import re

import pytest

from kvmviz import ABIS, Abi, KvmvizError, Struct, parse
from kvmviz import abi as abis
from kvmviz.kvm.kernel import MERGED, OLD
from tests.compilers import ABI_NAMES
from tests.strategies import ORDER


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
        ABIS.find(name)  # type: ignore[arg-type]


def test_an_abi_is_found_by_name_and_passes_through() -> None:
    assert [ABIS.find(name) for name in ABIS] == list(ABIS.values())
    assert [ABIS.find(one) for one in ABIS.values()] == list(ABIS.values())


# --- ABIs ------------------------------------------------------------------------------------


def test_the_table_has_every_abi_that_is_compiled_for() -> None:
    assert set(ABIS) == set(ABI_NAMES)
    assert all(abi.name == name and abi.source for name, abi in ABIS.items())
    assert {name: abi.byte_order for name, abi in ABIS.items()} == ORDER
    assert {
        "aarch64",
        "aarch64_be",
        "x86_64",
        "i386",
        "arm",
        "armeb",
        "ppc64",
        "s390x",
        "m68k",
    } <= {*ABIS}


@pytest.mark.parametrize(
    ("name", "aligned"),
    [("aarch64", (1, 2, 4, 8)), ("i386", (1, 2, 4, 4)), ("m68k", (1, 2, 2, 2)),
     ("s390x", (1, 2, 4, 8)), ("armeb", (1, 2, 4, 8))],
)  # fmt: skip
def test_alignment_of_scalars(name: str, aligned: tuple[int, ...]) -> None:
    assert tuple(ABIS[name].align(size) for size in (1, 2, 4, 8)) == aligned


@pytest.mark.parametrize("limit", [1, 2, 4, 8, 16])
def test_an_abi_of_ones_own(limit: int) -> None:
    abi = Abi("mine", "big", limit, 64, "mine", "nobody")
    layout = MERGED.layout(abi)
    assert ABIS.find(abi) is abi
    assert layout.abi is abi
    assert (layout.size, layout.align) == (16, min(limit, 8))
    offset = {1: 1, 2: 2, 4: 4, 8: 8, 16: 8}[limit]
    assert Struct("s", {"a": "u8", "b": "u64"}).layout(abi).offsets["b"] == offset


@pytest.mark.parametrize(
    ("name", "family"),
    [("aarch64_be", {"little": "aarch64", "big": "aarch64_be"}),
     ("arm", {"little": "arm", "big": "armeb"}), ("ppc64", {"little": "ppc64le", "big": "ppc64"}),
     ("mipsel", {"little": "mipsel", "big": "mips"}), ("x86_64", {"little": "x86_64"}),
     ("i386", {"little": "i386"}), ("ppc32", {"big": "ppc32"}), ("m68k", {"big": "m68k"})],
)  # fmt: skip
def test_siblings(name: str, family: dict[str, str]) -> None:
    assert abis.siblings(name) == {order: ABIS[abi] for order, abi in family.items()}


def test_an_abi_of_an_unknown_family_stands_alone_and_lays_out() -> None:
    mine = Abi("vax", "little", 4, 32, "vax", "VAX calling standard")
    assert abis.siblings(mine) == {"little": mine}
    assert repr(OLD.layout(mine)).startswith("struct kvm_debug_exit_arch on vax (little-endian)")
    assert "Source: VAX calling standard" in repr(OLD.layout(mine).rules)


def test_an_abi_of_ones_own_stands_beside_its_family() -> None:
    mine = Abi("loose", "big", 1, 64, "arm64", "nobody")
    assert abis.siblings(mine) == {"little": ABIS["aarch64"], "big": mine}


def test_what_a_text_says_on_an_unknown_family_is_one_clear_error() -> None:
    text = "struct s {\n#ifdef __x86_64__\n__u32 a;\n#endif\n__u64 b;\n};"
    mine = Abi("vax", "little", 4, 32, "vax", "VAX calling standard")
    with pytest.raises(KvmvizError, match=r"^struct s differs by ABI.* vax is not known: .*, vax,"):
        parse(text)["s"].layout(mine)
