"""Pictures: what is written in them, that nothing overlaps, and what is refused."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.patches import Rectangle

from kvmviz import Esr, KvmvizError, Struct, captures, draw
from kvmviz.draw import Picture
from kvmviz.kvm import program as vmm
from kvmviz.kvm.kernel import KERNELS, MERGED, MMIO, OLD, WIDENED, Kernel
from kvmviz.review.versions import Versions
from tests.legible import check_words, words_of

BYTES = Struct("bytes", {f"member_{n}": "__u8" for n in range(20)})
LONG = Struct("s", {"a_very_long_name_for_one_byte": "__u8", "b": "__u16", "c": "__u64"})
ESR = 0x00A5C3E1_D2000062


WIDE = Struct("W" * 60, {"W" * 12: "__u8[8]", "M" * 30: "__u32", "m" * 90: "__u8", "A_B": "u16"})
NEW = Kernel("a_kernel_of_ones_own", "proposed, not sent, never merged", MERGED, "=")
OWN = vmm.Vmm("hsr_high if the moon is full, else hsr alone", "of its own", MERGED)
FAR_OFF = Struct("far_off", {"pad": "u8[20]", "hsr": "__u32", "far": "__u64"})

FAR_KERNEL, FAR_VMM = replace(NEW, debug=FAR_OFF), replace(OWN, debug=FAR_OFF)


def grid(
    kernels: Sequence[str | Kernel], vmms: Sequence[str | vmm.Vmm], abis: Sequence[str]
) -> vmm.Matrix:
    return vmm.matrix(ESR, 0x40000800, 0xAA, abis, kernels, vmms)


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
        *(MERGED.layout(abi).pack({"hsr": 1}, 0xAA) for abi in ("aarch64", "aarch64_be"))
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
    "matrix, a kernel and a program more": lambda: draw.matrix(
        grid((*KERNELS, NEW), (*vmm.VMMS, OWN), vmm.ARM64)
    ),
    "matrix, three ABIs": lambda: draw.matrix(vmm.matrix(ESR, 1, 0, ("arm", "armeb", "i386"))),
    "matrix, one ABI": lambda: draw.matrix(grid((NEW,), (OWN,), ("m68k",))),
    "story, kernels more": lambda: draw.story(
        [
            vmm.read(kernel, "hsr_high, flag ignored", abi, ESR, 0x40000800, 0xAA)
            for kernel in (*KERNELS.values(), NEW)
            for abi in vmm.ARM64
        ]
    ),
    "reading, a kernel and a program more": lambda: draw.reading(
        vmm.read(NEW, OWN, "aarch64_be", ESR, 0x40000800, 0xAA)
    ),
    "reading, ESR in the second row": lambda: draw.reading(
        vmm.read(FAR_KERNEL, FAR_VMM, "arm", ESR, 1)
    ),
    "evidence, dumps more": lambda: draw.evidence(
        [replace(dump("old", "big", "brk").overlay(), real=bytes(16))] * 90
    ),
    "byte map, wide letters": lambda: draw.byte_map(WIDE.layout("arm").pack({"A_B": 1})),
    "rules, wide letters": lambda: draw.rules(WIDE.layout("arm").rules),
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


@pytest.fixture(scope="module", params=PICTURES)
def picture(request: pytest.FixtureRequest) -> Picture:
    """Each of them, made once for all that it is held against."""
    return PICTURES[request.param]()


def test_no_words_overlap_or_leave_the_sheet(picture: Picture) -> None:
    check_words(picture)


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


def test_a_member_has_one_name_in_each_row() -> None:
    clock = Struct("clock", {"clock": "u64", "flags": "u32", "pad": "u32[9]"}).layout("x86_64")
    for values, name in (({}, "P pad: left as it was"), ({"pad": [0] * 9}, "P pad")):
        words = words_of(draw.byte_map(clock.pack(values)))
        assert words.count(name) == 3


def test_a_name_that_does_not_fit_stands_below() -> None:
    words = words_of(PICTURES["byte map, members of one byte"]())
    assert {"M", "E", "R", "D"} <= set(words)
    assert any("M\xa0member_0  ·  E\xa0member_1" in word for word in words)


def test_a_bad_dump_shows() -> None:
    good = dump("old", "big", "brk")
    bad = captures.Dump(**(vars(good) | {"data": bytes(288)}))
    picture = draw.overlay(bad.overlay())
    assert "3 bytes differ" in words_of(picture)
    assert words_of(picture).count("≠") == picture.text.count("≠") * 3 == 3
    assert "400 real dumps, 8192 bytes compared: 0 differ" in words_of(PICTURES["evidence"]())
    assert "1 real dump, 16 bytes compared: 3 differ" in words_of(draw.evidence([bad.overlay()]))


def test_the_text_twin_says_the_verdict_and_every_byte(picture: Picture) -> None:
    assert repr(picture) == picture.text
    for word in words_of(picture):
        if word.startswith(("✓", "✗")) and len(word) > 1:
            assert word in picture.text


def test_a_kernel_more_in_the_table_is_a_row_more_in_the_matrix() -> None:
    picture = draw.matrix(vmm.matrix(ESR, 0x40000800, 0xAA, kernels=(*KERNELS, NEW)))
    check_words(picture)
    assert NEW.name in words_of(picture)
    assert picture.height == PICTURES["matrix"]().height + 132
    assert sum(word in ("✓", "✗") for word in words_of(picture)) == 2 * 5 * 4


def test_signs_that_the_font_lacks_are_escaped() -> None:
    picture = draw.byte_map(BYTES.layout("arm").pack({}), title="\u540d €")
    assert "\\u540d €" in words_of(picture)
    assert picture.render("svg")


LARGE = Struct("large", {"data": "char[4097]"}).layout("arm")
HUGE = Struct("huge", {"data": "char[1048576]"}).layout("arm")
NOT_ONE = [7, "old", None, b"", [1], object(), 10**5000, "x" * 100_000]
SHOWS: dict[str, Callable[[Any], object]] = {
    "story": lambda odd: draw.story([odd]),
    "stories": lambda odd: draw.story(odd),
    "matrix": lambda odd: draw.matrix(odd),
    "timeline": lambda odd: draw.timeline(odd),
    "byte map": lambda odd: draw.byte_map(odd),
    "rules": lambda odd: draw.rules(odd),
    "reading": lambda odd: draw.reading(odd),
    "overlay": lambda odd: draw.overlay(odd),
    "evidence": lambda odd: draw.evidence([odd]),
    "esr": lambda odd: draw.esr(odd),
    "commit table": lambda odd: draw.commit_table(odd, odd, odd),
    "versions": lambda odd: draw.versions(odd),
}


@pytest.mark.parametrize("show", SHOWS.values(), ids=SHOWS)
def test_another_kind_of_result_is_refused(show: Callable[[Any], object]) -> None:
    for odd in NOT_ONE:
        with pytest.raises(KvmvizError, match=r"draws|a story takes") as error:
            show(odd)
        assert len(str(error.value)) < 300


ODD: Any = 5
REFUSED: list[Any] = [
    (lambda: draw.versions(), "a picture of versions takes at least one"),
    (lambda: draw.evidence([]), "evidence takes at least one"),
    (lambda: draw.byte_map(LARGE.pack({})), "struct large: .* at most 4096, not 4097"),
    (lambda: draw.byte_map(*[BYTES.layout("arm").pack({})] * 205), "at most 4096, not 4100"),
    (lambda: draw.rules(HUGE.rules), "struct huge: .* at most 4096, not 1048576"),
    (lambda: draw.versions(Versions(HUGE)), "struct huge on arm: .* at most 16384 bytes"),
    (
        lambda: draw.matrix(grid((FAR_KERNEL,), (FAR_VMM,), ("arm",))),
        f"bytes 0..7; VMM {OWN.name} takes it from byte 20",
    ),
    (lambda: draw.story([]), "16 bytes"),
    (
        lambda: draw.story([vmm.read("old", "u32 hsr", abi, ESR, 1) for abi in ("i386", "m68k")]),
        "far",
    ),
    (lambda: draw.matrix(vmm.Matrix(())), "at least one reading"),
    (lambda: draw.byte_map(), "at least one"),
    (lambda: draw.byte_map(BYTES.layout("arm").pack({}), title=ODD), "title 5: 5 is no text"),
    (lambda: draw.byte_map(BYTES.layout("arm").pack({}), title="a\ud800"), "no text in one line"),
    (lambda: draw.versions(Versions(BYTES.layout("arm")), title="a\nb"), "nb' is no text"),
    (lambda: draw.versions(Versions(BYTES.layout("arm")), title=ODD), "title 5: .* no text"),
    (lambda: draw.commit_table(*[dump("old", "little", "watch", 0, True).overlay()] * 3), "big"),
    (lambda: draw.commit_table(*[dump("old", "big", "brk", 1).overlay()] * 3), "debug"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_what_would_be_drawn_wrong_is_refused(make: Callable[[], Picture], words: str) -> None:
    with pytest.raises(KvmvizError, match=words):
        make()
