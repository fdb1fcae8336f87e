/* SPDX-License-Identifier: BSD-2-Clause */
/* Output to COM1 and to the VGA text screen. */
#pragma once

#include <stdarg.h>

/* Sets up COM1 (115200 8N1) if there is one, and clears the screen. */
void console_init(void);

/*
 * Writes one message; messages of different CPUs do not mix. The format is print_format()'s.
 * Usable in exception context but not from an NMI handler.
 */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, from a va_list. */
void vprint(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
