"""A translation unit: one external declaration after the other (C11 6.9).

Each is cut out of the preprocessor's tokens with its brackets in pairs, then read. Functions and
variables, which change no layout, are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvmviz._base import KvmvizError
from kvmviz.c import types
from kvmviz.c.constants import QUALIFIERS, TAGS
from kvmviz.c.declarations import POINTS, Base, Declarations
from kvmviz.c.macros import MARK, bracket
from kvmviz.c.source import KEYWORDS, MAX_DEPTH, Token, by_name, is_torn, shortened
from kvmviz.c.target import Facts

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
_PAIRS = ("[]", "()", "{}")
_SIGNS = frozenset("[](){}.,:;?~!<>=+-*/%&|^\"'")
_LAID = re.compile("pack|align|attr", re.IGNORECASE)
_QUIET = re.compile(r'"\s*(GCC|clang) (diagnostic|poison)\b')
"""Pragmas that lay nothing out."""
_INSIDE = "'#pragma pack' inside a declaration"


class Unit(Declarations):
    """Reads a whole text."""

    def read(self) -> None:
        """All that stands at file scope."""
        for tokens, closing in self.external():
            self.load(tokens, closing)
            self.depth = 0
            try:
                self.declaration()
            except KvmvizError as error:
                if self.source.at(self.spots[0]) is self.source:
                    raise
                # Of a header, only what the text uses need be understood.
                self.spoil(f"{error}")

    def spoil(self, why: str) -> None:
        """Remember why a header's declaration is not understood, by all names in it."""
        for before, word in zip(["", *self.words], self.words, strict=False):
            title = f"{before} {word}" if before in TAGS else word
            kind = self.tags.get(title)
            taken = (kind and kind.type) or title in self.typedefs or not word.isidentifier()
            if not (taken or word in KEYWORDS or types.named(title, Facts(), self.abi)):
                self.spoilt.setdefault(title, why)

    # --- tokens ------------------------------------------------------------------------------

    def external(self) -> Iterator[tuple[list[Token], dict[int, int]]]:
        """Tokens of one declaration, brackets in pairs; of a function's body only ``{``."""
        tokens = self.reader.tokens()
        found: list[Token] = []
        opened: list[int] = []
        closing: dict[int, int] = {}
        last, aside = "", -1  # the last word outside attributes; brackets where one began
        for word, place, macros in tokens:
            word = _SPELLED.get(word, word)
            ends = False
            if word[:1] == MARK:
                if opened:
                    self.source.fail(place, _INSIDE)
                if found:
                    yield found, closing
                    found, closing, last = [], {}, ""
                self.packing.obey(word[1:], place)
                continue
            if not word:
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
        if opened:
            word, place, _ = found[opened[-1]]
            self.source.fail(place, f"{word!r} is never closed")
        if found:
            yield found, closing

    def check(self, word: str, place: int) -> None:
        """Refuse what is no word and no sign of C."""
        if word in ("#", "##"):
            self.source.fail(place, f"{word!r} is legal at the start of a line only")
        if is_torn(word):
            self.source.fail(place, f"{word.lstrip('L')[0]} is never closed")
        odd = word if len(word) == 1 and not word.isalnum() and word not in _SIGNS else ""
        if odd or (not word.isascii() and word.lstrip("L")[:1] != '"'):
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
            if word[:1] == MARK:
                self.source.fail(at, _INSIDE)
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
            if base.kind and not base.kind.name:
                self.refuse("a definition with neither tag nor typedef name", base.n)
            self.harmless(base.wish)
            return
        begin = self.n
        if self.named_thing(base, is_first=True):
            plain = self.words[begin] != "*" and self.words[begin] not in QUALIFIERS
            if base.word in ("struct", "union") and not base.defines and plain:
                # A macro that nobody defined may stand in front of the braces of a struct.
                self.refuse("a function that returns a struct", begin)
            return
        while self.take(","):
            self.named_thing(base)
        self.expect(";")

    def named_thing(self, base: Base, is_first: bool = False) -> bool:
        """Pass over one function or variable; whether it is a function whose body stands here."""
        start = self.n
        while self.word in POINTS or self.word in ("*", "__attribute__"):
            self.attributes() if self.word == "__attribute__" else self.next()
        if self.word == "(" and base.kind is None and is_first:
            self.skip()
            self.refuse("a macro with arguments", base.n)
        n, is_named = self.n, self.word != "("
        self.identifier() if is_named else self.skip()
        is_function = self.word == "("
        is_alone = start == n and is_named and self.word not in ("(", "[", "=")
        while self.word in ("(", "[", "__asm__", "__attribute__"):
            if self.word == "__attribute__":
                self.attributes()
            elif not self.take("__asm__"):
                self.skip()
        if is_first and is_function and self.word == "{":
            return True
        if is_first and not is_function and not base.storage & {"extern", "static"}:
            name = self.words[n]
            if is_alone and (name[0] == "_" or name == name.upper() or _LAID.search(name)):
                self.refuse("a variable or an attribute macro", n)
            self.known(base)
        if self.take("="):
            while self.word not in (",", ";", ""):
                self.skip() if self.n in self.closing else self.next()
        return False
