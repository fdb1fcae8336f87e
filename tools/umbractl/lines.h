/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines out of a text that comes in pieces. Pure. */
#pragma once

#include <stddef.h>

enum { LINES_PIECE = 72, LINES_LONGEST = 1024 };

/* Zeros, but for the function that gets each line, without its end. */
struct lines {
	void (*each)(void *context, const char *text);
	void *context;
	size_t used;
	char line[LINES_LONGEST];
};

/* What a terminal must not see becomes '?'; a line that is too long is cut in two. */
void lines_add(struct lines *lines, const char *piece, size_t length);

/* The rest is a line, too. */
void lines_end(struct lines *lines);
