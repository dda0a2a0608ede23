"""The workbench, driven from code and through its fields; no browser is needed."""

import base64
import html
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmviz import ABIS, KvmvizError, draw, parse
from kvmviz.abi import Abi
from kvmviz.c.pasted import MOST, laid_out, place, pointed, quoted, structs
from kvmviz.ctype import Struct
from kvmviz.draw.beside import CELLS, MOST_ROWS, Arms, rows_of
from kvmviz.draw.svg import svg
from kvmviz.learn.exercises import CONTROL, CONTROL_64, EVENT, EVENT_NDATA, MEM
from kvmviz.review.versions import Versions
from kvmviz.verdict import STATUSES, compare
from kvmviz.widgets.workbench import Workbench
from tests import strategies
from tests.strategies import changed, steady

HEAD = "struct kvm_debug_exit_arch {\n    __u32 hsr;\n"
WITH_HIGH = HEAD + "    __u32 hsr_high;\n    __u64 far;\n};\n"


@pytest.fixture
def bench() -> Workbench:
    return Workbench()


def field(bench: Workbench, name: str) -> Any:
    return bench._fields[name]


def said(bench: Workbench, name: str) -> str:
    return html.unescape(re.sub("<[^>]*>", "", bench._said[name].value))


def alt(bench: Workbench) -> str:
    found = re.search(r"alt='([^']*)'", bench._view.value)
    assert found
    return html.unescape(found[1])


def test_the_default_tells_the_story(bench: Workbench) -> None:
    assert alt(bench).startswith("✗ an old program breaks: hsr moved on aarch64_be\n")
    assert "an old program on new bytes: hsr reads 0x12, not 0x3456789a" in alt(bench)
    assert repr(bench).startswith(alt(bench))
    assert "kvmviz compare, all 14 ABIs: struct kvm_debug_exit_arch: BREAKS" in repr(bench)


BYTES = {
    ("old", "aarch64"): "9a785634aaaaaaaa8877665544332211",
    ("old", "aarch64_be"): "3456789aaaaaaaaa1122334455667788",
    ("widened", "aarch64"): "9a785634120000008877665544332211",
    ("widened", "aarch64_be"): "000000123456789a1122334455667788",
}


@pytest.mark.parametrize(("version", "abi"), BYTES)
def test_stored_bytes_are_those_of_compilers(bench: Workbench, version: str, abi: str) -> None:
    side = dict(zip(bench.abis, bench._state.versions, strict=True))[abi].sides[version != "old"]
    assert side.image
    assert bytes(side.image).hex() == BYTES[version, abi]


def test_typing_moves_picture_words_and_verdict(bench: Workbench) -> None:
    before = alt(bench)
    field(bench, "changed").value = WITH_HIGH
    assert alt(bench).startswith("✓ nothing breaks, but old bytes never hold hsr_high")
    assert alt(bench) != before
    assert bench.changed == WITH_HIGH
    field(bench, "changed").value = ""
    assert alt(bench).startswith("struct kvm_debug_exit_arch\n")
    assert "old gets" not in alt(bench)


WRONG: list[tuple[str, str, str, int | None]] = [
    ("text", HEAD + "    __u64 far\n};", "line 3, column 14: syntax error: ';' is missing", 3),
    ("changed", "struct a {\n    nope x;\n};", "line 2, column 5: unknown type 'nope'", 2),
    ("changed", "struct a { int x; };",
     "new C defines struct a, old C struct kvm_debug_exit_arch: nothing to compare", None),
    ("text", "", "line 1, column 1: the text defines no struct", 1),
    ("text", "struct s { int x[2000]; };", "more than 4096 bytes", 1),
    ("text", "\nunion s { char x[0]; };", "0 bytes", 2),
    ("values", "hsr=zz", "'hsr=zz' is no value; write member=number", None),
    ("values", "esr=1", "has no member 'esr'; its members are far, hsr", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "typed", "message", "line"), WRONG)
def test_what_is_wrong_is_pointed_at_and_the_last_picture_stays(
    bench: Workbench, name: str, typed: str, message: str, line: int | None
) -> None:
    before, shown = repr(bench), bench._view.value
    good = {other: field(bench, other).value for other in (name, "values")}
    field(bench, name).value = typed
    assert message in said(bench, name).replace("\n", " ")
    assert (repr(bench), bench._view.value) == (before, shown)
    assert field(bench, name).value == typed  # nobody's typing is taken away
    marks = re.findall(r"-(\w+) textarea .*?position: 0 (\d+)px", bench._marks.value)
    assert marks == ([(name, str(4 + 18 * (line - 1)))] if line else [])
    for other, text in good.items():
        field(bench, other).value = text
    assert not any(bench._said[other].value for other in bench._said)
    assert "textarea" not in bench._marks.value


@pytest.mark.parametrize(("name", "typed", "message", "line"), WRONG)
def test_what_is_wrong_is_an_error_from_code(
    bench: Workbench, name: str, typed: str, message: str, line: int | None
) -> None:
    before = repr(bench), bench._view.value, field(bench, name).value
    with pytest.raises(KvmvizError, match=re.escape(message)):
        setattr(bench, name, typed)
    assert (repr(bench), bench._view.value, field(bench, name).value) == before


def test_a_wrong_field_does_not_hold_up_the_others(bench: Workbench) -> None:
    field(bench, "changed").value = "struct {"
    field(bench, "values").value = "hsr=0x11"
    assert "11 00 00 00" in repr(bench)
    bench._abis[1].value = "ppc64"
    assert "ppc64 (big-endian)" in repr(bench)
    assert said(bench, "changed").startswith("line 1")


def test_two_texts_become_right_together(bench: Workbench) -> None:
    field(bench, "text").value = "struct a { int x; }; struct b { int y; };"
    assert "old C struct a: nothing to compare" in said(bench, "changed")
    assert alt(bench).startswith("struct a\n")  # shown alone
    field(bench, "changed").value = "struct a { int x; }; struct b { int y, z; };"
    assert not bench._said["changed"].value
    assert bench.struct == "b"  # the first that differs


OWN = "struct task_info { __u32 id; __u64 far; };"


def test_a_struct_of_another_name_starts_without_what_was_there(bench: Workbench) -> None:
    field(bench, "text").value = OWN
    assert alt(bench).startswith("struct task_info\n")
    assert "new C defines struct kvm_debug_exit_arch" in said(bench, "changed")
    assert field(bench, "values").value == bench.values == "far=0x1122334455667788"
    assert not said(bench, "values")
    field(bench, "changed").value = OWN.replace("far;", "far, more;")
    assert not any(bench._said[name].value for name in bench._said)
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
    assert bench._struct.options == ("a", "b", "u")
    assert bench._struct.layout.display is None
    bench._struct.value = "u"
    assert alt(bench).startswith("union u\n")
    bench.struct = "b"
    assert bench._struct.value == "b"
    with pytest.raises(KvmvizError, match="no struct 'c'; legal are a, b, u"):
        bench.struct = "c"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"abis": ("aarch64",)}, "give two of aarch64"),
        ({"abis": ("aarch64", "vax")}, "give two of aarch64"),
        ({"abis": "aarch64"}, "give two of aarch64"),
        ({"text": 3}, "text of a workbench is text, not int"),
        ({"colour": "red"}, "a workbench has no 'colour'; legal are text, changed"),
    ],
)
def test_settings_are_checked(bench: Workbench, settings: dict[str, Any], message: str) -> None:
    before = repr(bench)
    with pytest.raises(KvmvizError, match=re.escape(message)):
        bench.set(**settings)
    assert repr(bench) == before


def test_reset_goes_back_to_the_start() -> None:
    bench = Workbench(WITH_HIGH, abis=("x86_64", "m68k"), values={"hsr": 18})
    start, first = repr(bench), field(bench, "text").value
    bench.set(text="struct a { int x; };", values="")
    field(bench, "text").value = "struct"
    bench.abis = ("arm", "armeb")
    bench.reset()
    assert repr(bench) == start
    assert field(bench, "text").value == first
    assert bench.values == "hsr=0x12"


def test_a_viewer_gets_widget_picture_and_words(bench: Workbench) -> None:
    bundle, about = bench._repr_mimebundle_()
    assert set(bundle) == {
        "application/vnd.jupyter.widget-view+json", "image/png", "text/plain",
    }  # fmt: skip
    assert bundle["text/plain"] == repr(bench)
    assert about["image/png"]["alt"] == bench.picture.text
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


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
    bench = Workbench(f"struct a {{ {kind} x; }};", values=f"x={number}")
    for one in bench._state.versions:
        assert one.sides[0].image
        assert one.old.unpack(one.sides[0].image)["x"] == found


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
        bench._struct.value = "a19"
        assert "holds more than 4096 bytes" in said(bench, "text")
        assert bench.struct == "a0"
    else:
        assert said(bench, "text")
        assert repr(bench) == before


def test_a_big_struct_is_shown_in_part_and_says_so() -> None:
    old = f"struct run {{ __u8 head[40]; __u32 reason; __u64 data[{MOST // 8 - 12}]; }};"
    for new in ("", old.replace("__u32", "__u16")):
        bench = Workbench(old, new, abis=("aarch64", "i386"))
        assert bench.picture.height < 1000
        assert "left out: " in repr(bench) or len(repr(bench).splitlines()) < 90
        assert len(bench._view.value) < 1_000_000


@settings(steady, max_examples=25)
@given(data=st.data(), abi=st.sampled_from(list(ABIS.values())))
def test_every_byte_of_any_two_structs_has_the_status_of_its_verdict(
    data: st.DataObject, abi: Abi
) -> None:
    old = data.draw(strategies.structs())
    new = data.draw(changed(old))
    shown = Versions(old.layout(abi), new.layout(abi))
    picture = draw.versions(shown)
    assert svg(picture).endswith("</svg>")
    for side, verdict in zip(
        shown.sides, (compare(shown.new or shown.old, shown.old),
                      compare(shown.old, shown.new or shown.old)), strict=True,
    ):  # fmt: skip
        for at in range(side.layout.size):
            found = [w.status for w in verdict.witnesses if w.offset == at]
            assert side.status(at) == (min(found, key=STATUSES.index) if found else None)
    bounded = "left out" in repr(shown) or " more" in repr(shown)
    assert bounded or all(name in repr(shown) for name in old.names())
    arms = any("union" in repr(side) for side in (old, new))
    if not arms and shown.size <= CELLS * MOST_ROWS[2] // 2:
        assert "Left out" not in _words(picture)


def _words(picture: Any) -> str:
    return " ".join(
        artist.get_text() for artist in picture.figure.artists if hasattr(artist, "get_text")
    )


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
    (side,) = Versions(layout).sides
    arms = Arms(side).between(0, layout.size)
    for at, held in enumerate(layout.holders):
        for arm in arms:
            shares = [source for source in held if source.slot in arm.slots]
            assert sum(source.mask for source in shares) <= 0xFF
            assert arm.is_there(at) == (bool(shares) or (not held and arm.leads))
        assert {s.slot for s in held} == {
            s.slot for s in held for arm in arms if s.slot in arm.slots
        }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MEM, ("V val", "R mem_rsvd", "+0 E mem_lvl[2:0], M mem_op[4:0]")),
        ("struct s { struct { __u8 x; __u32 y; } a; };", ("hole in a",)),
        ("union u { __u8 a; __u16 b; __u32 c; float d; double e; };", ("not drawn: D d, E e",)),
    ],
)
def test_the_picture_shows_what_lies_over_each_other(text: str, words: tuple[str, ...]) -> None:
    (struct,) = structs(text).values()
    told = _words(draw.versions(Versions(struct.layout("aarch64")))).replace("\xa0", " ")
    for word in words:
        assert word in told
    assert "parts" not in told


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


def test_a_line_is_quoted_with_a_mark_under_its_column() -> None:
    text = "struct a {\n\tint x\n};"
    with pytest.raises(KvmvizError) as error:
        parse(text)
    line, mark = pointed(text, str(error.value)).split("\n")[1:]
    found = place(str(error.value))
    assert found
    # The tab is as wide as in the field, and the mark below the end of what it speaks of.
    assert line == "  2 |     int x"
    assert mark.index("^") == len("  2 |     int x"[: len("  2 | ") + 3 + found[1] - 1])
    assert pointed(text, "no place") == "no place"


@pytest.mark.parametrize("column", [1, 2, 40, 120, 200])
def test_a_long_line_is_cut_around_its_mark(column: int) -> None:
    line = "".join(chr(ord("a") + at % 26) for at in range(200))
    shown, mark = quoted(f"\n{line}", f"line 2, column {column}: x", 24).split("\n")
    assert len(shown) <= len("  2 | ") + 24
    assert shown[mark.index("^")] == line[column - 1]


TOO_BIG = [
    ("struct s {\n    char x[5000];\n};", (1, 1)),
    ("struct a { int x; };\n  struct\n s { char x[5000]; };", (2, 3)),
    ("typedef struct { char x[5000]; } s;", (1, 34)),
    ("/* struct s */\nunion s { struct { char x[5000]; } y; };", (2, 1)),
]


@pytest.mark.parametrize(("text", "where"), TOO_BIG)
def test_a_struct_that_is_too_big_is_pointed_at(text: str, where: tuple[int, int]) -> None:
    with pytest.raises(KvmvizError, match="holds more than 4096 bytes") as error:
        laid_out(structs(text)["s"], "arm", text)
    assert place(str(error.value)) == where


def test_only_so_many_bytes_are_laid_out() -> None:
    fits = Struct("s", {"x": f"__u8[{MOST}]"})
    assert laid_out(fits, "arm").size == MOST
    with pytest.raises(KvmvizError, match=f"struct s holds more than {MOST} bytes"):
        laid_out(Struct("s", {"x": f"__u8[{MOST + 1}]"}), "arm")


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
    assert alt(bench).startswith("✗ an old program breaks: data unwritten on x86_64")


def test_a_struct_that_an_abi_does_not_have_is_told() -> None:
    bench = Workbench("struct s { int x; };\n#ifdef __i386__\nstruct t { int y; };\n#endif\n")
    before = repr(bench)
    with pytest.raises(KvmvizError, match="struct t is not defined on aarch64, only on i386"):
        bench.struct = "t"
    assert repr(bench) == before
    bench._struct.value = "t"
    assert "not defined on aarch64" in said(bench, "text").replace("\n", " ")
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
    assert alt(bench).startswith("✗ an old program breaks: op foreign, rest foreign on aarch64_be")
    assert "BREAKS on big-endian" in repr(bench)
