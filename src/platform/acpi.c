/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/acpi.h"

#include "lib/string.h"

#define PACKED __attribute__((packed))

/* "Root System Description Pointer (RSDP) Structure" */
struct rsdp {
	char signature[8];
	u8 checksum; /* of the first 20 bytes */
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	/* from revision 2 on */
	u32 length;
	u64 xsdt;
	u8 extended_checksum; /* of all */
	u8 reserved[3];
} PACKED;
_Static_assert(sizeof(struct rsdp) == 36 && offsetof(struct rsdp, length) == 20, "RSDP");

enum { RSDP_V1_LEN = 20 };

/* "System Description Table Header" */
struct header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	u32 creator_id;
	u32 creator_revision;
} PACKED;
_Static_assert(sizeof(struct header) == 36, "table header");

/* Tables that list things are kilobytes; a longer one is a damaged length. */
static const u32 TABLE_MAX = 1u << 20;

/* "Multiple APIC Description Table (MADT)" */
struct madt {
	struct header header;
	u32 lapic;
	u32 flags;
} PACKED;
_Static_assert(sizeof(struct madt) == 44, "MADT");

enum madt_type { MADT_LAPIC = 0, MADT_LAPIC_ADDRESS = 5, MADT_X2APIC = 9 };

struct madt_entry {
	u8 type;
	u8 length;
} PACKED;

/* "Processor Local APIC Structure" */
struct madt_lapic {
	struct madt_entry entry;
	u8 uid;
	u8 id;
	u32 flags;
} PACKED;
_Static_assert(sizeof(struct madt_lapic) == 8, "local APIC entry");

/* "Local APIC Address Override Structure" */
struct madt_lapic_address {
	struct madt_entry entry;
	u16 reserved;
	u64 address;
} PACKED;
_Static_assert(sizeof(struct madt_lapic_address) == 12, "local APIC address entry");

/* "Processor Local x2APIC Structure" */
struct madt_x2apic {
	struct madt_entry entry;
	u16 reserved;
	u32 id;
	u32 flags;
	u32 uid;
} PACKED;
_Static_assert(sizeof(struct madt_x2apic) == 16, "local x2APIC entry");

/* "Local APIC Flags" */
enum { CPU_ENABLED = 1u << 0, CPU_ONLINE_CAPABLE = 1u << 1 };

/* Broadcast IDs, which firmware puts into the entries of absent CPUs. */
static const u32 LAPIC_ID_NONE = 0xff;
static const u32 X2APIC_ID_NONE = 0xffffffff;

/* "Generic Address Structure (GAS)" */
struct gas {
	u8 space;
	u8 width;
	u8 offset;
	u8 access;
	u64 address;
} PACKED;
_Static_assert(sizeof(struct gas) == 12, "generic address");

/* "Fixed ACPI Description Table (FADT)", what Umbra reads of it. */
struct fadt {
	struct header header;
	u8 before_pm_timer[40];
	u32 pm_timer;
	u8 before_pm_timer_len[11];
	u8 pm_timer_len;
	u8 before_flags[20];
	u32 flags;
	struct gas reset;
	u8 reset_value;
	u8 before_x_pm_timer[79];
	struct gas x_pm_timer;
} PACKED;
_Static_assert(offsetof(struct fadt, pm_timer) == 76, "PM_TMR_BLK");
_Static_assert(offsetof(struct fadt, pm_timer_len) == 91, "PM_TMR_LEN");
_Static_assert(offsetof(struct fadt, flags) == 112, "Flags");
_Static_assert(offsetof(struct fadt, reset) == 116, "RESET_REG");
_Static_assert(offsetof(struct fadt, reset_value) == 128, "RESET_VALUE");
_Static_assert(offsetof(struct fadt, x_pm_timer) == 208, "X_PM_TMR_BLK");

/* ACPI 1.0's FADT ends with the flags. */
enum { FADT_V1_LEN = 116 };

/* "Fixed ACPI Description Table Fixed Feature Flags" */
enum {
	FADT_TMR_VAL_EXT = 1u << 8,
	FADT_RESET_REG_SUP = 1u << 10,
	FADT_HW_REDUCED_ACPI = 1u << 20,
};

struct reader {
	acpi_map_fn map;
	void *ctx;
};

static const void *map_range(const struct reader *r, paddr_t pa, size_t len)
{
	return pa == 0 || pa > UINT64_MAX - len ? NULL : r->map(r->ctx, pa, len);
}

static bool sums_to_zero(const void *data, size_t n)
{
	const u8 *bytes = data;
	u8 sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (u8)(sum + bytes[i]);
	return sum == 0;
}

static bool has_signature(const struct header *h, const char *signature)
{
	return memcmp(h->signature, signature, sizeof(h->signature)) == 0;
}

enum table_status { TABLE_OK, TABLE_UNREADABLE, TABLE_LENGTH, TABLE_CHECKSUM };

/* Map a whole table of at least `min` bytes. `length` is to be used from then on: what the
 * table says of itself may have been read at another time. */
static enum table_status map_table(const struct reader *r, paddr_t pa, u32 min, const void **table,
				   u32 *length)
{
	const struct header *h = map_range(r, pa, sizeof(*h));

	if (!h)
		return TABLE_UNREADABLE;
	*length = h->length;
	if (*length < min || *length > TABLE_MAX)
		return TABLE_LENGTH;
	*table = map_range(r, pa, *length);
	if (!*table)
		return TABLE_UNREADABLE;
	return sums_to_zero(*table, *length) ? TABLE_OK : TABLE_CHECKSUM;
}

static void add_cpu(struct acpi_info *out, u32 id, u32 none, u32 flags)
{
	if (id == none) {
		out->cpus_ignored++;
		return;
	}
	if (!(flags & CPU_ENABLED)) {
		if (flags & CPU_ONLINE_CAPABLE)
			out->cpus_online_capable++;
		else
			out->cpus_ignored++;
		return;
	}
	/* A CPU whose ID fits either kind of entry may be listed in both. */
	for (u32 i = 0; i < out->cpu_count; i++) {
		if (out->apic_id[i] == id)
			return;
	}
	if (out->cpu_count == ACPI_MAX_CPUS)
		out->cpus_over_limit++;
	else
		out->apic_id[out->cpu_count++] = id;
}

static enum acpi_status parse_madt(const struct reader *r, paddr_t pa, struct acpi_info *out)
{
	static const enum acpi_status status[] = {
		[TABLE_OK] = ACPI_OK,
		[TABLE_UNREADABLE] = ACPI_MADT_UNREADABLE,
		[TABLE_LENGTH] = ACPI_MADT_LENGTH,
		[TABLE_CHECKSUM] = ACPI_MADT_CHECKSUM,
	};
	const void *table;
	u32 length;
	enum table_status mapped = map_table(r, pa, sizeof(struct madt), &table, &length);

	if (mapped != TABLE_OK)
		return status[mapped];
	out->lapic_base = ((const struct madt *)table)->lapic;

	for (u32 at = sizeof(struct madt); at < length;) {
		const struct madt_entry *e = (const void *)((const u8 *)table + at);
		const struct madt_lapic *lapic = (const void *)e;
		const struct madt_x2apic *x2apic = (const void *)e;
		const struct madt_lapic_address *address = (const void *)e;
		size_t needed = sizeof(*e);

		if (length - at < sizeof(*e))
			return ACPI_MADT_ENTRY_OVERRUN;
		if (e->type == MADT_LAPIC)
			needed = sizeof(*lapic);
		else if (e->type == MADT_X2APIC)
			needed = sizeof(*x2apic);
		else if (e->type == MADT_LAPIC_ADDRESS)
			needed = sizeof(*address);
		if (e->length < needed)
			return ACPI_MADT_ENTRY_SHORT;
		if (e->length > length - at)
			return ACPI_MADT_ENTRY_OVERRUN;

		if (e->type == MADT_LAPIC)
			add_cpu(out, lapic->id, LAPIC_ID_NONE, lapic->flags);
		else if (e->type == MADT_X2APIC)
			add_cpu(out, x2apic->id, X2APIC_ID_NONE, x2apic->flags);
		else if (e->type == MADT_LAPIC_ADDRESS)
			out->lapic_base = address->address;
		at += e->length;
	}
	out->has_madt = true;
	return ACPI_OK;
}

static void parse_reset(const struct fadt *fadt, u32 length, struct acpi_info *out)
{
	if (length <= offsetof(struct fadt, reset_value) || !(fadt->flags & FADT_RESET_REG_SUP))
		return;
	/* Firmware that has no such register leaves the address 0, whatever the flag says. */
	if (fadt->reset.space > ACPI_SPACE_PCI || fadt->reset.address == 0)
		return;
	if (fadt->reset.space == ACPI_SPACE_IO && fadt->reset.address > UINT16_MAX)
		return;
	out->reset.valid = true;
	out->reset.space = fadt->reset.space;
	out->reset.width = fadt->reset.width;
	out->reset.addr = fadt->reset.address;
	out->reset.value = fadt->reset_value;
}

static void parse_pm_timer(const struct fadt *fadt, u32 length, struct acpi_info *out)
{
	u64 port = 0;

	if (fadt->flags & FADT_HW_REDUCED_ACPI)
		return;
	/* The extended block, when it is filled in, supersedes the old one. */
	if (length >= sizeof(*fadt) && fadt->x_pm_timer.address != 0) {
		if (fadt->x_pm_timer.space == ACPI_SPACE_IO)
			port = fadt->x_pm_timer.address;
	} else if (fadt->pm_timer_len == 4) {
		port = fadt->pm_timer;
	}
	if (port == 0 || port > UINT16_MAX)
		return;
	out->pm_timer_port = (u16)port;
	out->pm_timer_32bit = fadt->flags & FADT_TMR_VAL_EXT;
}

static enum acpi_status parse_fadt(const struct reader *r, paddr_t pa, struct acpi_info *out)
{
	static const enum acpi_status status[] = {
		[TABLE_OK] = ACPI_OK,
		[TABLE_UNREADABLE] = ACPI_FADT_UNREADABLE,
		[TABLE_LENGTH] = ACPI_FADT_LENGTH,
		[TABLE_CHECKSUM] = ACPI_FADT_CHECKSUM,
	};
	const void *table;
	u32 length;
	enum table_status mapped = map_table(r, pa, FADT_V1_LEN, &table, &length);

	if (mapped != TABLE_OK)
		return status[mapped];
	parse_reset(table, length, out);
	parse_pm_timer(table, length, out);
	return ACPI_OK;
}

/* The RSDT or XSDT, checked; entries are `width` bytes each. */
struct root {
	const u8 *entries;
	u32 count;
	u32 width;
};

static enum acpi_status map_root(const struct reader *r, paddr_t pa, const char *signature,
				 u32 width, struct root *root)
{
	static const enum acpi_status status[] = {
		[TABLE_OK] = ACPI_OK,
		[TABLE_UNREADABLE] = ACPI_ROOT_UNREADABLE,
		[TABLE_LENGTH] = ACPI_ROOT_LENGTH,
		[TABLE_CHECKSUM] = ACPI_ROOT_CHECKSUM,
	};
	const struct header *h = map_range(r, pa, sizeof(*h));
	const void *table;
	u32 length;
	enum table_status mapped;

	if (!h)
		return ACPI_ROOT_UNREADABLE;
	if (!has_signature(h, signature))
		return ACPI_ROOT_SIGNATURE;
	mapped = map_table(r, pa, sizeof(*h), &table, &length);
	if (mapped != TABLE_OK)
		return status[mapped];
	if ((length - sizeof(*h)) % width != 0)
		return ACPI_ROOT_LENGTH;
	*root = (struct root){
		.entries = (const u8 *)table + sizeof(*h),
		.count = (u32)(length - sizeof(*h)) / width,
		.width = width,
	};
	return ACPI_OK;
}

static enum acpi_status find_root(const struct reader *r, const u8 *bytes, size_t len,
				  struct root *root)
{
	struct rsdp rsdp = {0};
	enum acpi_status status = ACPI_NO_ROOT;

	if (len == 0)
		return ACPI_NO_RSDP;
	if (len < RSDP_V1_LEN)
		return ACPI_RSDP_SHORT;
	memcpy(&rsdp, bytes, len < sizeof(rsdp) ? len : sizeof(rsdp));
	if (memcmp(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature)) != 0)
		return ACPI_RSDP_SIGNATURE;
	if (!sums_to_zero(bytes, RSDP_V1_LEN))
		return ACPI_RSDP_CHECKSUM;

	/* A damaged extension costs only the XSDT: its first 20 bytes have a sum of their own. */
	if (rsdp.revision >= 2 && len >= sizeof(rsdp) && rsdp.length >= sizeof(rsdp) &&
	    rsdp.length <= len && rsdp.xsdt != 0) {
		status = sums_to_zero(bytes, rsdp.length)
				 ? map_root(r, rsdp.xsdt, "XSDT", sizeof(u64), root)
				 : ACPI_RSDP_CHECKSUM;
		if (status == ACPI_OK)
			return ACPI_OK;
	}
	if (rsdp.rsdt != 0) {
		enum acpi_status old = map_root(r, rsdp.rsdt, "RSDT", sizeof(u32), root);

		/* When both fail, it is the XSDT's trouble that wants mending. */
		if (old == ACPI_OK || status == ACPI_NO_ROOT)
			return old;
	}
	return status;
}

enum acpi_status acpi_parse(const u8 *rsdp, size_t len, acpi_map_fn map, void *ctx,
			    struct acpi_info *out)
{
	const struct reader reader = {.map = map, .ctx = ctx};
	struct root root;
	bool seen_madt = false, seen_fadt = false;
	enum acpi_status status;

	memset(out, 0, sizeof(*out));
	status = find_root(&reader, rsdp, len, &root);
	if (status != ACPI_OK)
		return status;

	for (u32 i = 0; i < root.count; i++) {
		enum acpi_status one = ACPI_OK;
		const struct header *h;
		paddr_t pa = 0;

		/* Little-endian: the narrow entry fills the low half. */
		memcpy(&pa, root.entries + (size_t)i * root.width, root.width);
		h = map_range(&reader, pa, sizeof(*h));
		if (!h)
			continue;
		/* The specification allows one of each; of two the first counts. */
		if (!seen_madt && has_signature(h, "APIC")) {
			seen_madt = true;
			one = parse_madt(&reader, pa, out);
		} else if (!seen_fadt && has_signature(h, "FACP")) {
			seen_fadt = true;
			one = parse_fadt(&reader, pa, out);
		}
		if (status == ACPI_OK)
			status = one;
	}
	return status;
}

const char *acpi_status_text(enum acpi_status status)
{
	static const char *const text[ACPI_STATUS_COUNT] = {
		[ACPI_OK] = "ACPI tables are valid",
		[ACPI_NO_RSDP] = "the boot loader gave no ACPI root pointer",
		[ACPI_RSDP_SHORT] = "the ACPI root pointer is too short",
		[ACPI_RSDP_SIGNATURE] = "the ACPI root pointer has a wrong signature",
		[ACPI_RSDP_CHECKSUM] = "the ACPI root pointer has a wrong checksum",
		[ACPI_NO_ROOT] = "the ACPI root pointer names no root table",
		[ACPI_ROOT_UNREADABLE] = "the ACPI root table cannot be read",
		[ACPI_ROOT_SIGNATURE] = "the ACPI root table has a wrong signature",
		[ACPI_ROOT_LENGTH] = "the ACPI root table's length is impossible",
		[ACPI_ROOT_CHECKSUM] = "the ACPI root table has a wrong checksum",
		[ACPI_MADT_UNREADABLE] = "the MADT cannot be read",
		[ACPI_MADT_LENGTH] = "the MADT's length is impossible",
		[ACPI_MADT_CHECKSUM] = "the MADT has a wrong checksum",
		[ACPI_MADT_ENTRY_SHORT] = "an entry of the MADT is too short for its type",
		[ACPI_MADT_ENTRY_OVERRUN] = "an entry of the MADT runs past its end",
		[ACPI_FADT_UNREADABLE] = "the FADT cannot be read",
		[ACPI_FADT_LENGTH] = "the FADT's length is impossible",
		[ACPI_FADT_CHECKSUM] = "the FADT has a wrong checksum",
	};

	if ((u32)status >= ACPI_STATUS_COUNT)
		return "unknown ACPI error";
	return text[status];
}
