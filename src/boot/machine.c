/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/machine.h"

#include "config.h"
#include "lib/log.h"
#include "mm/ept01.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "nested/nested.h"
#include "platform/delay.h"
#include "platform/lapic.h"
#include "smp/panic.h"
#include "vmx/cpuid_filter.h"
#include "vmx/reset.h"
#include "vmx/setup.h"
#include "vmx/vmcs_dump.h"

/* During boot the first 4 GiB are mapped, and firmware keeps its tables there. */
static const void *map_firmware_table(void *ctx, paddr_t pa, size_t size)
{
	(void)ctx;
	return pa < 4 * GIB && size <= 4 * GIB - pa ? phys_to_virt(pa) : NULL;
}

void machine_read_acpi(const u8 *rsdp, size_t length, struct acpi_info *acpi)
{
	if (length) {
		const char *error = acpi_parse(rsdp, length, map_firmware_table, NULL, acpi);

		if (error)
			log_warn("ACPI: %s", error);
	}
	if (!acpi->has_madt || acpi->cpu_count == 0) {
		log_warn("no ACPI MADT lists the CPUs: going on with one CPU");
		acpi->cpu_count = 0;
	}
	if (acpi->cpus_over_limit)
		fail("%u CPUs are more than the %zu Umbra can take; switch some off in the "
		     "firmware setup",
		     acpi->cpu_count + acpi->cpus_over_limit, ARRAY_SIZE(acpi->apic_id));
	if (acpi->cpus_online_capable)
		log_warn("%u CPUs may be added while the machine runs; they would not be under "
			 "Umbra's control",
			 acpi->cpus_online_capable);
	delay_init(acpi);
	reset_init(acpi);
}

/* A build without nested VMX has none of its functions. */
static bool nested_is_on(const struct options *options)
{
	return UMBRA_NESTED && options->nested;
}

u64 machine_memory_wanted(const struct acpi_info *acpi, const struct options *options)
{
	const u32 cpus_expected = acpi->cpu_count + 1;
	u64 wanted = cpus_expected * vcpu_memory_size();

	if (nested_is_on(options))
		wanted += (cpus_expected * nested_pages_per_cpu() + nested_pages_shared()) *
				  PAGE_SIZE +
			  ALIGN_UP(options->nested_pool * KIB, PAGE_SIZE);
	return wanted;
}

/* This CPU first, then the others in the firmware's order. */
void machine_create_cpus(const struct acpi_info *acpi)
{
	const u32 own_id = lapic_id();

	cpus = pages_alloc(1);
	if (!cpus)
		fail("out of memory for the list of CPUs");
	cpus[cpu_count++] = &vcpu_create(0, own_id)->cpu;
	for (u32 i = 0; i < acpi->cpu_count; i++) {
		if (acpi->apic_id[i] == own_id)
			continue;
		cpus[cpu_count] = &vcpu_create((u16)cpu_count, acpi->apic_id[i])->cpu;
		cpu_count++;
	}
}

void machine_prepare(const struct memmap *map, struct range home, const struct options *options)
{
	log_info("%u CPUs, %llu KiB reserved at %#llx (image %zu KiB)", cpu_count,
		 (unsigned long long)(home.size / KIB), (unsigned long long)home.start,
		 image_size() / 1024);

	vmx_read_boot_cpu();
	if (!ept01_init(map, this_vcpu()->vmx.ept_vpid, home.start, home.size))
		fail("out of memory for the guest's page tables");
	panic_set_guest_view(vmcs_dump_exit);
	if (nested_is_on(options))
		nested_init_shared(options->nested_shadow);
	cpuid_set_options(options->cpuid_all, options->hypervisor_pass);
	vmx_setup_shared();
	cpuid_report(this_vcpu());
}

void machine_prepare_cpu(struct vcpu *vcpu, const struct options *options)
{
	vmx_setup_cpu(vcpu);
	if (nested_is_on(options))
		nested_init_cpu(vcpu);
}
