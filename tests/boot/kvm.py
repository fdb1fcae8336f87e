# SPDX-License-Identifier: BSD-2-Clause
"""KVM runs inside the guest: what it finds in the CPU, and many ways to use /dev/kvm."""

from harness import guest, tools
from harness.cases import FORBID_ERRORS, BootTest
from harness.engines import Hardware
from harness.media import native_linux, under_umbra

END = r"KVM-CLIENT: end [1-9]\d* ok 0 failed"


def client(context):
    """The test of /dev/kvm, to be run by the initramfs's init."""
    return tools.kvm_client(context.path("kvm_client"))


def initrd(context, program):
    return context.initrd(modules=("kvm-intel",), files={"/tests/kvm": program})


def command_line(context):
    return context.command_line("umbra.test=kvm umbra.after=shell")


def umbra(program, umbra_args=""):
    return lambda context: under_umbra(context.image, guest.vmlinux(), command_line(context),
                                       initrd(context, program(context)), umbra_args)


def native(program):
    return lambda context: native_linux(guest.bzimage(), command_line(context),
                                        initrd(context, program(context)))


def parameters(_):
    return guest.INIT.with_name("kvm-parameters")


def test(name, cd, cpus=2, **options):
    options.setdefault("expect", (END,))
    return BootTest(f"kvm.{name}", cd=cd, hardware=Hardware(cpus=cpus), timeout=600,
                    forbid=FORBID_ERRORS + (r"UMBRA-GUEST: test kvm=failed",), **options)


TESTS = [
    test("client", umbra(client)),
    test("client-noshadow", umbra(client, "nested.shadow=off")),
    test("client-native", native(client), variant=None, slow=True),
    test("parameters", umbra(parameters), cpus=1,
         expect=(r"KVM-PARAMETERS: ept=Y", r"KVM-PARAMETERS: unrestricted_guest=Y",
                 r"KVM-PARAMETERS: vnmi=Y", r"KVM-PARAMETERS: vpid=Y",
                 r"KVM-PARAMETERS: flags=.*\bvnmi\b.*\bept\b.*\bvpid\b.*\bunrestricted_guest\b",
                 r"KVM-PARAMETERS: end")),
]
