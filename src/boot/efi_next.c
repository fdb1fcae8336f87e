/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/efi_next.h"

#include "boot/efi_boot_option.h"
#include "boot/efi_firmware.h"
#include "lib/string.h"
#include "mm/layout.h"
#include "smp/panic.h"

enum {
	DEVICE_PATH_MAX = 4096,
	/* UEFI_TCG PC Client Platform Firmware Profile: what boot loaders read, as GRUB does. */
	PCR_FILES = 9,
};

/* efi_entry.S */
extern const u8 efi_load_initrd[];

char efi_next_name[EFI_CONFIG_VALUE];

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
	const struct efi_device_path *of_device = firmware_protocol(device, &efi_device_path_guid);
	const size_t name_bytes = (strlen(name) + 1) * sizeof(efi_char);
	struct efi_device_path node = {
		.type = EFI_PATH_MEDIA,
		.subtype = EFI_PATH_MEDIA_FILE,
		.length = (u16)(sizeof(node) + name_bytes),
	};
	const struct efi_device_path end = {EFI_PATH_END, EFI_PATH_END_ALL, sizeof(end)};
	efi_char wide[EFI_CONFIG_VALUE];
	size_t length;

	if (!of_device)
		return false;
	length = path_length(of_device);
	if (length + node.length + sizeof(end) > capacity)
		return false;
	efi_widen(wide, ARRAY_SIZE(wide), name);
	memcpy(out, of_device, length);
	memcpy(out + length, &node, sizeof(node));
	memcpy(out + length + sizeof(node), wide, name_bytes);
	memcpy(out + length + node.length, &end, sizeof(end));
	return true;
}

/* The whole path for one that leaves out the device, or the same. */
static const void *whole_path(const u8 *path, size_t size)
{
	efi_handle *handles;
	u64 count;

	if (!efi_path_is_short(path, size) ||
	    firmware.services->locate_handle_buffer(EFI_SEARCH_BY_PROTOCOL, &efi_file_system_guid,
						    NULL, &count, &handles))
		return path;
	for (u64 i = 0; i < count; i++) {
		const struct efi_device_path *node = (const void *)path;
		const void *of_device = firmware_protocol(handles[i], &efi_device_path_guid);
		size_t length;
		u8 *whole;

		if (!of_device)
			continue;
		length = path_length(of_device);
		if (!efi_path_has_partition(of_device, length + sizeof(*node), path, size))
			continue;
		/* The device with its partition, then what follows the partition in the other. */
		whole = firmware_buffer(length + size);
		memcpy(whole, of_device, length);
		memcpy(whole + length, path + node->length, size - node->length);
		return whole;
	}
	return path;
}

/* By default what the firmware would have started after Umbra. */
static const void *next_in_boot_order(struct efi_boot_option *option)
{
	u64 current_size, order_size, size;
	const u16 *current = firmware_variable("BootCurrent", &current_size);
	const void *order = firmware_variable("BootOrder", &order_size);
	u16 number = current ? *current : 0xffff;

	while (order && efi_boot_order_next(order, order_size, number, &number)) {
		char name[9];
		const void *variable;

		efi_boot_option_name(number, name);
		variable = firmware_variable(name, &size);
		if (!variable || !efi_boot_option_parse(variable, size, option) || !option->active)
			continue;
		str_copy(efi_next_name, sizeof(efi_next_name), option->description);
		return whole_path(option->path, option->path_size);
	}
	fail("the firmware has no boot entry after this one, and umbra.conf names nothing to "
	     "start: "
	     "it needs a line \"start = \\EFI\\debian\\shimx64.efi\"");
}

static const void *configured_path(efi_handle device, const char *name)
{
	u8 *const path = firmware_buffer(DEVICE_PATH_MAX);

	str_copy(efi_next_name, sizeof(efi_next_name), name);
	if (!make_path(device, name, path, DEVICE_PATH_MAX))
		fail("%s: its path is too long", name);
	return path;
}

/* From a path, or from memory. The firmware verifies it by its own rules. */
static struct efi_loaded_image *load(const void *path, const void *source, u64 size,
				     struct efi_plan *plan)
{
	efi_status status = firmware.services->load_image(false, firmware.image, path, source, size,
							  &plan->next);

	if (status) {
		plan->next = NULL;
		fail("%s cannot be loaded: EFI status %#lx", efi_next_name, status);
	}
	return firmware_protocol(plan->next, &efi_loaded_image_guid);
}

static void set_arguments(struct efi_loaded_image *loaded, const char *arguments)
{
	const size_t count = strlen(arguments) + 1;

	if (!loaded)
		return;
	loaded->options = firmware_buffer(count * sizeof(efi_char));
	efi_widen(loaded->options, count, arguments);
	loaded->options_size = (u32)(count * sizeof(efi_char));
}

/*
 * The kernel's EFI stub asks for its initrd by a path that consists of a GUID alone. The function
 * is called by the guest, so it is the copy that the firmware loaded.
 */
static void offer_initrd(paddr_t data, u64 size, paddr_t load_base, struct efi_plan *plan)
{
	const struct __attribute__((packed)) {
		struct efi_device_path node;
		struct efi_guid guid;
		struct efi_device_path end;
	} path = {
		{EFI_PATH_MEDIA, EFI_PATH_MEDIA_VENDOR, 20},
		efi_linux_initrd_guid,
		{EFI_PATH_END, EFI_PATH_END_ALL, 4},
	};
	struct efi_load_file *offer = firmware_buffer(sizeof(*offer));
	void *copy = firmware_buffer(sizeof(path));
	efi_status status;

	memcpy(copy, &path, sizeof(path));
	*offer = (struct efi_load_file){
		.load_file = load_base + (u64)(efi_load_initrd - image_start),
		.data = data,
		.size = size,
	};
	status = firmware.services->install_protocol(&plan->initrd_handle, &efi_device_path_guid, 0,
						     copy);
	if (!status)
		status = firmware.services->install_protocol(&plan->initrd_handle,
							     &efi_load_file2_guid, 0, offer);
	if (status)
		fail("the initrd cannot be offered: EFI status %#lx", status);
	plan->initrd = offer;
}

void efi_next_configured(const struct efi_config *config, efi_handle device, paddr_t load_base,
			 struct efi_plan *plan)
{
	struct efi_boot_option option = {0};
	const void *path;
	struct efi_loaded_image *loaded;

	path = config->start[0] ? configured_path(device, config->start)
				: next_in_boot_order(&option);
	loaded = load(path, NULL, 0, plan);
	if (config->arguments[0]) {
		set_arguments(loaded, config->arguments);
	} else if (loaded && option.data_size) {
		loaded->options = (void *)(u64)option.data;
		loaded->options_size = (u32)option.data_size;
	}
	if (config->initrd[0]) {
		paddr_t data;
		u64 size;

		if (!firmware_read_file(device, config->initrd, &data, &size))
			fail("%s: no such file", config->initrd);
		firmware_measure(PCR_FILES, config->initrd, data, size);
		offer_initrd(data, size, load_base, plan);
	}
}

/* One after the other, each at a multiple of 4 bytes, as the kernel takes them. */
static paddr_t join_modules(const struct mb2_info *info, u64 *size)
{
	const struct mb2_module *first = &info->module[1];
	paddr_t joined;

	*size = first->memory.size;
	if (info->module_count == 2)
		return first->memory.start;
	*size = 0;
	for (u32 i = 1; i < info->module_count; i++)
		*size += ALIGN_UP(info->module[i].memory.size, 4ull);
	joined = firmware_pages(*size, ~0ull);
	memset((void *)joined, 0, *size);
	*size = 0;
	for (u32 i = 1; i < info->module_count; i++) {
		const struct range *module = &info->module[i].memory;

		memcpy((u8 *)joined + *size, (const void *)module->start, module->size);
		*size += ALIGN_UP(module->size, 4ull);
	}
	return joined;
}

void efi_next_module(const struct mb2_info *info, paddr_t load_base, struct efi_plan *plan)
{
	const struct range *program = &info->module[0].memory;
	/* "Memory mapped device path". */
	const struct __attribute__((packed)) {
		struct efi_device_path node;
		u32 type;
		u64 first, last;
		struct efi_device_path end;
	} path = {
		{EFI_PATH_HARDWARE, EFI_PATH_HARDWARE_MEMORY, 24},
		EFI_LOADER_DATA_TYPE,
		program->start,
		program->start + program->size - 1,
		{EFI_PATH_END, EFI_PATH_END_ALL, 4},
	};
	/* Where the firmware's own code can read it. */
	void *copy = firmware_buffer(sizeof(path));

	memcpy(copy, &path, sizeof(path));
	str_copy(efi_next_name, sizeof(efi_next_name), "the first module");
	set_arguments(load(copy, (const void *)program->start, program->size, plan),
		      info->module[0].string);
	if (info->module_count > 1) {
		u64 size;
		const paddr_t data = join_modules(info, &size);

		offer_initrd(data, size, load_base, plan);
	}
}
