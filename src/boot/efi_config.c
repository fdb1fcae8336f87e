/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/efi_config.h"

#include "boot/piece.h"
#include "lib/string.h"

static char *value_of(struct efi_config *config, struct piece key)
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
		if (piece_equals(key, keys[i].name))
			return (char *)config + keys[i].offset;
	}
	return NULL;
}

static const char *parse_line(struct piece line, struct efi_config *out)
{
	struct piece key, value;
	char *to;

	piece_cut(&line, '#');
	key = piece_trim(line);
	if (!key.length)
		return NULL;
	value = piece_cut(&key, '=');
	if (!value.text)
		return "no '=' after a key";
	value = piece_trim(value);
	to = value_of(out, piece_trim(key));
	if (!to)
		return "a key that is none of options, start, arguments, initrd, microcode";
	if (value.length >= EFI_CONFIG_VALUE)
		return "a value of more than 1023 characters";
	for (size_t i = 0; i < value.length; i++) {
		if ((u8)value.text[i] < ' ' || (u8)value.text[i] > '~')
			return "a character that is not printable ASCII";
	}
	memcpy(to, value.text, value.length);
	to[value.length] = '\0';
	return NULL;
}

const char *efi_config_parse(const char *text, size_t length, struct efi_config *out, u32 *line)
{
	struct piece rest = {text, length};

	*out = (struct efi_config){0};
	for (*line = 1; rest.length; (*line)++) {
		struct piece one = rest;
		const char *error;

		rest = piece_cut(&one, '\n');
		error = parse_line(one, out);
		if (error)
			return error;
	}
	return NULL;
}
