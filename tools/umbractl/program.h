/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs of the system that umbractl runs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* As a shell says it. */
enum { CODE_CANNOT_RUN = 126, CODE_NOT_FOUND = 127, CODE_SIGNAL = 128 };

/* Starts it, found by PATH, with this file as its standard output. */
pid_t program_start(char *const argv[], int output);

/* Waits for its end; returns its exit status, or one of these. */
int program_wait(pid_t child);

/* Both; what it prints goes to standard error. Complains unless the status is 0. */
bool program_does(const char *const argv[]);

/* The same, but of what it prints the first line goes into the buffer. */
bool program_says(const char *const argv[], char *line, size_t size);
