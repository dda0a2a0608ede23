"""From a click to the frame that shows what came of it, in a real browser."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from statistics import mean

from playwright.sync_api import Locator, Page

from tests import browser
from tests.bench.report import show

NOTEBOOK = "clicks.ipynb"

SEEN, NEW = "explorer, a state seen before", "explorer, a state never seen"
REST = 700
"""Milliseconds before each click: longer than bytes travel after the click before it."""

# Three things to click on: a label, the explorer, and what most people would write instead of it.
CELL = '''
import ipywidgets as ipw
import matplotlib.pyplot as plt
from IPython.display import display

import kvmviz
from kvmviz.style import styles
from kvmviz.kvm.program import read

explorer = kvmviz.Explorer()

label = ipw.Label("big")
turn = ipw.ToggleButtons(options=["big", "little"])
turn.observe(lambda change: setattr(label, "value", change["new"]), "value")


def plot(order):
    """The same bytes, bits, offsets and words as the explorer's picture."""
    abi = {"big": "aarch64_be", "little": "aarch64"}[order]
    shown = read("widened", "u32 hsr", abi, 0xD2000062, 0x40000800)
    fig, ax = plt.subplots(figsize=(9.76, 3.76))
    ax.axis("off")
    ax.set(xlim=(0, 16), ylim=(0, 6))
    ax.text(0, 5.5, f"reads {shown.value:#010x}", fontsize=22, fontweight="bold", color="#b3122b")
    ax.text(0, 5, f"the kernel held {shown.esr:#018x}", fontsize=13)
    ax.text(16, 5.5, shown.image.layout.abi.name, fontsize=14, ha="right")
    ax.text(16, 5, shown.vmm.name, fontsize=13, ha="right")
    for at, (value, source) in enumerate(zip(bytes(shown.image), shown.image.sources)):
        style = styles(shown.image.layout.named)[source.slot.member]
        ax.add_patch(plt.Rectangle((at, 3), 0.97, 1, facecolor=style.colour, edgecolor="grey"))
        mono = {"ha": "center", "fontfamily": "monospace"}
        ax.text(at + 0.5, 3.3, f"{value:02x}", fontsize=17, **mono)
        ax.text(at + 0.5, 2.7, f"{source.high}:{source.low}", fontsize=10, **mono)
        ax.text(at + 0.5, 2.4, f"+{at}", fontsize=10, **mono)
    ax.text(4, 1.9, "hsr", ha="center", fontsize=11)
    ax.text(12, 1.9, "far", ha="center", fontsize=11)
    ax.text(0, 1, shown.effect[:80], fontsize=13)
    ax.text(0, 0.5, shown.effect[80:], fontsize=13)
    plt.show()


display(ipw.VBox([label, turn]).add_class("bench-label"))
display(explorer)
pyplot = ipw.interactive(plot, order=ipw.ToggleButtons(options=["big", "little"]))
display(pyplot.add_class("bench-pyplot"))
pyplot.update()
'''

# Armed before a click: resolves to the milliseconds from the click event to the first frame after
# the area has come to show something else, its pictures decoded.
ARM = """area => {
  const look = () =>
    Array.from(area.querySelectorAll("img"), img => img.src).join() + area.textContent;
  const before = look(), pictures = area.querySelectorAll("img").length;
  let clicked;
  addEventListener("click", event => { clicked = event.timeStamp; }, {capture: true, once: true});
  window.painted = new Promise(resolve => {
    const watch = new MutationObserver(async () => {
      const images = Array.from(area.querySelectorAll("img"));
      if (clicked === undefined || (pictures && !images.length) || look() === before) return;
      watch.disconnect();
      await Promise.all(images.map(img => img.decode()));
      requestAnimationFrame(() => requestAnimationFrame(
        () => resolve(performance.now() - clicked)));
    });
    watch.observe(area, {subtree: true, childList: true, characterData: true, attributes: true});
  });
}"""


def painted(area: Locator, button: Locator) -> float:
    """Seconds from a click on a button to the frame that shows the area changed."""
    area.evaluate(ARM)
    button.click()
    return float(area.page.evaluate("window.painted")) / 1000


def measure(page: Page, rounds: int) -> dict[str, list[float]]:
    """Seconds of every click, by what was clicked; a round clicks each of them once."""
    explorer = page.locator(".kvmviz:not(.kvmviz-guess)")
    label, pyplot = page.locator(".bench-label"), page.locator(".bench-pyplot")
    view, esr = explorer.locator(".kvmviz-view"), explorer.get_by_label("esr", exact=True)
    explorer.locator(".kvmviz-more").click()
    pyplot.locator("img").first.wait_for()
    times: dict[str, list[float]] = {
        "a label": [],
        SEEN: [],
        NEW: [],
        "interact with pyplot": [],
    }
    for turn in range(rounds):
        there = "big" if turn % 2 else "little"
        words = label.locator(".widget-label").first
        times["a label"].append(painted(words, label.get_by_role("button", name=there)))
        # A value of its own for each round: its other byte order is a state never seen.
        esr.fill(f"{0xD2000062 + (turn << 8):#x}")
        esr.press("Enter")
        twin = explorer.locator("pre", has_text=f"{0xD2000062 + (turn << 8):018x}"[2:])
        twin.wait_for(state="attached")
        # What follows on typing takes longer, whatever it shows, and bytes may be turned one way or
        # the other: each kind of state comes first in every other pair of rounds.
        layout = "merged" if turn % 2 else "old"
        now = "big" if explorer.locator("pre", has_text="big-endian").count() else "little"
        other = "little" if now == "big" else "big"
        clicks = [(layout, ""), (f"{other}-endian", NEW), (f"{now}-endian", SEEN)]
        if turn // 2 % 2:
            clicks = [(f"{other}-endian", ""), clicks[2], clicks[0], clicks[1]]
        for name, kind in clicks:
            page.wait_for_timeout(REST)
            took = painted(view, explorer.get_by_role("button", name=name, exact=True))
            if kind:
                times[kind].append(took)
        page.wait_for_timeout(REST)
        area = pyplot.locator(".jp-OutputArea").first
        times["interact with pyplot"].append(
            painted(area, pyplot.get_by_role("button", name=there))
        )
        page.wait_for_timeout(REST)
    return times


def middle(times: list[float]) -> float:
    """The mean of the middle half: a frame is a third of a click, and a median jumps by one."""
    rest = len(times) // 4
    return mean(sorted(times)[rest : len(times) - rest])


def run(rounds: int = 42) -> None:
    """Measure, and print."""
    title = f"Click to paint, the middle half of {rounds} clicks each, interleaved"
    # What readers have: without windows a label takes four fifths of the time.
    path = shutil.which("chromium") or browser.chromium()
    if not path:
        print(f"\n{title}: skipped, there is no chromium")
        return
    with tempfile.TemporaryDirectory(prefix="kvmviz-bench-") as folder:
        browser.write_notebook(Path(folder) / NOTEBOOK, CELL)
        with (
            browser.jupyterlab(Path(folder)) as server,
            browser.browser(1280, 2000, path) as watched,
        ):
            watched.page.goto(server.page(NOTEBOOK))
            browser.run_all(watched.page)
            times = measure(watched.page, rounds)
    aims = {SEEN: 1.25, NEW: 1.25}
    show(title, {name: middle(values) for name, values in times.items()}, "a label", aims)
