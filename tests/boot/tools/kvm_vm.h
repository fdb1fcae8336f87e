/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small virtual machines by /dev/kvm for the KVM client. Whatever goes wrong ends the case: see
 * fail().
 */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvm_layout.h"

enum { WHY_SIZE = 160 };

struct vm {
	int fd;
	int slots;
	uint8_t *memory; /* guest-physical 0 */
	size_t size;
};

struct vcpu {
	int fd;
	struct kvm_run *run;
};

/* A program of kvm_guest.S, from the start to the end of its bytes. */
#define PROGRAM(name) extern const uint8_t program_##name[], program_##name##_end[]
#define LOAD(vm, address, name) \
	vm_load(vm, address, program_##name, (size_t)(program_##name##_end - program_##name))
/* Address of a label inside a program that is loaded at a given address. */
#define LABEL(address, name, label) ((uint64_t)(address) + (uint64_t)((label)-program_##name))

/* End the case that runs (a process of its own) and say why. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Where fail() leaves its text, for the process that started this one. */
extern char *fail_why;

/* An ioctl that must not fail. */
int kvm_call(int fd, unsigned long request, void *argument, const char *name);

/* A virtual machine with so many bytes of memory from guest-physical 0. */
struct vm vm_create(size_t size);
/* One of GUEST_MEMORY bytes whose VCPUs start a program in long mode. */
#define LONG_MODE_VM(name) vm_create_long_mode(program_##name, program_##name##_end)
struct vm vm_create_long_mode(const uint8_t *start, const uint8_t *end);
void vm_destroy(struct vm *vm);
/* Private memory of this process, not touched yet. */
void *map_memory(size_t size, size_t alignment);
/* One more range of guest-physical memory; returns its slot. */
uint32_t vm_add_memory(struct vm *vm, uint64_t address, void *memory, size_t size, uint32_t flags);
void vm_load(struct vm *vm, uint64_t address, const uint8_t *bytes, size_t size);
void *vm_at(struct vm *vm, uint64_t address);
uint32_t vm_word(struct vm *vm, uint64_t address);
uint64_t vm_quad(struct vm *vm, uint64_t address);
/* Descriptor table, page tables (identity from 0 to 1 GiB and from 3 to 4, again in the upper
 * half) and the program that goes from GUEST_BOOT to long mode and on to GUEST_CODE. */
void vm_prepare_long_mode(struct vm *vm);
void vm_prepare_descriptors(struct vm *vm);
void vm_set_gate64(struct vm *vm, unsigned int vector, uint64_t handler);
void vm_set_gate32(struct vm *vm, unsigned int vector, uint64_t handler);

/* A VCPU in real mode with the registers given; RSP 0 becomes the VCPU's stack. */
struct vcpu vcpu_create(struct vm *vm, unsigned int id, struct kvm_regs registers);
void vcpu_destroy(struct vcpu *vcpu);

/* Run to the next exit, which must have this reason. */
void vcpu_run(struct vcpu *vcpu, uint32_t reason);
/* Run to the next exit: the guest writes `size` bytes to PORT_REPORT. Returns the value. */
uint32_t vcpu_reported_size(struct vcpu *vcpu, unsigned int size);
uint32_t vcpu_reported(struct vcpu *vcpu);
void vcpu_expect_report(struct vcpu *vcpu, uint32_t value, const char *what);
/* Run to the next exit: the guest reads `size` bytes from PORT_ASK and will get the value. */
void vcpu_answer(struct vcpu *vcpu, unsigned int size, uint32_t value);
/* Run to the next exit: the guest accesses memory that is not there. */
void vcpu_expect_mmio_write(struct vcpu *vcpu, uint64_t address, unsigned int size, uint64_t value);
void vcpu_answer_mmio_read(struct vcpu *vcpu, uint64_t address, unsigned int size, uint64_t value);
uint64_t vcpu_get_msr(struct vcpu *vcpu, uint32_t index);
void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);
