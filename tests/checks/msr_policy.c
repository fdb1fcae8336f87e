/* SPDX-License-Identifier: BSD-2-Clause */
/* docs/msr-policy.md, from the table in vmx/msr_table.c. */
#include "machine.h"
#include "page.h"
#include "vmx/msr_table.h"

static const char *const read_text[MSR_READ_COUNT] = {
	[MSR_READ_CPU] = "",
	[MSR_READ_NEVER] = "#GP",
	[MSR_READ_FEATURE_CONTROL] = "locked, without SMX",
	[MSR_READ_CORE_CAPABILITIES] = "without RAR and tests",
	[MSR_READ_ARCH_CAPABILITIES] = "with SKIP_L1DFL_VMENTRY",
	[MSR_READ_MISC_ENABLE] = "without PEBS",
	[MSR_READ_MTRR] = "the guest's own",
	[MSR_READ_OFFERED] = "what Umbra offers",
};

static const char *const write_text[MSR_WRITE_COUNT] = {
	[MSR_WRITE_CPU] = "",
	[MSR_WRITE_NEVER] = "#GP",
	[MSR_WRITE_IGNORED] = "ignored, counted",
	[MSR_WRITE_ZERO] = "#GP unless 0",
	[MSR_WRITE_LOW_HALF] = "#GP unless bits 63:32 are 0",
	[MSR_WRITE_APIC_BASE] = "#GP over Umbra's memory",
	[MSR_WRITE_MISC_ENABLE] = "XD bit disable is kept for the guest",
	[MSR_WRITE_MTRR] = "the guest's own",
	[MSR_WRITE_XSS] = "#GP with a hidden component",
};

/* What the hardware may load at a VM entry, if it is not what WRMSR takes. */
static const char *const entry_text[MSR_WRITE_COUNT] = {
	[MSR_WRITE_NEVER] = "the entry fails",
	[MSR_WRITE_IGNORED] = "the entry fails",
	[MSR_WRITE_APIC_BASE] = "fails unless it is the CPU's value",
	[MSR_WRITE_MISC_ENABLE] = "fails unless it is the CPU's value",
	[MSR_WRITE_MTRR] = "fails unless it is the CPU's value",
};

static const char *const condition_text[MSR_CONDITION_COUNT] = {
	[MSR_ALWAYS] = "",
	[MSR_IF_PT_HIDDEN] =
		"if the CPU cannot switch Intel PT with the guest, and with nested VMX",
	[MSR_IF_LBR_RUNS_ON] = "if the CPU cannot load and clear it at entries and exits",
	[MSR_IF_HYPERVISOR_HIDDEN] = "unless the guest is shown the hypervisor below",
	[MSR_IF_L1D_FLUSHED] = "if the CPU is affected by L1TF",
};

static void print_numbers(FILE *out, const struct msr_policy *row)
{
	if (row->first == row->last)
		fprintf(out, "%XH", row->first);
	else if (row->stride)
		fprintf(out, "%XH, %XH … %XH", row->first, row->first + row->stride, row->last);
	else
		fprintf(out, "%XH–%XH", row->first, row->last);
}

static void print_lists(FILE *out, const struct msr_policy *row)
{
	const char *entry = entry_text[row->write];

	if (row->list & MSR_LIST_STORED_BY_CPU)
		fputs("stored by the CPU, as of the exit", out);
	else if ((row->list & MSR_LIST_NO_LOAD) && (row->list & MSR_LIST_NO_STORE))
		fputs("never loaded, never stored", out);
	else if (row->list & MSR_LIST_NO_LOAD)
		fputs("never loaded", out);
	else if (entry)
		fputs(entry, out);
}

static const char *l2_text(const struct msr_policy *row)
{
	if (row->read != MSR_READ_CPU && row->write != MSR_WRITE_CPU)
		return "R W";
	if (row->read != MSR_READ_CPU)
		return "R";
	return row->write != MSR_WRITE_CPU ? "W" : "";
}

static void print_row(FILE *out, const struct msr_policy *row)
{
	if (!read_text[row->read] || !write_text[row->write] || !condition_text[row->condition])
		MACHINE_FAIL("msr_policy.c has no text for %s", row->name);
	fputs("| ", out);
	print_numbers(out, row);
	fprintf(out, " | %s%s%s%s | %s%s | %s | ", row->name[0] == '(' ? "" : "`", row->name,
		row->name[0] == '(' ? "" : "`", row->clear ? " †" : "", read_text[row->read],
		row->field ? " ‡" : "", write_text[row->write]);
	print_lists(out, row);
	fprintf(out, " | %s | %s", l2_text(row), row->why);
	if (row->condition)
		fprintf(out, " (*%s*)", condition_text[row->condition]);
	fputs(" |\n", out);
}

static void print_all(FILE *out)
{
	fprintf(out,
		"# MSR policy\n\n"
		"What becomes of the guest's MSRs. Generated from `src/vmx/msr_table.c` by\n"
		"`ninja docs`; do not edit.\n\n"
		"**An MSR without a row here is the CPU's**: RDMSR and WRMSR reach it without an\n"
		"exit. The table has every MSR that\n\n"
		"- holds an address which the CPU, or the package, writes to by itself, or by "
		"which\n"
		"  it takes memory away from software,\n"
		"- lets something run on while Umbra runs: traces, branch records, counters,\n"
		"- the VMCS switches between Umbra and the guest,\n"
		"- belongs to a feature that Umbra hides.\n\n"
		"It was made complete against the tables of SDM volume 4 (order number 335592): "
		"the\n"
		"architectural MSRs of Table 2-2, and of the model-specific ones those whose names "
		"or\n"
		"descriptions tell of an address, in the edition whose tables run to 2-69, with "
		"Xeon 6\n"
		"in 2-56 and 2-57 and Core Ultra Series 2 up to 2-60. Another edition has to be\n"
		"compared anew. Numbers and names of the architectural ones agree with Linux's\n"
		"(`msr-index.h`) and with published lists of Table 2-2. Uncore counters have no "
		"rows: they are the package's and write\n"
		"nothing but themselves.\n\n"
		"An empty cell: as on the bare CPU. *Lists* are the MSR lists of L1's VM entries "
		"and\n"
		"exits; what they load has to pass *WRMSR* as well. *Bitmap* tells what vmcs01's "
		"MSR\n"
		"bitmap intercepts, and with it, whatever L1's own has, that of L2. †: cleared on\n"
		"each CPU before the guest starts. ‡: its value is in the VMCS while the guest "
		"is out\n"
		"(if it takes an entry control, where the CPU has that): no exit. Values for the "
		"VMCS are judged by CPUID\n"
		"(`src/vmx/msr_bits.c`); none is written to the CPU to see whether it is taken.\n\n"
		"IA32_XSS cannot hold the bit of a hidden component, by WRMSR, by a list or from\n"
		"before Umbra, so XRSTORS of one is #GP, and neither vmcs01 nor vmcs02 needs "
		"exits\n"
		"for XSAVES and XRSTORS: L2 has those that L1 asks for.\n\n"
		"| MSR | name | RDMSR | WRMSR | lists | bitmap | why |\n"
		"|---|---|---|---|---|---|---|\n");
	for (u32 i = 0; i < msr_table_rows; i++)
		print_row(out, &msr_table[i]);
}

int main(int argc, char **argv)
{
	return page_main(argc, argv, print_all);
}
