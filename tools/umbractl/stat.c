/* SPDX-License-Identifier: BSD-2-Clause */
/* What a command costs in exits, as perf stat does it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "umbra.h"
#include "view.h"

enum { OPTION_OUTPUT };

/* As a shell says it. */
enum { CODE_CANNOT_RUN = 126, CODE_NOT_FOUND = 127, CODE_SIGNAL = 128 };

static int run_command(char **argv)
{
	const pid_t child = fork();
	int status;

	if (child == 0) {
		execvp(argv[0], argv);
		fprintf(stderr, "umbractl: %s: %s\n", argv[0], strerror(errno));
		_exit(errno == ENOENT ? CODE_NOT_FOUND : CODE_CANNOT_RUN);
	}
	/* Ctrl-C is the command's; what it cost until then is told. */
	signal(SIGINT, SIG_IGN);
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		perror("umbractl");
		return CODE_CANNOT_RUN;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : CODE_SIGNAL + WTERMSIG(status);
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
