"""The files that ship the package agree with each other and with the package."""

from __future__ import annotations

import email
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec, Version, VersionSpec
from rattler.exceptions import InvalidMatchSpecError

import kvmviz

ROOT = Path(__file__).resolve().parent.parent

# conda-forge's name -> the index's, where they differ by more than spelling.
CONDA_NAMES = {"matplotlib-base": "matplotlib"}

# Escaped, so that this file does not name what it forbids.
MACHINE = re.compile(
    r"(?<![\w.~-])/(?:work|root|opt|home)/"
    r"|\bpypi\.org|\bpythonhosted\.org|\banaconda\.org|\bregistry\.npmjs\."
)


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def environment() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    return table


def conda_lines() -> list[str]:
    return [line for line in environment()["dependencies"] if isinstance(line, str)]


def pip_lines() -> list[str]:
    parts = [part for part in environment()["dependencies"] if isinstance(part, dict)]
    return [line for part in parts for line in part["pip"]]


def bounds(lines: list[str]) -> dict[str, SpecifierSet]:
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def conda_bounds() -> dict[str, SpecifierSet]:
    """Bounds by the index's name, of all that conda brings but python and pip."""
    found: dict[str, SpecifierSet] = {}
    for line in conda_lines():
        spec = MatchSpec(line, strict=True)
        name = spec.name.normalized
        if name not in ("python", "pip"):
            found[canonicalize_name(CONDA_NAMES.get(name, name))] = SpecifierSet(spec.version or "")
    return found


# environment.yml ----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", conda_lines())
def test_conda_reads_the_dependency(line: str) -> None:
    spec = MatchSpec(line, strict=True)
    assert spec.name.normalized == re.split("[=<>]", line)[0]
    assert spec.build is None  # `name=1.2=3` would be a build, not a bound


@pytest.mark.parametrize("line", ["python 3.12", "python=3.12.*", "numpy=>2.0", "numpy<<2"])
def test_the_match_spec_parser_is_strict(line: str) -> None:
    with pytest.raises(InvalidMatchSpecError):
        MatchSpec(line, strict=True)


def test_python_is_pinned_in_the_form_that_binder_reads() -> None:
    assert [line for line in conda_lines() if line.startswith("python")] == ["python=3.12"]
    pin = MatchSpec("python=3.12", strict=True).version
    assert pin is not None
    assert VersionSpec(pin).matches(Version("3.12.9"))
    assert not VersionSpec(pin).matches(Version("3.13.0"))
    assert SpecifierSet(project()["requires-python"]).contains("3.12.9")


def test_conda_and_pyproject_name_the_same_bounds() -> None:
    wanted = bounds(project()["dependencies"] + project()["optional-dependencies"]["lab"])
    found = conda_bounds()
    assert {name: str(found[name]) for name in found} == {
        name: str(wanted.get(name, "not in pyproject.toml")) for name in found
    }


def test_conda_environment_is_complete() -> None:
    assert environment()["name"] == project()["name"]
    assert environment()["channels"] == ["conda-forge"]
    assert pip_lines() == ["-e ."]  # kvmviz itself, and nothing that conda does not bring
    assert bounds(project()["dependencies"]).keys() <= conda_bounds().keys()
    assert "pip" in conda_lines()  # or conda warns, and picks one
    # `-e .` does not bring the extras.
    assert bounds(project()["optional-dependencies"]["lab"]).keys() <= conda_bounds().keys()
    # Libraries with much native code come from conda, built against each other.
    assert {"numpy", "matplotlib"} <= conda_bounds().keys()


# The package --------------------------------------------------------------------------------------


RUNTIME = {"numpy", "matplotlib", "ipywidgets"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy of what it is built from: the tree may be read-only."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "kvmviz", source / "kvmviz", ignore=ignored)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (path,) = target.iterdir()
    return zipfile.ZipFile(path)


def test_the_wheel_is_pure_python_and_complete(wheel: zipfile.ZipFile) -> None:
    assert Path(str(wheel.filename)).name.endswith("-py3-none-any.whl")
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "kvmviz").rglob("*.*")}
    files = {name for name in files if "__pycache__" not in name}
    assert {name for name in wheel.namelist() if name.startswith("kvmviz/")} == files
    assert {Path(name).suffix for name in files} == {
        ".py",
        ".md",
        ".jsonl",
        ".patch",
        ".typed",
        ".css",
        ".h",
        ".html",
        ".js",
        ".toml",
    }


def test_the_wheel_needs_three_packages(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    needs = [Requirement(row) for row in metadata.get_all("Requires-Dist", [])]
    assert {row.name for row in needs if "extra" not in str(row.marker)} == RUNTIME
    assert metadata["Requires-Python"] == ">=3.11"


def closure(names: set[str]) -> set[str]:
    """Distributions, and all that they need."""
    found: set[str] = set()
    wanted = set(names)
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in found:
            continue
        found.add(name)
        for row in map(Requirement, importlib.metadata.requires(name) or []):
            if row.marker is None or row.marker.evaluate({"extra": ""}):
                wanted.add(row.name)
    return found


def test_every_module_loads_with_only_these_packages() -> None:
    """Whatever else is installed here cannot be imported."""
    allowed = closure(RUNTIME)
    assert {"traitlets", "pillow"} <= allowed
    assert not {"pytest", "jupyterlab", "tqdm"} & allowed
    owners = importlib.metadata.packages_distributions()
    tops = [top for top, names in owners.items() if {*map(canonicalize_name, names)} & allowed]
    code = f"""
import importlib, pkgutil, sys
legal = {{*{tops}, *sys.stdlib_module_names, "kvmviz", "_distutils_hack"}}
class Only:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in legal or name.startswith("_"):
            return self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Only, sys.meta_path)
import kvmviz
names = [row.name for row in pkgutil.walk_packages(kvmviz.__path__, "kvmviz.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 40


def test_classifiers_say_which_pythons_and_that_nothing_is_compiled() -> None:
    rows = set(project()["classifiers"])
    assert "Programming Language :: Python :: 3 :: Only" in rows
    assert "Operating System :: OS Independent" in rows
    pythons = {row.rpartition(" ")[2] for row in rows if re.search(r":: 3\.\d+$", row)}
    assert pythons == {"3.11", "3.12", "3.13"}
    least = SpecifierSet(project()["requires-python"])
    assert all(least.contains(python) for python in pythons)
    assert not least.contains("3.10")


def test_one_version() -> None:
    assert kvmviz.__version__ == project()["version"]
    assert importlib.metadata.version("kvmviz") == project()["version"]


def test_changelog_knows_the_version() -> None:
    assert project()["version"] in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_no_file_names_a_machine() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: no list of committed files")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = [name for name in listed.stdout.decode().split("\0") if name]
    if not names:
        pytest.skip("nothing is committed yet")
    found = []
    for name in names:
        path = ROOT / name
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" in data:  # not text
            continue
        for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
            found += [f"{name}:{number}: {hit.group()}" for hit in MACHINE.finditer(line)]
    assert found == []


# The Makefile -------------------------------------------------------------------------------------


def fake_python(folder: Path, script: str) -> str:
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


def make_lab(folder: Path, python: str) -> tuple[int, str]:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    # This test may itself run under make, whose flags must not reach the inner one.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    command = [make, "--no-print-directory", "lab", f"PYTHON3={python}"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert not (folder / ".venv").exists()
    return done.returncode, done.stderr.splitlines()[0]


def test_make_says_that_python_is_missing(tmp_path: Path) -> None:
    status, message = make_lab(tmp_path, "no-such-python")
    assert status != 0
    assert "needs Python >= 3.11" in message
    assert "none runs of: no-such-python" in message


def test_make_says_that_python_is_too_old(tmp_path: Path) -> None:
    code = "import sys; sys.version_info = (3, 9, 0); exec(sys.argv[1])"
    python = fake_python(tmp_path, f"exec {sys.executable} -c '{code}' \"$2\"")
    status, message = make_lab(tmp_path, python)
    assert status != 0
    assert f"{python} is 3.9" in message


def test_make_says_that_venv_is_missing(tmp_path: Path) -> None:
    script = f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"'
    status, message = make_lab(tmp_path, fake_python(tmp_path, script))
    assert status != 0
    assert "apt install python3-venv" in message


def test_make_leaves_no_half_made_venv(tmp_path: Path) -> None:
    script = f'[ "$2" = venv ] && {{ mkdir .venv; exit 1; }}; exec {sys.executable} "$@"'
    status, message = make_lab(tmp_path, fake_python(tmp_path, script))
    assert status != 0
    assert "-m venv failed" in message
