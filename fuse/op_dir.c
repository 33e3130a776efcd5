/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_dir.c - directories: opendir, readdir, readdirplus
 *
 * A directory handle holds one listing until it is closed, so offsets are
 * stable whatever happens meanwhile: offset 1 is after ".", 2 after "..",
 * n + 3 after entry n. The kernel keeps the entries it was given
 * (FOPEN_CACHE_DIR); it may answer from them again while opendir still finds
 * the listing that they came from. A handle of another listing is not to
 * meet them: it goes without while handles of the first are open.
 *
 * READDIRPLUS always: an entry that fits in the reply is also a lookup, as
 * long as the listing is believed. One that was invalidated while its handle
 * is open still gives its names, but nothing that the kernel would keep (S7).
 * The same when there are more inodes than fit (prune.h): then who wants
 * attributes looks names up one by one, and a mere `find` needs none.
 *
 * Files that are being written and that no listing has yet stand behind the
 * listing's entries, as they were when the directory was opened; likewise
 * directories that are there by what is being written below them (walk.h).
 * Which they are is asked before the listing is: a file that is committed
 * meanwhile is then among them, if it came too late for the listing. The
 * kernel looks them up one by one, and keeps nothing of a directory that has
 * some.
 *
 * What the kernel's memory has of the listing is answered on the loop's
 * thread, the rest on a pool for just that: an SSD that stalls holds up nobody
 * else, not even a lookup.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/stats.h"
#include "cache/staging.h"
#include "fuse/being_written.h"
#include "fuse/fs_impl.h"
#include "fuse/walk.h"

#define FIRST_ENTRY 2 /* offset at which the listing's entry 0 is asked for */
#define REPLY_MAX MIB(1)
#define PLUS_MIN 152 /* bytes of an entry with attributes, without its name */

struct opendir_rq {
	struct rq rq;
	uint64_t nodeid;
	char key[UFS_KEY_MAX + 1];
	size_t n;
	struct being_written writing;
	struct text picked; /* those that the listing does not have */
	size_t npicked;
	struct comps twins; /* as a handle's */
};

/* Of what was picked: a file, where a directory of that name is (N5). */
#define ENTRY_TWIN '='

static void dir_put(struct fs *fs, struct handle *h)
{
	if (h != NULL && h->kept)
		inodes_dir_close(fs->inodes, h->nodeid);
	handle_put(fs, h);
}

/*
 * Note what was being written when the listing was asked for, and is not in it.
 * May read the disk.
 */
static int pick_written(struct opendir_rq *o, struct listing *l)
{
	struct ufs_stat st;
	struct str entry, comp;
	bool object, dir;
	char kind;
	int r;

	text_clear(&o->picked);
	o->npicked = 0;
	comps_fini(&o->twins);
	for (size_t at = 0; at < o->writing.entries.n; at += entry.n + 1) {
		entry = str_of(o->writing.entries.p + at);
		kind = entry.p[0];
		comp = entry_comp(entry);
		r = listing_find(l, comp, &object, &dir, &st);
		if (r < 0)
			return r;
		/* A marker's data has no name without the marker. */
		if (kind == ENTRY_DIR ? dir : object || comp.n == 0)
			continue;
		if (kind == ENTRY_DIR && object)
			comps_add(&o->twins, comp);
		if (kind != ENTRY_DIR &&
		    (dir || comps_have(&o->writing.dirs, comp)))
			kind = ENTRY_TWIN;
		text_add(&o->picked, &kind, 1);
		text_add(&o->picked, comp.p, comp.n + 1);
		o->npicked++;
	}
	r = comps_sort(&o->twins);
	return o->picked.failed ? -ENOMEM : r;
}

/* Takes over the listing's reference, and what o picked, which may be NULL. */
static void opendir_reply(struct fs *fs, fuse_req_t req, uint64_t nodeid,
			  struct listing *l, struct opendir_rq *o)
{
	struct fuse_file_info fi = { 0 };
	struct handle *h = calloc(1, sizeof(*h));
	bool cache = false, keep = false;
	uint64_t fh;
	int r;

	if (h == NULL) {
		listing_unref(l);
		reply_err(req, -ENOMEM);
		return;
	}
	atomic_init(&h->refs, 1);
	h->nodeid = nodeid;
	h->dir = true;
	lock_init(&h->lock, RANK_INODES);
	h->listing = l;
	if (fs->conf.staging != NULL)
		h->failures_seen = staging_failures(fs->conf.staging);
	if (o != NULL) {
		h->written = o->picked;
		h->nwritten = o->npicked;
		h->twins = o->twins;
		o->picked = (struct text){ 0 };
		o->twins = (struct comps){ .sorted = NULL };
	}
	if (fs->conf.consistency != CONSISTENCY_STRICT && h->nwritten == 0)
		inodes_dir_open(fs->inodes, nodeid, listing_taken(l), &cache,
				&keep);
	h->kept = cache;
	r = handles_add(fs->handles, h, &fh);
	if (r < 0) {
		dir_put(fs, h);
		reply_err(req, r);
		return;
	}
	fi.fh = fh;
	fi.cache_readdir = cache;
	fi.keep_cache = keep;
	if (fuse_reply_open(req, &fi) != 0)
		dir_put(fs, handles_remove(fs->handles, fh));
}

static void opendir_fini(struct rq *rq)
{
	struct opendir_rq *o = container_of(rq, struct opendir_rq, rq);

	being_written_fini(&o->writing);
	text_fini(&o->picked);
	comps_fini(&o->twins);
	free(o);
}

/* The store has nothing of it, but something below it is being written. */
static int list_nothing(struct listing **out)
{
	const struct disk_id id = { { 0 } };
	struct listing_writer *w;
	int r = listing_writer_new(NULL, &id, clock_ns(), &w);

	return r < 0 ? r : listing_writer_finish(w, out);
}

/* A listing that turns out to be rotten is taken anew. */
static int list_all(struct opendir_rq *o, struct listing **out)
{
	struct fs *fs = o->rq.fs;
	struct listing *l;
	bool bad = true;
	int r = being_written_ask(fs->inodes, o->nodeid, &o->writing);

	if (r < 0)
		return r;
	for (int tries = 0; tries < LISTING_TRIES && bad; tries++) {
		r = meta_list(fs->meta, (struct str){ o->key, o->n }, &l,
			      &o->rq.cancel);
		if (r == -ENOENT && o->writing.entries.n > 0)
			r = list_nothing(&l);
		if (r < 0)
			return r;
		r = pick_written(o, l);
		if (r == 0) {
			*out = l;
			return 0;
		}
		bad = listing_is_bad(l);
		listing_unref(l);
	}
	return r;
}

static void opendir_run(struct rq *rq)
{
	struct opendir_rq *o = container_of(rq, struct opendir_rq, rq);
	struct listing *l = NULL;
	int r = list_all(o, &l);

	if (r < 0) {
		rq_finish_err(rq, r);
		return;
	}
	if (rq_claim(rq))
		opendir_reply(rq->fs, rq->req, o->nodeid, l, o);
	else
		listing_unref(l);
	rq_unref(rq);
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	char key[UFS_KEY_MAX + 1];
	struct opendir_rq *o;
	struct inode_attr a;
	struct listing *l;
	size_t n;
	int r = inodes_get(fs->inodes, ino, &a, NULL);

	(void)fi;
	if (r == 0 && a.type != INODE_DIR)
		r = -ENOTDIR;
	if (r == 0)
		r = inodes_key(fs->inodes, ino, key, &n);
	if (r == 0)
		r = inodes_any_writing(fs->inodes, ino)
			? -EAGAIN
			: meta_list_fast(fs->meta, (struct str){ key, n }, &l);
	if (r == 0) {
		opendir_reply(fs, req, ino, l, NULL);
		return;
	}
	if (r != -EAGAIN) {
		reply_err(req, r);
		return;
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	rq_init(&o->rq, fs, req, opendir_fini);
	o->nodeid = ino;
	memcpy(o->key, key, n + 1);
	o->n = n;
	rq_run(&o->rq, opendir_run);
	rq_wait(&o->rq);
}

/* A reply that is being filled. */
struct filling {
	struct fs *fs;
	const struct handle *h;
	struct listing *listing;
	fuse_req_t req;
	uint64_t dir;
	struct str dirkey;
	int64_t until;
	bool plus;
	char *buf;
	size_t size;
	size_t used;
	uint64_t *counted; /* nodeids whose lookups are in the reply */
	size_t ncounted;
};

/* False when it does not fit. Offset next is what follows it. */
static bool fill_add(struct filling *f, const char *name,
		     const struct fuse_entry_param *e, uint64_t next)
{
	char *to = f->buf + f->used;
	size_t room = f->size - f->used, n;

	if (f->plus)
		n = fuse_add_direntry_plus(f->req, to, room, name, e,
					   (off_t)next);
	else
		n = fuse_add_direntry(f->req, to, room, name, &e->attr,
				      (off_t)next);
	if (n > room)
		return false;
	f->used += n;
	return true;
}

/* Would an entry of this name fit? Asked before a lookup is counted. */
static bool fill_fits(const struct filling *f, const char *name)
{
	size_t n = f->plus
		       ? fuse_add_direntry_plus(f->req, NULL, 0, name, NULL, 0)
		       : fuse_add_direntry(f->req, NULL, 0, name, NULL, 0);

	return n <= f->size - f->used;
}

static int fill_cb(void *arg, uint64_t number, const struct listing_entry *le)
{
	struct filling *f = arg;
	struct fs *fs = f->fs;
	struct fuse_entry_param e = { 0 };
	char name[NAME_LEN_MAX + 1];
	enum inode_type type;
	struct inode_attr a;
	struct str comp;
	bool renamed;

	walk_entry(le, &type, &comp, name);
	if (type == INODE_DATA && le->st.size == 0)
		return 0; /* a bare marker is just the directory */
	/* A directory that is behind the listing has its name. */
	renamed =
	    type == INODE_FILE && !le->twin && comps_have(&f->h->twins, comp);
	if (renamed)
		name_from_key(comp, NAME_TWIN, name);
	if (!fill_fits(f, name))
		return 1;
	if (f->plus && f->until > 0 && fs_crowded(fs)) {
		stat_inc(STAT_plain_entries);
		f->until = 0;
	}
	/*
	 * An entry without a nodeid counts no lookup: for plain readdir, for
	 * strict mounts, where it would not be believed, and without memory;
	 * and of a name that it only has while something is being written.
	 */
	if (f->plus && f->until > 0 && !renamed &&
	    inodes_lookup(fs->inodes, f->dir, type, comp, &le->st, &a) == 0) {
		fs_entry(fs, &a, f->until, &e);
		f->counted[f->ncounted++] = e.ino;
	} else {
		e.attr.st_ino = inodes_ino(fs->inodes, f->dirkey, type, comp);
		e.attr.st_mode = type == INODE_DIR ? S_IFDIR : S_IFREG;
	}
	fill_add(f, name, &e, number + FIRST_ENTRY + 1);
	return 0;
}

static void fill_dots(struct filling *f, uint64_t off, uint64_t ino)
{
	struct fuse_entry_param e = { 0 };

	e.attr.st_mode = S_IFDIR;
	e.attr.st_ino = ino;
	if (off == 0 && fill_add(f, ".", &e, 1))
		off = 1;
	if (off == 1)
		fill_add(f, "..", &e, FIRST_ENTRY);
}

/* Number of the first entry that a readdir from off gives. */
static uint64_t first_entry(uint64_t off)
{
	return off < FIRST_ENTRY ? 0 : off - FIRST_ENTRY;
}

/* Those that the listing does not have, from number on. */
static void fill_written(struct filling *f, uint64_t number)
{
	uint64_t next = listing_entries(f->listing) + FIRST_ENTRY;
	struct str entry = { f->h->written.p, 0 };

	for (size_t i = 0; i < f->h->nwritten; i++, entry.p += entry.n + 1) {
		struct fuse_entry_param e = { .attr.st_mode = S_IFREG };
		enum inode_type type = INODE_FILE;
		char name[NAME_LEN_MAX + 1];

		entry = str_of(entry.p);
		if (entry.p[0] == ENTRY_DIR) {
			e.attr.st_mode = S_IFDIR;
			type = INODE_DIR;
		}
		next++;
		if (next <= number + FIRST_ENTRY)
			continue;
		e.attr.st_ino = inodes_ino(f->fs->inodes, f->dirkey, type,
					   entry_comp(entry));
		name_from_key(entry_comp(entry),
			      entry.p[0] == ENTRY_TWIN ? NAME_TWIN : NAME_PLAIN,
			      name);
		if (!fill_add(f, name, &e, next))
			return;
	}
}

static int fill(struct filling *f, uint64_t off, uint64_t ino, bool nowait)
{
	uint64_t first = first_entry(off);
	int r;

	if (off < FIRST_ENTRY)
		fill_dots(f, off, ino);
	r = nowait ? listing_each_nowait(f->listing, first, fill_cb, f)
		   : listing_each(f->listing, first, fill_cb, f);
	if (r == 0 && f->h->nwritten > 0)
		fill_written(f, first);
	return r;
}

/*
 * Fill the reply. An invalidate drops what the kernel has of the inodes that
 * are there, after it forbade older listings, and waits in the kernel for
 * this reply. So when the listing is still believed now, whatever was counted
 * is dropped; else it may have missed some, and the reply is to have none.
 */
static int fill_believed(struct filling *f, uint64_t off, uint64_t ino,
			 bool nowait)
{
	struct fs *fs = f->fs;
	struct listing *l = f->listing;
	int r;

	if (fs->conf.consistency != CONSISTENCY_STRICT)
		f->until = meta_listing_until(fs->meta, f->dirkey, l);
	r = fill(f, off, ino, nowait);
	if (f->ncounted == 0 || meta_listing_until(fs->meta, f->dirkey, l) != 0)
		return r;
	while (f->ncounted > 0)
		inodes_forget(fs->inodes, f->counted[--f->ncounted], 1);
	f->used = 0;
	f->until = 0;
	return fill(f, off, ino, nowait);
}

/* A readdir; its rq is begun when the disk has to be waited for. */
struct readdir_rq {
	struct rq rq;
	struct handle *h;        /* owns a ref */
	struct listing *listing; /* owns a ref; the handle's, when it began */
	uint64_t ino;
	uint64_t off;
	size_t size;
	bool plus;
};

/*
 * Entries into buf; how many bytes. -EAGAIN (nowait): the disk must be read
 * for the first of them. What was counted as a lookup is in buf, so that is
 * to be sent then.
 */
static ssize_t dir_fill(const struct readdir_rq *d, struct fs *fs,
			fuse_req_t req, char *buf, bool nowait)
{
	struct filling f = { .fs = fs,
			     .h = d->h,
			     .listing = d->listing,
			     .req = req,
			     .dir = d->ino,
			     .plus = d->plus,
			     .buf = buf,
			     .size = d->size };
	AUTO_FREE uint64_t *counted = NULL;
	char key[UFS_KEY_MAX + 1];
	struct inode_attr a;
	size_t n;
	int r = inodes_get(fs->inodes, d->ino, &a, NULL);

	if (r == 0)
		r = inodes_key(fs->inodes, d->ino, key, &n);
	if (r < 0)
		return r;
	if (d->plus) {
		counted = malloc((f.size / PLUS_MIN + 1) * sizeof(*counted));
		if (counted == NULL)
			return -ENOMEM;
	}
	f.counted = counted;
	f.dirkey = (struct str){ key, n };
	r = fill_believed(&f, d->off, a.ino, nowait);
	return r < 0 && f.used == 0 ? r : (ssize_t)f.used;
}

static void dir_reply(fuse_req_t req, const char *buf, ssize_t n)
{
	if (n < 0)
		reply_err(req, (int)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void readdir_free(struct fs *fs, struct readdir_rq *d)
{
	listing_unref(d->listing);
	handle_put(fs, d->h);
	free(d);
}

static void readdir_fini(struct rq *rq)
{
	atomic_fetch_sub(&rq->fs->in_dirs, 1);
	readdir_free(rq->fs, container_of(rq, struct readdir_rq, rq));
}

static int enough_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	(void)arg, (void)number, (void)e;
	return 1;
}

/*
 * The listing is rotten: go on with one that is taken anew, at the same entry.
 * Only where the directory has as many entries as before does that give each
 * of them once; else who is in the middle of it has to begin again.
 */
static int renew(struct readdir_rq *d, struct fs *fs, struct cancel *cancel)
{
	char key[UFS_KEY_MAX + 1];
	struct listing *l, *old = NULL;
	size_t n;
	int r = inodes_key(fs->inodes, d->ino, key, &n);

	if (r == 0)
		r = meta_list(fs->meta, (struct str){ key, n }, &l, cancel);
	if (r < 0)
		return r;
	if (first_entry(d->off) > 0 &&
	    listing_entries(l) != listing_entries(d->listing)) {
		listing_unref(l);
		return -EIO;
	}
	lock_take(&d->h->lock);
	if (d->h->listing == d->listing) {
		old = d->h->listing;
		d->h->listing = listing_ref(l);
	}
	lock_drop(&d->h->lock);
	listing_unref(old);
	listing_unref(d->listing);
	d->listing = l;
	return 0;
}

/* Have the disk read what the next reply begins with. */
static int wait_for_entries(struct readdir_rq *d, struct rq *rq)
{
	int r = 0;

	for (int tries = 0; tries < LISTING_TRIES && r == 0; tries++) {
		r = listing_each(d->listing, first_entry(d->off), enough_cb,
				 NULL);
		if (r >= 0 || !listing_is_bad(d->listing))
			break;
		r = renew(d, rq->fs, &rq->cancel);
	}
	return r;
}

/*
 * First the disk is waited for, which a signal may end; then the reply is
 * claimed, and only then are lookups counted, since they must be sent.
 */
static void readdir_run(struct rq *rq)
{
	struct readdir_rq *d = container_of(rq, struct readdir_rq, rq);
	AUTO_FREE char *buf = malloc(MAX(d->size, (size_t)1));
	ssize_t n = buf == NULL ? -ENOMEM : wait_for_entries(d, rq);

	if (rq_claim(rq)) {
		if (n >= 0)
			n = dir_fill(d, rq->fs, rq->req, buf, true);
		if (n == -EAGAIN) /* out of memory again already */
			n = dir_fill(d, rq->fs, rq->req, buf, false);
		dir_reply(rq->req, buf, n);
	}
	rq_unref(rq);
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     const struct fuse_file_info *fi, bool plus)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handles_get(fs->handles, fi->fh);
	AUTO_FREE char *buf = NULL;
	struct readdir_rq *d;
	ssize_t n;

	if (h == NULL || !h->dir || off < 0) {
		reply_err(req, -EBADF);
		handle_put(fs, h);
		return;
	}
	size = MIN(size, REPLY_MAX);
	d = calloc(1, sizeof(*d));
	buf = malloc(MAX(size, (size_t)1));
	if (d == NULL || buf == NULL) {
		reply_err(req, -ENOMEM);
		handle_put(fs, h);
		free(d);
		return;
	}
	d->h = h;
	lock_take(&h->lock);
	d->listing = listing_ref(h->listing);
	lock_drop(&h->lock);
	d->ino = ino;
	d->off = (uint64_t)off;
	d->size = size;
	d->plus = plus;
	n = dir_fill(d, fs, req, buf, true);
	if (n == -EAGAIN || (n < 0 && listing_is_bad(d->listing))) {
		atomic_fetch_add(&fs->in_dirs, 1);
		rq_init(&d->rq, fs, req, readdir_fini);
		rq_run_on(&d->rq, fs->dir_readers, readdir_run);
		rq_wait(&d->rq);
		return;
	}
	dir_reply(req, buf, n);
	readdir_free(fs, d);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi, true);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);

	(void)ino;
	dir_put(fs, handles_remove(fs->handles, fi->fh));
	reply_err(req, 0);
}
