/* SPDX-License-Identifier: BSD-2-Clause */
/* From the boot loader's hands to the guest's first instruction, top down. */
#include "config.h"

#include "boot/cmdline.h"
#include "boot/efi_map.h"
#include "boot/guest.h"
#include "boot/home.h"
#include "boot/multiboot2.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/ept01.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "nested/nested.h"
#include "platform/acpi.h"
#include "platform/console.h"
#include "platform/delay.h"
#include "platform/lapic.h"
#include "smp/ap_start.h"
#include "smp/cpu.h"
#include "smp/panic.h"
#include "smp/trap.h"
#include "vmx/reset.h"
#include "vmx/setup.h"
#include "vmx/statistics.h"
#include "vmx/switch.h"
#include "vmx/vcpu.h"
#include "vmx/vmcs_dump.h"

enum {
	/* A server's EFI memory map alone has many hundred entries of 48 bytes. */
	BOOT_INFORMATION_MAX = 64 * 1024,
	DEFAULT_SERIAL_PORT = 0x3f8,
	DEFAULT_BAUD = 115200,
};

/* All of it moves with the image, so pointers between these stay good. */
static struct {
	_Alignas(8) u8 information[BOOT_INFORMATION_MAX];
	struct mb2_info mb2;
	struct memmap room; /* the part of mb2.memmap that firmware does not use */
	struct options options;
	struct acpi_info acpi;
} boot;

_Noreturn void boot_main(u64 information, u64 load_base);

/* Works on a copy: the original lies in memory that becomes the guest's. */
static void read_boot_information(paddr_t information)
{
	const u32 *total_size = phys_to_virt(information);
	enum mb2_status status;

	if (*total_size > sizeof(boot.information))
		fail("the boot loader's information is larger than %u KiB",
		     BOOT_INFORMATION_MAX / 1024);
	memcpy(boot.information, total_size, *total_size);
	status = mb2_parse(boot.information, *total_size, &boot.mb2);
	if (status != MB2_OK)
		fail("bad boot information: %s; update the boot loader", mb2_status_text(status));
	boot.room = boot.mb2.memmap;
	if (boot.mb2.efi_mmap)
		efi_map_reserve_firmware(boot.mb2.efi_mmap, boot.mb2.efi_mmap_size,
					 boot.mb2.efi_desc_size, &boot.room);
}

static void read_options(void)
{
	char complaint[160];

	if (cmdline_parse(boot.mb2.cmdline, &boot.options, complaint, sizeof(complaint)))
		log_warn("command line: %s", complaint);
	if (boot.mb2.cmdline_truncated)
		fail("Umbra's command line is longer than %zu characters; shorten it",
		     sizeof(boot.mb2.cmdline) - 1);
	console_init_serial(boot.options.serial_port, boot.options.serial_baud);
	console_init_screen(boot.mb2.has_fb ? &boot.mb2.fb : NULL);
	log_set_level(boot.options.log_level);
	log_info("version " UMBRA_VERSION ", loaded by %s", boot.mb2.loader);
}

/* During boot the first 4 GiB are mapped, and firmware keeps its tables there. */
static const void *map_firmware_table(void *ctx, paddr_t pa, size_t size)
{
	(void)ctx;
	return pa < 4 * GIB && size <= 4 * GIB - pa ? phys_to_virt(pa) : NULL;
}

static void read_acpi(void)
{
	if (boot.mb2.rsdp_len) {
		const char *error = acpi_parse(boot.mb2.rsdp, boot.mb2.rsdp_len, map_firmware_table,
					       NULL, &boot.acpi);

		if (error)
			log_warn("ACPI: %s", error);
	}
	if (!boot.acpi.has_madt || boot.acpi.cpu_count == 0) {
		log_warn("no ACPI MADT lists the CPUs: going on with one CPU");
		boot.acpi.cpu_count = 0;
	}
	if (boot.acpi.cpus_over_limit)
		fail("%u CPUs are more than the %zu Umbra can take; switch some off in the "
		     "firmware setup",
		     boot.acpi.cpu_count + boot.acpi.cpus_over_limit,
		     ARRAY_SIZE(boot.acpi.apic_id));
	if (boot.acpi.cpus_online_capable)
		log_warn("%u CPUs may be added while the machine runs; they would not be under "
			 "Umbra's control",
			 boot.acpi.cpus_online_capable);
	delay_init(&boot.acpi);
	reset_init(&boot.acpi);
}

/* A build without nested VMX has none of its functions. */
static bool nested_is_on(void)
{
	return UMBRA_NESTED && boot.options.nested;
}

static struct range move_home(paddr_t load_base)
{
	struct range avoid[MB2_MAX_MODULES + 1];
	size_t n = 0;

	avoid[n++] = (struct range){load_base, image_size()};
	for (u32 i = 0; i < boot.mb2.module_count; i++)
		avoid[n++] = (struct range){boot.mb2.module[i].start,
					    boot.mb2.module[i].end - boot.mb2.module[i].start};
	const u32 cpus_expected = boot.acpi.cpu_count + 1;
	u64 wanted = cpus_expected * vcpu_memory_size();

	if (nested_is_on())
		wanted += cpus_expected * nested_pages_per_cpu() * PAGE_SIZE +
			  ALIGN_UP(boot.options.nested_pool * KIB, PAGE_SIZE);
	return home_move_in(&boot.mb2.memmap, &boot.room, wanted, avoid, n);
}

/* This CPU first, then the others in the firmware's order. */
static void create_cpus(void)
{
	const u32 own_id = lapic_id();

	cpus = pages_alloc(1);
	if (!cpus)
		fail("out of memory for the list of CPUs");
	cpus[cpu_count++] = &vcpu_create(0, own_id)->cpu;
	for (u32 i = 0; i < boot.acpi.cpu_count; i++) {
		if (boot.acpi.apic_id[i] == own_id)
			continue;
		cpus[cpu_count] = &vcpu_create((u16)cpu_count, boot.acpi.apic_id[i])->cpu;
		cpu_count++;
	}
}

static void prepare_cpu(struct vcpu *vcpu)
{
	vmx_setup_cpu(vcpu);
	if (nested_is_on())
		nested_init_cpu(vcpu);
}

static void prepare_ap(struct cpu *cpu)
{
	struct vcpu *vcpu = (struct vcpu *)cpu;

	prepare_cpu(vcpu);
	vmx_guest_wait_for_sipi(vcpu);
}

_Noreturn static void enter_guest_on_ap(void)
{
	static const struct guest_regs no_registers;

	switch_launch(&no_registers);
}

static void start_other_cpus(void)
{
	static const struct ap_work ap_work = {prepare_ap, enter_guest_on_ap};
	struct range avoid[MB2_MAX_MODULES];

	for (u32 i = 0; i < boot.mb2.module_count; i++)
		avoid[i] = (struct range){boot.mb2.module[i].start,
					  boot.mb2.module[i].end - boot.mb2.module[i].start};
	ap_start_all(&ap_work, &boot.mb2.memmap, avoid, boot.mb2.module_count);
}

_Noreturn void boot_main(u64 information, u64 load_base)
{
	const u64 entry_tsc = rdtsc();
	struct vmx_capabilities vmx;
	struct guest_start start;
	struct range home;

	trap_init(false);
	trap_load();
	console_init_serial(DEFAULT_SERIAL_PORT, DEFAULT_BAUD);
	console_init_screen(NULL);
	log_set_console(console_write);
	read_boot_information(information);
	read_options();
	vmx_require(&vmx, cpuid(1, 0).ebx >> 24);
	read_acpi();
	guest_check_modules(&boot.mb2);

	home = move_home(load_base);
	create_cpus();
	cpu_load(cpus[0]);
	trap_init(true);
	log_info("%u CPUs, %llu KiB reserved at %#llx (image %zu KiB)", cpu_count,
		 (unsigned long long)(home.size / KIB), (unsigned long long)home.start,
		 image_size() / 1024);

	if (!ept01_init(&boot.mb2.memmap, vmx.ept_vpid, home.start, home.size))
		fail("out of memory for the guest's page tables");
	panic_set_guest_view(vmcs_dump_exit);
	vmx_read_boot_cpu();
	if (nested_is_on())
		nested_init_shared(boot.options.nested_shadow);
	vmx_setup_shared();
	prepare_cpu(this_vcpu());
	start_other_cpus();

	guest_load(&boot.mb2, &boot.room, &boot.options, home, &start);
	vmx_guest_start_state(this_vcpu(), &start);
	log_info("starting the guest on %u CPUs; %llu KiB left for tables", cpu_count,
		 (unsigned long long)(pages_left() * PAGE_SIZE / KIB));
	log_guest_owns_console(boot.options.verbose);
	statistics_init(boot.options.stats, home.size, entry_tsc);
	switch_launch(&start.regs);
}
