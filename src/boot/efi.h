/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The firmware's interface, as far as Umbra calls it. UEFI Specification; section titles at each
 * structure. Members that are not used are only counted.
 */
#pragma once

#include <x86/types.h>

typedef u64 efi_status;
typedef void *efi_handle;
typedef u16 efi_char;

#define EFIAPI __attribute__((ms_abi))

enum { EFI_SUCCESS = 0 };

struct efi_guid {
	u32 a;
	u16 b, c;
	u8 d[8];
};

/* "EFI Simple Text Output Protocol" */
struct efi_text_output {
	void *reset;
	efi_status EFIAPI (*output_string)(struct efi_text_output *this, const efi_char *text);
};

/* "Memory Allocation Services" */
enum efi_allocate_type { EFI_ALLOCATE_ANY_PAGES, EFI_ALLOCATE_MAX_ADDRESS, EFI_ALLOCATE_ADDRESS };
enum efi_memory_type { EFI_RESERVED_MEMORY_TYPE = 0, EFI_LOADER_DATA_TYPE = 2 };

/* "Device Path Protocol" */
struct __attribute__((packed)) efi_device_path {
	u8 type;
	u8 subtype;
	u16 length;
};
enum {
	EFI_PATH_HARDWARE = 1,
	EFI_PATH_HARDWARE_MEMORY = 3,
	EFI_PATH_MEDIA = 4,
	EFI_PATH_MEDIA_VENDOR = 3,
	EFI_PATH_MEDIA_FILE = 4,
	EFI_PATH_END = 0x7f,
	EFI_PATH_END_ALL = 0xff,
};

/* "EFI Boot Services Table" */
struct efi_boot_services {
	u8 header[24];
	void *raise_tpl, *restore_tpl;
	efi_status EFIAPI (*allocate_pages)(enum efi_allocate_type type,
					    enum efi_memory_type memory, u64 pages, u64 *address);
	efi_status EFIAPI (*free_pages)(u64 address, u64 pages);
	efi_status EFIAPI (*get_memory_map)(u64 *size, void *map, u64 *key, u64 *descriptor_size,
					    u32 *version);
	efi_status EFIAPI (*allocate_pool)(enum efi_memory_type memory, u64 size, void **buffer);
	efi_status EFIAPI (*free_pool)(void *buffer);
	void *events[6];
	efi_status EFIAPI (*install_protocol)(efi_handle *handle, const struct efi_guid *protocol,
					      u32 interface_type, void *interface);
	void *reinstall_protocol;
	efi_status EFIAPI (*uninstall_protocol)(efi_handle handle, const struct efi_guid *protocol,
						void *interface);
	efi_status EFIAPI (*handle_protocol)(efi_handle handle, const struct efi_guid *protocol,
					     void **interface);
	void *reserved, *register_protocol_notify, *locate_handle, *locate_device_path;
	void *install_configuration_table;
	efi_status EFIAPI (*load_image)(bool boot_policy, efi_handle parent,
					const struct efi_device_path *path, const void *source,
					u64 size, efi_handle *image);
	efi_status EFIAPI (*start_image)(efi_handle image, u64 *exit_size, efi_char **exit_data);
	efi_status EFIAPI (*exit)(efi_handle image, efi_status status, u64 data_size,
				  efi_char *data);
	efi_status EFIAPI (*unload_image)(efi_handle image);
	efi_status EFIAPI (*exit_boot_services)(efi_handle image, u64 map_key);
	void *get_next_monotonic_count;
	efi_status EFIAPI (*stall)(u64 microseconds);
	void *set_watchdog_timer, *connect_controller, *disconnect_controller;
	void *open_protocol[3];
	void *protocols_per_handle;
	efi_status EFIAPI (*locate_handle_buffer)(u32 search, const struct efi_guid *protocol,
						  void *key, u64 *count, efi_handle **handles);
	efi_status EFIAPI (*locate_protocol)(const struct efi_guid *protocol, void *registration,
					     void **interface);
};
/* For efi_entry.S. */
_Static_assert(offsetof(struct efi_boot_services, free_pages) == 48, "see efi_entry.S");
_Static_assert(offsetof(struct efi_boot_services, uninstall_protocol) == 144, "see efi_entry.S");
_Static_assert(offsetof(struct efi_boot_services, start_image) == 208, "see efi_entry.S");
_Static_assert(offsetof(struct efi_boot_services, exit) == 216, "see efi_entry.S");

/* "EFI Runtime Services Table" */
struct efi_runtime_services {
	u8 header[24];
	void *time[4];
	void *set_virtual_address_map, *convert_pointer;
	efi_status EFIAPI (*get_variable)(const efi_char *name, const struct efi_guid *vendor,
					  u32 *attributes, u64 *size, void *data);
};

struct efi_configuration_table {
	struct efi_guid guid;
	const void *table;
};

/* "EFI System Table" */
struct efi_system_table {
	u8 header[24];
	const efi_char *vendor;
	u32 revision;
	efi_handle console_in_handle;
	void *console_in;
	efi_handle console_out_handle;
	struct efi_text_output *console_out;
	efi_handle error_handle;
	struct efi_text_output *error;
	struct efi_runtime_services *runtime;
	struct efi_boot_services *boot;
	u64 table_count;
	const struct efi_configuration_table *tables;
};

/* "EFI Loaded Image Protocol" */
struct efi_loaded_image {
	u32 revision;
	efi_handle parent;
	struct efi_system_table *system;
	efi_handle device;
	const struct efi_device_path *path;
	void *reserved;
	u32 options_size; /* bytes */
	efi_char *options;
	void *image_base;
	u64 image_size;
};

/* "EFI File Protocol" and "EFI Simple File System Protocol" */
struct efi_file {
	u64 revision;
	efi_status EFIAPI (*open)(struct efi_file *this, struct efi_file **file,
				  const efi_char *name, u64 mode, u64 attributes);
	efi_status EFIAPI (*close)(struct efi_file *this);
	void *delete;
	efi_status EFIAPI (*read)(struct efi_file *this, u64 *size, void *buffer);
	void *write;
	efi_status EFIAPI (*get_position)(struct efi_file *this, u64 *position);
	efi_status EFIAPI (*set_position)(struct efi_file *this, u64 position);
};
enum { EFI_FILE_MODE_READ = 1 };

struct efi_file_system {
	u64 revision;
	efi_status EFIAPI (*open_volume)(struct efi_file_system *this, struct efi_file **root);
};

/* "Graphics Output Protocol" */
enum efi_pixel_format { EFI_PIXELS_RGBX, EFI_PIXELS_BGRX, EFI_PIXELS_MASKS, EFI_PIXELS_HIDDEN };

struct efi_graphics_info {
	u32 version;
	u32 width, height;
	u32 format; /* enum efi_pixel_format */
	u32 masks[4];
	u32 line; /* pixels */
};

struct efi_graphics {
	void *query_mode, *set_mode, *blt;
	const struct efi_graphics_mode {
		u32 max_mode, mode;
		const struct efi_graphics_info *info;
		u64 info_size;
		paddr_t frame_buffer;
		u64 frame_buffer_size;
	} * mode;
};

/* PI Specification, "EFI MP Services Protocol" */
struct efi_processor {
	u64 apic_id;
	u32 status; /* EFI_PROCESSOR_* */
	u32 package, core, thread;
	u32 more[8]; /* as later versions have it */
};

enum { EFI_PROCESSOR_ENABLED = 1 << 1 };

struct efi_mp_services {
	efi_status EFIAPI (*get_number)(struct efi_mp_services *this, u64 *all, u64 *enabled);
	efi_status EFIAPI (*get_info)(struct efi_mp_services *this, u64 number,
				      struct efi_processor *processor);
	efi_status EFIAPI (*startup_all_aps)(struct efi_mp_services *this, u64 procedure,
					     bool single_thread, void *event, u64 timeout,
					     void *argument, void **failed);
	void *startup_this_ap;
	void *switch_bsp;
	efi_status EFIAPI (*enable_ap)(struct efi_mp_services *this, u64 number, bool enable,
				       const u32 *health);
};

/*
 * "Load File 2 Protocol", as efi_entry.S has it: what follows the function is Umbra's. Linux's EFI
 * stub asks such a protocol for its initrd.
 */
struct efi_load_file {
	u64 load_file;
	u64 data, size;
};
_Static_assert(offsetof(struct efi_load_file, data) == 8, "see efi_entry.S");
_Static_assert(offsetof(struct efi_load_file, size) == 16, "see efi_entry.S");

/* TCG EFI Protocol Specification, "EFI_TCG2_PROTOCOL.HashLogExtendEvent". */
struct __attribute__((packed)) efi_tcg2_event {
	u32 size; /* of all of it */
	u32 header_size;
	u16 header_version;
	u32 pcr;
	u32 type;
	char text[64];
};
_Static_assert(offsetof(struct efi_tcg2_event, text) == 18, "EFI_TCG2_EVENT");

struct efi_tcg2 {
	void *get_capability, *get_event_log;
	efi_status EFIAPI (*hash_log_extend_event)(struct efi_tcg2 *this, u64 flags, u64 data,
						   u64 size, const struct efi_tcg2_event *event);
};

enum { EFI_SEARCH_BY_PROTOCOL = 2 };

/* In efi_firmware.c. */
extern const struct efi_guid efi_global_variable_guid, efi_loaded_image_guid, efi_device_path_guid,
	efi_file_system_guid, efi_mp_services_guid, efi_graphics_guid, efi_acpi_20_table_guid,
	efi_load_file2_guid, efi_linux_initrd_guid, efi_tcg2_guid;
