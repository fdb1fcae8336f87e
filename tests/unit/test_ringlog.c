/* SPDX-License-Identifier: BSD-2-Clause */
/* The reference is the whole text ever written, of which the log must hold the last bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ringlog.h"

static void test_empty(void **state)
{
	struct ringlog log;
	char buf[4], out[4];
	u64 at = 0;

	(void)state;
	log = (struct ringlog){.buf = buf, .size = sizeof(buf)};
	assert_int_equal(ringlog_read(&log, &at, out, sizeof(out)), 0);
	ringlog_write(&log, "", 0);
	assert_int_equal(ringlog_read(&log, &at, out, sizeof(out)), 0);
	assert_int_equal(at, 0);
}

static void test_no_buffer(void **state)
{
	struct ringlog log;
	char out[4];
	u64 at = 0;

	(void)state;
	log = (struct ringlog){.buf = NULL, .size = 0};
	ringlog_write(&log, "text", 4);
	assert_int_equal(ringlog_read(&log, &at, out, sizeof(out)), 0);
}

static void test_against_whole_text(void **state)
{
	static const size_t sizes[] = {1, 2, 7, 16, 61};
	char all[4096];

	(void)state;
	srand(1);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t written = 0;
		struct ringlog log;
		/* Of the exact size, so that the sanitizer sees a byte too many. */
		char *buf = malloc(sizes[s]);

		log = (struct ringlog){.buf = buf, .size = sizes[s]};
		for (size_t i = 0; i < sizeof(all); i++)
			all[i] = (char)(rand() & 0xff);
		while (written < sizeof(all) - 200) {
			size_t n = (size_t)rand() % 150;
			size_t held, got = 0, step = 1 + (size_t)rand() % 20;
			char out[64];
			u64 at = 0;

			ringlog_write(&log, all + written, n);
			written += n;
			held = written < sizes[s] ? written : sizes[s];
			for (size_t part; (part = ringlog_read(&log, &at, out, step)) > 0;) {
				assert_memory_equal(out, all + written - held + got, part);
				got += part;
			}
			assert_int_equal(got, held);
			assert_int_equal(at, written);
			assert_int_equal(log.head, written);
		}
		free(buf);
	}
}

static void test_reader_falls_behind(void **state)
{
	struct ringlog log;
	char buf[4], out[8];
	u64 at = 0;

	(void)state;
	log = (struct ringlog){.buf = buf, .size = sizeof(buf)};
	ringlog_write(&log, "abc", 3);
	assert_int_equal(ringlog_read(&log, &at, out, 1), 1);
	assert_int_equal(out[0], 'a');
	ringlog_write(&log, "defg", 4);
	assert_int_equal(ringlog_read(&log, &at, out, sizeof(out)), 4);
	assert_memory_equal(out, "defg", 4);
	ringlog_write(&log, "h", 1);
	assert_int_equal(ringlog_read(&log, &at, out, sizeof(out)), 1);
	assert_int_equal(out[0], 'h');
	/* A position from the future reads nothing and stays. */
	at = 100;
	assert_int_equal(ringlog_read(&log, &at, out, sizeof(out)), 0);
	assert_int_equal(at, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_no_buffer),
		cmocka_unit_test(test_against_whole_text),
		cmocka_unit_test(test_reader_falls_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
