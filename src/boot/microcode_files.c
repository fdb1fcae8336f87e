/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/microcode_files.h"

#include "lib/cpio.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/layout.h"

void microcode_look_in(const char *name, const void *file, size_t size,
		       struct microcode_update *newest)
{
	struct microcode_cpu cpu = microcode_this_cpu();
	struct microcode_update found;
	const char *error;

	if (newest->revision > cpu.revision)
		cpu.revision = newest->revision;
	error = microcode_find(file, size, &cpu, &found);
	if (error)
		log_warn("microcode in %s: %s", name, error);
	if (found.size)
		*newest = found;
}

void microcode_look_in_initrd(const void *initrd, size_t size, struct microcode_update *newest)
{
	/* "The Linux Microcode Loader" in the kernel's documentation. */
	const u8 *file = cpio_find(initrd, size, "kernel/x86/microcode/GenuineIntel.bin", &size);

	if (file)
		microcode_look_in("an initrd", file, size, newest);
}

struct microcode_update microcode_choose(struct mb2_info *info, bool wanted)
{
	struct microcode_update newest = {0};
	u32 others = 0;

	for (u32 i = 0; i < info->module_count; i++) {
		const struct mb2_module module = info->module[i];
		const void *const file = phys_to_virt(module.memory.start);
		const bool own = i > 0 && module.length == strlen(MICROCODE_MODULE) &&
				 memcmp(module.string, MICROCODE_MODULE, module.length) == 0;

		if (!own)
			info->module[others++] = module;
		if (i == 0 || !wanted)
			continue;
		if (own)
			microcode_look_in("module " MICROCODE_MODULE, file, module.memory.size,
					  &newest);
		else
			microcode_look_in_initrd(file, module.memory.size, &newest);
	}
	info->module_count = others;
	return newest;
}
