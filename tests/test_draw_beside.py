"""The picture of versions: rows of bytes, arms of unions, letters, and what is left out."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmviz import ABIS, draw, parse
from kvmviz.abi import Abi
from kvmviz.c.parse import structs
from kvmviz.ctype import Struct
from kvmviz.draw import Picture
from kvmviz.learn.exercises import CONTROL, CONTROL_64, EVENT, EVENT_NDATA, MEM
from kvmviz.review.versions import CELLS, MOST_ROWS, Versions, rows_of
from kvmviz.verdict import compare
from tests import strategies
from tests.legible import words_of
from tests.strategies import changed, steady


@settings(steady, max_examples=25)
@given(data=st.data(), abi=st.sampled_from(list(ABIS.values())))
def test_every_byte_of_any_two_structs_has_the_status_of_its_verdict(
    data: st.DataObject, abi: Abi
) -> None:
    old = data.draw(strategies.structs())
    new = data.draw(changed(old))
    shown = Versions(old.layout(abi), new.layout(abi))
    picture = draw.versions(shown)
    for side, verdict in zip(
        shown.each, (compare(shown.new or shown.old, shown.old),
                      compare(shown.old, shown.new or shown.old)), strict=True,
    ):  # fmt: skip
        for at in range(side.layout.size):
            found = [w.status for w in verdict.witnesses if w.offset == at]
            assert sorted(side.judged(at).values()) == sorted(found)
    bounded = "left out" in repr(shown) or " more" in repr(shown)
    assert bounded or all(name in repr(shown) for name in old.names())
    arms = any("union" in repr(side) for side in (old, new))
    if not arms and shown.size <= CELLS * MOST_ROWS[2] // 2:
        assert "Left out" not in _words(picture)


def _words(picture: Picture) -> str:
    return " ".join(words_of(picture))


ARMS = [
    ("union u { __u64 val; struct { __u64 op:5, rest:59; }; };",
     {"val": 0, "op": 1, "rest": 1}),
    ("struct s { __u32 type; union { __u64 flags; __u64 data[2]; }; };",
     {"type": 0, "flags": 0, "data": 1}),
    ("struct s { union { __u8 a; struct { __u8 b; union { __u8 c; __u16 d; }; }; __u32 e; } u; "
     "__u8 f; };", {"u.a": 0, "u.b": 1, "u.c": 1, "u.d": 2, "u.e": 3, "f": 0}),
    ("struct s { struct { union { int :3; __u8 a; __u16 b; }; } n[2]; };", {"n.a": 0, "n.b": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rows"), ARMS)
def test_the_arms_of_a_union_have_a_row_each(text: str, rows: dict[str, int]) -> None:
    (struct,) = structs(text).values()
    assert rows_of(struct, ABIS["arm"]) == rows


@settings(steady, max_examples=40)
@given(struct=strategies.structs(), abi=st.sampled_from(list(ABIS.values())))
def test_no_two_members_of_an_arm_share_a_bit(struct: Struct, abi: Abi) -> None:
    layout = struct.layout(abi)
    (side,) = Versions(layout).each
    arms = side.arms(0, layout.size)
    for at, held in enumerate(layout.holders):
        for arm in arms:
            shares = [source for source in held if source.slot in (arm.slots or ())]
            assert sum(source.mask for source in shares) <= 0xFF
            assert arm.is_there(at) == (bool(shares) or (not held and arm.leads))
        assert {s.slot for s in held} == {
            s.slot for s in held for arm in arms if s.slot in (arm.slots or ())
        }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MEM, ("V val", "R mem_rsvd", "E mem_lvl[2:0], M mem_op[4:0]")),
        ("struct s { struct { __u8 x; __u32 y; } a; };", ("hole in a",)),
        ("union u { __u8 a; __u16 b; __u32 c; float d; double e; };", ("not drawn: d, e",)),
    ],
)
def test_the_picture_shows_what_lies_over_each_other(text: str, words: tuple[str, ...]) -> None:
    (struct,) = structs(text).values()
    told = _words(draw.versions(Versions(struct.layout("aarch64")))).replace("\xa0", " ")
    for word in words:
        assert word in told


def test_the_picture_judges_each_member_as_the_words_do() -> None:
    old, new = (structs(text)["system_event"] for text in (EVENT, EVENT_NDATA))
    shown = Versions(old.layout("i386"), new.layout("i386"))
    told = _words(draw.versions(shown))
    assert "F flags ✗ moved" in told
    assert "D data ✗ foreign" in told
    assert "F ✗ foreign" not in told
    assert "flags moved, data foreign" in repr(shown)


def test_one_letter_is_one_member_in_all_panels() -> None:
    kernel, program = (structs(text)["__snd_pcm_mmap_control64"] for text in (CONTROL_64, CONTROL))
    picture = draw.versions(
        Versions(kernel.layout("aarch64_be")), Versions(program.layout("armeb"))
    )
    for told in (_words(picture), picture.text):
        pairs = set(re.findall(r"\b([A-Z]) (\w*(?:ptr|min|pad\d))", told))
        assert len(pairs) == len({letter for letter, _ in pairs}) == 5


def test_no_words_run_over_the_edge_of_the_picture() -> None:
    names = ", ".join(f"member_of_some_length_{number}" for number in range(6))
    old, new = (structs(f"struct s {{ {t} {names}; __u64 z; }};")["s"] for t in ("__u32", "__u64"))
    for abis in (("aarch64", "aarch64_be"), ("i386", "m68k")):
        picture = draw.versions(*(Versions(old.layout(abi), new.layout(abi)) for abi in abis))
        for artist in picture.figure.artists:
            box = artist.get_window_extent()
            assert box.x0 >= -1
            assert box.x1 <= picture.width + 1


def test_overlaid_members_have_a_word_each() -> None:
    old = parse("struct s { __u64 flags; };")["s"]
    new = parse("struct s { union { __u64 flags; __u64 data; }; };")["s"]
    assert "F flags | D data  intact    flags intact, data foreign" in repr(
        Versions(old.layout("arm"), new.layout("arm"))
    )
