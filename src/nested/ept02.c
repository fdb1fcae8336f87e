/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/ept02.h"

#include <x86/ept.h>
#include <x86/memtype.h>

#include "boot/layout.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"
#include "mm/ept01.h"
#include "mm/guest_memory.h"
#include "mm/pages.h"
#include "nested/state.h"

/* A leaf of ept12, as far as the walk got. */
struct leaf12 {
	paddr_t gpa1; /* where it leads, for the address asked for */
	u64 size;
	u64 rights;    /* of all levels together */
	u64 upper;     /* of those above the leaf's */
	u64 type;      /* memory type and ignore-PAT bits, in place */
	paddr_t table; /* of the last level, in L1's memory */
};

static u64 level_size(unsigned int level)
{
	return PAGE_SIZE << (9 * (level - 1));
}

static unsigned int index_at(paddr_t gpa, unsigned int level)
{
	return (unsigned int)(gpa >> (PAGE_SHIFT + 9 * (level - 1))) & (EPT_ENTRIES - 1);
}

static bool is_present(u64 entry)
{
	return entry & EPT_RWX;
}

static bool is_leaf(u64 entry, unsigned int level)
{
	return level == 1 || (entry & EPT_LARGE);
}

/* SDM "EPT Misconfigurations". */
static bool is_misconfigured(u64 entry, unsigned int level)
{
	const u64 address_reserved = BITS(51, nested_caps.maxphyaddr);
	const u64 type = (entry & EPT_MEMTYPE) >> EPT_MEMTYPE_SHIFT;

	if ((entry & (EPT_READ | EPT_WRITE)) == EPT_WRITE)
		return true;
	if ((entry & EPT_RWX) == EPT_EXEC && !(nested_caps.ept_vpid & EPT_CAP_EXEC_ONLY))
		return true;
	if (entry & address_reserved)
		return true;
	if (level == 4 || (level > 1 && !(entry & EPT_LARGE)))
		return entry & (level == 4 ? BITS(7, 3) : BITS(6, 3));
	if (level == 3 && !(nested_caps.ept_vpid & EPT_CAP_1G))
		return true;
	if (level == 2 && !(nested_caps.ept_vpid & EPT_CAP_2M))
		return true;
	if (level > 1 && (entry & (level_size(level) - 1) & EPT_ADDR))
		return true;
	return type == 2 || type == 3 || type == 7;
}

static enum ept02_result walk12(u64 eptp12, paddr_t gpa, struct leaf12 *out)
{
	u64 entry;

	out->rights = EPT_RWX;
	out->table = eptp12 & EPTP_ADDR;
	/* SDM "EPT Translation Mechanism": four levels reach no further. */
	if (gpa >> EPT_MAX_WIDTH) {
		out->rights = 0;
		return EPT02_VIOLATION;
	}
	for (unsigned int level = EPT_LEVELS;; level--) {
		guest_memory_read(out->table + 8 * index_at(gpa, level), &entry, sizeof(entry));
		if (!is_present(entry)) {
			out->rights = 0;
			return EPT02_VIOLATION;
		}
		if (is_misconfigured(entry, level))
			return EPT02_MISCONFIG;
		out->upper = out->rights;
		out->rights &= entry;
		if (is_leaf(entry, level)) {
			out->size = level_size(level);
			out->gpa1 = (entry & EPT_ADDR & ~(out->size - 1)) | (gpa & (out->size - 1));
			out->type = entry & (EPT_MEMTYPE | EPT_IGNORE_PAT);
			return EPT02_MAPPED;
		}
		out->table = entry & EPT_ADDR;
	}
}

/* The pool is all CPUs' and may be used up by the others; then the CPU's own reserve serves. */
static void *alloc_table(struct ept02 *ept02)
{
	void *table = pages_alloc(1);

	if (!table && ept02->reserved) {
		table = ept02->reserve[--ept02->reserved];
		memset(table, 0, PAGE_SIZE);
	}
	return table;
}

static void free_page(struct ept02 *ept02, void *table)
{
	if (ept02->reserved < EPT02_RESERVE)
		ept02->reserve[ept02->reserved++] = table;
	else
		pages_free(table);
}

bool ept02_init(struct cpu *cpu)
{
	struct ept02 *ept02 = &cpu->nested->ept02;

	while (ept02->reserved < EPT02_RESERVE) {
		ept02->reserve[ept02->reserved] = pages_alloc(1);
		if (!ept02->reserve[ept02->reserved])
			return false;
		ept02->reserved++;
	}
	return true;
}

static void free_table(struct ept02 *ept02, u64 *table, unsigned int level)
{
	for (unsigned int i = 0; level > 1 && i < EPT_ENTRIES; i++) {
		if (is_present(table[i]) && !is_leaf(table[i], level))
			free_table(ept02, phys_to_virt(table[i] & EPT_ADDR), level - 1);
	}
	free_page(ept02, table);
}

static void drop_root(struct ept02 *ept02, struct ept02_root *root)
{
	if (root->eptp12) {
		free_table(ept02, root->table, EPT_LEVELS);
		*root = (struct ept02_root){0};
	}
}

static u64 eptp_of(const u64 *table)
{
	return virt_to_phys(table) | EPTP_WALK_4 | MEMTYPE_WB;
}

static struct ept02_root *find_root(struct ept02 *ept02, u64 eptp12)
{
	if (ept02->root[ept02->last].eptp12 == eptp12)
		return &ept02->root[ept02->last];
	for (u32 i = 0; i < EPT02_ROOTS; i++) {
		if (ept02->root[i].eptp12 == eptp12)
			return &ept02->root[i];
	}
	return NULL;
}

u64 ept02_eptp(struct cpu *cpu, u64 eptp12)
{
	struct ept02 *ept02 = &cpu->nested->ept02;
	struct ept02_root *root = find_root(ept02, eptp12);

	if (!root) {
		root = &ept02->root[0];
		for (u32 i = 1; i < EPT02_ROOTS; i++) {
			if (ept02->root[i].last_use < root->last_use)
				root = &ept02->root[i];
		}
		if (root->eptp12)
			ept02_drop(cpu, root->eptp12);
		root->table = alloc_table(ept02);
		if (!root->table) {
			/* Other roots hold all of the reserve. */
			ept02_drop_all(cpu);
			root->table = alloc_table(ept02);
		}
		if (!root->table)
			panic("CPU %u has lost its reserve of ept02 tables", cpu->index);
		root->eptp12 = eptp12;
		/* The page may have been a root before: nothing of that one may survive. */
		invept(INVEPT_SINGLE_CONTEXT, eptp_of(root->table));
	}
	root->last_use = ++ept02->clock;
	ept02->last = (u32)(root - ept02->root);
	return eptp_of(root->table);
}

/* The entry of ept02 at `level` for gpa, with tables above made; NULL: out of memory. */
static u64 *entry_at(struct ept02 *ept02, struct ept02_root *root, paddr_t gpa, unsigned int level)
{
	u64 *table = root->table;

	for (unsigned int l = EPT_LEVELS; l > level; l--) {
		u64 *entry = &table[index_at(gpa, l)];

		if (!is_present(*entry) || is_leaf(*entry, l)) {
			void *next = alloc_table(ept02);

			if (!next)
				return NULL;
			/* A larger page there is stale: L1 has split it. */
			const bool replaced = is_present(*entry);

			*entry = virt_to_phys(next) | EPT_RWX;
			if (replaced)
				invept(INVEPT_SINGLE_CONTEXT, eptp_of(root->table));
		}
		table = phys_to_virt(*entry & EPT_ADDR);
	}
	return &table[index_at(gpa, level)];
}

static void set_leaf(struct ept02 *ept02, struct ept02_root *root, u64 *entry, u64 value,
		     unsigned int level)
{
	if (is_present(*entry) && !is_leaf(*entry, level)) {
		u64 *old = phys_to_virt(*entry & EPT_ADDR);

		*entry = value;
		invept(INVEPT_SINGLE_CONTEXT, eptp_of(root->table));
		free_table(ept02, old, level - 1);
		return;
	}
	*entry = value;
}

/* The neighbours of a 4 KiB page that L1 has mapped too, in one read of its table. */
static void fault_around(u64 *entry02, paddr_t gpa, paddr_t table12, u64 upper_rights)
{
	const unsigned int first = index_at(gpa, 1) & ~(EPT02_FAULT_AROUND - 1u);
	u64 *first02 = entry02 - (index_at(gpa, 1) - first);
	u64 entries12[EPT02_FAULT_AROUND];

	guest_memory_read(table12 + 8 * first, entries12, sizeof(entries12));
	for (unsigned int i = 0; i < EPT02_FAULT_AROUND; i++) {
		const u64 entry = entries12[i];

		if (is_present(first02[i]) || !is_present(entry) || is_misconfigured(entry, 1) ||
		    ept01_is_hidden(entry & EPT_ADDR, PAGE_SIZE))
			continue;
		first02[i] = (entry & EPT_ADDR) | (entry & (EPT_MEMTYPE | EPT_IGNORE_PAT)) |
			     (entry & upper_rights & EPT_RWX);
	}
}

/* Umbra's memory reads as ones, as ept01 has it. */
static enum ept02_result map_ones(struct cpu *cpu, struct ept02_root *root, paddr_t gpa,
				  const struct leaf12 *leaf)
{
	u64 *entry = entry_at(&cpu->nested->ept02, root, gpa, 1);

	if (!entry)
		return EPT02_NO_MEMORY;
	if (cpu->hidden_reads++ == 0)
		log_warn("CPU %u: the guest read Umbra's memory at %#llx", cpu->index,
			 (unsigned long long)leaf->gpa1);
	*entry = ept01_ones() | ept_memtype_bits(MEMTYPE_WB) |
		 (leaf->rights & (EPT_READ | EPT_EXEC));
	return EPT02_MAPPED;
}

enum ept02_result ept02_fault(struct cpu *cpu, u64 eptp12, paddr_t gpa, u64 access, u64 *rights)
{
	struct ept02_root *root = find_root(&cpu->nested->ept02, eptp12);
	struct leaf12 leaf;
	enum ept02_result result = walk12(eptp12, gpa, &leaf);
	unsigned int level = 1;
	u64 *entry;

	*rights = leaf.rights;
	if (result != EPT02_MAPPED)
		return result;
	if (access & EPT_RWX & ~leaf.rights)
		return EPT02_VIOLATION;
	if (!root)
		return EPT02_NO_MEMORY;
	if (ept01_is_hidden(leaf.gpa1 & ~(PAGE_SIZE - 1), PAGE_SIZE))
		return access & EPT_WRITE ? EPT02_HIDDEN_WRITE : map_ones(cpu, root, gpa, &leaf);
	/* The largest page both maps have: ept01 is uniform where it uses a large one. */
	while (level < 3 && level_size(level + 1) <= leaf.size &&
	       level_size(level + 1) <= ept01_page_size(leaf.gpa1))
		level++;
	entry = entry_at(&cpu->nested->ept02, root, gpa, level);
	if (!entry)
		return EPT02_NO_MEMORY;
	set_leaf(&cpu->nested->ept02, root, entry,
		 (leaf.gpa1 & ~(level_size(level) - 1)) | leaf.type | leaf.rights |
			 (level > 1 ? EPT_LARGE : 0),
		 level);
	if (level == 1 && leaf.size == PAGE_SIZE)
		fault_around(entry, gpa, leaf.table, leaf.upper);
	cpu->nested->ept02.faults++;
	return EPT02_MAPPED;
}

void ept02_drop(struct cpu *cpu, u64 eptp12)
{
	for (u32 i = 0; i < EPT02_ROOTS; i++) {
		struct ept02_root *root = &cpu->nested->ept02.root[i];

		/* SDM "INVEPT": the address alone names the context. */
		if (!root->eptp12 || ((root->eptp12 ^ eptp12) & EPTP_ADDR))
			continue;
		/* Its tables are freed: no CPU may walk them any more, and only this one ever did.
		 */
		invept(INVEPT_SINGLE_CONTEXT, eptp_of(root->table));
		drop_root(&cpu->nested->ept02, root);
	}
}

void ept02_drop_all(struct cpu *cpu)
{
	for (u32 i = 0; i < EPT02_ROOTS; i++) {
		if (cpu->nested->ept02.root[i].eptp12)
			ept02_drop(cpu, cpu->nested->ept02.root[i].eptp12);
	}
}
