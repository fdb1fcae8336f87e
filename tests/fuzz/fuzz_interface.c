/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VMCALL with any registers: without the token nothing changes, with it no answer is longer than
 * the registers for it, and none looks beyond what there is.
 */
#include <stdlib.h>
#include <string.h>

#include <umbra/interface.h>

#include <x86/cpuid.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "machine.h"
#include "platform/microcode.h"
#include "platform/vtd.h"
#include "vmx/guest_level.h"
#include "vmx/interface.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum { CPUS = 3 };

static const u64 token_value = 0x8badf00d12345678;

static struct cpu *all[CPUS];
struct cpu **cpus = all;
u32 cpu_count = CPUS;
struct offered_vmx offered_vmx;

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	(void)leaf;
	(void)subleaf;
	return (struct cpuid){.ecx = (u32)CPUID_1_ECX_RDRAND};
}

bool rdrand(u64 *value)
{
	*value = token_value;
	return true;
}

u64 rdtsc(void)
{
	return 1;
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	*value = msr;
	return msr % 2;
}

u32 vtd_units_on(void)
{
	return 1;
}

u64 vtd_faults(void)
{
	return 2;
}

u64 microcode_revisions(void)
{
	return 3;
}

/* The caller's memory, all of it. */
bool log_read(u64 *from, char *dst, size_t size, size_t *length)
{
	memset(dst, 'x', size);
	*length = *from % (size + 1);
	*from += *length;
	return *from % 3;
}

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void begin(bool stats)
{
	static const struct vmx_capabilities vmx;

	if (!all[0]) {
		machine_memory_init(16, 64);
		machine_vmx_init(CPUS, &vmx);
		for (u32 i = 0; i < CPUS; i++)
			all[i] = &machine_cpu(i)->cpu;
	}
	interface_set_options(
		&(struct interface_options){.leaves = true, .stats = stats, .text = "serial=com1"});
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct guest_regs regs = {0}, before;
	u64 words[5] = {0};
	bool may, answered;

	if (size < 2)
		return 0;
	memcpy(words, data + 2, size - 2 < sizeof(words) ? size - 2 : sizeof(words));
	for (u32 i = 0; i < GPR_COUNT; i++)
		regs.gpr[i] = words[i % ARRAY_SIZE(words)];
	/* Mostly a call that comes through, with arguments near what there is. */
	regs.rax = data[0] & 1 ? UMBRA_CALL : words[0];
	regs.rbx = data[0] & 2 ? token_value : words[1];
	regs.rcx = data[0] & 4 ? words[2] : data[1] % 16;
	regs.rdx = data[0] & 8 ? words[3] : words[3] % 6;
	regs.rsi = data[0] & 16 ? words[4] : words[4] % 128;
	before = regs;
	begin(data[0] & 32);

	may = regs.rax == UMBRA_CALL && ((data[0] & 32) || regs.rbx == token_value);
	answered = interface_vmcall(&regs);
	require(answered == may);
	if (!answered)
		require(memcmp(&regs, &before, sizeof(regs)) == 0);
	if (regs.rax == UMBRA_ERROR) {
		before.rax = UMBRA_ERROR;
		require(memcmp(&regs, &before, sizeof(regs)) == 0);
	}
	require(regs.rbp == before.rbp);
	require(memcmp(&regs.r13, &before.r13, 3 * sizeof(u64)) == 0);
	if (answered && regs.rax < UMBRA_BUSY)
		require(regs.rax <= UMBRA_RESULTS * sizeof(u64));
	return 0;
}
