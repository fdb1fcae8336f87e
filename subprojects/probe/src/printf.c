/* SPDX-License-Identifier: BSD-2-Clause */
#include "printf.h"

#include <x86/types.h>

#include "string.h"

struct spec {
	bool left, zero, is_long;
	unsigned width;
	char conversion;
};

static const char *parse_spec(const char *p, struct spec *s)
{
	*s = (struct spec){0};
	for (; *p == '0' || *p == '-'; p++) {
		s->zero |= *p == '0';
		s->left |= *p == '-';
	}
	for (; *p >= '0' && *p <= '9'; p++)
		s->width = s->width * 10 + (unsigned)(*p - '0');
	for (; *p == 'l' || *p == 'z'; p++)
		s->is_long = true;
	s->conversion = *p;
	return p;
}

static void emit(print_sink *sink, void *arg, const struct spec *s, const char *text, size_t len)
{
	size_t pad = s->width > len ? s->width - len : 0;

	if (!s->left)
		for (; pad; pad--)
			sink(arg, s->zero ? '0' : ' ');
	for (size_t i = 0; i < len; i++)
		sink(arg, text[i]);
	for (; pad; pad--)
		sink(arg, ' ');
}

static void emit_number(print_sink *sink, void *arg, const struct spec *s, u64 v, u64 base,
			bool negative)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	if (negative)
		digits[--at] = '-';
	emit(sink, arg, s, digits + at, sizeof(digits) - at);
}

void print_format(print_sink *sink, void *arg, const char *format, va_list args)
{
	for (const char *p = format; *p; p++) {
		struct spec s;

		if (*p != '%') {
			sink(arg, *p);
			continue;
		}
		p = parse_spec(p + 1, &s);
		switch (s.conversion) {
		case 's': {
			const char *text = va_arg(args, const char *);

			emit(sink, arg, &s, text, strlen(text));
			break;
		}
		case 'c': {
			char c = (char)va_arg(args, int);

			emit(sink, arg, &s, &c, 1);
			break;
		}
		case 'd': {
			i64 v = s.is_long ? va_arg(args, long) : va_arg(args, int);

			emit_number(sink, arg, &s, v < 0 ? 0 - (u64)v : (u64)v, 10, v < 0);
			break;
		}
		case 'u':
		case 'x': {
			u64 v = s.is_long ? va_arg(args, unsigned long)
					  : va_arg(args, unsigned int);

			emit_number(sink, arg, &s, v, s.conversion == 'u' ? 10 : 16, false);
			break;
		}
		case 'p':
			emit_number(sink, arg, &s, (u64)va_arg(args, void *), 16, false);
			break;
		case '\0':
			return;
		default:
			sink(arg, s.conversion);
			break;
		}
	}
}
