/* SPDX-License-Identifier: BSD-2-Clause */
/* What Umbra this is. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "cpu.h"
#include "offer_print.h"
#include "sample.h"
#include "text.h"
#include "umbra.h"
#include "uptime.h"

struct status {
	char version[64];
	char options[2048];
	const struct sample *sample;
	struct offer offers[OFFERS_MAX];
	unsigned int offer_count; /* 0: nothing is offered, or not known what */
	const char *unknown;      /* why, then */
};

static bool is_offered(const struct status *s)
{
	return s->sample->fact[UMBRA_FACT_FLAGS] & UMBRA_FLAG_NESTED;
}

static struct change since_the_start(const struct status *s)
{
	struct sample *const none = sample_take();
	struct change change;

	for (uint32_t i = 0; i < none->cpus; i++)
		none->cpu[i] = (struct cpu_sample){0};
	change = change_between(none, s->sample, ALL_CPUS);
	change.seconds = uptime_seconds(s->sample->fact[UMBRA_FACT_LAUNCH_TSC]);
	free(none);
	return change;
}

static void print_json(const struct status *s)
{
	const uint64_t *fact = s->sample->fact;
	const struct change all = since_the_start(s);
	struct json json = {.out = stdout};

	json_open(&json, NULL, '{');
	json_string(&json, "version", s->version);
	json_number(&json, "interface", umbra_find());
	json_string(&json, "options", s->options);
	json_number(&json, "cpus", s->sample->cpus);
	json_decimal(&json, "uptime", all.seconds);
	json_open(&json, "memory", '{');
	json_number(&json, "start", fact[UMBRA_FACT_MEMORY]);
	json_number(&json, "size", fact[UMBRA_FACT_MEMORY_SIZE]);
	json_number(&json, "image", fact[UMBRA_FACT_IMAGE_SIZE]);
	json_number(&json, "pool_pages", fact[UMBRA_FACT_PAGES]);
	json_number(&json, "pool_pages_left", fact[UMBRA_FACT_PAGES_LEFT]);
	json_close(&json, '}');
	json_open(&json, "microcode", '{');
	json_number(&json, "before", fact[UMBRA_FACT_MICROCODE] >> 32);
	json_number(&json, "loaded", (uint32_t)fact[UMBRA_FACT_MICROCODE]);
	json_close(&json, '}');
	json_open(&json, "dma", '{');
	json_number(&json, "units", s->sample->dma_units);
	json_number(&json, "refused", s->sample->dma_faults);
	json_close(&json, '}');
	json_number(&json, "exits", all.all_exits);
	json_number(&json, "hidden_reads", all.hidden_reads);
	json_number(&json, "hidden_writes", all.hidden_writes);
	json_number(&json, "unexpected_exits", all.unexpected);
	json_bool(&json, "nested_offered", is_offered(s));
	json_bool(&json, "vmcs_shadowing", all.shadowing);
	if (s->offer_count)
		offers_json(&json, "nested", s->offers, s->offer_count);
	json_close(&json, '}');
}

static void print_nested(const struct status *s, const struct change *all)
{
	if (!is_offered(s)) {
		puts("nested VMX   not offered: by the option nested=off, or a build without");
		return;
	}
	printf("shadow VMCS  %s\n", all->shadowing ? "used" : "not used");
	printf("nested VMX   ");
	if (s->offer_count)
		offers_print(stdout, s->offers, s->offer_count);
	else
		printf("offered; not known in detail: %s\n", s->unknown);
}

static void print_text(const struct status *s)
{
	const uint64_t *fact = s->sample->fact;
	const struct change all = since_the_start(s);
	const uint64_t used = fact[UMBRA_FACT_PAGES] - fact[UMBRA_FACT_PAGES_LEFT];

	printf("Umbra %s, interface %" PRIu32 "\n", s->version, umbra_find());
	printf("options      %s\n", s->options[0] ? s->options : "none");
	printf("up           %s, %s exits\n", text_duration(all.seconds).of,
	       text_count(all.all_exits).of);
	printf("CPUs         %" PRIu32 "\n", s->sample->cpus);
	printf("memory       %s at %#" PRIx64 ", %s of it the program; ",
	       text_size(fact[UMBRA_FACT_MEMORY_SIZE]).of, fact[UMBRA_FACT_MEMORY],
	       text_size(fact[UMBRA_FACT_IMAGE_SIZE]).of);
	printf("%s of %s pages of the pool in use\n", text_count(used).of,
	       text_count(fact[UMBRA_FACT_PAGES]).of);
	printf("             the guest read %s of its pages, as ones; writes refused: %s\n",
	       text_count(all.hidden_reads).of, text_count(all.hidden_writes).of);
	if (fact[UMBRA_FACT_MICROCODE])
		printf("microcode    %#" PRIx32 " instead of %#" PRIx64 "\n",
		       (uint32_t)fact[UMBRA_FACT_MICROCODE], fact[UMBRA_FACT_MICROCODE] >> 32);
	else
		puts("microcode    none was loaded by Umbra");
	if (s->sample->dma_units)
		printf("devices      kept out by %s VT-d units; accesses refused: %s\n",
		       text_count(s->sample->dma_units).of, text_count(s->sample->dma_faults).of);
	else
		puts("devices      not kept out: dma=pass, or for a reason that umbractl log has");
	print_nested(s, &all);
}

int status_run(const struct request *request)
{
	const int code = umbra_open();
	struct vmx_capabilities own, seen;
	struct sample *sample;
	struct status s = {.offer_count = 0};

	if (code != CODE_OK)
		return code;
	umbra_text(UMBRA_TEXT_VERSION, s.version, sizeof(s.version));
	umbra_text(UMBRA_TEXT_OPTIONS, s.options, sizeof(s.options));
	s.sample = sample = sample_take();
	if (is_offered(&s)) {
		s.unknown = cpu_capabilities(true, &own);
		if (!s.unknown)
			s.unknown = cpu_capabilities_seen(&seen);
		if (!s.unknown)
			s.offer_count = offers_make(&own, &seen, s.offers);
	}
	(request->json ? print_json : print_text)(&s);
	free(sample);
	return CODE_OK;
}
