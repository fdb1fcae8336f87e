/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run's text, kept where a reset that is not a power failure usually leaves memory alone:
 * keep=0xSTART-0xEND (include/probe/kept.h says how). It is complete after each message, so that a
 * run that hangs is kept as far as it came.
 */
#pragma once

#include <x86/types.h>

/*
 * Reads the command line, and sets keep='s pages and those of spare=0xSTART-0xEND apart from all
 * other use. Call before memory_init() and before the first message that shall be kept. False if
 * keep= is no free memory: nothing is kept then.
 */
bool keep_init(void);

/* The console's: one character, and the end of a message. */
void keep_put(char c);
void keep_message_end(void);

/* Nothing more is kept or counted. */
void keep_end(void);

/* Of the text so far, kept or not. */
u64 keep_digest(void);

/* Its bytes; 0: none are kept. */
u64 keep_length(void);
