"""The explorer, driven from code and through its controls; no browser is needed."""

import re
from typing import Any

import pytest

from kvmviz import ABIS, Explorer, KvmvizError
from kvmviz.abi import siblings
from kvmviz.kvm.program import VMMS
from tests.panels import error, part, plain, twin


@pytest.fixture
def explorer() -> Explorer:
    return Explorer()


def control(explorer: Explorer, name: str) -> Any:
    return explorer.controls[name]


def test_the_default_tells_the_story(explorer: Explorer) -> None:
    assert explorer.byte_order == "big"
    assert explorer.layout == "widened"
    assert "✗ reads 0x00000000" in twin(explorer)
    assert "re-inject it into the guest" in repr(explorer)


def test_setting_from_code_moves_the_controls_and_the_view(explorer: Explorer) -> None:
    explorer.byte_order = "little"
    assert control(explorer, "byte_order").value == "little"
    assert control(explorer, "abi").value == "aarch64"
    assert "✓ reads 0xd2000062" in twin(explorer)


CLICKS: list[tuple[str, object, str]] = [
    ("byte_order", "little", "✓ reads 0xd2000062"),
    ("layout", "old", "✓ reads 0xd2000062"),
    ("layout", "merged", "✓ reads 0xd2000062"),
    ("abi", "s390x", "✗ reads 0x00000000"),
    ("abi", "x86_64", "✓ reads 0xd2000062"),
    ("reader", "u64 hsr", "✓ reads 0x00000000d2000062"),
    ("reader", "hsr_high, flag ignored", "✗ reads 0xd200006200000000"),
    ("width hsr", 32, "✓ reads 0xd2000062"),
    ("width hsr", 16, "✗ reads 0x0062aaaa"),
    ("width hsr", 8, "✗ reads 0x62aaaaaa"),
    ("width far", 32, "✗ reads 0x00000000"),
    ("esr", "0x00a5c3e1f2001234", "✗ reads 0x00a5c3e1"),
    ("esr", "f2001234", "not written (far, left as it was)"),
    ("far", "0x1122334455667788", "11 22 33 44 55 66 77 88"),
]


@pytest.mark.parametrize(("name", "value", "shown"), CLICKS)
def test_turning_a_control(explorer: Explorer, name: str, value: object, shown: str) -> None:
    control(explorer, name).value = value
    assert shown in twin(explorer)
    assert shown in repr(explorer)
    assert error(explorer) == ""


def test_fill_shows_where_nobody_wrote(explorer: Explorer) -> None:
    explorer.layout = "old"
    control(explorer, "fill").value = "5c"
    assert "5c 5c 5c 5c" in repr(explorer)
    assert explorer.fill == 0x5C


def test_widths_of_hsr_high_move_far(explorer: Explorer) -> None:
    explorer.layout = "merged"
    explorer.widths = {"hsr_high": 64}
    assert explorer.widths == {"hsr": 32, "hsr_high": 64, "far": 64}
    assert explorer.reading.verdict.fields == {"hsr": "intact", "far": "foreign"}
    explorer.layout = "widened"  # another layout starts with its own widths
    assert explorer.widths == {"hsr": 64, "far": 64}
    assert control(explorer, "width hsr_high").disabled


BAD: list[tuple[str, object, str]] = [
    ("byte_order", "middle", "byte order of aarch64_be 'middle'; legal are 'little', 'big'"),
    ("abi", "vax", "unknown ABI 'vax'; legal are aarch64"),
    ("layout", "narrow", "unknown layout 'narrow'; legal are 'old', 'widened', 'merged'"),
    ("reader", "emacs", "legal are u32 hsr, u64 hsr"),
    ("widths", {"hsr": 12}, "legal are 8, 16, 32, 64 bits"),
    ("widths", {"hsr_high": 32}, "has no member 'hsr_high'"),
    ("esr", "0xZZ", "not a hexadecimal number; legal are 0 .. 0xffffffffffffffff"),
    ("esr", 1 << 64, "does not fit 64 bits"),
    ("far", -1, "does not fit 64 bits"),
    ("far", "", "not a hexadecimal number"),
    ("fill", "100", "0x100 does not fit 8 bits; legal are 0 .. 0xff"),
    ("fill", None, "is not an integer"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_bad_values_change_nothing(
    explorer: Explorer, name: str, value: object, message: str
) -> None:
    before, shown = repr(explorer), part(explorer, "view").value
    with pytest.raises(KvmvizError, match=re.escape(message)):
        setattr(explorer, name, value)
    assert (repr(explorer), part(explorer, "view").value) == (before, shown)


@pytest.mark.parametrize(
    ("name", "typed", "message"),
    [
        ("esr", "hello", "not a hexadecimal number"),
        ("far", "0x1_0000_0000_0000_0000", "does not fit 64 bits"),
        ("fill", "<b>", "'<b>' is not a hexadecimal number"),
    ],
)
def test_bad_entries_are_told_and_stay_to_be_mended(
    explorer: Explorer, name: str, typed: str, message: str
) -> None:
    entry, before = control(explorer, name), repr(explorer)
    held = entry.value
    entry.value = typed
    assert message in error(explorer)
    assert "<b>" not in part(explorer, "error").value.removeprefix("<b role='alert'>")
    assert entry.value == typed
    assert repr(explorer) == before
    control(explorer, "byte_order").value = "little"
    assert (error(explorer), entry.value) == ("", held)


@pytest.mark.parametrize("abi", ABIS)
def test_byte_order_stays_in_the_family(explorer: Explorer, abi: str) -> None:
    explorer.abi = abi
    orders = siblings(abi)
    assert explorer.byte_order == ABIS[abi].byte_order
    for order in ("little", "big"):
        if order in orders:
            explorer.byte_order = order
            assert explorer.abi == orders[order].name
        else:
            with pytest.raises(KvmvizError, match=f"byte order of {explorer.abi} "):
                explorer.byte_order = order


def test_what_lies_under_more_stays_as_it_was_left(explorer: Explorer) -> None:
    more, inside = control(explorer, "more"), control(explorer, "esr")
    folded = next(b for b in explorer.box.children if any(inside in row.children for row in
                  getattr(b, "children", ()) if hasattr(row, "children")))  # fmt: skip
    assert folded.layout.display == "none"
    more.value = True
    for _ in range(2):
        assert folded.layout.display is None
        explorer.reset()
    more.value = False
    assert folded.layout.display == "none"


def test_reset_goes_back_to_the_start() -> None:
    explorer = Explorer(layout="merged", byte_order="little", esr=0xF2001234, fill="00")
    start = repr(explorer)
    for name in VMMS:
        explorer.reader = name
    explorer.abi = "m68k"
    explorer.widths = {"far": 16}
    explorer.reset()
    assert repr(explorer) == start
    assert control(explorer, "esr").value == "0x00000000f2001234"


def test_an_entry_that_is_taken_is_written_out(explorer: Explorer) -> None:
    for typed in ("f2001234", "0xf200_1234", " F2001234 "):
        control(explorer, "esr").value = typed
        assert control(explorer, "esr").value == "0x00000000f2001234"


def test_the_verdict_is_spoken_when_it_changes(explorer: Explorer) -> None:
    for explorer.byte_order in ("little", "big"):
        headline = explorer.reading.headline.replace("✗", "wrong:").replace("✓", "right:")
        told = f"{headline}. {explorer.reading.effect}"
        assert plain(part(explorer, "spoken").value) == told
        assert told.startswith("right: " if explorer.byte_order == "little" else "wrong: ")
