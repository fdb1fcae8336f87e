/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done on which CPU. The CPUs are real ones: signatures and bits as Intel's "Affected
 * Processors" and "CPUID Enumeration and Architectural MSRs" have them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <x86/msr.h>

#include "machine.h"
#include "vmx/speculation.h"

/* CPUID.7:EDX */
enum {
	MD_CLEAR = 1 << 10,
	SPEC_CTRL = 1 << 26,
	L1D_FLUSH = 1 << 28,
	ARCH_CAPS = 1 << 29,
};
/* CPUID.7:EBX */
enum { RTM = 1 << 11 };

/* IA32_ARCH_CAPABILITIES */
enum {
	RDCL_NO = 1 << 0,
	IBRS_ALL = 1 << 1,
	RSBA = 1 << 2,
	SKIP_L1DFL = 1 << 3,
	MDS_NO = 1 << 5,
	TSX_CTRL = 1 << 7,
	TAA_NO = 1 << 8,
	SBDR_SSDP_NO = 1 << 13,
	FBSDP_NO = 1 << 14,
	PSDP_NO = 1 << 15,
	FB_CLEAR = 1 << 17,
	RFDS_NO = 1 << 27,
	RFDS_CLEAR = 1 << 28,

	ENHANCED = RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO,
	MMIO_NO = SBDR_SSDP_NO | FBSDP_NO | PSDP_NO,
};

enum { VERW = 1, FLUSH = 2, IBPB = 4 };

struct sample {
	const char *name;
	u32 signature, ebx, edx;
	u64 caps;
	u32 done; /* with mitigations=auto */
	u32 unmet;
};

static const struct sample samples[] = {
	{"Haswell, first microcode", 0x306c3, 0, 0, 0, 0,
	 SPECULATION_BTI | SPECULATION_L1TF | SPECULATION_MDS},
	{"Haswell, microcode of 2018", 0x306c3, 0, SPEC_CTRL | L1D_FLUSH, 0, FLUSH | IBPB,
	 SPECULATION_MDS},
	{"Haswell, microcode of 2019", 0x306c3, 0, SPEC_CTRL | L1D_FLUSH | MD_CLEAR, 0,
	 VERW | FLUSH | IBPB, 0},
	{"Haswell with TSX, microcode of 2018", 0x306f2, RTM, SPEC_CTRL | L1D_FLUSH, 0,
	 FLUSH | IBPB, SPECULATION_MDS | SPECULATION_TAA | SPECULATION_MMIO},
	{"Broadwell server", 0x406f1, RTM, SPEC_CTRL | L1D_FLUSH | MD_CLEAR, 0, VERW | FLUSH | IBPB,
	 0},
	{"Skylake", 0x506e3, 0, SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS, RSBA,
	 VERW | FLUSH | IBPB, 0},
	{"Skylake server", 0x50654, RTM, SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS, RSBA,
	 VERW | FLUSH | IBPB, 0},
	{"Skylake server as a guest, flushed by its host", 0x50654, RTM,
	 SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS, RSBA | SKIP_L1DFL, VERW | IBPB, 0},
	{"Cascade Lake, microcode of 2019", 0x50657, RTM,
	 SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS, ENHANCED | TSX_CTRL, VERW | IBPB,
	 SPECULATION_MMIO},
	{"Cascade Lake, TSX off, microcode of 2022", 0x50657, 0,
	 SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS,
	 ENHANCED | TSX_CTRL | SBDR_SSDP_NO | PSDP_NO | FB_CLEAR, VERW | IBPB, 0},
	{"Whiskey Lake, TSX switched off, microcode of 2019", 0x806ec, 0,
	 SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS, ENHANCED | TSX_CTRL, VERW | IBPB,
	 SPECULATION_MMIO},
	{"Ice Lake server, microcode of 2021", 0x606a6, RTM,
	 SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS, ENHANCED | TSX_CTRL | TAA_NO, IBPB,
	 SPECULATION_MMIO},
	{"Ice Lake server, microcode of 2022", 0x606a6, RTM,
	 SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS,
	 ENHANCED | TSX_CTRL | TAA_NO | SBDR_SSDP_NO | PSDP_NO | FB_CLEAR, VERW | IBPB, 0},
	{"Tiger Lake", 0x806c1, 0, SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS,
	 ENHANCED | TAA_NO | MMIO_NO, IBPB, 0},
	{"Alder Lake, first microcode", 0x90672, 0, SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS,
	 ENHANCED | TAA_NO | MMIO_NO, IBPB, SPECULATION_RFDS},
	{"Alder Lake, microcode of 2024", 0x90672, 0, SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS,
	 ENHANCED | TAA_NO | MMIO_NO | RFDS_CLEAR, VERW | IBPB, 0},
	{"Raptor Lake without efficient cores", 0xb0671, 0,
	 SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS, ENHANCED | TAA_NO | MMIO_NO | RFDS_NO, IBPB,
	 0},
	{"Sapphire Rapids", 0x806f8, RTM, SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS,
	 ENHANCED | TSX_CTRL | TAA_NO | MMIO_NO | FB_CLEAR | RFDS_NO, IBPB, 0},
	{"Arrow Lake", 0xc0662, 0, SPEC_CTRL | L1D_FLUSH | MD_CLEAR | ARCH_CAPS,
	 ENHANCED | TAA_NO | MMIO_NO | RFDS_NO, IBPB, 0},
	{"Silvermont, first microcode", 0x30678, 0, 0, 0, 0, SPECULATION_BTI | SPECULATION_MDS},
	{"Silvermont, microcode of 2019", 0x30678, 0, SPEC_CTRL | MD_CLEAR, 0, VERW | IBPB, 0},
	{"Goldmont Plus, microcode of 2020", 0x706a1, 0, SPEC_CTRL | ARCH_CAPS,
	 RDCL_NO | SKIP_L1DFL | MDS_NO, IBPB, SPECULATION_RFDS},
	{"Goldmont Plus, microcode of 2024", 0x706a1, 0, SPEC_CTRL | MD_CLEAR | ARCH_CAPS,
	 RDCL_NO | SKIP_L1DFL | MDS_NO | RFDS_CLEAR, VERW | IBPB, 0},
	{"Tremont, microcode of 2024", 0x90661, 0, SPEC_CTRL | MD_CLEAR | ARCH_CAPS,
	 ENHANCED | FB_CLEAR | RFDS_CLEAR, VERW | IBPB, 0},
	{"a model made up by a hypervisor, of another family", 0x00f61, 0,
	 SPEC_CTRL | L1D_FLUSH | MD_CLEAR, 0, VERW | FLUSH | IBPB, 0},
};

static struct {
	u32 last_leaf;
	struct sample is;
	bool no_flush_cmd, no_pred_cmd;
} cpu;

struct cpu **cpus;
u32 cpu_count;

struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	assert_int_equal(subleaf, 0);
	switch (leaf) {
	case 0:
		return (struct cpuid){.eax = cpu.last_leaf};
	case 1:
		return (struct cpuid){.eax = cpu.is.signature};
	case 7:
		assert_true(cpu.last_leaf >= 7);
		return (struct cpuid){.ebx = cpu.is.ebx, .edx = cpu.is.edx};
	default:
		fail_msg("CPUID leaf %u", leaf);
		return (struct cpuid){0};
	}
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	assert_int_equal(msr, 0x10a);
	assert_true(cpu.is.edx & ARCH_CAPS);
	*value = cpu.is.caps;
	return true;
}

bool wrmsr_safe(u32 msr, u64 value)
{
	assert_int_equal(value, 1);
	if (msr == 0x10b) {
		assert_true(cpu.is.edx & L1D_FLUSH);
		return !cpu.no_flush_cmd;
	}
	assert_int_equal(msr, 0x49);
	assert_true(cpu.is.edx & SPEC_CTRL);
	return !cpu.no_pred_cmd;
}

static struct vcpu *vcpu;

static int begin(void **state)
{
	static struct cpu *list[1];
	const struct vmx_capabilities vmx = {.basic = 1};

	(void)state;
	memset(&cpu, 0, sizeof(cpu));
	cpu.last_leaf = 0x20;
	machine_memory_init(1, 8);
	machine_vmx_init(1, &vmx);
	vcpu = machine_cpu(0);
	list[0] = &vcpu->cpu;
	cpus = list;
	return 0;
}

static u32 set_up(const struct sample *sample, enum mitigations wanted)
{
	cpu.is = *sample;
	speculation_set_option(wanted);
	speculation_setup_cpu(vcpu);
	speculation_report(vcpu);
	assert_int_equal(vcpu->cpu.entry_work, (vcpu->speculation.clear_buffers ? 1 : 0) |
						       (vcpu->speculation.flush_l1d ? 2 : 0));
	return (vcpu->speculation.clear_buffers ? VERW : 0) |
	       (vcpu->speculation.flush_l1d ? FLUSH : 0) | (vcpu->speculation.barrier ? IBPB : 0);
}

static void test_real_cpus(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const u32 done = set_up(&samples[i], MITIGATIONS_AUTO);

		if (done != samples[i].done || vcpu->speculation.unmet != samples[i].unmet)
			fail_msg("%s: does %#x, unmet %#x", samples[i].name, done,
				 vcpu->speculation.unmet);
	}
}

static void test_off_and_force(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const u32 edx = samples[i].edx;

		assert_int_equal(set_up(&samples[i], MITIGATIONS_OFF), 0);
		assert_int_equal(vcpu->speculation.unmet, 0);
		assert_int_equal(set_up(&samples[i], MITIGATIONS_FORCE),
				 VERW | (edx & L1D_FLUSH ? FLUSH : 0) |
					 (edx & SPEC_CTRL ? IBPB : 0));
	}
}

/* A hypervisor that shows bits and has no MSRs; a CPU without the leaf. */
static void test_missing(void **state)
{
	const struct sample all = {
		.signature = 0x506e3,
		.edx = SPEC_CTRL | L1D_FLUSH | MD_CLEAR,
	};

	(void)state;
	cpu.no_flush_cmd = true;
	assert_int_equal(set_up(&all, MITIGATIONS_AUTO), VERW | IBPB);
	cpu.no_flush_cmd = false;
	cpu.no_pred_cmd = true;
	assert_int_equal(set_up(&all, MITIGATIONS_FORCE), VERW | FLUSH);
	cpu.last_leaf = 6;
	assert_int_equal(set_up(&all, MITIGATIONS_AUTO), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_real_cpus, begin),
		cmocka_unit_test_setup(test_off_and_force, begin),
		cmocka_unit_test_setup(test_missing, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
