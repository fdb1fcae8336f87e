# SPDX-License-Identifier: BSD-2-Clause
"""`umbra bench`: what Umbra costs, as a table of the bare machine beside the one under Umbra.

Everything runs in Bochs, where the TSC advances by one per instruction: figures repeat exactly.
Its unit is the tick; a VM exit itself takes none, so the exits are counted beside. A boot waits for
timers, so its length is good to about 0.1 %: a ratio a little below 1 means no gain."""

import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import re
import struct
import tempfile
import time

from . import (bench_guest, bench_page, bench_plot, bench_probe, build, cases, console, engines,
               guest, host, media, tools)

RESULT = host.ROOT / "build/bench.json"
PROGRAM = pathlib.Path(__file__).resolve().parents[1] / "tools/bench.c"
PROGRAM_FLAGS = ("--target=x86_64-linux-gnu", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
                 "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-mgeneral-regs-only",
                 "-nostdlib", "-static", "-fuse-ld=lld",
                 "-I", host.ROOT / "subprojects/x86-arch/include")

# GRUB puts BOOT_IMAGE first when it starts Linux itself. Without a random load address every
# boot runs the same instructions, and a quiet one does not wait for the serial port, which would
# hide what Umbra costs.
COMMAND_LINE = f"BOOT_IMAGE=/boot/kernel {guest.COMMAND_LINE} nokaslr quiet rdinit=/bench"

TICKS_PER_SECOND = 50_000_000        # the `ips` of the machine in engines.py
PROBE_TIMEOUT = 300
LINUX_TIMEOUT = 1500

LINUX_FIGURE = re.compile(r"UMBRA-BENCH: (\S+) (.+)")


class FixedBochs(engines.Bochs):
    """Bochs with a fixed date. With entry points (address -> the instruction's first byte), it
    notes when a CPU first comes to one of them."""

    entry_points = None

    def config(self):
        text = super().config()
        assert "time0=utc" in text
        return text.replace("time0=utc", "time0=946684800")

    def command(self):
        command = super().command()
        if self.entry_points:
            count = len(self.entry_points)
            (self.work / "commands").write_text("\n".join(
                [f"lb {address:#x}" for address in self.entry_points] + ["c", "ptime"]
                + [f"delete {number}" for number in range(1, count + 1)] + ["c", ""]),
                encoding="ascii")
        return command

    def entry_time(self):
        """TSC there. With several CPUs the debugger at times overlooks a breakpoint, and the
        unpacked kernel later runs at the same address: so the instruction is compared."""
        text = (self.work / "output").read_text(encoding="utf-8", errors="replace")
        match = re.search(r"Breakpoint \d+, .*\nNext at t=(\d+)\n"
                          r"\(0\) \[(0x[0-9a-f]+)\].*; ([0-9a-f]{2})[0-9a-f]*$",
                          text, re.MULTILINE)
        if not match:
            raise host.Failure("Bochs did not stop at the kernel's entry")
        time_, address, byte = int(match.group(1)), int(match.group(2), 16), match.group(3)
        if self.entry_points.get(address) != int(byte, 16):
            raise host.Failure(f"Bochs overlooked the kernel's entry and stopped at {address:#x}, "
                               f"t={time_}, on another instruction ({byte})")
        return time_


@dataclasses.dataclass
class Run:
    """One boot: on the bare machine or under Umbra."""
    name: str
    entry: media.Entry
    expect: str
    timeout: int
    cpus: int = 1
    memory: int = 512
    model: str = None                # of the CPU; None: the engine's own
    title: str = ""
    entry_points: dict = None        # the kernel's, where nothing else tells when it starts
    lines: list = None
    kernel_entry: int = None         # TSC

    def execute(self, directory):
        start = time.monotonic()
        cd = media.make_cd(self.entry, directory / f"{self.name}.iso")
        judge = console.Judge((self.expect,), cases.FORBID + ("UMBRA-BENCH: failed",))
        hardware = engines.Hardware(cpus=self.cpus, memory=self.memory, cpu_model=self.model)
        machine = FixedBochs(hardware, host.log_path(self.name), cd)
        machine.entry_points = self.entry_points
        with machine:
            console.expect(machine, judge, self.timeout, self.name)
            self.lines = machine.console.lines
            if self.entry_points:
                self.kernel_entry = machine.entry_time()
        host.say(f"{self.name}: {time.monotonic() - start:.0f} s")


@dataclasses.dataclass
class Figure:
    """A row of the table. The goal is an upper limit on Umbra's value."""
    name: str
    unit: str
    native: float = None
    umbra: float = None
    goal: float = None
    strictly: bool = False           # the goal itself is too much

    def met(self):
        if self.goal is None:
            return None
        return self.umbra < self.goal if self.strictly else self.umbra <= self.goal

    def record(self):
        return {"figure": self.name, "unit": self.unit, "native": self.native,
                "umbra": self.umbra, "goal": self.goal, "met": self.met()}

    def cells(self):
        goal = "" if self.goal is None else f"{'<' if self.strictly else '<='} {show(self.goal)}"
        met = {None: "", True: "yes", False: "NO"}[self.met()]
        return (self.name + f", {self.unit}" * bool(self.unit), show(self.native),
                show(self.umbra), goal, met)


def show(value):
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def print_table(figures):
    rows = [("figure", "native", "under Umbra", "goal", "met?")]
    rows += [figure.cells() for figure in figures]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join([row[0].ljust(widths[0])]
                        + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]).rstrip())


def probe_runs(variant, counting, umbra_args="", model=None):
    """In the order in which bench_probe.rows() takes them."""
    native = media.native_multiboot2(variant.probe, "bench")
    runs = [Run("bench.probe-native", native, "PROBE-END", PROBE_TIMEOUT, model=model)]
    for kind, image in (("umbra", variant.image), ("counted", counting.image)):
        for shadow in ("on", "off"):
            entry = media.under_umbra(image, variant.probe, "bench counts", None,
                                      f"stats nested.shadow={shadow} {umbra_args}")
            runs.append(Run(f"bench.probe-{kind}-shadow-{shadow}", entry, "PROBE-END",
                            PROBE_TIMEOUT, model=model))
    return runs


def kernel_entry_points(image):
    """The 32-bit entry of a relocatable bzImage (boot protocol: pref_address): address -> byte
    of the one-byte instructions there, CLD and CLI."""
    data = image.read_bytes()
    address = struct.unpack_from("<Q", data, 0x258)[0]
    start = ((data[0x1f1] or 4) + 1) * 512
    if data[start:start + 2] != b"\xfc\xfa":
        raise host.Failure(f"{image} does not start with CLD and CLI")
    return {address + offset: data[start + offset] for offset in range(2)}


def first_process(directory):
    """An initramfs whose only process is the benchmark of a boot."""
    program = directory / "bench"
    host.run(["clang", *PROGRAM_FLAGS, "-o", program, PROGRAM])
    return guest.initramfs(directory / "initrd.img", files={"/bench": program})


def linux_runs(variant, directory):
    initrd = first_process(directory)
    kernel = guest.bzimage()
    native = media.native_linux(kernel, COMMAND_LINE.split(" ", 1)[1], initrd)
    umbra = media.under_umbra(variant.image, kernel, COMMAND_LINE, initrd, "stats")
    runs = []
    for cpus, title in ((1, "1 CPU"), (2, "2 CPUs")):
        runs += [Run(f"bench.linux-{cpus}cpu-native", native, "UMBRA-BENCH: end", LINUX_TIMEOUT,
                     cpus, title=title, entry_points=kernel_entry_points(kernel)),
                 Run(f"bench.linux-{cpus}cpu-umbra", umbra, "UMBRA-BENCH: end", LINUX_TIMEOUT,
                     cpus, title=title)]
    return runs


def linux_values(run):
    """name -> list of the rest of the line's words, one per line."""
    values = {}
    for match in filter(None, map(LINUX_FIGURE.search, run.lines)):
        values.setdefault(match.group(1), []).append(match.group(2).split())
    return values


def boot_figures(native, umbra):
    cpus = native.title
    values = linux_values(umbra)
    ticks = (int(linux_values(native)["userspace-tsc"][0][0]) - native.kernel_entry,
             int(values["userspace-tsc"][0][0]) - int(values["guest-start-tsc"][0][0]))
    return [Figure(f"Linux, {cpus}: kernel entry to userspace", "ticks", *ticks),
            Figure(f"Linux, {cpus}: ratio of these", "", 1.0, ticks[1] / ticks[0], 1.01)]


def exit_figures(values, title, cpus):
    figures = []
    for cpu in range(cpus):
        for phase, when, goal in (("boot-exits", "boot", None), ("idle-exits", "10 s idle", 0)):
            exits = [(name, int(count)) for number, count, name in values.get(phase, [])
                     if int(number) == cpu]
            where = f"{title}, CPU {cpu}"
            figures.append(Figure(f"{where}: exits, {when}", "", None,
                                  sum(count for _, count in exits), goal))
            figures += [Figure(f"{where}:   {name}", "", None, count)
                        for name, count in sorted(exits, key=lambda item: -item[1])]
    return figures


def umbra_figures(run, variant):
    values = linux_values(run)

    def value(name):
        return int(values[name][0][0])

    boot_ticks = value("guest-start-tsc") - value("umbra-entry-tsc")
    cpus = run.title
    refused = sum(int(count) for _, count in values["hidden-writes"])
    return exit_figures(values, cpus, run.cpus) + [
        Figure(f"{cpus}: reads of hidden pages", "", None,
               sum(int(count) for _, count in values["hidden-reads"])),
        Figure(f"{cpus}: writes to hidden memory", "", None, refused),
        Figure(f"{cpus}: memory reserved", "bytes", None, value("reserved-bytes"),
               (4 << 20) + run.cpus * (64 << 10)),
        Figure(f"{cpus}: image in memory", "bytes", None, value("image-bytes")),
        Figure(f"{cpus}: image file", "bytes", None, variant.image.stat().st_size),
        Figure(f"{cpus}: Umbra's entry to guest start", "ticks", None, boot_ticks),
        Figure(f"{cpus}: the same at {TICKS_PER_SECOND // 1_000_000} M/s", "s", None,
               boot_ticks / TICKS_PER_SECOND, 0.1, strictly=True),
    ]


def linux_in_kvm(directory, name, initrd, parameters=""):
    """An initramfs whose QEMU starts the same kernel with this one."""
    line = directory / f"{name}-line"
    line.write_text(f"{guest.COMMAND_LINE} nokaslr quiet {parameters}", encoding="ascii")
    return guest.initramfs(
        directory / f"{name}-in-kvm.img", modules=("kvm-intel",),
        files=guest.qemu_files(("bios-microvm.bin", "linuxboot_dma.bin")) | {
            "/qemu/kernel": guest.bzimage(), "/qemu/initrd": initrd, "/qemu/command-line": line,
            "/tests/kvm-qemu": guest.INIT.with_name("kvm-qemu")})


def kvm_runs(variant, directory):
    """A small client of /dev/kvm, and QEMU booting Linux, in the guest and on the bare machine."""
    line = f"{guest.COMMAND_LINE} nokaslr quiet umbra.test="
    client = guest.initramfs(directory / "kvm.img", modules=("kvm-intel",), files={
        "/tests/kvm-bench": tools.kvm_bench(directory / "kvm-bench")})
    linux = linux_in_kvm(directory, "boot", first_process(directory), "rdinit=/bench")
    compiling = linux_in_kvm(directory, "compile", bench_guest.compiling_initramfs(directory))
    runs = []
    # The filter that marks the inner console's lines keeps the last one until QEMU ends.
    machine = "kvm-qemu umbra.machine=microvm,rtc=on umbra.smp=1"
    for name, expect, test, initrd in (
            ("kvm", "UMBRA-BENCH: end", "kvm-bench", client),
            ("kvm-linux", "L2: UMBRA-BENCH: userspace-tsc", machine, linux),
            ("kvm-compile", "L2: UMBRA-BENCH: kvm-compile", machine, compiling)):
        native = media.native_linux(guest.bzimage(), line + test, initrd)
        umbra = media.under_umbra(variant.image, guest.vmlinux(), line + test, initrd, "stats")
        runs += [Run(f"bench.{name}-native", native, expect, LINUX_TIMEOUT,
                     memory=1280),
                 Run(f"bench.{name}-umbra", umbra, expect, LINUX_TIMEOUT,
                     memory=1280)]
    return runs


GOALS_BY_RATIO = ("kvm-dirty-log", "kvm-move-slot", "kvm-balloon")


def kvm_figures(runs):
    client, client_umbra, boot, boot_umbra, compiled, compiled_umbra = map(linux_values, runs)

    def row(title, key, unit="ticks", goal=None, where=(client, client_umbra)):
        native, umbra = (int(values[key][0][0]) if key in values else None for values in where)
        return Figure(title, unit, native, umbra, goal)

    figures = [row("KVM, CPUID round trip", "kvm-cpuid", goal=2050),
               row("KVM, VMCALL round trip", "kvm-vmcall")]
    for size, key in (("2 MiB", "kvm-touch-2m"), ("4 KiB", "kvm-touch-4k")):
        where = f"KVM, 64 MiB touched first, pages of {size}"
        figures += [row(where, f"{key}-ticks"),
                    row(f"{where}: EPT violations for KVM", f"{key}-kvm-faults", ""),
                    row(f"{where}: for Umbra alone", f"{key}-umbra-faults", "")]
    # What `bench --guest` measures, too; the goals are those of KVM's own patterns.
    for key in ("kvm-user", "kvm-64-vcpus", "kvm-dirty-log", "kvm-move-slot", "kvm-balloon"):
        one = row(f"KVM, {bench_guest.FIGURES[key]}", key)
        one.goal = round(1.15 * one.native) if key in GOALS_BY_RATIO else None
        figures.append(one)
    figures.append(row("KVM, " + bench_guest.FIGURES["kvm-compile"], "kvm-compile",
                       where=(compiled, compiled_umbra)))
    linux = row("Linux in KVM: its creation to userspace", "userspace-tsc",
                where=(boot, boot_umbra))
    return figures + [linux, Figure("Linux in KVM: ratio of these", "", 1.0,
                                    linux.umbra / linux.native, 1.10)]


def execute(runs, directory, jobs):
    """Run several machines at once; Bochs keeps its own time, so they do not disturb each other."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(run.execute, directory) for run in runs]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        except BaseException:
            console.STOP.set()
            pool.shutdown(cancel_futures=True)
            raise


def run(quick, plot=None, page=False, jobs=2, umbra_args="", model=None):
    """Measure, print the tables and write build/bench.json; the plot if a place for it is given,
    and the page of figures if wanted. Returns 1 if a goal is not met."""
    variant, counting = build.Variant(), build.Variant(tests=False, count_vmcs=True)
    build.build(variant)
    build.build(counting)
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="umbra-")))
        probes = probe_runs(variant, counting, umbra_args, model)
        linuxes = [] if quick else linux_runs(variant, directory)
        kvms = [] if quick else kvm_runs(variant, directory)
        execute(probes + linuxes + kvms, directory, jobs)
    rows = bench_probe.rows(*(probe.lines for probe in probes))
    figures = []
    for native, umbra in zip(linuxes[::2], linuxes[1::2]):
        figures += boot_figures(native, umbra) + umbra_figures(umbra, variant)
    if kvms:
        figures += kvm_figures(kvms)
    bench_probe.print_table(rows)
    if figures:
        print()
        print_table(figures)
    RESULT.write_text(json.dumps({"operations": [row.record() for row in rows],
                                  "figures": [figure.record() for figure in figures]},
                                 indent=1) + "\n", encoding="ascii")
    print(f"written to {RESULT}")
    if plot:
        bench_plot.draw(rows, plot)
        print(f"written to {plot}")
    if page:
        bench_page.write(rows, figures)
        print(f"written to {bench_page.PAGE}")
    return int(any(one.met() is False for one in [*rows, *figures]))
