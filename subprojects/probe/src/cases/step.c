/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What surrounds an instruction that a hypervisor carries out by itself: single-step traps,
 * interrupt shadows, breakpoints and RF. SDM "Debug Exceptions", "Masking Exceptions and
 * Interrupts When Switching Stacks", "STI".
 */
#include "acpi.h"
#include "apic.h"
#include "features.h"
#include "layout.h"
#include "probe.h"

static void db_arm(u32 limit)
{
	struct cpu *cpu = this_cpu();

	cpu->db_count = 0;
	cpu->db_limit = limit;
}

static void check_db(struct run *t, int line, unsigned n, u64 rip, u64 dr6_bits)
{
	const struct cpu *cpu = this_cpu();
	const struct debug_event *e = &cpu->db[n];
	const u64 causes = DR6_B0 | DR6_B1 | DR6_BS;

	if (n >= cpu->db_count) {
		run_fail(t, line, "#DB %u did not come", n);
		return;
	}
	CHECK(t, e->rip == rip, "line %d: #DB %u at %lx, expected %lx", line, n, e->rip, rip);
	CHECK(t, (e->dr6 & causes) == dr6_bits, "line %d: #DB %u has DR6 %lx, expected %lx", line,
	      n, e->dr6, dr6_bits);
}

/* "+" registers that CPUID, RDMSR, XGETBV and RDTSC write. */
#define STEP_OUTPUTS(first, second) \
	[first] "=&r"(first), [second] "=&r"(second), "+a"(rax), "+c"(rcx), "+d"(rdx)

/*
 * Sets TF, runs the instruction and a NOP; exactly one #DB after each, and none between. The
 * addresses are taken in the same asm, so no compiler can move them.
 */
#define STEP(t, text, eax, ecx, edx)                                    \
	do {                                                            \
		u64 rax = (eax), rcx = (ecx), rdx = (edx), after, next; \
		db_arm(2);                                              \
		asm volatile("lea 1f(%%rip), %[after]\n"                \
			     "lea 2f(%%rip), %[next]\n"                 \
			     "pushfq\n"                                 \
			     "orq $0x100, (%%rsp)\n"                    \
			     "popfq\n" text "\n"                        \
			     "1: nop\n"                                 \
			     "2: nop\n"                                 \
			     : STEP_OUTPUTS(after, next)                \
			     :                                          \
			     : "rbx", "memory", "cc");                  \
		check_db(t, __LINE__, 0, after, DR6_BS);                \
		check_db(t, __LINE__, 1, next, DR6_BS);                 \
		CHECK_EQ(t, this_cpu()->db_count, 2);                   \
	} while (0)

PROBE_CASE(step_native, "step.tf.nop", CASE_EACH_CPU)
{
	STEP(t, "nop", 0, 0, 0);
}

PROBE_CASE(step_cpuid, "step.tf.cpuid", CASE_EACH_CPU)
{
	STEP(t, "cpuid", 0, 0, 0);
	STEP(t, "cpuid", 1, 0, 0);
	STEP(t, "cpuid", 0x80000000, 0, 0);
}

PROBE_CASE(step_rdmsr, "step.tf.rdmsr", CASE_EACH_CPU)
{
	u64 value;

	STEP(t, "rdmsr", 0, MSR_IA32_APIC_BASE, 0);
	STEP(t, "rdmsr", 0, MSR_IA32_TSC, 0);
	if (!try_rdmsr(MSR_IA32_FEATURE_CONTROL, &value).raised)
		STEP(t, "rdmsr", 0, MSR_IA32_FEATURE_CONTROL, 0);
}

PROBE_CASE(step_wrmsr, "step.tf.wrmsr", CASE_EACH_CPU)
{
	u64 efer = rdmsr(MSR_IA32_EFER);
	u64 def = has(FEATURE_MTRR) ? rdmsr(MSR_IA32_MTRR_DEF_TYPE) : 0;

	STEP(t, "wrmsr", (u32)efer, MSR_IA32_EFER, efer >> 32);
	if (has(FEATURE_MTRR))
		STEP(t, "wrmsr", (u32)def, MSR_IA32_MTRR_DEF_TYPE, def >> 32);
}

PROBE_CASE(step_xsetbv, "step.tf.xsetbv", CASE_EACH_CPU)
{
	SKIP_UNLESS(t, has(FEATURE_XSAVE), "no XSAVE");
	write_cr4(BASE_CR4 | CR4_OSXSAVE);
	STEP(t, "xsetbv", 1, 0, 0);
}

PROBE_CASE(step_cr, "step.tf.mov_cr", CASE_EACH_CPU)
{
	STEP(t, "mov %%rax, %%cr4", BASE_CR4, 0, 0);
	STEP(t, "mov %%rax, %%cr0", BASE_CR0, 0, 0);
}

PROBE_CASE(step_wbinvd, "step.tf.wbinvd", CASE_EACH_CPU)
{
	STEP(t, "wbinvd", 0, 0, 0);
}

/*
 * Two iterations from a port that puts the machine to sleep: a trap after each, and one after NOP.
 * False: there is no such port, and the case is skipped.
 */
static bool step_rep_ins(struct run *t)
{
	struct acpi_sleep s5;
	u64 rax = 0, rcx = 2, rdx, again, after, next;
	u16 words[2] = {0};
	u16 *to = words;

	if (!acpi_sleep("_S5_", &s5)) {
		run_skip(t, "no PM1 control register");
		return false;
	}
	rdx = s5.pm1a;
	db_arm(3);
	asm volatile("lea 0f(%%rip), %[again]\n"
		     "lea 1f(%%rip), %[after]\n"
		     "lea 2f(%%rip), %[next]\n"
		     "pushfq\n"
		     "orq $0x100, (%%rsp)\n"
		     "popfq\n"
		     "0: rep insw\n"
		     "1: nop\n"
		     "2: nop\n"
		     : [again] "=&r"(again), STEP_OUTPUTS(after, next), "+D"(to)
		     :
		     : "memory", "cc");
	check_db(t, __LINE__, 0, again, DR6_BS);
	check_db(t, __LINE__, 1, after, DR6_BS);
	check_db(t, __LINE__, 2, next, DR6_BS);
	CHECK_EQ(t, this_cpu()->db_count, 3);
	CHECK_EQ(t, rcx, 0);
	CHECK(t, to == words + 2, "RDI has moved by %ld", (long)((char *)to - (char *)words));
	CHECK_EQ(t, words[0], words[1]);
	return true;
}

/*
 * SDM "REP/REPE/REPZ/REPNE/REPNZ", "Single-Step Exception Condition": a trap after each iteration,
 * with RIP at the instruction until the last one.
 */
PROBE_CASE(step_rep, "step.tf.rep_ins", CASE_EACH_CPU)
{
	step_rep_ins(t);
}

/*
 * SDM "Instruction-Breakpoint Exception Condition": a trap between two iterations pushes RF as 1.
 * Bochs pushes 0.
 */
PROBE_CASE(step_rep_rf, "step.tf.rep_ins_rf", CASE_EACH_CPU | CASE_EXPLICIT)
{
	if (!step_rep_ins(t))
		return;
	CHECK(t, this_cpu()->db[0].rflags & RFLAGS_RF, "RF is clear between the iterations");
	CHECK(t, !(this_cpu()->db[1].rflags & RFLAGS_RF), "RF is set after the last one");
}

/* An instruction that faults has not been completed: no trap for it. */
PROBE_CASE(step_fault, "step.tf.faulting_rdmsr", CASE_EACH_CPU)
{
	u64 rax = 0, rcx = 0xdeadbeef, rdx = 0, after, next;

	db_arm(2);
	trap_arm();
	asm volatile("lea 1f(%%rip), %[after]\n"
		     "lea 2f(%%rip), %[next]\n"
		     "pushfq\n"
		     "orq $0x100, (%%rsp)\n"
		     "popfq\n"
		     "771: rdmsr\n"
		     "772: nop\n"
		     "1: nop\n"
		     "2: nop\n" EXTABLE(771b, 772b)
		     : STEP_OUTPUTS(after, next)
		     :
		     : "memory", "cc");
	CHECK_GP(t, trap_taken());
	check_db(t, __LINE__, 0, after, DR6_BS);
	check_db(t, __LINE__, 1, next, DR6_BS);
	CHECK_EQ(t, this_cpu()->db_count, 2);
}

/* MOV SS holds back the trap on itself; the one after the next instruction comes. */
PROBE_CASE(step_movss, "step.movss.cpuid", CASE_EACH_CPU)
{
	u64 rax = 0, rcx = 0, rdx = 0, after, next;

	db_arm(2);
	asm volatile("lea 1f(%%rip), %[after]\n"
		     "lea 2f(%%rip), %[next]\n"
		     "mov %%ss, %%edx\n"
		     "pushfq\n"
		     "orq $0x100, (%%rsp)\n"
		     "popfq\n"
		     "mov %%edx, %%ss\n"
		     "cpuid\n"
		     "1: nop\n"
		     "2: nop\n"
		     : STEP_OUTPUTS(after, next)
		     :
		     : "rbx", "memory", "cc");
	check_db(t, __LINE__, 0, after, DR6_BS);
	check_db(t, __LINE__, 1, next, DR6_BS);
}

/* A data breakpoint met by MOV SS is held until after the next instruction, CPUID. */
PROBE_CASE(step_movss_data, "step.movss.data_breakpoint_cpuid", CASE_EACH_CPU)
{
	static u32 ss_image = SEL_DATA;
	u64 rax = 0, rcx = 0, rdx = 0, after, next;

	db_arm(1);
	write_dr0((u64)&ss_image);
	/* L0, RW0 = 3 (read or write), LEN0 = 1 (2 bytes). */
	write_dr7(DR7_INIT | 1 | 3u << 16 | 1u << 18);
	asm volatile("lea 1f(%%rip), %[after]\n"
		     "lea 2f(%%rip), %[next]\n"
		     "mov %[image], %%ss\n"
		     "cpuid\n"
		     "1: nop\n"
		     "2: nop\n"
		     : STEP_OUTPUTS(after, next)
		     : [image] "m"(ss_image)
		     : "rbx", "memory", "cc");
	write_dr7(DR7_INIT);
	(void)next;
	check_db(t, __LINE__, 0, after, DR6_B0);
	CHECK_EQ(t, this_cpu()->db_count, 1);
}

/* Interrupts: how often the test vector came, and where the last one interrupted. */
static void check_irq(struct run *t, int line, u32 before, u64 rip)
{
	const struct cpu *cpu = this_cpu();
	u64 at = cpu->irq_rip[(cpu->irq_total - 1) % IRQ_LOG];

	if (cpu->irq_count[VEC_TEST] != before + 1)
		run_fail(t, line, "%u interrupts", cpu->irq_count[VEC_TEST] - before);
	else if (at != rip)
		run_fail(t, line, "interrupted at %lx, expected %lx", at, rip);
}

static void pend_interrupt(void)
{
	apic_send_shorthand(APIC_FIXED | VEC_TEST | APIC_TO_SELF);
	/* Reads of the APIC come back after the interrupt is accepted there. */
	while (!(apic_read(APIC_REG_IRR + VEC_TEST / 32 * 16) & 1u << VEC_TEST % 32))
		cpu_pause();
}

#define SHADOW(t, before_text, inside_text)                                               \
	do {                                                                              \
		u64 rax = 0, rcx = 0, rdx = 0, after, next;                               \
		u32 count = this_cpu()->irq_count[VEC_TEST];                              \
		pend_interrupt();                                                         \
		asm volatile("lea 1f(%%rip), %[after]\n"                                  \
			     "lea 2f(%%rip), %[next]\n" before_text "\n" inside_text "\n" \
			     "1: nop\n"                                                   \
			     "2: cli\n"                                                   \
			     : STEP_OUTPUTS(after, next)                                  \
			     :                                                            \
			     : "rbx", "memory", "cc");                                    \
		(void)next;                                                               \
		check_irq(t, __LINE__, count, after);                                     \
	} while (0)

PROBE_CASE(step_sti_nop, "step.sti.nop", CASE_EACH_CPU)
{
	SHADOW(t, "sti", "nop");
}

PROBE_CASE(step_sti_cpuid, "step.sti.cpuid", CASE_EACH_CPU)
{
	for (unsigned i = 0; i < 16; i++)
		SHADOW(t, "sti", "cpuid");
}

PROBE_CASE(step_sti_rdmsr, "step.sti.rdmsr", CASE_EACH_CPU)
{
	SHADOW(t, "mov $0x1b, %%ecx; sti", "rdmsr");
	SHADOW(t, "mov $0x10, %%ecx; sti", "rdmsr");
}

PROBE_CASE(step_sti_hlt, "step.sti.hlt", CASE_EACH_CPU)
{
	SHADOW(t, "sti", "hlt");
}

/* Nothing blocks it: the interrupt comes before CPUID. */
PROBE_CASE(step_open_cpuid, "step.sti.nop_then_cpuid", CASE_EACH_CPU)
{
	u64 rax = 0, rcx = 0, rdx = 0, after, next;
	u32 count = this_cpu()->irq_count[VEC_TEST];

	pend_interrupt();
	asm volatile("lea 1f(%%rip), %[after]\n"
		     "lea 2f(%%rip), %[next]\n"
		     "sti\n"
		     "nop\n"
		     "1: cpuid\n"
		     "2: cli\n"
		     : STEP_OUTPUTS(after, next)
		     :
		     : "rbx", "memory", "cc");
	(void)next;
	check_irq(t, __LINE__, count, after);
}

/* RF lets CPUID pass its own breakpoint once, and no more: the next instruction's hits too. */
PROBE_CASE(step_rf, "step.breakpoint.rf_cpuid", CASE_EACH_CPU)
{
	enum { ROUNDS = 3 };
	u64 rounds = ROUNDS, rcx, rdx, at, next;

	db_arm(2 * ROUNDS);
	asm volatile("lea 1f(%%rip), %[at]\n"
		     "lea 2f(%%rip), %[next]\n"
		     "mov %[at], %%dr0\n"
		     "mov %[next], %%dr1\n"
		     "mov %[dr7], %%rax\n"
		     "mov %%rax, %%dr7\n"
		     "0: xor %%eax, %%eax\n"
		     "1: cpuid\n"
		     "2: nop\n"
		     "dec %[rounds]\n"
		     "jnz 0b\n"
		     : [at] "=&r"(at), [next] "=&r"(next), [rounds] "+r"(rounds), "=&c"(rcx),
		       "=&d"(rdx)
		     : [dr7] "i"(0x400 | 1 | 4)
		     : "rax", "rbx", "memory", "cc");
	write_dr7(DR7_INIT);
	CHECK_EQ(t, this_cpu()->db_count, 2 * ROUNDS);
	for (unsigned i = 0; i < ROUNDS; i++) {
		check_db(t, __LINE__, 2 * i, at, DR6_B0);
		check_db(t, __LINE__, 2 * i + 1, next, DR6_B1);
	}
}

/* MOV to DR with general detect set: #DB before the access. */
PROBE_CASE(step_gd, "step.breakpoint.general_detect", CASE_EACH_CPU)
{
	u64 at, value = 0;

	db_arm(1);
	asm volatile("lea 1f(%%rip), %[at]\n"
		     "mov %[dr7], %%dr7\n"
		     "1: mov %%dr3, %[value]\n"
		     : [at] "=&r"(at), [value] "+&r"(value)
		     : [dr7] "r"(DR7_INIT | DR7_GD)
		     : "memory");
	write_dr7(DR7_INIT);
	CHECK_EQ(t, this_cpu()->db_count, 1);
	check_db(t, __LINE__, 0, at, 0);
	CHECK(t, this_cpu()->db[0].dr6 & BIT(13), "DR6.BD is clear: %lx", this_cpu()->db[0].dr6);
}
