/* SPDX-License-Identifier: BSD-2-Clause */
#include "page.h"

#include <string.h>

#include "machine.h"

static int compare(const char *text, size_t size, const char *path)
{
	FILE *file = fopen(path, "r");
	char *found = malloc(size + 1);
	size_t length;

	REQUIRE(found);
	if (!file) {
		perror(path);
		free(found);
		return 1;
	}
	length = fread(found, 1, size + 1, file);
	fclose(file);
	if (length == size && memcmp(found, text, size) == 0) {
		free(found);
		return 0;
	}
	free(found);
	fprintf(stderr, "%s is out of date: run `ninja docs` in the build directory\n", path);
	return 1;
}

int page_main(int argc, char **argv, void (*print)(FILE *out))
{
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);
	int result = 0;

	REQUIRE(memory);
	print(memory);
	fclose(memory);
	if (argc == 1) {
		fwrite(text, 1, size, stdout);
	} else if (argc == 2) {
		result = compare(text, size, argv[1]);
	} else {
		FILE *file = fopen(argv[2], "w");

		REQUIRE(file && fwrite(text, 1, size, file) == size);
		fclose(file);
	}
	free(text);
	return result;
}
