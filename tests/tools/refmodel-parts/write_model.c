/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_model.c - what the store holds, and what is being written
 */
#include "tests/tools/refmodel-parts/write_model.h"

const char *const write_keys[WRITE_KEYS] = { "a", "b", "d/a", "d/b", "e/a" };
const char *const write_dirs[WRITE_DIRS] = { "d", "e" };

static void room(struct bytes *b, uint64_t size)
{
	uint64_t more = MAX(size, b->room * 2);

	if (size <= b->room)
		return;
	b->p = realloc(b->p, more);
	must(b->p == NULL);
	b->room = more;
}

struct bytes *bytes_new(const void *p, uint64_t size)
{
	struct bytes *b = calloc(1, sizeof(*b));

	must(b == NULL);
	b->refs = 1;
	room(b, MAX(size, (uint64_t)64));
	if (p != NULL)
		memcpy(b->p, p, size);
	b->size = size;
	return b;
}

struct bytes *bytes_ref(struct bytes *b)
{
	if (b != NULL)
		b->refs++;
	return b;
}

void bytes_unref(struct bytes *b)
{
	if (b == NULL || --b->refs > 0)
		return;
	free(b->p);
	free(b);
}

struct bytes *bytes_copy(const struct bytes *b)
{
	return bytes_new(b->p, b->size);
}

void bytes_truncate(struct bytes *b, uint64_t size)
{
	room(b, size);
	if (size > b->size)
		memset(b->p + b->size, 0, size - b->size);
	b->size = size;
}

void bytes_write(struct bytes *b, const void *p, uint64_t n, uint64_t off)
{
	if (n == 0)
		return;
	if (off + n > b->size)
		bytes_truncate(b, off + n);
	memcpy(b->p + off, p, n);
}

bool bytes_same(const struct bytes *a, const struct bytes *b)
{
	return a->size == b->size && memcmp(a->p, b->p, a->size) == 0;
}

void write_model_init(struct write_model *m)
{
	const struct looked absent = { .there = false };

	memset(m, 0, sizeof(*m));
	for (unsigned i = 0; i < WRITE_KEYS; i++)
		write_seen(m, i, &absent, NULL);
}

void write_model_fini(struct write_model *m)
{
	for (unsigned i = 0; i < WRITE_SLOTS; i++)
		write_handle_drop(&m->handles[i]);
	for (unsigned i = 0; i < WRITE_KEYS; i++) {
		for (unsigned j = 0; j < WRITE_MOUNTS; j++)
			wfile_unref(m->files[j][i]);
		for (size_t j = 0; j < m->keys[i].n; j++)
			bytes_unref(m->keys[i].versions[j].bytes);
		free(m->keys[i].versions);
	}
	for (size_t i = 0; i < m->nkept; i++)
		write_kept_drop(&m->kept[i]);
}

struct seen_version *write_now(struct write_model *m, unsigned key)
{
	return &m->keys[key].versions[m->keys[key].n - 1];
}

bool write_saw(const struct write_model *m, unsigned mount, unsigned key,
	       bool there)
{
	const struct key_state *k = &m->keys[key];

	for (size_t i = k->floor[mount]; i < k->n; i++)
		if (k->versions[i].looked.there == there)
			return true;
	return false;
}

const struct seen_version *write_version(const struct write_model *m,
					 unsigned mount, unsigned key,
					 const char *version)
{
	const struct key_state *k = &m->keys[key];

	for (size_t i = k->n; i-- > k->floor[mount];)
		if (k->versions[i].looked.there &&
		    strcmp(k->versions[i].looked.version, version) == 0)
			return &k->versions[i];
	return NULL;
}

void write_seen(struct write_model *m, unsigned key,
		const struct looked *looked, struct bytes *bytes)
{
	struct key_state *k = &m->keys[key];

	k->versions = realloc(k->versions, (k->n + 1) * sizeof(*k->versions));
	must(k->versions == NULL);
	k->versions[k->n++] = (struct seen_version){ *looked, bytes };
}

void write_floor(struct write_model *m, unsigned mount, unsigned key)
{
	m->keys[key].floor[mount] = m->keys[key].n - 1;
}

struct wfile *wfile_new(unsigned mount, unsigned key, struct bytes *bytes)
{
	struct wfile *f = calloc(1, sizeof(*f));

	must(f == NULL);
	*f = (struct wfile){
		.refs = 1, .mount = mount, .key = key, .bytes = bytes
	};
	return f;
}

struct wfile *wfile_ref(struct wfile *f)
{
	f->refs++;
	return f;
}

void wfile_unref(struct wfile *f)
{
	if (f == NULL || --f->refs > 0)
		return;
	bytes_unref(f->bytes);
	free(f);
}

void wfile_set_base(struct wfile *f, const char *version)
{
	snprintf(f->base, sizeof(f->base), "%s", version);
	snprintf(f->from, sizeof(f->from), "%s", version);
	f->from_key = f->key;
}

bool wfile_readable(struct write_model *m, const struct wfile *f)
{
	const struct looked *now = &write_now(m, f->from_key)->looked;

	return !f->upon || (now->there && strcmp(now->version, f->from) == 0);
}

bool wfile_bound(struct write_model *m, const struct wfile *f)
{
	const struct looked *now = &write_now(m, f->key)->looked;

	return now->there ? strcmp(now->version, f->base) == 0
			  : f->base[0] == '\0';
}

void write_keep(struct write_model *m, const struct wfile *f,
		struct wfile *file, bool sure)
{
	must(m->nkept == KEPT_MAX);
	m->kept[m->nkept++] = (struct kept){ .mount = f->mount,
					     .key = f->key,
					     .bytes = bytes_copy(f->bytes),
					     .file = file,
					     .sure = sure };
	if (file != NULL)
		wfile_ref(file);
}

bool write_kept_open(const struct write_model *m, const struct kept *k)
{
	for (unsigned i = 0; i < WRITE_SLOTS && k->file != NULL; i++)
		if (m->handles[i].open && m->handles[i].file == k->file)
			return true;
	return false;
}

void write_kept_drop(struct kept *k)
{
	bytes_unref(k->bytes);
	wfile_unref(k->file);
}

void write_handle_drop(struct whandle *h)
{
	wfile_unref(h->file);
	wfile_unref(h->also);
	bytes_unref(h->bytes);
	*h = (struct whandle){ .open = false };
}
