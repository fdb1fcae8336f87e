/* SPDX-License-Identifier: BSD-2-Clause */
#include "offer.h"

#include "nested/caps.h"
#include "nested/controls.h"

struct feature {
	u64 bit;
	const char *text;
};

/* SDM "VPID and EPT Capabilities". */
static const struct feature ept_features[] = {
	{EPT_CAP_EXEC_ONLY, "execute-only EPT"},
	{EPT_CAP_WALK_4, "4-level EPT"},
	{EPT_CAP_WALK_5, "5-level EPT"},
	{EPT_CAP_UC, "EPT structures uncached"},
	{EPT_CAP_WB, "EPT structures write-back"},
	{EPT_CAP_2M, "EPT with 2-MByte pages"},
	{EPT_CAP_1G, "EPT with 1-GByte pages"},
	{EPT_CAP_AD, "EPT accessed and dirty flags"},
	{EPT_CAP_ADV_VIOLATION, "advanced EPT-violation information"},
	{EPT_CAP_INVEPT_SINGLE, "INVEPT, single context"},
	{EPT_CAP_INVEPT_ALL, "INVEPT, all contexts"},
	{VPID_CAP_ADDRESS, "INVVPID, individual address"},
	{VPID_CAP_SINGLE, "INVVPID, single context"},
	{VPID_CAP_ALL, "INVVPID, all contexts"},
	{VPID_CAP_SINGLE_GLOBALS, "INVVPID, single context but globals"},
};

/* SDM "Miscellaneous Data". */
static const struct feature misc_features[] = {
	{VMX_MISC_HLT, "activity state HLT"},
	{VMX_MISC_SHUTDOWN, "activity state shutdown"},
	{VMX_MISC_WAIT_SIPI, "activity state wait-for-SIPI"},
	{VMX_MISC_PT, "Intel PT in VMX operation"},
	{VMX_MISC_VMWRITE_RO, "VMWRITE to exit-information fields"},
	{VMX_MISC_ZERO_LEN_INJECT, "injection with instruction length 0"},
};

static struct offer judge(bool cpu, bool guest, const char *text, const char *why)
{
	return (struct offer){
		.at = "",
		.verdict = guest ? OFFERED
			   : cpu ? NOT_BY_UMBRA
				 : NOT_BY_CPU,
		.text = text,
		.why = guest || !cpu ? "" : why,
	};
}

static unsigned int add_features(struct offer *out, const struct feature *features, size_t count,
				 u64 cpu, u64 guest)
{
	for (size_t i = 0; i < count; i++)
		out[i] = judge(cpu & features[i].bit, guest & features[i].bit, features[i].text,
			       "Umbra does not implement it");
	return (unsigned int)count;
}

unsigned int offers_make(const struct vmx_capabilities *cpu, const struct vmx_capabilities *guest,
			 struct offer offers[OFFERS_MAX])
{
	static const char *const at[CONTROL_WORDS] = {
		[CONTROL_WORD_EXIT] = " at VM exit",
		[CONTROL_WORD_EXIT2] = " at VM exit",
		[CONTROL_WORD_ENTRY] = " at VM entry",
	};
	static const char untested[] =
		"only with nested.untested=, for want of a machine to try it";
	unsigned int n = 0;

	_Static_assert(CONTROL_COUNT + ARRAY_SIZE(ept_features) + ARRAY_SIZE(misc_features) <=
			       OFFERS_MAX,
		       "all have room");
	for (unsigned int i = 0; i < CONTROL_COUNT; i++) {
		const struct control_info *c = &control_info[i];

		offers[n++] = judge(vmx_can_set(cpu->control[c->word], c->bit),
				    vmx_can_set(guest->control[c->word], c->bit), c->text,
				    c->policy == CONTROL_UNTESTED ? untested
				    : *c->why                     ? c->why
					      : "the CPU lacks what it goes with");
		if (at[c->word])
			offers[n - 1].at = at[c->word];
	}
	n += add_features(offers + n, ept_features, ARRAY_SIZE(ept_features), cpu->ept_vpid,
			  guest->ept_vpid);
	return n + add_features(offers + n, misc_features, ARRAY_SIZE(misc_features), cpu->misc,
				guest->misc);
}

struct vmx_capabilities offers_foresee(const struct vmx_capabilities *cpu, unsigned int maxphyaddr)
{
	struct vmx_capabilities out = {.has_vmx = true};
	struct nested_caps caps;

	nested_caps_init(&caps, cpu, 0, maxphyaddr, 0);
	for (unsigned int word = 0; word < CONTROL_WORDS; word++)
		out.control[word] = caps.control[word];
	out.misc = caps.misc;
	out.ept_vpid = caps.ept_vpid;
	return out;
}
