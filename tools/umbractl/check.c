/* SPDX-License-Identifier: BSD-2-Clause */
/* Can this machine run Umbra? Works in plain Linux. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <x86/cpuid.h>
#include <x86/insn.h>

#include "advice.h"
#include "commands.h"
#include "cpu.h"
#include "json.h"
#include "offer_print.h"
#include "umbra.h"

enum { FINDINGS_MAX = 40 };

static const u32 LEAF_EXTENDED_FEATURES = 0x80000001;
#define EXTENDED_EDX_LONG_MODE BIT(29)

struct findings {
	unsigned int count;
	struct {
		enum verdict verdict;
		char what[120];
		const char *advice;
	} of[FINDINGS_MAX];
};

static void add(void *context, enum verdict verdict, const char *what, const char *advice)
{
	struct findings *findings = context;

	if (findings->count == FINDINGS_MAX)
		return;
	findings->of[findings->count].verdict = verdict;
	snprintf(findings->of[findings->count].what, sizeof(findings->of[0].what), "%s", what);
	findings->of[findings->count++].advice = advice;
}

static bool exists(const char *path)
{
	struct stat unused;

	return stat(path, &unused) == 0;
}

/* The beginning of a file, as a string. */
static ssize_t read_file(const char *path, char *buffer, size_t size)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, buffer, size - 1);

	if (fd >= 0)
		close(fd);
	buffer[got > 0 ? got : 0] = '\0';
	return got;
}

/* Four bytes of attributes, and the value. */
static bool secure_boot_is_on(void)
{
	char value[8];

	return read_file("/sys/firmware/efi/efivars/"
			 "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
			 value, sizeof(value)) == 5 &&
	       value[4] == 1;
}

static bool vtd_is_there(bool umbra)
{
	uint64_t dma[UMBRA_RESULTS] = {0};

	if (umbra && umbra_ask(UMBRA_ASK_DMA, 0, 0, dma, NULL) && dma[0])
		return true;
	return exists("/sys/firmware/acpi/tables/DMAR");
}

static struct machine look(bool umbra)
{
	const struct cpuid vendor = cpuid(0, 0), features = cpuid(1, 0);
	struct machine m = {
		.intel = vendor.ebx == 0x756e6547 && vendor.edx == 0x49656e69 &&
			 vendor.ecx == 0x6c65746e, /* "GenuineIntel" */
		.long_mode = cpuid(LEAF_EXTENDED_FEATURES, 0).edx & EXTENDED_EDX_LONG_MODE,
		.hypervisor = features.ecx & CPUID_1_ECX_HYPERVISOR,
		.umbra = umbra_find(),
		.cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN),
		.cpus_possible = (unsigned int)sysconf(_SC_NPROCESSORS_CONF),
		.rdrand = features.ecx & CPUID_1_ECX_RDRAND,
		.vtd = vtd_is_there(umbra),
		.efi = exists("/sys/firmware/efi"),
		.secure_boot = secure_boot_is_on(),
	};
	char kinds[128];

	m.sleeps_to_ram = read_file("/sys/power/mem_sleep", kinds, sizeof(kinds)) > 0 &&
			  strstr(kinds, "deep");
	m.why_unknown = cpu_capabilities(umbra, &m.capabilities);
	m.capabilities_known = !m.why_unknown;
	return m;
}

static void print_json(enum verdict verdict, const struct findings *findings,
		       const struct offer *offers, unsigned int count)
{
	struct json json = {.out = stdout};

	json_open(&json, NULL, '{');
	json_string(&json, "verdict", verdict_name(verdict));
	json_open(&json, "findings", '[');
	for (unsigned int i = 0; i < findings->count; i++) {
		json_open(&json, NULL, '{');
		json_string(&json, "verdict", verdict_name(findings->of[i].verdict));
		json_string(&json, "what", findings->of[i].what);
		json_string(&json, "advice", findings->of[i].advice);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	if (count)
		offers_json(&json, "nested", offers, count);
	json_close(&json, '}');
}

static void print_text(enum verdict verdict, const struct findings *findings,
		       const struct offer *offers, unsigned int count)
{
	static const char *const conclusion[] = {
		[VERDICT_GOOD] = "Umbra can run on this machine.",
		[VERDICT_MISSING] = "Umbra cannot run on this machine.",
		[VERDICT_UNKNOWN] = "It is not known whether Umbra can run on this machine.",
	};

	for (unsigned int i = 0; i < findings->count; i++) {
		printf("%-8s %s\n", verdict_name(findings->of[i].verdict), findings->of[i].what);
		if (*findings->of[i].advice)
			printf("%8s -> %s\n", "", findings->of[i].advice);
	}
	if (count) {
		fputs("\nNested VMX: its guest is offered ", stdout);
		offers_print(stdout, offers, count);
	}
	printf("\n%s\n", conclusion[verdict]);
}

int check_run(const struct request *request)
{
	const bool umbra = umbra_try() == CODE_OK;
	const struct machine m = look(umbra);
	struct offer offers[OFFERS_MAX];
	struct findings findings = {0};
	unsigned int count = 0;
	enum verdict verdict;

	verdict = advise(&m, add, &findings);
	if (m.capabilities_known && m.capabilities.has_vmx) {
		const struct vmx_capabilities guest =
			offers_foresee(&m.capabilities, cpu_maxphyaddr());

		count = offers_make(&m.capabilities, &guest, offers);
	}
	(request->json ? print_json : print_text)(verdict, &findings, offers, count);
	if (verdict == VERDICT_UNKNOWN && geteuid() != 0)
		return CODE_NOT_PERMITTED;
	return verdict == VERDICT_GOOD ? CODE_OK : CODE_TROUBLE;
}
