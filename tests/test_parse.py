"""C text into structs, held against what compilers make of the same text."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import syntax
from kvmviz._base import KvmvizError
from kvmviz.ctype import SCALARS, Array, Member, Scalar, Struct
from kvmviz.kvm import MMIO, OLD, WITH_HIGH
from kvmviz.macros import MAX_EXPRESSION
from kvmviz.parse import MAX_BYTES, parse
from kvmviz.syntax import MAX_DEPTH, MAX_TEXT
from tests import compilers, strategies
from tests.strategies import steady

PATCH = """\
struct kvm_guest_debug_arch {
	__u64 dbg_bcr[KVM_ARM_MAX_DBG_REGS];
	__u64 dbg_bvr[KVM_ARM_MAX_DBG_REGS];
	__u64 dbg_wcr[KVM_ARM_MAX_DBG_REGS];
	__u64 dbg_wvr[KVM_ARM_MAX_DBG_REGS];
};

#define KVM_DEBUG_ARCH_HSR_HIGH_VALID	1
struct kvm_debug_exit_arch {
	__u32 hsr;
	__u32 hsr_high;	/* ESR_EL2[61:32] */
	__u64 far;	/* used for watchpoints */
};
"""
REGS = "#define KVM_ARM_MAX_DBG_REGS 16\n"

# Each tag, typedef and macro stands in one case only: a compiler gets them all at once.
CASES: dict[str, str] = {
    "patch": REGS + PATCH,
    "kernel widths": "struct kw { __u8 a; __s16 b; __u32 c; __s64 d; u8 e; s16 f; u32 g; s64 h; };",
    "stdint": "struct si { int8_t a; uint16_t b; int32_t c; uint64_t d; uint8_t e; int64_t f; };",
    "unsigned": "struct un { unsigned a; unsigned int b; int unsigned c; unsigned short d; };",
    "short": "struct sh { short a; short int b; int short c; short unsigned int d; };",
    "long long": "struct ll { u8 z; long long a; long int long unsigned b; long signed long c; };",
    "char": "struct ch { unsigned char a; char unsigned b; signed char c; };",
    "signed": "struct sg { signed a; int b; signed int c; int signed d; short signed e; };",
    "qualifiers": "struct qu { const u8 a; u16 volatile b; unsigned const int volatile c; };",
    "extension": "struct ex { u8 z; __extension__ union { u32 a; u8 b; }; };",
    "declarators": "struct de { u8 a, b[3], c; u32 d[2], e; };",
    "arrays": "struct ar { u8 a[2][3]; u64 b[1]; u16 c[2][1][2]; };",
    "parentheses": "struct pa { u8 (a), (b)[2], ((c[3])[4]); };",
    "literals": "struct li { u8 a[0x1F], b[010], c[7u], d[5UL], e[3ull], f[2L], g[0b11]; };",
    "macros": "#define M1 4\n#define M2 (M1 * 2) // eight\nstruct m1 { u8 a[M1], b[M2]; };",
    "macros are text": "#define P1 1 + 1\nstruct p1 { u8 a[P1 * 3], b[(P1) * 3], c[P1]; };",
    "macro of a later macro": "#define L1 L2\n#define L2 3\nstruct l1 { u8 a[L1]; };",
    "macro inside": "struct in {\n#define I1 6 /* the\nnext line */\n\tu8 a[I1];\n};",
    "comment that ends in a slash": "#define C1 2 // http://kernel.org/\nstruct c1 { u8 a[C1]; };",
    "comment on two lines": "struct c2 { u8 a; // one \\\n u16 b;\n u32 c; };",
    "macro with a comment": "#define C3 /* three */ 3\nstruct c3 { u8 a[C3]; };",
    "macro that ends in a slash": "#define E1 1/\n#define E2 2\nstruct e2 { u8 a[E2]; };",
    "macro around a comment": "#define F1 1 /* x\n */ + 1 // y\nstruct f1 { u8 a[F1]; };",
    "macro with blanks": "#define B1 \nstruct b1 { u8 a; };\n#define B2 //\nunion b2 { u8 a; };",
    "macro of a split word": "#define J\\\n1 \\\n 3\nstruct j1 { u8 a[J1]; };",
    "directives": " #\tdefine D1 2\n#\n# /**/ ifndef D2\n# define D2 3\n# endif\n"
    "struct d1 { u8 a[D1], b[D2]; };",
    "macro on two lines": "#define T1 2 + \\\n 3\nstruct t1 { u8 a[T1 /* five */]; };",
    "macro of its own name": "#define hs hs\nstruct ow { u8 hs; };",
    "macros that say nothing": '#define N1\n#define N2(x) ((x) + 1)\n#define N3 "a\\"[/*"\n'
    "struct no { u8 a; };",
    "a macro with arguments, without": "#define W1(x) x\nstruct wi { u8 W1; };",
    "expressions": "struct xp { u8 a[1 + 2 * 3], b[(1 + 2) * 3], c[1 << 2 + 1], d[7 & 3 ^ 1 | 8],"
    " e[64 / 7 % 5], f[0x80 >> 4]; };",
    "nested by definition": "struct nd { u8 a; struct ne { u8 a; u64 b; } b; union { u16 c; } d;};",
    "nested by tag": "struct t_in { u8 a; u32 b; }; struct t_out { u8 a; struct t_in b[2], c; };",
    "nested tag used later": "struct nl { struct nm { u16 a; } b; }; union nn { struct nm c; };",
    "anonymous": "struct an { u8 a; union { u64 b; struct { u16 c; u8 d; }; u8 e[3]; }; u8 f; };",
    "tagless array": "struct ta { u8 z; struct { u32 a; u8 b; } c[2][2]; };",
    "union": "union uu { u8 a[5]; u32 b; struct { u8 c; u16 d; } e; };",
    "typedef of a scalar": "typedef unsigned ts_t, ts_a[2]; struct ts { u8 a; ts_t b; ts_a c; };",
    "typedef of an array": "typedef u16 ta_t[3]; struct tb { u8 a; ta_t b, c[2]; };",
    "typedef, no tag": "typedef struct { u8 a; u32 b; } tn_t, tn_u; struct tn { tn_t a; tn_u b; };",
    "typedef of a tag": "typedef struct tt { u64 a; } tt_t; struct tu { u8 a; tt_t b; };",
    "typedef named as its tag": "typedef union same { u8 a; u16 b; } same; struct sb { same c; };",
    "typedef before its tag": "typedef struct late late_t; struct late { u8 a; u16 b; };\n"
    "struct early { late_t c; };",
    "typedef of what is built in": "typedef unsigned int __u32; typedef __u32 uint32_t;\n"
    "struct tw { __u32 a; uint32_t b; };",
    "typedef twice": "typedef u8 tv_t; typedef unsigned char tv_t; struct tv { tv_t tv_t; };",
    "typedef of a word": "typedef unsigned char bool8; typedef u64 size_type;\n"
    "struct tx { bool8 a; size_type b; };",
    "forward declaration": "struct fd; struct fe { u8 a; }; struct fd { struct fe b; };",
    "comments": "/* é, { and \" */ struct /* a */ co { // ', [\n u8 /* b */ a /* c */, b; }/**/;//",
    "guard": "#ifndef GU_H /* x */\n#define GU_H\n#pragma once\n#include <linux/types.h>\n"
    '#include "stdint.h"\nstruct gu { u8 a; };\n#endif /* GU_H */\n',
    "guard in a guard": "#ifndef GA\n#define GA\n#ifndef GB\n#define GB 3\n#endif\n"
    "struct gb { u8 a[GB]; };\n#endif",
    "semicolons": "struct se { u8 a; };; ;",
    "line ends": "struct le {\r\n\tu8 a;\r\n\tu32 b;\r\n};\r\n",
}  # fmt: skip
STRUCTS = [
    (case, name, struct) for case, text in CASES.items() for name, struct in parse(text).items()
]
VALUES = [strategies.examples(strategies.values(struct), 3)[-1] for _, _, struct in STRUCTS]

each_abi = pytest.mark.parametrize("abi", compilers.every_abi())


def c_name(case: str, name: str) -> str:
    """How C calls it: by tag, if the text has it with one."""
    tagged = re.search(rf"\b(struct|union)\b[\s/*a]*\b{name}\b", CASES[case])
    return f"{tagged[1]} {name}" if tagged else name


def leaves(struct: Struct, abi: str) -> dict[str, int]:
    """Offsets of all that the struct holds, by designator."""
    return {slot.path: slot.offset for slot in struct.layout(abi).slots if not slot.is_padding}


@functools.cache
def ask(abi: str) -> compilers.Probe:
    """All cases in one compile, their headers left out."""
    quiet = '#pragma clang diagnostic ignored "-Wparentheses"\n'
    prelude = quiet + re.sub("#(include|pragma).*", "", "\n".join(CASES.values()))
    questions = [(c_name(case, name), tuple(leaves(row, abi))) for case, name, row in STRUCTS]
    objects = [
        (c_name(case, name), strategies.c_init(values))
        for (case, name, _), values in zip(STRUCTS, VALUES, strict=True)
    ]
    return compilers.probe(abi, prelude, questions, objects)


@each_abi
def test_layouts_are_those_of_a_compiler(abi: str) -> None:
    for case, name, struct in STRUCTS:
        layout = struct.layout(abi)
        measured = compilers.Measured(layout.size, layout.align, leaves(struct, abi))
        assert ask(abi).measured[c_name(case, name)] == measured, case


@each_abi
def test_bytes_are_those_of_a_compiler(abi: str) -> None:
    """Signs too: a value is what the compiler stores for it."""
    for (case, name, struct), values, image in zip(STRUCTS, VALUES, ask(abi).images, strict=True):
        assert bytes(struct.layout(abi).pack(values)) == image, (case, name, values)


# --- what comes out --------------------------------------------------------------------------


def test_the_patch() -> None:
    found = parse(REGS + PATCH)
    assert list(found) == ["kvm_guest_debug_arch", "kvm_debug_exit_arch"]
    assert found["kvm_debug_exit_arch"] == WITH_HIGH
    assert found["kvm_guest_debug_arch"].layout("aarch64").size == 4 * 16 * 8
    assert parse(PATCH.replace("\t__u32 hsr_high;", "").replace("[KVM_ARM_MAX_DBG_REGS]", ""))[
        "kvm_debug_exit_arch"
    ] == OLD  # fmt: skip


def test_what_the_package_builds_in_python_reads_the_same_in_c() -> None:
    text = "struct mmio { __u64 phys_addr; __u8 data[8]; __u32 len; __u8 is_write; };"
    assert parse(text) == {"mmio": MMIO}


def test_types_keep_their_names_and_typedefs_give_them_away() -> None:
    found = parse("typedef uint16_t port; struct s { short unsigned a; port b; __u8 c[2][3]; };")
    assert found["s"].members == (
        Member("a", SCALARS["unsigned short"]),
        Member("b", SCALARS["uint16_t"]),
        Member("c", Array(Array(Scalar("__u8", 8), 3), 2)),
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("struct b { u8 x; }; struct a { u8 x; };", ["b", "a"]),
        ("struct a { struct c { u8 x; } y; union b { u8 x; } z; };", ["a", "c", "b"]),
        ("typedef struct { struct in { u8 x; } y; } out; struct z { out x; };", ["out", "in", "z"]),
        ("typedef struct { u8 x; } first, second;", ["first"]),
        ("typedef struct { u8 x; } row[2], one; struct s { row x; };", ["one", "s"]),
        ("typedef struct tag { u8 x; } name;", ["tag"]),
        ("typedef struct { u8 x; } pair[2]; struct s { pair x; };", ["s"]),
        ("struct s { struct { u8 x; } y; };", ["s"]),
    ],
)
def test_names_come_in_the_order_of_the_text(text: str, names: list[str]) -> None:
    found = parse(text)
    assert list(found) == names
    assert [struct.tag for struct in found.values()] == names


def test_a_macro_stands_for_text_from_its_definition_on() -> None:
    text = "struct s { u8 far; };\n#define far near\nstruct t { u8 a; };"
    assert [member.name for member in parse(text)["s"].members] == ["far"]


def test_struct_or_union() -> None:
    found = parse("union a { u8 x; struct b { u8 y; } z; };")
    assert {name: struct.union for name, struct in found.items()} == {"a": True, "b": False}


@steady
@given(strategies.structs())
def test_a_struct_written_as_c_is_read_back(struct: Struct) -> None:
    assert parse(strategies.c_text(struct) + ";") == {"s": struct}


def test_the_parser_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, kvmviz.parse; print([m for m in sys.modules if 'tree_sitter' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- what is refused -------------------------------------------------------------------------

ERRORS: list[tuple[str, str]] = [
    # not supported
    ("struct s {\n\t__u32 a:3;\n};", "line 2, column 9: a bit-field is not supported: ':3'"),
    ("struct s { u32 :3; };", "line 1, column 16: a bit-field"),
    ("struct s { u8 a, b:1; };", "line 1, column 19: a bit-field"),
    ("struct s { u32 *a; };", "line 1, column 16: a pointer is not supported: '*a'"),
    ("struct s { u8 a, *b[2]; };", "line 1, column 18: a pointer"),
    ("struct s { int (*a)(int); };", "line 1, column 16: a function"),
    ("typedef u8 f(int);", "line 1, column 12: a function"),
    ("struct s { u8 a[]; };", "line 1, column 15: an array without a size"),
    ("struct s { u8 a[const 2]; };", "line 1, column 15: array declarator is not supported"),
    ("struct s { long a; };", "line 1, column 12: a type that is no integer of fixed width and"),
    ("struct s { unsigned long a; };", "line 1, column 12: a type that is no integer"),
    ("struct s { char a; };", "line 1, column 12: a type that is no integer"),
    ("struct s { double a; };", "line 1, column 12: a type that is no integer"),
    ("struct s { unsigned foo a; };", "line 1, column 12: a type that is no integer"),
    ("struct s { unsigned u32 a; };", "line 1, column 12: a type that is no integer"),
    ("struct s { unsigned signed a; };", "line 1, column 12: a type that is no integer"),
    ("struct s { enum e a; };", "line 1, column 12: an enum is not supported: 'enum e'"),
    ("enum e { A };", "line 1, column 1: an enum"),
    ("struct s { u8 a; } __attribute__((packed));", "line 1, column 20: an attribute"),
    ("struct __attribute__((packed)) s { u8 a; };", "line 1, column 8: an attribute"),
    ("struct s { u8 a __attribute__((aligned(2))); };", "line 1, column 17: an attribute"),
    ("struct s {\n u8 a;\n} __packed;", "line 3, column 3: a variable or an attribute macro"),
    ("struct s {\n struct { u8 a; } __packed;\n};", "line 2, column 19: what looks like an"),
    ("struct s { u8 __aligned; };", "line 1, column 15: what looks like an attribute macro is not"),
    ("typedef struct __packed { u8 a; } t;", "line 1, column 16: what looks like an attribute"),
    ("struct s { unsigned typedef a; };", "line 1, column 12: a type that is"),
    ("struct __packed s { u8 a; };", "line 1, column 1: a function, or an attribute macro in"),
    ("__packed struct s { u8 a; };", "line 1, column "),
    ("struct s { u8 a __packed; };", "line 1, column 15: syntax error at 'a' in 'u8 a __packed;'"),
    ("struct s { u8 a; } x;", "line 1, column 20: a variable"),
    ("struct s { u8 a; } x = { 1 };", "line 1, column 20: a variable"),
    ("int x;", "line 1, column 5: a variable"),
    ("int f(void);", "line 1, column 5: a function"),
    ("int f(void) { return 1; }", "line 1, column 1: a function"),
    ("struct s { static u8 a; };", "line 1, column 12: a storage class is not supported: 'static'"),
    ("struct s { _Atomic u8 a; };", "line 1, column 12: this qualifier"),
    ("struct s { _Alignas(8) u8 a; };", "line 1, column 12: this qualifier"),
    ("struct s { LIST(u8) a; };", "line 1, column 12: a macro with arguments"),
    ("struct s { LIST(u8, a); };", "line 1, column "),
    ("struct s { FIELDS; };", "line 1, column 12: unknown type 'FIELDS'"),
    ("struct s { FIELDS u8 a; };", "line 1, column "),
    ("_Static_assert(1, \"\");", "line 1, column 1: a statement"),
    ("#ifdef X\nstruct s { u8 a; };\n#endif", "line 1, column 1: conditional compilation"),
    ("#ifndef X\n#define Y\nstruct s { u8 a; };\n#endif", "line 1, column 1: conditional"),
    ("#ifndef X\n#define X\n#else\nstruct s { u8 a; };\n#endif", "line 3, column 1: conditional"),
    ("#define X\n#ifndef X\n#define X\n#endif", "line 2, column 1: conditional"),
    ("#if 1\nstruct s { u8 a; };\n#endif", "line 1, column 1: conditional"),
    ("struct s {\n#ifdef X\nu8 a;\n#endif\n};", "line 2, column 1: conditional"),
    ("#pragma pack(1)\nstruct s { u8 a; };", "line 1, column 1: this directive is not supported"),
    ("struct s {\n#pragma pack(1)\nu8 a; };", "line 2, column 1: "),
    ("#undef X\n", "line 1, column 1: this directive"),
    ("#error no\n", "line 1, column 1: this directive"),
    ("#include <linux/if.h>\n", "line 1, column 1: '#include <linux/if.h>' is not sup"),
    ("#include HEADER\n", "line 1, column 1: '#include HEADER' is not supported"),
    # types and names
    ("struct s { foo a; };", "line 1, column 12: unknown type 'foo'; fixed-width types are __u8.."),
    ("struct s { struct t a; };", "line 1, column 21: 'struct t' is not defined before this place"),
    ("struct s { struct s a; };", "line 1, column 21: 'struct s' is not defined"),
    ("struct s { struct s a[2]; };", "line 1, column 23: 'struct s' is not defined"),
    ("struct t { u8 a; }; struct s { union t a; };", "line 1, column 40: 'union t' is not defined"),
    ("typedef struct t t_t; struct s { t_t a; };", "line 1, column 38: 'struct t' is not defined"),
    ("struct s { u8 a; };\nstruct s { u8 a; };", "line 2, column 8: 's' is defined twice; see"),
    ("struct s { u8 a; };\nunion s { u8 a; };", "line 2, column 7: 's' is defined twice"),
    ("struct s { struct s { u8 a; } b; };", "line 1, column 19: 's' is defined twice"),
    ("struct s { u8 a; }; typedef struct { u8 a; } s;", "line 1, column 29: 's' is defined twice"),
    ("typedef int u32;", "line 1, column 13: 'u32' is already the name of another type"),
    ("typedef u8 t;\ntypedef u16 t;", "line 2, column 13: 't' is already"),
    ("typedef struct { u8 a; } t; typedef struct { u8 a; } t;", "line 1, column 37: 't' is"),
    ("struct s { u8 a;\n  u16 b, a; };", "line 2, column 10: member 'a' stands twice"),
    ("struct s { u8 a; union { u8 b, a; }; };", "line 1, column 18: member 'a' stands twice"),
    ("struct s { u8 a; struct { u8 b, b; } c; };", "line 1, column 33: member 'b' stands twice"),
    ("struct s { u8 a; struct t; };", "line 1, column 18: this declares nothing: 'struct t;'"),
    ("struct s { struct t { u8 a; }; };", "line 1, column 12: this declares nothing"),
    ("struct s { u32; };", "line 1, column 12: "),
    ("typedef struct { u8 a; } t[2]; struct s { t; };", "line 1, column 43: "),
    ("struct { u8 a; };", "line 1, column 1: a definition with neither tag nor typedef name"),
    ("struct s { };", "line 1, column 10: no members here"),
    ("struct s {\n#define X\n};", "line 1, column 10: no members here"),
    # sizes
    ("struct s { u8 a[0]; };", "line 1, column 17: an array of 0 elements; legal are 1 .. 1048576"),
    ("struct s { u16 a[0x7fffffff]; };", "line 1, column 18: an array of 2147483647 elements"),
    ("struct s { u8 a[2147483648]; };", "line 1, column 17: '2147483648' cannot be computed"),
    ("struct s { u8 a[-1]; };", "line 1, column 17: '-1' cannot be computed; legal are integers"),
    ("struct s { u8 a[3 - 4 + 2]; };", "line 1, column 17: '3 - 4 + 2' cannot be computed"),
    ("struct s { u8 a[1 / 0]; };", "line 1, column 17: '1 / 0' cannot"),
    ("struct s { u8 a[1 << 31]; };", "line 1, column 17: '1 << 31' cannot"),
    ("struct s { u8 a[1 << 2147483647]; };", "line 1, column 17: "),
    ("struct s { u8 a[08]; };", "line 1, column 17: '08' cannot"),
    ("struct s { u8 a[1.0]; };", "line 1, column 17: '1.0' cannot"),
    ("struct s { u8 a[1uu]; };", "line 1, column 17: "),
    ("struct s { u8 a['a']; };", "line 1, column 17: "),
    ("struct s { u8 a[1 ? 2 : 3]; };", "line 1, column 17: "),
    ("struct s { u8 a[2 ** 3]; };", "line 1, column "),
    ("struct s { u8 a[sizeof(int)]; };", "line 1, column 17: 'sizeof' is no integer constant"),
    ("struct s { u8 a[N]; };\n#define N 4", "line 1, column 17: 'N' is no integer constant"),
    ("#define A B\n#define B A\nstruct s { u8 a[A]; };", "line 3, column 17: 'A' is no integer"),
    ("#define A 2], b[3\nstruct s { u8 a[A]; };", "line 2, column 17: 'b' is no integer constant"),
    ("#define A 2], [3\nstruct s { u8 a[A]; };", "line 2, column 17: '2], [3' cannot be computed"),
    ("#define A 2, 3\nstruct s { u8 a[A]; };", "line 2, column 17: '2, 3' cannot be computed"),
    ("#define A 2 / +\nstruct s { u8 a[A / 2]; };", "line 2, column 17: '2 / + / 2' cannot"),
    ("#define A 1 \\ \nstruct s { u8 a; };", "line 1, column 1: the text defines no struct"),
    ("#define A 1 /* x\n */ struct s { u8 a; };", "line 1, column 1: the text defines no struct"),
    ("struct s { u8 a\\\nb; };", "line 1, column 16: a word goes on in the next line"),
    ("#define A\nstruct s { u8 a[A]; };", "line 2, column 17: '' cannot be computed"),
    ("#define A 1\n#define A 2\n", "line 2, column 1: macro 'A' is defined twice"),
    ("#define far 1\nstruct s { u8 far; };", "line 2, column 15: 'far' is a macro"),
    ("#define __u32 u64\nstruct s { __u32 a; };", "line 2, column 12: '__u32' is a macro"),
    ("#define s t\nstruct s { u8 a; };", "line 2, column 8: 's' is a macro"),
    ("#define t s\ntypedef u8 t;", "line 2, column 12: 't' is a macro"),
    ("#define int long\n", "line 1, column 1: '#define int long' gives no legal"),
    ("#define struct union\n", "line 1, column 1: '#define struct union'"),
    ("#define unsigned(x) x\n", "line 1, column 1: '#define unsigned(x) x'"),
    ("#define\nu8 a;", "line 1, column 1: '#define' gives no legal name to a macro"),
    ("#define 1 2\n", "line 1, column 1: '#define 1 2' gives no legal name"),
    ("#include <stdint.h> struct s { u8 a; };", "line 1, column 1: '#include <stdint.h> struct s"),
    ("#ifndef X\n#define X\nstruct s { u8 a; };", "line 1, column 1: '#ifndef' is never closed"),
    ("#endif\n", "line 1, column 1: conditional compilation"),
    ("struct s { #define X 1\n u8 a; };", "line 1, column 12: preproc def is not supported"),
    ("struct union { u8 a; };", "line 1, column 8: 'union' is a keyword and can be no name"),
    ("struct s { u8 typedef; };", "line 1, column 15: 'typedef' is a keyword"),
    ("typedef u8 char;", "line 1, column 12: 'char' is a keyword"),
    # no C at all
    ("", "line 1, column 1: the text defines no struct and no union"),
    ("// nothing\n#define X 1\ntypedef u8 t;\n", "line 1, column 1: the text defines no struct"),
    ("struct s {\n  u32 a\n  u32 b;\n};", "line 2, column 8: syntax error: ';' is missing in 'u"),
    ("struct s { u32 a };", "line 1, column 17: syntax error: ';' is missing"),
    ("struct s { u32 a; }", "line 1, column 20: syntax error: ';' is missing"),
    ("struct s { u8 a b; };", "line 1, column 17: syntax error at 'b' in 'u8 a b;'"),
    ("struct s { u8 [3]; };", "line 1, column "),
    ("struct s { u8 a; ; };", "line 1, column 18: syntax error at ';'"),
    ("struct s { u8 é; };", "line 1, column 15: character 'é' is legal in comments only"),
    ("/* é */ struct s { foo a; };", "line 1, column 20: unknown type 'foo'"),
    ("struct s {\n/* \U0001f600 */ u8 a \0; };", "line 2, column 14: character '\\x00' is"),
    ("/* \ud800 */ struct s { u8 a\udfff; };", "line 1, column 24: character '\\udfff'"),
    ("struct s { u8 a; /* };", "line 1, column 18: /* is never closed"),
    ("struct s {\n  u8 a; 'x };", "line 2, column 9: ' is never closed"),
    ('struct s { u8 a; "x\n"; };', 'line 1, column 18: " is never closed'),
    ("struct s { u8 a;\n", "line 1, column 10: '{' is never closed"),
    ("struct s { u8 a; }; }", "line 1, column 21: '}' closes nothing"),
    ("struct s { u8 a[3}; }", "line 1, column 18: '}' closes another kind of bracket"),
    ("hello, world", "line 1, column "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=range(len(ERRORS)))
def test_what_is_refused_and_where(text: str, message: str) -> None:
    with pytest.raises(KvmvizError) as caught:
        parse(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("text", [None, b"struct s { u8 a; };", 3, ["struct s"]])
def test_text_is_a_str(text: Any) -> None:
    with pytest.raises(KvmvizError, match="C text is a str, not"):
        parse(text)


# --- limits ----------------------------------------------------------------------------------

CHAIN = "".join(f"#define M{i} M{i + 1}\n" for i in range(1000)) + "#define M1000 1\n"
DOUBLING = "".join(f"#define M{i} M{i + 1}+M{i + 1}\n" for i in range(60)) + "#define M60 1\n"
NESTED = "struct t0 { u8 a; };\n" + "".join(
    f"{word} t{i} {{ {word} t{i - 1} a, b; }};\n" for i in range(1, 70) for word in ("union",)
).replace("union t0 a", "struct t0 a", 1)
LIMITS: list[tuple[str, str]] = [
    ("struct s { u8 a; };\n" * (MAX_TEXT // 20 + 1), "the text goes on here; legal are"),
    ("a" * 10_000_000, "the text goes on here; legal are"),
    ("struct s { struct {" * 50_000, f"more than {MAX_DEPTH} brackets inside each other"),
    ("struct s { u8 a[" + "(" * 1000, f"more than {MAX_DEPTH} brackets inside each other"),
    ("struct s { u8 a[" + "1+" * 100_000 + "1]; };", f"more than {MAX_EXPRESSION} characters"),
    ("struct s { u8 a" + "[1]" * 10_000 + "; };", f"more than {MAX_DEPTH} types inside each other"),
    (CHAIN + "struct s { u8 a[M0]; };", f"or {MAX_DEPTH} macros in a row"),
    (DOUBLING + "struct s { u8 a[M0]; };", f"more than {MAX_EXPRESSION} characters"),
    ("#define M " + "1+" * 300_000 + "1\nstruct s { u8 a[M+M+M+M]; };", "characters"),
    (NESTED, f"more than {MAX_BYTES} bytes of members"),
    ("".join(f"struct t{i} {{ struct t{i - 1} a; }};\n" for i in range(1, 70)).replace(
        "struct t0 a", "u8 a", 1), f"more than {MAX_DEPTH} types inside each other"),
    ("struct s { u8 a[1 << 20], b; };", f"more than {MAX_BYTES} bytes of members"),
    ("\n /*" * 100_000, "/* is never closed"),
    ("struct s { u8 " + ", ".join(f"a{i}[1 << 20]" for i in range(5000)) + "; };", "bytes of"),
    ("#ifndef A\n#define A\n" * 20_000, "conditional compilation is not supported"),
    ("".join(f"#ifndef A{i}\n#define A{i}\n" for i in range(20_000)), "'#ifndef' is never closed"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), LIMITS, ids=range(len(LIMITS)))
def test_limits_are_errors_with_a_place(text: str, message: str) -> None:
    with pytest.raises(KvmvizError, match=r"^line \d+, column \d+: ") as caught:
        parse(text)
    assert message in str(caught.value)


def test_up_to_the_limits_all_is_read() -> None:
    deep = "struct s { " * 62 + "u8 a;" + " } m;" * 61 + " };"
    for level in range(62):
        deep = deep.replace("struct s {", f"struct s{level} {{", 1)
    found = parse(deep)
    assert len(found) == 62
    assert found["s0"].layout("aarch64").size == 1
    assert parse("struct s { u8 a" + "[1]" * 62 + "; };")["s"].layout("aarch64").size == 1
    guards = range(2000)
    text = "".join(f"#ifndef G{i}\n#define G{i}\n" for i in guards) + "struct s { u8 a; };\n"
    assert list(parse(text + "#endif\n" * len(guards))) == ["s"]
    parenthesised = "(" * 61 + "1" + ")" * 61
    assert parse(f"struct s {{ u8 a[{parenthesised}]; }};")["s"].layout("aarch64").size == 1


@pytest.mark.parametrize("junk", ["0x ", "a ", "a(", "& \\\n > ) ", "unsigned -> ", "; ; ", "* "])
def test_what_would_take_long_is_stopped(junk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "MAX_SECONDS", 0.1)
    text = "struct s { u8 a; };\n" + (junk * 500_000)[: MAX_TEXT - 100]
    start = time.monotonic()
    with pytest.raises(KvmvizError, match=r"^line \d+, column \d+: "):
        parse(text)
    assert time.monotonic() - start < 30  # without the stop, some take hours


def test_a_large_header_is_read_whole() -> None:
    rows = range(20_000)
    found = parse("".join(f"struct s{i} {{ u32 a; u64 b[{i + 1}]; }};\n" for i in rows))
    assert list(found) == [f"s{i}" for i in rows]
    assert found["s19999"].layout("i386").size == 4 + 8 * 20_000


# --- fuzz ------------------------------------------------------------------------------------

VOCABULARY = """
struct union typedef enum const volatile unsigned signed char short int long u8 __u32 foo s a b
{ } ( ) [ ] ; , : * = + - << / 0 1 3 08 0x10u 1.5 ... . -> # \\ " ' /* */ // __attribute__ <a.h>
__extension__ sizeof static _Atomic #define #ifndef #ifdef #else #endif #include #pragma
"""
LINES = ("\n", "\n#define a 3\n", "struct s {", "};", "u8 a;", "[2]", "\0", "é")
WORDS = st.sampled_from([*VOCABULARY.split(), *LINES])
VALID = "\n".join(CASES.values())


def only_a_clear_error_comes_out(text: str) -> None:
    found, message = {}, ""
    try:
        found = parse(text)
    except KvmvizError as error:
        message = str(error)
    if found:
        assert all(struct.layout("m68k").size > 0 for struct in found.values())
    else:
        place = re.match(r"line (\d+), column \d+: .", message)
        assert place
        assert 1 <= int(place[1]) <= text.count("\n") + 1


@steady
@given(st.text())
def test_any_text(text: str) -> None:
    only_a_clear_error_comes_out(text)


@steady
@given(st.lists(WORDS, max_size=60), st.sampled_from(["", " "]))
def test_any_words(words: list[str], between: str) -> None:
    only_a_clear_error_comes_out(between.join(words))


@steady
@given(
    st.sampled_from(list(CASES.values())),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), st.one_of(WORDS, st.just("")))),
)
def test_any_change_of_a_text_that_is_read(
    text: str, changes: list[tuple[float, int, str]]
) -> None:
    for place, length, words in changes:
        at = int(place * len(text))
        text = text[:at] + words + text[at + length :]
    only_a_clear_error_comes_out(text)


def test_every_text_cut_short() -> None:
    for end in range(0, len(VALID), 7):
        only_a_clear_error_comes_out(VALID[:end])
