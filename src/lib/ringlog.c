/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/ringlog.h"

#include "lib/string.h"

/* Bytes from position `at` to the end of the buffer, but no more than n. */
static size_t run(const struct ringlog *log, u64 at, size_t n)
{
	size_t rest = log->size - (size_t)(at % log->size);

	return n < rest ? n : rest;
}

void ringlog_write(struct ringlog *log, const char *text, size_t n)
{
	if (log->size == 0)
		return;
	if (n > log->size) {
		log->head += n - log->size;
		text += n - log->size;
		n = log->size;
	}
	while (n > 0) {
		size_t part = run(log, log->head, n);

		memcpy(log->buf + log->head % log->size, text, part);
		log->head += part;
		text += part;
		n -= part;
	}
}

size_t ringlog_read(const struct ringlog *log, u64 *from, char *dst, size_t size)
{
	u64 oldest = log->head > log->size ? log->head - log->size : 0;
	size_t done = 0;

	if (*from < oldest)
		*from = oldest;
	while (done < size && *from < log->head) {
		u64 held = log->head - *from;
		size_t part = run(log, *from, held < size - done ? (size_t)held : size - done);

		memcpy(dst + done, log->buf + *from % log->size, part);
		*from += part;
		done += part;
	}
	return done;
}
