# SPDX-License-Identifier: BSD-2-Clause
"""The build machine: where things are, what is installed, how commands are run."""

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache"

PROGRESS_SECONDS = 10


def clang_packages(version):
    """What a compiler of that version needs to build all of Umbra and its tests."""
    return (f"clang-{version}", f"lld-{version}", f"llvm-{version}", f"libclang-rt-{version}-dev")


BUILD_PACKAGES = (
    "clang", "lld", "llvm", "meson", "ninja-build", "pkg-config", "libcmocka-dev", "libclang-rt-dev",
)
BOOT_PACKAGES = (
    "bochs", "bochsbios", "vgabios", "qemu-system-x86", "grub-pc-bin", "grub-efi-amd64-bin",
    "grub-common", "xorriso", "mtools", "busybox-static", "cpio", "lz4", "zstd", "e2fsprogs",
    "python3-pexpect",
)
# The sources are checked with these versions of clang beside the release's own.
CHECK_CLANGS = (14, 19)
# No release has all of them: what is not to be had is not checked with.
CHECK_PACKAGES = (
    *(package for version in CHECK_CLANGS for package in clang_packages(version)),
    "clang-format-14", "clang-tidy-19", "debhelper", "gdb", "lintian", "mandoc",
)


class Failure(Exception):
    """Something the user must read: printed as one line, no traceback."""


class Skip(Exception):
    """What was asked for cannot be done on this machine, and nothing is wrong for that."""


@contextlib.contextmanager
def locked(directory):
    """One process at a time is between the beginning and the end of the with statement."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cache_lock():
    """One process at a time fills the cache."""
    return locked(CACHE)


def log_path(name):
    """Where a console or a long command leaves what it says."""
    path = ROOT / "build/logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


SHOWN = 500                          # of a command that failed


def run(command, **options):
    """Run a command; its output is shown only when it fails."""
    command = [str(word) for word in command]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, errors="replace", check=False, **options)
    if result.returncode != 0:
        shown = " ".join(command)
        shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]} …"
        raise Failure(f"{shown}\n{result.stdout.rstrip()}\n"
                      f"{command[0]}: exit status {result.returncode}")
    return result.stdout


def run_long(command, what, log=None, **options):
    """The same for what takes long: says what it does and, now and then, what that printed last. A
    log gets all of it, even if we are interrupted."""
    command = [str(word) for word in command]
    say(what)
    lines, due = [], time.monotonic() + PROGRESS_SECONDS
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace",
                          **options) as process:
        try:
            for line in process.stdout:
                lines.append(line)
                if log:
                    log.write(line)
                if line.strip() and time.monotonic() >= due:
                    say("  " + line.strip()[:90])
                    due = time.monotonic() + PROGRESS_SECONDS
        except BaseException:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    output = "".join(lines)
    if process.returncode != 0:
        raise Failure(f"{' '.join(command)}\n{output.rstrip()}\n"
                      f"{command[0]}: exit status {process.returncode}")
    return output


def missing_packages(packages):
    """Those of the Debian packages that dpkg does not report as installed."""
    result = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    installed = {line.split()[0] for line in result.stdout.splitlines()
                 if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def offered_packages(packages):
    """Those that apt can install, as far as it knows."""
    lines = run(["apt-cache", "madison", *packages]).splitlines() if packages else []
    return {line.split("|")[0].strip() for line in lines}


def update_lists():
    run_long(["apt-get", "update"], "reading the lists of packages (apt-get update)")


def ensure_packages(packages, if_offered=()):
    """Install what is missing when root; otherwise say what to run. Of the second kind, only
    those that this release has."""
    missing = missing_packages(packages)
    wanted = missing_packages(if_offered)
    root = os.geteuid() == 0
    if root and (missing or wanted) and not offered_packages(["dpkg"]):
        # There are no package lists, as in a fresh container.
        update_lists()
    offered = offered_packages(wanted)
    missing += [package for package in wanted if package in offered]
    if not missing:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if not root:
        raise Failure("missing Debian packages: " + " ".join(missing)
                      + "\nas root, run: " + " ".join(install))
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    what = "installing: " + " ".join(missing)
    try:
        run_long(install, what, env=environment)
    except Failure:
        # The lists may be old.
        update_lists()
        if unknown := set(missing) - offered_packages(missing):
            raise Failure("this Debian release has no " + ", ".join(sorted(unknown))) from None
        run_long(install, what, env=environment)


def say(text):
    # In one piece: another thread may speak, too.
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
