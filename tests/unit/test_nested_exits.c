/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits of L2 that Umbra looks at itself: which of them L1 sees, and with what information. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <umbra/interface.h>

#include <x86/cr.h>
#include <x86/ept.h>
#include <x86/msr.h>

#include "l1.h"
#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "nested/l2_event.h"
#include "nested/l2_exit.h"
#include "nested/leave.h"
#include "nested/loan.h"
#include "nested/nested.h"
#include "nested/state.h"
#include "smp/stop.h"
#include "vmx/guest_level.h"
#include "vmx/vmcs.h"

enum {
	REGION = 0x10000,
	EPT12 = 0x12000, /* PML4; the next levels follow in the next pages */
	MSR_BITMAP12 = 0x16000,
	IO_BITMAP12 = 0x18000,
	GUEST_PAGES = 32,
	HOST_RIP = 0x5000,
	L2_GPA = 0x3000,
	EPT_VIOLATION = 48,
	EPT_MISCONFIGURATION = 49,
};

static const u64 ept_pointer = EPT12 | 0x1e;

static void write_entry(paddr_t at, u64 value)
{
	guest_memory_write(at, &value, sizeof(value));
}

/* L2's page at L2_GPA is L1's at 0x8000, with these rights. */
static void map_page(u64 rights)
{
	write_entry(EPT12, (EPT12 + 0x1000) | 7);
	write_entry(EPT12 + 0x1000, (EPT12 + 0x2000) | 7);
	write_entry(EPT12 + 0x2000, (EPT12 + 0x3000) | 7);
	write_entry(EPT12 + 0x3000 + L2_GPA / 4096 * 8, 0x8000 | 6 << 3 | rights);
}

static void set(u64 field, u64 value)
{
	assert_int_equal(l1_vmwrite(field, value), SUCCEED);
}

static u64 get(u64 field)
{
	u64 value = 0;

	assert_int_equal(l1_vmread(field, &value), SUCCEED);
	return value;
}

/* A 64-bit L1 that is about to run its L2, with EPT. */
static void start(bool shadow)
{
	l1_rng.state = 1;
	l1_start(1, GUEST_PAGES, shadow, true);
	l1_make_region(REGION);
	assert_int_equal(l1_with_address(REASON_VMXON, l1_vmxon_region()), SUCCEED);
	assert_int_equal(l1_with_address(REASON_VMPTRLD, REGION), SUCCEED);
	for (u32 f = 0; f < F_COUNT; f++) {
		if (nested_caps.has_field[f])
			set(field_info[f].encoding, 0);
	}
	set(VMCS_PIN_CONTROLS, (u32)nested_caps.pin);
	set(VMCS_PRIMARY_CONTROLS, (u32)nested_caps.primary | CPU_SECONDARY_CONTROLS);
	set(VMCS_SECONDARY_CONTROLS, (u32)nested_caps.secondary | CPU2_EPT);
	set(VMCS_EXIT_CONTROLS, (u32)nested_caps.exit | EXIT_HOST_64BIT);
	set(VMCS_ENTRY_CONTROLS, (u32)nested_caps.entry | ENTRY_IA32E_GUEST);
	set(VMCS_EPT_POINTER, ept_pointer);
	set(VMCS_VMCS_LINK_POINTER, ~0ull);
	set(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG);
	set(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
	set(VMCS_HOST_CR0, CR0_PE | CR0_NE | CR0_PG);
	set(VMCS_HOST_CR4, CR4_VMXE | CR4_PAE);
	set(VMCS_HOST_CS_SELECTOR, 0x10);
	set(VMCS_HOST_TR_SELECTOR, 0x40);
	set(VMCS_HOST_RIP, HOST_RIP);
}

static void enter(void)
{
	assert_int_equal(l1_execute(REASON_VMLAUNCH, 0), ENTERED);
	assert_true(machine_current_vmcs() != l1_cpu->vmcs01);
}

/* The exit, as the hardware records it. */
static void l2_exits(u32 reason, u64 qualification, u32 intr_info)
{
	for (u32 f = F_EXIT_REASON; f <= F_IO_RIP; f++)
		machine_set_field(field_info[f].encoding, 0);
	machine_set_field(VMCS_EXIT_REASON, reason);
	machine_set_field(VMCS_EXIT_QUALIFICATION, qualification);
	machine_set_field(VMCS_VM_EXIT_INTR_INFO, intr_info);
	machine_set_field(VMCS_GUEST_PHYSICAL_ADDRESS, L2_GPA + 0x123);
	machine_set_field(VMCS_GUEST_LINEAR_ADDRESS, 0x777123);
	nested_exit_handle(&l1_regs);
	machine_enter(false);
}

static bool in_l1(void)
{
	if (machine_current_vmcs() != l1_cpu->vmcs01)
		return false;
	assert_int_equal(vmread_unchecked(VMCS_GUEST_RIP), HOST_RIP);
	return true;
}

/*
 * The CPU would write to Umbra's memory by such an address. What L1 writes after an entry is looked
 * at before the next.
 */
static void test_hidden_addresses(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		set(VMCS_PIN_CONTROLS,
		    get(VMCS_PIN_CONTROLS) | PIN_EXT_INTR_EXITING | PIN_POSTED_INTR);
		set(VMCS_PRIMARY_CONTROLS, get(VMCS_PRIMARY_CONTROLS) | CPU_TPR_SHADOW);
		set(VMCS_SECONDARY_CONTROLS, get(VMCS_SECONDARY_CONTROLS) |
						     CPU2_VIRTUAL_APIC_ACCESSES |
						     CPU2_VIRTUAL_INTR_DELIVERY);
		set(VMCS_EXIT_CONTROLS, get(VMCS_EXIT_CONTROLS) | EXIT_ACK_INTR);
		enter();
		l2_exits(REASON_CPUID, 0, 0);
		for (u32 f = 0; f < F_COUNT; f++) {
			if (field_info[f].policy != POLICY_ADDRESS)
				continue;
			set(field_info[f].encoding, MACHINE_OWN + PAGE_SIZE);
			if (l1_execute(REASON_VMRESUME, 0) != FAIL_VALID)
				fail_msg("%s: the entry did not fail; is its control set above?",
					 field_info[f].name);
			assert_int_equal(get(VMCS_VM_INSTRUCTION_ERROR), 7);
			set(field_info[f].encoding, 0);
			assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
			l2_exits(REASON_CPUID, 0, 0);
		}
	}
}

enum {
	READ = 1,
	WRITE = 2,
	FETCH = 4,
	LINEAR = 3 << 7, /* by the translation of a linear address */
};

/* "Exit Qualification for EPT Violations": bits 5:3 are what ept12 allows. */
static void violation(u64 rights, u64 access)
{
	l2_exits(EPT_VIOLATION, access | LINEAR, 0);
	assert_true(in_l1());
	assert_int_equal(get(VMCS_EXIT_REASON), EPT_VIOLATION);
	assert_int_equal(get(VMCS_EXIT_QUALIFICATION), access | LINEAR | rights << 3);
	assert_int_equal(get(VMCS_GUEST_PHYSICAL_ADDRESS), L2_GPA + 0x123);
	assert_int_equal(get(VMCS_GUEST_LINEAR_ADDRESS), 0x777123);
}

static void test_violations_of_ept12(void **state)
{
	static const u64 some_rights[] = {0, READ, READ | WRITE, READ | FETCH};

	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		for (size_t i = 0; i < ARRAY_SIZE(some_rights); i++) {
			for (u64 access = READ; access <= FETCH; access <<= 1) {
				if (access & some_rights[i])
					continue;
				start(shadow);
				map_page(some_rights[i]);
				enter();
				violation(some_rights[i], access);
			}
		}
	}
}

enum {
	USER_FETCH = 1 << 10, /* an entry's bit with "mode-based execute control for EPT" */
	USER = 1 << 9,        /* of the qualification, advanced information */
	SHADOW_STACK = 1 << 13,
};
static const u64 SHADOW_STACK_PAGE = 1ull << 60;

/* L2's address 777123H by 4-level paging, with U/S set in all entries or missing in one. */
static void map_linear(unsigned int supervisor_level)
{
	enum { L2_TABLES = 0x4000, L1_TABLES = 0x1a000 };
	static const u64 index[] = {0x777123 >> 12 & 511, 0x777123 >> 21, 0, 0};

	for (unsigned int level = 4; level >= 1; level--) {
		const u64 n = 4 - level;
		const u64 next = level == 1 ? L2_GPA : L2_TABLES + (n + 1) * 4096;

		write_entry(EPT12 + 0x3000 + (L2_TABLES / 4096 + n) * 8,
			    (L1_TABLES + n * 4096) | 6 << 3 | 3);
		write_entry(L1_TABLES + n * 4096 + index[level - 1] * 8,
			    next | (level == supervisor_level ? 3 : 7));
	}
	machine_set_field(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG);
	machine_set_field(VMCS_GUEST_CR3, L2_TABLES);
	machine_set_field(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
	machine_set_field(VMCS_GUEST_EFER, EFER_LMA | EFER_LME);
}

/* An access that ept12 allows, or not: then the qualification has these bits of rights. */
static void access_by_rights(u64 access, bool allowed, u64 rights)
{
	l2_exits(EPT_VIOLATION, access | LINEAR, 0);
	assert_int_equal(in_l1(), !allowed);
	if (allowed)
		return;
	assert_int_equal(get(VMCS_EXIT_REASON), EPT_VIOLATION);
	assert_int_equal(get(VMCS_EXIT_QUALIFICATION), access | LINEAR | rights);
}

static void start_with(bool shadow, u64 secondary, u64 eptp_bits, u64 rights)
{
	start(shadow);
	map_page(rights);
	/* Above the page all is allowed. */
	for (u64 level = 0; level < 3; level++)
		write_entry(EPT12 + level * 0x1000, (EPT12 + (level + 1) * 0x1000) | 0x407);
	set(VMCS_SECONDARY_CONTROLS, (u32)nested_caps.secondary | CPU2_EPT | secondary);
	set(VMCS_EPT_POINTER, ept_pointer | eptp_bits);
	enter();
}

/*
 * "Mode-based execute control for EPT": the address decides about a fetch. The qualification's bit
 * 6 is entries' bit 10, with that control. Advanced information tells which address it is; without,
 * L2's paging does.
 */
static void test_mode_based_execution(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 64; n++) {
		const bool shadow = n & 1, control = n & 2, advanced = n & 4, user = n & 8;
		const u64 rights = READ | (n & 16 ? FETCH : 0) | (n & 32 ? USER_FETCH : 0);
		const bool allowed = rights & (control && user ? USER_FETCH : FETCH);
		const u64 seen =
			(rights & 7) << 3 | (control && (rights & USER_FETCH) ? 1 << 6 : 0);

		start_with(shadow, control ? CPU2_MBEC : 0, 0, rights);
		map_linear(user ? 0 : 2);
		if (!advanced)
			nested_caps.ept_vpid &= ~EPT_CAP_ADV_VIOLATION;
		access_by_rights(FETCH | (advanced && user ? USER : 0), allowed, seen);
		if (!allowed)
			continue;
		access_by_rights(READ, true, seen);
		access_by_rights(WRITE, false, seen);
	}
}

/* Without paging every address is a user-mode one; where no level says user, it is none. */
static void test_mode_of_address(void **state)
{
	(void)state;
	for (unsigned int level = 0; level <= 5; level++) {
		start_with(true, CPU2_MBEC, 0, READ | USER_FETCH);
		nested_caps.ept_vpid &= ~EPT_CAP_ADV_VIOLATION;
		map_linear(level);
		if (level == 5)
			machine_set_field(VMCS_GUEST_CR0, CR0_PE | CR0_NE);
		access_by_rights(FETCH, level == 0 || level == 5, READ << 3 | 1 << 6);
	}
	/* What L2's paging does not map any more, L2 tries again, and meets the page fault. */
	start_with(true, CPU2_MBEC, 0, READ | USER_FETCH);
	nested_caps.ept_vpid &= ~EPT_CAP_ADV_VIOLATION;
	map_linear(0);
	machine_set_field(VMCS_GUEST_CR3, 0x8000);
	access_by_rights(FETCH, true, 0);
	assert_int_equal(l1_cpu->nested->ept02.faults, 0);
}

/*
 * "EPT Violations", supervisor shadow-stack control: bit 60 allows what is asked for, and nothing
 * else does. Bit 14 of the qualification tells it.
 */
static void test_shadow_stack_accesses(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 64; n++) {
		const bool control = n & 1, advanced = n & 2, user = n & 4;
		const u64 access = n & 8 ? WRITE : READ;
		const u64 rights = READ | (n & 16 ? WRITE : 0) | (n & 32 ? SHADOW_STACK_PAGE : 0);
		const bool special = control && !user;
		const bool allowed = special ? rights & SHADOW_STACK_PAGE : rights & access;

		start_with(true, 0, control ? 1 << 7 : 0, rights);
		map_linear(user ? 0 : 1);
		if (!advanced)
			nested_caps.ept_vpid &= ~EPT_CAP_ADV_VIOLATION;
		access_by_rights(access | SHADOW_STACK | (advanced && user ? USER : 0), allowed,
				 (rights & 7) << 3 |
					 (control && (rights & SHADOW_STACK_PAGE) ? 1 << 14 : 0));
	}
}

/* What ept12 allows is not for L1 to know: L2 goes on. */
static void test_violations_of_ept02(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		map_page(READ | WRITE | FETCH);
		enter();
		for (u64 access = READ; access <= FETCH; access <<= 1) {
			l2_exits(EPT_VIOLATION, access | LINEAR, 0);
			assert_false(in_l1());
		}
		/* Any other exit is L1's. */
		l2_exits(REASON_HLT, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_HLT);
	}
}

static void test_misconfiguration(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		map_page(WRITE);
		enter();
		l2_exits(EPT_VIOLATION, READ | LINEAR, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), EPT_MISCONFIGURATION);
		assert_int_equal(get(VMCS_GUEST_PHYSICAL_ADDRESS), L2_GPA + 0x123);
	}
}

/* An NMI that exits blocks further ones, as its delivery would (SDM "VM Exits", NMIs). */
static void test_nmi_exit(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		set(VMCS_PIN_CONTROLS, (u32)nested_caps.pin | PIN_NMI_EXITING);
		enter();
		l2_exits(REASON_EXCEPTION_NMI, 0, 0x80000202);
		assert_true(in_l1());
		assert_int_equal(vmread_unchecked(VMCS_GUEST_INTERRUPTIBILITY), 8);
		assert_int_equal(get(VMCS_VM_EXIT_INTR_INFO), 0x80000202);
	}
}

static bool window_open(void)
{
	const u64 pin = vmread_unchecked(VMCS_PIN_CONTROLS);
	const bool open = vmread_unchecked(VMCS_PRIMARY_CONTROLS) & CPU_NMI_WINDOW_EXITING;

	/* SDM "Checks on VM-Execution Control Fields". */
	if (open)
		assert_true((pin & PIN_NMI_EXITING) && (pin & PIN_VIRTUAL_NMIS));
	return open;
}

/* One that came while Umbra ran is L1's by an exit, or L2's by injection, once L2 can take it. */
static void test_latched_nmi(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		map_page(READ);
		set(VMCS_PIN_CONTROLS, (u32)nested_caps.pin | PIN_NMI_EXITING);
		enter();
		l1_cpu->nmi_latched = true;
		l2_exits(EPT_VIOLATION, READ | LINEAR, 0);
		assert_false(in_l1());
		l2_exits(REASON_NMI_WINDOW, 0, 0);
		assert_true(in_l1());
		assert_false(l1_cpu->nmi_latched);
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_EXCEPTION_NMI);
		assert_int_equal(get(VMCS_VM_EXIT_INTR_INFO), 0x80000202);
		assert_int_equal(get(VMCS_EXIT_QUALIFICATION), 0);
		assert_int_equal(get(VMCS_IDT_VECTORING_INFO), 0);

		start(shadow);
		map_page(READ);
		enter();
		assert_false(window_open());
		machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, 8);
		l1_cpu->nmi_latched = true;
		l2_exits(EPT_VIOLATION, READ | LINEAR, 0);
		assert_false(in_l1());
		assert_true(window_open());
		/* Another one makes no difference. */
		l2_exits(REASON_EXCEPTION_NMI, 0, 0x80000202);
		assert_false(in_l1());
		assert_true(window_open());
		/* On some CPUs the window opens though STI still blocks. */
		machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, 1);
		l2_exits(REASON_NMI_WINDOW, 0, 0);
		assert_false(in_l1());
		assert_false(l1_cpu->nmi_latched);
		assert_int_equal(vmread_unchecked(VMCS_VM_ENTRY_INTR_INFO), 0x80000202);
		assert_int_equal(vmread_unchecked(VMCS_GUEST_INTERRUPTIBILITY), 0);
		assert_int_equal(vmread_unchecked(VMCS_PIN_CONTROLS) &
					 (PIN_NMI_EXITING | PIN_VIRTUAL_NMIS),
				 0);
		assert_false(window_open());

		/* An exit of L1's that comes before takes it along; nothing of it stays. */
		start(shadow);
		l1_cpu->nmi_latched = true;
		enter();
		assert_true(window_open());
		l2_exits(REASON_HLT, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_HLT);
		assert_true(l1_cpu->nmi_latched);
		l1_cpu->nmi_latched = false;
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
		assert_false(window_open());
	}
}

/*
 * The table of NMIs: what L1 gets of one that waits at an entry or comes while Umbra runs. L2 has
 * two instructions, IRET and VMCALL. Two CPUs run it: the bare one, by the SDM, and the one that
 * executes vmcs02 and calls Umbra at its exits.
 */
enum nmi_place { BEFORE_IRET, BEFORE_VMCALL, AFTER_VMCALL };

struct nmi_cpu {
	u32 pin, primary, timer;
	bool blocked, pending;
	u32 injects;
};

struct nmi_outcome {
	int window; /* where L1's NMI-window exit came, or -1 */
	int nmi;    /* where the NMI came */
	bool exits; /* as an exit, and not by L2's IDT */
};

static bool virtual_nmis(const struct nmi_cpu *cpu)
{
	return cpu->pin & PIN_VIRTUAL_NMIS;
}

static void nmi_inject(struct nmi_cpu *cpu)
{
	/* SDM "Checks on Guest Non-Register State". */
	if (cpu->injects == 0x80000202) {
		assert_false(virtual_nmis(cpu) && cpu->blocked);
		cpu->blocked = true;
	}
	cpu->injects = 0;
}

/* The exit at an instruction boundary, or -1. SDM "Other Causes of VM Exits". */
static int nmi_exit(const struct nmi_cpu *cpu)
{
	if ((cpu->pin & PIN_PREEMPTION_TIMER) && !cpu->timer)
		return REASON_PREEMPTION_TIMER;
	if ((cpu->primary & CPU_NMI_WINDOW_EXITING) && !cpu->blocked)
		return REASON_NMI_WINDOW;
	if (cpu->pending && (cpu->pin & PIN_NMI_EXITING) && (virtual_nmis(cpu) || !cpu->blocked))
		return REASON_EXCEPTION_NMI;
	return -1;
}

/* SDM "Changes to Instruction Behavior in VMX Non-Root Operation". */
static void nmi_iret(struct nmi_cpu *cpu)
{
	if (!(cpu->pin & PIN_NMI_EXITING) || virtual_nmis(cpu))
		cpu->blocked = false;
}

static struct nmi_outcome bare(struct nmi_cpu cpu)
{
	struct nmi_outcome outcome = {-1, AFTER_VMCALL, false};

	nmi_inject(&cpu);
	for (int at = BEFORE_IRET; at < AFTER_VMCALL; at++) {
		int exit = nmi_exit(&cpu);

		if (exit == REASON_NMI_WINDOW)
			return (struct nmi_outcome){at, AFTER_VMCALL, false};
		if (exit == REASON_EXCEPTION_NMI)
			return (struct nmi_outcome){-1, at, true};
		if (cpu.pending && !cpu.blocked) {
			outcome.nmi = at;
			cpu.pending = false;
			cpu.blocked = true;
		}
		nmi_iret(&cpu);
	}
	return outcome;
}

static void read_vmcs02(struct nmi_cpu *cpu)
{
	cpu->pin = (u32)vmread_unchecked(VMCS_PIN_CONTROLS);
	cpu->primary = (u32)vmread_unchecked(VMCS_PRIMARY_CONTROLS);
	cpu->timer = (u32)vmread_unchecked(VMCS_PREEMPTION_TIMER_VALUE);
	cpu->blocked = vmread_unchecked(VMCS_GUEST_INTERRUPTIBILITY) & 8;
	cpu->injects = (u32)vmread_unchecked(VMCS_VM_ENTRY_INTR_INFO);
	if (!(cpu->injects & 0x80000000))
		cpu->injects = 0;
}

static void write_vmcs02(const struct nmi_cpu *cpu)
{
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, cpu->blocked ? 8 : 0);
	machine_set_field(VMCS_VM_ENTRY_INTR_INFO,
			  vmread_unchecked(VMCS_VM_ENTRY_INTR_INFO) & 0x7fffffff);
}

static struct nmi_outcome under_umbra(void)
{
	struct nmi_outcome outcome = {-1, AFTER_VMCALL, false};
	struct nmi_cpu cpu = {0};

	for (int at = BEFORE_IRET, exits = 0; at < AFTER_VMCALL; exits++) {
		const bool waits = l1_cpu->nmi_latched;
		int exit;

		assert_true(exits < 10);
		read_vmcs02(&cpu);
		nmi_inject(&cpu);
		exit = nmi_exit(&cpu);
		if (exit < 0) {
			nmi_iret(&cpu);
			at++;
			write_vmcs02(&cpu);
			continue;
		}
		write_vmcs02(&cpu);
		l2_exits((u32)exit, 0, 0);
		if (waits && !l1_cpu->nmi_latched)
			outcome.nmi = at;
		if (in_l1()) {
			const u64 reason = get(VMCS_EXIT_REASON);

			if (reason == REASON_NMI_WINDOW)
				outcome.window = at;
			outcome.exits = reason == REASON_EXCEPTION_NMI;
			assert_int_equal(waits && !l1_cpu->nmi_latched, outcome.exits);
			return outcome;
		}
	}
	l2_exits(REASON_VMCALL, 0, 0);
	assert_true(in_l1());
	return outcome;
}

static void test_nmi_table(void **state)
{
	static const u32 pins[] = {0, PIN_NMI_EXITING, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS,
				   PIN_NMI_EXITING | PIN_VIRTUAL_NMIS};
	static const u32 injected[] = {0, 0x80000033, 0x80000202};

	(void)state;
	for (u32 i = 0; i < 4u * 2 * 3 * 2 * 2; i++) {
		const u32 window = i % 4 == 3 ? CPU_NMI_WINDOW_EXITING : 0;
		const bool shadow = i / 4 % 2;
		const bool at_entry = i / 8 % 2;
		struct nmi_cpu cpu = {.pin = pins[i % 4],
				      .primary = window,
				      .injects = injected[i / 16 % 3],
				      .blocked = i / 48 % 2,
				      .pending = true};
		struct nmi_outcome expected, outcome;

		if (cpu.injects == 0x80000202 && virtual_nmis(&cpu) && cpu.blocked)
			continue;
		start(shadow);
		map_page(READ);
		set(VMCS_PIN_CONTROLS, (u32)nested_caps.pin | cpu.pin);
		set(VMCS_PRIMARY_CONTROLS,
		    (u32)nested_caps.primary | CPU_SECONDARY_CONTROLS | window);
		set(VMCS_GUEST_INTERRUPTIBILITY, cpu.blocked ? 8 : 0);
		set(VMCS_VM_ENTRY_INTR_INFO, cpu.injects);
		l1_cpu->nmi_latched = at_entry;
		enter();
		if (!at_entry) {
			read_vmcs02(&cpu);
			nmi_inject(&cpu);
			write_vmcs02(&cpu);
			/* An NMI window that is open comes before any instruction. */
			if (!window || cpu.blocked) {
				l1_cpu->nmi_latched = true;
				l2_exits(EPT_VIOLATION, READ | LINEAR, 0);
				assert_false(in_l1());
			}
		}
		cpu.pending = at_entry || l1_cpu->nmi_latched;
		cpu.pin = pins[i % 4];
		cpu.primary = window;
		expected = bare(cpu);
		outcome = under_umbra();
		if (outcome.window != expected.window || outcome.nmi != expected.nmi ||
		    outcome.exits != expected.exits)
			fail_msg("row %u: pin %#x, window %u, blocked %u, injects %#x: window %d, "
				 "NMI %d, exits %d instead of %d, %d, %d",
				 i, cpu.pin, !!window, cpu.blocked, cpu.injects, outcome.window,
				 outcome.nmi, outcome.exits, expected.window, expected.nmi,
				 expected.exits);
	}
}

/* SDM "VMX-Preemption Timer": the exit of L1's that is due at the entry comes first. */
static void test_immediate_exit(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		for (u32 timer = 0; timer < 3; timer++) {
			const u32 pin = (u32)nested_caps.pin | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS |
					(timer ? PIN_PREEMPTION_TIMER : 0);

			start(shadow);
			set(VMCS_PIN_CONTROLS, pin);
			set(VMCS_PREEMPTION_TIMER_VALUE, timer == 1 ? 0 : 500);
			set(VMCS_GUEST_INTERRUPTIBILITY, 8);
			l1_cpu->nmi_latched = true;
			enter();
			assert_int_equal(vmread_unchecked(VMCS_PIN_CONTROLS),
					 pin | PIN_PREEMPTION_TIMER);
			assert_int_equal(vmread_unchecked(VMCS_PREEMPTION_TIMER_VALUE), 0);
			l2_exits(REASON_PREEMPTION_TIMER, 0, 0);
			assert_true(in_l1());
			assert_int_equal(get(VMCS_EXIT_REASON), timer == 1 ? REASON_PREEMPTION_TIMER
									   : REASON_EXCEPTION_NMI);
			assert_int_equal(l1_cpu->nmi_latched, timer == 1);
			/* It is as L1 wrote it: L2 has not run. */
			assert_int_equal(get(VMCS_PREEMPTION_TIMER_VALUE), timer == 1 ? 0 : 500);
			l1_cpu->nmi_latched = false;
			assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
			assert_int_equal(vmread_unchecked(VMCS_PIN_CONTROLS), pin);
		}
	}
}

/* SDM "Saving Non-Register State": without the control the timer's value is as L1 wrote it. */
static void test_timer_not_saved(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		map_page(READ);
		set(VMCS_PIN_CONTROLS, (u32)nested_caps.pin | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS |
					       PIN_PREEMPTION_TIMER);
		set(VMCS_PREEMPTION_TIMER_VALUE, 500);
		set(VMCS_GUEST_INTERRUPTIBILITY, 8);
		enter();
		machine_set_field(VMCS_PREEMPTION_TIMER_VALUE, 300);
		/* Umbra asks for an exit by the timer, and one of L1's comes before it. */
		l1_cpu->nmi_latched = true;
		l2_exits(EPT_VIOLATION, READ | LINEAR, 0);
		assert_false(in_l1());
		assert_int_equal(vmread_unchecked(VMCS_PREEMPTION_TIMER_VALUE), 0);
		l2_exits(REASON_CPUID, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_PREEMPTION_TIMER_VALUE), 500);
	}
}

/*
 * SDM "VM Entries": the checks on guest state and the MSR-load list come before any event, and a
 * VM exit stores the MSRs that the entry has loaded.
 */
static void test_nmi_at_entry(void **state)
{
	enum { LIST = 0x17000 };
	static const u64 load[] = {MSR_IA32_FS_BASE, 0};

	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		for (u32 pin = 0; pin <= PIN_NMI_EXITING; pin += PIN_NMI_EXITING) {
			start(shadow);
			set(VMCS_PIN_CONTROLS, (u32)nested_caps.pin | pin);
			set(VMCS_VM_ENTRY_MSR_LOAD_ADDR, LIST);
			set(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 1);
			guest_memory_write(LIST, load, sizeof(load));
			l1_cpu->nmi_latched = true;
			enter();
			assert_int_equal(vmread_unchecked(VMCS_VM_ENTRY_MSR_LOAD_COUNT), 1);
			/* The hardware finds fault with guest state. */
			l2_exits(0x80000000 | REASON_ENTRY_FAIL_GUEST, 0, 0);
			assert_true(in_l1());
			assert_int_equal(get(VMCS_EXIT_REASON),
					 0x80000000 | REASON_ENTRY_FAIL_GUEST);
			assert_true(l1_cpu->nmi_latched);
			assert_int_equal(l1_execute(REASON_VMRESUME, 0), FAIL_VALID);
			assert_int_equal(get(VMCS_VM_INSTRUCTION_ERROR),
					 VMERR_VMRESUME_NOT_LAUNCHED);
		}
		/* An entry that injects an NMI into an L2 that blocks them, and fails. */
		start(shadow);
		set(VMCS_GUEST_INTERRUPTIBILITY, 8);
		set(VMCS_VM_ENTRY_INTR_INFO, 0x80000202);
		l1_cpu->nmi_latched = true;
		enter();
		l2_exits(0x80000000 | REASON_ENTRY_FAIL_GUEST, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), 8);
	}
}

/* SDM "Machine-Check Events During VM Entry": the entry fails; L2 has not begun. */
static void test_machine_check_at_entry(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		set(VMCS_EXCEPTION_BITMAP, 1u << 18);
		set(VMCS_GUEST_RIP, 0x4321);
		enter();
		assert_true(nested_take_machine_check(l1_cpu));
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), 0x80000000 | REASON_ENTRY_FAIL_MCE);
		assert_int_equal(get(VMCS_GUEST_RIP), 0x4321);
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), FAIL_VALID);
	}
}

/* SDM "Other Causes of VM Exits": INIT exits; "Restrictions on VMX Operation": not in root mode. */
static void test_held_init(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		for (u32 injects = 0; injects < 2; injects++) {
			start(shadow);
			set(VMCS_GUEST_RIP, 0x4321);
			set(VMCS_VM_ENTRY_INTR_INFO, injects ? 0x80000033 : 0);
			l1_cpu->init_held = true;
			l1_cpu->nmi_latched = injects;
			enter();
			machine_set_field(VMCS_VM_ENTRY_INTR_INFO, 0);
			l2_exits(REASON_PREEMPTION_TIMER, 0, 0);
			assert_true(in_l1());
			assert_int_equal(get(VMCS_EXIT_REASON), REASON_INIT);
			assert_int_equal(get(VMCS_EXIT_QUALIFICATION), 0);
			assert_int_equal(get(VMCS_IDT_VECTORING_INFO), 0);
			assert_int_equal(get(VMCS_GUEST_RIP), 0x4321);
			assert_false(l1_cpu->init_held);
			assert_int_equal(l1_cpu->nmi_latched, injects);
			l1_cpu->nmi_latched = false;
			assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
			assert_int_equal(vmread_unchecked(VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER,
					 0);
		}
		/* What comes before it, and Umbra resolves, does not lose it. */
		start(shadow);
		map_page(READ);
		l1_cpu->init_held = true;
		enter();
		l2_exits(EPT_VIOLATION, READ | LINEAR, 0);
		assert_false(in_l1());
		l2_exits(REASON_PREEMPTION_TIMER, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_INIT);
		/* In the wait-for-SIPI state it is blocked. */
		start(shadow);
		set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_SIPI);
		l1_cpu->init_held = true;
		enter();
		assert_int_equal(vmread_unchecked(VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER, 0);
		l2_exits(REASON_SIPI, 0x9a, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_SIPI);
		assert_true(l1_cpu->init_held);
	}
}

/* SDM "MSR-Bitmap Address": without bitmaps, and outside of their ranges, all accesses exit. */
static void test_msrs(void **state)
{
	static const u8 wanted = 1 << 4;

	(void)state;
	for (u32 reason = REASON_RDMSR; reason <= REASON_WRMSR; reason++) {
		const u64 part = reason == REASON_WRMSR ? 2048 : 0;

		start(false);
		enter();
		l1_regs.rcx = 0x174;
		l2_exits(reason, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), reason);

		start(true);
		set(VMCS_PRIMARY_CONTROLS,
		    (u32)nested_caps.primary | CPU_SECONDARY_CONTROLS | CPU_USE_MSR_BITMAPS);
		set(VMCS_MSR_BITMAP, MSR_BITMAP12);
		guest_memory_write(MSR_BITMAP12 + part + 0x174 / 8, &wanted, sizeof(wanted));
		enter();
		/* Not wanted by anybody: L2 does it by itself. */
		l1_regs.rcx = 0x175;
		l2_exits(reason, 0, 0);
		assert_false(in_l1());
		l1_regs.rcx = 0x174;
		l2_exits(reason, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), reason);
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
		l1_regs.rcx = 0x40000000;
		l2_exits(reason, 0, 0);
		assert_true(in_l1());
		/* Umbra's token is for L1 alone. */
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
		l1_regs.rcx = UMBRA_MSR_TOKEN;
		l1_regs.rax = l1_regs.rdx = 0x77;
		l2_exits(reason, 0, 0);
		assert_true(in_l1());
		assert_true(l1_regs.rax == 0x77 && l1_regs.rdx == 0x77);
		assert_int_equal(get(VMCS_EXIT_REASON), reason);
	}
}

/* Whoever in L2 asks Umbra has asked L1. */
static void test_l2_vmcall(void **state)
{
	(void)state;
	start(false);
	enter();
	l1_regs.rax = UMBRA_CALL;
	l2_exits(REASON_VMCALL, 0, 0);
	assert_true(in_l1());
	assert_true(l1_regs.rax == UMBRA_CALL);
	assert_int_equal(get(VMCS_EXIT_REASON), REASON_VMCALL);
}

/* The forms with an immediate, SDM "RDMSR" and "WRMSRNS": the qualification is the MSR's number. */
static void test_msr_immediates(void **state)
{
	static const u8 wanted = 1 << 4;

	(void)state;
	for (u32 write = 0; write < 2; write++) {
		const u32 reason = write ? 85 : 84;

		start(true);
		set(VMCS_PRIMARY_CONTROLS,
		    (u32)nested_caps.primary | CPU_SECONDARY_CONTROLS | CPU_USE_MSR_BITMAPS);
		set(VMCS_MSR_BITMAP, MSR_BITMAP12);
		guest_memory_write(MSR_BITMAP12 + write * 2048 + 0x174 / 8, &wanted,
				   sizeof(wanted));
		enter();
		/* Not the register's. */
		l1_regs.rcx = 0x174;
		l2_exits(reason, 0x175, 0);
		assert_false(in_l1());
		l2_exits(reason, 0x174, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), reason);
		assert_int_equal(get(VMCS_EXIT_QUALIFICATION), 0x174);
	}
}

/*
 * SDM "RDMSRLIST", "WRMSRLIST": each MSR by the bitmap, its number is the qualification. L1 gets
 * the exit as it is, with the data that was to be written.
 */
static void test_msr_lists(void **state)
{
	static const u8 wanted = 1 << 4;

	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		for (u32 write = 0; write < 2; write++) {
			const u32 reason = write ? 79 : 78;

			start(shadow);
			set(VMCS_PRIMARY_CONTROLS,
			    get(VMCS_PRIMARY_CONTROLS) | CPU_USE_MSR_BITMAPS | BIT(17));
			set(VMCS_TERTIARY_CONTROLS, BIT(6));
			set(VMCS_MSR_BITMAP, MSR_BITMAP12);
			guest_memory_write(MSR_BITMAP12 + write * 2048 + 0x174 / 8, &wanted,
					   sizeof(wanted));
			enter();
			assert_int_equal(vmread_unchecked(VMCS_TERTIARY_CONTROLS), BIT(6));
			l1_regs.rcx = 0x174;
			l2_exits(reason, 0x175, 0);
			assert_false(in_l1());
			machine_set_field(VMCS_MSR_DATA, 0);
			l2_exits(reason, 0x174, 0);
			assert_true(in_l1());
			assert_int_equal(get(VMCS_EXIT_REASON), reason);
			assert_int_equal(get(VMCS_EXIT_QUALIFICATION), 0x174);
			assert_int_equal(get(VMCS_MSR_DATA), 0);
		}
		/* Without bitmaps there is nothing to ask. */
		start(shadow);
		set(VMCS_PRIMARY_CONTROLS, get(VMCS_PRIMARY_CONTROLS) | BIT(17));
		set(VMCS_TERTIARY_CONTROLS, BIT(6));
		enter();
		l2_exits(78, 0, 0);
		assert_true(in_l1());
	}
}

/* "Virtualize IA32_SPEC_CTRL": L2's WRMSR changes the shadow, which L1 then reads. */
static void test_spec_ctrl_shadow(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		set(VMCS_PRIMARY_CONTROLS, get(VMCS_PRIMARY_CONTROLS) | BIT(17));
		set(VMCS_TERTIARY_CONTROLS, BIT(7));
		set(VMCS_SPEC_CTRL_MASK, 1);
		set(VMCS_SPEC_CTRL_SHADOW, 2);
		enter();
		assert_int_equal(vmread_unchecked(VMCS_TERTIARY_CONTROLS), BIT(7));
		assert_int_equal(vmread_unchecked(VMCS_SPEC_CTRL_MASK), 1);
		assert_int_equal(vmread_unchecked(VMCS_SPEC_CTRL_SHADOW), 2);
		machine_set_field(VMCS_SPEC_CTRL_SHADOW, 4);
		l2_exits(REASON_CPUID, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_SPEC_CTRL_SHADOW), 4);
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
		assert_int_equal(vmread_unchecked(VMCS_SPEC_CTRL_SHADOW), 4);
		l2_exits(REASON_CPUID, 0, 0);
		/* Without the control vmcs02 has none of it. */
		set(VMCS_PRIMARY_CONTROLS, get(VMCS_PRIMARY_CONTROLS) & ~BIT(17));
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
		assert_int_equal(vmread_unchecked(VMCS_TERTIARY_CONTROLS), 0);
	}
}

/* SDM "Loading …" and "Saving Control Registers, Debug Registers, and MSRs": UINV, by L1's
 * controls.
 */
static void test_uinv(void **state)
{
	enum { OF_L1 = 0x55, OF_FIELD = 0x66, OF_L2 = 0x77 };

	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		for (u32 controls = 0; controls < 4; controls++) {
			const bool loads = controls & 1, clears = controls & 2;

			start(shadow);
			machine_set_field(VMCS_GUEST_UINV, OF_L1);
			set(VMCS_GUEST_UINV, OF_FIELD);
			set(VMCS_ENTRY_CONTROLS, get(VMCS_ENTRY_CONTROLS) | (loads ? BIT(19) : 0));
			set(VMCS_EXIT_CONTROLS, get(VMCS_EXIT_CONTROLS) | (clears ? BIT(27) : 0));
			enter();
			assert_int_equal(vmread_unchecked(VMCS_GUEST_UINV),
					 loads ? OF_FIELD : OF_L1);
			machine_set_field(VMCS_GUEST_UINV, OF_L2);
			l2_exits(REASON_CPUID, 0, 0);
			assert_true(in_l1());
			assert_int_equal(get(VMCS_GUEST_UINV), OF_L2);
			assert_int_equal(vmread_unchecked(VMCS_GUEST_UINV), clears ? 0 : OF_L2);
		}
	}
}

/*
 * SDM "Basic VM-Exit Information": bit 26 tells of a bus lock that came with another exit. One that
 * Umbra keeps to itself becomes L1's exit for the lock.
 */
static void test_bus_lock(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		map_page(READ | WRITE | FETCH);
		enter();
		l2_exits(EPT_VIOLATION | 1u << 26, READ | LINEAR, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), 74);
		assert_int_equal(get(VMCS_EXIT_QUALIFICATION), 0);
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
		/* L1's own exits have the bit as it is. */
		l2_exits(REASON_HLT | 1u << 26, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_HLT | 1u << 26);
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
		l2_exits(74, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), 74);
	}
}

/* "Indirect Branch Predictor Barrier": where L1 goes on after L2, and nowhere else. */
static void test_barrier(void **state)
{
	(void)state;
	for (u32 wanted = 0; wanted < 2; wanted++) {
		start(false);
		l1_cpu->speculation.barrier = wanted;
		l1_barriers = 0;
		map_page(0);
		enter();
		assert_int_equal(l1_barriers, 0);
		/* Umbra's own, and back to L2. */
		map_page(READ | WRITE | FETCH);
		l2_exits(EPT_VIOLATION, READ | LINEAR, 0);
		assert_false(in_l1());
		assert_int_equal(l1_barriers, 0);
		l2_exits(REASON_VMCALL, 0, 0);
		assert_true(in_l1());
		assert_int_equal(l1_barriers, wanted);
	}
}

/* L1 with these controls for I/O, about whose I/O exit L2 comes with this port and size. */
static bool io_exit_of_l2(u64 controls, u16 port, u32 size)
{
	start(false);
	set(VMCS_PRIMARY_CONTROLS, (u32)nested_caps.primary | CPU_SECONDARY_CONTROLS | controls);
	set(VMCS_IO_BITMAP_A, IO_BITMAP12);
	set(VMCS_IO_BITMAP_B, IO_BITMAP12 + PAGE_SIZE);
	enter();
	l1_io_exits = 0;
	l2_exits(REASON_IO_INSTRUCTION, (u32)port << 16 | (size - 1), 0);
	return l1_io_exits == 0;
}

/*
 * SDM "I/O-Bitmap Addresses", and the port that Umbra watches itself: L1 has the exits that it
 * asked for, with what its bitmaps say at the time, and no others.
 */
static void test_io(void **state)
{
	u64 primary;

	(void)state;
	l1_watched_port = 0x405;
	/* L1 lets L2 at all ports: Umbra's bitmaps, and its exit. */
	assert_false(io_exit_of_l2(0, 0x404, 2));
	primary = vmread_unchecked(VMCS_PRIMARY_CONTROLS);
	assert_true(primary & CPU_USE_IO_BITMAPS);
	assert_int_equal(vmread_unchecked(VMCS_IO_BITMAP_A), L1_WATCH_BITMAPS);
	assert_int_equal(vmread_unchecked(VMCS_IO_BITMAP_B), L1_WATCH_BITMAPS + PAGE_SIZE);
	/* L1 has them all. */
	assert_true(io_exit_of_l2(CPU_UNCOND_IO_EXITING, 0x404, 2));
	assert_true(in_l1());
	assert_int_equal(get(VMCS_EXIT_REASON), REASON_IO_INSTRUCTION);
	assert_int_equal(get(VMCS_EXIT_QUALIFICATION), 0x04040001);

	/* Bitmaps, which come before the other control. */
	assert_false(io_exit_of_l2(CPU_USE_IO_BITMAPS | CPU_UNCOND_IO_EXITING, 0x404, 2));
	assert_false(in_l1());
	/* vmcs02 has a copy that no CPU of L1's can change, with the port in it. */
	assert_true(vmread_unchecked(VMCS_IO_BITMAP_A) >= MACHINE_OWN);
	assert_int_equal(((u8 *)phys_to_virt(vmread_unchecked(VMCS_IO_BITMAP_A)))[0x405 / 8],
			 1 << 0x405 % 8);
	/* Two ports away: bit set by L1 for one that the access reaches. */
	start(false);
	guest_memory_write(IO_BITMAP12 + 0x407 / 8, &(u8){1 << 0x407 % 8}, 1);
	set(VMCS_PRIMARY_CONTROLS,
	    (u32)nested_caps.primary | CPU_SECONDARY_CONTROLS | CPU_USE_IO_BITMAPS);
	set(VMCS_IO_BITMAP_A, IO_BITMAP12);
	set(VMCS_IO_BITMAP_B, IO_BITMAP12 + PAGE_SIZE);
	enter();
	assert_int_equal(((u8 *)phys_to_virt(vmread_unchecked(VMCS_IO_BITMAP_A)))[0x405 / 8],
			 1 << 0x405 % 8 | 1 << 0x407 % 8);
	l1_io_exits = 0;
	l2_exits(REASON_IO_INSTRUCTION, 0x04040000 | (2 - 1), 0);
	assert_int_equal(l1_io_exits, 1);
	l2_exits(REASON_IO_INSTRUCTION, 0x04040000 | (4 - 1), 0);
	assert_int_equal(l1_io_exits, 1);
	assert_true(in_l1());
	/* The upper half of the ports, and an access around the end. */
	l1_watched_port = 0xffff;
	assert_false(io_exit_of_l2(CPU_USE_IO_BITMAPS, 0xfffe, 2));
	assert_true(io_exit_of_l2(CPU_USE_IO_BITMAPS, 0xffff, 2));
	/* Nothing to watch: nothing that L1 has not asked for. */
	l1_watched_port = 0;
	start(false);
	enter();
	assert_false(vmread_unchecked(VMCS_PRIMARY_CONTROLS) & CPU_USE_IO_BITMAPS);
}

/* A CPU newer than Umbra: its instruction is L1's only if L1 could know of it. */
static void test_unknown_reasons(void **state)
{
	static const u32 reasons[] = {REASON_COUNT, 0xfff0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		start(false);
		enter();
		l1_injected = 0;
		l2_exits(reasons[i], 0, 0);
		assert_false(in_l1());
		assert_int_equal(l1_injected, 1u << VECTOR_UD);
	}
	/* Those of TDX come to every hypervisor. */
	start(false);
	enter();
	l2_exits(REASON_TDCALL, 0, 0);
	assert_true(in_l1());
	/* What the CPU finds wrong with ept02 is wrong with ept12. */
	start(false);
	enter();
	l2_exits(EPT_MISCONFIGURATION, 0, 0);
	assert_true(in_l1());
	assert_int_equal(get(VMCS_EXIT_REASON), EPT_MISCONFIGURATION);
	assert_int_equal(get(VMCS_GUEST_PHYSICAL_ADDRESS), L2_GPA + 0x123);
}

enum {
	HW_EXCEPTION = 0x80000300,
	WITH_CODE = 0x800,
	GP = 13,
	PF = 14,
	MC = 18,
	NMI_BLOCKED = 8,
	IRET_UNBLOCKED = 1 << 12, /* of a qualification, and of interruption information */
};

/* L2 has come to Umbra by an EPT violation that has another fault in it. */
static void start_with_bitmap(bool shadow, u32 bitmap, u64 qualification)
{
	start(shadow);
	set(VMCS_EXCEPTION_BITMAP, bitmap);
	set(VMCS_PIN_CONTROLS, (u32)nested_caps.pin | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS);
	enter();
	for (u32 f = F_EXIT_REASON; f <= F_IO_RIP; f++)
		machine_set_field(field_info[f].encoding, 0);
	machine_set_field(VMCS_EXIT_REASON, EPT_VIOLATION);
	machine_set_field(VMCS_EXIT_QUALIFICATION, qualification);
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, NMI_BLOCKED);
	l1_cpu->exit_reason = EPT_VIOLATION;
}

/* SDM "Exception Bitmap"; "Information for VM Exits Due to Vectored Events". */
static void test_exceptions_by_umbra(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start_with_bitmap(shadow, ~(1u << GP), 0);
		assert_false(nested_take_exception(l1_cpu, HW_EXCEPTION | WITH_CODE | GP, 0));
		assert_false(in_l1());

		start_with_bitmap(shadow, 1u << GP, 0);
		assert_true(nested_take_exception(l1_cpu, HW_EXCEPTION | WITH_CODE | GP, 0x18));
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_EXCEPTION_NMI);
		assert_int_equal(get(VMCS_VM_EXIT_INTR_INFO), HW_EXCEPTION | WITH_CODE | GP);
		assert_int_equal(get(VMCS_VM_EXIT_INTR_ERROR_CODE), 0x18);
		assert_int_equal(get(VMCS_EXIT_QUALIFICATION), 0);
		assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), NMI_BLOCKED);

		/* The exit undid an IRET's unblocking: the information says so, once. */
		start_with_bitmap(shadow, 1u << GP, IRET_UNBLOCKED);
		assert_true(nested_take_exception(l1_cpu, HW_EXCEPTION | GP, 0));
		assert_int_equal(get(VMCS_VM_EXIT_INTR_INFO), HW_EXCEPTION | GP | IRET_UNBLOCKED);
		assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	}
}

/* "Page-Fault Error-Code Mask and Match": equal goes by the bitmap's bit 14, else by its opposite.
 */
static void test_page_faults_by_umbra(void **state)
{
	static const struct {
		u32 bitmap, mask, match, error;
		bool exits;
	} rows[] = {
		{1u << PF, 0, 0, 2, true},    {0, 0, 0, 2, false},  {1u << PF, 2, 2, 2, true},
		{1u << PF, 2, 2, 4, false},   {0, 2, 2, 4, true},   {0, 2, 2, 6, false},
		{1u << PF, 0, ~0u, 0, false}, {0, 0, ~0u, 0, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start_with_bitmap(i % 2, rows[i].bitmap, 0);
		machine_set_field(VMCS_PF_ERROR_CODE_MASK, rows[i].mask);
		machine_set_field(VMCS_PF_ERROR_CODE_MATCH, rows[i].match);
		assert_int_equal(
			nested_take_exception(l1_cpu, HW_EXCEPTION | WITH_CODE | PF, rows[i].error),
			rows[i].exits);
		assert_int_equal(in_l1(), rows[i].exits);
	}
}

static void test_other_events_by_umbra(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start_with_bitmap(shadow, 0, 0);
		nested_triple_fault(l1_cpu);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_TRIPLE_FAULT);
		assert_int_equal(get(VMCS_VM_EXIT_INTR_INFO), 0);

		start_with_bitmap(shadow, ~(1u << MC), 0);
		assert_false(nested_take_machine_check(l1_cpu));
		start_with_bitmap(shadow, 1u << MC, 0);
		assert_true(nested_take_machine_check(l1_cpu));
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_EXCEPTION_NMI);
		assert_int_equal(get(VMCS_VM_EXIT_INTR_INFO), HW_EXCEPTION | MC);

		/* SDM "Restrictions on VMX Operation": INIT waits for VMXOFF. */
		start(shadow);
		assert_true(l1_cpu->init_blocked);
	}
	start(true);
	assert_int_equal(l1_execute(REASON_VMXOFF, 0), SUCCEED);
	assert_false(l1_cpu->init_blocked);
}

enum { VMREAD_BITMAP12 = 0x17000, VMWRITE_BITMAP12 = 0x18000, SHADOW12 = 0x19000 };

/* An L2 that is a hypervisor, whose shadow VMCS has `value` as guest RIP. */
static void start_shadowing(bool shadow, u64 rights, u64 value)
{
	const u32 header = VMCS12_REVISION | (1u << 31);

	start(shadow);
	map_page(rights);
	l1_make_region(SHADOW12);
	guest_memory_write(SHADOW12, &header, sizeof(header));
	assert_int_equal(l1_with_address(REASON_VMPTRLD, SHADOW12), SUCCEED);
	set(VMCS_GUEST_RIP, value);
	assert_int_equal(l1_with_address(REASON_VMCLEAR, SHADOW12), SUCCEED);
	assert_int_equal(l1_with_address(REASON_VMPTRLD, REGION), SUCCEED);
	set(VMCS_SECONDARY_CONTROLS, (u32)nested_caps.secondary | CPU2_EPT | CPU2_VMCS_SHADOWING);
	set(VMCS_VMREAD_BITMAP, VMREAD_BITMAP12);
	set(VMCS_VMWRITE_BITMAP, VMWRITE_BITMAP12);
	set(VMCS_VMCS_LINK_POINTER, SHADOW12);
	set(VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa09b);
	enter();
	machine_set_field(VMCS_GUEST_EFER, EFER_LMA | EFER_LME);
	machine_set_field(VMCS_GUEST_DS_ACCESS_RIGHTS, 0xc093);
}

/* VMREAD or VMWRITE of L2's with an operand in memory. */
static void access_of_l2(u32 reason, u64 linear, u64 encoding)
{
	for (u32 f = F_EXIT_REASON; f <= F_IO_RIP; f++)
		machine_set_field(field_info[f].encoding, 0);
	machine_set_field(VMCS_EXIT_REASON, reason);
	machine_set_field(VMCS_EXIT_QUALIFICATION, linear);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_INFO, L1_INFO_MEMORY | 1 << 28);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_LENGTH, 4);
	l1_regs.rcx = encoding;
	nested_exit_handle(&l1_regs);
	machine_enter(false);
}

/* SDM "VMCS Shadowing": no exit of L1's, whose EPT says where the operand is. */
static void test_shadow_access_through_ept(void **state)
{
	const u64 value = 0x1122334455667788, other = 0x99aabbccddeeff00;
	u64 word = 0;

	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start_shadowing(shadow, READ | WRITE, value);
		access_of_l2(REASON_VMREAD, L2_GPA + 0x120, VMCS_GUEST_RIP);
		assert_false(in_l1());
		guest_memory_read(0x8120, &word, sizeof(word));
		assert_int_equal(word, value);
		guest_memory_write(0x8130, &other, sizeof(other));
		access_of_l2(REASON_VMWRITE, L2_GPA + 0x130, VMCS_GUEST_RIP);
		assert_false(in_l1());
		access_of_l2(REASON_VMREAD, L2_GPA + 0x140, VMCS_GUEST_RIP);
		guest_memory_read(0x8140, &word, sizeof(word));
		assert_int_equal(word, other);
	}
}

/* What ept12 does not allow is an EPT violation in place of the VMREAD. */
static void test_shadow_access_violates_ept(void **state)
{
	u64 word = 0;

	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start_shadowing(shadow, READ, 7);
		access_of_l2(REASON_VMREAD, L2_GPA + 0x120, VMCS_GUEST_RIP);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), EPT_VIOLATION);
		assert_int_equal(get(VMCS_EXIT_QUALIFICATION) & 0x1ff, WRITE | LINEAR | READ << 3);
		assert_int_equal(get(VMCS_GUEST_PHYSICAL_ADDRESS), L2_GPA + 0x120);
		assert_int_equal(get(VMCS_GUEST_LINEAR_ADDRESS), L2_GPA + 0x120);
		/* SDM "Saving RIP, RSP, and RFLAGS". */
		assert_int_equal(get(VMCS_GUEST_RFLAGS) & RFLAGS_RF, RFLAGS_RF);
		guest_memory_read(0x8120, &word, sizeof(word));
		assert_int_equal(word, 0);

		/* The second page of an operand that crosses: its address, and nothing is written.
		 */
		start_shadowing(shadow, READ | WRITE, ~0ull);
		access_of_l2(REASON_VMREAD, L2_GPA + 0xffc, VMCS_GUEST_RIP);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), EPT_VIOLATION);
		assert_int_equal(get(VMCS_EXIT_QUALIFICATION) & 0x1ff, WRITE | LINEAR);
		assert_int_equal(get(VMCS_GUEST_PHYSICAL_ADDRESS), L2_GPA + 0x1000);
		assert_int_equal(get(VMCS_GUEST_LINEAR_ADDRESS), L2_GPA + 0x1000);
		guest_memory_read(0x8ff8, &word, sizeof(word));
		assert_int_equal(word, 0);

		start_shadowing(shadow, WRITE, 7);
		access_of_l2(REASON_VMWRITE, L2_GPA, VMCS_GUEST_RIP);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), EPT_MISCONFIGURATION);
		assert_int_equal(get(VMCS_GUEST_PHYSICAL_ADDRESS), L2_GPA);
		assert_int_equal(get(VMCS_GUEST_RFLAGS) & RFLAGS_RF, RFLAGS_RF);
	}
}

/*
 * SDM "Conventions", VMfailValid: the error is in the current VMCS. For L2 that is the one that
 * L1 entered it with, and not the one that is linked to it.
 */
static void test_shadow_access_unsupported(void **state)
{
	enum { NO_FIELD = 0x7ffe };

	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		for (u32 reason = REASON_VMREAD; reason <= REASON_VMWRITE; reason += 2) {
			start_shadowing(shadow, READ | WRITE, 7);
			access_of_l2(reason, L2_GPA, NO_FIELD);
			assert_false(in_l1());
			assert_int_equal(vmread_unchecked(VMCS_GUEST_RFLAGS) &
						 (RFLAGS_ZF | RFLAGS_CF),
					 RFLAGS_ZF);
			l2_exits(REASON_HLT, 0, 0);
			assert_int_equal(get(VMCS_VM_INSTRUCTION_ERROR), VMERR_UNSUPPORTED_FIELD);
			assert_int_equal(l1_with_address(REASON_VMPTRLD, SHADOW12), SUCCEED);
			assert_int_equal(get(VMCS_VM_INSTRUCTION_ERROR), 0);
		}
	}
}

static jmp_buf halted;

_Noreturn void stop_here(void)
{
	longjmp(halted, 1);
}

/* SDM "VMX Aborts": the indicator in the VMCS region, and the processor does nothing any more. */
static void expect_abort(u32 indicator)
{
	volatile bool stopped = true;
	u32 found;

	if (!setjmp(halted)) {
		l2_exits(REASON_VMCALL, 0, 0);
		stopped = false;
	}
	assert_true(stopped);
	guest_memory_read(REGION + 4, &found, sizeof(found));
	assert_int_equal(found, indicator);
}

/* SDM "Loading MSRs", "Saving MSRs": FS.base is not loaded by a list; bits 63:32 are reserved. */
static void test_vmx_aborts(void **state)
{
	enum { LIST = 0x17000 };
	static const u64 no_load[] = {MSR_IA32_FS_BASE, 0};
	static const u64 no_store[] = {MSR_IA32_SYSENTER_CS | 1ull << 32, 0};

	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start(shadow);
		set(VMCS_VM_EXIT_MSR_LOAD_ADDR, LIST);
		set(VMCS_VM_EXIT_MSR_LOAD_COUNT, 1);
		guest_memory_write(LIST, no_load, sizeof(no_load));
		enter();
		expect_abort(4);

		start(shadow);
		set(VMCS_VM_EXIT_MSR_STORE_ADDR, LIST);
		set(VMCS_VM_EXIT_MSR_STORE_COUNT, 1);
		guest_memory_write(LIST, no_store, sizeof(no_store));
		enter();
		expect_abort(1);
	}
}

/* The CPU refuses at the entry what L1's exit has loaded; or it refuses something of Umbra's. */
static void test_host_state_refused(void **state)
{
	enum { HOST_RSP = 0x7000 };

	(void)state;
	for (u32 l1_has_run = 0; l1_has_run < 2; l1_has_run++) {
		volatile bool stopped = true;
		u32 found = 0;

		start(true);
		set(VMCS_HOST_RSP, HOST_RSP);
		enter();
		l2_exits(REASON_VMCALL, 0, 0);
		assert_true(in_l1());
		if (l1_has_run)
			machine_set_field(VMCS_GUEST_RIP, HOST_RIP + 2);
		if (!setjmp(halted)) {
			nested_l1_entry_failed(l1_cpu);
			stopped = false;
		}
		assert_int_equal(stopped, !l1_has_run);
		guest_memory_read(REGION + 4, &found, sizeof(found));
		assert_int_equal(!!found, stopped);
	}
}

/* L2 reads a page of its own in the n-th 512 GiB of its memory: a table of each level for it. */
static void l2_reads_far(u64 n)
{
	machine_set_field(VMCS_EXIT_REASON, EPT_VIOLATION);
	machine_set_field(VMCS_EXIT_QUALIFICATION, READ | LINEAR);
	machine_set_field(VMCS_IDT_VECTORING_INFO, 0);
	machine_set_field(VMCS_GUEST_PHYSICAL_ADDRESS, n << 39 | L2_GPA);
	nested_exit_handle(&l1_regs);
	machine_enter(false);
	assert_false(machine_current_vmcs() == l1_cpu->vmcs01);
}

static bool timer_is_on(void)
{
	return vmread_unchecked(VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER;
}

/* The pool is used up, and L2 needs more than its CPU is sure of. */
static void start_with_loan(bool shadow, u64 pin)
{
	start(shadow);
	map_page(7);
	for (u64 n = 0; n < 512; n++)
		write_entry(EPT12 + n * 8, (EPT12 + 0x1000) | 7);
	set(VMCS_PIN_CONTROLS, (u32)nested_caps.pin | pin);
	set(VMCS_PREEMPTION_TIMER_VALUE, 500);
	machine_limit_pages(0);
	enter();
	for (u64 n = 0; n < EPT02_RESERVE / 3 && l1_cpu->nested->ept02.loan == LOAN_NONE; n++)
		l2_reads_far(n);
	l2_reads_far(100);
	assert_int_equal(l1_cpu->nested->ept02.loan, LOAN_HELD);
}

/* A loan of tables ends with L2's run, or soon after another CPU needs it. */
static void test_loan_of_tables(void **state)
{
	static struct ept02 other;

	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		start_with_loan(shadow, 0);
		assert_true(timer_is_on());
		/* Nobody waits: it goes on. */
		l2_exits(REASON_PREEMPTION_TIMER, 0, 0);
		assert_false(machine_current_vmcs() == l1_cpu->vmcs01);
		assert_int_equal(l1_cpu->nested->ept02.loan, LOAN_HELD);
		assert_true(timer_is_on());
		other = (struct ept02){0};
		assert_false(loan_ask(&other));
		l2_exits(REASON_PREEMPTION_TIMER, 0, 0);
		assert_false(machine_current_vmcs() == l1_cpu->vmcs01);
		assert_int_equal(l1_cpu->nested->ept02.loan, LOAN_NONE);
		assert_false(timer_is_on());
		assert_true(vmread_unchecked(VMCS_EPT_POINTER) == ept02_eptp(l1_cpu, ept_pointer));
		assert_true(loan_ask(&other));
		/* It is this CPU's turn to wait; L2 gets on without, and leaves the queue. */
		for (u64 n = 0; n < EPT02_RESERVE / 3 + 1; n++)
			l2_reads_far(n);
		assert_int_equal(l1_cpu->nested->ept02.loan, LOAN_WAITS);
		assert_true(timer_is_on());
		l2_exits(REASON_PREEMPTION_TIMER, 0, 0);
		assert_int_equal(l1_cpu->nested->ept02.loan, LOAN_NONE);
		loan_end(&other);

		/* And with a RESET of the CPU, as the machine's sleep is: L2 is no more. */
		start_with_loan(shadow, 0);
		nested_set_l2(l1_cpu, false);
		machine_limit_pages(~0ull);
		offered_vmx.reset(l1_cpu);
		assert_int_equal(l1_cpu->nested->ept02.loan, LOAN_NONE);
		assert_false(l1_cpu->nested->undo);
		other = (struct ept02){0};
		assert_true(loan_ask(&other));
		loan_end(&other);

		start_with_loan(shadow, 0);
		l2_exits(REASON_CPUID, 0, 0);
		assert_true(in_l1());
		assert_int_equal(l1_cpu->nested->ept02.loan, LOAN_NONE);
		assert_int_equal(get(VMCS_PREEMPTION_TIMER_VALUE), 500);
		assert_int_equal(l1_execute(REASON_VMRESUME, 0), ENTERED);
		assert_false(timer_is_on());
		l2_exits(REASON_CPUID, 0, 0);

		/* L1's own timer is L1's exit, which ends the loan, too. */
		start_with_loan(shadow, PIN_PREEMPTION_TIMER);
		assert_true(timer_is_on());
		l2_exits(REASON_PREEMPTION_TIMER, 0, 0);
		assert_true(in_l1());
		assert_int_equal(get(VMCS_EXIT_REASON), REASON_PREEMPTION_TIMER);
		assert_int_equal(l1_cpu->nested->ept02.loan, LOAN_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hidden_addresses),
		cmocka_unit_test(test_violations_of_ept12),
		cmocka_unit_test(test_violations_of_ept02),
		cmocka_unit_test(test_mode_based_execution),
		cmocka_unit_test(test_mode_of_address),
		cmocka_unit_test(test_shadow_stack_accesses),
		cmocka_unit_test(test_misconfiguration),
		cmocka_unit_test(test_nmi_exit),
		cmocka_unit_test(test_latched_nmi),
		cmocka_unit_test(test_nmi_table),
		cmocka_unit_test(test_immediate_exit),
		cmocka_unit_test(test_timer_not_saved),
		cmocka_unit_test(test_nmi_at_entry),
		cmocka_unit_test(test_machine_check_at_entry),
		cmocka_unit_test(test_held_init),
		cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_l2_vmcall),
		cmocka_unit_test(test_msr_immediates),
		cmocka_unit_test(test_msr_lists),
		cmocka_unit_test(test_spec_ctrl_shadow),
		cmocka_unit_test(test_uinv),
		cmocka_unit_test(test_bus_lock),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_unknown_reasons),
		cmocka_unit_test(test_exceptions_by_umbra),
		cmocka_unit_test(test_page_faults_by_umbra),
		cmocka_unit_test(test_other_events_by_umbra),
		cmocka_unit_test(test_shadow_access_through_ept),
		cmocka_unit_test(test_shadow_access_violates_ept),
		cmocka_unit_test(test_shadow_access_unsupported),
		cmocka_unit_test(test_loan_of_tables),
		cmocka_unit_test(test_vmx_aborts),
		cmocka_unit_test(test_host_state_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
