/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ways in which a hypervisor was, or might be, stopped or passed by its guest. One CPU tries them
 * while another counts and watches it; whatever the outcome of an instruction, both go on.
 */
#include "apic.h"
#include "attack/others.h"
#include "features.h"
#include "hidden.h"
#include "layout.h"
#include "memory.h"
#include "string.h"
#include "timer.h"

enum {
	STORM = 20000,
	ROUNDS = 50,
	FLOODS = 8,
	FLOOD_LENGTH = 16,
	PF_RESERVED = 8,
};

static struct attacker self;

/* The page that must not be seen or written: hidden, or without hidden= one of ours. */
static void begin(struct run *t)
{
	const u64 page = self.scratch;

	self = (struct attacker){.t = t, .alone = true, .scratch = page};
	if (!self.scratch)
		self.scratch = (u64)memory_pages(1);
	self.aims = hidden_range_given(&self.start, &self.end);
	if (!self.aims)
		self.start = self.scratch;
}

static void check_target(struct run *t)
{
	const volatile u64 *page = (const volatile u64 *)attack_map(self.start, self.start, 0);

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*page); i++)
		if (page[i] != (self.aims ? ~0ull : 0)) {
			run_fail(t, __LINE__, "word %u of %lx is %lx", i, self.start, page[i]);
			return;
		}
}

/*
 * SDM "Intel PT and XSAVE", CPUID leaf 0Dh: a component that is not listed cannot be enabled.
 * Bochs 2.7 takes some all the same.
 */
PROBE_CASE(watchdog_xss, "watchdog.xss_components", CASE_EXPLICIT | CASE_WATCHED)
{
	static _Alignas(64) u8 area[PAGE_SIZE];
	const u64 format = BIT(63);
	u64 supported;

	SKIP_UNLESS(t, has(FEATURE_XSAVES), "no XSAVES");
	begin(t);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	supported = cpuid(0xd, 1).ecx | (u64)cpuid(0xd, 1).edx << 32;
	for (unsigned bit = 0; bit < 64; bit++) {
		u64 component = BIT(bit);

		if (component & supported)
			continue;
		CHECK_GP(t, try_wrmsr(MSR_IA32_XSS, component));
		if (bit < 2 || (xgetbv(0) & component))
			continue;
		memset(area, 0, sizeof(area));
		/* XSTATE_BV and XCOMP_BV of the XSAVE header. */
		memcpy(area + 512, &component, sizeof(component));
		component |= format;
		memcpy(area + 520, &component, sizeof(component));
		CHECK_GP(t, TRY("xrstors (%0)", : : "r"(area), "a"(~0u), "d"(~0u) : "memory"));
	}
	CHECK_OK(t, try_wrmsr(MSR_IA32_XSS, 0));
}

/* SDM "IA32_DEBUGCTL MSR": whatever of it a guest may set, exits under it are as always. */
PROBE_CASE(watchdog_debugctl, "watchdog.debugctl_over_exits", CASE_WATCHED)
{
	u64 old;

	SKIP_UNLESS(t, !try_rdmsr(MSR_IA32_DEBUGCTL, &old).raised, "no IA32_DEBUGCTL");
	begin(t);
	for (unsigned bit = 0; bit < 64; bit++) {
		const u32 nmis = (u32)this_cpu()->nmi_count;

		if (try_wrmsr(MSR_IA32_DEBUGCTL, old | BIT(bit)).raised)
			continue;
		for (unsigned i = 0; i < ROUNDS; i++)
			cpuid(i, 0);
		apic_send(apic_id(), APIC_NMI);
		for (u64 late = timer_deadline(1000);
		     this_cpu()->nmi_count == nmis && rdtsc() < late;)
			cpu_pause();
		CHECK(t, this_cpu()->nmi_count == nmis + 1, "bit %u: the NMI did not come", bit);
		try_wrmsr(MSR_IA32_DEBUGCTL, old);
	}
}

/* MSRs by which a CPU writes memory of its own accord, or reads what an address points at. */
PROBE_CASE(watchdog_msrs, "watchdog.msrs_with_addresses", CASE_WATCHED)
{
	static const u32 msrs[] = {
		0x9b,   /* IA32_SMM_MONITOR_CTL */
		0x1f2,  /* IA32_SMRR_PHYSBASE */
		0x3f1,  /* IA32_PEBS_ENABLE */
		0x3f4,  /* IA32_PEBS_BASE */
		0x3f5,  /* IA32_PEBS_INDEX */
		0x560,  /* IA32_RTIT_OUTPUT_BASE */
		0x570,  /* IA32_RTIT_CTL */
		0x600,  /* IA32_DS_AREA */
		0x982,  /* IA32_TME_ACTIVATE */
		0x17d0, /* IA32_HW_FEEDBACK_PTR */
		0x17d1, /* IA32_HW_FEEDBACK_CONFIG */
	};

	begin(t);
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		for (unsigned low = 0; low < 2; low++) {
			u64 old;

			if (try_rdmsr(msrs[i], &old).raised ||
			    try_wrmsr(msrs[i], self.start | low).raised)
				continue;
			for (unsigned n = 0; n < ROUNDS; n++)
				cpuid(0, 0);
			try_wrmsr(msrs[i], old);
		}
	check_target(t);
}

/* SDM "Reserved Bit Checking": above the physical-address width; below it, another page. */
PROBE_CASE(watchdog_address_bits, "watchdog.address_bits", CASE_WATCHED)
{
	const unsigned width = cpuid(0x80000008, 0).eax & 0xff;

	begin(t);
	*(volatile u64 *)self.scratch = 0;
	for (unsigned bit = 32; bit < 52; bit++) {
		u64 value = ~0ull;
		u8 *p = attack_map(self.start | BIT(bit), self.start, 0);
		struct fault f = TRY("movq (%1), %0", : "+r"(value) : "r"(p) : "memory");

		if (bit >= width)
			CHECK_FAULT(t, f, VECTOR_PF, 1 | PF_RESERVED);
		else
			CHECK(t, f.raised || value == ~0ull, "bit %u: %lx", bit, value);
	}
	check_target(t);
}

/* Instructions that newer processors have, whose exits a hypervisor may not know. */
#define INSTRUCTION(name, text)                                                                    \
	static struct fault name(void)                                                             \
	{                                                                                          \
		u64 rax = 0, rbx = 0, rcx = 0x3a, rdx = 0;                                         \
		return TRY(text, : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx) : : "memory", "cc"); \
	}

INSTRUCTION(getsec, "getsec")
INSTRUCTION(encls, ".byte 0x0f, 0x01, 0xcf")
INSTRUCTION(enclv, ".byte 0x0f, 0x01, 0xc0")
INSTRUCTION(pconfig, ".byte 0x0f, 0x01, 0xc5")
INSTRUCTION(wrmsrns, ".byte 0x0f, 0x01, 0xc6")
INSTRUCTION(rdmsrlist, ".byte 0xf2, 0x0f, 0x01, 0xc6")
INSTRUCTION(wrmsrlist, ".byte 0xf3, 0x0f, 0x01, 0xc6")
INSTRUCTION(tdcall, ".byte 0x66, 0x0f, 0x01, 0xcc")
INSTRUCTION(seamcall, ".byte 0x66, 0x0f, 0x01, 0xcf")
INSTRUCTION(vmfunc, ".byte 0x0f, 0x01, 0xd4")
INSTRUCTION(tpause, ".byte 0x66, 0x0f, 0xae, 0xf0")
INSTRUCTION(umwait, ".byte 0xf2, 0x0f, 0xae, 0xf0")
INSTRUCTION(hreset, ".byte 0xf3, 0x0f, 0x3a, 0xf0, 0xc0, 0x00")
INSTRUCTION(rdmsr_immediate, ".byte 0xc4, 0xe7, 0x7b, 0xf6, 0xc0, 0x3a, 0, 0, 0")
INSTRUCTION(wrmsrns_immediate, ".byte 0xc4, 0xe7, 0x7a, 0xf6, 0xc0, 0x3a, 0, 0, 0")
INSTRUCTION(urdmsr, ".byte 0xf2, 0x0f, 0x38, 0xf8, 0xc0")
INSTRUCTION(uwrmsr, ".byte 0xf3, 0x0f, 0x38, 0xf8, 0xc0")
INSTRUCTION(rsm, "rsm")
INSTRUCTION(vmmcall, ".byte 0x0f, 0x01, 0xd9")

/* They fault, or do little and end; which, is the CPU's to say. */
PROBE_CASE(watchdog_instructions, "watchdog.newer_instructions", CASE_WATCHED)
{
	static const struct {
		const char *name;
		struct fault (*run)(void);
	} rows[] = {
		{"GETSEC", getsec},
		{"ENCLS", encls},
		{"ENCLV", enclv},
		{"PCONFIG", pconfig},
		{"WRMSRNS", wrmsrns},
		{"RDMSRLIST", rdmsrlist},
		{"WRMSRLIST", wrmsrlist},
		{"TDCALL", tdcall},
		{"SEAMCALL", seamcall},
		{"VMFUNC", vmfunc},
		{"TPAUSE", tpause},
		{"UMWAIT", umwait},
		{"HRESET", hreset},
		{"RDMSR imm32", rdmsr_immediate},
		{"WRMSRNS imm32", wrmsrns_immediate},
		{"URDMSR", urdmsr},
		{"UWRMSR", uwrmsr},
		{"RSM", rsm},
		{"VMMCALL", vmmcall},
	};

	begin(t);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fault f = rows[i].run();

		CHECK(t, !f.raised || f.vector == VECTOR_UD || f.vector == VECTOR_GP, "%s: %s",
		      rows[i].name, vector_name(f.vector));
	}
}

/* NMIs as fast as they can be sent, at the CPU that counts and at the sender. */
PROBE_CASE(watchdog_nmis, "watchdog.nmi_storm", CASE_WATCHED)
{
	u64 before;

	begin(t);
	before = smp_cpu(1)->nmi_count;
	for (unsigned i = 0; i < STORM; i++) {
		apic_send(smp_cpu(1)->apic_id, APIC_NMI);
		if (i % 16 == 0)
			apic_send(apic_id(), APIC_NMI);
	}
	CHECK(t, smp_cpu(1)->nmi_count > before, "CPU 1 has seen no NMI");
}

/*
 * SDM "MP Initialization Protocol": however many come, the CPU starts in the end. Bochs 2.7 needs
 * the fixes of the harness for it.
 */
PROBE_CASE(watchdog_inits, "watchdog.init_sipi_flood", CASE_EXPLICIT | CASE_WATCHED)
{
	begin(t);
	for (unsigned i = 0; i < FLOODS; i++)
		others_restart(&self, 1 + (unsigned)i * FLOOD_LENGTH / FLOODS);
}
