/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR policy: one row for each MSR, or range of them, that the guest does not simply share with
 * the CPU, or that it shares although one might wonder. The MSR bitmap, the handlers of RDMSR and
 * WRMSR, the rules for MSR lists and docs/msr-policy.md are all made of it. An MSR without a row is
 * the CPU's: Umbra does not see it.
 */
#pragma once

#include <x86/types.h>

/* What RDMSR does in the guest. */
enum msr_read {
	MSR_READ_CPU,   /* the CPU's value; no exit if a bitmap covers the MSR */
	MSR_READ_NEVER, /* #GP */
	MSR_READ_FEATURE_CONTROL,
	MSR_READ_CORE_CAPABILITIES,
	MSR_READ_ARCH_CAPABILITIES,
	MSR_READ_MISC_ENABLE,
	MSR_READ_MTRR,
	MSR_READ_OFFERED, /* VMX capabilities and Umbra's token; #GP where not offered */
	MSR_READ_COUNT,
};

/* What WRMSR does. */
enum msr_write {
	MSR_WRITE_CPU,
	MSR_WRITE_NEVER,
	MSR_WRITE_IGNORED,  /* succeeds, without effect */
	MSR_WRITE_ZERO,     /* 0 alone, else #GP */
	MSR_WRITE_LOW_HALF, /* bits 63:32 must be 0, else #GP */
	MSR_WRITE_APIC_BASE,
	MSR_WRITE_MISC_ENABLE,
	MSR_WRITE_MTRR,
	MSR_WRITE_XSS,
	MSR_WRITE_COUNT,
};

/* Where a row's read and write hold; elsewhere they are the CPU's. */
enum msr_condition {
	MSR_ALWAYS,
	MSR_IF_PT_HIDDEN,
	MSR_IF_LBR_RUNS_ON,
	MSR_IF_HYPERVISOR_HIDDEN,
	MSR_IF_L1D_FLUSHED,
	MSR_CONDITION_COUNT,
};

/* Which values an MSR that the VMCS holds may have: written there, no CPU judges them. */
enum msr_value {
	MSR_VALUE_ANY,
	MSR_VALUE_CANONICAL,
	MSR_VALUE_32_BITS,
	MSR_VALUE_BNDCFGS,
	MSR_VALUE_DEBUGCTL,
	MSR_VALUE_EFER,
	MSR_VALUE_LBR_CTL,
	MSR_VALUE_PAT,
	MSR_VALUE_S_CET,
	MSR_VALUE_UINTR_MISC, /* the field holds a part of it, UINV; the CPU keeps the rest */
};

/* MSR lists, where they differ from RDMSR and WRMSR: SDM "Loading MSRs" and "Saving MSRs". */
enum msr_list {
	MSR_LIST_NO_LOAD = 1,
	MSR_LIST_NO_STORE = 2,
	MSR_LIST_STORED_BY_CPU = 4, /* a VM exit's value is as of the exit: it runs on */
};

struct msr_policy {
	u32 first, last;
	u8 stride; /* 0: every one of the range; else each so many */
	u8 read, write;
	u8 condition;
	u8 list;
	bool clear; /* at the start: nothing of an earlier owner's may run on */
	u8 value;
	/*
	 * The guest-state field of the VMCS that holds it while the guest is out, if the CPU has
	 * this VM-entry control; the row's read and write are for CPUs without.
	 */
	u16 field;
	u32 control;
#ifdef UMBRA_HOSTED
	const char *name, *why;
#endif
};

/* Sorted by `first`, no MSR in two rows; the row at [msr_table_rows] is for all other MSRs. */
extern const struct msr_policy msr_table[];
extern const u32 msr_table_rows;

static inline u32 msr_stride(const struct msr_policy *row)
{
	return row->stride ? row->stride : 1;
}
