"""What pahole, abidiff and bindgen say of the three layouts: asked here, kept as package data.

``python -m tests.tools`` asks again and writes ``kvmviz/data/tools.jsonl``. The objects that
pahole and abidiff read are made by ziglang's clang with the flags of the kernel's
``scripts/check-uapi.sh``; abidiff is run with that script's option.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from kvmviz.kvm.captures import ABI_OF
from kvmviz.kvm.kernel import MERGED, OLD, WIDENED
from kvmviz.kvm.patch import Answer
from tests import compilers

DATA = Path(__file__).parent.parent / "kvmviz" / "data" / "tools.jsonl"
TOOLS = ("pahole", "abidiff", "bindgen")
STRUCTS = {"old": OLD, "widened": WIDENED, "hsr_high": MERGED}
PRELUDE = "typedef unsigned int __u32;\ntypedef unsigned long long __u64;\n"
CHECK_UAPI = (
    "-shared", "-nostdlib", "-fPIC", "-x", "c", "-O0", "-std=c90",
    "-fno-eliminate-unused-debug-types", "-g",
)  # fmt: skip
"""The flags of do_compile() in scripts/check-uapi.sh."""


def absent(tool: str) -> str:
    """Why a tool cannot be asked here; empty if it can."""
    if not shutil.which(tool):
        return f"{tool} is not installed"
    if tool == "bindgen":
        return "" if importlib.util.find_spec("clang") else "bindgen needs libclang"
    return "" if "aarch64_be" in compilers.targets() else f"objects for {tool} need ziglang"


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "LC_ALL": "C", "ZIG_LOCAL_CACHE_DIR": str(folder / "zig")}
    env["ZIG_GLOBAL_CACHE_DIR"] = env["ZIG_LOCAL_CACHE_DIR"]
    if (clang := importlib.util.find_spec("clang")) and clang.origin:
        env.setdefault("LIBCLANG_PATH", str(Path(clang.origin).parent / "native"))
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300
    )


@functools.cache
def version(tool: str) -> str:
    """The tool's version, as a number."""
    (found,) = re.findall(r"\d+(?:\.\d+)+", _run(Path.cwd(), tool, "--version").stdout)
    return str(found)


def questions(tool: str) -> Iterator[tuple[str, str]]:
    """What is asked of one tool: in a few words, and as a command over files of a folder."""
    if tool == "abidiff":
        diff = "abidiff --non-reachable-types"
        for order in ABI_OF:
            for new in ("widened", "hsr_high"):
                yield f"old to {new}, {order}", f"{diff} old.{order}.so {new}.{order}.so"
        for name in STRUCTS:
            asked = f"{name}, little- to big"
            yield asked, f"{diff} {name}.little.so {name}.big.so"
        return
    for name in STRUCTS:
        for order, abi in ABI_OF.items():
            if tool == "pahole":
                command = f"pahole -C {OLD.tag} {name}.{order}.so"
            else:
                command = f"bindgen --allowlist-type {OLD.tag} {name}.h -- -target {abi}-linux-gnu"
            yield f"{name}, {order}", command


@functools.cache
def ask(tool: str) -> tuple[Answer, ...]:
    """What the tool that is installed here answers."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, struct in STRUCTS.items():
            (folder / f"{name}.h").write_text(f"{PRELUDE}{struct!r}\n")
        if tool != "bindgen":
            (folder / "f.c").write_text("int f(void) { return 0; }\n")
            for name in STRUCTS:
                for order, abi in ABI_OF.items():
                    files = ("-include", f"{name}.h", "-o", f"{name}.{order}.so", "f.c")
                    _run(folder, *compilers.targets()[abi], *CHECK_UAPI, *files).check_returncode()
        found = []
        for asked, command in questions(tool):
            done = _run(folder, *command.split())
            said = (done.returncode, done.stdout)
            found.append(Answer(tool, version(tool), asked, command, *said))
    return tuple(found)


squeezed: Callable[[str], str] = functools.partial(re.sub, r"\s|,(?=\s*[)}\]])", "")
"""A text without what rustfmt adds, which bindgen calls where it is installed."""


def by_question(answers: tuple[Answer, ...]) -> Mapping[str, Answer]:
    """Answers by what was asked."""
    return {answer.asked: answer for answer in answers}


if __name__ == "__main__":
    rows = [answer for tool in TOOLS for answer in ask(tool)]
    DATA.write_text("".join(f"{json.dumps(vars(row))}\n" for row in rows))
    print(f"{len(rows)} answers in {DATA.name}")
