/* SPDX-License-Identifier: BSD-2-Clause */
/* umbractl: what the Umbra below does. */
#include <stddef.h>

#include "command.h"
#include "commands.h"

static const struct command commands[] = {
	{"status", NULL, "what Umbra this is, and what it offers", status_run, {{0}}},
	{0},
};

int main(int argc, char **argv)
{
	return command_main(commands, argc, argv);
}
