/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of L1's through the translation that this CPU made last, if that still holds: what
 * hypervisors wait for, since they keep the operands of VMX instructions on one page of their
 * stack. In a header so that it becomes part of what asks.
 */
#pragma once

#include "vmx/guest_linear.h"
#include "vmx/vcpu.h"
#include "vmx/vmcs.h"

/*
 * Umbra's pointer to `size` bytes at a linear address of L1's, for CPL 0. NULL: not remembered;
 * guest_linear_read() or guest_linear_write() has to walk. Only while L1 runs.
 */
static inline void *translation_recall(const struct vcpu *vcpu, u64 linear, size_t size,
				       enum guest_access_type type)
{
	const struct guest_translation *last = &vcpu->translation[type];
	const u64 in_page = linear - last->page;
	u64 difference;

	/* With both ends on the page. */
	if (in_page > PAGE_SIZE - size)
		return NULL;
	difference = (last->efer ^ vmread64(VMCS_GUEST_EFER)) |
		     (last->cr3 ^ vmreadn(VMCS_GUEST_CR3)) | (last->cr0 ^ vmreadn(VMCS_GUEST_CR0)) |
		     (last->cr4 ^ vmreadn(VMCS_GUEST_CR4));
	/* Made under other paging: its entries say nothing, so they are not looked at. */
	if (difference)
		return NULL;
	_Pragma("clang loop unroll(full)") for (u32 i = 0; i < GUEST_WALK_LEVELS; i++)
	{
		difference |= last->step[i].entry ^ *last->step[i].at;
	}
	return difference ? NULL : (u8 *)last->memory + in_page;
}
