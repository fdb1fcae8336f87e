/* SPDX-License-Identifier: BSD-2-Clause */
/* Each VMX instruction of L1 by its page in SDM "VMX Instruction Reference": faults and failures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/cr.h>
#include <x86/msr.h>

#include "l1.h"
#include "lib/insn.h"
#include "mm/guest_memory.h"
#include "mm/pages.h"
#include "nested/nested.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "vmx/guest_level.h"
#include "vmx/vmcs.h"

enum {
	REGION = 0x10000,
	GUEST_PAGES = 32,
	UD = 1 << 6,
	GP = 1 << 13,
};

static int setup(void **state)
{
	(void)state;
	l1_rng.state = 1;
	l1_start(1, GUEST_PAGES, false, true);
	l1_make_region(REGION);
	return 0;
}

static void faults(enum outcome outcome, u32 exception)
{
	assert_int_equal(outcome, FAULT);
	assert_int_equal(l1_injected, exception);
}

/* VMfailValid with this number. */
static void fails(enum outcome outcome, u64 error)
{
	u64 value = 0;

	assert_int_equal(outcome, FAIL_VALID);
	assert_int_equal(l1_vmread(VMCS_VM_INSTRUCTION_ERROR, &value), SUCCEED);
	assert_int_equal(value, error);
}

static void vmxon(void)
{
	assert_int_equal(l1_with_address(REASON_VMXON, l1_vmxon_region()), SUCCEED);
}

static void vmptrld_region(void)
{
	assert_int_equal(l1_with_address(REASON_VMPTRLD, REGION), SUCCEED);
}

static void set_cpl(u32 cpl)
{
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc093 | cpl << 5);
}

static const u32 all[] = {REASON_VMCALL,  REASON_VMCLEAR, REASON_VMLAUNCH, REASON_VMPTRLD,
			  REASON_VMPTRST, REASON_VMREAD,  REASON_VMRESUME, REASON_VMWRITE,
			  REASON_VMXOFF,  REASON_INVEPT,  REASON_INVVPID};

static void test_outside_vmx_operation(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		faults(l1_execute(all[i], L1_INFO_MEMORY), UD);
	/* #UD before #GP. */
	set_cpl(3);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		faults(l1_execute(all[i], L1_INFO_MEMORY), UD);
}

static void test_privilege(void **state)
{
	(void)state;
	vmxon();
	for (u32 cpl = 1; cpl <= 3; cpl++) {
		set_cpl(cpl);
		for (size_t i = 0; i < ARRAY_SIZE(all); i++)
			faults(l1_execute(all[i], L1_INFO_MEMORY), GP);
		faults(l1_with_address(REASON_VMXON, l1_vmxon_region()), GP);
	}
	/* And nothing has happened. */
	set_cpl(0);
	assert_int_equal(l1_execute(REASON_VMXOFF, 0), SUCCEED);
}

static void test_vmxon(void **state)
{
	const u32 wrong = VMCS12_REVISION ^ 1, shadow = VMCS12_REVISION | 1u << 31;
	const paddr_t region = l1_vmxon_region();

	(void)state;
	machine_set_field(VMCS_CR4_READ_SHADOW, CR4_PAE);
	faults(l1_with_address(REASON_VMXON, region), UD);
	machine_set_field(VMCS_CR4_READ_SHADOW, CR4_PAE | CR4_VMXE);
	set_cpl(1);
	faults(l1_with_address(REASON_VMXON, region), GP);
	set_cpl(0);
	/* CR0 as VMX operation needs it. */
	machine_set_field(VMCS_GUEST_CR0, CR0_PE | CR0_PG);
	faults(l1_with_address(REASON_VMXON, region), GP);
	machine_set_field(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG);
	for (unsigned int bit = 0; bit < 12; bit++)
		assert_int_equal(l1_with_address(REASON_VMXON, region | BIT(bit)), FAIL_INVALID);
	for (unsigned int bit = MACHINE_MAXPHYADDR; bit < 64; bit++)
		assert_int_equal(l1_with_address(REASON_VMXON, region | BIT(bit)), FAIL_INVALID);
	guest_memory_write(region, &wrong, sizeof(wrong));
	assert_int_equal(l1_with_address(REASON_VMXON, region), FAIL_INVALID);
	/* "bit 31 of the first 32 bits is 1". */
	guest_memory_write(region, &shadow, sizeof(shadow));
	assert_int_equal(l1_with_address(REASON_VMXON, region), FAIL_INVALID);
	l1_make_region(region);
	vmxon();
	/* Twice: VMfail, with a number if there is a current VMCS. */
	assert_int_equal(l1_with_address(REASON_VMXON, region), FAIL_INVALID);
	vmptrld_region();
	fails(l1_with_address(REASON_VMXON, region), 15);
}

static void test_vmxoff(void **state)
{
	(void)state;
	vmxon();
	vmptrld_region();
	assert_int_equal(l1_execute(REASON_VMXOFF, 0), SUCCEED);
	faults(l1_execute(REASON_VMXOFF, 0), UD);
	/* No VMCS is current after the next VMXON. */
	vmxon();
	assert_int_equal(l1_execute(REASON_VMLAUNCH, 0), FAIL_INVALID);
}

/* Each has its own contents, however many Umbra has at hand. */
static void use_in_turn(u32 at_hand)
{
	enum { FIRST = 0x10000, COUNT = VMCS12_CACHE_MAX + 8 };
	u64 value;

	for (u64 i = 0; i < COUNT; i++) {
		l1_make_region(FIRST + i * PAGE_SIZE);
		assert_int_equal(l1_with_address(REASON_VMPTRLD, FIRST + i * PAGE_SIZE), SUCCEED);
		assert_int_equal(l1_vmwrite(VMCS_GUEST_RSP, i + 1), SUCCEED);
	}
	assert_int_equal(machine_cpu(0)->nested->cached, at_hand);
	for (u64 i = 0; i < COUNT; i++) {
		assert_int_equal(l1_with_address(REASON_VMPTRLD, FIRST + i * PAGE_SIZE), SUCCEED);
		assert_int_equal(l1_vmread(VMCS_GUEST_RSP, &value), SUCCEED);
		assert_int_equal(value, i + 1);
	}
}

static void test_many_vmcss(void **state)
{
	(void)state;
	for (int shadow = 0; shadow < 2; shadow++) {
		u64 before;

		l1_start(1, 256, shadow, true);
		before = pages_left();
		vmxon();
		use_in_turn(VMCS12_CACHE_MAX);
		assert_int_equal(l1_execute(REASON_VMXOFF, 0), SUCCEED);
		assert_int_equal(pages_left(), before);
		/* The page tables of L1's guests come first. */
		while (pages_left() >= 256)
			pages_alloc(1);
		vmxon();
		use_in_turn(VMCS12_CACHE_MIN);
	}
}

/* No dual-monitor treatment of SMIs. */
static void test_vmcall(void **state)
{
	(void)state;
	vmxon();
	assert_int_equal(l1_execute(REASON_VMCALL, 0), FAIL_INVALID);
	vmptrld_region();
	fails(l1_execute(REASON_VMCALL, 0), 1);
}

static void test_vmptrld_shadow_indicator(void **state)
{
	const u32 shadow = VMCS12_REVISION | 1u << 31;

	(void)state;
	vmxon();
	vmptrld_region();
	guest_memory_write(0x11000, &shadow, sizeof(shadow));
	/* L1's processor has no VMCS shadowing, or it may load such a VMCS. */
	if (!(nested_caps.secondary >> 32 & CPU2_VMCS_SHADOWING))
		fails(l1_with_address(REASON_VMPTRLD, 0x11000), 11);
}

/* SDM "VMPTRLD", in its order; whatever the CPU has at hand, and where it has room for more. */
static void test_vmptrld_address(void **state)
{
	(void)state;
	vmxon();
	vmptrld_region();
	fails(l1_with_address(REASON_VMPTRLD, ~0ull), 9);
	fails(l1_with_address(REASON_VMPTRLD, REGION + 8), 9);
	fails(l1_with_address(REASON_VMPTRLD, 1ull << MACHINE_MAXPHYADDR), 9);
	fails(l1_with_address(REASON_VMPTRLD, l1_vmxon_region()), 10);
	vmptrld_region();
}

static enum outcome invalidate(u32 reason, u64 type, u64 low, u64 high)
{
	const u64 descriptor[] = {low, high};

	guest_memory_write(L1_OPERAND, descriptor, sizeof(descriptor));
	l1_regs.rcx = type;
	return l1_execute(reason, L1_INFO_MEMORY | 1 << 28);
}

static void test_invvpid(void **state)
{
	(void)state;
	vmxon();
	assert_int_equal(invalidate(REASON_INVVPID, 4, 1, 0), FAIL_INVALID);
	vmptrld_region();
	/* All four types are offered. */
	for (u64 type = 0; type < 4; type++) {
		assert_int_equal(invalidate(REASON_INVVPID, type, 1, 0x1000), SUCCEED);
		/* Bits 63:16 are reserved. */
		for (unsigned int bit = 16; bit < 64; bit++)
			fails(invalidate(REASON_INVVPID, type, 1 | BIT(bit), 0), 28);
	}
	for (unsigned int bit = 2; bit < 64; bit++)
		fails(invalidate(REASON_INVVPID, BIT(bit), 1, 0), 28);
	/* VPID 0, but for all contexts. */
	fails(invalidate(REASON_INVVPID, 0, 0, 0), 28);
	fails(invalidate(REASON_INVVPID, 1, 0, 0), 28);
	assert_int_equal(invalidate(REASON_INVVPID, 2, 0, 0), SUCCEED);
	fails(invalidate(REASON_INVVPID, 3, 0, 0), 28);
	/* "the linear address is not canonical". */
	fails(invalidate(REASON_INVVPID, 0, 1, 0x800000000000), 28);
	assert_int_equal(invalidate(REASON_INVVPID, 0, 1, 0xffff800000000000), SUCCEED);
	assert_int_equal(invalidate(REASON_INVVPID, 1, 1, 0x800000000000), SUCCEED);
}

static void test_invept(void **state)
{
	(void)state;
	vmxon();
	vmptrld_region();
	assert_int_equal(invalidate(REASON_INVEPT, 1, 0x1000 | 0x1e, 0), SUCCEED);
	assert_int_equal(invalidate(REASON_INVEPT, 2, 0, 0), SUCCEED);
	/* The EPTP of a global invalidation is not looked at. */
	assert_int_equal(invalidate(REASON_INVEPT, 2, ~0ull, 0), SUCCEED);
	/* "VM entry … would fail due to the EPTP value": memory type, walk length, reserved bits.
	 */
	fails(invalidate(REASON_INVEPT, 1, 0x1019, 0), 28);
	fails(invalidate(REASON_INVEPT, 1, 0x1006, 0), 28);
	fails(invalidate(REASON_INVEPT, 1, 0x181e, 0), 28);
	fails(invalidate(REASON_INVEPT, 1, BIT(MACHINE_MAXPHYADDR) | 0x101e, 0), 28);
	fails(invalidate(REASON_INVEPT, 0, 0x101e, 0), 28);
	fails(invalidate(REASON_INVEPT, 3, 0x101e, 0), 28);
	for (unsigned int bit = 2; bit < 64; bit++)
		fails(invalidate(REASON_INVEPT, 1 | BIT(bit), 0x101e, 0), 28);
}

/* "VM entry with events blocked by MOV SS" comes before the launch state. */
static void test_mov_ss(void **state)
{
	(void)state;
	vmxon();
	l1_interruptibility = 2;
	assert_int_equal(l1_execute(REASON_VMLAUNCH, 0), FAIL_INVALID);
	vmptrld_region();
	l1_interruptibility = 2;
	fails(l1_execute(REASON_VMLAUNCH, 0), 26);
	fails(l1_execute(REASON_VMRESUME, 0), 26);
	l1_interruptibility = 0;
	fails(l1_execute(REASON_VMRESUME, 0), 5);
	/* Zeroes are no controls. */
	fails(l1_execute(REASON_VMLAUNCH, 0), 7);
}

static void test_vmread_to_memory(void **state)
{
	u64 value = ~0ull;

	(void)state;
	vmxon();
	vmptrld_region();
	assert_int_equal(l1_vmwrite(VMCS_GUEST_RIP, 0x123456789abcdef0), SUCCEED);
	guest_memory_write(L1_OPERAND, &value, sizeof(value));
	l1_regs.rcx = VMCS_GUEST_RIP;
	assert_int_equal(l1_execute(REASON_VMREAD, L1_INFO_MEMORY | 1 << 28), SUCCEED);
	guest_memory_read(L1_OPERAND, &value, sizeof(value));
	assert_true(value == 0x123456789abcdef0);
	value = 0x1111222233334444;
	guest_memory_write(L1_OPERAND, &value, sizeof(value));
	assert_int_equal(l1_execute(REASON_VMWRITE, L1_INFO_MEMORY | 1 << 28), SUCCEED);
	assert_int_equal(l1_vmread(VMCS_GUEST_RIP, &value), SUCCEED);
	assert_true(value == 0x1111222233334444);
}

/* Outside 64-bit mode operands have 32 bits. */
static void test_32bit_mode(void **state)
{
	u64 value = ~0ull;

	(void)state;
	vmxon();
	vmptrld_region();
	assert_int_equal(l1_vmwrite(VMCS_GUEST_RIP, 0x123456789abcdef0), SUCCEED);
	machine_set_field(VMCS_GUEST_EFER, 0);
	machine_set_field(VMCS_GUEST_CS_ACCESS_RIGHTS, 0xc09b);
	machine_set_field(VMCS_GUEST_DS_BASE, 0);
	machine_set_field(VMCS_GUEST_DS_LIMIT, 0xffffffff);
	l1_regs.rcx = 0xffffffff00000000 | VMCS_GUEST_RIP;
	l1_regs.rax = 0;
	assert_int_equal(l1_execute(REASON_VMREAD, L1_INFO_RAX_RCX), SUCCEED);
	assert_true(l1_regs.rax == 0x9abcdef0);
	guest_memory_write(L1_OPERAND, &value, sizeof(value));
	assert_int_equal(l1_execute(REASON_VMREAD, (L1_INFO_MEMORY & ~(7 << 7)) | 1 << 7 | 1 << 28),
			 SUCCEED);
	guest_memory_read(L1_OPERAND, &value, sizeof(value));
	assert_true(value == 0xffffffff9abcdef0);
	l1_regs.rax = 0xaaaaaaaa55555555;
	assert_int_equal(l1_execute(REASON_VMWRITE, L1_INFO_RAX_RCX), SUCCEED);
	assert_int_equal(l1_execute(REASON_VMREAD, L1_INFO_RAX_RCX), SUCCEED);
	assert_true(l1_regs.rax == 0x55555555);
	/* Beyond the segment's limit. */
	machine_set_field(VMCS_GUEST_DS_LIMIT, L1_OPERAND + 2);
	faults(l1_execute(REASON_VMREAD, (L1_INFO_MEMORY & ~(7 << 7)) | 1 << 7 | 1 << 28), GP);
}

/* Of CPUs that differ L1 may use what all have: it makes a VMCS on one and enters it on another. */
static void test_cpus_that_differ(void **state)
{
	enum { EXIT_CTLS2 = 19 };
	const u64 shadowing = BIT(32 + 14), unrestricted = BIT(32 + 7), load_cet = BIT(32 + 20);
	struct vcpu *other;

	(void)state;
	l1_start(2, GUEST_PAGES, true, true);
	other = machine_cpu(1);
	assert_true(shadow_on);
	assert_true(offered_vmx.msr[MSR_IA32_VMX_PROCBASED_CTLS2 - MSR_IA32_VMX_BASIC] & shadowing);
	assert_true(nested_caps.has_field[F_GUEST_SSP]);
	other->vmx.secondary &= ~(shadowing | unrestricted);
	other->vmx.entry &= ~load_cet;
	other->mtrr.maxphyaddr = 36;
	nested_init_cpu(other);
	assert_false(shadow_on);
	assert_false(offered_vmx.msr[MSR_IA32_VMX_PROCBASED_CTLS2 - MSR_IA32_VMX_BASIC] &
		     (shadowing | unrestricted));
	assert_false(nested_caps.has_field[F_GUEST_SSP]);
	assert_int_equal(nested_caps.maxphyaddr, 36);
	/* What the hardware switches between L2 and Umbra is each CPU's own. */
	assert_true(machine_cpu(0)->nested->switched.entry_controls & load_cet >> 32);
	assert_false(other->nested->switched.entry_controls & load_cet >> 32);
	assert_true(offered_vmx.msrs && !(offered_vmx.msrs >> EXIT_CTLS2 & 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_outside_vmx_operation, setup),
		cmocka_unit_test_setup(test_privilege, setup),
		cmocka_unit_test_setup(test_vmxon, setup),
		cmocka_unit_test_setup(test_vmxoff, setup),
		cmocka_unit_test_setup(test_many_vmcss, setup),
		cmocka_unit_test_setup(test_cpus_that_differ, setup),
		cmocka_unit_test_setup(test_vmcall, setup),
		cmocka_unit_test_setup(test_vmptrld_shadow_indicator, setup),
		cmocka_unit_test_setup(test_vmptrld_address, setup),
		cmocka_unit_test_setup(test_invvpid, setup),
		cmocka_unit_test_setup(test_invept, setup),
		cmocka_unit_test_setup(test_mov_ss, setup),
		cmocka_unit_test_setup(test_vmread_to_memory, setup),
		cmocka_unit_test_setup(test_32bit_mode, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
