/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <screen/font.h>

static const u8 *glyph(char c)
{
	return font_8x16[c - ' '];
}

static bool is_blank(const u8 *g, size_t from, size_t to)
{
	for (size_t row = from; row < to; row++) {
		if (g[row])
			return false;
	}
	return true;
}

static void test_all_are_drawn_and_differ(void **state)
{
	(void)state;
	assert_true(is_blank(glyph(' '), 0, 16));
	for (char a = '!'; a <= '~'; a++) {
		assert_false(is_blank(glyph(a), 0, 16));
		for (char b = ' '; b < a; b++)
			assert_memory_not_equal(glyph(a), glyph(b), 16);
	}
}

static void test_neighbours_do_not_touch(void **state)
{
	(void)state;
	for (char c = ' '; c <= '~'; c++) {
		assert_int_equal(glyph(c)[0], 0);
		assert_int_equal(glyph(c)[15], 0);
		for (size_t row = 0; row < 16; row++)
			assert_int_equal(glyph(c)[row] & 1, 0);
	}
}

static void test_letters_share_lines(void **state)
{
	(void)state;
	for (char c = 'A'; c <= 'Z'; c++) {
		assert_true(is_blank(glyph(c), 0, 2) && glyph(c)[2] != 0);
		assert_true(glyph(c)[11] != 0);
		assert_true(c == 'Q' || is_blank(glyph(c), 12, 16));
	}
	for (char c = '0'; c <= '9'; c++)
		assert_true(is_blank(glyph(c), 0, 2) && glyph(c)[2] && glyph(c)[11] &&
			    is_blank(glyph(c), 12, 16));
	for (char c = 'a'; c <= 'z'; c++) {
		bool tail = strchr("gjpqy", c), tall = strchr("bdfhijklt", c);

		assert_int_equal(is_blank(glyph(c), 12, 16), !tail);
		assert_int_equal(is_blank(glyph(c), 0, 5), !tall);
		assert_true(glyph(c)[11] != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_drawn_and_differ),
		cmocka_unit_test(test_neighbours_do_not_touch),
		cmocka_unit_test(test_letters_share_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
