/* SPDX-License-Identifier: BSD-2-Clause */
/* L1's EPT: a walk as the CPU would do it. SDM "EPT Translation Mechanism". */
#include "nested/ept12.h"

#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "nested/state.h"

/* What the CPU's capabilities and the name of an ept12 make of its entries. */
struct entry_rules {
	u64 rights;                        /* any of these makes an entry present */
	u64 needs_read;                    /* rights that are none without EPT_READ */
	u64 shadow_stack;                  /* the bit of a page, or 0 */
	u64 table_reserved;                /* in an entry that leads to a table … */
	u64 page_reserved[EPT_LEVELS + 1]; /* … and in one that maps a page, by level */
};

/* By mode-based execute control, and above it shadow-stack control; boot-time constants. */
static struct entry_rules entry_rules[4];

void ept12_init(void)
{
	const u64 caps = nested_caps.ept_vpid, address = BITS(51, nested_caps.maxphyaddr);

	for (unsigned int i = 0; i < 4; i++) {
		const u64 rights = EPT_RWX | (i & 1 ? (u64)EPT_USER_EXEC : 0);

		entry_rules[i] = (struct entry_rules){
			.rights = rights,
			.needs_read =
				caps & EPT_CAP_EXEC_ONLY ? (u64)EPT_WRITE : rights & ~(u64)EPT_READ,
			.shadow_stack = i & 2 ? (u64)EPT_SHADOW_STACK : 0,
			.table_reserved = address | BITS(6, 3),
			.page_reserved =
				{
					[1] = address,
					[2] = caps & EPT_CAP_2M ? address | BITS(20, 12) : ~0ull,
					[3] = caps & EPT_CAP_1G ? address | BITS(29, 12) : ~0ull,
					[4] = ~0ull,
				},
		};
	}
}

static inline const struct entry_rules *rules_of(u64 eptp12)
{
	const struct entry_rules *rules = entry_rules;

	if (__builtin_expect(eptp12 & EPT12_MORE_RIGHTS, 0))
		rules += (eptp12 & EPT12_MODE_BASED ? 1 : 0) + (eptp12 & EPTP_SHADOW_STACK ? 2 : 0);
	/* One register, where compilers like to compute the address of each rule. */
	asm("" : "+r"(rules));
	return rules;
}

/* SDM "EPT Misconfigurations", the rules that do not concern the rights. */
__attribute__((always_inline)) static inline bool has_reserved(const struct entry_rules *rules,
							       u64 entry, unsigned int level)
{
	const u32 types_reserved = 1 << 2 | 1 << 3 | 1 << 7;

	if (!ept_is_leaf(entry, level))
		return entry & rules->table_reserved;
	return (entry & rules->page_reserved[level]) ||
	       (types_reserved >> ((entry & EPT_MEMTYPE) >> EPT_MEMTYPE_SHIFT) & 1);
}

/* Whether the last walk's entries above level 1 are those of this one. */
static inline bool is_same_way(const struct ept12_walk *walk, u64 eptp12, paddr_t gpa)
{
	u64 difference = (walk->eptp12 ^ eptp12) | ((walk->gpa ^ gpa) & ~(ept_level_size(2) - 1));

	if (!walk->upper || difference)
		return false;
	for (unsigned int level = EPT_LEVELS; level > 1; level--)
		difference |=
			walk->entry[level] ^ *(const volatile u64 *)phys_to_virt(walk->at[level]);
	return !difference;
}

/* The way to a table of 4 KiB pages, for is_same_way() to read in place. */
static void remember(struct ept12_walk *walk, u64 eptp12, paddr_t gpa, u64 rights)
{
	walk->upper = rights;
	walk->eptp12 = eptp12;
	walk->gpa = gpa;
	for (unsigned int level = EPT_LEVELS; level > 1; level--) {
		if (!guest_memory_is_mapped(walk->at[level], sizeof(u64)))
			walk->upper = 0;
	}
}

/*
 * SDM "EPT Violations": a supervisor shadow-stack access needs to read by all entries, to write by
 * all but the page's, and the bit in that one. Then it may do both.
 */
static inline u64 shadow_stack_right(const struct entry_rules *rules, u64 above, u64 page)
{
	const u64 both = EPT_READ | EPT_WRITE;

	if (__builtin_expect(!(page & rules->shadow_stack), 1))
		return 0;
	return (above & both) == both && (page & EPT_READ) ? (u64)EPT_SHADOW_STACK : 0;
}

/* One level of a walk. Nothing is decided yet if it returns false: the walk goes on in `table`. */
__attribute__((always_inline)) static inline bool
walk_level(const struct entry_rules *rules, unsigned int level, paddr_t gpa, paddr_t *table,
	   u64 *rights, struct ept12_walk *walk, enum ept12_result *result)
{
	const paddr_t at = *table + 8 * ept_index(gpa, level);
	const u64 entry = guest_memory_read_word(at);

	walk->level = level;
	walk->at[level] = at;
	walk->entry[level] = entry;
	if (__builtin_expect(!(entry & EPT_READ), 0)) {
		*result = entry & rules->rights ? EPT12_MISCONFIGURED : EPT12_ABSENT;
		if (!(entry & rules->rights) || (entry & rules->needs_read))
			return true;
	}
	*result = EPT12_MISCONFIGURED;
	if (has_reserved(rules, entry, level))
		return true;
	const u64 above = *rights;

	*rights &= entry;
	*table = entry & EPT_ADDR;
	if (!ept_is_leaf(entry, level))
		return false;
	*result = EPT12_PRESENT;
	walk->rights = *rights | shadow_stack_right(rules, above, entry);
	walk->gpa1 = (entry & EPT_ADDR & ~(ept_level_size(level) - 1)) |
		     (gpa & (ept_level_size(level) - 1));
	return true;
}

enum ept12_result ept12_walk(u64 eptp12, paddr_t gpa, struct ept12_walk *walk)
{
	const struct entry_rules *rules = rules_of(eptp12);
	paddr_t table = eptp12 & EPTP_ADDR;
	u64 rights = rules->rights;
	enum ept12_result result;

	walk->rights = 0;
	if (is_same_way(walk, eptp12, gpa)) {
		rights = walk->upper;
		table = walk->entry[2] & EPT_ADDR;
	} else {
		walk->upper = 0;
		walk->level = EPT_LEVELS;
		walk->entry[EPT_LEVELS] = 0;
		/* Four levels reach no further. */
		if (gpa >> EPT_MAX_WIDTH)
			return EPT12_ABSENT;
			/* Unrolled, the checks of each level are few. */
#pragma clang loop unroll(full)
		for (unsigned int level = EPT_LEVELS; level > 1; level--) {
			if (walk_level(rules, level, gpa, &table, &rights, walk, &result))
				return result;
		}
		remember(walk, eptp12, gpa, rights);
	}
	walk_level(rules, 1, gpa, &table, &rights, walk, &result);
	return result;
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
