# SPDX-License-Identifier: BSD-2-Clause
"""The guest: Debian's stock cloud kernel and an initramfs made of busybox."""

import hashlib
import os
import pathlib
import re
import shutil
import struct
import tempfile

from . import host

KERNEL_PACKAGE = "linux-image-cloud-amd64"
INIT = pathlib.Path(__file__).resolve().parents[1] / "initramfs" / "init"

# Nothing here changes what the kernel asks of the machine below; it skips self-tests and
# set-up work that take long in an emulator. With several CPUs Bochs 2.7 loses wake-ups from MWAIT:
# the bare machine then takes ten times as long at random, unless the kernel idles by HLT.
COMMAND_LINE = ("console=ttyS0,115200 cryptomgr.notests rodata=off audit=0 apparmor=0 "
                "mitigations=off tsc=reliable no_timer_check idle=halt")

WORKLOAD_LINES = 100000


def _resolve_kernel_package():
    """The versioned package the meta-package stands for, e.g. linux-image-6.1.0-1-cloud-amd64."""
    depends = host.run(["apt-cache", "depends", KERNEL_PACKAGE])
    match = re.search(r"Depends: (linux-image-\S+)", depends)
    if not match:
        raise host.Failure(f"apt-cache knows no {KERNEL_PACKAGE}; run apt-get update")
    return match.group(1)


def unpack_package(package, tree):
    """Download a Debian package and unpack it as a new directory; nothing is installed."""
    host.say(f"fetching {package}")
    with tempfile.TemporaryDirectory(dir=host.CACHE) as work:
        os.chmod(work, 0o777)  # apt drops to its own user when it is run by root
        try:
            host.run(["apt-get", "download", package], cwd=work)
        except host.Failure:
            if os.geteuid() != 0:
                raise
            host.run(["apt-get", "update"])
            host.run(["apt-get", "download", package], cwd=work)
        deb = next(pathlib.Path(work).glob("*.deb"))
        unpacked = pathlib.Path(work) / "tree"
        host.run(["dpkg", "-x", deb, unpacked])
        unpacked.rename(tree)


def _fetch_kernel(tree):
    try:
        package = _resolve_kernel_package()
    except host.Failure:
        if os.geteuid() != 0:
            raise
        host.run(["apt-get", "update"])
        package = _resolve_kernel_package()
    unpack_package(package, tree)


def kernel_tree():
    """Directory with the unpacked kernel package (boot/, lib/modules/); fetched once."""
    tree = host.CACHE / "kernel"
    with host.cache_lock():
        if not tree.is_dir():
            _fetch_kernel(tree)
    return tree


def bzimage():
    """Path of the stock kernel's bzImage."""
    return next((kernel_tree() / "boot").glob("vmlinuz-*"))


def extract_vmlinux(image, destination):
    """Write the ELF kernel packed in a bzImage (Linux boot protocol: payload_offset/length)."""
    data = image.read_bytes()
    if data[0x202:0x206] != b"HdrS":
        raise host.Failure(f"{image} is no bzImage")
    setup_sectors = data[0x1f1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = data[start:start + length]
    if payload[:4] != b"\x02\x21\x4c\x18":
        raise host.Failure(f"the payload of {image} is not legacy LZ4")
    with tempfile.TemporaryDirectory(dir=host.CACHE) as work:
        packed = pathlib.Path(work) / "payload.lz4"
        packed.write_bytes(payload[:-4])  # the kernel build appends the unpacked size
        unpacked = pathlib.Path(work) / "vmlinux"
        host.run(["lz4", "-d", "-q", packed, unpacked])
        unpacked.rename(destination)


def vmlinux():
    """Path of the stock kernel as an ELF file with a PVH note."""
    image = bzimage()
    elf = host.CACHE / "vmlinux"
    with host.cache_lock():
        if not elf.exists() or elf.stat().st_mtime < image.stat().st_mtime:
            extract_vmlinux(image, elf)
            os.utime(elf)
    return elf


def module_files(names):
    """The .ko files of the named modules, each after those it depends on."""
    found = {path.stem.replace("-", "_"): path
             for path in (kernel_tree() / "lib/modules").rglob("*.ko")}
    ordered = []

    def add(name):
        path = found.get(name.replace("-", "_"))
        if path is None:
            raise host.Failure(f"the kernel package has no module {name}")
        depends = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for dependency in (depends.group(1).decode() if depends else "").split(","):
            if dependency:
                add(dependency)
        if path not in ordered:
            ordered.append(path)

    for name in names:
        add(name)
    return ordered


def workload_digest():
    """SHA-256 of what the guest's workload generates, for the guest to compare with."""
    text = "".join(f"{number}\n" for number in range(1, WORKLOAD_LINES + 1))
    return hashlib.sha256(text.encode()).hexdigest()


def initramfs(destination, modules=(), files=None):
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
        for number, path in enumerate(module_files(modules)):
            shutil.copy(path, tree / "modules" / f"{number:02}-{path.name}")
        for inside, outside in (files or {}).items():
            target = tree / inside.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(outside, target)
        names = ["."] + sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
        host.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-F", destination],
                 cwd=tree, input="\n".join(names))
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
