/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/microcode.h"

#include <x86/cpuid.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/layout.h"
#include "mm/pages.h"

/* SDM "Microcode Update", "Microcode Update Field Definitions". */
struct header {
	u32 version;
	u32 revision;
	u32 date;
	u32 signature;
	u32 checksum;
	u32 loader;
	u32 platforms;
	u32 data_size;
	u32 total_size;
	u32 reserved[3];
};

/* SDM "Optional Extended Signature Table". */
struct extended_table {
	u32 count;
	u32 checksum;
	u32 reserved[3];
};

struct extended_signature {
	u32 signature;
	u32 platforms;
	u32 checksum;
};

enum {
	VERSION = 1,
	/* "If the data size is 0 …", of the oldest updates. */
	OLD_DATA_SIZE = 2000,
	OLD_TOTAL_SIZE = 2048,
	SIZE_UNIT = 1024,
	PLATFORM_ID_SHIFT = 50,
	REVISION_SHIFT = 32,
};

static struct microcode_update kept;
static u64 loaded; /* by the boot processor, which is the first: see microcode_revisions() */

/* --- Files ------------------------------------------------------------------------------------ */

/* In a file an update may lie at any address. */
static u32 sum(const u8 *p, size_t bytes)
{
	u32 total = 0, word;

	for (size_t i = 0; i + sizeof(word) <= bytes; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		total += word;
	}
	return total;
}

/* NULL, or why what is at `p` is no update at all, so that nothing behind it can be found. */
static const char *read_header(const u8 *p, size_t left, struct header *h)
{
	if (left < sizeof(*h))
		return "it is cut off in an update's header";
	memcpy(h, p, sizeof(*h));
	if (h->data_size == 0) {
		h->data_size = OLD_DATA_SIZE;
		h->total_size = OLD_TOTAL_SIZE;
	}
	if (h->version != VERSION || h->loader != VERSION)
		return "an update has an unknown version";
	if (h->total_size % SIZE_UNIT || h->data_size % sizeof(u32) || h->total_size < sizeof(*h) ||
	    h->data_size > h->total_size - sizeof(*h))
		return "an update has an impossible size";
	if (h->total_size > left)
		return "it is cut off in an update";
	return NULL;
}

static size_t extended_offset(const struct header *h)
{
	return sizeof(*h) + h->data_size;
}

/* The table behind the data; count 0: there is none. */
static bool read_extended(const u8 *p, const struct header *h, struct extended_table *table)
{
	const size_t left = h->total_size - extended_offset(h);

	*table = (struct extended_table){0};
	if (left < sizeof(*table))
		return true;
	memcpy(table, p + extended_offset(h), sizeof(*table));
	return table->count <= (left - sizeof(*table)) / sizeof(struct extended_signature);
}

static struct extended_signature extended_entry(const u8 *p, const struct header *h, u32 i)
{
	struct extended_signature entry;

	memcpy(&entry, p + extended_offset(h) + sizeof(struct extended_table) + i * sizeof(entry),
	       sizeof(entry));
	return entry;
}

/*
 * SDM "Microcode Update Field Definitions": an update sums up to 0, so does its extended table, and
 * so would the update without the table and with an entry's signature, flags and checksum in place
 * of its own.
 */
static bool sums_are_right(const u8 *p, const struct header *h, const struct extended_table *table)
{
	const u32 own = h->signature + h->platforms + h->checksum;

	if (sum(p, extended_offset(h)) != 0)
		return false;
	if (table->count == 0)
		return true;
	if (sum(p + extended_offset(h),
		sizeof(*table) + table->count * sizeof(struct extended_signature)) != 0)
		return false;
	for (u32 i = 0; i < table->count; i++) {
		const struct extended_signature e = extended_entry(p, h, i);

		if (e.signature + e.platforms + e.checksum != own)
			return false;
	}
	return true;
}

/* SDM "Update Installation", "Processor Flags": the bit of the CPU's platform is set. */
static bool is_meant(const struct microcode_cpu *cpu, u32 signature, u32 platforms)
{
	return signature == cpu->signature && (platforms & cpu->platform);
}

static bool is_for(const struct microcode_cpu *cpu, const u8 *p, const struct header *h,
		   const struct extended_table *table)
{
	if (is_meant(cpu, h->signature, h->platforms))
		return true;
	for (u32 i = 0; i < table->count; i++) {
		const struct extended_signature e = extended_entry(p, h, i);

		if (is_meant(cpu, e.signature, e.platforms))
			return true;
	}
	return false;
}

const char *microcode_find(const void *file, size_t size, const struct microcode_cpu *cpu,
			   struct microcode_update *out)
{
	const u8 *const start = file;
	const char *complaint = NULL;
	u32 newest = cpu->revision;
	struct header h;

	*out = (struct microcode_update){0};
	for (size_t at = 0; at < size; at += h.total_size) {
		const u8 *p = start + at;
		const char *error = read_header(p, size - at, &h);
		struct extended_table table;

		if (error)
			return complaint ? complaint : error;
		if (!read_extended(p, &h, &table) || !sums_are_right(p, &h, &table)) {
			complaint = "an update in it is damaged";
			continue;
		}
		if (h.revision <= newest || !is_for(cpu, p, &h, &table))
			continue;
		newest = h.revision;
		*out = (struct microcode_update){p, h.total_size, h.revision};
	}
	return complaint;
}

/* --- CPUs ------------------------------------------------------------------------------------- */

/* SDM "Determining the Signature": after a write of 0, CPUID puts the revision there. */
static u32 revision_now(void)
{
	u64 value = 0;

	wrmsr_safe(MSR_IA32_BIOS_SIGN_ID, 0);
	cpuid(1, 0);
	rdmsr_safe(MSR_IA32_BIOS_SIGN_ID, &value);
	return (u32)(value >> REVISION_SHIFT);
}

struct microcode_cpu microcode_this_cpu(void)
{
	u64 platform = 0;

	rdmsr_safe(MSR_IA32_PLATFORM_ID, &platform);
	return (struct microcode_cpu){
		.signature = cpuid(1, 0).eax,
		.platform = 1u << (platform >> PLATFORM_ID_SHIFT & 7),
		.revision = revision_now(),
	};
}

u64 microcode_pages(const struct microcode_update *update)
{
	return ALIGN_UP((u64)update->size, PAGE_SIZE) / PAGE_SIZE;
}

bool microcode_keep(const struct microcode_update *update)
{
	u8 *copy;

	if (update->size == 0)
		return true;
	copy = pages_alloc(microcode_pages(update));
	if (!copy)
		return false;
	memcpy(copy, update->data, update->size);
	kept = *update;
	kept.data = copy;
	return true;
}

/*
 * SDM "Microcode Update Loader": the address is that of the data behind the header, aligned to 16
 * bytes, in memory that is mapped. The write-back is for CPUs that Intel's errata ask it for.
 */
void microcode_load(void)
{
	struct microcode_update again;
	struct microcode_cpu cpu;
	u32 now;

	if (kept.size == 0)
		return;
	cpu = microcode_this_cpu();
	/* The usual answer where threads share a core, and no reason to add up the update again. */
	if (cpu.revision >= kept.revision)
		return;
	microcode_find(kept.data, kept.size, &cpu, &again);
	if (again.size == 0)
		return;
	wbinvd();
	wrmsr_safe(MSR_IA32_BIOS_UPDT_TRIG, (u64)kept.data + sizeof(struct header));
	now = revision_now();
	if (now != kept.revision) {
		log_warn("microcode: the CPU keeps revision %#x and does not take %#x",
			 cpu.revision, kept.revision);
		return;
	}
	if (!loaded)
		loaded = (u64)cpu.revision << 32 | now;
	log_info("microcode: revision %#x instead of %#x", now, cpu.revision);
}

u64 microcode_revisions(void)
{
	return loaded;
}
