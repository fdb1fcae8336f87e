/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmx/capabilities.h"

/*
 * A CPU with every capability of SDM appendix "VMX Capability Reporting Facility", written with the
 * bit numbers of that appendix. Allowed-1 bits are the high half of each control's MSR; the low
 * half forces what the true controls of current CPUs do.
 */
enum {
	ALL = 0xffffffffu,
};

static const vmx_control_cap ALLOWED = (u64)ALL << 32;

static struct vmx_capabilities full_cpu(void)
{
	return (struct vmx_capabilities){
		.has_vmx = true,
		.feature_control = BIT(0) | BIT(2), /* locked, VMX outside SMX */
		.basic = BIT(55),                   /* true controls */
		.pin = ALLOWED | 0x16,
		.primary = ALLOWED | 0x4006172,
		.secondary = ALLOWED,
		.exit = ALLOWED | 0x36dfb,
		.entry = ALLOWED | 0x11fb,
		.misc = BIT(5) | BIT(6) | BIT(7) | BIT(8),
		/* 4-level walk, WB, 2 MiB, INVEPT single and all, INVVPID all four types. */
		.ept_vpid = BIT(6) | BIT(14) | BIT(16) | BIT(20) | BIT(25) | BIT(26) | BIT(32) |
			    BITS(43, 40),
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = ALL,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = 0x3767ff,
	};
}

struct reports {
	u32 count;
	char what[200];
};

static void record(void *ctx, const char *what, const char *advice)
{
	struct reports *reports = ctx;

	assert_non_null(what);
	assert_non_null(advice);
	assert_true(strlen(what) > 0 && strlen(what) < sizeof(reports->what));
	assert_true(strlen(advice) > 0);
	strcpy(reports->what, what);
	reports->count++;
}

static u32 check(const struct vmx_capabilities *cpu, struct reports *reports)
{
	*reports = (struct reports){0};
	const u32 missing = vmx_requirements_check(cpu, record, reports);

	assert_int_equal(missing, reports->count);
	return missing;
}

static void assert_passes(const struct vmx_capabilities *cpu)
{
	struct reports reports;

	assert_int_equal(check(cpu, &reports), 0);
}

static void assert_one_report(const struct vmx_capabilities *cpu, const char *word)
{
	struct reports reports;

	assert_int_equal(check(cpu, &reports), 1);
	if (!strstr(reports.what, word))
		fail_msg("\"%s\" does not name %s", reports.what, word);
}

static void full_cpu_passes(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();

	(void)state;
	assert_passes(&cpu);
}

/* Without VMX nothing else is known, so nothing else is reported. */
static void no_vmx(void **state)
{
	const struct vmx_capabilities none = {.has_vmx = false};
	struct vmx_capabilities cpu = full_cpu();

	(void)state;
	assert_one_report(&none, "VMX");
	cpu.has_vmx = false;
	assert_one_report(&cpu, "VMX");
}

/* SDM "Enabling and Entering VMX Operation": VMXON faults if locked without bit 2. */
static void feature_control(void **state)
{
	struct vmx_capabilities cpu = full_cpu();

	(void)state;
	cpu.feature_control = 0;
	assert_passes(&cpu);
	cpu.feature_control = BIT(2);
	assert_passes(&cpu);
	cpu.feature_control = BIT(0);
	assert_one_report(&cpu, "IA32_FEATURE_CONTROL");
	/* Inside SMX only does not help outside. */
	cpu.feature_control = BIT(0) | BIT(1);
	assert_one_report(&cpu, "IA32_FEATURE_CONTROL");
}

static void true_controls(void **state)
{
	struct vmx_capabilities cpu = full_cpu();

	(void)state;
	cpu.basic = 0;
	assert_one_report(&cpu, "true");
}

struct control {
	size_t field; /* offset of the vmx_control_cap */
	unsigned int bit;
	const char *word;
};

#define CAP(name) offsetof(struct vmx_capabilities, name)

/* Bit numbers from the tables of SDM "VM-Execution Control Fields", "VM-Exit Controls" and
 * "VM-Entry Controls". */
static const struct control needed_controls[] = {
	{CAP(pin), 3, "NMI"},                      /* NMI exiting */
	{CAP(pin), 5, "NMI"},                      /* virtual NMIs */
	{CAP(primary), 22, "NMI"},                 /* NMI-window exiting */
	{CAP(primary), 28, "MSR bitmaps"},         /* use MSR bitmaps */
	{CAP(primary), 31, "EPT"},                 /* activate secondary controls */
	{CAP(secondary), 1, "EPT"},                /* enable EPT */
	{CAP(secondary), 5, "VPID"},               /* enable VPID */
	{CAP(secondary), 7, "unrestricted guest"}, /* unrestricted guest */
	{CAP(exit), 18, "IA32_PAT"},               /* save IA32_PAT */
	{CAP(exit), 19, "IA32_PAT"},               /* load IA32_PAT */
	{CAP(exit), 20, "IA32_EFER"},              /* save IA32_EFER */
	{CAP(exit), 21, "IA32_EFER"},              /* load IA32_EFER */
	{CAP(entry), 14, "IA32_PAT"},              /* load IA32_PAT */
	{CAP(entry), 15, "IA32_EFER"},             /* load IA32_EFER */
};

static const struct control *needed(size_t field, unsigned int bit)
{
	for (size_t i = 0; i < ARRAY_SIZE(needed_controls); i++) {
		if (needed_controls[i].field == field && needed_controls[i].bit == bit)
			return &needed_controls[i];
	}
	return NULL;
}

/* Each control a CPU may lack, alone: one report for the needed ones, none for the others. */
static void each_control(void **state)
{
	static const size_t fields[] = {CAP(pin), CAP(primary), CAP(secondary), CAP(exit),
					CAP(entry)};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		for (unsigned int bit = 0; bit < 32; bit++) {
			const struct control *control = needed(fields[i], bit);
			struct vmx_capabilities cpu = full_cpu();
			vmx_control_cap *cap = (vmx_control_cap *)((char *)&cpu + fields[i]);

			if (*cap & BIT(bit)) /* forced to 1 by this CPU */
				continue;
			*cap &= ~BIT(32 + bit);
			if (control)
				assert_one_report(&cpu, control->word);
			else
				assert_passes(&cpu);
		}
	}
}

/* SDM "VPID and EPT Capabilities". */
static void each_ept_vpid_capability(void **state)
{
	static const struct {
		unsigned int bit;
		const char *word;
	} bits[] = {
		{6, "4-level"}, {14, "write-back"}, {16, "2 MiB"}, {20, "INVEPT"},
		{25, "INVEPT"}, {32, "VPID"},       {41, "VPID"},
	};

	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		struct vmx_capabilities cpu = full_cpu();
		const char *word = NULL;

		for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
			if (bits[i].bit == bit)
				word = bits[i].word;
		}
		cpu.ept_vpid &= ~BIT(bit);
		if (word)
			assert_one_report(&cpu, word);
		else
			assert_passes(&cpu);
	}
}

/* The MSR does not exist without EPT and VPID, so its absence is no report of its own. */
static void no_ept_at_all(void **state)
{
	struct vmx_capabilities cpu = full_cpu();

	(void)state;
	cpu.secondary &= ~BIT(32 + 1);
	cpu.ept_vpid = BIT(32) | BITS(43, 40);
	assert_one_report(&cpu, "EPT");
	cpu = full_cpu();
	cpu.secondary &= ~BIT(32 + 5);
	cpu.ept_vpid &= BITS(31, 0);
	assert_one_report(&cpu, "VPID");
}

/* SDM "Miscellaneous Data", bit 8. */
static void wait_for_sipi(void **state)
{
	struct vmx_capabilities cpu = full_cpu();

	(void)state;
	cpu.misc &= ~BIT(8);
	assert_one_report(&cpu, "wait-for-SIPI");
}

/* CR3-load and CR3-store exiting (15, 16) must be free to be 0. */
static void cr3_exits(void **state)
{
	struct vmx_capabilities cpu = full_cpu();

	(void)state;
	cpu.primary |= BIT(15);
	assert_one_report(&cpu, "CR3");
	cpu = full_cpu();
	cpu.primary |= BIT(16);
	assert_one_report(&cpu, "CR3");
	cpu.primary |= BIT(15);
	assert_one_report(&cpu, "CR3");
}

/* All at once: each is named, none hides another. */
static void everything_missing(void **state)
{
	const struct vmx_capabilities cpu = {
		.has_vmx = true,
		.feature_control = BIT(0),
		.primary = BIT(15) | BIT(16),
	};
	struct reports reports;

	(void)state;
	/* All but the EPT format, which is unknown. */
	assert_int_equal(check(&cpu, &reports), 10);
}

static void control_helpers(void **state)
{
	const vmx_control_cap cap = 0xf0ull << 32 | 0x30;

	(void)state;
	assert_true(vmx_can_set(cap, 0xf0));
	assert_true(vmx_can_set(cap, 0));
	assert_false(vmx_can_set(cap, 0x8));
	assert_false(vmx_can_set(cap, 0x88));
	assert_true(vmx_can_clear(cap, 0xc0));
	assert_false(vmx_can_clear(cap, 0x50));
	assert_false(vmx_can_clear(cap, 0x10));
	/* Required and wanted ones that exist, and what the CPU forces. */
	assert_int_equal(vmx_controls(cap, 0x40, 0x8f), 0xf0);
	assert_int_equal(vmx_controls(cap, 0, 0), 0x30);
	assert_int_equal(vmx_controls(cap, 0, 0x0f), 0x30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_cpu_passes), cmocka_unit_test(no_vmx),
		cmocka_unit_test(feature_control), cmocka_unit_test(true_controls),
		cmocka_unit_test(each_control),    cmocka_unit_test(each_ept_vpid_capability),
		cmocka_unit_test(no_ept_at_all),   cmocka_unit_test(wait_for_sipi),
		cmocka_unit_test(cr3_exits),       cmocka_unit_test(everything_missing),
		cmocka_unit_test(control_helpers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
