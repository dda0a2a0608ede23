"""C text into structs, held against what compilers make of the same text."""

from __future__ import annotations

import contextlib
import functools
import gc
import pickle
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.c import parse as pasted
from kvmviz.c import target, types
from kvmviz.c.arithmetic import MAX_WORDS
from kvmviz.c.declarations import MAX_BYTES
from kvmviz.c.parse import parse
from kvmviz.c.source import LINE_END, MAX_DEPTH, MAX_TEXT, MAX_TOKENS, MAX_WORD
from kvmviz.ctype import SCALARS, Array, Member, Scalar, Struct, Type
from kvmviz.kvm.kernel import MERGED, MMIO, OLD
from tests import compilers, proof_structs, strategies
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
# Read by their own value strategy: bits, pointers and arrays without elements.
WIDER: dict[str, str] = {
    "bit-fields": "struct bf { u32 a:3, b:5; u8 c; unsigned d:12; int e:7; u64 f:40; s16 g:9; };",
    "unnamed bit-fields": "struct bu { u8 a:3; u8 :2; u8 b:3; u32 :0; u16 c:4; u32 :7; u8 d; };",
    "unnamed bit-fields of two words": "enum u2_e { UA, UB }; struct u2 { u8 a; unsigned short :9;"
    " unsigned long :4; u8 b; long long :0; u8 c; enum u2_e :3; const unsigned long long :5, d:3;"
    " volatile long :0; u8 e; };",
    "bit-field widths": "#define BW 3\nenum { BX = 2 };\nstruct bw { u32 a:BW, b:BX + 1, c:BW; };",
    "bool bits": "struct bb { _Bool a:1, b:1; _Bool c; u32 d:1; };",
    "bit-fields that straddle": "struct bs { u8 a; u32 b:20, c:20; u64 d:33, e:33; };",
    "bit-fields, packed": "struct bp { u8 a; u32 b:20, c:20; u8 d; } __packed;",
    "words": "struct wo { char a; long b; unsigned long c[2]; char d; unsigned long long e; };",
    "floats": "struct fl { u8 a; float b; u8 c; double d; float e[3]; };",
    "bool": "struct bo { _Bool a; u32 b; _Bool c[3]; };",
    "pointers": "struct pn { u8 a; void *b; u8 c; const struct nobody *const *d[2]; char *e, f; };",
    "pointers to arrays": "struct pp { u8 a, (*b)[3]; u8 c; u16 *(*d)[2]; };",
    "function pointers": "struct fp { u8 a; void (*b)(int, void *); int (*c[2])(struct fp *); };",
    "typedef of a pointer": "typedef int (*fn_t)(void); typedef void *vp_t; typedef char *cp_t[2];"
    "struct tp { u8 a; fn_t b; u8 c; vp_t d; cp_t e; };",
    "pointer to itself": "struct me { u8 a; struct me *next; };",
    "user pointers": "#define __user\nstruct us { u8 a; char __user *b; };",
    "enums": "enum en { EA, EB = 5, EC, }; struct es { u8 a; enum en b; u8 c[EC], d[EB]; };",
    "negative enums": "struct eg { u8 a; enum { EN = -1, EO } b; enum { EP = 7 } c; u8 d[EP +"
    " EN]; };",
    "wide enums": "struct ew { u8 a; enum { EW = 1ULL << 40 } b; u8 c;\n"
    "enum { EX = -1, EY = 0xffffffff } d; u8 e; enum { EZ = 1u << 31 } f; };",
    "enum with the sign bit": "enum sb_e { SB = 1 << 31 }; struct se2 { u8 a; enum sb_e b; };",
    "enum bits": "enum eb_e { E1 = 1, E2 = E1 << 2 }; struct eb { enum eb_e a:3, b:E2; u8 c[E2];"
    " };",
    "enum typedef": "typedef enum { TA, TB } te_t; struct te { u8 a; te_t b; };",
    "enum and macros": "enum mz { MM1 = 3,\n#define MM1 MM1\nMM2 = MM1 + 1 }; struct my { u8"
    " a[MM2]; };",
    "flexible": "struct fx { u8 a; u32 b[]; }; struct fy { u8 a; u64 b[0]; u8 c; };"
    "struct fz { u8 a; u16 b[][3]; };",
    "empty arrays in unions": "union fu { u8 a; u64 b[0]; struct { u16 c; u32 d[]; } e; };",
    "flex macro": "#define __DECLARE_FLEX_ARRAY(T, N) struct { struct { } __empty_ ## N; T N[]; }\n"
    "struct fm { u8 a; union { u8 b; __DECLARE_FLEX_ARRAY(u32, c); "
    "__DECLARE_FLEX_ARRAY(u16, d); }; };",
    "struct group": "#define __struct_group(TAG, NAME, ATTRS, MEMBERS...) union { "
    "struct { MEMBERS } ATTRS; struct TAG { MEMBERS } ATTRS NAME; } ATTRS\n"
    "struct sq { u8 a; __struct_group(sq_tag, grp, /* none */, u8 b, c[2]; u32 d;); u8 e;\n"
    "__struct_group(, bare, __attribute__((packed)), u8 f; u32 g;); u8 h; };",
    "alignas": "struct a_3 { u8 a; _Alignas(8) u8 b; _Alignas(u16) u8 c; _Alignas(0) u8 d; };",
    "pointers to long double": "typedef long double ld_t; struct p_l { u8 a; long double *b;"
    " ld_t *c; };",
    "pragma pack by name": "#pragma pack(push, one, 1)\nstruct q_1 { u8 a; u32 b; };\n"
    "#pragma pack(push, 2)\n#pragma pack(pop, one)\nstruct q_2 { u8 a; u32 b; };\n"
    "#pragma pack(1)\n#pragma pack(0)\nstruct q_3 { u8 a; u32 b; };",
    "aligned typedef of words": "typedef unsigned long aw_t __aligned(8); typedef void *ax_t"
    " __aligned(8); struct aw { u8 a; aw_t b; u8 c; ax_t d; };",
    "aligned typedef of a struct": "typedef struct { u32 a, b; } as_t __aligned(8);"
    "struct as { u8 a; as_t b, c[2]; u8 d[sizeof(as_t)]; };",
    "packed": "struct pk { u8 a; u32 b; u64 c[2]; } __attribute__((packed));",
    "packed in front": "struct __attribute__((__packed__)) pf { u8 a; u32 b; }; struct __packed"
    " pg\n"
    "{ u8 a; u64 b; }; union __attribute__((packed, aligned(2))) ph { u8 a[3]; u32 b; };",
    "packed members": "struct pm { u8 a; u32 b __packed; u8 c; __packed u64 d, e; u8 f; u16 g"
    " __packed,"
    " h; u8 i; u32 __attribute__((packed)) j[2]; };",
    "packed inside": "struct pi { u8 a; struct { u8 b; u32 c; } __packed d; u8 e;\n"
    "struct { u8 f; u32 g; } h __packed; u8 i; struct { u8 j; u32 k; } __packed; u8 l;\n"
    "struct __packed { u32 m; } n; };",
    "aligned": "struct al { u8 a; u32 b __attribute__((aligned(8))); u8 c __aligned(4), d; }; "
    "struct am { u8 a; u8 b; } __aligned(16); struct ao { u8 z; struct am y; };",
    "aligned by macro": "#define AM 8\nstruct ap { u8 a; u8 b __aligned(AM * 2), c; } "
    "__attribute__((__aligned__(AM))); struct aq { u8 a, b __aligned(sizeof(u64)); };",
    "packed and aligned": "struct pa2 { u8 a; u64 b; u16 c; } __attribute__((packed, aligned(4)));"
    "struct pa3 { u8 a; struct pa2 b; } __packed __aligned(8);",
    "aligned bit-fields": "struct ab { u8 a; u32 b:3 __attribute__((aligned(4))); u32 c:5; };"
    "typedef u8 ad_t __aligned(2); struct ad { u8 a:1; ad_t b:8; };",
    "aligned typedef": "typedef u64 __attribute__((aligned(4))) at_t; typedef u8 au_t __aligned(8);"
    "struct at { u32 a; at_t b; u8 c; au_t d; at_t e[2]; } ;",
    "aligned typedef of a tag": "struct q_a { u32 a; }; typedef struct q_a q_b __aligned(8);"
    "typedef q_b q_c __aligned(2); struct q_d { u8 a; q_b b; } __packed; struct q_e { u8 a; q_b b"
    " __packed; u8 c; q_b d; q_c e; u8 f[sizeof(q_b)], g[_Alignof(q_b)]; }; "
    "typedef struct { u8 a[5]; } qf_t __aligned(8); struct q_g { u8 a; qf_t b; };",
    "enumerators beyond int": "enum z_a { Z_A = -3, Z_D = 0x80000000u, Z_E = Z_A > Z_D ? 1 : 2 };"
    "struct z_b { char a[Z_A > Z_D ? 4 : 8], b[Z_E]; };"
    "enum z_c { Z_F = 1, Z_G = 0x100000000, Z_H = 0x80000000, Z_I = sizeof(Z_H) };"
    "struct z_d { char a[(Z_H << 1) ? 4 : 8], b[Z_I], c[sizeof(Z_G)]; };",
    "typedef, packed": "typedef struct { u8 a; u32 b; } __packed tk_t; struct tk { u8 a; tk_t b;"
    " };",
    "harmless": "struct ha { __extension__ u8 a __attribute__((unused)), b;"
    " u32 c __attribute__((__unused__, )); };",
    "pragma pack": "#pragma pack(1)\nstruct p_1 { u8 a; u32 b; };\n#pragma pack()\n"
    "struct p_2 { u8 a; u32 b; };\n#pragma pack(push, 2)\nstruct p_3 { u8 a; u32 b; struct "
    "{ u64 d; u8 e; } f; };\n# pragma pack( push )\n#pragma pack(4)\nstruct p_4 { u8 a; u64 b; };\n"
    "#pragma pack(pop)\nstruct p_5 { u8 a; u64 b; };\n#pragma pack ( pop )\n"
    "struct p_6 { u8 a; u64 b; struct p_5 c; };\n#pragma pack(push,8)\nstruct p_7 { u8 a;"
    " u64 b __aligned(16); u32 c:20, d:20; };\n#pragma pack(pop)",
    "known orders": "struct ko { u8 a; __be16 b; __le64 c; __be32 d[2]; };",
    "known alignment": "struct ka { u32 a; __aligned_u64 b; u8 c; __aligned_s64 d, e; };"
    "struct kb { u8 a; __aligned_be64 b; __aligned_le64 c[2]; } __packed;",
    "known sizes": "struct ks { u8 a; size_t b; };",
}  # fmt: skip
BUILT_IN = """\
#define __packed __attribute__((packed))
#define __aligned(N) __attribute__((aligned(N)))
#define __user
typedef u16 __be16; typedef u32 __be32; typedef u64 __be64, __le64; typedef __SIZE_TYPE__ size_t;
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#define __aligned_s64 __s64 __attribute__((aligned(8)))
#define __aligned_be64 __be64 __attribute__((aligned(8)))
#define __aligned_le64 __le64 __attribute__((aligned(8)))
"""
STRUCTS = [
    (case, name, struct) for case, text in CASES.items() for name, struct in parse(text).items()
]
WIDER_STRUCTS = [
    (case, name, struct) for case, text in WIDER.items() for name, struct in parse(text).items()
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


def designators(struct: Struct) -> Iterator[str]:
    """Members whose offset C can tell."""
    for member in struct.members:
        if isinstance(member.type, Struct) and not member.name:
            yield from designators(member.type)
        elif member.name and member.bits is None:
            yield member.name


def some_value(kind: Type, bits: int | None, seed: int) -> Any:
    """A value with a pattern of bits of its own, which fits whatever the ABI."""
    if isinstance(kind, Array):
        return [some_value(kind.element, None, seed + row) for row in range(kind.count)]
    if isinstance(kind, Struct):
        return some_values(kind, seed)
    if kind.kind == "pointer" or kind.order:
        return 0
    if kind.kind == "float":
        return seed / 4
    width = 1 if kind.kind == "bool" else bits or kind.bits or 32
    value = 0x9E3779B97F4A7C15F39CC0605CEDC834 * (2 * seed + 1) >> 7 & (1 << width) - 1
    if kind.signed is None:
        return value & 0x7F
    return value - (1 << width) if kind.signed and value >> width - 1 else value


def some_values(struct: Struct, seed: int = 1) -> dict[str, Any]:
    """Values for all members that hold any; for a union, for the first of them."""
    found: dict[str, Any] = {}
    for number, member in enumerate(struct.members):
        if isinstance(member.type, Array) and not member.type.count:
            continue
        if member.name:
            found[member.name] = some_value(member.type, member.bits, seed + number)
        elif isinstance(member.type, Struct):
            found |= some_values(member.type, seed + number)
        if found and struct.union:
            break
    return found


def c_init(value: Any) -> str:
    """A value as C initialises it."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'.{name} = {c_init(row)}' for name, row in value.items())} }}"
    if isinstance(value, list):
        return f"{{ {', '.join(map(c_init, value))} }}"
    return repr(value) if isinstance(value, float) or value < 1 << 31 else f"{value}ull"


@each_abi
def test_bits_attributes_and_pointers_are_those_of_a_compiler(abi: str) -> None:
    rows = WIDER_STRUCTS
    titles = [f"{'union' if row.union else 'struct'} {name}" for _, name, row in rows]
    titles = [title.split()[1] if title.endswith("_t") else title for title in titles]
    questions = [
        (title, tuple(designators(row))) for title, (_, _, row) in zip(titles, rows, strict=True)
    ]
    values = [some_values(row) for _, _, row in rows]
    objects = [(title, c_init(value)) for title, value in zip(titles, values, strict=True)]
    quiet = '#pragma clang diagnostic ignored "-Weverything"\n'
    prelude = quiet + BUILT_IN + "\n".join(WIDER.values())
    told = compilers.probe(abi, prelude, questions, objects)
    for title, (case, _, row), value, image in zip(titles, rows, values, told.images, strict=True):
        layout = row.layout(abi)
        offsets = {name: layout.offsets[name] for name in designators(row)}
        assert told.measured[title] == compilers.Measured(layout.size, layout.align, offsets), case
        assert bytes(layout.pack(value)) == image, (case, title, value)


# --- what comes out --------------------------------------------------------------------------


def test_the_patch() -> None:
    found = parse(REGS + PATCH)
    assert list(found) == ["kvm_guest_debug_arch", "kvm_debug_exit_arch"]
    assert found["kvm_debug_exit_arch"] == MERGED
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


def test_enums_and_the_sizes_they_give() -> None:
    text = "struct s { enum e { A, B = -3 } a; enum { C = 2 }; u8 b[C]; enum { D } c; };"
    assert parse(text)["s"].members == (
        Member("a", Scalar("enum e", 32, signed=True)),
        Member("b", Array(SCALARS["u8"], 2)),
        Member("c", SCALARS["unsigned int"]),
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 ? 2 : 3", 2),
        ("3 - 4 + 2", 1),
        ("sizeof(__u64) * 2", 16),
        ("-7 / 2 + 4", 1),
        ("-7 % 2 + 4", 3),
        ("~0u - 0xfffffffe", 1),
        ("(-1 < 0u) + 2", 2),
        ("!0 + !5 + (1 && 2) + (0 || 0)", 2),
        ("(1 << 31 < 0) + (1u << 31 > 0) + (0x80000000 > 0)", 3),
    ],
)
def test_constants_are_computed_as_c_does_it(text: str, value: int) -> None:
    element = Array(SCALARS["u8"], value)
    assert parse(f"struct s {{ u8 a[{text}]; }};")["s"].members == (Member("a", element),)


def test_struct_or_union() -> None:
    found = parse("union a { u8 x; struct b { u8 y; } z; };")
    assert {name: struct.union for name, struct in found.items()} == {"a": True, "b": False}


@steady
@given(strategies.structs())
def test_a_struct_written_as_c_is_read_back(struct: Struct) -> None:
    assert parse(strategies.c_text(struct) + ";") == {"s": struct}


OWN = Struct("s", [("a", "u8"), Member("b", replace(SCALARS["u64"], align=4)),
                   Member("c", replace(SCALARS["u32"], align=1), 7),
                   Member("d", Array(Struct("", [("x", "u16"), ("y", "__le64")], packed=True), 2),
                          align=8, packed=True)])  # fmt: skip
REPRS = [
    # struct, what its repr must say
    (OWN, "typedef u64 u64_4 __attribute__((aligned(4)));"),
    (OWN, "    } __attribute__((packed)) d[2] __attribute__((packed, aligned(8)));"),
    (OWN, "    u32_1 c : 7;"),
    (replace(OWN, pack=2), "#pragma pack(push, 2)"),
    (replace(OWN, pack=2), "struct { /* #pragma pack() */"),
    (Struct("s", {"a": "u8", "b": "__aligned_u64[2]"}), "__u64 b[2] __attribute__((aligned(8)));"),
]


@pytest.mark.parametrize(("struct", "line"), REPRS)
def test_a_repr_says_all_that_bears_on_layout(struct: Struct, line: str) -> None:
    assert line in repr(struct)
    if "/*" not in repr(struct):
        assert parse(repr(struct)) == {"s": struct}


def test_any_structs_repr_is_read_back() -> None:
    for case in strategies.examples(proof_structs.wilds, 300):
        given = case.struct
        kept = {name: getattr(given, name) for name in ("union", "packed", "align", "pack")}
        struct = Struct("s", given.members, **kept)
        assert parse(repr(struct)) == {"s": struct}, repr(struct)


# --- what is refused -------------------------------------------------------------------------

ERRORS: list[tuple[str, str]] = [
    # not supported
    ("struct s { u8 a[]; };", "line 1, column 15: an array without a size needs members before it"),
    ("struct s { u8 a[const 2]; };", "line 1, column 17: expected an expression after '['"),
    ("struct s { unsigned foo a; };", "line 1, column 24: expected ';' after 'foo'"),
    ("struct s { unsigned u32 a; };", "line 1, column 24: expected ';' after 'u32'"),
    ("struct s { unsigned signed a; };", "line 1, column 12: this type is not"),
    ("struct s { enum e a; };", "line 1, column 19: 'enum e' is not defined"),
    ("struct s { unsigned typedef a; };", "line 1, column 21: 'typedef' is a keyword and can"),
    ("__packed struct s { u8 a; };", "line 1, column 1: attribute 'packed' is not supported her"),
    ("int x;", "line 1, column 1: the text defines no struct"),
    ("foo x;", "line 1, column 1: unknown type 'foo'"),
    ("struct s { u8 a; } __packde;", "line 1, column 20: '__packde' is no macro here; give -D __p"),
    ("struct s { u8 a; } all_packed;", "line 1, column 20: unknown type 'all_packed'"),
    ("int typedef t;", "line 1, column 5: 'typedef' is read at the start of a declaration only"),
    ("struct s { __float128 a; };", "line 1, column 23: '__float128' differs by ABI"),
    ('_Pragma("pack(1)") struct s { u8 a; };', "line 1, column 1: a '_Pragma' is not supported"),
    ("struct s { u8 a[_Alignof 1]; };", "line 1, column 25: expected a type in brackets after "),
    ("struct s { u8 a[sizeof(struct { u8 a; })]; };", "line 1, column 24: a definition in an"),
    ("struct s { u8 a[1 + 2 * FOO]; };", "line 1, column 25: 'FOO' is no integer constant"),
    ("struct s { static u8 a; };", "line 1, column 12: a storage class is not supported: 'static'"),
    ("struct s { _Atomic u8 a; };", "line 1, column 12: this qualifier"),
    ("struct s { LIST(u8) a; };", "line 1, column 12: 'LIST' is no macro here; give -D LIST[=VA"),
    ("struct s { LIST(u8, a); };", "line 1, column "),
    ("struct s { FIELDS; };", "line 1, column 12: 'FIELDS' is no macro here"),
    ("struct s { FIELDS u8 a; };", "line 1, column "),
    ("struct s {\n#pragma pack(1)\nu8 a; };", "line 2, column 1: "),
    # attributes, bits, enums, the macros of the UAPI
    ("struct s { u8 a; } __attribute__((mode(DI)));", "line 1, column 20: an attribute is not sup"),
    ("struct s { u8 a; } __attribute__((packed(1)));", "line 1, column 20: attribute 'packed' tak"),
    ("struct s { u8 a __aligned(3); };", "line 1, column 17: aligned(3); legal are powers of 2"),
    ("struct s { u8 *__packed a; };", "line 1, column 16: attribute 'packed' is not supported her"),
    ("struct s { u32 a __packed:3; };", "line 1, column 26: expected ';' after '__packed'"),
    ("struct s { __packed struct { u8 a; }; };", "line 1, column 12: attribute 'packed' is not"),
    ("struct s { struct { u8 a; } __packed; } PACKED;", "line 1, column 41: what looks like an at"),
    ("typedef u8 t __aligned(4); struct s { t a[2]; };", "line 1, column 43: an array of elements"),
    ("struct s { u8 a[]; u8 b; };", "line 1, column 15: an array without a size needs"),
    ("struct s { u8 b, a[]; u8 c; };", "line 1, column 18: an array without a size is legal only "),
    ("union s { u8 b; u8 a[]; };", "line 1, column 20: an array without a size needs members"),
    ("struct s { u8 b, a[3][]; };", "line 1, column 18: an array without a size in an array"),
    ("typedef u8 t[]; struct s { u8 a; t b; };", "line 1, column 34: unknown type 't'; line 1, colu"
     "mn 12: a typedef of an array without a size"),
    ("struct s { u32 a:0; };", "line 1, column 18: a bit-field of 0 bits; legal: 1 .. 32"),
    ("struct s { u32 a:33; };", "line 1, column 18: a bit-field of 33 bits"),
    ("struct s { u8 *a:3; };", "line 1, column 18: only an integer of the ABI's byte order"),
    ("struct s { __be32 a:3; };", "line 1, column 21: only an integer of the ABI's byte order"),
    ("struct s { float a:3; };", "line 1, column 20: only an integer of the ABI's byte order"),
    ("struct s { void a; };", "line 1, column 17: 'void' is not defined before this place"),
    ("struct s { foo *a; };", "line 1, column 12: unknown type 'foo'"),
    ("struct s { void (*f)(struct t { u8 a; } *); };", "line 1, column 21: a definition in an arg"),
    ("#pragma pack(3)\n", "line 1, column 1: this directive is not supported: '#pragma pack(3)'"),
    ("#pragma pack(pop)\n", "line 1, column 1: '#pragma pack(pop)' without a push"),
    ("#pragma pack(push, x, 3)\n", "line 1, column 1: this directive"),
    ("#pragma pack(push, x)\n#pragma pack(pop, y)\n", "line 2, column 1: '#pragma pack(pop)' with"),
    ("struct s { u8 c; __struct_group(a, b, , u8 c;); };", "line 1, column 18: member 'c' stands "),
    ("struct s { __struct_group(a, b, , u8 b;); };", "line 1, column 30: member 'b' stands twice"),
    ("#pragma scalar_storage_order big-endian", "line 1, column 1: this directive is not support"),
    ("#pragma ms_struct on", "line 1, column 1: this directive"),
    ("#pragma options align=packed", "line 1, column 1: this directive"),
    ('#pragma GCC optimize ("pack-struct")', "line 1, column 1: this directive"),
    ('#pragma push_macro("u8")', "line 1, column 1: this directive"),
    ("#define N 1\n#pragma pack(N)\n", "line 2, column 1: 'N' in '#pragma pack': clang puts a mac"),
    ("enum e { A } __attribute__((aligned(8)));", "line 1, column 14: attribute 'aligned' on an"),
    ("struct s { u8 a['é']; };", "line 1, column 18: character 'é' is legal in comments only"),
    ("struct s { _Alignas(1) int a; };", "line 1, column 12: _Alignas(1) on a type that is aligne"),
    ("struct s { _Alignas(4) int a:3; };", "line 1, column 12: '_Alignas' on a bit-field"),
    ("typedef _Alignas(8) int t;", "line 1, column 9: '_Alignas' on a typedef is no C"),
    ("struct s { u8 a; } __aligned(16) __aligned(8);", "line 1, column 34: aligned(16) and aligned"
     "(8): gcc takes the last, clang the largest"),
    ("struct __aligned(16) s { u8 a; } __aligned(8);", "line 1, column 34: aligned(16) and al"),
    ("typedef int t __aligned(16) __aligned(8);", "line 1, column 29: aligned(16) and aligned(8)"),
    ("enum e { A = 0x7fffffff, B };", "line 1, column 26: 'B' would be 2147483648, beyond t"),
    ("enum e { A = 1, D = 0x80000000 }; struct s { u8 a[(-1 < A) + 1]; };",
     "line 1, column 51: gcc and clang differ in the type of a constant in '( - 1 < A ) + 1'"),
    ("#if SHRT_MAX > 3\nstruct s { u8 a; };\n#endif", "line 1, column 1: 'SHRT_MAX' is no mac"),
    ("#error \x1b[31mred\n", "line 1, column 1: #error \\x1b[31mred"),
    ("struct s { u8 a[if]; };", "line 1, column 17: expected an expression after '['"),
    ("struct s { u8 a[3; };", "line 1, column 20: '}' closes another kind of bracket"),
    ("struct s { u8 a[sizeof(int]; };", "line 1, column 27: ']' closes another kind of bracket"),
    ("enum e { A = };", "line 1, column 13: expected an expression after '='"),
    ("enum e { A B };", "line 1, column 11: expected '}' after 'A'"),
    ("int x", "line 1, column 6: expected ';' after 'x'"),
    ("= 3;", "line 1, column 1: expected a type, not '='"),
    ("#if BYTE_ORDER == LITTLE_ENDIAN\nstruct s { u8 a; };\n#endif", "line 1, column 1: 'BYTE_"),
    ("#if __has_attribute(ms_struct)\n#endif", "line 1, column 1: gcc and clang answer otherwise"),
    ("enum e : u8 { A = 256 }; struct s { enum e a; };", "line 1, column 44: 'enum e' is not def"),
    ("enum e : float { A }; struct s { enum e a; };", "line 1, column 41: 'enum e' is not defined"),
    ("struct s { u8 a; u32 b[2] [[gnu::aligned(8)]]; };", "line 1, column 27: an attribute of a t"),
    ("struct s { u8 a; u32 [[gnu::packed]] b; };", "line 1, column 22: an attribute of a type is"),
    ("struct s { u8 a; u32 b; } [[gnu::packed]];", "line 1, column 27: an attribute of a type is"),
    ("struct s { struct t; int a; };", "line 1, column 12: this declares nothing; with -fms-exten"),
    ("enum e { A, A };", "line 1, column 13: 'A' is already a constant"),
    ("enum e { };", "line 1, column 8: an enum without constants"),
    ("enum e { A }; enum e { B };", "line 1, column 20: 'enum e' is defined twice"),
    ("enum { A = -1, B = 0xffffffffffffffff };", "line 1, column 6: no type holds all values"),
    ("enum { A = 0xffffffffffffffff, B };", "line 1, column 32: 'B' would be 18446744073709551616"),
    # types and names
    ("struct s { struct t a; };", "line 1, column 21: 'struct t' is not defined before this place"),
    ("struct s { struct s a; };", "line 1, column 21: 'struct s' is not defined"),
    ("struct s { struct s a[2]; };", "line 1, column 23: 'struct s' is not defined"),
    ("union s { u8 b; struct { union s a; } c; };", "line 1, column 34: 'union s' is not define"),
    ("typedef struct s t; struct s { t a; };", "line 1, column 34: 'struct s' is not defined"),
    ("typedef struct t t_t; struct s { t_t a; };", "line 1, column 38: 'struct t' is not defined"),
    ("struct s { u8 a; };\nstruct s { u8 a; };", "line 2, column 8: 's' is defined twice; see"),
    ("struct s { u8 a; };\nunion s { u8 a; };", "line 2, column 7: 's' is defined twice"),
    ("struct s { struct s { u8 a; } b; };", "line 1, column 19: 's' is defined twice"),
    ("struct s { u8 a; }; typedef struct { u8 a; } s;", "line 1, column 29: 's' is the tag of one t"
     "ype and a typedef of another; only one can be kept by it; see line 1, column 1"),
    ("typedef struct { u8 a; } s; union s { u8 a; };", "line 1, column 35: 's' is the tag of one"),
    ("typedef u8 t;\ntypedef u16 t;", "line 2, column 13: 't' is already"),
    ("typedef struct { u8 a; } t; typedef struct { u8 a; } t;", "line 1, column 37: 't' is"),
    ("struct s { u8 a;\n  u16 b, a; };", "line 2, column 10: member 'a' stands twice"),
    ("struct s { u8 a; union { u8 b, a; }; };", "line 1, column 18: member 'a' stands twice"),
    ("struct s { u8 a; struct { u8 b, b; } c; };", "line 1, column 33: member 'b' stands twice"),
    ("struct s { u8 a; struct t; };", "line 1, column 18: this declares nothing; with -fms-ext"),
    ("struct s { struct t { u8 a; }; };", "line 1, column 12: this declares nothing"),
    ("struct s { u32; };", "line 1, column 12: "),
    ("typedef struct { u8 a; } t[2]; struct s { t; };", "line 1, column 43: "),
    ("struct { u8 a; };", "line 1, column 1: the text defines no struct and no union"),
    # sizes
    ("struct s { u16 a[0x7fffffff]; };", "line 1, column 18: an array of 2147483647 elements"),
    ("struct s { u8 a[2147483648]; };", "line 1, column 17: an array of 2147483648 elements"),
    ("struct s { u8 a[-1]; };", "line 1, column 17: an array of -1 elements; legal are 0 .. 10485"),
    ("struct s { u8 a[(1 << -1) + 5]; };", "line 1, column 17: '( 1 << - 1 ) + 5' cannot"),
    ("struct s { u8 a[1 / 0]; };", "line 1, column 17: '1 / 0' cannot"),
    ("struct s { u8 a[1 << 31]; };", "line 1, column 17: an array of -2147483648 elements"),
    ("struct s { u8 a[1 << 2147483647]; };", "line 1, column 17: "),
    ("struct s { u8 a[08]; };", "line 1, column 17: '08' cannot"),
    ("struct s { u8 a['\\400']; };", "line 1, column 17: \"'\\\\400'\" cannot"),
    ("struct s { u8 a['\\x100']; };", "line 1, column 17: \"'\\\\x100'\" cannot"),
    ("struct s { u8 a[u'\\x10000']; };", "line 1, column 17: \"u'\\\\x10000'\" cannot"),
    ("struct s { u8 a[L'\\x100000000']; };", "line 1, column 17: \"L'\\\\x100000000'\" cannot"),
    ("struct s { u8 a[U'ab']; };", "line 1, column 17: \"U'ab'\" cannot"),
    ("struct s { u8 a[sizeof(\"\\u00e9\")]; };", "line 1, column 24: expected a string of plain"),
    ("struct s { u8 a[sizeof(u\"a\")]; };", "line 1, column 24: expected a string of plain"),
    ("struct s { u8 a[u'a]; };", "line 1, column 17: ' is never closed"),
    ("struct s { u8 a[1.0]; };", "line 1, column 17: '1.0' cannot"),
    ("struct s { u8 a[1uu]; };", "line 1, column 17: "),
    ("struct s { u8 a[2 ** 3]; };", "line 1, column "),
    ("struct s { u8 a[N]; };\n#define N 4", "line 1, column 17: 'N' is no integer constant"),
    ("#define A B\n#define B A\nstruct s { u8 a[A]; };", "line 3, column 17: 'A' is no integer"),
    ("#define A 1 \\ \nstruct s { u8 a; };", "line 1, column 1: the text defines no struct"),
    ("#define A 1 /* x\n */ struct s { u8 a; };", "line 1, column 1: the text defines no struct"),
    ("#define A 1\n#define A 2\n", "line 2, column 1: macro 'A' is defined twice"),
    ("#define\nu8 a;", "line 1, column 1: '#define' names no macro"),
    ("#define 1 2\n", "line 1, column 1: '#define 1 2' names no macro"),
    ("#include <stdint.h> struct s { u8 a; };", "line 1, column 1: '#include <stdint.h> struct s"),
    ("struct union { u8 a; };", "line 1, column 8: 'union' is a keyword and can be no name"),
    ("struct s { u8 typedef; };", "line 1, column 15: 'typedef' is a keyword"),
    ("typedef u8 char;", "line 1, column 12: 'char' is a keyword"),
    # no C at all
    ("", "line 1, column 1: the text defines no struct and no union"),
    ("// nothing\n#define X 1\ntypedef u8 t;\n", "line 1, column 1: the text defines no struct"),
    ("struct s {\n  u32 a\n  u32 b;\n};", "line 2, column 8: expected ';' after 'a'"),
    ("struct s {\n  u32 a\n  struct t b; };", "line 2, column 8: expected ';' after 'a'"),
    ("struct s { u32 a };", "line 1, column 17: expected ';' after 'a'"),
    ("struct s { u32 a }", "line 1, column 17: expected ';' after 'a'"),
    ("struct s { u32 a[3] __packed };", "line 1, column 29: expected ';' after "),
    ("struct s { struct { u32 a; } };", "line 1, column 29: expected ';' after "),
    ("struct s { u32 a; }", "line 1, column 20: expected ';' after '}'"),
    ("struct s {\n  u32 a;\n}\nstruct t { u8 a; };", "line 3, column 2: expected ';' after '}'"),
    ("struct s {\n  u32 a;\n} __packed\nunion t { u8 a; };", "line 3, column 11: expected ';' "),
    ("enum e { A }\nunsigned int f(void);", "line 1, column 13: expected ';' after '}'"),
    ("typedef struct { u8 a; }\n#pragma pack(1)\n", "line 1, column 25: expected ';' aft"),
    ("struct s { u8 *a, *; };", "line 1, column 20: expected a name after '*'"),
    ("struct s { u8 a b; };", "line 1, column 16: expected ';' after 'a'"),
    ("struct s { u8 [3]; };", "line 1, column "),
    ("struct s { u8 é; };", "line 1, column 15: character 'é' is legal in comments only"),
    ("/* é */ struct s { foo a; };", "line 1, column 20: unknown type 'foo'"),
    ("struct s {\n/* \U0001f600 */ u8 a \0; };", "line 2, column 14: character '\\x00' is"),
    ("/* \ud800 */ struct s { u8 a\udfff; };", "line 1, column 24: character '\\udfff'"),
    ("struct s { u8 a; /* };", "line 1, column 18: /* is never closed"),
    ("struct s { u8 a; } __attribute__", "line 1, column 33: expected '(' after '__attribute__'"),
    ("u16 m __attribute__ 3;", "line 1, column 20: expected '(' after '__attribute__'"),
    ("struct s { u8 a; } __attribute__()", "line 1, column 34: expected '(' after '('"),
    ("struct s {\n  u8 a; 'x };", "line 2, column 9: ' is never closed"),
    ('struct s { u8 a; "x\n"; };', 'line 1, column 18: " is never closed'),
    ("struct s { u8 a;\n", "line 1, column 10: '{' is never closed"),
    ("struct s { u8 a; }; }", "line 1, column 21: '}' closes nothing"),
    ("struct s { u8 a[3}; }", "line 1, column 18: '}' closes another kind of bracket"),
    ("hello, world", "line 1, column "),
    # the preprocessor
    ("#error no\n", "line 1, column 1: #error no"),
    ("#include HEADER\n", "line 1, column 1: '#include HEADER' names no header"),
    ("#include <>\n", "line 1, column 1: '#include <>' names no header"),
    ("#ifndef X\n#define X\nstruct s { u8 a; };", "line 1, column 1: '#ifndef X' is never closed"),
    ("#endif\n", "line 1, column 1: '#endif' without an '#if'"),
    ("#if 1\n#else\n#else\n#endif", "line 3, column 1: '#else' without an '#if'"),
    ("#if 1\n#else\n#elif 1\n#endif", "line 3, column 1: '#elif' without an '#if'"),
    ("#if 1 +\n#endif", "line 1, column 1: this condition cannot be computed: '1 +'"),
    ("#if 1 / 0\n#endif", "line 1, column 1: this condition cannot be computed: '1 / 0'"),
    ("#define I <x.h>\n#if __has_include(I)\n#endif", "line 2, column 1: this condition cannot"),
    ("#if defined\n#endif", "line 1, column 1: '#if defined' names no macro"),
    ("#if defined(X\n#endif", "line 1, column 1: '#if defined(X' names no macro"),
    ("#ifdef 3\n#endif", "line 1, column 1: '#ifdef 3' names no macro"),
    ("#undef\n", "line 1, column 1: '#undef' names no macro"),
    ("#frobnicate\n", "line 1, column 1: this directive is not supported: '#frobnicate'"),
    ("#define F(x\n", "line 1, column 1: '#define F(x' has no closing bracket"),
    ("#define F(x x)\n", "line 1, column 1: '#define F(x x)' has no legal parameters"),
    ("#define F(x, x)\n", "line 1, column 1: '#define F(x, x)' has no legal parameters"),
    ("#define F(x) x\nstruct s { u8 F(1, 2); };", "line 2, column 15: macro 'F' takes 1 argument"),
    ("#define F(x) x\nstruct s { u8 F(a; };", "line 2, column 15: the arguments of 'F' are never"),
    ("#define F(x) x ## /\nstruct s { u8 F(a); };", "line 2, column 15: '##' makes no word: 'a/'"),
    ("struct s { #define X 1\n u8 a; };", "line 1, column 12: '#' is legal at the start of a line"),
    ("struct s { __DECLARE_FLEX_ARRAY(u8); };", "line 1, column 12: macro '__DECLARE_FLEX_ARRAY'"),
    ("struct s { __struct_group(a, b, c); };", "line 1, column "),
    ("__struct_group(a, b, , u8 b;);", "line 1, column 19: member 'b' stands twice"),
    ("#define A 2], [3\nstruct s { u8 a[A]; };", "line 2, column 18: expected a name after 'A'"),
    ("#define A 2, 3\nstruct s { u8 a[A]; };", "line 2, column 18: expected ']' after 'A'"),
    ("#define A\nstruct s { u8 a[A]; };", "line 2, column 15: an array without a size needs"),
    ("#define far 1\nstruct s { u8 far; };", "line 2, column 14: expected a name after 'u8'"),
    ("#define t s\nstruct s { t a; };", "line 2, column 12: unknown type 's'"),
    # what is passed over, and what is not
    ("int f(void);", "line 1, column 1: the text defines no struct"),
    ("int f(void) { return 1; }", "line 1, column 1: the text defines no struct"),
    ("struct s PACKED(x) { u8 a; };", "line 1, column 10: what looks like an attribute macro"),
    ("struct s { u8 __aligned; };", "line 1, column 15: what looks like an attribute macro"),
    ("#include <linux/types.h>\nstruct s { foo a; };", "line 2, column 12: unknown type 'foo'; no "
     "header that this text includes says what it is"),
    ("#include <x.h>\nstruct s { foo a; };", "line 2, column 12: unknown type 'foo'; it may be in "
     "<x.h>: give it (--include x.h=FILE; in Python headers={'x.h': text})"),
    ("#include <x.h>\n#include <a/y.h>\nstruct s { foo a; };", "line 3, column 12: unknown type "
     "'foo'; it may be in <x.h>, <a/y.h>: give the one that defines it (--include NAME=FILE; in "
     "Python headers)"),
    ("#include <x.h>\nstruct s { u8 a[N]; };", "line 2, column 17: 'N' is no integer constant of "
     "this text; it may be in <x.h>"),
    ("struct s { u8 a[sizeof(struct t)]; };", "line 1, column 17: 'struct t' has no known size"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=range(len(ERRORS)))
def test_what_is_refused_and_where(text: str, message: str) -> None:
    with pytest.raises(KvmvizError) as caught:
        parse(text)
    assert str(caught.value).startswith(message)


def test_no_header_is_spoken_of_where_none_is_asked_for() -> None:
    with pytest.raises(KvmvizError, match=r"^line 1, column 12: unknown type 'foo'$"):
        parse("struct s { foo a; };")


@pytest.mark.parametrize("text", [None, b"struct s { u8 a; };", 3, ["struct s"]])
def test_text_is_a_str(text: Any) -> None:
    with pytest.raises(KvmvizError, match="C text is a str, not"):
        parse(text)


# --- what the target decides -----------------------------------------------------------------

# As in Linux's uapi/linux/eventpoll.h, perf_event.h, ip.h, elf.h and asm-generic/siginfo.h.
CONDITIONAL: dict[str, str] = {
    "epoll_event": """
#ifdef __x86_64__
#define EPOLL_PACKED __attribute__((packed))
#else
#define EPOLL_PACKED
#endif
struct epoll_event {
	__poll_t events;
	__u64 data;
} EPOLL_PACKED;
""",
    "perf_mem_data_src": """
#if defined(__LITTLE_ENDIAN_BITFIELD)
union perf_mem_data_src {
	__u64 val;
	struct {
		__u64   mem_op:5,	/* type of opcode */
			mem_lvl:14,	/* memory hierarchy level */
			mem_snoop:5,	/* snoop mode */
			mem_lock:2,	/* lock instr */
			mem_dtlb:7,	/* tlb access */
			mem_lvl_num:4,	/* memory hierarchy level number */
			mem_remote:1,   /* remote */
			mem_snoopx:2,	/* snoop mode, ext */
			mem_blk:3,	/* access blocked */
			mem_hops:3,	/* hop level */
			mem_rsvd:18;
	};
};
#elif defined(__BIG_ENDIAN_BITFIELD)
union perf_mem_data_src {
	__u64 val;
	struct {
		__u64	mem_rsvd:18,
			mem_hops:3,	/* hop level */
			mem_blk:3,	/* access blocked */
			mem_snoopx:2,	/* snoop mode, ext */
			mem_remote:1,   /* remote */
			mem_lvl_num:4,	/* memory hierarchy level number */
			mem_dtlb:7,	/* tlb access */
			mem_lock:2,	/* lock instr */
			mem_snoop:5,	/* snoop mode */
			mem_lvl:14,	/* memory hierarchy level */
			mem_op:5;	/* type of opcode */
	};
};
#else
# error "Unknown endianness"
#endif
""",
    "iphdr": """
#include <asm/byteorder.h>
struct iphdr {
#if defined(__LITTLE_ENDIAN_BITFIELD)
	__u8	ihl:4,
		version:4;
#elif defined (__BIG_ENDIAN_BITFIELD)
	__u8	version:4,
		ihl:4;
#else
#error	"Please fix <asm/byteorder.h>"
#endif
	__u8	tos;
	__be16	tot_len;
};
""",
    "aio": """
#if defined(__BYTE_ORDER) ? __BYTE_ORDER == __LITTLE_ENDIAN : defined(__LITTLE_ENDIAN)
#define PADDED(x,y)	x, y
#elif defined(__BYTE_ORDER) ? __BYTE_ORDER == __BIG_ENDIAN : defined(__BIG_ENDIAN)
#define PADDED(x,y)	y, x
#endif
struct iocb { __u64 aio_data; __u32 PADDED(aio_key, aio_rw_flags); };
""",
    "by width": """
#if __BITS_PER_LONG == 64
#define PAD 3
#else
#define PAD 1
#endif
struct by_width { long a; char pad[PAD * sizeof(long)]; struct { short b[PAD]; } c; };
""",
    "by size of a struct": """
struct inner { char a; long long b; void *c; };
struct by_size { char rest[64 - sizeof(struct inner)], more[__alignof__(struct inner)]; };
struct by_offset { char rest[offsetof(struct inner, c)]; };
""",
    "by sign": """
#ifdef __CHAR_UNSIGNED__
struct by_sign { unsigned char a; short b; };
#else
struct by_sign { int a; };
#endif
""",
    "a character in a condition": """
#if (~'a') < 0
struct by_char { char a[4]; };
#else
struct by_char { char a[8]; };
#endif
#if L'a' - 98 < 0
struct by_wide { char a[4]; };
#else
struct by_wide { char a[8]; };
#endif
""",
    "by wide characters": """
struct by_characters {
	char a[L'\\777'], b[L'\\400' + 1], c[L'\\xffffffff' < 0 ? 2 : 3], d[sizeof(u'a')];
	char e[u'\\xffff' / 256], f[U'\\x12345' >> 8], g[-U'\\1' > 0 ? 2 : 3], h['\\x000041'];
	char i[sizeof(L'a')], j[~u'a' < 0 ? 2 : 3], k[U'\\xffffffff' / 0x1000000], l[u'\\'' + U'"'];
};
#if L'\\777' == 511 && u'\\xffff' == 65535 && U'\\xffffffff' == 4294967295 && '\\x0041' == 65
struct by_signs { char a[2]; };
#endif
#if L'\\xffffffff' < 0
struct by_wide_sign { char a[2]; };
#else
struct by_wide_sign { char a[3]; };
#endif
#if u'a' - 98 > 0 && U'a' - 98 > 0
struct by_plain_sign { char a[4]; };
#endif
""",
    "by two things": """
enum two_e { TWO = (~0UL >> 31 > 1) + ('\\xff' < 0) == 1 };
struct by_two { char a[TWO + 1], b[(('\\xff' < 0) == (sizeof(long) == 4)) + 1]; };
""",
    "by long constant": "enum { BL = ~0UL >> 31 }; struct by_long { char a[BL % 7 + 1]; };",
    "by the widest integer": """
#ifdef __SIZEOF_INT128__
struct by_widest { char a; __u128 b[]; };
#else
struct by_widest { char a; };
#endif
""",
    "by arithmetic": """
typedef unsigned short ar_t; enum ar_e { AR = 3 };
struct by_arithmetic {
	char a[(unsigned long)-1 > 0xffffffffU ? 3 : 5], b[((long)0x80000000 < 0) + 1];
	char c['\\xff' < 0 ? 2 : 3], d[L'\\xff' - 1 < 0 ? 2 : 3], e[(L'a' - 98 < 0) + 1];
	char f[((char)200 < 0) + 1];
	char g[~(u8)0 == -1 ? 4 : 2], h[((short)0x18000 < 0) + 1], i[(_Bool)7 + 1];
	char j[0 ?: 7], k[2 ?: 7];
	char l[(unsigned char)-1 / 50], m[(ar_t)0x10003], n[(enum ar_e)2], o[(unsigned)-1 > 0 ? 2 : 1];
	char p[((u8)1 << 9) >> 8], q[(int)sizeof(long) - 9 < 0 ? 1 : 2], r[-sizeof(long) < 9 ? 1 : 2];
};
""",
    "by preferred alignment": """
struct by_preferred_in { char a; long long b; void *c; };
struct by_preferred {
	char a[__alignof__(long long)], b[__alignof__(double)], c[_Alignof(long long)];
	char d[__alignof__(long)], e[__alignof(u64[2])];
	char f[__alignof__(struct by_preferred_in)];
};
""",
    "by the largest alignment": """
#ifdef __mips__
#define LARGEST __attribute__((aligned(4)))
#else
#define LARGEST __attribute__((aligned))
#endif
struct by_largest { u8 a; u8 b LARGEST; };
struct by_largest_too { u8 a; } LARGEST;
""",
    "by sizes": """
struct by_sizes_of { char c; struct { long long d; int e[3]; } f[2]; long g[]; };
struct by_sizes {
	char a[sizeof(int[4])], b[sizeof(((struct by_sizes_of *)0)->f[1].e)];
	char c[sizeof("abc\\n\\x41")];
	char d[sizeof(1)], e[sizeof(char *[3])], f[sizeof(u8 (*)[3])];
	char g[sizeof(1ULL + 1)], h[sizeof(7UL)];
	char i[sizeof(struct by_sizes_of[2][3])], j[sizeof(const char *)];
	char k[sizeof(((struct by_sizes_of *)0)->c)];
	char l[offsetof(struct by_sizes_of, f[1].e)], m[offsetof(struct by_sizes_of, f[1].e[2]) + 1];
	char q[sizeof((short)3L)], r[sizeof(-(char)1)], s[sizeof((_Bool)7)];
	char t[sizeof(1 ? (short)1 : (char)2)];
	char n[offsetof(struct by_sizes_of, g)], o[sizeof("a" "b")], p[sizeof(u8[sizeof(int)])];
};
""",
    "by what limits.h and stdint.h say": """
#include <limits.h>
#include <stdint.h>
#if UINTPTR_MAX == UINT64_MAX && SIZE_MAX > UINT32_MAX && LONG_MAX == INT64_MAX
struct by_limits { char a[CHAR_MAX / 64]; long long b; };
#elif __LONG_WIDTH__ == 32 && __SIZEOF_SIZE_T__ == 4 && INTPTR_MIN < 0
struct by_limits { char a[CHAR_MIN + 130]; char b[UINT16_C(3) + (ULONG_MAX == UINT_MAX)]; };
#endif
""",
    "by what endian.h says": """
#include <endian.h>
#if BYTE_ORDER == LITTLE_ENDIAN
struct by_order { char a; short b; };
#elif BYTE_ORDER == BIG_ENDIAN
struct by_order { char a, b; };
#endif
""",
    "by what the compiler knows": """
#define HAS(x) __has_attribute(x)
#define HERE defined(__LP64__)
#if HAS(__packed__) && __has_attribute(aligned) && defined(__has_include)
#define PACK __attribute__((packed))
#endif
#if HERE && __has_include(<stddef.h>) && !__has_attribute(no_such_thing)
#define LONGER char b[3];
#else
#define LONGER
#endif
struct by_knowledge { char a; LONGER int c; } PACK;
""",
    "with the case that differs inside": """
#ifdef __LP64__
struct wi_in { int a; };
#else
struct wi_in { short a; };
#endif
struct wi_out { char a; struct wi_in b[3]; union { struct wi_in c; char d; }; };
""",
}  # fmt: skip
ORDERED = """
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define __LITTLE_ENDIAN_BITFIELD
#define __LITTLE_ENDIAN 1234
#define __BYTE_ORDER 1234
#else
#define __BIG_ENDIAN_BITFIELD
#define __BIG_ENDIAN 4321
#define __BYTE_ORDER 4321
#endif
#define BYTE_ORDER __BYTE_ORDER__
#define LITTLE_ENDIAN __ORDER_LITTLE_ENDIAN__
#define BIG_ENDIAN __ORDER_BIG_ENDIAN__
#define UINTPTR_MAX __UINTPTR_MAX__
#define UINT64_MAX __UINT64_MAX__
#define UINT32_MAX __UINT32_MAX__
#define INT64_MAX __INT64_MAX__
#define INTPTR_MIN (-__INTPTR_MAX__ - 1)
#define SIZE_MAX __SIZE_MAX__
#define LONG_MAX __LONG_MAX__
#define ULONG_MAX (LONG_MAX * 2UL + 1)
#define UINT_MAX (__INT_MAX__ * 2U + 1)
#define UINT16_C(c) c
#ifdef __CHAR_UNSIGNED__
#define CHAR_MIN 0
#define CHAR_MAX 255
#else
#define CHAR_MIN -128
#define CHAR_MAX 127
#endif
#define __BITS_PER_LONG (8 * __SIZEOF_LONG__)
typedef unsigned int __poll_t;
#ifdef __SIZEOF_INT128__
typedef unsigned __int128 __u128 __attribute__((aligned(16)));
#endif
#define offsetof(T, M) __builtin_offsetof(T, M)
"""
"""What a compiler finds in the headers that these texts include."""


@each_abi
def test_what_the_target_decides_is_as_a_compiler_has_it(abi: str) -> None:
    rows = [row for text in CONDITIONAL.values() for row in parse(text).values()]
    titles = [f"{row}" for row in rows]
    questions = [
        (title, tuple(designators(row.on(abi)))) for title, row in zip(titles, rows, strict=True)
    ]
    values = [some_values(row.on(abi)) for row in rows]
    objects = [(title, c_init(value)) for title, value in zip(titles, values, strict=True)]
    prelude = BUILT_IN.replace("typedef __SIZE_TYPE__ size_t;", "") + ORDERED
    prelude += re.sub("#include.*", "", "\n".join(CONDITIONAL.values()))
    quiet = '#pragma clang diagnostic ignored "-Weverything"\n'
    told = compilers.probe(abi, quiet + prelude, questions, objects)
    for title, row, value, image in zip(titles, rows, values, told.images, strict=True):
        layout = row.layout(abi)
        offsets = {name: layout.offsets[name] for name in designators(row.on(abi))}
        assert told.measured[title] == compilers.Measured(layout.size, layout.align, offsets), title
        assert bytes(layout.pack(value)) == image, (title, value)
        assert layout.unpack(image) == layout.unpack(bytes(layout.pack(value)))


def test_bits_of_perf_mem_data_src_keep_their_value_in_both_orders() -> None:
    union = parse(CONDITIONAL["perf_mem_data_src"])["perf_mem_data_src"]
    for abi in ("x86_64", "s390x"):
        assert (
            union.layout(abi).unpack(bytes(union.layout(abi).pack({"val": 0x1F})))["mem_op"] == 31
        )


def test_what_asks_but_does_not_differ_is_a_plain_struct() -> None:
    text = "#ifdef __x86_64__\nstruct s { u8 a; };\n#else\nstruct s { u8 a; };\n#endif"
    assert type(parse(text)["s"]) is Struct


def test_a_struct_that_is_not_there_says_so() -> None:
    text = "#ifdef __s390__\nstruct only { u8 a; };\n#endif\nstruct s { u8 a; };"
    found = parse(text)
    assert type(found["s"]) is Struct
    assert found["only"].layout("s390x").size == 1
    with pytest.raises(KvmvizError, match="struct only is not defined on x86_64, only on s390x"):
        found["only"].layout("x86_64")


def test_an_error_of_some_abis_waits_for_them() -> None:
    text = "#ifndef __LP64__\n#error 64 bits only\n#endif\nstruct s { u8 a; };"
    with pytest.raises(KvmvizError, match=r"^line 2, column 1: #error 64 bits only \(on i386\)$"):
        parse(text)["s"].layout("i386")
    assert parse(text)["s"].layout("x86_64").size == 1


@pytest.mark.parametrize(
    ("members", "abi"),
    [
        ("u8 a; u64 b:50 __aligned(2);", "x86_64"),
        ("u64 a:1; long long b:63 __aligned(4);", "x86_64"),
        ("u64 b:64 __aligned(1);", "i386"),
        ("a2_t b:32;", "x86_64"),
        ("u8 a; a8_t b:5;", "x86_64"),
    ],
)
def test_bit_fields_that_gcc_and_clang_place_differently(members: str, abi: str) -> None:
    text = "typedef u32 a2_t __aligned(2); typedef u32 a8_t __aligned(8);\n"
    found = parse(f"{text} struct s {{ {members} }}; struct t {{ {members} }} __packed;")
    words = rf"^struct s on {abi}, member b: .*gcc and clang place it differently$"
    with pytest.raises(KvmvizError, match=words):
        found["s"].layout(abi)
    assert found["t"].layout(abi).size


def test_the_largest_alignment_is_another_in_gcc_and_clang_on_mips() -> None:
    found = parse("struct s { u8 a; } __attribute__((aligned));")["s"]
    assert found.layout("arm").align == 8
    with pytest.raises(KvmvizError, match="line 1, column 20: 'aligned' without a number: gcc has"):
        found.layout("mips")


def test_a_typedef_aligns_the_struct_that_it_names() -> None:
    found = parse("typedef struct { u32 a, b; } t __aligned(8), u; struct s { u8 a; u b; };")
    assert {found["t"].layout(abi).align for abi in ABIS} == {8}


def test_an_array_of_aligned_words_is_legal_where_they_have_that_size() -> None:
    found = parse("typedef unsigned long t __aligned(8); struct s { t a[2]; };")["s"]
    assert found.layout("x86_64").size == 16
    with pytest.raises(KvmvizError, match="an array of elements smaller than their alignment, 8"):
        found.layout("i386")


def test_a_mark_points_into_a_text_with_any_line_ends() -> None:
    for end in ("\n", "\r\n", "\r"):
        text = f"struct s {{{end}  foo a;{end}}};"
        with pytest.raises(KvmvizError) as caught:
            parse(text)
        assert pasted.pointed(text, f"{caught.value}").endswith("  2 |   foo a;\n    |   ^")


def test_an_abi_of_ones_own_reads_what_its_twin_reads() -> None:
    struct = parse(CONDITIONAL["epoll_event"])["epoll_event"]
    mine = replace(ABIS["x86_64"], name="mine", source="me")
    assert struct.layout(mine).size == 12
    with pytest.raises(KvmvizError, match=r"struct epoll_event differs by ABI.* on odd is not kno"):
        struct.layout(replace(mine, name="odd", max_align=4))


def test_a_struct_that_differs_is_a_value_like_others() -> None:
    first, second = (parse(CONDITIONAL["epoll_event"])["epoll_event"] for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first != parse(CONDITIONAL["iphdr"])["iphdr"]
    assert first != Struct("epoll_event", {"events": "__u32", "data": "__u64"})
    again = pickle.loads(pickle.dumps(first))
    assert again == first
    assert again.layout("x86_64").size == 12
    assert first.widen("events", 64).layout("x86_64").size == 16
    assert list(first.names()) == ["events", "data"]
    with pytest.raises(KvmvizError, match="struct epoll_event differs by ABI; ask"):
        _ = first.members
    outer = Struct("outer", [("a", "__u8"), ("b", Array(first, 2)), Member(None, first)])
    assert outer.layout("x86_64").size == 1 + 3 * 12
    assert outer.layout("aarch64").size == 8 + 3 * 16
    assert outer.layout("x86_64").pack({"events": 1}).layout.size == 37
    assert "differs by ABI" in repr(outer)


def test_the_twin_of_what_differs_says_each_variant() -> None:
    text = "#ifdef __s390__\nstruct s { u8 a; };\n#elif __BITS_PER_LONG == 32\nstruct s { u16 a; };"
    lines = repr(parse(text + "\n#endif")["s"]).splitlines()
    assert lines[0] == "struct s differs by ABI:"
    assert [line for line in lines if line.startswith("on")] == [
        "on i386, arm, armeb, ppc32, m68k, mips, mipsel:",
        "on s390x:",
        "on aarch64, aarch64_be, x86_64, ppc64, ppc64le, riscv64:",
    ]
    assert lines[-1] == "not defined"


SHIFTS = (
    "enum sh_e { S1 = -1 << 2, S2 = (-2147483647 - 1) << 1, S3 = 3 << 31,"
    " S4 = -1 >> 33, S5 = 8u << 32, S6 = -5LL << 61 }; struct sh { u8 a[S1 + 5], b[S2 + 2], c[S3 <"
    " 0 ? 3 : 5], d[S4 + 5], e[S5 + 6], f[S6 == (3LL << 61) ? 2 : 4];\n#if -1 << 2 == -4 && 1 >> 64"
    " == 0\nu8 g[3];\n#else\nu8 g[9];\n#endif\n};"
)


@each_abi
def test_shifts_that_lose_bits_are_the_compilers(abi: str) -> None:
    (told,) = compilers.measure(abi, SHIFTS, [("struct sh", "abcdefg")], compilers.PLAIN).values()
    layout = parse(SHIFTS)["sh"].layout(abi)
    assert (layout.size, layout.offsets) == (told.size, told.offsets)


HEADERS_SAY = {"__BYTE_ORDER", "__BITS_PER_LONG", "__LITTLE_ENDIAN", "__BIG_ENDIAN"}
HEADERS_SAY |= {"__LITTLE_ENDIAN_BITFIELD", "__BIG_ENDIAN_BITFIELD"}
GCC_SAYS = {"__FLOAT_WORD_ORDER__"}
VERSION = {"__GNUC__", "__GNUC_MINOR__", "__GNUC_PATCHLEVEL__"}


@each_abi
def test_predefined_macros_are_the_compilers(abi: str) -> None:
    """Where kvmviz says that a macro is defined, the compiler has it, with that value.

    A macro for a type has that width and that sign: ``long`` or ``int``, names may differ.
    """
    there = compilers.predefined(abi)
    left_out = HEADERS_SAY | (GCC_SAYS if "__clang__" in there else set())
    plain = re.findall(r"#define (\w+) (.+)", types.COMPILER)
    ours = {**dict(plain), **target.macros(ABIS[abi])}
    ours = {name: value for name, value in ours.items() if name not in left_out}
    assert ours.keys() <= there.keys()
    assert not (target.names() - ours.keys() - left_out) & there.keys()
    same = [
        f"sizeof({name}) == sizeof({value}) && (({name})-1 < 0) == (({value})-1 < 0)"
        if name.endswith("_TYPE__")
        else f"({name}) == ({value})"
        for name, value in ours.items()
    ]
    told = compilers.probe(abi, "", (), [("unsigned char", one) for one in same])
    differ = {name for name, image in zip(ours, told.images, strict=True) if image != b"\1"}
    assert differ <= (VERSION if "__clang__" in there else set()) | {"__STDC_HOSTED__"}


GIVEN = {name: text for name, text in types.GIVEN.items() if "#pragma" not in text}
LIBRARY = ("x86_64", "i386", "aarch64_be", "arm", "s390x")
"""ABIs for which the macros of headers are held against those of a C library."""


@pytest.mark.parametrize("abi", LIBRARY)
def test_macros_of_headers_are_the_librarys(abi: str) -> None:
    if abi not in compilers.targets():
        pytest.skip(f"no compiler for {abi}")
    names = sorted(
        {name for text in GIVEN.values() for name in re.findall(r"#define (\w+) ", text)}
        - {"NULL", "alignas", "alignof"}
    )
    include = "".join(f"#include <{header}>\n" for header in GIVEN if header != "linux/time.h")
    values = ", ".join(f"(unsigned long long)({name})" for name in names)
    said = compilers.numbers(abi, include, values)
    text = include + "".join(
        f"struct s{n} {{ char a[(unsigned long long)({name}) == {value}ULL ? 1 : 2]; }};\n"
        for n, (name, value) in enumerate(zip(names, said, strict=True))
    )
    found = [row.layout(abi).size for row in parse(text).values()]
    assert [name for name, size in zip(names, found, strict=True) if size != 1] == []


def test_types_of_headers_are_the_librarys() -> None:
    text = "#include <stddef.h>\n#include <stdint.h>\n#include <linux/posix_types.h>\n"
    names = (
        "wchar_t int_least8_t uint_least16_t int_least64_t intmax_t uintmax_t __kernel_mode_t "
        "__kernel_fsid_t __kernel_suseconds_t __kernel_daddr_t"
    )
    text += "".join(f"struct s{n} {{ char a; {one} b; }};\n" for n, one in enumerate(names.split()))
    found = parse(text)
    for abi in compilers.ZIG_TARGETS:
        sizes = ", ".join(f"sizeof(struct {name})" for name in found)
        if abi in compilers.targets():
            said = compilers.numbers(abi, text, sizes)
            assert [row.layout(abi).size for row in found.values()] == said, abi


# --- headers ---------------------------------------------------------------------------------


def test_headers_come_from_the_caller_only() -> None:
    text = '#include <linux/if.h>\n#include "own.h"\nstruct s { char a[IFNAMSIZ]; struct o b; };'
    headers = {"linux/if.h": "#define IFNAMSIZ 16\n", "own.h": "struct o { u8 a; };"}
    found = parse(text, headers)
    assert list(found) == ["s"], "a header's structs are not the text's"
    assert found["s"].layout("arm").size == 17
    with pytest.raises(KvmvizError, match=r"line 3, column 19: 'IFNAMSIZ' is no .*<linux/if.h>"):
        parse(text)
    with pytest.raises(KvmvizError, match=r"line 3, column 39: 'struct o' is not .*<own.h>"):
        parse(text, {"linux/if.h": headers["linux/if.h"]})


@pytest.mark.parametrize("name", ["a//b.h", "a/*.h", "don't.h", 'a".h', "(x).h", "%:x.h"])
def test_a_headers_name_is_one_word(name: str) -> None:
    text = (
        f"#if __has_include(<{name}>)\n # include <{name}> // x\n#endif\nstruct s {{ u8 a[N]; }};"
    )
    assert parse(text, {name: "#define N 3\n"})["s"].layout("arm").size == 3


def test_a_text_has_a_struct_of_its_own_though_it_cannot_be_read() -> None:
    found = parse(
        "struct sockaddr { foo a; }; struct s { struct sockaddr a; }; struct t { u8 a; };"
    )
    with pytest.raises(KvmvizError, match=r"^line 1, column 56: 'struct sockaddr' is not defined"):
        found["s"].layout("arm")


def test_nothing_is_read_from_disk(tmp_path: Path) -> None:
    (tmp_path / "x.h").write_text("#define N 3\n")
    with pytest.raises(KvmvizError, match="'N' is no integer constant"):
        parse(f'#include "{tmp_path}/x.h"\nstruct s {{ u8 a[N]; }};')


def test_a_header_beside_the_one_that_asks() -> None:
    headers = {"linux/a.h": '#include "b.h"\n', "linux/b.h": "#define N 3\n"}
    assert (
        parse("#include <linux/a.h>\nstruct s { u8 a[N]; };", headers)["s"].layout("arm").size == 3
    )


def test_an_error_in_a_header_points_at_the_directive_and_into_the_header() -> None:
    headers = {"a.h": "\n#include <b.h>", "b.h": "struct t { u8 a b; };"}
    with pytest.raises(
        KvmvizError, match=r"line 2, column 1: <b.h>, line 1, column 16: expected ';'"
    ):
        parse("\n#include <a.h>\nstruct s { struct t a; };", headers)
    assert [*parse("\n#include <a.h>\nstruct s { u8 a; };", headers)] == ["s"]


def test_what_is_not_understood_in_a_header_matters_only_where_it_is_used() -> None:
    headers = {"a.h": "typedef _Float128 ld;\nstruct bad { ld a; };\nstruct good { u8 a; };"}
    assert (
        parse("#include <a.h>\nstruct s { struct good a; };", headers)["s"].layout("arm").size == 1
    )
    with pytest.raises(KvmvizError, match=r"line 2, column 23: 'struct bad' is not .*<a.h>, line "):
        parse("#include <a.h>\nstruct s { struct bad a; };", headers)


def test_include_next_goes_behind_the_headers_that_are_given() -> None:
    headers = {"limits.h": "#include_next <limits.h>\n#define MY_MAX 3\n"}
    text = "#include <limits.h>\nstruct s { u8 a[MY_MAX], b[-SCHAR_MIN], c[USHRT_MAX], d; };"
    assert parse(text, headers)["s"].layout("mips").offsets["d"] == 3 + 128 + 65535
    with pytest.raises(KvmvizError, match=r"'N' is no integer .*it may be in <a.h>"):
        parse("#include <a.h>\nstruct s { u8 a[N]; };", {"a.h": "#include_next <a.h>\n"})


def test_headers_that_include_themselves_end() -> None:
    assert parse("#include <a.h>\nstruct s { u8 a; };", {"a.h": "#pragma once\n"})
    for headers in (
        {"a.h": "#include <a.h>\n"},
        {"a.h": "#include <b.h>", "b.h": "#include <a.h>"},
    ):
        with pytest.raises(KvmvizError, match="more than 63 headers that include each other"):
            parse("#include <a.h>\nstruct s { u8 a; };", headers)
    many = {
        "a.h": "#include <b.h>\n" * 100,
        "b.h": "#include <c.h>\n" * 100,
        "c.h": "int f(void);\n",
    }
    with pytest.raises(KvmvizError, match=r"^line 1, column 1: .*more than 5000 headers"):
        parse("#include <a.h>\nstruct s { u8 a; };", many)


class Folder(dict[str, str]):
    """Headers that are read when they are asked for: nobody counts them, nobody lists them."""

    def __len__(self) -> int:
        raise AssertionError

    def __iter__(self) -> Iterator[str]:
        raise AssertionError


def test_headers_may_be_read_when_they_are_asked_for() -> None:
    found = parse("#include <a.h>\nstruct s { u8 a[N]; };", Folder({"a.h": "#define N 3\n"}))
    assert found["s"].layout("arm").size == 3


@pytest.mark.parametrize(
    ("defines", "size"),
    [
        ({"X": "1"}, 8),
        ({"X": "0"}, 2),
        ({"X": ""}, 2),
        ({"X": None}, 1),
        ({"F(x)": "x * 2", "X": "F(0) + 1"}, 8),
    ],
)
def test_macros_may_be_given(defines: dict[str, str | None], size: int) -> None:
    text = "struct s {\n#if X + 0\nu64 a;\n#elif defined(X)\nu16 a;\n#else\nu8 a;\n#endif\n};"
    assert parse(text, None, defines)["s"].layout("arm").size == size


BAD_DEFINES: list[tuple[Any, str]] = [
    (["X"], "defines map names, not a list"),
    ({"X": "1\n2"}, "defines: 'X': '1\\n2' are no name and text of a line"),
    ({3: "a"}, "defines: 3: 'a' are no name"),
    ({"X": 3}, "defines: 'X': 3 are no name"),
    ({"X": 10**5000}, "defines: 'X': an integer of 16610 bits are no name"),
    ({"3": "4"}, "line 1, column 1: <defines>, line 1, column 1: '#define 3 4' names no macro"),
]


@pytest.mark.parametrize(("defines", "message"), BAD_DEFINES)
def test_macros_that_are_given_are_names_with_a_text(defines: Any, message: str) -> None:
    with pytest.raises(KvmvizError) as caught:
        parse("struct s { u8 a; };", None, defines)
    assert f"{caught.value}".startswith(message)


@pytest.mark.parametrize("headers", [["a.h"], {"a.h": b"x"}, {"a.h": None}])
def test_headers_map_names_to_texts(headers: Any) -> None:
    with pytest.raises(KvmvizError, match=r"headers map names to texts|C text is a str, not"):
        parse("#include <a.h>\nstruct s { u8 a; };", headers)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("#define S(t, n) t n;\nstruct s { S(u8, a) S(u16, b) };", 4),
        ("#define C(a, b) a##b\nstruct C(s, ) { u8 C(x, 1)[C(1, 2)]; };", 12),
        ("#define V(f, ...) u8 f, ##__VA_ARGS__;\nstruct s { V(a) V(b, c, d) };", 4),
        ("#define N(m...) m\nstruct s { N(u8 a, b; u8 c;) };", 3),
        ("#define E() 3\nstruct s { u8 a[E()]; };", 3),
        ("#define f(x) x\nstruct s { u8 f; };", 1),
        ("#define A B\n#undef A\nstruct s { u8 A; };", 1),
        ("#if 0\nit's \"broken\n#bogus\n#endif\nstruct s { u8 a; };", 1),
        ("#if __GNUC__ > 3 && !defined(__KERNEL__) && !defined __cplusplus\n"
         "struct s { u8 a; };\n#endif", 1),
        ("#if 0 && (1 / 0)\n#elif 'a' == 97\nstruct s { u8 a; };\n#endif", 1),
        ('extern "C" {\nstruct s { u8 a; };\nextern "C++" { int f(struct s *); }\n}', 1),
        ('extern "C" int f(int); extern "C" struct s { u8 a; } *x;', 1),
        ("#ifdef __cplusplus\nextern \"C\" {\n#endif\nstruct s { u8 a; };", 1),
        ("static __inline__ int f(struct s *p)\n{\n if (p) { return 1; }\n return 0;\n}\n"
         "extern int g(void) __attribute__((nothrow)); struct s { u8 a; }; int *h(struct s);", 1),
        ("#define _IOWR(a, b, c) 0\n#define X _IOWR('k', 1, struct x)\nstruct s { u8 a; };", 1),
        ("#define API __attribute__((aligned(8)))\nstruct s { u8 a API; };", 8),
        ("struct s { u8 a; u8 b __attribute__((aligned(sizeof(u32)))); };", 8),
        ("struct s { };", 0),
        ("struct s { u8 a; }; static inline struct s *f(void) { return 0; }", 1),
        ("struct s { u8 a[sizeof 1ULL]; };", 8),
        ("struct s { u8 a[" + "sizeof " * 500 + "1]; };", 8),
        ("struct s { u8 a[" + "sizeof -" * 500 + "1]; };", 8),
        ("typedef struct { u64 a; } t __aligned(1); struct s { u8 a; t b; };", 9),
        ("struct s { u8 a; } __aligned(8) __aligned(16);", 16),
        ("struct s { struct { } a; u8 b; struct { } c[3]; };", 1),
        ("struct s { u64 :64; u64 :64; } __attribute__((aligned(8)));", 16),
        ("struct s { u32 n; u8 a[] __counted_by(n); };", 4),
        ("struct s { u32 n; u8 a[] __attribute__((counted_by(n))); };", 4),
        ("enum e { A = 0xffffffffffffffff }; struct s { enum e a; };", 8),
        ("enum e { A, B } __packed; struct s { enum e a; };", 1),
        ("struct s { struct __kernel_sockaddr_storage a; };", 128),
        ("struct s { struct sockaddr a; struct in6_addr b; struct in_addr c; };", 36),
        ("typedef struct t { u64 a; u64 b; } t16 __attribute__((aligned(16))); "
         "struct s { u8 a; t16 b; };", 32),
        ("typedef unsigned short u32; struct s { u32 a; };", 2),
        ("#define __packed\nstruct s { u8 a; u16 b; } __packed;", 4),
        ("struct s { u8 a\\\nb; };", 1),
        ("struct s { u8 a; ; };", 1),
        ("typedef struct { u8 a; u32 b; } t __packed; struct s { u8 a; t b; };", 12),
        ("typedef int t __packed; struct s { u8 a; t b; };", 8),
        ("typedef u32 t[4] __aligned(16); struct s { u8 a; t b[2]; u8 c; };", 64),
        ("typedef u32 t[4] __aligned(2); struct s { u8 a; t b; };", 18),
        ("typedef u32 t[4] __aligned(16); struct s { u8 a; t b; } __packed;", 17),
        ("typedef struct { u32 a; } t[3] __aligned(16); struct s { u8 a; t b; u8 c; };", 32),
        ("struct [[gnu::packed]] s { u8 a; u32 b; };", 5),
        ("struct s { u8 a; u32 b [[gnu::packed]], c; };", 12),
        ("struct s { u8 a; [[gnu::aligned(8)]] u32 b; };", 16),
        ("struct [[deprecated(\"no\")]] s { [[maybe_unused]] u8 a; };", 1),
        ("[[nodiscard]] int f(void); struct s { u8 a; };", 1),
        ("enum e : unsigned char { A, B }; struct s { enum e a; u16 b; };", 4),
        ("enum e : long; struct s { enum e a; };", 8),
        ("enum : u8 { A = 200 }; struct s { u8 a[A << 1]; };", 400),
        ("enum e : long { A = 1 }; struct s { u8 a[sizeof(A)]; };", 8),
        ("_Static_assert(sizeof(int) == 4, \"int\"); struct s { u8 a; };", 1),
        ("struct s { u8 a['a' - 95]; };", 2),
        ("// one\rstruct s {\r#define N 2\r u8 a[N]; // two\r u8 b; };", 3),
        ("\ufeffstruct s { u8 a; };", 1),
        ('# 1 "x.h" 1 3\nstruct s { u8 a; };', 1),
        ("struct s <% u8 a<:3:>; %>;\n%:define N", 3),
        ("struct s { u8 alignas, noreturn[sizeof(u16)]; };", 3),
        ("struct s { u8 a; u32 b; } __packed x, *y;", 5),
        ("static struct s { u8 a; } x = { 1 }; int z[3] = { 1 }; enum e { A } f;", 1),
        ("#define HAS(x) defined(x)\n#if !HAS(__KERNEL__)\nstruct s { u8 a; };\n#endif", 1),
        ('_Pragma("GCC diagnostic push") struct s { u8 a; };', 1),
        ("#pragma GCC diagnostic push\n#pragma STDC FP_CONTRACT ON\nstruct s { u8 a; };", 1),
    ],
)  # fmt: skip
def test_the_preprocessor_and_gnu_c(text: str, size: int) -> None:
    assert parse(text)["s"].layout("x86_64").size == size


# --- limits ----------------------------------------------------------------------------------

CHAIN = "".join(f"#define M{i} M{i + 1}\n" for i in range(1000)) + "#define M1000 1\n"
DOUBLING = "".join(f"#define M{i} M{i + 1}+M{i + 1}\n" for i in range(60)) + "#define M60 1\n"
NESTED = "struct t0 { u8 a; };\n" + "".join(
    f"{word} t{i} {{ {word} t{i - 1} a, b; }};\n" for i in range(1, 70) for word in ("union",)
).replace("union t0 a", "struct t0 a", 1)
ARCHITECTURES = ("__x86_64__", "__i386__", "__arm__", "__aarch64__", "__s390__", "__mips__")
LIMITS: list[tuple[str, str]] = [
    ("struct s { u8 a; };\n" * (MAX_TEXT // 20 + 1), "/sys/kernel/btf/vmlinux or the"),
    ("a" * 10_000_000, "the text goes on here; legal are"),
    ("struct s { struct {" * 10_000, f"more than {MAX_DEPTH} brackets inside each other"),
    ("struct s { u8 a[" + "(" * 1000, f"more than {MAX_DEPTH} brackets inside each other"),
    ("struct s { u8 a[" + "1+" * 20_000 + "1]; };", f"more than {MAX_WORDS} words"),
    ("struct s { u8 a[" + "1+" * 50_000 + "1]; };", f"more than {MAX_WORDS} words"),
    ("struct s { u8 a" + "[1]" * 10_000 + "; };", f"more than {MAX_DEPTH} types inside each other"),
    (CHAIN + "struct s { u8 a[M0]; };", f"more than {MAX_DEPTH} macros in a row"),
    (DOUBLING + "struct s { u8 a[M0]; };", f"more than {MAX_TOKENS} words and signs, macros put"),
    (DOUBLING.replace("+", " ").replace("M60 1", "M60 ;") + "M0", f"more than {MAX_TOKENS} words"),
    ("#define M " + "1+" * 300_000 + "1\nstruct s { u8 a[M]; };", f"more than {MAX_TOKENS}"),
    (NESTED, f"more than {MAX_BYTES} bytes of members"),
    ("".join(f"struct t{i} {{ struct t{i - 1} a; }};\n" for i in range(1, 70)).replace(
        "struct t0 a", "u8 a", 1), f"more than {MAX_DEPTH} types inside each other"),
    ("struct s { struct { } x[1048576][1048576]; int b; };", "an array of 1048576 elements"),
    ("struct a0 { u8 x[0]; };" + "".join(
        f"struct a{i} {{ struct a{i - 1} p, q; }};" for i in range(1, 60)
    ), f"more than {MAX_BYTES} bytes of members"),
    ("int x = " + "( ) " * 20_000 + ";", "the text defines no struct"),
    ("struct s { u8 a[1 << 20], b; };", f"more than {MAX_BYTES} bytes of members"),
    ("\n /*" * 100_000, "/* is never closed"),
    ("struct s { u8 " + ", ".join(f"a{i}[1 << 20]" for i in range(5000)) + "; };", "bytes of"),
    ("#ifndef A\n#define A\n" * 20_000, "'#ifndef A' is never closed"),
    ("".join(f"#ifndef A{i}\n#define A{i}\n" for i in range(20_000)), "is never closed"),
    ("struct s { " + "u8 a;" * 70_000 + "};", f"more than {MAX_TOKENS} words and signs"),
    ("#define F(x) x x\nstruct s { u8 " + "F(" * 60 + "a" + ")" * 60 + "; };", "words and signs"),
    ("#define F(x) x\nstruct s { u8 " + "F(" * 5000 + "a" + ")" * 5000 + "; };", "in a row"),
    ("#if " + "(" * 5000 + "1" + ")" * 5000 + "\n#endif\n", "this condition cannot be computed"),
    ("#if " + "-" * 4000 + "1\n#endif\n", "this condition cannot be computed"),
    ("".join(f"#ifdef {m}\nstruct t{m} {{ u8 a; }};\n#endif\n" for m in ARCHITECTURES)
     + "struct s {" + "".join(f"u8 a{i};" for i in range(30_000)) + "};", "read anew for"),
    ("#if 1 << 99999999999\n#endif\n", "this condition cannot be computed"),
    ("enum { " + ", ".join(f"E{i} = 1 << {i}" for i in range(40)) + " };", "cannot be computed"),
    # deep without brackets
    ("struct s { u8 " + "*" * 15_000 + "; };", "expected a name after '*'"),
    ("#define S " + "*" * 15_000 + "\nstruct s { u8 S; };", "expected a name after 'S'"),
    ("()" * 15_000, "expected a type, not '('"),
    ("int " + "[]" * 20_000 + ";", "expected a name after 'int'"),
    ("struct s { u8 a[" + "-" * 40_000 + "]; };", "expected an expression after '['"),
    ("typedef int " + "*" * 40_000 + ";", "expected a name after '*'"),
    ("enum e { A=" + "-" * 40_000 + "};", "expected an expression after '='"),
    ("if(a)" * 10_000, "expected a type, not 'if'"),
    ("sizeof " * 60_000 + ";", "expected a type, not 'sizeof'"),
    ("struct s { u8 a[" + "sizeof " * 5000 + "1]; };", f"more than {MAX_WORDS} words"),
    ("struct s { u8 a[" + "sizeof(u8[" * 5000 + "1" + "])" * 5000 + "]; };",
     f"more than {MAX_DEPTH} brackets inside each other"),
    ("(int)" * 10_000 + ";", "expected a type, not '('"),
    ("a:" * 20_000, "expected a name after 'a'"),
    # characters
    ('"' + '\\"' * 320_000, f"a word of more than {MAX_WORD} characters"),
    ("'" + "\\'" * 2_000, "' is never closed"),
    ("#define S(x) #x\n#define T(x) S(x)\nstruct s { u8 " + "T(" * 27 + '"a"' + ")" * 27 + "; };",
     f"'#' makes a word of more than {MAX_WORD} characters"),
    ("#define A " + "x" * 500_000 + "\nstruct s { u8 a; };", f"word of more than {MAX_WORD} char"),
    ("#define A " + "x" * 4000 + "\nstruct s { u8 " + "A," * 90_000 + "a; };",
     f"more than {MAX_TOKENS} words and signs, macros put in"),
    ("#define T(x) #x\n#define A " + "x" * 4000 + "\nstruct s { u8 " + "T(A)," * 2000 + "; };", ""),
    ("#define P(x) x##x\nstruct s { u8 " + f"P({'x' * 2000})," * 400 + "a; };", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), LIMITS, ids=range(len(LIMITS)))
def test_limits_are_errors_with_a_place(text: str, message: str) -> None:
    with pytest.raises(KvmvizError, match=r"^line \d+, column \d+: ") as caught:
        _ = [struct.layout("arm") for struct in parse(text).values()]
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


REPEATED = [
    "#define A 1\n" * 40_000,
    "#ifndef B\n#define B\n" + "#define A 1\n" * 40_000 + "#endif\n",
    "#define A " + "1 " * 40_000,
]


@pytest.mark.parametrize("header", REPEATED, ids=range(len(REPEATED)))
def test_directives_are_counted_as_often_as_they_are_read(header: str) -> None:
    with pytest.raises(KvmvizError, match=r"^line 1, column 1: <b.h>, .* words and signs, mac"):
        parse('#include "b.h"\n' * 4900 + "struct s { u8 a; };", {"b.h": header})


@pytest.mark.parametrize(
    "text",
    [
        "struct s { u8 a[" + "9" * 4000 + "]; };",
        "struct s { u8 a[" + "9+" * 2000 + "x]; };",
        "struct s { " + "x" * 4000 + " a; };",
        "struct s { struct " + "x" * 4000 + " a; };",
        "struct s { u8 a; }; struct s { u8 " + "x" * 4000 + "; };",
        "#include <" + "x" * 4000 + ">\nstruct s { foo a; };",
        "#if " + "(" * 4000 + "x" * 4000 + "\n#endif",
        "#define " + "x" * 4000 + "(a) 1\nstruct s { u8 a[" + "x" * 4000 + "()()]; };",
    ],
)
def test_messages_are_short(text: str) -> None:
    with pytest.raises(KvmvizError) as caught:
        parse(text)
    assert len(str(caught.value)) < 300


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


JUNK = (
    "__has_include(<",
    *("0x ", "a ", "a(", "& \\\n > ) ", "unsigned -> ", "* ", "sizeof ; ", "= ; ( [ ] ) "),
    *("( volatile ) asm [ ] = ; ", "switch { } ; restrict ; ! { } ", "- ++ ~ / asm ; "),
)


@pytest.mark.parametrize("junk", JUNK)
def test_what_would_take_long_is_stopped(junk: str) -> None:
    """Without a stop, some of it takes hours."""
    text = "struct s { u8 a; };\n" + junk * (190_000 // len(junk.split()))
    assert ends_well(text[: MAX_TEXT - 100])


def test_a_large_header_is_read_whole() -> None:
    rows = range(10_000)
    found = parse("".join(f"struct s{i} {{ u32 a; u64 b[{i + 1}]; }};\n" for i in rows))
    assert list(found) == [f"s{i}" for i in rows]
    assert found["s9999"].layout("i386").size == 4 + 8 * 10_000


# --- fuzz ------------------------------------------------------------------------------------

VOCABULARY = """
struct union typedef enum const volatile unsigned signed char short int long u8 __u32 foo s a b
{ } ( ) [ ] ; , : * = + - << / 0 1 3 08 0x10u 1.5 ... . -> # \\ " ' /* */ // __attribute__ <a.h>
__extension__ sizeof static _Atomic enum void * :3 __packed __attribute__((packed)) __aligned(8)
__struct_group(a,b,, __DECLARE_FLEX_ARRAY(u8, long bool [] :0
#define #ifndef #ifdef #else #endif #include #pragma
"""
LINES = (
    "\n",
    "\n#define a 3\n",
    "struct s {",
    "};",
    "u8 a;",
    "[2]",
    "\0",
    "é",
    "\n#pragma pack(2)\n",
    "enum e { A, B }",
)
WORDS = st.sampled_from([*VOCABULARY.split(), *LINES])
VALID = "\n".join([*CASES.values(), *WIDER.values()])


def ends_well(text: str) -> bool:
    """Structs that can be laid out come of it, or an error that has a place in the text."""
    found, message = {}, ""
    try:
        found = parse(text)
    except KvmvizError as error:
        message = str(error)
    if found:
        for struct in found.values():
            # What depends on the ABI is known with the ABI only: 40 bits of a long.
            with contextlib.suppress(KvmvizError):
                assert struct.layout("m68k").size >= 0
        return True
    place = re.match(r"line (\d+), column \d+: .", message)
    return place is not None and 1 <= int(place[1]) <= len(LINE_END.split(text))


@steady
@given(st.text())
def test_any_text(text: str) -> None:
    assert ends_well(text)


@steady
@given(st.lists(WORDS, max_size=60), st.sampled_from(["", " "]))
def test_any_words(words: list[str], between: str) -> None:
    assert ends_well(between.join(words))


@steady
@given(
    st.sampled_from([*CASES.values(), *WIDER.values()]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), st.one_of(WORDS, st.just("")))),
)
def test_any_change_of_a_text_that_is_read(
    text: str, changes: list[tuple[float, int, str]]
) -> None:
    for place, length, words in changes:
        at = int(place * len(text))
        text = text[:at] + words + text[at + length :]
    assert ends_well(text)


def test_every_text_cut_short() -> None:
    for end in range(0, len(VALID), 101):
        assert ends_well(VALID[:end])


@pytest.mark.parametrize(
    "text", ["struct s {\n u8 sizeof(long) [2];\n};", "struct s {\n u8 int;\n};"]
)
def test_a_member_is_not_named_by_a_keyword(text: str) -> None:
    with pytest.raises(KvmvizError, match=r"^line 2, column \d+: '\w+' is a keyword"):
        parse(text)


def test_parsing_leaves_nothing_behind() -> None:
    """As many objects after ten more parses as before, and hardly more bytes."""
    text = "\n".join(CASES.values())
    for _ in range(2):
        parse(text)
    gc.collect()
    tracemalloc.start()
    try:
        parse(text)
        gc.collect()
        before, objects = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
        for _ in range(10):
            parse(text)
        gc.collect()
        after, more = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
    finally:
        tracemalloc.stop()
    assert more - objects < 100
    assert after - before < 50_000


def test_a_constant_is_refused_on_the_abis_on_which_compilers_differ() -> None:
    # To clang A is as wide as its enum. -128 is as large to both, 128 is not.
    text = r"""enum e { A = 8, B = 0x100000000 };
    struct s { char a[((1 ? '\x80' : A) >= -0x7fffffffL - 1) + 1]; };"""
    made = parse(text)["s"]
    for abi in ("i386", "mips", "m68k"):
        assert made.layout(abi).size == 2
    for abi in ("arm", "ppc32", "aarch64"):
        with pytest.raises(KvmvizError, match="gcc and clang differ in the type of a constant"):
            made.layout(abi)


@pytest.mark.parametrize("abi", compilers.every_abi())
def test_pack_without_brackets_is_passed_over(abi: str) -> None:
    text = "#pragma pack(2)\n#pragma pack\n#pragma pack 1)\nstruct q { u8 a; u32 b; };"
    made = parse(text)["q"].layout(abi)
    ours = compilers.Measured(made.size, made.align, {"b": made.offsets["b"]})
    question = compilers.Question(text, "struct q", ("b",))
    assert compilers.judged(compilers.targets()[abi], [question]) == [ours]
