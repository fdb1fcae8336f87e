/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks Umbra without umbractl, to see who is answered:
 *   ask token    prints the token, as hexadecimal; fails where it cannot be read
 *   ask as UID PROGRAM [ARGUMENT]...   runs it as an unprivileged user
 *   ask HEX...   a call with each of these tokens: `ASK: HEX: answered N`, or `ASK: HEX: signal N`
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <umbra/interface.h>

static sigjmp_buf faulted;

static void on_fault(int signal)
{
	siglongjmp(faulted, signal);
}

static int print_token(void)
{
	const int fd = open("/dev/cpu/0/msr", O_RDONLY);
	uint64_t token;

	if (fd < 0 || pread(fd, &token, sizeof(token), UMBRA_MSR_TOKEN) != sizeof(token)) {
		perror("/dev/cpu/0/msr");
		return 1;
	}
	printf("%llx\n", (unsigned long long)token);
	return 0;
}

static int run_as(uid_t uid, char **program)
{
	if (setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0 &&
	    setresuid(uid, uid, uid) == 0)
		execv(program[0], program);
	perror(program[0]);
	return 1;
}

static void call_with(const char *hex)
{
	uint64_t results[UMBRA_RESULTS];
	const int signal = sigsetjmp(faulted, 1);

	if (signal)
		printf("ASK: %s: signal %d\n", hex, signal);
	else
		printf("ASK: %s: answered %llu\n", hex,
		       (unsigned long long)umbra_call(strtoull(hex, NULL, 16), UMBRA_ASK_FACTS, 0,
						      0, results));
}

int main(int count, char **arguments)
{
	signal(SIGILL, on_fault);
	signal(SIGSEGV, on_fault);
	if (count == 2 && strcmp(arguments[1], "token") == 0)
		return print_token();
	if (count > 3 && strcmp(arguments[1], "as") == 0)
		return run_as((uid_t)atoi(arguments[2]), arguments + 3);
	for (int i = 1; i < count; i++)
		call_with(arguments[i]);
	return 0;
}
