/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "sample.h"

static uint64_t growth(uint64_t before, uint64_t after)
{
	return after > before ? after - before : 0;
}

static void add_cpu(struct change *out, const struct cpu_sample *before,
		    const struct cpu_sample *after)
{
	for (unsigned int i = 0; i < REASON_COUNT; i++) {
		const uint64_t exits = growth(before->exits[i], after->exits[i]);
		const uint64_t l2_exits = growth(before->l2_exits[i], after->l2_exits[i]);

		out->exits[i] += exits;
		out->all_exits += exits;
		out->l2_exits[i] += l2_exits;
		out->all_l2_exits += l2_exits;
	}
	out->ept02_faults +=
		growth(before->word[UMBRA_CPU_EPT02_FAULTS], after->word[UMBRA_CPU_EPT02_FAULTS]);
	out->evicted +=
		growth(before->word[UMBRA_CPU_VMCS_EVICTED], after->word[UMBRA_CPU_VMCS_EVICTED]);
	out->ept02_pages += after->word[UMBRA_CPU_EPT02_PAGES];
	out->vmcs_cached += after->word[UMBRA_CPU_VMCS_CACHED];
	out->hidden_reads += after->word[UMBRA_CPU_HIDDEN_READS];
	out->hidden_writes += after->word[UMBRA_CPU_HIDDEN_WRITES];
	out->unexpected += after->word[UMBRA_CPU_UNEXPECTED];
	out->shadowing |= after->word[UMBRA_CPU_SHADOWING] != 0;
}

struct change change_between(const struct sample *before, const struct sample *after, int cpu)
{
	struct change out = {.seconds = after->time - before->time};

	for (uint32_t i = 0; i < after->cpus && i < before->cpus; i++) {
		if (cpu == ALL_CPUS || (uint32_t)cpu == i)
			add_cpu(&out, &before->cpu[i], &after->cpu[i]);
	}
	out.l2_entries = out.exits[REASON_VMLAUNCH] + out.exits[REASON_VMRESUME];
	/* Each entry ends with one exit to L1; all other exits of L2 were Umbra's alone. */
	out.by_umbra = growth(out.l2_entries, out.all_l2_exits);
	out.vmcs_access = out.exits[REASON_VMREAD] + out.exits[REASON_VMWRITE];
	out.pool_used = growth(after->fact[UMBRA_FACT_PAGES_LEFT], after->fact[UMBRA_FACT_PAGES]);
	return out;
}

static const struct change *sorted;

static int compare(const void *a, const void *b)
{
	const unsigned int left = *(const unsigned int *)a, right = *(const unsigned int *)b;
	const uint64_t left_count = sorted->exits[left] + sorted->l2_exits[left];
	const uint64_t right_count = sorted->exits[right] + sorted->l2_exits[right];

	if (left_count != right_count)
		return left_count < right_count ? 1 : -1;
	return left < right ? -1 : left > right;
}

unsigned int change_reasons(const struct change *change, unsigned int reasons[REASON_COUNT])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < REASON_COUNT; i++) {
		if (change->exits[i] + change->l2_exits[i])
			reasons[n++] = i;
	}
	sorted = change;
	qsort(reasons, n, sizeof(*reasons), compare);
	return n;
}

double change_rate(const struct change *change, uint64_t count)
{
	return change->seconds > 0 ? (double)count / change->seconds : 0;
}

const char *reason_name(unsigned int reason)
{
	static const char *const names[REASON_COUNT] = {
#define X(number, name, text) [REASON_##name] = text,
		VMX_EXIT_REASONS(X)
#undef X
	};

	return reason < REASON_COUNT && names[reason] ? names[reason] : "unknown";
}
