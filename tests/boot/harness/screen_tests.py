# SPDX-License-Identifier: BSD-2-Clause
"""Tests of what Umbra draws on a screen."""

import concurrent.futures
import pathlib
import tempfile

from . import build, cases, console, debug, engines, host, media, terminal

# No emulated screen is above 4 GiB. So gdb moves it there, where this machine has memory.
MEGABYTES = 6144
PLACE = 0x140000000
WIDTH, HEIGHT = 1280, 800
SECONDS = 300


def picture(pixels):
    """What is in a frame buffer, 32 bits a pixel, in format PPM."""
    rgb = bytearray(len(pixels) // 4 * 3)
    for colour in range(3):
        rgb[colour::3] = pixels[colour::4]
    return b"P6\n%d %d\n255\n" % (WIDTH, HEIGHT) + bytes(rgb)


def check_high():
    """A refusal can be read where the frame buffer is above 4 GiB, which neither the loader's tables
    nor Umbra's early ones map by themselves."""
    variant = build.Variant(debug=True)
    with tempfile.TemporaryDirectory(prefix="umbra-") as work, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        work = pathlib.Path(work)
        build.build(variant, variant.image, variant.probe)
        cd = media.make_cd(media.under_umbra(variant.image, variant.probe), work / "cd.iso")
        hardware = engines.Hardware(memory=MEGABYTES, monitor=True)
        commands = [
            "hbreak read_options", "continue", "delete", "set boot.mb2.has_fb = 1",
            f"set boot.mb2.fb = (struct framebuffer){{{PLACE:#x}, {WIDTH * 4}, {WIDTH}, {HEIGHT}, "
            "32, 1, 0, 8, 8, 8, 16, 8}", "detach"]
        with debug.with_stub("tcg")(hardware, host.log_path("screen.high"), cdrom=cd) as machine:
            gdb = pool.submit(debug.gdb, [
                f"file {variant.image}", f"target remote {machine.socket}"], commands, True)
            console.expect(machine, console.Judge((r"^umbra: error: stopped",), cases.FORBID),
                           SECONDS, "screen.high")
            # In quotes, or the name's first character divides.
            pixels = work / "pixels"
            machine.ask_monitor(f'pmemsave {PLACE:#x} {WIDTH * HEIGHT * 4} "{pixels}"', "quit")
            console.expect(machine, console.Judge(), SECONDS, ends=True)
            said = [line.rstrip() for line in machine.console.lines
                    if line.startswith("umbra: ")]
        gdb.result()
        shown = terminal.text_on(picture(pixels.read_bytes()))
        if missing := [line for line in said if line not in shown]:
            raise host.Failure("\n".join([*shown, "on the screen there is not", *missing]))
        return f"{len(said)} lines"


def all_tests():
    """Pairs of a name and a function that raises host.Failure or host.Skip."""
    return [("screen.high", check_high)]
