/* SPDX-License-Identifier: BSD-2-Clause */
/* The cases of the KVM client. Each runs in a process of its own and returns, or ends by fail(). */
#pragma once

/* kvm_cpu_cases.c: what a VCPU executes, and what comes in and out of it. */
void case_real(void);
void case_protected(void);
void case_long(void);
void case_exceptions(void);
void case_mmio(void);
void case_interrupts(void);
void case_apic(void);
void case_kick(void);
void case_kick_cli(void);
void case_msrs(void);
void case_tsc(void);

/* kvm_memory_cases.c: memory, several VMs, VCPUs and CPUs. */
void case_dirty_log(void);
void case_many_vms(void);
void case_migrate(void);
void case_two_vcpus(void);
void case_memory_4k(void);
void case_memory_2m(void);
