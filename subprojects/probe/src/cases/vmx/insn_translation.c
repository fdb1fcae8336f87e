/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory operands of VMX instructions go through L1's page tables as they are now. */
#include "memory.h"
#include "vmx/vmx.h"

enum {
	PF_WRITE_PROTECTED = 3, /* present, write */
	PF_WRITE_ABSENT = 2,
};

static u64 load_at(u64 at)
{
	return VMX_INSN("vmptrld (%[a])", : [a] "r"(at) : "memory");
}

static u64 store_at(u64 at)
{
	return VMX_INSN("vmptrst (%[a])", : [a] "r"(at) : "memory");
}

static u64 current_vmcs(void)
{
	u64 pointer = 0;

	try_vmptrst(&pointer);
	return pointer;
}

/* One linear address again and again, and each time something else behind it. */
PROBE_CASE(operand_translation, "vmx.insn.operand_translation", CASE_EACH_CPU)
{
	const u64 at = WINDOW_BASE + 0x340, flags = PTE_P | PTE_W | PTE_A | PTE_D;
	u64 *entry, *page[2], vmcs[2];

	if (!vmx_prepare(t) || !vmx_on(t))
		return;
	for (unsigned i = 0; i < 2; i++) {
		page[i] = vmx_pages(1);
		vmcs[i] = (u64)vmx_pages(1);
		vmx_prepare_region((void *)vmcs[i]);
		CHECK_VM(t, try_vmclear(vmcs[i]), VM_OK);
		page[i][0x340 / 8] = vmcs[i];
	}
	memory_map(WINDOW_BASE, (u64)page[0], PAGE_SIZE, PAGE_SIZE, flags);
	entry = memory_entry(WINDOW_BASE, 1);
	for (unsigned round = 0; round < 4; round++) {
		*entry = (u64)page[round & 1] | flags;
		invlpg(at);
		CHECK_VM(t, load_at(at), VM_OK);
		CHECK_VM(t, load_at(at), VM_OK);
		CHECK_EQ(t, current_vmcs() == vmcs[round & 1], true);
	}
	/* The page's contents. */
	page[1][0x340 / 8] = vmcs[0];
	CHECK_VM(t, load_at(at), VM_OK);
	CHECK_EQ(t, current_vmcs() == vmcs[0], true);
	/* Flags that software clears are set again. */
	*entry = (u64)page[0] | PTE_P | PTE_W;
	invlpg(at);
	CHECK_VM(t, load_at(at), VM_OK);
	CHECK_EQ(t, *entry & (PTE_A | PTE_D), PTE_A);
	CHECK_VM(t, store_at(at), VM_OK);
	CHECK_EQ(t, *entry & (PTE_A | PTE_D), PTE_A | PTE_D);
	*entry &= ~(u64)PTE_D;
	invlpg(at);
	CHECK_VM(t, store_at(at), VM_OK);
	CHECK_EQ(t, *entry & (PTE_A | PTE_D), PTE_A | PTE_D);
	/* Rights. CR0.WP is set. */
	*entry &= ~PTE_W;
	invlpg(at);
	CHECK_VM(t, store_at(at), VM_FAULTED(VECTOR_PF, PF_WRITE_PROTECTED));
	CHECK_EQ(t, this_cpu()->fault.cr2, at);
	CHECK_VM(t, load_at(at), VM_OK);
	write_cr0(read_cr0() & ~CR0_WP);
	CHECK_VM(t, store_at(at), VM_OK);
	write_cr0(read_cr0() | CR0_WP);
	CHECK_VM(t, store_at(at), VM_FAULTED(VECTOR_PF, PF_WRITE_PROTECTED));
	*entry |= PTE_W;
	invlpg(at);
	CHECK_VM(t, store_at(at), VM_OK);
	/* An entry further up. */
	*memory_entry(WINDOW_BASE, 2) &= ~PTE_P;
	write_cr3(read_cr3());
	CHECK_VM(t, store_at(at), VM_FAULTED(VECTOR_PF, PF_WRITE_ABSENT));
	CHECK_VM(t, load_at(at), VM_FAULTED(VECTOR_PF, 0));
	CHECK_EQ(t, this_cpu()->fault.cr2, at);
	*memory_entry(WINDOW_BASE, 2) |= PTE_P;
	write_cr3(read_cr3());
	CHECK_VM(t, load_at(at), VM_OK);
	/* Both ends of the operand count. */
	CHECK_VM(t, load_at(WINDOW_BASE + PAGE_SIZE - 4), VM_FAULTED(VECTOR_PF, 0));
	CHECK_EQ(t, this_cpu()->fault.cr2, WINDOW_BASE + PAGE_SIZE);
}
