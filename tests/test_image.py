"""Who wrote each byte, and which bits of what lie in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given

from kvmviz import Image, KvmvizError, Struct
from kvmviz.kvm.kernel import OLD, WIDENED, WITH_HIGH
from tests import strategies
from tests.compilers import ABI_NAMES
from tests.strategies import ORDER, steady

ESR, FAR = 0x123456789A, 0x1122334455667788
LOW = {"hsr": 0x3456789A, "far": FAR}
ALL = {"hsr": ESR, "far": FAR}
BOTH = {"hsr": 0x3456789A, "hsr_high": 0x12, "far": FAR}

FAR_LE = "far[7:0] far[15:8] far[23:16] far[31:24] far[39:32] far[47:40] far[55:48] far[63:56]"
FAR_BE = "far[63:56] far[55:48] far[47:40] far[39:32] far[31:24] far[23:16] far[15:8] far[7:0]"
HSR_LE = "hsr[7:0] hsr[15:8] hsr[23:16] hsr[31:24]"
HSR_BE = "hsr[31:24] hsr[23:16] hsr[15:8] hsr[7:0]"
HIGH_LE = "hsr_high[7:0] hsr_high[15:8] hsr_high[23:16] hsr_high[31:24]"
HIGH_BE = "hsr_high[31:24] hsr_high[23:16] hsr_high[15:8] hsr_high[7:0]"
TOP_LE = "hsr[39:32] hsr[47:40] hsr[55:48] hsr[63:56]"
TOP_BE = "hsr[63:56] hsr[55:48] hsr[47:40] hsr[39:32]"
HOLE = "- - - -"

FACTS: list[tuple[Struct, dict[str, int], list[str], list[str]]] = [
    # struct, values, who wrote each byte on LE, on BE
    (OLD, LOW, [HSR_LE, HOLE, FAR_LE], [HSR_BE, HOLE, FAR_BE]),
    (WIDENED, ALL, [HSR_LE, TOP_LE, FAR_LE], [TOP_BE, HSR_BE, FAR_BE]),
    (WITH_HIGH, BOTH, [HSR_LE, HIGH_LE, FAR_LE], [HSR_BE, HIGH_BE, FAR_BE]),
]


@pytest.mark.parametrize("abi", ABI_NAMES)
@pytest.mark.parametrize(("struct", "values", "little", "big"), FACTS)
def test_sources_of_the_facts(
    struct: Struct, values: dict[str, int], little: list[str], big: list[str], abi: str
) -> None:
    parts = little if ORDER[abi] == "little" else big
    if struct is OLD and abi in ("i386", "m68k"):
        parts = [part for part in parts if part != HOLE]
    assert labels(struct.layout(abi).pack(values)) == " ".join(parts)


def labels(image: Image) -> str:
    return " ".join(source.label if source else "-" for source in image.sources)


ROWS: list[tuple[Struct, dict[str, Any], str]] = [
    # struct, values, who wrote each byte on BE
    (OLD, {"hsr": 1}, f"{HSR_BE} {HOLE} - - - - - - - -"),
    (OLD, {"far": 1}, f"- - - - {HOLE} {FAR_BE}"),
    (WITH_HIGH, {"hsr_high": 1}, f"- - - - {HIGH_BE} - - - - - - - -"),
    (OLD, {}, " ".join("-" * 16)),
    (Struct("s", {"a": "u8", "d": "u8[2]"}), {"a": 1, "d": [1, 2]}, "a d[0] d[1]"),
    (Struct("s", {"d": "u16[2]"}), {"d": [1, 2]}, "d[0][15:8] d[0][7:0] d[1][15:8] d[1][7:0]"),
    (Struct("s", {"d": "u8[2][2]"}), {"d": [[1, 2], [3, 4]]}, "d[0][0] d[0][1] d[1][0] d[1][1]"),
    (Struct("s", {"d": "u16[2]"}), {"d": {1: 5}}, "- - d[1][15:8] d[1][7:0]"),
    (Struct("s", [("in", OLD)]), {"in": {"hsr": 1}},
     "in.hsr[31:24] in.hsr[23:16] in.hsr[15:8] in.hsr[7:0] - - - - - - - - - - - -"),
    (Struct("u", {"a": "u32", "b": "u8"}, union=True), {"a": 1, "b": 2},
     "b a[23:16] a[15:8] a[7:0]"),
    (Struct("u", {"a": "u32", "b": "u8"}, union=True), {"b": 2, "a": 1},
     "a[31:24] a[23:16] a[15:8] a[7:0]"),
    (Struct("u", {"a": "u32", "b": "u8"}, union=True), {"b": 2}, "b - - -"),
    (Struct("s", [(None, Struct("", {"x": "s8"})), ("y", "s8")]), {"x": -1, "y": 2}, "x y"),
]  # fmt: skip


@pytest.mark.parametrize(("struct", "values", "expected"), ROWS)
def test_sources(struct: Struct, values: dict[str, Any], expected: str) -> None:
    image = struct.layout("aarch64_be").pack(values)
    assert labels(image) == expected
    assert image.unwritten == tuple(at for at, who in enumerate(expected.split()) if who == "-")


def test_the_fill_is_nobodys() -> None:
    for fill in (0, 0xAA, bytes(range(16))):
        image = OLD.layout("aarch64").pack({"hsr": 1, "far": 2}, fill)
        assert image.unwritten == (4, 5, 6, 7)
        assert bytes(image)[4:8] == (bytes([fill]) * 4 if isinstance(fill, int) else fill[4:8])


def test_what_was_written_before_is_the_fill_of_the_next() -> None:
    first = OLD.layout("aarch64").pack({"hsr": 1, "far": 2})
    assert OLD.layout("aarch64").pack({"hsr": 3}, first).unwritten == tuple(range(4, 16))


@steady
@given(strategies.filled(partial=True), strategies.abis)
def test_a_byte_holds_the_bits_that_its_source_says(
    drawn: tuple[Struct, dict[str, Any]], abi: str
) -> None:
    struct, values = drawn
    image = struct.layout(abi).pack(values, 0x5A)
    numbers = strategies.flat(values)
    leaves = [v for v in strategies.leaves(struct, abi) if v.designator in numbers]
    written = {at: v for v in leaves for at in range(v.offset, v.offset + v.size)}
    for offset, (byte, source) in enumerate(zip(bytes(image), image.sources, strict=True)):
        if offset not in written:
            assert source is None
            assert byte == 0x5A
            continue
        assert source is not None
        assert source.high == source.low + 7
        assert source.path == written[offset].designator
        assert source.slot.member == written[offset].direct
        assert source.slot.offset <= offset < source.slot.offset + source.slot.size
        assert byte == numbers[source.path] >> source.low & 0xFF
    assert image.unwritten == tuple(at for at in range(len(image)) if at not in written)


def test_an_image_does_not_change() -> None:
    image = OLD.layout("aarch64").pack(LOW)
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.data = bytes(16)  # type: ignore[misc]
    assert isinstance(bytes(image), bytes)
    assert isinstance(image.sources, tuple)
    with pytest.raises(AttributeError):
        image.sources[0].high = 3  # type: ignore[union-attr, misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.sources[0].slot.offset = 3  # type: ignore[union-attr, misc]


def test_its_values_do_not_reach_into_it() -> None:
    data = [1, 2]
    values: dict[str, Any] = {"d": data}
    image = Struct("s", {"d": "u8[2]"}).layout("arm").pack(values)
    data[0] = values["d"][1] = 9
    assert bytes(image) == b"\1\2"


def test_length_and_equality() -> None:
    layout = OLD.layout("aarch64")
    assert len(layout.pack(LOW)) == 16
    assert layout.pack(LOW) == layout.pack(LOW)
    assert layout.pack(LOW) != layout.pack(LOW, 1)
    assert layout.pack({"hsr": 0}) != layout.pack({"far": 0}), "same bytes, other writers"
    assert layout.pack(LOW) != OLD.layout("x86_64").pack(LOW)


@pytest.mark.parametrize(
    ("data", "sources", "words"),
    [(15, 16, ("15 bytes", "16 sources")), (16, 15, ("16 bytes", "15 sources")),
     (17, 17, ("17 bytes", "17 sources")), (0, 0, ("0 bytes", "0 sources"))],
)  # fmt: skip
def test_an_image_is_as_long_as_its_layout(data: int, sources: int, words: tuple[str, ...]) -> None:
    with pytest.raises(KvmvizError) as caught:
        Image(OLD.layout("aarch64"), bytes(data), (None,) * sources)
    for word in (*words, "struct kvm_debug_exit_arch", "16"):
        assert word in str(caught.value)
