# SPDX-License-Identifier: BSD-2-Clause
"""What happens to a machine while it runs: CPUs go offline and come back, it sleeps, one kernel starts
another."""

from harness import guest, tools
from harness.cases import FORBID_ERRORS, BootTest
from harness.engines import Hardware
from harness.media import native_linux, under_umbra

FORBID = FORBID_ERRORS + (r"UMBRA-GUEST: test \w+=failed",)
FORBID_BUT_PANIC = tuple(pattern for pattern in FORBID if pattern != r"Kernel panic")
CLIENT = r"KVM-CLIENT: end [1-9]\d* ok 0 failed"


def script(name):
    return guest.INIT.with_name(name)


def hotplug_initrd(context, client):
    files = {"/tests/hotplug": script("hotplug")}
    if client:
        files["/tests/kvm"] = tools.kvm_client(context.path("kvm_client"))
    return context.initrd(modules=("kvm-intel",) if client else (), files=files)


def hotplug(client, more=""):
    return lambda context: under_umbra(
        context.image, guest.vmlinux(),
        context.command_line(f"umbra.test=hotplug umbra.after=poweroff {more}"),
        hotplug_initrd(context, client))


def suspend(rounds, kvm=False, native=False, more=""):
    """Suspend to RAM. The machine wakes at once; without a console that stays on nothing is seen."""
    def cd(context):
        files = {"/tests/suspend": script("suspend")}
        if kvm:
            files["/tests/kvm"] = tools.kvm_client(context.path("kvm_client"))
        if not native:
            files["/tests/below"] = tools.below(context.path("below"))
        initrd = context.initrd(modules=("kvm-intel",) if kvm else (), files=files)
        line = context.command_line(f"umbra.test=suspend umbra.rounds={rounds} no_console_suspend "
                                    f"umbra.workload=off umbra.after=poweroff {more}")
        if native:
            return native_linux(guest.bzimage(), line, initrd)
        return under_umbra(context.image, guest.vmlinux(), line, initrd, "stats")
    return cd


def suspend_lines(rounds, kvm=False):
    client = (CLIENT,) if kvm else ()
    return (*client, *(rf"SUSPEND: round {n}\b" for n in range(1, rounds + 1)),
            rf"SUSPEND: slept {rounds} times", *client, r"UMBRA-GUEST: test suspend=ok")


# Bochs's HPET keeps on through a reset what Linux has set, and the BIOS then waits for ever for the
# interrupts of the timer that it replaces: bare as well. Before a reset in good order Linux undoes it.
RESET = "hpet=disable reboot=pci"


def hibernate(context):
    """By way of a reset of the machine: the emulator's disk lasts no longer than it runs."""
    initrd = context.initrd(modules=("ata_piix", "sd_mod", "kvm-intel"), files={
        "/tests/hibernate": script("hibernate"),
        "/tests/kvm": tools.kvm_client(context.path("kvm_client")),
        "/tests/below": tools.below(context.path("below")),
    })
    line = context.command_line(f"umbra.test=hibernate no_console_suspend {RESET} "
                                "umbra.workload=off umbra.after=poweroff")
    return under_umbra(context.image, guest.vmlinux(), line, initrd, "stats")


def panic(context):
    initrd = context.initrd(modules=("kvm-intel",), files={
        "/tests/panic": script("panic"),
        "/tests/kvm": tools.kvm_client(context.path("kvm_client")),
    })
    line = context.command_line(f"umbra.test=panic panic=1 {RESET} umbra.workload=off")
    return under_umbra(context.image, guest.vmlinux(), line, initrd)


def kexec_initrd(context, kvm):
    """The initramfs of both kernels; the first one's has the second one's in it."""
    modules = ("kvm-intel",) if kvm else ()
    files = {"/tests/kexec": script("kexec")}
    if kvm:
        files["/tests/kvm"] = tools.kvm_client(context.path("kvm_client"))
    second = context.write("second.img", context.initrd(modules=modules, files=files).read_bytes())
    return context.initrd(modules=modules, files=files | {
        "/tests/kexec-load": tools.kexec_load(context.path("kexec_load")),
        "/tests/kernel": guest.bzimage(),
        "/tests/initrd": second,
    })


def kexec(kvm=False, native=False, crash=False):
    def cd(context):
        first = "crash crashkernel=192M" if crash else "kvm" if kvm else "plain"
        # Digests of kernel and initramfs take the emulator longer than Linux's watchdog waits.
        line = context.command_line(f"umbra.test=kexec umbra.kexec={first} umbra.after=poweroff "
                                    "umbra.workload=off nosoftlockup")
        initrd = kexec_initrd(context, kvm)
        if native:
            return native_linux(guest.bzimage(), line, initrd)
        return under_umbra(context.image, guest.bzimage(), line, initrd)
    return cd


def kexec_lines(kvm):
    client = (CLIENT,) if kvm else ()
    return (*client, r"KEXEC: leaving the first kernel", r"Linux version ",
            r"KEXEC: second kernel", *client, r"UMBRA-GUEST: test kexec=ok")


CRASH_LINES = (CLIENT, r"KEXEC: crashing", r"Kernel panic", r"Linux version ",
               r"KEXEC: crash kernel, memory of OSRELEASE=\d", CLIENT,
               r"UMBRA-GUEST: test kexec=ok")


def test(name, cd, cpus=2, **options):
    options.setdefault("timeout", 900)
    options.setdefault("forbid", FORBID)
    options.setdefault("ends", True)
    return BootTest(f"machine.{name}", cd=cd, hardware=Hardware(cpus=cpus, memory=768), **options)


TESTS = [
    test("hotplug", hotplug(False), expect=(r"HOTPLUG: round 3", r"HOTPLUG: end")),
    test("hotplug-kvm", hotplug(True), expect=(r"HOTPLUG: end", r"UMBRA-GUEST: test hotplug=ok"),
         slow=True),
    test("suspend", suspend(2), expect=suspend_lines(2)),
    test("suspend-10", suspend(10, kvm=True), expect=suspend_lines(10, kvm=True), timeout=2400,
         slow=True),
    test("suspend-1cpu", suspend(2), cpus=1, expect=suspend_lines(2), slow=True),
    test("suspend-native", suspend(2, native=True), expect=suspend_lines(2), variant=None,
         slow=True),
    test("suspend-idle", suspend(1, kvm=True, more="umbra.state=freeze"), slow=True,
         keys=(r"PM: suspend entry \(s2idle\)", "\n", 15),
         expect=suspend_lines(1, kvm=True)),
    test("hibernate", hibernate, cpus=1, swap=256, slow=True, timeout=1500,
         expect=(r"HIBERNATE: looking for an image", CLIENT, r"PM: hibernation: hibernation entry",
                 r"umbra: version", r"HIBERNATE: looking for an image", r"HIBERNATE: woken up",
                 r"HIBERNATE: UMBRA-BELOW: .* 0 words changed", CLIENT,
                 r"UMBRA-GUEST: test hibernate=ok")),
    test("panic", panic, cpus=1, forbid=FORBID_BUT_PANIC, ends=False, slow=True,
         expect=(r"PANIC: now", r"Kernel panic", r"umbra: version", r"Linux version ")),
    test("kdump", kexec(kvm=True, crash=True), forbid=FORBID_BUT_PANIC, expect=CRASH_LINES,
         timeout=1500, slow=True),
    test("kexec", kexec(), expect=kexec_lines(False), slow=True),
    test("kexec-kvm", kexec(kvm=True), expect=kexec_lines(True), slow=True),
    test("kexec-native", kexec(native=True), expect=kexec_lines(False), variant=None, slow=True),
]
