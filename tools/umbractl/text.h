/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers for people. Pure; each gives back its buffer. */
#pragma once

#include <stdint.h>

struct text {
	char of[32];
};

/* 0.25, 12, 1,234, 999,999, 1.2M, 3.4G: at most 7 characters; NaN and less than 0 are 0. */
struct text text_rate(double rate);

/* A time on an axis: 0, 0.25, 7.5, 12. */
struct text text_seconds(double seconds);

/* The whole number, by thousands: 1,234,567. */
struct text text_count(uint64_t count);

/* 1:02:03, or 4d 1:02:03. */
struct text text_duration(double seconds);

/* 512 bytes, 64 KiB, 2.5 MiB. */
struct text text_size(uint64_t bytes);
