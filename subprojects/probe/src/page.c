/* SPDX-License-Identifier: BSD-2-Clause */
#include "page.h"

#include <x86/msr.h>

#include "acpi.h"
#include "boot_info.h"
#include "features.h"
#include "keep.h"
#include "layout.h"
#include "string.h"
#include "timer.h"
#include "vmx/vmx.h"

enum {
	BRAND_LEAF = 0x80000002,
	BRAND_LEAVES = 3,
	BRAND_SIZE = 16 * BRAND_LEAVES + 1,
	OPTIONS_SHOWN = 64,
	POLLS_A_SECOND = 20,
};

/* SDM "CPUID—CPU Identification", "Processor Brand String". */
static const char *brand(char text[BRAND_SIZE])
{
	const char *start = text;

	memset(text, 0, BRAND_SIZE);
	if (cpuid(0x80000000, 0).eax < BRAND_LEAF + BRAND_LEAVES - 1)
		return "?";
	for (u32 i = 0; i < BRAND_LEAVES; i++) {
		struct cpuid leaf = cpuid(BRAND_LEAF + i, 0);

		memcpy(text + 16 * (size_t)i, &leaf, sizeof(leaf));
	}
	while (*start == ' ')
		start++;
	return start;
}

/* SDM "Determining the Signature": 0 is written, CPUID leaf 1 loads the revision. */
static u32 microcode(void)
{
	u64 value;

	if (try_wrmsr(MSR_IA32_BIOS_SIGN_ID, 0).raised)
		return 0;
	cpuid(1, 0);
	return try_rdmsr(MSR_IA32_BIOS_SIGN_ID, &value).raised ? 0 : (u32)(value >> 32);
}

static const char *vmx_support(void)
{
	if (vmx_available())
		return "yes";
	return has(FEATURE_VMX) ? "no: switched off, see the firmware's setup"
				: "no: the CPU has none, or it is hidden";
}

static void print_digest(const char *name, u64 digest)
{
	print("%s %04lx %04lx %04lx %04lx", name, digest >> 48, digest >> 32 & 0xffff,
	      digest >> 16 & 0xffff, digest & 0xffff);
}

static void print_failed(const struct results *r)
{
	unsigned shown = r->failed < FAILED_NAMES ? r->failed : FAILED_NAMES;

	for (unsigned i = 0; i < shown; i++)
		print("%-38s%s", r->first_failed[i], i % 2 || i + 1 == shown ? "\n" : " ");
	if (r->failed > shown)
		print("and %u more\n", r->failed - shown);
}

static void print_machine(void)
{
	char text[BRAND_SIZE], oem[7] = "?", options[OPTIONS_SHOWN + 1];
	bool whole = strlen(boot_info.cmdline) <= OPTIONS_SHOWN;

	/* ACPI specification, "RSDP Structure": who made the firmware. */
	if (boot_info.rsdp)
		memcpy(oem, (const u8 *)boot_info.rsdp + 9, 6);
	memcpy(options, boot_info.cmdline, OPTIONS_SHOWN);
	options[OPTIONS_SHOWN] = '\0';
	print("cpu       %s\n", brand(text));
	print("signature %x, microcode %x, %u of %u CPUs\n", cpuid(1, 0).eax, microcode(),
	      smp_count(), smp_expected());
	print("VT-x      %s\n", vmx_support());
	print("firmware  %s%s, loader %s\n", oem, boot_info.efi ? ", UEFI" : "",
	      *boot_info.loader ? boot_info.loader : "?");
	print("options   %s%s\n", options, whole ? "" : "...");
}

/* A press, not a release: those of the key that chose us in the loader's menu are still there. */
static bool key_pressed(void)
{
	enum { DATA = 0x60, STATUS = 0x64, FULL = 1, RELEASE = 0x80 };
	u8 status = inb(STATUS);

	if (status != 0xff && (status & FULL))
		return !(inb(DATA) & RELEASE);
	return console_typed();
}

static void wait(u64 seconds)
{
	for (unsigned i = 0; i < POLLS_A_SECOND; i++)
		key_pressed();
	for (u64 i = 0; i < seconds * POLLS_A_SECOND; i++) {
		if (key_pressed())
			return;
		timer_wait(1000000 / POLLS_A_SECOND);
	}
}

void page_show(const struct results *r, u64 seconds)
{
	keep_end();
	console_clear();
	print("The probe has ended. Please photograph this page.\n\n");
	print_machine();
	print("\npassed %u, failed %u, skipped %u%s\n", r->passed, r->failed, r->skipped,
	      r->failed ? "; these failed:" : "");
	print_failed(r);
	print("\n");
	print_digest("results  ", r->digest);
	print_digest("\ntext     ", keep_digest());
	if (keep_length())
		print(", %lu bytes kept", keep_length());
	print("\n\nIt goes on by a key, or after %lu s.\n", seconds);
	wait(seconds);
}
