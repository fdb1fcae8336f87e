/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/machine.h"

#include "boot/dma.h"
#include "config.h"
#include "lib/log.h"
#include "mm/ept01.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "nested/nested.h"
#include "platform/acpi.h"
#include "platform/delay.h"
#include "platform/lapic.h"
#include "smp/ap_start.h"
#include "smp/panic.h"
#include "vmx/cpuid_filter.h"
#include "vmx/interface.h"
#include "vmx/reset.h"
#include "vmx/setup.h"
#include "vmx/sleep.h"
#include "vmx/speculation.h"
#include "vmx/vmcs_dump.h"

static struct acpi_info acpi;

/* During boot the first 4 GiB are mapped, and firmware keeps its tables there. */
static const void *map_firmware_table(void *ctx, paddr_t pa, size_t size)
{
	(void)ctx;
	return pa < 4 * GIB && size <= 4 * GIB - pa ? phys_to_virt(pa) : NULL;
}

void machine_read_acpi(const u8 *rsdp, size_t length)
{
	if (length) {
		const char *error = acpi_parse(rsdp, length, map_firmware_table, NULL, &acpi);

		if (error)
			log_warn("ACPI: %s", error);
	}
	if (!acpi.madt || acpi.cpu_count == 0) {
		log_warn("no ACPI MADT lists the CPUs");
		acpi.cpu_count = 0;
	}
	delay_init(&acpi);
	reset_init(&acpi);
}

void machine_add_cpu(u32 apic_id)
{
	acpi_add_cpu(&acpi, apic_id);
}

void machine_find_cpus(paddr_t low_page)
{
	u32 left = acpi.cpus_online_capable;

	if (low_page)
		ap_call_roll(low_page, machine_add_cpu);
	if (acpi.cpu_count > acpi.cpus_listed)
		log_info("%u CPUs that ACPI does not list as enabled are taken, too",
			 acpi.cpu_count - acpi.cpus_listed);
	if (acpi.cpus_over_limit)
		fail("%u CPUs are more than the %zu Umbra can take; its "
		     "list in the ACPI tables is damaged",
		     acpi.cpu_count + acpi.cpus_over_limit, ARRAY_SIZE(acpi.apic_id));
	if (acpi.madt && map_firmware_table(NULL, acpi.madt, acpi.madt_length))
		left = acpi_hide_absent_cpus(&acpi, phys_to_virt(acpi.madt));
	if (left)
		log_warn("%u CPUs may be added while the machine runs; they would not be under "
			 "Umbra's control",
			 left);
}

void machine_read_options(const char *text, const char *what, struct options *options)
{
	char complaint[160];

	if (cmdline_parse(text, options, complaint, sizeof(complaint)))
		log_warn("%s: %s", what, complaint);
	log_set_level(options->log_level);
	options->text = text;
}

void machine_read_command_line(const struct mb2_info *info, struct options *options)
{
	machine_read_options(info->cmdline, "command line", options);
	if (info->cmdline_truncated)
		fail("Umbra's command line is longer than %zu characters; shorten it",
		     sizeof(info->cmdline) - 1);
}

/* ACPI may have left out the CPU that this runs on. */
static u32 cpus_expected(void)
{
	return acpi.cpu_count + 1;
}

static u64 cpu_list_pages(void)
{
	return ALIGN_UP(cpus_expected() * sizeof(*cpus), PAGE_SIZE) / PAGE_SIZE;
}

/* A build without nested VMX has none of its functions. */
static bool nested_is_on(const struct options *options)
{
	return UMBRA_NESTED && options->nested;
}

/* What all CPUs share for nested VMX; what they cannot do without is a part of it. */
static u64 nested_pool(const struct options *options)
{
	const u64 least = nested_pages_shared() * PAGE_SIZE;
	const u64 pool = ALIGN_UP(options->nested_pool * KIB, PAGE_SIZE);

	return pool > least ? pool : least;
}

u64 machine_memory_wanted(const struct memmap *map, const struct options *options,
			  const struct microcode_update *microcode)
{
	const u32 expected = cpus_expected();
	u64 wanted = (IO_BITMAP_PAGES + cpu_list_pages() + microcode_pages(microcode)) * PAGE_SIZE +
		     expected * vcpu_memory_size() + dma_memory_wanted(options, &acpi, map);

	if (nested_is_on(options))
		wanted += expected * nested_pages_per_cpu() * PAGE_SIZE + nested_pool(options);
	return wanted;
}

/* This CPU first, then the others in the firmware's order. */
void machine_create_cpus(void)
{
	const u32 own_id = lapic_id();

	cpus = pages_alloc(cpu_list_pages());
	if (!cpus)
		fail("out of memory for the list of CPUs");
	cpus[cpu_count++] = &vcpu_create(0, own_id)->cpu;
	for (u32 i = 0; i < acpi.cpu_count; i++) {
		if (acpi.apic_id[i] == own_id)
			continue;
		cpus[cpu_count] = &vcpu_create((u16)cpu_count, acpi.apic_id[i])->cpu;
		cpu_count++;
	}
}

void machine_prepare(const struct memmap *map, struct range home, paddr_t low_page,
		     const struct options *options, const struct microcode_update *microcode,
		     bool firmware_runs)
{
	log_info("%u CPUs, %lu KiB reserved at %#lx (image %zu KiB)", cpu_count, (home.size / KIB),
		 home.start, image_size() / 1024);

	if (!microcode_keep(microcode))
		fail("out of memory for the microcode update");
	microcode_load();
	vmx_read_boot_cpu();
	/* Before ept01, which keeps pages for itself. */
	dma_prepare(options, &acpi, map, home, low_page, firmware_runs);
	if (!ept01_init(map, this_vcpu()->vmx.ept_vpid, home.start, home.size))
		fail("out of memory for the guest's page tables");
	if (low_page && !ept01_hide_page(low_page))
		fail("out of memory for the guest's page tables");
	dma_hide_registers();
	sleep_init(&acpi, low_page);
	panic_set_guest_view(vmcs_dump_exit);
	if (nested_is_on(options))
		nested_init_shared(options->nested_shadow, options->nested_untested);
	interface_set_options(&(struct interface_options){
		.leaves = options->hv_leaves, .stats = options->stats, .text = options->text});
	cpuid_set_options(options->cpuid_all, options->hypervisor_pass, interface_has_leaves());
	speculation_set_option(options->mitigations);
	vmx_setup_shared();
	cpuid_report(this_vcpu());
}

void machine_prepare_cpu(struct vcpu *vcpu, const struct options *options)
{
	microcode_load();
	vmx_setup_cpu(vcpu);
	speculation_report(vcpu);
	if (nested_is_on(options))
		nested_init_cpu(vcpu);
}
