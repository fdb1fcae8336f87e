# SPDX-License-Identifier: BSD-2-Clause
"""umbractl and the interface below it, in Linux under Umbra and on the bare machine."""

import json
import re

from harness import guest, tools
from harness.cases import FORBID_ERRORS, BootTest
from harness.engines import Hardware
from harness.media import native_linux, under_umbra

LINE = re.compile(r"UMBRACTL-(\S+): ?(.*)")


def initrd(context):
    program = context.variant.directory / "tools/umbractl/umbractl"
    return context.initrd(modules=("msr",), files={
        **guest.program_files(program),
        "/tests/ask": tools.ask(context.path("ask")),
        "/tests/umbractl": guest.INIT.with_name("umbractl"),
    })


def command_line(context, part):
    return context.command_line(f"umbra.workload=off umbra.test=umbractl umbra.part={part} "
                                "umbra.after=poweroff quiet")


def umbra(part, options):
    return lambda context: under_umbra(context.image, guest.vmlinux(),
                                       command_line(context, part), initrd(context), options)


def output(lines, name):
    """What the program of that name printed."""
    return "\n".join(match.group(2) for match in map(LINE.match, lines)
                     if match and match.group(1) == name)


def parsed(lines, name):
    """(what is wrong, the JSON that the program of that name printed)"""
    try:
        return [], json.loads(output(lines, name))
    except ValueError as error:
        return [f"{name}: no JSON: {error}"], None


def who(lines):
    complaints, status = parsed(lines, "root-status")
    if not complaints and (status["cpus"] != 1 or "hv-leaves=on" not in status["options"]):
        complaints.append(f"status: {status}")
    return complaints


def test(name, cd, expect, **options):
    return BootTest(f"umbractl.{name}", cd=cd, ends=True, timeout=240,
                    hardware=Hardware(cpus=options.pop("cpus", 1)),
                    expect=(*expect, r"UMBRACTL: end", r"test umbractl=ok"),
                    forbid=FORBID_ERRORS + (r"umbractl: \d+: ",), **options)


# SIGILL: #UD, as without any hypervisor.
REFUSED = r": signal 4"

TESTS = [
    test("who", umbra("who", "hv-leaves=on"), accept=who, expect=(
        r"UMBRACTL: root-status exits with 0",
        r"ASK: TOKEN: answered 1", r"ASK: 0" + REFUSED, r"ASK: f{16}" + REFUSED,
        r"ASK: [0-9a-f]+" + REFUSED,
        r"UMBRACTL-nobody-status: umbractl: only root may ask",
        r"UMBRACTL: nobody-status exits with 4",
        r"UMBRACTL: nobody-token exits with 1",
        r"ASK: 0" + REFUSED, r"ASK: 1" + REFUSED, r"ASK: f{16}" + REFUSED,
        # Not even where everyone may open the device: the driver wants CAP_SYS_RAWIO.
        r"UMBRACTL: open-status exits with 4", r"UMBRACTL: open-token exits with 1",
        r"ASK: TOKEN: answered 1",
        r"UMBRACTL-no-msr-status: .*modprobe msr", r"UMBRACTL: no-msr-status exits with 1")),
    test("off", umbra("off", ""), expect=(
        r"UMBRACTL: root-status exits with 3", r"UMBRACTL: root-token exits with 1",
        r"ASK: 0" + REFUSED, r"ASK: f{16}" + REFUSED, r"ASK: 0" + REFUSED)),
]
