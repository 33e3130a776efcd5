/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_front_cache.c - two stagings in this process, used as fuse/ uses them
 *
 * A key of a mount has a staged file from the first open for writing until the
 * last close of one, as an inode has (fuse/written.h). A mount that is killed
 * leaves in its staging-dir what is there then, and its uploads in the store.
 */
#include "tests/tools/refmodel-parts/write_front.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/stats.h"
#include "cache/meta.h"
#include "cache/object.h"
#include "cache/staging.h"
#include "cache/staging_io.h"
#include "tests/tools/refmodel-parts/scratch.h"
#include "tests/tools/refmodel-parts/write_mem.h"

#define PART KIB(128)

enum { PATH_LEN = 300 };

/* What is being written. */
struct file {
	struct staged *staged;
	unsigned key, writers;
};

struct slot {
	bool open, writes, append;
	unsigned mount, key;
	struct staged *staged; /* owns a ref, or */
	struct object *object;
};

struct side {
	struct cache *cache;
	struct staging *staging;
	char cache_dir[80], staging_dir[80];
	struct file files[WRITE_KEYS]; /* staged NULL: not written */
};

struct front_cache {
	struct write_front front;
	struct write_mem *mem;
	struct scratch scratch;
	struct side sides[WRITE_MOUNTS];
	struct slot slots[WRITE_SLOTS];
	int64_t pending;
};

static struct front_cache *of(struct write_front *f)
{
	return container_of(f, struct front_cache, front);
}

static int side_begin(struct front_cache *c, unsigned mount)
{
	const struct write_config *config = c->front.config;
	struct side *s = &c->sides[mount];
	struct cache_conf conf = {
		.ufs = write_mem_ufs(c->mem, mount),
		.dirs = { s->cache_dir },
		.ndirs = !config->no_cache,
		.size = UINT64_C(1) << 30,
		.size_explicit = true,
		.memory = MIB(32),
		.consistency =
		    config->strict ? CONSISTENCY_STRICT : CONSISTENCY_TTL,
		.ttl = 60 * NSEC_PER_SEC,
		.read_timeout = 600 * NSEC_PER_SEC,
		.metadata_timeout = 600 * NSEC_PER_SEC,
		.small_file = KIB(64),
		.readahead = MIB(1),
	};
	struct staging_conf staging = { .dir = s->staging_dir,
					.last_wins = config->last_wins,
					.part_size = PART,
					.memory = MIB(1),
					.parts = config->parts };
	char why[256] = "";
	int r = cache_new(&conf, &s->cache, why);

	if (r == 0) {
		staging.cache = s->cache;
		r = staging_new(&staging, &s->staging, why);
	}
	if (r < 0)
		fprintf(stderr, "refmodel: %s\n", why);
	return r;
}

static int start(struct write_front *f)
{
	struct front_cache *c = of(f);
	int r = scratch_begin(&c->scratch);

	c->pending = stat_read(STAT_commits_pending);
	for (unsigned i = 0; i < WRITE_MOUNTS && r == 0; i++) {
		struct side *s = &c->sides[i];

		snprintf(s->cache_dir, sizeof(s->cache_dir), "%s/c%u",
			 c->scratch.base, i);
		snprintf(s->staging_dir, sizeof(s->staging_dir), "%s/s%u",
			 c->scratch.base, i);
		r = side_begin(c, i);
	}
	return r;
}

static void side_end(struct side *s)
{
	staging_settle(s->staging);
	staging_free(s->staging);
	cache_free(s->cache);
	s->staging = NULL;
	s->cache = NULL;
}

static void stop(struct write_front *f, char why[static 256])
{
	struct front_cache *c = of(f);

	for (unsigned i = 0; i < WRITE_MOUNTS; i++)
		side_end(&c->sides[i]);
	scratch_end(&c->scratch, why);
	if (why[0] == '\0' && stat_read(STAT_commits_pending) != c->pending)
		snprintf(why, 256, "commits are still pending");
}

/* ---- names -------------------------------------------------------------- */

static void split(unsigned key, struct str *dir, struct str *name)
{
	const char *p = write_keys[key], *slash = strrchr(p, '/');
	size_t n = slash != NULL ? (size_t)(slash - p) + 1 : 0;

	*dir = (struct str){ p, n };
	*name = str_of(p + n);
}

/* st NULL: no object. */
static void made(struct side *s, unsigned key, const struct ufs_stat *st)
{
	struct str dir, name;

	split(key, &dir, &name);
	meta_made(cache_meta(s->cache), dir, name, st, false);
}

static void gone(struct side *s, unsigned key)
{
	meta_gone(cache_meta(s->cache), str_of(write_keys[key]));
}

static int lookup(struct side *s, unsigned key, struct ufs_stat *st)
{
	struct meta *m = cache_meta(s->cache);
	struct meta_answer a = { 0 };
	struct str dir, name;
	int r;

	split(key, &dir, &name);
	r = meta_lookup_fast(m, dir, name, &a);
	if (r == -EAGAIN)
		r = meta_lookup(m, dir, name, &a, NULL);
	if (r == 0 && !a.object)
		r = -ENOENT;
	if (r == 0)
		*st = a.st;
	return r;
}

static int stat_now(struct side *s, unsigned key, struct ufs_stat *st)
{
	return meta_stat_now(cache_meta(s->cache), str_of(write_keys[key]), st,
			     NULL);
}

/* ---- open and close ----------------------------------------------------- */

static int commit(struct side *s, struct staged *f, unsigned key)
{
	struct staged_state state;
	struct ufs_stat st;
	int r = staged_commit(f, &st, NULL);

	if (r < 0)
		return r;
	staged_get(f, &state);
	if (!state.removed && state.committed)
		made(s, key, &state.st);
	return 0;
}

static int join(struct file *f, int flags)
{
	struct staged_state state;
	int r;

	if (flags & O_EXCL)
		return -EEXIST;
	staged_get(f->staged, &state);
	r = state.err;
	if (r == 0 && (flags & O_TRUNC) && state.size > 0)
		r = staged_truncate(f->staged, 0);
	if (r == 0)
		f->writers++;
	return r;
}

static int file_new(struct side *s, unsigned key, int flags)
{
	struct str k = str_of(write_keys[key]);
	enum staged_from from;
	struct ufs_stat st;
	int r = stat_now(s, key, &st);
	bool there = r == 0;

	if (r == -ENOENT && (flags & O_CREAT))
		r = 0;
	if (r == 0 && there && (flags & O_EXCL))
		r = -EEXIST;
	if (r == 0)
		r = staging_failed(s->staging, k);
	if (r < 0)
		return r;
	if (there)
		from = flags & O_TRUNC ? STAGED_EMPTY : STAGED_UPON;
	else
		from = flags & O_EXCL ? STAGED_EXCLUSIVE : STAGED_NEW;
	r = staged_new(s->staging, k, from, there ? &st : NULL,
		       &s->files[key].staged);
	if (r == 0)
		s->files[key].writers = 1;
	return r;
}

static int open_write(struct side *s, unsigned key, int flags)
{
	struct file *f = &s->files[key];

	return f->staged != NULL ? join(f, flags) : file_new(s, key, flags);
}

static void file_leave(struct side *s, struct file *f, unsigned key)
{
	struct staged_state state;

	if (--f->writers > 0)
		return;
	staged_get(f->staged, &state);
	if (state.err == 0)
		(void)commit(s, f->staged, key);
	staged_get(f->staged, &state);
	if (state.err < 0)
		gone(s, key);
	staged_unref(f->staged);
	f->staged = NULL;
}

/* The version that a name has, opened. */
static int open_object(struct front_cache *c, struct slot *slot,
		       struct ufs_stat *st)
{
	struct side *s = &c->sides[slot->mount];
	struct str k = str_of(write_keys[slot->key]);
	int r = 0;

	for (int tries = 0; tries < 2; tries++) {
		struct ufs_stat now;

		r = lookup(s, slot->key, st);
		if (r == 0 && c->front.config->strict) {
			r = stat_now(s, slot->key, &now);
			if (r == -ENOENT ||
			    (r == 0 && strcmp(now.version, st->version) != 0))
				r = -ESTALE;
		}
		if (r != -ESTALE)
			break;
		gone(s, slot->key);
	}
	return r < 0 ? r : object_get(s->cache, k, st, &slot->object);
}

static int slot_open(struct write_front *f, unsigned mount, unsigned slot,
		     unsigned key, int flags, struct ufs_stat *st)
{
	struct front_cache *c = of(f);
	struct side *s = &c->sides[mount];
	struct slot *to = &c->slots[slot];
	struct staged_state state;
	int r;

	*to = (struct slot){ .mount = mount, .key = key };
	to->writes = (flags & O_ACCMODE) != O_RDONLY;
	to->append = (flags & O_APPEND) != 0;
	if (!to->writes && s->files[key].staged == NULL) {
		r = open_object(c, to, st);
		to->open = r == 0;
		return r;
	}
	r = to->writes ? open_write(s, key, flags) : 0;
	if (r < 0)
		return r;
	to->open = true;
	to->staged = staged_ref(s->files[key].staged);
	staged_get(to->staged, &state);
	*st = state.st;
	st->size = state.size;
	return 0;
}

/* The file that a slot writes, unless it has lost its name. */
static struct file *file_of(struct front_cache *c, const struct slot *slot)
{
	struct side *s = &c->sides[slot->mount];

	for (unsigned i = 0; i < WRITE_KEYS; i++)
		if (slot->staged != NULL && s->files[i].staged == slot->staged)
			return &s->files[i];
	return NULL;
}

static int slot_close(struct write_front *f, unsigned slot)
{
	struct front_cache *c = of(f);
	struct slot *from = &c->slots[slot];
	struct side *s = &c->sides[from->mount];
	struct file *file = file_of(c, from);
	unsigned key = file != NULL ? (unsigned)(file - s->files) : from->key;
	int r = 0;

	if (from->writes) {
		r = commit(s, from->staged, key);
		if (file != NULL)
			file_leave(s, file, key);
	}
	staged_unref(from->staged);
	object_put(from->object);
	*from = (struct slot){ .open = false };
	return r;
}

/* ---- bytes -------------------------------------------------------------- */

struct waited {
	struct object_read read;
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	bool done;
	char *buf;
	ssize_t got;
};

static void was_read(struct object_read *r, int err, const struct iovec *iov,
		     int niov)
{
	struct waited *w = container_of(r, struct waited, read);

	w->got = err;
	for (int i = 0; i < niov && err == 0; i++) {
		memcpy(w->buf + w->got, iov[i].iov_base, iov[i].iov_len);
		w->got += (ssize_t)iov[i].iov_len;
	}
	must(pthread_mutex_lock(&w->mutex));
	w->done = true;
	must(pthread_cond_signal(&w->ended));
	must(pthread_mutex_unlock(&w->mutex));
}

static ssize_t object_read_now(struct object *o, void *p, size_t n,
			       uint64_t off)
{
	struct waited w = { .buf = p };

	must(pthread_mutex_init(&w.mutex, NULL));
	must(pthread_cond_init(&w.ended, NULL));
	w.read.off = off;
	w.read.len = MIN(n, (size_t)OBJECT_READ_MAX);
	w.read.done = was_read;
	object_read(o, &w.read);
	must(pthread_mutex_lock(&w.mutex));
	while (!w.done)
		must(pthread_cond_wait(&w.ended, &w.mutex));
	must(pthread_mutex_unlock(&w.mutex));
	pthread_cond_destroy(&w.ended);
	pthread_mutex_destroy(&w.mutex);
	return w.got == -ENOENT ? -ESTALE : w.got;
}

static ssize_t slot_read(struct write_front *f, unsigned slot, void *p,
			 size_t n, uint64_t off, unsigned how)
{
	struct slot *s = &of(f)->slots[slot];
	ssize_t got = 0, r;

	if (s->staged != NULL) {
		r = how % 2 ? staged_read(s->staged, p, n, off, true) : -EAGAIN;
		return r == -EAGAIN ? staged_read(s->staged, p, n, off, false)
				    : r;
	}
	do {
		r = object_read_now(s->object, (char *)p + got, n - (size_t)got,
				    off + (uint64_t)got);
		got += MAX(r, (ssize_t)0);
	} while (r > 0 && (size_t)got < n);
	if (r == -ESTALE)
		gone(&of(f)->sides[s->mount], s->key);
	return r < 0 ? r : got;
}

static ssize_t slot_write(struct write_front *f, unsigned slot, const void *p,
			  size_t n, uint64_t off, unsigned how)
{
	struct slot *s = &of(f)->slots[slot];
	int r = -EAGAIN;

	if (how % 2)
		r = staged_write_now(s->staged, p, n, off);
	if (r == -EAGAIN)
		r = staged_write(s->staged, p, n, off);
	return r < 0 ? r : (ssize_t)n;
}

static int truncate_slot(struct write_front *f, unsigned slot, uint64_t size)
{
	return staged_truncate(of(f)->slots[slot].staged, size);
}

static int truncate_key(struct write_front *f, unsigned mount, unsigned key,
			uint64_t size)
{
	struct side *s = &of(f)->sides[mount];
	struct file *file = &s->files[key];
	int r;

	if (file->staged != NULL)
		return staged_truncate(file->staged, size);
	r = open_write(s, key, O_RDWR | (size == 0 ? O_TRUNC : 0));
	if (r < 0)
		return r;
	r = staged_truncate(file->staged, size);
	if (r == 0)
		r = commit(s, file->staged, key);
	file_leave(s, file, key);
	return r;
}

static int allocate(struct write_front *f, unsigned slot, uint64_t off,
		    uint64_t n)
{
	return staged_allocate(of(f)->slots[slot].staged, off, n);
}

static int64_t seek(struct write_front *f, unsigned slot, uint64_t off,
		    bool hole)
{
	struct slot *s = &of(f)->slots[slot];

	return s->staged != NULL ? staged_seek(s->staged, off, hole)
				 : -EOPNOTSUPP;
}

static int slot_fsync(struct write_front *f, unsigned slot)
{
	struct front_cache *c = of(f);
	struct slot *s = &c->slots[slot];
	struct side *side = &c->sides[s->mount];
	struct file *file = file_of(c, s);

	struct ufs_stat st;

	if (s->staged == NULL)
		return 0;
	/* A reader may have what has no name any more, and is committed. */
	return file != NULL
		   ? commit(side, s->staged, (unsigned)(file - side->files))
		   : staged_commit(s->staged, &st, NULL);
}

/* ---- names that change -------------------------------------------------- */

static int stat_key(struct write_front *f, unsigned mount, unsigned key,
		    struct ufs_stat *st)
{
	struct side *s = &of(f)->sides[mount];
	struct staged_state state;

	if (s->files[key].staged == NULL)
		return lookup(s, key, st);
	staged_get(s->files[key].staged, &state);
	*st = state.st;
	st->size = state.size;
	return 0;
}

static const struct ufs_cond any = { UFS_IF_ANY, NULL };

static int remove_key(struct front_cache *c, unsigned mount, unsigned key,
		      const struct ufs_cond *cond)
{
	struct ufs *u = write_mem_ufs(c->mem, mount);
	int r = u->ops->write->remove(u, str_of(write_keys[key]), cond, NULL);

	if (r == 0)
		made(&c->sides[mount], key, NULL);
	else
		gone(&c->sides[mount], key);
	return r;
}

/* It has no name any more; its slots have it still. */
static void discard(struct file *file)
{
	staged_discard(file->staged);
	staged_unref(file->staged);
	*file = (struct file){ .staged = NULL };
}

static int unlink_key(struct write_front *f, unsigned mount, unsigned key)
{
	struct front_cache *c = of(f);
	struct side *s = &c->sides[mount];
	struct file *file = &s->files[key];
	struct staged_state state = { 0 };
	struct ufs_stat st;
	int r = stat_now(s, key, &st);
	bool there = r == 0;

	if (r == -ENOENT && file->staged != NULL)
		r = 0;
	if (r < 0)
		return r;
	if (file->staged != NULL)
		staged_get(file->staged, &state);
	if (there || state.committed)
		r = remove_key(c, mount, key, &any);
	else
		gone(s, key);
	if (r == 0 && file->staged != NULL)
		discard(file);
	if (r == 0)
		staging_forgive(s->staging, str_of(write_keys[key]));
	return r;
}

static int copy(struct front_cache *c, unsigned mount, unsigned from,
		const struct ufs_stat *st, unsigned to,
		const struct ufs_cond *cond, struct ufs_stat *out)
{
	struct ufs *u = write_mem_ufs(c->mem, mount);

	return u->ops->write->copy(u, str_of(write_keys[from]), st,
				   str_of(write_keys[to]), cond, out, NULL);
}

/* What is being written and in the store as well. */
static int rename_written(struct front_cache *c, unsigned mount, unsigned from,
			  unsigned to, const struct ufs_cond *cond)
{
	struct side *s = &c->sides[mount];
	struct staged *staged = s->files[from].staged;
	struct staged_state state;
	struct ufs_cond was;
	struct ufs_stat st;
	int r = commit(s, staged, from);

	if (r < 0)
		return r;
	staged_get(staged, &state);
	r = copy(c, mount, from, &state.st, to, cond, &st);
	if (r == 0)
		r = staged_copied(staged, state.st.version,
				  str_of(write_keys[to]), &st);
	if (r < 0)
		return r;
	made(s, to, &st);
	was = (struct ufs_cond){ UFS_IF_VERSION, state.st.version };
	(void)remove_key(c, mount, from, &was);
	return 0;
}

static int rename_file(struct front_cache *c, unsigned mount, unsigned from,
		       unsigned to, bool there, const struct ufs_cond *cond)
{
	struct side *s = &c->sides[mount];
	struct staged_state state;
	int r = -EALREADY;

	staged_get(s->files[from].staged, &state);
	if (!there && !state.committed)
		r = staged_move(s->files[from].staged, str_of(write_keys[to]),
				cond);
	if (r == -EALREADY)
		r = rename_written(c, mount, from, to, cond);
	if (r < 0)
		return r;
	if (s->files[to].staged != NULL)
		discard(&s->files[to]);
	s->files[to] = s->files[from];
	s->files[from] = (struct file){ .staged = NULL };
	return 0;
}

static int rename_object(struct front_cache *c, unsigned mount, unsigned from,
			 const struct ufs_stat *st, unsigned to,
			 const struct ufs_cond *cond)
{
	struct side *s = &c->sides[mount];
	const struct ufs_cond was = { UFS_IF_VERSION, st->version };
	struct ufs_stat copied;
	int r = copy(c, mount, from, st, to, cond, &copied);

	if (r < 0)
		return r;
	made(s, to, &copied);
	if (s->files[to].staged != NULL)
		discard(&s->files[to]);
	(void)remove_key(c, mount, from, &was);
	return 0;
}

static int rename_key(struct write_front *f, unsigned mount, unsigned from,
		      unsigned to, bool noreplace)
{
	struct front_cache *c = of(f);
	struct side *s = &c->sides[mount];
	struct ufs_cond cond = { UFS_IF_ABSENT, NULL };
	struct ufs_stat a, b;
	int r = stat_now(s, from, &a), q;
	bool there = r == 0;

	if (r == -ENOENT && s->files[from].staged != NULL)
		r = 0;
	q = r == 0 ? stat_now(s, to, &b) : r;
	gone(s, from);
	gone(s, to);
	if (q < 0 && q != -ENOENT)
		return q;
	if (r < 0)
		return r;
	if (noreplace && (q == 0 || s->files[to].staged != NULL))
		return -EEXIST;
	if (q == 0)
		cond = (struct ufs_cond){ UFS_IF_VERSION, b.version };
	if (f->config->last_wins)
		cond = any;
	r = s->files[from].staged != NULL
		? rename_file(c, mount, from, to, there, &cond)
		: rename_object(c, mount, from, &a, to, &cond);
	if (r == 0) {
		staging_forgive(s->staging, str_of(write_keys[from]));
		staging_forgive(s->staging, str_of(write_keys[to]));
	}
	return r;
}

/* ---- its ends ----------------------------------------------------------- */

/* How long the name of the staging-dir is that is being taken. */
static size_t root_len;

/*
 * Its mount goes on meanwhile: what a name was may have none any more, as
 * another file has taken it, and then cannot be linked. What is written by the
 * old mount later is not to be in it, nor what is by the new one in what the
 * old one was about to rename. Only bytes are not replaced so, and large.
 */
static int copy_there(const char *path, const char *to)
{
	AUTO_FREE char *buf = malloc(STAGING_PIECE);
	AUTO_CLOSE int in = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int out = -1;
	struct stat st;

	must(buf == NULL);
	if (in < 0)
		return errno == ENOENT ? 0 : -1; /* it has gone */
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0 || fstat(in, &st) < 0)
		return -1;
	return staging_copy_range(in, out, 0, (uint64_t)st.st_size, buf) < 0
		   ? -1
		   : 0;
}

/* What a staging-dir has, also in another one. */
static int take_cb(const char *path, const struct stat *st, int type,
		   struct FTW *ftw)
{
	const char *kind = strrchr(path + ftw->base, '.');
	char to[PATH_LEN];

	(void)st;
	snprintf(to, sizeof(to), "%.*s.left%s", (int)root_len, path,
		 path + root_len);
	if (type == FTW_D)
		return mkdir(to, 0700);
	if (kind == NULL || strcmp(kind, ".data") != 0)
		return copy_there(path, to);
	return link(path, to) < 0 && errno != ENOENT ? -1 : 0;
}

static void kill_side(struct front_cache *c, unsigned mount)
{
	struct side *s = &c->sides[mount];
	char left[PATH_LEN];

	write_mem_dead(c->mem, mount, true);
	/* As if the last writes were a second ago. */
	staging_keep(s->staging);
	snprintf(left, sizeof(left), "%s.left", s->staging_dir);
	root_len = strlen(s->staging_dir);
	must(nftw(s->staging_dir, take_cb, 16, FTW_PHYS));
	for (unsigned i = 0; i < WRITE_SLOTS; i++) {
		struct slot *slot = &c->slots[i];

		if (!slot->open || slot->mount != mount)
			continue;
		staged_unref(slot->staged);
		object_put(slot->object);
		*slot = (struct slot){ .open = false };
	}
	for (unsigned i = 0; i < WRITE_KEYS; i++)
		staged_unref(s->files[i].staged);
	memset(s->files, 0, sizeof(s->files));
	side_end(s);
	scratch_remove(s->staging_dir);
	must(rename(left, s->staging_dir));
	write_mem_dead(c->mem, mount, false);
}

static int restart(struct write_front *f, unsigned mount, bool kill)
{
	struct front_cache *c = of(f);

	if (kill)
		kill_side(c, mount);
	else
		side_end(&c->sides[mount]);
	return side_begin(c, mount);
}

static const char *staging_dir(struct write_front *f, unsigned mount)
{
	return of(f)->sides[mount].staging_dir;
}

/* ---- the store ---------------------------------------------------------- */

static void look(struct write_front *f, const char *key, struct looked *out)
{
	write_mem_look(of(f)->mem, key, out);
}

static void fetch(struct write_front *f, const char *key, void *p,
		  uint64_t size)
{
	write_mem_fetch(of(f)->mem, key, p, size);
}

static void put(struct write_front *f, const char *key, const void *p,
		uint64_t size)
{
	write_mem_put(of(f)->mem, key, p, size);
}

static void remove_there(struct write_front *f, const char *key)
{
	write_mem_remove(of(f)->mem, key);
}

static unsigned uploads(struct write_front *f)
{
	return write_mem_uploads(of(f)->mem);
}

static void fault(struct write_front *f, const struct op *op)
{
	write_mem_fault(of(f)->mem, op);
}

static void calm(struct write_front *f)
{
	write_mem_calm(of(f)->mem);
}

static bool failed(struct write_front *f)
{
	return write_mem_failed(of(f)->mem);
}

static size_t fired(struct write_front *f)
{
	return write_mem_fired(of(f)->mem);
}

static void front_free(struct write_front *f)
{
	write_mem_free(of(f)->mem);
	free(of(f));
}

static const struct write_front_ops cache_ops = {
	.free = front_free,
	.start = start,
	.stop = stop,
	.open = slot_open,
	.close = slot_close,
	.read = slot_read,
	.write = slot_write,
	.truncate_slot = truncate_slot,
	.truncate = truncate_key,
	.allocate = allocate,
	.seek = seek,
	.fsync = slot_fsync,
	.stat = stat_key,
	.unlink = unlink_key,
	.rename = rename_key,
	.restart = restart,
	.staging_dir = staging_dir,
	.look = look,
	.fetch = fetch,
	.put = put,
	.remove = remove_there,
	.uploads = uploads,
	.fault = fault,
	.calm = calm,
	.failed = failed,
	.fired = fired,
};

struct write_front *write_front_cache_new(const struct write_config *config)
{
	struct front_cache *c = calloc(1, sizeof(*c));

	must(c == NULL);
	c->front = (struct write_front){ .ops = &cache_ops,
					 .config = config,
					 .sure = true };
	c->mem = write_mem_new();
	return &c->front;
}
