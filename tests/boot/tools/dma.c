/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Has QEMU's edu device (docs/specs/edu.rst there) write to the physical address given, which is
 * Umbra's, and asks Umbra (option `stats`, src/vmx/statistics.h) whether that was refused.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <qemu/edu.h>

enum {
	STATISTICS_CHECK = 7,
	STATISTICS_DMA = 8,
	EDU_SIZE = 1 << 20,
};

struct answer {
	uint64_t rax, rbx, rdx;
};

static struct answer ask(uint64_t function)
{
	struct answer a = {.rax = 0x6172626d75};

	__asm__ volatile("vmcall" : "+a"(a.rax), "+b"(a.rbx), "+d"(a.rdx) : "c"(function));
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
	const struct answer before = ask(STATISTICS_DMA), integrity = ask(STATISTICS_CHECK);
	struct answer dma, now;

	if (count != 2 || !edu) {
		printf("DMA: no device, or no address\n");
		return 1;
	}
	edu_transfer(edu, EDU_BUFFER, strtoull(arguments[1], NULL, 16), EDU_CHUNK, EDU_TO_MEMORY,
		     wait_a_little);
	dma = ask(STATISTICS_DMA);
	now = ask(STATISTICS_CHECK);
	printf("DMA: %llu units, %llu faults, %llu words changed\n", (unsigned long long)dma.rax,
	       (unsigned long long)(dma.rbx - before.rbx), (unsigned long long)now.rdx);
	return !(dma.rax && dma.rbx > before.rbx && now.rax == integrity.rax && !now.rdx);
}
