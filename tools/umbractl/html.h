/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdio.h>

/* As text of an HTML file, in attributes too. */
void html_text(FILE *out, const char *text);
