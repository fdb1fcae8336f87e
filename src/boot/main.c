/* SPDX-License-Identifier: BSD-2-Clause */
/* From the boot loader's hands to the guest's first instruction, top down. */
#include "boot/bare.h"
#include "boot/cmdline.h"
#include "boot/dma.h"
#include "boot/early_map.h"
#include "boot/efi_map.h"
#include "boot/guest.h"
#include "boot/home.h"
#include "boot/machine.h"
#include "boot/microcode_files.h"
#include "boot/multiboot2.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "mm/phys_width.h"
#include "platform/console.h"
#include "platform/delay.h"
#include "smp/ap_start.h"
#include "smp/cpu.h"
#include "smp/panic.h"
#include "smp/trap.h"
#include "vmx/interface.h"
#include "vmx/setup.h"
#include "vmx/switch.h"
#include "vmx/vcpu.h"

enum { LOW_PAGE_END = 640 * 1024 };

/* All of it moves with the image, so pointers between these stay good. */
static struct {
	_Alignas(8) u8 information[MB2_INFORMATION_MAX];
	struct mb2_info mb2;
	struct memmap room; /* the part of mb2.memmap that firmware does not use */
	struct options options;
	paddr_t low_page;
	struct microcode_update microcode;
	paddr_t load_base;
	struct range home; /* of no size until Umbra is there */
} boot;

/* early_tables.S */
extern u64 early_pml4[], early_pdpt[];

_Noreturn void boot_main(u64 information, u64 load_base);

/* Works on a copy: the original lies in memory that becomes the guest's. */
static void read_boot_information(paddr_t information)
{
	const u32 *total_size = phys_to_virt(information);
	const char *error;

	if (*total_size > sizeof(boot.information))
		fail("the boot loader's information is larger than %u KiB",
		     MB2_INFORMATION_MAX / 1024);
	memcpy(boot.information, total_size, *total_size);
	error = mb2_parse(boot.information, *total_size, &boot.mb2);
	if (!error && boot.mb2.boot_services_running)
		fail("32-bit UEFI firmware is not supported");
	if (error)
		fail("bad boot information: %s; update the boot loader", error);
	boot.room = boot.mb2.memmap;
	if (boot.mb2.efi_map.descriptors)
		efi_map_reserve_firmware(&boot.mb2.efi_map, &boot.room);
}

/* Firmware that decodes devices above 4 GiB may put the screen's memory there, too. */
static void init_screen(const struct framebuffer *fb)
{
	static struct early_map_tables tables;
	const paddr_t tables_at = boot.load_base + (u64)((u8 *)&tables - image_start);

	console_init_screen(fb, fb->type == FRAMEBUFFER_RGB &&
					early_map(early_pml4, early_pdpt, &tables, tables_at,
						  framebuffer_memory(fb), phys_width_address()));
}

static void read_options(void)
{
	machine_read_command_line(&boot.mb2, &boot.options);
	console_init_serial(boot.options.serial_port, boot.options.serial_baud);
	if (boot.mb2.has_fb)
		init_screen(&boot.mb2.fb);
	log_info("version " UMBRA_VERSION ", loaded by %s", boot.mb2.loader);
}

/* The kernel shows it in /proc/cmdline; left out where the line has no room for it. */
static void tell_kernel(struct mb2_module *kernel)
{
	static const char mark[] = " umbra.refused";
	static char line[2048]; /* of Linux on x86 */

	if (kernel->length + sizeof(mark) > sizeof(line))
		return;
	str_copy(line, sizeof(line), kernel->string);
	str_copy(line + kernel->length, sizeof(mark), mark);
	kernel->string = line;
	kernel->length += (u32)sizeof(mark) - 1;
}

/*
 * In place of a halt: the guest's kernel gets the machine, with Umbra's home reserved if there is
 * one, for CPUs that Umbra has started halt there. Another CPU halts, and the boot processor finds
 * out and does this.
 */
static _Noreturn void go_on_without(void)
{
	enum { LEAST_SECONDS = 3 };
	const u32 seconds = boot.options.wait > LEAST_SECONDS ? boot.options.wait : LEAST_SECONDS;
	struct guest_start start;

	if (this_cpu_ready() && this_cpu()->index) {
		bare_leave_vmx();
		cpu_halt_forever();
	}
	/* What fails from here on stops the machine. */
	fail_set_way_out(NULL);
	ap_dismiss_all();
	dma_give_back();
	log_error("starting the kernel without Umbra");
	for (u32 i = 0; i < seconds; i++)
		delay_us(1000 * 1000);
	if (!boot.home.size)
		memmap_reserve(&boot.room, boot.load_base, image_size());
	tell_kernel(&boot.mb2.module[0]);
	guest_load(&boot.mb2, &boot.room, &boot.options, boot.home, &start);
	/* The early page tables have all of its memory at its physical address anyway. */
	if (boot.home.size && !host_paging_map_trampoline(start.gdt_base))
		fail("out of memory for starting the kernel");
	bare_start(&start, guest_bare_stub(&start));
}

/* Where the modules lie, for what must not be put there; returns how many. */
static size_t module_ranges(struct range *out)
{
	for (u32 i = 0; i < boot.mb2.module_count; i++)
		out[i] = boot.mb2.module[i].memory;
	return boot.mb2.module_count;
}

/* Where CPUs start in real mode, at boot and when the machine wakes up. */
static void take_low_page(void)
{
	struct range avoid[MB2_MAX_MODULES];

	if (!memmap_find_top(&boot.room, PAGE_SIZE, PAGE_SIZE, LOW_PAGE_END, avoid,
			     module_ranges(avoid), &boot.low_page)) {
		log_warn("no free page below 640 KiB: CPUs that ACPI does not list would not be "
			 "under Umbra's control");
		return;
	}
	if (!memmap_reserve(&boot.mb2.memmap, boot.low_page, PAGE_SIZE))
		fail("the memory map has too many pieces");
	memmap_reserve(&boot.room, boot.low_page, PAGE_SIZE);
}

static void move_home(u64 ept_cap)
{
	struct range avoid[MB2_MAX_MODULES + 2];
	size_t n = module_ranges(avoid);

	avoid[n++] = (struct range){boot.load_base, image_size()};
	if (boot.microcode.size)
		avoid[n++] = (struct range){virt_to_phys(boot.microcode.data), boot.microcode.size};
	boot.home = home_move_in(
		&boot.mb2.memmap, &boot.room,
		machine_memory_wanted(&boot.mb2.memmap, &boot.options, &boot.microcode), ept_cap,
		avoid, n);
	/* Where the boot loader put the image is memory of the guest's from now on. */
	memset(phys_to_virt(boot.load_base), 0, image_size());
}

static void prepare_ap(struct cpu *cpu)
{
	struct vcpu *vcpu = (struct vcpu *)cpu;

	machine_prepare_cpu(vcpu, &boot.options);
	vmx_guest_wait_for_sipi(vcpu);
}

static void start_other_cpus(void)
{
	static const struct ap_work ap_work = {prepare_ap, switch_launch_cleared, bare_leave_vmx};

	ap_start_all(&ap_work, boot.low_page);
}

_Noreturn void boot_main(u64 information, u64 load_base)
{
	const u64 entry_tsc = rdtsc();
	struct vmx_capabilities vmx;
	struct guest_start start;

	boot.load_base = load_base;
	trap_init(false, SELECTOR_CODE);
	trap_load();
	/* Until the boot loader's information is read, the options are the defaults. */
	cmdline_parse("", &boot.options, NULL, 0);
	console_init_serial(boot.options.serial_port, boot.options.serial_baud);
	console_init_screen(NULL, true);
	log_set_console(console_write);
	read_boot_information(information);
	read_options();
	machine_read_acpi(boot.mb2.rsdp, boot.mb2.rsdp_len);
	guest_check_modules(&boot.mb2);
	if (boot.options.refuse_boot && guest_can_start_bare())
		fail_set_way_out(go_on_without);
	vmx_require(&vmx, cpuid(1, 0).ebx >> 24);
	boot.microcode = microcode_choose(&boot.mb2, boot.options.microcode);

	take_low_page();
	machine_find_cpus(boot.low_page);
	move_home(vmx.ept_vpid);
	machine_create_cpus();
	cpu_load(cpus[0]);
	trap_init(true, SELECTOR_CODE);
	machine_prepare(&boot.mb2.memmap, boot.home, boot.low_page, &boot.options, &boot.microcode,
			false);
	machine_prepare_cpu(this_vcpu(), &boot.options);
	start_other_cpus();
	dma_start();

	guest_load(&boot.mb2, &boot.room, &boot.options, boot.home, &start);
	/* From here on the others are the guest's. */
	fail_set_way_out(NULL);
	ap_release_all();
	vmx_guest_start_state(this_vcpu(), &start);
	log_info("starting the guest on %u CPUs; %llu KiB left for tables", cpu_count,
		 pages_left() * PAGE_SIZE / KIB);
	log_guest_owns_console(boot.options.verbose);
	interface_begin(boot.home, entry_tsc);
	switch_launch(&start.regs);
}
