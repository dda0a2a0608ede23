"""The board and the page without a browser: what is written equals the Python objects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from kvmviz import board, parse
from kvmviz.kvm import scenario
from kvmviz.kvm.kernel import ESR_BIT
from kvmviz.kvm.program import READERS, VMMS, Reading, read
from kvmviz.kvm.scenario import SCENARIOS
from kvmviz.learn.question import QUESTIONS
from kvmviz.review.versions import Versions, headline
from kvmviz.web import html
from kvmviz.web.page import figures, page
from tests.story import scenes

_, _, _, _, _, NO_REASON, _, _ = READERS
VOID = {"meta", "input", "br"}


@dataclass
class Element:
    """An element as a browser takes it: tag, attributes, children, and the text of all of it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    def find(self, tag: str, *classes: str) -> list[Element]:
        """Elements below it, in order."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if child.tag == tag and set(classes) <= child.classes:
                    found.append(child)
                found += child.find(tag, *classes)
        return found


class Tree(HTMLParser):
    """Reads HTML strictly: what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root], self.open[-1].tag

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def tree(text: str) -> Element:
    return Tree(text).root


@pytest.fixture(scope="module")
def whole() -> str:
    return page()


@pytest.fixture(scope="module")
def root(whole: str) -> Element:
    return tree(whole)


def spans(shown: Element, kind: str) -> Iterator[tuple[int, int, str, str]]:
    """First and last byte of each hand or brace, its verdict and name; parts of one joined."""
    offset = 0
    for octet in shown.find("div", "octet"):
        offset = int(octet.find("s")[0].text)
        for part in octet.find("span", kind):
            *start, count = map(int, re.findall(r"\d+", part.attributes["style"]))
            at = start[0] if start else 1
            verdict = next(iter(part.classes & {"right", "wrong"}), "")
            yield offset + at - 1, offset + at + count - 2, verdict, part.text


KINDS = [
    (kernel, vmm, abi, esr)
    for kernel in ("old", "widened", "v2", "merged")
    for vmm in VMMS
    for abi in ("aarch64", "aarch64_be", "i386", "m68k")
    for esr in (0xF2001234, 0x100_D2000062)
]


@pytest.mark.parametrize(("kernel", "vmm", "abi", "esr"), KINDS)
def test_a_reading_in_html_is_the_reading(kernel: str, vmm: str, abi: str, esr: int) -> None:
    shown = read(kernel, vmm, abi, esr, 0x40000800, 0xAA)
    made = tree(html.article(board.reading(shown), "one two"))
    (article,) = made.find("article")
    verdict = "right" if shown.sound else "wrong"
    assert article.classes == {"kv-board", verdict, "one", "two"}
    assert article.find("pre")[0].text == repr(shown)
    assert article.find("p", "effect")[0].text == shown.effect
    assert article.find("strong")[0].text[0] == ("✓" if shown.sound else "✗")
    check_cells(article, shown)
    check_hands(article, shown)


def check_cells(article: Element, shown: Reading) -> None:
    cells, offsets = article.find("button"), article.find("s")
    assert [s.text for s in offsets] == [f"+{at}" for at in range(len(cells))]
    keys = [cell.attributes["name"] for cell in cells]
    assert len(set(keys)) == len(keys)  # else a byte would not know whence it came
    for at, cell in enumerate(cells[: len(shown.image)]):
        source = shown.image.sources[at]
        assert cell.find("b")[0].text == f"{shown.image.data[at]:02x}"
        assert cell.children[1] == (source.bits if source else "–")
        assert ("unwritten" in cell.classes) == (source is None)
        if source is None:
            assert cell.attributes["name"] == f"at{at}"
            continue
        wide = source.slot.width == 64 and source.low >= 32
        assert ("high" in cell.classes) == wide
        if source.slot.path in ESR_BIT:
            byte = (source.low + ESR_BIT[source.slot.path]) // 8
            assert cell.attributes["name"] == f"ESR{byte}"
        assert f"{source.path}[{source.bits}]" in cell.find("span")[0].text
    assert all("past" in cell.classes for cell in cells[len(shown.image) :])


def check_hands(article: Element, shown: Reading) -> None:
    covered: dict[int, str] = {}
    for first, last, verdict, _ in spans(article, "hand"):
        covered |= dict.fromkeys(range(first, last + 1), verdict)
    wanted = dict.fromkeys(shown.lost_far, "wrong")
    for run in shown.runs:
        verdict = "right" if run.right else "wrong"
        wanted |= dict.fromkeys(range(run.first, run.last + 1), verdict)
    assert covered == wanted
    names = {name for *_, name in spans(article, "hand") if name}
    for run in shown.runs:
        taken = f"taken for ESR[{run.wanted[0]}:{run.wanted[1]}]"
        assert any(name.startswith(taken) for name in names)
    braced = [(first, last) for first, last, *_ in spans(article, "brace")]
    assert [at for first, last in braced for at in range(first, last + 1)] == [
        *range(len(shown.image))
    ]


@pytest.mark.parametrize("beside", [None, "merged"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_history_in_html_is_the_history(name: str, beside: str | None, full: bool) -> None:
    for number in range(len(SCENARIOS[name].events)):
        shown = scenario.scene(SCENARIOS[name], "v2", "aarch64_be", NO_REASON, beside, number, 2)
        made = board.history(shown, full)
        (article,) = tree(html.article(made)).find("article")
        assert article.find("pre")[0].text == repr(made) == repr(shown)
        offsets = list(board.offsets(shown, full))
        pages = [seen.step.page for row in shown.rows for seen in row]
        written = {at for at in range(64) if any(page.sources[at] for page in pages)}
        told = {*range(8, 16), *range(32, 64)}
        assert told | written <= {*offsets}
        assert len(offsets) == 64 or not full
        assert full or {at // 8 for at in {*offsets} - told} <= {at // 8 for at in written}
        strips = article.find("div", "strip")
        for strip, seen in zip(strips, shown.rows[-1], strict=True):
            assert [int(s.text) for s in strip.find("s")] == offsets
            for at, cell in zip(offsets, strip.find("button"), strict=True):
                assert cell.find("b")[0].text == f"{seen.step.page.data[at]:02x}"
                assert seen.step.state(at) in cell.classes
                assert ("differs" in cell.classes) == (at in shown.differing[-1])
                assert cell.attributes["name"] == f"page{at}"
        judged = {seen.right for seen in shown.rows[-1] if seen.step.is_run}
        verdict = {"right" if all(judged) else "wrong"} if judged else set()
        assert article.classes & {"right", "wrong"} == verdict
        if beside:
            verdicts = [title.classes & {"right", "wrong"} for title in article.find("p", "title")]
            assert verdicts == [
                {"right" if seen.right else "wrong"} if seen.step.is_run else set()
                for seen in shown.rows[-1]
            ]
        rows = article.find("li")
        (now,) = [at for at, row in enumerate(rows) if "aria-current" in row.attributes]
        assert f"step {number}: " in rows[now].text
        # What is to come is not judged yet.
        assert all(row.text.startswith("· step ") for row in rows[now + 1 :])


CHANGES = [
    ("struct s { __u32 hsr; __u64 far; };", "struct s { __u64 hsr; __u64 far; };"),
    ("struct s { __u32 hsr; __u64 far; };", "struct s { __u32 hsr, hsr_high; __u64 far; };"),
    ("struct s { __u64 op:5, rest:59; };", "struct s { __u64 op:3, more:2, rest:59; };"),
    (
        "struct s { __u32 type; union { __u64 flags; __u64 data[2]; }; };",
        "struct s { __u32 type, ndata; union { __u64 flags; __u64 data[16]; }; };",
    ),
    ("struct s { __u8 a; __u64 b[9]; };", ""),
]


@pytest.mark.parametrize("abi", ["aarch64", "aarch64_be", "i386", "m68k"])
@pytest.mark.parametrize("values", [(), (("hsr", 0x123456789A),)])
@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_versions_in_html_are_the_versions(
    old: str, new: str, values: tuple[tuple[str, int], ...], abi: str
) -> None:
    layouts = [parse(text)["s"].layout(abi) if text else None for text in (old, new)]
    assert layouts[0]
    shown = Versions(layouts[0], layouts[1], values)
    made = board.versions([shown])
    (article,) = tree(html.article(made)).find("article")
    title = headline([shown])
    assert article.find("strong")[0].text == title
    assert article.classes & {"right", "wrong"} == {"✓": {"right"}, "✗": {"wrong"}}.get(
        title[0], set()
    )
    assert article.find("pre")[0].text == f"{title}\n{shown!r}"
    cells = article.find("button")
    keys = [cell.attributes["name"] for cell in cells]
    assert len(set(keys)) == len(keys)
    held: list[dict[int, list[tuple[str, str]]]] = [{}, {}]
    for cell in cells:
        words = cell.find("span")[0].text
        at = int(cell.find("s")[0].text)
        number = int(cell.attributes["name"].split(".")[1])
        held[number].setdefault(at, []).append((cell.find("b")[0].text, words))
    left = re.search(r"Left out: (.*)\.", " ".join(p.text for p in article.find("p")))
    for number, side in enumerate(shown.each):
        if not left and "not drawn" not in article.text:
            assert sorted(held[number]) == [*range(side.layout.size)]
        for at, told in held[number].items():
            for source in side.layout.holders[at]:
                assert any(source.slot.path in words for _, words in told)
            for slot, status in side.judged(at).items():
                assert any(slot.path in words and status in words for _, words in told)
            if side.image and side.is_stored(at):
                assert told[0][0] == f"{bytes(side.image)[at]:02x}"
    wrong = any(
        status != "intact"
        for number, side in enumerate(shown.each)
        for at in held[number]
        for status in side.judged(at).values()
    )
    assert bool(article.find("span", "brace", "wrong")) == wrong


def test_words_are_escaped() -> None:
    shown = board.Board("<b>&\"'", None, (), (), "", (), "</pre><script>")
    assert tree(html.article(shown)).find("strong")[0].text == "<b>&\"'"
    assert "<script" not in html.article(shown)


# --- the page --------------------------------------------------------------------------------


def test_the_page_is_one_small_file_that_asks_for_nothing(whole: str) -> None:
    assert whole == page.__wrapped__()
    assert len(whole.encode()) <= 380_000
    assert not re.search(r"https?:|url\(|@import|src=|<link|fetch\(|XMLHttp", whole)


def test_every_state_of_every_scene_is_there_once(root: Element) -> None:
    wanted = [
        (",".join((scene.name, *values)), shown)
        for scene in scenes()
        if scene.figure
        for values, shown in scene.figure.states.items()
    ]
    articles = root.find("article")
    assert [article.attributes["id"] for article in articles] == [name for name, _ in wanted]
    for article, (_, shown) in zip(articles, wanted, strict=True):
        assert article.find("pre")[0].text == repr(shown)


def test_what_is_chosen_leaves_one_state(root: Element, whole: str) -> None:
    """The CSS hides a state that lacks a chosen value: any choice leaves just one."""
    for scene in scenes():
        controls = scene.figure.controls if scene.figure else ()
        values = [set(control.options) for control in controls]
        assert all(control.start in control.options for control in controls)
        chosen = [frozenset(state) for state in (scene.figure.states if scene.figure else ())]
        assert len(set(chosen)) == len(chosen)
        for state in chosen:
            assert all(len(state & options) == 1 for options in values)
        for options in values:
            for value in options:
                rule = f'#{scene.name}:has([value="{value}"]:checked) .kv-board:not(.{value})'
                assert rule in whole
        taken = [*(value for options in values for value in options), *scene.guesses]
        assert len(set(taken)) == len(taken)


def test_a_guess_comes_before_its_answer(root: Element, whole: str) -> None:
    guessed = [section for section in root.find("section") if section.find("fieldset", "guess")]
    assert [section.attributes["id"] for section in guessed] == ["start"]
    for section in guessed:
        (guess,) = section.find("fieldset", "guess")
        options = [one.attributes["value"] for one in guess.find("input")]
        assert not any("checked" in one.attributes for one in guess.find("input"))
        # What follows it, and what is said to each option, is hidden until one is chosen.
        assert ".guess:not(:has(:checked))~.told,.guess label:not(:has(:checked))+p{" in whole
        kinds = [child.classes for child in section.children if isinstance(child, Element)]
        assert kinds.index({"guess"}) < kinds.index({"told"})
        question = QUESTIONS["widened"]
        assert guess.find("legend")[0].text == question.words
        assert [one.text for one in guess.find("label")] == list(question.options)
        assert [one.text for one in guess.find("p")] == [*map(question.feedback, question.options)]
        assert options.index("right") == list(question.options).index(question.right)


def test_the_size_check_fails_where_the_page_says_so(root: Element) -> None:
    (section,) = [s for s in root.find("section") if s.attributes["id"] == "sizeof"]
    rows = [[cell.text for cell in row.find("td")] for row in section.find("tr")[1:]]
    names = [row.find("th")[0].text for row in section.find("tr")[1:]]
    assert [name for name, row in zip(names, rows, strict=True) if row[0] != row[1]] == [
        "i386", "m68k",
    ]  # fmt: skip
    assert "i386 and m68k alone" in " ".join(section.find("p", "effect")[0].text.split())


def test_links_lead_to_states(root: Element) -> None:
    there = {article.attributes["id"] for article in root.find("article")}
    there |= {section.attributes["id"] for section in root.find("section")}
    links = [link.attributes["href"] for link in root.find("a")]
    assert len(links) > 24
    assert all(link.removeprefix("#") in there for link in links)


def test_the_talk_takes_twenty_minutes_and_about_twenty_five_presses() -> None:
    told = scenes()
    assert 18 <= sum(scene.minutes for scene in told) <= 22
    presses = len(told) - 1 + sum(len(scene.steps) for scene in told)
    assert 20 <= presses <= 30
    for scene in told:
        assert scene.notes
        controls = scene.figure.controls if scene.figure else ()
        legal = {*scene.guesses, *(value for control in controls for value in control.options)}
        assert set(scene.steps) <= legal


def test_the_story_has_about_1200_words() -> None:
    assert 900 <= sum(len(scene.prose.split()) for scene in scenes()) <= 1400


def test_every_figure_has_its_place_in_the_story() -> None:
    assert {scene.name for scene in scenes() if scene.figure} == {*figures()}
