/* SPDX-License-Identifier: BSD-2-Clause */
/* How much a message matters; a level shows itself and everything before it. */
#pragma once

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};
