"""A million records of kvm_debug_exit_arch, big-endian, summed member by member."""

from __future__ import annotations

import ctypes
import random
import struct
from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter

import construct
import numpy as np
from dissect.cstruct import cstruct

from kvmviz.kvm.kernel import MERGED
from tests.bench.report import show

COUNT = 1_000_000
SIZE = 16
SLOW = 100
"""The slow ones do one record in so many; their times are scaled up."""

Sums = tuple[int, int, int]

RAW = np.dtype(
    {
        "names": ["hsr", "hsr_high", "far"],
        "formats": [">u4", ">u4", ">u8"],
        "offsets": [0, 4, 8],
        "itemsize": SIZE,
    }
)


class Record(ctypes.BigEndianStructure):
    """The same by ctypes."""

    _fields_ = (
        ("hsr", ctypes.c_uint32),
        ("hsr_high", ctypes.c_uint32),
        ("far", ctypes.c_uint64),
    )


CONSTRUCT = construct.Struct(
    "hsr" / construct.Int32ub, "hsr_high" / construct.Int32ub, "far" / construct.Int64ub
)
DISSECT = cstruct(endian=">")
DISSECT.load("struct record { uint32 hsr; uint32 hsr_high; uint64 far; };")


def by_kvmviz(data: bytearray) -> Sums:
    return _sums(np.frombuffer(data, MERGED.layout("aarch64_be").dtype))


def by_numpy(data: bytearray) -> Sums:
    return _sums(np.frombuffer(data, RAW))


def _sums(records: np.ndarray) -> Sums:
    hsr, high, far = (
        int(records[name].sum(dtype=np.uint64)) for name in ("hsr", "hsr_high", "far")
    )
    return hsr, high, far


def by_struct(data: bytearray) -> Sums:
    return _loop(struct.iter_unpack(">IIQ", data))


def by_ctypes(data: bytearray) -> Sums:
    records = (Record * (len(data) // SIZE)).from_buffer(data)
    return _loop((record.hsr, record.hsr_high, record.far) for record in records)


def by_construct(data: bytearray) -> Sums:
    records = CONSTRUCT[len(data) // SIZE].parse(bytes(data))
    return _loop((record.hsr, record.hsr_high, record.far) for record in records)


def by_dissect(data: bytearray) -> Sums:
    records = DISSECT.record[len(data) // SIZE](bytes(data))
    return _loop((record.hsr, record.hsr_high, record.far) for record in records)


def _loop(records: Iterable[tuple[int, ...]]) -> Sums:
    hsr = high = far = 0
    for one, two, three in records:
        hsr += one
        high += two
        far += three
    return hsr, high, far


# name -> function, one record in how many, rounds
WAYS: dict[str, tuple[Callable[[bytearray], Sums], int, int]] = {
    "numpy, dtype written by hand": (by_numpy, 1, 31),
    "kvmviz, Layout.dtype": (by_kvmviz, 1, 31),
    "struct.iter_unpack": (by_struct, 1, 5),
    "ctypes": (by_ctypes, 1, 3),
    f"construct, 1 record in {SLOW}, scaled": (by_construct, SLOW, 3),
    f"dissect.cstruct, 1 record in {SLOW}, scaled": (by_dissect, SLOW, 3),
}


def run() -> None:
    """Measure, and print; every way has to come to the same sums."""
    make = random.Random(1)
    words = [(make.getrandbits(32), make.getrandbits(24), make.getrandbits(40)) for _ in range(512)]
    block = b"".join(struct.pack(">IIQ", *word) for word in words)
    data = bytearray((block * (COUNT // len(words) + 1))[: COUNT * SIZE])
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(max(rounds for _, _, rounds in WAYS.values())):
        for name, (way, share, rounds) in WAYS.items():
            if turn >= rounds:
                continue
            part = data if share == 1 else data[: len(data) // share]
            begin = perf_counter()
            sums = way(part)
            times[name].append(share * (perf_counter() - begin))
            if sums != by_numpy(part):
                raise RuntimeError(f"{name} came to {sums}")
    show(
        f"Bulk unpack: three sums over {COUNT:,} records of 16 bytes, big-endian",
        {name: median(values) for name, values in times.items()},
        next(iter(WAYS)),
        {"kvmviz, Layout.dtype": 1.1},
    )
