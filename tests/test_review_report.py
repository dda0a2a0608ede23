"""The report: a review of one struct or of two headers, in words, Markdown and as plain data."""

from __future__ import annotations

import gc
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import repeat
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmviz import ABIS, Array, KvmvizError, Struct, parse
from kvmviz.c.conditional import Conditional
from kvmviz.kvm.kernel import MERGED, OLD, WIDENED
from kvmviz.review import review, review_all
from kvmviz.review.finding import Finding
from kvmviz.review.report import MOST, WIDTH, ground
from kvmviz.review.versions import Versions, headline
from tests.strategies import by_abi, odd_pair, steady
from tests.test_review_change import edits
from tests.test_review_finding import BIG, NO_HOLE, change


def test_headers() -> None:
    old = parse("struct a { int x; }; struct b { int x; }; struct c { int x; };")
    new = parse("struct b { int x; }; struct c { long long x; }; struct d { int x; };")
    found = review_all(old, new)
    assert [row.new.tag for row in found.reviews] == ["b", "c"]
    assert (found.added, found.removed) == (("d",), ("a",))
    assert found.breaks
    assert found.warns
    told = repr(found)
    gone = "BREAKS: gone, only in the old header: a\n\n"
    assert told.startswith(f"{gone}struct c: BREAKS on all 14 ABIs")
    assert told.endswith("\n\nunchanged: struct b\n\nonly in the new header: d")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((OLD, "x"), "two structs, not a str"),
        ((None, OLD), "two structs, not a NoneType"),
        ((OLD, OLD.layout("arm")), "two structs, not a Layout"),
        ((OLD, OLD, ["vax"]), "unknown ABI 'vax'"),
        ((OLD, OLD, [[]]), "unknown ABI"),
        ((OLD, OLD, ["x" * 10**6]), "unknown ABI 'xxx"),
        ((OLD, OLD, []), "at least one ABI"),
        ((OLD, OLD, None), "a list of ABIs out of .*, not a NoneType"),
        ((OLD, OLD, 3), "a list of ABIs out of .*, not a int"),
        ((OLD, OLD, repeat("arm")), "up to 256 ABIs"),
    ],
)
def test_errors(arguments: Any, words: str) -> None:
    with pytest.raises(KvmvizError, match=words) as caught:
        review(*arguments)
    assert len(str(caught.value)) < 500


def test_a_struct_that_cannot_be_read_is_no_verdict() -> None:
    found = parse("struct s { X int a; }; struct t { int a; };")
    for sides in ((found["s"], found["t"]), (found["t"], found["s"])):
        with pytest.raises(KvmvizError, match="'X'"):
            review(*sides)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, {}), "two mappings of name to struct, not a NoneType"),
        (({}, [OLD]), "two mappings of name to struct, not a list"),
        (({}, {}, None), "a list of ABIs out of .*, not a NoneType"),
        (({"s": OLD}, {"s": 3}), "two mappings of name to struct, not a int"),
        (({"s": 3}, {}), "two mappings of name to struct, not a int"),
        (({3: OLD}, {3: OLD}), "structs by name, not a int"),
    ],
)
def test_errors_of_headers(arguments: Any, words: str) -> None:
    with pytest.raises(KvmvizError, match=words):
        review_all(*arguments)


LOST = [
    # old header, new header, breaks, and the end of the report
    ("struct s { int a; }; struct keep { int q; };", "struct keep { int q; };", True,
     "BREAKS: gone, only in the old header: s\n\nunchanged: struct keep"),
    ("struct s { int a; };", "struct t { long long a; };", True,  # a rename with a widening
     "BREAKS: gone, only in the old header: s\n\nonly in the new header: t"),
    ("struct s { int a; };", "", True, "BREAKS: gone, only in the old header: s"),
    ("", "struct s { int a; };", False, "only in the new header: s"),
    ("struct s { int a; };", "struct s { int a; };", False, "unchanged: struct s"),
    ("struct w { __u8 b[4]; }; struct s { struct w a; };", "struct s { __u8 a[4]; };", False,
     "\n\nonly in the old header: w"),  # what it wrapped is where it was
    # A struct that none of these ABIs had is missed by nobody.
    ("#ifdef __i386__\nstruct s { int a; };\n#endif\nstruct k { int q; };",
     "struct k { int q; };", False, "unchanged: struct k\n\nonly in the old header: s"),
    ("struct s { int a; };", "#ifdef __i386__\nstruct s { int a; };\n#endif", True,
     "struct s is not defined on aarch64, only on i386"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "breaks", "words"), LOST)
def test_a_struct_that_is_gone_breaks(old: str, new: str, breaks: bool, words: str) -> None:
    sides = [parse(text) if text else {} for text in (old, new)]
    found = review_all(sides[0], sides[1], ["aarch64", "aarch64_be"])
    assert found.breaks == breaks
    assert words in repr(found)
    assert "BREAKS" in repr(found) or not breaks
    assert found.record["breaks"] == breaks
    assert found.record["removed"] == [name for name in sides[0] if name not in sides[1]]


# --- the report ------------------------------------------------------------------------------


def test_a_report_of_many_structs_begins_with_a_line_for_each_that_changed() -> None:
    rows = {"a": "int x;", "b": "__u32 x;", "c": "__u32 x; __u64 y;", "d": "int x;"}
    new = rows | {"a": "long long x;", "b": "__be32 x;", "c": "__u32 x, n; __u64 y;"}
    more = "".join(f"struct e{n} {{ int x; }};" for n in range(9))
    sides = [parse("".join(f"struct {tag} {{ {text} }};" for tag, text in side.items()) + more)
             for side in (rows, new)]  # fmt: skip
    told = repr(review_all(sides[0], sides[1], "s390x")).split("\n")
    assert told[:4] == [
        "struct a: BREAKS on s390x",
        "struct c: nothing breaks; 1 warning",
        "struct b: nothing breaks",
        "",
    ]
    assert told[-1] == "unchanged: 10 structs"
    assert "struct e3" not in told


@pytest.mark.parametrize("new", [WIDENED, MERGED, OLD])
def test_the_report_fits_a_mail(new: Struct) -> None:
    told = repr(review(OLD, new))
    assert all(len(line) <= WIDTH and line == line.rstrip() for line in told.split("\n"))
    assert told.isascii()


def test_the_report_says_each_verdict_of_each_abi() -> None:
    found = review(OLD, WIDENED)
    told = repr(found)
    assert told.startswith("struct kvm_debug_exit_arch: BREAKS on all 14 ABIs\n")
    legend = dict(re.findall(r"^  \((\d)\) \S+-endian: (.*)$", told, re.MULTILINE))
    assert {name for names in legend.values() for name in names.split(", ")} == set(ABIS)
    rows = re.findall(r"^  (\w*) +(old < new|new < old)  (.*)$", told, re.MULTILINE)
    member = ""
    for name, direction, cells in rows:
        member = name or member
        for number, cell in enumerate(cells.split(), 1):
            for abi in legend[str(number)].split(", "):
                (row,) = (r for r in found.rows if r.abi.name == abi)
                verdict = row.forward if direction == "old < new" else row.backward
                assert verdict.fields.get(member, "-") == cell
    assert len(rows) == 4


def test_a_change_of_every_member_stays_short() -> None:
    old = Struct("s", {f"m{n}": "u32" for n in range(200)})
    new = Struct("s", {"n": "u32"} | {f"m{n}": "u32" for n in range(200)})
    found = review(old, new)
    assert len({row.member for row in found.findings}) == 202
    lines = repr(found).split("\n")
    assert len(lines) < 4 * MOST + 60
    assert any("177 more members" in line for line in lines)
    assert any(re.search(r"m20,? and 179 more\.$", line) for line in lines)


def test_a_report_lists_so_many_findings_and_counts_the_rest() -> None:
    old = Struct("s", {f"m{n}": "u32" for n in range(200)})
    new = Struct("s", {f"m{n}": "float" for n in range(200)})
    told = repr(review(old, new, "x86_64"))
    # 200 members and the size check that sees nothing.
    assert f"There is more: {201 - MOST} more findings; --json has them all" in told
    assert len(re.findall(r"^  \d+\. ", told, re.MULTILINE)) == MOST


def test_the_headline_counts_the_warnings_that_are_listed() -> None:
    """One new member, in byte 5 or in byte 9: two findings, told as one."""
    found = change("long a; __u8 b; __u64 c;", "long a; __u8 b; __u8 n; __u64 c;",
                   ["arm", "aarch64"])  # fmt: skip
    assert len(found.warnings) == 2
    assert repr(found).startswith("struct s: nothing breaks; 1 warning\n")
    assert "  1. warning: n: added in a hole\n" in repr(found)
    assert "  2. " not in repr(found)


def test_lines_below_a_finding_are_in_one_column() -> None:
    """Two holes that are new on every ABI have no label."""
    told = repr(change("__u8 a; __u64 b;", "__u8 a; __u64 b; __u8 c; __u64 d; __u8 e;", "s390x"))
    assert "note: new padding\n     new hole after c, bytes 17..23\n     new tail padding" in told


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (list(ABIS), "all 14 ABIs"),
        ([n for n in ABIS if n in BIG], "big-endian"),
        ([n for n in ABIS if n in BIG and n != "m68k"], "big-endian except m68k"),
        (["m68k", "i386"], "i386, m68k"),
        ([n for n in ABIS if n not in NO_HOLE], "all except i386, m68k"),
        (["arm"], "arm"),
    ],
)
def test_abis_in_words(names: list[str], words: str) -> None:
    assert ground(review(OLD, OLD), names) == words


@steady
@given(edits())
def test_every_member_that_is_not_intact_has_a_finding(drawn: tuple[Struct, Struct, str]) -> None:
    old, new, abi = drawn
    found = review(old, new, abi)
    told = (name for row in found.findings for name in (row.member, *row.also))
    named = {re.split(r"[.\[]", name)[0] for name in told}
    for verdict in (found.rows[0].forward, found.rows[0].backward):
        assert {name for name, status in verdict.fields.items() if status != "intact"} <= named
    assert all(row.change and (row.remedy or row.severity == "note") for row in found.findings)
    assert all(len(line) <= WIDTH for line in repr(found).split("\n"))


def on_each(old: Struct, new: Struct, *asked: str) -> dict[str, set[Finding]]:
    """What a review of some ABIs at once finds on each of them."""
    rows = review(old, new, asked).findings
    return {abi: {replace(row, abis=()) for row in rows if abi in row.abis} for abi in asked}


@pytest.mark.parametrize("turn", [1, -1])
def test_a_verdict_does_not_hang_on_the_order_of_abis(turn: int) -> None:
    """Reserved bytes may be put to use, but not a member that a union has for more."""
    plain, inside = (
        Struct("s", [("a", "u16[2]"), *rows], align=4)
        for rows in ([("rsvd", "u32")], [(None, Struct("", {"rsvd": "u32"}, union=True))])
    )
    old = Conditional("s", {"aarch64": plain, "x86_64": inside})
    found = review(old, Struct("s", {"a": "u16[4]"}, align=4), ("aarch64", "x86_64")[::turn])
    assert [row.abis for row in found.findings if row.severity == "breaks"] == [("x86_64",)]


def test_what_is_respelled_on_one_abi_is_shown_where_it_breaks_on_another() -> None:
    abis, old = ("x86_64", "aarch64"), Struct("s", {"a": "u32", "b": "u32"})
    kinds = zip(abis, ("__be32", "u16"), strict=True)
    new = Conditional("s", {abi: Struct("s", {"a": kind, "b": "u32"}) for abi, kind in kinds})
    told = repr(review(old, new, abis))
    assert re.search(r"a +old < new +noted +unwritten\n", told)
    assert "noted: reserved, or spelled otherwise; what that does is said below" in told
    shown = [Versions(old.layout(abi), new.layout(abi)) for abi in abis]
    assert headline(shown) == "✗ an old program breaks: a unwritten on aarch64"


@settings(steady, max_examples=60)
@given(st.integers(0, 1 << 32))
def test_findings_of_all_abis_are_those_of_each(seed: int) -> None:
    """In whatever order they are asked, also where the structs differ by ABI."""
    random = Random(seed)
    old, new = (by_abi(random, side) for side in odd_pair(random))
    single = {abi: on_each(old, new, abi)[abi] for abi in ABIS}
    assert on_each(old, new, *random.sample([*ABIS], len(ABIS))) == single


# --- what a header says ----------------------------------------------------------------------

FENCED = "#ifdef __i386__\n#error \x1b[2J ::error::x ``` ~~~ ````` <img src=x> ##[group]\n#endif\n"


def test_a_report_has_nothing_that_a_terminal_a_log_or_a_page_obeys() -> None:
    text = "struct s { int a; };"
    found = review_all(parse(text), parse(f"{FENCED}{text}"))
    for told in (repr(found), found.markdown):
        assert all(line.isprintable() for line in told.split("\n"))
        assert "::" not in told
        assert "##[" not in told
    first, *lines, last = found.markdown.split("\n")
    assert (first, last) == ("``````text", "``````")
    assert "\n".join(lines) == repr(found)
    assert not any(line.lstrip().startswith(last) for line in lines)


def test_the_report_for_a_page_is_fenced() -> None:
    found = review_all({"a": OLD}, {"a": OLD})
    assert found.markdown == "```text\nunchanged: struct kvm_debug_exit_arch\n```"


# --- any two structs -------------------------------------------------------------------------


@settings(steady, max_examples=60)
@given(st.integers(0, 1 << 32))
def test_any_two_structs_are_judged(seed: int) -> None:
    """On all ABIs, in all words."""
    old, new = odd_pair(Random(seed))
    found = review_all({"s": old}, {"s": new})
    told = repr(found)
    assert json.loads(json.dumps(found.record, allow_nan=False)) == found.record
    assert found.markdown.count(told) == 1
    assert ("BREAKS" in told) == found.breaks
    for pair in found.reviews[0].rows:
        shown = Versions(pair.old, pair.new)
        assert repr(shown)
        assert headline([shown]).startswith("✗") == review(old, new, pair.abi).breaks


# --- work ------------------------------------------------------------------------------------

LONG: dict[str, Callable[[int], dict[str, str]]] = {
    "another order of bytes": lambda n: {f"m{i}": "__be32" for i in range(n)},
    "a member in front": lambda n: {"first": "u32"} | {f"m{i}": "u32" for i in range(n)},
    "other names": lambda n: {f"x{i}": "u32" for i in range(n)},
    "wider": lambda n: {f"m{i}": "u64" for i in range(n)},
    "holes": lambda n: {f"m{i}": "u8" if i % 2 else "u32" for i in range(n)},
    "the other way round": lambda n: {f"m{i}": "u32" for i in reversed(range(n))},
}


@pytest.mark.parametrize("name", LONG)
def test_twice_the_members_are_twice_the_work(name: str) -> None:
    """Counted in calls, so that no machine is too slow for it."""
    counts = []
    for number in (100, 200):
        old = Struct("s", {f"m{i}": "u32" for i in range(number)})
        new = Struct("s", LONG[name](number))
        calls = 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        gc.disable()  # a collection calls what others have asked to be called
        sys.setprofile(count)
        try:
            found = review(old, new, "x86_64")
            repr(found)
            repr(Versions(old.layout("x86_64"), new.layout("x86_64")))
            headline([Versions(old.layout("x86_64"), new.layout("x86_64"))])
        finally:
            sys.setprofile(None)
            gc.enable()
        counts.append(calls)
    assert counts[1] < 2.3 * counts[0], counts


def test_a_struct_too_large_to_be_judged_is_refused_by_name() -> None:
    old = Struct("s", [("n", Array(Struct("", {"a": "u32"}), 9000))])
    new = Struct("s", [("n", Array(Struct("", {"a": "u64"}), 9000))])
    with pytest.raises(KvmvizError, match="struct s has more than 8192 leaves"):
        repr(review(old, new, "arm"))
    old, new = Struct("u", {"x": "u8"}), Struct("u", {"x": "u16"})
    for _ in range(60):  # on more paths than can be followed
        old, new = (Struct("u", {"a": one, "b": one}, union=True) for one in (old, new))
    with pytest.raises(KvmvizError, match="union u has more than 8192 leaves"):
        repr(review(old, new, "arm"))
