"""The proof in small: random structs of every kind, as compilers lay them out."""

from pathlib import Path
from types import ModuleType

import pytest

from kvmviz import ABIS, KvmvizError, Member, Struct
from kvmviz.ctype import SCALARS
from tests import (
    compilers,
    proof_attributes,
    proof_clang,
    proof_expressions,
    proof_gate,
    proof_orders,
    proof_structs,
    proof_texts,
    proof_widgets,
    strategies,
    uapi,
)


def test_layouts_and_bytes_are_the_compilers() -> None:
    cases = strategies.examples(proof_structs.wilds, 400)
    structs = [case.struct for case in cases]
    assert any(m.bits for s in structs for m in s.members), "bit-fields are among them"
    assert any(s.packed for s in structs)
    assert any(s.pack for s in structs)
    assert not proof_structs.mismatches(cases)


def test_what_compilers_disagree_about_is_refused() -> None:
    member = Member("a", SCALARS["u32"], 9, align=16)
    with pytest.raises(KvmvizError, match="gcc and clang place it differently"):
        Struct("s", [member], pack=2).layout("x86_64")


@pytest.mark.parametrize("abi", ["aarch64", "aarch64_be", "s390x", "m68k"])
def test_slots_tile_a_struct_bit_by_bit(abi: str) -> None:
    for case in strategies.examples(proof_structs.wilds, 60):
        layout = case.struct.layout(abi)
        if not _has_union(case.struct):
            ends = [slot.start + slot.extent for slot in layout.slots if slot.extent]
            starts = [slot.start for slot in layout.slots if slot.extent]
            assert [*starts, 8 * layout.size] == [0, *ends]


def _has_union(struct: Struct) -> bool:
    inner = (member.type.leaf for member in struct.members)
    return struct.union or any(isinstance(k, Struct) and _has_union(k) for k in inner)


# Of each kind one: bit-fields by byte order, packed on one ABI, unions, flexible arrays, sizes
# from constants, long, and what includes others.
FEW = (
    *("linux/perf_event.h", "linux/eventpoll.h", "linux/ip.h", "linux/tcp.h", "linux/kvm.h"),
    *(
        "linux/aio_abi.h",
        "linux/if_packet.h",
        "linux/in6.h",
        "linux/atmdev.h",
        "linux/capability.h",
    ),
    *("linux/netfilter/x_tables.h", "linux/shm.h", "linux/virtio_ring.h"),
)


@pytest.mark.parametrize("machine", [True, False], ids=["machine", "bundled"])
@pytest.mark.parametrize("name", FEW)
def test_headers_of_linux_are_laid_out_as_compilers_do(
    name: str, machine: bool, tmp_path: Path
) -> None:
    if name not in uapi.headers(machine) or not uapi.bundle():
        pytest.skip(f"no {name}: needs {'linux-libc-dev' if machine else 'ziglang'}")
    abis = ["x86_64", "aarch64_be", "i386"]
    uapi.trees(tmp_path, abis)
    told = uapi.told(name, machine, abis, tmp_path)
    assert not told.refused
    assert not told.wrong
    assert not told.broken
    assert told.exact


@pytest.mark.parametrize("name", FEW[::3])
def test_headers_without_those_that_they_include_are_right_or_refused(
    name: str, tmp_path: Path
) -> None:
    machine = uapi.is_installed()
    if name not in uapi.headers(machine):
        pytest.skip(f"no {name}: needs linux-libc-dev or ziglang")
    abis = ["x86_64", "aarch64_be"]
    uapi.trees(tmp_path, abis)
    told = uapi.told(name, machine, abis, tmp_path, is_alone=True)
    assert not told.wrong
    assert told.exact + told.left or told.refused


@pytest.mark.parametrize("walk", [proof_expressions, proof_attributes])
def test_texts_of_a_walk_are_told_by_their_number(walk: ModuleType) -> None:
    cases = [walk.case(n) for n in range(200)]
    assert [walk.case(n) for n in range(200)] == cases
    assert len({case.text for case in cases}) == 200


@pytest.mark.parametrize("name", ["linux/ip.h", "linux/perf_event.h", "linux/kvm.h"])
def test_bits_of_headers_of_linux_are_those_of_libclang(name: str, tmp_path: Path) -> None:
    machine = uapi.is_installed()
    if name not in uapi.headers(machine):
        pytest.skip(f"no {name}: needs linux-libc-dev or ziglang")
    uapi.trees(tmp_path, list(proof_clang.TRIPLES))
    equal, broken, wrong = proof_clang.header((name, machine, tmp_path))
    assert not wrong
    assert equal >= 50
    assert broken < len(proof_clang.TRIPLES)


def test_widgets_say_what_they_were_turned_to() -> None:
    assert not proof_widgets.walk(6)


def test_the_witness_of_an_order_is_the_word_before_a_member() -> None:
    text = """
    struct s { /* __le32 no; */
        __u8 a[(1 + 6) / 8]; union { struct { __le16 a; __le64 d[2]; } x; } u; __be32 b, c; };
    """
    ((tag, words),) = proof_orders.declared(text)
    assert tag == "s"
    found = {name: words[name] for name in "abcd"}
    assert found == {"a": "", "b": "__be32", "c": "__be32", "d": "__le64"}


@pytest.mark.parametrize("name", ["linux/virtio_ring.h", "linux/usb/ch11.h"])
def test_annotated_types_keep_their_order(name: str) -> None:
    if name not in uapi.headers(False):
        pytest.skip(f"no {name}: needs ziglang")
    told = proof_orders.told(name, False, False)
    assert told.right >= 7 * len(ABIS), "seven members on every ABI at least"
    assert not told.wrong


@pytest.mark.skipif(not compilers.targets(), reason="needs ziglang")
def test_the_gate_says_what_compilers_and_the_table_do() -> None:
    count = len(proof_gate.ROWS) + len(proof_gate.FLEXIBLE)
    cases = [proof_gate.case(n) for n in range(3 * count)]
    assert {case.passes for case in cases} == {True, False, None}
    abis = [abi for abi in ("x86_64", "m68k") if abi in compilers.targets()]
    assert not list(proof_gate.wrong(cases, abis))


@pytest.mark.skipif(not compilers.targets(), reason="needs ziglang")
def test_attributes_are_laid_out_as_compilers_do() -> None:
    count = proof_texts.Count()
    proof_texts.compare([proof_attributes.case(n) for n in range(200)], count)
    assert not count.wrong
    assert count.equal > 100 * len(compilers.targets())
