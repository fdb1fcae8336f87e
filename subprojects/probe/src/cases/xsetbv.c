/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "XSETBV—Set Extended Control Register". */
#include "features.h"
#include "layout.h"
#include "probe.h"

enum {
	LEAF_XSTATE = 0xd,
};

static const u64 XCR0_AVX512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;

static u64 supported(void)
{
	struct cpuid r = cpuid(LEAF_XSTATE, 0);

	return (u64)r.edx << 32 | r.eax;
}

static bool enable(struct run *t)
{
	if (!has(FEATURE_XSAVE)) {
		run_skip(t, "no XSAVE");
		return false;
	}
	write_cr4(BASE_CR4 | CR4_OSXSAVE);
	xsetbv(0, XCR0_X87);
	return true;
}

static void check_bad(struct run *t, u64 value)
{
	u64 before = xgetbv(0);

	CHECK_GP(t, try_xsetbv(0, value));
	CHECK_EQ(t, xgetbv(0), before);
}

static void check_good(struct run *t, u64 value)
{
	CHECK_OK(t, try_xsetbv(0, value));
	CHECK_EQ(t, xgetbv(0), value);
}

PROBE_CASE(xsetbv_good, "xsetbv.good_values_stick", CASE_EACH_CPU)
{
	if (!enable(t))
		return;
	check_good(t, XCR0_X87);
	check_good(t, XCR0_X87 | XCR0_SSE);
	if (supported() & XCR0_AVX)
		check_good(t, XCR0_X87 | XCR0_SSE | XCR0_AVX);
	if ((supported() & XCR0_AVX512) == XCR0_AVX512)
		check_good(t, XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);
	check_good(t, supported());
	check_good(t, XCR0_X87);
}

PROBE_CASE(xsetbv_bad, "xsetbv.bad_values_fault", CASE_EACH_CPU)
{
	if (!enable(t))
		return;
	check_bad(t, 0);
	check_bad(t, XCR0_SSE);
	check_bad(t, XCR0_AVX | XCR0_SSE);
	check_bad(t, XCR0_X87 | XCR0_AVX);
	check_bad(t, XCR0_X87 | XCR0_SSE | XCR0_OPMASK);
	check_bad(t, XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK | XCR0_ZMM_HI256);
	check_bad(t, XCR0_X87 | XCR0_SSE | XCR0_AVX512);
	/* "BNDREG and BNDCSR must be set together." */
	check_bad(t, XCR0_X87 | XCR0_BNDREGS);
	check_bad(t, XCR0_X87 | XCR0_BNDCSR);
	for (unsigned bit = 0; bit < 64; bit++)
		if (!(supported() & BIT(bit)))
			check_bad(t, XCR0_X87 | BIT(bit));
	check_bad(t, ~0ull);
}

PROBE_CASE(xsetbv_ecx, "xsetbv.bad_index_faults", CASE_EACH_CPU)
{
	if (!enable(t))
		return;
	CHECK_GP(t, try_xsetbv(1, XCR0_X87));
	CHECK_GP(t, try_xsetbv(2, XCR0_X87));
	CHECK_GP(t, try_xsetbv(0x80000000, XCR0_X87));
	CHECK_GP(t, try_xsetbv(0xffffffff, XCR0_X87));
}

/* "The high-order 32 bits of RAX, RCX and RDX are ignored." */
PROBE_CASE(xsetbv_high, "xsetbv.high_halves_ignored", CASE_EACH_CPU)
{
	u64 rax = 0xffffffff00000003, rcx = 0xffffffff00000000, rdx = 0xffffffff00000000;

	if (!enable(t))
		return;
	CHECK_OK(t, TRY("xsetbv", : : "a"(rax), "c"(rcx), "d"(rdx) : "memory"));
	CHECK_EQ(t, xgetbv(0), 3);
}

PROBE_CASE(xsetbv_ud, "xsetbv.without_osxsave", CASE_EACH_CPU)
{
	u32 lo = 0, hi = 0;

	CHECK_UD(t, try_xsetbv(0, XCR0_X87));
	/* #UD comes before any look at the operands. */
	CHECK_UD(t, try_xsetbv(7, 0));
	CHECK_UD(t, TRY("xgetbv", : "+a"(lo), "+d"(hi) : "c"(0)));
}

PROBE_CASE(xsetbv_xgetbv, "xsetbv.xgetbv_bad_index", CASE_EACH_CPU)
{
	u32 lo = 0, hi = 0;

	if (!enable(t))
		return;
	CHECK_GP(t, TRY("xgetbv", : "+a"(lo), "+d"(hi) : "c"(2)));
	CHECK_GP(t, TRY("xgetbv", : "+a"(lo), "+d"(hi) : "c"(0xffffffff)));
}

static void user_xsetbv(void *unused)
{
	(void)unused;
	xsetbv(0, XCR0_X87 | XCR0_SSE);
}

static void user_xsetbv_bad_index(void *unused)
{
	(void)unused;
	xsetbv(9, 0);
}

PROBE_CASE(xsetbv_user, "xsetbv.user_mode", CASE_EACH_CPU)
{
	CHECK_UD(t, user_call(user_xsetbv, NULL, 0));
	if (!enable(t))
		return;
	CHECK_GP(t, user_call(user_xsetbv, NULL, 0));
	CHECK_GP(t, user_call(user_xsetbv_bad_index, NULL, 0));
	CHECK_EQ(t, xgetbv(0), XCR0_X87);
}
