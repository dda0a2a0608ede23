"""What ``sizeof``, ``_Alignof`` and ``offsetof`` ask about: a type or a member, given in words.

Only what headers write is read: types with stars and brackets behind them, members of a struct by
path, ``((struct s *)0)->member``, strings. The rest is None, for the caller to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kvmviz.abi import Abi
from kvmviz.ctype import POINTER, SCALARS, Array, Struct, Type
from kvmviz.rules import extent

_NAME = re.compile(r"[A-Za-z_]\w*")
_STRING = re.compile(r'"((?:\\(?:[0-7]{1,3}|x[0-9a-fA-F]+|.)|[ -~])*)"')
_ESCAPE = re.compile(r"\\(?:[0-7]{1,3}|x[0-9a-fA-F]+|.)")

Find = Callable[[list[str]], Type | None]
"""The type that a name of one or more words stands for."""
Value = Callable[[list[str]], int]
"""What an expression between square brackets is worth."""


def closing(words: Sequence[str], at: int) -> int:
    """Where the bracket closes that opens at this place; 0 if none opens."""
    pairs = {"(": ")", "[": "]"}
    sign = words[at] if at < len(words) else ""
    depth = 0
    for number in range(at, len(words)) if sign in pairs else ():
        depth += (words[number] == sign) - (words[number] == pairs[sign])
        if not depth:
            return number
    return 0


def is_cast(words: Sequence[str], at: int) -> int:
    """Where ``(type)`` closes, if only names stand in the bracket that opens here; else 0."""
    end = closing(words, at)
    inner = words[at + 1 : end]
    legal = inner and all(_NAME.fullmatch(word) or word == "*" for word in inner)
    return end if legal and end + 1 < len(words) and _begins(words[end + 1]) else 0


def _begins(word: str) -> bool:
    """Whether an operand can begin with this word."""
    return word in ("(", "-", "+", "~", "!") or word[0].isalnum() or word[0] in "_'\"("


def named(words: list[str], find: Find, value: Value) -> Type | None:
    """The type that ``int``, ``struct s [4]``, ``char *[2]`` or ``u8 (*)[3]`` stands for."""
    first = next((n for n, word in enumerate(words) if not _NAME.fullmatch(word)), len(words))
    found = find(words[:first]) if first else None
    if first and words[first : first + 1] == ["*"]:
        found = POINTER
    while found and first < len(words) and words[first] in ("*", "const", "volatile"):
        found, first = POINTER if words[first] == "*" else found, first + 1
    if found and words[first : first + 2] == ["(", "*"]:
        return POINTER
    counts: list[int] = []
    while found and first < len(words):
        end = closing(words, first) if words[first] == "[" else 0
        if not end:
            return None
        counts.append(value(words[first + 1 : end]))
        first = end + 1
    for count in reversed(counts):
        if count < 0 or found is None:
            return None
        found = Array(found, count)
    return found


def sized(words: list[str], find: Find, value: Value, abi: Abi) -> Type | None:
    """What stands behind ``sizeof``, without its brackets: a type, a member, a string."""
    while words[:1] == ["("] and closing(words, 0) == len(words) - 1:
        words = words[1:-1]
    if words and all(_STRING.fullmatch(word) for word in words):
        length = sum(len(_ESCAPE.sub("x", word)) - 2 for word in words)
        return Array(SCALARS["char"], length + 1)
    found = named(words, find, value)
    if found is None and words[:2] == ["(", "("]:
        # ((struct s *)0)->member
        end, outer = closing(words, 1), closing(words, 0)
        inner = words[2:end]
        if inner[-1:] == ["*"] and words[end + 1 : outer] == ["0"] and words[outer + 1] == "->":
            whole = find(inner[:-1])
            path = steps(words[outer + 2 :], value)
            last = member(whole, path, abi) if whole and path else None
            return last[0] if last else None
    return found


def steps(words: list[str], value: Value) -> list[str | int]:
    """A member's path: its names and indices; empty for what is none."""
    found: list[str | int] = []
    number, dot = 0, True
    while number < len(words):
        word = words[number]
        if dot and _NAME.fullmatch(word):
            found.append(word)
            dot = False
        elif word == "[" and found and not dot and (end := closing(words, number)):
            found.append(value(words[number + 1 : end]))
            number = end
        elif word == "." and not dot:
            dot = True
        else:
            return []
        number += 1
    return [] if dot else found


def member(kind: Type, path: Sequence[str | int], abi: Abi) -> tuple[Type, int] | None:
    """Type and byte offset of what a path leads to; None for what has none, as a bit-field."""
    offset = 0
    for step in path:
        if isinstance(step, int):
            if not isinstance(kind, Array):
                return None
            kind = kind.element
            offset += step * extent(kind, abi)[0]
        else:
            field = kind.layout(abi).named.get(step) if isinstance(kind, Struct) else None
            if field is None or field.bits is not None:
                return None
            kind, offset = field.type, offset + field.offset
    return kind, offset
