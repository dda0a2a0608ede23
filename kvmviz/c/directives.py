"""Directives: what they leave of a text, and what they add (C11 6.10).

Why not a library: of those that Python has, pcpp reads a header as well as this does, but takes
files from disk, memory without end for ``#if 1 << 99999999999``, and 24 seconds for macros that
double 18 times; libclang takes 800 MB for macros that double 24 times, and no end was seen of a
declarator of 100,000 brackets. pycparser has none. Here work is bounded by the count of tokens,
and it is known which macros of the target a text has asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from kvmviz.c import library, target
from kvmviz.c.conditions import Conditions
from kvmviz.c.expand import MARK, MAX_DEPTH, Expander, Macro
from kvmviz.c.files import Files
from kvmviz.c.source import MAX_TOKENS, Line, Token

MAX_INCLUDES = 5000
"""Headers that a text includes, each as often as it is read."""

KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
        auto break case char const continue default do double else enum extern float for goto if
        inline int long register restrict return short signed sizeof static struct switch
        typedef union unsigned void volatile while _Alignas _Alignof _Atomic _Bool _Complex
        _Generic _Imaginary _Noreturn _Static_assert _Thread_local asm
        """,
    )
)
"""What C reserves: none is a name, and none may be a macro."""


_LAYING = [
    line.split()
    for line in """
    scalar_storage_order
    ms_struct
    options
    align
    push_macro
    pop_macro
    GCC optimize
    clang attribute
    """.splitlines()
    if line.strip()
]
"""Pragmas that change layouts, or the macros that do."""


@dataclass
class _If:
    """An ``#if`` that is open: whether its part is read, whether one has been or will not be."""

    at: int
    active: bool
    done: bool
    last: bool = False


class Preprocessor:
    """Reads a text for one target; what it asks of the target is kept in ``facts``."""

    def __init__(self, files: Files, macros: Mapping[str, str], facts: target.Facts) -> None:
        self.files, self.source, self.target, self.facts = files, files.main, macros, facts
        self.macros: dict[str, Macro | None] = {}
        self.expander = Expander(self.source, self.find)
        self.conditions = Conditions(files, self.expander, self.find)
        self.pragmas: dict[int, list[str]] = {}
        self.depth = self.count = self.spent = 0

    def tokens(self) -> Iterator[Token]:
        """All that is left of the text, macros put in."""
        return self.expander.expand(self.read(self.files.main_lines()))

    def find(self, name: str) -> Macro | None:
        """What a name stands for here."""
        if name in self.macros:
            return self.macros[name]
        if name in target.names():
            value = self.facts.macros[name] = self.target.get(name)
            return None if value is None else _plain(name, value)
        return _standard().get(name)

    def read(self, lines: list[Line]) -> Iterator[Token]:
        """The tokens of one file, its directives obeyed."""
        stack: list[_If] = []
        for at, directive, tokens in lines:
            active = not stack or stack[-1].active
            if not directive:
                if active:
                    self.expander.spend(len(tokens), at)
                    yield from tokens
                continue
            self.spent += 1 + active * len(tokens)
            if self.spent > MAX_TOKENS:
                self.source.fail(at, f"more than {MAX_TOKENS} words and signs in directives")
            word, rest = (tokens[0][0], tokens[1:]) if tokens else ("", [])
            if word in ("if", "ifdef", "ifndef"):
                value = active and self.conditions.holds(word, rest, at)
                stack.append(_If(at, value, value or not active))
            elif word in ("elif", "elifdef", "elifndef", "else", "endif"):
                if not stack or (word != "endif" and stack[-1].last):
                    self.source.fail(at, f"'#{word}' without an '#if'")
                if word == "endif":
                    stack.pop()
                    continue
                top = stack[-1]
                top.last = word == "else"
                top.active = not top.done and (
                    top.last or self.conditions.holds(word[2:], rest, at)
                )
                top.done = top.done or top.active
            elif active:
                yield from self.obey(word, rest, at)
        if stack:
            self.source.fail(stack[-1].at, f"{self.line(stack[-1].at)!r} is never closed")

    def line(self, at: int) -> str:
        """A directive as it was written."""
        return self.source.snippet(at)

    def obey(self, word: str, rest: list[Token], at: int) -> Iterator[Token]:
        """A directive that is no condition."""
        if word == "define":
            self.define(rest, at)
        elif word == "undef":
            name = rest[0][0] if rest else ""
            if not name.isidentifier() or len(rest) > 1:
                self.source.fail(at, f"{self.line(at)!r} names no macro")
            self.macros[name] = None
        elif word in ("include", "include_next", "import"):
            yield from self.include(rest, at)
        elif word == "error":
            self.source.fail(at, self.line(at))
        elif word == "pragma":
            yield from self.pragma(rest, at)
        elif not word.isdigit() and word not in ("", "warning", "ident", "sccs", "line"):
            self.source.fail(at, f"this directive is not supported: {self.line(at)!r}")

    def pragma(self, tokens: list[Token], at: int) -> Iterator[Token]:
        """A ``#pragma``: ``pack`` stays in its place, those that lay nothing out are dropped."""
        words = [word for word, _, _ in tokens]
        if words[:1] == ["pack"]:
            macro = next((word for word in words[1:] if self.find(word)), None)
            if macro:
                self.source.fail(
                    at, f"{macro!r} in '#pragma pack': clang puts a macro in there, gcc does not"
                )
            self.pragmas[at] = words[1:]
            yield (MARK, at, frozenset())
        elif words[:1] in _LAYING or words[:2] in _LAYING:
            self.source.fail(at, f"this directive is not supported: {self.line(at)!r}")

    def define(self, tokens: list[Token], at: int) -> None:
        """Keep a macro."""
        name = tokens[0][0] if tokens else ""
        if not name.isidentifier() or name in KEYWORDS or name == "defined":
            self.source.fail(at, f"{self.line(at)!r} gives no legal name to a macro")
        made = self.made(tokens, at)
        old = self.macros.get(name)
        if old and (old.words, old.parameters) != (made.words, made.parameters):
            both = self.source.at(at), self.source.at(old.at)
            if all(file is self.files.main for file in both):
                self.source.fail(at, f"macro {name!r} is defined twice, with two values")
        self.macros[name] = made

    def made(self, tokens: list[Token], at: int) -> Macro:
        """The macro that a definition gives."""
        name, place, _ = tokens[0]
        after = tokens[1] if len(tokens) > 1 else None
        if after is None or after[0] != "(" or after[1] != place + len(name):
            return Macro(name, tuple(tokens[1:]), at=at)
        words = [word for word, _, _ in tokens]
        if ")" not in words:
            self.source.fail(at, f"{self.line(at)!r} has no closing bracket")
        end = words.index(")")
        parameters, rest = words[2:end], False
        if parameters[-1:] == ["..."]:
            rest = True
            parameters[-1:] = ["__VA_ARGS__"] if parameters[-2:-1] in ([], [","]) else []
        names = parameters[::2]
        legal = all(one.isidentifier() for one in names) and set(parameters[1::2]) <= {","}
        if not legal or len(set(names)) < len(names) or (parameters and not len(parameters) % 2):
            self.source.fail(at, f"{self.line(at)!r} has no legal parameters")
        return Macro(name, tuple(tokens[end + 1 :]), tuple(names), rest, at)

    def include(self, tokens: list[Token], at: int) -> Iterator[Token]:
        """Another file in this place, if it is given."""
        if tokens and tokens[0][0].isidentifier():
            tokens = list(self.expander.expand(tokens))
        words = [word for word, _, _ in tokens]
        if words[:1] == ["<"] and words[-1][-1] == ">" and len(words) > 2:
            # What stands between the signs is no C: 'a//b.h', "don't.h".
            name = "".join(words[1:])[:-1]
        elif len(words) == 1 and words[0][0] == '"' and len(words[0]) > 2:
            name = words[0][1:-1]
        else:
            self.source.fail(at, f"{self.line(at)!r} names no header")
        lines = self.files.header(name, at, len(words) == 1)
        if lines is None:
            return
        self.count += 1
        if self.count > MAX_INCLUDES:
            self.source.fail(at, f"more than {MAX_INCLUDES} headers")
        if self.depth >= MAX_DEPTH:
            self.source.fail(at, f"more than {MAX_DEPTH} headers that include each other")
        self.depth += 1
        yield from self.read(lines)
        self.depth -= 1


def _plain(name: str, text: str) -> Macro:
    return Macro(name, tuple((word, 0, frozenset[str]()) for word in text.split()))


@cache
def _standard() -> Mapping[str, Macro]:
    """What holds on every ABI where a text says nothing else."""
    text = target.ANNOTATIONS + library.PREDEFINED
    reader = Preprocessor(Files(text, None), {}, target.Facts())
    list(reader.tokens())
    found = {name: macro for name, macro in reader.macros.items() if macro}
    return {name: _plain(name, text) for name, text in target.common().items()} | found
