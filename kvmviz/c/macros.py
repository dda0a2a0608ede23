"""Macros and what they stand for: macro expansion (C11 6.10.3).

A macro's own name stands for nothing within what it stands for: every token carries the macros
that it comes out of. A token out of a macro's text has the place where the macro is used, one
out of an argument keeps its own. Work is bounded by the count of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from kvmviz.c.source import (
    MARK,
    MAX_DEPTH,
    MAX_HEADERS,
    MAX_TOKENS,
    MAX_WORD,
    Source,
    Token,
    is_token,
)


@dataclass(frozen=True)
class Macro:
    """What a name stands for; ``parameters`` is None where it takes no arguments.

    ``rest`` says that the last parameter takes all arguments that are left.
    """

    name: str
    body: tuple[Token, ...]
    parameters: tuple[str, ...] | None = None
    rest: bool = False
    at: int = 0

    @property
    def words(self) -> str:
        """What it stands for, as one text."""
        return " ".join(word for word, _, _ in self.body)


class Expander:
    """Puts macros in; ``find`` tells what a name stands for where it is used.

    ``doubted`` are macros of which it is not known what they stand for, each with the reason;
    ``doubt`` is that of the last one that was met.
    """

    def __init__(self, source: Source, find: Callable[[str], Macro | None]) -> None:
        self.source, self.find = source, find
        self.left, self.room = MAX_TOKENS, MAX_HEADERS
        self.doubted: dict[str, str] = {}
        self.doubt = ""

    def spend(self, count: int, at: int) -> None:
        """Count tokens; a text that stands for too many of them is refused."""
        self.left -= count
        if self.left < 0:
            self.source.fail(at, f"more than {MAX_TOKENS} words and signs, macros put in")

    def made(self, parts: Sequence[str], at: int, sign: str) -> str:
        """A word that a macro makes of others; too long ones, and too many, are refused."""
        length = sum(map(len, parts))
        self.room -= length
        if length > MAX_WORD:
            self.source.fail(at, f"{sign!r} makes a word of more than {MAX_WORD} characters")
        if self.room < 0:
            self.source.fail(at, f"more than {MAX_HEADERS} characters, macros put in")
        return "".join(parts)

    def expand(
        self, tokens: Iterable[Token], depth: int = 0, raw: Collection[str] = ()
    ) -> Iterator[Token]:
        """The tokens with all macros put in; those behind a word of ``raw`` stay as they are."""
        stream, pending = iter(tokens), list[Token]()

        def following() -> Token | None:
            return pending.pop() if pending else next(stream, None)

        while (token := following()) is not None:
            word, at, hidden = token
            if word in raw:
                yield token
                yield from bracket(following)
                continue
            macro = self.find(word) if word[0].isalpha() or word[0] == "_" else None
            if word in self.doubted:
                self.doubt = self.doubted[word]
            if macro is None or word in hidden:
                yield token
                continue
            if len(hidden) >= MAX_DEPTH or depth > MAX_DEPTH:
                self.source.fail(at, f"more than {MAX_DEPTH} macros in a row")
            arguments: Sequence[list[Token]] = ()
            if macro.parameters is not None:
                after = following()
                if after is None or after[0] != "(":
                    pending += [after] if after else []
                    yield token
                    continue
                arguments, closed = self.arguments(macro, at, following)
                hidden &= closed
            hidden |= {word}
            body = self.filled(macro, arguments, at, depth)
            self.spend(len(body) + 1, at)
            pending += [(text, place, own | hidden) for text, place, own in reversed(body)]

    def arguments(
        self, macro: Macro, at: int, following: Callable[[], Token | None]
    ) -> tuple[list[list[Token]], frozenset[str]]:
        """What stands between the brackets behind a macro's name, cut at its commas."""
        parameters = macro.parameters or ()
        found: list[list[Token]] = [[]]
        depth, count = 1, len(parameters)
        while token := following():
            word = token[0]
            if word[:1] == MARK:
                self.source.fail(token[1], f"a directive among the arguments of {macro.name!r}")
            depth += (word == "(") - (word == ")")
            if not depth:
                break
            if word == "," and depth == 1 and not (macro.rest and len(found) == count):
                found.append([])
            else:
                found[-1].append(token)
        else:
            self.source.fail(at, f"the arguments of {macro.name!r} are never closed")
        if macro.rest and len(found) == count - 1:
            found.append([])
        if not parameters and found == [[]]:
            found = []
        if len(found) != count:
            self.source.fail(at, f"macro {macro.name!r} takes {count} arguments, not {len(found)}")
        return found, token[2]

    def filled(
        self, macro: Macro, arguments: Sequence[list[Token]], at: int, depth: int
    ) -> list[Token]:
        """A macro's text with its arguments put in."""
        given = dict(zip(macro.parameters or (), arguments, strict=True))
        whole: dict[str, list[Token]] = {}
        made: list[Token] = []
        words = [word for word, _, _ in macro.body]
        at_end = len(words) - 1
        number = 0
        while number <= at_end:
            word, _, hidden = macro.body[number]
            beside = number < at_end and words[number + 1] == "##"
            behind = number > 0 and words[number - 1] == "##"
            if word == "#" and number < at_end and words[number + 1] in given:
                parts = [f"{part} " for part, _, _ in given[words[number + 1]]]
                text = self.made(parts, at, "#").rstrip()
                escaped = text.replace("\\", "\\\\").replace('"', '\\"')
                made.append((self.made(['"', escaped, '"'], at, "#"), at, hidden))
                number += 1
            elif word in given and (beside or behind):
                before = words[number - 2] if behind and number > 1 else ""
                if before == "," and macro.rest and word == (macro.parameters or ("",))[-1]:
                    # GNU C: the comma goes where nothing follows it, and nothing is pasted.
                    del made[-1 if given[word] else -2 :]
                    made += given[word]
                else:
                    made += given[word] or [("", at, hidden)]
            elif word in given:
                if word not in whole:
                    whole[word] = list(self.expand(given[word], depth + 1))
                made += whole[word]
            else:
                made.append((word, at, hidden))
            if len(made) > self.left:
                self.spend(len(made), at)
            number += 1
        return self.pasted(made, at) if "##" in words else made

    def pasted(self, tokens: Sequence[Token], at: int) -> list[Token]:
        """Tokens with ``##`` between them, made one."""
        made: list[Token] = []
        join = False
        for token in tokens:
            if token[0] == "##" and made and not join:
                join = True
            elif join:
                last = made.pop()
                word = self.made((last[0], token[0]), at, "##")
                made.append((word, token[1] if token[0] else last[1], last[2]))
                join = False
                if made[-1][0] and not is_token(made[-1][0]):
                    self.source.fail(at, f"'##' makes no word: {made[-1][0][:40]!r}")
            else:
                made.append(token)
        return [token for token in made if token[0]]


def bracket(following: Callable[[], Token | None]) -> Iterator[Token]:
    """The next token; if it opens a bracket, all up to where that closes."""
    depth = 0
    while token := following():
        yield token
        depth += (token[0] == "(") - (token[0] == ")")
        if depth <= 0:
            return
