/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the libraries preloaded into Bochs change its code: a site, which is some instruction found
 * inside an exported function, calls a mend instead, or a whole function is replaced.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, ANY = -1, JUMP_SIZE = 14 };

/* An instruction of Bochs's, or two, that call a mend instead. RBX is the CPU there. */
enum { SITE_SIZE = 7 };

struct site {
	void (*mend)();
	bool keep; /* and then do what stands there */
	const char *symbol;
	size_t length; /* of the function, or less */
	size_t pattern_size;
	int pattern[14];
	uint8_t *code;
};

static bool find(struct site *site)
{
	uint8_t *code = dlsym(RTLD_DEFAULT, site->symbol);

	for (size_t i = 0; code && i + site->pattern_size <= site->length; i++) {
		size_t j = 0;

		while (j < site->pattern_size &&
		       (site->pattern[j] == ANY || code[i + j] == site->pattern[j]))
			j++;
		if (j == site->pattern_size) {
			site->code = code + i;
			return true;
		}
	}
	return false;
}

/* Memory that a CALL in Bochs's code reaches. */
static uint8_t *map_cave(const uint8_t *near)
{
	for (uintptr_t at = ((uintptr_t)near & ~(uintptr_t)(PAGE - 1)) + (64 << 20);
	     at < (uintptr_t)near + (1 << 30); at += 16 << 20) {
		void *page = mmap((void *)at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (page == (void *)at)
			return page;
	}
	return NULL;
}

static uint8_t *put(uint8_t *cave, const void *code, size_t size)
{
	memcpy(cave, code, size);
	return cave + size;
}

static void change(uint8_t *code, const uint8_t *with, size_t size)
{
	uint8_t *page = (uint8_t *)((uintptr_t)code & ~(uintptr_t)(PAGE - 1));

	mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy(code, with, size);
	mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC);
}

/* The mend is called with all registers kept that a function may change. Returns the cave's end. */
static uint8_t *replace(const struct site *site, uint8_t *cave)
{
	static const uint8_t save[] = {0x50, 0x51, 0x52, 0x56, 0x57, 0x41, 0x50,
				       0x41, 0x51, 0x41, 0x52, 0x41, 0x53};
	static const uint8_t arguments[] = {0x48, 0x89, 0xdf, /* mov rdi, rbx */
					    0x44, 0x89, 0xee, /* mov esi, r13d */
					    0x48, 0xb8};      /* mov rax, mend */
	static const uint8_t call[] = {0xff, 0xd0};           /* call rax */
	static const uint8_t restore[] = {0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41,
					  0x58, 0x5f, 0x5e, 0x5a, 0x59, 0x58};
	static const uint8_t ret = 0xc3;
	const int32_t distance = (int32_t)(cave - (site->code + 5));
	uint8_t code[SITE_SIZE] = {0xe8, [5] = 0x90, 0x90};

	cave = put(cave, save, sizeof(save));
	cave = put(cave, arguments, sizeof(arguments));
	cave = put(cave, &site->mend, sizeof(site->mend));
	cave = put(cave, call, sizeof(call));
	cave = put(cave, restore, sizeof(restore));
	if (site->keep)
		cave = put(cave, site->code, SITE_SIZE);
	cave = put(cave, &ret, sizeof(ret));
	memcpy(code + 1, &distance, sizeof(distance));
	change(site->code, code, sizeof(code));
	return cave;
}

static void replace_function(const char *symbol, void (*with)())
{
	/* jmp [rip], and the address behind it */
	uint8_t jump[JUMP_SIZE] = {0xff, 0x25};
	uint8_t *function = dlsym(RTLD_DEFAULT, symbol);

	if (!function)
		return;
	memcpy(jump + 6, &with, sizeof(with));
	change(function, jump, sizeof(jump));
}

/*
 * Bochs ends every VM exit by a jump to the loop that runs the current CPU. In an exit by a SIPI
 * that is the sender: it does not come to the end of its instruction, and the other CPUs that a
 * broadcast is for never get it. SDM "Issuing Interprocessor Interrupts": the destination shorthand
 * "all excluding self" sends to all of them. So such an exit jumps no further than to here.
 */
static struct {
	void (*function)(void *cpu, unsigned int vector);
	jmp_buf *loop;
	uint8_t own[JUMP_SIZE];
} deliver_sipi;

static void deliver_sipi_to_the_end(void *cpu, unsigned int vector)
{
	uint8_t jump[JUMP_SIZE];
	jmp_buf loop;

	memcpy(jump, deliver_sipi.function, JUMP_SIZE);
	memcpy(loop, *deliver_sipi.loop, sizeof(loop));
	change((uint8_t *)deliver_sipi.function, deliver_sipi.own, JUMP_SIZE);
	if (!_setjmp(*deliver_sipi.loop))
		deliver_sipi.function(cpu, vector);
	change((uint8_t *)deliver_sipi.function, jump, JUMP_SIZE);
	memcpy(*deliver_sipi.loop, loop, sizeof(loop));
}

static void mend_sipi(void)
{
	static const char symbol[] = "_ZN8BX_CPU_C12deliver_SIPIEj";

	deliver_sipi.function = (void (*)(void *, unsigned int))dlsym(RTLD_DEFAULT, symbol);
	deliver_sipi.loop = dlsym(RTLD_DEFAULT, "_ZN8BX_CPU_C11jmp_buf_envE");
	if (!deliver_sipi.function || !deliver_sipi.loop)
		return;
	memcpy(deliver_sipi.own, deliver_sipi.function, JUMP_SIZE);
	replace_function(symbol, (void (*)())deliver_sipi_to_the_end);
}

/* SDM "Activity State". */
enum { WAIT_FOR_SIPI = 3, EVENT_INIT = 4 };

/* Of class BX_CPU_C, one behind the other. */
struct events {
	uint32_t activity_state;
	uint32_t pending;
	uint32_t mask;
	uint32_t look; /* before the next instruction */
};

static int32_t events_at;

static struct events *events_of(uint8_t *cpu)
{
	return (struct events *)(cpu + events_at);
}

/* In place of Bochs's own, which forgets an INIT that is masked. */
static void deliver_init(uint8_t *cpu)
{
	struct events *events = events_of(cpu);

	if (events->activity_state == WAIT_FOR_SIPI)
		return;
	events->pending |= EVENT_INIT;
	if (!(events->mask & EVENT_INIT))
		events->look = 1;
}

/* `mask_at`: where Bochs has the mask of events in BX_CPU_C. */
static void mend_init(int32_t mask_at)
{
	events_at = mask_at - (int32_t)offsetof(struct events, mask);
	replace_function("_ZN8BX_CPU_C12deliver_INITEv", (void (*)())deliver_init);
}
