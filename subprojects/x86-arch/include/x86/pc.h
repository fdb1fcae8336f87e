/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O ports of a PC: its 16550, timer, and what resets it. */
#pragma once

#include <x86/types.h>

/* 16550: registers as offsets from its port, and their bits. */
enum {
	UART_DATA = 0,
	UART_DIVISOR_LOW = 0, /* these two with UART_DLAB */
	UART_DIVISOR_HIGH = 1,
	UART_INTERRUPT_ENABLE = 1,
	UART_FIFO_CONTROL = 2,
	UART_LINE_CONTROL = 3,
	UART_MODEM_CONTROL = 4,
	UART_LINE_STATUS = 5,

	UART_FIFO_CLEAR = 0x07,
	UART_8N1 = 0x03,
	UART_DLAB = 0x80,
	UART_DTR_RTS = 0x03,
	UART_RX_READY = 0x01,
	UART_TX_EMPTY = 0x20,
	UART_CLOCK = 115200,
};

/* 8254, and the port whose bits gate its second channel. */
enum {
	PIT_HZ = 1193182,
	PIT_CHANNEL2 = 0x42,
	PIT_COMMAND = 0x43,
	PIT_CHANNEL2_ONE_SHOT = 0xb0, /* both bytes, mode 0: OUT rises when the count ends */
	PIT_LATCH_CHANNEL2 = 0x80,
	SYSTEM_CONTROL_B = 0x61,
	GATE_CHANNEL2 = 0x01,
	SPEAKER = 0x02,
	OUT_CHANNEL2 = 0x20,
};

enum {
	RESET_CONTROL_PORT = 0xcf9,
	RESET_CONTROL_HARD = 0x02,
	RESET_CONTROL_GO = 0x06,
	KEYBOARD_COMMAND_PORT = 0x64,
	KEYBOARD_PULSE_RESET = 0xfe,
	PCI_CONFIG_ADDRESS = 0xcf8,
	PCI_CONFIG_DATA = 0xcfc,
};
static const u32 PCI_CONFIG_ENABLE = 1u << 31;

/* VGA text: its memory, and its usual mode. */
enum { VGA_TEXT = 0xb8000, VGA_COLUMNS = 80, VGA_ROWS = 25, VGA_GREY = 0x0700 };
