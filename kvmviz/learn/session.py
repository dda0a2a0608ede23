"""A session: what somebody has answered, what hints that took, and the score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kvmviz._base import KvmvizError, Twin, twin
from kvmviz.learn.exercises import EXERCISES, Exercise
from kvmviz.learn.grading import Grade
from kvmviz.text import table


@dataclass(repr=False)
class Session(Twin):
    """What somebody has answered: hints taken, exercises solved, and the score of that.

    An exercise counts if it was solved before its answer was revealed. ``listeners`` are called
    after each change.
    """

    exercises: Mapping[str, Exercise] = field(default_factory=lambda: EXERCISES)
    solved: set[str] = field(default_factory=set)
    revealed: set[str] = field(default_factory=set)
    hints: dict[str, int] = field(default_factory=dict)
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def find(self, name: str) -> Exercise:
        """The exercise of that name; :class:`KvmvizError` where there is none."""
        if name not in self.exercises:
            legal = ", ".join(self.exercises)
            raise KvmvizError(f"no exercise {name!r}; there are {legal}")
        return self.exercises[name]

    def answer(self, name: str, answer: str) -> Grade:
        """Grade an answer, and score it if it is right and its solution is not revealed."""
        exercise = self.find(name)
        if not isinstance(answer, str):
            raise KvmvizError(f"exercise {name}: an answer is text, not {type(answer).__name__}")
        if not answer.strip():
            return Grade(False, "no answer yet.")
        grade = exercise.judge(answer)
        if grade.right and name not in self.revealed:
            self.solved.add(name)
            self._tell()
        return grade

    def hint(self, name: str) -> str:
        """The next hint; the last one again when there are no more."""
        hints = self.find(name).hints
        count = self.hints[name] = min(self.hints.get(name, 0) + 1, len(hints))
        self._tell()
        return f"Hint {count} of {len(hints)}: {hints[count - 1]}"

    def reveal(self, name: str) -> str:
        """A right answer and why; from now on this exercise does not count if it did not."""
        exercise = self.find(name)
        self.revealed.add(name)
        self._tell()
        return f"{exercise.solution.rstrip()}\n\n{exercise.why}"

    def reset(self) -> None:
        """Back to the start: nothing solved, no hint taken."""
        self.solved.clear()
        self.revealed.clear()
        self.hints.clear()
        self._tell()

    @property
    def score(self) -> str:
        """How many are solved, in words."""
        taken = sum(self.hints.values())
        hints = f"{taken} hint{'' if taken == 1 else 's'}"
        return f"{len(self.solved)} of {len(self.exercises)} solved, {hints} taken"

    def state(self, name: str) -> str:
        """How an exercise stands: open, solved or revealed."""
        return "solved" if name in self.solved else "revealed" if name in self.revealed else "open"

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()


@twin.register
def _(session: Session) -> str:
    rows = [(name, row.title, session.state(name)) for name, row in session.exercises.items()]
    return f"{session.score}\n{table(rows)}"
