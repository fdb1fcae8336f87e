/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/format.h"

#include <x86/types.h>

#include "lib/string.h"

/* Nothing wider is ever wanted. */
enum { WIDTH_MAX = 1024 };

struct sink {
	char *buf;
	size_t size;
	size_t length; /* of the whole text, also what did not fit */
};

struct spec {
	bool left;
	bool zero;
	bool alternate;
	u32 width;
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
	size_t pad = used < spec->width ? spec->width - used : 0;

	if (!spec->left)
		put_repeated(s, ' ', pad);
	put_text(s, prefix, strlen(prefix));
	put_repeated(s, '0', zeros);
	put_text(s, body, n);
	if (spec->left)
		put_repeated(s, ' ', pad);
}

static void put_number(struct sink *s, const struct spec *spec, u64 value, u32 base,
		       const char *prefix)
{
	char text[20]; /* 2^64 - 1 in decimal */
	size_t at = sizeof(text);
	size_t n, wanted = 1;

	for (u64 rest = value; rest != 0; rest /= base)
		text[--at] = "0123456789abcdef"[rest % base];
	n = sizeof(text) - at;
	if (spec->zero && !spec->left && spec->width > strlen(prefix))
		wanted = spec->width - strlen(prefix);
	put_field(s, spec, prefix, wanted > n ? wanted - n : 0, text + at, n);
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

/* Digits at *fmt; too many count as WIDTH_MAX. */
static u32 parse_width(const char **fmt)
{
	u32 value = 0;

	for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++) {
		value = value * 10 + (u32)(**fmt - '0');
		if (value > WIDTH_MAX)
			value = WIDTH_MAX;
	}
	return value;
}

_Static_assert(sizeof(long) == sizeof(u64) && sizeof(long long) == sizeof(u64) &&
		       sizeof(size_t) == sizeof(u64),
	       "l, ll and z are one");

/* Whether the argument has 64 bits. */
static bool parse_length(const char **fmt)
{
	const char *const start = *fmt;

	while (**fmt == 'l' || **fmt == 'z')
		(*fmt)++;
	return *fmt != start;
}

int fmt_vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct sink s = {.buf = buf, .size = size};

	while (*fmt != '\0') {
		struct spec spec = {0};
		const char *start = fmt, *text;
		bool is_long;
		i64 number;
		u64 value;

		if (*fmt++ != '%') {
			put(&s, *start);
			continue;
		}
		parse_flags(&fmt, &spec);
		spec.width = parse_width(&fmt);
		is_long = parse_length(&fmt);

		switch (*fmt) {
		case 'd':
			number = is_long ? va_arg(args, i64) : va_arg(args, int);
			value = number < 0 ? 0 - (u64)number : (u64)number;
			put_number(&s, &spec, value, 10, number < 0 ? "-" : "");
			break;
		case 'u':
			value = is_long ? va_arg(args, u64) : va_arg(args, unsigned int);
			put_number(&s, &spec, value, 10, "");
			break;
		case 'x':
			value = is_long ? va_arg(args, u64) : va_arg(args, unsigned int);
			put_number(&s, &spec, value, 16, spec.alternate && value ? "0x" : "");
			break;
		case 's':
			text = va_arg(args, const char *);
			put_field(&s, &spec, "", 0, text, strlen(text));
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
