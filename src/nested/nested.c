/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/nested.h"

#include <x86/cr.h>
#include <x86/msr.h>

#include "mm/layout.h"
#include "mm/pages.h"
#include "nested/state.h"
#include "smp/panic.h"

struct nested_caps nested_caps;

static bool offered;

enum {
	STATE_PAGES = (sizeof(struct nested) + PAGE_SIZE - 1) / PAGE_SIZE,
	/* A cached VMCS: vmcs12, vmcs02, MSR bitmap. */
	PAGES_PER_VMCS = 3,
};

u64 nested_pages_per_cpu(void)
{
	return STATE_PAGES + MSR_LIST_PAGES + VMCS12_CACHE_SIZE * PAGES_PER_VMCS + EPT02_RESERVE;
}

void nested_init_shared(bool offer, bool shadow)
{
	const struct vcpu *vcpu = this_vcpu();

	offered = offer;
	nested_caps_init(&nested_caps, &vcpu->vmx, VMCS12_REVISION, vcpu->mtrr.maxphyaddr);
	if (!offered)
		return;
	shadow_init(vcpu, shadow);
	switched_init(&vcpu->vmx);
}

static void *page(const struct vcpu *vcpu)
{
	void *p = pages_alloc(1);

	if (!p)
		fail("out of memory for nested VMX on CPU %u; give Umbra the option nested=off",
		     vcpu->cpu.index);
	return p;
}

void nested_init_cpu(struct vcpu *vcpu)
{
	if (!offered)
		return;
	vcpu->nested = pages_alloc(STATE_PAGES);
	if (!vcpu->nested)
		fail("out of memory for nested VMX on CPU %u; give Umbra the option nested=off",
		     vcpu->cpu.index);
	if (!ept02_init(vcpu))
		fail("out of memory for nested VMX on CPU %u; give Umbra the option nested=off",
		     vcpu->cpu.index);
	vcpu->nested->entry_msrs = pages_alloc(MSR_LIST_PAGES);
	if (!vcpu->nested->entry_msrs)
		fail("out of memory for nested VMX on CPU %u; give Umbra the option nested=off",
		     vcpu->cpu.index);
	vcpu->nested->vmxon_region = NO_VMCS;
	for (u32 i = 0; i < VMCS12_CACHE_SIZE; i++) {
		struct nested_vmcs *vmcs = &vcpu->nested->cache[i];

		vmcs->gpa = NO_VMCS;
		vmcs->vmcs12 = page(vcpu);
		vmcs->msr_bitmap.page = page(vcpu);
		vmcs->vmcs02 = virt_to_phys(page(vcpu));
	}
}

bool nested_offered(void)
{
	return offered;
}

bool nested_read_msr(u32 msr, u64 *value)
{
	return offered && nested_caps_msr(&nested_caps, msr, value);
}

u64 nested_cr0_fixed(const struct vcpu *vcpu)
{
	return vcpu->nested && vcpu->nested->vmx_on ? nested_caps.cr0_fixed0 : 0;
}

u64 nested_cr4_fixed(const struct vcpu *vcpu)
{
	return vcpu->nested && vcpu->nested->vmx_on ? nested_caps.cr4_fixed0 : 0;
}
