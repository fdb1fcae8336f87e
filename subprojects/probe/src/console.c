/* SPDX-License-Identifier: BSD-2-Clause */
#include "console.h"

#include <screen/screen.h>
#include <x86/paging.h>
#include <x86/pc.h>

#include "insn.h"
#include "keep.h"
#include "memory.h"
#include "printf.h"

enum {
	COM1 = 0x3f8,
	/* A line that never drains must not stop the run. */
	UART_PATIENCE = 100000,
};

static bool uart_present;
static struct screen screen;
static int locked;

void console_init(void)
{
	if (inb(COM1 + UART_LINE_STATUS) == 0xff)
		return;
	outb(COM1 + UART_INTERRUPT_ENABLE, 0);
	outb(COM1 + UART_LINE_CONTROL, UART_DLAB);
	outb(COM1, 1);
	outb(COM1 + UART_INTERRUPT_ENABLE, 0);
	outb(COM1 + UART_LINE_CONTROL, UART_8N1);
	outb(COM1 + UART_FIFO_CONTROL, UART_FIFO_CLEAR);
	outb(COM1 + UART_MODEM_CONTROL, UART_DTR_RTS);
	uart_present = true;
}

void console_init_screen(const struct framebuffer *fb)
{
	u64 direct_map = 0;

	/* Above 4 GiB, as firmware puts it where it decodes devices there, too: not mapped yet. */
	if (fb && fb->type == FRAMEBUFFER_RGB) {
		const u64 start = ALIGN_DOWN(fb->addr, LARGE_PAGE);
		const u64 end = ALIGN_UP(fb->addr + (u64)fb->pitch * fb->height, LARGE_PAGE);

		memory_map(SCREEN_WINDOW, start, end - start, LARGE_PAGE, PTE_P | PTE_W);
		direct_map = SCREEN_WINDOW - start;
	}
	screen_init(&screen, fb, direct_map, ~0ull);
	screen_clear(&screen);
}

void console_clear(void)
{
	screen_clear(&screen);
}

static void uart_put(char c)
{
	if (!uart_present)
		return;
	for (int i = 0; i < UART_PATIENCE && !(inb(COM1 + UART_LINE_STATUS) & UART_TX_EMPTY); i++)
		cpu_pause();
	outb(COM1, (u8)c);
}

bool console_typed(void)
{
	if (!uart_present || !(inb(COM1 + UART_LINE_STATUS) & UART_RX_READY))
		return false;
	inb(COM1 + UART_DATA);
	return true;
}

static void put(void *unused, char c)
{
	(void)unused;
	if (c == '\n')
		uart_put('\r');
	uart_put(c);
	screen_put(&screen, c);
	keep_put(c);
}

void vprint(const char *format, va_list args)
{
	while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE))
		cpu_pause();
	print_format(put, NULL, format, args);
	keep_message_end();
	__atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprint(format, args);
	va_end(args);
}
