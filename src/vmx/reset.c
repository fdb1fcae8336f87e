/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmx/reset.h"

#include <x86/pc.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "mm/layout.h"
#include "platform/delay.h"
#include "smp/panic.h"
#include "smp/stop.h"
#include "vmx/vcpu.h"

enum { RESET_WAIT_US = 50000 };

/* A boot-time constant once reset_init() has run. */
static const struct acpi_info *acpi;

void reset_init(const struct acpi_info *info)
{
	acpi = info;
}

/* ACPI "Reset Register" and "Generic Address Structure". */
static void reset_by_acpi(void)
{
	const u64 address = acpi ? acpi->reset.addr : 0;

	if (!acpi || !acpi->reset.valid)
		return;
	switch (acpi->reset.space) {
	case ACPI_SPACE_IO:
		outb((u16)address, acpi->reset.value);
		break;
	case ACPI_SPACE_MEMORY:
		if (address < 4 * GIB)
			*(volatile u8 *)phys_to_virt(address) = acpi->reset.value;
		break;
	case ACPI_SPACE_PCI:
		/* Bus 0: device in bits 47:32, function in 31:16, register in 15:0. */
		outl(PCI_CONFIG_ADDRESS, (u32)(PCI_CONFIG_ENABLE | (address >> 32 & 0x1f) << 11 |
					       (address >> 16 & 7) << 8 | (address & 0xfc)));
		outb((u16)(PCI_CONFIG_DATA + (address & 3)), acpi->reset.value);
		break;
	default:
		break;
	}
	delay_us(RESET_WAIT_US);
}

_Noreturn void reset_machine(const char *why)
{
	stop_others();
	log_seize();
	log_error("%s on CPU %u; resetting the machine", why, this_cpu()->index);
	panic_show_guest();
	/*
	 * No VMXOFF: an INIT that another CPU of the guest's has sent would be taken at once, and
	 * after a start-up IPI this CPU ran the guest's code without VMX. In VMX operation INIT
	 * waits (SDM "Restrictions on VMX Operation"), so that a reset which is no more than an
	 * INIT to the CPUs, as the keyboard controller's is on some machines, does nothing.
	 */
	reset_by_acpi();
	outb(RESET_CONTROL_PORT, RESET_CONTROL_HARD);
	outb(RESET_CONTROL_PORT, RESET_CONTROL_GO);
	delay_us(RESET_WAIT_US);
	outb(KEYBOARD_COMMAND_PORT, KEYBOARD_PULSE_RESET);
	delay_us(RESET_WAIT_US);
	log_error("the machine did not reset; switch it off and on");
	cpu_halt_forever();
}
