/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes one after the other, and the page that shows them. Pure. */
#pragma once

#include <stdio.h>

#include "json.h"
#include "sample.h"

struct series {
	const char *version, *options;
	const char *when, *host; /* for the heading */
	uint32_t cpus;
	unsigned int count;
	const struct change *of;     /* … of all CPUs */
	const struct change *whole;  /* from the first to the last */
	const struct change *of_cpu; /* the same of each CPU */
};

/* One HTML file that needs nothing else. */
void series_html(FILE *out, const struct series *series);

void series_json(FILE *out, const struct series *series);
