"""The constants of a text: enumerators, and macros that stand for an integer."""

from __future__ import annotations

import pytest

from kvmviz.c.parse import read

ROWS: list[tuple[str, dict[str, int | None]]] = [
    ("#define A 1\n#define B (A << 4)\n#define C -1", {"A": 1, "B": 16, "C": -1}),
    ("enum { A, B = 4, C }; enum e { D = B | 1 };", {"A": 0, "B": 4, "C": 5, "D": 5}),
    ("enum { A = 7 };\n#define A A", {"A": 7}),
    ("#define A 0xffffffffffffffffULL\n#define B 'a'", {"A": (1 << 64) - 1, "B": 97}),
    ('#define A "text"\n#define B\n#define C(x) 1\n#define D 1.5', {"A": None, "D": None}),
    ("#define A __u32\n#define B B\n#define C struct s", {"A": None, "B": None, "C": None}),
    ("#define A MISSING\n#define B 1", {"A": None, "B": 1}),
    ("#define A sizeof(long)\n#define B sizeof(int)", {"A": None, "B": 4}),
    ("#define A (" + "sizeof " * 400 + "1) / 4 > 0", {"A": 1}),
    ("#ifdef __LP64__\n#define A 8\n#else\n#define A 4\n#endif", {"A": None}),
    ("#ifdef __LP64__\n#define A 8\n#endif", {"A": None}),
    ("#include <h.h>\n#define A (H + 1)", {"A": 3}),  # those of the text itself
    ("#define A 1\n#undef A\n#define A 2", {"A": 2}),
    ("struct s { int a; };", {}),
]


@pytest.mark.parametrize(("text", "found"), ROWS)
def test_constants(text: str, found: dict[str, int | None]) -> None:
    headers = {"h.h": "#define H 2\nenum { Z };\n"}
    assert read(text, headers, may_be_empty=True).constants == found


def test_constants_with_macros_that_are_given() -> None:
    text = "#ifdef X\n#define A X\n#endif"
    assert read(text, defines={"X": "3"}, may_be_empty=True).constants == {"A": 3}
