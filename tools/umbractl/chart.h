/* SPDX-License-Identifier: BSD-2-Clause */
/* A chart as inline SVG, coloured by the page's --c0, --c1, …. Pure. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct chart {
	unsigned int lines, points;
	double *value;    /* [line * points + point]: what it was in that time */
	double *until;    /* [point]: when that time ended, in seconds; the first began at 0 */
	bool stacked;     /* areas one upon the other, or lines */
	const char *unit; /* behind the numbers of the scale */
};

void chart_svg(FILE *out, const struct chart *chart, const char *title);

/* The end of a scale that has room for the value: 1, 2 or 5, times a power of ten. */
double chart_scale(double value);
