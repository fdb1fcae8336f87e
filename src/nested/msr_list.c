/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR lists of VM entry and VM exit, never handed to the hardware as L1 has them: an entry's is
 * copied and sifted, an exit's are worked off one by one, but for counters, which the hardware
 * stores. SDM "Loading MSRs" and "Saving MSRs".
 */
#include <x86/msr.h>

#include "lib/insn.h"
#include "mm/guest_memory.h"
#include "nested/msr_list.h"
#include "nested/state.h"
#include "vmx/msr.h"
#include "vmx/vmcs.h"
#include "vmx/xd_bit.h"

static bool load(struct vcpu *vcpu, const struct msr_entry *e)
{
	if (e->reserved || (msr_list_rules(e->index) & MSR_LIST_NO_LOAD))
		return false;
	if (e->index == MSR_IA32_EFER)
		/* Not by trying it, since Umbra's own tables need NXE. */
		return guest_write_efer(e->value, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	return msr_guest_write(vcpu, e->index, e->value);
}

bool msr_list_load(struct vcpu *vcpu, paddr_t list, u64 count)
{
	struct msr_entry entry;

	for (u64 i = 0; i < count; i++) {
		guest_memory_read(list + i * sizeof(entry), &entry, sizeof(entry));
		if (i == MSR_LIST_MAX || !load(vcpu, &entry))
			return false;
	}
	return true;
}

bool msr_list_store(struct vcpu *vcpu, const struct nested_vmcs *vmcs)
{
	const paddr_t list = vmcs->vmcs12->f[F_VM_EXIT_MSR_STORE_ADDR];
	const u64 count = vmcs->vmcs12->f[F_VM_EXIT_MSR_STORE_COUNT];
	const struct msr_entry *stored = vcpu->nested->exit_msrs;
	const struct msr_entry *const end = stored + vmcs->exit_msrs;
	struct msr_entry entry;

	for (u64 i = 0; i < count; i++) {
		guest_memory_read(list + i * sizeof(entry), &entry, sizeof(entry));
		if (i == MSR_LIST_MAX || entry.reserved ||
		    (msr_list_rules(entry.index) & MSR_LIST_NO_STORE))
			return false;
		/* In the order of the list, as the hardware has stored them. */
		if (stored != end && stored->index == entry.index)
			entry.value = stored++->value;
		else if (!msr_guest_read(vcpu, entry.index, &entry.value))
			return false;
		guest_memory_write(list + i * sizeof(entry) + offsetof(struct msr_entry, value),
				   &entry.value, sizeof(entry.value));
	}
	return true;
}

static void set_entry_count(struct nested_vmcs *vmcs, u32 count)
{
	if (count == vmcs->entry_msrs)
		return;
	vmwrite32(VMCS_VM_ENTRY_MSR_LOAD_COUNT, count);
	vmcs->entry_msrs = count;
}

static void set_exit_count(struct nested_vmcs *vmcs, u32 count)
{
	if (count == vmcs->exit_msrs)
		return;
	vmwrite32(VMCS_VM_EXIT_MSR_STORE_COUNT, count);
	vmcs->exit_msrs = count;
}

/*
 * Only counters that this CPU has: an entry that the hardware cannot store would be a VMX abort of
 * Umbra's. For an exit without L2 having run they have their values as of now.
 */
void msr_list_prepare_exit(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	const struct vmcs12 *v = vmcs->vmcs12;
	const u64 count = v->f[F_VM_EXIT_MSR_STORE_COUNT];
	const u32 looked_at = count < MSR_LIST_MAX ? (u32)count : (u32)MSR_LIST_MAX;
	struct msr_entry *list = vcpu->nested->exit_msrs;
	u32 kept = 0;

	if (!looked_at)
		return;
	guest_memory_read(v->f[F_VM_EXIT_MSR_STORE_ADDR], list, looked_at * sizeof(*list));
	for (u32 i = 0; i < looked_at && !list[i].reserved; i++) {
		if ((msr_list_rules(list[i].index) & MSR_LIST_STORED_BY_CPU) &&
		    rdmsr_safe(list[i].index, &list[i].value))
			list[kept++] = list[i];
	}
	set_exit_count(vmcs, kept);
}

void msr_list_reset_exit(struct nested_vmcs *vmcs)
{
	set_exit_count(vmcs, 0);
}

/*
 * The hardware loads after it has checked and loaded guest state, and says which entry failed. What
 * Umbra does not allow becomes an entry that fails there.
 */
bool msr_list_prepare_entry(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	const struct vmcs12 *v = vmcs->vmcs12;
	const u64 count = v->f[F_VM_ENTRY_MSR_LOAD_COUNT];
	struct msr_entry *list = vcpu->nested->entry_msrs;

	if (count > MSR_LIST_MAX)
		return false;
	if (count)
		guest_memory_read(v->f[F_VM_ENTRY_MSR_LOAD_ADDR], list, count * sizeof(*list));
	for (u64 i = 0; i < count; i++) {
		if (!msr_list_may_load(vcpu, list[i].index, list[i].value))
			list[i].reserved = ~0u;
	}
	set_entry_count(vmcs, (u32)count);
	return true;
}

void msr_list_entered(struct nested_vmcs *vmcs)
{
	set_entry_count(vmcs, 0);
}
