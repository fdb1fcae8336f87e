/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/guest_walk.h"

#include <x86/cr.h>
#include <x86/msr.h>
#include <x86/paging.h>

enum { RACES_MAX = 16 };

/* One paging mode, or rather the part of it that is read from memory. */
struct mode {
	u32 levels;
	u32 index_bits;
	u32 entry_size;
	paddr_t root;
	u64 address;  /* bits of an entry that are an address */
	u64 reserved; /* in entries of every level */
};

struct walker {
	const struct guest_paging *paging;
	const struct guest_access *access;
	const struct guest_walk_ops *ops;
	void *ctx;
	struct mode mode;
	struct guest_walk *out;
	u64 allowed; /* PTE_W and PTE_U that all entries have, NO_EXEC that any has */
	u64 leaf;
	u64 page_size;
};

static bool no_exec_enabled(const struct guest_paging *p)
{
	return (p->cr4 & CR4_PAE) && (p->efer & EFER_NXE);
}

static enum guest_walk_status fault(const struct walker *w, u32 cause)
{
	const struct guest_access *a = w->access;
	struct guest_walk *out = w->out;

	out->error_code = cause;
	if (a->type == GUEST_WRITE)
		out->error_code |= PF_WRITE;
	if (a->user)
		out->error_code |= PF_USER;
	if (a->type == GUEST_FETCH && (no_exec_enabled(w->paging) || (w->paging->cr4 & CR4_SMEP)))
		out->error_code |= PF_FETCH;
	return GUEST_WALK_FAULT;
}

/* Fills w->mode. False: PAE paging and no page directory for this address. */
static bool choose_mode(struct walker *w)
{
	const struct guest_paging *p = w->paging;
	const u64 physical = BITS(p->maxphyaddr - 1, 12);
	const u64 no_exec = no_exec_enabled(p) ? 0 : (u64)PTE_NX;

	if (!(p->cr4 & CR4_PAE)) {
		w->mode = (struct mode){.levels = 2,
					.index_bits = 10,
					.entry_size = 4,
					.root = p->cr3 & BITS(31, 12),
					.address = BITS(31, 12)};
		return true;
	}
	w->mode = (struct mode){.index_bits = 9, .entry_size = 8, .address = physical};
	if (p->efer & EFER_LMA) {
		w->mode.levels = p->cr4 & CR4_LA57 ? 5 : 4;
		w->mode.root = p->cr3 & physical;
		w->mode.reserved = (BITS(51, 12) & ~physical) | no_exec;
		return true;
	}
	/* Reserved bits of the PDPTEs were checked when they were loaded (SDM "PDPTE Registers").
	 */
	u64 pdpte = p->pdpte[w->access->linear >> 30 & 3];
	w->mode.levels = 2;
	w->mode.root = pdpte & physical;
	w->mode.reserved = (BITS(62, 12) & ~physical) | no_exec;
	return pdpte & PTE_P;
}

/* Whether an entry with the page-size bit maps a page at this level. */
static bool can_be_large(const struct walker *w, u32 level)
{
	if (level == 2)
		return w->mode.entry_size == 8 || (w->paging->cr4 & CR4_PSE);
	return level == 3 && w->paging->has_1g_pages;
}

static u64 reserved_bits(const struct walker *w, u32 level, bool large)
{
	if (large && w->mode.entry_size == 4) {
		/* "32-Bit Paging": address bits 39:32 are in 20:13, as far as they exist. */
		u32 width = w->paging->has_pse36 ? w->paging->maxphyaddr : 32;
		return BITS(21, (width < 40 ? width : 40) - 19);
	}
	if (large) /* between the PAT bit and the page's address */
		return w->mode.reserved | BITS(11 + 9 * (level - 1), 13);
	/* In 32-bit paging without PSE the page-size bit is ignored. */
	if (level > 2)
		return w->mode.reserved | PTE_PS;
	return w->mode.reserved;
}

static paddr_t leaf_address(const struct walker *w)
{
	u64 offset = w->access->linear & (w->page_size - 1);
	paddr_t page = w->leaf & w->mode.address & ~(w->page_size - 1);

	if (w->mode.entry_size == 4 && w->page_size > PAGE_SIZE)
		page |= (w->leaf & BITS(20, 13)) << (32 - 13);
	return page | offset;
}

static enum guest_walk_status descend(struct walker *w)
{
	const struct mode *m = &w->mode;
	struct guest_walk *out = w->out;
	paddr_t table = m->root;

	out->steps = 0;
	w->allowed = PTE_W | PTE_U;
	for (u32 level = m->levels;; level--) {
		u32 shift = 12 + (level - 1) * m->index_bits;
		u64 index = w->access->linear >> shift & ((1u << m->index_bits) - 1);
		struct guest_walk_step *step = &out->step[out->steps++];

		step->pa = table + index * m->entry_size;
		step->entry = 0;
		if (!w->ops->read(w->ctx, step->pa, &step->entry, m->entry_size)) {
			out->pa = step->pa;
			return GUEST_WALK_NO_MEMORY;
		}
		u64 entry = step->entry;
		if (!(entry & PTE_P))
			return fault(w, 0);
		bool large = level > 1 && (entry & PTE_PS) && can_be_large(w, level);
		if (entry & reserved_bits(w, level, large))
			return fault(w, PF_PRESENT | PF_RESERVED);
		w->allowed &= entry | PTE_NX;
		w->allowed |= entry & PTE_NX;
		if (level == 1 || large) {
			w->leaf = entry;
			w->page_size = 1ull << shift;
			return GUEST_WALK_OK;
		}
		table = entry & m->address;
	}
}

/* SDM "Protection Keys": they restrict data accesses, beyond what the entries allow. */
static bool key_forbids(const struct walker *w)
{
	const struct guest_paging *p = w->paging;
	bool user_page = w->allowed & PTE_U;
	u32 key = w->leaf >> 59 & 0xf;
	u32 rights = (user_page ? p->pkru : p->pkrs) >> (2 * key) & 3;

	if (!(p->efer & EFER_LMA) || !(p->cr4 & (user_page ? CR4_PKE : CR4_PKS)) ||
	    w->access->type == GUEST_FETCH)
		return false;
	if (rights & 1) /* access disable */
		return true;
	return (rights & 2) && w->access->type == GUEST_WRITE &&
	       (w->access->user || (p->cr0 & CR0_WP));
}

/* SDM "Determination of Access Rights", without protection keys. */
static bool entries_allow(const struct walker *w)
{
	const struct guest_paging *p = w->paging;
	const struct guest_access *a = w->access;
	bool user_page = w->allowed & PTE_U;
	bool writable = w->allowed & PTE_W;

	if (a->user && !user_page)
		return false;
	if (a->type == GUEST_FETCH) {
		if (!a->user && user_page && (p->cr4 & CR4_SMEP))
			return false;
		return !(w->allowed & PTE_NX) || !no_exec_enabled(p);
	}
	if (!a->user && user_page && (p->cr4 & CR4_SMAP) && (a->implicit || !a->ac))
		return false;
	if (a->type == GUEST_WRITE && !writable)
		return !a->user && !(p->cr0 & CR0_WP);
	return true;
}

static bool set_flags(struct walker *w)
{
	for (u32 i = 0; i < w->out->steps; i++) {
		struct guest_walk_step *step = &w->out->step[i];
		u64 wanted = step->entry | PTE_A;
		if (i + 1 == w->out->steps && w->access->type == GUEST_WRITE)
			wanted |= PTE_D;
		if (wanted != step->entry &&
		    !w->ops->exchange(w->ctx, step->pa, step->entry, wanted, w->mode.entry_size))
			return false;
		step->entry = wanted;
	}
	return true;
}

enum guest_walk_status guest_walk(const struct guest_paging *paging,
				  const struct guest_access *access,
				  const struct guest_walk_ops *ops, void *ctx,
				  struct guest_walk *out)
{
	struct walker w = {.paging = paging, .access = access, .ops = ops, .ctx = ctx, .out = out};

	out->steps = 0;
	if (!(paging->cr0 & CR0_PG)) {
		out->pa = access->linear & UINT32_MAX;
		out->page_size = PAGE_SIZE;
		out->user = out->writable = out->executable = true;
		return GUEST_WALK_OK;
	}
	if ((paging->efer & EFER_LMA) &&
	    !linear_is_canonical(access->linear, paging->cr4 & CR4_LA57 ? 57 : 48))
		return GUEST_WALK_NON_CANONICAL;

	for (u32 race = 0; race < RACES_MAX; race++) {
		if (!choose_mode(&w))
			return fault(&w, 0);
		enum guest_walk_status status = descend(&w);
		if (status != GUEST_WALK_OK)
			return status;
		/* The error code names a key's veto even if the entries alone would have said no.
		 */
		bool key = key_forbids(&w);
		if (key || !entries_allow(&w))
			return fault(&w, PF_PRESENT | (key ? PF_KEY : 0));
		/* Another processor may have changed an entry meanwhile: what counts is the new
		 * one. */
		if (ops->exchange && !set_flags(&w))
			continue;
		out->pa = leaf_address(&w);
		out->page_size = w.page_size;
		out->user = w.allowed & PTE_U;
		out->writable = w.allowed & PTE_W;
		out->executable = !(w.allowed & PTE_NX);
		return GUEST_WALK_OK;
	}
	return GUEST_WALK_RACE;
}
