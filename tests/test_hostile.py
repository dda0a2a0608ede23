"""What nobody should hand over, to every public function of the heart: one error, never Python's.

The error is a KvmvizError of bounded length; Python itself refuses only a wrong signature.
"""

from __future__ import annotations

from collections import UserList
from collections.abc import Callable, Mapping
from itertools import count, repeat
from typing import Any

import numpy as np
import pytest

from kvmviz import (
    Abi,
    Array,
    Esr,
    Image,
    KvmvizError,
    Member,
    Struct,
    Verdict,
    abi,
    compare,
    ctype,
)
from kvmviz.c.conditional import Conditional
from kvmviz.ctype import MAX_NAME, Scalar
from kvmviz.layout import Layout, Rules

# Everything is handed over without its type.
struct: Any = Struct
member: Any = Member
array: Any = Array
scalar: Any = Scalar
esr: Any = Esr
own_abi: Any = Abi
find: Any = abi.ABIS.find
siblings: Any = abi.siblings
as_type: Any = ctype.as_type
named: Any = ctype.scalar
image: Any = Image
verdict: Any = Verdict
judge: Any = compare
rules: Any = Rules
conditional: Any = Conditional
laid_out: Any = Layout

HUGE = 10**5000
LONG = "x" * 10**6
LONGEST = "x" * MAX_NAME


class Odd:
    """Whatever is asked of it, it raises."""

    def fail(self, *_: object) -> Any:
        raise RuntimeError

    __eq__ = __hash__ = __repr__ = __bool__ = __index__ = __int__ = __len__ = __iter__ = fail
    __getitem__ = __contains__ = __lt__ = __float__ = __str__ = __bytes__ = fail


class Yes:
    """It is equal to everything, and to nothing else."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


class Keyed(Mapping[Any, int]):
    """A mapping with any key, hashable or not."""

    def __init__(self, key: object) -> None:
        self.key = key

    def __iter__(self) -> Any:
        yield self.key

    def __len__(self) -> int:
        return 1

    def __getitem__(self, key: object) -> int:
        return 1


class Endless(UserList[int]):
    """A list of 4 that never ends."""

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Any:
        return repeat(1)


STRANGE: list[Any] = [
    None, True, 1.5, 1j, "", "x", LONG, "\x1b]0;owned\x07", "\ud800", b"", b"x" * 10**6,
    bytearray(3), [], [1], [[[]]] * 1000, {}, {"a": 1}, {1: 2}, set(), (), range(5), HUGE, -HUGE,
    2**64, -1, float("nan"), Odd(), Yes(), [Odd()], {"a": Odd()}, {1: Yes()}, object, print,
    np.float64(1), np.True_, np.array([1, 2]), np.array([None]), np.zeros((0, 3)),
    np.datetime64("2022-04-25"), ..., NotImplemented, KvmvizError("x"),
]  # fmt: skip
"""Things that are of no use anywhere below, or nearly."""

MADE = Struct("s", [("a", "__u32"), ("d", "__u8[4]"), ("in", Struct("", {"x": "long"}))])
LAYOUT = MADE.layout("arm")
IMAGE = LAYOUT.pack({"a": 1})

TAKES: dict[str, Callable[[Any], object]] = {
    "Abi name": lambda x: own_abi(x, "little", 8, 64, "f", "s"),
    "Abi byte_order": lambda x: own_abi("n", x, 8, 64, "f", "s"),
    "Abi max_align": lambda x: own_abi("n", "big", x, 64, "f", "s"),
    "Abi word_bits": lambda x: own_abi("n", "big", 8, x, "f", "s"),
    "Abi family": lambda x: own_abi("n", "big", 8, 64, x, "s"),
    "Abi source": lambda x: own_abi("n", "big", 8, 64, "f", x),
    "Abi char_signed": lambda x: own_abi("n", "big", 8, 64, "f", "s", x),
    "Abi bit_fields": lambda x: own_abi("n", "big", 8, 64, "f", "s", True, x),
    "ABIS.find": find,
    "abi.siblings": siblings,
    "Scalar name": lambda x: scalar(x, 8),
    "Scalar bits": lambda x: scalar("t", x),
    "Scalar signed": lambda x: scalar("t", 8, x),
    "Scalar kind": lambda x: scalar("t", 8, False, x),
    "Scalar order": lambda x: scalar("t", 8, False, "integer", x),
    "Scalar align": lambda x: scalar("t", 8, False, "integer", None, x),
    "ctype.scalar": named,
    "as_type": as_type,
    "Array element": lambda x: array(x, 2),
    "Array count": lambda x: array("u8", x),
    "Member type": lambda x: member("a", x),
    "Struct tag": lambda x: struct(x, {"a": "u8"}),
    "Struct members": lambda x: struct("s", x),
    "Struct a member": lambda x: struct("s", [x]),
    "Struct a member's name": lambda x: struct("s", [(x, "u8")]),
    "Struct a member's type": lambda x: struct("s", [("a", x)]),
    "Struct union": lambda x: struct("s", {"a": "u8"}, union=x),
    "Struct packed": lambda x: struct("s", {"a": "u8"}, packed=x),
    "Struct align": lambda x: struct("s", {"a": "u8"}, align=x),
    "Struct pack": lambda x: struct("s", {"a": "u8"}, pack=x),
    "Struct empty": lambda x: struct("s", [], empty=x),
    "Member bits": lambda x: struct("s", [member("a", "u8", x)]),
    "Member align": lambda x: struct("s", [member("a", "u8", None, x)]),
    "Member packed": lambda x: struct("s", [member("a", "u8", None, 0, x)]),
    "Conditional variants": lambda x: conditional("s", x),
    "Conditional names": lambda x: conditional("s", Keyed(x)),
    "Conditional struct": lambda x: conditional("s", {"arm": x}),
    "Conditional.on": Conditional("s", {"arm": MADE}).on,
    "Struct.layout": MADE.layout,
    "Struct.on": MADE.on,
    "Struct.widen member": lambda x: MADE.widen(x, 64),
    "Struct.widen bits": lambda x: MADE.widen("a", x),
    "Layout struct": lambda x: laid_out(x, "arm"),
    "Layout abi": lambda x: laid_out(MADE, x),
    "Layout.slot_at": LAYOUT.slot_at,
    "Layout.pack values": LAYOUT.pack,
    "Layout.pack a member": lambda x: LAYOUT.pack(Keyed(x)),
    "Layout.pack an integer": lambda x: LAYOUT.pack({"a": x}),
    "Layout.pack an array": lambda x: LAYOUT.pack({"d": x}),
    "Layout.pack an element": lambda x: LAYOUT.pack({"d": [1, 2, 3, x]}),
    "Layout.pack an index": lambda x: LAYOUT.pack({"d": Keyed(x)}),
    "Layout.pack a struct": lambda x: LAYOUT.pack({"in": x}),
    "Layout.pack fill": lambda x: LAYOUT.pack({}, x),
    "Layout.unpack": LAYOUT.unpack,
    "Layout.unpack offset": lambda x: LAYOUT.unpack(bytes(12), x),
    "Image layout": lambda x: image(x, IMAGE.data, IMAGE.sources),
    "Image data": lambda x: image(LAYOUT, x, IMAGE.sources),
    "Image sources": lambda x: image(LAYOUT, IMAGE.data, x),
    "Image a source": lambda x: image(LAYOUT, IMAGE.data, (x,) * 12),
    "Rules": lambda x: repr(rules(x)),
    "compare writer": lambda x: judge(x, LAYOUT),
    "compare reader": lambda x: judge(LAYOUT, x),
    "Verdict": lambda x: verdict(LAYOUT, x),
    "Esr": esr,
}  # fmt: skip


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_nothing_strange_ends_in_pythons_own_error(take: Callable[[Any], object]) -> None:
    messages = [message for given in STRANGE if (message := refusal(take, given))]
    assert len(messages) > len(STRANGE) / 2
    assert [
        words for words in messages if not (10 < len(words) <= 600 and words.isprintable())
    ] == []


def refusal(take: Callable[[Any], object], given: object) -> str:
    """What the error says, if there is one: any other than the library's leaves this function."""
    try:
        take(given)
    except KvmvizError as error:
        return f"{error}"
    return ""


def nested(depth: int) -> Struct:
    made = Struct("s", {"a": "u8"})
    for _ in range(depth - 1):
        made = Struct("s", {"a": made})
    return made


def rows(depth: int) -> Array:
    made = Array(ctype.scalar("u8"), 1)
    for _ in range(depth - 1):
        made = Array(made, 1)
    return made


def everything(made: Struct) -> list[object]:
    """All that the heart can say of a struct."""
    layout = made.layout("s390x")
    shown = [made, layout, layout.rules, layout.pack({}), compare(layout, layout)]
    return [*map(repr, shown), layout.unpack(bytes(layout.size)), layout.dtype, hash(made)]


def test_types_lie_in_each_other_up_to_a_limit() -> None:
    for made in (nested(ctype.MAX_DEPTH), Struct("s", {"a": rows(ctype.MAX_DEPTH - 1)})):
        assert len(everything(made)) == 8
    for make in (nested, rows):
        with pytest.raises(KvmvizError, match="more than 64 types inside each other"):
            make(200)


def untagged(made: Struct, *names: str | None) -> Struct:
    for _ in range(40):
        made = Struct("", [(name, made) for name in names])
    return made


EMPTY = Struct("e", [], empty=True)
TOO_LARGE: list[tuple[Callable[[], object], str]] = [
    (lambda: as_type(f"__u8[{'9' * 5000}]"), "array of 18446744073709551616 elements; legal"),
    (lambda: as_type("__u8" + "[1]" * 200), "more than 64 types inside each other"),
    (lambda: array("u8", 2**31), "array of 2147483648 elements; legal counts are 0 .. 2147483647"),
    (lambda: struct("s", ((f"a{n}", "u8") for n in count())), "has more than 65536 members"),
    (lambda: untagged(struct("", [], empty=True), None, None), "has more than 65536 members"),
    (lambda: untagged(struct("", {"x": "u8"}), "a", "b"), "has more than 65536 members"),
    (lambda: struct("s", {"a": array(array("u8", 2**31 - 1), 2)}).layout("arm"),
     "struct s on arm has more than 2147483647 bytes"),
    (lambda: struct("s", {"a": array(EMPTY, 10**9)}).layout("arm").unpack(b""),
     "values go into structs of up to 2097152 bytes with up to 262144 members"),
    (lambda: struct("s", {"a": "u8[1000000000]"}).layout("arm").pack({}), "up to 2097152 bytes"),
    (lambda: struct("s", {"a": "u8[1000000000]"}).layout("arm").unpack(b""), "up to 2097152 bytes"),
    (lambda: struct("s", {"a": array(Struct("e", {"x": "u8"}), 10**9)}).layout("arm").slots,
     "struct s has more than 262144 leaves"),
    (lambda: LAYOUT.unpack(bytes(12), HUGE), "from offset an integer of 16610 bits on"),
    (lambda: LAYOUT.pack({"d": Endless()}), "4 elements; legal is exactly 4"),
    (lambda: esr(HUGE), "ESR_EL2: an integer of 16610 bits does not fit 64 bits"),
    (lambda: struct("s", {f"a{n}": "u8" for n in range(5000)}).layout("arm").pack({"b": 1}),
     "struct s has no member 'b'; its members are a0, a1"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), TOO_LARGE, ids=range(len(TOO_LARGE)))
def test_what_is_too_large_is_refused_by_a_stated_limit(
    make: Callable[[], object], words: str
) -> None:
    with pytest.raises(KvmvizError) as caught:
        make()
    assert words in f"{caught.value}"
    assert len(f"{caught.value}") < 600


def test_a_gigabyte_is_told_without_being_made() -> None:
    made = Struct("s", {"n": "u8", "a": "__u64[125000000]"})
    layout = made.layout("i386")
    assert "__u64  a[125000000]  each: 7:0" in repr(layout)
    assert (layout.size, [slot.path for slot in layout.holes]) == (1000000004, ["hole after n"])
    assert compare(layout, layout).fields == {"n": "intact", "a": "intact"}


def test_messages_are_cut_in_their_middle() -> None:
    made = Struct(LONGEST, {LONGEST: "u8"})
    for error in (KvmvizError(LONG), *refusals(made)):
        assert len(f"{error}") <= 4096


def refusals(made: Struct) -> list[KvmvizError]:
    found = []
    for values in ({"b": 1}, {LONGEST: 256}, 5):
        with pytest.raises(KvmvizError) as caught:
            made.layout("arm").pack(values)  # type: ignore[arg-type]
        found.append(caught.value)
    return found
