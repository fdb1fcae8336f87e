# SPDX-License-Identifier: BSD-2-Clause
"""The probe (subprojects/probe) checks the machine against the SDM, bare and as Umbra's guest."""

import dataclasses
import re

from harness import cases, host, media
from harness.cases import BootTest
from harness.engines import Hardware
from harness.media import native_multiboot2, under_umbra, under_umbra_chainload

RESERVED = re.compile(r"umbra: .*, (\d+) KiB reserved at 0x([0-9a-f]+)")

UNCHANGED = re.compile("# attack: code and constants unchanged, [1-9][0-9]* unused pages watched")


def bare(options=""):
    return lambda context: native_multiboot2(context.probe,
                                             options + context.probe_options)


def guest(options="", umbra_args=""):
    return lambda context: under_umbra(context.image, context.probe,
                                       options + context.probe_options, None, umbra_args)


def umbra_memory(hardware):
    """Umbra's own memory on such a machine, as it says itself: a first boot finds it out."""
    first = BootTest("probe.where", cd=guest("list"), expect=(RESERVED.pattern,),
                     hardware=hardware, timeout=60)
    problem, _, _, lines = cases.execute(first)
    if problem:
        raise host.Failure(problem)
    size, start = next(filter(None, map(RESERVED.search, lines))).groups()
    start = int(start, 16)
    return start, start + int(size) * 1024


def isolation(hardware):
    def cd(context):
        start, end = umbra_memory(hardware)
        return under_umbra(context.image, context.probe,
                           f"cases=mem,vmx.attack hidden={start:#x}-{end:#x}")
    return cd


def attack(name, options, hardware=None, umbra_args="", **more):
    """The attack, aimed at Umbra's memory; by `stats` the probe asks what became of it."""
    hardware = hardware or ISOLATION

    def cd(context):
        start, end = umbra_memory(hardware)
        return under_umbra(context.image, context.probe,
                           f"{options} hidden={start:#x}-{end:#x}" + context.probe_options,
                           None, f"stats {umbra_args}")
    return probe(name, cd, accept=watched, hardware=hardware, **more)


def watched(lines):
    """That Umbra did answer; what it answered the probe judges itself."""
    if any(UNCHANGED.match(line) for line in lines):
        return []
    return ["nobody looked whether Umbra's memory is unchanged"]


def mitigated(*more):
    """That Umbra does what it says it does: VERW, which every CPU has, and more."""
    line = "umbra: CPU 0: mitigations: " + ", ".join(("VERW at entries",) + more)

    def accept(lines):
        return [] if line in lines else [f"no line '{line}'"]
    return accept


def watchdog(hardware):
    """One CPU tries what has stopped a hypervisor, or might, while the other one counts."""
    def cd(context):
        start, end = umbra_memory(hardware)
        return under_umbra(context.image, context.probe, f"watched cases={WATCHED}"
                           f" hidden={start:#x}-{end:#x}" + context.probe_options)
    return cd


def init_sipi_flood(hardware):
    def cd(context):
        start, end = umbra_memory(hardware)
        return under_umbra(context.image, context.probe,
                           f"x2apic cases=reset.init_sipi_flood hidden={start:#x}-{end:#x}")
    return cd


def sleep(hardware):
    def cd(context):
        start, end = umbra_memory(hardware)
        return under_umbra(context.image, context.probe,
                           f"cases=sleep.s3 hidden={start:#x}-{end:#x}" + context.probe_options)
    return cd


def unlisted_cpu(native=False):
    """A machine of two CPUs whose firmware lists the second one as absent, and others that may come;
    Umbra takes the memory that it takes on one with two listed."""
    def cd(context):
        madt = media.madt(((0, 1), (1, 0), (5, 2), (6, 0)), context.path("madt.aml"))
        options = "cases=smp.unlisted_cpu unlisted=1"
        if native:
            return media.with_madt(native_multiboot2(context.probe, options), madt)
        start, end = umbra_memory(ISOLATION)
        return media.with_madt(under_umbra(context.image, context.probe,
                                           f"{options} hidden={start:#x}-{end:#x}"), madt)
    return cd


def probe(name, cd, cpus=1, **options):
    options.setdefault("timeout", 240)
    options.setdefault("hardware", Hardware(cpus=cpus, memory=256, ignore_bad_msrs=False))
    return BootTest(f"probe.{name}", cd=cd, tap=True, **options)


def equal(name, options, umbra_args="", **more):
    """The same transcript as on the bare machine."""
    return probe(name, guest(options, umbra_args), same_as=bare(options),
                 timeout=600, **more)


def newer_cpu(model, umbra_args="", suffix="", **options):
    """All cases on a CPU model that only Bochs 3 has. `./umbra probe` tells what differs."""
    return equal(model.replace("_", "-") + suffix, "digest", umbra_args, engine="bochs",
                 hardware=Hardware(cpus=2, memory=256, cpu_model=model, ignore_bad_msrs=False),
                 **options)


NEWER_CPUS = ("arrow_lake", "sapphire_rapids", "wildcat_lake")

# What every machine shows alike, whichever features Umbra hides.
ALIKE = "transcript cases=vmx.exit,vmx.event"
RANDOM = "cases=vmx.random rounds=2000"
ALONE = "cases=attack.alone steps=30000 seed=4"

WATCHED = ("watchdog,watchdog.init_sipi_flood,mem.hidden,taskswitch,vmx.attack,vmx.starve,vmx.task,"
           "vmx.shadow")

ISOLATION = Hardware(cpus=2, memory=256, ignore_bad_msrs=False)
ALONE_CPU = dataclasses.replace(ISOLATION, cpus=1)
SKYLAKE = dataclasses.replace(ISOLATION, cpu_model="corei7_skylake_x")

TESTS = [
    # The bare runs show that a failure below is Umbra's and not the machine's.
    probe("bare", bare()),
    probe("bare-4cpu", bare(), cpus=4),
    probe("umbra", guest()),
    probe("umbra-2cpu", guest(), cpus=2),
    probe("umbra-4cpu", guest(), cpus=4),
    probe("umbra-8cpu", guest("cases=smp,cpuid"), cpus=8, slow=True),
    # Bochs 2.7 has no timers for 16.
    probe("umbra-12cpu", guest("x2apic cases=smp,nmi"), cpus=12, timeout=900, slow=True),
    # Of what only those get who ask for it, no machine here has more than words of controls.
    probe("untested", guest("cases=vmx.cap,vmx.field,vmx.entry.control_bits,vmx.exit",
                            "nested.untested=all"), engine="bochs",
          hardware=Hardware(memory=256, cpu_model="wildcat_lake", ignore_bad_msrs=False)),
    probe("interface", guest("cases=interface.on", "hv-leaves=on"), cpus=2),
    probe("umbra-x2apic", guest("x2apic cases=smp,nmi"), cpus=2),
    # A multiboot2 kernel finds the name of the loader that loaded it, by which some of them decide
    # whether the command line begins with a file name, and all of its command line.
    BootTest("probe.loader-name", cd=guest("first=1 cases=cpuid last=2"), timeout=120,
             hardware=Hardware(memory=256),
             expect=(r"# probe, started by multiboot2: first=1 cases=cpuid last=2",
                     r"# loaded by GRUB 2\.", r"PROBE-END pass")),
    probe("sleep", sleep(ISOLATION), hardware=ISOLATION),
    probe("sleep-1cpu", sleep(ALONE_CPU), hardware=ALONE_CPU),
    probe("sleep-bare", bare("cases=sleep.s3"), cpus=2, slow=True),
    probe("unlisted-cpu", unlisted_cpu(), cpus=2),
    probe("unlisted-cpu-bare", unlisted_cpu(native=True), cpus=2, slow=True),
    # The same image from a disk, by the GRUB there.
    probe("chainload", lambda context: under_umbra_chainload(context.image), disk=bare(), cpus=2),
    equal("equal", ALIKE),
    equal("equal-noshadow", ALIKE, "nested.shadow=off", slow=True),
    equal("random", RANDOM, slow=True),
    equal("random-noshadow", RANDOM, "nested.shadow=off", slow=True),
    probe("isolation", isolation(ISOLATION), hardware=ISOLATION, timeout=240),
    attack("attack", "cases=attack.watched steps=20000"),
    # Twenty minutes and more in all. The console has the seeds: # attack: CPU 0, N steps, seed N
    attack("attack-long", "cases=attack.watched steps=300000 seed=2", timeout=1200, slow=True),
    attack("attack-2cpu", "cases=attack.all steps=150000 seed=3", timeout=1200, slow=True),
    attack("attack-noshadow", "cases=attack.all steps=30000 seed=5", None, "nested.shadow=off",
           timeout=600, slow=True),
    attack("attack-skylake", "cases=attack.watched steps=60000 seed=6", SKYLAKE, timeout=600,
           slow=True),
    attack("attack-arrow-lake", "cases=attack.watched steps=60000 seed=7",
           dataclasses.replace(ISOLATION, cpu_model="arrow_lake"), engine="bochs", timeout=600,
           slow=True),
    attack("attack-sapphire-rapids", "cases=attack.all steps=60000 seed=15",
           dataclasses.replace(ISOLATION, cpu_model="sapphire_rapids"), engine="bochs",
           timeout=600, slow=True),
    # It has the MSR-list instructions.
    attack("attack-wildcat-lake", "cases=attack.all steps=40000 seed=16",
           dataclasses.replace(ISOLATION, cpu_model="wildcat_lake"), engine="bochs",
           timeout=600, slow=True),
    probe("watchdog", watchdog(ISOLATION), hardware=ISOLATION),
    # XSAVES, which loads state without a look at any bitmap, and page-modification logging.
    probe("watchdog-skylake", watchdog(SKYLAKE), hardware=SKYLAKE, slow=True),
    # Without anything hidden to aim at, the attack sees the same on the bare machine.
    equal("attack-alone", ALONE),
    equal("attack-alone-noshadow", ALONE, "nested.shadow=off", slow=True),
    equal("attack-alone-skylake", ALONE, slow=True,
          hardware=dataclasses.replace(SKYLAKE, cpus=1)),
    # A CPU that shuts down takes all of the machine with it, and it starts anew; whatever the other
    # CPU sends it meanwhile, it never finds itself without Umbra.
    BootTest("probe.reset", cd=init_sipi_flood(ISOLATION),
             expect=3 * ("shutting CPU 1 down",
                         "umbra: error: triple fault in the guest on CPU 1", "umbra: version"),
             forbid=cases.FORBID + ("BARE",), hardware=ISOLATION, timeout=240),
    probe("nmi-stress", guest("cases=nmi nmirounds=20000"), cpus=4, timeout=300, slow=True),
    # The entries by way of VERW have looks of their own at NMIs.
    probe("nmi-stress-mitigations", guest("cases=nmi nmirounds=20000", "mitigations=force"),
          cpus=4, timeout=300, slow=True),
    probe("umbra-skylake", guest(), slow=True,
          hardware=Hardware(cpus=2, memory=256, cpu_model="corei7_skylake_x",
                            ignore_bad_msrs=False)),
    probe("umbra-tigerlake", guest(), slow=True,
          hardware=Hardware(cpus=2, memory=256, cpu_model="tigerlake",
                            ignore_bad_msrs=False)),
    *(newer_cpu(model) for model in NEWER_CPUS),
    # These have VERW's MD_CLEAR, IBPB and the L1D flush; others only VERW.
    *(newer_cpu(model, "mitigations=force", "-mitigations", slow=model != "sapphire_rapids",
                accept=mitigated("L1D flush at entries of L2", "IBPB at exits of L2 to L1")) for model in NEWER_CPUS[:2]),
    probe("umbra-mitigations", guest(umbra_args="mitigations=force"), cpus=2,
          accept=mitigated()),
    *(newer_cpu(model, "nested.shadow=off", "-noshadow", slow=True) for model in NEWER_CPUS),
]
