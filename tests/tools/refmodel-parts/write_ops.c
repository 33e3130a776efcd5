/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_ops.c - a seed becomes a set-up and a list of operations that write
 */
#include "tests/tools/refmodel-parts/write_ops.h"

#define NAME(kind, name, weight) [WRITE_##kind] = name,
static const char *const kind_names[] = { WRITE_OP_KINDS(NAME) };
#undef NAME
#define WEIGHT(kind, name, weight) [WRITE_##kind] = weight,
static const unsigned weights[] = { WRITE_OP_KINDS(WEIGHT) };
#undef WEIGHT

static bool one_in(struct seed *s, unsigned n)
{
	return seed_next(s) % n == 0;
}

void write_config_make(struct seed *s, bool real, struct write_config *out)
{
	*out = (struct write_config){
		.strict = !one_in(s, 3),
		.last_wins = one_in(s, 6),
		.faults = !one_in(s, 3),
		.kills = !one_in(s, 3),
		.others = !one_in(s, 3),
		.no_cache = one_in(s, 6),
		.passthrough = one_in(s, 2),
		.most = real ? MIB(1) : KIB(700),
		.parts = 1 + (unsigned)(seed_next(s) % 4),
	};
	/* The parts of a real store are 5 MiB at least. */
	if (one_in(s, 4))
		out->most = real ? MIB(12) : KIB(200);
}

void write_config_print(FILE *to, const struct write_config *c)
{
	fprintf(to,
		"%s last-wins=%d faults=%d kills=%d others=%d no-cache=%d "
		"passthrough=%d most=%juK parts=%u\n",
		c->strict ? "strict" : "ttl", c->last_wins, c->faults, c->kills,
		c->others, c->no_cache, c->passthrough,
		(uintmax_t)(c->most >> 10), c->parts);
}

static bool wanted(unsigned kind, const struct write_config *c)
{
	switch (kind) {
	case WRITE_FAULT:
		return c->faults;
	case WRITE_KILL:
		return c->kills;
	case WRITE_PUT:
	case WRITE_DELETE:
		return c->others;
	default:
		return true;
	}
}

void write_ops_make(struct seed *s, const struct write_config *c,
		    struct op *ops, size_t n)
{
	unsigned chosen[WRITE_OP_COUNT];

	for (unsigned i = 0; i < WRITE_OP_COUNT; i++)
		chosen[i] = wanted(i, c) ? weights[i] : 0;
	for (size_t i = 0; i < n; i++)
		ops[i] = op_draw(s, chosen, WRITE_OP_COUNT);
}

void write_op_print(FILE *to, const struct op *op)
{
	fprintf(to, "%-10s %u %u %u %u", kind_names[op->kind], op->a % 1000,
		op->b % 1000, op->c % 1000, op->d % 1000);
}
