/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SDM "EPT Translation Mechanism" and "EPT Violations" with "mode-based execute control for EPT";
 * "Exit Qualification for EPT Violations" with advanced information.
 */
#include "exits.h"
#include "layout.h"
#include "memory.h"
#include "string.h"
#include "vmx/eptmap.h"
#include "vmx/modes.h"

L2_CODE(mb_read, "mov (%rbx), %rax");
L2_CODE(mb_write, "movq %rax, (%rbx)");
L2_CODE(mb_call, "call *%rbx");
L2_CODE_MODE(32, mb_call32, "call *%ebx");

static const u64 GPA = 1ull << 33;
enum { DATA_AT = 0x340, CODE_AT = 0x800 };

struct setup {
	struct l2 *l2;
	u64 page; /* what GPA is mapped to, and is mapped at WINDOW_BASE */
};

static bool begin(struct run *t, struct setup *s)
{
	s->l2 = l2_begin(t);
	if (!s->l2)
		return false;
	if (!l2_ept(s->l2) || !l2_enable(CTL_CPU2, CPU2_MBEC)) {
		run_skip(t, "no mode-based execute control");
		return false;
	}
	s->page = (u64)vmx_pages(1);
	memcpy((void *)(s->page + CODE_AT), "\x0f\x01\xc1", 3); /* VMCALL */
	return true;
}

static void end(void)
{
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
}

/* A linear address is a user-mode one if all entries on its way have the flag. */
static void map_window(u64 flags)
{
	memory_map(WINDOW_BASE, GPA, PAGE_SIZE, PAGE_SIZE, PTE_P | flags);
}

static void run_at(struct l2 *l2, const u8 *code, u64 address, bool user)
{
	if (user)
		l2_goto_user(l2, code);
	else
		l2_goto(l2, code);
	l2->regs.rbx = address;
	l2_run(l2);
}

#define EXITED_BY(t, l2, reason_, what, rights)                                               \
	CHECK(t, (l2)->exit.reason == (reason_), "%s with rights %lx: exit %x, not %x", what, \
	      (u64)(rights), (l2)->exit.reason, (u32)(reason_))

/*
 * Bit 6, too, which is said of any access: Bochs has it of fetches alone, and takes bit 13 for
 * another right of the others, so of those only what is told without this control is looked at.
 */
static void check_violation(struct run *t, int line, struct l2 *l2, u64 access, u64 rights,
			    unsigned offset)
{
	u64 seen = BITS(5, 0) | EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED;
	u64 wanted = access | (rights & EPT_RWX) << 3 | EPT_VIOLATION_LINEAR_VALID |
		     EPT_VIOLATION_TRANSLATED;

	if (access == EPT_VIOLATION_FETCH) {
		seen |= EPT_VIOLATION_WAS_USER_EXECUTABLE;
		wanted |= rights & EPT_USER_EXEC ? (u64)EPT_VIOLATION_WAS_USER_EXECUTABLE : 0;
	}
	check_equal(t, line, "qualification", l2->exit.qualification & seen, wanted);
	check_equal(t, line, "guest-physical address", l2->exit.physical, GPA + offset);
	check_equal(t, line, "guest-linear address", l2->exit.linear, WINDOW_BASE + offset);
}

/* An access that L2 makes: by which code, with which CPL; and the right it takes. */
struct kind {
	const char *what;
	const u8 *code;
	u64 access, needed;
	bool user;
};

static void check_access(struct run *t, struct setup *s, const struct kind *kind, u64 rights)
{
	const unsigned offset = kind->access == EPT_VIOLATION_FETCH ? CODE_AT : DATA_AT;

	run_at(s->l2, kind->code, WINDOW_BASE + offset, kind->user);
	if (rights & kind->needed) {
		EXITED_BY(t, s->l2, REASON_VMCALL, kind->what, rights);
		return;
	}
	EXITED_BY(t, s->l2, REASON_EPT_VIOLATION, kind->what, rights);
	if (s->l2->exit.reason == REASON_EPT_VIOLATION)
		check_violation(t, __LINE__, s->l2, kind->access, rights, offset);
}

/* What GPA's translation allows together, from every kind of linear address. */
static void check_rights(struct run *t, struct setup *s, u64 rights)
{
	const struct kind supervisors[] = {
		{"read", mb_read, EPT_VIOLATION_READ, EPT_READ, false},
		{"write", mb_write, EPT_VIOLATION_WRITE, EPT_WRITE, false},
		{"supervisor fetch", mb_call, EPT_VIOLATION_FETCH, EPT_EXEC, false},
	};
	/* The address counts, not who fetches. */
	const struct kind users[] = {
		{"user fetch at CPL 0", mb_call, EPT_VIOLATION_FETCH, EPT_USER_EXEC, false},
		{"user fetch at CPL 3", mb_call, EPT_VIOLATION_FETCH, EPT_USER_EXEC, true},
		{"user read", mb_read, EPT_VIOLATION_READ, EPT_READ, true},
	};

	map_window(PTE_W);
	for (unsigned i = 0; i < ARRAY_SIZE(supervisors); i++)
		check_access(t, s, &supervisors[i], rights);
	map_window(PTE_W | PTE_U);
	for (unsigned i = 0; i < ARRAY_SIZE(users); i++)
		check_access(t, s, &users[i], rights);
}

static u64 rights_of(unsigned n)
{
	return (n & (unsigned)EPT_RWX) | (n & 8 ? (u64)EPT_USER_EXEC : 0);
}

static bool is_misconfigured(u64 rights)
{
	return !(rights & EPT_READ) &&
	       ((rights & EPT_WRITE) || (rights && !(vmx_ept_vpid_cap() & EPT_CAP_EXEC_ONLY)));
}

PROBE_CASE(mbec_rights, "vmx.mbec.rights", CASE_EACH_CPU)
{
	struct setup s;

	if (!begin(t, &s))
		return;
	for (unsigned n = 0; n < 16; n++) {
		const u64 rights = rights_of(n);

		ept_map_page(s.l2->ept, GPA, s.page, rights);
		if (!is_misconfigured(rights)) {
			check_rights(t, &s, rights);
			continue;
		}
		map_window(PTE_W);
		run_at(s.l2, mb_read, WINDOW_BASE + DATA_AT, false);
		EXITED_BY(t, s.l2, REASON_EPT_MISCONFIG, "read", rights);
		CHECK_EQ(t, s.l2->exit.physical, GPA + DATA_AT);
	}
	end();
}

/* "The logical AND … in the entries used": each right taken away above the page, one at a time. */
PROBE_CASE(mbec_levels, "vmx.mbec.levels", CASE_EACH_CPU)
{
	static const u64 masks[] = {EPT_USER_EXEC, EPT_EXEC, EPT_EXEC | EPT_USER_EXEC};
	const u64 all = EPT_RWX | EPT_USER_EXEC;
	struct setup s;

	if (!begin(t, &s))
		return;
	/* The entry of level 4 is that of the calling code, too. */
	for (unsigned level = 2; level < EPT_LEVELS; level++) {
		ept_map_page(s.l2->ept, GPA, s.page, all);
		u64 *slot = ept_slot(s.l2->ept, GPA, level), old = *slot;

		for (unsigned i = 0; i < ARRAY_SIZE(masks); i++) {
			*slot = old & ~masks[i];
			ept_flush(s.l2->ept);
			check_rights(t, &s, all & ~masks[i]);
		}
		/* With this control an entry of that right alone is present. */
		*slot = (old & ~all) | EPT_USER_EXEC;
		ept_flush(s.l2->ept);
		if (vmx_ept_vpid_cap() & EPT_CAP_EXEC_ONLY)
			check_rights(t, &s, EPT_USER_EXEC);
		*slot = old;
		ept_flush(s.l2->ept);
	}
	end();
}

/* Fetches from user and supervisor addresses in a large page with these rights. */
static void check_large(struct run *t, struct setup *s, unsigned level, u64 rights)
{
	const u64 size = ept_level_size(level), offset = s->page & (size - 1);

	*ept_slot(s->l2->ept, GPA, level) =
		ALIGN_DOWN(s->page, size) | EPT_LARGE | rights | ept_memtype_bits(MEMTYPE_WB);
	ept_flush(s->l2->ept);
	for (unsigned user = 0; user < 2; user++) {
		const u64 needed = user ? (u64)EPT_USER_EXEC : (u64)EPT_EXEC;

		memory_map(WINDOW_BASE, GPA + offset, PAGE_SIZE, PAGE_SIZE,
			   PTE_P | PTE_W | (user ? PTE_U : 0));
		run_at(s->l2, mb_call, WINDOW_BASE + CODE_AT, user);
		EXITED_BY(t, s->l2, rights & needed ? REASON_VMCALL : REASON_EPT_VIOLATION,
			  user ? "user fetch" : "supervisor fetch", rights);
	}
}

PROBE_CASE(mbec_large, "vmx.mbec.large_pages", CASE_EACH_CPU)
{
	struct setup s;

	if (!begin(t, &s))
		return;
	for (unsigned level = 2; level <= 3; level++) {
		if (!(vmx_ept_vpid_cap() & (level == 2 ? EPT_CAP_2M : EPT_CAP_1G)))
			continue;
		for (unsigned n = 1; n < 16; n++) {
			if (!is_misconfigured(rights_of(n)))
				check_large(t, &s, level, rights_of(n));
		}
		*ept_slot(s.l2->ept, GPA, level) = 0;
		ept_flush(s.l2->ept);
	}
	end();
}

/* Fetches from supervisor and user addresses of a page with one right; `allowed` by bit 0 and 1. */
static void check_fetches(struct run *t, struct setup *s, u64 right, unsigned allowed,
			  const char *what)
{
	ept_map_page(s->l2->ept, GPA, s->page, EPT_READ | right);
	for (unsigned user = 0; user < 2; user++) {
		map_window(PTE_W | (user ? PTE_U : 0));
		run_at(s->l2, mb_call, WINDOW_BASE + CODE_AT, user);
		EXITED_BY(t, s->l2, allowed >> user & 1 ? REASON_VMCALL : REASON_EPT_VIOLATION,
			  what, user);
	}
}

/* One map, the control on and off: "If that control is 0, this bit is ignored." */
PROBE_CASE(mbec_switch, "vmx.mbec.on_and_off", CASE_EACH_CPU)
{
	struct setup s;

	if (!begin(t, &s))
		return;
	for (unsigned i = 0; i < 4; i++) {
		const bool on = i % 2 == 0;

		if (on)
			l2_enable(CTL_CPU2, CPU2_MBEC);
		else
			l2_disable(CTL_CPU2, CPU2_MBEC);
		check_fetches(t, &s, EPT_USER_EXEC, on ? 2 : 0,
			      on ? "fetch with bit 10, control on" : "and off");
		check_fetches(t, &s, EPT_EXEC, on ? 1 : 3,
			      on ? "fetch with bit 2, control on" : "and off");
		/* Present with the control, absent without: then nothing else of it counts. */
		if (!(vmx_ept_vpid_cap() & EPT_CAP_EXEC_ONLY))
			continue;
		*ept_slot(s.l2->ept, GPA, 1) = s.page | EPT_USER_EXEC | 7 << EPT_MEMTYPE_SHIFT;
		ept_flush(s.l2->ept);
		run_at(s.l2, mb_call, WINDOW_BASE + CODE_AT, true);
		EXITED_BY(t, s.l2, on ? REASON_EPT_MISCONFIG : REASON_EPT_VIOLATION,
			  on ? "malformed entry of bit 10, control on" : "and off", 0);
	}
	end();
}

/* After the hypervisor has granted the right, L2 goes on where it was. */
PROBE_CASE(mbec_resume, "vmx.mbec.fault_and_resume", CASE_EACH_CPU)
{
	struct setup s;

	if (!begin(t, &s))
		return;
	for (unsigned user = 0; user < 2; user++) {
		const u64 right = user ? EPT_USER_EXEC : EPT_EXEC;
		const u64 other = user ? EPT_EXEC : EPT_USER_EXEC;

		map_window(PTE_W | (user ? PTE_U : 0));
		ept_map_page(s.l2->ept, GPA, s.page, 0);
		run_at(s.l2, mb_call, WINDOW_BASE + CODE_AT, user);
		CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
		ept_map_page(s.l2->ept, GPA, s.page, EPT_READ | other);
		l2_run(s.l2);
		CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
		ept_map_page(s.l2->ept, GPA, s.page, EPT_READ | right);
		l2_run(s.l2);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		CHECK_EQ(t, s.l2->exit.rip, WINDOW_BASE + CODE_AT);
		/* A hypervisor that lets a page be written or executed, and never both. */
		ept_map_page(s.l2->ept, GPA, s.page, EPT_READ | EPT_WRITE);
		run_at(s.l2, mb_write, WINDOW_BASE + DATA_AT, user);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		run_at(s.l2, mb_call, WINDOW_BASE + CODE_AT, user);
		CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
	}
	end();
}

/* Reads of L2's paging structures are data reads, whatever may be executed there. */
PROBE_CASE(mbec_walk, "vmx.mbec.page_walk", CASE_EACH_CPU)
{
	const u64 at = WINDOW_BASE + CODE_AT;
	struct setup s;
	u64 table;

	if (!begin(t, &s))
		return;
	ept_map_page(s.l2->ept, GPA, s.page, EPT_RWX);
	map_window(PTE_W);
	*memory_entry(WINDOW_BASE, 1) |= BIT(5) | BIT(6);
	table = ALIGN_DOWN((u64)memory_entry(WINDOW_BASE, 1), PAGE_SIZE);
	ept_map_page(s.l2->ept, table, table, EPT_READ);
	run_at(s.l2, mb_call, at, false);
	CHECK_EXIT(t, s.l2, REASON_VMCALL);
	if (vmx_ept_vpid_cap() & EPT_CAP_EXEC_ONLY) {
		ept_map_page(s.l2->ept, table, table, EPT_EXEC | EPT_USER_EXEC);
		run_at(s.l2, mb_call, at, false);
		CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
		CHECK_EQ(t,
			 s.l2->exit.qualification & (BITS(5, 0) | EPT_VIOLATION_LINEAR_VALID |
						     EPT_VIOLATION_TRANSLATED),
			 EPT_VIOLATION_READ | EPT_VIOLATION_WAS_EXECUTABLE |
				 EPT_VIOLATION_LINEAR_VALID);
		CHECK_EQ(t, s.l2->exit.physical, (u64)memory_entry(WINDOW_BASE, 1));
		CHECK_EQ(t, s.l2->exit.linear, at);
	}
	end();
}

/* A fetch that is not allowed sets no flag; the one that is sets the accessed flag alone. */
PROBE_CASE(mbec_ad, "vmx.mbec.accessed_dirty", CASE_EACH_CPU)
{
	const u64 flags = EPT_ACCESSED | EPT_DIRTY;
	struct setup s;
	u64 *leaf;

	if (!begin(t, &s))
		return;
	SKIP_UNLESS(t, vmx_ept_vpid_cap() & EPT_CAP_AD, "no A/D flags");
	vmwrite(VMCS_EPT_POINTER, ept_pointer(s.l2->ept) | EPTP_AD);
	leaf = ept_slot(s.l2->ept, GPA, 1);
	for (unsigned user = 0; user < 2; user++) {
		const u64 right = user ? EPT_USER_EXEC : EPT_EXEC;

		map_window(PTE_W | (user ? PTE_U : 0));
		ept_map_page(s.l2->ept, GPA, s.page, (EPT_RWX | EPT_USER_EXEC) & ~right);
		run_at(s.l2, mb_call, WINDOW_BASE + CODE_AT, user);
		CHECK_EXIT(t, s.l2, REASON_EPT_VIOLATION);
		CHECK_EQ(t, *leaf & flags, 0);
		ept_map_page(s.l2->ept, GPA, s.page, EPT_READ | right);
		run_at(s.l2, mb_call, WINDOW_BASE + CODE_AT, user);
		CHECK_EXIT(t, s.l2, REASON_VMCALL);
		CHECK_EQ(t, *leaf & flags, EPT_ACCESSED);
	}
	end();
}

/* "If CR0.PG = 0, … every linear address is a user-mode address." */
PROBE_CASE(mbec_no_paging, "vmx.mbec.no_paging", CASE_EACH_CPU)
{
	enum { LOW = 0xfff00000 }; /* above what has RAM, and a 32-bit address */
	struct setup s;

	if (!begin(t, &s))
		return;
	SKIP_UNLESS(t, l2_unrestricted(s.l2), "no unrestricted guest");
	for (unsigned n = 0; n < 4; n++) {
		const u64 rights = EPT_READ | (n & 1 ? EPT_EXEC : 0) | (n & 2 ? EPT_USER_EXEC : 0);

		ept_map_page(s.l2->ept, LOW, s.page, rights);
		l2_goto_protected(s.l2, mb_call32);
		s.l2->regs.rbx = LOW + CODE_AT;
		l2_run(s.l2);
		EXITED_BY(t, s.l2, rights & EPT_USER_EXEC ? REASON_VMCALL : REASON_EPT_VIOLATION,
			  "fetch", rights);
	}
}

/*
 * Bits 11:9, with or without this control: whether the linear address is a user-mode one, can be
 * written, and cannot be executed, by L2's paging.
 */
PROBE_CASE(ept_advanced, "vmx.ept.advanced_information", CASE_EACH_CPU)
{
	static const struct {
		const u8 *code;
		unsigned offset;
	} accesses[] = {{mb_read, DATA_AT}, {mb_write, DATA_AT}, {mb_call, CODE_AT}};
	const u64 bits =
		EPT_VIOLATION_USER | EPT_VIOLATION_LINEAR_WRITABLE | EPT_VIOLATION_LINEAR_NX;
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED_EPT(t, l2);
	SKIP_UNLESS(t, vmx_ept_vpid_cap() & EPT_CAP_ADV_VIOLATION, "no advanced information");
	L2_NEED(t, CTL_ENTRY, ENTRY_LOAD_EFER);
	L2_NEED(t, CTL_EXIT, EXIT_LOAD_EFER);
	vmwrite(VMCS_GUEST_EFER, rdmsr(MSR_IA32_EFER) | EFER_NXE);
	ept_map_page(l2->ept, GPA, 0, 0);
	for (unsigned control = 0; control < 2; control++) {
		if (control && !l2_enable(CTL_CPU2, CPU2_MBEC))
			break;
		for (unsigned n = 0; n < 8; n++) {
			const u64 flags = (n & 1 ? (u64)PTE_U : 0) | (n & 2 ? (u64)PTE_W : 0) |
					  (n & 4 ? (u64)PTE_NX : 0);
			const u64 wanted = (n & 1 ? (u64)EPT_VIOLATION_USER : 0) |
					   (n & 2 ? (u64)EPT_VIOLATION_LINEAR_WRITABLE : 0) |
					   (n & 4 ? (u64)EPT_VIOLATION_LINEAR_NX : 0);

			map_window(flags);
			for (unsigned i = 0; i < ARRAY_SIZE(accesses); i++) {
				/* These are page faults. */
				if ((i == 1 && !(n & 2)) || (i == 2 && (n & 4)))
					continue;
				run_at(l2, accesses[i].code, WINDOW_BASE + accesses[i].offset,
				       false);
				CHECK_EXIT(t, l2, REASON_EPT_VIOLATION);
				CHECK_EQ(t, l2->exit.qualification & bits, wanted);
			}
		}
	}
	end();
}
