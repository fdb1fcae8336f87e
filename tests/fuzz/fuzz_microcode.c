/* SPDX-License-Identifier: BSD-2-Clause */
/* Microcode in files and initrds: whatever is in them, what is found lies inside and is whole. */
#include <stdlib.h>
#include <string.h>

#include "lib/cpio.h"
#include "lib/insn.h"
#include "platform/microcode.h"
#include "updates.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	(void)leaf;
	(void)subleaf;
	return (struct cpuid){0};
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	(void)msr;
	(void)value;
	return false;
}

bool wrmsr_safe(u32 msr, u64 value)
{
	(void)msr;
	(void)value;
	return false;
}

void wbinvd(void)
{
}

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void find(const u8 *file, size_t size)
{
	const struct microcode_cpu cpu = {.signature = 0x906ea, .platform = 2, .revision = 1};
	/* Exactly as much as there is, for the address sanitizer. */
	u8 *const copy = malloc(size ? size : 1);
	struct microcode_update update;
	u32 total = 0, word;

	memcpy(copy, file, size);
	microcode_find(copy, size, &cpu, &update);
	if (update.size) {
		require(update.data >= copy && update.data + update.size <= copy + size);
		require(update.revision > cpu.revision && update.size % 1024 == 0);
		memcpy(&word, update.data + 28, sizeof(word));
		word = word ? word : 2000;
		for (size_t i = 0; i < UPDATE_HEADER_SIZE + word; i += sizeof(total)) {
			u32 one;

			memcpy(&one, update.data + i, sizeof(one));
			total += one;
		}
		require(total == 0);
	}
	free(copy);
}

/* Sound updates, in which as many words are changed as the input says. */
static void find_in_changed(const u8 *data, size_t size)
{
	static const u32 extended[][2] = {{0x906ea, 2}, {0x906eb, 0xff}};
	static struct update_file file;
	bool seal;

	if (size < 1)
		return;
	seal = data[0] & 1;
	file.size = 0;
	update_add(&file, 0x906ea, 0xff, 2, 976);
	update_add_extended(&file, 0x906eb, 0xff, 3, 928, extended, 2);
	update_add(&file, 0x906ea, 2, 4, 2000);
	for (size_t i = 1; i + 6 <= size; i += 6) {
		u16 at;

		memcpy(&at, data + i, sizeof(at));
		memcpy(file.bytes + at % (file.size - 3), data + i + 2, 4);
	}
	if (seal)
		update_seal(&file, 1024, 48 + 928);
	find(file.bytes, file.size);
}

static void look_into_archive(const u8 *data, size_t size)
{
	u8 *const copy = malloc(size ? size : 1);
	size_t length;
	const u8 *found;

	memcpy(copy, data, size);
	found = cpio_find(copy, size, "a", &length);
	if (found)
		require(found >= copy && found + length <= copy + size);
	free(copy);
}

/* A header before the input's bytes, with numbers from them. */
static void look_into_made_archive(const u8 *data, size_t size)
{
	u8 archive[256] = "070701";

	memset(archive + 6, '0', 104);
	for (size_t i = 0; i + 2 <= size && i < 64; i += 2)
		archive[data[i]] = data[i + 1];
	look_into_archive(archive, sizeof(archive));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	find(data, size);
	find_in_changed(data, size);
	look_into_archive(data, size);
	look_into_made_archive(data, size);
	return 0;
}
