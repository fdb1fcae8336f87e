# SPDX-License-Identifier: BSD-2-Clause
"""A terminal that programs have drawn on: what it shows, as text and as a picture. It knows the few
sequences that umbractl uses, and refuses all others, and whatever does not fit."""

import re
import struct
import zlib

from . import host

FONT = host.ROOT / "subprojects/screen/src/font.c"
ROWS_OF_PIXELS, COLUMNS_OF_PIXELS = 16, 8
PIECE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|\x1b(.)|([^\x1b])", re.S)
FRAME = 8                            # pixels around the text of a picture

# Colours of a picture: red, green, blue.
PALETTE = ((16, 20, 28), (212, 216, 222), (255, 255, 255), (255, 96, 80))
BACKGROUND, NORMAL, BOLD, RED = range(len(PALETTE))
STYLES = {"": (NORMAL, BACKGROUND), "0": (NORMAL, BACKGROUND), "1": (BOLD, BACKGROUND),
          "7;1": (BACKGROUND, NORMAL), "1;31": (RED, BACKGROUND)}


def glyphs():
    """Character -> the rows of pixels that Umbra's font has for it."""
    rows = re.findall(r"0x([0-9a-f]{2})", FONT.read_text("ascii"))
    data = bytes(int(row, 16) for row in rows)
    return {chr(32 + at // 16): data[at:at + 16] for at in range(0, len(data), 16)}


def text_on(picture):
    """The lines of text on a screen, from a picture in format PPM."""
    _, width, height, _ = (int(word) if word.isdigit() else word for word in
                           picture.split(maxsplit=4)[:4])
    pixels = picture[-width * height * 3:]
    known = {rows: character for character, rows in glyphs().items()}
    lines = []

    def character(column, row):
        cell = bytes(sum(bool(pixels[3 * ((row * 16 + y) * width + column * 8 + x)]) << (7 - x)
                         for x in range(8)) for y in range(16))
        return known.get(cell, "?")

    for row in range(height // 16):
        lines.append("".join(character(column, row) for column in range(width // 8)).rstrip())
    return lines


class Terminal:
    """All that is written must fit on it: nothing wraps or scrolls."""

    def __init__(self, columns=80, rows=24):
        self.columns, self.rows = columns, rows
        self.row = self.column = 0
        self.style = STYLES[""]
        self.cells = []
        self._clear()

    def _clear(self):
        self.cells = [[(" ", STYLES[""])] * self.columns for _ in range(self.rows)]

    def write(self, text):
        for private, numbers, command, escaped, character in PIECE.findall(text):
            if escaped:
                raise host.Failure(f"ESC {escaped!r} is not known")
            if command:
                self._sequence(private + numbers, command)
            elif character == "\r":
                self.column = 0
            elif character == "\n":
                self.row += 1
            elif not " " <= character <= "~":
                raise host.Failure(f"{character!r} is not for a terminal")
            else:
                self._put(character)

    def _sequence(self, numbers, command):
        if (numbers, command) == ("", "H"):
            self.row = self.column = 0
        elif (numbers, command) == ("", "K"):
            # Behind the last column the cursor stands on it.
            self._blank(self.row, min(self.column, self.columns - 1))
        elif (numbers, command) == ("", "J"):
            self._blank(self.row, min(self.column, self.columns - 1))
            for row in range(self.row + 1, self.rows):
                self._blank(row, 0)
        elif command == "m" and numbers in STYLES:
            self.style = STYLES[numbers]
        elif (numbers, command) == ("?1049", "h"):
            self._clear()
        elif (numbers, command) not in (("?25", "h"), ("?25", "l"), ("?1049", "l")):
            raise host.Failure(f"ESC [{numbers}{command} is not known")

    def _blank(self, row, column):
        self._inside(row, column)
        self.cells[row][column:] = [(" ", STYLES[""])] * (self.columns - column)

    def _put(self, character):
        self._inside(self.row, self.column)
        self.cells[self.row][self.column] = (character, self.style)
        self.column += 1

    def _inside(self, row, column):
        if row >= self.rows or column >= self.columns:
            raise host.Failure(f"row {row + 1}, column {column + 1}: outside of the screen\n"
                               + "\n".join(self.text()))

    def text(self):
        return ["".join(character for character, _ in row).rstrip() for row in self.cells]

    def png(self):
        """A picture of it, in Umbra's own font."""
        font = glyphs()
        width = self.columns * COLUMNS_OF_PIXELS + 2 * FRAME
        margin = [bytes([BACKGROUND]) * width] * FRAME
        lines = list(margin)
        for row in self.cells:
            for y in range(ROWS_OF_PIXELS):
                line = bytearray([BACKGROUND]) * FRAME
                for character, (ink, paper) in row:
                    bits = font[character][y]
                    line += bytes(ink if bits << x & 0x80 else paper
                                  for x in range(COLUMNS_OF_PIXELS))
                lines.append(bytes(line) + bytes([BACKGROUND]) * FRAME)
        return indexed_png(width, [*lines, *margin])


def indexed_png(width, lines):
    """PNG, "Portable Network Graphics (PNG) Specification": a byte for each pixel, of PALETTE."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    header = struct.pack(">IIBBBBB", width, len(lines), 8, 3, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"PLTE", bytes(part for colour in PALETTE for part in colour))
            + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines), 9))
            + chunk(b"IEND", b""))


def last_screen(recording, columns=80, rows=24):
    """What a program's alternate screen has shown at its end, of all that it wrote to a terminal."""
    found = re.search(r"\x1b\[\?1049h(.*)\x1b\[\?25h\x1b\[\?1049l", recording, re.S)
    if not found:
        raise host.Failure(f"{recording!r}\nno screen that was begun and ended")
    terminal = Terminal(columns, rows)
    terminal.write(found.group(1))
    return terminal
