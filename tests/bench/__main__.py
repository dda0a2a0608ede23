"""``python -m tests.bench``: all figures of one run; name some of its parts to run only those."""

from __future__ import annotations

import sys

from tests.bench import clicks, headers, processes, unpack

PARTS = {
    "unpack": unpack.run,
    "import": processes.imports,
    "nbval": processes.notebooks,
    "clicks": clicks.run,
    "headers": headers.run,
}

if __name__ == "__main__":
    names = sys.argv[1:] or list(PARTS)
    if unknown := set(names) - set(PARTS):
        sys.exit(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name in names:
        PARTS[name]()
