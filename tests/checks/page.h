/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page of documentation that is made of a table in the sources.
 *
 *   PROGRAM          prints it
 *   PROGRAM FILE     fails if that is not what the file has
 *   PROGRAM -o FILE  writes the file
 */
#pragma once

#include <stdio.h>

/* The whole of main(). */
int page_main(int argc, char **argv, void (*print)(FILE *out));
