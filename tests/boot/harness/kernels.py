# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernels: fetched, unpacked beside the sources and never installed."""

import bz2
import dataclasses
import lzma
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import zlib

from . import host
from .releases import Release, codename, unpack_packages

# Older releases have all of a kernel in one package, newer ones image and modules apart.
PARTS = re.compile(r"^ *\|?Depends: (linux-(?:image|binary|modules)-\d\S+)", re.MULTILINE)


def filter_through(command, data):
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def zstd(data):
    return filter_through(["zstd", "-d", "-q", "-c"], data)


def lz4(data):
    return filter_through(["lz4", "-d", "-q", "-c"], data)


def whole(decompressor, data):
    """All that a decompressor of Python's makes of the data; it stops at the end by itself."""
    unpacked = decompressor.decompress(data)
    if not decompressor.eof:
        raise OSError("it ends too early")
    return unpacked


# How a file begins that is compressed so -> what unpacks it.
FORMATS = {
    b"\x1f\x8b": ("gzip", lambda data: whole(zlib.decompressobj(31), data)),
    b"\xfd7zXZ\0": ("XZ", lambda data: whole(lzma.LZMADecompressor(), data)),
    b"\x5d\0\0": ("LZMA", lambda data: whole(lzma.LZMADecompressor(), data)),
    b"BZh": ("bzip2", lambda data: whole(bz2.BZ2Decompressor(), data)),
    b"\x02\x21\x4c\x18": ("LZ4", lz4),
    b"\x28\xb5\x2f\xfd": ("ZSTD", zstd),
}


def unpack(data, what, appended=0):
    """The contents of a compressed file, to which so many other bytes may have been appended: the
    kernel's build does that with the size of its payload, but for gzip."""
    for start, (name, unpacker) in FORMATS.items():
        if data.startswith(start):
            try:
                return unpacker(data if name == "gzip" else data[:len(data) - appended])
            except (lzma.LZMAError, zlib.error, OSError) as error:
                raise host.Failure(f"{what} is damaged: {name}: {error}") from error
    raise host.Failure(f"{what} is compressed in none of the ways known here: "
                       + ", ".join(name for name, _ in FORMATS.values()))


def extract_vmlinux(image, destination):
    """Write the ELF kernel packed in a bzImage (Linux boot protocol: payload_offset/length)."""
    data = image.read_bytes()
    if data[0x202:0x206] != b"HdrS":
        raise host.Failure(f"{image} is no bzImage")
    setup_sectors = data[0x1f1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    elf = unpack(data[start:start + length], f"the payload of {image}", 4)
    if not elf.startswith(b"\x7fELF"):
        raise host.Failure(f"the payload of {image} is no ELF file")
    fresh = destination.with_name(destination.name + ".part")
    fresh.write_bytes(elf)
    fresh.rename(destination)


def module_data(path):
    """A module as the kernel wants it, whatever it is compressed by."""
    data = path.read_bytes()
    return data if path.suffix == ".ko" else unpack(data, path)


def module_name(path):
    return path.name.split(".ko")[0].replace("-", "_")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A stock kernel of a Debian release: that for virtual machines, unless another is named."""
    name: str
    release: str = ""    # "": this machine's own
    version: str = ""    # how it must begin
    package: str = "linux-image-cloud-amd64"

    @property
    def is_own(self):
        return self.release in ("", codename())

    @property
    def directory(self):
        shared = self.is_own and self.package == Kernel.package
        return host.CACHE / ("kernel" if shared else f"kernel-{self.name}")

    def tree(self):
        """Directory with the unpacked packages; fetched once. Raises host.Skip if the release has
        another kernel by now, or is no longer there."""
        with host.cache_lock():
            if not self.directory.is_dir():
                self.fetch(self._parts, self.directory)
        return self.directory

    def fetch(self, packages, tree):
        """Unpack packages of the release as a new directory. The first argument makes their names
        from a function that runs a command of apt's."""
        if self.is_own:
            try:
                unpack_packages(packages(host.run), tree)
            except host.Failure:
                if os.geteuid() != 0:
                    raise
                host.update_lists()
                unpack_packages(packages(host.run), tree)
            return
        with tempfile.TemporaryDirectory(dir=host.CACHE) as work:
            host.say(f"reading the package lists of {self.release}")
            try:
                release = Release(self.release, pathlib.Path(work) / self.release)
                release.apt("apt-get", "-q", "update")
                unpack_packages(packages(lambda command: release.apt(*command)), tree, release.apt)
            except host.Failure as failure:
                raise host.Skip(f"{self.release} cannot be had: "
                                f"{str(failure).splitlines()[-2:][0]}") from failure

    def _parts(self, run):
        """The packages with the image and the modules."""
        found, to_see = [], [self.package]
        while to_see:
            depends = run(["apt-cache", "depends", to_see.pop()])
            fresh = [name for name in PARTS.findall(depends) if name not in found]
            found += fresh
            to_see += fresh
        if not found:
            raise host.Failure(f"apt-cache knows no {self.package}; run apt-get update")
        if not found[0].startswith(f"linux-image-{self.version}"):
            raise host.Skip(f"{self.release} has {found[0]}")
        return found

    def bzimage(self):
        tree = self.tree()
        for pattern in ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"):
            for path in tree.glob(pattern):
                return path
        raise host.Failure(f"no kernel image in {tree}")

    def vmlinux(self):
        """The same as an ELF file with a PVH note."""
        image = self.bzimage()
        elf = self.directory.with_name(self.directory.name.replace("kernel", "vmlinux", 1))
        with host.cache_lock():
            if not elf.exists() or elf.stat().st_mtime < image.stat().st_mtime:
                extract_vmlinux(image, elf)
                os.utime(elf)
        return elf

    def modules(self, names):
        """The files of the named modules, each after those it depends on."""
        found = {module_name(path): path for path in self.tree().rglob("*.ko*")}
        ordered = []

        def add(name):
            path = found.get(name.replace("-", "_"))
            if path is None:
                raise host.Failure(f"the kernel package has no module {name}")
            depends = re.search(rb"\0depends=([^\0]*)\0", module_data(path))
            for dependency in (depends.group(1).decode() if depends else "").split(","):
                if dependency:
                    add(dependency)
            if path not in ordered:
                ordered.append(path)

        for name in names:
            add(name)
        return ordered


# The release's own kernel, which tests boot unless they say otherwise.
OWN = Kernel("own")

# Those the slow tests boot, wherever they run.
KERNELS = (
    Kernel("6.1", "bookworm", "6.1."),
    Kernel("6.12", "trixie", "6.12."),
    Kernel("newest", "sid"),
)
