"""The handshake as a picture: every cell of it, legibly, however many kernels there are."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kvmviz import KvmvizError
from kvmviz.draw import Picture
from kvmviz.draw import handshake as draw_handshake
from kvmviz.kvm.conclusion import handshake
from kvmviz.kvm.kernel import KERNELS, MERGED, POLICIES, Kernel
from kvmviz.kvm.program import READERS, Vmm
from tests.legible import check_words, words_of

NEW = Kernel("a_kernel_of_ones_own", "proposed, with a long name", MERGED, "|=")
OWN = Vmm("reads it in a way of its own", "of its own", MERGED)

PICTURES: dict[str, Callable[[], Picture]] = {
    "default": lambda: draw_handshake(handshake()),
    "all": lambda: draw_handshake(handshake(kernels=(*KERNELS, *POLICIES), vmms=tuple(READERS))),
    "one": lambda: draw_handshake(
        handshake(0xF2001234, ("old",), tuple(READERS)[2:3], ("aarch64",))
    ),
    "a kernel and a program more": lambda: draw_handshake(
        handshake(kernels=(*KERNELS, NEW), vmms=("u32 hsr", OWN))
    ),
}


@pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)
def test_no_words_overlap_or_leave_the_sheet(make: Callable[[], Picture]) -> None:
    check_words(make())


def test_the_handshake_shows_every_cell() -> None:
    shown = handshake()
    picture = draw_handshake(shown)
    words = words_of(picture)
    assert (picture.width, picture.height) <= (1280, 720)
    assert picture.text == repr(shown)
    assert words.count("✓") == sum(cell.right for cell in shown.cells)
    assert words.count("✗") == sum(not cell.right for cell in shown.cells)
    assert words.count("00001000") == 2  # the hole, and what the blind VMM takes it for
    assert words.count("✗ flag 1, then 1") == 4
    assert words.count("never written") == 2
    assert words.count("64 bits of ESR") == 16


def test_what_is_no_handshake_is_refused() -> None:
    with pytest.raises(KvmvizError, match="the handshake draws Handshake, not 'old'"):
        draw_handshake("old")  # type: ignore[arg-type]
    with pytest.raises(KvmvizError, match="at least one cell"):
        replace(handshake(), cells=())
