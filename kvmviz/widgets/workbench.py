"""The workbench: paste C on the left, see its bytes on two ABIs on the right, at every key."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import count
from typing import Any

import ipywidgets as ipw

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS
from kvmviz.c.pasted import place, quoted
from kvmviz.draw.canvas import Picture
from kvmviz.widgets.bench import State, shown
from kvmviz.widgets.controls import ONE_AT_A_TIME, ROW, Live, Settable, finish, img

SETTINGS = ("text", "changed", "abis", "struct", "values")
"""What can be set on a workbench."""

FIELDS = {"text": "old C", "changed": "new C, or empty", "values": "values stored"}
"""The fields that people type in, with their labels."""

LINE = 18
"""Height in pixels of a line of C."""

_LOOK = f"""<style>
.kvmviz-bench .widget-textarea {{
  flex-direction: column; align-items: stretch; width: 100%; height: auto; overflow: visible }}
.kvmviz-bench .widget-textarea > label {{
  width: auto; height: 22px; line-height: 22px; text-align: left; font-weight: bold }}
.kvmviz-bench .widget-textarea textarea {{
  font-family: var(--jp-code-font-family, monospace); font-size: 13px; line-height: {LINE}px;
  white-space: pre; overflow: auto; padding: 4px 6px; height: auto; tab-size: 4; flex: none }}
.kvmviz-bench .kvmviz-values textarea {{ white-space: pre-wrap; overflow-wrap: anywhere }}
.kvmviz-bench [role=status] {{ color: #b3122b; background: #fff; padding: 2px 4px;
  font-size: 13px; line-height: 1.3; overflow-wrap: anywhere }}
.kvmviz-bench [role=status] pre {{ color: inherit; font-size: 13px; margin: 0; white-space: pre;
  overflow-x: auto }}
</style>"""

_NUMBERS = count(1)


@lru_cache(maxsize=256)
def _view(state: State) -> str:
    return img(shown(state)[0])


class Workbench(Settable, Live):
    """A struct on two ABIs side by side, and what a change to it does to those who read it.

    Everything can be set from code as from the fields: ``text`` and ``changed`` (C; ``changed``
    empty for no comparison), ``abis`` (two names), ``struct`` (its name, where the text defines
    several) and ``values`` (``"hsr=0x12"`` or a mapping). What is not legal raises
    :class:`KvmvizError` and changes nothing; typed into a field, the message stands below it
    with line and column, and the last good picture stays.
    """

    def __init__(self, text: str | None = None, changed: str = "", **settings: Any) -> None:
        self._state = State()
        self._syncing = False
        self._marker = f"kvmviz-bench-{next(_NUMBERS)}"
        self._fields = {name: self._field(name) for name in FIELDS}
        self._said = {name: ipw.HTML() for name in FIELDS}
        self._abis = [self._abi(at) for at in (0, 1)]
        self._struct = ipw.Dropdown(
            description="struct", style={"description_width": "auto"}, layout={"width": "auto"}
        )
        self._struct.observe(self._turned, "value")
        self._view = ipw.HTML()
        self._marks = ipw.HTML(layout={"display": "none"})
        self._words = ipw.HTML()
        self.box = self._arrange()
        start = {} if text is None else {"text": text, "changed": changed, "values": ""}
        self._home = self._changed_by(**{**start, **settings})
        self._show(self._home)

    def _field(self, name: str) -> Any:
        made: Any = ipw.Textarea(description=FIELDS[name], rows=2 if name == "values" else 6)
        if name == "values":
            made.placeholder = "hsr=0x12 far=3"
            made.add_class("kvmviz-values")
        made.add_class(f"{self._marker}-{name}")
        made.observe(self._typed, "value")
        return made

    def _abi(self, at: int) -> Any:
        made = ipw.Dropdown(
            description=("ABI", "beside")[at],
            options=list(ABIS),
            style={"description_width": "auto"},
            layout={"width": "auto"},
        )
        made.observe(self._turned, "value")
        return made

    def _arrange(self) -> Any:
        reset = ipw.Button(
            description="Reset", tooltip="Back to the state at the start", layout={"width": "80px"}
        )
        reset.on_click(lambda _: self.reset())
        rows = [part for name in FIELDS for part in (self._fields[name], self._said[name])]
        left = ipw.VBox(rows, layout={"width": "244px", "flex": "0 0 auto"})
        controls = ipw.Box([*self._abis, self._struct, reset], layout=ROW)
        right = ipw.VBox([controls, self._view], layout={"flex": "1 1 0", "min_width": "0"})
        box = ipw.VBox(
            [
                ipw.HBox([left, right], layout={"grid_gap": "10px", "overflow": "visible"}),
                self._words,
                finish(_LOOK),
                self._marks,
            ]
        )
        box.add_class("kvmviz")
        return box.add_class("kvmviz-bench")

    def _changed_by(self, **settings: Any) -> State:
        """The state with some settings changed; raises for what is not legal."""
        for name in settings:
            if name not in SETTINGS:
                legal = ", ".join(SETTINGS)
                raise KvmvizError(f"a workbench has no {name!r}; legal are {legal}")
        if isinstance(values := settings.get("values"), Mapping):
            settings["values"] = " ".join(f"{name}={number:#x}" for name, number in values.items())
        if "abis" in settings:
            settings["abis"] = _two(settings["abis"])
        for name in ("text", "changed", "struct", "values"):
            if not isinstance(settings.get(name, ""), str):
                kind = type(settings[name]).__name__
                raise KvmvizError(f"{name} of a workbench is text, not {kind}")
        if "text" in settings or "changed" in settings:
            settings.setdefault("struct", "")
        state = replace(self._state, **settings)
        if "values" not in settings and "values" in state.faults():
            state = replace(state, values=state.taken(state.values))
            state = replace(state, values="") if "values" in state.faults() else state
        for name, message in state.faults().items():
            raise KvmvizError(f"{name}: {message}")
        if state.struct and state.struct not in state.names:
            raise KvmvizError(f"no struct {state.struct!r}; legal are {', '.join(state.names)}")
        return state

    def set(self, **settings: Any) -> None:
        """Set several at once: a new text and its changed version."""
        with ONE_AT_A_TIME:
            self._show(self._changed_by(**settings))

    def _show(self, state: State) -> None:
        """Draw first: what cannot be drawn raises before anything has changed."""
        self._draw(state)
        self._say({})
        self._sync(FIELDS)

    def _draw(self, state: State) -> None:
        view, words = _view(state), shown(state)[1]
        self._state = state
        self._view.value = view
        self._words.value = (
            f"<pre style='white-space:pre;overflow-x:auto'>{html.escape(words)}</pre>"
        )

    def _sync(self, fields: Mapping[str, Any] | tuple[str, ...]) -> None:
        """Bring the controls to the state; of the fields, those named."""
        self._syncing = True
        try:
            for name in fields:
                self._fields[name].value = getattr(self._state, name)
                self._fit(name)
            for control, abi in zip(self._abis, self._state.abis, strict=True):
                control.value = abi
            self._struct.options = self._state.names
            self._struct.value = self._state.name
            self._struct.layout.display = None if len(self._state.names) > 1 else "none"
        finally:
            self._syncing = False

    def _fit(self, name: str) -> None:
        """As many lines as the text has, within what leaves the picture in sight."""
        if name != "values":
            lines = self._fields[name].value.count("\n") + 1
            self._fields[name].rows = min(max(lines, 5), 9)

    def _typed(self, _: Any) -> None:
        """Show what stands in the fields, as far as it is C; the rest stays as it was."""
        with ONE_AT_A_TIME:
            if self._syncing:
                return
            for name in FIELDS:
                self._fit(name)
            typed: dict[str, Any] = {name: str(c.value) for name, c in self._fields.items()}
            wanted = self._of_another(replace(self._state, **typed))
            if nearest := self._nearest(wanted):
                self._draw(nearest)
                self._sync(())
            self._say(wanted.faults())

    def _of_another(self, wanted: State) -> State:
        """The state without the values that no member takes, if it is of another struct."""
        bare = self._nearest(replace(wanted, values=""))
        if bare is None or bare.name == self._state.name:
            return wanted
        wanted = replace(wanted, values=bare.taken(wanted.values))
        self._set("values", wanted.values)
        return wanted

    def _set(self, name: str, text: str) -> None:
        """Put a text into a field as if it had stood there."""
        syncing, self._syncing = self._syncing, True
        try:
            self._fields[name].value = text
        finally:
            self._syncing = syncing

    def _nearest(self, wanted: State) -> State | None:
        """The state with what is wrong in it as it was before, else left out; None for none."""
        blank: dict[str, Any] = {"changed": "", "values": ""}
        for held in (vars(self._state), blank, vars(self._state), blank):
            if faults := wanted.faults():
                kept: dict[str, Any] = {name: held[name] for name in faults if name in held}
                wanted = replace(wanted, **kept)
        return None if wanted.faults() else wanted

    def _turned(self, change: Any) -> None:
        with ONE_AT_A_TIME:
            if self._syncing:
                return
            abis = tuple(control.value for control in self._abis)
            wanted = replace(self._state, abis=abis)
            if change["owner"] is self._struct:
                wanted = self._of_another(replace(wanted, struct=change["new"]))
            if nearest := self._nearest(wanted):
                self._draw(nearest)
                self._sync(())
                self._typed(None)
            else:
                self._sync(())
                self._say(wanted.faults())

    def _say(self, faults: Mapping[str, str]) -> None:
        """Each message below its field, and the line that it speaks of marked in the field."""
        marks = ""
        for name, control in self._said.items():
            message = faults.get(name, "")
            quote = quoted(str(self._fields[name].value), message, 24)
            told = html.escape(message) + (f"<pre>{html.escape(quote)}</pre>" if quote else "")
            control.value = f"<div role='status'>{told}</div>" if message else ""
            if at := place(message):
                marks += _marked(f".{self._marker}-{name} textarea", at[0])
        self._marks.value = f"<style>{marks}</style>"

    def reset(self) -> None:
        """Back to the state that it was made with."""
        with ONE_AT_A_TIME:
            self._show(self._home)

    @property
    def text(self) -> str:
        """The C text that is shown: the last that could be read."""
        return self._state.text

    @text.setter
    def text(self, text: str) -> None:
        self.set(text=text)

    @property
    def changed(self) -> str:
        """The changed version of the text, empty where there is none."""
        return self._state.changed

    @changed.setter
    def changed(self, text: str) -> None:
        self.set(changed=text)

    @property
    def abis(self) -> tuple[str, str]:
        """The names of the two ABIs."""
        return self._state.abis

    @abis.setter
    def abis(self, names: tuple[str, str]) -> None:
        self.set(abis=names)

    @property
    def struct(self) -> str:
        """The name of the struct that is shown."""
        return self._state.name

    @struct.setter
    def struct(self, name: str) -> None:
        self.set(struct=name)

    @property
    def values(self) -> str:
        """The numbers that are stored, ``hsr=0x12 far=3``; empty to see the layout alone."""
        return self._state.values

    @values.setter
    def values(self, values: str | Mapping[str, int]) -> None:
        self.set(values=values)

    @property
    def picture(self) -> Picture:
        """The picture that it shows now."""
        return shown(self._state)[0]

    @property
    def words(self) -> str:
        """The text twin of what it shows now, with the verdict of ``kvmviz compare``."""
        return shown(self._state)[1]

    def __repr__(self) -> str:
        return self.words


def _two(names: Any) -> tuple[str, ...]:
    """Two names of ABIs."""
    found = tuple(names) if isinstance(names, tuple | list) else ()
    if len(found) != 2 or not all(name in ABIS for name in found):
        raise KvmvizError(f"abis {names!r}: give two of {', '.join(ABIS)}")
    return found


def _marked(field: str, line: int) -> str:
    """A rule that marks a line of a field; it scrolls with the text."""
    return (
        f"{field} {{ background-image: linear-gradient(#d2264b44, #d2264b44); "
        f"background-size: 100% {LINE}px; background-position: 0 {4 + LINE * (line - 1)}px; "
        f"background-repeat: no-repeat; background-attachment: local }}"
    )
