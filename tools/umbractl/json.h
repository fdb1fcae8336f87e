/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes JSON, and nothing that is none: a key or value at a time, each on a line of its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	unsigned int depth;
	bool some; /* in what is open now there is something already */
};

/* `key`: NULL in an array, and at the top. */
void json_open(struct json *json, const char *key, char bracket);
/* `bracket` is the closing one; behind the last a newline follows. */
void json_close(struct json *json, char bracket);
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, uint64_t value);
void json_decimal(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);
