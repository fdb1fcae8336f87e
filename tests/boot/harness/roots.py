# SPDX-License-Identifier: BSD-2-Clause
"""Fresh file systems of Debian releases, and commands that run in them as on a machine of its own."""

import contextlib
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile

from . import host
from .releases import mirror

BINFMT = pathlib.Path("/proc/sys/fs/binfmt_misc")
# Everything mounted or started inside ends with the command, and that with the harness.
NAMESPACES = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private",
              "--pid", "--fork", "--kill-child")


class Root:
    """A directory with a minimal Debian."""

    def __init__(self, directory):
        self.directory = directory

    def command(self, words, user=None):
        """What runs the words inside, in Umbra's sources; user is a number, or None for root."""
        root = shlex.quote(str(self.directory))
        become = f"setpriv --reuid={user} --regid={user} --clear-groups" if user else ""
        script = (f"mount --rbind /dev {root}/dev && mount --rbind /sys {root}/sys && "
                  f"mount -t proc proc {root}/proc && "
                  f"exec chroot {root} {become} env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "
                  f"HOME=/umbra LC_ALL=C.UTF-8 sh -c {shlex.quote('cd /umbra && ' + words)}")
        return [*NAMESPACES, "sh", "-c", script]

    def run(self, words, what, log, user=None):
        """Run a shell command inside, its output to the log as well; as host.run_long()."""
        with open(log, "a", encoding="utf-8") as file:
            return host.run_long(self.command(words, user), what, file)


@contextlib.contextmanager
def fresh(release, architecture=None, packages=("python3",)):
    """A Root of a Debian release with Umbra's sources in /umbra, while a with statement lasts."""
    if os.geteuid() != 0:
        raise host.Skip("making a root file system needs root")
    if subprocess.run([*NAMESPACES, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise host.Skip("a mount namespace cannot be made here")
    host.ensure_packages(("debootstrap", "git"))
    name = f"{release}" + (f" for {architecture}" if architecture else "")
    with tempfile.TemporaryDirectory(prefix="umbra-root-", dir="/var/tmp") as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        try:
            host.run_long(["debootstrap", "--variant=minbase", "--include=" + ",".join(packages),
                           *([f"--arch={architecture}"] if architecture else []),
                           release, directory, mirror()], f"making a root of {name}")
        except host.Failure as failure:
            if "Failed getting release" in str(failure) or "No such script" in str(failure):
                raise host.Skip(f"{release} cannot be had from the mirror") from failure
            raise
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", directory / "etc" / name)
        copy_sources(directory / "umbra")
        yield Root(directory)


def copy_sources(destination):
    """The files that git knows, as they are now."""
    names = host.run(["git", "-c", "safe.directory=*", "-C", host.ROOT, "ls-files", "-z"])
    for name in filter(None, names.split("\0")):
        if (host.ROOT / name).exists():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(host.ROOT / name, destination / name)


@contextlib.contextmanager
def foreign_programs(architecture):
    """Programs of another architecture run, by QEMU, while a with statement lasts."""
    if os.geteuid() != 0:
        raise host.Skip("running programs of another architecture needs root")
    host.ensure_packages(("qemu-user-static",))
    entry = BINFMT / f"qemu-{architecture}"
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT],
                       stderr=subprocess.DEVNULL, check=False)
    ours = not entry.exists()
    if ours:
        rule = pathlib.Path(f"/usr/lib/binfmt.d/qemu-{architecture}.conf")
        try:
            (BINFMT / "register").write_bytes(rule.read_bytes().strip())
        except OSError as error:
            raise host.Skip(f"the kernel does not take QEMU for {architecture}: {error}") from error
    try:
        yield
    finally:
        if ours:
            entry.write_bytes(b"-1")
