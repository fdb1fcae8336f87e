# SPDX-License-Identifier: BSD-2-Clause
"""OVMF, UEFI firmware for QEMU, from Debian's package; nothing is installed."""

from . import bochs, host
from .releases import unpack_packages

# The package's own test key, which its Secure Boot variables trust.
PASSPHRASE = "snakeoil"


def _tree():
    tree = host.CACHE / "ovmf"
    with host.cache_lock():
        if not tree.is_dir():
            unpack_packages(["ovmf"], tree)
    return tree / "usr/share"


def files(firmware):
    """The firmware's code and the variables it starts with, for Hardware.firmware."""
    if firmware == "uefi-nx":
        # Newer than this release's.
        share = bochs.get(bochs.version_for(None, "uefi")).root / "usr/share/OVMF"
        return share / "OVMF_CODE_4M.secboot.strictnx.fd", share / "OVMF_VARS_4M.fd"
    share = _tree() / "OVMF"
    if firmware == "uefi-secure":
        return share / "OVMF_CODE_4M.secboot.fd", share / "OVMF_VARS_4M.snakeoil.fd"
    return share / "OVMF_CODE_4M.fd", share / "OVMF_VARS_4M.fd"


def sign(program, destination):
    """An EFI program signed with the key that the secure variables trust."""
    host.ensure_packages(("sbsigntool", "openssl"))
    locked, certificate = (_tree() / "ovmf" / f"PkKek-1-snakeoil.{kind}" for kind in ("key", "pem"))
    key = destination.with_suffix(".key")
    host.run(["openssl", "rsa", "-in", locked, "-passin", f"pass:{PASSPHRASE}", "-out", key])
    host.run(["sbsign", "--key", key, "--cert", certificate, "--output", destination, program])
    return destination
