"""Text of a header in words that a terminal, a log or a page shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmviz.text import plain
from tests.strategies import steady


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("hsr moves from offset 0 to offset 4", "hsr moves from offset 0 to offset 4"),
        ("é \\x1b", "é \\x1b"),
        ("a\x1b[31mb\x07", "a\\x1b[31mb\\x07"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\u202eabc\u2028\ud800", "\\u202eabc\\u2028\\ud800"),
        ("::error::x", ":\\x3aerror:\\x3ax"),
        ("x ::add-mask::y", "x :\\x3aadd-mask:\\x3ay"),
        ("std::byte, :::", "std:\\x3abyte, :\\x3a:"),
        ("a##[error]b", "a#\\x23[error]b"),
        ("\n::error::x", "\\n:\\x3aerror:\\x3ax"),
    ],
)
def test_what_is_not_shown_as_it_is(words: str, told: str) -> None:
    assert plain(words) == told
    assert plain(told) == told


@steady
@given(st.text())
def test_nothing_is_left_that_is_obeyed(words: str) -> None:
    told = plain(words)
    assert told.isprintable()
    assert plain(told) == told
    assert "::" not in told
    assert "##[" not in told
