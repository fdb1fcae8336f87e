/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting Linux by its x86 boot protocol ("The Linux/x86 Boot Protocol" and "Zero Page" in the
 * kernel's documentation): reading a bzImage, and writing the boot_params of the 32-bit entry.
 */
#pragma once

#include <screen/framebuffer.h>
#include <x86/types.h>

#include "mm/memmap.h"

enum { LINUX_XLF_ABOVE_4G = 1 << 1 }; /* of xloadflags */

/* What linux_parse found out. Addresses are physical, sizes in bytes. */
struct linux_image {
	u16 version;     /* of the protocol: 0x020c is 2.12 */
	u16 xloadflags;  /* 0 before 2.12 */
	u32 header_end;  /* end of the setup header in the file */
	u32 code_offset; /* protected-mode kernel in the file */
	u32 code_size;
	paddr_t pref_address;
	u64 init_size; /* memory needed from the load address on, at least code_size */
	u64 kernel_alignment;
	bool relocatable;   /* may load at any multiple of kernel_alignment, else at pref_address */
	u32 cmdline_size;   /* longest command line without its NUL */
	paddr_t initrd_max; /* highest address of an initrd's last byte */
};

struct linux_efi {
	paddr_t system_table; /* 0: not started from EFI */
	paddr_t memory_map;
	u32 memory_map_size;
	u32 descriptor_size;
	u32 descriptor_version;
	bool is_32bit;
};

struct linux_handover {
	paddr_t load_address; /* of the protected-mode kernel */
	paddr_t cmdline;      /* NUL-terminated */
	paddr_t initrd;
	u64 initrd_size; /* 0: none */
	const struct memmap *map;
	paddr_t rsdp;                 /* 0: the kernel searches for it */
	const struct framebuffer *fb; /* FRAMEBUFFER_RGB; NULL: VGA text mode 80x25 */
	struct linux_efi efi;
	/*
	 * Memory for what does not fit boot_params, linux_setup_data_size() bytes, 8-aligned, and
	 * its physical address. Not used when that size is 0.
	 */
	void *setup_data;
	paddr_t setup_data_address;
};

enum { LINUX_E820_MAX = 128 };

struct linux_e820_entry {
	u64 addr;
	u64 size;
	u32 type;
} __attribute__((packed));
_Static_assert(sizeof(struct linux_e820_entry) == MEMMAP_E820_SIZE, "boot_e820_entry");

struct linux_setup_data {
	u64 next;
	u32 type;
	u32 len;
	struct linux_e820_entry e820[];
} __attribute__((packed));
_Static_assert(offsetof(struct linux_setup_data, e820) == 16, "setup_data");

/* Here and below, members that are not used are only counted. */
struct linux_screen_info {
	u8 orig_x, orig_y;
	u8 before_mode[4];
	u8 orig_video_mode, orig_video_cols;
	u8 before_lines[6];
	u8 orig_video_lines, orig_video_is_vga;
	u16 orig_video_points;
	u16 lfb_width, lfb_height, lfb_depth;
	u32 lfb_base, lfb_size;
	u8 before_linelength[4];
	u16 lfb_linelength;
	u8 red_size, red_pos, green_size, green_pos, blue_size, blue_pos, rsvd_size, rsvd_pos;
	u8 before_capabilities[8];
	u32 capabilities;
	u32 ext_lfb_base;
	u8 reserved[2];
} __attribute__((packed));
_Static_assert(offsetof(struct linux_screen_info, lfb_base) == 0x18, "screen_info");
_Static_assert(offsetof(struct linux_screen_info, lfb_linelength) == 0x24, "screen_info");
_Static_assert(offsetof(struct linux_screen_info, capabilities) == 0x36, "screen_info");
_Static_assert(sizeof(struct linux_screen_info) == 0x40, "screen_info");

struct linux_efi_info {
	u32 signature; /* "EL64" or "EL32" */
	u32 systab;
	u32 memdesc_size;
	u32 memdesc_version;
	u32 memmap;
	u32 memmap_size;
	u32 systab_hi;
	u32 memmap_hi;
};
_Static_assert(sizeof(struct linux_efi_info) == 0x20, "efi_info");

/* At 0x1f1 of both the file and boot_params. */
struct linux_setup_header {
	u8 setup_sects;
	u16 root_flags;
	u32 syssize;
	u16 ram_size;
	u16 vid_mode;
	u16 root_dev;
	u16 boot_flag;
	u8 jump[2]; /* the second byte is also the header's end, from 0x202 */
	u32 header;
	u16 version;
	u8 before_type_of_loader[8];
	u8 type_of_loader;
	u8 loadflags;
	u16 setup_move_size;
	u32 code32_start;
	u32 ramdisk_image;
	u32 ramdisk_size;
	u8 before_ext_loader_ver[6];
	u8 ext_loader_ver;
	u8 ext_loader_type;
	u32 cmd_line_ptr;
	u32 initrd_addr_max;
	u32 kernel_alignment;
	u8 relocatable_kernel;
	u8 min_alignment;
	u16 xloadflags;
	u32 cmdline_size;
	u8 before_setup_data[20];
	u64 setup_data;
	u64 pref_address;
	u32 init_size;
	u8 after_init_size[8];
} __attribute__((packed));

struct boot_params {
	struct linux_screen_info screen_info;
	u8 before_acpi_rsdp_addr[0x30];
	u64 acpi_rsdp_addr;
	u8 before_ext_ramdisk_image[0x48];
	u32 ext_ramdisk_image;
	u32 ext_ramdisk_size;
	u32 ext_cmd_line_ptr;
	u8 before_efi_info[0xf4];
	struct linux_efi_info efi_info;
	u8 before_e820_entries[8];
	u8 e820_entries;
	u8 before_secure_boot[3];
	u8 secure_boot;
	u8 before_hdr[4];
	struct linux_setup_header hdr;
	u8 before_edd_mbr_sig_buffer[0x290 - 0x1f1 - sizeof(struct linux_setup_header)];
	u32 edd_mbr_sig_buffer[16];
	struct linux_e820_entry e820_table[LINUX_E820_MAX];
	u8 after_e820_table[0x330];
} __attribute__((packed));
_Static_assert(sizeof(struct boot_params) == 4096, "boot_params");
_Static_assert(offsetof(struct boot_params, acpi_rsdp_addr) == 0x70, "boot_params");
_Static_assert(offsetof(struct boot_params, ext_ramdisk_image) == 0xc0, "boot_params");
_Static_assert(offsetof(struct boot_params, efi_info) == 0x1c0, "boot_params");
_Static_assert(offsetof(struct boot_params, e820_entries) == 0x1e8, "boot_params");
_Static_assert(offsetof(struct boot_params, secure_boot) == 0x1ec, "boot_params");
_Static_assert(offsetof(struct boot_params, hdr) == 0x1f1, "boot_params");
_Static_assert(offsetof(struct boot_params, hdr.header) == 0x202, "boot_params");
_Static_assert(offsetof(struct boot_params, hdr.type_of_loader) == 0x210, "boot_params");
_Static_assert(offsetof(struct boot_params, hdr.cmd_line_ptr) == 0x228, "boot_params");
_Static_assert(offsetof(struct boot_params, hdr.xloadflags) == 0x236, "boot_params");
_Static_assert(offsetof(struct boot_params, hdr.setup_data) == 0x250, "boot_params");
_Static_assert(offsetof(struct boot_params, hdr.init_size) == 0x260, "boot_params");
_Static_assert(offsetof(struct boot_params, edd_mbr_sig_buffer) == 0x290, "boot_params");
_Static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "boot_params");

/* What linux_parse() says of a file of another kind. */
extern const char linux_not_linux[];

/* Reads the bzImage of `size` bytes at `image`, which is untrusted. *out is written for NULL; else
 * what is wrong, for people. */
const char *linux_parse(const void *image, size_t size, struct linux_image *out);

/* Bytes of handover.setup_data this map needs; 0 if boot_params takes all of it. */
size_t linux_setup_data_size(const struct memmap *map);

/*
 * Writes all of `bp` for the 32-bit entry: `parsed` is what linux_parse made of `image`. All
 * addresses in `handover` but those of an EFI map, a frame buffer and the RSDP, and an initrd with
 * LINUX_XLF_ABOVE_4G, are below 4 GiB; ext_ fields take the upper halves.
 */
void linux_fill_boot_params(struct boot_params *bp, const void *image,
			    const struct linux_image *parsed,
			    const struct linux_handover *handover);
