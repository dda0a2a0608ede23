"""The rows: as the data files have them, and compared with those."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from tests.evidence.kernels import Kernel

Row = dict[str, Any]
DATA = Path(str(resources.files("kvmviz").joinpath("data")))
FIRST, MORE = DATA / "kvm_run.jsonl", DATA / "kvm_run_more.jsonl"
"""The stored dumps: debug and MMIO exits in 6.1, and all others."""
HIGH, GCS = 0x00A5C3E1, 0x100
"""What is put into ESR bits 63:32: any bits; and ISS2.GCS, the one defined for a watchpoint."""
RUNS = (("debug", None), ("debug", HIGH), ("exits", None), ("gcs", GCS))
"""What is run on each kernel: sets of scenarios, and what is put into the upper half of ESR."""
KEYS = (
    "linux", "kernel", "byte_order", "scenario", "step", "esr_high_injected", "before",
    "user_writes", "event", "returned", "bytes",
)  # fmt: skip
IN_FIRST = [key for key in KEYS if key not in ("linux", "returned")]
"""The keys of the first data file: all its dumps are of one source."""


def row(kernel: Kernel, printed: Row, high: int | None) -> Row:
    """What the program printed, with what it cannot know, its keys in order."""
    event = dict(printed["event"])
    if high is not None and "esr" in event:
        event["esr"] = f"0x{high << 32 | int(event['esr'], 16):016x}"
    known = printed | {
        "linux": printed["linux"].split("-")[0],
        "kernel": kernel.variant,
        "esr_high_injected": high is not None,
        "event": event,
    }
    return {key: known[key] for key in KEYS}


def lines(rows: Iterable[Row], keys: Iterable[str] = KEYS) -> list[str]:
    """The rows as a data file has them."""
    return [json.dumps({key: row[key] for key in keys}, separators=(",", ":")) for row in rows]


def in_first(row: Row) -> bool:
    """It is one of the first data file's scenarios, in its kernels."""
    return row["linux"].startswith("6.1.") and row["scenario"] in _first_scenarios()


def _first_scenarios() -> set[str]:
    return {json.loads(line)["scenario"] for line in read(FIRST)}


def read(file: Path) -> list[str]:
    """The lines of a data file; none if it is not there yet."""
    return file.read_text("ascii").splitlines() if file.exists() else []


def write(file: Path, rows: Iterable[Row]) -> None:
    """The rows as JSON lines, all or nothing."""
    part = file.with_name(file.name + ".part")
    part.write_text("".join(f"{line}\n" for line in lines(rows)), "ascii")
    part.rename(file)


def compared(rows: Iterable[Row]) -> tuple[int, int, int]:
    """How many rows the first data file has too, how many the other has, how many neither."""
    first, more = set(read(FIRST)), set(read(MORE))
    found = Counter(
        0 if lines([row], IN_FIRST)[0] in first and in_first(row) else
        1 if lines([row])[0] in more else 2
        for row in rows
    )  # fmt: skip
    return found[0], found[1], found[2]
