/* SPDX-License-Identifier: BSD-2-Clause */
/* What 64-bit mode keeps in memory: SDM "64-Bit Mode IDT", "Task Management in 64-bit Mode". */
#pragma once

#include <x86/types.h>

/* A gate of the IDT. */
struct idt_gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_middle;
	u32 offset_high, reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "SDM: 16 bytes");

enum { GATE_INTERRUPT = 0x8e }; /* present, DPL 0, 64-bit interrupt gate */

struct __attribute__((packed)) tss64 {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7]; /* ist[0] is IST1 */
	u64 reserved2;
	u16 reserved3;
	u16 io_map_base;
};
_Static_assert(sizeof(struct tss64) == 104, "SDM: 104 bytes");

static inline void idt_gate_set(struct idt_gate *gate, u16 selector, u64 handler)
{
	*gate = (struct idt_gate){
		.offset_low = (u16)handler,
		.selector = selector,
		.type = GATE_INTERRUPT,
		.offset_middle = (u16)(handler >> 16),
		.offset_high = (u32)(handler >> 32),
	};
}

/* SDM "TSS Descriptor in 64-bit mode": two slots of the GDT, of an available TSS. */
static inline void tss64_set_descriptor(u64 slot[2], u64 base, u32 limit)
{
	slot[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | 0x89ull << 40 |
		  (u64)(limit >> 16 & 15) << 48 | (base >> 24 & 0xff) << 56;
	slot[1] = base >> 32;
}
