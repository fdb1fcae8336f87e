/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Under the firmware: Umbra as an EFI program. It takes memory that every operating system will see
 * reserved, takes each CPU into VMX operation where it stands, and lets the firmware start what it
 * would have started, as its guest. Where Umbra cannot run, that is started all the same.
 */
#include <x86/cr.h>
#include <x86/msr.h>

#include "boot/cmdline.h"
#include "boot/efi.h"
#include "boot/efi_boot_option.h"
#include "boot/efi_config.h"
#include "boot/efi_map.h"
#include "boot/home.h"
#include "boot/machine.h"
#include "config.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "platform/console.h"
#include "platform/lapic.h"
#include "smp/panic.h"
#include "smp/trap.h"
#include "vmx/running_state.h"
#include "vmx/setup.h"
#include "vmx/statistics.h"
#include "vmx/switch.h"

/* What efi_entry.S does next. */
struct efi_plan {
	u64 bridge; /* CR3 to virtualise the boot processor with; 0: Umbra stays out of it */
	efi_handle next;
};

enum {
	MEMORY_MAP_MAX = 256 * 1024,
	CONFIG_MAX = 16 * 1024,
	PATH_MAX = 512,
	VARIABLE_MAX = 4096,
	DEVICE_PATH_MAX = 4096,
};

u64 efi_main(efi_handle image, struct efi_system_table *system, paddr_t load_base,
	     paddr_t firmware_cr3, struct efi_plan *plan);
_Noreturn void efi_virtualise(u64 rsp, u64 rip, u64 firmware_cr3);

/* efi_entry.S */
extern u64 efi_way_out_rsp;
extern const u8 efi_ap_entry[];
_Noreturn void efi_way_out(u64 rsp);
_Noreturn void efi_on_own_stack(u64 stack, u64 cr3, void (*function)(void *), void *argument);

/* Part of the image, and moves with it. */
static struct {
	struct efi_system_table *system;
	struct efi_boot_services *services;
	efi_handle image;
	const struct efi_loaded_image *loaded;
	struct efi_plan *plan;
	struct efi_config config;
	char next_name[EFI_CONFIG_VALUE];
	const u8 *next_options; /* of a boot entry */
	u32 next_options_size;
	struct options options;
	struct microcode_update microcode;
	paddr_t low_page; /* where CPUs start when the machine wakes up; 0: none */
	struct memmap map;
	u64 entry_tsc;
	paddr_t firmware_cr3;
	paddr_t host_cr3, bridge_cr3;
	struct range home;
	struct table_pointer idt; /* the firmware's … */
	u64 gs_base;              /* … and its GS base, while Umbra has its own on this CPU */
	bool own_traps;
} efi;

/* --- Words ------------------------------------------------------------------------------------ */

static void widen(efi_char *to, size_t capacity, const char *text)
{
	size_t i = 0;

	for (; text[i] && i + 1 < capacity; i++)
		to[i] = (u8)text[i];
	to[i] = 0;
}

/* The firmware's console shows on screen and, if it is set up so, on a serial port. */
static void write_by_firmware(const char *text, size_t n)
{
	efi_char line[130];
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			line[used++] = '\r';
		line[used++] = (u8)text[i];
		if (used >= ARRAY_SIZE(line) - 2 || i + 1 == n) {
			line[used] = 0;
			efi.system->console_out->output_string(efi.system->console_out, line);
			used = 0;
		}
	}
}

/* --- Back to the firmware --------------------------------------------------------------------- */

/* On this CPU traps come to Umbra now, and this_cpu() works once it has a block. */
static void take_traps(void)
{
	__asm__ volatile("cli");
	log_set_console(NULL);
	sidt(&efi.idt);
	efi.gs_base = rdmsr(MSR_IA32_GS_BASE);
	wrmsr(MSR_IA32_GS_BASE, 0);
	trap_init(false, read_cs());
	trap_load();
	efi.own_traps = true;
}

static void give_traps_back(void)
{
	lidt(&efi.idt);
	wrmsr(MSR_IA32_GS_BASE, efi.gs_base);
	efi.own_traps = false;
	__asm__ volatile("sti");
	log_set_console(write_by_firmware);
	log_show_hidden();
}

/* In place of a halt: the machine goes on without Umbra. */
static _Noreturn void go_on_without(void)
{
	if (efi.own_traps)
		give_traps_back();
	if (efi.plan->next)
		log_error("starting %s without Umbra", efi.next_name);
	else
		log_error("back to the firmware without Umbra");
	if (efi.home.size)
		efi.services->free_pages(efi.home.start, efi.home.size / PAGE_SIZE);
	if (efi.low_page)
		efi.services->free_pages(efi.low_page, 1);
	efi.services->stall(3 * 1000 * 1000);
	efi.plan->bridge = 0;
	efi_way_out(efi_way_out_rsp);
}

/* --- What to start ---------------------------------------------------------------------------- */

static struct efi_file *open_file(efi_handle device, const char *name)
{
	static const struct efi_guid guid = EFI_FILE_SYSTEM_GUID;
	struct efi_file_system *system;
	struct efi_file *root, *file;
	efi_char path[PATH_MAX];
	void *interface;

	widen(path, ARRAY_SIZE(path), name);
	if (efi.services->handle_protocol(device, &guid, &interface))
		return NULL;
	system = interface;
	if (system->open_volume(system, &root))
		return NULL;
	if (root->open(root, &file, path, EFI_FILE_MODE_READ, 0))
		file = NULL;
	root->close(root);
	return file;
}

/* Memory that goes back to the firmware when the operating system takes over. */
static void *firmware_buffer(u64 size)
{
	void *buffer;

	if (efi.services->allocate_pool(EFI_LOADER_DATA_TYPE, size, &buffer))
		fail("the firmware has no memory left");
	return buffer;
}

static void read_config(void)
{
	static const char name[] = "\\EFI\\umbra\\umbra.conf";
	char *const text = firmware_buffer(CONFIG_MAX);
	struct efi_file *file = open_file(efi.loaded->device, name);
	u64 size = CONFIG_MAX;
	char complaint[160];
	const char *error;
	u32 line;

	if (!file) {
		log_info("no %s: default options", name);
		size = 0;
	} else {
		if (file->read(file, &size, text))
			fail("%s cannot be read", name);
		file->close(file);
		if (size == CONFIG_MAX)
			fail("%s is longer than %u KiB", name, CONFIG_MAX / 1024);
	}
	error = efi_config_parse(text, size, &efi.config, &line);
	if (error)
		fail("%s, line %u: %s", name, line, error);
	if (cmdline_parse(efi.config.options, &efi.options, complaint, sizeof(complaint)))
		log_warn("options: %s", complaint);
	log_set_level(efi.options.log_level);
}

static size_t path_length(const struct efi_device_path *path)
{
	size_t length = 0;

	while (path->type != EFI_PATH_END && path->length >= sizeof(*path)) {
		length += path->length;
		path = (const void *)((const u8 *)path + path->length);
	}
	return length;
}

/* The device's path, then the file's: "Media Device Path", "File Path Media Device Path". */
static bool make_path(efi_handle device, const char *name, u8 *out, size_t capacity)
{
	static const struct efi_guid guid = EFI_DEVICE_PATH_GUID;
	const size_t name_bytes = (strlen(name) + 1) * sizeof(efi_char);
	struct efi_device_path node = {
		.type = EFI_PATH_MEDIA,
		.subtype = EFI_PATH_MEDIA_FILE,
		.length = (u16)(sizeof(node) + name_bytes),
	};
	const struct efi_device_path end = {EFI_PATH_END, EFI_PATH_END_ALL, sizeof(end)};
	efi_char wide[PATH_MAX];
	void *interface;
	size_t length;

	if (efi.services->handle_protocol(device, &guid, &interface))
		return false;
	length = path_length(interface);
	if (strlen(name) >= PATH_MAX || length + node.length + sizeof(end) > capacity)
		return false;
	widen(wide, ARRAY_SIZE(wide), name);
	memcpy(out, interface, length);
	memcpy(out + length, &node, sizeof(node));
	memcpy(out + length + sizeof(node), wide, name_bytes);
	memcpy(out + length + node.length, &end, sizeof(end));
	return true;
}

/* A variable of the boot manager's; the buffer is the firmware's. NULL: there is none. */
static void *boot_variable(const char *name, u64 *size)
{
	static const struct efi_guid guid = EFI_GLOBAL_VARIABLE_GUID;
	void *const data = firmware_buffer(VARIABLE_MAX);
	efi_char wide[16];

	widen(wide, ARRAY_SIZE(wide), name);
	*size = VARIABLE_MAX;
	return efi.system->runtime->get_variable(wide, &guid, NULL, size, data) ? NULL : data;
}

/* The whole path for one that leaves out the device, or the same. */
static const void *whole_path(const u8 *path, size_t size)
{
	static const struct efi_guid files = EFI_FILE_SYSTEM_GUID, paths = EFI_DEVICE_PATH_GUID;
	efi_handle *handles;
	u64 count;

	if (!efi_path_is_short(path, size) ||
	    efi.services->locate_handle_buffer(EFI_SEARCH_BY_PROTOCOL, &files, NULL, &count,
					       &handles))
		return path;
	for (u64 i = 0; i < count; i++) {
		const struct efi_device_path *node = (const void *)path;
		void *interface;
		size_t length;
		u8 *whole;

		if (efi.services->handle_protocol(handles[i], &paths, &interface))
			continue;
		length = path_length(interface);
		if (!efi_path_has_partition(interface, length + sizeof(*node), path, size))
			continue;
		/* The device with its partition, then what follows the partition in the other. */
		whole = firmware_buffer(length + size);
		memcpy(whole, interface, length);
		memcpy(whole + length, path + node->length, size - node->length);
		return whole;
	}
	return path;
}

/* By default what the firmware would have started after Umbra. */
static const void *next_in_boot_order(void)
{
	u64 current_size, order_size, size;
	const u16 *current = boot_variable("BootCurrent", &current_size);
	const void *order = boot_variable("BootOrder", &order_size);
	u16 number = current ? *current : 0xffff;

	while (order && efi_boot_order_next(order, order_size, number, &number)) {
		struct efi_boot_option option;
		char name[9];
		const void *variable;

		efi_boot_option_name(number, name);
		variable = boot_variable(name, &size);
		if (!variable || !efi_boot_option_parse(variable, size, &option) || !option.active)
			continue;
		memcpy(efi.next_name, option.description, sizeof(option.description));
		efi.next_options = option.data;
		efi.next_options_size = (u32)option.data_size;
		return whole_path(option.path, option.path_size);
	}
	fail("the firmware has no boot entry after this one, and umbra.conf names nothing to "
	     "start: "
	     "it needs a line \"start = \\EFI\\debian\\shimx64.efi\"");
}

static const void *configured_path(void)
{
	u8 *const path = firmware_buffer(DEVICE_PATH_MAX);

	str_copy(efi.next_name, sizeof(efi.next_name), efi.config.start);
	if (!make_path(efi.loaded->device, efi.config.start, path, DEVICE_PATH_MAX))
		fail("%s: its path is too long", efi.config.start);
	return path;
}

static void load_next(void)
{
	static const struct efi_guid guid = EFI_LOADED_IMAGE_GUID;
	const void *path = efi.config.start[0] ? configured_path() : next_in_boot_order();
	struct efi_loaded_image *loaded;
	void *interface;
	efi_status status =
		efi.services->load_image(false, efi.image, path, NULL, 0, &efi.plan->next);

	if (status)
		fail("%s cannot be loaded: EFI status %#llx", efi.next_name,
		     (unsigned long long)status);
	if (efi.services->handle_protocol(efi.plan->next, &guid, &interface))
		return;
	loaded = interface;
	if (efi.config.arguments[0]) {
		loaded->options = firmware_buffer(EFI_CONFIG_VALUE * sizeof(efi_char));
		widen(loaded->options, EFI_CONFIG_VALUE, efi.config.arguments);
		loaded->options_size = (u32)((strlen(efi.config.arguments) + 1) * sizeof(efi_char));
	} else if (efi.next_options_size) {
		loaded->options = (void *)(u64)efi.next_options;
		loaded->options_size = efi.next_options_size;
	}
}

/* --- The machine ------------------------------------------------------------------------------ */

/* For a panic, once the firmware's console is gone. Its mode may be another by then. */
static void init_screen(void)
{
	static const struct efi_guid guid = EFI_GRAPHICS_GUID;
	const struct efi_graphics *graphics;
	const struct efi_graphics_info *info;
	struct framebuffer fb;
	void *interface;

	console_init_screen(&(struct framebuffer){.type = FRAMEBUFFER_INDEXED});
	if (efi.services->locate_protocol(&guid, NULL, &interface))
		return;
	graphics = interface;
	info = graphics->mode->info;
	if (info->format != EFI_PIXELS_RGBX && info->format != EFI_PIXELS_BGRX)
		return;
	fb = (struct framebuffer){
		.addr = graphics->mode->frame_buffer,
		.pitch = info->line * sizeof(u32),
		.width = info->width,
		.height = info->height,
		.bpp = 32,
		.type = FRAMEBUFFER_RGB,
		.red_pos = info->format == EFI_PIXELS_RGBX ? 0 : 16,
		.red_size = 8,
		.green_pos = 8,
		.green_size = 8,
		.blue_pos = info->format == EFI_PIXELS_RGBX ? 16 : 0,
		.blue_size = 8,
	};
	console_init_screen(&fb);
}

static void read_tables(void)
{
	static const struct efi_guid acpi = EFI_ACPI_20_TABLE_GUID;
	enum { RSDP_SIZE = 36 };
	void *const map = firmware_buffer(MEMORY_MAP_MAX);
	u64 size = MEMORY_MAP_MAX, key, stride;
	u32 version;

	if (efi.services->get_memory_map(&size, map, &key, &stride, &version))
		fail("the firmware's memory map is larger than %u KiB", MEMORY_MAP_MAX / 1024);
	if (!efi_map_read(map, size, stride, &efi.map))
		fail("the firmware's memory map has too many pieces");
	for (u64 i = 0; i < efi.system->table_count; i++) {
		if (memcmp(&efi.system->tables[i].guid, &acpi, sizeof(acpi)) == 0)
			machine_read_acpi(efi.system->tables[i].table, RSDP_SIZE);
	}
}

/* The new tables with the firmware's lower half, to go to and fro. */
static paddr_t make_bridge(paddr_t cr3)
{
	u64 *bridge = pages_alloc(1);

	efi.host_cr3 = cr3;
	if (!bridge)
		return 0;
	memcpy(bridge, phys_to_virt(efi.firmware_cr3 & ~(PAGE_SIZE - 1)), PAGE_SIZE / 2);
	memcpy(bridge + 256, (u64 *)phys_to_virt(cr3) + 256, PAGE_SIZE / 2);
	return virt_to_phys(bridge);
}

static void take_low_page(void)
{
	u64 address = 640 * KIB - 1;

	if (efi.services->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_RESERVED_MEMORY_TYPE, 1,
					 &address) ||
	    address == 0)
		return;
	efi.low_page = address;
	if (!memmap_reserve(&efi.map, address, PAGE_SIZE))
		fail("the firmware's memory map has too many pieces");
}

static void move_home(u64 ept_cap)
{
	u64 address = 4 * GIB - 1;

	efi.home.size =
		home_size(&efi.map, machine_memory_wanted(&efi.options, &efi.microcode), ept_cap);
	if (efi.services->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_RESERVED_MEMORY_TYPE,
					 efi.home.size / PAGE_SIZE, &address)) {
		const u64 kib = efi.home.size / KIB;

		efi.home.size = 0;
		fail("no %llu KiB of free memory below 4 GiB", (unsigned long long)kib);
	}
	efi.home.start = address;
	if (!memmap_reserve(&efi.map, efi.home.start, efi.home.size))
		fail("the firmware's memory map has too many pieces");
	efi.bridge_cr3 = home_move_to(&efi.map, efi.home, make_bridge);
}

/* Each of the firmware's other CPUs runs efi_ap_entry and comes back as a guest. */
static void virtualise_other_cpus(paddr_t load_base)
{
	static const struct efi_guid guid = EFI_MP_SERVICES_GUID;
	struct efi_mp_services *mp;
	void *interface;
	u64 all, enabled;
	efi_status status;

	if (cpu_count == 1)
		return;
	if (efi.services->locate_protocol(&guid, NULL, &interface))
		fail("the firmware has no MP services to reach the other CPUs by; start Umbra by "
		     "GRUB's multiboot2 command instead");
	mp = interface;
	if (mp->get_number(mp, &all, &enabled) || enabled != cpu_count)
		fail("the firmware runs %llu of %llu CPUs, and ACPI lists %u",
		     (unsigned long long)enabled, (unsigned long long)all, cpu_count);
	/* No way back from here: CPUs become guests. */
	fail_set_way_out(NULL);
	status = mp->startup_all_aps(mp, load_base + (u64)(efi_ap_entry - image_start), true, NULL,
				     0, (void *)efi.bridge_cr3, NULL);
	if (status)
		fail("the other CPUs could not be reached: EFI status %#llx",
		     (unsigned long long)status);
	for (u32 i = 1; i < cpu_count; i++) {
		if (!cpus[i]->vmx_on)
			fail("the CPU with APIC id %u did not come under Umbra", cpus[i]->apic_id);
	}
}

u64 efi_main(efi_handle image, struct efi_system_table *system, paddr_t load_base,
	     paddr_t firmware_cr3, struct efi_plan *plan)
{
	static const struct efi_guid loaded_image = EFI_LOADED_IMAGE_GUID;
	struct vmx_capabilities vmx;
	void *interface = NULL;

	efi.entry_tsc = rdtsc();
	efi.system = system;
	efi.services = system->boot;
	efi.image = image;
	efi.firmware_cr3 = firmware_cr3;
	efi.plan = plan;
	*plan = (struct efi_plan){0};
	fail_set_way_out(go_on_without);
	log_set_console(write_by_firmware);
	log_info("version " UMBRA_VERSION ", started by EFI firmware");
	if (efi.services->handle_protocol(image, &loaded_image, &interface))
		fail("the firmware does not say where Umbra was loaded from");
	efi.loaded = interface;
	read_config();
	load_next();

	vmx_require(&vmx, cpuid(1, 0).ebx >> 24);
	read_tables();
	take_low_page();
	move_home(vmx.ept_vpid);
	take_traps();
	machine_create_cpus();
	wrmsr(MSR_IA32_GS_BASE, (u64)cpus[0]);
	machine_prepare(&efi.map, efi.home, efi.low_page, &efi.options, &efi.microcode);
	trap_init(true, SELECTOR_CODE);
	give_traps_back();
	virtualise_other_cpus(load_base);
	log_info("starting %s under Umbra on %u CPUs; %llu KiB left for tables", efi.next_name,
		 cpu_count, (unsigned long long)(pages_left() * PAGE_SIZE / KIB));
	fail_set_way_out(NULL);
	console_init_serial(efi.options.serial_port, efi.options.serial_baud);
	init_screen();
	log_set_console(console_write);
	log_guest_owns_console(efi.options.verbose);
	statistics_init(efi.options.stats, efi.home.size, efi.entry_tsc);
	plan->bridge = efi.bridge_cr3;
	return EFI_SUCCESS;
}

/* --- Each CPU --------------------------------------------------------------------------------- */

static struct vcpu *own_vcpu(void)
{
	const u32 id = lapic_id();

	for (u32 i = 0; i < cpu_count; i++) {
		if (cpus[i]->apic_id == id)
			return (struct vcpu *)cpus[i];
	}
	fail("a CPU with APIC id %u, which ACPI does not list", id);
}

/* On the CPU's own stack and Umbra's tables. */
static void enter_guest(void *argument)
{
	static const struct guest_regs no_registers;
	const struct running_state *state = argument;
	struct vcpu *vcpu = state->vcpu;

	cpu_load(&vcpu->cpu);
	machine_prepare_cpu(vcpu, &efi.options);
	vmx_guest_running_state(vcpu, state);
	switch_launch(&no_registers);
}

/* On the firmware's stack and the bridge's tables, with interrupts off. */
_Noreturn void efi_virtualise(u64 rsp, u64 rip, u64 firmware_cr3)
{
	struct vcpu *vcpu = own_vcpu();
	/* Below what the first entry uses of the stack. */
	struct running_state *state = (void *)(vcpu->cpu.stack_top - 2048);

	running_state_read(state);
	state->vcpu = vcpu;
	state->rsp = rsp;
	state->rip = rip;
	state->cr3 = firmware_cr3;
	efi_on_own_stack(((u64)state - 64) & ~15ull, efi.host_cr3, enter_guest, state);
}
