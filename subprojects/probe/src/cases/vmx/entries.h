/* SPDX-License-Identifier: BSD-2-Clause */
/* One field wrong at a time, in a VMCS that otherwise enters. */
#pragma once

#include "vmx/l2.h"

/* How an entry ended, beside VM_FAIL(7) and VM_FAIL(8). */
#define ENTERED           0ull
#define BAD_GUEST         0x100000ull
#define BAD_GUEST_Q(qual) (BAD_GUEST | (qual))
#define BAD_MSR(index)    (0x200000ull | (index))
/* Either error number: the SDM leaves the order of control and host checks open. */
#define FAIL_7_OR_8 0x400000ull

static const u64 NONCANONICAL = 0x8000000000000000;

/*
 * Writes value to field, enters L2 at its VMCALL, compares the outcome, and restores the field.
 * Other fields a caller changed stay.
 */
void check_entry(struct run *t, int line, struct l2 *l2, u64 field, u64 value, u64 want);

/* The same with bits of the field turned over. */
static inline void check_entry_flip(struct run *t, int line, struct l2 *l2, u64 field, u64 bits,
				    u64 want)
{
	check_entry(t, line, l2, field, vmread(field) ^ bits, want);
}

/*
 * Each bit of CR0 and CR4 that IA32_VMX_CR0_FIXED0, CR4_FIXED0 and CR4_FIXED1 pin, and each of CR3
 * beyond the physical-address width; the field of CR0 tells whose registers these are.
 */
void check_control_registers(struct run *t, int line, struct l2 *l2, u64 cr0_field, u64 want);

#define ENTRY(field, value, want)     check_entry(t, __LINE__, l2, field, value, want)
#define ENTRY_FLIP(field, bits, want) check_entry_flip(t, __LINE__, l2, field, bits, want)
#define ENTRY_STILL_GOOD()            check_entry(t, __LINE__, l2, VMCS_HOST_RSP, 0, ENTERED)
