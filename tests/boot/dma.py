# SPDX-License-Identifier: BSD-2-Clause
"""Devices' DMA, on QEMU's model of VT-d with a device that writes wherever it is told to (edu). QEMU
emulates no VMX, so a small kernel with Umbra's sources for VT-d stands in for Umbra; kvm_below.py
has all of Umbra."""

from harness.cases import BootTest
from harness.engines import Hardware
from harness.media import native_multiboot2


def kernel(context):
    return native_multiboot2(context.variant.directory / "tests/vtd.elf")


def units(name, width, iommu):
    extra = ("-machine", "q35", "-device", f"intel-iommu,{iommu}",
             "-device", "edu,dma_mask=0xffffffff")
    return BootTest(f"dma.{name}", cd=kernel, engine="tcg", timeout=90,
                    hardware=Hardware(memory=256, extra=extra), forbid=(r"FAILED",),
                    expect=(rf"umbra: 1 units, {width} address bits",
                            r"umbra: ok: without a map the device writes to it",
                            r"umbra: warning: DMA refused: write at 0x4000000 by device 00:",
                            r"umbra: taken over",
                            r"umbra: [1-9]\d* checks, 0 failed"))


TESTS = [
    units("39-bits", 39, "aw-bits=39"),
    units("48-bits", 48, "aw-bits=48"),
    # "Caching Mode": entries that are not present are cached, too.
    units("caching-mode", 48, "aw-bits=48,caching-mode=on"),
    # A unit that also has scalable mode, and devices that translate themselves.
    units("scalable", 48, "aw-bits=48,x-scalable-mode=on,device-iotlb=on"),
    # Interrupt remapping as well.
    units("interrupts", 39, "aw-bits=39,intremap=on"),
]
