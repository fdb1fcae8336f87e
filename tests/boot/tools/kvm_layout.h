/* SPDX-License-Identifier: BSD-2-Clause */
/* Where things are in a virtual machine of the KVM client; read by C and by the assembler. */
#pragma once

#define GUEST_BOOT        0x1000
#define GUEST_CODE        0x2000
#define GUEST_GDT         0x3000
#define GUEST_GDT_POINTER 0x3100
#define GUEST_IDT_POINTER 0x3110
#define GUEST_ROOT        0x4000 /* PML4, or the page directory of 32-bit paging */
#define GUEST_TABLE       0x5000 /* page-directory-pointer table, or a page table */
#define GUEST_TABLE2      0x6000 /* page directory of the first GiB, or a page table */
#define GUEST_TABLE3      0x7000 /* page directory of the fourth GiB */
#define GUEST_IDT         0x8000
#define GUEST_STACK       0xc000 /* its end; the second VCPU's is a page above */
#define GUEST_DATA        0x10000
#define GUEST_DATA2       0x20000
#define GUEST_MEMORY      0x200000

#define SELECTOR_CODE64 0x08
#define SELECTOR_DATA   0x10
#define SELECTOR_CODE32 0x18

/* Four bytes at a time go out here and come in there. */
#define PORT_REPORT 0x10
#define PORT_ASK    0x20

/* The direct map of guest-physical memory in the upper half of the address space. */
#define GUEST_UPPER_HALF 0xffff800000000000

/* 32-bit paging: two pages here, the first mapped. */
#define GUEST_WINDOW 0x400000

/* No memory: an access goes to the client. */
#define GUEST_DEVICE 0x10000000
#define GUEST_ROM    0x20000000

#define GUEST_APIC     0xfee00000
#define VECTOR_MESSAGE 0x30
#define VECTOR_TIMER   0x31
#define TIMER_TICKS    200000
