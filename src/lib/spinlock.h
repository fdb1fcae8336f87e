/* SPDX-License-Identifier: BSD-2-Clause */
/* A ticket lock, for boot, the console and the few cross-CPU paths. An all-zero one is free. */
#pragma once

#include <x86/types.h>

#include "lib/insn.h"

struct spinlock {
	u32 next;
	u32 owner;
};

static inline void spin_lock(struct spinlock *lock)
{
	u32 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket)
		cpu_pause();
}

/* False: another has it. */
static inline bool spin_trylock(struct spinlock *lock)
{
	u32 ticket = __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);

	return __atomic_compare_exchange_n(&lock->next, &ticket, ticket + 1, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_store_n(&lock->owner, lock->owner + 1, __ATOMIC_RELEASE);
}
