/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/log.h"

#include <stdarg.h>

#include "lib/format.h"
#include "lib/ringlog.h"
#include "lib/spinlock.h"
#include "lib/string.h"

enum { LINE_MAX = 256 };

static char ring_buffer[32 * 1024];

static struct {
	struct spinlock lock;
	enum log_level level;
	bool silent;                               /* the guest owns the console */
	void (*write)(const char *text, size_t n); /* NULL: to the ring alone */
	bool seized;                               /* by a panic: no lock is waited for any more */
	u64 shown; /* position in the ring up to which the console has seen it */
	struct ringlog ring;
} log_state = {
	.level = LOG_LEVEL_INFO,
	.ring = {.buf = ring_buffer, .size = sizeof(ring_buffer)},
};

void log_set_console(void (*write)(const char *text, size_t n))
{
	log_state.write = write;
}

void log_set_level(enum log_level level)
{
	log_state.level = level;
}

void log_guest_owns_console(bool verbose)
{
	log_state.silent = !verbose;
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char prefix[] = "umbra: ";
	char line[LINE_MAX];
	size_t length = str_copy(line, sizeof(line), prefix);
	va_list args;
	int n;

	va_start(args, format);
	n = fmt_vsnprintf(line + length, sizeof(line) - length - 1, format, args);
	va_end(args);
	length += strnlen(line + length, (size_t)(n < 0 ? 0 : n));
	line[length++] = '\n';

	if (!log_state.seized)
		spin_lock(&log_state.lock);
	ringlog_write(&log_state.ring, line, length);
	if (log_state.write &&
	    (log_state.seized || (!log_state.silent && level <= log_state.level))) {
		log_state.write(line, length);
		log_state.shown = log_state.ring.head;
	}
	if (!log_state.seized)
		spin_unlock(&log_state.lock);
}

bool log_read(u64 *from, char *dst, size_t size, size_t *length)
{
	if (!spin_trylock(&log_state.lock))
		return false;
	*length = ringlog_read(&log_state.ring, from, dst, size);
	spin_unlock(&log_state.lock);
	return true;
}

void log_seize(void)
{
	log_state.seized = true;
}

void log_show_hidden(void)
{
	char part[128];
	u64 at = log_state.shown;
	size_t n;

	if (!log_state.write)
		return;
	while ((n = ringlog_read(&log_state.ring, &at, part, sizeof(part))) > 0)
		log_state.write(part, n);
	log_state.shown = at;
}
