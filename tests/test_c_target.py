"""What an ABI answers to a text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvmviz import ABIS, KvmvizError
from kvmviz.c import target


def test_an_abi_of_an_unknown_family_is_one_clear_error() -> None:
    abi = replace(ABIS["x86_64"], name="sparc64", family="sparc")
    for ask in (target.macros, target.answers, lambda one: target.kernel("__kernel_mode_t", one)):
        with pytest.raises(KvmvizError, match=r"ABI 'sparc64': the macros of family 'sparc' are "):
            ask(abi)


def test_every_abi_has_a_family() -> None:
    assert all(target.macros(abi) for abi in ABIS.values())
