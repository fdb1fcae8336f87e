/* SPDX-License-Identifier: BSD-2-Clause */
/* The end: for bugs of Umbra's own and for machines it cannot run on. Never for guest input. */
#pragma once

#include <x86/gpr.h>

#include "smp/trap.h"

/*
 * A bug of Umbra's. Stops all other CPUs; shows the lines of the log that were hidden, the message,
 * the guest's state once it has made an exit, and a backtrace; then halts, or takes the way out.
 */
__attribute__((format(printf, 1, 2))) _Noreturn void panic(const char *format, ...);

/* The same with the registers of the exception that caused it. */
_Noreturn void panic_trap(const struct trap_frame *frame);

/* What a panic tells about the guest: `show` is called on the CPU that panics. */
void panic_set_guest_view(void (*show)(void));

/* Calls it; nothing is shown before it is set. */
void panic_show_guest(void);

/* The general registers as lines of the log. */
void panic_show_registers(const struct guest_regs *regs);

/*
 * What fail() and a panic do instead of a halt: start the system without Umbra. NULL, as at first:
 * a halt. Called on the CPU that has failed.
 */
void fail_set_way_out(void (*way_out)(void));

/* The machine or its configuration will not do: one line that says what to do, and a halt. */
__attribute__((format(printf, 1, 2))) _Noreturn void fail(const char *format, ...);
