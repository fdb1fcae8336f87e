/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where Umbra's words go: a 16550 serial port and the screen (VGA text or a linear framebuffer).
 * There is no locking here; log.c does it.
 */
#pragma once

#include <x86/types.h>

/* Numbered as multiboot2 does. */
enum framebuffer_type {
	FRAMEBUFFER_INDEXED = 0,
	FRAMEBUFFER_RGB = 1,
	FRAMEBUFFER_TEXT = 2,
};

/* pitch * height bytes from addr do not wrap and hold width pixels a line. */
struct framebuffer {
	paddr_t addr;
	u32 pitch; /* bytes from one line to the next */
	u32 width; /* pixels; characters for FRAMEBUFFER_TEXT */
	u32 height;
	u8 bpp;
	u8 type; /* enum framebuffer_type, or another one, which is not drawn on */
	/* FRAMEBUFFER_RGB only: bit position and width of each colour, inside bpp. */
	u8 red_pos, red_size;
	u8 green_pos, green_size;
	u8 blue_pos, blue_size;
};

/* Programs a 16550 at an I/O port, 8N1. Port 0: no serial console. */
void console_init_serial(u16 port, u32 baud);

/*
 * The screen the loader left: NULL or a text-mode framebuffer means VGA text at 0xb8000, an RGB
 * one is drawn on. Its memory must be in the direct map, as the first 4 GiB always are.
 */
void console_init_screen(const struct framebuffer *fb);

/* On the serial port and the screen, whichever there are. */
void console_write(const char *text, size_t n);
