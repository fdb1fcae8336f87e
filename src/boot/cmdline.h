/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Umbra's own options, from the command line that GRUB's multiboot2 command passes.
 *
 *   serial=com1|com2|com3|com4|PORT[,BAUD] or serial=none
 *   loglevel=error|warn|info|debug
 *   verbose[=on|off]
 *   drive=NUMBER           BIOS drive that a chainloaded boot sector finds in DL
 *   hv-leaves[=on|off]     let programs find Umbra and ask it (umbra/interface.h)
 *   stats[=on|off]         the same for anyone in the guest, for tests
 *   nested[=on|off]        let the guest use VMX
 *   nested.shadow[=on|off] use VMCS shadowing when the CPU has it
 *   nested.untested=NAME[,NAME...]|all|none  offer what no machine at hand has (docs/untested.md)
 *   nested.pool=KIB        memory for the page tables of the guest's virtual machines, for all CPUs
 *   cpuid=known|all        hide what the CPUID policy (docs/cpuid-policy.md) does not know, or not
 *   microcode[=on|off]     load the CPU's microcode update, if the boot loader has brought one
 *   dma=auto|protect|pass  keep devices' DMA from Umbra's memory by VT-d: if possible, or stop
 *   hypervisor=hide|pass   what Umbra itself runs on: keep it from the guest, or pass it through
 *   efi=keep|end           started by a boot loader: keep the firmware's boot services if possible
 *   on-refuse=halt|boot    where Umbra cannot run: stop, or start the same kernel without it
 *   wait=SECONDS           time to read messages before something is started without Umbra, and
 *                          under UEFI before the next program is
 *   mitigations=auto|off|force  against speculation side channels (docs/speculation.md)
 *
 * Words are separated by blanks, numbers are decimal or 0x-hexadecimal, the last of two wins.
 */
#pragma once

#include <x86/types.h>

#include "lib/log.h"
#include "vmx/speculation.h"

enum dma_mode { DMA_AUTO, DMA_PROTECT, DMA_PASS };

struct options {
	const char *text; /* all of them as they were given; NULL: none were */
	u16 serial_port;  /* I/O port of a 16550; 0: no serial console */
	u32 serial_baud;  /* divides 115200 */
	u8 log_level;     /* enum log_level */
	bool verbose;
	bool hv_leaves;
	bool stats;
	u32 drive; /* at most 255 */
	bool nested;
	bool nested_shadow;
	u32 nested_pool;     /* KiB, at most 1 GiB */
	u32 nested_untested; /* a bit for each of enum untested (nested/untested.h) */
	bool microcode;
	bool cpuid_all;
	bool hypervisor_pass;
	bool efi_end;
	bool refuse_boot;
	u32 wait;       /* seconds, at most an hour */
	u8 mitigations; /* enum mitigations */
	u8 dma;         /* enum dma_mode */
};

/*
 * Set *out to the defaults (serial=com1,115200 loglevel=info drive=0x80 nested=on
 * nested.shadow=on nested.untested=none nested.pool=2048 microcode=on cpuid=known hypervisor=hide
 * mitigations=auto efi=keep on-refuse=halt wait=0 dma=auto) and apply what the line says. A word
 * that is not understood changes nothing and is named in `complaint`, one clause per word, cut to
 * `size` bytes with the terminator; without any the text is empty. Returns the number of such
 * words.
 */
u32 cmdline_parse(const char *line, struct options *out, char *complaint, size_t size);
