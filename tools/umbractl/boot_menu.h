/* SPDX-License-Identifier: BSD-2-Clause */
/* What `umbractl try` reads and writes: GRUB's menu, settings, how this system came up. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Umbra's smallest home is larger; what firmware takes differs less from start to start. */
static const uint64_t UMBRA_SMALLEST = 1 << 20;

/* How the system came up, as far as that can be told. */
enum start {
	START_UMBRA,
	START_REFUSED, /* Umbra was started, and has started the kernel without itself */
	START_PLAIN,
};

struct system_seen {
	bool umbra_shows_itself; /* by CPUID; with hv-leaves=off it does not */
	const char *command_line;
	uint64_t memory;        /* bytes of RAM that the kernel was told of */
	uint64_t memory_before; /* the same in a start without Umbra */
};

enum start start_of(const struct system_seen *seen);

/* Is the word one of the text's, or with `begins` the beginning of one? */
bool text_has_word(const char *text, const char *word, bool begins);

/* The name of the first entry under Umbra in a grub.cfg; false: there is none. */
bool menu_first_umbra(const char *config, char *name, size_t size);

/* GRUB forgets an entry for one start only where it can write; as grub-probe names the two. */
bool grub_can_write(const char *abstraction, const char *file_system);

/* Settings in the syntax of a shell, with this one as the last and only one of its name. */
void settings_write(FILE *out, const char *settings, const char *name, const char *value);
