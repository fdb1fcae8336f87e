/* SPDX-License-Identifier: BSD-2-Clause */
#include "console.h"

#include "insn.h"
#include "printf.h"
#include "string.h"

enum {
	COM1 = 0x3f8,
	UART_IER = COM1 + 1,
	UART_FCR = COM1 + 2,
	UART_LCR = COM1 + 3,
	UART_MCR = COM1 + 4,
	UART_LSR = COM1 + 5,
	LCR_8N1 = 0x03,
	LCR_DLAB = 0x80,
	LSR_THR_EMPTY = 0x20,
	/* A line that never drains must not stop the run. */
	UART_PATIENCE = 100000,
	VGA_COLUMNS = 80,
	VGA_ROWS = 25,
	VGA_GREY = 0x0700,
};

static volatile u16 *const vga = (volatile u16 *)0xb8000;

static bool uart_present;
static unsigned column, row;
static int locked;

static void uart_init(void)
{
	if (inb(UART_LSR) == 0xff)
		return;
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_DLAB);
	outb(COM1, 1);
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_8N1);
	outb(UART_FCR, 7);
	outb(UART_MCR, 3);
	uart_present = true;
}

static void uart_put(char c)
{
	if (!uart_present)
		return;
	for (int i = 0; i < UART_PATIENCE && !(inb(UART_LSR) & LSR_THR_EMPTY); i++)
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
