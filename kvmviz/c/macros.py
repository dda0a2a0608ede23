"""The preprocessor: directives, conditions, macros put in, included files (C11 6.10).

Why not a library: of those that Python has, pcpp reads a header as well as this does, but takes
files from disk, memory without end for ``#if 1 << 99999999999``, and 24 seconds for macros that
double 18 times; libclang takes 800 MB for macros that double 24 times, and no end was seen of a
declarator of 100,000 brackets. pycparser has none. Here work is bounded by the count of tokens,
and it is known which macros of the target a text has asked for.

A macro's own name stands for nothing within what it stands for: every token carries the macros
that it comes out of. A token out of a macro's text has the place where the macro is used, one
out of an argument keeps its own.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NoReturn

from kvmviz._base import KvmvizError, shown
from kvmviz.abi import ABIS, Abi
from kvmviz.c import arithmetic, target, types
from kvmviz.c.arithmetic import Expressions, Machine, Number, Step
from kvmviz.c.source import (
    KEYWORDS,
    LINE_END,
    MAX_DEPTH,
    MAX_HEADERS,
    MAX_TOKENS,
    MAX_WORD,
    Line,
    Source,
    Token,
    is_token,
    shortened,
    word_set,
)

MAX_INCLUDES = 5000
"""Headers that a text includes, each as often as it is read."""
MAX_TOLD = 16
"""Headers that a message names."""
MARK = "\n"
"""What a token begins with that is no C: a ``#pragma pack``, whose words follow."""

_LAYING = (
    *(["scalar_storage_order"], ["ms_struct"], ["options"], ["align"]),
    *(["push_macro"], ["pop_macro"], ["GCC", "optimize"], ["clang", "attribute"]),
)
"""Pragmas that change layouts, or the macros that do."""

IDLE = word_set("""
    deprecated unused may_alias counted_by nonstring always_inline const pure format
    noreturn warn_unused_result visibility gnu_inline designated_init used nothrow error
    warning bitwise noderef address_space user section no_instrument_function malloc
    alloc_size
""")
"""Attributes that say nothing about a layout."""
_HAS = word_set("""
    __has_attribute __has_builtin __has_c_attribute __has_cpp_attribute __has_include
    __has_include_next
""")
"""What gcc and clang answer of themselves; for ``#ifdef``, macros."""
_ASKS = _HAS | {"defined"}
_LAID = ("packed", "aligned", "mode", "vector_size", "transparent_union")
_APART = ("scalar_storage_order", "ms_struct", "gcc_struct", "designated_init")
"""Attributes that one of gcc and clang has on some target, and the other has not."""


class Files:
    """The text and the headers it may include, cut into tokens once for all ABIs.

    ``included`` says that the text asks for a header, ``missing`` are those that are not there.
    ``defined`` are the lines that stand for ``defines``, read before the text.
    """

    def __init__(
        self,
        text: str,
        headers: Mapping[str, str] | None = None,
        defines: Mapping[str, str | None] | None = None,
    ) -> None:
        for what, rows in (("headers map names to texts", headers), ("defines map names", defines)):
            if rows is not None and not isinstance(rows, Mapping):
                raise KvmvizError(f"{what}, not a {type(rows).__name__}")
        self.sources: list[Source] = []
        self.main = Source(self.sources, text)
        self.defined: list[Line] = []
        if defines:
            lines = "".join(_defined(name, value) for name, value in defines.items())
            self.defined = Source(self.sources, lines, "defines", 0).lines()
        self.given: Mapping[str, str] = {} if headers is None else headers
        self.lines: dict[str, list[Line]] = {}
        self.missing: dict[str, None] = {}
        self.included = False

    @cached_property
    def main_lines(self) -> list[Line]:
        """The tokens of the text itself."""
        return self.main.lines()

    def header(self, name: str, at: int, beside: bool) -> list[Line] | None:
        """The tokens of a header; None for one that is not given.

        ``beside``: it may lie in the folder of the file that asks for it.
        """
        self.included = True
        path = self._path(name, at, beside)
        if path not in self.given and name not in (*types.SETTLED, *types.HEADERS):
            self.missing[name] = None
        for texts, key in ((types.SETTLED, name), (self.given, path), (types.GIVEN, name)):
            if key in texts:
                if path not in self.lines:
                    self.lines[path] = Source(self.sources, texts[key], path, at).lines()
                return self.lines[path]
        return None

    def has(self, name: str, at: int, beside: bool) -> bool:
        """Whether there is such a header: given, or known here."""
        there = (self.given, types.SETTLED, types.HEADERS, types.GIVEN)
        found = self._path(name, at, beside) in self.given or any(name in one for one in there)
        if not found:
            self.missing[name] = None
        return found

    def hint(self) -> str:
        """Which headers may say what a name stands for, and how to give them."""
        names = list(self.missing)
        if not names:
            none = "; no header that this text includes says what it is"
            return none if self.included else ""
        told = ", ".join(f"<{name}>" for name in names[:MAX_TOLD])
        if len(names) == 1:
            return f"; it may be in {told}; give its text (headers={{{names[0]!r}: text}})"
        more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
        one = "give the text of the one that defines it (headers={name: text})"
        return f"; it may be in {told}{more}; {one}"

    def _path(self, name: str, at: int, beside: bool) -> str:
        """What a header is called among those that are given."""
        folder = posixpath.dirname(self.main.at(at).name)
        near = posixpath.normpath(posixpath.join(folder, name))
        return near if beside and near in self.given else name


def _defined(name: str, value: str | None) -> str:
    """The directive that a name and a value stand for, as in ``-D NAME=VALUE`` and ``-U NAME``."""
    told = f"{name} {value}"
    if not (isinstance(name, str) and isinstance(value, str | None)) or LINE_END.search(told):
        raise KvmvizError(f"defines: {shown(name)}: {shown(value)} are no name and text of a line")
    return f"#undef {name}\n" if value is None else f"#define {told}\n"


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
    """Puts macros in; ``find`` tells what a name stands for where it is used."""

    def __init__(self, source: Source, find: Callable[[str], Macro | None]) -> None:
        self.source, self.find = source, find
        self.left, self.room = MAX_TOKENS, MAX_HEADERS

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
            if macro is None or word in hidden:
                yield token
                continue
            if len(hidden) >= MAX_DEPTH or depth > MAX_DEPTH:
                self.source.fail(at, f"more than {MAX_DEPTH} macros in a row")
            if macro.parameters is None:
                hidden |= {word}
                body = [(text, at, before | hidden) for text, _, before in macro.body]
                if any(text == "##" for text, _, _ in body):
                    body = [(text, at, hidden) for text, _, _ in self.pasted(body, at)]
            else:
                after = following()
                if after is None or after[0] != "(":
                    pending += [after] if after else []
                    yield token
                    continue
                arguments, closed = self.arguments(macro, at, following)
                hidden = (hidden & closed) | {word}
                body = self.filled(macro, arguments, at, depth)
                body = [(text, place, before | hidden) for text, place, before in body]
            self.spend(len(body) + 1, at)
            pending += reversed(body)

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


@dataclass
class _If:
    """An ``#if`` that is open: whether its part is read, whether one has been or will not be."""

    at: int
    active: bool
    done: bool
    last: bool = False


class Preprocessor:
    """Reads a text for one target; what it asks of the target is kept in ``facts``."""

    def __init__(self, files: Files, abi: Abi, facts: target.Facts) -> None:
        self.files, self.source, self.abi, self.facts = files, files.main, abi, facts
        self.target = target.macros(abi)
        self.macros: dict[str, Macro | None] = {}
        self.expander = Expander(self.source, self.find)
        self.depth = self.count = self.spent = 0

    def tokens(self) -> Iterator[Token]:
        """All that is left of the text, macros put in."""
        list(self.read(self.files.defined))
        return self.expander.expand(self.read(self.files.main_lines))

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
                value = active and self.holds(word, rest, at)
                stack.append(_If(at, value, value or not active))
            elif word in ("elif", "elifdef", "elifndef", "else", "endif"):
                if not stack or (word != "endif" and stack[-1].last):
                    self.source.fail(at, f"'#{word}' without an '#if'")
                if word == "endif":
                    stack.pop()
                    continue
                top = stack[-1]
                top.last = word == "else"
                top.active = not top.done and (top.last or self.holds(word[2:], rest, at))
                top.done = top.done or top.active
            elif active:
                yield from self.obey(word, rest, at)
        if stack:
            self.source.fail(stack[-1].at, f"{self.line(stack[-1].at)!r} is never closed")

    def holds(self, word: str, tokens: list[Token], at: int) -> bool:
        """Whether the condition of an ``#if`` or its like is true."""
        if word in ("ifdef", "ifndef", "def", "ndef"):
            name = tokens[0][0] if tokens else ""
            return self.is_macro(name, at) == (word in ("ifdef", "def"))
        return _Condition(self, list(self.expander.expand(tokens, raw=_ASKS)), at).holds()

    def is_macro(self, name: str, at: int) -> bool:
        """Whether a name is a macro here."""
        if not name.isidentifier():
            self.source.fail(at, f"{self.line(at)!r} names no macro")
        return name in _HAS or self.find(name) is not None

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
            yield (MARK + "".join(words[1:]), at, frozenset())
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


class _Condition(Expressions):
    """What stands behind ``#if``: every name in it is a number, 0 where it is no macro."""

    def __init__(self, reader: Preprocessor, tokens: Sequence[Token], at: int) -> None:
        super().__init__(reader.source, tokens)
        self.reader, self.at = reader, at

    def holds(self) -> bool:
        """Whether it is true on the target; what it asks of it is a fact from now on."""
        steps = self.expression()
        if self.word:
            self.fail("")
        facts, abi = self.reader.facts, self.reader.abi
        answers = target.answers(abi)
        if arithmetic.depends(steps, answers, ("orders",), 64):
            name = next(one for one in self.words if one in types.ORDERS)
            self.source.fail(self.at, f"{name!r} is no macro here; <endian.h> defines it")
        for what in arithmetic.depends(steps, answers, target.TOLD, 64):
            facts.tell(what, abi)
        found = arithmetic.run(steps, Machine(answers, 64)).value
        if found is None:
            name = next(filter(types.UNTOLD.fullmatch, self.words), "")
            if name:
                self.source.fail(self.at, f"{name!r} is no macro here, and its value counts")
            self.fail("")
        return bool(found)

    def fail(self, words: str, n: int | None = None) -> NoReturn:
        told = shortened(" ".join(self.words[:40]).strip())
        self.source.fail(self.at, f"this condition cannot be computed: {told!r}")

    def expected(self, what: str) -> NoReturn:
        self.fail(what)

    def name(self) -> list[Step]:
        word = self.next()
        if word in _ASKS:
            return [arithmetic.constant(Number(int(self.asked(word)), 64, True))]
        # A condition must not hang on what a header would have said.
        if types.UNTOLD.fullmatch(word):
            return [arithmetic.constant(Number(None, 64, True))]
        number = types.ORDERS.index(word) if word in types.ORDERS else 0
        return [(0, lambda machine: Number(number and number * machine.ask("orders"), 64, True))]

    def asked(self, word: str) -> bool:
        """What ``defined`` and its like say of what stands behind them."""
        start = self.n
        if self.take("("):
            depth = 1
            while self.word and depth:
                depth += {"(": 1, ")": -1}.get(self.next(), 0)
            inner = [] if depth else self.words[start + 1 : self.n - 1]
        else:
            inner = [self.next()] if self.word.isidentifier() else []
        if word == "defined":
            return self.reader.is_macro(inner[0] if len(inner) == 1 else "", self.at)
        if not inner:
            self.fail("")
        return self.has(word, inner)

    def has(self, word: str, words: list[str]) -> bool:
        """Whether there is an attribute, a builtin or a header of that name."""
        name = words[-1].strip("_")
        if "include" in word:
            beside = words[0][0] == '"'
            title = words[0].strip('"') if beside else "".join(words[1:-1])
            return self.reader.files.has(title, self.at, beside)
        if word == "__has_builtin":
            return words[0].startswith("__builtin_")
        if name in _APART:
            told = f"gcc and clang answer otherwise: {word}({words[-1]})"
            self.source.fail(self.at, told)
        return word == "__has_attribute" and (name in _LAID or name in IDLE)


def _plain(name: str, text: str) -> Macro:
    return Macro(name, tuple((word, 0, frozenset[str]()) for word in text.split()))


@cache
def _standard() -> Mapping[str, Macro]:
    """What holds on every ABI where a text says nothing else."""
    text = types.ANNOTATIONS + types.PREDEFINED
    reader = Preprocessor(Files(text), next(iter(ABIS.values())), target.Facts())
    list(reader.tokens())
    found = {name: macro for name, macro in reader.macros.items() if macro}
    return {name: _plain(name, text) for name, text in target.common().items()} | found
