"""A translation unit: one external declaration after the other (C11 6.9).

Each is cut out of the preprocessor's tokens with its brackets in pairs, then read. Functions and
variables, which change no layout, are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.c import types
from kvmviz.c.constants import LAID, QUALIFIERS, TAGS
from kvmviz.c.declarations import POINTS, Base, Declarations, first_name
from kvmviz.c.macros import bracket
from kvmviz.c.preprocessor import PACKS, UNPACKS, Files, Preprocessor
from kvmviz.c.source import KEYWORDS, MARK, MAX_DEPTH, NOWHERE, Token, by_name, is_torn, shortened
from kvmviz.c.target import Facts
from kvmviz.c.types import Kind
from kvmviz.ctype import SCALARS

_SPELLED = by_name({
    "signed": "__signed__ __signed",
    "const": "__const __const__",
    "volatile": "__volatile__ __volatile",
    "inline": "__inline__ __inline __always_inline",
    "restrict": "__restrict __restrict__",
    "offsetof": "__builtin_offsetof",
    "__asm__": "asm",
    "__alignof__": "__alignof",
    "_Static_assert": "static_assert",
    "typeof": "__typeof __typeof__",
    "": "__extension__",
})  # fmt: skip
"""What GNU C and the kernel write for words of C."""
_LINKAGE = ('"C"', '"C++"')
"""C++ says so behind ``extern``, of one declaration or of all between braces, which are C."""
_PAIRS = ("[]", "()", "{}")
_SIGNS = frozenset("[](){}.,:;?~!<>=+-*/%&|^\"'")
MAX_REFUSED = 1000
"""Declarations of a text that are not understood; one with more is no C."""
_QUIET = re.compile(r'"\s*(GCC|clang) (diagnostic|poison)\b')
"""Pragmas that lay nothing out."""
_INSIDE = "'#pragma pack' inside a declaration"


class Unit(Declarations):
    """Reads a whole text: what can be understood for certain, and why the rest cannot.

    ``errors`` says of all declarations of the text that are not understood why that is so.
    """

    def __init__(self, reader: Preprocessor, known: Mapping[str, Kind] | None = None) -> None:
        super().__init__(reader, undeclared() if known is None else known)
        self.tables: list[dict[str, Any]] = [self.typedefs, self.values, self.structs, self.places]
        self.errors: list[str] = []
        self.doubt = ""

    def read(self) -> None:
        """All that stands at file scope."""
        for tokens, closing in self.external():
            self.load(tokens, closing)
            self.depth, self.failed, self.made = 0, "", []
            sizes = [len(table) for table in self.tables]
            try:
                self.declaration()
            except KvmvizError as error:
                self.failed = self.failed or f"{error}"
            why = self.why or self.failed
            if self.failed:
                self.sweep()
            is_new = self.made or sizes != [len(table) for table in self.tables]
            if self.failed or (why and is_new):
                self.withdraw(sizes, why)
                self.leave(self.words, self.spots, why)
                self.say(why)
            self.why = ""

    def numbers(self) -> dict[str, int | None]:
        """The text's own enumerators and macros in order; None for what is no certain integer.

        Nor is what depends on the target.
        """
        places = {name: at for name, at in self.enumerators.items() if name in self.values}
        places |= {
            name: macro.at for name, macro in self.reader.macros.items()
            if macro and macro.body and macro.parameters is None
        }  # fmt: skip
        found: dict[str, int | None] = {}
        for name, at in sorted(places.items(), key=lambda row: row[1]):
            if self.source.at(at) is self.source:
                found[name] = self.number(name, at)
        return found

    def number(self, name: str, at: int) -> int | None:
        """The integer that a name stands for at the end of the text, wherever it is read."""
        if name in self.reader.expander.doubted:
            return None
        self.facts = self.reader.facts = Facts()
        try:
            tokens = list(self.reader.expander.expand([(name, at, NOWHERE)]))
            self.load([*tokens, (";", at, NOWHERE)])
            self.depth, value = 0, self.constant()
        except KvmvizError:
            return None
        return value if self.n == len(tokens) and not self.facts.said else None

    def sweep(self) -> None:
        """Of what cannot be read, keep the names that look like macros outside all brackets."""
        n = 0
        while self.words[0] != "typedef" and n < len(self.words) - 1:
            if self.is_strange(n) and self.words[n - 1] not in TAGS:
                self.strange.setdefault(self.words[n], self.spots[n])
            n = self.closing.get(n, n) + 1

    def withdraw(self, sizes: Sequence[int], why: str) -> None:
        """Take back all that a declaration has said; the tables had these sizes before it."""
        names = [*self.typedefs][sizes[0] :]
        for table, size in zip(self.tables, sizes, strict=True):
            while len(table) > size:
                table.popitem()
        for kind in self.made:
            kind.type = None
        for name in names:
            # There may be pointers to it all the same.
            self.typedefs[name], self.spoilt[name] = Kind(name), why

    def say(self, why: str) -> None:
        """Keep a reason that concerns the text itself, not only a header."""
        if self.source.at(self.spots[0]) is self.source:
            self.errors.append(why)
            if len(self.errors) > MAX_REFUSED:
                raise KvmvizError(self.errors[0])

    def leave(self, words: Sequence[str], spots: Sequence[int], why: str) -> None:
        """Remember why a declaration is not known, by all names in it."""
        for n, name in opened(words):
            self.structs.pop(name, None)
            self.standard.pop(f"{words[n]} {name}", None)
            self.spoilt.setdefault(f"{words[n]} {name}", why)
            if self.source.at(spots[n]) is self.source:
                self.own.add(name)
                self.places.setdefault(name, spots[n])
                self.refused.setdefault(name, why)
        for before, word in zip(["", *words], words, strict=False):
            title = f"{before} {word}" if before in TAGS else word
            kind = self.tags.get(title)
            taken = (kind and kind.type) or title in self.typedefs or not word.isidentifier()
            if not (taken or word in KEYWORDS or self.undeclared(title, Facts())):
                self.spoilt.setdefault(title, why)

    # --- tokens ------------------------------------------------------------------------------

    def external(self) -> Iterator[tuple[list[Token], dict[int, int]]]:
        """Tokens of one declaration, brackets in pairs; of a function's body only ``{``."""
        tokens = self.reader.tokens()
        found: list[Token] = []
        opened: list[int] = []
        closing: dict[int, int] = {}
        last, aside = "", -1  # the last word outside attributes; brackets where one began
        linkages: list[Token] = []
        for word, place, macros in tokens:
            word = _SPELLED.get(word, word)
            ends = False
            if word[:1] == MARK:
                self.marked(word[1:2], word[2:], bool(found))
                if word[1:2] != "(":
                    continue
                if opened:
                    self.source.fail(place, _INSIDE)
                if found:
                    yield found, closing
                    found, closing, last = [], {}, ""
                self.packing.obey(word[1:], place)
                continue
            self.why = self.why or self.doubt or self.reader.expander.doubt
            self.reader.expander.doubt = ""
            if not word:
                continue
            if word in _LINKAGE and [one for one, _, _ in found] == ["extern"]:
                found, last = [], word
                continue
            if not found and word == "{" and last in _LINKAGE:
                linkages.append((word, place, macros))
                last = ""
                continue
            if not found and word == "}" and linkages:
                linkages.pop()
                continue
            if word == "_Pragma":
                self.quiet(tokens, place)
                continue
            if word == "{" and not opened and last == ")":
                self.body(tokens, place)
                ends = True
            elif word in ("(", "[", "{"):
                opened.append(len(found))
                if len(opened) > MAX_DEPTH:
                    self.source.fail(place, f"more than {MAX_DEPTH} brackets inside each other")
            elif word in (")", "]", "}"):
                if not opened:
                    self.source.fail(place, f"{word!r} closes nothing")
                if found[opened[-1]][0] + word not in _PAIRS:
                    self.source.fail(place, f"{word!r} closes another kind of bracket")
                closing[opened.pop()] = len(found)
            elif not (word.isidentifier() and word.isascii()):
                self.check(word, place)
            found.append((word, place, macros))
            if aside < 0 and word == "__attribute__":
                aside = len(opened)
            elif aside < 0:
                last = word
            elif word == ")" and len(opened) == aside:
                aside = -1
            if ends or (word == ";" and not opened):
                yield found, closing
                found, closing, last, aside = [], {}, "", -1
        for word, place, _ in [found[at] for at in reversed(opened)] or linkages:
            self.source.fail(place, f"{word!r} is never closed")
        if found:
            yield found, closing

    def marked(self, sign: str, why: str, is_inside: bool) -> None:
        """What the preprocessor says between two tokens; see there."""
        if sign == "?":
            self.doubt = why
        elif sign == "!":
            self.packing.why = why
        if is_inside and sign != "(":
            self.why = self.why or why
            self.strange |= self.reader.doubts.get(why, {})
        for tokens, reason in self.reader.omitted:
            words = [_SPELLED.get(word, word) for word, _, _ in tokens]
            self.leave(words, [place for _, place, _ in tokens], reason)
        self.reader.omitted.clear()

    def check(self, word: str, place: int) -> None:
        """Refuse what is no word and no sign of C."""
        if word in ("#", "##"):
            self.source.fail(place, f"{word!r} is legal at the start of a line only")
        if is_torn(word):
            self.source.fail(place, f"{word.lstrip('LuU8')[0]} is never closed")
        odd = word if len(word) == 1 and not word.isalnum() and word not in _SIGNS else ""
        if odd or (not word.isascii() and word.lstrip("LuU8")[:1] != '"'):
            bad = odd or next(sign for sign in word if not sign.isascii())
            told = f"character {bad!r} is legal in comments only"
            self.source.fail(place + word.index(bad), told)

    def quiet(self, tokens: Iterator[Token], place: int) -> None:
        """Pass over a ``_Pragma`` that lays nothing out."""
        text = "".join(word for word, _, _ in bracket(lambda: next(tokens, None)))
        if not _QUIET.match(text[1:]):
            told = shortened(text[1:-1])
            self.source.fail(place, f"a '_Pragma' is not supported: {told}")

    def body(self, tokens: Iterator[Token], place: int) -> None:
        """Pass over a function's body."""
        depth = 1
        for word, at, _ in tokens:
            if word[:2] == f"{MARK}(":
                self.source.fail(at, _INSIDE)
            if word[:1] == MARK:
                # What stands in a body is nobody's type.
                self.reader.omitted.clear()
                self.marked(word[1:2], word[2:], False)
            depth += (word == "{") - (word == "}")
            if not depth:
                return
        self.source.fail(place, "'{' is never closed")

    # --- declarations ------------------------------------------------------------------------

    def declaration(self) -> None:
        """One declaration at file scope."""
        if self.take(";"):
            return
        if self.word in ("__asm__", "_Static_assert"):
            self.aside()
        elif self.take("typedef"):
            self.typedef()
        else:
            self.passed()

    def passed(self) -> None:
        """A function or a variable that others define, or a type alone."""
        base = self.base(is_outside=True)
        if base.word and self.take(";"):
            self.harmless(base.wish)
            return
        begin = self.n
        if self.named_thing(base, is_first=True):
            plain = self.words[begin] != "*" and self.words[begin] not in QUALIFIERS
            is_known = base.kind is not None and base.kind.type is not None
            if base.word in ("struct", "union") and plain and not (base.defines or is_known):
                # Of a struct that is not known, a macro may stand in front of the braces.
                self.unknown(begin)
            return
        while self.take(","):
            self.named_thing(base)
        self.expect(";")

    def named_thing(self, base: Base, is_first: bool = False) -> bool:
        """Pass over one function or variable; whether it is a function whose body stands here."""
        start = self.n
        while self.word in POINTS or self.word in ("*", "__attribute__"):
            self.attributes() if self.word == "__attribute__" else self.next()
        if base.kind is None and is_first and self.word in ("(", ";"):
            name = self.words[base.n]
            if PACKS.search(name):
                # As a header that packs: see Preprocessor.lacking.
                self.packing.why = "" if UNPACKS.search(name) else self.strangeness(base.n)
            self.unknown(base.n)
        n, is_named = self.n, self.word != "("
        self.identifier() if is_named else self.skip()
        is_function = self.word == "("
        is_alone = start == n and is_named and self.word not in ("(", "[", "=")
        while self.word in ("(", "[", "__asm__", "__attribute__"):
            if self.word == "__attribute__":
                # What they say of a function or a variable changes no type.
                self.next()
                self.skip()
            elif not self.take("__asm__"):
                self.skip()
        if is_first and is_function and self.word == "{":
            return True
        if is_first and not is_function and not base.storage & {"extern", "static"}:
            name = self.words[n]
            if is_alone and (name[0] == "_" or name == name.upper() or LAID.search(name.upper())):
                self.unknown(n)
            self.type_of(base)
        if self.take("="):
            while self.word not in (",", ";", ""):
                self.skip() if self.n in self.closing else self.next()
        return False


def opened(words: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The structs and unions that a row of words defines: a number and a name each."""
    for n, word in enumerate(words):
        at, depth, name = n + 1, 0, ""
        while word in ("struct", "union") and at < len(words):
            # Between the keyword and the braces stand attributes, macros, and the tag at last.
            depth += (words[at] in ("(", "[")) - (words[at] in (")", "]"))
            is_name = words[at].isidentifier() and words[at] not in KEYWORDS
            if not depth and words[at] in ("{", ";", ",", "*", "="):
                break
            if not depth and is_name and words[at + 1 : at + 2] != ["("]:
                name = words[at]
            at += 1
        if words[at : at + 1] != ["{"] or word not in ("struct", "union"):
            continue
        is_typedef = "typedef" in words[:n]
        if is_typedef and (not name or LAID.search(name)) and "{" not in words[:n]:
            depth = 1
            while depth and at + 1 < len(words):
                at += 1
                depth += (words[at] == "{") - (words[at] == "}")
            name = first_name(words, at + 1)
        if name:
            yield n, name


@cache
def undeclared() -> Mapping[str, Kind]:
    """Types that need no declaration, by name and by tag."""
    known = {name: Kind(name) for name in ("void", *types.FLOATS)}
    known |= {name: Kind(name, scalar, scalar.size or 8) for name, scalar in SCALARS.items()}
    reader = Unit(Preprocessor(Files(types.TYPES), next(iter(ABIS.values())), Facts()), known)
    reader.read()
    return known | reader.typedefs | reader.tags
