"""The story in a real JupyterLab in a real browser, driven by mouse and by keyboard."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from kvmviz import MmioExit
from kvmviz.kvm.exits import Served
from kvmviz.kvm.kernel import KERNELS
from kvmviz.learn.exercises import EXERCISES, WATCH
from kvmviz.widgets import timeline as scrub
from kvmviz.widgets.explorer import State
from kvmviz.widgets.workbench import OLD
from kvmviz.widgets.workbench import State as Bench
from tests import browser

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
STORY = "01_story.ipynb"
TIMELINE = "timeline.ipynb"
HOME = State()
SOON = 60_000
"""Milliseconds: how long the page may take to follow; it takes a twentieth of a second."""

SAFE = EXERCISES["sixteen"].solution
UNSAFE = WATCH.replace("id;\n", "id;\n    __u16 extra;\n")
RESET = "Back to the state at the start"

pytestmark = pytest.mark.skipif(
    not browser.chromium(), reason="no chromium: nothing to show the pages in"
)


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks, and one of a timeline alone."""
    folder = tmp_path_factory.mktemp("notebooks")
    shutil.copytree(NOTEBOOKS, folder, dirs_exist_ok=True)
    source = "from kvmviz.widgets.timeline import Timeline\n\nTimeline()"
    browser.write_notebook(folder / TIMELINE, source)
    return folder


@pytest.fixture(scope="module")
def server(notebooks: Path) -> Iterator[browser.Server]:
    with browser.jupyterlab(notebooks) as running:
        yield running


@pytest.fixture(scope="module")
def story(server: browser.Server) -> Iterator[browser.Watched]:
    """The story, all its cells run."""
    with browser.browser() as watched:
        watched.page.goto(server.page(STORY))
        browser.run_all(watched.page)
        yield watched


@pytest.fixture
def page(story: browser.Watched) -> Page:
    """The story scrolled to its explorer, which is as it was at the start."""
    browser.show_widget(story.page)
    button(story.page, "Reset").click()
    follows(story.page, HOME)
    return story.page


def explorer(page: Page) -> Locator:
    return page.locator(".kvmviz:not(.kvmviz-guess)").first


def picture(page: Page) -> Locator:
    return explorer(page).locator(".kv-board")


def unfold(page: Page) -> None:
    """What lies under "more"; it stays unfolded."""
    more = explorer(page).locator(".kvmviz-more")
    if more.get_attribute("aria-expanded") != "true":
        more.focus()
        page.keyboard.press("Enter")
    expect(explorer(page).get_by_label("esr", exact=True)).to_be_visible(timeout=SOON)


def button(page: Page, name: str) -> Locator:
    """A button by its name, chosen or not."""
    return explorer(page).get_by_role("button", name=name)


def follows(page: Page, state: State) -> str:
    """Wait until the board is that of a state, its words too; the bytes that it shows."""
    expect(explorer(page).locator("pre")).to_have_text(state.board.twin, timeout=SOON)
    expect(picture(page).locator("strong")).to_have_text(state.reading.headline)
    return bytes_of(page)


def bytes_of(page: Page) -> str:
    """The cells of a board, in order: value, bits, offset and words of each."""
    return " ".join(picture(page).locator(".octet button").all_text_contents())


def test_mouse_turns_byte_order_and_width(page: Page) -> None:
    before = follows(page, HOME)
    button(page, "little-endian").click()
    little = replace(HOME, abi="aarch64")
    flipped = follows(page, little)
    assert flipped != before
    expect(picture(page).locator("strong")).to_have_text("✓ reads 0xd2000062")
    unfold(page)
    explorer(page).get_by_title("hsr: 32 bits wide").click()
    narrow = follows(page, replace(little, widths=(("hsr", 32), ("far", 64))))
    assert narrow not in (before, flipped)
    expect(explorer(page).get_by_title("hsr: 32 bits wide")).to_have_text("32")
    expect(button(page, "✓ 32")).to_be_visible()


def test_keyboard_alone_turns_byte_order_and_width(story: browser.Watched, page: Page) -> None:
    page.locator(".jp-Notebook").focus()
    page.keyboard.press("Escape")
    steps = browser.show_widget(page)
    for _ in range(abs(steps)):
        page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
    assert browser.show_widget(page) == 0
    before = follows(page, HOME)
    tab_to(page, "little-endian")
    page.keyboard.press("Enter")
    little = replace(HOME, abi="aarch64")
    flipped = follows(page, little)
    assert focused(page) == "little-endian"
    page.keyboard.press("ArrowRight")
    follows(page, HOME)
    page.keyboard.press("ArrowLeft")
    follows(page, little)
    assert focused(page) == "little-endian"
    unfold(page)
    tab_to(page, "hsr: 32 bits wide")
    page.keyboard.press("Space")
    narrow = follows(page, replace(little, widths=(("hsr", 32), ("far", 64))))
    assert len({before, flipped, narrow}) == 3
    assert focused(page) == "hsr: 32 bits wide"


def test_tab_goes_through_the_controls_as_they_stand(page: Page) -> None:
    unfold(page)
    button(page, "merged").first.click()
    follows(page, replace(HOME, layout="merged"))
    button(page, "little-endian").focus()
    names = [focused(page)]
    while names[-1] != "far: 64 bits wide":
        page.keyboard.press("Tab")
        names.append(focused(page))
        assert len(names) < 40, " / ".join(names)
    widths = [f"{m}: {b} bits wide" for m in ("hsr", "hsr_high", "far") for b in (8, 16, 32, 64)]
    assert names == [
        *("little-endian", "big-endian", "old", "widened", "merged"),
        *("u32 hsr", "u64 hsr", "hsr_high if flag set", "hsr_high, flag ignored"),
        *("ABI, widths, and what the registers held", RESET),
        *("ABI", "esr", "far", "fill", *widths),
    ]


def test_keys_in_a_control_are_the_controls_own(page: Page) -> None:
    cells = "jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.type).join()"
    before = page.evaluate(cells)
    unfold(page)
    explorer(page).locator("select").focus()
    page.keyboard.press("x")  # JupyterLab's command to cut a cell, and the first letter of x86_64
    follows(page, replace(HOME, abi="x86_64"))
    page.keyboard.press("ArrowDown")
    follows(page, replace(HOME, abi="i386"))
    button(page, "big-endian").focus()
    for key in ("d", "d", "b"):
        page.keyboard.press(key)
    assert page.evaluate(cells) == before


def test_a_screen_reader_is_told_names_states_and_the_verdict(page: Page) -> None:
    unfold(page)
    rows = {"byte order", "kernel writes", "hsr bits", "hsr_high bits", "far bits", "VMM reads"}
    for name in rows:
        expect(explorer(page).get_by_role("group", name=name, exact=True)).to_be_visible()
    order = explorer(page).get_by_role("group", name="byte order")
    expect(order.get_by_role("button", pressed=True)).to_have_text("big-endian")
    button(page, "little-endian").click()
    expect(order.get_by_role("button", pressed=True)).to_have_text("little-endian")
    button(page, "Reset").click()
    expect(order.get_by_role("button", pressed=True)).to_have_text("big-endian")
    button(page, "little-endian").click()
    spoken = explorer(page).locator("[aria-live=polite]")
    expect(spoken).to_have_text(replace(HOME, abi="aarch64").board.spoken)


def focused(page: Page) -> str:
    """What the focused element is called: its label, its tooltip, or its words."""
    return str(
        page.evaluate(
            """() => {
              const at = document.activeElement;
              return at.labels?.[0]?.textContent || at.title || at.textContent;
            }"""
        )
    ).strip()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until an element of that name has the focus."""
    seen: list[str] = []
    while not seen or seen[-1] != name:
        page.keyboard.press("Tab")
        seen.append(focused(page)[:40])
        assert len(seen) < 60, f"no {name!r} among {seen}"


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("esr", "0xd200z062", "'0xd200z062' is not a hexadecimal number"),
        ("fill", "100", "0x100 does not fit 8 bits"),
    ],
)
def test_malformed_hex_is_told_beside_the_controls(
    page: Page, name: str, typed: str, said: str
) -> None:
    before = follows(page, HOME)
    unfold(page)
    field = explorer(page).get_by_label(name, exact=True)
    held = field.input_value()
    field.fill(typed)
    field.press("Enter")
    told = explorer(page).get_by_role("alert")
    expect(told).to_contain_text(f"{name}: ", timeout=SOON)
    expect(told).to_contain_text(said)
    at, place = box(field), box(told)
    assert at["y"] + at["height"] <= place["y"] < at["y"] + at["height"] + 60
    assert follows(page, HOME) == before
    expect(field).to_have_value(typed)  # to be mended
    button(page, "little-endian").click()
    follows(page, replace(HOME, abi="aarch64"))
    expect(told).to_have_count(0)
    expect(field).to_have_value(held)


def test_quick_clicks_are_all_taken(page: Page) -> None:
    # The server may hand them to several threads of the kernel at once.
    for _ in range(5):
        explorer(page).evaluate(
            """at => {
              for (const words of ["little-endian", "merged", "u64 hsr"])
                [...at.querySelectorAll("button")].find(b => b.textContent === words).click();
            }"""
        )
        follows(page, replace(HOME, abi="aarch64", layout="merged", reader="u64 hsr"))
        expect(button(page, "✓ merged").first).to_be_visible()
        button(page, "Reset").click()
        follows(page, HOME)
        expect(button(page, "✓ u32 hsr")).to_be_visible()


def test_a_byte_that_is_pointed_at_says_what_it_is(page: Page) -> None:
    cells = picture(page).locator(".octet button")
    cells.nth(4).hover()
    told = cells.nth(4).locator("span")
    expect(told).to_have_css("opacity", "1")
    expect(told).to_have_text("hsr[31:24]")
    marked = "[...CSS.highlights.get('kv-byte')].map(String).join()"
    assert "d2 00 00 62" in page.evaluate(marked)
    explorer(page).locator("summary").click()
    picture(page).locator(".octet button").first.focus()
    page.keyboard.press("ArrowRight")
    expect(cells.nth(1)).to_be_focused()
    button(page, "little-endian").click()
    follows(page, replace(HOME, abi="aarch64"))
    expect(explorer(page).locator("pre")).to_be_visible()  # as it was left
    explorer(page).locator("summary").click()
    expect(explorer(page).locator("pre")).to_be_hidden()


MOVING = "board => board.getAnimations({subtree: true}).length"


def test_bytes_travel_and_end_where_they_are(page: Page) -> None:
    button(page, "little-endian").click()
    follows(page, replace(HOME, abi="aarch64"))
    page.wait_for_timeout(1000)
    assert picture(page).evaluate(MOVING) == 0
    places = "board => [...board.querySelectorAll('button')].map(b => b.getBoundingClientRect().x)"
    stood = picture(page).evaluate(places)
    picture(page).evaluate(
        """board => { const view = board.closest(".kvmviz-view"); window.most = 0;
          new MutationObserver(() => requestAnimationFrame(() => { window.most =
            view.getAnimations({subtree: true}).length; })).observe(
              view, {subtree: true, childList: true}); }"""
    )
    button(page, "big-endian").click()
    follows(page, HOME)
    page.wait_for_function("window.most > 0")
    assert page.evaluate("window.most") == 16  # all turn round inside hsr and far
    page.wait_for_timeout(1000)
    assert picture(page).evaluate(places) == stood
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("window.most = -1")
    button(page, "little-endian").click()
    follows(page, replace(HOME, abi="aarch64"))
    page.wait_for_function("window.most >= 0")
    assert page.evaluate("window.most") == 0
    page.emulate_media(reduced_motion="no-preference")


def test_controls_picture_and_verdict_fit_one_window(page: Page, tmp_path: Path) -> None:
    explorer(page).evaluate("e => e.scrollIntoView({block: 'start'})")
    page.screenshot(path=tmp_path / "explorer.png")
    window = box(page.locator(".jp-WindowedPanel-outer").first)
    low, right = window["y"] + window["height"], window["x"] + window["width"]
    place = box(explorer(page))
    # Its words are folded.
    shown = box(picture(page))
    assert place["y"] >= window["y"] - 1
    assert shown["y"] + shown["height"] <= low
    assert shown["x"] + shown["width"] <= right
    controls = ":is(button, input, select, label):visible:not(.kv-board *)"
    for control in explorer(page).locator(controls).all():
        at = box(control)
        assert at["x"] + at["width"] <= right
        assert at["y"] + at["height"] <= shown["y"]
        cut = control.evaluate("e => e.scrollWidth > e.clientWidth + 1")
        assert not cut, control.evaluate("e => e.outerHTML")


def box(found: Locator) -> dict[str, float]:
    place = found.bounding_box()
    assert place
    return {"x": place["x"], "y": place["y"], "width": place["width"], "height": place["height"]}


@pytest.fixture(scope="module")
def pages(server: browser.Server, story: browser.Watched) -> Iterator[dict[str, Page]]:
    """A timeline, and the notebooks that people type into, each with all its cells run."""
    opened = {}
    for name in (TIMELINE, "07_your_own_struct.ipynb", "08_your_turn.ipynb"):
        page = opened[name] = story.page.context.new_page()
        page.goto(server.page(name))
        # One kernel after the other: a server asked for all of them while one starts may fail.
        browser.start_all(page)
    for page in opened.values():
        browser.finish_all(page)
    yield opened
    for page in opened.values():
        page.close()


@pytest.fixture
def bench(pages: dict[str, Page]) -> Page:
    """The workbench, as it was at the start."""
    page = pages["07_your_own_struct.ipynb"]
    browser.show_widget(page)
    button(page, "Reset").click()
    shows(page, Bench())
    return page


def shows(page: Page, state: Bench) -> None:
    """Wait until a workbench shows a state: the board, and the words in it."""
    words = state.board.twin
    expect(picture(page).locator("pre")).to_have_text(words, timeout=SOON)
    expect(picture(page).locator("strong")).to_have_text(state.title)


MERGED = OLD.replace("hsr;\n", "hsr;\n    __u32 hsr_high;\n")


def test_c_that_is_typed_moves_picture_alt_text_and_verdict(bench: Page) -> None:
    field = explorer(bench).get_by_label("new C, or empty")
    field.fill("")
    shows(bench, Bench(changed=""))
    field.press_sequentially(MERGED)
    shows(bench, Bench(changed=MERGED))
    told = picture(bench).locator("strong")
    expect(told).to_have_text(
        "✗ breaks on i386, m68k; on aarch64, aarch64_be: nothing breaks, but old bytes never hold "
        "hsr_high"
    )
    explorer(bench).get_by_label("beside").select_option("i386")
    shows(bench, Bench(changed=MERGED, abis=("aarch64", "i386")))
    expect(told).to_contain_text("far foreign on i386")


def test_a_wrong_line_is_quoted_and_the_last_picture_stays(bench: Page) -> None:
    field = explorer(bench).get_by_label("new C, or empty")
    before = bytes_of(bench)
    wrong = MERGED.replace("hsr_high;", "hsr_high")
    field.fill(wrong)
    told = explorer(bench).get_by_role("status")
    expect(told).to_contain_text("line 3, column 19: expected", timeout=SOON)
    expect(told).to_contain_text("3 |     __u32 hsr_high")
    at, place = box(field), box(told)
    assert at["y"] + at["height"] <= place["y"] < at["y"] + at["height"] + 20
    assert bytes_of(bench) == before
    assert field.input_value() == wrong
    shows(bench, Bench())
    field.fill(MERGED)
    shows(bench, Bench(changed=MERGED))
    expect(told).to_have_count(0)


def test_the_workbench_is_reached_by_keyboard(bench: Page) -> None:
    explorer(bench).get_by_label("old C").focus()
    names = [focused(bench)]
    while names[-1] != RESET:
        bench.keyboard.press("Tab")
        names.append(focused(bench))
        assert len(names) < 12, names
    assert names == ["old C", "new C, or empty", "values stored", "ABI", "beside", RESET]


def test_the_workbench_fits_one_window(bench: Page, tmp_path: Path) -> None:
    explorer(bench).evaluate("e => e.scrollIntoView({block: 'start'})")
    bench.screenshot(path=tmp_path / "workbench.png")
    window = box(bench.locator(".jp-WindowedPanel-outer").first)
    low, right = window["y"] + window["height"], window["x"] + window["width"]
    for part in (
        picture(bench),
        *explorer(bench).locator(":is(textarea, input, select, button):visible").all(),
    ):
        at = box(part)
        assert at["y"] + at["height"] <= low
        assert at["x"] + at["width"] <= right
    assert box(picture(bench))["width"] > 560


@pytest.fixture
def desk(pages: dict[str, Page]) -> Locator:
    """The exercise of 16 bits, as it was at the start."""
    page = pages["08_your_turn.ipynb"]
    found = page.locator(".kvmviz-desk").filter(has=page.locator("p.title", has_text="Add 16 bits"))
    browser.scroll_to(page, 'Desk("sixteen", SESSION)')
    found.get_by_role("button", name="Reset").click()
    expect(found.get_by_text("open · 0 of 9 solved, 0 hints taken")).to_be_visible(timeout=SOON)
    return found


def test_an_exercise_is_answered_by_keyboard(desk: Locator, tmp_path: Path) -> None:
    page, field, told = desk.page, desk.get_by_label("your answer"), desk.get_by_role("status")
    for answer, verdict in (
        (UNSAFE, "✗ not yet: it breaks: on"),
        (SAFE, "✓ right: nothing breaks"),
    ):
        field.focus()
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(answer)
        page.keyboard.press("Tab")
        assert focused(page) == "Grade the answer"
        page.keyboard.press("Enter")
        expect(told).to_contain_text(verdict, timeout=SOON)
        page.screenshot(path=tmp_path / f"desk_{verdict[0]}.png")
    expect(desk.get_by_text("solved · 1 of 9 solved, 0 hints taken")).to_be_visible(timeout=SOON)
    expect(desk.locator(".kv-board strong")).to_have_text(re.compile("^✓ nothing breaks"))


# The timeline: the kvm_run page over time.


@pytest.fixture
def scrubbed(pages: dict[str, Page]) -> Page:
    """The page of the timeline, which is as it was at the start."""
    timeline = pages[TIMELINE]
    browser.show_widget(timeline)
    button(timeline, "Reset").click()
    expect(words(timeline)).to_have_text(scrub.State().board.twin, timeout=SOON)
    return timeline


def words(page: Page) -> Locator:
    """The words of the board, which are those of a state of the timeline."""
    return picture(page).locator("pre")


def test_the_timelines_rows_of_buttons_have_names(scrubbed: Page) -> None:
    group = scrubbed.get_by_role("group", name="byte order of kernel and VMM")
    expect(group).to_have_count(1)


def test_timeline_is_scrubbed_by_arrow_keys(scrubbed: Page) -> None:
    tab_to_slider(scrubbed)
    for key, step in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", 5)):
        scrubbed.keyboard.press(key)
        expect(words(scrubbed)).to_have_text(scrub.State(step=step).board.twin, timeout=SOON)


def test_the_timeline_keeps_its_height(scrubbed: Page) -> None:
    button(scrubbed, "Back").click()
    heights = set()
    for step in range(6):
        expect(words(scrubbed)).to_have_text(scrub.State(step=step).board.twin, timeout=SOON)
        heights.add(box(explorer(scrubbed).locator(".kv-board"))["height"])
        if step < 5:
            button(scrubbed, "Next").click()
    assert len(heights) == 1


def tab_to_slider(page: Page) -> None:
    explorer(page).get_by_label("VMM", exact=True).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.getAttribute('role')") == "slider"


def test_timeline_follows_the_mouse(scrubbed: Page) -> None:
    button(scrubbed, "Next").click()
    expect(words(scrubbed)).to_have_text(scrub.State(step=2).board.twin, timeout=SOON)
    explorer(scrubbed).get_by_label("beside it").select_option("merged")
    beside = scrub.State(step=2, beside=KERNELS["merged"])
    expect(words(scrubbed)).to_have_text(beside.board.twin, timeout=SOON)
    button(scrubbed, "little-endian").click()
    expect(words(scrubbed)).to_have_text(
        replace(beside, byte_order="little").board.twin, timeout=SOON
    )


def test_timeline_is_built_step_by_step(scrubbed: Page) -> None:
    part = explorer(scrubbed)
    button(scrubbed, "Clear").click()
    empty = scrub.State(scenario=scrub.own(()), step=-1).board
    expect(words(scrubbed)).to_have_text(empty.twin, timeout=SOON)
    part.get_by_label("add", exact=True).select_option("MMIO write")
    part.get_by_label("data, bytes", exact=True).fill("5a zz")
    part.get_by_role("button", name="Add", exact=True).click()
    told = part.get_by_role("alert")
    expect(told).to_contain_text("data: '5azz' is no hex of whole bytes", timeout=SOON)
    expect(words(scrubbed)).to_have_text(empty.twin, timeout=SOON)
    part.get_by_label("data, bytes", exact=True).fill("5a")
    part.get_by_role("button", name="Add", exact=True).click()
    first = MmioExit(0x0900_0000, 1, b"\x5a")
    made = scrub.State(scenario=scrub.own((first,)), step=0)
    expect(words(scrubbed)).to_have_text(made.board.twin, timeout=SOON)
    expect(told).to_have_count(0)
    part.get_by_label("add", exact=True).select_option("KVM serves a read")
    part.get_by_role("button", name="Add", exact=True).click()
    served = Served(0x0800_0100, 4, b"\1\0\0\0")
    made = scrub.State(scenario=scrub.own((first, served)), step=1)
    expect(words(scrubbed)).to_have_text(made.board.twin, timeout=SOON)


def test_timeline_fits_one_window(scrubbed: Page) -> None:
    explorer(scrubbed).evaluate("e => e.scrollIntoView({block: 'start'})")
    window = box(scrubbed.locator(".jp-WindowedPanel-outer").first)
    shown = box(picture(scrubbed))
    assert shown["y"] + shown["height"] <= window["y"] + window["height"]
    assert shown["x"] + shown["width"] <= window["x"] + window["width"]


def test_axe_finds_nothing_in_widgets_and_outputs(
    page: Page, bench: Page, desk: Locator, scrubbed: Page
) -> None:
    for shown in (page, bench, desk.page, scrubbed):
        assert browser.axe(shown, ".jp-OutputArea") == []


def test_all_pages_are_silent_and_stay_at_home(
    server: browser.Server, story: browser.Watched, desk: Locator, scrubbed: Page
) -> None:
    assert story.complaints == []
    assert len(story.requests) > 50
    assert any(url.startswith("ws://127.0.0.1") for url in story.requests)
    assert story.strangers == []
    # Whose requests a page's would not tell of.
    assert story.page.context.service_workers == []
    assert server.hosts <= set(browser.LOCAL)
