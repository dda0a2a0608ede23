"""Scenarios: what each leaves on a page."""

from __future__ import annotations

from typing import Any

import pytest

from kvmviz import DebugExit, KvmvizError, Vcpu
from kvmviz.kvm.conclusion import conclusions
from kvmviz.kvm.kernel import KERNELS, POLICIES
from kvmviz.kvm.page import play
from kvmviz.kvm.program import READERS
from kvmviz.kvm.scenario import SCENARIOS, Scenario, scene
from tests.proof_page import BE, BRK, LE


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("kernel", [*KERNELS, *POLICIES])
def test_every_scenario_plays_on_every_kernel(name: str, kernel: str) -> None:
    shown = SCENARIOS[name]
    assert shown.name == name
    for abi in (LE, BE, "i386", "m68k"):
        vcpu = shown.play(kernel, abi)
        assert tuple(step.event for step in vcpu.history) == shown.events


def hole(vcpu: Vcpu) -> int:
    order: Any = vcpu.page.layout.abi.byte_order
    return int.from_bytes(vcpu.page.data[36:40], order)


U32, _, FLAG, BLIND, FLAG_ALONE, _, NO_RETURN, NO_EC = READERS

HOLES = [
    # scenario, what the old kernel's hole shows at its end on LE, on BE
    ("mmio_low", 0, 0x09000000), ("mmio_high", 0x80, 0x1000), ("ndata", 1, 1),
    ("served", 0, 0x08000100),
    ("poison", 0xAAAAAAAA, 0xAAAAAAAA), ("stale_far", 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "little", "big"), HOLES)
def test_what_a_scenario_leaves_in_the_hole(name: str, little: int, big: int) -> None:
    for abi, expected in ((LE, little), (BE, big)):
        assert hole(SCENARIOS[name].play("old", abi)) == expected
        assert hole(SCENARIOS[name].play("merged", abi)) == 0


FOOLED = [
    # scenario, kernel, program, number of steps at which it is wrong
    ("stale_flag", "v2", FLAG_ALONE, 4), ("stale_flag", "merged", FLAG_ALONE, 0),
    ("failed_run", "v2_not_unknown", FLAG_ALONE, 1),
    ("failed_run", "v2_other_exits", FLAG_ALONE, 0), ("stale_flag", "v2", FLAG, 0),
    ("immediate_exit", "merged", NO_RETURN, 1), ("immediate_exit", "merged", FLAG, 0),
    ("stale_far", "merged", NO_EC, 1), ("mmio_high", "old", BLIND, 1),
    ("poison_flags", "old", FLAG, 1), ("poison_flags", "merged", FLAG, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kernel", "reader", "wrong"), FOOLED)
@pytest.mark.parametrize("abi", [LE, BE])
def test_what_a_scenario_teaches(name: str, kernel: str, reader: str, wrong: int, abi: str) -> None:
    seen = conclusions(SCENARIOS[name].play(kernel, abi), reader)
    assert sum(not row.right for row in seen) == wrong


def test_where_two_pages_differ() -> None:
    shown = scene(SCENARIOS["stale_flag"], "v2", BE, FLAG, beside="merged")
    assert shown.differing == ((), (15,), (15,), (15,), (15,), ())
    assert "≠ 1 byte differs: byte 15" in repr(shown)


def test_a_made_up_esr_is_called_synthetic_wherever_it_is_shown() -> None:
    made_up = DebugExit(0x00A5C3E1_F2001234)
    vcpu = play("merged", BE, [made_up])
    own = Scenario("own", "own", "", (made_up,), True)
    for shown in (vcpu, vcpu.history[0], own):
        assert "synthetic" in repr(shown)
        assert "synthetic" not in repr(play("merged", BE, [BRK]))


@pytest.mark.parametrize("name", [*SCENARIOS])
def test_text_of_a_scenario(name: str) -> None:
    shown = repr(SCENARIOS[name])
    assert SCENARIOS[name].title in shown
    assert f"step {len(SCENARIOS[name].events) - 1}" in shown


BAD: list[Any] = [
    (lambda: Scenario("own", "", "", (BRK, 5)), ("own", "step 1", "5")),  # type: ignore[arg-type]
    (lambda: Scenario("s", "", "", None), ("s", "None")),  # type: ignore[arg-type]
    (lambda: Scenario("s", "", 5, ()), ("s", "5", "text")),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("row", BAD)
def test_bad_input_is_named(row: Any) -> None:
    act, words = row
    with pytest.raises(KvmvizError) as caught:
        act()
    for word in words:
        assert word in str(caught.value)
