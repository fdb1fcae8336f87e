/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where Umbra's words go: a 16550 serial port and the screen (VGA text or a linear framebuffer).
 * There is no locking here; log.c does it.
 */
#pragma once

#include <screen/framebuffer.h>

#include "mm/memmap.h"

/* Programs a 16550 at an I/O port, 8N1. Port 0: no serial console. */
void console_init_serial(u16 port, u32 baud);

/*
 * The screen the loader left: NULL or a text-mode framebuffer means VGA text at 0xb8000, an RGB
 * one is drawn on if its memory is in the direct map: `mapped` says so, and the first 4 GiB always
 * are. Nothing is written yet.
 */
void console_init_screen(const struct framebuffer *fb, bool mapped);

/* The memory of one that has pixels. */
static inline struct range framebuffer_memory(const struct framebuffer *fb)
{
	return (struct range){fb->addr, (u64)fb->pitch * fb->height};
}

/* Memory that must stay in the direct map for the screen; none: size 0. */
struct range console_screen_memory(void);

/* On the serial port and the screen, whichever there are. */
void console_write(const char *text, size_t n);
