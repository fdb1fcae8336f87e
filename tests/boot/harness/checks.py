# SPDX-License-Identifier: BSD-2-Clause
"""Checks of the sources: format, static analysis, and every build without a warning."""

import bz2
import concurrent.futures
import itertools
import json
import lzma
import os
import re
import subprocess
import zlib

from . import build, host, kernels

# Other versions format otherwise, and find other faults.
FORMAT, TIDY = "clang-format-14", "clang-tidy-19"
TIDY_CLANG = 19
SOURCE_DIRECTORIES = ("src", "subprojects", "tests", "tools")

# Files of data only, one row a line.
TABLES = ("fields.h", "controls.h", "cpuid_table.c", "msr_table.c", "exit_table.h",
          "vmcs_dump_table.h")

SOURCES = (".c", ".h", ".S", ".inc")

# What src/lib/format.c converts.
CONVERSION = re.compile(r"%(%|[-0#]*\d*([lz]*[dux]|s))")

# A file includes nothing of a room that stands behind its own here.
ROOMS = ("lib", "mm", "platform", "smp", "vmx", "nested", "boot")


def c_files():
    """All C sources and headers of the tree."""
    return sorted(path for directory in SOURCE_DIRECTORIES
                  for path in (host.ROOT / directory).rglob("*.[ch]"))


def need(package):
    if host.missing_packages([package]):
        raise host.Skip(f"{package} is not installed")


def check_format():
    need(FORMAT)
    host.run([FORMAT, "--dry-run", "-Werror", *c_files()])


def check_rooms():
    """No include points upward: see "Where which line lives" in docs/architecture.md."""
    upward = []
    for path in sorted((host.ROOT / "src").rglob("*.*")):
        room = path.relative_to(host.ROOT / "src").parts[0]
        if path.suffix not in SOURCES or room not in ROOMS:
            continue
        text = path.read_text(encoding="utf-8")
        upward += [f"{path.relative_to(host.ROOT)} includes {included}"
                   for included in re.findall(r'^\s*#\s*include "([^"]+)"', text, re.M)
                   if included.split("/")[0] in ROOMS[ROOMS.index(room) + 1:]]
    if upward:
        raise host.Failure("\n".join([*upward, f"{len(upward)} includes point upward"]))


def check_messages():
    """The compiler knows all of printf; Umbra's own formatter (lib/format.h) knows a part of it."""
    odd = []
    for path in sorted((host.ROOT / "src").rglob("*.[ch]")):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
        for call in re.findall(r"\b(?:log_\w+|panic\w*|fail|fmt_\w+)\(.*?;", text, re.S):
            for literal in re.findall(r'"((?:[^"\\\n]|\\.)*)"', call):
                odd += [f"{path.relative_to(host.ROOT)}: {conversion} in \"{literal}\""
                        for conversion in re.findall(r"%[-0#]*\d*[a-z]*.?", literal)
                        if not CONVERSION.match(conversion)]
    if odd:
        raise host.Failure("\n".join([*odd, "fmt_vsnprintf() does not know these"]))


def code_lines(path):
    """Lines of a C or assembly file that are neither blank nor comment."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
    return sum(bool(line.split("//")[0].strip()) for line in text.splitlines())


def count_lines():
    """Not a check: how large the rooms are, tables of data (one row a line) apart."""
    rooms = {room: [] for room in (*ROOMS, "tables")}
    for path in (host.ROOT / "src").rglob("*.*"):
        room = path.relative_to(host.ROOT / "src").parts[0]
        if room in ROOMS and path.suffix in SOURCES:
            rooms["tables" if path.name in TABLES else room].append(code_lines(path))
    sizes = {room: sum(lines) for room, lines in rooms.items()}
    proper = sum(size for room, size in sizes.items() if room not in ("boot", "tables"))
    return (f"{proper} lines without boot and tables; "
            + ", ".join(f"{room} {size}" for room, size in sizes.items()))


def check_encodings():
    """No VMCS field has the number of another: the compiler takes an enum with one twice."""
    text = (host.ROOT / "subprojects/x86-arch/include/x86/vmcs.h").read_text(encoding="utf-8")
    fields = re.findall(r"^\s(VMCS_\w+) = (0x[0-9a-f]{4}),$", text, re.M)
    names = {}
    for name, number in fields:
        names.setdefault(number, []).append(name)
    if twice := [" and ".join(same) for same in names.values() if len(same) > 1]:
        raise host.Failure("\n".join([*twice, "fields with one encoding"]))
    return f"{len(fields)} fields"


def check_payloads():
    """What kernels and modules may be compressed by is unpacked, and what else may come refused."""
    text = bytes(range(256)) * 4096
    zlib_format = zlib.compressobj(wbits=31)
    packed = {
        "gzip": zlib_format.compress(text) + zlib_format.flush(),
        "XZ": lzma.compress(text, check=lzma.CHECK_CRC32),
        "LZMA": lzma.compress(text, lzma.FORMAT_ALONE),
        "bzip2": bz2.compress(text),
        "LZ4": kernels.filter_through(["lz4", "-l", "-q", "-c"], text),
        "ZSTD": kernels.filter_through(["zstd", "-q", "-c"], text),
    }
    for name, data in packed.items():
        if kernels.unpack(data + b"size", name, 4) != text:
            raise host.Failure(f"{name}: not what was packed")
        if not refused(data[:len(data) // 2]):
            raise host.Failure(f"{name}: half of a file is taken for a whole one")
    if not refused(b"\x89LZO\0\r\n\x1a\n"):
        raise host.Failure("data of an unknown kind was unpacked")
    return ", ".join(packed)


def check_man_pages():
    """Man pages are well-formed; umbractl's, and the shell's completion, know all of its --help."""
    need("mandoc")
    found = []
    for page in (*sorted((host.ROOT / "docs").glob("*.[1-8]")),
                 *sorted((host.ROOT / "tools").rglob("*.8"))):
        done = subprocess.run(["mandoc", "-Tlint", "-Wstyle", page], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        # Whether other pages are installed here is not the page's fault.
        found += [line for line in done.stdout.splitlines()
                  if f"{page}:" in line and "referenced manual not found" not in line]
    variant = build.Variant()
    program = variant.directory / "tools/umbractl/umbractl"
    build.build(variant, program)
    text = host.run([program, "--help"])
    folder = host.ROOT / "tools/umbractl"
    page = (folder / "umbractl.8").read_text(encoding="utf-8")
    completion = (folder / "umbractl.bash").read_text(encoding="utf-8")
    for command in re.findall(r"^  ([a-z]+)", text, re.MULTILINE):
        if not re.search(rf"^\.It Cm {command}\b", page, re.MULTILINE):
            found.append(f"umbractl(8) has no command {command}")
        if not re.search(rf'commands="[^"]*\b{command}\b', completion):
            found.append(f"the completion has no command {command}")
    for letter, option in re.findall(r"^ {6}(?:-(\w)|  ),? +--([a-z]+)", text, re.MULTILINE):
        if not re.search(rf"^\.It Fl {f'{letter} , ' if letter else ''}-{option}\b", page,
                         re.MULTILINE):
            found.append(f"umbractl(8) has no option --{option}, -{letter}")
        if not re.search(rf"--{option}\b", completion):
            found.append(f"the completion has no option --{option}")
    if found:
        raise host.Failure("\n".join(found))


def refused(data):
    try:
        kernels.unpack(data, "this")
    except host.Failure:
        return True
    return False


def check_build(variant):
    build.build(variant)
    if found := build.warnings(variant):
        raise host.Failure("\n".join([*found, f"{len(found)} warnings"]))


def check_static_analysis():
    """clang-tidy over every C file that the build compiles, a share of them per CPU."""
    need(TIDY)
    variant = build.Variant(clang=None if build.default_clang() == TIDY_CLANG else TIDY_CLANG)
    build.build(variant)
    database = json.loads((variant.directory / "compile_commands.json").read_text())
    files = sorted({os.path.normpath(os.path.join(entry["directory"], entry["file"]))
                    for entry in database if entry["file"].endswith(".c")})
    files = [file for file in files if "/meson-private/" not in file]
    shares = [files[first::os.cpu_count()] for first in range(os.cpu_count())]

    def analyse(share):
        try:
            host.run([TIDY, "--quiet", "--warnings-as-errors=*", "-p", variant.directory, *share])
        except host.Failure as failure:
            return [line for line in str(failure).splitlines()
                    if not re.search(r"warnings generated|Suppressed|Processing file", line)]
        return []

    with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
        problems = [line for lines in pool.map(analyse, filter(None, shares)) for line in lines]
    if problems:
        count = sum(": error: " in line for line in problems)
        raise host.Failure("\n".join(problems + [f"{count} findings"]))


def all_checks():
    """Pairs of a name and a function that raises host.Failure."""
    checks = [("checks.format", check_format), ("checks.rooms", check_rooms),
              ("checks.messages", check_messages), ("checks.encodings", check_encodings),
              ("checks.lines", count_lines), ("checks.payloads", check_payloads),
              ("checks.man-pages", check_man_pages)]
    for debug, clang, nested in itertools.product((False, True), build.installed_clangs(),
                                                  (True, False)):
        # The hosted tests are built once per compiler.
        variant = build.Variant(debug=debug, clang=clang, nested=nested,
                                tests=nested and not debug)
        checks.append((f"checks.build-{variant.name}",
                       lambda variant=variant: check_build(variant)))
    checks.append(("checks.static-analysis", check_static_analysis))
    return checks
