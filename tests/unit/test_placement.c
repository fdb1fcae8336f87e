/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "says.h"

#include "boot/placement.h"

/* Memory from address 0, as large as the tests' machines. */
enum { MEMORY_SIZE = 32 << 20 };
static u8 *memory, *original;

static void *to_virt(paddr_t address)
{
	return memory + address;
}

static int make_memory(void **state)
{
	(void)state;
	memory = malloc(MEMORY_SIZE);
	original = malloc(MEMORY_SIZE);
	srand(3);
	for (size_t i = 0; i < MEMORY_SIZE; i++)
		original[i] = (u8)(rand() >> 8 | 1);
	return 0;
}

static int free_memory(void **state)
{
	(void)state;
	free(memory);
	free(original);
	return 0;
}

static struct memmap pc_map(u64 top)
{
	struct memmap map = {0};
	assert_true(memmap_add(&map, 0, 0x9fc00, MEMMAP_USABLE));
	assert_true(memmap_add(&map, 0x9fc00, 0x400, MEMMAP_RESERVED));
	assert_true(memmap_add(&map, 0xf0000, 0x10000, MEMMAP_RESERVED));
	assert_true(memmap_add(&map, MIB, top - MIB, MEMMAP_USABLE));
	return map;
}

/* A bzImage-like kernel of 1 MiB that wants 4 MiB at 4 MiB. */
static struct placement_request linux_request(const struct memmap *map, paddr_t image)
{
	return (struct placement_request){
		.map = map,
		.kernel_base = 4 * MIB,
		.kernel_size = 4 * MIB,
		.kernel_align = 2 * MIB,
		.relocatable = true,
		.segment_count = 1,
		.segment[0] = {.source = image, .filesz = MIB, .memsz = MIB},
		.module_align = 4,
		.module_max = 0x7fffffff,
		.data_size = 3 * PAGE_SIZE,
	};
}

static bool overlap(paddr_t a, u64 a_size, paddr_t b, u64 b_size)
{
	return a_size && b_size && a < b + b_size && b < a + a_size;
}

static void assert_free_of(paddr_t start, u64 size, const struct placement_request *r)
{
	for (u32 i = 0; i < r->segment_count; i++)
		assert_false(overlap(start, size, r->segment[i].source, r->segment[i].filesz));
	for (u32 i = 0; i < r->module_count; i++)
		assert_false(overlap(start, size, r->module[i].start, r->module[i].size));
}

/* The promise of the header: run the plan and look. */
static void check_plan(const struct placement_request *r, const struct placement_plan *plan)
{
	u64 total = 0;

	memcpy(memory, original, MEMORY_SIZE);
	if (r->data_size) {
		assert_int_equal(plan->data % PAGE_SIZE, 0);
		assert_true(memmap_is_usable(r->map, plan->data, r->data_size));
		memset(memory + plan->data, 0xdd, r->data_size);
		assert_free_of(plan->data, r->data_size, r);
		assert_true(plan->data >= PAGE_SIZE);
	}
	assert_true(plan->step_count <= PLACEMENT_STEPS_MAX);
	for (u32 i = 0; i < plan->step_count; i++) {
		const struct placement_step *s = &plan->step[i];
		assert_true(memmap_is_usable(r->map, s->dst, s->size));
		assert_true(s->dst >= PAGE_SIZE);
	}
	placement_run(plan, to_virt);

	if (r->relocatable) {
		assert_int_equal(plan->kernel_base % r->kernel_align, 0);
		assert_true(plan->kernel_base >= r->kernel_base);
		assert_true(memmap_is_usable(r->map, plan->kernel_base, r->kernel_size));
	} else {
		assert_int_equal(plan->kernel_base, r->kernel_base);
	}
	for (u32 i = 0; i < r->segment_count; i++) {
		const struct placement_segment *s = &r->segment[i];
		const u8 *at = memory + plan->kernel_base + s->offset;
		assert_memory_equal(at, original + s->source, s->filesz);
		for (u64 b = s->filesz; b < s->memsz; b++)
			assert_int_equal(at[b], 0);
	}
	for (u32 i = 0; i < r->module_count; i++) {
		total = ALIGN_UP(total, r->module_align);
		if (r->module[i].size) {
			assert_int_equal(plan->module[i], plan->modules_start + total);
			assert_memory_equal(memory + plan->module[i], original + r->module[i].start,
					    r->module[i].size);
		}
		total += r->module[i].size;
	}
	assert_int_equal(plan->modules_size, total);
	if (total) {
		assert_int_equal(plan->modules_start % PAGE_SIZE, 0);
		assert_true(plan->modules_start >= MIB);
		assert_true(plan->modules_start + total - 1 <= r->module_max);
		assert_true(memmap_is_usable(r->map, plan->modules_start, total));
		assert_false(
			overlap(plan->modules_start, total, plan->kernel_base, r->kernel_size));
		assert_false(overlap(plan->modules_start, total, plan->data, r->data_size));
		/* Zeroes between initrds. */
		u64 offset = 0;
		for (u32 i = 0; i < r->module_count; i++) {
			for (; offset < plan->module[i] - plan->modules_start; offset++)
				assert_int_equal(memory[plan->modules_start + offset], 0);
			offset = plan->module[i] - plan->modules_start + r->module[i].size;
		}
	}
	assert_false(overlap(plan->data, r->data_size, plan->kernel_base, r->kernel_size));
	for (u64 i = 0; i < r->data_size; i++)
		assert_int_equal(memory[plan->data + i], 0xdd);
}

static void usual_linux(void **state)
{
	(void)state;
	struct memmap map = pc_map(MEMORY_SIZE);
	struct placement_request r = linux_request(&map, 16 * MIB + 0x3e00);
	struct placement_plan plan;
	r.module_count = 1;
	r.module[0] = (struct range){20 * MIB, 5 * MIB + 77};
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.kernel_base, 4 * MIB);
	assert_int_equal(plan.data, 0x9c000);
	/* The initrd stays, one copy is all. */
	assert_int_equal(plan.modules_start, 20 * MIB);
	assert_int_equal(plan.step_count, 1);
	check_plan(&r, &plan);
}

static void no_modules(void **state)
{
	(void)state;
	struct memmap map = pc_map(MEMORY_SIZE);
	struct placement_request r = linux_request(&map, 16 * MIB);
	struct placement_plan plan;
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.modules_size, 0);
	check_plan(&r, &plan);
	r.module_count = 2; /* empty files */
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.modules_size, 0);
	check_plan(&r, &plan);
}

static void initrd_in_the_way_of_the_kernel(void **state)
{
	(void)state;
	struct memmap map = pc_map(MEMORY_SIZE);
	struct placement_request r = linux_request(&map, 2 * MIB + 0x200);
	struct placement_plan plan;
	r.module_count = 1;
	r.module[0] = (struct range){3 * MIB + PAGE_SIZE, 9 * MIB};
	assert_says(placement_plan(&r, &plan), NULL);
	check_plan(&r, &plan);
	assert_true(plan.modules_start >= 8 * MIB);
}

static void initrd_above_its_limit(void **state)
{
	(void)state;
	struct memmap map = pc_map(MEMORY_SIZE);
	struct placement_request r = linux_request(&map, 16 * MIB);
	struct placement_plan plan;
	r.module_count = 1;
	r.module[0] = (struct range){20 * MIB, MIB};
	r.module_max = 21 * MIB - 1;
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.modules_start, 20 * MIB);
	r.module_max = 21 * MIB - 2;
	assert_says(placement_plan(&r, &plan), NULL);
	assert_true(plan.modules_start < 20 * MIB);
	check_plan(&r, &plan);
	r.module_max = 9 * MIB - 1; /* only between kernel and limit, exactly */
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.modules_start, 8 * MIB);
	check_plan(&r, &plan);
	r.module[0].size = 4 * MIB;
	assert_says(placement_plan(&r, &plan),
		    "there is not enough contiguous memory for the modules");
	r.module[0].size = 2 * MIB; /* below the kernel */
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.modules_start, 2 * MIB);
	check_plan(&r, &plan);
}

static void several_initrds(void **state)
{
	(void)state;
	struct memmap map = pc_map(MEMORY_SIZE);
	struct placement_request r = linux_request(&map, 16 * MIB);
	struct placement_plan plan;
	r.module_count = 4;
	r.module[0] = (struct range){12 * MIB, 13};
	r.module[1] = (struct range){13 * MIB, 3};
	r.module[2] = (struct range){13 * MIB + PAGE_SIZE, 0};
	r.module[3] = (struct range){14 * MIB, 70001};
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.module[1] - plan.module[0], 16);
	assert_int_equal(plan.module[3] - plan.module[0], 20);
	assert_int_equal(plan.modules_size, 20 + 70001);
	check_plan(&r, &plan);
	r.module_align = 4096;
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.module[3] % 4096, 0);
	check_plan(&r, &plan);
}

static void fixed_segments(void **state)
{
	(void)state;
	struct memmap map = pc_map(MEMORY_SIZE);
	struct placement_plan plan;
	/* Each segment's place is the other's source. */
	struct placement_request r = {
		.map = &map,
		.kernel_base = 2 * MIB,
		.kernel_size = 2 * MIB,
		.segment_count = 2,
		.segment[0] = {.source = 3 * MIB, .filesz = MIB - 5, .offset = 0, .memsz = MIB},
		.segment[1] = {.source = 2 * MIB, .filesz = 4000, .offset = MIB, .memsz = MIB},
		.module_align = 4,
		.module_max = 0xffffffff,
		.data_size = PAGE_SIZE,
	};
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.step_count, 5); /* the smaller is staged; both ends are zeroed */
	assert_int_equal(plan.step[0].size, 4000);
	check_plan(&r, &plan);
	/* A segment that is where it must be; the hole between segments is not RAM. */
	assert_true(memmap_reserve(&map, 2 * MIB + MIB / 2, PAGE_SIZE));
	r.segment[0] = (struct placement_segment){2 * MIB, 100, 0, 100};
	r.segment[1] = (struct placement_segment){9 * MIB, 100, MIB, 100};
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.step_count, 1);
	check_plan(&r, &plan);
	r.segment[0].memsz = MIB;
	assert_says(placement_plan(&r, &plan),
		    "there is no free memory at the address the kernel must be loaded to");
	r.segment[0].memsz = 100;
	r.kernel_base = 0x9f000;
	assert_says(placement_plan(&r, &plan), NULL);
	check_plan(&r, &plan);
	r.kernel_base = 0xa0000;
	assert_says(placement_plan(&r, &plan),
		    "there is no free memory at the address the kernel must be loaded to");
}

static void kernel_elsewhere(void **state)
{
	(void)state;
	struct memmap map = pc_map(MEMORY_SIZE);
	struct placement_request r = linux_request(&map, 16 * MIB);
	struct placement_plan plan;
	assert_true(memmap_reserve(&map, 5 * MIB + 123, 1));
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.kernel_base, 6 * MIB);
	check_plan(&r, &plan);
	r.kernel_base = 13 * MIB; /* itself not aligned */
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.kernel_base, 14 * MIB);
	r.kernel_base = 28 * MIB + 1;
	assert_says(placement_plan(&r, &plan),
		    "there is not enough contiguous memory below 4 GiB for the kernel");
	/* Space above 4 GiB is none for a 32-bit entry. */
	assert_true(memmap_add(&map, 4 * GIB, GIB, MEMMAP_USABLE));
	assert_says(placement_plan(&r, &plan),
		    "there is not enough contiguous memory below 4 GiB for the kernel");
	r.relocatable = false;
	r.kernel_base = 4 * GIB;
	assert_says(placement_plan(&r, &plan),
		    "there is no free memory at the address the kernel must be loaded to");
}

static void too_large(void **state)
{
	(void)state;
	struct memmap map = pc_map(MEMORY_SIZE);
	struct placement_request r = linux_request(&map, 16 * MIB);
	struct placement_plan plan;
	r.module_count = 2;
	r.module[0] = (struct range){20 * MIB, MEMORY_SIZE};
	assert_says(placement_plan(&r, &plan), "the modules are larger than the memory");
	r.module[0].size = ~0ull;
	r.module[1] = (struct range){20 * MIB, ~0ull};
	assert_says(placement_plan(&r, &plan), "the modules are larger than the memory");
	r.module[0] = (struct range){9 * MIB, 12 * MIB};
	r.module[1] = (struct range){9 * MIB, 18 * MIB};
	assert_says(placement_plan(&r, &plan),
		    "there is not enough contiguous memory for the modules");
}

static void data_space(void **state)
{
	(void)state;
	struct memmap map = pc_map(MEMORY_SIZE);
	struct placement_request r = linux_request(&map, 16 * MIB);
	struct placement_plan plan;
	r.data_size = 0x9e000; /* all of low memory but the BIOS data */
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.data, 0x1000);
	r.data_size = 0x9f000;
	assert_says(placement_plan(&r, &plan), NULL);
	assert_true(plan.data >= MIB);
	check_plan(&r, &plan);
	r.data_size = 30 * MIB;
	assert_says(placement_plan(&r, &plan), "there is no memory for the boot parameters");
	r.data_size = 0;
	assert_says(placement_plan(&r, &plan), NULL);
	assert_int_equal(plan.data, 0);
	check_plan(&r, &plan);
}

static void no_room_to_pass(void **state)
{
	(void)state;
	struct memmap map = {0};
	struct placement_plan plan;
	assert_true(memmap_add(&map, MIB, 2 * MIB, MEMMAP_USABLE));
	struct placement_request r = {
		.map = &map,
		.kernel_base = MIB,
		.kernel_size = 2 * MIB,
		.segment_count = 2,
		.segment[0] = {.source = 2 * MIB, .filesz = MIB, .offset = 0, .memsz = MIB},
		.segment[1] = {.source = MIB, .filesz = MIB, .offset = MIB, .memsz = MIB},
		.module_max = 0xffffffff,
		.module_align = 4,
	};
	assert_says(placement_plan(&r, &plan),
		    "there is not enough memory to move the kernel and modules past each other");
	assert_true(memmap_add(&map, 5 * MIB, MIB, MEMMAP_USABLE));
	assert_says(placement_plan(&r, &plan), NULL);
	check_plan(&r, &plan);
}

static u64 rnd(u64 below)
{
	return (u64)rand() % below;
}

/* Sources anywhere without overlap, in a machine that is nearly full. */
static void any_layout(void **state)
{
	(void)state;
	unsigned int good = 0, staged = 0;
	srand(4);
	for (int round = 0; round < 1500; round++) {
		const u64 top = 2 * MIB + rnd(6) * MIB / 2 + PAGE_SIZE * rnd(64);
		struct memmap map = pc_map(top);
		struct placement_plan plan;
		struct placement_request r = {
			.map = &map,
			.relocatable = rnd(2),
			.kernel_align = PAGE_SIZE << rnd(6),
			.module_align = rnd(2) ? 4 : 4096,
			.module_max = rnd(2) ? 0xffffffff : top - rnd(MIB),
			.data_size = PAGE_SIZE * (1 + rnd(4)),
			.segment_count = 1 + (u32)rnd(4),
			.module_count = (u32)rnd(5),
		};
		if (rnd(3) == 0)
			assert_true(memmap_reserve(&map, MIB + rnd(top - MIB), 1 + rnd(MIB / 4)));
		/* Sources: a random walk through memory, dealt out in random order. */
		struct range source[9];
		u32 n = r.segment_count + r.module_count;
		paddr_t at = MIB + rnd(64 * KIB);
		for (u32 i = 0; i < n; i++) {
			source[i].start = at;
			source[i].size = rnd(4) ? rnd(300 * KIB) : rnd(100);
			at += source[i].size + (rnd(2) ? rnd(64 * KIB) : 0);
		}
		for (u32 i = n; i-- > 1;) {
			u32 j = (u32)rnd(i + 1);
			struct range swap = source[i];
			source[i] = source[j];
			source[j] = swap;
		}
		bool all_usable = true;
		for (u32 i = 0; i < n; i++)
			all_usable = all_usable && source[i].start + source[i].size <= top;
		if (!all_usable)
			continue;
		r.kernel_base = ALIGN_DOWN(MIB + rnd(top - MIB), PAGE_SIZE);
		u64 offset = 0;
		for (u32 i = 0; i < r.segment_count; i++) {
			u64 size = source[i].size;
			u64 extra = rnd(2) ? rnd(8 * KIB) : 0;
			if (!(size + extra))
				extra = 1;
			r.segment[i] = (struct placement_segment){source[i].start, size, offset,
								  size + extra};
			offset += size + extra + (rnd(2) ? rnd(64 * KIB) : 0);
		}
		r.kernel_size = offset;
		for (u32 i = 0; i < r.module_count; i++)
			r.module[i] = source[r.segment_count + i];
		if (placement_plan(&r, &plan) != NULL)
			continue;
		good++;
		u32 moves = 0;
		for (u32 i = 0; i < plan.step_count; i++)
			moves += !plan.step[i].zero;
		staged += moves > n;
		check_plan(&r, &plan);
	}
	/* The test is worth nothing if it never gets here. */
	assert_true(good > 300);
	assert_true(staged > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_linux),
		cmocka_unit_test(no_modules),
		cmocka_unit_test(initrd_in_the_way_of_the_kernel),
		cmocka_unit_test(initrd_above_its_limit),
		cmocka_unit_test(several_initrds),
		cmocka_unit_test(fixed_segments),
		cmocka_unit_test(kernel_elsewhere),
		cmocka_unit_test(too_large),
		cmocka_unit_test(data_space),
		cmocka_unit_test(no_room_to_pass),
		cmocka_unit_test(any_layout),
	};
	return cmocka_run_group_tests(tests, make_memory, free_memory);
}
