/* SPDX-License-Identifier: BSD-2-Clause */
/* The door between Umbra and its nested VMX; without -Dnested the guest has no VMX at all. */
#pragma once

#include "config.h"
#include "vmx/exit.h"
#include "vmx/vcpu.h"

#if UMBRA_NESTED

/* Pages each CPU needs for nested VMX, without the pool that all share for ept02 tables. */
u64 nested_pages_per_cpu(void);

/* Once, on the boot processor: `offered` false hides VMX, `shadow` allows VMCS shadowing. */
void nested_init_shared(bool offered, bool shadow);

/* Makes a CPU's state. */
void nested_init_cpu(struct vcpu *vcpu);

/* Whether the guest sees VMX. */
bool nested_offered(void);

/* IA32_VMX_*; false: #GP(0). */
bool nested_read_msr(u32 msr, u64 *value);

/* CR0 and CR4 bits that the guest cannot clear now, being in VMX operation. */
u64 nested_cr0_fixed(const struct vcpu *vcpu);
u64 nested_cr4_fixed(const struct vcpu *vcpu);

/* Exits of L1 for VMX instructions; those of L2 of any kind. */
exit_handler nested_instruction_exit;
void nested_exit_handle(struct guest_regs *regs); /* from switch.S */

/* A machine check while L2 runs. True: L1 intercepts #MC and has got its exit. */
bool nested_take_machine_check(struct vcpu *vcpu);

/*
 * An exception that Umbra raises in L2, as VM-entry interruption information. True: L1 intercepts
 * it and has got its exit.
 */
bool nested_take_exception(struct vcpu *vcpu, u32 info, u32 error_code);

/* Before Umbra writes the fields for event injection: while L2 runs they are L1's to read later. */
void nested_keep_entry_event(struct vcpu *vcpu);

/* L2 has come to a triple fault by an event of Umbra's: L1's exit. */
void nested_triple_fault(struct vcpu *vcpu);

/* VMLAUNCH or VMRESUME of vmcs02 failed with an error number: L1's own failed with it. */
void nested_entry_refused(struct vcpu *vcpu);

/* Whether L2 is running here, so that the current VMCS is a vmcs02. */
bool nested_in_l2(const struct vcpu *vcpu);

/* Whether the current VMCS, of L1 or L2, has been launched, once L1 has entered VMX operation. */
bool nested_current_is_launched(const struct vcpu *vcpu);

/*
 * A latched NMI while L2 runs: L1's by an exit, or L2's if L1 lets it through. False: L2 cannot
 * take it yet, and it stays latched.
 */
bool nested_nmi(struct vcpu *vcpu);

/* An INIT for L1. True: L1 is in VMX root operation, which blocks it until VMXOFF. */
bool nested_hold_init(struct vcpu *vcpu);

#else

#include "vmx/event.h"

static inline u64 nested_pages_per_cpu(void)
{
	return 0;
}
static inline void nested_init_shared(bool offered, bool shadow)
{
	(void)offered;
	(void)shadow;
}
static inline void nested_init_cpu(struct vcpu *vcpu)
{
	(void)vcpu;
}
static inline bool nested_offered(void)
{
	return false;
}
static inline bool nested_read_msr(u32 msr, u64 *value)
{
	(void)msr;
	(void)value;
	return false;
}
static inline u64 nested_cr0_fixed(const struct vcpu *vcpu)
{
	(void)vcpu;
	return 0;
}
static inline u64 nested_cr4_fixed(const struct vcpu *vcpu)
{
	(void)vcpu;
	return 0;
}
static inline bool nested_in_l2(const struct vcpu *vcpu)
{
	(void)vcpu;
	return false;
}
static inline bool nested_take_machine_check(struct vcpu *vcpu)
{
	(void)vcpu;
	return false;
}
static inline void nested_keep_entry_event(struct vcpu *vcpu)
{
	(void)vcpu;
}
static inline bool nested_take_exception(struct vcpu *vcpu, u32 info, u32 error_code)
{
	(void)vcpu;
	(void)info;
	(void)error_code;
	return false;
}
static inline void nested_triple_fault(struct vcpu *vcpu)
{
	(void)vcpu;
}
static inline void nested_entry_refused(struct vcpu *vcpu)
{
	(void)vcpu;
}
static inline bool nested_current_is_launched(const struct vcpu *vcpu)
{
	(void)vcpu;
	return false;
}
static inline bool nested_nmi(struct vcpu *vcpu)
{
	(void)vcpu;
	return false;
}
static inline bool nested_hold_init(struct vcpu *vcpu)
{
	(void)vcpu;
	return false;
}
static inline void nested_instruction_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	event_inject_ud();
}

#endif
