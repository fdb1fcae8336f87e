/* SPDX-License-Identifier: BSD-2-Clause */
#include "smp/ap_start.h"

#include "lib/insn.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "platform/delay.h"
#include "platform/lapic.h"
#include "smp/cpu.h"
#include "smp/panic.h"

enum {
	/* SDM "MP Initialization Example". */
	INIT_DELAY_US = 10000,
	SIPI_DELAY_US = 200,
	START_TIMEOUT_US = 1000000,
	POLL_US = 20,
	/* In the roll call: since the last answer. */
	QUIET_US = 20000,
};

/* The end of trampoline.S. */
struct trampoline_parameters {
	u64 cr3;
	u64 cpu;
	u64 entry;
};

extern const u8 trampoline_start[], trampoline_end[], trampoline_parameters[];
extern const u8 roll_call_start[], roll_call_end[], roll_call_answer[];

/* What CPUs that have been started wait for. */
enum order { ORDER_WAIT, ORDER_GO, ORDER_LEAVE };

static u8 order;

/* What ap_start_all() was given. */
static struct ap_work run;

/*
 * An application processor in C, on its own stack; it never returns. In the guest a late second
 * start-up IPI of Umbra's would be taken for the guest's, so it waits until all are sent.
 */
_Noreturn static void ap_main(struct cpu *cpu)
{
	cpu_load(cpu);
	run.prepare(cpu);
	__atomic_store_n(&cpu->ready, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&order, __ATOMIC_ACQUIRE) == ORDER_WAIT)
		cpu_pause();
	if (__atomic_load_n(&order, __ATOMIC_ACQUIRE) == ORDER_GO)
		run.go();
	else
		run.leave();
	cpu_halt_forever();
}

static bool wait_until_ready(const struct cpu *cpu, u32 us)
{
	for (u32 waited = 0; waited < us; waited += POLL_US) {
		if (__atomic_load_n(&cpu->ready, __ATOMIC_ACQUIRE))
			return true;
		delay_us(POLL_US);
	}
	return false;
}

bool ap_prepare_trampoline(paddr_t page, struct cpu *cpu, void (*entry)(struct cpu *cpu))
{
	u8 *code = phys_to_virt(page);

	if (!host_paging_map_trampoline(page))
		return false;
	memcpy(code, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	*(struct trampoline_parameters *)(code + (trampoline_parameters - trampoline_start)) =
		(struct trampoline_parameters){
			.cr3 = host_paging_root(),
			.cpu = (u64)cpu,
			.entry = (u64)entry,
		};
	return true;
}

/*
 * SDM "MP Initialization Protocol Algorithm for MP Systems" has firmware do it this way. Addressed
 * one by one only those would come that are known already; and one that is left waiting for a
 * start-up IPI the guest could start, on its own beside Umbra.
 */
void ap_call_roll(paddr_t page, void (*found)(u32 apic_id))
{
	volatile u32 *answer = phys_to_virt(page + (paddr_t)(roll_call_answer - roll_call_start));

	memcpy(phys_to_virt(page), roll_call_start, (size_t)(roll_call_end - roll_call_start));
	lapic_send_others(APIC_INIT);
	delay_us(INIT_DELAY_US);
	lapic_send_others(APIC_STARTUP | (u32)(page >> PAGE_SHIFT));
	delay_us(SIPI_DELAY_US);
	lapic_send_others(APIC_STARTUP | (u32)(page >> PAGE_SHIFT));
	for (u32 quiet = 0; quiet < QUIET_US; quiet += POLL_US) {
		const u32 next = *answer;

		if (next) {
			*answer = 0;
			found(next - 1);
			quiet = 0;
		}
		delay_us(POLL_US);
	}
}

static void start_one(struct cpu *cpu, paddr_t page)
{
	if (!ap_prepare_trampoline(page, cpu, ap_main))
		fail("out of memory for starting the other CPUs");
	lapic_send(cpu->apic_id, APIC_STARTUP | (u32)(page >> PAGE_SHIFT));
	if (wait_until_ready(cpu, SIPI_DELAY_US))
		return;
	/* A second SIPI is ignored by a CPU that has already started. */
	lapic_send(cpu->apic_id, APIC_STARTUP | (u32)(page >> PAGE_SHIFT));
	if (!wait_until_ready(cpu, START_TIMEOUT_US))
		fail("the CPU with APIC id %u does not start; without Umbra on it the guest would "
		     "be on its own there",
		     cpu->apic_id);
}

void ap_start_all(const struct ap_work *work, paddr_t page)
{
	if (cpu_count == 1)
		return;
	if (!page)
		fail("no free page below 640 KiB to start the other CPUs from");
	run = *work;
	__atomic_store_n(&order, ORDER_WAIT, __ATOMIC_RELEASE);
	for (u32 i = 1; i < cpu_count; i++) {
		if (!lapic_can_reach(cpus[i]->apic_id))
			fail("APIC id %u needs x2APIC mode; enable x2APIC in the firmware setup",
			     cpus[i]->apic_id);
		lapic_send(cpus[i]->apic_id, APIC_INIT);
	}
	delay_us(INIT_DELAY_US);
	for (u32 i = 1; i < cpu_count; i++)
		start_one(cpus[i], page);
	host_paging_unmap_trampoline();
	/* In x2APIC mode nothing tells that the last one has arrived. */
	delay_us(SIPI_DELAY_US);
}

void ap_release_all(void)
{
	__atomic_store_n(&order, ORDER_GO, __ATOMIC_RELEASE);
}

void ap_dismiss_all(void)
{
	__atomic_store_n(&order, ORDER_LEAVE, __ATOMIC_RELEASE);
}
