/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Umbra needs of the ACPI tables: which CPUs there are, how the machine is reset, where DMA
 * remapping is described, and a timer of known frequency. Section titles are those of the ACPI
 * Specification. All addresses are physical.
 */
#pragma once

#include <x86/types.h>

/*
 * Make `len` bytes at pa readable. The pointer need not be aligned and stays valid until
 * acpi_parse() returns. NULL: they cannot be read.
 */
typedef const void *(*acpi_map_fn)(void *ctx, paddr_t pa, size_t len);

/* "Generic Address Structure", address space ID: those a reset register may be in. */
enum acpi_space {
	ACPI_SPACE_MEMORY = 0,
	ACPI_SPACE_IO = 1,
	ACPI_SPACE_PCI = 2, /* bus 0; device, function and offset in bits 47:32, 31:16 and 15:0 */
};

/* SLP_TYP has three bits. */
enum { ACPI_NO_SLEEP_TYPE = 0xff };

/* More are a damaged table. */
enum { ACPI_MAX_CPUS = 4096 };

struct acpi_info {
	paddr_t madt; /* 0: none that is sound */
	u32 madt_length;
	paddr_t lapic_base; /* the local APICs' registers, by the MADT */
	u32 cpu_count;
	u32 apic_id[ACPI_MAX_CPUS]; /* of the enabled CPUs, each once, in the firmware's order */
	u32 cpus_listed;            /* as enabled, by the MADT: the first of them */
	u32 cpus_ignored;           /* disabled for good, or without a valid APIC ID */
	u32 cpus_online_capable;    /* disabled, but may be hot-added: not in apic_id */
	u32 cpus_over_limit;        /* enabled, but beyond ACPI_MAX_CPUS */

	struct {
		bool valid;
		u8 space; /* enum acpi_space */
		u8 width; /* bits */
		u64 addr;
		u8 value; /* write this to reset the machine */
	} reset;

	/* "PM1 Control Registers", the way into S1 to S5. A port 0: no such block in I/O space. */
	u16 pm1_control[2];
	u16 sleep_control; /* "Sleep Control Register", of hardware-reduced ACPI */
	u8 s5_type;        /* SLP_TYP of S5, the soft off state */
	u16 pm1_status[2];
	paddr_t facs; /* "Firmware ACPI Control Structure (FACS)"; 0: none */
	u32 facs_length;

	paddr_t dmar; /* the table of DMA remapping units, for dmar_parse(); 0: none that is sound
		       */
	u32 dmar_length;

	u16 pm_timer_port;   /* counts at 3.579545 MHz; 0: none in I/O space */
	bool pm_timer_32bit; /* else it wraps after 24 bits */
};

/*
 * Follow a copy of the RSDP to the MADT ("APIC"), the FADT ("FACP") and the DMAR. The XSDT is
 * preferred; the RSDT is used when there is no sound one. That one of them is missing is no error.
 * NULL, or what is wrong, for people. After an error of one table the others are still read: *out
 * holds what was sound (in a damaged MADT the entries before the damage, with madt 0), and
 * the first error is returned.
 */
const char *acpi_parse(const u8 *rsdp, size_t len, acpi_map_fn map, void *ctx,
		       struct acpi_info *out);

/* Adds a CPU that is there, whatever the tables say; one that is listed is not added twice. */
void acpi_add_cpu(struct acpi_info *info, u32 apic_id);

/*
 * Makes the MADT, in memory that can be written to, one of a machine to which no CPU is ever added:
 * entries of CPUs that are neither enabled nor in apic_id name none. Returns how many could not be
 * changed, being in read-only memory.
 */
u32 acpi_hide_absent_cpus(const struct acpi_info *info, u8 *madt);
