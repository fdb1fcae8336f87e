/* SPDX-License-Identifier: BSD-2-Clause */
#include "chart.h"

#include <math.h>

#include "html.h"
#include "text.h"

/* The drawing, and the place of the curves in it. */
static const int WIDTH = 880, HEIGHT = 260, LEFT = 70, RIGHT = 12, TOP = 12, BOTTOM = 28, GRID = 4;

double chart_scale(double value)
{
	static const double steps[] = {1, 2, 5, 10};
	double power;

	if (!isfinite(value) || value <= 1)
		return 1;
	power = pow(10, floor(log10(value)));
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (value <= steps[i] * power)
			return steps[i] * power;
	}
	return 10 * power;
}

static double at(const struct chart *chart, unsigned int line, unsigned int point)
{
	const double value = chart->value[line * chart->points + point];

	return isfinite(value) && value > 0 ? value : 0;
}

/* What is below a line's top: of a stack all the lines before it. */
static double below(const struct chart *chart, unsigned int line, unsigned int point)
{
	double sum = 0;

	for (unsigned int i = 0; chart->stacked && i < line; i++)
		sum += at(chart, i, point);
	return sum;
}

static double highest(const struct chart *chart)
{
	double most = 0;

	for (unsigned int line = 0; line < chart->lines; line++) {
		for (unsigned int point = 0; point < chart->points; point++)
			most = fmax(most, below(chart, line, point) + at(chart, line, point));
	}
	return most;
}

struct scale {
	double seconds, value;
};

static double x_of(const struct scale *scale, double seconds)
{
	return LEFT + (WIDTH - LEFT - RIGHT) * seconds / scale->seconds;
}

static double y_of(const struct scale *scale, double value)
{
	return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / scale->value;
}

static void grid(FILE *out, const struct chart *chart, const struct scale *scale)
{
	for (int i = 0; i <= GRID; i++) {
		const double value = scale->value * i / GRID, y = y_of(scale, value);
		const double seconds = scale->seconds * i / GRID;

		fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
			LEFT, WIDTH - RIGHT, y, y);
		fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s%s</text>\n",
			LEFT - 8, y + 4, text_rate(value).of, chart->unit);
		fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s s</text>\n",
			x_of(scale, seconds), HEIGHT - 8, i == GRID ? "end" : "middle",
			text_seconds(seconds).of);
	}
}

/* From left to right along the top, in steps: what is known is the mean of each time. */
static void along_top(FILE *out, const struct chart *chart, const struct scale *scale,
		      unsigned int line)
{
	for (unsigned int i = 0; i < chart->points; i++) {
		const double start = i ? chart->until[i - 1] : 0;
		const double y = y_of(scale, below(chart, line, i) + at(chart, line, i));

		fprintf(out, "%c%.1f %.1fH%.1f", i ? 'L' : 'M', x_of(scale, start), y,
			x_of(scale, chart->until[i]));
	}
}

static void back_along_bottom(FILE *out, const struct chart *chart, const struct scale *scale,
			      unsigned int line)
{
	for (unsigned int i = chart->points; i-- > 0;) {
		const double start = i ? chart->until[i - 1] : 0;

		fprintf(out, "L%.1f %.1fH%.1f", x_of(scale, chart->until[i]),
			y_of(scale, below(chart, line, i)), x_of(scale, start));
	}
	fputc('Z', out);
}

void chart_svg(FILE *out, const struct chart *chart, const char *title)
{
	struct scale scale = {.value = chart_scale(highest(chart))};

	scale.seconds = chart->points ? chart->until[chart->points - 1] : 1;
	if (!(scale.seconds > 0))
		scale.seconds = 1;
	fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
	html_text(out, title);
	fputs("\">\n", out);
	grid(out, chart, &scale);
	for (unsigned int line = 0; line < chart->lines && chart->points; line++) {
		fputs("<path d=\"", out);
		along_top(out, chart, &scale, line);
		if (chart->stacked) {
			back_along_bottom(out, chart, &scale, line);
			fprintf(out, "\" fill=\"var(--c%u)\" fill-opacity=\".85\"/>\n", line);
		} else {
			fprintf(out,
				"\" fill=\"none\" stroke=\"var(--c%u)\" stroke-width=\"2\"/>\n",
				line);
		}
	}
	fputs("</svg>\n", out);
}
