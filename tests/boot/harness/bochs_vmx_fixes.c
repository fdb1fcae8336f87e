/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into Bochs 2.7 as Debian builds it: mends how it delivers INIT, SIPI and interrupts to
 * a CPU in VMX non-root operation. Without it no hypervisor can let its guest start CPUs there, nor
 * stop a virtual machine that runs with interrupts off.
 *
 *  - VM entry into the wait-for-SIPI state leaves INIT unblocked. SDM "Checks on Guest Non-Register
 *    State"/"Activity State": INIT signals are blocked in the wait-for-SIPI state.
 *  - An INIT that comes in VMX root operation is lost. SDM "Restrictions on VMX Operation": it is
 *    blocked there, so it is taken at VMXOFF, or exits from the guest that is entered next.
 *  - An INIT that caused a VM exit stays pending, so that every later entry exits again. SDM "Other
 *    Causes of VM Exits": the exit is what the signal does.
 *  - The SIPI exit leaves SMIs and NMIs blocked: every later exit saves "blocking by SMI" and the
 *    next entry fails, and no NMI comes until some IRET.
 *  - After a VM entry with RFLAGS.IF clear before and after it external interrupts stay masked, and
 *    after an exit with it clear on both sides they stay unmasked. SDM "Other Changes in VMX
 *    Non-Root Operation"/"Event Blocking": with "external-interrupt exiting" RFLAGS.IF does not
 *    control the blocking of external interrupts. Otherwise it does.
 *  - Blocking of NMIs, virtual or not, lasts over a VM entry whose interruptibility state has none.
 *    SDM "Loading Guest Non-Register State"/"Interruptibility State": blocked if and only if the
 *    bit says so; with "virtual NMIs" the bit is about those, and NMIs are not blocked.
 *  - An NMI or NMI window that the entry finds unblocked is looked at some instructions later. SDM
 *    "Other Causes of VM Exits": the NMI-window exit comes before any instruction.
 *  - An exit by an EPT violation saves a pending single-step trap of the instruction that has not
 *    run. SDM "Saving Non-Register State": without blocking by MOV SS, pending debug exceptions of
 *    such an exit are saved as clear.
 *  - An exit during delivery of an exception in real-address mode says that there is an error code,
 *    which must not be injected there. SDM "Information for VM Exits That Occur During Event
 *    Delivery": bit 11 is always 0 then.
 *  - A VM entry into real-address mode is refused if the two lowest bits of the CS selector are not
 *    0. SDM "Checks on Guest Segment Registers" has no such check with "unrestricted guest": the
 *    selector is a segment's address there.
 *  - A SIPI sent to all other CPUs reaches only the first of those that wait for it in VMX non-root
 *    operation (mend_sipi()).
 *
 * Bochs 3 has those of INIT and SIPI mended. The sites are found by the instructions there, inside
 * exported functions; where they are not found Bochs is left as it is.
 */
#include "bochs_patch.h"

enum {
	EVENT_NMI = 1,
	EVENT_SMI = 2,
	EVENT_VIRTUAL_NMI = 0x80,
	EVENTS_MASKED_BY_IF = 0xf40,
	PIN_CONTROLS = 0x4000,
	PIN_VIRTUAL_NMIS = 0x20,
	GUEST_INTERRUPTIBILITY = 0x4824,
	BLOCKING_BY_MOV_SS = 2,
	BLOCKING_BY_NMI = 8,
	GUEST_CR0 = 0x6800,
	GUEST_PENDING_DEBUG = 0x6822,
	CR0_PE = 1,
	VECTORING_INFO = 0x4408,
	VECTORING_ERROR_CODE = 0x800,
	REASON_EPT_VIOLATION = 48,
};

/* Of class BX_CPU_C: functions, and where members are. */
static uint32_t (*vmread32)(void *cpu, unsigned int field);
static void (*vmwrite32)(void *cpu, unsigned int field, uint32_t value);
static void (*vmwrite64)(void *cpu, unsigned int field, uint64_t value);
static void (*interrupt_mask_changed)(void *cpu);
static void (*deliver_nmi)(void *cpu);
static int32_t in_vmx_guest_at;

/* Bochs looks at events that are pending and not masked before the next instruction. */
static void look_at_events(uint8_t *cpu)
{
	const uint32_t mask = events_of(cpu)->mask, pending = events_of(cpu)->pending;

	if (!(pending & ~mask))
		return;
	events_of(cpu)->mask = 0;
	deliver_nmi(cpu);
	events_of(cpu)->mask = mask;
	events_of(cpu)->pending = pending;
}

/* VMLAUNCH and VMRESUME: guest state is loaded, an event not yet injected. */
static void at_entry(uint8_t *cpu)
{
	uint32_t *mask = &events_of(cpu)->mask;

	cpu[in_vmx_guest_at] = 1;
	interrupt_mask_changed(cpu);
	*mask &= ~(uint32_t)(EVENT_NMI | EVENT_VIRTUAL_NMI);
	if (vmread32(cpu, GUEST_INTERRUPTIBILITY) & BLOCKING_BY_NMI)
		*mask |= vmread32(cpu, PIN_CONTROLS) & PIN_VIRTUAL_NMIS ? EVENT_VIRTUAL_NMI
									: EVENT_NMI;
	if (events_of(cpu)->activity_state != WAIT_FOR_SIPI)
		*mask &= ~(uint32_t)EVENT_INIT;
	look_at_events(cpu);
}

/* A VM exit has saved guest state and loaded host state. */
static void at_loaded(uint8_t *cpu, uint32_t reason)
{
	const uint32_t entry_failed = 1u << 31;

	if (reason == REASON_EPT_VIOLATION &&
	    !(vmread32(cpu, GUEST_INTERRUPTIBILITY) & BLOCKING_BY_MOV_SS))
		vmwrite64(cpu, GUEST_PENDING_DEBUG, 0);
	if (!(reason & entry_failed) && !(vmread32(cpu, GUEST_CR0) & CR0_PE))
		vmwrite32(cpu, VECTORING_INFO,
			  vmread32(cpu, VECTORING_INFO) & ~(uint32_t)VECTORING_ERROR_CODE);
}

/* The end of a VM exit; RFLAGS.IF is 0 by now. */
static void at_exit(uint8_t *cpu)
{
	events_of(cpu)->mask |= EVENTS_MASKED_BY_IF | EVENT_INIT;
}

static void at_init_exit(uint8_t *cpu)
{
	events_of(cpu)->pending &= ~(uint32_t)EVENT_INIT;
}

static void at_sipi_exit(uint8_t *cpu)
{
	events_of(cpu)->mask &= ~(uint32_t)(EVENT_NMI | EVENT_SMI);
}

enum { ENTRY = 0 };

static struct site sites[] = {
	[ENTRY] = {.mend = at_entry,
		   .symbol = "_ZN8BX_CPU_C8VMLAUNCHEP15bxInstruction_c",
		   .length = 0x600,
		   /* and dword [rbx + event_mask], ~INIT; mov byte [rbx + in_vmx_guest], 1 */
		   .pattern_size = 14,
		   .pattern = {0x83, 0xa3, ANY, ANY, ANY, ANY, 0xfb, 0xc6, 0x83, ANY, ANY, ANY, ANY,
			       1}},
	{.mend = at_loaded,
	 .keep = true,
	 .symbol = "_ZN8BX_CPU_C6VMexitEjm",
	 .length = 0x300,
	 /* mov rdx, [rbx + msr_load_addr]; mov esi, [rbx + msr_load_count]. R13D is the reason. */
	 .pattern_size = 14,
	 .pattern = {0x48, 0x8b, 0x93, ANY, ANY, ANY, ANY, 0x8b, 0xb3, ANY, ANY, ANY, ANY, 0x48}},
	{.mend = at_exit,
	 .symbol = "_ZN8BX_CPU_C6VMexitEjm",
	 .length = 0x300,
	 /* or dword [rbx + event_mask], INIT */
	 .pattern_size = 7,
	 .pattern = {0x83, 0x8b, ANY, ANY, ANY, ANY, EVENT_INIT}},
	{.mend = at_init_exit,
	 .keep = true,
	 .symbol = "_ZN8BX_CPU_C16handleAsyncEventEv",
	 .length = 0x600,
	 /* xor edx, edx; mov esi, 3 (INIT) */
	 .pattern_size = 7,
	 .pattern = {0x31, 0xd2, 0xbe, 3, 0, 0, 0}},
	{.mend = at_sipi_exit,
	 .keep = true,
	 .symbol = "_ZN8BX_CPU_C12deliver_SIPIEj",
	 .length = 0x100,
	 /* mov edx, esi; mov esi, 4 (SIPI) */
	 .pattern_size = 7,
	 .pattern = {0x89, 0xf2, 0xbe, 4, 0, 0, 0}},
};

enum { SITES = sizeof(sites) / sizeof(sites[0]) };

/*
 * cmp [rsp + CS's RPL], al, which is CS's DPL; je on; lea rsi, what to complain of. In protected
 * mode that stands for checks that there are; in real-address mode it is made to come out equal.
 */
static void allow_any_selector(uint8_t *cave)
{
	enum { CMP_SIZE = 7, JE = 0x74, LENGTH = 0x2000 };
	static const char complaint[] = "VMENTER FAIL: VMCS guest non-conforming CS.RPL";
	static const uint8_t cmp[] = {0x38, 0x84, 0x24}, lea[] = {0x48, 0x8d, 0x35};
	static const uint8_t je_ret[] = {0x74, 0x30}; /* to the last byte of all this */
	static const uint8_t save[] = {0x50, 0x51, 0x52, 0x56, 0x57, 0x41, 0x50,
				       0x41, 0x51, 0x41, 0x52, 0x41, 0x53};
	static const uint8_t read_cr0[] = {0x48, 0x89, 0xdf,       /* mov rdi, rbx */
					   0xbe, 0x00, 0x68, 0, 0, /* mov esi, GUEST_CR0 */
					   0x48, 0xb8};            /* mov rax, vmread32 */
	static const uint8_t test_pe[] = {0xff, 0xd0,              /* call rax */
					  0xa8, CR0_PE};           /* test al, CR0_PE */
	static const uint8_t restore_ret[] = {0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41,
					      0x58, 0x5f, 0x5e, 0x5a, 0x59, 0x58, 0xc3};
	uint8_t *code = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C26VMenterLoadCheckGuestStateEPm");

	for (size_t i = 0; code && i < LENGTH; i++) {
		uint8_t *const at = code + i;
		uint8_t *const page = (uint8_t *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1));
		const uint8_t *const after_lea = at + CMP_SIZE + 2 + 7;
		const int32_t distance = (int32_t)(cave - (at + 5));
		int32_t text, where;

		if (memcmp(at, cmp, sizeof(cmp)) != 0 || at[CMP_SIZE] != JE ||
		    memcmp(at + CMP_SIZE + 2, lea, sizeof(lea)) != 0)
			continue;
		memcpy(&text, after_lea - sizeof(text), sizeof(text));
		if (strncmp((const char *)after_lea + text, complaint, sizeof(complaint) - 1) != 0)
			continue;
		/* The same comparison, one return address deeper. */
		memcpy(&where, at + sizeof(cmp), sizeof(where));
		where += 8;
		cave = put(cave, cmp, sizeof(cmp));
		cave = put(cave, &where, sizeof(where));
		cave = put(cave, je_ret, sizeof(je_ret));
		cave = put(cave, save, sizeof(save));
		cave = put(cave, read_cr0, sizeof(read_cr0));
		cave = put(cave, &vmread32, sizeof(vmread32));
		cave = put(cave, test_pe, sizeof(test_pe));
		put(cave, restore_ret, sizeof(restore_ret));
		mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
		at[0] = 0xe8;
		memcpy(at + 1, &distance, sizeof(distance));
		memset(at + 5, 0x90, CMP_SIZE - 5);
		mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC);
		return;
	}
}

__attribute__((constructor)) static void mend(void)
{
	uint8_t *cave;
	int32_t mask_at;

	vmread32 = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C8VMread32Ej");
	vmwrite32 = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C9VMwrite32Ejj");
	vmwrite64 = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C9VMwrite64Ejm");
	interrupt_mask_changed = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C25handleInterruptMaskChangeEv");
	deliver_nmi = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C11deliver_NMIEv");
	if (!vmread32 || !vmwrite32 || !vmwrite64 || !interrupt_mask_changed || !deliver_nmi)
		return;
	for (size_t i = 0; i < SITES; i++) {
		if (!find(&sites[i]))
			return;
	}
	cave = map_cave(sites[ENTRY].code);
	if (!cave) {
		fprintf(stderr, "bochs_vmx_fixes: no memory near Bochs's code\n");
		return;
	}
	memcpy(&mask_at, sites[ENTRY].code + 2, sizeof(mask_at));
	memcpy(&in_vmx_guest_at, sites[ENTRY].code + 9, sizeof(in_vmx_guest_at));
	for (size_t i = 0; i < SITES; i++)
		cave = replace(&sites[i], cave);
	allow_any_selector(cave);
	mend_init(mask_at);
	mend_sipi();
}
