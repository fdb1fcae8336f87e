/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operands in L2's memory, of instructions that Umbra executes for L2: by L2's page tables, and
 * each access on the way by ept12, as the CPU would make it (SDM "EPT Translation Mechanism").
 */
#include <x86/ept.h>
#include <x86/vmx.h>

#include "mm/guest_memory.h"
#include "nested/ept12.h"
#include "nested/state.h"
#include "vmx/guest_linear.h"

struct route {
	struct vcpu *vcpu;
	struct ept02_fault fault; /* of the access that was made last */
	enum ept02_result result;
	u64 qualification;
};

/* One access. False: the route ends here, and `fault` says how. */
static bool access(struct route *route, paddr_t gpa, u64 qualification, paddr_t *pa)
{
	struct ept12_walk walk;

	route->fault.gpa = gpa;
	route->fault.access = qualification;
	route->qualification = qualification | EPT_VIOLATION_LINEAR_VALID;
	route->result = nested_ept_fault(route->vcpu, &route->fault);
	if (route->result != EPT02_MAPPED)
		return false;
	if (ept12_walk(route->fault.eptp12, gpa, &walk) != EPT12_PRESENT) {
		route->result = EPT02_AGAIN;
		return false;
	}
	*pa = walk.gpa1;
	return true;
}

/* SDM "Accessed and Dirty Flags for EPT": with them page walks count as writes. */
static bool read_entry(void *ctx, paddr_t gpa, void *dst, size_t size)
{
	struct route *route = ctx;
	const u64 eptp12 = route->vcpu->nested->current->vmcs12->f[F_EPT_POINTER];
	paddr_t pa;

	if (!access(route, gpa, EPT_VIOLATION_READ | (eptp12 & EPTP_AD ? EPT_VIOLATION_WRITE : 0),
		    &pa))
		return false;
	guest_memory_read(pa, dst, size);
	return true;
}

static bool exchange_entry(void *ctx, paddr_t gpa, u64 old, u64 new, size_t size)
{
	paddr_t pa;

	return access(ctx, gpa, EPT_VIOLATION_READ | EPT_VIOLATION_WRITE, &pa) &&
	       guest_memory_exchange(pa, old, new, size);
}

/* SDM "Exit Qualification for EPT Violations": bits 11:9 are advanced information. */
static bool reach(void *ctx, const struct guest_walk *walk, enum guest_access_type type,
		  paddr_t *pa)
{
	u64 qualification = (type == GUEST_WRITE ? EPT_VIOLATION_WRITE : EPT_VIOLATION_READ) |
			    EPT_VIOLATION_TRANSLATED;

	if (nested_caps.ept_vpid & EPT_CAP_ADV_VIOLATION)
		qualification |= (walk->user ? EPT_VIOLATION_USER : 0) |
				 (walk->writable ? EPT_VIOLATION_LINEAR_WRITABLE : 0) |
				 (walk->executable ? 0 : EPT_VIOLATION_LINEAR_NX);
	return access(ctx, walk->pa, qualification, pa);
}

static const struct guest_walk_ops ops = {.read = read_entry, .exchange = exchange_entry};

/* Within a page. False: L2 or L1 has the fault. */
static bool find(struct vcpu *vcpu, u64 linear, enum guest_access_type type, paddr_t *pa)
{
	struct route route = {
		.vcpu = vcpu,
		.fault = {.by_umbra = true, .linear = linear},
		.result = EPT02_MAPPED,
	};
	const struct guest_linear_via via = {.ops = &ops, .reach = reach, .ctx = &route};
	struct guest_fault fault;

	if (guest_linear_translate(linear, type, &via, pa, &fault))
		return true;
	if (route.result != EPT02_MAPPED)
		nested_ept_fault_done(vcpu, &route.fault, route.result, route.qualification);
	else
		guest_fault_inject(&fault);
	return false;
}

/* As one or two pieces, each within a page. */
struct pieces {
	paddr_t pa[2];
	u32 size[2];
};

static bool find_pieces(struct vcpu *vcpu, u64 linear, u32 size, enum guest_access_type type,
			struct pieces *out)
{
	const u32 in_page = (u32)(PAGE_SIZE - (linear & (PAGE_SIZE - 1)));

	out->size[0] = size < in_page ? size : in_page;
	out->size[1] = size - out->size[0];
	return find(vcpu, linear, type, &out->pa[0]) &&
	       (!out->size[1] || find(vcpu, linear + in_page, type, &out->pa[1]));
}

bool l2_operand_read(struct vcpu *vcpu, u64 linear, void *dst, u32 size)
{
	struct pieces p;

	if (!find_pieces(vcpu, linear, size, GUEST_READ, &p))
		return false;
	guest_memory_read(p.pa[0], dst, p.size[0]);
	if (p.size[1])
		guest_memory_read(p.pa[1], (u8 *)dst + p.size[0], p.size[1]);
	return true;
}

bool l2_operand_write(struct vcpu *vcpu, u64 linear, const void *src, u32 size)
{
	struct pieces p;

	if (!find_pieces(vcpu, linear, size, GUEST_WRITE, &p))
		return false;
	guest_memory_write(p.pa[0], src, p.size[0]);
	if (p.size[1])
		guest_memory_write(p.pa[1], (const u8 *)src + p.size[0], p.size[1]);
	return true;
}
