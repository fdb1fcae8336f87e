/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "kvm_cases.h"
#include "kvm_vm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <x86intrin.h>

PROGRAM(real);
PROGRAM(protected);
PROGRAM(long);
PROGRAM(exceptions);
PROGRAM(mmio);
PROGRAM(interrupts);
PROGRAM(apic);
PROGRAM(count);
PROGRAM(count_cli);
PROGRAM(msrs);
PROGRAM(tsc);

extern const uint8_t program_real_handler[], program_protected_handler[];
extern const uint8_t program_exceptions_handlers[], program_interrupts_handler[];
extern const uint8_t program_apic_message[], program_apic_timer[];

enum { PAGE = 4096 };

void case_real(void)
{
	static const char vendor[] = "UmbraKvmTest";
	struct {
		uint32_t count;
		uint32_t pad;
		struct kvm_cpuid_entry2 entry;
	} cpuid = {.count = 1};
	struct vm vm = vm_create(GUEST_MEMORY);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){.rsi = 300});
	uint16_t handler = (uint16_t)LABEL(GUEST_BOOT, real, program_real_handler);

	memcpy(&cpuid.entry.ebx, vendor, 4);
	memcpy(&cpuid.entry.edx, vendor + 4, 4);
	memcpy(&cpuid.entry.ecx, vendor + 8, 4);
	kvm_call(vcpu.fd, KVM_SET_CPUID2, &cpuid, "KVM_SET_CPUID2");
	LOAD(&vm, GUEST_BOOT, real);
	memcpy(vm_at(&vm, 0x40 * 4), &handler, sizeof(handler));

	vcpu_answer(&vcpu, 1, 0x41);
	if (vcpu_reported_size(&vcpu, 1) != 0x42)
		fail("the byte that came in is not the one that went out");
	if (vm_word(&vm, GUEST_CODE + 12) != 0x5aa5)
		fail("INT 40h did not come to its handler");
	vcpu_answer(&vcpu, 4, 0x12345678);
	vcpu_expect_report(&vcpu, ~0x12345678U, "four bytes in and out");
	for (size_t i = 0; i < sizeof(vendor) - 1; i++)
		if (vcpu_reported_size(&vcpu, 1) != (uint8_t)vendor[i])
			fail("CPUID's vendor by REP OUTSB: byte %zu is wrong", i);
	vcpu_run(&vcpu, KVM_EXIT_HLT);
}

void case_protected(void)
{
	enum { WORDS = 1000 };
	struct vm vm = vm_create(GUEST_MEMORY);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){.rsi = WORDS});
	uint32_t *directory = vm_at(&vm, GUEST_ROOT), *identity = vm_at(&vm, GUEST_TABLE);
	uint32_t *window = vm_at(&vm, GUEST_TABLE2), *secret = vm_at(&vm, GUEST_DATA2 + 4);
	uint32_t sum = 0;

	directory[0] = GUEST_TABLE | 3;
	directory[GUEST_WINDOW >> 22] = GUEST_TABLE2 | 3;
	for (uint32_t page = 0; page < GUEST_MEMORY / PAGE; page++)
		identity[page] = page * PAGE | 3;
	window[0] = GUEST_DATA | 3;
	*secret = 0xfeedf00d;
	vm_prepare_descriptors(&vm);
	vm_set_gate32(&vm, 14, LABEL(GUEST_BOOT, protected, program_protected_handler));
	LOAD(&vm, GUEST_BOOT, protected);

	for (uint32_t i = 1; i <= WORDS; i++)
		sum += i * i;
	vcpu_expect_report(&vcpu, sum, "sum of what was written by another mapping");
	vcpu_expect_report(&vcpu, GUEST_WINDOW + 0x1004, "CR2");
	vcpu_expect_report(&vcpu, 0, "error code of the page fault");
	vcpu_expect_report(&vcpu, 0xfeedf00d, "the page that its fault mapped");
	vcpu_run(&vcpu, KVM_EXIT_HLT);
}

void case_long(void)
{
	struct vm vm = LONG_MODE_VM(long);
	struct kvm_regs start = {.rbp = 500}, end;
	__u64 *const in_order[] = {&start.r8,  &start.r9,  &start.r10, &start.r11, &start.r12,
				   &start.r13, &start.r14, &start.r15, &start.rsi, &start.rdi};
	struct vcpu vcpu;

	for (unsigned int i = 0; i < 10; i++)
		*in_order[i] = 0x9e3779b97f4a7c15 * (i + 1);
	vcpu = vcpu_create(&vm, 0, start);
	vcpu_answer(&vcpu, 4, 0xdead1234);
	vcpu_expect_report(&vcpu, ~0xdead1234, "four bytes in and out");
	vcpu_run(&vcpu, KVM_EXIT_HLT);

	kvm_call(vcpu.fd, KVM_GET_REGS, &end, "KVM_GET_REGS");
	if (end.r8 != start.r8 || end.r15 != start.r15 || end.rsi != start.rsi || end.rbp)
		fail("KVM_GET_REGS shows other registers than the guest had");
	for (unsigned int i = 0; i < 10; i++)
		if (vm_quad(&vm, GUEST_DATA + i * 8) != *in_order[i])
			fail("general register %u of 10 changed", i);
	if (vm_quad(&vm, GUEST_DATA + 80) != start.r8 || vm_quad(&vm, GUEST_DATA + 88) != start.r15)
		fail("an XMM register changed");
}

void case_exceptions(void)
{
	static const uint32_t expected[][2] = {{6, 0}, {0, 0}, {3, 0}, {13, 0}, {14, 2}, {13, 0}};
	struct vm vm = LONG_MODE_VM(exceptions);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){0});
	uint64_t handlers = LABEL(GUEST_CODE, exceptions, program_exceptions_handlers);

	for (unsigned int vector = 0; vector < 32; vector++)
		vm_set_gate64(&vm, vector, handlers + vector * 16);
	for (unsigned int i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		uint32_t cr2;

		vcpu_expect_report(&vcpu, expected[i][0], "vector");
		vcpu_expect_report(&vcpu, expected[i][1], "error code");
		cr2 = vcpu_reported(&vcpu);
		if (expected[i][0] == 14 && cr2 != 0x40001234)
			fail("CR2 is %#x", cr2);
	}
	vcpu_run(&vcpu, KVM_EXIT_HLT);
}

void case_mmio(void)
{
	struct vm vm = LONG_MODE_VM(mmio);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){0});
	uint32_t *rom = map_memory(PAGE, PAGE);

	rom[2] = 0x11223344;
	rom[3] = 0x55667788;
	vm_add_memory(&vm, GUEST_ROM, rom, PAGE, KVM_MEM_READONLY);
	vcpu_answer_mmio_read(&vcpu, GUEST_DEVICE, 4, 0x13579bdf);
	vcpu_expect_mmio_write(&vcpu, GUEST_DEVICE + 4, 4, ~0x13579bdfU);
	vcpu_answer_mmio_read(&vcpu, GUEST_DEVICE + 8, 8, 0x8000000ffffffff);
	vcpu_expect_mmio_write(&vcpu, GUEST_DEVICE + 16, 8, 0x800000100000000);
	vcpu_answer_mmio_read(&vcpu, GUEST_DEVICE + 24, 2, 0xabcd);
	vcpu_expect_mmio_write(&vcpu, GUEST_DEVICE + 25, 1, 0xab);
	vcpu_expect_mmio_write(&vcpu, GUEST_ROM + 12, 4, 0x11223344);
	vcpu_expect_report(&vcpu, 0x55667788, "read-only memory after a write");
	vcpu_run(&vcpu, KVM_EXIT_HLT);
}

void case_interrupts(void)
{
	enum { COUNT = 300, VECTOR = 0x42 };
	struct vm vm = LONG_MODE_VM(interrupts);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){0});
	struct kvm_interrupt interrupt = {.irq = VECTOR};

	vm_set_gate64(&vm, VECTOR, LABEL(GUEST_CODE, interrupts, program_interrupts_handler));
	vcpu_reported(&vcpu);
	/* The guest has interrupts off and will turn them on. */
	vcpu.run->request_interrupt_window = 1;
	vcpu_run(&vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	vcpu.run->request_interrupt_window = 0;
	for (uint32_t i = 1; i <= COUNT; i++) {
		kvm_call(vcpu.fd, KVM_INTERRUPT, &interrupt, "KVM_INTERRUPT");
		vcpu_expect_report(&vcpu, i, "interrupts counted by the guest");
		vcpu_run(&vcpu, KVM_EXIT_HLT);
	}
}

void case_apic(void)
{
	enum { COUNT = 50 };
	struct kvm_msi message = {.address_lo = GUEST_APIC, .data = VECTOR_MESSAGE};
	struct vm vm = LONG_MODE_VM(apic);
	struct vcpu vcpu;

	kvm_call(vm.fd, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	vcpu = vcpu_create(&vm, 0, (struct kvm_regs){.rsi = COUNT});
	vm_set_gate64(&vm, VECTOR_MESSAGE, LABEL(GUEST_CODE, apic, program_apic_message));
	vm_set_gate64(&vm, VECTOR_TIMER, LABEL(GUEST_CODE, apic, program_apic_timer));
	vcpu_reported(&vcpu);
	for (uint32_t i = 1; i <= COUNT; i++) {
		kvm_call(vm.fd, KVM_SIGNAL_MSI, &message, "KVM_SIGNAL_MSI");
		vcpu_expect_report(&vcpu, i, "messages counted by the guest");
	}
	vcpu_expect_report(&vcpu, 2 * COUNT, "interrupts of the APIC's timer");
}

static void ignore_signal(int number)
{
	(void)number;
}

static void start_timer(timer_t timer, long nanoseconds)
{
	const struct itimerspec period = {.it_value.tv_nsec = nanoseconds,
					  .it_interval.tv_nsec = nanoseconds};

	if (timer_settime(timer, 0, &period, NULL))
		fail("timer_settime: %s", strerror(errno));
}

/*
 * A guest that counts for ever is stopped by signals, that is by the machine's interrupts. A signal
 * may come before the guest does, always so if the way there is long, as in a virtual machine.
 */
static void kick(struct vm vm)
{
	enum { KICKS = 20, SHORTEST = 5000000, LONGEST = 640000000 /* nanoseconds */ };
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){0});
	struct sigaction action = {.sa_handler = ignore_signal};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	unsigned int kicks = 0;
	long period = SHORTEST;
	uint64_t last = 0;
	timer_t timer;

	if (sigaction(SIGUSR1, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &timer))
		fail("no timer: %s", strerror(errno));
	start_timer(timer, period);
	while (kicks < KICKS) {
		uint64_t count;

		if (!ioctl(vcpu.fd, KVM_RUN, 0) || errno != EINTR)
			fail("KVM_RUN ended by exit %u", vcpu.run->exit_reason);
		count = vm_quad(&vm, GUEST_DATA);
		if (count > last) {
			kicks++;
		} else if (period < LONGEST) {
			period *= 2;
			start_timer(timer, period);
		} else {
			fail("the guest stands still at %lu", count);
		}
		last = count;
	}
}

void case_kick(void)
{
	kick(LONG_MODE_VM(count));
}

/* Its own interrupts are off, which must not hold up the machine's. */
void case_kick_cli(void)
{
	kick(LONG_MODE_VM(count_cli));
}

void case_msrs(void)
{
	struct listed_msr {
		uint32_t index;
		uint32_t changes;
		uint64_t value;
	};
	static const struct listed_msr listed[] = {
		{0xc0000100, 0xffff0, 0x123456789a00},    /* IA32_FS_BASE */
		{0xc0000101, 0xffff0, 0x7edcba987650},    /* IA32_GS_BASE */
		{0xc0000102, 0xfffff, 0x7fffdeadbeef},    /* IA32_KERNEL_GS_BASE */
		{0xc0000081, 0xf0f0, 0x0023001000001234}, /* IA32_STAR */
		{0xc0000082, 0xff00ff, 0x7fff12345678},   /* IA32_LSTAR */
		{0xc0000084, 0x47700, 0x700},             /* IA32_FMASK */
		{0x174, 0xf8, 0x10},                      /* IA32_SYSENTER_CS */
		{0x175, 0xffff, 0x7f1122334455},          /* IA32_SYSENTER_ESP */
		{0x176, 0xffff, 0x7f6677889900},          /* IA32_SYSENTER_EIP */
		{0x277, 0x02, 0x0007040600070406},        /* IA32_PAT */
	};
	enum { LISTED = sizeof(listed) / sizeof(listed[0]) };
	struct vm vm = LONG_MODE_VM(msrs);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){.rsi = GUEST_DATA, .rdi = LISTED});

	for (unsigned int i = 0; i < LISTED; i++) {
		memcpy(vm_at(&vm, GUEST_DATA + i * 8), &listed[i], 8);
		vcpu_set_msr(&vcpu, listed[i].index, listed[i].value);
	}
	for (unsigned int i = 0; i < LISTED; i++) {
		uint64_t seen = vcpu_reported(&vcpu);

		seen |= (uint64_t)vcpu_reported(&vcpu) << 32;
		if (seen != listed[i].value)
			fail("MSR %#x is %#lx in the guest, not %#lx", listed[i].index, seen,
			     listed[i].value);
	}
	vcpu_run(&vcpu, KVM_EXIT_HLT);
	for (unsigned int i = 0; i < LISTED; i++) {
		uint64_t seen = vcpu_get_msr(&vcpu, listed[i].index);

		if (seen != (listed[i].value ^ listed[i].changes))
			fail("MSR %#x is %#lx after the guest wrote %#lx", listed[i].index, seen,
			     listed[i].value ^ listed[i].changes);
	}
}

void case_tsc(void)
{
	enum { ROUNDS = 100 };
	const uint64_t future = 0x7000000000000;
	struct vm vm = LONG_MODE_VM(tsc);
	struct vcpu vcpu = vcpu_create(&vm, 0, (struct kvm_regs){0});
	uint64_t offset;
	struct kvm_device_attr attribute = {.group = KVM_VCPU_TSC_CTRL,
					    .attr = KVM_VCPU_TSC_OFFSET,
					    .addr = (uintptr_t)&offset};

	vcpu_set_msr(&vcpu, 0x10, future);
	kvm_call(vcpu.fd, KVM_GET_DEVICE_ATTR, &attribute, "KVM_GET_DEVICE_ATTR");
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t before = __rdtsc() + offset, seen, after;

		seen = vcpu_reported(&vcpu);
		after = __rdtsc() + offset;
		seen |= (uint64_t)vcpu_reported(&vcpu) << 32;
		if (seen < before || seen > after || seen < future)
			fail("the guest's TSC %#lx is not in %#lx..%#lx", seen, before, after);
	}
}
