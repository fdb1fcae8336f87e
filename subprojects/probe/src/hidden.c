/* SPDX-License-Identifier: BSD-2-Clause */
#include "hidden.h"

enum { OPTION_SIZE = 64 };

bool hidden_range_given(u64 *start, u64 *end)
{
	char text[OPTION_SIZE];
	const char *p = text;

	if (!cmdline_value("hidden", text, sizeof(text)))
		return false;
	*start = parse_number(&p);
	if (*p == '-')
		p++;
	*end = parse_number(&p);
	return *start < *end && !(*start % PAGE_SIZE) && !(*end % PAGE_SIZE);
}

bool hidden_range(struct run *t, u64 *start, u64 *end)
{
	char text[OPTION_SIZE];

	if (!cmdline_value("hidden", text, sizeof(text))) {
		run_skip(t, "no hidden= on the command line");
		return false;
	}
	if (hidden_range_given(start, end))
		return true;
	run_fail(t, __LINE__, "hidden=%s is no range of pages", text);
	return false;
}
