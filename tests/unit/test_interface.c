/* SPDX-License-Identifier: BSD-2-Clause */
/* umbra/interface.h: who is answered, and what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <umbra/interface.h>

#include <x86/cpuid.h>
#include <x86/msr.h>

#include "config.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "machine.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "platform/microcode.h"
#include "platform/vtd.h"
#include "vmx/guest_level.h"
#include "vmx/interface.h"

enum { CPUS = 2, ENTRY_TSC = 1111, LAUNCH_TSC = 2222, SIZE = 0x123000 };

static const u64 token = 0x8badf00d12345678;
static const paddr_t start = 0x7ff00000;

static struct cpu *all[CPUS];
struct cpu **cpus = all;
u32 cpu_count = CPUS;
struct offered_vmx offered_vmx;

static bool has_rdrand, rdrand_works, log_is_busy;
static const char *log_text;
static struct guest_regs regs;

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	assert_int_equal(leaf, 1);
	return (struct cpuid){.ecx = has_rdrand ? (u32)CPUID_1_ECX_RDRAND : 0};
}

bool rdrand(u64 *value)
{
	*value = rdrand_works ? token : 0;
	return rdrand_works;
}

u64 rdtsc(void)
{
	return LAUNCH_TSC;
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	*value = msr * 3ull;
	return msr != MSR_IA32_VMX_VMFUNC;
}

u32 vtd_units_on(void)
{
	return 77;
}

u64 vtd_faults(void)
{
	return 88;
}

u64 microcode_revisions(void)
{
	return 0x1200000034;
}

bool log_read(u64 *from, char *dst, size_t size, size_t *length)
{
	const size_t whole = strlen(log_text);

	if (log_is_busy)
		return false;
	*length = *from < whole ? whole - *from : 0;
	*length = *length < size ? *length : size;
	memcpy(dst, log_text + *from, *length);
	*from += *length;
	return true;
}

static void counts(const struct vcpu *vcpu, u64 *out)
{
	out[UMBRA_CPU_EPT02_PAGES] = vcpu->cpu.index + 500u;
}

static const char options[] = "hv-leaves=on serial=none loglevel=debug nested.pool=8192 cpuid=all "
			      "verbose=off wait=5";

static void begin(bool leaves, bool stats)
{
	interface_set_options(&(struct interface_options){leaves, stats, options});
	interface_begin((struct range){start, SIZE}, ENTRY_TSC);
}

static int setup(void **state)
{
	const struct vmx_capabilities vmx = {0};

	(void)state;
	machine_memory_init(16, 64);
	machine_vmx_init(CPUS, &vmx);
	for (u32 i = 0; i < CPUS; i++) {
		struct vcpu *vcpu = machine_cpu(i);

		all[i] = &vcpu->cpu;
		vcpu->cpu.index = (u16)i;
		vcpu->cpu.apic_id = 4 + i;
		for (u32 reason = 0; reason < REASON_COUNT; reason++) {
			vcpu->exits[reason] = 1000 * (i + 1) + reason;
			vcpu->l2_exits[reason] = 5000 * (i + 1) + reason;
		}
		vcpu->hidden_reads = 55;
		vcpu->hidden_writes = 66;
		vcpu->unexpected_exits = 7;
	}
	offered_vmx = (struct offered_vmx){.counts = counts};
	has_rdrand = rdrand_works = true;
	log_is_busy = false;
	log_text = "";
	begin(true, false);
	return 0;
}

/* As it is before each call: every register has a value of its own. */
static void fill(u64 rax, u64 rbx, u64 function, u64 first, u64 second)
{
	for (u32 i = 0; i < GPR_COUNT; i++)
		regs.gpr[i] = 0xf000 + i;
	regs.rax = rax;
	regs.rbx = rbx;
	regs.rcx = function;
	regs.rdx = first;
	regs.rsi = second;
}

/* The call is not Umbra's: no register changes. */
static void assert_ignored(u64 rax, u64 rbx)
{
	for (u64 function = 0; function < 16; function++) {
		struct guest_regs before;

		fill(rax, rbx, function, 0, 0);
		before = regs;
		assert_false(interface_vmcall(&regs));
		assert_memory_equal(&regs, &before, sizeof(regs));
	}
}

static u64 ask(u64 function, u64 first, u64 second)
{
	fill(UMBRA_CALL, token, function, first, second);
	assert_true(interface_vmcall(&regs));
	/* What the interface does not name stays. */
	assert_int_equal(regs.rbp, 0xf000 + GPR_RBP);
	for (u32 i = GPR_R8 + 5; i < GPR_COUNT; i++)
		assert_int_equal(regs.gpr[i], 0xf000 + i);
	return regs.rax;
}

static void assert_refused(u64 function, u64 first, u64 second)
{
	assert_true(ask(function, first, second) == UMBRA_ERROR);
	assert_true(regs.rbx == token && regs.rcx == function && regs.rdx == first &&
		    regs.rsi == second);
	assert_int_equal(regs.rdi, 0xf000 + GPR_RDI);
	assert_int_equal(regs.r8, 0xf000 + GPR_R8);
}

static u64 result(u32 i)
{
	const u64 words[UMBRA_RESULTS] = {regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi,
					  regs.r8,  regs.r9,  regs.r10, regs.r11, regs.r12};

	return words[i];
}

static void test_token(void **state)
{
	u64 read = 0;

	(void)state;
	assert_true(interface_has_leaves());
	assert_true(interface_token(&read) && read == token);
	assert_int_equal(ask(UMBRA_ASK_FACTS, 0, 0), CPUS);
	/* Each wrong bit of it, and of the number in RAX. */
	for (u32 bit = 0; bit < 64; bit++) {
		assert_ignored(UMBRA_CALL, token ^ BIT(bit));
		assert_ignored(UMBRA_CALL ^ BIT(bit), token);
	}
	assert_ignored(UMBRA_CALL, 0);
	assert_ignored(UMBRA_CALL, ~0ull);
}

static void test_off(void **state)
{
	u64 read = 0;

	(void)state;
	begin(false, false);
	assert_false(interface_has_leaves());
	assert_false(interface_token(&read) || read);
	assert_ignored(UMBRA_CALL, token);
	assert_ignored(UMBRA_CALL, 0);
}

/* A token that can be guessed is none. */
static void test_no_rdrand(void **state)
{
	u64 read = 0;

	(void)state;
	for (u32 i = 0; i < 2; i++) {
		has_rdrand = i == 1;
		rdrand_works = i == 0;
		begin(true, false);
		assert_false(interface_has_leaves());
		assert_false(interface_token(&read) || read);
		assert_ignored(UMBRA_CALL, 0);
		assert_ignored(UMBRA_CALL, token);
	}
}

/* For tests: whatever the token, with or without the leaves. */
static void test_stats(void **state)
{
	(void)state;
	for (u32 leaves = 0; leaves < 2; leaves++) {
		begin(leaves, true);
		for (u64 wrong = 0; wrong < 2; wrong++) {
			fill(UMBRA_CALL, wrong, UMBRA_ASK_FACTS, 0, 0);
			assert_true(interface_vmcall(&regs));
			assert_int_equal(regs.rax, CPUS);
			assert_true(result(UMBRA_FACT_FLAGS) & UMBRA_FLAG_TESTS);
		}
		assert_ignored(UMBRA_CALL + 1, token);
	}
}

static void test_facts(void **state)
{
	(void)state;
	offered_vmx.offered = true;
	pages_alloc(3);
	assert_int_equal(ask(UMBRA_ASK_FACTS, 0, 0), CPUS);
	assert_true(result(UMBRA_FACT_MEMORY) == start);
	assert_int_equal(result(UMBRA_FACT_MEMORY_SIZE), SIZE);
	assert_int_equal(result(UMBRA_FACT_IMAGE_SIZE), image_size());
	assert_int_equal(result(UMBRA_FACT_PAGES_LEFT), pages_left());
	assert_int_equal(result(UMBRA_FACT_PAGES), pages_left() + 3);
	assert_int_equal(result(UMBRA_FACT_ENTRY_TSC), ENTRY_TSC);
	assert_int_equal(result(UMBRA_FACT_LAUNCH_TSC), LAUNCH_TSC);
	assert_int_equal(result(UMBRA_FACT_FLAGS),
			 (UMBRA_STATISTICS ? UMBRA_FLAG_STATISTICS : 0) | UMBRA_FLAG_NESTED);
	assert_true(result(UMBRA_FACT_MICROCODE) == 0x1200000034);
}

static void assert_text(u64 which, const char *expected)
{
	char text[256] = "";
	u64 length, at = 0;

	while ((length = ask(UMBRA_ASK_TEXT, which, at)) != 0) {
		u64 words[UMBRA_RESULTS];

		assert_true(length <= sizeof(words) && at + length < sizeof(text));
		for (u32 i = 0; i < UMBRA_RESULTS; i++)
			words[i] = result(i);
		memcpy(text + at, words, length);
		/* Behind it there is nothing. */
		for (u64 i = length; i < sizeof(words); i++)
			assert_int_equal(((u8 *)words)[i], 0);
		at += length;
	}
	assert_string_equal(text, expected);
}

static void test_texts(void **state)
{
	(void)state;
	assert_true(strlen(options) > 80);
	assert_text(UMBRA_TEXT_VERSION, UMBRA_VERSION);
	assert_text(UMBRA_TEXT_OPTIONS, options);
	assert_int_equal(ask(UMBRA_ASK_TEXT, UMBRA_TEXT_OPTIONS, strlen(options)), 0);
	assert_int_equal(ask(UMBRA_ASK_TEXT, UMBRA_TEXT_OPTIONS, ~0ull), 0);
	assert_refused(UMBRA_ASK_TEXT, UMBRA_TEXT_COUNT, 0);
	assert_refused(UMBRA_ASK_TEXT, ~0ull, 0);
	interface_set_options(&(struct interface_options){.leaves = true});
	assert_text(UMBRA_TEXT_OPTIONS, "");
}

static void test_exits(void **state)
{
	(void)state;
	for (u32 cpu = 0; cpu < CPUS; cpu++) {
		for (u64 first = 0; first < REASON_COUNT; first++) {
			for (u32 l2 = 0; l2 < 2; l2++) {
				const u64 base = (l2 ? 5000 : 1000) * (cpu + 1);

				assert_int_equal(
					ask(l2 ? UMBRA_ASK_L2_EXITS : UMBRA_ASK_EXITS, cpu, first),
					0);
				for (u32 i = 0; i < UMBRA_RESULTS; i++)
					assert_int_equal(result(i), first + i < REASON_COUNT
									    ? base + first + i
									    : 0);
			}
		}
	}
	for (u32 l2 = 0; l2 < 2; l2++) {
		const u64 function = l2 ? UMBRA_ASK_L2_EXITS : UMBRA_ASK_EXITS;

		assert_refused(function, 0, REASON_COUNT);
		assert_refused(function, 0, ~0ull);
		assert_refused(function, CPUS, 0);
		assert_refused(function, 1ull << 32, 0);
		assert_refused(function, ~0ull, 0);
	}
}

static void test_cpu(void **state)
{
	(void)state;
	assert_int_equal(ask(UMBRA_ASK_CPU, 1, 0), 0);
	assert_int_equal(result(UMBRA_CPU_APIC_ID), 5);
	assert_int_equal(result(UMBRA_CPU_HIDDEN_READS), 55);
	assert_int_equal(result(UMBRA_CPU_HIDDEN_WRITES), 66);
	assert_int_equal(result(UMBRA_CPU_UNEXPECTED), 7);
	assert_int_equal(result(UMBRA_CPU_EPT02_PAGES), 501);
	offered_vmx.counts = NULL;
	assert_int_equal(ask(UMBRA_ASK_CPU, 0, 0), 0);
	assert_int_equal(result(UMBRA_CPU_EPT02_PAGES), 0);
	assert_refused(UMBRA_ASK_CPU, CPUS, 0);
	if (!UMBRA_COUNT_VMCS)
		assert_refused(UMBRA_ASK_VMCS_COUNTS, 0, 0);
}

static void test_log(void **state)
{
	u64 words[UMBRA_RESULTS];

	(void)state;
	log_text = "umbra: the first line is longer than what one call gives, which is not much\n";
	assert_int_equal(ask(UMBRA_ASK_LOG, 0, 0), 72);
	assert_int_equal(result(0), 72);
	for (u32 i = 0; i < UMBRA_RESULTS; i++)
		words[i] = result(i);
	assert_memory_equal(&words[1], log_text, 72);
	assert_int_equal(ask(UMBRA_ASK_LOG, 72, 0), strlen(log_text) - 72);
	assert_int_equal(result(0), strlen(log_text));
	assert_int_equal(ask(UMBRA_ASK_LOG, strlen(log_text), 0), 0);
	assert_int_equal(result(0), strlen(log_text));
	/* Nobody waits for a CPU that writes. */
	log_is_busy = true;
	assert_true(ask(UMBRA_ASK_LOG, 5, 0) == UMBRA_BUSY);
	assert_int_equal(result(0), 5);
}

static void test_capability(void **state)
{
	(void)state;
	for (u64 msr = MSR_IA32_VMX_BASIC; msr <= MSR_IA32_VMX_EXIT_CTLS2; msr++) {
		if (msr == MSR_IA32_VMX_VMFUNC) {
			/* This CPU has none. */
			assert_refused(UMBRA_ASK_CAPABILITY, msr, 0);
			continue;
		}
		assert_int_equal(ask(UMBRA_ASK_CAPABILITY, msr, 0), 0);
		assert_int_equal(result(0), msr * 3);
	}
	/* No other MSR can be read. */
	assert_refused(UMBRA_ASK_CAPABILITY, MSR_IA32_VMX_BASIC - 1, 0);
	assert_refused(UMBRA_ASK_CAPABILITY, MSR_IA32_VMX_EXIT_CTLS2 + 1, 0);
	assert_refused(UMBRA_ASK_CAPABILITY, 1ull << 32 | MSR_IA32_VMX_BASIC, 0);
	assert_refused(UMBRA_ASK_CAPABILITY, 0, 0);
}

static void test_tests_functions(void **state)
{
	(void)state;
	/* It takes long, so it is not for everyone who may ask. */
	assert_refused(UMBRA_ASK_INTEGRITY, 0, 0);
	assert_refused(UMBRA_ASK_COVERAGE, 0, 0);
	begin(true, true);
	assert_int_equal(ask(UMBRA_ASK_INTEGRITY, 0, 0), 0);
	assert_int_equal(result(0), image_digest());
	assert_int_equal(result(1), pages_left());
	assert_int_equal(result(2), 0);
	assert_int_equal(ask(UMBRA_ASK_DMA, 0, 0), 0);
	assert_int_equal(result(0), 77);
	assert_int_equal(result(1), 88);
	assert_refused(UMBRA_ASK_INTEGRITY + 1, 0, 0);
	assert_refused(~0ull, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_token, setup),
		cmocka_unit_test_setup(test_off, setup),
		cmocka_unit_test_setup(test_no_rdrand, setup),
		cmocka_unit_test_setup(test_stats, setup),
		cmocka_unit_test_setup(test_facts, setup),
		cmocka_unit_test_setup(test_texts, setup),
		cmocka_unit_test_setup(test_exits, setup),
		cmocka_unit_test_setup(test_cpu, setup),
		cmocka_unit_test_setup(test_log, setup),
		cmocka_unit_test_setup(test_capability, setup),
		cmocka_unit_test_setup(test_tests_functions, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
