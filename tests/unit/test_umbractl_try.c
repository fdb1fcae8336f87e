/* SPDX-License-Identifier: BSD-2-Clause */
/* umbractl try: what it reads of GRUB's menu and of how the system came up, and the settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot_menu.h"

static const char MENU[] =
	"set default='umbra-not-a-menuentry'\n"
	"menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-1' {\n"
	"\tlinux /vmlinuz root=UUID=1 ro quiet\n"
	"}\n"
	"submenu 'Advanced, under Umbra' $menuentry_id_option 'umbra-advanced-1' {\n"
	"\tmenuentry 'Deep' --class debian $menuentry_id_option 'umbra-6.1-advanced-1' {\n"
	"\t}\n"
	"}\n"
	"menuentry 'Debian of 'umbra-tribe, under Umbra' $menuentry_id_option 'umbra-simple-1' {\n"
	"}\n"
	"menuentry 'Another, under Umbra' $menuentry_id_option 'umbra-simple-2' {\n"
	"}\n";

static void the_first_entry_that_is_in_no_submenu(void **state)
{
	char name[64];

	(void)state;
	assert_true(menu_first_umbra(MENU, name, sizeof(name)));
	assert_string_equal(name, "umbra-simple-1");
}

static void no_entry(void **state)
{
	static const char *const menus[] = {
		"",
		"\n",
		"menuentry",
		"menuentry 'Debian' $menuentry_id_option 'gnulinux-simple-1' {\n}\n",
		"# menuentry 'Debian' $menuentry_id_option 'umbra-simple-1' {\n}\n",
		"\tmenuentry 'Deep' $menuentry_id_option 'umbra-simple-1' {\n\t}\n",
		/* Cut off, and over the end of the line. */
		"menuentry 'Debian' $menuentry_id_option 'umbra-simple-1",
		"menuentry 'Debian' $menuentry_id_option 'umbra-simple-1\n'",
		"menuentry 'Debian' $menuentry_id_option\n'umbra-simple-1' {\n}\n",
	};
	char name[64];

	(void)state;
	for (size_t i = 0; i < sizeof(menus) / sizeof(menus[0]); i++)
		assert_false(menu_first_umbra(menus[i], name, sizeof(name)));
	/* Too long for the buffer. */
	assert_false(menu_first_umbra(MENU, name, sizeof("umbra-simple-1") - 1));
	assert_true(menu_first_umbra(MENU, name, sizeof("umbra-simple-1")));
}

static void words(void **state)
{
	(void)state;
	assert_true(text_has_word("a umbra.refused\n", "umbra.refused", false));
	assert_true(text_has_word("umbra.refused b", "umbra.refused", false));
	assert_false(text_has_word("a umbra.refused=1", "umbra.refused", false));
	assert_false(text_has_word("not-umbra.refused", "umbra.refused", false));
	assert_true(text_has_word("  BOOT_IMAGE=/vmlinuz", "BOOT_IMAGE=", true));
	assert_false(text_has_word("a=BOOT_IMAGE=/vmlinuz", "BOOT_IMAGE=", true));
	assert_false(text_has_word("BOOT_IMAG", "BOOT_IMAGE=", true));
	assert_false(text_has_word("", "a", true));
	assert_false(text_has_word(" \n", "a", true));
}

static enum start start(bool shows, const char *line, uint64_t memory)
{
	const struct system_seen seen = {
		.umbra_shows_itself = shows,
		.command_line = line,
		.memory = memory,
		.memory_before = 512 << 20,
	};

	return start_of(&seen);
}

static void how_the_system_came_up(void **state)
{
	static const uint64_t all = 512 << 20, smaller = (512 << 20) - (4 << 20);

	(void)state;
	assert_int_equal(start(false, "root=/dev/sda1 ro", smaller), START_UMBRA);
	assert_int_equal(start(false, "root=/dev/sda1 ro", all - UMBRA_SMALLEST), START_UMBRA);
	assert_int_equal(start(true, "root=/dev/sda1 ro", all), START_UMBRA);
	assert_int_equal(start(false, "root=/dev/sda1 ro", all), START_PLAIN);
	assert_int_equal(start(false, "root=/dev/sda1 ro", all - UMBRA_SMALLEST + 1), START_PLAIN);
	/* Memory was added; nothing is known of it. */
	assert_int_equal(start(false, "root=/dev/sda1 ro", 2 * all), START_PLAIN);
	assert_int_equal(start(false, "root=/dev/sda1 ro", 0), START_PLAIN);
	/* Whatever the memory is. */
	assert_int_equal(start(false, "ro umbra.refused", smaller), START_REFUSED);
	assert_int_equal(start(false, "BOOT_IMAGE=/vmlinuz ro", smaller), START_PLAIN);
}

static void what_grub_can_write_to(void **state)
{
	(void)state;
	assert_true(grub_can_write("", "ext2"));
	assert_true(grub_can_write(" ", "fat"));
	assert_false(grub_can_write("lvm", "ext2"));
	assert_false(grub_can_write("diskfilter mdraid1x", "ext2"));
	assert_false(grub_can_write("", "btrfs"));
	assert_false(grub_can_write("", "zfs"));
	assert_false(grub_can_write("", ""));
}

static void settings(void **state)
{
	static const struct {
		const char *before, *after;
	} of[] = {
		{"", "UMBRA_DEFAULT=yes\n"},
		{"# UMBRA_DEFAULT=no\nA=b\n", "# UMBRA_DEFAULT=no\nA=b\nUMBRA_DEFAULT=yes\n"},
		{"UMBRA_DEFAULT=no\n\nA=b", "\nA=b\nUMBRA_DEFAULT=yes\n"},
		{"UMBRA_DEFAULT=no\nUMBRA_DEFAULT=no\n", "UMBRA_DEFAULT=yes\n"},
		{"UMBRA_DEFAULT_OF=no\n", "UMBRA_DEFAULT_OF=no\nUMBRA_DEFAULT=yes\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		size_t size;
		char *text;
		FILE *out = open_memstream(&text, &size);

		settings_write(out, of[i].before, "UMBRA_DEFAULT", "yes");
		fclose(out);
		assert_string_equal(text, of[i].after);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_entry_that_is_in_no_submenu),
		cmocka_unit_test(no_entry),
		cmocka_unit_test(words),
		cmocka_unit_test(how_the_system_came_up),
		cmocka_unit_test(what_grub_can_write_to),
		cmocka_unit_test(settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
