"""Settings of widgets by the thousand, from code and by hand, legal and not: each is taken, or is
one clear error that changes nothing; and the memory that is held grows no more.

The same four widgets live through a whole run, as they do through an afternoon.
"""

from __future__ import annotations

import functools
import gc
import resource
from pathlib import Path
from random import Random
from typing import Any

from kvmviz import ABIS, DebugExit, Explorer, Interrupted, KvmvizError, MmioExit, SystemEvent
from kvmviz.kvm.kernel import KERNELS, MERGED, POLICIES, Kernel
from kvmviz.kvm.program import READERS, VMMS
from kvmviz.kvm.scenario import SCENARIOS, real
from kvmviz.learn.exercises import EXERCISES
from kvmviz.widgets.desk import Desk
from kvmviz.widgets.timeline import KINDS, Timeline
from kvmviz.widgets.workbench import OLD, WIDENED, Workbench
from tests import panels
from tests.fuzz import calls, texts

PANELS: dict[str, Any] = {
    "Explorer": Explorer, "Timeline": Timeline, "Workbench": Workbench, "Desk": Desk,
}  # fmt: skip

WARM, GROWTH = 1000, 48 << 20
"""After so many settings of a run, this many bytes more are too many."""

Input = tuple[str, str, str, str, int]
"""Widget, ``code`` or ``hand``, setting or control, what kind of value, and a number for it."""


def made(number: int) -> Input:
    """A setting, or a control, and what it is given."""
    random = Random(number)
    kind = random.choice(list(PANELS))
    seed, how = random.randrange(1 << 30), random.choice(("code", "code", "hand"))
    if how == "code":
        nasty = random.random() < 0.4
        what = random.choice(list(calls.NASTY)) if nasty else "legal"
        return kind, how, random.choice(list(PANELS[kind].settings)), what, seed
    return kind, how, str(random.randrange(40)), "typed", seed


def legal(kind: str, name: str, random: Random) -> Any:
    """A value that is often legal."""
    number = random.getrandbits(random.choice((8, 32, 64)))
    event = random.choice((DebugExit(0xF2000000 | number & 0xFFFF), MmioExit(number, 4, b"abcd"),
                           Interrupted(), SystemEvent(2)))  # fmt: skip
    own = Kernel(f"mine{number}", "never", MERGED)
    text = random.choice((OLD, WIDENED, OLD.replace("hsr", f"h{number}"), texts.made(number)))
    known: dict[str, list[Any]] = {
        "abi": list(ABIS), "byte_order": ["little", "big"],
        "layout": ["old", "widened", "merged"],
        "widths": [{random.choice(("hsr", "far", "hsr_high")): random.choice((8, 16, 32, 64))}],
        "reader": list(VMMS if kind == "Explorer" else READERS),
        "esr": [number, f"{number:x}"], "far": [number], "fill": [number & 0xFF],
        "scenario": [*SCENARIOS, *real(), "own"],
        "events": [[event] * (number % 7)], "kernel": [*KERNELS, *POLICIES, own],
        "beside": [None, *KERNELS, own], "full": [True, False], "step": list(range(-1, 6)),
        "text": [text], "changed": [text, ""], "struct": ["", "kvm_debug_exit_arch", "s"],
        "abis": [(random.choice(list(ABIS)), random.choice(list(ABIS)))],
        "values": ["", f"hsr={number}", {"far": number}],
        "name": list(EXERCISES), "answer": [text, EXERCISES["hole"].solution, str(number)],
    }  # fmt: skip
    return random.choice(known[name])


@functools.cache
def panel(kind: str) -> Any:
    """The one widget of its kind."""
    return PANELS[kind]()


def run(given: Input, number: int) -> str:
    """``taken`` or ``refused``; an error changes nothing, and is short."""
    kind, how, name, what, seed = given
    one, random = panel(kind), Random(seed)
    if number % WARM == WARM - 1:
        _check_memory(number)
    if how == "hand":
        return _by_hand(one, int(name), random)
    value = legal(kind, name, random) if what == "legal" else calls.NASTY[what]()
    before, refused = _state(one), ""
    try:
        setattr(one, name, value)
    except KvmvizError as error:
        refused = str(error)
    assert one.words == repr(one)
    assert len(refused) <= calls.LONGEST
    assert not refused or _state(one) == before
    return "refused" if refused else "taken"


def _state(one: Any) -> Any:
    return {name: getattr(one, name) for name in one.settings}, panels.shown(one)


def _by_hand(one: Any, at: int, random: Random) -> str:
    """Turn or press a control: nothing is ever raised there."""
    name, control = list(one.controls.items())[at % len(one.controls)]
    if not hasattr(control, "value"):
        control.click()
    elif hasattr(control, "options"):
        values = [row[1] if isinstance(row, tuple) else row for row in control.options]
        control.value = random.choice(values)
    elif isinstance(control.value, bool):
        control.value = not control.value
    elif isinstance(control.value, int):
        control.value = random.randint(control.min, control.max)
    else:
        entries = [entry for kind in KINDS.values() for *_, entry in kind.get("entries", ())]
        typed = (str(random.getrandbits(64)), *entries, OLD, texts.made(random.getrandbits(20)))
        control.value = random.choice(typed)
    assert one.words == repr(one), name
    return "by hand"


_HELD: list[int] = []


def _check_memory(number: int) -> None:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    _HELD.append(pages * resource.getpagesize())
    grown = _HELD[-1] - _HELD[0]
    assert grown < GROWTH, f"{grown >> 20} MB more after {number} settings"
