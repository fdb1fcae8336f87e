/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * By Intel's software security guidance: "CPUID Enumeration and Architectural MSRs" for the bits,
 * "Affected Processors" for the models.
 */
#include "vmx/speculation.h"

#include <x86/cpuid.h>
#include <x86/msr.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "lib/string.h"
#include "smp/cpu.h"
#include "vmx/vcpu.h"

enum {
	OLDER_CORE = SPECULATION_L1TF | SPECULATION_MDS,
	CORE = OLDER_CORE | SPECULATION_MMIO,
};

/*
 * Family 6: what a model is affected by unless its IA32_ARCH_CAPABILITIES denies it. Other models
 * are affected like the older cores, or new, and then they do deny it.
 */
static const struct {
	u8 model;
	u8 issues;
} models[] = {
	{0x37, SPECULATION_MDS}, /* Silvermont, to 5DH Airmont */
	{0x4a, SPECULATION_MDS},
	{0x4c, SPECULATION_MDS},
	{0x4d, SPECULATION_MDS},
	{0x5a, SPECULATION_MDS},
	{0x5d, SPECULATION_MDS},
	{0x57, SPECULATION_MDS}, /* Knights Landing and Mill */
	{0x85, SPECULATION_MDS},
	{0x5c, SPECULATION_RFDS}, /* Goldmont, 7AH Goldmont Plus */
	{0x5f, SPECULATION_RFDS},
	{0x7a, SPECULATION_RFDS},
	{0x86, SPECULATION_MMIO | SPECULATION_RFDS}, /* Tremont, 8AH Lakefield */
	{0x8a, SPECULATION_MMIO | SPECULATION_RFDS},
	{0x96, SPECULATION_MMIO | SPECULATION_RFDS},
	{0x9c, SPECULATION_MMIO | SPECULATION_RFDS},
	{0x97, SPECULATION_RFDS}, /* Alder Lake, BEH Gracemont */
	{0x9a, SPECULATION_RFDS},
	{0xbe, SPECULATION_RFDS},
	{0xb7, SPECULATION_RFDS}, /* Raptor Lake */
	{0xba, SPECULATION_RFDS},
	{0xbf, SPECULATION_RFDS},
	{0x3f, CORE}, /* Haswell server, Broadwell server */
	{0x4f, CORE},
	{0x56, CORE},
	{0x4e, CORE}, /* Skylake, Cascade Lake and their successors by the same core */
	{0x5e, CORE},
	{0x55, CORE},
	{0x8e, CORE},
	{0x9e, CORE},
	{0xa5, CORE},
	{0xa6, CORE},
	{0x6a, SPECULATION_MMIO}, /* Ice Lake, A7H Rocket Lake */
	{0x6c, SPECULATION_MMIO},
	{0x7e, SPECULATION_MMIO},
	{0xa7, SPECULATION_MMIO},
};

static enum mitigations option;

/* SDM "CPUID", "Version Information": the extended model counts in families 6 and 15. */
static u32 issues_of_model(u32 signature)
{
	const u32 family = signature >> 8 & 0xf;
	const u32 model = (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);

	for (size_t i = 0; family == 6 && i < ARRAY_SIZE(models); i++) {
		if (models[i].model == model)
			return models[i].issues;
	}
	return OLDER_CORE;
}

/* What the CPU is affected by, as far as it can be known. */
static u32 issues_of(const struct speculation_cpu *cpu)
{
	const u64 caps = cpu->arch_capabilities;
	const u64 mmio_no = ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO;
	u32 issues = issues_of_model(cpu->signature) | SPECULATION_BTI;

	/* What has got a remedy has got it for a reason, also where a hypervisor made up the model.
	 */
	if (cpu->leaf7_edx & CPUID_7_EDX_L1D_FLUSH)
		issues |= SPECULATION_L1TF;
	if (cpu->leaf7_edx & CPUID_7_EDX_MD_CLEAR)
		issues |= SPECULATION_MDS;
	if (caps & ARCH_CAP_FB_CLEAR)
		issues |= SPECULATION_MMIO;
	if (caps & ARCH_CAP_RFDS_CLEAR)
		issues |= SPECULATION_RFDS;
	/* With TSX_CTRL the guest can switch TSX on again. */
	if ((cpu->leaf7_ebx & CPUID_7_EBX_RTM) || (caps & ARCH_CAP_TSX_CTRL))
		issues |= SPECULATION_TAA;

	/* A hypervisor below that flushes says so, as Umbra does to L1. */
	if (caps & (ARCH_CAP_RDCL_NO | ARCH_CAP_SKIP_L1DFL_VMENTRY))
		issues &= ~(u32)SPECULATION_L1TF;
	if (caps & ARCH_CAP_MDS_NO)
		issues &= ~(u32)SPECULATION_MDS;
	if (caps & ARCH_CAP_TAA_NO)
		issues &= ~(u32)SPECULATION_TAA;
	if ((caps & mmio_no) == mmio_no)
		issues &= ~(u32)SPECULATION_MMIO;
	if (caps & ARCH_CAP_RFDS_NO)
		issues &= ~(u32)SPECULATION_RFDS;
	return issues;
}

/* What its microcode has a remedy for. */
static u32 remedies_of(const struct speculation_cpu *cpu)
{
	const u32 edx = cpu->leaf7_edx;
	u32 remedies = 0;

	if (edx & CPUID_7_EDX_SPEC_CTRL)
		remedies |= SPECULATION_BTI;
	if (edx & CPUID_7_EDX_L1D_FLUSH)
		remedies |= SPECULATION_L1TF;
	if (edx & CPUID_7_EDX_MD_CLEAR)
		remedies |= SPECULATION_MDS | SPECULATION_TAA;
	/* "Processor MMIO Stale Data Vulnerabilities": implied on CPUs with MDS. */
	if ((cpu->arch_capabilities & ARCH_CAP_FB_CLEAR) ||
	    (!(cpu->arch_capabilities & ARCH_CAP_MDS_NO) && (edx & CPUID_7_EDX_L1D_FLUSH) &&
	     (edx & CPUID_7_EDX_MD_CLEAR)))
		remedies |= SPECULATION_MMIO;
	if (cpu->arch_capabilities & ARCH_CAP_RFDS_CLEAR)
		remedies |= SPECULATION_RFDS;
	return remedies;
}

struct speculation speculation_decide(const struct speculation_cpu *cpu, enum mitigations wanted)
{
	const u32 by_verw = SPECULATION_MDS | SPECULATION_TAA | SPECULATION_MMIO | SPECULATION_RFDS;
	const u32 remedies = remedies_of(cpu);
	const u32 issues = issues_of(cpu);

	switch (wanted) {
	case MITIGATIONS_OFF:
		return (struct speculation){0};
	case MITIGATIONS_FORCE:
		return (struct speculation){
			.clear_buffers = true,
			.flush_l1d = remedies & SPECULATION_L1TF,
			.barrier = remedies & SPECULATION_BTI,
		};
	case MITIGATIONS_AUTO:
	default:
		return (struct speculation){
			.clear_buffers = issues & remedies & by_verw,
			.flush_l1d = issues & remedies & SPECULATION_L1TF,
			.barrier = issues & remedies & SPECULATION_BTI,
			.unmet = (u8)(issues & ~remedies),
		};
	}
}

void speculation_set_option(enum mitigations wanted)
{
	option = wanted;
}

void speculation_setup_cpu(struct vcpu *vcpu)
{
	struct speculation_cpu cpu = {.signature = cpuid(1, 0).eax};
	struct speculation *decided = &vcpu->speculation;

	if (cpuid(0, 0).eax >= 7) {
		cpu.leaf7_ebx = cpuid(7, 0).ebx;
		cpu.leaf7_edx = cpuid(7, 0).edx;
	}
	if (!(cpu.leaf7_edx & CPUID_7_EDX_ARCH_CAPS) ||
	    !rdmsr_safe(MSR_IA32_ARCH_CAPABILITIES, &cpu.arch_capabilities))
		cpu.arch_capabilities = 0;
	*decided = speculation_decide(&cpu, option);
	/* A hypervisor below may show the CPUID bit and have no MSR. */
	if (decided->flush_l1d && !wrmsr_safe(MSR_IA32_FLUSH_CMD, FLUSH_CMD_L1D))
		decided->flush_l1d = false;
	if (decided->barrier && !wrmsr_safe(MSR_IA32_PRED_CMD, PRED_CMD_IBPB))
		decided->barrier = false;
	vcpu->cpu.entry_work = (u8)((decided->clear_buffers ? ENTRY_CLEAR_BUFFERS : 0) |
				    (decided->flush_l1d ? ENTRY_FLUSH_L1D : 0));
}

void speculation_report(const struct vcpu *vcpu)
{
	const struct speculation *s = &vcpu->speculation;
	const struct speculation *boot = &((const struct vcpu *)cpus[0])->speculation;

	if (s != boot && memcmp(s, boot, sizeof(*s)) == 0)
		return;
	log_info("CPU %u: mitigations:%s%s%s%s%s%s", vcpu->cpu.index,
		 s->clear_buffers || s->flush_l1d || s->barrier ? "" : " none",
		 s->clear_buffers ? " VERW at entries" : "",
		 s->clear_buffers && (s->flush_l1d || s->barrier) ? "," : "",
		 s->flush_l1d ? " L1D flush at entries of L2" : "",
		 s->flush_l1d && s->barrier ? "," : "",
		 s->barrier ? " IBPB at exits of L2 to L1" : "");
	if (s->unmet)
		log_warn("CPU %u: its microcode is too old to mitigate:%s%s%s%s%s%s",
			 vcpu->cpu.index, s->unmet & SPECULATION_BTI ? " BTI" : "",
			 s->unmet & SPECULATION_L1TF ? " L1TF" : "",
			 s->unmet & SPECULATION_MDS ? " MDS" : "",
			 s->unmet & SPECULATION_TAA ? " TAA" : "",
			 s->unmet & SPECULATION_MMIO ? " MMIO-stale-data" : "",
			 s->unmet & SPECULATION_RFDS ? " RFDS" : "");
}

/*
 * "L1 Terminal Fault": L2 reads what is in the L1 data cache by page tables of its own, past EPT.
 * L1 could do the same to Umbra, which has nothing there that is not L1's.
 */
void speculation_flush_l1d(void)
{
	wrmsr_safe(MSR_IA32_FLUSH_CMD, FLUSH_CMD_L1D);
}
