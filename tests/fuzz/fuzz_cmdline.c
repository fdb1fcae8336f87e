/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "boot/cmdline.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	size_t room = size > 0 ? data[0] : 0;
	char *line = malloc(size + 1), *complaint = malloc(room ? room : 1);
	struct options options;
	u32 complaints;

	memcpy(line, data, size);
	line[size] = '\0';
	complaints = cmdline_parse(line, &options, complaint, room);
	if (room > 0) {
		if (strlen(complaint) >= room ||
		    (complaint[0] != '\0') != (complaints > 0 && room > 1))
			abort();
		for (const char *c = complaint; *c; c++) {
			if (*c < ' ' || *c > '~')
				abort();
		}
	}
	if (options.serial_baud < 2 || 115200 % options.serial_baud != 0 ||
	    options.serial_port > 0xfff8 || options.log_level > LOG_LEVEL_DEBUG)
		abort();
	free(complaint);
	free(line);
	return 0;
}
