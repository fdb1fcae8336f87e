/* SPDX-License-Identifier: BSD-2-Clause */
#include "l1.h"

#include <setjmp.h>

#include <x86/cr.h>
#include <x86/msr.h>
#include <x86/vmx.h>

#include "mm/guest_memory.h"
#include "nested/instructions.h"
#include "nested/l2_exit.h"
#include "nested/nested.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "vmx/control_regs.h"
#include "vmx/event.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/guest_linear.h"
#include "vmx/instruction.h"
#include "vmx/msr.h"
#include "vmx/setup.h"
#include "vmx/sleep.h"
#include "vmx/switch.h"

enum {
	VMXON_PAGE = 1, /* of the first CPU; the next ones follow */
	OWN_PAGES = 1024,
	INSTRUCTION_LENGTH = 4,
	CR4_FIXED1 = 0x003f27ff,
};
static const u32 HARDWARE_REVISION = 0x1234;

/* --- What the sources under test call, beside the machine ------------------------------------ */

const u8 switch_vm_exit[1], switch_vm_exit_l2[1];
struct offered_vmx offered_vmx;

static jmp_buf launched;
u32 l1_injected;

void switch_launch(const struct guest_regs *regs)
{
	(void)regs;
	longjmp(launched, 1);
}

void event_inject_exception(enum vector vector, u32 error_code)
{
	(void)error_code;
	l1_injected |= 1u << vector;
}

void event_redeliver(bool nmi_unblocked)
{
	(void)nmi_unblocked;
}

void event_deliver_latched(struct vcpu *vcpu)
{
	REQUIRE(machine_current_vmcs() == vcpu->vmcs01);
}

bool guest_linear_read(u64 linear, void *dst, size_t size, enum guest_linear_as as,
		       struct guest_fault *fault)
{
	(void)as;
	(void)fault;
	guest_memory_read(linear, dst, size);
	return true;
}

bool guest_linear_write(u64 linear, const void *src, size_t size, enum guest_linear_as as,
			struct guest_fault *fault)
{
	(void)as;
	(void)fault;
	guest_memory_write(linear, src, size);
	return true;
}

/* L2 without paging, too: all pages of an access are reached before the first byte is. */
static bool reach(u64 linear, size_t size, enum guest_access_type type,
		  const struct guest_linear_via *via, paddr_t *pa, struct guest_fault *fault)
{
	struct guest_walk walk = {.user = true, .writable = true, .executable = true};
	const u64 last = linear + size - 1;
	paddr_t pa_of_last;

	*pa = *via->linear = walk.pa = linear;
	fault->retry = true;
	if (!via->reach(via->ctx, &walk, type, pa))
		return false;
	if (last / PAGE_SIZE == linear / PAGE_SIZE)
		return true;
	*via->linear = walk.pa = pa_of_last = ALIGN_DOWN(last, PAGE_SIZE);
	if (!via->reach(via->ctx, &walk, type, &pa_of_last))
		return false;
	REQUIRE(pa_of_last == ALIGN_UP(*pa, PAGE_SIZE));
	return true;
}

bool guest_linear_read_via(u64 linear, void *dst, size_t size, const struct guest_linear_via *via,
			   struct guest_fault *fault)
{
	paddr_t pa;

	if (!reach(linear, size, GUEST_READ, via, &pa, fault))
		return false;
	guest_memory_read(pa, dst, size);
	return true;
}

bool guest_linear_write_via(u64 linear, const void *src, size_t size,
			    const struct guest_linear_via *via, struct guest_fault *fault)
{
	paddr_t pa;

	if (!reach(linear, size, GUEST_WRITE, via, &pa, fault))
		return false;
	guest_memory_write(pa, src, size);
	return true;
}

/* SDM "4-Level Paging", of 4 KiB pages alone. */
bool guest_linear_mode(u64 linear, const struct guest_walk_ops *ops, void *ctx, bool *user)
{
	u64 table = vmread_unchecked(VMCS_GUEST_CR3), entry = 0;

	*user = true;
	if (!(vmread_unchecked(VMCS_GUEST_CR0) >> 31 & 1))
		return true;
	for (int shift = 39; shift >= 12; shift -= 9) {
		if (!ops->read(ctx, table + (linear >> shift & 511) * 8, &entry, sizeof(entry)) ||
		    !(entry & 1))
			return false;
		*user = *user && (entry >> 2 & 1);
		table = entry & BITS(51, 12);
	}
	return true;
}

void guest_fault_inject(const struct guest_fault *fault)
{
	(void)fault;
	MACHINE_FAIL("no operand faults here");
}

bool guest_load_pdptes(const struct vcpu *vcpu, u64 cr3)
{
	(void)vcpu;
	(void)cr3;
	return true;
}

u64 guest_cr0(void)
{
	const u64 mask = vmread_unchecked(VMCS_CR0_GUEST_HOST_MASK);

	return (vmread_unchecked(VMCS_GUEST_CR0) & ~mask) |
	       (vmread_unchecked(VMCS_CR0_READ_SHADOW) & mask);
}

void guest_set_cr0_shadow(struct vcpu *vcpu, u64 value)
{
	(void)vcpu;
	vmwrite(VMCS_CR0_READ_SHADOW, value);
}

void guest_set_cr0(struct vcpu *vcpu, u64 value)
{
	vmwrite(VMCS_GUEST_CR0, cr0_hardware_value(&vcpu->vmx, value));
	vmwrite(VMCS_CR0_READ_SHADOW, value);
}

void guest_set_cr4(struct vcpu *vcpu, u64 value)
{
	vmwrite(VMCS_GUEST_CR4, cr4_hardware_value(&vcpu->vmx, value));
	vmwrite(VMCS_CR4_READ_SHADOW, value);
}

void vmx_set_host_state(const struct vcpu *vcpu, u64 rip)
{
	(void)vcpu;
	vmwrite(VMCS_HOST_RIP, rip);
}

bool msr_guest_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	(void)vcpu;
	(void)msr;
	(void)value;
	MACHINE_FAIL("the MSR lists are empty");
}

bool msr_guest_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)vcpu;
	(void)msr;
	(void)value;
	MACHINE_FAIL("the MSR lists are empty");
}

u64 msr_bitmap_word(u32 index)
{
	(void)index;
	return 0;
}

/* SDM "Loading MSRs". */
u32 msr_list_rules(u32 msr)
{
	return msr == MSR_IA32_FS_BASE ? MSR_LIST_NO_LOAD : 0;
}

bool msr_list_may_load(const struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)vcpu;
	(void)msr;
	(void)value;
	return true;
}

static void unexpected_exit(void)
{
	MACHINE_FAIL("an exit for L0 that the test did not make");
}

u32 l1_watched_port, l1_io_exits;

bool sleep_io_bitmaps(paddr_t bitmap[2])
{
	bitmap[0] = L1_WATCH_BITMAPS;
	bitmap[1] = L1_WATCH_BITMAPS + PAGE_SIZE;
	return l1_watched_port;
}

void sleep_watch_ports(u8 *bitmaps)
{
	if (l1_watched_port)
		bitmaps[l1_watched_port / 8] |= (u8)(1u << l1_watched_port % 8);
}

void io_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	l1_io_exits++;
}

void rdmsr_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	unexpected_exit();
}

void wrmsr_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	unexpected_exit();
}

void rdmsr_imm_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	unexpected_exit();
}

void wrmsrns_imm_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	unexpected_exit();
}

void ept_misconfig_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	unexpected_exit();
}

bool exit_reason_is_known(u32 reason)
{
	return reason < REASON_COUNT;
}

/* As vmx/exit.c has it. */
void exit_unexpected(struct vcpu *vcpu)
{
	(void)vcpu;
	l1_injected |= 1u << VECTOR_UD;
}

void ept_violation(struct vcpu *vcpu, u64 qualification)
{
	(void)vcpu;
	(void)qualification;
	unexpected_exit();
}

void ept_refuse_hidden_write(struct vcpu *vcpu, paddr_t gpa, u64 qualification)
{
	(void)vcpu;
	(void)gpa;
	(void)qualification;
	unexpected_exit();
}

void init_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	(void)vcpu;
	(void)regs;
	unexpected_exit();
}

void unblock_nmis(void)
{
}

u64 read_cr2(void)
{
	return 0;
}

u64 rdmsr(u32 msr)
{
	(void)msr;
	MACHINE_FAIL("no MSR is switched");
}

u32 l1_barriers;

bool wrmsr_safe(u32 msr, u64 value)
{
	if (msr != MSR_IA32_PRED_CMD || value != 1)
		MACHINE_FAIL("no MSR is switched");
	l1_barriers++;
	return true;
}

bool rdmsr_safe(u32 msr, u64 *value)
{
	(void)msr;
	(void)value;
	MACHINE_FAIL("no MSR is in a list");
}

u64 read_cr0(void)
{
	return CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
}

/* --- L1 executes an instruction -------------------------------------------------------------- */

struct vcpu *l1_cpu;
struct guest_regs l1_regs;
u32 l1_interruptibility;
struct rng l1_rng;
static const u64 outcome_flags =
	RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF;

void l1_on(int index)
{
	l1_cpu = machine_cpu((u32)index);
	machine_run_on(l1_cpu);
}

/* An instruction that exited, from L1, and what became of it. */
enum outcome l1_execute(u32 reason, u32 info)
{
	const u64 rip = rng_next(&l1_rng) & BITS(30, 0);

	REQUIRE(machine_current_vmcs() == l1_cpu->vmcs01);
	machine_set_field(VMCS_GUEST_RIP, rip);
	machine_set_field(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | (rng_next(&l1_rng) & outcome_flags));
	machine_set_field(VMCS_GUEST_INTERRUPTIBILITY, l1_interruptibility);
	machine_set_field(VMCS_EXIT_REASON, reason);
	machine_set_field(VMCS_EXIT_QUALIFICATION, L1_OPERAND);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_INFO, info);
	machine_set_field(VMCS_VM_EXIT_INSTRUCTION_LENGTH, INSTRUCTION_LENGTH);
	l1_injected = 0;
	l1_cpu->exit_reason = reason;
	l1_cpu->regs = &l1_regs;
	if (setjmp(launched)) {
		machine_enter(true);
		return ENTERED;
	}
	nested_instruction_exit(l1_cpu, &l1_regs);
	machine_enter(false);
	if (machine_current_vmcs() != l1_cpu->vmcs01)
		return ENTERED;
	if (l1_injected) {
		REQUIRE(vmread_unchecked(VMCS_GUEST_RIP) == rip);
		return FAULT;
	}
	/* An entry that failed after the checks of the instruction has loaded L1's host state. */
	if (vmread_unchecked(VMCS_GUEST_RIP) != rip + INSTRUCTION_LENGTH)
		return ENTERED;
	switch (vmread_unchecked(VMCS_GUEST_RFLAGS) & outcome_flags) {
	case 0:
		return SUCCEED;
	case RFLAGS_CF:
		return FAIL_INVALID;
	case RFLAGS_ZF:
		return FAIL_VALID;
	default:
		MACHINE_FAIL("flags %#llx",
			     (unsigned long long)vmread_unchecked(VMCS_GUEST_RFLAGS));
	}
}

enum outcome l1_with_address(u32 reason, u64 address)
{
	guest_memory_write(L1_OPERAND, &address, sizeof(address));
	return l1_execute(reason, L1_INFO_MEMORY);
}

static enum outcome of_access(enum machine_access access)
{
	switch (access) {
	case ACCESS_DONE:
		return SUCCEED;
	case ACCESS_FAIL_INVALID:
		return FAIL_INVALID;
	default:
		return FAIL_VALID;
	}
}

enum outcome l1_vmread(u64 encoding, u64 *value)
{
	const enum machine_access access = machine_vmread_nonroot(encoding, value);
	enum outcome outcome;

	if (access != ACCESS_EXITS)
		return of_access(access);
	l1_regs.rcx = encoding;
	l1_regs.rax = ~0ull;
	outcome = l1_execute(REASON_VMREAD, L1_INFO_RAX_RCX);
	*value = l1_regs.rax;
	return outcome;
}

enum outcome l1_vmwrite(u64 encoding, u64 value)
{
	const enum machine_access access = machine_vmwrite_nonroot(encoding, value);

	if (access != ACCESS_EXITS)
		return of_access(access);
	l1_regs.rcx = encoding;
	l1_regs.rax = value;
	return l1_execute(REASON_VMWRITE, L1_INFO_RAX_RCX);
}

paddr_t l1_vmxon_region(void)
{
	return (paddr_t)(VMXON_PAGE + l1_cpu->cpu.index) * PAGE_SIZE;
}

void l1_make_region(paddr_t region)
{
	const u32 revision = VMCS12_REVISION;

	guest_memory_write(region, &revision, sizeof(revision));
}

static void make_l1(void)
{
	nested_init_cpu(l1_cpu);
	l1_make_region(l1_vmxon_region());
	vmwrite(VMCS_VPID, 1);
	vmwrite(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	vmwrite(VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa09b);
	vmwrite(VMCS_GUEST_DS_ACCESS_RIGHTS, 0xc093);
	vmwrite(VMCS_GUEST_SS_ACCESS_RIGHTS, 0xc093);
	vmwrite(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG);
	vmwrite(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
	vmwrite(VMCS_CR4_READ_SHADOW, CR4_VMXE | CR4_PAE);
	vmwrite(VMCS_PRIMARY_CONTROLS, CPU_SECONDARY_CONTROLS);
}

void l1_start(u32 count, u64 guest_pages, bool shadow, bool vmwrite_ro)
{
	const struct vmx_capabilities hardware = {
		.has_vmx = true,
		.basic = HARDWARE_REVISION | VMX_BASIC_INS_OUTS | VMX_BASIC_TRUE_CTLS,
		.pin = BITS(63, 32) | 0x16,
		.primary = BITS(63, 32) | 0x04006172,
		.secondary = BITS(63, 32),
		.exit = BITS(63, 32) | 0x36dfb,
		.entry = BITS(63, 32) | 0x11fb,
		.tertiary = BITS(63, 32),
		.exit2 = BITS(63, 32),
		.misc = VMX_MISC_ZERO_LEN_INJECT | 4 << 16 | (vmwrite_ro ? VMX_MISC_VMWRITE_RO : 0),
		.ept_vpid = ~0ull,
		.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG,
		.cr0_fixed1 = BITS(31, 0),
		.cr4_fixed0 = CR4_VMXE,
		.cr4_fixed1 = CR4_FIXED1,
	};

	machine_memory_init(guest_pages, OWN_PAGES);
	machine_vmx_init(count, &hardware);
	l1_interruptibility = 0;
	l1_on(0);
	shadow_on = false;
	shadow_fields = (struct field_set){0};
	nested_init_shared(shadow, 0);
	for (u32 i = 0; i < count; i++) {
		l1_on((int)i);
		make_l1();
	}
	l1_on(0);
}
