/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses of every kind, within a page and across two, through own and through hostile tables. */
#include "memory.h"
#include "attack/attack.h"
#include "layout.h"
#include "string.h"

enum { WIDEST = 16, COPY = 64 };

/* value: what was read; all ones where nothing is. */
typedef struct fault access(u8 *p, u64 *value);

#define LOAD(name, insn)                                                    \
	static struct fault name(u8 *p, u64 *value)                         \
	{                                                                   \
		return TRY(insn, : "+a"(*value) : "r"(p) : "memory", "cc"); \
	}
#define STORE(name, insn)                                                \
	static struct fault name(u8 *p, u64 *value)                      \
	{                                                                \
		u64 rax = *value;                                        \
		return TRY(insn, : "+a"(rax) : "r"(p) : "memory", "cc"); \
	}

LOAD(load8, "movb (%1), %%al")
LOAD(load16, "movw (%1), %%ax")
LOAD(load32, "movl (%1), %%eax")
LOAD(load64, "movq (%1), %%rax")
LOAD(load_and, "andq (%1), %%rax")
LOAD(load_push, "pushq (%1)\npopq %%rax")
STORE(store8, "movb %%al, (%1)")
STORE(store16, "movw %%ax, (%1)")
STORE(store32, "movl %%eax, (%1)")
STORE(store64, "movq %%rax, (%1)")
STORE(store_nti, "movnti %%rax, (%1)")
STORE(exchange, "xchgq %%rax, (%1)")
STORE(locked_add, "lock addq %%rax, (%1)")
STORE(locked_bts, "lock btsl $3, (%1)")
STORE(compare8, "lock cmpxchgl %%eax, (%1)")
STORE(store_idt, "sidt (%1)")
STORE(store_gdt, "sgdt (%1)")
STORE(store_task, "str (%1)")

static struct fault compare16(u8 *p, u64 *value)
{
	u64 rax = *value, rdx = 0;

	return TRY("lock cmpxchg16b (%2)",
		   : "+a"(rax), "+d"(rdx)
		   : "r"(p), "b"(1ull), "c"(2ull)
		   : "memory", "cc");
}

static struct fault copy_out(u8 *p, u64 *value)
{
	u8 copy[COPY];
	void *to = copy;
	u64 count = sizeof(copy);
	struct fault f = TRY("rep movsb", : "+S"(p), "+D"(to), "+c"(count) : : "memory");

	(void)value;
	return f;
}

static struct fault fill(u8 *p, u64 *value)
{
	u64 count = COPY / 8;

	return TRY("rep stosq", : "+D"(p), "+c"(count) : "a"(*value) : "memory");
}

static struct fault far_jump(u8 *p, u64 *value)
{
	(void)value;
	/* A selector of all ones is beyond the GDT; so is that of a scratch page's pattern. */
	return TRY("ljmpq *(%0)", : : "r"(p) : "memory");
}

static struct fault flush(u8 *p, u64 *value)
{
	(void)value;
	return TRY("clflush (%0)", : : "r"(p) : "memory");
}

static const struct {
	const char *name;
	access *run;
	u8 reads;  /* bytes that end up in *value */
	u8 writes; /* bytes */
	bool jumps;
} accesses[] = {
	{"load8", load8, 1, 0, false},           {"load16", load16, 2, 0, false},
	{"load32", load32, 4, 0, false},         {"load64", load64, 8, 0, false},
	{"and", load_and, 8, 0, false},          {"push", load_push, 8, 0, false},
	{"movs", copy_out, 0, 0, false},         {"clflush", flush, 0, 0, false},
	{"far jump", far_jump, 0, 0, true},      {"store8", store8, 0, 1, false},
	{"store16", store16, 0, 2, false},       {"store32", store32, 0, 4, false},
	{"store64", store64, 0, 8, false},       {"movnti", store_nti, 0, 8, false},
	{"xchg", exchange, 0, 8, false},         {"lock add", locked_add, 0, 8, false},
	{"lock bts", locked_bts, 0, 4, false},   {"cmpxchg", compare8, 0, 4, false},
	{"cmpxchg16b", compare16, 0, 16, false}, {"stos", fill, 0, COPY, false},
	{"sidt", store_idt, 0, 10, false},       {"sgdt", store_gdt, 0, 10, false},
	{"str", store_task, 0, 2, false},
};

struct place {
	u64 page[2];
	u64 offset;
};

static bool touches_hidden(const struct attacker *a, const struct place *place, unsigned byte)
{
	return attack_hidden(a, place->page[(place->offset + byte) / PAGE_SIZE]);
}

static void check_read(struct attacker *a, const struct place *place, const char *name,
		       unsigned bytes, u64 value)
{
	for (unsigned i = 0; i < bytes; i++)
		if (touches_hidden(a, place, i))
			STEP_CHECK(a, (u8)(value >> 8 * i) == 0xff, "%s at %lx + %lx reads %lx",
				   name, place->page[0], place->offset, value);
}

static void check_write(struct attacker *a, const struct place *place, const char *name,
			unsigned bytes, struct fault f)
{
	bool hidden = false;

	for (unsigned i = 0; i < bytes; i++)
		hidden |= touches_hidden(a, place, i);
	STEP_CHECK(a, !hidden || f.raised, "%s at %lx + %lx: no fault", name, place->page[0],
		   place->offset);
}

static u64 choose_offset(void)
{
	switch (choice_below(4)) {
	case 0:
		return PAGE_SIZE - 1 - choice_below(WIDEST);
	case 1:
		return choice_below(PAGE_SIZE / WIDEST) * WIDEST;
	default:
		return choice_below(PAGE_SIZE);
	}
}

static bool is_rom(u64 page)
{
	return page >= 0xf0000000 && page < 1ull << 32;
}

static void run_access(struct attacker *a, const struct place *place, u8 *p)
{
	const u64 which = choice_below(ARRAY_SIZE(accesses));
	u64 value = choice();
	struct fault f;

	/* A far pointer of all ones leads nowhere; what ROM holds might. */
	memset((void *)a->scratch, accesses[which].jumps ? 0xff : (int)(value & 0xff), PAGE_SIZE);
	if (accesses[which].jumps && (is_rom(place->page[0]) || is_rom(place->page[1])))
		return;
	if (accesses[which].reads)
		value = ~0ull;
	f = accesses[which].run(p + place->offset, &value);
	attack_see_fault(a, accesses[which].name, f);
	if (accesses[which].reads)
		attack_see(a, "value", value);
	if (!f.raised)
		check_read(a, place, accesses[which].name, accesses[which].reads, value);
	check_write(a, place, accesses[which].name, accesses[which].writes, f);
}

static void choose_place(const struct attacker *a, struct place *place)
{
	place->page[0] = attack_target(a);
	place->page[1] = attack_target(a);
	place->offset = choose_offset();
}

void attack_memory(struct attacker *a)
{
	struct place place;

	choose_place(a, &place);
	run_access(a, &place, attack_map(place.page[0], place.page[1], PTE_W));
}

/* Entries with random flags and address bits, and tables that are not this kernel's to read. */
void attack_tables(struct attacker *a)
{
	static const u64 flags[] = {0, 0x800, 0x18, 0x60, 0x100, 0x80};
	const u64 page = attack_target(a);
	const u64 high = one_in(2) ? 0 : 1ull << (32 + choice_below(31));
	u8 *p = attack_map(page, page, CHOICE_OF(flags) | (one_in(2) ? PTE_W : 0) | high);
	u64 *directory = memory_entry((u64)p, 2), old = *directory, value = ~0ull;
	const bool hostile = one_in(2);
	struct fault f;

	if (hostile) {
		/* Whatever is there: the first entries of a page that is no page table. */
		*directory = (page == a->scratch ? a->zeroes : page) | PTE_P | PTE_W;
		invlpg((u64)p);
	}
	f = load64(p, &value);
	attack_see_fault(a, "through tables", f);
	if (!f.raised && !hostile && attack_hidden(a, page))
		STEP_CHECK(a, value == ~0ull, "%lx reads %lx", page | high, value);
	if (!f.raised && hostile)
		STEP_CHECK(a, !attack_hidden(a, page), "walked a table at %lx", page);
	*directory = old;
	/* A store behind a stale translation would hit what the entry said before. */
	invlpg((u64)p);
}

struct user_order {
	u8 *p;
	u64 which;
	u64 value;
};

/* CPL 3; the first exception ends it. */
static void in_user_mode(void *arg)
{
	struct user_order *o = arg;
	u64 rax = o->value, rcx = o->value >> 32;

	switch (o->which) {
	case 0:
		asm volatile("cpuid" : "+a"(rax), "+c"(rcx) : : "rbx", "rdx", "memory");
		break;
	case 1:
		asm volatile("vmcall" : "+a"(rax), "+c"(rcx) : : "rbx", "rdx", "memory", "cc");
		break;
	case 2:
		asm volatile("vmfunc" : : "a"(rax), "c"(rcx) : "memory");
		break;
	case 3:
		asm volatile("rdmsr" : "+a"(rax) : "c"(rcx) : "rdx", "memory");
		break;
	case 4:
		asm volatile("vmxoff" : : : "memory", "cc");
		break;
	case 5:
		asm volatile("invd" : : : "memory");
		break;
	case 6:
		o->value = *(volatile u64 *)o->p;
		break;
	case 7:
		*(volatile u64 *)o->p = o->value;
		break;
	default:
		asm volatile("vmptrst (%0)" : : "r"(o->p) : "memory", "cc");
		break;
	}
}

/* An unprivileged program: there is one stack for it. */
void attack_user(struct attacker *a)
{
	enum { ORDERS = 9, READ = 6, WRITE = 7 };
	const u64 page = attack_target(a);
	struct user_order o = {attack_map(page, page, PTE_W | PTE_U), choice_below(ORDERS),
			       choice()};
	const u64 which = o.which;
	struct fault f;

	if (!a->alone)
		return;
	o.p += choose_offset() & ~7ull;
	f = user_call(in_user_mode, &o, 0);
	/* What CPUID says is not alike, that it says something is. */
	attack_see_fault(a, "user", f);
	if (attack_hidden(a, page) && which == READ && !f.raised)
		STEP_CHECK(a, o.value == ~0ull, "CPL 3 reads %lx", o.value);
	if (attack_hidden(a, page) && which == WRITE)
		STEP_CHECK(a, f.raised, "CPL 3 writes to %lx", page);
}
