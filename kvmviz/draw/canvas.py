"""A sheet measured in pixels, and the picture that comes of it, with its text twin."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from kvmviz._base import KvmvizError
from kvmviz.style import INK

DPI = 100
SANS, MONO = "DejaVu Sans", "DejaVu Sans Mono"
"""Both come with matplotlib: a picture looks the same wherever it is drawn."""

FEATURES = ("-liga",) if hasattr(Text, "set_fontfeatures") else ()
"""No ligatures: one would make a single sign of the digits ff. Older matplotlib has none."""

FORMATS = ("png", "svg", "pdf")


class Picture:
    """A finished drawing: a matplotlib ``figure`` and ``text``, the words that say the same.

    In a notebook it shows as PNG, with the words as its text and its alt text.
    """

    def __init__(self, figure: Figure, text: str) -> None:
        self.figure = figure
        self.text = text
        width, height = figure.get_size_inches()
        self.width, self.height = round(width * DPI), round(height * DPI)

    def __repr__(self) -> str:
        return self.text

    def render(self, form: str, scale: float = 2) -> bytes:
        """The picture as a file's bytes: ``png`` (``scale`` times its size), ``svg`` or ``pdf``.

        The same picture gives the same bytes: no date, no random ids. The file carries the
        picture's words as its description. Raises :class:`KvmvizError` for another format.
        """
        if form not in FORMATS:
            raise KvmvizError(f"no format {form!r}; legal are {', '.join(FORMATS)}")
        metadata: Mapping[str, Mapping[str, str | None]] = {
            "png": {"Software": None, "Description": self.text},
            "svg": {"Date": None, "Description": self.text},
            "pdf": {"CreationDate": None, "Subject": self.text},
        }
        out = io.BytesIO()
        with mpl.rc_context({"svg.hashsalt": "kvmviz", "svg.fonttype": "path"}):
            self.figure.savefig(out, format=form, dpi=DPI * scale, metadata=dict(metadata[form]))
        return out.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file; its suffix (.png, .svg, .pdf) says the format."""
        target = Path(path)
        target.write_bytes(self.render(target.suffix.lstrip(".").lower()))
        return target

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        size = {"width": self.width, "height": self.height, "alt": self.text}
        data = {"image/png": self.render("png"), "text/plain": self.text}
        return data, {"image/png": size}


class Canvas:
    """Draws on a figure of ``width`` by ``height`` pixels; (0, 0) is the upper left corner.

    Artists hang on the figure itself, without axes: a sheet has no ticks to lay out.
    """

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        flip = Affine2D().scale(1 / width, -1 / height).translate(0, 1)
        self.pixels = flip + self.figure.transFigure
        self.width, self.height = width, height

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self.pixels)
        self.figure.add_artist(artist)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 14,
        *,
        colour: str = INK,
        bold: bool = False,
        mono: bool = False,
        italic: bool = False,
        ha: Literal["left", "center", "right"] = "left",
        va: Literal["baseline", "center"] = "baseline",
    ) -> None:
        """Write words at a point; ``size`` is the height of the letters' box in pixels."""
        made = Text(
            x,
            y,
            words,
            color=colour,
            fontsize=size * 72 / DPI,
            fontfamily=MONO if mono else SANS,
            fontweight="bold" if bold else "normal",
            fontstyle="italic" if italic else "normal",
            horizontalalignment=ha,
            verticalalignment=va,
            parse_math=False,
        )
        if FEATURES:
            made.set_fontfeatures(FEATURES)
        self._add(made)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        *,
        edge: str = INK,
        line: float = 1,
        hatch: str | None = None,
    ) -> None:
        """A filled rectangle whose upper left corner is (x, y)."""
        patch = Rectangle((x, y), width, height, facecolor=fill, edgecolor=edge, linewidth=line)
        if hatch:
            patch.set(hatch=hatch, hatch_linewidth=0.8)
        self._add(patch)

    def line(self, xs: list[float], ys: list[float], colour: str = INK, width: float = 1) -> None:
        """A line through points."""
        self._add(Line2D(xs, ys, color=colour, linewidth=width, solid_joinstyle="miter"))

    def picture(self, text: str) -> Picture:
        """The finished picture, with the words that say the same."""
        return Picture(self.figure, text)
