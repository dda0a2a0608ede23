"""BTF into structs: against compilers and pahole, against an encoder written here, and damaged."""

from __future__ import annotations

import os
import platform
import re
import shutil
import struct as binary
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kvmviz import ABIS, KvmvizError, parse
from kvmviz.abi import ByteOrder
from kvmviz.btf import MOST_MEMBERS, Btf, comparable
from kvmviz.review import review
from kvmviz.slot import Slot
from tests import compilers

HSR = "struct kvm_debug_exit_arch { __u32 hsr; __u64 far; };"
KERNEL = Path("/sys/kernel/btf/vmlinux")
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, CONST, FUNC = 1, 2, 3, 4, 5, 6, 7, 8, 10, 12
FLOAT, ENUM64 = 16, 19


class Types:
    """BTF, written by hand as Documentation/bpf/btf.rst has it: each call is the next number."""

    def __init__(self, order: ByteOrder = "little", first: int = 1, strings: bytes = b"\0") -> None:
        self.mark = "<" if order == "little" else ">"
        self.types, self.count = b"", first - 1
        self.strings, self.behind = strings, 0

    def words(self, *values: int) -> bytes:
        return binary.pack(f"{self.mark}{len(values)}I", *values)

    def name(self, text: str) -> int:
        at = self.behind + len(self.strings)
        self.strings += text.encode() + b"\0"
        return at if text else 0

    def add(
        self, kind: int, name: str, size: int, *tail: int, count: int = 0, flag: int = 0
    ) -> int:
        info = flag << 31 | kind << 24 | count
        self.types += self.words(self.name(name), info, size, *tail)
        self.count += 1
        return self.count

    def number(self, name: str, size: int, flags: int = 0) -> int:
        return self.add(INT, name, size, flags << 24 | 8 * size)

    def struct(
        self, name: str, size: int, *rows: tuple[str, int, int], kind: int = STRUCT, flag: int = 0
    ) -> int:
        tail = [word for name, of, place in rows for word in (self.name(name), of, place)]
        return self.add(kind, name, size, *tail, count=len(rows), flag=flag)

    @property
    def data(self) -> bytes:
        magic = binary.pack(f"{self.mark}HBB", 0xEB9F, 1, 0)
        head = self.words(24, 0, len(self.types), len(self.types), len(self.strings))
        return magic + head + self.types + self.strings


def hsr(order: ByteOrder = "little") -> Types:
    """kvm_debug_exit_arch beside other kinds of types, all of which one has to step over."""
    made = Types(order)
    number = made.number("unsigned int", 4)
    made.add(ENUM, "e", 4, made.name("A"), 0, made.name("B"), 1, count=2)
    made.add(ENUM64, "e64", 8, made.name("C"), 0, 1, count=1)
    made.add(13, "", 0, 0, 1, count=1)
    made.add(FUNC, "f", made.count)
    made.add(14, "v", 1, 1)
    made.add(15, ".data", 4, made.count, 0, 4, count=1)
    made.add(17, "tag", number, 0xFFFFFFFF)
    word = made.add(TYPEDEF, "__u32", number)
    long = made.add(TYPEDEF, "__u64", made.number("long long unsigned int", 8))
    made.struct("kvm_debug_exit_arch", 16, ("hsr", word, 0), ("far", made.add(CONST, "", long), 64))
    return made


def elf(section: bytes, machine: int, order: ByteOrder, bits: int, title: bytes = b".BTF") -> bytes:
    """An ELF file with a section of that name."""
    mark, wide = "<" if order == "little" else ">", bits == 64
    titles = b"\0.shstrtab\0" + title + b"\0"
    size = 64 if wide else 52
    rows = [(0, 0, 0), (1, size, len(titles)), (11, size + len(titles), len(section))]
    table = b"".join(
        binary.pack(f"{mark}{'I20xQQ24x' if wide else 'I12xII16x'}", *row) for row in rows
    )
    ident = b"\x7fELF" + bytes([1 + wide, 1 if order == "little" else 2, 1]) + bytes(9)
    at = size + len(titles) + len(section)
    form = f"{mark}HHIQQQIHHHHHH" if wide else f"{mark}HHIIIIIHHHHHH"
    step = 64 if wide else 40
    head = binary.pack(form, 1, machine, 1, 0, 0, at, 0, size, 0, 0, step, len(rows), 1)
    return ident + head + titles + section + table


# --- what is recorded, and the rule -----------------------------------------------------------


@pytest.mark.parametrize("abi", ["aarch64", "aarch64_be", "s390x", "ppc32"])
def test_a_record_is_held_against_the_rule(abi: str) -> None:
    record = Btf(hsr(ABIS[abi].byte_order).data, abi).record("kvm_debug_exit_arch")
    assert record.struct.layout(abi) == parse(HSR)["kvm_debug_exit_arch"].layout(abi)
    assert repr(record).split("\n") == [
        f"struct kvm_debug_exit_arch on {abi} ({ABIS[abi].byte_order}-endian), as BTF has it",
        "  the rule predicts this: 0 differences in 16 bytes, 2 members, 0 structs inside",
        "  not recorded, so not compared: alignment, unnamed bit-fields, a[2][3] beside a[6]",
    ]


def test_what_the_members_alone_do_not_explain_is_inferred() -> None:
    # On i386 a __u64 is aligned to 4: these places are those of another ABI.
    record = Btf(hsr().data, "i386").record("kvm_debug_exit_arch")
    told = "struct kvm_debug_exit_arch: member far aligned(8); without, far at bit 32, recorded at"
    assert record.inferred == (f"{told} 64",)
    assert record.struct.layout("i386").offsets == {"hsr": 0, "far": 8}
    assert "the rule predicts this only with what is inferred, 16 bytes, 2 members" in repr(record)
    assert f"\n  inferred: {told} 64\n" in repr(record)


TEXT = """
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32;
typedef unsigned long long u64;
enum e { A, B };
struct in { u8 a; u64 b; };
struct plain {
    u32 a:3; u32 b:29; u16 d:9; char grid[2][3]; struct in in[2]; union { int x; long y; };
    enum e en; const volatile void *p; _Bool f; signed char ch; struct { int q; } named;
    float fl; double db; long l; unsigned long ul; struct plain *next; int flex[];
};
struct wide { u8 a; struct in b __attribute__((aligned(64))); u8 c; };
struct tail { u32 a; } __attribute__((aligned(64)));
struct uses { u8 a; struct tail b; u16 c; };
struct close { u8 a; u32 b; u64 c:40; u64 d:5; } __attribute__((packed));
struct mixed { u8 a; u32 b __attribute__((packed)); u64 c; };
struct unnamed { u32 a:1; u32 :0; u32 b:30; u32 :32; u32 c:5; u32 :7; u8 d; u64 :64; };
struct none { }; struct with_none { u8 a; struct none b; u8 c; };
union either { u8 a[5]; u16 b; struct { u8 c; u32 d; }; };
struct anonymous { u8 a; struct { u8 b; } __attribute__((aligned(16))); u8 c; };
typedef struct { u8 a; u16 b; } tagless;
"""
INFERRED = {"wide", "tail", "uses", "close", "mixed", "unnamed", "anonymous"}
NAMES = [
    "in", "plain", "wide", "tail", "uses", "close", "mixed", "unnamed", "none", "with_none",
    "either", "anonymous", "tagless",
]  # fmt: skip


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """The structs of TEXT as a compiler for an ABI and pahole have them."""
    folder = tmp_path_factory.mktemp("btf")
    variables = [f"{'union' if name == 'either' else 'struct'} {name} v_{name};" for name in NAMES]
    variables[-1] = "tagless v_tagless;"
    (folder / "s.c").write_text(TEXT + "\n".join(variables))
    flags = ("-g", "-w", "-shared", "-nostdlib", "-fPIC", "s.c", "-o")

    def compiled(abi: str) -> bytes:
        made = folder / f"{abi}.so"
        for command in (
            [*compilers.targets()[abi], *flags, made.name],
            ["pahole", "-J", made.name],
        ):
            caches = {f"ZIG_{kind}_CACHE_DIR": str(folder / "zig") for kind in ("GLOBAL", "LOCAL")}
            env = {**os.environ, **caches, "LC_ALL": "C"}
            subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
        return made.read_bytes()

    return compiled


@pytest.mark.skipif(not shutil.which("pahole"), reason="pahole is not installed")
@pytest.mark.parametrize("abi", compilers.every_abi())
def test_compilers_and_pahole(abi: str, objects: Callable[[str], bytes]) -> None:
    types, defined = Btf(objects(abi)), parse(TEXT)
    assert types.abi is ABIS[abi]
    for name in NAMES:
        record, wanted = types.record(name), defined[name].layout(abi)
        found = record.struct.layout(abi)
        assert (found.size, found.offsets) == (wanted.size, wanted.offsets), name
        assert [_place(slot) for slot in found.slots if slot.extent] == [
            _place(slot) for slot in wanted.slots if slot.extent
        ], name
        # m68k has no hole for an attribute to fill in some of them.
        assert name in INFERRED or not record.inferred
        one, other = comparable(record.struct, defined[name], ABIS[abi])
        assert not review(one, other, abis=[abi]).findings


def _place(slot: Slot) -> tuple[object, ...]:
    path = "" if slot.is_padding else re.sub(r"\[\d+\]$", "", slot.path)
    return path, slot.start, slot.extent, slot.order


@pytest.mark.skipif(not KERNEL.exists(), reason=f"no {KERNEL} here")
def test_the_kernel_that_runs_here() -> None:
    types = Btf(KERNEL.read_bytes(), platform.machine())
    for name in ("list_head", "timespec64", "qspinlock"):
        assert types.record(name).inferred == ()
    assert len(types.names) > 1000


# --- what is not recorded ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        ("struct s { __u32 a; __u32 b[6]; };", False),
        ("struct s { __u32 a; __u32 b[2][3]; } __attribute__((aligned(4)));", False),
        ("struct s { __u32 a; __s32 b[3][2]; };", False),
        ("struct s { unsigned int a:32; int b[6]; };", False),
        ("struct s { __u32 a; __u32 b[6]; } __attribute__((packed));", False),
        ("struct s { __u32 b[6]; __u32 a; };", True),
        ("struct s { __u16 a; __u32 b[6]; };", True),
        ("struct s { __u32 a; __u32 b[6]; } __attribute__((aligned(8)));", True),  # size 32
        ("struct s { __u32 a; __u64 b[3]; };", True),
    ],
)
def test_what_is_not_recorded_breaks_nothing(text: str, breaks: bool) -> None:
    made = Types()
    word = made.number("unsigned int", 4)
    made.struct("s", 28, ("a", word, 0), ("b", made.add(ARRAY, "", 0, word, word, 6), 32))
    recorded = Btf(made.data, "x86_64").record("s").struct
    one, other = comparable(recorded, parse(text)["s"], ABIS["x86_64"])
    assert review(one, other, abis=["x86_64"]).breaks is breaks
    assert review(*comparable(other, one, ABIS["x86_64"]), abis=["x86_64"]).breaks is breaks


def test_an_alignment_that_is_not_recorded_breaks_nothing() -> None:
    made = Types()
    made.struct("s", 64, ("a", made.number("unsigned int", 4), 0))
    record = Btf(made.data, "x86_64").record("s")
    assert record.inferred == ("struct s: aligned(64); without, size 4, recorded 64",)
    header = parse("struct s { __u32 a; __u32 :32; __u64 :64, :64, :64, :64, :64, :64, :64; };")[
        "s"
    ]
    assert review(header, record.struct, abis=["x86_64"]).breaks
    assert not review(*comparable(header, record.struct, ABIS["x86_64"]), abis=["x86_64"]).breaks


# --- names, machines, kernel modules -------------------------------------------------------------


def test_names() -> None:
    made = hsr()
    byte = made.number("unsigned char", 1)
    first = made.struct("twice", 1, ("a", byte, 0))
    second = made.struct("twice", 1, ("b", byte, 0), kind=UNION)
    made.add(TYPEDEF, "tagless", made.struct("", 1, ("c", byte, 0)))
    made.add(TYPEDEF, "hidden", made.add(PTR, "", 0))
    types = Btf(made.data, "x86_64")
    assert types.names == ["kvm_debug_exit_arch", "twice", "twice"]
    assert f"{types.record('tagless').struct}" == "struct tagless"
    assert f"{types.record(f'twice#{second}').struct}" == "union twice"
    there = f"there are twice#{first}, twice#{second}"
    for name, told in {
        "twice": f"BTF has 2 structs or unions 'twice'; {there}",
        "twice#1": f"BTF has no structs or unions 'twice#1'; {there}",
        "arch": "BTF has no structs or unions 'arch'",
        "hidden": "BTF has no structs or unions 'hidden'",
        "": "BTF has no structs or unions ''",
        "\udcff": "BTF has no structs or unions '\\udcff'",
    }.items():
        with pytest.raises(KvmvizError) as caught:
            types.record(name)
        assert f"{caught.value}" == told


@pytest.mark.parametrize(
    ("machine", "bits", "order", "abi"),
    [
        (62, 64, "little", "x86_64"), (3, 32, "little", "i386"), (183, 64, "little", "aarch64"),
        (183, 64, "big", "aarch64_be"), (40, 32, "little", "arm"), (40, 32, "big", "armeb"),
        (21, 64, "big", "ppc64"), (21, 64, "little", "ppc64le"), (20, 32, "big", "ppc32"),
        (22, 64, "big", "s390x"), (4, 32, "big", "m68k"), (8, 32, "big", "mips"),
        (8, 32, "little", "mipsel"), (243, 64, "little", "riscv64"),
        (8, 64, "little", None), (247, 64, "little", None), (62, 32, "little", None),
    ],
)  # fmt: skip
def test_the_machine_of_an_elf_file(
    machine: int, bits: int, order: ByteOrder, abi: str | None
) -> None:
    data = elf(hsr(order).data, machine, order, bits)
    if abi:
        assert Btf(data).abi is ABIS[abi]
    else:
        with pytest.raises(KvmvizError, match="does not say its machine: it is little-endian; leg"):
            Btf(data)
        assert Btf(data, "aarch64").record("kvm_debug_exit_arch").inferred == ()


@pytest.mark.parametrize(
    ("abi", "told"),
    [
        (None, "this BTF does not say its machine: it is big-endian with a long of 64 bits; "
         "legal ABIs are aarch64_be, ppc64, s390x"),
        ("aarch64", "this BTF is not of aarch64: it is big-endian with a long of 64 bits; "
         "legal ABIs are aarch64_be, ppc64, s390x"),
        ("m68k", "this BTF is not of m68k: it is big-endian with a long of 64 bits; "
         "legal ABIs are aarch64_be, ppc64, s390x"),
    ],
)  # fmt: skip
def test_an_abi_that_it_is_not_of(abi: str | None, told: str) -> None:
    made = hsr("big")
    made.number("long unsigned int", 8)
    with pytest.raises(KvmvizError) as caught:
        Btf(made.data, abi)
    assert f"{caught.value}" == told


def test_a_module_goes_on_from_its_kernel() -> None:
    kernel = hsr()
    module = Types(first=kernel.count + 1, strings=b"")
    module.behind = len(kernel.strings)
    module.struct("of_module", 24, ("arch", kernel.count, 64), ("n", 1, 0))
    types = Btf(module.data, "aarch64", kernel.data)
    assert types.record("of_module").struct.layout("aarch64").offsets == {"n": 0, "arch": 8}
    with pytest.raises(KvmvizError, match="of a kernel module"):
        Btf(module.data, "aarch64")
    with pytest.raises(KvmvizError, match="begins with 0xeb9f in big-endian order"):
        Btf(module.data, "aarch64", hsr("big").data)


# --- damage --------------------------------------------------------------------------------------


def test_every_truncation_and_flipped_bits_are_answered() -> None:
    made = hsr()
    number = made.count
    union = made.struct("u", 16, ("a", number, 0), ("b", 1, 3 << 24), kind=UNION, flag=1)
    made.struct("all", 48, ("m", union, 0), ("x", made.add(ARRAY, "", 0, number, 1, 2), 128))
    file = elf(made.data, 183, "little", 64)
    inside = range(64 + 16, 64 + 16 + len(made.data))
    answers = set()
    for whole, skipped in ((made.data, range(0)), (file, inside)):
        damaged = [whole[:end] for end in range(len(whole))]
        for bit in range(0, 8 * len(whole), 3):
            if bit // 8 not in skipped:
                flipped = bytearray(whole)
                flipped[bit // 8] ^= 1 << bit % 8
                damaged.append(bytes(flipped))
        for data in damaged:
            try:
                answers.add(repr(Btf(data, "aarch64").record("all")))
            except KvmvizError as error:
                answers.add(re.sub(r"\d+", "", f"{error}"))
    assert len(answers) > 40


def _cycle(made: Types) -> None:
    made.struct("s", 8, ("a", made.count + 1, 0))


def _names_in_a_circle(made: Types) -> None:
    made.add(TYPEDEF, "t", made.count + 2)
    made.add(CONST, "", made.count)
    made.struct("s", 8, ("a", made.count, 0))


def _doubling(made: Types) -> None:
    inner = made.struct("none", 0)
    for _ in range(40):
        inner = made.struct("", 0, ("", inner, 0), ("", inner, 0))
    made.struct("s", 0, ("", inner, 0))


def _deep(made: Types) -> None:
    inner = made.number("int", 4, 1)
    for _ in range(70):
        inner = made.add(ARRAY, "", 0, inner, 1, 1)
    made.struct("s", 4, ("a", inner, 0))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_cycle, "more than 64 types inside each other"),
        (_names_in_a_circle, "is behind 64 names"),
        (_doubling, f"more than {MOST_MEMBERS} members"),
        (_deep, "more than 64 types inside each other"),
        (lambda m: m.struct("s", 4, ("a", 99, 0)), "a member of type 99; legal are 1 .. 1"),
        (lambda m: m.struct("s", 4, ("a", 0, 0)), "a member of type 0; legal are 1 .. 1"),
        (lambda m: m.struct("s", 4, ("a", m.add(FWD, "f", 0), 0)), "of type 1, whose kind is 7"),
        (lambda m: m.struct("s", 4, ("a", m.number("int", 3), 0)), "bits 24; legal are"),
        (lambda m: m.struct("s", 4, ("a", m.number("int", 0), 0)), "bits 1; legal are"),
        (lambda m: m.struct("s", 4, ("a", m.add(FLOAT, "half", 2), 0)), "bits 16; legal are"),
        (lambda m: m.struct("s", 4, ("a b", m.number("int", 4), 0)), "'a b' is not a C ident"),
        (lambda m: m.struct("s", 4, ("", m.number("int", 4), 0)), "only a struct or union can be"),
        (lambda m: m.struct("s", 2, ("a", m.number("int", 4), 0)), "size 4, recorded 2"),
        (lambda m: m.struct("s", 8, ("a", m.number("int", 4), 0), ("b", m.count, 16)),
         "no C makes struct s lie as recorded: b at bit 32, recorded at 16"),
        (lambda m: m.struct("s", 8, ("a", m.number("int", 4), 33 << 24), flag=1), "1 .. 32"),
        (lambda m: m.struct("s", 1 << 30), "no C makes struct s lie as recorded: size 0"),
        (lambda m: m.struct("s", 4, ("a", m.add(ARRAY, "", 0, m.number("int", 4), 1, 1 << 31), 0)),
         "legal counts are"),
        (lambda m: m.add(31, "s", 0), "type 1 has kind 31; legal are 1 .. 19"),
        (lambda m: m.add(STRUCT, "s", 0, count=9), "type 1, the last, is cut off"),
    ],
)  # fmt: skip
def test_damaged_types(make: Callable[[Types], object], told: str) -> None:
    made = Types()
    make(made)
    with pytest.raises(KvmvizError) as caught:
        Btf(made.data, "aarch64").record("s")
    assert told in f"{caught.value}"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "no BTF: that begins with 0xeb9f in the byte order of its machine"),
        (b"struct s { int a; };", "no BTF"),
        ("abc", "BTF: str is no contiguous buffer of bytes"),
        (None, "BTF: NoneType is no contiguous buffer of bytes"),
        (np.zeros(64, np.uint8)[::2], "BTF: ndarray is no contiguous buffer of bytes"),
        (b"\x9f\xeb\x01\x00", "its header of 24 bytes is cut off"),
        (Types().data[:-1], "types 0 + 0, strings 0 + 1, behind a header of 24, in 24 bytes"),
        (elf(b"", 62, "little", 64, b".text"), "an ELF file without a section .BTF"),
        (
            elf(b"", 62, "little", 64, b".debug_info"),
            "its DWARF is for pahole and drgn: `pahole -J",
        ),
        (elf(b"", 62, "little", 64)[:60], "damaged ELF file: its headers are cut off"),
        (b"\x7fELF", "damaged ELF file: its headers are cut off"),
    ],
)
def test_what_is_no_btf(data: Any, told: str) -> None:
    with pytest.raises(KvmvizError) as caught:
        Btf(data, "x86_64")
    assert told in f"{caught.value}"


def test_a_kernels_btf_is_bytes() -> None:
    with pytest.raises(KvmvizError, match="BTF: NoneType is no contiguous buffer"):
        Btf(hsr().data, "x86_64", None)  # type: ignore[arg-type]


def test_what_one_call_finds_is_not_anothers() -> None:
    made = Types()
    number = made.number("int", 4)
    made.struct("loose", 16, ("x", number, 64))
    found = Btf(made.data, "aarch64")
    before = dict(vars(found))
    assert len(found.record("loose").inferred) == 1
    assert vars(found) == before


def test_bits_and_sizes_of_every_scalar() -> None:
    made = Types()
    rows = [
        made.number("char", 1), made.number("_Bool", 1, 4), made.number("__int128 unsigned", 16),
        made.add(ENUM, "small", 1), made.add(ENUM64, "", 8, flag=1), made.add(FLOAT, "double", 8),
        made.number("long long int", 8, 1), made.add(18, "tagged", made.number("short int", 2, 1)),
    ]  # fmt: skip
    places = (0, 8, 128, 256, 320, 384, 448, 512)
    made.struct(
        "s", 80, *((f"m{n}", of, at) for n, (of, at) in enumerate(zip(rows, places, strict=True)))
    )
    record = Btf(made.data, "aarch64").record("s")
    assert record.inferred == ()
    found = [
        (slot.type.name, slot.type.signed)
        for slot in record.struct.layout("aarch64").slots
        if slot.type
    ]
    assert found == [
        ("char", False), ("_Bool", False), ("unsigned __int128", False), ("enum small", False),
        ("enum", True), ("double", False), ("long long", True), ("short", True),
    ]  # fmt: skip
