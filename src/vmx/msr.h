/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's MSRs, by the policy of msr_table.c. */
#pragma once

#include "vmx/msr_table.h"
#include "vmx/vcpu.h"

/* Builds the MSR bitmap that all CPUs share; stops with a message when memory is short. */
void msr_init_shared(void);

/*
 * This CPU's part in it: what it alone cannot do is intercepted on all. Takes over its MTRRs as the
 * guest's first view of them, and stops what an earlier owner of the CPU may have left running.
 */
void msr_init_cpu(struct vcpu *vcpu);

/* Physical, for vmcs01. */
paddr_t msr_bitmap_address(void);

/* SDM "MSR-Bitmap Address": the bit of an access, in the whole page. False: none, it always exits.
 */
static inline bool msr_bitmap_bit(u32 msr, bool write, u32 *bit)
{
	const u32 range = PAGE_SIZE * 8 / 4;

	if (msr >> 13 != 0 && msr >> 13 != 0xc0000000 >> 13)
		return false;
	*bit = (msr & (range - 1)) + (msr >> 13 ? range : 0) + (write ? 2 * range : 0);
	return true;
}

/* Has the access exit. */
static inline void msr_bitmap_set(u64 *bitmap, u32 msr, bool write)
{
	u32 bit;

	if (msr_bitmap_bit(msr, write, &bit))
		bitmap[bit / 64] |= BIT(bit % 64);
}

/* Word `index` of Umbra's bitmap: what Umbra intercepts, to be ORed into a vmcs02's. */
u64 msr_bitmap_word(u32 index);

/* RDMSR and WRMSR as the guest of the current VMCS would see them; false: #GP(0). */
bool msr_guest_read(struct vcpu *vcpu, u32 msr, u64 *value);
bool msr_guest_write(struct vcpu *vcpu, u32 msr, u64 value);

/* The rules of MSR lists for this MSR: enum msr_list. */
u32 msr_list_rules(u32 msr);

/*
 * Whether the hardware may load this from an MSR list of L1's: not what Umbra keeps for itself,
 * unless it changes nothing.
 */
bool msr_list_may_load(const struct vcpu *vcpu, u32 msr, u64 value);
