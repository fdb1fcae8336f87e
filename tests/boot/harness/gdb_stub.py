# SPDX-License-Identifier: BSD-2-Clause
"""A stub for gdb in front of Bochs's own debugger, which Debian's Bochs 2 has in place of one.

gdb speaks its remote serial protocol here, one packet at a time; each becomes a few commands of the
debugger's. CPUs are threads, the first one is thread 1. Breakpoints are by linear address, so they
also hit where a guest has code at the same address."""

import os
import re
import select
import signal
import socket

GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12",
           "r13", "r14", "r15", "rip")
SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
CONTROL = ("cr0", "cr2", "cr3", "cr4", "cr8", "efer")
FPU = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")


def _description():
    """The registers, in the order of the packet that has them all: name, bits, type, feature."""
    core = "org.gnu.gdb.i386.core"
    rows = [(name, 64, "data_ptr" if name in ("rbp", "rsp") else
             "code_ptr" if name == "rip" else "int64", core) for name in GENERAL]
    rows += [("eflags", 32, "int32", core)] + [(name, 32, "int32", core) for name in SEGMENTS]
    # gdb asks for these; nobody here looks at them.
    rows += [(f"st{i}", 80, "i387_ext", core) for i in range(8)]
    rows += [(name, 32, "int", core) for name in FPU]
    return rows + [(name, 64, "int64", "umbra.control") for name in CONTROL]


REGISTERS = _description()


def target_xml():
    features = {}
    for name, bits, kind, feature in REGISTERS:
        features.setdefault(feature, []).append(
            f'<reg name="{name}" bitsize="{bits}" type="{kind}"/>')
    body = "".join(f'<feature name="{feature}">{"".join(rows)}</feature>'
                   for feature, rows in features.items())
    return ('<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target>'
            f"<architecture>i386:x86-64</architecture>{body}</target>")


class Debugger:
    """Bochs at its prompt."""

    PROMPT = re.compile(rb"<bochs:\d+> $")

    def __init__(self, process):
        self.process = process
        self.cpu = 0
        self.breakpoints = {}            # linear address -> the debugger's number
        self._partial = b""
        self._read_to_prompt()

    def _read_to_prompt(self):
        while not self.PROMPT.search(self._partial):
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise ConnectionError("Bochs has ended")
            self._partial += data
        text, self._partial = self._partial, b""
        return self.PROMPT.sub(b"", text).decode("latin-1")

    def send(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, command):
        self.send(command)
        return self._read_to_prompt()

    def select(self, cpu):
        if cpu != self.cpu:
            self.ask(f"set $cpu={cpu}")
            self.cpu = cpu

    def run(self, interrupted):
        """Run all CPUs. Returns the one that met a breakpoint, else 0. interrupted() waits for
        the file descriptor, and is true when the user wants it to stop."""
        self.send("c")
        while not self.PROMPT.search(self._partial):
            if interrupted(self.process.stdout.fileno()):
                self.process.send_signal(signal.SIGINT)
            else:
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise ConnectionError("Bochs has ended")
                self._partial += data
        met = re.search(r"\((\d+)\) Breakpoint", self._read_to_prompt())
        return int(met[1]) if met else 0

    def step(self):
        self.ask(f"s {self.cpu} 1")

    def registers(self):
        text = self.ask("r") + self.ask("sreg") + self.ask("creg")
        found = {name.strip(): int(high + low, 16) for name, high, low in
                 re.findall(r"\b(\w+ ?): ([0-9a-f]{8})_([0-9a-f]{8})", text)}
        found |= {name: int(value, 16) for name, value in
                  re.findall(r"\b(eflags|[c-gs]s) ?:?(0x[0-9a-f]+)", text)}
        found |= {name.lower(): int(value, 16) for name, value in
                  re.findall(r"\b(CR[0-8]|EFER)(?:=|: )(0x[0-9a-f]+)", text)}
        return found

    def set_register(self, name, value):
        self.ask(f"set {name} = {value:#x}")

    def read(self, address, size, physical):
        """As many of the bytes as there are."""
        text = self.ask(f"{'xp' if physical else 'x'} /{size}bx {address:#x}")
        return bytes(int(byte, 16) for byte in re.findall(r"\t0x([0-9a-f]{2})\b", text))

    def physical(self, linear):
        """What a linear address is mapped to, or None."""
        found = re.search(r"maps to physical page (0x[0-9a-f]+)", self.ask(f"page {linear:#x}"))
        return int(found[1], 16) | linear & 0xfff if found else None

    def write(self, address, data, physical):
        for i, byte in enumerate(data):
            place = address + i if physical else self.physical(address + i)
            if place is None:
                return False
            self.ask(f"setpmem {place:#x} 1 {byte:#x}")
        return True

    def set_breakpoint(self, address):
        if address not in self.breakpoints:
            self.ask(f"lb {address:#x}")
            number = re.findall(r"^ *(\d+) lbreakpoint", self.ask("blist"), re.MULTILINE)[-1]
            self.breakpoints[address] = number

    def delete_breakpoint(self, address):
        if address in self.breakpoints:
            self.ask(f"d {self.breakpoints.pop(address)}")


class Stub:
    """Serves one gdb."""

    def __init__(self, debugger, cpus):
        self.debugger = debugger
        self.cpus = cpus
        self.physical = False            # what addresses of memory packets are
        self.stopped = 0                 # the CPU that stopped last
        self.connection = None
        self._input = b""

    def serve(self, listener):
        """Until gdb leaves or Bochs ends."""
        self.connection, _ = listener.accept()
        with self.connection:
            try:
                while (packet := self._receive()) is not None:
                    answer = self._answer(packet)
                    if answer is None:
                        return
                    self._send(answer)
            except (ConnectionError, BrokenPipeError):
                try:
                    self._send("W00")
                except OSError:
                    pass

    def _receive(self):
        while True:
            found = re.search(rb"\$([^#]*)#..", self._input, re.DOTALL)
            if found:
                self._input = self._input[found.end():]
                self.connection.sendall(b"+")
                return found[1].decode("latin-1")
            data = self.connection.recv(65536)
            if not data:
                return None
            self._input += data

    def _send(self, text):
        data = text.encode("latin-1")
        self.connection.sendall(b"$%s#%02x" % (data, sum(data) & 0xff))

    def _interrupted(self, output):
        """Wait until gdb or Bochs has something to say; is it gdb, with Ctrl-C?"""
        ready, _, _ = select.select([output, self.connection], [], [])
        if self.connection not in ready:
            return False
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError
        return b"\x03" in data

    def _stop(self, cpu):
        self.stopped = cpu
        self.debugger.select(cpu)
        return f"T05thread:{cpu + 1};"

    def _answer(self, packet):
        if packet == "?":
            return self._stop(self.stopped)
        for prefix, answer in (
                ("qSupported", "PacketSize=2000;qXfer:features:read+"),
                ("qfThreadInfo", "m" + ",".join(f"{i + 1:x}" for i in range(self.cpus))),
                ("qsThreadInfo", "l"), ("qC", f"QC{self.stopped + 1:x}"), ("qAttached", "1"),
                ("T", "OK"), ("k", None)):
            if packet.startswith(prefix):
                return answer
        if packet == "D":
            self.debugger.send("c")
            return "OK"
        action = {"H": self._thread, "g": self._all_registers, "p": self._register,
                  "P": self._set_register, "m": self._read, "M": self._write, "c": self._continue,
                  "s": self._step, "Z": self._breakpoint, "z": self._breakpoint,
                  "q": self._query, "Q": self._query}.get(packet[:1])
        return action(packet) if action else ""

    def _query(self, packet):
        if packet.startswith("Qqemu.PhyMemMode:"):  # as QEMU's stub has it
            self.physical = packet[-1] == "1"
            return "OK"
        if packet == "qqemu.PhyMemMode":
            return str(int(self.physical))
        found = re.fullmatch(r"qXfer:features:read:target.xml:([0-9a-f]+),([0-9a-f]+)", packet)
        if not found:
            return ""
        start, size = (int(number, 16) for number in found.groups())
        rest = target_xml()[start:]
        return ("m" if len(rest) > size else "l") + rest[:size]

    def _thread(self, packet):
        number = int(packet[2:], 16) if packet[2:] not in ("-1", "") else 0
        self.debugger.select(number - 1 if number > 0 else self.stopped)
        return "OK"

    @staticmethod
    def _hex(name, bits, values):
        if name not in values:
            return "0" * (bits // 4)
        return (values[name] & ((1 << bits) - 1)).to_bytes(bits // 8, "little").hex()

    def _all_registers(self, _):
        values = self.debugger.registers()
        return "".join(self._hex(name, bits, values) for name, bits, _, _ in REGISTERS)

    def _register(self, packet):
        name, bits, _, _ = REGISTERS[int(packet[1:], 16)]
        return self._hex(name, bits, self.debugger.registers())

    def _set_register(self, packet):
        number, value = packet[1:].split("=")
        name = REGISTERS[int(number, 16)][0]
        if name not in GENERAL and name != "eflags":
            return "E01"
        self.debugger.set_register(name, int.from_bytes(bytes.fromhex(value), "little"))
        return "OK"

    def _read(self, packet):
        address, size = (int(number, 16) for number in packet[1:].split(","))
        return self.debugger.read(address, size, self.physical).hex() or "E14"

    def _write(self, packet):
        place, data = packet[1:].split(":")
        address = int(place.split(",")[0], 16)
        done = self.debugger.write(address, bytes.fromhex(data), self.physical)
        return "OK" if done else "E14"

    def _continue(self, _):
        return self._stop(self.debugger.run(self._interrupted))

    def _step(self, _):
        self.debugger.step()
        return self._stop(self.debugger.cpu)

    def _breakpoint(self, packet):
        kind, address, _ = packet[1:].split(",")
        if kind not in "01":
            return ""
        act = self.debugger.set_breakpoint if packet[0] == "Z" else self.debugger.delete_breakpoint
        act(int(address, 16))
        return "OK"


def listen(path):
    """A socket that gdb's `target remote PATH` finds."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return listener
