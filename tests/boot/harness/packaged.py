# SPDX-License-Identifier: BSD-2-Clause
"""Slow tests of the package: a Debian on a disk installs it, starts through the menu that its own
update-grub makes, and removes it again."""

import pathlib
import shutil
import tempfile

from . import cases, console, engines, host, hosts, media, package, roots

STEPS = cases.TABLES / "package-steps"
PACKAGES = "linux-image-cloud-amd64 initramfs-tools grub2-common grub-pc-bin lz4 udev"
# What an emulated disk needs, and no more: the initrd is unpacked by emulated instructions.
INITRD = "MODULES=list\nCOMPRESS=lz4\n"
MODULES = "ata_piix\nata_generic\nsd_mod\next4\n"
GRUB = """\
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISTRIBUTOR=Debian
GRUB_TERMINAL=console
GRUB_CMDLINE_LINUX_DEFAULT=quiet
GRUB_CMDLINE_LINUX="{}"
"""
MEGABYTES = 2048
BOOT_MEGABYTES = 256
BOOT_SECONDS = 1800
FAILED = (r"PACKAGE: FAILED", r"Kernel panic")
NO_UMBRA = (*FAILED, r"umbra: ")


def command_line():
    return f"{cases.Context.command_line()} init=/umbra-test/init"


def prepare(root, log, grub, line, deb, packages=PACKAGES):
    """Turn a fresh root into a Debian that boots, with this command line; returns GRUB's image for
    its disk, which looks for its files there."""
    tree = root.directory
    shutil.rmtree(tree / "umbra")
    (tree / "umbra").mkdir()
    for name, text in {"etc/initramfs-tools/conf.d/umbra-test": INITRD,
                       "etc/initramfs-tools/modules": MODULES,
                       "etc/default/grub": GRUB.format(line),
                       "etc/kernel-img.conf": "do_symlinks = no\n"}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="ascii")
    root.run("apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "
             "--no-install-recommends -o Dpkg::Options::=--force-confold " + packages,
             "installing a kernel and GRUB", log)
    root.run("mkdir -p /boot/grub && touch /boot/grub/grub.cfg && "
             "cp -r /usr/lib/grub/i386-pc /boot/grub/ && grub-editenv /boot/grub/grubenv create && "
             "grub-mkimage -O i386-pc -o /umbra/core.img " f"-p '(hd0,msdos1){grub}' "
             + " ".join(media.DISK_MODULES), "making GRUB's image", log)
    root.run("apt-get clean && rm -rf /var/lib/apt/lists/*", "cleaning up", log)
    test = tree / "umbra-test"
    test.mkdir()
    (test / "step").write_text("install\n", encoding="ascii")
    shutil.copy(deb, test / "umbra.deb")
    return tree / "umbra/core.img"


def put(program, place):
    shutil.copy(program, place)
    place.chmod(0o755)


def boot(name, engine, expect, forbid=FAILED, hardware=engines.Hardware(memory=512), **media_of):
    """One start; raises host.Failure with the end of its console."""
    host.say(f"booting {name}")
    with engines.choose(engine)(hardware, host.log_path(name), **media_of) as machine:
        console.expect(machine, console.Judge(expect, forbid), BOOT_SECONDS, name, ends=True)


def check(release, separate=False):
    """All the steps on a disk with one partition, or with one for /boot before it."""
    name = f"package.{release}" + ("-boot" if separate else "")
    log = hosts.fresh_log(name)
    kept = engines.Hardware(memory=512, writable=True)
    started = r"PACKAGE: nproc=1 started"
    with roots.fresh(release) as root, tempfile.TemporaryDirectory(dir="/var/tmp") as work:
        work = pathlib.Path(work)
        core = shutil.move(prepare(root, log, "/grub" if separate else "/boot/grub", command_line(),
                                   package.make()), work)
        tree = root.directory
        put(STEPS, tree / "umbra-test/init")
        [kernel], [initrd] = tree.glob("boot/vmlinuz-*"), tree.glob("boot/initrd.img-*")
        cd = media.make_cd(media.native_linux(
            kernel, f"root=/dev/sda{2 if separate else 1} {command_line()}", initrd),
            work / "cd.iso")
        trees = [(tree, MEGABYTES)]
        if separate:
            trees.insert(0, (shutil.move(tree / "boot", work / "boot"), BOOT_MEGABYTES))
            (tree / "boot").mkdir()
        disk = media.disk_of(trees, pathlib.Path(core), work / "disk.img", "ext4",
                             tree / "usr/lib/grub/i386-pc/boot.img")
        boot(f"{name}.install", "tcg", (
            r"PACKAGE: entry Debian GNU/Linux$", r"PACKAGE: entry Debian GNU/Linux, under Umbra",
            r"with Linux \S+, under Umbra", r"\(recovery mode\), under Umbra",
            r"the next start, and no other, is under Umbra", r"PACKAGE: installed"), NO_UMBRA, kept, cdrom=cd, disk=disk)
        # What Bochs writes to the disk is forgotten, so that the next start finds the same.
        boot(f"{name}.umbra", "auto", (
            r"umbra: version", r"umbra: starting the guest on 1 CPUs", r"PACKAGE: step umbra",
            r"came up under Umbra, which is the default now", r"PACKAGE: default umbra-simple",
            started), (*FAILED, r"umbra: error"), disk=disk)
        boot(f"{name}.refused", "tcg", (
            r"umbra: error: .*VMX", r"umbra: error: starting the kernel without Umbra",
            r"PACKAGE: step umbra", r"Umbra has refused to run", started),
            (*FAILED, r"PACKAGE: default"), kept, disk=disk)
        boot(f"{name}.plain", "tcg", (
            r"PACKAGE: step plain", started, r"PACKAGE: nothing left"), NO_UMBRA, kept, disk=disk)
        boot(f"{name}.removed", "tcg", (r"PACKAGE: step last", started), NO_UMBRA, kept, disk=disk)


def listing(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def check_install():
    """./umbra install into a directory has what the package has, keeps settings, and goes again."""
    with tempfile.TemporaryDirectory() as work:
        root = pathlib.Path(work)
        (root / "etc/default").mkdir(parents=True)
        before = listing(root)
        count = package.install(root)
        files = listing(root)
        missing = {"boot/umbra/umbra.elf", "boot/umbra/probe.elf", "etc/grub.d/40_umbra",
                   "usr/local/lib/umbra/umbra.efi", "usr/local/share/man/man7/umbra.7"} - set(files)
        if missing:
            raise host.Failure("not installed: " + " ".join(sorted(missing)))
        settings = package.inside(root, package.SETTINGS)
        settings.write_text("UMBRA_DEFAULT=yes\n", encoding="ascii")
        package.install(root)
        if listing(root) != files or settings.read_text(encoding="ascii") != "UMBRA_DEFAULT=yes\n":
            raise host.Failure("installed twice: other files, or settings are lost")
        package.uninstall(root)
        if listing(root) != before:
            raise host.Failure("left: " + " ".join(listing(root)))
        return f"{count} files"


def all_tests():
    """Pairs of a name and a function that raises host.Failure or host.Skip."""
    return [("package.install", check_install),
            *((f"package.{release}", lambda release=release: check(release))
              for release in hosts.RELEASES),
            (f"package.{hosts.RELEASES[0]}-boot", lambda: check(hosts.RELEASES[0], True))]
