# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own tests of KVM inside the guest: what passes on the bare machine, by the table in
docs/kvm-selftests.md, must pass under Umbra."""

from harness import guest, selftests
from harness.cases import FORBID_ERRORS, BootTest
from harness.engines import Hardware
from harness.media import native_linux, under_umbra

SCRIPT = guest.INIT.with_name("kvm-selftests")

# Seconds of the machine's clock for one test.
LIMIT = 30


def initrd(context):
    files = selftests.files() | {
        "/selftests/list": context.write("list", selftests.listing().encode("ascii")),
        "/tests/kvm-selftests": SCRIPT,
    }
    return context.initrd(modules=("kvm-intel",), files=files, kernel=selftests.KERNEL)


def command_line(context):
    return context.command_line(f"nokaslr quiet umbra.workload=off umbra.test=kvm-selftests "
                                f"umbra.timeout={LIMIT} umbra.after=shell")


def umbra(umbra_args=""):
    return lambda context: under_umbra(context.image, selftests.KERNEL.vmlinux(), command_line(context),
                                       initrd(context), umbra_args)


def native(context):
    return native_linux(selftests.KERNEL.bzimage(), command_line(context), initrd(context))


def as_good_as_bare(lines):
    return selftests.regressions(selftests.bare_results(), lines)


def test(name, cd, **options):
    return BootTest(f"kvm.{name}", cd=cd, hardware=Hardware(memory=1536), timeout=3600,
                    expect=(r"KVM-SELFTEST: end, [1-9]\d* run",), slow=True,
                    accept=as_good_as_bare, **options)


TESTS = [
    test("selftests", umbra()),
    test("selftests-noshadow", umbra("nested.shadow=off")),
    test("selftests-native", native, variant=None),
]
