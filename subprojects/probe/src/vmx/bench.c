/* SPDX-License-Identifier: BSD-2-Clause */
/* What VMX instructions, and round trips between L1 and L2, take. */
#include "bench.h"
#include "memory.h"
#include "vmx/enter.h"
#include "vmx/eptmap.h"
#include "vmx/l2.h"

enum {
	VMCSES = 16, /* more than a hypervisor below is likely to keep at hand */
	SWEEP_SAMPLES = 3,
	SWEEP_PAGES = 16384,
};

/* Addresses of L2's without memory of their own: its EPT leads all of them to one page. */
static const u64 window = 1ull << 30;
static const u64 large_page = 2ull << 20;

/* L2 calls RAX; VMCALL follows. */
L2_CODE(bench_call, "call *%rax");
L2_CODE(bench_vmcall, "1: vmcall\njmp 1b");
L2_CODE(bench_cpuid, "1: cpuid\njmp 1b");
/* Each read is in the next page. */
L2_CODE(bench_reads, "1: movb (%rsi), %al\nadd $0x1000, %rsi\njmp 1b");

static struct l2 *l2;

static inline u64 read_field(u64 field)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
	return value;
}

static inline void read_field_to_memory(u64 field, u64 *value)
{
	asm volatile("vmread %1, %0" : "=m"(*value) : "r"(field) : "cc");
}

static inline void write_field(u64 field, u64 value)
{
	asm volatile("vmwrite %0, %1" : : "r"(value), "r"(field) : "cc");
}

static inline void load(u64 vmcs)
{
	asm volatile("vmptrld %0" : : "m"(vmcs) : "cc", "memory");
}

static inline void clear(u64 vmcs)
{
	asm volatile("vmclear %0" : : "m"(vmcs) : "cc", "memory");
}

static u64 new_vmcs(void)
{
	void *page = vmx_pages(1);

	vmx_prepare_region(page);
	clear((u64)page);
	return (u64)page;
}

/* The first field is one that a hypervisor reads on each exit, the second one that it never does.
 */
static void measure_fields(void)
{
	u64 value = 0;

	BENCH_MEASURE("vmread-hot", (void)0, read_field(VMCS_GUEST_RIP));
	BENCH_MEASURE("vmread-cold", (void)0, read_field(VMCS_HOST_RIP));
	BENCH_MEASURE("vmread-cold-memory", (void)0, read_field_to_memory(VMCS_HOST_RIP, &value));
	BENCH_MEASURE("vmwrite-hot", (void)0, write_field(VMCS_GUEST_RIP, 0));
	BENCH_MEASURE("vmwrite-cold", (void)0, write_field(VMCS_HOST_RIP, value));
}

static void measure_pointers(void)
{
	u64 vmcs[VMCSES];
	unsigned next = 0;

	for (unsigned i = 0; i < VMCSES; i++)
		vmcs[i] = new_vmcs();
	load(vmcs[0]);
	BENCH_MEASURE("vmptrld-cached", load(vmcs[1]), load(vmcs[0]));
	for (unsigned i = 0; i < VMCSES; i++)
		load(vmcs[i]);
	BENCH_MEASURE("vmptrld-uncached", next = (next + 1) % VMCSES, load(vmcs[next]));
	BENCH_MEASURE("vmclear", load(vmcs[0]), clear(vmcs[0]));
	for (unsigned i = 0; i < VMCSES; i++)
		clear(vmcs[i]);
	load(l2->vmcs);
}

/* What a hypervisor does at least: why, where, how long; then behind the instruction. */
static inline void skip_and_resume(u32 how)
{
	read_field(VMCS_EXIT_REASON);
	write_field(VMCS_GUEST_RIP,
		    read_field(VMCS_GUEST_RIP) + read_field(VMCS_VM_EXIT_INSTRUCTION_LENGTH));
	l2_enter(&l2->regs, how);
}

static void measure_exit(const char *name, const u8 *code)
{
	l2_goto(l2, code);
	l2_run(l2);
	skip_and_resume(L2_RESUME);
	BENCH_MEASURE(name, (void)0, skip_and_resume(L2_RESUME_SAME_STACK));
}

/* The page is mapped, and L2 goes on to the next violation. */
static inline void map_and_resume(u64 *entry, u64 value, u32 how)
{
	read_field(VMCS_EXIT_REASON);
	read_field(VMCS_EXIT_QUALIFICATION);
	read_field(VMCS_GUEST_PHYSICAL_ADDRESS);
	*entry = value;
	l2_enter(&l2->regs, how);
}

static void measure_violation(u64 target)
{
	const u64 leaf = target | EPT_RWX | ept_memtype_bits(MEMTYPE_WB);
	u64 *entry = ept_slot(l2->ept, window, 1);

	for (unsigned i = 0; i < EPT_ENTRIES; i++)
		entry[i] = 0;
	ept_flush(l2->ept);
	l2_goto(l2, bench_reads);
	l2->regs.rsi = window;
	l2_run(l2);
	map_and_resume(entry++, leaf, L2_RESUME);
	BENCH_MEASURE("l2-ept-violation", (void)0,
		      map_and_resume(entry++, leaf, L2_RESUME_SAME_STACK));
}

/* In L2. */
static void touch(u64 first, u64 stride, u64 count)
{
	for (u64 i = 0; i < count; i++)
		*(volatile const u8 *)(first + i * stride);
}

static void touch_and_measure(u64 first, u64 stride, u64 count)
{
	for (u64 i = 0; i < count; i++) {
		u64 start = rdtsc();

		*(volatile const u8 *)(first + i * stride);
		bench_samples[i] = rdtsc() - start;
	}
}

static void in_l2(void (*fn)(u64, u64, u64), u64 stride, u64 count)
{
	l2_goto(l2, bench_call);
	l2->regs.rax = (u64)fn;
	l2->regs.rdi = window;
	l2->regs.rsi = stride;
	l2->regs.rdx = count;
	l2_enter(&l2->regs, L2_RESUME);
}

/* The window, all of it, in pages of this level. */
static void map_window(u64 target, unsigned level)
{
	const u64 size = ept_level_size(level);
	const u64 leaf =
		target | EPT_RWX | ept_memtype_bits(MEMTYPE_WB) | (level > 1 ? EPT_LARGE : 0);

	for (u64 at = 0; at < SWEEP_PAGES * PAGE_SIZE; at += size)
		*ept_slot(l2->ept, window + at, level) = leaf;
	ept_flush(l2->ept);
}

static void measure_sweep(const char *name)
{
	BENCH_MEASURE_N(name, SWEEP_SAMPLES, ept_flush(l2->ept),
			in_l2(touch, PAGE_SIZE, SWEEP_PAGES));
}

/* L1's EPT allows them; a hypervisor below may have to learn of it page by page. */
static void measure_allowed(void)
{
	enum { STRIDE = 16 * PAGE_SIZE };

	ept_flush(l2->ept);
	bench_count_begin();
	in_l2(touch, STRIDE, 0);
	bench_count_end();
	ept_flush(l2->ept);
	bench_count_begin();
	in_l2(touch, STRIDE, 1);
	bench_count_end();
	bench_count_subtract_last();
	ept_flush(l2->ept);
	in_l2(touch_and_measure, STRIDE, BENCH_SAMPLES);
	bench_report("l2-first-access", BENCH_SAMPLES);
}

static inline void invalidate(const u64 *descriptor)
{
	asm volatile("invept %0, %1"
		     :
		     : "m"(*(const u64(*)[2])descriptor), "r"((u64)INVEPT_SINGLE_CONTEXT)
		     : "cc", "memory");
}

static void measure_invept(const char *name, u64 pages)
{
	const u64 descriptor[2] = {ept_pointer(l2->ept)};

	BENCH_MEASURE_N(name, SWEEP_SAMPLES, in_l2(touch, PAGE_SIZE, pages),
			invalidate(descriptor));
}

static void measure_l2(void)
{
	const u64 target = ALIGN_UP((u64)memory_pages(2 * large_page / PAGE_SIZE), large_page);

	measure_exit("l2-vmcall", bench_vmcall);
	measure_exit("l2-cpuid", bench_cpuid);
	if (!l2_ept(l2) || !(vmx_ept_vpid_cap() & EPT_CAP_INVEPT_SINGLE)) {
		print("# bench: no EPT or INVEPT\n");
		return;
	}
	map_window(target, 2);
	measure_sweep("touch-64m-2m");
	map_window(target, 1);
	measure_sweep("touch-64m-4k");
	measure_allowed();
	measure_invept("invept-0", 0);
	measure_invept("invept-16", 16);
	measure_invept("invept-256", 256);
	measure_invept("invept-4096", 4096);
	measure_invept("invept-16384", SWEEP_PAGES);
	measure_violation(target);
}

void bench_vmx(void)
{
	static const struct probe_case frame = {.name = "bench"};
	struct run run = {.c = &frame};

	l2 = l2_begin(&run);
	if (!l2) {
		print("# bench: no VMX\n");
		return;
	}
	l2->quiet = true;
	measure_fields();
	measure_pointers();
	measure_l2();
	vmx_cleanup();
	cpu_baseline(this_cpu());
}
