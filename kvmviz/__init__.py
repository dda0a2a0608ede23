"""kvmviz: what happens to a struct's bytes when byte order or a member's width changes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Every text twin is registered before the first repr.
from kvmviz import told as _told  # noqa: F401
from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS, Abi
from kvmviz.compat import Verdict, compare
from kvmviz.ctype import Array, Member, Struct
from kvmviz.esr import Esr
from kvmviz.image import Image
from kvmviz.layout import Layout
from kvmviz.parse import parse
from kvmviz.scalar import Scalar

if TYPE_CHECKING:
    from kvmviz.widgets import Explorer as Explorer

__version__ = "0.1.0"
__all__ = [
    "ABIS",
    "Abi",
    "Array",
    "Esr",
    "Explorer",
    "Image",
    "KvmvizError",
    "Layout",
    "Member",
    "Scalar",
    "Struct",
    "Verdict",
    "compare",
    "parse",
]

# What loads matplotlib or ipywidgets waits until it is asked for.
_LATER = {"Explorer": "kvmviz.widgets", "draw": "kvmviz.draw", "captures": "kvmviz.captures"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_LATER[name])
    return module if name == module.__name__.rpartition(".")[2] else getattr(module, name)
