"""Headers that are not given, and macros that nobody defines: a right answer or a clear error."""

from __future__ import annotations

import pytest

from kvmviz import KvmvizError, Struct, parse
from kvmviz.c.parse import read

S = "struct s { unsigned a; };\n"
BITS = "struct s {\n{}\nunsigned char a:2, b:6;\n#else\nunsigned char b:6, a:2;\n#endif\n};"
SOME = "struct s { unsigned a;\n{}\nunsigned b;\n#endif\n};"
OTHER = S + "{}\nstruct t { unsigned a; };\n#endif\n"

DOUBTFUL: list[tuple[str, str]] = [
    # text, what its error names: the macro and its place, the headers that are not given
    (BITS.replace("{}", "#if G_BYTE_ORDER == G_LITTLE_ENDIAN"), "line 2, column 1: 'G_BYTE_ORDER'"),
    (BITS.replace("{}", "#if RTE_BYTE_ORDER == RTE_BIG_ENDIAN"), "line 2, column 1: 'RTE_BYTE_"),
    (BITS.replace("{}", "#if SDL_BYTEORDER == SDL_BIG_ENDIAN"), "line 2, column 1: 'SDL_BYTEORDER"),
    (BITS.replace("{}", "#if Q_BYTE_ORDER == Q_BIG_ENDIAN"), "line 2, column 1: 'Q_BYTE_ORDER'"),
    (BITS.replace("{}", "#if _BYTE_ORDER == _LITTLE_ENDIAN"), "line 2, column 1: '_BYTE_ORDER'"),
    (BITS.replace("{}", "#if BYTE_ORDER == LITTLE_ENDIAN"), "line 2, column 1: 'BYTE_ORDER'"),
    (BITS.replace("{}", "#ifdef WORDS_BIGENDIAN"), "line 2, column 1: 'WORDS_BIGENDIAN'"),
    (BITS.replace("{}", "#ifdef CONFIG_CPU_BIG_ENDIAN"), "line 2, column 1: 'CONFIG_CPU_BIG_"),
    (BITS.replace("{}", "#if defined(X) && X"), "line 2, column 1: 'X' is no macro here"),
    ("#include <x.h>\n" + SOME.replace("{}", "#ifdef X"),
     "line 3, column 1: 'X' is no macro here; it "
     "may be in <x.h>: give it (--include x.h=FILE; in Python headers={'x.h': text}), or -D X[=VA"
     "LUE]"),
    (SOME.replace("{}", "#if !defined(X)"), "line 2, column 1: 'X'"),
    (SOME.replace("{}", "#if X > 3"), "line 2, column 1: 'X'"),
    (SOME.replace("{}", "#if 8 / X"), "line 2, column 1: 'X'"),
    (SOME.replace("{}", "#if X ? 0 : 1"), "line 2, column 1: 'X'"),
    (SOME.replace("{}", "#ifndef X"), "line 2, column 1: 'X'"),
    (SOME.replace("{}", "#if VERSION >= MAKE(5, 10)"), "line 2, column 1: 'VERSION' and 'MAKE' ar"),
    (SOME.replace("{}", "#if __has_include(\"x.h\")"), "line 2, column 1: '__has_include(<x.h>)'"),
    (SOME.replace("{}", "#if 0\n#elif X"), "line 3, column 1: 'X'"),
    (SOME.replace("{}", "#ifdef X\n#else"), "line 2, column 1: 'X'"),
    (SOME.replace("{}", "#ifdef X\n#ifdef __KERNEL__\n#endif"), "line 2, column 1: 'X'"),
    ("struct s { int a;\n#ifdef X\nint b;\n#endif\n#if Y\nint c;\n#endif\n};", "line 2, column 1: "
     "'X' is no macro here; give -D X[=VALUE] or -U X; not known here either: Y"),
    # macros, types and constants on which a struct hangs
    ("#ifdef X\n#define N 4\n#else\n#define N 8\n#endif\nstruct s { char a[N]; };", "line 1, colu"),
    ("#ifdef X\n#define N 4\n#endif\nstruct s { char a[N]; };", "line 1, column 1: 'X' is no "),
    ("#define N 4\n#ifdef X\n#undef N\n#define N 8\n#endif\nstruct s { char a[N]; };", "line 2, c"),
    ("#include <x.h>\n#ifndef N\n#define N 4\n#endif\nstruct s { char a[N]; };", "line 2, column "),
    ("#ifdef X\n#define P __attribute__((packed))\n#else\n#define P\n#endif\nstruct P s { int a; "
     "};",
     "line 1, column 1: 'X'"),
    ("#ifdef X\n#define N 4\n#else\n#define N 8\n#endif\n" + SOME.replace("{}", "#if N > 4"), "li"),
    ("#ifdef X\n#define N 4\n#endif\n" + SOME.replace("{}", "#ifdef N"), "line 1, column 1: 'X'"),
    ("#ifdef X\n#define A(x) x\n#else\n#define A(x) x int b;\n#endif\nstruct s { int A(c;) };", ""),
    ("#ifdef X\ntypedef long t;\n#else\ntypedef int t;\n#endif\nstruct s { t a; };",
     "line 6, column 14: 't' is not defined before this place; line 1, column 1: 'X' is no macro"),
    ("#ifdef X\ntypedef long t;\n#endif\nstruct s { t a; };", "line 4, column 12: unknown type 't"),
    ("#ifdef X\ntypedef long uint32_t;\n#else\ntypedef short uint32_t;\n#endif\n"
     "struct s { uint32_t a; };", "line 6, column 21: 'uint32_t' is not defined before"),
    ("#ifdef X\ntypedef long pid_t;\n#else\ntypedef short pid_t;\n#endif\nstruct s { pid_t a; };",
     "line 6, column 18: 'pid_t' is not defined before"),
    ("#ifdef X\ntypedef long pid_t;\n#else\ntypedef short pid_t;\n#endif\nstruct s { char a["
     "sizeof(pid_t)]; };", "line 6, column 19: 'pid_t' has no known size here"),
    ("#ifdef X\nenum { N = 1 };\n#else\nenum { N = 2 };\n#endif\nstruct s { char a[N]; };", "line"),
    ("#ifdef X\nstruct t { int a; };\n#else\nstruct t { char a; };\n#endif\nstruct s { struct t a"
     "; };",
     "line 1, column 1: 'X'"),
    ("#ifdef X\nstruct t { int a; };\n#else\nstruct t { char a; };\n#endif\n"
     "struct s { char a[sizeof(struct t)]; };", "line 1, column 1: 'X'"),
    ("enum {\n#ifdef X\nA,\n#endif\nN };\nstruct s { char a[N]; };", "line 6, column 19: 'N' is n"),
    # packing, members and structs that stand in headers
    ("#include <on_pack1.h>\n" + S, "line 1, column 1: <on_pack1.h> is not given, and may change "),
    ("#include \"x.h\"\n#include \"x.h\"\n" + S, "line 2, column 1: <x.h> is not given"),
    ("#ifdef X\n#pragma pack(1)\n#endif\n" + S, "line 1, column 1: 'X'"),
    ("#ifndef X\n#pragma pack(1)\n#endif\n" + S, "line 1, column 1: 'X'"),
    ("PROJ_PACK_PUSH;\n" + S, "line 1, column 1: 'PROJ_PACK_PUSH' is no macro here"),
    ("struct s { int a;\n#include <x.h>\nint b; };", "line 2, column 1: <x.h> is not given, and m"),
    ("#ifdef X\n" + S + "#endif\n", "line 1, column 1: 'X'"),
    ("#ifndef X\n" + S + "#endif\n", "line 1, column 1: 'X'"),
    # macros that nobody defines, all of a text in one go
    ("struct s { PTR(int, a); };", "line 1, column 12: 'PTR' is no macro here; give -D PTR[=VALUE"),
    ("struct P_BEGIN s { int a:2; };", "line 1, column 8: 'P_BEGIN' is no macro here"),
    ("struct P_BEGIN s { int a; LIST(b); } P_END;",
     "line 1, column 8: 'P_BEGIN' is no macro here; give "
     "-D P_BEGIN[=VALUE]; not known here either: LIST, P_END"),
    ("struct s P_AFTER(1) { int a; };", "line 1, column 10: 'P_AFTER' is no macro here"),
    ("typedef struct PROJ_PACKED { char a; int b; } s;", "line 1, column 16: 'PROJ_PACKED' is no "),
    ("struct s { __IO int a; __I int b; };\nstruct t { __O int c; };",
     "line 1, column 12: '__IO' is no "
     "macro here; give -D __IO[=VALUE]; not known here either: __I, __O"),
    ("struct s { int P_CPU *a; };", "line 1, column 16: 'P_CPU' is no macro here"),
    ("struct s { int a P_LAST; };", "line 1, column 18: 'P_LAST' is no macro here"),
    ("X_BEGIN_DECLS\nstruct s { int a; };\nX_END_DECLS", "line 1, column 1: 'X_BEGIN_DECLS' is no"),
    ("struct s { int a[N1]; int b[N2 + N3]; };",
     "line 1, column 18: 'N1' is no integer constant of this"
     " text; give -D N1[=VALUE]; not known here either: N2"),
    ("enum e { A = F(1), B = G(2) }; struct s { enum e a; };",
     "line 1, column 50: 'enum e' is not defin"
     "ed before this place; line 1, column 14: 'F' is no integer constant of this text; give -D F"
     "[=VAL"
     "UE]; not known here either: G"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), DOUBTFUL, ids=range(len(DOUBTFUL)))
def test_what_may_change_a_struct_is_an_error(text: str, message: str) -> None:
    with pytest.raises(KvmvizError) as caught:
        parse(text)["s"].layout("x86_64")
    assert f"{caught.value}".startswith(message)
    # In a text with a struct on which it has no bearing, it waits until somebody asks.
    found = parse(f"struct apart {{ char a; }};\n{text}")
    assert found["apart"].layout("x86_64").size == 1
    with pytest.raises(KvmvizError):
        found["s"].layout("x86_64")


SURE: list[tuple[str, int]] = [
    # text, size of struct s
    (SOME.replace("{}", "#ifdef __KERNEL__"), 4),
    (SOME.replace("{}", "#ifdef __cplusplus"), 4),
    (SOME.replace("{}", "#if defined(_WIN32) || defined(_MSC_VER)"), 4),
    (SOME.replace("{}", "#ifdef _GNU_SOURCE"), 4),
    (SOME.replace("{}", "#ifndef _LINUX_X_H"), 8),
    (SOME.replace("{}", "#if __STDC_VERSION__ >= 201112L"), 8),
    (SOME.replace("{}", "#if defined(__GLIBC__) && __GLIBC__ > 1"), 4),
    (SOME.replace("{}", "#if __clang_major__ > 3"), 4),
    (SOME.replace("{}", "#if IS_ENABLED(CONFIG_X)"), 4),
    ("#define CONFIG_X 1\n" + SOME.replace("{}", "#if IS_ENABLED(CONFIG_X)"), 8),
    (SOME.replace("{}", "#if 0 && X"), 4),
    (SOME.replace("{}", "#if X && 0"), 4),
    (SOME.replace("{}", "#if 1 || X == Y"), 8),
    (SOME.replace("{}", "#if defined(X) || 1"), 8),
    ("#undef X\n" + SOME.replace("{}", "#ifdef X"), 4),
    ("#define X\n" + SOME.replace("{}", "#ifdef X"), 8),
    ("#ifndef X_ONCE\n#define X_ONCE\n" + S + "#endif\n", 4),
    ("#include <x.h>\n#ifndef X_ONCE\n#define X_ONCE\n#include <y.h>\n" + S + "#endif\n", 4),
    ("#include <x.h>\n#if !defined(X_ONCE)\n#define X_ONCE\n" + S + "#endif\n", 4),
    ("#ifndef N\n#define N 4\n#endif\nstruct s { char a[N]; };", 4),
    ("#ifdef X\n#define N 4\n#endif\n#define N 3\nstruct s { char a[N]; };", 3),
    ("#ifdef X\ntypedef unsigned int uint32_t;\n#endif\nstruct s { uint32_t a; };", 4),
    ("#ifdef X\nstruct t { int a; };\n#endif\nstruct s { struct t *a; };", 8),
    ("#ifdef X\ntypedef struct { int a; } t;\n#else\ntypedef struct { char a; } t;\n#endif\n"
     "struct s { t *a; };", 8),
    ("#ifdef X\n#include <a.h>\n#error no\n#endif\n" + S, 4),
    ("#ifndef X\n#error no\n#endif\n" + S, 4),
    ("#ifdef X\nint f(void)\n{\n#ifdef Y\nreturn 1;\n#endif\n}\n#endif\n" + S, 4),
    ("int f(void) {\n#ifdef X\nstruct s { char a; };\n#endif\n}\n" + S, 4),
    ("#include <pshpack1.h>\nstruct s { char a; int b; };\n#include <poppack.h>\n", 5),
    ("#include <pack_on.h>\nstruct t { char a; };\n#include <pack_off.h>\n" + S, 4),
    ("#pragma pack(push, 1)\n#ifdef X\n#pragma pack(2)\n#endif\n#pragma pack(pop)\n" + S, 4),
    ("#include <linux/if_packet.h>\n" + S, 4),
    (S + "PROJ_ASSERT_SIZE(s, 4);\n", 4),
    (S + "enum { CMD = _IOWR('x', 1, struct s) };\n", 4),
    ("struct t { PTR(int, a); };\n" + S, 4),
    ("typedef __builtin_va_list va_list;\nint v(const char *, va_list);\n" + S, 4),
    ("extern int f(void) __attribute__((__nothrow__, __leaf__));\n" + S, 4),
    (S + "static inline struct s make(void) { struct s a = { 0 }; return a; }\n", 4),
    (S + "struct s make(struct s *a) { return *a; }\n", 4),
    ("extern long double f(_Float128, foo_t);\n" + S, 4),
    ("__BEGIN_DECLS\n#include <linux/types.h>\nstruct s { __u32 a; };\n__END_DECLS\n", 4),
    ("struct s { struct_group(h, char x; int z;); DECLARE_BITMAP(b, 70); };", 24),
    ("struct s { struct_group_tagged(t, h, int z;); struct t u; struct_group_attr(g, __packed, ch"
     "ar c;"
     " int d;); };", 16),
    ("struct s { unsigned long a[BITS_TO_LONGS(65)]; };", 16),
    ("struct s { int __percpu *a; int n; char b[] __counted_by(n); };", 16),
    ("#define int long\n#define inline\n#define const\nstruct s { const int a; };", 8),
    ("#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n"
     "struct s { struct s *a; };\n#pragma clang attribute pop\n", 8),
    ("struct vring_packed_desc { int a; }; struct s { struct vring_packed_desc a; };", 4),
    ("typedef struct PACKET { int a; } t; typedef struct p_s { t a; } u; struct s { u a; };", 4),
    ("struct ALIGNED_ONE { int a; }; struct s { struct ALIGNED_ONE a; };", 4),
    ("/* \udca9 */ struct s { int a; }; // \udcff", 4),
]  # fmt: skip


@pytest.mark.parametrize(("text", "size"), SURE, ids=range(len(SURE)))
def test_what_changes_no_struct_that_is_asked_for_is_read_on(text: str, size: int) -> None:
    assert parse(text)["s"].layout("x86_64").size == size


def test_a_text_whose_headers_are_given_is_whole() -> None:
    text = "#include <x.h>\n" + SOME.replace("{}", "#ifdef X")
    assert parse(text, {"x.h": ""})["s"].layout("arm").size == 4
    assert parse(text, {"x.h": "#define X"})["s"].layout("arm").size == 8
    order = "#include <x.h>\n" + SOME.replace("{}", "#ifdef WORDS_BIGENDIAN")
    with pytest.raises(
        KvmvizError, match="'WORDS_BIGENDIAN' is no macro here; give -D WORDS_BIGENDI"
    ):
        parse(order, {"x.h": ""})
    assert parse(order, None, {"WORDS_BIGENDIAN": None})["s"].layout("arm").size == 4


NOTES: list[tuple[str, tuple[str, ...]]] = [
    (S, ()),
    ("#include <y.h>\n" + OTHER.replace("{}", "#ifdef X"), (
        "line 3, column 1: not read: struct t: 'X' is no macro here; it may be in <y.h>: give it "
        "(--include y.h=FILE; in Python headers={'y.h': text}), or -D X[=VALUE] or -U X",
    )),
    (OTHER.replace("{}", "#ifdef __KERNEL__"), ()),
    (S + "#ifdef X\nint f(void);\n#define A 1\n#endif", ()),
    (S + "ASSERT_IT(s);", ("line 2, column 1: not read: 'ASSERT_IT' is no macro here; give -D ASS"
     "ERT_IT"
                           "[=VALUE]",)),
    (S + "#ifdef X\nstruct t { int a; };\nunion u { int a; };\n#else\nstruct t { char a; };\n#end"
     "if", (
        "line 2, column 1: not read: union u, struct t: 'X' is no macro here; give -D X[=VALUE] o"
        "r -U X",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("text", "notes"), NOTES, ids=range(len(NOTES)))
def test_what_is_not_read_is_said(text: str, notes: tuple[str, ...]) -> None:
    found = read(text)
    assert found.notes == notes
    assert found["s"].layout("arm").size == 4


def test_a_struct_that_is_not_known_says_why() -> None:
    found = parse(S + "#ifdef X\nunion t { int a; };\n#endif")["t"]
    assert (f"{found}", [*found.names()]) == ("union t", [])
    assert repr(found).startswith("union t is not known: line 2, column 1: 'X' is no macro here")
    with pytest.raises(KvmvizError, match=r"^line 2, column 1: 'X' is no macro here; .* -U X$"):
        found.layout("x86_64")


def test_a_struct_without_a_tag_is_called_by_its_typedef() -> None:
    found = parse("typedef struct { int a; } s; typedef union t { s b; } u;")
    assert [f"{row}" for row in found.values()] == ["s", "union t"]
    same = Struct("s", {"a": "int"})
    assert (found["s"], hash(found["s"]), f"{same}") == (same, hash(same), "struct s")


def test_what_holds_a_struct_that_is_refused_says_why() -> None:
    ends = "{ int a; } __attribute__((aligned(4)));\nstruct s { struct t a; }; struct u { int a; };"
    found = parse(f"struct __attribute__((aligned(8))) t {ends}")["s"]
    with pytest.raises(KvmvizError, match=r"^line 2, column 21: 'struct t' .* clang the largest$"):
        found.layout("arm")
