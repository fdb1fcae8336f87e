/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that CPUID promises work, those it denies do not, and cache control. */
#include "apic.h"
#include "features.h"
#include "layout.h"
#include "memory.h"
#include "probe.h"

enum {
	BUFFER_PAGES = 4,
	XSAVE_PAGES = 4,
	WORDS = BUFFER_PAGES * 4096 / 8,
};

static bool buffer_intact(const volatile u64 *words, u64 key)
{
	for (u64 i = 0; i < WORDS; i++)
		if (words[i] != (i ^ key))
			return false;
	return true;
}

static void buffer_fill(volatile u64 *words, u64 key)
{
	for (u64 i = 0; i < WORDS; i++)
		words[i] = i ^ key;
}

PROBE_CASE(insn_wbinvd, "insn.wbinvd_keeps_memory", CASE_EACH_CPU)
{
	volatile u64 *words = memory_pages(BUFFER_PAGES);

	buffer_fill(words, 0x5555555555555555);
	CHECK_OK(t, TRY("wbinvd", ::: "memory"));
	CHECK(t, buffer_intact(words, 0x5555555555555555), "memory changed");
}

/*
 * What WBINVD has written back INVD cannot lose. SDM "INVD": it may fault where the processor
 * reserves memory.
 */
PROBE_CASE(insn_invd, "insn.invd_after_wbinvd", CASE_EACH_CPU)
{
	volatile u64 *words = memory_pages(BUFFER_PAGES);
	struct fault f;

	buffer_fill(words, 0x3333333333333333);
	trap_arm();
	asm volatile("wbinvd\n771: invd\n772:\n" EXTABLE(771b, 772b) : : : "memory");
	f = trap_taken();
	CHECK(t, !f.raised || (f.vector == VECTOR_GP && f.error == 0), "INVD: %s(%x)",
	      vector_name(f.vector), f.error);
	CHECK(t, buffer_intact(words, 0x3333333333333333), "memory changed");
}

/* Everything CPUID leaves alone: RFLAGS, the other registers, CR2, debug and XMM registers. */
struct kept {
	u64 general[11]; /* RSI RDI RBP R8…R15 */
	u64 rflags;
	u64 xmm[32];
};

enum {
	ARITHMETIC_FLAGS = 0xcd7, /* CF PF AF ZF SF DF OF, and the fixed bit */
	KEPT_LEAVES = 3,
};

/* Loads all of *in, executes CPUID, stores all into *out; in assembly below. */
void cpuid_keeping(const struct kept *in, struct kept *out, u32 leaf);

#define XMM_ALL(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define XMM_LOAD(n)  "movdqu 96+16*" #n "(%rdi), %xmm" #n "\n"
#define XMM_STORE(n) "movdqu %xmm" #n ", 96+16*" #n "(%rax)\n"

asm(".pushsection .text\n"
    "cpuid_keeping:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "push %rsi\n"
    "mov %edx, %eax\n"
    "xor %ecx, %ecx\n" XMM_ALL(
	    XMM_LOAD) "mov 16(%rdi), %rbp\n"
		      "mov 24(%rdi), %r8; mov 32(%rdi), %r9; mov 40(%rdi), %r10; mov 48(%rdi), "
		      "%r11\n"
		      "mov 56(%rdi), %r12; mov 64(%rdi), %r13; mov 72(%rdi), %r14; mov 80(%rdi), "
		      "%r15\n"
		      "mov 0(%rdi), %rsi\n"
		      "push 88(%rdi)\n"
		      "mov 8(%rdi), %rdi\n"
		      "popf\n"
		      "cpuid\n"
		      "pushf\n"
		      "cld\n"
		      "mov 8(%rsp), %rax\n"
		      "mov %rsi, 0(%rax); mov %rdi, 8(%rax); mov %rbp, 16(%rax)\n"
		      "mov %r8, 24(%rax); mov %r9, 32(%rax); mov %r10, 40(%rax); mov %r11, "
		      "48(%rax)\n"
		      "mov %r12, 56(%rax); mov %r13, 64(%rax); mov %r14, 72(%rax); mov %r15, "
		      "80(%rax)\n"
		      "pop 88(%rax)\n" XMM_ALL(XMM_STORE) "pop %rsi\n"
							  "pop %r15; pop %r14; pop %r13; pop %r12; "
							  "pop %rbp; pop %rbx\n"
							  "ret\n"
							  ".popsection\n");

PROBE_CASE(insn_kept, "insn.cpuid_keeps_the_rest", CASE_EACH_CPU)
{
	static const u32 leaves[KEPT_LEAVES] = {0, 1, 0x80000001};
	static const u64 flags[] = {0x002, 0xcd7, 0x453, 0x886};
	struct kept in, out;

	asm volatile("mov %0, %%cr2" : : "r"(0x123456789000));
	write_dr0(0x1111222233334444);
	write_dr1(0x5555666677778888);
	for (unsigned i = 0; i < KEPT_LEAVES * ARRAY_SIZE(flags); i++) {
		u64 *words = (u64 *)&in, *after = (u64 *)&out;

		for (unsigned w = 0; w < sizeof(in) / sizeof(u64); w++)
			words[w] = probe_random();
		in.rflags = flags[i % ARRAY_SIZE(flags)];
		cpuid_keeping(&in, &out, leaves[i / ARRAY_SIZE(flags)]);
		out.rflags &= ARITHMETIC_FLAGS;
		for (unsigned w = 0; w < sizeof(in) / sizeof(u64); w++)
			CHECK(t, words[w] == after[w], "word %u: was %lx, is %lx", w, words[w],
			      after[w]);
	}
	CHECK_EQ(t, read_cr2(), 0x123456789000);
	CHECK_EQ(t, read_dr0(), 0x1111222233334444);
	CHECK_EQ(t, read_dr1(), 0x5555666677778888);
	write_dr0(0);
	write_dr1(0);
}

static void user_wbinvd(void *unused)
{
	(void)unused;
	wbinvd();
}

static void user_invd(void *unused)
{
	(void)unused;
	asm volatile("invd");
}

static void user_hlt(void *unused)
{
	(void)unused;
	asm volatile("hlt");
}

static void user_invlpg(void *unused)
{
	(void)unused;
	invlpg(0);
}

static void user_cpuid(void *out)
{
	*(struct cpuid *)out = cpuid(0, 0);
}

PROBE_CASE(insn_user, "insn.user_mode", CASE_EACH_CPU)
{
	struct cpuid here = cpuid(0, 0), there = {0};

	CHECK_GP(t, user_call(user_wbinvd, NULL, 0));
	CHECK_GP(t, user_call(user_invd, NULL, 0));
	CHECK_GP(t, user_call(user_hlt, NULL, 0));
	CHECK_GP(t, user_call(user_invlpg, NULL, 0));
	CHECK_OK(t, user_call(user_cpuid, &there, 0));
	CHECK_EQ(t, there.ebx, here.ebx);
}

PROBE_CASE(insn_rdtscp, "insn.rdtscp_rdpid", CASE_EACH_CPU)
{
	u64 aux = 0, rax = ~0ull, rdx = ~0ull, pid = 0;

	if (!has(FEATURE_RDTSCP)) {
		CHECK_UD(t, TRY("rdtscp", : "+a"(rax), "+c"(aux), "+d"(rdx)));
	} else {
		wrmsr(MSR_IA32_TSC_AUX, 0x1234 + this_cpu()->index);
		CHECK_OK(t, TRY("rdtscp", : "+a"(rax), "+c"(aux), "+d"(rdx)));
		CHECK_EQ(t, aux, 0x1234 + this_cpu()->index);
		CHECK_EQ(t, rax >> 32 | rdx >> 32, 0);
	}
	if (has(FEATURE_RDPID)) {
		CHECK_OK(t, TRY("rdpid %0", : "+r"(pid)));
		CHECK_EQ(t, pid, 0x1234 + this_cpu()->index);
	}
	if (has(FEATURE_RDTSCP))
		wrmsr(MSR_IA32_TSC_AUX, 0);
}

static struct fault try_invpcid(u64 type, const u64 *descriptor)
{
	return TRY("invpcid (%0), %1", : : "r"(descriptor), "r"(type) : "memory");
}

PROBE_CASE(insn_invpcid, "insn.invpcid", CASE_EACH_CPU)
{
	const u64 descriptor[2] = {0, 0};
	const u64 bad_pcid[2] = {BIT(12), 0};
	const u64 bad_address[2] = {0, first_non_canonical()};

	if (!has(FEATURE_INVPCID)) {
		CHECK_UD(t, try_invpcid(2, descriptor));
		return;
	}
	for (u64 type = 0; type < 4; type++)
		CHECK_OK(t, try_invpcid(type, descriptor));
	CHECK_GP(t, try_invpcid(4, descriptor));
	CHECK_GP(t, try_invpcid(0, bad_pcid));
	CHECK_GP(t, try_invpcid(0, bad_address));
}

PROBE_CASE(insn_xsaves, "insn.xsaves", CASE_EACH_CPU)
{
	u8 *area = memory_pages(XSAVE_PAGES);
	struct fault f;
	u64 xss = 0;

	SKIP_UNLESS(t, has(FEATURE_XSAVE), "no XSAVE");
	CHECK_UD(t, TRY("xsave64 (%0)", : : "r"(area), "a"(3), "d"(0) : "memory"));
	write_cr4(BASE_CR4 | CR4_OSXSAVE);
	xsetbv(0, 3);
	CHECK_OK(t, TRY("xsave64 (%0)", : : "r"(area), "a"(3), "d"(0) : "memory"));
	CHECK_OK(t, TRY("xrstor64 (%0)", : : "r"(area), "a"(3), "d"(0) : "memory"));
	f = TRY("xsaves64 (%0)", : : "r"(area), "a"(3), "d"(0) : "memory");
	if (has(FEATURE_XSAVES)) {
		check_no_fault(t, __LINE__, "XSAVES", f);
		/* XCOMP_BV: compacted. */
		CHECK(t, ((u64 *)(void *)area)[65] >> 63, "XSAVES did not compact");
		CHECK_OK(t, TRY("xrstors64 (%0)", : : "r"(area), "a"(3), "d"(0) : "memory"));
		CHECK_OK(t, try_rdmsr(MSR_IA32_XSS, &xss));
		CHECK_OK(t, try_wrmsr(MSR_IA32_XSS, xss));
		CHECK_GP(t, try_wrmsr(MSR_IA32_XSS, xss | BIT(63)));
	} else {
		check_fault(t, __LINE__, "XSAVES", f, VECTOR_UD, 0);
	}
	xsetbv(0, 1);
}

/* Instructions that a hypervisor must enable one by one: each works exactly if CPUID has it. */
PROBE_CASE(insn_waitpkg, "insn.tpause_follows_cpuid", CASE_EACH_CPU)
{
	struct fault f;

	trap_arm();
	/* A deadline that is past: no wait. */
	asm volatile("xor %%ecx, %%ecx\n"
		     "771: .byte 0x66, 0x0f, 0xae, 0xf1\n"
		     "772:\n" EXTABLE(771b, 772b)
		     :
		     : "a"(0), "d"(0)
		     : "ecx", "memory");
	f = trap_taken();
	if (has(FEATURE_WAITPKG))
		check_no_fault(t, __LINE__, "TPAUSE", f);
	else
		check_fault(t, __LINE__, "TPAUSE", f, VECTOR_UD, 0);
}

PROBE_CASE(insn_fsgsbase, "insn.fsgsbase", CASE_EACH_CPU)
{
	u64 v = 0;

	CHECK_UD(t, TRY("rdfsbase %0", : "+r"(v)));
	SKIP_UNLESS(t, has(FEATURE_FSGSBASE), "no FSGSBASE");
	write_cr4(BASE_CR4 | CR4_FSGSBASE);
	CHECK_OK(t, TRY("wrfsbase %0", : : "r"(0x123456789000)));
	CHECK_OK(t, TRY("rdfsbase %0", : "+r"(v)));
	CHECK_EQ(t, v, 0x123456789000);
	CHECK_EQ(t, rdmsr(MSR_IA32_FS_BASE), 0x123456789000);
	CHECK_OK(t, TRY("rdgsbase %0", : "+r"(v)));
	CHECK_EQ(t, v, (u64)this_cpu());
	wrmsr(MSR_IA32_FS_BASE, 0);
}

/* Offered by CPUID, so no #UD; what else they do depends on a state this kernel does not set up. */
PROBE_CASE(insn_promised, "insn.promised_are_not_ud", CASE_EACH_CPU)
{
	u64 v = 0;
	u8 *line = memory_pages(1);

#define NOT_UD(leaf, reg, bit, text)                                             \
	do {                                                                     \
		struct fault f_ = {0};                                           \
		if (has((struct feature){leaf, 0, CPUID_##reg, bit}))            \
			f_ = TRY(text,                                           \
				 : "+a"(v)                                       \
				 : "c"(0), "d"(0), "D"(line), "S"(line)          \
				 : "cc", "memory");                              \
		CHECK(t, !f_.raised || f_.vector != VECTOR_UD, "%s: #UD", text); \
	} while (0)

	NOT_UD(1, ECX, 30, "rdrand %%rax");
	NOT_UD(7, EBX, 18, "rdseed %%rax");
	NOT_UD(1, ECX, 23, "popcnt %%rdi, %%rax");
	NOT_UD(1, ECX, 22, "movbe (%%rdi), %%rax");
	NOT_UD(1, EDX, 19, "clflush (%%rdi)");
	NOT_UD(7, EBX, 23, "clflushopt (%%rdi)");
	NOT_UD(7, EBX, 24, "clwb (%%rdi)");
	NOT_UD(7, EBX, 19, "adcx %%rdi, %%rax");
	NOT_UD(7, EBX, 8, "bzhi %%rdi, %%rdi, %%rax");
	NOT_UD(7, ECX, 27, "movdiri %%rdx, (%%rdi)");
	NOT_UD(7, ECX, 28, "movdir64b (%%rsi), %%rdi");
	NOT_UD(7, EDX, 14, ".byte 0x0f, 0x01, 0xe8");         /* SERIALIZE */
	v = 0xffffffff;                                       /* no such leaf of PCONFIG */
	NOT_UD(7, EDX, 18, ".byte 0x0f, 0x01, 0xc5");         /* PCONFIG */
	NOT_UD(0x80000008, EBX, 9, ".byte 0xf3, 0x0f, 0x09"); /* WBNOINVD */
#undef NOT_UD
	CHECK_EQ(t, line[1], 0);
}

/* STI's shadow covers MWAIT, so that the interrupt waiting since before ends the wait. */
PROBE_CASE(insn_monitor, "insn.monitor_mwait", CASE_EACH_CPU)
{
	static u64 word;
	u32 before = this_cpu()->irq_count[VEC_TEST];
	struct fault f;

	SKIP_UNLESS(t, cpuid(1, 0).ecx & BIT(3), "no MONITOR");
	f = TRY("monitor", : : "a"(&word), "c"(1), "d"(0) : "memory");
	CHECK_GP(t, f);
	f = TRY("monitor", : : "a"(&word), "c"(0), "d"(0) : "memory");
	CHECK_OK(t, f);
	apic_send_shorthand(APIC_FIXED | VEC_TEST | APIC_TO_SELF);
	trap_arm();
	asm volatile("sti\n"
		     "771: mwait\n"
		     "772: cli\n" EXTABLE(771b, 772b)
		     :
		     : "a"(0), "c"(0)
		     : "memory");
	f = trap_taken();
	CHECK_OK(t, f);
	CHECK_EQ(t, this_cpu()->irq_count[VEC_TEST], before + 1);
}
