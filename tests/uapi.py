"""Linux's own headers: the machine's, and those of every architecture that ziglang brings along.

``asm/`` differs by architecture, and so do a C library's ``bits/``: each name there becomes a
header that chooses by the compiler's macros, as a reader of all ABIs has to.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

MACHINE = Path("/usr/include")
FOLDERS = ("linux", "asm-generic")
BESIDE = ("drm", "rdma", "video", "mtd", "misc", "scsi", "sound", "xen")
ARCHITECTURES: Mapping[str, str] = {
    "x86": "defined(__x86_64__) || defined(__i386__)",
    "aarch64": "defined(__aarch64__)",
    "arm": "defined(__arm__)",
    "powerpc": "defined(__powerpc__)",
    "s390x": "defined(__s390x__)",
    "m68k": "defined(__m68k__)",
    "mips": "defined(__mips__)",
    "riscv": "defined(__riscv)",
}
LIBC: Mapping[str, str] = {
    **{"x86_64": "defined(__x86_64__)", "i386": "defined(__i386__)"},
    **{"aarch64": "defined(__aarch64__)", "arm": "defined(__arm__)"},
    **{"powerpc": "defined(__powerpc__) && !defined(__powerpc64__)"},
    **{"powerpc64": "defined(__powerpc64__)", "s390x": "defined(__s390x__)"},
    **{"m68k": "defined(__m68k__)", "mips": "defined(__mips__)", "riscv64": "defined(__riscv)"},
}


def bundle() -> Path | None:
    """Where ziglang keeps the headers of every architecture."""
    found = find_spec("ziglang")
    folder = found and found.submodule_search_locations
    path = Path(folder[0], "lib/libc/include") if folder else None
    return path if path and path.is_dir() else None


def texts(root: Path, prefix: str = "") -> dict[str, str]:
    """Every header below a folder, by what an ``#include`` calls it."""
    return {
        prefix + path.relative_to(root).as_posix(): path.read_text("utf-8", "replace")
        for path in sorted(root.rglob("*.h"))
    }


@functools.cache
def headers(machine: bool) -> dict[str, str]:
    """What ``parse`` gets: Linux's headers (the machine's or ziglang's), asm/ and a C library."""
    found: dict[str, str] = {}
    zig = bundle()
    if zig:
        found |= texts(zig / "generic-musl")
        found |= _chosen(zig, "-linux-musl", LIBC, "bits/")
        found |= texts(zig / "any-linux-any")
        found |= _chosen(zig, "-linux-any", ARCHITECTURES, "asm/")
    if machine:
        found = {name: text for name, text in found.items() if not name.startswith(FOLDERS)}
        for folder in (*FOLDERS, *BESIDE):
            found |= texts(MACHINE / folder, f"{folder}/")
        # Debian keeps what is an architecture's in a folder of its own.
        found |= texts(MACHINE / "x86_64-linux-gnu/asm", "of-x86/asm/")
    return found


def _chosen(zig: Path, suffix: str, rows: Mapping[str, str], folder: str) -> dict[str, str]:
    """Headers of one folder, each of which includes that of the architecture."""
    found: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    for name, condition in rows.items():
        for path, text in texts(zig / f"{name}{suffix}").items():
            if path.startswith(folder):
                found[f"of-{name}/{path}"] = text
                lines.setdefault(path, []).append(f"if {condition}\n#include <of-{name}/{path}>\n")
    for path, choices in lines.items():
        plain = zig / ("generic-musl" if folder == "bits/" else "any-linux-any") / path
        last = ""
        if plain.is_file():
            found[f"of-any/{path}"] = plain.read_text("utf-8", "replace")
            last = f"#else\n#include <of-any/{path}>\n"
        found[path] = "#" + "#el".join(choices) + last + "#endif\n"
    return found


def names(machine: bool) -> list[str]:
    """The headers to be read: what the kernel gives to programs."""
    return sorted(name for name in headers(machine) if name.startswith(tuple(f"{f}/" for f in FOLDERS)))
