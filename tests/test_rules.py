"""Where members go, bit-fields among them, and the sentence that says why."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from kvmviz import KvmvizError, Member, Struct, parse
from kvmviz.ctype import SCALARS
from tests import compilers, strategies
from tests.strategies import ANONYMOUS, bits

# --- rules -----------------------------------------------------------------------------------

RULES = [
    # members, ABI, for each step the words and numbers that it needs
    ({"hsr": "__u32", "far": "__u64"}, "aarch64", [
        ("hsr", "4 bytes", "aligned to 4", "offset 0", "first"),
        ("far", "8 bytes", "aligned to 8", "offset 8", "multiple of 8 after 4", "4..7", "hole"),
        ("aligned to 8", "far"),
        ("size 16", "no tail padding"),
    ]),
    ({"hsr": "__u32", "far": "__u64"}, "m68k", [
        ("hsr", "4 bytes", "aligned to 2", "m68k", "more than 2", "offset 0"),
        ("far", "8 bytes", "aligned to 2", "m68k", "more than 2", "offset 4", "2 divides 4"),
        ("aligned to 2", "hsr"),
        ("size 12", "no tail padding"),
    ]),
    ({"a": "u64", "b": "u8[3]"}, "arm", [
        ("a", "8 bytes", "aligned to 8", "offset 0"),
        ("b", "3 bytes", "aligned to 1", "offset 8", "1 divides 8"),
        ("aligned to 8", "a"),
        ("size 16", "11 rounded up", "multiple of 8", "11..15", "tail padding"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("members", "abi", "steps"), RULES)
def test_rules(members: dict[str, str], abi: str, steps: list[tuple[str, ...]]) -> None:
    rules = Struct("s", members).layout(abi).rules
    assert len(rules.steps) == len(steps)
    for step, words in zip(rules.steps, steps, strict=True):
        for word in words:
            assert word in step.lower()


@pytest.mark.parametrize(
    ("pack", "member", "words"),
    [
        (
            2,
            Member("b", SCALARS["u32"], align=8),
            "#pragma pack(2) lowers the alignment from 8 to 2",
        ),
        (
            4,
            Member("b", SCALARS["u32"], align=8),
            "#pragma pack(4) lowers the alignment from 8 to 4",
        ),
        (
            4,
            Member("b", SCALARS["u16"], align=8),
            "#pragma pack(4) lowers the alignment from 8 to 4",
        ),
        (1, Member("b", SCALARS["u32"]), "#pragma pack(1) lowers the alignment from 4 to 1"),
        (0, Member("b", SCALARS["u32"], align=8), "aligned(8) raises the alignment from 4 to 8"),
        (0, Member("b", SCALARS["u32"], packed=True), "packed lowers the alignment from 4 to 1"),
    ],
)
def test_rules_say_what_bends_an_alignment(pack: int, member: Member, words: str) -> None:
    rules = Struct("s", [("a", "u8"), member], pack=pack).layout("aarch64").rules
    assert rules.steps[1].endswith(f"; {words}.")


def test_rules_name_the_abis_limit_only_where_it_counts() -> None:
    for abi in ("aarch64", "i386"):
        steps = Struct("s", {"a": "u32", "b": "u64"}).layout(abi).rules.steps
        assert ["more than" in step for step in steps[:2]] == [False, abi == "i386"]


LAST = [
    # members, whether it is a union, its align, the sentence about alignment
    ({"a": "u8"}, True, 0, "the union is aligned to 1: no member asks for more."),
    ({"a": "u32"}, True, 0, "the union is aligned to 4, as its most aligned member, a."),
    ({"a": "u32"}, True, 8, "the union is aligned to 8, as its aligned attribute says."),
    ({"a": "u32"}, False, 8, "the struct is aligned to 8, as its aligned attribute says."),
]


@pytest.mark.parametrize(("members", "union", "align", "words"), LAST)
def test_rules_call_a_union_one(
    members: dict[str, str], union: bool, align: int, words: str
) -> None:
    struct = Struct("s", members, union=union, align=align)
    assert struct.layout("arm").rules.steps[1] == words


def test_the_first_bits_of_a_union_are_its_own() -> None:
    steps = parse("union u { int a:3; int b:2; };")["u"].layout("arm").rules.steps
    assert [step.rpartition(": ")[2] for step in steps[:2]] == ["the first bits of the union."] * 2


LONG = SCALARS["long"]
UNPLACED = [
    # a bit-field, #pragma pack, the refusal on i386
    (Member(None, LONG, 40), 0, "unnamed bit-field: a bit-field of 40 bits; long has 32"),
    (Member("b", LONG, 40), 0, "member b: a bit-field of 40 bits; long has 32"),
    (Member(None, LONG, 3, align=8), 4, "unnamed bit-field: aligned(8) on a bit-field under"),
    (Member(None, SCALARS["__int128"], 3), 0, "unnamed bit-field: there is no __int128 here"),
]


@pytest.mark.parametrize(("member", "pack", "words"), UNPLACED)
def test_a_bit_field_that_has_no_place(member: Member, pack: int, words: str) -> None:
    with pytest.raises(KvmvizError) as caught:
        Struct("s", [("a", LONG), member], pack=pack).layout("i386")
    assert f"{caught.value}".startswith(f"struct s on i386, {words}")


def test_rules_of_a_union_and_of_anonymous_members() -> None:
    union = Struct("s", {"a": "u8", "b": "u32"}, union=True).layout("arm").rules
    assert all("offset 0" in step for step in union.steps[:2])
    assert "union" in union.steps[1]
    assert "b" in union.steps[2]
    steps = ANONYMOUS.layout("aarch64").rules.steps
    assert "anonymous" in steps[1]
    assert "offset 8" in steps[1].lower()
    assert "anonymous" in steps[3], "the member that the alignment comes from"
    assert "18 rounded up" in steps[4]


# (what a typedef asks, the struct's own words, the member's, #pragma pack)
TYPEDEF_ALIGNMENTS = [
    (typedef, outer, member, pack)
    for typedef in (1, 2, 8, 16)
    for outer, member in (("", ""), ("packed", ""), ("", "packed"), ("", "aligned(8)"))
    for pack in (0, 2)
]


@pytest.mark.parametrize("abi", compilers.every_abi())
def test_alignment_that_a_typedef_gives_a_struct(abi: str) -> None:
    questions, layouts = [], []
    for n, (align, outer, member, pack) in enumerate(TYPEDEF_ALIGNMENTS):
        text = (
            f"struct q{n} {{ int a; char c; }};\n"
            f"typedef struct q{n} t{n} __attribute__((aligned({align})));\n"
            f"#pragma pack({pack or ''})\n"
            f"struct s{n} {{ char c; t{n} x __attribute__(({member})); char d; }} "
            f"__attribute__(({outer}));\n#pragma pack()"
        )
        questions += [
            compilers.Question(text, f"struct s{n}", ("x", "d")),
            compilers.Question("", f"t{n}"),
        ]
        inner = Struct("q", {"a": "int", "c": "char"}, typedef_align=align)
        x = Member("x", inner, align=8 * ("aligned" in member), packed=member == "packed")
        rows = [Member("c", SCALARS["char"]), x, Member("d", SCALARS["char"])]
        layouts += [Struct("s", rows, packed=bool(outer), pack=pack).layout(abi), inner.layout(abi)]
    told = compilers.judged(compilers.targets()[abi], questions)
    for question, layout, measured in zip(questions, layouts, told, strict=True):
        offsets = {name: layout.offsets[name] for name in question.members}
        assert compilers.Measured(layout.size, layout.align, offsets) == measured, question.text


U8, U32, U64 = (SCALARS[name] for name in ("u8", "u32", "u64"))


def unaligned(first: int, second: int, align: int) -> Struct:
    s32 = SCALARS["s32"]
    return Struct("s", [Member("a", s32, first), Member("b", s32, second, align), ("c", "u8")])


@pytest.mark.parametrize(
    ("struct", "abi", "size", "align"),
    [
        (bits(16, kind="s32"), "m68k", 2, 2),  # as wide as an integer: a member like others
        (bits(15, kind="s32"), "m68k", 2, 1),
        (bits(32), "m68k", 4, 2),
        (bits(16, align=4), "m68k", 4, 4),
        (bits(16, packed=True), "m68k", 2, 1),
        (bits(16), "aarch64", 4, 4),
        (bits(20, 20), "aarch64", 8, 4),  # the second would straddle a unit
        (bits(20, 20), "m68k", 5, 1),
        # Whether it is in the right place is decided before its own `aligned` moves it.
        (unaligned(9, 16, 1), "m68k", 5, 1),
        (unaligned(9, 16, 2), "m68k", 6, 2),
        (unaligned(16, 16, 1), "m68k", 6, 2),
    ],
)
def test_size_and_alignment(struct: Struct, abi: str, size: int, align: int) -> None:
    layout = struct.layout(abi)
    assert (layout.size, layout.align) == (size, align or 1)


def m68k_cases() -> Iterator[Struct]:
    """A bit-field of every kind behind every beginning of a unit, with what follows it."""
    heads = [(), (Member("a", U8),), *((Member("a", SCALARS["s32"], n),) for n in (3, 9, 16, 24))]
    kinds = [
        ("s8", 8),
        ("s16", 16),
        ("s32", 15),
        ("s32", 16),
        ("s32", 32),
        ("s64", 32),
        ("s64", 64),
    ]
    tails = [(), (Member("c", U8),), (Member("c", U32, 5),)]
    for head, (kind, width), tail in product(heads, kinds, tails):
        for align, packed, pack in product((0, 1, 2, 4), (False, True), (0, 2)):
            if not pack or align <= pack:
                packed = packed and width > 8
                member = Member("b", SCALARS[kind], width, align, packed)
                yield Struct("", [*head, member, *tail], pack=pack)


@pytest.mark.skipif("m68k" not in compilers.targets(), reason="needs m68k-linux-gnu-gcc")
def test_bit_fields_of_m68k_are_those_of_gcc() -> None:
    cases = list(m68k_cases())
    prelude = "\n".join(
        f"#pragma pack({case.pack or ''})\n{strategies.c_text(case, f's{n}')};"
        for n, case in enumerate(cases)
    )
    questions = [(f"struct s{n}", ()) for n in range(len(cases))]
    told = compilers.measure("m68k", f"{prelude}\n#pragma pack()", questions)
    for case, measured in zip(cases, told.values(), strict=True):
        layout = case.layout("m68k")
        assert (layout.size, layout.align) == (measured.size, measured.align), case


@pytest.mark.parametrize("abi", ["i386", "arm", "armeb", "ppc32", "m68k", "mips", "mipsel"])
def test_no_128_bits_on_a_32_bit_abi(abi: str) -> None:
    # gcc and clang: "__int128 is not supported on this target".
    with pytest.raises(
        KvmvizError, match=rf"struct s on {abi}, member w: there is no __uint128_t here"
    ):
        Struct("s", {"a": "u8", "w": "__uint128_t[2]"}).layout(abi)


def test_an_empty_struct_is_aligned_to_1() -> None:
    # gcc: sizeof (struct {}) is 0, its alignment 1.
    layout = Struct("e", [], empty=True).layout("aarch64")
    assert (layout.size, layout.align) == (0, 1)
    assert "aligned to 1: no member asks for more" in repr(layout.rules)


@pytest.mark.parametrize(
    ("first", "bits", "align", "abi", "why"),
    [
        ("u8", 6, 4, "x86_64", "byte 4: aligned(4) moves it to a multiple of 32 bits"),
        # Without aligned(8) it stands at byte 4, in a unit of its own.
        ("u32", 32, 8, "x86_64", "byte 8: aligned(8) moves it to a multiple of 64 bits"),
        ("u32", 32, 8, "m68k", "byte 8: aligned(8) moves it to a multiple of 64 bits"),
        ("u8", 30, 0, "x86_64",
         "byte 4: it would straddle a unit of 32 bits: up to the next multiple of 32 bits"),
        ("u8", 30, 8, "x86_64",
         "byte 8: it would straddle a unit of 32 bits: up to the next multiple of 64 bits"),
    ],
)  # fmt: skip
def test_the_rule_says_what_moves_a_bit_field(
    first: str, bits: int, align: int, abi: str, why: str
) -> None:
    members = [Member("a", SCALARS[first]), Member("b", SCALARS["u32"], bits, align)]
    rule = next(
        row for row in repr(Struct("s", members).layout(abi).rules).split("\n") if "b:" in row
    )
    assert rule.endswith(f" of {why}.")


LONG_DOUBLES = Struct("s", {"a": "u8", "d": "long double", "b": "u8", "e": "long double[2]"})
LAID = ("struct s { u8 a; long double d; u8 b; long double e[2]; u8 size[sizeof(long double)],"
        " align[_Alignof(long double)], wish[__alignof__(double long)]; };")  # fmt: skip


@pytest.mark.parametrize("abi", [p for p in compilers.every_abi() if "ppc" not in f"{p}"])
def test_long_double_is_where_compilers_have_it(abi: str) -> None:
    names = ("d", "b", "e", "align", "wish")
    (told,) = compilers.measure(abi, LAID, [("struct s", names)]).values()
    layout = parse(LAID)["s"].layout(abi)
    assert (layout.size, layout.align) == (told.size, told.align)
    assert {name: layout.offsets[name] for name in names} == told.offsets
    assert LONG_DOUBLES.layout(abi).offsets["e"] == told.offsets["e"]


@pytest.mark.parametrize("abi", ["ppc64", "ppc64le", "ppc32"])
def test_long_double_on_power_is_one_error(abi: str) -> None:
    # zig cc: 8 bytes for powerpc64-linux-musl, 16 for powerpc64-linux-gnu.
    with pytest.raises(KvmvizError, match=rf"struct s on {abi}, member d: long double has no one"):
        LONG_DOUBLES.layout(abi)
    with pytest.raises(KvmvizError, match=rf"line 1, column 65: long double has no one .*on {abi}"):
        parse(LAID)["s"].layout(abi)
