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

/* Reads to the end, since a program that could not go on writing would not end well. */
static void read_line(int from, char *line, size_t size)
{
	char piece[256];
	size_t used = 0;
	ssize_t got;

	while ((got = read(from, piece, sizeof(piece))) > 0) {
		const size_t room = size - 1 - used;
		const size_t taken = (size_t)got < room ? (size_t)got : room;

		memcpy(line + used, piece, taken);
		used += taken;
	}
	line[used] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

bool program_says(const char *const argv[], char *line, size_t size)
{
	int ends[2];
	pid_t child;

	line[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0) {
		perror("umbractl");
		return false;
	}
	child = program_start(words_of(argv), ends[1]);
	close(ends[1]);
	read_line(ends[0], line, size);
	close(ends[0]);
	return well(argv, program_wait(child));
}
