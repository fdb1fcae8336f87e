/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last bytes of the log, kept in memory: what a panic shows when no console was listening.
 * There is no locking here; the caller's console lock covers it.
 */
#pragma once

#include <x86/types.h>

struct ringlog {
	char *buf;   /* the caller's */
	size_t size; /* of it; 0 keeps nothing */
	u64 head;    /* bytes ever written; the next one goes to buf[head % size] */
};

/* Append n bytes, over the oldest ones when the buffer is full. */
void ringlog_write(struct ringlog *log, const char *text, size_t n);

/*
 * Copy up to `size` bytes from position *from (counted like head; 0 is the first byte ever
 * written) and move *from behind them. A position that has been overwritten moves up to the
 * oldest byte still held. Returns the number of bytes, 0 at the end; nothing is terminated.
 *
 *	for (u64 at = 0; (n = ringlog_read(log, &at, line, sizeof(line))) > 0;)
 *		…
 */
size_t ringlog_read(const struct ringlog *log, u64 *from, char *dst, size_t size);
