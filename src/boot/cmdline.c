/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/cmdline.h"

#include "boot/piece.h"
#include "lib/string.h"
#include "nested/untested.h"

struct option {
	const char *name;
	/* Store the value into *options, or return false and leave it as it was. */
	bool (*parse)(struct piece value, struct options *options);
	/* Without a function: a u8 or bool of struct options tells which of these words it is, … */
	const char *const *words;
	u32 word_count;
	/* … or a u32 is the number, at most `max`. */
	u32 max;
	size_t member;
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

static bool parse_number(struct piece p, u32 max, u32 *out)
{
	u32 base = 10;
	u64 value = 0;

	if (p.length > 2 && p.text[0] == '0' && (p.text[1] == 'x' || p.text[1] == 'X')) {
		base = 16;
		p.text += 2;
		p.length -= 2;
	}
	if (p.length == 0)
		return false;
	for (size_t i = 0; i < p.length; i++) {
		const u32 digit = digit_value(p.text[i]);

		if (digit >= base)
			return false;
		value = value * base + digit;
		if (value > max)
			return false;
	}
	*out = (u32)value;
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
		if (piece_equals(p, known[i].name)) {
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

static bool parse_serial(struct piece value, struct options *options)
{
	struct piece name = value, speed;
	u32 baud = defaults.serial_baud;
	u16 port;

	if (piece_equals(value, "none")) {
		options->serial_port = 0;
		return true;
	}
	speed = piece_cut(&name, ',');
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
		if (piece_equals(word, names[i]))
			return (int)i;
	}
	return -1;
}

/* Words with commas between them. */
static bool parse_nested_untested(struct piece value, struct options *options)
{
	u32 features = 0;

	if (piece_equals(value, "all") || piece_equals(value, "none")) {
		options->nested_untested = piece_equals(value, "all") ? UNTESTED_ALL : 0;
		return true;
	}
	for (struct piece word = value, rest; word.text; word = rest) {
		int index;

		rest = piece_cut(&word, ',');
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

/* In the order of an enumeration; of bools "no" comes first. */
#define WORDS(option, field, ...)                                               \
	{                                                                       \
		.name = option, .words = (const char *const[]){__VA_ARGS__},    \
		.word_count = ARRAY_SIZE(((const char *const[]){__VA_ARGS__})), \
		.member = offsetof(struct options, field)                       \
	}
#define SWITCH(option, field) WORDS(option, field, "off", "on")
#define NUMBER(option, field, limit)                                                    \
	{                                                                               \
		.name = option, .max = limit, .member = offsetof(struct options, field) \
	}

static const struct option table[] = {
	{.name = "serial", .parse = parse_serial},
	WORDS("loglevel", log_level, "error", "warn", "info", "debug"),
	SWITCH("verbose", verbose),
	NUMBER("drive", drive, 0xff),
	SWITCH("nested", nested),
	SWITCH("nested.shadow", nested_shadow),
	NUMBER("nested.pool", nested_pool, 1 << 20),
	{.name = "nested.untested", .parse = parse_nested_untested},
	SWITCH("microcode", microcode),
	SWITCH("hv-leaves", hv_leaves),
	SWITCH("stats", stats),
	WORDS("cpuid", cpuid_all, "known", "all"),
	WORDS("hypervisor", hypervisor_pass, "hide", "pass"),
	WORDS("efi", efi_end, "keep", "end"),
	WORDS("on-refuse", refuse_boot, "halt", "boot"),
	NUMBER("wait", wait, 3600),
	WORDS("dma", dma, "auto", "protect", "pass"),
	WORDS("mitigations", mitigations, "auto", "off", "force"),
};

static bool parse_value(const struct option *option, struct piece value, struct options *options)
{
	u8 *const member = (u8 *)options + option->member;
	int index;

	if (option->parse)
		return option->parse(value, options);
	if (!option->words)
		return parse_number(value, option->max, (u32 *)(void *)member);
	/* A switch alone is on. */
	if (!value.text)
		value = (struct piece){"on", 2};
	index = find(value, option->words, option->word_count);
	if (index < 0)
		return false;
	*member = (u8)index;
	return true;
}

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
		if (piece_equals(name, table[i].name))
			return &table[i];
	}
	return NULL;
}

/* Cuts the first word off; of no length at the end. */
static struct piece next_word(struct piece *line)
{
	struct piece word = piece_trim(*line);
	size_t length = 0;

	while (length < word.length && !is_blank(word.text[length]))
		length++;
	*line = (struct piece){word.text + length, word.length - length};
	word.length = length;
	return word;
}

u32 cmdline_parse(const char *line, struct options *out, char *complaint, size_t size)
{
	struct text text = {.buf = complaint, .size = size};
	struct piece rest = {line, strlen(line)}, word;
	u32 complaints = 0;

	*out = defaults;
	append(&text, "", 0);
	while ((word = next_word(&rest)).length) {
		struct piece name = word;
		const struct piece value = piece_cut(&name, '=');
		const struct option *option = find_option(name);

		if (option && parse_value(option, value, out))
			continue;
		complain(&text, option ? "bad value in" : "unknown option", word);
		complaints++;
	}
	return complaints;
}
