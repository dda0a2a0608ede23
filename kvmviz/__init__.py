"""kvmviz: what happens to a struct's bytes when byte order or a member's width changes."""

from kvmviz._base import KvmvizError
from kvmviz.abi import ABIS, Abi
from kvmviz.compat import Verdict, compare
from kvmviz.ctype import Array, Member, Scalar, Struct
from kvmviz.image import Image
from kvmviz.layout import Layout

__version__ = "0.1.0"
__all__ = [
    "ABIS",
    "Abi",
    "Array",
    "Image",
    "KvmvizError",
    "Layout",
    "Member",
    "Scalar",
    "Struct",
    "Verdict",
    "compare",
]
