/* SPDX-License-Identifier: BSD-2-Clause */
/* What Umbra asks of the firmware while its boot services run, as the rest of boot/ likes it. */
#pragma once

#include "boot/efi.h"

struct efi_firmware {
	efi_handle image; /* the program that the firmware started: Umbra, or GRUB */
	struct efi_system_table *system;
	struct efi_boot_services *services;
};

/* Set once, before anything else here. */
extern struct efi_firmware firmware;

/* A console for log_set_console(): on screen and, if it is set up so, on a serial port. */
void firmware_write(const char *text, size_t n);

/* Memory that goes back to the firmware when the operating system takes over. Never NULL. */
void *firmware_buffer(u64 size);

/* The same in whole pages; a physical address, at most `last`. */
paddr_t firmware_pages(u64 size, paddr_t last);

/* NULL: the handle does not have it, or no handle does. */
void *firmware_protocol(efi_handle handle, const struct efi_guid *guid);
void *firmware_any_protocol(const struct efi_guid *guid);

/* A variable of the boot manager's; the buffer is the firmware's. NULL: there is none. */
void *firmware_variable(const char *name, u64 *size);

/*
 * A file of the device's file system as a buffer of the firmware's, with its size. False: there is
 * none. What cannot be read ends in fail().
 */
bool firmware_read_file(efi_handle device, const char *name, paddr_t *data, u64 *size);

/*
 * Adds a hash of the data to a PCR of the TPM and to the event log, with `name` as the event's
 * text. Without a TPM nothing happens.
 */
void firmware_measure(u32 pcr, const char *name, paddr_t data, u64 size);

/* ASCII to UTF-16, cut to `capacity` characters with the end. */
void efi_widen(efi_char *to, size_t capacity, const char *text);
