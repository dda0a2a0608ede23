"""Broken and hostile C into ``parse``, laid out, printed and pickled where it is read.

Pieces of Linux's own headers with words moved, lost and swapped; texts from a grammar of
declarations and directives; words and signs at random. Each input follows from its number.
"""

from __future__ import annotations

import functools
import pickle
import re
from collections.abc import Callable
from random import Random

from kvmviz import ABIS, KvmvizError, parse
from kvmviz.c.source import LINE_END
from tests import uapi

WORDS: list[str] = re.findall(
    r"\S+",
    r"""
    struct union typedef enum const volatile unsigned signed char short int long u8 __u32 __be16
    foo s a b { } ( ) [ ] ; , : * = + - << / 0 1 3 08 0x10u 1UL 1.5 ... . -> # ## \ " ' /* */ //
    __attribute__ __attribute__((packed)) __attribute__((aligned(8))) __packed __aligned(4) sizeof
    sizeof(long) __alignof__(u64) offsetof(struct_s,a) __extension__ static inline extern void
    __struct_group(a,b,,u8_c;) __DECLARE_FLEX_ARRAY(u8,c); bool :3 :0 ;; {} [] defined ? && || !
    __VA_ARGS__ __asm__("x") _Static_assert __typeof__ M F(1,2) F( é 'x' L'\0' "x" asm _Atomic
    """,
)
WORDS += ["\n", "\n", "\0"]
LINES = """
#define a 3
#define M M M
#define F(x,y) x##y
#define F(x,...) {x} __VA_ARGS__
#define s
#undef a
#ifdef __LITTLE_ENDIAN_BITFIELD
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#ifndef A
#if defined(a) && (1 << 3)
#if 1 / 0
#elif __BITS_PER_LONG == 64
#else
#endif
#include <linux/types.h>
#include "x.h"
#include <loop.h>
#pragma pack(push, 1)
#pragma pack(pop)
#pragma pack(2)
#error no
#
# 33 "file"
struct s {
};
enum e { A, B = 1 << 31, };
typedef unsigned long t;
static inline int f(int a) { return a; }
""".strip().splitlines()
HEADERS = {
    "x.h": "struct x { __u8 x; __u64 y; };\n#define X 4\n",
    "loop.h": "#include <loop.h>\nu8 f(void);\n",
}


@functools.cache
def corpus() -> tuple[str, ...]:
    """Real headers, without their long comments."""
    machine = uapi.is_installed()
    given = uapi.headers(machine)
    texts = (re.sub(r"/\*.*?\*/", "", given[name], flags=re.DOTALL) for name in uapi.names(machine))
    return tuple(text for text in texts if "struct" in text) or ("struct s { __u8 a; };\n",)


def real(random: Random) -> str:
    """A piece of a header, changed in some places; now and then a whole one."""
    text = random.choice(corpus())
    if len(text) > 4000 or random.random() < 0.8:
        begins = [
            match.start() for match in re.finditer(r"^(?:struct|union|#)", text, re.MULTILINE)
        ]
        start = random.choice(begins)
        end = text.find("\n}", start + random.randint(0, 400))
        end = text.find("\n", end + 1) if 0 <= end < start + 3000 else start + 500
        text = text[start:end] + "\n"
    return mutated(random, re.findall(r"\w+|\s+|[^\w\s]", text))


def mutated(random: Random, words: list[str]) -> str:
    """Words lost, doubled, swapped, replaced."""
    for _ in range(random.choice((0, 0, 1, 1, 2, 3, 6))):
        at = random.randrange(len(words) + 1)
        form, count = random.random(), random.randint(0, 2)
        words[at : at + count] = (
            [f" {word(random)} "] if form < 0.4 else words[at : at + 8] * 2 if form < 0.6 else []
        )
    return "".join(words)


def word(random: Random) -> str:
    """A word, a sign, or a line of its own."""
    if random.random() < 0.25:
        return f"\n{random.choice(LINES)}\n"
    return random.choice(WORDS)


def soup(random: Random) -> str:
    """Words and lines at random."""
    between = random.choice((" ", " ", ""))
    return between.join(word(random) for _ in range(random.randint(1, 60)))


def noise(random: Random) -> str:
    """Signs at random."""
    return "".join(chr(random.choice((random.randrange(128), random.randrange(0x3000))))
                   for _ in range(random.randint(0, 80)))  # fmt: skip


def grammar(random: Random) -> str:
    """Declarations as C has them, under conditions, with something odd now and then."""
    return "".join(_declaration(random, number) for number in range(random.randint(1, 6)))


def _declaration(random: Random, number: int) -> str:
    form = random.random()
    if form < 0.15:
        return f"#define N{number} {_size(random)}\n"
    if form < 0.3:
        condition = random.choice([line for line in LINES if line.startswith("#if")])
        other = random.choice(("", "#else\n" + _struct(random, number, 2)))
        return f"{condition}\n{_struct(random, number, 2)}{other}#endif\n"
    if form < 0.4:
        return f"typedef {_struct(random, -1, 2)[:-2]} t{number};\n"
    if form < 0.5:
        return f"enum e{number} {{ A{number}, B{number} = {_size(random)}, C{number} }};\n"
    return _struct(random, number, 3)


def _struct(random: Random, number: int, depth: int) -> str:
    title = random.choice(("struct", "struct", "union")) + (f" s{number}" if number >= 0 else "")
    members = "".join(_member(random, m, depth) for m in range(random.randint(0, 5)))
    tail = random.choice(("", "", " __packed", f" __attribute__((aligned({_size(random)})))"))
    return f"{title} {{\n{members}}}{tail};\n"


def _member(random: Random, number: int, depth: int) -> str:
    form = random.random()
    if form < 0.01:
        return f"{word(random)} "
    if form < 0.2 and depth:
        inner = _struct(random, -1, depth - 1)[:-2]
        return f"{inner} {random.choice(('', f'm{number}', f'm{number}[2]'))};\n"
    kind = random.choice(KINDS_OF if random.random() < 0.03 else PLAIN)
    bits = f":{_size(random)}" if random.random() < 0.2 else ""
    array = f"[{_size(random)}]" if random.random() < 0.3 else ""
    return f"{kind} m{number}{array}{bits};\n"


def _size(random: Random) -> str:
    return random.choice(ODD if random.random() < 0.05 else SIZES)


PLAIN = ("u8", "__u16", "u32", "u64", "long", "char", "unsigned int", "int", "__s32")
KINDS_OF = (
    *("struct s0", "struct s1", "t0", "t1", "enum e0", "__uint128_t", "double", "size_t"),
    *("struct sockaddr", "void *", "__be32", "foo", "struct x", "union s2", "void"),
)
SIZES = ("1", "2", "3", "4", "8", "sizeof(long)", "__alignof__(__u64)", "1 << 2", "sizeof(int)")
ODD = (
    *("0", "16", "33", "N0", "N1 + 1", "A0", "sizeof(t0)", "sizeof(struct s0)", "1 << 31", "-1"),
    *("1UL << 32", "(1 ? 2 : 1 / 0)", "0x7fffffff", "'a'", "offsetof(struct s0, m1)", "~0UL", ""),
    *("99999999999999999999", "sizeof(struct x)", "X"),
)
CHAINS = (
    *(("sizeof ", ""), ("sizeof -", ""), ("sizeof(", ")"), ("-", ""), ("~ ", ""), ("!", "")),
    *(
        ("(u8)", ""),
        ("(", ")"),
        ("1 + ", ""),
        ("1 << ", ""),
        ("1 || ", ""),
        ("1, ", ""),
        ("a.", ""),
    ),
    *(("1 ? ", " : 2"), ("1 ? 2 : ", ""), ("1 ?: ", ""), ("sizeof(u8[", "])"), ("a[", "]")),
    *(("_Alignof(u8[", "])"), ("offsetof(struct t, a[", "])"), ("(u8 (*)", ")"), ("defined ", "")),
    *(("*", ""), ("(*", ")"), ("", "[1]"), ("", "()"), ("u8 ", ""), ("const ", ""), ("F(", ")")),
    *(("struct { ", "; }"), ("enum { A = ", "}"), ("__attribute__((aligned(", ")))"), ("{", "}")),
)
"""What stands in front of a word and behind it, again and again."""
PLACES = (
    *("struct s {{ u8 a[{}]; }};", "struct s {{ u8 a:{}; }};", "enum e {{ A = {} }};", "{};"),
    *("struct s {{ u8 {}; }};", "struct s {{ {} a; }};", "#if {}\nstruct s {{ u8 a; }};\n#endif"),
    *("#define N {}\nstruct s {{ u8 a[N]; }};", "typedef u8 {};", "#pragma pack({})\n"),
)


def chain(random: Random) -> str:
    """One operator, sign or bracket many times over."""
    before, behind = random.choice(CHAINS)
    count = random.choice((2, 30, 62, 200, 500, 1000, 4000))
    word = random.choice(("1", "a", "u8", "sizeof 1"))
    whole = random.choice(PLACES).format(f"{before * count}{word}{behind * count}")
    return f"struct t {{ u8 a[9]; }};\n{whole}\n"


KINDS: tuple[Callable[[Random], str], ...] = (*(real, real, grammar, grammar, soup, noise, chain),)


def made(number: int) -> str:
    """The input of that number."""
    random = Random(number)
    text = random.choice(KINDS)(random)
    return mutated(random, re.findall(r"\w+|\s+|[^\w\s]", text)) if number % 7 == 0 else text


def run(text: str, number: int) -> str:
    """Parse it and lay out what comes of it; what kind of end it took."""
    found, said = {}, ""
    try:
        found = parse(text, HEADERS)
    except KvmvizError as error:
        said = f"{error}"
    if not found:
        place = re.match(r"line (\d+), column (\d+): .", said)
        assert place, said
        assert 1 <= int(place[1]) <= len(LINE_END.split(text)), said
        assert int(place[2]) >= 1, said
        return "refused"
    for struct in found.values():
        for abi in {"aarch64_be", "m68k", list(ABIS)[number % len(ABIS)]}:
            try:
                layout = struct.layout(abi)
            except KvmvizError:
                continue
            assert layout.size >= 0
            if layout.size < 512:
                assert repr(struct)
                assert repr(layout)
        assert pickle.loads(pickle.dumps(struct)) == struct
    return "parsed"
