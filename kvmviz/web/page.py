"""The page and the talk: one HTML file that needs no kernel, no network and no build step.

``page.html`` tells the story; its figures, tables and guess are written here, out of the same
objects as the pictures in the notebooks. Radio buttons and CSS choose among the states;
``page.js`` adds motion, links, the talk and its notes. The same inputs give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from html import escape
from itertools import product

from kvmviz import board
from kvmviz.board import Board
from kvmviz.kvm.kernel import MERGED, OLD, WIDENED
from kvmviz.kvm.program import VMMS, read
from kvmviz.kvm.scenario import SCENARIOS, scene
from kvmviz.learn.question import QUESTIONS, Question
from kvmviz.web import html

BRK, WATCHPOINT, GCS = 0xF2001234, 0xD2000062, 0x100_D2000062
FAR = 0x4000_0800
FILL = 0xAA
"""What lies where nobody wrote, so that it is seen."""
ABI = {"little": "aarch64", "big": "aarch64_be"}
SIZED = ("aarch64", "aarch64_be", "x86_64", "ppc64", "s390x", "arm", "i386", "m68k")


@dataclass(frozen=True)
class Control:
    """One row of choices; ``options`` are values and their words, the ``start`` is chosen."""

    title: str
    options: Mapping[str, str]
    start: str


ORDER = Control("byte order", {"little": "little-endian", "big": "big-endian"}, "big")


@dataclass(frozen=True)
class Figure:
    """``shows`` makes the state that belongs to a choice out of its ``controls``."""

    shows: Callable[..., Board]
    controls: tuple[Control, ...] = (ORDER,)

    @cached_property
    def states(self) -> Mapping[tuple[str, ...], Board]:
        """Every state by the values that choose it."""
        choices = product(*(control.options for control in self.controls))
        return {chosen: self.shows(*chosen) for chosen in choices}


def _slug(name: str) -> str:
    """A name as a link may have it."""
    return name.replace(",", "").replace(" ", "-")


def _seen(kernel: str, vmm: str, abi: str, esr: int = BRK, fill: int = 0) -> Board:
    """What a program reads on an ABI of arm64 by its byte order, or on any by its name."""
    return board.reading(read(kernel, vmm, ABI.get(abi, abi), esr, FAR, fill))


def _concluded(kernel: str, vmm: str, order: str, scenario: str, at: int) -> Board:
    """The page at a step of a scenario, and what a program concludes from it."""
    return board.history(scene(SCENARIOS[scenario], kernel, ABI[order], vmm, None, at, 1))


def figures() -> Mapping[str, Figure]:
    """All of them by the name of their scene, in order."""
    exits = {"brk": "BRK", "gcs": "watchpoint, a defined upper half"}
    abis = {"aarch64_be": "aarch64_be", "i386": "i386", "m68k": "m68k"}
    vmms = {f"v-{_slug(name)}": name for name in ("u32 hsr", "hsr_high if flag set")}
    walked = {"step-0": "0 debug exit", "step-1": "1 MMIO exit", "step-2": "2 system event"}
    writes = {"old": "u32 hsr (old)", "widened": "u64 hsr (widened)", "merged": "hsr_high (merged)"}
    reads = {f"r-{_slug(name)}": name for name in VMMS}
    esrs = {"brk": BRK, "gcs": GCS, "e-brk": BRK, "e-watch": WATCHPOINT, "e-gcs": GCS}
    held = {"e-brk": "BRK", "e-watch": "watchpoint", "e-gcs": "watchpoint, GCS bit"}
    return {
        "start": Figure(
            lambda order: _seen("widened", "u32 hsr", order), (replace(ORDER, start="little"),)
        ),
        "before": Figure(lambda order: _seen("old", "u32 hsr", order)),
        "widened": Figure(
            lambda order, name: _seen("widened", "u32 hsr", order, esrs[name]),
            (ORDER, Control("exit", exits, "brk")),
        ),
        "rebuild": Figure(
            lambda order, kernel: _seen(kernel, "u64 hsr", order, fill=FILL),
            (ORDER, Control("kernel", {"old": "old", "widened": "widened"}, "old")),
        ),
        "hole": Figure(lambda order: _seen("old", "u32 hsr", order, WATCHPOINT)),
        "elsewhere": Figure(
            lambda abi: _seen("merged", "u32 hsr", abi, WATCHPOINT),
            (Control("laid out as on", abis, "aarch64_be"),),
        ),
        "high": Figure(
            lambda order, vmm: _seen("merged", vmms[vmm], order, GCS),
            (ORDER, Control("VMM", vmms, "v-u32-hsr")),
        ),
        "unwritten": Figure(
            lambda order: _concluded("old", "hsr_high, flag ignored", order, "mmio_low", 1)
        ),
        "stale": Figure(
            lambda kernel, at: _concluded(
                kernel, "debug exit if flag set", "big", "stale_flag", int(at[-1])
            ),
            (
                Control("kernel", {"v2": "patch v2", "merged": "merged"}, "v2"),
                Control("step", walked, "step-0"),
            ),
        ),
        "turn": Figure(
            lambda order, kernel, vmm, name: _seen(kernel, reads[vmm], order, esrs[name], FILL),
            (
                ORDER,
                Control("kernel writes", writes, "widened"),
                Control("VMM reads", reads, "r-u32-hsr"),
                Control("exit", held, "e-watch"),
            ),
        ),
    }


@cache
def page() -> str:
    """The whole file as text."""
    shown = figures()
    parts = {
        "style": f"{html.css()}{html.asset('page.css')}{''.join(_choosing(shown))}",
        "targets": "".join(_targets(shown)),
        "board script": html.script(),
        "page script": html.asset("page.js"),
        "rules hole": "".join(f"<li>{rule}</li>" for rule in OLD.layout("aarch64").rules.steps),
        "guess widened": _guess("start-guess", QUESTIONS["widened"]),
        "table sizeof": _sizes(),
        "table matrix": _tiles(),
        **{f"figure {name}": _figure(name, one) for name, one in shown.items()},
    }
    return re.sub("<!--(.*?)-->", lambda found: parts[found[1]], html.asset("page.html"))


def _figure(name: str, figure: Figure) -> str:
    rows = "".join(_control(f"{name}-{at}", one) for at, one in enumerate(figure.controls))
    states = "".join(
        html.article(shown, " ".join(values), ",".join((name, *values)))
        for values, shown in figure.states.items()
    )
    return f'<div class="kv-figure"><div class="controls">{rows}</div>{states}</div>'


def _control(name: str, control: Control) -> str:
    """A row of radio buttons: what a browser chooses among without a script."""
    labels = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"'
        f"{' checked' if value == control.start else ''}><span>{escape(words)}</span></label>"
        for value, words in control.options.items()
    )
    return f"<fieldset><legend>{control.title}</legend>{labels}</fieldset>"


def _guess(name: str, asked: Question) -> str:
    """A question, and below each of its options what is said to whoever chooses it."""
    rows = []
    for number, option in enumerate(asked.options):
        value = "right" if option == asked.right else f"wrong-{number}"
        rows.append(
            f'<label><input type="radio" name="{name}" value="{value}"><span>{escape(option)}'
            f"</span></label><p>{escape(asked.feedback(option))}</p>"
        )
    legend = f"<legend>{escape(asked.words)}</legend>"
    return f'<fieldset class="guess">{legend}{"".join(rows)}</fieldset>'


def _sizes() -> str:
    """The size of the struct and the offset of far by ABI: what a check at build time sees."""
    rows = []
    for abi in SIZED:
        made = [kind.layout(abi) for kind in (OLD, WIDENED, MERGED)]
        cells = [f"<td>{one.size} bytes, far at {one.offsets['far']}</td>" for one in made]
        rows.append((abi, *cells))
    return _table(("ABI", "old", "widened", "with hsr_high"), rows)


def _tiles() -> str:
    """Every kernel with every program in both byte orders, each with the link of its state."""
    rows = []
    for kernel, order in product(("old", "widened", "merged"), ABI):
        cells = [f"<td>{order}</td>"]
        for vmm in VMMS:
            shown = read(kernel, vmm, ABI[order], GCS, FAR, FILL)
            link = f"turn,{order},{kernel},r-{_slug(vmm)},e-gcs"
            kind, mark = ("right", "✓") if shown.sound else ("wrong", "✗")
            cells.append(f'<td class="{kind}"><a href=#{link}>{mark} {shown.digits}</a></td>')
        rows.append((kernel, *cells))
    return _table(("kernel", "byte order", *VMMS), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of a name and cells."""
    top = "".join(f'<th scope="col">{escape(words)}</th>' for words in heads)
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>' for name, *cells in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="table"><table><thead>'
        f"<tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _choosing(shown: Mapping[str, Figure]) -> Iterator[str]:
    """CSS: a state is hidden where it is not what is chosen."""
    for name, figure in shown.items():
        for value in (value for control in figure.controls for value in control.options):
            chosen = f'#{name}:has([value="{value}"]:checked)'
            yield f"{chosen} .kv-board:not(.{value}){{display:none}}"


def _targets(shown: Mapping[str, Figure]) -> Iterator[str]:
    """CSS for links without a script: the state that is the target, and no controls that lie."""
    yield ".kv-board:target{display:block!important}"
    for name in shown:
        there = f"#{name}:has(.kv-board:target)"
        yield f"{there} :is(.kv-board:not(:target),.controls){{display:none}}"
        yield f"{there} .told{{display:block!important}}"
