/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Uses /dev/kvm in many ways and checks the data of each: `kvm_client [CASE...]`, all without an
 * argument. Every case is a process of its own. Prints `KVM-CLIENT: ok NAME` or `KVM-CLIENT: not
 * ok NAME WHY` for each and `KVM-CLIENT: end N ok M failed` last.
 */
#include "kvm_cases.h"
#include "kvm_vm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CASE_SECONDS = 120 /* of the machine's clock */ };

struct named_case {
	const char *name;
	void (*run)(void);
};

static const struct named_case cases[] = {
	{"real", case_real},
	{"protected", case_protected},
	{"long", case_long},
	{"exceptions", case_exceptions},
	{"mmio", case_mmio},
	{"interrupts", case_interrupts},
	{"apic", case_apic},
	{"kick", case_kick},
	{"kick-cli", case_kick_cli},
	{"msrs", case_msrs},
	{"tsc", case_tsc},
	{"dirty-log", case_dirty_log},
	{"many-vms", case_many_vms},
	{"migrate", case_migrate},
	{"two-vcpus", case_two_vcpus},
	{"memory-4k", case_memory_4k},
	{"memory-2m", case_memory_2m},
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool run_case(const struct named_case *chosen)
{
	double start = now();
	int status;
	pid_t child;

	fail_why[0] = 0;
	child = fork();
	if (!child) {
		alarm(CASE_SECONDS);
		chosen->run();
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		snprintf(fail_why, WHY_SIZE, "no process: %s", strerror(errno));
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(fail_why, WHY_SIZE, "no end after %u s", CASE_SECONDS);
	else if (WIFSIGNALED(status))
		snprintf(fail_why, WHY_SIZE, "killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) && !fail_why[0])
		snprintf(fail_why, WHY_SIZE, "exit status %d", WEXITSTATUS(status));
	if (fail_why[0])
		printf("KVM-CLIENT: not ok %s %s\n", chosen->name, fail_why);
	else
		printf("KVM-CLIENT: ok %s (%.2f s)\n", chosen->name, now() - start);
	return !fail_why[0];
}

static bool is_wanted(const char *name, char **arguments)
{
	if (!*arguments)
		return true;
	for (; *arguments; arguments++)
		if (!strcmp(name, *arguments))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned int ok = 0, failed = 0;

	(void)argc;
	setvbuf(stdout, NULL, _IONBF, 0);
	fail_why = mmap(NULL, WHY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fail_why == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!is_wanted(cases[i].name, argv + 1))
			continue;
		if (run_case(&cases[i]))
			ok++;
		else
			failed++;
	}
	printf("KVM-CLIENT: end %u ok %u failed\n", ok, failed);
	return failed != 0;
}
