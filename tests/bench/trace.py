"""Ten million heads of kvm_run pages, scanned for anomalies, against a plain sum of their bytes."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np

from kvmviz import DebugExit, MmioExit, SystemEvent
from kvmviz.kvm.exits import Exit
from kvmviz.kvm.page import play
from kvmviz.kvm.trace import CHUNK, scan
from tests.bench.report import interleaved, show

HEAD = 64
COUNTS = (100_000, 1_000_000, 10_000_000)


def heads(count: int) -> bytes:
    """So many heads: a few thousand of one vCPU's history, again and again."""
    pick = random.Random(1)
    exits: list[Exit] = [
        DebugExit(0xF2001234), DebugExit(0xD2000062, 0x40000800), SystemEvent(1),
        *(MmioExit(0x09000000 + 8 * n, 4) for n in range(5)),
    ]  # fmt: skip
    history = play("v2", "aarch64_be", pick.choices(exits, k=2048)).history
    block = b"".join(bytes(step.page)[:HEAD] for step in history)
    return (block * (count // len(history) + 1))[: count * HEAD]


def total(path: Path) -> int:
    """A sum over all bytes of a file, eight at a time, by chunks: what no reader can do without."""
    buffer, result = np.empty(CHUNK, np.uint8), 0
    with path.open("rb") as file:
        while count := file.readinto(buffer.data):
            result += int(buffer[:count].view(np.uint64).sum())
    return result


def run() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            data = heads(count)
            path = Path(folder, "trace")
            path.write_bytes(data)
            words = np.frombuffer(data, np.uint64)
            small = 1 if count == COUNTS[-1] else 5
            tasks = {
                "numpy sum of the file's bytes": lambda path=path: total(path),
                "kvmviz scan of the file": lambda path=path: scan(path, "aarch64_be", HEAD),
            }
            title = f"{count:,} heads of {HEAD} bytes, big-endian, read from a file"
            show(title, interleaved(tasks, 3 * small), next(iter(tasks)))
            tasks = {
                "numpy sum of the same bytes": lambda words=words: words.sum(),
                "kvmviz scan of the bytes": lambda data=data: scan(data, "aarch64_be", HEAD),
            }
            title = f"{count:,} heads of {HEAD} bytes, big-endian, in memory"
            show(title, interleaved(tasks, 3 * small), next(iter(tasks)))
