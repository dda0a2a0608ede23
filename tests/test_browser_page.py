"""The page and the talk in a real browser: every state, link, step, key, size and motion."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from kvmviz.web.page import page as written
from tests import browser
from tests.story import scenes

pytestmark = pytest.mark.skipif(
    not browser.chromium(), reason="no chromium: nothing to show the page in"
)

LINK = "turn,big,widened,r-u32-hsr,e-brk"


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with browser.running() as made:
        yield made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(written(), "utf-8")
    return path


@contextlib.contextmanager
def opened(
    running: Browser, file: Path, link: str = "", width: int = 1280, height: int = 720, **more: Any
) -> Iterator[Page]:
    """The page at a link in a context of its own; it asks for nothing and does not complain."""
    more = {"reduced_motion": "reduce", **more}
    context = running.new_context(viewport={"width": width, "height": height}, **more)
    context.set_default_timeout(8000)
    watched = browser.watch(context)
    try:
        watched.page.goto(file.as_uri() + (f"#{link}" if link else ""))
        yield watched.page
        asked = {url.partition("#")[0] for url in watched.requests}
        assert asked <= {file.as_uri(), "about:blank"}, asked
        assert not watched.complaints
    finally:
        context.close()


SEEN = """name => [...document.querySelectorAll(`#${name} article`)]
  .filter(article => article.checkVisibility()).map(article => article.id)"""

# Chooses one state after the other. Told are those that do not show just themselves, windows that
# are narrower than the page, and words that lie on others; a line's rise may lie in another's fall.
EVERY_STATE = """() => {
  const wrong = [];
  for (const article of document.querySelectorAll("article")) {
    const [name, ...values] = article.id.split(","), scene = document.getElementById(name);
    for (const guess of scene.querySelectorAll(".guess input")) guess.checked = true;
    for (const value of values) scene.querySelector(`[value="${value}"]`).checked = true;
    const seen = [...scene.querySelectorAll("article")].filter(one => one.checkVisibility());
    if (seen.length !== 1 || seen[0] !== article) wrong.push(article.id);
    if (document.documentElement.scrollWidth > innerWidth) wrong.push(`wide ${article.id}`);
    const boxes = [];
    const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    for (let node; node = walker.nextNode();) {
      const shown = node.parentElement.checkVisibility({opacityProperty: true});
      if (!shown || !node.data.trim()) continue;
      const range = new Range();
      range.selectNodeContents(node);
      for (const box of range.getClientRects()) boxes.push([node.data, box]);
    }
    for (const hand of article.querySelectorAll(".hand")) {
      const {left, right, bottom} = hand.getBoundingClientRect();
      const {height, borderTopWidth} = getComputedStyle(hand, "::after");
      const top = bottom - parseFloat(height) - parseFloat(borderTopWidth);
      boxes.push(["its bracket", {left, right, top, bottom}]);
    }
    for (const [words, a] of boxes) for (const [others, b] of boxes) {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (words < others && across > 1 && down > 2.5)
        wrong.push(`${article.id}: ${words} on ${others}`);
    }
  }
  return wrong;
}"""


@pytest.mark.parametrize(
    ("width", "scheme"),
    [(1280, "light"), (820, "light"), (640, "dark"), (360, "light"), (320, "light")],
)
def test_every_state_is_seen_alone_and_fits(
    running: Browser, file: Path, width: int, scheme: str
) -> None:
    with opened(running, file, width=width, color_scheme=scheme) as page:
        assert page.evaluate(SEEN, "start") == []
        assert page.evaluate(EVERY_STATE) == []


def test_without_scripts_radios_choose(running: Browser, file: Path) -> None:
    with opened(running, file, java_script_enabled=False) as page:
        assert not page.locator("#talk").is_visible()
        assert page.evaluate(SEEN, "start") == []
        for scene in scenes():
            for answer in scene.guesses:
                page.locator(f'#{scene.name} [value="{answer}"]').check()
                said = page.locator(f"#{scene.name} .guess p").filter(visible=True)
                expect(said).to_have_count(1)
                expect(said).to_contain_text("✓ right" if answer == "right" else "✗ not so")
            if scene.name not in ("start", "elsewhere", "stale", "turn") or not scene.figure:
                continue
            for state in [*scene.figure.states][::5]:
                for value in state:
                    page.locator(f'#{scene.name} [value="{value}"]').check()
                assert page.evaluate(SEEN, scene.name) == [",".join((scene.name, *state))]


@pytest.mark.parametrize("link", [LINK, "stale,merged,step-2", "start,big"])
def test_without_scripts_links_open_states(running: Browser, file: Path, link: str) -> None:
    with opened(running, file, link, java_script_enabled=False) as page:
        name = link.partition(",")[0]
        assert page.evaluate(SEEN, name) == [link]
        # What is chosen is another state: controls would lie.
        assert not page.locator(f"#{name} .controls").is_visible()


def check_links(page: Page) -> None:
    assert page.evaluate(SEEN, "turn") == [LINK]
    assert (
        page.locator("#turn :checked").evaluate_all("all => all.map(one => one.value)")
        == (LINK.split(",")[1:])
    )
    expect(page.locator("#turn h2")).to_be_in_viewport()
    page.locator('#turn [value="little"]').check()
    assert page.evaluate("location.hash") == f"#{LINK.replace('big', 'little')}"
    page.evaluate("location.hash = 'widened,little,gcs'")
    page.wait_for_function("document.querySelector('#widened [value=gcs]').checked")
    assert page.evaluate(SEEN, "widened") == ["widened,little,gcs"]


def test_links_open_states_and_follow_them(running: Browser, file: Path) -> None:
    with opened(running, file, LINK) as page:
        check_links(page)
        # A tile says what the state that it opens says.
        tiles = page.locator("#matrix td a")
        wrong = tiles.evaluate_all(
            """all => all.filter(tile => !document.getElementById(tile.hash.slice(1))
              .querySelector("strong").textContent.endsWith(tile.textContent.slice(2)))
              .map(tile => tile.hash)"""
        )
        assert tiles.count() == 24
        assert wrong == []


# --- the talk --------------------------------------------------------------------------------

# What of the scene that is shown lies beyond the window, or is too small for the last row.
MISFITS = """() => {
  const found = [];
  for (const one of document.querySelectorAll("section.now, section.now *")) {
    if (one.matches("input") || !one.checkVisibility({opacityProperty: true})) continue;
    const {left, top, right, bottom} = one.getBoundingClientRect();
    const what = `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`;
    if (right > innerWidth + 1 || bottom > innerHeight + 1 || left < -1 || top < -1)
      found.push(`beyond: ${what}`);
    if (![...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    const least = one.matches("strong") ? 2.5 : one.matches("button b") ? 4 : 2;
    if (parseFloat(getComputedStyle(one).fontSize) < innerHeight * least / 100 - 0.01)
      found.push(`small: ${what}`);
  }
  return found;
}"""

HASH = "location.hash.slice(1)"


def stations() -> list[str]:
    """The links of all steps of the talk, in order."""
    found = []
    for scene in scenes():
        for count in range(len(scene.steps) + 1):
            done = scene.steps[:count]
            guessed = [value for value in done if value in scene.guesses]
            values = [
                next((value for value in reversed(done) if value in control.options), control.start)
                for control in (scene.figure.controls if scene.figure else ())
            ]
            found.append(",".join(("talk", scene.name, *guessed, *values)))
    return found


def check_talk(page: Page) -> None:
    wanted = stations()
    page.keyboard.press("t")
    walked, misfits = [page.evaluate(HASH)], page.evaluate(MISFITS)
    for number in range(1, len(wanted)):
        page.keyboard.press(("PageDown", "ArrowRight", "Space")[number % 3])
        walked.append(page.evaluate(HASH))
        misfits += page.evaluate(MISFITS)
        assert page.locator("section").filter(visible=True).count() == 1
    assert walked == wanted
    assert misfits == []
    page.keyboard.press("PageDown")
    assert page.evaluate(HASH) == wanted[-1]
    for number in range(2, 12):
        page.keyboard.press(("PageUp", "ArrowLeft")[number % 2])
        assert page.evaluate(HASH) == wanted[-number]
    page.keyboard.press("Escape")
    scene = wanted[-11].removeprefix("talk,")
    assert page.evaluate(HASH) == scene
    assert page.locator("section").filter(visible=True).count() == len(scenes())
    expect(page.locator(f"#{scene.partition(',')[0]} h2")).to_be_in_viewport()


@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(1280, 720, "light"), (1920, 1080, "dark")]
)
def test_the_talk_walks_and_fits(
    running: Browser, file: Path, width: int, height: int, scheme: str
) -> None:
    with opened(running, file, "", width, height, color_scheme=scheme) as page:
        check_talk(page)


def check_notes(page: Page) -> None:
    page.keyboard.press("t")
    with page.expect_popup() as opening:
        page.keyboard.press("n")
    notes = opening.value
    told = scenes()
    expect(notes.locator("#title")).to_have_text(told[0].title, timeout=5000)
    expect(notes.locator("#next")).to_contain_text("on little-endian only", timeout=5000)
    page.keyboard.press("PageDown")
    notes.keyboard.press("PageDown")  # from either window
    notes.keyboard.press("PageDown")
    assert page.evaluate(HASH) == stations()[3]
    expect(notes.locator("#title")).to_have_text(told[1].title, timeout=5000)
    expect(notes.locator("#said")).to_have_text(told[1].notes, timeout=5000)
    expect(notes.locator("#clock")).to_contain_text("min from here", timeout=5000)


def test_notes_follow_in_a_second_window(running: Browser, file: Path) -> None:
    with opened(running, file) as page:
        check_notes(page)


def test_full_screen_and_a_link_into_the_talk(running: Browser, file: Path) -> None:
    with opened(running, file, "talk,stale,v2,step-1") as page:
        assert page.evaluate(SEEN, "stale") == ["stale,v2,step-1"]
        assert page.locator("section").filter(visible=True).count() == 1
        page.keyboard.press("f")
        page.wait_for_function("document.fullscreenElement")


# --- motion ----------------------------------------------------------------------------------

PLACES = """name => Object.fromEntries([...document.querySelectorAll(`#${name} article`)]
  .find(article => article.checkVisibility()).querySelectorAll("button").values().map(cell => {
    const {left, top} = cell.getBoundingClientRect();
    const origin = cell.closest("article").getBoundingClientRect();
    return [cell.name, [left - origin.left, top - origin.top].map(Math.round)];
  }))"""

MOVING = """() => document.getAnimations().filter(one => one.effect.target.name)
  .map(one => one.effect.target.name)"""


def check_motion(page: Page) -> None:
    """From widened, big-endian, to little-endian: hsr turns round, nothing else stirs."""
    before = page.evaluate(PLACES, "widened")
    page.locator('#widened [value="little"]').check()
    moving = page.evaluate(MOVING)
    assert sorted(moving) == [f"ESR{byte}" for byte in range(8)]
    # At its start each byte is where it was.
    page.evaluate("document.getAnimations().forEach(one => { one.pause(); one.currentTime = 0; })")
    assert page.evaluate(PLACES, "widened") == before
    page.evaluate("document.getAnimations().forEach(one => one.finish())")
    ended = page.evaluate(PLACES, "widened")
    page.evaluate("location.hash = 'widened,little,brk'")
    page.reload()
    assert page.evaluate(MOVING) == []
    assert page.evaluate(PLACES, "widened") == ended
    assert ended != before


def test_bytes_travel_to_their_places(running: Browser, file: Path) -> None:
    with opened(running, file, "widened", reduced_motion="no-preference") as page:
        check_motion(page)


def check_calm(page: Page) -> None:
    page.locator('#widened [value="little"]').check()
    assert page.evaluate(MOVING) == []


def test_nothing_moves_for_whoever_asked_for_that(running: Browser, file: Path) -> None:
    with opened(running, file, "widened") as page:
        check_calm(page)


# --- keys and pointer ------------------------------------------------------------------------

FOCUSED = """() => {
  const one = document.activeElement, shown = one.matches("input") ? one.nextSibling
    : one.matches(".kv-board button") ? one.firstChild : one;
  const {outlineStyle, outlineWidth} = getComputedStyle(shown);
  return {name: one.name, value: one.value, scene: one.closest("section")?.id,
    outline: outlineStyle === "none" ? 0 : parseFloat(outlineWidth)};
}"""
TOLD = """() => document.activeElement.matches(".kv-board button") && [
  getComputedStyle(document.activeElement.lastChild).opacity,
  document.activeElement.lastChild.textContent,
  [...CSS.highlights.get("kv-byte") ?? []].map(String)]"""


def tab_to(page: Page, scene: str, name: str) -> None:
    for _ in range(30):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUSED)
        if now["scene"]:
            assert now["outline"] >= 2, now
        if (now["scene"], now["name"]) == (scene, name):
            return
    raise AssertionError(f"Tab does not come to {name} of {scene}")


def check_keys(page: Page) -> None:
    tab_to(page, "before", "before-0")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(SEEN, "before") == ["before,little"]
    tab_to(page, "before", "ESR0")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    opacity, words, marked = page.evaluate(TOLD)
    assert (opacity, words) == ("1", "hsr[23:16]")
    twin = (page.locator("[id='before,little'] pre").text_content() or "").splitlines()
    assert marked == [line for line in twin if line.startswith("  +0 ")]
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    assert page.evaluate(TOLD)[2] == [line for line in twin if line.startswith("  +8 ")]
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(TOLD)[1] == "far, left as it was"
    assert "reads" in (page.locator("#live").text_content() or "")


def check_guess(page: Page) -> None:
    """Arrow keys move among the options, and only Space answers."""
    tab_to(page, "start", "start-guess")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(FOCUSED)["value"] == scenes()[0].guesses[1]
    assert page.evaluate(SEEN, "start") == []
    page.keyboard.press("Space")
    assert page.evaluate(SEEN, "start") == ["start,little"]


def test_a_guess_is_made_by_keyboard(running: Browser, file: Path) -> None:
    with opened(running, file) as page:
        check_guess(page)


def test_keyboard_alone(running: Browser, file: Path) -> None:
    with opened(running, file, "before") as page:
        check_keys(page)


def test_pointing_at_a_byte_shows_its_words(running: Browser, file: Path) -> None:
    with opened(running, file, "before") as page:
        cell = page.locator("[id='before,big'] button").nth(5)
        words = cell.locator("span")
        assert words.evaluate("span => getComputedStyle(span).opacity") == "0"
        cell.hover()
        assert words.evaluate("span => getComputedStyle(span).opacity") == "1"
        expect(words).to_be_in_viewport()


# --- paper and readers of screens --------------------------------------------------------------


def test_on_paper_the_chosen_state_stands(running: Browser, file: Path) -> None:
    with opened(running, file, LINK) as page:
        page.emulate_media(media="print")
        for scene in scenes():
            if scene.figure:
                assert len(page.evaluate(SEEN, scene.name)) == 1
        assert page.evaluate(SEEN, "turn") == [LINK]
        assert not page.get_by_text("little-endian", exact=True).last.is_visible()
        expect(page.locator("#turn aside")).to_be_visible()
        # Nobody can click on paper: every option stands there, and what is said to it.
        for part in (".guess span", ".guess p"):
            assert page.locator(f"#start {part}").filter(visible=True).count() == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "links",
    [
        ("start,right,big",),
        ("talk,start", "talk,start,right,big", "talk,stale,v2,step-1", "talk,matrix"),
    ],
)
def test_axe_finds_nothing(
    running: Browser, file: Path, links: tuple[str, ...], scheme: str
) -> None:
    with opened(running, file, links[0], color_scheme=scheme) as page:
        for link in links:
            page.evaluate("link => { location.hash = link; }", link)
            page.wait_for_function(f"{HASH}.startsWith({link!r})")
            assert browser.axe(page) == [], link


# --- faults seeded into the scripts ------------------------------------------------------------

FAULTS: list[tuple[str, str, Callable[[Page], None], str, str]] = [
    ("if (words.includes(input.value)) ", "", check_links, LINK, "reduce"),
    ("[...(talking()", "[...(!talking()", check_links, LINK, "reduce"),
    ("steps().slice(0, step)", "steps().slice(0, step - 1)", check_talk, "", "reduce"),
    ("by > 0 ? 0 : steps().length", "0", check_talk, "", "reduce"),
    ("if (was[0]", "if (was[1]", check_motion, "widened", "no-preference"),
    ("was[0] - x, was[1] - y", "x - was[0], was[1] - y", check_motion, "widened", "no-preference"),
    ("|| calm.matches", "", check_calm, "widened", "reduce"),
    ("{ArrowRight: 1, ArrowLeft", "{ArrowRight: 2, ArrowLeft", check_keys, "before", "reduce"),
    ("start += line.length + 1", "start += line.length", check_keys, "before", "reduce"),
    ("const by = {ArrowRight: 1, ArrowDown", "const by = {x: 1, y", check_guess, "", "reduce"),
]


@pytest.mark.parametrize(("text", "fault", "check", "link", "motion"), FAULTS)
def test_a_fault_in_the_scripts_is_caught(
    running: Browser,
    tmp_path: Path,
    text: str,
    fault: str,
    check: Callable[[Page], None],
    link: str,
    motion: str,
) -> None:
    assert written().count(text) == 1
    spoilt = tmp_path / "page.html"
    spoilt.write_text(written().replace(text, fault), "utf-8")
    with (
        pytest.raises(AssertionError),
        opened(running, spoilt, link, reduced_motion=motion) as page,
    ):
        check(page)
