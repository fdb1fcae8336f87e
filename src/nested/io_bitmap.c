/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * I/O bitmaps of vmcs02: a copy of L1's, made at each entry, with the ports that Umbra itself
 * watches (vmx/sleep.h). Where L1 lets its guest use all ports, vmcs01's bitmaps do.
 */
#include "nested/io_bitmap.h"
#include "mm/guest_memory.h"
#include "mm/layout.h"
#include "nested/state.h"
#include "vmx/sleep.h"
#include "vmx/vmcs.h"

u64 io_bitmap02_controls(struct vcpu *vcpu, const struct vmcs12 *v)
{
	const u64 primary = v->f[F_PRIMARY_CONTROLS];
	paddr_t bitmap[2] = {virt_to_phys(vcpu->nested->io_bitmaps),
			     virt_to_phys(vcpu->nested->io_bitmaps + PAGE_SIZE)};

	/* SDM "Definitions of Primary Processor-Based VM-Execution Controls": bitmaps come first.
	 */
	if (!(primary & CPU_USE_IO_BITMAPS) &&
	    ((primary & CPU_UNCOND_IO_EXITING) || !sleep_io_bitmaps(bitmap)))
		return 0;
	vmwrite64(VMCS_IO_BITMAP_A, bitmap[0]);
	vmwrite64(VMCS_IO_BITMAP_B, bitmap[1]);
	return CPU_USE_IO_BITMAPS;
}

void io_bitmap02_merge(struct vcpu *vcpu, const struct vmcs12 *v)
{
	u8 *const own = vcpu->nested->io_bitmaps;

	if (!(v->f[F_PRIMARY_CONTROLS] & CPU_USE_IO_BITMAPS))
		return;
	guest_memory_read(v->f[F_IO_BITMAP_A], own, PAGE_SIZE);
	guest_memory_read(v->f[F_IO_BITMAP_B], own + PAGE_SIZE, PAGE_SIZE);
	sleep_watch_ports(own);
}

static bool wants(const struct vmcs12 *v, u32 port)
{
	const paddr_t bitmap = v->f[port < IO_BITMAP_PORTS ? F_IO_BITMAP_A : F_IO_BITMAP_B];
	u8 byte;

	guest_memory_read(bitmap + port % IO_BITMAP_PORTS / 8, &byte, sizeof(byte));
	return byte >> port % 8 & 1;
}

/* SDM "I/O-Bitmap Addresses": any of the ports, and an access that wraps around, whatever they say.
 */
bool io_bitmap02_exit_is_l1s(const struct vmcs12 *v, u16 port, u32 size)
{
	const u64 primary = v->f[F_PRIMARY_CONTROLS];

	if (!(primary & CPU_USE_IO_BITMAPS))
		return primary & CPU_UNCOND_IO_EXITING;
	if (port + size > 0x10000)
		return true;
	for (u32 i = 0; i < size; i++) {
		if (wants(v, port + i))
			return true;
	}
	return false;
}
