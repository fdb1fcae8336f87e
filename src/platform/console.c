/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/console.h"

#include <x86/pc.h>

#include "lib/insn.h"
#include "lib/string.h"
#include "mm/layout.h"
#include "platform/font.h"

enum { GLYPH_WIDTH = 8, GLYPH_HEIGHT = 16 };

static struct {
	u16 port;
	enum { SCREEN_NONE, SCREEN_VGA, SCREEN_PIXELS } kind;
	u32 columns, rows;
	u32 x, y;
	struct framebuffer fb;
} console;

void console_init_serial(u16 port, u32 baud)
{
	u32 divisor = baud ? UART_CLOCK / baud : 1;

	console.port = port;
	if (!port)
		return;
	outb((u16)(port + UART_INTERRUPT_ENABLE), 0);
	outb((u16)(port + UART_LINE_CONTROL), UART_DLAB);
	outb((u16)(port + UART_DIVISOR_LOW), (u8)divisor);
	outb((u16)(port + UART_DIVISOR_HIGH), (u8)(divisor >> 8));
	outb((u16)(port + UART_LINE_CONTROL), UART_8N1);
	outb((u16)(port + UART_FIFO_CONTROL), UART_FIFO_CLEAR);
	outb((u16)(port + UART_MODEM_CONTROL), UART_DTR_RTS);
}

static void serial_putc(char c)
{
	/*
	 * A missing port reads ff, which looks ready; a stuck one must not stop Umbra. It is waited
	 * for once, not for each character of a report: the guest may have left it so on purpose.
	 */
	static bool stuck;
	u32 tries = stuck ? 1 : 100000;

	while (tries && !(inb((u16)(console.port + UART_LINE_STATUS)) & UART_TX_EMPTY)) {
		cpu_pause();
		tries--;
	}
	stuck = !tries;
	outb((u16)(console.port + UART_DATA), (u8)c);
}

void console_init_screen(const struct framebuffer *fb)
{
	console.x = 0;
	console.y = 0;
	console.kind = SCREEN_VGA;
	console.columns = VGA_COLUMNS;
	console.rows = VGA_ROWS;
	if (!fb || fb->type == FRAMEBUFFER_TEXT)
		return;
	/* Above 4 GiB there may be no mapping yet, and 16-colour planes are not worth a driver. */
	console.kind = SCREEN_NONE;
	if (fb->type != FRAMEBUFFER_RGB || (fb->bpp != 32 && fb->bpp != 24 && fb->bpp != 16) ||
	    fb->addr + (u64)fb->pitch * fb->height > 4 * GIB)
		return;
	console.fb = *fb;
	console.columns = fb->width / GLYPH_WIDTH;
	console.rows = fb->height / GLYPH_HEIGHT;
	if (console.columns && console.rows)
		console.kind = SCREEN_PIXELS;
}

static void draw_glyph(u32 column, u32 row, char c)
{
	const struct framebuffer *fb = &console.fb;
	u32 bytes = fb->bpp / 8u;
	u32 white = (u32)((BIT(fb->red_size) - 1) << fb->red_pos |
			  (BIT(fb->green_size) - 1) << fb->green_pos |
			  (BIT(fb->blue_size) - 1) << fb->blue_pos);
	const u8 *glyph = font_8x16[(u8)(c - ' ') < ARRAY_SIZE(font_8x16) ? c - ' ' : 0];
	u8 *line = (u8 *)phys_to_virt(fb->addr) + (u64)row * GLYPH_HEIGHT * fb->pitch +
		   (u64)column * GLYPH_WIDTH * bytes;

	for (u32 y = 0; y < GLYPH_HEIGHT; y++, line += fb->pitch) {
		for (u32 x = 0; x < GLYPH_WIDTH; x++) {
			u32 pixel = glyph[y] & (0x80u >> x) ? white : 0;

			for (u32 b = 0; b < bytes; b++)
				((volatile u8 *)line)[x * bytes + b] = (u8)(pixel >> (8 * b));
		}
	}
}

static void scroll(void)
{
	console.y--;
	if (console.kind == SCREEN_VGA) {
		u16 *text = phys_to_virt(VGA_TEXT);
		const size_t cells = VGA_COLUMNS * (VGA_ROWS - 1);

		memmove(text, text + VGA_COLUMNS, cells * sizeof(*text));
		for (size_t i = cells; i < cells + VGA_COLUMNS; i++)
			text[i] = VGA_GREY | ' ';
	} else {
		u8 *pixels = phys_to_virt(console.fb.addr);
		size_t row = (size_t)GLYPH_HEIGHT * console.fb.pitch;

		memmove(pixels, pixels + row, row * (console.rows - 1));
		memset(pixels + row * (console.rows - 1), 0, row);
	}
}

static void screen_putc(char c)
{
	if (c == '\n' || console.x == console.columns) {
		console.x = 0;
		console.y++;
	}
	if (console.y == console.rows)
		scroll();
	if (c == '\n' || c == '\r')
		return;
	if (console.kind == SCREEN_VGA)
		((volatile u16 *)phys_to_virt(VGA_TEXT))[console.y * VGA_COLUMNS + console.x] =
			(u16)(VGA_GREY | (u8)c);
	else
		draw_glyph(console.x, console.y, c);
	console.x++;
}

void console_write(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (console.port) {
			if (text[i] == '\n')
				serial_putc('\r');
			serial_putc(text[i]);
		}
		if (console.kind != SCREEN_NONE)
			screen_putc(text[i]);
	}
}
