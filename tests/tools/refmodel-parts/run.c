/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - what is asked of a front, operation by operation
 *
 * What is seen goes to judge.c. When the faults are over nothing fails any more
 * (INV6), and at the end nothing is left behind (INV5).
 */
#include "tests/tools/refmodel-parts/run_impl.h"

#include <errno.h>

#include "base/clock.h"
#include "cache/extent.h"
#include "tests/tools/refmodel-parts/store.h"

enum { CALM_TRIES = 100 };

static void do_stat(struct run *r, unsigned key)
{
	struct seen seen = { 0 };
	int err = r->ops->lookup(r->front, key, &seen);

	model_lock(r->model);
	judge_seen(r, key, err, &seen);
	model_unlock(r->model);
}

static void do_close(struct run *r, unsigned slot)
{
	if (r->handles[slot].open)
		r->ops->close(r->front, slot);
	r->handles[slot].open = false;
}

/* 0, or the error, which was judged. */
static int do_open(struct run *r, unsigned slot, unsigned key, unsigned how)
{
	struct handle *h = &r->handles[slot];
	struct seen seen = { 0 };
	int err;

	do_close(r, slot);
	if (run_is_marker(r, key))
		return -EISDIR;
	err = r->ops->open(r->front, slot, key, how, &seen);
	r->out->opens++;
	model_lock(r->model);
	if (err == 0) {
		judge_stat(r, key, &seen.st,
			   seen.asked ? r->begun : r->gone[key]);
		if (r->out->failed)
			r->ops->close(r->front, slot);
		*h = (struct handle){ .open = !r->out->failed,
				      .key = key,
				      .id = store_id(seen.st.version),
				      .size = seen.st.size };
	} else if (err == -ENOENT) {
		judge_seen(r, key, err, &seen);
	} else if (err == -ESTALE) {
		/* It was looked up anew, so it has to change twice. */
		if (!run_excused(r, err) &&
		    model_now(r->model, key)->from < r->begun)
			run_wrong(r, "%s: open: ESTALE, and it is there",
				  run_key(r, key));
	} else if (!run_excused(r, err)) {
		run_wrong(r, "%s: open: %s, and no fault", run_key(r, key),
			  strerror(-err));
	}
	model_unlock(r->model);
	return err;
}

static void do_reads(struct run *r, struct reading *to, size_t n)
{
	r->ops->read(r->front, to, n);
	model_lock(r->model);
	for (size_t i = 0; i < n; i++)
		judge_read(r, &to[i]);
	model_unlock(r->model);
}

/* Where numbers let a handle be read; false: it is not open. */
static bool place(struct run *r, struct reading *to, uint32_t a, uint32_t b,
		  uint32_t c, uint32_t d)
{
	static const size_t lengths[] = { 1,     100,    4096,   KIB(64),
					  65537, 131072, 200000, MIB(1) };
	struct handle *h = &r->handles[a % SLOTS];
	uint64_t size = MAX(h->size, 1), edge;

	if (!h->open)
		return false;
	edge = c % (size / PAGE_BYTES + 1) * PAGE_BYTES;
	to->slot = a % SLOTS;
	to->len = lengths[d % ARRAY_SIZE(lengths)];
	to->how = b >> 8;
	switch (b % 8) {
	case 0:
		to->off = 0;
		break;
	case 1:
		to->off = (c * UINT64_C(2654435761)) % (size + 10);
		break;
	case 2:
		to->off = edge > 0 ? edge - d % 2 : 0;
		break;
	case 3:
		to->off = size - MIN(size, to->len / 2 + 1);
		break;
	case 4: /* where the segments of a cut object meet */
		to->off = size > UINT64_C(1) << 30
			      ? (UINT64_C(1) << 30) - MIN(to->len, 5000)
			      : size / 2;
		break;
	default:
		to->off = h->next;
	}
	return true;
}

static void do_read(struct run *r, const struct op *op)
{
	struct reading to = { .buf = r->bufs[0] };

	if (place(r, &to, op->a, op->b, op->c, op->d))
		do_reads(r, &to, 1);
}

static void do_burst(struct run *r, const struct op *op)
{
	struct reading to[BURST_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < BURST_MAX; i++) {
		to[n].buf = r->bufs[n];
		n += place(r, &to[n], op->a + i / 2, op->b + i * 77, op->c + i,
			   op->d + i);
	}
	if (n > 0)
		do_reads(r, to, n);
}

/* A listing as it comes. */
struct listed {
	struct run *run;
	const char *dir;
	bool object[MODEL_KEYS], child[MODEL_KEYS];
	unsigned fillers;
};

static void listed_cb(void *arg, const char *name, bool dir,
		      const struct ufs_stat *st)
{
	struct listed *l = arg;
	struct run *r = l->run;
	size_t n = strlen(name);
	bool known = false;

	if (!dir && strcmp(l->dir, "w/") == 0 && name[0] == 'f') {
		l->fillers++;
		return;
	}
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		const char *rest = model_below(run_key(r, i), l->dir);

		if (rest == NULL || strncmp(rest, name, n) != 0)
			continue;
		if (!dir && rest[n] == '\0') {
			if (l->object[i])
				run_wrong(r, "%s: listed twice", run_key(r, i));
			l->object[i] = known = true;
			if (st != NULL)
				judge_stat(r, i, st, INT64_MIN);
		}
		if (dir && rest[n] == '/' && !l->child[i])
			l->child[i] = known = true;
	}
	if (!known)
		run_wrong(r, "%s: lists %s%s, which was never there, or twice",
			  l->dir, name, dir ? "/" : "");
}

static void judge_listed(struct listed *l)
{
	struct run *r = l->run;

	if (strcmp(l->dir, "w/") == 0 && l->fillers != r->model->filler)
		run_wrong(r, "w/: %u of %u entries", l->fillers,
			  r->model->filler);
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		const char *rest = model_below(run_key(r, i), l->dir);
		const char *slash = rest != NULL ? strchr(rest, '/') : NULL;
		char name[64];

		if (rest == NULL || rest[0] == '\0')
			continue;
		if (slash != NULL) {
			snprintf(name, sizeof(name), "%.*s",
				 (int)(slash - run_key(r, i)), run_key(r, i));
			judge_dir(r, name, l->child[i], r->config->ttl);
		} else if (!l->object[i]) {
			judge_absent(r, i, r->config->ttl);
		}
	}
}

static void do_list(struct run *r, const char *dir)
{
	struct listed l = { .run = r, .dir = dir };
	char name[64];
	int err;

	err = r->ops->list(r->front, dir, listed_cb, &l);
	model_lock(r->model);
	r->out->answers++;
	snprintf(name, sizeof(name), "%s", dir);
	if (name[0] != '\0')
		name[strlen(name) - 1] = '\0';
	if (err == 0)
		judge_listed(&l);
	else if ((err == -ENOENT || err == -ENOTDIR) && name[0] != '\0')
		judge_dir(r, name, false,
			  err == -ENOTDIR ? r->config->ttl
					  : r->config->negative_ttl);
	else if (!run_excused(r, err))
		run_wrong(r, "%s: list: %s, and no fault", dir, strerror(-err));
	model_unlock(r->model);
}

static void change(struct run *r, unsigned key, bool absent, uint64_t size,
		   bool same_time)
{
	struct model *m = r->model;
	const struct version *v;
	int64_t mtime;

	model_lock(m);
	v = model_now(m, key);
	mtime = same_time && v->mtime != 0
		    ? v->mtime
		    : (1700000000 + (int64_t)m->next_id) * NSEC_PER_SEC;
	if (run_is_marker(r, key))
		size = 0;
	if (!absent || v->id != 0) {
		model_change(m, key, absent, absent ? 0 : size, mtime);
		r->ops->change(r->front, key);
		model_changed(m, key);
	}
	model_unlock(m);
}

static void do_put(struct run *r, const struct op *op)
{
	unsigned key = op->a % MODEL_KEYS;
	uint64_t before;

	model_lock(r->model);
	before = model_now(r->model, key)->size;
	model_unlock(r->model);
	change(r, key, false, op_size(op, before), op->d % 2);
}

/* A file becomes a directory, or the other way round. */
static void do_swap(struct run *r, const struct op *op)
{
	static const char *const pairs[][2] = { { "d/x", "d/x/y" },
						{ "x", "x/z" } };
	unsigned from = 0, to = 0;
	bool there;

	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		if (strcmp(run_key(r, i), pairs[op->a % 2][0]) == 0)
			from = i;
		if (strcmp(run_key(r, i), pairs[op->a % 2][1]) == 0)
			to = i;
	}
	model_lock(r->model);
	there = model_now(r->model, from)->id != 0;
	model_unlock(r->model);
	change(r, there ? from : to, true, 0, false);
	change(r, there ? to : from, false, op_size(op, 1), false);
}

static void do_invalidate(struct run *r, const char *path)
{
	int err = r->ops->invalidate(r->front, path);

	if (err == 0) {
		model_lock(r->model);
		model_forget(r->model, path, r->begun);
		model_unlock(r->model);
	}
}

static void do_pass(struct run *r, const struct op *op)
{
	int64_t ttl = r->config->ttl, negative = r->config->negative_ttl;
	int64_t near = r->front->slack + 20 * NSEC_PER_MSEC;
	const int64_t times[] = {
		ttl / 2,         ttl / 3,         ttl - near, ttl + near,
		negative + near, negative - near, near,
	};

	r->ops->pass(r->front, MAX(times[op->a % ARRAY_SIZE(times)], near));
	/* What has become too old by that shows now, and is known anew. */
	for (unsigned key = 0; key < MODEL_KEYS; key++) {
		r->begun = clock_ns();
		do_stat(r, key);
	}
}

static void do_restart(struct run *r, const struct op *op)
{
	bool killed = false;
	int err;

	for (unsigned i = 0; i < SLOTS; i++)
		do_close(r, i);
	err = r->ops->restart(r->front, &killed, op->a);
	if (err < 0)
		run_wrong(r, "restart: %s", strerror(-err));
	for (unsigned i = 0; i < MODEL_KEYS && killed; i++)
		for (size_t j = 0; j < r->model->keys[i].n; j++)
			memset(r->model->keys[i].versions[j].cached, 0,
			       sizeof(r->model->keys[i].versions[j].cached));
}

/* Until what was under way when the faults ended is over. */
static int open_calmly(struct run *r, unsigned key)
{
	int err = 0;

	for (int i = 0; i < CALM_TRIES; i++) {
		r->begun = clock_ns();
		err = do_open(r, 0, key, 0);
		if (err == 0 || err == -ENOENT || err == -EISDIR)
			break;
		usleep(20000);
	}
	return err;
}

/* A read of its end, likewise. */
static void read_calmly(struct run *r, unsigned key)
{
	struct handle *h = &r->handles[0];
	struct reading to = { .buf = r->bufs[0], .len = 70000 };

	to.off = h->size - MIN(h->size, to.len);
	for (int i = 0; i < CALM_TRIES && !r->out->failed; i++) {
		r->begun = clock_ns();
		do_reads(r, &to, 1);
		if (to.got >= 0)
			return;
		usleep(20000);
	}
	run_wrong(r, "%s: v%u: %s, and the faults are over", run_key(r, key),
		  h->id, strerror(-(int)to.got));
}

/* The faults end: everything succeeds again, with no restart. */
static void do_calm(struct run *r)
{
	r->ops->calm(r->front);
	do_invalidate(r, "");
	for (unsigned key = 0; key < MODEL_KEYS && !r->out->failed; key++) {
		int err = open_calmly(r, key);

		if (err == 0)
			read_calmly(r, key);
		else if (err != -ENOENT && err != -EISDIR)
			run_wrong(r, "%s: %s, and the faults are over",
				  run_key(r, key), strerror(-err));
	}
	do_close(r, 0);
}

static void do_op(struct run *r, const struct op *op)
{
	r->begun = clock_ns();
	switch (op->kind) {
	case OP_OPEN:
		do_open(r, op->b % SLOTS, op->a % MODEL_KEYS, op->c);
		break;
	case OP_READ:
		do_read(r, op);
		break;
	case OP_BURST:
		do_burst(r, op);
		break;
	case OP_CLOSE:
		do_close(r, op->a % SLOTS);
		break;
	case OP_STAT:
		do_stat(r, op->a % MODEL_KEYS);
		break;
	case OP_LIST:
		do_list(r, model_dirs[op->a % MODEL_DIRS]);
		break;
	case OP_PUT:
		do_put(r, op);
		break;
	case OP_DELETE:
		change(r, op->a % MODEL_KEYS, true, 0, false);
		break;
	case OP_SWAP:
		do_swap(r, op);
		break;
	case OP_LATER:
		if (r->ops->later != NULL)
			r->ops->later(r->front, op);
		break;
	case OP_INVALIDATE:
		do_invalidate(r, op_path(op->a));
		break;
	case OP_PASS:
		do_pass(r, op);
		break;
	case OP_FAULT:
		r->ops->fault(r->front, op);
		break;
	case OP_CALM:
		do_calm(r);
		break;
	case OP_RESTART:
		do_restart(r, op);
		break;
	case OP_TAMPER:
		r->ops->tamper(r->front, op);
		break;
	case OP_FORGET:
		r->ops->forget(r->front);
		break;
	case OP_COUNT:
		break;
	}
}

static void trace_op(struct run *r, size_t i, const struct op *op)
{
	const struct outcome *o = r->out;
	static const char *const keyed[] = { [OP_OPEN] = "",
					     [OP_STAT] = "",
					     [OP_PUT] = "",
					     [OP_LATER] = "",
					     [OP_DELETE] = "" };

	fprintf(stderr, "%4zu ", i);
	op_print(stderr, op);
	if (op->kind < ARRAY_SIZE(keyed) && keyed[op->kind] != NULL)
		fprintf(stderr, "  %s", run_key(r, op->a % MODEL_KEYS));
	else if (op->kind == OP_LIST)
		fprintf(stderr, "  %s", model_dirs[op->a % MODEL_DIRS]);
	else if (op->kind == OP_INVALIDATE)
		fprintf(stderr, "  %s", op_path(op->a));
	fprintf(stderr, "  [%zu reads, %zu errors]%s%s\n", o->reads, o->errors,
		o->failed ? " FAILED: " : "", o->failed ? o->why : "");
}

void run_ops(struct front *(*front_new)(struct model *m,
					const struct config *c),
	     const struct config *config, const struct op *ops, size_t n,
	     const bool *skip, bool trace, struct outcome *out)
{
	struct model model;
	struct run r = { .model = &model, .config = config, .out = out };
	char why[256];
	int err;

	memset(out, 0, sizeof(*out));
	out->at = n;
	model_init(&model, config->filler);
	for (unsigned i = 0; i < MODEL_KEYS; i++)
		r.gone[i] = INT64_MIN;
	r.front = front_new(&model, config);
	r.ops = r.front->ops;
	for (unsigned i = 0; i < BURST_MAX; i++)
		must((r.bufs[i] = malloc(MIB(1))) == NULL);
	err = r.ops->start(r.front);
	if (err < 0)
		run_wrong(&r, "start: %s", strerror(-err));
	for (size_t i = 0; i < n && !out->failed; i++) {
		if (skip != NULL && skip[i])
			continue;
		out->at = i;
		do_op(&r, &ops[i]);
		if (trace)
			trace_op(&r, i, &ops[i]);
	}
	if (!out->failed) {
		out->at = n;
		do_calm(&r);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		do_close(&r, i);
	if (err == 0) {
		r.ops->stop(r.front, why);
		if (why[0] != '\0')
			run_wrong(&r, "left behind: %s", why);
	}
	for (unsigned i = 0; i < BURST_MAX; i++)
		free(r.bufs[i]);
	r.ops->free(r.front);
	model_fini(&model);
}
