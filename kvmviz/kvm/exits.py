"""What can happen to the kvm_run page: a write by userspace, and the ways in which KVM_RUN ends.

Each exit says what the kernel then writes, as values of a member of struct kvm_run's exit union,
and what happens, in words. Sources: Linux, ``kvm_handle_guest_debug()``, ``io_mem_abort()`` and
``kvm_prepare_system_event()`` under ``arch/arm64/kvm``. The dumps (``data/README.md``), of Linux
6.1 and 6.12, show every kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from kvmviz._base import KvmvizError, chosen, counted, integer, listed, shown, span, unsigned
from kvmviz.abi import Abi
from kvmviz.esr import Esr
from kvmviz.image import as_bytes
from kvmviz.kvm.kernel import DEBUG_CLASSES, EXIT_REASONS, SIZE, Kernel, check_debug

if TYPE_CHECKING:
    from typing_extensions import Buffer

EINTR, ENOSYS = 4, 38
"""Error numbers of Linux. The kernel returns them negated; libc's ioctl() makes that -1 and errno,
so a program sees -1 and errno 4 where this package, which speaks as the kernel, says -EINTR."""

DATALESS: Mapping[int, str] = MappingProxyType({4: "wakeup", 5: "suspend"})
"""System events that hand over no word of data, by type."""

NISV_ISS = 1 << 8 | 1 << 6 | 0x3F
"""The bits of ISS that an ARM_NISV exit hands over: CM, WnR and the fault status code."""

Values = Mapping[str, Any]
"""Members of a struct and what is written into them; see :meth:`kvmviz.Layout.pack`."""


def _settle(event: object, where: str, **bits: int) -> None:
    """Attributes of a frozen event as plain unsigned integers of so many bits, once checked."""
    for name, width in bits.items():
        value = unsigned(getattr(event, name), f"{where}.{name}", width)
        object.__setattr__(event, name, value)


@dataclass(frozen=True)
class UserWrite:
    """Userspace writes ``data`` into the page, from byte ``offset`` on.

    Raises :class:`KvmvizError` for bytes outside the page, and for what is no buffer.
    """

    offset: int
    data: Buffer

    def __post_init__(self) -> None:
        at = integer(self.offset, "user write, offset")
        data = as_bytes(self.data, f"user write at {shown(at)}").tobytes()
        if not 0 <= at <= SIZE - len(data):
            legal = f"legal are bytes 0..{SIZE - 1} of struct kvm_run"
            raise KvmvizError(f"user write: {counted(len(data), 'byte')} at {shown(at)}; {legal}")
        object.__setattr__(self, "offset", at)
        object.__setattr__(self, "data", data)

    def __bytes__(self) -> bytes:
        return bytes(self.data)

    @property
    def words(self) -> str:
        """What happens, in a line; of long data the first bytes."""
        data = bytes(self)
        if not data:
            return f"userspace writes nothing at {self.offset}"
        digits, count = data[:8].hex(" "), len(data)
        if count > 8:
            same = len(set(data)) == 1
            digits = f"{count} times {data[0]:02x}" if same else f"{digits} ... ({count} bytes)"
        return f"userspace writes {span(self.offset, self.offset + count - 1)}: {digits}"


SET, CLEAR = UserWrite(1, b"\1"), UserWrite(1, b"\0")
"""Userspace sets immediate_exit, and clears it."""


class Exit:
    """One way in which KVM_RUN ends, if immediate_exit does not end it before.

    Each kind is a class of its own. ``reason`` is its name in
    :data:`kvmviz.kvm.kernel.EXIT_REASONS`; ``returned`` what the kernel's ioctl returns: 0, or an
    error number negated; ``member`` the path of the struct in the exit union that it fills in
    (``mmio``, ``debug.arch``), empty if it leaves the union as it was. ``told`` is what happens, in
    a line, for exits that are all alike.
    """

    reason: ClassVar[str]
    returned: ClassVar[int] = 0
    member: ClassVar[str] = ""
    told: ClassVar[str] = ""

    def values(self, kernel: Kernel, abi: str | Abi) -> Values:
        """What the kernel writes into that member: nothing, unless the exit says otherwise."""
        return {}

    @property
    def words(self) -> str:
        """What happens, in a line: by the reason's name, unless the exit says more."""
        return self.told or f"exit KVM_EXIT_{self.reason}"


@dataclass(frozen=True)
class DebugExit(Exit):
    """KVM_EXIT_DEBUG: ``esr`` is ESR_EL2, ``far`` FAR_EL2; both of 64 bits.

    Five exception classes reach the handler, :data:`kvmviz.kvm.kernel.DEBUG_CLASSES`; another
    raises :class:`KvmvizError`. The kernel writes far for watchpoints alone (EC 0x34), valid or
    not: there it must be given. Given on another class, it reaches no page.
    """

    esr: int
    far: int | None = None
    reason: ClassVar[str] = "DEBUG"
    member: ClassVar[str] = "debug.arch"

    def __post_init__(self) -> None:
        esr = check_debug(self.esr, self.far)
        if esr.ec not in DEBUG_CLASSES:
            legal = ", ".join(f"{ec:#04x} ({Esr(ec << 26).name})" for ec in DEBUG_CLASSES)
            told = f"ESR {esr.value:#x}: EC {esr.ec:#04x} ({esr.name}) is no debug exit"
            raise KvmvizError(f"{told}; legal are EC {legal}")
        object.__setattr__(self, "esr", esr.value)
        if self.far is not None:
            object.__setattr__(self, "far", integer(self.far, "far"))

    def values(self, kernel: Kernel, abi: str | Abi) -> Values:
        """The members of the kernel's debug struct that it fills in."""
        return kernel.debug_values(abi, self.esr, self.far)

    @property
    def words(self) -> str:
        """The exception class, ESR and what far is given."""
        esr = Esr(self.esr)
        far = f", far {self.far:#x}" if self.far is not None else ""
        upper = f", {esr.upper}" if esr.upper else ""
        return f"debug exit, {esr.kind}, ESR {esr.value:#018x}{upper}{far}"


@dataclass(frozen=True)
class Access:
    """The guest accesses an address that is no memory: ``length`` bytes at ``phys_addr``.

    ``phys_addr`` is of 64 bits, ``length`` 1, 2, 4 or 8. ``data`` are bytes of the access in the
    guest's memory order, exactly ``length`` of them: those that reach the page, if any do. Whether
    it is a write that has them says ``data_are_written``.
    """

    phys_addr: int
    length: int
    data: Buffer | None = None
    member: ClassVar[str] = "mmio"
    data_are_written: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _settle(self, "mmio", phys_addr=64)
        where = f"mmio.len (of the access at {self.phys_addr:#x})"
        object.__setattr__(self, "length", chosen(self.length, (1, 2, 4, 8), where))
        if self.data is None:
            return
        data = as_bytes(self.data, "mmio.data").tobytes()
        if len(data) != self.length:
            told = f"mmio.data (bytes 40..47 of struct kvm_run): {counted(len(data), 'byte')}"
            raise KvmvizError(f"{told} in an access of {self.length}; legal is exactly so many")
        object.__setattr__(self, "data", data)

    @property
    def place(self) -> str:
        """Which bytes the guest accesses: ``4 bytes at 0x9000000``."""
        return f"{counted(self.length, 'byte')} at {self.phys_addr:#x}"

    def values(self, kernel: Kernel, abi: str | Abi) -> Values:
        """Address, length and direction, and of data only the bytes that are given."""
        data = dict(enumerate(bytes(self.data or b"")))
        is_write = int((self.data is not None) is self.data_are_written)
        access = {"phys_addr": self.phys_addr, "len": self.length, "is_write": is_write}
        return access | {"data": data}


@dataclass(frozen=True)
class MmioExit(Access, Exit):
    """KVM_EXIT_MMIO: an :class:`Access` to an address that nothing in the kernel serves.

    ``data`` are the bytes that the guest wrote; None is a read, which userspace answers.
    """

    reason: ClassVar[str] = "MMIO"

    @property
    def words(self) -> str:
        """What the guest does, and where."""
        done = f"reads {self.place}"
        if self.data is not None:
            done = f"writes {bytes(self.data).hex(' ')} at {self.phys_addr:#x}"
        return f"MMIO exit, guest {done}"


@dataclass(frozen=True)
class Served(Access):
    """An access that KVM serves itself: no exit, the guest goes on and userspace hears nothing.

    So it is with the interrupt controller in the kernel, and with an ioeventfd. ``io_mem_abort()``
    fills in mmio all the same: is_write, phys_addr, len, and of a read the bytes that the guest
    gets. exit_reason stays what entry left there.

    ``data`` are what the device answers to a read; None is a write, whose bytes stay in the kernel:
    the other way round than an :class:`MmioExit`, which has a write's.
    """

    data_are_written: ClassVar[bool] = False

    @property
    def words(self) -> str:
        """What the guest does, where, and what it gets."""
        done = f"writes {self.place}"
        if self.data is not None:
            done = f"reads {self.place}, gets {bytes(self.data).hex(' ')}"
        return f"no exit, KVM serves it: guest {done}"


@dataclass(frozen=True)
class ArmNisv(Exit):
    """KVM_EXIT_ARM_NISV: an access to no memory whose syndrome says nothing of it (ISV is 0).

    ``fault_ipa`` is the guest's physical address, of 64 bits. ``esr_iss`` are the bits of ESR_EL2
    that the kernel hands over, :data:`NISV_ISS` (``kvm_vcpu_dabt_iss_nisv_sanitized()``); others
    raise :class:`KvmvizError`. A VM that has not asked for this exit with
    KVM_CAP_ARM_NISV_TO_USER gets :class:`Unhandled`.
    """

    esr_iss: int
    fault_ipa: int
    reason: ClassVar[str] = "ARM_NISV"
    member: ClassVar[str] = "arm_nisv"

    def __post_init__(self) -> None:
        _settle(self, "arm_nisv", esr_iss=64, fault_ipa=64)
        if self.esr_iss & ~NISV_ISS:
            told = f"arm_nisv.esr_iss: {self.esr_iss:#x} has bits that no kernel hands over"
            raise KvmvizError(f"{told}; legal are those of {NISV_ISS:#x}")

    def values(self, kernel: Kernel, abi: str | Abi) -> Values:
        """Both members."""
        return {"esr_iss": self.esr_iss, "fault_ipa": self.fault_ipa}

    @property
    def words(self) -> str:
        """What the guest did, and where."""
        done = "writes" if self.esr_iss & 1 << 6 else "reads"
        told = f"ISS {self.esr_iss:#x}, which has no size and no register"
        return f"ARM_NISV exit, guest {done} at {self.fault_ipa:#x}, {told}"


@dataclass(frozen=True)
class SystemEvent(Exit):
    """KVM_EXIT_SYSTEM_EVENT: ``type`` of 32 bits, and one word of ``data`` of 64.

    As Linux 6.1 fills it in: ndata is 1 for shutdown (1) and reset (2). Wakeup (4) and suspend (5)
    hand over no data, and ndata is 0; data of theirs raises :class:`KvmvizError`. Before v5.18
    there was no ndata, which is of the same month as hsr_high, and its bytes were 0 for every type.
    """

    type: int
    data: int = 0
    reason: ClassVar[str] = "SYSTEM_EVENT"
    member: ClassVar[str] = "system_event"

    def __post_init__(self) -> None:
        _settle(self, "system_event", type=32, data=64)
        if self.data and self.type in DATALESS:
            told = f"system_event: type {self.type}, a {DATALESS[self.type]}, hands over no data"
            raise KvmvizError(f"{told}; legal is data 0, not {self.data:#x}")

    def values(self, kernel: Kernel, abi: str | Abi) -> Values:
        """The whole member: the kernel zeroes all of it before it fills in the event."""
        data = [self.data, *[0] * 15]
        return {"type": self.type, "ndata": int(self.type not in DATALESS), "data": data}

    @property
    def words(self) -> str:
        """Its type and its word of data."""
        data = "no data" if self.type in DATALESS else f"data {self.data:#x}"
        return f"system event, type {self.type}, {data}"


@dataclass(frozen=True)
class Interrupted(Exit):
    """KVM_EXIT_INTR: a signal is pending when the guest is about to be entered; -EINTR."""

    reason: ClassVar[str] = "INTR"
    returned: ClassVar[int] = -EINTR
    told: ClassVar[str] = "signal pending"


@dataclass(frozen=True)
class Unhandled(Exit):
    """The run fails after entry, as on a load pair to unmapped memory: KVM_EXIT_UNKNOWN, -ENOSYS.

    No handler fills in an exit: exit_reason is what entry left there.
    """

    reason: ClassVar[str] = "UNKNOWN"
    returned: ClassVar[int] = -ENOSYS
    told: ClassVar[str] = "run fails after entry"


Event = UserWrite | Exit | Served
"""One step of a page's history: userspace writes, calls KVM_RUN, or KVM serves an access in it."""


def check_exit(exit: object) -> Exit:
    """What KVM_RUN can end with, a kind of one's own included; else :class:`KvmvizError`."""
    if not isinstance(exit, Exit) or not hasattr(exit, "reason"):
        kinds = listed(k.__name__ for k in Exit.__subclasses__() if k.__module__ == __name__)
        raise KvmvizError(f"{shown(exit)} is no exit; legal are {kinds} and others with a reason")
    who = f"exit {type(exit).__name__[:40]}"
    chosen(exit.reason, EXIT_REASONS, f"reason of {who}:")
    for reason, kind in (("DEBUG", DebugExit), ("MMIO", MmioExit)):
        if exit.reason == reason and not isinstance(exit, kind):
            raise KvmvizError(f"{who}: KVM_EXIT_{reason} is {kind.__name__}; derive from it")
    # MAX_ERRNO, include/linux/err.h
    if not -4095 <= integer(exit.returned, f"{who}, returned") <= 0:
        told = f"{who}, returned: {shown(exit.returned)}"
        raise KvmvizError(f"{told}; legal are 0 and error numbers negated, down to -4095")
    return exit
