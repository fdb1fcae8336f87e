# SPDX-License-Identifier: BSD-2-Clause
"""The slow test package.newcomer: the whole way of somebody who wants to try Umbra. A clean clone makes the
package, a Debian with systemd on a disk installs it and starts once under Umbra through GRUB's own
menu, umbractl shows what happens, and the package goes again."""

import pathlib
import re
import shutil
import tempfile

from . import cases, engines, host, hosts, media, packaged, roots, terminal, tools

NAME = "package.newcomer"
STEPS = cases.TABLES / "newcomer-steps"
# Where what umbractl showed, and pictures of it, are left.
RESULTS = host.ROOT / "build/newcomer"
PACKAGES = f"{packaged.PACKAGES} systemd-sysv dbus kmod"
SERVICE = """\
[Unit]
Description=A user, when the system has come up
After=multi-user.target umbra-try.service

[Service]
Type=exec
ExecStart=/umbra-test/steps
"""
FSTAB = "/dev/sda1 / ext4 defaults,x-systemd.device-timeout=0 0 0\n"
CPUS = 2


def clone(work):
    """The package, made in a clean clone; and which commit that is."""
    git = ("git", "-c", "safe.directory=*")
    source = work / "umbra"
    try:
        host.run([*git, "-C", host.ROOT, "rev-parse", "HEAD"])
    except host.Failure as failure:
        raise host.Skip("these sources are no clone themselves") from failure
    host.run([*git, "clone", "--quiet", "--no-hardlinks", host.ROOT, source])
    commit = host.run([*git, "-C", source, "rev-parse", "--short", "HEAD"]).strip()
    host.run_long([source / "umbra", "deb"], f"{NAME}: ./umbra deb in a clone of {commit}",
                  cwd=source)
    [deb] = (source / "build").glob("umbra_*.deb")
    return deb, commit


def furnish(tree, work):
    """What the test itself needs in the Debian."""
    packaged.put(STEPS, tree / "umbra-test/steps")
    packaged.put(tools.kvm_client(work / "kvm-client"), tree / "umbra-test/kvm-client")
    units = tree / "etc/systemd/system"
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    (units / "newcomer.service").write_text(SERVICE, encoding="ascii")
    (wanted / "newcomer.service").symlink_to("../newcomer.service")
    # The port is the test's.
    (units / "serial-getty@ttyS0.service").symlink_to("/dev/null")
    (tree / "etc/fstab").write_text(FSTAB, encoding="ascii")
    (tree / "etc/hostname").write_text("newcomer\n", encoding="ascii")


def make_disk(work, deb, log):
    """The disk, and the CD that starts it for the first time: it has no menu yet."""
    with roots.fresh(hosts.RELEASES[0]) as root:
        tree = root.directory
        line = cases.Context.command_line()
        core = shutil.move(packaged.prepare(root, log, "/boot/grub", line, deb, PACKAGES), work)
        furnish(tree, work)
        [kernel], [initrd] = tree.glob("boot/vmlinuz-*"), tree.glob("boot/initrd.img-*")
        cd = media.make_cd(media.native_linux(kernel, f"root=/dev/sda1 ro {line}", initrd),
                           work / "cd.iso")
        disk = media.disk_of([(tree, packaged.MEGABYTES)], pathlib.Path(core), work / "disk.img",
                             "ext4", tree / "usr/lib/grub/i386-pc/boot.img")
    return disk, cd


def fetch(disk):
    """What the user has looked at, from the disk."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    for name in ("check", "try", "status", "status.json", "top", "report.html", "kvm-client"):
        host.run(["debugfs", "-R", f"dump /umbra-test/out/{name} {RESULTS / name}",
                  f"{disk}?offset={media.PARTITION_START * 512}"])


def result(name):
    """As it was written: what a terminal gets has carriage returns."""
    path = RESULTS / name
    return path.read_bytes().decode("utf-8") if path.exists() else ""


def look():
    """Is that what umbractl shows of such a machine? Draws its screen, too."""
    top = terminal.last_screen(result("top"))
    (RESULTS / "top.png").write_bytes(top.png())
    screen, report, status = "\n".join(top.text()), result("report.html"), result("status")
    expected = {
        "check: no VT-x in QEMU's software CPU": "Umbra cannot run on this machine" in result("check"),
        "status: options and CPUs": (re.search(r"^options +.*hv-leaves=on", status, re.M)
                                     and re.search(rf"^CPUs +{CPUS}$", status, re.M)),
        "status: nested VMX": re.search(r"^nested VMX +\d+ of the CPU's \d+", status, re.M),
        "status --json": '"interface": 1' in result("status.json"),
        "top: its head": re.match(rf"Umbra \S+ +{CPUS} CPUs +up .* exits/s +.*hv-leaves=on", screen),
        "top: a line for each CPU": len(re.findall(r"^ +\d+( +[\d,.KMG]+){7}$", screen, re.M)) == CPUS,
        "top: virtual machines": re.search(r"^L2: [1-9][0-9.,KMG]* in/s, .* EPT faults/s by Umbra$", screen, re.M),
        "top: reasons": "exits by reason" in screen and "VMCALL" in screen,
        "report: one page with charts": (
            report.startswith("<!DOCTYPE html>") and report.rstrip().endswith("</html>")
            and report.count("<svg") == report.count("</svg>") >= 2
            and not re.search(r"(?:src|href)=|https?:", report)),
        "report: of this machine": "newcomer" in report and "Virtual machines of the guest" in report,
        "KVM's client": re.search(r"KVM-CLIENT: end [1-9]\d* ok 0 failed", result("kvm-client")),
    }
    if wrong := [what for what, holds in expected.items() if not holds]:
        raise host.Failure("\n".join([screen, status, result("kvm-client"), *wrong,
                                      f"{len(wrong)} complaints; see {RESULTS}"]))


def check():
    log = hosts.fresh_log(NAME)
    kept = engines.Hardware(memory=512, writable=True)
    up = r"PACKAGE: systemd: systemd, active"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as work:
        work = pathlib.Path(work)
        deb, commit = clone(work)
        disk, cd = make_disk(work, deb, log)
        packaged.boot(f"{NAME}.install", "tcg", (
            r"PACKAGE: step install", up, r"PACKAGE: check exits with 1",
            r"the next start, and no other, is under Umbra", r"PACKAGE: installed"),
            packaged.NO_UMBRA, kept, cdrom=cd, disk=disk)
        packaged.boot(f"{NAME}.umbra", "auto", (
            r"umbra: version", rf"umbra: starting the guest on {CPUS} CPUs", r"PACKAGE: step umbra",
            up, r"Result=success", r"came up under Umbra, which is the default now",
            r"PACKAGE: failed units: 0", r"PACKAGE: looked at"),
            (*packaged.FAILED, r"umbra: error"),
            engines.Hardware(cpus=CPUS, memory=512, writable=True), disk=disk)
        fetch(disk)
        look()
        # On a machine without VT-x, by the default that is Umbra now.
        packaged.boot(f"{NAME}.refused", "tcg", (
            r"umbra: error: .*VMX", r"umbra: error: starting the kernel without Umbra",
            r"PACKAGE: step refused, .*umbra\.refused", up, r"PACKAGE: status exits with 3",
            r"PACKAGE: removed"), packaged.FAILED, kept, disk=disk)
        packaged.boot(f"{NAME}.plain", "tcg", (
            r"PACKAGE: step plain, BOOT_IMAGE=", up, r"PACKAGE: started"), packaged.NO_UMBRA, kept,
            disk=disk)
        return f"commit {commit}"


def all_tests():
    """Pairs of a name and a function that raises host.Failure or host.Skip."""
    return [(NAME, check)]
