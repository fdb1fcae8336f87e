/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/vtd.h"

#include <x86/vtd.h>

#include "lib/insn.h"
#include "lib/log.h"
#include "lib/mmio.h"
#include "lib/spinlock.h"
#include "mm/dma_map.h"
#include "platform/delay.h"
#include "platform/dmar.h"

enum {
	WAIT_US = 100 * 1000,
	/* Ten to forty times a second. */
	POLL_TICKS = 1 << 27,
	FAULTS_LOGGED = 16,
	/* "Version Register": from this major version on registers invalidate nothing. */
	VERSION_QUEUE_ONLY = 6,
};

struct unit {
	u8 *registers;
	u64 cap, ecap;
	u32 levels;
};

static struct {
	struct unit unit[DMAR_MAX_UNITS];
	u32 count;
	bool on;
	struct spinlock lock; /* for what follows */
	u64 next_poll;
	u64 faults;
} vtd;

static u32 read32(const struct unit *unit, u32 offset)
{
	return mmio_read32(unit->registers + offset);
}

static u64 read64(const struct unit *unit, u32 offset)
{
	return mmio_read64(unit->registers + offset);
}

static void write32(const struct unit *unit, u32 offset, u32 value)
{
	mmio_write32(unit->registers + offset, value);
}

static void write64(const struct unit *unit, u32 offset, u64 value)
{
	mmio_write64(unit->registers + offset, value);
}

/* --- Adding ----------------------------------------------------------------------------------- */

/* The fewest levels that reach all of the map, or else the most there are. */
static u32 choose_levels(u64 cap, unsigned int width)
{
	u32 chosen = 0;

	for (u32 levels = VTD_MIN_LEVELS; levels <= VTD_MAX_LEVELS; levels++) {
		if (!vtd_cap_has_levels(cap, levels))
			continue;
		chosen = levels;
		if (12 + 9 * levels >= width)
			break;
	}
	return chosen;
}

static u64 last_register(const struct unit *unit)
{
	const u64 faults = vtd_cap_fault_offset(unit->cap) + 16ull * vtd_cap_fault_count(unit->cap);
	const u64 iotlb = vtd_ecap_iotlb_offset(unit->ecap) + sizeof(u64);

	return faults > iotlb ? faults : iotlb;
}

void vtd_init(void)
{
	vtd.count = 0;
	vtd.on = false;
	vtd.faults = vtd.next_poll = 0;
}

const char *vtd_add(void *registers, u64 size, unsigned int width, paddr_t top)
{
	struct unit *unit = &vtd.unit[vtd.count];
	unsigned int reach;

	if (vtd.count == ARRAY_SIZE(vtd.unit))
		return "there are too many units";
	*unit = (struct unit){.registers = registers};
	unit->cap = read64(unit, VTD_CAP);
	unit->ecap = read64(unit, VTD_ECAP);
	if (unit->cap == ~0ull && unit->ecap == ~0ull)
		return "a unit does not answer";
	unit->levels = choose_levels(unit->cap, width);
	if (!unit->levels)
		return "a unit lacks second-stage translation";
	reach = 12 + 9 * unit->levels;
	if (vtd_cap_width(unit->cap) < reach)
		reach = vtd_cap_width(unit->cap);
	if (reach < 64 && top > BIT(reach))
		return "a unit does not reach all memory";
	if (!(unit->cap & VTD_CAP_2M))
		return "a unit lacks 2 MiB pages";
	if (last_register(unit) > size)
		return "a unit has registers where the DMAR does not say so";
	if (!(unit->cap & VTD_CAP_ESRTPS) && read32(unit, VTD_VER) >> 4 >= VERSION_QUEUE_ONLY)
		return "a unit invalidates by a queue only";
	vtd.count++;
	return NULL;
}

bool vtd_firmware_uses(void)
{
	for (u32 i = 0; i < vtd.count; i++) {
		if (read32(&vtd.unit[i], VTD_GSTS) & (VTD_TE | VTD_IRE))
			return true;
	}
	return false;
}

bool vtd_has_1g_pages(void)
{
	for (u32 i = 0; i < vtd.count; i++) {
		if (!(vtd.unit[i].cap & VTD_CAP_1G))
			return false;
	}
	return true;
}

bool vtd_make_tables(void)
{
	for (u32 i = 0; i < vtd.count; i++) {
		if (!dma_map_root(vtd.unit[i].levels))
			return false;
	}
	return true;
}

/* --- Turning on ------------------------------------------------------------------------------- */

/* Whether it comes true in time; it is looked at again and again. */
#define comes_true(condition)                                     \
	({                                                        \
		u32 us_ = 0;                                      \
                                                                  \
		for (; !(condition) && us_ < (u32)WAIT_US; us_++) \
			delay_us(1);                              \
		us_ < (u32)WAIT_US;                               \
	})

/*
 * "Global Command Register": one bit changes at a time, all that is on is written again, and the
 * next command waits for this one.
 */
static bool command(const struct unit *unit, u32 bit, bool on)
{
	const u32 status = read32(unit, VTD_GSTS) & ~(u32)VTD_ONE_SHOT;
	/* A flush of the write buffer is done when its status is clear again. */
	const u32 wanted = on && bit != VTD_WBF ? bit : 0;

	if (!(bit & VTD_ONE_SHOT) && !(status & bit) == !on)
		return true;
	write32(unit, VTD_GCMD, on ? status | bit : status & ~bit);
	return comes_true((read32(unit, VTD_GSTS) & bit) == wanted);
}

static bool queue_empties(const struct unit *unit)
{
	return comes_true(read64(unit, VTD_IQH) == read64(unit, VTD_IQT));
}

/*
 * Firmware may protect itself from DMA until it starts a system, and may leave it so. Its map
 * counts until Umbra's does, unless it is of another mode, which cannot change while it counts.
 */
static const char *take_over(const struct unit *unit)
{
	if ((read32(unit, VTD_GSTS) & VTD_QIE) &&
	    (!queue_empties(unit) || !command(unit, VTD_QIE, false)))
		return "a unit's invalidation queue does not stop";
	/* The guest knows of no remapping, and its interrupts would be blocked. */
	if (!command(unit, VTD_IRE, false))
		return "a unit's interrupt remapping does not stop";
	if (!command(unit, VTD_EAFL, false))
		return "a unit's fault log does not stop";
	if ((read64(unit, VTD_RTADDR) & VTD_RTADDR_MODE) && !command(unit, VTD_TE, false))
		return "a unit does not stop";
	return NULL;
}

/* "Set Root Table Pointer Operation": newer units forget by themselves what they have cached. */
static bool set_root(const struct unit *unit)
{
	const u32 iotlb = vtd_ecap_iotlb_offset(unit->ecap);

	if ((unit->cap & VTD_CAP_RWBF) && !command(unit, VTD_WBF, true))
		return false;
	write64(unit, VTD_RTADDR, dma_map_root(unit->levels));
	if (!command(unit, VTD_SRTP, true))
		return false;
	if (unit->cap & VTD_CAP_ESRTPS)
		return true;
	write64(unit, VTD_CCMD, VTD_CCMD_INVALIDATE | VTD_CCMD_GLOBAL);
	if (!comes_true(!(read64(unit, VTD_CCMD) & VTD_CCMD_INVALIDATE)))
		return false;
	write64(unit, iotlb,
		VTD_IOTLB_INVALIDATE | VTD_IOTLB_GLOBAL | VTD_IOTLB_DRAIN_READS |
			VTD_IOTLB_DRAIN_WRITES);
	return comes_true(!(read64(unit, iotlb) & VTD_IOTLB_INVALIDATE));
}

static bool unprotect_regions(const struct unit *unit)
{
	if (!(unit->cap & (VTD_CAP_PLMR | VTD_CAP_PHMR)) ||
	    !(read32(unit, VTD_PMEN) & VTD_PMEN_ENABLE))
		return true;
	write32(unit, VTD_PMEN, 0);
	return comes_true(!(read32(unit, VTD_PMEN) & VTD_PMEN_STATUS));
}

static u32 record(const struct unit *unit, u32 n)
{
	return vtd_cap_fault_offset(unit->cap) + 16 * n;
}

static void clear_record(const struct unit *unit, u32 n)
{
	write32(unit, record(unit, n) + 12, (u32)(VTD_RECORD_FAULT >> 32));
}

/* Firmware's. */
static void forget_faults(const struct unit *unit)
{
	for (u32 n = 0; n < vtd_cap_fault_count(unit->cap); n++)
		clear_record(unit, n);
	write32(unit, VTD_FSTS, VTD_FSTS_OVERFLOW);
}

static const char *start(const struct unit *unit)
{
	const char *error = take_over(unit);

	if (error)
		return error;
	if (!set_root(unit))
		return "a unit does not take its tables";
	write32(unit, VTD_FECTL, VTD_FECTL_MASK);
	forget_faults(unit);
	if (!command(unit, VTD_TE, true))
		return "a unit does not start";
	if (!unprotect_regions(unit))
		return "a unit's protected regions stay";
	return NULL;
}

const char *vtd_start(void)
{
	const char *error = NULL;

	/* Units without ECAP.C do not look into caches; and the tables never change. */
	wbinvd();
	for (u32 i = 0; i < vtd.count && !error; i++)
		error = start(&vtd.unit[i]);
	vtd.on = !error && vtd.count;
	return error;
}

void vtd_stop(void)
{
	for (u32 i = 0; i < vtd.count; i++)
		command(&vtd.unit[i], VTD_TE, false);
	vtd.on = false;
}

/* --- Faults ----------------------------------------------------------------------------------- */

/* "Fault Recording Registers" */
static void read_record(const struct unit *unit, u32 n)
{
	const u64 high = read64(unit, record(unit, n) + sizeof(u64));
	const u32 source = high & 0xffff;

	if (!(high & VTD_RECORD_FAULT))
		return;
	if (vtd.faults++ < FAULTS_LOGGED)
		log_warn("DMA refused: %s at %#llx by device %02x:%02x.%u, reason %#x",
			 high & VTD_RECORD_READ ? "read" : "write",
			 read64(unit, record(unit, n)) & ~(PAGE_SIZE - 1), source >> 8,
			 source >> 3 & 31, source & 7, (u32)(high >> 32) & 0xff);
	clear_record(unit, n);
}

static void read_faults(void)
{
	for (u32 i = 0; i < vtd.count; i++) {
		const struct unit *unit = &vtd.unit[i];
		const u32 status = read32(unit, VTD_FSTS);

		if (!(status & (VTD_FSTS_PENDING | VTD_FSTS_OVERFLOW)))
			continue;
		for (u32 n = 0; n < vtd_cap_fault_count(unit->cap); n++)
			read_record(unit, n);
		/* What came while all were full is not counted. */
		if (status & VTD_FSTS_OVERFLOW)
			write32(unit, VTD_FSTS, VTD_FSTS_OVERFLOW);
	}
}

void vtd_poll(void)
{
	if (!vtd.on || rdtsc() < vtd.next_poll)
		return;
	spin_lock(&vtd.lock);
	/* Another CPU may have looked just now. */
	if (rdtsc() >= vtd.next_poll) {
		vtd.next_poll = rdtsc() + POLL_TICKS;
		read_faults();
	}
	spin_unlock(&vtd.lock);
}

u32 vtd_units_on(void)
{
	return vtd.on ? vtd.count : 0;
}

u64 vtd_faults(void)
{
	u64 faults;

	if (!vtd.on)
		return 0;
	spin_lock(&vtd.lock);
	read_faults();
	faults = vtd.faults;
	spin_unlock(&vtd.lock);
	return faults;
}
