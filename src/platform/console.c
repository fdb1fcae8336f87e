/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/console.h"

#include <screen/screen.h>
#include <x86/pc.h>

#include "lib/insn.h"
#include "mm/layout.h"

static struct {
	u16 port;
	struct screen screen;
} console;

void console_init_serial(u16 port, u32 baud)
{
	u32 divisor = baud ? UART_CLOCK / baud : 1;

	console.port = port;
	if (!port)
		return;
	outb((u16)(port + UART_INTERRUPT_ENABLE), 0);
	outb((u16)(port + UART_LINE_CONTROL), UART_DLAB);
	outb((u16)(port + UART_DIVISOR_LOW), (u8)divisor);
	outb((u16)(port + UART_DIVISOR_HIGH), (u8)(divisor >> 8));
	outb((u16)(port + UART_LINE_CONTROL), UART_8N1);
	outb((u16)(port + UART_FIFO_CONTROL), UART_FIFO_CLEAR);
	outb((u16)(port + UART_MODEM_CONTROL), UART_DTR_RTS);
}

static void serial_putc(char c)
{
	/*
	 * A missing port reads ff, which looks ready; a stuck one must not stop Umbra. It is waited
	 * for once, not for each character of a report: the guest may have left it so on purpose.
	 */
	static bool stuck;
	u32 tries = stuck ? 1 : 100000;

	while (tries && !(inb((u16)(console.port + UART_LINE_STATUS)) & UART_TX_EMPTY)) {
		cpu_pause();
		tries--;
	}
	stuck = !tries;
	outb((u16)(console.port + UART_DATA), (u8)c);
}

void console_init_screen(const struct framebuffer *fb, bool mapped)
{
	screen_init(&console.screen, fb, (u64)phys_to_virt(0), mapped ? ~0ull : 4 * GIB);
}

struct range console_screen_memory(void)
{
	if (console.screen.kind != SCREEN_PIXELS)
		return (struct range){0};
	return framebuffer_memory(&console.screen.fb);
}

void console_write(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (console.port) {
			if (text[i] == '\n')
				serial_putc('\r');
			serial_putc(text[i]);
		}
		screen_put(&console.screen, text[i]);
	}
}
