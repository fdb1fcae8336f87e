/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmdline.h"

#include "string.h"

static const char *line = "";

void cmdline_set(const char *text)
{
	line = text;
}

/* The word that is name, or begins with name=; NULL if none. */
static const char *find(const char *name, bool with_value)
{
	size_t n = strlen(name);

	for (const char *p = line; *p;) {
		while (*p == ' ')
			p++;
		if (strlen(p) >= n && memcmp(p, name, n) == 0) {
			char next = p[n];

			if (with_value ? next == '=' : next == ' ' || next == '\0')
				return p + n;
		}
		while (*p && *p != ' ')
			p++;
	}
	return NULL;
}

bool cmdline_flag(const char *name)
{
	return find(name, false) != NULL;
}

bool cmdline_value(const char *name, char *out, size_t size)
{
	const char *p = find(name, true);
	size_t n = 0;

	if (p)
		for (p++; p[n] && p[n] != ' ' && n + 1 < size; n++)
			out[n] = p[n];
	out[n] = '\0';
	return p != NULL;
}

u64 parse_number(const char **p)
{
	const char *s = *p;
	u64 base = 10, v = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	for (;; s++) {
		u64 digit;

		if (*s >= '0' && *s <= '9')
			digit = (u64)(*s - '0');
		else if (base == 16 && (*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
			digit = (u64)(*s | 0x20) - 'a' + 10;
		else
			break;
		v = v * base + digit;
	}
	*p = s;
	return v;
}

u64 cmdline_number(const char *name, u64 fallback)
{
	const char *p = find(name, true);

	if (!p)
		return fallback;
	p++;
	return parse_number(&p);
}

bool cmdline_range(const char *name, u64 *start, u64 *end)
{
	const char *p = find(name, true);

	if (!p)
		return false;
	p++;
	*start = parse_number(&p);
	if (*p == '-')
		p++;
	*end = parse_number(&p);
	return *start < *end && !(*start % PAGE_SIZE) && !(*end % PAGE_SIZE);
}

static bool ends(char c)
{
	return c == '\0' || c == ',';
}

static bool glob_match(const char *pattern, const char *name, bool wild)
{
	for (; !ends(*pattern); pattern++, name++) {
		if (*pattern == '*') {
			for (;; name++) {
				if (glob_match(pattern + 1, name, true))
					return true;
				if (!*name)
					return false;
			}
		}
		if (!*name || (*pattern != '?' && *pattern != *name))
			return false;
		wild |= *pattern == '?';
	}
	return *name == '\0' || (!wild && *name == '.');
}

/* How many characters a pattern must spell out to ask for this case. */
static size_t explicit_length(const char *name)
{
	size_t length = 0;

	for (size_t i = 0; name[i]; i++)
		if (name[i] == '.')
			length = i + 2;
	return length ? length : strlen(name);
}

static size_t literal_length(const char *pattern)
{
	size_t n = 0;

	while (!ends(pattern[n]) && pattern[n] != '*' && pattern[n] != '?')
		n++;
	return n;
}

bool glob_list_match(const char *patterns, const char *name, bool explicit_only)
{
	for (const char *p = patterns; *p;) {
		if (!ends(*p) && glob_match(p, name, false) &&
		    (!explicit_only || literal_length(p) >= explicit_length(name)))
			return true;
		while (!ends(*p))
			p++;
		if (*p)
			p++;
	}
	return false;
}
