/* SPDX-License-Identifier: BSD-2-Clause */
/* A CPU's nested VMX: what L1 has switched on, the VMCSs it uses, and the map L2 runs on. */
#pragma once

#include "nested/caps.h"
#include "nested/ept02.h"
#include "nested/operand.h"
#include "nested/vmcs12.h"
#include "vmx/vcpu.h"

enum {
	VMCS12_CACHE_SIZE = 8,
	VPID02_COUNT = 64,
};

static const paddr_t NO_VMCS = ~0ull;

enum { MSR_BITMAP02_WORDS = 64 };

/* The MSR bitmap of a vmcs02: see msr_bitmap.c. */
struct msr_bitmap02 {
	u64 *page;
	u32 count; /* of words that hold L1's bits */
	u32 next;
	u16 index[MSR_BITMAP02_WORDS];
};

enum { SWITCHED_COUNT = 10 };

/* Values of the registers of switched.c, and what L1's controls do with each: a bit a register. */
struct switched {
	u64 value[SWITCHED_COUNT];
};

/* Which of them a CPU has, a bit for each, and the controls of vmcs02 for these. */
struct switched_set {
	u32 present;
	u64 entry_controls, exit_controls;
};

struct switched_plan {
	u32 present;
	u32 entry_loads;
	u32 exit_loads;
	u32 saves;
	bool rare_entry; /* an MSR list or IA32_PERF_GLOBAL_CTRL */
	bool rare_exit;  /* the same, or a barrier on this CPU */
};

/*
 * A cached vmcs12 and the vmcs02 made of it. L1's page is out of date while its VMCS is here, as it
 * may be on hardware; write-back happens at VMCLEAR, VMXOFF and eviction.
 */
struct nested_vmcs {
	paddr_t gpa; /* of L1's VMCS region, or NO_VMCS */
	u64 last_use;
	struct vmcs12 *vmcs12; /* a page */
	struct msr_bitmap02 msr_bitmap;
	paddr_t vmcs02;
	bool vmcs02_prepared; /* its constant fields are set */
	bool vmcs02_launched;
	bool checked;         /* controls and host state, since the last change of either … */
	bool checked_ia32e;   /* … by an L1 with this EFER.LMA */
	bool controls_merged; /* vmcs02 has them, and plan is made of them */
	bool keep_timer; /* L1 has not asked for the preemption timer's value to be saved … */
	u32 timer;       /* … so this one stays */
	u32 entry_msrs;  /* how many MSRs the next entry loads from the CPU's copy of L1's list */
	u32 exit_msrs;   /* and how many the hardware stores at each exit */
	struct switched_plan plan;
	u64 efer02, eptp02; /* what vmcs02 has of these, once prepared */
	u16 vpid02;
	u64 l1_perf_global_ctrl; /* at the entry, where that loads another */
	struct field_set dirty;  /* L1's value has not reached vmcs02 */
	struct field_set stale;  /* vmcs02 has a newer value than vmcs12; shadowed fields always */
};

/*
 * An exit that Umbra asks of L2, to hand over an NMI, INIT or machine check where it is due; see
 * nested_event_waits().
 */
enum asked_exit {
	ASKED_NOTHING,
	ASKED_NMI_WINDOW,
	ASKED_IMMEDIATE, /* by the preemption timer */
	ASKED_LOAN_END,  /* by the same, later: other CPUs may need the loan of tables */
};

struct nested {
	bool vmx_on;
	paddr_t vmxon_region;
	struct nested_vmcs *current; /* NULL: the current-VMCS pointer is invalid */
	enum asked_exit
		asked_exit; /* what vmcs02 has beside L1's controls, for an event that waits */
	bool undo;          /* at the exit to L1: the above, or ept02's loan */
	bool unblocked_to_inject; /* … with the NMI window: L2's blocking, taken away */
	u32 timer;                /* … with the immediate exit: the preemption timer's value */
	u32 l1_interruptibility;  /* at its last VMLAUNCH or VMRESUME */
	u64 clock;
	struct nested_vmcs cache[VMCS12_CACHE_SIZE];
	u16 vpid12[VPID02_COUNT]; /* by vpid02 - VPID02_FIRST; 0: free */
	struct switched_set switched;
	struct ept02 ept02;
	/* The EPT violation that L1 is handling; its next entry probably repeats the access. */
	struct {
		bool pending;
		paddr_t gpa;
		u64 eptp12;
	} violation;
	/* L1's fields for event injection, kept when Umbra injects into L2 itself. */
	struct {
		bool kept;
		u32 info;
		u32 error_code;
		u32 length;
	} entry_event;
	u8 *io_bitmaps;               /* two pages, for the vmcs02 that L2 runs on */
	struct msr_entry *entry_msrs; /* MSR_LIST_MAX of them: a copy for the hardware to load */
	struct msr_entry *exit_msrs;  /* as many, which it stores */
};

extern struct nested_caps nested_caps;

/* nested.c: L2 runs from now on, or L1. */
void nested_set_l2(struct vcpu *vcpu, bool runs);

/* nested.c: for L1's VMXON and VMXOFF. */
void nested_set_vmx_operation(struct vcpu *vcpu, bool on);

/* The exits of L1 for VMX instructions (instructions.c), and all of L2 (exit.c, from switch_l2.S).
 */
void nested_instruction_exit(struct vcpu *vcpu, struct guest_regs *regs);
void nested_exit_handle(struct guest_regs *regs);

/* reflect.c: an entry of L1 failed on guest state. Returns if that is not L1's own doing. */
void nested_l1_entry_failed(struct vcpu *vcpu);
extern const u8 switch_vm_exit_l2[]; /* host RIP of every VM exit from L2 */

/* The hooks for L2: see vmx/guest_level.h. */
bool nested_take_exception(struct vcpu *vcpu, u32 info, u32 error_code);
void nested_event_waits(struct vcpu *vcpu);
bool nested_take_machine_check(struct vcpu *vcpu);
void nested_triple_fault(struct vcpu *vcpu);
void nested_entry_refused(struct vcpu *vcpu);
void nested_keep_entry_event(struct vcpu *vcpu);

/*
 * shadow.c: with VMCS shadowing, vmcs02 itself is the shadow VMCS while L1 runs. L1's VMREADs and
 * VMWRITEs of the fields below go straight to it: there is nothing to copy, at the price of two
 * VMCLEARs and a VMLAUNCH for each visit of L2 (a VMCS that is a shadow cannot be entered).
 */
extern bool shadow_on;
extern struct field_set shadow_fields; /* those for which vmcs12 and vmcs02 are the same thing */

/* events.c: vmcs02, which is current, gets L1's controls back. */
void nested_cancel_asked_exit(struct vcpu *vcpu);

/* events.c: L2 may hold the loan of tables, or wait for it, for so long if it makes no exit. */
void nested_limit_loan(struct vcpu *vcpu);

/* events.c: L2 is left, and everything borrowed or asked for with it. vmcs02 is current. */
void nested_undo(struct vcpu *vcpu);

/* events.c: the exit that is asked for by `exit`. False: it is L1's. */
bool nested_take_asked_exit(struct vcpu *vcpu, enum asked_exit exit);

/* events.c: puts back what nested_keep_entry_event() kept. vmcs02 is current. */
void nested_restore_entry_event(struct vcpu *vcpu);

/* Once. */
void shadow_init(bool wanted);

/* Whether shadowing is used and for which fields, by what all CPUs can do and nested_caps offers.
 */
void shadow_decide(const struct vmx_capabilities *vmx);

/* For L1's VMXON and VMXOFF: vmcs01's controls. */
void shadow_start(void);
void shadow_stop(void);

/* A new vmcs02 gets L1's values of the shadowed fields. vmcs01 is current before and after. */
void shadow_fill(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* The VMCS that L1's VMREAD and VMWRITE mean from now on: NULL for none. vmcs01 is current. */
void shadow_link(const struct nested_vmcs *vmcs);

/* Makes vmcs02 one to enter, and current. */
void shadow_to_vmcs02(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* And back: vmcs01 is current, vmcs02 L1's shadow. */
void shadow_to_vmcs01(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* io_bitmap.c: the control for I/O bitmaps that vmcs02, which is current, has beside L1's. */
u64 io_bitmap02_controls(struct vcpu *vcpu, const struct vmcs12 *v);

/* Before each entry of an L1 that uses I/O bitmaps: its own bits as they are now. */
void io_bitmap02_merge(struct vcpu *vcpu, const struct vmcs12 *v);

/* Whether L1 has asked for the exit of an access to these ports. */
bool io_bitmap02_exit_is_l1s(const struct vmcs12 *v, u16 port, u32 size);

/* cache.c: */

/* The cached VMCS at this address, or NULL. */
struct nested_vmcs *vmcs12_find(struct nested *nested, paddr_t gpa);

/* Brings it into the cache, where the least recently used one makes room; its revision was checked.
 */
struct nested_vmcs *vmcs12_load(struct vcpu *vcpu, paddr_t gpa);

/* Writes it back to L1's page and forgets it. vmcs01 is current before and after. */
void vmcs12_evict(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* Fetches what vmcs02 has newer. vmcs01 is current before and after. */
void vmcs12_sync(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* VMREAD and VMWRITE as L1 sees them. */
u64 vmcs12_read(struct vcpu *vcpu, struct nested_vmcs *vmcs, enum vmcs12_field field);
void vmcs12_write(struct nested_vmcs *vmcs, enum vmcs12_field field, u64 value);

/* entry.c: VMLAUNCH and VMRESUME after the checks on the instruction itself. */
void nested_enter(struct vcpu *vcpu, struct guest_regs *regs);

/* reflect.c: */

/* Ends L2 with what vmcs02 says about the exit; L1 goes on at its host RIP. */
void nested_reflect(struct vcpu *vcpu);

/* The same in two steps, between which exit information may be replaced. */
void nested_record_exit(struct vcpu *vcpu);
void nested_set_exit_field(struct nested_vmcs *vmcs, enum vmcs12_field field, u64 value);
void nested_leave(struct vcpu *vcpu);

/*
 * events.c: the qualification of L2's EPT violation, with bit 12 only where that means something:
 * SDM "Exit Qualification for EPT Violations".
 */
u64 ept_qualification(void);

/* instructions.c: the end of an instruction, of L1 or L2: with this flag alone; without; with CF.
 */
void nested_finish(u64 flag);
void nested_succeed(void);
void nested_fail_invalid(void);

/* The operands of the VMX instruction that exited. */
struct operand operand_of_exit(struct guest_regs *regs);
u64 operand_register(const struct guest_regs *regs, const struct operand *operand, u8 reg);

/* The one in memory. False: the fault has been raised. */
bool operand_read(const struct operand *operand, void *dst, u32 size);
bool operand_write(const struct operand *operand, const void *src, u32 size);

/* The same for L2 with EPT of L1's, by linear address; l2_operand.c. */
bool l2_operand_read(struct vcpu *vcpu, u64 linear, void *dst, u32 size);
bool l2_operand_write(struct vcpu *vcpu, u64 linear, const void *src, u32 size);

/* access.c */
enum l2_access {
	L2_ACCESS_IS_L1S,  /* an exit */
	L2_ACCESS_DONE,    /* or failed, with its flags */
	L2_ACCESS_FAULTED, /* and that is under way, to L2 or L1 */
};
void vmread_of_l1(struct vcpu *vcpu, struct guest_regs *regs);
void vmwrite_of_l1(struct vcpu *vcpu, struct guest_regs *regs);
enum l2_access vmread_of_l2(struct vcpu *vcpu, struct guest_regs *regs);
enum l2_access vmwrite_of_l2(struct vcpu *vcpu, struct guest_regs *regs);

/*
 * exit.c: an access of L2's memory. First, whether it may be made, by ept12's leave and with its
 * flags and its log: everything of the fault but gpa, access and the two about Umbra is filled in.
 * Then what follows from that: L1's exit, a #VE, or L2 tries again.
 */
bool nested_l2_uses_ept(const struct vmcs12 *v);
enum ept02_result nested_ept_fault(struct vcpu *vcpu, struct ept02_fault *fault);
void nested_ept_fault_done(struct vcpu *vcpu, const struct ept02_fault *fault,
			   enum ept02_result result, u64 qualification);

/* VMfail with this error, by the book; then on to the next instruction. */
void nested_vmfail(struct vcpu *vcpu, enum vm_instruction_error error);

/* The same for an event that Umbra noticed itself: no exit information but these. */
void nested_reflect_event(struct vcpu *vcpu, u32 reason, u64 qualification, u32 intr_info);

/* A VM entry that failed before L2 ran: reasons 33 and 34. vmcs02 is current. */
void nested_entry_failed(struct vcpu *vcpu, u32 reason, u64 qualification);

/* A VMX abort with this indicator. */
_Noreturn void nested_abort(struct vcpu *vcpu, u32 indicator, const char *why);

/* switched.c: registers that entries and exits load or not, by controls. */

/* What this CPU has. */
void switched_init(const struct vmx_capabilities *vmx, struct switched_set *out);

/* What L1's controls come to. */
void switched_plan(const struct switched_set *set, const struct vmcs12 *v,
		   struct switched_plan *plan);

/* What L2 takes over from L1, while vmcs01 is current; and then L2's registers, into vmcs02. */
void switched_read_l1(const struct switched_plan *plan, struct switched *out);
void switched_enter(struct nested_vmcs *vmcs, const struct switched *l1);

/* What an exit saves: vmcs02 has it. */
void switched_save(struct nested_vmcs *vmcs);

/* What L1 takes over from the current VMCS; and then L1's registers, into vmcs01. */
void switched_read_kept(const struct switched_plan *plan, struct switched *out);
void switched_leave(const struct nested_vmcs *vmcs, const struct switched *kept);

/* IA32_PERF_GLOBAL_CTRL, the same way; and when L2 has not begun. */
void perf_global_ctrl_enter(struct nested_vmcs *vmcs);
void perf_global_ctrl_undo(const struct nested_vmcs *vmcs);
void perf_global_ctrl_save(struct vmcs12 *v);
void perf_global_ctrl_leave(const struct vmcs12 *v);

/* msr_bitmap.c: */
void msr_bitmap02_init(struct msr_bitmap02 *bitmap);

/* For each entry: reads L1's bitmap anew. */
void msr_bitmap02_merge(struct msr_bitmap02 *bitmap, paddr_t bitmap12);

/* Whose an exit of L2 for an MSR is, L1 using a bitmap. */
enum msr_exit_owner {
	MSR_EXIT_L1,
	MSR_EXIT_UMBRA, /* L1 lets it through, Umbra does not */
	MSR_EXIT_AGAIN, /* nobody's: L2 may do it by itself now */
};
enum msr_exit_owner msr_bitmap02_exit(struct msr_bitmap02 *bitmap, paddr_t bitmap12, u32 msr,
				      bool write);

/* msr_list.c: SDM "Miscellaneous Data": longer lists have no defined effect. */
enum { MSR_LIST_MAX = 512, MSR_LIST_PAGES = 2 };

struct msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};
_Static_assert(sizeof(struct msr_entry) == 16, "MSR list entry");
_Static_assert(sizeof(struct msr_entry) * MSR_LIST_MAX == MSR_LIST_PAGES * PAGE_SIZE, "list");

/* The entry's list, copied for the hardware to load. vmcs02 is current. False: it is too long. */
bool msr_list_prepare_entry(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* After an exit: the next entry is Umbra's own, and loads nothing. */
void msr_list_entered(struct nested_vmcs *vmcs);

/*
 * Has the hardware store what runs on and is in L1's exit list: time and other counters have to be
 * as of the exit. vmcs02 is current.
 */
void msr_list_prepare_exit(struct vcpu *vcpu, struct nested_vmcs *vmcs);

/* Until then it stores nothing. */
void msr_list_reset_exit(struct nested_vmcs *vmcs);

/* An exit's lists. False: some entry failed. */
bool msr_list_load(struct vcpu *vcpu, paddr_t list, u64 count);
bool msr_list_store(struct vcpu *vcpu, const struct nested_vmcs *vmcs);

/* vpid.c: */
enum { VPID02_NONE = 2, VPID02_FIRST = 3 };

/* The VPID for L2's use of vpid12 on this CPU, 0 meaning that L1 uses none. */
u16 vpid02_get(struct vcpu *vcpu, u16 vpid12);
void vpid02_flush(struct vcpu *vcpu, u16 vpid12, enum invvpid_type type, u64 linear);
void vpid02_flush_all(struct vcpu *vcpu);
