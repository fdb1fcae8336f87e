/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Has QEMU's edu device (docs/specs/edu.rst there) write to the physical address given, which is
 * Umbra's, and asks Umbra (option `stats`) whether that was refused.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <qemu/edu.h>
#include <umbra/interface.h>

enum {
	EDU_SIZE = 1 << 20,
};

struct answer {
	uint64_t result[UMBRA_RESULTS];
};

static struct answer ask(enum umbra_function function)
{
	struct answer a = {{0}};

	umbra_call(0, function, 0, 0, a.result);
	return a;
}

static int in_directory(const char *device, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", device, name);
	return open(path, O_RDWR | O_SYNC);
}

/* The registers of the device in this directory of sysfs, if it is one; it may use memory then. */
static volatile uint8_t *open_edu(const char *device)
{
	const int config = in_directory(device, "config");
	uint32_t id = 0;
	uint16_t command = 0;
	void *registers;

	if (config < 0 || pread(config, &id, sizeof(id), 0) != sizeof(id) || id != EDU_ID)
		return NULL;
	if (pread(config, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		return NULL;
	command |= PCI_MEMORY_AND_MASTER;
	if (pwrite(config, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		return NULL;
	registers = mmap(NULL, EDU_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 in_directory(device, "resource0"), 0);
	return registers == MAP_FAILED ? NULL : registers;
}

static volatile uint8_t *find_edu(void)
{
	volatile uint8_t *edu = NULL;
	glob_t devices;

	if (glob("/sys/bus/pci/devices/*", 0, NULL, &devices))
		return NULL;
	for (size_t i = 0; i < devices.gl_pathc && !edu; i++)
		edu = open_edu(devices.gl_pathv[i]);
	return edu;
}

static void wait_a_little(void)
{
	usleep(10000);
}

int main(int count, char **arguments)
{
	volatile uint8_t *const edu = find_edu();
	const struct answer before = ask(UMBRA_ASK_DMA), integrity = ask(UMBRA_ASK_INTEGRITY);
	struct answer dma, now;

	if (count != 2 || !edu) {
		printf("DMA: no device, or no address\n");
		return 1;
	}
	edu_transfer(edu, EDU_BUFFER, strtoull(arguments[1], NULL, 16), EDU_CHUNK, EDU_TO_MEMORY,
		     wait_a_little);
	dma = ask(UMBRA_ASK_DMA);
	now = ask(UMBRA_ASK_INTEGRITY);
	printf("DMA: %llu units, %llu faults, %llu words changed\n",
	       (unsigned long long)dma.result[0],
	       (unsigned long long)(dma.result[1] - before.result[1]),
	       (unsigned long long)now.result[2]);
	return !(dma.result[0] && dma.result[1] > before.result[1] &&
		 now.result[0] == integrity.result[0] && !now.result[2]);
}
