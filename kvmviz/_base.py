"""What every other module stands on: one error class, one look-up by name, words for messages."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from functools import singledispatch
from numbers import Integral, Number
from typing import TypeVar

Row = TypeVar("Row")


class KvmvizError(ValueError):
    """Bad input. The message names the struct, member, offset and legal values that matter."""


class _Shown(reprlib.Repr):
    """``repr`` of bounded length and work, with no address in it."""

    def repr_int(self, x: int, level: int) -> str:
        width = int(x).bit_length()
        return repr(x) if width <= 256 else f"an integer of {width} bits"

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(bytes(x)) if len(x) <= 20 else f"{len(x)} bytes"

    def repr_instance(self, x: object, level: int) -> str:
        if isinstance(x, Integral) and not isinstance(x, bool):
            return self.repr_int(int(x), level)
        plain = x is None or isinstance(x, Number)
        return repr(x) if plain else f"an object of type {type(x).__name__[:40]}"


_SHOWN = _Shown()
_SHOWN.maxstring = _SHOWN.maxother = 40
_SHOWN.maxlevel = 2


def shown(value: object) -> str:
    """What was given, as a message quotes it: escaped, cut where it is long, whatever it is."""
    try:
        told = _SHOWN.repr(value)
    except Exception:  # of its own making: what is wrong with it is not what the message is about
        told = f"an object of type {type(value).__name__[:40]}"
    return told if len(told) <= 120 else f"{told[:117]}..."


def listed(names: Iterable[object], most: int = 24) -> str:
    """Names in a list that stays short: ``a, b, c and 97 more``."""
    told = [name if len(name) <= 60 else f"{name[:57]}..." for name in map(str, names)]
    if len(told) <= most:
        return ", ".join(told)
    return f"{', '.join(told[: most - 4])} and {len(told) - most + 4} more"


def find(table: Mapping[str, Row], name: str | Row, what: str) -> Row:
    """The row of that name in a table; an object of the class of its rows comes back as it is.

    Raises :class:`KvmvizError`, ``unknown <what> 'name'; legal are a, b, c``, for anything else.
    """
    if isinstance(name, str):
        if str.__str__(name) in table:
            return table[str.__str__(name)]
    elif any(isinstance(name, type(row)) for row in table.values()):
        return name
    raise KvmvizError(f"unknown {what} {shown(name)}; legal are {listed(table) or 'none'}")


def counted(number: int, unit: str) -> str:
    """A number of things in words: ``1 byte``, ``2 bytes``."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def span(first: int, last: int) -> str:
    """Bytes in words: ``byte 3`` or ``bytes 4..7``."""
    return f"byte {first}" if first == last else f"bytes {first}..{last}"


@singledispatch
def twin(shown: object) -> str:
    """The text twin of a result: its ``repr``, or what a module registers here."""
    if type(shown).__repr__ is Twin.__repr__:
        raise TypeError(f"{type(shown).__name__} has no text twin")
    return repr(shown)


class Twin:
    """Something a reader sees: its ``repr`` is its text twin, all that its picture says."""

    def __repr__(self) -> str:
        return twin(self)
