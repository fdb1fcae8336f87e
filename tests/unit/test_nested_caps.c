/* SPDX-License-Identifier: BSD-2-Clause */
/* Expectations from SDM appendix "VMX Capability Reporting Facility". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/cr.h>
#include <x86/msr.h>
#include <x86/vmx.h>

#include "nested/caps.h"
#include "nested/untested.h"

/* "Reserved Controls and Default Settings": the default1 classes. */
enum {
	PIN_DEFAULT1 = BIT(1) | BIT(2) | BIT(4),
	PRIMARY_DEFAULT1 = BIT(1) | BITS(6, 4) | BIT(8) | BITS(16, 13) | BIT(26),
	EXIT_DEFAULT1 = BITS(8, 0) | BIT(10) | BIT(11) | BIT(13) | BIT(14) | BIT(16) | BIT(17),
	ENTRY_DEFAULT1 = BITS(8, 0) | BIT(12),
	REVISION = 0x1234567,
};

static vmx_control_cap cap(u64 may, u64 must)
{
	return may << 32 | must;
}

/* A CPU that has everything, present and future. */
static struct vmx_capabilities everything(void)
{
	return (struct vmx_capabilities){
		.has_vmx = true,
		.basic = ~0ull,
		.pin = cap(BITS(31, 0), PIN_DEFAULT1),
		.primary = cap(BITS(31, 0), PRIMARY_DEFAULT1 & ~BITS(16, 15)),
		.secondary = cap(BITS(31, 0), 0),
		.exit = cap(BITS(31, 0), EXIT_DEFAULT1 & ~BIT(2)),
		.entry = cap(BITS(31, 0), ENTRY_DEFAULT1 & ~BIT(2)),
		.tertiary = cap(BITS(31, 0), 0),
		.exit2 = cap(BITS(31, 0), 0),
		.misc = ~0ull,
		.ept_vpid = ~0ull,
		.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG,
		.cr0_fixed1 = BITS(31, 0),
		.cr4_fixed0 = CR4_VMXE,
		.cr4_fixed1 = BITS(31, 0),
	};
}

/* A CPU that can do nothing but the default1 controls. */
static struct vmx_capabilities least(void)
{
	return (struct vmx_capabilities){
		.has_vmx = true,
		.pin = cap(PIN_DEFAULT1, PIN_DEFAULT1),
		.primary = cap(PRIMARY_DEFAULT1, PRIMARY_DEFAULT1),
		.exit = cap(EXIT_DEFAULT1, EXIT_DEFAULT1),
		.entry = cap(ENTRY_DEFAULT1, ENTRY_DEFAULT1),
		.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG,
		.cr0_fixed1 = BITS(31, 0),
		.cr4_fixed0 = CR4_VMXE,
		.cr4_fixed1 = BITS(15, 0),
	};
}

static struct nested_caps made_with(const struct vmx_capabilities *hardware, u32 untested)
{
	struct nested_caps caps;

	nested_caps_init(&caps, hardware, REVISION, 46, untested);
	return caps;
}

static struct nested_caps made(const struct vmx_capabilities *hardware)
{
	return made_with(hardware, 0);
}

static u64 msr(const struct nested_caps *caps, u32 index)
{
	u64 value = 0;

	assert_true(nested_caps_msr(caps, index, &value));
	return value;
}

static void within(vmx_control_cap offered, vmx_control_cap hardware, u32 default1)
{
	/* What may be set can be set; what may be cleared can be cleared; 1s are allowed to be 1.
	 */
	assert_true(((offered & ~hardware) >> 32) == 0);
	assert_true(((u32)hardware & ~(u32)offered) == 0);
	assert_true(((u32)offered & ~(offered >> 32)) == 0);
	assert_true((default1 & ~(offered >> 32)) == 0);
}

static void check_within_with(const struct vmx_capabilities *hardware, u32 untested)
{
	const struct nested_caps caps = made_with(hardware, untested);

	within(caps.tertiary, hardware->tertiary, 0);
	within(caps.exit2, hardware->exit2, 0);
	/* A word of controls is there with the control that activates it. */
	assert_int_equal(vmx_can_set(caps.primary, BIT(17)), caps.tertiary >> 32 != 0);
	assert_int_equal(vmx_can_set(caps.exit, BIT(31)), caps.exit2 >> 32 != 0);
	within(caps.pin, hardware->pin, PIN_DEFAULT1);
	within(caps.primary, hardware->primary, PRIMARY_DEFAULT1);
	within(caps.secondary, hardware->secondary, 0);
	within(caps.exit, hardware->exit, EXIT_DEFAULT1);
	within(caps.entry, hardware->entry, ENTRY_DEFAULT1);
	assert_true((caps.misc & ~hardware->misc) == 0);
	assert_true((caps.ept_vpid & ~hardware->ept_vpid) == 0);
	assert_true((caps.cr0_fixed1 & ~hardware->cr0_fixed1) == 0);
	assert_true((caps.cr4_fixed1 & ~hardware->cr4_fixed1) == 0);
	assert_true((hardware->cr0_fixed0 & ~caps.cr0_fixed0) == 0);
	assert_true((hardware->cr4_fixed0 & ~caps.cr4_fixed0) == 0);
}

static void check_within(const struct vmx_capabilities *hardware)
{
	check_within_with(hardware, 0);
	check_within_with(hardware, UNTESTED_ALL);
}

static void test_nothing_the_hardware_lacks(void **state)
{
	struct vmx_capabilities hardware = everything();

	(void)state;
	check_within(&hardware);
	hardware = least();
	check_within(&hardware);
	/* Each optional control missing alone. */
	for (unsigned int bit = 32; bit < 64; bit++) {
		hardware = everything();
		hardware.secondary &= ~BIT(bit);
		hardware.tertiary &= ~BIT(bit);
		hardware.exit2 &= ~BIT(bit);
		if (!(PIN_DEFAULT1 >> (bit - 32) & 1))
			hardware.pin &= ~BIT(bit);
		if (!(PRIMARY_DEFAULT1 >> (bit - 32) & 1))
			hardware.primary &= ~BIT(bit);
		if (!(EXIT_DEFAULT1 >> (bit - 32) & 1))
			hardware.exit &= ~BIT(bit);
		if (!(ENTRY_DEFAULT1 >> (bit - 32) & 1))
			hardware.entry &= ~BIT(bit);
		check_within(&hardware);
	}
	for (unsigned int bit = 0; bit < 64; bit++) {
		hardware = everything();
		hardware.misc &= ~BIT(bit);
		hardware.ept_vpid &= ~BIT(bit);
		check_within(&hardware);
	}
}

/* "Primary Processor-Based VM-Execution Controls": only the true controls let them be 0. */
static void test_hardware_insists(void **state)
{
	struct vmx_capabilities hardware = everything();

	(void)state;
	hardware.primary |= CPU_CR3_LOAD_EXITING | CPU_CR3_STORE_EXITING;
	hardware.exit |= EXIT_SAVE_DEBUG_CONTROLS;
	hardware.entry |= ENTRY_LOAD_DEBUG_CONTROLS;
	check_within(&hardware);
	const struct nested_caps caps = made(&hardware);

	assert_false(vmx_can_clear(caps.primary, CPU_CR3_LOAD_EXITING));
	assert_false(vmx_can_clear(caps.exit, EXIT_SAVE_DEBUG_CONTROLS));
}

static void test_default1(void **state)
{
	const struct vmx_capabilities hardware = everything();
	const struct nested_caps caps = made(&hardware);

	(void)state;
	/* The older MSRs have them all fixed to 1. */
	assert_int_equal((u32)msr(&caps, MSR_IA32_VMX_PINBASED_CTLS), PIN_DEFAULT1);
	assert_int_equal((u32)msr(&caps, MSR_IA32_VMX_PROCBASED_CTLS), PRIMARY_DEFAULT1);
	assert_int_equal((u32)msr(&caps, MSR_IA32_VMX_EXIT_CTLS), EXIT_DEFAULT1);
	assert_int_equal((u32)msr(&caps, MSR_IA32_VMX_ENTRY_CTLS), ENTRY_DEFAULT1);
	/* The true ones let CR3 accesses and the debug controls go. */
	assert_int_equal((u32)msr(&caps, MSR_IA32_VMX_TRUE_PINBASED_CTLS), PIN_DEFAULT1);
	assert_int_equal((u32)msr(&caps, MSR_IA32_VMX_TRUE_PROCBASED_CTLS),
			 PRIMARY_DEFAULT1 & ~BITS(16, 15));
	assert_int_equal((u32)msr(&caps, MSR_IA32_VMX_TRUE_EXIT_CTLS), EXIT_DEFAULT1 & ~BIT(2));
	assert_int_equal((u32)msr(&caps, MSR_IA32_VMX_TRUE_ENTRY_CTLS), ENTRY_DEFAULT1 & ~BIT(2));
	/* Both kinds agree on what may be 1. */
	assert_true(msr(&caps, MSR_IA32_VMX_PINBASED_CTLS) >> 32 ==
		    msr(&caps, MSR_IA32_VMX_TRUE_PINBASED_CTLS) >> 32);
	assert_true(msr(&caps, MSR_IA32_VMX_PROCBASED_CTLS) >> 32 ==
		    msr(&caps, MSR_IA32_VMX_TRUE_PROCBASED_CTLS) >> 32);
	assert_true(msr(&caps, MSR_IA32_VMX_EXIT_CTLS) >> 32 ==
		    msr(&caps, MSR_IA32_VMX_TRUE_EXIT_CTLS) >> 32);
	assert_true(msr(&caps, MSR_IA32_VMX_ENTRY_CTLS) >> 32 ==
		    msr(&caps, MSR_IA32_VMX_TRUE_ENTRY_CTLS) >> 32);
}

static void test_basic(void **state)
{
	struct vmx_capabilities hardware = everything();
	struct nested_caps caps = made(&hardware);
	u64 basic = msr(&caps, MSR_IA32_VMX_BASIC);

	(void)state;
	assert_int_equal((u32)basic, REVISION); /* bit 31 is always 0 */
	assert_int_equal(basic >> 32 & 0x1fff, 4096);
	assert_int_equal(basic >> 48 & 1, 0); /* VMX regions anywhere */
	assert_int_equal(basic >> 49 & 1, 0); /* no dual-monitor treatment of SMIs */
	assert_int_equal(basic >> 50 & 15, 6);
	assert_int_equal(basic >> 54 & 1, 1);
	assert_int_equal(basic >> 55 & 1, 1);
	assert_true(basic >> 56 == 1); /* error codes for any vector, as in hardware */
	hardware.basic &= ~BIT(54);
	caps = made(&hardware);
	assert_int_equal(msr(&caps, MSR_IA32_VMX_BASIC) >> 54 & 1, 0);
}

/* What is not implemented is not offered, even by a CPU that has it. */
static void test_not_implemented(void **state)
{
	const struct vmx_capabilities hardware = everything();
	const struct nested_caps caps = made(&hardware);
	u64 value;

	(void)state;
	assert_false(vmx_can_set(caps.entry, ENTRY_SMM));
	assert_false(vmx_can_set(caps.entry, ENTRY_DEACTIVATE_DUAL_SMM));
	assert_true((caps.cr4_fixed1 & CR4_SMXE) == 0);
	assert_true((caps.ept_vpid & EPT_CAP_WALK_5) == 0);
	if (!vmx_can_set(caps.secondary, CPU2_VM_FUNCTIONS))
		assert_false(nested_caps_msr(&caps, 0x491, &value));
	assert_false(nested_caps_msr(&caps, 0x47f, &value));
	assert_false(nested_caps_msr(&caps, 0x494, &value));
}

/*
 * "Tertiary Processor-Based VM-Execution Controls", "Secondary VM-Exit Controls": MSRs 492H and
 * 493H have a bit for each control that may be 1, and exist with the control that activates these.
 */
static void test_words_of_64_bits(void **state)
{
	struct vmx_capabilities hardware = everything();
	struct nested_caps caps = made_with(&hardware, UNTESTED_ALL);
	u64 value;

	(void)state;
	assert_true(msr(&caps, 0x492) == (BIT(0) | BIT(6) | BIT(7)));
	assert_true(msr(&caps, 0x493) == BIT(3));
	assert_true(vmx_can_set(caps.primary, BIT(17)) && vmx_can_set(caps.exit, BIT(31)));
	assert_true(caps.has_field[F_TERTIARY_CONTROLS] &&
		    caps.has_field[F_SECONDARY_EXIT_CONTROLS]);
	hardware.primary &= ~BIT(32 + 17);
	hardware.exit2 = 0;
	caps = made_with(&hardware, UNTESTED_ALL);
	assert_false(nested_caps_msr(&caps, 0x492, &value));
	assert_false(nested_caps_msr(&caps, 0x493, &value));
	assert_false(vmx_can_set(caps.exit, BIT(31)));
	assert_false(caps.has_field[F_TERTIARY_CONTROLS] || caps.has_field[F_SPEC_CTRL_MASK] ||
		     caps.has_field[F_SPEC_CTRL_SHADOW] || caps.has_field[F_MSR_DATA] ||
		     caps.has_field[F_SECONDARY_EXIT_CONTROLS]);
}

/* What no machine has shown to work is there for who asks for it, and each by its own word. */
static void test_untested(void **state)
{
	static const struct {
		const char *word;
		u32 word_of_controls;
		u64 bit;
	} expected[] = {
		{"bus-lock", CONTROL_WORD_SECONDARY, BIT(30)},
		{"instruction-timeout", CONTROL_WORD_SECONDARY, BIT(31)},
		{"loadiwkey", CONTROL_WORD_TERTIARY, BIT(0)},
		{"busy-shadow-stack", CONTROL_WORD_EXIT2, BIT(3)},
	};
	const struct vmx_capabilities hardware = everything();
	const struct nested_caps without = made(&hardware);

	(void)state;
	assert_int_equal(ARRAY_SIZE(expected), UNTESTED_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		u32 found = UNTESTED_COUNT;

		for (u32 feature = 0; feature < UNTESTED_COUNT; feature++) {
			if (strcmp(untested_words[feature], expected[i].word) == 0)
				found = feature;
		}
		assert_true(found < UNTESTED_COUNT);
		const struct nested_caps caps = made_with(&hardware, 1u << found);

		for (u32 word = 0; word < CONTROL_WORDS; word++) {
			u64 more = (caps.control[word] ^ without.control[word]) >> 32;

			/* It comes with the control that activates its word. */
			if (word == CONTROL_WORD_EXIT && i == 3)
				more &= ~BIT(31);
			assert_true(more ==
				    (word == expected[i].word_of_controls ? expected[i].bit : 0));
			assert_true((caps.taken[word] & more) == more);
		}
	}
	assert_false(without.has_field[F_INSTRUCTION_TIMEOUT]);
	assert_true(made_with(&hardware, UNTESTED_ALL).has_field[F_INSTRUCTION_TIMEOUT]);
}

/* SDM "VM-Execution Control Fields", "VM-Exit Controls", "VM-Entry Controls": all the bits defined.
 */
static void test_every_control_has_a_row(void **state)
{
	static const u64 defined[CONTROL_WORDS] = {
		[CONTROL_WORD_PIN] = BIT(0) | BIT(3) | BITS(7, 5),
		[CONTROL_WORD_PRIMARY] = BIT(2) | BIT(3) | BIT(7) | BITS(12, 9) | BITS(17, 15) |
					 BITS(25, 19) | BITS(31, 27),
		[CONTROL_WORD_SECONDARY] = BITS(28, 0) | BIT(30) | BIT(31),
		[CONTROL_WORD_EXIT] = BIT(2) | BIT(9) | BIT(12) | BIT(15) | BITS(31, 18),
		[CONTROL_WORD_ENTRY] = BIT(2) | BITS(11, 9) | BITS(22, 13),
		[CONTROL_WORD_TERTIARY] = BITS(7, 0),
		[CONTROL_WORD_EXIT2] = BIT(3),
	};

	(void)state;
	for (u32 word = 0; word < CONTROL_WORDS; word++) {
		u64 seen = 0;

		for (u32 i = 0; i < CONTROL_COUNT; i++) {
			if (control_info[i].word != word)
				continue;
			assert_true((seen & control_info[i].bit) == 0);
			seen |= control_info[i].bit;
		}
		assert_true(seen == defined[word]);
	}
}

/* A capability, and one field that exists only with it. */
static void test_fields_and_capabilities(void **state)
{
	static const struct {
		size_t cap;
		u64 bits;
		enum vmcs12_field field;
	} pairs[] = {
		{offsetof(struct vmx_capabilities, secondary), CPU2_VPID, F_VPID},
		{offsetof(struct vmx_capabilities, pin), PIN_POSTED_INTR,
		 F_POSTED_INTR_NOTIFICATION_VECTOR},
		{offsetof(struct vmx_capabilities, pin), PIN_POSTED_INTR, F_POSTED_INTR_DESC_ADDR},
		{offsetof(struct vmx_capabilities, secondary), CPU2_VIRTUAL_INTR_DELIVERY,
		 F_GUEST_INTERRUPT_STATUS},
		{offsetof(struct vmx_capabilities, secondary), CPU2_VIRTUAL_INTR_DELIVERY,
		 F_EOI_EXIT_BITMAP0},
		{offsetof(struct vmx_capabilities, secondary), CPU2_VIRTUAL_INTR_DELIVERY,
		 F_EOI_EXIT_BITMAP3},
		{offsetof(struct vmx_capabilities, primary), CPU_TPR_SHADOW, F_VIRTUAL_APIC_ADDR},
		{offsetof(struct vmx_capabilities, primary), CPU_TPR_SHADOW, F_TPR_THRESHOLD},
		{offsetof(struct vmx_capabilities, secondary), CPU2_VIRTUAL_APIC_ACCESSES,
		 F_APIC_ACCESS_ADDR},
		{offsetof(struct vmx_capabilities, secondary), CPU2_EPT, F_EPT_POINTER},
		{offsetof(struct vmx_capabilities, secondary), CPU2_EPT, F_GUEST_PHYSICAL_ADDRESS},
		{offsetof(struct vmx_capabilities, secondary), CPU2_EPT, F_GUEST_PDPTE0},
		{offsetof(struct vmx_capabilities, secondary), CPU2_EPT, F_GUEST_PDPTE3},
		{offsetof(struct vmx_capabilities, primary), CPU_USE_MSR_BITMAPS, F_MSR_BITMAP},
		{offsetof(struct vmx_capabilities, secondary), CPU2_XSAVES, F_XSS_EXITING_BITMAP},
		{offsetof(struct vmx_capabilities, secondary), CPU2_TSC_SCALING, F_TSC_MULTIPLIER},
		{offsetof(struct vmx_capabilities, secondary), CPU2_PAUSE_LOOP_EXITING, F_PLE_GAP},
		{offsetof(struct vmx_capabilities, secondary), CPU2_PAUSE_LOOP_EXITING,
		 F_PLE_WINDOW},
		{offsetof(struct vmx_capabilities, pin), PIN_PREEMPTION_TIMER,
		 F_PREEMPTION_TIMER_VALUE},
		{offsetof(struct vmx_capabilities, entry), ENTRY_LOAD_BNDCFGS, F_GUEST_BNDCFGS},
		{offsetof(struct vmx_capabilities, entry), ENTRY_LOAD_UINV, F_GUEST_UINV},
		{offsetof(struct vmx_capabilities, exit), EXIT_CLEAR_UINV, F_GUEST_UINV},
		{offsetof(struct vmx_capabilities, tertiary), CPU3_VIRTUALIZE_SPEC_CTRL,
		 F_SPEC_CTRL_MASK},
		{offsetof(struct vmx_capabilities, tertiary), CPU3_VIRTUALIZE_SPEC_CTRL,
		 F_SPEC_CTRL_SHADOW},
		{offsetof(struct vmx_capabilities, tertiary), CPU3_MSR_LIST, F_MSR_DATA},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct vmx_capabilities hardware = everything();
		u64 *control = (u64 *)((char *)&hardware + pairs[i].cap);
		struct nested_caps caps = made(&hardware);

		assert_true(caps.has_field[pairs[i].field]);
		*control &= ~(pairs[i].bits << 32);
		caps = made(&hardware);
		assert_false(caps.has_field[pairs[i].field]);
		assert_true(caps.has_field[F_GUEST_RIP]);
		assert_true(caps.has_field[F_HOST_RIP]);
	}
}

/* "VMCS Enumeration": bits 9:1 hold the highest index of any field. */
static void test_enumeration(void **state)
{
	struct vmx_capabilities hardware = everything();
	const struct nested_caps caps = made(&hardware);
	u32 highest = 0;

	(void)state;
	for (u32 f = 0; f < F_COUNT; f++) {
		const u32 index = field_info[f].encoding >> 1 & 0x1ff;

		if (caps.has_field[f] && index > highest)
			highest = index;
	}
	assert_int_equal(msr(&caps, MSR_IA32_VMX_VMCS_ENUM), highest << 1);
}

/* Combinations that the checks on controls would never let through are of no use. */
static void test_pass_through(void **state)
{
	const struct vmx_capabilities hardware = everything();
	const struct nested_caps caps = made(&hardware);

	(void)state;
	assert_true(msr(&caps, MSR_IA32_VMX_CR0_FIXED0) == hardware.cr0_fixed0);
	assert_true(msr(&caps, MSR_IA32_VMX_CR0_FIXED1) == hardware.cr0_fixed1);
	assert_true(msr(&caps, MSR_IA32_VMX_CR4_FIXED0) == hardware.cr4_fixed0);
	assert_true(msr(&caps, MSR_IA32_VMX_CR4_FIXED1) == (hardware.cr4_fixed1 & ~CR4_SMXE));
	assert_true(msr(&caps, MSR_IA32_VMX_PROCBASED_CTLS2) == caps.secondary);
	assert_true(msr(&caps, MSR_IA32_VMX_MISC) == caps.misc);
	assert_true(msr(&caps, MSR_IA32_VMX_EPT_VPID_CAP) == caps.ept_vpid);
	assert_int_equal(caps.maxphyaddr, 46);
	/* The preemption timer's rate is the hardware's, which runs it. */
	assert_int_equal(caps.misc & 31, hardware.misc & 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_the_hardware_lacks),
		cmocka_unit_test(test_hardware_insists),
		cmocka_unit_test(test_default1),
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_not_implemented),
		cmocka_unit_test(test_words_of_64_bits),
		cmocka_unit_test(test_untested),
		cmocka_unit_test(test_every_control_has_a_row),
		cmocka_unit_test(test_fields_and_capabilities),
		cmocka_unit_test(test_enumeration),
		cmocka_unit_test(test_pass_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
