/* SPDX-License-Identifier: BSD-2-Clause */
/* What a command costs in exits, as perf stat does it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "program.h"
#include "umbra.h"
#include "view.h"

enum { OPTION_OUTPUT };

static int run_command(char *const argv[])
{
	const pid_t child = program_start(argv, STDOUT_FILENO);

	/* Ctrl-C is the command's; what it cost until then is told. */
	signal(SIGINT, SIG_IGN);
	return program_wait(child);
}

static void print(FILE *out, const struct change *change, const struct request *request, int code)
{
	struct json json = {.out = out};

	if (!request->json) {
		view_cost(out, change, request->argv[0]);
		return;
	}
	json_open(&json, NULL, '{');
	json_open(&json, "command", '[');
	for (int i = 0; i < request->argc; i++)
		json_string(&json, NULL, request->argv[i]);
	json_close(&json, ']');
	json_number(&json, "exit_code", (uint64_t)code);
	view_json(&json, "cost", change);
	json_close(&json, '}');
}

int stat_run(const struct request *request)
{
	const char *path = request->option[OPTION_OUTPUT];
	struct sample *before, *after;
	struct change change;
	FILE *out = stderr;
	int code;

	if (!request->argc)
		return command_misused("stat: which command to run?");
	code = umbra_open();
	if (code != CODE_OK)
		return code;
	if (path)
		out = fopen(path, "we");
	if (!out) {
		fprintf(stderr, "umbractl: %s: %s\n", path, strerror(errno));
		return CODE_TROUBLE;
	}
	before = sample_take();
	code = run_command(request->argv);
	after = sample_take();
	change = change_between(before, after, ALL_CPUS);
	print(out, &change, request, code);
	free(before);
	free(after);
	if (path && fclose(out) != 0) {
		fprintf(stderr, "umbractl: %s: %s\n", path, strerror(errno));
		return CODE_TROUBLE;
	}
	return code;
}
