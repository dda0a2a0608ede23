"""``make proof``: long walks that hold kvmviz against compilers and oracles, one after the other.

Each walk prints its counts, and every difference with both answers. ``--only NAME`` runs one of
them, ``--count`` says how many cases it takes, ``--start`` the number of the first text.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

from tests import (
    proof_attributes,
    proof_clang,
    proof_expressions,
    proof_gate,
    proof_headers,
    proof_orders,
    proof_page,
    proof_pictures,
    proof_structs,
    proof_texts,
    proof_widgets,
)

WALKS: Mapping[str, tuple[int, Callable[..., list[str]]]] = {
    "structs": (10_000, proof_structs.walk),
    "expressions": (50_000, partial(proof_texts.walk, "expressions", proof_expressions.case)),
    "attributes": (50_000, partial(proof_texts.walk, "attributes", proof_attributes.case)),
    "gate": (8_000, proof_gate.walk),
    "page": (5_000, proof_page.walk),
    "headers": (0, proof_headers.walk),
    "alone": (0, proof_headers.walk_alone),
    "bits": (10_000, proof_clang.walk_texts),
    "clang": (0, proof_clang.walk_headers),
    "orders": (0, proof_orders.walk),
    "widgets": (0, proof_widgets.walk),
    "pictures": (0, proof_pictures.walk),
}
"""By name: how many cases `make proof` takes (0 where all there are), and the walk itself."""


def main() -> int:
    """Run the walks and say what differs; 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=WALKS, action="append", help="a walk; all without it")
    parser.add_argument("--count", type=int, help="cases of each walk")
    parser.add_argument("--start", type=int, default=0, help="of expressions and attributes")
    asked = parser.parse_args()
    bad = []
    for name in asked.only or WALKS:
        count, walk = WALKS[name]
        begin = time.perf_counter()
        more = {"start": asked.start} if asked.start and isinstance(walk, partial) else {}
        bad += walk(count if asked.count is None else asked.count, **more)
        print(f"  {name}: {time.perf_counter() - begin:.0f} s", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
