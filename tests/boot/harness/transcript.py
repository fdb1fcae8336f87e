# SPDX-License-Identifier: BSD-2-Clause
"""What the probe says on its console, and what of it must be the same on two machines."""

import difflib
import re

from . import host

# Lines that may differ: a pattern, and why. They are left out of the comparison.
DIFFERENCES = (
    (r"^# probe, started by ", "the command line"),
    (r"^# cpu ", "the measured speed of the TSC"),
    (r"^= vmx\.cap\.optional_msrs(:| digest )", "MSRs of controls that Umbra does not offer; the case "
     "itself checks that each exists exactly if its control does"),
)
DIFFERING = re.compile("|".join(pattern for pattern, _ in DIFFERENCES))
START, END = "TAP version 13", "PROBE-END "
PLAN = re.compile(r"1\.\.\d+$")


def of(lines):
    """The lines that must not differ, up to the plan, which is the last of the results."""
    if START not in lines:
        raise host.Failure("the probe did not start")
    lines = lines[lines.index(START):]
    end = next((n for n, line in enumerate(lines) if PLAN.match(line)), len(lines))
    return [line for line in lines[:end] if not DIFFERING.search(line)]


def differences(bare, umbra):
    """The differing lines, as a unified diff without context; empty: equal."""
    return unified(of(bare), of(umbra))


def unified(bare, umbra):
    """The same for any lines."""
    return list(difflib.unified_diff(bare, umbra, "bare", "Umbra", "", "", 0, ""))
