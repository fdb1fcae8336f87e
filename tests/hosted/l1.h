/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L1 on the simulated machine: all of src/nested runs underneath, and what it calls beside the
 * hardware is made up here. L1 is in 64-bit mode at CPL 0; linear addresses are physical ones.
 */
#pragma once

#include "machine.h"

enum {
	L1_OPERAND = 0x3000,                                   /* where memory operands lie */
	L1_INFO_MEMORY = 2 << 7 | 3 << 15 | 1 << 22 | 1 << 27, /* DS:displacement, 64-bit */
	L1_INFO_RAX_RCX = 1 << 10 | 1 << 28,                   /* value in RAX, encoding in RCX */
};

extern struct vcpu *l1_cpu; /* the one that executes */
extern struct guest_regs l1_regs;
extern u32 l1_interruptibility; /* before each instruction */
extern u32 l1_injected;         /* exceptions that the last instruction got, by vector */
extern u32 l1_barriers;         /* IBPBs written, ever */
extern struct rng l1_rng;

/* The port that Umbra itself watches, 0 for none, and its exits that were Umbra's to handle. */
enum { L1_WATCH_BITMAPS = 0x5000 };
extern u32 l1_watched_port, l1_io_exits;

/* CPUs with nested VMX, outside VMX operation. */
void l1_start(u32 count, u64 guest_pages, bool shadow, bool vmwrite_ro);
void l1_on(int index);

/* Of this CPU, with the revision in it; and the same for VMCS regions. */
paddr_t l1_vmxon_region(void);
void l1_make_region(paddr_t region);

enum outcome {
	SUCCEED,
	FAIL_INVALID,
	FAIL_VALID,
	ENTERED, /* L2, with vmcs02 current; or the entry failed after its first checks */
	FAULT,
};

/* An instruction that exits, with this instruction information. */
enum outcome l1_execute(u32 reason, u32 info);
enum outcome l1_with_address(u32 reason, u64 address);

/* Those that may not exit. */
enum outcome l1_vmread(u64 encoding, u64 *value);
enum outcome l1_vmwrite(u64 encoding, u64 value);
