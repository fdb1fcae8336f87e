/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands, as a table (main.c): a new one is a row there and a file with its run(). --help is
 * made of the same rows, and a check holds the man page and the completion against it.
 */
#pragma once

#include <stdbool.h>

/* umbractl(8) has them. */
enum exit_code {
	CODE_OK = 0,
	CODE_TROUBLE = 1,
	CODE_USAGE = 2,
	CODE_NO_UMBRA = 3,
	CODE_NOT_PERMITTED = 4,
};

enum { COMMAND_OPTIONS = 8 };

struct command_option {
	char letter;
	const char *name;
	const char *value; /* what it takes, for --help; NULL: nothing */
	const char *text;
};

/* What was given: the operands, and for each option its value, "" without one, NULL: not given. */
struct request {
	bool json;
	int argc;
	char **argv;
	const char *option[COMMAND_OPTIONS];
};

struct command {
	const char *name;
	const char *operands; /* for --help; NULL: it takes none */
	const char *text;
	int (*run)(const struct request *request);
	struct command_option options[COMMAND_OPTIONS]; /* up to one without a name */
};

/* Every one takes --json and --help beside its own. Returns an exit_code, or the command's. */
int command_main(const struct command *commands, int argc, char **argv);

/* Complains and returns CODE_USAGE. */
__attribute__((format(printf, 1, 2))) int command_misused(const char *format, ...);

/* The value of an option that is a number of seconds; a complaint, and false. */
bool command_seconds(const char *text, double *seconds);
