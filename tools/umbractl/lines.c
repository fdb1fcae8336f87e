/* SPDX-License-Identifier: BSD-2-Clause */
#include "lines.h"

static void give(struct lines *lines)
{
	lines->line[lines->used] = '\0';
	lines->each(lines->context, lines->line);
	lines->used = 0;
}

void lines_add(struct lines *lines, const char *piece, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const char c = piece[i];

		if (c == '\n') {
			give(lines);
			continue;
		}
		if (lines->used + 1 == sizeof(lines->line))
			give(lines);
		lines->line[lines->used++] = c < ' ' || c > '~' ? '?' : c;
	}
}

void lines_end(struct lines *lines)
{
	if (lines->used)
		give(lines);
}
