/* SPDX-License-Identifier: BSD-2-Clause */
#include "console.h"

#include <x86/pc.h>

#include "insn.h"
#include "printf.h"
#include "string.h"

enum {
	COM1 = 0x3f8,
	/* A line that never drains must not stop the run. */
	UART_PATIENCE = 100000,
};

static volatile u16 *const vga = (volatile u16 *)VGA_TEXT;

static bool uart_present;
static unsigned column, row;
static int locked;

static void uart_init(void)
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

static void uart_put(char c)
{
	if (!uart_present)
		return;
	for (int i = 0; i < UART_PATIENCE && !(inb(COM1 + UART_LINE_STATUS) & UART_TX_EMPTY); i++)
		cpu_pause();
	outb(COM1, (u8)c);
}

static void vga_scroll(void)
{
	for (unsigned i = 0; i < VGA_COLUMNS * (VGA_ROWS - 1); i++)
		vga[i] = vga[i + VGA_COLUMNS];
	for (unsigned i = 0; i < VGA_COLUMNS; i++)
		vga[VGA_COLUMNS * (VGA_ROWS - 1) + i] = VGA_GREY | ' ';
	row = VGA_ROWS - 1;
}

static void vga_put(char c)
{
	if (c == '\n' || column == VGA_COLUMNS) {
		column = 0;
		row++;
	}
	if (row == VGA_ROWS)
		vga_scroll();
	if (c == '\n')
		return;
	vga[row * VGA_COLUMNS + column] = (u16)(VGA_GREY | (u8)c);
	column++;
}

static void put(void *unused, char c)
{
	(void)unused;
	if (c == '\n')
		uart_put('\r');
	uart_put(c);
	vga_put(c);
}

void console_init(void)
{
	uart_init();
	for (unsigned i = 0; i < VGA_COLUMNS * VGA_ROWS; i++)
		vga[i] = VGA_GREY | ' ';
}

void vprint(const char *format, va_list args)
{
	while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE))
		cpu_pause();
	print_format(put, NULL, format, args);
	__atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprint(format, args);
	va_end(args);
}
