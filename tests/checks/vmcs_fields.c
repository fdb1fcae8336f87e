/* SPDX-License-Identifier: BSD-2-Clause */
/* docs/vmcs-fields.md, from the table in nested/fields.h. */
#include <string.h>

#include "machine.h"
#include "nested/state.h"
#include "page.h"

struct nested_caps nested_caps;

static const char *const needs_text[NEEDS_COUNT] = {
	[NEEDS_NOTHING] = "",
	[NEEDS_VPID] = "enable VPID",
	[NEEDS_POSTED_INTR] = "process posted interrupts",
	[NEEDS_VIRTUAL_INTR] = "virtual-interrupt delivery",
	[NEEDS_TPR_SHADOW] = "use TPR shadow",
	[NEEDS_APIC_ACCESS] = "virtualize APIC accesses",
	[NEEDS_EPT] = "enable EPT",
	[NEEDS_MSR_BITMAP] = "use MSR bitmaps",
	[NEEDS_XSAVES] = "enable XSAVES/XRSTORS",
	[NEEDS_TSC_SCALING] = "use TSC scaling",
	[NEEDS_PLE] = "PAUSE-loop exiting",
	[NEEDS_PREEMPTION_TIMER] = "activate VMX-preemption timer",
	[NEEDS_BNDCFGS] = "load IA32_BNDCFGS",
	[NEEDS_SHADOWING] = "VMCS shadowing",
	[NEEDS_PML] = "enable PML",
	[NEEDS_VM_FUNCTIONS] = "enable VM functions",
	[NEEDS_EPT_VIOLATION_VE] = "EPT-violation #VE",
	[NEEDS_CET] = "load CET state",
	[NEEDS_PKRS] = "load PKRS",
	[NEEDS_LBR] = "load guest IA32_LBR_CTL",
	[NEEDS_PERF_GLOBAL_CTRL] = "load IA32_PERF_GLOBAL_CTRL",
	[NEEDS_CR3_TARGET0] = "1 CR3-target value",
	[NEEDS_CR3_TARGET1] = "2 CR3-target values",
	[NEEDS_CR3_TARGET2] = "3 CR3-target values",
	[NEEDS_CR3_TARGET3] = "4 CR3-target values",
};

static const char *const policy_text[] = {
	[POLICY_GUEST] = "copied both ways",
	[POLICY_COPY] = "copied",
	[POLICY_ADDRESS] = "copied, if not Umbra's memory",
	[POLICY_MERGE] = "computed",
	[POLICY_EXIT] = "copied back",
	[POLICY_SOFT] = "Umbra's own",
};

static const char *const width_text[] = {
	[VMCS_WIDTH_16] = "16",
	[VMCS_WIDTH_32] = "32",
	[VMCS_WIDTH_64] = "64",
	[VMCS_WIDTH_NATURAL] = "natural",
};

static const struct {
	enum vmcs_type type;
	const char *title;
} sections[] = {
	{VMCS_TYPE_GUEST, "Guest state"},
	{VMCS_TYPE_CONTROL, "Controls"},
	{VMCS_TYPE_HOST, "Host state"},
	{VMCS_TYPE_READ_ONLY, "Exit information"},
};

static int by_encoding(const void *a, const void *b)
{
	const u32 x = field_info[*(const u8 *)a].encoding;
	const u32 y = field_info[*(const u8 *)b].encoding;

	return (x > y) - (x < y);
}

static void print_field(FILE *out, enum vmcs12_field f)
{
	const struct field_info *info = &field_info[f];
	const char *needs = needs_text[info->needs];

	if (!needs)
		MACHINE_FAIL("vmcs_fields.c has no text for what %s needs", info->name);
	fprintf(out, "| %04x | `%s` | %s | %s | %s | %s |\n", info->encoding, info->name,
		width_text[info->width], policy_text[info->policy], needs,
		field_set_has(&shadow_fields, f) ? "yes" : "");
}

static void print_all(FILE *out)
{
	u8 order[F_COUNT];

	for (u32 f = 0; f < F_COUNT; f++)
		order[f] = (u8)f;
	qsort(order, F_COUNT, sizeof(order[0]), by_encoding);
	fprintf(out,
		"# VMCS fields\n\n"
		"Every field that L1 can have in vmcs12: %d of them. Generated from\n"
		"`src/nested/fields.h` by `ninja docs`; do not edit.\n\n"
		"*vmcs02* tells how the VMCS that L2 runs on gets the field, or gives it.\n"
		"*Needs* names the VM-execution, entry or exit control without which the field\n"
		"does not exist for L1. *Shadowed* fields are read and written by L1 without an\n"
		"exit if the CPU has VMCS shadowing.\n",
		F_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		fprintf(out,
			"\n## %s\n\n"
			"| encoding | field | width | vmcs02 | needs | shadowed |\n"
			"|---|---|---|---|---|---|\n",
			sections[i].title);
		for (u32 n = 0; n < F_COUNT; n++) {
			if (field_info[order[n]].type == sections[i].type)
				print_field(out, (enum vmcs12_field)order[n]);
		}
	}
}

/* Which fields are shadowed is for shadow.c to say, on a CPU that has everything. */
static void find_shadowed(void)
{
	const struct vmx_capabilities vmx = {
		.basic = 1, .secondary = ~0ull, .misc = VMX_MISC_VMWRITE_RO};

	machine_memory_init(1, 8);
	machine_vmx_init(1, &vmx);
	memset(nested_caps.has_field, true, sizeof(nested_caps.has_field));
	shadow_init(machine_cpu(0), true);
	REQUIRE(shadow_on);
}

int main(int argc, char **argv)
{
	find_shadowed();
	return page_main(argc, argv, print_all);
}
