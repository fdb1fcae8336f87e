/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * L2 outside 64-bit mode. Each takes an L2 from l2_begin(), after l2_ept() where it says so, and
 * replaces l2_goto(): it points L2 at code made by L2_CODE_MODE, with registers and events cleared.
 */
#pragma once

#include "vmx/eptmap.h"

/* Code for 16-bit or 32-bit L2s; the VMCALL behind it too. */
#define L2_CODE_MODE(bits, name, text)                                                            \
	extern const u8 name[];                                                                   \
	asm(".pushsection .text.l2, \"ax\"\n.balign 16\n.globl " #name "\n.code" #bits "\n" #name \
	    ":\n" text "\nvmcall\n.code64\n.popsection\n")

/* 32-bit code segment under the 64-bit paging and IDT of the default L2; RIP below 4 GiB. */
void l2_goto_compat(struct l2 *l2, const void *code);

/* What unrestricted-guest L2s need: EPT, the control, IA-32e mode off. False: the CPU lacks it. */
bool l2_unrestricted(struct l2 *l2);

/* Flat 32-bit protected mode without paging; needs l2_unrestricted(). */
void l2_goto_protected(struct l2 *l2, const void *code);

/*
 * Real mode; needs l2_unrestricted(). Segments are 0, IP is L2_REAL_IP, and the guest-physical page
 * 0 is a page of its own with the code copied there. Returns that page.
 */
void *l2_goto_real(struct l2 *l2, const void *code);
enum { L2_REAL_IP = 0x600, L2_REAL_SP = 0x1000, L2_REAL_BYTES = 256 };

/*
 * 32-bit protected mode with PAE paging: page directories that map the first 4 GiB 1:1 in 2 MiB
 * pages, below the returned page-directory-pointer table. Works without EPT as well; with it, the
 * PDPTE fields are written too.
 */
u64 *l2_goto_pae(struct l2 *l2, const void *code);
