/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/task_rules.h"

#include <x86/cr.h>

#include "lib/string.h"

/* SDM "System Descriptor Types". */
enum {
	SYSTEM_TSS16 = 1,
	SYSTEM_LDT = 2,
	SYSTEM_TSS16_BUSY = 3,
	SYSTEM_TSS32 = 9,
	SYSTEM_TSS32_BUSY = 11,
};

/* The others are reserved (SDM "System Flags and Fields in the EFLAGS Register"). */
static const u32 eflags_defined = RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF |
				  RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_AC |
				  RFLAGS_VIF | RFLAGS_VIP | RFLAGS_ID;

const struct task_layout task_layout16 = {
	.width = 2, .slots = 14, .saved = 14, .ldt = 42, .size = 44};
const struct task_layout task_layout32 = {
	.width = 4, .slots = TASK_SLOTS, .saved = 32, .ldt = 96, .size = TASK_IMAGE_SIZE};

/* Of a 32-bit TSS alone. */
enum { OFFSET_CR3 = 28, OFFSET_TRAP = 100 };

void task_load(const struct task_layout *tss, const u8 *image, struct task_state *out)
{
	*out = (struct task_state){0};
	for (u32 i = 0; i < tss->slots; i++)
		memcpy(&out->slot[i], image + tss->saved + i * tss->width, tss->width);
	out->eflags = (out->eflags & eflags_defined) | (u32)RFLAGS_FIXED;
	memcpy(&out->ldt, image + tss->ldt, sizeof(out->ldt));
	if (tss == &task_layout32) {
		memcpy(&out->cr3, image + OFFSET_CR3, sizeof(out->cr3));
		out->trap = image[OFFSET_TRAP] & 1;
	}
}

void task_save(const struct task_layout *tss, const struct task_state *state, u8 *saved)
{
	for (u32 i = 0; i < tss->slots; i++)
		memcpy(saved + i * tss->width, &state->slot[i], tss->width);
}

static u32 type_of(const struct segment_descriptor *d)
{
	return d->access_rights & (u32)AR_TYPE;
}

static u32 dpl_of(const struct segment_descriptor *d)
{
	return (d->access_rights & (u32)AR_DPL) >> AR_DPL_SHIFT;
}

static bool is_conforming_code(const struct segment_descriptor *d)
{
	return (type_of(d) & TYPE_CODE) && (type_of(d) & TYPE_CODE_CONFORMING);
}

int task_check_tss_selector(enum task_source source, u16 selector, u32 gdt_limit)
{
	if (selector_is_null(selector) || selector_in_ldt(selector) ||
	    !selector_in_limit(selector, gdt_limit))
		return source == TASK_IRET ? VECTOR_TS : VECTOR_GP;
	return TASK_CHECK_PASSED;
}

int task_check_tss(enum task_source source, const struct segment_descriptor *tss, bool cet)
{
	const u32 tss16 = source == TASK_IRET ? SYSTEM_TSS16_BUSY : SYSTEM_TSS16;
	const u32 tss32 = source == TASK_IRET ? SYSTEM_TSS32_BUSY : SYSTEM_TSS32;
	const bool is_32bit = type_of(tss) == tss32;
	/* The shadow-stack pointer follows the 104 bytes of the classic layout. */
	const u32 size = task_layout(tss->access_rights)->size + (cet ? (u32)sizeof(u32) : 0);

	if ((tss->access_rights & AR_S) || (type_of(tss) != tss16 && !is_32bit))
		return source == TASK_IRET ? VECTOR_TS : VECTOR_GP;
	if (!(tss->access_rights & AR_P))
		return VECTOR_NP;
	if (tss->limit < size - 1 || (cet && !is_32bit))
		return VECTOR_TS;
	return TASK_CHECK_PASSED;
}

static int check_ldt(const struct segment_descriptor *ldt)
{
	if ((ldt->access_rights & AR_S) || type_of(ldt) != SYSTEM_LDT ||
	    !(ldt->access_rights & AR_P))
		return VECTOR_TS;
	return TASK_CHECK_PASSED;
}

static int check_code(const struct segment_descriptor *code, u32 cpl)
{
	if (!(code->access_rights & AR_S) || !(type_of(code) & TYPE_CODE))
		return VECTOR_TS;
	if (is_conforming_code(code) ? dpl_of(code) > cpl : dpl_of(code) != cpl)
		return VECTOR_TS;
	return code->access_rights & AR_P ? TASK_CHECK_PASSED : VECTOR_NP;
}

static int check_stack(u16 selector, const struct segment_descriptor *stack, u32 cpl)
{
	if (!(stack->access_rights & AR_S) || (type_of(stack) & TYPE_CODE) ||
	    !(type_of(stack) & TYPE_DATA_WRITABLE))
		return VECTOR_TS;
	if (!(stack->access_rights & AR_P))
		return VECTOR_SS;
	if (dpl_of(stack) != cpl || (selector & 3u) != cpl)
		return VECTOR_TS;
	return TASK_CHECK_PASSED;
}

static int check_data(u16 selector, const struct segment_descriptor *data, u32 cpl)
{
	if (!(data->access_rights & AR_S) ||
	    ((type_of(data) & TYPE_CODE) && !(type_of(data) & TYPE_CODE_READABLE)))
		return VECTOR_TS;
	if (!(data->access_rights & AR_P))
		return VECTOR_NP;
	if (!is_conforming_code(data) && (dpl_of(data) < cpl || dpl_of(data) < (selector & 3u)))
		return VECTOR_TS;
	return TASK_CHECK_PASSED;
}

int task_check_segment(enum segment seg, u16 selector, const struct segment_descriptor *d,
		       unsigned int cpl)
{
	switch (seg) {
	case SEG_LDTR:
		return selector_in_ldt(selector) ? VECTOR_TS : check_ldt(d);
	case SEG_CS:
		return check_code(d, cpl);
	case SEG_SS:
		return check_stack(selector, d, cpl);
	default:
		return check_data(selector, d, cpl);
	}
}
