/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/vmx32.h"

#include "layout.h"

enum {
	CODE16 = 0x9b,
	DATA16 = 0x93,
	LIMIT16 = 0xffff,
};

extern const u8 vmx16_code[];
void body_vmx32(void);

static u64 segment16(u64 base, u64 type)
{
	return LIMIT16 | (base & 0xffffff) << 16 | type << 40 | (base >> 24 & 0xff) << 56;
}

bool vmx32_run(struct vmx32_op *ops, u32 count, u32 cr3, u32 cr4)
{
	static struct legacy_args args;

	legacy_prepare(&args, body_vmx32);
	legacy_gdt[SEL_VMX_CODE16 / 8] = segment16((u64)vmx16_code, CODE16);
	for (u32 i = 0; i < count; i++)
		if (ops[i].kind == VMX32_VMPTRST_16BIT)
			legacy_gdt[SEL_VMX_DATA16 / 8] = segment16((u64)&ops[i], DATA16);
	args.in[0] = cr3;
	args.in[1] = cr4;
	args.in[2] = (u32)(u64)ops;
	args.in[3] = count;
	legacy_run(&args);
	return args.vector == LEGACY_NO_FAULT;
}
