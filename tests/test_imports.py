"""What import-linter cannot say: a heavy library is loaded when it is used, and not before.

The order of the modules is a contract in pyproject.toml, which ``make lint`` holds.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("numpy", "matplotlib", "ipywidgets", "IPython")
CORE = """
old = kvmviz.parse('struct s { __u8 a; __u64 b; };')['s']
new = old.widen('a', 16)
writer, reader = new.layout('aarch64'), old.layout('aarch64')
shown = [old, writer, writer.pack({'a': 1}), kvmviz.compare(writer, reader), kvmviz.Esr(0xF2001234)]
shown += [kvmviz.review.review(old, new), kvmviz.Vcpu('old', 'aarch64_be')]
shown[-1].run(kvmviz.Interrupted())
assert all(map(repr, shown))
"""


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("dir(kvmviz), kvmviz.ABIS, kvmviz.KvmvizError", ()),
        (CORE, ("numpy",)),
        ("kvmviz.draw", ("numpy", "matplotlib")),
        ("kvmviz.Explorer", HEAVY),
    ],
)
def test_a_library_is_loaded_when_it_is_used(code: str, loaded: tuple[str, ...]) -> None:
    code = f"import kvmviz, sys\n{code}\nprint([name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{list(loaded)}\n", "")
