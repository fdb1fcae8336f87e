/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vpid02: L2's TLB entries are a list here, tagged as the CPU tags them, and each remembers the
 * VPID that L1 gave. SDM "Cached Translation Information", "INVVPID".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"
#include "nested/state.h"
#include "nested/vpid.h"

enum {
	ENTRIES = 256,
	L1_VPID = 1,
	NO_VPID = 0, /* L1 uses none for this L2 */
};

struct tlb_entry {
	bool valid;
	u16 tag;
	u16 vpid12;
	u64 linear; /* of a page */
	bool global;
};

static struct tlb_entry tlb[ENTRIES];
static struct vcpu *vcpu;
static struct nested nested;
static struct rng rng;

static void on_invvpid(enum invvpid_type type, u16 tag, u64 linear)
{
	for (size_t i = 0; i < ENTRIES; i++) {
		struct tlb_entry *e = &tlb[i];

		switch (type) {
		case INVVPID_ADDRESS:
			if (e->tag == tag && e->linear == ALIGN_DOWN(linear, PAGE_SIZE))
				e->valid = false;
			break;
		case INVVPID_SINGLE_CONTEXT:
			if (e->tag == tag)
				e->valid = false;
			break;
		case INVVPID_SINGLE_RETAIN_GLOBALS:
			if (e->tag == tag && !e->global)
				e->valid = false;
			break;
		case INVVPID_ALL_CONTEXT:
			e->valid = false;
			break;
		}
	}
}

static void start(u64 ept_vpid)
{
	const struct vmx_capabilities vmx = {.basic = 1, .secondary = ~0ull, .ept_vpid = ept_vpid};

	machine_memory_init(1, 8);
	machine_vmx_init(1, &vmx);
	machine_on_invvpid = on_invvpid;
	vcpu = machine_cpu(0);
	nested = (struct nested){0};
	vcpu->nested = &nested;
	memset(tlb, 0, sizeof(tlb));
	rng.state = 1;
}

static u64 random_linear(void)
{
	return rng_below(&rng, 4) * PAGE_SIZE;
}

/* L2 with this VPID of L1's runs: no translation of anybody else's may have its tag. */
static u16 run_l2(u16 vpid12)
{
	const u16 tag = vpid02_get(vcpu, vpid12);

	assert_int_not_equal(tag, 0);
	assert_int_not_equal(tag, L1_VPID);
	for (size_t i = 0; i < ENTRIES; i++) {
		if (!tlb[i].valid || tlb[i].tag != tag)
			continue;
		assert_int_equal(tlb[i].vpid12, vpid12);
		/* SDM "VMX Transitions and VPIDs": without a VPID nothing survives a transition. */
		assert_int_not_equal(vpid12, NO_VPID);
	}
	for (unsigned int n = 0; n < 3; n++)
		tlb[rng_below(&rng, ENTRIES)] =
			(struct tlb_entry){true, tag, vpid12, random_linear(), rng_below(&rng, 2)};
	return tag;
}

/* L1 executes INVVPID: what it names is gone, whatever tags it had. */
static void invvpid_l1(enum invvpid_type type, u16 vpid12, u64 linear)
{
	if (type == INVVPID_ALL_CONTEXT)
		vpid02_flush_all(vcpu);
	else
		vpid02_flush(vcpu, vpid12, type, linear);
	for (size_t i = 0; i < ENTRIES; i++) {
		const struct tlb_entry *e = &tlb[i];

		if (!e->valid || e->vpid12 == NO_VPID)
			continue;
		if (type == INVVPID_ALL_CONTEXT)
			fail_msg("VPID %u survived INVVPID of all", e->vpid12);
		if (e->vpid12 != vpid12)
			continue;
		assert_int_not_equal(type, INVVPID_SINGLE_CONTEXT);
		if (type == INVVPID_SINGLE_RETAIN_GLOBALS)
			assert_true(e->global);
		else
			assert_true(e->linear != ALIGN_DOWN(linear, PAGE_SIZE));
	}
}

static u16 random_vpid12(void)
{
	static const u16 some[] = {1, 2, 3, 63, 64, 65, 127, 128, 129, 0x7fff, 0xffc0, 0xffff};

	return rng_below(&rng, 3) ? some[rng_below(&rng, ARRAY_SIZE(some))]
				  : (u16)(1 + rng_below(&rng, 0xffff));
}

static void run_random(u64 ept_vpid)
{
	start(ept_vpid);
	for (u32 i = 0; i < 20000; i++) {
		const enum invvpid_type type = (enum invvpid_type)rng_below(&rng, 4);
		const u64 cap = VPID_CAP_ADDRESS << type;

		switch (rng_below(&rng, 4)) {
		case 0:
			run_l2(NO_VPID);
			break;
		case 1:
			/* L1 is offered what the hardware has. */
			if (ept_vpid & cap)
				invvpid_l1(type, random_vpid12(), random_linear() + 5);
			break;
		default:
			run_l2(random_vpid12());
			break;
		}
	}
}

static void test_random(void **state)
{
	(void)state;
	run_random(~0ull);
}

/* A CPU may have fewer types of INVVPID. */
static void test_only_all_context(void **state)
{
	(void)state;
	run_random(~(VPID_CAP_SINGLE | VPID_CAP_SINGLE_GLOBALS));
}

/* What VPIDs are for: going back and forth between two flushes nothing. */
static void test_tags_are_kept(void **state)
{
	u64 flushes;
	u16 a, b;

	(void)state;
	start(~0ull);
	a = run_l2(5);
	b = run_l2(6);
	assert_int_not_equal(a, b);
	flushes = machine_log.invvpid_count;
	for (u32 i = 0; i < 10; i++) {
		assert_int_equal(run_l2(5), a);
		assert_int_equal(run_l2(6), b);
	}
	assert_true(machine_log.invvpid_count == flushes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_only_all_context),
		cmocka_unit_test(test_tags_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
