/* SPDX-License-Identifier: BSD-2-Clause */
/* VM exit: the ways from L2 back to L1. */
#pragma once

#include "nested/shadow.h"
#include "nested/vmcs12.h"

struct vcpu;
struct nested_vmcs;

/*
 * Ends L2 with what vmcs02 says about the exit; L1 goes on at its host RIP. vmcs02 is current
 * before, vmcs01 after. Does not return on a VMX abort.
 */
void nested_reflect(struct vcpu *vcpu);

/* The same in two steps: record, replace fields by nested_set_exit_field(), leave. */
void nested_record_unshadowed_exit(struct vcpu *vcpu);
static inline void nested_record_exit(struct vcpu *vcpu)
{
	/* What is shadowed is where L1 reads it already. */
	if (!shadow_on)
		nested_record_unshadowed_exit(vcpu);
}
void nested_set_exit_field(struct nested_vmcs *vmcs, enum vmcs12_field field, u64 value);
void nested_leave(struct vcpu *vcpu);

/* An exit for an event that Umbra noticed itself: no exit information but these. */
void nested_reflect_event(struct vcpu *vcpu, u32 reason, u64 qualification, u32 intr_info);

/* A VM entry that failed before L2 ran: reasons 33, 34 and 41. vmcs02 is current. */
void nested_entry_failed(struct vcpu *vcpu, u32 reason, u64 qualification);

/* A hook, `entry_failed`: see vmx/guest_level.h. */
void nested_l1_entry_failed(struct vcpu *vcpu);
