# SPDX-License-Identifier: BSD-2-Clause
"""Commands for gdb that know Umbra. `umbra debug` loads them; docs/debugging.md explains them.

Everything is read from the image's debugging information and from memory, so that no list here can
be out of date. What the CPU alone knows, its VMCSs, it is asked for: it executes a VMREAD that is
put in front of it, and has its registers and its code back afterwards. That needs a CPU that is
stopped in Umbra's own code. Memory suffices for the rest, wherever the CPUs are."""

import contextlib
import fnmatch

import gdb

DIRECT_BASE = 0xffff800000000000
PAGE = 4096
VMCS_ENUMS = ("vmcs16", "vmcs64", "vmcs32", "vmcsn")
VMCS_TYPES = ("control", "exit information", "guest state", "host state")

# VMREAD of field RCX to RAX, VMPTRLD and VMPTRST of the memory at RAX, each of three bytes.
INSTRUCTIONS = b"\x0f\x78\xc8" b"\x0f\xc7\x30" b"\x0f\xc7\x38"
VMREAD_RCX_TO_RAX, VMPTRLD_AT_RAX, VMPTRST_AT_RAX = 0, 3, 6
REGISTER = {"rax": 0, "rcx": 2, "rip": 16, "eflags": 17}  # numbers in both stubs
CARRY_OR_ZERO = 0x41


def evaluate(expression):
    return gdb.parse_and_eval(expression)


def number(expression):
    return int(evaluate(expression))


# Memory

def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


@contextlib.contextmanager
def physical_memory():
    """What is read within is at physical addresses. Gives the offset to add to them."""
    connection = getattr(gdb.selected_inferior(), "connection", None)
    if not hasattr(connection, "send_packet"):
        yield DIRECT_BASE                # a dump: Umbra's own map of all memory
        return
    if connection.send_packet("Qqemu.PhyMemMode:1") != b"OK":
        raise gdb.GdbError("the stub cannot read physical memory")
    try:
        yield 0
    finally:
        connection.send_packet("Qqemu.PhyMemMode:0")


def read_table(paddr):
    """The 512 entries of a table."""
    with physical_memory() as offset:
        data = read(offset + paddr, PAGE)
    return [int.from_bytes(data[at:at + 8], "little") for at in range(0, PAGE, 8)]


# CPUs

def cpu_count():
    return number("cpu_count")


def vcpu_of(index):
    """The struct vcpu of a CPU, or a message why there is none."""
    if index >= cpu_count() or not number("(unsigned long)cpus") or \
            not number(f"(unsigned long)cpus[{index}]"):
        raise gdb.GdbError(f"Umbra has not set up CPU {index} yet")
    return evaluate(f"*(struct vcpu *)cpus[{index}]")


def in_umbra():
    """Is the selected CPU in Umbra's own code?"""
    try:
        root = number("(unsigned long)'host_paging.c'::root")
        return root != 0 and number("$cr3") & ~(PAGE - 1) == root - DIRECT_BASE \
            and number("(unsigned long)$pc") >= number("(unsigned long)&image_start")
    except gdb.error:
        return False


def index_by_stack():
    """The index of the selected CPU, which is in Umbra."""
    stack = number("(unsigned long)$sp")
    tops = [(int(vcpu_of(i)["cpu"]["stack_top"]), i) for i in range(cpu_count())]
    above = [(top, i) for top, i in tops if top >= stack]
    return min(above)[1] if above else 0  # none: the first one, on the stack it began on


def selected_index():
    """The index of the selected CPU: by its stack if it is in Umbra, else by the thread's number."""
    if in_umbra():
        return index_by_stack()
    return (gdb.selected_thread().num if gdb.selected_thread() else 1) - 1


def nested_of(vcpu):
    if not vcpu.type.has_key("nested") or int(vcpu["nested"]) == 0:
        raise gdb.GdbError("this CPU's guest has no VMX")
    return vcpu["nested"].dereference()


def current12(vcpu):
    """L1's current VMCS in Umbra's cache."""
    current = nested_of(vcpu)["current"]
    if int(current) == 0:
        raise gdb.GdbError("L1 has no current VMCS on this CPU")
    return current.dereference()


# VMCSs

def enumerators(name):
    """name -> value."""
    try:
        return {field.name: int(field.enumval) for field in gdb.lookup_type(f"enum {name}").fields()}
    except gdb.error:
        return {}


def all_fields():
    """Encoding and name of each field, in the order of their types."""
    fields = [(value, name.replace("VMCS_", "", 1)) for enum in VMCS_ENUMS
              for name, value in enumerators(enum).items()]
    return sorted(fields, key=lambda field: (field[0] >> 10 & 3, field[0]))


class Executor:
    """Has the selected CPU execute single VMX instructions.

    They stand where the Multiboot2 header is, in the image's first bytes, which are executable and
    which nothing executes: at the CPU's own place an emulator may have decoded the code before. It
    talks to the stub past gdb, which would report each step as one of the user's."""

    def __enter__(self):
        if not in_umbra():
            raise gdb.GdbError("the CPU is not in Umbra's code, where alone VMREAD reads Umbra's "
                               "VMCSs: `break exit_handle` and `continue` get it there")
        self.connection = gdb.selected_inferior().connection
        if not hasattr(self.connection, "send_packet"):
            raise gdb.GdbError("a dump has no CPU to ask; the panic's messages have its VMCS")
        thread = f"{gdb.selected_thread().ptid[1]:x}"
        for operation in "gc":
            self._packet(f"H{operation}{thread}")
        self.inferior = gdb.selected_inferior()
        self.saved = {name: self._packet(f"p{register:x}") for name, register in REGISTER.items()}
        self.place = number("(unsigned long)&text_start")
        self.code = read(self.place, len(INSTRUCTIONS))
        # Far below what the stack holds.
        self.scratch = (number("(unsigned long)$sp") - 1024) & ~7
        self.scratched = read(self.scratch, 8)
        self.inferior.write_memory(self.place, INSTRUCTIONS)
        self.pointer = None
        return self

    def __exit__(self, *_):
        if self.pointer is not None:
            self._pointer(VMPTRLD_AT_RAX, self.pointer)
        self.inferior.write_memory(self.place, self.code)
        self.inferior.write_memory(self.scratch, self.scratched)
        for name, value in self.saved.items():
            self._packet(f"P{REGISTER[name]:x}={value}")

    def _packet(self, text):
        return self.connection.send_packet(text).decode("latin-1")

    def _set(self, name, value):
        self._packet(f"P{REGISTER[name]:x}={value.to_bytes(8, 'little').hex()}")

    def _get(self, name):
        return int.from_bytes(bytes.fromhex(self._packet(f"p{REGISTER[name]:x}")), "little")

    def _execute(self, offset):
        """True: it succeeded."""
        self._set("rip", self.place + offset)
        self._packet("s")
        return not self._get("eflags") & CARRY_OR_ZERO

    def _pointer(self, offset, value=0):
        self.inferior.write_memory(self.scratch, value.to_bytes(8, "little"))
        self._set("rax", self.scratch)
        if not self._execute(offset):
            raise gdb.GdbError(f"VMPTRLD or VMPTRST of {value:#x} failed")
        return int.from_bytes(read(self.scratch, 8), "little")

    def load(self, vmcs):
        """Makes another VMCS current until the end."""
        if self.pointer is None:
            self.pointer = self._pointer(VMPTRST_AT_RAX)
        self._pointer(VMPTRLD_AT_RAX, vmcs)

    def vmread(self, encoding):
        """The value, or None if the CPU does not have the field."""
        self._set("rcx", encoding)
        return self._get("rax") if self._execute(VMREAD_RCX_TO_RAX) else None


def wanted(name, pattern):
    return not pattern or fnmatch.fnmatch(name, pattern.upper())


def read_vmcs(vmcs, pattern=""):
    """Triples of encoding, name and value; vmcs None: the current one."""
    rows = []
    with Executor() as cpu:
        if vmcs is not None:
            cpu.load(vmcs)
        for encoding, name in all_fields():
            if wanted(name, pattern):
                value = cpu.vmread(encoding)
                if value is not None:
                    rows.append((encoding, name, value))
    return rows


def read_vmcs12(nested_vmcs, pattern=""):
    info, values = evaluate("field_info"), nested_vmcs["vmcs12"]["f"]
    rows = []
    for i in range(info.type.range()[1] + 1):
        name = info[i]["name"].string()
        if wanted(name, pattern):
            rows.append((int(info[i]["encoding"]), name, int(values[i])))
    return sorted(rows, key=lambda row: (row[0] >> 10 & 3, row[0]))


def print_fields(rows):
    kind = None
    for encoding, name, value in rows:
        if encoding >> 10 & 3 != kind:
            kind = encoding >> 10 & 3
            print(f"{VMCS_TYPES[kind]}:")
        print(f"  {encoding:#06x} {name:36} {value:#018x}")


# EPT

LEVEL_SHIFT = {4: 39, 3: 30, 2: 21, 1: 12}
MEMORY_TYPES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB"}
ADDRESS = 0x000ffffffffff000
LARGE = 0x80
READ_WRITE_EXECUTE = 7
USER_EXECUTE = 0x400                     # counts with mode-based execute control alone
ACTIVATE_SECONDARY, EPT, MODE_BASED_EXECUTE = 1 << 31, 1 << 1, 1 << 22


def rights(entry):
    return "".join(letter if entry >> bit & 1 else "-"
                   for letter, bit in (("r", 0), ("w", 1), ("x", 2), ("u", 10)))


def describe_leaf(entry):
    kind = MEMORY_TYPES.get(entry >> 3 & 7, "??")
    return f"{rights(entry)} {kind}" + (" ignore-PAT" if entry & 0x40 else "") \
        + (" accessed" if entry & 0x100 else "") + (" dirty" if entry & 0x200 else "")


def is_leaf(entry, level):
    return level == 1 or (level <= 3 and entry & LARGE)


def print_walk(root, gpa, present):
    """Each entry on the way of one address."""
    table = root
    for level in (4, 3, 2, 1):
        index = gpa >> LEVEL_SHIFT[level] & 511
        entry = read_table(table)[index]
        text = f"  level {level}  table {table:#014x}  [{index:3}]  {entry:#018x}  "
        if not entry & present:
            print(text + "absent")
            return
        if is_leaf(entry, level):
            size = 1 << LEVEL_SHIFT[level]
            page = entry & ADDRESS & ~(size - 1)
            print(text + describe_leaf(entry))
            print(f"  {gpa:#x} is at {page + (gpa & size - 1):#x}, page of {size >> 10} KiB")
            return
        print(text + rights(entry))
        table = entry & ADDRESS


def leaves(table, present, level=4, base=0):
    """All of a map's: address, physical address, size, attributes."""
    for index, entry in enumerate(read_table(table)):
        gpa = base + (index << LEVEL_SHIFT[level])
        if entry & present and is_leaf(entry, level):
            yield gpa, entry & ADDRESS & ~((1 << LEVEL_SHIFT[level]) - 1), \
                1 << LEVEL_SHIFT[level], describe_leaf(entry)
        elif entry & present:
            yield from leaves(entry & ADDRESS, present, level - 1, gpa)


def print_map(root, present):
    """The map as ranges of what is mapped alike."""
    count, run = 0, None
    for gpa, page, size, text in leaves(root, present):
        if run and run[1] == gpa and run[2] + gpa - run[0] == page and run[3] == text:
            run[1] = gpa + size
            continue
        if run:
            print_range(*run)
        run = [gpa, gpa + size, page, text]
        count += 1
    if run:
        print_range(*run)
    print(f"  {count} ranges")


def print_range(start, end, page, text):
    where = "the same" if page == start else f"{page:#x}"
    print(f"  {start:#014x}-{end:#014x}  at {where:14}  {text}")


def show_ept(root, gpa, present=READ_WRITE_EXECUTE):
    if gpa is None:
        print_map(root & ADDRESS, present)
    else:
        print_walk(root & ADDRESS, gpa, present)


# Commands

class Umbra(gdb.Command):
    """What Umbra knows of its guests; `help umbra` lists the commands."""

    def __init__(self):
        super().__init__("umbra", gdb.COMMAND_DATA, prefix=True)


Umbra()


def command(function):
    """The function NAME_command becomes `umbra NAME`."""
    name = function.__name__.replace("_command", "")

    def invoke(_, argument, __):
        function(*gdb.string_to_argv(argument))

    type(name, (gdb.Command,), {"invoke": invoke, "__doc__": function.__doc__})(
        f"umbra {name}", gdb.COMMAND_DATA)
    return function


def parse_address(words):
    return int(evaluate(" ".join(words))) & ((1 << 64) - 1) if words else None


def cpus_in_umbra():
    """The indices of those that are in Umbra's own code now."""
    before, found = gdb.selected_thread(), set()
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        if in_umbra():
            found.add(index_by_stack())
    if before:
        before.switch()
    return found


@command
def cpus_command():
    """umbra cpus: where each CPU is, and what it has done."""
    in_root = cpus_in_umbra()
    for index in range(cpu_count()):
        vcpu = vcpu_of(index)
        if not int(vcpu["cpu"]["vmx_on"]):
            state = "not in VMX operation"
        elif index not in in_root:
            state = "L2 runs" if int(vcpu["level"]) else "L1 runs"
        elif int(vcpu["regs"]):
            state = f"in Umbra, its last exit was {int(vcpu['exit_reason']) & 0xffff}"
        else:
            state = "in Umbra, no exit yet"
        if int(vcpu["cpu"]["waits_for_sipi"]):
            state += ", waiting for SIPI"
        exits = sum(int(vcpu["exits"][i]) for i in range(vcpu["exits"].type.range()[1] + 1))
        of_l2 = sum(int(vcpu["l2_exits"][i]) for i in range(vcpu["l2_exits"].type.range()[1] + 1))
        print(f"CPU {index}  APIC id {int(vcpu['cpu']['apic_id'])}  vcpu {int(vcpu.address):#x}  "
              f"vmcs01 {int(vcpu['vmcs01']):#x}  exits {exits}, of L2 {of_l2}: {state}")


@command
def vmcs_command(which="", pattern=""):
    """umbra vmcs [01|02|12] [PATTERN]: a VMCS by its fields' names; without a number the current
one. vmcs12 is L1's as Umbra has it in its cache; what is fetched from vmcs02 only when somebody
asks is marked by the line before. A PATTERN such as 'guest_c*' restricts the names."""
    if which and which not in ("01", "02", "12"):
        which, pattern = "", which
    vcpu = vcpu_of(selected_index())
    if which == "12":
        vmcs = current12(vcpu)
        print(f"vmcs12 of L1's VMCS at {int(vmcs['gpa']):#x}; "
              f"vmcs02 at {int(vmcs['vmcs02']):#x} may have newer guest state")
        print_fields(read_vmcs12(vmcs, pattern))
        return
    place = {"": lambda: None, "01": lambda: int(vcpu["vmcs01"]),
             "02": lambda: int(current12(vcpu)["vmcs02"])}[which]()
    print_fields(read_vmcs(place, pattern))


@command
def ept01_command(*gpa):
    """umbra ept01 [ADDRESS]: the map that L1 runs on, whole or for one guest-physical address."""
    show_ept(number("(unsigned long)'ept01.c'::ept01.ept.root") - DIRECT_BASE, parse_address(gpa))


def l2_paging(vcpu):
    """The current vmcs12's EPTP, and the bits any of which makes an entry of it present."""
    values = {name: value for _, name, value in read_vmcs12(current12(vcpu))}
    controls = values["SECONDARY_CONTROLS"] \
        if values["PRIMARY_CONTROLS"] & ACTIVATE_SECONDARY else 0
    if not controls & EPT:
        raise gdb.GdbError("the current vmcs12 gives L2 no EPT")
    user = USER_EXECUTE if controls & MODE_BASED_EXECUTE else 0
    return values["EPT_POINTER"], READ_WRITE_EXECUTE | user


@command
def ept12_command(*gpa):
    """umbra ept12 [ADDRESS]: the map that L1 has made for L2."""
    pointer, present = l2_paging(vcpu_of(selected_index()))
    show_ept(pointer, parse_address(gpa), present)


@command
def ept02_command(*gpa):
    """umbra ept02 [ADDRESS]: the map that L2 runs on, for the current vmcs12's EPTP."""
    vcpu = vcpu_of(selected_index())
    pointer, present = l2_paging(vcpu)
    name = pointer | (number("(unsigned long)EPT12_MODE_BASED") if present & USER_EXECUTE else 0)
    roots = nested_of(vcpu)["ept02"]["root"]
    for i in range(roots.type.range()[1] + 1):
        if int(roots[i]["eptp12"]) == name and int(roots[i]["table"]):
            show_ept(int(roots[i]["table"]) - DIRECT_BASE, parse_address(gpa), present)
            return
    print(f"  nothing is mapped yet for EPTP12 {pointer:#x}")


@command
def log_command(lines="0"):
    """umbra log [LINES]: Umbra's messages, the last LINES or all that its memory still has."""
    ring = evaluate("'log.c'::log_state.ring")
    size, head = int(ring["size"]), int(ring["head"])
    data = read(int(ring["buf"]), size)
    text = data[:head] if head <= size else data[head % size:] + data[:head % size]
    rows = text.decode("utf-8", "replace").splitlines()
    print("\n".join(rows[-int(lines):] if int(lines) else rows))


def stopped(event):
    """What a panic is about is in the log; where it is from gdb shows."""
    names = {str(bp.location) for bp in getattr(event, "breakpoints", ())}
    if names & {"panic", "panic_trap"}:
        print("Umbra panics. `bt`, `umbra cpus`, `umbra vmcs` and `umbra log` tell more.")


gdb.events.stop.connect(stopped)
