/* SPDX-License-Identifier: BSD-2-Clause */
#include "power.h"
#include "probe.h"

/* SDM "Interrupt 8—Double Fault Exception": the processor enters shutdown; no line follows. */
PROBE_CASE(triplefault, "triplefault", CASE_EXPLICIT)
{
	(void)t;
	print("# triple fault now\n");
	triple_fault();
}
