/* SPDX-License-Identifier: BSD-2-Clause */
#include <screen/screen.h>

#include <screen/font.h>
#include <x86/pc.h>

enum {
	GLYPH_WIDTH = 8,
	GLYPH_HEIGHT = 16,
	/* Letters grow with the screen, as long as so many have room: a page of VGA text, at least.
	 */
	COLUMNS_WANTED = 100,
	ROWS_WANTED = 30,
};

/* A line of a framebuffer may begin anywhere. */
typedef u32 unaligned_u32 __attribute__((aligned(1), may_alias));

static u32 at_most(u32 value, u32 limit)
{
	return value < limit ? value : limit;
}

static void init_pixels(struct screen *s, const struct framebuffer *fb, u64 direct_map,
			paddr_t limit)
{
	/* 16-colour planes are not worth a driver. */
	if (fb->type != FRAMEBUFFER_RGB || (fb->bpp != 32 && fb->bpp != 24 && fb->bpp != 16) ||
	    fb->addr + (u64)fb->pitch * fb->height > limit)
		return;
	s->scale = at_most(fb->width / (COLUMNS_WANTED * GLYPH_WIDTH),
			   fb->height / (ROWS_WANTED * GLYPH_HEIGHT));
	if (!s->scale)
		s->scale = 1;
	s->columns = at_most(fb->width / (GLYPH_WIDTH * s->scale), SCREEN_COLUMNS_MAX);
	s->rows = at_most(fb->height / (GLYPH_HEIGHT * s->scale), SCREEN_ROWS_MAX);
	s->memory = (u8 *)(direct_map + fb->addr);
	s->fb = *fb;
	if (s->columns && s->rows)
		s->kind = SCREEN_PIXELS;
}

void screen_init(struct screen *s, const struct framebuffer *fb, u64 direct_map, paddr_t limit)
{
	for (u32 y = 0; y < SCREEN_ROWS_MAX; y++)
		for (u32 x = 0; x < SCREEN_COLUMNS_MAX; x++)
			s->cell[y][x] = ' ';
	s->x = 0;
	s->y = 0;
	s->kind = SCREEN_NONE;
	if (fb && fb->type != FRAMEBUFFER_TEXT) {
		init_pixels(s, fb, direct_map, limit);
		return;
	}
	s->kind = SCREEN_TEXT;
	s->columns = VGA_COLUMNS;
	s->rows = VGA_ROWS;
	s->memory = (u8 *)(direct_map + VGA_TEXT);
}

static void put_pixel(u8 *at, u32 bytes, u32 pixel)
{
	if (bytes == sizeof(u32)) {
		*(volatile unaligned_u32 *)at = pixel;
		return;
	}
	for (u32 b = 0; b < bytes; b++)
		((volatile u8 *)at)[b] = (u8)(pixel >> (8 * b));
}

static void draw_glyph(struct screen *s, u32 column, u32 row, char c)
{
	const struct framebuffer *fb = &s->fb;
	const u32 bytes = fb->bpp / 8u, width = GLYPH_WIDTH * s->scale;
	const u32 white = (u32)((BIT(fb->red_size) - 1) << fb->red_pos |
				(BIT(fb->green_size) - 1) << fb->green_pos |
				(BIT(fb->blue_size) - 1) << fb->blue_pos);
	const u8 *glyph = font_8x16[(u8)(c - ' ') < ARRAY_SIZE(font_8x16) ? c - ' ' : 0];
	u8 *line = s->memory + (u64)row * GLYPH_HEIGHT * s->scale * fb->pitch +
		   (u64)column * width * bytes;

	for (u32 y = 0; y < GLYPH_HEIGHT * s->scale; y++, line += fb->pitch)
		for (u32 x = 0; x < width; x++)
			put_pixel(line + (u64)x * bytes, bytes,
				  glyph[y / s->scale] & (0x80u >> x / s->scale) ? white : 0);
}

static void set(struct screen *s, u32 column, u32 row, char c)
{
	s->cell[row][column] = c;
	if (s->kind == SCREEN_TEXT)
		((volatile u16 *)s->memory)[row * VGA_COLUMNS + column] = (u16)(VGA_GREY | (u8)c);
	else
		draw_glyph(s, column, row, c);
}

/*
 * The text from that row on to the top, blanks behind it. All of it is drawn: what was there before
 * us goes, and so does what others, such as Umbra's guest, have drawn since.
 */
static void move_up(struct screen *s, u32 from)
{
	for (u32 y = 0; y < s->rows; y++)
		for (u32 x = 0; x < s->columns; x++)
			set(s, x, y, from < s->rows - y ? s->cell[from + y][x] : ' ');
}

void screen_clear(struct screen *s)
{
	if (s->kind == SCREEN_NONE)
		return;
	move_up(s, s->rows);
	s->x = 0;
	s->y = 0;
}

void screen_put(struct screen *s, char c)
{
	if (s->kind == SCREEN_NONE)
		return;
	if (c == '\n' || s->x == s->columns) {
		s->x = 0;
		s->y++;
	}
	if (s->y == s->rows) {
		/* Drawing takes long: in pixels so seldom that a line is drawn twice, not often. */
		u32 step = s->kind == SCREEN_PIXELS ? (s->rows + 1) / 2 : 1;

		move_up(s, step);
		s->y -= step;
	}
	if (c != '\n' && c != '\r')
		set(s, s->x++, s->y, c);
}
