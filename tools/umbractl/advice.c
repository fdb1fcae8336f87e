/* SPDX-License-Identifier: BSD-2-Clause */
#include "advice.h"

#include <stdio.h>

enum { CPUS_MAX = 4096 };

struct missing {
	advice_add *add;
	void *context;
};

static void report_missing(void *ctx, const char *what, const char *advice)
{
	const struct missing *missing = ctx;

	missing->add(missing->context, VERDICT_MISSING, what, advice);
}

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_GOOD] = "good",
		[VERDICT_NOTE] = "note",
		[VERDICT_MISSING] = "missing",
		[VERDICT_UNKNOWN] = "unknown",
	};

	return names[verdict];
}

/* What Umbra itself asks for before it starts. */
static enum verdict requirements(const struct machine *m, advice_add *add, void *context)
{
	struct missing missing = {add, context};

	if (!m->intel || !m->long_mode) {
		add(context, VERDICT_MISSING, "a 64-bit Intel CPU",
		    "Umbra is made for Intel VT-x; there is no version for other CPUs");
		return VERDICT_MISSING;
	}
	if (m->capabilities_known || !m->capabilities.has_vmx) {
		if (vmx_requirements_check(&m->capabilities, report_missing, &missing))
			return VERDICT_MISSING;
		add(context, VERDICT_GOOD, "VT-x with all that Umbra needs", "");
		return VERDICT_GOOD;
	}
	add(context, VERDICT_UNKNOWN, "VT-x is there; what it can do is not known", m->why_unknown);
	return VERDICT_UNKNOWN;
}

static void cpus(const struct machine *m, advice_add *add, void *context)
{
	char what[80];

	snprintf(what, sizeof(what), "%u CPUs", m->cpus);
	if (m->cpus > CPUS_MAX)
		add(context, VERDICT_NOTE, what, "Umbra takes at most 4096");
	else if (m->cpus_possible > m->cpus)
		add(context, VERDICT_NOTE, what,
		    "more could be plugged in; Umbra takes those that are there when it starts");
	else
		add(context, VERDICT_GOOD, what, "");
}

static void firmware(const struct machine *m, advice_add *add, void *context)
{
	if (!m->efi)
		add(context, VERDICT_GOOD, "started by a BIOS: GRUB loads umbra.elf", "");
	else if (m->secure_boot)
		add(context, VERDICT_NOTE, "UEFI with Secure Boot",
		    "sign umbra.efi with a key that the firmware or shim trusts (docs/uefi.md)");
	else
		add(context, VERDICT_GOOD, "UEFI without Secure Boot: umbra.efi starts as it is",
		    "");
}

/* Good if it is there, else something to know. */
static void tell(advice_add *add, void *context, bool there, const char *good, const char *lacking,
		 const char *advice)
{
	if (there)
		add(context, VERDICT_GOOD, good, "");
	else
		add(context, VERDICT_NOTE, lacking, advice);
}

enum verdict advise(const struct machine *m, advice_add *add, void *context)
{
	const enum verdict verdict = requirements(m, add, context);

	if (m->umbra)
		add(context, VERDICT_NOTE, "Umbra runs already", "this is the machine below it");
	else if (m->hypervisor)
		add(context, VERDICT_NOTE, "another hypervisor is below",
		    "Umbra then is a guest that uses nested VMX: for trying it, not for speed");
	cpus(m, add, context);
	tell(add, context, m->vtd, "VT-d keeps devices out of Umbra's memory", "no VT-d",
	     "enable VT-d in the firmware setup, or devices can reach Umbra's memory");
	firmware(m, add, context);
	tell(add, context, m->sleeps_to_ram, "sleep to RAM: Umbra wakes up with the machine",
	     "no sleep to RAM (S3)", "nothing to do: other kinds of sleep need nothing of Umbra");
	tell(add, context, m->rdrand, "RDRAND, for umbractl's permission to ask", "no RDRAND",
	     "Umbra runs, but hv-leaves=on has no effect and umbractl cannot ask it");
	return verdict;
}
