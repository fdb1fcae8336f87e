/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What VMX has, piece by piece: what the CPU has of it, what Umbra offers to its guest, and why not
 * the rest, by the very tables that Umbra goes by. Pure.
 */
#pragma once

#include "vmx/capabilities.h"

enum offer_verdict {
	OFFERED,
	NOT_BY_CPU,   /* the CPU lacks it */
	NOT_BY_UMBRA, /* the CPU has it */
};

struct offer {
	enum offer_verdict verdict;
	const char *text; /* the SDM's name */
	const char *at;   /* " at VM entry" or " at VM exit", where two have the same name */
	const char *why;  /* not by Umbra */
};

enum { OFFERS_MAX = 160 };

/* Of what the CPU has, and what the guest is offered. Returns how many. */
unsigned int offers_make(const struct vmx_capabilities *cpu, const struct vmx_capabilities *guest,
			 struct offer offers[OFFERS_MAX]);

/* What Umbra will offer on such a CPU. */
struct vmx_capabilities offers_foresee(const struct vmx_capabilities *cpu, unsigned int maxphyaddr);
