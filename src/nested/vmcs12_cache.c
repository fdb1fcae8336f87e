/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMCS12 cache. Only its own CPU uses it, so an entry is never contended. */
#include "nested/vmcs12_cache.h"
#include "lib/string.h"
#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "nested/msr_bitmap.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "vmx/vmcs.h"

/* Pages in the pool, which is ept02's in the first place. */
enum { PLENTY = 256 };

_Static_assert(sizeof(struct vmcs12) + sizeof(struct nested_vmcs) <= PAGE_SIZE,
	       "they share a page");

__attribute__((noinline)) bool vmcs12_add(struct nested *nested)
{
	u8 *page[VMCS12_PAGES];
	struct nested_vmcs *vmcs;

	for (u32 i = 0; i < VMCS12_PAGES; i++) {
		page[i] = pages_alloc(1);
		if (page[i])
			continue;
		while (i)
			pages_free(page[--i]);
		return false;
	}
	vmcs = (void *)(page[0] + sizeof(struct vmcs12));
	vmcs->gpa = NO_VMCS;
	vmcs->vmcs12 = (void *)page[0];
	vmcs->vmcs02 = virt_to_phys(page[1]);
	vmcs->msr_bitmap.page = (void *)page[2];
	nested->cache[nested->cached++] = vmcs;
	return true;
}

void vmcs12_trim(struct nested *nested)
{
	while (nested->cached > VMCS12_CACHE_MIN) {
		struct nested_vmcs *vmcs = nested->cache[--nested->cached];

		pages_free(vmcs->msr_bitmap.page);
		pages_free(phys_to_virt(vmcs->vmcs02));
		pages_free(vmcs->vmcs12);
	}
}

struct nested_vmcs *vmcs12_find(struct nested *nested, paddr_t gpa)
{
	u8 *guess = &nested->guess[gpa / PAGE_SIZE % VMCS12_CACHE_MAX];

	if (gpa == NO_VMCS)
		return NULL;
	if (*guess < nested->cached && nested->cache[*guess]->gpa == gpa)
		return nested->cache[*guess];
	for (u32 i = 0; i < nested->cached; i++) {
		if (nested->cache[i]->gpa == gpa) {
			*guess = (u8)i;
			return nested->cache[i];
		}
	}
	return NULL;
}

/* Fetches what vmcs02 has newer. vmcs01 is current before and after. */
static void fetch_stale(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	if (field_set_is_empty(&vmcs->stale))
		return;
	vmcs_load(vmcs->vmcs02);
	shadow_fetch(vmcs);
	field_set_subtract(&vmcs->stale, &shadow_fields);
	FOR_EACH_FIELD(f, &vmcs->stale)
	{
		vmcs->vmcs12->f[f] = vmcs_read(field_info[f].encoding);
	}
	/* L1 may change these again without a word. */
	vmcs->stale = shadow_fields;
	vmcs_load(vcpu->vmcs01);
}

void vmcs12_evict(struct vcpu *vcpu, struct nested_vmcs *vmcs)
{
	fetch_stale(vcpu, vmcs);
	guest_memory_write(vmcs->gpa, vmcs->vmcs12, sizeof(*vmcs->vmcs12));
	vmcs_clear(vmcs->vmcs02);
	vmcs->gpa = NO_VMCS;
	if (vcpu->nested->current == vmcs) {
		vcpu->nested->current = NULL;
		shadow_link(NULL);
	}
}

/* An unused one, a new one while memory is plentiful, or the least recently used. */
static struct nested_vmcs *choose_victim(struct vcpu *vcpu)
{
	struct nested *nested = vcpu->nested;
	struct nested_vmcs *victim = nested->cache[0]; /* some there always are */

	for (u32 i = 0; i < nested->cached; i++) {
		struct nested_vmcs *candidate = nested->cache[i];

		if (candidate->gpa == NO_VMCS)
			return candidate;
		if (candidate->last_use < victim->last_use)
			victim = candidate;
	}
	if (nested->cached < VMCS12_CACHE_MAX && pages_left() >= PLENTY && vmcs12_add(nested))
		return nested->cache[nested->cached - 1];
	vmcs12_evict(vcpu, victim);
	nested->evicted++;
	return victim;
}

struct nested_vmcs *vmcs12_load(struct vcpu *vcpu, paddr_t gpa)
{
	struct nested_vmcs *vmcs = choose_victim(vcpu);
	const u32 revision = (u32)(vcpu->vmx.basic & VMX_BASIC_REVISION);

	guest_memory_read(gpa, vmcs->vmcs12, sizeof(*vmcs->vmcs12));
	/* The region's data is private, so whatever L1 put there is only ever an odd vmcs12. */
	_Pragma("clang loop unroll(full)") for (u32 f = 0; f < F_COUNT; f++)
	{
		vmcs->vmcs12->f[f] = field_truncate((enum vmcs12_field)f, vmcs->vmcs12->f[f]);
	}
	vmcs->gpa = gpa;
	msr_bitmap02_init(&vmcs->msr_bitmap);
	memset(vmcs, 0, offsetof(struct nested_vmcs, gpa));
	memset(&vmcs->dirty, 0xff, sizeof(vmcs->dirty));
	memset(phys_to_virt(vmcs->vmcs02), 0, PAGE_SIZE);
	*(u32 *)phys_to_virt(vmcs->vmcs02) = revision;
	vmcs_clear(vmcs->vmcs02);
	shadow_fill(vcpu, vmcs);
	return vmcs;
}

u64 vmcs12_read(struct vcpu *vcpu, struct nested_vmcs *vmcs, enum vmcs12_field field)
{
	/* With shadowing few other fields are stale, and L1 asks for these one at a time. */
	if (field_set_has(&vmcs->stale, field) && shadow_on) {
		vmcs_load(vmcs->vmcs02);
		vmcs->vmcs12->f[field] = vmcs_read(field_info[field].encoding);
		if (!field_set_has(&shadow_fields, field))
			field_set_remove(&vmcs->stale, field);
		vmcs_load(vcpu->vmcs01);
	} else if (field_set_has(&vmcs->stale, field)) {
		fetch_stale(vcpu, vmcs);
	}
	return vmcs->vmcs12->f[field];
}

void vmcs12_write(struct nested_vmcs *vmcs, enum vmcs12_field field, u64 value)
{
	vmcs->vmcs12->f[field] = field_truncate(field, value);
	field_set_add(&vmcs->dirty, field);
	field_set_remove(&vmcs->stale, field);
	if (field_info[field].invalidates == INVALIDATES_CONTROLS)
		vmcs->controls_merged = false;
	if (field_info[field].invalidates != INVALIDATES_NOTHING)
		vmcs->checked = false;
}
