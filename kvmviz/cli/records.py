"""Results as plain data: what ``--json`` prints. Keys are added, never renamed or taken away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kvmviz.btf import Record as Recorded
from kvmviz.cli.dump import Decoded
from kvmviz.layout import Layout
from kvmviz.slot import Slot

Record = dict[str, Any]


def layout(shown: Layout) -> Record:
    """Offsets and sizes in bytes; ``bytes`` says which bits of the value each byte holds."""
    return {
        "struct": str(shown.struct),
        "abi": shown.abi.name,
        "byte_order": shown.abi.byte_order,
        "size": shown.size,
        "align": shown.align,
        "members": [_member(slot) for slot in shown.slots if not slot.is_padding],
        "holes": [_hole(slot) for slot in shown.slots if slot.is_padding],
    }


def recorded(rows: Sequence[Recorded]) -> Record:
    """What BTF had of structs, and what had to be inferred; without any, no key at all."""
    told = [
        {"struct": str(row.struct), "abi": row.abi.name, "inferred": list(row.inferred)}
        for row in rows
    ]
    return {"recorded": told} if told else {}


def _member(slot: Slot) -> Record:
    assert slot.type is not None
    found = {
        "name": slot.path,
        "offset": slot.offset,
        "size": slot.size,
        "type": slot.type.name,
        "count": list(slot.shape),
        "byte_order": slot.order,
    }
    if slot.shape:
        return found
    held = [
        {"offset": at, "bits": [s.high, s.low], "in": [s.top, s.bottom]} for at, s in slot.placed
    ]
    return found | {"bits": slot.width, "bytes": held}


def _hole(slot: Slot) -> Record:
    found: Record = {"what": slot.path, "offset": slot.offset, "size": slot.size}
    return found if slot.extent % 8 == 0 else found | {"bits": slot.extent}


def decoded(shown: Decoded) -> Record:
    """A dump by member; offsets count from the start of the struct, ``offset`` from the dump's.

    A ``value`` that JSON has no number for, infinite or not a number, is null; ``bytes`` has it.
    """
    return {
        "struct": str(shown.layout.struct),
        "abi": shown.layout.abi.name,
        "byte_order": shown.layout.abi.byte_order,
        "offset": shown.offset,
        "size": shown.layout.size,
        "members": [
            {
                "name": cell.path,
                "offset": cell.offset,
                "bytes": cell.data.hex(),
                "bits": cell.bits,
                "value": cell.value if math.isfinite(cell.value) else None,
            }
            for cell in shown.cells
            if cell.value is not None
        ],
        "holes": [
            {"what": cell.path, "offset": cell.offset, "bytes": cell.data.hex()}
            for cell in shown.cells
            if cell.value is None
        ],
    }
