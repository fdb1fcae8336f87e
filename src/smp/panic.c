/* SPDX-License-Identifier: BSD-2-Clause */
#include "smp/panic.h"

#include <stdarg.h>

#include "lib/format.h"
#include "lib/insn.h"
#include "lib/log.h"
#include "mm/layout.h"
#include "smp/cpu.h"
#include "smp/stop.h"

static bool panicking;

/* What vmx knows of the guest; set once, at boot. */
static void (*show_guest)(void);

static void (*fail_way_out)(void);

/* Only the first CPU to panic speaks; a second panic on the way gives up at once. */
static void begin(void)
{
	stop_others();
	if (panicking)
		cpu_halt_forever();
	panicking = true;
	log_seize();
	log_show_hidden();
}

_Noreturn static void end(void)
{
	log_error("Umbra has stopped. This is a bug of Umbra's: please report the lines above.");
	if (fail_way_out)
		fail_way_out();
	cpu_halt_forever();
}

static bool is_stack(u64 frame)
{
	return frame >= DIRECT_BASE && !(frame & 7);
}

/* By frame pointers, which the whole image keeps; `umbra symbolize` turns addresses into names. */
static void backtrace(u64 rip, u64 rbp)
{
	enum { DEPTH = 32 };

	log_error("backtrace (resolve with: umbra symbolize):");
	for (u32 i = 0; i < DEPTH; i++) {
		log_error("  [<%016lx>]", rip);
		if (!is_stack(rbp))
			return;
		rip = ((const u64 *)rbp)[1];
		rbp = ((const u64 *)rbp)[0];
		if (rip < IMAGE_BASE)
			return;
	}
}

void panic_show_registers(const struct guest_regs *r)
{
	static const char *const names[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "---", "rbp",
						     "rsi", "rdi", "r8 ", "r9 ", "r10", "r11",
						     "r12", "r13", "r14", "r15"};

	for (u32 i = 0; i < GPR_COUNT; i += 2)
		log_error("  %s %016lx  %s %016lx", names[i], r->gpr[i], names[i + 1],
			  r->gpr[i + 1]);
}

void panic_set_guest_view(void (*show)(void))
{
	show_guest = show;
}

void panic_show_guest(void)
{
	if (show_guest && this_cpu_ready())
		show_guest();
}

_Noreturn void panic(const char *format, ...)
{
	char text[200];
	va_list args;

	begin();
	va_start(args, format);
	fmt_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("PANIC: %s", text);
	panic_show_guest();
	backtrace((u64)__builtin_return_address(0), (u64)__builtin_frame_address(0));
	end();
}

_Noreturn void panic_trap(const struct trap_frame *f)
{
	begin();
	log_error("PANIC: exception %lu, error code %#lx, in Umbra itself", f->vector,
		  f->error_code);
	log_error("  rip %016lx  rsp %016lx  rflags %#lx  cr2 %016lx", f->rip, f->rsp, f->rflags,
		  read_cr2());
	panic_show_registers(&f->regs);
	backtrace(f->rip, f->regs.rbp);
	panic_show_guest();
	end();
}

void fail_set_way_out(void (*way_out)(void))
{
	fail_way_out = way_out;
}

_Noreturn void fail(const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	fmt_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s", text);
	if (fail_way_out)
		fail_way_out();
	log_error("stopped; restart the machine.");
	cpu_halt_forever();
}
