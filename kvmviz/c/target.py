"""What an ABI answers to a text: macros by which C knows its target, kernel types, sizes.

The macros are those of gcc and clang for Linux (``-dM -E``), and those of the kernel's
asm/byteorder.h and asm/bitsperlong.h; ``target.toml`` has those of one architecture each.
``__KERNEL__`` and ``__cplusplus`` are not defined: a text is read as a program in C reads it.
Macros in which gcc and clang differ, as of ``int_fast16_t``, are left out.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS, Abi
from kvmviz.c.source import by_name
from kvmviz.ctype import Array, Scalar, Struct, Type
from kvmviz.rules import extent

_FAMILIES: dict[str, dict[str, Any]] = tomllib.loads(
    files("kvmviz.c").joinpath("target.toml").read_text("utf-8")
)
_GENERIC = _FAMILIES.pop("generic")
for _row in _FAMILIES.values():
    _row["kernel"] = by_name(_GENERIC["kernel"]) | by_name(_row.get("kernel", {}))


def _family(abi: Abi) -> dict[str, Any]:
    try:
        return _FAMILIES[abi.family]
    except KeyError:
        raise KvmvizError(
            f"ABI {abi.name!r}: the macros of family {abi.family!r} are not known, so no C text "
            f"can be read for it; known are {', '.join(_FAMILIES)}"
        ) from None


@cache
def macros(abi: Abi) -> Mapping[str, str]:
    """The macros that tell this ABI from others, and what they stand for.

    Raises :class:`KvmvizError` for an ABI of a family that is not known.
    """
    family = _family(abi)
    words: list[str] = []
    for row in (_GENERIC, family):
        for key in ("macros", abi.byte_order, f"{abi.word_bits}"):
            words += shlex.split(row.get(key, ""))
    rows = [word.partition("=") for word in words if word not in family.get("without", "").split()]
    made = {name: value if sign else "1" for name, sign, value in rows}
    # No number: a text that asks waits for what is not known.
    wide = f"{abi.long_double // 8}" if abi.long_double else "sizeof(long double)"
    made["__SIZEOF_LONG_DOUBLE__"] = wide
    return made if abi.char_signed else made | {"__CHAR_UNSIGNED__": "1"}


@cache
def names() -> frozenset[str]:
    """All macros that some ABI has and another has not, or has otherwise."""
    every = [macros(abi) for abi in ABIS.values()]
    found = {name for one in every for name in one}
    return frozenset(name for name in found if len({one.get(name) for one in every}) > 1) | {
        "__SIZEOF_LONG__"
    }


TOLD: Mapping[str, str] = {
    "long": "__SIZEOF_LONG__",
    "char": "__CHAR_UNSIGNED__",
    "wide": "__WCHAR_UNSIGNED__",
}
"""What an expression asks of its target, by the macro that tells C of it."""


def answers(abi: Abi) -> Mapping[str, int]:
    """What the ABI answers to an expression: see :data:`kvmviz.c.arithmetic.OTHERS`."""
    given = macros(abi)
    signs = {name: int(TOLD[name] not in given) for name in ("char", "wide")}
    return {"long": abi.word_bits, **signs, "enum": 0}


def kernel(name: str, abi: Abi) -> str:
    """What a type of Linux is that differs by architecture; empty for what is none."""
    found: str = _family(abi)["kernel"].get(name, "")
    return found


What = str | tuple[str | int, ...]
"""What is asked of a type: the word for it, or the path to a member whose offset it is."""


class Facts:
    """What a text asked of its target while it was read: it reads alike where answers are alike.

    ``said`` has the answers, each by the question, a function of this module, and what it was
    asked about.
    """

    def __init__(self) -> None:
        self.said: dict[tuple[Callable[..., Any], tuple[Any, ...]], Any] = {}

    def ask(self, abi: Abi, question: Callable[..., Any], *about: Any) -> Any:
        """What the ABI answers; from now on it is a fact."""
        found = self.said[question, about] = question(*about, abi)
        return found

    def hold(self, abi: Abi) -> bool:
        """Whether this ABI gives the same answers."""
        return all(ask(*about, abi) == found for (ask, about), found in self.said.items())


def macro(name: str, abi: Abi) -> str | None:
    """What a macro of the target stands for; None where it is none."""
    return macros(abi).get(name)


def measured(kind: Type, what: What, abi: Abi) -> int | None:
    """As :func:`measure`; None where that raises."""
    with suppress(KvmvizError):
        return measure(kind, what, abi)
    return None


def measure(kind: Type, what: What, abi: Abi) -> int:
    """What C says of a type: ``sizeof``, an alignment, or the offset of what a path leads to.

    ``__alignof__`` is what a variable has, ``_Alignof`` what a member has (gcc manual, Alignment):
    on i386, integers and floats of 64 bits have 8 and 4.
    """
    if isinstance(what, str):
        leaf = kind.leaf
        if what == "__alignof__" and abi.family == "i386" and isinstance(leaf, Scalar):
            wide = leaf.on(abi).size == 8 and not leaf.align
            return 8 if wide else extent(leaf, abi)[1]
        return extent(kind, abi)[what != "sizeof"]
    found = member(kind, what, abi)
    if found is None:
        raise KvmvizError(f"{kind} has no such member on {abi.name}")
    return found[1]


def member(kind: Type, path: Sequence[str | int], abi: Abi) -> tuple[Type, int] | None:
    """Type and byte offset of what a path leads to; None for what has none, as a bit-field."""
    offset = 0
    for step in path:
        if isinstance(step, int):
            if not isinstance(kind, Array):
                return None
            kind = kind.element
            offset += step * extent(kind, abi)[0]
        else:
            field = kind.layout(abi).named.get(step) if isinstance(kind, Struct) else None
            if field is None or field.bits is not None:
                return None
            kind, offset = field.type, offset + field.offset
    return kind, offset
