/* SPDX-License-Identifier: BSD-2-Clause */
/* A piece of a text that is read in place: of the command line, of umbra.conf. */
#pragma once

#include <x86/types.h>

#include "lib/string.h"

struct piece {
	const char *text; /* not terminated; NULL: there is no such piece, not even an empty one */
	size_t length;
};

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline bool piece_equals(struct piece p, const char *s)
{
	return p.text && p.length == strlen(s) && memcmp(p.text, s, p.length) == 0;
}

/* Without the blanks around it. */
static inline struct piece piece_trim(struct piece p)
{
	while (p.length && is_blank(p.text[0])) {
		p.text++;
		p.length--;
	}
	while (p.length && is_blank(p.text[p.length - 1]))
		p.length--;
	return p;
}

/* Cuts *p at its first `c` and returns what is behind that, if there is one. */
static inline struct piece piece_cut(struct piece *p, char c)
{
	for (size_t i = 0; i < p->length; i++) {
		if (p->text[i] == c) {
			const struct piece rest = {p->text + i + 1, p->length - i - 1};

			p->length = i;
			return rest;
		}
	}
	return (struct piece){0};
}
