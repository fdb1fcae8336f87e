/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L1's side: 16 pages of ept12 tables in which everything points anywhere, four and more EPTPs,
 * changes with INVEPT and without. The hardware's side: a CPU that walks ept02, from its root or
 * from any table that it remembers, and that remembers translations until an INVEPT.
 *
 * What must hold: the CPU never uses a translation that ept12 does not have, nor one to a page that
 * ept01 hides; and an access that both allow succeeds.
 */
#include "ept02_model.h"

#include <string.h>

#include <x86/ept.h>

#include "mm/ept01.h"
#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "nested/loan.h"
#include "nested/state.h"

struct nested_caps nested_caps;

enum {
	TABLE_PAGES = 16,
	FIRST_TABLE = 4,
	EPTPS = 10, /* more than Umbra keeps roots for */
	REMEMBERED = 64,
	RECENT = 12,
	PASTS = 6,
};

static const paddr_t tables_start = FIRST_TABLE * PAGE_SIZE;

/* A translation of one 4 KiB page, by ept12 or ept02. */
struct translation {
	enum {
		PRESENT,
		NOT_PRESENT,
		MISCONFIGURED,
	} kind;
	u64 rights;
	paddr_t pa; /* of the 4 KiB page */
	u64 type;   /* memory type and ignore-PAT bits */
	u64 size;
	bool accessed; /* flags: of all levels … */
	bool dirty;    /* … and of the page */
};

/* What the CPU may have cached: of a table (level 3 … 1), or of a page (level 0). */
struct remembered {
	u64 eptp02; /* 0: nothing */
	paddr_t gpa;
	unsigned int level;
	paddr_t table;
	struct translation translation;
};

/* Searches of the model's own: nothing that should guide a fuzzer, and slow if it does. */
#define NO_COVERAGE __attribute__((no_sanitize("coverage")))

static struct rng *rng;
static struct vcpu *vcpu;
static struct nested nested;
static struct remembered cache[REMEMBERED];
static unsigned int next_remembered;

static paddr_t recent_gpa[RECENT];
static u64 eptp12[EPTPS]; /* with EPT12_MODE_BASED, as nested/ept12.h names them */

/*
 * ept12 as it was before each change that L1 has not followed by INVEPT for all EPTPs. What any of
 * those since the last INVEPT for an EPTP had, the CPU may still use.
 */
static u8 past[PASTS][TABLE_PAGES * PAGE_SIZE];
static unsigned int past_count;
static unsigned int past_since[EPTPS];
static const u8 *reading; /* one of these, or NULL for the present */

/* --- ept12 and ept02 as the SDM has them ------------------------------------------------------ */

static u64 below(u64 limit)
{
	return rng_below(rng, limit);
}

static unsigned int shift_of(unsigned int level)
{
	return 12 + 9 * (level - 1);
}

/*
 * Two controls go with an EPTP: supervisor shadow-stack control is bit 7 of it, "mode-based execute
 * control for EPT" bit 11 of how nested/ept12.h names an ept12. vmcs02 has it where vmcs12 does.
 */
static bool mode_based(u64 eptp)
{
	return eptp >> 11 & 1;
}

static bool shadow_stacks(u64 eptp)
{
	return eptp >> 7 & 1;
}

/* SDM "EPT Translation Mechanism": what makes an entry present, and what it may allow. */
static u64 all_rights(u64 eptp)
{
	return mode_based(eptp) ? 0x407 : 7;
}

/* To read and write as a supervisor shadow stack; and by which rights a page may be written. */
static const u64 SSS = 1ull << 60, WRITES = 1ull << 60 | 2;

/* SDM "EPT Violations": which of these an access needs. */
static u64 needed(u64 access, u64 eptp)
{
	const bool user = access >> 9 & 1, shadow_stack = access >> 13 & 1;

	if (shadow_stacks(eptp) && shadow_stack && !user)
		return SSS;
	if ((access & 4) && mode_based(eptp) && user)
		return (access & 3) | 0x400;
	return access & 7;
}

/* SDM "EPT Misconfigurations". */
static bool misconfigured(u64 e, unsigned int level, u64 cap, u64 eptp)
{
	const bool page = level == 1 || (level < 4 && (e >> 7 & 1));
	const u64 type = e >> 3 & 7;
	u64 reserved = BITS(51, MACHINE_MAXPHYADDR);

	if (!(e & 1) && (e & 2))
		return true;
	if (!(e & 1) && (e & 4) && !(cap & EPT_CAP_EXEC_ONLY))
		return true;
	if (!(e & 1) && mode_based(eptp) && (e >> 10 & 1) && !(cap & EPT_CAP_EXEC_ONLY))
		return true;
	if (level == 4)
		reserved |= BITS(7, 3);
	else if (!page)
		reserved |= BITS(6, 3);
	else if (level > 1)
		reserved |= BITS(shift_of(level) - 1, 12);
	if (level == 3 && page && !(cap & EPT_CAP_1G))
		return true;
	if (level == 2 && page && !(cap & EPT_CAP_2M))
		return true;
	if (e & reserved)
		return true;
	return page && (type == 2 || type == 3 || type == 7);
}

/* A walk from `table` of `level`, with entries read by `read`, and with the controls of `eptp`. */
static struct translation walk(paddr_t table, unsigned int level, paddr_t gpa, u64 cap, u64 eptp,
			       u64 (*read)(paddr_t entry))
{
	struct translation t = {.kind = PRESENT, .rights = all_rights(eptp), .accessed = true};

	for (;; level--) {
		const u64 e = read(table + (gpa >> shift_of(level) & 511) * 8);

		if (!(e & all_rights(eptp))) {
			t.kind = NOT_PRESENT;
			t.rights = 0;
			return t;
		}
		if (misconfigured(e, level, cap, eptp)) {
			t.kind = MISCONFIGURED;
			return t;
		}
		const u64 above = t.rights;

		t.rights &= e;
		t.accessed &= e >> 8 & 1;
		t.dirty = e >> 9 & 1;
		if (level == 1 || (level < 4 && (e >> 7 & 1))) {
			t.size = 1ull << shift_of(level);
			/* Readable by all, writable by all but this, and marked. */
			if (shadow_stacks(eptp) && (above & 3) == 3 && (e & 1))
				t.rights |= e & SSS;
			t.pa = (e & BITS(51, 12) & ~(t.size - 1)) |
			       (gpa & (t.size - 1) & ~(u64)0xfff);
			t.type = e & BITS(6, 3);
			return t;
		}
		table = e & BITS(51, 12);
	}
}

static u64 read_guest(paddr_t entry)
{
	u64 value;

	guest_memory_read(entry, &value, sizeof(value));
	if (reading && entry - tables_start < sizeof(past[0]) && !ept01_is_hidden(entry, 8))
		memcpy(&value, reading + (entry - tables_start), sizeof(value));
	return value;
}

static u64 read_own(paddr_t entry)
{
	return *(const u64 *)phys_to_virt(entry);
}

static struct translation walk12(u64 eptp, paddr_t gpa)
{
	if (gpa >> 48)
		return (struct translation){.kind = NOT_PRESENT};
	return walk(eptp & BITS(51, 12), 4, gpa, nested_caps.ept_vpid, eptp, read_guest);
}

/* --- The CPU ---------------------------------------------------------------------------------- */

NO_COVERAGE static void on_invept(enum invept_type type, u64 eptp)
{
	/* SDM "INVEPT": bits 51:12 name the context. */
	for (unsigned int i = 0; i < REMEMBERED; i++) {
		if (type == INVEPT_ALL_CONTEXT || !((cache[i].eptp02 ^ eptp) & BITS(51, 12)))
			cache[i].eptp02 = 0;
	}
}

static void remember(struct remembered what)
{
	cache[next_remembered++ % REMEMBERED] = what;
}

/* SDM "Information That May Be Cached": tables on the way, and the translation. */
static void remember_walk(u64 eptp02, paddr_t gpa, u64 eptp, const struct translation *t)
{
	paddr_t table = eptp02 & BITS(51, 12);

	for (unsigned int level = 4; level > 1; level--) {
		const u64 e = read_own(table + (gpa >> shift_of(level) & 511) * 8);

		if (!(e & all_rights(eptp)) || (level < 4 && (e >> 7 & 1)))
			break;
		table = e & BITS(51, 12);
		remember((struct remembered){eptp02, gpa, level - 1, table, {0}});
	}
	if (t->kind == PRESENT)
		remember((struct remembered){eptp02, gpa, 0, 0, *t});
}

/* What the CPU uses for an access: something remembered, or a walk. */
NO_COVERAGE static struct translation hardware_translation(u64 eptp02, paddr_t gpa, u64 eptp)
{
	const unsigned int start = (unsigned int)below(REMEMBERED);
	struct translation t;

	for (unsigned int n = 0; n < REMEMBERED; n++) {
		const struct remembered *r = &cache[(start + n) % REMEMBERED];
		const unsigned int shift = r->level ? shift_of(r->level + 1) : 12;

		if (r->eptp02 != eptp02 || r->gpa >> shift != gpa >> shift)
			continue;
		if (r->level == 0)
			return r->translation;
		return walk(r->table, r->level, gpa, ~0ull, eptp, read_own);
	}
	t = walk(eptp02 & BITS(51, 12), 4, gpa, ~0ull, eptp, read_own);
	remember_walk(eptp02, gpa, eptp, &t);
	return t;
}

/* SDM: an EPT violation invalidates what was cached for that address. */
NO_COVERAGE static void forget_address(u64 eptp02, paddr_t gpa)
{
	for (unsigned int i = 0; i < REMEMBERED; i++) {
		const unsigned int shift = cache[i].level ? shift_of(cache[i].level + 1) : 12;

		if (cache[i].eptp02 == eptp02 && cache[i].gpa >> shift == gpa >> shift)
			cache[i].eptp02 = 0;
	}
}

NO_COVERAGE static bool hidden(paddr_t pa, u64 size)
{
	for (size_t i = 0; i < MACHINE_HOLES; i++) {
		const struct hole *hole = &machine_memory.holes[i];

		if (hole->size && pa < hole->start + hole->size && hole->start < pa + size)
			return true;
	}
	return false;
}

static bool shows_ones(const struct translation *t)
{
	return t->pa == ept01_ones() && t->size == PAGE_SIZE && !(t->rights & WRITES) &&
	       t->type == ept_memtype_bits(MEMTYPE_WB);
}

/* A translation that the CPU may use for L2. */
static void check_translation(unsigned int root, paddr_t gpa, const struct translation *t02)
{
	bool allowed = false;

	REQUIRE(t02->kind != MISCONFIGURED);
	if (t02->kind != PRESENT || !t02->rights)
		return;
	REQUIRE(t02->pa >> MACHINE_MAXPHYADDR == 0);
	/* What ept01 hides reads as ones; the page of ones cannot be written. */
	REQUIRE(!hidden(t02->pa, PAGE_SIZE) || shows_ones(t02));
	for (unsigned int i = past_since[root]; i <= past_count; i++) {
		struct translation t12;

		reading = i < past_count ? past[i] : NULL;
		t12 = walk12(eptp12[root], gpa);
		if (t12.kind != PRESENT || (t02->rights & ~t12.rights))
			continue;
		/* SDM "Accessed and Dirty Flags for EPT": no access passes by them. */
		if ((eptp12[root] & EPTP_AD) &&
		    (!t12.accessed || (!t12.dirty && (t02->rights & WRITES))))
			continue;
		if (shows_ones(t02))
			allowed |= hidden(t12.pa, PAGE_SIZE);
		else
			allowed |=
				t02->pa == t12.pa && t02->type == t12.type && t02->size <= t12.size;
	}
	reading = NULL;
	REQUIRE(allowed);
}

static bool valid_root(u64 eptp02, u64 eptp)
{
	return eptp02 >> MACHINE_MAXPHYADDR == 0 && (eptp02 & 0x3f) == 0x1e &&
	       (eptp02 & 0xf80) == (eptp & 0x80) && hidden(eptp02 & BITS(51, 12), PAGE_SIZE);
}

/*
 * Of an access that ept12 allows: exactly those flags that it has to set. That of a supervisor
 * shadow stack counts as a write, for the right to read one is a right to write it.
 */
static void check_flags(const struct ept02_fault *fault, enum ept02_result result,
			const struct translation *before)
{
	const struct translation after = walk12(fault->eptp12, fault->gpa);
	const bool write = needed(fault->access, fault->eptp12) & WRITES;
	const bool sets =
		(fault->eptp12 & EPTP_AD) && (!before->accessed || (write && !before->dirty));

	if (result == EPT02_AGAIN || (result == EPT02_NO_MEMORY && sets && !after.accessed))
		return;
	REQUIRE((result == EPT02_LOG_FULL) == (sets && fault->log_full));
	if (!sets || result == EPT02_LOG_FULL) {
		REQUIRE(after.accessed == before->accessed && after.dirty == before->dirty);
		REQUIRE(!fault->dirtied);
		return;
	}
	REQUIRE(after.accessed);
	REQUIRE(after.dirty == (before->dirty || write));
	REQUIRE(fault->dirtied == (write && !before->dirty));
}

static void check_fault(const struct ept02_fault *fault, enum ept02_result result,
			const struct translation *before)
{
	const struct translation t12 = *before;
	const u64 access = fault->access;

	if (t12.kind == MISCONFIGURED) {
		REQUIRE(result == EPT02_MISCONFIG);
	} else if (t12.kind == NOT_PRESENT || (needed(access, fault->eptp12) & ~t12.rights)) {
		REQUIRE(result == EPT02_VIOLATION);
		REQUIRE(fault->rights == t12.rights);
		REQUIRE(!fault->dirtied);
	} else if (result == EPT02_AGAIN || result == EPT02_LOG_FULL) {
		REQUIRE(fault->eptp12 & EPTP_AD);
		check_flags(fault, result, before);
	} else if (hidden(t12.pa, PAGE_SIZE) && (needed(access, fault->eptp12) & WRITES)) {
		REQUIRE(result == EPT02_HIDDEN_WRITE || result == EPT02_NO_MEMORY);
		check_flags(fault, result, before);
	} else {
		REQUIRE(result == EPT02_MAPPED || result == EPT02_NO_MEMORY);
		check_flags(fault, result, before);
	}
}

/* An entry after a violation that L1 has handled. It must not set flags: nothing was accessed. */
static void prefault(unsigned int root, paddr_t gpa)
{
	const struct translation before = walk12(eptp12[root], gpa);
	struct translation after;

	forget_address(ept02_eptp(vcpu, eptp12[root]), gpa);
	ept02_prefault(vcpu, eptp12[root], gpa);
	after = walk12(eptp12[root], gpa);
	REQUIRE(after.accessed == before.accessed && after.dirty == before.dirty);
}

/* L2 makes an access; Umbra does what its exit handler does. */
static void step_access(unsigned int root, paddr_t gpa)
{
	static const u64 accesses[] = {EPT_VIOLATION_READ, EPT_VIOLATION_WRITE, EPT_VIOLATION_FETCH,
				       EPT_VIOLATION_READ | EPT_VIOLATION_WRITE};
	const u64 access =
		accesses[below(ARRAY_SIZE(accesses))] | (below(2) ? (u64)EPT_VIOLATION_USER : 0);
	u64 eptp02 = ept02_eptp(vcpu, eptp12[root]);

	if (below(4) == 0)
		prefault(root, gpa);
	for (unsigned int tries = 0;; tries++) {
		const struct translation t02 =
			gpa >> 48 ? (struct translation){.kind = NOT_PRESENT}
				  : hardware_translation(eptp02, gpa, eptp12[root]);
		struct ept02_fault fault = {.eptp12 = eptp12[root],
					    .gpa = gpa,
					    .access = access | EPT_VIOLATION_LINEAR_VALID,
					    .log_full = below(16) == 0};
		const struct translation before = walk12(eptp12[root], gpa);
		enum ept02_result result;

		REQUIRE(valid_root(eptp02, eptp12[root]));
		check_translation(root, gpa, &t02);
		if (t02.kind == PRESENT && !(needed(access, eptp12[root]) & ~t02.rights))
			return;
		forget_address(eptp02, gpa);
		result = ept02_fault(vcpu, &fault);
		check_fault(&fault, result, &before);
		if (result == EPT02_NO_MEMORY) {
			/* Once, and never with a root that has just been made. */
			REQUIRE(tries < 2);
			ept02_start_over(vcpu);
			eptp02 = ept02_eptp(vcpu, eptp12[root]);
		} else if (result != EPT02_MAPPED && result != EPT02_AGAIN) {
			return;
		}
		REQUIRE(tries < 4);
	}
}

/* Few indexes, so that walks meet; around 16, so that fault-around has edges. */
static u64 random_index(void)
{
	static const u16 indexes[] = {0, 1, 2, 15, 16, 17, 31, 511};

	return indexes[below(ARRAY_SIZE(indexes))];
}

/* One root takes all memory there is. */
static void step_spread(void)
{
	const unsigned int root = (unsigned int)below(EPTPS);

	for (unsigned int i = 0; i < 60; i++) {
		paddr_t gpa = 0;

		for (unsigned int level = 1; level <= 4; level++)
			gpa |= random_index() << shift_of(level);
		step_access(root, gpa);
	}
}

/* --- L1 --------------------------------------------------------------------------------------- */

static paddr_t table_page(void)
{
	return (FIRST_TABLE + below(TABLE_PAGES)) * PAGE_SIZE;
}

static paddr_t random_gpa(void)
{
	paddr_t gpa = below(8) * 512;

	/* Often one of the last: that is what caches are for. */
	if (below(4))
		return recent_gpa[below(RECENT)];

	for (unsigned int level = 1; level <= 4; level++)
		gpa |= random_index() << shift_of(level);
	if (below(64) == 0)
		gpa |= 1ull << (48 + below(4));
	recent_gpa[below(RECENT)] = gpa;
	return gpa;
}

/* Where a page may lead: memory, its end, a hole and next to it, anywhere. */
static paddr_t random_target(unsigned int level)
{
	const u64 size = 1ull << shift_of(level);
	const struct hole *hole = &machine_memory.holes[below(MACHINE_HOLES)];

	switch (below(6)) {
	case 0:
		return ALIGN_DOWN(hole->start, size);
	case 1:
		return ALIGN_DOWN(hole->start + below(hole->size / PAGE_SIZE + 1) * PAGE_SIZE,
				  size);
	case 2:
		return ALIGN_DOWN(hole->start - PAGE_SIZE, size) & BITS(MACHINE_MAXPHYADDR - 1, 0);
	case 3:
		return ALIGN_DOWN(rng_next(rng) & BITS(MACHINE_MAXPHYADDR - 1, 12), size);
	default:
		return ALIGN_DOWN(below(64) * PAGE_SIZE, size);
	}
}

static u64 random_entry(unsigned int level)
{
	static const u8 types[] = {0, 1, 4, 5, 6, 6, 6, 6, 0, 1, 4, 5, 6, 2, 3, 7};
	u64 e;

	if (below(8) == 0)
		return below(2) ? 0 : rng_next(rng) & ~7ull;
	if (level > 1 && (level == 4 || below(3)))
		e = table_page();
	else
		e = random_target(level) | (level > 1 ? EPT_LARGE : 0) |
		    (u64)types[below(ARRAY_SIZE(types))] << 3 | below(2) << 6;
	e |= below(3) ? EPT_RWX : below(8);
	/* Ignored bits, and now and then one that is not. */
	e |= below(4) << 8 | below(2) << 52 | below(2) << 10 | below(2) << 60;
	if (below(16) == 0)
		e ^= 1ull << below(64);
	return e;
}

static void write_entry(paddr_t at, u64 value)
{
	guest_memory_write(at, &value, sizeof(value));
}

/* Without INVEPT: only what was not present may become so. */
static void step_add(void)
{
	const paddr_t at = table_page() + random_index() * 8;
	const u64 e = random_entry((unsigned int)(1 + below(4)));

	if (!(read_guest(at) & (all_rights(0) | EPT_USER_EXEC)))
		write_entry(at, e);
}

static void invept_l1(unsigned int root)
{
	ept02_drop(vcpu, eptp12[root]);
	for (unsigned int i = 0; i < EPTPS; i++) {
		if (!((eptp12[i] ^ eptp12[root]) & BITS(51, 12)))
			past_since[i] = past_count;
	}
}

static void invept_all_l1(void)
{
	ept02_drop_all(vcpu);
	past_count = 0;
	memset(past_since, 0, sizeof(past_since));
}

static void step_change(void)
{
	if (past_count == PASTS)
		invept_all_l1();
	memcpy(past[past_count++], machine_memory.guest + tables_start, sizeof(past[0]));
	for (u64 n = 1 + below(4); n; n--)
		write_entry(table_page() + random_index() * 8,
			    random_entry((unsigned int)(1 + below(4))));
	if (below(4) == 0)
		invept_all_l1();
	else
		invept_l1((unsigned int)below(EPTPS));
}

/* How often the table is in the list of those that go with the root. */
NO_COVERAGE static unsigned int listed(const struct ept02_root *root, paddr_t table)
{
	unsigned int times = 0;

	for (const struct ept02_tables *list = root->tables; list; list = list->before) {
		for (u64 i = 0; i < list->count; i++)
			times += virt_to_phys(list->table[i]) == table;
	}
	return times;
}

/* Every entry of every ept02 at once, whoever asked for it. */
NO_COVERAGE static void check_table(const struct ept02_root *kept, unsigned int root, paddr_t table,
				    unsigned int level, paddr_t gpa)
{
	REQUIRE(listed(kept, table) == 1);
	for (u64 i = 0; i < 512; i++) {
		const paddr_t at = gpa | i << shift_of(level);
		const u64 e = read_own(table + i * 8);
		struct translation t;

		if (!(e & all_rights(eptp12[root])))
			continue;
		REQUIRE(!misconfigured(e, level, ~0ull, eptp12[root]));
		if (level > 1 && !(e >> 7 & 1)) {
			check_table(kept, root, e & BITS(51, 12), level - 1, at);
			continue;
		}
		t = walk(table, level, at, ~0ull, eptp12[root], read_own);
		/* All of a large page, not only what was asked for. */
		REQUIRE(!hidden(t.pa, t.size) || shows_ones(&t));
		check_translation(root, at, &t);
		check_translation(root, at + t.size - PAGE_SIZE,
				  &(struct translation){t.kind, t.rights, t.pa + t.size - PAGE_SIZE,
							t.type, t.size, t.accessed, t.dirty});
	}
}

static u64 lent_out(void)
{
	return nested.ept02.loan == LOAN_HELD ? 0 : LOAN_PAGES;
}

static void check_all(void)
{
	u64 pages = 0;

	for (unsigned int i = 0; i < EPT02_ROOTS; i++) {
		const struct ept02_root *kept = &nested.ept02.root[i];

		REQUIRE(!kept->eptp12 == !kept->tables);
		if (!kept->eptp12)
			continue;
		for (const struct ept02_tables *list = kept->tables; list; list = list->before)
			pages += 1 + list->count;
		for (unsigned int root = 0; root < EPTPS; root++) {
			if (eptp12[root] == kept->eptp12)
				check_table(kept, root, virt_to_phys(kept->table), 4, 0);
		}
	}
	/* All pages are some root's, in the reserve, to be lent, or free. */
	REQUIRE(pages + nested.ept02.reserved + lent_out() + pages_left() ==
		machine_memory.own_size / PAGE_SIZE);
}

/* --- All together ----------------------------------------------------------------------------- */

static void start(const struct ept02_model_options *options)
{
	static struct vcpu the_cpu;
	static const struct hole holes[MACHINE_HOLES] = {
		{0},
		{0x5000000, 3 * PAGE_SIZE},                    /* inside a 2 MiB page */
		{15 * PAGE_SIZE, PAGE_SIZE},                   /* over a table of ept12's */
		{(1ull << MACHINE_MAXPHYADDR) - 2 * MIB, MIB}, /* at the top */
	};

	memcpy(machine_memory.holes + 1, holes + 1, sizeof(holes) - sizeof(holes[0]));
	machine_memory.ept01_largest_page = options->largest_page;
	the_cpu = (struct vcpu){.nested = &nested};
	nested = (struct nested){0};
	memset(cache, 0, sizeof(cache));
	past_count = 0;
	memset(past_since, 0, sizeof(past_since));
	memset(recent_gpa, 0, sizeof(recent_gpa));
	vcpu = &the_cpu;
	nested_caps.maxphyaddr = MACHINE_MAXPHYADDR;
	nested_caps.ept_vpid = options->ept_vpid;
	ept12_init();
	machine_on_invept = on_invept;
	loan_init();
	ept02_init(vcpu);
	REQUIRE(nested.ept02.reserved == EPT02_RESERVE);
	for (unsigned int i = 0; i < EPTPS; i++)
		eptp12[i] = (FIRST_TABLE + i) * PAGE_SIZE | EPTP_WALK_4 | 6;
	/* The same tables under another EPTP. */
	eptp12[EPTPS - 1] = (eptp12[0] & ~7ull) | 0;
	/* And with flags, these and others. */
	if (options->ept_vpid & EPT_CAP_AD) {
		eptp12[EPTPS - 2] = eptp12[0] | EPTP_AD;
		eptp12[1] |= EPTP_AD;
		eptp12[3] |= EPTP_AD;
	}
	/* And with two rights to execute, some of which L1 uses both ways. */
	if (options->mode_based) {
		eptp12[EPTPS - 3] = eptp12[0] | EPT12_MODE_BASED;
		eptp12[EPTPS - 4] = eptp12[1] | EPT12_MODE_BASED;
		eptp12[2] |= EPT12_MODE_BASED;
		eptp12[3] |= EPT12_MODE_BASED;
	}
	/* And with shadow stacks, alone and beside each of the others. */
	if (options->ept_vpid & EPT_CAP_SHADOW_STACK) {
		eptp12[4] = eptp12[0] | EPTP_SHADOW_STACK;
		eptp12[5] |= EPTP_SHADOW_STACK;
		eptp12[3] |= EPTP_SHADOW_STACK;
		eptp12[1] |= EPTP_SHADOW_STACK;
	}
	for (unsigned int i = 0; i < 120; i++)
		write_entry(table_page() + random_index() * 8,
			    random_entry((unsigned int)(1 + below(4))));
}

void ept02_model_run(const struct ept02_model_options *options, struct rng *random)
{
	const u64 total = machine_memory.own_size / PAGE_SIZE;

	struct rng own = {.state = options->seed};

	/* A fuzzer's input is too short to fill tables. */
	rng = &own;
	machine_memory_reset();
	start(options);
	rng = random;
	machine_limit_pages(options->pages);
	for (unsigned int i = 0; i < options->steps && (!rng->data || rng->left); i++) {
		const u64 what = below(32);

		if (what < 24 && below(64) == 0)
			ept02_end_loan(vcpu);
		else if (what < 24)
			step_access((unsigned int)below(EPTPS), random_gpa());
		else if (what < 28)
			step_add();
		else if (what < 30)
			step_change();
		else if (what < 31)
			check_all();
		else if (below(4) == 0)
			step_spread();
		else
			machine_limit_pages(below(8) * 4);
	}
	check_all();
	ept02_end_loan(vcpu);
	invept_all_l1();
	REQUIRE(pages_left() + nested.ept02.reserved + LOAN_PAGES == total);
	REQUIRE(nested.ept02.reserved == EPT02_RESERVE);
	machine_on_invept = NULL;
}

/* --- Several CPUs, and nothing left but what each is sure of and the loan --------------------- */

enum { CPUS = 3 };

static struct vcpu short_cpu[CPUS];
static struct nested short_nested[CPUS];
static const u64 short_eptp = FIRST_TABLE * PAGE_SIZE | EPTP_WALK_4 | 6;

void ept02_model_run_short(void)
{
	nested_caps.maxphyaddr = MACHINE_MAXPHYADDR;
	nested_caps.ept_vpid = 0;
	ept12_init();
	machine_on_invept = NULL;
	machine_memory_init(EPT02_MODEL_GUEST_PAGES, EPT02_MODEL_OWN_PAGES);
	loan_init();
	for (unsigned int i = 0; i < CPUS; i++) {
		short_nested[i] = (struct nested){0};
		short_cpu[i] = (struct vcpu){.nested = &short_nested[i]};
		ept02_init(&short_cpu[i]);
	}
	machine_limit_pages(0);
	/* One way through ept12 that every 512 GiB share. */
	for (unsigned int i = 0; i < EPT_ENTRIES; i++)
		write_entry(tables_start + i * 8, (tables_start + PAGE_SIZE) | EPT_RWX);
	for (unsigned int level = 3; level > 1; level--)
		write_entry(tables_start + (4 - level) * PAGE_SIZE,
			    (tables_start + (5 - level) * PAGE_SIZE) | EPT_RWX);
	write_entry(tables_start + 3 * PAGE_SIZE, (FIRST_TABLE + 8) * PAGE_SIZE | EPT_RWX | 6 << 3);
	for (unsigned int i = 0; i < CPUS; i++)
		ept02_eptp(&short_cpu[i], short_eptp);
}

bool ept02_model_instruction(unsigned int cpu, unsigned int pages)
{
	for (unsigned int i = 0; i < pages; i++) {
		struct ept02_fault fault = {
			.eptp12 = short_eptp, .gpa = (u64)i << 39, .access = EPT_VIOLATION_READ};

		switch (ept02_fault(&short_cpu[cpu], &fault)) {
		case EPT02_MAPPED:
			break;
		case EPT02_NO_MEMORY:
			ept02_start_over(&short_cpu[cpu]);
			REQUIRE(valid_root(ept02_eptp(&short_cpu[cpu], short_eptp), short_eptp));
			return false;
		default:
			MACHINE_FAIL("ept12 allows it");
		}
	}
	return true;
}

enum ept02_loan ept02_model_loan(unsigned int cpu)
{
	return short_nested[cpu].ept02.loan;
}

void ept02_model_leave(unsigned int cpu)
{
	ept02_end_loan(&short_cpu[cpu]);
	ept02_eptp(&short_cpu[cpu], short_eptp);
	REQUIRE(short_nested[cpu].ept02.reserved < EPT02_RESERVE);
}
