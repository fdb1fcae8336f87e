/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pieces of <string.h> that the image needs, with the C standard's contracts.
 * A hosted build takes them from its C library, so that the sanitizers see every call.
 */
#pragma once

#include <stddef.h>
#include <x86/types.h>

#ifdef UMBRA_HOSTED
#include <string.h>
#else
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
#endif

/*
 * Copy as much of src as fits and always terminate, unless size is 0. The two must not overlap.
 * Returns strlen(src): a result >= size means that dst holds only the beginning.
 */
size_t str_copy(char *dst, size_t size, const char *src);

/* A digit's value, in bases up to 16; 16 if it is no such digit. */
static inline u32 digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (u32)(c - '0');
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (u32)((c | 0x20) - 'a' + 10);
	return 16;
}
