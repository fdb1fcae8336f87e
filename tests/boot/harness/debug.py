# SPDX-License-Identifier: BSD-2-Clause
"""`umbra debug`: gdb on Umbra in an emulator, or on a dump of memory."""

import subprocess
import threading

from . import console, engines, gdb_stub, host

COMMANDS = host.ROOT / "tools/gdb/umbra_gdb.py"
# The firmware and GRUB come first: Umbra's addresses are mapped from here on. With several CPUs Bochs
# overlooks a breakpoint that a CPU reaches as its turn ends, so there is one behind it, too, after
# PUSH RBP.
FIRST = ("boot_main", "*boot_main+1")
NO_BREAKPOINTS = "python [it.delete() for it in gdb.breakpoints()]"
# Where Umbra gives up; gdb stops there before it does.
ENDS = ("panic", "panic_trap", "fail")


class DebuggedBochs(engines.Bochs):
    """Bochs, stopped at its own debugger's prompt, and a stub for gdb before that."""

    first_command = None

    def __enter__(self):
        if not self.bochs.debugger:
            raise host.Failure(f"Bochs {self.bochs.version} has no debugger; take --bochs 2")
        self.console = console.Console(self.log_path)
        self._process = subprocess.Popen(
            self.command(), cwd=self.work, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        listener = gdb_stub.listen(self.socket)
        stub = gdb_stub.Stub(gdb_stub.Debugger(self._process), self.hardware.cpus)
        threading.Thread(target=stub.serve, args=(listener,), daemon=True).start()
        return self

    @property
    def socket(self):
        return self.work / "gdb"


def with_stub(engine):
    """The engine's class for machines that wait for gdb at .socket."""
    chosen = engines.choose(engine)
    if chosen is engines.Bochs:
        return DebuggedBochs

    class Debugged(chosen):
        """QEMU has a stub of its own."""

        @property
        def socket(self):
            return self.work / "gdb"

        def command(self):
            return [*super().command(), "-S", "-gdb", f"unix:{self.socket},server=on,wait=off"]

    return Debugged


def gdb(start, commands, capture=False):
    """Run gdb on this terminal, or only for the commands if there are any. To be captured: returns
    what it prints, else its exit status."""
    host.ensure_packages(("gdb",))
    words = ["gdb", "-q", "-nx", *(["-batch"] if commands else []), "-x", COMMANDS]
    for text in (*start, *commands):
        words += ["-ex", text]
    words = [str(word) for word in words]
    if capture:
        return host.run(words, cwd=host.ROOT, stdin=subprocess.DEVNULL)
    return subprocess.call(words, cwd=host.ROOT)


def run(engine, hardware, cd, image, commands, capture=False):
    """Boot the CD under gdb."""
    log = host.log_path("debug")
    with with_stub(engine)(hardware, log, cdrom=cd) as machine:
        stop = threading.Event()
        reader = threading.Thread(target=_keep_reading, args=(machine, stop), daemon=True)
        reader.start()
        print(f"debugging {image} in {machine.name}; the serial console is in {log}", flush=True)
        result = gdb([f"file {image}", f"target remote {machine.socket}",
                      *(f"thbreak {place}" for place in FIRST), "continue", NO_BREAKPOINTS,
                      *(f"break {name}" for name in ENDS)], commands, capture)
        stop.set()
        reader.join()
    return result


def _keep_reading(machine, stop):
    """The serial console's lines go to its log."""
    while not stop.is_set():
        machine.console.read(0.2)


def open_dump(image, dump, commands, capture=False):
    if not dump.is_file():
        raise host.Failure(f"{dump} is no file")
    return gdb([f"file {image}", f"core-file {dump.resolve()}"], commands,
               capture)
