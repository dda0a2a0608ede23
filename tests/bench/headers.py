"""Parse and layout: Linux's headers beside a compiler doing the same work, and large structs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from kvmviz import KvmvizError, Struct, parse
from tests import compilers, uapi
from tests.bench.report import show

ABI = "x86_64"
COUNTS = (100, 1_000, 10_000, 60_000)


def linux() -> None:
    """Every struct of Linux's headers, laid out for one ABI: kvmviz beside clang, and pahole."""
    if ABI not in compilers.targets():
        print("\nLinux's headers: skipped, no compiler; needs ziglang")
        return
    root = uapi.bundle()
    assert root is not None
    # No C library and no asm/: what kvmviz knows of them is enough for most headers.
    given = uapi.texts(root / "any-linux-any")
    rows: dict[str, list[str]] = {}
    begin = time.perf_counter()
    for name in sorted(name for name in given if name.startswith("linux/")):
        try:
            found = parse(given[name], given)
            rows[name] = [tag for tag, row in found.items() if row.layout(ABI).size >= 0]
        except KvmvizError:
            continue
    seconds = {"kvmviz: parse and layout, all ABIs": time.perf_counter() - begin}
    # The headers that were read, each in a file that asks for nothing but its types.
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        for number, name in enumerate(rows):
            path = Path(folder, f"{number}.c")
            path.write_text(f"#include <{name}>\n", encoding="utf-8")
            sources.append(str(path))
        cache = {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}
        command = [*compilers.targets()[ABI], *uapi.FLAGS, "-fsyntax-only"]
        begin = time.perf_counter()
        for source in sources:
            subprocess.run(
                [*command, source],
                env={**os.environ, **cache},
                cwd=folder,
                capture_output=True,
                check=False,
            )
        seconds["clang, one process a header, one ABI"] = time.perf_counter() - begin
        begin = time.perf_counter()
        for _ in sources:
            subprocess.run([sys.executable, "-c", ""], cwd=folder, check=True)
        seconds["as many processes that do nothing"] = time.perf_counter() - begin
    structs = sum(map(len, rows.values()))
    title = f"{structs} structs of {len(rows)} headers of Linux, once"
    pahole = "pahole is there" if shutil.which("pahole") else "no pahole here to compare with"
    show(title, seconds, "clang, one process a header, one ABI", notes=[pahole])


def members() -> None:
    """What a member costs in structs of 100 to 60,000: the same, if cost is linear."""
    print("\nMicroseconds a member, by number of members")
    print(f"  {'members':>8} {'layout':>8} {'offsets':>8} {'slots':>8} {'holders':>8} {'again':>8}")
    for count in COUNTS:
        names = (f"m{n}" for n in range(count))
        kinds = ("__u8", "__u32", "__u64")
        struct = Struct("s", [(name, kinds[n % 3]) for n, name in enumerate(names)])
        marks = [time.perf_counter()]
        layout = struct.layout(ABI)
        marks.append(time.perf_counter())
        _ = layout.offsets
        marks.append(time.perf_counter())
        _ = layout.slots
        marks.append(time.perf_counter())
        _ = layout.holders
        marks.append(time.perf_counter())
        struct.layout(ABI)
        marks.append(time.perf_counter())
        costs = [1e6 * (end - start) / count for start, end in pairwise(marks)]
        print(f"  {count:8}" + "".join(f" {cost:8.2f}" for cost in costs))


def text() -> None:
    """The same for a text: what a member costs to parse."""
    print("\nMicroseconds a member to parse, by number of members")
    for count in (100, 1_000, 10_000, 40_000):
        source = "struct s {\n" + "".join(f"\t__u32 m{n};\n" for n in range(count)) + "};\n"
        begin = time.perf_counter()
        parse(source)
        print(f"  {count:8} {1e6 * (time.perf_counter() - begin) / count:8.2f}")


def run() -> None:
    """All of it."""
    linux()
    members()
    text()
