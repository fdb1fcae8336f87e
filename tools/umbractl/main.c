/* SPDX-License-Identifier: BSD-2-Clause */
/* umbractl: what the Umbra below does, and how to get one there. */
#include <stddef.h>

#include "command.h"
#include "commands.h"

static const struct command commands[] = {
	{"check", NULL, "whether this machine can run Umbra; needs none", check_run, {{0}}},
	{"log",
	 NULL,
	 "Umbra's log",
	 log_run,
	 {{'f', "follow", NULL, "and what is added to it, until it is interrupted"}}},
	{"report",
	 "FILE",
	 "a page with charts of exits over some time",
	 report_run,
	 {{'t', "time", "SECONDS", "for how long to look (60)"},
	  {'d', "delay", "SECONDS", "how often (1)"}}},
	{"stat",
	 "COMMAND...",
	 "what a command costs in exits",
	 stat_run,
	 {{'o', "output", "FILE", "tell it there, not on standard error"}}},
	{"status", NULL, "what Umbra this is, and what it offers", status_run, {{0}}},
	{"top",
	 NULL,
	 "exits as they happen; q ends it",
	 top_run,
	 {{'n', "count", "NUMBER", "so many screens, one after the other"},
	  {'d', "delay", "SECONDS", "how often (2)"}}},
	{"try",
	 NULL,
	 "start the system under Umbra once, and keep it if it comes up; needs none",
	 try_run,
	 {{'c', "cancel", NULL, "the next start is as usual"},
	  {'C', "confirm", NULL, "the system has come up: is it under Umbra? For the service"}}},
	{0},
};

int main(int argc, char **argv)
{
	return command_main(commands, argc, argv);
}
