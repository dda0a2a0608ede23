"""Widgets whose settings are declared once: turned by hand, from code, or by traitlets' links.

A :class:`Panel` is a state and the settings that change it. Each :class:`Setting` says what is
legal, and has controls, which read and show it. All that a reader sees is a
:class:`~kvmviz.board.Board`, which follows from the state alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from html import escape
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import ipywidgets as ipw
from traitlets import HasTraits, TraitType

from kvmviz._base import KvmvizError, find
from kvmviz.abi import BYTE_ORDERS
from kvmviz.board import Board
from kvmviz.draw.canvas import Picture
from kvmviz.web import html

LOCK = threading.RLock()
"""Held from reading a state to having written the next: JupyterLab hands a widget's messages to
more than one thread. One lock for all, since matplotlib draws in one thread only."""

FRAMES = 64
"""How many states are kept as they were drawn, to come back to: some 10 KB each."""


def wired() -> Any:
    """What makes a box look and behave: style sheets, and scripts that run when they are there."""
    look, act = (html.asset(f"panel.{kind}", "kvmviz.widgets") for kind in ("css", "js"))
    script = escape(f"{html.script()}\n{act}")
    held = f'<style>{html.css()}{look}</style><style onload="{script}"></style>'
    return ipw.HTML(held, layout={"display": "none"})


@lru_cache(maxsize=FRAMES)
def drawn(state: Any) -> tuple[Board | None, str]:
    """The board of a state, if it has one, and the same as HTML, its words folded in it."""
    shown: Board | None = state.board
    return shown, "" if shown is None else f'<div class="kv-figure">{html.article(shown)}</div>'


@dataclass(frozen=True)
class Control:
    """An element that turns a setting by hand: its kind, and its traits to start with.

    It shows the setting's value unless ``shows`` makes something else of the state; ``means`` is
    what a value of it asks of the setting in a state.
    """

    kind: Callable[..., Any]
    traits: Mapping[str, Any]
    shows: Callable[[Any], Any] | None = None
    means: Callable[[Any, Any], Any] = field(default=lambda _, value: value)


def buttons(label: str, options: Iterable[Any], hint: str, **traits: Any) -> Control:
    """A row of buttons, one of which is chosen."""
    known = {"description": label, "options": list(options), "tooltip": hint}
    return Control(ipw.ToggleButtons, known | traits)


def orders(label: str, hint: str) -> Control:
    """Buttons for the byte order."""
    return buttons(label, [(f"{order}-endian", order) for order in BYTE_ORDERS], hint)


def choice(label: str, options: Iterable[Any] = ()) -> Control:
    """A list of which one is chosen."""
    return Control(ipw.Dropdown, {"description": label, "options": list(options)})


def entry(label: str, shows: Callable[[Any], str]) -> Control:
    """A line of text, read when it is entered."""
    return Control(ipw.Text, {"description": label, "continuous_update": False}, shows)


def area(label: str, rows: int, **traits: Any) -> Control:
    """Lines of text, read at every key."""
    return Control(ipw.Textarea, {"description": label, "rows": rows, **traits})


Got = TypeVar("Got")
Given = TypeVar("Given")


class Setting(TraitType[Got, Given]):
    """Something that can be set on a panel; a member of its state, unless it says otherwise.

    ``legal`` makes of what is given what the state holds, and raises :class:`KvmvizError` for what
    is not legal. Where a setting changes more than its member, ``turns`` makes the next state, of
    panel, state and value. ``reads`` is what code gets.
    """

    def __init__(
        self,
        words: str,
        legal: Callable[[Any], Any] = lambda value: value,
        *,
        reads: Callable[[Any], Got] | None = None,
        turns: Callable[[Any, Any, Any], Any] | None = None,
        by: Control | Mapping[str, Control] = MappingProxyType({}),
    ) -> None:
        super().__init__(help=words)
        self.legal, self.reads, self.turns, self.by = legal, reads, turns, by

    @property
    def controls(self) -> Mapping[str, Control]:
        """The controls by name; a single one has the name of the setting."""
        return {str(self.name): self.by} if isinstance(self.by, Control) else self.by

    def of(self, state: Any) -> Any:
        """Its value in a state."""
        return getattr(state, str(self.name)) if self.reads is None else self.reads(state)

    def next(self, panel: Panel, state: Any, value: Any) -> Any:
        """The state with this setting changed; :class:`KvmvizError` for what is not legal."""
        if self.turns is not None:
            return self.turns(panel, state, value)
        try:
            found = self.legal(value)
        except KvmvizError:
            if not isinstance(value, str) or value != self.of(state):
                raise
            return state  # what is shown goes by its name, whether or not a table has it
        return replace(state, **{str(self.name): found})

    def get(self, obj: Any, cls: type[Any] | None = None) -> Got:
        """Its value now."""
        found: Got = self.of(obj._state)
        return found

    def set(self, obj: Any, value: Given) -> None:
        """Change it: what is not legal raises :class:`KvmvizError` and changes nothing."""
        obj.set(**{str(self.name): value})


class Live:
    """A widget in a notebook: ``box`` is live; viewers without a kernel see picture or words."""

    _box: Any

    @property
    def box(self) -> Any:
        """The ipywidget that is shown."""
        return self._box

    @property
    def picture(self) -> Picture | None:
        """The picture that it shows now, if it has one."""
        return None

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        bundle: dict[str, Any] = dict(self.box._repr_mimebundle_())
        look = "white-space: pre-wrap; word-break: normal; font-family: monospace"
        words = f'<pre style="{look}">{escape(repr(self))}</pre>'
        bundle["text/html"] = words if self.picture is None else self.picture.html
        return bundle | {"text/plain": repr(self)}


class Panel(Live, HasTraits):
    """A state, its settings, and the board that shows it.

    Settings are traits: ``panel.observe(act, "name")`` hears of each change, whoever made it. A
    name that is none, or a value that is not legal, raises :class:`KvmvizError` and changes
    nothing; from the controls, the message stands beside them. :attr:`controls` are the
    ipywidgets by name, :attr:`box` is all of it. How a control looks, ``panel.css`` says by its
    class, its name after ``kvmviz-``.
    """

    settings: ClassVar[Mapping[str, Setting[Any, Any]]] = MappingProxyType({})
    """What can be set, by name, in the order in which several are set at once."""

    _home: Any
    """The state at the start, but for what is set when it is made. Of any state ``board`` and
    ``picture`` are what it shows; they raise :class:`KvmvizError` for what cannot be drawn."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = {name: made for name, made in vars(cls).items() if isinstance(made, Setting)}
        cls.settings = MappingProxyType({**cls.settings, **own})

    def __init__(self, **start: Any) -> None:
        super().__init__()
        self._state = self._home
        self._syncing = False
        self._wrong: dict[str, str] = {}
        self._view, self._error, self._spoken = (
            ipw.HTML().add_class(f"kvmviz-{kind}") for kind in ("view", "error", "spoken")
        )
        self._controls: dict[str, Any] = {}
        self._shows: dict[str, Callable[[Any], Any]] = {}
        for name, setting in self.settings.items():
            for key, control in setting.controls.items():
                made = self._controls[key] = control.kind(**control.traits)
                self._shows[key] = control.shows or setting.of
                made.observe(lambda _, at=(name, key, control): self._turned(*at), "value")
        self._button("reset", "Reset", "Back to the state at the start", self.reset)
        with LOCK:
            self._home = self._next(start)
            # Not seen: what is spoken, and what makes it look and behave like the others.
            self._box = ipw.VBox([*self._arrange(), self._spoken, wired()]).add_class("kvmviz")
            for key, made in self._controls.items():
                made.add_class(f"kvmviz-{key.replace(' ', '-')}")
            self._show(self._home, self._controls)

    def __setattr__(self, name: str, value: Any) -> None:
        # notify_change: traitlets puts another one there to hold notifications back.
        if not name.startswith("_") and name != "notify_change":
            find(self.settings, name, f"{type(self).__name__} setting")
        super().__setattr__(name, value)

    def _arrange(self) -> list[Any]:
        """The children of the box."""
        raise NotImplementedError

    def _row(self, *names: str) -> Any:
        """Controls side by side."""
        return ipw.Box([self._controls[name] for name in names]).add_class("kvmviz-row")

    def _settled(self, state: Any, asked: Mapping[str, Any]) -> Any:
        """The state that some settings lead to, all of them set."""
        return state

    def _adapt(self) -> None:
        """What else in the controls follows from the state: options, and which are off."""

    @property
    def controls(self) -> Mapping[str, Any]:
        """The ipywidgets that turn a setting or do something, by name."""
        return MappingProxyType(self._controls)

    def set(self, **settings: Any) -> None:
        """Set several at once; none of them, where one is not legal."""
        with LOCK:
            self._show(self._next(settings))

    def reset(self) -> None:
        """Back to the state that it was made with."""
        with LOCK:
            self._show(self._home)

    @property
    def picture(self) -> Picture | None:
        """The picture that it shows now."""
        found: Picture | None = self._state.picture
        return found

    @property
    def words(self) -> str:
        """The text twin of what it shows now."""
        shown, _ = drawn(self._state)
        return repr(shown)

    def __repr__(self) -> str:
        return self.words

    def _next(self, asked: Mapping[str, Any]) -> Any:
        state = self._state
        for name in asked:
            find(self.settings, name, f"{type(self).__name__} setting")
        for name in filter(asked.__contains__, self.settings):
            state = self.settings[name].next(self, state, asked[name])
        return self._settled(state, asked)

    def _show(self, state: Any, keys: Iterable[str] = (), turned: str = "") -> None:
        """Draw first: what cannot be drawn raises before anything has changed.

        Controls follow that are to show something else, that were refused, and those of ``keys``;
        others may hold what somebody clicked meanwhile. Where a control was ``turned`` by hand,
        what is typed at every key stays as it is, to go on with or to be mended.
        """
        drawn(state)
        before, held = self._values(), self._shown()
        typed = {
            key
            for key, control in self._controls.items()
            if turned and isinstance(control, ipw.Textarea) and control.value != held[key]
        }
        self._state = state
        self._put()
        follow = {key for key, value in self._shown().items() if value != held[key]}
        self._sync({*follow, *self._wrong, *keys} - typed)
        self._wrong = {key: self._wrong[key] for key in typed & set(self._wrong) - {turned}}
        self._tell()
        for name, value in self._values().items():
            if value != before[name]:
                self._notify_trait(name, before[name], value)

    def _values(self) -> dict[str, Any]:
        """What each setting is."""
        return {name: setting.of(self._state) for name, setting in self.settings.items()}

    def _shown(self) -> dict[str, Any]:
        """What each control is to show."""
        return {key: shows(self._state) for key, shows in self._shows.items()}

    def _put(self) -> None:
        """Show the state."""
        shown, self._view.value = drawn(self._state)
        self._spoken.value = escape(shown.spoken) if shown else ""

    def _tell(self) -> None:
        """Say what is wrong, if anything is."""
        self._say("\n".join(self._wrong.values()))

    def _say(self, words: str) -> None:
        """An error beside the controls; no words take it away."""
        self._error.value = f"<b role='alert'>{escape(words)}</b>" if words else ""

    def _sync(self, keys: Iterable[str]) -> None:
        """Bring controls to the state."""
        self._syncing = True
        try:
            self._adapt()
            for key in set(keys) & set(self._shows):
                self._controls[key].value = self._shows[key](self._state)
        finally:
            self._syncing = False

    def _turned(self, name: str, key: str, control: Control) -> None:
        """Somebody has turned a control: what it holds by now is what counts."""
        with LOCK:
            if not self._syncing:
                value = control.means(self._state, self._controls[key].value)
                self._guard(lambda: self._show(self._next({name: value}), [key], key), key)

    def _guard(self, act: Callable[[], object], key: str = "") -> None:
        """Do what a control asks for; say beside the controls what is wrong with it."""
        with LOCK:
            try:
                act()
            except KvmvizError as error:
                if not isinstance(self._controls.get(key), ipw.Text | ipw.Textarea):
                    self._sync([key])
                    key = ""  # only what was typed is there to be mended
                self._wrong[key] = str(error)
                self._tell()

    def _button(self, key: str, words: str, hint: str, act: Callable[[], object]) -> None:
        """A button that does something."""
        made = ipw.Button(description=words, tooltip=hint)
        made.on_click(lambda _: self._guard(act))
        self._controls[key] = made


def columns(*held: list[Any]) -> Any:
    """Elements below each other, in two columns."""
    return ipw.HBox([ipw.VBox(column) for column in held]).add_class("kvmviz-columns")


def choose(control: Any, options: Iterable[Any], name: str) -> None:
    """Give a list of choices its options; what is chosen is added if it is not among them."""
    known = list(options)
    names = [option[1] if isinstance(option, tuple) else option for option in known]
    wanted = tuple(known if name in names else [*known, name])
    if tuple(control.options) != wanted:
        control.options = wanted
        control.value = name


def letters(what: str, value: object, most: int = 100_000) -> str:
    """Text that somebody types; :class:`KvmvizError` for what is none, and for too much of it."""
    if not isinstance(value, str):
        raise KvmvizError(f"{what} is text, not {type(value).__name__}")
    if len(value) > most:
        raise KvmvizError(f"{what} of {len(value)} letters; legal are up to {most}")
    return value
