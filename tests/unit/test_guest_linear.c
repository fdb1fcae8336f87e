/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory by linear addresses: what becomes of the guest's registers, of faults, and of a
 * translation that is remembered. SDM "Paging"; the walk itself has tests of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/cr.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "machine.h"
#include "mm/guest_memory.h"
#include "vmx/event.h"
#include "vmx/guest_level.h"
#include "vmx/guest_linear.h"
#include "vmx/vmcs.h"

enum {
	PRESENT = 1,
	WRITABLE = 2,
	USER = 4,
	ACCESSED = 0x20,
	DIRTY = 0x40,
	LARGE = 0x80,
	ALL = PRESENT | WRITABLE | USER,
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	PT = 0x4000,
	/* Two pages in a row whose memory is not, and one of the supervisor's. */
	FIRST = 0x400000,
	SECOND = FIRST + 0x1000,
	SYSTEM = FIRST + 0x2000,
	FIRST_AT = 0x9000,
	SECOND_AT = 0x7000,
	SYSTEM_AT = 0xb000,
	OTHER_AT = 0xd000,
	KEY = 3,
};

static struct vcpu *vcpu;
static bool l1_takes_it;
static u64 cr2, cr4;
static u32 pkru, redelivered, pkru_reads;
static struct guest_fault injected;

/* L2 runs: which hooks there are is nobody's concern here. */
static const struct guest_level level;

u64 read_cr2(void)
{
	return cr2;
}

void write_cr2(u64 value)
{
	cr2 = value;
}

u64 read_cr4(void)
{
	return cr4;
}

void write_cr4(u64 value)
{
	cr4 = value;
}

u32 rdpkru(void)
{
	/* #UD otherwise. */
	assert_true(cr4 & CR4_PKE);
	pkru_reads++;
	return pkru;
}

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	switch (leaf) {
	case 1:
		return (struct cpuid){.edx = CPUID_1_EDX_PSE36};
	case 0x80000000:
		return (struct cpuid){.eax = 0x80000008};
	case 0x80000001:
		return (struct cpuid){.edx = CPUID_81_EDX_PAGE1GB};
	default:
		fail_msg("CPUID %x", leaf);
		return (struct cpuid){0};
	}
}

void event_redeliver(bool nmi_unblocked)
{
	assert_false(nmi_unblocked);
	redelivered++;
}

void event_inject_combined(enum vector vector, u32 error_code)
{
	injected = (struct guest_fault){.vector = (u8)vector, .error_code = error_code};
	if (l1_takes_it)
		vcpu->level = NULL;
}

static void put_entry(paddr_t table, u64 index, u64 entry)
{
	guest_memory_write(table + index * 8, &entry, sizeof(entry));
}

static u64 entry_of(paddr_t table, u64 index)
{
	u64 entry;

	guest_memory_read(table + index * 8, &entry, sizeof(entry));
	return entry;
}

static void put_byte(paddr_t at, u8 byte)
{
	guest_memory_write(at, &byte, 1);
}

/* IA-32e mode, CPL 0, write protection; the pages above. */
static int setup(void **state)
{
	static const struct vmx_capabilities vmx;

	(void)state;
	machine_memory_init(16, 4);
	machine_maps_guest = true;
	machine_vmx_init(1, &vmx);
	vcpu = machine_cpu(0);
	machine_run_on(vcpu);
	memset(vcpu->translation, 0, sizeof(vcpu->translation));
	vcpu->maxphyaddr = MACHINE_MAXPHYADDR;
	guest_linear_init();
	vcpu->level = NULL;
	l1_takes_it = false;
	cr2 = 0x1234;
	cr4 = 0;
	pkru = redelivered = pkru_reads = 0;
	injected = (struct guest_fault){0};
	put_entry(PML4, 0, PDPT | ALL);
	put_entry(PDPT, 0, PD | ALL);
	put_entry(PD, 2, PT | ALL);
	put_entry(PT, 0, FIRST_AT | ALL);
	put_entry(PT, 1, SECOND_AT | ALL);
	put_entry(PT, 2, SYSTEM_AT | PRESENT | WRITABLE);
	machine_set_field(VMCS_GUEST_CR0, CR0_PE | CR0_PG | CR0_WP);
	machine_set_field(VMCS_GUEST_CR3, PML4);
	machine_set_field(VMCS_GUEST_CR4, CR4_PAE);
	machine_set_field(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	machine_set_field(VMCS_GUEST_RFLAGS, 2);
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc093);
	return 0;
}

static u8 read_byte(u64 linear)
{
	struct guest_fault fault = {0};
	u8 byte = 0;

	assert_true(guest_linear_read(linear, &byte, 1, GUEST_LINEAR_DATA, &fault));
	return byte;
}

/* Each of these accesses a byte and must end in the given exception. */
static void read_faults(u64 linear, enum guest_linear_as as, enum vector vector, u32 error)
{
	struct guest_fault fault = {0};
	u8 byte;

	assert_false(guest_linear_read(linear, &byte, 1, as, &fault));
	assert_false(fault.retry);
	assert_int_equal(fault.vector, vector);
	assert_int_equal(fault.error_code, error);
	if (vector == VECTOR_PF)
		assert_int_equal(fault.cr2, linear);
}

static void write_faults(u64 linear, u32 error)
{
	struct guest_fault fault = {0};
	const u8 byte = 0;

	assert_false(guest_linear_write(linear, &byte, 1, GUEST_LINEAR_DATA, &fault));
	assert_int_equal(fault.vector, VECTOR_PF);
	assert_int_equal(fault.error_code, error);
	assert_int_equal(fault.cr2, linear);
}

static void test_two_pages(void **state)
{
	struct guest_fault fault;
	char text[9] = {0};

	(void)state;
	assert_true(guest_linear_write(SECOND - 4, "umbracpu", 8, GUEST_LINEAR_DATA, &fault));
	assert_memory_equal(machine_memory.guest + FIRST_AT + 0xffc, "umbr", 4);
	assert_memory_equal(machine_memory.guest + SECOND_AT, "acpu", 4);
	assert_true(guest_linear_read(SECOND - 4, text, 8, GUEST_LINEAR_DATA, &fault));
	assert_string_equal(text, "umbracpu");
	/* The second time, by what is remembered of the second page; never of the first for both.
	 */
	assert_true(guest_linear_read(SECOND - 4, text, 8, GUEST_LINEAR_DATA, &fault));
	assert_string_equal(text, "umbracpu");
	/* The flags: SDM "Accessed and Dirty Flags". */
	assert_int_equal(entry_of(PML4, 0), PDPT | ALL | ACCESSED);
	assert_int_equal(entry_of(PT, 1), SECOND_AT | ALL | ACCESSED | DIRTY);
	/* Nothing is written before both pages are known to be writable. */
	put_entry(PT, 1, 0);
	assert_false(guest_linear_write(SECOND - 4, "XXXXXXXX", 8, GUEST_LINEAR_DATA, &fault));
	assert_int_equal(fault.cr2, SECOND);
	assert_memory_equal(machine_memory.guest + FIRST_AT + 0xffc, "umbr", 4);
}

/* A translation is used again only if the walk would find the same. */
static void test_remembered(void **state)
{
	(void)state;
	put_byte(FIRST_AT, 1);
	put_byte(SECOND_AT, 2);
	put_byte(OTHER_AT, 3);
	assert_int_equal(read_byte(FIRST), 1);
	put_byte(FIRST_AT + 5, 5);
	assert_int_equal(read_byte(FIRST + 5), 5);
	assert_int_equal(read_byte(SECOND), 2);
	assert_int_equal(read_byte(FIRST), 1);
	/* Another page, without INVLPG: a processor may see it at once. */
	put_entry(PT, 0, OTHER_AT | ALL);
	assert_int_equal(read_byte(FIRST), 3);
	/* Writing needs rights of its own. */
	put_entry(PT, 0, OTHER_AT | PRESENT | USER);
	assert_int_equal(read_byte(FIRST), 3);
	write_faults(FIRST, PF_PRESENT | PF_WRITE);
	/* CR0.WP. */
	machine_set_field(VMCS_GUEST_CR0, CR0_PE | CR0_PG);
	assert_true(guest_linear_write(FIRST, "w", 1, GUEST_LINEAR_DATA, &(struct guest_fault){0}));
	machine_set_field(VMCS_GUEST_CR0, CR0_PE | CR0_PG | CR0_WP);
	write_faults(FIRST, PF_PRESENT | PF_WRITE);
	/* Reads and writes each have one, of their own page. */
	put_entry(PT, 0, FIRST_AT | ALL);
	put_byte(SECOND_AT, 2);
	assert_int_equal(read_byte(SECOND), 2);
	for (char c = 'a'; c < 'd'; c++) {
		assert_true(guest_linear_write(FIRST, &c, 1, GUEST_LINEAR_DATA,
					       &(struct guest_fault){0}));
		assert_int_equal(read_byte(SECOND), 2);
		assert_int_equal(machine_memory.guest[FIRST_AT], c);
	}
	/* CPL. */
	assert_int_equal(read_byte(SYSTEM), 0);
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc0f3);
	read_faults(SYSTEM, GUEST_LINEAR_DATA, VECTOR_PF, PF_PRESENT | PF_USER);
	/* Other tables. */
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc093);
	machine_set_field(VMCS_GUEST_CR3, 0x5000);
	read_faults(SYSTEM, GUEST_LINEAR_DATA, VECTOR_PF, 0);
	machine_set_field(VMCS_GUEST_CR3, PML4);
	/* No table in between. */
	assert_int_equal(read_byte(SYSTEM), 0);
	put_entry(PD, 2, 0);
	read_faults(SYSTEM, GUEST_LINEAR_DATA, VECTOR_PF, 0);
	put_entry(PD, 2, PT | ALL);
	/* Without IA-32e mode these tables mean something else. */
	assert_int_equal(read_byte(SYSTEM), 0);
	machine_set_field(VMCS_GUEST_EFER, 0);
	machine_set_field(VMCS_GUEST_CR0, CR0_PE);
	put_byte(SECOND_AT, 9);
	assert_int_equal(read_byte(SECOND_AT), 9);
}

/*
 * With 52 address bits a page-table entry of ones is valid, so a walk through a table where there
 * is no memory succeeds; but there is nothing to read in place the next time.
 */
static void test_absent_table(void **state)
{
	const paddr_t tables[] = {machine_memory.guest_size, MACHINE_OWN};

	(void)state;
	vcpu->maxphyaddr = 52;
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		put_entry(PD, 2, tables[i] | ALL);
		for (u32 times = 0; times < 3; times++)
			assert_int_equal(read_byte(FIRST), 0xff);
	}
}

/* What L2 translates is not L1's. */
static void test_l2_is_not_remembered(void **state)
{
	(void)state;
	put_byte(FIRST_AT, 1);
	vcpu->level = &level;
	assert_int_equal(read_byte(FIRST), 1);
	assert_null(vcpu->translation[GUEST_READ].memory);
	vcpu->level = NULL;
	assert_int_equal(read_byte(FIRST), 1);
	assert_non_null(vcpu->translation[GUEST_READ].memory);
}

/* SDM "Canonical Addressing", "Stack Exception (#SS)". */
static void test_not_canonical(void **state)
{
	(void)state;
	read_faults(1ull << 47, GUEST_LINEAR_DATA, VECTOR_GP, 0);
	read_faults(1ull << 47, GUEST_LINEAR_STACK, VECTOR_SS, 0);
}

/* SDM "Access Rights": implicit supervisor-mode accesses, and SMAP, which RFLAGS.AC lifts. */
static void test_privilege(void **state)
{
	struct guest_fault fault;
	u8 byte;

	(void)state;
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc0f3);
	read_faults(SYSTEM, GUEST_LINEAR_DATA, VECTOR_PF, PF_PRESENT | PF_USER);
	assert_true(guest_linear_read(SYSTEM, &byte, 1, GUEST_LINEAR_SYSTEM, &fault));
	machine_set_field(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc093);
	machine_set_field(VMCS_GUEST_CR4, CR4_PAE | CR4_SMAP);
	read_faults(FIRST, GUEST_LINEAR_DATA, VECTOR_PF, PF_PRESENT);
	machine_set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_AC);
	assert_int_equal(read_byte(FIRST), 0);
	machine_set_field(VMCS_GUEST_RFLAGS, 2);
	read_faults(FIRST, GUEST_LINEAR_DATA, VECTOR_PF, PF_PRESENT);
}

/* SDM "Protection Keys": PKRU for user-mode addresses, IA32_PKRS for others. */
static void test_protection_keys(void **state)
{
	(void)state;
	machine_set_field(VMCS_GUEST_CR4, CR4_PAE | CR4_PKE);
	put_entry(PT, 0, FIRST_AT | ALL | (u64)KEY << 59);
	assert_int_equal(read_byte(FIRST), 0);
	pkru = 1u << 2 * KEY;
	read_faults(FIRST, GUEST_LINEAR_DATA, VECTOR_PF, PF_PRESENT | PF_KEY);
	pkru = 2u << 2 * KEY;
	assert_int_equal(read_byte(FIRST), 0);
	write_faults(FIRST, PF_PRESENT | PF_WRITE | PF_KEY);
	assert_true(pkru_reads);
	assert_int_equal(cr4, 0);

	machine_set_field(VMCS_GUEST_CR4, CR4_PAE | CR4_PKS);
	machine_set_field(VMCS_GUEST_PKRS, 0);
	put_entry(PT, 2, SYSTEM_AT | PRESENT | WRITABLE | (u64)KEY << 59);
	assert_int_equal(read_byte(SYSTEM), 0);
	machine_set_field(VMCS_GUEST_PKRS, 1u << 2 * KEY);
	read_faults(SYSTEM, GUEST_LINEAR_DATA, VECTOR_PF, PF_PRESENT | PF_KEY);
}

/* SDM "PAE Paging": by the PDPTE registers; "32-Bit Paging": 4 MiB pages. Addresses wrap. */
static void test_32bit(void **state)
{
	struct guest_fault fault;
	u32 large = 0 | PRESENT | LARGE;
	u64 pdptes[4] = {0, PD | PRESENT, 0, 0};

	(void)state;
	machine_set_field(VMCS_GUEST_EFER, 0);
	for (u32 i = 0; i < 4; i++)
		machine_set_field(VMCS_GUEST_PDPTE0 + 2 * i, pdptes[i]);
	put_byte(FIRST_AT + 1, 7);
	assert_int_equal(read_byte((1u << 30) + FIRST + 1), 7);
	assert_int_equal(read_byte((1ull << 40) + (1u << 30) + FIRST + 1), 7);
	assert_null(vcpu->translation[GUEST_READ].memory);
	read_faults(FIRST, GUEST_LINEAR_DATA, VECTOR_PF, 0);

	machine_set_field(VMCS_GUEST_CR4, CR4_PSE);
	guest_memory_write(PML4 + 4, &large, sizeof(large));
	assert_int_equal(read_byte((1u << 22) + FIRST_AT + 1), 7);
	/* Without paging an access beyond 4 GiB goes on at 0. */
	machine_set_field(VMCS_GUEST_CR0, CR0_PE);
	put_byte(0, 8);
	assert_int_equal(read_byte(1ull << 32), 8);
	assert_true(guest_linear_probe(FIRST_AT, 4, GUEST_WRITE, GUEST_LINEAR_DATA, &fault));
}

static void test_exchange(void **state)
{
	struct guest_fault fault = {0};

	(void)state;
	put_byte(FIRST_AT, 1);
	assert_true(guest_linear_exchange(FIRST, 1, 2, GUEST_LINEAR_DATA, &fault));
	assert_int_equal(read_byte(FIRST), 2);
	/* Not what it was: the instruction that asked has to look again. */
	assert_false(guest_linear_exchange(FIRST, 1, 3, GUEST_LINEAR_DATA, &fault));
	assert_true(fault.retry);
	assert_int_equal(read_byte(FIRST), 2);
	/* Memory that is not there holds ones, which nothing changes. */
	put_entry(PT, 0, machine_memory.guest_size | ALL);
	assert_true(guest_linear_exchange(FIRST, 0xff, 3, GUEST_LINEAR_DATA, &fault));
	assert_int_equal(read_byte(FIRST), 0xff);
	assert_false(guest_linear_exchange(FIRST, 0xfe, 3, GUEST_LINEAR_DATA, &fault));
	assert_true(fault.retry);
	put_entry(PT, 0, 0);
	assert_false(guest_linear_exchange(FIRST, 2, 3, GUEST_LINEAR_DATA, &fault));
	assert_int_equal(fault.vector, VECTOR_PF);
	assert_int_equal(fault.error_code, PF_WRITE);
	assert_false(guest_linear_probe(FIRST, 1, GUEST_READ, GUEST_LINEAR_DATA, &fault));
}

static bool no_tables;
static bool reachable;

static bool read_via(void *ctx, paddr_t pa, void *dst, size_t size)
{
	assert_ptr_equal(ctx, &reachable);
	guest_memory_read(pa, dst, size);
	return !no_tables;
}

static bool reach_via(void *ctx, const struct guest_walk *walk, enum guest_access_type type,
		      paddr_t *pa)
{
	assert_ptr_equal(ctx, &reachable);
	assert_int_equal(type, GUEST_READ);
	assert_true(walk->user);
	*pa += OTHER_AT - FIRST_AT;
	return reachable;
}

/* Through another translation, of guest-physical addresses, which may have no memory there. */
static void test_via(void **state)
{
	static const struct guest_walk_ops ops = {.read = read_via};
	u64 linear = 0;
	const struct guest_linear_via via = {
		.ops = &ops, .reach = reach_via, .ctx = &reachable, .linear = &linear};
	const u64 there = 0x123456789abcdef0;
	struct guest_fault fault = {0};
	u64 value;

	(void)state;
	no_tables = false;
	reachable = true;
	guest_memory_write(OTHER_AT + 8, &there, sizeof(there));
	assert_true(guest_linear_read_via(FIRST + 8, &value, sizeof(value), &via, &fault));
	assert_int_equal(value, there);
	assert_int_equal(linear, FIRST + 8);
	assert_null(vcpu->translation[GUEST_READ].memory);
	/* Somebody else's to resolve, and then the instruction runs again. */
	reachable = false;
	assert_false(guest_linear_read_via(FIRST, &value, sizeof(value), &via, &fault));
	assert_true(fault.retry);
	fault = (struct guest_fault){0};
	no_tables = true;
	assert_false(guest_linear_read_via(FIRST, &value, sizeof(value), &via, &fault));
	assert_true(fault.retry);
}

/* "Determination of Access Rights": U/S of all entries, and nothing else; nothing is written. */
static void test_mode(void **state)
{
	static const struct guest_walk_ops ops = {.read = read_via};
	bool user = false;

	(void)state;
	no_tables = false;
	/* What would keep others out: keys, SMAP, SMEP, execute-disable, no right to write. */
	machine_set_field(VMCS_GUEST_CR4, CR4_PAE | CR4_PKE | CR4_PKS | CR4_SMAP | CR4_SMEP);
	pkru = 3 << 2 * KEY;
	machine_set_field(VMCS_GUEST_PKRS, 3 << 2 * KEY);
	put_entry(PT, 0, FIRST_AT | PRESENT | USER | BIT(63) | (u64)KEY << 59);
	put_entry(PT, 2, SYSTEM_AT | PRESENT | (u64)KEY << 59);
	assert_true(guest_linear_mode(FIRST + 8, &ops, &reachable, &user));
	assert_true(user);
	assert_true(guest_linear_mode(SYSTEM, &ops, &reachable, &user));
	assert_false(user);
	assert_int_equal(entry_of(PT, 0) & (ACCESSED | DIRTY), 0);
	put_entry(PDPT, 0, PD | PRESENT | WRITABLE);
	assert_true(guest_linear_mode(FIRST, &ops, &reachable, &user));
	assert_false(user);
	put_entry(PT, 0, 0);
	assert_false(guest_linear_mode(FIRST, &ops, &reachable, &user));
	no_tables = true;
	assert_false(guest_linear_mode(SYSTEM, &ops, &reachable, &user));
	/* "If CR0.PG = 0". */
	machine_set_field(VMCS_GUEST_CR0, CR0_PE);
	assert_true(guest_linear_mode(SYSTEM, &ops, &reachable, &user));
	assert_true(user);
}

/* SDM "Page-Fault Exception (#PF)": CR2; an exit by one leaves it alone ("Basic VM-Exit …"). */
static void test_inject(void **state)
{
	const struct guest_fault page = {.vector = VECTOR_PF, .error_code = 3, .cr2 = FIRST};
	const struct guest_fault gp = {.vector = VECTOR_GP};

	(void)state;
	guest_fault_inject(&gp);
	assert_int_equal(injected.vector, VECTOR_GP);
	assert_int_equal(cr2, 0x1234);
	guest_fault_inject(&page);
	assert_int_equal(injected.vector, VECTOR_PF);
	assert_int_equal(injected.error_code, 3);
	assert_int_equal(cr2, FIRST);
	/* L2's own, and one that L1 takes. */
	cr2 = 0x1234;
	vcpu->level = &level;
	guest_fault_inject(&page);
	assert_int_equal(cr2, FIRST);
	cr2 = 0x1234;
	l1_takes_it = true;
	guest_fault_inject(&page);
	assert_int_equal(cr2, 0x1234);
	assert_int_equal(redelivered, 0);
	guest_fault_inject(&(struct guest_fault){.retry = true});
	assert_int_equal(redelivered, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_two_pages, setup),
		cmocka_unit_test_setup(test_remembered, setup),
		cmocka_unit_test_setup(test_absent_table, setup),
		cmocka_unit_test_setup(test_l2_is_not_remembered, setup),
		cmocka_unit_test_setup(test_not_canonical, setup),
		cmocka_unit_test_setup(test_privilege, setup),
		cmocka_unit_test_setup(test_protection_keys, setup),
		cmocka_unit_test_setup(test_32bit, setup),
		cmocka_unit_test_setup(test_exchange, setup),
		cmocka_unit_test_setup(test_via, setup),
		cmocka_unit_test_setup(test_mode, setup),
		cmocka_unit_test_setup(test_inject, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
