"""``make evidence``, as far as it needs no kernel: patches, rows, the program, what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

import kvmviz
from kvmviz.kvm.kernel import KERNELS
from tests.evidence import __main__ as evidence
from tests.evidence import dumps, kernels, machine
from tests.evidence.kernels import EvidenceError, Kernel

HEADER, RUN, HANDLER = kernels.EDITED
PATCHED = ("old", "widened", "v2")
RELEASED: dict[str, str] = {}
for _variant in PATCHED:
    for _file, _hunks in kernels.hunks(kernels.patch(_variant)).items():
        # Of all patches the hunk that shows most.
        RELEASED[_file] = max([RELEASED.get(_file, ""), *(before for before, _ in _hunks)], key=len)
"""What the patches say of the released files."""


def edited(file: str, variant: str) -> str:
    return kernels.edit(file, RELEASED[file], kernels.patch(variant))


def debug_exit(header: str) -> kvmviz.Layout:
    found = re.search(r"struct kvm_debug_exit_arch \{.*?\};", header, re.DOTALL)
    assert found
    return kvmviz.parse(found[0])["kvm_debug_exit_arch"].layout("aarch64")


@pytest.mark.parametrize("variant", ["merged", *PATCHED])
def test_a_patch_makes_the_struct_of_the_table(variant: str) -> None:
    wanted = KERNELS[variant].debug.layout("aarch64")
    made = debug_exit(edited(HEADER, variant))
    assert made.offsets == wanted.offsets
    assert [slot.size for slot in made.slots] == [slot.size for slot in wanted.slots]


@pytest.mark.parametrize("variant", ["merged", *PATCHED])
def test_a_patch_makes_the_flag_of_the_table(variant: str) -> None:
    handler, run = edited(HANDLER, variant), edited(RUN, variant)
    stores = re.findall(r"run->flags (\S*=) KVM_DEBUG_ARCH_HSR_HIGH_VALID;", handler)
    assert (stores or [""]) == [KERNELS[variant].flag]
    assert ("run->flags = 0;" in run) is bool(KERNELS[variant].clears)


def test_a_patch_touches_only_its_lines() -> None:
    for variant in PATCHED:
        for file, made in kernels.hunks(kernels.patch(variant)).items():
            assert file in kernels.EDITED
            for before, after in made:
                assert f"1\n{after}2\n" == kernels.edit(
                    file, f"1\n{before}2\n", kernels.patch(variant)
                )


@pytest.mark.parametrize("source", ["", "int x;\n", RELEASED[RUN] * 2])
def test_a_source_without_the_lines_is_refused(source: str) -> None:
    with pytest.raises(EvidenceError, match=r"arch/arm64/kvm/arm\.c: .* are not there once"):
        kernels.edit(RUN, source, kernels.patch("old"))


def test_the_table_of_kernels() -> None:
    assert [kernel.name for kernel in kernels.KERNELS] == [
        "6.1-merged-le", "6.1-merged-be", "6.1-old-le", "6.1-old-be", "6.1-widened-le",
        "6.1-widened-be", "6.1-v2-le", "6.1-v2-be", "6.12-merged-le", "6.12-merged-be",
    ]  # fmt: skip
    assert evidence.chosen(["6.1-old-be"]) == [Kernel("6.1", "old", "be")]
    assert evidence.chosen([]) == list(kernels.KERNELS)


def test_a_kernel_that_is_none_costs_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert evidence.main(["6.2-merged-le"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("evidence: no kernel '6.2-merged-le'; there are 6.1-merged-le, ")
    assert told.count("\n") == 1


def test_missing_tools_cost_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kernels, "SOURCES", tmp_path)
    assert evidence.main(["6.12-merged-le", "--base", str(tmp_path / "made")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("evidence: not installed: apt install qemu-system-arm gcc-aarch64-linux")
    assert told.endswith(" xz-utils linux-source-6.12\n")
    assert told.count("\n") == 1
    assert not (tmp_path / "made").exists()


# --- rows ------------------------------------------------------------------------------------


def stored() -> list[dumps.Row]:
    return [json.loads(line) for line in dumps.read(dumps.FIRST)]


def printed(row: dumps.Row) -> tuple[dumps.Row, int | None]:
    """A stored row as the program prints it, and what is put into the upper half."""
    event = dict(row["event"])
    if "esr" in event:
        event["esr"] = f"0x{int(event['esr'], 16) & 0xFFFF_FFFF:016x}"
    high = dumps.HIGH if row["esr_high_injected"] else None
    return row | {"linux": "6.1.192-kvmviz", "event": event, "returned": 0}, high


def test_stored_rows_come_out_of_printed_ones() -> None:
    lines = dumps.read(dumps.FIRST)
    assert len(lines) == 400
    for line, row in zip(lines, stored(), strict=True):
        kernel = Kernel("6.1", row["kernel"], "be" if row["byte_order"] == "big" else "le")
        made = dumps.row(kernel, *printed(row))
        assert (made["linux"], made["returned"], tuple(made)) == ("6.1.192", 0, dumps.KEYS)
        assert dumps.in_first(made)
        assert dumps.lines([made], dumps.IN_FIRST) == [line]
        assert dumps.compared([made]) == (1, 0, 0)


@pytest.mark.parametrize(
    "change", [{"bytes": "00" * 288}, {"kernel": "v2"}, {"step": 9}, {"linux": "6.12.117"}]
)
def test_a_changed_row_is_not_as_stored(change: dict[str, Any]) -> None:
    row = dumps.row(Kernel("6.1", "old", "le"), *printed(stored()[0]))
    assert dumps.compared([row | change]) == (0, 0, 1)


def test_rows_are_written_and_read(tmp_path: Path) -> None:
    rows = [dumps.row(Kernel("6.1", "old", "le"), *printed(row)) for row in stored()[:3]]
    dumps.write(tmp_path / "rows", rows)
    assert [json.loads(line) for line in dumps.read(tmp_path / "rows")] == rows
    assert list(tmp_path.iterdir()) == [tmp_path / "rows"]
    assert dumps.read(tmp_path / "none") == []


def test_storing_one_kernel_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = dumps.read(dumps.MORE)
    monkeypatch.setattr(dumps, "MORE", tmp_path / "more")
    monkeypatch.setattr(evidence, "missing", lambda some: [])

    def take(kernel: Kernel, base: Path, jobs: int) -> list[dumps.Row]:
        return [row for row in map(json.loads, lines) if evidence.kernel_of(row) == kernel]

    monkeypatch.setattr(evidence, "take", take)
    for name in ("6.12-merged-be", "6.1-old-le", "6.12-merged-le", "6.1-old-le"):
        assert evidence.main([name, "--store"]) == 0
    stored = [evidence.kernel_of(json.loads(line)).name for line in dumps.read(dumps.MORE)]
    assert list(dict.fromkeys(stored)) == ["6.1-old-le", "6.12-merged-le", "6.12-merged-be"]
    assert set(dumps.read(dumps.MORE)) < set(lines)
    assert evidence.main([]) == 1
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.startswith(f"all: {len(lines)} dumps, 0 of 400 as in kvm_run.jsonl, ")
    assert f", {len(stored)} of {len(stored)} as in more, " in told


# --- the program and the machine -------------------------------------------------------------


@pytest.mark.skipif(not shutil.which(f"{kernels.CROSS}gcc"), reason="no cross compiler")
@pytest.mark.parametrize("order", ["le", "be"])
def test_the_program_is_one_static_file(order: kernels.Order, tmp_path: Path) -> None:
    program = kernels.build_dump(tmp_path, order)
    head = program.read_bytes()
    assert head[:6] == b"\x7fELF\2" + (b"\2" if order == "be" else b"\1")
    assert b"/lib/ld-" not in head
    before = program.stat().st_mtime_ns
    assert kernels.build_dump(tmp_path, order).stat().st_mtime_ns == before


def test_the_program_knows_every_scenario() -> None:
    source = (kernels.HERE / "dump.c").read_text("ascii")
    rows = map(json.loads, dumps.read(dumps.FIRST) + dumps.read(dumps.MORE))
    names = {row["scenario"] for row in rows}
    assert {name for name in names if f'"{name}"' not in source} == set()


@pytest.mark.skipif(not shutil.which("cpio"), reason="no cpio")
def test_the_archive_is_one_that_cpio_unpacks(tmp_path: Path) -> None:
    for size in range(1, 6):
        subprocess.run(
            ["cpio", "-idu", "--quiet"], cwd=tmp_path, check=True,
            input=machine.initrd(b"x" * size),
        )  # fmt: skip
        assert (tmp_path / "init").read_bytes() == b"x" * size
        assert os.access(tmp_path / "init", os.X_OK)
        assert (tmp_path / "dev").is_dir()


class Stub(threading.Thread):
    """QEMU's side of the debugger protocol: two stops, then the machine is gone."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.asked: list[str] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()

    def run(self) -> None:
        client, _ = self._server.accept()
        with self._server, client, client.makefile("rb") as file:
            while True:
                packet = b""
                while not packet.endswith(b"#"):
                    packet += file.read(1)
                check = int(file.read(2), 16)
                body = packet.lstrip(b"+")[1:-1]
                assert check == sum(body) % 256
                self.asked.append(body.decode())
                if self.asked.count("c") == 3:
                    return
                answer = {"c": "T05", "s": "T05", "p0": "0010000000000000"}.get(body.decode(), "OK")
                told = answer.encode()
                client.sendall(b"+$%b#%02x" % (told, sum(told) % 256))


@pytest.mark.parametrize(
    ("order", "written"), [("le", "M10d4,4:e1c3a500"), ("be", "M10d0,4:00a5c3e1")]
)
def test_the_debugger_writes_the_upper_half(
    order: kernels.Order, written: str, tmp_path: Path
) -> None:
    (tmp_path / "System.map").write_text(
        "ffff800008000000 T _text\nffff8000080abcd0 t kvm_handle_guest_debug\n"
    )
    (tmp_path / "asm-offsets.h").write_text("#define VCPU_FAULT_DISR 232 /* offsetof */\n")
    stub = Stub(tmp_path / "gdb")
    stub.start()
    injector = machine.Injector(tmp_path, order, tmp_path / "gdb", dumps.HIGH)
    injector.start()
    injector.join(30)
    stub.join(30)
    assert injector.hits == 2
    stop = "0,ffff8000080abcd0,4"
    one = ["c", "p0", written, f"z{stop}", "s", f"Z{stop}"]
    assert stub.asked[2:] == [f"Z{stop}", *one, *one, "c"]


# --- one call after the other ----------------------------------------------------------------


def test_what_is_done_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def build(kernel: Kernel, base: Path, jobs: int) -> Path:
        (base / "System.map").touch()
        done.append(f"build {kernel.name} -j{jobs}")
        return base

    def build_dump(base: Path, order: kernels.Order) -> Path:
        program = base / f"dump-{order}"
        if not program.exists():
            program.touch()
        return program

    def boot(
        built: Path, order: str, program: Path, sets: str, high: int | None
    ) -> list[dumps.Row]:
        done.append(f"{sets} {high}")
        rows = [row for row in stored() if (row["kernel"], row["byte_order"]) == ("old", "big")]
        given = [printed(row) for row in rows] if sets == "debug" else []
        return [row for row, wanted in given if wanted == high]

    monkeypatch.setattr(evidence, "missing", lambda some: [])
    monkeypatch.setattr(kernels, "build", build)
    monkeypatch.setattr(kernels, "build_dump", build_dump)
    monkeypatch.setattr(machine, "boot", boot)
    arguments = ["6.1-old-be", "--base", str(tmp_path), "--jobs", "2"]
    build_dump(tmp_path, "be")
    assert evidence.main(arguments) == 0
    boots = ["debug None", f"debug {dumps.HIGH}", "exits None", f"gcs {dumps.GCS}"]
    assert done == ["build 6.1-old-be -j2", *boots]
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("[1/1] 6.1-old-be builds, debug, debug 0xa5c3e1, exits, gcs 0x100, ")
    assert (
        told[-1] == "all: 50 dumps, 50 of 50 as in kvm_run.jsonl, 0 of 31 as in kvm_run_more.jsonl"
    )
    os.utime(tmp_path / "dumps" / "6.1-old-be.jsonl", (2e9, 2e9))
    assert evidence.main(arguments) == 0
    assert done[5:] == ["build 6.1-old-be -j2"]
    os.utime(tmp_path / "dump-be", (3e9, 3e9))  # another program
    assert evidence.main(arguments) == 0
    assert done[7:] == boots
