"""What the preprocessor leaves, as a plain text for the grammar.

Attributes are taken out and kept by offset; the bodies of functions are passed over. Brackets are
in pairs. An offset here counts characters of :attr:`Flat.data`; each knows its place in the source.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvmviz.c.expand import MARK, MAX_DEPTH
from kvmviz.c.semicolons import ATTRIBUTE, checked
from kvmviz.c.source import MAX_HEADERS, Source, Token, is_torn, shortened

if TYPE_CHECKING:
    from tree_sitter import Node

_SPELLED = {"__signed__": "signed", "__signed": "signed", "__const": "const", "__const__": "const"}
_SPELLED |= {"__volatile__": "volatile", "__volatile": "volatile", "__inline__": "inline"}
_SPELLED |= {"__inline": "inline", "__restrict": "restrict", "__restrict__": "restrict"}
_SPELLED |= {"__builtin_offsetof": "offsetof", "__extension__": "", "__always_inline": "inline"}
IDLE = frozenset(
    re.findall(
        r"\w+",
        """
        deprecated unused may_alias counted_by nonstring always_inline const pure format
        noreturn warn_unused_result visibility gnu_inline designated_init used nothrow error
        warning bitwise noderef address_space user section no_instrument_function malloc
        alloc_size
        """,
    )
)
"""Attributes that say nothing about a layout."""
_QUIET = re.compile(r'"\s*(GCC|clang) (diagnostic|poison)\b')
"""Pragmas that lay nothing out."""
_NEWER = frozenset(("alignas", "alignof", "constexpr", "noreturn", "nullptr", "thread_local"))
"""Words that are names in C11, and keywords to the grammar."""
_STRING = re.compile(r'L?"')
_PAIRS = ("[]", "()", "{}")
NAMELESS = "$"
"""What stands for the name of an unnamed bit-field: the grammar knows none of two words or a tag.

With a number behind it, for a ``sizeof`` or its like: the grammar knows not all that C asks there.
"""
_ASKS = frozenset(("sizeof", "_Alignof", "__alignof__", "__alignof", "offsetof"))
_TYPES = frozenset(("char", "short", "int", "long", "signed", "unsigned", "float", "double"))


@dataclass(frozen=True)
class Attribute:
    """An attribute: its offset, its name without underscores, the words in its brackets."""

    at: int
    name: str
    argument: list[str] | None


class Flat:
    """The tokens as one text, with one blank between two."""

    def __init__(self, source: Source, tokens: Iterable[Token]) -> None:
        self.source = source
        self.attributes: list[Attribute] = []
        self.marks: list[tuple[int, int, bool]] = []
        self.bodies: set[int] = set()
        self.asked: list[list[str]] = []
        self._starts: list[int] = []
        self._places: list[int] = []
        self._pieces: list[str] = []
        self._end = 0
        self._tokens = checked(source, tokens)
        self._write()
        self.data = "".join(self._pieces).encode("ascii", "replace")

    def at(self, node: Node | int) -> int:
        """The place in the text of a node, or of an offset."""
        offset = node if isinstance(node, int) else node.start_byte
        found = bisect(self._starts, offset) - 1
        return self._places[found] if found >= 0 else 0

    def operand(self, node: Node | int, word: str) -> int:
        """The place in the text of a word of a node; of the node, if it is not found there."""
        if not isinstance(node, int):
            for number in range(bisect(self._starts, node.start_byte) - 1, len(self._starts)):
                if self._starts[number] >= node.end_byte:
                    break
                if self._pieces[number].strip() == word:
                    return self._places[number]
        return self.at(node)

    def before(self, offset: int) -> tuple[str, int]:
        """The word that begins before an offset, and its place in the text."""
        number = max(0, bisect(self._starts, offset - 1) - 1)
        return self._pieces[number].strip() or ATTRIBUTE[0], self._places[number]

    def _put(self, word: str, place: int) -> None:
        if self._end > MAX_HEADERS:
            self.source.fail(place, f"more than {MAX_HEADERS} characters, macros put in")
        self._starts.append(self._end)
        self._places.append(place)
        self._pieces.append(f"{word} ")
        self._end += len(word) + 1

    def _write(self) -> None:
        """The tokens as a text for the grammar.

        Brackets are in pairs: tree-sitter would take long to mend them.
        """
        opened: list[tuple[str, int]] = []
        before = last = ""
        for word, place, _ in self._tokens:
            word = _SPELLED.get(word, word)
            if word == MARK:
                self.marks.append((self._end, place, bool(opened)))
                continue
            if word == "typedef" and not opened and last not in ("", ";", "{", "}"):
                self.source.fail(place, "'typedef' is read at the start of a declaration only")
            if word in _NEWER and last not in ("", ";", "{", "}"):
                word = f"{NAMELESS}{word}"
            if word == "_Pragma":
                text = "".join(one for one, _, _ in self._bracket(place, word))
                if not _QUIET.match(text):
                    self.source.fail(place, f"a '_Pragma' is not supported: {shortened(text)}")
                continue
            if word == "_Alignas":
                words = [one for one, _, _ in self._bracket(place, word)]
                self.attributes.append(Attribute(self._end, word, words))
                self._put("", place)
                continue
            if word in ATTRIBUTE:
                self._attribute(place)
                continue
            if word in ("__asm__", "asm", "_Static_assert", "static_assert") and (
                last in ("", ";", "}", ")", "{") or word.endswith("asm__")
            ):
                self._bracket(place, word)
                if word.endswith("assert"):
                    semicolon = next(self._tokens, None)
                    if semicolon is None or semicolon[0] != ";":
                        self.source.fail(place, f"';' is missing behind {word!r}")
                continue
            if word in _ASKS:
                words = [f"{one}" for one, _, _ in self._bracket(place, word)]
                self._put(f"{NAMELESS}{len(self.asked)}", place)
                self.asked.append([word, "(", *words, ")"])
                last = word
                continue
            if word == "{" and not opened and last == ")":
                self._body(place)
                word = ";"
            elif word in ("(", "[", "{"):
                opened.append((word, place))
                if len(opened) > MAX_DEPTH:
                    self.source.fail(place, f"more than {MAX_DEPTH} brackets inside each other")
            elif word in (")", "]", "}"):
                if not opened:
                    self.source.fail(place, f"{word!r} closes nothing")
                if opened.pop()[0] + word not in _PAIRS:
                    self.source.fail(place, f"{word!r} closes another kind of bracket")
            elif word in ("#", "##"):
                self.source.fail(place, f"{word!r} is legal at the start of a line only")
            elif is_torn(word):
                self.source.fail(place, f"{word.lstrip('L')[0]} is never closed")
            elif not word.isascii() and not _STRING.match(word):
                bad = next(sign for sign in word if not sign.isascii())
                place += word.index(bad)
                self.source.fail(place, f"character {bad!r} is legal in comments only")
            elif word == "\0":
                self.source.fail(place, f"character {word!r} is legal in comments only")
            elif word == ":" and (last in _TYPES or before == "enum"):
                if opened and opened[-1][0] == "{":
                    self._put(NAMELESS, place)
            elif word == NAMELESS:
                self.source.fail(place, f"character {word!r} is legal in comments only")
            if word and not (word == ";" and opened and last in (";", "{")):
                self._put(word, place)
                before, last = last, word
        if opened:
            self.source.fail(opened[-1][1], f"{opened[-1][0]!r} is never closed")

    def _bracket(self, at: int, word: str) -> list[Token]:
        """The tokens between the brackets that follow a word."""
        found, depth, deepest = list[Token](), 0, 0
        for token in self._tokens:
            depth += (token[0] == "(") - (token[0] == ")")
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                self.source.fail(token[1], f"more than {MAX_DEPTH} brackets inside each other")
            if token[0] == MARK or (not depth and not found and token[0] != ")"):
                break
            found.append(token)
            if not depth:
                return found[1:-1]
        self.source.fail(at, f"{word!r} without a bracket behind it")

    def opened(self, words: list[str]) -> list[str]:
        """Words of the grammar's text, with what ``sizeof`` and its like ask put in."""
        found: list[str] = []
        for word in words:
            asked = word[0] == NAMELESS and word[1:].isdigit()
            found += self.asked[int(word[1:])] if asked else [word]
        return found

    def _body(self, at: int) -> None:
        """Pass over a function's body."""
        depth = 1
        self.bodies.add(self._end)
        for word, place, _ in self._tokens:
            if word == MARK:
                self.marks.append((self._end, place, True))
            depth += (word == "{") - (word == "}")
            if not depth:
                return
        self.source.fail(at, "'{' is never closed")

    def _attribute(self, at: int) -> None:
        """What ``__attribute__((...))`` lists; harmless ones are left out."""
        tokens = self._bracket(at, "__attribute__")
        words = [word for word, _, _ in tokens]
        if words[:1] != ["("] or words[-1:] != [")"]:
            self.source.fail(at, f"no list of attributes: {self.source.snippet(at)!r}")
        for one in _listed(words[1:-1]):
            name = one[0].strip("_")
            argument = one[2:-1] if one[1:2] == ["("] and one[-1] == ")" else None
            if name in ("packed", "aligned") and (len(one) == 1 or argument is not None):
                self.attributes.append(Attribute(self._end, name, argument))
                self._put("", at)
            elif name not in IDLE:
                words_of = " ".join(one)[:40]
                self.source.fail(at, f"an attribute is not supported: {words_of!r}")


def _listed(words: list[str]) -> Iterator[list[str]]:
    """What stands between commas."""
    depth, found = 0, list[str]()
    for word in [*words, ","]:
        depth += (word == "(") - (word == ")")
        if word == "," and not depth:
            if found:
                yield found
            found = []
        else:
            found.append(word)
