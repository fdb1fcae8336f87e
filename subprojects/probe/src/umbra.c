/* SPDX-License-Identifier: BSD-2-Clause */
#include "umbra.h"

#include "probe.h"

struct umbra_answer umbra_ask(u64 token, u64 function, u64 first, u64 second)
{
	u64 rax = UMBRA_CALL, rbx = token, rcx = function, rdx = first, rsi = second, rdi = 0;
	register u64 r8 asm("r8") = 0;
	register u64 r9 asm("r9") = 0;
	register u64 r10 asm("r10") = 0;
	register u64 r11 asm("r11") = 0;
	register u64 r12 asm("r12") = 0;

	trap_arm();
	asm volatile("771: vmcall\n772:\n" EXTABLE(771b, 772b)
		     : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx), "+S"(rsi), "+D"(rdi), "+r"(r8),
		       "+r"(r9), "+r"(r10), "+r"(r11), "+r"(r12)
		     :
		     : "memory", "cc");
	struct umbra_answer answer = {
		.rax = rax,
		.result = {rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r12},
	};

	answer.fault = trap_taken();
	answer.known = !answer.fault.raised && rax != UMBRA_CALL && rax != UMBRA_ERROR;
	return answer;
}
