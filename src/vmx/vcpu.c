/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/vcpu.h"

#include "lib/string.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "smp/panic.h"

/* The VMXON region and vmcs01. */
enum { VMX_REGION_PAGES = 2 };

u64 vcpu_memory_size(void)
{
	return cpu_memory_size(sizeof(struct vcpu)) + VMX_REGION_PAGES * PAGE_SIZE;
}

struct vcpu *vcpu_create(u16 index, u32 apic_id)
{
	struct vcpu *vcpu = (struct vcpu *)cpu_create(index, apic_id, sizeof(*vcpu));
	u8 *regions = pages_alloc(VMX_REGION_PAGES);

	if (!vcpu || !regions)
		fail("out of memory for CPU %u (APIC id %u)", index, apic_id);
	vcpu->vmxon_region = virt_to_phys(regions);
	vcpu->vmcs01 = virt_to_phys(regions + PAGE_SIZE);
	return vcpu;
}

void vcpu_forget(struct vcpu *vcpu)
{
	memset((u8 *)vcpu + VCPU_LEVEL_OFFSET, 0,
	       offsetof(struct vcpu, is_bsp) - VCPU_LEVEL_OFFSET);
	/* A CPU may keep its VMCSs to itself until VMCLEAR, and has lost them. */
	memset(phys_to_virt(vcpu->vmcs01), 0, PAGE_SIZE);
}
