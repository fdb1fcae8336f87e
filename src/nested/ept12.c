/* SPDX-License-Identifier: BSD-2-Clause */
/* L1's EPT: a walk as the CPU would do it. SDM "EPT Translation Mechanism". */
#include "nested/ept12.h"

#include "mm/guest_memory.h"
#include "nested/state.h"

/* What the CPU's capabilities make of entries. */
struct entry_rules {
	u64 address_reserved;
	u32 rights_reserved; /* bit n: rights n cannot be */
	bool large[EPT_LEVELS + 1];
};

static inline struct entry_rules entry_rules(void)
{
	const u32 no_execute_only = nested_caps.ept_vpid & EPT_CAP_EXEC_ONLY ? 0 : BIT(EPT_EXEC);

	return (struct entry_rules){
		.address_reserved = BITS(51, nested_caps.maxphyaddr),
		.rights_reserved =
			(u32)(BIT(EPT_WRITE) | BIT(EPT_WRITE | EPT_EXEC)) | no_execute_only,
		.large = {[2] = nested_caps.ept_vpid & EPT_CAP_2M,
			  [3] = nested_caps.ept_vpid & EPT_CAP_1G},
	};
}

/* SDM "EPT Misconfigurations". */
__attribute__((always_inline)) static inline bool is_misconfigured(const struct entry_rules *rules,
								   u64 entry, unsigned int level)
{
	const u32 types_reserved = 1 << 2 | 1 << 3 | 1 << 7;

	if ((rules->rights_reserved >> (entry & EPT_RWX) & 1) || (entry & rules->address_reserved))
		return true;
	if (level == EPT_LEVELS)
		return entry & BITS(7, 3);
	if (!ept_is_leaf(entry, level))
		return entry & BITS(6, 3);
	if (level > 1 && (!rules->large[level] || (entry & (ept_level_size(level) - 1) & EPT_ADDR)))
		return true;
	return types_reserved >> ((entry & EPT_MEMTYPE) >> EPT_MEMTYPE_SHIFT) & 1;
}

enum ept12_result ept12_walk(u64 eptp12, paddr_t gpa, struct ept12_walk *out)
{
	const struct entry_rules rules = entry_rules();
	paddr_t table = eptp12 & EPTP_ADDR;
	u64 rights = EPT_RWX;

	out->rights = 0;
	out->level = EPT_LEVELS;
	out->entry[EPT_LEVELS] = 0;
	/* Four levels reach no further. */
	if (gpa >> EPT_MAX_WIDTH)
		return EPT12_ABSENT;
		/* Unrolled, the checks of each level are few. */
#pragma clang loop unroll(full)
	for (unsigned int level = EPT_LEVELS; level > 0; level--) {
		const paddr_t at = table + 8 * ept_index(gpa, level);
		const u64 entry = guest_memory_read_word(at);

		out->level = level;
		out->at[level] = at;
		out->entry[level] = entry;
		if (!ept_is_present(entry))
			return EPT12_ABSENT;
		if (is_misconfigured(&rules, entry, level))
			return EPT12_MISCONFIGURED;
		rights &= entry;
		if (ept_is_leaf(entry, level)) {
			out->rights = rights;
			out->size = ept_level_size(level);
			out->gpa1 = (entry & EPT_ADDR & ~(out->size - 1)) | (gpa & (out->size - 1));
			return EPT12_PRESENT;
		}
		table = entry & EPT_ADDR;
	}
	__builtin_unreachable();
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
