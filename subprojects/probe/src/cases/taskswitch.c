/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Task Switching": in 32-bit protected mode, where it still exists. */
#include "layout.h"
#include "legacy.h"
#include "probe.h"

extern u64 boot_pml4[];
void task_b_jmp(void);
void task_b_iret(void);
void task_b_error(void);

enum {
	TASK_INT = 0x30,
	REGISTER_IN_A = 0x11112222,
	REGISTER_IN_B = 0x33334444,
	ERROR_CODE = 0xfff8,
	OUT_ESI = 0,
	OUT_CR0 = 1,
	OUT_TR = 2,
	OUT_FLAGS = 3,
	B_ESI = 8,
	B_FLAGS = 9,
	B_TR = 10,
	B_ESP = 11,
	B_CR0 = 12,
	B_ERROR = 13,
};

static struct legacy_args args;
static u32 task_stack[256];

static bool busy(u16 selector)
{
	return legacy_gdt[selector / 8] >> 41 & 1;
}

static void prepare(void (*body)(void), void (*task_b)(void))
{
	struct tss32 *b = &legacy_tss[1];

	legacy_prepare(&args, body);
	/* Without paging CR3 is not loaded; were it, nothing would change. */
	*b = (struct tss32){
		.cr3 = (u32)(u64)boot_pml4,
		.eip = (u32)(u64)task_b,
		.eflags = 2,
		.esp = (u32)(u64)(task_stack + ARRAY_SIZE(task_stack)),
		.esi = REGISTER_IN_B,
		.cs = SEL_CODE32,
		.ss = SEL_DATA,
		.ds = SEL_DATA,
		.es = SEL_DATA,
		.fs = SEL_DATA,
		.gs = SEL_DATA,
		.io_map = sizeof(*b),
	};
	legacy_tss[0].cr3 = (u32)(u64)boot_pml4;
}

static void check_switch(struct run *t)
{
	CHECK(t, args.vector == LEGACY_NO_FAULT, "%s(%x) at %x", vector_name((u8)args.vector),
	      args.error, args.eip);
	CHECK_EQ(t, args.out[B_ESI], REGISTER_IN_B);
	CHECK_EQ(t, args.out[B_TR], SEL_TSS_B);
	CHECK_EQ(t, args.out[B_ESP], (u32)(u64)(task_stack + ARRAY_SIZE(task_stack)));
	/* "The processor sets the TS flag … every time a task switch occurs." */
	CHECK(t, args.out[B_CR0] & CR0_TS, "TS is clear in the new task");
	CHECK_EQ(t, args.out[OUT_ESI], REGISTER_IN_A);
	CHECK(t, args.out[OUT_CR0] & CR0_TS, "TS is clear after coming back");
	CHECK_EQ(t, args.out[OUT_TR], SEL_TSS_A);
	CHECK(t, busy(SEL_TSS_A), "A is not busy at the end");
	CHECK(t, !busy(SEL_TSS_B), "B is busy at the end");
	CHECK_EQ(t, read_cr0(), BASE_CR0);
}

static void check_nested(struct run *t)
{
	check_switch(t);
	CHECK(t, args.out[B_FLAGS] & RFLAGS_NT, "NT is clear in the nested task");
	CHECK_EQ(t, legacy_tss[1].link, SEL_TSS_A);
	CHECK(t, !(args.out[OUT_FLAGS] & RFLAGS_NT), "NT is set in the outer task");
	/* "IRET: clears NT in the image of EFLAGS saved in the old task's TSS." */
	CHECK(t, !(legacy_tss[1].eflags & RFLAGS_NT), "NT is set in the image of B");
}

PROBE_CASE(taskswitch_jmp, "taskswitch.jmp", CASE_EACH_CPU)
{
	prepare(body_task_jmp, task_b_jmp);
	legacy_run(&args);
	check_switch(t);
	CHECK(t, !(args.out[B_FLAGS] & RFLAGS_NT), "NT is set after JMP");
	CHECK_EQ(t, legacy_tss[1].link, 0);
}

PROBE_CASE(taskswitch_call, "taskswitch.call_iret", CASE_EACH_CPU)
{
	prepare(body_task_call, task_b_iret);
	legacy_run(&args);
	check_nested(t);
}

PROBE_CASE(taskswitch_int, "taskswitch.interrupt_gate_iret", CASE_EACH_CPU)
{
	prepare(body_task_int, task_b_iret);
	legacy_set_task_gate(TASK_INT, SEL_TSS_B);
	legacy_run(&args);
	check_nested(t);
}

PROBE_CASE(taskswitch_error, "taskswitch.exception_error_code", CASE_EACH_CPU)
{
	prepare(body_task_fault, task_b_error);
	legacy_set_task_gate(VECTOR_GP, SEL_TSS_B);
	legacy_run(&args);
	check_nested(t);
	CHECK_EQ(t, args.out[B_ERROR], ERROR_CODE);
}

/* SDM "Exception Conditions Checked During a Task Switch". */
PROBE_CASE(taskswitch_faults, "taskswitch.faults", CASE_EACH_CPU)
{
	prepare(body_task_busy, task_b_jmp);
	legacy_tss[0].link = SEL_TSS_C;
	/* B not present, C too short. */
	legacy_gdt[SEL_TSS_B / 8] &= ~BIT(47);
	legacy_gdt[SEL_TSS_C / 8] -= 1;
	legacy_run(&args);
	CHECK_EQ(t, args.out[0], VECTOR_GP << 16 | SEL_TSS_A);
	CHECK_EQ(t, args.out[1], VECTOR_NP << 16 | SEL_TSS_B);
	CHECK_EQ(t, args.out[2], VECTOR_TS << 16 | SEL_TSS_C);
	CHECK_EQ(t, args.out[3], VECTOR_TS << 16 | SEL_TSS_C);
	CHECK(t, busy(SEL_TSS_A), "A is not busy at the end");
}
