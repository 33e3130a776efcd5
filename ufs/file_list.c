/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_list.c - directories as listings of keys
 *
 * A directory is read whole and sorted, each subdirectory as `name/`, which
 * is where its keys stand among the others: so a depth-first walk gives all
 * keys in byte order. A page is first gathered by name and then given its
 * attributes; its token is its last key, so that a listing goes on rightly
 * whatever happened to the directory in between. The names of the last few
 * large directories are kept for the next page, which uses them only while
 * the directory is unchanged; a first page always reads anew.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/stats.h"
#include "ufs/file_impl.h"

#define SNAPSHOT_MIN 512 /* names: a smaller directory is read again */
#define DEPTH_MAX (UFS_KEY_MAX / 2)

struct name {
	uint32_t at; /* in names */
	uint16_t n;  /* with the '/' of a directory */
};

struct snapshot {
	atomic_uint refs;
	struct stat st; /* of the directory, before it was read */
	struct name *entry;
	size_t n, room;
	char *names;
	size_t bytes, bytes_room;
};

/* One entry of the page. */
struct found {
	char *key; /* owned, n bytes */
	size_t n;
	bool gone; /* it vanished before its attributes were read */
	bool young;
	struct ufs_stat st;
};

struct gather {
	struct file_store *f;
	const struct ufs_list *q;
	struct str after;
	struct cancel *cancel;
	bool first_page;
	struct found *found;
	size_t n, want;
};

void file_snapshot_unref(struct snapshot *s)
{
	if (s == NULL ||
	    atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
		return;
	free(s->entry);
	free(s->names);
	free(s);
}

static struct str name_of(const struct snapshot *s, size_t i)
{
	return (struct str){ s->names + s->entry[i].at, s->entry[i].n };
}

static int by_name(const void *a, const void *b, void *snapshot)
{
	const struct snapshot *s = snapshot;
	const struct name *x = a, *y = b;

	return str_cmp((struct str){ s->names + x->at, x->n },
		       (struct str){ s->names + y->at, y->n });
}

static int add_name(struct snapshot *s, const char *name, size_t n, bool dir)
{
	size_t len = n + dir;

	if (s->n == s->room) {
		size_t room = s->room * 2 + 64;
		struct name *p = realloc(s->entry, room * sizeof(*p));

		if (p == NULL)
			return -ENOMEM;
		s->entry = p;
		s->room = room;
	}
	if (s->bytes_room - s->bytes < len) {
		size_t room = s->bytes_room * 2 + 4096;
		char *p;

		if (room > UINT32_MAX)
			return -ENOMEM;
		p = realloc(s->names, room);
		if (p == NULL)
			return -ENOMEM;
		s->names = p;
		s->bytes_room = room;
	}
	memcpy(s->names + s->bytes, name, n);
	if (dir)
		s->names[s->bytes + n] = '/';
	s->entry[s->n++] = (struct name){ (uint32_t)s->bytes, (uint16_t)len };
	s->bytes += len;
	return 0;
}

/* Is it a directory, a regular file (false), or neither (-ENOENT)? */
static int entry_kind(int dirfd, const struct dirent *e, bool *dir)
{
	struct stat st;
	mode_t mode = DTTOIF(e->d_type);

	if (e->d_type == DT_UNKNOWN) {
		if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -ENOENT;
		mode = st.st_mode;
	}
	*dir = S_ISDIR(mode);
	return S_ISDIR(mode) || S_ISREG(mode) ? 0 : -ENOENT;
}

static int read_names(struct snapshot *s, DIR *d, size_t dirkey_n,
		      struct cancel *cancel)
{
	struct dirent *e;
	bool dir;
	int r = 0;

	while (errno = 0, (e = readdir(d)) != NULL) {
		size_t n = strlen(e->d_name);

		if (cancelled(cancel))
			return -ECANCELED;
		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0 || n > NAME_MAX ||
		    str_starts((struct str){ e->d_name, n },
			       str_of(FILE_TEMP_PREFIX)))
			continue;
		if (entry_kind(dirfd(d), e, &dir) < 0 ||
		    dirkey_n + n + dir > UFS_KEY_MAX)
			continue;
		r = add_name(s, e->d_name, n, dir);
		if (r < 0)
			return r;
	}
	return errno != 0 ? file_errno(errno) : 0;
}

static int snapshot_read(int *fd, const struct stat *st, size_t dirkey_n,
			 struct cancel *cancel, struct snapshot **out)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	DIR *d;
	int r;

	if (s == NULL)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	s->st = *st;
	d = fdopendir(*fd);
	if (d == NULL) {
		r = file_errno(errno);
	} else {
		*fd = -1; /* d's */
		r = read_names(s, d, dirkey_n, cancel);
		closedir(d);
	}
	if (r < 0) {
		file_snapshot_unref(s);
		return r;
	}
	if (s->n > 1)
		qsort_r(s->entry, s->n, sizeof(*s->entry), by_name, s);
	*out = s;
	return 0;
}

static bool unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A reference to the kept names of this directory, or NULL. */
static struct snapshot *snapshot_find(struct file_store *f,
				      const struct stat *st)
{
	struct snapshot *s = NULL;

	lock_take(&f->lock);
	for (size_t i = 0; i < FILE_SNAPSHOTS && s == NULL; i++)
		if (f->snapshots[i] != NULL &&
		    unchanged(&f->snapshots[i]->st, st)) {
			s = f->snapshots[i];
			memmove(&f->snapshots[1], &f->snapshots[0],
				i * sizeof(s));
			f->snapshots[0] = s;
			atomic_fetch_add_explicit(&s->refs, 1,
						  memory_order_relaxed);
		}
	lock_drop(&f->lock);
	return s;
}

/* Keep it in place of an older one of the same directory, or the oldest. */
static void snapshot_keep(struct file_store *f, struct snapshot *s)
{
	struct snapshot *old;
	size_t at = 0;

	if (s->n < SNAPSHOT_MIN)
		return;
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	lock_take(&f->lock);
	while (at + 1 < FILE_SNAPSHOTS && f->snapshots[at] != NULL &&
	       !(f->snapshots[at]->st.st_dev == s->st.st_dev &&
		 f->snapshots[at]->st.st_ino == s->st.st_ino))
		at++;
	old = f->snapshots[at];
	memmove(&f->snapshots[1], &f->snapshots[0], at * sizeof(s));
	f->snapshots[0] = s;
	lock_drop(&f->lock);
	file_snapshot_unref(old);
}

/* The sorted names of the directory dirkey. */
static int snapshot_get(struct gather *g, struct str dirkey,
			struct snapshot **out)
{
	AUTO_CLOSE int fd =
	    file_open_key(g->f, dirkey, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return file_errno(errno);
	*out = g->first_page ? NULL : snapshot_find(g->f, &st);
	if (*out != NULL)
		return 0;
	r = snapshot_read(&fd, &st, dirkey.n, g->cancel, out);
	if (r == 0)
		snapshot_keep(g->f, *out);
	return r;
}

/* The first name that is greater than after, or not less (or_equal). */
static size_t seek(const struct snapshot *s, struct str after, bool or_equal)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(name_of(s, mid), after);

		if (c < 0 || (c == 0 && !or_equal))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int add_found(struct gather *g, const char *key, size_t n)
{
	struct found *e = &g->found[g->n];

	memset(e, 0, sizeof(*e));
	e->key = malloc(n);
	if (e->key == NULL)
		return -ENOMEM;
	memcpy(e->key, key, n);
	e->n = n;
	g->n++;
	return 0;
}

/*
 * Gather the entries of the directory key[0, n) that begin with base and
 * stand after g->after, until the page is full. key has UFS_KEY_MAX bytes.
 */
static int gather(struct gather *g, char *key, size_t n, struct str base,
		  unsigned depth)
{
	struct str dirkey = { key, n }, after = STR_EMPTY;
	struct snapshot *s;
	size_t i;
	int r;

	if (str_starts(g->after, dirkey))
		after = (struct str){ g->after.p + n, g->after.n - n };
	else if (str_cmp(g->after, dirkey) > 0)
		return 0;
	r = snapshot_get(g, dirkey, &s);
	if (r == -ENOENT || r == -ESTALE)
		return 0;
	if (r < 0)
		return r;
	i = seek(s, base, true);
	if (after.n > 0) {
		const char *slash = memchr(after.p, '/', after.n);
		/* The walk goes on within the directory that after is in. */
		struct str from =
		    slash != NULL && g->q->deep
			? (struct str){ after.p, (size_t)(slash - after.p) + 1 }
			: after;
		size_t j = seek(s, from, slash != NULL && g->q->deep);

		i = MAX(i, j);
	}
	for (; i < s->n && r == 0 && g->n < g->want; i++) {
		struct str name = name_of(s, i);
		bool dir = name.p[name.n - 1] == '/';

		if (!str_starts(name, base))
			break;
		memcpy(key + n, name.p, name.n);
		if (dir && g->q->deep && depth < DEPTH_MAX)
			r = gather(g, key, n + name.n, STR_EMPTY, depth + 1);
		else if (!(dir && g->q->deep))
			r = add_found(g, key, n + name.n);
		if (cancelled(g->cancel))
			r = -ECANCELED;
	}
	file_snapshot_unref(s);
	return r;
}

/* Read attributes; young_only: again, of those whose ctime was not final. */
static int attributes(struct gather *g, size_t n, bool young_only,
		      int64_t *wait)
{
	AUTO_CLOSE int dirfd = -1;
	struct str dir = { NULL, 0 };
	char name[NAME_MAX + 1];

	for (size_t i = 0; i < n; i++) {
		struct found *e = &g->found[i];
		struct stat st;
		size_t d;

		if (e->key[e->n - 1] == '/' || (young_only && !e->young))
			continue;
		if (cancelled(g->cancel))
			return -ECANCELED;
		d = file_dir_part(e->key, e->n);
		if (dir.p == NULL || !str_eq(dir, (struct str){ e->key, d })) {
			if (dirfd >= 0)
				close(dirfd);
			dir = (struct str){ e->key, d };
			dirfd = file_open_key(g->f, dir, O_PATH | O_DIRECTORY);
			if (dirfd == -ENOMEM || dirfd == -ENFILE)
				return dirfd;
		}
		memcpy(name, e->key + d, e->n - d);
		name[e->n - d] = '\0';
		e->gone = dirfd < 0 ||
			  fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			  !file_stat_of(&st, &e->st);
		if (e->gone)
			continue;
		e->young = file_young(g->f, &st) > 0;
		if (e->young)
			*wait = MAX(*wait, file_young(g->f, &st));
	}
	return 0;
}

static int give(struct gather *g, size_t n, ufs_entry_cb *cb, void *arg)
{
	for (size_t i = 0; i < n; i++) {
		const struct found *e = &g->found[i];
		struct ufs_entry entry = {
			.key = { e->key, e->n },
			.dir = e->key[e->n - 1] == '/',
			.st = e->st,
		};
		int r = e->gone ? 0 : cb(arg, &entry);

		if (r != 0)
			return r;
	}
	return 0;
}

/*
 * A directory without entries would look like none: it is listed with its
 * own marker, as a bucket's empty folder is.
 */
static int give_marker(struct gather *g, ufs_entry_cb *cb, void *arg)
{
	const struct str *prefix = &g->q->prefix;
	struct ufs_entry e = { .key = *prefix };
	int fd;

	if (prefix->n == 0 || prefix->p[prefix->n - 1] != '/' ||
	    g->q->after.n > 0)
		return 0;
	fd = file_open_key(g->f, *prefix, O_PATH | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	close(fd);
	return cb(arg, &e);
}

static int list_page(struct gather *g, char **token, ufs_entry_cb *cb,
		     void *arg)
{
	size_t base = file_dir_part(g->q->prefix.p, g->q->prefix.n);
	char key[UFS_KEY_MAX];
	AUTO_FREE char *next = NULL;
	int64_t wait = 0;
	size_t n;
	int r;

	memcpy(key, g->q->prefix.p, base);
	r = gather(g, key, base,
		   (struct str){ g->q->prefix.p + base, g->q->prefix.n - base },
		   0);
	if (r < 0)
		return ufs_fail(r, "%s: %s", g->f->root, strerror(-r));
	if (g->n == 0 && g->first_page)
		return give_marker(g, cb, arg);
	n = MIN(g->n, g->q->max);
	r = attributes(g, n, false, &wait);
	if (r == 0 && wait > 0) {
		r = ufs_sleep_until(clock_ns() + wait, g->cancel);
		if (r == 0)
			r = attributes(g, n, true, &wait);
	}
	if (r < 0)
		return r;
	if (g->n > n) {
		struct str last = { g->found[n - 1].key, g->found[n - 1].n };

		next = str_dup(last);
		if (next == NULL)
			return -ENOMEM;
	}
	r = give(g, n, cb, arg);
	if (r == 0) {
		free(*token);
		*token = take_ptr(next);
	}
	return r;
}

int file_list(struct ufs *u, const struct ufs_list *q, char **token,
	      ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	struct file_store *f = container_of(u, struct file_store, ufs);
	struct gather g = {
		.f = f,
		.q = q,
		.after = q->after,
		.cancel = cancel,
		.first_page = *token == NULL,
		.want = (size_t)q->max + 1,
	};
	int r;

	stat_inc(STAT_store_list);
	if (q->prefix.n > UFS_KEY_MAX || q->max == 0 || q->max > 1000)
		return -EINVAL;
	if (*token != NULL && str_cmp(str_of(*token), g.after) > 0)
		g.after = str_of(*token);
	g.found = calloc(g.want, sizeof(*g.found));
	if (g.found == NULL)
		return -ENOMEM;
	r = list_page(&g, token, cb, arg);
	for (size_t i = 0; i < g.n; i++)
		free(g.found[i].key);
	free(g.found);
	return r;
}
