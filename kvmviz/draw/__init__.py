"""Every result as a picture, each with its text twin: ``draw.story(captures.readings())``.

The page over time and the handshake are in :mod:`kvmviz.draw.timeline` and
:mod:`kvmviz.draw.handshake`.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvmviz.draw.beside import versions
    from kvmviz.draw.canvas import Picture
    from kvmviz.draw.pictures import (
        byte_map,
        commit_table,
        esr,
        evidence,
        matrix,
        overlay,
        reading,
        rules,
        story,
    )

__all__ = [
    "Picture", "byte_map", "commit_table", "esr", "evidence", "matrix", "overlay", "reading",
    "rules", "story", "versions",
]  # fmt: skip
_HOME = {"Picture": "canvas", "versions": "beside"}


def __getattr__(name: str) -> Any:
    """Load what is asked for, when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOME.get(name, 'pictures')}")
    found = globals()[name] = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return [*__all__]


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
