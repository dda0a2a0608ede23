"""The facts that all else here rests on, asked of the compilers themselves."""

from __future__ import annotations

import pytest

from tests import compilers
from tests.compilers import Measured

BIG = {"aarch64_be", "armeb", "ppc64", "ppc32", "s390x", "m68k", "mips"}
NO_HOLE = {"i386": 4, "m68k": 2}
"""ABIs that align a u64 to less than its size, and to how many bytes."""
ARM = {"aarch64", "aarch64_be", "arm", "armeb"}

STRUCTS = """
struct old { u32 hsr; u64 far; };
struct widened { u64 hsr; u64 far; };
struct hsr_high { u32 hsr; u32 hsr_high; u64 far; };
struct zero { u8 a; u64 b; u8 c; };
struct unnamed { u8 a; u64 :3; u8 b; };
struct bits { u32 low: 4; u32 high: 28; };
"""
QUESTIONS = (
    ("struct old", ("hsr", "far")),
    ("struct widened", ("hsr", "far")),
    ("struct hsr_high", ("hsr", "hsr_high", "far")),
    ("struct unnamed", ("a", "b")),
)
ESR, FAR = 0x123456789A, 0x1122334455667788
OBJECTS = (
    ("struct old", f"{{ (u32){ESR}ull, {FAR}ull }}"),
    ("struct widened", f"{{ {ESR}ull, {FAR}ull }}"),
    ("struct hsr_high", f"{{ (u32){ESR}ull, {ESR}ull >> 32, {FAR}ull }}"),
    ("struct zero", "{ 0 }"),
    ("struct bits", "{ 0x1, 0x2345678 }"),
)

each_abi = pytest.mark.parametrize("abi", compilers.every_abi())


def ask(abi: str) -> compilers.Probe:
    return compilers.probe(abi, STRUCTS, QUESTIONS, OBJECTS)


@each_abi
def test_byte_order(abi: str) -> None:
    assert ask(abi).byte_order == ("big" if abi in BIG else "little")


@each_abi
def test_alignment_decides_whether_hsr_high_is_free(abi: str) -> None:
    """A hole before far exists only where a u64 is aligned to 8; elsewhere hsr_high moves far."""
    measured, align = ask(abi).measured, NO_HOLE.get(abi, 8)
    size, far = (12, 4) if abi in NO_HOLE else (16, 8)
    assert measured["struct old"] == Measured(size, align, {"hsr": 0, "far": far})
    assert measured["struct widened"] == Measured(16, align, {"hsr": 0, "far": 8})
    assert measured["struct hsr_high"] == Measured(16, align, {"hsr": 0, "hsr_high": 4, "far": 8})


@each_abi
def test_bytes(abi: str) -> None:
    """ESR 0x123456789A, far 0x1122334455667788: the bytes, and what a reader of a u32 hsr gets."""
    if abi in BIG:
        low, wide, far = "3456789a", "00000012 3456789a", "1122334455667788"
        new, read = "3456789a 00000012", [0x3456789A, 0x12, 0x3456789A]
    else:
        low, wide, far = "9a785634", "9a785634 12000000", "8877665544332211"
        new, read = "9a785634 12000000", [0x3456789A, 0x3456789A, 0x3456789A]
    hole = "" if abi in NO_HOLE else "00000000"
    answer = ask(abi)
    images = answer.images[:3]
    assert [image.hex() for image in images] == [
        (hsr + far).replace(" ", "") for hsr in (low + hole, wide, new)
    ]
    assert [int.from_bytes(image[:4], answer.byte_order) for image in images] == read


@each_abi
def test_all_zero_object(abi: str) -> None:
    """An object that takes no room in the file has its bytes all the same."""
    align = NO_HOLE.get(abi, 8)
    assert ask(abi).images[3] == bytes(2 * align + 8)


@each_abi
def test_bits_are_allocated_from_the_end_that_byte_order_names(abi: str) -> None:
    expected = "12345678" if abi in BIG else "81674523"
    assert ask(abi).images[4].hex() == expected


@each_abi
def test_unnamed_bit_field_raises_alignment_on_arm_only(abi: str) -> None:
    size, align = (8, 8) if abi in ARM else (3, 1)
    assert ask(abi).measured["struct unnamed"] == Measured(size, align, {"a": 0, "b": 2})


def test_all_targets_at_once() -> None:
    answers = compilers.everywhere(STRUCTS, QUESTIONS, OBJECTS)
    assert answers == {abi: ask(abi) for abi in compilers.targets()}


@each_abi
def test_a_compile_error_says_why(abi: str) -> None:
    with pytest.raises(compilers.CompileError, match=rf"^{abi}: (.|\n)*no_such"):
        compilers.measure(abi, "", [("struct no_such", ("x",))])
