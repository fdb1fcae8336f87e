# SPDX-License-Identifier: BSD-2-Clause
"""The part of `umbra bench` that the probe measures: single operations, with and without Umbra.

Ticks come from the release build; what Umbra executes for an operation, from a build that counts
it, whose ticks would be higher."""

import dataclasses
import re

from . import host

# `# bench NAME MINIMUM MEDIAN` and the counts, `-` where unknown.
LINE = re.compile(r"# bench (\S+) (\d+) (\d+)((?: (?:\d+|-)){6})$")
COUNTS = ("exits of L1", "exits of L2", "VMREAD", "VMWRITE", "VMPTRLD", "VMCLEAR")
VMX = range(2, 6)                    # of these, instructions of Umbra's

# The columns: what runs, and where its ticks come from.
SIDES = ("native", "umbra", "no-shadow")


@dataclasses.dataclass(frozen=True)
class Operation:
    """A line of the probe's. The goals are upper limits under Umbra with VMCS shadowing."""
    key: str
    title: str
    ticks: int = None
    exits: int = None
    accesses: int = None             # VMREADs and VMWRITEs
    per: int = 1                     # the probe's figure is of so many


OPERATIONS = (
    Operation("empty", "RDTSC twice, nothing between"),
    Operation("cpuid", "CPUID", ticks=119),
    Operation("rdmsr", "RDMSR of an intercepted MSR", ticks=149),
    Operation("wrmsr", "WRMSR of an intercepted MSR"),
    Operation("xsetbv", "XSETBV"),
    Operation("vmread-hot", "VMREAD, shadowed field", exits=0),
    Operation("vmwrite-hot", "VMWRITE, shadowed field", exits=0),
    Operation("vmread-cold", "VMREAD, other field", ticks=300),
    Operation("vmread-cold-memory", "VMREAD, other field, into memory"),
    Operation("vmwrite-cold", "VMWRITE, other field", ticks=300),
    Operation("vmptrld-cached", "VMPTRLD, one of 2 VMCSs", ticks=250),
    Operation("vmptrld-uncached", "VMPTRLD, one of 16 VMCSs in turn", ticks=1500),
    Operation("vmclear", "VMCLEAR", ticks=900),
    Operation("l2-vmcall", "L2 → L1 → L2 by VMCALL", ticks=800, accesses=60),
    Operation("l2-cpuid", "L2 → L1 → L2 by CPUID", ticks=800),
    Operation("l2-ept-violation", "L2 → L1 → L2 by EPT violation, mapped", ticks=1600),
    Operation("l2-first-access", "L2 touches what L1's EPT maps: Umbra's exit", ticks=900),
    Operation("invept-0", "INVEPT, nothing mapped"),
    Operation("invept-16", "INVEPT, 16 pages mapped", ticks=1500),
    Operation("invept-256", "INVEPT, 256 pages mapped"),
    Operation("invept-4096", "INVEPT, 4,096 pages mapped"),
    Operation("invept-16384", "INVEPT, 16,384 pages mapped"),
    Operation("touch-64m-2m", "L2 touches 64 MiB, mapped by 2 MiB"),
    Operation("touch-64m-4k", "L2 touches 64 MiB, mapped by 4 KiB"),
)


@dataclasses.dataclass
class Row:
    operation: Operation
    ticks: dict                      # side -> median
    counts: dict                     # side -> list in the order of COUNTS

    def met(self):
        """Whether every goal is reached; None: there is none."""
        goal = self.operation
        exits, l2_exits, reads, writes, *_ = self.counts["umbra"]
        results = [value <= limit for value, limit in (
            (self.ticks["umbra"], goal.ticks), (exits + l2_exits, goal.exits),
            (reads + writes, goal.accesses)) if limit is not None]
        return all(results) if results else None

    def goals(self):
        goal = self.operation
        return ", ".join(f"≤ {limit:,}{unit}" for limit, unit in (
            (goal.ticks, ""), (goal.exits, " exits"), (goal.accesses, " VMREAD+VMWRITE"))
            if limit is not None)

    def record(self):
        return {"operation": self.operation.key, "title": self.operation.title,
                "ticks": self.ticks,
                "counts": {side: dict(zip(COUNTS, counts)) for side, counts in self.counts.items()},
                "goal": self.goals(), "met": self.met()}


def parse(lines, where):
    """name -> (median, counts) of one run."""
    found = {}
    for match in filter(None, map(LINE.search, lines)):
        found[match.group(1)] = (int(match.group(3)),
                                 [None if word == "-" else int(word)
                                  for word in match.group(4).split()])
    missing = {operation.key for operation in OPERATIONS} - found.keys()
    if missing:
        raise host.Failure(f"{where}: the probe did not measure {sorted(missing)}")
    return found


def rows(native, umbra, no_shadow, counted, counted_no_shadow):
    """From the lines of five runs: ticks on each side, then the counts on Umbra's two."""
    ticks = dict(zip(SIDES, (parse(lines, side) for side, lines in
                             zip(SIDES, (native, umbra, no_shadow)))))
    counts = {"umbra": parse(counted, "counted"),
              "no-shadow": parse(counted_no_shadow, "counted without shadowing")}
    return [Row(operation,
                {side: values[operation.key][0] for side, values in ticks.items()},
                {side: values[operation.key][1] for side, values in counts.items()})
            for operation in OPERATIONS]


def show_counts(counts):
    """L1's and L2's exits; VMREADs, VMWRITEs, VMPTRLDs and VMCLEARs of Umbra's."""
    return "/".join(map(str, counts[:2])), "/".join(str(counts[n]) for n in VMX)


def print_table(table):
    cells = [("ticks", "bare", "Umbra", "exits", "R/W/L/C", "no shadow", "exits", "R/W/L/C",
              "goal", "met?")]
    for row in table:
        cells.append((row.operation.title, f"{row.ticks['native']:,}", f"{row.ticks['umbra']:,}",
                      *show_counts(row.counts["umbra"]), f"{row.ticks['no-shadow']:,}",
                      *show_counts(row.counts["no-shadow"]), row.goals(),
                      {None: "", True: "yes", False: "NO"}[row.met()]))
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print("  ".join([line[0].ljust(widths[0])]
                        + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]).rstrip())
    print("exits: L1's/L2's; R/W/L/C: VMREADs, VMWRITEs, VMPTRLDs, VMCLEARs that Umbra executes")
