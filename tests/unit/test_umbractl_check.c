/* SPDX-License-Identifier: BSD-2-Clause */
/* umbractl: what a machine lacks, and what nested VMX there offers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <x86/vmx.h>

#include "advice.h"
#include "offer.h"
#include "offer_print.h"

/* All capabilities, with the bits that current CPUs insist on. */
static struct vmx_capabilities full_cpu(void)
{
	return (struct vmx_capabilities){
		.has_vmx = true,
		.feature_control = 5,
		.basic = BIT(55),
		.pin = BITS(63, 32) | 0x16,
		.primary = BITS(63, 32) | 0x4006172,
		.secondary = BITS(63, 32),
		.exit = BITS(63, 32) | 0x36dfb,
		.entry = BITS(63, 32) | 0x11fb,
		.tertiary = BITS(63, 32),
		.exit2 = BITS(63, 32),
		.misc = BITS(8, 5) | 4 << 16 | BIT(14) | BIT(29) | BIT(30),
		.ept_vpid = BITS(44, 0),
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = BITS(31, 0),
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = 0x3767ff,
		.perf_global_ctrl = 1,
	};
}

static struct machine good_machine(void)
{
	return (struct machine){
		.intel = true,
		.long_mode = true,
		.capabilities_known = true,
		.capabilities = full_cpu(),
		.cpus = 4,
		.cpus_possible = 4,
		.rdrand = true,
		.vtd = true,
		.efi = true,
		.sleeps_to_ram = true,
	};
}

static char said[4096];

static void say(void *context, enum verdict verdict, const char *what, const char *advice)
{
	const size_t used = strlen(said);

	assert_ptr_equal(context, said);
	/* Whatever is not simply good comes with a line of advice. */
	assert_true(verdict == VERDICT_GOOD ? !*advice : strlen(advice) > 10);
	assert_null(strchr(advice, '\n'));
	snprintf(said + used, sizeof(said) - used, "%s: %s -> %s\n", verdict_name(verdict), what,
		 advice);
}

static enum verdict judge(const struct machine *machine)
{
	said[0] = '\0';
	return advise(machine, say, said);
}

static void test_good(void **state)
{
	struct machine m = good_machine();

	(void)state;
	assert_int_equal(judge(&m), VERDICT_GOOD);
	assert_null(strstr(said, "note"));
	assert_null(strstr(said, "missing"));
	assert_non_null(strstr(said, "good: 4 CPUs"));
}

/* None of these keeps Umbra from running. */
static void test_notes(void **state)
{
	static const struct {
		size_t member;
		bool value;
		const char *says;
	} notes[] = {
		{offsetof(struct machine, rdrand), false, "note: no RDRAND -> "},
		{offsetof(struct machine, vtd), false, "note: no VT-d -> enable VT-d"},
		{offsetof(struct machine, secure_boot), true,
		 "note: UEFI with Secure Boot -> sign"},
		{offsetof(struct machine, efi), false, "good: started by a BIOS"},
		{offsetof(struct machine, sleeps_to_ram), false, "note: no sleep to RAM"},
		{offsetof(struct machine, hypervisor), true, "note: another hypervisor is below"},
		{offsetof(struct machine, umbra), true, "note: Umbra runs already"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(notes); i++) {
		struct machine m = good_machine();

		*(bool *)((char *)&m + notes[i].member) = notes[i].value;
		assert_int_equal(judge(&m), VERDICT_GOOD);
		assert_non_null(strstr(said, notes[i].says));
	}
	struct machine m = good_machine();

	m.cpus_possible = 8;
	assert_int_equal(judge(&m), VERDICT_GOOD);
	assert_non_null(strstr(said, "note: 4 CPUs -> more could be plugged in"));
	m.cpus = 5000;
	judge(&m);
	assert_non_null(strstr(said, "note: 5000 CPUs -> Umbra takes at most 4096"));
}

static void test_missing(void **state)
{
	struct machine m = good_machine();

	(void)state;
	m.intel = false;
	assert_int_equal(judge(&m), VERDICT_MISSING);
	assert_non_null(strstr(said, "missing: a 64-bit Intel CPU"));

	m = good_machine();
	m.capabilities.feature_control = 1;
	assert_int_equal(judge(&m), VERDICT_MISSING);
	assert_non_null(strstr(said, "IA32_FEATURE_CONTROL -> enable Intel Virtualization"));

	m = good_machine();
	m.capabilities.secondary &= ~(CPU2_UNRESTRICTED_GUEST << 32);
	assert_int_equal(judge(&m), VERDICT_MISSING);
	assert_non_null(strstr(said, "missing: unrestricted guest"));

	/* What cannot be read is not held against the machine, but for what CPUID says. */
	m = good_machine();
	m.capabilities = (struct vmx_capabilities){.has_vmx = true};
	m.capabilities_known = false;
	m.why_unknown = "run this as root";
	assert_int_equal(judge(&m), VERDICT_UNKNOWN);
	assert_non_null(strstr(said, "-> run this as root"));
	assert_null(strstr(said, "missing"));
	m.capabilities.has_vmx = false;
	assert_int_equal(judge(&m), VERDICT_MISSING);
	assert_non_null(strstr(said, "missing: VMX (Intel VT-x) -> "));
}

static const struct offer *find(const struct offer *offers, unsigned int count, const char *text)
{
	for (unsigned int i = 0; i < count; i++) {
		if (strcmp(offers[i].text, text) == 0)
			return &offers[i];
	}
	fail_msg("no '%s'", text);
	return NULL;
}

static void test_offers(void **state)
{
	const struct vmx_capabilities cpu = full_cpu();
	struct vmx_capabilities small = full_cpu(), guest = offers_foresee(&cpu, 46);
	static struct offer offers[OFFERS_MAX];
	unsigned int n = offers_make(&cpu, &guest, offers);

	(void)state;
	assert_true(n > 80 && n <= OFFERS_MAX);
	for (unsigned int i = 0; i < n; i++) {
		/* A key of JSON's. */
		for (unsigned int k = 0; k < i; k++)
			assert_true(strcmp(offers[i].text, offers[k].text) != 0 ||
				    strcmp(offers[i].at, offers[k].at) != 0);
		assert_int_not_equal(offers[i].verdict, NOT_BY_CPU);
		assert_true((offers[i].verdict == NOT_BY_UMBRA) == (strlen(offers[i].why) > 0));
	}
	assert_int_equal(find(offers, n, "enable EPT")->verdict, OFFERED);
	assert_int_equal(find(offers, n, "EPT with 1-GByte pages")->verdict, OFFERED);
	assert_int_equal(find(offers, n, "5-level EPT")->verdict, NOT_BY_UMBRA);
	assert_int_equal(find(offers, n, "Intel PT in VMX operation")->verdict, NOT_BY_UMBRA);
	assert_string_equal(find(offers, n, "entry to SMM")->why, "Umbra is no SMM monitor");
	assert_int_equal(find(offers, n, "virtualize IA32_SPEC_CTRL")->verdict, OFFERED);
	assert_int_equal(find(offers, n, "instruction timeout")->verdict, NOT_BY_UMBRA);
	assert_non_null(strstr(find(offers, n, "instruction timeout")->why, "nested.untested="));

	/* A CPU without the timer's value saved: Umbra takes the timer away. */
	small.secondary &= ~(CPU2_PML << 32);
	small.exit &= ~(EXIT_SAVE_PREEMPTION_TIMER << 32);
	small.ept_vpid &= ~EPT_CAP_1G;
	guest = offers_foresee(&small, 46);
	n = offers_make(&small, &guest, offers);
	assert_int_equal(find(offers, n, "enable PML")->verdict, NOT_BY_CPU);
	assert_int_equal(find(offers, n, "EPT with 1-GByte pages")->verdict, NOT_BY_CPU);
	assert_string_equal(find(offers, n, "activate VMX-preemption timer")->why,
			    "the CPU lacks what it goes with");
}

/* A name is a key of JSON's, and so it comes once, in each of the three kinds. */
static void test_offers_printed(void **state)
{
	struct offer offers[] = {
		{OFFERED, "alpha", "", ""},
		{OFFERED, "beta", "", ""},
		{NOT_BY_UMBRA, "gamma", " at VM exit", "it is late"},
		{NOT_BY_CPU, "delta", "", ""},
	};
	struct json json;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	offers_print(out, offers, 4);
	fclose(out);
	assert_string_equal(text, "2 of the CPU's 3 controls and features\n"
				  "             not gamma at VM exit: it is late\n"
				  "             the CPU itself lacks:\n"
				  "             delta; \n");
	free(text);
	out = open_memstream(&text, &size);
	json = (struct json){.out = out};
	json_open(&json, NULL, '{');
	offers_json(&json, "nested", offers, 4);
	json_close(&json, '}');
	fclose(out);
	assert_string_equal(text, "{\n  \"nested\": {\n    \"offered\": [\n      \"alpha\",\n"
				  "      \"beta\"\n    ],\n    \"not_offered\": {\n"
				  "      \"gamma at VM exit\": \"it is late\"\n    },\n"
				  "    \"not_in_cpu\": [\n      \"delta\"\n    ]\n  }\n}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),           cmocka_unit_test(test_notes),
		cmocka_unit_test(test_missing),        cmocka_unit_test(test_offers),
		cmocka_unit_test(test_offers_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
