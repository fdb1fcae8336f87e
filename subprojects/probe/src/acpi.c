/* SPDX-License-Identifier: BSD-2-Clause */
#include "acpi.h"

#include "string.h"

struct __attribute__((packed)) acpi_rsdp {
	char signature[8];
	u8 checksum;
	char oem[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
};

struct __attribute__((packed)) acpi_table {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[6], oem_table[8];
	u32 oem_revision, creator, creator_revision;
};
_Static_assert(sizeof(struct acpi_table) == 36, "ACPI: description header");

enum {
	RSDP_V1_SIZE = 20,
	RSDP_ALIGN = 16,
	EBDA_POINTER = 0x40e,
	EBDA_SCAN = 1024,
	BIOS_START = 0xe0000,
	BIOS_END = 0x100000,
	MADT_ENTRIES = 44,
	MADT_LAPIC = 0,
	MADT_X2APIC = 9,
	MADT_ENABLED = 1,
	MADT_ONLINE_CAPABLE = 2,
	FADT_FACS = 36,
	FADT_DSDT = 40,
	FADT_PM1A_EVENT = 56,
	FADT_PM1A = 64,
	FADT_PM1B = 68,
	FADT_X_FACS = 132,
	FADT_X_FACS_END = 140,
	FACS_WAKING_VECTOR = 12,
	AML_NAME = 0x08,
	AML_PACKAGE = 0x12,
	AML_BYTE = 0x0a,
	AML_ONE = 0x01,
};

/* A copy: the loader's may lie in memory that is used for something else later. */
static struct acpi_rsdp root;

/* A table's address or field, read where it may be unaligned. */
static u32 load32(paddr_t p)
{
	u32 v;

	memcpy(&v, (const void *)p, sizeof(v));
	return v;
}

static u64 load64(paddr_t p)
{
	return load32(p) | (u64)load32(p + 4) << 32;
}

static bool sum_is_zero(paddr_t p, size_t n)
{
	u8 sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (u8)(sum + ((const u8 *)p)[i]);
	return sum == 0;
}

static bool is_rsdp(paddr_t p)
{
	return memcmp((const void *)p, "RSD PTR ", 8) == 0 && sum_is_zero(p, RSDP_V1_SIZE);
}

static paddr_t scan(paddr_t from, paddr_t to)
{
	for (paddr_t p = from; p < to; p += RSDP_ALIGN)
		if (is_rsdp(p))
			return p;
	return 0;
}

bool acpi_init(paddr_t rsdp)
{
	/* The BIOS data area's word; volatile, since a compiler sees address 0x40e as no object. */
	volatile const u16 *ebda = (volatile const u16 *)EBDA_POINTER;
	paddr_t p = rsdp && is_rsdp(rsdp) ? rsdp : 0;

	if (!p)
		p = scan((paddr_t)*ebda << 4, ((paddr_t)*ebda << 4) + EBDA_SCAN);
	if (!p)
		p = scan(BIOS_START, BIOS_END);
	if (!p)
		return false;
	root = *(const struct acpi_rsdp *)p;
	return true;
}

static const struct acpi_table *find(const char *signature)
{
	bool wide = root.revision >= 2 && root.xsdt;
	const struct acpi_table *list;
	size_t entry_size = wide ? 8 : 4;

	list = (const void *)(wide ? root.xsdt : (u64)root.rsdt);
	if (!list)
		return NULL;
	for (size_t at = sizeof(*list); at + entry_size <= list->length; at += entry_size) {
		paddr_t entry = (paddr_t)list + at;
		const struct acpi_table *t =
			(const void *)(wide ? load64(entry) : (u64)load32(entry));

		if (memcmp(t->signature, signature, 4) == 0)
			return t;
	}
	return NULL;
}

bool acpi_has_table(const char *signature)
{
	return find(signature);
}

bool acpi_cpus(struct acpi_cpus *out)
{
	const struct acpi_table *madt = find("APIC");
	const u8 *base = (const u8 *)madt;

	out->count = out->to_come = 0;
	if (!madt)
		return false;
	for (u32 at = MADT_ENTRIES; at + 2 <= madt->length && base[at + 1]; at += base[at + 1]) {
		const u8 *e = base + at;
		u32 id, flags;

		if (e[0] == MADT_LAPIC) {
			id = e[3];
			flags = load32((paddr_t)e + 4);
		} else if (e[0] == MADT_X2APIC) {
			id = load32((paddr_t)e + 4);
			flags = load32((paddr_t)e + 8);
		} else {
			continue;
		}
		out->to_come +=
			(flags & (MADT_ENABLED | MADT_ONLINE_CAPABLE)) == MADT_ONLINE_CAPABLE;
		if (flags & MADT_ENABLED && out->count < ACPI_MAX_CPUS)
			out->apic_id[out->count++] = id;
	}
	return out->count != 0;
}

/* One integer of an AML package; *p moves past it. */
static u8 aml_small_integer(const u8 **p)
{
	u8 op = *(*p)++;

	if (op == AML_BYTE)
		return *(*p)++;
	return op == AML_ONE ? 1 : 0;
}

bool acpi_sleep(const char *state, struct acpi_sleep *out)
{
	const struct acpi_table *fadt = find("FACP");
	const struct acpi_table *dsdt;
	const u8 *p, *end;

	if (!fadt)
		return false;
	out->pm1a = (u16)load32((paddr_t)fadt + FADT_PM1A);
	out->pm1b = (u16)load32((paddr_t)fadt + FADT_PM1B);
	out->pm1a_status = (u16)load32((paddr_t)fadt + FADT_PM1A_EVENT);
	dsdt = (const void *)(u64)load32((paddr_t)fadt + FADT_DSDT);
	if (!dsdt || !out->pm1a)
		return false;
	/* The name, PackageOp, PkgLength, the element count, two integers. */
	end = (const u8 *)dsdt + dsdt->length - 9;
	for (p = (const u8 *)(dsdt + 1); p <= end; p++) {
		if (memcmp(p, state, 4) != 0 || p[4] != AML_PACKAGE)
			continue;
		if (p[-1] != AML_NAME && !(p[-1] == '\\' && p[-2] == AML_NAME))
			continue;
		/* PkgLength's first byte tells how many follow it; then the element count. */
		p += 5 + (p[5] >> 6) + 2;
		out->type_a = aml_small_integer(&p);
		out->type_b = aml_small_integer(&p);
		return true;
	}
	return false;
}

bool acpi_set_waking_vector(u32 vector)
{
	const struct acpi_table *fadt = find("FACP");
	paddr_t facs;

	if (!fadt)
		return false;
	facs = load32((paddr_t)fadt + FADT_FACS);
	if (fadt->length >= FADT_X_FACS_END && load64((paddr_t)fadt + FADT_X_FACS))
		facs = load64((paddr_t)fadt + FADT_X_FACS);
	if (!facs)
		return false;
	*(volatile u32 *)(facs + FACS_WAKING_VECTOR) = vector;
	return true;
}
