# SPDX-License-Identifier: BSD-2-Clause
"""Boots Umbra and its guests in Bochs or QEMU and judges what the serial port says."""
