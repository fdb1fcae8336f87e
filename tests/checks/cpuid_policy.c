/* SPDX-License-Identifier: BSD-2-Clause */
/* docs/cpuid-policy.md, from the table in vmx/cpuid_table.c. */
#include "machine.h"
#include "page.h"
#include "vmx/cpuid_table.h"

static const char *const register_text[] = {"EAX", "EBX", "ECX", "EDX"};

static void print_verdict(FILE *out, u8 verdict, u8 need, const char *why)
{
	switch (verdict) {
	case CPUID_SHOWN:
		fputs("shown", out);
		break;
	case CPUID_NEEDS:
		fprintf(out, "shown with %s", cpuid_need_text[need]);
		break;
	case CPUID_HIDDEN:
		fputs("**hidden**", out);
		break;
	case CPUID_GUESTS:
		fputs("the guest's", out);
		break;
	default:
		MACHINE_FAIL("verdict %u", verdict);
	}
	if (*why)
		fprintf(out, ": %s", why);
}

static void print_leaf(FILE *out, u32 number, const struct cpuid_leaf *leaf)
{
	static const char *const text[] = {
		[CPUID_LEAF_UNKNOWN] = "**zeros**",
		[CPUID_LEAF_DATA] = "data, shown",
		[CPUID_LEAF_DETAILS] = "data, shown with ",
		[CPUID_LEAF_BITS] = "bits, below",
		[CPUID_LEAF_XSAVE] = "bits and components, below",
	};

	fprintf(out, "| %XH | %s | %s%s |\n", number, leaf->name ? leaf->name : "–",
		text[leaf->kind], cpuid_need_text[leaf->need]);
}

static void print_leaves(FILE *out)
{
	fputs("\n## Leaves\n\n| leaf | what | verdict |\n|---|---|---|\n", out);
	for (u32 i = 0; i < CPUID_BASIC_LEAVES; i++)
		print_leaf(out, i, &cpuid_basic_leaves[i]);
	fputs("| 40000000H–4FFFFFFFH | the hypervisor below | as no leaf at all; shown with option "
	      "`hypervisor=pass` |\n"
	      "| the first free ones of 40000000H, 40000100H … 4000FF00H, and the next | Umbra | "
	      "as no "
	      "leaf at all; with option `hv-leaves=on` a signature and a version, whatever leaf 1 "
	      "says "
	      "(`umbra/interface.h`) |\n",
	      out);
	for (u32 i = 0; i < CPUID_EXTENDED_LEAVES; i++)
		print_leaf(out, CPUID_EXTENDED + i, &cpuid_extended_leaves[i]);
}

static void print_features(FILE *out)
{
	fputs("\n## Feature bits\n\n| bits | feature | verdict |\n|---|---|---|\n", out);
	for (u32 i = 0; i < cpuid_feature_count; i++) {
		const struct cpuid_feature *f = &cpuid_features[i];

		fprintf(out, "| CPUID.%XH", f->leaf);
		if (f->leaf == 7 || f->leaf == 0xd || f->leaf == 0x23)
			fprintf(out, ".%u", f->subleaf);
		fprintf(out, ":%s[%u", register_text[f->reg], f->last);
		if (f->first != f->last)
			fprintf(out, ":%u", f->first);
		fprintf(out, "] | %s | ", f->name);
		print_verdict(out, f->verdict, f->need, f->why);
		fputs(" |\n", out);
	}
}

static void print_components(FILE *out)
{
	fputs("\n## State components\n\n"
	      "CPUID.0DH shows no other bits of XCR0 and IA32_XSS, XSETBV and WRMSR take no "
	      "others.\n\n"
	      "| bit | register | state | verdict |\n|---|---|---|---|\n",
	      out);
	for (u32 i = 0; i < cpuid_component_count; i++) {
		const struct cpuid_component *c = &cpuid_components[i];

		fprintf(out, "| %u | %s | %s | ", c->bit, c->supervisor ? "IA32_XSS" : "XCR0",
			c->name);
		print_verdict(out, c->verdict, c->need, c->why);
		fputs(" |\n", out);
	}
}

static void print_all(FILE *out)
{
	fputs("# CPUID policy\n\n"
	      "What the guest sees of each CPUID feature. Generated from `src/vmx/cpuid_table.c`\n"
	      "by `ninja docs`; do not edit.\n\n"
	      "**A bit, leaf or subleaf that has no row reads as 0**: a feature that nobody has\n"
	      "thought about may reach past Umbra. A line at boot names the bits of this kind "
	      "that\n"
	      "the CPU has; option `cpuid=all` shows them, for CPUs newer than the release and at\n"
	      "one's own risk. It shows nothing that a row hides. Leaves called *data* are shown\n"
	      "whole: numbers, and bits of instructions and counters that have no state of their\n"
	      "own beside what another row decides (SGX, tiles, AVX10, resource director).\n\n"
	      "The rows follow the SDM's description of CPUID as it stood at the end of 2024, "
	      "when\n"
	      "leaf 24H was the last one, and what *Architecture Instruction Set Extensions* "
	      "added\n"
	      "to leaves 7 and 23H by then. Numbers and positions of leaves 1, 6, 7 and 0DH were\n"
	      "compared with Linux's list (`tools/arch/x86/kcpuid/cpuid.csv`), which has no "
	      "other;\n"
	      "those of leaf 23H with its driver of performance counters.\n\n"
	      "A leaf above the highest, or of a range that the CPU does not have, answers as the\n"
	      "highest basic leaf, as the SDM says (\"INPUT EAX\").\n\n"
	      "## Under another hypervisor\n\n"
	      "What Umbra itself runs on is hidden: CPUID.01H:ECX[31] is 0, there are no leaves "
	      "at\n"
	      "40000000H, VMCALL is #UD or Umbra's, and the MSRs of KVM and Hyper-V do not exist.\n"
	      "Their interfaces take physical addresses, which are not translated or checked by\n"
	      "EPT on the way: a guest that uses them can have Umbra's memory overwritten.\n"
	      "Option `hypervisor=pass` passes all of it, VMCALL from CPL 0 with the registers of\n"
	      "the guest. That is a deliberate opening, for measurements and for guests that\n"
	      "are trusted.\n",
	      out);
	print_leaves(out);
	print_features(out);
	print_components(out);
}

int main(int argc, char **argv)
{
	return page_main(argc, argv, print_all);
}
