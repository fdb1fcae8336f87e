/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/chainload.h"

#include "lib/string.h"
#include "mm/layout.h"
#include "smp/panic.h"
#include "vmx/exit.h"

enum {
	SECTOR_SIZE = 512,
	SIGNATURE_OFFSET = 510,
	LOAD_ADDRESS = 0x7c00,
	/* As firmware leaves it below the sector; sectors set up their own soon. */
	INITIAL_SP = 0x7c00,
	IVT_INT15 = 0x15 * 4,
	BDA_MEMORY_KIB = 0x413, /* BIOS data area: conventional memory in KiB */
	HOOK_SIZE = 1024,
};

extern const u8 int15_stub_start[], int15_stub_vmcall[], int15_stub_old_vector[], int15_stub_end[];

/* Boot-time constants once the guest runs. */
static struct {
	const struct memmap *map;
	paddr_t vmcall;
} hook;

const struct memmap *chainload_memmap(void)
{
	return hook.map;
}

paddr_t chainload_vmcall_address(void)
{
	return hook.vmcall;
}

bool chainload_is_boot_sector(const void *image, size_t size)
{
	const u8 *bytes = image;

	return size >= SECTOR_SIZE && size % SECTOR_SIZE == 0 && size <= 640 * KIB - LOAD_ADDRESS &&
	       bytes[SIGNATURE_OFFSET] == 0x55 && bytes[SIGNATURE_OFFSET + 1] == 0xaa;
}

/*
 * Takes the last free kilobyte of conventional memory, as resident BIOS extensions do; all above it
 * counts as theirs from then on.
 */
static void hook_int15(struct memmap *map, size_t sector_size)
{
	const struct range sector = {LOAD_ADDRESS, sector_size};
	u16 *memory_kib = phys_to_virt(BDA_MEMORY_KIB);
	u32 *vector = phys_to_virt(IVT_INT15);
	paddr_t address;
	u8 *stub;

	if (*memory_kib > 640 ||
	    !memmap_find_top(map, HOOK_SIZE, KIB, *memory_kib * KIB, &sector, 1, &address) ||
	    address < LOAD_ADDRESS || !memmap_reserve(map, address, HOOK_SIZE))
		fail("no conventional memory for the INT 15h hook; was this machine booted by a "
		     "legacy BIOS?");
	stub = phys_to_virt(address);
	memcpy(stub, int15_stub_start, (size_t)(int15_stub_end - int15_stub_start));
	memcpy(stub + (int15_stub_old_vector - int15_stub_start), vector, sizeof(*vector));
	*memory_kib = (u16)(address / KIB);
	*vector = (u32)(address >> 4) << 16;
	vmcall_set_claim(int15_hook_vmcall);
	hook.map = map;
	hook.vmcall = address + (u64)(int15_stub_vmcall - int15_stub_start);
}

void chainload(const void *image, size_t size, struct memmap *map, u8 drive,
	       struct guest_start *start)
{
	hook_int15(map, size);
	memcpy(phys_to_virt(LOAD_ADDRESS), image, size);
	*start = (struct guest_start){
		.eip = LOAD_ADDRESS,
		.regs = {.rdx = drive, .rsp_unused = INITIAL_SP},
	};
}
