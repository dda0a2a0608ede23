"""Answers as people type them: numbers, statuses, offsets and ABIs out of plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.layout import Layout
from kvmviz.verdict import STATUSES

_NUMBER = r"(?<![\w.])[-+]?(?:0[xX][0-9a-fA-F]+|\d{1,40})(?!\.?\d)"
_STATUS = rf"\b(?:{'|'.join(STATUSES)})\b"
_RANGE = re.compile(r"(?<=\d)\s*(?:\.{2,3}|[-…\u2010-\u2015\u2212]|\bto\b)\s*(?=\+?\d)")


def parts(answer: str, count: int) -> list[str]:
    """The answers to so many questions: one a line, or all in one line.

    There may be fewer than asked for, or more.
    """
    lines = [line for line in answer.splitlines() if line.strip()]
    if count == 1:
        return [" ".join(lines)] if lines else []
    if len(lines) > 1:
        return lines
    for separator in (r"[,;]", r"\s+"):
        found = [part for part in re.split(separator, answer) if part.strip()]
        if len(found) == count:
            return found
    return re.findall(f"{_NUMBER}|{_STATUS}", answer, re.IGNORECASE)


def meant(part: str, like: int | str) -> int | str | None:
    """The first number, or the first status, of an answer that may have a label before a colon.

    None where nothing is answered yet. :class:`KvmvizError` where the words hold no such thing;
    ``like`` says which is asked for.
    """
    label, colon, behind = part.partition(":")
    words = behind if colon else label
    if isinstance(like, int):
        # A label may have a number of its own; none has a status.
        if found := re.search(_NUMBER, words) or re.search(_NUMBER, part):
            return _number(found[0])
    elif found := re.search(_STATUS, part, re.IGNORECASE):
        return found[0].lower()
    if not words.strip():
        return None
    if isinstance(like, int):
        raise KvmvizError(f"{_short(words)} is no number; write a number of bytes, as in 4")
    legal = ", ".join(STATUSES[::-1][:-1])
    raise KvmvizError(f"{_short(words)} is no status; write {legal} or {STATUSES[0]}")


def _number(word: str) -> int:
    return int(word, 16) if "x" in word.lower() else int(word)


def _short(words: str) -> str:
    told = words.strip()
    return repr(told if len(told) <= 40 else f"{told[:37]}...")


def offsets(answer: str, layout: Layout) -> set[int]:
    """Offsets and ranges of them: ``4..7, 12``, ``bytes 4 to 7 and byte 12``."""
    words = re.sub(r"\b(?:bytes?|offsets?|and)\b", " ", answer.lower())
    named: set[int] = set()
    for word in re.split(r"[,;\s]+", _RANGE.sub("..", words)):
        if not (word := word.rstrip(".")):
            continue
        match = re.fullmatch(r"\+?(\d{1,6})(?:\.\.\+?(\d{1,6}))?", word)
        if match is None:
            raise KvmvizError(f"{_short(word)} is no offset; write offsets as in 4..7, 12")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise KvmvizError(f"{word} runs backwards; write {last}..{first}")
        if last >= layout.size:
            legal = f"{layout.struct} has bytes 0..{layout.size - 1} on {layout.abi.name}"
            raise KvmvizError(f"{word}: {legal}")
        named |= set(range(first, last + 1))
    if not named:
        raise KvmvizError("no offset is named; write offsets as in 4..7, 12")
    return named


def abi_names(answer: str) -> Sequence[str]:
    """Names of ABIs, in capitals too, ``and`` between them; :class:`KvmvizError` for others."""
    named = [name for name in re.findall(r"[\w-]+", answer.lower()) if name not in ("and", "on")]
    if unknown := [name for name in named if name not in ABIS]:
        raise KvmvizError(f"{_short(unknown[0])} is no ABI; legal are {', '.join(ABIS)}")
    return named
