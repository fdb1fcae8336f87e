/* SPDX-License-Identifier: BSD-2-Clause */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_JSON = 256, OPTION_HELP };

int command_misused(const char *format, ...)
{
	va_list args;

	fputs("umbractl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nTry 'umbractl --help'.\n", stderr);
	return CODE_USAGE;
}

bool command_seconds(const char *text, double *seconds)
{
	char *end;

	errno = 0;
	*seconds = strtod(text, &end);
	if (errno || end == text || *end || !(*seconds > 0 && *seconds <= 1e6)) {
		command_misused("'%s' is no number of seconds", text);
		return false;
	}
	return true;
}

static void print_option(char letter, const char *name, const char *value, const char *text)
{
	char left[64];

	if (letter)
		snprintf(left, sizeof(left), "-%c, --%s%s%s", letter, name, value ? " " : "",
			 value ? value : "");
	else
		snprintf(left, sizeof(left), "    --%s%s%s", name, value ? " " : "",
			 value ? value : "");
	printf("      %-26s %s\n", left, text);
}

static void print_help(const struct command *commands)
{
	puts("Usage: umbractl COMMAND [OPTION]...\n"
	     "Look at the Umbra below this system, and at what it would need.\n");
	for (const struct command *c = commands; c->name; c++) {
		printf("  %s%s%s\n      %s\n", c->name, c->operands ? " " : "",
		       c->operands ? c->operands : "", c->text);
		for (const struct command_option *o = c->options; o->name; o++)
			print_option(o->letter, o->name, o->value, o->text);
	}
	puts("\nWith every command:");
	print_option(0, "json", NULL, "for programs to read");
	print_option('h', "help", NULL, "this");
	print_option('V', "version", NULL, "umbractl's own version");
	puts("\nExit codes: 0 well, 1 trouble, 2 wrong usage, 3 no Umbra that can be asked,\n"
	     "4 not permitted.");
}

static const struct command *find(const struct command *commands, const char *name)
{
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

/* For getopt_long(): "+" ends the options at the first operand, a command to run for instance. */
static void describe(const struct command *command, char *letters, struct option *options)
{
	int n = 0;

	*letters++ = '+';
	*letters++ = 'h';
	options[n++] = (struct option){"json", no_argument, NULL, OPTION_JSON};
	options[n++] = (struct option){"help", no_argument, NULL, 'h'};
	for (int i = 0; i < COMMAND_OPTIONS && command->options[i].name; i++) {
		const struct command_option *o = &command->options[i];
		const int takes = o->value ? required_argument : no_argument;

		options[n++] = (struct option){o->name, takes, NULL, i};
		*letters++ = o->letter;
		if (o->value)
			*letters++ = ':';
	}
	options[n] = (struct option){0};
	*letters = '\0';
}

static int index_of(const struct command *command, int chosen)
{
	for (int i = 0; i < COMMAND_OPTIONS && command->options[i].name; i++) {
		if (command->options[i].letter == chosen)
			return i;
	}
	return chosen;
}

static int run(const struct command *commands, const struct command *command, bool json, int argc,
	       char **argv)
{
	char letters[3 + 2 * COMMAND_OPTIONS];
	struct option options[COMMAND_OPTIONS + 3];
	struct request request = {.json = json};
	int chosen;

	describe(command, letters, options);
	while ((chosen = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (chosen == '?')
			return command_misused("%s: that option cannot be", command->name);
		if (chosen == 'h') {
			print_help(commands);
			return CODE_OK;
		}
		if (chosen == OPTION_JSON)
			request.json = true;
		else
			request.option[index_of(command, chosen)] = optarg ? optarg : "";
	}
	request.argc = argc - optind;
	request.argv = argv + optind;
	if (request.argc && !command->operands)
		return command_misused("%s takes no '%s'", command->name, request.argv[0]);
	return command->run(&request);
}

int command_main(const struct command *commands, int argc, char **argv)
{
	const struct command *command;
	bool json = false;
	int at = 1;

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (strcmp(argv[at], "--json") == 0) {
			json = true;
		} else if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
			print_help(commands);
			return CODE_OK;
		} else if (strcmp(argv[at], "--version") == 0 || strcmp(argv[at], "-V") == 0) {
			puts("umbractl " UMBRA_VERSION);
			return CODE_OK;
		} else {
			return command_misused("'%s' cannot stand here", argv[at]);
		}
	}
	if (at == argc)
		return command_misused("which command?");
	command = find(commands, argv[at]);
	if (!command)
		return command_misused("there is no command '%s'", argv[at]);
	return run(commands, command, json, argc - at, argv + at);
}
