# SPDX-License-Identifier: BSD-2-Clause
"""KVM runs inside the guest: what it finds in the CPU, and many ways to use /dev/kvm."""

import re

from harness import guest, host, tools
from harness.cases import FORBID_ERRORS, BootTest, forbid_errors_but
from harness.engines import TSC_KHZ, Hardware
from harness.media import native_linux, under_umbra

END = r"KVM-CLIENT: end [1-9]\d* ok 0 failed"


def client(context):
    """The test of /dev/kvm, to be run by the initramfs's init."""
    return tools.kvm_client(context.path("kvm_client"))


def initrd(context, program):
    return context.initrd(modules=("kvm-intel",), files={"/tests/kvm": program})


# Bochs's newer CPU models tell in CPUID another frequency of the TSC than it has there, and sizes of
# the XSAVE area that Linux warns of.
TSC = f"tsc_early_khz={TSC_KHZ}"
XSAVE = "fpu__init_system_xstate"


def command_line(context, more=""):
    return context.command_line(f"umbra.test=kvm umbra.after=shell {more}".strip())


def umbra(program, umbra_args="", more=""):
    return lambda context: under_umbra(context.image, guest.vmlinux(), command_line(context, more),
                                       initrd(context, program(context)), umbra_args)


def native(program, more=""):
    return lambda context: native_linux(guest.bzimage(), command_line(context, more),
                                        initrd(context, program(context)))


def parameters(_):
    return guest.INIT.with_name("kvm-parameters")


def explained():
    """What docs/nested.md lists as different from the bare machine: the first column of a table."""
    text = (host.ROOT / "docs/nested.md").read_text(encoding="utf-8")
    section = text.split("## What Linux finds missing", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def parameter_differences(bare, umbra):
    """Prints what KVM finds otherwise than on the bare machine; returns what of it nobody explained."""
    bare, umbra = ([line.split(": ", 1)[1] for line in lines if line.startswith("KVM-PARAMETERS: ")]
                   for lines in (bare, umbra))
    lines = ([f"only bare: {line}" for line in bare if line not in umbra]
             + [f"only under Umbra: {line}" for line in umbra if line not in bare])
    for line in lines:
        host.say(line)
    known = explained()
    return [line for line in lines if line.split(": ", 1)[1] not in known]


def parameters_test(name, model=None, *flags):
    quick = "umbra.workload=off" + (f" {TSC}" if model else "")
    return test(name, umbra(parameters, more=quick), same_as=native(parameters, quick),
                compare=parameter_differences, cpus=1, model=model, slow=model is not None,
                engine="bochs" if model else "auto", expect=(
                    r"KVM-PARAMETERS: ept=Y", r"KVM-PARAMETERS: unrestricted_guest=Y",
                    r"KVM-PARAMETERS: vnmi=Y", r"KVM-PARAMETERS: vpid=Y",
                    *(f"KVM-PARAMETERS: flag {flag}" for flag in flags), r"KVM-PARAMETERS: end"))


def test(name, cd, cpus=2, model=None, **options):
    options.setdefault("expect", (END,))
    forbid = ((forbid_errors_but(XSAVE) if model else FORBID_ERRORS)
              + (r"UMBRA-GUEST: test kvm=failed",))
    hardware = Hardware(cpus=cpus, cpu_model=model)
    return BootTest(f"kvm.{name}", cd=cd, hardware=hardware, timeout=600, forbid=forbid, **options)


TESTS = [
    test("client", umbra(client)),
    test("client-noshadow", umbra(client, "nested.shadow=off")),
    test("client-mitigations", umbra(client, "mitigations=force"), slow=True),
    test("client-native", native(client), variant=None, slow=True),
    # It has page-modification logging and TSC scaling, which Haswell has not.
    test("client-skylake", umbra(client, more=TSC), cpus=1, model="corei7_skylake_x",
         engine="bochs", slow=True),
    parameters_test("parameters"),
    parameters_test("parameters-skylake", "corei7_skylake_x"),
    parameters_test("parameters-arrow-lake", "arrow_lake", "ept_mode_based_exec"),
    parameters_test("parameters-sapphire-rapids", "sapphire_rapids", "ept_mode_based_exec"),
    parameters_test("parameters-wildcat-lake", "wildcat_lake", "ept_mode_based_exec"),
]
