/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into Bochs 3.0 and 3.1 as Debian builds them: mends what is wrong there.
 *
 *  - IDIV of RDX:RAX gives wrong results in 3.1. The compiler assumes that the signed and the
 *    unsigned view of a 128-bit number never share memory, and leaves stores out of long_idiv().
 *  - An exit by an EPT violation, or another of its kind, always saves RFLAGS.RF as 1. SDM "Saving
 *    RIP, RSP, RFLAGS, and SSP": if it happens during delivery of an event, what is saved is the RF
 *    that the event would have pushed. Bochs means to do that, but has forgotten by then that
 *    there was an event. A hypervisor that delivers the event again would push a wrong RF.
 *  - An INIT that comes in VMX root operation is lost. SDM "Restrictions on VMX Operation": it is
 *    blocked there, so it is taken at VMXOFF, or exits from the guest that is entered next. And one
 *    for a guest in the wait-for-SIPI state is taken: SDM "Activity State", it is blocked there.
 *  - The VM exit of an NMI or interrupt that comes right after an exception was delivered saves the
 *    RIP of what raised the exception, though RSP is the handler's: RIP at the end of the last
 *    instruction, to which Bochs goes back for these exits, is not moved on. SDM "Saving RIP, RSP,
 *    RFLAGS, and SSP": the RIP that is saved is where the guest would have gone on.
 *  - A SIPI sent to all other CPUs reaches only the first of those that wait for it in VMX non-root
 *    operation (mend_sipi()).
 *
 * A function is replaced only where Bochs exports it under the name, and so with the parameters,
 * that it has in those versions.
 */
#include "bochs_patch.h"

enum {
	REASON_EXCEPTION = 0,
	REASON_APIC_ACCESS = 44,
	REASON_EPT_VIOLATION = 48,
	REASON_EPT_MISCONFIGURATION = 49,
	REASON_PML_FULL = 62,
	REASON_SPP = 66,
	VECTOR_DB = 1,
	CLASS_FAULT = 1,
	VECTORING_INFO = 0x4408,
	RFLAGS_RF = 1 << 16,
};

/* Bochs's Bit128s. */
struct number {
	uint64_t low;
	uint64_t high;
};

/* Bochs refuses a divisor of 0 and a dividend of -2^127, and checks itself if the quotient fits. */
static void long_idiv(struct number *quotient, int64_t *remainder, const struct number *dividend,
		      int64_t divisor)
{
	const __int128 value = (__int128)((unsigned __int128)dividend->high << 64 | dividend->low);
	const __int128 result = value / divisor;

	quotient->low = (uint64_t)result;
	quotient->high = (uint64_t)((unsigned __int128)result >> 64);
	*remainder = (int64_t)(value % divisor);
}

static uint32_t (*read_flags)(void *cpu);
static uint32_t (*vmread32)(void *cpu, unsigned int field);
static int (*exception_class)(unsigned int vector);

/* RFLAGS to be saved by an exit, whose IDT-vectoring information is in the VMCS by now. */
static uint32_t exit_flags(void *cpu, unsigned int reason, unsigned int vector)
{
	const uint32_t flags = read_flags(cpu);

	switch (reason) {
	case REASON_EXCEPTION:
		return exception_class(vector) == CLASS_FAULT && vector != VECTOR_DB
			       ? flags | RFLAGS_RF
			       : flags;
	case REASON_APIC_ACCESS:
	case REASON_EPT_VIOLATION:
	case REASON_EPT_MISCONFIGURATION:
	case REASON_PML_FULL:
	case REASON_SPP:
		return vmread32(cpu, VECTORING_INFO) >> 31 ? flags : flags | RFLAGS_RF;
	default:
		return flags;
	}
}

/* Bochs's own begins with ENDBR64 and TEST byte [rdi + mask], INIT. */
static bool find_event_mask(int32_t *mask_at)
{
	static const uint8_t begin[] = {0xf3, 0x0f, 0x1e, 0xfa, 0xf6, 0x87};
	const uint8_t *code = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C12deliver_INITEv");

	if (!code || memcmp(code, begin, sizeof(begin)) || code[sizeof(begin) + 4] != EVENT_INIT)
		return false;
	memcpy(mask_at, code + sizeof(begin), sizeof(*mask_at));
	return true;
}

static int32_t rip_at, previous_rip_at;

/* In exception(): mov rsi, [rbx + previous_rip], and soon mov [rbx + rip], rsi. */
static bool find_rips(void)
{
	enum { LENGTH = 0x300, MOV_SIZE = 7, SOON = 16 };
	static const uint8_t load[] = {0x48, 0x8b, 0xb3}, store[] = {0x48, 0x89, 0xb3};
	const uint8_t *code = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C9exceptionEjt");

	for (size_t i = 0; code && i < LENGTH; i++) {
		if (memcmp(code + i, load, sizeof(load)))
			continue;
		for (size_t j = i + MOV_SIZE; j < i + SOON; j++) {
			if (memcmp(code + j, store, sizeof(store)))
				continue;
			memcpy(&previous_rip_at, code + i + sizeof(load), sizeof(int32_t));
			memcpy(&rip_at, code + j + sizeof(store), sizeof(int32_t));
			return true;
		}
	}
	return false;
}

static void at_delivered(uint8_t *cpu)
{
	memcpy(cpu + previous_rip_at, cpu + rip_at, sizeof(uint64_t));
}

static struct site delivered = {
	.mend = at_delivered,
	.keep = true,
	.symbol = "_ZN8BX_CPU_C9interruptEhjbt",
	.length = 0x300,
	/* mov byte [rbx + in_event], 0; mov byte [rbx + EXT], 0; pop rbx */
	.pattern_size = 14,
	.pattern = {0xc6, 0x83, ANY, ANY, ANY, ANY, 0, 0xc6, 0x83, ANY, ANY, ANY, ANY, 0},
};

static void mend_delivery(void)
{
	uint8_t *cave;

	if (!find_rips() || !find(&delivered))
		return;
	cave = map_cave(delivered.code);
	if (cave)
		replace(&delivered, cave);
}

__attribute__((constructor)) static void mend(void)
{
	int32_t mask_at;

	replace_function("_Z9long_idivP7Bit128sPlPKS_l", (void (*)())long_idiv);
	mend_delivery();
	mend_sipi();
	read_flags = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C11force_flagsEv");
	vmread32 = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C8VMread32Ej");
	exception_class = dlsym(RTLD_DEFAULT, "_Z19get_exception_classj");
	if (find_event_mask(&mask_at))
		mend_init(mask_at);
	if (read_flags && vmread32 && exception_class)
		replace_function("_ZN8BX_CPU_C16VMexitReadEFLAGSEjj", (void (*)())exit_flags);
}
