/* SPDX-License-Identifier: BSD-2-Clause */
/* The offers, for people and for programs: what `status` and `check` have in common. */
#pragma once

#include <stdio.h>

#include "json.h"
#include "offer.h"

void offers_print(FILE *out, const struct offer *offers, unsigned int count);

/* As the value of a key. */
void offers_json(struct json *json, const char *key, const struct offer *offers,
		 unsigned int count);
