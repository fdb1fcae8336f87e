/* SPDX-License-Identifier: BSD-2-Clause */
/* For functions that return NULL or what is wrong, for people. Include after cmocka.h. */
#pragma once

#define assert_says(is, wanted)                                    \
	do {                                                       \
		const char *const is_ = (is), *wanted_ = (wanted); \
		if (is_ && wanted_)                                \
			assert_string_equal(is_, wanted_);         \
		else                                               \
			assert_ptr_equal(is_, wanted_);            \
	} while (0)
