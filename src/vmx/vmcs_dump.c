/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/vmcs_dump.h"

#include "lib/log.h"
#include "smp/panic.h"
#include "vmx/exit.h"
#include "vmx/vcpu.h"
#include "vmx/vmcs.h"
#include "vmx/vmcs_dump_table.h"

static const struct dump_field {
	u32 field;
	const char *name;
} fields[] = {
#define X(field_, name_) {field_, name_},
	VMCS_DUMPED(X)
#undef X
};

static void dump_vmcs(void)
{
	static const char *const segments[SEG_COUNT] = {"es", "cs", "ss",   "ds",
							"fs", "gs", "ldtr", "tr"};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i += 2) {
		const struct dump_field *a = &fields[i];
		const struct dump_field *b = &fields[i + 1 < ARRAY_SIZE(fields) ? i + 1 : i];

		log_error("  %-24s %16lx  %-24s %16lx", a->name, vmcs_read(a->field), b->name,
			  vmcs_read(b->field));
	}
	for (u32 seg = 0; seg < SEG_COUNT; seg++) {
		const struct segment_descriptor d = vmcs_read_segment(seg);

		log_error("  %-4s selector %04lx base %016lx limit %08x rights %05x", segments[seg],
			  vmcs_read(vmcs_segment_field(VMCS_GUEST_ES_SELECTOR, seg)), d.base,
			  d.limit, d.access_rights);
	}
}

void vmcs_dump_exit(void)
{
	const struct vcpu *vcpu = this_vcpu();

	if (!vcpu->cpu.vmx_on || !vcpu->regs)
		return;
	log_error("the exit being handled on CPU %u: %u (%s)", vcpu->cpu.index,
		  (u32)(vcpu->exit_reason & EXIT_REASON_BASIC),
		  exit_reason_name(vcpu->exit_reason));
	panic_show_registers(vcpu->regs);
	dump_vmcs();
}

_Noreturn void vmcs_access_failed(u32 field, bool write)
{
	panic("%s of VMCS field %#x failed", write ? "VMWRITE" : "VMREAD", field);
}

_Noreturn void vmcs_switch_failed(paddr_t vmcs)
{
	panic("VMPTRLD or VMCLEAR of %#lx failed", vmcs);
}
