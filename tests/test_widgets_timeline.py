"""The timeline widget, driven from code and through its controls; no browser is needed."""

import re
from dataclasses import replace
from typing import Any

import pytest

from kvmviz import (
    DebugExit,
    Interrupted,
    KvmvizError,
    MmioExit,
    Struct,
    SystemEvent,
    Unhandled,
)
from kvmviz.kvm.exits import Served, UserWrite
from kvmviz.kvm.kernel import MERGED, Kernel
from kvmviz.kvm.program import READERS, Vmm
from kvmviz.kvm.scenario import Scenario
from kvmviz.widgets.timeline import KINDS, NONE, Timeline, event_from
from tests.panels import error, part, twin

_, _, FLAG, BLIND, _, _, _, _ = READERS
MINE = Kernel("mine", "never", MERGED, "|=", frozenset({"MMIO"}))


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


def control(timeline: Timeline, name: str) -> Any:
    return timeline.controls[name]


def shown(timeline: Timeline) -> tuple[str, str, str]:
    """All that the page shows of it."""
    return part(timeline, "view").value, timeline.words, error(timeline)


def test_the_default_tells_the_story(timeline: Timeline) -> None:
    assert (timeline.kernel, timeline.byte_order, timeline.step) == ("v2", "big", 1)
    assert "✗ WRONG: takes this for a debug exit, ESR 0x0900000000000000" in repr(timeline)
    assert "byte 15, taken for this exit's flag, holds flags[7:0] of step 0" in repr(timeline)


def test_words_and_repr_are_one(timeline: Timeline) -> None:
    assert twin(timeline) == timeline.words == repr(timeline)


def test_setting_from_code_moves_the_controls_and_the_view(timeline: Timeline) -> None:
    timeline.scenario = "mmio_high"
    timeline.kernel, timeline.beside, timeline.reader = (
        "old",
        "merged",
        BLIND,
    )
    timeline.byte_order, timeline.full, timeline.step = "little", True, 0
    held = {name: control(timeline, name).value for name in ("scenario", "kernel", "beside")}
    assert held == {"scenario": "mmio_high", "kernel": "old", "beside": "merged"}
    assert control(timeline, "reader").value == BLIND
    assert control(timeline, "byte_order").value == "little"
    assert control(timeline, "full").value is True
    assert control(timeline, "step").value == 0
    subtitle = "old and merged kernels · aarch64 (little-endian) · VMM: hsr_high, flag ignored"
    assert subtitle in twin(timeline)


TURNS: list[tuple[str, object, str]] = [
    ("scenario", "immediate_exit", "returns -EINTR at once, immediate_exit is set"),
    ("scenario", "brk_synthetic", "bits 63:32 of ESR are synthetic"),
    ("kernel", "merged", "this step, KVM_RUN entry"),
    ("kernel", "v2_entry", "v2_entry kernel"),
    ("beside", "merged", "≠ 1 byte differs: byte 15"),
    ("byte_order", "little", "ESR 0x0000000009000000"),
    ("reader", FLAG, "✓ no debug exit: exit_reason is KVM_EXIT_MMIO"),
    ("full", True, "step 1: KVM_RUN"),
    ("step", 4, "step 4: KVM_RUN, run fails after entry; returns -ENOSYS"),
]


@pytest.mark.parametrize(("name", "value", "said"), TURNS)
def test_a_control_does_what_code_does(
    timeline: Timeline, name: str, value: object, said: str
) -> None:
    control(timeline, name).value = value
    by_code = Timeline()
    setattr(by_code, name, value)
    assert shown(timeline) == shown(by_code)
    assert said in repr(timeline)
    assert getattr(timeline, name) == value


def test_a_second_kernel_goes_away_again(timeline: Timeline) -> None:
    before = shown(timeline)
    control(timeline, "beside").value = "merged"
    assert shown(timeline) != before
    control(timeline, "beside").value = NONE
    assert shown(timeline) == before
    assert timeline.beside is None


def test_what_each_of_two_kernels_leads_to_is_spoken(timeline: Timeline) -> None:
    timeline.set(scenario="mmio_low", kernel="old", beside="merged", reader=BLIND, step=1)
    spoken = part(timeline, "spoken").value
    assert "old kernel: wrong: ESR 0x09000000f2001234" in spoken
    assert "merged kernel: right: ESR 0x00000000f2001234" in spoken


def test_buttons_go_through_time_and_stop_at_its_ends(timeline: Timeline) -> None:
    seen = [timeline.step]
    for _ in range(6):
        control(timeline, "next").click()
        seen.append(timeline.step)
    assert seen == [1, 2, 3, 4, 5, 5, 5]
    assert control(timeline, "next").disabled
    for _ in range(7):
        control(timeline, "previous").click()
    assert timeline.step == control(timeline, "step").value == 0
    assert control(timeline, "previous").disabled
    assert control(timeline, "step").max == 5


@pytest.mark.parametrize(
    ("name", "order"), [("stale_far", "little"), ("watch_poison_synthetic", "big")]
)
def test_a_scenario_can_be_chosen_and_scrubbed(timeline: Timeline, name: str, order: str) -> None:
    timeline.events = ()
    control(timeline, "scenario").value = name
    control(timeline, "byte_order").value = order
    last = len(timeline.events) - 1
    assert timeline.step == last
    for step in range(last + 1):
        timeline.step = step
        assert f"step {step}: " in repr(timeline)
        assert twin(timeline) == repr(timeline)


def test_a_kernel_a_reader_and_a_scenario_of_ones_own(timeline: Timeline) -> None:
    timeline.kernel = MINE
    assert control(timeline, "kernel").value == "mine"
    assert re.search(r"\+14 +00 00 +flags +this step, KVM_EXIT_MMIO", repr(timeline))
    timeline.reader = own = Vmm("my own", "of mine", MERGED)
    assert control(timeline, "reader").value == "my own"
    timeline.scenario = Scenario("nap", "A nap", "", (Interrupted(),))
    assert control(timeline, "scenario").value == "nap"
    assert "A nap" in repr(timeline)
    before = shown(timeline)
    timeline.set(scenario="nap", kernel="mine", reader="my own")
    assert shown(timeline) == before
    timeline.set(kernel=replace(MINE, name="old"), scenario=Scenario("brk", "B", "", ()))
    timeline.set(kernel="old", scenario="brk")  # names are the tables' first
    other = Timeline(reader=own, kernel="old", scenario="brk")
    assert repr(timeline) == repr(other)
    timeline.reset()
    assert shown(timeline) == shown(Timeline())


BUILT = [
    ("debug exit", ("0xf2001234", ""), DebugExit(0xF2001234)),
    ("debug exit", ("d2000062", "0x40000800"), DebugExit(0xD2000062, 0x40000800)),
    ("MMIO write", ("0x8000001000", "01 02"), MmioExit(0x8000001000, 2, b"\1\2")),
    ("MMIO read", ("9000000", "8"), MmioExit(0x9000000, 8)),
    ("system event", ("2", "0xff"), SystemEvent(2, 255)),
    ("KVM serves a write", ("0x8000000", "8"), Served(0x8000000, 8)),
    ("KVM serves a read", ("0x8000000", "0102"), Served(0x8000000, 2, b"\1\2")),
    ("signal pending", ("", ""), Interrupted()),
    ("run fails after entry", ("", ""), Unhandled()),
    ("userspace writes", ("36", "aaaaaaaa"), UserWrite(36, b"\xaa" * 4)),
    ("userspace writes", ("0x24", "0xAA bb"), UserWrite(36, b"\xaa\xbb")),
    ("userspace writes", ("36", "5a 5A 0000"), UserWrite(36, b"ZZ\0\0")),
]


@pytest.mark.parametrize(("kind", "typed", "event"), BUILT)
def test_a_step_is_added_as_typed(
    timeline: Timeline, kind: str, typed: tuple[str, str], event: Any
) -> None:
    timeline.events = ()
    assert not timeline.events
    assert timeline.step == -1
    assert "before any step" in repr(timeline)
    control(timeline, "kind").value = kind
    control(timeline, "first").value, control(timeline, "second").value = typed
    control(timeline, "add").click()
    assert list(timeline.events) == [event]
    assert (timeline.step, timeline.scenario) == (0, "own")
    assert error(timeline) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_entries_start_from_what_can_be_added(timeline: Timeline, kind: str) -> None:
    control(timeline, "kind").value = kind
    control(timeline, "add").click()
    assert len(timeline.events) == 7
    assert timeline.step == 6
    entries = [control(timeline, name).layout.display != "none" for name in ("first", "second")]
    assert sum(entries) == len(KINDS[kind].get("entries", ()))


BAD_ENTRIES = [
    ("debug exit", ("0xf200z", ""), "esr: '0xf200z' is not a hexadecimal number"),
    ("debug exit", ("1" * 17, ""), "esr: 0x11111111111111111 does not fit 64 bits"),
    ("debug exit", ("d2000062", " "), "ESR 0xd2000062 is a watchpoint"),
    ("debug exit", ("f2001234", "-1"), "far: '-1' is not a hexadecimal number"),
    ("MMIO write", ("0x9000000", "5a 5"), "data: '5a5' is no hex of whole bytes"),
    ("MMIO write", ("0x9000000", "5a 5a 5a"), "legal are 1, 2, 4, 8"),
    ("MMIO write", ("", "5a"), "phys_addr: '' is not a hexadecimal number"),
    ("MMIO write", ("0", "5a\xa05a\xa05a"), "legal are 1, 2, 4, 8"),
    ("MMIO write", ("0", "Ä"), "data: 'Ä' is no hex of whole bytes"),
    ("MMIO read", ("0", "3"), "legal are 1, 2, 4, 8"),
    ("MMIO read", ("0", "\uff14"), "len: '\uff14' is no number"),
    ("system event", ("0x100000000", "0"), "type: 0x100000000 does not fit 32 bits"),
    ("userspace writes", ("2352", "00"), "legal are bytes 0..2351"),
    ("userspace writes", ("-1", "00"), "legal are bytes 0..2351"),
    ("userspace writes", ("one", "00"), "offset: 'one' is no number; legal are such as 36"),
    ("userspace writes", ("9" * 5000, "00"), "is no number"),
    ("userspace writes", ("36", ""), "data: no bytes; legal are pairs of hex digits"),
    ("userspace writes", ("1", "<b>"), "data: '<b>' is no hex of whole bytes"),
]


@pytest.mark.parametrize(("kind", "typed", "message"), BAD_ENTRIES)
def test_a_bad_entry_is_told_and_changes_nothing(
    timeline: Timeline, kind: str, typed: tuple[str, str], message: str
) -> None:
    before = shown(timeline)
    control(timeline, "kind").value = kind
    control(timeline, "first").value, control(timeline, "second").value = typed
    control(timeline, "add").click()
    assert message in error(timeline)
    assert "<b>" not in part(timeline, "error").value.removeprefix("<b role='alert'>")
    assert shown(timeline)[:2] == before[:2]
    assert len(timeline.events) == 6
    assert control(timeline, "first").value == typed[0]  # to be mended, not typed again
    with pytest.raises(KvmvizError, match=re.escape(message)):
        event_from(kind, *typed)
    control(timeline, "next").click()
    assert error(timeline) == ""


def test_the_last_step_is_taken_away_until_none_is_left(timeline: Timeline) -> None:
    for left in range(5, -1, -1):
        control(timeline, "remove").click()
        assert len(timeline.events) == left
        assert timeline.step == left - 1
    assert control(timeline, "remove").disabled
    assert control(timeline, "step").disabled
    control(timeline, "remove").click()
    assert timeline.events == ()


BAD: list[tuple[str, object, str]] = [
    ("scenario", "nap", "unknown scenario 'nap'; legal are stale_flag"),
    ("events", [7], "scenario own, step 0: 7 is no event"),
    ("kernel", "newest", "unknown kernel 'newest'"),
    ("beside", "newest", "unknown kernel 'newest'"),
    ("byte_order", "middle", "unknown byte order 'middle'; legal are 'little', 'big'"),
    ("full", 1, "full 1; legal are True and False"),
    ("events", 5, "events 5: give a sequence of events"),
    ("reader", "emacs", "legal are u32 hsr, u64 hsr, hsr_high if flag set"),
    ("step", 6, "legal are 0 .. 5"),
    ("step", -1, "legal are 0 .. 5"),
    ("step", None, "legal are 0 .. 5"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_bad_values_change_nothing(
    timeline: Timeline, name: str, value: object, message: str
) -> None:
    before = shown(timeline)
    with pytest.raises(KvmvizError, match=re.escape(message)):
        setattr(timeline, name, value)
    assert shown(timeline) == before


def test_reset_goes_back_to_the_start() -> None:
    timeline = Timeline(step=0, scenario="ndata", kernel="old", reader=BLIND, byte_order="little")
    assert (timeline.step, timeline.scenario) == (0, "ndata")
    start = shown(timeline)
    timeline.events = ()
    timeline.full, timeline.beside = True, "merged"
    control(timeline, "reset").click()
    assert shown(timeline) == start
    assert control(timeline, "kernel").value == "old"


def test_what_cannot_be_drawn_is_not_offered(timeline: Timeline) -> None:
    before = repr(timeline)
    large = Kernel("mine", "", Struct("s", {"hsr": "u32", "more": "u8[300]"}))
    for name, value in (("kernel", large), ("beside", large)):
        with pytest.raises(KvmvizError):
            setattr(timeline, name, value)
    assert repr(timeline) == before
    assert "mine" not in control(timeline, "kernel").options


def test_a_sequence_of_ones_own_is_kept_to_come_back_to(timeline: Timeline) -> None:
    timeline.events = (Interrupted(),)
    timeline.set(kernel="v2", scenario="ndata")
    assert len(timeline.events) > 1
    control(timeline, "scenario").value = "own"
    assert timeline.events == (Interrupted(),)


def test_a_kernel_of_ones_own_is_offered_as_long_as_it_is_shown(timeline: Timeline) -> None:
    timeline.kernel, timeline.beside = MINE, MINE
    control(timeline, "kernel").value = "merged"
    assert "mine" not in control(timeline, "kernel").options
    assert control(timeline, "beside").value == "mine"
