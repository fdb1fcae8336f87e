# SPDX-License-Identifier: BSD-2-Clause
"""The versions of Bochs, each as a Debian release builds it.

Where the machine's own release has another version, the wanted one is fetched from the mirror that
apt uses here and unpacked into .cache with all libraries it needs. Nothing is installed, so this
needs no root; the program is started by the dynamic linker that came along."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import shutil
import tempfile

from . import host
from .releases import Release, upstream

LIBRARIES = "usr/lib/x86_64-linux-gnu"
# The smallest of its user interfaces: the harness uses none of them.
PACKAGES = ("bochs", "bochs-term", "bochsbios", "vgabios")


@dataclasses.dataclass(frozen=True)
class Version:
    """What is to be known of one version."""
    releases: tuple      # Debian's that have it; the first one that still has it is taken
    fixes: str           # source of a library to preload into it, beside this file
    models: tuple = ()   # CPU models that no earlier version has right
    packages: tuple = PACKAGES
    uefi: bool = False
    left_out: dict = dataclasses.field(default_factory=dict)  # the probe's cases it breaks -> how


# Of Bochs 3, on the bare machine: the CPU hangs, the program ends, or the case fails.
LEFT_OUT = {
    "step.breakpoint.rf_cpuid": "RFLAGS.RF outlives CPUID; breakpoints then hit for ever",
    "vmx.msrlist.entry_load_failure": "a read-only VMX MSR in a list of MSRs to load is a panic",
}

VERSIONS = {
    "2.7": Version(("bookworm",), "bochs_vmx_fixes.c", left_out={
        "vmx.sss": "bit 60 of an EPT entry neither lets a supervisor shadow-stack push pass nor, "
                   "where it is clear, a pop fail; so one that Umbra has mapped faults for ever"}),
    "3.0": Version(("trixie",), "bochs3_fixes.c", ("arrow_lake",), left_out={
        **LEFT_OUT, "cr.cr0.wp_acts": "a write to a read-only page with CR0.WP clear is a panic"}),
    # In 3.0, with Sapphire Rapids, MSRs take no addresses of 57 bits, and a VM entry that changes
    # CR4.LA57 is a panic. 3.1's device fw_cfg is what OVMF, the UEFI firmware, asks for memory.
    "3.1": Version(("forky", "sid"), "bochs3_fixes.c", ("sapphire_rapids", "wildcat_lake"),
                   (*PACKAGES, "ovmf-generic"), True, LEFT_OUT),
}

# What --bochs of the command line asks for: versions that begin so, or all.
preferred = ""

# Newer Linux takes fast string instructions for granted where CPUID has them, unless
# IA32_MISC_ENABLE says that they are off; Bochs has no such MSR, and Linux then hangs, bare as well.
# index type, then high and low halves of: value at reset, reserved bits, bits that ignore writes
MISC_ENABLE = "0x1a0 0 00000000 00000001 00000000 00000000 00000000 00000000\n"
NEED_MISC_ENABLE = ("corei7_icelake_u", "tigerlake", "sapphire_rapids", "arrow_lake",
                    "wildcat_lake")

# Features of a model that are broken in every Bochs that has it.
EXCLUDED = {
    # XSETBV with their state components ends Bochs with a panic.
    "sapphire_rapids": "amx,amx_int8,amx_bf16",
}


@dataclasses.dataclass(frozen=True)
class Bochs:
    """One that can be started."""
    version: str
    root: pathlib.Path               # of the file system it is in
    own: bool                        # it came with libraries of its own

    @property
    def bios(self):
        return self.root / "usr/share/bochs/BIOS-bochs-latest"

    @property
    def vga_bios(self):
        return self.root / "usr/share/bochs/VGABIOS-lgpl-latest"

    @property
    def uefi(self):
        """The firmware's variables and its code, as they follow each other in memory."""
        return [self.root / f"usr/share/OVMF/OVMF_{part}_4M.fd" for part in ("VARS", "CODE")]

    @property
    def debugger(self):
        """Does it start in its debugger?"""
        return self.version.startswith("2.")

    def cpu_options(self, model, directory, uefi_cpus=0):
        """The end of the line `cpu:` of its configuration; a file it needs goes to the directory."""
        options = ""
        excluded = [EXCLUDED[model]] if model in EXCLUDED else []
        # UEFI firmware's CPUs wait by MWAIT. With more than two of them Bochs 3.1 hardly gets on; they
        # wait by HLT where there is no MWAIT.
        if uefi_cpus > 2:
            excluded.append("mwait")
        if model in NEED_MISC_ENABLE:
            (directory / "msrs").write_text(MISC_ENABLE, encoding="ascii")
            options += f", msrs={directory / 'msrs'}"
        if excluded:
            options += f', exclude_features="{",".join(excluded)}"'
        return options

    def command(self):
        """What starts it, up to its own arguments."""
        fixes = fixes_library(VERSIONS[self.version].fixes)
        if not self.own:
            return ["env", f"LD_PRELOAD={fixes}", "bochs"]
        libraries = self.root / LIBRARIES
        return ["env", f"BXSHARE={self.root / 'usr/share/bochs'}",
                f"LTDL_LIBRARY_PATH={libraries / 'bochs/plugins'}",
                libraries / "ld-linux-x86-64.so.2",
                "--library-path", f"{libraries}:{libraries / 'pulseaudio'}",
                "--preload", fixes, self.root / "usr/bin/bochs-bin"]


def version_for(cpu_model, firmware="bios", wanted=""):
    """The first version that has what the machine needs, among those wanted or preferred if one of
    them does."""
    able = []
    for version, known in reversed(VERSIONS.items()):
        if known.uefi or firmware != "uefi":
            able.insert(0, version)
        if cpu_model in known.models:
            break
    chosen = [version for version in able if version.startswith(wanted or preferred)]
    return (chosen or able)[0]


@functools.lru_cache
def installed_version():
    """Upstream's version of the machine's own Bochs, such as "2.7"; None: none is installed."""
    if host.missing_packages(["bochs"]):
        return None
    return upstream(host.run(["dpkg-query", "-W", "-f", "${Version}", "bochs"]))


def own_version():
    """The same, if it is one that is known here; else ""."""
    version = installed_version()
    return version if version in VERSIONS else ""


def get(version):
    """A Bochs of that version: the machine's own, or one from the cache, which is filled first.
    Raises host.Skip where it cannot be had."""
    if version == installed_version() and not VERSIONS[version].uefi:
        return Bochs(version, pathlib.Path("/"), False)
    root = host.CACHE / f"bochs-{version}"
    with host.cache_lock():
        if not root.is_dir():
            _fetch(version, root)
    return Bochs(version, root, True)


@functools.lru_cache
def fixes_library(source):
    """The compiled library, for a version's `fixes`. It uses nothing newer of the C library than
    Debian 12 has, so that every version's own one can load it."""
    source = pathlib.Path(__file__).with_name(source)
    text = source.read_bytes() + source.with_name("bochs_patch.h").read_bytes()
    digest = hashlib.sha256(text).hexdigest()[:12]
    library = host.CACHE / f"{source.stem}-{digest}.so"
    if library.exists():
        return library
    host.CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=host.CACHE) as work:
        fresh = pathlib.Path(work) / library.name
        host.run(["clang", "-O2", "-shared", "-fPIC", "-o", fresh, source])
        fresh.rename(library)
    return library


def _fetch(version, root):
    known = VERSIONS[version]
    host.say(f"fetching Bochs {version} and the libraries it needs")
    seen = []
    with tempfile.TemporaryDirectory(dir=host.CACHE) as work:
        work = pathlib.Path(work)
        for name in known.releases:
            try:
                release = Release(name, work / name)
                release.apt("apt-get", "-q", "update")
                found = release.version_of("bochs")
                if found == version:
                    release.unpack(known.packages, work / "tree")
                    _keep_needed(work / "tree", root)
                    return
                seen.append(f"{name} has " + (found or "none"))
            except host.Failure as failure:
                seen.append(f"{name}: {str(failure).splitlines()[-2:][0]}")
    raise host.Skip(f"Bochs {version} cannot be fetched: " + "; ".join(seen))


def _keep_needed(tree, root):
    """Make the parts of the tree that are used the new directory root."""
    old = tree / "lib" / LIBRARIES.split("/")[-1]
    if not old.parent.is_symlink() and old.is_dir():
        # Before Debian 13 the C library came in /lib.
        for library in old.iterdir():
            if not library.is_dir():
                library.rename(tree / LIBRARIES / library.name)
    kept = tree.with_name("kept")
    for folder in (LIBRARIES, "usr/share/bochs", "usr/share/vgabios", "usr/share/OVMF",
                   "usr/bin"):
        if (tree / folder).is_dir():
            (kept / folder).parent.mkdir(parents=True, exist_ok=True)
            (tree / folder).rename(kept / folder)
    for program in (kept / "usr/bin").iterdir():
        if program.name != "bochs-bin":
            program.unlink()
    os.rename(kept, root)
