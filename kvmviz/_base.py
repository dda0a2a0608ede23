"""What every other module stands on: one error class, and the promise of a text twin."""

from __future__ import annotations


class KvmvizError(ValueError):
    """Bad input. The message names the struct, member, offset and legal values that matter."""


class Twin:
    """Something a reader sees: its ``repr`` is its text twin, all that its picture says.

    The words live in :mod:`kvmviz.text`, one place for the whole package; it is found when a
    text is asked for, so that the modules below it need not know it.
    """

    def __repr__(self) -> str:
        from kvmviz.text import twin

        return twin(self)
