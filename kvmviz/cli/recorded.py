"""A kernel's own types for the command line: which file is BTF, of which ABI, and what is asked."""

from __future__ import annotations

import mmap
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from kvmviz import abi as abis
from kvmviz._base import KvmvizError
from kvmviz.abi import Abi
from kvmviz.btf import ELF, MAGICS, Btf, Record
from kvmviz.cli import inputs

KERNEL = Path("/sys/kernel/btf")
"""Where Linux shows its types and those of its modules."""
MOST = 1 << 28
"""The longest raw BTF that is read: 256 MiB."""
_MACHINES = {"i386": "i386", "i486": "i386", "i586": "i386", "i686": "i386", "armv7l": "arm",
             "armv8l": "arm", "ppc": "ppc32"}  # fmt: skip
"""What ABIs are called here, for the machines that Linux calls otherwise."""


def record(path: str, name: str | None, asked: Sequence[Abi]) -> Record | None:
    """The struct of that name, if the file is BTF or ELF; None of other files.

    It is that of the first ABI asked that the types can be of; without any, of the ABI that the
    file says, or of this machine for what its kernel shows. Raises :class:`KvmvizError` with the
    file's name.
    """
    data = _data(path)
    if data is None:
        return None
    try:
        types = _types(path, data, asked)
        if name is None:
            count = len(set(types.names))
            raise KvmvizError(f"{count} structs of BTF have a name; say which: --struct")
        return types.record(name.split()[-1] if name.split() else "")
    except KvmvizError as error:
        raise inputs.located(path, error) from None


def _data(path: str) -> bytes | mmap.mmap | None:
    """What a file of BTF holds; None of another, and of what can be read only once."""
    try:
        if not os.path.isfile(path):  # noqa: PTH113
            return None
        with Path(path).open("rb") as stream:
            head = stream.read(4)
            if head == ELF:  # a kernel with its DWARF has hundreds of MiB
                return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None  # whoever reads it as C text says why
    return inputs.data(path, MOST) if head[:2] in MAGICS else None


def _types(path: str, data: bytes | mmap.mmap, asked: Sequence[Abi]) -> Btf:
    place, base = Path(path), b""
    known: list[Abi | None] = list(asked) or [None]
    if place.parent == KERNEL:
        machine = platform.machine()
        known = list(asked) or [abis.find(_MACHINES.get(machine, machine))]
        if place.name != "vmlinux":
            base = inputs.data(f"{KERNEL / 'vmlinux'}", MOST)
    for abi in known[:-1]:
        try:
            return Btf(data, abi, base)
        except KvmvizError:
            continue
    return Btf(data, known[-1], base)
