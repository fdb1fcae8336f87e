# SPDX-License-Identifier: BSD-2-Clause
"""What a boot test is, how it is found and run."""

import dataclasses
import importlib.util
import pathlib
import tempfile
import typing

from . import console, engines, guest, host, media, transcript
from .build import Variant
from .tap import TapJudge

TABLES = host.ROOT / "tests/boot"

# Bochs's CPU models have more cores by CPUID leaf 04H than logical processors by leaf 01H; newer
# kernels warn of that, bare as well.
WARNING = r"WARNING: (?:CPU:|\S+:\d+ at )(?!.*\bparse_legacy\b)"

# What no guest and no hypervisor may ever print.
FORBID = (
    r"umbra: error: PANIC",
    r"Kernel panic",
    r"\bBUG: ",
    r"\bOops: ",
    WARNING,
    r"unchecked MSR access",
    r"detected stall",
)
# Umbra has no reason to complain when all is well.
FORBID_ERRORS = FORBID + (r"umbra: error:",)


def forbid_errors_but(function):
    """The same without a warning of this function of the kernel's."""
    return tuple(rf"{pattern}(?!.*\b{function}\b)" if pattern is WARNING else pattern
                 for pattern in FORBID_ERRORS)


class Context:
    """What a test's media are made of; one per run, with a directory of its own."""

    def __init__(self, variant, directory, probe_options=""):
        self.variant = variant
        self.probe_options = probe_options
        self.image = variant and variant.image
        self.probe = variant and variant.probe
        self.efi = variant and variant.efi
        self.directory = directory

    def path(self, name):
        return self.directory / name

    def write(self, name, data):
        self.path(name).write_bytes(data)
        return self.path(name)

    def initrd(self, **options):
        """The harness's initramfs; see guest.initramfs for the options."""
        return guest.initramfs(self.path("initrd.img"), **options)

    @staticmethod
    def command_line(more=""):
        return f"{guest.COMMAND_LINE} {more}".strip()


@dataclasses.dataclass(frozen=True)
class BootTest:
    """One boot. `cd` and `disk` make the GRUB entries, `esp` an EFI system partition, from a Context;
    at least one is given. With `swap` there is an empty disk of so many MiB."""
    name: str
    cd: typing.Callable = None
    disk: typing.Callable = None
    esp: typing.Callable = None
    swap: int = 0
    expect: tuple = ()               # patterns of serial lines, in this order
    forbid: tuple = FORBID_ERRORS
    tap: bool = False                # the guest reports by TAP instead
    same_as: typing.Callable = None  # the cd of another boot, whose console must be like this one's
    compare: typing.Callable = transcript.differences  # (other's lines, lines) -> what differs
    accept: typing.Callable = None   # console lines -> what is wrong with them
    engine: str = "auto"
    hardware: engines.Hardware = engines.Hardware()
    timeout: int = 300               # seconds
    keys: tuple = ()                 # (pattern, text, seconds): what is typed, from a line on, again
                                     # and again after so many seconds
    linger: int = 0                  # watch so much longer for forbidden lines
    ends: bool = False               # the machine must switch itself off in the end
    slow: bool = False               # not run by default
    suite: str = "boot"
    variant: Variant = Variant()     # the build of Umbra it needs; None: no Umbra in it


@dataclasses.dataclass
class Result:
    name: str
    seconds: float
    problem: str = None              # None: passed
    detail: str = ""
    note: str = ""
    skipped: str = ""                # why it was not run


def find(directory=TABLES):
    """Every BootTest in the TESTS of the directory's Python files."""
    tests = []
    for path in sorted(pathlib.Path(directory).glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"umbra_tests_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        tests += module.TESTS
    names = [test.name for test in tests]
    if len(set(names)) != len(names):
        raise host.Failure("two boot tests have the same name")
    return tests


def judge_of(test):
    return TapJudge(test.forbid) if test.tap else console.Judge(test.expect, test.forbid)


def execute(test):
    """Run one test. Returns (problem or None, detail for the reader, judge, console lines)."""
    problem, detail, judge, lines = boot(test)
    if test.same_as and not problem:
        medium = "esp" if test.esp else "cd"
        other = dataclasses.replace(test, name=f"{test.name}.other", **{medium: test.same_as})
        problem, detail, _, others = boot(other)
        if not problem and (differences := test.compare(others, lines)):
            problem = f"{len(differences)} differing lines"
            detail = "\n".join(differences[:40])
    if test.accept and not problem and (complaints := test.accept(lines)):
        problem, detail = f"{len(complaints)} complaints", "\n".join(complaints)
    return problem, detail, judge, lines


def boot(test):
    """One boot, judged; returns as execute()."""
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        context = Context(test.variant, pathlib.Path(work),
                          engines.probe_options(test.engine, test.hardware))
        cd = test.cd and media.make_cd(test.cd(context), context.path("cd.iso"),
                                           test.hardware.firmware)
        disk = test.disk and media.make_disk(test.disk(context), context.path("disk.img"))
        if test.esp:
            disk = media.make_esp(test.esp(context), context.path("disk.img"))
        if test.swap:
            disk = context.path("disk.img")
            with open(disk, "wb") as image:
                image.truncate(test.swap << 20)
        judge = judge_of(test)
        log = host.log_path(test.name)
        engine = engines.choose(test.engine)
        with engine(test.hardware, log, cdrom=cd, disk=disk) as machine:
            problem = console.watch(machine, judge, test.timeout, test.linger, test.ends,
                                    test.keys)
            detail = ""
            if problem:
                detail = "\n".join([f"--- {log}, its end:", *machine.console.tail(),
                                    f"--- {engine.name}:", *machine.emulator_tail()])
            return problem, detail, judge, machine.console.lines
