/* SPDX-License-Identifier: BSD-2-Clause */
/* The next start goes through Umbra, once; if the system comes up so, that becomes the default. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot_menu.h"
#include "commands.h"
#include "json.h"
#include "program.h"
#include "umbra.h"

enum { OPTION_CANCEL, OPTION_CONFIRM };

static const char MENU_DIRECTORY[] = BOOTDIR "/grub";
static const char MENU[] = BOOTDIR "/grub/grub.cfg";
static const char SETTINGS[] = SYSCONFDIR "/default/umbra";
static const char STATE_DIRECTORY[] = "/var/lib/umbra";
static const char STATE[] = "/var/lib/umbra/try"; /* memory and boot ID before the try */
static const char MEMORY_MAP[] = "/sys/firmware/memmap";

/* Of the last try: --json has these words. */
enum outcome { NOT_PENDING, PENDING, IS_DEFAULT, REFUSED, CAME_UP_PLAIN };

static int tell(const struct request *request, enum outcome outcome, const char *entry)
{
	static const struct {
		const char *word, *text;
		int code;
	} of[] = {
		[NOT_PENDING] = {"none", "no try is pending", CODE_OK},
		[PENDING] = {"pending", "the next start, and no other, is under Umbra: reboot",
			     CODE_OK},
		[IS_DEFAULT] = {"default",
				"the system came up under Umbra, which is the default now",
				CODE_OK},
		[REFUSED] = {"refused",
			     "Umbra has refused to run on this machine; the default stays as it is",
			     CODE_TROUBLE},
		[CAME_UP_PLAIN] = {"plain",
				   "the system came up without Umbra; the default stays as it is",
				   CODE_TROUBLE},
	};
	struct json json = {.out = stdout};

	if (request->json) {
		json_open(&json, NULL, '{');
		json_string(&json, "try", of[outcome].word);
		if (entry)
			json_string(&json, "entry", entry);
		json_close(&json, '}');
	} else {
		puts(of[outcome].text);
	}
	return of[outcome].code;
}

static int complain(const char *text)
{
	fprintf(stderr, "umbractl: %s\n", text);
	return CODE_TROUBLE;
}

static int cannot(const char *path)
{
	fprintf(stderr, "umbractl: %s: %s\n", path, strerror(errno));
	return CODE_TROUBLE;
}

/* All of it, for free(); NULL: it cannot be read, and errno tells why. */
static char *read_text(const char *path)
{
	FILE *in = fopen(path, "re");
	size_t size = 0;
	char *text = NULL;

	if (!in)
		return NULL;
	/* Up to the end, or to a byte that no text has. */
	if (getdelim(&text, &size, '\0', in) < 0) {
		free(text);
		text = ferror(in) ? NULL : strdup("");
	}
	fclose(in);
	return text;
}

/* The file becomes what `write` writes, or stays as it was. */
static bool replace(const char *path, void (*write)(FILE *out, const void *context),
		    const void *context)
{
	char fresh[256];
	struct stat old;
	bool good;
	FILE *out;

	snprintf(fresh, sizeof(fresh), "%s.umbractl-new", path);
	out = fopen(fresh, "we");
	if (!out)
		return false;
	write(out, context);
	if (stat(path, &old) == 0 && (fchown(fileno(out), old.st_uid, old.st_gid) < 0 ||
				      fchmod(fileno(out), old.st_mode & 07777) < 0))
		perror("umbractl");
	good = fflush(out) == 0 && !ferror(out) && fsync(fileno(out)) == 0;
	good = fclose(out) == 0 && good && rename(fresh, path) == 0;
	if (!good)
		unlink(fresh);
	return good;
}

static uint64_t number_in(const char *directory, const char *name)
{
	char path[512];
	char *text;
	uint64_t number;

	snprintf(path, sizeof(path), "%s/%s/%s", MEMORY_MAP, directory, name);
	text = read_text(path);
	number = text ? strtoull(text, NULL, 0) : 0;
	free(text);
	return number;
}

static bool is_ram(const char *directory)
{
	char path[512];
	char *text;
	bool ram;

	snprintf(path, sizeof(path), "%s/%s/type", MEMORY_MAP, directory);
	text = read_text(path);
	ram = text && strcmp(text, "System RAM\n") == 0;
	free(text);
	return ram;
}

/* Bytes of RAM that the kernel was told of. */
static uint64_t memory_told(void)
{
	DIR *entries = opendir(MEMORY_MAP);
	uint64_t sum = 0;
	struct dirent *entry;

	while (entries && (entry = readdir(entries))) {
		if (entry->d_name[0] != '.' && is_ram(entry->d_name))
			sum += number_in(entry->d_name, "end") - number_in(entry->d_name, "start") +
			       1;
	}
	if (entries)
		closedir(entries);
	return sum;
}

struct state {
	uint64_t memory;
	char boot_id[64];
};

static struct state state_now(void)
{
	char *id = read_text("/proc/sys/kernel/random/boot_id");
	struct state now = {.memory = memory_told()};

	snprintf(now.boot_id, sizeof(now.boot_id), "%s", id ? id : "");
	now.boot_id[strcspn(now.boot_id, "\n")] = '\0';
	free(id);
	return now;
}

static void write_state(FILE *out, const void *context)
{
	const struct state *state = context;

	fprintf(out, "%" PRIu64 " %s\n", state->memory, state->boot_id);
}

static bool read_state(struct state *state)
{
	char *text = read_text(STATE), *end = text;

	if (text)
		state->memory = strtoull(text, &end, 10);
	if (end != text && *end == ' ')
		snprintf(state->boot_id, sizeof(state->boot_id), "%.*s",
			 (int)strcspn(end + 1, "\n"), end + 1);
	free(text);
	return *state->boot_id;
}

static void forget(void)
{
	unlink(STATE);
	rmdir(STATE_DIRECTORY);
}

static bool is_pending(void)
{
	return access(STATE, F_OK) == 0;
}

static enum start started(uint64_t memory_before)
{
	char *line = read_text("/proc/cmdline");
	const enum start start = start_of(&(const struct system_seen){
		.umbra_shows_itself = umbra_find(),
		.command_line = line ? line : "",
		.memory = memory_told(),
		.memory_before = memory_before,
	});

	free(line);
	return start;
}

/* GRUB has to forget the entry before it starts it, or each start would be a try. */
static bool grub_writes(void)
{
	char abstraction[128], file_system[64];

	return program_says(
		       (const char *[]){"grub-probe", "--target=abstraction", MENU_DIRECTORY, NULL},
		       abstraction, sizeof(abstraction)) &&
	       program_says((const char *[]){"grub-probe", "--target=fs", MENU_DIRECTORY, NULL},
			    file_system, sizeof(file_system)) &&
	       grub_can_write(abstraction, file_system);
}

/* The system must be as it is without Umbra: the memory seen now is what is compared with. */
static bool is_plain(void)
{
	char *line = read_text("/proc/cmdline");
	const bool plain = line && text_has_word(line, "BOOT_IMAGE=", true);

	free(line);
	return plain && !umbra_find();
}

static int begin(const struct request *request)
{
	char *config = read_text(MENU);
	const struct state now = state_now();
	char entry[256];
	bool found;

	if (!config)
		return cannot(MENU);
	found = menu_first_umbra(config, entry, sizeof(entry));
	free(config);
	if (!found)
		return complain("GRUB's menu has no entry under Umbra; run update-grub");
	if (!is_plain())
		return complain("start the system without Umbra first, by GRUB's plain entry");
	if (!now.memory || !*now.boot_id)
		return complain("the kernel does not show the firmware's memory map");
	if (!grub_writes())
		return complain("GRUB cannot write to its directory, so that no entry is for one "
				"start alone; choose it in the menu");
	if ((mkdir(STATE_DIRECTORY, 0755) < 0 && errno != EEXIST) ||
	    !replace(STATE, write_state, &now))
		return cannot(STATE);
	if (!program_does((const char *[]){"grub-reboot", entry, NULL})) {
		forget();
		return CODE_TROUBLE;
	}
	return tell(request, PENDING, entry);
}

static void write_default(FILE *out, const void *context)
{
	settings_write(out, context, "UMBRA_DEFAULT", "yes");
}

static void write_text(FILE *out, const void *context)
{
	fputs(context, out);
}

static bool make_default(void)
{
	char *settings = read_text(SETTINGS);
	bool good;

	if (!settings || !replace(SETTINGS, write_default, settings)) {
		cannot(SETTINGS);
		free(settings);
		return false;
	}
	good = program_does((const char *[]){"update-grub", NULL});
	if (!good && !replace(SETTINGS, write_text, settings))
		cannot(SETTINGS);
	free(settings);
	return good;
}

/* By umbra-try.service, when the system has come up. */
static int confirm(const struct request *request)
{
	struct state before = {0};
	enum start start;

	if (!is_pending())
		return tell(request, NOT_PENDING, NULL);
	if (!read_state(&before)) {
		forget();
		return complain("what the try has noted is damaged; the default stays as it is");
	}
	if (strcmp(before.boot_id, state_now().boot_id) == 0)
		return tell(request, PENDING, NULL);
	start = started(before.memory);
	/* Whatever comes now, it is not tried a second time. */
	forget();
	if (start != START_UMBRA)
		return tell(request, start == START_REFUSED ? REFUSED : CAME_UP_PLAIN, NULL);
	return make_default() ? tell(request, IS_DEFAULT, NULL) : CODE_TROUBLE;
}

static int cancel(const struct request *request)
{
	/* An entry for the next start that nobody tries is somebody else's. */
	if (is_pending() &&
	    !program_does((const char *[]){"grub-editenv", "-", "unset", "next_entry", NULL}))
		return CODE_TROUBLE;
	forget();
	return tell(request, NOT_PENDING, NULL);
}

int try_run(const struct request *request)
{
	if (request->option[OPTION_CANCEL] && request->option[OPTION_CONFIRM])
		return command_misused("try: --cancel or --confirm, not both");
	if (geteuid() != 0) {
		fputs("umbractl: only root may change what GRUB starts\n", stderr);
		return CODE_NOT_PERMITTED;
	}
	if (request->option[OPTION_CANCEL])
		return cancel(request);
	if (request->option[OPTION_CONFIRM])
		return confirm(request);
	return begin(request);
}
