/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * printf's formats, as far as the image uses them: %d %i %u %x %X %c %s %p %%, the length
 * modifiers h hh l ll z, width and precision (also as '*'), and the flags '-', '0' and '#'.
 * They print what the C standard says; %p prints 0x and lower-case hexadecimal digits.
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
__attribute__((format(printf, 3, 4))) int fmt_snprintf(char *buf, size_t size, const char *fmt,
						       ...);
