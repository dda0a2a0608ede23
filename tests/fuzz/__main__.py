"""``python -m tests.fuzz --only KIND --count N --start N``: run, say what failed, and 1 if so."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.fuzz import KINDS, failures

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=KINDS, action="append", help="a kind; default: all")
    parser.add_argument("--count", type=int, help="how many; default: each kind's own")
    parser.add_argument("--start", type=int, default=0, help="the number of the first input")
    asked = parser.parse_args()
    bad = 0
    for name in asked.only or KINDS:
        kind, ends, begin, wrong = KINDS[name], Counter[str](), time.perf_counter(), 0
        count = kind.most if asked.count is None else asked.count
        for said in failures(kind, range(asked.start, asked.start + count), ends):
            wrong += 1
            print(said, flush=True)
        told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
        took = time.perf_counter() - begin
        print(f"{name}: {count} inputs in {took:.0f} s: {told}; {wrong} failures", flush=True)
        bad += wrong
    sys.exit(1 if bad else 0)
