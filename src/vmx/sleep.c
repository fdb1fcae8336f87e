/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/sleep.h"

#include "lib/insn.h"
#include "lib/log.h"
#include "lib/port.h"
#include "mm/ept01.h"
#include "mm/host_paging.h"
#include "mm/layout.h"
#include "mm/pages.h"
#include "platform/delay.h"
#include "platform/microcode.h"
#include "platform/vtd.h"
#include "smp/ap_start.h"
#include "smp/panic.h"
#include "smp/stop.h"
#include "vmx/guest_level.h"
#include "vmx/reset.h"
#include "vmx/setup.h"
#include "vmx/switch.h"

/* ACPI "Firmware ACPI Control Structure (FACS)", its beginning. */
struct facs {
	u8 signature[4];
	u32 length;
	u32 hardware_signature;
	u32 waking_vector;
	u32 global_lock;
	u32 flags;
	u64 x_waking_vector;
};

enum {
	FACS_64BIT_WAKE_SUPPORTED = 1 << 1,
	/* "PM1 Control Registers": SLP_EN, in the second of the two bytes … */
	SLEEP_ENABLE = 1 << 13,
	SLEEP_ENABLE_BYTE = 1,
	/* … and what is in that byte, as in "Sleep Control Register". */
	BYTE_SLEEP_ENABLE = 1 << 5,
	BYTE_SLEEP_TYPE_SHIFT = 2,
	BYTE_SLEEP_TYPE = 7,
	PM1_REGISTERS = 2,
	REGISTERS = 3,
	/* "PM1 Status Registers" */
	WAKE_STATUS = 1 << 15,
	WAIT_MS = 1000,
};

static struct {
	const struct acpi_info *acpi; /* NULL: nothing is watched */
	volatile struct facs *facs;   /* NULL: no sleep that Umbra could be woken from */
	paddr_t page;
	u8 *bitmaps;
	/* What the guest wants, while the machine sleeps. */
	u32 vector;
	u64 x_vector;
} sleep;

/* --- The ports -------------------------------------------------------------------------------- */

/* The byte with SLP_EN of PM1a, of PM1b, or of the sleep control register; 0: none. */
static u32 watched_port(u32 i)
{
	if (i == PM1_REGISTERS)
		return sleep.acpi->sleep_control;
	return sleep.acpi->pm1_control[i] ? sleep.acpi->pm1_control[i] + (u32)SLEEP_ENABLE_BYTE : 0;
}

static bool reaches(u16 port, u32 size, u32 watched)
{
	return watched >= port && watched < port + size;
}

void sleep_watch_ports(u8 *bitmaps)
{
	for (u32 i = 0; sleep.acpi && i < REGISTERS; i++) {
		const u32 port = watched_port(i);

		if (port)
			bitmaps[port / 8] |= (u8)(1u << port % 8);
	}
}

bool sleep_io_bitmaps(paddr_t bitmap[2])
{
	if (!sleep.acpi)
		return false;
	bitmap[0] = virt_to_phys(sleep.bitmaps);
	bitmap[1] = bitmap[0] + PAGE_SIZE;
	return true;
}

/* --- Waking ----------------------------------------------------------------------------------- */

static bool has_x_vector(void)
{
	return sleep.acpi->facs_length >= sizeof(struct facs);
}

static void set_vectors(u32 vector, u64 x_vector)
{
	sleep.facs->waking_vector = vector;
	if (has_x_vector())
		sleep.facs->x_waking_vector = x_vector;
}

/* As after a reset: nothing of what the CPU was doing counts any more. */
static void prepare(struct cpu *cpu)
{
	struct vcpu *vcpu = (struct vcpu *)cpu;

	microcode_load();
	vcpu_forget(vcpu);
	vmx_setup_cpu(vcpu);
	if (offered_vmx.reset)
		offered_vmx.reset(vcpu);
}

static void prepare_ap(struct cpu *cpu)
{
	prepare(cpu);
	vmx_guest_wait_for_sipi((struct vcpu *)cpu);
}

/*
 * ACPI "Waking and Sleeping", "Transitioning from Sleeping to Working": real mode at the 32-bit
 * vector, or flat protected mode at the other, which comes first if it is set.
 */
static struct guest_start start_of_guest(void)
{
	if (sleep.x_vector)
		return (struct guest_start){.protected_mode = true, .eip = (u32)sleep.x_vector};
	return (struct guest_start){.cs = (u16)(sleep.vector >> 4), .eip = sleep.vector & 15};
}

/* The boot processor, by firmware and trampoline.S, on its own stack and in Umbra's page tables. */
_Noreturn static void wake(struct cpu *self)
{
	static const struct ap_work work = {.prepare = prepare_ap, .go = switch_launch_cleared};
	const struct guest_start start = start_of_guest();

	cpu_load(self);
	for (u32 i = 0; i < cpu_count; i++)
		cpu_forget(cpus[i]);
	stop_release_others();
	set_vectors(sleep.vector, sleep.x_vector);
	if (!sleep.vector && !sleep.x_vector)
		reset_machine("woken up, but the guest has not said where");
	prepare(self);
	/* Firmware may have set up other ones than before. */
	ept01_mtrrs_written(&this_vcpu()->mtrr);
	if (vtd_units_on() && vtd_start())
		reset_machine("woken up, but a DMA remapping unit does not start");
	ap_start_all(&work, sleep.page);
	ap_release_all();
	vmx_guest_start_state(this_vcpu(), &start);
	log_info("woken up from S3");
	switch_launch(&start.regs);
}

/* --- Falling asleep --------------------------------------------------------------------------- */

static u16 status(void)
{
	u16 bits = 0;

	for (u32 i = 0; i < ARRAY_SIZE(sleep.acpi->pm1_status); i++) {
		if (sleep.acpi->pm1_status[i])
			bits |= inw(sleep.acpi->pm1_status[i]);
	}
	return bits;
}

/*
 * With two registers both have to be told; the guest has put the kind of sleep into each. One whose
 * byte with SLP_EN the guest's write reaches is as the guest wants it.
 */
static void enable_other(u16 port, u32 size)
{
	for (u32 i = 0; i < PM1_REGISTERS; i++) {
		const u32 watched = watched_port(i);
		const u16 other = sleep.acpi->pm1_control[i];

		if (watched && !reaches(port, size, watched))
			outw(other, inw(other) | SLEEP_ENABLE);
	}
}

/*
 * The same for S1 to S5, since AML says which is which: from S1 the machine comes back here,
 * from S3 to wake(), and from S4 and S5 as one that has been switched on. Caches may be lost.
 */
static void fall_asleep(u16 port, u32 size, u32 value)
{
	sleep.vector = sleep.facs->waking_vector;
	sleep.x_vector = has_x_vector() ? sleep.facs->x_waking_vector : 0;
	ap_prepare_trampoline(sleep.page, cpus[0], wake);
	set_vectors((u32)sleep.page, 0);
	if (sleep.acpi->pm1_status[0])
		outw(sleep.acpi->pm1_status[0], WAKE_STATUS);
	wbinvd();
	port_write(port, size, value);
	enable_other(port, size);
	for (u32 i = 0; i < WAIT_MS && !(status() & WAKE_STATUS); i++)
		delay_us(1000);
	set_vectors(sleep.vector, sleep.x_vector);
	host_paging_unmap_trampoline();
}

/* What becomes of a write to ports. */
enum effect {
	PASSES,  /* nothing that puts the machine to sleep, or its switching itself off */
	SLEEPS,  /* and Umbra is woken first */
	REFUSED, /* sleep that would end Umbra */
};

static enum effect effect_of(u16 port, u32 size, u32 value)
{
	for (u32 i = 0; sleep.acpi && i < REGISTERS; i++) {
		const u32 watched = watched_port(i);
		u32 byte;

		if (!watched || !reaches(port, size, watched))
			continue;
		byte = value >> 8 * (watched - port);
		if (!(byte & BYTE_SLEEP_ENABLE))
			continue;
		if (sleep.facs && i < PM1_REGISTERS)
			return SLEEPS;
		return (byte >> BYTE_SLEEP_TYPE_SHIFT & BYTE_SLEEP_TYPE) == sleep.acpi->s5_type
			       ? PASSES
			       : REFUSED;
	}
	return PASSES;
}

bool sleep_by_write(u16 port, u32 size, u32 value)
{
	const enum effect effect = effect_of(port, size, value);

	if (effect == PASSES)
		return false;
	if (effect == REFUSED) {
		log_warn("CPU %u: sleep refused: it would end Umbra", this_cpu()->index);
		return true;
	}
	/* Other CPUs may hold locks, and could put back what is written to the FACS. */
	if (!stop_others_for_now()) {
		log_warn("CPU %u: sleep refused: another CPU does not stop", this_cpu()->index);
		return true;
	}
	fall_asleep(port, size, value);
	stop_release_others();
	return true;
}

void sleep_init(const struct acpi_info *acpi, paddr_t page)
{
	if (!acpi->pm1_control[0] && !acpi->pm1_control[1] && !acpi->sleep_control)
		return;
	sleep.bitmaps = pages_alloc(IO_BITMAP_PAGES);
	if (!sleep.bitmaps)
		fail("out of memory for the I/O bitmaps");
	sleep.acpi = acpi;
	sleep.page = page;
	sleep.facs = NULL;
	sleep_watch_ports(sleep.bitmaps);
	if (!page || !acpi->facs || acpi->facs >= 4 * GIB) {
		log_warn("sleep by ACPI will be refused: %s",
			 page ? "the ACPI tables do not say how the machine wakes"
			      : "no free page below 640 KiB to wake at");
		return;
	}
	/*
	 * The page tables for it are made now: later the guest may have used up the memory. Not a
	 * byte of the page itself: the other CPUs are still halted in the roll call's code there,
	 * and after an SMI the HLT is fetched once more (SDM "Auto HALT Restart").
	 */
	if (!host_paging_map_trampoline(page))
		fail("out of memory for waking up");
	host_paging_unmap_trampoline();
	sleep.facs = phys_to_virt(acpi->facs);
	/* Firmware would have to make page tables of the guest's for that, and Umbra cannot. */
	sleep.facs->flags &= ~(u32)FACS_64BIT_WAKE_SUPPORTED;
}
