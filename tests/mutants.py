"""Seed faults one at a time, and count those that nbval alone and pytest alone catch.

cosmic-ray finds the places and makes the faults. Each goes into a copy of the working tree, never
into the tree itself. The default is a sample, the same in every run: one fault at each of some
places, evenly spread. An endless loop counts as caught. Not counted, since no test is needed to
find it, is a fault that does not compile, or that fails when its module is imported.
"""
# Only `make mutants` installs cosmic-ray, and it has no type information.
# mypy: disable-error-code="import-untyped,import-not-found"

from __future__ import annotations

import argparse
import ast
import os
import random
import resource
import shutil
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import ndiff
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor

ROOT = Path(__file__).parent.parent
AIMS = {"nbval": 80, "pytest": 95}
MODULES = {name: [name] for name in ("layout", "image", "verdict", "esr")}
MODULES["layout"] += ["slot", "rules", "ctype"]
LEFT_OUT = ("browser", "packaging", "bench")
# Run last, since they take long and look at the modules from afar.
FAR = ("timeline", "widgets", "proof", "fuzz", "learn", "cli", "draw", "workbench", "parse")
# `is` for `==`: small ints and interned strings are one object, so little changes.
SAME = ("Operator_Eq_Is", "Operator_NotEq_IsNot")
EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "asked = up(align, 8) // 8 if counts else 0",
        "asked = up(align, 8) // 8 if counts else 1",
    ): "a struct is aligned to at least 1, so asking for 1 is asking for nothing",
    (
        "if isinstance(kind, Scalar) and not kind.align and align < kind.on(abi).size:",
        "if isinstance(kind, Scalar) and not kind.align and align is not kind.on(abi).size:",
    ): "no ABI aligns a scalar to more than its size",
    (
        '| {ec + 1: f"{kind}, from the same exception level" for ec, kind in _BY_LEVEL.items()}',
        '| {ec | 1: f"{kind}, from the same exception level" for ec, kind in _BY_LEVEL.items()}',
    ): "every class that is there is even",
    (
        "bits = (24, 0) if self.is_debug else (55, 32)",
        "bits = (24, 0) if self.is_debug else (55, 33)",
    ): "the last sub-field of an ISS2 ends at its last bit: there is no gap below it",
    (
        'truth = scalar.kind == "bool" and isinstance(value, bool | np.bool_)',
        'truth = scalar.kind <= "bool" and isinstance(value, bool | np.bool_)',
    ): "no kind of scalar sorts before bool",
}
"""(line, changed line): why no caller can tell the two apart. These are run, but not counted."""

# A file, its source, and operator and occurrence of every fault at one place in it.
Place = tuple[Path, str, list[tuple[Any, int]]]


@dataclass
class Fault:
    """One changed module, and which tool caught it."""

    path: Path
    code: str
    line: int = 1
    diff: tuple[str, ...] = ()
    caught: dict[str, bool] = field(default_factory=dict)

    @property
    def reason(self) -> str | None:
        """Why it is no fault, if it is known to be none."""
        gone, new = (" ".join(row[2:] for row in self.diff if row[0] == sign) for sign in "-+")
        return EQUIVALENT.get((gone, new))

    def __str__(self) -> str:
        return "\n    ".join([f"  {self.path}:{self.line}", *self.diff])


def places(module: str) -> Iterator[Place]:
    """Where code that runs can be changed; annotations and imports for types do not run."""
    for path in (Path("kvmviz", f"{stem}.py") for stem in MODULES[module]):
        source = (ROOT / path).read_text()
        tree = list(ast.walk(ast.parse(source)))
        dead: list[Any] = [getattr(n, key, None) for n in tree for key in ("annotation", "returns")]
        dead += [n for n in tree if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
        spans = [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in dead if n]
        nodes, found = list(ast_nodes(get_ast(source))), defaultdict(list)
        for name in plugins.operator_names():
            kind = plugins.get_operator(name)
            if kind.arguments() or name.endswith(SAME):
                continue  # those that take arguments draw random values
            spots = (spot for node in nodes for spot in kind().mutation_positions(node))
            for occurrence, spot in enumerate(spots):
                if not any(start <= spot[0] < end for start, end in spans):
                    found[spot].append((kind(), occurrence))
        yield from ((path, source, found[spot]) for spot in sorted(found))


def seed(place: Place) -> Iterator[Fault]:
    """The faults at a place, in an order drawn once and for all."""
    path, source, tries = place
    __import__(name := f"kvmviz.{path.stem}")  # a dataclass looks its module up
    random.Random(sum(occurrence for _, occurrence in tries)).shuffle(tries)
    for operator, occurrence in tries:
        code = MutationVisitor.mutate_code(source, operator, occurrence)
        with suppress(Exception):
            exec(compile(code, path, "exec"), {"__name__": name})
            rows = [row for row in ndiff(source.splitlines(), code.splitlines()) if row[0] != "?"]
            changed = [at for at, row in enumerate(rows) if row[0] != " " and row[2:].strip()]
            diff = sorted((f"{rows[at][0]} {rows[at][2:].strip()}" for at in changed), reverse=True)
            yield Fault(path, code, changed[0] + 1, tuple(diff))


def sample(module: str, share: float) -> Iterator[Fault]:
    """One fault at evenly spread places, or at ``share`` 1 all faults at all places."""
    free = dict(enumerate(places(module)))
    if share >= 1:
        yield from (fault for place in free.values() for fault in seed(place))
        return
    end, wanted = len(free), max(6, round(share * len(free)))
    for start in (number * end // wanted for number in range(wanted)):
        # From there on, the next free place that has a fault which counts.
        for at in sorted(free, key=lambda at: (at - start) % end):
            if fault := next(seed(free.pop(at)), None):
                yield fault
                if not fault.reason:
                    break


class Copy:
    """A copy of the working tree in which both tools run, and whose kvmviz they import."""

    def __init__(self, folder: Path, tools: Sequence[str]) -> None:
        self.folder, self.log, self.tools = folder, folder / "log", tools
        self.limits = dict.fromkeys(AIMS, 900.0)
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))

    def passes(self, tool: str, about: str) -> bool:
        """Whether nbval alone, or pytest alone, finds nothing to complain of."""
        run = [sys.executable, "-m", "pytest", "-xq", "--tb=short", "-p", "no:cacheprovider"]
        if tool == "nbval":
            run += ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=120"]
        names = "tests/test_*.py" if tool == "pytest" else "notebooks/*.ipynb"
        found = [p for p in self.folder.glob(names) if not any(w in p.stem for w in LEFT_OUT)]
        # The first failure ends a run.
        found.sort(key=lambda p: (about not in p.stem, any(word in p.stem for word in FAR), p))
        # No stale bytecode, and no other kvmviz: PYTHONPATH comes before an editable install.
        env = os.environ | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        env |= {"PYTHONHASHSEED": "0", "IPYTHONDIR": str(self.folder / ".ipython")}
        with self.log.open("w") as log, suppress(subprocess.TimeoutExpired):
            how: dict[str, Any] = {"cwd": self.folder, "env": env, "stdout": log, "stderr": log}
            return not subprocess.call([*run, *map(str, found)], timeout=self.limits[tool], **how)
        return False

    def check(self) -> None:
        """The tools pass here as it is, and none does once kvmviz is broken here."""
        for tool in self.tools:
            start = time.monotonic()
            if not self.passes(tool, "layout"):
                raise SystemExit(f"{tool} fails with no fault seeded:\n{self.log.read_text()}")
            self.limits[tool] = 20 + 3 * (time.monotonic() - start)
        broken = Fault(Path("kvmviz", "__init__.py"), "raise ImportError('seeded')")
        if not all(self.judge(broken).caught.values()):
            raise SystemExit(f"another kvmviz than the copy's is imported: caught {broken.caught}")

    def judge(self, fault: Fault) -> Fault:
        """Seed one fault, ask the tools, and put the module back."""
        whole = (target := self.folder / fault.path).read_text()
        target.write_text(fault.code)
        fault.caught = {tool: not self.passes(tool, fault.path.stem) for tool in self.tools}
        target.write_text(whole)
        return fault


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=80, help="about how many (default: 80)")
    parser.add_argument("--only", choices=MODULES, help="one module, and what belongs to it")
    parser.add_argument("--tool", choices=AIMS, action="append", help="ask this one alone")
    parser.add_argument("--all", action="store_true", help="all faults at all places")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))  # for endless lists
    warnings.simplefilter("error")  # a fault that the compiler warns of does not compile
    names = [options.only] if options.only else list(MODULES)
    share = 1 if options.all else options.faults / sum(len(list(places(name))) for name in names)
    faults = [fault for name in names for fault in sample(name, share)]
    workers = os.cpu_count() or 1
    with TemporaryDirectory(prefix="kvmviz-mutants-") as temp, ThreadPoolExecutor(workers) as pool:
        tools = options.tool or list(AIMS)
        copies = [Copy(Path(temp, str(number)), tools) for number in range(workers)]
        list(pool.map(Copy.check, copies))

        def judge(fault: Fault) -> None:
            copy = copies.pop()  # there are as many as threads
            print(f"{copy.judge(fault)}\n    caught: {fault.caught}", flush=True)
            copies.append(copy)

        list(pool.map(judge, faults))
    counted = [fault for fault in faults if not fault.reason]
    for fault in faults:
        if fault.reason:
            print(f"\nno fault, not counted: {fault.reason} (caught: {fault.caught})\n{fault}")
    for tool in tools:
        aim = AIMS[tool]
        missed = [fault for fault in counted if not fault.caught[tool]]
        part = 1 - len(missed) / len(counted)
        print(f"\n{tool} alone catches {part:.1%} of {len(counted)} (aim: {aim}%); it misses:")
        print(*missed, sep="\n")


if __name__ == "__main__":
    main()
