"""A kernel's own types on the command line: BTF on either side, of the ABI that it can be of."""

from __future__ import annotations

import json
import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kvmviz.__main__ import main
from kvmviz.cli import inputs
from tests.test_btf import HSR, Types, elf, hsr

NAME = ("--struct", "kvm_debug_exit_arch")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command line in a folder with headers, raw BTF and ELF files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    Path("old.h").write_text(HSR)
    Path("wide.h").write_text(HSR.replace("__u32", "__u64"))
    Path("big.btf").write_bytes(hsr("big").data)
    Path("arm64").write_bytes(elf(hsr().data, 183, "little", 64))
    Path("s390x").write_bytes(elf(hsr("big").data, 22, "big", 64))
    Path("dwarf").write_bytes(elf(b"", 22, "big", 64, b".debug_info"))

    def call(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_layout(run: Run) -> None:
    status, out, err = run("layout", "arm64", *NAME)
    assert (status, err) == (0, "")
    assert out.startswith("struct kvm_debug_exit_arch on aarch64 (little-endian): size 16, align 8")
    assert "the rule predicts this: 0 differences in 16 bytes" in out
    assert run("layout", "big.btf", "--struct", "struct kvm_debug_exit_arch", "--abi", "arm64") == (
        0, out.replace("aarch64 (little", "aarch64_be (big")
        .replace("7:0 15:8 23:16 31:24 39:32 47:40 55:48 63:56", "BITS")
        .replace("7:0 15:8 23:16 31:24", "31:24 23:16 15:8 7:0")
        .replace("BITS", "63:56 55:48 47:40 39:32 31:24 23:16 15:8 7:0"), "",
    )  # fmt: skip
    told = json.loads(run("layout", "s390x", *NAME, "--json")[1])
    assert told["layouts"][0]["abi"] == "s390x"
    assert told["recorded"] == [
        {"struct": "struct kvm_debug_exit_arch", "abi": "s390x", "inferred": []}
    ]


@pytest.mark.parametrize(
    ("sides", "status", "told"),
    [
        (("arm64", "old.h"), 0, "unchanged"),
        (("old.h", "big.btf", "--abi", "arm64"), 0, "on aarch64_be (big-endian), as BTF has it"),
        (("big.btf", "wide.h", "--abi", "ppc64"), 1, "BREAKS"),
        (("s390x", "s390x"), 0, "unchanged"),
        (("s390x", "arm64"), 2, "arm64: this BTF is not of s390x: it is little-endian"),
        (("arm64", "old.h", "--abi", "m68k"), 2, "arm64: this BTF is not of m68k"),
        (("arm64", "missing.h"), 2, "missing.h: No such file"),
    ],
)
def test_compare(run: Run, sides: tuple[str, ...], status: int, told: str) -> None:
    found, out, err = run("compare", *sides, *NAME)
    assert (found, told in out + err) == (status, True), out + err


def test_one_of_several_by_its_number(run: Run) -> None:
    made = hsr()
    byte = made.number("unsigned char", 1)
    made.struct("twice", 1, ("a", byte, 0))
    number = made.struct("twice", 2, ("b", byte, 8))
    Path("two").write_bytes(elf(made.data, 183, "little", 64))
    Path("two.h").write_text("struct twice { __u8 :8; __u8 b; };")
    assert run("compare", "two", "two.h", "--struct", "twice")[0] == 2
    status, out, _ = run("compare", "two", "two.h", "--struct", f"twice#{number}")
    assert (status, out.split("\n")[0]) == (0, "struct twice: nothing breaks")
    assert "inferred: struct twice: " in run("layout", "two", "--struct", f"twice#{number}")[1]


def test_decode_and_figure(run: Run) -> None:
    sample = "3456789a000000001122334455667788"
    out = run("decode", sample, "--header", "s390x", *NAME)[1]
    assert "0x3456789a" in out
    assert run("figure", "layout", "s390x", *NAME, "-o", "s.svg")[0] == 0
    assert "s390x" in Path("s.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("layout", "arm64"), "arm64: 1 structs of BTF have a name; say which: --struct"),
        (("layout", "arm64", "--struct", ""), "arm64: BTF has no structs or unions ''"),
        (("layout", "arm64", "--struct", "union kvm_debug_exit_arch"), "is a struct, not 'union'"),
        (("layout", "big.btf", *NAME), "big.btf: this BTF does not say its machine: it is big-end"),
        (("layout", "dwarf", *NAME), "dwarf: an ELF file without a section .BTF; its DWARF is for"),
    ],
)
def test_one_error(run: Run, arguments: tuple[str, ...], told: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_what_this_kernel_shows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = hsr("big")
    module = Types("big", kernel.count + 1, b"")
    module.behind = len(kernel.strings)
    module.struct("of_module", 16, ("arch", kernel.count, 0))
    Path("vmlinux").write_bytes(kernel.data)
    Path("kvm").write_bytes(module.data)
    monkeypatch.setattr(inputs, "KERNEL", Path.cwd())
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    there = f"{Path.cwd()}/"
    assert "on s390x (big-endian), as BTF has it" in run("layout", f"{there}vmlinux", *NAME)[1]
    assert "struct of_module on s390x" in run("layout", f"{there}kvm", "--struct", "of_module")[1]
    monkeypatch.setattr(platform, "machine", lambda: "i686")
    assert "is not of i386: it is big-endian" in run("layout", f"{there}vmlinux", *NAME)[2]
    monkeypatch.setattr(platform, "machine", lambda: "alpha")
    assert "unknown ABI 'alpha'" in run("layout", f"{there}vmlinux", *NAME)[2]


def test_a_pipe_is_not_looked_into(run: Run) -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_text, args=(HSR,))
    writer.start()
    assert run("layout", "pipe", *NAME, "--abi", "s390x")[0] == 0
    writer.join()
