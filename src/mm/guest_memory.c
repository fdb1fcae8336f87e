/* SPDX-License-Identifier: BSD-2-Clause */
#include "mm/guest_memory.h"

#include "lib/insn.h"
#include "lib/string.h"
#include "mm/ept01.h"
#include "mm/host_paging.h"
#include "mm/layout.h"

/* The direct map spans this much; higher addresses would wrap into other parts of it. */
static const paddr_t direct_map_end = 1ull << 46;

static bool accessible(paddr_t gpa, size_t size)
{
	return gpa < direct_map_end && size < direct_map_end - gpa && !ept01_is_hidden(gpa, size);
}

/* False: some part faulted, for want of a mapping. The guest's CR2 survives that. */
static bool copy_safe(void *dst, const void *src, size_t size)
{
	const u64 cr2 = read_cr2();
	size_t words = size / 8;

	size %= 8;
	__asm__ goto volatile("1: rep movsq\n\t" EXTABLE("1b", "%l[fault]")
			      : "+D"(dst), "+S"(src), "+c"(words)
			      :
			      : "memory"
			      : fault);
	__asm__ goto volatile("1: rep movsb\n\t" EXTABLE("1b", "%l[fault]")
			      : "+D"(dst), "+S"(src), "+c"(size)
			      :
			      : "memory"
			      : fault);
	return true;
fault:
	write_cr2(cr2);
	return false;
}

/*
 * Called when an access has faulted. True: the page is mapped now, and the access may succeed. In
 * blocks as large as one type goes, so that tables are few.
 */
static bool map_late(paddr_t gpa)
{
	static const u64 blocks[] = {GIB, 2 * MIB, PAGE_SIZE};

	if (gpa < 4 * GIB)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		const paddr_t start = ALIGN_DOWN(gpa, blocks[i]);

		if (!ept01_is_hidden(start, blocks[i]) && ept01_is_write_back(start, blocks[i]))
			return host_paging_map(start, blocks[i]);
	}
	return false;
}

/* Page by page, so that a range that runs into a hole keeps its good part. */
static size_t chunk_of(paddr_t gpa, size_t left)
{
	size_t in_page = PAGE_SIZE - (gpa & (PAGE_SIZE - 1));

	return left < in_page ? left : in_page;
}

/* Out of the usual way. */
__attribute__((noinline)) static bool copy_late(paddr_t gpa, void *dst, const void *src,
						size_t size)
{
	return map_late(gpa) && copy_safe(dst, src, size);
}

static inline void read_chunk(paddr_t gpa, void *dst, size_t size)
{
	const void *src = phys_to_virt(gpa);

	if (!accessible(gpa, size) ||
	    (!copy_safe(dst, src, size) && !copy_late(gpa, dst, src, size)))
		memset(dst, 0xff, size);
}

__attribute__((noinline)) static void read_pages(paddr_t gpa, u8 *to, size_t size)
{
	while (size) {
		size_t n = chunk_of(gpa, size);

		read_chunk(gpa, to, n);
		gpa += n;
		to += n;
		size -= n;
	}
}

void guest_memory_read(paddr_t gpa, void *dst, size_t size)
{
	if (chunk_of(gpa, size) == size)
		read_chunk(gpa, dst, size);
	else
		read_pages(gpa, dst, size);
}

void guest_memory_write(paddr_t gpa, const void *src, size_t size)
{
	const u8 *from = src;

	while (size) {
		size_t n = chunk_of(gpa, size);

		if (accessible(gpa, n) && !copy_safe(phys_to_virt(gpa), from, n))
			copy_late(gpa, phys_to_virt(gpa), from, n);
		gpa += n;
		from += n;
		size -= n;
	}
}

/* False: it faulted. */
static inline bool read_word_safe(const u64 *at, u64 *word)
{
	const u64 cr2 = read_cr2();

	__asm__ goto volatile("1: mov (%1), %0\n\t" EXTABLE("1b", "%l[fault]")
			      : "=r"(*word)
			      : "r"(at)
			      : "memory"
			      : fault);
	return true;
fault:
	write_cr2(cr2);
	return false;
}

u64 guest_memory_read_word(paddr_t gpa)
{
	u64 word;

	if (accessible(gpa, sizeof(word)) &&
	    (read_word_safe(phys_to_virt(gpa), &word) ||
	     (map_late(gpa) && read_word_safe(phys_to_virt(gpa), &word))))
		return word;
	return ~0ull;
}

static bool read_words_safe(const u64 *page, const u16 *index, u32 count, u64 *words)
{
	u32 i = 0;

	while (i < count && read_word_safe(&page[index[i]], &words[i]))
		i++;
	return i == count;
}

void guest_memory_read_words(paddr_t gpa, const u16 *index, u32 count, u64 *words)
{
	const u64 *page = phys_to_virt(gpa);

	if (accessible(gpa, PAGE_SIZE) &&
	    (read_words_safe(page, index, count, words) ||
	     (map_late(gpa) && read_words_safe(page, index, count, words))))
		return;
	for (u32 i = 0; i < count; i++)
		words[i] = ~0ull;
}

enum exchange_result { EXCHANGE_DONE, EXCHANGE_CHANGED, EXCHANGE_FAULT };

#define DEFINE_EXCHANGE(name, type, suffix)                                      \
	static enum exchange_result name(void *at, type old, type new)           \
	{                                                                        \
		type found = old;                                                \
                                                                                 \
		__asm__ goto volatile("1: lock cmpxchg" suffix                   \
				      " %2, (%1)\n\t" EXTABLE("1b", "%l[fault]") \
				      : "+a"(found)                              \
				      : "r"(at), "r"(new)                        \
				      : "memory", "cc"                           \
				      : fault);                                  \
		return found == old ? EXCHANGE_DONE : EXCHANGE_CHANGED;          \
	fault:                                                                   \
		return EXCHANGE_FAULT;                                           \
	}
DEFINE_EXCHANGE(exchange1_safe, u8, "b")
DEFINE_EXCHANGE(exchange4_safe, u32, "l")
DEFINE_EXCHANGE(exchange8_safe, u64, "q")
#undef DEFINE_EXCHANGE

static enum exchange_result exchange_safe(void *at, u64 old, u64 new, size_t size)
{
	const u64 cr2 = read_cr2();
	enum exchange_result result;

	if (size == sizeof(u8))
		result = exchange1_safe(at, (u8)old, (u8) new);
	else if (size == sizeof(u32))
		result = exchange4_safe(at, (u32)old, (u32) new);
	else
		result = exchange8_safe(at, old, new);
	if (result == EXCHANGE_FAULT)
		write_cr2(cr2);
	return result;
}

bool guest_memory_exchange(paddr_t gpa, u64 old, u64 new, size_t size)
{
	const u64 ones = ~0ull >> (64 - 8 * size);
	void *at = phys_to_virt(gpa);
	enum exchange_result result = EXCHANGE_FAULT;

	if (accessible(gpa, size)) {
		result = exchange_safe(at, old, new, size);
		if (result == EXCHANGE_FAULT && map_late(gpa))
			result = exchange_safe(at, old, new, size);
	}
	if (result == EXCHANGE_FAULT)
		return (old & ones) == ones;
	return result == EXCHANGE_DONE;
}

bool guest_memory_is_mapped(paddr_t gpa, size_t size)
{
	u8 byte;

	return accessible(gpa, size) && copy_safe(&byte, phys_to_virt(gpa), sizeof(byte));
}
