"""Pictures as files: formats, words, nobody's settings, and what is refused."""

import base64
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image as Pil

from kvmviz import Esr, KvmvizError, draw
from kvmviz.draw.canvas import Canvas, shrunk, wide, wrapped
from kvmviz.kvm.kernel import OLD


def test_files_are_what_they_say_and_always_the_same(tmp_path: object) -> None:
    first, second = (draw.rules(OLD.layout("aarch64").rules) for _ in range(2))
    for form, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        assert first.render(form).startswith(start)
        assert first.render(form) == second.render(form)
    assert b"dc:date" not in first.render("svg")


def test_files_carry_the_words() -> None:
    picture = draw.esr(Esr(0xF2001234))
    png = Pil.open(io.BytesIO(picture.render("png")))
    assert png.size == (2 * picture.width, 2 * picture.height)
    assert getattr(png, "text")["Description"] == picture.text  # noqa: B009
    svg = ElementTree.fromstring(picture.render("svg"))
    assert picture.text in [node.text for node in svg.iter() if node.text]


def test_save_goes_by_the_suffix(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("figures")
    picture = draw.esr(Esr(0))
    for form in ("png", "svg", "pdf"):
        assert picture.save(folder / f"esr.{form}").read_bytes() == picture.render(form)
    with pytest.raises(KvmvizError, match="legal are png, svg, pdf"):
        picture.save(folder / "esr.bmp")


ODD: list[tuple[Any, str]] = [
    (lambda picture, _: picture.save(None), "None is no path"),
    (lambda picture, _: picture.save(b"x.png"), "is no path"),
    (lambda picture, _: picture.save("x.xyz"), "no format 'xyz'; legal are png, svg, pdf"),
    (lambda picture, _: picture.save("x"), "no format ''; legal are png, svg, pdf"),
    (lambda picture, _: picture.save(""), "no format ''; legal are png, svg"),
    (lambda picture, there: picture.save(there / "none" / "x.png"), "No such file or directory"),
    (lambda picture, there: picture.save(there / "folder.png"), "Is a directory"),
    (lambda picture, _: picture.save("x\0.png"), "null"),
    (lambda picture, _: picture.save(Path("x" * 5000 + ".png")), "File name too long"),
    (lambda picture, _: picture.render(None), "no format None; legal are png, svg, pdf"),
    (lambda picture, _: picture.render(["png"]), "legal are png, svg, pdf"),
]


@pytest.mark.parametrize(("ask", "words"), ODD)
def test_what_makes_no_file_is_refused(ask: Any, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(KvmvizError, match=words) as error:
        ask(draw.esr(Esr(0)), tmp_path)
    assert len(str(error.value)) < 400


def test_a_tall_picture_is_shown_at_the_scale_that_it_can_have() -> None:
    canvas = Canvas(1000, 60_000)
    canvas.text(10, 50_000, "far below", 14)
    picture = canvas.picture("words")
    data = picture._repr_mimebundle_()
    png = base64.b64decode(data["text/html"].partition("base64,")[2].partition('"')[0])
    assert Pil.open(io.BytesIO(png)).size[1] < 1 << 16
    assert ' width="1000" ' in data["text/html"]


def test_words_are_made_to_fit() -> None:
    long = "W" * 40
    assert wide(long, shrunk(long, 20, 300)) <= 300.01
    assert shrunk("short", 20, 300) == 20
    for line in wrapped("Wide WORDS " * 20, 20, 300):
        assert wide(line, 20) <= 300


MAKE = """
import sys, hashlib
{before}
import kvmviz
from kvmviz import Esr, Struct, captures, draw
{after}
pictures = [
    draw.byte_map(Struct("s", {{"a": "u8", "b": "u64"}}).layout("arm").pack({{"a": 1}})),
    draw.esr(Esr(0xF2001234)),
]
for picture in pictures:
    for form in ("png", "svg", "pdf"):
        print(hashlib.sha256(picture.render(form)).hexdigest())
"""
RC = """text.usetex: True
path.sketch: 1, 100, 2
path.simplify_threshold: 1.0
savefig.dpi: 33
savefig.facecolor: red
savefig.bbox: tight
savefig.transparent: True
savefig.format: pdf
figure.facecolor: black
figure.constrained_layout.use: True
figure.autolayout: True
font.family: monospace
font.sans-serif: Comic Neue
text.hinting: none
text.antialiased: False
text.kerning_factor: 6
hatch.color: red
hatch.linewidth: 9
lines.antialiased: False
lines.dash_capstyle: round
lines.solid_capstyle: butt
lines.linestyle: --
patch.antialiased: False
patch.force_edgecolor: True
svg.fonttype: none
svg.image_inline: False
pdf.fonttype: 42
pdf.compression: 0
agg.path.chunksize: 3
"""
CHANGED = """
import matplotlib
with open("other_rc", "w") as file: file.write(RC)
matplotlib.rc_file("other_rc")
""".replace("RC)", f"{RC!r})")
SETTINGS: dict[str, tuple[dict[str, str], bool, str, str]] = {
    "an unknown backend": ({"MPLBACKEND": "nosuch"}, False, "", ""),
    "a notebook's backend": (
        {"MPLBACKEND": "svg"}, False, "",
        "import matplotlib; assert matplotlib.rcParams['backend'] == 'svg'",
    ),
    "a matplotlibrc in the current directory": ({}, True, "", ""),
    "settings changed before": ({}, False, CHANGED, ""),
    "settings changed after the import": ({}, False, "", CHANGED),
    "a style": ({}, False, "import matplotlib.style; matplotlib.style.use('dark_background')", ""),
}  # fmt: skip


def made(folder: Path, settings: tuple[dict[str, str], bool, str, str]) -> str:
    """What the pictures hash to, in a process of their own."""
    more, file, before, after = settings
    if file:
        (folder / "matplotlibrc").write_text(RC, "ascii")
    path = str(Path(__file__).parent.parent)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", MAKE.format(before=before, after=after)],
        cwd=folder, env=os.environ | {"PYTHONPATH": path} | more, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(tmp_path_factory.mktemp("plain"), ({}, False, "", ""))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_pictures_are_the_same_under_somebody_elses_settings(
    settings: tuple[dict[str, str], bool, str, str], plain: str, tmp_path: Path
) -> None:
    assert len(plain.split()) == 6
    assert made(tmp_path, settings) == plain


def test_drawing_leaves_settings_as_they_were() -> None:
    script = """
import matplotlib
from kvmviz import Esr, draw
matplotlib.rcParams["lines.linewidth"], matplotlib.rcParams["svg.hashsalt"] = 7.5, "mine"
held = matplotlib.rcParams.copy()
draw.esr(Esr(0)).render("svg")
assert matplotlib.rcParams.copy() == held
import sys
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
