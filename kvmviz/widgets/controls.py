"""What the widgets share: their look, their lock, and a picture as an HTML element."""

from __future__ import annotations

import base64
import html
import re
import threading
from reprlib import repr as shown
from typing import Any

import ipywidgets as ipw

from kvmviz._base import KvmvizError, integer
from kvmviz.draw.canvas import Picture
from kvmviz.draw.svg import svg

ONE_AT_A_TIME = threading.RLock()
"""JupyterLab hands a widget's messages to more than one thread; matplotlib draws in one only."""

LABEL = "88px"
"""Width of the label at the left of a row: controls stand below each other."""

ROW = {"flex_flow": "row wrap", "overflow": "visible", "grid_gap": "4px 16px", "margin": "2px 0"}
"""A row of controls goes on in the next line where the window is narrow."""

STYLE = """<style>
.kvmviz .widget-label { text-align: left; margin-right: 8px }
.kvmviz .widget-box > * { margin: 0 }
.kvmviz .widget-toggle-buttons, .kvmviz .widget-toggle-buttons > div { display: flex }
.kvmviz .widget-toggle-buttons > div { flex-wrap: wrap; gap: 2px }
.kvmviz .widget-toggle-button { margin: 0; padding: 0 8px 0 2px; text-overflow: clip }
.kvmviz .widget-toggle-button::before { content: ""; display: inline-block; width: 15px }
.kvmviz .widget-toggle-button.mod-active::before { content: "✓"; font-weight: bold }
.kvmviz [role=alert] { color: #b3122b; background: #fff; line-height: 1.4 }
.kvmviz pre { line-height: 1.3; white-space: pre-wrap; word-break: normal }
.kvmviz :is(button, input, select, textarea, [role=slider]):focus-visible {
  outline: 2px solid #0b57d0 !important; outline-offset: 1px !important }
.kvmviz .kvmviz-spoken { position: absolute; width: 1px; height: 1px; overflow: hidden }
</style>"""
"""What is chosen carries a mark, for the eye and in the button's accessible name."""

_WIRED = """<style onload="
const box = this.closest('.kvmviz'), done = 'kvmvizWired' in box.dataset;
box.dataset.kvmvizWired = '';
for (const said of box.querySelectorAll('.kvmviz-spoken')) said.setAttribute('aria-live', 'polite');
const name = group => {
  group.setAttribute('role', 'group');
  const label = group.querySelector('.widget-label');
  group.setAttribute('aria-label', label.textContent || label.title);
  for (const one of group.querySelectorAll('button'))
    one.setAttribute('aria-pressed', one.classList.contains('mod-active'));
};
const all = () => box.querySelectorAll('.widget-toggle-buttons').forEach(name);
if (!done) box.addEventListener('focusin',
  event => event.target.setAttribute('data-lm-suppress-shortcuts', 'true'));
if (!done) new MutationObserver(all).observe(
  box, {subtree: true, childList: true, attributes: true, attributeFilter: ['class']});
all();
"></style>"""
"""Keys pressed in a widget stay there: without this, JupyterLab takes an x in a list of choices for
its command to cut the cell. Rows of buttons get names and states that a screen reader tells, and
the verdict is spoken when it changes. ipywidgets has no trait for any of these."""


def finish(look: str = "") -> Any:
    """What makes a box of controls look and behave like the others: its last child, not shown."""
    return ipw.HTML(STYLE + look + _WIRED, layout={"display": "none"})


def spoken() -> Any:
    """Words that are heard when they change, and not seen."""
    return ipw.HTML().add_class("kvmviz-spoken")


def img(picture: Picture) -> str:
    """A picture as an HTML element of its own size, with its words as alt text."""
    data = base64.b64encode(svg(picture).encode()).decode()
    return (
        f"<img width={picture.width} height={picture.height} style='max-width:100%;height:auto' "
        f"alt='{html.escape(picture.text, quote=True)}' src='data:image/svg+xml;base64,{data}'>"
    )


_HEX = re.compile(r"(0[xX])?[0-9a-fA-F]+(_[0-9a-fA-F]+)*")


class Settable:
    """Only what a widget has can be set on it: a misspelt name would change nothing that shows."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_" and name != "box" and not hasattr(type(self), name):
            legal = [n for n, held in vars(type(self)).items() if getattr(held, "fset", None)]
            kind = type(self).__name__
            raise KvmvizError(f"{kind} has no {name!r} to set; legal are {', '.join(legal)}")
        super().__setattr__(name, value)


def alert(words: str) -> str:
    """An error as an HTML element that a screen reader speaks; nothing for no words."""
    return f"<b role='alert'>{html.escape(words)}</b>" if words else ""


class Live:
    """A widget in a notebook: ``box`` is live; viewers without a kernel see picture and words."""

    box: Any

    @property
    def picture(self) -> Picture | None:
        """The picture that it shows now, if it has one."""
        return None

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown: dict[str, Any] = dict(self.box._repr_mimebundle_())
        about: dict[str, Any] = {}
        if self.picture is not None:
            data, about = self.picture._repr_mimebundle_()
            shown["image/png"] = base64.b64encode(data["image/png"]).decode()
        return shown | {"text/plain": repr(self)}, about


def number(name: str, value: int | str, bits: int) -> int:
    """An unsigned number of that many bits, from an int or from hex digits as text."""
    legal = f"legal are 0x0 .. {(1 << bits) - 1:#x}"
    if isinstance(value, str):
        if not _HEX.fullmatch(value.strip()):
            raise KvmvizError(f"{name}: {shown(value)} is not a hexadecimal number; {legal}")
        found = int(value, 16)
    else:
        found = integer(value, name)
    if not 0 <= found < 1 << bits:
        raise KvmvizError(f"{name}: {found:#x} does not fit {bits} bits; {legal}")
    return found
