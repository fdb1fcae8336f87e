/* SPDX-License-Identifier: BSD-2-Clause */
#include "smp/stop.h"

#include "lib/insn.h"
#include "platform/delay.h"
#include "platform/lapic.h"

enum {
	/* A CPU that runs the guest needs microseconds for it, one in SMM perhaps some more. */
	WAIT_US = 20000,
	POLL_US = 50,
	/* Longer than any IPI is on its way. */
	SETTLE_US = 500,
};

/* The CPU that goes on. */
static struct cpu *survivor;

/* Whoever stops the others for now. */
static bool taken;

_Noreturn void stop_here(void)
{
	__atomic_store_n(&this_cpu()->stopped, true, __ATOMIC_RELEASE);
	cpu_halt_forever();
}

void stop_as_asked(void)
{
	struct cpu *self = this_cpu();

	if (stop_is_urgent())
		stop_here();
	__atomic_store_n(&self->stopped, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE) == STOP_BEFORE_ENTRY)
		cpu_pause();
	__atomic_store_n(&self->stopped, false, __ATOMIC_RELEASE);
	if (stop_is_due())
		stop_here();
}

static bool has_stopped(const struct cpu *cpu)
{
	return __atomic_load_n(&cpu->stopped, __ATOMIC_ACQUIRE);
}

static bool waits_for_sipi(const struct cpu *cpu)
{
	return __atomic_load_n(&cpu->waits_for_sipi, __ATOMIC_ACQUIRE);
}

/* All but this one; one that waits for a start-up IPI may count as one that has. */
static bool all_stopped(const struct cpu *self, bool waiting_counts)
{
	for (u32 i = 0; i < cpu_count; i++) {
		if (cpus[i] != self && !has_stopped(cpus[i]) &&
		    !(waiting_counts && waits_for_sipi(cpus[i])))
			return false;
	}
	return true;
}

void stop_others(void)
{
	struct cpu *self, *first = NULL;

	/* Early in the boot there is but one. */
	if (!this_cpu_ready())
		return;
	self = this_cpu();
	if (!__atomic_compare_exchange_n(&survivor, &first, self, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		if (first != self)
			stop_here();
		return;
	}
	for (u32 i = 0; i < cpu_count; i++) {
		if (cpus[i] != self)
			__atomic_store_n(&cpus[i]->stop, STOP_AT_ONCE, __ATOMIC_SEQ_CST);
	}
	if (!self->vmx_on || cpu_count < 2)
		return;
	lapic_send_others(APIC_NMI);
	/* A guest's guest may take NMIs by itself, but INIT is always an exit (SDM "Other Causes of
	 * VM Exits"). In root mode it is blocked; the NMI has come through there. */
	lapic_send_others(APIC_INIT);
	for (u32 waited = 0; waited < WAIT_US && !all_stopped(self, false); waited += POLL_US)
		delay_us(POLL_US);
}

/* Only in place of what is there: another CPU may want all to stop for good meanwhile. */
static void ask(struct cpu *cpu, u8 from, u8 to)
{
	__atomic_compare_exchange_n(&cpu->stop, &from, to, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_RELAXED);
}

void stop_release_others(void)
{
	for (u32 i = 0; i < cpu_count; i++)
		ask(cpus[i], STOP_BEFORE_ENTRY, STOP_NOT);
	__atomic_store_n(&taken, false, __ATOMIC_RELEASE);
}

bool stop_others_for_now(void)
{
	struct cpu *self = this_cpu();
	bool quiet = false;

	if (__atomic_exchange_n(&taken, true, __ATOMIC_ACQ_REL))
		return false;
	for (u32 i = 0; i < cpu_count; i++) {
		if (cpus[i] == self)
			continue;
		ask(cpus[i], STOP_NOT, STOP_BEFORE_ENTRY);
		if (!has_stopped(cpus[i]) && !waits_for_sipi(cpus[i]))
			lapic_send(cpus[i]->apic_id, APIC_NMI);
	}
	/* A start-up IPI may be on its way to one that waits for it; nobody is left to send more.
	 */
	for (u32 waited = 0; waited < WAIT_US && !quiet; waited += POLL_US) {
		quiet = all_stopped(self, true);
		delay_us(quiet ? SETTLE_US : POLL_US);
		quiet = quiet && all_stopped(self, true);
	}
	if (!quiet)
		stop_release_others();
	return quiet;
}
