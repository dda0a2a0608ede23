"""What other tools say of the patch's three layouts, in either byte order.

``data/tools.jsonl`` has one answer a line; ``data/README.md`` says how they were made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType


@dataclass(frozen=True)
class Answer:
    """What one tool printed when it was asked once.

    ``asked`` names the layout, or the layouts before and after a change, and the byte order:
    ``"widened, big"``, ``"old to widened, big"``. ``command`` is what was run, ``output`` what it
    printed, ``status`` its exit status.
    """

    tool: str
    version: str
    asked: str
    command: str
    status: int
    output: str

    def __repr__(self) -> str:
        lines = [f"{self.tool} {self.version}: {self.asked}-endian", f"$ {self.command}"]
        said = self.output.strip("\n").expandtabs(8)
        return "\n".join([*lines, said or "(nothing)", f"exit status {self.status}"])


@cache
def load() -> Mapping[str, Answer]:
    """All answers, by tool and what was asked: ``"pahole, widened, big"``."""
    text = resources.files("kvmviz").joinpath("data/tools.jsonl").read_text("utf-8")
    answers = (Answer(**json.loads(line)) for line in text.splitlines())
    return MappingProxyType({f"{answer.tool}, {answer.asked}": answer for answer in answers})
