/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.c - the operations of a seed
 */
#include "tests/tools/refmodel-parts/ops.h"

#include "base/clock.h"
#include "tests/tools/refmodel-parts/model.h"

#define ROW_NAME(kind, name, weight) name,
static const char *const kind_names[] = { OP_KINDS(ROW_NAME) };
#undef ROW_NAME
#define ROW_WEIGHT(kind, name, weight) weight,
static const unsigned weights[] = { OP_KINDS(ROW_WEIGHT) };
#undef ROW_WEIGHT

/* Around kernel pages, pages, small objects, fills, and one of segments. */
static const uint64_t sizes[] = {
	0,       1,       100,
	4095,    4096,    4097,
	65535,   65536,   65537,
	131071,  131073,  300000,
	700001,  1048575, 1048576,
	1048577, 1500000, 3000000,
	9000001, 9000001, (UINT64_C(1) << 30) + 100001,
};

static const char *const paths[] = {
	"", "a", "d", "d/a", "d/x", "d/e", "w", "x"
};

uint64_t seed_next(struct seed *s)
{
	uint64_t x = s->state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static unsigned pick(struct seed *s, unsigned n)
{
	return (unsigned)(seed_next(s) % n);
}

void config_make(struct seed *s, bool real, struct config *out)
{
	static const uint64_t small[] = { 0, KIB(256), MIB(1), MIB(1) };
	unsigned x = pick(s, 10);

	*out = (struct config){
		.consistency = x < 4   ? CONSISTENCY_STRICT
			       : x < 9 ? CONSISTENCY_TTL
				       : CONSISTENCY_IMMUTABLE,
		.ttl = NSEC_PER_SEC * (real ? 1 : 60),
		.negative_ttl = NSEC_PER_SEC / (real ? 2 : 1) * pick(s, 3),
		.cache_size = pick(s, 3) == 0 ? MIB(4) : UINT64_C(1) << 30,
		.memory = pick(s, 3) == 0 ? MIB(8) : MIB(64),
		.small_file = small[pick(s, ARRAY_SIZE(small))],
		.readahead = pick(s, 2) ? MIB(1) : MIB(16),
		.prefetch = pick(s, 2) != 0,
		.faults = pick(s, 2) != 0,
		.tampers = pick(s, 3) == 0,
		.passthrough = pick(s, 2) != 0,
		.filler = pick(s, 4) == 0 ? 1100 : 0,
	};
	x = pick(s, 8);
	out->dirs = x == 0 ? 0 : x == 1 ? 2 : 1;
	if (out->dirs == 0)
		out->tampers = false;
}

void config_print(FILE *to, const struct config *c)
{
	static const char *const names[] = { "strict", "ttl", "immutable" };

	fprintf(to,
		"%s ttl=%jdms negative-ttl=%jdms dirs=%u cache-size=%juM "
		"memory=%zuM small-file=%juK readahead=%juM prefetch=%d "
		"faults=%d tampers=%d passthrough=%d filler=%u\n",
		names[c->consistency], (intmax_t)(c->ttl / NSEC_PER_MSEC),
		(intmax_t)(c->negative_ttl / NSEC_PER_MSEC), c->dirs,
		(uintmax_t)(c->cache_size >> 20), c->memory >> 20,
		(uintmax_t)(c->small_file >> 10),
		(uintmax_t)(c->readahead >> 20), c->prefetch, c->faults,
		c->tampers, c->passthrough, c->filler);
}

static bool wanted(enum op_kind kind, const struct config *c)
{
	return !(kind == OP_FAULT && !c->faults) &&
	       !(kind == OP_TAMPER && !c->tampers);
}

struct op op_draw(struct seed *s, const unsigned *of, unsigned kinds)
{
	unsigned sum = 0, kind = 0, x;

	for (unsigned i = 0; i < kinds; i++)
		sum += of[i];
	if (sum == 0)
		abort(); /* dice without a side */
	for (x = pick(s, sum); x >= of[kind]; kind++)
		x -= of[kind];
	return (struct op){
		.kind = kind,
		.a = (uint32_t)seed_next(s),
		.b = (uint32_t)seed_next(s),
		.c = (uint32_t)seed_next(s),
		.d = (uint32_t)seed_next(s),
	};
}

void ops_make(struct seed *s, const struct config *c, struct op *ops, size_t n)
{
	unsigned chosen[OP_COUNT];

	for (unsigned i = 0; i < OP_COUNT; i++)
		chosen[i] = wanted(i, c) ? weights[i] : 0;
	for (size_t i = 0; i < n; i++) {
		ops[i] = op_draw(s, chosen, OP_COUNT);
		/* Of so few, some are to be there from the beginning. */
		if (i < 8) {
			ops[i].kind = OP_PUT;
			ops[i].a = (uint32_t)(i * 5);
		}
	}
}

void op_print(FILE *to, const struct op *op)
{
	fprintf(to, "%-10s %u %u %u %u", kind_names[op->kind], op->a % 1000,
		op->b % 1000, op->c % 1000, op->d % 1000);
}

uint64_t op_size(const struct op *op, uint64_t before)
{
	if (op->c % 4 == 0)
		return before;
	return sizes[op->b % ARRAY_SIZE(sizes)];
}

const char *op_path(uint32_t n)
{
	return paths[n % ARRAY_SIZE(paths)];
}
