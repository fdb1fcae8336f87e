/* SPDX-License-Identifier: BSD-2-Clause */
/* Short fixed-width names, as the field writes them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

/* A host-physical address; under Umbra's identity map also the guest-physical one. */
typedef u64 paddr_t;

#define BIT(n)           (1ull << (n))
#define BITS(hi, lo)     ((~0ull >> (63 - (hi))) & (~0ull << (lo)))
#define ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN_UP(x, a)   ALIGN_DOWN((x) + (__typeof__(x))(a)-1, a)

static inline bool is_power_of_two(u64 x)
{
	return x && !(x & (x - 1));
}

static const u64 KIB = 1ull << 10;
static const u64 MIB = 1ull << 20;
static const u64 GIB = 1ull << 30;

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
