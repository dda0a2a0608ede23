"""The preprocessor: directives, conditions, included files (C11 6.10).

Why not a library: pcpp takes files from disk, and memory without end for ``#if 1 << 99999999999``;
libclang takes 800 MB for macros that double 24 times; pycparser has none. Here work is bounded by
the count of tokens, and it is known which macros of the target a text has asked for.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

from kvmviz._base import KvmvizError, listed, shown
from kvmviz.abi import ABIS, Abi
from kvmviz.c import target, types
from kvmviz.c.arithmetic import Expressions, Number
from kvmviz.c.macros import Expander, Macro
from kvmviz.c.source import (
    LINE_END,
    MARK,
    MAX_DEPTH,
    NOWHERE,
    Line,
    Source,
    Token,
    shortened,
    word_set,
)

MAX_INCLUDES = 5000
"""Headers that a text includes, each as often as it is read."""

_LAYING = (
    *(["scalar_storage_order"], ["ms_struct"], ["options"], ["align"]),
    *(["push_macro"], ["pop_macro"], ["GCC", "optimize"], ["clang", "attribute"]),
)
"""Pragmas that change layouts, or the macros that do."""

_HEADER = re.compile(r'<[^>]+>|"[^"]+"')

IDLE = word_set("""
    deprecated unused may_alias counted_by nonstring always_inline const pure format
    noreturn warn_unused_result visibility gnu_inline designated_init used nothrow error
    warning bitwise noderef address_space user section no_instrument_function malloc
    alloc_size maybe_unused nodiscard fallthrough
""")
"""Attributes that say nothing about a layout."""
_HAS = word_set("""
    __has_attribute __has_builtin __has_c_attribute __has_cpp_attribute __has_include
    __has_include_next
""")
"""What gcc and clang answer of themselves; for ``#ifdef``, macros."""
_ASKS = _HAS | {"defined"}
_LAID = ("packed", "aligned", "mode", "vector_size", "transparent_union")
_HARMLESS = {"preserve_access_index", "pop"}
"""Words of a ``#pragma clang attribute`` that lays nothing out, or ends one that was read."""
_ORDER = re.compile(r"endian|byte_?order", re.IGNORECASE)
"""Names of byte orders: on them a layout hangs, and without a header all of them are 0."""
_QUIET = re.compile(
    r"__\w+__|__[a-z]\w*|\w*_SOURCE|\w+_H(_*|_INCLUDED_*|_target)|__(USE|NEED|DEFINED|STDC|GNUC)_\w+"
    r"|_*(WIN32|WIN64|ILP32|LP64|KERNEL)|_(MSC_VER|M_\w+|MIPS_\w+|ABI\w+)|NDEBUG|lint|S_SPLINT_S"
    r"|NULL|SWIG|DOXYGEN|sun|unix|vax|sparc|BPF_NO_\w+"
)
"""Guards, and macros by which C, gcc, clang, Linux and C libraries know where a text is read."""
PACKS = re.compile(r"pack(?!et|age)|psh|align", re.IGNORECASE)
UNPACKS = re.compile(r"pop|end|unpack|off|default|restore|reset", re.IGNORECASE)
"""Names of headers that hold a ``#pragma pack``, and of those that take it back."""
_APART = ("scalar_storage_order", "ms_struct", "gcc_struct", "designated_init")
"""Attributes that one of gcc and clang has on some target, and the other has not."""


class Files:
    """The text and the headers it may include, cut into tokens once for all ABIs.

    ``defined`` are the lines that stand for ``defines``, read before the text; ``read`` are the
    headers by name, as they are asked for.
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
            self.defined = Source(self.sources, lines, "defines", 0).lines
        self.given: Mapping[str, str] = {} if headers is None else headers
        self.read: dict[str, Source] = {}

    def header(self, name: str, path: str, at: int) -> list[Line] | None:
        """The tokens of the header at a :meth:`path`; None for one that nobody has."""
        if not path and name not in types.GIVEN:
            return None
        key = path or f"<{name}>"
        if key not in self.read:
            text = self.given[path] if path else types.GIVEN[name]
            self.read[key] = Source(self.sources, text, path or name, at)
        return self.read[key].lines

    def path(self, name: str, at: int, beside: bool = False, is_next: bool = False) -> str:
        """What a header is called among those that are given; empty for one that is not.

        ``beside``: it may lie in the folder of the file that asks for it. ``is_next``: behind that
        file, in the order in which folders are searched, lie only those of kvmviz.
        """
        if is_next or name in types.SETTLED:
            return ""
        near = posixpath.join(posixpath.dirname(self.main.at(at).name), name)
        rows = [posixpath.normpath(near)] if beside else []
        return next((row for row in [*rows, name] if row in self.given), "")


def _defined(name: str, value: str | None) -> str:
    """The directive that a name and a value stand for, as in ``-D NAME=VALUE`` and ``-U NAME``."""
    are_text = isinstance(name, str) and isinstance(value, str | None)
    if not are_text or LINE_END.search(f"{name} {value}"):
        raise KvmvizError(f"defines: {shown(name)}: {shown(value)} are no name and text of a line")
    return f"#undef {name}\n" if value is None else f"#define {name} {value}\n"


@dataclass
class _If:
    """An ``#if`` that is open: whether its part is read, whether one has been or will not be.

    ``doubt`` says why this may be another part than the one that a compiler reads.
    """

    at: int
    active: bool
    done: bool
    doubt: str
    last: bool = False


class Preprocessor:
    """Reads a text for one target; what it asks of the target is kept in ``facts``.

    What a macro says that nobody defines, or a header that is not given, is in doubt: a part of
    the text is read as if there were none, and stands between two tokens that are no C.
    :data:`MARK` and ``?`` with the reason begins it, ``?`` alone ends it; ``(`` is a ``#pragma
    pack``, ``!`` a reason why nobody knows what has been packed. ``omitted`` are the tokens of
    parts that were not read, ``missing`` the headers that are not given so far, ``doubts`` all
    reasons, each with the names that it speaks of and their place, ``is_whole`` says that
    headers have been given.
    """

    def __init__(self, files: Files, abi: Abi, facts: target.Facts) -> None:
        self.files, self.source, self.abi, self.facts = files, files.main, abi, facts
        self.macros: dict[str, Macro | None] = {}
        self.expander = Expander(self.source, self.find)
        self.depth = self.count = 0
        self.missing: dict[str, bool] = {}
        self.doubts: dict[str, dict[str, int]] = {}
        self.omitted: list[tuple[list[Token], str]] = []
        self.is_whole = False

    def tokens(self) -> Iterator[Token]:
        """All that is left of the text, macros put in."""
        list(self.read(self.files.defined))
        return self.expander.expand(self.read(self.files.main.lines))

    def find(self, name: str) -> Macro | None:
        """What a name stands for here."""
        if name in self.macros:
            return self.macros[name]
        if name in target.names():
            value = self.facts.ask(self.abi, target.macro, name)
            return None if value is None else _plain(name, value)
        return _standard().get(name)

    def read(self, lines: list[Line], doubt: str = "") -> Iterator[Token]:
        """The tokens of one file, its directives obeyed; ``doubt`` as in :class:`_If`."""
        stack: list[_If] = []
        for number, (at, directive, tokens) in enumerate(lines):
            active = not stack or stack[-1].active
            why = stack[-1].doubt if stack else doubt
            if not directive:
                if why and tokens:
                    yield (f"{MARK}?{why}", at, NOWHERE)
                if active:
                    self.expander.spend(len(tokens), at)
                    yield from tokens
                if why and tokens:
                    self.omitted += [] if active else [(tokens, why)]
                    yield (f"{MARK}?", at, NOWHERE)
                continue
            self.expander.spend(1 + active * len(tokens), at)
            word, rest = (tokens[0][0], tokens[1:]) if tokens else ("", [])
            if word in ("if", "ifdef", "ifndef"):
                value, reason = active, ""
                if active and not self.guards(lines, number, word, rest):
                    value, reason = self.holds(word, rest, at)
                stack.append(_If(at, value, value or not active, why or reason))
            elif word in ("elif", "elifdef", "elifndef", "else", "endif"):
                if not stack or (word != "endif" and stack[-1].last):
                    self.source.fail(at, f"'#{word}' without an '#if'")
                if word == "endif":
                    stack.pop()
                    continue
                top = stack[-1]
                top.last = word == "else"
                top.active = not top.done and top.last
                if not top.done and not top.last:
                    top.active, reason = self.holds(word[2:], rest, at)
                    top.doubt = top.doubt or reason
                top.done = top.done or top.active
            elif active:
                yield from self.obey(word, rest, at, why)
            elif why and word in ("define", "undef") and rest:
                self.expander.doubted[rest[0][0]] = why
            elif why and word == "pragma" and rest[:1] and rest[0][0] == "pack":
                yield (f"{MARK}!{why}", at, NOWHERE)
        if stack:
            self.source.fail(stack[-1].at, f"{self.source.snippet(stack[-1].at)!r} is never closed")

    def guards(self, lines: list[Line], number: int, word: str, tokens: list[Token]) -> bool:
        """Whether an ``#if`` asks for nothing but the macro that is defined behind it.

        A guard gives it no value. One with a value is a default, which a header that is not
        given may have set before.
        """
        asked = [one for one, _, _ in tokens if one not in ("defined", "(", ")")]
        if word == "ifndef":
            asked.insert(0, "!")
        row = next((row for row in lines[number + 1 : number + 8] if row.tokens), lines[number])
        words = [one for one, _, _ in row.tokens]
        return (
            asked[:1] == ["!"]
            and words[:2] == ["define", *asked[1:]]
            and (len(words) == 2 or not self.missing)
            and self.find(words[1]) is None
            and words[1] not in self.expander.doubted
        )

    # --- conditions --------------------------------------------------------------------------

    def holds(self, word: str, tokens: list[Token], at: int) -> tuple[bool, str]:
        """Whether the condition of an ``#if`` or its like is true; why that is in doubt."""
        if word in ("ifdef", "ifndef", "def", "ndef"):
            name = tokens[0][0] if tokens else ""
            value = self.is_macro(name, at) == (word in ("ifdef", "def"))
            return value, self.doubted([name], at)
        before, self.expander.doubt = self.expander.doubt, ""
        try:
            condition = _Condition(self, list(self.expander.expand(tokens, raw=_ASKS)), at)
            value, names = condition.holds()
            return value, self.expander.doubt or self.doubted(names, at)
        except KvmvizError as error:
            if self.expander.left < 0:
                raise
            return False, self.doubting(f"{error}")
        finally:
            self.expander.doubt = before

    def is_macro(self, name: str, at: int) -> bool:
        """Whether a name is a macro here."""
        if not name.isidentifier():
            self.source.fail(at, f"{self.source.snippet(at)!r} names no macro")
        return name in _HAS or self.find(name) is not None

    def is_doubtful(self, name: str) -> bool:
        """Whether a name may be a macro although none is known: one that nobody gives here.

        A text whose headers are all given is whole, but for what its configuration says.
        """
        if name in self.expander.doubted:
            return True
        if name in self.macros or name in _HAS or self.find(name) is not None:
            return False
        if name in target.names() or (_QUIET.fullmatch(name) and not _ORDER.search(name)):
            return False
        whole = self.is_whole and not self.missing
        return not whole or name.startswith("CONFIG_") or bool(_ORDER.search(name))

    def doubted(self, names: Sequence[str], at: int) -> str:
        """Why it is in doubt what names stand for, at a place; empty where it is not."""
        for name in names:
            if name in self.expander.doubted:
                return self.expander.doubted[name]
        found = [name for name in dict.fromkeys(names) if self.is_doubtful(name)]
        if not found:
            return ""
        told = " and ".join(map(repr, found))
        verb, it = ("is no macro", "it") if len(found) == 1 else ("are no macros", "they")
        way = f"-D {found[0]}[=VALUE] or -U {found[0]}"
        why = self.source.message(at, f"{told} {verb} here{self.hint(way, it)}")
        return self.doubting(why, dict.fromkeys(found, at))

    def doubting(self, why: str, names: dict[str, int] | None = None) -> str:
        """The reason, which is kept."""
        self.doubts.setdefault(why, names or {})
        return why

    def hint(self, macro: str = "", it: str = "it") -> str:
        """Which headers may say what a name stands for; how to give them, or ``macro``."""
        names = list(self.missing)
        if not names and macro:
            return f"; give {macro}"
        if not names:
            return "; no header that this text includes says what it is" if self.count else ""
        way = "give the one that defines it (--include NAME=FILE; in Python headers)"
        way = _way(names[0]) if len(names) == 1 else way
        told = listed([f"<{one}>" for one in names], 12)
        return f"; {it} may be in {told}: {way}{macro and f', or {macro}'}"

    # --- directives --------------------------------------------------------------------------

    def obey(self, word: str, rest: list[Token], at: int, doubt: str) -> Iterator[Token]:
        """A directive that is no condition, itself in doubt or not."""
        if word in ("define", "undef"):
            name = rest[0][0] if rest else ""
            if not name.isidentifier() or name == "defined":
                self.source.fail(at, f"{self.source.snippet(at)!r} names no macro")
            if word == "define":
                self.define(rest, at)
            else:
                self.macros[name] = None
            if doubt:
                self.expander.doubted[name] = doubt
            else:
                self.expander.doubted.pop(name, None)
        elif word in ("include", "include_next", "import"):
            yield from self.include(rest, at, doubt, word == "include_next")
        elif word == "error" and not doubt:
            self.source.fail(at, self.source.snippet(at))
        elif word == "pragma":
            yield from self.pragma(rest, at, doubt)
        elif not word.isdigit() and word not in ("", "error", "warning", "ident", "sccs", "line"):
            self.source.fail(at, f"this directive is not supported: {self.source.snippet(at)!r}")

    def pragma(self, tokens: list[Token], at: int, doubt: str) -> Iterator[Token]:
        """A ``#pragma``: ``pack`` stays in its place, those that lay nothing out are dropped."""
        words = [word for word, _, _ in tokens]
        if words[:1] == ["pack"]:
            macro = next((word for word in words[1:] if self.find(word)), None)
            if macro:
                self.source.fail(
                    at, f"{macro!r} in '#pragma pack': clang puts a macro in there, gcc does not"
                )
            yield (MARK + "".join(words[1:]), at, NOWHERE)
            if doubt:
                yield (f"{MARK}!{doubt}", at, NOWHERE)
        elif words[:2] == ["clang", "attribute"] and _HARMLESS & {*words[2:]}:
            return
        elif words[:1] in _LAYING or words[:2] in _LAYING:
            self.source.fail(at, f"this directive is not supported: {self.source.snippet(at)!r}")

    def define(self, tokens: list[Token], at: int) -> None:
        """Keep a macro."""
        name = tokens[0][0]
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
            self.source.fail(at, f"{self.source.snippet(at)!r} has no closing bracket")
        end = words.index(")")
        parameters, rest = words[2:end], False
        if parameters[-1:] == ["..."]:
            rest = True
            parameters[-1:] = ["__VA_ARGS__"] if parameters[-2:-1] in ([], [","]) else []
        names = parameters[::2]
        legal = all(one.isidentifier() for one in names) and set(parameters[1::2]) <= {","}
        if not legal or len(set(names)) < len(names) or (parameters and not len(parameters) % 2):
            self.source.fail(at, f"{self.source.snippet(at)!r} has no legal parameters")
        return Macro(name, tuple(tokens[end + 1 :]), tuple(names), rest, at)

    def include(self, tokens: list[Token], at: int, doubt: str, is_next: bool) -> Iterator[Token]:
        """Another file in this place, if it is given."""
        if tokens and tokens[0][0].isidentifier():
            tokens = list(self.expander.expand(tokens))
        title = "".join(word for word, _, _ in tokens)
        beside = title[:1] == '"'
        if not _HEADER.fullmatch(title):
            self.source.fail(at, f"{self.source.snippet(at)!r} names no header")
        name = title[1:-1]
        self.count += 1
        path = self.files.path(name, at, beside, is_next)
        self.is_whole = self.is_whole or bool(path)
        if not path and name not in (*types.SETTLED, *types.HEADERS):
            yield from self.lacking(name, at)
        lines = self.files.header(name, path, at)
        if lines is None:
            return
        if self.count > MAX_INCLUDES:
            self.source.fail(at, f"more than {MAX_INCLUDES} headers")
        if self.depth >= MAX_DEPTH:
            self.source.fail(at, f"more than {MAX_DEPTH} headers that include each other")
        self.depth += 1
        yield from self.read(lines, doubt)
        self.depth -= 1

    def lacking(self, name: str, at: int) -> Iterator[Token]:
        """A header that nobody gives: it may hold members, or a ``#pragma pack``."""
        packs = PACKS.search(name) or self.missing.get(name)
        # What a text itself asks for twice is no header that declares things.
        self.missing[name] = self.source.at(at) is self.files.main
        told = f"<{name}> is not given, and may change this; {_way(name)}"
        why = self.source.message(at, told)
        yield from ((f"{MARK}?{why}", at, NOWHERE), (f"{MARK}?", at, NOWHERE))
        if packs:
            yield (f"{MARK}!{'' if UNPACKS.search(name) else self.doubting(why)}", at, NOWHERE)


class _Condition(Expressions):
    """What stands behind ``#if``: every name in it is a number, 0 where it is no macro.

    ``names`` are those of which it is not known whether they are macros, ``unknown`` their value.
    """

    least = 64

    def __init__(self, reader: Preprocessor, tokens: Sequence[Token], at: int) -> None:
        super().__init__(reader.source, tokens, target.answers(reader.abi))
        self.reader, self.at = reader, at
        self.names: list[str] = []
        self.unknown: int | None = 0

    def holds(self) -> tuple[bool, list[str]]:
        """Whether it is true on the target; the names on which that hangs.

        What it asks of the target is a fact from now on.
        """
        found = self.expression().value
        if self.word:
            self.fail("")
        for what in self.depends(0, target.TOLD):
            self.reader.facts.ask(self.reader.abi, target.macro, target.TOLD[what])
        self.unknown = None
        settled = self.again(0, self.answers).value
        if settled is None and not self.names:
            self.fail("")
        return bool(found), self.names if settled is None else []

    def fail(self, words: str, n: int | None = None) -> NoReturn:
        told = shortened(" ".join(self.words[:40]).strip())
        self.source.fail(self.at, f"this condition cannot be computed: {told!r}")

    def expected(self, what: str) -> NoReturn:
        self.fail(what)

    def name(self) -> Number:
        word = self.next()
        if word in _ASKS:
            return self.answer(word)
        is_call = self.word == "(" and self.reader.find(word) is None
        if not is_call and not self.reader.is_doubtful(word):
            return self.truth(False)
        if is_call:
            self.bracket()
        return self.in_doubt(word)

    def in_doubt(self, name: str) -> Number:
        """The value of a name of which nobody says whether it is a macro."""
        self.names.append(name)
        return Number(self.unknown, 64, True)

    def answer(self, word: str) -> Number:
        """What ``defined`` and its like say of what stands behind them."""
        if self.word == "(":
            inner = self.bracket()
        else:
            inner = [self.next()] if self.word.isidentifier() else []
        if word == "defined":
            name = inner[0] if len(inner) == 1 else ""
            if not self.reader.is_macro(name, self.at) and self.reader.is_doubtful(name):
                return self.in_doubt(name)
            return self.truth(self.reader.is_macro(name, self.at))
        if not inner:
            self.fail("")
        name = inner[-1].strip("_")
        if "include" in word:
            title, beside = "".join(inner)[1:-1], inner[0][0] == '"'
            if not _HEADER.fullmatch("".join(inner)):
                self.fail("")
            known = title in types.HEADERS or title in types.GIVEN
            if known or self.reader.files.path(title, self.at, beside, word.endswith("next")):
                return self.truth(True)
            self.reader.missing.setdefault(title, False)
            return self.in_doubt(f"{word}(<{title}>)")
        if word == "__has_builtin":
            return self.truth(inner[0].startswith("__builtin_"))
        if name in _APART:
            told = f"gcc and clang answer otherwise: {word}({inner[-1]})"
            self.source.fail(self.at, told)
        return self.truth(word == "__has_attribute" and (name in _LAID or name in IDLE))

    def bracket(self) -> list[str]:
        """The words in the bracket that opens here, which is read; none if it never closes."""
        self.next()
        start, depth = self.n, 1
        while self.word and depth:
            depth += {"(": 1, ")": -1}.get(self.next(), 0)
        return [] if depth else self.words[start : self.n - 1]


def _way(name: str) -> str:
    return f"give it (--include {name}=FILE; in Python headers={{{name!r}: text}})"


def _plain(name: str, text: str) -> Macro:
    return Macro(name, tuple((word, 0, frozenset[str]()) for word in text.split()))


@cache
def _standard() -> Mapping[str, Macro]:
    """What holds on every ABI where a text says nothing else."""
    some = next(iter(ABIS.values()))
    reader = Preprocessor(Files(types.KERNEL + types.COMPILER), some, target.Facts())
    list(reader.tokens())
    found = {name: macro for name, macro in reader.macros.items() if macro}
    alike = {name: _plain(name, text) for name, text in target.macros(some).items()}
    return {name: alike[name] for name in alike.keys() - target.names()} | found
