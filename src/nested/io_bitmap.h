/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O bitmaps of a vmcs02: the ports that Umbra watches beside L1's. */
#pragma once

#include <x86/types.h>

struct vcpu;
struct vmcs12;

/* Sets vmcs02's I/O bitmaps. Returns CPU_USE_IO_BITMAPS, or 0 if it needs none. */
u64 io_bitmap02_controls(struct vcpu *vcpu, const struct vmcs12 *v);

/* Before each entry, if L1 uses I/O bitmaps: copies them, and adds Umbra's ports. */
void io_bitmap02_merge(struct vcpu *vcpu, const struct vmcs12 *v);

/* Whether L1 has asked for the exit of an access to these ports. */
bool io_bitmap02_exit_is_l1s(const struct vmcs12 *v, u16 port, u32 size);
