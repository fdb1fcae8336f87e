/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT and start-up IPIs. SDM "Other Causes of VM Exits"; "Processor State After Reset"; "MP
 * Initialization Protocol Algorithm for MP Systems".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <x86/cr.h>

#include "lib/insn.h"
#include "machine.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/reset.h"
#include "vmx/setup.h"
#include "vmx/vmcs.h"

enum {
	SIGNATURE = 0x306c3,
	VECTOR = 0x9a,
	RIP = 0x1234,
	PIN = 0x16,
	NMI = 0x80000202,
	NMI_WINDOW = 1 << 22,
	NOT_SET = 99,
};

static struct vcpu *guest;
static struct guest_regs regs;
static u32 init_state; /* the activity state that the CPU got with it, or NOT_SET */

void vmx_guest_init_state(struct vcpu *vcpu, enum activity_state activity)
{
	assert_ptr_equal(vcpu, guest);
	init_state = activity;
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, activity);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO, 0);
}

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	return (struct cpuid){.eax = leaf == 1 ? SIGNATURE : 0};
}

void unblock_nmis(void)
{
}

void exit_unexpected(struct vcpu *vcpu)
{
	(void)vcpu;
	abort();
}

u64 read_dr6(void)
{
	return 0;
}

void write_dr6(u64 value)
{
	(void)value;
}

_Noreturn void reset_machine(const char *why)
{
	(void)why;
	abort();
}

static u64 get(u64 field)
{
	return vmread_unchecked(field);
}

/* An application processor in the middle of something. */
static int setup(void **state)
{
	static const struct vmx_capabilities vmx = {.pin = 0x7f00000016, .ept_vpid = ~0ull};

	(void)state;
	machine_memory_init(4, 4);
	machine_vmx_init(1, &vmx);
	guest = machine_cpu(0);
	machine_run_on(guest);
	guest->pin_controls = PIN;
	machine_set_field(VMCS_PIN_CONTROLS, PIN);
	machine_set_field(VMCS_PRIMARY_CONTROLS, 0);
	machine_set_field(VMCS_GUEST_RIP, RIP);
	machine_set_field(VMCS_GUEST_CR4, CR4_MCE);
	machine_set_field(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	machine_set_field(VMCS_VM_ENTRY_INTR_INFO, 0);
	machine_set_field(VMCS_PREEMPTION_TIMER_VALUE, 7);
	machine_set_field(VMCS_VPID, 1);
	regs = (struct guest_regs){.rax = 7, .rdx = 7, .r15 = 7};
	init_state = NOT_SET;
	return 0;
}

static void sipi(void)
{
	machine_set_field(VMCS_EXIT_QUALIFICATION, VECTOR);
	sipi_exit(guest, &regs);
}

static void assert_in_init_state(void)
{
	assert_int_equal(init_state, ACTIVITY_ACTIVE);
	assert_int_equal(regs.rdx, SIGNATURE);
	assert_int_equal(regs.rax | regs.r15, 0);
	assert_int_equal(machine_log.invvpid_type, INVVPID_SINGLE_CONTEXT);
	assert_int_equal(machine_log.vpid, 1);
}

static void assert_started(void)
{
	assert_int_equal(get(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE);
	assert_int_equal(get(VMCS_GUEST_CS_SELECTOR), VECTOR << 8);
	assert_int_equal(get(VMCS_GUEST_CS_BASE), VECTOR << 12);
	assert_int_equal(get(VMCS_GUEST_RIP), 0);
}

static void assert_waits(void)
{
	assert_int_equal(get(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_WAIT_SIPI);
	/* SDM "Checks on Guest Non-Register State": nothing is blocked or injected then. */
	assert_int_equal(get(VMCS_GUEST_INTERRUPTIBILITY), 0);
	assert_int_equal(get(VMCS_VM_ENTRY_INTR_INFO) & INTR_INFO_VALID, 0);
}

static void test_init_and_sipi(void **state)
{
	(void)state;
	init_exit(guest, &regs);
	assert_waits();
	sipi();
	assert_in_init_state();
	assert_started();
	/* The boot processor goes to the firmware. */
	setup(NULL);
	guest->is_bsp = true;
	init_exit(guest, &regs);
	assert_in_init_state();
}

/* In VMX root operation of L1's it waits. */
static void test_init_blocked(void **state)
{
	(void)state;
	guest->init_blocked = true;
	init_exit(guest, &regs);
	assert_true(guest->init_held);
	assert_int_equal(regs.rax, 7);
	assert_int_equal(init_state, NOT_SET);
	assert_int_equal(get(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_HLT);
}

/* What the CPU was to get before is not for the code that starts. */
static void test_init_forgets(void **state)
{
	(void)state;
	for (u32 bsp = 0; bsp < 2; bsp++) {
		setup(NULL);
		guest->is_bsp = bsp;
		guest->mc_latched = bsp;
		event_nmi(guest);
		assert_int_equal(get(VMCS_PRIMARY_CONTROLS), NMI_WINDOW);
		init_exit(guest, &regs);
		assert_false(guest->nmi_latched);
		assert_false(guest->mc_latched);
		assert_int_equal(get(VMCS_PRIMARY_CONTROLS), 0);
	}
	/* Nor one that was about to be injected. */
	setup(NULL);
	machine_set_field(VMCS_VM_ENTRY_INTR_INFO, NMI);
	init_exit(guest, &regs);
	assert_waits();
}

/*
 * An INIT that came before the SIPI and that the CPU makes an exit of after it does not stop the
 * CPU again: that INIT and one SIPI start it. One that comes once it runs does.
 */
static void test_init_before_sipi(void **state)
{
	(void)state;
	for (u32 late = 0; late < 2; late++) {
		setup(NULL);
		init_exit(guest, &regs);
		sipi();
		/* The exit that tells the two apart comes before any instruction. */
		assert_int_equal(get(VMCS_PIN_CONTROLS), PIN | PIN_PREEMPTION_TIMER);
		assert_int_equal(get(VMCS_PREEMPTION_TIMER_VALUE), 0);
		if (late) {
			preemption_timer_exit(guest, &regs);
			assert_started();
		}
		init_exit(guest, &regs);
		assert_int_equal(get(VMCS_PIN_CONTROLS), PIN);
		if (late)
			assert_waits();
		else
			assert_started();
		/* And the next one in any case. */
		init_exit(guest, &regs);
		assert_waits();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_init_and_sipi, setup),
		cmocka_unit_test_setup(test_init_blocked, setup),
		cmocka_unit_test_setup(test_init_forgets, setup),
		cmocka_unit_test_setup(test_init_before_sipi, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
