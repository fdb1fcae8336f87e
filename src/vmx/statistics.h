/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Umbra counts, for whoever runs inside the guest: a VMCALL at any privilege level, answered
 * only if Umbra's command line says `stats`; otherwise it is #UD, as without a hypervisor.
 *
 *   RAX = 0x6172626d75 ("umbra"), RCX = function; results in RAX, RBX, RDX.
 *     0  CPUs; bytes of memory reserved; bytes of the image
 *     1  RDX = CPU, RBX = basic exit reason: how many such exits that CPU had
 *     2  RDX = CPU: pages of Umbra's memory it was first to read; writes to it that were refused
 *     3  TSC on entry to Umbra; TSC at the guest's first instruction
 *     4  RBX = n: which of the 64 coverage counters from n on are not 0; RBX: how many there are
 *     5  as 1, for exits of the guest's own virtual machines, Umbra's to handle or not
 *     6  RDX = CPU, RBX = 0, 1, 2, 3: VMREADs, VMWRITEs, VMPTRLDs, VMCLEARs that Umbra has executed
 *        there, if it is built with -Dcount_vmcs=true
 *     7  whether anyone wrote to Umbra's memory: a digest of its code and constants, which must
 *        stay the same; RBX: pages not used yet, which Umbra has filled with a pattern at boot;
 *        RDX: 8-byte words in them that have lost it, which must be 0. Takes milliseconds.
 *     8  DMA remapping units that keep devices from Umbra's memory; how many of their accesses they
 *        have refused
 *   An index out of range or an unknown function gives RAX = all ones, RBX unchanged.
 */
#pragma once

#include "vmx/vcpu.h"

/* Called once, at the end of boot: the boot-time constants above. */
void statistics_init(bool on, u64 reserved_bytes, u64 entry_tsc);

/* False: not for Umbra. */
bool statistics_vmcall(struct guest_regs *regs);
