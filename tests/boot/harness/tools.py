# SPDX-License-Identifier: BSD-2-Clause
"""The programs of tests/boot/tools, which run inside the guest."""

import pathlib

from . import host

DIRECTORY = pathlib.Path(__file__).resolve().parents[1] / "tools"
FLAGS = ("--target=x86_64-linux-gnu", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
         "-Wconversion", "-Wshadow", "-static", "-pthread",
         f"-I{host.ROOT / 'subprojects/probe/include'}",
         f"-I{host.ROOT / 'subprojects/x86-arch/include'}")


def build(destination, *sources):
    """A static program from some of the sources. Returns its path."""
    host.run(["clang", *FLAGS, "-o", destination, *(DIRECTORY / source for source in sources)])
    return destination


def kvm_client(destination):
    """The test of /dev/kvm."""
    return build(destination, "kvm_client.c", "kvm_cpu_cases.c", "kvm_memory_cases.c", "kvm_vm.c",
                 "kvm_guest.S")


def kvm_bench(destination):
    """What KVM costs."""
    return build(destination, "kvm_bench.c", "kvm_vm.c", "kvm_guest.S")


def compile_bench(destination):
    """The first process of a Linux that compiles and ends."""
    return build(destination, "compile_bench.c")


def kexec_load(destination):
    """Starts another kernel."""
    return build(destination, "kexec_load.c")


def dma(destination):
    """Aims a device at Umbra's memory."""
    return build(destination, "dma.c")


def below(destination):
    """Asks the Umbra below whether it is as it was."""
    return build(destination, "below.c")


def ask(destination):
    """Asks Umbra by its interface, or tries to; runs programs as another user."""
    return build(destination, "ask.c")
