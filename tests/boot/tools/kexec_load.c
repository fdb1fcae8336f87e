/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts another kernel: kexec_load KERNEL INITRD COMMAND-LINE; with "crash" behind it only loads
 * that kernel, for a panic. See kexec_file_load(2).
 */
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const int crash = argc == 5 && strcmp(argv[4], "crash") == 0;
	int kernel, initrd;

	if (argc != 4 && !crash) {
		fprintf(stderr, "usage: kexec_load KERNEL INITRD COMMAND-LINE [crash]\n");
		return 2;
	}
	kernel = open(argv[1], O_RDONLY);
	initrd = open(argv[2], O_RDONLY);
	if (kernel < 0 || initrd < 0 ||
	    syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3],
		    crash ? (unsigned long)KEXEC_FILE_ON_CRASH : 0ul)) {
		perror("kexec_file_load");
		return 1;
	}
	if (crash)
		return 0;
	sync();
	reboot((int)LINUX_REBOOT_CMD_KEXEC);
	perror("kexec");
	return 1;
}
