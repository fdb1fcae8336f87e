/* SPDX-License-Identifier: BSD-2-Clause */
/* All CPUs, and how to run something on them. */
#pragma once

#include "cpu.h"

/* Makes the first CPU's struct and initialises it; no other call works before. */
void smp_init_bsp(bool want_x2apic);

/* Starts the other CPUs of the MADT, one after the other, and reports those that do not come. */
void smp_start_all(void);

/* Starts one more, listed or not, and counts it. */
bool smp_add(u32 apic_id);

/* CPUs that run. */
unsigned smp_count(void);

/* CPUs the MADT says are there, the first one included. */
unsigned smp_expected(void);

/* index < smp_count(); 0 is the first CPU. */
struct cpu *smp_cpu(unsigned index);

/* How often the trampoline was run by anyone. */
u32 smp_arrivals(void);

/* INIT, then SIPI to *cpu's APIC ID; the CPU comes up with what smp_prepare_restart() left. */
void smp_send_init(u32 apic_id);
void smp_send_sipi(u32 apic_id);

/* Lets a CPU that will be reset come back through ap_main with its old struct. */
void smp_prepare_restart(struct cpu *cpu);

/* All of that: false if it does not arrive in a second. */
bool smp_restart(struct cpu *cpu);

/* True once the CPU prepared for restart has arrived; waits at most us microseconds. */
bool smp_wait_online(u64 us);

/* Gives fn(arg) to another CPU, without waiting. */
void smp_start_work(struct cpu *cpu, void (*fn)(void *), void *arg);

/* Waits for it; false if it faulted, or if it did not end in time (then the CPU is lost). */
bool smp_finish_work(struct cpu *cpu);

/* fn(arg) on that CPU, which may be this one; false as above. */
bool smp_run_on(struct cpu *cpu, void (*fn)(void *), void *arg);

/* fn(arg) on all CPUs at once; false if it failed on any. */
bool smp_run_all(void (*fn)(void *), void *arg);

/* A meeting point of n CPUs; initialise with {0}. Spins, so all must be running it. */
struct barrier {
	u32 waiting, phase;
};
void barrier_wait(struct barrier *b, u32 n);

/* Entry point of start.S. */
_Noreturn void ap_main(struct cpu *cpu);

/* CR0, CR4, XCR0, debug registers and tables as cases may expect to find them. */
void cpu_baseline(struct cpu *cpu);
