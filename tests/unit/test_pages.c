/* SPDX-License-Identifier: BSD-2-Clause */
/* The page allocator, on memory of the test's own, and what it keeps for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mm/layout.h"
#include "mm/pages.h"

enum { PAGES = 16 };

static _Alignas(4096) u8 memory[PAGES * PAGE_SIZE];

/* Before the other: this one gives nothing back. */
static void test_spoiled(void **state)
{
	u64 count;

	(void)state;
	pages_init(virt_to_phys(memory), sizeof(memory));
	pages_alloc(2);
	pages_fill_unused();
	assert_int_equal(pages_spoiled(&count), 0);
	assert_int_equal(count, PAGES - 2);
	/* What is in use may change; what is taken is no longer looked at. */
	memory[PAGE_SIZE] = 1;
	assert_int_equal(pages_spoiled(&count), 0);
	pages_alloc(1);
	assert_int_equal(pages_spoiled(&count), 0);
	assert_int_equal(count, PAGES - 3);
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

/* One story: the allocator begins once. */
static void test_all(void **state)
{
	static const u8 zero[PAGE_SIZE];
	void *page[PAGES];

	(void)state;
	memset(memory, 0xaa, sizeof(memory));
	pages_init(virt_to_phys(memory), sizeof(memory));
	assert_int_equal(pages_left(), PAGES);
	assert_null(pages_alloc(PAGES + 1));
	page[0] = pages_alloc(2);
	assert_non_null(page[0]);
	assert_memory_equal(page[0], zero, PAGE_SIZE);
	assert_memory_equal((u8 *)page[0] + PAGE_SIZE, zero, PAGE_SIZE);

	/* Before anything is kept all is everybody's. */
	page[1] = pages_alloc_kept();
	assert_non_null(page[1]);
	assert_int_equal(pages_left(), PAGES - 3);

	pages_keep(3);
	for (u32 i = 0; i < PAGES - 6; i++) {
		page[2] = pages_alloc(1);
		assert_non_null(page[2]);
	}
	assert_null(pages_alloc(1));
	assert_int_equal(pages_left(), 3);
	/* A page that comes back is everybody's again, and taken first by who may have the others.
	 */
	pages_free(page[2]);
	assert_int_equal(pages_left(), 4);
	assert_null(pages_alloc(2));
	pages_free(page[1]);
	page[1] = pages_alloc_kept();
	assert_non_null(page[1]);
	assert_memory_equal(page[1], zero, PAGE_SIZE);
	page[2] = pages_alloc(1);
	assert_non_null(page[2]);
	assert_null(pages_alloc(1));
	for (u32 i = 0; i < 3; i++)
		assert_non_null(pages_alloc_kept());
	assert_null(pages_alloc_kept());
	assert_int_equal(pages_left(), 0);
	/* What was kept and is used is kept no more. */
	pages_free(page[1]);
	assert_non_null(pages_alloc(1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spoiled),
		cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
