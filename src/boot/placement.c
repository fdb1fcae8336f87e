/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/placement.h"

#include "lib/string.h"

enum {
	PIECES_MAX = PLACEMENT_SEGMENTS_MAX + PLACEMENT_MODULES_MAX,
	/* All sources, all destinations, and the areas of kernel, data and low memory. */
	AVOID_MAX = 2 * PIECES_MAX + 4,
};

static const paddr_t FIRST_4G = 1ull << 32;
static const paddr_t LOW_MEMORY_END = 640 * 1024;
static const struct range FIRST_MIB = {.start = 0, .size = 1 << 20};
static const struct range BIOS_DATA = {.start = 0, .size = PAGE_SIZE};

/* What one step moves, as long as it is not done. */
struct piece {
	paddr_t src;
	paddr_t dst;
	u64 size;
	bool done;
};

struct planner {
	const struct placement_request *request;
	struct placement_plan *plan;
	u32 count;
	struct piece piece[PIECES_MAX];
};

struct avoid_list {
	size_t count;
	struct range range[AVOID_MAX];
};

static void avoid(struct avoid_list *list, paddr_t start, u64 size)
{
	if (size)
		list->range[list->count++] = (struct range){.start = start, .size = size};
}

static void avoid_kernel(struct avoid_list *list, const struct planner *p)
{
	avoid(list, p->plan->kernel_base, p->request->kernel_size);
}

static void avoid_sources(struct avoid_list *list, const struct placement_request *request)
{
	for (u32 i = 0; i < request->segment_count; i++)
		avoid(list, request->segment[i].source, request->segment[i].filesz);
	for (u32 i = 0; i < request->module_count; i++)
		avoid(list, request->module[i].start, request->module[i].size);
}

static const char *place_kernel(struct planner *p)
{
	const struct placement_request *r = p->request;
	paddr_t base = r->kernel_base;

	if (!r->relocatable) {
		/* What is between segments need not be RAM. */
		for (u32 i = 0; i < r->segment_count; i++) {
			const struct placement_segment *s = &r->segment[i];
			if (!memmap_is_usable(r->map, base + s->offset, s->memsz) ||
			    base + s->offset + s->memsz > FIRST_4G)
				return "there is no free memory at the address the kernel must be "
				       "loaded to";
		}
	} else if (base % r->kernel_align || !memmap_is_usable(r->map, base, r->kernel_size)) {
		/*
		 * A Linux kernel loaded below its preferred address moves itself there, into
		 * whatever made us avoid it: only higher addresses help.
		 */
		if (!memmap_find_bottom(r->map, r->kernel_size, r->kernel_align, base, NULL, 0,
					&base))
			return "there is not enough contiguous memory below 4 GiB for the kernel";
	}
	if (base > FIRST_4G || r->kernel_size > FIRST_4G - base)
		return r->relocatable
			       ? "there is not enough contiguous memory below 4 GiB for the kernel"
			       : "there is no free memory at the address the kernel must be loaded "
				 "to";
	p->plan->kernel_base = base;
	return NULL;
}

/* The common case costs no copy: one module, page-aligned, in nobody's way. */
static bool may_stay(const struct planner *p)
{
	const struct placement_request *r = p->request;
	const struct range *m = &r->module[0];

	return r->module_count == 1 && m->start % PAGE_SIZE == 0 && m->start >= FIRST_MIB.size &&
	       memmap_is_usable(r->map, m->start, m->size) &&
	       m->start + m->size - 1 <= r->module_max && m->start + m->size <= FIRST_4G &&
	       !ranges_overlap(*m, (struct range){p->plan->kernel_base, r->kernel_size});
}

static const char *place_modules(struct planner *p)
{
	const struct placement_request *r = p->request;
	struct placement_plan *plan = p->plan;
	struct avoid_list list = {0};
	const u64 usable = memmap_usable_bytes(r->map);
	u64 size = 0;

	for (u32 i = 0; i < r->module_count; i++) {
		if (r->module[i].size > usable - size)
			return "the modules are larger than the memory";
		size = ALIGN_UP(size, r->module_align) + r->module[i].size;
		if (size > usable)
			return "the modules are larger than the memory";
	}
	if (!size)
		return NULL;

	paddr_t limit = r->module_max < FIRST_4G ? r->module_max + 1 : FIRST_4G;
	avoid_kernel(&list, p);
	avoid(&list, FIRST_MIB.start, FIRST_MIB.size);
	size_t needed = list.count;
	avoid_sources(&list, r);
	if (may_stay(p))
		plan->modules_start = r->module[0].start;
	else if (!memmap_find_top(r->map, size, PAGE_SIZE, limit, list.range, list.count,
				  &plan->modules_start) &&
		 !memmap_find_top(r->map, size, PAGE_SIZE, limit, list.range, needed,
				  &plan->modules_start))
		return "there is not enough contiguous memory for the modules";

	plan->modules_size = size;
	u64 offset = 0;
	for (u32 i = 0; i < r->module_count; i++) {
		offset = ALIGN_UP(offset, r->module_align);
		plan->module[i] = plan->modules_start + offset;
		offset += r->module[i].size;
	}
	return NULL;
}

static const char *place_data(struct planner *p)
{
	const struct placement_request *r = p->request;
	struct avoid_list list = {0};

	if (!r->data_size)
		return NULL;
	avoid_kernel(&list, p);
	avoid(&list, p->plan->modules_start, p->plan->modules_size);
	avoid(&list, BIOS_DATA.start, BIOS_DATA.size);
	avoid_sources(&list, r);
	if (memmap_find_top(r->map, r->data_size, PAGE_SIZE, LOW_MEMORY_END, list.range, list.count,
			    &p->plan->data) ||
	    memmap_find_top(r->map, r->data_size, PAGE_SIZE, FIRST_4G, list.range, list.count,
			    &p->plan->data))
		return NULL;
	return "there is no memory for the boot parameters";
}

static void move(struct placement_plan *plan, paddr_t dst, paddr_t src, u64 size)
{
	plan->step[plan->step_count++] =
		(struct placement_step){.dst = dst, .src = src, .size = size};
}

static void add_piece(struct planner *p, paddr_t src, paddr_t dst, u64 size)
{
	if (size && src != dst)
		p->piece[p->count++] = (struct piece){.src = src, .dst = dst, .size = size};
}

/* A piece that stays where it is has no step, but its place is a source to protect: none moves
 * there, as destinations are disjoint. */
static void collect_pieces(struct planner *p)
{
	const struct placement_request *r = p->request;

	for (u32 i = 0; i < r->segment_count; i++)
		add_piece(p, r->segment[i].source, p->plan->kernel_base + r->segment[i].offset,
			  r->segment[i].filesz);
	for (u32 i = 0; i < r->module_count; i++)
		add_piece(p, r->module[i].start, p->plan->module[i], r->module[i].size);
}

/* Whether moving one would spoil what the other still has to move. */
static bool moves_onto(const struct piece *one, const struct piece *other)
{
	return one != other && !one->done && !other->done &&
	       ranges_overlap((struct range){one->dst, one->size},
			      (struct range){other->src, other->size});
}

static bool blocked(const struct planner *p, u32 i)
{
	for (u32 j = 0; j < p->count; j++) {
		if (moves_onto(&p->piece[i], &p->piece[j]))
			return true;
	}
	return false;
}

static bool blocks(const struct planner *p, u32 i)
{
	for (u32 j = 0; j < p->count; j++) {
		if (moves_onto(&p->piece[j], &p->piece[i]))
			return true;
	}
	return false;
}

/*
 * Moves one piece out of the others' way, to memory that nobody needs. There it blocks no one, so
 * each piece is staged once at most.
 */
static bool stage_smallest(struct planner *p)
{
	const struct placement_request *r = p->request;
	struct avoid_list list = {0};
	struct piece *smallest = NULL;
	paddr_t stage;

	avoid_kernel(&list, p);
	avoid(&list, p->plan->modules_start, p->plan->modules_size);
	avoid(&list, p->plan->data, r->data_size);
	avoid(&list, BIOS_DATA.start, BIOS_DATA.size);
	for (u32 i = 0; i < p->count; i++) {
		struct piece *piece = &p->piece[i];
		if (piece->done)
			continue;
		avoid(&list, piece->src, piece->size);
		if (blocks(p, i) && (!smallest || piece->size < smallest->size))
			smallest = piece;
	}
	if (!smallest || !memmap_find_top(r->map, smallest->size, PAGE_SIZE, FIRST_4G, list.range,
					  list.count, &stage))
		return false;
	move(p->plan, stage, smallest->src, smallest->size);
	smallest->src = stage;
	return true;
}

static const char *order_moves(struct planner *p)
{
	u32 left = p->count;

	while (left) {
		u32 before = left;
		for (u32 i = 0; i < p->count; i++) {
			struct piece *piece = &p->piece[i];
			if (piece->done || blocked(p, i))
				continue;
			move(p->plan, piece->dst, piece->src, piece->size);
			piece->done = true;
			left--;
		}
		/* All that is left waits for itself in a circle. */
		if (left == before && !stage_smallest(p))
			return "there is not enough memory to move the kernel and modules past "
			       "each other";
	}
	return NULL;
}

static void zero(struct placement_plan *plan, paddr_t start, u64 size)
{
	if (size)
		plan->step[plan->step_count++] =
			(struct placement_step){.zero = true, .dst = start, .size = size};
}

/* After all moves: what is zeroed may have been a source. */
static void add_zeroes(struct planner *p)
{
	const struct placement_request *r = p->request;
	struct placement_plan *plan = p->plan;

	for (u32 i = 0; i < r->segment_count; i++) {
		const struct placement_segment *s = &r->segment[i];
		zero(plan, plan->kernel_base + s->offset + s->filesz, s->memsz - s->filesz);
	}
	for (u32 i = 0; i + 1 < r->module_count && plan->modules_size; i++) {
		paddr_t end = plan->module[i] + r->module[i].size;
		zero(plan, end, plan->module[i + 1] - end);
	}
}

const char *placement_plan(const struct placement_request *request, struct placement_plan *plan)
{
	struct planner p = {.request = request, .plan = plan};
	const char *error;

	*plan = (struct placement_plan){0};
	error = place_kernel(&p);
	if (error == NULL)
		error = place_modules(&p);
	if (error == NULL)
		error = place_data(&p);
	if (error)
		return error;
	collect_pieces(&p);
	error = order_moves(&p);
	if (error == NULL)
		add_zeroes(&p);
	return error;
}

void placement_run(const struct placement_plan *plan, void *(*to_virt)(paddr_t))
{
	for (u32 i = 0; i < plan->step_count; i++) {
		const struct placement_step *step = &plan->step[i];
		if (step->zero)
			memset(to_virt(step->dst), 0, step->size);
		else
			memmove(to_virt(step->dst), to_virt(step->src), step->size);
	}
}
