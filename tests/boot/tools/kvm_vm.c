/* SPDX-License-Identifier: BSD-2-Clause */
#include "kvm_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

PROGRAM(boot64);

enum {
	CPUID_ENTRIES = 128,
	PAGE_PRESENT = 1,
	PAGE_WRITABLE = 2,
	PAGE_LARGE = 0x80,
	GATE_INTERRUPT = 0x8e00,
};

static const uint64_t descriptors[] = {
	0, 0x00af9b000000ffff, /* 64-bit code */
	0x00cf93000000ffff,    /* data */
	0x00cf9b000000ffff,    /* 32-bit code */
};

/* Three pages above KVM's default place of the identity map, where no machine here has memory. */
static const unsigned long tss_address = 0xfffbd000;

char *fail_why;

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(fail_why, WHY_SIZE, format, arguments);
	va_end(arguments);
	_exit(1);
}

int kvm_call(int fd, unsigned long request, void *argument, const char *name)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		fail("%s: %s", name, strerror(errno));
	return result;
}

static int kvm_device(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fail("/dev/kvm: %s", strerror(errno));
	return fd;
}

struct vm vm_create(size_t size)
{
	struct vm vm = {.size = size};

	vm.fd = kvm_call(kvm_device(), KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	/* KVM needs it where the CPU has no unrestricted guest. */
	if (ioctl(vm.fd, KVM_SET_TSS_ADDR, tss_address) < 0)
		fail("KVM_SET_TSS_ADDR: %s", strerror(errno));
	vm.memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (vm.memory == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	vm_add_memory(&vm, 0, vm.memory, size, 0);
	return vm;
}

void vm_destroy(struct vm *vm)
{
	close(vm->fd);
	munmap(vm->memory, vm->size);
}

uint32_t vm_add_memory(struct vm *vm, uint64_t address, void *memory, size_t size, uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = (uint32_t)vm->slots++,
		.flags = flags,
		.guest_phys_addr = address,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	kvm_call(vm->fd, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
	return region.slot;
}

void *vm_at(struct vm *vm, uint64_t address)
{
	if (address >= vm->size)
		fail("the client looks for %#lx in memory of %#zx bytes", address, vm->size);
	return vm->memory + address;
}

void vm_load(struct vm *vm, uint64_t address, const uint8_t *bytes, size_t size)
{
	memcpy(vm_at(vm, address), bytes, size);
}

uint32_t vm_word(struct vm *vm, uint64_t address)
{
	uint32_t word;

	memcpy(&word, vm_at(vm, address), sizeof(word));
	return word;
}

uint64_t vm_quad(struct vm *vm, uint64_t address)
{
	uint64_t quad;

	memcpy(&quad, vm_at(vm, address), sizeof(quad));
	return quad;
}

void *map_memory(size_t size, size_t alignment)
{
	uint8_t *memory = mmap(NULL, size + alignment, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap of %zu bytes: %s", size, strerror(errno));
	return memory + (-(uintptr_t)memory & (alignment - 1));
}

static void set_table_pointer(struct vm *vm, uint64_t where, uint32_t base, uint16_t limit)
{
	memcpy(vm_at(vm, where), &limit, sizeof(limit));
	memcpy(vm_at(vm, where + sizeof(limit)), &base, sizeof(base));
}

void vm_prepare_descriptors(struct vm *vm)
{
	memcpy(vm_at(vm, GUEST_GDT), descriptors, sizeof(descriptors));
	set_table_pointer(vm, GUEST_GDT_POINTER, GUEST_GDT, sizeof(descriptors) - 1);
	set_table_pointer(vm, GUEST_IDT_POINTER, GUEST_IDT, 0xfff);
}

void vm_prepare_long_mode(struct vm *vm)
{
	uint64_t *root = vm_at(vm, GUEST_ROOT), *pointers = vm_at(vm, GUEST_TABLE);
	uint64_t *first = vm_at(vm, GUEST_TABLE2), *fourth = vm_at(vm, GUEST_TABLE3);
	const uint64_t flags = PAGE_PRESENT | PAGE_WRITABLE;

	root[0] = root[256] = GUEST_TABLE | flags;
	pointers[0] = GUEST_TABLE2 | flags;
	pointers[3] = GUEST_TABLE3 | flags;
	for (uint64_t page = 0; page < 512; page++) {
		first[page] = page << 21 | PAGE_LARGE | flags;
		fourth[page] = (3 * 512 + page) << 21 | PAGE_LARGE | flags;
	}
	vm_prepare_descriptors(vm);
	LOAD(vm, GUEST_BOOT, boot64);
}

struct vm vm_create_long_mode(const uint8_t *start, const uint8_t *end)
{
	struct vm vm = vm_create(GUEST_MEMORY);

	vm_prepare_long_mode(&vm);
	vm_load(&vm, GUEST_CODE, start, (size_t)(end - start));
	return vm;
}

void vm_set_gate64(struct vm *vm, unsigned int vector, uint64_t handler)
{
	uint64_t *gate = vm_at(vm, GUEST_IDT + vector * 16);

	gate[0] = (handler & 0xffff) | SELECTOR_CODE64 << 16 | (uint64_t)GATE_INTERRUPT << 32 |
		  (handler >> 16 & 0xffff) << 48;
	gate[1] = handler >> 32;
}

void vm_set_gate32(struct vm *vm, unsigned int vector, uint64_t handler)
{
	uint64_t *gate = vm_at(vm, GUEST_IDT + vector * 8);

	*gate = (handler & 0xffff) | SELECTOR_CODE32 << 16 | (uint64_t)GATE_INTERRUPT << 32 |
		(handler >> 16 & 0xffff) << 48;
}

static void set_cpuid(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *table;

	table = calloc(1, sizeof(*table) + CPUID_ENTRIES * sizeof(table->entries[0]));
	if (!table)
		fail("out of memory");
	table->nent = CPUID_ENTRIES;
	kvm_call(kvm_device(), KVM_GET_SUPPORTED_CPUID, table, "KVM_GET_SUPPORTED_CPUID");
	kvm_call(vcpu->fd, KVM_SET_CPUID2, table, "KVM_SET_CPUID2");
	free(table);
}

static size_t run_size(void)
{
	return (size_t)kvm_call(kvm_device(), KVM_GET_VCPU_MMAP_SIZE, NULL,
				"KVM_GET_VCPU_MMAP_SIZE");
}

struct vcpu vcpu_create(struct vm *vm, unsigned int id, struct kvm_regs registers)
{
	struct vcpu vcpu;
	struct kvm_sregs segments;

	vcpu.fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (vcpu.fd < 0)
		fail("KVM_CREATE_VCPU %u: %s", id, strerror(errno));
	vcpu.run = mmap(NULL, run_size(), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
	if (vcpu.run == MAP_FAILED)
		fail("mmap of a VCPU: %s", strerror(errno));
	set_cpuid(&vcpu);
	kvm_call(vcpu.fd, KVM_GET_SREGS, &segments, "KVM_GET_SREGS");
	segments.cs.base = segments.cs.selector = 0;
	kvm_call(vcpu.fd, KVM_SET_SREGS, &segments, "KVM_SET_SREGS");
	registers.rip = GUEST_BOOT;
	registers.rflags = 2;
	if (!registers.rsp)
		registers.rsp = GUEST_STACK + id * 0x1000;
	kvm_call(vcpu.fd, KVM_SET_REGS, &registers, "KVM_SET_REGS");
	return vcpu;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	munmap(vcpu->run, run_size());
	close(vcpu->fd);
}

void vcpu_run(struct vcpu *vcpu, uint32_t reason)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs registers;

	kvm_call(vcpu->fd, KVM_RUN, NULL, "KVM_RUN");
	if (run->exit_reason == reason)
		return;
	kvm_call(vcpu->fd, KVM_GET_REGS, &registers, "KVM_GET_REGS");
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		fail("entry failed: %#llx, RIP %#llx",
		     run->fail_entry.hardware_entry_failure_reason, registers.rip);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		fail("KVM's internal error %u, RIP %#llx", run->internal.suberror, registers.rip);
	if (run->exit_reason == KVM_EXIT_MMIO)
		fail("%s at %#llx for exit %u, RIP %#llx", run->mmio.is_write ? "write" : "read",
		     run->mmio.phys_addr, reason, registers.rip);
	fail("exit %u instead of %u, RIP %#llx", run->exit_reason, reason, registers.rip);
}

static void *run_port(struct vcpu *vcpu, unsigned int direction, unsigned int port,
		      unsigned int size)
{
	struct kvm_run *run = vcpu->run;

	vcpu_run(vcpu, KVM_EXIT_IO);
	if (run->io.direction != direction || run->io.port != port || run->io.size != size ||
	    run->io.count != 1)
		fail("direction %u of %u times %u bytes at port %#x", run->io.direction,
		     run->io.count, run->io.size, run->io.port);
	return (uint8_t *)run + run->io.data_offset;
}

uint32_t vcpu_reported_size(struct vcpu *vcpu, unsigned int size)
{
	uint32_t value = 0;

	memcpy(&value, run_port(vcpu, KVM_EXIT_IO_OUT, PORT_REPORT, size), size);
	return value;
}

uint32_t vcpu_reported(struct vcpu *vcpu)
{
	return vcpu_reported_size(vcpu, sizeof(uint32_t));
}

void vcpu_expect_report(struct vcpu *vcpu, uint32_t value, const char *what)
{
	uint32_t reported = vcpu_reported(vcpu);

	if (reported != value)
		fail("%s: %#x instead of %#x", what, reported, value);
}

void vcpu_answer(struct vcpu *vcpu, unsigned int size, uint32_t value)
{
	memcpy(run_port(vcpu, KVM_EXIT_IO_IN, PORT_ASK, size), &value, size);
}

static void run_mmio(struct vcpu *vcpu, bool write, uint64_t address, unsigned int size)
{
	struct kvm_run *run = vcpu->run;

	vcpu_run(vcpu, KVM_EXIT_MMIO);
	if (run->mmio.is_write != write || run->mmio.phys_addr != address || run->mmio.len != size)
		fail("%s of %u bytes at %#llx instead of %s of %u at %#lx",
		     run->mmio.is_write ? "write" : "read", run->mmio.len, run->mmio.phys_addr,
		     write ? "write" : "read", size, address);
}

void vcpu_expect_mmio_write(struct vcpu *vcpu, uint64_t address, unsigned int size, uint64_t value)
{
	uint64_t written = 0;

	run_mmio(vcpu, true, address, size);
	memcpy(&written, vcpu->run->mmio.data, size);
	if (written != value)
		fail("%#lx written to %#lx instead of %#lx", written, address, value);
}

void vcpu_answer_mmio_read(struct vcpu *vcpu, uint64_t address, unsigned int size, uint64_t value)
{
	run_mmio(vcpu, false, address, size);
	memcpy(vcpu->run->mmio.data, &value, size);
}

/* struct kvm_msrs with room for one entry. */
struct one_msr {
	uint32_t count;
	uint32_t pad;
	struct kvm_msr_entry entry;
};
_Static_assert(offsetof(struct one_msr, entry) == sizeof(struct kvm_msrs), "KVM's layout");

uint64_t vcpu_get_msr(struct vcpu *vcpu, uint32_t index)
{
	struct one_msr msr = {.count = 1, .entry.index = index};

	if (kvm_call(vcpu->fd, KVM_GET_MSRS, &msr, "KVM_GET_MSRS") != 1)
		fail("KVM does not read MSR %#x", index);
	return msr.entry.data;
}

void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr msr = {.count = 1, .entry = {.index = index, .data = value}};

	if (kvm_call(vcpu->fd, KVM_SET_MSRS, &msr, "KVM_SET_MSRS") != 1)
		fail("KVM does not write MSR %#x", index);
}
