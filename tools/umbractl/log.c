/* SPDX-License-Identifier: BSD-2-Clause */
/* Umbra's log, which it keeps in its own memory. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "lines.h"
#include "umbra.h"

enum { OPTION_FOLLOW };
enum { FOLLOW_MS = 500, BUSY_MS = 1, BUSY_TRIES = 1000 };

/* What there is from the position on; false: Umbra does not say. */
static bool read_piece(uint64_t *position, char *piece, size_t *length)
{
	uint64_t results[UMBRA_RESULTS], rax;

	for (int tries = 0; tries < BUSY_TRIES; tries++) {
		if (!umbra_ask(UMBRA_ASK_LOG, *position, 0, results, &rax))
			return false;
		if (rax == UMBRA_BUSY) {
			poll(NULL, 0, BUSY_MS);
			continue;
		}
		*length = rax < LINES_PIECE ? (size_t)rax : LINES_PIECE;
		memcpy(piece, &results[1], *length);
		*position = results[0];
		return true;
	}
	return false;
}

static void print_line(void *context, const char *text)
{
	struct json *json = context;

	if (json)
		json_string(json, NULL, text);
	else
		puts(text);
}

static int print_log(bool follow, struct json *json)
{
	struct lines lines = {.each = print_line, .context = json};
	char piece[LINES_PIECE];
	uint64_t position = 0;
	size_t length;

	for (;;) {
		if (!read_piece(&position, piece, &length)) {
			fputs("umbractl: Umbra does not give its log\n", stderr);
			return CODE_TROUBLE;
		}
		lines_add(&lines, piece, length);
		if (length)
			continue;
		if (!follow)
			break;
		if (fflush(stdout) != 0)
			return CODE_OK;
		poll(NULL, 0, FOLLOW_MS);
	}
	lines_end(&lines);
	return CODE_OK;
}

int log_run(const struct request *request)
{
	const bool follow = request->option[OPTION_FOLLOW];
	struct json json = {.out = stdout};
	int code;

	if (follow && request->json)
		return command_misused("log: --follow never ends, so it is no JSON");
	code = umbra_open();
	if (code != CODE_OK)
		return code;
	if (!request->json)
		return print_log(follow, NULL);
	json_open(&json, NULL, '{');
	json_open(&json, "lines", '[');
	code = print_log(false, &json);
	json_close(&json, ']');
	json_close(&json, '}');
	return code;
}
