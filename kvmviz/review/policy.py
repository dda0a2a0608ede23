"""What a gate takes for granted about a change: what is reserved, and who writes the memory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from kvmviz._base import KvmvizError, chosen, shown
from kvmviz.slot import member_of

RESERVED = re.compile(r"[_\d]*(reserved|rsvd|resv|padding|pad|unused|spare)[_\d]*", re.IGNORECASE)
"""Names of members that are there to be put to use; ``reserve_count`` is none."""

WRITERS = {
    "kernel": "a program asks the kernel first (for a capability or a version), or finds out by a "
    "flag that an old kernel leaves 0",
    "userspace": "the kernel finds out by a size or by a flag that an old program leaves 0, or the "
    "program asks it first",
}
"""Who writes the memory, and how a new reader finds out that an old one of them did."""


@dataclass(frozen=True)
class Policy:
    """The rules by which a change is judged where bytes alone do not decide.

    ``reserved`` is a regular expression for further names of reserved members. ``written_by`` is
    one of :data:`WRITERS`: then old readers of new writers decide, and what a new reader does not
    get of an old writer is a warning that asks for a handshake; None where both sides write.
    ``strict`` makes a warning of each change that changes no byte. Raises :class:`KvmvizError`
    for another writer, and for what is no regular expression.
    """

    reserved: str = ""
    written_by: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if self.written_by is not None:
            chosen(self.written_by, WRITERS, "written by")
        _ = self._reserved

    @cached_property
    def _reserved(self) -> re.Pattern[str] | None:
        try:
            return re.compile(self.reserved) if self.reserved else None
        except (re.error, TypeError, OverflowError, RecursionError) as error:
            words = f"reserved {shown(self.reserved)} is no regular expression"
            raise KvmvizError(f"{words}: {error}") from None

    def is_reserved(self, path: str) -> bool:
        """A member of that path, or a struct that it lies in, is reserved by its name."""
        names = member_of(path).split(".")
        more = self._reserved
        return any(RESERVED.fullmatch(n) or (more and more.fullmatch(n)) for n in names)


BOTH = Policy()
"""Both sides write, and no name is reserved but those that are so everywhere."""
