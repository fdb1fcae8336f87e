/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What KVM costs in the guest: round trips, and memory that its virtual machine touches first.
 * Prints a figure a line, `UMBRA-BENCH: NAME NUMBER`. Under Umbra with `stats` it also counts the
 * EPT violations that Umbra handled without KVM.
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

enum {
	ROUND_TRIPS = 2000,
	MIB = 1024 * 1024,
	HUGE_PAGE = 2 * MIB,
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

/* The program times each of its round trips and lists the times at GUEST_DATA. */
static void time_round_trips(const char *name, const uint8_t *start, const uint8_t *end)
{
	struct vm vm = vm_create_long_mode(start, end);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){.rsi = ROUND_TRIPS});
	uint32_t *times = vm_at(&vm, GUEST_DATA);

	vcpu_reported(&vcpu);
	qsort(times, ROUND_TRIPS, sizeof(*times), compare);
	figure(name, times[ROUND_TRIPS / 2]);
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
}

int main(void)
{
	int status;
	pid_t child;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fail_why = mmap(NULL, WHY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fail_why == MAP_FAILED)
		return 1;
	child = fork();
	if (!child) {
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
