/* SPDX-License-Identifier: BSD-2-Clause */
/* Can this machine run Umbra? From what was found out about it. Pure. */
#pragma once

#include "vmx/capabilities.h"

enum verdict {
	VERDICT_GOOD,
	VERDICT_NOTE,    /* Umbra runs, but … */
	VERDICT_MISSING, /* it does not */
	VERDICT_UNKNOWN,
};

struct machine {
	bool intel;
	bool long_mode;
	bool hypervisor; /* below this system, and no Umbra */
	bool umbra;      /* runs already */
	bool capabilities_known;
	const char *why_unknown; /* then */
	struct vmx_capabilities capabilities;
	unsigned int cpus, cpus_possible;
	bool rdrand;
	bool vtd;         /* the firmware describes DMA remapping units, or Umbra uses them */
	bool efi;         /* the system was started by UEFI firmware */
	bool secure_boot; /* then */
	bool sleeps_to_ram;
};

/* Names of the verdicts: "good", …. */
const char *verdict_name(enum verdict verdict);

typedef void advice_add(void *context, enum verdict verdict, const char *what, const char *advice);

/*
 * Calls `add` for each thing that matters, with one line of advice where there is something to do
 * or to know. Returns the worst of the verdicts on whether Umbra runs at all: good, missing or
 * unknown.
 */
enum verdict advise(const struct machine *machine, advice_add *add, void *context);
