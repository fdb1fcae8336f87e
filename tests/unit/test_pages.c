/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mm/layout.h"
#include "mm/pages.h"

enum { TOTAL = 8 };

static _Alignas(PAGE_SIZE) u8 memory[TOTAL * PAGE_SIZE];

static int setup(void **state)
{
	(void)state;
	memset(memory, 0xa5, sizeof(memory));
	pages_init(virt_to_phys(memory), sizeof(memory));
	return 0;
}

static void test_allocation(void **state)
{
	u8 *run = pages_alloc(3), *single = pages_alloc(1);

	(void)state;
	assert_ptr_equal(run, memory);
	assert_ptr_equal(single, memory + 3 * PAGE_SIZE);
	for (size_t i = 0; i < 4 * PAGE_SIZE; i++)
		assert_int_equal(memory[i], 0);
	assert_int_equal(memory[4 * PAGE_SIZE], 0xa5);
	assert_int_equal(pages_left(), TOTAL - 4);
	memset(single, 1, PAGE_SIZE);
	pages_free(single);
	assert_int_equal(pages_left(), TOTAL - 3);
	assert_ptr_equal(pages_alloc(1), single);
	for (size_t i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(single[i], 0);
	assert_null(pages_alloc(TOTAL - 3));
	assert_non_null(pages_alloc(TOTAL - 4));
	assert_null(pages_alloc(1));
}

static void test_spoiled(void **state)
{
	u64 count;

	(void)state;
	pages_alloc(2);
	pages_fill_unused();
	assert_int_equal(pages_spoiled(&count), 0);
	assert_int_equal(count, TOTAL - 2);
	/* What is in use may change; what is taken is no longer looked at. */
	memory[PAGE_SIZE] = 1;
	assert_int_equal(pages_spoiled(&count), 0);
	pages_alloc(1);
	assert_int_equal(pages_spoiled(&count), 0);
	assert_int_equal(count, TOTAL - 3);
	/* One bit, at either end. */
	memory[3 * PAGE_SIZE] ^= 1;
	assert_int_equal(pages_spoiled(&count), 1);
	memory[sizeof(memory) - 1] ^= 0x80;
	assert_int_equal(pages_spoiled(&count), 2);
	/* A page copied onto its neighbour. */
	pages_fill_unused();
	memcpy(memory + 4 * PAGE_SIZE, memory + 5 * PAGE_SIZE, PAGE_SIZE);
	assert_int_equal(pages_spoiled(&count), PAGE_SIZE / 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_allocation, setup),
		cmocka_unit_test_setup(test_spoiled, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
