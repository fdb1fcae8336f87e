/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/statistics.h"

#include "config.h"
#include "lib/insn.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "platform/vtd.h"

static const u64 magic = 0x6172626d75;

enum statistics_function {
	STATISTICS_MACHINE,
	STATISTICS_EXITS,
	STATISTICS_HIDDEN_ACCESSES,
	STATISTICS_BOOT_TIME,
	STATISTICS_COVERAGE,
	STATISTICS_L2_EXITS,
	STATISTICS_VMCS,
	STATISTICS_INTEGRITY,
	STATISTICS_DMA,
};

/* Constant once the guest runs. */
static struct {
	bool on;
	u64 reserved_bytes;
	u64 entry_tsc;
	u64 launch_tsc;
} statistics;

void statistics_init(bool on, u64 reserved_bytes, u64 entry_tsc)
{
	statistics.on = on;
	statistics.reserved_bytes = reserved_bytes;
	statistics.entry_tsc = entry_tsc;
	statistics.launch_tsc = rdtsc();
	if (on)
		pages_fill_unused();
}

#if UMBRA_COVERAGE
/* The compiler's counters; the linker names a section's ends so. */
extern const u64 coverage_start[] __asm__("__start___llvm_prf_cnts");
extern const u64 coverage_end[] __asm__("__stop___llvm_prf_cnts");

static bool answer_coverage(struct guest_regs *regs)
{
	const u64 count = (u64)(coverage_end - coverage_start);
	const u64 first = regs->rbx;

	if (first >= count)
		return false;
	regs->rax = 0;
	for (u64 bit = 0; bit < 64 && bit < count - first; bit++)
		regs->rax |= coverage_start[first + bit] ? BIT(bit) : 0;
	regs->rbx = count;
	return true;
}
#else
static bool answer_coverage(struct guest_regs *regs)
{
	(void)regs;
	return false;
}
#endif

/* A counter of a CPU's, of those that are arrays; NULL: there is no such one. */
static const u64 *counter(const struct vcpu *vcpu, u64 function, u64 index)
{
	switch (function) {
	case STATISTICS_EXITS:
		return index < REASON_COUNT ? &vcpu->exits[index] : NULL;
	case STATISTICS_L2_EXITS:
		return index < REASON_COUNT ? &vcpu->l2_exits[index] : NULL;
	default:
		return UMBRA_COUNT_VMCS && index < VMCS_COUNTED ? &vcpu->vmcs_count[index] : NULL;
	}
}

/* Another CPU's counters may be one event behind; nobody waits for them. */
static bool answer(struct guest_regs *regs)
{
	const struct vcpu *vcpu = regs->rdx < cpu_count ? (struct vcpu *)cpus[regs->rdx] : NULL;
	const u64 *count;

	switch (regs->rcx) {
	case STATISTICS_MACHINE:
		regs->rax = cpu_count;
		regs->rbx = statistics.reserved_bytes;
		regs->rdx = image_size();
		return true;
	case STATISTICS_EXITS:
	case STATISTICS_L2_EXITS:
	case STATISTICS_VMCS:
		count = vcpu ? counter(vcpu, regs->rcx, regs->rbx) : NULL;
		if (count)
			regs->rax = *count;
		return count;
	case STATISTICS_HIDDEN_ACCESSES:
		if (!vcpu)
			return false;
		regs->rax = vcpu->hidden_reads;
		regs->rbx = vcpu->hidden_writes;
		return true;
	case STATISTICS_BOOT_TIME:
		regs->rax = statistics.entry_tsc;
		regs->rbx = statistics.launch_tsc;
		return true;
	case STATISTICS_COVERAGE:
		return answer_coverage(regs);
	case STATISTICS_INTEGRITY:
		regs->rax = image_digest();
		regs->rdx = pages_spoiled(&regs->rbx);
		return true;
	case STATISTICS_DMA:
		regs->rax = vtd_units_on();
		regs->rbx = vtd_faults();
		return true;
	default:
		return false;
	}
}

bool statistics_vmcall(struct guest_regs *regs)
{
	if (!statistics.on || regs->rax != magic)
		return false;
	if (!answer(regs))
		regs->rax = ~0ull;
	return true;
}
