"""Random texts with ``aligned``, ``packed`` and ``#pragma pack`` wherever C takes them.

On typedefs of scalars, arrays, structs and of other typedefs; on structs with and without a tag,
before their tag and behind their brace; on members, before, between and behind; twice; nested.
"""

from __future__ import annotations

from random import Random

from tests.compilers import Question

SCALARS = (
    *("char", "short", "int", "long", "long long", "float", "double", "void *", "_Bool"),
    *("u8", "u16", "u32", "u64", "unsigned long"),
)
BITS = ("unsigned char", "unsigned short", "unsigned int", "unsigned long", "unsigned long long")
ALIGNMENTS = ("1", "2", "4", "4", "8", "8", "16", "32")
PACKS = ("1", "2", "4", "8", "16")


class _Maker:
    """One case; ``types`` are the names of types that stand so far."""

    def __init__(self, number: int) -> None:
        self.number, self.random = number, Random(f"attribute {number}")
        self.types: list[str] = []
        self.lines: list[str] = []
        self.made = 0
        self.pushed = 0

    def name(self, letter: str) -> str:
        self.made += 1
        return f"{letter}{self.made}_{self.number}"

    def asked(self, share: float, packed: bool = True) -> str:
        """Attributes, in one pair of brackets or in two, or none."""
        random = self.random
        if random.random() > share:
            return ""
        rows = []
        for _ in range(2 if random.random() < 0.2 else 1):
            words = []
            if packed and random.random() < 0.35:
                words.append(random.choice(("packed", "__packed__")))
            if not words or random.random() < 0.25:
                words.append(f"aligned({random.choice(ALIGNMENTS)})")
            random.shuffle(words)
            rows.append(f"__attribute__(({', '.join(words)}))")
        return " " + " ".join(rows)

    def pragma(self) -> None:
        form = self.random.random()
        pack = self.random.choice(PACKS)
        if form < 0.3:
            self.lines.append(f"#pragma pack({pack})")
        elif form < 0.6:
            self.lines.append(f"#pragma pack(push, {pack})")
            self.pushed += 1
        elif form < 0.7:
            self.lines.append("#pragma pack(push)")
            self.pushed += 1
        elif form < 0.85 and self.pushed:
            self.lines.append("#pragma pack(pop)")
            self.pushed -= 1
        else:
            self.lines.append("#pragma pack()")

    def typedef(self) -> None:
        """A name for a scalar, a name, an array of either, or a struct."""
        random, name = self.random, self.name("t")
        form = random.random()
        early = self.asked(0.08, False)
        late = self.asked(0.55, random.random() < 0.1)
        if form < 0.3:
            base = random.choice(SCALARS)
        elif form < 0.55 and self.types:
            base = random.choice(self.types)
        else:
            tag = self.name("q") if random.random() < 0.6 else ""
            base = self.struct(tag, 1)
            if tag and random.random() < 0.4:
                self.lines.append(f"{base};")
                base = f"{base.split()[0]} {tag}"
        array = f"[{random.randint(1, 3)}]" if random.random() < 0.12 else ""
        self.lines.append(f"typedef {base}{early} {name}{array}{late};")
        self.types.append(name)

    def defined(self) -> None:
        tag = self.name("q")
        made = self.struct(tag, 1)
        self.lines.append(f"{made};")
        self.types.append(f"{made.split()[0]} {tag}")

    def struct(self, tag: str, depth: int, share: float = 0.35) -> str:
        """A definition, without its semicolon."""
        random = self.random
        word = "union" if random.random() < 0.15 else "struct"
        before = self.asked(0.1)
        body = " ".join(self.member(depth)[0] for _ in range(random.randint(1, 3)))
        return f"{word}{before} {tag} {{ {body} }}{self.asked(share)}".replace("  ", " ")

    def member(self, depth: int) -> tuple[str, list[str]]:
        """A member, and the names whose offset C tells."""
        random, name = self.random, self.name("m")
        form = random.random()
        if form < 0.12:
            base = random.choice(BITS)
            width = random.choice((1, 3, 5, 7, 8))
            if random.random() < 0.15:
                return f"{base} : {random.choice((0, 0, 3))};", []
            packed = " __attribute__((packed))" if random.random() < 0.1 else ""
            return f"{base} {name} : {width}{packed};", []
        if form < 0.25 and depth:
            inner = self.struct("", depth - 1)
            if random.random() < 0.4:
                return f"{inner};", []
            return f"{inner} {name}{self.asked(0.15)};", [name]
        named = self.types and form < 0.75
        base = random.choice(self.types) if named else random.choice(SCALARS)
        array = f"[{random.randint(1, 3)}]" if random.random() < 0.2 else ""
        place = random.random()
        first = f"{self.asked(0.3)} ".lstrip() if place < 0.1 else ""
        middle = self.asked(0.3) if 0.1 < place < 0.2 else ""
        if 0.2 < place < 0.25:
            first = f"_Alignas({random.choice(('4', '8', '16', '8'))}) "
        if random.random() < 0.1 and not array:
            other = self.name("m")
            return (
                f"{first}{base}{middle} {name}{self.asked(0.3)}, {other}{self.asked(0.3)};",
                [name, other],
            )
        return f"{first}{base}{middle} {name}{array}{self.asked(0.3)};", [name]


def case(number: int) -> Question:
    """The case of that number, the same in every run."""
    maker = _Maker(number)
    random = maker.random
    pragmas = random.random() < 0.35
    for _ in range(random.randint(0, 3)):
        if pragmas and random.random() < 0.6:
            maker.pragma()
        (maker.typedef if random.random() < 0.75 else maker.defined)()
    if pragmas:
        maker.pragma()
    name = f"struct s_{number}"
    rows = [maker.member(1) for _ in range(random.randint(1, 4))]
    told = tuple(name for _, names in rows for name in names)
    text = " ".join(words for words, _ in rows)
    before = maker.asked(0.06)
    maker.lines.append(f"struct{before} s_{number} {{ {text} }}{maker.asked(0.3)};")
    maker.lines += ["#pragma pack(pop)"] * maker.pushed
    maker.lines += ["#pragma pack()"] if pragmas else []
    return Question("\n".join(maker.lines), name, told)
