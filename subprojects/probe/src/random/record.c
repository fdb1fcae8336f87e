/* SPDX-License-Identifier: BSD-2-Clause */
#include "random/record.h"

#include "digest.h"

static u64 digest;
static bool print_detail;
static unsigned changes;

void record_begin(void)
{
	digest = DIGEST_EMPTY;
}

void record_detail(bool detail)
{
	print_detail = detail;
}

u64 record_digest(void)
{
	u64 finished = digest;

	digest = DIGEST_EMPTY;
	return finished;
}

void record_round(u64 round, unsigned mode)
{
	changes = 0;
	record_step("round, mode", round, mode);
}

void record_change(u32 field, u64 value)
{
	changes++;
	record_step("write", field, value);
}

void record_step(const char *what, u64 a, u64 b)
{
	if (print_detail)
		print("#   %s %lx %lx\n", what, a, b);
}

void record_code(const u8 *code)
{
	enum { SHOWN = 24 };

	if (!print_detail)
		return;
	print("#   code");
	for (unsigned i = 0; i < SHOWN; i++)
		print(" %02x", code[i]);
	print("\n");
}

void record_see(const char *what, u64 value)
{
	if (print_detail)
		print("=   %s %lx\n", what, value);
	digest = digest_add(digest, value);
}

/* SDM "Information for VM Exits Due to Instruction Execution": the others leave it undefined. */
static bool has_length(const struct l2_exit *e)
{
	switch (e->reason & EXIT_REASON_BASIC) {
	case REASON_EXCEPTION_NMI:
		return (e->intr_info & INTR_INFO_TYPE) == INTR_TYPE_SW_EXCEPTION ||
		       (e->intr_info & INTR_INFO_TYPE) == INTR_TYPE_PRIV_SW_EXC;
	case REASON_EXTERNAL_INTERRUPT:
	case REASON_TRIPLE_FAULT:
	case REASON_INTERRUPT_WINDOW:
	case REASON_NMI_WINDOW:
	case REASON_MONITOR_TRAP_FLAG:
	case REASON_TPR_BELOW_THRESHOLD:
	case REASON_EPT_VIOLATION:
	case REASON_EPT_MISCONFIG:
	case REASON_APIC_WRITE:
	case REASON_VIRTUALIZED_EOI:
	case REASON_APIC_ACCESS: /* only by instruction, which the test below cannot tell */
	case REASON_TASK_SWITCH:
		return false;
	default:
		return true;
	}
}

static bool has_info(const struct l2_exit *e)
{
	switch (e->reason & EXIT_REASON_BASIC) {
	case REASON_INVEPT:
	case REASON_INVVPID:
	case REASON_INVPCID:
	case REASON_GDTR_IDTR:
	case REASON_LDTR_TR:
	case REASON_VMCLEAR:
	case REASON_VMPTRLD:
	case REASON_VMPTRST:
	case REASON_VMREAD:
	case REASON_VMWRITE:
	case REASON_VMXON:
		return true;
	case REASON_IO_INSTRUCTION:
		/* INS and OUTS, where the CPU says so in IA32_VMX_BASIC. */
		return (e->qualification & BIT(4)) && (rdmsr(MSR_IA32_VMX_BASIC) & BIT(54));
	default:
		return false;
	}
}

/* SDM "Format of the VM-Exit Instruction-Information Field…": many bits are at times undefined. */
static u32 defined_info(const struct l2_exit *e)
{
	const u32 reg1 = (u32)BITS(6, 3), is_register = BIT(10);
	const u32 no_index = BIT(22), no_base = BIT(27), reg2 = (u32)BITS(31, 28);
	u32 undefined = (u32)(BIT(2) | BITS(14, 12));

	switch (e->reason & EXIT_REASON_BASIC) {
	case REASON_IO_INSTRUCTION:
		/* INS has no segment to choose. */
		return e->info &
		       (u32)(e->qualification & BIT(3) ? BITS(9, 7) : BITS(17, 15) | BITS(9, 7));
	case REASON_VMREAD:
	case REASON_VMWRITE:
	case REASON_INVEPT:
	case REASON_INVVPID:
	case REASON_INVPCID:
		undefined |= BIT(11);
		break;
	case REASON_GDTR_IDTR:
		undefined |= reg1 | (u32)BITS(31, 30);
		break;
	case REASON_LDTR_TR:
		undefined |= BIT(11) | (u32)BITS(31, 30);
		break;
	default:
		undefined |= BIT(11) | reg2;
		break;
	}
	if (e->info & is_register)
		undefined |= ~(reg1 | is_register | reg2);
	else if ((e->reason & EXIT_REASON_BASIC) != REASON_GDTR_IDTR)
		undefined |= reg1;
	if (e->info & no_index)
		undefined |= (u32)(BITS(21, 18) | BITS(1, 0));
	if (e->info & no_base)
		undefined |= (u32)BITS(26, 23);
	return e->info & ~undefined;
}

static bool has_linear(const struct l2_exit *e)
{
	switch (e->reason & EXIT_REASON_BASIC) {
	case REASON_EPT_VIOLATION:
		return e->qualification & EPT_VIOLATION_LINEAR_VALID;
	case REASON_IO_INSTRUCTION:
		return e->qualification & BIT(4);
	default:
		return false;
	}
}

static void see_guest_state(void)
{
	static const struct {
		u32 field;
		const char *name;
	} fields[] = {
		{VMCS_GUEST_CR0, "CR0"},
		{VMCS_GUEST_CR3, "CR3"},
		{VMCS_GUEST_CR4, "CR4"},
		{VMCS_GUEST_DR7, "DR7"},
		{VMCS_GUEST_DEBUGCTL, "DEBUGCTL"},
		{VMCS_GUEST_EFER, "EFER"},
		{VMCS_GUEST_PAT, "PAT"},
		{VMCS_GUEST_RIP, "RIP"},
		{VMCS_GUEST_RSP, "RSP"},
		{VMCS_GUEST_RFLAGS, "RFLAGS"},
		{VMCS_GUEST_INTERRUPTIBILITY, "interruptibility"},
		{VMCS_GUEST_ACTIVITY_STATE, "activity"},
		{VMCS_GUEST_PENDING_DEBUG, "pending debug"},
		{VMCS_GUEST_SYSENTER_CS, "SYSENTER_CS"},
		{VMCS_GUEST_SYSENTER_ESP, "SYSENTER_ESP"},
		{VMCS_GUEST_SYSENTER_EIP, "SYSENTER_EIP"},
		{VMCS_GUEST_GDTR_BASE, "GDTR"},
		{VMCS_GUEST_GDTR_LIMIT, "GDTR limit"},
		{VMCS_GUEST_IDTR_BASE, "IDTR"},
		{VMCS_GUEST_IDTR_LIMIT, "IDTR limit"},
		{VMCS_ENTRY_CONTROLS, "entry controls"},
		{VMCS_VM_ENTRY_INTR_INFO, "entry event"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		record_see(fields[i].name, vmread(fields[i].field));
	if (vmx_has(CTL_ENTRY, ENTRY_LOAD_UINV)) {
		record_see("UINV", vmread(VMCS_GUEST_UINV));
		record_see("UINTR_MISC", rdmsr(MSR_IA32_UINTR_MISC));
	}
	for (u32 segment = 0; segment < 8; segment++) {
		u64 rights = vmread(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * segment);

		record_see("segment", segment);
		record_see("selector", vmread(VMCS_GUEST_ES_SELECTOR + 2 * segment));
		record_see("rights", rights);
		/* SDM "Saving Segment Registers…": undefined for most unusable segments. */
		if (rights & AR_UNUSABLE)
			continue;
		record_see("base", vmread(VMCS_GUEST_ES_BASE + 2 * segment));
		record_see("limit", vmread(VMCS_GUEST_ES_LIMIT + 2 * segment));
	}
}

static void see_registers(const struct world *w)
{
	const u64 *value = &w->l2->regs.rax;
	u64 sum = DIGEST_EMPTY;

	for (unsigned i = 0; i < 16; i++)
		record_see("register", value[i]);
	for (unsigned i = 0; i < WORLD_SIZE / 8; i++)
		sum = digest_add(sum, ((const u64 *)w->memory)[i]);
	record_see("memory", sum);
	record_see("CR2", read_cr2());
}

/*
 * SDM "Basic VM-Exit Information", exit qualification: a displacement, 0 with a register operand.
 * There Bochs 2.7 leaves what an earlier instruction had.
 */
static bool has_qualification(const struct l2_exit *e)
{
	const u32 reason = e->reason & EXIT_REASON_BASIC;

	return (reason != REASON_VMREAD && reason != REASON_VMWRITE && reason != REASON_LDTR_TR) ||
	       !(e->info & BIT(10));
}

static void see_exit(const struct l2_exit *e)
{
	if (has_qualification(e))
		record_see("qualification", l2_qualification(e));
	record_see("event", e->intr_info & INTR_INFO_VALID ? e->intr_info : 0);
	if ((e->intr_info & INTR_INFO_VALID) && (e->intr_info & INTR_INFO_ERROR_CODE))
		record_see("event's error", e->intr_error);
	record_see("vectoring", e->idt_info & INTR_INFO_VALID ? e->idt_info : 0);
	if ((e->idt_info & INTR_INFO_VALID) && (e->idt_info & INTR_INFO_ERROR_CODE))
		record_see("vectoring's error", e->idt_error);
	if (has_length(e))
		record_see("length", e->length);
	if (has_info(e))
		record_see("information", defined_info(e));
	if (has_linear(e))
		record_see("linear", e->linear);
	if (e->reason == REASON_EPT_VIOLATION || e->reason == REASON_EPT_MISCONFIG)
		record_see("physical", e->physical);
}

void record_outcome(const struct world *w)
{
	const struct l2_exit *e = &w->l2->exit;

	u64 entry = w->l2->entry;

	/*
	 * SDM "Checks on VMX Controls and Host-State Area", "Checks on the Guest State Area": "may
	 * be performed in any order".
	 */
	if (changes > 1 && entry == VM_FAIL(VMERR_ENTRY_INVALID_HOST_STATE))
		entry = VM_FAIL(VMERR_ENTRY_INVALID_CONTROL);
	record_see("entry", entry);
	if (entry != VM_OK)
		return;
	record_see("exit", e->reason);
	if (e->reason & EXIT_REASON_ENTRY_FAIL) {
		if (changes <= 1 || e->reason != (REASON_ENTRY_FAIL_GUEST | EXIT_REASON_ENTRY_FAIL))
			record_see("qualification", e->qualification);
		return;
	}
	/* A loop: where it was stopped depends on time. */
	if (e->reason == REASON_PREEMPTION_TIMER)
		return;
	see_exit(e);
	see_guest_state();
	see_registers(w);
}
