"""The explorer: byte order, ABI, widths, values and reader turned, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import ipywidgets as ipw

from kvmviz import board, draw
from kvmviz._base import KvmvizError, chosen, hexadecimal, integer, shown
from kvmviz.abi import ABIS, ByteOrder, siblings
from kvmviz.board import Board
from kvmviz.ctype import WIDTHS, name_of
from kvmviz.draw.canvas import Picture
from kvmviz.kvm.kernel import KERNELS, Kernel
from kvmviz.kvm.program import VMMS, Reading, read
from kvmviz.widgets import panel

LAYOUTS = ("old", "widened", "merged")
"""The kernels whose layouts can be chosen."""

MEMBERS = ("hsr", "hsr_high", "far")
"""The members whose width can be turned."""


@dataclass(frozen=True)
class State:
    """All that an explorer shows follows from this; ``widths`` are in bits, by member."""

    abi: str = "aarch64_be"
    layout: str = "widened"
    reader: str = "u32 hsr"
    esr: int = 0xD2000062
    far: int = 0x40000800
    fill: int = 0xAA
    widths: tuple[tuple[str, int], ...] = ()

    @property
    def kernel(self) -> Kernel:
        """The kernel that writes, its struct's members as wide as asked for."""
        kernel = KERNELS[self.layout]
        debug = kernel.debug
        for member, bits in self.widths:
            debug = debug.widen(member, bits)
        if debug == kernel.debug:
            return kernel
        return replace(kernel, name="changed", when="widths turned", debug=debug)

    @property
    def byte_order(self) -> ByteOrder:
        """That of the ABI."""
        return ABIS[self.abi].byte_order

    @property
    def bits(self) -> Mapping[str, int]:
        """The width of each member that the kernel writes."""
        slots = self.kernel.debug.layout(self.abi).paths
        return MappingProxyType({path: 8 * slot.size for path, slot in slots.items()})

    @property
    def reading(self) -> Reading:
        """What the chosen VMM reads."""
        return read(self.kernel, self.reader, self.abi, self.esr, self.far, self.fill)

    @property
    def picture(self) -> Picture:
        """The picture of that."""
        return draw.reading(self.reading)

    @property
    def board(self) -> Board:
        """The same as a board; its words say the members and the verdict too."""
        reading = self.reading
        made = board.reading(reading)
        members = reading.kernel.debug.members
        kinds = ", ".join(name_of(member.type, member.name or "") for member in members)
        twin = f"kernel writes {kinds}\n{made.twin}\n{reading.verdict!r}"
        return replace(made, twin=twin)


def _ordered(_: Any, state: State, order: object) -> State:
    """The ABI of the same family in that order."""
    orders = siblings(state.abi)
    asked = chosen(order, orders, f"byte order of {state.abi}")
    return replace(state, abi=orders[asked].name)


def _widened(_: Any, state: State, bits: object) -> State:
    if not isinstance(bits, Mapping):
        raise KvmvizError(f"widths {shown(bits)}: give bits by member, as {dict(state.bits)}")
    asked = {name: integer(width, f"width of {shown(name)}") for name, width in bits.items()}
    return replace(state, widths=tuple({**state.bits, **asked}.items()))


def _width(member: str) -> panel.Control:
    """The row of buttons that turns the width of a member."""
    made = panel.buttons(
        f"{member} bits",
        WIDTHS,
        f"how wide {member} is where the kernel writes it",
        tooltips=[f"{member}: {bits} bits wide" for bits in WIDTHS],
    )
    return replace(
        made, shows=lambda state: state.bits.get(member), means=lambda _, bits: {member: bits}
    )


class Explorer(panel.Panel):
    """Turn byte order, widths and values, and see at once which bytes a VMM takes for ESR."""

    abi = panel.Setting[str, str](
        "Name of the ABI that both kernel and VMM are built for.",
        lambda name: ABIS.find(name).name,
        by=panel.choice("ABI", ABIS),
    )
    byte_order = panel.Setting[ByteOrder, str](
        "`little` or `big`: picks the ABI of the same family.",
        turns=_ordered,
        by=panel.orders("byte order", "of kernel and VMM"),
    )
    layout = panel.Setting[str, str](
        "What the kernel writes: `old`, `widened` or `merged`.",
        # Another layout starts with its own widths.
        turns=lambda _, state, name: replace(
            state, layout=chosen(name, LAYOUTS, "unknown layout"), widths=()
        ),
        by=panel.buttons("kernel writes", LAYOUTS, "the struct it was built with"),
    )
    widths = panel.Setting[Mapping[str, int], Mapping[str, int]](
        "Width in bits of each member that the kernel writes; set some to change them.",
        reads=lambda state: state.bits,
        turns=_widened,
        by={f"width {member}": _width(member) for member in MEMBERS},
    )
    reader = panel.Setting[str, str](
        "The VMM that reads: a name of kvmviz.kvm.program.VMMS.",
        lambda name: VMMS.find(name).name,
        by=panel.buttons("VMM reads", VMMS, "what it takes for ESR_EL2"),
    )
    esr = panel.Setting[int, "int | str"](
        "The ESR_EL2 that the kernel held.",
        lambda value: hexadecimal(value, "esr", 64),
        by=panel.entry("esr", lambda state: f"{state.esr:#018x}"),
    )
    far = panel.Setting[int, "int | str"](
        "The FAR_EL2 that the kernel held; it is written for watchpoints only.",
        lambda value: hexadecimal(value, "far", 64),
        by=panel.entry("far", lambda state: f"{state.far:#x}"),
    )
    fill = panel.Setting[int, "int | str"](
        "The byte that the memory held before the kernel wrote.",
        lambda value: hexadecimal(value, "fill", 8),
        by=panel.entry("fill", lambda state: f"{state.fill:#04x}"),
    )

    _home = State()

    def _arrange(self) -> list[Any]:
        part = self._controls
        told = "ABI, widths, and what the registers held"
        more = part["more"] = ipw.ToggleButton(description="more", tooltip=told)
        under = self._row("abi", "esr", "far", "fill"), self._row(*(f"width {m}" for m in MEMBERS))
        folded = ipw.VBox(under, layout={"display": "none"})
        more.observe(
            lambda _: setattr(folded.layout, "display", None if more.value else "none"), "value"
        )
        above = self._row("byte_order", "layout"), self._row("reader", "more", "reset")
        return [*above, folded, self._error, self._view]

    def _adapt(self) -> None:
        self._controls["width hsr_high"].disabled = "hsr_high" not in self._state.bits

    @property
    def reading(self) -> Reading:
        """What the VMM reads now."""
        found: Reading = self._state.reading
        return found
