/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/string.h"

#ifndef UMBRA_HOSTED

/* The compiler recognises these loops and would make each function call itself. */
#define NO_IDIOM __attribute__((no_builtin))

typedef u64 __attribute__((may_alias, aligned(1))) word;

/* Words by REP, then the odd bytes: fast on every CPU, whether it has ERMSB or not (SDM
 * "Fast-String Operation"). */
void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	void *to = dst;

	size_t words = n / sizeof(word);

	n %= sizeof(word);
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(src), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

NO_IDIOM void *memmove(void *dst, const void *src, size_t n)
{
	u8 *to = dst;
	const u8 *from = src;

	/* Going up is safe unless dst lies inside src; the difference wraps when dst is below. */
	if ((uintptr_t)to - (uintptr_t)from >= n)
		return memcpy(dst, src, n);
	/* Not REP with DF set: an exception taken there would run its handler with DF set. */
	for (; n >= sizeof(word); n -= sizeof(word))
		*(word *)(to + n - sizeof(word)) = *(const word *)(from + n - sizeof(word));
	while (n-- > 0)
		to[n] = from[n];
	return dst;
}

void *memset(void *dst, int value, size_t n)
{
	void *to = dst;

	size_t words = n / sizeof(word);
	const u64 pattern = (u8)value * 0x0101010101010101ull;

	n %= sizeof(word);
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(pattern) : "memory");
	return dst;
}

NO_IDIOM int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (size_t i = 0; i < n; i++) {
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	}
	return 0;
}

NO_IDIOM size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	return n;
}

NO_IDIOM size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n] != '\0')
		n++;
	return n;
}

#endif /* UMBRA_HOSTED */

size_t str_copy(char *dst, size_t size, const char *src)
{
	size_t length = strlen(src);

	if (size > 0) {
		size_t kept = length < size ? length : size - 1;

		memcpy(dst, src, kept);
		dst[kept] = '\0';
	}
	return length;
}
