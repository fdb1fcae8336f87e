/* SPDX-License-Identifier: BSD-2-Clause */
#include "smp/stop.h"

#include "platform/delay.h"
#include "platform/lapic.h"

enum {
	/* A CPU that runs the guest needs microseconds for it, one in SMM perhaps some more. */
	WAIT_US = 20000,
	POLL_US = 50,
};

/* The CPU that goes on. */
static struct cpu *survivor;

_Noreturn void stop_here(void)
{
	__atomic_store_n(&this_cpu()->stopped, true, __ATOMIC_RELEASE);
	cpu_halt_forever();
}

static bool all_stopped(const struct cpu *self)
{
	for (u32 i = 0; i < cpu_count; i++) {
		if (cpus[i] != self && !__atomic_load_n(&cpus[i]->stopped, __ATOMIC_ACQUIRE))
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
			__atomic_store_n(&cpus[i]->stop, true, __ATOMIC_SEQ_CST);
	}
	if (!self->vmx_on || cpu_count < 2)
		return;
	lapic_nmi_others();
	/* A guest's guest may take NMIs by itself, but INIT is always an exit (SDM "Other Causes of
	 * VM Exits"). In root mode it is blocked; the NMI has come through there. */
	lapic_init_others();
	for (u32 waited = 0; waited < WAIT_US && !all_stopped(self); waited += POLL_US)
		delay_us(POLL_US);
}
