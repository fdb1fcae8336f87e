/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of L1: who handles each, and the short handlers: INVD, XSETBV, VMCALL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/cr.h>
#include <x86/msr.h>

#include "boot/chainload.h"
#include "lib/insn.h"
#include "machine.h"
#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "platform/vtd.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/guest_linear.h"
#include "vmx/interface.h"
#include "vmx/msr.h"
#include "vmx/reset.h"
#include "vmx/setup.h"
#include "vmx/vmcs.h"

enum {
	RIP = 0x1000,
	LENGTH = 3,
	HOOK = 0x9fc10,
	STACK = 0x2000,
	ENTRY = 0x3000,
};

static const char *handled;
static u32 given_activity; /* to a CPU after INIT or SIPI, or NOT_SET */

void event_machine_check(struct vcpu *vcpu)
{
	(void)vcpu;
	handled = "event_machine_check";
}

void vmx_guest_init_state(struct vcpu *vcpu, enum activity_state activity)
{
	(void)vcpu;
	given_activity = activity;
}

static bool interface_answers;

bool interface_vmcall(struct guest_regs *regs)
{
	(void)regs;
	return interface_answers;
}

static struct vcpu *vcpu;
static struct cpu *all[1];
struct cpu **cpus = all;
u32 cpu_count = 1;

enum { COMPONENT_HIDDEN = 19 };

static struct guest_regs regs;
static u32 injected; /* exceptions, a bit each */
static bool xsetbv_works;
static u32 wbinvds;
static paddr_t hook;
static struct memmap map;
static jmp_buf reset;

#define HANDLER(name)                                   \
	void name(struct vcpu *c, struct guest_regs *r) \
	{                                               \
		assert_ptr_equal(c, vcpu);              \
		assert_ptr_equal(r, &regs);             \
		handled = #name;                        \
	}
HANDLER(cpuid_exit)
HANDLER(cr_access_exit)
HANDLER(ept_misconfig_exit)
HANDLER(ept_violation_exit)
HANDLER(exception_nmi_exit)
HANDLER(init_exit)
HANDLER(nmi_window_exit)
HANDLER(preemption_timer_exit)
HANDLER(io_exit)
HANDLER(rdmsr_exit)
HANDLER(sipi_exit)
HANDLER(task_switch_exit)
HANDLER(wrmsr_exit)
static HANDLER(instruction_exit)

	void event_inject_exception(enum vector vector, u32 error_code)
{
	assert_int_equal(error_code, 0);
	injected |= 1u << vector;
}

void event_inject_combined(enum vector vector, u32 error_code)
{
	assert_int_equal(error_code, 0);
	injected |= 1u << vector;
}

enum { MSR_GOOD = 0x1234, MSR_BAD = 0x4321 };
static const u64 msr_value = 0x123456789abcdef0;
static u64 msr_written;

bool msr_guest_read(struct vcpu *c, u32 msr, u64 *value)
{
	assert_ptr_equal(c, vcpu);
	*value = msr_value;
	return msr == MSR_GOOD;
}

bool msr_guest_write(struct vcpu *c, u32 msr, u64 value)
{
	assert_ptr_equal(c, vcpu);
	msr_written = value;
	return msr == MSR_GOOD;
}

static u64 stored_at, stored;
static bool store_faults;

bool guest_linear_write(u64 linear, const void *src, size_t size, enum guest_linear_as as,
			struct guest_fault *fault)
{
	assert_int_equal(size, 8);
	assert_int_equal(as, GUEST_LINEAR_DATA);
	if (store_faults) {
		*fault = (struct guest_fault){.vector = VECTOR_PF, .cr2 = linear};
		return false;
	}
	stored_at = linear;
	memcpy(&stored, src, size);
	return true;
}

void guest_fault_inject(const struct guest_fault *fault)
{
	injected |= 1u << fault->vector;
}

static void note_refusal(struct vcpu *c)
{
	(void)c;
	handled = "entry_refused";
}

static const struct guest_level level = {.entry_refused = note_refusal};

_Noreturn void reset_machine(const char *why)
{
	assert_string_equal(why, "triple fault in the guest");
	longjmp(reset, 1);
}

void wbinvd(void)
{
	wbinvds++;
}

bool xsetbv_safe(u32 index, u64 value)
{
	assert_int_equal(index, 5);
	assert_true(value == 0x1122334455667788);
	return xsetbv_works;
}

static u32 calls_below;

void vmcall(struct guest_regs *r)
{
	assert_ptr_equal(r, &regs);
	calls_below++;
	r->rax = 0x1234567890;
}

paddr_t chainload_vmcall_address(void)
{
	return hook;
}

const struct memmap *chainload_memmap(void)
{
	return &map;
}

static u64 get(u64 field)
{
	return vmread_unchecked(field);
}

/* A 64-bit guest at CPL 0 that has executed something of three bytes. */
static int setup(void **state)
{
	static const struct vmx_capabilities vmx = {.ept_vpid = VPID_CAP_INVVPID | VPID_CAP_SINGLE};

	(void)state;
	machine_memory_init(16, 4);
	machine_vmx_init(1, &vmx);
	vcpu = machine_cpu(0);
	all[0] = &vcpu->cpu;
	machine_run_on(vcpu);
	vcpu->cpuid_hidden.xcr0 = ~BIT(COMPONENT_HIDDEN);
	regs = (struct guest_regs){0};
	handled = NULL;
	injected = wbinvds = 0;
	xsetbv_works = false;
	calls_below = 0;
	hook = 0;
	vmcall_set_claim(int15_hook_vmcall);
	offered_vmx.instruction = instruction_exit;
	machine_set_field(VMCS_GUEST_RIP, RIP);
	machine_set_field(VMCS_GUEST_RFLAGS, 2);
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_LENGTH, LENGTH);
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc093);
	machine_set_field(VMCS_GUEST_CR0, CR0_PE);
	machine_set_field(VMCS_VPID, 1);
	return 0;
}

static void exits(u32 reason)
{
	machine_set_field(VMCS_EXIT_REASON, reason);
	exit_handle(&regs);
}

static exit_handler *instruction_at_first;

/* Without nested VMX: all are #UD, as CPUID has it. */
static void test_no_vmx(void **state)
{
	(void)state;
	offered_vmx.instruction = instruction_at_first;
	for (u32 reason = REASON_VMCLEAR; reason <= REASON_VMXON; reason++) {
		injected = 0;
		exits(reason);
		assert_int_equal(injected, 1u << VECTOR_UD);
		assert_int_equal(vcpu->exits[reason], 1);
	}
}

static void test_handlers(void **state)
{
	static const struct {
		u32 reason;
		const char *handler;
	} rows[] = {
		{0, "exception_nmi_exit"},  {8, "nmi_window_exit"},
		{9, "task_switch_exit"},    {10, "cpuid_exit"},
		{19, "instruction_exit"},   {25, "instruction_exit"},
		{28, "cr_access_exit"},     {30, "io_exit"},
		{31, "rdmsr_exit"},         {32, "wrmsr_exit"},
		{48, "ept_violation_exit"}, {3, "init_exit"},
		{4, "sipi_exit"},           {52, "preemption_timer_exit"},
		{49, "ept_misconfig_exit"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* Bit 27, "the VM exit was incident to enclave mode", changes nothing. */
		for (u32 flags = 0; flags <= 1u << 27; flags += 1u << 27) {
			setup(NULL);
			exits(rows[i].reason | flags);
			assert_string_equal(handled, rows[i].handler);
			assert_int_equal(vcpu->exit_reason, rows[i].reason);
		}
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(exit_reason_name(10), "CPUID");
	assert_string_equal(exit_reason_name(0x80000021), "VM-entry failure: invalid guest state");
	assert_string_equal(exit_reason_name(35), "unknown reason");
	assert_string_equal(exit_reason_name(0xffff), "unknown reason");
}

/* Instructions that the guest's CPU does not have; INVD without loss; XSETBV as the CPU takes it.
 */
static void test_short_handlers(void **state)
{
	/* 80 and 81: URDMSR and UWRMSR. */
	static const u32 undefined[] = {REASON_GETSEC, REASON_SEAMCALL, REASON_TDCALL, 80, 81};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(undefined); i++) {
		setup(NULL);
		exits(undefined[i]);
		assert_int_equal(injected, 1u << VECTOR_UD);
		assert_int_equal(get(VMCS_GUEST_RIP), RIP);
	}
	setup(NULL);
	exits(REASON_INVD);
	assert_int_equal(wbinvds, 1);
	assert_int_equal(get(VMCS_GUEST_RIP), RIP + LENGTH);
	for (u32 works = 0; works < 2; works++) {
		setup(NULL);
		xsetbv_works = works;
		regs.rcx = 0x9900000005;
		regs.rdx = 0x11223344;
		regs.rax = 0x9955667788;
		exits(REASON_XSETBV);
		assert_int_equal(injected, works ? 0 : 1u << VECTOR_GP);
		assert_int_equal(get(VMCS_GUEST_RIP), works ? RIP + LENGTH : RIP);
	}
	/* SDM "XSETBV": a component that CPUID does not show is a reserved bit. */
	setup(NULL);
	xsetbv_works = true;
	regs.rax = 3 | BIT(COMPONENT_HIDDEN);
	exits(REASON_XSETBV);
	assert_int_equal(injected, 1u << VECTOR_GP);
	assert_int_equal(get(VMCS_GUEST_RIP), RIP);
	/* Of user code it is #GP whatever the operand. */
	setup(NULL);
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc0f3);
	exits(REASON_XSETBV);
	assert_int_equal(injected, 1u << VECTOR_GP);
	setup(NULL);
	if (!setjmp(reset)) {
		exits(REASON_TRIPLE_FAULT);
		fail();
	}
}

/*
 * SDM "RDMSR", "WRMSRNS": with an immediate the exit qualification is the MSR's number, and bits
 * 6:3 of the instruction information name the 64-bit register.
 */
static void test_msr_immediates(void **state)
{
	const u64 written = 0xfedcba9876543210;

	(void)state;
	for (u64 gpr = 0; gpr < 16; gpr++) {
		setup(NULL);
		machine_set_field(VMCS_EXIT_QUALIFICATION, MSR_GOOD);
		machine_set_field(VMCS_VM_EXIT_INSTRUCTION_INFO, ~0x78u | gpr << 3);
		machine_set_field(VMCS_GUEST_RSP, 0);
		exits(84);
		assert_int_equal(injected, 0);
		assert_int_equal(get(VMCS_GUEST_RIP), RIP + LENGTH);
		for (u32 i = 0; i < 16; i++) {
			const u64 value = i == 4 ? get(VMCS_GUEST_RSP) : regs.gpr[i];

			assert_true(value == (i == gpr ? msr_value : 0));
		}
		machine_set_field(VMCS_GUEST_RSP, gpr == 4 ? written : 0);
		if (gpr != 4)
			regs.gpr[gpr] = written;
		exits(85);
		assert_int_equal(get(VMCS_GUEST_RIP), RIP + 2 * LENGTH);
		assert_true(msr_written == written);
	}
	for (u32 reason = 84; reason <= 85; reason++) {
		setup(NULL);
		machine_set_field(VMCS_EXIT_QUALIFICATION, MSR_BAD);
		machine_set_field(VMCS_VM_EXIT_INSTRUCTION_INFO, 0);
		exits(reason);
		assert_int_equal(injected, 1u << VECTOR_GP);
		assert_int_equal(get(VMCS_GUEST_RIP), RIP);
		assert_int_equal(regs.rax, 0);
	}
}

/*
 * SDM "RDMSRLIST", "WRMSRLIST": the exit is in an iteration, for the lowest bit of RCX; its entries
 * lie at RSI and RDI, 8 bytes each. The exit qualification is the MSR's number, MSR data what is to
 * be written.
 */
static void test_msr_lists(void **state)
{
	static const struct {
		u64 rcx, rdi, cr3, cr4, at, left;
	} rows[] = {
		{1, 0x5000, 0, 0, 0x5000, 0},
		{0x8000000000000000, 0x5000, 0, 0, 0x5000 + 63 * 8, 0},
		{0xf0, 0x5000, 0, 0, 0x5020, 0xe0},
		/* SDM "Linear-Address Masking": for users' pointers by CR3 bits 62 and 61, ... */
		{3, 0x7abc000000005000, BIT(62), 0, 0x5000, 2},
		{3, 0x7eb7fffffffff000, BIT(61), 0, 0x00b7fffffffff000, 2},
		/* ... and for supervisors' by CR4 bit 28. */
		{3, 0x8765ffff80000000, 0, BIT(28), 0xffffffff80000000, 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(NULL);
		machine_set_field(VMCS_GUEST_CR3, rows[i].cr3);
		machine_set_field(VMCS_GUEST_CR4, rows[i].cr4);
		machine_set_field(VMCS_EXIT_QUALIFICATION, MSR_GOOD);
		regs.rcx = rows[i].rcx;
		regs.rdi = rows[i].rdi;
		exits(78);
		assert_int_equal(injected, 0);
		assert_true(stored == msr_value && stored_at == rows[i].at);
		assert_true(regs.rcx == rows[i].left);
		/* The guest goes on with the same instruction. */
		assert_int_equal(get(VMCS_GUEST_RIP), RIP);
		machine_set_field(VMCS_MSR_DATA, 0xfedcba9876543210);
		regs.rcx = rows[i].rcx;
		exits(79);
		assert_true(msr_written == 0xfedcba9876543210 && regs.rcx == rows[i].left);
		assert_int_equal(get(VMCS_GUEST_RIP), RIP);
		assert_int_equal(injected, 0);
	}
	/* No such MSR, or nowhere to put it: nothing of the iteration has happened. */
	for (u32 reason = 78; reason <= 80; reason++) {
		setup(NULL);
		store_faults = reason == 80;
		machine_set_field(VMCS_GUEST_CR3, 0);
		machine_set_field(VMCS_GUEST_CR4, 0);
		machine_set_field(VMCS_MSR_DATA, 1);
		machine_set_field(VMCS_EXIT_QUALIFICATION, store_faults ? MSR_GOOD : MSR_BAD);
		regs.rcx = 6;
		exits(store_faults ? 78 : reason);
		assert_int_equal(injected, 1u << (store_faults ? VECTOR_PF : VECTOR_GP));
		assert_int_equal(regs.rcx, 6);
	}
	store_faults = false;
}

/* Between two iterations traps are delivered, and the shadow of an STI ends with the first. */
static void test_msr_list_traps(void **state)
{
	(void)state;
	machine_set_field(VMCS_EXIT_QUALIFICATION, MSR_GOOD);
	machine_set_field(VMCS_MSR_DATA, 1);
	machine_set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF | RFLAGS_RF);
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_NMI);
	machine_set_field(VMCS_GUEST_DEBUGCTL, 0);
	machine_set_field(VMCS_GUEST_PENDING_DEBUG, 0);
	regs.rcx = 3;
	exits(79);
	assert_int_equal(get(VMCS_GUEST_RIP), RIP);
	assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	assert_int_equal(get(VMCS_GUEST_PENDING_DEBUG), BIT(14));
	/* A breakpoint on the instruction has been hit already. */
	assert_int_equal(get(VMCS_GUEST_RFLAGS), 2 | RFLAGS_TF | RFLAGS_RF);
}

/* A CPU newer than Umbra, or an exit of a control that is off: #UD, and a count. */
static void test_unexpected(void **state)
{
	static const u32 reasons[] = {REASON_HLT, 35, REASON_COUNT, 0xffff,
				      REASON_COUNT | 1u << 27};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		setup(NULL);
		exits(reasons[i]);
		assert_int_equal(injected, 1u << VECTOR_UD);
		assert_int_equal(vcpu->unexpected_exits, 1);
		assert_int_equal(get(VMCS_GUEST_RIP), RIP);
		assert_null(handled);
	}
}

/* SDM "Machine-Check Events During VM Entry": reason 41 with the bit of a failed entry. */
static void test_machine_check_at_entry(void **state)
{
	(void)state;
	exits(0x80000029);
	assert_string_equal(handled, "event_machine_check");
	assert_int_equal(injected, 0);
	assert_int_equal(get(VMCS_GUEST_RIP), RIP);
}

/* The hardware's refusal of vmcs02 is L1's to know. */
static void test_entry_refused(void **state)
{
	(void)state;
	vcpu->level = &level;
	exit_entry_failed(&regs);
	assert_string_equal(handled, "entry_refused");
}

/* INT 15h, E820h, by the hook's VMCALL: the map's entry at ES:DI, CF in the caller's flags. */
static void test_int15(void **state)
{
	u64 entry[2];
	u16 flags = 0xffff;

	(void)state;
	hook = HOOK;
	memset(&map, 0, sizeof(map));
	assert_true(memmap_add(&map, 0, 0x9f000, MEMMAP_USABLE));
	machine_set_field(VMCS_GUEST_CR0, 0);
	machine_set_field(VMCS_GUEST_CS_BASE, HOOK - RIP);
	machine_set_field(VMCS_GUEST_SS_BASE, STACK);
	machine_set_field(VMCS_GUEST_RSP, 0x10000); /* 16 bits of it */
	machine_set_field(VMCS_GUEST_ES_BASE, ENTRY);
	guest_memory_write(STACK + 4, &flags, sizeof(flags));
	regs.rax = 0xaaaaaaaa0000e820;
	regs.rbx = 0;
	regs.rcx = 20;
	regs.rdx = 0x534d4150;
	regs.rdi = 0x770010;
	exits(REASON_VMCALL);
	assert_true(regs.rax == 0xaaaaaaaa534d4150);
	guest_memory_read(ENTRY + 0x10, entry, sizeof(entry));
	assert_int_equal(entry[0], 0);
	assert_int_equal(entry[1], 0x9f000);
	guest_memory_read(STACK + 4, &flags, sizeof(flags));
	assert_int_equal(flags, 0xffff & ~RFLAGS_CF);
	assert_int_equal(get(VMCS_GUEST_RIP), RIP + LENGTH);
	/* Another signature is an error: CF. */
	machine_set_field(VMCS_GUEST_RIP, RIP);
	regs.rax = 0xe820;
	regs.rdx = 1;
	exits(REASON_VMCALL);
	guest_memory_read(STACK + 4, &flags, sizeof(flags));
	assert_int_equal(flags & RFLAGS_CF, RFLAGS_CF);
	/* Elsewhere, or in protected mode, a VMCALL is not the hook's. */
	machine_set_field(VMCS_GUEST_RIP, RIP + 1);
	exits(REASON_VMCALL);
	assert_string_equal(handled, "instruction_exit");
	handled = NULL;
	machine_set_field(VMCS_GUEST_RIP, RIP);
	machine_set_field(VMCS_GUEST_CR0, CR0_PE);
	exits(REASON_VMCALL);
	assert_string_equal(handled, "instruction_exit");
}

/* The guest's calls reach what Umbra runs under only if that is asked for, and not from user code.
 */
static void test_vmcall_below(void **state)
{
	(void)state;
	exits(REASON_VMCALL);
	assert_string_equal(handled, "instruction_exit");
	assert_int_equal(calls_below, 0);

	setup(NULL);
	vcpu->cpuid_hidden.options.hypervisor = true;
	exits(REASON_VMCALL);
	assert_null(handled);
	assert_int_equal(calls_below, 1);
	assert_true(regs.rax == 0x1234567890);
	assert_int_equal(get(VMCS_GUEST_RIP), RIP + LENGTH);

	setup(NULL);
	vcpu->cpuid_hidden.options.hypervisor = true;
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc0f3);
	exits(REASON_VMCALL);
	assert_string_equal(handled, "instruction_exit");
	assert_int_equal(calls_below, 0);
}

/* Umbra's interface is asked before the hypervisor below. */
static void test_interface(void **state)
{
	(void)state;
	vcpu->cpuid_hidden.options.hypervisor = true;
	interface_answers = true;
	exits(REASON_VMCALL);
	assert_null(handled);
	assert_int_equal(calls_below, 0);
	assert_int_equal(get(VMCS_GUEST_RIP), RIP + LENGTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_no_vmx, setup),
		cmocka_unit_test_setup(test_handlers, setup),
		cmocka_unit_test_setup(test_names, setup),
		cmocka_unit_test_setup(test_short_handlers, setup),
		cmocka_unit_test_setup(test_vmcall_below, setup),
		cmocka_unit_test_setup(test_msr_immediates, setup),
		cmocka_unit_test_setup(test_msr_lists, setup),
		cmocka_unit_test_setup(test_msr_list_traps, setup),
		cmocka_unit_test_setup(test_unexpected, setup),
		cmocka_unit_test_setup(test_machine_check_at_entry, setup),
		cmocka_unit_test_setup(test_entry_refused, setup),
		cmocka_unit_test_setup(test_int15, setup),
		cmocka_unit_test_setup(test_interface, setup),
	};

	instruction_at_first = offered_vmx.instruction;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
