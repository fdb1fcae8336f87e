/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checks of a VM entry against a second writing of SDM "Checks on VMX Controls and Host-State
 * Area", in numbers. The input makes a CPU, and changes a vmcs12 that passes in a few places.
 */
#include <string.h>

#include "machine.h"
#include "nested/checks.h"
#include "nested/untested.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum { WIDTH = MACHINE_MAXPHYADDR };

static const u64 PERF_GLOBAL_CTRL = 0x70000000f;

static struct nested_caps caps;
static struct vmcs12 v;
static bool l1_64bit;

static bool bit(u64 value, unsigned int n)
{
	return value >> n & 1;
}

static u64 get(enum vmcs12_field f)
{
	return v.f[f];
}

/* --- The SDM's rules; true: broken ------------------------------------------------------------ */

static bool bad_reserved(u64 cap, u64 value)
{
	for (unsigned int n = 0; n < 64; n++) {
		if (n < 32 && bit(cap, n) && !bit(value, n))
			return true;
		if (bit(value, n) && (n >= 32 || !bit(cap, n + 32)))
			return true;
	}
	return false;
}

static bool bad_address(u64 address, u64 alignment)
{
	return address % alignment || address >= 1ull << WIDTH;
}

static bool bad_canonical(u64 address)
{
	return address > 0x7fffffffffff && address < 0xffff800000000000;
}

static bool bad_apic(u64 pin, u64 primary, u64 secondary)
{
	const bool tpr_shadow = bit(primary, 21);
	const bool delivery = bit(secondary, 9);

	if (tpr_shadow && bad_address(get(F_VIRTUAL_APIC_ADDR), 4096))
		return true;
	if (!tpr_shadow && (bit(secondary, 4) || bit(secondary, 8) || delivery))
		return true;
	if (bit(secondary, 0) && (bad_address(get(F_APIC_ACCESS_ADDR), 4096) || bit(secondary, 4)))
		return true;
	if (delivery && !bit(pin, 0))
		return true;
	if (!bit(pin, 7))
		return false;
	return !delivery || !bit(get(F_EXIT_CONTROLS), 15) ||
	       get(F_POSTED_INTR_NOTIFICATION_VECTOR) > 255 ||
	       bad_address(get(F_POSTED_INTR_DESC_ADDR), 64);
}

static bool bad_eptp(u64 eptp)
{
	const u64 type = eptp % 8;

	if (!(type == 0 && bit(caps.ept_vpid, 8)) && !(type == 6 && bit(caps.ept_vpid, 14)))
		return true;
	if (eptp / 8 % 8 != 3 || (bit(eptp, 6) && !bit(caps.ept_vpid, 21)))
		return true;
	if (bit(eptp, 7) && !bit(caps.ept_vpid, 23))
		return true;
	return (eptp & 0xf00) || eptp >> WIDTH;
}

static bool bad_execution_controls(void)
{
	const u64 pin = get(F_PIN_CONTROLS);
	const u64 primary = get(F_PRIMARY_CONTROLS);
	const u64 secondary = bit(primary, 31) ? get(F_SECONDARY_CONTROLS) : 0;
	const u64 tertiary = bit(primary, 17) ? get(F_TERTIARY_CONTROLS) : 0;

	if (bad_reserved(caps.pin, pin) || bad_reserved(caps.primary, primary))
		return true;
	if (bit(primary, 31) && bad_reserved(caps.secondary, secondary))
		return true;
	if (bad_reserved(caps.tertiary, tertiary))
		return true;
	if (get(F_CR3_TARGET_COUNT) > (caps.misc >> 16 & 0x1ff))
		return true;
	if (bit(primary, 25) &&
	    (bad_address(get(F_IO_BITMAP_A), 4096) || bad_address(get(F_IO_BITMAP_B), 4096)))
		return true;
	if (bit(primary, 28) && bad_address(get(F_MSR_BITMAP), 4096))
		return true;
	if ((bit(pin, 5) && !bit(pin, 3)) || (bit(primary, 22) && !bit(pin, 5)))
		return true;
	if (bad_apic(pin, primary, secondary))
		return true;
	if (bit(secondary, 5) && get(F_VPID) == 0)
		return true;
	if (bit(secondary, 1) && bad_eptp(get(F_EPT_POINTER)))
		return true;
	if (bit(secondary, 14) &&
	    (bad_address(get(F_VMREAD_BITMAP), 4096) || bad_address(get(F_VMWRITE_BITMAP), 4096)))
		return true;
	if (bit(secondary, 17) && (!bit(secondary, 1) || bad_address(get(F_PML_ADDRESS), 4096)))
		return true;
	if (bit(secondary, 18) && bad_address(get(F_VE_INFO_ADDR), 4096))
		return true;
	return (bit(secondary, 7) || bit(secondary, 22)) && !bit(secondary, 1);
}

static bool bad_msr_area(enum vmcs12_field count, enum vmcs12_field address)
{
	const unsigned __int128 end = (unsigned __int128)get(address) + get(count) * 16;

	return get(count) && (get(address) % 16 || end > 1ull << WIDTH);
}

static bool bad_injection(void)
{
	const u64 info = get(F_VM_ENTRY_INTR_INFO);
	const u64 vector = info & 0xff, type = info >> 8 & 7;
	const u64 length = get(F_VM_ENTRY_INSTRUCTION_LENGTH);
	const bool pushes = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 ||
			    (vector == 21 && bit(caps.cr4_fixed1, 23));
	const bool unrestricted =
		bit(get(F_PRIMARY_CONTROLS), 31) && bit(get(F_SECONDARY_CONTROLS), 7);
	const bool may_push = type == 3 && (!unrestricted || bit(get(F_GUEST_CR0), 0));

	if (!bit(info, 31))
		return false;
	if (type == 1 || (type == 7 && !bit(caps.primary, 27 + 32)))
		return true;
	if ((type == 2 && vector != 2) || (type == 3 && vector > 31) || (type == 7 && vector))
		return true;
	if (bit(info, 11) && !may_push)
		return true;
	/* SDM "Basic VMX Information": bit 56 leaves the choice to software. */
	if (may_push && !bit(caps.basic, 56) && bit(info, 11) != pushes)
		return true;
	if (info & 0x7ffff000)
		return true;
	if (bit(info, 11) && get(F_VM_ENTRY_EXCEPTION_ERROR_CODE) > 0xffff)
		return true;
	if (type >= 4 && type <= 6)
		return length > 15 || (length == 0 && !bit(caps.misc, 30));
	return false;
}

static bool bad_tpr_threshold(void)
{
	const u64 primary = get(F_PRIMARY_CONTROLS);
	const bool delivery = bit(primary, 31) && bit(get(F_SECONDARY_CONTROLS), 9);

	return bit(primary, 21) && !delivery && get(F_TPR_THRESHOLD) > 15;
}

/* What is in vmcs02 alone is the hardware's to judge. */
static bool bad_controls(bool shadowed)
{
	if (bad_execution_controls() || bad_reserved(caps.exit, get(F_EXIT_CONTROLS)))
		return true;
	if (bit(get(F_EXIT_CONTROLS), 31) &&
	    bad_reserved(caps.exit2, get(F_SECONDARY_EXIT_CONTROLS)))
		return true;
	if (bit(get(F_EXIT_CONTROLS), 22) && !bit(get(F_PIN_CONTROLS), 6))
		return true;
	if (bad_msr_area(F_VM_EXIT_MSR_STORE_COUNT, F_VM_EXIT_MSR_STORE_ADDR) ||
	    bad_msr_area(F_VM_EXIT_MSR_LOAD_COUNT, F_VM_EXIT_MSR_LOAD_ADDR) ||
	    bad_msr_area(F_VM_ENTRY_MSR_LOAD_COUNT, F_VM_ENTRY_MSR_LOAD_ADDR))
		return true;
	if (bad_reserved(caps.entry, get(F_ENTRY_CONTROLS)))
		return true;
	return !shadowed && (bad_tpr_threshold() || bad_injection());
}

static bool bad_fixed(u64 value, u64 fixed0, u64 fixed1)
{
	return (value & fixed0) != fixed0 || (value | fixed1) != fixed1;
}

static bool bad_pat(u64 pat)
{
	for (unsigned int i = 0; i < 64; i += 8) {
		switch (pat >> i & 0xff) {
		case 0:
		case 1:
		case 4:
		case 5:
		case 6:
		case 7:
			break;
		default:
			return true;
		}
	}
	return false;
}

static bool bad_host_registers(u64 exit, bool host_64bit)
{
	const u64 cr4 = get(F_HOST_CR4);

	if (bad_fixed(get(F_HOST_CR0), caps.cr0_fixed0, caps.cr0_fixed1) ||
	    bad_fixed(cr4, caps.cr4_fixed0, caps.cr4_fixed1))
		return true;
	if (bit(cr4, 23) && !bit(get(F_HOST_CR0), 16))
		return true;
	/* Bits 61 and 62 are LAM's, if CR4 has its bit 28. */
	if ((get(F_HOST_CR3) & ~(bit(caps.cr4_fixed1, 28) ? 3ull << 61 : 0)) >> WIDTH)
		return true;
	if (bit(exit, 19) && bad_pat(get(F_HOST_PAT)))
		return true;
	if (bit(exit, 21)) {
		const u64 efer = get(F_HOST_EFER);

		if ((efer & ~0xd01ull) || bit(efer, 8) != host_64bit || bit(efer, 10) != host_64bit)
			return true;
	}
	if (bit(exit, 12) && (get(F_HOST_PERF_GLOBAL_CTRL) & ~PERF_GLOBAL_CTRL))
		return true;
	if (bit(exit, 29) && get(F_HOST_PKRS) >> 32)
		return true;
	return false;
}

/* "load CET state"; the address-space size limits two of the registers. */
static bool bad_host_cet(u64 exit, bool host_64bit)
{
	const u64 s_cet = get(F_HOST_S_CET), ssp = get(F_HOST_SSP);

	if (!bit(exit, 28))
		return false;
	if (bad_canonical(s_cet) || (s_cet & 0x3c0) || (bit(s_cet, 10) && bit(s_cet, 11)))
		return true;
	if (bad_canonical(ssp) || ssp % 4 || bad_canonical(get(F_HOST_INTERRUPT_SSP_TABLE)))
		return true;
	return !host_64bit && (s_cet >> 32 || ssp >> 32);
}

static bool bad_host(void)
{
	const u64 exit = get(F_EXIT_CONTROLS);
	const bool host_64bit = bit(exit, 9);

	if (bad_host_registers(exit, host_64bit) || bad_host_cet(exit, host_64bit))
		return true;
	/* RPL and TI. */
	if ((get(F_HOST_CS_SELECTOR) | get(F_HOST_SS_SELECTOR) | get(F_HOST_DS_SELECTOR) |
	     get(F_HOST_ES_SELECTOR) | get(F_HOST_FS_SELECTOR) | get(F_HOST_GS_SELECTOR) |
	     get(F_HOST_TR_SELECTOR)) %
	    8)
		return true;
	if (!get(F_HOST_CS_SELECTOR) || !get(F_HOST_TR_SELECTOR) ||
	    (!host_64bit && !get(F_HOST_SS_SELECTOR)))
		return true;
	if (bad_canonical(get(F_HOST_SYSENTER_ESP)) || bad_canonical(get(F_HOST_SYSENTER_EIP)) ||
	    bad_canonical(get(F_HOST_FS_BASE)) || bad_canonical(get(F_HOST_GS_BASE)) ||
	    bad_canonical(get(F_HOST_GDTR_BASE)) || bad_canonical(get(F_HOST_IDTR_BASE)) ||
	    bad_canonical(get(F_HOST_TR_BASE)))
		return true;
	if (host_64bit != l1_64bit)
		return true;
	if (host_64bit)
		return !bit(get(F_HOST_CR4), 5) || bad_canonical(get(F_HOST_RIP));
	return bit(get(F_ENTRY_CONTROLS), 9) || bit(get(F_HOST_CR4), 17) || get(F_HOST_RIP) >> 32;
}

/* --- Inputs ----------------------------------------------------------------------------------- */

/* Controls whose rules are above, and those that no hypervisor is offered. */
static const u64 known_pin = 0xffffffff;
static const u64 known_primary = 0xffffffff;
static const u64 known_secondary = 0xc65f3fff & ~BIT(13);
/* Offered, with rules that another test has: VM functions and VMCS shadowing. */
static const u64 others_secondary = BIT(13) | BIT(14);
static const u64 known_exit = 0xffffffff;
static const u64 known_tertiary = 0xff;
static const u64 known_exit2 = 0x8;
static const u64 known_entry = 0xffffffff;

static vmx_control_cap random_cap(struct rng *rng, u32 must, u64 known)
{
	u64 may = 0xffffffff;

	if (rng_below(rng, 2))
		may &= ~(1ull << rng_below(rng, 32));
	return (may & known) << 32 | (must & may & known) | (u64)must << 32;
}

static void make_cpu(struct rng *rng)
{
	const struct vmx_capabilities hardware = {
		.has_vmx = true,
		.basic = ~0ull ^ (u64)rng_below(rng, 2) << 56,
		.pin = random_cap(rng, 0x16, known_pin),
		.primary = random_cap(rng, 0x04006172, known_primary),
		.secondary = random_cap(rng, 0, known_secondary),
		.exit = random_cap(rng, 0x36dfb, known_exit),
		.entry = random_cap(rng, 0x11fb, known_entry),
		.tertiary = random_cap(rng, 0, known_tertiary),
		.exit2 = random_cap(rng, 0, known_exit2),
		.misc = rng_below(rng, 5) << 16 | rng_below(rng, 2) << 30,
		.ept_vpid = rng_below(rng, 4) ? ~0ull : rng_next(rng),
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = 0x10ff67ff,
		.perf_global_ctrl = PERF_GLOBAL_CTRL,
	};

	nested_caps_init(&caps, &hardware, 1, WIDTH, (u32)rng_next(rng) & UNTESTED_ALL);
}

/* A vmcs12 that passes, of a 64-bit or a 32-bit L1. */
static void make_vmcs12(struct rng *rng)
{
	v = (struct vmcs12){0};
	l1_64bit = rng_below(rng, 4);
	v.f[F_PIN_CONTROLS] = (u32)caps.pin | 0x29;
	v.f[F_PRIMARY_CONTROLS] = (u32)caps.primary | 0x80000000;
	v.f[F_EXIT_CONTROLS] = (u32)caps.exit | (l1_64bit ? 0x200 : 0);
	v.f[F_ENTRY_CONTROLS] = (u32)caps.entry | (l1_64bit ? 0x200 : 0);
	/* With APIC virtualization and posted interrupts, as far as the CPU has them. */
	if (rng_below(rng, 2)) {
		v.f[F_PIN_CONTROLS] |= 0x80;
		v.f[F_PRIMARY_CONTROLS] |= 0x200000;
		v.f[F_SECONDARY_CONTROLS] |= 0x200;
		v.f[F_EXIT_CONTROLS] |= 0x8000;
	}
	if (rng_below(rng, 2))
		v.f[F_SECONDARY_CONTROLS] |= 2 & caps.secondary >> 32;
	v.f[F_EPT_POINTER] = 0x1000 | 0x1e;
	v.f[F_VPID] = 1;
	v.f[F_VM_ENTRY_INSTRUCTION_LENGTH] = 2;
	v.f[F_GUEST_CR0] = 0x80000021;
	v.f[F_HOST_CR0] = 0x80010021;
	v.f[F_HOST_CR4] = 0x2020;
	v.f[F_HOST_EFER] = l1_64bit ? 0xd01 : 1;
	v.f[F_HOST_PAT] = 0x0007040600070406;
	v.f[F_HOST_CS_SELECTOR] = 0x10;
	v.f[F_HOST_SS_SELECTOR] = 0x18;
	v.f[F_HOST_TR_SELECTOR] = 0x40;
	v.f[F_HOST_RIP] = 0x1000;
}

static const enum vmcs12_field checked[] = {
	F_PIN_CONTROLS,
	F_PRIMARY_CONTROLS,
	F_SECONDARY_CONTROLS,
	F_TERTIARY_CONTROLS,
	F_EXIT_CONTROLS,
	F_SECONDARY_EXIT_CONTROLS,
	F_ENTRY_CONTROLS,
	F_CR3_TARGET_COUNT,
	F_IO_BITMAP_A,
	F_IO_BITMAP_B,
	F_MSR_BITMAP,
	F_VIRTUAL_APIC_ADDR,
	F_TPR_THRESHOLD,
	F_PML_ADDRESS,
	F_VE_INFO_ADDR,
	F_VMREAD_BITMAP,
	F_VMWRITE_BITMAP,
	F_APIC_ACCESS_ADDR,
	F_POSTED_INTR_NOTIFICATION_VECTOR,
	F_POSTED_INTR_DESC_ADDR,
	F_EPT_POINTER,
	F_VPID,
	F_VM_EXIT_MSR_STORE_COUNT,
	F_VM_EXIT_MSR_STORE_ADDR,
	F_VM_EXIT_MSR_LOAD_COUNT,
	F_VM_EXIT_MSR_LOAD_ADDR,
	F_VM_ENTRY_MSR_LOAD_COUNT,
	F_VM_ENTRY_MSR_LOAD_ADDR,
	F_VM_ENTRY_INTR_INFO,
	F_VM_ENTRY_EXCEPTION_ERROR_CODE,
	F_VM_ENTRY_INSTRUCTION_LENGTH,
	F_HOST_CR0,
	F_HOST_CR3,
	F_HOST_CR4,
	F_HOST_EFER,
	F_HOST_PAT,
	F_HOST_PERF_GLOBAL_CTRL,
	F_HOST_PKRS,
	F_HOST_S_CET,
	F_HOST_SSP,
	F_HOST_INTERRUPT_SSP_TABLE,
	F_HOST_ES_SELECTOR,
	F_HOST_CS_SELECTOR,
	F_HOST_SS_SELECTOR,
	F_HOST_DS_SELECTOR,
	F_HOST_FS_SELECTOR,
	F_HOST_GS_SELECTOR,
	F_HOST_TR_SELECTOR,
	F_HOST_FS_BASE,
	F_HOST_GS_BASE,
	F_HOST_TR_BASE,
	F_HOST_GDTR_BASE,
	F_HOST_IDTR_BASE,
	F_HOST_SYSENTER_ESP,
	F_HOST_SYSENTER_EIP,
	F_HOST_RIP,
};

static u64 random_value(struct rng *rng, u64 old)
{
	static const u64 edges[] = {0,
				    1,
				    0xffff,
				    0xffffffff,
				    0x7fffffffffff,
				    0x800000000000,
				    0xffff7fffffffffff,
				    0xffff800000000000,
				    ~0ull,
				    (1ull << WIDTH) - 4096,
				    (1ull << WIDTH) - 16,
				    (1ull << WIDTH) - 1,
				    1ull << WIDTH,
				    0x80000b0d,
				    0x80000302,
				    0x80000700};

	switch (rng_below(rng, 4)) {
	case 0:
		return edges[rng_below(rng, ARRAY_SIZE(edges))];
	case 1:
		return rng_next(rng);
	default:
		return old ^ 1ull << rng_below(rng, 64);
	}
}

/* A field's rules hold while its control is set: mostly it has to be, or nothing is compared. */
static void set_control_of(enum vmcs12_field f)
{
	static const enum vmcs12_field words[CONTROL_WORDS] = {
		[CONTROL_WORD_PIN] = F_PIN_CONTROLS,
		[CONTROL_WORD_PRIMARY] = F_PRIMARY_CONTROLS,
		[CONTROL_WORD_SECONDARY] = F_SECONDARY_CONTROLS,
		[CONTROL_WORD_EXIT] = F_EXIT_CONTROLS,
		[CONTROL_WORD_ENTRY] = F_ENTRY_CONTROLS,
		[CONTROL_WORD_TERTIARY] = F_TERTIARY_CONTROLS,
		[CONTROL_WORD_EXIT2] = F_SECONDARY_EXIT_CONTROLS,
	};
	const u8 needs = field_info[f].needs;

	if (needs < CONTROL_COUNT)
		v.f[words[control_info[needs].word]] |= control_info[needs].bit;
}

static void change(struct rng *rng)
{
	const enum vmcs12_field f = checked[rng_below(rng, ARRAY_SIZE(checked))];
	u64 value = random_value(rng, v.f[f]);

	if (rng_below(rng, 2))
		set_control_of(f);
	switch (f) {
	case F_PRIMARY_CONTROLS:
		value &= known_primary;
		break;
	case F_SECONDARY_CONTROLS:
		value &= known_secondary;
		break;
	case F_EXIT_CONTROLS:
		value &= known_exit;
		break;
	case F_VM_ENTRY_INTR_INFO:
		if (rng_below(rng, 4))
			value = 0x80000000 | rng_below(rng, 8) << 8 | rng_below(rng, 34) |
				rng_below(rng, 2) << 11;
		if (rng_below(rng, 8) == 0)
			value ^= 1ull << rng_below(rng, 32);
		/* Whether #CP has an error code is the processor's affair. */
		if ((value & 0x7ff) == (3 << 8 | 21))
			value ^= 1;
		break;
	default:
		break;
	}
	v.f[f] = field_truncate(f, value);
}

static void same(const char *failed, bool bad)
{
	if (!failed == bad)
		MACHINE_FAIL("the check says %s, the SDM %s", failed ? failed : "good",
			     bad ? "bad" : "good");
}

/* A control that is new in the table needs its rules here, if there are any, and its bit below. */
static void know_all_controls(void)
{
	const u64 known[CONTROL_WORDS] = {
		[CONTROL_WORD_PIN] = 0xe9,
		[CONTROL_WORD_PRIMARY] = 0xfbfb9e8c,
		[CONTROL_WORD_SECONDARY] = known_secondary | others_secondary,
		[CONTROL_WORD_EXIT] = 0xfcfc9204,
		[CONTROL_WORD_ENTRY] = 0x79e204,
		[CONTROL_WORD_TERTIARY] = 0xc1,
		[CONTROL_WORD_EXIT2] = known_exit2,
	};

	for (u32 word = 0; word < CONTROL_WORDS; word++) {
		const u64 offered = controls_with((enum control_word)word, CONTROL_TAKEN) |
				    controls_with((enum control_word)word, CONTROL_UMBRAS) |
				    controls_with((enum control_word)word, CONTROL_EMULATED) |
				    controls_with((enum control_word)word, CONTROL_UNTESTED);

		REQUIRE(!(offered & ~known[word]));
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct rng rng = {.data = data, .left = size};
	struct check_context context = {.caps = &caps, .perf_global_ctrl = PERF_GLOBAL_CTRL};

	know_all_controls();
	make_cpu(&rng);
	make_vmcs12(&rng);
	context.l1_in_ia32e = l1_64bit;
	context.shadowed = rng_below(&rng, 2);
	same(check_host_state(&v, &context), bad_host());
	while (rng.left) {
		change(&rng);
		same(check_controls(&v, &context), bad_controls(context.shadowed));
		same(check_host_state(&v, &context), bad_host());
	}
	return 0;
}
