/* SPDX-License-Identifier: BSD-2-Clause */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t program_start(char *const argv[], int output)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child)
		return child;
	if (output != STDOUT_FILENO)
		dup2(output, STDOUT_FILENO);
	execvp(argv[0], argv);
	fprintf(stderr, "umbractl: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? CODE_NOT_FOUND : CODE_CANNOT_RUN);
}

int program_wait(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) < 0) {
		perror("umbractl");
		return CODE_CANNOT_RUN;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : CODE_SIGNAL + WTERMSIG(status);
}

/* execvp() takes what it does not change without const. */
static char *const *words_of(const char *const argv[])
{
	return (char *const *)(uintptr_t)argv;
}

static bool well(const char *const argv[], int status)
{
	if (status)
		fprintf(stderr, "umbractl: %s: exit status %d\n", argv[0], status);
	return !status;
}

bool program_does(const char *const argv[])
{
	return well(argv, program_wait(program_start(words_of(argv), STDERR_FILENO)));
}

bool program_says(const char *const argv[], char *line, size_t size)
{
	int ends[2];
	pid_t child;
	FILE *in;

	line[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0) {
		perror("umbractl");
		return false;
	}
	child = program_start(words_of(argv), ends[1]);
	close(ends[1]);
	in = fdopen(ends[0], "r");
	if (in && !fgets(line, (int)size, in))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	/* A program that says more would wait for ever, or get a signal. */
	while (in && fgetc(in) != EOF)
		;
	if (in)
		fclose(in);
	return well(argv, program_wait(child));
}
