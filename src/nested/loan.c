/* SPDX-License-Identifier: BSD-2-Clause */
#include "nested/loan.h"

#include "lib/spinlock.h"
#include "nested/alloc.h"

static struct {
	struct spinlock lock;
	bool lent;
	struct ept02 *first; /* of those that wait */
	void *page[LOAN_PAGES];
} loan;

void loan_init(void)
{
	loan.lent = false;
	loan.first = NULL;
	for (u32 i = 0; i < LOAN_PAGES; i++)
		loan.page[i] = nested_alloc(1);
}

static void enqueue(struct ept02 *ept02)
{
	struct ept02 **at = &loan.first;

	while (*at)
		at = &(*at)->waits_next;
	ept02->waits_next = NULL;
	__atomic_store_n(at, ept02, __ATOMIC_RELAXED);
	ept02->loan = LOAN_WAITS;
}

static void dequeue(const struct ept02 *ept02)
{
	struct ept02 **at = &loan.first;

	while (*at != ept02)
		at = &(*at)->waits_next;
	__atomic_store_n(at, ept02->waits_next, __ATOMIC_RELAXED);
}

bool loan_ask(struct ept02 *ept02)
{
	spin_lock(&loan.lock);
	if (ept02->loan == LOAN_NONE)
		enqueue(ept02);
	if (ept02->loan == LOAN_WAITS && !loan.lent && loan.first == ept02) {
		dequeue(ept02);
		loan.lent = true;
		ept02->loan = LOAN_HELD;
		for (u32 i = 0; i < LOAN_PAGES; i++)
			ept02->reserve[ept02->reserved++] = loan.page[i];
	}
	spin_unlock(&loan.lock);
	return ept02->loan == LOAN_HELD;
}

void loan_end(struct ept02 *ept02)
{
	spin_lock(&loan.lock);
	if (ept02->loan == LOAN_WAITS)
		dequeue(ept02);
	if (ept02->loan == LOAN_HELD) {
		for (u32 i = 0; i < LOAN_PAGES; i++)
			loan.page[i] = ept02->reserve[--ept02->reserved];
		loan.lent = false;
	}
	ept02->loan = LOAN_NONE;
	spin_unlock(&loan.lock);
}

bool loan_is_wanted(void)
{
	return __atomic_load_n(&loan.first, __ATOMIC_RELAXED);
}
