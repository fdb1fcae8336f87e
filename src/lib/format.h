/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * printf's formats, as far as the image uses them: %d %u %x %s %%, the length modifiers l ll z,
 * a width, and the flags '-', '0' and '#'. They print what the C standard says.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

/*
 * Format into buf, cut to size bytes with the terminator, which is always there unless size is 0.
 * Returns the length without terminator that the whole text has: >= size means that it was cut.
 * An unknown conversion is printed as it stands, and nothing after it is converted.
 */
__attribute__((format(printf, 3, 0))) int fmt_vsnprintf(char *buf, size_t size, const char *fmt,
							va_list args);
