/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <screen/font.h>
#include <screen/screen.h>

enum { VGA_ADDRESS = 0xb8000, FB_ADDRESS = 0xe0000000 };

static struct screen s;

static void put(const char *text)
{
	for (; *text; text++)
		screen_put(&s, *text);
}

/* A text screen, in memory that ends where it ends. */
static u16 *text_screen(void)
{
	u16 *cells = malloc(80 * 25 * sizeof(*cells));

	memset(cells, 0xaa, 80 * 25 * sizeof(*cells));
	screen_init(&s, NULL, (u64)cells - VGA_ADDRESS, 4 * GIB);
	return cells;
}

static void row_is(const u16 *cells, size_t row, const char *text)
{
	size_t n = strlen(text);

	for (size_t x = 0; x < 80; x++)
		assert_int_equal(cells[row * 80 + x], 0x0700 | (x < n ? (u8)text[x] : ' '));
}

static void test_text(void **state)
{
	(void)state;
	u16 *cells = text_screen();

	/* What the loader left stays until there is no more room. */
	put("one\r\ntwo");
	assert_int_equal(cells[0], 0x0700 | 'o');
	assert_int_equal(cells[3], 0xaaaa);
	assert_int_equal(cells[80], 0x0700 | 't');
	for (int i = 3; i <= 25; i++)
		put("\nmore");
	assert_int_equal(cells[3], 0xaaaa);
	put("\n");
	row_is(cells, 0, "two");
	row_is(cells, 1, "more");
	row_is(cells, 23, "more");
	row_is(cells, 24, "");
	put("last");
	row_is(cells, 24, "last");
	/* Others have drawn there meanwhile: one more row, and nothing of theirs is left. */
	memset(cells, 0x55, 80 * 25 * sizeof(*cells));
	put("\n");
	row_is(cells, 0, "more");
	row_is(cells, 23, "last");
	row_is(cells, 24, "");
	screen_clear(&s);
	for (size_t y = 0; y < 25; y++)
		row_is(cells, y, "");
	put("anew");
	row_is(cells, 0, "anew");
	free(cells);
}

static void test_long_lines(void **state)
{
	(void)state;
	u16 *cells = text_screen();

	screen_clear(&s);
	for (int i = 0; i < 80; i++)
		screen_put(&s, 'x');
	/* A line that is just full is not followed by an empty one. */
	put("\nnext");
	row_is(cells, 1, "next");
	for (int i = 0; i < 80; i++)
		screen_put(&s, 'y');
	row_is(cells, 2, "yyyy");
	free(cells);
}

struct pixels {
	u8 *memory;
	struct framebuffer fb;
};

static struct pixels pixel_screen(u32 width, u32 height, u8 bpp, u32 pad)
{
	struct pixels p = {
		.fb = {.addr = FB_ADDRESS,
		       .pitch = width * (bpp / 8u) + pad,
		       .width = width,
		       .height = height,
		       .bpp = bpp,
		       .type = FRAMEBUFFER_RGB},
	};

	if (bpp == 16) {
		p.fb.red_pos = 11;
		p.fb.green_pos = 5;
		p.fb.red_size = p.fb.blue_size = 5;
		p.fb.green_size = 6;
	} else {
		p.fb.red_pos = 16;
		p.fb.green_pos = 8;
		p.fb.red_size = p.fb.green_size = p.fb.blue_size = 8;
	}
	p.memory = malloc((size_t)p.fb.pitch * height);
	memset(p.memory, 0xaa, (size_t)p.fb.pitch * height);
	screen_init(&s, &p.fb, (u64)p.memory - FB_ADDRESS, ~0ull);
	return p;
}

static u32 pixel(const struct pixels *p, u32 x, u32 y)
{
	u32 value = 0;

	memcpy(&value, p->memory + (size_t)y * p->fb.pitch + (size_t)x * (p->fb.bpp / 8u),
	       p->fb.bpp / 8u);
	return value;
}

/* Does that cell show this character, each pixel of it so large? */
static void cell_is(const struct pixels *p, u32 column, u32 row, char c, u32 scale)
{
	const u32 white = p->fb.bpp == 16 ? 0xffff : 0xffffff;

	for (u32 y = 0; y < 16 * scale; y++) {
		for (u32 x = 0; x < 8 * scale; x++) {
			bool on = font_8x16[c - ' '][y / scale] & 0x80 >> x / scale;

			assert_int_equal(pixel(p, column * 8 * scale + x, row * 16 * scale + y),
					 on ? white : 0);
		}
	}
}

static void test_pixels(void **state)
{
	static const u8 depths[] = {16, 24, 32};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		/* Lines that begin anywhere, and a rest at the bottom and at the right. */
		struct pixels p = pixel_screen(83, 55, depths[i], 1);

		assert_int_equal(s.columns, 10);
		assert_int_equal(s.rows, 3);
		put("A\xff");
		cell_is(&p, 0, 0, 'A', 1);
		cell_is(&p, 1, 0, ' ', 1);
		assert_int_equal(p.memory[16 * (depths[i] / 8)], 0xaa);
		put("\nB\nC\n");
		/* It moves by more than a row at once, and leaves some. */
		cell_is(&p, 0, 0, 'C', 1);
		cell_is(&p, 0, 1, ' ', 1);
		cell_is(&p, 9, 2, ' ', 1);
		put("D");
		cell_is(&p, 0, 1, 'D', 1);
		for (u32 y = 0; y < 55; y++) {
			assert_int_equal(pixel(&p, 82, y) & 0xffff, 0xaaaa);
			assert_int_equal(p.memory[(size_t)y * p.fb.pitch + p.fb.pitch - 1], 0xaa);
		}
		for (u32 x = 0; x < 83; x++)
			assert_int_equal(pixel(&p, x, 48) & 0xffff, 0xaaaa);
		free(p.memory);
	}
}

/* A page of 80 columns and 25 rows is there on all, in letters as large as possible. */
static void test_sizes(void **state)
{
	static const struct {
		u32 width, height, scale, columns, rows;
	} cases[] = {
		{640, 480, 1, 80, 30},    {800, 600, 1, 100, 37},   {1024, 768, 1, 128, 48},
		{1600, 900, 1, 160, 56},  {1600, 960, 2, 100, 30},  {1920, 1080, 2, 120, 33},
		{3840, 2160, 4, 120, 33}, {1599, 1200, 1, 160, 64}, {5120, 1440, 3, 160, 30},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pixels p = pixel_screen(cases[i].width, cases[i].height, 32, 0);

		assert_int_equal(s.scale, cases[i].scale);
		assert_int_equal(s.columns, cases[i].columns);
		assert_int_equal(s.rows, cases[i].rows);
		for (u32 y = 0; y + 1 < s.rows; y++)
			put("\n");
		for (u32 x = 0; x < s.columns; x++)
			put("W");
		cell_is(&p, 0, s.rows - 1, 'W', s.scale);
		cell_is(&p, s.columns - 1, s.rows - 1, 'W', s.scale);
		put("V");
		screen_clear(&s);
		cell_is(&p, s.columns - 1, s.rows - 1, ' ', s.scale);
		free(p.memory);
	}
}

/* Nothing is touched: there is no memory at all. */
static void test_left_alone(void **state)
{
	const struct framebuffer good = {.addr = FB_ADDRESS,
					 .pitch = 4096,
					 .width = 1024,
					 .height = 768,
					 .bpp = 32,
					 .type = FRAMEBUFFER_RGB};
	struct framebuffer fb[6];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fb); i++)
		fb[i] = good;
	fb[0].type = FRAMEBUFFER_INDEXED;
	fb[1].type = 3;
	fb[2].bpp = 15;
	fb[3].bpp = 8;
	fb[4].addr = 4 * GIB - 4096 * 768 + 1;
	fb[5].width = 7;
	for (size_t i = 0; i < ARRAY_SIZE(fb); i++) {
		screen_init(&s, &fb[i], 0, 4 * GIB);
		put("x\n");
		screen_clear(&s);
		assert_int_equal(s.kind, SCREEN_NONE);
	}
	fb[4].addr--;
	screen_init(&s, &fb[4], 0, 4 * GIB);
	assert_int_equal(s.kind, SCREEN_PIXELS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),       cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_pixels),     cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
