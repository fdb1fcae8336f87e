/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits as they happen: a screen that renews itself, or so many of them one after the other. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "commands.h"
#include "umbra.h"
#include "uptime.h"
#include "view.h"

enum { OPTION_COUNT, OPTION_DELAY };

static struct termios saved;
static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static void begin_screen(void)
{
	struct termios raw;

	tcgetattr(STDIN_FILENO, &saved);
	raw = saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	/* Another screen, and no cursor, until the end. */
	fputs("\033[?1049h\033[?25l", stdout);
}

static void end_screen(void)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

static void size_of_screen(int *columns, int *rows)
{
	struct winsize size = {0};

	*columns = 80;
	*rows = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		*columns = size.ws_col;
		*rows = size.ws_row;
	}
}

/* Until the time is over, or q is pressed, or a signal says so. */
static void wait_for(double seconds, bool keys)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char key;

	if (!keys) {
		poll(NULL, 0, (int)(seconds * 1000));
		return;
	}
	if (poll(&input, 1, (int)(seconds * 1000)) > 0 &&
	    (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q'))
		ended = 1;
}

static void show(const struct view *view, bool json, bool screen)
{
	const struct change all = change_between(view->before, view->after, ALL_CPUS);
	struct json j = {.out = stdout};
	int columns, rows;

	if (json) {
		json_open(&j, NULL, '{');
		view_json(&j, "all", &all);
		json_open(&j, "cpus", '[');
		for (uint32_t i = 0; i < view->after->cpus; i++) {
			const struct change one = change_between(view->before, view->after, (int)i);

			view_json(&j, NULL, &one);
		}
		json_close(&j, ']');
		json_close(&j, '}');
	} else if (screen) {
		size_of_screen(&columns, &rows);
		fputs("\033[H", stdout);
		view_screen(stdout, view, columns, rows, true);
		fputs("\033[J", stdout);
	} else {
		view_screen(stdout, view, 80, 0, false);
		fputs("\n\n", stdout);
	}
	fflush(stdout);
}

static int run(long count, double delay, bool json)
{
	const bool screen = !count && !json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	const struct sigaction action = {.sa_handler = on_signal};
	struct sample *before = sample_take();
	char version[64], options[2048];

	umbra_text(UMBRA_TEXT_VERSION, version, sizeof(version));
	umbra_text(UMBRA_TEXT_OPTIONS, options, sizeof(options));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (screen)
		begin_screen();
	for (long n = 0; !ended && (!count || n < count); n++) {
		struct sample *after;

		wait_for(n == 0 && screen ? 0.3 : delay, screen);
		if (ended)
			break;
		after = sample_take();
		show(&(struct view){version, options,
				    uptime_seconds(after->fact[UMBRA_FACT_LAUNCH_TSC]), before,
				    after},
		     json, screen);
		free(before);
		before = after;
	}
	free(before);
	if (screen)
		end_screen();
	return CODE_OK;
}

int top_run(const struct request *request)
{
	double delay = 2;
	long count = 0;
	int code;

	if (request->option[OPTION_DELAY] &&
	    !command_seconds(request->option[OPTION_DELAY], &delay))
		return CODE_USAGE;
	if (request->option[OPTION_COUNT]) {
		char *end;

		count = strtol(request->option[OPTION_COUNT], &end, 10);
		if (*end || count < 1)
			return command_misused("'%s' is no number of screens",
					       request->option[OPTION_COUNT]);
	}
	/* Into a pipe: until the reader has enough. */
	code = umbra_open();
	return code == CODE_OK ? run(count, delay, request->json) : code;
}
