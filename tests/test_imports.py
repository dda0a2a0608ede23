"""Imports run one way; the few edges that do not are named here. The core stays light."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import kvmviz

PACKAGE = Path(kvmviz.__file__).parent
MODULES = {
    ".".join(("kvmviz", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in PACKAGE.rglob("*.py")
}
BACK = {
    # A struct makes its layout: the name Struct.layout(abi) is promised.
    ("kvmviz.ctype", "kvmviz.layout"),
}
"""Imports inside a function that lead back up; they run when all modules are there."""

HEAVY = {"matplotlib", "ipywidgets", "tree_sitter", "tree_sitter_c", "tqdm"}
AT_HOME = {
    "matplotlib": "kvmviz.draw", "ipywidgets": "kvmviz.widgets", "tree_sitter": "kvmviz.c",
    "tree_sitter_c": "kvmviz.c", "tqdm": "kvmviz.kvm.trace",
}  # fmt: skip
"""Where a library may be imported."""


def for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """What is imported when code runs, and whether in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((name.name, inside) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            names = [f"{child.module}.{name.name}" for name in child.names]
            yield from ((name if name in MODULES else f"{child.module}", inside) for name in names)
        elif not for_types(child):
            yield from imports(child, inside or isinstance(child, ast.FunctionDef))


EDGES = {
    (name, wanted, inside)
    for name, path in MODULES.items()
    for wanted, inside in imports(ast.parse(path.read_text("utf-8")))
}
OWN = {(name, wanted, inside) for name, wanted, inside in EDGES if wanted in MODULES}


def graph(edges: set[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, wanted in edges:
        found.setdefault(name, set()).add(wanted)
    return found


def test_no_module_waits_for_itself() -> None:
    edges = {(name, wanted) for name, wanted, inside in OWN if not inside and wanted != "kvmviz"}
    assert len(edges) > 100
    list(TopologicalSorter(graph(edges)).static_order())  # a CycleError names the circle


def test_only_these_edges_lead_back_up() -> None:
    edges = {(name, wanted) for name, wanted, _ in OWN if wanted != "kvmviz"}
    list(TopologicalSorter(graph(edges - BACK)).static_order())
    for one in BACK:
        with pytest.raises(ValueError, match="cycle"):
            list(TopologicalSorter(graph(edges - (BACK - {one}))).static_order())


def test_a_library_is_imported_where_it_is_at_home() -> None:
    strangers = {
        (name, wanted)
        for name, wanted, _ in EDGES
        if (library := wanted.split(".")[0]) in HEAVY and not name.startswith(AT_HOME[library])
    }
    assert strangers == set()
