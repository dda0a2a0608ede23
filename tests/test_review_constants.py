"""Constants of two headers: which changes break, and what the findings say."""

from __future__ import annotations

import pytest

from kvmviz.review import Reviews, constants
from kvmviz.review.finding import RULES

ABC = {"A": 0, "B": 1, "C": 2}

CHANGES: list[tuple[constants.Numbers, constants.Numbers, list[str]]] = [
    # old, new, and each finding
    (ABC, ABC, []),
    (ABC, {"C": 2, "A": 0, "B": 1}, []),
    (ABC | {"B": None}, ABC, []),  # a number that one side does not know
    (ABC, ABC | {"B": None, "C": None}, []),
    (ABC, ABC | {"D": 3, "E": 9}, ["note D, E: new"]),
    (ABC, {"A": 0, "B": 1}, ["breaks C: gone"]),
    (ABC, ABC | {"B": 4}, ["breaks B: 1 before, 4 after"]),
    (ABC, {"A": 0, "N": 1, "B": 2, "C": 3},
     ["breaks N: new in front of others, shifts B from 1 to 2, C from 2 to 3"]),
    (ABC, {"A": 0, "N": 1, "M": 2, "B": 3, "C": 4},
     ["breaks N: new in front of others, shifts B from 1 to 3, C from 2 to 4"]),
    (ABC | {"FLAG": 1}, {"A": 0, "N": 1, "B": 2, "C": 3, "FLAG": 2},  # another enum
     ["breaks N: new in front of others, shifts B from 1 to 2, C from 2 to 3",
      "breaks FLAG: 1 before, 2 after"]),
    ({"FLAG": 1}, {"X": 9, "FLAG": 2}, ["breaks FLAG: 1 before, 2 after", "note X: new"]),
    (ABC, {"A": 0, "N": 1, "C": 2}, ["breaks B: gone", "note N: new"]),
    (ABC, {"B": 0, "C": 1}, ["breaks A: gone", "breaks B, C: B from 1 to 0, C from 2 to 1"]),
    # What counts the others grows with them, alone.
    (ABC | {"X_MAX": 2}, ABC | {"D": 3, "X_MAX": 3},
     ["warning X_MAX: 2 before, 3 after", "note D: new"]),
    (ABC | {"__X_LAST": 3}, {"A": 0, "N": 1, "B": 2, "C": 3, "__X_LAST": 4},
     ["breaks N: new in front of others, shifts B from 1 to 2, C from 2 to 3",
      "warning __X_LAST: 3 before, 4 after"]),
    ({"NUM_X": 4}, {"NUM_X": 3}, ["breaks NUM_X: 4 before, 3 after"]),
    ({"X_SIZE": 4}, {"X_SIZE": 8}, ["breaks X_SIZE: 4 before, 8 after"]),
    ({"MAXIMAL": 4}, {"MAXIMAL": 8}, ["breaks MAXIMAL: 4 before, 8 after"]),
    ({f"A{n}": n for n in range(9)}, {f"A{n}": n + 1 for n in range(9)},
     ["breaks A0, A1, A2 and 6 more: A0 from 0 to 1, A1 from 1 to 2, A2 from 2 to 3 and 6 more"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), CHANGES)
def test_what_becomes_of_constants(
    old: constants.Numbers, new: constants.Numbers, told: list[str]
) -> None:
    rows = constants.between(old, new)
    assert [f"{row.severity} {row.named}" for row in rows] == told
    assert all(row.kind in RULES for row in rows)
    found = Reviews((), (), (), (), rows)
    assert found.breaks == any(words.startswith("breaks") for words in told)
    assert found.warns == any(words.startswith("warning") for words in told)
    assert repr(found).startswith("constants: BREAKS") == found.breaks
    assert len(found.record["constants"]) == len(told)


def test_an_old_program_takes_a_new_constant_for_another() -> None:
    row, *_ = constants.between(ABC, {"A": 0, "N": 1, "B": 2, "C": 3})
    assert row.effect == "an old program takes N for B"


# A name for each pattern in the list of scripts/check-uapi.sh, in the order of that list.
GROWS = (
    "FOO_AFTER_LAST", "FOO_CNT", "FOO_COUNT", "FOO_END", "FOO_LAST", "FOO_MAX", "FOO_MAX_BIT",
    "__MAX_BPF_ATTACH_TYPE", "FOO_MAX_ID", "FOO_MAX_SHIFT", "FOO_NBITS", "NF_NETDEV_NUMHOOKS",
    "__NFT_META_IIFTYPE", "NUM_NL80211_ATTR", "FOO_NL80211_ATTR", "RDMA_NLDEV_NUM_OPS", "FOO_NUM",
    "FOO_NUM_ELEMS", "FOO_NUM_IRQS", "FOO_TLSMAX", "MAX_FOO", "NUM_FOO",
)  # fmt: skip


@pytest.mark.parametrize("name", GROWS)
def test_what_the_kernels_own_check_lets_grow_is_a_warning(name: str) -> None:
    rows = constants.between({"A": 0, name: 1}, {"A": 0, "B": 1, name: 2})
    assert [(row.severity, row.member) for row in rows] == [("warning", name), ("note", "B")]


@pytest.mark.parametrize("name", ["FOO_MASK", "FOO_SIZE", "FOO_NUMBER", "NUMBER", "TLSMAX"])
def test_sizes_masks_and_other_names_break(name: str) -> None:
    assert constants.between({name: 1}, {name: 2})[0].severity == "breaks"
