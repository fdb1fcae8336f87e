# SPDX-License-Identifier: BSD-2-Clause
"""The build machine: where things are, what is installed, how commands are run."""

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache"

BUILD_PACKAGES = (
    "clang", "lld", "llvm", "meson", "ninja-build", "pkg-config", "libcmocka-dev",
    "libclang-rt-14-dev",
)
BOOT_PACKAGES = (
    "bochs", "bochsbios", "vgabios", "qemu-system-x86", "grub-pc-bin", "grub-efi-amd64-bin",
    "grub-common", "xorriso", "mtools", "busybox-static", "cpio", "lz4", "e2fsprogs", "python3-pexpect",
)
CHECK_PACKAGES = (
    "clang-format", "clang-19", "lld-19", "llvm-19", "libclang-rt-19-dev",
    "clang-tidy-19",
)
ALL_PACKAGES = BUILD_PACKAGES + BOOT_PACKAGES + CHECK_PACKAGES


class Failure(Exception):
    """Something the user must read: printed as one line, no traceback."""


class Skip(Exception):
    """What was asked for cannot be done on this machine, and nothing is wrong for that."""


@contextlib.contextmanager
def cache_lock():
    """One process at a time fills the cache."""
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command, **options):
    """Run a command; its output is shown only when it fails."""
    command = [str(word) for word in command]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, errors="replace", check=False, **options)
    if result.returncode != 0:
        raise Failure(f"{' '.join(command)}\n{result.stdout.rstrip()}\n"
                      f"{command[0]}: exit status {result.returncode}")
    return result.stdout


def missing_packages(packages):
    """Those of the Debian packages that dpkg does not report as installed."""
    result = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    installed = {line.split()[0] for line in result.stdout.splitlines()
                 if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def ensure_packages(packages):
    """Install what is missing when root; otherwise say what to run."""
    missing = missing_packages(packages)
    if not missing:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise Failure("missing Debian packages: " + " ".join(missing)
                      + "\nas root, run: " + " ".join(install))
    print("installing: " + " ".join(missing), flush=True)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    try:
        run(install, env=environment)
    except Failure:
        # The package lists may be old or absent, as in a fresh container.
        run(["apt-get", "update"])
        run(install, env=environment)


def say(text):
    print(text, file=sys.stderr, flush=True)
