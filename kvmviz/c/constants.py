"""Names and constant expressions of one text: enumerators, casts, ``sizeof``, ``offsetof``.

What a type in brackets is, the reader of declarations says, which builds on this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from kvmviz._base import KvmvizError
from kvmviz.c import target, types
from kvmviz.c.arithmetic import SIGN, Expressions, Number
from kvmviz.c.preprocessor import Preprocessor
from kvmviz.c.source import KEYWORDS, Token
from kvmviz.c.types import WORDS, Kind
from kvmviz.ctype import SCALARS, Array, Scalar, Type

TAGS = ("struct", "union", "enum")
QUALIFIERS = frozenset(("const", "volatile"))
ALIGN = ("_Alignof", "__alignof__")
_ATTRIBUTE = re.compile(r"_+packed_*|PACKED|_\w*aligned\w*|_\w*randomize_layout")
LAID = re.compile(r"PACK(?!E?T|AGE)|ALIGN|ATTR")
"""Names of macros that lay a struct out."""
_MACRO = re.compile(r"_*[A-Z][A-Z0-9_]+|__\w+")
_STRING = re.compile(r'(?:u8?|[UL])?"')


class Constants(Expressions):
    """Reads constant expressions with the names that a text has declared so far.

    ``tags`` and ``typedefs`` are its types, ``standard`` those that need no declaration,
    ``values`` its enumerators, to gcc and to clang; ``settled`` are constants by the number of
    their first word, with that behind the last; ``spoilt`` says of some names why they are not
    understood, ``strange`` are names that nobody knows. Of the declaration that is being read,
    ``failed`` is the first error that was passed over, ``why`` says what is in doubt.
    """

    def __init__(self, reader: Preprocessor, known: Mapping[str, Kind]) -> None:
        super().__init__(reader.source, (), target.answers(reader.abi))
        self.reader, self.abi, self.facts = reader, reader.abi, reader.facts
        self.standard = dict(known)
        self.tags: dict[str, Kind] = {}
        self.typedefs: dict[str, Kind] = {}
        self.values: dict[str, tuple[Number, ...]] = {}
        self.spoilt: dict[str, str] = {}
        self.strange: dict[str, int] = {}
        self.failed = self.why = ""

    def type_name(self, n: int) -> Kind:
        """A type in brackets, with stars and brackets behind it; ``n`` is where one asks for it."""
        raise NotImplementedError

    def pointed_at(self) -> Kind | None:
        """The type in ``(type *)0)->``, read up to its end; None for anything else."""
        raise NotImplementedError

    # --- names -------------------------------------------------------------------------------

    def named(self, title: str) -> Kind | None:
        """The type of a name."""
        return self.typedefs.get(title) or self.undeclared(title, self.facts)

    def undeclared(self, title: str, facts: target.Facts) -> Kind | None:
        """The type of a name that needs no declaration."""
        found = self.standard.get(title) or self.standard.get(types.ordered(title.split()))
        if found is None and target.kernel(title, self.abi):
            found = self.standard[facts.ask(self.abi, target.kernel, title)]
        return found

    def missing(self, name: str, is_macro: bool = False) -> str:
        """Why a name is not known: what a header's declaration lacks, or a header itself."""
        why = self.spoilt.get(name) or self.reader.expander.doubted.get(name)
        return f"; {why}" if why else self.reader.hint(f"-D {name}[=VALUE]" if is_macro else "")

    def unknown(self, n: int) -> NoReturn:
        """Raise for a word that is neither a type nor a macro here."""
        raise KvmvizError(self.strangeness(n))

    def strangeness(self, n: int) -> str:
        """What there is to say of a word that is neither a type nor a macro here."""
        name, place = self.words[n], self.spots[n]
        if name not in self.spoilt:
            self.strange.setdefault(name, place)
        begins = not n or self.words[n - 1] in (";", "{", "(", ",", "typedef")
        is_macro = name == name.upper() if begins else _MACRO.fullmatch(name)
        if self.words[n + 1] == "(" or is_macro:
            why = f"{name!r} is no macro here{self.missing(name, True)}"
            return self.source.message(place, why)
        return self.source.message(place, f"unknown type {name!r}{self.missing(name)}")

    def is_strange(self, n: int) -> bool:
        """Whether the word of that number looks like a macro that nobody defines."""
        word = self.words[n] if 0 <= n < len(self.words) else ""
        known = word in KEYWORDS or word in self.values or word == "__attribute__"
        return bool(_MACRO.fullmatch(word)) and not known and not self.is_type(n)

    def expected(self, what: str) -> NoReturn:
        """Raise for what is missing here, or for a macro in its place."""
        before, here = self.is_strange(self.n - 1), self.is_strange(self.n)
        is_name = self.word.isidentifier() and self.word not in KEYWORDS
        if before and (self.word == "*" or (is_name and not self.is_type(self.n))):
            self.unknown(self.n - 1)
        if here:
            self.unknown(self.n)
        super().expected(what)

    def is_type(self, n: int) -> bool:
        """Whether a type begins at the word of that number."""
        word = self.words[n]
        if word in WORDS or word in TAGS or word in QUALIFIERS:
            return True
        is_name = word.isidentifier() and word not in KEYWORDS and word not in self.values
        return is_name and self.named(word) is not None

    def identifier(self) -> str:
        """A name that is given: no keyword, and not ``struct { ... } __packed;``."""
        name = self.word
        if name in KEYWORDS or name in ("typeof", "__attribute__"):
            if self.is_strange(self.n - 1):
                self.unknown(self.n - 1)
            self.fail(f"{name!r} is a keyword and can be no name")
        if not name.isidentifier():
            self.expected("a name")
        if _ATTRIBUTE.fullmatch(name):
            self.refuse("what looks like an attribute macro", self.n)
        return self.next()

    def refuse(self, title: str, n: int) -> NoReturn:
        """Raise for what C knows and is not read here."""
        self.fail(f"{title} is not supported: {self.written(n, max(self.n, n + 1))!r}", n)

    # --- expressions -------------------------------------------------------------------------

    def load(self, tokens: Sequence[Token], closing: Mapping[int, int] | None = None) -> None:
        """Begin at the first of other tokens."""
        super().load(tokens, closing)
        self.settled: dict[int, tuple[int, int]] = {}

    def constant(self) -> int:
        """The value of the expression that stands here."""
        word, start = self.word, self.n
        is_alone = word.isdigit() and self.words[start + 1] in ("]", ")", ",", ";")
        if is_alone and word[0] != "0" and len(word) < 10:
            return int(self.next())
        if start not in self.settled:
            # An expression around this one may ask what another target would say.
            outside, self.answers = (self.answers, self.asked), target.answers(self.abi)
            value = self.evaluate().value
            assert value is not None
            self.settled[start] = value, self.n
            self.answers, self.asked = outside
        value, self.n = self.settled[start]
        return value

    def evaluate(self, key: Callable[[Number], Any] = lambda one: one.value) -> Number:
        """The value of the expression that stands here; what it owes to the ABI becomes a fact."""
        start, self.asked = self.n, set()
        found = self.expression()
        # Whether compilers differ may itself hang on what the ABI says, the sign of char for one.
        for what in self.depends(start, ("enum", *target.TOLD), key) & {*target.TOLD}:
            self.facts.ask(self.abi, target.macro, target.TOLD[what])
        if self.depends(start, ("enum",), key):
            told = self.written(start)
            self.fail(f"gcc and clang differ in the type of a constant in {told!r}", start)
        if found.value is None:
            self.uncomputed(self.written(start), start)
        return found

    def name(self) -> Number | None:
        """A constant of the text, or what ``sizeof`` and its like say of a type."""
        n, word = self.n, self.word
        if word == "offsetof":
            return self.offset()
        if word == "sizeof" or word in ALIGN:
            return self.measured()
        if word in KEYWORDS:
            self.expected("an expression")
        self.next()
        if word not in self.values:
            self.strange.setdefault(word, self.spots[n])
            told = f"{word!r} is no integer constant of this text"
            self.fail(f"{told}{self.missing(word, True)}", n)
        first, *other = self.values[word]
        return other[0] if other and self.ask("enum") else first

    def converted(self) -> Scalar | None:
        """The integer type of a cast, if one stands here."""
        if self.word != "(" or not self.is_type(self.n + 1):
            return None
        n = self.n
        self.next()
        made = self.type_name(n).type
        self.expect(")")
        is_integer = isinstance(made, Scalar) and made.kind in ("integer", "bool")
        if not isinstance(made, Scalar) or not is_integer or made.bits > 64:
            self.uncomputed(self.written(n), n)
        return made

    def offset(self) -> Number:
        """What ``offsetof`` is."""
        n = self.n
        self.next()
        self.expect("(")
        whole = self.type_name(n)
        self.expect(",")
        path = self.path()
        self.expect(")")
        made = self.sized(whole, n)
        if target.member(made, path, self.abi) is None:
            self.unsized(n)
        return self.size(self.measure(made, path, n))

    def measured(self) -> Number | None:
        """What ``sizeof`` or an alignment is; None as :meth:`name`."""
        n, word = self.n, self.next()
        depth = 0
        while self.words[self.n + depth] == "(":
            depth += 1
        inner = self.n + depth
        made: Type | None = None
        if depth and _STRING.match(self.words[inner]):
            made = self.string(depth)
        elif depth and self.is_type(self.n + 1):
            self.next()
            kind = self.type_name(n)
            self.expect(")")
            made = self.sized(kind, n)
        elif depth > 1 and self.is_type(inner):
            made = self.through(depth, n)
        if made is not None:
            return self.size(self.measure(made, word, n))
        if word != "sizeof":
            self.expected("a type in brackets")
        single = depth == 1 and self.words[inner + 1] == ")" and self.words[inner].isidentifier()
        if single and self.words[inner] not in self.values:
            self.n = inner + 2
            self.unsized(n)
        return None

    def measure(self, made: Type, what: target.What, n: int) -> int:
        """What the ABI says of a type, in bytes; ``n`` is where one asks for it."""
        try:
            found = target.measure(made, what, self.abi)
        except KvmvizError as error:
            self.facts.ask(self.abi, target.measured, made, what)
            self.fail(f"{error}", n)
        if not (isinstance(made, Scalar) and made.bits and what == "sizeof"):
            self.facts.ask(self.abi, target.measured, made, what)
        return found

    def string(self, depth: int) -> Type:
        """The array that a string is, with the brackets around it."""
        self.n += depth
        length, n = 1, self.n
        while self.word[:1] == '"' and not SIGN.sub("", self.word):
            length += len(SIGN.findall(self.next())) - 2
        if self.n == n:
            self.expected("a string of plain characters")
        for _ in range(depth):
            self.expect(")")
        return Array(SCALARS["char"], length)

    def through(self, depth: int, n: int) -> Type | None:
        """What ``((struct s *)0)->member`` is, in brackets; None for another expression."""
        start = self.n
        self.n += depth
        whole = self.pointed_at()
        if whole is None:
            self.n = start
            return None
        path = self.path()
        for _ in range(depth - 2):
            self.expect(")")
        found = target.member(self.sized(whole, n), path, self.abi)
        if found is None:
            self.unsized(n)
        return found[0]

    def path(self) -> tuple[str | int, ...]:
        """A member's path: names and indices."""
        found: list[str | int] = [self.identifier()]
        while self.word in (".", "["):
            if self.take("."):
                found.append(self.identifier())
            else:
                self.next()
                found.append(self.constant())
                self.expect("]")
        return tuple(found)

    def sized(self, kind: Kind, n: int) -> Type:
        """A type that has a size; ``n`` is where one asks for it."""
        return self.defined(kind).type or self.unsized(n)

    def defined(self, kind: Kind) -> Kind:
        """The type itself, or that of the same tag which needs no definition."""
        is_tag = kind.type is None and " " in kind.name
        return self.standard.get(kind.name, kind) if is_tag else kind

    def unsized(self, n: int) -> NoReturn:
        """Raise for what has no size that is known."""
        inner = n + 2 if self.words[n] != "offsetof" and self.words[n + 1] == "(" else n
        end = self.closing.get(n + 1, self.n) + (inner == n)
        told = self.written(inner, end)
        missing = self.missing(" ".join(self.words[inner:end]))
        self.fail(f"{told!r} has no known size here{missing}", n)
