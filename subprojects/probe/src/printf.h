/* SPDX-License-Identifier: BSD-2-Clause */
/* A small printf: %s %c %d %u %x %p %%, with l, ll or z, a width and '0' or '-' before it. */
#pragma once

#include <stdarg.h>

/* Called once per character. */
typedef void print_sink(void *arg, char c);

/* Formats into sink(arg, character). */
void print_format(print_sink *sink, void *arg, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
