"""Generated C texts, as kvmviz lays them out and as compilers do.

A walk is a function from a number to a text whose names end in ``_number``. Where the compilers of
an ABI refuse a text or differ from one another, kvmviz may refuse it and is not held to a number.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise

from kvmviz import KvmvizError, Struct, parse
from tests import compilers
from tests.compilers import Compiler, Measured, Question

BATCH = 1000
SHOWN = 8
"""Differences of one walk that are cut down to their smallest text."""

TRIED = 800
"""Texts that are tried to make one smaller."""

Walk = Callable[[int], Question]


@dataclass
class Count:
    """What came of a walk's cases, each on each ABI; ``wrong`` holds texts with both answers."""

    equal: int = 0
    refused: int = 0
    differ: int = 0
    alone: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, Question]] = field(default_factory=list)
    examples: dict[str, tuple[str, Question]] = field(default_factory=dict)


def walk(name: str, make: Walk, cases: int, start: int = 0) -> list[str]:
    """Hold cases against compilers; print the counts in one line, each difference below it."""
    count = Count()
    for first in range(start, start + cases, BATCH):
        compare([make(n) for n in range(first, min(first + BATCH, start + cases))], count)
    abis = sorted(compilers.targets())
    print(
        f"{cases:,} {name} on {len(abis)} ABIs: {len(count.wrong)} wrong; "
        f"of {cases * len(abis):,} answers {count.equal:,} equal, {count.refused:,} refused "
        f"by a compiler, {count.differ:,} skipped because compilers differ, "
        f"{count.alone.total():,} refused by kvmviz alone",
        flush=True,
    )
    for why, times in count.alone.most_common(SHOWN):
        abi, question = count.examples[why]
        print(f"  refused alone, {times} times: {why}\n    {abi}: {smallest(question, abi)}")
    once = {question: abi for abi, question in reversed(count.wrong)}
    shown = list(once.items())[-SHOWN:]
    said = [*dict.fromkeys(f"{abi}: {smallest(question, abi)}" for question, abi in shown)]
    print(*said, sep="\n", end="\n" if said else "", flush=True)
    return [f"{abi}: {question.text}" for abi, question in count.wrong]


def compare(questions: Sequence[Question], count: Count) -> None:
    """Add what comes of these cases."""
    structs = [parsed(question) for question in questions]
    said = answers_to(questions)
    moot = disputed(said)
    for abi, theirs in said.items():
        for n, (question, struct, answers) in enumerate(
            zip(questions, structs, theirs, strict=True)
        ):
            ours = _laid_out(struct, question, abi)
            if any(answer is None for answer in answers):
                count.refused += 1
            elif ours == answers[0] == answers[-1]:
                count.equal += 1
            elif n in moot or (isinstance(ours, str) and "gcc" in ours and "clang" in ours):
                # kvmviz, too, says so by name: "gcc takes the last, clang the largest".
                count.differ += 1
            elif isinstance(ours, str):
                why = _kind(ours)
                count.alone[why] += 1
                count.examples.setdefault(why, (abi, question))
            else:
                count.wrong.append((abi, question))


Answers = Mapping[str, Sequence[tuple[Measured | None, ...]]]
"""By ABI, what each of its compilers says of each case, None where it refuses."""


def disputed(said: Answers) -> set[int]:
    """Cases in which two compilers of one ABI differ: no third ABI's one shows what they mean."""
    return {n for rows in said.values() for n, row in enumerate(rows) if row[-1] != row[0]}


def answers_to(questions: Sequence[Question]) -> Answers:
    """Ask all compilers."""
    jobs = [*compilers.targets().items(), *compilers.seconds().items()]

    def ask(job: tuple[str, Compiler]) -> list[Measured | None]:
        return compilers.judged(job[1], questions)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = list(pool.map(ask, jobs))
    found: dict[str, list[tuple[Measured | None, ...]]] = {}
    for (abi, _), rows in zip(jobs, said, strict=True):
        before = found.get(abi, [()] * len(rows))
        found[abi] = [(*old, new) for old, new in zip(before, rows, strict=True)]
    return found


def parsed(question: Question) -> Struct | str:
    """The struct that the text is about, or why kvmviz refuses it."""
    tag = question.name.split()[-1]
    try:
        return parse(question.text).get(tag, "")
    except KvmvizError as error:
        return f"{error}"


def _laid_out(struct: Struct | str, question: Question, abi: str) -> Measured | str:
    if isinstance(struct, str):
        return struct
    try:
        layout = struct.layout(abi)
    except KvmvizError as error:
        return f"{error}"
    offsets = {name: layout.offsets.get(name, -1) for name in question.members}
    return Measured(layout.size, layout.align, offsets)


def _kind(message: str) -> str:
    """A refusal without its place, names and numbers: those of one kind are alike."""
    text = re.sub(r"^line \d+, column \d+: | \(on \w+\)$", "", message)
    text = re.sub(r"'.*'|\".*\"|\b(struct|union|member) \w+", "*", text)
    return re.sub(r"-?\d+", "N", text)[:160]


def smallest(question: Question, abi: str) -> str:
    """The text cut down while kvmviz and the compilers still differ in kind, with both answers."""
    kind = _differing([question], abi).get(question, "")
    if not kind:
        return f"{question.text} (no difference alone)"
    left = TRIED
    while left > 0:
        for some in _chunks(islice(_smaller(question), left)):
            left -= len(some)
            found = _differing(some, abi, kind)
            if found:
                question = next(iter(found))
                break
        else:
            break
    ours = _laid_out(parsed(question), question, abi)
    theirs = compilers.judged(compilers.targets()[abi], [question])[0]
    return f"{question.text.strip()}\n    kvmviz {_told(ours)}; compilers {_told(theirs)}"


def _differing(questions: Sequence[Question], abi: str, kind: str = "") -> dict[Question, str]:
    """Those that kvmviz and the compilers of an ABI answer otherwise, and in which way."""
    rows: list[tuple[Question, Measured | str, str]] = []
    for one in questions:
        ours = _laid_out(parsed(one), one, abi)
        said = _kind(ours) if isinstance(ours, str) else "wrong"
        if not kind or said == kind:
            rows.append((one, ours, said))
    # Under names of their own they are compiled as one text.
    asked = [_numbered(one, n) for n, (one, _, _) in enumerate(rows)]
    commands = [compilers.targets()[abi]]
    commands += [compilers.seconds()[abi]] if abi in compilers.seconds() else []
    answers = [compilers.judged(command, asked) for command in commands] if rows else []
    found: dict[Question, str] = {}
    for n, (one, ours, said) in enumerate(rows):
        first, last = answers[0][n], answers[-1][n]
        if first is not None and first == last:
            offsets = dict(zip(one.members, first.offsets.values(), strict=True))
            if ours != replace(first, offsets=offsets):
                found[one] = said
    return found


def _chunks(questions: Iterable[Question]) -> Iterator[list[Question]]:
    rows = iter(questions)
    while some := list(islice(rows, 50)):
        yield some


def _numbered(question: Question, number: int) -> Question:
    def text(words: str) -> str:
        return re.sub(r"(?<=\w)_\d+\b", f"_{number}", words)

    members = tuple(map(text, question.members))
    return replace(question, text=text(question.text), name=text(question.name), members=members)


def _told(answer: Measured | str | None) -> str:
    if answer is None:
        return "refuse"
    if isinstance(answer, str):
        return answer
    offsets = ", ".join(f"{name} at {at}" for name, at in answer.offsets.items())
    return f"{answer.size}/{answer.align}{f', {offsets}' if offsets else ''}"


_TOKEN = re.compile(r"\n|'(?:\\.|[^'\\])*'|\"[^\"]*\"|#[^\n]*|\w+|<<|>>|[<>=!]=|&&|\|\||[^\w\s]")
_PAIRS = {"(": ")", "{": "}", "[": "]"}


def _smaller(question: Question) -> Iterator[Question]:
    """The same without an offset, a statement, a pair of brackets or a run of words."""
    for member in question.members:
        yield replace(question, members=tuple(m for m in question.members if m != member))
    words = _TOKEN.findall(question.text)
    ends = [n for n, word in enumerate(words) if word in (";", "{", "}")]
    for first, last in pairwise([-1, *ends]):
        if last - first > 7 and words[last] == ";" and _balanced(words[first + 1 : last]):
            yield _without(question, words, first + 1, last + 1)
    for at, word in enumerate(words):
        end = next((n for n in range(at + 1, len(words) + 1) if _balanced(words[at:n])), at)
        if word == "(" and end > at + 4:
            yield _without(question, words, at, end, "1")
            yield _without(question, words, at, end, *words[at + 1 : end - 1])
    for length in (12, 8, 6, 5, 4, 3, 2, 1):
        for at in range(len(words) - length + 1):
            if _balanced(words[at : at + length]):
                yield _without(question, words, at, at + length)


def _without(
    question: Question, words: Sequence[str], start: int, stop: int, *put: str
) -> Question:
    text = " ".join([*words[:start], *put, *words[stop:]])
    return replace(question, text=re.sub(r" ?\n ?", "\n", text))


def _balanced(words: Sequence[str]) -> bool:
    stack: list[str] = []
    for word in words:
        if word in _PAIRS:
            stack.append(_PAIRS[word])
        elif word in _PAIRS.values() and (not stack or stack.pop() != word):
            return False
    return not stack
