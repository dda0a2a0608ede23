"""The 400 real dumps: all there, unchanged, and predicted byte for byte."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter
from typing import Any

import pytest

from kvmviz import KvmvizError, captures
from kvmviz.kvm.captures import ABI_OF, Dump, Evidence
from kvmviz.kvm.exits import UserWrite
from kvmviz.kvm.kernel import KERNELS
from kvmviz.kvm.scenario import real
from tests.proof_page import DATA, HIGH, RAW, Raw

SHA256 = "cc17e4285e6a43564d4a7f9ce1e6e450c48566c044310d00cb0b7281d4c17a5a"

BRK, STEP, WATCH, BREAKPOINT = 0xF2001234, 0xCB000022, 0xD2000062, 0xC2000022


def test_the_file_is_as_it_was_taken() -> None:
    assert hashlib.sha256(DATA.read_bytes()).hexdigest() == SHA256


def test_all_dumps_are_loaded_as_the_file_has_them() -> None:
    dumps = captures.load()
    assert len(dumps) == len(RAW) == 400
    for dump, raw in zip(dumps, RAW, strict=True):
        assert (dump.kernel.name, dump.byte_order) == (raw.kernel, raw.order)
        assert (dump.scenario, dump.step) == (raw.scenario, raw.step)
        assert (dump.synthetic, dump.data) == (raw.synthetic, raw.page)
        held = bytearray(dump.earlier.data if dump.earlier else bytes(288))
        for event in dump.events:
            if isinstance(event, UserWrite):
                held[event.offset : event.offset + len(bytes(event))] = bytes(event)
        assert held == raw.held
        assert dump.is_debug is ("esr" in raw.event)
        assert dump.kind == raw.event["kind"]
        for key in ("esr", "far", "phys_addr"):
            number = int(raw.event[key], 16) if key in raw.event else None
            assert getattr(dump.exit, key, None) == number
        assert getattr(dump.exit, "length", None) == raw.event.get("len")


def test_what_there_is() -> None:
    dumps = captures.load()
    sides = Counter((dump.kernel.name, dump.byte_order, dump.synthetic) for dump in dumps)
    assert set(sides.values()) == {25}
    assert len(sides) == 4 * 2 * 2
    assert Counter(dump.kind for dump in dumps) == {
        "brk": 96, "singlestep": 32, "watchpoint": 32, "hw_breakpoint": 16,
        "mmio_write": 176, "mmio_read": 48,
    }  # fmt: skip
    low = {"brk": BRK, "singlestep": STEP, "watchpoint": WATCH, "hw_breakpoint": BREAKPOINT}
    for dump in dumps:
        if dump.is_debug:
            high = HIGH if dump.synthetic else 0
            assert vars(dump.exit)["esr"] == high << 32 | low[dump.kind]


@pytest.mark.parametrize("kernel", ["old", "widened", "v2", "merged"])
@pytest.mark.parametrize("order", ["little", "big"])
def test_no_byte_differs_from_the_prediction(kernel: str, order: str) -> None:
    dumps = [d for d in captures.load() if (d.kernel.name, d.byte_order) == (kernel, order)]
    assert len(dumps) == 50
    for dump in dumps:
        overlay = dump.overlay()
        assert overlay.differing == (), dump.title
        size = 16 if dump.is_debug else 24
        assert bytes(overlay.predicted) == overlay.real == dump.data[32 : 32 + size]


BYTES = [
    # kernel, byte order, scenario, step, synthetic, bytes 32..47 of the dump
    ("old", "little", "brk", 0, False, "341200f2 00000000 0000000000000000"),
    ("old", "big", "brk", 0, False, "f2001234 00000000 0000000000000000"),
    ("widened", "little", "brk", 0, False, "341200f2 00000000 0000000000000000"),
    ("widened", "big", "brk", 0, False, "00000000 f2001234 0000000000000000"),
    ("widened", "big", "brk", 0, True, "00a5c3e1 f2001234 0000000000000000"),
    ("merged", "big", "brk", 0, True, "f2001234 00a5c3e1 0000000000000000"),
    ("v2", "little", "brk", 0, True, "341200f2 e1c3a500 0000000000000000"),
    ("old", "big", "brk_poison", 0, True, "f2001234 aaaaaaaa aaaaaaaaaaaaaaaa"),
    ("old", "big", "watch", 0, False, "d2000062 00000000 0000000040000800"),
    ("old", "little", "watch_poison", 0, False, "620000d2 aaaaaaaa 0008004000000000"),
    ("old", "big", "mmio_then_brk", 1, False, "f2001234 09000000 5a5a000000000000"),
    ("old", "little", "highmmio_then_brk", 1, False, "341200f2 12000000 5a5a000000000000"),
    ("merged", "big", "mmio_then_brk", 1, False, "f2001234 00000000 5a5a000000000000"),
]


@pytest.mark.parametrize(("kernel", "order", "scenario", "step", "synthetic", "data"), BYTES)
def test_bytes_of_some(
    kernel: str, order: str, scenario: str, step: int, synthetic: bool, data: str
) -> None:
    dump = captures.find(kernel, order, scenario, step, synthetic)
    assert dump.data[32:48] == bytes.fromhex(data)
    assert (
        bytes(dump.overlay().image)
        == bytes.fromhex(data) + dump.data[48:][: 0 if dump.is_debug else 8]
    )
    for word in (kernel, order, scenario, f"step {step}"):
        assert word in dump.title
    assert ("synthetic" in dump.title) is synthetic


UNWRITTEN = [
    # kernel, scenario, step, bytes of the exit's struct that the exit did not write
    ("old", "brk", 0, [*range(4, 16)]),
    ("old", "watch", 0, [4, 5, 6, 7]),
    ("widened", "brk", 0, [*range(8, 16)]),
    ("merged", "brk", 0, [*range(8, 16)]),
    ("merged", "watch", 0, []),
    ("v2", "watch", 1, [*range(8, 16)]),  # a brk after the watchpoint
    ("merged", "brk", 1, [12, 13, 14, 15, 21, 22, 23]),  # an MMIO write of 4 bytes
    ("merged", "brk", 2, [*range(8, 16), 21, 22, 23]),  # an MMIO read
]


@pytest.mark.parametrize(("kernel", "scenario", "step", "unwritten"), UNWRITTEN)
@pytest.mark.parametrize("order", ["little", "big"])
def test_what_an_exit_leaves_as_it_was(
    kernel: str, scenario: str, step: int, unwritten: list[int], order: str
) -> None:
    overlay = captures.find(kernel, order, scenario, step).overlay()
    assert overlay.predicted.unwritten == tuple(unwritten)
    assert overlay.image.sources == overlay.predicted.sources


@pytest.mark.parametrize("at", [0, 3, 4, 9, 15])
def test_a_byte_that_differs_is_found(at: int) -> None:
    dump = captures.find("merged", "big", "brk")
    page = bytearray(dump.data)
    page[32 + at] ^= 0x10
    changed = dataclasses.replace(dump, data=bytes(page)).overlay()
    assert changed.differing == (at,)
    assert bytes(changed.image) == bytes(page[32:48])
    assert bytes(changed.predicted) == dump.data[32:48]


def test_dumps_are_loaded_once() -> None:
    assert captures.load() is captures.load()


def test_a_dump_is_found_by_its_five_keys() -> None:
    for raw in RAW:
        key = (raw.kernel, raw.order, raw.scenario, raw.step, raw.synthetic)
        assert captures.find(*key).data == raw.page
    assert captures.find("old", "big", "brk") == captures.load()[RAW.index(first("old", "big"))]


def first(kernel: str, order: str) -> Raw:
    return next(r for r in RAW if (r.kernel, r.order, r.synthetic) == (kernel, order, False))


def test_all_real_dumps_are_reproduced() -> None:
    for dump, overlay in zip(captures.load(), captures.replay(), strict=True):
        assert overlay.dump is dump
        assert bytes(overlay.predicted)[:288] == overlay.real == dump.data
        assert overlay.differing == ()
        assert len(overlay.predicted) == 2352
        step = dump.play().history[-1]
        assert (step.event, step.page) == (dump.exit, overlay.predicted)


def test_a_dump_that_differs_is_counted_where_it_does() -> None:
    some = captures.load()[:3]
    page = bytearray(some[1].data)
    page[36] ^= 1
    page[287] ^= 1
    changed = (some[0], dataclasses.replace(some[1], data=bytes(page)), some[2])
    overlays = captures.replay(changed)
    assert [overlay.differing for overlay in overlays] == [(), (36, 287), ()]
    assert "2 bytes differ" in repr(overlays[1])


def test_real_scenarios_are_the_same_on_all_kernels() -> None:
    found = real()
    assert len(found) == 18
    for dump in captures.load():
        shown = found[dump.scenario + ("_synthetic" if dump.synthetic else "")]
        events = tuple(event for one in dump.path for event in one.events)
        assert shown.events[: len(events)] == events
        assert shown.synthetic is dump.synthetic


def squeezed(shown: object) -> list[str]:
    """A text twin's lines with runs of spaces made one: what it says, not how it is aligned."""
    return [" ".join(line.split()) for line in repr(shown).splitlines()]


def line_with(shown: object, word: str) -> str:
    """The one line of a text twin that has a word in it."""
    (line,) = [line for line in squeezed(shown) if word in line]
    return line


def test_a_dump_and_its_overlay() -> None:
    dump = captures.find("widened", "big", "brk", synthetic=True)
    lines = squeezed(dump)
    assert dump.title in lines[0]
    assert "synthetic" in lines[0]
    assert lines[1].startswith("brk: debug exit, BRK, ESR 0x00a5c3e1f2001234")
    assert lines[2] == "+0 00 00 00 00 00 00 00 00 00 00 00 04 00 00 00 00"
    assert lines[3] == "+32 00 a5 c3 e1 f2 00 12 34 00 00 00 00 00 00 00 00"
    overlay = squeezed(dump.overlay())
    assert "0 bytes differ" in overlay[0]
    assert overlay[2] == "+0 00 a5 c3 e1 f2 00 12 34 00 a5 c3 e1 f2 00 12 34 = hsr"
    assert overlay[3].startswith("+8 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 = not written")


def test_an_overlay_that_differs() -> None:
    dump = captures.find("merged", "little", "mmio_then_brk")
    overlay = dump.overlay()
    other = captures.Overlay(dump, overlay.predicted, b"\xff" + overlay.real[1:])
    assert squeezed(other)[0].endswith(": 1 byte differs")
    assert "≠ phys_addr" in squeezed(other)[2]
    assert squeezed(dump)[1] == "mmio_write: MMIO exit, guest writes 5a 5a 00 00 at 0x9000000"
    assert "≠" not in repr(overlay)


@pytest.mark.parametrize(
    "key",
    [("older", "big", "brk"), ("old", "middle", "brk"), ("old", "big", "break"),
     ("old", "big", "brk", 3), ("old", "big", "hwbp", 2), ("old", "big", "brk", -1)],
)  # fmt: skip
def test_a_dump_that_is_not_there(key: Any) -> None:
    with pytest.raises(KvmvizError) as caught:
        captures.find(*key)
    words = [*map(repr, key), "old, widened, v2, merged", "little, big", "brk_poison", "0"]
    for word in words:
        assert word in str(caught.value)


LINES = DATA.read_text("ascii").splitlines()[:3]


def line(at: int, **parts: Any) -> str:
    """One of the file's first lines with some keys changed; None takes a key away."""
    row = json.loads(LINES[at]) | parts
    return json.dumps({key: value for key, value in row.items() if value is not None})


def parsed(*lines: str) -> list[Dump]:
    return list(captures.parse("\n".join(lines)))


def test_lines_that_are_right() -> None:
    assert [dump.step for dump in parsed(*LINES)] == [0, 1, 2]
    assert parsed() == []
    writes = [[0, "0102"], [286, "0304"], [1, "ff"]]
    (*told, _) = parsed(line(0, user_writes=writes))[0].events
    assert told == [UserWrite(at, bytes.fromhex(data)) for at, data in writes]  # type: ignore[arg-type]


def test_steps_share_a_page_and_scenarios_do_not() -> None:
    one, two, other = parsed(LINES[0], LINES[1], line(0, scenario="other"))
    assert (one.earlier, two.earlier, other.earlier) == (None, one, None)
    assert [dump.path for dump in (one, two, other)] == [(one,), (one, two), (other,)]
    for change in ({"kernel": "v2"}, {"byte_order": "big"}, {"esr_high_injected": True}):
        assert parsed(LINES[0], line(1, **change))[1].earlier is None
    assert parsed(LINES[0], line(0))[1].earlier is None, "no step forward, no shared page"


BAD: list[Any] = [
    # lines, number of the bad one, words that the message needs
    (["", *LINES], 1, ("JSON",)),
    ([*LINES, "{"], 4, ("JSON",)),
    ([LINES[0], "5"], 2, ()),
    ([LINES[0], "[]"], 2, ()),
    ([LINES[0], line(1, bytes="0")], 2, ("hex",)),
    ([LINES[0], line(1, bytes="0g" * 288)], 2, ("hex",)),
    ([LINES[0], LINES[1], line(2, bytes="00" * 287)], 3, ("287 bytes", "288")),
    ([line(0, bytes="00" * 289)], 1, ("289 bytes", "288")),
    ([line(0, bytes="")], 1, ("0 bytes", "288")),
    ([line(0, bytes=5)], 1, ()),
    ([line(0, kernel="older")], 1, ("older",)),
    ([line(0, step="0")], 1, ()),
    ([line(0, user_writes=[[0, "abc"]])], 1, ("hex",)),
    ([line(0, user_writes=[5])], 1, ()),
    ([line(0, event={"kind": "brk", "esr": "0xg"})], 1, ("0xg",)),
    ([line(0, event={"kind": "mmio_write", "data": "5"})], 1, ("hex",)),
    ([line(0, event=[])], 1, ()),
    ([line(0, event="brk")], 1, ()),
    ([line(0, byte_order="middle")], 1, ("middle", "little", "big")),
    ([line(0, user_writes=[[2351, "0102"]])], 1, ("2 bytes at 2351", "0..2351")),
    ([line(0, user_writes=[[-1, "01"]])], 1, ("-1", "0..2351")),
    *(([line(0, event={"kind": "brk", "esr": text})], 1, ("esr", "hex"))
      for text in ("0x1__0", "+1", "-1", "", "٣")),
    *(([line(0, event={"kind": "brk", "esr": text})], 1, ("esr", "integer"))
      for text in (None, True, 1.5)),
    ([line(0, kernel="v2_entry")], 1, ("v2_entry", "old, widened, v2, merged")),
    ([line(0, step=-1)], 1, ("step", "-0x1")),
    *(([LINES[0], line(1, **{key: None})], 2, (key,)) for key in json.loads(LINES[0])
      if key != "before"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "number", "words"), BAD)
def test_a_bad_line_is_named_by_its_number(
    lines: list[str], number: int, words: tuple[str, ...]
) -> None:
    with pytest.raises(KvmvizError, match=rf"\bline {number}\b") as caught:
        parsed(*lines)
    for word in words:
        assert word in str(caught.value)


MORE_BAD: list[Any] = [
    ([line(0, bytes="00" * 300)], ("300 bytes", "288", "312")),
    ([line(0, linux=6.1)], ("linux", "6.1")),
    ([line(0, returned="0")], ("returned", "'0'")),
    ([line(0, before=["immediate"])], ("before", "immediate_exit")),
    ([line(0, before=[{"kind": "mmio_write"}])], ("mmio_write", "served_read")),
    ([line(0, before=[{"kind": "served_write", "len": 4}])], ("phys_addr",)),
    ([line(0, event={"kind": "served_write"})], ("served_write", "arm_nisv")),
    ([line(0, event={"kind": "system_event", "type": 1})], ("flags",)),
    ([line(0, event={})], ("kind", "legal")),
    ([line(0, event={"esr": "1"})], ("kind", "legal")),
    ([line(0, event={"kind": "timer", "device_irq_level": "1x"})], ("device_irq_level", "hex")),
    ([line(0, event={"kind": "timer", "device_irq_level": "0x9"})], ("device_irq_level", "0x7")),
    *(
        ([line(0, event={"kind": "brk", "esr": "0xf2001234", key: "01"})], (repr(key), "'esr'"))
        for key in ("data", "device_irq_level")
    ),
    ([line(0, event={"kind": "brk", "esr": "0xf2000000", "offset": 1})], ("'offset'", "'esr'")),
    ([line(0, event={"kind": "signal", "len": "\x1b[2J"})], ("'len'", "'kind'")),
    ([line(0, scenario="\x1b[2J")], ("scenario", r"\x1b[2J")),
]


@pytest.mark.parametrize(("lines", "words"), MORE_BAD)
def test_a_bad_line_of_the_newer_kind(lines: list[str], words: tuple[str, ...]) -> None:
    with pytest.raises(KvmvizError, match=r"\bline 1\b") as caught:
        parsed(*lines)
    assert [word for word in words if word not in str(caught.value)] == []


def test_hostile_lines_are_refused_in_one_short_line() -> None:
    for text in ("[" * 100_000, "1" * 5000, '{"kernel": ' * 5000, line(0, bytes="zz" * 100_000),
                 line(0, event={"kind": "x" * 100_000}), line(0, step=True)):  # fmt: skip
        with pytest.raises(KvmvizError, match="line 1") as caught:
            parsed(text)
        assert len(str(caught.value)) < 300
        assert "\n" not in str(caught.value)


# --- the newer dumps, and one's own ----------------------------------------------------------

MORE = DATA.with_name("kvm_run_more.jsonl")


def test_what_more_there_is() -> None:
    rows = [json.loads(text) for text in MORE.read_text("ascii").splitlines()]
    assert len(captures.more()) == len(rows)
    assert Counter((row["linux"], row["kernel"], row["byte_order"]) for row in rows) == {
        **{("6.1.192", kernel, order): 31 for kernel in KERNELS for order in ABI_OF},
        **{("6.12.117", "merged", order): 81 for order in ABI_OF},
    }
    for dump, row in zip(captures.more(), rows, strict=True):
        assert (dump.linux, dump.returned) == (row["linux"], row["returned"])
        assert dump.data.hex() == row["bytes"]


def test_no_byte_of_those_differs_either() -> None:
    for overlay in captures.replay(captures.more()):
        assert overlay.differing == (), overlay
    for dump in captures.more():
        assert dump.play().history[-1].returned == dump.returned
        if dump.exit.member:
            assert dump.overlay().differing == (), dump.title


def test_a_newer_kernel_left_what_the_older_one_left() -> None:
    newer = [dump for dump in captures.more() if dump.linux == "6.12.117"]
    for dump in newer:
        key = (dump.kernel.name, dump.byte_order, dump.scenario, dump.step, dump.synthetic)
        older = captures.find(*key)
        assert older.linux == "6.1.192"
        assert (older.data, older.returned or 0) == (dump.data, dump.returned)
        assert dump.title == older.title.replace("merged kernel", "merged kernel 6.12.117")


def test_every_dump_of_a_page_tells_the_levels_that_its_own_return_found() -> None:
    text = next(one for one in MORE.read_text("ascii").splitlines() if '"timer"' in one)
    rows = [json.loads(text) for _ in range(3)]
    for step, row in enumerate(rows):
        row["step"] = step
    untold = parsed(re.sub(r',"device_irq_level":"\w+"', "", text))[0]
    assert (untold.irq_level, untold.play().history[-1].state(304)) == (None, "untouched")
    rows[1]["event"]["device_irq_level"] = "0x4"
    rows[2]["event"] = {"kind": "signal"}
    dumps = parsed(*map(json.dumps, rows))
    for at, dump in enumerate(dumps):
        levels = [step.page.data[304] for step in dump.play().history if step.is_run]
        assert levels == [1, 4, 4][: at + 1]
        assert captures.replay(dumps)[at].predicted.data[304] == levels[-1]
    assert repr(dumps[1]).splitlines()[1] == "  timer: signal pending, device_irq_level 0x4"


HOLES = [
    # scenario, step, bytes 36..39 of an old kernel after its debug exit, little and big
    ("vgic_write_then_brk", 0, "00000000", "08000000"),
    ("vgic_read_then_brk", 0, "00000000", "08000008"),
    ("highvgic_write_then_brk", 0, "12000000", "08000000"),
    ("ioeventfd_then_brk", 0, "00000000", "0a000000"),
    ("shutdown_then_brk", 1, "01000000", "00000001"),
    ("suspend_then_brk", 1, "00000000", "00000000"),
    ("nisv_load_then_brk", 1, "00000000", "00000005"),
    ("nisv_store_then_brk", 1, "00000000", "00000045"),
    ("signal", 2, "aaaaaaaa", "aaaaaaaa"),
]


@pytest.mark.parametrize(("scenario", "step", "little", "big"), HOLES)
def test_what_lies_in_the_hole(scenario: str, step: int, little: str, big: str) -> None:
    for order, data in (("little", little), ("big", big)):
        assert captures.find("old", order, scenario, step).data[36:40].hex() == data
        assert captures.find("merged", order, scenario, step).data[36:40].hex() == "00000000"


def own(kernel: str, order: str) -> str:
    """Lines as the program prints them: they do not say which kernel of the table it was."""
    found = []
    for file in (DATA, MORE):
        for text in file.read_text("ascii").splitlines():
            row = json.loads(text)
            mine = (row["kernel"], row["byte_order"], row.get("linux", "6.1.192"))
            if mine == (kernel, order, "6.1.192") and not row["esr_high_injected"]:
                del row["kernel"], row["esr_high_injected"]
                found.append(json.dumps(row))
    return "\n".join(found)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("order", ABI_OF)
def test_ones_own_kernel_is_found_in_the_table(kernel: str, order: str) -> None:
    text = own(kernel, order)
    matches = captures.match(text)
    counts = {name: sum(len(row.differing) for row in matches[name]) for name in KERNELS}
    assert [name for name, count in counts.items() if count == 0] == [kernel]
    told = repr(matches).splitlines()
    assert told[0] == f"Linux 6.1.192, {order}-endian: {len(text.splitlines())} dumps"
    assert told[-1] == f"{kernel}: 0 bytes differ"
    for name, row in zip(KERNELS, told[2:], strict=False):
        assert row.split()[:2] == [name, str(counts[name])]


def test_a_kernel_of_no_table() -> None:
    row = json.loads(own("old", "big").splitlines()[0]) | {"bytes": "ff" * 288}
    matches = captures.match(json.dumps(row))
    assert repr(matches).endswith("\nnone of these kernels")
    assert "0..287" in repr(matches)


@pytest.mark.parametrize("text", ["", "5", "{}", None])
def test_what_is_no_dump_matches_nothing(text: Any) -> None:
    with pytest.raises(KvmvizError, match="dump"):
        captures.match(text)


def test_the_evidence_counts_every_dump_and_byte() -> None:
    """22 debug exits of 16 bytes and 28 MMIO exits of 24 for each kernel and byte order."""
    shown = Evidence(tuple(dump.overlay() for dump in captures.load()))
    lines = squeezed(shown)
    assert lines[0] == "400 real dumps, 8192 bytes compared: 0 differ"
    assert lines[2:10] == [
        f"{kernel} kernel, {order}-endian 22 28 1024 0 25"
        for kernel in KERNELS
        for order in ("little", "big")
    ]
    assert lines[10].startswith("In the runs of 200 a debugger")


def test_evidence_names_the_newer_kernel() -> None:
    rows = captures.replay(captures.more())
    made_up = sum(row.dump.synthetic for row in rows)
    said = repr(Evidence(rows))
    assert "merged kernel 6.12.117, big-endian" in said
    assert f"In the runs of {made_up} a debugger" in said


def test_an_exit_without_a_struct_has_no_overlay() -> None:
    dump = next(dump for dump in captures.more() if not dump.exit.member)
    with pytest.raises(KvmvizError, match="fills in no struct"):
        dump.overlay()
