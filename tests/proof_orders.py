"""Byte order of annotated types in Linux's headers: ``__le32`` is little-endian on every ABI.

No compiler knows such an order, so the witness is the name: what the header itself writes before
a member. A ``__virtio32`` is the ABI's own order (virtio 1.2, 2.4.3: of the guest, before the
device says more). Each header is read with all others given, and with <linux/types.h> and its
like withheld, as kvmviz then knows their names by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from kvmviz import ABIS, KvmvizError, parse
from tests import uapi

TYPES = re.compile(r"(of-\w+/)?(linux/types|asm/types|asm-generic/(types|int-l?l64))\.h")
"""Headers that say what ``__u64`` is."""
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_DEFINED = re.compile(r"\b(?:struct|union)\s+(\w+)\s*\{")
_DECLARED = re.compile(
    r"(?:^|[;{}])\s*(?:const\s+)?((?:struct |union |unsigned )?\w+)\s+([^;{}]*);"
)
_ORDERED = re.compile(r"__(?:aligned_)?(le|be|virtio)(16|32|64)")


@dataclass(frozen=True)
class Told:
    """One header, read once: leaves with the right order and, by name, those without it."""

    name: str
    given: bool
    right: int
    wrong: tuple[str, ...]


def declared(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """By tag, the word before each member; members of the same name with two words are left out."""
    text = re.sub(r"#[^\n]*(\\\n[^\n]*)*", "", _COMMENT.sub(" ", text))
    for found in _DEFINED.finditer(text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        words: dict[str, str] = {}
        for kind, names in _DECLARED.findall(text[found.end() - 1 : end].replace(";", ";;")):
            for row in names.split(","):
                name = re.match(r"\s*(\w+)", row)
                if name and words.setdefault(name[1], kind) != kind:
                    words[name[1]] = ""
        yield found[1], words


def told(name: str, machine: bool, given: bool) -> Told:
    """The orders of one header's leaves on every ABI."""
    headers = uapi.headers(machine)
    known = {key: text for key, text in headers.items() if given or not TYPES.fullmatch(key)}
    try:
        structs = parse(headers[name], known)
    except KvmvizError:
        return Told(name, given, 0, ())
    right, wrong = 0, list[str]()
    for tag, words in declared(headers[name]):
        for abi in ABIS if tag in structs else ():
            try:
                slots = structs[tag].layout(abi).slots
            except KvmvizError:
                continue
            for slot in slots:
                last = re.sub(r"\[\d+\]", "", slot.path).split(".")[-1]
                found = _ORDERED.fullmatch(words.get(last, ""))
                if not found or slot.is_padding:
                    continue
                native = ABIS[abi].byte_order
                order = {"le": "little", "be": "big", "virtio": native}[found[1]]
                right += slot.order == order
                if slot.order != order:
                    wrong.append(f"{abi}: {name}: {tag}.{slot.path}, {found[0]}: {slot.order}")
    return Told(name, given, right, tuple(wrong))


def walk(every: int) -> list[str]:
    """All headers, or each that many-th; print the counts, return what differs."""
    machines = [True] if uapi.is_installed() else []
    machines += [False] if uapi.bundle() else []
    jobs = [
        (name, machine, given)
        for machine in machines
        for given in (True, False)
        for name in uapi.names(machine)[:: max(1, every)]
        if _ORDERED.search(uapi.headers(machine)[name])
    ]
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(_job, jobs, chunksize=8))
    bad = [said for row in rows for said in row.wrong]
    names = {row.name for row in rows if row.wrong}
    right = sum(row.right for row in rows)
    print(*bad[:40], sep="\n", end="\n" if bad else "")
    print(
        f"{right + len(bad):,} leaves with an order in their name, in {len(jobs):,} readings of "
        f"headers on {len(ABIS)} ABIs: {len(bad)} wrong, in {len(names)} headers",
        flush=True,
    )
    return bad


def _job(job: tuple[str, bool, bool]) -> Told:
    return told(*job)
