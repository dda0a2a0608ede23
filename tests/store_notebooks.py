"""Run the notebooks and store what they show: what nbval compares, and what a viewer sees.

A live widget is stored as its picture and text only: a viewer without a kernel shows the picture
instead of an error about a model that it does not have.
"""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

from kvmviz import captures, draw

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PNG = re.compile(r"(?<=data:image/png;base64,)[^\"]+")


def small(png: str) -> str:
    """A base64 PNG with few colours: a third of the size, and the same to the eye."""
    held = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    out = io.BytesIO()
    held.quantize(128, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def store(path: Path) -> None:
    """Run one notebook in a fresh kernel and write its outputs, and nothing of this run's own."""
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", store_widget_state=False,
        record_timing=False, resources={"metadata": {"path": str(path.parent)}},
    ).execute()  # fmt: skip
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            data.pop(WIDGET_VIEW, None)
            if html := data.get("text/html"):
                data["text/html"] = PNG.sub(lambda found: small(found[0]), html)
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    for found in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(NOTEBOOKS.glob("*.ipynb")):
        store(found)
        print(found.name)
    draw.story(captures.readings()).save(NOTEBOOKS / "story.png")
