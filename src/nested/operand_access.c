/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operands of VMX instructions, of L1 and L2, as they are when the instruction exits. Those in
 * memory of an L2 with EPT of L1's are reached by L2's page tables, and each access on the way by
 * ept12, as the CPU would make it (SDM "EPT Translation Mechanism").
 */
#include <x86/cr.h>
#include <x86/ept.h>
#include <x86/vmx.h>

#include "mm/guest_memory.h"
#include "nested/ept12.h"
#include "nested/l2_memory.h"
#include "nested/operand_access.h"
#include "nested/state.h"
#include "vmx/event.h"
#include "vmx/guest_linear.h"
#include "vmx/vmcs.h"

u64 operand_register(const struct guest_regs *regs, const struct operand *operand, u8 reg)
{
	return operand->in_64bit_mode ? regs->gpr[reg] : (u32)regs->gpr[reg];
}

void operand_set_register(struct guest_regs *regs, const struct operand *operand, u64 value)
{
	if (!operand->in_64bit_mode)
		value = (u32)value;
	if (operand->reg1 == GPR_RSP)
		vmwriten(VMCS_GUEST_RSP, value);
	else
		regs->gpr[operand->reg1] = value;
}

/* The operand's linear address; false: the fault has been injected. */
static bool operand_address(const struct operand *operand, bool write, u32 size, u64 *linear)
{
	struct operand_mode mode = {.in_64bit_mode = operand->in_64bit_mode};
	struct segment_descriptor segment = {0};
	enum operand_fault fault;

	if (mode.in_64bit_mode) {
		segment.base = vmcs_read(vmcs_segment_field(VMCS_GUEST_ES_BASE, operand->segment));
		mode.cr3 = vmreadn(VMCS_GUEST_CR3);
		mode.cr4 = vmreadn(VMCS_GUEST_CR4);
	} else {
		segment = vmcs_read_segment(operand->segment);
	}
	fault = operand_linear(operand, &segment, &mode, write, size, linear);
	if (fault != OPERAND_OK)
		event_inject_exception((enum vector)fault, 0);
	return fault == OPERAND_OK;
}

struct route {
	struct vcpu *vcpu;
	struct ept02_fault fault; /* of the access that was made last */
	enum ept02_result result;
	u64 qualification;
};

/* One access. False: the route ends here, and `fault` says how. */
static bool access(struct route *route, paddr_t gpa, u64 qualification, paddr_t *pa)
{
	route->fault.gpa = gpa;
	route->fault.access = qualification;
	route->qualification = qualification | EPT_VIOLATION_LINEAR_VALID;
	route->result = nested_ept_fault(route->vcpu, &route->fault);
	*pa = route->vcpu->nested->ept02.walk.gpa1;
	return route->result == EPT02_MAPPED;
}

/* SDM "Accessed and Dirty Flags for EPT": with them page walks count as writes. */
static bool read_entry(void *ctx, paddr_t gpa, void *dst, size_t size)
{
	struct route *route = ctx;
	const u64 eptp12 = current12(route->vcpu)->f[F_EPT_POINTER];
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

/* Reads to `dst`, or writes from `src` if that is not NULL. */
static bool transfer_by_ept12(struct vcpu *vcpu, u64 linear, void *dst, const void *src, u32 size)
{
	struct route route = {
		.vcpu = vcpu,
		.fault = {.by_umbra = true},
		.result = EPT02_MAPPED,
	};
	const struct guest_linear_via via = {
		.ops = &ops,
		.reach = reach,
		.ctx = &route,
		.linear = &route.fault.linear,
	};
	struct guest_fault fault;

	if (src ? guest_linear_write_via(linear, src, size, &via, &fault)
		: guest_linear_read_via(linear, dst, size, &via, &fault))
		return true;
	/* The fault is L2's, or an exit of L1's. */
	if (route.result == EPT02_MAPPED)
		guest_fault_inject(&fault);
	else
		nested_ept_fault_done(vcpu, &route.fault, route.result, route.qualification);
	return false;
}

/* The same, of L1 or L2. */
static bool transfer(const struct operand *operand, void *dst, const void *src, u32 size)
{
	struct vcpu *vcpu = this_vcpu();
	struct guest_fault fault;
	u64 linear;

	if (!operand_address(operand, src, size, &linear))
		return false;
	if (vcpu->level && nested_l2_uses_ept(current12(vcpu)))
		return transfer_by_ept12(vcpu, linear, dst, src, size);
	if (src ? guest_linear_write(linear, src, size, GUEST_LINEAR_DATA, &fault)
		: guest_linear_read(linear, dst, size, GUEST_LINEAR_DATA, &fault))
		return true;
	guest_fault_inject(&fault);
	return false;
}

bool operand_walk_and_read(struct guest_regs *regs, void *dst, u32 size)
{
	const struct operand operand = operand_of_exit(regs);

	return transfer(&operand, dst, NULL, size);
}

bool operand_write_at(const struct operand *operand, const void *src, u32 size)
{
	return transfer(operand, NULL, src, size);
}

bool operand_walk_and_write(struct guest_regs *regs, const void *src, u32 size)
{
	const struct operand operand = operand_of_exit(regs);

	return transfer(&operand, NULL, src, size);
}
