"""Names of types that need no declaration, and what headers say of types that nobody gives.

A name is here if it has one layout on each ABI whatever the C library. ``struct timespec`` is
not: on 32 bits, its ``tv_sec`` has 32 bits or 64. Texts of headers are as glibc, the compilers and
Linux have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from operator import attrgetter

from kvmviz.abi import Abi, ByteOrder
from kvmviz.c import target
from kvmviz.c.source import word_set
from kvmviz.c.target import Facts
from kvmviz.ctype import SCALARS, Scalar, Type

_HERE = files("kvmviz.c")
KERNEL = (_HERE / "kernel.h").read_text("utf-8")
COMPILER = (_HERE / "compiler.h").read_text("utf-8")
TYPES = (_HERE / "types.h").read_text("utf-8")
"""What holds where a text says nothing else."""


def _given(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    for one in sorted(folder.iterdir(), key=lambda one: one.name):
        if one.is_dir():
            yield from _given(one, f"{prefix}{one.name}/")
        else:
            yield f"{prefix}{one.name}", one.read_text("utf-8")


GIVEN: Mapping[str, str] = dict(_given(_HERE / "include"))
"""Texts of headers by name: of each, what a layout needs."""
SETTLED = ("asm/bitsperlong.h", "asm/byteorder.h")
"""Headers of one architecture: kvmviz.c.target knows them all, so no other text of them is read."""
HEADERS = word_set("""
    linux/types.h linux/stddef.h linux/compiler.h linux/compiler_types.h linux/posix_types.h
    asm/posix_types.h asm/types.h asm-generic/int-ll64.h linux/byteorder/little_endian.h
    linux/byteorder/big_endian.h linux/limits.h stdint.h inttypes.h stddef.h stdbool.h endian.h
    limits.h stdalign.h linux/time.h linux/time_types.h pshpack1.h pshpack2.h pshpack4.h pshpack8.h
    poppack.h
""")
"""Headers of which all that a layout needs is known, so that nobody misses them."""

_ALIKE = attrgetter("bits", "signed", "kind", "align")
"""By what C tells two scalars apart: neither a name nor a byte order."""


@dataclass
class Kind:
    """A type of the text; ``type`` is None until its definition is complete.

    ``weight`` counts the bytes of all its members. A member or an element without bytes weighs 1:
    it is work all the same.
    """

    name: str
    type: Type | None = None
    weight: int = 0

    def is_same(self, other: Kind) -> bool:
        """Whether both are one type: a name may be given to it twice."""
        first, second = self.type, other.type
        if isinstance(first, Scalar) and isinstance(second, Scalar):
            return _ALIKE(first) == _ALIKE(second)
        return self is other or (first is not None and first == second)


FLOATS = ("__float128", "_Float128")
"""Types of which only pointers are read."""
WORDS = word_set("""
    void char short int long signed unsigned float double _Bool _Complex _Imaginary __int128
    __float128 _Float128 _Float64 _Float32 _Decimal32 _Decimal64 _Decimal128
""")
"""Words of which types are made."""
_SPELLED = {"int long": "long", "int short": "short", "int long long": "long long",
            "double long": "long double"}  # fmt: skip
_ORDERED = re.compile(r"__([lb])e(?:16|32|64)")


def annotated(name: str, kind: Kind, facts: Facts, abi: Abi) -> Kind | None:
    """An integer that a typedef calls by a name with a byte order, ``__be32``; else None.

    The name decides, however the integer is spelled: to a compiler both orders are one type.
    """
    match, found = _ORDERED.fullmatch(name), kind.type
    if match is None or not isinstance(found, Scalar) or found.kind != "integer":
        return None
    if not found.bits:
        facts.ask(abi, target.macro, target.TOLD["long"])
    own = found.on(abi)
    order: ByteOrder = "little" if match[1] == "l" else "big"
    known = SCALARS[name]
    same = (own.bits, own.signed) == (known.bits, known.signed)
    made = replace(known, align=own.align) if same else replace(own, name=name, order=order)
    return replace(kind, name=name, type=made)


def ordered(words: Sequence[str]) -> str:
    """The words of a type, which C takes in any order, in one order."""
    sign = [word for word in words if word in ("signed", "unsigned")]
    size = " ".join(sorted(word for word in words if word not in sign)) or "int"
    return " ".join([*sign, _SPELLED.get(size, size)]) if words else ""
