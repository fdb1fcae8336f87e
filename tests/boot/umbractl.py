# SPDX-License-Identifier: BSD-2-Clause
"""umbractl and the interface below it, in Linux under Umbra and on the bare machine."""

import json
import re

from harness import guest, host, tools
from harness.build import Variant
from harness.cases import FORBID_ERRORS, BootTest
from harness.engines import Hardware
from harness.media import native_linux, under_umbra

LINE = re.compile(r"UMBRACTL-([^ :]+): ?(.*)")


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


def output(lines, name, end="\n"):
    """What the program of that name printed."""
    return end.join(match.group(2) for match in map(LINE.match, lines)
                     if match and match.group(1) == name)


def parsed(lines, name):
    """(what is wrong, the JSON that the program of that name printed)"""
    try:
        return [], json.loads(output(lines, name, ""))
    except ValueError as error:
        return [f"{name}: no JSON: {error}"], None


def who(lines):
    complaints, status = parsed(lines, "root-status-json")
    if not complaints and (status["cpus"] != 1 or "hv-leaves=on" not in status["options"]):
        complaints.append(f"status: {status}")
    return complaints


def facts(lines):
    """The JSON that programs get, as a name -> its value."""
    values, complaints = {}, []
    for name in ("status", "top", "stat", "log", "report", "check"):
        complaint, values[name] = parsed(lines, f"{name}-json")
        complaints += complaint
    return complaints, values


def commands(lines):
    complaints, said = facts(lines)
    if complaints:
        return complaints
    page = output(lines, "report")
    kernel_log = "\n".join(line for line in lines if line.startswith("umbra: "))
    expected = {
        "status: 2 CPUs, memory and what is offered": (
            said["status"]["cpus"] == 2 and said["status"]["memory"]["size"] > 1 << 20
            and said["status"]["nested_offered"] and said["status"]["exits"] > 1000
            and "enable EPT" in said["status"]["nested"]["offered"]
            and "enable ENCLS exiting" not in said["status"]["nested"]["offered"]),
        "top: an entry for each CPU, with exits": (
            len(said["top"]["cpus"]) == 2 and said["top"]["all"]["exits"] > 0
            and said["top"]["all"]["exits_by_reason"].get("VMCALL", 0) > 0
            and said["top"]["all"]["seconds"] >= 0.4),
        "top: two screens of 80 columns": (
            output(lines, "top").count("exits by reason") == 2
            and max(map(len, output(lines, "top").splitlines())) <= 80),
        "stat: the command and its code": (
            said["stat"]["command"] == ["/bin/true"] and said["stat"]["exit_code"] == 0
            and said["stat"]["cost"]["exits"] > 0),
        "stat: CPUID": "CPUID" in output(lines, "stat") and "seconds" in output(lines, "stat"),
        "log: what was on the console": (
            all(line in said["log"]["lines"] for line in kernel_log.splitlines())
            and output(lines, "log").splitlines() == said["log"]["lines"]
            and output(lines, "follow").splitlines()[:len(said["log"]["lines"])]
            == said["log"]["lines"]),
        "report: samples": len(said["report"]["samples"]) == 2,
        "report: one page with charts": (
            page.startswith("<!DOCTYPE html>") and page.endswith("</html>")
            and page.count("<svg") == page.count("</svg>") >= 2
            and not re.search(r"(?:src|href)=|https?:", page)),
        "check: it runs already": (
            said["check"]["verdict"] == "good"
            and any(finding["what"] == "Umbra runs already"
                    for finding in said["check"]["findings"])),
        "check foresees what status sees": said["check"]["nested"] == said["status"]["nested"],
    }
    return [what for what, holds in expected.items() if not holds]


def bare_check(lines):
    complaints, check = parsed(lines, "check-json")
    if complaints:
        return complaints
    findings = {finding["what"]: finding["verdict"] for finding in check["findings"]}
    expected = {
        "the machine can run Umbra": check["verdict"] == "good",
        "all requirements are met": "missing" not in findings.values(),
        "no VT-d in Bochs": findings.get("no VT-d") == "note",
        "nested VMX has EPT": "enable EPT" in check["nested"]["offered"],
    }
    return [what for what, holds in expected.items() if not holds]


def initrd_with_kvm(context):
    program = context.variant.directory / "tools/umbractl/umbractl"
    return context.initrd(modules=("msr", "kvm-intel"), files={
        **guest.program_files(program),
        "/tests/ask": tools.ask(context.path("ask")),
        "/tests/kvm": tools.kvm_client(context.path("kvm_client")),
        "/tests/umbractl": guest.INIT.with_name("umbractl"),
    })


def kvm(context):
    return under_umbra(context.image, guest.vmlinux(), command_line(context, "kvm"),
                       initrd_with_kvm(context), "hv-leaves=on")


def bare(context):
    return native_linux(guest.bzimage(), command_line(context, "bare"), initrd(context))


def kvm_seen(lines):
    """L2 in the figures, and a page to look at."""
    page = output(lines, "report")
    (host.ROOT / "build/umbractl-report.html").write_text(page + "\n", encoding="utf-8")
    expected = {
        "stat tells of L2": "entries of virtual machines" in output(lines, "stat"),
        "top tells of L2": re.search(r"L2: [1-9][0-9.,]* in/s", output(lines, "top")),
        "the page has a chart of L2": "Virtual machines of the guest" in page,
    }
    return [what for what, holds in expected.items() if not holds]


def test(name, cd, expect, **options):
    return BootTest(f"umbractl.{name}", cd=cd, ends=True, timeout=options.pop("timeout", 240),
                    hardware=Hardware(cpus=options.pop("cpus", 1)),
                    expect=(*expect, r"UMBRACTL: end", r"test umbractl=ok"),
                    forbid=FORBID_ERRORS + (r"umbractl: \d+: ",), **options)


# SIGILL: #UD, as without any hypervisor.
REFUSED = r": signal 4"

TESTS = [
    test("who", umbra("who", "hv-leaves=on"), accept=who, expect=(
        r"UMBRACTL: root-status-json exits with 0",
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
    test("commands", umbra("commands", "hv-leaves=on"), cpus=2, accept=commands, expect=(
        r"UMBRACTL: status exits with 0", r"UMBRACTL: status-json exits with 0",
        r"UMBRACTL: top exits with 0", r"UMBRACTL: top-json exits with 0",
        # That of the command which it runs.
        r"UMBRACTL: stat exits with 7", r"UMBRACTL: stat-json exits with 0",
        r"UMBRACTL: log exits with 0", r"UMBRACTL: log-json exits with 0",
        r"UMBRACTL: follow exits with 143", r"UMBRACTL: report exits with 0",
        r"UMBRACTL: report-json exits with 0", r"UMBRACTL: check exits with 0",
        r"UMBRACTL: check-json exits with 0", r"UMBRACTL: wrong exits with 2")),
    test("bare", bare, variant=Variant(), accept=bare_check, engine="bochs", expect=(
        r"UMBRACTL: status exits with 3", r"UMBRACTL-check: good +VT-x with all that Umbra needs",
        r"UMBRACTL-check: Umbra can run", r"UMBRACTL: check exits with 0",
        r"UMBRACTL: check-json exits with 0",
        r"UMBRACTL-nobody-check: +-> run this as root", r"UMBRACTL: nobody-check exits with 4")),
    test("kvm", kvm, cpus=2, accept=kvm_seen, slow=True, timeout=600, expect=(
        r"UMBRACTL: top exits with 0", r"UMBRACTL: stat exits with 0",
        r"UMBRACTL: status exits with 0")),
]
