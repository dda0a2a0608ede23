"""What nbval cannot see: that there is something stored for it to compare."""

import ast
import html
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

from kvmviz import captures, draw

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WIDGETS = {"Desk", "Explorer", "Guess", "Scores", "Timeline", "Workbench"}


def cells(path: Path, kind: str = "code") -> list[Any]:
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 6
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", path.name) for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_every_code_cell_was_run_in_order(self, path: Path) -> None:
        counts = [cell.execution_count for cell in cells(path)]
        assert counts == list(range(1, len(counts) + 1))

    def test_a_cell_that_ends_in_a_value_shows_it(self, path: Path) -> None:
        for cell in cells(path):
            last = ast.parse(cell.source).body[-1]
            if isinstance(last, ast.Expr):
                assert cell.outputs, cell.source

    def test_nothing_but_results_is_stored(self, path: Path) -> None:
        for output in (output for cell in cells(path) for output in cell.outputs):
            assert output.output_type in ("execute_result", "stream")
            assert output.get("name", "stdout") == "stdout", output.text

    def test_every_picture_has_words_and_no_dead_widget(self, path: Path) -> None:
        for output in (output for cell in cells(path) for output in cell.outputs):
            data = output.get("data", {})
            assert set(data) <= {"text/plain", "text/html"}
            shown = data.get("text/html", "<details>")
            assert shown.startswith('<img alt="') or "<details>" in shown
            if shown.startswith("<img"):
                assert html.unescape(shown.split('"')[1]) in data["text/plain"]
                assert "+0" in data["text/plain"] or len(data["text/plain"].splitlines()) > 3

    def test_code_is_short_and_logic_lives_in_the_package(self, path: Path) -> None:
        for cell in cells(path):
            tree = ast.parse(cell.source)
            assert len(cell.source.splitlines()) <= 12
            assert not any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in ast.walk(tree))

    def test_a_cell_that_makes_a_widget_runs_alone(self, path: Path) -> None:
        for cell in cells(path):
            calls = [n.func for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call)]
            if WIDGETS & {getattr(f, "id", getattr(f, "attr", "")) for f in calls}:
                exec(compile(cell.source, f"{path.stem} {cell.id}", "exec"), {})

    def test_claims_can_fail(self, path: Path) -> None:
        tests = [
            node
            for cell in cells(path)
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Assert)
        ]
        assert tests
        assert not any(isinstance(node.test, ast.Constant) for node in tests)

    def test_the_end_says_where_to_go_next(self, path: Path) -> None:
        links = re.findall(r"\]\(([^)]+)\)", cells(path, "markdown")[-1].source)
        assert links
        assert all((FOLDER / link).is_file() for link in links)


def test_the_sheet_in_the_readme_says_what_the_code_says_now() -> None:
    stored: Any = Image.open(FOLDER / "story.png")
    assert stored.text["Description"] == draw.story(captures.readings()).text
    assert "](notebooks/story.png)" in (FOLDER.parent / "README.md").read_text()
