# SPDX-License-Identifier: BSD-2-Clause
"""`umbra coverage`: which lines of src/vmx and src/nested the tests reach.

The image's counters come out through the guest (src/vmx/statistics.h), a bit for each; with the
ELF file's tables they make a profile that llvm-cov reads. The unit tests write theirs themselves.
The report tells the probe, Linux with KVM, and the unit tests apart."""

import concurrent.futures
import json
import os
import pathlib
import re
import struct
import tempfile

from . import build, cases, console, engines, guest, host, media, tools

REPORT = host.ROOT / "build/coverage.txt"
DIRECTORIES = ("src/vmx", "src/nested")
RESERVED = re.compile(r"umbra: .*, (\d+) KiB reserved at 0x([0-9a-f]+)")
COUNTERS = re.compile(r"UMBRA-COVERAGE: (\d+) ([0-9a-f]+)$")
END = r"UMBRA-COVERAGE: end"
VARIANT = build.Variant(coverage=True)
# VMCS shadowing, and the probe's CPU model: the second has what the default lacks.
SETTINGS = (("on", None), ("off", "corei7_skylake_x"))

# The raw profiles of two versions of LLVM (llvm/ProfileData/InstrProfData.inc), little-endian.
PROFILE_MAGIC = struct.unpack(">Q", b"\xfflprofr\x81")[0]


def header_14(records, counters, names, delta, names_at):
    return struct.pack("<11Q", PROFILE_MAGIC, 8, 0, records, 0, counters, 0, names, delta,
                       names_at, 1)


def header_19(records, counters, names, delta, names_at):
    """It has bitmaps and tables of virtual functions, too: we have none."""
    return struct.pack("<16Q", PROFILE_MAGIC, 10, 0, records, 0, counters, 0, 0, 0, names, delta,
                       0, names_at, 0, 0, 2)


# version of clang -> what makes the header, and the size of a function's record
PROFILES = {14: (header_14, 48), 19: (header_19, 64)}


def profile_format():
    version = build.default_clang()
    if version not in PROFILES:
        raise host.Failure(f"the profiles of clang {version} are unknown here, only those of "
                           + " and ".join(map(str, PROFILES)))
    return PROFILES[version]


def sections(image):
    """name -> (address, bytes) of the compiler's tables in the image."""
    elf = image.read_bytes()
    table, = struct.unpack_from("<Q", elf, 0x28)
    entry_size, count, names_index = struct.unpack_from("<HHH", elf, 0x3a)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + n * entry_size) for n in range(count)]
    names = headers[names_index][4]
    found = {}
    for name, _, _, address, offset, size in headers:
        start = names + name
        text = elf[start:elf.index(b"\0", start)].decode("ascii")
        if text.startswith("__llvm_prf_"):
            found[text] = (address, elf[offset:offset + size])
    return found


def raw_profile(image, lines):
    """The profile of one run, from what the guest printed."""
    tables = sections(image)
    data_at, data = tables["__llvm_prf_data"]
    counters_at, counters = tables["__llvm_prf_cnts"]
    names_at, names = tables["__llvm_prf_names"]
    seen = {}
    for match in filter(None, map(COUNTERS.search, lines)):
        seen[int(match.group(1))] = int(match.group(2), 16)
    total = len(counters) // 8
    if sorted(seen) != list(range(0, total, 64)):
        raise host.Failure(f"{len(seen)} lines of coverage for {total} counters")
    values = [seen[n - n % 64] >> (n % 64) & 1 for n in range(total)]
    make_header, record = profile_format()
    header = make_header(len(data) // record, total, len(names),
                         (counters_at - data_at) % 2**64, names_at)
    return (header + data + struct.pack(f"<{total}Q", *values) + names
            + bytes(-len(names) % 8))


def probe_entry(options, umbra_options):
    return media.under_umbra(VARIANT.image, VARIANT.probe, options, None, umbra_options)


def hidden_option(hardware, umbra_options, directory):
    """The probe's option that says where Umbra's memory is: a boot by itself finds it out."""
    cd = media.make_cd(probe_entry("list", umbra_options), directory / "where.iso")
    log = host.log_path("coverage.where")
    judge = console.Judge((RESERVED.pattern,), cases.FORBID)
    with engines.Bochs(hardware, log, cdrom=cd) as machine:
        console.expect(machine, judge, 300)
        size, start = next(filter(None, map(RESERVED.search, machine.console.lines))).groups()
    start = int(start, 16)
    return f"hidden={start:#x}-{start + int(size) * 1024:#x}"


def machines(directory):
    """(name, GRUB entry, hardware) of each boot whose coverage counts."""
    client = next(test for test in cases.find() if test.name == "kvm.client")
    tool = directory / "coverage"
    tools.build(tool, "coverage.c")
    for shadow, model in SETTINGS:
        options = f"stats nested.shadow={shadow}"
        hardware = engines.Hardware(cpus=2, memory=256, cpu_model=model, ignore_bad_msrs=False)
        hidden = hidden_option(hardware, options, directory)
        yield f"probe-shadow-{shadow}", hardware, probe_entry(f"coverage {hidden}", options)
        context = CoverageContext(directory / shadow, tool)
        entry = client.cd(context)
        umbra, *rest = entry.commands
        yield (f"linux-shadow-{shadow}", client.hardware,
               media.Entry((f"{umbra} {options}", *rest), entry.files))


class CoverageContext(cases.Context):
    """Adds the tool that prints the counters to a test's initramfs."""

    def __init__(self, directory, tool):
        directory.mkdir()
        super().__init__(VARIANT, directory)
        self.tool = tool

    def initrd(self, **options):
        files = {**options.pop("files", {}), "/tests/coverage": self.tool}
        return super().initrd(files=files, **options)


def boot(name, hardware, entry, directory):
    """Run one machine; returns its profile's path."""
    cd = media.make_cd(entry, directory / f"{name}.iso")
    log = host.log_path(f"coverage.{name}")
    judge = console.Judge((END,), cases.FORBID)
    with engines.Bochs(hardware, log, cdrom=cd) as machine:
        console.expect(machine, judge, 1800, name)
        lines = machine.console.lines
    profile = directory / f"{name}.profraw"
    profile.write_bytes(raw_profile(VARIANT.image, lines))
    host.say(f"{name}: done")
    return profile


def line_counts(profiles, objects, directory):
    """path -> {line: count} for the sources of the objects."""
    merged = directory / "merged.profdata"
    host.run(["llvm-profdata", "merge", "-o", merged, *profiles])
    command = ["llvm-cov", "export", "-format=lcov", f"-instr-profile={merged}", objects[0]]
    for other in objects[1:]:
        command += ["-object", other]
    counts, current = {}, None
    for text in host.run(command).splitlines():
        key, _, value = text.partition(":")
        if key == "SF":
            path = os.path.relpath(value, host.ROOT)
            current = counts.setdefault(path, {})
        elif key == "DA":
            number, count = map(int, value.split(",")[:2])
            current[number] = max(count, current.get(number, 0))
    return counts


def unit_counts(directory):
    """The same of the unit tests."""
    tests = json.loads(host.run(["meson", "introspect", "--tests", VARIANT.directory]))
    programs = [test["cmd"][0] for test in tests if test["suite"][0].endswith(":unit")]
    environment = dict(os.environ, LLVM_PROFILE_FILE=str(directory / "unit-%p.profraw"))
    for program in programs:
        host.run([program], env=environment)
    return line_counts(sorted(directory.glob("unit-*.profraw")), programs, directory)


def ranges(numbers):
    """1, 2, 3, 7 -> "1-3, 7"."""
    out = []
    for number in sorted(numbers):
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in out)


def report(probe, linux, unit):
    """The table as lines: per file, how much each kind of test reaches, and all of them."""
    rows, totals = [], {}
    for path in sorted(probe):
        room = next((room for room in DIRECTORIES if path.startswith(room + "/")), None)
        if not room:
            continue
        lines = set(probe[path])
        reached = [{n for n in lines if counts.get(path, {}).get(n)}
                   for counts in (probe, linux, unit)]
        missing = lines.difference(*reached)
        rows.append((path, len(lines), *map(len, reached), missing))
        total = totals.setdefault(room, [0, 0])
        total[0] += len(lines)
        total[1] += len(lines) - len(missing)
    text = [f"{'file':32} {'lines':>6} {'probe':>6} {'linux':>6} {'unit':>6} {'all':>6}  "
            "not reached"]
    for path, count, by_probe, by_linux, by_unit, missing in rows:
        share = 100 * (count - len(missing)) / count
        text.append(f"{path:32} {count:6} {by_probe:6} {by_linux:6} {by_unit:6} {share:5.1f}%  "
                    f"{ranges(missing)}".rstrip())
    for room, (count, reached) in totals.items():
        text.append(f"{room:32} {count:6} {'':6} {'':6} {'':6} {100 * reached / count:5.1f}%")
    return text


def run(jobs=2):
    """Boot, run the unit tests, print the table and write it to build/coverage.txt."""
    profile_format()
    build.build(VARIANT)
    with tempfile.TemporaryDirectory(prefix="umbra-") as work:
        directory = pathlib.Path(work)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            futures = {name: pool.submit(boot, name, hardware, entry, directory)
                       for name, hardware, entry in machines(directory)}
            profiles = {name: future.result() for name, future in futures.items()}
        booted = [line_counts([profile for name, profile in profiles.items()
                               if name.startswith(kind)], [VARIANT.image], directory)
                  for kind in ("probe-", "linux-")]
        text = report(*booted, unit_counts(directory))
    print("\n".join(text))
    REPORT.write_text("\n".join(text) + "\n", encoding="ascii")
    return 0
