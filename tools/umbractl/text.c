/* SPDX-License-Identifier: BSD-2-Clause */
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct text text_count(uint64_t count)
{
	char digits[24];
	const size_t n = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, count);
	struct text out = {{0}};
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			out.of[used++] = ',';
		out.of[used++] = digits[i];
	}
	return out;
}

struct text text_rate(double rate)
{
	static const struct {
		double from;
		char letter;
	} units[] = {{1e12, 'T'}, {1e9, 'G'}, {1e6, 'M'}};
	struct text out = {{0}};

	if (!(rate > 0))
		rate = 0;
	if (!isfinite(rate) || rate >= 1e15) {
		strcpy(out.of, "many");
		return out;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		/* What rounds up to a million is one. */
		if (rate >= units[i].from * 0.9999995) {
			snprintf(out.of, sizeof(out.of), "%.1f%c", rate / units[i].from,
				 units[i].letter);
			return out;
		}
	}
	if (rate > 0 && rate < 9.995) {
		snprintf(out.of, sizeof(out.of), "%.2f", rate);
		return out;
	}
	return text_count((uint64_t)(rate + 0.5));
}

struct text text_seconds(double seconds)
{
	struct text out = {{0}};

	if (!(seconds > 0 && seconds < 9.95))
		return text_rate(seconds);
	snprintf(out.of, sizeof(out.of), "%.*f", seconds < 0.995 ? 2 : 1, seconds);
	/* Down to a digit that says something. */
	for (size_t n = strlen(out.of); out.of[n - 1] == '0' || out.of[n - 1] == '.'; n--) {
		const bool point = out.of[n - 1] == '.';

		out.of[n - 1] = '\0';
		if (point)
			break;
	}
	return out;
}

struct text text_duration(double seconds)
{
	const uint64_t whole = seconds > 0 && seconds < 1e15 ? (uint64_t)seconds : 0;
	const uint64_t days = whole / 86400;
	struct text out = {{0}};
	int used = 0;

	if (days)
		used = snprintf(out.of, sizeof(out.of), "%" PRIu64 "d ", days);
	snprintf(out.of + used, sizeof(out.of) - (size_t)used, "%u:%02u:%02u",
		 (unsigned int)(whole / 3600 % 24), (unsigned int)(whole / 60 % 60),
		 (unsigned int)(whole % 60));
	return out;
}

struct text text_size(uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	struct text out = {{0}};
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(*units)) {
		value /= 1024;
		unit++;
	}
	if (value < 100 && value > floor(value))
		snprintf(out.of, sizeof(out.of), "%.1f %s", value, units[unit]);
	else
		snprintf(out.of, sizeof(out.of), "%.0f %s", value, units[unit]);
	return out;
}
