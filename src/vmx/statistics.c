/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/statistics.h"

#include "boot/layout.h"
#include "lib/insn.h"

static const u64 magic = 0x6172626d75;

enum statistics_function {
	STATISTICS_MACHINE,
	STATISTICS_EXITS,
	STATISTICS_HIDDEN_ACCESSES,
	STATISTICS_BOOT_TIME,
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
}

/* Another CPU's counters may be one event behind; nobody waits for them. */
static bool answer(struct guest_regs *regs)
{
	const struct cpu *cpu = regs->rdx < cpu_count ? cpus[regs->rdx] : NULL;

	switch (regs->rcx) {
	case STATISTICS_MACHINE:
		regs->rax = cpu_count;
		regs->rbx = statistics.reserved_bytes;
		regs->rdx = image_size();
		return true;
	case STATISTICS_EXITS:
		if (!cpu || regs->rbx >= REASON_COUNT)
			return false;
		regs->rax = cpu->exits[regs->rbx];
		return true;
	case STATISTICS_HIDDEN_ACCESSES:
		if (!cpu)
			return false;
		regs->rax = cpu->hidden_reads;
		regs->rbx = cpu->hidden_writes;
		return true;
	case STATISTICS_BOOT_TIME:
		regs->rax = statistics.entry_tsc;
		regs->rbx = statistics.launch_tsc;
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
