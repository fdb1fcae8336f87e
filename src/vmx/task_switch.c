/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches do not happen in VMX non-root operation (SDM "Treatment of Task Switches"), so
 * Umbra does them. The processor has checked privileges and the TSS descriptor before the exit;
 * the descriptor is checked again because memory may have changed since.
 *
 * Shadow stacks stay as they are: 32-bit systems that switch tasks by hardware do not use them.
 * With CR4.CET set, only the checks of the TSS's type and limit are added.
 */
#include <x86/cr.h>
#include <x86/msr.h>
#include <x86/vmx.h>

#include "lib/insn.h"
#include "vmx/control_regs.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_linear.h"
#include "vmx/task_rules.h"
#include "vmx/vmcs.h"

/* SDM "Exit Qualification for Task Switches". */
#define TASK_QUALIFICATION_SELECTOR BITS(15, 0)
#define TASK_QUALIFICATION_SOURCE   BITS(31, 30)

enum {
	DESCRIPTOR_TYPE_BYTE = 5,
	DESCRIPTOR_ACCESSED = 0x01,
	DESCRIPTOR_BUSY = 0x02,
	SEGMENTS = 6, /* the registers besides LDTR and TR */
	/* How often a step is tried that another processor's writes spoil. */
	TRIES = 64,
};

struct task_switch {
	struct vcpu *vcpu;
	struct guest_regs *regs;
	enum task_source source;
	u32 vectoring; /* IDT-vectoring information of the event; 0 if it is none */
	u16 old_selector, new_selector;
	u8 new_type_byte; /* of the new TSS's descriptor */
	struct segment_descriptor old_tss, new_tss;
	u8 image[TASK_IMAGE_SIZE];
	struct task_state state; /* of the new task */
	struct {
		enum segment segment;
		u16 selector;
		u32 cpl;
	} loading; /* for its registers */
	struct guest_fault fault;
};

static bool nests(const struct task_switch *ts)
{
	return ts->source == TASK_CALL || ts->source == TASK_GATE;
}

/* SDM "Error Code": the EXT flag, for events that are not the program's own INT n, INT3 or INTO. */
static u32 external_flag(const struct task_switch *ts)
{
	const u32 type = ts->vectoring & (u32)INTR_INFO_TYPE;

	return (ts->vectoring & INTR_INFO_VALID) && type != INTR_TYPE_SW_INTERRUPT &&
	       type != INTR_TYPE_SW_EXCEPTION;
}

/* Always false, for the caller to return. */
static bool raise(struct task_switch *ts, int vector, u16 selector)
{
	ts->fault = (struct guest_fault){
		.vector = (u8)vector,
		.error_code = (selector & ~3u) | external_flag(ts),
	};
	return false;
}

static u64 gdt_type_byte(u16 selector)
{
	return vmreadn(VMCS_GUEST_GDTR_BASE) + (selector & ~7u) + DESCRIPTOR_TYPE_BYTE;
}

static bool check_new_task(struct task_switch *ts)
{
	const u16 selector = ts->new_selector;
	u64 raw;
	int vector = task_check_tss_selector(ts->source, selector, vmread32(VMCS_GUEST_GDTR_LIMIT));

	if (vector != TASK_CHECK_PASSED)
		return raise(ts, vector, selector);
	if (!guest_linear_read(vmreadn(VMCS_GUEST_GDTR_BASE) + (selector & ~7u), &raw, sizeof(raw),
			       GUEST_LINEAR_SYSTEM, &ts->fault))
		return false;
	ts->new_tss = segment_decode(raw);
	ts->new_type_byte = (u8)(raw >> (8 * DESCRIPTOR_TYPE_BYTE));
	vector = task_check_tss(ts->source, &ts->new_tss, guest_cr4() & CR4_CET);
	return vector == TASK_CHECK_PASSED || raise(ts, vector, selector);
}

static bool read_image(struct task_switch *ts)
{
	return guest_linear_read(ts->new_tss.base, ts->image,
				 task_layout(ts->new_tss.access_rights)->size, GUEST_LINEAR_SYSTEM,
				 &ts->fault);
}

static bool probe_write(struct task_switch *ts, u64 linear, size_t size)
{
	return guest_linear_probe(linear, size, GUEST_WRITE, GUEST_LINEAR_SYSTEM, &ts->fault);
}

/* SDM "Task Switching", step 5: afterwards no page is missing until the new CR3 counts. */
static bool check_memory(struct task_switch *ts)
{
	const struct task_layout *old = task_layout(ts->old_tss.access_rights);

	/* LTR does not check the limit. */
	if (ts->old_tss.limit < old->size - 1u)
		return raise(ts, VECTOR_TS, ts->old_selector);
	return probe_write(ts, ts->old_tss.base + old->saved, task_saved_size(old)) &&
	       read_image(ts) && (!nests(ts) || probe_write(ts, ts->new_tss.base, sizeof(u16))) &&
	       (nests(ts) || probe_write(ts, gdt_type_byte(ts->old_selector), sizeof(u8)));
}

/* An instruction or software interrupt is over; what an event interrupted goes on where it was. */
static u32 return_eip(const struct task_switch *ts)
{
	u32 eip = (u32)vmreadn(VMCS_GUEST_RIP);

	if (!(ts->vectoring & INTR_INFO_VALID) || event_is_software(ts->vectoring))
		eip += vmread32(VMCS_VM_EXIT_INSTRUCTION_LENGTH);
	return eip;
}

static bool save_old_task(struct task_switch *ts)
{
	const struct task_layout *tss = task_layout(ts->old_tss.access_rights);
	struct task_state state = {
		.eip = return_eip(ts),
		.eflags = (u32)vmreadn(VMCS_GUEST_RFLAGS),
	};
	u8 saved[TASK_IMAGE_SIZE];

	if (ts->source == TASK_IRET)
		state.eflags &= ~(u32)RFLAGS_NT;
	for (u32 i = 0; i < ARRAY_SIZE(state.gpr); i++)
		state.gpr[i] = (u32)ts->regs->gpr[i];
	state.gpr[GPR_RSP] = (u32)vmreadn(VMCS_GUEST_RSP);
	for (u32 i = 0; i < SEGMENTS; i++)
		state.segment[i].selector =
			(u16)vmcs_read(vmcs_segment_field(VMCS_GUEST_ES_SELECTOR, i));
	task_save(tss, &state, saved);
	return guest_linear_write(ts->old_tss.base + tss->saved, saved, task_saved_size(tss),
				  GUEST_LINEAR_SYSTEM, &ts->fault);
}

static bool clear_busy(struct task_switch *ts)
{
	const u64 address = gdt_type_byte(ts->old_selector);
	u8 type;

	return guest_linear_read(address, &type, sizeof(type), GUEST_LINEAR_SYSTEM, &ts->fault) &&
	       guest_linear_exchange(address, type, type & (u8)~DESCRIPTOR_BUSY,
				     GUEST_LINEAR_SYSTEM, &ts->fault);
}

static bool set_busy(struct task_switch *ts)
{
	return guest_linear_exchange(gdt_type_byte(ts->new_selector), ts->new_type_byte,
				     ts->new_type_byte | DESCRIPTOR_BUSY, GUEST_LINEAR_SYSTEM,
				     &ts->fault);
}

static bool write_link(struct task_switch *ts)
{
	return guest_linear_write(ts->new_tss.base, &ts->old_selector, sizeof(ts->old_selector),
				  GUEST_LINEAR_SYSTEM, &ts->fault);
}

/*
 * A step from which the guest cannot begin anew: a race is Umbra's to repeat. Another processor
 * that spoils it for ever must not keep this one in root mode: it fails the task switch instead.
 */
static bool persist(struct task_switch *ts, bool (*step)(struct task_switch *ts))
{
	for (u32 tries = 0; tries < TRIES; tries++) {
		ts->fault.retry = false;
		if (step(ts))
			return true;
		if (!ts->fault.retry)
			return false;
	}
	return raise(ts, VECTOR_TS, ts->new_selector);
}

/*
 * The busy flag comes first: if another processor has taken the task meanwhile, nothing has
 * happened yet. The image is read again because the two TSSs may overlap, as when a task returns
 * to itself.
 */
static bool change_memory(struct task_switch *ts)
{
	return (ts->source == TASK_IRET || set_busy(ts)) &&
	       (nests(ts) || persist(ts, clear_busy)) && persist(ts, save_old_task) &&
	       (!nests(ts) || persist(ts, write_link)) && persist(ts, read_image);
}

/* SDM "Operations that Invalidate TLBs and Paging-Structure Caches": only if CR3 changes. */
static bool load_cr3(struct task_switch *ts)
{
	const u64 cr3 = ts->state.cr3;

	if (!task_is_32bit(ts->new_tss.access_rights) || !(guest_cr0() & CR0_PG) ||
	    cr3 == vmreadn(VMCS_GUEST_CR3))
		return true;
	if ((guest_cr4() & CR4_PAE) && !guest_load_pdptes(ts->vcpu, cr3))
		return raise(ts, VECTOR_GP, 0);
	vmwriten(VMCS_GUEST_CR3, cr3);
	invvpid(ts->vcpu->vmx.ept_vpid & VPID_CAP_SINGLE_GLOBALS ? INVVPID_SINGLE_RETAIN_GLOBALS
								 : INVVPID_SINGLE_CONTEXT,
		vmread16(VMCS_VPID), 0);
	return true;
}

static void load_registers(struct task_switch *ts)
{
	const struct task_state *state = &ts->state;
	/* SDM "Debug Control Register (DR7)": L0 to L3 and LE. */
	const u64 dr7_local = 0x155;

	ts->new_tss.access_rights |= DESCRIPTOR_BUSY;
	vmcs_write_segment(SEG_TR, ts->new_selector, ts->new_tss);
	for (u32 i = 0; i < ARRAY_SIZE(state->gpr); i++)
		ts->regs->gpr[i] = state->gpr[i];
	vmwriten(VMCS_GUEST_RSP, state->gpr[GPR_RSP]);
	vmwriten(VMCS_GUEST_RIP, state->eip);
	vmwriten(VMCS_GUEST_RFLAGS, state->eflags | (nests(ts) ? RFLAGS_NT : 0));
	vmwriten(VMCS_GUEST_CR0, vmreadn(VMCS_GUEST_CR0) | CR0_TS);
	vmwriten(VMCS_GUEST_DR7, vmreadn(VMCS_GUEST_DR7) & ~dr7_local);
	vmwriten(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_clear32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
}

/*
 * Before any descriptor is looked at, the registers hold the new selectors and nothing usable, with
 * the new CPL: a fault finds the new task like that.
 */
static void forget_segments(const struct task_switch *ts, u32 cpl)
{
	const struct segment_descriptor unusable = {.access_rights = (u32)AR_UNUSABLE};
	const struct segment_descriptor stack = {
		.access_rights = (u32)AR_UNUSABLE | cpl << AR_DPL_SHIFT,
	};
	const struct segment_descriptor code = {
		.access_rights = AR_CODE16 | cpl << AR_DPL_SHIFT,
	};

	for (u32 i = 0; i < SEGMENTS; i++)
		vmcs_write_segment(i, ts->state.segment[i].selector, unusable);
	vmcs_write_segment(SEG_SS, ts->state.segment[SEG_SS].selector, stack);
	vmcs_write_segment(SEG_CS, ts->state.segment[SEG_CS].selector, code);
	vmcs_write_segment(SEG_LDTR, ts->state.ldt, unusable);
}

/* False: outside of its table. The LDT is the new task's. */
static bool descriptor_address(u16 selector, u64 *address)
{
	const bool ldt = selector_in_ldt(selector);
	const u32 limit = vmread32(ldt ? VMCS_GUEST_LDTR_LIMIT : VMCS_GUEST_GDTR_LIMIT);

	if (!selector_in_limit(selector, limit) ||
	    (ldt && (vmread32(VMCS_GUEST_LDTR_ACCESS_RIGHTS) & AR_UNUSABLE)))
		return false;
	*address = vmreadn(ldt ? VMCS_GUEST_LDTR_BASE : VMCS_GUEST_GDTR_BASE) + (selector & ~7u);
	return true;
}

/* One try at ts->loading, which another processor's change of the descriptor may spoil. */
static bool try_load_segment(struct task_switch *ts)
{
	const enum segment seg = ts->loading.segment;
	const u16 selector = ts->loading.selector;
	struct segment_descriptor d;
	u64 address, raw;

	if (selector_is_null(selector))
		return (seg != SEG_CS && seg != SEG_SS) || raise(ts, VECTOR_TS, selector);
	if (!descriptor_address(selector, &address))
		return raise(ts, VECTOR_TS, selector);
	if (!guest_linear_read(address, &raw, sizeof(raw), GUEST_LINEAR_SYSTEM, &ts->fault))
		return false;
	d = segment_decode(raw);
	int vector = task_check_segment(seg, selector, &d, ts->loading.cpl);
	if (vector != TASK_CHECK_PASSED)
		return raise(ts, vector, selector);
	if (seg != SEG_LDTR && !(d.access_rights & AR_ACCESSED)) {
		const u8 type = (u8)(raw >> (8 * DESCRIPTOR_TYPE_BYTE));

		if (!guest_linear_exchange(address + DESCRIPTOR_TYPE_BYTE, type,
					   type | DESCRIPTOR_ACCESSED, GUEST_LINEAR_SYSTEM,
					   &ts->fault))
			return false;
		d.access_rights |= (u32)AR_ACCESSED;
	}
	vmcs_write_segment(seg, selector, d);
	return true;
}

/* The switch is past its point of no return, so a race is not the guest's to repeat. */
static bool load_segment(struct task_switch *ts, enum segment seg, u16 selector)
{
	ts->loading.segment = seg;
	ts->loading.selector = selector;
	return persist(ts, try_load_segment);
}

/* The order is model-specific; here it is that of the table, each segment at its first mention. */
static bool load_segments(struct task_switch *ts)
{
	static const enum segment order[] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};
	const struct task_state *state = &ts->state;
	const bool virtual_8086 = state->eflags & RFLAGS_VM;
	const u32 cpl = virtual_8086 ? 3 : state->segment[SEG_CS].selector & 3;

	forget_segments(ts, cpl);
	ts->loading.cpl = cpl;
	if (virtual_8086) {
		for (u32 i = 0; i < SEGMENTS; i++) {
			const u16 selector = state->segment[i].selector;

			vmcs_write_segment(i, selector, segment_virtual_8086(selector));
		}
		return load_segment(ts, SEG_LDTR, state->ldt);
	}
	if (!load_segment(ts, SEG_LDTR, state->ldt))
		return false;
	for (u32 i = 0; i < ARRAY_SIZE(order); i++) {
		if (!load_segment(ts, order[i], state->segment[order[i]].selector))
			return false;
	}
	return true;
}

/* As wide as the new task's TSS; SDM "INT n/INTO/INT3/INT1", TASK-GATE. */
static bool push_error_code(struct task_switch *ts)
{
	const struct segment_descriptor stack = vmcs_read_segment(SEG_SS);
	const u32 mask = stack.access_rights & AR_DB ? UINT32_MAX : UINT16_MAX;
	const u32 size = task_layout(ts->new_tss.access_rights)->width;
	const u32 error_code = vmread32(VMCS_IDT_VECTORING_ERROR_CODE);
	const u32 esp = ts->state.gpr[GPR_RSP];
	const u32 offset = (esp - size) & mask;

	if (!segment_contains(&stack, offset, size))
		return raise(ts, VECTOR_SS, 0);
	if (!guest_linear_write(stack.base + offset, &error_code, size, GUEST_LINEAR_STACK,
				&ts->fault))
		return false;
	vmwriten(VMCS_GUEST_RSP, (esp & ~mask) | offset);
	return true;
}

/* In the context of the new task. */
static bool begin_new_task(struct task_switch *ts)
{
	if (!load_segments(ts))
		return false;
	if ((ts->vectoring & INTR_INFO_ERROR_CODE) && !persist(ts, push_error_code))
		return false;
	return ts->state.eip <= vmread32(VMCS_GUEST_CS_LIMIT) || raise(ts, VECTOR_GP, 0);
}

/* SDM "IRET" and "Handling Multiple NMIs": delivering an NMI blocks others, any IRET ends that. */
static void update_nmi_blocking(const struct task_switch *ts)
{
	if (ts->source == TASK_IRET)
		vmcs_clear32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	else if ((ts->vectoring & INTR_INFO_VALID) &&
		 (ts->vectoring & INTR_INFO_TYPE) == INTR_TYPE_NMI)
		vmcs_set32(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
}

void task_switch_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u64 qualification = vmreadn(VMCS_EXIT_QUALIFICATION);
	struct task_switch ts = {
		.vcpu = vcpu,
		.regs = regs,
		.source = (qualification & TASK_QUALIFICATION_SOURCE) >> 30,
		.new_selector = (u16)(qualification & TASK_QUALIFICATION_SELECTOR),
		.old_selector = vmread16(VMCS_GUEST_TR_SELECTOR),
		.old_tss = vmcs_read_segment(SEG_TR),
	};

	/* There they are #GP or no task switches at all, before any exit. */
	if (!(vmreadn(VMCS_GUEST_CR0) & CR0_PE) || (vmread64(VMCS_GUEST_EFER) & EFER_LMA)) {
		exit_unexpected(vcpu);
		return;
	}
	if (ts.source == TASK_GATE)
		ts.vectoring = vmread32(VMCS_IDT_VECTORING_INFO);
	update_nmi_blocking(&ts);

	if (!check_new_task(&ts) || !check_memory(&ts) || !change_memory(&ts)) {
		guest_fault_inject(&ts.fault);
		return;
	}
	task_load(task_layout(ts.new_tss.access_rights), ts.image, &ts.state);
	if (!load_cr3(&ts)) {
		guest_fault_inject(&ts.fault);
		return;
	}
	load_registers(&ts);
	if (!begin_new_task(&ts))
		guest_fault_inject(&ts.fault);
	else if (ts.state.trap)
		event_inject_debug_trap(DR6_BT);
}
