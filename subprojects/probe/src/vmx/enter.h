/* SPDX-License-Identifier: BSD-2-Clause */
/* What l2.c and enter.S share. */
#pragma once

#define ENTER_HOST_RSP 0x6c14
/* l2_enter()'s result when there was an exit; no RFLAGS looks like it. */
#define ENTER_EXITED 1

/* How l2_enter() enters; the last one with the host RSP of the last time, without a VMWRITE. */
#define L2_LAUNCH            0
#define L2_RESUME            1
#define L2_RESUME_SAME_STACK 2

/* 8 bytes of code for each vector in l2_gates. */
#define L2_GATE_SIZE 16
