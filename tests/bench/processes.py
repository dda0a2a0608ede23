"""What takes a process of its own: imports, and notebooks run as tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.report import interleaved, show

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"

# Starts a kernel, has it run one empty cell, stops it; as often as asked.
KERNELS = """
import sys
from jupyter_client.manager import start_new_kernel

for _ in range(int(sys.argv[1])):
    manager, client = start_new_kernel(kernel_name="python3")
    client.execute_interactive("pass")
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""
NBVAL = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env")


def python(*arguments: str) -> Callable[[], object]:
    """A run of Python in a fresh process."""

    def run() -> object:
        command = (sys.executable, *arguments)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
        return done

    return run


def imports(rounds: int = 21) -> None:
    """``import kvmviz`` against ``import numpy``."""
    tasks = {
        "import numpy": python("-c", "import numpy"),
        "import kvmviz": python("-c", "import kvmviz"),
        "no import": python("-c", ""),
    }
    for task in tasks.values():
        task()  # writes the byte code, fills the file cache
    title = f"A fresh process that imports, medians of {rounds} each, interleaved"
    wall, _ = interleaved(tasks, rounds)
    show(title, wall, "import numpy", {"import kvmviz": 1.3})


def notebooks(rounds: int = 3) -> None:
    """nbval over all notebooks against as many kernels that do nothing."""
    found = len(list(NOTEBOOKS.glob("*.ipynb")))
    if not found:
        print("\nnbval: skipped, there are no notebooks")
        return
    bare, nbval = f"start and stop {found} kernels", f"nbval over {found} notebooks"
    tasks = {
        bare: python("-c", KERNELS, str(found)),
        nbval: python(*NBVAL, str(NOTEBOOKS)),
    }
    title = f"Notebooks as tests, one after the other, medians of {rounds} each, interleaved"
    wall, used = interleaved(tasks, rounds)
    show(title, wall, bare, {nbval: 3.5})
    show("The same in CPU time, which other work on the machine changes less", used, bare)
