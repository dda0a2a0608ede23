"""Random command lines: words, files, options and streams as no person would give them.

Most run in this process; some in one of their own, whose streams are closed, full or a folder.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import kvmviz
from kvmviz import ABIS
from kvmviz.__main__ import main

FILES = {
    "old.h": b"struct s { __u32 hsr; __u64 far; };\n",
    "new.h": b"struct s { __u64 hsr; __u64 far; }; struct t { __u8 a:3; __u8 b[]; };\n",
    "gone.h": b"#ifdef __x86_64__\nstruct s { int a; };\n#endif\nunion u { float f; __be16 g; };",
    "bad.h": b"struct s { __u32 hsr\n",
    "esc.h": b'#error "\x1b]0;owned\x07 ::error:: `x`"\nstruct s { int a; };\n',
    "empty.h": b"",
    "latin.h": b"struct s { int \xe9; };",
    "zero.h": b"struct s { int a; };\0",
    "dump": bytes(range(256)),
    "hex": b"3456789a 00000012\n",
    "xxd": b"00000000: 3456 789a 0000 0012  4Vx.....\n",
    "in.svg": b"struct s { __u8 a; };\n",
}
WORDS = (
    *FILES, *list(ABIS)[:4], "none.h", ".", "/dev/null", "/dev/full", "nowhere/a.svg", "a.svg",
    "a.png", "a.gif", "-", "", " ", "\x1b[2J", "é", "\udcff", "a" * 5000, "0x" + "9" * 5000, "-1",
    "0x20", "1e3", "00" * 24, "s", "struct s", "union s", "t", "mmio", "kvm_debug_exit_arch",
    "x=old.h", "linux/types.h=old.h", "all", "arm64", "vax",
    "kernel", "userspace", "(", "F(x)=x", "A==", ".*",
)  # fmt: skip
OPTIONS = (
    "--abi", "--struct", "--include", "--header", "--offset", "-o", "--output", "--frob", "--json",
    "--strict", "--raw", "--markdown", "--help", "--version", "--", "-h", "-I", "-D", "-U",
    "--old-include", "--new-include", "--old-dir", "--new-dir", "--reserved", "--written-by",
)  # fmt: skip
COMMANDS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("layout",), 1), (("compare",), 2), (("decode",), 1), (("figure", "layout"), 1),
    (("figure", "compare"), 2), (("figure",), 1), ((), 0),
)  # fmt: skip
GOOD = ("old.h", "new.h", "gone.h", "in.svg")
STREAMS = ("<&-", "<old.h", ">&-", ">/dev/full", "1</dev/null", "2>&-", "2>/dev/full", "| :")
FORKED = 25
"""One line in so many runs in a process of its own."""


@functools.cache
def folder() -> Path:
    """Where the lines run; gone when the process is."""
    found = tempfile.TemporaryDirectory(prefix="kvmviz-fuzz-")
    folders.append(found)
    return Path(found.name)


folders: list[tempfile.TemporaryDirectory[str]] = []


def made(number: int) -> list[str]:
    """The arguments of that number; a process of its own has streams behind ``;``."""
    random = Random(number)
    command, files = random.choice(COMMANDS)
    words = [*command]
    for _ in range(files if random.random() < 0.9 else random.randrange(4)):
        words.append(random.choice(GOOD) if random.random() < 0.8 else _word(random))
    if command[:1] == ("figure",) and random.random() < 0.9:
        words += ["-o", random.choice(("a.svg", "in.svg", "./in.svg", "a.png", _word(random)))]
    if command == ("decode",) and random.random() < 0.7:
        words += ["--struct", random.choice(("mmio", "s", "kvm_debug_exit_arch"))]
    for _ in range(random.choice((0, 0, 0, 1, 1, 2, 4))):
        words += [random.choice(OPTIONS), *([_word(random)] if random.random() < 0.7 else [])]
    if random.random() < 0.1:
        random.shuffle(words)
    if number % FORKED == 0:
        words += [";", *random.sample(STREAMS, random.choice((1, 1, 2)))]
    return words


def _word(random: Random) -> str:
    return random.choice(WORDS)


def run(words: list[str], number: int) -> str:
    """Run it in a fresh folder; the status is what the README says, the error one line."""
    for path in folder().iterdir():
        path.unlink()
    for name, data in FILES.items():
        (folder() / name).write_bytes(data)
    if ";" in words:
        status, out, err = _forked(words[: words.index(";")], words[words.index(";") + 1 :])
    else:
        status, out, err = _called(words)
    assert "Traceback" not in err, err
    assert status in (0, 1, 2, 141), status
    assert status != 1 or words[:1] == ["compare"] or "compare" in words
    if status == 2:
        assert not err or (err.startswith("kvmviz: error: ") and err.count("\n") == 1), err
        assert len(err) < 4500
    else:
        # What of a header could not be read is told, a line each, and is no error.
        notes = re.fullmatch(r"(kvmviz: [^\n]*:\d+:\d+: not read: [^\n]+\n)*", err)
        assert notes, err
        assert all(c.isprintable() or c == "\n" for c in out)
        if out and "--json" in words and not {"--help", "--version", "-h"} & set(words):
            json.loads(out)
            assert out.isascii()
    for name, data in FILES.items():
        assert (folder() / name).read_bytes() == data, f"{name} was written"
    return f"status {status}"


def _called(words: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    before, stdin = Path.cwd(), sys.stdin
    os.chdir(folder())
    sys.stdin = io.TextIOWrapper(io.BytesIO(FILES["old.h"]))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(words)
    finally:
        sys.stdin = stdin
        os.chdir(before)
    return status, out.getvalue(), err.getvalue()


def _forked(words: list[str], streams: list[str]) -> tuple[int, str, str]:
    streams = sorted(streams, key=lambda row: row == "| :")
    line = f"{shlex.quote(sys.executable)} -m kvmviz {shlex.join(words)} {' '.join(streams)}"
    environment = os.environ | {"PYTHONPATH": str(Path(kvmviz.__file__).parent.parent)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder(), env=environment, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="surrogateescape",
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr
