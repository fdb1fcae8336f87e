/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every way into Umbra does: reading what the firmware says of the machine, making its CPUs,
 * and what they share. All of it stops with a message where it cannot go on.
 */
#pragma once

#include "boot/cmdline.h"
#include "boot/multiboot2.h"
#include "mm/memmap.h"
#include "platform/microcode.h"
#include "vmx/vcpu.h"

/* From a text of options; `what` is that text's name in a complaint. */
void machine_read_options(const char *text, const char *what, struct options *options);

/* The same from the boot loader's command line. */
void machine_read_command_line(const struct mb2_info *info, struct options *options);

/* Follows a copy of the RSDP. Without usable tables no CPU is known: machine_find_cpus(). */
void machine_read_acpi(const u8 *rsdp, size_t length);

/* A CPU that firmware says is there. */
void machine_add_cpu(u32 apic_id);

/*
 * Adds the CPUs that the tables do not list but that are there, so that none of them can run beside
 * Umbra; those that would come later are taken out of the guest's tables. `low_page`, below 1 MiB
 * and free; 0: firmware still uses the other CPUs, and says itself how many there are.
 */
void machine_find_cpus(paddr_t low_page);

/* Bytes of Umbra's home for the CPUs, for nested VMX, for a microcode update and for devices. */
u64 machine_memory_wanted(const struct memmap *map, const struct options *options,
			  const struct microcode_update *microcode);

/* Makes this CPU's block and the others', in the firmware's order. */
void machine_create_cpus(void);

/*
 * On the boot processor: loads the microcode, then makes what all CPUs share: ept01 without [home]
 * and without the page below 1 MiB where CPUs start (0: there is none), what the guest is offered.
 * With firmware_runs, EFI boot services are a part of the guest.
 */
void machine_prepare(const struct memmap *map, struct range home, paddr_t low_page,
		     const struct options *options, const struct microcode_update *microcode,
		     bool firmware_runs);

/* Loads the microcode and takes this CPU into VMX operation; its guest's registers are still to be
 * set. */
void machine_prepare_cpu(struct vcpu *vcpu, const struct options *options);
