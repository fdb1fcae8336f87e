/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Task Switching": in 32-bit protected mode, where it still exists. */
#include "hidden.h"
#include "insn.h"
#include "layout.h"
#include "legacy.h"
#include "memory.h"
#include "probe.h"
#include "string.h"

extern u64 boot_pml4[];
void task_b_jmp(void);
void task_b_iret(void);
void task_b_error(void);
void task_b_paged(void);

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

enum {
	SEL_SPARE_1 = 0x58,
	SEL_SPARE_2 = 0x60,
	TYPE_LDT = 0x82,
	TYPE_TSS16 = 0x81,
	TYPE_DATA_NEVER_USED = 0x92,
	TYPE_CODE = 0x9a,
	FLAGS_4G_32BIT = 0xc,
};

static u64 descriptor(u64 base, u32 limit, u32 type, u32 flags)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | (u64)type << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)flags << 52 | (base >> 24 & 0xff) << 56;
}

static u64 *spare(u16 selector)
{
	return &legacy_gdt[selector / 8];
}

/* "T (debug trap) flag … causes the processor to raise a debug exception when a task switch to
 * this task occurs"; the local breakpoints of the old task are off then. */
PROBE_CASE(taskswitch_trap, "taskswitch.trap_flag", CASE_EACH_CPU)
{
	prepare(body_task_jmp, task_b_jmp);
	legacy_tss[1].trap = 1;
	write_dr6(0xffff0ff0);
	write_dr7(0x755);
	legacy_run(&args);
	const u64 dr6 = read_dr6(), dr7 = read_dr7();

	write_dr6(0xffff0ff0);
	write_dr7(0x400);
	CHECK_EQ(t, args.vector, VECTOR_DB);
	CHECK_EQ(t, args.eip, (u32)(u64)task_b_jmp);
	CHECK(t, dr6 & BIT(15), "DR6.BT is clear: %lx", dr6);
	CHECK(t, !(dr6 & BIT(14)), "DR6.BS is set: %lx", dr6);
	CHECK_EQ(t, dr7 & 0x55, 0);
}

/* Data segments are checked in the new task: its first instruction has not run. */
PROBE_CASE(taskswitch_new_task_faults, "taskswitch.faults_in_new_task", CASE_EACH_CPU)
{
	static const struct {
		u16 selector, vector;
	} bad[] = {
		{0xfff8, VECTOR_TS},      {SEL_TSS_C, VECTOR_TS},   {SEL_SPARE_1 | 4, VECTOR_TS},
		{SEL_SPARE_1, VECTOR_NP}, {SEL_SPARE_2, VECTOR_TS},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		prepare(body_task_jmp, task_b_jmp);
		/* Not present; present but execute-only. */
		*spare(SEL_SPARE_1) = descriptor(0, 0xfffff, 0x12, FLAGS_4G_32BIT);
		*spare(SEL_SPARE_2) = descriptor(0, 0xfffff, 0x98, FLAGS_4G_32BIT);
		legacy_tss[1].gs = bad[i].selector;
		legacy_run(&args);
		CHECK_EQ(t, args.vector, bad[i].vector);
		CHECK_EQ(t, args.error, bad[i].selector & 0xfffc);
		CHECK_EQ(t, args.eip, (u32)(u64)task_b_jmp);
		CHECK(t, !busy(SEL_TSS_A) && busy(SEL_TSS_B), "the switch is not complete");
	}
}

PROBE_CASE(taskswitch_ldt, "taskswitch.ldt", CASE_EACH_CPU)
{
	static u64 ldt[2];
	const u16 data = 8 | 4;

	prepare(body_task_call, task_b_iret);
	ldt[1] = descriptor(0, 0xfffff, TYPE_DATA_NEVER_USED, FLAGS_4G_32BIT);
	*spare(SEL_SPARE_1) = descriptor((u64)ldt, sizeof(ldt) - 1, TYPE_LDT, 0);
	legacy_tss[1].ldt = SEL_SPARE_1;
	legacy_tss[1].ss = data;
	legacy_tss[1].ds = data;
	legacy_run(&args);
	check_nested(t);
	CHECK(t, ldt[1] >> 40 & 1, "the data segment is not marked as accessed");
	CHECK_EQ(t, legacy_tss[1].ss, data);
}

/* SDM "16-Bit TSS": B is one; its segments bring 16-bit offsets to where the code is. */
PROBE_CASE(taskswitch_16bit, "taskswitch.16bit", CASE_EACH_CPU)
{
	enum {
		IP = 7,
		FLAGS = 8,
		SI = 15,
		SP = 13,
		ES = 17,
		CS = 18,
		SS = 19,
		DS = 20,
		WORDS = 22
	};
	u16 *b = (u16 *)&legacy_tss[1];

	prepare(body_task_jmp, task_b_jmp);
	for (unsigned i = 0; i < WORDS; i++)
		b[i] = 0;
	*spare(SEL_SPARE_1) = descriptor((u64)task_b_jmp, 0xfffff, TYPE_CODE, FLAGS_4G_32BIT);
	*spare(SEL_SPARE_2) =
		descriptor((u64)task_stack, 0xfffff, TYPE_DATA_NEVER_USED, FLAGS_4G_32BIT);
	legacy_gdt[SEL_TSS_B / 8] = descriptor((u64)b, 2 * WORDS - 1, TYPE_TSS16, 0);
	b[FLAGS] = 2;
	b[SI] = 0x4567;
	b[SP] = sizeof(task_stack);
	b[CS] = SEL_SPARE_1;
	b[SS] = SEL_SPARE_2;
	b[ES] = b[DS] = SEL_DATA;
	legacy_run(&args);
	CHECK(t, args.vector == LEGACY_NO_FAULT, "%s(%x) at %x", vector_name((u8)args.vector),
	      args.error, args.eip);
	CHECK_EQ(t, args.out[B_ESI] & 0xffff, 0x4567);
	CHECK_EQ(t, args.out[B_ESP] & 0xffff, sizeof(task_stack));
	CHECK_EQ(t, args.out[B_TR], SEL_TSS_B);
	CHECK_EQ(t, args.out[OUT_ESI], REGISTER_IN_A);
	CHECK_EQ(t, args.out[OUT_TR], SEL_TSS_A);
	/* Saved again when B jumped back. */
	CHECK_EQ(t, b[SI], 0x4567);
	CHECK_EQ(t, b[CS], SEL_SPARE_1);
	CHECK(t, b[IP] != 0 && b[IP] < 256, "B's IP is %x", b[IP]);
}

/* B runs in virtual-8086 mode and raises #UD, whose task gate leads back to A. */
PROBE_CASE(taskswitch_v86, "taskswitch.virtual_8086", CASE_EACH_CPU)
{
	enum { UD2_OFFSET = 0xa00, EFLAGS_VM = 1 << 17 };
	struct tss32 *b = &legacy_tss[1];
	const u64 page = memory_low() + LOW_REAL_OFFSET;
	u8 *code = (u8 *)(page + UD2_OFFSET);

	prepare(body_task_jmp, task_b_jmp);
	legacy_set_task_gate(VECTOR_UD, SEL_TSS_A);
	code[0] = 0x0f;
	code[1] = 0x0b;
	b->eflags = EFLAGS_VM | 2;
	b->cs = (u32)(page >> 4);
	b->eip = UD2_OFFSET;
	b->ss = b->ds = b->es = b->fs = b->gs = b->cs + 1;
	b->esp = 0x800;
	legacy_run(&args);
	CHECK(t, args.vector == LEGACY_NO_FAULT, "%s(%x) at %x", vector_name((u8)args.vector),
	      args.error, args.eip);
	CHECK_EQ(t, args.out[OUT_ESI], REGISTER_IN_A);
	CHECK_EQ(t, args.out[OUT_TR], SEL_TSS_A);
	CHECK_EQ(t, legacy_tss[0].link, SEL_TSS_B);
	CHECK(t, busy(SEL_TSS_A) && busy(SEL_TSS_B), "the #UD's task is not nested");
	CHECK_EQ(t, b->eip, UD2_OFFSET);
	CHECK(t, b->eflags & EFLAGS_VM, "VM is clear in the image of B");
	CHECK_EQ(t, (u16)b->cs, (u16)(page >> 4));
	CHECK_EQ(t, (u16)b->gs, (u16)((page >> 4) + 1));
	CHECK_EQ(t, (u16)b->esp, 0x800);
	CHECK_EQ(t, read_cr0(), BASE_CR0);
}

enum {
	OUT_ABSENT = 3,
	OUT_CR2 = 4,
	OUT_SEEN = 5,
	OUT_SEEN_AGAIN = 6,
	OUT_CR3 = 7,
	B_SEEN = 14,
	B_CR3 = 15,
	MARK_A = 0xaaaa,
	MARK_B = 0xbbbb,
	PTE_BITS = 7, /* present, writable, user */
	PDE_LARGE = 0x87,
};

static u32 marked_page(u32 mark)
{
	u32 *page = memory_pages(1);

	*page = mark;
	return (u32)(u64)page;
}

/* Identity but for one page at PAGED_ADDRESS. Returns CR3. */
static u32 address_space_32bit(u32 mark)
{
	u32 *directory = memory_pages(1);
	u32 *table = memory_pages(1);

	for (u32 i = 0; i < 1024; i++)
		directory[i] = i << 22 | PDE_LARGE;
	directory[PAGED_ADDRESS >> 22] = (u32)(u64)table | PTE_BITS;
	table[0] = marked_page(mark) | PTE_BITS;
	return (u32)(u64)directory;
}

static u32 address_space_pae(u32 mark)
{
	u64 *pointers = memory_pages(1);
	u64 *directory = memory_pages(1);
	u64 *table = memory_pages(1);
	const u64 *identity = (const u64 *)(*memory_entry(0, 4) & BITS(51, 12));

	for (u32 i = 0; i < 4; i++)
		pointers[i] = (identity[i] & BITS(51, 12)) | 1;
	pointers[PAGED_ADDRESS >> 30] = (u64)directory | 1;
	directory[0] = (u64)table | PTE_BITS;
	table[0] = marked_page(mark) | PTE_BITS;
	return (u32)(u64)pointers;
}

static void check_paged(struct run *t, u32 cr3_a, u32 cr3_b, u32 cr4)
{
	prepare(body_task_paged, task_b_paged);
	legacy_gdt[SEL_TSS_C / 8] =
		descriptor(PAGED_ADDRESS + PAGE_SIZE, sizeof(struct tss32) - 1, 0x89, 0);
	legacy_tss[0].cr3 = cr3_a;
	legacy_tss[1].cr3 = cr3_b;
	args.in[0] = cr3_a;
	args.in[1] = cr4;
	legacy_run(&args);
	check_switch(t);
	CHECK_EQ(t, args.out[OUT_ABSENT] >> 16, VECTOR_PF);
	CHECK_EQ(t, args.out[OUT_CR2] & ~(u32)(PAGE_SIZE - 1), PAGED_ADDRESS + PAGE_SIZE);
	CHECK_EQ(t, args.out[OUT_SEEN], MARK_A);
	CHECK_EQ(t, args.out[B_SEEN], MARK_B);
	CHECK_EQ(t, args.out[B_CR3], cr3_b);
	CHECK_EQ(t, args.out[OUT_SEEN_AGAIN], MARK_A);
	CHECK_EQ(t, args.out[OUT_CR3], cr3_a);
}

/* "The PDBR (control register CR3)" is loaded from the TSS, and with it new translations. */
PROBE_CASE(taskswitch_cr3, "taskswitch.cr3_32bit_paging", 0)
{
	check_paged(t, address_space_32bit(MARK_A), address_space_32bit(MARK_B), CR4_PSE | CR4_PGE);
}

PROBE_CASE(taskswitch_cr3_pae, "taskswitch.cr3_pae_paging", 0)
{
	check_paged(t, address_space_pae(MARK_A), address_space_pae(MARK_B), CR4_PAE);
}

enum {
	/* The last descriptor, for A while it runs first. */
	SEL_ELSEWHERE = 0x78,
};

/*
 * The old task's descriptor is in a page without memory: clearing its busy flag writes to nowhere,
 * and the switch is done. "Accesses to memory that is not there": ones, on every platform.
 */
static void check_descriptor_elsewhere(struct run *t, u64 page)
{
	const u32 cr3 = address_space_pae(MARK_A);
	const u64 *pointers = (const u64 *)(u64)cr3;
	const u64 *directory = (const u64 *)(pointers[PAGED_ADDRESS >> 30] & BITS(51, 12));
	u64 *table = (u64 *)(*directory & BITS(51, 12));
	u8 *first = memory_pages(1);

	prepare(body_task_gdt, task_b_jmp);
	*spare(SEL_ELSEWHERE) = legacy_gdt[SEL_TSS_A / 8];
	memcpy(first + PAGE_SIZE - SEL_ELSEWHERE, legacy_gdt, SEL_ELSEWHERE);
	table[0] = (u64)first | PTE_BITS;
	table[1] = page | PTE_BITS;
	legacy_tss[0].cr3 = cr3;
	legacy_tss[1].cr3 = cr3;
	args.in[0] = cr3;
	args.in[1] = CR4_PAE;
	args.in[2] = SEL_ELSEWHERE;
	args.in[3] = (SEL_ELSEWHERE + 7) << 16;
	args.in[4] = PAGED_ADDRESS + PAGE_SIZE - SEL_ELSEWHERE;
	legacy_run(&args);
	CHECK(t, args.vector == LEGACY_NO_FAULT, "%s(%x) at %x", vector_name((u8)args.vector),
	      args.error, args.eip);
	CHECK_EQ(t, args.out[B_ESI], REGISTER_IN_B);
	CHECK_EQ(t, args.out[B_TR], SEL_TSS_B);
	CHECK_EQ(t, args.out[OUT_ESI], REGISTER_IN_A);
	CHECK_EQ(t, args.out[OUT_TR], SEL_TSS_A);
}

PROBE_CASE(taskswitch_absent, "taskswitch.old_descriptor_without_memory", 0)
{
	/* Just below the end of what can be addressed. */
	check_descriptor_elsewhere(t, BIT(cpuid(0x80000008, 0).eax & 0xff) - PAGE_SIZE);
}

PROBE_CASE(taskswitch_hidden, "mem.hidden.task_descriptor_there", 0)
{
	u64 start, end;

	if (hidden_range(t, &start, &end))
		check_descriptor_elsewhere(t, end - PAGE_SIZE);
}
