# SPDX-License-Identifier: BSD-2-Clause
"""Building Umbra: one Meson directory per variant, build/<variant>."""

import dataclasses
import os

from . import host


@dataclasses.dataclass(frozen=True)
class Variant:
    debug: bool = False
    clang: int = 14
    nested: bool = True
    tests: bool = True  # hosted unit tests and fuzzers too
    coverage: bool = False
    count_vmcs: bool = False

    @property
    def name(self):
        return ("debug" if self.debug else "release") + f"-clang{self.clang}" \
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
        if self.clang != 14:
            options[2:2] = ["--cross-file", host.ROOT / f"cross/clang-{self.clang}.ini"]
        if self.debug:
            options += ["--buildtype=debug", "-Dlog_level=debug", "-Dassertions=true"]
        return options


def build(variant):
    """Configure when needed and build; returns the compiler's output. Raises host.Failure."""
    directory = variant.directory
    output = ""
    if not (directory / "build.ninja").exists():
        output += host.run(["meson", "setup", directory, host.ROOT, *variant.options()])
    return output + host.run(["ninja", "-C", directory], env=dict(os.environ, TERM="dumb"))
