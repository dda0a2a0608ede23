"""kvmviz: what happens to a struct's bytes when byte order or a member's width changes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvmviz import draw as draw
    from kvmviz import kvm as kvm
    from kvmviz import review as review
    from kvmviz._base import KvmvizError
    from kvmviz.abi import ABIS, Abi
    from kvmviz.c.parse import parse
    from kvmviz.ctype import Array, Member, Struct
    from kvmviz.esr import Esr
    from kvmviz.image import Image
    from kvmviz.kvm import captures as captures
    from kvmviz.kvm.exits import DebugExit, Interrupted, MmioExit, SystemEvent, Unhandled
    from kvmviz.kvm.page import Vcpu
    from kvmviz.layout import Layout
    from kvmviz.verdict import Verdict, compare
    from kvmviz.widgets.explorer import Explorer

__version__ = "0.1.0"
__all__ = [
    "ABIS", "Abi", "Array", "DebugExit", "Esr", "Explorer", "Image", "Interrupted", "KvmvizError",
    "Layout", "Member", "MmioExit", "Struct", "SystemEvent", "Unhandled", "Vcpu", "Verdict",
    "compare", "parse",
]  # fmt: skip

_NAMES = {
    "_base": ["KvmvizError"],
    "abi": ["ABIS", "Abi"],
    "c.parse": ["parse"],
    "ctype": ["Array", "Member", "Struct"],
    "esr": ["Esr"],
    "image": ["Image"],
    "kvm.exits": ["DebugExit", "Interrupted", "MmioExit", "SystemEvent", "Unhandled"],
    "kvm.page": ["Vcpu"],
    "layout": ["Layout"],
    "verdict": ["Verdict", "compare"],
    "widgets.explorer": ["Explorer"],
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = {"captures": "kvm.captures", "draw": "draw", "kvm": "kvm", "review": "review"}


def __getattr__(name: str) -> Any:
    """Load what is asked for, when it is asked for: nobody waits for what is not used."""
    if name not in _HOME and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{(_HOME | _MODULES)[name]}")
    found = globals()[name] = getattr(module, name) if name in _HOME else module
    return found


def __dir__() -> list[str]:
    return [*__all__, *_MODULES]
