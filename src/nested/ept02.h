/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ept02 = ept12 ∩ ept01: what L2 runs on, filled on EPT violations, per CPU. Since ept01 is the
 * identity, L1's addresses need no translation but a check.
 */
#pragma once

#include <x86/types.h>

#include "nested/ept12.h"

enum {
	EPT02_ROOTS = 4,
	EPT02_FAULT_AROUND = 16, /* 4 KiB pages mapped for one fault */
	EPT02_RESERVE = 32,      /* tables that each CPU is sure of */
	/*
	 * Tables that any one instruction or event is content with. The most linear pages these
	 * take are twelve: a far call through a gate has two each of instruction bytes, pointer,
	 * gate, code segment's descriptor, TSS and stack. Each has four tables of L2's below the
	 * one they share, and each of these 61 guest-physical pages may need three tables below the
	 * root. One more page is the list of them.
	 */
	EPT02_LARGEST = 1 + 1 + 3 * (1 + 12 * (4 + 1)),
};

/* The CPU's part in the loan of loan.h. */
enum ept02_loan { LOAN_NONE, LOAN_WAITS, LOAN_HELD };

struct vcpu;

/*
 * The tables of a root, so that nobody has to look for them when it goes: those, too, that a larger
 * page has replaced meanwhile. One page, and the next one when it is full.
 */
struct ept02_tables {
	struct ept02_tables *before;
	u64 count;
	void *table[PAGE_SIZE / sizeof(void *) - 2];
};

struct ept02_root {
	u64 eptp12; /* as ept12.h names it; 0: unused */
	u64 last_use;
	u64 *table;
	struct ept02_tables *tables; /* all of the root's, with itself */
};

struct ept02 {
	struct ept02_root root[EPT02_ROOTS];
	void *reserve[EPT02_LARGEST];
	struct ept12_walk walk; /* the last one of ept12 */
	u32 last;               /* the root used last */
	u32 shortages_seen;
	u32 reserved; /* how many pages of reserve[] are there */
	enum ept02_loan loan;
	struct ept02 *waits_next; /* of those that wait for it */
	u64 clock;
	u64 faults; /* violations resolved without L1 */
	u64 pages;  /* that the roots have */
};

/* What an EPT violation or misconfiguration of L2 came to. */
enum ept02_result {
	EPT02_MAPPED,       /* L2 may try again */
	EPT02_AGAIN,        /* the same: ept12 changes as it is read */
	EPT02_VIOLATION,    /* L1's: ept12 does not allow it */
	EPT02_MISCONFIG,    /* L1's: ept12 is malformed there */
	EPT02_LOG_FULL,     /* L1's: a flag of ept12 is to be set, and the log has no room */
	EPT02_HIDDEN_WRITE, /* ept12 allows the write, but leads to Umbra's memory */
	EPT02_NO_MEMORY,    /* no page for a table: drop something and try again */
};

/* An access of L2 that faulted. */
struct ept02_fault {
	u64 eptp12;
	paddr_t gpa;
	u64 access; /* bits of the exit qualification, of advanced information EPT_VIOLATION_USER */
	bool by_umbra; /* in executing an instruction for L2: no hardware knows of it */
	u64 linear;    /* then */
	bool log_full; /* L1 logs page modifications, and its log has no room */
	/* Answers, with EPT02_VIOLATION: */
	u64 rights; /* what ept12 does allow, as in struct ept12_walk */
	u64 entry;  /* where the walk of ept12 ended */
	/* and with any: */
	bool dirtied; /* a dirty flag of ept12 has been set */
};

/* Takes the CPU's reserve. */
void ept02_init(struct vcpu *vcpu);

/* The EPTP for L2 under this ept12, as ept12.h names it, here and below. */
u64 ept02_eptp(struct vcpu *vcpu, u64 eptp12);

/*
 * Maps the page for the access, if ept12 allows it; with EPTP12's accessed and dirty flags enabled
 * those that it sets in ept12 are set.
 */
enum ept02_result ept02_fault(struct vcpu *vcpu, struct ept02_fault *fault);

/*
 * Maps the page at gpa as ept12 has it now, if it does and no flag of ept12 would have to be set:
 * L1 has just handled a violation there, and L2 would fault again for Umbra alone.
 */
void ept02_prefault(struct vcpu *vcpu, u64 eptp12, paddr_t gpa);

/* After EPT02_NO_MEMORY: begins anew, without any map, and with more tables if they are to be had.
 */
void ept02_start_over(struct vcpu *vcpu);

/* L2 stops, or another CPU needs the loan: nothing of it is kept. */
void ept02_end_loan(struct vcpu *vcpu);

/* INVEPT: what was cached by this EPTP of L1's, or by any. Nothing needs to be invalidated beside.
 */
void ept02_drop(struct vcpu *vcpu, u64 eptp12);
void ept02_drop_all(struct vcpu *vcpu);
