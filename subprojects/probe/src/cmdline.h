/* SPDX-License-Identifier: BSD-2-Clause */
/* Options on the command line: words and name=value, parted by spaces. Unknown ones are ignored. */
#pragma once

#include <x86/types.h>

/* The command line all later calls read; it must stay. */
void cmdline_set(const char *text);

/* True if the word name stands there alone. */
bool cmdline_flag(const char *name);

/* The text after name=, up to a space, copied to out[size]; "" and false if absent. */
bool cmdline_value(const char *name, char *out, size_t size);

/* The number after name=, decimal or 0x…; fallback if absent. */
u64 cmdline_number(const char *name, u64 fallback);

/* name=0xSTART-0xEND, whole pages and at least one; false if absent or something else. */
bool cmdline_range(const char *name, u64 *start, u64 *end);

/* Reads a number at *p, moves *p past it. */
u64 parse_number(const char **p);

/*
 * True if name matches one of the comma-separated patterns, with '*' and '?'. A pattern without
 * wildcards also names the whole group below it: "cpuid" is "cpuid" and "cpuid.*".
 * explicit_only: a '*' or '?' counts only after the first letter of the case's own name, so that
 * "*" and "smp.*" do not select what must be asked for.
 */
bool glob_list_match(const char *patterns, const char *name, bool explicit_only);
