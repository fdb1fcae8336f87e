# SPDX-License-Identifier: BSD-2-Clause
"""What Umbra cannot run on, or cannot start, is refused with one line that says why. With
on-refuse=boot the kernel is started all the same, without Umbra."""

from harness import guest
from harness.cases import BootTest, FORBID
from harness.engines import Hardware
from harness.media import Entry, under_umbra

# A refused guest never starts.
NO_GUEST = FORBID + (r"Linux version ",)


def kernel(context, command_line=""):
    return under_umbra(context.image, guest.bzimage(), command_line)


def no_module(context):
    return Entry(("multiboot2 /boot/umbra.elf",), {"/boot/umbra.elf": context.image})


def module_of(data):
    """Umbra with these bytes where a kernel should be."""
    return lambda context: under_umbra(context.image, context.write("module", data))


def truncated_bzimage(context):
    data = guest.bzimage().read_bytes()
    return under_umbra(context.image, context.write("vmlinuz", data[:len(data) // 2]))


def truncated_elf(context):
    data = guest.vmlinux().read_bytes()
    return under_umbra(context.image, context.write("vmlinux", data[:1 << 20]))


def long_command_line(context):
    # Linux on x86 takes 2047 bytes (cmdline_size of the boot protocol).
    return kernel(context, "x=" + "y" * 3000)


def huge_initrd(context):
    # GRUB can still load it; with the unpacked kernel it does not fit.
    return under_umbra(context.image, guest.bzimage(), "",
                       context.write("initrd", b"\0" * (24 << 20)))


def refused(name, cd, reason, **options):
    options.setdefault("engine", "bochs")
    options.setdefault("timeout", 90)
    return BootTest(f"refuse.{name}", cd=cd, expect=(rf"umbra: error: .*{reason}",),
                    forbid=NO_GUEST, linger=2, **options)


def bare(name, reason, more="", kernel=guest.bzimage, cpus=1, **options):
    """The refusal, told on serial port and screen, and then Linux on the machine as it is."""
    def cd(context):
        return under_umbra(context.image, kernel(), context.command_line("umbra.after=poweroff"),
                           context.initrd(), f"on-refuse=boot {more}")

    options.setdefault("engine", "bochs")
    options.setdefault("slow", True)
    return BootTest(f"refuse.{name}.boot", cd=cd, ends=True, timeout=400, forbid=FORBID,
                    expect=(rf"umbra: error: .*{reason}",
                            r"umbra: error: starting the kernel without Umbra", r"Linux version ",
                            rf"UMBRA-GUEST: userspace nproc={cpus} workload=ok",
                            r"UMBRA-GUEST: poweroff"), **options)


TESTS = [
    refused("no-vmx", kernel, r"VMX", engine="tcg"),
    refused("no-vmx-2cpu", kernel, r"VMX", engine="tcg", hardware=Hardware(cpus=2)),
    refused("no-ept", kernel, r"EPT", hardware=Hardware(cpu_model="core2_penryn_t9600")),
    refused("no-unrestricted-guest", kernel, r"unrestricted guest",
            hardware=Hardware(cpu_model="corei5_lynnfield_750")),
    refused("no-module", no_module, r"no guest"),
    refused("empty-module", module_of(b""), r"neither .* nor a boot sector"),
    refused("text-module", module_of(b"neither kernel nor boot sector\n" * 64),
            r"neither .* nor a boot sector"),
    refused("truncated-bzimage", truncated_bzimage, r"kernel file is truncated"),
    refused("truncated-elf", truncated_elf, r"ELF file is truncated"),
    refused("long-command-line", long_command_line,
            r"command line has 3002 characters, 2047 are possible"),
    refused("huge-initrd", huge_initrd, r"the guest does not fit", hardware=Hardware(memory=64)),
    refused("little-memory", module_of(b"\0" * 510 + b"\x55\xaa"), r"memory",
            hardware=Hardware(memory=5)),
    # Before Umbra has moved …
    bare("no-vmx", r"VMX", engine="tcg", slow=False),
    bare("no-vmx-vmlinux", r"VMX", kernel=guest.vmlinux, engine="tcg"),
    bare("no-vmx-2cpu", r"VMX", cpus=2, engine="tcg", hardware=Hardware(cpus=2), slow=False),
    bare("no-ept", r"EPT", hardware=Hardware(cpu_model="core2_penryn_t9600")),
    # … when all CPUs have answered the roll call …
    bare("little-memory", r"no \d+ KiB of free memory", "nested.pool=1048576", cpus=2,
         hardware=Hardware(cpus=2)),
    # … and from its new home.
    bare("dma-protect", r"dma=protect: ", "dma=protect", cpus=2, hardware=Hardware(cpus=2)),
]
