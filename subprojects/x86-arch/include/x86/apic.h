/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC. */
#pragma once

/* SDM "Local APIC Register Address Map": offsets in its page. */
enum apic_register {
	APIC_REG_ID = 0x20,
	APIC_REG_VERSION = 0x30,
	APIC_REG_TPR = 0x80,
	APIC_REG_EOI = 0xb0,
	APIC_REG_LDR = 0xd0,
	APIC_REG_SVR = 0xf0,
	APIC_REG_ISR = 0x100,
	APIC_REG_IRR = 0x200,
	APIC_REG_ICR_LO = 0x300,
	APIC_REG_ICR_HI = 0x310,
	APIC_REG_LVT_TIMER = 0x320,
	APIC_REG_LVT_LINT0 = 0x350,
	APIC_REG_LVT_LINT1 = 0x360,
	APIC_REG_TIMER_INITIAL = 0x380,
	APIC_REG_TIMER_CURRENT = 0x390,
	APIC_REG_TIMER_DIVIDE = 0x3e0,
};

/* SDM "Interrupt Command Register (ICR)": delivery modes, in place. */
enum apic_delivery {
	APIC_FIXED = 0 << 8,
	APIC_NMI = 4 << 8,
	APIC_INIT = 5 << 8,
	APIC_STARTUP = 6 << 8,
};

enum apic_shorthand {
	APIC_TO_SELF = 1 << 18,
	APIC_TO_ALL = 2 << 18,
	APIC_TO_OTHERS = 3 << 18,
};

enum { ICR_PENDING = 1 << 12, ICR_ASSERT = 1 << 14 };
