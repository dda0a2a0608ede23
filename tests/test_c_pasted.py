"""A pasted text: where it is wrong is pointed at, and only so much of it is laid out."""

import pytest

from kvmviz import KvmvizError, parse
from kvmviz.c.parse import MOST, laid_out, place, pointed, quoted
from kvmviz.ctype import Struct, Type


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


def test_only_so_many_bytes_are_laid_out() -> None:
    fits = Struct("s", {"x": f"__u8[{MOST}]"})
    assert laid_out(fits, "arm").size == MOST
    with pytest.raises(
        KvmvizError, match=f"struct s has {MOST + 1} bytes on arm; shown are 1 .. {MOST}"
    ):
        laid_out(Struct("s", {"x": f"__u8[{MOST + 1}]"}), "arm")
    arms: dict[str, Type | str] = dict.fromkeys("abc", f"__u8[{MOST // 2}]")
    with pytest.raises(KvmvizError, match="those of a union's members side by side"):
        laid_out(Struct("u", arms, union=True), "arm")


def test_a_terminal_obeys_no_sign_of_a_quoted_line() -> None:
    text = "struct s { int x; };\x1b[31m\x07"
    with pytest.raises(KvmvizError) as error:
        parse(text)
    shown, mark = quoted(text, str(error.value)).split("\n")
    assert shown == "  1 | struct s { int x; };�[31m�"
    assert mark.index("^") == shown.index("�")
