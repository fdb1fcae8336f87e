/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages. Every line goes into the ring log; to the console too until the guest owns the
 * devices, afterwards only if told `verbose`, or in a panic.
 */
#pragma once

#include <x86/types.h>

#include "config.h"

/* How much a message matters; a level shows itself and everything before it. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Where lines are shown, `n` characters at a time; until then they wait in the ring log. */
void log_set_console(void (*write)(const char *text, size_t n));

/* The most verbose level shown on the console; the ring log takes all that is compiled in. */
void log_set_level(enum log_level level);

/* From here on the devices are the guest's: no more console output, unless `verbose`. */
void log_guest_owns_console(bool verbose);

/* One formatted line, given the prefix "umbra: " and a newline. Any CPU, any context but NMI. */
__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#define LOG(level, ...)                                 \
	do {                                            \
		if ((level) <= UMBRA_LOG_LEVEL)         \
			log_line((level), __VA_ARGS__); \
	} while (0)
#define log_error(...) LOG(LOG_LEVEL_ERROR, "error: " __VA_ARGS__)
#define log_warn(...)  LOG(LOG_LEVEL_WARN, "warning: " __VA_ARGS__)
#define log_info(...)  LOG(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) LOG(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Up to `size` bytes of the ring log from position *from, as ringlog_read() has it; *length: how
 * many. False: another CPU is writing a line, which nobody waits for here.
 */
bool log_read(u64 *from, char *dst, size_t size, size_t *length);

/*
 * For panic: takes the console for good without waiting for a lock whose holder may be dead, and
 * shows what follows whatever the level and the owner.
 */
void log_seize(void);

/* The ring log's lines that the console has not shown. Takes no lock: after log_seize(), or on one
 * CPU alone. */
void log_show_hidden(void);
