/* SPDX-License-Identifier: BSD-2-Clause */
#include "trap.h"

#include "apic.h"
#include "console.h"
#include "layout.h"
#include "memory.h"
#include "power.h"
#include "string.h"

enum {
	IST_NMI = 1,
	IST_DF = 2,
	IST_MC = 3,
	IST_PAGES = 2,
	/* An NMI handler that an NMI interrupts against the rules must survive to report it. */
	NMI_FRAME_SKIP = 2048,
	STUB_SIZE = 16,
	GATE_USER = 0xee,
	USER_STACK = 4096,
};

struct extable_entry {
	u64 from, to;
};

extern const struct extable_entry __extable_start[], __extable_end[];
extern const u8 vector_stubs[];
extern const u64 boot_gdt[];
extern void user_return(void);
void user_enter(u64 rip, u64 rsp, u64 rdi, u64 rflags);

static struct idt_gate idt[256];
static u8 user_stack[USER_STACK] __attribute__((aligned(16)));

const char *vector_name(u8 vector)
{
	static const char *const names[EXCEPTIONS] = {
		[0] = "#DE",  [1] = "#DB",  [2] = "NMI",  [3] = "#BP",  [4] = "#OF",
		[5] = "#BR",  [6] = "#UD",  [7] = "#NM",  [8] = "#DF",  [10] = "#TS",
		[11] = "#NP", [12] = "#SS", [13] = "#GP", [14] = "#PF", [16] = "#MF",
		[17] = "#AC", [18] = "#MC", [19] = "#XM", [20] = "#VE", [21] = "#CP",
	};

	if (vector < EXCEPTIONS && names[vector])
		return names[vector];
	return "interrupt";
}

static void idt_fill(void)
{
	for (unsigned i = 0; i < 256; i++)
		idt_gate_set(&idt[i], SEL_CODE64, (u64)vector_stubs + i * STUB_SIZE);
	idt[VECTOR_NMI].ist = IST_NMI;
	idt[VECTOR_DF].ist = IST_DF;
	idt[VECTOR_MC].ist = IST_MC;
	idt[VECTOR_BP].type = idt[VEC_USER_EXIT].type = GATE_USER;
}

void trap_reload(struct cpu *cpu)
{
	struct table_pointer gdtr = {sizeof(cpu->gdt) - 1, (u64)cpu->gdt};
	struct table_pointer idtr = {sizeof(idt) - 1, (u64)idt};

	asm volatile("lgdt %0" : : "m"(gdtr));
	asm volatile("lidt %0" : : "m"(idtr));
	asm volatile("mov %0, %%ds\n"
		     "mov %0, %%es\n"
		     "mov %0, %%ss\n"
		     "mov %1, %%fs\n"
		     "mov %1, %%gs\n"
		     :
		     : "r"(SEL_DATA), "r"(0)
		     : "memory");
	wrmsr(MSR_IA32_GS_BASE, (u64)cpu);
	/* An INIT may have come in the handler. */
	cpu->tss.ist[IST_NMI - 1] = cpu->nmi_stack;
	cpu->nmi_depth = 0;
	/* LTR wants it available, and leaves it busy. */
	tss64_set_descriptor(&cpu->gdt[SEL_TSS64 / 8], (u64)&cpu->tss, sizeof(cpu->tss) - 1);
	asm volatile("ltr %w0" : : "r"(SEL_TSS64) : "memory");
}

void trap_init_cpu(struct cpu *cpu)
{
	if (!idt[0].type)
		idt_fill();
	cpu->self = cpu;
	memcpy(cpu->gdt, boot_gdt, SEL_TSS64);
	cpu->tss.rsp[0] = (u64)memory_pages(IST_PAGES) + IST_PAGES * PAGE_SIZE;
	for (unsigned i = IST_NMI; i <= IST_MC; i++)
		cpu->tss.ist[i - 1] = (u64)memory_pages(IST_PAGES) + IST_PAGES * PAGE_SIZE;
	cpu->nmi_stack = cpu->tss.ist[IST_NMI - 1];
	cpu->tss.io_map_base = sizeof(cpu->tss);
	trap_reload(cpu);
}

static const struct extable_entry *extable_find(u64 rip)
{
	for (const struct extable_entry *e = __extable_start; e < __extable_end; e++)
		if (e->from == rip)
			return e;
	return NULL;
}

/* Makes the IRETQ at the end of the handler go to ctx, with context_save() returning 1. */
static void resume_context(struct frame *f, const struct context *ctx)
{
	f->rbx = ctx->rbx;
	f->rbp = ctx->rbp;
	f->r12 = ctx->r12;
	f->r13 = ctx->r13;
	f->r14 = ctx->r14;
	f->r15 = ctx->r15;
	f->rsp = ctx->rsp;
	f->rip = ctx->rip;
	f->rax = 1;
	f->cs = SEL_CODE64;
	f->ss = SEL_DATA;
	f->rflags = 2;
}

static void nmi(struct cpu *cpu)
{
	cpu->tss.ist[IST_NMI - 1] -= NMI_FRAME_SKIP;
	cpu->nmi_count++;
	cpu->nmi_depth++;
	if (cpu->nmi_depth > cpu->nmi_max_depth)
		cpu->nmi_max_depth = cpu->nmi_depth;
	if (cpu->nmi_hook)
		cpu->nmi_hook(cpu);
	cpu->nmi_depth--;
	cpu->tss.ist[IST_NMI - 1] += NMI_FRAME_SKIP;
}

static void interrupt(struct cpu *cpu, const struct frame *f)
{
	cpu->irq_rip[cpu->irq_total % IRQ_LOG] = f->rip;
	cpu->irq_total++;
	cpu->irq_count[f->vector]++;
	if (f->vector != VEC_SPURIOUS)
		apic_eoi();
}

static void debug_exception(struct cpu *cpu, struct frame *f)
{
	u64 dr6 = read_dr6();

	if (cpu->db_count < DB_LOG)
		cpu->db[cpu->db_count] = (struct debug_event){f->rip, dr6, f->rflags};
	cpu->db_count++;
	if (cpu->db_count >= cpu->db_limit) {
		f->rflags &= ~RFLAGS_TF;
		write_dr7(0x400);
	}
	/* An instruction breakpoint is a fault: without RF it would hit again. */
	f->rflags |= RFLAGS_RF;
	/* SDM "Debug Status Register (DR6)": the processor never clears it. */
	write_dr6(0xffff0ff0);
}

void trap_dispatch(struct frame *f)
{
	struct cpu *cpu = this_cpu();
	const struct extable_entry *e;

	if (f->vector == VECTOR_NMI) {
		nmi(cpu);
		return;
	}
	if (f->vector >= EXCEPTIONS && (f->cs & 3) == 0) {
		interrupt(cpu, f);
		return;
	}
	if (f->vector < EXCEPTIONS && cpu->hook[f->vector] && cpu->hook[f->vector](cpu, f))
		return;
	if (f->vector == VECTOR_DB && cpu->db_limit) {
		debug_exception(cpu, f);
		return;
	}

	cpu->fault = (struct fault){
		.raised = true,
		.vector = (u8)f->vector,
		.error = (u32)f->error,
		.rip = f->rip,
		.cr2 = read_cr2(),
	};
	if ((f->cs & 3) == 3) {
		if (f->vector == VEC_USER_EXIT)
			cpu->fault = (struct fault){0};
		resume_context(f, &cpu->user);
		return;
	}
	e = extable_find(f->rip);
	if (e) {
		f->rip = e->to;
		return;
	}
	if (cpu->guard) {
		resume_context(f, cpu->guard);
		return;
	}
	panic("unexpected %s(%lx) at %lx, CR2 %lx, RSP %lx, on CPU %u", vector_name((u8)f->vector),
	      f->error, f->rip, read_cr2(), f->rsp, cpu->index);
}

bool trap_guarded(void (*fn)(void *), void *arg)
{
	struct cpu *cpu = this_cpu();
	struct context *outer = cpu->guard;
	struct context here;

	if (context_save(&here)) {
		cpu->guard = outer;
		print("# unexpected %s(%x) at %lx, CR2 %lx, on CPU %u\n",
		      vector_name(cpu->fault.vector), cpu->fault.error, cpu->fault.rip,
		      cpu->fault.cr2, cpu->index);
		return false;
	}
	cpu->guard = &here;
	fn(arg);
	cpu->guard = outer;
	return true;
}

struct fault try_call(void (*fn)(void))
{
	struct cpu *cpu = this_cpu();
	struct context *outer = cpu->guard;
	struct context here;

	trap_arm();
	if (!context_save(&here)) {
		cpu->guard = &here;
		fn();
	}
	cpu->guard = outer;
	return trap_taken();
}

struct fault user_call(void (*fn)(void *), void *arg, u64 extra_flags)
{
	struct cpu *cpu = this_cpu();
	u64 *sp = (u64 *)(void *)(user_stack + USER_STACK);

	trap_arm();
	*--sp = (u64)user_return;
	if (!context_save(&cpu->user))
		user_enter((u64)fn, (u64)sp, (u64)arg, 2 | extra_flags);
	return trap_taken();
}
