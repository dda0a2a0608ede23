"""The workbench, driven from code and through its fields; no browser is needed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kvmviz import KvmvizError, parse
from kvmviz.widgets.workbench import OLD, Workbench
from tests.panels import error, inside, part, plain, twin

MOST = 4096
HEAD = "struct kvm_debug_exit_arch {\n    __u32 hsr;\n"
MERGED = HEAD + "    __u32 hsr_high;\n    __u64 far;\n};\n"
HIDDEN = (
    "✗ breaks on i386, m68k; on aarch64, aarch64_be: nothing breaks, but old bytes never hold "
    "hsr_high\n"
)
"""One headline for the ABIs that are shown and for those that are not."""


@pytest.fixture
def bench() -> Workbench:
    return Workbench()


def field(bench: Workbench, name: str) -> Any:
    return bench.controls[name]


def message(bench: Workbench, name: str) -> str:
    """The HTML below a field, which stands next to it in the same box."""
    for box in inside(bench.box):
        rows = list(getattr(box, "children", ()))
        if field(bench, name) in rows:
            return str(rows[rows.index(field(bench, name)) + 1].value)
    raise AssertionError(name)


def said(bench: Workbench, name: str) -> str:
    return plain(message(bench, name))


def quiet(bench: Workbench) -> bool:
    return not any(message(bench, name) for name in ("text", "changed", "values"))


def test_the_default_tells_the_story(bench: Workbench) -> None:
    assert twin(bench).startswith("✗ an old program breaks: hsr moved on aarch64_be\n")
    assert "an old program on new bytes: hsr reads 0x12, not 0x3456789a" in twin(bench)
    assert repr(bench).startswith(twin(bench))
    assert "kvmviz compare, all 14 ABIs: struct kvm_debug_exit_arch: BREAKS" in repr(bench)


BYTES = {
    ("old", "aarch64"): "9a785634aaaaaaaa8877665544332211",
    ("old", "aarch64_be"): "3456789aaaaaaaaa1122334455667788",
    ("widened", "aarch64"): "9a785634120000008877665544332211",
    ("widened", "aarch64_be"): "000000123456789a1122334455667788",
}


def stored(text: str, abi: str, values: str) -> bytes:
    """The bytes of a struct, as the words of a workbench have them."""
    words = Workbench(text, abis=(abi, abi), values=values).words
    rows = re.findall(r"^  \+\S+ +\S.*?  ((?:[0-9a-f]{2} ?)+)$", words, re.MULTILINE)
    return bytes.fromhex("".join(rows[: len(rows) // 2]))


@pytest.mark.parametrize(("version", "abi"), BYTES)
def test_stored_bytes_are_those_of_compilers(bench: Workbench, version: str, abi: str) -> None:
    text = bench.text if version == "old" else bench.changed
    assert stored(text, abi, bench.values).hex() == BYTES[version, abi]


def test_typing_moves_picture_words_and_verdict(bench: Workbench) -> None:
    before = twin(bench)
    field(bench, "changed").value = MERGED
    assert twin(bench).startswith(HIDDEN)
    assert twin(bench) != before
    assert bench.changed == MERGED
    field(bench, "changed").value = ""
    assert twin(bench).startswith("struct kvm_debug_exit_arch\n")
    assert "old gets" not in twin(bench)


WRONG: list[tuple[str, str, str, int | None]] = [
    ("text", HEAD + "    __u64 far\n};", "line 3, column 14: expected ';' after 'far'", 3),
    ("changed", "struct a {\n    nope x;\n};", "line 2, column 5: unknown type 'nope'", 2),
    ("changed", "struct a { int x; };",
     "new C defines struct a, old C struct kvm_debug_exit_arch: nothing to compare", None),
    ("text", "", "line 1, column 1: the text defines no struct", 1),
    ("text", "struct s { int x[2000]; };", "shown are 1 .. 4096", None),
    ("text", "\nunion s { char x[0]; };", "0 bytes", None),
    ("values", "hsr=zz", "'hsr=zz' is no value; write member=number", None),
    ("values", "esr=1", "has no member 'esr'; its members are far, hsr", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "typed", "message", "line"), WRONG)
def test_what_is_wrong_is_pointed_at_and_the_last_picture_stays(
    bench: Workbench, name: str, typed: str, message: str, line: int | None
) -> None:
    before, shown = repr(bench), part(bench, "view").value
    good = {other: field(bench, other).value for other in (name, "values")}
    field(bench, name).value = typed
    assert message in said(bench, name).replace("\n", " ")
    assert (repr(bench), part(bench, "view").value) == (before, shown)
    assert field(bench, name).value == typed  # nobody's typing is taken away
    assert (f"{line} | " in said(bench, name)) == bool(line)
    for other, text in good.items():
        field(bench, other).value = text
    assert quiet(bench)


@pytest.mark.parametrize(("name", "typed", "message", "line"), WRONG)
def test_what_is_wrong_is_an_error_from_code(
    bench: Workbench, name: str, typed: str, message: str, line: int | None
) -> None:
    before = repr(bench), part(bench, "view").value, field(bench, name).value
    with pytest.raises(KvmvizError, match=re.escape(message)):
        setattr(bench, name, typed)
    assert (repr(bench), part(bench, "view").value, field(bench, name).value) == before


def test_a_wrong_field_does_not_hold_up_the_others(bench: Workbench) -> None:
    field(bench, "changed").value = "struct {"
    field(bench, "values").value = "hsr=0x11"
    assert "11 00 00 00" in repr(bench)
    field(bench, "beside").value = "ppc64"
    assert "ppc64 (big-endian)" in repr(bench)
    assert said(bench, "changed").startswith("line 1")


def test_two_texts_become_right_together(bench: Workbench) -> None:
    field(bench, "text").value = "struct a { int x; }; struct b { int y; };"
    assert "old C struct a: nothing to compare" in said(bench, "changed")
    assert twin(bench).startswith("struct a\n")  # shown alone
    field(bench, "changed").value = "struct a { int x; }; struct b { int y, z; };"
    assert not said(bench, "changed")
    assert bench.struct == "b"  # the first that differs


OWN = "struct task_info { __u32 id; __u64 far; };"


def test_a_struct_of_another_name_starts_without_what_was_there(bench: Workbench) -> None:
    field(bench, "text").value = OWN
    assert twin(bench).startswith("struct task_info\n")
    assert "new C defines struct kvm_debug_exit_arch" in said(bench, "changed")
    assert field(bench, "values").value == bench.values == "far=0x1122334455667788"
    assert not said(bench, "values")
    field(bench, "changed").value = OWN.replace("far;", "far, more;")
    assert quiet(bench)
    # A member that is renamed by typing takes no value away.
    field(bench, "text").value = OWN.replace("far", "fa")
    assert field(bench, "values").value == "far=0x1122334455667788"


def test_from_code_too_values_that_no_member_takes_are_dropped(bench: Workbench) -> None:
    bench.text = OWN.replace("task_info", "kvm_debug_exit_arch")
    assert bench.values == "hsr=0x123456789a far=0x1122334455667788"  # the new version has hsr
    bench.set(text=OWN, changed="")
    assert bench.values == "far=0x1122334455667788"


def test_a_struct_can_be_chosen_where_there_are_several() -> None:
    text = "struct a { int x; }; struct b { int y; struct a z; }; union u { int q; char r[6]; };"
    bench = Workbench(text)
    assert bench.struct == "a"
    assert field(bench, "struct").options == ("a", "b", "u")
    assert field(bench, "struct").layout.display is None
    field(bench, "struct").value = "u"
    assert twin(bench).startswith("union u\n")
    bench.struct = "b"
    assert field(bench, "struct").value == "b"
    with pytest.raises(KvmvizError, match="unknown struct 'c'; legal are a, b, u"):
        bench.struct = "c"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"abis": ("aarch64",)}, "give two of aarch64"),
        ({"abis": ("aarch64", "vax")}, "unknown ABI 'vax'; legal are aarch64"),
        ({"abis": "aarch64"}, "give two of aarch64"),
        ({"text": 3}, "text of a workbench is text, not int"),
        ({"struct": 3}, "struct of a workbench is text, not int"),
        ({"values": "hsr"}, "values: 'hsr' is no value"),
        ({"values": "hsr=\uff11"}, "values: 'hsr=\uff11' is no value"),
        ({"values": dict.fromkeys(map("m{}".format, range(2000)), 1)}, "legal are up to 10000"),
        ({"colour": "red"}, "unknown Workbench setting 'colour'; legal are text, changed"),
    ],
)
def test_settings_are_checked(bench: Workbench, settings: dict[str, Any], message: str) -> None:
    before = repr(bench)
    with pytest.raises(KvmvizError, match=re.escape(message)):
        bench.set(**settings)
    assert repr(bench) == before


def test_reset_goes_back_to_the_start() -> None:
    bench = Workbench(MERGED, abis=("x86_64", "m68k"), values={"hsr": 18})
    start, first = repr(bench), field(bench, "text").value
    bench.set(text="struct a { int x; };", values="")
    field(bench, "text").value = "struct"
    bench.abis = ("arm", "armeb")
    bench.reset()
    assert repr(bench) == start
    assert field(bench, "text").value == first
    assert bench.values == "hsr=0x12"


@pytest.mark.parametrize(
    ("kind", "number", "found"),
    [
        ("__u8", "0x1ff", 0xFF),
        ("__s8", "0x80", -128),
        ("__s16", "-1", -1),
        ("__u64", "-1", (1 << 64) - 1),
        ("__be32", "18", 18),
    ],
)
def test_numbers_are_cut_as_an_assignment_cuts_them(kind: str, number: str, found: int) -> None:
    text = f"struct a {{ {kind} x; }};"
    for abi in ("aarch64", "aarch64_be"):
        layout = parse(text)["a"].layout(abi)
        assert layout.unpack(stored(text, abi, f"x={number}"))["x"] == found


HOSTILE = {
    "big array": "struct a { char x[1000000]; };",
    "big union": "union a {" + "".join(f"char x{i}[4096];" for i in range(200)) + "};",
    "doubling": "struct a0 { char x; };"
    + "".join(f"struct a{i} {{ struct a{i - 1} p, q; }};" for i in range(1, 20)),
    "many empty": "struct a { int n; " + "".join(f"char x{i}[0];" for i in range(9000)) + "};",
    "deep": "struct a {" * 200 + "int x;" + "};" * 200,
    "NUL": "struct a { int x; };\0",
    "unterminated": "struct a { int x; }; /*",
    "recursive": "struct a { struct a x; };",
    "long number": "struct a { int x[" + "9" * 5000 + "]; };",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_or_shown_within_bounds(bench: Workbench, name: str) -> None:
    field(bench, "changed").value = ""
    before = repr(bench)
    field(bench, "text").value = HOSTILE[name]
    if name == "doubling":  # the first struct has one byte
        assert bench.struct == "a0"
        field(bench, "struct").value = "a19"
        assert "shown are 1 .. 4096" in error(bench)
        assert bench.struct == "a0"
    else:
        assert said(bench, "text")
        assert repr(bench) == before


def test_a_big_struct_is_shown_in_part_and_says_so() -> None:
    old = f"struct run {{ __u8 head[40]; __u32 reason; __u64 data[{MOST // 8 - 12}]; }};"
    for new in ("", old.replace("__u32", "__u16")):
        bench = Workbench(old, new, abis=("aarch64", "i386"))
        picture = bench.picture
        assert picture
        assert picture.height < 1200
        assert "left out: " in repr(bench) or len(repr(bench).splitlines()) < 90
        assert len(part(bench, "view").value) < 1_000_000


def test_a_text_that_depends_on_its_target_is_read_for_each_abi() -> None:
    text = """
    #ifdef __x86_64__
    #define EPOLL_PACKED __attribute__((packed))
    #else
    #define EPOLL_PACKED
    #endif
    struct epoll_event { __u32 events; __u64 data; } EPOLL_PACKED;
    """
    bench = Workbench(text, abis=("x86_64", "aarch64"), values="data=7")
    assert "x86_64 (little-endian): size 12, align 1" in repr(bench)
    assert "aarch64 (little-endian): size 16, align 8" in repr(bench)
    bench.changed = text.replace("__x86_64__", "__i386__")
    assert twin(bench).startswith("✗ an old program breaks: data unwritten on x86_64")


def test_a_struct_that_an_abi_does_not_have_is_told() -> None:
    bench = Workbench("struct s { int x; };\n#ifdef __i386__\nstruct t { int y; };\n#endif\n")
    before = repr(bench)
    with pytest.raises(KvmvizError, match="struct t is not defined on aarch64, only on i386"):
        bench.struct = "t"
    assert repr(bench) == before
    field(bench, "struct").value = "t"
    assert "not defined on aarch64" in error(bench).replace("\n", " ")
    assert repr(bench) == before
    bench.set(abis=("i386", "i386"), struct="t")
    assert bench.struct == "t"


def test_the_headline_judges_each_abi_by_its_own_struct() -> None:
    once = "struct s { __u64 op:5, rest:59; };"
    twice = f"""
    #ifdef __LITTLE_ENDIAN_BITFIELD
    {once}
    #else
    struct s {{ __u64 rest:59, op:5; }};
    #endif
    """
    bench = Workbench(once, twice)
    assert twin(bench).startswith("✗ an old program breaks: op foreign, rest foreign on aarch64_be")
    assert "BREAKS on big-endian" in repr(bench)


def test_a_changed_version_alone_is_held_against_the_text_of_the_start() -> None:
    bench = Workbench(changed=MERGED)
    assert (bench.text, bench.changed) == (OLD, MERGED)
    assert twin(bench).startswith(HIDDEN)


def test_code_takes_away_what_was_refused_in_a_field(bench: Workbench) -> None:
    held = bench.changed
    field(bench, "changed").value = "struct {"
    assert said(bench, "changed")
    bench.abis = ("arm", "armeb")
    assert field(bench, "changed").value == held
    assert quiet(bench)


def test_settings_are_heard_of_while_somebody_types(bench: Workbench) -> None:
    heard: list[tuple[str, object]] = []
    bench.observe(lambda change: heard.append((change["name"], change["new"])))
    field(bench, "values").value = "hsr=zz"
    assert heard == []
    field(bench, "values").value = "hsr=1"
    field(bench, "ABI").value = "arm"
    assert heard == [("values", "hsr=1"), ("abis", ("arm", "aarch64_be"))]
