/* SPDX-License-Identifier: BSD-2-Clause */
/* docs/vmcs-fields.md, from the tables in nested/fields.h and nested/controls.h. */
#include <string.h>

#include "machine.h"
#include "nested/shadow.h"
#include "nested/state.h"
#include "page.h"

struct nested_caps nested_caps;

/* Some controls of VM exits and VM entries are named like others. */
static const char *word_beside(u32 word)
{
	return word == CONTROL_WORD_EXIT    ? " (VM exit)"
	       : word == CONTROL_WORD_ENTRY ? " (VM entry)"
					    : "";
}

static void print_needs(FILE *out, u8 needs)
{
	static const char *const targets[] = {"1 CR3-target value", "2 CR3-target values",
					      "3 CR3-target values", "4 CR3-target values"};

	if (needs < CONTROL_COUNT)
		fprintf(out, "%s%s", control_info[needs].text,
			word_beside(control_info[needs].word));
	else if (needs != NEEDS_NOTHING)
		fputs(targets[needs - NEEDS_CR3_TARGET0], out);
}

static const char *const word_text[CONTROL_WORDS] = {
	[CONTROL_WORD_PIN] = "Pin-based VM-execution controls",
	[CONTROL_WORD_PRIMARY] = "Primary processor-based VM-execution controls",
	[CONTROL_WORD_SECONDARY] = "Secondary processor-based VM-execution controls",
	[CONTROL_WORD_EXIT] = "VM-exit controls",
	[CONTROL_WORD_ENTRY] = "VM-entry controls",
	[CONTROL_WORD_TERTIARY] = "Tertiary processor-based VM-execution controls",
	[CONTROL_WORD_EXIT2] = "Secondary VM-exit controls",
};

static const char *const control_text[] = {
	[CONTROL_TAKEN] = "as L1 has it",
	[CONTROL_UMBRAS] = "as Umbra needs it, who does what L1 asks for",
	[CONTROL_EMULATED] = "never; Umbra does it",
	[CONTROL_ABSENT] = "not offered",
	[CONTROL_UNTESTED] = "as L1 has it; offered only with `nested.untested=`",
};

static const char *const policy_text[] = {
	[POLICY_GUEST] = "copied both ways",
	[POLICY_COPY] = "copied",
	[POLICY_CHECKED] = "copied, after a check",
	[POLICY_ADDRESS] = "copied, if not Umbra's memory",
	[POLICY_MERGE] = "computed",
	[POLICY_EXIT] = "copied back",
	[POLICY_SOFT] = "Umbra's; L1's is kept in vmcs12",
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
	fprintf(out, "| %04x | `%s` | %s | %s | ", info->encoding, info->name,
		width_text[info->width], policy_text[info->policy]);
	print_needs(out, info->needs);
	fprintf(out, " | %s |\n", field_set_has(&shadow_fields, f) ? "yes" : "");
}

/* SDM: the bit's position, its name, and what becomes of it. */
static void print_controls(FILE *out)
{
	fprintf(out,
		"\n# Controls\n\n"
		"What L1 is offered if the CPU has it, from `src/nested/controls.h`, and what\n"
		"the VMCS that L2 runs on has.\n");
	for (u32 word = 0; word < CONTROL_WORDS; word++) {
		fprintf(out, "\n## %s\n\n| bit | control | vmcs02 |\n|---|---|---|\n",
			word_text[word]);
		for (u32 i = 0; i < CONTROL_COUNT; i++) {
			const struct control_info *info = &control_info[i];

			if (info->word == word)
				fprintf(out, "| %d | %s | %s%s%s |\n", __builtin_ctzll(info->bit),
					info->text, control_text[info->policy],
					*info->why ? ": " : "", info->why);
		}
	}
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
	print_controls(out);
}

/* Which fields are shadowed is for shadow.c to say, on a CPU that has everything. */
static void find_shadowed(void)
{
	const struct vmx_capabilities vmx = {
		.basic = 1, .secondary = ~0ull, .misc = VMX_MISC_VMWRITE_RO};

	machine_memory_init(1, 8);
	machine_vmx_init(1, &vmx);
	memset(nested_caps.has_field, true, sizeof(nested_caps.has_field));
	shadow_init(true);
	shadow_decide(&vmx);
	REQUIRE(shadow_on);
}

int main(int argc, char **argv)
{
	find_shadowed();
	return page_main(argc, argv, print_all);
}
