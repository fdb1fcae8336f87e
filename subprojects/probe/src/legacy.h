/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code outside long mode: 32-bit protected mode without paging, and from there real mode. The
 * bodies are assembly in legacy.S; they take and leave results in struct legacy_args.
 */
#pragma once

#include "cpu.h"

/* legacy.S uses EBX for it; offsets by number. */
struct legacy_args {
	u32 body;    /* 0: entry point in legacy.S */
	u32 vector;  /* 4: of the first exception nothing expected; LEGACY_NO_FAULT if none */
	u32 error;   /* 8 */
	u32 eip;     /* 12 */
	u32 in[8];   /* 16 */
	u32 out[16]; /* 48 */
};
_Static_assert(offsetof(struct legacy_args, out) == 48, "legacy.S knows the layout");

enum { LEGACY_NO_FAULT = 0xffff };

/* SDM "32-Bit Task-State Segment (TSS)". */
struct tss32 {
	u16 link, reserved0;
	u32 esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, io_map;
};
_Static_assert(sizeof(struct tss32) == 104, "SDM: 104 bytes");

/* The 32-bit world's tables; legacy_run() sets them up before every run. */
extern struct tss32 legacy_tss[3];
extern u64 legacy_gdt[16];
extern u64 legacy_idt[64];

/*
 * Prepares tables and args for a body; cases may then change both before legacy_run().
 */
void legacy_prepare(struct legacy_args *args, void (*body)(void));

/* Leaves long mode on this CPU, runs the body, comes back. One CPU at a time. */
void legacy_run(struct legacy_args *args);

/* Makes legacy_idt[vector] a task gate. */
void legacy_set_task_gate(unsigned vector, u16 selector);

/* Bodies, in legacy.S: what they read and write stands there. */
void body_nothing(void);
void body_cr_faults(void);
void body_pae(void);
void body_real(void);
void body_task_jmp(void);
void body_task_call(void);
void body_task_int(void);
void body_task_fault(void);
void body_task_busy(void);
void body_task_paged(void);
void body_task_gdt(void);
void body_cpuid(void);
