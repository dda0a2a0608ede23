"""The story in scenes: what each says and asks, which states it shows, how a talk walks through it.

Every state comes from the same objects as the pictures in the notebooks; nothing is drawn here by
hand but prose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from kvmviz.kvm.conclusion import conclude
from kvmviz.kvm.kernel import MERGED, OLD, WIDENED
from kvmviz.kvm.page import play
from kvmviz.kvm.program import VMMS, Reading, matrix, read
from kvmviz.kvm.scenario import SCENARIOS
from kvmviz.kvm.words import hexa
from kvmviz.web import board
from kvmviz.web.board import Board

BRK, WATCHPOINT, GCS = 0xF2001234, 0xD2000062, 0x100_D2000062
FAR = 0x4000_0800
FILL = 0xAA
"""What lies where nobody wrote, so that it is seen."""
ABI = {"little": "aarch64", "big": "aarch64_be"}


@dataclass(frozen=True)
class Control:
    """One row of choices; ``options`` are values and their words, the ``start`` is chosen."""

    title: str
    options: Mapping[str, str]
    start: str


ORDER = Control("byte order", {"little": "little-endian", "big": "big-endian"}, "big")


@dataclass(frozen=True)
class Guess:
    """A question before the answer is seen: options with what is to be said to each.

    ``right`` is the value of the right one. What the scene shows is hidden until one is chosen.
    """

    question: str
    options: Mapping[str, tuple[str, str]]
    right: str


@dataclass(frozen=True)
class Scene:
    """One screen of the talk and one section of the page.

    ``states`` are what its ``controls`` choose from, by their values. ``steps`` are the values
    that a speaker's presses choose one after the other; ``notes`` what the speaker has in mind,
    ``minutes`` how long that takes. ``table`` is shown below the states: header and rows of cells,
    a cell being words, and a link where there is one.
    """

    name: str
    title: str
    prose: tuple[str, ...]
    notes: str
    minutes: float
    controls: tuple[Control, ...] = ()
    states: Mapping[tuple[str, ...], Board] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    guess: Guess | None = None
    table: Sequence[Sequence[tuple[str, str]]] = ()
    rules: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def scenes() -> Iterator[Scene]:
    """All of them, in order."""
    yield _opening()
    yield _before()
    yield _widened()
    yield _sizes()
    yield _rebuilt()
    yield _hole()
    yield _elsewhere()
    yield _high()
    yield _unwritten()
    yield _stale()
    yield _matrix()
    yield _turn()
    yield _rules()


def _seen(kernel: str, vmm: str, abi: str, esr: int = BRK, fill: int = 0) -> Board:
    return board.reading(read(kernel, vmm, abi, esr, FAR, fill))


def _slug(name: str) -> str:
    """A name as a link may have it."""
    return name.replace(",", "").replace(" ", "-")


def _by_order(kernel: str, vmm: str, esr: int = BRK) -> dict[tuple[str, ...], Board]:
    return {(order,): _seen(kernel, vmm, abi, esr) for order, abi in ABI.items()}


def _opening() -> Scene:
    return Scene(
        "start",
        "Who still reads the right bytes?",
        (
            "A virtual machine stops because its guest hit a breakpoint. The kernel (KVM on arm64) "
            "tells the program that runs the guest, its VMM, why: it writes the syndrome register "
            "ESR_EL2 into a struct that both can see.",
            "<pre tabindex=0>struct kvm_debug_exit_arch {\n"
            "\t__u32 hsr;   /* ESR_EL2, why the guest stopped "
            "*/\n"
            "\t__u64 far;   /* FAR_EL2, the address, for watchpoints */\n};</pre>",
            "Then the architecture made ESR_EL2 a register of 64 bits, and 32 bits of it have no "
            "place. The plain idea: make <code>hsr</code> a <code>__u64</code>. The struct keeps "
            "its 16 "
            "bytes, <code>far</code> stays at offset 8.",
        ),
        "Let them raise hands for each answer before you go on. Nobody has to know KVM: it is one "
        "struct in memory, one writer, one reader that was compiled years ago.",
        2,
        guess=Guess(
            "The kernel is changed like that; the programs are not built again. Which of them "
            "still read the right <code>hsr</code>?",
            {
                "all": (
                    "all: size and offsets are the same",
                    "Size and offsets are the same, and yet not all do.",
                ),
                "only-little": (
                    "those on little-endian",
                    "Right: on little-endian the low half comes first, on big-endian it does not.",
                ),
                "only-big": (
                    "those on big-endian",
                    "The other way round: big-endian puts the high half first, where the old "
                    "program looks.",
                ),
                "none": (
                    "none: the type has changed",
                    "The type has changed, but bytes are all that a program sees: on "
                    "little-endian they are the same.",
                ),
            },
            "only-little",
        ),
        controls=(replace(ORDER, start="little"),),
        states=_by_order("widened", "u32 hsr"),
        steps=("only-little", "big"),
        after=(
            "Turn the byte order: the bytes turn round inside <code>hsr</code>, and the program's "
            "bracket stays where it was compiled to be, at the first four bytes.",
        ),
    )


def _before() -> Scene:
    return Scene(
        "before",
        "Before the change",
        (
            "Up to Linux v5.18 the kernel writes 32 bits at offset 0. The next four bytes belong "
            "to "
            "no member: the compiler leaves them free, because <code>far</code> has 64 bits and "
            "must "
            "stand at a multiple of 8. No debug exit writes them.",
        ),
        "The hatched bytes will matter twice: they are what saves the day, and then they need a "
        "flag. far is hatched as well: a breakpoint instruction does not write it.",
        1.5,
        (ORDER,),
        _by_order("old", "u32 hsr"),
    )


def _widened() -> Scene:
    control = Control("exit", {"brk": "BRK", "gcs": "watchpoint, a defined upper half"}, "brk")
    states: dict[tuple[str, ...], Board] = {
        (order, name): _seen("widened", "u32 hsr", abi, esr)
        for (order, abi), (name, esr) in product(ABI.items(), {"brk": BRK, "gcs": GCS}.items())
    }
    return Scene(
        "widened",
        "What the old program reads now",
        (
            "Byte order moves the bytes inside a member, and nothing else. The widened "
            "<code>hsr</code> shows a big-endian program its upper half, which is zero on nearly "
            "every "
            "exit today: exception class 0, no debug exit that it knows. QEMU would hand the "
            "exception "
            "back to the guest. No build and no size check warned.",
            "With a guarded control stack the upper half is no longer zero: bit 40 says that "
            "such an "
            "access hit the watchpoint. Then the wrong value is not even zero.",
        ),
        "Flip it three times. The bracket does not move, the bytes do. Say: this is the whole bug.",
        2,
        (ORDER, control),
        states,
        ("little", "big", "gcs"),
    )


SIZED = ("aarch64", "aarch64_be", "x86_64", "ppc64", "s390x", "arm", "i386", "m68k")


def _sizes() -> Scene:
    head = ("ABI", "old", "widened", "with hsr_high")
    rows = [[(word, "") for word in head]]
    for abi in SIZED:
        made = [struct.layout(abi) for struct in (OLD, WIDENED, MERGED)]
        cells = [f"{layout.size} bytes, far at {layout.offsets['far']}" for layout in made]
        rows.append([(abi, ""), *((cell, "") for cell in cells)])
    return Scene(
        "sizeof",
        "Would a size check have noticed?",
        (
            "A check at build time compares <code>sizeof</code> and offsets. On every ABI whose "
            "64-bit "
            "members are aligned to 8 bytes, all of these are the same before and after. What does "
            "catch it is the size of the member itself: <code>sizeof(run-&gt;debug.arch.hsr) == "
            "4</code>.",
        ),
        "Ask for hands: who has a static assert on sizeof(struct) at work? i386 and m68k differ: "
        "remember them.",
        1.5,
        table=rows,
    )


def _rebuilt() -> Scene:
    kernels = Control("kernel", {"old": "old", "widened": "widened"}, "old")
    states: dict[tuple[str, ...], Board] = {
        (order, kernel): _seen(kernel, "u64 hsr", abi, fill=FILL)
        for (order, abi), kernel in product(ABI.items(), kernels.options)
    }
    return Scene(
        "rebuild",
        "Then build every program again?",
        (
            "A program built with the wide <code>hsr</code> is right on the wide kernel. But "
            "kernel and "
            "programs are updated by different people on different days: on yesterday's kernel the "
            "new program takes four bytes for ESR that the exit left alone (here they hold "
            "<code>aa</code>).",
        ),
        "An ABI is a promise to both sides: old program on new kernel, new program on old kernel.",
        1,
        (ORDER, kernels),
        states,
        ("widened",),
    )


def _hole() -> Scene:
    layout = OLD.layout("aarch64")
    return Scene(
        "hole",
        "Where is there room for 32 more bits?",
        (
            "The compiler has left some. Every member stands at a multiple of its alignment "
            "(AAPCS64), here 8 for <code>far</code>:",
        ),
        "Read the three rules aloud against the picture. The hole is four bytes, just what is "
        "missing.",
        1.5,
        (ORDER,),
        _by_order("old", "u32 hsr", WATCHPOINT),
        rules=layout.rules.steps,
        after=(
            "A new member <code>__u32 hsr_high</code> in the hole moves nothing, in either byte "
            "order.",
        ),
    )


def _elsewhere() -> Scene:
    abis = Control(
        "laid out as on", {"aarch64_be": "aarch64_be", "i386": "i386", "m68k": "m68k"}, "aarch64_be"
    )
    states: dict[tuple[str, ...], Board] = {
        (abi,): _seen("merged", "u32 hsr", abi, WATCHPOINT) for abi in abis.options
    }
    return Scene(
        "elsewhere",
        "Is there always a hole?",
        (
            "The same two structs by the rules of other ABIs: i386 aligns 64 bits to 4 bytes, "
            "m68k to "
            "2. There the old struct has 12 bytes and no hole, so the new member pushes "
            "<code>far</code> away. The trick is not portable; arm64's alignment rule makes it "
            "safe.",
        ),
        "KVM on arm64 never meets i386. Everyone who copies the trick into a shared header does.",
        1.5,
        (abis,),
        states,
        ("i386", "m68k"),
    )


def _high() -> Scene:
    names = ("u32 hsr", "hsr_high if flag set")
    vmms = Control("VMM", {f"v-{_slug(name)}": name for name in names}, "v-u32-hsr")
    states: dict[tuple[str, ...], Board] = {
        (order, slug): _seen("merged", vmm, abi, GCS)
        for (order, abi), (slug, vmm) in product(ABI.items(), vmms.options.items())
    }
    return Scene(
        "high",
        "hsr_high, for old and new programs",
        (
            "This is what was merged for Linux v5.19. The program that was built before finds "
            "<code>hsr</code> where it always was, on both byte orders. A new one puts the halves "
            "together: <code>((__u64)hsr_high &lt;&lt; 32) | hsr</code>. The halves are two "
            "members, "
            "each in the host's byte order, never one of eight bytes.",
            "Big-endian arm64 kernels can no longer be configured since September 2025. The lesson "
            "stays: s390x, ppc, mips, m68k, sparc, and every file and network format.",
        ),
        "Flip the byte order with the old program: nothing turns red any more.",
        1.5,
        (ORDER, vmms),
        states,
        ("v-hsr_high-if-flag-set",),
    )


def _unwritten() -> Scene:
    states: dict[tuple[str, ...], Board] = {
        (order,): board.step(
            conclude(
                play("old", abi, SCENARIOS["mmio_low"].events).history[1], "hsr_high, flag ignored"
            )
        )
        for order, abi in ABI.items()
    }
    return Scene(
        "unwritten",
        "The new program on yesterday's kernel",
        (
            "A debug exit of the old kernel writes no <code>hsr_high</code>. The page "
            "was zeroed when it was made, so no kernel memory leaks; but it is used again and "
            "again. "
            "Here the guest touched a device (an MMIO exit: the kernel hands the access to the "
            "VMM) "
            "before it hit the breakpoint, and half of the device's address is still there.",
        ),
        "Dashed bytes are from an earlier exit. On little-endian it is the zero half by luck.",
        1.5,
        (ORDER,),
        states,
        ("little",),
        after=(
            "So the value alone cannot say whether it is one. A bit in "
            "<code>run-&gt;flags</code> does: "
            "<code>KVM_DEBUG_ARCH_HSR_HIGH_VALID</code>.",
        ),
    )


STEPS = {"step-0": "0 debug exit", "step-1": "1 MMIO exit", "step-2": "2 system event"}


def _stale() -> Scene:
    kernels = Control("kernel", {"v2": "patch v2", "merged": "merged"}, "v2")
    steps = Control("step", STEPS, "step-0")
    states: dict[tuple[str, ...], Board] = {}
    for kernel in kernels.options:
        history = play(kernel, "aarch64_be", SCENARIOS["stale_flag"].events).history
        for at, name in enumerate(STEPS):
            states[kernel, name] = board.step(conclude(history[at], "debug exit if flag set"))
    return Scene(
        "stale",
        "Who clears the flag?",
        (
            "Version 2 of the patch set the flag and left it. The reviewer asked one question: who "
            "will eventually clear it? Walk through time: the program here looks at the flag "
            "alone.",
        ),
        "Press through the three exits with v2, then again with merged. The fix is one line at the "
        "entry of KVM_RUN, beside the one that resets exit_reason.",
        2,
        (kernels, steps),
        states,
        ("step-1", "step-2", "merged"),
        after=(
            "Three ways to clear were weighed: on all other exits, on all but UNKNOWN, once at the "
            "entry of KVM_RUN. The last has one place to forget, and was merged. One case is "
            "left to "
            "the program: with <code>immediate_exit</code> set KVM_RUN returns before that line, "
            "and "
            "the page still shows the last exit. So look at what the ioctl returned, then at "
            "<code>exit_reason</code>, then at the flag.",
        ),
    )


def _matrix() -> Scene:
    found: dict[tuple[str, str, str], Reading] = {
        (shown.kernel.name, shown.vmm.name, shown.image.layout.abi.byte_order): shown
        for shown in matrix(GCS, FAR, FILL).readings
    }
    head = ("kernel", "byte order", *VMMS)
    rows = [[(word, "") for word in head]]
    for kernel, order in product(("old", "widened", "merged"), ABI):
        cells = [(kernel, ""), (order, "")]
        for vmm in VMMS:
            shown = found[kernel, vmm, order]
            mark = "✓" if shown.sound else "✗"
            cells.append((f"{mark} {hexa(shown)}", f"turn,{order},{kernel},r-{_slug(vmm)},e-gcs"))
        rows.append(cells)
    return Scene(
        "matrix",
        "Every kernel with every program",
        (
            "One watchpoint, hit by a guarded-control-stack access: ESR 0x100d2000062. Each tile "
            "says "
            "what the program reads, and opens its bytes.",
        ),
        "A program that follows the protocol has one cross, on the widened big-endian kernel. "
        "Click a tile if asked.",
        1.5,
        table=rows,
    )


def _turn() -> Scene:
    kernels = Control(
        "kernel writes",
        {"old": "u32 hsr (old)", "widened": "u64 hsr (widened)", "merged": "hsr_high (merged)"},
        "widened",
    )
    vmms = Control("VMM reads", {f"r-{_slug(vmm)}": vmm for vmm in VMMS}, "r-u32-hsr")
    exits = {"e-brk": BRK, "e-watch": WATCHPOINT, "e-gcs": GCS}
    words = ("BRK", "watchpoint", "watchpoint, GCS bit")
    control = Control("exit", dict(zip(exits, words, strict=True)), "e-watch")
    states: dict[tuple[str, ...], Board] = {
        (order, kernel, f"r-{_slug(vmm)}", name): _seen(kernel, vmm, abi, esr, FILL)
        for (order, abi), kernel, vmm, (name, esr) in product(
            ABI.items(), kernels.options, VMMS, exits.items()
        )
    }
    return Scene(
        "turn",
        "Turn it yourself",
        ("All that you have seen, free to turn. Point at a byte for its words.",),
        "For questions. Every state has its own address: copy it from the address bar.",
        1,
        (ORDER, kernels, vmms, control),
        states,
    )


def _rules() -> Scene:
    return Scene(
        "rules",
        "What to take home",
        (),
        "Leave this one standing during questions.",
        1.5,
        rules=(
            "A member's width is ABI: same size and same offsets are not the same bytes.",
            "Judge a change per byte order, and for both directions: old program on new kernel, "
            "new "
            "program on old kernel.",
            "Put new members where every byte was padding, and check on every ABI that it was.",
            "Padding that was never written holds whatever was there: a new member in it needs "
            "something that says when it is valid.",
            "A flag that is set needs a place that clears it: the one that every path goes "
            "through.",
            "Leave no hole where you can declare one: x86's struct of the same name had its "
            "<code>pad</code> from the start.",
        ),
    )
