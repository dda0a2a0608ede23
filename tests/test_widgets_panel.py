"""What all panels do: settings as traits, errors that change nothing, threads, bounded memory."""

from __future__ import annotations

import functools
import gc
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ipywidgets as ipw
import pytest
import traitlets

from kvmviz import DebugExit, Explorer, Interrupted, KvmvizError
from kvmviz.kvm.kernel import Kernel
from kvmviz.widgets.desk import Desk, Scores
from kvmviz.widgets.panel import FRAMES, Panel
from kvmviz.widgets.timeline import MOST_EVENTS, Timeline
from kvmviz.widgets.workbench import MOST_VALUES, Workbench
from tests import panels

KINDS: tuple[Any, ...] = (Explorer, Timeline, Workbench, Desk)

TURNS: list[tuple[Any, str, Any, Any]] = [
    (Explorer, "byte_order", "little", "little"),
    (Explorer, "abi", "s390x", "s390x"),
    (Explorer, "layout", "merged", "merged"),
    (Explorer, "widths", {"far": 32}, {"hsr": 64, "far": 32}),
    (Explorer, "reader", "u64 hsr", "u64 hsr"),
    (Explorer, "esr", "f2001234", 0xF2001234),
    (Explorer, "far", 7, 7),
    (Explorer, "fill", "0x5c", 0x5C),
    (Timeline, "scenario", "ndata", "ndata"),
    (Timeline, "events", [Interrupted()], (Interrupted(),)),
    (Timeline, "kernel", "merged", "merged"),
    (Timeline, "beside", "old", "old"),
    (Timeline, "byte_order", "little", "little"),
    (Timeline, "reader", "hsr_high if flag set", "hsr_high if flag set"),
    (Timeline, "full", True, True),
    (Timeline, "step", 0, 0),
    (Workbench, "changed", "", ""),
    (Workbench, "abis", ["arm", "armeb"], ("arm", "armeb")),
    (Workbench, "values", {"hsr": 18}, "hsr=0x12"),
    (Desk, "name", "leak", "leak"),
    (Desk, "answer", "36", "36"),
]


def test_every_setting_is_turned_here() -> None:
    turned = {(kind, name) for kind, name, _, _ in TURNS}
    turned |= {(Workbench, "text"), (Workbench, "struct")}  # see test_widgets_workbench
    assert turned == {(kind, name) for kind in KINDS for name in kind.settings}


@pytest.mark.parametrize(("kind", "name", "given", "held"), TURNS)
def test_a_setting_is_a_trait(kind: Any, name: str, given: Any, held: Any) -> None:
    panel = kind()
    heard: list[Any] = []
    panel.observe(heard.append, name)
    before = getattr(panel, name)
    setattr(panel, name, given)
    assert getattr(panel, name) == held
    assert [(one["old"], one["new"], one["owner"]) for one in heard] == [(before, held, panel)]
    setattr(panel, name, given)
    assert len(heard) == 1
    assert kind.class_traits()[name].help.endswith(".")
    panel.reset()
    if kind is not Desk:  # whose reset empties the score
        assert getattr(panel, name) == before
        assert len(heard) == 2


def test_panels_are_linked_and_observed_together() -> None:
    explorer, label = Explorer(), ipw.Label()
    traitlets.dlink((explorer, "byte_order"), (label, "value"))
    heard: list[str] = []
    explorer.observe(lambda change: heard.append(change["name"]))
    explorer.controls["byte_order"].value = "little"
    assert label.value == "little"
    assert heard == ["abi", "byte_order"]
    with explorer.hold_trait_notifications():
        explorer.byte_order, explorer.esr = "big", 5
        assert label.value == "little"
    assert label.value == "big"


def test_several_are_set_at_once_or_none() -> None:
    timeline = Timeline()
    timeline.set(step=2, scenario="immediate_exit", kernel="merged")
    assert (timeline.scenario, timeline.step, timeline.kernel) == ("immediate_exit", 2, "merged")
    before = panels.shown(timeline)
    with pytest.raises(KvmvizError, match="step 9 of scenario mmio_low"):
        timeline.set(scenario="mmio_low", step=9)
    assert panels.shown(timeline) == before


class Odd:
    """What compares, hashes and shows itself with an error."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError

    def __bool__(self) -> bool:
        raise RuntimeError


HUGE = 10**5000
LONG = "x" * 10**6
ANY: list[Any] = [HUGE, -HUGE, 1.5, b"x", LONG, "\x1b[31m", [], Odd(), object, "\ud800"]
NONE: list[Any] = [*ANY, None, 0, True, {}]
NO_NUMBER: list[Any] = [*ANY, None, {}, -1, "", " ", "0x", "0x" + "f" * 5000]
HOSTILE: dict[Any, dict[str, list[Any]]] = {
    Explorer: {
        **dict.fromkeys(("abi", "byte_order", "layout", "reader"), NONE),
        "widths": [*ANY, None, {"hsr": HUGE}, {"hsr": "8"}, {"hsr": True}, {LONG: 8}, {3: 8},
                   {"hsr": 8.0}, {None: None}],
        **dict.fromkeys(("esr", "far", "fill"), NO_NUMBER),
    },
    Timeline: {
        **dict.fromkeys(("scenario", "kernel", "reader", "byte_order"), NONE),
        "beside": [one for one in NONE if one is not None],
        "events": [HUGE, None, 1.5, LONG, Odd(), object, [Odd()], [None], [HUGE], b"xy",
                   itertools.repeat(Interrupted()), [Interrupted()] * (MOST_EVENTS + 1)],
        "full": [*ANY, None, {}, 0, 1],
        "step": [*ANY, None, {}, True, -1, 6, "1"],
    },
    Workbench: {
        **dict.fromkeys(("text", "changed", "struct"), NONE),
        "abis": [*ANY, None, ([], []), ("arm",), ("arm", None), ("arm", HUGE), ("arm", LONG),
                 {"arm", "armeb"}, ("arm", Odd())],
        "values": [*ANY, None, {"hsr": "3"}, {"hsr": HUGE}, {"hsr": 1.5}, {Odd: 1}, {LONG: 1},
                   {"hsr": None}, "hsr=1 " * MOST_VALUES, "esr=1"],
    },
    Desk: {
        "name": NONE,
        "answer": [one for one in (*NONE, LONG) if not isinstance(one, str) or one == LONG],
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_not_legal_is_one_bounded_error_and_changes_nothing(kind: Any) -> None:
    panel = kind()
    before = panels.shown(panel), {name: getattr(panel, name) for name in kind.settings}
    assert set(HOSTILE[kind]) == set(kind.settings)
    for name, values in HOSTILE[kind].items():
        for value in values:
            with pytest.raises(KvmvizError) as caught:
                setattr(panel, name, value)
            assert len(str(caught.value)) < 1200, name
            if kind in (Explorer, Timeline):
                with pytest.raises(KvmvizError):
                    kind(**{name: value})
    after = panels.shown(panel), {name: getattr(panel, name) for name in kind.settings}
    assert after == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["colour", "x" * 10**6, "reset", "picture", "box", "controls"])
def test_only_settings_are_set(kind: Any, name: str) -> None:
    panel = kind()
    with pytest.raises(KvmvizError, match=f"unknown {kind.__name__} setting .*; legal are "):
        setattr(panel, name, 1)
    with pytest.raises((KvmvizError, TypeError)) as caught:
        kind(**{name: 1})
    assert kind is Desk or isinstance(caught.value, KvmvizError)
    with pytest.raises(KvmvizError):
        panel.set(**{name: 1})


@pytest.mark.parametrize("given", [None, 5, Odd()])
def test_scores_are_those_of_a_session(given: Any) -> None:
    with pytest.raises(KvmvizError, match="is no Session"):
        Scores(given)


def together(*acts: Callable[[], object]) -> None:
    """Do things in threads that start at once."""
    barrier = threading.Barrier(len(acts))
    failed: list[BaseException] = []

    def run(act: Callable[[], object]) -> None:
        barrier.wait()
        try:
            act()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_threads_that_turn_different_settings_lose_none() -> None:
    explorer = Explorer(layout="merged")
    for bits in (8, 16, 32, 64) * 2:
        wanted = {"hsr": bits, "hsr_high": 72 - bits if bits in (8, 64) else bits, "far": bits}
        together(*(functools.partial(setattr, explorer, "widths", {name: width})
                   for name, width in wanted.items()))  # fmt: skip
        assert explorer.widths == wanted
    clicks = {"layout": "old", "reader": "u64 hsr", "byte_order": "little", "esr": "f2001234"}
    for _ in range(3):
        explorer.reset()
        together(*(functools.partial(setattr, explorer.controls[name], "value", value)
                   for name, value in clicks.items()))  # fmt: skip
        assert (explorer.layout, explorer.reader) == ("old", "u64 hsr")
        assert (explorer.byte_order, explorer.esr) == ("little", 0xF2001234)
        assert panels.twin(explorer) == explorer.words


def test_thirty_events_added_by_three_threads_are_all_held() -> None:
    timeline = Timeline(events=())

    def add(first: int) -> None:
        for number in range(first, first + 10):
            timeline.add(DebugExit(0xF2000000 + number))

    together(*(functools.partial(add, 10 * number) for number in range(3)))
    held = [event.esr - 0xF2000000 for event in timeline.events if isinstance(event, DebugExit)]
    assert sorted(held) == list(range(30))
    assert timeline.step == timeline.controls["step"].value == 29


def test_keys_typed_in_two_fields_at_once_are_all_read() -> None:
    bench = Workbench(changed="")
    for number in range(4):
        text = f"struct s {{ __u32 a{number}; __u64 far; }};"
        together(
            functools.partial(setattr, bench.controls["text"], "value", text),
            functools.partial(setattr, bench.controls["values"], "value", f"far={number}"),
        )
        assert (bench.text, bench.values) == (text, f"far={number}")


def explorers(explorer: Any) -> Iterator[None]:
    for number in itertools.count():
        explorer.set(esr=0x9E3779B97F4A7C15 * number % (1 << 64), fill=number % 256)
        yield


def timelines(timeline: Any) -> Iterator[None]:
    for number in itertools.count():
        timeline.events = [DebugExit(0xF2000000 + number)]
        timeline.kernel = Kernel(f"mine{number}", "", timeline.vcpu.kernel.debug)
        yield


def workbenches(bench: Any) -> Iterator[None]:
    for number in itertools.count():
        bench.controls["changed"].value = f"struct s {{ __u32 a{number}; }};"
        bench.controls["text"].value = f"struct s {{ __u16 a{number}; }};"
        yield


def desks(desk: Any) -> Iterator[None]:
    for number in itertools.count():
        desk.answer = f"struct watch {{ __u32 a{number}; }};"
        desk.check()
        yield


LONG_USE = {Explorer: explorers, Timeline: timelines, Workbench: workbenches, Desk: desks}


def caches() -> list[Any]:
    """The caches of this package."""
    return [
        one
        for one in gc.get_objects()
        if isinstance(one, functools._lru_cache_wrapper) and one.__module__.startswith("kvmviz.")
    ]


def held() -> int:
    """Objects that are held by anything but a cache."""
    for one in caches():
        one.cache_clear()
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.parametrize("kind", LONG_USE)
def test_nothing_but_caches_holds_what_a_panel_has_shown(kind: Any) -> None:
    turns = LONG_USE[kind](kind("sixteen") if kind is Desk else kind())
    for _ in itertools.islice(turns, 9):
        pass
    before = held()
    for _ in itertools.islice(turns, 6):
        pass
    assert held() - before < 30


def test_every_cache_that_panels_fill_is_bounded() -> None:
    ours = caches()
    (frames,) = [one for one in ours if one.__module__.startswith("kvmviz.widgets.")]
    assert frames.cache_info().maxsize == FRAMES
    for one in ours:
        info = one.cache_info()
        # Without a limit: what is keyed by things of a table, never by what somebody typed.
        assert info.maxsize is not None or info.currsize <= 64, one


@pytest.mark.parametrize("kind", KINDS)
def test_a_viewer_gets_widget_picture_and_words(kind: Any) -> None:
    panel = kind()
    bundle = panel._repr_mimebundle_()
    assert bundle["text/plain"] == repr(panel) == panel.words
    assert "application/vnd.jupyter.widget-view+json" in bundle
    if kind is Desk:
        # Nothing is graded yet: no picture, and the words stand behind one line.
        assert "<img" not in bundle["text/html"]
        return
    assert panel.picture
    assert bundle["text/html"] == panel.picture.html
    assert panels.twin(panel) == panel.words
    assert panel.words.startswith(panel.picture.text) or panel.picture.text in panel.words


def test_a_panel_needs_a_state_and_its_own_settings() -> None:
    class More(Explorer):
        """An explorer of one's own."""

    assert list(More.settings) == list(Explorer.settings)
    assert More(fill=3).fill == 3
    assert isinstance(Explorer.settings, Mapping)
    assert not Panel.settings
