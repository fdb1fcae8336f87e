# SPDX-License-Identifier: BSD-2-Clause
"""`umbra probe`: the probe on the bare machine and under Umbra; the two transcripts must be equal.

A matrix of CPU models, and VMCS shadowing on and off, each compared with the bare run of its model:
by a digest for each case, or for each block of random rounds. Where these differ, the cases or
rounds run again in every detail."""

import concurrent.futures
import dataclasses
import os
import pathlib
import re
import tempfile
import time

from . import build, cases, console, engines, host, media, transcript

# Models of Bochs that Umbra can run on; the second has no VMCS shadowing.
MODELS = ("corei7_haswell_4770", "corei7_ivy_bridge_3770k", "corei7_skylake_x", "tigerlake")
MEMORY = 256
TIMEOUT = 900
RANDOM_TIMEOUT = 4 * 3600
BLOCK = 20                           # random rounds with one digest
EXAMPLES = 3                         # differing blocks looked into


@dataclasses.dataclass(frozen=True)
class Setting:
    """One run. shadow: None for the bare machine, else Umbra's option nested.shadow."""
    model: str
    shadow: str = None

    @property
    def name(self):
        return self.model + (", bare" if self.shadow is None else f", shadow {self.shadow}")


def run_one(setting, options, cpus, engine, variant, directory):
    """Console lines of one run of the probe."""
    hardware = engines.Hardware(cpus=cpus, memory=MEMORY, cpu_model=setting.model,
                                ignore_bad_msrs=False)
    options += engines.probe_options(engine, hardware)
    if setting.shadow is None:
        entry = media.native_multiboot2(variant.probe, options)
    else:
        entry = media.under_umbra(variant.image, variant.probe, options, None,
                                  f"nested.shadow={setting.shadow}")
    slug = re.sub(r"\W+", "-", setting.name)
    cd = media.make_cd(entry, directory / f"{slug}.iso")
    log = host.log_path(f"probe.{slug}")
    judge = console.Judge((transcript.END,), cases.FORBID)
    start = time.monotonic()
    with engines.choose(engine)(hardware, log, cdrom=cd) as machine:
        console.expect(machine, judge, RANDOM_TIMEOUT if "rounds=" in options else TIMEOUT,
                       f"{setting.name} (log: {log})")
        lines = machine.console.lines
    failed = sum(line.startswith("not ok ") for line in lines)
    passed = sum(line.startswith("ok ") for line in lines)
    host.say(f"{setting.name}: {passed} cases passed, {failed} failed, "
             f"{time.monotonic() - start:.0f} s")
    return lines


def rounds_of(lines):
    """round -> the lines of its story, from a run with `detail`."""
    stories, story = {}, None
    for line in lines:
        if line.startswith("#   VMCS "):
            story = [line]
        elif match := re.match(r"#   round, mode ([0-9a-f]+) ", line):
            stories[int(match.group(1), 16)] = story
            story.append(line)
        elif story is not None and line[:4] in ("#   ", "=   "):
            story.append(line)
    return stories


def explain(bare, umbra):
    """The first random round that differs, up to its first differing line; None: none does."""
    others = rounds_of(umbra)
    for number, story in rounds_of(bare).items():
        other = others.get(number, [])
        if story != other:
            same = len(os.path.commonprefix([story, other]))
            return number, [*story[:same], "- " + "".join(story[same:same + 1]),
                            "+ " + "".join(other[same:same + 1])]
    return None


def explore(setting, options, diff, run_pair):
    """What the differing blocks of random rounds come from."""
    text = []
    blocks = [int(match.group(1)) for line in diff
              if (match := re.match(r"-= vmx\.random rounds (\d+)-", line))]
    for first in blocks[:EXAMPLES]:
        found = explain(*run_pair(setting, f"{options} first={first} rounds={BLOCK} detail={first}"))
        if not found:
            text.append(f"rounds from {first}: equal by themselves; what came before matters")
            found = explain(*run_pair(setting, f"{options} rounds={first + BLOCK} detail={first}"))
        if not found:
            continue
        number, story = found
        alone = explain(*run_pair(setting, f"{options} first={number} rounds=1 detail={number}"))
        text += [f"round {number}" + (" (alone, too)" if alone else " (not when run alone)"),
                 *("    " + line for line in story)]
    return text


def run_random(rounds, models, shadows, seed, engine, jobs):
    """Compare so many random rounds (`vmx.random`); returns the exit status."""
    variant = build.Variant()
    build.build(variant)
    options = f"cases=vmx.random seed={seed}"
    failed = 0
    with tempfile.TemporaryDirectory(prefix="umbra-") as work, \
            concurrent.futures.ThreadPoolExecutor(jobs) as pool:

        def run_pair(setting, options):
            pair = (Setting(setting.model), setting)
            return pool.map(lambda one: run_one(one, options, 1, engine, variant,
                                                pathlib.Path(work)), pair)

        for model in models:
            for shadow in shadows:
                setting = Setting(model, shadow)
                bare, umbra = run_pair(setting, f"{options} rounds={rounds} block={BLOCK}")
                diff = transcript.differences(bare, umbra)
                counts = next(line for line in bare if line.startswith("= vmx.random: "))
                print(f"{'FAIL' if diff else 'PASS'} {setting.name}: {counts[14:]}", flush=True)
                if diff:
                    failed += 1
                    print("\n".join("    " + line
                                    for line in explore(setting, options, diff, run_pair)))
    print(f"{len(models) * len(shadows) - failed} passed, {failed} failed")
    return 1 if failed else 0


def differing_cases(diff):
    """The names of the cases whose digests differ."""
    return sorted({match.group(1) for line in diff
                   if (match := re.match(r"[-+]= ([\w.]+) digest ", line))})


def run(pattern, models, shadows, cpus, seed, engine, jobs):
    """Run the matrix; returns the exit status. Cases that differ run again, in every detail."""
    variant = build.Variant()
    build.build(variant)
    settings = [Setting(model, shadow) for model in models for shadow in (None, *shadows)]
    with tempfile.TemporaryDirectory(prefix="umbra-") as work, \
            concurrent.futures.ThreadPoolExecutor(jobs) as pool:

        def start(setting, options):
            return pool.submit(run_one, setting, f"{options} seed={seed}", cpus, engine, variant,
                               pathlib.Path(work))

        futures = {setting: start(setting, f"digest cases={pattern or '*'}")
                   for setting in settings}
        failed = 0
        for setting, future in futures.items():
            if setting.shadow is None:
                continue
            bare = Setting(setting.model)
            try:
                diff = transcript.differences(futures[bare].result(), future.result())
                names = differing_cases(diff)
                if names:
                    again = [start(one, f"transcript cases={','.join(names)}")
                             for one in (bare, setting)]
                    diff += transcript.differences(*(one.result() for one in again))
            except host.Failure as failure:
                diff = str(failure).splitlines()
            print(f"{'FAIL' if diff else 'PASS'} {setting.name}"
                  + (f": {len(diff)} lines" if diff else ": equal to the bare machine"))
            print("\n".join("    " + line for line in diff[:200]), end="\n" if diff else "",
                  flush=True)
            failed += bool(diff)
    print(f"{len(futures) - len(models) - failed} passed, {failed} failed")
    return 1 if failed else 0
