/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/cmdline.h"

#include "lib/string.h"
#include "nested/untested.h"

/* A piece of the command line; text is NULL when the word had no '=' at all. */
struct piece {
	const char *text;
	size_t length;
};

struct option {
	const char *name;
	/* Store the value into *options, or return false and leave it as it was. */
	bool (*parse)(struct piece value, struct options *options);
	/* Without a function it is one of two words. */
	const char *no, *yes;
	size_t member; /* a bool of struct options */
};

static const struct options defaults = {
	.serial_port = 0x3f8,
	.serial_baud = 115200,
	.log_level = LOG_LEVEL_INFO,
	.drive = 0x80,
	.nested = true,
	.nested_shadow = true,
	.nested_pool = 2048,
	.microcode = true,
};

static bool equals(struct piece p, const char *s)
{
	return p.text && p.length == strlen(s) && memcmp(p.text, s, p.length) == 0;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

static bool parse_number(struct piece p, u32 max, u32 *out)
{
	int base = 10;
	u64 value = 0;

	if (p.length > 2 && p.text[0] == '0' && (p.text[1] == 'x' || p.text[1] == 'X')) {
		base = 16;
		p.text += 2;
		p.length -= 2;
	}
	if (p.length == 0)
		return false;
	for (size_t i = 0; i < p.length; i++) {
		int digit = digit_value(p.text[i]);

		if (digit >= base)
			return false;
		value = value * (u64)base + (u64)digit;
		if (value > max)
			return false;
	}
	*out = (u32)value;
	return true;
}

static bool parse_either(const struct option *option, struct piece value, struct options *options)
{
	const struct piece word = value.text ? value : (struct piece){"on", 2};
	const bool yes = equals(word, option->yes);

	if (!yes && !equals(word, option->no))
		return false;
	*(bool *)((u8 *)options + option->member) = yes;
	return true;
}

static bool parse_port(struct piece p, u16 *out)
{
	static const struct {
		const char *name;
		u16 port;
	} known[] = {{"com1", 0x3f8}, {"com2", 0x2f8}, {"com3", 0x3e8}, {"com4", 0x2e8}};
	u32 port;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (equals(p, known[i].name)) {
			*out = known[i].port;
			return true;
		}
	}
	/* A 16550 has eight registers, and they must all exist. */
	if (!parse_number(p, 0xfff8, &port) || port == 0)
		return false;
	*out = (u16)port;
	return true;
}

/* Cuts *list at its first comma; returns what is behind that, without a text if there is none. */
static struct piece cut_at_comma(struct piece *list)
{
	for (size_t i = 0; i < list->length; i++) {
		if (list->text[i] == ',') {
			const struct piece rest = {list->text + i + 1, list->length - i - 1};

			list->length = i;
			return rest;
		}
	}
	return (struct piece){0};
}

static bool parse_serial(struct piece value, struct options *options)
{
	struct piece name = value, speed;
	u32 baud = defaults.serial_baud;
	u16 port;

	if (equals(value, "none")) {
		options->serial_port = 0;
		return true;
	}
	speed = cut_at_comma(&name);
	/* The divisor latch has 16 bits and counts in 1/115200 s. */
	if (speed.text && (!parse_number(speed, 115200, &baud) || baud < 2 || 115200 % baud != 0))
		return false;
	if (!parse_port(name, &port))
		return false;
	options->serial_port = port;
	options->serial_baud = baud;
	return true;
}

/* The word's index among the names, or -1. */
static int find(struct piece word, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (equals(word, names[i]))
			return (int)i;
	}
	return -1;
}

static bool parse_loglevel(struct piece value, struct options *options)
{
	static const char *const names[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARN] = "warn",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};
	const int index = find(value, names, ARRAY_SIZE(names));

	if (index < 0)
		return false;
	options->log_level = (enum log_level)index;
	return true;
}

static bool parse_drive(struct piece value, struct options *options)
{
	u32 drive;

	if (!parse_number(value, 0xff, &drive))
		return false;
	options->drive = (u8)drive;
	return true;
}

static bool parse_nested_pool(struct piece value, struct options *options)
{
	return parse_number(value, 1u << 20, &options->nested_pool);
}

/* Words with commas between them. */
static bool parse_nested_untested(struct piece value, struct options *options)
{
	u32 features = 0;

	if (equals(value, "all") || equals(value, "none")) {
		options->nested_untested = equals(value, "all") ? UNTESTED_ALL : 0;
		return true;
	}
	for (struct piece word = value, rest; word.text; word = rest) {
		int index;

		rest = cut_at_comma(&word);
		index = find(word, untested_words, UNTESTED_COUNT);
		if (index < 0)
			return false;
		features |= 1u << index;
	}
	if (!features)
		return false;
	options->nested_untested = features;
	return true;
}

static bool parse_wait(struct piece value, struct options *options)
{
	return parse_number(value, 3600, &options->wait);
}

static bool parse_mitigations(struct piece value, struct options *options)
{
	static const char *const names[] = {
		[MITIGATIONS_AUTO] = "auto",
		[MITIGATIONS_OFF] = "off",
		[MITIGATIONS_FORCE] = "force",
	};
	const int index = find(value, names, ARRAY_SIZE(names));

	if (index < 0)
		return false;
	options->mitigations = (enum mitigations)index;
	return true;
}

static bool parse_dma(struct piece value, struct options *options)
{
	static const char *const names[] = {
		[DMA_AUTO] = "auto",
		[DMA_PROTECT] = "protect",
		[DMA_PASS] = "pass",
	};
	const int index = find(value, names, ARRAY_SIZE(names));

	if (index < 0)
		return false;
	options->dma = (enum dma_mode)index;
	return true;
}

#define EITHER(name, no, yes, member)                                 \
	{                                                             \
		name, NULL, no, yes, offsetof(struct options, member) \
	}
#define SWITCH(name, member) EITHER(name, "off", "on", member)

static const struct option table[] = {
	{.name = "serial", .parse = parse_serial},
	{.name = "loglevel", .parse = parse_loglevel},
	SWITCH("verbose", verbose),
	{.name = "drive", .parse = parse_drive},
	SWITCH("nested", nested),
	SWITCH("nested.shadow", nested_shadow),
	{.name = "nested.pool", .parse = parse_nested_pool},
	{.name = "nested.untested", .parse = parse_nested_untested},
	SWITCH("microcode", microcode),
	SWITCH("hv-leaves", hv_leaves),
	SWITCH("stats", stats),
	EITHER("cpuid", "known", "all", cpuid_all),
	EITHER("hypervisor", "hide", "pass", hypervisor_pass),
	EITHER("efi", "keep", "end", efi_end),
	EITHER("on-refuse", "halt", "boot", refuse_boot),
	{.name = "wait", .parse = parse_wait},
	{.name = "dma", .parse = parse_dma},
	{.name = "mitigations", .parse = parse_mitigations},
};

struct text {
	char *buf;
	size_t size;
	size_t used; /* without the terminator */
};

static void append(struct text *t, const char *s, size_t length)
{
	for (size_t i = 0; i < length && t->used + 1 < t->size; i++) {
		/* The text goes to a terminal: no control character may come from outside. */
		t->buf[t->used++] = s[i] >= ' ' && s[i] <= '~' ? s[i] : '?';
	}
	if (t->size > 0)
		t->buf[t->used] = '\0';
}

static void complain(struct text *t, const char *what, struct piece word)
{
	if (t->used > 0)
		append(t, "; ", 2);
	append(t, what, strlen(what));
	append(t, " '", 2);
	append(t, word.text, word.length);
	append(t, "'", 1);
}

static const struct option *find_option(struct piece name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (equals(name, table[i].name))
			return &table[i];
	}
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

u32 cmdline_parse(const char *line, struct options *out, char *complaint, size_t size)
{
	struct text text = {.buf = complaint, .size = size};
	u32 complaints = 0;

	*out = defaults;
	append(&text, "", 0);
	while (*line != '\0') {
		struct piece word = {.text = line}, name, value = {0};
		const struct option *option;

		while (*line != '\0' && !is_blank(*line))
			line++;
		word.length = (size_t)(line - word.text);
		while (is_blank(*line))
			line++;
		if (word.length == 0)
			continue;

		name = word;
		for (size_t i = 0; i < word.length; i++) {
			if (word.text[i] == '=') {
				name.length = i;
				value.text = word.text + i + 1;
				value.length = word.length - i - 1;
				break;
			}
		}
		option = find_option(name);
		if (!option) {
			complain(&text, "unknown option", word);
			complaints++;
		} else if (!(option->parse ? option->parse(value, out)
					   : parse_either(option, value, out))) {
			complain(&text, "bad value in", word);
			complaints++;
		}
	}
	return complaints;
}
