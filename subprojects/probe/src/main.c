/* SPDX-License-Identifier: BSD-2-Clause */
#include "acpi.h"
#include "apic.h"
#include "boot_info.h"
#include "keep.h"
#include "layout.h"
#include "memory.h"
#include "page.h"
#include "power.h"
#include "probe.h"
#include "string.h"
#include "timer.h"

enum {
	OPTION_SIZE = 16,
};

struct boot_info boot_info;

/* Entry point of start.S. */
void probe_main(u32 kind, u32 info);

static void print_machine(void)
{
	struct cpuid vendor = cpuid(0, 0);
	struct cpuid version = cpuid(1, 0);
	char name[13] = {0};

	memcpy(name, &vendor.ebx, 4);
	memcpy(name + 4, &vendor.edx, 4);
	memcpy(name + 8, &vendor.ecx, 4);
	print("# cpu %s signature %x, %u of %u running, %s, %lu ticks/us\n", name, version.eax,
	      smp_count(), smp_expected(), apic_is_x2apic() ? "x2APIC" : "xAPIC",
	      timer_ticks_per_us());
}

void probe_main(u32 kind, u32 info)
{
	char how[OPTION_SIZE];
	const struct results *results = NULL;
	bool keeps;

	console_init();
	boot_info_read(&boot_info, kind, info);
	cmdline_set(boot_info.cmdline);
	keeps = keep_init();
	memory_init();
	console_init_screen(boot_info.has_fb ? &boot_info.fb : NULL);
	print("TAP version 13\n# probe, started by %s: %s\n",
	      kind == BOOT_KIND_MULTIBOOT2 ? "multiboot2" : "PVH", boot_info.cmdline);
	if (*boot_info.loader)
		print("# loaded by %s\n", boot_info.loader);
	if (boot_info.has_fb && boot_info.fb.type == FRAMEBUFFER_RGB)
		print("# screen of %u by %u pixels at %lx\n", boot_info.fb.width,
		      boot_info.fb.height, boot_info.fb.addr);
	if (!keeps)
		print("# keep= is no free memory: nothing is kept\n");
	smp_init_bsp(cmdline_flag("x2apic"));
	timer_init();
	if (!acpi_init(boot_info.rsdp))
		print("# no ACPI tables\n");
	smp_start_all();
	print_machine();

	if (cmdline_flag("bench"))
		bench_run();
	else
		results = probe_run();
	if (cmdline_flag("coverage"))
		coverage_report();
	print("PROBE-END %s\n", results && results->failed ? "fail" : "pass");
	if (results && cmdline_value("wait", how, sizeof(how)))
		page_show(results, cmdline_number("wait", 0));

	cmdline_value("exit", how, sizeof(how));
	if (memcmp(how, "reboot", 7) == 0)
		power_reboot();
	if (memcmp(how, "poweroff", 9) == 0)
		power_off();
	power_halt();
}
