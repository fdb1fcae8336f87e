/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMX instructions that mode and privilege refuse alike, VMXON last. [m] is memory, [a] and [b]
 * registers.
 */
#pragma once

#define VMX_INSTRUCTIONS(X)                  \
	X(vmcall, "vmcall")                  \
	X(vmlaunch, "vmlaunch")              \
	X(vmresume, "vmresume")              \
	X(vmxoff, "vmxoff")                  \
	X(vmclear, "vmclear %[m]")           \
	X(vmptrld, "vmptrld %[m]")           \
	X(vmptrst, "vmptrst %[m]")           \
	X(vmread, "vmread %[a], %[b]")       \
	X(vmread_mem, "vmread %[a], %[m]")   \
	X(vmwrite, "vmwrite %[a], %[b]")     \
	X(vmwrite_mem, "vmwrite %[m], %[a]") \
	X(invept, "invept %[m], %[a]")       \
	X(invvpid, "invvpid %[m], %[a]")     \
	X(vmxon, "vmxon %[m]")
