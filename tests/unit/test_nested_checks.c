/* SPDX-License-Identifier: BSD-2-Clause */
/* Expectations from SDM "Checks on VMX Controls and Host-State Area", a rule at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/cr.h>
#include <x86/ept.h>
#include <x86/msr.h>
#include <x86/vmx.h>

#include "nested/checks.h"
#include "nested/untested.h"

enum { MAXPHYADDR = 40, CONTROLS, HOST, GUEST };

static struct nested_caps caps;
static struct check_context context;
static struct vmcs12 v;
static u64 qualification;
static paddr_t current_vmcs;
static u32 linked_header; /* of the VMCS at any link pointer */

static u64 ones(vmx_control_cap cap)
{
	return (u32)cap;
}

/* A 64-bit L1 with EPT, on a CPU that has everything. */
static int setup(void **state)
{
	const struct vmx_capabilities hardware = {
		.has_vmx = true,
		.basic = ~0ull,
		.pin = BITS(63, 32) | 0x16,
		.primary = BITS(63, 32) | 0x04006172,
		.secondary = BITS(63, 32),
		.exit = BITS(63, 32) | 0x36dfb,
		.entry = BITS(63, 32) | 0x11fb,
		.tertiary = BITS(63, 32),
		.exit2 = BITS(63, 32),
		.misc = VMX_MISC_ZERO_LEN_INJECT | VMX_MISC_VMWRITE_RO | 4 << 16,
		.ept_vpid = ~0ull,
		.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG,
		.cr0_fixed1 = BITS(31, 0),
		.cr4_fixed0 = CR4_VMXE,
		.cr4_fixed1 = BITS(25, 0) & ~BIT(15) & ~CR4_LA57,
	};

	(void)state;
	nested_caps_init(&caps, &hardware, 1, MAXPHYADDR, UNTESTED_ALL);
	context = (struct check_context){.caps = &caps, .l1_in_ia32e = true};
	v = (struct vmcs12){0};
	v.f[F_PIN_CONTROLS] = ones(caps.pin) | PIN_EXT_INTR_EXITING | PIN_NMI_EXITING;
	v.f[F_PRIMARY_CONTROLS] = ones(caps.primary) | CPU_SECONDARY_CONTROLS;
	v.f[F_SECONDARY_CONTROLS] = CPU2_EPT;
	v.f[F_EXIT_CONTROLS] = ones(caps.exit) | EXIT_HOST_64BIT | EXIT_LOAD_EFER | EXIT_LOAD_PAT;
	v.f[F_ENTRY_CONTROLS] = ones(caps.entry) | ENTRY_IA32E_GUEST;
	v.f[F_EPT_POINTER] = 0x10000 | EPTP_WALK_4 | 6;
	v.f[F_VMCS_LINK_POINTER] = ~0ull;
	v.f[F_GUEST_CR0] = CR0_PE | CR0_NE | CR0_PG;
	v.f[F_GUEST_CR4] = CR4_VMXE | CR4_PAE;
	v.f[F_HOST_CR0] = CR0_PE | CR0_NE | CR0_PG | CR0_WP;
	v.f[F_HOST_CR3] = 0x1000;
	v.f[F_HOST_CR4] = CR4_VMXE | CR4_PAE;
	v.f[F_HOST_PAT] = 0x0007040600070406;
	v.f[F_HOST_EFER] = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	v.f[F_HOST_CS_SELECTOR] = 0x10;
	v.f[F_HOST_TR_SELECTOR] = 0x40;
	v.f[F_HOST_RIP] = 0xffffffff81000000;
	return 0;
}

static const char *guest_state(void)
{
	const char *failed =
		check_guest_state(&v, v.f[F_GUEST_CR4], context.perf_global_ctrl, context.caps);

	qualification = 0;

	if (failed)
		return failed;
	failed = check_link_pointer(&v, context.caps, current_vmcs, linked_header);
	if (failed)
		qualification = 4;
	return failed;
}

static void passes(void)
{
	const char *failed = check_controls(&v, &context);

	if (!failed)
		failed = check_host_state(&v, &context);
	if (!failed)
		failed = guest_state();
	if (failed)
		print_error("unexpected: %s\n", failed);
	assert_null(failed);
}

static void fails(int what)
{
	if (what == CONTROLS) {
		assert_non_null(check_controls(&v, &context));
	} else {
		assert_null(check_controls(&v, &context));
		if (what == HOST) {
			assert_non_null(check_host_state(&v, &context));
		} else {
			assert_null(check_host_state(&v, &context));
			assert_non_null(guest_state());
		}
	}
}

/* With the field changed alone. */
static void with(int what, enum vmcs12_field f, u64 value)
{
	const u64 old = v.f[f];

	v.f[f] = value;
	if (what)
		fails(what);
	else
		passes();
	v.f[f] = old;
}

static void flip(int what, enum vmcs12_field f, u64 bits)
{
	with(what, f, v.f[f] ^ bits);
}

static void test_reserved_controls(void **state)
{
	static const struct {
		enum vmcs12_field field;
		size_t cap;
	} controls[] = {
		{F_PIN_CONTROLS, offsetof(struct nested_caps, pin)},
		{F_PRIMARY_CONTROLS, offsetof(struct nested_caps, primary)},
		{F_SECONDARY_CONTROLS, offsetof(struct nested_caps, secondary)},
		{F_TERTIARY_CONTROLS, offsetof(struct nested_caps, tertiary)},
		{F_SECONDARY_EXIT_CONTROLS, offsetof(struct nested_caps, exit2)},
		{F_EXIT_CONTROLS, offsetof(struct nested_caps, exit)},
		{F_ENTRY_CONTROLS, offsetof(struct nested_caps, entry)},
	};

	(void)state;
	v.f[F_PRIMARY_CONTROLS] |= CPU_TERTIARY_CONTROLS;
	v.f[F_EXIT_CONTROLS] |= EXIT_SECONDARY_CONTROLS;
	passes();
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
		const u64 cap = *(const u64 *)((const char *)&caps + controls[i].cap);

		for (unsigned int bit = 0; bit < 32; bit++) {
			if ((cap >> bit & 1) || !(cap >> (bit + 32) & 1))
				flip(CONTROLS, controls[i].field, BIT(bit));
		}
	}
	/* Secondary controls count only when they are activated. */
	v.f[F_PRIMARY_CONTROLS] &= ~CPU_SECONDARY_CONTROLS;
	with(0, F_SECONDARY_CONTROLS, ~0u);
	/* So do the two words of 64 bits. */
	with(0, F_TERTIARY_CONTROLS, BIT(0) | BIT(6) | BIT(7));
	with(0, F_SECONDARY_EXIT_CONTROLS, BIT(3));
	for (unsigned int bit = 32; bit < 64; bit++) {
		with(CONTROLS, F_TERTIARY_CONTROLS, BIT(bit));
		with(CONTROLS, F_SECONDARY_EXIT_CONTROLS, BIT(bit));
	}
	v.f[F_PRIMARY_CONTROLS] &= ~CPU_TERTIARY_CONTROLS;
	v.f[F_EXIT_CONTROLS] &= ~EXIT_SECONDARY_CONTROLS;
	with(0, F_TERTIARY_CONTROLS, ~0ull);
	with(0, F_SECONDARY_EXIT_CONTROLS, ~0ull);
}

static void page_address(enum vmcs12_field f)
{
	with(0, f, 0);
	with(0, f, BIT(MAXPHYADDR) - 0x1000);
	with(CONTROLS, f, BIT(MAXPHYADDR));
	with(CONTROLS, f, BIT(63));
	for (unsigned int bit = 0; bit < 12; bit++)
		with(CONTROLS, f, 0x5000 | BIT(bit));
}

static void test_bitmaps(void **state)
{
	(void)state;
	with(0, F_IO_BITMAP_A, 1);
	with(0, F_MSR_BITMAP, 1);
	v.f[F_PRIMARY_CONTROLS] |= CPU_USE_IO_BITMAPS | CPU_USE_MSR_BITMAPS;
	page_address(F_IO_BITMAP_A);
	page_address(F_IO_BITMAP_B);
	page_address(F_MSR_BITMAP);
}

static void test_cr3_targets(void **state)
{
	(void)state;
	with(0, F_CR3_TARGET_COUNT, 4);
	with(CONTROLS, F_CR3_TARGET_COUNT, 5);
	with(CONTROLS, F_CR3_TARGET_COUNT, ~0u);
}

static void test_apic(void **state)
{
	(void)state;
	/* Without a TPR shadow. */
	flip(CONTROLS, F_SECONDARY_CONTROLS, CPU2_VIRTUAL_X2APIC);
	flip(CONTROLS, F_SECONDARY_CONTROLS, CPU2_APIC_REGISTER_VIRT);
	flip(CONTROLS, F_SECONDARY_CONTROLS, CPU2_VIRTUAL_INTR_DELIVERY);
	with(0, F_VIRTUAL_APIC_ADDR, 1);
	with(0, F_TPR_THRESHOLD, 0x10);
	/* With one. */
	v.f[F_PRIMARY_CONTROLS] |= CPU_TPR_SHADOW;
	page_address(F_VIRTUAL_APIC_ADDR);
	with(0, F_TPR_THRESHOLD, 15);
	for (unsigned int bit = 4; bit < 32; bit++)
		with(CONTROLS, F_TPR_THRESHOLD, BIT(bit));
	flip(0, F_SECONDARY_CONTROLS, CPU2_VIRTUAL_X2APIC);
	flip(0, F_SECONDARY_CONTROLS, CPU2_APIC_REGISTER_VIRT);
	flip(0, F_SECONDARY_CONTROLS, CPU2_VIRTUAL_INTR_DELIVERY);
	v.f[F_SECONDARY_CONTROLS] |= CPU2_VIRTUAL_APIC_ACCESSES;
	page_address(F_APIC_ACCESS_ADDR);
	flip(CONTROLS, F_SECONDARY_CONTROLS, CPU2_VIRTUAL_X2APIC);
	v.f[F_SECONDARY_CONTROLS] |= CPU2_VIRTUAL_INTR_DELIVERY;
	with(0, F_TPR_THRESHOLD, 0x10);
	flip(CONTROLS, F_PIN_CONTROLS, PIN_EXT_INTR_EXITING);
}

static void test_nmis(void **state)
{
	(void)state;
	flip(0, F_PIN_CONTROLS, PIN_VIRTUAL_NMIS);
	flip(CONTROLS, F_PRIMARY_CONTROLS, CPU_NMI_WINDOW_EXITING);
	v.f[F_PIN_CONTROLS] |= PIN_VIRTUAL_NMIS;
	flip(0, F_PRIMARY_CONTROLS, CPU_NMI_WINDOW_EXITING);
	flip(CONTROLS, F_PIN_CONTROLS, PIN_NMI_EXITING);
}

static void test_posted_interrupts(void **state)
{
	(void)state;
	v.f[F_PRIMARY_CONTROLS] |= CPU_TPR_SHADOW;
	v.f[F_SECONDARY_CONTROLS] |= CPU2_VIRTUAL_INTR_DELIVERY;
	v.f[F_EXIT_CONTROLS] |= EXIT_ACK_INTR;
	v.f[F_PIN_CONTROLS] |= PIN_POSTED_INTR;
	passes();
	flip(CONTROLS, F_SECONDARY_CONTROLS, CPU2_VIRTUAL_INTR_DELIVERY);
	flip(CONTROLS, F_EXIT_CONTROLS, EXIT_ACK_INTR);
	with(0, F_POSTED_INTR_NOTIFICATION_VECTOR, 255);
	with(CONTROLS, F_POSTED_INTR_NOTIFICATION_VECTOR, 256);
	with(0, F_POSTED_INTR_DESC_ADDR, 0x40);
	for (unsigned int bit = 0; bit < 6; bit++)
		with(CONTROLS, F_POSTED_INTR_DESC_ADDR, BIT(bit));
	with(CONTROLS, F_POSTED_INTR_DESC_ADDR, BIT(MAXPHYADDR));
}

static void test_vpid_and_ept(void **state)
{
	const u64 eptp = v.f[F_EPT_POINTER];

	(void)state;
	flip(CONTROLS, F_SECONDARY_CONTROLS, CPU2_VPID);
	v.f[F_VPID] = 1;
	flip(0, F_SECONDARY_CONTROLS, CPU2_VPID);
	flip(0, F_SECONDARY_CONTROLS, CPU2_UNRESTRICTED_GUEST);
	flip(0, F_SECONDARY_CONTROLS, CPU2_MBEC);
	/* Memory types 0 and 6 only. */
	for (u64 type = 0; type < 8; type++)
		with(type == 0 || type == 6 ? 0 : CONTROLS, F_EPT_POINTER, (eptp & ~7ull) | type);
	for (u64 walk = 0; walk < 8; walk++)
		with(walk == 3 ? 0 : CONTROLS, F_EPT_POINTER, (eptp & ~0x38ull) | walk << 3);
	/* What is a reserved bit where it is not offered: flags, shadow-stack control. */
	flip(0, F_EPT_POINTER, BIT(6));
	flip(0, F_EPT_POINTER, BIT(7));
	caps.ept_vpid &= ~(EPT_CAP_AD | EPT_CAP_SHADOW_STACK);
	for (unsigned int bit = 6; bit < 12; bit++)
		flip(CONTROLS, F_EPT_POINTER, BIT(bit));
	for (unsigned int bit = MAXPHYADDR; bit < 64; bit++)
		flip(CONTROLS, F_EPT_POINTER, BIT(bit));
	caps.ept_vpid &= ~EPT_CAP_UC;
	with(CONTROLS, F_EPT_POINTER, eptp & ~7ull);
	v.f[F_SECONDARY_CONTROLS] = CPU2_UNRESTRICTED_GUEST;
	fails(CONTROLS);
	v.f[F_SECONDARY_CONTROLS] = CPU2_MBEC;
	fails(CONTROLS);
	v.f[F_SECONDARY_CONTROLS] = 0;
	with(0, F_EPT_POINTER, ~0ull);
}

static void msr_area(enum vmcs12_field address, enum vmcs12_field count)
{
	with(0, address, ~0ull);
	v.f[count] = 2;
	with(0, address, 0x10);
	for (unsigned int bit = 0; bit < 4; bit++)
		with(CONTROLS, address, BIT(bit));
	with(CONTROLS, address, BIT(MAXPHYADDR));
	/* "the address of the last byte … should not set any bits beyond" the width either. */
	with(0, address, BIT(MAXPHYADDR) - 32);
	with(CONTROLS, address, BIT(MAXPHYADDR) - 16);
	with(CONTROLS, address, ~15ull);
	v.f[count] = 0;
}

static void test_msr_areas(void **state)
{
	(void)state;
	msr_area(F_VM_EXIT_MSR_STORE_ADDR, F_VM_EXIT_MSR_STORE_COUNT);
	msr_area(F_VM_EXIT_MSR_LOAD_ADDR, F_VM_EXIT_MSR_LOAD_COUNT);
	msr_area(F_VM_ENTRY_MSR_LOAD_ADDR, F_VM_ENTRY_MSR_LOAD_COUNT);
}

static void test_preemption_timer(void **state)
{
	(void)state;
	flip(CONTROLS, F_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER);
	v.f[F_PIN_CONTROLS] |= PIN_PREEMPTION_TIMER;
	flip(0, F_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER);
}

enum { VALID = 1u << 31, WITH_ERROR = 1u << 11 };

static void inject(int what, u32 type, u32 vector, u32 flags)
{
	with(what, F_VM_ENTRY_INTR_INFO, VALID | flags | type << 8 | vector);
}

static void test_injection(void **state)
{
	(void)state;
	/* Nothing counts without the valid bit. */
	with(0, F_VM_ENTRY_INTR_INFO, 0x7fffffff);
	inject(0, 0, 255, 0);
	inject(CONTROLS, 1, 0, 0);
	inject(0, 2, 2, 0);
	inject(CONTROLS, 2, 3, 0);
	inject(0, 3, 0, 0);
	inject(0, 3, 31, 0);
	inject(CONTROLS, 3, 32, 0);
	inject(0, 7, 0, 0); /* pending MTF exit, with the monitor trap flag */
	inject(CONTROLS, 7, 1, 0);
	for (u32 bit = 12; bit < 31; bit++)
		inject(CONTROLS, 0, 32, 1u << bit);
	caps.primary &= ~(CPU_MONITOR_TRAP_FLAG << 32);
	inject(CONTROLS, 7, 0, 0);
}

static void test_injection_error_code(void **state)
{
	/* IA32_VMX_BASIC[56] is 0. */
	caps.basic &= ~BIT(56);
	(void)state;
	for (u32 vector = 0; vector < 32; vector++) {
		const bool has = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;

		/* #CP's depends on whether the CPU has CET. */
		if (vector == 21)
			continue;
		inject(has ? 0 : CONTROLS, 3, vector, WITH_ERROR);
		inject(has ? CONTROLS : 0, 3, vector, 0);
	}
	inject(CONTROLS, 0, 13, WITH_ERROR);
	inject(CONTROLS, 2, 2, WITH_ERROR);
	v.f[F_VM_ENTRY_INSTRUCTION_LENGTH] = 1;
	inject(CONTROLS, 6, 13, WITH_ERROR);
	/* Bits 31:16 of the code itself (on CPUs without 32-bit codes). */
	v.f[F_VM_ENTRY_EXCEPTION_ERROR_CODE] = 0x10000;
	inject(CONTROLS, 3, 13, WITH_ERROR);
	inject(0, 3, 6, 0);
	v.f[F_VM_ENTRY_EXCEPTION_ERROR_CODE] = 0x7fff;
	inject(0, 3, 13, WITH_ERROR);
	/* In real mode there are none. */
	v.f[F_SECONDARY_CONTROLS] |= CPU2_UNRESTRICTED_GUEST;
	inject(0, 3, 13, WITH_ERROR);
	v.f[F_GUEST_CR0] &= ~CR0_PE;
	inject(CONTROLS, 3, 13, WITH_ERROR);
	inject(0, 3, 13, 0);
	v.f[F_SECONDARY_CONTROLS] &= ~CPU2_UNRESTRICTED_GUEST;
	inject(0, 3, 13, WITH_ERROR);
}

/* IA32_VMX_BASIC[56] is 1: a hardware exception of any vector may push an error code or none. */
static void test_injection_any_error_code(void **state)
{
	(void)state;
	for (u32 vector = 0; vector < 32; vector++) {
		inject(0, 3, vector, 0);
		inject(0, 3, vector, 1u << 11);
	}
	inject(CONTROLS, 0, 32, 1u << 11);
	inject(CONTROLS, 2, 2, 1u << 11);
	inject(CONTROLS, 4, 32, 1u << 11);
	inject(CONTROLS, 6, 3, 1u << 11);
}

static void test_injection_length(void **state)
{
	(void)state;
	for (u32 type = 4; type <= 6; type++) {
		v.f[F_VM_ENTRY_INSTRUCTION_LENGTH] = 15;
		inject(0, type, 3, 0);
		v.f[F_VM_ENTRY_INSTRUCTION_LENGTH] = 16;
		inject(CONTROLS, type, 3, 0);
		v.f[F_VM_ENTRY_INSTRUCTION_LENGTH] = 0;
		inject(0, type, 3, 0); /* IA32_VMX_MISC bit 30 */
		caps.misc &= ~VMX_MISC_ZERO_LEN_INJECT;
		inject(CONTROLS, type, 3, 0);
		caps.misc |= VMX_MISC_ZERO_LEN_INJECT;
	}
	v.f[F_VM_ENTRY_INSTRUCTION_LENGTH] = 16;
	inject(0, 3, 3, 0);
}

static void test_host_control_registers(void **state)
{
	(void)state;
	flip(HOST, F_HOST_CR0, CR0_PE);
	flip(HOST, F_HOST_CR0, CR0_NE);
	flip(HOST, F_HOST_CR0, CR0_PG);
	flip(HOST, F_HOST_CR0, BIT(32));
	flip(HOST, F_HOST_CR4, CR4_VMXE);
	flip(HOST, F_HOST_CR4, CR4_SMXE);
	flip(HOST, F_HOST_CR4, BIT(40));
	flip(0, F_HOST_CR4, CR4_CET);
	v.f[F_HOST_CR4] |= CR4_CET;
	flip(HOST, F_HOST_CR0, CR0_WP);
	with(0, F_HOST_CR3, BIT(MAXPHYADDR) - 1);
	with(HOST, F_HOST_CR3, BIT(MAXPHYADDR));
	with(HOST, F_HOST_CR3, BIT(63));
	/* SDM "Linear-Address Masking (LAM)": bits 61 and 62, on a CPU that has it (CR4 bit 28). */
	with(HOST, F_HOST_CR3, BIT(61));
	with(HOST, F_HOST_CR3, BIT(62));
	caps.cr4_fixed1 |= BIT(28);
	with(0, F_HOST_CR3, BIT(61));
	with(0, F_HOST_CR3, BIT(62) | BIT(61) | 0x1000);
	with(HOST, F_HOST_CR3, BIT(60));
	with(HOST, F_HOST_CR3, BIT(63));
	with(HOST, F_HOST_CR3, BIT(61) | BIT(MAXPHYADDR));
}

static void test_host_msrs(void **state)
{
	(void)state;
	for (u64 type = 0; type < 256; type++) {
		const bool valid = type <= 7 && type != 2 && type != 3;

		for (unsigned int entry = 0; entry < 8; entry++)
			with(valid ? 0 : HOST, F_HOST_PAT, type << 8 * entry);
	}
	flip(HOST, F_HOST_EFER, EFER_LMA);
	flip(HOST, F_HOST_EFER, EFER_LME);
	flip(HOST, F_HOST_EFER, EFER_LMA | EFER_LME);
	flip(0, F_HOST_EFER, EFER_SCE | EFER_NXE);
	for (unsigned int bit = 1; bit < 64; bit++) {
		if (bit != 8 && bit != 10 && bit != 11)
			flip(HOST, F_HOST_EFER, BIT(bit));
	}
	v.f[F_EXIT_CONTROLS] &= ~(EXIT_LOAD_EFER | EXIT_LOAD_PAT);
	with(0, F_HOST_PAT, ~0ull);
	with(0, F_HOST_EFER, ~0ull);
}

static void test_host_cet(void **state)
{
	(void)state;
	/* Nothing counts without the control. */
	with(0, F_HOST_S_CET, ~0ull);
	with(0, F_HOST_SSP, 1);
	with(0, F_HOST_INTERRUPT_SSP_TABLE, 1ull << 63);
	v.f[F_EXIT_CONTROLS] |= EXIT_LOAD_CET;
	with(0, F_HOST_S_CET, 0xffff80000000003f);
	for (unsigned int bit = 6; bit < 10; bit++)
		with(HOST, F_HOST_S_CET, BIT(bit));
	with(0, F_HOST_S_CET, BIT(10));
	with(0, F_HOST_S_CET, BIT(11));
	with(HOST, F_HOST_S_CET, BITS(11, 10));
	with(HOST, F_HOST_S_CET, 0x800000000000);
	with(0, F_HOST_SSP, 0xffff800000000004);
	with(HOST, F_HOST_SSP, 1);
	with(HOST, F_HOST_SSP, 2);
	with(HOST, F_HOST_SSP, 0x800000000000);
	with(0, F_HOST_INTERRUPT_SSP_TABLE, 0xffff800000000001);
	with(HOST, F_HOST_INTERRUPT_SSP_TABLE, 0x800000000000);
}

static void test_host_pkrs(void **state)
{
	(void)state;
	with(0, F_HOST_PKRS, ~0ull);
	v.f[F_EXIT_CONTROLS] |= EXIT_LOAD_PKRS;
	with(0, F_HOST_PKRS, 0xffffffff);
	for (unsigned int bit = 32; bit < 64; bit++)
		with(HOST, F_HOST_PKRS, BIT(bit));
}

static void test_perf_global_ctrl(void **state)
{
	(void)state;
	with(0, F_HOST_PERF_GLOBAL_CTRL, ~0ull);
	with(0, F_GUEST_PERF_GLOBAL_CTRL, ~0ull);
	context.perf_global_ctrl = 0x70000000f;
	caps.exit |= EXIT_LOAD_PERF_GLOBAL_CTRL << 32;
	caps.entry |= ENTRY_LOAD_PERF_GLOBAL_CTRL << 32;
	v.f[F_EXIT_CONTROLS] |= EXIT_LOAD_PERF_GLOBAL_CTRL;
	v.f[F_ENTRY_CONTROLS] |= ENTRY_LOAD_PERF_GLOBAL_CTRL;
	for (unsigned int bit = 0; bit < 64; bit++) {
		with(context.perf_global_ctrl >> bit & 1 ? 0 : HOST, F_HOST_PERF_GLOBAL_CTRL,
		     BIT(bit));
		with(context.perf_global_ctrl >> bit & 1 ? 0 : GUEST, F_GUEST_PERF_GLOBAL_CTRL,
		     BIT(bit));
	}
}

static void test_host_selectors(void **state)
{
	static const enum vmcs12_field selectors[] = {
		F_HOST_ES_SELECTOR, F_HOST_CS_SELECTOR, F_HOST_SS_SELECTOR, F_HOST_DS_SELECTOR,
		F_HOST_FS_SELECTOR, F_HOST_GS_SELECTOR, F_HOST_TR_SELECTOR};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(selectors); i++) {
		with(0, selectors[i], 0xfff8);
		for (unsigned int bit = 0; bit < 3; bit++)
			with(HOST, selectors[i], 0x18 | BIT(bit));
	}
	with(HOST, F_HOST_CS_SELECTOR, 0);
	with(HOST, F_HOST_TR_SELECTOR, 0);
	with(0, F_HOST_SS_SELECTOR, 0);
}

static const enum vmcs12_field linear_addresses[] = {
	F_HOST_FS_BASE,   F_HOST_GS_BASE,      F_HOST_TR_BASE,     F_HOST_GDTR_BASE,
	F_HOST_IDTR_BASE, F_HOST_SYSENTER_ESP, F_HOST_SYSENTER_EIP};

static void test_host_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(linear_addresses); i++) {
		with(0, linear_addresses[i], 0x7fffffffffff);
		with(HOST, linear_addresses[i], 0x800000000000);
		with(HOST, linear_addresses[i], 0xffff7fffffffffff);
		with(0, linear_addresses[i], 0xffff800000000000);
		with(HOST, linear_addresses[i], 0xff11000000000000);
	}
	with(HOST, F_HOST_RIP, 0x800000000000);
}

/* On a CPU with 57 bits of linear address, base addresses may use them in any paging mode. */
static void test_host_addresses_la57(void **state)
{
	(void)state;
	caps.cr4_fixed1 |= CR4_LA57;
	for (size_t i = 0; i < ARRAY_SIZE(linear_addresses); i++) {
		with(0, linear_addresses[i], 0xff11000000000000);
		with(0, linear_addresses[i], 0xffffffffffffff);
		with(HOST, linear_addresses[i], 0x100000000000000);
		with(HOST, linear_addresses[i], 0xfe00000000000000);
	}
	with(HOST, F_HOST_RIP, 0xff11000000000000);
	v.f[F_HOST_CR4] |= CR4_LA57;
	with(0, F_HOST_RIP, 0xff11000000000000);
	with(HOST, F_HOST_RIP, 0x100000000000000);
}

static void test_address_space_size(void **state)
{
	(void)state;
	/* L1 in IA-32e mode must return to it. */
	context.l1_in_ia32e = false;
	fails(HOST);
	context.l1_in_ia32e = true;
	flip(HOST, F_HOST_CR4, CR4_PAE);
	flip(HOST, F_EXIT_CONTROLS, EXIT_HOST_64BIT);
	flip(0, F_HOST_CR4, CR4_PCIDE);

	/* A 32-bit L1. */
	context.l1_in_ia32e = false;
	v.f[F_EXIT_CONTROLS] &= ~EXIT_HOST_64BIT;
	v.f[F_ENTRY_CONTROLS] &= ~ENTRY_IA32E_GUEST;
	v.f[F_HOST_EFER] = 0;
	v.f[F_HOST_RIP] = 0xffffffff;
	v.f[F_HOST_SS_SELECTOR] = 0x18;
	passes();
	flip(HOST, F_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	flip(HOST, F_HOST_CR4, CR4_PCIDE);
	flip(0, F_HOST_CR4, CR4_PAE);
	with(HOST, F_HOST_RIP, 0x100000000);
	with(HOST, F_HOST_SS_SELECTOR, 0);
	/* "If the 'load CET state' VM-exit control is 1, bits 63:32 … are 0." */
	with(0, F_HOST_SSP, 0x100000000);
	v.f[F_EXIT_CONTROLS] |= EXIT_LOAD_CET;
	with(HOST, F_HOST_SSP, 0x100000000);
	with(HOST, F_HOST_S_CET, 0x100000000);
	with(0, F_HOST_SSP, 0xfffffffc);
	with(HOST, F_HOST_EFER, EFER_LME);
}

static void test_guest_state(void **state)
{
	(void)state;
	/* SDM "VM-Entry Failures During or After Loading Guest State": 4 for the link pointer. */
	flip(GUEST, F_GUEST_CR4, CR4_SMXE);
	assert_int_equal(qualification, 0);
	flip(GUEST, F_GUEST_CR4, BIT(40));
	assert_int_equal(qualification, 0);
	with(GUEST, F_VMCS_LINK_POINTER, 0x1000);
	assert_int_equal(qualification, 4);
	with(GUEST, F_VMCS_LINK_POINTER, ~0u);
	assert_int_equal(qualification, 4);
}

/* "VMCS link pointer", as far as it depends on the VMCS there. The revision identifier is 1. */
static void test_linked_vmcs(void **state)
{
	const u32 shadow = 1u << 31;

	(void)state;
	linked_header = 1;
	with(0, F_VMCS_LINK_POINTER, 0x1000);
	with(GUEST, F_VMCS_LINK_POINTER, 0x1001);
	with(GUEST, F_VMCS_LINK_POINTER, 0x1800);
	with(GUEST, F_VMCS_LINK_POINTER, BIT(MAXPHYADDR));
	assert_int_equal(qualification, 4);
	current_vmcs = 0x1000;
	with(GUEST, F_VMCS_LINK_POINTER, 0x1000);
	current_vmcs = 0;
	linked_header = 2;
	with(GUEST, F_VMCS_LINK_POINTER, 0x1000);
	/* The indicator agrees with the control. */
	linked_header = 1 | shadow;
	with(GUEST, F_VMCS_LINK_POINTER, 0x1000);
	v.f[F_SECONDARY_CONTROLS] |= CPU2_VMCS_SHADOWING;
	with(0, F_VMCS_LINK_POINTER, 0x1000);
	linked_header = 1;
	with(GUEST, F_VMCS_LINK_POINTER, 0x1000);
	linked_header = 0;
}

/* Addresses that Umbra uses in the CPU's stead: SDM "VM-Execution Control Fields". */
static void test_emulated_controls(void **state)
{
	(void)state;
	with(0, F_PML_ADDRESS, 1);
	flip(0, F_SECONDARY_CONTROLS, CPU2_PML);
	v.f[F_SECONDARY_CONTROLS] |= CPU2_PML;
	page_address(F_PML_ADDRESS);
	flip(CONTROLS, F_SECONDARY_CONTROLS, CPU2_EPT);
	v.f[F_SECONDARY_CONTROLS] &= ~CPU2_PML;
	v.f[F_SECONDARY_CONTROLS] |= CPU2_VMCS_SHADOWING;
	page_address(F_VMREAD_BITMAP);
	page_address(F_VMWRITE_BITMAP);
	v.f[F_SECONDARY_CONTROLS] &= ~CPU2_VMCS_SHADOWING;
	v.f[F_SECONDARY_CONTROLS] |= CPU2_EPT_VIOLATION_VE;
	page_address(F_VE_INFO_ADDR);
	v.f[F_SECONDARY_CONTROLS] &= ~CPU2_EPT_VIOLATION_VE;
	with(0, F_VM_FUNCTION_CONTROLS, ~0ull);
	v.f[F_SECONDARY_CONTROLS] |= CPU2_VM_FUNCTIONS;
	for (unsigned int bit = 1; bit < 64; bit++)
		with(CONTROLS, F_VM_FUNCTION_CONTROLS, BIT(bit));
	with(0, F_EPTP_LIST_ADDR, 1);
	v.f[F_VM_FUNCTION_CONTROLS] = 1;
	page_address(F_EPTP_LIST_ADDR);
	flip(CONTROLS, F_SECONDARY_CONTROLS, CPU2_EPT);
}

/* Where vmcs02 alone has the event to inject and the TPR threshold, the hardware judges them. */
static void test_shadowed(void **state)
{
	(void)state;
	context.shadowed = true;
	inject(0, 1, 0, 0);
	v.f[F_PRIMARY_CONTROLS] |= CPU_TPR_SHADOW;
	with(0, F_TPR_THRESHOLD, 0x10);
	flip(CONTROLS, F_PIN_CONTROLS, BIT(1));
	flip(HOST, F_HOST_CR0, CR0_PE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_reserved_controls, setup),
		cmocka_unit_test_setup(test_bitmaps, setup),
		cmocka_unit_test_setup(test_cr3_targets, setup),
		cmocka_unit_test_setup(test_apic, setup),
		cmocka_unit_test_setup(test_nmis, setup),
		cmocka_unit_test_setup(test_posted_interrupts, setup),
		cmocka_unit_test_setup(test_vpid_and_ept, setup),
		cmocka_unit_test_setup(test_msr_areas, setup),
		cmocka_unit_test_setup(test_preemption_timer, setup),
		cmocka_unit_test_setup(test_injection, setup),
		cmocka_unit_test_setup(test_injection_error_code, setup),
		cmocka_unit_test_setup(test_injection_any_error_code, setup),
		cmocka_unit_test_setup(test_injection_length, setup),
		cmocka_unit_test_setup(test_host_control_registers, setup),
		cmocka_unit_test_setup(test_host_msrs, setup),
		cmocka_unit_test_setup(test_host_cet, setup),
		cmocka_unit_test_setup(test_host_pkrs, setup),
		cmocka_unit_test_setup(test_perf_global_ctrl, setup),
		cmocka_unit_test_setup(test_host_selectors, setup),
		cmocka_unit_test_setup(test_host_addresses, setup),
		cmocka_unit_test_setup(test_host_addresses_la57, setup),
		cmocka_unit_test_setup(test_address_space_size, setup),
		cmocka_unit_test_setup(test_guest_state, setup),
		cmocka_unit_test_setup(test_shadowed, setup),
		cmocka_unit_test_setup(test_linked_vmcs, setup),
		cmocka_unit_test_setup(test_emulated_controls, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
