"""The command line: ``kvmviz`` and ``python -m kvmviz``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

INTERRUPTED = 130
"""The exit status of a program that SIGINT ended: 128 + 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; its exit status."""
    try:
        # Inside, so that an interrupt while modules load is quiet too.
        from kvmviz import cli

        return cli.run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
