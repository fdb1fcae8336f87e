/* SPDX-License-Identifier: BSD-2-Clause */
/* What Umbra this is. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "json.h"
#include "umbra.h"

struct status {
	char version[64];
	char options[2048];
	uint64_t cpus;
	uint64_t fact[UMBRA_RESULTS];
};

static void print_json(const struct status *s)
{
	struct json json = {.out = stdout};

	json_open(&json, NULL, '{');
	json_string(&json, "version", s->version);
	json_number(&json, "interface", umbra_find());
	json_string(&json, "options", s->options);
	json_number(&json, "cpus", s->cpus);
	json_open(&json, "memory", '{');
	json_number(&json, "start", s->fact[UMBRA_FACT_MEMORY]);
	json_number(&json, "size", s->fact[UMBRA_FACT_MEMORY_SIZE]);
	json_number(&json, "image", s->fact[UMBRA_FACT_IMAGE_SIZE]);
	json_number(&json, "pool_pages", s->fact[UMBRA_FACT_PAGES]);
	json_number(&json, "pool_pages_left", s->fact[UMBRA_FACT_PAGES_LEFT]);
	json_close(&json, '}');
	json_bool(&json, "nested", s->fact[UMBRA_FACT_FLAGS] & UMBRA_FLAG_NESTED);
	json_close(&json, '}');
}

static void print_text(const struct status *s)
{
	printf("Umbra %s, interface %" PRIu32 "\n", s->version, umbra_find());
	printf("options      %s\n", s->options[0] ? s->options : "(none)");
	printf("CPUs         %" PRIu64 "\n", s->cpus);
	printf("memory       %" PRIu64 " KiB at %#" PRIx64 "\n",
	       s->fact[UMBRA_FACT_MEMORY_SIZE] / 1024, s->fact[UMBRA_FACT_MEMORY]);
	printf("nested VMX   %s\n",
	       s->fact[UMBRA_FACT_FLAGS] & UMBRA_FLAG_NESTED ? "offered" : "not offered");
}

int status_run(const struct request *request)
{
	const int code = umbra_open();
	struct status s;

	if (code != CODE_OK)
		return code;
	umbra_text(UMBRA_TEXT_VERSION, s.version, sizeof(s.version));
	umbra_text(UMBRA_TEXT_OPTIONS, s.options, sizeof(s.options));
	umbra_ask(UMBRA_ASK_FACTS, 0, 0, s.fact, &s.cpus);
	(request->json ? print_json : print_text)(&s);
	return CODE_OK;
}
