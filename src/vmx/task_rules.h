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

/* SDM "32-Bit Task-State Segment (TSS)" and "16-Bit TSS": the parts a switch saves. */
struct tss32_saved {
	u32 eip, eflags;
	u32 gpr[8];
	struct {
		u16 selector, reserved;
	} segment[6];
};
struct tss16_saved {
	u16 ip, flags;
	u16 gpr[8];
	u16 segment[4];
};

struct tss32 {
	u16 link, reserved;
	u32 inner_stacks[6];
	u32 cr3;
	struct tss32_saved saved;
	u16 ldt, reserved_ldt;
	u16 trap;
	u16 io_map_base;
};
_Static_assert(sizeof(struct tss32) == 104 && offsetof(struct tss32, cr3) == 28 &&
		       offsetof(struct tss32, saved) == 32 && offsetof(struct tss32, ldt) == 96,
	       "32-bit TSS layout");

struct tss16 {
	u16 link;
	u16 inner_stacks[6];
	struct tss16_saved saved;
	u16 ldt;
};
_Static_assert(sizeof(struct tss16) == 44 && offsetof(struct tss16, saved) == 14 &&
		       offsetof(struct tss16, ldt) == 42,
	       "16-bit TSS layout");

union tss_image {
	struct tss32 tss32;
	struct tss16 tss16;
};
union tss_saved {
	struct tss32_saved tss32;
	struct tss16_saved tss16;
};

struct task_state {
	u32 cr3; /* of a 32-bit TSS only */
	u32 eip, eflags;
	u32 gpr[8];     /* by enum gpr */
	u16 segment[6]; /* by enum segment */
	u16 ldt;
	bool trap;
};

/* Whether a TSS descriptor's or TR's access rights are those of a 32-bit TSS. */
static inline bool task_is_32bit(u32 access_rights)
{
	return access_rights & BIT(3);
}

static inline u32 task_image_size(bool is_32bit)
{
	return is_32bit ? sizeof(struct tss32) : sizeof(struct tss16);
}

/* Where in a TSS the saved part lies. */
static inline u32 task_saved_offset(bool is_32bit)
{
	return is_32bit ? offsetof(struct tss32, saved) : offsetof(struct tss16, saved);
}

static inline u32 task_saved_size(bool is_32bit)
{
	return is_32bit ? sizeof(struct tss32_saved) : sizeof(struct tss16_saved);
}

/*
 * A 16-bit TSS gives the upper halves of the registers as 0 and FS and GS as null; its trap flag
 * does not exist. EFLAGS get their fixed bits.
 */
void task_load(bool is_32bit, const union tss_image *image, struct task_state *out);

/* A 16-bit TSS takes the lower halves. */
void task_save(bool is_32bit, const struct task_state *state, union tss_saved *out);

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
