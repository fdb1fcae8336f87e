/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An NMI and a VM entry, in every combination of L1's controls, what is blocked, where the NMI
 * comes, what the entry injects and whether L2 executes IRET; the outcome is worked out from the
 * SDM.
 */
#include "apic.h"
#include "exits.h"
#include "layout.h"
#include "timer.h"

/*
 * L2 sends itself an NMI if R9 says so (RDI: the ICR, its high half is set), then goes to the next
 * instruction by IRET if R8 says so. An NMI that comes before R10 is incremented did not wait for
 * IRET.
 */
L2_CODE(table_run, "testl %r9d, %r9d\njz 1f\nmovl $0x4400, (%rdi)\n1: movl $100, %ecx\n2: loop "
		   "2b\nincl %r10d\n"
		   "testl %r8d, %r8d\njz 3f\nmovl %ss, %eax\npushq %rax\nleaq 8(%rsp), %rax\n"
		   "pushq %rax\npushfq\nmovl %cs, %eax\npushq %rax\nleaq 3f(%rip), %rax\n"
		   "pushq %rax\niretq\n3: movl $100, %ecx\n4: loop 4b");
/* L2's handler of NMIs: one that the entry injects goes on there, the one under test ends it. */
L2_CODE(table_gate, "incl %r11d\ncmpl $2, %r11d\njb table_run");
L2_CODE(table_send, "movl $0x4400, (%rdi)\n1: jmp 1b");

enum { SETTLE_US = 30 };

static const u32 injected_nmi = (u32)(INTR_INFO_VALID | INTR_TYPE_NMI | VECTOR_NMI);
static const u32 injected_ud = (u32)(INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_UD);

struct row {
	u32 pin, primary;
	bool sent_by_l1; /* and blocked there, or it would not be there at the entry */
	bool blocked_in_l1, blocked_in_l2;
	u32 injects;
	bool iret;
};

struct result {
	u32 reason;
	bool delivered; /* by L2's IDT, which makes an exit */
	bool after_iret;
	u64 taken_blocked, taken; /* by L1: before an IRET of its own, and in all */
};

static bool virtual_nmis(const struct row *row)
{
	return row->pin & PIN_VIRTUAL_NMIS;
}

/*
 * SDM "VM Entries"/"Interruptibility State", "Other Causes of VM Exits", "Changes to Instruction
 * Behavior in VMX Non-Root Operation", "Updating Non-Register State".
 */
static struct result expect(const struct row *row)
{
	bool blocked = row->blocked_in_l2 || row->injects == injected_nmi;
	bool sent = row->sent_by_l1;

	for (unsigned at = 0; at < 2; at++) {
		/* It takes priority over NMIs. Other exits than an NMI's leave blocking alone. */
		if ((row->primary & CPU_NMI_WINDOW_EXITING) && !blocked)
			return (struct result){REASON_NMI_WINDOW, false, at, sent, sent};
		sent = true;
		if (virtual_nmis(row) || !blocked) {
			if (row->pin & PIN_NMI_EXITING)
				return (struct result){REASON_EXCEPTION_NMI, false, at, 0, 0};
			return (struct result){REASON_VMCALL, true, at, 0, 0};
		}
		if (!row->iret)
			break;
		if (!(row->pin & PIN_NMI_EXITING) || virtual_nmis(row))
			blocked = false;
	}
	return (struct result){REASON_VMCALL, false, true, 0, 1};
}

static void set_gate(unsigned vector, const u8 *code)
{
	u64 *gate = (u64 *)vmread(VMCS_GUEST_IDTR_BASE) + (size_t)2 * vector;
	const u64 offset = BITS(15, 0) | BITS(63, 48);
	const u64 at = (u64)code;

	gate[0] = (gate[0] & ~offset) | (at & 0xffff) | (at >> 16 & 0xffff) << 48;
	gate[1] = at >> 32;
}

static void set_controls(u32 pin, u32 primary)
{
	vmcs_clear_bits(VMCS_PIN_CONTROLS, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS);
	vmcs_clear_bits(VMCS_PRIMARY_CONTROLS, CPU_NMI_WINDOW_EXITING);
	vmcs_set_bits(VMCS_PIN_CONTROLS, pin);
	vmcs_set_bits(VMCS_PRIMARY_CONTROLS, primary);
}

static u64 icr_lo(void)
{
	return (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDR) + APIC_REG_ICR_LO;
}

/* IRET from any exception unblocks NMIs. */
static void unblock(void)
{
	TRY("ud2", :);
	timer_wait(SETTLE_US);
}

/* An NMI's exit blocks the next ones. */
static void block_in_l1(struct l2 *l2)
{
	set_controls(PIN_NMI_EXITING, 0);
	l2_goto(l2, table_send);
	l2->regs.rdi = icr_lo();
	l2_run(l2);
}

static void run_row(struct run *t, struct l2 *l2, const struct row *row, unsigned number)
{
	const struct result expected = expect(row);
	struct cpu *cpu = this_cpu();
	struct result seen = {0};
	u64 before;

	if (row->blocked_in_l1)
		block_in_l1(l2);
	before = cpu->nmi_count;
	if (row->sent_by_l1)
		apic_send(cpu->apic_id, APIC_NMI);
	timer_wait(SETTLE_US);
	set_controls(row->pin, row->primary);
	l2_goto(l2, table_run);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, row->blocked_in_l2 ? INTERRUPTIBILITY_NMI : 0);
	l2_inject(row->injects, 0, 0);
	l2->regs.rdi = icr_lo();
	l2->regs.r8 = row->iret;
	l2->regs.r9 = !row->sent_by_l1;
	l2->regs.r11 = row->injects == injected_nmi ? 0 : 1;
	l2_run(l2);
	seen.reason = l2->exit.reason;
	seen.delivered = l2->exit.reason == REASON_VMCALL && l2->regs.r11 == 2;
	seen.after_iret = l2->regs.r10;
	timer_wait(SETTLE_US);
	seen.taken_blocked = cpu->nmi_count - before;
	unblock();
	seen.taken = cpu->nmi_count - before;
	CHECK(t,
	      l2->entry == VM_OK && seen.reason == expected.reason &&
		      seen.delivered == expected.delivered &&
		      seen.after_iret == expected.after_iret &&
		      seen.taken_blocked == expected.taken_blocked && seen.taken == expected.taken,
	      "row %u: reason %u delivered %u after IRET %u taken %lu, %lu; expected %u %u %u %lu, "
	      "%lu",
	      number, seen.reason, seen.delivered, seen.after_iret, seen.taken_blocked, seen.taken,
	      expected.reason, expected.delivered, expected.after_iret, expected.taken_blocked,
	      expected.taken);
}

PROBE_CASE(nmi_table, "vmx.nmi.table", CASE_EACH_CPU)
{
	static const u32 pins[] = {0, PIN_NMI_EXITING, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS,
				   PIN_NMI_EXITING | PIN_VIRTUAL_NMIS};
	const u32 injects[] = {0, injected_ud, injected_nmi};
	struct l2 *l2;

	SKIP_UNLESS(t, !apic_is_x2apic(), "sends by memory");
	l2 = l2_begin(t);
	if (!l2)
		return;
	SKIP_UNLESS(t, l2_disable(CTL_PIN, PIN_NMI_EXITING), "NMIs always exit");
	L2_NEED(t, CTL_PIN, PIN_NMI_EXITING | PIN_VIRTUAL_NMIS);
	L2_NEED(t, CTL_CPU, CPU_NMI_WINDOW_EXITING);
	set_gate(VECTOR_NMI, table_gate);
	set_gate(VECTOR_UD, table_run);
	apic_write(APIC_REG_ICR_HI, this_cpu()->apic_id << 24);
	l2->quiet = true;
	for (unsigned i = 0; i < 4 * 3 * 2 * 2 * 3; i++) {
		const struct row row = {
			.pin = pins[i % 4],
			.primary = i % 4 == 3 ? (u32)CPU_NMI_WINDOW_EXITING : 0,
			.injects = injects[i / 4 % 3],
			.blocked_in_l2 = i / 12 % 2,
			.iret = i / 24 % 2,
			.sent_by_l1 = i / 48 == 0,
			.blocked_in_l1 = i / 48 < 2,
		};

		/* SDM "Checks on Guest Non-Register State". */
		if (row.injects == injected_nmi && virtual_nmis(&row) && row.blocked_in_l2)
			continue;
		run_row(t, l2, &row, i);
	}
}
