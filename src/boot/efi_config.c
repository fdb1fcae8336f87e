/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/efi_config.h"

#include "lib/string.h"

/* A part of the text. */
struct part {
	const char *start;
	size_t length;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct part trim(struct part p)
{
	while (p.length && is_blank(p.start[0])) {
		p.start++;
		p.length--;
	}
	while (p.length && is_blank(p.start[p.length - 1]))
		p.length--;
	return p;
}

/* The part before the first `c`, or all of it. */
static struct part up_to(struct part p, char c)
{
	for (size_t i = 0; i < p.length; i++) {
		if (p.start[i] == c)
			return (struct part){p.start, i};
	}
	return p;
}

static char *value_of(struct efi_config *config, struct part key)
{
	static const struct {
		const char *name;
		size_t offset;
	} keys[] = {
		{"options", offsetof(struct efi_config, options)},
		{"start", offsetof(struct efi_config, start)},
		{"arguments", offsetof(struct efi_config, arguments)},
		{"initrd", offsetof(struct efi_config, initrd)},
		{"microcode", offsetof(struct efi_config, microcode)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strlen(keys[i].name) == key.length &&
		    memcmp(keys[i].name, key.start, key.length) == 0)
			return (char *)config + keys[i].offset;
	}
	return NULL;
}

static const char *parse_line(struct part line, struct efi_config *out)
{
	struct part key, value;
	char *to;

	line = trim(up_to(line, '#'));
	if (!line.length)
		return NULL;
	key = up_to(line, '=');
	if (key.length == line.length)
		return "no '=' after a key";
	value = trim((struct part){line.start + key.length + 1, line.length - key.length - 1});
	to = value_of(out, trim(key));
	if (!to)
		return "a key that is none of options, start, arguments, initrd, microcode";
	if (value.length >= EFI_CONFIG_VALUE)
		return "a value of more than 1023 characters";
	for (size_t i = 0; i < value.length; i++) {
		if ((u8)value.start[i] < ' ' || (u8)value.start[i] > '~')
			return "a character that is not printable ASCII";
	}
	memcpy(to, value.start, value.length);
	to[value.length] = '\0';
	return NULL;
}

const char *efi_config_parse(const char *text, size_t length, struct efi_config *out, u32 *line)
{
	struct part rest = {text, length};
	const char *error = NULL;

	*out = (struct efi_config){0};
	for (*line = 1; rest.length && !error; (*line)++) {
		const struct part one = up_to(rest, '\n');
		const size_t used = one.length < rest.length ? one.length + 1 : one.length;

		error = parse_line(one, out);
		if (error)
			break;
		rest.start += used;
		rest.length -= used;
	}
	return error;
}
