/* SPDX-License-Identifier: BSD-2-Clause */
#include "umbra.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t token;

uint32_t umbra_find(void)
{
	uint32_t eax, ebx, ecx, edx;

	for (uint32_t leaf = UMBRA_CPUID_FIRST; leaf <= UMBRA_CPUID_LAST;
	     leaf += UMBRA_CPUID_STEP) {
		__cpuid(leaf, eax, ebx, ecx, edx);
		if (ebx != UMBRA_SIGNATURE_EBX || ecx != UMBRA_SIGNATURE_ECX ||
		    edx != UMBRA_SIGNATURE_EDX)
			continue;
		__cpuid(leaf + 1, eax, ebx, ecx, edx);
		return eax;
	}
	return 0;
}

bool umbra_rdmsr(unsigned int cpu, uint32_t msr, uint64_t *value)
{
	char path[64];
	ssize_t got;
	int fd, error;

	snprintf(path, sizeof(path), "/dev/cpu/%u/msr", cpu);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = pread(fd, value, sizeof(*value), msr);
	error = errno;
	close(fd);
	errno = error;
	return got == sizeof(*value);
}

/* An Umbra that does not answer, whatever the reason, leaves a VMCALL to be what it is: a fault. */
static sigjmp_buf no_answer;

static void on_fault(int signal)
{
	(void)signal;
	siglongjmp(no_answer, 1);
}

static bool answers(void)
{
	const struct sigaction action = {.sa_handler = on_fault};
	struct sigaction ill, segv;
	uint64_t results[UMBRA_RESULTS];
	bool answer = false;

	sigaction(SIGILL, &action, &ill);
	sigaction(SIGSEGV, &action, &segv);
	if (!sigsetjmp(no_answer, 1))
		answer = umbra_call(token, UMBRA_ASK_FACTS, 0, 0, results) < UMBRA_BUSY;
	sigaction(SIGILL, &ill, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return answer;
}

static int try_to(const char **why)
{
	struct stat unused;

	*why = "no Umbra shows itself here; it does with its option hv-leaves=on";
	if (!umbra_find())
		return CODE_NO_UMBRA;
	if (!umbra_rdmsr(0, UMBRA_MSR_TOKEN, &token)) {
		*why = "only root may ask Umbra";
		if (errno == EACCES || errno == EPERM)
			return CODE_NOT_PERMITTED;
		*why = "the kernel does not let Umbra's token be read";
		if (stat("/dev/cpu/0/msr", &unused) == 0)
			return CODE_NOT_PERMITTED;
		*why = "/dev/cpu/0/msr is missing: modprobe msr, as root";
		return CODE_TROUBLE;
	}
	*why = "Umbra does not answer";
	return answers() ? CODE_OK : CODE_NO_UMBRA;
}

int umbra_try(void)
{
	const char *why;

	return try_to(&why);
}

int umbra_open(void)
{
	const char *why;
	const int code = try_to(&why);

	if (code != CODE_OK)
		fprintf(stderr, "umbractl: %s\n", why);
	return code;
}

bool umbra_ask(enum umbra_function function, uint64_t first, uint64_t second,
	       uint64_t results[UMBRA_RESULTS], uint64_t *rax)
{
	const uint64_t answer = umbra_call(token, function, first, second, results);

	if (rax)
		*rax = answer;
	return answer != UMBRA_ERROR;
}

void umbra_text(enum umbra_text which, char *buffer, size_t size)
{
	uint64_t piece[UMBRA_RESULTS], length;
	size_t used = 0;

	while (used + 1 < size && umbra_ask(UMBRA_ASK_TEXT, which, used, piece, &length) &&
	       length && length <= sizeof(piece)) {
		if (length > size - 1 - used)
			length = size - 1 - used;
		memcpy(buffer + used, piece, length);
		used += length;
	}
	buffer[used] = '\0';
	for (char *c = buffer; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}
