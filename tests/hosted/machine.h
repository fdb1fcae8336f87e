/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A simulated machine for hosted tests of code that uses privileged instructions: guest memory,
 * memory of Umbra's own, ept01, and processors with a current VMCS. Built beside the image's very
 * source files, with tests/hosted before src in the include path.
 *
 * What real hardware would leave undefined or refuse ends the test with a message: a failing VMX
 * instruction of Umbra's, a VMREAD of a field nobody wrote, a VMCS region changed while it is
 * active, an access to a page that is not allocated (with ASan), a page freed twice.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "vmx/vcpu.h"

/* Reports and aborts: works in unit tests and fuzzers alike. */
#define MACHINE_FAIL(...)                                       \
	do {                                                    \
		fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
		fprintf(stderr, __VA_ARGS__);                   \
		fputc('\n', stderr);                            \
		abort();                                        \
	} while (0)
#define REQUIRE(condition)                                      \
	do {                                                    \
		if (!(condition))                               \
			MACHINE_FAIL("not so: %s", #condition); \
	} while (0)

/* Deterministic random numbers, or a fuzzer's choices if there is `data`. */
struct rng {
	u64 state; /* not 0 */
	const u8 *data;
	size_t left; /* after the end of data all choices are 0 */
};
u64 rng_next(struct rng *rng);
u64 rng_below(struct rng *rng, u64 limit);

/* memory.c: */

enum { MACHINE_MAXPHYADDR = 40, MACHINE_HOLES = 4 };

/* Where Umbra's own memory lies: above all of the guest's, so that a mix-up shows. */
static const paddr_t MACHINE_OWN = 0x7000000000;

struct hole {
	paddr_t start;
	u64 size;
};

struct machine_memory {
	u8 *guest; /* from address 0 */
	u64 guest_size;
	u8 *own;
	u64 own_size;
	/* What ept01 hides; the first is Umbra's memory. */
	struct hole holes[MACHINE_HOLES];
	u64 ept01_largest_page;
};
extern struct machine_memory machine_memory;

/* For code that may look at guest memory in place, like Umbra's map of all memory; else an error.
 */
extern bool machine_maps_guest;

/* What another processor does to memory just before this one would exchange it; NULL: nothing. */
extern void (*machine_before_exchange)(u8 *at);

/* Zeroed guest memory and `own_pages` for the page allocator, instead of what there was. */
void machine_memory_init(u64 guest_pages, u64 own_pages);

/* The same contents again, quicker. */
void machine_memory_reset(void);

/* Allocations from now on that succeed; ~0ull, as after the start, for all that memory allows. */
void machine_limit_pages(u64 count);

/* vmx.c: */

/* Makes `count` processors with an active, launched, current vmcs01 each; the first one runs. */
void machine_vmx_init(u32 count, const struct vmx_capabilities *vmx);

struct vcpu *machine_cpu(u32 index);

/* Which processor the instructions below and those of lib/insn.h are executed by. */
void machine_run_on(struct vcpu *vcpu);

/* The address of the current VMCS. */
paddr_t machine_current_vmcs(void);

/* What the hardware itself, or a guest, writes to the current VMCS. */
void machine_set_field(u64 field, u64 value);

/* VMLAUNCH or VMRESUME of the current VMCS as far as its state is concerned. */
void machine_enter(bool launch);

/* The entry was one that fails on guest state: a VMLAUNCH has not launched. */
void machine_fail_entry(void);

/* VMREAD and VMWRITE in VMX non-root operation, vmcs01 being current. */
enum machine_access {
	ACCESS_EXITS,
	ACCESS_DONE,
	ACCESS_FAIL_INVALID,
	ACCESS_FAIL_VALID,
};
enum machine_access machine_vmread_nonroot(u64 encoding, u64 *value);
enum machine_access machine_vmwrite_nonroot(u64 encoding, u64 value);

/* Invalidations asked for, for tests that look at them. */
struct machine_log {
	u64 invept_count, invvpid_count;
	enum invept_type invept_type;
	u64 eptp;
	enum invvpid_type invvpid_type;
	u16 vpid;
	u64 linear;
};
extern struct machine_log machine_log;

/* Called for each INVEPT and INVVPID; NULL for none. */
extern void (*machine_on_invept)(enum invept_type type, u64 eptp);
extern void (*machine_on_invvpid)(enum invvpid_type type, u16 vpid, u64 linear);
