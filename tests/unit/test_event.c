/* SPDX-License-Identifier: BSD-2-Clause */
/* Events that Umbra gives to its guest, L1 or L2. SDM "Event Injection", "Double Fault Exception".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "machine.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/reset.h"
#include "vmx/vmcs.h"

enum {
	EXCEPTION = 0x80000300,
	ERROR_CODE = 0x800,
	NMI = 0x80000202,
	NMI_WINDOW = 1 << 22,
	RF = 0x10000,
};

void exit_unexpected(struct vcpu *vcpu)
{
	(void)vcpu;
	fail();
}

static struct vcpu *vcpu;
static u64 dr6;

/* L2, as far as event.c asks. */
static struct {
	bool intercepts, takes_mc, triple_fault;
	u32 waits;
	u32 taken, taken_error; /* by the hook */
	u32 kept;
} l2;

static jmp_buf reset;
static const char *reset_reason;

u64 read_dr6(void)
{
	return dr6;
}

void write_dr6(u64 value)
{
	dr6 = value;
}

static u32 nmis_unblocked;

void unblock_nmis(void)
{
	nmis_unblocked++;
}

static bool take_exception(struct vcpu *c, u32 info, u32 error_code)
{
	(void)c;
	if (!l2.intercepts)
		return false;
	l2.taken = info;
	l2.taken_error = error_code;
	return true;
}

static void keep_entry_event(struct vcpu *c)
{
	(void)c;
	l2.kept++;
}

static void note_triple_fault(struct vcpu *c)
{
	(void)c;
	l2.triple_fault = true;
}

static void event_waits(struct vcpu *c)
{
	(void)c;
	l2.waits++;
}

/* L1's exit ends L2, and nested looks for what is latched. */
static bool take_machine_check(struct vcpu *c)
{
	if (l2.takes_mc) {
		c->level = NULL;
		event_deliver_latched(c);
	}
	return l2.takes_mc;
}

static const struct guest_level level = {
	.exception = take_exception,
	.event_waits = event_waits,
	.machine_check = take_machine_check,
	.triple_fault = note_triple_fault,
	.keep_entry_event = keep_entry_event,
};

_Noreturn void reset_machine(const char *why)
{
	reset_reason = why;
	longjmp(reset, 1);
}

static u64 get(u64 field)
{
	return vmread_unchecked(field);
}

/* A guest in protected mode with nothing blocked, at an exit without an event. */
static int setup(void **state)
{
	static const u64 zero[] = {
		VMCS_IDT_VECTORING_INFO,     VMCS_IDT_VECTORING_ERROR_CODE,
		VMCS_VM_ENTRY_INTR_INFO,     VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE,
		VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_ACTIVITY_STATE,
		VMCS_PRIMARY_CONTROLS,       VMCS_VM_EXIT_INSTRUCTION_LENGTH,
		VMCS_VM_EXIT_INTR_INFO,      VMCS_VM_ENTRY_INSTRUCTION_LENGTH,
	};
	static const struct vmx_capabilities none;

	(void)state;
	machine_memory_init(4, 4);
	machine_vmx_init(1, &none);
	vcpu = machine_cpu(0);
	machine_run_on(vcpu);
	memset(&l2, 0, sizeof(l2));
	vcpu->nmi_latched = vcpu->mc_latched = false;
	vcpu->cpu.pending_events = 0;
	vcpu->primary_controls = 0;
	for (size_t i = 0; i < ARRAY_SIZE(zero); i++)
		machine_set_field(zero[i], 0);
	machine_set_field(VMCS_GUEST_CR0, CR0_PE);
	machine_set_field(VMCS_GUEST_CR4, CR4_MCE);
	machine_set_field(VMCS_GUEST_RFLAGS, 2);
	machine_set_field(VMCS_GUEST_DR7, 0x400);
	machine_set_field(VMCS_GUEST_DEBUGCTL, 0);
	dr6 = 0xffff0ff0;
	return 0;
}

static void assert_injected(u32 info, u32 error_code)
{
	assert_int_equal(get(VMCS_VM_ENTRY_INTR_INFO), info);
	if (info & ERROR_CODE)
		assert_int_equal(get(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE), error_code);
}

/* "Real mode pushes no error code": the entry wants none for it. RF is set for faults. */
static void test_faults(void **state)
{
	(void)state;
	event_inject_exception(VECTOR_UD, 0);
	assert_injected(EXCEPTION | VECTOR_UD, 0);
	assert_int_equal(get(VMCS_GUEST_RFLAGS), 2 | RF);
	event_inject_exception(VECTOR_SS, 0x18);
	assert_injected(EXCEPTION | ERROR_CODE | VECTOR_SS, 0x18);
	/* SDM "Exception and Interrupt Reference": #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP. */
	for (u32 vector = 0; vector < 32; vector++) {
		const bool has_code = vector == 8 || (vector >= 10 && vector <= 14) ||
				      vector == 17 || vector == 21;

		event_inject_exception((enum vector)vector, 7);
		assert_injected(EXCEPTION | (has_code ? ERROR_CODE : 0) | vector, 7);
	}
	machine_set_field(VMCS_GUEST_CR0, 0);
	event_inject_exception(VECTOR_GP, 0);
	assert_injected(EXCEPTION | VECTOR_GP, 0);
}

/* L1's exception bitmap decides what becomes of L2's. */
static void test_faults_of_l2(void **state)
{
	(void)state;
	vcpu->level = &level;
	event_inject_exception(VECTOR_GP, 5);
	assert_injected(EXCEPTION | ERROR_CODE | VECTOR_GP, 5);
	assert_int_equal(l2.kept, 1);
	setup(NULL);
	vcpu->level = &level;
	l2.intercepts = true;
	event_inject_exception(VECTOR_GP, 6);
	assert_injected(0, 0);
	assert_int_equal(l2.taken, EXCEPTION | ERROR_CODE | VECTOR_GP);
	assert_int_equal(l2.taken_error, 6);
	assert_int_equal(get(VMCS_GUEST_RFLAGS), 2 | RF);
}

/* SDM table "Conditions for Generating a Double Fault". */
static void test_combinations(void **state)
{
	enum { SERIALLY, DOUBLE };
	static const struct {
		u32 first, second;
		bool error;
		int becomes;
	} rows[] = {
		{VECTOR_UD, VECTOR_GP, true, SERIALLY},  {VECTOR_DB, VECTOR_PF, true, SERIALLY},
		{VECTOR_DE, VECTOR_GP, true, DOUBLE},    {VECTOR_TS, VECTOR_NP, true, DOUBLE},
		{VECTOR_NP, VECTOR_DE, false, DOUBLE},   {VECTOR_GP, VECTOR_PF, true, SERIALLY},
		{VECTOR_GP, VECTOR_CP, true, DOUBLE},    {VECTOR_CP, VECTOR_SS, true, DOUBLE},
		{VECTOR_PF, VECTOR_GP, true, DOUBLE},    {VECTOR_PF, VECTOR_PF, true, DOUBLE},
		{VECTOR_VE, VECTOR_PF, true, DOUBLE},    {VECTOR_PF, VECTOR_VE, false, DOUBLE},
		{VECTOR_PF, VECTOR_UD, false, SERIALLY}, {VECTOR_GP, VECTOR_UD, false, SERIALLY},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(NULL);
		machine_set_field(VMCS_IDT_VECTORING_INFO, EXCEPTION | rows[i].first);
		event_inject_combined((enum vector)rows[i].second, 0x20);
		if (rows[i].becomes == DOUBLE)
			assert_injected(EXCEPTION | ERROR_CODE | VECTOR_DF, 0);
		else
			assert_injected(EXCEPTION | rows[i].second |
						(rows[i].error ? ERROR_CODE : 0),
					0x20);
	}
	/* Interrupts and NMIs are benign, and so are software events. */
	for (u32 type = 0; type < 8; type++) {
		if (type == 3)
			continue;
		setup(NULL);
		machine_set_field(VMCS_IDT_VECTORING_INFO, 0x80000000 | type << 8 | VECTOR_GP);
		event_inject_combined(VECTOR_GP, 0);
		assert_injected(EXCEPTION | ERROR_CODE | VECTOR_GP, 0);
	}
}

static void test_after_double_fault(void **state)
{
	(void)state;
	machine_set_field(VMCS_IDT_VECTORING_INFO, EXCEPTION | ERROR_CODE | VECTOR_DF);
	if (!setjmp(reset)) {
		event_inject_combined(VECTOR_GP, 0);
		fail();
	}
	assert_string_equal(reset_reason, "triple fault in the guest");
	setup(NULL);
	machine_set_field(VMCS_IDT_VECTORING_INFO, EXCEPTION | ERROR_CODE | VECTOR_DF);
	vcpu->level = &level;
	event_inject_combined(VECTOR_GP, 0);
	assert_true(l2.triple_fault);
	/* The fault that L1 intercepts is its exit before it is combined. */
	setup(NULL);
	machine_set_field(VMCS_IDT_VECTORING_INFO, EXCEPTION | ERROR_CODE | VECTOR_PF);
	vcpu->level = &level;
	l2.intercepts = true;
	event_inject_combined(VECTOR_GP, 0x10);
	assert_int_equal(l2.taken, EXCEPTION | ERROR_CODE | VECTOR_GP);
	assert_int_equal(l2.taken_error, 0x10);
}

/* Bit 12 of the qualification: the exit undid an IRET's unblocking of NMIs. */
static void test_nmi_unblocked(void **state)
{
	(void)state;
	event_inject_gp0_combined(true);
	assert_injected(EXCEPTION | ERROR_CODE | VECTOR_GP, 0);
	assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	setup(NULL);
	event_redeliver(true);
	assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	assert_injected(0, 0);
	setup(NULL);
	event_redeliver(false);
	assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	/* It means nothing during the delivery of an event. */
	machine_set_field(VMCS_IDT_VECTORING_INFO, EXCEPTION | VECTOR_UD);
	event_inject_gp0_combined(true);
	assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

/* SDM "VM-Entry Controls for Event Injection": what each type brings with it. */
static void test_redelivery(void **state)
{
	static const u32 with_length[] = {4, 5, 6};

	(void)state;
	machine_set_field(VMCS_IDT_VECTORING_INFO, 0x80001b0d); /* #GP, bit 12 undefined */
	machine_set_field(VMCS_IDT_VECTORING_ERROR_CODE, 0x1234);
	event_redeliver(false);
	assert_injected(EXCEPTION | ERROR_CODE | VECTOR_GP, 0x1234);
	for (size_t i = 0; i < ARRAY_SIZE(with_length); i++) {
		setup(NULL);
		machine_set_field(VMCS_IDT_VECTORING_INFO, 0x80000003 | with_length[i] << 8);
		machine_set_field(VMCS_VM_EXIT_INSTRUCTION_LENGTH, 2);
		event_redeliver(false);
		assert_injected(0x80000003 | with_length[i] << 8, 0);
		assert_int_equal(get(VMCS_VM_ENTRY_INSTRUCTION_LENGTH), 2);
	}
	/* An NMI blocks NMIs when its delivery begins; none can be injected into that. */
	setup(NULL);
	machine_set_field(VMCS_IDT_VECTORING_INFO, NMI);
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	event_redeliver(false);
	assert_injected(NMI, 0);
	assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

/* What delivery of a #DB does to the debug registers, which an entry does not. */
static void test_debug_trap(void **state)
{
	(void)state;
	machine_set_field(VMCS_GUEST_DR7, 0x400 | DR7_GD | 1);
	machine_set_field(VMCS_GUEST_DEBUGCTL, 0x4003);
	event_inject_debug_trap(1ull << 15);
	assert_injected(EXCEPTION | VECTOR_DB, 0);
	assert_int_equal(dr6, 0xffff8ff0);
	assert_int_equal(get(VMCS_GUEST_DR7), 0x401);
	assert_int_equal(get(VMCS_GUEST_DEBUGCTL), 0x4000);
}

/* SDM "Checks on Guest Non-Register State": where an NMI cannot be injected, a window is asked for.
 */
static void test_nmi(void **state)
{
	static const struct {
		u64 field, value;
	} obstacles[] = {
		{VMCS_VM_ENTRY_INTR_INFO, EXCEPTION | VECTOR_GP},
		{VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI},
		{VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS},
		{VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI},
		{VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_SHUTDOWN},
		{VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_SIPI},
	};

	(void)state;
	event_nmi(vcpu);
	assert_injected(NMI, 0);
	assert_false(vcpu->nmi_latched);
	assert_int_equal(get(VMCS_PRIMARY_CONTROLS), 0);
	for (size_t i = 0; i < ARRAY_SIZE(obstacles); i++) {
		setup(NULL);
		machine_set_field(obstacles[i].field, obstacles[i].value);
		event_nmi(vcpu);
		assert_true(vcpu->nmi_latched);
		assert_int_not_equal(get(VMCS_VM_ENTRY_INTR_INFO), NMI);
		assert_int_equal(get(VMCS_PRIMARY_CONTROLS), NMI_WINDOW);
		/* The window opens. */
		machine_set_field(obstacles[i].field, 0);
		nmi_window_exit(vcpu, NULL);
		assert_injected(NMI, 0);
		assert_false(vcpu->nmi_latched);
		assert_int_equal(get(VMCS_PRIMARY_CONTROLS), 0);
	}
	/* Some CPUs open it while STI still blocks. */
	setup(NULL);
	vcpu->nmi_latched = true;
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	nmi_window_exit(vcpu, NULL);
	assert_injected(NMI, 0);
	assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	/* L2's are nested/l2_event.c's. */
	setup(NULL);
	vcpu->level = &level;
	event_nmi(vcpu);
	assert_int_equal(l2.waits, 1);
	assert_injected(0, 0);
}

static void test_nmi_exit(void **state)
{
	(void)state;
	machine_set_field(VMCS_VM_EXIT_INTR_INFO, NMI);
	nmis_unblocked = 0;
	exception_nmi_exit(vcpu, NULL);
	assert_int_equal(nmis_unblocked, 1);
	assert_injected(NMI, 0);
}

/* An NMI or #MC that hit Umbra, after the last look and before the entry. */
static void test_pending(void **state)
{
	static struct guest_regs regs;

	(void)state;
	vcpu->cpu.pending_events = PENDING_NMI;
	vcpu->launched = true;
	assert_true(event_deliver_late(&regs));
	assert_ptr_equal(vcpu->regs, &regs);
	assert_int_equal(vcpu->cpu.pending_events, 0);
	assert_injected(NMI, 0);
	setup(NULL);
	/* A machine check goes first, and the NMI has to wait for a window. */
	vcpu->cpu.pending_events = PENDING_NMI | PENDING_MC;
	assert_false(event_deliver_late(&regs));
	assert_injected(EXCEPTION | VECTOR_MC, 0);
	assert_true(vcpu->nmi_latched);
	assert_false(vcpu->mc_latched);
	assert_int_equal(get(VMCS_PRIMARY_CONTROLS), NMI_WINDOW);
	/* L2 has ended: what waited comes now, and nothing if nothing did. */
	setup(NULL);
	event_deliver_latched(vcpu);
	assert_injected(0, 0);
	vcpu->nmi_latched = true;
	event_deliver_latched(vcpu);
	assert_injected(NMI, 0);
}

/* SDM "Machine-Check Exception (#MC)": shutdown while CR4.MCE is 0. */
static void test_machine_check(void **state)
{
	(void)state;
	vcpu->mc_latched = true;
	machine_set_field(VMCS_GUEST_CR4, 0);
	if (!setjmp(reset)) {
		event_deliver_latched(vcpu);
		fail();
	}
	assert_string_equal(reset_reason, "machine check while the guest has CR4.MCE clear");
	/* Not into an entry that has an event, nor into wait-for-SIPI: later. */
	setup(NULL);
	vcpu->mc_latched = true;
	machine_set_field(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_SIPI);
	event_deliver_latched(vcpu);
	assert_injected(0, 0);
	assert_true(vcpu->mc_latched);
	assert_int_equal(get(VMCS_PRIMARY_CONTROLS), NMI_WINDOW);
	/* L1 intercepts it. */
	setup(NULL);
	vcpu->mc_latched = true;
	vcpu->level = &level;
	l2.takes_mc = true;
	event_deliver_latched(vcpu);
	assert_false(vcpu->mc_latched);
	assert_injected(0, 0);
	setup(NULL);
	vcpu->mc_latched = true;
	vcpu->level = &level;
	event_deliver_latched(vcpu);
	assert_injected(EXCEPTION | VECTOR_MC, 0);
	assert_int_equal(l2.kept, 1);
	/* The next entry has another event: the machine check waits for L2 to have got it. */
	setup(NULL);
	vcpu->mc_latched = true;
	vcpu->level = &level;
	machine_set_field(VMCS_VM_ENTRY_INTR_INFO, EXCEPTION | VECTOR_PF);
	event_deliver_latched(vcpu);
	assert_true(vcpu->mc_latched);
	assert_int_equal(l2.waits, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_faults, setup),
		cmocka_unit_test_setup(test_faults_of_l2, setup),
		cmocka_unit_test_setup(test_combinations, setup),
		cmocka_unit_test_setup(test_after_double_fault, setup),
		cmocka_unit_test_setup(test_nmi_unblocked, setup),
		cmocka_unit_test_setup(test_redelivery, setup),
		cmocka_unit_test_setup(test_debug_trap, setup),
		cmocka_unit_test_setup(test_nmi, setup),
		cmocka_unit_test_setup(test_nmi_exit, setup),
		cmocka_unit_test_setup(test_pending, setup),
		cmocka_unit_test_setup(test_machine_check, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
