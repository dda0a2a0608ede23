"""Scalar types: integers, floating point, bool, pointers, by the name that C code uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from kvmviz._base import KvmvizError
from kvmviz.abi import Abi, ByteOrder

WIDTHS = (8, 16, 32, 64)
"""Widths, in bits, that a scalar member can be turned to."""


@dataclass(frozen=True)
class Scalar:
    """A scalar type: its name as C spells it, its width in bits, its signedness.

    ``bits`` 0 is the width of the ABI's ``long`` and pointers, ``signed`` None what the ABI says
    of plain ``char``. ``order`` is the byte order that the type fixes (``__be32``), if it does.
    ``align`` is the alignment in bytes that a typedef gives it, else 0.
    """

    name: str
    bits: int
    signed: bool | None = False
    kind: Literal["integer", "float", "bool", "pointer"] = "integer"
    order: ByteOrder | None = None
    align: int = 0

    def __post_init__(self) -> None:
        legal = {"float": (32, 64), "bool": (8,), "pointer": (0, 32, 64)}
        widths = legal.get(self.kind, (0, *WIDTHS, 128))
        if self.bits not in widths:
            raise KvmvizError(
                f"type {self.name}: {self.bits!r} bits; legal are {', '.join(map(str, widths))}"
            )

    def __str__(self) -> str:
        return self.name

    def on(self, abi: Abi) -> Scalar:
        """The type as the ABI has it, its width and sign settled."""
        if self.bits and self.signed is not None:
            return self
        signed = abi.char_signed if self.signed is None else self.signed
        return replace(self, bits=self.bits or abi.word_bits, signed=signed)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.bits // 8

    @property
    def leaf(self) -> Scalar:
        """Itself: a scalar is its own innermost element."""
        return self

    def dtype(self, order: ByteOrder) -> np.dtype[Any]:
        """The numpy type of this scalar in memory of one byte order, whatever the host's is.

        numpy has no integer of 128 bits: those are 16 raw bytes.
        """
        if self.bits == 128:
            return np.dtype("V16")
        kind = "f" if self.kind == "float" else "i" if self.signed else "u"
        return np.dtype(f"{'<' if order == 'little' else '>'}{kind}{self.size}")

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest integer that fit."""
        return self.limits_of(1 if self.kind == "bool" else self.bits)

    def limits_of(self, bits: int) -> tuple[int, int]:
        """The same for a bit-field of this type that is ``bits`` wide."""
        if self.signed:
            return -(1 << bits - 1), (1 << bits - 1) - 1
        return 0, (1 << bits) - 1


def _scalars() -> Mapping[str, Scalar]:
    table: dict[str, Scalar] = {}
    for bits in (*WIDTHS, 128):
        for sign, signed in (("u", False), ("s", True)):
            table |= {n: Scalar(n, bits, signed) for n in (f"{sign}{bits}", f"__{sign}{bits}")}
    for bits in WIDTHS:
        table[f"int{bits}_t"] = Scalar(f"int{bits}_t", bits, signed=True)
        table[f"uint{bits}_t"] = Scalar(f"uint{bits}_t", bits)
    for bits in WIDTHS[1:]:
        table[f"__le{bits}"] = Scalar(f"__le{bits}", bits, order="little")
        table[f"__be{bits}"] = Scalar(f"__be{bits}", bits, order="big")
    # Widths on which every ABI of kvmviz.abi agrees, but that of long.
    bases = (("char", 8), ("short", 16), ("int", 32), ("long", 0), ("long long", 64))
    for base, bits in (*bases, ("__int128", 128)):
        table[f"unsigned {base}"] = Scalar(f"unsigned {base}", bits)
        table[f"signed {base}"] = Scalar(f"signed {base}", bits, signed=True)
        table[base] = Scalar(base, bits, signed=None if base == "char" else True)
    table |= {n: Scalar(n, 128, n[2] == "i") for n in ("__int128_t", "__uint128_t")}
    table |= {n: Scalar(n, 8, kind="bool") for n in ("_Bool", "bool")}
    table |= {
        "float": Scalar("float", 32, kind="float"),
        "double": Scalar("double", 64, kind="float"),
    }
    for name, signed in (("size_t", False), ("ssize_t", True), ("uintptr_t", False)):
        table[name] = Scalar(name, 0, signed)
    return table


SCALARS: Mapping[str, Scalar] = _scalars()
"""The scalar types, by name."""

POINTER = Scalar("void *", 0, kind="pointer")
"""Any pointer to data."""


def scalar(name: str, where: str = "type") -> Scalar:
    """The scalar type of that C name; :class:`KvmvizError` if there is none."""
    try:
        return SCALARS[name]
    except (KeyError, TypeError):
        raise KvmvizError(
            f"{where}: unknown type {name!r}; known are __u8..__u64, __s8..__s64, "
            "uint8_t..uint64_t, int8_t..int64_t, __le16..__be64, [un]signed char, short, int, "
            "long, long long, __uint128_t, float, double, bool"
        ) from None
