/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM volume 3, "Microcode Update Facilities". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <x86/msr.h>

#include "lib/insn.h"
#include "machine.h"
#include "mm/pages.h"
#include "platform/microcode.h"
#include "updates.h"

enum {
	SIGNATURE = 0x000906ea,
	OTHER_SIGNATURE = 0x000306c3,
	PLATFORM = 5,
};

/* The simulated CPU: takes an update as the SDM says, and has counted the writes of its trigger. */
static struct {
	u32 signature;
	u64 platform_id;
	u32 revision;
	u64 sign_id; /* what IA32_BIOS_SIGN_ID reads */
	bool stubborn;
	u32 triggers, write_backs;
} processor;

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	assert_int_equal(leaf, 1);
	processor.sign_id = (u64)processor.revision << 32;
	return (struct cpuid){.eax = processor.signature};
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	switch (msr) {
	case MSR_IA32_PLATFORM_ID:
		*value = processor.platform_id;
		return true;
	case MSR_IA32_BIOS_SIGN_ID:
		*value = processor.sign_id;
		return true;
	default:
		return false;
	}
}

bool wrmsr_safe(u32 msr, u64 value)
{
	if (msr == MSR_IA32_BIOS_SIGN_ID) {
		assert_int_equal(value, 0);
		processor.sign_id = 0;
		return true;
	}
	assert_int_equal(msr, MSR_IA32_BIOS_UPDT_TRIG);
	/* "Microcode Update Loader": of the data, on a boundary of 16 bytes. */
	assert_int_equal(value % 16, 0);
	assert_int_equal(processor.write_backs, processor.triggers + 1);
	processor.triggers++;
	if (!processor.stubborn)
		memcpy(&processor.revision, (const u8 *)value - 48 + 4, 4);
	return true;
}

void wbinvd(void)
{
	processor.write_backs++;
}

static const struct microcode_cpu cpu = {SIGNATURE, 1 << PLATFORM, 0x10};
static struct update_file file;
static struct microcode_update found;

static const char *find(void)
{
	return microcode_find(file.bytes, file.size, &cpu, &found);
}

static int setup(void **state)
{
	(void)state;
	file.size = 0;
	return 0;
}

static void test_the_newest_for_this_cpu(void **state)
{
	size_t at;

	(void)state;
	assert_null(find());
	assert_int_equal(found.size, 0);
	update_add(&file, SIGNATURE, 1 << PLATFORM, 0x11, 976);
	at = file.size;
	update_add(&file, SIGNATURE, 0xff, 0x13, 2000);
	update_add(&file, SIGNATURE, 1 << PLATFORM, 0x12, 976);
	update_add(&file, SIGNATURE, 0xff & ~(1 << PLATFORM), 0x20, 976);
	update_add(&file, SIGNATURE, 0, 0x21, 976);
	update_add(&file, OTHER_SIGNATURE, 0xff, 0x22, 976);
	assert_null(find());
	assert_int_equal(found.revision, 0x13);
	assert_int_equal(found.size, 2048);
	assert_ptr_equal(found.data, file.bytes + at);
}

static void test_nothing_newer(void **state)
{
	(void)state;
	update_add(&file, SIGNATURE, 0xff, 0x10, 976);
	update_add(&file, SIGNATURE, 0xff, 0x0f, 976);
	assert_null(find());
	assert_int_equal(found.size, 0);
}

/* "If the data size is 00000000H, the update data is 2000 bytes" and the whole 2048. */
static void test_sizes_of_the_oldest(void **state)
{
	(void)state;
	update_add(&file, SIGNATURE, 0xff, 0x11, 2000);
	update_set(&file, 0, UPDATE_DATA_SIZE, 0);
	update_set(&file, 0, UPDATE_TOTAL_SIZE, 0);
	update_seal(&file, 0, 2048);
	update_add(&file, SIGNATURE, 0xff, 0x12, 976);
	assert_null(find());
	assert_int_equal(found.revision, 0x12);
	file.size = 2048;
	assert_null(find());
	assert_int_equal(found.size, 2048);
}

static void test_extended_signatures(void **state)
{
	const u32 extended[][2] = {{0x000906eb, 0x02}, {SIGNATURE, 1 << PLATFORM}};

	(void)state;
	update_add_extended(&file, OTHER_SIGNATURE, 0xff, 0x14, 928, extended, 2);
	assert_null(find());
	assert_int_equal(found.revision, 0x14);
	/* One entry that does not sum up, and a table that does not. */
	update_set(&file, 0, UPDATE_REVISION, 0x15);
	assert_non_null(find());
	assert_int_equal(found.size, 0);
	update_seal(&file, 0, 48 + 928);
	assert_non_null(find());
	assert_int_equal(found.size, 0);
	/* More entries than there is room for. */
	file.size = 0;
	update_add_extended(&file, OTHER_SIGNATURE, 0xff, 0x14, 928, extended, 2);
	update_set(&file, 0, (48 + 928) / 4, 3);
	assert_non_null(find());
	update_set(&file, 0, (48 + 928) / 4, 0xffffffff);
	assert_non_null(find());
	assert_int_equal(found.size, 0);
}

/* A damaged update is passed over; where one ends cannot be told from a damaged header. */
static void test_damage(void **state)
{
	(void)state;
	update_add(&file, SIGNATURE, 0xff, 0x11, 976);
	update_add(&file, SIGNATURE, 0xff, 0x12, 976);
	file.bytes[500] ^= 1;
	assert_non_null(find());
	assert_int_equal(found.revision, 0x12);
	file.bytes[500] ^= 1;
	file.bytes[1024 + 500] ^= 1;
	assert_non_null(find());
	assert_int_equal(found.revision, 0x11);
	file.bytes[1024 + 500] ^= 1;
	assert_null(find());

	for (size_t size = 1; size < 2048; size++) {
		file.size = size;
		if (size == 1024)
			assert_null(find());
		else
			assert_non_null(find());
		assert_int_equal(found.revision, size < 1024 ? 0 : 0x11);
	}
}

static void test_impossible_headers(void **state)
{
	static const struct {
		u32 field, value;
	} bad[] = {
		{UPDATE_VERSION, 2},
		{UPDATE_LOADER, 2},
		{UPDATE_TOTAL_SIZE, 0},
		{UPDATE_TOTAL_SIZE, 1000},
		{UPDATE_TOTAL_SIZE, 2048},
		{UPDATE_TOTAL_SIZE, 0xfffffc00},
		{UPDATE_DATA_SIZE, 980},
		{UPDATE_DATA_SIZE, 975},
		{UPDATE_DATA_SIZE, 0xfffffffc},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		file.size = 0;
		update_add(&file, SIGNATURE, 0xff, 0x11, 976);
		assert_null(find());
		update_set(&file, 0, bad[i].field, bad[i].value);
		assert_non_null(find());
		assert_int_equal(found.size, 0);
	}
}

static void test_loading(void **state)
{
	u64 left;

	(void)state;
	machine_memory_init(1, 8);
	processor.signature = SIGNATURE;
	processor.platform_id = (u64)PLATFORM << 50;
	processor.revision = 0x10;
	assert_int_equal(microcode_this_cpu().signature, SIGNATURE);
	assert_int_equal(microcode_this_cpu().platform, 1 << PLATFORM);
	assert_int_equal(microcode_this_cpu().revision, 0x10);

	/* Nothing kept: nothing done. */
	microcode_load();
	assert_int_equal(processor.triggers, 0);
	find();
	assert_true(microcode_keep(&found));
	microcode_load();
	assert_int_equal(processor.triggers, 0);

	/* Where a file holds it, it need not be aligned. */
	update_add(&file, SIGNATURE, 0xff, 0x12, 5072);
	memmove(file.bytes + 4, file.bytes, file.size);
	assert_null(microcode_find(file.bytes + 4, file.size, &cpu, &found));
	assert_int_equal(microcode_pages(&found), 2);
	left = pages_left();
	machine_limit_pages(0);
	assert_false(microcode_keep(&found));
	machine_limit_pages(~0ull);
	assert_true(microcode_keep(&found));
	assert_int_equal(pages_left(), left - 2);
	memset(file.bytes, 0, sizeof(file.bytes));
	microcode_load();
	assert_int_equal(processor.triggers, 1);
	assert_int_equal(processor.revision, 0x12);
	/* Threads of a core share it, and it stays. */
	microcode_load();
	assert_int_equal(processor.triggers, 1);
	/* After a reset, and on a CPU that does not take it. */
	processor.revision = 0x10;
	processor.stubborn = true;
	microcode_load();
	assert_int_equal(processor.triggers, 2);
	assert_int_equal(processor.revision, 0x10);
	/* Another kind of CPU beside it. */
	processor.signature = OTHER_SIGNATURE;
	microcode_load();
	assert_int_equal(processor.triggers, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_newest_for_this_cpu, setup),
		cmocka_unit_test_setup(test_nothing_newer, setup),
		cmocka_unit_test_setup(test_sizes_of_the_oldest, setup),
		cmocka_unit_test_setup(test_extended_signatures, setup),
		cmocka_unit_test_setup(test_damage, setup),
		cmocka_unit_test_setup(test_impossible_headers, setup),
		cmocka_unit_test_setup(test_loading, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
