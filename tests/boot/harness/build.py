# SPDX-License-Identifier: BSD-2-Clause
"""Building Umbra: one Meson directory per variant, build/<variant>."""

import dataclasses
import functools
import os
import re

from . import host


STEP = re.compile(r"\[\d+/\d+\] (.*)")  # a line of Ninja's


@dataclasses.dataclass(frozen=True)
class Variant:
    debug: bool = False
    clang: int = None   # another version than the release's own
    nested: bool = True
    tests: bool = True  # hosted unit tests and fuzzers too
    coverage: bool = False
    count_vmcs: bool = False

    @property
    def name(self):
        return ("debug" if self.debug else "release") + (f"-clang{self.clang}" if self.clang else "") \
            + ("" if self.nested else "-flat") + ("-coverage" if self.coverage else "") \
            + ("-count" if self.count_vmcs else "")

    @property
    def directory(self):
        return host.ROOT / "build" / self.name

    @property
    def image(self):
        return self.directory / "src/umbra.elf"

    @property
    def efi(self):
        """Umbra as an EFI program."""
        return self.directory / "src/umbra.efi"

    @property
    def probe(self):
        """The guest payload that tests Umbra from inside."""
        return self.directory / "subprojects/probe/probe.elf"

    def options(self):
        options = [
            "--cross-file", host.ROOT / "cross/x86_64-umbra.ini",
            "--native-file", host.ROOT / "cross/native-clang.ini",
            f"-Dnested={str(self.nested).lower()}",
            f"-Dtests={str(self.tests).lower()}",
            f"-Dcount_vmcs={str(self.count_vmcs).lower()}",
            f"-Dcoverage={str(self.coverage).lower()}",
        ]
        if self.clang:
            cross, native = machine_files(self.clang)
            options += ["--cross-file", cross, "--native-file", native]
        if self.debug:
            options += ["--buildtype=debug", "-Dlog_level=debug", "-Dassertions=true"]
        return options


# Laid over those of cross/ to build with another version of clang.
CROSS_FILE = """\
[binaries]
c = 'clang-{0}'
c_ld = 'lld-{0}'
ar = 'llvm-ar-{0}'
strip = 'llvm-strip-{0}'
objcopy = 'llvm-objcopy-{0}'

[built-in options]
c_args = ['--target=x86_64-unknown-none-elf']
c_link_args = ['--target=x86_64-unknown-linux-gnu', '-fuse-ld=/usr/bin/ld.lld-{0}', '-nostdlib', '-static']
"""
NATIVE_FILE = """\
[binaries]
c = 'clang-{0}'
"""


def machine_files(clang):
    """Paths of Meson's cross file and native file for a version of clang."""
    directory = host.ROOT / "build"
    directory.mkdir(exist_ok=True)
    paths = []
    for name, text in (("cross", CROSS_FILE), ("native", NATIVE_FILE)):
        paths.append(directory / f"{name}-clang{clang}.ini")
        paths[-1].write_text(text.format(clang), encoding="ascii")
    return paths


@functools.lru_cache
def default_clang():
    """The version of the release's own clang."""
    return int(re.search(r"version (\d+)", host.run(["clang", "--version"])).group(1))


def installed_clangs():
    """What Variant.clang may be, of the versions to check with: None and others."""
    return [None] + [version for version in host.CHECK_CLANGS if version != default_clang()
                     and not host.missing_packages(host.clang_packages(version))]


def build(variant, *files):
    """Configure when needed and build all, or only some files; returns the compiler's output. Raises
    host.Failure."""
    # Ninja does not expect a second one at work in its directory.
    with host.locked(variant.directory):
        return _build(variant, files)


def _build(variant, files):
    directory = variant.directory
    where = directory.relative_to(host.ROOT)
    output = ""
    if not (directory / "build.ninja").exists():
        output += host.run_long(["meson", "setup", directory, host.ROOT, *variant.options()],
                                f"configuring {where}")
        _log(variant).write_text("[0/0] meson setup\n" + output, encoding="utf-8")
    with open(_log(variant), "a", encoding="utf-8") as log:
        targets = [file.relative_to(directory) for file in files]
        return output + host.run_long(["ninja", "-C", directory, *targets],
                                      f"building {where}", log,
                                      env=dict(os.environ, TERM="dumb"))


def _log(variant):
    """What Meson and Ninja said, in all runs since the directory was made."""
    return variant.directory / "build.log"


def warnings(variant):
    """The compiler's (and Meson's) for what is built there now. A warning is no error, so Ninja
    does not repeat it; but what it made last of each file is in the log."""
    said, step = {}, ""
    for line in _log(variant).read_text(encoding="utf-8").splitlines():
        if match := STEP.match(line):
            step = match.group(1)
            said[step] = []
        elif re.search(r"\bwarning: |^WARNING:", line):
            said[step].append(line)
    return [line for lines in said.values() for line in lines]
