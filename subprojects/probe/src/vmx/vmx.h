/* SPDX-License-Identifier: BSD-2-Clause */
/* What the CPU offers, VMX operation, and memory for a case. l2.h builds on it. */
#pragma once

#include "probe.h"
#include "vmx/insn.h"

/*
 * The control fields that capability MSRs describe. The second and third of the execution controls
 * and the second VM-exit controls exist with the control that activates them: vmx_ctl_exists().
 */
enum vmx_ctl { CTL_PIN, CTL_CPU, CTL_CPU2, CTL_EXIT, CTL_ENTRY, CTL_CPU3, CTL_EXIT2, CTL_COUNT };
bool vmx_ctl_exists(enum vmx_ctl ctl);

/* CPUID has VMX, and IA32_FEATURE_CONTROL enables it or is still unlocked. */
bool vmx_available(void);

/* The capability MSR of a control field (the TRUE one where there is one) and its VMCS field. */
u32 vmx_ctl_msr(enum vmx_ctl ctl);
u32 vmx_ctl_field(enum vmx_ctl ctl);
/* Bits that must be 1; bits that may be 1, of the low 32. 0 of a field that does not exist. */
u32 vmx_ctl_must(enum vmx_ctl ctl);
u32 vmx_ctl_may(enum vmx_ctl ctl);

/* All the bits may be 1. */
static inline bool vmx_has(enum vmx_ctl ctl, u64 bits)
{
	return (vmx_ctl_may(ctl) & bits) == bits;
}

/* IA32_VMX_EPT_VPID_CAP, 0 where neither EPT nor VPID exist. */
u64 vmx_ept_vpid_cap(void);

/* Physical addresses have that many bits. */
unsigned vmx_address_bits(void);

/* Puts the revision identifier into a zeroed page. */
void vmx_prepare_region(void *page);

/*
 * n zeroed pages, contiguous, for the case that runs; all are taken back when the next begins.
 * Each CPU has VMX_ARENA_PAGES of its own.
 */
void *vmx_pages(size_t n);
enum { VMX_ARENA_PAGES = 192 };

/* This CPU's VMXON region. */
u64 vmx_region(void);

/*
 * Starts a case: skips it without VMX; otherwise sets FEATURE_CONTROL if nobody has, CR0 and CR4,
 * and makes the arena empty. VMXON is vmx_on()'s, which also fails the case.
 */
bool vmx_prepare(struct run *t);
bool vmx_on(struct run *t);

/* Ends VMX operation if this CPU is in it, whatever a case has left. The runner calls it. */
void vmx_cleanup(void);

void check_vm(struct run *t, int line, const char *what, u64 got, u64 want);

/* The instruction had that outcome: CHECK_VM(t, try_vmclear(1), VM_FAIL(2)). */
#define CHECK_VM(t, expression, want) check_vm(t, __LINE__, #expression, expression, want)
