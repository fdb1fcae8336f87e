/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image's own string functions against the C library's: lib/string.c is included once more
 * as the image sees it, its functions renamed. Their REP instructions need an x86-64 build machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/string.h"

#ifdef __x86_64__
#undef UMBRA_HOSTED
#define memcpy  image_memcpy
#define memmove image_memmove
#define memset  image_memset
#define memcmp  image_memcmp
#define strlen  image_strlen
#define strnlen image_strnlen
/* The header has been seen already, in its hosted form. */
void *image_memcpy(void *restrict dst, const void *restrict src, size_t n);
void *image_memmove(void *dst, const void *src, size_t n);
void *image_memset(void *dst, int value, size_t n);
int image_memcmp(const void *a, const void *b, size_t n);
size_t image_strlen(const char *s);
size_t image_strnlen(const char *s, size_t max);
#define str_copy image_str_copy
size_t image_str_copy(char *dst, size_t size, const char *src);
#include "../../src/lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strnlen
#undef str_copy

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static void fill(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(i * 37 + 11);
}

static void test_memcpy(void **state)
{
	unsigned char from[64], to[64], expected[64];

	(void)state;
	fill(from, sizeof(from));
	for (size_t n = 0; n <= 40; n++) {
		memset(to, 0xee, sizeof(to));
		memset(expected, 0xee, sizeof(expected));
		memcpy(expected + 3, from + 5, n);
		assert_ptr_equal(image_memcpy(to + 3, from + 5, n), to + 3);
		assert_memory_equal(to, expected, sizeof(to));
	}
}

static void test_memmove_overlaps(void **state)
{
	unsigned char got[48], expected[48];

	(void)state;
	for (size_t from = 0; from < 16; from++) {
		for (size_t to = 0; to < 16; to++) {
			for (size_t n = 0; n <= 32; n++) {
				fill(got, sizeof(got));
				fill(expected, sizeof(expected));
				memmove(expected + to, expected + from, n);
				assert_ptr_equal(image_memmove(got + to, got + from, n), got + to);
				assert_memory_equal(got, expected, sizeof(got));
			}
		}
	}
}

static void test_memset(void **state)
{
	unsigned char got[32], expected[32];

	(void)state;
	for (size_t n = 0; n <= 24; n++) {
		fill(got, sizeof(got));
		fill(expected, sizeof(expected));
		memset(expected + 2, 0x1a5, n);
		assert_ptr_equal(image_memset(got + 2, 0x1a5, n), got + 2);
		assert_memory_equal(got, expected, sizeof(got));
	}
}

static void test_compare(void **state)
{
	/* Bytes above 0x7f compare as unsigned. */
	static const char *const s[] = {"", "a", "ab", "abc", "b", "\x7f", "\x80", "a\xff"};

	(void)state;
	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		for (size_t j = 0; j < sizeof(s) / sizeof(s[0]); j++) {
			size_t shorter = strlen(s[i]) < strlen(s[j]) ? strlen(s[i]) : strlen(s[j]);

			for (size_t n = 0; n <= shorter; n++)
				assert_int_equal(sign(image_memcmp(s[i], s[j], n)),
						 sign(memcmp(s[i], s[j], n)));
		}
	}
	/* memcmp does not stop at a terminator. */
	assert_int_equal(sign(image_memcmp("a\0b", "a\0c", 3)), -1);
}

static void test_length(void **state)
{
	static const char unterminated[3] = {'a', 'b', 'c'};

	(void)state;
	assert_int_equal(image_strlen(""), 0);
	assert_int_equal(image_strlen("abc\0d"), 3);
	assert_int_equal(image_strnlen("abc", 2), 2);
	assert_int_equal(image_strnlen("abc", 9), 3);
	assert_int_equal(image_strnlen(unterminated, sizeof(unterminated)), 3);
	assert_int_equal(image_strnlen(NULL, 0), 0);
}
#endif

static void test_str_copy(void **state)
{
	char buf[8];

	(void)state;
	assert_int_equal(str_copy(buf, sizeof(buf), ""), 0);
	assert_string_equal(buf, "");
	assert_int_equal(str_copy(buf, sizeof(buf), "1234567"), 7);
	assert_string_equal(buf, "1234567");
	assert_int_equal(str_copy(buf, sizeof(buf), "12345678"), 8);
	assert_string_equal(buf, "1234567");
	assert_int_equal(str_copy(buf, 1, "abc"), 3);
	assert_string_equal(buf, "");
	buf[0] = 'x';
	assert_int_equal(str_copy(buf, 0, "abc"), 3);
	assert_int_equal(buf[0], 'x');
	/* Nothing behind the terminator is touched. */
	memset(buf, 'x', sizeof(buf));
	str_copy(buf, sizeof(buf), "ab");
	assert_memory_equal(buf, "ab\0xxxxx", sizeof(buf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef __x86_64__
		cmocka_unit_test(test_memcpy),   cmocka_unit_test(test_memmove_overlaps),
		cmocka_unit_test(test_memset),   cmocka_unit_test(test_compare),
		cmocka_unit_test(test_length),
#endif
		cmocka_unit_test(test_str_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
