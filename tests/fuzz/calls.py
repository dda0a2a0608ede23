"""Hostile arguments to every public callable: a KvmvizError, or an answer whose words can be read.

Most arguments are what the callable takes, so that the one that is not gets as far as it can.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from random import Random
from types import ModuleType
from typing import Any

import numpy as np

import kvmviz
from kvmviz import KvmvizError
from kvmviz.kvm import conclusion, kernel, page, program, scenario
from kvmviz.kvm.scenario import SCENARIOS

LONGEST = 1500
"""Characters of a message, whatever it quotes."""

OLD = kvmviz.parse("struct s { __u32 hsr; __u64 far; };")["s"]
NEW = kvmviz.parse("struct s { __u32 hsr; __u32 high:7, :0; __u64 far; __u8 tail[3]; };")["s"]
LAYOUT, OTHER = OLD.layout("aarch64"), NEW.layout("aarch64_be")


class Evil:
    """An object that answers with an exception what a message asks of it, and a look-up."""

    def _answer(self, *_: object) -> Any:
        raise RuntimeError("no answer")

    __repr__ = __str__ = __hash__ = __eq__ = __lt__ = __index__ = __float__ = _answer


class Word(str):
    """A str that is its own class."""

    __slots__ = ()


def deep(kind: type[list[Any]] | type[dict[Any, Any]]) -> Any:
    """Containers 3,000 levels deep."""
    found: Any = 1
    for _ in range(3000):
        found = [found] if kind is list else {"hsr": found}
    return found


def nested(levels: int) -> kvmviz.Struct:
    """Structs inside each other."""
    found = OLD
    for number in range(levels):
        found = kvmviz.Struct(f"n{number}", [kvmviz.Member("inner", found)])
    return found


PLAIN: tuple[Any, ...] = (
    None, True, 0, 1, -1, 7, 64, 2**31, 2**64, -(2**63), 1.5, float("nan"), float("inf"), 1j, "",
    "s", "hsr", "aarch64", "old", "x" * 100_000, "\x1b]0;x\x07", "é", "\ud800", "\0", "__u32",
    "__u8[" + 5000 * "9" + "]", "__u8[1000000000]", "struct s { int a; };", b"",
    b"\xff" * 16, (), [], {}, [[]], {"hsr": "3"}, {"hsr": None}, {1: 2}, {"hsr": 1.5},
    [("a", "__u8")], [("a", "__u8"), ("a", "__u8")], [("a", "__u8[1000000000]")], ["aarch64"],
    ([], []), {"s": OLD}, int, len, NotImplemented, ..., range(3), slice(1, 2),
)  # fmt: skip
NASTY: Mapping[str, Callable[[], Any]] = {
    **{repr(value)[:40]: functools.partial(copy.copy, value) for value in PLAIN},
    "10**5000": lambda: 10**5000,
    "{'hsr': 10**5000}": lambda: {"hsr": 10**5000},
    "a deep list": lambda: deep(list),
    "a deep dict": lambda: deep(dict),
    "60 nested structs": lambda: nested(60),
    "an evil object": Evil,
    "a str of another class": lambda: Word("aarch64"),
    "an iterator": lambda: iter([1, 2]),
    "a bytearray": lambda: bytearray(40),
    "a strided memoryview": lambda: memoryview(bytes(80))[::2],
    "np.uint8": lambda: np.uint8(3),
    "an empty array": lambda: np.zeros(0, np.uint8),
    "a square array": lambda: np.zeros((4, 4), np.uint8),
    "an array of objects": lambda: np.array([None, 1]),
    "a layout": lambda: LAYOUT,
    "a struct": lambda: NEW,
    "an image": lambda: LAYOUT.pack({"hsr": 1}),
    "a verdict": lambda: kvmviz.compare(LAYOUT, OTHER),
    "a vcpu": lambda: kvmviz.Vcpu("old", "aarch64_be"),
    "an exit": lambda: kvmviz.DebugExit(0xF2001234),
    "an esr": lambda: kvmviz.Esr(0xF2001234),
    "an abi": lambda: kvmviz.ABIS["m68k"],
}  # fmt: skip
EXIT = kvmviz.DebugExit(0xD2000062, 0x1000)
GOOD: Mapping[str, Any] = {
    "tag": "s", "members": [("a", "__u8"), ("b", "__u32")], "name": "hsr", "type": "__u32",
    "spec": "__u32", "text": "struct s { int a; };", "headers": {"a.h": ""}, "bits": 64,
    "member": "hsr", "count": 3, "abi": "aarch64_be", "abis": ["arm", "armeb"],
    "values": {"hsr": 1, "far": 2}, "fill": 0xAA, "offset": 0, "buffer": bytes(64),
    "data": bytes(4), "writer": LAYOUT, "reader": OTHER, "layout": LAYOUT, "old": OLD, "new": NEW,
    "value": 0xF2001234, "esr": 0xF2001234, "far": 0x1000, "phys_addr": 0x1000, "length": 4,
    "kernel": "old", "vmm": "qemu", "exit": EXIT, "event": EXIT, "events": [EXIT],
    "scenario": next(iter(SCENARIOS)),
}  # fmt: skip


FUNCTIONS: Mapping[ModuleType, str] = {
    kvmviz.review: "review review_all",
    kvmviz.draw: "byte_map rules reading story matrix overlay evidence esr commit_table versions",
    kvmviz.captures: "parse find readings replay",
    page: "play",
    program: "read matrix",
    conclusion: "conclude conclusions handshake",
    scenario: "find scene",
}
"""What notebooks and the README call beside the names in ``kvmviz``."""


@functools.cache
def targets() -> Mapping[str, Callable[[], Callable[..., Any]]]:
    """Every public callable by name, and how to get at it: methods belong to a fresh object."""
    found: dict[str, Callable[[], Callable[..., Any]]] = {}
    for name in kvmviz.__all__:
        if callable(getattr(kvmviz, name)) and name not in MADE:
            found[name] = functools.partial(getattr, kvmviz, name)
    for module, names in FUNCTIONS.items():
        for name in names.split():
            found[f"{module.__name__}.{name}"] = functools.partial(getattr, module, name)
    for name, make in OBJECTS.items():
        for method in METHODS[name].split():
            found[f"{name}.{method}"] = functools.partial(_method, make, method)
    return found


@functools.cache
def _picture() -> Any:
    return kvmviz.draw.byte_map(LAYOUT.pack({"hsr": 1}))


METHODS = {
    "Struct": "layout widen on",
    "Layout": "pack unpack",
    "Vcpu": "user_write run apply",
    "Picture": "save render",
    "ALL_KERNELS": "find",
}
MADE = ("KvmvizError", "Layout", "Image", "Verdict")
"""Classes whose objects the library makes, or whose values the class that takes them checks."""

OBJECTS: Mapping[str, Callable[[], Any]] = {
    "Struct": lambda: OLD,
    "Layout": lambda: LAYOUT,
    "Vcpu": NASTY["a vcpu"],
    "Picture": _picture,
    "ALL_KERNELS": lambda: kernel.ALL_KERNELS,
}


def _method(make: Callable[[], Any], name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(make(), name)
    return found


def made(number: int) -> tuple[str, dict[str, str]]:
    """A callable, and for each parameter which value: ``good`` or a nasty one by its name."""
    random = Random(number)
    name = random.choice(sorted(targets()))
    picks = {}
    for parameter in inspect.signature(targets()[name]()).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        optional = parameter.default is not parameter.empty
        if optional and random.random() < 0.5:
            continue
        is_good = parameter.name in GOOD and random.random() < 0.6
        picks[parameter.name] = "good" if is_good else random.choice(list(NASTY))
    return name, picks


def run(call: tuple[str, dict[str, str]], number: int) -> str:
    """Call it, and read what comes back."""
    name, picks = call
    target = targets()[name]()
    positional, named = [], {}
    for parameter in inspect.signature(target).parameters.values():
        if (pick := picks.get(parameter.name)) is None:
            continue
        value = GOOD[parameter.name] if pick == "good" else NASTY[pick]()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            positional.append(value)
        else:
            named[parameter.name] = value
    try:
        found = target(*positional, **named)
        if isinstance(found, Iterator):
            found = list(islice(found, 20))
        told = repr(found)
    except KvmvizError as error:
        said = f"{error}"
    else:
        assert told
        return "answered"
    assert 0 < len(said) <= LONGEST, f"{len(said)} characters: {said[:200]}"
    return "refused"
