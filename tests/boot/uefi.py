# SPDX-License-Identifier: BSD-2-Clause
"""Under UEFI, Umbra is started by GRUB, which ends the boot services, or by the firmware itself, which
goes on as its guest and starts what it always did. Linux uses the firmware as on the bare machine."""

import re
import struct

from harness import guest, ovmf, releases, tools, transcript, uki
from harness.cases import BootTest, FORBID, FORBID_ERRORS
from harness.engines import Hardware
from harness.kernels import KERNELS, OWN
from harness.media import (Entry, Esp, Menu, dmar, esp_debian_grub, esp_grub, native_linux,
                           native_multiboot2, under_umbra)


def uefi(cpus):
    return Hardware(cpus=cpus, firmware="uefi")


def initrd(context):
    return context.initrd(modules=("efivarfs",), files={"/tests/efi": guest.INIT.with_name("efi")})


def line(context):
    return context.command_line("umbra.test=efi umbra.after=poweroff")


def umbra(umbra_args):
    """GRUB's multiboot2 command."""
    return lambda context: under_umbra(context.image, guest.bzimage(), line(context),
                                       initrd(context), umbra_args)


# In the firmware's ROM, where variables are moved to when they need room: nobody does that here, and no MTRR
# calls it memory.
UNIT = 0xffc83000
# Intel's VT-d Architecture Specification, "Register Descriptions": VER_REG, CAP_REG with 3 and 4 levels
# (SAGAW), 48 bits (MGAW), large pages (SLLPS) and fault recording at 200H (FRO), ECAP_REG with
# invalidation at 100H (IRO), GCMD_REG, GSTS_REG.
REGISTERS = struct.pack("<QQQII", 0x10, 0xc202f0600, 0x1000, 0, 0)


def devices_use_all(context):
    """The firmware's table of remapping units gives a device all memory: Umbra has hidden it already when
    it finds that it cannot stay."""
    files = {"/tests/dmar": guest.INIT.with_name("dmar")}
    entry = under_umbra(context.image, guest.bzimage(),
                        context.command_line("intel_iommu=off intremap=off umbra.test=dmar "
                                             "umbra.workload=off umbra.after=poweroff"),
                        context.initrd(files=files))
    table = dmar(UNIT, (0x100000, 0x7fffffff), context.path("dmar.aml"))
    return Entry(("acpi --exclude=DMAR /boot/dmar.aml", *entry.commands),
                 entry.files | {"/boot/dmar.aml": table})


def native(context):
    return native_linux(guest.bzimage(), line(context), initrd(context))


def reboot(context):
    command_line = context.command_line("reboot=efi umbra.workload=off umbra.after=reboot")
    return native_linux(guest.bzimage(), command_line, initrd(context))


# What may differ in a line: a pattern, what of it is compared, and why.
DIFFERENCES = ((r"(efifb: framebuffer at .*, total )\d+k", r"\1",
                "GRUB rounds the size up to 64 KiB; Umbra's is exact, as of Linux's own EFI stub"),)


# The same where the firmware has loaded one program more, Umbra, and lays out its memory by that.
IN_PLACE_DIFFERENCES = (
    (r"(runtime-map 0x\w+) 0x\w+ 0x\w+ 0x\w+ (0x\w+)", r"\1 \2", "where, and how large"),
    (r"(Freeing EFI boot services memory: )\d+K", r"\1", "how much the firmware has used"),
)


def firmware_differences(bare, under, allowed=DIFFERENCES):
    """What else Linux knows of the firmware must not differ: its tables, variables, the memory it
    keeps, Secure Boot, frame buffer."""
    seen = [[text for text in lines if text.startswith("EFI: ")] for lines in (bare, under)]
    for pattern, kept, _ in allowed:
        seen = [[re.sub(pattern, kept, text) for text in lines] for lines in seen]
    return transcript.unified(*seen)


def in_place_differences(bare, under):
    return firmware_differences(bare, under, IN_PLACE_DIFFERENCES)


def works(cpus):
    return (rf"UMBRA-GUEST: userspace nproc={cpus} workload=ok",
            r"EFI: variable written, read, changed and deleted",
            r"EFI: runtime-map 0x5 ", r"EFI: dmesg efi: EFI v2", r"UMBRA-GUEST: test efi=ok")


# The firmware's first choice on a disk without boot entries of its own.
FIRST = "/EFI/BOOT/BOOTX64.EFI"
IN_PLACE = r"umbra: starting \\EFI\\debian\\\S+ under Umbra on {} CPUs"


def config(**lines):
    return "# made for a test\n" + "".join(f"{key} = {value}\n" for key, value in lines.items()
                                           if value)


def in_place(entry=native, **settings):
    """The firmware starts umbra.efi, that GRUB, and that Linux."""
    def esp(context):
        return Esp({FIRST: context.efi,
                    "/EFI/umbra/umbra.conf": config(**{"start": r"\EFI\debian\grubx64.efi"} | settings),
                    **esp_grub(entry(context), context.directory)})
    return esp


def bare(context, entry=native):
    """The firmware starts the same GRUB."""
    files = esp_grub(entry(context), context.directory)
    return Esp({FIRST: files["/EFI/debian/grubx64.efi"], **files})


# All but kick-cli: in Bochs 3 a guest with interrupts off makes no exit for one, bare as well.
CLIENT_CASES = ("real protected long exceptions mmio interrupts apic kick msrs tsc dirty-log many-vms "
                "migrate two-vcpus memory-4k")


def kvm(context, kernel=OWN):
    """Linux with KVM and its client."""
    command_line = context.command_line("umbra.workload=off umbra.test=kvm umbra.after=poweroff")
    script = context.write("kvm", f"#!/bin/sh\nexec /tests/client {CLIENT_CASES}\n".encode("ascii"))
    script.chmod(0o755)
    files = {"/tests/kvm": script, "/tests/client": tools.kvm_client(context.path("client"))}
    return native_linux(kernel.bzimage(), command_line, context.initrd(
        modules=("kvm-intel",), files=files, kernel=kernel))


def on_esp(start, make):
    """umbra.efi starts that program; the other files of the partition are made of a Context."""
    return lambda context: Esp({
        FIRST: context.efi, "/EFI/umbra/umbra.conf": config(start=start), **make(context)})


def debian(kernel):
    """What Debian installs: its GRUB, signed, with its menu."""
    def files(context):
        entry = kvm(context, kernel)
        return esp_debian_grub(Menu(entry.commands, entry.files))
    return on_esp(r"\EFI\debian\grubx64.efi", files)


def systemd_boot(context):
    """systemd-boot with an entry of type 1."""
    return {"/EFI/systemd/systemd-bootx64.efi": uki.program("systemd-bootx64.efi"),
            "/loader/loader.conf": "timeout 0\ndefault test.conf\n",
            "/loader/entries/test.conf": "title Test\nlinux /vmlinuz\ninitrd /initrd.img\n"
                                         f"options {line(context)}\n",
            "/vmlinuz": guest.bzimage(), "/initrd.img": initrd(context)}


def unified(context):
    """A unified kernel image, which systemd-boot finds by itself."""
    image = uki.make(guest.bzimage(), line(context), initrd(context), context.path("uki.efi"))
    return {"/EFI/systemd/systemd-bootx64.efi": uki.program("systemd-bootx64.efi"),
            "/loader/loader.conf": "timeout 0\n", "/EFI/Linux/test.efi": image}


def shell(context):
    """The EFI shell, which ends with the status EFI_ABORTED, so that the boot manager tells."""
    program = releases.unpacked("efi-shell-x64", "trixie") / "usr/share/efi-shell-x64/shellx64.efi"
    return {"/shellx64.efi": program,
            "/startup.nsh": "echo SHELL-IS-HERE\nmemmap\nexit 0x8000000000000015\n"}


def probe(context):
    """The probe, by the same GRUB's multiboot2 command; it makes GRUB end the boot services. Unknown
    MSRs read as 0 here, and can be written, since Linux's and the firmware's would end Bochs: no cases
    of those, as vmx.cap.optional_msrs and vmx.cap.read_only are."""
    capabilities = "".join(f",vmx.cap.{name}" for name in (
        "basic", "controls", "dependencies", "fixed_bits", "vmcs_enum", "same_everywhere"))
    return native_multiboot2(context.probe, "digest exit=poweroff cases=smp,cpuid,xsetbv,cr,insn,nmi,"
                             f"mtrr,mem,vmx.field,vmx.entry{capabilities}" + context.probe_options)


def stub(context, **more):
    """The firmware starts umbra.efi, that the kernel itself, whose stub reads the initrd."""
    arguments = rf"initrd=\initrd.img {line(context)}"
    return Esp({FIRST: context.efi, "/vmlinuz.efi": guest.bzimage(),
                "/initrd.img": initrd(context), "/EFI/umbra/umbra.conf": config(
                    **{"start": r"\vmlinuz.efi", "arguments": arguments} | more)})


def offered_initrd(context):
    """The same, but Umbra offers the initrd."""
    esp = stub(context, arguments=line(context), initrd=r"\early\initrd.img")
    esp.files["/early/initrd.img"] = esp.files.pop("/initrd.img")
    return esp


def itself(context):
    """umbra.efi starts a copy of itself: of all programs here it alone needs no executable data."""
    return Esp({FIRST: context.efi, "/again.efi": context.efi,
                "/EFI/umbra/umbra.conf": config(start=r"\again.efi")})


def measured(context):
    """Linux compares what Umbra measured."""
    text = config(start=r"\vmlinuz.efi", initrd=r"\initrd.img",
                  arguments=context.command_line("umbra.test=tpm umbra.after=poweroff"))
    files = {"/tests/tpm": guest.INIT.with_name("tpm"),
             "/etc/umbra.conf": context.write("umbra.conf", text.encode("ascii"))}
    return Esp({FIRST: context.efi, "/vmlinuz.efi": guest.bzimage(), "/EFI/umbra/umbra.conf": text,
                "/initrd.img": context.initrd(files=files)})


def secure(sign_umbra=True, sign_kernel=True):
    """The firmware verifies what it starts, and what Umbra asks it to load."""
    def esp(context):
        files = {name: ovmf.sign(file, context.path(name.strip("/") + ".signed")) if signed else file
                 for name, file, signed in (("umbra", context.efi, sign_umbra),
                                            ("kernel", guest.bzimage(), sign_kernel))}
        arguments = rf"initrd=\initrd.img {context.command_line('umbra.after=poweroff')}"
        return Esp({FIRST: files["umbra"], "/vmlinuz.efi": files["kernel"],
                    "/initrd.img": context.initrd(),
                    "/EFI/umbra/umbra.conf": config(start=r"\vmlinuz.efi", arguments=arguments)})
    return esp


def no_vmx(name, esp, firmware="uefi", expect=(), tpm=False, **options):
    """On QEMU's software CPU: it has no VT-x, so that Umbra stays out of it."""
    options.setdefault("timeout", 300)
    return BootTest(f"uefi.{name}", esp=esp, engine="tcg", forbid=FORBID, expect=expect,
                    hardware=Hardware(firmware=firmware, tpm=tpm), **options)


def under_umbra_in_place(lines):
    """The bare machine must not say this, so it is no line to expect in both boots."""
    seen = any(re.search(IN_PLACE.format(1), text) for text in lines)
    return [] if seen else ["Umbra did not start"]


TESTS = [
    # Ends the boot services, as where the firmware has no MP services.
    BootTest("uefi.equal", cd=umbra("efi=end"), hardware=uefi(1), ends=True, expect=works(1),
             same_as=native, compare=firmware_differences),
    BootTest("uefi.2cpu", cd=umbra("efi=end"), hardware=uefi(2), ends=True, timeout=400,
             expect=(r"umbra: starting the guest on 2 CPUs", *works(2))),
    # Keeps them: the firmware loads the first module, and Linux's EFI stub takes the second.
    BootTest("uefi.multiboot2-in-place", cd=umbra(""), hardware=uefi(1), ends=True,
             expect=(r"umbra: starting the first module under Umbra on 1 CPUs", *works(1))),
    BootTest("uefi.multiboot2-in-place-2cpu", cd=umbra(""), hardware=uefi(2), ends=True,
             timeout=400, expect=(r"umbra: starting the first module under Umbra on 2 CPUs",
                                  *works(2))),
    BootTest("uefi.multiboot2-in-place-4cpu", cd=umbra(""), hardware=uefi(4), ends=True,
             timeout=600, slow=True,
             expect=(r"umbra: starting the first module under Umbra on 4 CPUs", *works(4))),
    # What goes on without Umbra has the table of remapping units.
    BootTest("uefi.table-given-back", cd=devices_use_all, ends=True, forbid=FORBID, timeout=400,
             hardware=Hardware(firmware="uefi", in_rom=(UNIT, REGISTERS)), expect=(
                 r"umbra: error: the firmware gives a device memory at 0x",
                 r"umbra: error: starting the first module without Umbra", r"Linux version ",
                 r"DMAR: DMAR, sum 0", r"UMBRA-GUEST: test dmar=ok")),
    BootTest("uefi.in-place", esp=in_place(), hardware=uefi(1), ends=True, same_as=bare,
             expect=works(1), compare=in_place_differences, accept=under_umbra_in_place,
             timeout=400),
    # The firmware's MP services find the CPUs: no roll call, and no warning that there was none.
    BootTest("uefi.in-place-2cpu", esp=in_place(), hardware=uefi(2), ends=True, timeout=400,
             forbid=FORBID_ERRORS + (r"umbra: .*no free page below 640 KiB",),
             expect=(IN_PLACE.format(2), *works(2))),
    BootTest("uefi.in-place-4cpu", esp=in_place(), hardware=uefi(4), ends=True, timeout=800,
             expect=(IN_PLACE.format(4), *works(4)), slow=True),
    # The firmware's ResetSystem(), after which it starts Umbra again. Not watched further: the time-stamp
    # counters of Bochs's CPUs differ by a minute then, bare as well.
    BootTest("uefi.reboot", esp=in_place(reboot), hardware=uefi(2), timeout=400, slow=True,
             expect=(IN_PLACE.format(2), r"UMBRA-GUEST: userspace nproc=2", r"UMBRA-GUEST: reboot",
                     IN_PLACE.format(2), r"Linux version ")),
    BootTest("uefi.in-place-stub", esp=stub, hardware=uefi(2), ends=True, timeout=400,
             expect=(r"umbra: starting \\vmlinuz.efi under Umbra on 2 CPUs", *works(2)), slow=True),
    BootTest("uefi.in-place-initrd", esp=offered_initrd, hardware=uefi(2), ends=True, timeout=400,
             expect=(r"umbra: starting \\vmlinuz.efi under Umbra on 2 CPUs", *works(2)), slow=True),
    BootTest("uefi.in-place-kvm", esp=in_place(kvm), hardware=uefi(2), ends=True, timeout=1200,
             expect=(IN_PLACE.format(2), r"KVM-CLIENT: end [1-9]\d* ok 0 failed"), slow=True),
    *(BootTest(f"uefi.debian-{kernel.name}", esp=debian(kernel), hardware=uefi(2), ends=True,
               timeout=1800, slow=True,
               expect=(IN_PLACE.format(2), rf"Linux version {kernel.version}",
                       r"KVM-CLIENT: end [1-9]\d* ok 0 failed")) for kernel in KERNELS[:2]),
    *(BootTest(f"uefi.{name}", esp=on_esp(r"\EFI\systemd\systemd-bootx64.efi", make),
               hardware=uefi(2), ends=True, timeout=600, slow=True,
               expect=(r"umbra: starting \\EFI\\systemd\S+ under Umbra on 2 CPUs", *works(2)))
      for name, make in (("systemd-boot", systemd_boot), ("unified-kernel", unified))),
    BootTest("uefi.shell", esp=on_esp(r"\shellx64.efi", shell), timeout=300, slow=True,
             hardware=uefi(2),
             expect=(r"umbra: starting \\shellx64.efi under Umbra on 2 CPUs", r"SHELL-IS-HERE",
                     r"Reserved *: ", r"BdsDxe: failed to start Boot\d+ .*: Aborted")),
    # Under Umbra as on the bare machine, both times after the firmware and GRUB.
    BootTest("uefi.probe", esp=in_place(probe), hardware=uefi(2), tap=True, timeout=900, slow=True,
             same_as=lambda context: bare(context, probe)),
    no_vmx("in-place-no-vmx", in_place(), ends=True,
           expect=(r"umbra: error: .* lacks VMX", r"umbra: error: starting \\EFI.* without Umbra",
                   *works(1))),
    # Without a line `start` the firmware's next boot entry, here its shell.
    no_vmx("in-place-next", in_place(start=None),
           expect=(r"umbra: error: starting EFI Internal Shell without Umbra",
                   r"UEFI Interactive Shell")),
    no_vmx("in-place-bad-config", in_place(strat="x"),
           expect=(r"umbra: error: \\EFI\\umbra\\umbra.conf, line 3: a key that is none of",)),
    # A kernel in a module is started without Umbra, too.
    no_vmx("multiboot2-no-vmx", in_place(umbra("")), ends=True, slow=True,
           expect=(r"umbra: error: .* lacks VMX", r"error: starting the first module without Umbra",
                   *works(1))),
    no_vmx("measured", measured, tpm=True, ends=True, slow=True,
           expect=(r"umbra: error: .* lacks VMX", r"TPM: the log has the digest of umbra.conf",
                   r"TPM: event .*umbra.conf", r"TPM: event .*initrd.img", r"TPM: PCR 8 is extended",
                   r"TPM: PCR 9 is extended", r"UMBRA-GUEST: test tpm=ok")),
    # The firmware executes nothing but the sections that say so.
    no_vmx("no-execute", itself, "uefi-nx", slow=True,
           expect=2 * (r"umbra: version", r"umbra: error: .* lacks VMX",
                       r"umbra: error: starting \\again.efi without Umbra")),
    no_vmx("secure", secure(), "uefi-secure", ends=True, slow=True,
           expect=(r"umbra: error: .* lacks VMX", r"without Umbra",
                   r"[Ss]ecure ?[Bb]oot.* enabled", r"UMBRA-GUEST: userspace nproc=1 workload=ok")),
    no_vmx("secure-unsigned-kernel", secure(sign_kernel=False), "uefi-secure", slow=True,
           expect=(r"umbra: error: .vmlinuz.efi cannot be loaded: EFI status 0x80000000000000(0f|1a)",)),
    no_vmx("secure-unsigned", secure(sign_umbra=False), "uefi-secure", slow=True,
           expect=(r"Access Denied|Security Violation|rejected",)),
]
