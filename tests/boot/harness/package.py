# SPDX-License-Identifier: BSD-2-Clause
"""The Debian package, and installing without dpkg."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from . import build, host, roots

PACKAGES = ("debhelper", "dpkg-dev", "lintian")
PREFIX = pathlib.Path("/usr/local")
# What was installed, one path a line; a directory that was not there before ends in a slash.
MANIFEST = PREFIX / "lib/umbra/installed"
SETTINGS = pathlib.Path("/etc/default/umbra")
# What `umbractl try` remembers.
STATE = pathlib.Path("/var/lib/umbra")


def make():
    """Build the package from the files that git knows, and check it; returns its path in build/."""
    host.ensure_packages(host.BUILD_PACKAGES + PACKAGES)
    with tempfile.TemporaryDirectory(prefix="umbra-deb-") as work:
        source = pathlib.Path(work) / "umbra"
        roots.copy_sources(source)
        host.run_long(["dpkg-buildpackage", "--build=binary", "--no-sign"], "building the package",
                      cwd=source)
        [package] = pathlib.Path(work).glob("umbra_*.deb")
        host.run(["lintian", "--fail-on", "error,warning", "--allow-root", package])
        host.ROOT.joinpath("build").mkdir(exist_ok=True)
        return pathlib.Path(shutil.copy(package, host.ROOT / "build"))


def inside(root, path):
    """Where the path of the installed system is from here."""
    return root / path.relative_to("/")


def install(root):
    """The package's files, below /usr/local where they would be below /usr."""
    host.ensure_packages(host.BUILD_PACKAGES)
    settings = inside(root, SETTINGS)
    kept = settings.read_bytes() if settings.exists() else None
    with tempfile.TemporaryDirectory(prefix="umbra-install-") as work:
        tree, directory = pathlib.Path(work) / "tree", host.ROOT / "build/install"
        options = [*build.Variant(tests=False).options(), f"--prefix={PREFIX}", "--sysconfdir=/etc"]
        with host.locked(directory):
            if not (directory / "build.ninja").exists():
                host.run_long(["meson", "setup", directory, host.ROOT, *options], "configuring")
            host.run_long(["ninja", "-C", directory], "building")
            host.run(["meson", "install", "-C", directory, "--no-rebuild", "--destdir", tree])
        if inside(root, MANIFEST).exists():
            remove(root)
        manifest = inside(tree, MANIFEST)
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.touch()
        names = sorted(f"/{path.relative_to(tree)}" + "/" * path.is_dir() for path in tree.rglob("*")
                       if not path.is_dir() or not (root / path.relative_to(tree)).exists())
        manifest.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        for name in names:
            path = pathlib.Path(name)
            if name.endswith("/"):
                inside(root, path).mkdir()
            else:
                shutil.copy2(inside(tree, path), inside(root, path), follow_symlinks=False)
    if kept is not None:
        settings.write_bytes(kept)
    update_menu(root)
    return sum(not name.endswith("/") for name in names)


def remove(root):
    """What install() has put there, and its directories if nothing else is in them."""
    names = inside(root, MANIFEST).read_text(encoding="utf-8").splitlines()
    for name in sorted(names, reverse=True):
        path = inside(root, pathlib.Path(name))
        if not name.endswith("/"):
            path.unlink(missing_ok=True)
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def uninstall(root):
    if not inside(root, MANIFEST).exists():
        raise host.Failure(f"{inside(root, MANIFEST)}: not installed by ./umbra install")
    remove(root)
    shutil.rmtree(inside(root, STATE), ignore_errors=True)
    update_menu(root)


def update_menu(root):
    """As the package does. In another root there is no telling what its disks are."""
    if root == pathlib.Path("/") and os.path.exists("/boot/grub/grub.cfg") \
            and shutil.which("update-grub"):
        subprocess.run(["update-grub"], check=True)
