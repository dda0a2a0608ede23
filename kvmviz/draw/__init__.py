"""Every result as a picture, each with its text twin: ``draw.story(captures.readings())``."""

import os
import sys
from contextlib import suppress


def _import_matplotlib() -> None:
    """Import matplotlib whatever ``MPLBACKEND`` says: pictures need no backend of the user's.

    With an unknown one matplotlib itself does not import. A known one is kept for its user.
    """
    asked = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if asked is not None:
            os.environ["MPLBACKEND"] = asked
    if asked:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = asked


if "matplotlib" not in sys.modules:
    _import_matplotlib()

from kvmviz.draw.canvas import Picture  # noqa: E402
from kvmviz.draw.pictures import (  # noqa: E402
    byte_map,
    commit_table,
    esr,
    evidence,
    handshake,
    matrix,
    overlay,
    reading,
    rules,
    story,
    versions,
)
from kvmviz.draw.timeline import timeline  # noqa: E402

__all__ = [
    "Picture", "byte_map", "commit_table", "esr", "evidence", "handshake", "matrix", "overlay",
    "reading", "rules", "story", "timeline", "versions",
]  # fmt: skip
