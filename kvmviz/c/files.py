"""The text and its headers: what an ``#include`` may find. Nothing is read from disk."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from kvmviz._base import KvmvizError
from kvmviz.c import known, library
from kvmviz.c.source import Line, Source


class Files:
    """The text and the headers it may include, cut into tokens once for all ABIs.

    ``included`` says that the text asks for a header, ``missing`` are those that are not there.
    """

    def __init__(self, text: str, headers: Mapping[str, str] | None) -> None:
        if headers is not None and not isinstance(headers, Mapping):
            raise KvmvizError(f"headers map names to texts, not a {type(headers).__name__}")
        self.sources: list[Source] = []
        self.main = Source(self.sources, text)
        self.given = headers or {}
        self.lines: dict[str, list[Line]] = {}
        self.missing: dict[str, None] = {}
        self.included = False

    def main_lines(self) -> list[Line]:
        """The tokens of the text itself."""
        return self._read("", lambda: self.main)

    def header(self, name: str, at: int, beside: bool) -> list[Line] | None:
        """The tokens of a header; None for one that is not given.

        ``beside``: it may lie in the folder of the file that asks for it.
        """
        self.included = True
        path = self._path(name, at, beside)
        if path not in self.given and name not in (*known.SETTLED, *known.HEADERS):
            self.missing[name] = None
        if name in known.SETTLED:
            text = known.SETTLED[name]
        elif path in self.given:
            text = self.given[path]
        elif name in library.GIVEN:
            text = library.GIVEN[name]
        else:
            return None
        return self._read(path, lambda: Source(self.sources, text, path, at))

    def has(self, name: str, at: int, beside: bool) -> bool:
        """Whether there is such a header: given, or known here."""
        there = (self.given, known.SETTLED, known.HEADERS, library.GIVEN)
        found = self._path(name, at, beside) in self.given or any(name in one for one in there)
        if not found:
            self.missing[name] = None
        return found

    def _path(self, name: str, at: int, beside: bool) -> str:
        """What a header is called among those that are given."""
        folder = posixpath.dirname(self.main.at(at).name)
        near = posixpath.normpath(posixpath.join(folder, name))
        return near if beside and near in self.given else name

    def _read(self, name: str, source: Callable[[], Source]) -> list[Line]:
        if name not in self.lines:
            self.lines[name] = source().lines()
        return self.lines[name]
