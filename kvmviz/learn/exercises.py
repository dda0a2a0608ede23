"""Exercises on structs that kernels and programs share, and the session of who solves them."""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files

from kvmviz._base import KvmvizError, Table, counted
from kvmviz.abi import ABIS
from kvmviz.c.parse import pointed
from kvmviz.learn import grading
from kvmviz.learn.grading import Grade, first_struct
from kvmviz.text import table
from kvmviz.verdict import compare


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    ``given`` is C, with a caption where there is a version before and one after, and ``start``
    what stands in the answer field at first.

    ``hints`` come one at a time; ``solution`` is one answer of those that are right, and ``why``
    what there is to say once it is on the table.
    """

    name: str
    title: str
    task: str
    given: str
    start: str
    rule: Callable[[str], Grade]
    hints: tuple[str, ...]
    solution: str
    why: str

    def judge(self, answer: str) -> Grade:
        """The grade of an answer; what cannot be read is wrong, with the line that it stands in."""
        if not isinstance(answer, str):
            told = f"an answer is text, not {type(answer).__name__}"
            raise KvmvizError(f"exercise {self.name}: {told}")
        if not answer.strip():
            return Grade(False, "no answer yet.")
        try:
            return self.rule(answer)
        except KvmvizError as error:
            return Grade(False, pointed(answer, str(error)))


_WORDS = tomllib.loads(files(__package__).joinpath("exercises.toml").read_text("utf-8"))
_STRUCTS: list[str] = [*_WORDS["structs"].values()]  # in the file's order
JOB, WATCH, BUFFER, BUFFER_BAD, DEBUG, DEBUG_HIGH, EVENT, EVENT_NDATA = _STRUCTS[:8]
EPOLL, MEM, CLOCK, CONTROL, CONTROL_64 = _STRUCTS[8:]


def _versions(before: str, after: str = "") -> str:
    """Both versions under their captions; the answer field has the other where one is missing."""
    return f"before:\n{before}" + (f"\nafter:\n{after}" if after else "")


def _pushed(answer: str) -> Grade:
    old, new = (first_struct(text).layout("i386") for text in (DEBUG, DEBUG_HIGH))
    questions = {
        "offset of far before": old.offsets["far"],
        "offset of far after": new.offsets["far"],
        "alignment of __u64": old.abi.align(8),
        "far for an old program": compare(new, old).fields["far"],
    }
    return grading.form(answer, "i386", questions)


def _leaked(answer: str) -> Grade:
    image = first_struct(CLOCK).layout("x86_64").pack({"clock": 0, "flags": 0})
    return grading.form(answer, "x86_64", {"bytes": len(image.unwritten)})


_REPAIRED = ("aarch64", "aarch64_be", "x86_64", "s390x")
_sixteen = partial(grading.safe, given=WATCH, abis=tuple(ABIS), wish=partial(grading.one_of, 16))
_repair = partial(grading.safe, given=BUFFER, abis=_REPAIRED, wish=partial(grading.room_for, 32))
_event = partial(grading.breaking, old=EVENT, new=EVENT_NDATA, member="flags")
_epoll = partial(grading.shared, writer=(EPOLL, "i386"), reader=(EPOLL, "x86_64"))
_pad = partial(grading.shared, writer=(CONTROL_64, "aarch64_be"), reader=(CONTROL, "armeb"))

# Name, what is given, what stands in the answer field at first, and the rule of what is right.
_ROWS: tuple[tuple[str, str, str, Callable[[str], Grade]], ...] = (
    ("hole", JOB, "", partial(grading.holes, given=JOB, abi="aarch64")),
    ("i386", _versions(DEBUG, DEBUG_HIGH), _WORDS["i386"]["start"], _pushed),
    ("sixteen", WATCH, WATCH, _sixteen),
    ("repair", _versions(BUFFER), BUFFER_BAD, _repair),
    ("event", _versions(EVENT, EVENT_NDATA), "", _event),
    ("epoll", EPOLL, EPOLL, _epoll),
    ("mem", MEM, MEM, partial(grading.bits_alike, given=MEM, value="val")),
    ("pad", CONTROL, CONTROL, _pad),
    ("leak", CLOCK, "", _leaked),
)


def _exercise(name: str, given: str, start: str, rule: Callable[[str], Grade]) -> Exercise:
    row = _WORDS[name] | {"hints": tuple(_WORDS[name]["hints"]), "start": start}
    row["task"] = row["task"].replace("{abis}", ", ".join(ABIS))
    return Exercise(name=name, given=given, rule=rule, **row)


EXERCISES = Table("exercise", *(_exercise(*row) for row in _ROWS))
"""The exercises by name, in their order: their words are in ``exercises.toml``."""


MOST_LISTENERS = 32
"""More than a notebook has desks."""


class Session:
    """What somebody has answered: hints taken, exercises solved, and the score of that.

    An exercise counts if it was solved before its answer was revealed. ``listeners`` are called
    after each change; a cell that runs anew adds some, and the oldest of too many go.
    """

    exercises = EXERCISES

    def __init__(self) -> None:
        self.listeners = deque[Callable[[], None]](maxlen=MOST_LISTENERS)
        self._said: dict[str, tuple[str, Grade | None]] = {}
        self._states: dict[str, str] = {}
        self._hints: dict[str, int] = {}

    def answer(self, name: str, answer: str) -> Grade:
        """Grade an answer, and score it if it is right and its solution is not revealed.

        With a right answer comes what there is to say about it.
        """
        exercise = self.exercises.find(name)
        grade = exercise.judge(answer)
        if grade.right:
            self._states.setdefault(name, "solved")
            grade = replace(grade, feedback=f"{grade.feedback}\n{exercise.why}")
        self._said[name] = repr(grade), grade
        self._tell()
        return grade

    def hint(self, name: str) -> str:
        """The next hint; the last one again when there are no more."""
        most = len(self.exercises.find(name).hints)
        self._hints[name] = min(self._hints.get(name, 0) + 1, most)
        self._tell()
        return self.hinted(name)[-1]

    def hinted(self, name: str) -> tuple[str, ...]:
        """All hints that were taken, the first one first."""
        hints = self.exercises.find(name).hints
        rows = enumerate(hints[: self._hints.get(name, 0)], 1)
        return tuple(f"Hint {number} of {len(hints)}: {words}" for number, words in rows)

    def reveal(self, name: str) -> str:
        """A right answer and why; from now on this exercise does not count if it did not."""
        exercise = self.exercises.find(name)
        self._states.setdefault(name, "revealed")
        words = f"{exercise.solution.rstrip()}\n\n{exercise.why}"
        self._said[name] = words, None
        self._tell()
        return words

    def restart(self, name: str) -> None:
        """One exercise anew: not solved, not revealed, no hint taken, nothing said."""
        self.exercises.find(name)
        for held in (self._states, self._hints, self._said):
            held.pop(name, None)
        self._tell()

    def reset(self) -> None:
        """Back to the start: nothing solved, no hint taken, nothing said."""
        for held in (self._states, self._hints, self._said):
            held.clear()
        self._tell()

    @property
    def score(self) -> str:
        """How many are solved, in words."""
        solved, taken = [*self._states.values()].count("solved"), sum(self._hints.values())
        return f"{solved} of {len(self.exercises)} solved, {counted(taken, 'hint')} taken"

    def said(self, name: str) -> tuple[str, Grade | None]:
        """What was last said of an exercise: words, and the grade if they are one."""
        return self._said.get(self.exercises.find(name).name, ("", None))

    def state(self, name: str) -> str:
        """How an exercise stands: open, solved or revealed."""
        return self._states.get(self.exercises.find(name).name, "open")

    def _tell(self) -> None:
        for listener in tuple(self.listeners):  # one may show what listens, too
            listener()

    def __repr__(self) -> str:
        rows = [(name, row.title, self.state(name)) for name, row in self.exercises.items()]
        return f"{self.score}\n{table(rows)}"


SESSION = Session()
"""The session of who sits at this Python: the desks of a notebook count together in it."""
