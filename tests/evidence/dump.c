/*
 * Runs a few instructions under KVM on arm64, again and again, and prints what struct kvm_run holds
 * after each exit, one JSON object a line (kvmviz/data/README.md says what its keys mean).
 *
 *     dump [debug | exits | gcs]...       without a word: debug and exits
 *
 * It needs /dev/kvm and no library, so that one static file runs on any arm64 machine, in either
 * byte order, and as init of a kernel that has nothing else. What the machine cannot do is left out,
 * with a word on standard error.
 */
#include <asm/unistd.h>
#include <linux/kvm.h>
#include <stddef.h>

#ifdef __AARCH64EB__
#define BYTE_ORDER "big"
#else
#define BYTE_ORDER "little"
#endif

typedef __u8 u8;
typedef __u32 u32;
typedef unsigned long u64;	/* the same 8 bytes as __u64, and a pointer's */

/* --- The kernel, without a library --------------------------------------------------------- */

static long sys(long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 x8 __asm__("x8") = nr;
	register u64 x0 __asm__("x0") = a;
	register u64 x1 __asm__("x1") = b;
	register u64 x2 __asm__("x2") = c;
	register u64 x3 __asm__("x3") = d;
	register u64 x4 __asm__("x4") = e;
	register u64 x5 __asm__("x5") = f;

	__asm__ volatile("svc #0" : "+r"(x0)
		: "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
	return x0;
}
#define sys3(nr, a, b, c) sys(nr, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)
#define ioctl(fd, request, arg) sys3(__NR_ioctl, fd, request, arg)

/* The compiler calls these two of its own accord. */
void *memset(void *to, int value, u64 count)
{
	volatile u8 *byte = to;

	while (count--)
		*byte++ = value;
	return to;
}

void *memcpy(void *to, const void *from, u64 count)
{
	volatile u8 *byte = to;
	const u8 *source = from;

	while (count--)
		*byte++ = *source++;
	return to;
}

static int equal(const char *one, const char *other)
{
	while (*one && *one == *other)
		one++, other++;
	return *one == *other;
}

/* --- Text ---------------------------------------------------------------------------------- */

static char line[8192];
static u64 used;

static void text(const char *string)
{
	while (*string && used < sizeof(line))
		line[used++] = *string++;
}

static void hex(u64 value, int digits)
{
	char one[2] = "";

	while (digits--) {
		one[0] = "0123456789abcdef"[value >> 4 * digits & 15];
		text(one);
	}
}

static void bytes(const u8 *from, u64 count)
{
	while (count--)
		hex(*from++, 2);
}

static void number(long value)
{
	char digits[24];
	int at = sizeof(digits) - 1;
	u64 rest = value < 0 ? -value : value;

	digits[at] = 0;
	do
		digits[--at] = '0' + rest % 10;
	while (rest /= 10);
	if (value < 0)
		digits[--at] = '-';
	text(digits + at);
}

static void send(int file)
{
	u64 sent = 0;
	long wrote;

	text("\n");
	while (sent < used && (wrote = sys3(__NR_write, file, line + sent, used - sent)) > 0)
		sent += wrote;
	used = 0;
}

static void leave(int status)
{
	if (sys3(__NR_getpid, 0, 0, 0) == 1)	/* init: power off */
		sys(__NR_reboot, 0xfee1dead, 672274793, 0x4321fedc, 0, 0, 0);
	for (;;)
		sys3(__NR_exit_group, status, 0, 0);
}

/* Goes on with result; leaves if it is an error. */
static long must(long result, const char *what)
{
	if (result < 0 && result > -4096) {
		text("dump: "), text(what), text(": error "), number(result);
		send(2);
		leave(1);
	}
	return result;
}

static void skip(const char *scenario, const char *why)
{
	text("dump: "), text(scenario), text(" left out: "), text(why);
	send(2);
}

/* --- What the guest executes --------------------------------------------------------------- */

#define RAM	0x40000000UL
#define RAM_SIZE 0x10000UL
#define WATCHED	(RAM + 0x800)
#define UART	0x09000000UL	/* nothing answers at these three: KVM asks userspace */
#define FAR_UART 0x1209000000UL
#define DOORBELL 0x0a000000UL	/* unless an eventfd listens */
#define GICD	0x08000000UL	/* where the interrupt controller's distributor is put */
#define FAR_GICD 0x1208000000UL
#define GICR_AFTER 0x000a0000UL
#define GICD_CTLR 0x0000
#define GICD_IIDR 0x0008

/* A64 instructions are little-endian in both byte orders, and are never literals here. */
__asm__(
"	.pushsection .rodata\n"
"	.balign	4\n"
"code:\n"
"code_brk:	brk	#0x1234\n"
"code_step:	nop\n"
"		nop\n"
"code_store:	mov	x1, #0x40000000\n"
"		add	x1, x1, #0x800\n"
"		mov	x2, #0x55\n"
"		str	x2, [x1]\n"
"code_break:	nop\n"
"code_uart:	mov	x3, #0x09000000\n"
"		mov	w4, #0x5a5a\n"
"		str	w4, [x3]\n"
"		ldr	w5, [x3]\n"
"		b	.\n"
"code_far_uart:	mov	x3, #0x09000000\n"
"		movk	x3, #0x12, lsl #32\n"
"		mov	w4, #0x5a5a\n"
"		str	w4, [x3]\n"
"		b	.\n"
"code_hvc:	hvc	#0\n"		/* PSCI: the function is in x0 */
"		b	.\n"
"code_write:	str	w4, [x3]\n"	/* x3, x4: set from outside */
"		brk	#0x1234\n"
"code_read:	ldr	w5, [x3]\n"
"		brk	#0x1234\n"
"code_load_pair: ldp	x4, x5, [x3]\n"
"		b	.\n"
"code_store_pair: stp	x4, x5, [x3]\n"
"		b	.\n"
"code_timer:	msr	cntv_cval_el0, xzr\n"
"		mov	x4, #1\n"
"		msr	cntv_ctl_el0, x4\n"
"		isb\n"
"		b	.\n"
"code_end:\n"
"	.popsection\n");

extern const u8 code[], code_brk[], code_step[], code_store[], code_break[], code_uart[],
	code_far_uart[], code_hvc[], code_write[], code_read[], code_load_pair[], code_store_pair[],
	code_timer[], code_end[];
#define AT(label) (RAM + (u64)((label) - code))

/* --- One vCPU and its page ----------------------------------------------------------------- */

static int kvm, vm, vcpu, device;
static u64 run_size;
static u8 *run, *ram;
static const char *scenario;
static void (*before)(void);	/* tells what ran since the last dump and did not come out */
static char release[65];
static int step;

#define REG(member) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
		     KVM_REG_ARM_CORE_REG(regs.member))

static void set(u64 reg, u64 value)
{
	struct kvm_one_reg one = { .id = reg, .addr = (u64)&value };

	must(ioctl(vcpu, KVM_SET_ONE_REG, &one), "KVM_SET_ONE_REG");
}

static u64 get(u64 reg)
{
	u64 value = 0;
	struct kvm_one_reg one = { .id = reg, .addr = (u64)&value };

	must(ioctl(vcpu, KVM_GET_ONE_REG, &one), "KVM_GET_ONE_REG");
	return value;
}
#define jump(label) set(REG(pc), AT(label))

#define BRK	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP)
#define STEP	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
#define HARDWARE (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW)

static void debug(u32 control, u64 breakpoint, u64 watchpoint)
{
	static struct kvm_guest_debug it;

	memset(&it, 0, sizeof(it));
	it.control = control;
	it.arch.dbg_bvr[0] = breakpoint;
	it.arch.dbg_bcr[0] = breakpoint ? 0x1e7 : 0;	/* E, PMC: EL1 and EL0, BAS: 4 bytes */
	it.arch.dbg_wvr[0] = watchpoint;
	it.arch.dbg_wcr[0] = watchpoint ? 0x1fff : 0;	/* E, PAC, LSC: both, BAS: 8 bytes */
	must(ioctl(vcpu, KVM_SET_GUEST_DEBUG, &it), "KVM_SET_GUEST_DEBUG");
}

/* A new machine with a new page, all zero; its program counter at the first instruction. */
static void machine(const char *name)
{
	struct kvm_userspace_memory_region memory = { .guest_phys_addr = RAM, .memory_size = RAM_SIZE };
	struct kvm_vcpu_init init;

	scenario = name, before = 0, step = 0, device = -1;
	vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	ram = (u8 *)must(sys(__NR_mmap, 0, RAM_SIZE, 3, 0x22, -1, 0), "mmap");
	memcpy(ram, code, code_end - code);
	memory.userspace_addr = (u64)ram;
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory), "KVM_SET_USER_MEMORY_REGION");
	vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	run = (u8 *)must(sys(__NR_mmap, 0, run_size, 3, 1, vcpu, 0), "mmap of kvm_run");
	memset(&init, 0, sizeof(init));
	must(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
	must(ioctl(vcpu, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	debug(BRK, 0, 0);
	jump(code_brk);
}

static void end(void)
{
	sys3(__NR_munmap, run, run_size, 0);
	if (device >= 0)
		sys3(__NR_close, device, 0, 0);
	sys3(__NR_close, vcpu, 0, 0);
	sys3(__NR_close, vm, 0, 0);
	sys3(__NR_munmap, ram, RAM_SIZE, 0);
}

/* --- One dump ------------------------------------------------------------------------------ */

#define UNION	1	/* userspace writes 0xaa into the whole exit union */
#define FLAGS	2	/* and into flags */
#define SET_IMMEDIATE_EXIT 4
#define CLEAR_IMMEDIATE_EXIT 8
#define PAGE	288	/* how much of the page is printed: up to the end of the exit union */
#define PAGE_WITH_REGS 312	/* and up to s.regs.device_irq_level */

static void user_write(u64 offset, u8 value, u64 count)
{
	memset(run + offset, value, count);
	text("["), number(offset), text(",\""), bytes(run + offset, count), text("\"]");
}

static void go_on(u64 shown, int writes, void (*event)(const struct kvm_run *))
{
	long returned;

	text("{\"linux\":\""), text(release);
	text("\",\"byte_order\":\"" BYTE_ORDER "\",\"scenario\":\""), text(scenario);
	text("\",\"step\":"), number(step++);
	text(",\"user_writes\":[");
	if (writes & FLAGS)
		user_write(offsetof(struct kvm_run, flags), 0xaa, 2), text(",");
	if (writes & UNION)
		user_write(offsetof(struct kvm_run, mmio), 0xaa, 256);
	if (writes & SET_IMMEDIATE_EXIT)
		user_write(offsetof(struct kvm_run, immediate_exit), 1, 1);
	if (writes & CLEAR_IMMEDIATE_EXIT)
		user_write(offsetof(struct kvm_run, immediate_exit), 0, 1);
	returned = ioctl(vcpu, KVM_RUN, 0);
	text("],\"before\":[");
	if (before)
		before();
	before = 0;
	text("],\"event\":{"), event((const struct kvm_run *)run);
	text("},\"returned\":"), number(returned);
	text(",\"bytes\":\""), bytes(run, shown), text("\"}");
	send(1);
}
#define go(writes, event) go_on(PAGE, writes, event)

static void kind(const char *name)
{
	text("\"kind\":\""), text(name), text("\"");
}

static void value(const char *key, u64 it)
{
	text(",\""), text(key), text("\":\"0x"), hex(it, 16), text("\"");
}

static void access(u64 address, const u8 *data)
{
	value("phys_addr", address), text(",\"len\":4");
	if (data)
		text(",\"data\":\""), bytes(data, 4), text("\"");
}

/* What the CPU reported. A kernel may have put it at 32 or, widened and big-endian, at 36. */
static void esr(const struct kvm_run *it, u32 class, u32 expected)
{
	const u32 *words = (const u32 *)&it->debug;
	u32 found = words[0] >> 26 == class ? words[0] : words[1] >> 26 == class ? words[1] : expected;

	value("esr", found);
}

static const u8 GUEST_WORD[] = { 0x5a, 0x5a, 0, 0 };	/* 0x5a5a, as a little-endian guest has it */
static u64 uart = UART;

static void brk(const struct kvm_run *it) { kind("brk"), esr(it, 0x3c, 0xf2001234); }
static void singlestep(const struct kvm_run *it) { kind("singlestep"), esr(it, 0x32, 0xcb000022); }
static void breakpoint(const struct kvm_run *it) { kind("hw_breakpoint"), esr(it, 0x30, 0xc2000022); }
static void watchpoint(const struct kvm_run *it)
{
	kind("watchpoint"), esr(it, 0x34, 0xd2000062), value("far", WATCHED);
}
static void mmio_write(const struct kvm_run *it)
{
	(void)it, kind("mmio_write"), access(uart, GUEST_WORD);
}
static void mmio_read(const struct kvm_run *it) { (void)it, kind("mmio_read"), access(uart, 0); }

static void completed(void) { text("\"immediate_exit\""); }

/* Ends a pending MMIO, whose instruction is done only in the next KVM_RUN. */
static void complete(void)
{
	run[offsetof(struct kvm_run, immediate_exit)] = 1;
	ioctl(vcpu, KVM_RUN, 0);
	run[offsetof(struct kvm_run, immediate_exit)] = 0;
	before = completed;
}

/* --- debug: debug exits, MMIO exits, and what they leave for each other --------------------- */

static void brk_and_mmio(const char *name, int writes)
{
	machine(name);
	go(writes, brk);
	jump(code_uart);
	go(0, mmio_write);
	go(0, mmio_read);
	end();
}

static void watch(const char *name, int writes)
{
	machine(name);
	debug(HARDWARE, 0, WATCHED);
	jump(code_store);
	go(writes, watchpoint);
	debug(BRK, 0, 0);
}

static void watch_mmio(const char *name, int writes)
{
	watch(name, writes);
	jump(code_uart);
	go(0, mmio_write);
	end();
}

static void mmio_brk_mmio(const char *name, const u8 *label, u64 address)
{
	uart = address;
	machine(name);
	jump(label);
	go(0, mmio_write);
	complete();
	jump(code_brk);
	go(0, brk);
	jump(label);
	go(0, mmio_write);
	end();
	uart = UART;
}

static void debug_exits(void)
{
	brk_and_mmio("brk", 0);
	brk_and_mmio("brk_poison", UNION);
	brk_and_mmio("brk_poison_flags", UNION | FLAGS);

	machine("step");
	debug(STEP, 0, 0);
	jump(code_step);
	go(UNION, singlestep);
	go(UNION, singlestep);
	debug(0, 0, 0);
	jump(code_uart);
	go(0, mmio_write);
	end();

	watch("watch", 0);
	jump(code_brk);
	go(0, brk);
	jump(code_uart);
	go(0, mmio_write);
	end();

	watch_mmio("watch_poison", UNION);

	machine("hwbp");
	debug(HARDWARE, AT(code_break), 0);
	jump(code_store);
	go(UNION, breakpoint);
	debug(0, 0, 0);
	go(0, mmio_write);
	end();

	mmio_brk_mmio("mmio_then_brk", code_uart, UART);
	mmio_brk_mmio("highmmio_then_brk", code_far_uart, FAR_UART);
}

/* --- exits: what else returns to userspace, and what does not return ------------------------ */

#define PSCI_SYSTEM_OFF	0x84000008
#define PSCI_SYSTEM_RESET 0x84000009
#define PSCI_SYSTEM_RESET2 0x84000012
#define PSCI_SYSTEM_SUSPEND 0xc400000e

static u32 event_type;
static u64 event_data;

static void system_event(const struct kvm_run *it)
{
	(void)it, kind("system_event"), text(",\"type\":"), number(event_type);
	value("flags", event_data);
}

static int allow(const char *name, u32 capability)
{
	struct kvm_enable_cap it = { .cap = capability };

	if (!ioctl(vm, KVM_ENABLE_CAP, &it))
		return 1;
	skip(name, "KVM_ENABLE_CAP refuses it");
	return 0;
}

static void power(const char *name, u64 function, u32 type, u64 data)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

	machine(name);
	event_type = type, event_data = data;
	if (type != KVM_SYSTEM_EVENT_SUSPEND || allow(name, KVM_CAP_ARM_SYSTEM_SUSPEND)) {
		set(REG(regs[0]), function);
		jump(code_hvc);
		go(UNION, system_event);
		must(ioctl(vcpu, KVM_SET_MP_STATE, &runnable), "KVM_SET_MP_STATE");
		jump(code_brk);
		go(0, brk);
	}
	end();
}

static void signal_pending(const struct kvm_run *it) { (void)it, kind("signal"); }
static void immediate_exit(const struct kvm_run *it) { (void)it, kind("immediate_exit"); }
static void unhandled(const struct kvm_run *it) { (void)it, kind("unhandled"); }

static void interrupted(void)
{
	static struct { struct kvm_signal_mask head; u64 none; } mask = { .head.len = 8 };
	u64 usr1 = 1UL << (10 - 1), nothing[2] = { 0, 0 };

	machine("signal");
	go(UNION, brk);
	must(sys(__NR_rt_sigprocmask, 0, (u64)&usr1, 0, 8, 0, 0), "rt_sigprocmask");
	must(sys3(__NR_kill, sys3(__NR_getpid, 0, 0, 0), 10, 0), "kill");
	must(ioctl(vcpu, KVM_SET_SIGNAL_MASK, &mask), "KVM_SET_SIGNAL_MASK");
	go(0, signal_pending);
	must(ioctl(vcpu, KVM_SET_SIGNAL_MASK, 0), "KVM_SET_SIGNAL_MASK");
	must(sys(__NR_rt_sigtimedwait, (u64)&usr1, 0, (u64)nothing, 8, 0, 0), "rt_sigtimedwait");
	go(0, brk);
	end();

	machine("immediate_exit");
	go(UNION, brk);
	go(SET_IMMEDIATE_EXIT, immediate_exit);
	go(CLEAR_IMMEDIATE_EXIT, brk);
	end();
}

/* A pair of registers has no syndrome: KVM cannot tell what is loaded or stored. */
static void arm_nisv(const struct kvm_run *it)
{
	kind("arm_nisv"), value("esr_iss", it->arm_nisv.esr_iss), value("fault_ipa", UART);
}

static void pair(const char *name, const u8 *label)
{
	machine(name);
	if (allow(name, KVM_CAP_ARM_NISV_TO_USER)) {
		set(REG(regs[3]), UART);
		jump(label);
		go(UNION, arm_nisv);
		jump(code_brk);
		go(0, brk);
	}
	end();
}

static void pairs(void)
{
	machine("unhandled");
	go(UNION, brk);
	set(REG(regs[3]), UART);
	jump(code_load_pair);
	go(0, unhandled);
	jump(code_brk);
	go(0, brk);
	end();

	pair("nisv_load_then_brk", code_load_pair);
	pair("nisv_store_then_brk", code_store_pair);
}

static u64 register_at;	/* the access's address, and its register's number */
static int register_number;

/* Reads the register after the run: what a device answered is not known before. */
static void served(void)
{
	u32 value = get(REG(regs[register_number]));
	const u8 data[] = { value, value >> 8, value >> 16, value >> 24 };

	text("{"), kind(register_number == 4 ? "served_write" : "served_read");
	access(register_at, data), text("}");
}

/* An access, and the brk behind it, in one KVM_RUN: only the brk comes out. */
static void access_then_brk(u64 address, const u8 *label, int writes)
{
	register_at = address, register_number = label == code_write ? 4 : 5;
	set(REG(regs[3]), address);
	set(REG(regs[4]), 0x5a5a);
	jump(label);
	before = served;
	go(writes, brk);
	end();
}

static int control(u32 group, u64 number, void *address)
{
	struct kvm_device_attr it = { .group = group, .attr = number, .addr = (u64)address };

	return ioctl(device, KVM_SET_DEVICE_ATTR, &it);
}

/* The distributor is at `gicd`, the redistributor behind it. */
static void vgic(const char *name, u64 gicd, u64 offset, const u8 *label, int writes)
{
	struct kvm_create_device it = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	u64 gicr = gicd + GICR_AFTER;

	machine(name);
	if (ioctl(vm, KVM_CREATE_DEVICE, &it)) {
		skip(name, "no GICv3 in this machine");
		end();
		return;
	}
	device = it.fd;
	must(control(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &gicd), "GICD");
	must(control(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &gicr), "GICR");
	must(control(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), "vGIC");
	access_then_brk(gicd + offset, label, writes);
}

static void in_kernel_devices(void)
{
	static struct kvm_ioeventfd doorbell = { .addr = DOORBELL, .len = 4 };

	vgic("vgic_write_then_brk", GICD, GICD_CTLR, code_write, 0);
	vgic("vgic_write_then_brk_poison", GICD, GICD_CTLR, code_write, UNION);
	vgic("vgic_read_then_brk", GICD, GICD_IIDR, code_read, 0);
	vgic("vgic_read_then_brk_poison", GICD, GICD_IIDR, code_read, UNION);
	vgic("highvgic_write_then_brk", FAR_GICD, GICD_CTLR, code_write, 0);

	machine("ioeventfd_then_brk");
	doorbell.fd = must(sys3(__NR_eventfd2, 0, 0, 0), "eventfd");
	must(ioctl(vm, KVM_IOEVENTFD, &doorbell), "KVM_IOEVENTFD");
	access_then_brk(DOORBELL, code_write, 0);
	sys3(__NR_close, doorbell.fd, 0, 0);
}

/* Without an interrupt controller in the kernel, userspace is told of the timer's line. */
static void timer(const struct kvm_run *it)
{
	kind("timer"), value("device_irq_level", it->s.regs.device_irq_level);
}

static void no_irqchip(void)
{
	machine("timer");
	jump(code_timer);
	go_on(PAGE_WITH_REGS, UNION, timer);
	jump(code_brk);
	go_on(PAGE_WITH_REGS, 0, brk);
	end();
}

static void other_exits(void)
{
	power("shutdown_then_brk", PSCI_SYSTEM_OFF, KVM_SYSTEM_EVENT_SHUTDOWN, 0);
	power("reset_then_brk", PSCI_SYSTEM_RESET, KVM_SYSTEM_EVENT_RESET, 0);
	power("reset2_then_brk", PSCI_SYSTEM_RESET2, KVM_SYSTEM_EVENT_RESET,
	      KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2);
	power("suspend_then_brk", PSCI_SYSTEM_SUSPEND, KVM_SYSTEM_EVENT_SUSPEND, 0);
	interrupted();
	pairs();
	in_kernel_devices();
	no_irqchip();
}

/* --- The program --------------------------------------------------------------------------- */

static void start(const char *set)
{
	if (equal(set, "debug")) {
		debug_exits();
	} else if (equal(set, "exits")) {
		other_exits();
	} else if (equal(set, "gcs")) {
		watch_mmio("gcs_watch", 0);
	} else {
		text("dump: no set of scenarios: "), text(set), text("; there are debug, exits, gcs");
		send(2);
		leave(2);
	}
}

/* Called with the stack as the kernel lays it: argc, argv. */
__attribute__((used)) static void begin(const u64 *stack)
{
	static char names[6][65];
	const char *const *arguments = (const char *const *)(stack + 1);
	int console;

	if (sys3(__NR_getpid, 0, 0, 0) == 1) {
		must(sys(__NR_mount, (u64)"devtmpfs", (u64)"/dev", (u64)"devtmpfs", 0, 0, 0), "mount");
		console = must(sys(__NR_openat, 0, (u64)"/dev/console", 2, 0, 0, 0), "console");
		sys3(__NR_dup3, console, 1, 0);
		sys3(__NR_dup3, console, 2, 0);
	}
	must(sys3(__NR_uname, names, 0, 0), "uname");
	memcpy(release, names[2], sizeof(release));
	kvm = must(sys(__NR_openat, 0, (u64)"/dev/kvm", 02000002, 0, 0, 0), "/dev/kvm");
	run_size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	if (stack[0] < 2) {
		start("debug");
		start("exits");
	}
	for (u64 at = 1; at < stack[0]; at++)
		start(arguments[at]);
	leave(0);
}

__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl begin\n\tb .\n");
