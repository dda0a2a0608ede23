"""The kernels: what each is made of, its source edited, and built."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO, Literal

HERE = Path(__file__).parent
SOURCES = Path("/usr/src")
"""Where Debian's linux-source packages put their archives."""

Order = Literal["le", "be"]
VERSIONS: Mapping[str, tuple[str, ...]] = {
    "6.1": ("merged", "old", "widened", "v2"),
    "6.12": ("merged",),
}
"""Which kernels are made of a source: ``merged`` is as released, the others are edits of it."""
CFLAGS = (
    "O1 Wall Wextra Werror ffreestanding fno-builtin fno-stack-protector fno-pie nostdlib static s "
    "mgeneral-regs-only mno-outline-atomics"
)
"""How the program that takes the dumps is compiled, each with a dash."""
CROSS = "aarch64-linux-gnu-"
BYTE_ORDERS: Mapping[Order, str] = {"le": "little", "be": "big"}
EDITED = (
    "arch/arm64/include/uapi/asm/kvm.h",
    "arch/arm64/kvm/arm.c",
    "arch/arm64/kvm/handle_exit.c",
)
"""The files that a patch may touch."""
PARTS = ("arch/arm64/boot/Image", "System.map", "include/generated/asm-offsets.h")
"""What is kept of a build: the kernel, where its functions are, and offsets in its structs."""


class EvidenceError(Exception):
    """One line that says what is missing or went wrong, and where to look."""


@dataclass(frozen=True)
class Kernel:
    """One kernel to build: ``name`` is as ``make evidence KERNEL=`` takes it."""

    version: str
    variant: str
    order: Order

    @property
    def name(self) -> str:
        """Version, variant and byte order."""
        return f"{self.version}-{self.variant}-{self.order}"

    @property
    def archive(self) -> Path:
        """Debian's archive of the source."""
        return SOURCES / f"linux-source-{self.version}.tar.xz"


KERNELS = tuple(
    Kernel(version, variant, order)
    for version, variants in VERSIONS.items()
    for variant in variants
    for order in BYTE_ORDERS
)
"""All of them, those of one source and variant together: a file is edited once for both orders."""


def patch(variant: str) -> str:
    """The patch that makes another kernel of the released one; empty for ``merged``."""
    return "" if variant == "merged" else _patch_file(variant).read_text("ascii")


def hunks(text: str) -> Mapping[str, list[tuple[str, str]]]:
    """The hunks of a unified diff by file: the lines before, and the lines after."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines(keepends=True):
        if line.startswith("+++ b/"):
            file = found.setdefault(line[6:].strip(), [])
        elif line.startswith("@@"):
            file.append(("", ""))
        elif not line.startswith("---"):
            before, after = file[-1]
            rest = line[1:] or "\n"
            file[-1] = (before + rest * (line[0] != "+"), after + rest * (line[0] != "-"))
    return found


def edit(file: str, source: str, text: str) -> str:
    """The source with a patch's hunks for that file, found by their lines and not by number.

    Raises :class:`EvidenceError` if one is not there exactly once.
    """
    for before, after in hunks(text).get(file, ()):
        if source.count(before) != 1:
            at = before.splitlines()[0]
            raise EvidenceError(f"{file}: the patch's lines from {at!r} on are not there once")
        source = source.replace(before, after)
    return source


def config(order: Order) -> str:
    """The configuration, as ``allnoconfig`` takes it."""
    name = "BIG" if order == "be" else "LITTLE"
    return f"{(HERE / 'kernel.config').read_text('ascii')}CONFIG_CPU_{name}_ENDIAN=y\n"


def build(kernel: Kernel, base: Path, jobs: int) -> Path:
    """A folder with the parts of a built kernel; nothing is done where they are up to date.

    The build itself goes on where it was stopped.
    """
    kept = base / "kernels" / kernel.name
    if is_built(kernel, base):
        return kept
    tree = _source(kernel, base)
    output = base / f"{kernel.version}-{kernel.order}"
    output.mkdir(exist_ok=True)
    given = base / f"{output.name}.config"
    make = ["make", "-C", str(tree), f"O={output}", "ARCH=arm64", f"CROSS_COMPILE={CROSS}"]
    log = base / f"build-{kernel.name}.log"
    with log.open("w") as told:
        if not given.exists() or given.read_text() != config(kernel.order):
            given.write_text(config(kernel.order))
            _run([*make, f"KCONFIG_ALLCONFIG={given}", "allnoconfig"], told)
        _run([*make, f"-j{jobs}", "Image"], told)
    kept.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        shutil.copyfile(output / part, kept / Path(part).name)
    return kept


def is_built(kernel: Kernel, base: Path) -> bool:
    """Its parts are kept, and neither the configuration nor its patch is newer."""
    parts = [HERE / "kernel.config"]
    if kernel.variant != "merged":
        parts.append(_patch_file(kernel.variant))
    return is_newer(base / "kernels" / kernel.name / Path(PARTS[-1]).name, parts)


def _patch_file(variant: str) -> Path:
    return Path(str(resources.files("kvmviz").joinpath(f"data/{variant}.patch")))


def _source(kernel: Kernel, base: Path) -> Path:
    """The unpacked source in the state of that kernel; files that are so already keep their age."""
    tree, released = base / f"linux-source-{kernel.version}", base / f"released-{kernel.version}"
    if not released.exists():
        base.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["tar", "-C", str(base), "-xf", str(kernel.archive)])
        if done.returncode:
            raise EvidenceError(f"{kernel.archive} cannot be unpacked into {base}")
        part = released.with_name(released.name + ".part")
        for file in EDITED:
            (part / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tree / file, part / file)
        part.rename(released)
    for file in EDITED:
        wanted = edit(file, (released / file).read_text("utf-8"), patch(kernel.variant))
        if (tree / file).read_text("utf-8") != wanted:
            (tree / file).write_text(wanted, "utf-8")
    return tree


def build_dump(base: Path, order: Order) -> Path:
    """The program that takes the dumps, in one byte order: one static file."""
    program, source = base / f"dump-{order}", HERE / "dump.c"
    if is_newer(program, [source]):
        return program
    base.mkdir(parents=True, exist_ok=True)
    flags = [f"-{flag}" for flag in CFLAGS.split()]
    endian = f"-m{BYTE_ORDERS[order]}-endian"
    done = subprocess.run(
        [f"{CROSS}gcc", *flags, endian, "-o", str(program), str(source)],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise EvidenceError(f"{source.name}: {done.stderr.strip().splitlines()[0]}")
    return program


def is_newer(made: Path, parts: list[Path]) -> bool:
    """It is there, and not older than any of its parts."""
    return made.exists() and all(made.stat().st_mtime >= part.stat().st_mtime for part in parts)


def _run(command: list[str], told: IO[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
    if done.returncode:
        raise EvidenceError(f"make {command[-1]} failed: see {told.name}")
