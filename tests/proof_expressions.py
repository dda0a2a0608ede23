"""Random constant expressions of C: what each is worth, how wide it is, where it stands.

Every expression decides lengths of arrays: one by whether it is zero, four by 16 bits each of its
value, one by its size. So offsets say all of it, on every ABI.
"""

from __future__ import annotations

from random import Random

from tests.compilers import Question

NUMBERS = (
    *("0", "1", "2", "3", "7", "8", "31", "32", "63", "100", "255", "256", "0x7f", "0x80", "0xff"),
    *("0x7fff", "0x8000", "0xffff", "65536", "0x7fffffff", "0x80000000", "0xffffffff"),
    *("2147483647", "2147483648", "4294967295", "4294967296", "0x100000000", "0x7fffffffffffffff"),
    *("0x8000000000000000", "0xffffffffffffffff", "0x123456789abcdef", "017", "037777777777"),
    *("0b101", "0x0", "1099511627776"),
)
SUFFIXES = (*[""] * 8, "u", "U", "l", "L", "ul", "UL", "LU", "ll", "LL", "ull", "ULL", "llu")
CHARACTERS = (
    *("'a'", "'0'", "' '", r"'\0'", r"'\n'", r"'\x7f'", r"'\x80'", r"'\xff'", r"'\200'", r"'\377'"),
    *(r"'\''", r"'\\'", r"'\e'", r"'\177'", "L'a'", r"L'\xff'", "'\"'"),
    *(r"L'\777'", r"L'\400'", r"L'\x12345678'", r"L'\xffffffff'", "u'a'", r"u'\xffff'", r"u'\400'"),
    *("U'a'", r"U'\x12345'", r"U'\xffffffff'", r"'\x00041'", r"'\x000ff'"),
)
TYPES = (
    *("char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned int"),
    *("unsigned", "long", "unsigned long", "long long", "unsigned long long", "_Bool", "signed"),
    *("long int", "short unsigned", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "size_t"),
)
SIZED = (
    *TYPES,
    *("void *", "char *", "int [3]", "long [2]", "char [5]", "double", "float", "char *[3]"),
)
MACROS = (
    *("__LONG_MAX__", "__INT_MAX__", "__SCHAR_MAX__", "__SIZEOF_LONG__", "__SIZEOF_POINTER__"),
    *("__CHAR_BIT__", "__LONG_LONG_MAX__", "__BYTE_ORDER__", "__SIZEOF_INT__"),
)
COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
SIGNS = ("+", "-", "*", "&", "|", "^", "&&", "||", *COMPARISONS, *COMPARISONS)
VALUES = (
    *("-1", "-3", "-128", "0x7fffffff", "0x80000000", "0x80000000u", "0xffffffff", "0x100000000"),
    *("-2147483648", "(-2147483647 - 1)", "-2147483649", "1LL << 40", "0x7fffffffffffffff", "~0u"),
    *("0x8000000000000000", "~0UL", "~0ULL", "1 << 31", "1u << 31", "4294967295", "-1L", "0", "5"),
    *("'a'", r"'\xff'", "sizeof(long)", "-(1LL << 33)", "(char)200", "(long)-1", "1L << 31"),
)


class _Maker:
    """One case; ``names`` are the enumerators that stand so far."""

    def __init__(self, number: int) -> None:
        self.number, self.random = number, Random(f"expression {number}")
        self.names: list[str] = []
        self.types: list[str] = []
        self.lines: list[str] = []
        self.in_if = False

    def one_of(self, rows: tuple[str, ...] | list[str]) -> str:
        return self.random.choice(rows)

    def enum(self) -> None:
        tag, random = f"e{len(self.types)}_{self.number}", self.random
        rows: list[str] = []
        own: list[str] = []
        for _ in range(random.choice((1, 2, 2, 3, 3, 4))):
            name = f"N{len(self.names)}_{self.number}"
            form = random.random()
            if form < 0.25 and rows:
                rows.append(name)
            elif form < 0.65:
                rows.append(f"{name} = {self.one_of(VALUES)}")
            elif form < 0.8 and own:
                sign = self.one_of(("+", "-", "<<", ">>", "|", "&", "^", "*", "/"))
                rows.append(
                    f"{name} = {self.one_of(own)} {sign} {self.one_of(('1', '2', '1u', '1L'))}"
                )
            elif form < 0.9 and own:
                first, second = self.one_of(own), self.one_of(own)
                rows.append(
                    f"{name} = {first} {self.one_of(SIGNS)} {second} ? {self.one_of(VALUES)} : "
                    f"{self.one_of(('3', 'sizeof(long)', first, f'sizeof({second})'))}"
                )
            else:
                rows.append(f"{name} = {self.expression(1)}")
            own.append(name)
            self.names.append(name)
        self.lines.append(f"enum {tag} {{ {', '.join(rows)} }};")
        self.types.append(f"enum {tag}")

    def typedef(self) -> None:
        name = f"t{len(self.types)}_{self.number}"
        self.lines.append(f"typedef {self.one_of([*TYPES, *self.types])} {name};")
        self.types.append(name)

    def leaf(self) -> str:
        form = self.random.random()
        if self.names and not self.in_if and form < 0.4:
            return self.one_of(self.names)
        if form < 0.6:
            return self.one_of(NUMBERS) + self.one_of(SUFFIXES)
        if form < 0.75:
            return self.one_of(CHARACTERS)
        if form < 0.8:
            return self.one_of(MACROS)
        if self.in_if:
            return self.one_of(("defined __LP64__", "defined(__CHAR_UNSIGNED__)", "nobody", "-1"))
        if form < 0.9:
            return f"sizeof({self.one_of([*SIZED, *self.types])})"
        if form < 0.95:
            how = self.one_of(("_Alignof", "__alignof__"))
            return f"{how}({self.one_of([*SIZED, *self.types])})"
        return self.one_of(('sizeof("ab")', r'sizeof("\x41\n")', "-1", "-2", "~0", "!0", "0u", "3"))

    def expression(self, depth: int) -> str:
        if depth <= 0 or self.random.random() < 0.12:
            return self.leaf()
        form, random = self.random.random(), self.random
        inner = depth - 1
        if form < 0.2 and not self.in_if:
            cast = self.one_of([*TYPES, *self.types, *self.types])
            return f"({cast}){self.closed(inner)}"
        if form < 0.3:
            return f"{self.one_of(('-', '~', '!', '+', '~', '-'))}{self.closed(inner)}"
        if form < 0.42:
            return (
                f"{self.closed(inner)} ? {self.expression(inner)} : {self.closed(inner)}"
                if random.random() < 0.9
                else f"{self.closed(inner)} ?: {self.closed(inner)}"
            )
        if form < 0.55:
            count = self.one_of(("1", "2", "4", "7", "8", "15", "16", "31", "32", "33", "63"))
            count = count if random.random() < 0.8 else f"({self.expression(inner - 1)} & 7)"
            return f"{self.closed(inner)} {self.one_of(('<<', '>>', '>>'))} {count}"
        if form < 0.66:
            below = self.closed(inner)
            below = f"({below} | 1)" if random.random() < 0.6 else below
            return f"{self.closed(inner)} {self.one_of(('/', '%'))} {below}"
        if form < 0.72 and not self.in_if:
            sign = self.one_of(("-", "~", "!", "sizeof ", "sizeof sizeof -", "", ""))
            told = f"{sign}{self.closed(inner)}"
            return f"sizeof {told}" if sign else f"sizeof({told})"
        return f"{self.closed(inner)} {self.one_of(SIGNS)} {self.closed(inner)}"

    def closed(self, depth: int) -> str:
        """In brackets, where it is more than one word; now and then without all the same."""
        made = self.expression(depth)
        plain = made.replace("\\", "").replace("'", "").isalnum()
        return made if plain or self.random.random() < 0.08 else f"({made})"


def case(number: int) -> Question:
    """The case of that number, the same in every run."""
    maker = _Maker(number)
    random = maker.random
    while random.random() < 0.55 and len(maker.types) < 3:
        (maker.enum if random.random() < 0.8 else maker.typedef)()
    name = f"struct s_{number}"
    if random.random() < 0.2:
        maker.in_if = True
        told = maker.expression(random.randint(1, 3))
        lines = [f"#if {told}", "char z[4];", "#else", "char z[8];", "#endif"]
        return Question("\n".join([*maker.lines, f"{name} {{", *lines, "};"]), name)
    told = maker.expression(random.randint(1, 4))
    bits = "; ".join(
        f"char v{n}[1 + ((unsigned long long)({told}) >> {16 * n} & 0xffff)]" for n in range(4)
    )
    text = f"{name} {{ char z[({told}) ? 4 : 8]; {bits}; char w[sizeof({told})]; }};"
    return Question("\n".join([*maker.lines, text]), name, ("v0", "v1", "v2", "v3", "w"))
