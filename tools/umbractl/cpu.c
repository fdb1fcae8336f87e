/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu.h"

#include <errno.h>
#include <sys/stat.h>

#include <x86/cpuid.h>
#include <x86/insn.h>
#include <x86/msr.h>

#include "umbra.h"

enum { LEAF_PERFMON = 0xa, PERFMON_WITH_GLOBAL_CTRL = 2, DEFAULT_WIDTH = 36 };

static const u32 LEAF_ADDRESS_WIDTHS = 0x80000008;

static bool refused;

static u64 read_seen(u32 msr)
{
	uint64_t value = 0;

	if (!umbra_rdmsr(0, msr, &value)) {
		refused = true;
		return 0;
	}
	return value;
}

static u64 read_own(u32 msr)
{
	uint64_t results[UMBRA_RESULTS];

	/* What Umbra shows of it says what matters: it is locked, and VMX works. */
	if (msr == MSR_IA32_FEATURE_CONTROL)
		return FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
	if (umbra_ask(UMBRA_ASK_CAPABILITY, msr, 0, results, NULL))
		return results[0];
	refused = true;
	return 0;
}

static const char *trouble(void)
{
	struct stat unused;

	if (stat("/dev/cpu/0/msr", &unused) < 0)
		return "load the kernel's module for that: modprobe msr, as root";
	return errno == EACCES || errno == EPERM ? "run this as root"
						 : "the kernel does not let MSRs be read";
}

static const char *capabilities(struct vmx_capabilities *out, bool has_vmx, u64 (*read)(u32 msr))
{
	refused = false;
	vmx_capabilities_from(out, has_vmx, read);
	/* SDM "IA32_PERF_GLOBAL_CTRL": which bits it has does not matter here. */
	out->perf_global_ctrl = cpuid(0, 0).eax >= LEAF_PERFMON &&
				(cpuid(LEAF_PERFMON, 0).eax & 0xff) >= PERFMON_WITH_GLOBAL_CTRL;
	return refused ? trouble() : NULL;
}

const char *cpu_capabilities_seen(struct vmx_capabilities *out)
{
	return capabilities(out, cpuid(1, 0).ecx & CPUID_1_ECX_VMX, read_seen);
}

const char *cpu_capabilities(bool umbra, struct vmx_capabilities *out)
{
	return umbra ? capabilities(out, true, read_own) : cpu_capabilities_seen(out);
}

unsigned int cpu_maxphyaddr(void)
{
	return cpuid(0x80000000, 0).eax >= LEAF_ADDRESS_WIDTHS
		       ? cpuid(LEAF_ADDRESS_WIDTHS, 0).eax & 0xff
		       : DEFAULT_WIDTH;
}
