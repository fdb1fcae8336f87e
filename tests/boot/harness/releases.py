# SPDX-License-Identifier: BSD-2-Clause
"""Packages of other Debian releases, fetched from the mirror that apt uses here. Nothing is
installed, so this needs no root."""

import os
import pathlib
import re
import tempfile

from . import host


def codename():
    """This machine's release, such as "bookworm"; "" where it does not say."""
    text = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r'^VERSION_CODENAME="?(\w+)"?$', text, re.M)
    return found.group(1) if found else ""


def upstream(version):
    return re.match(r"(?:\d+:)?([\d.]+)", version).group(1)


def mirror():
    """Where apt gets this machine's release from."""
    lines = host.run(["apt-get", "indextargets", "--format",
                      "$(CREATED_BY) $(COMPONENT) $(REPO_URI) $(RELEASE) $(LABEL)"]).splitlines()
    sources = [line.split()[2:] for line in lines if line.startswith("Packages main ")]
    # Security updates, for instance, come from elsewhere and have another label. There is no
    # label before apt has fetched its lists.
    for uri, release, *label in sources:
        if label == ["Debian"] or release == codename():
            return uri
    raise host.Failure("apt has no source of Debian's packages")


def unpack_packages(packages, tree, run=None):
    """Download Debian packages and unpack them as a new directory; nothing is installed."""
    run = run or (lambda *command, **options: host.run(command, **options))
    host.say(f"fetching {' '.join(packages)}")
    with tempfile.TemporaryDirectory(dir=host.CACHE) as work:
        os.chmod(work, 0o777)  # apt drops to its own user when it is run by root
        run("apt-get", "download", *packages, cwd=work)
        unpacked = pathlib.Path(work) / "tree"
        for deb in pathlib.Path(work).glob("*.deb"):
            host.run(["dpkg", "-x", deb, unpacked])
        unpacked.rename(tree)


def unpacked(package, release=""):
    """A package of a release, this machine's own by default, unpacked in the cache; nothing is
    installed."""
    tree = host.CACHE / package
    with host.cache_lock():
        if tree.is_dir():
            return tree
        if release in ("", codename()):
            try:
                unpack_packages([package], tree)
            except host.Failure:
                if os.geteuid() != 0:
                    raise
                host.update_lists()
                unpack_packages([package], tree)
            return tree
        with tempfile.TemporaryDirectory(dir=host.CACHE) as work:
            try:
                other = Release(release, pathlib.Path(work) / release)
                other.apt("apt-get", "-q", "update")
                unpack_packages([package], tree, other.apt)
            except host.Failure as failure:
                raise host.Skip(f"{package} of {release} cannot be had: "
                                f"{str(failure).splitlines()[-2:][0]}") from failure
    return tree


class Release:
    """Another Debian release, for apt: with lists of its own, and no package installed."""

    def __init__(self, name, directory):
        self.directory = directory
        for folder in ("lists/partial", "cache/archives/partial"):
            (directory / folder).mkdir(parents=True)
        (directory / "status").touch()
        keys = next(pathlib.Path("/usr/share/keyrings").glob("debian-archive-keyring.[gp]*"), None)
        (directory / "sources.list").write_text(
            f"deb {f'[signed-by={keys}] ' if keys else ''}{mirror()} {name} main\n", "ascii")

    def apt(self, program, *arguments, **how):
        """Run a program of apt's on this release; as host.run()."""
        options = {
            "Dir::Etc::sourcelist": self.directory / "sources.list",
            "Dir::Etc::sourceparts": "-", "Dir::Etc::preferences": "-",
            "Dir::Etc::preferencesparts": "-",
            "Dir::State::lists": self.directory / "lists",
            "Dir::State::status": self.directory / "status",
            "Dir::Cache": self.directory / "cache",
            "APT::Sandbox::User": "root", "APT::Default-Release": "",
            "Acquire::Languages": "none", "Acquire::Check-Valid-Until": "false",
        }
        return host.run([program, *(f"-o{key}={value}" for key, value in options.items()),
                         *arguments], **how)

    def version_of(self, package):
        """As upstream counts them; None: it has no such package."""
        found = re.search(r"^  Candidate: (\d\S*)", self.apt("apt-cache", "policy", package), re.M)
        return upstream(found.group(1)) if found else None

    def unpack(self, packages, destination):
        """The packages and all they depend on, as a file system."""
        self.apt("apt-get", "install", "--download-only", "-y", "--no-install-recommends",
                 *packages)
        for package in (self.directory / "cache/archives").glob("*.deb"):
            host.run(["dpkg", "-x", package, destination])
