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
from kvmviz.learn.question import QUESTIONS

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LINK = re.compile(r"\]\(([^)]+)\)")
GUESS = re.compile(r"^Guess\(\s*\"(\w+)\"", re.M)
WIDE, HIGH = 92, 24
"""Characters and lines of text that fit beside a file browser, and that a reader still reads."""
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
            assert shown.startswith(("<img alt=", "<pre")) or "<details>" in shown
            assert shown.count("<pre") == shown.count("; font-family: monospace")
            if shown.startswith("<img"):
                assert html.unescape(shown.split('"')[1]) in data["text/plain"]

    def test_code_is_short_and_logic_lives_in_the_package(self, path: Path) -> None:
        for cell in cells(path):
            tree = ast.parse(cell.source)
            imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
            begin = max((one.end_lineno or 0 for one in imports), default=0)
            assert len(cell.source.splitlines()) - begin <= 12
            assert not any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in ast.walk(tree))

    def test_a_cell_that_makes_a_widget_runs_alone(self, path: Path) -> None:
        missing = []
        for cell in cells(path):
            calls = [n.func for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call)]
            made = WIDGETS & {getattr(f, "id", getattr(f, "attr", "")) for f in calls}
            if made:
                try:
                    exec(compile(cell.source, f"{path.stem} {cell.id}", "exec"), {})
                except NameError as error:
                    missing.append((cell.id, str(error)))
        assert not missing

    def test_an_answer_is_shown_to_who_asks_for_it_only(self, path: Path) -> None:
        for cell in cells(path):
            assert not cell.metadata, "folded cells show their first line, and open at Run"
            for name in GUESS.findall(cell.source):
                assert "assert" not in cell.source, "claims stand at the end"
                (output,) = cell.outputs
                asked, answer = output.data["text/html"].split("<details>")
                said = {html.escape(words) for words in QUESTIONS[name].options.values()}
                assert not any(words in asked + output.data["text/plain"] for words in said)
                assert all(words in answer for words in said)

    def test_what_is_shown_as_text_fits(self, path: Path) -> None:
        for output in (output for cell in cells(path) for output in cell.outputs):
            data = output.get("data", {})
            if "text/html" not in data:
                shown = output.text if "text" in output else data["text/plain"]
                assert max(map(len, shown.splitlines())) <= WIDE, shown
                assert len(shown.splitlines()) <= HIGH, shown

    def test_a_picture_comes_first_and_the_time_it_takes_is_told(self, path: Path) -> None:
        head, first = cells(path, "markdown")[0].source, cells(path)[0]
        assert len(head.split()) <= 90
        assert path.stem == "08_your_turn" or "<img" in first.outputs[0].data["text/html"]
        asked = [name for cell in cells(path) for name in GUESS.findall(cell.source)]
        prose = [cell.source for cell in cells(path, "markdown")]
        read = " ".join([*prose, *(w for name in asked for w in QUESTIONS[name].options.values())])
        minutes = len(read.split()) / 200 + len(cells(path)) / 2
        if told := re.search(r"(\d+) minutes, for", head):
            assert 0.7 <= int(told[1]) / minutes <= 1.4, minutes

    def test_claims_can_fail(self, path: Path) -> None:
        tests = [
            node
            for cell in cells(path)
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Assert)
        ]
        assert tests
        assert not any(isinstance(node.test, ast.Constant) for node in tests)

    def test_links_lead_to_a_file_beside_it_wherever_it_is_served_from(self, path: Path) -> None:
        prose = [cell.source for cell in cells(path, "markdown")]
        assert LINK.findall(prose[-1]), "the end says where to go next"
        assert all((FOLDER / link).parent == FOLDER for link in LINK.findall("".join(prose)))
        assert all((FOLDER / link).is_file() for link in LINK.findall("".join(prose)))


def test_the_sheet_in_the_readme_says_what_the_code_says_now() -> None:
    stored: Any = Image.open(FOLDER / "story.png")
    assert stored.text["Description"] == draw.story(captures.readings()).text
    assert "](notebooks/story.png)" in (FOLDER.parent / "README.md").read_text()


def test_every_question_is_asked_once_and_in_order() -> None:
    asked = [n for path in NOTEBOOKS for cell in cells(path) for n in GUESS.findall(cell.source)]
    assert asked == list(QUESTIONS)
