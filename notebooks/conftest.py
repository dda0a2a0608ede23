"""nbval compares what pictures say, not their pixels: those differ with matplotlib's version."""

import os
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbval.kernel
import pytest
from jupyter_client.manager import KernelManager

# Two thirds of the time would go into pixels that nobody looks at; tests/test_draw_*.py draw them.
UNDRAWN = """
from kvmviz.draw.canvas import Picture

Picture.render = lambda *_: b""
"""


def pytest_configure(config: pytest.Config) -> None:
    """What nbval leaves out is in ``nbval.cfg``; its kernels do not even draw it."""
    config.option.nbval_sanitize_with = str(Path(__file__).with_name("nbval.cfg"))
    folder = TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    startup = Path(folder.name, "profile_default", "startup")
    startup.mkdir(parents=True)
    (startup / "undrawn.py").write_text(UNDRAWN, encoding="utf-8")
    os.environ["IPYTHONDIR"] = folder.name
    names = count()

    # A TCP port is free when it is picked, and may be another process's before the kernel listens.
    def over_sockets(**options: Any) -> KernelManager:
        place = Path(folder.name, f"kernel-{next(names)}")
        return KernelManager(transport="ipc", ip=str(place), **options)

    nbval.kernel.KernelManager = over_sockets
