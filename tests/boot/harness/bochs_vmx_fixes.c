/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into Bochs 2.7 as Debian builds it: mends how it delivers INIT, SIPI and interrupts to
 * a CPU in VMX non-root operation. Without it no hypervisor can let its guest start CPUs there, nor
 * stop a virtual machine that runs with interrupts off.
 *
 *  - VM entry into the wait-for-SIPI state leaves INIT unblocked. SDM "Checks on Guest Non-Register
 *    State"/"Activity State": INIT signals are blocked in the wait-for-SIPI state.
 *  - An INIT that caused a VM exit stays pending, so that every later entry exits again. SDM "Other
 *    Causes of VM Exits": the exit is what the signal does.
 *  - The SIPI exit leaves SMIs and NMIs blocked: every later exit saves "blocking by SMI" and the
 *    next entry fails, and no NMI comes until some IRET.
 *  - After a VM entry with RFLAGS.IF clear before and after it external interrupts stay masked, and
 *    after an exit with it clear on both sides they stay unmasked. SDM "Other Changes in VMX
 *    Non-Root Operation"/"Event Blocking": with "external-interrupt exiting" RFLAGS.IF does not
 *    control the blocking of external interrupts. Otherwise it does.
 *
 * Bochs 3 has those of INIT and SIPI mended. The sites are found by the instructions there, inside
 * exported functions; where they are not found Bochs is left as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
	PAGE = 4096,
	EVENT_NMI = 1,
	EVENT_SMI = 2,
	EVENT_INIT = 4,
	EVENTS_MASKED_BY_IF = 0xf40,
	WAIT_FOR_SIPI = 3,
};

static uint8_t *cave;

/* First place in a function where `pattern` stands; -1 in it matches any byte. */
static uint8_t *find(const char *symbol, size_t length, const int *pattern, size_t count)
{
	uint8_t *code = dlsym(RTLD_DEFAULT, symbol);

	for (size_t i = 0; code && i + count <= length; i++) {
		size_t j = 0;

		while (j < count && (pattern[j] < 0 || code[i + j] == pattern[j]))
			j++;
		if (j == count)
			return code + i;
	}
	return NULL;
}

/* Replaces `length` bytes by a call of the code at the end of the cave. */
static void call_cave(uint8_t *site, size_t length, const uint8_t *code, size_t size)
{
	uint8_t *page = (uint8_t *)((uintptr_t)site & ~(uintptr_t)(PAGE - 1));
	int32_t distance = (int32_t)(cave - (site + 5));

	memcpy(cave, code, size);
	mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	site[0] = 0xe8;
	memcpy(site + 1, &distance, sizeof(distance));
	memset(site + 5, 0x90, length - 5);
	mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC);
	cave += size;
}

static void map_cave(const uint8_t *near)
{
	for (uintptr_t at = ((uintptr_t)near & ~(uintptr_t)(PAGE - 1)) + (64 << 20);
	     at < (uintptr_t)near + (1 << 30); at += 16 << 20) {
		void *page = mmap((void *)at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (page == (void *)at) {
			cave = page;
			return;
		}
	}
}

/* A 32-bit offset of a member of BX_CPU_C, as four bytes of code. */
#define MEMBER(x) \
	(uint8_t)(x), (uint8_t)((x) >> 8), (uint8_t)((x) >> 16), (uint8_t)((uint32_t)(x) >> 24)

__attribute__((constructor)) static void mend(void)
{
	/* and dword [rbx + event_mask], ~INIT; mov byte [rbx + in_vmx_guest], 1 */
	static const int unmask_init[] = {0x83, 0xa3, -1, -1, -1, -1, 0xfb,
					  0xc6, 0x83, -1, -1, -1, -1, 1};
	/* or dword [rbx + event_mask], INIT */
	static const int mask_init[] = {0x83, 0x8b, -1, -1, -1, -1, 4};
	/* xor edx, edx; mov esi, 3 (INIT) */
	static const int init_exit[] = {0x31, 0xd2, 0xbe, 3, 0, 0, 0};
	/* mov edx, esi; mov esi, 4 (SIPI) */
	static const int sipi_exit[] = {0x89, 0xf2, 0xbe, 4, 0, 0, 0};
	uint8_t *entry = find("_ZN8BX_CPU_C8VMLAUNCHEP15bxInstruction_c", 0x600, unmask_init, 14);
	uint8_t *leave = find("_ZN8BX_CPU_C6VMexitEjm", 0x600, mask_init, 7);
	uint8_t *init = find("_ZN8BX_CPU_C16handleAsyncEventEv", 0x600, init_exit, 7);
	uint8_t *sipi = find("_ZN8BX_CPU_C12deliver_SIPIEj", 0x100, sipi_exit, 7);
	const uint64_t mask_change =
		(uint64_t)dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C25handleInterruptMaskChangeEv");
	int32_t event_mask, in_vmx_guest;

	if (!entry || !leave || !init || !sipi || !mask_change)
		return;
	map_cave(entry);
	if (!cave) {
		fprintf(stderr, "bochs_vmx_fixes: no memory near Bochs's code\n");
		return;
	}
	memcpy(&event_mask, entry + 2, sizeof(event_mask));
	memcpy(&in_vmx_guest, entry + 9, sizeof(in_vmx_guest));
	const int32_t pending = event_mask - 4, activity = event_mask - 8;
	/* clang-format off */
	const uint8_t at_entry[] = {
		0xc6, 0x83, MEMBER(in_vmx_guest), 1,                  /* mov byte [rbx+guest], 1 */
		0x48, 0x89, 0xdf, 0x48, 0x83, 0xec, 8,                /* mov rdi, rbx; sub rsp, 8 */
		0x48, 0xb8, MEMBER(mask_change), MEMBER(mask_change >> 32), 0xff, 0xd0, /* call */
		0x48, 0x83, 0xc4, 8,                                  /* add rsp, 8 */
		0x83, 0xbb, MEMBER(activity), WAIT_FOR_SIPI,          /* cmp [rbx+activity], 3 */
		0x74, 0x07,                                           /* je ret */
		0x83, 0xa3, MEMBER(event_mask), (uint8_t)~EVENT_INIT, /* and [rbx+mask], ~INIT */
		0xc3,
	};
	const uint8_t at_exit[] = { /* RFLAGS.IF is 0 by now */
		0x81, 0x8b, MEMBER(event_mask),                       /* or dword [rbx+mask], */
		MEMBER(EVENTS_MASKED_BY_IF | EVENT_INIT), 0xc3,
	};
	const uint8_t at_init[] = {
		0x83, 0xa3, MEMBER(pending), (uint8_t)~EVENT_INIT,      /* and [rbx+pending], ~INIT */
		0x31, 0xd2, 0xbe, 3, 0, 0, 0, 0xc3,
	};
	const uint8_t at_sipi[] = {
		0x83, 0xa3, MEMBER(event_mask),                       /* and [rbx+mask], */
		(uint8_t)~(EVENT_NMI | EVENT_SMI),                    /*     ~(NMI | SMI) */
		0x89, 0xf2, 0xbe, 4, 0, 0, 0, 0xc3,
	};
	/* clang-format on */

	call_cave(entry, 7, at_entry, sizeof(at_entry));
	call_cave(leave, 7, at_exit, sizeof(at_exit));
	call_cave(init, 7, at_init, sizeof(at_init));
	call_cave(sipi, 7, at_sipi, sizeof(at_sipi));
}
