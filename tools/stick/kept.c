/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes out what a run of the probe has kept in memory: kept 0xSTART-0xEND >TEXT. A file in the
 * place of memory may follow.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include <probe/kept.h>

static int fail(const char *what)
{
	fprintf(stderr, "kept: %s\n", what);
	return 1;
}

int main(int argc, char **argv)
{
	static union {
		struct kept head;
		char all[16 << 20];
	} memory;
	uint64_t digest = KEPT_DIGEST_EMPTY;
	unsigned long start, end, size;
	char *rest;
	int file;

	if (argc != 2 && argc != 3)
		return fail("which addresses?");
	start = strtoul(argv[1], &rest, 0);
	end = *rest == '-' ? strtoul(rest + 1, &rest, 0) : 0;
	if (*rest || end < start + sizeof(memory.head) || end - start > sizeof(memory))
		return fail("no range that can be read");
	size = end - start;
	file = open(argc == 3 ? argv[2] : "/dev/mem", O_RDONLY);
	if (file < 0)
		return fail("memory cannot be opened");
	for (unsigned long done = 0; done < size;) {
		ssize_t n = pread(file, memory.all + done, size - done, (off_t)(start + done));

		if (n <= 0)
			return fail("memory cannot be read");
		done += (unsigned long)n;
	}
	close(file);
	if (memory.head.magic != KEPT_MAGIC)
		return fail("nothing is kept there");
	if (memory.head.length > size - sizeof(memory.head))
		return fail("its length is impossible");
	for (uint64_t i = 0; i < memory.head.length; i++)
		digest = kept_digest(digest, memory.head.text[i]);
	if (digest != memory.head.digest)
		return fail("it has changed since");
	if (fwrite(memory.head.text, 1, memory.head.length, stdout) != memory.head.length ||
	    fflush(stdout))
		return fail("it cannot be written");
	return 0;
}
