/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that was not there at boot: Umbra's own accesses for the guest reach it where the guest
 * does, and nothing else by it. In place of the direct map is an address range of this process, in
 * which accesses to what is not mapped are faults, as in the image.
 */
#define _GNU_SOURCE /* REG_RIP */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#include "lib/insn.h"
#include "mm/ept01.h"
#include "mm/guest_memory.h"
#include "mm/host_paging.h"
#include "mm/layout.h"

static const u64 WINDOW = 8 * GIB;
static const paddr_t BOOT_MEMORY = 64 * KIB; /* from address 0 */
/* Write-back by the MTRRs; in its second GiB a page of Umbra's and some device's memory. */
static const paddr_t LATE = 5 * GIB, LATE_END = 7 * GIB;
static const paddr_t HIDDEN = 6 * GIB + 2 * MIB + 5 * PAGE_SIZE;
static const paddr_t DEVICE = 6 * GIB + 6 * MIB, DEVICE_END = 6 * GIB + 8 * MIB;
static const u64 GUEST_CR2 = 0x1234567;

static u8 *window;
static bool out_of_memory;
static struct {
	u32 maps;
	paddr_t start;
	u64 size;
	u64 cr2;
} seen;

/* --- The machine ------------------------------------------------------------------------------ */

void *phys_to_virt(paddr_t pa)
{
	return window + (pa < WINDOW ? pa : WINDOW);
}

static bool overlaps(paddr_t start, u64 size, paddr_t from, paddr_t to)
{
	return start < to && from < start + size;
}

bool ept01_is_hidden(paddr_t start, u64 size)
{
	return overlaps(start, size, HIDDEN, HIDDEN + PAGE_SIZE);
}

bool ept01_is_write_back(paddr_t start, u64 size)
{
	return start >= LATE && start + size <= LATE_END &&
	       !overlaps(start, size, DEVICE, DEVICE_END);
}

bool host_paging_map(paddr_t start, u64 size)
{
	if (out_of_memory)
		return false;
	assert_false(ept01_is_hidden(start, size));
	seen.maps++;
	seen.start = start;
	seen.size = size;
	assert_int_equal(mprotect(window + start, size, PROT_READ | PROT_WRITE), 0);
	return true;
}

u64 read_cr2(void)
{
	return seen.cr2;
}

void write_cr2(u64 value)
{
	seen.cr2 = value;
}

static void fault(int signal_number, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	seen.cr2 = (u64)info->si_addr;
	for (const struct extable_entry *e = __start_extable; e < __stop_extable; e++) {
		if (e->fault == (u64)*rip) {
			*rip = (greg_t)e->fixup;
			return;
		}
	}
	signal(signal_number, SIG_DFL);
}

static int set_up(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	seen.cr2 = GUEST_CR2;
	out_of_memory = false;
	window = mmap(NULL, WINDOW + PAGE_SIZE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(window, MAP_FAILED);
	assert_int_equal(mprotect(window, BOOT_MEMORY, PROT_READ | PROT_WRITE), 0);
	return 0;
}

/* In the test itself: cmocka sets a handler of its own before. */
static void catch_faults(void)
{
	const struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};

	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

static int tear_down(void **state)
{
	(void)state;
	return munmap(window, WINDOW + PAGE_SIZE);
}

/* --- Tests ------------------------------------------------------------------------------------ */

static u64 read64(paddr_t gpa)
{
	u64 value = 0;

	guest_memory_read(gpa, &value, sizeof(value));
	assert_int_equal(seen.cr2, GUEST_CR2);
	return value;
}

static void write64(paddr_t gpa, u64 value)
{
	guest_memory_write(gpa, &value, sizeof(value));
	assert_int_equal(seen.cr2, GUEST_CR2);
}

static void test_boot_memory(void **state)
{
	(void)state;
	catch_faults();
	write64(0x1ff9, 0x1122334455667788);
	assert_int_equal(read64(0x1ff9), 0x1122334455667788);
	assert_int_equal(seen.maps, 0);
}

static void test_write_first(void **state)
{
	(void)state;
	catch_faults();
	write64(LATE + 0x1ffc, 0x1122334455667788);
	assert_int_equal(seen.maps, 1);
	assert_int_equal(seen.start, LATE);
	assert_int_equal(seen.size, GIB);
	assert_int_equal(read64(LATE + 0x1ffc), 0x1122334455667788);
	assert_int_equal(read64(LATE + GIB / 2), 0);
	assert_int_equal(seen.maps, 1);
}

static void test_exchange_first(void **state)
{
	static const size_t sizes[] = {1, 4, 8};

	(void)state;
	catch_faults();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		set_up(NULL);
		assert_true(guest_memory_exchange(LATE + 8, 0, 0x5a, sizes[i]));
		assert_int_equal(seen.cr2, GUEST_CR2);
		assert_int_equal(read64(LATE + 8), 0x5a);
		assert_false(guest_memory_exchange(LATE + 8, 0, 0x77, sizes[i]));
		assert_int_equal(seen.maps, 1);
		tear_down(NULL);
	}
	set_up(NULL);
}

static void test_read_words_first(void **state)
{
	static const u16 index[] = {0, 511, 7};
	u64 words[3] = {1, 1, 1};

	(void)state;
	catch_faults();
	guest_memory_read_words(LATE_END - PAGE_SIZE, index, 3, words);
	assert_int_equal(words[0] | words[1] | words[2], 0);
	assert_int_equal(seen.cr2, GUEST_CR2);
	assert_true(guest_memory_is_mapped(LATE_END - PAGE_SIZE, 8));
}

static void test_read_word_first(void **state)
{
	(void)state;
	catch_faults();
	assert_int_equal(guest_memory_read_word(LATE + GIB - 8), 0);
	assert_int_equal(seen.cr2, GUEST_CR2);
	assert_int_equal(seen.maps, 1);
}

/* As large as the memory around allows. */
static void test_blocks(void **state)
{
	(void)state;
	catch_faults();
	assert_int_equal(read64(6 * GIB + 4 * MIB + 8), 0);
	assert_int_equal(seen.start, 6 * GIB + 4 * MIB);
	assert_int_equal(seen.size, 2 * MIB);
	assert_int_equal(read64(HIDDEN - 8), 0);
	assert_int_equal(seen.start, HIDDEN - PAGE_SIZE);
	assert_int_equal(seen.size, PAGE_SIZE);
	/* Into Umbra's: what is the guest's of it comes, the rest are ones. */
	assert_int_equal(read64(HIDDEN - 4), 0xffffffff00000000);
	assert_int_equal(seen.maps, 2);
}

static void test_no_memory(void **state)
{
	static const paddr_t none[] = {
		2 * GIB,                                 /* all memory there was known at boot */
		4 * GIB,                                 /* no write-back: a device's */
		6 * GIB + 7 * MIB, LATE_END, 1ull << 46, /* the end of the direct map */
		~0xfffull,
	};

	(void)state;
	catch_faults();
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		write64(none[i], 1);
		assert_int_equal(read64(none[i]), ~0ull);
		assert_true(guest_memory_exchange(none[i], ~0ull, 1, 8));
		assert_false(guest_memory_exchange(none[i], 0, 1, 8));
		assert_int_equal(seen.cr2, GUEST_CR2);
	}
	write64(HIDDEN, 1);
	assert_int_equal(read64(HIDDEN), ~0ull);
	out_of_memory = true;
	assert_int_equal(read64(LATE), ~0ull);
	assert_int_equal(seen.maps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_boot_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_write_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_exchange_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_words_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_word_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_blocks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
