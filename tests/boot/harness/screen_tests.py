# SPDX-License-Identifier: BSD-2-Clause
"""Tests of what Umbra draws on a screen, read from a picture of it."""

import pathlib
import re
import tempfile

from . import build, cases, console, engines, host, media, terminal

# In memory, and with so much of it the firmware takes that from above 4 GiB.
HIGH = ("-vga", "none", "-device", "ramfb")
MEGABYTES = 6144
SECONDS = 300


def watch(work, name, entry, *expect, picture=None):
    """Boots it and returns what was said until then; a picture of the screen then, too."""
    cd = media.make_cd(entry, work / "cd.iso", "uefi")
    hardware = engines.Hardware(memory=MEGABYTES, firmware="uefi", monitor=True, extra=HIGH)
    with engines.Tcg(hardware, host.log_path(name), cdrom=cd) as machine:
        console.expect(machine, console.Judge(expect, cases.FORBID), SECONDS)
        machine.ask_monitor(*([f"screendump {picture}"] if picture else []), "quit")
        console.expect(machine, console.Judge(), SECONDS, ends=True)
        return [line.rstrip() for line in machine.console.lines]


def check_high():
    """A refusal can be read where the frame buffer is above 4 GiB, which neither the loader's tables
    nor Umbra's early ones map by themselves."""
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        work = pathlib.Path(work)
        variant = build.Variant()
        build.build(variant)
        place = r"^# screen of \d+ by \d+ pixels at ([0-9a-f]+)"
        lines = watch(work, "screen.high.probe", media.native_multiboot2(variant.probe, "cases=cpuid"),
                      place, r"^PROBE-END")
        [address] = [int(found.group(1), 16) for found in map(re.compile(place).match, lines) if found]
        if address < 1 << 32:
            raise host.Failure(f"the frame buffer is at {address:#x}, not above 4 GiB")
        picture = work / "screen.ppm"
        entry = media.under_umbra(variant.image, variant.probe, umbra_args="efi=end")
        lines = watch(work, "screen.high", entry, r"^umbra: error: .* lacks VMX", picture=picture)
        said = [line for line in lines if line.startswith("umbra: ")]
        shown = terminal.text_on(picture.read_bytes())
        if missing := [line for line in said if line not in shown]:
            raise host.Failure("\n".join([*shown, "on the screen there is not", *missing]))
        return f"{len(said)} lines at {address:#x}"


def all_tests():
    """Pairs of a name and a function that raises host.Failure or host.Skip."""
    return [("screen.high", check_high)]
