/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/efi_firmware.h"

#include "lib/log.h"
#include "lib/string.h"
#include "smp/panic.h"

enum {
	PATH_MAX = 512,
	VARIABLE_MAX = 4096,
	TCG2_EVENT_HEADER = 14,
	TCG2_EVENT_VERSION = 1,
	EV_IPL = 13, /* TCG PC Client Platform Firmware Profile, "Event Types" */
};

struct efi_firmware firmware;

/* Each in the specification of its protocol or table. */
const struct efi_guid efi_global_variable_guid = {
	0x8be4df61, 0x93ca, 0x11d2, {0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}};
const struct efi_guid efi_loaded_image_guid = {
	0x5b1b31a1, 0x9562, 0x11d2, {0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
const struct efi_guid efi_device_path_guid = {
	0x09576e91, 0x6d3f, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
const struct efi_guid efi_file_system_guid = {
	0x964e5b22, 0x6459, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
const struct efi_guid efi_mp_services_guid = {
	0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};
const struct efi_guid efi_graphics_guid = {
	0x9042a9de, 0x23dc, 0x4a38, {0x96, 0xfb, 0x7a, 0xde, 0xd0, 0x80, 0x51, 0x6a}};
const struct efi_guid efi_acpi_20_table_guid = {
	0x8868e871, 0xe4f1, 0x11d3, {0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81}};
const struct efi_guid efi_load_file2_guid = {
	0x4006c0c1, 0xfcb3, 0x403e, {0x99, 0x6d, 0x4a, 0x6c, 0x87, 0x24, 0xe0, 0x6d}};
/* Linux, Documentation/arch/x86/boot.rst and include/linux/efi.h. */
const struct efi_guid efi_linux_initrd_guid = {
	0x5568e427, 0x68fc, 0x4f3d, {0xac, 0x74, 0xca, 0x55, 0x52, 0x31, 0xcc, 0x68}};
const struct efi_guid efi_tcg2_guid = {
	0x607f766c, 0x7455, 0x42be, {0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f}};

void efi_widen(efi_char *to, size_t capacity, const char *text)
{
	size_t i = 0;

	for (; text[i] && i + 1 < capacity; i++)
		to[i] = (u8)text[i];
	to[i] = 0;
}

void firmware_write(const char *text, size_t n)
{
	struct efi_text_output *out = firmware.system->console_out;
	efi_char line[130];
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			line[used++] = '\r';
		line[used++] = (u8)text[i];
		if (used >= ARRAY_SIZE(line) - 2 || i + 1 == n) {
			line[used] = 0;
			out->output_string(out, line);
			used = 0;
		}
	}
}

void *firmware_buffer(u64 size)
{
	void *buffer;

	if (firmware.services->allocate_pool(EFI_LOADER_DATA_TYPE, size, &buffer))
		fail("the firmware has no memory left");
	return buffer;
}

paddr_t firmware_pages(u64 size, paddr_t last)
{
	u64 address = last;

	if (firmware.services->allocate_pages(EFI_ALLOCATE_MAX_ADDRESS, EFI_LOADER_DATA_TYPE,
					      ALIGN_UP(size, PAGE_SIZE) / PAGE_SIZE, &address))
		fail("the firmware has no memory left");
	return address;
}

void *firmware_protocol(efi_handle handle, const struct efi_guid *guid)
{
	void *interface;

	return firmware.services->handle_protocol(handle, guid, &interface) ? NULL : interface;
}

void *firmware_any_protocol(const struct efi_guid *guid)
{
	void *interface;

	return firmware.services->locate_protocol(guid, NULL, &interface) ? NULL : interface;
}

void *firmware_variable(const char *name, u64 *size)
{
	void *const data = firmware_buffer(VARIABLE_MAX);
	efi_char wide[16];

	efi_widen(wide, ARRAY_SIZE(wide), name);
	*size = VARIABLE_MAX;
	return firmware.system->runtime->get_variable(wide, &efi_global_variable_guid, NULL, size,
						      data)
		       ? NULL
		       : data;
}

static struct efi_file *open_file(efi_handle device, const char *name)
{
	struct efi_file_system *system = firmware_protocol(device, &efi_file_system_guid);
	struct efi_file *root, *file;
	efi_char path[PATH_MAX];

	efi_widen(path, ARRAY_SIZE(path), name);
	if (!system || system->open_volume(system, &root))
		return NULL;
	if (root->open(root, &file, path, EFI_FILE_MODE_READ, 0))
		file = NULL;
	root->close(root);
	return file;
}

bool firmware_read_file(efi_handle device, const char *name, paddr_t *data, u64 *size)
{
	struct efi_file *file = open_file(device, name);
	u64 length;

	if (!file)
		return false;
	/* "EFI_FILE_PROTOCOL.SetPosition()": all ones is the end of the file. */
	if (file->set_position(file, ~0ull) || file->get_position(file, size) ||
	    file->set_position(file, 0))
		fail("%s cannot be read", name);
	*data = firmware_pages(*size + 1, ~0ull);
	length = *size;
	if (file->read(file, &length, (void *)*data) || length != *size)
		fail("%s cannot be read", name);
	file->close(file);
	return true;
}

void firmware_measure(u32 pcr, const char *name, paddr_t data, u64 size)
{
	struct efi_tcg2 *tcg = firmware_any_protocol(&efi_tcg2_guid);
	struct efi_tcg2_event event = {
		.header_size = TCG2_EVENT_HEADER,
		.header_version = TCG2_EVENT_VERSION,
		.pcr = pcr,
		.type = EV_IPL,
	};
	efi_status status;

	if (!tcg)
		return;
	str_copy(event.text, sizeof(event.text), name);
	event.size = (u32)(offsetof(struct efi_tcg2_event, text) + strlen(event.text) + 1);
	status = tcg->hash_log_extend_event(tcg, 0, data, size, &event);
	if (status)
		log_warn("%s is not measured: EFI status %#lx", name, status);
}
