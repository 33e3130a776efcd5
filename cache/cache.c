/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.c - making and ending a cache; how one memory budget is shared
 *
 * Of `memory`, half is page buffers; the rest covers what threads need of
 * their own (a fetcher: its connection's buffer; a disk reader: a megabyte),
 * metadata, and what the kernel charges to us. So the number of threads
 * follows from it too.
 */
#include "cache/cache.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/cache_impl.h"
#include "cache/meta.h"
#include "cache/prefetch.h"

#define FETCHERS_MIN 8
#define FETCHERS_MAX 64
#define READERS 8
#define WRITERS 2

static int open_disks(struct cache *c, char why[static 256])
{
	for (size_t i = 0; i < c->conf.ndirs; i++) {
		struct disk_conf dc = {
			.dir = c->conf.dirs[i],
			.size = c->conf.size,
			.percent = c->conf.percent,
			.size_explicit = c->conf.size_explicit,
		};
		int err = disk_open(&dc, &c->disks[i], why);

		if (err < 0)
			return err;
		c->ndisks++;
	}
	return 0;
}

/* A few thousand descriptors for idle files, never more than half. */
static size_t idle_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return 256;
	return MIN(rl.rlim_cur / 4, 16384);
}

static int start(struct cache *c)
{
	size_t memory = c->conf.memory;
	int err;

	c->fetchers_max =
	    (unsigned)MIN(MAX(memory / MIB(8), FETCHERS_MIN), FETCHERS_MAX);
	if (c->conf.max_connections > 0)
		c->fetchers_max = MIN(c->fetchers_max, c->conf.max_connections);
	err = buffers_new(memory / 2, &c->buffers);
	if (err < 0)
		return err;
	c->reserved_max = buffers_limit(c->buffers) / BUFFER_SIZE;
	err = pool_new("fetch", c->fetchers_max, &c->fetchers);
	if (err < 0)
		return err;
	pool_set_background_max(c->fetchers,
				MAX(1, c->fetchers_max - c->fetchers_max / 4));
	err = pool_new("ssd-read", READERS, &c->readers);
	if (err < 0)
		return err;
	pool_set_background_max(c->readers, 1);
	err = pool_new("ssd-write", WRITERS, &c->writers);
	if (err < 0)
		return err;
	err = hot_new(&c->hot);
	if (err < 0)
		return err;
	err = meta_new(&c->conf, c->ndisks > 0 ? c->disks[0] : NULL, &c->meta);
	if (err == 0 && c->conf.prefetch && c->ndisks > 0)
		err = prefetch_new(c, &c->prefetch);
	return err < 0 ? err : watch_start(c);
}

int cache_new(const struct cache_conf *conf, struct cache **out,
	      char why[static 256])
{
	struct cache *c = calloc(1, sizeof(*c));
	int err;

	why[0] = '\0';
	if (c == NULL)
		return -ENOMEM;
	c->conf = *conf;
	c->ufs = conf->ufs;
	c->idle_max = idle_files();
	lock_init(&c->table_lock, RANK_OBJECTS);
	lock_init(&c->closed_lock, RANK_LEAF);
	lock_init(&c->watch_lock, RANK_LEAF);
	event_init(&c->watch_wake);
	memory_init(c);
	load_init(c);
	if (getrandom(&c->nonce, sizeof(c->nonce), 0) != sizeof(c->nonce))
		c->nonce = (uint64_t)clock_ns() ^ (uint64_t)getpid();
	c->buckets = calloc(OBJECT_BUCKETS, sizeof(*c->buckets));
	err = c->buckets == NULL ? -ENOMEM : open_disks(c, why);
	if (err == 0)
		err = start(c);
	if (err < 0) {
		if (why[0] == '\0')
			snprintf(why, 256, "cannot start the cache: %s",
				 strerror(-err));
		cache_free(c);
		return err;
	}
	*out = c;
	return 0;
}

/* Nobody waits for them any more; a silent store would hold up the end. */
static void cancel_fetches(struct cache *c)
{
	lock_take(&c->table_lock);
	for (size_t i = 0; c->buckets != NULL && i < OBJECT_BUCKETS; i++)
		for (struct object *o = c->buckets[i]; o != NULL;
		     o = o->chain) {
			lock_take(&o->lock);
			for (struct fill *f = o->fills; f != NULL; f = f->next)
				cancel_set(&f->cancel);
			lock_drop(&o->lock);
		}
	lock_drop(&c->table_lock);
}

void cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	watch_stop(c);
	prefetch_stop(c->prefetch);
	cancel_fetches(c);
	/* Fetches first: what they still bring is written, then looked at. */
	pool_stop(c->fetchers);
	given_write(c, INT64_MAX);
	pool_stop(c->writers);
	pool_stop(c->readers);
	prefetch_free(c->prefetch);
	meta_free(c->meta);
	if (c->buckets != NULL) {
		c->idle_max = 0;
		while (c->idle > 0)
			object_trim_idle(c, false);
	}
	free(c->buckets);
	hot_free(c->hot);
	buffers_free(c->buffers);
	for (size_t i = 0; i < c->ndisks; i++)
		disk_close(c->disks[i]);
	event_fini(&c->watch_wake);
	lock_fini(&c->watch_lock);
	lock_fini(&c->closed_lock);
	lock_fini(&c->table_lock);
	lock_fini(&c->memory_lock);
	load_fini(c);
	free(c);
}

void cache_on_file_closed(struct cache *c,
			  void (*fn)(void *arg, int backing_id), void *arg)
{
	lock_take(&c->closed_lock);
	c->file_closed = fn;
	c->file_closed_arg = arg;
	lock_drop(&c->closed_lock);
}

struct meta *cache_meta(struct cache *c)
{
	return c->meta;
}

struct ufs *cache_ufs(struct cache *c)
{
	return c->ufs;
}

size_t cache_disks(struct cache *c, struct cache_disk_status *out, size_t max)
{
	for (size_t i = 0; i < c->ndisks && i < max; i++) {
		struct disk *d = c->disks[i];
		struct disk_numbers n;

		disk_numbers(d, &n);
		out[i] = (struct cache_disk_status){
			.dir = disk_dir(d),
			.bytes = disk_bytes(d),
			.limit = disk_limit(d),
			.files = n.files,
			.evicted_bytes = n.evicted_bytes,
			.bad_pages = n.bad_pages,
			.scrub_bytes = n.scrub_bytes,
			.scrub_files = n.scrub_files,
			.scrub_bad = n.scrub_bad,
			.scrub_passes = n.scrub_passes,
			.scrubbed = n.scrubbed,
			.state = disk_state_name(disk_state(d)),
			.why = disk_why(d),
		};
	}
	return MIN(c->ndisks, max);
}

bool cache_is_on(struct cache *c, dev_t dev)
{
	bool all = c->ndisks > 0;

	for (size_t i = 0; i < c->ndisks && all; i++)
		all = disk_is_on(c->disks[i], dev);
	return all;
}

void cache_scrub(struct cache *c)
{
	for (size_t i = 0; i < c->ndisks; i++)
		disk_scrub(c->disks[i]);
}

size_t cache_memory_used(struct cache *c)
{
	return buffers_used(c->buffers);
}
