/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/ept.h"

#include "mm/layout.h"
#include "mm/pages.h"

/* Kept in bits that the processor ignores, in absent entries and in leaves respectively. */
enum ept_soft : u64 {
	EPT_SOFT_HIDDEN = BIT(52), /* absent on purpose: never to be filled */
	EPT_SOFT_PINNED = BIT(53), /* set by ept_set_4k: the memory type is not the MTRRs' */
};

static u64 entry_load(const u64 *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

/* Release: what a new table holds must be visible before the entry that points at it. */
static void entry_store(u64 *slot, u64 entry)
{
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}

static u64 *table_of(u64 entry)
{
	return phys_to_virt(entry & EPT_ADDR);
}

static u64 rights(const struct ept *ept)
{
	return EPT_RWX & ~ept->withheld;
}

static u64 table_entry(const struct ept *ept, const u64 *table)
{
	return virt_to_phys(table) | rights(ept);
}

/* Whether the processor has pages of this level, which is above 1. */
static bool has_large_pages(const struct ept *ept, unsigned int level)
{
	switch (level) {
	case 2:
		return ept->has_2m;
	case 3:
		/* A 1 GiB page splits into 2 MiB ones, so it is of use with these only. */
		return ept->has_1g && ept->has_2m;
	default:
		return false;
	}
}

static u64 leaf_entry(const struct ept *ept, paddr_t pa, unsigned int level, enum memtype type)
{
	return pa | rights(ept) | ept_memtype_bits(type) | (level > 1 ? EPT_LARGE : 0);
}

/*
 * The entry that maps [start, start + ept_level_size(level)) identically, with all the tables
 * below it; 0 if there is no memory for these and the block is too large for a page. A block that
 * could be a page becomes one when memory is short: a strict type is slow but right.
 */
static u64 build_identity(struct ept *ept, paddr_t start, unsigned int level)
{
	u64 size = ept_level_size(level);
	enum memtype type = MEMTYPE_UC;
	bool leaf = level == 1 || has_large_pages(ept, level);

	if (leaf) {
		bool uniform;
		type = mtrr_type_of_range(ept->mtrrs, start, size, &uniform);
		if (uniform || level == 1)
			return leaf_entry(ept, start, level, type);
	}

	u64 *table = pages_alloc_kept();
	u64 child_size = ept_level_size(level - 1);
	if (!table)
		return leaf ? leaf_entry(ept, start, level, type) : 0;
	for (unsigned int i = 0; i < EPT_ENTRIES; i++) {
		table[i] = build_identity(ept, start + i * child_size, level - 1);
		if (!table[i])
			return 0;
	}
	return table_entry(ept, table);
}

/* The same mapping in the next smaller page size. `slot` holds a page of `level` > 1. */
static bool split(const struct ept *ept, u64 *slot, unsigned int level)
{
	u64 entry = entry_load(slot);
	u64 *table = pages_alloc_kept();

	if (!table)
		return false;
	if (level == 2)
		entry &= ~(u64)EPT_LARGE;
	for (unsigned int i = 0; i < EPT_ENTRIES; i++)
		table[i] = entry + i * ept_level_size(level - 1);
	entry_store(slot, table_entry(ept, table));
	return true;
}

/*
 * The slot of `gpa` at `level`, making the tables on the way: pages are split, what was not filled
 * yet is filled, and below a hidden entry everything stays hidden. NULL: no memory.
 */
static u64 *slot_at(struct ept *ept, paddr_t gpa, unsigned int level)
{
	u64 *table = ept->root;

	for (unsigned int l = EPT_LEVELS;; l--) {
		u64 *slot = &table[ept_index(gpa, l)];
		if (l == level)
			return slot;

		u64 entry = entry_load(slot);
		if (!ept_is_present(entry)) {
			if (l == 3 && !(entry & EPT_SOFT_HIDDEN)) {
				entry = build_identity(ept, ALIGN_DOWN(gpa, GIB), l);
				if (!entry)
					return NULL;
				entry_store(slot, entry);
			} else {
				u64 *below = pages_alloc_kept();
				if (!below)
					return NULL;
				for (unsigned int i = 0; i < EPT_ENTRIES; i++)
					below[i] = entry & EPT_SOFT_HIDDEN;
				entry_store(slot, table_entry(ept, below));
			}
		}
		if (ept_is_leaf(entry_load(slot), l) && !split(ept, slot, l))
			return NULL;
		table = table_of(entry_load(slot));
	}
}

bool ept_map_identity(struct ept *ept, unsigned int width, paddr_t top_of_ram)
{
	u64 eager;

	ept->limit = BIT(width < EPT_MAX_WIDTH ? width : EPT_MAX_WIDTH);
	ept->root = pages_alloc_kept();
	if (!ept->root)
		return false;

	if (has_large_pages(ept, 3) || (ept->has_2m && width <= 39))
		eager = ept->limit;
	else
		eager = ALIGN_UP(top_of_ram < 4 * GIB ? 4 * GIB : top_of_ram, GIB);
	if (eager > ept->limit)
		eager = ept->limit;

	for (paddr_t gpa = 0; gpa < eager; gpa += GIB) {
		if (!ept_fill(ept, gpa))
			return false;
	}
	return true;
}

u64 ept_eptp(const struct ept *ept)
{
	return virt_to_phys(ept->root) | EPTP_WALK_4 | MEMTYPE_WB;
}

static bool hide_below(struct ept *ept, u64 *table, unsigned int level, paddr_t base, paddr_t start,
		       paddr_t end)
{
	u64 size = ept_level_size(level);
	paddr_t first = start > base ? start : base;

	for (unsigned int i = (unsigned int)((first - base) / size); i < EPT_ENTRIES; i++) {
		paddr_t block = base + i * size;
		if (block >= end)
			break;
		u64 entry = entry_load(&table[i]);
		if (!ept_is_present(entry) && (entry & EPT_SOFT_HIDDEN))
			continue;
		bool has_table = ept_is_present(entry) && !ept_is_leaf(entry, level);
		if (!has_table && start <= block && end - block >= size) {
			entry_store(&table[i], EPT_SOFT_HIDDEN);
			continue;
		}
		/* An empty or split entry of this level has a table after slot_at. */
		u64 *below = slot_at(ept, block, level - 1);
		if (!below || !hide_below(ept, below, level - 1, block, start, end))
			return false;
	}
	return true;
}

bool ept_hide(struct ept *ept, paddr_t start, u64 size)
{
	paddr_t end = size > ept->limit || start > ept->limit - size ? ept->limit : start + size;

	start = ALIGN_DOWN(start, PAGE_SIZE);
	end = ALIGN_UP(end, PAGE_SIZE);
	return size == 0 || start >= end || hide_below(ept, ept->root, EPT_LEVELS, 0, start, end);
}

bool ept_set_4k(struct ept *ept, paddr_t gpa, paddr_t hpa, u64 perm, enum memtype type)
{
	if (gpa >= ept->limit)
		return false;

	u64 *slot = slot_at(ept, gpa, 1);
	if (!slot)
		return false;
	perm &= EPT_RWX;
	if (perm)
		entry_store(slot, ALIGN_DOWN(hpa, PAGE_SIZE) | perm | ept_memtype_bits(type) |
					  EPT_SOFT_PINNED);
	else
		entry_store(slot, EPT_SOFT_HIDDEN);
	return true;
}

bool ept_fill(struct ept *ept, paddr_t gpa)
{
	struct ept_walk found;

	if (gpa >= ept->limit)
		return false;
	if (ept_walk(ept, gpa, &found))
		return true;
	if (found.hidden)
		return false;

	u64 *slot = slot_at(ept, gpa, 3);
	if (!slot)
		return false;
	u64 entry = build_identity(ept, ALIGN_DOWN(gpa, GIB), 3);
	if (entry)
		entry_store(slot, entry);
	return entry;
}

/* Types below `table`, which maps from `base`. With `known` they are all `type`. */
static void update_below(struct ept *ept, u64 *table, unsigned int level, paddr_t base, bool known,
			 enum memtype type)
{
	u64 size = ept_level_size(level);

	for (unsigned int i = 0; i < EPT_ENTRIES; i++) {
		paddr_t block = base + i * size;
		u64 entry = entry_load(&table[i]);
		bool uniform = true;

		if (!ept_is_present(entry) || (entry & EPT_SOFT_PINNED))
			continue;
		if (!known)
			type = mtrr_type_of_range(ept->mtrrs, block, size, &uniform);
		if (!ept_is_leaf(entry, level)) {
			update_below(ept, table_of(entry), level - 1, block, uniform, type);
			continue;
		}
		/* A leaf that is not pinned is as leaf_entry() made it: identity, all rights. */
		u64 wanted = uniform || level == 1 ? leaf_entry(ept, block, level, type)
						   : build_identity(ept, block, level);
		if (wanted != entry)
			entry_store(&table[i], wanted);
	}
}

void ept_update_types(struct ept *ept)
{
	update_below(ept, ept->root, EPT_LEVELS, 0, false, MEMTYPE_UC);
}

bool ept_walk(const struct ept *ept, paddr_t gpa, struct ept_walk *out)
{
	const u64 *table = ept->root;
	u64 perm = EPT_RWX;

	*out = (struct ept_walk){.level = EPT_LEVELS, .size = ept_level_size(EPT_LEVELS)};
	if (gpa >= ept->limit)
		return false;

	for (unsigned int level = EPT_LEVELS;; level--) {
		u64 entry = entry_load(&table[ept_index(gpa, level)]);
		out->entry = entry;
		out->level = (u8)level;
		out->size = ept_level_size(level);
		if (!ept_is_present(entry)) {
			out->hidden = entry & EPT_SOFT_HIDDEN;
			return false;
		}
		perm &= entry;
		if (ept_is_leaf(entry, level)) {
			out->perm = (u8)perm;
			out->type = ept_entry_memtype(entry);
			out->pa = (entry & EPT_ADDR & ~(out->size - 1)) | (gpa & (out->size - 1));
			return true;
		}
		table = table_of(entry);
	}
}
