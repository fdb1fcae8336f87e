/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only process of a benchmarked boot: it takes the time at which userspace starts, asks Umbra
 * what it counts (option `stats`), sleeps, asks again, and prints one figure a line:
 * `UMBRA-BENCH: NAME NUMBER...`. Without Umbra right under it, it prints the time alone.
 */
#include <umbra/interface.h>

#include <x86/types.h>
#include <x86/vmx.h>

enum {
	SYS_WRITE = 1,
	SYS_RT_SIGACTION = 13,
	SYS_PAUSE = 34,
	SYS_NANOSLEEP = 35,

	STDOUT = 1,
	SIGNAL_ILLEGAL_INSTRUCTION = 4,
	SIGNAL_SEGMENTATION_FAULT = 11,

	IDLE_SECONDS = 10,
	CPUS_MAX = 8,
};

static const u64 signal_has_restorer = 0x04000000;

/* struct sigaction as the kernel takes it. */
struct signal_action {
	void (*handler)(int signal);
	u64 flags;
	void (*restorer)(void);
	u64 mask;
};

struct timespec {
	i64 seconds;
	i64 nanoseconds;
};

struct exit_counts {
	/* Up to a whole answer. */
	u64 of[CPUS_MAX][(REASON_COUNT + UMBRA_RESULTS - 1) / UMBRA_RESULTS * UMBRA_RESULTS];
};

static struct exit_counts after_boot, after_idle;
static char output[32 * 1024];
static size_t output_length;

void bench_main(u64 start_tsc);

/* The first instructions of userspace: the time goes to the one argument. */
__asm__(".globl _start\n"
	"_start:\n\t"
	"rdtsc\n\t"
	"shl $32, %rdx\n\t"
	"lea (%rax,%rdx), %rdi\n\t"
	"xor %ebp, %ebp\n\t"
	"call bench_main\n\t"
	"ud2");

static u64 rdtsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return ((u64)high << 32) | low;
}

static i64 system_call(u64 number, u64 first, u64 second, u64 third, u64 fourth)
{
	register u64 r10 __asm__("r10") = fourth;
	i64 result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(first), "S"(second), "d"(third), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static void put(const char *text)
{
	while (*text && output_length < sizeof(output))
		output[output_length++] = *text++;
}

static void put_number(u64 value)
{
	char digits[21];
	char *first = digits + sizeof(digits) - 1;

	*first = '\0';
	do {
		*--first = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put(" ");
	put(first);
}

static void put_name(const char *name)
{
	put("UMBRA-BENCH: ");
	put(name);
}

static void figure(const char *name, u64 value)
{
	put_name(name);
	put_number(value);
	put("\n");
}

static void figure_of_cpu(const char *name, u64 cpu, u64 value)
{
	put_name(name);
	put_number(cpu);
	put_number(value);
	put("\n");
}

_Noreturn static void finish(void)
{
	size_t written = 0;

	put("UMBRA-BENCH: end\n");
	while (written < output_length) {
		const i64 step = system_call(SYS_WRITE, STDOUT, (u64)(output + written),
					     output_length - written, 0);

		if (step <= 0)
			break;
		written += (size_t)step;
	}
	for (;;)
		system_call(SYS_PAUSE, 0, 0, 0, 0);
}

/* VMCALL is #UD, or #GP under some other hypervisor: nobody is there to answer. */
static void no_umbra(int signal)
{
	(void)signal;
	finish();
}

/* Required by the kernel; handlers here do not return. */
static void restorer(void)
{
	__builtin_trap();
}

static void end_on_signal(u64 signal)
{
	const struct signal_action action = {
		.handler = no_umbra,
		.flags = signal_has_restorer,
		.restorer = restorer,
	};

	system_call(SYS_RT_SIGACTION, signal, (u64)&action, 0, sizeof(action.mask));
}

static void read_exits(struct exit_counts *counts, u64 cpu_count)
{
	for (u64 cpu = 0; cpu < cpu_count; cpu++)
		for (u64 reason = 0; reason < REASON_COUNT; reason += UMBRA_RESULTS)
			umbra_call(0, UMBRA_ASK_EXITS, cpu, reason, &counts->of[cpu][reason]);
}

static const char *reason_name(u64 reason)
{
	switch (reason) {
#define X(number, name, text) \
	case number:          \
		return #name;
		VMX_EXIT_REASONS(X)
#undef X
	default:
		return "unknown";
	}
}

/* Without VMCALLs: they are this program's own. */
static void put_exits(const char *name, const struct exit_counts *before,
		      const struct exit_counts *now, u64 cpu_count)
{
	for (u64 cpu = 0; cpu < cpu_count; cpu++)
		for (u64 reason = 0; reason < REASON_COUNT; reason++) {
			const u64 count =
				now->of[cpu][reason] - (before ? before->of[cpu][reason] : 0);

			if (!count || reason == REASON_VMCALL)
				continue;
			put_name(name);
			put_number(cpu);
			put_number(count);
			put(" ");
			put(reason_name(reason));
			put("\n");
		}
}

void bench_main(u64 start_tsc)
{
	const struct timespec idle = {.seconds = IDLE_SECONDS};
	u64 fact[UMBRA_RESULTS], of_cpu[UMBRA_RESULTS];
	u64 cpus, cpu_count, idle_start;

	figure("userspace-tsc", start_tsc);
	end_on_signal(SIGNAL_ILLEGAL_INSTRUCTION);
	end_on_signal(SIGNAL_SEGMENTATION_FAULT);
	cpus = umbra_call(0, UMBRA_ASK_FACTS, 0, 0, fact);
	/* KVM does not take hypercalls from user mode: EPERM. */
	if (cpus == UMBRA_ERROR)
		finish();
	cpu_count = cpus < CPUS_MAX ? cpus : CPUS_MAX;
	read_exits(&after_boot, cpu_count);

	idle_start = rdtsc();
	system_call(SYS_NANOSLEEP, (u64)&idle, 0, 0, 0);
	figure("idle-ticks", rdtsc() - idle_start);
	read_exits(&after_idle, cpu_count);

	figure("cpus", cpus);
	figure("reserved-bytes", fact[UMBRA_FACT_MEMORY_SIZE]);
	figure("image-bytes", fact[UMBRA_FACT_IMAGE_SIZE]);
	figure("umbra-entry-tsc", fact[UMBRA_FACT_ENTRY_TSC]);
	figure("guest-start-tsc", fact[UMBRA_FACT_LAUNCH_TSC]);
	put_exits("boot-exits", NULL, &after_boot, cpu_count);
	put_exits("idle-exits", &after_boot, &after_idle, cpu_count);
	for (u64 cpu = 0; cpu < cpu_count; cpu++) {
		umbra_call(0, UMBRA_ASK_CPU, cpu, 0, of_cpu);
		figure_of_cpu("hidden-reads", cpu, of_cpu[UMBRA_CPU_HIDDEN_READS]);
		figure_of_cpu("hidden-writes", cpu, of_cpu[UMBRA_CPU_HIDDEN_WRITES]);
	}
	finish();
}
