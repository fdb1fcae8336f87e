/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's documentation, "initramfs buffer format". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cpio.h"

static u8 archive[4096];
static size_t used;

static void align(void)
{
	while (used % 4)
		archive[used++] = 0;
}

static void add(const char *magic, const char *name, const char *contents)
{
	used += (size_t)sprintf(
		(char *)archive + used, "%s%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zx%08X",
		magic, 1, 0100644, 0, 0, 1, 0, strlen(contents), 0, 0, 0, 0, strlen(name) + 1, 0);
	used += (size_t)sprintf((char *)archive + used, "%s", name) + 1;
	align();
	used += (size_t)sprintf((char *)archive + used, "%s", contents);
	align();
}

static int setup(void **state)
{
	(void)state;
	memset(archive, 0xaa, sizeof(archive));
	used = 0;
	return 0;
}

/* In memory that ends where the archive does, for the address sanitizer. */
static bool finds(size_t size, const char *name, const char *contents)
{
	u8 *const copy = malloc(size ? size : 1);
	size_t length = 0;
	const u8 *found;
	bool right;

	memcpy(copy, archive, size);
	found = cpio_find(copy, size, name, &length);
	right = found && length == strlen(contents) && memcmp(found, contents, length) == 0;
	if (found)
		assert_true(found >= copy && found + length <= copy + size);
	free(copy);
	return right;
}

static void test_files(void **state)
{
	(void)state;
	add("070701", "kernel", "");
	add("070701", "kernel/x86/a.bin", "first");
	add("070702", "b", "12345678");
	add("070701", "TRAILER!!!", "");
	assert_true(finds(used, "kernel", ""));
	assert_true(finds(used, "kernel/x86/a.bin", "first"));
	assert_true(finds(used, "b", "12345678"));
	assert_false(finds(used, "kernel/x86/a", "first"));
	assert_false(finds(used, "kernel/x86/a.bin2", "first"));
	assert_false(finds(0, "b", ""));
}

/* Distributions put the microcode into an archive of its own, in front and padded. */
static void test_several_archives(void **state)
{
	(void)state;
	add("070701", "TRAILER!!!", "");
	memset(archive + used, 0, 512);
	used += 512;
	add("070701", "b", "second");
	add("070701", "b", "third");
	assert_true(finds(used, "b", "second"));
	/* Behind something else nothing is looked for. */
	memcpy(archive + used, "\x28\xb5\x2f\xfd", 4);
	used += 4;
	add("070701", "c", "hidden");
	assert_false(finds(used, "c", "hidden"));
	assert_true(finds(used, "b", "second"));
}

static void test_damage(void **state)
{
	size_t whole;

	(void)state;
	add("070701", "b", "1234");
	whole = used;
	for (size_t size = 0; size < whole; size++)
		assert_false(finds(size, "b", "1234"));
	assert_true(finds(whole, "b", "1234"));
	/* Sizes that leave the archive, and no number at all. */
	memcpy(archive + 54, "FFFFFFFF", 8);
	assert_false(finds(whole, "b", "1234"));
	memcpy(archive + 54, "00000005", 8);
	assert_false(finds(whole, "b", "1234"));
	memcpy(archive + 54, "0000000g", 8);
	assert_false(finds(whole, "b", "1234"));
	memcpy(archive + 54, "00000004", 8);
	memcpy(archive + 94, "FFFFFFFF", 8);
	assert_false(finds(whole, "b", "1234"));
	memcpy(archive + 94, "00000002", 8);
	assert_true(finds(whole, "b", "1234"));
	archive[5] = '7';
	assert_false(finds(whole, "b", "1234"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_files, setup),
		cmocka_unit_test_setup(test_several_archives, setup),
		cmocka_unit_test_setup(test_damage, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
