/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into Bochs 3.1 as Debian builds it: there IDIV of RDX:RAX gives wrong results, because
 * the compiler assumes that signed and unsigned halves of a 128-bit number never share memory and
 * leaves stores out of long_idiv(). Every call of that function comes to the one here instead. In
 * a Bochs without that symbol nothing is done.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

/* Bochs's Bit128s. */
struct number {
	uint64_t low;
	uint64_t high;
};

/* Bochs has refused a divisor of 0 and -2^127 by now, and checks itself whether the quotient fits.
 */
static void divide(struct number *quotient, int64_t *remainder, const struct number *dividend,
		   int64_t divisor)
{
	const __int128 value = (__int128)((unsigned __int128)dividend->high << 64 | dividend->low);
	const __int128 result = value / divisor;

	quotient->low = (uint64_t)result;
	quotient->high = (uint64_t)((unsigned __int128)result >> 64);
	*remainder = (int64_t)(value % divisor);
}

/* jmp [rip], and the address behind it */
struct __attribute__((packed)) jump {
	uint8_t code[6];
	void (*target)(struct number *, int64_t *, const struct number *, int64_t);
};

__attribute__((constructor)) static void mend(void)
{
	const struct jump jump = {{0xff, 0x25, 0, 0, 0, 0}, divide};
	uint8_t *function = dlsym(RTLD_DEFAULT, "_Z9long_idivP7Bit128sPlPKS_l");
	uint8_t *page = (uint8_t *)((uintptr_t)function & ~(uintptr_t)(PAGE - 1));

	if (!function)
		return;
	if (mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC)) {
		perror("bochs_idiv_fix");
		return;
	}
	memcpy(function, &jump, sizeof(jump));
	mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC);
}
