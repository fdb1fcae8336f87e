# SPDX-License-Identifier: BSD-2-Clause
"""The machine's serial port: a pseudo-terminal, its log, and a judge of its lines."""

import os
import pty
import re
import select
import sys
import termios
import threading
import time
import tty

from . import host

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1bc")

STOP = threading.Event()  # set when the user wants everything to end


class Judge:
    """Looks at whole lines: the expected patterns must appear in order, a forbidden one ends it."""

    def __init__(self, expect=(), forbid=()):
        self.expect = [re.compile(pattern) for pattern in expect]
        self.forbid = [re.compile(pattern) for pattern in forbid]
        self.met = 0
        self.offence = None

    def line(self, text):
        for pattern in self.forbid:
            if pattern.search(text):
                self.offence = text.strip()
                return
        while self.met < len(self.expect):
            if not self.expect[self.met].search(text):
                return
            self.met += 1

    def satisfied(self):
        return self.met == len(self.expect)

    def complaint(self):
        if self.offence:
            return f"forbidden line: {self.offence}"
        if not self.satisfied():
            return f"never seen: {self.expect[self.met].pattern}"
        return None


class Console:
    """A pseudo-terminal the emulator opens as its serial device."""

    def __init__(self, log_path):
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        self.device = os.ttyname(self._slave)
        self._log = open(log_path, "wb")
        self._partial = ""
        self.lines = []

    def close(self):
        os.close(self.master)
        os.close(self._slave)
        self._log.close()

    def read(self, seconds):
        """Wait at most so long for output; returns the bytes and the lines they completed."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        data = os.read(self.master, 65536) if ready else b""
        self._log.write(data)
        self._log.flush()
        *lines, self._partial = (self._partial
                                 + data.decode("utf-8", "replace")).split("\n")
        lines = [ESCAPES.sub("", line).replace("\r", "") for line in lines]
        self.lines.extend(lines)
        return data, lines

    def rest(self):
        """The unfinished last line."""
        return [ESCAPES.sub("", self._partial).replace("\r", "")] if self._partial else []

    def write(self, data):
        os.write(self.master, data)

    def tail(self, count=25):
        return (self.lines + self.rest())[-count:]


class Typist:
    """Types a text from a line on, again and again."""

    def __init__(self, pattern, text, seconds):
        self.pattern, self.text, self.seconds = re.compile(pattern), text.encode(), seconds
        self.due = None

    def line(self, text):
        if self.due is None and self.pattern.search(text):
            self.due = time.monotonic() + self.seconds

    def type(self, console):
        if self.due is not None and time.monotonic() >= self.due:
            console.write(self.text)
            self.due = time.monotonic() + self.seconds


def watch(machine, judge, timeout, linger=0, ends=False, keys=()):
    """Run until the judge is satisfied (and for linger seconds more, or until the machine ends
    when it has to), the machine ends or time is up. Returns None or what was wrong."""
    typist = Typist(*keys) if keys else None
    deadline = time.monotonic() + timeout
    done_at = None
    console = machine.console
    while True:
        if STOP.is_set():
            return "interrupted"
        alive = machine.alive()
        data, lines = console.read(0.2)
        ended = not alive and not data
        for line in lines + (console.rest() if ended else []):
            judge.line(line)
            if typist:
                typist.line(line)
        if typist:
            typist.type(console)
        now = time.monotonic()
        if judge.offence:
            return judge.complaint()
        if judge.satisfied():
            done_at = done_at or now
            if ended or (not ends and now >= done_at + linger):
                return judge.complaint()
        elif ended:
            return f"the machine ended; {judge.complaint()}"
        if now > deadline:
            why = "the machine runs on" if judge.satisfied() else judge.complaint()
            return f"no end after {timeout} s; {why}"


def expect(machine, judge, timeout, name="", ends=False):
    """The same, for what must go well: host.Failure with the end of the console else."""
    if problem := watch(machine, judge, timeout, ends=ends):
        raise host.Failure("\n".join([*machine.console.tail(), *machine.emulator_tail(),
                                      f"{name}: {problem}" if name else problem]))


def interact(machine):
    """Connect the user's terminal to the machine until it ends; Ctrl-] leaves."""
    console = machine.console
    keyboard = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
    saved = None
    if keyboard is not None:
        print("umbra: the guest's console follows; leave with Ctrl-]", flush=True)
        saved = termios.tcgetattr(keyboard)
        tty.setraw(keyboard)
    try:
        while True:
            alive = machine.alive()
            data, _ = console.read(0.05)
            os.write(sys.stdout.fileno(), data)
            if not alive and not data:
                return
            if keyboard is not None and select.select([keyboard], [], [], 0)[0]:
                typed = os.read(keyboard, 1024)
                if b"\x1d" in typed or not typed:
                    return
                console.write(typed)
    finally:
        if saved is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, saved)
