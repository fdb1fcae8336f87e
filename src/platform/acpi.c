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

/* "Fixed ACPI Description Table (FADT)": offsets of what Umbra reads of it. */
enum {
	FADT_FIRMWARE_CTRL = 36,
	FADT_DSDT = 40,
	FADT_PM1A_EVT_BLK = 56, /* behind each of PM1a there is one of PM1b */
	FADT_PM1A_CNT_BLK = 64,
	FADT_PM_TMR_BLK = 76,
	FADT_PM_TMR_LEN = 91,
	FADT_FLAGS = 112,
	FADT_V1_LENGTH = 116, /* ACPI 1.0's ends here */
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_FIRMWARE_CTRL = 132,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_EVT_BLK = 148,
	FADT_X_PM1A_CNT_BLK = 172,
	FADT_X_PM_TMR_BLK = 208,
	FADT_SLEEP_CONTROL_REG = 244,
};

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

static u8 sum_of(const void *data, size_t n)
{
	const u8 *bytes = data;
	u8 sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (u8)(sum + bytes[i]);
	return sum;
}

static bool sums_to_zero(const void *data, size_t n)
{
	return sum_of(data, n) == 0;
}

static bool has_signature(const struct header *h, const char *signature)
{
	return memcmp(h->signature, signature, sizeof(h->signature)) == 0;
}

/* A kind of table, and what can be wrong with one, in words. */
struct kind {
	const char *signature;
	u32 least; /* bytes */
	const char *unreadable, *length, *checksum;
};
#define KIND(name, bytes, what)                                                      \
	{                                                                            \
		name, bytes, what " cannot be read", what "'s length is impossible", \
			what " has a wrong checksum"                                 \
	}

/*
 * One that is mapped as a whole. `length` is what counts: what the table says of itself may have
 * been read at another time.
 */
struct table {
	paddr_t pa;
	const u8 *bytes;
	u32 length;
};

static const char *map_table(const struct reader *r, paddr_t pa, const struct kind *kind,
			     struct table *table)
{
	const struct header *h = map_range(r, pa, sizeof(*h));

	if (!h)
		return kind->unreadable;
	*table = (struct table){.pa = pa, .length = h->length};
	if (table->length < kind->least || table->length > TABLE_MAX)
		return kind->length;
	table->bytes = map_range(r, pa, table->length);
	if (!table->bytes)
		return kind->unreadable;
	return sums_to_zero(table->bytes, table->length) ? NULL : kind->checksum;
}

static bool has_cpu(const struct acpi_info *info, u32 id)
{
	for (u32 i = 0; i < info->cpu_count; i++) {
		if (info->apic_id[i] == id)
			return true;
	}
	return false;
}

void acpi_add_cpu(struct acpi_info *info, u32 apic_id)
{
	/* A CPU whose ID fits either kind of entry may be listed in both. */
	if (has_cpu(info, apic_id))
		return;
	if (info->cpu_count == ACPI_MAX_CPUS)
		info->cpus_over_limit++;
	else
		info->apic_id[info->cpu_count++] = apic_id;
}

static void add_cpu(struct acpi_info *out, u32 id, u32 none, u32 flags)
{
	if (id != none && (flags & CPU_ENABLED))
		acpi_add_cpu(out, id);
	else if (id != none && (flags & CPU_ONLINE_CAPABLE))
		out->cpus_online_capable++;
	else
		out->cpus_ignored++;
}

/* `left` bytes of the table from the entry on. */
static const char *check_entry(const struct madt_entry *e, u32 left)
{
	size_t needed = sizeof(*e);

	if (left < sizeof(*e))
		return "an entry of the MADT runs past its end";
	if (e->type == MADT_LAPIC)
		needed = sizeof(struct madt_lapic);
	else if (e->type == MADT_X2APIC)
		needed = sizeof(struct madt_x2apic);
	else if (e->type == MADT_LAPIC_ADDRESS)
		needed = sizeof(struct madt_lapic_address);
	if (e->length < needed)
		return "an entry of the MADT is too short for its type";
	if (e->length > left)
		return "an entry of the MADT runs past its end";
	return NULL;
}

static const char *parse_madt(const struct reader *r, const struct table *table,
			      struct acpi_info *out)
{
	(void)r;
	out->lapic_base = ((const struct madt *)(const void *)table->bytes)->lapic;

	for (u32 at = sizeof(struct madt); at < table->length;) {
		const struct madt_entry *e = (const void *)(table->bytes + at);
		const struct madt_lapic *lapic = (const void *)e;
		const struct madt_x2apic *x2apic = (const void *)e;
		const char *error = check_entry(e, table->length - at);

		if (error)
			return error;
		if (e->type == MADT_LAPIC)
			add_cpu(out, lapic->id, LAPIC_ID_NONE, lapic->flags);
		else if (e->type == MADT_X2APIC)
			add_cpu(out, x2apic->id, X2APIC_ID_NONE, x2apic->flags);
		else if (e->type == MADT_LAPIC_ADDRESS)
			out->lapic_base = ((const struct madt_lapic_address *)e)->address;
		at += e->length;
	}
	out->cpus_listed = out->cpu_count;
	out->madt = table->pa;
	out->madt_length = table->length;
	return NULL;
}

/* Broadcast IDs are what firmware itself gives to CPUs that are not there. False: read-only. */
static bool hide_absent(const struct acpi_info *info, struct madt_entry *e)
{
	volatile struct madt_lapic *lapic = (void *)e;
	volatile struct madt_x2apic *x2apic = (void *)e;

	if (e->type == MADT_LAPIC && lapic->id != LAPIC_ID_NONE && !(lapic->flags & CPU_ENABLED) &&
	    !has_cpu(info, lapic->id)) {
		lapic->id = (u8)LAPIC_ID_NONE;
		lapic->flags = 0;
		return lapic->id == LAPIC_ID_NONE;
	}
	if (e->type == MADT_X2APIC && x2apic->id != X2APIC_ID_NONE &&
	    !(x2apic->flags & CPU_ENABLED) && !has_cpu(info, x2apic->id)) {
		x2apic->id = X2APIC_ID_NONE;
		x2apic->flags = 0;
		return x2apic->id == X2APIC_ID_NONE;
	}
	return true;
}

u32 acpi_hide_absent_cpus(const struct acpi_info *info, u8 *madt)
{
	struct header *header = (void *)madt;
	u32 failed = 0;

	for (u32 at = sizeof(struct madt); at < info->madt_length;) {
		struct madt_entry *e = (void *)(madt + at);

		if (check_entry(e, info->madt_length - at))
			break;
		failed += !hide_absent(info, e);
		at += e->length;
	}
	header->checksum = (u8)(header->checksum - sum_of(madt, info->madt_length));
	return failed;
}

/* A number of so many bytes; 0 where an older, shorter table has none. */
static u64 number_at(const struct table *t, u32 offset, u32 size)
{
	u64 number = 0;

	if (offset + size <= t->length)
		memcpy(&number, t->bytes + offset, size);
	return number;
}

/* Likewise; with an address of 0, which firmware leaves there, too, it means none. */
static struct gas gas_at(const struct table *t, u32 offset)
{
	struct gas gas = {0};

	if (offset + sizeof(gas) <= t->length)
		memcpy(&gas, t->bytes + offset, sizeof(gas));
	return gas;
}

static void parse_reset(const struct table *fadt, struct acpi_info *out)
{
	const struct gas reset = gas_at(fadt, FADT_RESET_REG);

	if (fadt->length <= FADT_RESET_VALUE ||
	    !(number_at(fadt, FADT_FLAGS, 4) & FADT_RESET_REG_SUP))
		return;
	/* Firmware that has no such register leaves the address 0, whatever the flag says. */
	if (reset.space > ACPI_SPACE_PCI || reset.address == 0)
		return;
	if (reset.space == ACPI_SPACE_IO && reset.address > UINT16_MAX)
		return;
	out->reset.valid = true;
	out->reset.space = reset.space;
	out->reset.width = reset.width;
	out->reset.addr = reset.address;
	out->reset.value = fadt->bytes[FADT_RESET_VALUE];
}

/* The extended block, when it is filled in, supersedes the old one. */
static u16 io_port(struct gas extended, u64 old)
{
	u64 port = old;

	if (extended.address != 0)
		port = extended.space == ACPI_SPACE_IO ? extended.address : 0;
	return port <= UINT16_MAX ? (u16)port : 0;
}

static void parse_pm_timer(const struct table *fadt, struct acpi_info *out)
{
	const bool has_old = number_at(fadt, FADT_PM_TMR_LEN, 1) == 4;

	out->pm_timer_port = io_port(gas_at(fadt, FADT_X_PM_TMR_BLK),
				     has_old ? number_at(fadt, FADT_PM_TMR_BLK, 4) : 0);
	out->pm_timer_32bit = number_at(fadt, FADT_FLAGS, 4) & FADT_TMR_VAL_EXT;
}

/* An address of 64 bits, or else the older one of 32. */
static paddr_t address_at(const struct table *fadt, u32 wide, u32 narrow)
{
	const paddr_t address = number_at(fadt, wide, 8);

	return address ? address : number_at(fadt, narrow, 4);
}

/*
 * "\\_S5" is a named package of small integers, the first of them SLP_TYP. Firmware writes it as a
 * constant: other operating systems without an interpreter look for it in this way, too.
 */
static u8 find_s5_type(const u8 *aml, size_t size)
{
	enum { AML_NAME = 0x08, AML_PACKAGE = 0x12, AML_BYTE = 0x0a, AML_ONE = 0x01 };
	static const u8 name[] = {'_', 'S', '5', '_', AML_PACKAGE};
	enum { LOOK_BEHIND = 2, LOOK_AHEAD = sizeof(name) + 4 + 1 + 2 };

	for (size_t i = LOOK_BEHIND; i + LOOK_AHEAD <= size; i++) {
		const u8 *p = aml + i;

		if (memcmp(p, name, sizeof(name)) != 0 ||
		    (p[-1] != AML_NAME && !(p[-1] == '\\' && p[-2] == AML_NAME)))
			continue;
		/* PkgLength's first byte tells how many follow it; then the element count. */
		p += sizeof(name);
		p += 1 + (*p >> 6) + 1;
		if (*p <= AML_ONE)
			return *p;
		return *p == AML_BYTE && p[1] < 8 ? p[1] : (u8)ACPI_NO_SLEEP_TYPE;
	}
	return (u8)ACPI_NO_SLEEP_TYPE;
}

static u8 parse_dsdt(const struct reader *r, paddr_t pa)
{
	const struct header *h = map_range(r, pa, sizeof(*h));
	const u32 size = h ? h->length : 0;
	const u8 *aml = size <= TABLE_MAX ? map_range(r, pa, size) : NULL;

	return h && aml ? find_s5_type(aml, size) : (u8)ACPI_NO_SLEEP_TYPE;
}

/* The FACS has no checksum, since firmware and system both write to it. */
static void parse_facs(const struct reader *r, paddr_t pa, struct acpi_info *out)
{
	enum { FACS_LENGTH_AT = 4, FACS_MIN = 24, FACS_MAX = 4096 };
	const u8 *found = map_range(r, pa, FACS_MIN);
	u32 length;

	if (!found || memcmp(found, "FACS", 4) != 0)
		return;
	memcpy(&length, found + FACS_LENGTH_AT, sizeof(length));
	if (length < FACS_MIN || length > FACS_MAX)
		return;
	out->facs = pa;
	out->facs_length = length;
}

static const char *parse_fadt(const struct reader *r, const struct table *fadt,
			      struct acpi_info *out)
{
	parse_reset(fadt, out);
	out->s5_type = parse_dsdt(r, address_at(fadt, FADT_X_DSDT, FADT_DSDT));
	out->sleep_control = io_port(gas_at(fadt, FADT_SLEEP_CONTROL_REG), 0);
	/* The rest is not there in hardware-reduced ACPI. */
	if (number_at(fadt, FADT_FLAGS, 4) & FADT_HW_REDUCED_ACPI)
		return NULL;
	parse_pm_timer(fadt, out);
	for (u32 i = 0; i < 2; i++) {
		const u32 wide = i * sizeof(struct gas), narrow = i * sizeof(u32);

		out->pm1_control[i] = io_port(gas_at(fadt, FADT_X_PM1A_CNT_BLK + wide),
					      number_at(fadt, FADT_PM1A_CNT_BLK + narrow, 4));
		out->pm1_status[i] = io_port(gas_at(fadt, FADT_X_PM1A_EVT_BLK + wide),
					     number_at(fadt, FADT_PM1A_EVT_BLK + narrow, 4));
	}
	parse_facs(r, address_at(fadt, FADT_X_FIRMWARE_CTRL, FADT_FIRMWARE_CTRL), out);
	return NULL;
}

static const char *found_dmar(const struct reader *r, const struct table *table,
			      struct acpi_info *out)
{
	(void)r;
	out->dmar = table->pa;
	out->dmar_length = table->length;
	return NULL;
}

/* What the root table is searched for. */
static const struct {
	struct kind kind;
	const char *(*parse)(const struct reader *r, const struct table *table,
			     struct acpi_info *out);
} wanted[] = {
	{KIND("APIC", sizeof(struct madt), "the MADT"), parse_madt},
	{KIND("FACP", FADT_V1_LENGTH, "the FADT"), parse_fadt},
	{KIND("DMAR", sizeof(struct header), "the DMAR"), found_dmar},
};

/* The RSDT or XSDT, checked; entries are `width` bytes each. */
struct root {
	const u8 *entries;
	u32 count;
	u32 width;
};

static const char *map_root(const struct reader *r, paddr_t pa, const char *signature, u32 width,
			    struct root *root)
{
	const struct kind kind = KIND(signature, sizeof(struct header), "the ACPI root table");
	const struct header *h = map_range(r, pa, sizeof(*h));
	struct table table;
	const char *error;

	if (h && !has_signature(h, signature))
		return "the ACPI root table has a wrong signature";
	error = map_table(r, pa, &kind, &table);
	if (error)
		return error;
	if ((table.length - sizeof(*h)) % width != 0)
		return kind.length;
	*root = (struct root){
		.entries = table.bytes + sizeof(*h),
		.count = (u32)(table.length - sizeof(*h)) / width,
		.width = width,
	};
	return NULL;
}

static const char no_root[] = "the ACPI root pointer names no root table";

static const char *find_root(const struct reader *r, const u8 *bytes, size_t len, struct root *root)
{
	struct rsdp rsdp = {0};
	const char *error = no_root;

	if (len == 0)
		return "the boot loader gave no ACPI root pointer";
	if (len < RSDP_V1_LEN)
		return "the ACPI root pointer is too short";
	memcpy(&rsdp, bytes, len < sizeof(rsdp) ? len : sizeof(rsdp));
	if (memcmp(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature)) != 0)
		return "the ACPI root pointer has a wrong signature";
	if (!sums_to_zero(bytes, RSDP_V1_LEN))
		return "the ACPI root pointer has a wrong checksum";

	/* A damaged extension costs only the XSDT: its first 20 bytes have a sum of their own. */
	if (rsdp.revision >= 2 && len >= sizeof(rsdp) && rsdp.length >= sizeof(rsdp) &&
	    rsdp.length <= len && rsdp.xsdt != 0) {
		error = sums_to_zero(bytes, rsdp.length)
				? map_root(r, rsdp.xsdt, "XSDT", sizeof(u64), root)
				: "the ACPI root pointer has a wrong checksum";
		if (!error)
			return NULL;
	}
	if (rsdp.rsdt != 0) {
		const char *old = map_root(r, rsdp.rsdt, "RSDT", sizeof(u32), root);

		/* When both fail, it is the XSDT's trouble that wants mending. */
		if (!old || error == no_root)
			return old;
	}
	return error;
}

const char *acpi_parse(const u8 *rsdp, size_t len, acpi_map_fn map, void *ctx,
		       struct acpi_info *out)
{
	const struct reader reader = {.map = map, .ctx = ctx};
	struct root root;
	bool seen[ARRAY_SIZE(wanted)] = {false};
	const char *error;

	memset(out, 0, sizeof(*out));
	error = find_root(&reader, rsdp, len, &root);
	if (error)
		return error;

	for (u32 i = 0; i < root.count; i++) {
		const struct header *h;
		paddr_t pa = 0;

		/* Little-endian: the narrow entry fills the low half. */
		memcpy(&pa, root.entries + (size_t)i * root.width, root.width);
		h = map_range(&reader, pa, sizeof(*h));
		for (size_t k = 0; h && k < ARRAY_SIZE(wanted); k++) {
			struct table table;
			const char *one;

			/* The specification allows one of each; of two the first counts. */
			if (seen[k] || !has_signature(h, wanted[k].kind.signature))
				continue;
			seen[k] = true;
			one = map_table(&reader, pa, &wanted[k].kind, &table);
			if (!one)
				one = wanted[k].parse(&reader, &table, out);
			if (!error)
				error = one;
		}
	}
	return error;
}
