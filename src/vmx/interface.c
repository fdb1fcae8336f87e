/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/interface.h"

#include <umbra/interface.h>

#include <x86/cpuid.h>
#include <x86/msr.h>

#include "config.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "platform/microcode.h"
#include "platform/vtd.h"
#include "vmx/guest_level.h"

/* Constant once the guest runs. */
static struct {
	struct interface_options options;
	u64 token;
	struct range home;
	u64 pages;
	u64 entry_tsc;
	u64 launch_tsc;
} interface;

static bool make_token(void)
{
	return (cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND) && rdrand(&interface.token);
}

void interface_set_options(const struct interface_options *options)
{
	interface.options = *options;
	if (!options->leaves || make_token())
		return;
	log_warn("hv-leaves: this CPU has no RDRAND; there is no interface for programs");
	interface.options.leaves = false;
}

void interface_begin(struct range home, u64 entry_tsc)
{
	interface.home = home;
	interface.pages = pages_left();
	interface.entry_tsc = entry_tsc;
	interface.launch_tsc = rdtsc();
	if (interface.options.stats)
		pages_fill_unused();
}

bool interface_has_leaves(void)
{
	return interface.options.leaves;
}

bool interface_token(u64 *token)
{
	if (interface.options.leaves)
		*token = interface.token;
	return interface.options.leaves;
}

#if UMBRA_COVERAGE
/* The compiler's counters; the linker names a section's ends so. */
extern const u64 coverage_start[] __asm__("__start___llvm_prf_cnts");
extern const u64 coverage_end[] __asm__("__stop___llvm_prf_cnts");

static u64 answer_coverage(u64 first, u64 *out)
{
	const u64 count = (u64)(coverage_end - coverage_start);

	if (first >= count)
		return UMBRA_ERROR;
	for (u64 bit = 0; bit < 64 && bit < count - first; bit++)
		out[0] |= coverage_start[first + bit] ? BIT(bit) : 0;
	out[1] = count;
	return 0;
}
#else
static u64 answer_coverage(u64 first, u64 *out)
{
	(void)first;
	(void)out;
	return UMBRA_ERROR;
}
#endif

static u64 answer_facts(u64 *out)
{
	out[UMBRA_FACT_MEMORY] = interface.home.start;
	out[UMBRA_FACT_MEMORY_SIZE] = interface.home.size;
	out[UMBRA_FACT_IMAGE_SIZE] = image_size();
	out[UMBRA_FACT_PAGES] = interface.pages;
	out[UMBRA_FACT_PAGES_LEFT] = pages_left();
	out[UMBRA_FACT_ENTRY_TSC] = interface.entry_tsc;
	out[UMBRA_FACT_LAUNCH_TSC] = interface.launch_tsc;
	out[UMBRA_FACT_FLAGS] = (UMBRA_STATISTICS ? UMBRA_FLAG_STATISTICS : 0) |
				(offered_vmx.offered ? UMBRA_FLAG_NESTED : 0) |
				(interface.options.stats ? UMBRA_FLAG_TESTS : 0);
	out[UMBRA_FACT_MICROCODE] = microcode_revisions();
	return cpu_count;
}

static u64 answer_text(u64 which, u64 position, u64 *out)
{
	const char *const texts[UMBRA_TEXT_COUNT] = {
		[UMBRA_TEXT_VERSION] = UMBRA_VERSION,
		[UMBRA_TEXT_OPTIONS] = interface.options.text ? interface.options.text : "",
	};
	size_t length;

	if (which >= UMBRA_TEXT_COUNT)
		return UMBRA_ERROR;
	length = strlen(texts[which]);
	if (position >= length)
		return 0;
	length -= position;
	if (length > UMBRA_RESULTS * sizeof(*out))
		length = UMBRA_RESULTS * sizeof(*out);
	memcpy(out, texts[which] + position, length);
	return length;
}

static u64 answer_exits(const u64 *exits, u64 first, u64 *out)
{
	if (first >= REASON_COUNT)
		return UMBRA_ERROR;
	for (u64 i = 0; i < UMBRA_RESULTS && first + i < REASON_COUNT; i++)
		out[i] = exits[first + i];
	return 0;
}

static u64 answer_cpu(const struct vcpu *vcpu, u64 *out)
{
	out[UMBRA_CPU_APIC_ID] = vcpu->cpu.apic_id;
	out[UMBRA_CPU_HIDDEN_READS] = vcpu->hidden_reads;
	out[UMBRA_CPU_HIDDEN_WRITES] = vcpu->hidden_writes;
	out[UMBRA_CPU_UNEXPECTED] = vcpu->unexpected_exits;
	if (offered_vmx.counts)
		offered_vmx.counts(vcpu, out);
	return 0;
}

static u64 answer_vmcs_counts(const struct vcpu *vcpu, u64 *out)
{
	if (!UMBRA_COUNT_VMCS)
		return UMBRA_ERROR;
	memcpy(out, vcpu->vmcs_count, sizeof(vcpu->vmcs_count));
	return 0;
}

static u64 answer_log(u64 position, u64 *out)
{
	size_t length;

	out[0] = position;
	return log_read(&out[0], (char *)&out[1], (UMBRA_RESULTS - 1) * sizeof(*out), &length)
		       ? length
		       : UMBRA_BUSY;
}

static u64 answer_integrity(u64 *out)
{
	if (!interface.options.stats)
		return UMBRA_ERROR;
	out[0] = image_digest();
	out[2] = pages_spoiled(&out[1]);
	return 0;
}

/* Another CPU's counters may be one event behind; nobody waits for them. */
static u64 answer_of_cpu(u64 function, u64 index, u64 argument, u64 *out)
{
	const struct vcpu *vcpu;

	if (index >= cpu_count)
		return UMBRA_ERROR;
	/* Nothing is read at a number that the CPU only guesses to be in range. */
	speculation_barrier();
	vcpu = (const struct vcpu *)cpus[index];
	switch (function) {
	case UMBRA_ASK_EXITS:
		return answer_exits(vcpu->exits, argument, out);
	case UMBRA_ASK_L2_EXITS:
		return answer_exits(vcpu->l2_exits, argument, out);
	case UMBRA_ASK_VMCS_COUNTS:
		return answer_vmcs_counts(vcpu, out);
	case UMBRA_ASK_CPU:
		return answer_cpu(vcpu, out);
	default:
		return UMBRA_ERROR;
	}
}

static u64 answer(u64 function, u64 first, u64 second, u64 *out)
{
	switch (function) {
	case UMBRA_ASK_FACTS:
		return answer_facts(out);
	case UMBRA_ASK_TEXT:
		return answer_text(first, second, out);
	case UMBRA_ASK_DMA:
		out[0] = vtd_units_on();
		out[1] = vtd_faults();
		return 0;
	case UMBRA_ASK_LOG:
		return answer_log(first, out);
	case UMBRA_ASK_CAPABILITY:
		return first - MSR_IA32_VMX_BASIC <= MSR_IA32_VMX_EXIT_CTLS2 - MSR_IA32_VMX_BASIC &&
				       rdmsr_safe((u32)first, &out[0])
			       ? 0
			       : UMBRA_ERROR;
	case UMBRA_ASK_COVERAGE:
		return answer_coverage(first, out);
	case UMBRA_ASK_INTEGRITY:
		return answer_integrity(out);
	default:
		return answer_of_cpu(function, first, second, out);
	}
}

/* The comparison takes the same time whatever the caller's number is. */
static bool may_ask(u64 token)
{
	return interface.options.stats || (interface.options.leaves && token == interface.token);
}

bool interface_vmcall(struct guest_regs *regs)
{
	static const u8 result[UMBRA_RESULTS] = {
		GPR_RBX, GPR_RCX,    GPR_RDX,    GPR_RSI,    GPR_RDI,
		GPR_R8,  GPR_R8 + 1, GPR_R8 + 2, GPR_R8 + 3, GPR_R8 + 4,
	};
	u64 out[UMBRA_RESULTS] = {0};

	if (regs->rax != UMBRA_CALL || !may_ask(regs->rbx))
		return false;
	regs->rax = answer(regs->rcx, regs->rdx, regs->rsi, out);
	for (u32 i = 0; regs->rax != UMBRA_ERROR && i < UMBRA_RESULTS; i++)
		regs->gpr[result[i]] = out[i];
	return true;
}
