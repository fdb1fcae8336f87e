/* SPDX-License-Identifier: BSD-2-Clause */
/* L1's EPT: a walk as the CPU would do it. SDM "EPT Translation Mechanism". */
#include "nested/ept12.h"

#include "mm/guest_memory.h"
#include "nested/state.h"

/* SDM "EPT Misconfigurations". */
bool ept12_is_misconfigured(u64 entry, unsigned int level)
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
	if (level > 1 && (entry & (ept_level_size(level) - 1) & EPT_ADDR))
		return true;
	return type == 2 || type == 3 || type == 7;
}

enum ept12_result ept12_walk(u64 eptp12, paddr_t gpa, struct ept12_walk *out)
{
	paddr_t table = eptp12 & EPTP_ADDR;

	*out = (struct ept12_walk){.rights = EPT_RWX, .level = EPT_LEVELS};
	/* Four levels reach no further. */
	if (gpa >> EPT_MAX_WIDTH) {
		out->rights = 0;
		return EPT12_ABSENT;
	}
	for (;; out->level--) {
		const unsigned int level = out->level;
		const paddr_t at = table + 8 * ept_index(gpa, level);
		u64 entry;

		guest_memory_read(at, &entry, sizeof(entry));
		out->at[level] = at;
		out->entry[level] = entry;
		if (!ept_is_present(entry)) {
			out->rights = 0;
			return EPT12_ABSENT;
		}
		if (ept12_is_misconfigured(entry, level))
			return EPT12_MISCONFIGURED;
		out->upper = out->rights;
		out->rights &= entry;
		if (ept_is_leaf(entry, level)) {
			out->size = ept_level_size(level);
			out->gpa1 = (entry & EPT_ADDR & ~(out->size - 1)) | (gpa & (out->size - 1));
			return EPT12_PRESENT;
		}
		table = entry & EPT_ADDR;
	}
}

/* SDM "Accessed and Dirty Flags for EPT": what the entry of this level must have. */
static u64 flags_for(const struct ept12_walk *walk, unsigned int level, bool write)
{
	return EPT_ACCESSED | (write && level == walk->level ? (u64)EPT_DIRTY : 0);
}

bool ept12_needs_flags(const struct ept12_walk *walk, bool write)
{
	for (unsigned int level = EPT_LEVELS; level >= walk->level; level--) {
		if (flags_for(walk, level, write) & ~walk->entry[level])
			return true;
	}
	return false;
}

bool ept12_set_flags(struct ept12_walk *walk, bool write)
{
	for (unsigned int level = EPT_LEVELS; level >= walk->level; level--) {
		const u64 old = walk->entry[level];
		const u64 new = old | flags_for(walk, level, write);

		if (new == old)
			continue;
		if (!guest_memory_exchange(walk->at[level], old, new, sizeof(new)))
			return false;
		walk->entry[level] = new;
	}
	return true;
}
