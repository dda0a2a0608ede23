"""A kernel booted in an emulated machine with EL2, and its console read."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.evidence.kernels import BYTE_ORDERS, EvidenceError, Order

QEMU = "qemu-system-aarch64"
MACHINE = (
    "-machine", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72", "-accel", "tcg",
    "-smp", "1", "-m", "256", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot",
)  # fmt: skip
HANDLER = "kvm_handle_guest_debug"
"""The kernel's function for debug exits, which reads the vCPU's ESR."""
PATIENCE = 300
"""Seconds until a machine that has not powered off is given up."""


def initrd(program: bytes) -> bytes:
    """An archive in the format that kernels unpack, with /dev and /init and no more."""
    entries = [("dev", 0o040755, b""), ("init", 0o100755, program), ("TRAILER!!!", 0, b"")]
    archive = b""
    for number, (name, mode, data) in enumerate(entries, 1):
        header = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in header)
        archive = _padded(archive + name.encode() + b"\0")
        archive = _padded(archive + data)
    return archive


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def boot(
    built: Path, order: Order, program: Path, sets: str, high: int | None = None
) -> list[dict[str, Any]]:
    """The rows that the program prints in a machine that runs the kernel of that folder.

    ``sets`` are the program's arguments. ``high``: what a debugger puts into bits 63:32 of the
    vCPU's ESR, in its memory, each time before the kernel's handler reads it. Raises
    :class:`EvidenceError` if the machine did not power off or the program complained.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive, stub = Path(folder) / "initrd", Path(folder) / "gdb"
        archive.write_bytes(initrd(program.read_bytes()))
        command = [
            QEMU, *MACHINE, "-kernel", str(built / "Image"), "-initrd", str(archive), "-append",
            f"console=ttyAMA0 loglevel=3 panic=-1 rdinit=/init -- {sets}",
        ]  # fmt: skip
        if high is not None:
            command += ["-chardev", f"socket,id=gdb,path={stub},server=on,wait=off"]
            command += ["-gdb", "chardev:gdb", "-S"]
        injector = Injector(built, order, stub, high or 0)
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as machine:
            if high is not None:
                injector.start()
            try:
                output, _ = machine.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                machine.kill()
                output, _ = machine.communicate()
    console = output.decode("latin-1").replace("\r\n", "\n")
    (built / f"console-{sets.replace(' ', '-')}{'' if high is None else f'-{high:x}'}").write_text(
        f"{' '.join(command)}\n{console}"
    )
    if machine.returncode or "dump: " in console or '{"linux"' not in console:
        last = ([line for line in console.splitlines() if line.strip()] or ["nothing was said"])[-1]
        raise EvidenceError(f"{built.name}, {sets}: {last[:200]}; see {built}/console-*")
    rows = [json.loads(line) for line in console.splitlines() if line.startswith("{")]
    if high is not None:
        injector.join(10)
        debug = sum("esr" in row["event"] for row in rows)
        if injector.hits != debug:
            raise EvidenceError(
                f"{built.name}, {sets}: {injector.hits} of {debug} debug exits got another ESR"
            )
    return rows


class Injector(threading.Thread):
    """A client of QEMU's debugger stub that stands in for hardware which reports ISS2."""

    def __init__(self, built: Path, order: Order, stub: Path, high: int) -> None:
        super().__init__(daemon=True)
        self.hits = 0
        self._stub = stub
        symbols = (built / "System.map").read_text("ascii")
        offsets = (built / "asm-offsets.h").read_text("ascii")
        self._handler = int(_match(rf"^(\w+) \w {HANDLER}$", symbols), 16)
        # struct kvm_vcpu_fault_info: esr_el2, far_el2, hpfar_el2, disr_el1, of 8 bytes each.
        esr = int(_match(r"^#define VCPU_FAULT_DISR (\d+)", offsets)) - 24
        self._high_at = esr + 4 * (order == "le")
        self._data = high.to_bytes(4, BYTE_ORDERS[order]).hex()  # type: ignore[arg-type]

    def run(self) -> None:
        """Lets the machine run, stopped at each call of the handler, until it powers off."""
        with socket.socket(socket.AF_UNIX) as self._socket, suppress(OSError):
            for _ in range(100):
                try:
                    self._socket.connect(str(self._stub))
                    break
                except OSError:
                    time.sleep(0.1)
            with self._socket.makefile("rb") as self._file:
                self._work()

    def _work(self) -> None:
        # QEMU tells registers by number only to who has asked for their description.
        self._ask("qSupported:xmlRegisters=aarch64")
        self._ask("qXfer:features:read:target.xml:0,ffb")
        stop = f"0,{self._handler:x},4"
        self._ask(f"Z{stop}")
        while self._ask("c")[:1] == "T":
            vcpu = int.from_bytes(bytes.fromhex(self._ask("p0")), "little")
            if self._ask(f"M{vcpu + self._high_at:x},4:{self._data}") == "OK":
                self.hits += 1
            self._ask(f"z{stop}")
            self._ask("s")
            self._ask(f"Z{stop}")

    def _ask(self, packet: str) -> str:
        data = packet.encode()
        self._socket.sendall(b"$%b#%02x" % (data, sum(data) % 256))
        answer = b""
        while (one := self._file.read(1)) != b"$":
            if not one:
                raise ConnectionResetError
        while (one := self._file.read(1)) != b"#":
            if not one:
                raise ConnectionResetError
            answer += one
        self._file.read(2)
        self._socket.sendall(b"+")
        return answer.decode()


def _match(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        raise EvidenceError(f"nothing matches {pattern} in what the build left")
    return found[1]
