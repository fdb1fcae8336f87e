/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/ept02.h"

#include <x86/ept.h>
#include <x86/memtype.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/ept01.h"
#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "nested/alloc.h"
#include "nested/ept12.h"
#include "nested/loan.h"
#include "nested/state.h"
#include "smp/panic.h"

/* How often the pool was empty: every CPU then gives back what it does not need at once. */
static u32 shortages;

/* The pool is all CPUs' and may be used up by the others; then the CPU's own reserve serves. */
static void *take_page(struct ept02 *ept02)
{
	void *page = pages_alloc(1);

	if (!page) {
		__atomic_fetch_add(&shortages, 1, __ATOMIC_RELAXED);
		if (!ept02->reserved)
			return NULL;
		page = ept02->reserve[--ept02->reserved];
		memset(page, 0, PAGE_SIZE);
	}
	ept02->pages++;
	return page;
}

static void free_page(struct ept02 *ept02, void *page)
{
	const u32 own = ept02->loan == LOAN_HELD ? EPT02_LARGEST : EPT02_RESERVE;

	ept02->pages--;
	if (ept02->reserved < own)
		ept02->reserve[ept02->reserved++] = page;
	else
		pages_free(page);
}

void ept02_init(struct vcpu *vcpu)
{
	struct ept02 *ept02 = &vcpu->nested->ept02;

	while (ept02->reserved < EPT02_RESERVE)
		ept02->reserve[ept02->reserved++] = nested_alloc(1);
}

static void *alloc_table(struct ept02 *ept02, struct ept02_root *root)
{
	struct ept02_tables *list = root->tables;
	void *table;

	if (!list || list->count == ARRAY_SIZE(list->table)) {
		list = take_page(ept02);
		if (!list)
			return NULL;
		list->before = root->tables;
		root->tables = list;
	}
	table = take_page(ept02);
	if (table)
		list->table[list->count++] = table;
	return table;
}

static void free_tables(struct ept02 *ept02, struct ept02_root *root)
{
	struct ept02_tables *before;

	for (struct ept02_tables *list = root->tables; list; list = before) {
		before = list->before;
		for (u64 i = 0; i < list->count; i++)
			free_page(ept02, list->table[i]);
		free_page(ept02, list);
	}
	*root = (struct ept02_root){0};
}

/* With accessed and dirty flags page walks count as writes, and so they must for ept02. */
static u64 eptp_of(const struct ept02_root *root)
{
	return virt_to_phys(root->table) | EPTP_WALK_4 | MEMTYPE_WB |
	       (root->eptp12 & (EPTP_AD | EPTP_SHADOW_STACK));
}

/* Its tables are freed: no CPU may walk them any more, and only this one ever did. */
static void release_root(struct ept02 *ept02, struct ept02_root *root)
{
	invept(INVEPT_SINGLE_CONTEXT, eptp_of(root));
	free_tables(ept02, root);
}

static struct ept02_root *find_root(struct ept02 *ept02, u64 eptp12)
{
	for (u32 i = 0; i < EPT02_ROOTS; i++) {
		if (ept02->root[i].eptp12 == eptp12)
			return &ept02->root[i];
	}
	return NULL;
}

/* Another CPU has been short of pages since this one looked last. */
static bool shortage_is_new(const struct ept02 *ept02)
{
	return __atomic_load_n(&shortages, __ATOMIC_RELAXED) != ept02->shortages_seen;
}

/* All roots but that of `wanted`. */
static void give_back(struct ept02 *ept02, u64 wanted)
{
	ept02->shortages_seen = __atomic_load_n(&shortages, __ATOMIC_RELAXED);
	for (u32 i = 0; i < EPT02_ROOTS; i++) {
		if (ept02->root[i].eptp12 && ept02->root[i].eptp12 != wanted)
			release_root(ept02, &ept02->root[i]);
	}
}

/* Another root than at the last entry, perhaps a new one. */
__attribute__((noinline)) static u64 change_root(struct vcpu *vcpu, u64 eptp12)
{
	struct ept02 *ept02 = &vcpu->nested->ept02;
	struct ept02_root *root = find_root(ept02, eptp12);

	if (shortage_is_new(ept02))
		give_back(ept02, eptp12);
	if (!root) {
		root = &ept02->root[0];
		for (u32 i = 1; i < EPT02_ROOTS; i++) {
			if (ept02->root[i].last_use < root->last_use)
				root = &ept02->root[i];
		}
		if (root->eptp12)
			release_root(ept02, root);
		root->table = alloc_table(ept02, root);
		if (!root->table) {
			/* Other roots hold all of the reserve. */
			free_tables(ept02, root);
			ept02_drop_all(vcpu);
			root->table = alloc_table(ept02, root);
		}
		if (!root->table)
			panic("CPU %u has lost its reserve of ept02 tables", vcpu->cpu.index);
		root->eptp12 = eptp12;
		/* The page may have been a root before: nothing of that one may survive. */
		invept(INVEPT_SINGLE_CONTEXT, eptp_of(root));
	}
	root->last_use = ++ept02->clock;
	ept02->last = (u32)(root - ept02->root);
	return eptp_of(root);
}

u64 ept02_eptp(struct vcpu *vcpu, u64 eptp12)
{
	const struct ept02 *ept02 = &vcpu->nested->ept02;
	const struct ept02_root *last = &ept02->root[ept02->last];

	return last->eptp12 == eptp12 && !shortage_is_new(ept02) ? eptp_of(last)
								 : change_root(vcpu, eptp12);
}

/* Only a root of an ept12 with EPT12_MODE_BASED has leaves with the one right that others lack. */
static bool is_present(u64 entry)
{
	return entry & (EPT_RWX | EPT_USER_EXEC);
}

/* The entry of ept02 at `level` for gpa, with tables above made; NULL: out of memory. */
static u64 *entry_at(struct ept02 *ept02, struct ept02_root *root, paddr_t gpa, unsigned int level)
{
	u64 *table = root->table;

	for (unsigned int l = EPT_LEVELS; l > level; l--) {
		u64 *entry = &table[ept_index(gpa, l)];

		if (!is_present(*entry) || ept_is_leaf(*entry, l)) {
			void *next = alloc_table(ept02, root);

			if (!next)
				return NULL;
			/* A larger page there is stale: L1 has split it. */
			const bool replaced = is_present(*entry);

			/* The last is ignored where it is no right. */
			*entry = virt_to_phys(next) | EPT_RWX | EPT_USER_EXEC;
			if (replaced)
				invept(INVEPT_SINGLE_CONTEXT, eptp_of(root));
		}
		table = phys_to_virt(*entry & EPT_ADDR);
	}
	return &table[ept_index(gpa, level)];
}

/* The tables of smaller pages that a larger one replaces wait for the root to go. */
static void set_leaf(const struct ept02_root *root, u64 *entry, u64 value, unsigned int level)
{
	const bool replaces = is_present(*entry) && !ept_is_leaf(*entry, level);

	*entry = value;
	if (replaces)
		invept(INVEPT_SINGLE_CONTEXT, eptp_of(root));
}

/* Rights by which a page may be written: EPT_SHADOW_STACK is one to read and write. */
enum : u64 { WRITES = EPT_WRITE | EPT_SHADOW_STACK };

/* What ept02 may allow so that no access passes by a flag that it has to set. */
static u64 rights_by_flags(u64 eptp12, u64 entry12, u64 rights)
{
	if (!(eptp12 & EPTP_AD))
		return rights;
	if (!(entry12 & EPT_ACCESSED))
		return 0;
	return entry12 & EPT_DIRTY ? rights : rights & ~(u64)WRITES;
}

/*
 * The neighbours of a 4 KiB page that L1 has mapped too, in one read of its table: those that have
 * the same rights, type and flags as the page itself, and so are well-formed if their address is.
 */
static void fault_around(u64 *entry02, paddr_t gpa, const struct ept12_walk *walk)
{
	const unsigned int index = ept_index(gpa, 1) % EPT02_FAULT_AROUND;
	const u64 address = BITS(nested_caps.maxphyaddr - 1, PAGE_SHIFT);
	const u64 entry12 = walk->entry[1], mapped = *entry02;
	u64 *first02 = entry02 - index;
	u64 entries12[EPT02_FAULT_AROUND];

	guest_memory_read(walk->at[1] - 8 * index, entries12, sizeof(entries12));
	for (unsigned int i = 0; i < EPT02_FAULT_AROUND; i++) {
		const u64 difference = entries12[i] ^ entry12;

		if (!(difference & ~address) && !ept01_is_hidden(entries12[i] & address, PAGE_SIZE))
			first02[i] = mapped ^ difference;
	}
}

/* Umbra's memory reads as ones, as ept01 has it. */
static enum ept02_result map_ones(struct vcpu *vcpu, struct ept02_root *root, paddr_t gpa,
				  const struct ept12_walk *walk)
{
	u64 *entry = entry_at(&vcpu->nested->ept02, root, gpa, 1);

	if (!entry)
		return EPT02_NO_MEMORY;
	if (vcpu->hidden_reads++ == 0)
		log_warn("CPU %u: the guest read Umbra's memory at %#lx", vcpu->cpu.index,
			 walk->gpa1);
	*entry = ept01_ones() | ept_memtype_bits(MEMTYPE_WB) |
		 (walk->rights & (EPT_READ | EPT_EXEC | EPT_USER_EXEC));
	return EPT02_MAPPED;
}

/* The largest page both maps have: ept01 is uniform where it uses a large one. */
static enum ept02_result map(struct vcpu *vcpu, struct ept02_root *root, paddr_t gpa,
			     const struct ept12_walk *walk, bool with_neighbours)
{
	const u64 entry12 = walk->entry[walk->level];
	unsigned int level = 1;
	u64 *entry;

	while (level < walk->level && ept_level_size(level + 1) <= ept01_page_size(walk->gpa1))
		level++;
	entry = entry_at(&vcpu->nested->ept02, root, gpa, level);
	if (!entry)
		return EPT02_NO_MEMORY;
	set_leaf(root, entry,
		 (walk->gpa1 & ~(ept_level_size(level) - 1)) |
			 (entry12 & (EPT_MEMTYPE | EPT_IGNORE_PAT)) |
			 rights_by_flags(root->eptp12, entry12, walk->rights) |
			 (level > 1 ? EPT_LARGE : 0),
		 level);
	if (with_neighbours && level == 1 && walk->level == 1)
		fault_around(entry, gpa, walk);
	return EPT02_MAPPED;
}

/* SDM "Accessed and Dirty Flags for EPT" and "Page-Modification Logging". */
static enum ept02_result set_flags(struct ept02_fault *fault, u64 needed, struct ept12_walk *walk)
{
	const bool write = needed & WRITES;
	const bool was_dirty = walk->entry[walk->level] & EPT_DIRTY;

	if (!(fault->eptp12 & EPTP_AD) || !ept12_needs_flags(walk, write))
		return EPT02_MAPPED;
	if (fault->log_full)
		return EPT02_LOG_FULL;
	if (!ept12_set_flags(walk, write))
		return EPT02_AGAIN;
	fault->dirtied = write && !was_dirty;
	return EPT02_MAPPED;
}

/* What ept12 must allow for the access. SDM "EPT Violations". */
static u64 rights_for(const struct ept02_fault *fault)
{
	const u64 access = fault->access & EPT_RWX;

	if (__builtin_expect(!(fault->eptp12 & EPT12_MORE_RIGHTS), 1))
		return access;
	if ((fault->access & (EPT_VIOLATION_SHADOW_STACK | EPT_VIOLATION_USER)) ==
		    EPT_VIOLATION_SHADOW_STACK &&
	    (fault->eptp12 & EPTP_SHADOW_STACK))
		return EPT_SHADOW_STACK;
	return (access & EPT_EXEC) && (fault->access & EPT_VIOLATION_USER) &&
			       (fault->eptp12 & EPT12_MODE_BASED)
		       ? (access & ~(u64)EPT_EXEC) | EPT_USER_EXEC
		       : access;
}

enum ept02_result ept02_fault(struct vcpu *vcpu, struct ept02_fault *fault)
{
	struct ept02_root *root = find_root(&vcpu->nested->ept02, fault->eptp12);
	struct ept12_walk *walk = &vcpu->nested->ept02.walk;
	const u64 needed = rights_for(fault);
	enum ept02_result result;

	fault->dirtied = false;
	if (ept12_walk(fault->eptp12, fault->gpa, walk) == EPT12_MISCONFIGURED)
		return EPT02_MISCONFIG;
	fault->rights = walk->rights;
	fault->entry = walk->entry[walk->level];
	if (!walk->rights || (needed & ~walk->rights))
		return EPT02_VIOLATION;
	if (!root)
		return EPT02_NO_MEMORY;
	result = set_flags(fault, needed, walk);
	if (result != EPT02_MAPPED)
		return result;
	vcpu->nested->ept02.faults++;
	if (!ept01_is_hidden(walk->gpa1 & ~(PAGE_SIZE - 1), PAGE_SIZE))
		return map(vcpu, root, fault->gpa, walk, true);
	if (needed & WRITES)
		return EPT02_HIDDEN_WRITE;
	return map_ones(vcpu, root, fault->gpa, walk);
}

void ept02_prefault(struct vcpu *vcpu, u64 eptp12, paddr_t gpa)
{
	struct ept02_root *root = find_root(&vcpu->nested->ept02, eptp12);
	struct ept12_walk *walk = &vcpu->nested->ept02.walk;

	if (!root)
		return;
	ept12_walk(eptp12, gpa, walk);
	if (!walk->rights || ((eptp12 & EPTP_AD) && ept12_needs_flags(walk, false)) ||
	    ept01_is_hidden(walk->gpa1 & ~(PAGE_SIZE - 1), PAGE_SIZE))
		return;
	/*
	 * Its neighbours were mapped when L1 handled them. Without memory for a table the violation
	 * that follows makes room.
	 */
	(void)map(vcpu, root, gpa, walk, false);
}

void ept02_drop(struct vcpu *vcpu, u64 eptp12)
{
	struct ept02 *ept02 = &vcpu->nested->ept02;

	for (u32 i = 0; i < EPT02_ROOTS; i++) {
		struct ept02_root *root = &ept02->root[i];

		/* SDM "INVEPT": the address alone names the context. */
		if (root->eptp12 && !((root->eptp12 ^ eptp12) & EPTP_ADDR))
			release_root(ept02, root);
	}
}

void ept02_drop_all(struct vcpu *vcpu)
{
	give_back(&vcpu->nested->ept02, 0);
}

/*
 * Holding the loan, L2 has got on by at least one instruction before it ran out again. What is in
 * tables is all the CPU's own once these are dropped, so the loan can be given back.
 */
void ept02_start_over(struct vcpu *vcpu)
{
	ept02_drop_all(vcpu);
	if (vcpu->nested->ept02.loan == LOAN_HELD && loan_is_wanted())
		loan_end(&vcpu->nested->ept02);
	loan_ask(&vcpu->nested->ept02);
}

void ept02_end_loan(struct vcpu *vcpu)
{
	if (vcpu->nested->ept02.loan == LOAN_HELD)
		ept02_drop_all(vcpu);
	loan_end(&vcpu->nested->ept02);
}
