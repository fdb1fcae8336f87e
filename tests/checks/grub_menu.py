#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""src/boot/grub/40_umbra.in: what it makes of the entries that a 10_linux prints."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "src/boot/grub/40_umbra.in"

# What the script takes from GRUB's own library. Where the file system with /boot begins is the
# test's to say.
LIBRARY = """\
make_system_path_relative_to_its_root() { echo "$SEEN_AS${1#"$BOOT"}"; }
"""

HEAD = """\
function gfxmode {
	set gfxpayload="${1}"
}
set linux_gfx_mode=
export linux_gfx_mode
"""
TAIL = """\
if [ "x$default" = 'Debian GNU/Linux, with Linux 6.1' ]; then default='Advanced options'; fi;
"""


def entry(title, identity, commands, indent=""):
    lines = [f"menuentry '{title}' --class debian --class os $menuentry_id_option '{identity}' {{",
             *(f"\t{command}" for command in commands), "}"]
    return "".join(f"{indent}{line}\n" for line in lines)


def commands(kernel, initrds, arguments, *before):
    lines = ["load_video", "insmod gzio",
             "if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi", *before,
             "echo\t'Loading Linux 6.1 ...'", f"linux\t{kernel} {arguments}"]
    return lines + ([f"echo\t'Loading initial ramdisk ...'", f"initrd\t{initrds}"] if initrds else [])


def menu(boot, arguments, *before, initrds="{}/initrd.img-{}", suffix="", name="Debian GNU/Linux"):
    """As 10_linux prints it for two kernels: one entry, and a submenu of all, with recovery."""
    def one(version, more=""):
        return commands(f"{boot}/vmlinuz-{version}{suffix}", initrds.format(boot, version),
                        f"{arguments} {more}".strip(), *before)

    inside = "".join(
        entry(f"{name}, with Linux {version}{what}", f"gnulinux-{version}-{kind}-ID",
              one(version, more), "\t")
        for version in ("6.12", "6.1")
        for what, kind, more in (("", "advanced", "quiet"), (" (recovery mode)", "recovery", "single")))
    return (HEAD + entry(name, "gnulinux-simple-ID", one("6.12", "quiet"))
            + f"submenu 'Advanced options for {name}' $menuentry_id_option 'gnulinux-advanced-ID' {{\n"
            + inside + "}\n" + TAIL)


# name -> (what 10_linux prints, the path that GRUB sees /boot at)
MENUS = {
    "plain": (menu("/boot", "root=UUID=1-2 ro"), "/boot"),
    "separate /boot": (menu("", "root=UUID=1-2 ro", "set root='hd0,msdos1'"), ""),
    "btrfs": (menu("/@rootfs/boot", "root=UUID=1-2 ro rootflags=subvol=@rootfs", "insmod btrfs"),
              "/@rootfs/boot"),
    "LVM": (menu("/boot", "root=/dev/mapper/vg-root ro", "insmod lvm",
                 "set root='lvmid/a-b/c-d'"), "/boot"),
    "microcode": (menu("/boot", "root=UUID=1-2 ro", initrds="{0}/intel-ucode.img {0}/initrd.img-{1}"),
                  "/boot"),
    "signed": (menu("/boot", "root=UUID=1-2 ro", suffix=".efi.signed"), "/boot"),
    "no initrd": (menu("/boot", "root=/dev/sda1 ro", initrds=""), "/boot"),
    "quotes": (menu("/boot", "root=UUID=1-2 ro dyndbg=\"a +p\"", name="Joe'\\''s {Linux}"), "/boot"),
    "no submenu": (HEAD + entry("Debian GNU/Linux, with Linux 6.1", "gnulinux-6.1-advanced-ID",
                                commands("/boot/vmlinuz-6.1", "/boot/initrd.img-6.1",
                                         "root=UUID=1-2 ro")) + TAIL, "/boot"),
}


def run(printed, seen_as, settings="", environment=(), image=True):
    """The script's output, where 10_linux prints that."""
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        for name in ("boot/umbra", "etc/default", "lib", "grub.d"):
            (work / name).mkdir(parents=True)
        (work / "lib/grub-mkconfig_lib").write_text(LIBRARY)
        if image:
            (work / "boot/umbra/umbra.elf").touch()
        (work / "etc/default/umbra").write_text(settings)
        (work / "printed").write_text(printed)
        (work / "grub.d/10_linux").write_text(
            f"echo 'Found linux image' >&2; cat {work}/printed\n")
        script = work / "grub.d/40_umbra"
        script.write_text(SOURCE.read_text().replace("@bootdir@", f"{work}/boot")
                          .replace("@sysconfdir@", f"{work}/etc"))
        return subprocess.run(
            ["sh", script], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={"PATH": os.environ["PATH"], "pkgdatadir": f"{work}/lib", "BOOT": f"{work}/boot",
                 "SEEN_AS": seen_as, **dict(environment)}).stdout


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: instead of\n{wanted}\nthe script makes\n{found}")


def wanted(printed, seen_as, options="", more=""):
    """What must come out, line by line."""
    lines = []
    for line in printed.removesuffix(TAIL).splitlines():
        indent = re.match(r"\t*", line).group()
        word, _, rest = line.strip().partition("\t")
        if word == "linux":
            lines += [f"{indent}multiboot2\t{seen_as}/umbra/umbra.elf on-refuse=boot {options}",
                      f"{indent}module2\t{rest}{more}"]
        elif word == "initrd":
            lines += [f"{indent}module2\t--nounzip {file}" for file in rest.split()]
        else:
            for before, after in (("' --class", ", under Umbra' --class"),
                                  ("Linux' $men", "Linux, under Umbra' $men"),
                                  ("Linux}' $men", "Linux}, under Umbra' $men"),
                                  ("'gnulinux-", "'umbra-")):
                line = line.replace(before, after, 1)
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def main():
    grub_check = shutil.which("grub-script-check")
    for name, (printed, seen_as) in MENUS.items():
        made = run(printed, seen_as)
        check(name, made, wanted(printed, seen_as))
        if grub_check:
            subprocess.run([grub_check], input=made, text=True, check=True)

    printed, seen_as = MENUS["plain"]
    check("settings", run(printed, seen_as, 'GRUB_CMDLINE_UMBRA="verbose on-refuse=halt"\n'
                                            'GRUB_CMDLINE_LINUX_UMBRA="console=ttyS0 a=\\\\n"\n'),
          wanted(printed, seen_as, "verbose on-refuse=halt", " console=ttyS0 a=\\n"))
    check("environment", run(printed, seen_as, "", {"GRUB_CMDLINE_UMBRA": "stats"}.items()),
          wanted(printed, seen_as, "stats"))
    check("no image", run(printed, seen_as, image=False), "")
    for name, first in (("plain", "umbra-simple-ID"), ("no submenu", "umbra-6.1-advanced-ID")):
        check("default", run(*MENUS[name], "UMBRA_DEFAULT=yes\n"),
              wanted(*MENUS[name])
              + f"if [ -z \"${{boot_once}}\" ]; then set default='{first}'; fi\n")
    check("no entry", run("", seen_as, "UMBRA_DEFAULT=yes\n"), "\n")


main()
