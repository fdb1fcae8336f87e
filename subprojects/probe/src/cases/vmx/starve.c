/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile L1 that uses up the memory of the hypervisor below, or lets it follow page tables that
 * are not there, while another CPU counts.
 */
#include "features.h"
#include "hidden.h"
#include "layout.h"
#include "memory.h"
#include "vmx/eptmap.h"

enum {
	GIGABYTES = 4,
	REGIONS = GIGABYTES * 512, /* of 2 MiB; each takes a table of the hypervisor's own */
	ROUNDS = 3,
	TABLES_TO_REMEMBER = 2, /* times that an instruction uses the same tables */
};

static const u64 REGION = 2ull << 20, GIGABYTE = 1ull << 30;
/* Behind the windows of other cases, and behind all memory. */
static const u64 LINEAR = (512ull << 30) + (32ull << 30), GUEST_PHYSICAL = 16ull << 30;
static const u64 ABSENT = 0x700000000;

/* One load in each region, from the first one at RBX on. */
L2_CODE(starve_touch, "1: movq (%rbx), %rax\n"
		      "addq $0x200000, %rbx\n"
		      "decl %ecx\n"
		      "jnz 1b");

/* Every page of these gigabytes of L2's is the same page of L1's, by one table of each level. */
static void map_regions(struct l2 *l2, u64 page)
{
	u64 *table = vmx_pages(1), *directory = vmx_pages(1);

	for (unsigned i = 0; i < 512; i++) {
		table[i] = page | EPT_RWX | ept_memtype_bits(MEMTYPE_WB);
		directory[i] = (u64)table | EPT_RWX;
	}
	for (unsigned i = 0; i < GIGABYTES; i++) {
		*ept_slot(l2->ept, GUEST_PHYSICAL + i * GIGABYTE, 3) = (u64)directory | EPT_RWX;
		*memory_entry(LINEAR + i * GIGABYTE, 3) =
			(GUEST_PHYSICAL + i * GIGABYTE) | PTE_PS | PTE_P | PTE_W;
	}
	ept_flush(l2->ept);
	write_cr3(read_cr3());
}

static void unmap_regions(void)
{
	for (unsigned i = 0; i < GIGABYTES; i++)
		*memory_entry(LINEAR + i * GIGABYTE, 3) = 0;
	write_cr3(read_cr3());
}

/* L1 still reads ones wherever it may not read, for the first time or again. */
static void check_hidden(struct run *t)
{
	u64 start, end;

	if (!hidden_range_given(&start, &end)) {
		start = ABSENT;
		end = start + PAGE_SIZE;
	}
	for (u64 at = start; at < end; at += PAGE_SIZE) {
		memory_map(WINDOW_BASE, at, PAGE_SIZE, PAGE_SIZE, PTE_P);
		if (*(volatile u64 *)WINDOW_BASE != ~0ull)
			run_fail(t, __LINE__, "%lx reads %lx", at, *(volatile u64 *)WINDOW_BASE);
	}
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
}

PROBE_CASE(starve_tables, "vmx.starve.ept_tables", CASE_WATCHED)
{
	struct l2 *l2;
	u64 *page;

	SKIP_UNLESS(t, has(FEATURE_PAGE1GB), "no 1-GByte pages");
	l2 = l2_begin(t);
	if (!l2)
		return;
	L2_NEED_EPT(t, l2);
	page = vmx_pages(1);
	*page = 0x5a5a5a5a;
	map_regions(l2, (u64)page);
	l2->quiet = true;
	for (unsigned i = 0; i < ROUNDS; i++) {
		l2_goto(l2, starve_touch);
		l2->regs.rbx = LINEAR;
		l2->regs.rcx = REGIONS;
		l2_run(l2);
		CHECK_EXIT(t, l2, REASON_VMCALL);
		CHECK_EQ(t, l2->regs.rax, 0x5a5a5a5a);
		CHECK_EQ(t, l2->regs.rbx, LINEAR + REGIONS * REGION);
		check_hidden(t);
	}
	unmap_regions();
}

/*
 * Page tables where no memory is: SDM "Reserved Bit Checking". Ones are read there, whose address
 * bits are reserved unless the CPU has 52 of them. A hypervisor that remembers where it has found
 * an operand must not go by it the next time without looking.
 */
static void check_operands(struct run *t, u64 tables)
{
	const bool reserved = vmx_address_bits() < 52;
	u64 *directory = memory_entry(WINDOW_BASE, 2), old = *directory;

	*directory = tables | PTE_P | PTE_W;
	invlpg(WINDOW_BASE);
	for (unsigned i = 0; i < TABLES_TO_REMEMBER; i++) {
		CHECK_EQ(t,
			 VMX_INSN("vmptrst (%%rbx)",
				  : "b"(WINDOW_BASE + 8 * i)
				  : "memory"),
			 reserved ? VM_FAULTED(VECTOR_PF, 0xb) : VM_OK);
		CHECK_EQ(t,
			 VMX_INSN("vmptrld (%%rbx)",
				  : "b"(WINDOW_BASE + 8 * i)
				  : "memory"),
			 reserved ? VM_FAULTED(VECTOR_PF, 9)
				  : VM_FAIL(VMERR_VMPTRLD_INVALID_ADDRESS));
	}
	*directory = old;
	invlpg(WINDOW_BASE);
}

PROBE_CASE(starve_operands, "vmx.starve.operand_tables", CASE_WATCHED)
{
	u64 start, end;

	if (!l2_begin(t))
		return;
	memory_map(WINDOW_BASE, 0, PAGE_SIZE, PAGE_SIZE, 0);
	check_operands(t, ABSENT);
	if (hidden_range_given(&start, &end))
		check_operands(t, start);
}
