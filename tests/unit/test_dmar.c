/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables built at the offsets that VT-d gives in "BIOS Considerations". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/dmar.h"

enum { WIDTH_AT = 36, FLAGS_AT = 37, ENTRIES_AT = 48 };

static u8 table[8192];
static u32 length;
static struct dmar_info info;

static int setup(void **state)
{
	(void)state;
	memset(table, 0, sizeof(table));
	length = ENTRIES_AT;
	table[WIDTH_AT] = 38;
	return 0;
}

static void put(u32 at, u64 value, size_t size)
{
	memcpy(table + at, &value, size);
}

/* An entry of zeroes; where it is. */
static u32 entry(u16 type, u16 size)
{
	const u32 at = length;

	put(at, type, 2);
	put(at + 2, size, 2);
	length += size;
	return at;
}

static u32 unit(u64 registers)
{
	const u32 at = entry(0, 16);

	put(at + 8, registers, 8);
	return at;
}

static u32 reserved(u64 base, u64 limit)
{
	const u32 at = entry(1, 24);

	put(at + 8, base, 8);
	put(at + 16, limit, 8);
	return at;
}

/* On a copy of the exact size, so that the sanitizer sees a byte too many. */
static const char *parse(void)
{
	u8 *copy = malloc(length);
	const char *error;

	memcpy(copy, table, length);
	error = dmar_parse(copy, length, &info);
	free(copy);
	return error;
}

static void reads_a_table(void **state)
{
	u32 at;

	(void)state;
	table[FLAGS_AT] = 5;
	/* A graphics unit with a scope of one device, behind a bridge. */
	at = entry(0, 16 + 10);
	put(at + 8, 0xfed90000, 8);
	table[at + 16] = 1;
	table[at + 17] = 10;
	/* One for all else, with four pages. */
	at = unit(0xfed91000);
	table[at + 4] = 1;
	table[at + 5] = 2;
	reserved(0x9d800000, 0x9fffffff);
	entry(2, 8 + 6);
	table[length - 5] = 6;
	entry(3, 20);
	entry(4, 8 + 11); /* its object's name */
	entry(5, 8);
	entry(6, 8);
	entry(77, 4); /* of a later revision */
	assert_null(parse());
	assert_int_equal(info.address_width, 39);
	assert_int_equal(info.flags, DMAR_INTR_REMAP | DMAR_DMA_CTRL_PLATFORM_OPT_IN);
	assert_int_equal(info.unit_count, 2);
	assert_int_equal(info.unit[0].start, 0xfed90000);
	assert_int_equal(info.unit[0].size, PAGE_SIZE);
	assert_int_equal(info.unit[1].start, 0xfed91000);
	assert_int_equal(info.unit[1].size, 4 * PAGE_SIZE);
	assert_int_equal(info.reserved_count, 1);
	assert_int_equal(info.reserved[0].start, 0x9d800000);
	assert_int_equal(info.reserved[0].size, 0x2800000);
}

static void an_empty_table(void **state)
{
	(void)state;
	assert_null(parse());
	assert_int_equal(info.unit_count, 0);
	length = ENTRIES_AT - 1;
	assert_string_equal(parse(), "the DMAR's length is impossible");
	length = ENTRIES_AT;
	table[WIDTH_AT] = 30;
	assert_string_equal(parse(), "the DMAR's address width is impossible");
	table[WIDTH_AT] = 64;
	assert_string_equal(parse(), "the DMAR's address width is impossible");
	table[WIDTH_AT] = 63;
	assert_null(parse());
}

static void lengths(void **state)
{
	static const struct {
		u16 type, least;
	} rows[] = {{0, 16}, {1, 24}, {2, 8}, {3, 20}, {4, 8}, {5, 8}, {6, 8}, {99, 4}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (u16 size = 0; size <= rows[i].least; size++) {
			u32 at;

			setup(state);
			at = entry(rows[i].type, size);
			if (size < 4)
				length = at + 4;
			if (rows[i].type == 0)
				put(at + 8, 0xfed90000, 8);
			if (size < rows[i].least)
				assert_string_equal(
					parse(), "an entry of the DMAR is too short for its type");
			else
				assert_null(parse());
			/* Cut off by the end of the table. */
			for (u32 end = at + 1; size && end < at + size; end++) {
				length = end;
				assert_string_equal(parse(),
						    "an entry of the DMAR runs past its end");
			}
		}
	}
}

static void scopes(void **state)
{
	static const struct {
		u16 type, fixed;
	} rows[] = {{0, 16}, {1, 24}, {2, 8}, {5, 8}, {6, 8}};
	static const char error[] = "a device scope of the DMAR does not fit its entry";

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (u8 space = 1; space <= 20; space++) {
			for (u8 size = 0; size <= 24; size++) {
				u32 at;

				setup(state);
				at = entry(rows[i].type, rows[i].fixed + space);
				if (rows[i].type == 0)
					put(at + 8, 0xfed90000, 8);
				/* One scope, and the rest a second one. */
				table[at + rows[i].fixed + 1] = size;
				if (size < space && size >= 6)
					table[at + rows[i].fixed + size + 1] = (u8)(space - size);
				if (size >= 6 && (size == space || size + 6 <= space))
					assert_null(parse());
				else
					assert_string_equal(parse(), error);
			}
		}
	}
}

static void impossible_places(void **state)
{
	static const u64 units[] = {0, 1, 0xfed90800, BIT(52), BIT(52) - PAGE_SIZE, ~0ull << 12};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		setup(state);
		table[unit(units[i]) + 5] = 1;
		assert_string_equal(parse(), "the DMAR has a unit at an impossible address");
	}
	setup(state);
	reserved(0x2000, 0x1fff);
	assert_string_equal(parse(), "the DMAR has reserved memory that ends before it begins");
	setup(state);
	reserved(0, ~0ull);
	assert_string_equal(parse(), "the DMAR has reserved memory that ends before it begins");
	setup(state);
	reserved(0x2000, 0x2000);
	assert_null(parse());
	assert_int_equal(info.reserved[0].size, 1);
}

static void too_many(void **state)
{
	(void)state;
	for (u64 i = 0; i < DMAR_MAX_UNITS; i++)
		unit(0xfed00000 + i * PAGE_SIZE);
	assert_null(parse());
	assert_int_equal(info.unit_count, DMAR_MAX_UNITS);
	unit(0xfee00000);
	assert_string_equal(parse(), "the DMAR lists too many units");
	setup(state);
	for (u64 i = 0; i < DMAR_MAX_RESERVED; i++)
		reserved(i, i);
	assert_null(parse());
	reserved(0, 0);
	assert_string_equal(parse(), "the DMAR lists too much reserved memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_a_table, setup),
		cmocka_unit_test_setup(an_empty_table, setup),
		cmocka_unit_test_setup(lengths, setup),
		cmocka_unit_test_setup(scopes, setup),
		cmocka_unit_test_setup(impossible_places, setup),
		cmocka_unit_test_setup(too_many, setup),
	};

	return cmocka_run_group_tests_name("dmar", tests, NULL, NULL);
}
