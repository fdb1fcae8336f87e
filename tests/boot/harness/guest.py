# SPDX-License-Identifier: BSD-2-Clause
"""The guest: Debian's stock cloud kernel and an initramfs made of busybox."""

import hashlib
import pathlib
import re
import shutil
import tempfile

from . import host, kernels

INIT = pathlib.Path(__file__).resolve().parents[1] / "initramfs" / "init"

# Nothing here changes what the kernel asks of the machine below; it skips self-tests and
# set-up work that take long in an emulator. With several CPUs Bochs 2.7 loses wake-ups from MWAIT:
# the bare machine then takes ten times as long at random, unless the kernel idles by HLT.
COMMAND_LINE = ("console=ttyS0,115200 cryptomgr.notests rodata=off audit=0 apparmor=0 "
                "mitigations=off tsc=reliable no_timer_check idle=halt")

WORKLOAD_LINES = 100000


def bzimage(kernel=kernels.OWN):
    """Path of the stock kernel's bzImage."""
    return kernel.bzimage()


def vmlinux(kernel=kernels.OWN):
    """Path of the stock kernel as an ELF file with a PVH note."""
    return kernel.vmlinux()


def workload_digest():
    """SHA-256 of what the guest's workload generates, for the guest to compare with."""
    text = "".join(f"{number}\n" for number in range(1, WORKLOAD_LINES + 1))
    return hashlib.sha256(text.encode()).hexdigest()


def pack(tree, destination):
    """Make a directory an initramfs."""
    names = ["."] + sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    host.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-F", destination], cwd=tree,
             input="\n".join(names))


def copy_into(tree, files):
    for inside, outside in files.items():
        target = tree / inside.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(outside, target)


def bare_initramfs(destination, files):
    """One of these files alone, guest path -> host path, without busybox."""
    with tempfile.TemporaryDirectory() as work:
        tree = pathlib.Path(work)
        copy_into(tree, files)
        pack(tree, destination)
    return destination


def initramfs(destination, modules=(), files=None, kernel=kernels.OWN):
    """Write an initramfs: busybox, the init script, kernel modules loaded in order, and files
    (guest path -> host path; executable bits are kept)."""
    busybox = pathlib.Path("/bin/busybox")
    with tempfile.TemporaryDirectory() as work:
        tree = pathlib.Path(work)
        for name in ("bin", "proc", "sys", "dev", "tmp", "tests", "modules", "etc"):
            (tree / name).mkdir()
        shutil.copy(busybox, tree / "bin/busybox")
        for applet in ("sh", "mount"):
            (tree / "bin" / applet).symlink_to("busybox")
        shutil.copy(INIT, tree / "init")
        (tree / "init").chmod(0o755)
        (tree / "etc/workload").write_text(f"{WORKLOAD_LINES} {workload_digest()}\n",
                                           encoding="ascii")
        for number, path in enumerate(kernel.modules(modules) if modules else ()):
            name = f"{number:02}-{kernels.module_name(path)}.ko"
            (tree / "modules" / name).write_bytes(kernels.module_data(path))
        copy_into(tree, files or {})
        pack(tree, destination)
    return destination


def program_files(program):
    """A program of the build machine with the libraries it loads, as files of an initramfs."""
    program = pathlib.Path(program).resolve()
    libraries = re.findall(r"(/\S+) \(0x", host.run(["ldd", program]))
    return {f"/bin/{program.name}": program} | {path: path for path in libraries}


def qemu_files(roms):
    """Debian's QEMU as files of an initramfs; the ROMs go to /qemu, for its option -L."""
    folders = [pathlib.Path("/usr/share") / name for name in ("qemu", "seabios")]
    files = program_files("/usr/bin/qemu-system-x86_64")
    for rom in roms:
        found = [folder / rom for folder in folders if (folder / rom).exists()]
        if not found:
            raise host.Failure(f"QEMU's {rom} is not installed")
        files[f"/qemu/{rom}"] = found[0]
    return files
