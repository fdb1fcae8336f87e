# SPDX-License-Identifier: BSD-2-Clause
"""`umbra test`: the suites, one line per test, a total at the end."""

import concurrent.futures
import json
import os
import re
import subprocess
import time

from . import (build, cases, checks, console, debug_tests, host, hosts, newcomer, packaged,
               panic_tests, screen_tests, selftests, stick_tests)
from .cases import Result

SUITES = ("unit", "fuzz", "checks", "boot", "slow")
DEFAULT = ("unit", "fuzz", "checks", "boot")


class Report:
    """Prints results as they come and counts them."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, result):
        if result.skipped:
            self.skipped += 1
            print(f"SKIP {result.name}: {result.skipped}", flush=True)
            return
        if result.problem is None:
            self.passed += 1
            note = f" ({result.note})" if result.note else ""
            print(f"PASS {result.name} {result.seconds:.1f} s{note}", flush=True)
            return
        self.failed += 1
        print(f"FAIL {result.name} {result.seconds:.1f} s: {result.problem}", flush=True)
        if result.detail:
            print("\n".join("    " + line for line in result.detail.splitlines()), flush=True)

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed"
              + (f", {self.skipped} skipped" if self.skipped else ""), flush=True)
        return 1 if self.failed or not (self.passed or self.skipped) else 0


def timed(name, action):
    """Run an action that may raise host.Skip, or host.Failure; its text becomes the problem and the detail."""
    start = time.monotonic()
    try:
        note = action()
    except host.Skip as reason:
        return Result(name, time.monotonic() - start, skipped=str(reason))
    except host.Failure as failure:
        lines = str(failure).splitlines() or ["failed"]
        return Result(name, time.monotonic() - start, lines[-1], "\n".join(lines[-60:]))
    return Result(name, time.monotonic() - start, note=note or "")


def run_meson_suite(suite, pattern, report):
    """A suite of hosted tests that Meson knows."""
    variant = build.Variant()
    built = timed(f"{suite}.build", lambda: build.build(variant) and None)
    if built.problem:
        report.add(built)
        return
    log = variant.directory / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    command = ["meson", "test", "-C", variant.directory, "--suite", suite, "--no-rebuild",
               "--num-processes", str(os.cpu_count()),
               # Half a minute by default: too little where others use the machine, too.
               "--timeout-multiplier", "10"]
    if pattern:
        names = [name for name in meson_tests(variant, suite)
                 if re.search(pattern, f"{suite}.{name}")]
        if not names:
            return
        command += names
    host.say(f"running the tests of {suite}")
    subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
    if not log.exists():
        report.add(Result(suite, 0, "meson test ran nothing"))
        return
    for line in log.read_text(encoding="utf-8").splitlines():
        test = json.loads(line)
        name = test["name"].split(" / ")[-1]
        result = Result(f"{suite}.{name}", test["duration"])
        if test["result"] not in ("OK", "EXPECTEDFAIL"):
            result.problem = test["result"].lower()
            result.detail = "\n".join((test.get("stdout", "") + test.get("stderr", ""))
                                      .splitlines()[-40:])
        report.add(result)


def meson_tests(variant, suite):
    """Names of the tests in a suite."""
    tests = json.loads(host.run(["meson", "introspect", "--tests", variant.directory]))
    return [test["name"] for test in tests
            if any(s.split(":")[-1] == suite for s in test["suite"])]


# Of each suite: what gives pairs of a name and a function.
ACTIONS = {
    "checks": (checks.all_checks,),
    "boot": (debug_tests.all_tests, panic_tests.all_tests, screen_tests.all_tests,
             stick_tests.all_tests),
    "slow": (hosts.all_tests, packaged.all_tests, newcomer.all_tests, stick_tests.slow_tests),
}


def select_actions(suites, pattern):
    """Tests that are neither Meson's nor of the table of boots, as pairs of a name and a function."""
    return [(name, action) for suite, sources in ACTIONS.items() if suite in suites
            for source in sources for name, action in source()
            if not pattern or re.search(pattern, name)]


def run_boot_test(test):
    host.say(f"booting {test.name}")
    start = time.monotonic()
    try:
        problem, detail, judge, _ = cases.execute(test)
    except host.Skip as reason:
        return Result(test.name, time.monotonic() - start, skipped=str(reason))
    except host.Failure as failure:
        return Result(test.name, time.monotonic() - start, "could not be run", str(failure))
    note = judge.summary() if test.tap else ""
    return Result(test.name, time.monotonic() - start, problem, detail, note)


def run_action(name, action):
    host.say(f"running {name}")
    return timed(name, action)


def run_boot_tests(tests, actions, jobs, report):
    """Emulators use one CPU each, so as many run at once as jobs says."""
    for variant in dict.fromkeys(test.variant for test in tests if test.variant):
        built = timed(f"boot.build-{variant.name}", lambda v=variant: build.build(v) and None)
        if built.problem:
            report.add(built)
            return
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(run_action, *action) for action in actions]
        futures += [pool.submit(run_boot_test, test) for test in tests]
        try:
            for future in concurrent.futures.as_completed(futures):
                report.add(future.result())
        except BaseException:
            console.STOP.set()
            pool.shutdown(cancel_futures=True)
            raise


def select_boot_tests(suites, pattern):
    """The boot tests of the suites, those whose name matches the pattern if there is one."""
    chosen = []
    for test in cases.find():
        wanted = "slow" in suites if test.slow else test.suite in suites
        if wanted and (not pattern or re.search(pattern, test.name)):
            chosen.append(test)
    return chosen


def list_tests(suites, pattern):
    for test in select_boot_tests(suites, pattern):
        print(test.name + (" (slow)" if test.slow else ""))
    for name, _ in select_actions(suites, pattern):
        print(name)


def run(suites, pattern, jobs):
    """Run the suites; returns the exit status."""
    report = Report()
    start = time.monotonic()
    for suite in ("unit", "fuzz"):
        if suite in suites:
            run_meson_suite(suite, pattern, report)
    if "checks" in suites:
        run_meson_suite("checks", pattern, report)
    # Those of the boot suite use one CPU each, as boots do, so they run side by side with them.
    for name, action in select_actions(set(suites) - {"boot"}, pattern):
        report.add(run_action(name, action))
    run_boot_tests(select_boot_tests(suites, pattern),
                   select_actions(set(suites) & {"boot"}, pattern), jobs, report)
    print(f"{time.monotonic() - start:.0f} s in all")
    return report.close()


def run_selftests(jobs):
    """KVM's selftests on the bare machine and under Umbra; writes the table of their results and
    returns the exit status."""
    tests = {test.name: test for test in cases.find()}
    tests = [tests[f"kvm.selftests{kind}"] for kind in ("-native", "", "-noshadow")]
    build.build(tests[1].variant)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = list(pool.map(cases.boot, tests))
    problems = [f"{test.name}: {problem}\n{detail}"
                for test, (problem, detail, _, _) in zip(tests, runs) if problem]
    if problems:
        raise host.Failure("\n".join(problems))
    bare, *others = columns = [lines for _, _, _, lines in runs]
    selftests.write_table(columns)
    print(selftests.TABLE.read_text(encoding="utf-8"), end="")
    bare = {name: result for name, (result, _) in selftests.results(bare)[0].items()}
    failed = [f"{test.name}: {line}" for test, lines in zip(tests[1:], others)
              for line in selftests.regressions(bare, lines)]
    print("\n".join([*failed, f"{len(failed)} do not do under Umbra as on the bare machine"]))
    return 1 if failed else 0
