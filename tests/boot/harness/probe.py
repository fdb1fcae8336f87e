# SPDX-License-Identifier: BSD-2-Clause
"""`umbra probe`: the probe on the bare machine and under Umbra; the two transcripts must be equal.

A matrix of CPU models, and VMCS shadowing on and off, each compared with the bare run of its model."""

import concurrent.futures
import dataclasses
import difflib
import pathlib
import re
import tempfile
import time

from . import build, cases, console, engines, host, media

# Models of Bochs that Umbra can run on; the second has no VMCS shadowing.
MODELS = ("corei7_haswell_4770", "corei7_ivy_bridge_3770k", "corei7_skylake_x", "tigerlake")
MEMORY = 256
TIMEOUT = 900

# Lines that may differ: a pattern, and why. They are left out of the comparison.
DIFFERENCES = (
    (r"^# probe, started by ", "the command line"),
    (r"^# cpu ", "the measured speed of the TSC"),
)
DIFFERING = re.compile("|".join(pattern for pattern, _ in DIFFERENCES))
START, END = "TAP version 13", "PROBE-END "


@dataclasses.dataclass(frozen=True)
class Setting:
    """One run. shadow: None for the bare machine, else Umbra's option nested.shadow."""
    model: str
    shadow: str = None

    @property
    def name(self):
        return self.model + (", bare" if self.shadow is None else f", shadow {self.shadow}")


def transcript(lines):
    """The lines that must not differ."""
    if START not in lines:
        raise host.Failure("the probe did not start")
    lines = lines[lines.index(START):]
    return [line for line in lines if not DIFFERING.search(line)]


def run_one(setting, options, cpus, engine, variant, directory):
    """Console lines of one run of the probe."""
    if setting.shadow is None:
        entry = media.native_multiboot2(variant.probe, options)
    else:
        entry = media.under_umbra(variant.image, variant.probe, options, None,
                                  f"nested.shadow={setting.shadow}")
    slug = re.sub(r"\W+", "-", setting.name)
    cd = media.make_cd(entry, directory / f"{slug}.iso")
    log = host.ROOT / f"build/logs/probe.{slug}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    hardware = engines.Hardware(cpus=cpus, memory=MEMORY, cpu_model=setting.model,
                                ignore_bad_msrs=False)
    judge = console.Judge((END,), cases.FORBID)
    start = time.monotonic()
    with engines.choose(engine)(hardware, log, cdrom=cd) as machine:
        problem = console.watch(machine, judge, TIMEOUT)
        lines = machine.console.lines
        if problem:
            raise host.Failure("\n".join([*machine.console.tail(40), *machine.emulator_tail(),
                                          f"{setting.name}: {problem} (log: {log})"]))
    failed = sum(line.startswith("not ok ") for line in lines)
    passed = sum(line.startswith("ok ") for line in lines)
    host.say(f"{setting.name}: {passed} cases passed, {failed} failed, "
             f"{time.monotonic() - start:.0f} s")
    return lines


def differences(bare, umbra):
    """The differing lines, as a unified diff without context; empty: equal."""
    return list(difflib.unified_diff(transcript(bare), transcript(umbra), "bare", "Umbra", "", "",
                                     0, ""))


def run(pattern, models, shadows, cpus, seed, engine, jobs):
    """Run the matrix; returns the exit status."""
    variant = build.Variant()
    build.build(variant)
    options = f"transcript cases={pattern or '*'} seed={seed}"
    settings = [Setting(model, shadow) for model in models for shadow in (None, *shadows)]
    with tempfile.TemporaryDirectory(prefix="umbra-") as work, \
            concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = {setting: pool.submit(run_one, setting, options, cpus, engine, variant,
                                        pathlib.Path(work))
                   for setting in settings}
        failed = 0
        for setting, future in futures.items():
            if setting.shadow is None:
                continue
            try:
                diff = differences(futures[Setting(setting.model)].result(), future.result())
            except host.Failure as failure:
                diff = str(failure).splitlines()
            print(f"{'FAIL' if diff else 'PASS'} {setting.name}"
                  + (f": {len(diff)} lines" if diff else ": equal to the bare machine"))
            print("\n".join("    " + line for line in diff[:200]), end="\n" if diff else "")
            failed += bool(diff)
    print(f"{len(futures) - len(models) - failed} passed, {failed} failed")
    return 1 if failed else 0
