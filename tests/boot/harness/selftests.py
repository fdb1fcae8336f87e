# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own tests of KVM, built from the source package of the guest's kernel, and the
table of their results in docs/kvm-selftests.md."""

import os
import pathlib
import re
import shutil
import tempfile

from . import guest, host, kernels

# One version of kernel and tests wherever they run, since the table is of that.
KERNEL = kernels.KERNELS[0]
SOURCE_PACKAGE = f"linux-source-{KERNEL.name}"
BUILD_PACKAGES = ("make", "xz-utils")
FOLDER = "tools/testing/selftests/kvm"
PARTS = ("tools", "lib/rbtree.c", "scripts")

# Two tests of 6.1 do not compile as they are: one includes headers in an order that leaves a macro
# of linux/stddef.h undefined, one uses a macro under the name it got later.
FLAGS = "-include linux/stddef.h -DTEST_ASSERT_EQ=ASSERT_EQ"

# Not run, and why.
LEFT_OUT = {
    "dirty_log_test": "too slow in Bochs: compares bitmaps of a GiB over and over; "
                      "no end after 60 s bare",
    "hardware_disable_test": "too slow in Bochs: hundreds of processes with virtual machines",
    "hyperv_clock": "no end after 20 s, bare as well",
    "max_guest_memory_test": "too slow in Bochs: maps all memory there can be; 62 s bare",
    "memslot_perf_test": "too slow in Bochs: tens of thousands of memory slots; "
                         "no end after 60 s bare",
    "nx_huge_pages_test": "run by its script `nx_huge_pages_test.sh`",
    "rseq_test": "too slow in Bochs: migrates a task 100,000 times",
    "set_memory_region_test": "too slow in Bochs: adds 32,764 memory slots; no end after 20 s bare",
}

# By default these use a GiB for each VCPU, or run for minutes at the speed of real machines.
ARGUMENTS = {
    "access_tracking_perf_test": "-b 16M",
    "demand_paging_test": "-b 16M",
    "dirty_log_perf_test": "-b 16M",
    "kvm_page_table_test": "-b 16M",
    "memslot_modification_stress_test": "-b 16M -i 10",
}

TABLE = host.ROOT / "docs/kvm-selftests.md"
HEAD = """\
# KVM's selftests

The tests of KVM for x86 from `tools/testing/selftests/kvm` of Debian's `linux-source-6.1`, with KVM
on the bare machine, under Umbra, and under Umbra with `nested.shadow=off`; all in Bochs with the
CPU model Haswell and one CPU. The slow boot tests `kvm.selftests` and `kvm.selftests-noshadow` fail if
a test that is ok on the bare machine is not ok under Umbra. The number after a result is the time in
seconds, by the emulated machine's clock. An empty row was not run; the remark says why. Written by
`./umbra selftests`; do not edit.

| test | bare | Umbra | without VMCS shadowing | remark |
|---|---|---|---|---|
"""
RESULT = re.compile(r"KVM-SELFTEST: (\S+) (ok|skipped|failed|timeout) (\S+) s$")
REMARK = re.compile(r"KVM-SELFTEST: (\S+) says: +(?:1\.\.0 # SKIP - )?(.*)")


def _source(work):
    """The part of the kernel's sources that the tests need, unpacked below the directory. An
    installed package is used, else one is downloaded; that needs no root."""
    archive = pathlib.Path(f"/usr/src/{SOURCE_PACKAGE}.tar.xz")
    if not archive.exists():
        KERNEL.fetch(lambda _: [SOURCE_PACKAGE], work / "package")
        archive = work / "package" / archive.relative_to("/")
    host.run(["tar", "-C", work, "-xf", archive,
              *(f"{SOURCE_PACKAGE}/{part}" for part in PARTS)])
    return work / SOURCE_PACKAGE / FOLDER


def _build(destination):
    host.ensure_packages(BUILD_PACKAGES)
    with tempfile.TemporaryDirectory(dir=host.CACHE) as work:
        work = pathlib.Path(work)
        source = _source(work)
        output = work / "output"
        output.mkdir()
        host.say("building KVM's selftests")
        host.run(["make", "-C", source, f"-j{os.cpu_count()}", "CC=clang", f"OUTPUT={output}",
                  f"EXTRA_CFLAGS={FLAGS}"])
        programs_directory = work / "programs"
        for name in names(source / "Makefile"):
            target = programs_directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".sh"):
                shutil.copy(source / name, target)
            else:
                host.run(["llvm-strip-14", "-o", target, output / name])
        programs_directory.rename(destination)


def names(makefile):
    """What the Makefile builds or runs for x86-64, below its directory."""
    return re.findall(r"^TEST_(?:GEN_)?PROGS(?:_EXTENDED)?_x86_64 *\+?= *(\S+)",
                      makefile.read_text(encoding="ascii"), re.MULTILINE)


def programs():
    """Directory with the tests; built once."""
    directory = host.CACHE / "kvm-selftests"
    with host.cache_lock():
        if not directory.is_dir():
            _build(directory)
    return directory


def files():
    """The tests as files of an initramfs, below /selftests, and the libraries they load."""
    directory = programs()
    found = {f"/selftests/{path.relative_to(directory)}": path
             for path in sorted(directory.rglob("*")) if path.is_file()}
    for path in list(found.values()):
        if path.suffix != ".sh":
            found |= {inside: outside for inside, outside in guest.program_files(path).items()
                      if inside != f"/bin/{path.name}"}
    # The C library loads it when a thread is cancelled.
    libgcc = pathlib.Path(host.run(["clang", "-print-file-name=libgcc_s.so.1"]).strip())
    return found | {str(libgcc): libgcc}


def listing():
    """The tests to run: a line for each, its path below /selftests and its arguments."""
    directory = programs()
    paths = sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return "".join(f"{path} {ARGUMENTS.get(path.name, '')}".rstrip() + "\n" for path in paths
                   if path.name not in LEFT_OUT)


def results(lines):
    """test -> (result, seconds), and test -> the last that it said if it did not pass."""
    found, remarks = {}, {}
    for line in lines:
        if match := RESULT.search(line):
            found[match.group(1)] = (match.group(2), match.group(3))
        elif match := REMARK.search(line):
            remarks[match.group(1)] = match.group(2)
    return found, remarks


def write_table(columns):
    """docs/kvm-selftests.md from the console lines of the three runs."""
    columns, remarks = zip(*map(results, columns))
    rows = []
    for name in sorted({*LEFT_OUT, *(name for column in columns for name in column)}):
        cells = [" ".join(column[name]) if name in column else "" for column in columns]
        remark = LEFT_OUT.get(name) or next((said[name] for said in remarks if name in said), "")
        rows.append("| " + " | ".join([f"`{name}`", *cells, remark.replace("|", "\\|")]) + " |\n")
    TABLE.write_text(HEAD + "".join(rows), encoding="utf-8")


def bare_results():
    """test -> its result on the bare machine, from docs/kvm-selftests.md."""
    return dict(re.findall(r"^\| `(\S+)` \| (\w+) ", TABLE.read_text(encoding="utf-8"),
                           re.MULTILINE))


def regressions(bare, lines):
    """What is ok on the bare machine, given as test -> result, and not in these console lines."""
    found, _ = results(lines)
    return [f"{name}: {' '.join(found.get(name, ['no result']))}"
            for name, result in bare.items()
            if result == "ok" and found.get(name, ("",))[0] != "ok"]
