/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What KVM costs in the guest: round trips, memory that its virtual machine touches first, and what
 * KVM does with such memory later. Prints a figure a line, `UMBRA-BENCH: NAME NUMBER`. Under Umbra
 * with `stats` it also counts the EPT violations that Umbra handled without KVM.
 *
 *   kvm_bench [REPEAT]   each so many times, for who takes the least; else once
 */
#define _GNU_SOURCE
#include "kvm_vm.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbra/interface.h>

PROGRAM(time_cpuid);
PROGRAM(time_vmcall);
PROGRAM(pages);
PROGRAM(sweep);

enum {
	ROUND_TRIPS = 2000,
	MIB = 1024 * 1024,
	HUGE_PAGE = 2 * MIB,
	SWEPT = 16 * MIB, /* where the swept memory begins */
	REASON_EPT_VIOLATION = 48,
};

static sigjmp_buf no_umbra;

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void figure(const char *name, uint64_t value)
{
	printf("UMBRA-BENCH: %s %lu\n", name, value);
}

static void illegal_instruction(int signal)
{
	(void)signal;
	siglongjmp(no_umbra, 1);
}

/* Exits of L2 on the first CPU; false where nobody answers: VMCALL is #UD, or #GP while KVM is in
 * VMX root operation. */
static bool count_ept_violations(uint64_t *count)
{
	uint64_t answer, results[UMBRA_RESULTS];

	signal(SIGILL, illegal_instruction);
	signal(SIGSEGV, illegal_instruction);
	if (sigsetjmp(no_umbra, 1))
		return false;
	answer = umbra_call(0, UMBRA_ASK_L2_EXITS, 0, REASON_EPT_VIOLATION, results);
	*count = results[0];
	return answer == 0;
}

/* One of KVM's own counters of a VCPU. */
static uint64_t kvm_counter(const struct vcpu *vcpu, const char *name)
{
	struct kvm_stats_header header;
	const int fd = kvm_call(vcpu->fd, KVM_GET_STATS_FD, NULL, "KVM_GET_STATS_FD");
	uint64_t value = 0;
	bool found = false;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		fail("KVM's statistics: %s", strerror(errno));
	const size_t size = sizeof(struct kvm_stats_desc) + header.name_size;
	struct kvm_stats_desc *descriptor = malloc(size);

	for (uint32_t i = 0; descriptor && !found && i < header.num_desc; i++) {
		const off_t at = (off_t)(header.desc_offset + i * size);

		if (pread(fd, descriptor, size, at) != (ssize_t)size)
			fail("KVM's statistics: %s", strerror(errno));
		if (strcmp(descriptor->name, name) != 0)
			continue;
		found = pread(fd, &value, sizeof(value),
			      (off_t)header.data_offset + descriptor->offset) == sizeof(value);
	}
	if (!found)
		fail("KVM has no statistics of %s", name);
	free(descriptor);
	close(fd);
	return value;
}

static int compare(const void *left, const void *right)
{
	const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a > b ? 1 : a < b ? -1 : 0;
}

static void median_figure(const char *name, uint32_t times[ROUND_TRIPS])
{
	qsort(times, ROUND_TRIPS, sizeof(*times), compare);
	figure(name, times[ROUND_TRIPS / 2]);
}

/* The program times each of its round trips and lists the times at GUEST_DATA. */
static void time_round_trips(const char *name, const uint8_t *start, const uint8_t *end)
{
	struct vm vm = vm_create_long_mode(start, end);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){.rsi = ROUND_TRIPS});

	vcpu_reported(&vcpu);
	median_figure(name, vm_at(&vm, GUEST_DATA));
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

static void print_named(const char *name, const char *what, uint64_t value)
{
	char text[64];

	snprintf(text, sizeof(text), "%s-%s", name, what);
	figure(text, value);
}

static void touch_memory(const char *name, int advice)
{
	enum { SIZE = 64 * MIB, START = 16 * MIB };
	struct vm vm = LONG_MODE_VM(pages);
	struct vcpu vcpu =
		vcpu_create(&vm, 0, (struct kvm_regs){.rdi = START, .rsi = START + SIZE});
	uint8_t *memory = map_memory(SIZE, HUGE_PAGE);
	uint64_t violations_before = 0, violations = 0;

	if (madvise(memory, SIZE, advice))
		fail("madvise: %s", strerror(errno));
	vm_add_memory(&vm, START, memory, SIZE, 0);

	const bool umbra = count_ept_violations(&violations_before);
	const uint64_t kvm_before = kvm_counter(&vcpu, "pf_taken");
	const uint64_t start = rdtsc();

	vcpu_reported(&vcpu);

	const uint64_t ticks = rdtsc() - start;
	const uint64_t by_kvm = kvm_counter(&vcpu, "pf_taken") - kvm_before;

	print_named(name, "ticks", ticks);
	print_named(name, "kvm-faults", by_kvm);
	if (umbra && count_ept_violations(&violations))
		print_named(name, "umbra-faults", violations - violations_before - by_kvm);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
	munmap(memory, SIZE);
}

/* From the guest to this process and back. */
static void time_user_round_trips(void)
{
	struct vm vm = LONG_MODE_VM(sweep);
	struct vcpu vcpu =
		vcpu_create(&vm, 0, (struct kvm_regs){.rdi = GUEST_DATA, .rsi = GUEST_DATA + 4096});
	static uint32_t times[ROUND_TRIPS];

	for (unsigned int i = 0; i < ROUND_TRIPS; i++) {
		const uint64_t start = rdtsc();

		vcpu_reported(&vcpu);
		times[i] = (uint32_t)(rdtsc() - start);
	}
	median_figure("kvm-user", times);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

/* The same of many VCPUs in turn: more than anything keeps at hand. */
static void time_many_vcpus(void)
{
	enum { VCPUS = 64, ROUNDS = 20 };
	struct vm vm = LONG_MODE_VM(sweep);
	static struct vcpu vcpus[VCPUS];
	uint64_t start = 0;

	for (unsigned int i = 0; i < VCPUS; i++)
		vcpus[i] = vcpu_create(&vm, i,
				       (struct kvm_regs){.rdi = GUEST_DATA + i * 4096,
							 .rsi = GUEST_DATA + (i + 1) * 4096,
							 .rsp = GUEST_STACK});
	/* The first round, which goes from real mode to the program, is not timed. */
	for (unsigned int round = 0; round <= ROUNDS; round++) {
		for (unsigned int i = 0; i < VCPUS; i++)
			vcpu_reported(&vcpus[i]);
		if (!round)
			start = rdtsc();
	}
	figure("kvm-64-vcpus", (rdtsc() - start) / (VCPUS * ROUNDS));
	for (unsigned int i = 0; i < VCPUS; i++)
		vcpu_destroy(&vcpus[i]);
	vm_destroy(&vm);
}

/* A virtual machine that has written to each page of some memory, mapped by 4 KiB. */
struct swept {
	struct vm vm;
	struct vcpu vcpu;
	uint8_t *memory;
	size_t size;
	uint32_t slot;
};

static struct swept swept_create(size_t size, uint32_t flags)
{
	struct swept s = {.vm = LONG_MODE_VM(sweep), .size = size};

	s.vcpu = vcpu_create(&s.vm, 0, (struct kvm_regs){.rdi = SWEPT, .rsi = SWEPT + size});
	s.memory = map_memory(size, HUGE_PAGE);
	/* A kernel without huge pages refuses the advice, and needs none. */
	madvise(s.memory, size, MADV_NOHUGEPAGE);
	s.slot = vm_add_memory(&s.vm, SWEPT, s.memory, size, flags);
	vcpu_reported(&s.vcpu);
	return s;
}

static void swept_destroy(struct swept *s)
{
	vcpu_destroy(&s->vcpu);
	vm_destroy(&s->vm);
	munmap(s->memory, s->size);
}

/* KVM's own patterns, each as often as it says. Dirty logging write-protects what it has told. */
static void log_dirty_pages(void)
{
	enum { ROUNDS = 4, SIZE = 8 * MIB };
	static uint8_t bitmap[SIZE / 4096 / 8];
	struct swept s = swept_create(SIZE, KVM_MEM_LOG_DIRTY_PAGES);
	struct kvm_dirty_log log = {.slot = s.slot, .dirty_bitmap = bitmap};
	const uint64_t start = rdtsc();

	for (unsigned int i = 0; i < ROUNDS; i++) {
		kvm_call(s.vm.fd, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG");
		vcpu_reported(&s.vcpu);
	}
	figure("kvm-dirty-log", rdtsc() - start);
	swept_destroy(&s);
}

/* A slot that goes and comes, as for a device's memory: KVM drops all of its EPT. */
static void move_slot(void)
{
	enum { ROUNDS = 16, SIZE = 2 * MIB };
	struct swept s = swept_create(SIZE, 0);
	struct kvm_userspace_memory_region region = {
		.slot = s.slot, .guest_phys_addr = SWEPT, .userspace_addr = (uintptr_t)s.memory};
	const uint64_t start = rdtsc();

	for (unsigned int i = 0; i < ROUNDS; i++) {
		region.memory_size = 0;
		kvm_call(s.vm.fd, KVM_SET_USER_MEMORY_REGION, &region, "deleting a slot");
		region.memory_size = SIZE;
		kvm_call(s.vm.fd, KVM_SET_USER_MEMORY_REGION, &region, "adding a slot");
		vcpu_reported(&s.vcpu);
	}
	figure("kvm-move-slot", rdtsc() - start);
	swept_destroy(&s);
}

/* Memory that a balloon gives back, and that is touched anew. */
static void balloon(void)
{
	enum { ROUNDS = 4, SIZE = 8 * MIB };
	struct swept s = swept_create(SIZE, 0);
	const uint64_t start = rdtsc();

	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (madvise(s.memory, SIZE / 2, MADV_DONTNEED))
			fail("madvise: %s", strerror(errno));
		vcpu_reported(&s.vcpu);
	}
	figure("kvm-balloon", rdtsc() - start);
	swept_destroy(&s);
}

static void allow_huge_pages(void)
{
	FILE *setting = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "w");

	if (setting) {
		fputs("madvise", setting);
		fclose(setting);
	}
}

static void measure(void)
{
	time_round_trips("kvm-cpuid", program_time_cpuid, program_time_cpuid_end);
	time_round_trips("kvm-vmcall", program_time_vmcall, program_time_vmcall_end);
	allow_huge_pages();
	touch_memory("kvm-touch-2m", MADV_HUGEPAGE);
	touch_memory("kvm-touch-4k", MADV_NOHUGEPAGE);
	time_user_round_trips();
	time_many_vcpus();
	log_dirty_pages();
	move_slot();
	balloon();
}

int main(int argc, char **argv)
{
	const int repeat = argc > 1 ? atoi(argv[1]) : 1;
	int status;
	pid_t child;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fail_why = mmap(NULL, WHY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fail_why == MAP_FAILED)
		return 1;
	child = fork();
	if (!child) {
		for (int i = 0; i < repeat; i++)
			measure();
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status) {
		printf("UMBRA-BENCH: failed %s\n", fail_why);
		return 1;
	}
	puts("UMBRA-BENCH: end");
	return 0;
}
