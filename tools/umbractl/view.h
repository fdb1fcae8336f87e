/* SPDX-License-Identifier: BSD-2-Clause */
/* What `top` and `stat` show. Pure. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "json.h"
#include "sample.h"

struct view {
	const char *version, *options;
	double uptime; /* seconds since the guest began; 0: not known */
	const struct sample *before, *after;
};

/* A screen of at most so many columns and rows, none of them cut off. 0 rows: as many as it takes.
 */
void view_screen(FILE *out, const struct view *view, int columns, int rows, bool colours);

/* What a command cost. */
void view_cost(FILE *out, const struct change *change, const char *command);

/* The numbers of a change, as the value of a key. */
void view_json(struct json *json, const char *key, const struct change *change);
