/* SPDX-License-Identifier: BSD-2-Clause */
/* The C standard's fprintf() is the specification, and the C library is the reference. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format.h"

/* The formats are data here, so the compiler cannot check them. */
#pragma clang diagnostic ignored "-Wformat-nonliteral"
#pragma clang diagnostic ignored "-Wformat"

static void compare(const char *fmt, ...)
{
	char got[256], expected[256];
	va_list args, again;
	int n, m;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(expected, sizeof(expected), fmt, args);
	m = fmt_vsnprintf(got, sizeof(got), fmt, again);
	va_end(again);
	va_end(args);
	assert_string_equal(got, expected);
	assert_int_equal(m, n);
}

static const char *const flags[] = {"", "-", "0", "-0", "#", "#0", "-#"};
static const char *const widths[] = {"", "1", "4", "12", "30"};

static void each_integer(const char *length, char conversion, unsigned long value)
{
	char fmt[32];

	for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
		/* '#' is undefined for decimal conversions. */
		if (strchr("du", conversion) && strchr(flags[f], '#'))
			continue;
		for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
			snprintf(fmt, sizeof(fmt), "[%%%s%s%s%c]", flags[f], widths[w], length,
				 conversion);
			if (length[0] != '\0')
				compare(fmt, value);
			else
				compare(fmt, (unsigned)value);
		}
	}
}

static void test_integers(void **state)
{
	static const unsigned long values[] = {
		0,
		1,
		7,
		10,
		99,
		0x7f,
		0x80,
		0xff,
		0x100,
		0x7fff,
		0x8000,
		0xffff,
		0x7fffffff,
		0x80000000,
		UINT_MAX,
		ULONG_MAX,
		LONG_MAX,
		1ul << 63,
		0xdeadbeefcafe0123,
	};
	static const char *const lengths[] = {"", "l", "ll", "z"};

	(void)state;
	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
		for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
			for (const char *c = "dux"; *c; c++)
				each_integer(lengths[l], *c, values[v]);
		}
	}
}

static void test_strings(void **state)
{
	(void)state;
	compare("[%s]", "");
	compare("[%s]", "text");
	compare("[%10s]", "text");
	compare("[%-10s]", "text");
	compare("[%2s]", "text");
	compare("100%% of %s%%", "it");
	compare("%d %s %lx %zu", -5, "mixed", 0x123456789abul, (size_t)77);
}

static int format(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int length;

	va_start(args, fmt);
	length = fmt_vsnprintf(buf, size, fmt, args);
	va_end(args);
	return length;
}

static void test_cut(void **state)
{
	char buf[16];

	(void)state;
	for (size_t size = 0; size <= 12; size++) {
		memset(buf, 0x55, sizeof(buf));
		assert_int_equal(format(buf, size, "%s-%04d", "abcd", 42), 9);
		if (size > 0) {
			size_t kept = size - 1 < 9 ? size - 1 : 9;

			assert_memory_equal(buf, "abcd-0042", kept);
			assert_int_equal(buf[kept], '\0');
		}
		for (size_t i = size; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0x55);
	}
	assert_int_equal(format(NULL, 0, "%d", 12345), 5);
}

static void test_wild_width(void **state)
{
	char buf[8];

	(void)state;
	/* Cut short rather than printed for minutes, and never an overflow. */
	assert_in_range(format(buf, sizeof(buf), "%99999999999d", 1), 1, 4096);
	assert_int_equal(buf[sizeof(buf) - 1], '\0');
}

static void test_unknown_conversion(void **state)
{
	char buf[32];

	(void)state;
	assert_int_equal(format(buf, sizeof(buf), "a %d %f %s", 1, 2.0, "x"), 9);
	assert_string_equal(buf, "a 1 %f %s");
	format(buf, sizeof(buf), "end %");
	assert_string_equal(buf, "end %");
	format(buf, sizeof(buf), "end %-08l");
	assert_string_equal(buf, "end %-08l");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wild_width),
		cmocka_unit_test(test_unknown_conversion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
