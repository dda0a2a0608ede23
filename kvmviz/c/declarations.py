"""Declarations of C for one ABI: specifiers, declarators, and what stands between braces.

What a declaration says is either understood or refused by name, so that nothing which could
change a layout is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from kvmviz._base import KvmvizError
from kvmviz.c import arithmetic, target, types
from kvmviz.c.arithmetic import Number
from kvmviz.c.attributes import Attributes, Packing, Wish
from kvmviz.c.constants import LAID, QUALIFIERS, TAGS
from kvmviz.c.preprocessor import Preprocessor
from kvmviz.c.source import KEYWORDS, MAX_DEPTH, word_set
from kvmviz.c.types import FLOATS, WORDS, Kind
from kvmviz.ctype import POINTER, SCALARS, Array, Member, Scalar, Struct, Type

MAX_BYTES = 1 << 20
"""Bytes of all members of one type, those of a union side by side."""

POINTS = QUALIFIERS | {"restrict"}
_STORAGE = word_set("""
    extern static inline register auto typedef _Noreturn _Thread_local __thread
""")
_BEGINS = frozenset((*TAGS, *_STORAGE, *WORDS))
"""Words that begin a declaration, and cannot go on with one behind braces."""


@dataclass
class Base:
    """What stands in front of the names: a type, attributes, storage classes.

    ``begin`` is the number of its first word, ``n`` that of the type's. ``kind`` is None for a
    name that nobody knows. ``word`` is ``struct``, ``union`` or ``enum``; ``defines`` says that
    its members stand here.
    """

    begin: int
    n: int
    kind: Kind | None = None
    wish: Wish = field(default_factory=Wish)
    storage: set[str] = field(default_factory=set)
    word: str = ""
    defines: bool = False


@dataclass(frozen=True)
class Declared:
    """A name, its number and its type; ``is_open``: an array whose outermost brackets are empty."""

    n: int
    name: str
    kind: Kind
    is_open: bool = False


class Declarations(Attributes):
    """Reads declarations; what it has read is known to those that follow.

    ``structs`` are those of the text by name, ``places`` where each begins, ``own`` those that
    stand in no header; ``refused`` says why others are not known; ``made`` are the types that the
    declaration which is being read defines.
    """

    def __init__(self, reader: Preprocessor, known: Mapping[str, Kind]) -> None:
        super().__init__(reader, known)
        self.enumerators: dict[str, int] = {}
        self.packing = Packing(reader.source)
        self.structs: dict[str, Struct] = {}
        self.places: dict[str, int] = {}
        self.own: set[str] = set()
        self.refused: dict[str, str] = {}
        self.made: list[Kind] = []

    # --- specifiers --------------------------------------------------------------------------

    def base(self, *, is_outside: bool = False, is_typedef: bool = False) -> Base:
        """The type in front of the names that a declaration declares."""
        found, words, settled = Base(self.n, self.n), list[str](), False
        while True:
            word = self.word
            if word in QUALIFIERS:
                self.next()
            elif word == "__attribute__" or (self.is_c23() and not settled):
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
            elif settled and not (words and word in WORDS):
                break
            elif word == "typeof":
                if not is_outside:
                    self.fail(f"{word!r} is not supported")
                self.next()
                found.kind, settled = Kind(word), True
                if self.word == "(":
                    self.skip()
            elif word in WORDS:
                found.n = found.n if words else self.n
                words.append(self.next())
                settled = True
            elif word in TAGS:
                found.n, found.word, settled = self.n, word, True
                made = self.enum if word == "enum" else self.struct
                found.kind, found.defines = made(is_typedef)
            elif word.isidentifier() and word not in KEYWORDS:
                found.n, settled = self.n, True
                found.kind = self.named(self.next())
            else:
                self.expected("a type")
        if words:
            found.kind = self.named(" ".join(words))
            if found.kind is None:
                self.refuse("this type", found.n)
        if found.defines and (word in _BEGINS or word in ("", "}", ")", "=", "[")):
            self.expected("';'")
        return found

    def type_of(self, base: Base) -> Kind:
        """The type, if it is one."""
        if base.kind is None:
            self.unknown(base.n)
        return base.kind

    def empty(self, base: Base) -> NoReturn:
        """Raise for a declaration without a name."""
        self.type_of(base)
        self.next()
        told = "; with -fms-extensions it is a member: write its members here" if base.word else ""
        self.fail(f"this declares nothing{told}: {self.written(base.begin)!r}", base.begin)

    def complete(self, kind: Kind, n: int) -> Type:
        """The type, if it is known here and within the limits."""
        if (known := self.defined(kind)) is not kind:
            kind.type, kind.weight = known.type, 128
        if kind.name in FLOATS:
            self.fail(f"{kind.name!r} differs by ABI and C library; not supported", n)
        if kind.type is None:
            is_known = " " in kind.name or kind.name in self.spoilt
            missing = self.missing(kind.name) if is_known else ""
            self.fail(f"{kind.name!r} is not defined before this place{missing}", n)
        if kind.type.depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} types inside each other", n)
        return kind.type

    # --- declarators -------------------------------------------------------------------------

    def declarator(
        self, kind: Kind, *, is_abstract: bool = False, is_open: bool = False
    ) -> Declared:
        """A name and its type: stars make pointers, brackets arrays, from the name outwards."""
        self.idle()
        start = self.n
        while self.take("*"):
            kind, is_open = Kind("", POINTER, 8), False
            while self.word in POINTS or self.word == "__attribute__":
                self.idle() if self.word == "__attribute__" else self.next()
        n, name, inner = self.n, "", -1
        if self.word == "(" and (not is_abstract or self.words[n + 1] in ("*", "(", "[")):
            inner = self.n + 1
            self.skip()
        elif not is_abstract:
            name = self.identifier()
        found: list[tuple[int, int | None]] = []
        while self.word in ("[", "(") and not self.is_c23():
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
            elif count is None and number:
                self.fail("an array without a size in an array is not supported", start)
            else:
                kind = self.array(kind, count or 0, start if count is None else at, is_abstract)
        is_open = found[0][1] is None if found else is_open
        if inner >= 0:
            end, self.n = self.n, inner
            row = self.declarator(kind, is_abstract=is_abstract, is_open=is_open)
            self.expect(")")
            self.n = end
            return row
        return Declared(n, name, kind, is_open)

    def array(self, kind: Kind, count: int, n: int, is_asked: bool) -> Kind:
        """An array type, if its size is legal; one that is only asked about may have any."""
        element = self.complete(kind, n)
        leaf = element.leaf
        align = leaf.align if isinstance(leaf, Scalar) else leaf.typedef_align
        if align and self.measure(element, "sizeof", n) % align:
            self.fail(f"an array of elements smaller than their alignment, {align}", n)
        weight = max(kind.weight, 1)
        if count < 0 or (count * weight > MAX_BYTES and not is_asked):
            most = MAX_BYTES // weight
            self.fail(f"an array of {count} elements; legal are 0 .. {most}", n)
        return Kind("", Array(element, count), count * weight)

    def type_name(self, n: int) -> Kind:
        """A type in brackets, with stars and brackets behind it; ``n`` is where one asks for it."""
        base = self.base()
        if base.kind is None:
            self.unsized(n)
        return self.declarator(base.kind, is_abstract=True).kind

    def pointed_at(self) -> Kind | None:
        """The type in ``(type *)0)->``, read up to its end; None for anything else."""
        base = self.base()
        if self.words[self.n : self.n + 5] != ["*", ")", "0", ")", "->"]:
            return None
        self.n += 5
        return base.kind

    # --- typedefs ----------------------------------------------------------------------------

    def typedef(self) -> None:
        """Other names for a type; a struct with no tag is called by the first of them."""
        base = self.base(is_typedef=True)
        if self.word == ";":
            self.empty(base)
        while True:
            wish = base.wish | self.attributes()
            row = self.declarator(self.type_of(base))
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
        known = self.undeclared(name, target.Facts())
        if known and known.is_same(kind) and not target.kernel(name, self.abi):
            return
        old = self.typedefs.setdefault(name, kind)
        if not old.is_same(kind):
            self.fail(f"{name!r} is already the name of another type", row.n)

    def aligned(self, kind: Kind, wish: Wish, name: str) -> Kind:
        """A type with the alignment that a typedef of that name gives it."""
        self.on_type(wish, "typedef")
        if not wish.align:
            # To gcc and clang, packed says nothing there.
            return kind
        if kind.type is None:
            self.fail("'aligned' on a type that is not defined is not read in a typedef", wish.n)
        made = _realigned(kind.type, wish.align)
        if kind.name == name and isinstance(made, Struct):
            # With no tag, the struct is known by this name only.
            self.structs[name] = made
        return replace(kind, type=made)

    # --- structs and unions ------------------------------------------------------------------

    def struct(self, is_typedef: bool) -> tuple[Kind, bool]:
        """The struct or union of that tag, and whether its members stand here."""
        begin, word = self.n, self.next()
        front = self.attributes()
        n, name = self.n, self.identifier() if self.word.isidentifier() else ""
        if name and (self.word == "(" or (is_typedef and LAID.search(name) and self.word == "{")):
            self.unknown(n)
        while name and self.word.isidentifier() and self.words[self.n + 1] == "{":
            # Of two names in front of the braces, the first is no tag.
            self.failed = self.failed or self.strangeness(n)
            n, name = self.n, self.next()
        tagged = f"{word} {name}" if name else ""
        wish = front | self.attributes()
        if self.word != "{":
            if not name:
                self.expected("a tag or '{'")
            self.harmless(front)
            self.n = n + 1
            return self.tags.setdefault(tagged, Kind(tagged)), False
        if is_typedef and not name:
            name = first_name(self.words, self.closing[self.n] + 1)
        kind = self.tags.setdefault(tagged, Kind(tagged)) if tagged else Kind(name)
        if name in self.places and name not in self.refused:
            seen, old = self.source.where(self.places[name]), self.structs.get(name)
            how = "defined twice"
            if old and old.untagged == bool(tagged):
                how = "the tag of one type and a typedef of another; only one can be kept by it"
            self.fail(f"{name!r} is {how}; see {seen}", n if tagged else begin)
        if name:
            self.places[name] = self.spots[begin]
            if self.source.at(self.spots[begin]) is self.source:
                self.own.add(name)
        self.opened(begin)
        self.made.append(kind)
        self.why = self.why or self.packing.why
        members = self.members(kind, word == "union")
        wish |= self.attributes()
        self.on_type(wish, word)
        kind.type = Struct(
            name,
            members,
            union=word == "union",
            packed=wish.packed,
            align=wish.align,
            pack=self.packing.most,
            empty=not members,
            untagged=not tagged,
        )
        if name:
            self.structs[name] = kind.type
        return kind, True

    def opened(self, n: int) -> None:
        """Read the brace that opens a definition; ``n`` is where the definition begins."""
        if self.depth:
            self.fail("a definition in an expression is not supported", n)
        self.next()

    def members(self, whole: Kind, union: bool) -> list[Member]:
        """What stands between the braces; the weight of the struct grows with it."""
        found: list[Member] = []
        seen: set[str] = set()
        open_end = -1
        while not self.take("}"):
            start, depth = self.n, self.depth
            try:
                for row, member in self.fields():
                    if open_end >= 0:
                        self.fail("an array without a size is legal only at the end", open_end)
                    self.member(whole, row, member, seen)
                    if row.is_open:
                        if union or not seen - {row.name}:
                            self.fail("an array without a size needs members before it", row.n)
                        open_end = row.n
                    if not _is_filler(member):
                        found.append(member)
            except KvmvizError as error:
                self.pass_over(error, start, ";")
                self.depth = depth
        return found

    def pass_over(self, error: KvmvizError, start: int, end: str) -> None:
        """Go on behind what cannot be read, so that all unknown names of a text are told."""
        self.failed = self.failed or f"{error}"
        self.n = start
        while self.word not in (end, "}", ""):
            self.n = self.closing.get(self.n, self.n) + 1
        self.take(end)

    def member(self, whole: Kind, row: Declared, member: Member, seen: set[str]) -> None:
        """Count a member in; its names must be new."""
        made, name = member.type, row.name
        for used in [name] if name else made.names() if isinstance(made, Struct) else []:
            if used in seen:
                self.fail(f"member {used!r} stands twice", row.n)
            seen.add(used)
        whole.weight += max(row.kind.weight, 1)
        if whole.weight > MAX_BYTES:
            self.fail(f"more than {MAX_BYTES} bytes of members", row.n)

    def fields(self) -> Iterator[tuple[Declared, Member]]:
        """The members that one declaration declares."""
        if self.take(";"):
            return
        if self.word == "_Static_assert":
            self.aside()
            return
        base = self.base()
        if base.word == "enum" and base.defines and self.take(";"):
            return
        if self.word == ";":
            kind = self.type_of(base)
            if kind.name or not isinstance(kind.type, Struct):
                self.empty(base)
            self.harmless(base.wish)
            yield Declared(base.n, "", kind), Member(None, kind.type)
            self.next()
            return
        while True:
            wish = base.wish | self.attributes()
            if self.word == ":":
                row = Declared(base.n, "", self.type_of(base))
            else:
                row = self.declarator(self.type_of(base))
            if row.kind.name == "function" and row.kind.type is None:
                self.refuse("a function", row.n)
            made = self.complete(row.kind, row.n)
            bits = self.bits(made, bool(row.name)) if self.take(":") else None
            wish |= self.attributes()
            self.on_member(wish, made, bool(row.name), bits is not None)
            yield row, Member(row.name or None, made, bits, wish.align, wish.packed)
            if not self.take(","):
                break
        self.expect(";")

    def bits(self, made: Type, is_named: bool) -> int:
        """The width of a bit-field, if it is legal."""
        n = self.n
        if not isinstance(made, Scalar) or made.kind not in ("integer", "bool") or made.order:
            self.fail("only an integer of the ABI's byte order can be a bit-field", n)
        bits = self.constant()
        least, most = int(is_named), 1 if made.kind == "bool" else made.bits or 64
        if not least <= bits <= most:
            self.fail(f"a bit-field of {bits} bits; legal: {least} .. {most}", n)
        return bits

    def aside(self) -> None:
        """Pass over an assertion, or a piece of assembler."""
        self.next()
        if self.word != "(":
            self.expected("'('")
        self.skip()
        self.expect(";")

    # --- enums -------------------------------------------------------------------------------

    def enum(self, is_typedef: bool) -> tuple[Kind, bool]:
        """An enum: its constants, and the type that holds them all."""
        self.next()
        wish = self.attributes()
        n, title = self.n, "enum"
        kind = Kind(title)
        if self.word.isidentifier():
            title = f"enum {self.identifier()}"
            kind = self.tags.setdefault(title, Kind(title))
        own = self.underlying() if self.word == ":" and self.is_type(self.n + 1) else None
        if self.word != "{":
            if title == "enum":
                self.expected("a tag or '{'")
            self.harmless(wish)
            if own and kind.type is None:
                kind.type, kind.weight = replace(own, name=title), 8
                self.made.append(kind)
            return kind, False
        if kind.type is not None and not own:
            self.fail(f"{title!r} is defined twice", n)
        begin = self.n
        self.opened(begin)
        self.made.append(kind)
        rows = self.constants(own and own.on(self.abi))
        wish |= self.attributes()
        if wish.aligns:
            self.fail("attribute 'aligned' on an enum is not supported", wish.n)
        if not rows and not self.failed:
            self.fail("an enum without constants", begin)
        rows = rows or {"": 0}
        low, high = min(rows.values()), max(rows.values())
        if low < 0 and high >= 1 << 63:
            self.fail("no type holds all values of this enum", begin)
        made = own or _holder(low, high, wish.packed)
        if not own and not (arithmetic.fits(low, 32, True) and arithmetic.fits(high, 32, True)):
            # The constants that are no int have the enum's own type from here on.
            own = _holder(low, high, packed=False)
            for name, value in rows.items():
                # One that fits an int is an int to gcc.
                ints = [Number(value, 32, True)] * arithmetic.fits(value, 32, True)
                self.values[name] = (*ints, Number(value, own.bits, bool(own.signed)))
        kind.type = made if title == "enum" else replace(made, name=title)
        kind.weight = made.size or 8
        return kind, True

    def underlying(self) -> Scalar:
        """The type behind the colon of an enum that has one of its own (C23)."""
        n = self.n
        self.next()
        made = self.type_of(self.base()).type
        if not isinstance(made, Scalar) or made.kind not in ("integer", "bool") or made.align:
            self.fail("only an integer can be the type of an enum", n)
        if not made.bits:
            self.facts.ask(self.abi, target.macro, target.TOLD["long"])
        return made

    def constants(self, own: Scalar | None) -> dict[str, int]:
        """An enum's constants, which the text may use from there on; all of its ``own`` type."""
        found: dict[str, int] = {}
        last = Number(-1, 32, True)
        while not self.take("}"):
            n, name = self.n, self.identifier()
            self.idle()
            if name in self.values:
                self.fail(f"{name!r} is already a constant", n)
            if self.take("="):
                start, depth = self.n, self.depth
                try:
                    last = self.evaluate(_as_constant)
                except KvmvizError as error:
                    self.pass_over(error, start, ",")
                    self.depth = depth
                    continue
            else:
                assert last.value is not None
                last = last._replace(value=last.value + 1)
            value = last.value
            assert value is not None
            if own:
                last = Number(value, own.bits, bool(own.signed))
            if not arithmetic.fits(value, last.bits, last.signed):
                told = "" if value >> 64 else ", beyond the type of the constant before it"
                self.fail(f"{name!r} would be {value}{told}", n)
            last = last if own else _as_constant(last)
            self.values[name] = (last,)
            found[name] = value
            self.enumerators[name] = self.spots[n]
            if not self.take(","):
                self.expect("}")
                break
        return found


def first_name(words: Sequence[str], at: int) -> str:
    """The first plain name that a typedef gives to the struct whose braces close before a word."""
    depth = 0
    for n, word in enumerate(words[at:], at):
        depth += (word in ("(", "[", "{")) - (word in (")", "]", "}"))
        is_name = word.isidentifier() and word not in KEYWORDS and word != "__attribute__"
        begins = words[n - 1] in ("}", ",", ")")
        plain = words[n + 1 : n + 2] in ([","], [";"], ["__attribute__"])
        if not depth and is_name and begins and plain:
            return word
        if word == ";" and not depth:
            break
    return ""


def _realigned(made: Type, align: int) -> Type:
    """A type with the alignment that a typedef gives it, an array by its elements."""
    if isinstance(made, Array):
        return Array(_realigned(made.element, align), made.count)
    if isinstance(made, Struct):
        return replace(made, typedef_align=align)
    return replace(made, align=align)


def _is_filler(member: Member) -> bool:
    """Whether a member is only how __DECLARE_FLEX_ARRAY makes C accept the array behind it."""
    made, name = member.type, member.name or ""
    return name.startswith("__empty_") and isinstance(made, Struct) and made.empty


def _as_constant(number: Number) -> Number:
    """A value as a constant of an enum that is not complete: an int, if that holds it."""
    if number.value is not None and arithmetic.fits(number.value, 32, True):
        return Number(number.value, 32, True)
    return number


def _holder(low: int, high: int, packed: bool) -> Scalar:
    """The type of an enum: int, or what its values need; the smallest where it is packed."""
    signed = low < 0
    for bits, word in ((8, "char"), (16, "short"), (32, "int")):
        is_held = arithmetic.fits(low, bits, signed) and arithmetic.fits(high, bits, signed)
        if is_held and (packed or bits == 32):
            sign = "signed " * (bits < 32) if signed else "unsigned "
            return SCALARS[f"{sign}{word}"]
    return SCALARS["long long" if signed else "unsigned long long"]
