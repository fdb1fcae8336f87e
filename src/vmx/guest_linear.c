/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/guest_linear.h"

#include <x86/cpuid.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/string.h"
#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "vmx/event.h"
#include "vmx/instruction.h"
#include "vmx/translation.h"
#include "vmx/vcpu.h"
#include "vmx/vmcs.h"

/* Boot-time constants once guest_linear_init() has run. */
static bool has_1g_pages, has_pse36;

/* An access as one or two pieces, each within a page. */
struct pieces {
	paddr_t pa[2];
	size_t size[2];
};

void guest_linear_init(void)
{
	has_pse36 = cpuid(1, 0).edx & CPUID_1_EDX_PSE36;
	if (cpuid(0x80000000, 0).eax >= 0x80000001)
		has_1g_pages = cpuid(0x80000001, 0).edx & CPUID_81_EDX_PAGE1GB;
}

/* The register is the guest's even now, but reading it takes CR4.PKE. */
static u32 guest_pkru(void)
{
	const u64 cr4 = read_cr4();

	write_cr4(cr4 | CR4_PKE);
	u32 pkru = rdpkru();
	write_cr4(cr4);
	return pkru;
}

/* What the CPU translates by: the registers themselves, not what their masks show of them. */
static struct guest_paging current_paging(void)
{
	struct guest_paging paging = {
		.cr0 = vmreadn(VMCS_GUEST_CR0),
		.cr3 = vmreadn(VMCS_GUEST_CR3),
		.cr4 = vmreadn(VMCS_GUEST_CR4),
		.efer = vmread64(VMCS_GUEST_EFER),
		.maxphyaddr = this_vcpu()->maxphyaddr,
		.has_1g_pages = has_1g_pages,
		.has_pse36 = has_pse36,
	};
	const bool long_mode = paging.efer & EFER_LMA;

	if (!long_mode && (paging.cr0 & CR0_PG) && (paging.cr4 & CR4_PAE)) {
		paging.pdpte[0] = vmread64(VMCS_GUEST_PDPTE0);
		paging.pdpte[1] = vmread64(VMCS_GUEST_PDPTE1);
		paging.pdpte[2] = vmread64(VMCS_GUEST_PDPTE2);
		paging.pdpte[3] = vmread64(VMCS_GUEST_PDPTE3);
	}
	if (long_mode && (paging.cr4 & CR4_PKE))
		paging.pkru = guest_pkru();
	if (long_mode && (paging.cr4 & CR4_PKS))
		paging.pkrs = (u32)vmread64(VMCS_GUEST_PKRS);
	return paging;
}

/* Where there is no memory for the guest, a table is all ones to its processor too. */
static bool read_entry(void *ctx, paddr_t pa, void *dst, size_t size)
{
	(void)ctx;
	guest_memory_read(pa, dst, size);
	return true;
}

static bool exchange_entry(void *ctx, paddr_t pa, u64 old, u64 new, size_t size)
{
	(void)ctx;
	return guest_memory_exchange(pa, old, new, size);
}

static const struct guest_walk_ops walk_ops = {
	.read = read_entry,
	.exchange = exchange_entry,
};

/* Memory of L1's, or of an L2 that runs on ept01: where it is says the guest's paging alone. */
static const struct guest_linear_via identity[] = {
	[GUEST_LINEAR_DATA] = {.ops = &walk_ops, .as = GUEST_LINEAR_DATA},
	[GUEST_LINEAR_STACK] = {.ops = &walk_ops, .as = GUEST_LINEAR_STACK},
	[GUEST_LINEAR_SYSTEM] = {.ops = &walk_ops, .as = GUEST_LINEAR_SYSTEM},
};

static void remember(const struct guest_paging *paging, const struct guest_access *access,
		     const struct guest_walk *walk)
{
	struct vcpu *vcpu = this_vcpu();
	struct guest_translation *last = &vcpu->translation[access->type];
	const paddr_t page = ALIGN_DOWN(walk->pa, PAGE_SIZE);
	/* Those of CR4 that make more than the registers below matter. */
	const u64 complicated = walk->user ? CR4_SMAP | CR4_PKE : CR4_PKS;

	if (!(paging->efer & EFER_LMA) || (paging->cr4 & complicated) || access->user ||
	    access->type == GUEST_FETCH || vcpu->level)
		return;
	/* translation_recall() reads all of it in place, so it has to be mapped memory. */
	if (!guest_memory_is_mapped(page, PAGE_SIZE))
		return;
	for (u32 i = 0; i < walk->steps; i++) {
		if (!guest_memory_is_mapped(walk->step[i].pa, sizeof(walk->step[i].entry)))
			return;
	}
	*last = (struct guest_translation){
		.page = ALIGN_DOWN(access->linear, PAGE_SIZE),
		.cr0 = paging->cr0,
		.cr3 = paging->cr3,
		.cr4 = paging->cr4,
		.efer = paging->efer,
		.memory = phys_to_virt(page),
	};
	for (u32 i = 0; i < GUEST_WALK_LEVELS; i++) {
		const struct guest_walk_step *step = &walk->step[i < walk->steps ? i : 0];

		last->step[i].at = phys_to_virt(step->pa);
		last->step[i].entry = step->entry;
	}
}

static bool translate(const struct guest_paging *paging, const struct guest_access *access,
		      const struct guest_linear_via *via, paddr_t *pa, struct guest_fault *fault)
{
	struct guest_walk walk;

	if (via->linear)
		*via->linear = access->linear;
	switch (guest_walk(paging, access, via->ops, via->ctx, &walk)) {
	case GUEST_WALK_OK:
		*pa = walk.pa;
		if (via->reach) {
			if (via->reach(via->ctx, &walk, access->type, pa))
				return true;
			break;
		}
		remember(paging, access, &walk);
		return true;
	case GUEST_WALK_FAULT:
		*fault = (struct guest_fault){
			.vector = VECTOR_PF, .error_code = walk.error_code, .cr2 = access->linear};
		return false;
	case GUEST_WALK_NON_CANONICAL:
		*fault = (struct guest_fault){.vector = via->as == GUEST_LINEAR_STACK ? VECTOR_SS
										      : VECTOR_GP};
		return false;
	case GUEST_WALK_NO_MEMORY: /* by way of `via` only: read_entry() always succeeds */
	case GUEST_WALK_RACE:      /* the walk has tried several times */
		break;
	}
	*fault = (struct guest_fault){.retry = true};
	return false;
}

static struct guest_access access_to(u64 linear, enum guest_access_type type,
				     enum guest_linear_as as)
{
	const u64 mask = vmread64(VMCS_GUEST_EFER) & EFER_LMA ? ~0ull : BITS(31, 0);

	return (struct guest_access){
		.linear = linear & mask,
		.type = type,
		.user = instruction_cpl() == 3 && as != GUEST_LINEAR_SYSTEM,
		.implicit = as == GUEST_LINEAR_SYSTEM,
		.ac = vmreadn(VMCS_GUEST_RFLAGS) & RFLAGS_AC,
	};
}

static bool translate_pieces(u64 linear, size_t size, enum guest_access_type type,
			     const struct guest_linear_via *via, struct pieces *out,
			     struct guest_fault *fault)
{
	const struct guest_paging paging = current_paging();
	const size_t in_page = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
	struct guest_access access = access_to(linear, type, via->as);

	out->size[0] = size < in_page ? size : in_page;
	out->size[1] = size - out->size[0];
	if (!translate(&paging, &access, via, &out->pa[0], fault))
		return false;
	if (!out->size[1])
		return true;
	access = access_to(linear + in_page, type, via->as);
	return translate(&paging, &access, via, &out->pa[1], fault);
}

/* Apart from the usual way, which needs none of its room on the stack. */
__attribute__((noinline)) bool guest_linear_read_via(u64 linear, void *dst, size_t size,
						     const struct guest_linear_via *via,
						     struct guest_fault *fault)
{
	struct pieces p;

	if (!translate_pieces(linear, size, GUEST_READ, via, &p, fault))
		return false;
	guest_memory_read(p.pa[0], dst, p.size[0]);
	if (p.size[1])
		guest_memory_read(p.pa[1], (u8 *)dst + p.size[0], p.size[1]);
	return true;
}

__attribute__((noinline)) bool guest_linear_write_via(u64 linear, const void *src, size_t size,
						      const struct guest_linear_via *via,
						      struct guest_fault *fault)
{
	struct pieces p;

	if (!translate_pieces(linear, size, GUEST_WRITE, via, &p, fault))
		return false;
	guest_memory_write(p.pa[0], src, p.size[0]);
	if (p.size[1])
		guest_memory_write(p.pa[1], (const u8 *)src + p.size[0], p.size[1]);
	return true;
}

/* What the CPU remembers is for L1's own privileged code alone. */
static void *recall(u64 linear, size_t size, enum guest_access_type type)
{
	const struct vcpu *vcpu = this_vcpu();

	return vcpu->level || instruction_cpl() ? NULL
						: translation_recall(vcpu, linear, size, type);
}

bool guest_linear_read(u64 linear, void *dst, size_t size, enum guest_linear_as as,
		       struct guest_fault *fault)
{
	const void *known = recall(linear, size, GUEST_READ);

	if (!known)
		return guest_linear_read_via(linear, dst, size, &identity[as], fault);
	memcpy(dst, known, size);
	return true;
}

bool guest_linear_write(u64 linear, const void *src, size_t size, enum guest_linear_as as,
			struct guest_fault *fault)
{
	void *known = recall(linear, size, GUEST_WRITE);

	if (!known)
		return guest_linear_write_via(linear, src, size, &identity[as], fault);
	memcpy(known, src, size);
	return true;
}

bool guest_linear_exchange(u64 linear, u8 old, u8 new, enum guest_linear_as as,
			   struct guest_fault *fault)
{
	struct pieces p;

	if (!translate_pieces(linear, sizeof(u8), GUEST_WRITE, &identity[as], &p, fault))
		return false;
	if (guest_memory_exchange(p.pa[0], old, new, sizeof(u8)))
		return true;
	*fault = (struct guest_fault){.retry = true};
	return false;
}

bool guest_linear_probe(u64 linear, size_t size, enum guest_access_type type,
			enum guest_linear_as as, struct guest_fault *fault)
{
	struct pieces p;

	return translate_pieces(linear, size, type, &identity[as], &p, fault);
}

bool guest_linear_mode(u64 linear, const struct guest_walk_ops *ops, void *ctx, bool *user)
{
	struct guest_paging paging = current_paging();
	/* One that nothing but the tables can refuse. */
	const struct guest_access access = {.linear = linear, .type = GUEST_READ, .ac = true};
	struct guest_walk walk;

	paging.pkru = paging.pkrs = 0;
	if (guest_walk(&paging, &access, ops, ctx, &walk) != GUEST_WALK_OK)
		return false;
	*user = walk.user;
	return true;
}

void guest_fault_inject(const struct guest_fault *fault)
{
	if (fault->retry) {
		event_redeliver(false);
		return;
	}
	/* No entry loads it: the register is the guest's all the time, unless L1 gets an exit. */
	const bool in_l2 = this_vcpu()->level != NULL;
	const u64 cr2 = read_cr2();

	if (fault->vector == VECTOR_PF)
		write_cr2(fault->cr2);
	event_inject_combined(fault->vector, fault->error_code);
	if (in_l2 && !this_vcpu()->level)
		write_cr2(cr2);
}
