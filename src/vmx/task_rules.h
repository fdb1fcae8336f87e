/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches as data: TSS images and the checks of SDM "Task Switching",
 * table "Exception Conditions Checked During a Task Switch". Pure.
 */
#pragma once

#include <x86/types.h>
#include <x86/vmcs.h>

#include "vmx/segment.h"

/* Numbered as in the exit qualification (SDM "Exit Qualification for Task Switches"). */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

/*
 * SDM "32-Bit Task-State Segment (TSS)" and "16-Bit TSS": one shape in two widths. What a switch
 * saves is a row of slots, each as wide as the TSS is; the 16-bit one ends before FS and GS.
 */
struct task_layout {
	u8 width; /* of a slot, in bytes */
	u8 slots;
	u8 saved; /* where they begin */
	u8 ldt;
	u8 size;
};
extern const struct task_layout task_layout16, task_layout32;

enum { TASK_SLOTS = 16, TASK_IMAGE_SIZE = 104 };

struct task_state {
	u32 cr3; /* of a 32-bit TSS only */
	union {
		u32 slot[TASK_SLOTS];
		struct {
			u32 eip, eflags;
			u32 gpr[8]; /* by enum gpr */
			struct {
				u16 selector, reserved;
			} segment[6]; /* by enum segment */
		};
	};
	u16 ldt;
	bool trap;
};
_Static_assert(sizeof(((struct task_state *)0)->slot) == 2 * 4 + 8 * 4 + 6 * 4, "a slot each");

/* Whether a TSS descriptor's or TR's access rights are those of a 32-bit TSS. */
static inline bool task_is_32bit(u32 access_rights)
{
	return access_rights & BIT(3);
}

static inline const struct task_layout *task_layout(u32 access_rights)
{
	return task_is_32bit(access_rights) ? &task_layout32 : &task_layout16;
}

static inline u32 task_saved_size(const struct task_layout *tss)
{
	return (u32)tss->slots * tss->width;
}

/*
 * A 16-bit TSS gives the upper halves of the registers as 0 and FS and GS as null; its trap flag
 * does not exist. EFLAGS get their fixed bits.
 */
void task_load(const struct task_layout *tss, const u8 *image, struct task_state *out);

/* A 16-bit TSS takes the lower halves. */
void task_save(const struct task_layout *tss, const struct task_state *state, u8 *saved);

/*
 * The checks give the vector of the exception to raise, always with the selector as error code,
 * or TASK_CHECK_PASSED.
 */
enum { TASK_CHECK_PASSED = -1 };

/* Before the descriptor may be read. */
int task_check_tss_selector(enum task_source source, u16 selector, u32 gdt_limit);

/* `cet`: CR4.CET, which wants a shadow-stack pointer in the TSS. */
int task_check_tss(enum task_source source, const struct segment_descriptor *tss, bool cet);

/* Of the new task: LDTR and the segment registers but TR, whose selector is not null. */
int task_check_segment(enum segment seg, u16 selector, const struct segment_descriptor *d,
		       unsigned int cpl);
