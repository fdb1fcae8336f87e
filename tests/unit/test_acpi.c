/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables built at the offsets that the ACPI Specification gives, in a small physical memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/acpi.h"

enum {
	RSDT = 0x1001, /* tables need not be aligned */
	XSDT = 0x1103,
	FADT = 0x9000,
	OTHER = 0xa000,
	MADT = 0xc000,
	MEMORY = 0x20000,
};

static u8 memory[MEMORY];
static u8 rsdp[36];
static struct acpi_info info;

/* Blocks handed out are copies of their exact size, so that the sanitizer sees a byte too many. */
static void *lent[1024];
static size_t n_lent;
static paddr_t unreadable_above = MEMORY;

static const void *map(void *ctx, paddr_t pa, size_t len)
{
	assert_ptr_equal(ctx, memory);
	if (pa > unreadable_above || len > unreadable_above - pa)
		return NULL;
	assert_in_range(n_lent, 0, ARRAY_SIZE(lent) - 1);
	lent[n_lent] = malloc(len);
	memcpy(lent[n_lent], memory + pa, len);
	return lent[n_lent++];
}

static void release(void)
{
	while (n_lent > 0)
		free(lent[--n_lent]);
}

static void set32(u8 *at, u32 v)
{
	memcpy(at, &v, sizeof(v));
}

static void set64(u8 *at, u64 v)
{
	memcpy(at, &v, sizeof(v));
}

static u32 get32(const u8 *at)
{
	u32 v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static void fix_sum(u8 *bytes, size_t n, size_t where)
{
	u8 sum = 0;

	bytes[where] = 0;
	for (size_t i = 0; i < n; i++)
		sum = (u8)(sum + bytes[i]);
	bytes[where] = (u8)-sum;
}

static void seal(u32 at)
{
	fix_sum(memory + at, get32(memory + at + 4), 9);
}

static void table(u32 at, const char *signature, u32 length)
{
	memset(memory + at, 0, length);
	memcpy(memory + at, signature, 4);
	set32(memory + at + 4, length);
	memory[at + 8] = 1;
	memcpy(memory + at + 10, "UMBRA TESTTABL", 14);
	seal(at);
}

/* Append to a table, growing it. */
static void append(u32 at, const void *data, size_t n)
{
	u32 length = get32(memory + at + 4);

	memcpy(memory + at + length, data, n);
	set32(memory + at + 4, length + (u32)n);
	seal(at);
}

static void append32(u32 at, u32 v)
{
	append(at, &v, sizeof(v));
}

static void append64(u32 at, u64 v)
{
	append(at, &v, sizeof(v));
}

static void seal_rsdp(void)
{
	fix_sum(rsdp, 20, 8);
	fix_sum(rsdp, 36, 32);
}

static void make_rsdp(u8 revision)
{
	memset(rsdp, 0, sizeof(rsdp));
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "UMBRA ", 6);
	rsdp[15] = revision;
	set32(rsdp + 16, RSDT);
	if (revision >= 2) {
		set32(rsdp + 20, 36);
		set64(rsdp + 24, XSDT);
	}
	seal_rsdp();
}

static void lapic(u8 id, u32 flags)
{
	u8 e[8] = {0, 8, 77, id};

	set32(e + 4, flags);
	append(MADT, e, sizeof(e));
}

static void x2apic(u32 id, u32 flags)
{
	u8 e[16] = {9, 16};

	set32(e + 4, id);
	set32(e + 8, flags);
	set32(e + 12, 77);
	append(MADT, e, sizeof(e));
}

static void lapic_address(u64 address)
{
	u8 e[12] = {5, 12};

	set64(e + 4, address);
	append(MADT, e, sizeof(e));
}

static void empty_madt(void)
{
	table(MADT, "APIC", 44);
	set32(memory + MADT + 36, 0xfee00000);
	set32(memory + MADT + 40, 1);
	seal(MADT);
}

static void gas(u32 at, u8 space, u8 width, u64 address)
{
	memory[at] = space;
	memory[at + 1] = width;
	set64(memory + at + 4, address);
}

/* As a PC of the ACPI 2.0 age: reset by port cf9, PM timer at port 608. */
static void make_fadt(void)
{
	table(FADT, "FACP", 244);
	set32(memory + FADT + 76, 0x608);
	memory[FADT + 91] = 4;
	set32(memory + FADT + 112, BIT(10) | BIT(8));
	gas(FADT + 116, 1, 8, 0xcf9);
	memory[FADT + 128] = 6;
	gas(FADT + 208, 1, 32, 0x608);
	seal(FADT);
}

static int set_up(void **state)
{
	(void)state;
	memset(memory, 0xee, sizeof(memory));
	unreadable_above = MEMORY;
	make_rsdp(2);
	table(OTHER, "HPET", 56);
	empty_madt();
	make_fadt();
	table(XSDT, "XSDT", 36);
	append64(XSDT, FADT);
	append64(XSDT, OTHER);
	append64(XSDT, MADT);
	table(RSDT, "RSDT", 36);
	append32(RSDT, FADT);
	append32(RSDT, MADT);
	return 0;
}

/* What is wrong, as acpi_parse() says it. */
static const char ACPI_NO_RSDP[] = "the boot loader gave no ACPI root pointer";
static const char ACPI_RSDP_SHORT[] = "the ACPI root pointer is too short";
static const char ACPI_RSDP_SIGNATURE[] = "the ACPI root pointer has a wrong signature";
static const char ACPI_RSDP_CHECKSUM[] = "the ACPI root pointer has a wrong checksum";
static const char ACPI_NO_ROOT[] = "the ACPI root pointer names no root table";
static const char ACPI_ROOT_UNREADABLE[] = "the ACPI root table cannot be read";
static const char ACPI_ROOT_SIGNATURE[] = "the ACPI root table has a wrong signature";
static const char ACPI_ROOT_LENGTH[] = "the ACPI root table's length is impossible";
static const char ACPI_ROOT_CHECKSUM[] = "the ACPI root table has a wrong checksum";
static const char ACPI_MADT_UNREADABLE[] = "the MADT cannot be read";
static const char ACPI_MADT_LENGTH[] = "the MADT's length is impossible";
static const char ACPI_MADT_CHECKSUM[] = "the MADT has a wrong checksum";
static const char ACPI_MADT_ENTRY_SHORT[] = "an entry of the MADT is too short for its type";
static const char ACPI_MADT_ENTRY_OVERRUN[] = "an entry of the MADT runs past its end";
static const char ACPI_FADT_UNREADABLE[] = "the FADT cannot be read";
static const char ACPI_FADT_LENGTH[] = "the FADT's length is impossible";
static const char ACPI_FADT_CHECKSUM[] = "the FADT has a wrong checksum";

static void expect(const char *got, const char *expected)
{
	if (expected)
		assert_string_equal(got ? got : "no error", expected);
	else
		assert_null(got);
}

static const char *parse_len(size_t len)
{
	u8 *copy = malloc(len ? len : 1);
	const char *status;

	memcpy(copy, rsdp, len);
	memset(&info, 0xcc, sizeof(info));
	status = acpi_parse(copy, len, map, memory, &info);
	free(copy);
	release();
	return status;
}

static const char *parse(void)
{
	return parse_len(sizeof(rsdp));
}

static void test_machine(void **state)
{
	(void)state;
	lapic(0, 1);
	lapic(2, 1);
	lapic(4, 1);
	/* An I/O APIC and an NMI entry: not Umbra's. */
	append(MADT, (const u8[12]){1, 12, 0, 0, 0, 0, 0xc0, 0xfe}, 12);
	append(MADT, (const u8[6]){4, 6, 0xff, 0, 0, 1}, 6);
	lapic(6, 1);
	expect(parse(), NULL);
	assert_true(info.madt);
	assert_int_equal(info.lapic_base, 0xfee00000);
	assert_int_equal(info.cpu_count, 4);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(info.apic_id[i], 2 * i);
	assert_int_equal(info.cpus_ignored, 0);
	assert_int_equal(info.cpus_online_capable, 0);
	assert_int_equal(info.cpus_over_limit, 0);
	assert_true(info.reset.valid);
	assert_int_equal(info.reset.space, ACPI_SPACE_IO);
	assert_int_equal(info.reset.width, 8);
	assert_int_equal(info.reset.addr, 0xcf9);
	assert_int_equal(info.reset.value, 6);
	assert_int_equal(info.pm_timer_port, 0x608);
	assert_true(info.pm_timer_32bit);
}

static void test_old_rsdp(void **state)
{
	(void)state;
	lapic(0, 1);
	make_rsdp(0);
	memset(rsdp + 20, 0xff, 16);
	expect(parse_len(20), NULL);
	assert_int_equal(info.cpu_count, 1);
	/* What follows an old one means nothing. */
	expect(parse(), NULL);
	assert_int_equal(info.cpu_count, 1);
	/* A new one of which only the old part was handed over. */
	make_rsdp(2);
	expect(parse_len(20), NULL);
	expect(parse_len(35), NULL);
	assert_int_equal(info.cpu_count, 1);
}

static void test_xsdt_preferred(void **state)
{
	(void)state;
	lapic(0, 1);
	table(RSDT, "RSDT", 36);
	expect(parse(), NULL);
	assert_true(info.madt);
	/* No XSDT, or none that can be trusted: the RSDT it is. */
	set64(rsdp + 24, 0);
	seal_rsdp();
	expect(parse(), NULL);
	assert_false(info.madt);
	make_rsdp(2);
	rsdp[33] ^= 1;
	expect(parse(), NULL);
	assert_false(info.madt);
	make_rsdp(2);
	memory[XSDT + 20] ^= 1;
	expect(parse(), NULL);
	assert_false(info.madt);
}

static void test_rsdp_length(void **state)
{
	static const u32 bad[] = {0, 20, 35, 37, 0xffffffff};

	(void)state;
	table(RSDT, "RSDT", 36);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		set32(rsdp + 20, bad[i]);
		seal_rsdp();
		expect(parse(), NULL);
		assert_false(info.madt);
	}
}

static void test_bad_rsdp(void **state)
{
	(void)state;
	expect(parse_len(0), ACPI_NO_RSDP);
	for (size_t len = 1; len < 20; len++)
		expect(parse_len(len), ACPI_RSDP_SHORT);
	rsdp[7] = '_';
	seal_rsdp();
	expect(parse(), ACPI_RSDP_SIGNATURE);
	for (size_t i = 8; i < 20; i++) {
		make_rsdp(2);
		rsdp[i] ^= 0x10;
		expect(parse(), ACPI_RSDP_CHECKSUM);
		assert_int_equal(info.cpu_count, 0);
	}
	make_rsdp(2);
	set32(rsdp + 16, 0);
	set64(rsdp + 24, 0);
	seal_rsdp();
	expect(parse(), ACPI_NO_ROOT);
	/* Nothing but a damaged extension. */
	make_rsdp(2);
	set32(rsdp + 16, 0);
	seal_rsdp();
	rsdp[33] ^= 1;
	expect(parse(), ACPI_RSDP_CHECKSUM);
}

static void test_bad_root(void **state)
{
	(void)state;
	/* Only the XSDT's trouble is reported when the RSDT is no help. */
	memset(memory + RSDT, 0, 36);
	memcpy(memory + XSDT, "RSDT", 4);
	seal(XSDT);
	expect(parse(), ACPI_ROOT_SIGNATURE);
	memcpy(memory + XSDT, "XSDT", 4);
	seal(XSDT);
	expect(parse(), NULL);
	memory[XSDT + 11] ^= 1;
	expect(parse(), ACPI_ROOT_CHECKSUM);
	seal(XSDT);
	append(XSDT, "\0\0\0\0", 4);
	expect(parse(), ACPI_ROOT_LENGTH);
	for (u32 length = 0; length < 36; length++) {
		set32(memory + XSDT + 4, length);
		expect(parse(), ACPI_ROOT_LENGTH);
	}
	set32(memory + XSDT + 4, MEMORY);
	expect(parse(), ACPI_ROOT_UNREADABLE);
	set32(memory + XSDT + 4, 0xffffffff);
	expect(parse(), ACPI_ROOT_LENGTH);
	set64(rsdp + 24, UINT64_MAX - 10);
	seal_rsdp();
	expect(parse(), ACPI_ROOT_UNREADABLE);
	set64(rsdp + 24, MEMORY - 35);
	seal_rsdp();
	expect(parse(), ACPI_ROOT_UNREADABLE);

	/* The old RSDT: its own troubles, when there is no XSDT. */
	make_rsdp(0);
	expect(parse(), ACPI_ROOT_SIGNATURE);
	table(RSDT, "RSDT", 38);
	expect(parse(), ACPI_ROOT_LENGTH);
}

static void test_root_entries(void **state)
{
	(void)state;
	/* Empty slots and tables that cannot be read are somebody else's loss. */
	table(XSDT, "XSDT", 36);
	append64(XSDT, 0);
	append64(XSDT, 0xfffffffffffffff0);
	append64(XSDT, MEMORY - 4);
	append64(XSDT, MADT);
	lapic(3, 1);
	expect(parse(), NULL);
	assert_int_equal(info.cpu_count, 1);
	assert_int_equal(info.pm_timer_port, 0);
	assert_false(info.reset.valid);
	/* A second MADT: the first counts. */
	table(OTHER, "APIC", 44);
	append64(XSDT, OTHER);
	expect(parse(), NULL);
	assert_int_equal(info.cpu_count, 1);
	assert_int_equal(info.lapic_base, 0xfee00000);
	/* A second FADT likewise. */
	set_up(state);
	table(OTHER, "FACP", 244);
	append64(XSDT, OTHER);
	expect(parse(), NULL);
	assert_int_equal(info.pm_timer_port, 0x608);
	/* An empty slot is empty even when address 0 could be read as a table. */
	table(0, "APIC", 44);
	table(XSDT, "XSDT", 36);
	append64(XSDT, 0);
	expect(parse(), NULL);
	assert_false(info.madt);
}

static void test_cpus(void **state)
{
	(void)state;
	lapic(1, 1);
	lapic(0, 1);
	lapic(5, 0);
	lapic(6, 2);
	lapic(7, 3);
	lapic(0xff, 1);
	lapic(0xff, 0);
	x2apic(0x100, 1);
	x2apic(0xff, 1);
	x2apic(0x101, 0);
	x2apic(0x102, 2);
	x2apic(0xffffffff, 1);
	/* The same CPUs once more, in the other kind of entry and in the same. */
	x2apic(0, 1);
	lapic(1, 1);
	x2apic(7, 1);
	expect(parse(), NULL);
	assert_int_equal(info.cpu_count, 5);
	assert_int_equal(info.apic_id[0], 1);
	assert_int_equal(info.apic_id[1], 0);
	assert_int_equal(info.apic_id[2], 7);
	assert_int_equal(info.apic_id[3], 0x100);
	assert_int_equal(info.apic_id[4], 0xff);
	assert_int_equal(info.cpus_ignored, 5);
	assert_int_equal(info.cpus_online_capable, 2);
}

static void test_many_cpus(void **state)
{
	(void)state;
	/* A large server's: threads in steps, cores and sockets with gaps. */
	for (u32 i = 0; i < 2048; i++)
		x2apic(i * 5, 1);
	for (u32 i = 0; i < 255; i += 5)
		lapic((u8)i, 1);
	expect(parse(), NULL);
	assert_int_equal(info.cpu_count, 2048);
	assert_int_equal(info.cpus_over_limit, 0);
	for (u32 i = 0; i < 2048; i++)
		assert_int_equal(info.apic_id[i], i * 5);
}

static void test_too_many_cpus(void **state)
{
	(void)state;
	for (u32 i = 0; i < 4100; i++)
		x2apic(0x10000 + i, 1);
	expect(parse(), NULL);
	assert_int_equal(info.cpu_count, 4096);
	assert_int_equal(info.cpus_over_limit, 4);
	assert_int_equal(info.apic_id[4095], 0x10fff);
}

static void test_lapic_address_override(void **state)
{
	(void)state;
	lapic(0, 1);
	lapic_address(0x12fee00000);
	expect(parse(), NULL);
	assert_int_equal(info.lapic_base, 0x12fee00000);
}

static void test_bad_madt(void **state)
{
	(void)state;
	lapic(0, 1);
	memory[MADT + 30] ^= 1;
	expect(parse(), ACPI_MADT_CHECKSUM);
	assert_false(info.madt);
	/* The other table is read all the same. */
	assert_int_equal(info.pm_timer_port, 0x608);

	for (u32 length = 0; length < 44; length++) {
		set32(memory + MADT + 4, length);
		expect(parse(), ACPI_MADT_LENGTH);
	}
	set32(memory + MADT + 4, 0x7fffffff);
	expect(parse(), ACPI_MADT_LENGTH);
	set32(memory + MADT + 4, MEMORY);
	expect(parse(), ACPI_MADT_UNREADABLE);
	assert_false(info.madt);
	assert_int_equal(info.cpu_count, 0);
}

static void test_bad_madt_entries(void **state)
{
	static const struct {
		u8 type, needed;
	} kinds[] = {{0, 8}, {9, 16}, {5, 12}, {1, 2}, {0x7f, 2}};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (u8 length = 0; length < kinds[k].needed; length++) {
			u8 e[16] = {kinds[k].type, length};

			empty_madt();
			lapic(0, 1);
			append(MADT, e, sizeof(e));
			expect(parse(), ACPI_MADT_ENTRY_SHORT);
			assert_false(info.madt);
		}
		for (u8 present = 2; present < kinds[k].needed; present++) {
			u8 e[16] = {kinds[k].type, kinds[k].needed};

			empty_madt();
			append(MADT, e, present);
			expect(parse(), ACPI_MADT_ENTRY_OVERRUN);
			assert_false(info.madt);
		}
	}
	/* Half a header, and an entry that reaches far. */
	empty_madt();
	append(MADT, "\0", 1);
	expect(parse(), ACPI_MADT_ENTRY_OVERRUN);
	empty_madt();
	append(MADT, (const u8[2]){0x7f, 255}, 2);
	expect(parse(), ACPI_MADT_ENTRY_OVERRUN);
	/* The smallest entry there is, at the very end. */
	empty_madt();
	append(MADT, (const u8[2]){0x7f, 2}, 2);
	expect(parse(), NULL);
	assert_true(info.madt);
	/* A longer entry of a known kind, as a later specification may define. */
	empty_madt();
	append(MADT, (const u8[12]){0, 12, 0, 9, 1}, 12);
	lapic(3, 1);
	expect(parse(), NULL);
	assert_int_equal(info.cpu_count, 2);
	assert_int_equal(info.apic_id[0], 9);
	assert_int_equal(info.apic_id[1], 3);
}

static void test_reset_register(void **state)
{
	(void)state;
	gas(FADT + 116, 0, 32, 0xfed80000);
	seal(FADT);
	expect(parse(), NULL);
	assert_true(info.reset.valid);
	assert_int_equal(info.reset.space, ACPI_SPACE_MEMORY);
	assert_int_equal(info.reset.width, 32);
	assert_int_equal(info.reset.addr, 0xfed80000);
	gas(FADT + 116, 2, 8, 0x001f000000a8);
	seal(FADT);
	parse();
	assert_true(info.reset.valid);

	/* Spaces a reset register cannot be in, and addresses that are none. */
	for (u8 space = 3; space != 0; space++) {
		gas(FADT + 116, space, 8, 0xcf9);
		seal(FADT);
		expect(parse(), NULL);
		assert_false(info.reset.valid);
	}
	gas(FADT + 116, 1, 8, 0);
	seal(FADT);
	parse();
	assert_false(info.reset.valid);
	gas(FADT + 116, 1, 8, 0xffff);
	seal(FADT);
	parse();
	assert_true(info.reset.valid);
	gas(FADT + 116, 1, 8, 0x10000);
	seal(FADT);
	parse();
	assert_false(info.reset.valid);

	make_fadt();
	set32(memory + FADT + 112, BIT(8));
	seal(FADT);
	expect(parse(), NULL);
	assert_false(info.reset.valid);

	/* The value register is the table's byte 128. */
	make_fadt();
	set32(memory + FADT + 4, 128);
	seal(FADT);
	expect(parse(), NULL);
	assert_false(info.reset.valid);
	set32(memory + FADT + 4, 129);
	seal(FADT);
	expect(parse(), NULL);
	assert_true(info.reset.valid);
}

static void test_pm_timer(void **state)
{
	(void)state;
	gas(FADT + 208, 1, 32, 0xb008);
	seal(FADT);
	parse();
	assert_int_equal(info.pm_timer_port, 0xb008);
	/* The extended block is not filled in, or not there. */
	gas(FADT + 208, 0, 0, 0);
	seal(FADT);
	parse();
	assert_int_equal(info.pm_timer_port, 0x608);
	gas(FADT + 208, 1, 32, 0xffff);
	set32(memory + FADT + 4, 220);
	seal(FADT);
	parse();
	assert_int_equal(info.pm_timer_port, 0xffff);
	set32(memory + FADT + 4, 219);
	seal(FADT);
	parse();
	assert_int_equal(info.pm_timer_port, 0x608);
	set32(memory + FADT + 4, 116);
	seal(FADT);
	expect(parse(), NULL);
	assert_int_equal(info.pm_timer_port, 0x608);

	/* 24 bits unless the flag says otherwise. */
	make_fadt();
	set32(memory + FADT + 112, 0);
	seal(FADT);
	parse();
	assert_int_equal(info.pm_timer_port, 0x608);
	assert_false(info.pm_timer_32bit);

	/* None: in memory space, no port, not supported, or hardware-reduced ACPI. */
	make_fadt();
	gas(FADT + 208, 0, 32, 0xfed80808);
	seal(FADT);
	parse();
	assert_int_equal(info.pm_timer_port, 0);
	gas(FADT + 208, 1, 32, 0x10608);
	seal(FADT);
	parse();
	assert_int_equal(info.pm_timer_port, 0);
	make_fadt();
	gas(FADT + 208, 0, 0, 0);
	memory[FADT + 91] = 0;
	seal(FADT);
	parse();
	assert_int_equal(info.pm_timer_port, 0);
	make_fadt();
	set32(memory + FADT + 112, BIT(20) | BIT(8));
	seal(FADT);
	parse();
	assert_int_equal(info.pm_timer_port, 0);
}

static void test_bad_fadt(void **state)
{
	(void)state;
	lapic(0, 1);
	memory[FADT + 200] ^= 1;
	expect(parse(), ACPI_FADT_CHECKSUM);
	assert_true(info.madt);
	assert_int_equal(info.cpu_count, 1);
	assert_false(info.reset.valid);
	assert_int_equal(info.pm_timer_port, 0);
	set32(memory + FADT + 4, 115);
	seal(FADT);
	expect(parse(), ACPI_FADT_LENGTH);
	set32(memory + FADT + 4, MEMORY);
	expect(parse(), ACPI_FADT_UNREADABLE);
	/* Both bad: the first one met is told. */
	set32(memory + MADT + 4, 3);
	expect(parse(), ACPI_FADT_UNREADABLE);
}

/* Its contents are dmar_parse()'s. */
static void test_dmar(void **state)
{
	enum { DMAR = 0xb000, AGAIN = 0xb800 };

	(void)state;
	lapic(0, 1);
	expect(parse(), NULL);
	assert_int_equal(info.dmar, 0);
	table(DMAR, "DMAR", 64);
	append64(XSDT, DMAR);
	table(AGAIN, "DMAR", 80);
	append64(XSDT, AGAIN);
	expect(parse(), NULL);
	assert_int_equal(info.dmar, DMAR);
	assert_int_equal(info.dmar_length, 64);
	memory[DMAR + 63] ^= 1;
	expect(parse(), "the DMAR has a wrong checksum");
	assert_int_equal(info.dmar, 0);
	assert_int_equal(info.cpu_count, 1);
	set32(memory + DMAR + 4, 35);
	expect(parse(), "the DMAR's length is impossible");
	set32(memory + DMAR + 4, MEMORY);
	expect(parse(), "the DMAR cannot be read");
}

/*
 * "Local APIC Flags": a CPU that is not enabled may be, later, by the flag "online capable" or, in
 * older tables, without. Those that were found to be there stay, as does everything else.
 */
static void test_hide_absent_cpus(void **state)
{
	enum { HERE = 3, X_HERE = 0x300 };
	u8 before[256];
	const u8 *e = memory + MADT + 44;

	(void)state;
	lapic(0, 1);
	lapic(1, 2);
	lapic(2, 0);
	lapic(HERE, 2);
	x2apic(0x200, 2);
	x2apic(0x201, 1);
	x2apic(X_HERE, 0);
	append(MADT, (const u8[12]){1, 12, 0, 0, 0, 0, 0xc0, 0xfe}, 12);
	expect(parse(), NULL);
	assert_int_equal(info.cpu_count, 2);
	assert_int_equal(info.madt, MADT);
	acpi_add_cpu(&info, HERE);
	acpi_add_cpu(&info, X_HERE);
	acpi_add_cpu(&info, 0);
	assert_int_equal(info.cpu_count, 4);
	memcpy(before, e, sizeof(before));

	assert_int_equal(acpi_hide_absent_cpus(&info, memory + MADT), 0);
	/* The entry's UID is for AML and stays. */
	assert_memory_equal(e + 8, ((const u8[8]){0, 8, 77, 0xff, 0, 0, 0, 0}), 8);
	assert_memory_equal(e + 16, ((const u8[8]){0, 8, 77, 0xff, 0, 0, 0, 0}), 8);
	assert_memory_equal(
		e + 32, ((const u8[16]){9, 16, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 77}), 16);
	/* All the rest is as it was. */
	assert_memory_equal(e, before, 8);
	assert_memory_equal(e + 24, before + 24, 8);
	assert_memory_equal(e + 48, before + 48, 44);
	/* A sound table, of a machine to which nothing is added. */
	expect(parse(), NULL);
	assert_int_equal(info.cpu_count, 2);
	assert_int_equal(info.cpus_online_capable, 1);
}

/* "\\_S5" of the DSDT, by SLP_TYPa; "Sleep Control Register" of the FADT. */
static void test_soft_off(void **state)
{
	enum { DSDT = OTHER, AT = DSDT + 60, SLEEP_CONTROL = 0x3c0 };
	static const struct {
		u8 aml[16];
		u8 type;
	} ways[] = {
		{{0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0x0a, 5}, 5},
		{{0x08, '\\', '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 7}, 7},
		{{0x08, '_', 'S', '5', '_', 0x12, 0x41, 0, 4, 0x0a, 3}, 3},
		{{0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0}, 0},
		{{0x08, '_', 'S', '5', '_', 0x12, 6, 4, 1}, 1},
		/* A use of the name, a type of more than three bits, another name, no package. */
		{{0x70, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5}, ACPI_NO_SLEEP_TYPE},
		{{0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 8}, ACPI_NO_SLEEP_TYPE},
		{{0x08, '_', 'S', '3', '_', 0x12, 6, 4, 0x0a, 5}, ACPI_NO_SLEEP_TYPE},
		{{0x08, '_', 'S', '5', '_', 0x10, 6, 4, 0x0a, 5}, ACPI_NO_SLEEP_TYPE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		for (u32 wide = 0; wide < 2; wide++) {
			table(DSDT, "DSDT", 80);
			memcpy(memory + AT, ways[i].aml, sizeof(ways[i].aml));
			seal(DSDT);
			make_fadt();
			if (wide)
				set64(memory + FADT + 140, DSDT);
			else
				set32(memory + FADT + 40, DSDT);
			seal(FADT);
			expect(parse(), NULL);
			assert_int_equal(info.s5_type, ways[i].type);
			assert_int_equal(info.sleep_control, 0);
		}
	}
	/* Cut off behind the name, or longer than memory. */
	for (u32 length = 36; length < 80; length++) {
		table(DSDT, "DSDT", 80);
		memcpy(memory + AT, ways[0].aml, sizeof(ways[0].aml));
		set32(memory + DSDT + 4, length);
		expect(parse(), NULL);
	}
	set32(memory + DSDT + 4, MEMORY);
	expect(parse(), NULL);
	assert_int_equal(info.s5_type, ACPI_NO_SLEEP_TYPE);

	table(FADT, "FACP", 268);
	set32(memory + FADT + 112, BIT(20));
	gas(FADT + 244, 1, 8, SLEEP_CONTROL);
	seal(FADT);
	expect(parse(), NULL);
	assert_int_equal(info.sleep_control, SLEEP_CONTROL);
	gas(FADT + 244, 0, 8, 0xfed00000);
	seal(FADT);
	expect(parse(), NULL);
	assert_int_equal(info.sleep_control, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_machine, set_up),
		cmocka_unit_test_setup(test_old_rsdp, set_up),
		cmocka_unit_test_setup(test_xsdt_preferred, set_up),
		cmocka_unit_test_setup(test_rsdp_length, set_up),
		cmocka_unit_test_setup(test_bad_rsdp, set_up),
		cmocka_unit_test_setup(test_bad_root, set_up),
		cmocka_unit_test_setup(test_root_entries, set_up),
		cmocka_unit_test_setup(test_cpus, set_up),
		cmocka_unit_test_setup(test_many_cpus, set_up),
		cmocka_unit_test_setup(test_too_many_cpus, set_up),
		cmocka_unit_test_setup(test_hide_absent_cpus, set_up),
		cmocka_unit_test_setup(test_lapic_address_override, set_up),
		cmocka_unit_test_setup(test_bad_madt, set_up),
		cmocka_unit_test_setup(test_bad_madt_entries, set_up),
		cmocka_unit_test_setup(test_reset_register, set_up),
		cmocka_unit_test_setup(test_pm_timer, set_up),
		cmocka_unit_test_setup(test_bad_fadt, set_up),
		cmocka_unit_test_setup(test_soft_off, set_up),
		cmocka_unit_test_setup(test_dmar, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
