/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Virtual Machine Control Structures" and "VMX Instruction Reference", for Umbra's own use. */
#include <string.h>

#include "machine.h"
#include "mm/layout.h"
#include "mm/pages.h"

enum {
	FIELDS = 4 * 4 * VMCS_FIELD_INDEX_LIMIT, /* width, type, index */
	VMCS_MAX = 256,
	CPUS_MAX = 4,
};

static const u32 shadow_indicator = 1u << 31;

/* The CPU's own idea of a VMCS. In its region are the header and a word that names the data. */
struct vmcs {
	paddr_t region;
	u64 data_name;
	u64 field[FIELDS];
	bool written[FIELDS];
	bool active;
	bool launched;
	u32 header; /* as it was when the VMCS became active */
	const struct vcpu *owner;
};

struct processor {
	struct vcpu *vcpu;
	struct vmcs *current;
	bool entered_by_launch;
};

static struct vmcs *vmcs_list;
static u32 vmcs_count;
static struct processor processors[CPUS_MAX];
static struct processor *running;
static u64 next_name;

struct machine_log machine_log;
void (*machine_on_invept)(enum invept_type type, u64 eptp);
void (*machine_on_invvpid)(enum invvpid_type type, u16 vpid, u64 linear);

static u32 index_of(u64 encoding)
{
	if ((encoding & ~0x6fffull) || VMCS_FIELD_INDEX(encoding) >= VMCS_FIELD_INDEX_LIMIT ||
	    (VMCS_FIELD_HIGH(encoding) && VMCS_FIELD_WIDTH(encoding) != VMCS_WIDTH_64))
		MACHINE_FAIL("no VMCS field is encoded %#llx", (unsigned long long)encoding);
	return (u32)(VMCS_FIELD_WIDTH(encoding) * 4 + VMCS_FIELD_TYPE(encoding)) *
		       VMCS_FIELD_INDEX_LIMIT +
	       (u32)VMCS_FIELD_INDEX(encoding);
}

static u32 *header_of(paddr_t region)
{
	return phys_to_virt(region);
}

static u64 *data_of(paddr_t region)
{
	return (u64 *)phys_to_virt(region) + 1;
}

static struct vmcs *vmcs_at(paddr_t region)
{
	for (u32 i = 0; i < vmcs_count; i++) {
		if (vmcs_list[i].region == region)
			return &vmcs_list[i];
	}
	REQUIRE(vmcs_count < VMCS_MAX);
	REQUIRE(region % PAGE_SIZE == 0);
	vmcs_list[vmcs_count] = (struct vmcs){.region = region};
	return &vmcs_list[vmcs_count++];
}

/* Software that writes to the region loses the data; while it is active it may not. */
static void look_at_region(struct vmcs *vmcs)
{
	if (vmcs->active) {
		REQUIRE(*header_of(vmcs->region) == vmcs->header);
		REQUIRE(*data_of(vmcs->region) == vmcs->data_name);
		REQUIRE(vmcs->owner == running->vcpu);
		return;
	}
	if (*data_of(vmcs->region) != vmcs->data_name || !vmcs->data_name) {
		memset(vmcs->written, 0, sizeof(vmcs->written));
		vmcs->data_name = *data_of(vmcs->region) = ++next_name;
	}
}

static void activate(struct vmcs *vmcs)
{
	look_at_region(vmcs);
	vmcs->active = true;
	vmcs->owner = running->vcpu;
	vmcs->header = *header_of(vmcs->region);
}

bool vmclear(paddr_t region)
{
	struct vmcs *vmcs = vmcs_at(region);

	/* Not looked at: the SDM has software clear regions whose contents are anything. */
	if (vmcs->active)
		look_at_region(vmcs);
	vmcs->active = false;
	vmcs->launched = false;
	if (running->current == vmcs)
		running->current = NULL;
	return true;
}

bool vmptrld(paddr_t region)
{
	struct vmcs *vmcs = vmcs_at(region);
	const u32 revision = (u32)(running->vcpu->vmx.basic & VMX_BASIC_REVISION);
	const u32 indicator = vmx_can_set(running->vcpu->vmx.secondary, CPU2_VMCS_SHADOWING)
				      ? shadow_indicator
				      : 0;

	if ((*header_of(region) & ~indicator) != revision)
		MACHINE_FAIL("VMPTRLD with revision %#x", *header_of(region));
	activate(vmcs);
	running->current = vmcs;
	return true;
}

static u64 *field_at(struct vmcs *vmcs, u64 encoding, bool write)
{
	const u32 i = index_of(encoding);

	if (!vmcs)
		MACHINE_FAIL("no current VMCS");
	look_at_region(vmcs);
	if (!write && !vmcs->written[i])
		MACHINE_FAIL("VMREAD of field %#llx, which has no value",
			     (unsigned long long)encoding);
	vmcs->written[i] = true;
	return &vmcs->field[i];
}

static u64 read_from(struct vmcs *vmcs, u64 encoding)
{
	const u64 value = *field_at(vmcs, encoding, false);

	return VMCS_FIELD_HIGH(encoding) ? value >> 32 : value;
}

static void write_to(struct vmcs *vmcs, u64 encoding, u64 value)
{
	u64 *field = field_at(vmcs, encoding, true);

	if (VMCS_FIELD_HIGH(encoding))
		*field = (*field & BITS(31, 0)) | value << 32;
	else if (VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_16)
		*field = (u16)value;
	else if (VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_32)
		*field = (u32)value;
	else
		*field = value;
}

bool vmread(u64 field, u64 *value)
{
	*value = read_from(running->current, field);
	return true;
}

u64 vmread_unchecked(u64 field)
{
	return read_from(running->current, field);
}

void machine_set_field(u64 field, u64 value)
{
	write_to(running->current, field, value);
}

bool vmwrite(u64 field, u64 value)
{
	if (VMCS_FIELD_TYPE(field) == VMCS_TYPE_READ_ONLY)
		REQUIRE(running->vcpu->vmx.misc & VMX_MISC_VMWRITE_RO);
	write_to(running->current, field, value);
	return true;
}

void vmwrite_unchecked(u64 field, u64 value)
{
	vmwrite(field, value);
}

/* SDM "VMREAD": what non-root operation adds. NULL: what *result says. */
static struct vmcs *nonroot_vmcs(u64 encoding, u64 bitmap_field, enum machine_access *result)
{
	struct vmcs *vmcs01 = running->current;
	const u64 secondary = vmcs01->written[index_of(VMCS_SECONDARY_CONTROLS)]
				      ? read_from(vmcs01, VMCS_SECONDARY_CONTROLS)
				      : 0;
	const u8 *bitmap;
	paddr_t link;

	*result = ACCESS_EXITS;
	if (!(secondary & CPU2_VMCS_SHADOWING) || (encoding & ~0x7fffull))
		return NULL;
	bitmap = phys_to_virt(read_from(vmcs01, bitmap_field));
	if (bitmap[encoding / 8] >> (encoding % 8) & 1)
		return NULL;
	link = read_from(vmcs01, VMCS_VMCS_LINK_POINTER);
	if (link == ~0ull) {
		*result = ACCESS_FAIL_INVALID;
		return NULL;
	}
	*result = ACCESS_DONE;
	return vmcs_at(link);
}

enum machine_access machine_vmread_nonroot(u64 encoding, u64 *value)
{
	enum machine_access result;
	struct vmcs *vmcs = nonroot_vmcs(encoding, VMCS_VMREAD_BITMAP, &result);

	if (vmcs)
		*value = read_from(vmcs, encoding);
	return result;
}

enum machine_access machine_vmwrite_nonroot(u64 encoding, u64 value)
{
	enum machine_access result;
	struct vmcs *vmcs = nonroot_vmcs(encoding, VMCS_VMWRITE_BITMAP, &result);

	if (vmcs)
		write_to(vmcs, encoding, value);
	return result;
}

/* SDM "Checks on Guest Non-Register State", the VMCS link pointer. */
static void check_link(struct vmcs *vmcs)
{
	const bool shadowing = (read_from(vmcs, VMCS_PRIMARY_CONTROLS) & CPU_SECONDARY_CONTROLS) &&
			       (read_from(vmcs, VMCS_SECONDARY_CONTROLS) & CPU2_VMCS_SHADOWING);
	const paddr_t link = read_from(vmcs, VMCS_VMCS_LINK_POINTER);

	if (link == ~0ull)
		return;
	REQUIRE(link % PAGE_SIZE == 0 && link != vmcs->region);
	REQUIRE((*header_of(link) & ~shadow_indicator) ==
		(running->vcpu->vmx.basic & VMX_BASIC_REVISION));
	REQUIRE(!!(*header_of(link) & shadow_indicator) == shadowing);
	activate(vmcs_at(link));
}

void machine_enter(bool launch)
{
	struct vmcs *vmcs = running->current;

	REQUIRE(vmcs);
	look_at_region(vmcs);
	REQUIRE(!(vmcs->header & shadow_indicator));
	REQUIRE(vmcs->launched == !launch);
	check_link(vmcs);
	vmcs->launched = true;
	running->entered_by_launch = launch;
}

void machine_fail_entry(void)
{
	if (running->entered_by_launch)
		running->current->launched = false;
}

paddr_t machine_current_vmcs(void)
{
	return running->current ? running->current->region : ~0ull;
}

static bool control_supported(u64 cap, u64 bits)
{
	return (cap & bits) == bits;
}

bool invept(enum invept_type type, u64 eptp)
{
	const u64 cap = running ? running->vcpu->vmx.ept_vpid : ~0ull;

	REQUIRE(control_supported(cap, type == INVEPT_SINGLE_CONTEXT ? EPT_CAP_INVEPT_SINGLE
								     : EPT_CAP_INVEPT_ALL));
	machine_log.invept_count++;
	machine_log.invept_type = type;
	machine_log.eptp = eptp;
	if (machine_on_invept)
		machine_on_invept(type, eptp);
	return true;
}

bool invvpid(enum invvpid_type type, u16 vpid, u64 address)
{
	static const u64 cap_of_type[] = {VPID_CAP_ADDRESS, VPID_CAP_SINGLE, VPID_CAP_ALL,
					  VPID_CAP_SINGLE_GLOBALS};

	REQUIRE(type <= INVVPID_SINGLE_RETAIN_GLOBALS);
	REQUIRE(control_supported(running ? running->vcpu->vmx.ept_vpid : ~0ull,
				  cap_of_type[type]));
	REQUIRE(type == INVVPID_ALL_CONTEXT || vpid);
	machine_log.invvpid_count++;
	machine_log.invvpid_type = type;
	machine_log.vpid = vpid;
	machine_log.linear = address;
	if (machine_on_invvpid)
		machine_on_invvpid(type, vpid, address);
	return true;
}

void *gs_self(void)
{
	return running->vcpu;
}

struct vcpu *machine_cpu(u32 index)
{
	return processors[index].vcpu;
}

void machine_run_on(struct vcpu *vcpu)
{
	running = &processors[vcpu->cpu.index];
}

void machine_vmx_init(u32 count, const struct vmx_capabilities *vmx)
{
	static struct vcpu blocks[CPUS_MAX];

	REQUIRE(count <= CPUS_MAX);
	if (!vmcs_list)
		vmcs_list = calloc(VMCS_MAX, sizeof(*vmcs_list));
	vmcs_count = 0;
	machine_log = (struct machine_log){0};
	for (u32 i = 0; i < count; i++) {
		struct vcpu *vcpu = &blocks[i];

		*vcpu = (struct vcpu){
			.cpu.index = (u16)i,
			.vmx = *vmx,
			.mtrr.maxphyaddr = MACHINE_MAXPHYADDR,
			.maxphyaddr = MACHINE_MAXPHYADDR,
		};
		vcpu->cpu.self = &vcpu->cpu;
		processors[i] = (struct processor){.vcpu = vcpu};
		running = &processors[i];
		vcpu->vmcs01 = virt_to_phys(pages_alloc(1));
		*header_of(vcpu->vmcs01) = (u32)(vmx->basic & VMX_BASIC_REVISION);
		vmptrld(vcpu->vmcs01);
		running->current->launched = true;
		/* Umbra's setup of vmcs01 is not under test: all its fields have values. */
		memset(running->current->written, 1, sizeof(running->current->written));
		vmwrite(VMCS_VMCS_LINK_POINTER, ~0ull);
	}
	running = &processors[0];
}
