"""What every other module stands on: the error class, one look-up by name, readers of numbers."""

from __future__ import annotations

import operator
import re
import reprlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from numbers import Integral, Number
from typing import Any, TypeVar

Row = TypeVar("Row")
Choice = TypeVar("Choice")
Key = TypeVar("Key", bound=Hashable)


MOST_SAID, MOST_TEXT = 4096, 1000
"""Characters of an error's message, what is longer loses its middle; of a name, title or note."""


class KvmvizError(ValueError):
    """Bad input. The message names the struct, member, offset and legal values that matter."""

    def __init__(self, message: str = "") -> None:
        if len(message) > MOST_SAID:
            message = f"{message[: MOST_SAID - 1005]} ... {message[-1000:]}"
        super().__init__(message)


class _Shown(reprlib.Repr):
    """``repr`` of bounded length and work, with no address in it."""

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= 256 else hexed(x)

    def repr_bool(self, x: object, level: int) -> str:  # numpy's has the same name
        return repr(x)

    def repr_ndarray(self, x: Any, level: int) -> str:
        plain = x.size <= 8 and x.dtype.kind in "biuf"
        return " ".join(repr(x).split()) if plain else f"an array of {x.size}"

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(bytes(x)) if len(x) <= 20 else f"{len(x)} bytes"

    def repr_instance(self, x: object, level: int) -> str:
        if isinstance(x, Integral):
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


class Table(Mapping[str, Row]):
    """Rows that have a ``name`` each, by that; ``what`` one of them is, errors say."""

    def __init__(self, what: str, *rows: Row) -> None:
        self.what = what
        self._rows = {row.name: row for row in rows}  # type: ignore[attr-defined]

    def __getitem__(self, name: str) -> Row:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"{self.what}: {listed(self)}"

    def find(self, name: str | Row) -> Row:
        """The row of that name, or the row itself; see :func:`find`."""
        return find(self, name, self.what)


def check_texts(what: str, *texts: object) -> str:
    """``<what> <name>``, the first text being the name; error for what is no text in one line."""
    for text in texts:
        if not (isinstance(text, str) and text.isprintable() and len(text) <= MOST_TEXT):
            legal = f"text in one line, printable, of up to {MOST_TEXT} characters"
            raise KvmvizError(f"{what} {shown(texts[0])}: {shown(text)} is no {legal}")
    return f"{what} {shown(texts[0])[1:-1]}"


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Rows by what they have in common, the groups in the order of their first rows."""
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def chosen(
    value: object, legal: Iterable[Choice], what: str, told: str = "", unit: str = ""
) -> Choice:
    """The legal value that is given; the error says ``<what> <value> <unit>; legal are a, b, c``.

    ``told`` are the legal ones in words. A truth value is no number.
    """
    plain = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else value
    for one in (legal := tuple(legal)):
        if type(plain) is type(one) and plain == one:
            return one
    words = " ".join(filter(None, (what, shown(value), unit)))
    raise KvmvizError(f"{words}; legal are {told or listed(map(shown, legal))}")


def settled(frozen: object, where: str, **legal: Iterable[object]) -> None:
    """Set attributes of a frozen object, once checked, to the legal value that each is."""
    for name, values in legal.items():
        value = chosen(getattr(frozen, name), values, f"{where}: {name}")
        object.__setattr__(frozen, name, value)


def integer(value: object, where: str) -> int:
    """An int out of Python's or numpy's; a truth value is none."""
    if not isinstance(value, bool):
        with suppress(Exception):  # an object's own __index__ may raise anything
            return int(operator.index(value))  # type: ignore[arg-type]
    raise KvmvizError(f"{where}: {shown(value)} is not an integer")


def unsigned(value: object, where: str, bits: int) -> int:
    """The same, of 0 .. ``2**bits - 1``."""
    number = integer(value, where)
    if not 0 <= number < 1 << bits:
        legal = f"legal are 0 .. {(1 << bits) - 1:#x}"
        raise KvmvizError(f"{where}: {hexed(number)} does not fit {bits} bits; {legal}")
    return number


_HEX = re.compile(r"(0[xX])?[0-9a-fA-F]+(_[0-9a-fA-F]+)*")


def hexadecimal(value: object, where: str, bits: int) -> int:
    """The same; text is hex digits, with or without ``0x``."""
    if isinstance(value, str):
        if not _HEX.fullmatch(digits := value.strip()):
            legal = f"legal are 0 .. {(1 << bits) - 1:#x}"
            raise KvmvizError(f"{where}: {shown(value)} is not a hexadecimal number; {legal}")
        value = int(digits, 16)
    return unsigned(value, where, bits)


def hexed(number: int) -> str:
    """A number for a message: in hex, at no great length."""
    width = number.bit_length()
    return f"{number:#x}" if width <= 256 else f"an integer of {width} bits"


def counted(number: int, unit: str) -> str:
    """A number of things in words: ``1 byte``, ``2 bytes``."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def span(first: int, last: int) -> str:
    """Bytes in words: ``byte 3`` or ``bytes 4..7``."""
    return f"byte {first}" if first == last else f"bytes {first}..{last}"
