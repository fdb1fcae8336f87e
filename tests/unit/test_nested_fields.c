/* SPDX-License-Identifier: BSD-2-Clause */
/* Expectations from SDM "Field Encoding in VMCS", its tables copied as numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nested/fields.h"
#include "nested/vmcs12.h"

struct expected {
	u32 encoding;
	int field;
};

/* clang-format off */
static const struct expected table[] = {
	/* 16-bit */
	{0x0000, F_VPID}, {0x0002, F_POSTED_INTR_NOTIFICATION_VECTOR},
	{0x0800, F_GUEST_ES_SELECTOR}, {0x0802, F_GUEST_CS_SELECTOR}, {0x0804, F_GUEST_SS_SELECTOR},
	{0x0806, F_GUEST_DS_SELECTOR}, {0x0808, F_GUEST_FS_SELECTOR}, {0x080a, F_GUEST_GS_SELECTOR},
	{0x080c, F_GUEST_LDTR_SELECTOR}, {0x080e, F_GUEST_TR_SELECTOR},
	{0x0810, F_GUEST_INTERRUPT_STATUS},
	{0x0c00, F_HOST_ES_SELECTOR}, {0x0c02, F_HOST_CS_SELECTOR}, {0x0c04, F_HOST_SS_SELECTOR},
	{0x0c06, F_HOST_DS_SELECTOR}, {0x0c08, F_HOST_FS_SELECTOR}, {0x0c0a, F_HOST_GS_SELECTOR},
	{0x0c0c, F_HOST_TR_SELECTOR},
	/* 64-bit */
	{0x2000, F_IO_BITMAP_A}, {0x2002, F_IO_BITMAP_B}, {0x2004, F_MSR_BITMAP},
	{0x2006, F_VM_EXIT_MSR_STORE_ADDR}, {0x2008, F_VM_EXIT_MSR_LOAD_ADDR},
	{0x200a, F_VM_ENTRY_MSR_LOAD_ADDR}, {0x200c, F_EXECUTIVE_VMCS_POINTER},
	{0x2010, F_TSC_OFFSET}, {0x2012, F_VIRTUAL_APIC_ADDR}, {0x2014, F_APIC_ACCESS_ADDR},
	{0x2016, F_POSTED_INTR_DESC_ADDR}, {0x201a, F_EPT_POINTER},
	{0x201c, F_EOI_EXIT_BITMAP0}, {0x201e, F_EOI_EXIT_BITMAP1},
	{0x2020, F_EOI_EXIT_BITMAP2}, {0x2022, F_EOI_EXIT_BITMAP3},
	{0x202c, F_XSS_EXITING_BITMAP}, {0x2032, F_TSC_MULTIPLIER},
	{0x2400, F_GUEST_PHYSICAL_ADDRESS},
	{0x2800, F_VMCS_LINK_POINTER}, {0x2802, F_GUEST_DEBUGCTL}, {0x2804, F_GUEST_PAT},
	{0x2806, F_GUEST_EFER}, {0x280a, F_GUEST_PDPTE0}, {0x280c, F_GUEST_PDPTE1},
	{0x280e, F_GUEST_PDPTE2}, {0x2810, F_GUEST_PDPTE3}, {0x2812, F_GUEST_BNDCFGS},
	{0x2c00, F_HOST_PAT}, {0x2c02, F_HOST_EFER},
	/* 32-bit */
	{0x4000, F_PIN_CONTROLS}, {0x4002, F_PRIMARY_CONTROLS}, {0x4004, F_EXCEPTION_BITMAP},
	{0x4006, F_PF_ERROR_CODE_MASK}, {0x4008, F_PF_ERROR_CODE_MATCH}, {0x400a, F_CR3_TARGET_COUNT},
	{0x400c, F_EXIT_CONTROLS}, {0x400e, F_VM_EXIT_MSR_STORE_COUNT},
	{0x4010, F_VM_EXIT_MSR_LOAD_COUNT}, {0x4012, F_ENTRY_CONTROLS},
	{0x4014, F_VM_ENTRY_MSR_LOAD_COUNT}, {0x4016, F_VM_ENTRY_INTR_INFO},
	{0x4018, F_VM_ENTRY_EXCEPTION_ERROR_CODE}, {0x401a, F_VM_ENTRY_INSTRUCTION_LENGTH},
	{0x401c, F_TPR_THRESHOLD}, {0x401e, F_SECONDARY_CONTROLS}, {0x4020, F_PLE_GAP},
	{0x4022, F_PLE_WINDOW},
	{0x4400, F_VM_INSTRUCTION_ERROR}, {0x4402, F_EXIT_REASON}, {0x4404, F_VM_EXIT_INTR_INFO},
	{0x4406, F_VM_EXIT_INTR_ERROR_CODE}, {0x4408, F_IDT_VECTORING_INFO},
	{0x440a, F_IDT_VECTORING_ERROR_CODE}, {0x440c, F_VM_EXIT_INSTRUCTION_LENGTH},
	{0x440e, F_VM_EXIT_INSTRUCTION_INFO},
	{0x4800, F_GUEST_ES_LIMIT}, {0x4802, F_GUEST_CS_LIMIT}, {0x4804, F_GUEST_SS_LIMIT},
	{0x4806, F_GUEST_DS_LIMIT}, {0x4808, F_GUEST_FS_LIMIT}, {0x480a, F_GUEST_GS_LIMIT},
	{0x480c, F_GUEST_LDTR_LIMIT}, {0x480e, F_GUEST_TR_LIMIT}, {0x4810, F_GUEST_GDTR_LIMIT},
	{0x4812, F_GUEST_IDTR_LIMIT}, {0x4814, F_GUEST_ES_ACCESS_RIGHTS},
	{0x4816, F_GUEST_CS_ACCESS_RIGHTS}, {0x4818, F_GUEST_SS_ACCESS_RIGHTS},
	{0x481a, F_GUEST_DS_ACCESS_RIGHTS}, {0x481c, F_GUEST_FS_ACCESS_RIGHTS},
	{0x481e, F_GUEST_GS_ACCESS_RIGHTS}, {0x4820, F_GUEST_LDTR_ACCESS_RIGHTS},
	{0x4822, F_GUEST_TR_ACCESS_RIGHTS}, {0x4824, F_GUEST_INTERRUPTIBILITY},
	{0x4826, F_GUEST_ACTIVITY_STATE}, {0x4828, F_GUEST_SMBASE}, {0x482a, F_GUEST_SYSENTER_CS},
	{0x482e, F_PREEMPTION_TIMER_VALUE}, {0x4c00, F_HOST_SYSENTER_CS},
	/* natural width */
	{0x6000, F_CR0_GUEST_HOST_MASK}, {0x6002, F_CR4_GUEST_HOST_MASK}, {0x6004, F_CR0_READ_SHADOW},
	{0x6006, F_CR4_READ_SHADOW}, {0x6008, F_CR3_TARGET_VALUE0}, {0x600a, F_CR3_TARGET_VALUE1},
	{0x600c, F_CR3_TARGET_VALUE2}, {0x600e, F_CR3_TARGET_VALUE3},
	{0x6400, F_EXIT_QUALIFICATION}, {0x6402, F_IO_RCX}, {0x6404, F_IO_RSI}, {0x6406, F_IO_RDI},
	{0x6408, F_IO_RIP}, {0x640a, F_GUEST_LINEAR_ADDRESS},
	{0x6800, F_GUEST_CR0}, {0x6802, F_GUEST_CR3}, {0x6804, F_GUEST_CR4}, {0x6806, F_GUEST_ES_BASE},
	{0x6808, F_GUEST_CS_BASE}, {0x680a, F_GUEST_SS_BASE}, {0x680c, F_GUEST_DS_BASE},
	{0x680e, F_GUEST_FS_BASE}, {0x6810, F_GUEST_GS_BASE}, {0x6812, F_GUEST_LDTR_BASE},
	{0x6814, F_GUEST_TR_BASE}, {0x6816, F_GUEST_GDTR_BASE}, {0x6818, F_GUEST_IDTR_BASE},
	{0x681a, F_GUEST_DR7}, {0x681c, F_GUEST_RSP}, {0x681e, F_GUEST_RIP}, {0x6820, F_GUEST_RFLAGS},
	{0x6822, F_GUEST_PENDING_DEBUG}, {0x6824, F_GUEST_SYSENTER_ESP}, {0x6826, F_GUEST_SYSENTER_EIP},
	{0x6c00, F_HOST_CR0}, {0x6c02, F_HOST_CR3}, {0x6c04, F_HOST_CR4}, {0x6c06, F_HOST_FS_BASE},
	{0x6c08, F_HOST_GS_BASE}, {0x6c0a, F_HOST_TR_BASE}, {0x6c0c, F_HOST_GDTR_BASE},
	{0x6c0e, F_HOST_IDTR_BASE}, {0x6c10, F_HOST_SYSENTER_ESP}, {0x6c12, F_HOST_SYSENTER_EIP},
	{0x6c14, F_HOST_RSP}, {0x6c16, F_HOST_RIP},
	/* what Umbra emulates for L1 */
	{0x0004, F_EPTP_INDEX}, {0x0812, F_PML_INDEX}, {0x200e, F_PML_ADDRESS},
	{0x2018, F_VM_FUNCTION_CONTROLS}, {0x2024, F_EPTP_LIST_ADDR}, {0x2026, F_VMREAD_BITMAP},
	{0x2028, F_VMWRITE_BITMAP}, {0x202a, F_VE_INFO_ADDR},
	/* controls of newer CPUs, and what goes with them */
	{0x2034, F_TERTIARY_CONTROLS}, {0x2044, F_SECONDARY_EXIT_CONTROLS},
	{0x204a, F_SPEC_CTRL_MASK}, {0x204c, F_SPEC_CTRL_SHADOW}, {0x2402, F_MSR_DATA},
	{0x4024, F_INSTRUCTION_TIMEOUT},
	/* supervisor state that entries and exits may load */
	{0x2808, F_GUEST_PERF_GLOBAL_CTRL}, {0x2816, F_GUEST_LBR_CTL}, {0x2818, F_GUEST_PKRS},
	{0x2c04, F_HOST_PERF_GLOBAL_CTRL}, {0x2c06, F_HOST_PKRS},
	{0x0814, F_GUEST_UINV},
	{0x6828, F_GUEST_S_CET}, {0x682a, F_GUEST_SSP}, {0x682c, F_GUEST_INTERRUPT_SSP_TABLE},
	{0x6c18, F_HOST_S_CET}, {0x6c1a, F_HOST_SSP}, {0x6c1c, F_HOST_INTERRUPT_SSP_TABLE},
};
/* clang-format on */

static const struct expected *expected_at(u32 encoding)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].encoding == encoding)
			return &table[i];
	}
	return NULL;
}

/* Table "Structure of VMCS Component Encoding": the width is in bits 14:13. */
static bool is_64bit(u32 encoding)
{
	return (encoding >> 13 & 3) == 1;
}

static void test_every_field_is_listed(void **state)
{
	bool seen[F_COUNT] = {false};

	(void)state;
	assert_int_equal(ARRAY_SIZE(table), F_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_false(seen[table[i].field]);
		seen[table[i].field] = true;
	}
}

static void test_encoding_to_field(void **state)
{
	(void)state;
	/* All that fits 16 bits: bits 12 and 15 are reserved, so they name nothing. */
	for (u32 encoding = 0; encoding <= 0xffff; encoding++) {
		const struct expected *e = expected_at(encoding & ~1u);
		const bool exists = e && (!(encoding & 1) || is_64bit(encoding));

		assert_int_equal(field_index(encoding), exists ? e->field : -1);
	}
}

static void test_reserved_bits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_int_equal(field_index(table[i].encoding | 1u << 12), -1);
		for (unsigned int bit = 15; bit < 32; bit++)
			assert_int_equal(field_index(table[i].encoding | 1u << bit), -1);
	}
	assert_int_equal(field_index(~0u), -1);
}

static void test_field_information(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct field_info *info = &field_info[table[i].field];

		assert_int_equal(info->encoding, table[i].encoding);
		assert_int_equal(info->width, table[i].encoding >> 13 & 3);
		assert_int_equal(info->type, table[i].encoding >> 10 & 3);
		assert_true(info->needs < NEEDS_COUNT);
		assert_non_null(info->name);
	}
}

/* Guest state is saved by exits, host state only loaded, and exit information is not L1's. */
static void test_policies_fit_classes(void **state)
{
	(void)state;
	for (u32 f = 0; f < F_COUNT; f++) {
		const struct field_info *info = &field_info[f];

		/* The shadow is a control, and the guest's WRMSR writes it. */
		if (info->policy == POLICY_GUEST && f != F_SPEC_CTRL_SHADOW)
			assert_int_equal(info->type, VMCS_TYPE_GUEST);
		if (info->policy == POLICY_EXIT)
			assert_int_equal(info->type, VMCS_TYPE_READ_ONLY);
		if (info->policy == POLICY_COPY || info->policy == POLICY_ADDRESS)
			assert_int_equal(info->type, VMCS_TYPE_CONTROL);
		if (info->type == VMCS_TYPE_HOST)
			assert_int_equal(info->policy, POLICY_SOFT);
	}
}

/*
 * Physical addresses never go to vmcs02 unchecked. All that the CPU takes from a VMCS are 64 bits
 * wide; of the controls of that width these are none, by their descriptions in the SDM.
 */
static void test_addresses_are_not_copied(void **state)
{
	static const enum vmcs12_field others[] = {
		F_TSC_OFFSET,         F_TSC_MULTIPLIER,   F_EOI_EXIT_BITMAP0,
		F_EOI_EXIT_BITMAP1,   F_EOI_EXIT_BITMAP2, F_EOI_EXIT_BITMAP3,
		F_XSS_EXITING_BITMAP, F_SPEC_CTRL_MASK,   F_SPEC_CTRL_SHADOW,
	};

	(void)state;
	for (u32 f = 0; f < F_COUNT; f++) {
		const struct field_info *info = &field_info[f];
		bool is_other = false;

		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			is_other |= others[i] == f;
		if (info->width == VMCS_WIDTH_64 && info->type == VMCS_TYPE_CONTROL && !is_other &&
		    (info->policy == POLICY_COPY || info->policy == POLICY_GUEST ||
		     info->policy == POLICY_CHECKED))
			fail_msg("%s may be an address, and vmcs02 has L1's", info->name);
	}
	assert_int_equal(field_info[F_VMCS_LINK_POINTER].policy, POLICY_SOFT);
}

static void test_truncation(void **state)
{
	const u64 all = ~0ull;

	(void)state;
	assert_int_equal(field_truncate(F_VPID, all), 0xffff);
	assert_int_equal(field_truncate(F_GUEST_ES_SELECTOR, 0x12345), 0x2345);
	assert_int_equal(field_truncate(F_EXCEPTION_BITMAP, all), 0xffffffff);
	assert_true(field_truncate(F_TSC_OFFSET, all) == all);
	assert_true(field_truncate(F_GUEST_RIP, all) == all);
}

/* SDM "Format of the VMCS Region": revision and VMX-abort indicator come first. */
static void test_region_layout(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct vmcs12, revision), 0);
	assert_int_equal(offsetof(struct vmcs12, abort), 4);
	assert_true(sizeof(struct vmcs12) <= 4096);
	/* Bit 31 of the identifier tells a shadow VMCS. */
	assert_int_equal(VMCS12_REVISION >> 31, 0);
}

static void test_field_sets(void **state)
{
	struct field_set set = {0};

	(void)state;
	for (u32 f = 0; f < F_COUNT; f++)
		assert_false(field_set_has(&set, (enum vmcs12_field)f));
	field_set_add(&set, (enum vmcs12_field)(F_COUNT - 1));
	field_set_add(&set, F_GUEST_RIP);
	assert_true(field_set_has(&set, (enum vmcs12_field)(F_COUNT - 1)));
	assert_true(field_set_has(&set, F_GUEST_RIP));
	field_set_remove(&set, F_GUEST_RIP);
	assert_false(field_set_has(&set, F_GUEST_RIP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field_is_listed),
		cmocka_unit_test(test_encoding_to_field),
		cmocka_unit_test(test_reserved_bits),
		cmocka_unit_test(test_field_information),
		cmocka_unit_test(test_policies_fit_classes),
		cmocka_unit_test(test_addresses_are_not_copied),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_region_layout),
		cmocka_unit_test(test_field_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
