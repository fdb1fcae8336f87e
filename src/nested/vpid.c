/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vpid02 for vpid12: tags of this CPU's own, so that L2 can never meet translations of L1's or of
 * another guest of L1's. vpid12 is remembered in a slot chosen by its low bits; another one that
 * falls there takes the tag over and flushes it.
 */
#include "nested/vpid.h"
#include "lib/insn.h"
#include "nested/state.h"

static void flush_tag(const struct vcpu *vcpu, u16 vpid)
{
	invvpid(vcpu->vmx.ept_vpid & VPID_CAP_SINGLE ? INVVPID_SINGLE_CONTEXT : INVVPID_ALL_CONTEXT,
		vpid, 0);
}

u16 vpid02_get(struct vcpu *vcpu, u16 vpid12)
{
	u16 *slot = &vcpu->nested->vpid12[vpid12 % VPID02_COUNT];
	const u16 vpid02 = (u16)(VPID02_FIRST + vpid12 % VPID02_COUNT);

	/* SDM "VMX Transitions and VPIDs": without VPIDs every transition flushes. */
	if (vpid12 == 0) {
		flush_tag(vcpu, VPID02_NONE);
		return VPID02_NONE;
	}
	if (*slot != vpid12) {
		*slot = vpid12;
		flush_tag(vcpu, vpid02);
	}
	return vpid02;
}

void vpid02_flush(struct vcpu *vcpu, u16 vpid12, enum invvpid_type type, u64 linear)
{
	if (vcpu->nested->vpid12[vpid12 % VPID02_COUNT] == vpid12)
		invvpid(type, (u16)(VPID02_FIRST + vpid12 % VPID02_COUNT), linear);
}

void vpid02_flush_all(struct vcpu *vcpu)
{
	for (u32 i = 0; i < VPID02_COUNT; i++) {
		if (vcpu->nested->vpid12[i])
			flush_tag(vcpu, (u16)(VPID02_FIRST + i));
	}
}
