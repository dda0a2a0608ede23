"""The page over time as a picture and as words: what it shows of every byte, and legibly."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

import kvmviz
from kvmviz import DebugExit, KvmvizError, captures
from kvmviz.draw import Picture
from kvmviz.draw.canvas import LOW
from kvmviz.draw.timeline import TWO
from kvmviz.kvm.conclusion import conclude
from kvmviz.kvm.exits import UserWrite
from kvmviz.kvm.program import READERS
from kvmviz.kvm.scenario import SCENARIOS, Scenario, find, real
from tests.legible import check_words, words_of
from tests.proof_pictures import CROWDED, FAR, ODD, PICTURES, timeline, untold

U32, _, _, BLIND, FLAG_ALONE, NO_REASON, NO_RETURN, NO_EC = READERS
ABIS = ("aarch64", "aarch64_be")


@pytest.fixture(scope="module", params=sorted({*ODD, *[*PICTURES][::8]}))
def picture(request: pytest.FixtureRequest) -> Picture:
    """Some of them, each made once for all that it is held against; `make proof` makes all."""
    return PICTURES[request.param]()


def test_no_words_overlap_or_leave_the_sheet(picture: Picture) -> None:
    check_words(picture)


def cells_of(picture: Picture) -> list[str]:
    """The bytes that are drawn, row by row; offsets are of another size."""
    return [
        text.get_text()
        for text in picture.figure.findobj(Text)
        if isinstance(text, Text)
        and re.fullmatch("[0-9a-f]{2}", text.get_text())
        and text.get_verticalalignment() == "center"
    ]


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("kernel", ["old", "widened", "v2", "merged"])
def test_cells_are_the_bytes_of_the_real_dumps(kernel: str, abi: str) -> None:
    for name in real():
        synthetic = name.endswith("_synthetic")
        order = "big" if abi.endswith("be") else "little"
        scenario, step = name.removesuffix("_synthetic"), 0
        dump = captures.find(kernel, order, scenario, step, synthetic)
        picture = timeline(name, kernel, abi, step=len(dump.events) - 1, limit=1, full=True)
        drawn = cells_of(picture)[-64:]
        assert bytes.fromhex("".join(drawn)) == dump.data[:64], name


def fresh_stale_untouched(picture: Picture) -> tuple[int, int, int]:
    """How many cells stand tall, low on a colour, and low and hatched; not counting the key's."""
    boxes = [box for box in picture.figure.findobj(Rectangle) if isinstance(box, Rectangle)]
    tall = TWO.height
    hatched = sum(box.get_height() == tall * LOW and bool(box.get_hatch()) for box in boxes)
    low = sum(box.get_height() == tall * LOW for box in boxes)
    return sum(box.get_height() == tall for box in boxes), low - hatched, hatched


# Of 64 bytes, by hand from the rules of what one KVM_RUN writes.
STATES: list[tuple[str, str, int, tuple[int, int, int]]] = [
    ("stale_flag", "merged", 0, (4 + 2 + 8, 0, 50)),
    ("stale_flag", "old", 0, (4 + 4, 0, 56)),
    ("stale_flag", "v2", 1, (4 + 12 + 4 + 1, 2, 41)),
    ("stale_flag", "merged", 1, (4 + 2 + 12 + 4 + 1, 0, 41)),
    ("stale_flag", "v2", 2, (4 + 32, 2, 26)),
    ("stale_flag", "v2", 3, (4, 2 + 32, 26)),
    ("mmio_low", "old", 1, (4 + 4, 4 + 4 + 4 + 1, 43)),
    ("immediate_exit", "merged", 1, (1, 4 + 2 + 8, 49)),
    ("immediate_exit", "merged", 2, (0, 1 + 4 + 2 + 8, 49)),
    ("poison", "old", 1, (4 + 4, 28, 28)),
]


@pytest.mark.parametrize(("name", "kernel", "step", "expected"), STATES)
def test_fresh_stale_and_untouched_cells_look_different(
    name: str, kernel: str, step: int, expected: tuple[int, int, int]
) -> None:
    picture = timeline(name, kernel, step=step, limit=1, full=True)
    assert fresh_stale_untouched(picture) == expected


def test_stale_bytes_name_their_step_and_untouched_ones_say_so() -> None:
    words = words_of(timeline("mmio_low", "old", "aarch64_be", BLIND))
    assert {"P phys_addr 63→0", "P 31→0, step 0", "D data, step 0"} <= set(words)
    assert "never written" in words
    assert "P phys_addr 0→63" in words_of(timeline("mmio_low", "old", "aarch64"))


def test_the_head_says_what_its_members_hold() -> None:
    words = words_of(timeline(step=2, limit=1))
    assert {"E 24 SYSTEM_EVENT", "step 0"} <= set(words) or {"E 24", "step 0"} <= set(words)
    assert {"E 4 DEBUG", "F 0x1"} <= set(words_of(timeline(step=0, limit=1)))


def test_a_byte_of_the_head_that_tells_nothing_is_drawn_where_it_was_written() -> None:
    assert len(cells_of(timeline("brk", "old", step=0))) == 8 + 32
    assert len(cells_of(timeline("immediate_exit", "merged", step=1, limit=1))) == 16 + 32
    for offset in (0, 2, 7, 12, 13, 16, 31):
        odd = Scenario("odd", "odd", "", (UserWrite(offset, b"\x99"),))
        assert "99" in cells_of(timeline(odd, "old"))
    half = Scenario("half", "half", "", (DebugExit(0xF2001234), UserWrite(9, b"\x99")))
    assert "99" in cells_of(timeline(half, "old"))


CONCLUSIONS = [
    ("stale_flag", "v2", NO_REASON, 1, "✗ sees a debug exit, ESR 0x0900000000000000"),
    ("stale_flag", "merged", NO_REASON, 0, "✓ ESR 0x00000000f2001234"),
    ("stale_flag", "v2", "hsr_high if flag set", 1, "✓ no debug exit"),
    ("mmio_low", "old", BLIND, 1, "✗ ESR 0x09000000f2001234"),
    ("mmio_low", "old", "hsr_high if flag set", 1, "✓ ESR 0xf2001234"),
    ("mmio_low", "old", FLAG_ALONE, 1, "✗ misses the debug exit"),
]


@pytest.mark.parametrize(("name", "kernel", "reader", "step", "said"), CONCLUSIONS)
def test_the_conclusion_stands_at_the_right(
    name: str, kernel: str, reader: str, step: int, said: str
) -> None:
    picture = timeline(name, kernel, "aarch64_be", reader, step=step, limit=1)
    found = [
        text
        for text in picture.figure.findobj(Text)
        if isinstance(text, Text)
        and text.get_text()[:1] in ("✓", "✗")
        and text.get_horizontalalignment() == "right"
    ]
    assert [text.get_text() for text in found] == [said]
    assert found[0].get_position()[0] == picture.width - 20


def test_bytes_that_fooled_the_reader_are_marked_with_what_they_were_taken_for() -> None:
    words = words_of(timeline(step=1, limit=1))
    assert [word for word in words if word.startswith("✗ ") and "debug" not in word] == [
        "✗ stale", "✗ ESR[31:0]", "✗ ESR[63:32]",
    ]  # fmt: skip
    assert not any(word.startswith("✗") for word in words_of(timeline(step=0)))


@pytest.mark.parametrize(
    ("name", "kernel", "reader", "said"),
    [
        ("stale_far", "merged", NO_EC, "✗ taken for far (stale)"),
        ("brk", "merged", NO_EC, "✗ taken for far (never written)"),
        ("mmio_low", "old", NO_EC, "✗ taken for far (not fresh)"),
        ("mmio_low", "widened", U32, "✗ ESR[31:0]"),
    ],
)
def test_the_mark_says_whether_bytes_are_stale_or_nobodys(
    name: str, kernel: str, reader: str, said: str
) -> None:
    events = find(name).events[: 1 if name == "brk" else 2]
    assert said in words_of(timeline(Scenario("x", "x", "", events), kernel, reader=reader))


def test_two_kernels_are_marked_where_they_differ() -> None:
    picture = timeline("mmio_high", "old", "aarch64", beside="merged", step=1, limit=1)
    # flags, and the hole: 0x80 in its first byte, where merged writes hsr_high.
    assert words_of(picture).count("≠") == 2
    assert "≠ 2 bytes differ: byte 14, byte 36" in picture.text
    assert "≠ 2 bytes differ: byte 14, byte 36" in " ".join(words_of(picture))
    same = timeline("mmio_high", "old", "aarch64", beside="merged", step=0)
    assert "≠" not in words_of(same)
    assert "the two pages are the same" in same.text


def test_long_sequences_say_what_is_left_out() -> None:
    long = Scenario("long", "long", "", (FAR,) * 1000)
    picture = timeline(long, "old", step=500, limit=3)
    assert picture.height < 720
    assert "not shown: steps 0..497 before and steps 501..999 after" in picture.text
    assert "not shown: steps 0..497 before and steps 501..999 after" in words_of(picture)
    assert picture.text.count("MMIO exit, guest") == 3
    assert "not shown" not in timeline("mmio_low", "old").text


def test_bytes_behind_those_shown_are_spoken_of() -> None:
    shown = timeline(step=2)
    assert "also writes bytes 64..167, not shown" in " ".join(words_of(shown))
    assert "bytes 32..167; another value" in shown.text


def test_the_text_twin_says_what_the_picture_says(picture: Picture) -> None:
    assert repr(picture) == picture.text
    assert untold(picture) == []


def test_the_text_twin_has_every_byte_with_its_state_and_every_conclusion() -> None:
    text = timeline("mmio_low", "old", "aarch64_be", BLIND).text
    vcpu = SCENARIOS["mmio_low"].play("old", "aarch64_be")
    for step in vcpu.history:
        rows = re.findall(
            r"\+(\d+) +((?:[0-9a-f]{2} )+) +\S+ +(this|step|never)",
            text.split(f"step {step.number}:")[1],
        )
        states = {"this": "fresh", "step": "stale", "never": "untouched"}
        told: dict[int, tuple[int, str]] = {}
        for at, held, writer in rows:
            for offset, byte in enumerate(bytes.fromhex(held), int(at)):
                told.setdefault(offset, (byte, states[writer]))
        assert told == {at: (step.page.data[at], step.state(at)) for at in range(64)}
        assert repr(conclude(step, BLIND)).splitlines()[1].strip() in text


def test_text_depends_on_nothing_but_what_is_shown() -> None:
    first, second = (timeline("stale_far", "v2", "aarch64", BLIND) for _ in range(2))
    assert first.text == second.text
    for form in ("png", "svg", "pdf"):
        assert first.render(form) == second.render(form)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"scenario": "nap"}, "unknown scenario 'nap'; legal are stale_flag"),
    ({"kernel": "newest"}, "unknown kernel 'newest'; legal are old"),
    ({"beside": "newest"}, "unknown kernel 'newest'; legal are old"),
    ({"reader": "emacs"}, "legal are u32 hsr, u64 hsr, hsr_high if flag set"),
    ({"abi": "vax"}, "unknown ABI 'vax'"),
    ({"step": 6}, "step 6 of scenario stale_flag; legal are 0 .. 5"),
    ({"step": -1}, "step -1 of scenario stale_flag; legal are 0 .. 5"),
    ({"step": "1"}, "step '1' of scenario stale_flag"),
    ({"step": True}, "step True of scenario stale_flag"),
    ({"limit": 0}, "limit 0; legal are 1 .. 256"),
    ({"limit": 2.5}, "limit 2.5; legal are 1 .. 256"),
    ({"full": "yes"}, "full 'yes'; legal are True and False"),
]


@pytest.mark.parametrize(("asked", "message"), BAD)
def test_bad_input_is_told(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(KvmvizError, match=re.escape(message)):
        timeline(**asked)


def test_scenarios_are_found_by_name() -> None:
    assert find("brk") is real()["brk"]
    assert find("mmio_low") is SCENARIOS["mmio_low"]
    assert find(CROWDED) is CROWDED
    assert not set(SCENARIOS) & set(real())


def test_no_dump_is_left_out() -> None:
    raw = Path(kvmviz.__file__).parent / "data" / "kvm_run.jsonl"
    names = {json.loads(line)["scenario"] for line in raw.read_text("ascii").splitlines()}
    assert names == {name.removesuffix("_synthetic") for name in real()}
