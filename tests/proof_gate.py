"""The gate against compilers: pairs of versions of a struct as kernel changes make them.

A row is a change as Linux has seen it, or nearly did, with what the gate says of it. Variants give
other names to what is reserved, and put the struct behind others, into one, into an array, into
the arm of a union, or one side alone on some ABIs alone. The witness of what must not pass are
compilers: the size, the alignment, or the place or size of a member that both versions use is
another on that ABI. And an ABI that is asked alone must be told what it is told beside others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from kvmviz import parse
from kvmviz.review import review
from tests import compilers
from tests.compilers import Question

ABIS = ("x86_64", "aarch64_be", "i386", "m68k", "s390x")
NAMES = (
    "reserved", "__reserved", "rsvd", "resv2", "__resv1", "pad", "__pad1", "padding", "pad_0",
    "unused", "__unused_4", "spare", "__spare2", "Reserved",
)  # fmt: skip
BATCH = 250

Row = tuple[str, str, str, str, bool]
ROWS: tuple[Row, ...] = (
    # old, new, the rule, members in use (@: only their place), whether x86_64 lets it pass
    # io_uring_params, statx, ethtool_link_settings, perf_event_attr, kvm_irqfd: reserved is space
    ("__u32 a; __u32 {r}[5]; __u64 b;", "__u32 a; __u32 n; __u32 {r}[4]; __u64 b;",
     "reserved", "a b", True),
    ("__u64 a; __u64 {r}[14];", "__u64 a; __u64 n, m; __u64 {r}[12];", "reserved", "a", True),
    ("__u8 a; __u8 {r}[3]; __u32 b;", "__u8 a; __u8 {r}; __u8 n, m; __u32 b;",
     "reserved", "a b", True),
    ("__u8 a; __u8 {r}[3]; __u32 b;", "__u8 a; __u8 n; __u8 {r}[2]; __u32 b;",
     "reserved", "a b", True),
    ("__u64 a; __u16 b; __u16 {r};", "__u64 a; __u16 b; __u16 n;", "reserved", "a b", True),
    ("__u32 a; __u32 {r}[2];", "__u32 a; __u16 n, m; __u32 {r};", "reserved", "a", True),
    ("__u32 a:1, {r}:31; __u32 b;", "__u32 a:1, n:1, {r}:30; __u32 b;", "reserved", "b", True),
    ("__u32 a:1, :31; __u32 b;", "__u32 a:1, n:4, :27; __u32 b;", "reserved", "b", True),
    ("__u32 a; __u32 b[2]; __u32 {r}[6];", "__u32 a; __u32 b[4]; __u32 {r}[4];",
     "reserved", "a b@", True),
    ("__u32 a; __u64 b;", "__u32 a; __u32 {r}; __u64 b;", "reserve", "a b", True),
    ("__u32 a; __u32 {r}; __u32 b;", "__u32 a; __u32 b; __u32 {r};", "reordered", "a b", False),
    ("__u32 a; __u32 {r}[2]; __u32 b;", "__u32 a; __u64 n; __u64 m; __u32 b;",
     "inserted", "a b", False),
    ("__u32 a; __u32 {r}[2];", "__u32 a; __u32 {r}[3];", "size", "a", False),
    ("__u32 a; __u32 {r}[2];", "__u32 a; __u32 {r};", "size", "a", False),
    ("__u32 a; __u8 b[8]; __u8 {r}[8];", "__u32 a; __u8 b[4]; __u8 {r}[12];",
     "array-length", "a b", False),
    ("__u32 a; __u32 reserve_count;", "__u32 a; __u16 n; __u16 reserve_count;",
     "inserted", "a reserve_count", False),
    # rxrpc, virtio, vmgenid, ethtool, drm: other words for the same bytes
    ("__u32 a; __u16 b; __u16 c;", "__be32 a; __le16 b; __be16 c;", "annotated", "a b c", True),
    ("__u32 a[4]; __s64 b;", "__be32 a[4]; __le64 b;", "annotated", "a b", True),
    ("__u32 a; struct {{ __u8 b[16]; }} u;", "__u32 a; __u8 u[16];", "wrapped", "a u", True),
    ("__u16 a; __u8 u[6];", "__u16 a; struct {{ __u8 octet[6]; }} u;", "wrapped", "a u", True),
    ("__u32 a; __u32 b; __u64 c;", "struct {{ __u32 a; __u32 b; }}; __u64 c;",
     "grouped", "a b c", True),
    ("__u32 a; __u32 b; __u32 c;",
     "__u32 a; union {{ struct {{ __u32 b, c; }}; struct {{ __u32 b, c; }} g; }};",
     "alias", "a b c", True),
    ("__u32 a; __u32 b;", "__u32 a; union {{ __u32 b; __u32 n; }};", "alias", "a b", True),
    ("__u32 a; __u32 b;", "__u32 a; __u32 n;", "renamed", "a", True),
    # kvm_debug_exit_arch, timespec, kvm_exit_snp_req_certs, fuse_init_out: what breaks
    ("__u32 a; __u64 b;", "__u32 a; __u32 n; __u64 b;", "added-in-hole", "a b", True),
    ("__u32 a; __u64 b;", "__u64 a; __u64 b;", "widened", "a b", False),
    ("__u32 a; __u32 b;", "__u32 a; __u32 b; __u32 n;", "size", "a b", False),
    ("__u32 a; __u32 b;", "__u32 a; __u32 n; __u32 b;", "inserted", "a b", False),
    ("__u32 a; __u32 b;", "__u32 b; __u32 a;", "reordered", "a b", False),
    ("__u64 a; __u64 b;", "__u32 a; __u64 b;", "narrowed", "a b", False),
    ("__u8 a[16]; __u32 b;", "__u8 a[8]; __u32 b;", "array-length", "a b", False),
    ("long a; long b;", "__s64 a; __s64 b;", "retyped", "a b", True),
    ("__u32 a; __u64 b;", "__u32 a; __u64 b __attribute__((packed));", "moved", "a b", False),
    ("__u32 a; __u64 b;", "__u32 a; __u64 b __attribute__((aligned(16)));", "align", "a b", False),
)  # fmt: skip
FLEXIBLE: tuple[Row, ...] = (
    # the same, of what has no size: only alone, and behind others
    ("__u32 a; __u16 b, d[1];",
     "__u32 a; __u16 b; union {{ __u16 n; struct {{ struct {{ }} no; __u16 d[]; }}; }};",
     "beside", "a b", True),
    ("__u32 a; __u32 d[1];",
     "__u32 a; union {{ __u32 d[1]; struct {{ struct {{ }} no; __u32 e[]; }}; }};",
     "beside", "a d", True),
    ("__u32 a; __u32 d[];", "__u32 a; __be32 d[];", "annotated", "a d@", True),
    ("__u32 a; __u32 d[];", "__u32 a; __u32 e[];", "renamed", "a", True),
    ("__u64 a; __u64 d[1];", "__u64 a; __u64 d[];", "size", "a d@", False),
    ("__u32 a; __u32 d[];", "__u32 a; __u32 b; __u32 d[];", "moved", "a d@", False),
)  # fmt: skip
HOMES: tuple[tuple[str, str], ...] = (
    # what stands around the members, and how C names one of them
    ("struct s {{ {} }};", "{}"),
    ("struct s {{ __u64 head; {} }};", "{}"),
    ("struct s {{ __u8 x; struct {{ {} }} in; __u64 end; }};", "in.{}"),
    ("struct s {{ struct {{ {} }} in[3]; __u8 end; }};", "in[2].{}"),
    ("struct s {{ __u32 kind; union {{ struct {{ {} }} arm; __u64 raw[64]; }}; }};", "arm.{}"),
)  # fmt: skip
SPLIT = (
    "\n#if defined __x86_64__ || defined __s390x__\n"
    "struct s {{ union {{ struct {{ {0} }}; }}; }};\n"
    "#else\nstruct s {{ {0} }};\n#endif\n"
)
"""What stands around the members of one side alone, and on some ABIs alone."""


@dataclass(frozen=True)
class Asked(Question):
    """Where members are and, but for those with @, how large: both in one number."""

    @property
    def numbers(self) -> list[str]:
        """Size, alignment, and a number for each member."""
        rows = [f"sizeof({self.name})", f"_Alignof({self.name})"]
        for member in self.members:
            path = member.rstrip("@")
            size = "0" if path != member else f"sizeof((({self.name} *)0)->{path})"
            rows.append(f"__builtin_offsetof({self.name}, {path}) + 65536 * {size}")
        return rows


@dataclass(frozen=True)
class Case:
    """A variant of a row: both texts, the rule, what compilers are asked for.

    ``passes`` is what the table says, of a struct that stands alone.
    """

    old: str
    new: str
    rule: str
    members: tuple[str, ...]
    passes: bool | None

    def question(self, text: str, tag: str) -> Asked:
        """What is asked of one version, which gets a tag of its own."""
        # As <linux/types.h> has it for a compiler: an annotation is for sparse alone.
        text = re.sub(r"__[bl]e(\d+)", r"__u\1", text)
        return Asked(text.replace("struct s ", f"struct {tag} "), f"struct {tag}", self.members)


def case(number: int) -> Case:
    """The variant of that number."""
    turn, at = divmod(number, len(ROWS) + len(FLEXIBLE))
    old, new, rule, members, passes = (*ROWS, *FLEXIBLE)[at]
    random, split = Random(number), turn % 3 == 2
    home, path = HOMES[0 if split else (turn - turn // 3) % (len(HOMES) if at < len(ROWS) else 2)]
    homes, name = [home, home], random.choice(NAMES)
    if split:
        homes[random.randrange(2)] = SPLIT
    both = zip(homes, (old, new), strict=True)
    texts = [around.format(text.format(r=name)) for around, text in both]
    asked = tuple(path.format(member) for member in members.split())
    plain = homes == [HOMES[0][0]] * 2
    return Case(texts[0], texts[1], rule, asked, passes if plain else None)


def wrong(cases: Sequence[Case], abis: Sequence[str]) -> Iterator[str]:
    """The variants of which the gate says another thing than compilers and the table do.

    Or another of an ABI that is asked alone than of all of them, in any order.
    """
    texts = [(parse(one.old)["s"], parse(one.new)["s"]) for one in cases]
    reviews = [
        review(old, new, Random(n).sample(abis, len(abis))) for n, (old, new) in enumerate(texts)
    ]
    for abi in abis:
        asked = [
            one.question(text, f"{side}{n}")
            for n, one in enumerate(cases) for side, text in (("o", one.old), ("n", one.new))
        ]  # fmt: skip
        answers = iter(compilers.judged(compilers.targets()[abi], asked))
        for one, (old, new), every in zip(cases, texts, reviews, strict=True):
            before, after = next(answers), next(answers)
            assert before, one
            found = review(old, new, abi)
            if {*found.findings} != {
                replace(r, abis=(abi,)) for r in every.findings if abi in r.abis
            }:
                yield f"{abi}: alone {found.findings}, beside others {every.findings}\n{one}"
            kinds = {row.kind for row in found.findings}
            told = f"breaks: {found.breaks}, by compilers {before != after}"
            if one.passes is not None and abi == "x86_64":
                told += f", by the table {not one.passes}; {one.rule} is among {sorted(kinds)}"
                fine = found.breaks != one.passes and one.rule in kinds
            else:
                fine = True
            if not fine or found.breaks != (before != after):
                yield f"{abi}: {told}\n  {one.old}\n  {one.new}"


def walk(count: int) -> list[str]:
    """So many variants; those that the gate gets wrong."""
    bad: list[str] = []
    abis = [abi for abi in ABIS if abi in compilers.targets()]
    for begin in range(0, count, BATCH):
        bad += wrong([case(n) for n in range(begin, min(begin + BATCH, count))], abis)
    print(f"gate: {count} pairs of versions on {len(abis)} ABIs, {len(bad)} wrong")
    for told in bad[:10]:
        print(told)
    return bad
