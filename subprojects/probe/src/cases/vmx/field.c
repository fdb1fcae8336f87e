/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Field Encoding in VMCS", "VMREAD", "VMWRITE": every field, in memory and out. */
#include "memory.h"
#include "string.h"
#include "vmx/fields.h"
#include "vmx/l2.h"

enum { MANY = 40 };

static u64 new_vmcs(struct run *t)
{
	u64 pa = (u64)vmx_pages(1);

	vmx_prepare_region((void *)pa);
	CHECK_VM(t, try_vmclear(pa), VM_OK);
	CHECK_VM(t, try_vmptrld(pa), VM_OK);
	return pa;
}

static bool begin(struct run *t)
{
	if (!vmx_prepare(t) || !vmx_on(t))
		return false;
	new_vmcs(t);
	return true;
}

static bool writable(u32 encoding)
{
	return !field_read_only(encoding) || rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_RO;
}

/* Not on each CPU: Bochs 2.7 supports every field, and every encoding, on all but the first. */
PROBE_CASE(field_existence, "vmx.field.existence", CASE_ONCE)
{
	if (!begin(t))
		return;
	for (unsigned i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field *f = &vmcs_fields[i];
		u64 value = 7, want = field_exists(f) ? VM_OK : VM_FAIL(VMERR_UNSUPPORTED_FIELD);
		u64 outcome = try_vmread(f->encoding, &value);

		CHECK(t, outcome == want, "VMREAD %s: %s", f->name, vm_outcome_name(outcome));
		if (outcome == VM_OK)
			CHECK(t, !(value & ~field_mask(f->encoding)) || f->encoding >> 12 == 4,
			      "VMREAD %s: %lx", f->name, value);
		else
			CHECK(t, value == 7, "VMREAD %s changed the destination", f->name);
		if (want == VM_OK && !writable(f->encoding))
			want = VM_FAIL(VMERR_VMWRITE_READ_ONLY);
		outcome = try_vmwrite(f->encoding, 0);
		CHECK(t, outcome == want, "VMWRITE %s: %s", f->name, vm_outcome_name(outcome));
	}
}

/* "High" is for 64-bit fields only; bits 12 and 31:15, and in 64-bit mode 63:32, must be 0. */
PROBE_CASE(field_encoding, "vmx.field.reserved_encoding_bits", CASE_ONCE)
{
	u64 value = 0;

	if (!begin(t))
		return;
	for (unsigned i = 0; i < vmcs_field_count; i++) {
		u64 encoding = vmcs_fields[i].encoding;

		if (!field_exists(&vmcs_fields[i]) || field_width((u32)encoding) == VMCS_WIDTH_64)
			continue;
		CHECK(t, try_vmread(encoding | 1, &value) == VM_FAIL(VMERR_UNSUPPORTED_FIELD),
		      "VMREAD %lx: no failure", encoding | 1);
		CHECK(t, try_vmwrite(encoding | 1, 0) == VM_FAIL(VMERR_UNSUPPORTED_FIELD),
		      "VMWRITE %lx: no failure", encoding | 1);
	}
	for (unsigned bit = 12; bit < 64; bit++) {
		if (bit == 13 || bit == 14)
			continue;
		CHECK_VM(t, try_vmread(VMCS_GUEST_RIP | BIT(bit), &value),
			 VM_FAIL(VMERR_UNSUPPORTED_FIELD));
		CHECK_VM(t, try_vmwrite(VMCS_GUEST_RIP | BIT(bit), 0),
			 VM_FAIL(VMERR_UNSUPPORTED_FIELD));
	}
}

PROBE_CASE(field_width_case, "vmx.field.width", CASE_EACH_CPU)
{
	static const u64 values[] = {~0ull, 0, 0x8000000080008001, 0x123456789abcdef0};

	if (!begin(t))
		return;
	for (unsigned i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field *f = &vmcs_fields[i];
		u64 mask = field_mask(f->encoding);

		if (!field_exists(f) || !writable(f->encoding))
			continue;
		for (unsigned v = 0; v < ARRAY_SIZE(values); v++) {
			u64 got;

			/* Access rights: what a processor keeps of reserved bits is its own. */
			vmwrite(f->encoding, mask == BITS(31, 0) || mask == BITS(15, 0)
						     ? values[v]
						     : values[v] & mask);
			got = vmread(f->encoding);
			CHECK(t, got == (values[v] & mask), "%s: wrote %lx, read %lx", f->name,
			      values[v], got);
		}
	}
}

PROBE_CASE(field_high, "vmx.field.high_halves", CASE_EACH_CPU)
{
	if (!begin(t))
		return;
	for (unsigned i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field *f = &vmcs_fields[i];
		u64 full, high;

		if (!field_exists(f) || field_width(f->encoding) != VMCS_WIDTH_64)
			continue;
		if (!writable(f->encoding)) {
			CHECK_VM(t, try_vmwrite(f->encoding | 1, 0),
				 VM_FAIL(VMERR_VMWRITE_READ_ONLY));
			continue;
		}
		vmwrite(f->encoding, 0x1111111122222222);
		high = vmread(f->encoding | 1);
		CHECK(t, high == 0x11111111, "%s: high half %lx", f->name, high);
		/* Bits 63:32 of the source are ignored for a high half. */
		vmwrite(f->encoding | 1, 0xdddddddd89abcdef);
		full = vmread(f->encoding);
		CHECK(t, full == 0x89abcdef22222222, "%s: %lx", f->name, full);
	}
}

static void fill(u64 salt)
{
	for (unsigned i = 0; i < vmcs_field_count; i++)
		if (field_exists(&vmcs_fields[i]) && !field_read_only(vmcs_fields[i].encoding))
			vmwrite(vmcs_fields[i].encoding,
				field_pattern(vmcs_fields[i].encoding, salt));
}

static void verify(struct run *t, u64 salt)
{
	for (unsigned i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field *f = &vmcs_fields[i];
		u64 got, want = field_pattern(f->encoding, salt);

		if (!field_exists(f) || field_read_only(f->encoding))
			continue;
		got = vmread(f->encoding);
		CHECK(t, got == want, "%s of VMCS %lu: %lx, expected %lx", f->name, salt, got,
		      want);
	}
}

PROBE_CASE(field_vmclear, "vmx.field.survives_vmclear", CASE_EACH_CPU)
{
	u64 vmcs;

	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	vmcs = new_vmcs(t);
	fill(1);
	verify(t, 1);
	CHECK_VM(t, try_vmclear(vmcs), VM_OK);
	CHECK_VM(t, try_vmptrld(vmcs), VM_OK);
	verify(t, 1);
	/* Out of VMX operation and back: what VMCLEAR wrote is in memory. */
	CHECK_VM(t, try_vmclear(vmcs), VM_OK);
	CHECK_VM(t, try_vmxoff(), VM_OK);
	if (!vmx_on(t))
		return;
	CHECK_VM(t, try_vmptrld(vmcs), VM_OK);
	verify(t, 1);
}

/* A copied region is a VMCS too, once VMCLEAR has made it memory. */
PROBE_CASE(field_many, "vmx.field.many_vmcs", CASE_ONCE)
{
	u64 vmcs[MANY];

	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	for (unsigned i = 0; i < MANY; i++) {
		vmcs[i] = new_vmcs(t);
		fill(i);
	}
	/* Backwards, then with a stride, without VMCLEAR: all are active. */
	for (unsigned i = MANY; i--;) {
		CHECK_VM(t, try_vmptrld(vmcs[i]), VM_OK);
		verify(t, i);
	}
	for (unsigned i = 0; i < MANY; i++) {
		unsigned n = i * 7 % MANY;

		CHECK_VM(t, try_vmptrld(vmcs[n]), VM_OK);
		vmwrite(VMCS_GUEST_RIP, n);
	}
	for (unsigned i = 0; i < MANY; i++) {
		CHECK_VM(t, try_vmptrld(vmcs[i]), VM_OK);
		CHECK_EQ(t, vmread(VMCS_GUEST_RIP), i);
		CHECK_EQ(t, vmread(VMCS_GUEST_RSP), field_pattern(VMCS_GUEST_RSP, i));
	}
	for (unsigned i = 0; i < MANY; i++)
		CHECK_VM(t, try_vmclear(vmcs[i]), VM_OK);
}

static struct {
	struct run *t;
	u64 vmcs;
	u64 salt;
} migration;

static void take_over(void *unused)
{
	struct run *t = migration.t;

	(void)unused;
	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	CHECK_VM(t, try_vmptrld(migration.vmcs), VM_OK);
	verify(t, migration.salt);
	migration.salt++;
	fill(migration.salt);
	CHECK_VM(t, try_vmclear(migration.vmcs), VM_OK);
	vmx_cleanup();
}

/* SDM "Initializing a VMCS"/VMCLEAR: what moves a VMCS to another logical processor. */
PROBE_CASE(field_migrate, "vmx.field.migrate", CASE_ONCE)
{
	u64 vmcs;

	SKIP_UNLESS(t, smp_count() > 1, "one CPU");
	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	vmcs = new_vmcs(t);
	fill(1);
	CHECK_VM(t, try_vmclear(vmcs), VM_OK);
	migration.t = t;
	migration.vmcs = vmcs;
	migration.salt = 1;
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 1; i < smp_count(); i++)
			CHECK(t, smp_run_on(smp_cpu(i), take_over, NULL), "CPU %u failed", i);
	CHECK_VM(t, try_vmptrld(vmcs), VM_OK);
	verify(t, migration.salt);
}
