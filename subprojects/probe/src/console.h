/* SPDX-License-Identifier: BSD-2-Clause */
/* Output to COM1, to the screen, and to memory (keep.h). */
#pragma once

#include <screen/framebuffer.h>
#include <stdarg.h>

/* Sets up COM1 (115200 8N1) if there is one. */
void console_init(void);

/* And the screen, which it clears: NULL is VGA text, see screen_init(). After memory_init(). */
void console_init_screen(const struct framebuffer *fb);

/* Begins a new page on the screen. */
void console_clear(void);

/* Has COM1 received a character? It is forgotten. */
bool console_typed(void);

/*
 * Writes one message; messages of different CPUs do not mix. The format is print_format()'s.
 * Usable in exception context but not from an NMI handler.
 */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, from a va_list. */
void vprint(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
