"""Two versions of a struct beside each other, in words; the verdict in a line."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmviz import KvmvizError, Struct, parse
from kvmviz.kvm.kernel import OLD
from kvmviz.review import review
from kvmviz.review.versions import Versions, headline, names_of, twin
from tests import strategies
from tests.strategies import changed, steady

ARM, BE = OLD.layout("arm"), OLD.layout("aarch64_be")


def versions(old: str, new: str, abi: str = "aarch64", **values: int) -> Versions:
    """Both versions of the only struct of two C texts, given as members; no new one for ""."""
    before = parse(f"struct s {{ {old} }};")["s"].layout(abi)
    after = parse(f"struct s {{ {new} }};")["s"].layout(abi) if new else None
    return Versions(before, after, tuple(values.items()))


# --- in words --------------------------------------------------------------------------------

PIECES = [
    # old, new, and the lines of the text twin
    ("__u32 hsr; __u64 far;", "", """\
aarch64 (little-endian): size 16, align 8
  bytes    member
  +0..+3   A hsr
  +4..+7   (hole)
  +8..+15  C far"""),
    ("__u32 hsr; __u64 far;", "__u64 hsr; __u64 far;", """\
aarch64 (little-endian): old size 16, align 8; new size 16, align 8
  bytes    old     new           old gets  new gets
  +0..+3   A hsr   A hsr[31:0]   intact    intact
  +4..+7   (hole)  A hsr[63:32]  -         unwritten
  +8..+15  C far   C far         intact    intact"""),
    ("__u8 a;", "__u8 a:3; __u8 b:2;", """\
aarch64 (little-endian): old size 1, align 1; new size 1, align 1
  bytes  old  new                                        old gets   new gets
  +0     A a  B b[1:0] | A a[2:0] | unused bits: mask 0xe0  unwritten  a intact, b foreign"""),
    ("__u8 a;", "__u8 a; __u8 d[3];", """\
aarch64 (little-endian): old size 1, align 1; new size 4, align 1
  bytes   old             new          old gets  new gets
  +0      A a             A a          intact    intact
  +1..+3  (past the end)  D d[0..2]    -         unwritten"""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), PIECES)
def test_the_words_say_each_byte(old: str, new: str, told: str) -> None:
    lines = [re.sub(" +", " ", line) for line in repr(versions(old, new)).split("\n")]
    assert lines == [re.sub(" +", " ", line) for line in told.split("\n")]


def test_numbers_are_stored_in_both_and_read_in_the_others_bytes() -> None:
    told = repr(versions("__u32 a; __u64 b;", "__u64 a; __u64 b;", "s390x", a=0x123456789A))
    assert "+0..+3 A a 34 56 78 9a A a[63:32] 00 00 00 12" in re.sub(" +", " ", told)
    assert "+4..+7 (hole) aa aa aa aa A a[31:0] 34 56 78 9a" in re.sub(" +", " ", told)
    assert told.endswith(
        "  an old program on new bytes: a reads 0x12, not 0x3456789a\n"
        "  a new program on old bytes: a reads 0x3456789aaaaaaaaa, not 0x123456789a"
    )


def test_many_pieces_are_counted() -> None:
    shown = Versions(Struct("s", {f"m{n}": "u8" for n in range(50)}).layout("arm"))
    assert repr(shown).endswith("  left out: 18 more lines, bytes 32..49")


def test_what_tells_more_is_a_hole_of_one_version_and_any_difference_of_two() -> None:
    alone = versions("__u64 a[2]; __u8 b; __u64 c;", "")
    assert [alone.telling(at, at + 8) for at in (0, 8, 16, 24)] == [False, False, True, False]
    both = versions("__u64 a[2]; __u8 b; __u64 c;", "__u64 a[2]; __u8 b; __u64 d;")
    assert [both.telling(at, at + 8) for at in (0, 8, 16, 24)] == [False, False, False, True]


def test_letters_can_be_shared_by_several() -> None:
    one, two = versions("__u32 hsr;", ""), versions("__u32 hat;", "")
    names = names_of([one, two])
    assert names == ("hsr", "hat")
    assert all(words in twin([one, two], "both") for words in ("both\n", "A hsr", "H hat"))


# --- the verdict in a line -------------------------------------------------------------------

HEADLINES = [
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", ("aarch64", "aarch64_be"),
     "✗ an old program breaks: a moved on aarch64_be"),
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", ("aarch64", "x86_64"),
     "✗ a new program on old bytes breaks: a unwritten on aarch64, x86_64"),
    ("__u32 a; __u64 b;", "__u32 a; __u32 c; __u64 b;", ("aarch64", "aarch64_be"),
     "✓ nothing breaks, but old bytes never hold c"),
    ("__u32 a; __u64 b;", "__u32 a; __u32 c; __u64 b;", ("aarch64", "i386"),
     "✗ an old program breaks: b foreign on i386"),
    ("__u32 a;", "__u32 a; __u32 b;", ("aarch64", "m68k"), "✗ sizeof 4 before, 8 after"),
    ("__u32 a;", "__u32 a;", ("aarch64", "m68k"), "✓ nothing breaks"),
    # Of several, so many are named that the line can be read.
    ("__u32 a, b, c, d; __u64 e;", "__u64 a, b, c, d; __u64 e;", ("aarch64", "aarch64_be"),
     "✗ an old program breaks: b foreign, c foreign, 2 more on aarch64; a moved, b foreign, "
     "3 more on aarch64_be"),
    # What only one version has breaks nobody, in a nested struct as at the top.
    ("struct { __u8 x; __u32 y; } n[2]; __u64 all;",
     "struct { __u8 x; __u16 z; __u32 y; } n[2]; __u64 all;",
     ("aarch64", "aarch64_be"), "✓ nothing breaks, but old bytes never hold n.z"),
    ("struct { __u8 x; __u32 y; } n[2]; __u64 all;",
     "struct { __u8 x; __u16 z; __u32 y; } n[2]; __u64 all; __u8 t;",
     ("aarch64", "aarch64_be"), "✗ sizeof 24 before, 32 after on both ABIs"),
    ("struct { __u8 x; __u32 y; } n;", "struct { __u16 z; __u8 x; __u32 y; } n;",
     ("aarch64", "arm"), "✗ an old program breaks: n.x foreign on aarch64, arm"),
    ("__u32 a; struct { __u8 x; __u8 y; } n;", "struct { __u8 x; __u8 y; } n; __u32 a;",
     ("aarch64", "arm"), "✗ an old program breaks: a unwritten, n foreign on aarch64, arm"),
    ("__u32 a; __u32 b;", "__u32 a; __u32 c;", ("aarch64", "arm"), "✓ nothing breaks"),
    ("__u32 a; __u32 reserved[2];", "__u32 b; __u32 a; __u32 reserved;", ("aarch64", "arm"),
     "✗ an old program breaks: a foreign on aarch64, arm"),
    ("__u32 a; __u32 b;", "__u32 a; __u16 c;", ("aarch64", "arm"),
     "✓ nothing breaks, but old bytes never hold c; new bytes never hold b"),
    ("__u32 a;", "float a;", ("aarch64", "arm"),
     "✗ an old program breaks: a moved on aarch64, arm"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "abis", "words"), HEADLINES)
def test_the_headline_says_who_breaks(
    old: str, new: str, abis: tuple[str, str], words: str
) -> None:
    before, after = (parse(f"struct s {{ {text} }};")["s"] for text in (old, new))
    shown = [Versions(before.layout(abi), after.layout(abi)) for abi in abis]
    assert headline(shown).startswith(words)


@settings(steady, max_examples=60)
@given(data=st.data(), abi=strategies.abis)
def test_the_headline_says_what_compare_says(data: st.DataObject, abi: str) -> None:
    old = data.draw(strategies.structs())
    new = data.draw(changed(old))
    words, found = headline([Versions(old.layout(abi), new.layout(abi))]), review(old, new, [abi])
    assert words.startswith("✗") == found.breaks
    wrong = {row.member for row in found.findings if row.severity == "breaks"}
    named = re.findall(r"(\S+) (?:moved|foreign|unwritten)", words.partition("breaks: ")[2])
    assert all(any(w == n or w.startswith(f"{n}.") or n.startswith(f"{w}.") for w in wrong)
               for n in named)  # fmt: skip


def test_the_headline_judges_each_abi_by_its_own_struct() -> None:
    old = parse("struct s { __u64 op:5, rest:59; };")["s"]
    swapped = parse("struct s { __u64 rest:59, op:5; };")["s"]
    shown = [
        Versions(old.layout(abi), (old if abi == "aarch64" else swapped).layout(abi))
        for abi in ("aarch64", "aarch64_be")
    ]
    assert headline(shown) == "✗ an old program breaks: op foreign, rest foreign on aarch64_be"


# --- what is no pair of versions -------------------------------------------------------------

HOSTILE: list[tuple[Any, str]] = [
    (lambda: Versions(None), "two layouts, not None"),  # type: ignore[arg-type]
    (lambda: Versions(OLD), "two layouts, not an object of type Struct"),  # type: ignore[arg-type]
    (lambda: Versions(ARM, "x" * 10**6), "two layouts, not 'xxx"),  # type: ignore[arg-type]
    (lambda: Versions(ARM, BE), "on one ABI, not on arm and aarch64_be"),
    (lambda: Versions(ARM, ARM, None), "None are no values"),  # type: ignore[arg-type]
    (lambda: Versions(ARM, ARM, {"hsr": 3}), "are no values"),  # type: ignore[arg-type]
    (lambda: Versions(ARM, ARM, ("hsr",)), "are no values"),  # type: ignore[arg-type]
    (lambda: Versions(ARM, ARM, ((3, 3),)), "are no values"),  # type: ignore[arg-type]
    (lambda: Versions(ARM, ARM, (("hsr", "3"),)), "member hsr: '3' is not an integer"),  # type: ignore[arg-type]
    (lambda: Versions(ARM, ARM, (("hsr", True),)), "member hsr: True is not an integer"),
    (lambda: repr(versions("float a;", "", a=3)), "member a: only an integer takes a number"),
    (lambda: repr(versions("__u8 a[2];", "", a=3)), "member a: only an integer takes a number"),
    (lambda: headline([]), "one Versions at least"),
    (lambda: headline(3), "one Versions at least"),  # type: ignore[arg-type]
    (lambda: headline([None]), "one Versions at least"),  # type: ignore[list-item]
    (lambda: headline([Versions(ARM, ARM), Versions(BE)]), "every ABI has an old and a new"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "words"), HOSTILE, ids=range(len(HOSTILE)))
def test_errors(call: Any, words: str) -> None:
    with pytest.raises(KvmvizError, match=re.escape(words)) as caught:
        call()
    assert len(str(caught.value)) < 500


def test_a_number_of_any_size_is_cut_to_the_member() -> None:
    shown = versions("__u8 a;", "", a=10**5000 + 7)
    (side,) = shown.each
    assert side.image
    assert bytes(side.image)[0] == (10**5000 + 7) % 256
