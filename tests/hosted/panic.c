/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a hosted test: what would be a panic of Umbra's is its failure. */
#include <stdarg.h>

#include "lib/log.h"
#include "machine.h"
#include "smp/panic.h"
#include "smp/stop.h"
#include "vmx/vmcs.h"

static _Noreturn void stop(const char *what, const char *format, va_list args)
{
	fprintf(stderr, "%s: ", what);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	abort();
}

_Noreturn void panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	stop("panic", format, args);
}

_Noreturn void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	stop("fail", format, args);
}

/* Nobody stops the simulated CPUs but tests with a function of their own. */
__attribute__((weak)) _Noreturn void stop_here(void)
{
	MACHINE_FAIL("the CPU stops for another one");
}

__attribute__((weak)) void stop_as_asked(void)
{
	MACHINE_FAIL("the CPU stops for another one");
}

/* The test of what ends so has its own. */
__attribute__((weak)) _Noreturn void cpu_halt_forever(void)
{
	MACHINE_FAIL("the CPU halts for ever");
}

_Noreturn void vmcs_access_failed(u32 field, bool write)
{
	MACHINE_FAIL("%s of field %#x failed", write ? "VMWRITE" : "VMREAD", field);
}

_Noreturn void vmcs_switch_failed(paddr_t vmcs)
{
	MACHINE_FAIL("VMPTRLD or VMCLEAR of %#llx failed", (unsigned long long)vmcs);
}

void log_line(enum log_level level, const char *format, ...)
{
	(void)level;
	(void)format;
}
