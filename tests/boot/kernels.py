# SPDX-License-Identifier: BSD-2-Clause
"""The stock kernels of other Debian releases boot, and KVM works in them."""

from harness import tools
from harness.cases import BootTest
from harness.engines import Hardware
from harness.kernels import KERNELS
from harness.media import under_umbra


def bzimage(kernel):
    """The kernel unpacks itself under Umbra."""
    return lambda context: under_umbra(context.image, kernel.bzimage(),
                                       context.command_line("umbra.after=poweroff"),
                                       context.initrd())


def client(kernel):
    def cd(context):
        files = {"/tests/kvm": tools.kvm_client(context.path("kvm_client"))}
        line = context.command_line("umbra.test=kvm umbra.after=shell")
        return under_umbra(context.image, kernel.vmlinux(), line,
                           context.initrd(modules=("kvm-intel",), files=files, kernel=kernel))
    return cd


def tests(kernel):
    version = rf"Linux version {kernel.version}"
    return [
        BootTest(f"kernel.{kernel.name}.bzimage", cd=bzimage(kernel), slow=True, ends=True,
                 timeout=600, expect=(version, r"UMBRA-GUEST: userspace nproc=1 workload=ok",
                                      r"UMBRA-GUEST: poweroff")),
        BootTest(f"kernel.{kernel.name}.kvm-client", cd=client(kernel), slow=True, timeout=900,
                 hardware=Hardware(cpus=2),
                 expect=(version, r"UMBRA-GUEST: userspace nproc=2 workload=ok",
                         r"KVM-CLIENT: end [1-9]\d* ok 0 failed")),
    ]


TESTS = [test for kernel in KERNELS for test in tests(kernel)]
