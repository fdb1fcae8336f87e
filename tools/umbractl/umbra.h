/* SPDX-License-Identifier: BSD-2-Clause */
/* The Umbra below, by the interface of umbra/interface.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbra/interface.h>

#include "command.h"

/*
 * Finds it and gets permission to ask. What is in the way goes to standard error, and the exit code
 * for it is returned.
 */
int umbra_open(void);

/* The same without a word. */
int umbra_try(void);

/* An unprivileged look: the version of the interface, 0 without one. */
uint32_t umbra_find(void);

/* One call; false: Umbra does not know the function, or not these arguments. */
bool umbra_ask(enum umbra_function function, uint64_t first, uint64_t second,
	       uint64_t results[UMBRA_RESULTS], uint64_t *rax);

/* A whole text, cut to the buffer, and without what a terminal must not see. */
void umbra_text(enum umbra_text which, char *buffer, size_t size);

/* An MSR of a CPU, by Linux's msr driver; false: it cannot be read, and errno tells why. */
bool umbra_rdmsr(unsigned int cpu, uint32_t msr, uint64_t *value);
