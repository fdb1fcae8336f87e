/* SPDX-License-Identifier: BSD-2-Clause */
#include "smp.h"

#include "acpi.h"
#include "apic.h"
#include "console.h"
#include "layout.h"
#include "memory.h"
#include "string.h"
#include "timer.h"
#include "trap.h"

enum {
	STACK_PAGES = 4,
	/* MultiProcessor Specification, "Application Processor Startup". */
	INIT_WAIT_US = 10000,
	SIPI_WAIT_US = 200,
	ONLINE_WAIT_US = 1000000,
	WORK_WAIT_US = 60000000,
};

extern u64 ap_cpu;
extern u32 ap_stack, ap_arrivals;
extern const u8 trampoline[], trampoline_end[];

static struct cpu *cpus[ACPI_MAX_CPUS];
static unsigned count, expected = 1;
static bool x2apic;
static volatile bool online;

static struct cpu *new_cpu(u32 id)
{
	struct cpu *cpu = memory_pages(ALIGN_UP(sizeof(*cpu), PAGE_SIZE) / PAGE_SIZE);

	cpu->index = count;
	cpu->apic_id = id;
	cpus[count] = cpu;
	return cpu;
}

void cpu_baseline(struct cpu *cpu)
{
	irq_disable();
	write_cr4(BASE_CR4);
	write_cr0(BASE_CR0);
	write_cr8(0);
	write_dr7(0x400);
	write_dr6(0xffff0ff0);
	wrmsr(MSR_IA32_EFER, EFER_LME | EFER_LMA);
	trap_reload(cpu);
	memset(cpu->hook, 0, sizeof(cpu->hook));
	cpu->nmi_hook = NULL;
	cpu->db_count = 0;
	cpu->db_limit = 0;
}

void smp_init_bsp(bool want_x2apic)
{
	struct cpu *cpu = new_cpu(0);

	x2apic = want_x2apic;
	trap_init_cpu(cpu);
	pic_mask();
	apic_init_cpu(x2apic);
	cpu->apic_id = apic_id();
	count = 1;
}

void smp_prepare_restart(struct cpu *cpu)
{
	ap_cpu = (u64)cpu;
	online = false;
	/* Below 4 GiB, as memory_pages() promises. */
	__atomic_store_n(&ap_stack, (u32)(u64)memory_pages(STACK_PAGES) + STACK_PAGES * PAGE_SIZE,
			 __ATOMIC_SEQ_CST);
}

void smp_send_init(u32 id)
{
	apic_send(id, APIC_INIT);
	timer_wait(INIT_WAIT_US);
}

void smp_send_sipi(u32 id)
{
	apic_send(id, APIC_STARTUP | (u32)(memory_low() >> PAGE_SHIFT));
	timer_wait(SIPI_WAIT_US);
}

bool smp_restart(struct cpu *cpu)
{
	smp_prepare_restart(cpu);
	smp_send_init(cpu->apic_id);
	smp_send_sipi(cpu->apic_id);
	return smp_wait_online(ONLINE_WAIT_US);
}

bool smp_wait_online(u64 us)
{
	for (u64 end = timer_deadline(us); !online && rdtsc() < end;)
		cpu_pause();
	return online;
}

bool smp_add(u32 id)
{
	struct cpu *cpu = new_cpu(id);

	smp_prepare_restart(cpu);
	smp_send_init(id);
	smp_send_sipi(id);
	if (!online)
		smp_send_sipi(id);
	if (!smp_wait_online(ONLINE_WAIT_US)) {
		print("# CPU with APIC ID %u did not start\n", id);
		return false;
	}
	count++;
	return true;
}

void smp_start_all(void)
{
	struct acpi_cpus list;

	memcpy((void *)memory_low(), trampoline, (size_t)(trampoline_end - trampoline));
	if (!acpi_cpus(&list)) {
		print("# no MADT: one CPU\n");
		return;
	}
	expected = list.count;
	for (unsigned i = 0; i < list.count; i++)
		if (list.apic_id[i] != cpus[0]->apic_id)
			smp_add(list.apic_id[i]);
}

unsigned smp_count(void)
{
	return count;
}

unsigned smp_expected(void)
{
	return expected;
}

struct cpu *smp_cpu(unsigned index)
{
	return cpus[index];
}

u32 smp_arrivals(void)
{
	return __atomic_load_n(&ap_arrivals, __ATOMIC_SEQ_CST);
}

_Noreturn void ap_main(struct cpu *cpu)
{
	if (cpu->self)
		trap_reload(cpu);
	else
		trap_init_cpu(cpu);
	apic_init_cpu(x2apic);
	online = true;
	for (;;) {
		void (*fn)(void *);

		irq_disable();
		fn = __atomic_load_n(&cpu->work, __ATOMIC_ACQUIRE);
		if (!fn) {
			/* STI's shadow: a wake that came since the check ends the HLT. */
			asm volatile("sti; hlt" : : : "memory");
			continue;
		}
		cpu->work_faulted = !trap_guarded(fn, cpu->work_arg);
		__atomic_store_n(&cpu->work, NULL, __ATOMIC_RELEASE);
	}
}

void smp_start_work(struct cpu *cpu, void (*fn)(void *), void *arg)
{
	cpu->work_arg = arg;
	__atomic_store_n(&cpu->work, fn, __ATOMIC_RELEASE);
	apic_send(cpu->apic_id, APIC_FIXED | VEC_WAKE);
}

bool smp_finish_work(struct cpu *cpu)
{
	for (u64 end = timer_deadline(WORK_WAIT_US); rdtsc() < end; cpu_pause())
		if (!__atomic_load_n(&cpu->work, __ATOMIC_ACQUIRE))
			return !cpu->work_faulted;
	print("# CPU %u did not come back\n", cpu->index);
	cpu->lost = true;
	return false;
}

bool smp_run_on(struct cpu *cpu, void (*fn)(void *), void *arg)
{
	if (cpu == this_cpu())
		return trap_guarded(fn, arg);
	if (cpu->lost)
		return false;
	smp_start_work(cpu, fn, arg);
	return smp_finish_work(cpu);
}

bool smp_run_all(void (*fn)(void *), void *arg)
{
	struct cpu *self = this_cpu();
	bool good = true;

	/* Cases that meet at barriers need every CPU. */
	for (unsigned i = 0; i < count; i++)
		if (cpus[i]->lost)
			return false;
	for (unsigned i = 0; i < count; i++)
		if (cpus[i] != self)
			smp_start_work(cpus[i], fn, arg);
	good &= trap_guarded(fn, arg);
	for (unsigned i = 0; i < count; i++)
		if (cpus[i] != self)
			good &= smp_finish_work(cpus[i]);
	return good;
}

void barrier_wait(struct barrier *b, u32 n)
{
	u32 phase = __atomic_load_n(&b->phase, __ATOMIC_ACQUIRE);

	if (__atomic_add_fetch(&b->waiting, 1, __ATOMIC_ACQ_REL) == n) {
		__atomic_store_n(&b->waiting, 0, __ATOMIC_RELAXED);
		__atomic_add_fetch(&b->phase, 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&b->phase, __ATOMIC_ACQUIRE) == phase)
		cpu_pause();
}
