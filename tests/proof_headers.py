"""Linux's own headers, those of the machine or those that ziglang brings along: tests/uapi.py."""

from __future__ import annotations

from tests import compilers, uapi

ABIS = ("x86_64", "aarch64", "aarch64_be", "i386", "arm")
"""Each header is compiled for each of them."""


def walk(every: int) -> list[str]:
    """All headers, or each that many-th, as compilers lay them out; what differs."""
    abis = [abi for abi in ABIS if abi in compilers.targets()]
    return uapi.report(uapi.is_installed(), abis, max(1, every)) if abis else []


def walk_alone(every: int) -> list[str]:
    """The same with none of the headers that each one includes: right, or a clear error."""
    abis = [abi for abi in ABIS[:3] if abi in compilers.targets()]
    return uapi.report_alone(uapi.is_installed(), abis, max(1, every)) if abis else []
