/* SPDX-License-Identifier: BSD-2-Clause */
/* SDM "Exit Qualification for I/O Instructions", I/O bitmaps. */
#include "exits.h"
#include "layout.h"
#include "string.h"

enum {
	IO_IMMEDIATE = 1 << 6,
	TEST_PORT = 0x5a8,
	/* The POST code port: writes do nothing. */
	QUIET_PORT = 0x80,
};

L2_CODE(io_in8, "in %dx, %al");
L2_CODE(io_in16, "in %dx, %ax");
L2_CODE(io_in32, "in %dx, %eax");
L2_CODE(io_out8, "out %al, %dx");
L2_CODE(io_out16, "out %ax, %dx");
L2_CODE(io_out32, "out %eax, %dx");
L2_CODE(io_in_imm, "in $0x71, %al");
L2_CODE(io_out_imm, "out %eax, $0x80");
L2_CODE(io_insb, "insb");
L2_CODE(io_insw_rep, "rep insw");
L2_CODE(io_insl, "insl");
L2_CODE(io_outsb_rep, "rep outsb");
L2_CODE(io_outsw, "outsw");
L2_CODE(io_outsl_fs, "outsl %fs:(%rsi), (%dx)");
L2_CODE(io_outsb_32, "outsb (%esi), (%dx)");

struct io_row {
	const u8 *code;
	u64 qualification; /* without the port */
	u32 length;
};

static const struct io_row plain[] = {
	{io_in8, IO_IN | 0, 1},
	{io_in16, IO_IN | 1, 2},
	{io_in32, IO_IN | 3, 1},
	{io_out8, 0, 1},
	{io_out16, 1, 2},
	{io_out32, 3, 1},
	{io_insb, IO_IN | IO_STRING | 0, 1},
	{io_insw_rep, IO_IN | IO_STRING | IO_REP | 1, 3},
	{io_insl, IO_IN | IO_STRING | 3, 1},
	{io_outsb_rep, IO_STRING | IO_REP | 0, 2},
	{io_outsw, IO_STRING | 1, 2},
	{io_outsl_fs, IO_STRING | 3, 2},
	{io_outsb_32, IO_STRING | 0, 2},
};

static void run_io(struct l2 *l2, const u8 *code, u16 port)
{
	l2_goto(l2, code);
	l2->regs.rdx = port;
	l2->regs.rsi = l2->regs.rdi = (u64)l2->stack_top - 256;
	l2->regs.rcx = 3;
	l2_run(l2);
}

PROBE_CASE(exit_io, "vmx.exit.io", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_UNCOND_IO_EXITING);
	for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
		run_io(l2, plain[i].code, TEST_PORT);
		CHECK_EXIT_QUAL(t, l2, REASON_IO_INSTRUCTION,
				plain[i].qualification | (u64)TEST_PORT << IO_PORT_SHIFT);
		CHECK_EQ(t, l2->exit.length, plain[i].length);
		CHECK_RIP(t, l2, 0);
		CHECK_EQ(t, l2->regs.rcx, 3);
		if (plain[i].qualification & IO_STRING)
			CHECK_EQ(t, l2->exit.linear, (u64)l2->stack_top - 256);
		run_io(l2, plain[i].code, 0xffff);
		CHECK_EXIT_QUAL(t, l2, REASON_IO_INSTRUCTION,
				plain[i].qualification | 0xffffull << IO_PORT_SHIFT);
	}
	L2_EXITS(t, l2, io_in_imm, REASON_IO_INSTRUCTION,
		 IO_IN | IO_IMMEDIATE | 0x71ull << IO_PORT_SHIFT);
	L2_EXITS(t, l2, io_out_imm, REASON_IO_INSTRUCTION,
		 IO_IMMEDIATE | 3 | (u64)QUIET_PORT << IO_PORT_SHIFT);
	CHECK_EQ(t, l2->exit.length, 2);
	/* The TSS has no I/O permission bitmap. */
	CHECK_USER_FAULT(t, l2, io_in8, VECTOR_GP);
	l2_disable(CTL_CPU, CPU_UNCOND_IO_EXITING);
	run_io(l2, io_out8, QUIET_PORT);
	CHECK_EXIT(t, l2, REASON_VMCALL);
}

/* "VM-Exit Instruction-Information Field … INS and OUTS", if IA32_VMX_BASIC bit 54 says so. */
PROBE_CASE(exit_io_info, "vmx.exit.io_string_information", CASE_EACH_CPU)
{
	struct l2 *l2 = l2_begin(t);

	if (!l2)
		return;
	SKIP_UNLESS(t, rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_INS_OUTS, "not reported");
	L2_NEED(t, CTL_CPU, CPU_UNCOND_IO_EXITING);
	run_io(l2, io_insb, TEST_PORT);
	CHECK_EQ(t, l2->exit.info & BITS(9, 7), INFO_ADDRESS_64);
	run_io(l2, io_outsw, TEST_PORT);
	CHECK_EQ(t, l2->exit.info & (BITS(9, 7) | BITS(17, 15)),
		 INFO_ADDRESS_64 | INFO_SEGMENT(SEG_DS));
	run_io(l2, io_outsl_fs, TEST_PORT);
	CHECK_EQ(t, l2->exit.info & (BITS(9, 7) | BITS(17, 15)),
		 INFO_ADDRESS_64 | INFO_SEGMENT(SEG_FS));
	run_io(l2, io_outsb_32, TEST_PORT);
	CHECK_EQ(t, l2->exit.info & (BITS(9, 7) | BITS(17, 15)),
		 INFO_ADDRESS_32 | INFO_SEGMENT(SEG_DS));
}

static void set_port(u8 *a, u8 *b, u32 port, bool on)
{
	u8 *map = port < 0x8000 ? a : b;
	u8 bit = (u8)(1u << (port & 7));

	port &= 0x7fff;
	map[port / 8] = (u8)(on ? map[port / 8] | bit : map[port / 8] & ~bit);
}

/* "Use I/O bitmaps … unconditional I/O exiting is ignored": A is ports 0 to 7FFF, B the rest. */
PROBE_CASE(exit_io_bitmap, "vmx.exit.io_bitmap", CASE_EACH_CPU)
{
	static const u16 ports[] = {QUIET_PORT, 0x0, 0x7, 0x5a8, 0x7fff, 0x8000, 0x8001, 0xfffe};
	struct l2 *l2 = l2_begin(t);
	u8 *a, *b;

	if (!l2)
		return;
	L2_NEED(t, CTL_CPU, CPU_USE_IO_BITMAPS);
	a = vmx_pages(1);
	b = vmx_pages(1);
	vmwrite(VMCS_IO_BITMAP_A, (u64)a);
	vmwrite(VMCS_IO_BITMAP_B, (u64)b);
	l2_enable(CTL_CPU, CPU_UNCOND_IO_EXITING);
	run_io(l2, io_out8, QUIET_PORT);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		set_port(a, b, ports[i], true);
		run_io(l2, io_in8, ports[i]);
		CHECK_EXIT_QUAL(t, l2, REASON_IO_INSTRUCTION,
				IO_IN | (u64)ports[i] << IO_PORT_SHIFT);
		set_port(a, b, ports[i], false);
	}
	run_io(l2, io_out8, QUIET_PORT);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	/* Any byte of the access decides; 7FFF and 8000 are in different bitmaps. */
	set_port(a, b, QUIET_PORT + 3, true);
	run_io(l2, io_out32, QUIET_PORT);
	CHECK_EXIT_QUAL(t, l2, REASON_IO_INSTRUCTION, 3 | (u64)QUIET_PORT << IO_PORT_SHIFT);
	run_io(l2, io_out16, QUIET_PORT);
	CHECK_EXIT(t, l2, REASON_VMCALL);
	set_port(a, b, 0x8000, true);
	run_io(l2, io_out16, 0x7fff);
	CHECK_EXIT_QUAL(t, l2, REASON_IO_INSTRUCTION, 1 | 0x7fffull << IO_PORT_SHIFT);
	/* "… or if the access wraps around the 16-bit I/O-port space". */
	run_io(l2, io_out32, 0xfffe);
	CHECK_EXIT_QUAL(t, l2, REASON_IO_INSTRUCTION, 3 | 0xfffeull << IO_PORT_SHIFT);
	/* The bitmaps may change while the VMCS is in use. */
	memset(a, 0, PAGE_SIZE);
	run_io(l2, io_out32, QUIET_PORT);
	CHECK_EXIT(t, l2, REASON_VMCALL);
}
