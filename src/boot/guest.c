/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/guest.h"

#include "boot/bare.h"
#include "boot/chainload.h"
#include "boot/efi_map.h"
#include "boot/linux.h"
#include "boot/mb2_kernel.h"
#include "boot/placement.h"
#include "boot/pvh.h"
#include "lib/string.h"
#include "mm/layout.h"
#include "smp/panic.h"

/* What the first module turned out to be. */
enum guest_kind {
	GUEST_LINUX,
	GUEST_MULTIBOOT2,
	GUEST_PVH,
	GUEST_BOOT_SECTOR,
};

/* Boot data of a kernel, in one block of guest memory that the kernel keeps until it is up. */
enum {
	CMDLINE_MAX = 4096,
	GDT_ENTRIES = 4,
	INFO_MAX = 128 * 1024, /* boot_params or start info, and the tables that follow it */
};

struct boot_data {
	u64 gdt[GDT_ENTRIES];
	u8 bare_stub[BARE_STUB_MAX];
	u8 rsdp[64];
	char cmdline[CMDLINE_MAX];
	_Alignas(4096) u8 info[INFO_MAX];
};

_Static_assert(offsetof(struct boot_data, rsdp) <= PAGE_SIZE, "the stub is in the first page");

/* Filled by guest_check_modules(). */
static struct {
	enum guest_kind kind;
	struct linux_image linux;
	struct elf_kernel kernel; /* of the kinds between that and a boot sector */
} guest;

static void check_command_line(const struct mb2_module *kernel)
{
	size_t limit = CMDLINE_MAX - 1;

	if (guest.kind == GUEST_LINUX && guest.linux.cmdline_size < limit)
		limit = guest.linux.cmdline_size;
	if (kernel->length > limit)
		fail("the kernel's command line has %u characters, %zu are possible; shorten it",
		     kernel->length, limit);
}

void guest_check_modules(const struct mb2_info *info)
{
	const struct mb2_module *first = &info->module[0];
	const void *image = phys_to_virt(first->memory.start);
	const size_t size = first->memory.size;
	const char *error;

	if (info->module_count == 0)
		fail("no guest: add a line \"module2 /boot/vmlinuz …\" after the multiboot2 line");
	guest.kind = GUEST_LINUX;
	error = linux_parse(image, size, &guest.linux);
	if (error == linux_not_linux) {
		/* A kernel that can be started either way (Linux cannot) learns more from this. */
		guest.kind = GUEST_MULTIBOOT2;
		error = mb2_kernel_parse(image, size, &guest.kernel);
	}
	if (error == mb2_kernel_no_header) {
		guest.kind = GUEST_PVH;
		error = pvh_parse(image, size, &guest.kernel);
	}
	if (guest.kind == GUEST_PVH && error == elf_not_elf) {
		guest.kind = GUEST_BOOT_SECTOR;
		if (!chainload_is_boot_sector(image, size))
			fail("the first module is neither a Linux bzImage, nor an ELF kernel for "
			     "multiboot2 "
			     "or with a PVH note, nor a boot sector");
		return;
	}
	if (error)
		fail("the kernel module: %s", error);
	check_command_line(first);
}

static void add_segment(struct placement_request *request, const struct mb2_module *kernel,
			u64 file_offset, u64 filesz, u64 offset, u64 memsz)
{
	request->segment[request->segment_count++] = (struct placement_segment){
		.source = kernel->memory.start + file_offset,
		.filesz = filesz,
		.offset = offset,
		.memsz = memsz,
	};
}

static void request_linux(struct placement_request *request, const struct mb2_module *kernel)
{
	request->kernel_base = guest.linux.pref_address;
	request->kernel_size = guest.linux.init_size;
	request->kernel_align = guest.linux.kernel_alignment;
	request->relocatable = guest.linux.relocatable;
	request->module_max = guest.linux.initrd_max;
	add_segment(request, kernel, guest.linux.code_offset, guest.linux.code_size, 0,
		    guest.linux.code_size);
}

static void request_elf(struct placement_request *request, const struct mb2_module *kernel)
{
	const struct elf_image *elf = &guest.kernel.elf;

	request->kernel_base = elf->lowest;
	request->kernel_size = elf->highest - elf->lowest;
	request->kernel_align = PAGE_SIZE;
	request->module_max = BITS(31, 0);
	/* Multiboot2 modules stay apart, and on pages if the kernel asks for that. */
	if (guest.kernel.align_modules)
		request->module_align = PAGE_SIZE;
	for (u32 i = 0; i < elf->count; i++)
		add_segment(request, kernel, elf->segment[i].offset, elf->segment[i].filesz,
			    elf->segment[i].paddr - elf->lowest, elf->segment[i].memsz);
}

static bool has_efi(const struct mb2_info *info)
{
	return guest.kind == GUEST_LINUX && info->efi_system_table && info->efi_map.descriptors;
}

/*
 * Linux that goes on with EFI finds what firmware left in memory untouched, as its own EFI stub
 * leaves it. Where that leaves too little room, and for all others, any RAM will do. Without
 * Umbra's home, Umbra's image still lies in what is the kernel's later.
 */
static void make_plan(const struct mb2_info *info, const struct memmap *room, bool only_room,
		      struct placement_plan *plan)
{
	static struct placement_request request;
	const char *status;

	request = (struct placement_request){
		.map = has_efi(info) || only_room ? room : &info->memmap,
		.data_size = ALIGN_UP(sizeof(struct boot_data), PAGE_SIZE),
		.module_align = 4, /* the kernel takes concatenated initrds, padded to words */
		.module_count = info->module_count - 1,
	};
	if (guest.kind == GUEST_LINUX)
		request_linux(&request, &info->module[0]);
	else
		request_elf(&request, &info->module[0]);
	for (u32 i = 1; i < info->module_count; i++)
		request.module[i - 1] = info->module[i].memory;
	status = placement_plan(&request, plan);
	if (status && has_efi(info) && !only_room) {
		request.map = &info->memmap;
		status = placement_plan(&request, plan);
	}
	if (status)
		fail("the guest does not fit: %s", status);
}

static void set_gdt(struct boot_data *data)
{
	data->gdt[GUEST_SELECTOR_CODE / 8] = 0x00cf9b000000ffff;
	data->gdt[GUEST_SELECTOR_DATA / 8] = 0x00cf93000000ffff;
}

/*
 * boot_params, and behind it what does not fit there: the rest of a long memory map, and the EFI
 * memory map, whose original lies in memory that is the guest's to overwrite.
 */
static void fill_linux(const struct mb2_info *info, const struct placement_plan *plan,
		       struct range home, struct boot_data *data, paddr_t address)
{
	struct boot_params *params = (struct boot_params *)data->info;
	const size_t setup_data = sizeof(*params);
	const size_t efi_map =
		ALIGN_UP(setup_data + linux_setup_data_size(&info->memmap), (size_t)8);
	const paddr_t info_address = address + offsetof(struct boot_data, info);
	struct linux_handover handover = {
		.load_address = plan->kernel_base,
		.cmdline = address + offsetof(struct boot_data, cmdline),
		.initrd = plan->modules_start,
		.initrd_size = plan->modules_size,
		.map = &info->memmap,
		.rsdp = info->rsdp_len ? address + offsetof(struct boot_data, rsdp) : 0,
		.fb = info->has_fb && info->fb.type == FRAMEBUFFER_RGB ? &info->fb : NULL,
		.setup_data = data->info + setup_data,
		.setup_data_address = info_address + setup_data,
	};

	if (efi_map > INFO_MAX)
		fail("the memory map is too long to hand it to the kernel");
	if (has_efi(info) &&
	    info->efi_map.size + EFI_MAP_EXTRA * info->efi_map.stride <= INFO_MAX - efi_map) {
		memcpy(data->info + efi_map, info->efi_map.descriptors, info->efi_map.size);
		handover.efi = (struct linux_efi){
			.system_table = info->efi_system_table,
			.memory_map = info_address + efi_map,
			.memory_map_size = (u32)efi_map_reserve(
				data->info + efi_map, info->efi_map.size, INFO_MAX - efi_map,
				info->efi_map.stride, home.start, home.size),
			.descriptor_size = info->efi_map.stride,
			.descriptor_version = info->efi_map.version,
			.is_32bit = !info->efi_64bit,
		};
	}
	linux_fill_boot_params(params, phys_to_virt(info->module[0].memory.start), &guest.linux,
			       &handover);
}

static void fill_pvh(const struct mb2_info *info, const struct placement_plan *plan,
		     struct boot_data *data, paddr_t address)
{
	const struct pvh_handover handover = {
		.cmdline = address + offsetof(struct boot_data, cmdline),
		.initrd = plan->modules_start,
		.initrd_size = plan->modules_size,
		.rsdp = info->rsdp_len ? address + offsetof(struct boot_data, rsdp) : 0,
		.map = &info->memmap,
	};

	if (pvh_start_info_size(&handover) > INFO_MAX)
		fail("the memory map is too long to hand it to the kernel");
	pvh_fill_start_info((struct hvm_start_info *)data->info,
			    address + offsetof(struct boot_data, info), &handover);
}

/* The boot data is written first: the moves may overwrite the kernel's header. */
static void load_kernel(struct mb2_info *info, const struct memmap *room, struct range home,
			struct guest_start *start)
{
	static struct placement_plan plan;
	struct boot_data *data;
	u32 info_address;

	make_plan(info, room, !home.size, &plan);
	data = phys_to_virt(plan.data);
	info_address = (u32)(plan.data + offsetof(struct boot_data, info));
	memset(data, 0, sizeof(*data));
	set_gdt(data);
	memcpy(data->rsdp, info->rsdp, info->rsdp_len);
	str_copy(data->cmdline, sizeof(data->cmdline), info->module[0].string);
	*start = (struct guest_start){
		.protected_mode = true,
		.gdt_base = (u32)plan.data,
		.gdt_limit = sizeof(data->gdt) - 1,
	};
	if (guest.kind == GUEST_LINUX) {
		fill_linux(info, &plan, home, data, plan.data);
		start->eip = (u32)plan.kernel_base;
		start->regs.rsi = info_address;
	} else if (guest.kind == GUEST_MULTIBOOT2) {
		if (mb2_kernel_fill_info(data->info, INFO_MAX, info, plan.module) > INFO_MAX)
			fail("the boot information is too long to hand it to the kernel");
		start->eip = guest.kernel.entry;
		start->regs.rax = MB2_KERNEL_MAGIC;
		start->regs.rbx = info_address;
	} else {
		fill_pvh(info, &plan, data, plan.data);
		start->eip = guest.kernel.entry;
		start->regs.rbx = info_address;
	}
	placement_run(&plan, phys_to_virt);
}

void guest_load(struct mb2_info *info, const struct memmap *room, const struct options *options,
		struct range home, struct guest_start *start)
{
	const struct range *sector = &info->module[0].memory;

	if (guest.kind == GUEST_BOOT_SECTOR)
		chainload(phys_to_virt(sector->start), sector->size, &info->memmap,
			  (u8)options->drive, start);
	else
		load_kernel(info, room, home, start);
}

bool guest_can_start_bare(void)
{
	return guest.kind != GUEST_BOOT_SECTOR;
}

paddr_t guest_bare_stub(const struct guest_start *start)
{
	return start->gdt_base + offsetof(struct boot_data, bare_stub);
}
