/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into Bochs 3.0 and 3.1 as Debian builds them: replaces three functions that are wrong.
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
 *
 * A function is replaced only where Bochs exports it under the name, and so with the parameters,
 * that it has in those versions.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
	PAGE = 4096,
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

/* SDM "Activity State". */
enum { WAIT_FOR_SIPI = 3, EVENT_INIT = 4 };

/* Of class BX_CPU_C, one behind the other. */
struct events {
	uint32_t activity_state;
	uint32_t pending;
	uint32_t mask;
	uint32_t look; /* before the next instruction */
};

static int32_t events_at;

static void deliver_init(uint8_t *cpu)
{
	struct events *events = (struct events *)(cpu + events_at);

	if (events->activity_state == WAIT_FOR_SIPI)
		return;
	events->pending |= EVENT_INIT;
	if (!(events->mask & EVENT_INIT))
		events->look = 1;
}

/* Bochs's own begins with ENDBR64 and TEST byte [rdi + mask], INIT. */
static bool find_events(void)
{
	static const uint8_t begin[] = {0xf3, 0x0f, 0x1e, 0xfa, 0xf6, 0x87};
	const uint8_t *code = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C12deliver_INITEv");

	if (!code || memcmp(code, begin, sizeof(begin)) || code[sizeof(begin) + 4] != EVENT_INIT)
		return false;
	memcpy(&events_at, code + sizeof(begin), sizeof(events_at));
	events_at -= (int32_t)offsetof(struct events, mask);
	return true;
}

static void replace(const char *symbol, uintptr_t target)
{
	/* jmp [rip], and the address behind it */
	uint8_t jump[6 + sizeof(target)] = {0xff, 0x25};
	uint8_t *function = dlsym(RTLD_DEFAULT, symbol);
	uint8_t *page = (uint8_t *)((uintptr_t)function & ~(uintptr_t)(PAGE - 1));

	if (!function)
		return;
	memcpy(jump + 6, &target, sizeof(target));
	if (mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC)) {
		perror("bochs3_fixes");
		return;
	}
	memcpy(function, jump, sizeof(jump));
	mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC);
}

__attribute__((constructor)) static void mend(void)
{
	replace("_Z9long_idivP7Bit128sPlPKS_l", (uintptr_t)long_idiv);
	read_flags = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C11force_flagsEv");
	vmread32 = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C8VMread32Ej");
	exception_class = dlsym(RTLD_DEFAULT, "_Z19get_exception_classj");
	if (find_events())
		replace("_ZN8BX_CPU_C12deliver_INITEv", (uintptr_t)deliver_init);
	if (read_flags && vmread32 && exception_class)
		replace("_ZN8BX_CPU_C16VMexitReadEFLAGSEjj", (uintptr_t)exit_flags);
}
