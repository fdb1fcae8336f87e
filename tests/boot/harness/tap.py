# SPDX-License-Identifier: BSD-2-Clause
"""Judging a guest that reports by the Test Anything Protocol."""

import re

PLAN = re.compile(r"^1\.\.(\d+)")
RESULT = re.compile(r"^(not ok|ok)\b\s*(\d+)?\s*-?\s*(.*)")
SKIP = re.compile(r"#\s*SKIP", re.IGNORECASE)
BAIL_OUT = re.compile(r"^Bail out!\s*(.*)")


class TapJudge:
    """Done at the plan line when it comes last, or at the planned number of results."""

    def __init__(self, forbid=()):
        self.forbid = [re.compile(pattern) for pattern in forbid]
        self.offence = None
        self.planned = None
        self.passed, self.failed, self.skipped = [], [], []

    def line(self, text):
        for pattern in self.forbid:
            if pattern.search(text):
                self.offence = text.strip()
        if match := BAIL_OUT.search(text):
            self.offence = f"bailed out: {match.group(1)}"
        elif match := PLAN.search(text):
            self.planned = int(match.group(1))
        elif match := RESULT.search(text):
            name = match.group(3).strip()
            if SKIP.search(name):
                self.skipped.append(name)
            elif match.group(1) == "ok":
                self.passed.append(name)
            else:
                self.failed.append(name)

    def count(self):
        return len(self.passed) + len(self.failed) + len(self.skipped)

    def satisfied(self):
        return self.planned is not None and self.count() >= self.planned

    def complaint(self):
        if self.offence:
            return self.offence
        if self.failed:
            return "failed: " + ", ".join(self.failed)
        if self.planned is None:
            return f"no plan line; {self.count()} results"
        if self.count() != self.planned:
            return f"{self.count()} results, {self.planned} planned"
        if not self.planned:
            return "no case was run"
        if not self.passed:
            return "everything was skipped"
        return None

    def summary(self):
        text = f"{len(self.passed)} cases"
        return text + (f", {len(self.skipped)} skipped" if self.skipped else "")
