/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR lists of VM entry and VM exit, worked off entry by entry: never handed to the hardware.
 * SDM "Loading MSRs" and "Saving MSRs".
 */
#include <x86/msr.h>
#include <x86/vmx.h>

#include "mm/guest_memory.h"
#include "nested/state.h"
#include "vmx/msr.h"
#include "vmx/vmcs.h"

struct msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};
_Static_assert(sizeof(struct msr_entry) == 16, "MSR list entry");

enum {
	MSR_X2APIC_FIRST = 0x800,
	MSR_X2APIC_LAST = 0x8ff,
};

static bool is_x2apic(u32 msr)
{
	return msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST;
}

static u64 longest_list(void)
{
	return 512 * (((nested_caps.misc & VMX_MISC_MSR_LIST_MAX) >> 25) + 1);
}

/* The registers that the current VMCS holds are written there, all others as by WRMSR. */
static bool load(struct cpu *cpu, const struct msr_entry *e)
{
	switch (e->index) {
	case MSR_IA32_FS_BASE:
	case MSR_IA32_GS_BASE:
	case MSR_IA32_SMM_MONITOR_CTL:
	case MSR_IA32_SMBASE:
	case MSR_IA32_BIOS_UPDT_TRIG:
		return false;
	default:
		return !e->reserved && !is_x2apic(e->index) &&
		       msr_write_guest(cpu, e->index, e->value);
	}
}

bool msr_list_load(struct cpu *cpu, paddr_t list, u64 count, u32 *failed)
{
	for (*failed = 1; *failed <= count; (*failed)++, list += sizeof(struct msr_entry)) {
		struct msr_entry entry;

		if (*failed > longest_list())
			return false;
		guest_memory_read(list, &entry, sizeof(entry));
		if (!load(cpu, &entry))
			return false;
	}
	return true;
}

bool msr_list_store(struct cpu *cpu, paddr_t list, u64 count, u32 *failed)
{
	for (*failed = 1; *failed <= count; (*failed)++, list += sizeof(struct msr_entry)) {
		struct msr_entry entry;

		if (*failed > longest_list())
			return false;
		guest_memory_read(list, &entry, sizeof(entry));
		if (entry.reserved || is_x2apic(entry.index) || entry.index == MSR_IA32_SMBASE ||
		    !msr_read_guest(cpu, entry.index, &entry.value))
			return false;
		guest_memory_write(list + offsetof(struct msr_entry, value), &entry.value,
				   sizeof(entry.value));
	}
	return true;
}
