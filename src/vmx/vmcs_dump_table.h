/* SPDX-License-Identifier: BSD-2-Clause */
/* The fields of the VMCS that a panic shows, beside those of segments: X(field, name). */
#pragma once

#define VMCS_DUMPED(X)                                           \
	X(VMCS_EXIT_REASON, "exit reason")                       \
	X(VMCS_EXIT_QUALIFICATION, "exit qualification")         \
	X(VMCS_VM_EXIT_INTR_INFO, "exit interruption info")      \
	X(VMCS_IDT_VECTORING_INFO, "IDT-vectoring info")         \
	X(VMCS_VM_EXIT_INSTRUCTION_LENGTH, "instruction length") \
	X(VMCS_GUEST_LINEAR_ADDRESS, "guest-linear address")     \
	X(VMCS_GUEST_PHYSICAL_ADDRESS, "guest-physical address") \
	X(VMCS_VM_INSTRUCTION_ERROR, "VM-instruction error")     \
	X(VMCS_VM_ENTRY_INTR_INFO, "entry interruption info")    \
	X(VMCS_PIN_CONTROLS, "pin-based controls")               \
	X(VMCS_PRIMARY_CONTROLS, "primary controls")             \
	X(VMCS_SECONDARY_CONTROLS, "secondary controls")         \
	X(VMCS_ENTRY_CONTROLS, "entry controls")                 \
	X(VMCS_EXIT_CONTROLS, "exit controls")                   \
	X(VMCS_GUEST_RIP, "rip")                                 \
	X(VMCS_GUEST_RSP, "rsp")                                 \
	X(VMCS_GUEST_RFLAGS, "rflags")                           \
	X(VMCS_GUEST_CR0, "cr0")                                 \
	X(VMCS_CR0_READ_SHADOW, "cr0 shadow")                    \
	X(VMCS_GUEST_CR3, "cr3")                                 \
	X(VMCS_GUEST_CR4, "cr4")                                 \
	X(VMCS_CR4_READ_SHADOW, "cr4 shadow")                    \
	X(VMCS_GUEST_EFER, "efer")                               \
	X(VMCS_GUEST_DR7, "dr7")                                 \
	X(VMCS_GUEST_GDTR_BASE, "gdtr base")                     \
	X(VMCS_GUEST_GDTR_LIMIT, "gdtr limit")                   \
	X(VMCS_GUEST_IDTR_BASE, "idtr base")                     \
	X(VMCS_GUEST_IDTR_LIMIT, "idtr limit")                   \
	X(VMCS_GUEST_INTERRUPTIBILITY, "interruptibility")       \
	X(VMCS_GUEST_ACTIVITY_STATE, "activity state")           \
	X(VMCS_GUEST_PENDING_DEBUG, "pending debug")             \
	X(VMCS_VMCS_LINK_POINTER, "link pointer")
