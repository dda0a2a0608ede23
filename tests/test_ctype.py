"""C types as data: given as text or objects, widened, refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz import ABIS, Abi, Array, KvmvizError, Member, Struct
from kvmviz import abi as abis
from kvmviz.ctype import SCALARS, Scalar
from kvmviz.kvm.kernel import MMIO, OLD, Kernel
from tests.compilers import ABI_NAMES
from tests.strategies import ANONYMOUS, nested, steady

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
    (lambda: ABIS.find("vax"), ("'vax'", *ABI_NAMES)),
    (lambda: ABIS.find(["arm"]), ("'arm'", "known")),  # type: ignore[arg-type]
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
    (lambda: Struct("s", {"x" * 4097: "u8"}), ("struct s", "xxx", "of up to 4096 characters")),
    (lambda: Struct("s", [(None, "u8")]), ("struct s", "anonymous, not u8",)),
    (lambda: Struct("s", [(None, "u8[2][3]")]), ("struct s", "anonymous, not u8[2][3]",)),
    (lambda: Member(None, nested({"a": "u8"}), align=4), ("anonymous member", "attributes")),
    (lambda: Struct("s", [("a", "u8", 3)]), ("struct s", "(name, type)")),  # type: ignore[list-item]
    (lambda: Struct("a b", {"a": "u8"}), ("'a b'", "identifier")),
    (lambda: Struct(5, {"a": "u8"}), ("5", "identifier")),  # type: ignore[arg-type]
    (lambda: Struct("s", {"a": "u8"}, pack=32), ("struct s", "pack 32", "4, 8, 16")),
    (lambda: Struct("s", {"a": "__be8"}), ("struct s", "member a", "'__be8'")),
    (lambda: Struct("s", {"a": "__aligned_u32"}), ("struct s", "member a", "'__aligned_u32'")),
    (lambda: Member("a", "u24"), ("member a", "'u24'")),  # type: ignore[arg-type]
    (lambda: Member("a", 5), ("member a", "5 is not a type")),  # type: ignore[arg-type]
    (lambda: Array(5, 3), ("array", "5 is not a type")),  # type: ignore[arg-type]
    (lambda: Array(U8, True), ("True elements", "0 and up")),
    (lambda: Scalar("\x1b[31mred\n", 32), (r"'\x1b[31mred\n'", "no text in one line")),
    (lambda: Abi("mine", "big", 8, 64, "f", "\x1b[31m"), ("'mine'", r"'\x1b[31m' is no text")),
    (lambda: Abi("", "big", 8, 64, "f", "s"), ("ABI", "texts that say something")),
    (lambda: Abi("x" * 1001, "big", 8, 64, "f", "s"), ("ABI", "of up to 1000 characters")),
    (lambda: Kernel("new\n", "", OLD), (r"kernel 'new\n': 'new\n' is no text in one line",)),
    (lambda: Member(None, U8, 9), ("unnamed bit-field: ", "0 .. 8")),
    (lambda: Struct("u", {"a": "u8"}, union=True, align=3), ("union u: align 3",)),
    (lambda: Struct("s", ["a"]), ("struct s", "'a'", "(name, type)")),  # type: ignore[list-item]
    (lambda: Struct("s", [5]), ("struct s", "5", "(name, type)")),  # type: ignore[list-item]
    (lambda: Member("a b", U8), ("'a b'", "identifier")),
    (lambda: Member(None, U8), ("anonymous, not u8",)),
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


def test_text_of_a_struct_that_a_typedef_aligns() -> None:
    inner = Struct("q", {"a": "int"}, typedef_align=16)
    assert repr(inner).startswith("typedef struct {\n    int a;\n} q __attribute__((aligned(16)));")
    assert repr(Struct("s", {"x": inner})) == (
        "typedef struct q q_16 __attribute__((aligned(16)));\nstruct s {\n    q_16 x;\n};"
    )
    assert "under its typedef it is aligned to 16" in repr(inner.layout("i386").rules)


@pytest.mark.parametrize(
    ("kind", "bits", "words"),
    [
        (SCALARS["float"], 3, "only an integer of the ABI's byte order can be a bit-field"),
        (SCALARS["__be32"], 3, "only an integer of the ABI's byte order can be a bit-field"),
        (Struct("n", {"x": "u8"}), 3, "only an integer of the ABI's byte order can be a bit-field"),
        (U8, 9, "a bit-field of 9 bits; legal are 1 .. 8"),
        (U8, 0, "a bit-field of 0 bits; legal are 1 .. 8"),
        (U8, "3", "a bit-field of '3' bits"),
        (U8, 2.0, "a bit-field of 2.0 bits"),
    ],
)
def test_what_is_no_bit_field(kind: Any, bits: Any, words: str) -> None:
    with pytest.raises(KvmvizError, match=f"member a: {words}"):
        Member("a", kind, bits)
