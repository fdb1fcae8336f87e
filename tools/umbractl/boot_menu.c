/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot_menu.h"

#include <string.h>

static const char BLANKS[] = " \t\n";

/* Behind the line's end, or NULL: it was the last one. */
static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end && end[1] ? end + 1 : NULL;
}

bool text_has_word(const char *text, const char *word, bool begins)
{
	const size_t length = strlen(word);

	for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
		const size_t found = strcspn(text, BLANKS);

		if ((begins ? found >= length : found == length) &&
		    strncmp(text, word, length) == 0)
			return true;
		text += found;
	}
	return false;
}

enum start start_of(const struct system_seen *seen)
{
	if (seen->umbra_shows_itself)
		return START_UMBRA;
	if (text_has_word(seen->command_line, "umbra.refused", false))
		return START_REFUSED;
	/* GRUB's command for Linux alone says so. */
	if (text_has_word(seen->command_line, "BOOT_IMAGE=", true))
		return START_PLAIN;
	/* Umbra does not show itself, but its own memory is missing. */
	return seen->memory && seen->memory_before > seen->memory &&
			       seen->memory_before - seen->memory >= UMBRA_SMALLEST
		       ? START_UMBRA
		       : START_PLAIN;
}

bool menu_first_umbra(const char *config, char *name, size_t size)
{
	static const char command[] = "menuentry ", quoted[] = "'umbra-";

	for (const char *line = config; line; line = next_line(line)) {
		const char *const end = line + strcspn(line, "\n");
		const char *found = NULL;
		size_t length;

		/* Those of submenus are indented, and have longer names. */
		if (strncmp(line, command, sizeof(command) - 1) != 0)
			continue;
		/* The name stands behind the title. */
		for (const char *at = line; at + sizeof(quoted) - 1 < end; at++) {
			if (strncmp(at, quoted, sizeof(quoted) - 1) == 0)
				found = at + 1;
		}
		if (!found)
			continue;
		length = strcspn(found, "'\n");
		if (found[length] != '\'' || length >= size)
			continue;
		memcpy(name, found, length);
		name[length] = '\0';
		return true;
	}
	return false;
}

bool grub_can_write(const char *abstraction, const char *file_system)
{
	static const char *const able[] = {"ext2", "fat", "exfat", "xfs", "ntfs"};

	if (abstraction[strspn(abstraction, BLANKS)])
		return false;
	for (size_t i = 0; i < sizeof(able) / sizeof(able[0]); i++) {
		if (strcmp(file_system, able[i]) == 0)
			return true;
	}
	return false;
}

void settings_write(FILE *out, const char *settings, const char *name, const char *value)
{
	const size_t length = strlen(name);

	for (const char *line = *settings ? settings : NULL; line; line = next_line(line)) {
		if (strncmp(line, name, length) != 0 || line[length] != '=')
			fprintf(out, "%.*s\n", (int)strcspn(line, "\n"), line);
	}
	fprintf(out, "%s=%s\n", name, value);
}
