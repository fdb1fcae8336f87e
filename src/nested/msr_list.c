/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR lists of VM entry and VM exit, worked off entry by entry: never handed to the hardware.
 * SDM "Loading MSRs" and "Saving MSRs".
 */
#include <x86/cr.h>
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

/*
 * Judged here and not by trying it, since Umbra's own tables need NXE. SDM "Loading MSRs": LME may
 * not change under paging; LMA is not software's to write.
 */
static bool load_efer(u64 value)
{
	const u64 old = vmread64(VMCS_GUEST_EFER);

	if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
		return false;
	if (((value ^ old) & EFER_LME) && (vmreadn(VMCS_GUEST_CR0) & CR0_PG))
		return false;
	vmwrite64(VMCS_GUEST_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
	return true;
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
	case MSR_IA32_EFER:
		return !e->reserved && load_efer(e->value);
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
