"""A text as tokens of C, each of which knows its place.

A backslash at a line's end joins the line to the next one before anything else is looked at
(C11 5.1.1.2); a comment is a blank. Places count characters of the joined text of one file; the
text itself begins at 0, each header that it includes further on.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, NoReturn

from kvmviz._base import KvmvizError

MAX_TEXT = 1 << 20
"""Characters in a text."""
MAX_HEADERS = 4 << 20
"""Characters in a text with all the headers that it includes."""
MAX_WORD = 4096
"""Characters in a word or string: C11 5.2.4.1 asks as much of compilers."""
MAX_TOKENS = 200_000
"""Words and signs in one file, and in all that a text stands for on one ABI, directives too."""
MAX_WORK = 300_000
"""The same for all ABIs together, if they do not read it alike."""
MAX_DEPTH = 63
"""Brackets or types inside each other, macros in a row: C11 5.2.4.1 asks as much of compilers."""

MARK = "\n"
"""What a token begins with that is no C: see :class:`kvmviz.c.preprocessor.Preprocessor`."""
NOWHERE: frozenset[str] = frozenset()
Token = tuple[str, int, frozenset[str]]
"""A word, number, string or sign; its place; the macros that it comes out of."""


def word_set(text: str) -> frozenset[str]:
    """The words of a table."""
    return frozenset(text.split())


def by_name(rows: Mapping[str, str]) -> dict[str, str]:
    """A table turned around: what stands for each of the names that a row lists."""
    return {name: value for value, names in rows.items() for name in names.split()}


KEYWORDS = word_set("""
    auto break case char const continue default do double else enum extern float for goto if
    inline int long register restrict return short signed sizeof static struct switch
    typedef union unsigned void volatile while _Alignas _Alignof _Atomic _Bool _Complex
    _Generic _Imaginary _Noreturn _Static_assert _Thread_local asm
""")
"""What C reserves: none is a name, and none may be a macro."""

LINE_END = re.compile(r"\r\n?|\n")
_TORN = re.compile(r"(?:u8?|[UL])?(?:\"(?:\\.|[^\"\\])*+|'(?:\\.|[^'\\])*+)\\?")
_DIGRAPHS = {"<%": "{", "%>": "}", "<:": "[", ":>": "]", "%:": "#", "%:%:": "##"}
_JOINT = re.compile(r"\\[ \t\r]*\n")
_LONG = re.compile(r"\w{80,}")
_SCAN = re.compile(
    r"(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<open>/\*)|(?P<line>\n)"
    r"|(?P<header>(?:^[ \t]*(?:#|%:)[ \t]*(?:include|include_next|import)[ \t]*"
    r"|__has_include(?:_next)?[ \t]*\([ \t]*)<[^<>\n]+>)"
    r"|(?:u8?|[UL])?\"(?:\\.|[^\"\\\n])*+\"?|[uUL]?'(?:\\.|[^'\\\n])*+'?"
    r"|<%|%>|<:|:>|%:%:|%:|[A-Za-z_]\w*|\.?\d(?:[eEpP][+-]|[\w.])*"
    r"|\.\.\.|<<=|>>=|##|->|\+\+|--|<<|>>|[<>=!+*/%&|^-]=|&&|\|\||[^ \t\r\f\v\n]",
    re.DOTALL | re.MULTILINE,
)
_PARTS = re.compile(r"%:|#|\w+|\(|<.*")
"""A header's name, which is one word whatever stands between its signs, and those before it."""


def is_torn(text: str) -> bool:
    """Whether this is a string or character constant that its line does not close.

    It reaches to the end of the line, as gcc and clang have it.
    """
    return _TORN.fullmatch(text) is not None


def is_token(text: str) -> bool:
    """Whether this is one word, number, string or sign of C."""
    match = _SCAN.fullmatch(text) if len(text) <= MAX_WORD else None
    return match is not None and match.lastgroup is None and not is_torn(text)


def shortened(text: str) -> str:
    """The start of what is too long for a message."""
    return text if len(text) <= 40 else f"{text[:37]}..."


class Line(NamedTuple):
    """Tokens up to a place; a directive's without its ``#``."""

    at: int
    directive: bool
    tokens: list[Token]


class Source:
    """One file: the text itself, or a header that it includes.

    ``base`` is the place of its first character, ``included`` that of the directive which asks
    for it, None for the text itself. ``sources`` are the files before it, which it joins.
    """

    def __init__(
        self, sources: list[Source], text: str, name: str = "", included: int | None = None
    ) -> None:
        if not isinstance(text, str):
            raise KvmvizError(f"C text is a str, not {type(text).__name__}")
        self.name, self.included, self.sources = name, included, sources
        self.base: int = sources[-1].base + len(sources[-1].text) + 1 if sources else 0
        sources.append(self)
        # Line ends as C sees them; what an editor puts in front of a text is a blank.
        text = LINE_END.sub("\n", text) if "\r" in text else text
        text = f" {text[1:]}" if text[:1] == "\ufeff" else text
        self.original = text
        self.text: str = text
        self.joints: list[int] = []
        self.removed: list[int] = []
        if included is None and len(text) > MAX_TEXT:
            way = "of a kernel's vmlinux.h, /sys/kernel/btf/vmlinux or the kernel itself says all"
            told = f"the text goes on here; legal are {MAX_TEXT} characters; {way}"
            self.fail(MAX_TEXT, told)
        if included is not None and self.base + len(text) > MAX_HEADERS:
            self.fail(included, f"more than {MAX_HEADERS} characters with this header")
        if "\\" in text:
            found = list(_JOINT.finditer(text))
            self.removed = [0, *accumulate(len(joint[0]) for joint in found)]
            self.joints = [
                joint.start() - gone for joint, gone in zip(found, self.removed, strict=False)
            ]
            self.text = _JOINT.sub("", text)

    @cached_property
    def starts(self) -> list[int]:
        """Where each line begins, in characters as it was written."""
        return [0, *(match.end() for match in LINE_END.finditer(self.original))]

    @cached_property
    def lines(self) -> list[Line]:
        """Every directive, and the tokens between two of them."""
        base, found = self.base, [Line(self.base, False, [])]
        fresh, count = True, 0
        for match in self.matches():
            word, kind = match[0], match.lastgroup
            if kind is None:
                count += 1
                if len(word) > MAX_WORD:
                    most = f"a word of more than {MAX_WORD} characters"
                    self.fail(base + match.start(), most)
                word = _DIGRAPHS.get(word, word)
                token = (word, base + match.start(), NOWHERE)
                if fresh and word == "#":
                    found.append(Line(token[1], True, []))
                else:
                    found[-1].tokens.append(token)
                fresh = False
            elif kind == "line":
                if found[-1].directive:
                    found.append(Line(base + match.start(), False, []))
                fresh = True
            elif kind == "open":
                self.fail(base + match.start(), "/* is never closed")
            if count > MAX_TOKENS:
                self.fail(base + match.start(), f"more than {MAX_TOKENS} words and signs")
        return found

    def matches(self) -> Iterator[re.Match[str]]:
        """The words, comments and ends of lines."""
        for match in _SCAN.finditer(self.text):
            if match.lastgroup == "header":
                yield from _PARTS.finditer(self.text, *match.span())
            else:
                yield match

    def at(self, place: int) -> Source:
        """The file in which a place lies."""
        return self.sources[bisect([one.base for one in self.sources], place) - 1]

    def offset(self, place: int) -> int:
        """A place of this file, counted in characters as it was written."""
        place -= self.base
        return place + (self.removed[bisect(self.joints, place)] if self.joints else 0)

    def stop(self, word: str, place: int) -> int:
        """Behind the word at a place, or behind the macro that stands there for it."""
        own = self.at(place)
        start = place - own.base
        if own.text.startswith(word, start):
            return place + len(word)
        match = _SCAN.match(own.text, start)
        return own.base + (match.end() if match else start)

    def snippet(self, start: int) -> str:
        """The line that begins at a place, for a message."""
        own = self.at(start)
        first = own.offset(start)
        return shortened(own.original[first : first + MAX_WORD].split("\n", 1)[0].rstrip())

    def where(self, place: int) -> str:
        """Line and column of a place; for one in a header, those of the directive, then its own."""
        own = self.at(place)
        name, offset = own.name, own.offset(place)
        line = bisect(own.starts, offset)
        told = f"line {line}, column {offset - own.starts[line - 1] + 1}"
        if own.included is None:
            return told
        while own.included is not None:
            place, own = own.included, own.at(own.included)
        return f"{own.where(place)}: <{name}>, {told}"

    def message(self, place: int, words: str) -> str:
        """A message that points at a place."""
        words = _LONG.sub(lambda match: shortened(match[0]), words)
        # A terminal obeys what a text may hold.
        words = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in words)
        return f"{self.where(place)}: {words}"

    def fail(self, place: int, words: str) -> NoReturn:
        """Raise :class:`KvmvizError` that points at a place."""
        raise KvmvizError(self.message(place, words))


class Cursor:
    """Tokens in a row, and the number ``n`` of the one that is read next.

    Behind the last stands the empty word. ``closing`` has the number of the bracket that closes,
    by that of the one that opens.
    """

    def __init__(self, source: Source, tokens: Sequence[Token]) -> None:
        self.source = source
        self.load(tokens)

    def load(self, tokens: Sequence[Token], closing: Mapping[int, int] | None = None) -> None:
        """Begin at the first of other tokens."""
        self.n = 0
        self.words = [word for word, _, _ in tokens]
        self.spots = [place for _, place, _ in tokens]
        self.words.append("")
        self.spots.append(self.spots[-1] if tokens else 0)
        self.closing = closing or {}

    @property
    def word(self) -> str:
        """The word that is read next."""
        return self.words[self.n]

    def next(self) -> str:
        """The word, which has been read then."""
        word = self.words[self.n]
        self.n += bool(word)
        return word

    def take(self, word: str) -> bool:
        """Read that word, if it comes next."""
        found = self.words[self.n] == word
        self.n += found
        return found

    def skip(self) -> list[str]:
        """Pass over the bracket that opens here; the words in it."""
        if self.n not in self.closing:
            self.expected("'('")
        start, self.n = self.n + 1, self.closing[self.n] + 1
        return self.words[start : self.n - 1]

    def expect(self, word: str) -> None:
        """Read that word; :class:`KvmvizError` if another comes next."""
        if not self.take(word):
            self.expected(f"{word!r}")

    def expected(self, what: str) -> NoReturn:
        """Raise for what is missing here, behind the word before."""
        if not self.n:
            self.fail(f"expected {what}, not {shortened(self.word)!r}")
        word, place = self.words[self.n - 1], self.spots[self.n - 1]
        end = self.source.stop(word, place)
        after = self.source.snippet(place)[: end - place] or word
        self.source.fail(end, f"expected {what} after {after!r}")

    def written(self, start: int, stop: int | None = None) -> str:
        """The words from one number to another, one blank between two, for a message."""
        return shortened(" ".join(self.words[start : self.n if stop is None else stop]).strip())

    def fail(self, words: str, n: int | None = None) -> NoReturn:
        """Raise :class:`KvmvizError` that points at the word of a number, or at the next one."""
        self.source.fail(self.spots[self.n if n is None else n], words)
