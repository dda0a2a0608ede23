"""Declarations of C, one after the other, for one ABI: what names stand for.

A recursive descent over the preprocessor's tokens. What a declaration says is either understood
or refused by name, so that nothing which could change a layout is skipped. Functions and
variables, which change none, are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from kvmviz._base import KvmvizError
from kvmviz.c import arithmetic, target, types
from kvmviz.c.arithmetic import Expressions, Machine, Number, Step
from kvmviz.c.macros import IDLE, MARK, Preprocessor
from kvmviz.c.source import KEYWORDS, MAX_DEPTH, Token, is_torn, shortened
from kvmviz.c.types import FLOATS, WORDS, Kind
from kvmviz.ctype import ALIGNMENTS, POINTER, SCALARS, Array, Member, Scalar, Struct, Type

MAX_BYTES = 1 << 20
"""Bytes of all members of one type, those of a union side by side."""

_SPELLED = {"__signed__": "signed", "__signed": "signed", "__const": "const", "__const__": "const"}
_SPELLED |= {"__volatile__": "volatile", "__volatile": "volatile", "__inline__": "inline"}
_SPELLED |= {"__inline": "inline", "__restrict": "restrict", "__restrict__": "restrict"}
_SPELLED |= {"__builtin_offsetof": "offsetof", "__extension__": "", "__always_inline": "inline"}
_SPELLED |= {"__attribute": "__attribute__", "asm": "__asm__", "__alignof": "__alignof__"}
_SPELLED |= {"static_assert": "_Static_assert", "__typeof": "typeof", "__typeof__": "typeof"}
_PAIRS = ("[]", "()", "{}")
_SIGNS = frozenset("[](){}.,:;?~!<>=+-*/%&|^\"'")
_QUALIFIERS = frozenset(("const", "volatile"))
_POINTS = frozenset(("const", "volatile", "restrict"))
_STORAGE = frozenset(
    [
        "extern",
        "static",
        "inline",
        "register",
        "auto",
        "_Noreturn",
        "_Thread_local",
        "__thread",
        "typedef",
    ]
)
_TAGS = ("struct", "union", "enum")
_BEGINS = frozenset((*_TAGS, *_STORAGE, *WORDS))
"""Words that begin a declaration, and cannot go on with one behind braces."""
_ALIGN = ("_Alignof", "__alignof__")
_ATTRIBUTE = re.compile(r"_+packed_*|PACKED|_\w*aligned\w*|_\w*randomize_layout")
_LAID = re.compile("pack|align|attr", re.IGNORECASE)
_QUIET = re.compile(r'"\s*(GCC|clang) (diagnostic|poison)\b')
"""Pragmas that lay nothing out."""
_STRING = re.compile(r'L?"')
_PLAIN_STRING = re.compile(r'"((?:\\(?:[0-7]{1,3}|x[0-9a-fA-F]+|.)|[ -~])*)"')
_ESCAPE = re.compile(r"\\(?:[0-7]{1,3}|x[0-9a-fA-F]+|.)")
_PACK = re.compile(
    r"\((?:(?P<only>\d+)|(?P<how>push|pop)(?:,(?P<name>[A-Za-z_]\w*))?(?:,(?P<number>\d+))?)?\)"
)
_PACKS = ("0", "1", "2", "4", "8", "16")


@dataclass(frozen=True)
class Wish:
    """What attributes ask for: alignments in bytes, in order; ``n`` is the number of a word."""

    packed: bool = False
    aligns: tuple[int, ...] = ()
    n: int | None = None
    least: int = 0

    def __or__(self, other: Wish) -> Wish:
        return Wish(
            self.packed or other.packed,
            self.aligns + other.aligns,
            self.n if other.n is None else other.n,
            max(self.least, other.least),
        )

    @property
    def align(self) -> int:
        """The largest alignment, 0 for none."""
        return max(self.aligns, default=0)


NOTHING = Wish()


@dataclass
class Base:
    """What stands in front of the names: a type, attributes, storage classes.

    ``begin`` is the number of its first word, ``n`` that of the type's. ``kind`` is None where
    ``is_unknown`` says that nobody knows the name. ``word`` is ``struct``, ``union`` or ``enum``,
    ``title`` what the text calls it; ``defines`` says that its members stand here.
    """

    begin: int
    n: int
    kind: Kind | None = None
    is_unknown: bool = False
    wish: Wish = NOTHING
    storage: set[str] = field(default_factory=set)
    word: str = ""
    title: str = ""
    defines: bool = False


@dataclass(frozen=True)
class Declared:
    """A name, its number and its type; ``is_open``: an array whose outermost brackets are empty."""

    n: int
    name: str
    kind: Kind
    is_open: bool = False


class Reader(Expressions):
    """Reads one declaration after the other; what it has read is known to those that follow.

    ``structs`` are those of the text by name, ``places`` where each begins, ``own`` those that
    stand in no header. ``spoilt`` says of some names why they are not understood.
    """

    def __init__(self, reader: Preprocessor) -> None:
        super().__init__(reader.source, ())
        self.reader, self.abi, self.facts = reader, reader.abi, reader.facts
        self.answers = target.answers(reader.abi)
        self.tags: dict[str, Kind] = {}
        self.typedefs: dict[str, Kind] = {}
        self.spoilt: dict[str, str] = {}
        self.values: dict[str, Step] = {}
        self.structs: dict[str, Struct] = {}
        self.places: dict[str, int] = {}
        self.own: set[str] = set()
        self.pack = 0
        self.stack: list[tuple[str | None, int]] = []

    def read(self) -> None:
        """All that stands at file scope."""
        for tokens, closing in self.chunks():
            self.load(tokens, closing)
            self.depth = 0
            try:
                self.declaration()
            except KvmvizError as error:
                if self.source.at(self.spots[0]) is self.source:
                    raise
                # Of a header, only what the text uses need be understood.
                self.spoil(f"{error}")

    # --- tokens ------------------------------------------------------------------------------

    def chunks(self) -> Iterator[tuple[list[Token], dict[int, int]]]:
        """One declaration after the other, brackets in pairs; of a function's body only ``{``."""
        tokens = self.reader.tokens()
        found: list[Token] = []
        opened: list[int] = []
        closing: dict[int, int] = {}
        last, aside = "", -1  # the last word outside attributes; brackets where one began
        for word, place, macros in tokens:
            word = _SPELLED.get(word, word)
            if word[:1] == MARK:
                if opened:
                    self.source.fail(place, "'#pragma pack' inside a declaration")
                if found:
                    yield found, closing
                    found, closing, last = [], {}, ""
                self.pragma(word[1:], place)
                continue
            if not word:
                continue
            if word == "_Pragma":
                self.quiet(tokens, place)
                continue
            if word in ("(", "[", "{"):
                if word == "{" and not opened and last == ")":
                    found.append((word, place, macros))
                    self.body(tokens, place)
                    yield found, closing
                    found, closing, last = [], {}, ""
                    continue
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
            if word == ";" and not opened:
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
        if (not word.isascii() and not _STRING.match(word)) or odd:
            bad = odd or next(sign for sign in word if not sign.isascii())
            told = f"character {bad!r} is legal in comments only"
            self.source.fail(place + word.index(bad), told)

    def quiet(self, tokens: Iterator[Token], place: int) -> None:
        """Pass over a ``_Pragma`` that lays nothing out."""
        text, depth = "", 0
        for word, _, _ in tokens:
            depth += (word == "(") - (word == ")")
            text += word
            if depth <= 0:
                break
        if not _QUIET.match(text[1:]):
            told = shortened(text[1:-1])
            self.source.fail(place, f"a '_Pragma' is not supported: {told}")

    def body(self, tokens: Iterator[Token], place: int) -> None:
        """Pass over a function's body."""
        depth = 1
        for word, at, _ in tokens:
            if word[:1] == MARK:
                self.source.fail(at, "'#pragma pack' inside a declaration")
            depth += (word == "{") - (word == "}")
            if not depth:
                return
        self.source.fail(place, "'{' is never closed")

    def pragma(self, words: str, place: int) -> None:
        """What ``#pragma pack`` says from here on, 0 for nothing."""
        match = _PACK.fullmatch(words)
        number = match and (match["only"] or match["number"])
        pops = match is not None and match["how"] == "pop"
        if match is None or (number and (pops or number not in _PACKS)):
            told = self.source.snippet(place)
            self.source.fail(place, f"this directive is not supported: {told!r}")
        if pops:
            names = [name for name, _ in self.stack]
            if not self.stack or (match["name"] and match["name"] not in names):
                self.source.fail(place, "'#pragma pack(pop)' without a push")
            while match["name"] and self.stack[-1][0] != match["name"]:
                self.stack.pop()
            self.pack = self.stack.pop()[1]
            return
        if match["how"]:
            self.stack.append((match["name"], self.pack))
        self.pack = int(number) if number else self.pack if match["how"] else 0

    # --- names -------------------------------------------------------------------------------

    def spoil(self, why: str) -> None:
        """Remember why a header's declaration is not understood, by all names in it."""
        for before, word in zip(["", *self.words], self.words, strict=False):
            title = f"{before} {word}" if before in _TAGS else word
            kind = self.tags.get(title)
            taken = (kind and kind.type) or title in self.typedefs or not word.isidentifier()
            if not (taken or word in KEYWORDS or types.is_named(title, self.abi)):
                self.spoilt.setdefault(title, why)

    def missing(self, name: str = "") -> str:
        """Why a name is not known: what a header's declaration lacks, or a header itself."""
        if name in self.spoilt:
            return f"; {self.spoilt[name]}"
        return self.reader.files.hint()

    def named(self, title: str) -> Kind | None:
        """The type of a name."""
        return self.typedefs.get(title) or types.named(title, self.facts, self.abi)

    def is_type(self, n: int) -> bool:
        """Whether a type begins at the word of that number."""
        word = self.words[n]
        if word in WORDS or word in _TAGS or word in _QUALIFIERS:
            return True
        return (
            word.isidentifier()
            and word not in KEYWORDS
            and word not in self.values
            and self.named(word) is not None
        )

    def identifier(self) -> str:
        """A name that is given: no keyword, and not ``struct { ... } __packed;``."""
        name = self.word
        if name in KEYWORDS or name in ("typeof", "__attribute__"):
            self.fail(f"{name!r} is a keyword and can be no name")
        if not name.isidentifier():
            self.expected("a name")
        if _ATTRIBUTE.fullmatch(name):
            self.refuse("what looks like an attribute macro", self.n)
        return self.next()

    def refuse(self, title: str, n: int) -> NoReturn:
        """Raise for what C knows and is not read here."""
        self.n = max(self.n, n + 1)
        self.fail(f"{title} is not supported: {self.snippet(n)!r}", n)

    def complete(self, kind: Kind, n: int) -> Type:
        """The type, if it is known here and within the limits."""
        if kind.type is None and kind.name in types.structs():
            kind.type = types.structs()[kind.name]
            kind.weight, kind.depth = 128, 3
        if kind.name in FLOATS:
            self.fail(f"{kind.name!r} differs by ABI and C library; not supported", n)
        if kind.is_open and kind.name not in self.spoilt:
            self.fail(f"{kind.name} cannot hold itself", n)
        if kind.type is None:
            missing = self.missing(kind.name) if " " in kind.name else ""
            self.fail(f"{kind.name!r} is not defined before this place{missing}", n)
        if kind.depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} types inside each other", n)
        return kind.type

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

    def aside(self) -> None:
        """Pass over an assertion, or a piece of assembler."""
        self.next()
        if self.word != "(":
            self.expected("'('")
        self.skip()
        self.expect(";")

    def typedef(self) -> None:
        """Other names for a type; a struct with no tag is called by the first of them."""
        base = self.base(is_typedef=True)
        if self.word == ";":
            self.empty(base)
        while True:
            wish = base.wish | self.attributes()
            row = self.declarator(self.known(base))
            self.name_type(row, wish | self.attributes())
            if not self.take(","):
                break
        self.expect(";")

    def name_type(self, row: Declared, wish: Wish) -> None:
        """Give a name to a type."""
        name, kind = row.name, row.kind
        if row.is_open:
            self.refuse("a typedef of an array without a size", row.n)
        if wish.n is not None:
            kind = self.aligned(kind, wish, name)
        # Its name says more: __be32 is __u32 with a byte order.
        kind = types.annotated(name, kind, self.facts, self.abi) or kind
        known = types.named(name, target.Facts(), self.abi)
        if known and known.is_same(kind) and not target.kernel(name, self.abi):
            return
        old = self.typedefs.setdefault(name, kind)
        if not old.is_same(kind):
            self.fail(f"{name!r} is already the name of another type", row.n)

    def aligned(self, kind: Kind, wish: Wish, name: str) -> Kind:
        """A type with the alignment that a typedef of that name gives it."""
        n, align = wish.n or 0, wish.align
        if len(set(wish.aligns)) > 1:
            self.disputed(wish)
        if wish.least:
            self.fail("'_Alignas' in a typedef is no C", n)
        if isinstance(kind.type, Scalar) and not wish.packed:
            return replace(kind, type=replace(kind.type, align=align))
        if not isinstance(kind.type, Struct) or wish.packed:
            self.fail("only 'aligned' on a scalar or a struct is read in a typedef", n)
        made = kind.type.changed(typedef_align=align)
        if kind.name == name:
            # With no tag, the struct is known by this name only.
            self.structs[name] = made
        return replace(kind, type=made)

    def passed(self) -> None:
        """A function or a variable that others define, or a type alone."""
        base = self.base(is_outside=True)
        if base.word and self.take(";"):
            if not base.title:
                self.refuse("a definition with neither tag nor typedef name", base.n)
            if base.wish.n is not None:
                self.misplaced(base.wish)
            return
        begin, n, is_function = self.n, -1, False
        while True:
            first = n < 0
            start = self.n
            self.pointers()
            if self.word == "(" and base.kind is None and first:
                self.skip()
                self.refuse("a macro with arguments", base.n)
            n, named = self.n, self.word != "("
            self.identifier() if named else self.skip()
            function = self.word == "("
            plain = start == n and named and self.word not in ("(", "[", "=")
            self.suffixes()
            if first:
                is_function = function
                if function and self.word == "{":
                    break
                if not function and not base.storage & {"extern", "static"}:
                    self.variable(base, n if plain else -1)
            if self.take("="):
                while self.word not in (",", ";", ""):
                    self.skip() if self.n in self.closing else self.next()
            if not self.take(","):
                break
        if is_function and self.word == "{":
            plain = self.words[begin] not in ("*", "const", "volatile")
            if base.word in ("struct", "union") and not base.defines and plain:
                # A macro that nobody defined may stand in front of the braces of a struct.
                self.refuse("a function that returns a struct", begin)
            return
        self.expect(";")

    def variable(self, base: Base, n: int) -> None:
        """Pass over a variable, if it is one: a macro that nobody defined may stand there."""
        name = self.words[n] if n >= 0 else ""
        if name and (name[0] == "_" or name == name.upper() or _LAID.search(name)):
            self.refuse("a variable or an attribute macro", n)
        self.known(base)

    def pointers(self) -> None:
        """Pass over stars and what stands beside them."""
        while self.word in _POINTS or self.word in ("*", "__attribute__"):
            self.attributes() if self.word == "__attribute__" else self.next()

    def suffixes(self) -> None:
        """Pass over brackets and what stands behind a name."""
        while self.word in ("(", "[", "__asm__", "__attribute__"):
            if self.word == "__attribute__":
                self.attributes()
            elif not self.take("__asm__"):
                self.skip()

    def empty(self, base: Base) -> NoReturn:
        """Raise for a declaration without a name."""
        self.known(base)
        self.next()
        self.fail(f"this declares nothing: {self.snippet(base.begin)!r}", base.begin)

    def known(self, base: Base) -> Kind:
        """The type, if it is one."""
        if base.kind is None:
            title = self.words[base.n]
            if self.words[base.n + 1] == "(":
                self.n = base.n + 1
                self.skip()
                self.refuse("a macro with arguments", base.n)
            self.fail(f"unknown type {title!r}{self.missing(title)}", base.n)
        return base.kind

    def base(self, *, is_outside: bool = False, is_typedef: bool = False) -> Base:
        """The type in front of the names that a declaration declares."""
        found, words = Base(self.n, self.n), list[str]()
        while True:
            word, settled = self.word, bool(found.kind or words or found.is_unknown)
            if word in _QUALIFIERS:
                self.next()
            elif word == "__attribute__":
                found.wish |= self.attributes()
            elif word == "_Alignas":
                found.wish |= self.alignas()
            elif word == "typedef" and is_outside:
                self.fail("'typedef' is read at the start of a declaration only")
            elif word in _STORAGE and not settled and not is_outside:
                self.fail(f"a storage class is not supported: {word!r}")
            elif word in _STORAGE and is_outside and not found.defines:
                found.storage.add(self.next())
            elif word == "_Atomic":
                self.fail(f"this qualifier is not supported: {word!r}")
            elif word == "typeof" and not settled:
                if not is_outside:
                    self.fail(f"{word!r} is not supported")
                self.next()
                found.kind = Kind(word)
                if self.word == "(":
                    self.skip()
            elif word in WORDS and not found.kind and not found.is_unknown:
                found.n = found.n if words else self.n
                words.append(self.next())
            elif word in _TAGS and not settled:
                found.n, found.word = self.n, word
                made = self.enum if word == "enum" else self.struct
                found.kind, found.defines = made(is_typedef)
                found.title = found.kind.name
            elif word.isidentifier() and not settled and word not in KEYWORDS:
                found.n = self.n
                self.next()
                found.kind = self.named(word)
                found.is_unknown = found.kind is None
            else:
                break
        if words:
            found.kind = self.named(" ".join(words)) or self.named(types.ordered(words))
            if found.kind is None:
                self.refuse("this type", found.n)
        if not found.kind and not found.is_unknown:
            self.expected("a type")
        if found.defines and (word in _BEGINS or word in ("", "}", ")", "=", "[")):
            self.expected("';'")
        return found

    def declarator(
        self, kind: Kind, *, is_abstract: bool = False, is_open: bool = False
    ) -> Declared:
        """A name and its type: stars make pointers, brackets arrays, from the name outwards."""
        self.idle()
        start = self.n
        while self.take("*"):
            kind, is_open = Kind("", POINTER, 8), False
            while self.word in _POINTS or self.word == "__attribute__":
                self.idle() if self.word == "__attribute__" else self.next()
        n, name, inner = self.n, "", -1
        if self.word == "(" and (not is_abstract or self.words[n + 1] in ("*", "(", "[")):
            inner = self.n + 1
            self.skip()
        elif not is_abstract:
            name = self.identifier()
        found: list[tuple[int, int | None]] = []
        while self.word in ("[", "("):
            at = self.n + 1
            if self.word == "(":
                if "{" in self.skip():
                    self.refuse("a definition in an argument list", at - 1)
                found.append((at, -1))
                continue
            self.next()
            found.append((at, None if self.word == "]" else self.constant()))
            self.expect("]")
        for number, (at, count) in reversed([*enumerate(found)]):
            if self.words[at - 1] == "(":
                kind = Kind("function")
                continue
            if count is None and number:
                self.fail("an array without a size in an array is not supported", start)
            kind = self.array(kind, count or 0, start if count is None else at, is_abstract)
        is_open = found[0][1] is None if found else is_open
        if inner >= 0:
            end, self.n = self.n, inner
            row = self.declarator(kind, is_abstract=is_abstract, is_open=is_open)
            self.expect(")")
            self.n = end
            return row
        return Declared(n, name, kind, is_open)

    def array(self, kind: Kind, count: int, n: int, is_asked: bool = False) -> Kind:
        """An array type, if its size is legal; one that is only asked about may have any."""
        element = self.complete(kind, n)
        leaf = element.leaf
        align = leaf.align if isinstance(leaf, Scalar) else leaf.typedef_align
        if align and self.facts.ask(leaf, "sizeof", self.abi) % align:
            self.fail(f"an array of elements smaller than their alignment, {align}", n)
        weight = max(kind.weight, 1)
        if count < 0 or (count * weight > MAX_BYTES and not is_asked):
            most = MAX_BYTES // weight
            self.fail(f"an array of {count} elements; legal are 0 .. {most}", n)
        return Kind("", Array(element, count), count * weight, kind.depth + 1)

    # --- attributes --------------------------------------------------------------------------

    def attributes(self) -> Wish:
        """What ``__attribute__((...))`` asks for, one or more of them; harmless ones do not."""
        found = Wish()
        while self.word == "__attribute__":
            n = self.n
            self.next()
            self.expect("(")
            self.expect("(")
            while not self.take(")"):
                if not self.take(","):
                    found |= self.attribute(n)
            self.expect(")")
        return found

    def attribute(self, n: int) -> Wish:
        """One attribute of a list; ``n`` is where that begins."""
        start, name = self.n, self.next().strip("_")
        if name == "packed" and self.word != "(":
            return Wish(packed=True, n=n)
        if name == "packed":
            self.fail("attribute 'packed' takes no argument", n)
        if name == "aligned":
            if not self.take("("):
                return Wish(aligns=(self.biggest(n),), n=n)
            align = self.biggest(n) if self.word == ")" else self.constant()
            self.expect(")")
            return Wish(aligns=(self.legal(align, n),), n=n)
        if self.n in self.closing:
            self.skip()
        if name not in IDLE:
            self.fail(f"an attribute is not supported: {self.written(start)!r}", n)
        return Wish()

    def idle(self) -> None:
        """Attributes where only harmless ones may stand."""
        wish = self.attributes()
        if wish.n is not None:
            self.misplaced(wish)

    def misplaced(self, wish: Wish) -> NoReturn:
        """Raise for attributes that say nothing where they stand, or not the same to everybody."""
        name = "packed" if wish.packed else "aligned"
        self.fail(f"attribute {name!r} is not supported here", wish.n)

    def disputed(self, wish: Wish) -> NoReturn:
        """Raise for alignments of which gcc takes the last, and clang the largest."""
        told = " and ".join(f"aligned({one})" for one in wish.aligns)
        self.fail(f"{told}: gcc takes the last, clang the largest", wish.n)

    def legal(self, align: int, n: int) -> int:
        """An alignment in bytes, if it is one."""
        if align not in ALIGNMENTS:
            self.fail(f"aligned({align}); legal are powers of 2 to {ALIGNMENTS[-1]}", n)
        return align

    def biggest(self, n: int) -> int:
        """The alignment of ``aligned`` without a number (gcc manual, Common Type Attributes)."""
        name, macros = "__BIGGEST_ALIGNMENT__", target.macros(self.abi)
        found = self.facts.macros[name] = macros[name]
        self.facts.macros["__mips"] = macros.get("__mips")
        if self.abi.family == "mips":
            self.fail(f"'aligned' without a number: gcc has {found} here, clang 16", n)
        return int(found)

    def alignas(self) -> Wish:
        """``_Alignas``: a number or a type; 0 asks for nothing."""
        n = self.n
        self.next()
        self.expect("(")
        if self.is_type(self.n):
            align = self.asked(self.type_name(n), "_Alignof", n)
        else:
            align = self.constant()
        self.expect(")")
        return Wish(aligns=(self.legal(align, n),), n=n, least=align) if align else Wish()

    # --- structs, unions, enums --------------------------------------------------------------

    def struct(self, is_typedef: bool) -> tuple[Kind, bool]:
        """The struct or union of that tag, and whether its members stand here."""
        begin, word = self.n, self.next()
        wish = self.attributes()
        n, name = self.n, ""
        if self.word.isidentifier():
            name = self.identifier()
        tagged = f"{word} {name}" if name else ""
        front, wish = wish, wish | self.attributes()
        if self.word != "{":
            if not name:
                self.expected("a tag or '{'")
            if front.n is not None:
                self.misplaced(front)
            self.n = n + 1
            return self.tags.setdefault(tagged, Kind(tagged)), False
        name = name or (self.first_name() if is_typedef else "")
        kind = self.tags.setdefault(tagged, Kind(tagged)) if tagged else Kind(name)
        if name in self.places:
            seen = self.source.where(self.places[name])
            told = f"{name!r} is defined twice; see {seen}"
            self.fail(told, n if tagged else begin)
        if name:
            self.places[name] = self.spots[begin]
            if self.source.at(self.spots[begin]) is self.source:
                self.own.add(name)
        self.opened(begin)
        kind.is_open = True
        rows = self.members(kind, word == "union")
        kind.is_open = False
        wish |= self.attributes()
        if wish.aligns and wish.aligns[-1] != wish.align:
            self.disputed(wish)
        if wish.least:
            self.fail(f"'_Alignas' on a {word} is no C", wish.n)
        members = [row.member() for row in rows]
        kind.type = Struct(
            name,
            members,
            union=word == "union",
            packed=wish.packed,
            align=wish.align,
            pack=self.pack,
            empty=not members,
        )
        if name:
            self.structs[name] = kind.type
        return kind, True

    def opened(self, n: int) -> None:
        """Read the brace that opens a definition; ``n`` is where the definition begins."""
        if self.depth:
            self.fail("a definition in an expression is not supported", n)
        self.next()

    def first_name(self) -> str:
        """The first plain name that a typedef gives to the struct which opens here."""
        n, begins = self.closing[self.n] + 1, True
        while (word := self.words[n]) not in ("", ";"):
            if word == "__attribute__":
                n = self.closing.get(n + 1, n) + 1
                continue
            plain = self.words[n + 1] in (",", ";", "__attribute__")
            if begins and plain and word.isidentifier():
                return word
            begins = word == ","
            n = self.closing.get(n, n) + 1
        return ""

    def members(self, whole: Kind, union: bool) -> list[_Row]:
        """What stands between the braces; the weight and depth of the struct grow with it."""
        found: list[_Row] = []
        seen: set[str] = set()
        open_end = -1
        while not self.take("}"):
            if self.take(";"):
                continue
            if self.word == "_Static_assert":
                self.aside()
                continue
            for row in self.fields():
                if open_end >= 0:
                    self.fail("an array without a size is legal only at the end", open_end)
                made, name = row.type, row.name
                names = [name] if name else made.names() if isinstance(made, Struct) else []
                for used in names:
                    if used in seen:
                        self.fail(f"member {used!r} stands twice", self.second(row, used))
                    seen.add(used)
                if row.is_open:
                    if union or not seen - {name}:
                        self.fail("an array without a size needs members before it", row.n)
                    open_end = row.n
                if not (name.startswith("__empty_") and isinstance(made, Struct) and made.is_empty):
                    # That one is only how __DECLARE_FLEX_ARRAY makes C accept the array behind it.
                    found.append(row)
                whole.weight += max(row.kind.weight, 1)
                whole.depth = max(whole.depth, row.kind.depth + 1)
                if whole.weight > MAX_BYTES:
                    self.fail(f"more than {MAX_BYTES} bytes of members", row.n)
        return found

    def second(self, row: _Row, name: str) -> int:
        """The number of a name in an anonymous struct, or that of the member itself."""
        found = (n for n in range(row.n, self.n) if self.words[n] == name and not row.name)
        return next(found, row.n)

    def fields(self) -> Iterator[_Row]:
        """The members that one declaration declares."""
        base = self.base()
        if self.word == ";":
            if base.word == "enum" and base.defines:
                self.next()
                return
            kind = self.known(base)
            if kind.name or not isinstance(kind.type, Struct):
                self.empty(base)
            if base.wish.n is not None:
                self.misplaced(base.wish)
            yield _Row(base.n, "", kind, kind.type)
            self.next()
            return
        while True:
            wish = base.wish | self.attributes()
            if self.word == ":":
                row = Declared(base.n, "", self.known(base))
            else:
                row = self.declarator(self.known(base))
            kind = row.kind
            if kind.name == "function" and kind.type is None:
                self.refuse("a function", row.n)
            made = self.complete(kind, row.n)
            bits = self.bits(made, bool(row.name)) if self.take(":") else None
            wish |= self.attributes()
            if wish.n is not None and not row.name:
                self.fail("an attribute on a member without a name is not supported", wish.n)
            if wish.least:
                self.raised(wish, made, bits)
            yield _Row(row.n, row.name, kind, made, row.is_open, bits, wish)
            if not self.take(","):
                break
        self.expect(";")

    def bits(self, made: Type, is_named: bool) -> int:
        """The width of a bit-field, if it is legal."""
        n = self.n
        if not isinstance(made, Scalar) or made.kind not in ("integer", "bool") or made.order:
            self.fail("only an integer can be a bit-field", n)
        bits = self.constant()
        least, most = int(is_named), 1 if made.kind == "bool" else made.bits or 64
        if not least <= bits <= most:
            self.fail(f"a bit-field of {bits} bits; legal: {least} .. {most}", n)
        return bits

    def raised(self, wish: Wish, made: Type, bits: int | None) -> None:
        """Refuse an ``_Alignas`` that C does not know: it raises the alignment of a member."""
        if bits is not None:
            self.fail("'_Alignas' on a bit-field is no C", wish.n)
        own = self.facts.ask(made, "_Alignof", self.abi)
        if wish.least < own:
            self.fail(f"_Alignas({wish.least}) on a type that is aligned to {own}", wish.n)

    def enum(self, is_typedef: bool) -> tuple[Kind, bool]:
        """An enum: its constants, and the type that holds them all."""
        self.next()
        wish = self.attributes()
        n, title = self.n, "enum"
        kind = Kind(title)
        if self.word.isidentifier():
            title = f"enum {self.identifier()}"
            kind = self.tags.setdefault(title, Kind(title))
        if self.word == ":" and self.is_type(self.n + 1):
            self.fail("an enum with a type of its own is not supported")
        if self.word != "{":
            if title == "enum":
                self.expected("a tag or '{'")
            if wish.n is not None:
                self.misplaced(wish)
            return kind, False
        if kind.type is not None:
            self.fail(f"{title!r} is defined twice", n)
        begin = self.n
        self.opened(begin)
        rows = self.constants()
        wish |= self.attributes()
        if wish.aligns:
            self.fail("attribute 'aligned' on an enum is not supported", wish.n)
        values = [value for _, value in rows]
        if not values:
            self.fail("an enum without constants", begin)
        low, high = min(values), max(values)
        if low < 0 and high >= 1 << 63:
            self.fail("no type holds all values of this enum", begin)
        kind.type = _holder(low, high, wish.packed)
        if not all(arithmetic.fits(value, 32, True) for value in values):
            # The constants that are no int have the enum's own type from here on.
            own = _holder(low, high, packed=False)
            for name, value in rows:
                self.values[name] = arithmetic.enumerator(value, own.bits, bool(own.signed))
        if title != "enum":
            kind.type = replace(kind.type, name=title)
        kind.weight = kind.type.size
        return kind, True

    def constants(self) -> list[tuple[str, int]]:
        """An enum's constants, which the text may use from there on."""
        found: list[tuple[str, int]] = []
        last = Number(-1, 32, True)
        while not self.take("}"):
            n, name = self.n, self.identifier()
            self.idle()
            if name in self.values:
                self.fail(f"{name!r} is already a constant", n)
            if self.take("="):
                start = self.n
                last = self.settled(self.expression(), start, _as_constant)
            else:
                assert last.value is not None
                last = last._replace(value=last.value + 1)
            value = last.value
            assert value is not None
            if not arithmetic.fits(value, last.bits, last.signed):
                told = "" if value >> 64 else ", beyond the type of the constant before it"
                self.fail(f"{name!r} would be {value}{told}", n)
            last = _as_constant(last)
            self.values[name] = arithmetic.constant(last)
            found.append((name, value))
            if not self.take(","):
                self.expect("}")
                break
        return found

    # --- constant expressions ----------------------------------------------------------------

    def constant(self) -> int:
        """The value of the expression that stands here."""
        word, start = self.word, self.n
        is_alone = word.isdigit() and self.words[start + 1] in ("]", ")", ",", ";")
        if is_alone and word[0] != "0" and len(word) < 10:
            return int(self.next())
        value = self.settled(self.expression(), start).value
        assert value is not None
        return value

    def settled(
        self, steps: list[Step], start: int, key: Callable[[Number], Any] = lambda one: one.value
    ) -> Number:
        """The value of steps; what it owes to the ABI becomes a fact."""
        if arithmetic.depends(steps, self.answers, ("enum",), key=key):
            told = self.written(start)
            self.fail(f"gcc and clang differ in the type of a constant in {told!r}", start)
        for what in arithmetic.depends(steps, self.answers, target.TOLD, key=key):
            self.facts.tell(what, self.abi)
        found = arithmetic.run(steps, Machine(self.answers))
        if found.value is None:
            self.uncomputed(self.written(start), start)
        return found

    def name(self) -> list[Step]:
        """A constant of the text, or what ``sizeof`` and its like say."""
        n, word = self.n, self.word
        if word in ("sizeof", "offsetof", *_ALIGN):
            return [self.measured()]
        if word in KEYWORDS:
            self.expected("an expression")
        self.next()
        if word not in self.values:
            self.fail(f"{word!r} is no integer constant of this text{self.missing(word)}", n)
        return [self.values[word]]

    def converted(self) -> Step | None:
        """A cast to an integer type, if one stands here."""
        if self.word != "(" or not self.is_type(self.n + 1):
            return None
        n = self.n
        self.next()
        made = self.type_name(n).type
        self.expect(")")
        if isinstance(made, Scalar) and made.kind == "bool":
            return arithmetic.cast(8, False, True)
        if not isinstance(made, Scalar) or made.kind != "integer" or made.bits > 64:
            self.uncomputed(self.written(n), n)
        return arithmetic.cast(made.bits, made.signed, False)

    def type_name(self, n: int) -> Kind:
        """A type in brackets, with stars and brackets behind it."""
        base = self.base()
        if base.kind is None:
            self.unsized(n)
        return self.declarator(base.kind, is_abstract=True).kind

    def measured(self) -> Step:
        """What ``sizeof``, an alignment or ``offsetof`` is."""
        n, word = self.n, self.next()
        if word == "offsetof":
            self.expect("(")
            whole = self.type_name(n)
            self.expect(",")
            path = self.path()
            self.expect(")")
            made = whole.type or types.structs().get(whole.name)
            if made is None or target.member(made, path, self.abi) is None:
                self.unsized(n)
            return arithmetic.size(self.facts.ask(made, path, self.abi))
        depth = 0
        while self.words[self.n + depth] == "(":
            depth += 1
        inner = self.n + depth
        kind: Kind | None = None
        if depth and _STRING.match(self.words[inner]):
            kind = self.string(depth)
        elif depth and self.is_type(self.n + 1):
            self.next()
            kind = self.type_name(n)
            self.expect(")")
        elif depth > 1 and self.is_type(inner):
            kind = self.through(depth, n)
        if kind is not None:
            return arithmetic.size(self.asked(kind, word, n))
        if word != "sizeof":
            self.expected("a type in brackets")
        single = depth == 1 and self.words[inner + 1] == ")" and self.words[inner].isidentifier()
        if single and self.words[inner] not in self.values:
            self.n = inner + 2
            self.unsized(n)
        return arithmetic.width(self.unary())

    def asked(self, kind: Kind, what: str, n: int) -> int:
        """A size or an alignment of a type."""
        made = kind.type or types.structs().get(kind.name)
        if made is None:
            self.unsized(n)
        return self.facts.ask(made, what, self.abi)

    def string(self, depth: int) -> Kind:
        """The array that a string is, with the brackets around it."""
        self.n += depth
        length, n = 1, self.n
        while match := _PLAIN_STRING.fullmatch(self.word):
            length += len(_ESCAPE.sub("x", match[1]))
            self.next()
        if self.n == n:
            self.expected("a string of plain characters")
        for _ in range(depth):
            self.expect(")")
        return Kind("", Array(SCALARS["char"], length))

    def through(self, depth: int, n: int) -> Kind | None:
        """What ``((struct s *)0)->member`` is, in brackets; None for another expression."""
        start = self.n
        self.n += depth
        base = self.base()
        if self.words[self.n : self.n + 5] != ["*", ")", "0", ")", "->"] or base.kind is None:
            self.n = start
            return None
        self.n += 5
        path = self.path()
        for _ in range(depth - 2):
            self.expect(")")
        whole = base.kind.type or types.structs().get(base.kind.name)
        found = target.member(whole, path, self.abi) if whole else None
        if found is None:
            self.unsized(n)
        return Kind("", found[0])

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

    def unsized(self, n: int) -> NoReturn:
        """Raise for what has no size that is known."""
        inner = n + 2 if self.words[n] != "offsetof" and self.words[n + 1] == "(" else n
        end = self.closing.get(n + 1, self.n) + (inner == n)
        told = self.written(inner, end)
        missing = self.missing(" ".join(self.words[inner:end]))
        self.fail(f"{told!r} has no known size here{missing}", n)


@dataclass(frozen=True)
class _Row:
    """A member, with the number of its name."""

    n: int
    name: str
    kind: Kind
    type: Type
    is_open: bool = False
    bits: int | None = None
    wish: Wish = NOTHING

    def member(self) -> Member:
        """What a struct holds."""
        wish = self.wish
        return Member(self.name or None, self.type, self.bits, wish.align, wish.packed)


def _as_constant(number: Number) -> Number:
    """A value as a constant of an enum that is not complete: an int, if that holds it."""
    if number.value is not None and arithmetic.fits(number.value, 32, True):
        return Number(number.value, 32, True)
    return number


def _holder(low: int, high: int, packed: bool) -> Scalar:
    """The type of an enum: int, or what its values need; the smallest where it is packed."""
    words = {8: "char", 16: "short", 32: "int", 64: "long long"}
    for bits in words if packed else (32, 64):
        word = words[bits]
        if low < 0 and low >= -(1 << bits - 1) and high < 1 << bits - 1:
            return SCALARS[f"signed {word}" if packed and bits < 32 else word]
        if low >= 0 and high < 1 << bits:
            return SCALARS[f"unsigned {word}"]
    return SCALARS["long long"]
