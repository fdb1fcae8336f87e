/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How software in the guest finds Umbra below it and asks it what it counts; docs/umbractl.md says
 * who may. Plain C for kernels, programs and Umbra itself.
 *
 * Finding it (option hv-leaves=on; otherwise there is nothing to find): CPUID leaf
 * UMBRA_CPUID_FIRST
 * + n * UMBRA_CPUID_STEP, for the first n whose EBX, ECX, EDX are the signature. Its EAX is the
 * highest leaf of the range, and EAX of the next leaf the version of this interface. CPUID.1 does
 * not announce a hypervisor: kernels would change their ways.
 *
 * Being allowed to ask: RDMSR of UMBRA_MSR_TOKEN, which needs CPL 0, gives a number that is new
 * with each start of Umbra. Who has it may ask from any privilege level. The option `stats`, a test
 * facility, takes any token.
 *
 * Asking: VMCALL in 64-bit mode, all in registers.
 *   RAX = UMBRA_CALL, RBX = token, RCX = function, RDX and RSI = arguments
 * gives RAX, and UMBRA_RESULTS words in RBX, RCX, RDX, RSI, RDI, R8 to R12, those not named below
 * being 0. An unknown function, or an argument out of range: RAX = UMBRA_ERROR, and no other
 * register changes. A wrong token: what VMCALL does there without Umbra's interface, usually #UD.
 * No call takes long, whatever the guest does, but UMBRA_ASK_INTEGRITY.
 *
 * Later versions add functions, and words to the results; what there is keeps its meaning.
 */
#pragma once

#include <stdint.h>

#define UMBRA_INTERFACE_VERSION 1

#define UMBRA_CPUID_FIRST 0x40000000u
#define UMBRA_CPUID_STEP  0x100u
#define UMBRA_CPUID_LAST  0x4000ff00u

/* "UmbraUmbra" and two zeros. */
#define UMBRA_SIGNATURE_EBX 0x72626d55u
#define UMBRA_SIGNATURE_ECX 0x626d5561u
#define UMBRA_SIGNATURE_EDX 0x00006172u

/* "Umb": where no bitmap of VT-x reaches. */
#define UMBRA_MSR_TOKEN 0x556d6200u

/* "umbra": more than 32 bits, so that no other hypervisor's call is taken for one. */
#define UMBRA_CALL    0x6172626d75ull
#define UMBRA_ERROR   (~0ull)
#define UMBRA_BUSY    (~1ull)
#define UMBRA_RESULTS 10

enum umbra_function {
	/* The machine; RAX: how many CPUs. The results are enum umbra_fact. */
	UMBRA_ASK_FACTS,
	/*
	 * A text, in pieces: RDX = enum umbra_text, RSI = position. RAX: how many bytes of it are
	 * in the results, 0 behind the end.
	 */
	UMBRA_ASK_TEXT,
	/*
	 * Exits of the guest: RDX = CPU, RSI = a basic exit reason; how many of it and of those
	 * that follow. Another CPU's may be one behind.
	 */
	UMBRA_ASK_EXITS,
	/* The same of the guest's own virtual machines (L2), Umbra's to handle or not. */
	UMBRA_ASK_L2_EXITS,
	/* RDX = CPU. The results are enum umbra_cpu. */
	UMBRA_ASK_CPU,
	/* DMA remapping units that keep devices from Umbra; their accesses that were refused. */
	UMBRA_ASK_DMA,
	/*
	 * The log: RDX = a position, 0 for the oldest line there is. RAX: how many bytes are in the
	 * results from the second on, 0 at the end; the first: the position behind them. RAX =
	 * UMBRA_BUSY: someone is writing, ask again.
	 */
	UMBRA_ASK_LOG,
	/* RDX = a VMX capability MSR: the CPU's own value. The guest's is what RDMSR gives. */
	UMBRA_ASK_CAPABILITY,

	/* For tests: only with the option `stats`, or in builds that have it. */
	/* RDX = CPU: VMREADs, VMWRITEs, VMPTRLDs, VMCLEARs Umbra executed (-Dcount_vmcs=true). */
	UMBRA_ASK_VMCS_COUNTS,
	/* RDX = n: which of the 64 coverage counters from n on are not 0; how many there are. */
	UMBRA_ASK_COVERAGE,
	/*
	 * Whether anyone wrote to Umbra's memory: a digest of its code and constants, which must
	 * stay the same; pages not used yet, which Umbra has filled with a pattern at boot; 8-byte
	 * words in them that have lost it, which must be 0. Takes milliseconds.
	 */
	UMBRA_ASK_INTEGRITY,
};

enum umbra_fact {
	UMBRA_FACT_MEMORY,      /* physical address of the memory Umbra keeps, and … */
	UMBRA_FACT_MEMORY_SIZE, /* … its bytes, … */
	UMBRA_FACT_IMAGE_SIZE,  /* … those of them that are the program, … */
	UMBRA_FACT_PAGES,       /* … the pages that were free when the guest began … */
	UMBRA_FACT_PAGES_LEFT,  /* … and those that are now: a pool for all CPUs */
	UMBRA_FACT_ENTRY_TSC,   /* when Umbra began */
	UMBRA_FACT_LAUNCH_TSC,  /* and when the guest did */
	UMBRA_FACT_FLAGS,       /* UMBRA_FLAG_… */
	UMBRA_FACT_MICROCODE,   /* the boot CPU's revision; in bits 63:32 that before Umbra's */
};

#define UMBRA_FLAG_STATISTICS 1u /* exits are counted */
#define UMBRA_FLAG_NESTED     2u /* the guest may use VMX */
#define UMBRA_FLAG_TESTS      4u /* the option stats */

enum umbra_text {
	UMBRA_TEXT_VERSION,
	UMBRA_TEXT_OPTIONS, /* as they were given */
	UMBRA_TEXT_COUNT,
};

enum umbra_cpu {
	UMBRA_CPU_APIC_ID,
	UMBRA_CPU_HIDDEN_READS,  /* pages of Umbra's memory that it was first to read */
	UMBRA_CPU_HIDDEN_WRITES, /* its writes there, which were refused */
	UMBRA_CPU_UNEXPECTED,    /* exits of reasons that Umbra does not know */
	/* Of nested VMX; 0 without. */
	UMBRA_CPU_SHADOWING,    /* 1: VMREAD and VMWRITE mostly work without an exit */
	UMBRA_CPU_EPT02_PAGES,  /* tables that its L2s run on */
	UMBRA_CPU_EPT02_FAULTS, /* EPT violations of L2 that were not L1's */
	UMBRA_CPU_VMCS_CACHED,  /* VMCSs of L1's at hand */
	UMBRA_CPU_VMCS_EVICTED, /* those that made room for others */
};

#if defined(__x86_64__) && !defined(__KERNEL__)
/* The call, for whoever expects no fault, or catches it. Returns RAX. */
static inline uint64_t umbra_call(uint64_t token, enum umbra_function function, uint64_t first,
				  uint64_t second, uint64_t results[UMBRA_RESULTS])
{
	uint64_t rax = UMBRA_CALL, rbx = token, rcx = function, rdx = first, rsi = second, rdi = 0;
	register uint64_t r8 __asm__("r8");
	register uint64_t r9 __asm__("r9");
	register uint64_t r10 __asm__("r10");
	register uint64_t r11 __asm__("r11");
	register uint64_t r12 __asm__("r12");

	__asm__ volatile("vmcall"
			 : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx), "+S"(rsi), "+D"(rdi),
			   "=r"(r8), "=r"(r9), "=r"(r10), "=r"(r11), "=r"(r12)
			 :
			 : "memory", "cc");
	results[0] = rbx;
	results[1] = rcx;
	results[2] = rdx;
	results[3] = rsi;
	results[4] = rdi;
	results[5] = r8;
	results[6] = r9;
	results[7] = r10;
	results[8] = r11;
	results[9] = r12;
	return rax;
}
#endif
