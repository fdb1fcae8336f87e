/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only process of a Linux in a virtual machine: has a compiler compile /source.c, says what
 * that took by the TSC, `UMBRA-BENCH: NAME NUMBER`, and switches the machine off.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

int main(void)
{
	const uint64_t start = rdtsc();
	const pid_t child = fork();
	int status = -1;

	if (!child) {
		execl("/bin/cc1", "cc1", "-quiet", "-fpreprocessed", "-O2", "/source.c", "-o",
		      "/source.s", NULL);
		_exit(errno);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		printf("UMBRA-BENCH: failed the compiler, status %#x\n", (unsigned int)status);
	else
		printf("UMBRA-BENCH: kvm-compile %lu\n", rdtsc() - start);
	fflush(stdout);
	/* No ACPI is needed for it: QEMU is told to end when the machine restarts. */
	reboot(RB_AUTOBOOT);
	return 1;
}
