/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/linux.h"

#include "lib/string.h"

const char linux_not_linux[] = "not a Linux bzImage";

enum {
	HEADER_OFFSET = 0x1f1,
	HEADER_END_BASE = 0x202, /* the byte at 0x201 counts from here */
	SECTOR = 512,
	BOOT_FLAG = 0xaa55,
	HEADER_MAGIC = 0x53726448, /* "HdrS" */
	LOADER_UNDEFINED = 0xff,
	LOADED_HIGH = 1 << 0,
	KEEP_SEGMENTS = 1 << 6,
	VIDEO_MODE_NORMAL = 0xffff,
	SETUP_E820_EXT = 1,
	VIDEO_TEXT_COLOUR = 3,
	TEXT_COLUMNS = 80,
	TEXT_LINES = 25,
	VIDEO_TYPE_VGA = 1,
	VIDEO_TYPE_VLFB = 0x23,
	VIDEO_TYPE_EFI = 0x70,
	VIDEO_CAPABILITY_64BIT_BASE = 1 << 1,
	EFI_SIGNATURE_64 = 0x34364c45, /* "EL64" */
	EFI_SIGNATURE_32 = 0x32334c45, /* "EL32" */
	SECURE_BOOT_DISABLED = 2,      /* Linux, enum efi_secureboot_mode */
	DEFAULT_SETUP_SECTS = 4,
};

const char *linux_parse(const void *image, size_t size, struct linux_image *out)
{
	const u8 *bytes = image;
	struct linux_setup_header h;
	struct linux_image found = {0};

	if (size < HEADER_OFFSET + sizeof(h))
		return linux_not_linux;
	memcpy(&h, bytes + HEADER_OFFSET, sizeof(h));
	if (h.boot_flag != BOOT_FLAG || h.header != HEADER_MAGIC)
		return linux_not_linux;
	if (h.version < 0x0206)
		return "Linux boot protocol older than 2.06";
	if (!(h.loadflags & LOADED_HIGH))
		return "zImage that loads in low memory";

	found.version = h.version;
	found.header_end = HEADER_END_BASE + (u32)h.jump[1];
	/* Fields past the end the header gives are somebody else's bytes: code, most likely. */
	u32 last_field = offsetof(struct boot_params, hdr.cmdline_size) + 4;
	if (h.version >= 0x020a)
		last_field = offsetof(struct boot_params, hdr.init_size) + 4;
	if (found.header_end < last_field)
		return "invalid Linux setup header";
	if (found.header_end > offsetof(struct boot_params, edd_mbr_sig_buffer))
		found.header_end = offsetof(struct boot_params, edd_mbr_sig_buffer);

	u32 sectors = h.setup_sects ? h.setup_sects : DEFAULT_SETUP_SECTS;
	u64 code_size = (u64)h.syssize * 16;
	found.code_offset = (sectors + 1) * SECTOR;
	if (found.header_end > found.code_offset || !code_size)
		return "invalid Linux setup header";
	if (size < found.code_offset || size - found.code_offset < code_size)
		return "Linux kernel file is truncated";
	if (code_size > UINT32_MAX)
		return "invalid Linux setup header";
	found.code_size = (u32)code_size;

	found.relocatable = h.relocatable_kernel;
	found.kernel_alignment = h.kernel_alignment;
	if (found.relocatable && !is_power_of_two(found.kernel_alignment))
		return "invalid Linux setup header";
	if (h.version >= 0x020a) {
		found.pref_address = h.pref_address;
		found.init_size = h.init_size;
	} else {
		/* Older kernels do not tell; they decompress to three times the size at most. */
		found.pref_address = MIB;
		found.init_size = 3 * code_size;
	}
	if (found.init_size < code_size)
		found.init_size = code_size;
	/* The 32-bit entry is within 4 GiB, and so is everything it reaches. */
	if (found.pref_address > UINT32_MAX || found.pref_address + found.init_size > BIT(32))
		return "invalid Linux setup header";

	found.cmdline_size = h.cmdline_size;
	found.xloadflags = h.version >= 0x020c ? h.xloadflags : 0;
	found.initrd_max = h.initrd_addr_max;
	if (found.xloadflags & LINUX_XLF_ABOVE_4G)
		found.initrd_max = UINT32_MAX;
	*out = found;
	return NULL;
}

static u32 high_half(u64 x)
{
	return (u32)(x >> 32);
}

static u32 low_half(u64 x)
{
	return (u32)x;
}

static void fill_screen(struct linux_screen_info *si, const struct framebuffer *fb, bool efi)
{
	if (!fb) {
		si->orig_video_mode = VIDEO_TEXT_COLOUR;
		si->orig_video_cols = TEXT_COLUMNS;
		si->orig_video_lines = TEXT_LINES;
		si->orig_video_points = 16;
		si->orig_video_is_vga = VIDEO_TYPE_VGA;
		si->orig_y = TEXT_LINES - 1; /* the kernel goes on writing there */
		return;
	}

	u64 bytes = (u64)fb->pitch * fb->height;
	si->lfb_width = (u16)fb->width;
	si->lfb_height = (u16)fb->height;
	si->lfb_depth = fb->bpp;
	si->lfb_linelength = (u16)fb->pitch;
	si->lfb_base = low_half(fb->addr);
	si->ext_lfb_base = high_half(fb->addr);
	if (si->ext_lfb_base)
		si->capabilities = VIDEO_CAPABILITY_64BIT_BASE;
	/* efifb counts bytes, vesafb the 64 KiB of VBE's controller information. */
	si->orig_video_is_vga = efi ? VIDEO_TYPE_EFI : VIDEO_TYPE_VLFB;
	si->lfb_size = (u32)(efi ? bytes : ALIGN_UP(bytes, 64 * KIB) / (64 * KIB));
	si->red_pos = fb->red_pos;
	si->red_size = fb->red_size;
	si->green_pos = fb->green_pos;
	si->green_size = fb->green_size;
	si->blue_pos = fb->blue_pos;
	si->blue_size = fb->blue_size;
	if (fb->bpp == 32) {
		si->rsvd_size = 8;
		si->rsvd_pos = 24;
	}
}

static struct linux_efi_info efi_info_from(const struct linux_efi *efi)
{
	return (struct linux_efi_info){
		.signature = efi->is_32bit ? EFI_SIGNATURE_32 : EFI_SIGNATURE_64,
		.systab = low_half(efi->system_table),
		.systab_hi = high_half(efi->system_table),
		.memmap = low_half(efi->memory_map),
		.memmap_hi = high_half(efi->memory_map),
		.memmap_size = efi->memory_map_size,
		.memdesc_size = efi->descriptor_size,
		.memdesc_version = efi->descriptor_version,
	};
}

static u32 entries_beyond_table(const struct memmap *map)
{
	return map->count > LINUX_E820_MAX ? map->count - LINUX_E820_MAX : 0;
}

size_t linux_setup_data_size(const struct memmap *map)
{
	u32 beyond = entries_beyond_table(map);

	return beyond ? sizeof(struct linux_setup_data) + beyond * sizeof(struct linux_e820_entry)
		      : 0;
}

static void fill_e820(struct boot_params *bp, const struct linux_handover *handover)
{
	const struct memmap *map = handover->map;
	u32 beyond = entries_beyond_table(map);
	u32 direct = map->count - beyond;

	bp->e820_entries = (u8)direct;
	for (u32 i = 0; i < direct; i++)
		memcpy(&bp->e820_table[i], &map->e[i], sizeof(bp->e820_table[i]));
	if (!beyond)
		return;

	struct linux_setup_data *more = handover->setup_data;
	more->next = 0;
	more->type = SETUP_E820_EXT;
	more->len = (u32)(beyond * sizeof(struct linux_e820_entry));
	for (u32 i = 0; i < beyond; i++)
		memcpy(&more->e820[i], &map->e[direct + i], sizeof(more->e820[i]));
	bp->hdr.setup_data = handover->setup_data_address;
}

void linux_fill_boot_params(struct boot_params *bp, const void *image,
			    const struct linux_image *parsed, const struct linux_handover *handover)
{
	struct linux_setup_header *h = &bp->hdr;

	/* "32-bit Boot Protocol": zeroes, then the header as it is in the file, then ours. */
	memset(bp, 0, sizeof(*bp));
	memcpy((u8 *)bp + HEADER_OFFSET, (const u8 *)image + HEADER_OFFSET,
	       parsed->header_end - HEADER_OFFSET);

	h->vid_mode = VIDEO_MODE_NORMAL;
	h->type_of_loader = LOADER_UNDEFINED;
	h->ext_loader_ver = 0;
	h->ext_loader_type = 0;
	h->loadflags = (u8)(h->loadflags & ~KEEP_SEGMENTS);
	h->code32_start = low_half(handover->load_address);
	h->setup_data = 0;

	h->cmd_line_ptr = low_half(handover->cmdline);
	bp->ext_cmd_line_ptr = high_half(handover->cmdline);
	if (handover->initrd_size) {
		h->ramdisk_image = low_half(handover->initrd);
		h->ramdisk_size = low_half(handover->initrd_size);
		bp->ext_ramdisk_image = high_half(handover->initrd);
		bp->ext_ramdisk_size = high_half(handover->initrd_size);
	} else {
		h->ramdisk_image = 0;
		h->ramdisk_size = 0;
	}

	bp->acpi_rsdp_addr = handover->rsdp;
	fill_screen(&bp->screen_info, handover->fb, handover->efi.system_table);
	if (handover->efi.system_table) {
		bp->efi_info = efi_info_from(&handover->efi);
		/*
		 * Linux's EFI stub, or GRUB in its place, asks the firmware's variables whether
		 * every step of the boot was verified, and the kernel locks itself down if so.
		 * Here it was not: the boot loader has started Umbra, which carries no signature.
		 * So the answer is no, whatever the variables say.
		 */
		bp->secure_boot = SECURE_BOOT_DISABLED;
	}
	fill_e820(bp, handover);
}
