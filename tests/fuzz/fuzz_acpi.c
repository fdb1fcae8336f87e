/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The input is the RSDP and behind it all of physical memory, from address 0 on. A checksum is
 * mended in what the parser reads, or no input would ever get past it.
 */
#include <stdlib.h>
#include <string.h>

#include "platform/acpi.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum { RSDP_LEN = 36, HEADER_LEN = 36, HEADER_CHECKSUM = 9, MAX_LENT = 4096 };

struct memory {
	const u8 *bytes;
	size_t size;
	bool mend;
	u8 *lent[MAX_LENT];
	size_t n_lent;
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void mend(u8 *bytes, size_t n, size_t where)
{
	u8 sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (u8)(sum + bytes[i]);
	bytes[where] = (u8)(bytes[where] - sum);
}

/* Copies of the exact size, so that the sanitizer sees a byte too many. */
static const void *map(void *ctx, paddr_t pa, size_t len)
{
	struct memory *m = ctx;
	u8 *copy;

	if (pa > m->size || len > m->size - pa || m->n_lent == MAX_LENT)
		return NULL;
	copy = malloc(len);
	memcpy(copy, m->bytes + pa, len);
	if (m->mend && len >= HEADER_LEN)
		mend(copy, len, HEADER_CHECKSUM);
	return m->lent[m->n_lent++] = copy;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct acpi_info info;
	static struct memory memory;
	u8 rsdp[RSDP_LEN];
	size_t len;
	const char *error;

	if (size < 1 + RSDP_LEN)
		return 0;
	memcpy(rsdp, data + 1, RSDP_LEN);
	memory = (struct memory){
		.bytes = data + 1 + RSDP_LEN,
		.size = size - 1 - RSDP_LEN,
		.mend = data[0] & 1,
	};
	len = data[0] & 2 ? RSDP_LEN : (data[0] >> 2) % RSDP_LEN;
	if (memory.mend) {
		memcpy(rsdp, "RSD PTR ", 8);
		if (data[0] & 0x80) {
			const u32 extended = RSDP_LEN;

			rsdp[15] = 2;
			memcpy(rsdp + 20, &extended, sizeof(extended));
			/* The XSDT's address, below 64 KiB. */
			memset(rsdp + 26, 0, 6);
		}
		mend(rsdp, 20, 8);
		mend(rsdp, RSDP_LEN, 32);
	}

	error = acpi_parse(rsdp, len, map, &memory, &info);
	require(!error || error[0] != '\0');
	require(info.cpu_count <= ACPI_MAX_CPUS);
	require(error || len >= 20);
	for (u32 i = 0; i < info.cpu_count; i++) {
		for (u32 j = 0; j < i; j++)
			require(info.apic_id[i] != info.apic_id[j]);
	}
	require(!info.reset.valid || (info.reset.space <= ACPI_SPACE_PCI && info.reset.addr != 0));
	while (memory.n_lent > 0)
		free(memory.lent[--memory.n_lent]);
	return 0;
}
