/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hypervisor in 32-bit protected mode with paging, as a list of instructions: C writes the list,
 * vmx32.S executes it outside long mode (legacy.h) and leaves what each came to.
 */
#pragma once

#include "legacy.h"

enum vmx32_kind {
	VMX32_VMXON, /* this and the next three: memory operand in `operand` */
	VMX32_VMCLEAR,
	VMX32_VMPTRLD,
	VMX32_VMPTRST,
	VMX32_VMREAD, /* field `a`, value in `b` */
	VMX32_VMWRITE,
	VMX32_VMREAD_MEMORY, /* the same with `operand` */
	VMX32_VMWRITE_MEMORY,
	VMX32_INVEPT, /* type `a`, descriptor in `operand` */
	VMX32_INVVPID,
	VMX32_VMLAUNCH, /* `b`: 1 after an exit */
	VMX32_VMRESUME,
	VMX32_VMXOFF,
	VMX32_VMCALL,
	VMX32_VMPTRST_16BIT, /* from a 16-bit code segment, with a 16-bit address */
	VMX32_KINDS,
};

/* vmx32.S knows the layout. */
struct vmx32_op {
	u32 kind;
	u32 a, b;
	u32 result; /* status flags, or VMX32_FAULT | vector << 16 | error code */
	u64 operand[2];
};
_Static_assert(sizeof(struct vmx32_op) == 32, "vmx32.S knows the layout");

enum { VMX32_FAULT = 1 << 30 };

/* Where the list's VM exits go: a host RIP. The list sets no host RSP. */
extern const u8 vmx32_exited[];

/* Of the segments of VMX32_VMPTRST_16BIT; in place of the TSSs of legacy.h. */
enum { SEL_VMX_CODE16 = 0x48, SEL_VMX_DATA16 = 0x50 };

/* Executes the list with this CR3 and CR4; false: something else faulted. */
bool vmx32_run(struct vmx32_op *ops, u32 count, u32 cr3, u32 cr4);
