"""A session: what somebody has answered, what hints that took, and the score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from kvmviz._base import KvmvizError, counted, find
from kvmviz.learn.exercises import EXERCISES, Exercise
from kvmviz.learn.grading import Grade
from kvmviz.text import table


@dataclass(repr=False)
class Session:
    """What somebody has answered: hints taken, exercises solved, and the score of that.

    An exercise counts if it was solved before its answer was revealed. ``listeners`` are called
    after each change; ``rounds`` counts how often all of it began anew.
    """

    exercises: Mapping[str, Exercise] = field(default_factory=lambda: EXERCISES)
    solved: set[str] = field(default_factory=set)
    revealed: set[str] = field(default_factory=set)
    hints: dict[str, int] = field(default_factory=dict)
    listeners: list[Callable[[], None]] = field(default_factory=list)
    rounds: int = 0

    def find(self, name: str) -> Exercise:
        """The exercise of that name; :class:`KvmvizError` where there is none."""
        return find(self.exercises, name, "exercise")

    def answer(self, name: str, answer: str) -> Grade:
        """Grade an answer, and score it if it is right and its solution is not revealed.

        With a right answer comes what there is to say about it.
        """
        exercise = self.find(name)
        if not isinstance(answer, str):
            raise KvmvizError(f"exercise {name}: an answer is text, not {type(answer).__name__}")
        if not answer.strip():
            return Grade(False, "no answer yet.")
        grade = exercise.judge(answer)
        if not grade.right:
            return grade
        if name not in self.revealed:
            self.solved.add(name)
            self._tell()
        return replace(grade, feedback=f"{grade.feedback}\n{exercise.why}")

    def hint(self, name: str) -> str:
        """The next hint; the last one again when there are no more."""
        most = len(self.find(name).hints)
        self.hints[name] = min(self.hints.get(name, 0) + 1, most)
        self._tell()
        return self.hinted(name)[-1]

    def hinted(self, name: str) -> tuple[str, ...]:
        """All hints that were taken, the first one first."""
        hints = self.find(name).hints
        rows = enumerate(hints[: self.hints.get(name, 0)], 1)
        return tuple(f"Hint {number} of {len(hints)}: {words}" for number, words in rows)

    def reveal(self, name: str) -> str:
        """A right answer and why; from now on this exercise does not count if it did not."""
        exercise = self.find(name)
        self.revealed.add(name)
        self._tell()
        return f"{exercise.solution.rstrip()}\n\n{exercise.why}"

    def restart(self, name: str) -> None:
        """One exercise anew: not solved, not revealed, no hint taken."""
        self.find(name)
        self.solved.discard(name)
        self.revealed.discard(name)
        self.hints.pop(name, None)
        self._tell()

    def reset(self) -> None:
        """Back to the start: nothing solved, no hint taken."""
        self.solved.clear()
        self.revealed.clear()
        self.hints.clear()
        self.rounds += 1
        self._tell()

    @property
    def score(self) -> str:
        """How many are solved, in words."""
        taken = sum(self.hints.values())
        solved = f"{len(self.solved)} of {len(self.exercises)} solved"
        return f"{solved}, {counted(taken, 'hint')} taken"

    def state(self, name: str) -> str:
        """How an exercise stands: open, solved or revealed."""
        self.find(name)
        return "solved" if name in self.solved else "revealed" if name in self.revealed else "open"

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    def __repr__(self) -> str:
        rows = [(name, row.title, self.state(name)) for name, row in self.exercises.items()]
        return f"{self.score}\n{table(rows)}"


SESSION = Session()
"""The session of who sits at this Python: the desks of a notebook count together in it."""
