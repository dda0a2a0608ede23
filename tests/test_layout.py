"""Offsets, sizes and holes, held against compilers for every ABI and against the facts."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import ABIS, Abi, Array, KvmvizError, Layout, Member, Struct
from kvmviz import abi as abis
from kvmviz.ctype import SCALARS, Scalar
from kvmviz.kvm.kernel import MMIO, OLD, WIDENED, WITH_HIGH
from kvmviz.layout import MAX_SLOTS
from tests import compilers, strategies
from tests.compilers import ABI_NAMES, Measured
from tests.strategies import FIXED, ORDER, steady

each_abi = pytest.mark.parametrize("abi", compilers.every_abi())

# --- the three layouts of kvm_debug_exit_arch ------------------------------------------------

DEBUG = {
    "old": (OLD, "struct old { __u32 hsr; __u64 far; };"),
    "widened": (WIDENED, "struct widened { __u64 hsr; __u64 far; };"),
    "with_high": (WITH_HIGH, "struct with_high { __u32 hsr; __u32 hsr_high; __u64 far; };"),
}
# Size, align and far: where a u64 is aligned to 8, in i386, and in m68k.
NATURAL = {"old": (16, 8, 8), "widened": (16, 8, 8), "with_high": (16, 8, 8)}
FACTS = dict.fromkeys(ABI_NAMES, NATURAL) | {
    "i386": {"old": (12, 4, 4), "widened": (16, 4, 8), "with_high": (16, 4, 8)},
    "m68k": {"old": (12, 2, 4), "widened": (16, 2, 8), "with_high": (16, 2, 8)},
}


@pytest.mark.parametrize("abi", ABI_NAMES)
@pytest.mark.parametrize("name", DEBUG)
def test_debug_exit_arch_is_as_the_facts_say(name: str, abi: str) -> None:
    layout = DEBUG[name][0].layout(abi)
    assert (layout.size, layout.align, layout.offsets["far"]) == FACTS[abi][name]
    assert layout.offsets["hsr"] == 0
    assert layout.offsets.get("hsr_high") == (4 if name == "with_high" else None)


@each_abi
def test_debug_exit_arch_is_as_a_compiler_has_it(abi: str) -> None:
    prelude = "\n".join(text for _, text in DEBUG.values())
    questions = [(f"struct {name}", tuple(row[0].names())) for name, row in DEBUG.items()]
    answers = compilers.measure(abi, prelude, questions)
    for name, (struct, _) in DEBUG.items():
        assert measured(struct.layout(abi)) == answers[f"struct {name}"]


def test_mmio_lies_in_the_page_where_the_kernel_has_it() -> None:
    """Offsets in struct kvm_run, whose union of exits starts at 32."""
    found = {name: 32 + at for name, at in MMIO.layout("aarch64").offsets.items()}
    assert found == {"phys_addr": 32, "data": 40, "len": 48, "is_write": 52}


def test_a_size_check_misses_the_widening() -> None:
    old, widened = OLD.layout("aarch64_be"), WIDENED.layout("aarch64_be")
    assert (old.size, old.offsets) == (widened.size, widened.offsets)


def measured(layout: Layout) -> Measured:
    return Measured(layout.size, layout.align, layout.offsets)


# --- random structs against compilers --------------------------------------------------------


@functools.cache
def batch() -> tuple[tuple[Struct, dict[str, Any]], ...]:
    """Some hundred structs with values, all different, the same in every run."""
    drawn = strategies.examples(strategies.filled(), 700)
    return tuple({strategies.c_text(row[0]): row for row in drawn}.values())


@functools.cache
def answers(abi: str) -> compilers.Probe:
    """What the compiler says of the whole batch: names directly usable, every leaf, bytes."""
    texts, questions, objects = [], [], []
    for number, (struct, assigned) in enumerate(batch()):
        name = f"{'union' if struct.union else 'struct'} s{number}"
        texts.append(f"{strategies.c_text(struct, f's{number}')};")
        leaves = [leaf.designator for leaf in strategies.leaves(struct, abi)]
        questions.append((name, tuple(dict.fromkeys([*struct.names(), *leaves]))))
        objects.append((name, strategies.c_init(assigned)))
    return compilers.probe(abi, "\n".join(texts), questions, objects)


def told(abi: str) -> Iterator[tuple[Struct, dict[str, Any], Measured, bytes]]:
    probe = answers(abi)
    rows = zip(batch(), probe.measured.values(), probe.images, strict=True)
    for (struct, assigned), answer, image in rows:
        yield struct, assigned, answer, image


def test_the_batch_has_everything_in_it() -> None:
    texts = [strategies.c_text(struct) for struct, _ in batch()]
    assert len(texts) >= 300
    for form in ("union s", "struct  {", "union  {", "][", "} m", "} ;", "[5]", "s8 ", "int64_t"):
        assert sum(form in text for text in texts) > 5, form


@each_abi
def test_size_alignment_and_offsets_are_the_compilers(abi: str) -> None:
    for struct, _, answer, _ in told(abi):
        layout = struct.layout(abi)
        offsets = {name: answer.offsets[name] for name in struct.names()}
        assert measured(layout) == Measured(answer.size, answer.align, offsets), struct


@each_abi
def test_slots_lie_where_the_compiler_has_their_leaves(abi: str) -> None:
    for struct, _, answer, _ in told(abi):
        found = {}
        for slot in struct.layout(abi).slots:
            if slot.type is not None:
                for element in range(slot.size // slot.type.size):
                    at = slot.offset + element * slot.type.size
                    found[slot.path_of(element if slot.shape else None)] = at
        leaves = [leaf.designator for leaf in strategies.leaves(struct, abi)]
        assert found == {name: answer.offsets[name] for name in leaves}, struct


@each_abi
def test_packed_bytes_are_the_compilers(abi: str) -> None:
    """A static object's padding is zero, and so is here what nobody writes."""
    for struct, assigned, _, image in told(abi):
        assert bytes(struct.layout(abi).pack(assigned)).hex(" ") == image.hex(" "), struct


@each_abi
def test_the_model_in_strategies_is_the_compilers(abi: str) -> None:
    """What other tests use for an oracle has one itself."""
    for struct, assigned, answer, image in told(abi):
        assert strategies.extent(struct, abi) == (answer.size, answer.align), struct
        leaves = {leaf.designator: leaf.offset for leaf in strategies.leaves(struct, abi)}
        assert leaves == {name: answer.offsets[name] for name in leaves}, struct
        assert strategies.stored(struct, abi, assigned, bytes(answer.size)) == image, struct


@each_abi
def test_the_table_has_the_compilers_byte_order_and_word(abi: str) -> None:
    probe = compilers.probe(abi, "", [("long", ()), ("void *", ())])
    assert ABIS[abi].byte_order == probe.byte_order
    assert ABIS[abi].word_bits == 8 * probe.measured["long"].size
    assert ABIS[abi].word_bits == 8 * probe.measured["void *"].size


@each_abi
def test_fixed_width_names_have_the_compilers_width_and_sign(abi: str) -> None:
    names = tuple(FIXED)
    minus_one = [(name, f"(({name})-1) < 0 ? 1 : 2") for name in names]
    probe = compilers.probe(abi, "", [(name, ()) for name in names], minus_one)
    for name, image in zip(names, probe.images, strict=True):
        signed = int.from_bytes(image, probe.byte_order) == 1
        assert SCALARS[name].bits == 8 * probe.measured[name].size
        assert SCALARS[name].signed is signed, name


# --- slots and holes -------------------------------------------------------------------------


@steady
@given(strategies.structs(unions=False), strategies.abis)
def test_slots_tile_a_struct(struct: Struct, abi: str) -> None:
    layout = struct.layout(abi)
    at = 0
    for slot in layout.slots:
        assert slot.offset == at
        assert slot.size > 0
        at += slot.size
    assert at == layout.size


@steady
@given(strategies.structs(), strategies.abis)
def test_a_byte_is_held_by_its_leaves_or_it_is_padding(struct: Struct, abi: str) -> None:
    layout = struct.layout(abi)
    leaves = list(strategies.leaves(struct, abi))
    for offset, held in enumerate(layout.holders):
        over = {v.designator for v in leaves if v.offset <= offset < v.offset + v.size}
        assert {source.path for source in held} == over
        assert len(held) == len(over)
        holes = [h for h in layout.holes if h.offset <= offset < h.offset + h.size]
        assert len(holes) == (not over)


def test_holes_of_a_union_are_what_no_member_covers() -> None:
    inner = nested({"a": "u8", "b": "u32"})
    struct = Struct("s", [("inner", inner), ("whole", "u64")], union=True)
    assert struct.layout("aarch64").holes == ()


def nested(members: Mapping[str, str]) -> Struct:
    return Struct("", members)


HOLES = [
    # members, ABI, holes as (offset, size, what the path says)
    ({"hsr": "__u32", "far": "__u64"}, "aarch64", [(4, 4, "after hsr")]),
    ({"hsr": "__u32", "far": "__u64"}, "i386", []),
    ({"hsr": "__u64", "far": "__u64"}, "aarch64", []),
    ({"a": "u64", "b": "u32"}, "s390x", [(12, 4, "tail")]),
    ({"a": "u64", "b": "u32"}, "i386", []),
    ({"a": "u8", "b": "u32", "c": "u8"}, "m68k", [(1, 1, "after a"), (7, 1, "tail")]),
    ({"a": "u8[3]", "b": "u16", "c": "u64"}, "arm", [(3, 1, "after a"), (6, 2, "after b")]),
    ({"in": nested({"a": "u8", "b": "u16"}), "c": "u8"}, "arm",
     [(1, 1, "in: hole after a"), (5, 1, "tail")]),
    ({"in": Array(nested({"a": "u16", "b": "u8"}), 2)}, "arm",
     [(3, 1, "in[0]: tail"), (7, 1, "in[1]: tail")]),
]  # fmt: skip


@pytest.mark.parametrize(("members", "abi", "holes"), HOLES)
def test_holes(members: Any, abi: str, holes: list[tuple[int, int, str]]) -> None:
    layout = Struct("s", members).layout(abi)
    assert [(hole.offset, hole.size) for hole in layout.holes] == [row[:2] for row in holes]
    for hole, (_, _, path) in zip(layout.holes, holes, strict=True):
        assert path in hole.path
        assert hole.is_padding
        assert hole.type is None


def test_a_hole_belongs_to_the_struct_that_has_it() -> None:
    layout = Struct("s", [("in", nested({"a": "u8", "b": "u16"})), ("c", "u32")]).layout("arm")
    assert [(slot.path, slot.member) for slot in layout.slots] == [
        ("in.a", "in"), ("in: hole after a", "in"), ("in.b", "in"), ("c", "c"),
    ]  # fmt: skip


def test_a_slots_parts() -> None:
    layout = Struct("s", {"a": "u8", "b": "s16[2][3]"}).layout("armeb")
    slot = layout.slots[2]
    assert (slot.path, slot.offset, slot.size, slot.shape) == ("b", 2, 12, (2, 3))
    assert (slot.order, slot.type) == ("big", SCALARS["s16"])
    assert [slot.path_of(i) for i in (0, 2, 3, 5)] == ["b[0][0]", "b[0][2]", "b[1][0]", "b[1][2]"]
    assert [row.path_of(None) for row in layout.slots] == ["a", "hole after a", "b"]
    assert layout.slots[0].path_of(0) == "a"
    labels = [source.label for at in (2, 3, 12, 13) if (source := slot.source(at))]
    assert labels == ["b[0][0][15:8]", "b[0][0][7:0]", "b[1][2][15:8]", "b[1][2][7:0]"]


# --- names, copies, dtype --------------------------------------------------------------------

ANONYMOUS = Struct(
    "s",
    [
        ("kind", "u8"),
        (None, Struct("", [("whole", "u64"), (None, nested({"low": "u32", "high": "u32"}))],
                      union=True)),
        ("last", "u16"),
    ],
)  # fmt: skip


def test_offsets_have_the_names_of_anonymous_members() -> None:
    assert ANONYMOUS.layout("aarch64").offsets == {
        "kind": 0, "whole": 8, "low": 8, "high": 12, "last": 16,
    }  # fmt: skip
    assert ANONYMOUS.layout("m68k").offsets == {
        "kind": 0, "whole": 2, "low": 2, "high": 6, "last": 10,
    }  # fmt: skip
    assert list(ANONYMOUS.names()) == ["kind", "whole", "low", "high", "last"]


@pytest.mark.parametrize("abi", ABI_NAMES)
def test_dtype_is_explicit_about_every_offset(abi: str) -> None:
    struct = Struct("s", [("a", "u8"), ("b", "s64[2][3]"), ("in", ANONYMOUS)])
    layout, mark = struct.layout(abi), "<" if ORDER[abi] == "little" else ">"
    assert layout.dtype.itemsize == layout.size
    assert layout.dtype.fields is not None
    assert {name: row[1] for name, row in layout.dtype.fields.items()} == layout.offsets
    wide = layout.dtype["b"]
    assert (wide.shape, wide.base) == ((2, 3), np.dtype(f"{mark}i8"))
    assert layout.dtype["in"] == ANONYMOUS.layout(abi).dtype
    assert layout.dtype["in"]["last"] == np.dtype(f"{mark}u2")


WIDEN = [
    # type, bits, new size on aarch64, offset of far, signed
    ("__u32", 8, 16, 8, False),
    ("__u32", 16, 16, 8, False),
    ("__u32", 32, 16, 8, False),
    ("__u32", 64, 16, 8, False),
    ("int8_t", 64, 16, 8, True),
    ("long long", 16, 16, 8, True),
    ("__be16", 8, 16, 8, False),  # one byte has no order
    ("__le64", 16, 16, 8, False),
    ("char", 8, 16, 8, None),  # the ABI says
    ("char", 16, 16, 8, True),  # holds -128 .. 255, all that a char is anywhere
    ("char", 64, 16, 8, True),
]


@pytest.mark.parametrize(("kind", "bits", "size", "far", "signed"), WIDEN)
def test_widen(kind: str, bits: int, size: int, far: int, signed: bool | None) -> None:
    struct = Struct("s", {"x": kind, "far": "__u64"})
    wide = struct.widen("x", bits)
    layout = wide.layout("aarch64")
    assert (layout.size, layout.offsets["far"]) == (size, far)
    assert isinstance(wide.members[0].type, Scalar)
    assert (wide.members[0].type.bits, wide.members[0].type.signed) == (bits, signed)
    assert (wide.tag, wide.union, wide.members[1]) == ("s", False, struct.members[1])
    assert struct.members[0].type == SCALARS[kind], "the original stays"


def test_widen_keeps_the_byte_order_that_a_type_has() -> None:
    struct = Struct("s", {"x": "__be16"})
    names = [struct.widen("x", bits).members[0].type for bits in (8, 16, 32, 64)]
    assert names == [SCALARS[name] for name in ("__u8", "__be16", "__be32", "__be64")]


def test_widen_in_the_middle_of_a_union() -> None:
    struct = Struct("s", {"a": "u8", "b": "u8", "c": "u8"}, union=True)
    wide = struct.widen("b", 64)
    assert wide.members == (
        Member("a", SCALARS["u8"]), Member("b", SCALARS["__u64"]), Member("c", SCALARS["u8"]),
    )  # fmt: skip
    assert wide.union
    assert wide.layout("i386").size == 8


def test_far_moves_where_there_is_no_hole() -> None:
    assert [OLD.widen("hsr", bits).layout("i386").offsets["far"] for bits in (8, 16, 32, 64)] == [
        4, 4, 4, 8,
    ]  # fmt: skip
    assert [OLD.widen("hsr", bits).layout("m68k").offsets["far"] for bits in (8, 16, 32, 64)] == [
        2, 2, 4, 8,
    ]  # fmt: skip


def test_a_type_comes_as_text_or_as_an_object() -> None:
    u16 = SCALARS["u16"]
    rows = [Struct("s", {"a": "u16[2][3]"}), Struct("s", [("a", Array(Array(u16, 3), 2))])]
    rows += [
        Struct("s", [Member("a", Array(Array(u16, 3), 2))]),
        Struct("s", {"a": " u16 [2] [3]"}),
    ]
    rows += [Struct("s", [Member("a", "u16[2][3]")])]  # type: ignore[arg-type]
    rows += [Struct("s", [("a", Array(Array("u16", 3), 2))])]  # type: ignore[arg-type]
    assert len({*rows}) == 1
    kind = rows[0].members[0].type
    assert isinstance(kind, Array)
    assert (kind.shape, kind.leaf) == ((2, 3), u16)


@pytest.mark.parametrize("name", ["u64", "s64", "be64", "le64"])
def test_aligned_types_of_linux_are_aligned_members(name: str) -> None:
    """As linux/types.h has them: a type with an attribute, so packed leaves them aligned."""
    struct = Struct("s", {"a": "u8", "b": f"__aligned_{name}[2]"}, packed=True)
    assert struct.members[1] == Member("b", Array(SCALARS[f"__{name}"], 2), align=8)
    assert struct.layout("i386").offsets["b"] == 8


def test_layouts_are_equal_by_struct_and_abi() -> None:
    same = Struct("kvm_debug_exit_arch", {"hsr": "__u32", "far": "__u64"})
    assert OLD.layout("arm") == same.layout(ABIS["arm"])
    assert hash(OLD.layout("arm")) == hash(same.layout(ABIS["arm"]))
    assert OLD.layout("arm") != OLD.layout("armeb")
    assert OLD.layout("arm") != WIDENED.layout("arm")
    assert OLD.layout("arm") != "struct kvm_debug_exit_arch"


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


# --- ABIs ------------------------------------------------------------------------------------


def test_the_table_has_every_abi_that_is_compiled_for() -> None:
    assert set(ABIS) == set(ABI_NAMES)
    assert all(abi.name == name and abi.source for name, abi in ABIS.items())
    assert {name: abi.byte_order for name, abi in ABIS.items()} == ORDER
    assert {
        "aarch64",
        "aarch64_be",
        "x86_64",
        "i386",
        "arm",
        "armeb",
        "ppc64",
        "s390x",
        "m68k",
    } <= {*ABIS}


@pytest.mark.parametrize(
    ("name", "aligned"),
    [("aarch64", (1, 2, 4, 8)), ("i386", (1, 2, 4, 4)), ("m68k", (1, 2, 2, 2)),
     ("s390x", (1, 2, 4, 8)), ("armeb", (1, 2, 4, 8))],
)  # fmt: skip
def test_alignment_of_scalars(name: str, aligned: tuple[int, ...]) -> None:
    assert tuple(ABIS[name].align(size) for size in (1, 2, 4, 8)) == aligned


@pytest.mark.parametrize("limit", [1, 2, 4, 8, 16])
def test_an_abi_of_ones_own(limit: int) -> None:
    abi = Abi("mine", "big", limit, 64, "mine", "nobody")
    layout = WITH_HIGH.layout(abi)
    assert abis.find(abi) is abi
    assert layout.abi is abi
    assert (layout.size, layout.align) == (16, min(limit, 8))
    offset = {1: 1, 2: 2, 4: 4, 8: 8, 16: 8}[limit]
    assert Struct("s", {"a": "u8", "b": "u64"}).layout(abi).offsets["b"] == offset


@pytest.mark.parametrize(
    ("name", "family"),
    [("aarch64_be", {"little": "aarch64", "big": "aarch64_be"}),
     ("arm", {"little": "arm", "big": "armeb"}), ("ppc64", {"little": "ppc64le", "big": "ppc64"}),
     ("mipsel", {"little": "mipsel", "big": "mips"}), ("x86_64", {"little": "x86_64"}),
     ("i386", {"little": "i386"}), ("ppc32", {"big": "ppc32"}), ("m68k", {"big": "m68k"})],
)  # fmt: skip
def test_siblings(name: str, family: dict[str, str]) -> None:
    assert abis.siblings(name) == {order: ABIS[abi] for order, abi in family.items()}


# --- bad input -------------------------------------------------------------------------------


def abi_with(**parts: Any) -> Abi:
    row: dict[str, Any] = {"name": "mine", "byte_order": "big", "max_align": 8, "word_bits": 64}
    return Abi(**row | parts, family="mine", source="nobody")


U8 = SCALARS["u8"]
ERRORS: list[Any] = [
    # what goes wrong, words that the message needs
    (lambda: abi_with(byte_order="middle"), ("mine", "'middle'", "little", "big")),
    (lambda: abi_with(max_align=3), ("mine", "3", "1, 2, 4, 8, 16")),
    (lambda: abi_with(max_align=0), ("mine", "0", "1, 2, 4, 8, 16")),
    (lambda: abi_with(word_bits=7), ("mine", "word_bits 7", "32, 64")),
    (lambda: abi_with(bit_fields="foo"), ("mine", "'foo'", "'units', 'unnamed', 'packed'")),
    (lambda: abi_with(char_signed=None), ("mine", "char_signed None", "False, True")),
    (lambda: abi_with(max_align=32), ("mine", "32", "1, 2, 4, 8, 16")),
    (lambda: abis.find("vax"), ("'vax'", *ABI_NAMES)),
    (lambda: abis.find(["arm"]), ("'arm'", "known")),  # type: ignore[arg-type]
    (lambda: abis.siblings("vax"), ("'vax'", *ABI_NAMES)),
    (lambda: OLD.layout("vax"), ("'vax'", *ABI_NAMES)),
    (lambda: OLD.layout(None), ("None", *ABI_NAMES)),  # type: ignore[arg-type]
    (lambda: OLD.layout(["arm"]), ("'arm'", "known")),  # type: ignore[arg-type]
    (lambda: Struct("empty", {}), ("struct empty", "no members")),
    (lambda: Struct("empty", [], union=True), ("union empty", "no members")),
    (lambda: Struct("s", [("a", "u8"), ("a", "u16")]), ("struct s", "'a'", "twice")),
    (lambda: Struct("s", [("a", "u8"), (None, nested({"a": "u8"}))]), ("struct s", "'a'", "twice")),
    (lambda: Struct("s", {"a": "u24"}), ("struct s", "member a", "'u24'", "__u8..__u64")),
    (lambda: Struct("s", {"a": "wide"}), ("struct s", "member a", "'wide'")),
    (lambda: Struct("s", {"a": None}), ("struct s", "member a", "None")),  # type: ignore[arg-type]
    (lambda: Struct("s", {"a": "u8[2"}), ("struct s", "member a", "'u8[2'", "__u8[6]")),
    (lambda: Struct("s", {"a": "u8[]"}), ("struct s", "member a", "'u8[]'")),
    (lambda: Struct("s", {"a": "[2]"}), ("struct s", "member a", "'[2]'")),
    (lambda: Struct("s", {"a": "u8[0]"}), ("struct s", "member a", "0 elements")),
    (lambda: Struct("s", {"a": "u8[2][0]"}), ("struct s", "member a", "0 elements")),
    (lambda: Struct("s", {"a b": "u8"}), ("struct s", "'a b'", "identifier")),
    (lambda: Struct("s", {"": "u8"}), ("struct s", "''", "identifier")),
    (lambda: Struct("s", [(None, "u8")]), ("struct s", "anonymous, not u8",)),
    (lambda: Struct("s", [(None, "u8[2][3]")]), ("struct s", "anonymous, not u8[2][3]",)),
    (lambda: Struct("s", [Member(None, nested({"a": "u8"}), align=4)]), ("struct s", "anonymous")),
    (lambda: Struct("s", [("a", "u8", 3)]), ("struct s", "(name, type)")),  # type: ignore[list-item]
    (lambda: Struct("a b", {"a": "u8"}), ("'a b'", "identifier")),
    (lambda: Struct(5, {"a": "u8"}), ("5", "identifier")),  # type: ignore[arg-type]
    (lambda: Struct("s", {"a": "u8"}, pack=32), ("struct s", "#pragma pack", "32", "up to 16")),
    (lambda: Struct("s", {"a": "__be8"}), ("struct s", "member a", "'__be8'")),
    (lambda: Struct("s", {"a": "__aligned_u32"}), ("struct s", "member a", "'__aligned_u32'")),
    (lambda: Member("a", "u24"), ("member a", "'u24'")),  # type: ignore[arg-type]
    (lambda: Member("a", 5), ("member a", "5 is not a type")),  # type: ignore[arg-type]
    (lambda: Array(5, 3), ("array", "5 is not a type")),  # type: ignore[arg-type]
    (lambda: Array(U8, True), ("True elements", "0 and up")),
    (lambda: Struct("s", ["a"]), ("struct s", "'a'", "(name, type)")),  # type: ignore[list-item]
    (lambda: Struct("s", [5]), ("struct s", "5", "(name, type)")),  # type: ignore[list-item]
    (lambda: Struct("s", [Member("a b", U8)]), ("struct s", "'a b'", "identifier")),
    (lambda: Struct("s", [Member(None, U8)]), ("struct s", "anonymous")),
    (lambda: Struct("s", {"a": Array(U8, -1)}), ("-1 elements", "0 and up")),
    (lambda: Struct("s", {"a": Scalar("u24", 24)}), ("24", "8, 16, 32, 64")),
    (lambda: OLD.widen("hsr", 24), ("kvm_debug_exit_arch", "hsr", "24", "8, 16, 32, 64")),
    (lambda: OLD.widen("hsr", 0), ("kvm_debug_exit_arch", "hsr", "0", "8, 16, 32, 64")),
    (lambda: OLD.widen("hsr", "64"), ("hsr", "'64'", "8, 16, 32, 64")),  # type: ignore[arg-type]
    (lambda: OLD.widen("esr", 64), ("kvm_debug_exit_arch", "'esr'", "hsr, far")),
    (lambda: MMIO.widen("data", 8), ("struct mmio", "data", "no integer")),
    (lambda: ANONYMOUS.widen("low", 64), ("struct s", "'low'", "kind, last")),
]  # fmt: skip


@pytest.mark.parametrize("row", ERRORS)
def test_bad_input_is_named(row: Any) -> None:
    act, words = row
    with pytest.raises(KvmvizError) as caught:
        act()
    for word in words:
        assert word in str(caught.value)


@steady
@given(st.text(max_size=12))
def test_any_text_is_a_type_or_a_named_error(text: str) -> None:
    try:
        struct = Struct("s", {"a": text})
    except KvmvizError as error:
        if "struct s, member a" not in str(error):
            raise
    else:
        assert struct.layout("arm").size > 0


def test_leaves_have_a_bound() -> None:
    one = Struct("one", {"x": "__u8"})
    assert Struct("s", {"a": "__u8[1048576]"}).layout("arm").slots[0].shape == (1 << 20,)
    layout = Struct("s", [("a", Array(one, MAX_SLOTS + 1))]).layout("arm")
    assert layout.size == MAX_SLOTS + 1
    with pytest.raises(KvmvizError, match=f"^struct s has more than {MAX_SLOTS} leaves$"):
        _ = layout.slots


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


def test_text_of_a_struct_that_a_typedef_aligns() -> None:
    inner = Struct("q", {"a": "int"}, typedef_align=16)
    assert repr(inner).startswith("typedef struct {\n    int a;\n} q __attribute__((aligned(16)));")
    assert repr(Struct("s", {"x": inner})) == (
        "typedef struct q q_16 __attribute__((aligned(16)));\nstruct s {\n    q_16 x;\n};"
    )
    assert "under its typedef it is aligned to 16" in repr(inner.layout("i386").rules)
