"""The explorer: byte order, ABI, widths, values and reader turned, and what comes of it."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from reprlib import repr as shown
from types import MappingProxyType
from typing import Any

import ipywidgets as ipw

from kvmviz import abi as abis
from kvmviz import draw
from kvmviz._base import KvmvizError, integer
from kvmviz.abi import BYTE_ORDERS, ByteOrder
from kvmviz.ctype import WIDTHS, name_of
from kvmviz.draw.canvas import Picture
from kvmviz.kvm.kernel import KERNELS, Kernel
from kvmviz.kvm.program import VMMS, Reading, find, read
from kvmviz.widgets.controls import (
    LABEL,
    ONE_AT_A_TIME,
    ROW,
    Live,
    Settable,
    alert,
    finish,
    img,
    number,
    spoken,
)

KERNEL_OF: Mapping[str, str] = {"old": "old", "widened": "widened", "hsr_high": "merged"}
"""The kernel that writes each of the explorer's layouts."""


SETTINGS = ("abi", "byte_order", "layout", "widths", "reader", "esr", "far", "fill")
"""What can be set on an explorer, in the order in which it is."""

MEMBERS = ("hsr", "hsr_high", "far")
"""The members whose width can be turned."""


@dataclass(frozen=True)
class State:
    """All that an explorer shows follows from this; ``widths`` are in bits, by member."""

    abi: str = "aarch64_be"
    layout: str = "widened"
    reader: str = "old"
    esr: int = 0xD2000062
    far: int = 0x40000800
    fill: int = 0xAA
    widths: tuple[tuple[str, int], ...] = ()

    @property
    def kernel(self) -> Kernel:
        """The kernel that writes, its struct's members as wide as asked for."""
        kernel = KERNELS[KERNEL_OF[self.layout]]
        debug = kernel.debug
        for member, bits in self.widths:
            debug = debug.widen(member, bits)
        if debug == kernel.debug:
            return kernel
        return replace(kernel, name="changed", when="widths turned", debug=debug)

    @property
    def reading(self) -> Reading:
        """What the chosen VMM reads."""
        return read(self.kernel, self.reader, self.abi, self.esr, self.far, self.fill)


@lru_cache(maxsize=1024)
def frame(state: State) -> tuple[str, str]:
    """What an explorer shows in a state: HTML for its view, and the text twin."""
    picture = draw.reading(state.reading)
    kinds = ", ".join(
        name_of(member.type, member.name or "") for member in state.kernel.debug.members
    )
    words = f"kernel writes {kinds}\n{picture.text}\n{state.reading.verdict!r}"
    return f"{img(picture)}<pre>{html.escape(words)}</pre>", words


class Explorer(Settable, Live):
    """Turn byte order, widths and values, and see at once which bytes a VMM takes for ESR.

    Everything can be set from code as from the controls: ``byte_order``, ``abi``, ``layout``
    (``old``, ``widened``, ``hsr_high``), ``widths`` (bits by member), ``reader`` (a name of
    :data:`~kvmviz.kvm.program.VMMS`), ``esr``, ``far``, ``fill`` (integers, or hex as text). What
    is not legal raises :class:`KvmvizError` and changes nothing; from the controls, the message
    stands beside them.
    """

    def __init__(self, **start: Any) -> None:
        self._home = State()
        self._state = self._home
        self._syncing = False
        self._controls = self._make_controls()
        self._view, self._spoken = ipw.HTML(), spoken()
        self._error = ipw.HTML(layout={"min_height": "28px"})
        self.box = self._arrange()
        for name in start:
            if name not in SETTINGS:
                raise KvmvizError(f"an explorer has no {name!r}; legal are {', '.join(SETTINGS)}")
        for name in SETTINGS:  # a layout comes before the widths of its members
            if name in start:
                setattr(self, name, start[name])
        self._home = self._state
        self._show(self._state)

    def _make_controls(self) -> dict[str, Any]:
        orders = [(f"{order}-endian", order) for order in BYTE_ORDERS]
        vmms = [(vmm.title, vmm.name) for vmm in VMMS.values()]
        toggles: dict[str, Any] = {
            "byte_order": ("byte order", "of kernel and VMM", orders),
            "layout": ("kernel writes", "the struct it was built with", list(KERNEL_OF)),
            "reader": ("VMM reads", "what it takes for ESR_EL2", vmms),
        }
        made: dict[str, Any] = {
            name: ipw.ToggleButtons(
                description=words,
                tooltip=hint,
                options=options,
                style={"description_width": LABEL, "button_width": "auto"},
            )
            for name, (words, hint, options) in toggles.items()
        }
        made["abi"] = ipw.Dropdown(
            description="ABI",
            options=list(abis.ABIS),
            style={"description_width": "initial"},
            layout={"width": "auto"},
        )
        for name in MEMBERS:
            made[f"width {name}"] = ipw.ToggleButtons(
                description=f"{name} bits",
                tooltip=f"how wide {name} is where the kernel writes it",
                options=WIDTHS,
                tooltips=[f"{name}: {bits} bits wide" for bits in WIDTHS],
                style={"description_width": _label(name), "button_width": "42px"},
            )
        for name, width in (("esr", "276px"), ("far", "216px"), ("fill", "90px")):
            made[name] = ipw.Text(
                description=name,
                continuous_update=False,
                style={"description_width": _label(name)},
                layout={"width": width},
            )
        for name, control in made.items():
            control.observe(self._turned(name), "value")
        return made

    def _arrange(self) -> Any:
        reset = ipw.Button(
            description="Reset", tooltip="Back to the state at the start", layout={"width": "80px"}
        )
        reset.on_click(lambda _: self.reset())
        part = self._controls
        rows = (
            (part["byte_order"], part["abi"]),
            (part["layout"],),
            tuple(part[f"width {name}"] for name in MEMBERS),
            (part["reader"],),
            (part["esr"], part["far"], part["fill"], reset),
        )
        box = ipw.VBox(
            [
                *(ipw.Box(row, layout=ROW) for row in rows),
                self._error,
                self._view,
                self._spoken,
                finish(),
            ]
        )
        return box.add_class("kvmviz")

    def _turned(self, name: str) -> Callable[[Any], None]:
        def turned(change: Any) -> None:
            with ONE_AT_A_TIME:
                if self._syncing:
                    return
                try:
                    if name.startswith("width "):
                        self.widths = {name.removeprefix("width "): change["new"]}
                    else:
                        setattr(self, name, change["new"])
                except KvmvizError as error:
                    # What was typed stays, to be mended; what was chosen goes back.
                    self._sync(but=name)
                    self._say(str(error))

        return turned

    def _set(self, **changes: Any) -> None:
        with ONE_AT_A_TIME:
            self._show(replace(self._state, **changes))

    def _show(self, state: State) -> None:
        """Draw first: what cannot be drawn raises before anything has changed."""
        view, _ = frame(state)
        self._state = state
        self._view.value, self._spoken.value = view, html.escape(state.reading.effect)
        self._say("")
        self._sync()

    def _say(self, words: str) -> None:
        self._error.value = alert(words)

    def _sync(self, but: str = "") -> None:
        """Bring every control to the state, but for the entry that is being typed into."""
        self._syncing = True
        try:
            held = self._state
            values: dict[str, Any] = {"byte_order": self.byte_order, "abi": held.abi}
            values |= {"layout": held.layout, "reader": held.reader, "esr": f"{held.esr:#018x}"}
            values |= {"far": f"{held.far:#x}", "fill": f"{held.fill:#04x}"}
            for name, bits in self.widths.items():
                values[f"width {name}"] = bits
            values["width hsr_high"] = self.widths.get("hsr_high")
            self._controls["width hsr_high"].disabled = values["width hsr_high"] is None
            for name, value in values.items():
                if name != but or not isinstance(self._controls[name], ipw.Text):
                    self._controls[name].value = value
        finally:
            self._syncing = False

    def reset(self) -> None:
        """Back to the state that it was made with."""
        self._set(**vars(self._home))

    @property
    def abi(self) -> str:
        """Name of the ABI that both kernel and VMM are built for."""
        return self._state.abi

    @abi.setter
    def abi(self, name: str) -> None:
        self._set(abi=abis.find(name).name)

    @property
    def byte_order(self) -> ByteOrder:
        """``little`` or ``big``: picks the ABI of the same family."""
        return abis.find(self.abi).byte_order

    @byte_order.setter
    def byte_order(self, order: ByteOrder) -> None:
        orders = abis.siblings(self.abi)
        if not isinstance(order, str) or order not in orders:
            raise KvmvizError(
                f"byte order {order!r}: {self.abi} has {' and '.join(orders)}; "
                "choose another ABI for the other order"
                if order in BYTE_ORDERS
                else f"unknown byte order {order!r}; legal are little and big"
            )
        self._set(abi=orders[order].name)

    @property
    def layout(self) -> str:
        """What the kernel writes: ``old``, ``widened`` or ``hsr_high``."""
        return self._state.layout

    @layout.setter
    def layout(self, name: str) -> None:
        if not isinstance(name, str) or name not in KERNEL_OF:
            raise KvmvizError(f"unknown layout {name!r}; legal are {', '.join(KERNEL_OF)}")
        self._set(layout=name, widths=())

    @property
    def widths(self) -> Mapping[str, int]:
        """Width in bits of each member that the kernel writes; set some to change them."""
        layout = self._state.kernel.debug.layout(self.abi)
        found = {slot.path: 8 * slot.size for slot in layout.slots if not slot.is_padding}
        return MappingProxyType(found)

    @widths.setter
    def widths(self, bits: Mapping[str, int]) -> None:
        if not isinstance(bits, Mapping):
            raise KvmvizError(f"widths {shown(bits)}: give bits by member, as {dict(self.widths)}")
        checked = {name: integer(width, f"width of {name}") for name, width in bits.items()}
        self._set(widths=tuple({**self.widths, **checked}.items()))

    @property
    def reader(self) -> str:
        """The VMM that reads: a name of :data:`~kvmviz.kvm.program.VMMS`."""
        return self._state.reader

    @reader.setter
    def reader(self, name: str) -> None:
        self._set(reader=find(name).name)

    @property
    def esr(self) -> int:
        """The ESR_EL2 that the kernel held."""
        return self._state.esr

    @esr.setter
    def esr(self, value: int | str) -> None:
        self._set(esr=number("esr", value, 64))

    @property
    def far(self) -> int:
        """The FAR_EL2 that the kernel held; it is written for watchpoints only."""
        return self._state.far

    @far.setter
    def far(self, value: int | str) -> None:
        self._set(far=number("far", value, 64))

    @property
    def fill(self) -> int:
        """The byte that the memory held before the kernel wrote."""
        return self._state.fill

    @fill.setter
    def fill(self, value: int | str) -> None:
        self._set(fill=number("fill", value, 8))

    @property
    def reading(self) -> Reading:
        """What the VMM reads now."""
        return self._state.reading

    @property
    def picture(self) -> Picture:
        """The picture that it shows now."""
        return draw.reading(self._state.reading)

    @property
    def text(self) -> str:
        """The text twin of what it shows now."""
        return frame(self._state)[1]

    def __repr__(self) -> str:
        return self.text


def _label(name: str) -> str:
    """Width of the label of a control: the first one in its row lies under those above it."""
    return LABEL if name in ("hsr", "esr") else "initial"
