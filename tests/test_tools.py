"""The tools' answers that are kept: each is what the tool says where it is installed."""

from __future__ import annotations

import difflib
import re

import pytest

import kvmviz
from kvmviz.kvm.captures import ABI_OF
from kvmviz.kvm.patch import answers
from tests import tools
from tests.tools import STRUCTS, TOOLS, ask, by_question, questions, squeezed


def asked(tool: str, same_version: bool = False) -> dict[str, str]:
    """The installed tool's answers with their status; skips and says why where there are none."""
    if why := tools.absent(tool):
        pytest.skip(why)
    kept = next(row.version for row in answers().values() if row.tool == tool)
    if same_version and tools.version(tool) != kept:
        pytest.skip(f"{tool} {kept} is kept, {tools.version(tool)} is installed")
    return {row.asked: f"{row.status} {squeezed(row.output)}" for row in ask(tool)}


def test_every_question_was_asked_once_with_its_command() -> None:
    wanted = {f"{tool}, {what}": command for tool in TOOLS for what, command in questions(tool)}
    assert {key: answer.command for key, answer in answers().items()} == wanted
    assert len(wanted) == 19


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_kept_is_what_the_tool_says(tool: str) -> None:
    kept = by_question(tuple(row for row in answers().values() if row.tool == tool))
    said = {what: f"{row.status} {squeezed(row.output)}" for what, row in kept.items()}
    assert said == asked(tool, same_version=True)


@pytest.mark.parametrize("tool", TOOLS)
def test_no_tool_says_another_thing_on_the_other_byte_order(tool: str) -> None:
    """Of whatever version is installed."""
    said = asked(tool)
    little = {what: text for what, text in said.items() if what.endswith(", little")}
    assert len(little) >= 2
    for what, text in little.items():
        twin = said[what.replace("little", "big")]
        assert text.replace("little", "big") == twin
    changed = {what for what, text in said.items() if "little- to big" in what and text != "0 "}
    assert not changed


@pytest.mark.parametrize("order", ABI_OF)
@pytest.mark.parametrize("name", STRUCTS)
def test_pahole_and_kvmviz_agree(name: str, order: str) -> None:
    output = answers()[f"pahole, {name}, {order}"].output
    layout = STRUCTS[name].layout(ABI_OF[order])
    rows = re.findall(r"(\w+); +/\* +(\d+) +(\d+) \*/", output)
    assert [(name, int(offset), int(size)) for name, offset, size in rows] == [
        (slot.path, slot.offset, slot.size) for slot in layout.slots if not slot.is_padding
    ]
    assert f"size: {layout.size}," in output
    assert [int(size) for size in re.findall(r"(\d+) bytes hole", output)] == [
        hole.size for hole in layout.holes
    ]


@pytest.mark.parametrize("order", ABI_OF)
def test_abidiff_reports_both_changes_and_tells_them_not_apart(order: str) -> None:
    breaks = {}
    for name in ("widened", "hsr_high"):
        answer = answers()[f"abidiff, old to {name}, {order}"]
        assert answer.status == 4 | 8  # differs, and incompatibly so
        assert "type size hasn't changed" in answer.output
        abi = ABI_OF[order]
        verdict = kvmviz.compare(STRUCTS[name].layout(abi), STRUCTS["old"].layout(abi))
        breaks[name] = verdict.breaks
    assert breaks == {"widened": order == "big", "hsr_high": False}


@pytest.mark.parametrize("order", ABI_OF)
def test_a_layout_test_of_bindgen_for_the_old_struct_holds_for_the_widened(order: str) -> None:
    old, new = (
        answers()[f"bindgen, {name}, {order}"].output.splitlines() for name in ("old", "widened")
    )
    assert sum("assert_eq!" in line for line in old) == 4  # size, alignment, two offsets
    changed = [line[1:] for line in difflib.unified_diff(old, new, n=0, lineterm="")]
    assert "    pub hsr: __u64," in changed
    assert not any("usize" in line or "assert" in line for line in changed)


def test_an_answer_in_words() -> None:
    answer = answers()["abidiff, old, little- to big"]
    assert repr(answer).splitlines()[1:] == [f"$ {answer.command}", "(nothing)", "exit status 0"]
    assert "\t" not in repr(answers()["pahole, old, big"])
