/* SPDX-License-Identifier: BSD-2-Clause */
/* A page about some time: samples, and one file with charts of them. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "series.h"
#include "umbra.h"

enum { OPTION_TIME, OPTION_DELAY };
static const int SAMPLES_MAX = 5000;

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static void *need(void *memory)
{
	if (!memory) {
		fputs("umbractl: out of memory\n", stderr);
		exit(CODE_TROUBLE);
	}
	return memory;
}

static int write_page(const struct series *series, const char *path, bool json)
{
	FILE *out = strcmp(path, "-") ? fopen(path, "we") : stdout;
	bool bad = !out;

	if (out) {
		(json ? series_json : series_html)(out, series);
		bad = ferror(out) || (out == stdout ? fflush(out) : fclose(out)) != 0;
	}
	if (bad) {
		fprintf(stderr, "umbractl: %s: %s\n", path, strerror(errno));
		return CODE_TROUBLE;
	}
	return CODE_OK;
}

static int report(const char *path, unsigned int count, double delay, bool json)
{
	char version[64], options[2048], host[256] = "this machine", when[64];
	struct sample *const first = sample_take(), *before = first, *after = first;
	struct change *changes = need(calloc(count, sizeof(*changes))), whole, *of_cpu;
	const time_t now = time(NULL);
	struct tm local;
	unsigned int n = 0;
	int code;

	umbra_text(UMBRA_TEXT_VERSION, version, sizeof(version));
	umbra_text(UMBRA_TEXT_OPTIONS, options, sizeof(options));
	gethostname(host, sizeof(host) - 1);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %Z", localtime_r(&now, &local));
	/* Ctrl-C ends the time, not the page. */
	sigaction(SIGINT, &(const struct sigaction){.sa_handler = on_signal}, NULL);
	while (n < count && !ended) {
		poll(NULL, 0, (int)(delay * 1000));
		after = sample_take();
		changes[n++] = change_between(before, after, ALL_CPUS);
		if (before != first)
			free(before);
		before = after;
	}
	whole = change_between(first, after, ALL_CPUS);
	of_cpu = need(calloc(first->cpus + 1, sizeof(*of_cpu)));
	for (uint32_t i = 0; i < first->cpus; i++)
		of_cpu[i] = change_between(first, after, (int)i);
	code = write_page(
		&(const struct series){
			.version = version,
			.options = options,
			.when = when,
			.host = host,
			.cpus = first->cpus,
			.count = n,
			.of = changes,
			.whole = &whole,
			.of_cpu = of_cpu,
		},
		path, json);
	if (after != first)
		free(after);
	free(first);
	free(changes);
	free(of_cpu);
	return code;
}

int report_run(const struct request *request)
{
	double length = 60, delay = 1;
	int code;

	if (request->argc != 1)
		return command_misused("report: one file to write, or - for standard output");
	if (request->option[OPTION_TIME] && !command_seconds(request->option[OPTION_TIME], &length))
		return CODE_USAGE;
	if (request->option[OPTION_DELAY] &&
	    !command_seconds(request->option[OPTION_DELAY], &delay))
		return CODE_USAGE;
	if (length / delay > SAMPLES_MAX)
		return command_misused("report: more than %d samples", SAMPLES_MAX);
	code = umbra_open();
	if (code != CODE_OK)
		return code;
	return report(request->argv[0], length > delay ? (unsigned int)(length / delay + 0.5) : 1,
		      delay, request->json);
}
