"""JupyterLab and a headless Chromium, watched: what they show, say and ask the network for."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

LOCAL = ("127.0.0.1", "localhost")
PATIENCE = 120
"""Seconds that a step may take: much more than a slow machine under load needs."""

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# JupyterLab's own ways out: the news feed, the update check and the extension list.
LAB_CONFIG = {
    "LabApp": {
        "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "extension_manager": "readonly",
        "news_url": None,
        # So that the tests can ask it which cells have run.
        "expose_app_in_browser": True,
    }
}
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {
        "checkForUpdates": False,
        "doNotDisturbMode": True,
        "fetchNews": "false",
    }
}

# Runs in the server and in every kernel, as each of them imports it at its start.
WATCH = """\
import os, sys

def note(event, args, log=os.environ["KVMVIZ_WATCH"]):
    if event == "socket.connect" and isinstance(args[1], tuple):
        with open(log, "a") as out:
            print(args[1][0], file=out)

sys.addaudithook(note)
"""


def write_notebook(path: Path, source: str) -> None:
    """A notebook of one code cell."""
    cell = {"id": "only", "cell_type": "code", "metadata": {}, "source": source}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {
        "cells": [{**cell, "outputs": [], "execution_count": None}],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(made), "utf-8")


def chromium() -> str | None:
    """The browser to drive, if there is one: at best the one without windows, at half the work."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


@dataclass(frozen=True)
class Server:
    """A running JupyterLab over a copy of some notebooks."""

    url: str
    token: str
    log: Path
    contacts: Path

    def page(self, notebook: str) -> str:
        """The address of a notebook, opened alone with the file browser beside it.

        Each in a workspace of its own: under load JupyterLab may take one that another page has
        open for free, and restores its notebooks beside this one.
        """
        workspace = secrets.token_hex(8)
        return f"{self.url}lab/workspaces/{workspace}/tree/{notebook}?token={self.token}"

    @property
    def hosts(self) -> set[str]:
        """Every host that the server or a kernel opened a connection to."""
        return set(self.contacts.read_text().split()) if self.contacts.exists() else set()


@contextlib.contextmanager
def jupyterlab(notebooks: Path) -> Iterator[Server]:
    """JupyterLab on a free port over a copy of a folder; it reads and writes nothing elsewhere."""
    with tempfile.TemporaryDirectory(prefix="kvmviz-lab-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        root = home / "notebooks"
        shutil.copytree(
            notebooks, root, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
        )
        environment, token = _environment(home), secrets.token_hex(16)
        command = (
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--ip=127.0.0.1"),
            *("--allow-root", f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}"),
        )
        log = home / "server.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
            try:
                url = _address(process, home / "runtime", log)
                yield Server(url, token, log, home / "contacts")
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _environment(home: Path) -> dict[str, str]:
    """Every folder that JupyterLab knows of, inside ``home``; its ways out closed."""
    names = ("config", "data", "runtime", "settings", "workspaces", "watch")
    folders = {name: home / name for name in names}
    for path in folders.values():
        path.mkdir()
    (folders["config"] / "jupyter_server_config.json").write_text(json.dumps(LAB_CONFIG))
    for name, settings in LAB_SETTINGS.items():
        target = folders["settings"] / name
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps(settings))
    (folders["watch"] / "sitecustomize.py").write_text(WATCH)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")},
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folders["config"]),
        "JUPYTER_DATA_DIR": str(folders["data"]),
        "JUPYTER_RUNTIME_DIR": str(folders["runtime"]),
        "JUPYTERLAB_SETTINGS_DIR": str(folders["settings"]),
        "JUPYTERLAB_WORKSPACES_DIR": str(folders["workspaces"]),
        "KVMVIZ_WATCH": str(home / "contacts"),
        # Kernels import the package that the tests import.
        "PYTHONPATH": os.pathsep.join((str(folders["watch"]), os.environ.get("PYTHONPATH", ""))),
    }


def _address(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """Where the server listens, once it does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        for found in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError):  # half written
                return str(json.loads(found.read_text())["url"])
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


@dataclass
class Watched:
    """A page, with all that it asked the network for and all that it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def strangers(self) -> list[str]:
        """Requests to another machine; ``data:`` and ``blob:`` go nowhere."""
        return [
            url
            for url in self.requests
            if (parts := urlsplit(url)).scheme not in ("data", "blob")
            and parts.hostname not in LOCAL
        ]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            where = message.location
            self.complaints.append(f"{message.text} ({where.get('url')})")


@contextlib.contextmanager
def running(path: str | None = None) -> Iterator[Browser]:
    """A Chromium of its own, profile and all; ``path`` is which one, where it matters."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=path or chromium(), headless=True, args=list(CHROMIUM_FLAGS)
        )
        yield made
        made.close()


@contextlib.contextmanager
def browser(width: int = 1280, height: int = 720, path: str | None = None) -> Iterator[Watched]:
    """An empty page in a Chromium of its own."""
    with running(path) as made:
        context = made.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(PATIENCE * 1000)
        yield watch(context)


def watch(context: BrowserContext) -> Watched:
    """An empty page in a context, watched."""
    watched = Watched(context.new_page())
    # A context's requests are those of its pages, frames and service workers.
    context.on("request", lambda request: watched.requests.append(request.url))
    context.on("console", watched._heard)
    context.on("weberror", lambda error: watched.complaints.append(f"uncaught: {error.error}"))
    watched.page.on("websocket", lambda socket: watched.requests.append(socket.url))
    return watched


# Done when every code cell has run or one of them has failed: then the errors, else null.
DONE = """() => {
  const notebook = jupyterapp.shell.currentWidget.content;
  const cells = Array.from(notebook.model.cells).filter(
    cell => cell.type === "code" && cell.sharedModel.getSource().trim());
  const errors = cells.flatMap(cell => cell.outputs.toJSON())
    .filter(output => output.output_type === "error")
    .map(output => `${output.ename}: ${output.evalue}`);
  const left = cells.filter(cell => !cell.executionCount || cell.executionState !== "idle");
  return errors.length || !left.length ? errors : null;
}"""

# The cell that shows a live widget, no guess, scrolled to; how far it is from the active one.
SHOW = """async () => {
  const notebook = jupyterapp.shell.currentWidget.content;
  const index = notebook.widgets.findIndex(cell => cell.model.type === "code"
    && !cell.model.sharedModel.getSource().includes("Guess(") && cell.model.outputs.toJSON().some(
      output => output.data && "application/vnd.jupyter.widget-view+json" in output.data));
  await notebook.scrollToItem(index, "start");
  return index - notebook.activeCellIndex;
}"""


def start_all(page: Page) -> None:
    """Wait for a kernel, and let all cells run by the menu."""
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def finish_all(page: Page) -> None:
    """Wait until all cells have run."""
    errors = page.wait_for_function(DONE).json_value()
    if errors:
        raise RuntimeError("; ".join(errors))


def run_all(page: Page) -> None:
    """Run all cells of a page."""
    start_all(page)
    finish_all(page)


def show_widget(page: Page) -> int:
    """Scroll to the first cell that shows a widget; its distance from the active cell."""
    return int(page.evaluate(SHOW))


# All nodes only of what is wrong: telling of those that pass takes longer than looking at them.
FINDINGS = """area => axe.run(area, {resultTypes: ["violations"]}).then(
  found => found.violations.map(one => `${one.id}: ${
    one.nodes.slice(0, 3).map(node => node.html.slice(0, 200)).join(" | ")}`))"""


def axe(page: Page, area: str = "html") -> list[str]:
    """What axe-core finds wrong in an area of a page."""
    script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    page.evaluate(f"() => {{{script}}}")
    return [str(one) for one in page.evaluate(FINDINGS, area)]


# The cell with these words in its source, scrolled to; whether there is one.
SCROLL = """async words => {
  const notebook = jupyterapp.shell.currentWidget.content;
  const index = notebook.widgets.findIndex(
    cell => cell.model.sharedModel.getSource().includes(words));
  await notebook.scrollToItem(index, "start");
  return index >= 0;
}"""


def scroll_to(page: Page, words: str) -> None:
    """Scroll to the cell with these words in its source."""
    if not page.evaluate(SCROLL, words):
        raise LookupError(f"no cell has {words!r} in its source")
