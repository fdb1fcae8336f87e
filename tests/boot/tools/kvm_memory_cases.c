/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "kvm_cases.h"
#include "kvm_vm.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	KIB = 1024,
	MIB = 1024 * 1024,
	PAGE = 4096,
	HUGE_PAGE = 2 * MIB,
};

PROGRAM(sum);
PROGRAM(touch);
PROGRAM(sequence);
PROGRAM(pair);
PROGRAM(pages);

/* A CPU that has gone offline meanwhile cannot be had: then wherever the thread is. */
static void run_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) && errno != EINVAL)
		fail("sched_setaffinity to CPU %u: %s", cpu, strerror(errno));
}

static unsigned int cpu_count(void)
{
	return (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* Some addresses in a range of pages, each page once at most, in a list that 0 ends. */
static unsigned int choose_pages(uint64_t *list, bool *chosen, uint64_t start, unsigned int pages,
				 unsigned int *seed)
{
	unsigned int count = 0;

	for (unsigned int page = 0; page < pages; page++) {
		*seed = *seed * 1103515245 + 12345;
		chosen[page] = (*seed >> 16 & 7) == 0;
		if (chosen[page])
			list[count++] = start + (uint64_t)page * PAGE + (*seed >> 20 & 0x1ff) * 8;
	}
	list[count] = 0;
	return count;
}

void case_dirty_log(void)
{
	enum { ROUNDS = 4, PAGES = 4 * MIB / PAGE, START = 16 * MIB };
	struct vm vm = LONG_MODE_VM(touch);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){0});
	static bool written[PAGES], read[PAGES];
	static uint8_t bitmap[PAGES / 8];
	uint8_t *memory = map_memory(PAGES * PAGE, HUGE_PAGE);
	unsigned int seed = 1;
	/*
	 * Without transparent huge pages, which Linux has from 512 MiB of memory on: a write makes
	 * all of one writable, and KVM counts a page as dirty that it may map writable for a read.
	 */
	int plain = madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE);
	struct kvm_dirty_log log = {
		.slot = vm_add_memory(&vm, START, memory, PAGES * PAGE, KVM_MEM_LOG_DIRTY_PAGES),
		.dirty_bitmap = bitmap,
	};

	if (plain < 0)
		fail("madvise: %s", strerror(errno));
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int count =
			choose_pages(vm_at(&vm, GUEST_DATA), written, START, PAGES, &seed);

		choose_pages(vm_at(&vm, GUEST_DATA2), read, START, PAGES, &seed);
		vcpu_reported(&vcpu);
		kvm_call(vm.fd, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG");
		for (unsigned int page = 0; page < PAGES; page++) {
			bool dirty = bitmap[page / 8] >> page % 8 & 1;

			if (dirty != written[page])
				fail("round %u: page %u of %u was %swritten but is %sdirty (%u "
				     "written)",
				     round, page, PAGES, written[page] ? "" : "not ",
				     dirty ? "" : "not ", count);
		}
	}
}

void case_many_vms(void)
{
	enum { VMS = 64, ROUNDS = 20, SIZE = 16 * KIB };
	static struct vm vms[VMS];
	static struct vcpu vcpus[VMS];

	for (unsigned int i = 0; i < VMS; i++) {
		vms[i] = vm_create(SIZE);
		LOAD(&vms[i], GUEST_BOOT, sum);
		vcpus[i] = vcpu_create(&vms[i], 0,
				       (struct kvm_regs){.rbx = 1000 + i * 17, .rdi = GUEST_CODE});
	}
	for (unsigned int round = 1; round <= ROUNDS; round++)
		for (unsigned int i = 0; i < VMS; i++)
			vcpu_expect_report(&vcpus[i], (1000 + i * 17) * round, "running sum");
	for (unsigned int i = 0; i < VMS; i++) {
		for (unsigned int round = 1; round <= ROUNDS; round++)
			if (vm_word(&vms[i], GUEST_CODE + (round - 1) * 4) !=
			    (1000 + i * 17) * round)
				fail("memory of VM %u, word %u", i, round);
		vcpu_destroy(&vcpus[i]);
		vm_destroy(&vms[i]);
	}
}

void case_migrate(void)
{
	enum { ROUNDS = 2000, STEPS = 50 };
	struct vm vm = LONG_MODE_VM(sequence);
	uint64_t value = 0x123456789abcdef;
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){.r8 = value});
	unsigned int cpus = cpu_count();

	for (unsigned int round = 0; round < ROUNDS; round++) {
		run_on(round % cpus);
		for (unsigned int step = 0; step < STEPS; step++)
			value = value * 6364136223846793005 + 1;
		vcpu_expect_report(&vcpu, (uint32_t)(value >> 32), "the sequence");
	}
}

/* One VCPU of a pair, for its thread. */
struct half {
	struct vm *vm;
	unsigned int id;
	struct kvm_regs registers;
};

static void *run_half(void *argument)
{
	struct half *half = argument;
	struct vcpu vcpu = vcpu_create(half->vm, half->id, half->registers);

	run_on(half->id % cpu_count());
	vcpu_run(&vcpu, KVM_EXIT_HLT);
	return NULL;
}

void case_two_vcpus(void)
{
	enum { TOGETHER = 100000 };
	/* On a single CPU each waits for its turn until its time slice is over. */
	const unsigned int turns = cpu_count() > 1 ? 2000 : 200;
	struct vm vm = LONG_MODE_VM(pair);
	struct half halves[2];
	pthread_t threads[2];

	for (unsigned int id = 0; id < 2; id++) {
		halves[id] = (struct half){
			.vm = &vm,
			.id = id,
			.registers = {.rdi = id, .r8 = TOGETHER, .r9 = turns},
		};
		if (pthread_create(&threads[id], NULL, run_half, &halves[id]))
			fail("pthread_create");
	}
	for (unsigned int id = 0; id < 2; id++)
		pthread_join(threads[id], NULL);
	if (vm_quad(&vm, GUEST_DATA + 64) != 2 * TOGETHER)
		fail("locked increments: %lu of %u", vm_quad(&vm, GUEST_DATA + 64), 2 * TOGETHER);
	if (vm_quad(&vm, GUEST_DATA + 192) != 2 * turns)
		fail("increments by turns: %lu of %u", vm_quad(&vm, GUEST_DATA + 192), 2 * turns);
}

static size_t huge_bytes(void)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	size_t total = 0, kib;
	char line[256];

	if (!maps)
		fail("/proc/self/smaps: %s", strerror(errno));
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "AnonHugePages: %zu kB", &kib) == 1)
			total += kib * KIB;
	fclose(maps);
	return total;
}

static void touch_pages(int advice)
{
	enum { SIZE = 64 * MIB, START = 16 * MIB };
	const uint64_t mark = 0x0123456789abcdef;
	struct vm vm = LONG_MODE_VM(pages);
	struct vcpu vcpu = vcpu_create(
		&vm, 0, (struct kvm_regs){.rdi = START, .rsi = START + SIZE, .r8 = mark});
	uint8_t *memory = map_memory(SIZE, HUGE_PAGE);
	uint64_t sum = 0;

	if (madvise(memory, SIZE, advice))
		fail("madvise: %s", strerror(errno));
	vm_add_memory(&vm, START, memory, SIZE, 0);
	vcpu_reported(&vcpu);
	for (size_t at = 0; at < SIZE; at += PAGE) {
		uint64_t *first = (uint64_t *)(memory + at);
		uint64_t *last = (uint64_t *)(memory + at + PAGE - sizeof(*last));

		if (*first != ((START + at) ^ mark) || *last != ~*first)
			fail("page at %#zx holds %#lx and %#lx", START + at, *first, *last);
		*last = at * at;
		sum += *first + *last;
	}
	vcpu_expect_report(&vcpu, (uint32_t)sum, "sum of the pages");
	if (vm_quad(&vm, GUEST_DATA) != sum)
		fail("64-bit sum of the pages");
	if (advice == MADV_HUGEPAGE ? huge_bytes() < SIZE : huge_bytes() > 0)
		fail("%zu bytes are in huge pages", huge_bytes());
}

void case_memory_4k(void)
{
	touch_pages(MADV_NOHUGEPAGE);
}

/* Linux turns huge pages off on a machine of 512 MiB; whether they come is seen at the end. */
static void allow_huge_pages(void)
{
	FILE *setting = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "w");

	if (setting) {
		fputs("madvise", setting);
		fclose(setting);
	}
}

void case_memory_2m(void)
{
	allow_huge_pages();
	touch_pages(MADV_HUGEPAGE);
}
