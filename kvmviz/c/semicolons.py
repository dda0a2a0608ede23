"""Semicolons: where one is missing that the grammar would look for elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvmviz.c.expand import MARK
from kvmviz.c.source import NOWHERE, Source, Token

MAX_APART = 50_000
"""Words and signs with no semicolon among them: over junk, the grammar takes long."""
ATTRIBUTE = ("__attribute__", "__attribute")

_TYPES = ("struct", "union", "enum")
_BEGINS = frozenset((*_TYPES, "signed", "unsigned", "char", "short", "int", "long"))
"""Words that begin a declaration, and cannot go on with one behind a type."""


def checked(source: Source, tokens: Iterable[Token]) -> Iterator[Token]:
    """The tokens as they are.

    Raises :class:`KvmvizError` where a semicolon is missing behind the last member of a struct, or
    behind a type in braces, and where none comes for too long.
    """
    owners: list[str] = []
    previous: Token = ("", 0, NOWHERE)
    before = last = ""
    closed, apart, aside = False, 0, -1
    for token in tokens:
        word = token[0]
        if word == MARK:
            yield token
            continue
        apart = 0 if word == ";" else apart + 1
        if apart > MAX_APART:
            source.fail(token[1], f"more than {MAX_APART} words and signs without a ';'")
        if aside >= 0:  # an attribute may stand before and behind the braces
            aside += (word == "(") - (word == ")")
            aside = aside or -1
        elif word in ATTRIBUTE:
            aside = 0
        else:
            if closed and word in _BEGINS:
                source.missing(";", *previous[:2])
            closed = False
            if word in ("(", "[", "{"):
                owner = last if last in _TYPES else before if before in _TYPES else ""
                owners.append(owner if word == "{" else "")
            elif word in (")", "]", "}") and owners:
                owner = owners.pop()
                closed = bool(owner) and word == "}"
                if closed and owner != "enum" and last not in (";", "{"):
                    source.missing(";", *previous[:2])
            before, last = last, word
        yield token
        previous = token
    if closed:
        source.missing(";", *previous[:2])
