# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the stick (`umbra image`): it is the disk of a machine in an emulator."""

import pathlib
import re
import struct
import subprocess
import tempfile

from . import build, cases, console, engines, guest, host, stick, terminal, transcript

CASES = "wait=1 cases=smp,cpuid,xsetbv,cr,insn,mem,vmx.field,vmx.entry"
# What makes Linux boot faster in an emulator, without its consoles; and how it restarts Bochs (see
# linux.reboot).
LINUX = " ".join(["reboot=pci", *(word for word in guest.COMMAND_LINE.split()
                                  if not word.startswith("console="))])


def options(default, probe_options="", linux_options=LINUX):
    """An options.cfg that starts an entry of the menu by itself."""
    return (f'set default={default}\nset timeout=1\nset umbra_options=""\n'
            f'set probe_options="{probe_options}"\nset linux_options="{linux_options}"\n')


def watch(machine, timeout, *expect):
    """These lines appear in this order, and none that no guest may print."""
    console.expect(machine, console.Judge(expect, cases.FORBID_ERRORS), timeout)


def wait_for_end(machine):
    console.expect(machine, console.Judge(), 120, ends=True)


def check_page():
    """Under UEFI the probe's last page is on the screen as it is on the serial port."""
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        work = pathlib.Path(work)
        variant = build.Variant()
        build.build(variant)
        image = stick.make(work / "stick.img", variant,
                           options("probe-bare", "wait=60 cases=cpuid,insn"))
        picture = work / "screen.ppm"
        hardware = engines.Hardware(cpus=2, memory=512, firmware="uefi", monitor=True)
        with engines.Tcg(hardware, host.log_path("stick.page"), disk=image) as machine:
            watch(machine, 120, r"^TAP version", r"^PROBE-END", r"^It goes on by a key")
            machine.ask_monitor(f"screendump {picture}", "quit")
            wait_for_end(machine)
            lines = [line.rstrip() for line in machine.console.lines]
        page = lines[lines.index("The probe has ended. Please photograph this page."):]
        shown = terminal.text_on(picture.read_bytes())
        if len(page) > 25 or shown[:len(page)] != page or any(shown[len(page):]):
            raise host.Failure("\n".join([*page, "on the screen there is", *shown,
                                          "not what the serial port has said"]))
        text = said(lines)[0]
        if f"text      {digest_of(text)}, {len(text)} bytes kept" not in page:
            raise host.Failure("\n".join([*page, f"not the digest of the text, {digest_of(text)}"]))
        return f"{len(page)} lines"


def said(lines):
    """The texts of the probe's runs, as the console has said them."""
    texts, text = [], None
    for line in lines:
        if line.startswith("TAP version"):
            text = []
        if text is not None:
            text.append(line + "\n")
            if line.startswith("PROBE-END"):
                texts.append("".join(text).encode())
                text = None
    return texts


def fnv1a(data):
    digest = 0xcbf29ce484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001b3 % 2 ** 64
    return digest


def digest_of(data):
    digits = f"{fnv1a(data):016x}"
    return " ".join(digits[at:at + 4] for at in range(0, 16, 4))


def check_kept():
    """The program that reads what is kept refuses what is not whole."""
    text = b"TAP version 13\nok 1 - something\n"
    head = struct.pack("<8sQQ", b"UMBRKEPT", len(text), fnv1a(text))
    others = {
        "nothing is kept there": b"\0" * 4096,
        "it has changed since": head + text.replace(b"ok", b"OK"),
        "its length is impossible": head.replace(struct.pack("<Q", len(text)),
                                                 struct.pack("<Q", 4097)) + text,
        "memory cannot be read": (head + text).ljust(4095, b"\0"),
    }
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        work = pathlib.Path(work)
        program, memory = stick.kept(work / "kept"), work / "memory"

        def read(contents):
            memory.write_bytes(b"\xff" * 4096 + contents)
            done = subprocess.run([program, "0x1000-0x2000", memory], capture_output=True,
                                  check=False)
            return done.returncode, done.stdout, done.stderr

        if read((head + text).ljust(4096, b"\0")) != (0, text, b""):
            raise host.Failure("what is whole was not read")
        for why, contents in others.items():
            contents = contents if why.startswith("memory") else contents.ljust(4096, b"\0")
            if read(contents) != (1, b"", f"kept: {why}\n".encode()):
                raise host.Failure(f"not refused: {why}")
    return f"{len(others)} refused"


# Texts as the stick finds them, and what the report says of them.
BARE = """\
ok 1 - a.same
ok 2 - b.broken
not ok 3 - c.machine
ok 4 - d.skipped # SKIP no reason
ok 5 - d.skipped.too # SKIP no reason
# passed 2, failed 1, skipped 2
PROBE-END fail
"""
UMBRA = """\
ok 1 - a.same
# b.broken:7: CPU 0: is 1, expected 2
not ok 2 - b.broken
not ok 3 - c.machine
not ok 4 - d.skipped
"""
KERNEL = "# nproc {}\n# umbractl status\nUmbra 9.8, interface 1\nerror before\n" \
    "# dmesg\n[    0.{}] a warning\n[    1.0] fine\n"
REPORTS = (
    ({}, r"bare: +no text\nProbe under Umbra: +no text\n"
         r"Passed bare, failed under Umbra:\n    none\n"
         r"Failed bare:\n    none\nLinux plain: not seen\nLinux umbra: not seen\n"),
    ({"probe-bare": BARE}, r"bare: +passed 2, failed 1, skipped 2\nProbe under Umbra: +no text\n"
                           r"Passed bare, failed under Umbra:\n    none\n"
                           r"Failed bare:\n    c.machine\n"),
    ({"probe-bare": BARE, "probe-umbra": UMBRA},
     r"under Umbra: +it did not end: not ok 4 - d.skipped\n"
     r"Passed bare, failed under Umbra:\n    b.broken\nFailed bare:\n    c.machine\n"),
    ({"linux-plain": KERNEL.format(4, 1),
      "linux-umbra": KERNEL.format(3, 2) + "[    2.0] BUG: new\n"},
     r"\nUmbra: +9\.8\n(.*\n)+"
     r"Linux plain: 4 CPUs, 1 lines of warnings\nLinux umbra: 3 CPUs, 2 lines of warnings\n"
     r"Of them under Umbra alone:\n    BUG: new\n\n(.*\n)+    [0-9a-f]{16}  linux-plain.txt\n"),
)


def check_report():
    """The report tells what is Umbra's from what is the machine's, by the programs of busybox."""
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        work = pathlib.Path(work)
        (work / "bin").mkdir()
        host.run(["/bin/busybox", "--install", "-s", work / "bin"])
        for number, (texts, wanted) in enumerate(REPORTS):
            directory = work / str(number)
            directory.mkdir()
            for name, text in texts.items():
                (directory / f"{name}.txt").write_text(text, "ascii")
            report = host.run([work / "bin/sh", stick.SOURCES / "report", "UEFI"], cwd=directory,
                              env={"PATH": str(work / "bin")})
            if not re.search(wanted, report):
                raise host.Failure(f"{report}\nnot found: {wanted}")
    return f"{len(REPORTS)} of them"


PROBE = (r"^PROBE-END pass", r"^text .* bytes kept")


def linux(kind):
    return (rf"^UMBRA-STICK: Linux .*, {kind}", r"^UMBRA-STICK: written to",
            r"^UMBRA-STICK: summary ends")


def walk(firmware):
    """Everything, one after the other: what is written down then is what the consoles have said."""
    name = f"stick.walk-{firmware}"
    # With two, Bochs's BIOS gets no answer from the keyboard after the probe's reset, and under UEFI
    # plain Linux sees its CPUs' clocks apart, and stalls.
    cpus = 1
    hardware = engines.Hardware(cpus=cpus, memory=512, firmware=firmware, writable=True)
    variant = build.Variant()
    build.build(variant)
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        image = stick.make(pathlib.Path(work) / "stick.img", variant,
                           options("walk", CASES + engines.probe_options("bochs", hardware)))
        with engines.Bochs(hardware, host.log_path(name), disk=image) as machine:
            watch(machine, 2400, *PROBE, r"^umbra: .* reserved at", *PROBE,
                  *linux("plain"), r"^umbra: .* reserved at", *linux("umbra"), "'off' switches off")
            machine.console.write(b"off\n")
            wait_for_end(machine)
            texts = said(machine.console.lines)
        log = stick.log_at(image)
        written = {name: host.run(["mtype", "-i", log, f"::{name}"]) for name in (
            "probe-bare.txt", "probe-umbra.txt", "linux-plain.txt", "linux-umbra.txt", "report.txt",
            "walk.env")}
    check_written(written, texts, cpus)
    # Umbra hands on the screen that it has been told of.
    screens = [re.findall(r"^# screen .*", text.decode(), re.M) for text in texts]
    if screens[0] != screens[1] or len(screens[0]) != (firmware == "uefi"):
        raise host.Failure(f"screens: {screens}")
    return f"{len(written['report.txt'].splitlines())} lines of report"


def check_written(written, texts, cpus):
    if len(texts) != 2:
        raise host.Failure(f"{len(texts)} runs of the probe")
    for name, text in zip(("probe-bare.txt", "probe-umbra.txt"), texts):
        differences = transcript.unified(text.decode().splitlines(), written[name].splitlines())
        if differences:
            raise host.Failure("\n".join([*differences, f"{name} is not what the console said"]))
    common = (f"# nproc {cpus}\n", "# /proc/iomem\n", "Run /init as init process")
    wanted = {
        "linux-plain.txt": common,
        "linux-umbra.txt": ("# umbractl status\nUmbra ", *common),
        "report.txt": ("Passed bare, failed under Umbra:\n    none\n",
                       f"Linux plain: {cpus} CPUs", f"Linux umbra: {cpus} CPUs"),
    }
    for name, parts in wanted.items():
        for part in parts:
            if part not in written[name]:
                raise host.Failure(f"{written[name]}\n{name} has no {part!r}")
    totals = re.findall(r"^Probe.*: +passed (\d+), failed 0, skipped \d+$", written["report.txt"],
                        re.M)
    if len(totals) != 2 or not all(int(passed) > 20 for passed in totals):
        raise host.Failure(f"{written['report.txt']}\nnot the totals of both runs")
    if re.search(r"^walk=.", written["walk.env"], re.M):
        raise host.Failure(f"{written['walk.env']}\nthe walk goes on")


def check_read_only():
    """A stick at a USB controller that cannot be written: the report comes page by page."""
    variant = build.Variant()
    build.build(variant)
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        image = stick.make(pathlib.Path(work) / "stick.img", variant, options("linux-plain"))
        hardware = engines.Hardware(cpus=2, monitor=True, extra=(
            "-drive", f"file={image},format=raw,if=none,id=stick,readonly=on",
            "-device", "qemu-xhci", "-device", "usb-storage,drive=stick,bootindex=0",
            "-device", "usb-kbd"))
        with engines.Tcg(hardware, host.log_path("stick.read-only")) as machine:
            watch(machine, 300, r"^UMBRA-STICK: Linux", r"^Written to +nowhere",
                  r"^UMBRA-STICK: summary ends", r"^Enter for the next page")
            pages = []
            while not pages or not any(line.startswith("Digests") for line in pages[-1]):
                start = len(machine.console.lines)
                machine.console.write(b"\n")
                watch(machine, 60, r"^Enter (for|restarts)")
                pages.append([line for line in machine.console.lines[start:]
                              if not line.startswith(("Enter", "[")) and line])
            machine.ask_monitor(*(f"sendkey {key}" for key in ("o", "f", "f", "ret")))
            wait_for_end(machine)
        text = [line for page in pages for line in page]
        if text[0] != "Umbra on a real machine: a report" or "linux-plain.txt" not in text[-1]:
            raise host.Failure("\n".join([*text, "not the whole report"]))
        if any(len(page) > 22 for page in pages) or any(len(line) > 80 for line in text):
            raise host.Failure("\n".join([*text, "more than a screen has room for"]))
    return f"{len(pages)} pages"


def all_tests():
    """Pairs of a name and a function that raises host.Failure or host.Skip."""
    return [("stick.kept", check_kept), ("stick.report", check_report), ("stick.page", check_page)]


def slow_tests():
    return [(f"stick.walk-{firmware}", lambda firmware=firmware: walk(firmware))
            for firmware in ("bios", "uefi")] + [("stick.read-only", check_read_only)]
