# SPDX-License-Identifier: BSD-2-Clause
"""Machines to boot on: Bochs, which emulates VT-x in software, and QEMU."""

import dataclasses
import functools
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import bochs, host, media, ovmf
from .console import Console

TSC_KHZ = 50000  # Bochs: ticks of its TSC, of which each CPU executes an instruction

DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")


@dataclasses.dataclass(frozen=True)
class Hardware:
    """A PC. Leave the CPU model to the engine with None."""
    cpus: int = 1
    memory: int = 512                # MiB
    cpu_model: str = None
    firmware: str = "bios"           # or "uefi"; QEMU: or "uefi-secure", with Debian's test keys,
                                     # or "uefi-nx", which executes no data
    tpm: bool = False                # QEMU: a TPM 2.0
    bochs: str = ""                  # its version, or how that begins; "": what --bochs says
    tsc_khz: int = TSC_KHZ           # Bochs: instructions of a CPU in a millisecond
    ignore_bad_msrs: bool = True     # Bochs: an unknown MSR reads as 0 instead of raising #GP
    monitor: bool = False            # QEMU: takes commands, by ask_monitor()
    writable: bool = False           # the disk's image takes what is written to the disk
    in_rom: tuple = ()               # Bochs, UEFI: address and bytes that are in the firmware's ROM
    hide_table: bytes = None         # Bochs: signature its BIOS shall not write (ACPI tables)
    extra: tuple = ()                # QEMU: more arguments


@functools.lru_cache
def kvm_runs_vmx():
    """Can a QEMU/KVM guest here use VT-x itself?"""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
        flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
        nested = pathlib.Path("/sys/module/kvm_intel/parameters/nested").read_text("ascii")
    except OSError:
        return False
    return " vmx " in flags and nested.strip() in ("Y", "1")


def choose(name):
    """The engine's class; auto takes the fastest one that has VT-x."""
    if name == "auto":
        name = "kvm" if kvm_runs_vmx() else "bochs"
    return {"bochs": Bochs, "kvm": Kvm, "tcg": Tcg}[name]


def probe_options(engine, hardware):
    """The probe's options that leave out what the engine does not survive."""
    if choose(engine) is not Bochs:
        return ""
    left_out = bochs.VERSIONS[Bochs.version(hardware)].left_out
    return f" skip={','.join(left_out)}" if left_out else ""


@functools.lru_cache
def network_namespace():
    """Command prefix that gives a run its own network namespace, or nothing where not allowed.
    Bochs listens on a display port; so no two runs meet, and nobody else reaches it."""
    for prefix in (["unshare", "-n"], ["unshare", "-rn"]):
        try:
            if subprocess.run([*prefix, "true"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return prefix
        except OSError:
            pass
    return []


class Machine:
    """A running emulator. Always use it in a with statement: it is killed at the end."""

    name = None

    def __init__(self, hardware, log_path, cdrom=None, disk=None):
        self.hardware = hardware
        self.cdrom = cdrom and pathlib.Path(cdrom).resolve()
        self.disk = disk and pathlib.Path(disk).resolve()
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="umbra-"))
        self.log_path = log_path
        self.console = None
        self._process = None

    def __enter__(self):
        self.console = Console(self.log_path)
        with open(self.work / "output", "wb") as output:
            self._process = subprocess.Popen(
                self.command(), cwd=self.work, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True)
        return self

    def __exit__(self, *_):
        if self.alive():
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.console.close()
        shutil.rmtree(self.work, ignore_errors=True)

    def alive(self):
        return self._process.poll() is None

    def emulator_tail(self, count=8):
        """The last lines the emulator itself printed or logged."""
        lines = []
        for name in ("output", "bochs.log"):
            path = self.work / name
            if path.exists():
                text = path.read_text(encoding="utf-8", errors="replace").splitlines()
                lines += [line for line in text if line.strip()][-count:]
        return lines

    def command(self):
        raise NotImplementedError


class Bochs(Machine):
    """Bochs executes every instruction in software, VT-x included."""

    name = "bochs"
    default_cpu = "corei7_haswell_4770"
    first_command = "c"              # of its debugger, if it has one

    def __init__(self, hardware, *arguments, **options):
        self.model = hardware.cpu_model or self.default_cpu
        self.bochs = bochs.get(self.version(hardware))
        super().__init__(hardware, *arguments, **options)

    @staticmethod
    def version(hardware):
        return bochs.version_for(hardware.cpu_model, hardware.firmware, hardware.bochs)

    def firmware(self):
        """Lines of the configuration."""
        rom = self.work / "rom.bin"
        if self.hardware.firmware == "uefi":
            image = bytearray(b"".join(part.read_bytes() for part in self.bochs.uefi))
            start = (1 << 32) - len(image)
            if self.hardware.in_rom:
                address, data = self.hardware.in_rom
                image[address - start:address - start + len(data)] = data
            rom.write_bytes(image)
            return [f"romimage: file={rom}, address={start:#x}",
                    "fw_cfg: enabled=1", "vga: extension=vbe",
                    "pci: enabled=1, chipset=i440fx, slot1=pcivga"]
        if not self.hardware.hide_table:
            rom = self.bochs.bios
        else:
            media.bios_without(self.bochs.bios, self.hardware.hide_table, rom)
        return [f"romimage: file={rom}"]

    def config(self):
        hardware = self.hardware
        # Nobody looks at it. The network's display refuses the modes that OVMF sets, and ends Bochs;
        # the terminal's can go on without showing them.
        display = "term" if hardware.firmware == "uefi" else 'rfb, options="timeout=0"'
        lines = [
            f"display_library: {display}",
            "config_interface: textconfig",
            f"megs: {hardware.memory}",
            f"cpu: model={self.model}, count={hardware.cpus}, "
            f"ips={hardware.tsc_khz * 1000}, reset_on_triple_fault=0, "
            f"ignore_bad_msrs={int(hardware.ignore_bad_msrs)}"
            + self.bochs.cpu_options(self.model, self.work,
                                     hardware.cpus if hardware.firmware == "uefi" else 0),
            *self.firmware(),
            f"vgaromimage: file={self.bochs.vga_bios}",
            f"com1: enabled=1, mode=term, dev={self.console.device}",
            "clock: sync=none, time0=utc",
            # Bochs may die of a machine without a sound card.
            "sound: driver=dummy",
            "log: bochs.log",
            "panic: action=fatal" + (", TERM=report" if display == "term" else ""),
            "error: action=report",
            "info: action=ignore",
            "debug: action=ignore",
        ]
        cdrom_bus = 0
        if self.disk:
            cdrom_bus = 1
            lines.append("ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15")
            mode = "flat" if hardware.writable else "volatile"
            lines.append(f"ata0-master: type=disk, mode={mode}, path={self.disk}")
        if self.cdrom:
            lines.append(f"ata{cdrom_bus}-master: type=cdrom, path={self.cdrom}, status=inserted")
        lines.append("boot: " + ("cdrom" if self.cdrom else "disk"))
        return "\n".join(lines) + "\n"

    def command(self):
        (self.work / "bochsrc").write_text(self.config(), encoding="utf-8")
        if self.first_command:
            (self.work / "commands").write_text(f"{self.first_command}\n", encoding="ascii")
        return [*network_namespace(), *DIE_WITH_PARENT, "env", "TERM=linux",
                *self.bochs.command(), "-q", "-f", "bochsrc",
                *(["-rc", "commands"] if self.bochs.debugger and self.first_command else [])]


class Qemu(Machine):
    """A QEMU PC."""

    accelerator = None
    default_cpu = None

    def firmware(self):
        """Arguments."""
        if self.hardware.firmware == "bios":
            return []
        secure = self.hardware.firmware != "uefi"
        code, variables = ovmf.files(self.hardware.firmware)
        own = self.work / "variables.fd"
        shutil.copy(variables, own)
        flash = [("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"),
                 ("-drive", f"if=pflash,unit=1,format=raw,file={own}")]
        if secure:
            # Variables are safe from the operating system only behind System Management Mode.
            flash += [("-machine", "q35,smm=on"),
                      ("-global", "driver=cfi.pflash01,property=secure,value=on"),
                      ("-global", "ICH9-LPC.disable_s3=1")]
        return [word for pair in flash for word in pair]

    def tpm(self):
        """A program that runs beside QEMU and ends with it, and QEMU's arguments."""
        if not self.hardware.tpm:
            return [], []
        host.ensure_packages(("swtpm",))
        start = ("swtpm socket --tpm2 --tpmstate dir=. --ctrl type=unixio,path=tpm.socket --daemon "
                 "--terminate && exec \"$@\"")
        return ["sh", "-c", start, "sh"], [
            "-chardev", "socket,id=tpm,path=tpm.socket", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
            "-device", "tpm-tis,tpmdev=tpm0"]

    def command(self):
        hardware = self.hardware
        beside, tpm = self.tpm()
        command = [*DIE_WITH_PARENT, *beside, "qemu-system-x86_64", "-accel", self.accelerator,
                   "-cpu", hardware.cpu_model or self.default_cpu,
                   "-smp", str(hardware.cpus), "-m", str(hardware.memory),
                   "-nodefaults", "-nic", "none", "-display", "none", "-vga", "std",
                   *self.firmware(), "-no-reboot", "-chardev", f"serial,id=com1,path={self.console.device}",
                   "-serial", "chardev:com1"]
        if self.disk:
            snapshot = "off" if hardware.writable else "on"
            command += ["-drive", f"file={self.disk},format=raw,if=ide,index=0,snapshot={snapshot}"]
        if self.cdrom:
            command += ["-drive", f"file={self.cdrom},format=raw,if=ide,index=2,media=cdrom",
                        "-boot", "d"]
        if hardware.monitor:
            command += ["-monitor", "unix:monitor,server=on,wait=off"]
        return [*command, *tpm, *hardware.extra]

    def ask_monitor(self, *commands):
        """One command after the other."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.work / "monitor"))
            for command in commands:
                connection.sendall(f"{command}\n".encode())
                time.sleep(0.5)


class Kvm(Qemu):
    name = "kvm"
    accelerator = "kvm"
    default_cpu = "host"


class Tcg(Qemu):
    """Software QEMU; it has no VT-x."""

    name = "tcg"
    accelerator = "tcg"
    default_cpu = "max"
