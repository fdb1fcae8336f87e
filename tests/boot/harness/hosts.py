# SPDX-License-Identifier: BSD-2-Clause
"""Slow tests of what the build machine must not matter to: its release, architecture, directories."""

import os
import pathlib
import re
import subprocess
import tempfile
import time

from . import build, elf, host, roots
from .releases import codename

# Debian's releases that Umbra is built and tested on.
RELEASES = ("bookworm", "trixie")

# What runs in seconds of the tests, and reads all of the sources.
QUICK = "./umbra test --suite unit --suite checks --filter '^unit|image|fields|format|rooms|payload'"
BOOTED = (r"umbra: ", r"UMBRA-GUEST: userspace nproc=1 workload=ok", r"UMBRA-GUEST: shell")
BOOT_SECONDS = 1800
USER = 1000
README_LINES = ("meson setup build --cross-file cross/x86_64-umbra.ini "
                "--native-file cross/native-clang.ini -Dtests=false && ninja -C build")
EFI = "src/umbra.efi"
IMAGES = ("src/umbra.elf", "subprojects/probe/probe.elf")


def fresh_log(name):
    path = host.log_path(name)
    path.write_text("", encoding="utf-8")
    return path


def wait_for_shell(command, log):
    """Run `umbra boot` until the guest's shell prompts; then interrupt it, as a user would."""
    with open(log, "ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < end:
            text = log.read_text(encoding="utf-8", errors="replace")
            if all(re.search(pattern, text) for pattern in BOOTED):
                return
            if process.poll() is not None:
                raise host.Failure(f"{text[-3000:]}\numbra boot ended, exit status "
                                   f"{process.returncode}")
            time.sleep(1)
        raise host.Failure(f"{log.read_text(errors='replace')[-3000:]}\nno shell in time")
    finally:
        # unshare lets no milder signal end it, and takes all inside with it.
        process.kill()
        process.wait()


def check_newcomer(release):
    """On a fresh minimal root `umbra boot` installs what it needs, builds and reaches the shell; then
    the quick tests pass for a user who is not root."""
    log = fresh_log(f"hosts.newcomer-{release}")
    with roots.fresh(release) as root:
        host.say(f"{release}: ./umbra boot, see {log}")
        start = time.monotonic()
        wait_for_shell(root.command("./umbra boot"), log)
        booted = time.monotonic() - start
        root.run("./umbra setup", f"{release}: ./umbra setup", log)
        root.run(f"chown -R {USER}:{USER} /umbra", f"{release}: {QUICK}", log)
        last = root.run(QUICK, f"{release}: {QUICK}", log, USER).splitlines()[-1]
        if not re.match(r"[1-9]\d* passed, 0 failed", last):
            raise host.Failure(last)
        return f"shell after {booted:.0f} s; {last}"


def differing(one, other):
    """Which of the images get other bytes into memory."""
    found = [image for image in IMAGES if elf.loads(one / image) != elf.loads(other / image)]
    return found + [EFI] * ((one / EFI).read_bytes() != (other / EFI).read_bytes())


def check_other_architecture():
    """On an ARM machine (QEMU runs its programs) the README's lines make the same image."""
    log = fresh_log("hosts.arm64")
    packages = ("clang", "lld", "llvm", "meson", "ninja-build", "python3")
    with roots.foreign_programs("aarch64"):
        with roots.fresh(codename(), "arm64", packages) as root:
            root.run(README_LINES, "building on arm64", log)
            return same_as_here(root.directory / "umbra/build", "arm64")


def check_other_directory():
    """In another directory, at another time, in another language: the same image."""
    with tempfile.TemporaryDirectory(prefix="umbra-elsewhere-") as work:
        sources = pathlib.Path(work) / "deep/down/there"
        roots.copy_sources(sources)
        environment = dict(os.environ, SOURCE_DATE_EPOCH="1", TZ="Asia/Tokyo", LC_ALL="C",
                           USER="somebody", HOSTNAME="somewhere")
        host.run_long(["sh", "-c", README_LINES], f"building in {sources}", cwd=sources,
                      env=environment)
        return same_as_here(sources / "build", "another directory")


def same_as_here(directory, where):
    variant = build.Variant()
    build.build(variant)
    if different := differing(variant.directory, directory):
        raise host.Failure(f"built in {where}, other loadable bytes: {' '.join(different)}")
    size = sum(len(load[-1]) for image in IMAGES for load in elf.loads(directory / image))
    return f"{size} bytes are the same"


def all_tests():
    """Pairs of a name and a function that raises host.Failure or host.Skip."""
    return [
        *((f"hosts.newcomer-{release}", lambda release=release: check_newcomer(release))
          for release in RELEASES),
        ("hosts.directory", check_other_directory),
        ("hosts.arm64", check_other_architecture),
    ]
