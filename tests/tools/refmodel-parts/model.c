/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.c - the keys of the model, their versions, and their bytes
 *
 * The names are few, so that they meet: files and directories of one name, a
 * marker, a directory below a directory.
 */
#include "tests/tools/refmodel-parts/model.h"

#include "base/clock.h"

static const char *const names[MODEL_KEYS] = {
	"a",     "b",     "d/a",   "d/b", "d/c", "d/x", "d/x/y",
	"d/e/f", "d/e/g", "d/e/x", "m/",  "w/k", "x",   "x/z",
};

const char *const model_dirs[MODEL_DIRS] = { "",     "d/", "d/x/",
					     "d/e/", "w/", "x/" };

void model_init(struct model *m, unsigned filler)
{
	memset(m, 0, sizeof(*m));
	must(pthread_mutex_init(&m->mutex, NULL));
	m->filler = filler;
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		m->keys[i].name = names[i];
		model_change(m, i, true, 0, 0)->from = INT64_MIN;
	}
}

void model_fini(struct model *m)
{
	for (unsigned i = 0; i < MODEL_KEYS; i++)
		free(m->keys[i].versions);
	free(m->forgotten);
	pthread_mutex_destroy(&m->mutex);
}

void model_lock(struct model *m)
{
	must(pthread_mutex_lock(&m->mutex));
}

void model_unlock(struct model *m)
{
	must(pthread_mutex_unlock(&m->mutex));
}

/* As objsim makes them of a seed. */
static uint64_t word_at(uint64_t seed, uint64_t i)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u ^ seed;

	x ^= x >> 31;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ x >> 29;
}

void model_bytes(unsigned id, uint64_t off, void *to, size_t len)
{
	char *p = to;

	while (len > 0) {
		uint64_t w = word_at(id, off / 8);
		size_t skip = off % 8, n = MIN(8 - skip, len);

		memcpy(p, (const char *)&w + skip, n);
		p += n;
		off += n;
		len -= n;
	}
}

bool model_right(unsigned id, uint64_t off, const void *buf, size_t len,
		 size_t *wrong)
{
	const char *p = buf;
	char want[8];

	for (size_t at = 0, n; at < len; at += n) {
		n = MIN(sizeof(want) - (off + at) % 8, len - at);
		model_bytes(id, off + at, want, n);
		for (size_t i = 0; i < n; i++)
			if (p[at + i] != want[i]) {
				*wrong = at + i;
				return false;
			}
	}
	return true;
}

struct version *model_change(struct model *m, unsigned key, bool absent,
			     uint64_t size, int64_t mtime)
{
	struct key *k = &m->keys[key];
	struct version *v;

	v = realloc(k->versions, (k->n + 1) * sizeof(*v));
	must(v == NULL);
	k->versions = v;
	v = &k->versions[k->n++];
	memset(v, 0, sizeof(*v));
	v->id = absent ? 0 : ++m->next_id;
	v->size = size;
	v->mtime = mtime;
	v->from = clock_ns();
	v->until = INT64_MAX;
	return v;
}

void model_changed(struct model *m, unsigned key)
{
	struct key *k = &m->keys[key];

	k->versions[k->n - 2].until = clock_ns();
}

struct version *model_now(struct model *m, unsigned key)
{
	return &m->keys[key].versions[m->keys[key].n - 1];
}

struct version *model_version(struct model *m, unsigned key, unsigned id)
{
	struct key *k = &m->keys[key];

	for (size_t i = 0; i < k->n; i++)
		if (id != 0 && k->versions[i].id == id)
			return &k->versions[i];
	return NULL;
}

bool model_saw(const struct model *m, unsigned key, unsigned id, int64_t since,
	       int64_t till)
{
	const struct key *k = &m->keys[key];

	for (size_t i = 0; i < k->n; i++)
		if (k->versions[i].id == id && k->versions[i].from <= till &&
		    k->versions[i].until >= since)
			return true;
	return false;
}

const char *model_below(const char *name, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(name, dir, n) == 0 ? name + n : NULL;
}

static bool all_absent(const struct model *m, const char *dir, int64_t at)
{
	for (unsigned i = 0; i < MODEL_KEYS; i++)
		if (model_below(m->keys[i].name, dir) != NULL &&
		    !model_saw(m, i, 0, at, at))
			return false;
	return true;
}

bool model_saw_dir(const struct model *m, const char *dir, bool there,
		   int64_t since, int64_t till)
{
	if (m->filler > 0 && strcmp(dir, "w/") == 0)
		return there;
	if (!there && all_absent(m, dir, MIN(since, till)))
		return true;
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		const struct key *k = &m->keys[i];

		if (model_below(k->name, dir) == NULL)
			continue;
		for (size_t j = 0; j < k->n; j++) {
			const struct version *v = &k->versions[j];

			if (v->from > till || v->until < since)
				continue;
			if (there && v->id != 0)
				return true;
			/* It can only begin to be absent where a key does. */
			if (!there && v->id == 0 &&
			    all_absent(m, dir, MAX(v->from, since)))
				return true;
		}
	}
	return false;
}

void model_forget(struct model *m, const char *path, int64_t at)
{
	struct forgotten *f =
	    realloc(m->forgotten, (m->nforgotten + 1) * sizeof(*f));

	must(f == NULL);
	m->forgotten = f;
	f[m->nforgotten++] = (struct forgotten){ path, at };
}

int64_t model_forgotten(const struct model *m, const char *name)
{
	int64_t at = INT64_MIN;

	for (size_t i = 0; i < m->nforgotten; i++) {
		const struct forgotten *f = &m->forgotten[i];
		const char *rest = model_below(name, f->path);

		if (rest != NULL &&
		    (f->path[0] == '\0' || *rest == '\0' || *rest == '/'))
			at = MAX(at, f->at);
	}
	return at;
}
