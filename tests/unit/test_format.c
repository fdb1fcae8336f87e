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
static const char *const precisions[] = {"", ".", ".0", ".1", ".3", ".25"};

static void each_integer(const char *length, char conversion, unsigned long value)
{
	char fmt[32];

	for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
		/* '#' is undefined for decimal conversions. */
		if (strchr("diu", conversion) && strchr(flags[f], '#'))
			continue;
		for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
			for (size_t p = 0; p < sizeof(precisions) / sizeof(precisions[0]); p++) {
				snprintf(fmt, sizeof(fmt), "[%%%s%s%s%s%c]", flags[f], widths[w],
					 precisions[p], length, conversion);
				if (length[0] == 'l' || length[0] == 'z')
					compare(fmt, value);
				else
					compare(fmt, (unsigned)value);
			}
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
	static const char *const lengths[] = {"", "h", "hh", "l", "ll", "z"};

	(void)state;
	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
		for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
			for (const char *c = "diuxX"; *c; c++)
				each_integer(lengths[l], *c, values[v]);
		}
	}
}

static void test_strings(void **state)
{
	static const char unterminated[4] = {'a', 'b', 'c', 'd'};

	(void)state;
	compare("[%s]", "");
	compare("[%s]", "text");
	compare("[%10s]", "text");
	compare("[%-10s]", "text");
	compare("[%2s]", "text");
	compare("[%.2s]", "text");
	compare("[%.0s]", "text");
	compare("[%.9s]", "text");
	compare("[%-8.3s]", "text");
	compare("[%8.3s]", "text");
	compare("[%.*s]", 4, unterminated);
	compare("[%.*s]", -1, "negative precision is none");
	compare("[%*s]", 6, "ab");
	compare("[%*s]", -6, "ab");
	compare("[%c%5c%-5c]", 'x', 'y', 'z');
	compare("100%% of %s%%", "it");
	compare("%d %s %lx %c %zu", -5, "mixed", 0x123456789abul, '!', (size_t)77);
}

static void test_null_string(void **state)
{
	char buf[32];

	(void)state;
	fmt_snprintf(buf, sizeof(buf), "[%s]", (const char *)NULL);
	assert_string_equal(buf, "[(null)]");
}

static void test_pointer(void **state)
{
	char buf[32];

	(void)state;
	fmt_snprintf(buf, sizeof(buf), "%p", (void *)0xfee00000);
	assert_string_equal(buf, "0xfee00000");
	fmt_snprintf(buf, sizeof(buf), "%p", NULL);
	assert_string_equal(buf, "0x0");
	fmt_snprintf(buf, sizeof(buf), "%12p|", (void *)0x1000);
	assert_string_equal(buf, "      0x1000|");
	fmt_snprintf(buf, sizeof(buf), "%p", (void *)UINTPTR_MAX);
	assert_string_equal(buf, "0xffffffffffffffff");
}

static void test_cut(void **state)
{
	char buf[16];

	(void)state;
	for (size_t size = 0; size <= 12; size++) {
		memset(buf, 0x55, sizeof(buf));
		assert_int_equal(fmt_snprintf(buf, size, "%s-%04d", "abcd", 42), 9);
		if (size > 0) {
			size_t kept = size - 1 < 9 ? size - 1 : 9;

			assert_memory_equal(buf, "abcd-0042", kept);
			assert_int_equal(buf[kept], '\0');
		}
		for (size_t i = size; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0x55);
	}
	assert_int_equal(fmt_snprintf(NULL, 0, "%d", 12345), 5);
}

static void test_wild_counts(void **state)
{
	char buf[8];

	(void)state;
	/* Cut short rather than printed for minutes, and never an overflow. */
	assert_in_range(fmt_snprintf(buf, sizeof(buf), "%*d", INT_MIN, 1), 1, 4096);
	assert_in_range(fmt_snprintf(buf, sizeof(buf), "%*d", INT_MAX, 1), 1, 4096);
	assert_in_range(fmt_snprintf(buf, sizeof(buf), "%.*d", INT_MAX, 1), 1, 4096);
	assert_in_range(fmt_snprintf(buf, sizeof(buf), "%99999999999d", 1), 1, 4096);
	assert_int_equal(buf[sizeof(buf) - 1], '\0');
}

static void test_unknown_conversion(void **state)
{
	char buf[32];

	(void)state;
	assert_int_equal(fmt_snprintf(buf, sizeof(buf), "a %d %f %s", 1, 2.0, "x"), 9);
	assert_string_equal(buf, "a 1 %f %s");
	fmt_snprintf(buf, sizeof(buf), "end %");
	assert_string_equal(buf, "end %");
	fmt_snprintf(buf, sizeof(buf), "end %-08l");
	assert_string_equal(buf, "end %-08l");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_null_string),
		cmocka_unit_test(test_pointer),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wild_counts),
		cmocka_unit_test(test_unknown_conversion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
