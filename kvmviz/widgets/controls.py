"""What the widgets share: their look, their lock, and a picture as an HTML element."""

from __future__ import annotations

import base64
import html
import threading
from typing import Any

from kvmviz.draw.canvas import Picture
from kvmviz.draw.svg import svg

ONE_AT_A_TIME = threading.RLock()
"""JupyterLab hands a widget's messages to more than one thread; matplotlib draws in one only."""

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
.kvmviz button:focus-visible { outline: 2px solid var(--jp-brand-color1, #0b57d0) }
</style>"""
"""What is chosen carries a mark, for the eye and in the button's accessible name."""


def img(picture: Picture) -> str:
    """A picture as an HTML element of its own size, with its words as alt text."""
    data = base64.b64encode(svg(picture).encode()).decode()
    return (
        f"<img width={picture.width} height={picture.height} style='max-width:100%;height:auto' "
        f"alt='{html.escape(picture.text, quote=True)}' src='data:image/svg+xml;base64,{data}'>"
    )


def alert(words: str) -> str:
    """An error as an HTML element that a screen reader speaks; nothing for no words."""
    return f"<b role='alert'>{html.escape(words)}</b>" if words else ""


def bundle(box: Any, picture: Picture | None, words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The live widget, and for viewers without a kernel the picture and its words; alt text too."""
    shown: dict[str, Any] = dict(box._repr_mimebundle_())
    about: dict[str, Any] = {}
    if picture is not None:
        data, about = picture._repr_mimebundle_()
        shown["image/png"] = base64.b64encode(data["image/png"]).decode()
    return shown | {"text/plain": words}, about
