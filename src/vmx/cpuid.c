/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/cpuid_filter.h"

#include <umbra/interface.h>

#include <x86/cr.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "platform/vtd.h"
#include "vmx/exit.h"
#include "vmx/guest_level.h"
#include "vmx/instruction.h"

enum { LEAF_EXTENDED_FEATURES = 7, LEAF_XSAVE = 0xd, LEAF_KEY_LOCKER = 0x19 };

static struct cpuid_options wanted;

/* Out of the way of the leaves that pass unchanged, which are most. */
__attribute__((noinline)) static struct cpuid filtered(const struct vcpu *vcpu, u32 leaf,
						       u32 subleaf)
{
	const u32 effective = cpuid_effective_leaf(leaf, &vcpu->cpuid_hidden);
	const struct cpuid_guest guest = {
		.cr4 = vmreadn(VMCS_GUEST_CR4),
		.in_64bit_mode = effective >= CPUID_EXTENDED && instruction_in_64bit_mode(),
		.xd_disabled = vcpu->xd_disabled,
	};
	struct cpuid answer = cpuid(effective, subleaf);

	/* Systems ask for such leaves with each program that they start. */
	vtd_poll();
	cpuid_filter(&answer, effective, subleaf, &guest, &vcpu->cpuid_hidden);
	return answer;
}

/* SDM "CPUID": the upper halves of all four registers are cleared in every mode. */
static void give(struct guest_regs *regs, struct cpuid answer)
{
	regs->rax = answer.eax;
	regs->rbx = answer.ebx;
	regs->rcx = answer.ecx;
	regs->rdx = answer.edx;
}

void cpuid_exit(struct vcpu *vcpu, struct guest_regs *regs)
{
	const u32 leaf = (u32)regs->rax;
	const u32 subleaf = (u32)regs->rcx;

	if (cpuid_passes(leaf, &vcpu->cpuid_hidden))
		give(regs, cpuid(leaf, subleaf));
	else
		give(regs, filtered(vcpu, leaf, subleaf));
	instruction_done();
}

/* Behind what the guest is shown of the hypervisor below: each range begins with its last leaf. */
static u32 own_first(bool hypervisor)
{
	u32 first = UMBRA_CPUID_FIRST;

	while (hypervisor && first < UMBRA_CPUID_LAST &&
	       (first == UMBRA_CPUID_FIRST || cpuid(first, 0).eax - first < UMBRA_CPUID_STEP))
		first += UMBRA_CPUID_STEP;
	return first;
}

void cpuid_set_options(bool all, bool hypervisor, bool own_leaves)
{
	wanted = (struct cpuid_options){
		.all = all,
		.hypervisor = hypervisor,
		.own = own_leaves ? own_first(hypervisor) : 0,
	};
}

static bool has_leaf(const struct vcpu *vcpu, u32 leaf)
{
	return leaf <= vcpu->cpuid_hidden.last_basic;
}

/* XCR0's or IA32_XSS's components that this CPU has. */
static u64 cpu_components(const struct vcpu *vcpu, bool supervisor)
{
	struct cpuid c;

	if (!has_leaf(vcpu, LEAF_XSAVE))
		return 0;
	c = cpuid(LEAF_XSAVE, supervisor);
	if (supervisor)
		return c.eax & CPUID_D1_EAX_XSAVES ? (u64)c.edx << 32 | c.ecx : 0;
	return (u64)c.edx << 32 | c.eax;
}

u64 cpuid_xss_mask(const struct vcpu *vcpu)
{
	return cpu_components(vcpu, true) & vcpu->cpuid_hidden.xss;
}

/* SDM "Standard Format of XSAVE Area": legacy region and header, then each where CPUID says. */
static u32 xsave_size(u64 components)
{
	u32 size = 512 + 64;

	for (u32 n = 2; n < 63; n++) {
		if (components >> n & 1) {
			const struct cpuid c = cpuid(LEAF_XSAVE, n);

			size = c.eax + c.ebx > size ? c.eax + c.ebx : size;
		}
	}
	return size;
}

/* SDM "Key Locker": whether firmware has activated it shows only while CR4.KL is set. */
static bool key_locker_is_active(const struct vcpu *vcpu)
{
	const u64 cr4 = read_cr4();
	bool active;

	if (!has_leaf(vcpu, LEAF_KEY_LOCKER) || !(vcpu->vmx.cr4_fixed1 & CR4_KL) ||
	    !(cpuid(LEAF_EXTENDED_FEATURES, 0).ecx & CPUID_7_ECX_KL))
		return false;
	write_cr4(cr4 | CR4_KL);
	active = cpuid(LEAF_KEY_LOCKER, 0).ebx & CPUID_19_EBX_AESKLE;
	write_cr4(cr4);
	return active;
}

void cpuid_setup(struct vcpu *vcpu)
{
	struct cpuid_hidden *hidden = &vcpu->cpuid_hidden;
	u64 components;

	wanted.nested = offered_vmx.offered;
	*hidden = cpuid_hidden_features(&vcpu->vmx, &wanted, cpuid(0, 0).eax,
					cpuid(CPUID_EXTENDED, 0).eax);
	hidden->aeskle = key_locker_is_active(vcpu);
	components = cpu_components(vcpu, false);
	if (components & ~hidden->xcr0)
		hidden->xsave_size = xsave_size(components & hidden->xcr0);
}

/* Bits of an answer without a row. */
static void report_bits(u32 leaf, u32 subleaf, u32 mask)
{
	static const char *const names[] = {"EAX", "EBX", "ECX", "EDX"};
	const struct cpuid has = cpuid(leaf, subleaf);
	const struct cpuid known = cpuid_known_bits(mask);

	for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
		const u32 unknown = has.word[i] & ~known.word[i];

		if (unknown)
			log_info("CPUID.%x.%u:%s: bits %#x are not known%s", leaf, subleaf,
				 names[i], unknown, wanted.all ? "" : " and hidden");
	}
}

static void report_leaf(u32 leaf, const struct cpuid_leaf *row)
{
	if (row->kind != CPUID_LEAF_BITS && row->kind != CPUID_LEAF_XSAVE)
		return;
	report_bits(leaf, 0, row->mask);
	for (u32 i = 1; i < row->subleaves && i <= cpuid(leaf, 0).eax; i++)
		report_bits(leaf, i, row->mask + i);
}

static void report_hypervisor(void)
{
	const struct cpuid c = cpuid(UMBRA_CPUID_FIRST, 0);
	char name[3 * sizeof(u32) + 1] = {0};

	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_HYPERVISOR))
		return;
	for (u32 i = 0; i < sizeof(name) - 1; i++) {
		const char letter = (char)(c.word[1 + i / 4] >> i % 4 * 8);

		name[i] = letter >= ' ' && letter <= '~' ? letter : '\0';
	}
	log_info("running under a hypervisor (%s): its CPUID leaves are %s", name,
		 wanted.hypervisor ? "shown to the guest" : "hidden from the guest");
}

void cpuid_report(const struct vcpu *vcpu)
{
	for (u32 i = 0; i < CPUID_BASIC_LEAVES && has_leaf(vcpu, i); i++)
		report_leaf(i, &cpuid_basic_leaves[i]);
	for (u32 i = 0; i < CPUID_EXTENDED_LEAVES; i++) {
		if (CPUID_EXTENDED + i <= vcpu->cpuid_hidden.last_extended)
			report_leaf(CPUID_EXTENDED + i, &cpuid_extended_leaves[i]);
	}
	if (vcpu->cpuid_hidden.last_basic >= CPUID_BASIC_LEAVES)
		log_info("CPUID leaves from %#x to %#x are not known%s", CPUID_BASIC_LEAVES,
			 vcpu->cpuid_hidden.last_basic, wanted.all ? "" : " and read as 0");
	report_hypervisor();
}
