/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/format.h"

#include <x86/types.h>

#include "lib/string.h"

/* Nothing wider is ever wanted, and a wild '*' argument must not print for minutes. */
enum { WIDTH_MAX = 1024 };

struct sink {
	char *buf;
	size_t size;
	size_t length; /* of the whole text, also what did not fit */
};

enum length { LENGTH_INT, LENGTH_CHAR, LENGTH_SHORT, LENGTH_LONG };

struct spec {
	bool left;
	bool zero;
	bool alternate;
	int width;
	int precision; /* negative: none given */
	enum length length;
};

static void put(struct sink *s, char c)
{
	if (s->length + 1 < s->size)
		s->buf[s->length] = c;
	s->length++;
}

static void put_repeated(struct sink *s, char c, size_t n)
{
	while (n-- > 0)
		put(s, c);
}

static void put_text(struct sink *s, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(s, text[i]);
}

/* prefix, zeros and body as one field; the zeros are part of its width. */
static void put_field(struct sink *s, const struct spec *spec, const char *prefix, size_t zeros,
		      const char *body, size_t n)
{
	size_t used = strlen(prefix) + zeros + n;
	size_t pad = used < (size_t)spec->width ? (size_t)spec->width - used : 0;

	if (!spec->left)
		put_repeated(s, ' ', pad);
	put_text(s, prefix, strlen(prefix));
	put_repeated(s, '0', zeros);
	put_text(s, body, n);
	if (spec->left)
		put_repeated(s, ' ', pad);
}

static void put_number(struct sink *s, const struct spec *spec, u64 value, u32 base,
		       const char *digits, const char *prefix)
{
	char text[20]; /* 2^64 - 1 in decimal */
	size_t at = sizeof(text);
	size_t n, wanted;

	for (u64 rest = value; rest != 0; rest /= base)
		text[--at] = digits[rest % base];
	n = sizeof(text) - at;
	if (spec->precision >= 0)
		wanted = (size_t)spec->precision;
	else if (spec->zero && !spec->left && (size_t)spec->width > strlen(prefix))
		wanted = (size_t)spec->width - strlen(prefix);
	else
		wanted = 1;
	put_field(s, spec, prefix, wanted > n ? wanted - n : 0, text + at, n);
}

static void put_string(struct sink *s, const struct spec *spec, const char *text)
{
	size_t n;

	if (!text)
		text = "(null)";
	n = spec->precision >= 0 ? strnlen(text, (size_t)spec->precision) : strlen(text);
	put_field(s, spec, "", 0, text, n);
}

/* Digits at *fmt; too many count as WIDTH_MAX. */
static int parse_count(const char **fmt)
{
	int value = 0;

	for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++) {
		value = value * 10 + (**fmt - '0');
		if (value > WIDTH_MAX)
			value = WIDTH_MAX;
	}
	return value;
}

static void parse_flags(const char **fmt, struct spec *spec)
{
	for (;; (*fmt)++) {
		if (**fmt == '-')
			spec->left = true;
		else if (**fmt == '0')
			spec->zero = true;
		else if (**fmt == '#')
			spec->alternate = true;
		else
			return;
	}
}

static enum length parse_length(const char **fmt)
{
	if (**fmt == 'z') {
		(*fmt)++;
		return LENGTH_LONG;
	}
	if (**fmt == 'l') {
		*fmt += (*fmt)[1] == 'l' ? 2 : 1;
		return LENGTH_LONG;
	}
	if (**fmt == 'h') {
		bool is_char = (*fmt)[1] == 'h';

		*fmt += is_char ? 2 : 1;
		return is_char ? LENGTH_CHAR : LENGTH_SHORT;
	}
	return LENGTH_INT;
}

_Static_assert(sizeof(long) == sizeof(u64) && sizeof(long long) == sizeof(u64) &&
		       sizeof(size_t) == sizeof(u64),
	       "l, ll and z are one");

static i64 narrow_signed(enum length length, i64 value)
{
	switch (length) {
	case LENGTH_CHAR:
		return (signed char)value;
	case LENGTH_SHORT:
		return (short)value;
	default:
		return value;
	}
}

static u64 narrow_unsigned(enum length length, u64 value)
{
	switch (length) {
	case LENGTH_CHAR:
		return (u8)value;
	case LENGTH_SHORT:
		return (u16)value;
	default:
		return value;
	}
}

static int clamp_count(int value)
{
	return value > WIDTH_MAX ? WIDTH_MAX : value;
}

int fmt_vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	static const char lower[] = "0123456789abcdef";
	static const char upper[] = "0123456789ABCDEF";
	struct sink s = {.buf = buf, .size = size};

	while (*fmt != '\0') {
		struct spec spec = {.precision = -1};
		const char *start = fmt;
		i64 number;
		u64 value;
		char c;

		if (*fmt++ != '%') {
			put(&s, *start);
			continue;
		}
		parse_flags(&fmt, &spec);
		if (*fmt == '*') {
			int width = va_arg(args, int);

			fmt++;
			spec.left |= width < 0;
			/* Limited before it is negated: -INT_MIN does not exist. */
			if (width < -WIDTH_MAX)
				width = -WIDTH_MAX;
			spec.width = clamp_count(width < 0 ? -width : width);
		} else {
			spec.width = parse_count(&fmt);
		}
		if (*fmt == '.') {
			fmt++;
			if (*fmt == '*') {
				fmt++;
				spec.precision = clamp_count(va_arg(args, int));
			} else {
				spec.precision = parse_count(&fmt);
			}
		}
		spec.length = parse_length(&fmt);

		switch (*fmt) {
		case 'd':
		case 'i':
			number = spec.length == LENGTH_LONG ? va_arg(args, i64) : va_arg(args, int);
			number = narrow_signed(spec.length, number);
			value = number < 0 ? 0 - (u64)number : (u64)number;
			put_number(&s, &spec, value, 10, lower, number < 0 ? "-" : "");
			break;
		case 'u':
		case 'x':
		case 'X':
			value = spec.length == LENGTH_LONG ? va_arg(args, u64)
							   : va_arg(args, unsigned int);
			value = narrow_unsigned(spec.length, value);
			if (*fmt == 'u')
				put_number(&s, &spec, value, 10, lower, "");
			else if (*fmt == 'x')
				put_number(&s, &spec, value, 16, lower,
					   spec.alternate && value != 0 ? "0x" : "");
			else
				put_number(&s, &spec, value, 16, upper,
					   spec.alternate && value != 0 ? "0X" : "");
			break;
		case 'p':
			value = (uintptr_t)va_arg(args, void *);
			put_number(&s, &spec, value, 16, lower, "0x");
			break;
		case 'c':
			c = (char)va_arg(args, int);
			put_field(&s, &spec, "", 0, &c, 1);
			break;
		case 's':
			put_string(&s, &spec, va_arg(args, const char *));
			break;
		case '%':
			put(&s, '%');
			break;
		default:
			/* Which arguments it would have taken is unknown: stop converting. */
			put_text(&s, start, strlen(start));
			goto out;
		}
		fmt++;
	}
out:
	if (size > 0)
		buf[s.length < size ? s.length : size - 1] = '\0';
	return s.length > INT32_MAX ? INT32_MAX : (int)s.length;
}

int fmt_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int length;

	va_start(args, fmt);
	length = fmt_vsnprintf(buf, size, fmt, args);
	va_end(args);
	return length;
}
