"""Pictures: what is written in them, that nothing overlaps, and what is refused."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.patches import Rectangle

from kvmviz import Esr, KvmvizError, Struct, captures, draw
from kvmviz.draw import Picture
from kvmviz.kvm import program as vmm
from kvmviz.kvm.kernel import KERNELS, MMIO, OLD, WIDENED, WITH_HIGH
from tests.legible import check_words, words_of

BYTES = Struct("bytes", {f"member_{n}": "__u8" for n in range(20)})
LONG = Struct("s", {"a_very_long_name_for_one_byte": "__u8", "b": "__u16", "c": "__u64"})
ESR = 0x00A5C3E1_D2000062


def kernel_page(kernel: str, abi: str, reader: str) -> Picture:
    return draw.reading(vmm.read(kernel, reader, abi, ESR, 0x40000800, 0xAA))


def dump(*key: object) -> captures.Dump:
    return captures.find(*key)  # type: ignore[arg-type]


PICTURES: dict[str, Callable[[], Picture]] = {
    "story": lambda: draw.story(captures.readings()),
    "story, synthetic": lambda: draw.story(captures.readings("watch", synthetic=True)),
    "matrix": lambda: draw.matrix(vmm.matrix(ESR, 0x40000800, 0xAA)),
    "matrix, ppc64": lambda: draw.matrix(vmm.matrix(0xF2001234, abis=("ppc64le", "ppc64"))),
    "byte map, two orders": lambda: draw.byte_map(
        *(WITH_HIGH.layout(abi).pack({"hsr": 1}, 0xAA) for abi in ("aarch64", "aarch64_be"))
    ),
    "byte map, mmio": lambda: draw.byte_map(MMIO.layout("aarch64").pack({"is_write": 1})),
    "byte map, members of one byte": lambda: draw.byte_map(
        BYTES.layout("aarch64").pack(dict.fromkeys(BYTES.names(), 0xEE))
    ),
    "byte map, one byte": lambda: draw.byte_map(Struct("x", {"a": "u8"}).layout("arm").pack({})),
    "rules": lambda: draw.rules(OLD.layout("aarch64").rules),
    "rules, long names": lambda: draw.rules(LONG.layout("i386").rules),
    "rules, many members": lambda: draw.rules(BYTES.layout("m68k").rules),
    "overlay": lambda: draw.overlay(dump("widened", "big", "watch", 0, True).overlay()),
    "overlay, mmio": lambda: draw.overlay(dump("merged", "big", "brk", 1).overlay()),
    "evidence": lambda: draw.evidence([dump.overlay() for dump in captures.load()]),
    "esr": lambda: draw.esr(Esr(ESR)),
    "esr, brk": lambda: draw.esr(Esr(0xF2001234)),
    "esr, data abort": lambda: draw.esr(Esr(0x5_2092_000045)),
    "esr, zero": lambda: draw.esr(Esr(0)),
    "matrix, i386 and m68k": lambda: draw.matrix(
        vmm.matrix(ESR, 0x40000800, 0xAA, ("i386", "m68k"))
    ),
    "commit table": lambda: draw.commit_table(
        *(
            dump(kernel, "big", "watch", 0, True).overlay()
            for kernel in ("old", "widened", "merged")
        )
    ),
} | {
    f"reading, {kernel} {abi} {reader}": lambda k=kernel, a=abi, r=reader: kernel_page(k, a, r)
    for kernel, abi, reader in itertools.product(KERNELS, ("i386", "aarch64_be"), vmm.VMMS)
}


@pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)
def test_no_words_overlap_or_leave_the_sheet(make: Callable[[], Picture]) -> None:
    check_words(make())


def test_a_cell_shows_value_bits_offset_and_member() -> None:
    image = WIDENED.layout("aarch64_be").pack({"hsr": 0x0123456789ABCDEF}, fill=0xAA)
    words = words_of(draw.byte_map(image))
    values = [word for word in words if len(word) == 2 and word not in ("+0",)]
    assert [w for w in values if w[0] != "+"] == bytes(image).hex(" ").split()
    assert [w for w in words if w.startswith("+")] == [f"+{at}" for at in range(16)]
    assert words.count("63:56") == 1
    assert words.count("–") == 8  # far was not written
    assert {"A hsr", "C far: left as it was"} <= set(words)


def test_a_byte_that_nobody_wrote_is_hatched_and_says_so() -> None:
    picture = draw.byte_map(OLD.layout("aarch64").pack({"hsr": 1, "far": 2}, fill=0xAA))
    boxes = [box for box in picture.figure.findobj(Rectangle) if isinstance(box, Rectangle)]
    assert sum(bool(box.get_hatch()) for box in boxes) == 4
    assert "hole: not written" in words_of(picture)
    assert "not written (hole after hsr)" in picture.text


def test_a_name_that_does_not_fit_stands_below() -> None:
    words = words_of(PICTURES["byte map, members of one byte"]())
    assert {"M", "E", "R", "D"} <= set(words)
    assert any("M member_0  ·  E member_1" in word for word in words)


def test_a_bad_dump_shows() -> None:
    good = dump("old", "big", "brk")
    bad = captures.Dump(**(vars(good) | {"data": bytes(288)}))
    picture = draw.overlay(bad.overlay())
    assert "3 bytes differ" in words_of(picture)
    assert words_of(picture).count("≠") == picture.text.count("≠") * 3 == 3
    assert "400 real dumps, 8192 bytes compared: 0 differ" in words_of(PICTURES["evidence"]())
    assert "1 real dumps, 16 bytes compared: 3 differ" in words_of(draw.evidence([bad.overlay()]))


@pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)
def test_the_text_twin_says_the_verdict_and_every_byte(make: Callable[[], Picture]) -> None:
    picture = make()
    assert repr(picture) == picture.text
    for word in words_of(picture):
        if word.startswith(("✓", "✗")) and len(word) > 1:
            assert word in picture.text


REFUSED: list[Any] = [
    (lambda: draw.story([]), "16 bytes"),
    (lambda: draw.story([vmm.read("old", "old", abi, ESR, 1) for abi in ("i386", "m68k")]), "far"),
    (lambda: draw.matrix(vmm.matrix(ESR, 1, 0, ("arm", "armeb", "i386"))), "3"),
    (lambda: draw.byte_map(), "at least one"),
    (lambda: draw.commit_table(*[dump("old", "little", "watch", 0, True).overlay()] * 3), "big"),
    (lambda: draw.commit_table(*[dump("old", "big", "brk", 1).overlay()] * 3), "debug"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_what_would_be_drawn_wrong_is_refused(make: Callable[[], Picture], words: str) -> None:
    with pytest.raises(KvmvizError, match=words):
        make()
