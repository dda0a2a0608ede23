"""Attributes that lay something out: ``packed``, ``aligned``, ``_Alignas``; ``#pragma pack``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kvmviz.c import target
from kvmviz.c.constants import TAGS, Constants
from kvmviz.c.preprocessor import IDLE
from kvmviz.c.source import KEYWORDS, Source
from kvmviz.ctype import ALIGNMENTS, Type

_PACK = re.compile(
    r"\((?:(?P<only>\d+)|(?P<how>push|pop)(?:,(?P<name>[A-Za-z_]\w*))?(?:,(?P<number>\d+))?)?\)"
)
_PACKS = ("0", "1", "2", "4", "8", "16")


@dataclass(frozen=True)
class Wish:
    """What attributes ask for: alignments in bytes, in order; ``n`` is the number of a word.

    ``n`` is None for attributes that ask for nothing. ``least`` is what ``_Alignas`` says.
    """

    packed: bool = False
    aligns: tuple[int, ...] = ()
    n: int | None = None
    least: int = 0

    def __or__(self, other: Wish) -> Wish:
        return Wish(
            self.packed or other.packed,
            self.aligns + other.aligns,
            self.n if other.n is None else other.n,
            max(self.least, other.least),
        )

    @property
    def align(self) -> int:
        """The largest alignment, 0 for none."""
        return max(self.aligns, default=0)


class Packing:
    """``#pragma pack``: ``most`` is the largest alignment in bytes of a member, 0 for any.

    ``why`` says why that is not known.
    """

    def __init__(self, source: Source) -> None:
        self.source, self.most, self.why = source, 0, ""
        self.stack: list[tuple[str | None, int]] = []

    def obey(self, words: str, place: int) -> None:
        """What the words in brackets say from here on."""
        match, self.why = _PACK.fullmatch(words), ""
        number = match and (match["only"] or match["number"])
        pops = match is not None and match["how"] == "pop"
        if match is None or (number and (pops or number not in _PACKS)):
            told = self.source.snippet(place)
            self.source.fail(place, f"this directive is not supported: {told!r}")
        if pops:
            names = [name for name, _ in self.stack]
            if not self.stack or (match["name"] and match["name"] not in names):
                self.source.fail(place, "'#pragma pack(pop)' without a push")
            while match["name"] and self.stack[-1][0] != match["name"]:
                self.stack.pop()
            self.most = self.stack.pop()[1]
            return
        if match["how"]:
            self.stack.append((match["name"], self.most))
        self.most = int(number) if number else self.most if match["how"] else 0


class Attributes(Constants):
    """Reads attributes, and refuses them where compilers differ or C knows none."""

    def is_c23(self) -> bool:
        """Whether ``[[`` stands here."""
        return self.word == "[" and self.words[self.n + 1] == "["

    def attributes(self) -> Wish:
        """What attributes ask for, one or more of them; harmless ones do not.

        ``__attribute__((...))``, or where compilers agree on what it belongs to, ``[[...]]``.
        """
        found = Wish()
        while self.word == "__attribute__" or self.is_c23():
            n, ends = self.n, "]" if self.is_c23() else ")"
            self.next()
            for _ in range(2 if ends == ")" else 1):
                self.expect("(" if ends == ")" else "[")
            while not self.take(ends):
                if self.word and self.words[self.n + 1] == ":":
                    self.n += 3
                elif not self.take(","):
                    found |= self.attribute(n)
            self.expect(ends)
            if ends == "]" and found.n == n and not self.is_owned(n):
                self.fail("an attribute of a type is not supported: write it behind the name", n)
        return found

    def is_owned(self, n: int) -> bool:
        """Whether ``[[`` at that number belongs to a member, or to the struct that begins."""
        before = self.words[n - 1] if n else ";"
        is_name = before.isidentifier() and before not in KEYWORDS and not self.is_type(n - 1)
        return is_name or before in (";", "{", *TAGS)

    def attribute(self, n: int) -> Wish:
        """One attribute of a list; ``n`` is where that begins."""
        start, name = self.n, self.next().strip("_")
        if name == "packed":
            if self.word == "(":
                self.fail("attribute 'packed' takes no argument", n)
            return Wish(packed=True, n=n)
        if name == "aligned":
            if not self.take("("):
                return Wish(aligns=(self.biggest(n),), n=n)
            align = self.biggest(n) if self.word == ")" else self.constant()
            self.expect(")")
            return Wish(aligns=(self.legal(align, n),), n=n)
        if self.n in self.closing:
            self.skip()
        if name not in IDLE:
            self.fail(f"an attribute is not supported: {self.written(start)!r}", n)
        return Wish()

    def alignas(self) -> Wish:
        """``_Alignas``: a number or a type; 0 asks for nothing."""
        n = self.n
        self.next()
        self.expect("(")
        if self.is_type(self.n):
            align = self.measure(self.sized(self.type_name(n), n), "_Alignof", n)
        else:
            align = self.constant()
        self.expect(")")
        return Wish(aligns=(self.legal(align, n),), n=n, least=align) if align else Wish()

    def legal(self, align: int, n: int) -> int:
        """An alignment in bytes, if it is one."""
        if align not in ALIGNMENTS:
            self.fail(f"aligned({align}); legal are powers of 2 to {ALIGNMENTS[-1]}", n)
        return align

    def biggest(self, n: int) -> int:
        """The alignment of ``aligned`` without a number (gcc manual, Common Type Attributes)."""
        found = self.facts.ask(self.abi, target.macro, "__BIGGEST_ALIGNMENT__")
        self.facts.ask(self.abi, target.macro, "__mips")
        if self.abi.family == "mips":
            self.fail(f"'aligned' without a number: gcc has {found} here, clang 16", n)
        return int(found)

    # --- where they may stand ----------------------------------------------------------------

    def idle(self) -> None:
        """Attributes where only harmless ones may stand."""
        self.harmless(self.attributes())

    def harmless(self, wish: Wish) -> None:
        """Refuse attributes that say nothing where they stand, or not the same to everybody."""
        if wish.n is not None:
            name = "packed" if wish.packed else "aligned"
            self.fail(f"attribute {name!r} is not supported here", wish.n)

    def on_type(self, wish: Wish, word: str) -> None:
        """Refuse alignments of which gcc takes the last and clang the largest, and ``_Alignas``.

        ``word``: where they stand, a typedef, a struct or a union.
        """
        apart = [one for one in wish.aligns if one != wish.aligns[-1]]
        if wish.aligns and (apart if word == "typedef" else wish.aligns[-1] != wish.align):
            told = " and ".join(f"aligned({one})" for one in wish.aligns)
            self.fail(f"{told}: gcc takes the last, clang the largest", wish.n)
        if wish.least:
            self.fail(f"'_Alignas' on a {word} is no C", wish.n)

    def on_member(self, wish: Wish, made: Type, is_named: bool, is_bits: bool) -> None:
        """Refuse an ``_Alignas`` that C does not know: it raises the alignment of a member."""
        if wish.n is not None and not is_named:
            self.fail("an attribute on a member without a name is not supported", wish.n)
        if wish.least and is_bits:
            self.fail("'_Alignas' on a bit-field is no C", wish.n)
        if wish.least:
            own = self.measure(made, "_Alignof", wish.n or 0)
            if wish.least < own:
                self.fail(f"_Alignas({wish.least}) on a type that is aligned to {own}", wish.n)
