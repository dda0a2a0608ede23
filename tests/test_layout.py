"""Offsets, sizes and holes, held against compilers for every ABI and against the facts."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from kvmviz import ABIS, Array, KvmvizError, Layout, Struct, parse
from kvmviz.ctype import SCALARS
from kvmviz.kvm.kernel import MERGED, MMIO, OLD, WIDENED
from kvmviz.layout import MAX_SIZE, MAX_SLOTS
from kvmviz.slot import bits_of
from tests import compilers, strategies
from tests.compilers import ABI_NAMES, Measured
from tests.strategies import ANONYMOUS, FIXED, ORDER, bits, nested, steady

each_abi = pytest.mark.parametrize("abi", compilers.every_abi())

# --- the three layouts of kvm_debug_exit_arch ------------------------------------------------

DEBUG = {
    "old": (OLD, "struct old { __u32 hsr; __u64 far; };"),
    "widened": (WIDENED, "struct widened { __u64 hsr; __u64 far; };"),
    "with_high": (MERGED, "struct with_high { __u32 hsr; __u32 hsr_high; __u64 far; };"),
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
    drawn = strategies.examples(strategies.filled(), 800)
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


def test_layouts_are_equal_by_struct_and_abi() -> None:
    same = Struct("kvm_debug_exit_arch", {"hsr": "__u32", "far": "__u64"})
    assert OLD.layout("arm") == same.layout(ABIS["arm"])
    assert hash(OLD.layout("arm")) == hash(same.layout(ABIS["arm"]))
    assert OLD.layout("arm") != OLD.layout("armeb")
    assert OLD.layout("arm") != WIDENED.layout("arm")
    assert OLD.layout("arm") != "struct kvm_debug_exit_arch"


def test_leaves_have_a_bound() -> None:
    one = Struct("one", {"x": "__u8"})
    assert Struct("s", {"a": "__u8[1048576]"}).layout("arm").slots[0].shape == (1 << 20,)
    assert len(Struct("s", [("a", Array(one, MAX_SLOTS))]).layout("arm").slots) == MAX_SLOTS
    padded = Struct("padded", {"x": "__u8", "y": "__u16"})
    for kind, count in ((one, MAX_SLOTS + 1), (padded, MAX_SLOTS // 2)):
        layout = Struct("s", [("a", Array(kind, count))]).layout("arm")
        with pytest.raises(KvmvizError, match=f"^struct s has more than {MAX_SLOTS} leaves$"):
            _ = layout.slots


def test_size_has_a_bound() -> None:
    most = Array(SCALARS["u8"], MAX_SIZE)
    assert Struct("s", [("a", most)]).layout("arm").size == MAX_SIZE
    with pytest.raises(KvmvizError, match=f"^struct s on arm has more than {MAX_SIZE} bytes$"):
        Struct("s", [("a", most), ("b", SCALARS["u8"])]).layout("arm")


def test_the_dtype_of_a_bit_field_is_the_bytes_that_hold_it() -> None:
    held = {n: bits(n).layout("aarch64").dtype["a"] for n in (8, 9, 17, 32)}
    assert held[8] == np.dtype("u1")
    assert held[9] == np.dtype("<u2")
    assert held[17].subdtype == (np.dtype("u1"), (3,))
    assert held[32] == np.dtype("<u4")
    assert bits(40, kind="u64").layout("s390x").dtype["a"].subdtype == (np.dtype("u1"), (5,))
    assert bits(64, kind="u64").layout("s390x").dtype["a"] == np.dtype(">u8")


def test_bits_of_no_member_are_no_hole_wherever_they_end() -> None:
    """A hole is whole bytes: bits 3 and 4 are none, though 3 + 5 is a multiple of 8."""
    layout = parse("struct s { u8 a:3, :2, b:3; u16 c; };")["s"].layout("aarch64")
    assert [(slot.path, slot.start, slot.extent) for slot in layout.holes] == [
        ("unused bits after a", 3, 2),
        ("hole after b", 8, 8),
    ]
    assert repr(layout).splitlines()[-1] == (
        "  holes: 1, 1 byte in all; tail padding: 0 bytes; unused bits beside bit-fields: 2"
    )


def test_a_flexible_array_is_no_bit_field() -> None:
    layout = Struct("s", [("n", "u8"), ("rows", Array(Array(SCALARS["u64"], 2), 0))]).layout("arm")
    assert "u64   rows[][2]     flexible: elements lie behind" in repr(layout)
    assert not layout.slots[-1].is_bit_field


def test_a_cell_of_an_array_of_bytes_says_its_element() -> None:
    struct = Struct("s", [("a", Array(SCALARS["u8"], 2)), ("b", "u16"), ("c", "u8")])
    image = struct.layout("s390x").pack({"a": [1, 2], "b": 3, "c": 4})
    assert [*map(bits_of, image.sources)] == ["[0]", "[1]", "15:8", "7:0", "7:0", "–"]
    rows = Struct("s", {"a": "u8[2][3]"}).layout("arm").pack({"a": [[1] * 3] * 2})
    said = ["[0][0]", "[0][1]", "[0][2]", "[1][0]", "[1][1]", "[1][2]"]
    assert [*map(bits_of, rows.sources)] == said
    deep = Struct("s", {"a": "u8[1][1][1][7]"}).layout("arm")
    assert [bits_of(deep.slots[0].source(at)) for at in (0, 6)] == ["..[0]", "..[6]"]
