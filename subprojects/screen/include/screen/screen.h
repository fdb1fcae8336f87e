/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text on a screen: VGA text or a linear framebuffer. Its memory is only written: reading it takes
 * far longer on a real machine, so what stands there is remembered. No locking here.
 */
#pragma once

#include <screen/framebuffer.h>

enum { SCREEN_COLUMNS_MAX = 160, SCREEN_ROWS_MAX = 64 };

struct screen {
	enum { SCREEN_NONE, SCREEN_TEXT, SCREEN_PIXELS } kind;
	u32 columns, rows;
	u32 x, y;
	u32 scale; /* SCREEN_PIXELS: one pixel of the font is so many, both ways */
	u8 *memory;
	struct framebuffer fb;
	char cell[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX];
};

/*
 * The screen the loader left: NULL or a text-mode framebuffer means VGA text at 0xb8000, an RGB
 * one is drawn on, others are left alone. Physical memory below limit is mapped at direct_map, and
 * what ends above it is left alone. Nothing is written yet; text begins at the top.
 */
void screen_init(struct screen *s, const struct framebuffer *fb, u64 direct_map, paddr_t limit);

/* Blanks it; text begins at the top again. */
void screen_clear(struct screen *s);

/* One ASCII character; '\n' begins a line, '\r' does nothing. */
void screen_put(struct screen *s, char c);
