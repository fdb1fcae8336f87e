/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/nested.h"

#include <umbra/interface.h>

#include <x86/msr.h>

#include "lib/string.h"
#include "nested/alloc.h"
#include "nested/enter.h"
#include "nested/instructions.h"
#include "nested/l2_event.h"
#include "nested/leave.h"
#include "nested/loan.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "nested/switched.h"
#include "nested/vmcs12_cache.h"
#include "vmx/guest_level.h"

struct nested_caps nested_caps;

enum { STATE_PAGES = (sizeof(struct nested) + PAGE_SIZE - 1) / PAGE_SIZE };

u64 nested_pages_per_cpu(void)
{
	return STATE_PAGES + 2 * MSR_LIST_PAGES + IO_BITMAP_PAGES +
	       VMCS12_CACHE_MIN * VMCS12_PAGES + EPT02_RESERVE;
}

u64 nested_pages_shared(void)
{
	return LOAN_PAGES;
}

static const struct guest_level l2_level = {
	.exception = nested_take_exception,
	.event_waits = nested_event_waits,
	.machine_check = nested_take_machine_check,
	.triple_fault = nested_triple_fault,
	.entry_refused = nested_entry_refused,
	.keep_entry_event = nested_keep_entry_event,
};

/* What all CPUs that are set up can do. The guest begins when the last one is. */
static struct {
	struct vmx_capabilities vmx;
	u8 maxphyaddr;
	u32 untested; /* what L1 is offered of enum untested */
} common;

/*
 * After RESET a CPU is outside VMX operation. What it had cached of L1's VMCSs is lost, as on
 * hardware (SDM "Software Access to Related Structures": write-back is VMCLEAR's); what it had
 * cached of L1's EPT, too.
 */
static void reset(struct vcpu *vcpu)
{
	struct nested *nested = vcpu->nested;

	memset(nested, 0, offsetof(struct nested, cache));
	nested_set_vmx_operation(vcpu, false);
	for (u32 i = 0; i < nested->cached; i++)
		nested->cache[i]->gpa = NO_VMCS;
	ept02_drop_all(vcpu);
	/* Other CPUs may be waiting for what this one has borrowed for an L2 that is no more. */
	ept02_end_loan(vcpu);
}

/* Another CPU's may be out of date. */
static void counts(const struct vcpu *vcpu, u64 *out)
{
	const struct nested *nested = vcpu->nested;

	out[UMBRA_CPU_SHADOWING] = shadow_on;
	out[UMBRA_CPU_EPT02_PAGES] = nested->ept02.pages;
	out[UMBRA_CPU_EPT02_FAULTS] = nested->ept02.faults;
	out[UMBRA_CPU_VMCS_CACHED] = nested->cached;
	out[UMBRA_CPU_VMCS_EVICTED] = nested->evicted;
}

/* What L1 is offered is the same on every CPU: it may enter anywhere what it made on one of them.
 */
static void offer(void)
{
	/* Addresses with a key in them are none to L1, as none to its own page tables. */
	nested_caps_init(&nested_caps, &common.vmx, VMCS12_REVISION, common.maxphyaddr,
			 common.untested);
	ept12_init();
	offered_vmx.offered = true;
	offered_vmx.instruction = nested_instruction_exit;
	offered_vmx.msrs = 0;
	offered_vmx.entry_failed = nested_l1_entry_failed;
	offered_vmx.reset = reset;
	offered_vmx.counts = counts;
	for (u32 i = 0; i < ARRAY_SIZE(offered_vmx.msr); i++)
		offered_vmx.msrs |= (u32)nested_caps_msr(&nested_caps, MSR_IA32_VMX_BASIC + i,
							 &offered_vmx.msr[i])
				    << i;
	shadow_decide(&common.vmx);
}

void nested_init_shared(bool shadow, u32 untested)
{
	const struct vcpu *vcpu = this_vcpu();

	common.vmx = vcpu->vmx;
	common.maxphyaddr = vcpu->mtrr.maxphyaddr;
	common.untested = untested;
	loan_init();
	shadow_init(shadow);
	offer();
}

void nested_set_l2(struct vcpu *vcpu, bool runs)
{
	vcpu->level = runs ? &l2_level : NULL;
}

void nested_set_vmx_operation(struct vcpu *vcpu, bool on)
{
	vcpu->nested->vmx_on = on;
	vcpu->init_blocked = on;
	vcpu->launched |= on;
	vcpu->cr0_fixed = on ? nested_caps.cr0_fixed0 : 0;
	vcpu->cr4_fixed = on ? nested_caps.cr4_fixed0 : 0;
}

void nested_init_cpu(struct vcpu *vcpu)
{
	vmx_capabilities_intersect(&common.vmx, &vcpu->vmx);
	if (vcpu->mtrr.maxphyaddr < common.maxphyaddr)
		common.maxphyaddr = vcpu->mtrr.maxphyaddr;
	offer();
	vcpu->nested = nested_alloc(STATE_PAGES);
	ept02_init(vcpu);
	vcpu->nested->entry_msrs = nested_alloc(MSR_LIST_PAGES);
	vcpu->nested->exit_msrs = nested_alloc(MSR_LIST_PAGES);
	vcpu->nested->io_bitmaps = nested_alloc(IO_BITMAP_PAGES);
	switched_init(&vcpu->vmx, &vcpu->nested->switched);
	while (vcpu->nested->cached < VMCS12_CACHE_MIN) {
		if (!vmcs12_add(vcpu->nested))
			nested_out_of_memory();
	}
}
