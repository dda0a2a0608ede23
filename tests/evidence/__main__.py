"""``make evidence``: take the dumps again, from the kernels' sources on. README.md says how."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from tests.evidence import dumps, kernels, machine
from tests.evidence.kernels import KERNELS, EvidenceError, Kernel

PACKAGES = {
    machine.QEMU: "qemu-system-arm",
    f"{kernels.CROSS}gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "gcc": "gcc", "make": "make", "flex": "flex", "bison": "bison", "bc": "bc", "xz": "xz-utils",
}  # fmt: skip
"""The programs that are run, and the Debian packages that they are in."""


def main(arguments: list[str] | None = None) -> int:
    """Build, run and compare; 0 if all dumps are the stored ones."""
    names = [kernel.name for kernel in KERNELS]
    parser = argparse.ArgumentParser("python -m tests.evidence", description=__doc__)
    parser.add_argument("kernel", nargs="*", help=f"one of {', '.join(names)}; all by default")
    parser.add_argument("--base", type=Path, default=Path("build/evidence"), help="working folder")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="for make")
    parser.add_argument("--store", action="store_true", help="write kvmviz/data's newer dumps anew")
    given = parser.parse_args(arguments)
    try:
        return work(chosen(given.kernel), given.base.resolve(), given.jobs, given.store)
    except EvidenceError as error:
        print(f"evidence: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nevidence: stopped; the next call goes on from here", file=sys.stderr)
        return 130


def chosen(names: list[str]) -> list[Kernel]:
    """The kernels of those names; all without a name. Raises :class:`EvidenceError`."""
    known = {kernel.name: kernel for kernel in KERNELS}
    for name in names:
        if name not in known:
            raise EvidenceError(f"no kernel {name!r}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(KERNELS)


def missing(some: list[Kernel]) -> list[str]:
    """The Debian packages of what those kernels need and is not there."""
    packages = [package for tool, package in PACKAGES.items() if not shutil.which(tool)]
    archives = {kernel.archive.name.removesuffix(".tar.xz"): kernel.archive for kernel in some}
    return packages + [name for name, archive in archives.items() if not archive.exists()]


def work(some: list[Kernel], base: Path, jobs: int, store: bool) -> int:
    """Kernel after kernel; what an earlier call has done is not done again."""
    if packages := missing(some):
        raise EvidenceError(f"not installed: apt install {' '.join(packages)}")
    rows = []
    for number, kernel in enumerate(some, 1):
        start = time.monotonic()
        print(f"[{number}/{len(some)}] {kernel.name} ", end="", flush=True)
        new = take(kernel, base, jobs)
        rows += new
        print(f"{told(new, [kernel])} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"all: {told(rows, some)}")
    if store:
        kept = [
            row for row in map(json.loads, dumps.read(dumps.MORE)) if kernel_of(row) not in some
        ]
        new = [row for row in rows if not dumps.in_first(row)]
        # Sorting is stable: within a kernel they stay in the order in which they were taken.
        dumps.write(dumps.MORE, sorted(kept + new, key=lambda row: KERNELS.index(kernel_of(row))))
        print(f"written: {dumps.MORE.name}")
    return 1 if dumps.compared(rows)[2] and not store else 0


def kernel_of(row: dumps.Row) -> Kernel:
    """The kernel that a row is of; rows of the first data file do not name its version."""
    version = ".".join(row.get("linux", "6.1").split(".")[:2])
    return Kernel(version, row["kernel"], "be" if row["byte_order"] == "big" else "le")


def told(rows: list[dumps.Row], some: list[Kernel]) -> str:
    """How many of the dumps that are stored of those kernels came out the same."""
    *same, other = dumps.compared(rows)
    words = []
    for file, count in zip((dumps.FIRST, dumps.MORE), same, strict=True):
        there = sum(kernel_of(json.loads(line)) in some for line in dumps.read(file))
        words.append(f"{count} of {there} as in {file.name}")
    return f"{len(rows)} dumps, {', '.join(words)}" + f", {other} others" * bool(other)


def take(kernel: Kernel, base: Path, jobs: int) -> list[dumps.Row]:
    """One kernel's dumps."""
    file = base / "dumps" / f"{kernel.name}.jsonl"
    print("builds, " if not kernels.is_built(kernel, base) else "", end="", flush=True)
    program = kernels.build_dump(base, kernel.order)
    built = kernels.build(kernel, base, jobs)
    if not kernels.is_newer(file, [program, built / "System.map"]):
        rows = []
        for sets, high in dumps.RUNS:
            print(f"{sets}{'' if high is None else f' {high:#x}'}, ", end="", flush=True)
            printed = machine.boot(built, kernel.order, program, sets, high)
            rows += [dumps.row(kernel, one, high) for one in printed]
        file.parent.mkdir(exist_ok=True)
        dumps.write(file, rows)
    return [json.loads(line) for line in dumps.read(file)]


if __name__ == "__main__":
    sys.exit(main())
