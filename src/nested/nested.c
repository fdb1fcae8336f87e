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
	const struct cpu *cpu = this_cpu();

	offered = offer;
	nested_caps_init(&nested_caps, &cpu->vmx, VMCS12_REVISION, cpu->mtrr.maxphyaddr);
	if (!offered)
		return;
	shadow_init(cpu, shadow);
	switched_init(&cpu->vmx);
}

static void *page(const struct cpu *cpu)
{
	void *p = pages_alloc(1);

	if (!p)
		fail("out of memory for nested VMX on CPU %u; give Umbra the option nested=off",
		     cpu->index);
	return p;
}

void nested_init_cpu(struct cpu *cpu)
{
	if (!offered)
		return;
	cpu->nested = pages_alloc(STATE_PAGES);
	if (!cpu->nested)
		fail("out of memory for nested VMX on CPU %u; give Umbra the option nested=off",
		     cpu->index);
	if (!ept02_init(cpu))
		fail("out of memory for nested VMX on CPU %u; give Umbra the option nested=off",
		     cpu->index);
	cpu->nested->entry_msrs = pages_alloc(MSR_LIST_PAGES);
	if (!cpu->nested->entry_msrs)
		fail("out of memory for nested VMX on CPU %u; give Umbra the option nested=off",
		     cpu->index);
	cpu->nested->vmxon_region = NO_VMCS;
	for (u32 i = 0; i < VMCS12_CACHE_SIZE; i++) {
		struct nested_vmcs *vmcs = &cpu->nested->cache[i];

		vmcs->gpa = NO_VMCS;
		vmcs->vmcs12 = page(cpu);
		vmcs->msr_bitmap.page = page(cpu);
		vmcs->vmcs02 = virt_to_phys(page(cpu));
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

u64 nested_cr0_fixed(const struct cpu *cpu)
{
	return cpu->nested && cpu->nested->vmx_on ? nested_caps.cr0_fixed0 : 0;
}

u64 nested_cr4_fixed(const struct cpu *cpu)
{
	return cpu->nested && cpu->nested->vmx_on ? nested_caps.cr4_fixed0 : 0;
}
