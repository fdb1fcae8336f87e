/* SPDX-License-Identifier: BSD-2-Clause */
#include "offer_print.h"

#include <string.h>

enum { INDENT = 13, WIDTH = 78 };

static unsigned int count_of(const struct offer *offers, unsigned int count,
			     enum offer_verdict verdict)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < count; i++)
		n += offers[i].verdict == verdict;
	return n;
}

/* Names, as many on a line as it holds. */
static void print_names(FILE *out, const struct offer *offers, unsigned int count,
			enum offer_verdict verdict)
{
	size_t used = WIDTH;

	for (unsigned int i = 0; i < count; i++) {
		if (offers[i].verdict != verdict)
			continue;
		if (used + strlen(offers[i].text) + strlen(offers[i].at) + 2 > WIDTH) {
			fprintf(out, "\n%*s", INDENT, "");
			used = INDENT;
		}
		used += (size_t)fprintf(out, "%s%s; ", offers[i].text, offers[i].at);
	}
	fputc('\n', out);
}

void offers_print(FILE *out, const struct offer *offers, unsigned int count)
{
	const unsigned int by_cpu = count_of(offers, count, NOT_BY_CPU);

	fprintf(out, "%u of the CPU's %u controls and features\n", count_of(offers, count, OFFERED),
		count - by_cpu);
	for (unsigned int i = 0; i < count; i++) {
		if (offers[i].verdict == NOT_BY_UMBRA)
			fprintf(out, "%*snot %s%s: %s\n", INDENT, "", offers[i].text, offers[i].at,
				offers[i].why);
	}
	if (by_cpu) {
		fprintf(out, "%*sthe CPU itself lacks:", INDENT, "");
		print_names(out, offers, count, NOT_BY_CPU);
	}
}

struct name {
	char of[80];
};

static struct name name_of(const struct offer *offer)
{
	struct name name;

	snprintf(name.of, sizeof(name.of), "%s%s", offer->text, offer->at);
	return name;
}

static void names_json(struct json *json, const char *key, const struct offer *offers,
		       unsigned int count, enum offer_verdict verdict)
{
	json_open(json, key, '[');
	for (unsigned int i = 0; i < count; i++) {
		if (offers[i].verdict == verdict)
			json_string(json, NULL, name_of(&offers[i]).of);
	}
	json_close(json, ']');
}

void offers_json(struct json *json, const char *key, const struct offer *offers, unsigned int count)
{
	json_open(json, key, '{');
	names_json(json, "offered", offers, count, OFFERED);
	json_open(json, "not_offered", '{');
	for (unsigned int i = 0; i < count; i++) {
		if (offers[i].verdict == NOT_BY_UMBRA)
			json_string(json, name_of(&offers[i]).of, offers[i].why);
	}
	json_close(json, '}');
	names_json(json, "not_in_cpu", offers, count, NOT_BY_CPU);
	json_close(json, '}');
}
