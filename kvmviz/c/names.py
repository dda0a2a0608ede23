"""What names of types stand for: those of the text, of C, and those that everybody knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvmviz.c import known
from kvmviz.c.attributes import NOTHING, Wish
from kvmviz.c.directives import KEYWORDS
from kvmviz.c.files import Files
from kvmviz.ctype import POINTER, SCALARS, Scalar, Type

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_BYTES = 1 << 20
"""Bytes of all members of one type, those of a union side by side."""

MAX_TOLD = 16
"""Headers that a message names."""

_QUALIFIERS = frozenset(("const", "volatile"))
FLOATS = ("long double", "__float128", "_Float128")
"""Types of which only pointers are read."""
_SPELLED = {"int long": "long", "int short": "short", "int long long": "long long"}


@dataclass
class Kind:
    """A type of the text; ``type`` is None until its definition is complete.

    ``weight`` counts the bytes of all its members, ``depth`` the types that lie in each other;
    ``align`` is what a typedef asks for a struct, 0 for nothing; ``is_open`` says that its members
    are being read. A member or an element without bytes weighs 1: it is work all the same.
    """

    name: str
    type: Type | None = None
    weight: int = 0
    depth: int = 0
    align: int = 0
    is_open: bool = False


@dataclass(frozen=True)
class Declared:
    """A name, its place and its type; the width of a bit-field; its attributes."""

    node: Node
    name: str
    kind: Kind
    bits: Node | None = None
    wish: Wish = NOTHING


class Names:
    """Types by name; ``spoilt`` says of some names why they are not understood."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.tags: dict[str, Kind] = {}
        self.typedefs: dict[str, Kind] = {}
        self.spoilt: dict[str, str] = {}

    def spoil(self, words: list[str], why: str) -> None:
        """Remember why a header's declaration is not understood, by all names in it."""
        for before, word in zip(["", *words], words, strict=False):
            title = f"{before} {word}" if before in ("struct", "union", "enum") else word
            kind = self.tags.get(title)
            taken = (kind and kind.type) or title in self.typedefs or self.built_in(title)
            if word.isidentifier() and word not in KEYWORDS and not taken:
                self.spoilt.setdefault(title, why)

    def named(self, words: list[str]) -> Kind | None:
        """The type of these words, if they are no struct, union or enum."""
        title = " ".join(words)
        if title in self.typedefs:
            return self.typedefs[title]
        if title == "void" or title in FLOATS:
            return Kind(title)
        return self.built_in(title) or self.built_in(_ordered(words))

    def built_in(self, name: str) -> Kind | None:
        """A type that needs no declaration."""
        found = known.typedefs().get(name) or SCALARS.get(name)
        return Kind(name, found, found.size or 8) if found else None

    def named_by(self, words: list[str]) -> Type | None:
        """The type that stands in the brackets of ``sizeof``."""
        if words[-1:] == ["*"]:
            return POINTER
        words = [word for word in words if word not in _QUALIFIERS]
        if words[:1] and words[0] in ("struct", "union", "enum"):
            title = " ".join(words)
            kind = self.tags.get(title)
            return kind.type if kind else known.structs().get(title)
        kind = self.named(words)
        return kind.type if kind and not kind.align else None

    def missing(self, name: str = "") -> str:
        """Which headers may say what a name stands for, and how to give them."""
        if name in self.spoilt:
            return f"; {self.spoilt[name]}"
        names = list(self.files.missing)
        if not names:
            none = "; no header that this text includes says what it is"
            return none if self.files.included else ""
        told = ", ".join(f"<{name}>" for name in names[:MAX_TOLD])
        if len(names) == 1:
            return f"; it may be in {told}; give its text (headers={{{names[0]!r}: text}})"
        more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
        one = "give the text of the one that defines it (headers={name: text})"
        return f"; it may be in {told}{more}; {one}"


def _ordered(words: list[str]) -> str:
    """These words, which C takes in any order, in one order."""
    sign = [word for word in words if word in ("signed", "unsigned")]
    size = " ".join(sorted(word for word in words if word not in sign)) or "int"
    return " ".join([*sign, _SPELLED.get(size, size)]) if words else ""


def stands_for(one: Kind, other: Kind) -> bool:
    """Whether both are one type: a name may be given to it twice."""
    first, second = one.type, other.type
    if isinstance(first, Scalar) and isinstance(second, Scalar):
        return (first.bits, first.signed, first.kind, first.align) == (
            second.bits,
            second.signed,
            second.kind,
            second.align,
        )
    return one is other or (first is not None and first == second)
