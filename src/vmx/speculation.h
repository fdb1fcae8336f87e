/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Speculation: what Umbra does so that a guest cannot read by a side channel what lies around it.
 * Who attacks whom, by which issue, and what it costs: docs/speculation.md.
 */
#pragma once

#include <x86/types.h>

struct vcpu;

/* The option `mitigations`. */
enum mitigations {
	MITIGATIONS_AUTO,  /* what this CPU needs */
	MITIGATIONS_OFF,   /* nothing */
	MITIGATIONS_FORCE, /* all that this CPU has instructions and MSRs for */
};

/* Issues that microcode gives software a remedy for; a CPU may lack that microcode. */
enum speculation_issue {
	SPECULATION_BTI = 0x01,  /* branch target injection, Spectre variant 2 */
	SPECULATION_L1TF = 0x02, /* L1 terminal fault */
	SPECULATION_MDS = 0x04,  /* microarchitectural data sampling */
	SPECULATION_TAA = 0x08,  /* TSX asynchronous abort */
	SPECULATION_MMIO = 0x10, /* processor MMIO stale data */
	SPECULATION_RFDS = 0x20, /* register file data sampling */
};

/* What a CPU says of itself. */
struct speculation_cpu {
	u32 signature; /* CPUID.1:EAX */
	u32 leaf7_ebx, leaf7_edx;
	u64 arch_capabilities; /* 0: there is no such MSR */
};

struct speculation {
	bool clear_buffers; /* VERW before each entry */
	bool flush_l1d;     /* before each entry of L2 */
	bool barrier;       /* IBPB after each exit of L2 that L1 gets */
	u8 unmet;           /* SPECULATION_*: this CPU is affected and its microcode too old */
};

struct speculation speculation_decide(const struct speculation_cpu *cpu, enum mitigations wanted);

/* Once, before any CPU is set up. */
void speculation_set_option(enum mitigations wanted);

/* Decides for this CPU, before its MSRs are set up. */
void speculation_setup_cpu(struct vcpu *vcpu);

/* Says in a message what is done on this CPU, unless it is the same as on the boot processor. */
void speculation_report(const struct vcpu *vcpu);

/* From switch.S before an entry of L2 on a CPU with flush_l1d. */
void speculation_flush_l1d(void);
