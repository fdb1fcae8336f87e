/* SPDX-License-Identifier: BSD-2-Clause */
#include "keep.h"

#include <probe/kept.h>

#include "boot_info.h"
#include "cmdline.h"
#include "defs.h"
#include "insn.h"

enum { CACHE_LINE = 64 };

extern u8 __image_end[];

static struct kept *kept; /* NULL: no text is kept */
static u64 room, length, flushed;
static u64 digest = KEPT_DIGEST_EMPTY;
static bool ended;

/* Memory that nobody uses, not even the loader for what it told. */
static bool is_free(u64 start, u64 end)
{
	return start >= (u64)__image_end && end <= 4 * GIB &&
	       boot_info_is_ram(&boot_info, start, end - start) &&
	       !boot_info_is_taken(&boot_info, start, end - start);
}

bool keep_init(void)
{
	u64 start, end;
	bool given = cmdline_range("keep", &start, &end), good = given && is_free(start, end);

	if (good) {
		kept = (struct kept *)start;
		room = end - start - sizeof(*kept);
		boot_info_take(&boot_info, start, end - start);
		*kept = (struct kept){.digest = digest};
		keep_message_end();
	}
	if (cmdline_range("spare", &start, &end))
		boot_info_take(&boot_info, start, end - start);
	return good || !given;
}

void keep_put(char c)
{
	if (ended || (kept && length == room))
		return;
	if (kept)
		kept->text[length] = c;
	length++;
	digest = kept_digest(digest, c);
}

/* A reset may throw away what is in caches alone. */
static void flush(u64 from, u64 to)
{
	for (u64 p = ALIGN_DOWN(from, CACHE_LINE); p < to; p += CACHE_LINE)
		asm volatile("clflush %0" : "+m"(*(u8 *)p));
	asm volatile("mfence" : : : "memory");
}

void keep_message_end(void)
{
	if (!kept || ended)
		return;
	flush((u64)&kept->text[flushed], (u64)&kept->text[length]);
	flushed = length;
	kept->magic = KEPT_MAGIC;
	kept->length = length;
	kept->digest = digest;
	flush((u64)kept, (u64)kept->text);
}

void keep_end(void)
{
	ended = true;
}

u64 keep_digest(void)
{
	return digest;
}

u64 keep_length(void)
{
	return kept ? length : 0;
}
