"""Traces: counted in bulk as a plain loop counts them; odd files are refused."""

from __future__ import annotations

import mmap
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import DebugExit, KvmvizError, MmioExit, Unhandled, captures
from kvmviz.kvm import trace
from kvmviz.kvm.kernel import KERNELS, POLICIES
from kvmviz.kvm.page import play
from kvmviz.kvm.trace import ANOMALIES, CHUNK, Trace, scan
from tests.strategies import steady
from tests.test_captures import RAW
from tests.test_vcpu import BE, BRK, LE, WATCH, events

ORDER: dict[str, Any] = {LE: "little", BE: "big"}


def plainly(pages: list[bytes], order: Any) -> dict[str, Counter[int | None]]:
    """Pages and anomalies by exit reason, counted one page at a time."""
    found: dict[str, Counter[int | None]] = {name: Counter() for name in ("pages", *ANOMALIES)}
    for page in pages:
        reason, flags, hsr, high, far = (
            int.from_bytes(page[at : at + size], order)
            for at, size in ((8, 4), (14, 2), (32, 4), (36, 4), (40, 8))
        )
        key = reason if reason < 64 else None
        found["pages"][key] += 1
        found["flag"][key] += flags & 1 and reason != 4
        found["hole"][key] += reason == 4 and high != 0 and not flags & 1
        found["far"][key] += reason == 4 and hsr >> 26 != 0x34 and far != 0
    return found


def same(shown: Trace, expected: dict[str, Counter[int | None]]) -> bool:
    pages = {row.reason: row.pages for row in shown.rows}
    odd = {
        name: {row.reason: row.odd[name] for row in shown.rows if row.odd[name]}
        for name in ANOMALIES
    }
    want = {name: {k: v for k, v in expected[name].items() if v} for name in ANOMALIES}
    return pages == dict(expected["pages"]) and odd == want


# --- against a plain loop --------------------------------------------------------------------


@pytest.mark.parametrize("abi", [LE, BE])
@pytest.mark.parametrize("kernel", list(KERNELS))
def test_real_dumps_as_a_trace(kernel: str, abi: str, tmp_path: Path) -> None:
    pages = [raw.page for raw in RAW if (raw.kernel, raw.order) == (kernel, ORDER[abi])]
    file = tmp_path / "trace"
    file.write_bytes(b"".join(pages))
    shown = scan(file, abi, 288)
    assert shown.pages == len(pages) == 50
    assert same(shown, plainly(pages, ORDER[abi]))
    assert shown == scan(b"".join(pages), abi, 288) == scan(str(file), abi, 288, progress=False)
    assert bool(shown.odd["flag"]) is (kernel == "v2")
    assert bool(shown.odd["hole"]) is (kernel in ("old", "widened"))


@steady
@given(
    st.sampled_from([*KERNELS, *POLICIES]),
    st.sampled_from([LE, BE]),
    st.lists(events, min_size=1, max_size=10),
    st.sampled_from([48, 64, 288, 2352, 4096]),
)
def test_any_history_as_a_trace(kernel: str, abi: str, sequence: Any, stride: int) -> None:
    pages = [bytes(step.page)[:stride] for step in play(kernel, abi, sequence).history]
    data = b"".join(page.ljust(stride, b"\xee") for page in pages)
    shown = scan(data, abi, stride)
    expected = plainly(pages, ORDER[abi])
    assert same(shown, expected)
    assert shown.odd == {name: sum(expected[name].values()) for name in ANOMALIES}


@pytest.mark.parametrize("abi", [LE, BE])
def test_far_more_pages_than_one_chunk(abi: str, tmp_path: Path) -> None:
    events = [MmioExit(0, 1), BRK, MmioExit(0, 1), WATCH, BRK, Unhandled()]
    pages = [bytes(step.page)[:64] for step in play("v2", abi, events).history]
    times = 3 * CHUNK // (64 * len(pages))
    file = tmp_path / "trace"
    file.write_bytes(b"".join(pages) * times)
    shown = scan(file, abi, 64)
    expected = plainly(pages, ORDER[abi])
    for counter in expected.values():
        for key in counter:
            counter[key] *= times
    assert same(shown, expected)
    assert shown.first["flag"] == (2, 5, 8)
    assert shown.first["far"] == (4, 10, 16)
    assert shown.first["hole"] == ()


def test_the_first_odd_pages_are_found_behind_the_first_chunk() -> None:
    quiet, odd = (bytes(play("v2", LE, e).page)[:64] for e in ([], [BRK, MmioExit(0, 1)]))
    count = CHUNK // 64 + 7
    assert scan(quiet * count + odd, LE, 64).first["flag"] == (count,)


@pytest.mark.parametrize("abi", [LE, BE])
def test_reasons_that_are_none_are_counted_together(abi: str) -> None:
    """Also where the byte of least significance looks like one."""
    reasons = (4, 63, 64, 65, 127, 128, 255, 256 + 4, 4 << 24, 2**32 - 1)
    heads = (bytes(8) + reason.to_bytes(4, ORDER[abi]) + bytes(52) for reason in reasons)
    shown = scan(b"".join(heads), abi, 64)
    assert [(row.reason, row.pages) for row in shown.rows] == [(4, 1), (63, 1), (None, 8)]
    assert "no exit reason" in repr(shown)


def test_arrays_of_pages(tmp_path: Path) -> None:
    page = bytes(play("old", BE, [MmioExit(0x8000001000, 4), BRK]).page)
    array = np.frombuffer(page * 5, np.uint8).reshape(5, 2352)
    assert scan(array, BE).odd == {"flag": 0, "hole": 5, "far": 0}
    file = tmp_path / "trace"
    file.write_bytes(page * 5)
    assert scan(np.memmap(file, mode="r"), BE) == scan(array, BE) == scan(bytearray(page * 5), BE)
    layout = KERNELS["merged"].page(BE)  # its members overlap: memoryview knows no such array
    stride = cast(int, np.int16(2352))
    assert scan(np.memmap(file, layout.dtype, "r"), BE) == scan(array, BE, stride)


# --- memory, progress, words -----------------------------------------------------------------


def test_memory_does_not_grow_with_the_trace(tmp_path: Path) -> None:
    peaks = []
    for count in (1 << 14, 1 << 17):
        file = tmp_path / str(count)
        file.write_bytes(bytes(64 * count))
        scan(file, LE, 64)
        tracemalloc.start()
        assert scan(file, LE, 64).pages == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 4 * CHUNK


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is resident")
def test_a_mapped_file_does_not_stay_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_bytes(bytes(1 << 26))
    mapped = np.memmap(file, mode="r")
    before = resident()
    assert scan(mapped, LE, 64).pages == 1 << 20
    assert resident() - before < 1 << 24
    writable = np.memmap(file, mode="c")
    writable[40] = 1
    assert scan(writable, LE, 64) == scan(bytearray(writable), LE, 64)  # nothing is dropped


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_a_quick_scan_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    scan(bytes(64 * 1000), LE, 64)
    assert capfd.readouterr() == ("", "")


def test_a_slow_scan_shows_a_bar_on_stderr_alone() -> None:
    """The clock is tqdm's; it is wound on, so that nobody has to wait."""
    code = """
import itertools, time
ticks = itertools.count(step=2)
time.time = lambda: next(ticks)
from kvmviz.kvm.trace import scan
print(scan(bytes(64 * 40000), "aarch64", 64, progress={}).pages)
"""
    for shown in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", code.format(shown)], capture_output=True, text=True, check=True
        )
        assert done.stdout == "40000\n"
        assert ("2.56M" in done.stderr) is shown


def test_text_of_a_trace() -> None:
    history = play("v2", BE, [BRK, MmioExit(0, 1), WATCH, BRK]).history
    shown = repr(scan(b"".join(bytes(step.page) for step in history), BE))
    squeezed = " ".join(shown.split())
    assert "4 kvm_run pages on aarch64_be (big-endian), 2352 bytes apart" in squeezed
    assert "KVM_EXIT_DEBUG 3 0 0 1" in squeezed
    assert "KVM_EXIT_MMIO 1 1 0 0" in squeezed
    assert "all 4 1 0 1" in squeezed
    assert "flag: flag set on what is no debug exit pages 1" in squeezed
    assert "far: debug exit, no watchpoint, far not zero pages 3" in squeezed
    assert "flag not set none" in squeezed


def test_all_dumps_of_one_byte_order_in_one_trace() -> None:
    some = [dump for dump in captures.load() if dump.byte_order == "big"]
    shown = scan(b"".join(dump.data for dump in some), BE, 288)
    assert sum(row.pages for row in shown.rows) == 200
    assert {row.reason for row in shown.rows} == {4, 6}


# --- bad input -------------------------------------------------------------------------------

BAD: list[Any] = [
    (bytes(287), 288, ("287 bytes", "288", "the last 287 are no whole page")),
    (bytes(1000), 288, ("1000 bytes", "288", "the last 136")),
    (bytes(2353), 2352, ("2353", "2352", "the last 1 are no")),
    (b"", 2352, ("0 bytes", "no page")),
    (bytes(96), 47, ("stride 47", "48")),
    (bytes(96), 0, ("stride 0", "48")),
    (bytes(96), -48, ("stride -48", "48")),
    (bytes(96), 48.0, ("48.0", "stride")),
    (bytes(96), 1 << 31, ("stride", "1048576")),
    (np.array([object()] * 294), 2352, ("ndarray", "objects")),
    ("a\0b", 2352, ("null",)),
    ("\ud800", 2352, ("trace",)),
    (5, 2352, ("int", "bytes")),
    (np.zeros((4, 96), np.uint8)[:, :48], 48, ("contiguous",)),
]


@pytest.mark.parametrize(("source", "stride", "words"), BAD)
def test_bad_traces_are_refused(source: Any, stride: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(KvmvizError) as caught:
        scan(source, LE, stride)
    for word in words:
        assert word in str(caught.value)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "short"
    file.write_bytes(bytes(2400))
    for source, words in (
        (file, ("short", "2400", "the last 48 are no")),
        (tmp_path / "none", ("none", "No such file")),
        (tmp_path, (str(tmp_path), "no regular file")),
        (str(tmp_path / "none"), ("none", "No such file")),
    ):
        with pytest.raises(KvmvizError) as caught:
            scan(source, LE)
        for word in words:
            assert word in str(caught.value)
    with pytest.raises(KvmvizError, match="vax"):
        scan(file, "vax")


def test_a_file_that_shrinks_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trace"
    file.write_bytes(bytes(64 * 8))
    parts = trace._opened(file, 64)[2]
    monkeypatch.setattr(trace, "_opened", lambda *_: ("trace", 64 * 9, parts))
    with pytest.raises(KvmvizError, match="ended after 512 of 576 bytes"):
        scan(file, LE, 64)


def test_a_debug_exit_of_another_class_with_far_is_no_anomaly_without_far() -> None:
    assert scan(bytes(play("merged", LE, [DebugExit(0xC2000022)]).page), LE).odd["far"] == 0
