/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Under the firmware: Umbra as an EFI program, or started by a boot loader that keeps the boot
 * services. It takes memory that every operating system will see reserved, takes each CPU into VMX
 * operation where it stands, and lets the firmware start what it would have started, as its guest.
 * Where Umbra cannot run, that is started all the same.
 */
#include <x86/cr.h>
#include <x86/msr.h>

#include "boot/cmdline.h"
#include "boot/dma.h"
#include "boot/efi.h"
#include "boot/efi_config.h"
#include "boot/efi_firmware.h"
#include "boot/efi_map.h"
#include "boot/efi_next.h"
#include "boot/home.h"
#include "boot/machine.h"
#include "boot/mb2_relay.h"
#include "boot/microcode_files.h"
#include "boot/multiboot2.h"
#include "boot/pe.h"
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
#include "vmx/interface.h"
#include "vmx/running_state.h"
#include "vmx/setup.h"
#include "vmx/switch.h"

enum {
	MEMORY_MAP_MAX = 256 * 1024,
	CONFIG_MAX = 16 * 1024,
	/* UEFI_TCG PC Client Platform Firmware Profile: what decides on the start, as GRUB does. */
	PCR_COMMANDS = 8,
};

u64 efi_main(efi_handle image, struct efi_system_table *system, paddr_t load_base,
	     paddr_t firmware_cr3, struct efi_plan *plan);
u64 efi_main_multiboot2(paddr_t information, u64 unused, paddr_t load_base, paddr_t firmware_cr3,
			struct efi_plan *plan);
_Noreturn void efi_virtualise(u64 rsp, u64 rip, u64 firmware_cr3);

/* efi_entry.S */
extern u64 efi_way_out_rsp;
extern const u8 efi_ap_entry[];
_Noreturn void efi_way_out(u64 rsp);
_Noreturn void efi_on_own_stack(u64 stack, u64 cr3, void (*function)(void *), void *argument);

/* Part of the image, and moves with it. */
static struct {
	struct efi_plan *plan;
	struct efi_config config;
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

/* --- Back to the firmware --------------------------------------------------------------------- */

/*
 * On this CPU traps come to Umbra now, and this_cpu() works once it has a block. Whatever may read
 * an MSR that the CPU lacks must be in between these two, and calls of the firmware's outside.
 */
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
	log_set_console(firmware_write);
	log_show_hidden();
}

static void wait_for_reader(u32 at_least)
{
	const u64 seconds = efi.options.wait > at_least ? efi.options.wait : at_least;

	firmware.services->stall(seconds * 1000 * 1000);
}

/* In place of a halt: the machine goes on without Umbra. */
static _Noreturn void go_on_without(void)
{
	if (efi.own_traps)
		give_traps_back();
	dma_give_back();
	if (efi.plan->next)
		log_error("starting %s without Umbra", efi_next_name);
	else
		log_error("back to the firmware without Umbra");
	wait_for_reader(3);
	efi.plan->bridge = 0;
	/* Not here: this may be running there. */
	efi.plan->give_back[0].start = efi.home.start;
	efi.plan->give_back[0].pages = efi.home.size / PAGE_SIZE;
	efi.plan->give_back[1].start = efi.low_page;
	efi.plan->give_back[1].pages = efi.low_page ? 1 : 0;
	efi_way_out(efi_way_out_rsp);
}

static void read_config(efi_handle device)
{
	static const char name[] = "\\EFI\\umbra\\umbra.conf";
	const char *error;
	paddr_t text = 0;
	u64 size = 0;
	u32 line;

	if (!firmware_read_file(device, name, &text, &size))
		log_info("no %s: default options", name);
	if (size >= CONFIG_MAX)
		fail("%s is longer than %u KiB", name, CONFIG_MAX / 1024);
	if (size)
		firmware_measure(PCR_COMMANDS, name, text, size);
	error = efi_config_parse((const char *)text, size, &efi.config, &line);
	if (error)
		fail("%s, line %u: %s", name, line, error);
	machine_read_options(efi.config.options, "options", &efi.options);
}

/* --- The machine ------------------------------------------------------------------------------ */

/* For a panic, once the firmware's console is gone. Its mode may be another by then. */
static void init_screen(void)
{
	const struct efi_graphics *graphics = firmware_any_protocol(&efi_graphics_guid);
	const struct efi_graphics_info *info;
	struct framebuffer fb;

	console_init_screen(&(struct framebuffer){.type = FRAMEBUFFER_INDEXED}, false);
	if (!graphics)
		return;
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
	/* By the move home, before anything is drawn. */
	console_init_screen(&fb, true);
}

/* Returns the key that ExitBootServices() asks for. */
static u64 read_memory_map(void *buffer, struct efi_map_view *view)
{
	u64 size = MEMORY_MAP_MAX, key, stride;
	u32 version;

	if (firmware.services->get_memory_map(&size, buffer, &key, &stride, &version))
		fail("the firmware's memory map is larger than %u KiB", MEMORY_MAP_MAX / 1024);
	*view = (struct efi_map_view){buffer, (u32)size, (u32)stride, version};
	if (!efi_map_read(view, &efi.map))
		fail("the firmware's memory map has too many pieces");
	return key;
}

static void read_tables(void)
{
	enum { RSDP_SIZE = 36 };
	struct efi_map_view view;

	read_memory_map(firmware_buffer(MEMORY_MAP_MAX), &view);
	for (u64 i = 0; i < firmware.system->table_count; i++) {
		const struct efi_configuration_table *table = &firmware.system->tables[i];

		if (memcmp(&table->guid, &efi_acpi_20_table_guid, sizeof(table->guid)) == 0)
			machine_read_acpi(table->table, RSDP_SIZE);
	}
}

/*
 * The firmware has found every CPU there is. One that it keeps to itself a guest could start, on
 * its own beside Umbra.
 */
static void find_cpus(void)
{
	struct efi_mp_services *mp = firmware_any_protocol(&efi_mp_services_guid);
	u64 all = 0, enabled;

	if (mp && mp->get_number(mp, &all, &enabled))
		all = 0;
	for (u64 i = 0; i < all; i++) {
		struct efi_processor cpu;

		if (mp->get_info(mp, i, &cpu))
			continue;
		/* Where that fails, the number of those that run will not do. */
		if (!(cpu.status & EFI_PROCESSOR_ENABLED))
			mp->enable_ap(mp, i, true, NULL);
		machine_add_cpu((u32)cpu.apic_id);
	}
	machine_find_cpus(0);
}

/* The new tables with the firmware's lower half, to go to and fro; of as many levels as now. */
static paddr_t make_bridge(paddr_t cr3)
{
	enum { TABLE = 3 }; /* present, writable */
	u64 *bridge = pages_alloc(1), *root = phys_to_virt(cr3);

	if (!bridge)
		return 0;
	/* Umbra's addresses have 48 bits, so that all of them lie below one entry more. */
	if (read_cr4() & CR4_LA57) {
		root = pages_alloc(1);
		if (!root)
			return 0;
		root[511] = cr3 | TABLE;
	}
	memcpy(bridge, phys_to_virt(efi.firmware_cr3 & ~(PAGE_SIZE - 1)), PAGE_SIZE / 2);
	memcpy(bridge + 256, root + 256, PAGE_SIZE / 2);
	efi.host_cr3 = virt_to_phys(root);
	return virt_to_phys(bridge);
}

static void take_low_page(void)
{
	u64 address = 640 * KIB - 1;

	if (firmware.services->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_RESERVED_MEMORY_TYPE, 1,
					      &address) ||
	    address == 0)
		return;
	efi.low_page = address;
	if (!memmap_reserve(&efi.map, address, PAGE_SIZE))
		fail("the firmware's memory map has too many pieces");
}

static void efi_move_home(u64 ept_cap)
{
	u64 address = 4 * GIB - 1;

	take_traps();
	efi.home.size = home_size(
		&efi.map, machine_memory_wanted(&efi.map, &efi.options, &efi.microcode), ept_cap);
	give_traps_back();
	if (firmware.services->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_RESERVED_MEMORY_TYPE,
					      efi.home.size / PAGE_SIZE, &address)) {
		const u64 kib = efi.home.size / KIB;

		efi.home.size = 0;
		fail("no %lu KiB of free memory below 4 GiB", kib);
	}
	efi.home.start = address;
	if (!memmap_reserve(&efi.map, efi.home.start, efi.home.size))
		fail("the firmware's memory map has too many pieces");
	efi.bridge_cr3 = home_move_to(&efi.map, efi.home, make_bridge);
}

/* Each of the firmware's other CPUs runs efi_ap_entry and comes back as a guest. */
static void virtualise_other_cpus(paddr_t load_base)
{
	struct efi_mp_services *mp = firmware_any_protocol(&efi_mp_services_guid);
	u64 all, enabled;
	efi_status status;

	if (cpu_count == 1)
		return;
	if (!mp)
		fail("the firmware has no MP services to reach the other CPUs by; start Umbra by "
		     "GRUB's multiboot2 command instead");
	if (mp->get_number(mp, &all, &enabled) || enabled != cpu_count)
		fail("the firmware runs %lu of %lu CPUs, and there are %u", enabled, all,
		     cpu_count);
	/* No way back from here: CPUs become guests. Only this one may call the firmware's console.
	 */
	fail_set_way_out(NULL);
	log_set_console(console_write);
	status = mp->startup_all_aps(mp, load_base + (u64)(efi_ap_entry - image_start), true, NULL,
				     0, (void *)efi.bridge_cr3, NULL);
	log_set_console(firmware_write);
	if (status)
		fail("the other CPUs could not be reached: EFI status %#lx", status);
	for (u32 i = 1; i < cpu_count; i++) {
		if (!cpus[i]->vmx_on)
			fail("the CPU with APIC id %u did not come under Umbra", cpus[i]->apic_id);
	}
}

/*
 * The firmware's other CPUs have come through this copy of the image, and the guest goes on in it:
 * its code stays until an operating system takes the memory. Nothing reads its data any more.
 */
static void wipe_old_data(paddr_t load_base)
{
	memset(phys_to_virt(load_base + (u64)(data_start - image_start)), 0,
	       (size_t)(data_end - data_start));
}

/* The guest cannot load it any more. From umbra.conf's own file, and from its initrd. */
static void read_microcode(efi_handle device)
{
	const char *name = efi.config.microcode;
	paddr_t data = 0;
	u64 size = 0;

	if (name[0]) {
		if (!firmware_read_file(device, name, &data, &size))
			fail("%s: no such file", name);
	}
	if (!efi.options.microcode)
		return;
	take_traps();
	if (name[0])
		microcode_look_in(name, (const void *)data, size, &efi.microcode);
	if (efi.plan->initrd)
		microcode_look_in_initrd((const void *)efi.plan->initrd->data,
					 efi.plan->initrd->size, &efi.microcode);
	give_traps_back();
}

static void slide_under(paddr_t load_base)
{
	struct vmx_capabilities vmx;

	take_traps();
	vmx_require(&vmx, cpuid(1, 0).ebx >> 24);
	give_traps_back();
	read_tables();
	find_cpus();
	if (read_cr4() & CR4_LA57)
		log_info("the firmware uses 5-level paging");
	take_low_page();
	init_screen();
	efi_move_home(vmx.ept_vpid);
	take_traps();
	machine_create_cpus();
	wrmsr(MSR_IA32_GS_BASE, (u64)cpus[0]);
	machine_prepare(&efi.map, efi.home, efi.low_page, &efi.options, &efi.microcode, true);
	trap_init(true, SELECTOR_CODE);
	give_traps_back();
	console_init_serial(efi.options.serial_port, efi.options.serial_baud);
	virtualise_other_cpus(load_base);
	log_info("starting %s under Umbra on %u CPUs; %llu KiB left for tables", efi_next_name,
		 cpu_count, pages_left() * PAGE_SIZE / KIB);
	wait_for_reader(0);
	fail_set_way_out(NULL);
	dma_start();
	wipe_old_data(load_base);
	log_set_console(console_write);
	log_guest_owns_console(efi.options.verbose);
	interface_begin(efi.home, efi.entry_tsc);
	efi.plan->bridge = efi.bridge_cr3;
}

/* --- Two doors -------------------------------------------------------------------------------- */

static void begin(efi_handle image, struct efi_system_table *system, paddr_t firmware_cr3,
		  struct efi_plan *plan)
{
	efi.entry_tsc = rdtsc();
	efi.firmware_cr3 = firmware_cr3;
	efi.plan = plan;
	firmware = (struct efi_firmware){image, system, system->boot};
	*plan = (struct efi_plan){.services = system->boot};
	fail_set_way_out(go_on_without);
	log_set_console(firmware_write);
}

u64 efi_main(efi_handle image, struct efi_system_table *system, paddr_t load_base,
	     paddr_t firmware_cr3, struct efi_plan *plan)
{
	const struct efi_loaded_image *loaded;

	begin(image, system, firmware_cr3, plan);
	log_info("version " UMBRA_VERSION ", started by EFI firmware");
	loaded = firmware_protocol(image, &efi_loaded_image_guid);
	if (!loaded)
		fail("the firmware does not say where Umbra was loaded from");
	read_config(loaded->device);
	efi_next_configured(&efi.config, loaded->device, load_base, plan);
	read_microcode(loaded->device);
	slide_under(load_base);
	return EFI_SUCCESS;
}

/* Whether the firmware can start the first module, and all its CPUs can be reached through it. */
static bool can_stay(const struct mb2_info *info)
{
	const struct range *first = &info->module[0].memory;
	struct pe_info program;

	if (efi.options.efi_end || !info->module_count ||
	    !pe_is_efi_program((const void *)first->start, first->size, &program))
		return false;
	/* The stub of an older kernel finds its initrd on a disk only. */
	if (info->module_count > 1 && program.version == 0)
		return false;
	return firmware_any_protocol(&efi_mp_services_guid);
}

/*
 * As the boot loader would have done it: from here on nothing but the way through boot_entry32 is
 * left, with the information that it would have given.
 */
static void end_boot_services(const void *information)
{
	enum { TRIES = 3 }; /* the map may change while the firmware ends */
	void *const buffer = firmware_buffer(MEMORY_MAP_MAX);
	const paddr_t relay = firmware_pages(MB2_INFORMATION_MAX, 4 * GIB - 1);
	struct efi_map_view view;

	for (u32 i = 0; i < TRIES; i++) {
		const u64 key = read_memory_map(buffer, &view);

		if (mb2_relay(information, &efi.map, &view, (void *)relay, MB2_INFORMATION_MAX) >
		    MB2_INFORMATION_MAX)
			fail("the firmware's memory map is too long to hand it on");
		if (firmware.services->exit_boot_services(firmware.image, key))
			continue;
		log_set_console(NULL);
		fail_set_way_out(NULL);
		efi.plan->information = relay;
		return;
	}
	fail("the firmware does not end its boot services");
}

u64 efi_main_multiboot2(paddr_t information, u64 unused, paddr_t load_base, paddr_t firmware_cr3,
			struct efi_plan *plan)
{
	const u32 *size = (const void *)information;
	static struct mb2_info info;
	const char *error;

	(void)unused;
	*plan = (struct efi_plan){0};
	error = mb2_parse((const void *)information, *size, &info);
	/* Without the firmware's tables there is nobody to tell. */
	if (!info.efi_system_table || !info.efi_64bit || !info.efi_image)
		cpu_halt_forever();
	begin((efi_handle)info.efi_image, (void *)info.efi_system_table, firmware_cr3, plan);
	/* The boot loader's code does not expect to go on. */
	plan->leave = firmware.image;
	if (error)
		fail("bad boot information: %s; update the boot loader", error);
	log_info("version " UMBRA_VERSION ", loaded by %s", info.loader);
	machine_read_command_line(&info, &efi.options);
	if (!can_stay(&info)) {
		end_boot_services((const void *)information);
		return EFI_SUCCESS;
	}
	take_traps();
	efi.microcode = microcode_choose(&info, efi.options.microcode);
	give_traps_back();
	efi_next_module(&info, load_base, plan);
	slide_under(load_base);
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
	const struct running_state *state = argument;
	struct vcpu *vcpu = state->vcpu;

	cpu_load(&vcpu->cpu);
	machine_prepare_cpu(vcpu, &efi.options);
	vmx_guest_running_state(vcpu, state);
	switch_launch_cleared();
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
