/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_pair.c - two real workers and a mount's tier, in one process
 *
 * Each worker has a store and an SSD of its own that count what is asked of
 * them; so has the tier, whose store is to be asked for nothing.
 */
#include "ring/tier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/cache.h"
#include "cache/object.h"
#include "ring/server.h"
#include "tests/unit/cache_dir.h"
#include "tests/unit/run.h"

#define SIZE MIB(32)
#define KEY "dir/model"
#define VERSION "0123456789abcdef"
#define TTL (60 * NSEC_PER_SEC)
#define READERS 8

struct store {
	struct ufs ufs;
	atomic_uint gets, stats, lists;
	atomic_uint_fast64_t bytes;
	atomic_int err;
};

static struct node {
	struct store store;
	char dir[64];
	struct cache *cache;
	struct server *server;
} node[2];

static struct store far; /* the tier's */
static struct ufs *tier;
static struct ring *ring_now, *ring_before;
static char name_store[] = "http://store/bucket", name_none[] = "";

static struct store *store_of(struct ufs *u)
{
	return container_of(u, struct store, ufs);
}

static unsigned char byte_at(uint64_t off)
{
	return (unsigned char)((off * 2654435761u) >> 13 ^ off);
}

static const char *version_now = VERSION;

static void tell(struct ufs_stat *st)
{
	*st = (struct ufs_stat){ .size = SIZE, .mtime = NSEC_PER_SEC };
	snprintf(st->version, sizeof(st->version), "%s", version_now);
}

static int store_stat(struct ufs *u, struct str key, struct ufs_stat *out,
		      struct cancel *cancel)
{
	(void)cancel;
	atomic_fetch_add(&store_of(u)->stats, 1);
	if (atomic_load(&store_of(u)->err) != 0)
		return atomic_load(&store_of(u)->err);
	if (!str_eq(key, str_of(KEY)))
		return -ENOENT;
	tell(out);
	return 0;
}

static int store_list(struct ufs *u, const struct ufs_list *q, char **token,
		      ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	struct ufs_entry e = { .key = str_of(KEY) };

	(void)cancel;
	atomic_fetch_add(&store_of(u)->lists, 1);
	if (atomic_load(&store_of(u)->err) != 0)
		return atomic_load(&store_of(u)->err);
	free(*token);
	*token = NULL;
	tell(&e.st);
	return str_starts(e.key, q->prefix) && str_cmp(e.key, q->after) > 0
		   ? cb(arg, &e)
		   : 0;
}

static int store_get(struct ufs *u, struct str key, const char *want,
		     uint64_t off, uint64_t len, const struct ufs_sink *sink,
		     struct cancel *cancel)
{
	static _Thread_local unsigned char buf[KIB(64)];
	struct ufs_stat st;
	int r;

	(void)key, (void)cancel;
	atomic_fetch_add(&store_of(u)->gets, 1);
	if (atomic_load(&store_of(u)->err) != 0)
		return atomic_load(&store_of(u)->err);
	if (want != NULL && strcmp(want, version_now) != 0)
		return -ESTALE;
	tell(&st);
	r = sink->head(sink->arg, &st);
	len = MIN(len, SIZE - off);
	while (r == 0 && len > 0) {
		size_t n = (size_t)MIN(len, sizeof(buf));

		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(off + i);
		atomic_fetch_add(&store_of(u)->bytes, n);
		r = sink->data(sink->arg, buf, n);
		off += n;
		len -= n;
	}
	return r;
}

static const struct ufs_ops store_ops = {
	.scheme = "s3", .stat = store_stat, .list = store_list, .get = store_get
};

static void store_init(struct store *s)
{
	memset(s, 0, sizeof(*s));
	s->ufs = (struct ufs){ .ops = &store_ops,
			       .store = name_store,
			       .prefix = name_none,
			       .access = name_none };
}

static enum consistency node_consistency = CONSISTENCY_TTL;
static int64_t node_ttl = TTL;

static void node_start(struct node *n)
{
	struct server_source source = { .bucket = "bucket" };
	struct server_conf conf = { .listen = "127.0.0.1:0",
				    .sources = &source,
				    .nsources = 1,
				    .threads = 1,
				    .memory = MIB(16) };
	struct cache_conf cache = { .ufs = &n->store.ufs,
				    .ndirs = 1,
				    /* A disk that is behind loses nothing. */
				    .memory = MIB(512),
				    .size = MIB(512),
				    .size_explicit = true,
				    .consistency = node_consistency,
				    .ttl = node_ttl,
				    .negative_ttl = NSEC_PER_SEC,
				    .read_timeout = 60 * NSEC_PER_SEC,
				    .small_file = MIB(1) };
	char why[256];

	store_init(&n->store);
	snprintf(n->dir, sizeof(n->dir), "/tmp/tarn-pair-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(n->dir));
	cache.dirs[0] = n->dir;
	ck_assert_msg(cache_new(&cache, &n->cache, why) == 0, "%s", why);
	source.cache = n->cache;
	ck_assert_msg(server_start(&conf, &n->server, why) == 0, "%s", why);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void view(void *arg, struct tier_view *out)
{
	(void)arg;
	out->now = ring_ref(ring_now);
	out->before = ring_before != NULL ? ring_ref(ring_before) : NULL;
}

static struct ring *ring_of(size_t first, size_t n)
{
	struct ring_member m[2];
	struct ring *r;

	for (size_t i = 0; i < n; i++)
		m[i] = (struct ring_member){
			server_address(node[first + i].server), 100
		};
	ck_assert_int_eq(ring_new(m, n, &r), 0);
	return r;
}

/* How much a number has grown in this test. */
static int64_t stat_then[STAT_COUNT];

static int64_t grown(enum stat_id id)
{
	return stat_read(id) - stat_then[id];
}

static void setup(void)
{
	struct tier_conf conf = { .store = &far.ufs,
				  .bucket = "bucket",
				  .view = view,
				  .max_age = 60 * NSEC_PER_SEC,
				  .hedge = 30 * NSEC_PER_SEC,
				  .peers.times = { .connect = 30 * NSEC_PER_SEC,
						   .silent = 60 * NSEC_PER_SEC,
						   .slow = 30 * NSEC_PER_SEC,
						   .slow_fill =
						       30 * NSEC_PER_SEC } };

	log_set_level(LOG_LEVEL_ERR);
	store_init(&far);
	for (size_t i = 0; i < 2; i++)
		node_start(&node[i]);
	ring_now = ring_of(0, 2);
	ring_before = NULL;
	ck_assert_int_eq(tier_open(&conf, &tier), 0);
	for (enum stat_id id = 0; id < STAT_COUNT; id++)
		stat_then[id] = stat_read(id);
}

static void teardown(void)
{
	ufs_close(tier);
	ring_unref(ring_now);
	ring_unref(ring_before);
	for (size_t i = 0; i < 2; i++) {
		server_stop(node[i].server);
		cache_free(node[i].cache);
		nftw(node[i].dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	/* For who comes next, as he finds it in a process of his own. */
	version_now = VERSION;
	node_consistency = CONSISTENCY_TTL;
	node_ttl = TTL;
}

static int on_head(void *arg, const struct ufs_stat *st)
{
	(void)arg;
	ck_assert_uint_eq(st->size, SIZE);
	return 0;
}

static int on_data(void *arg, const void *bytes, size_t n)
{
	uint64_t *at = arg;
	const unsigned char *p = bytes;

	/* Some of them: the pages' checksums were right. */
	for (size_t i = 0; i < n; i += 4001)
		ck_assert_uint_eq(p[i], byte_at(*at + i));
	*at += n;
	return 0;
}

static int read_of(const char *version, uint64_t off, uint64_t len)
{
	uint64_t at = off;
	struct ufs_sink sink = { .arg = &at, .head = on_head, .data = on_data };
	int r =
	    tier->ops->get(tier, str_of(KEY), version, off, len, &sink, NULL);

	if (r == 0)
		ck_assert_uint_eq(at, off + len);
	return r;
}

static void read_through(uint64_t off, uint64_t len)
{
	ck_assert_int_eq(read_of(version_now, off, len), 0);
}

static uint64_t hit_bytes(size_t i)
{
	json_t *all = tier_status(tier), *one;
	json_int_t n = -1;
	size_t k;

	ck_assert_ptr_nonnull(all);
	json_array_foreach(json_object_get(all, "workers"), k, one)
	{
		const char *name =
		    json_string_value(json_object_get(one, "name"));

		ck_assert_str_eq(
		    "up", json_string_value(json_object_get(one, "state")));
		if (strcmp(name, server_address(node[i].server)) == 0)
			n = json_integer_value(
			    json_object_get(one, "hit_bytes"));
	}
	json_decref(all);
	ck_assert_int_ge(n, 0);
	return (uint64_t)n;
}

static atomic_bool enough;

static void *reader(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough))
		read_through(0, SIZE);
	return NULL;
}

static bool wait_until(bool (*done)(void))
{
	for (int i = 0; i < 1200 && !done(); i++)
		usleep(50000);
	return done();
}

static bool both_serve(void)
{
	return hit_bytes(0) >= 2 * SIZE && hit_bytes(1) >= 2 * SIZE;
}

static bool nobody_is_spread(void)
{
	struct server_hot top[4];

	for (size_t i = 0; i < 2; i++) {
		size_t n = server_hot(node[i].server, top, 4);

		while (n > 0)
			if (top[--n].spread > 1)
				return false;
	}
	return true;
}

/* The owner says that it is too much, and the other helps. */
START_TEST(a_hot_object_is_served_by_both)
{
	struct server_hot top = { 0 };
	pthread_t thread[READERS];
	size_t owner, n;

	read_through(0, SIZE);
	owner = node[0].store.gets > 0 ? 0 : 1;
	ck_assert_uint_eq(node[1 - owner].store.gets, 0);
	ck_assert(nobody_is_spread());
	for (size_t i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, reader, NULL),
				 0);
	ck_assert(wait_until(both_serve));
	n = server_hot(node[owner].server, &top, 1);
	atomic_store(&enough, true);
	for (size_t i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(top.bucket, "bucket");
	ck_assert_str_eq(top.key, KEY);
	ck_assert_uint_eq(top.segment, 0);
	ck_assert_uint_ge(top.spread, 2);
	ck_assert_uint_gt(top.rate, 0);
	/* The tier was told by the header, and nowhere else. */
	ck_assert_int_gt(grown(STAT_peer_spread), 0);
	ck_assert_int_eq(grown(STAT_peer_fallbacks), 0);
	/* Each of them got each byte once at most, and the tier's none. */
	for (size_t i = 0; i < 2; i++)
		ck_assert_uint_le(node[i].store.bytes, SIZE);
	ck_assert_uint_eq(far.gets, 0);
}
END_TEST

static void use_rings(struct ring *before, struct ring *now)
{
	ring_unref(ring_now);
	ring_before = before;
	ring_now = now;
}

/* _i: the owner before the change holds it, or holds nothing. */
START_TEST(what_the_owner_before_a_change_holds_costs_the_store_nothing)
{
	const struct store *first = &node[0].store, *second = &node[1].store;
	unsigned gets, asked;

	use_rings(NULL, ring_of(0, 1));
	if (_i == 0)
		read_through(0, SIZE);
	gets = first->gets;
	asked = first->stats + first->lists;
	use_rings(ring_of(0, 1), ring_of(1, 1));
	read_through(0, SIZE);
	ck_assert_uint_eq(first->gets, gets);
	ck_assert_uint_eq(first->stats + first->lists, asked);
	ck_assert_uint_eq(second->bytes, _i == 0 ? 0 : SIZE);
	ck_assert_int_eq(grown(STAT_peer_previous), SIZE / WIRE_RANGE_MAX);
	ck_assert_int_eq(grown(STAT_peer_errors), 0);
	ck_assert_uint_eq(far.gets, 0);
}
END_TEST

static void setup_old(void)
{
	node_ttl = NSEC_PER_SEC;
	setup();
}

static void setup_strict(void)
{
	node_consistency = CONSISTENCY_STRICT;
	setup();
}

/* What the workers have asked of the store about the object. */
static unsigned asked(void)
{
	return node[0].store.stats + node[0].store.lists + node[1].store.stats +
	       node[1].store.lists;
}

/* Has one worker or the other all of [0, len)? */
static bool are_held(uint64_t len)
{
	struct ufs_stat st = { .size = SIZE, .version = VERSION };
	bool held = true;

	for (uint64_t off = 0; off < len && held; off += MIB(1)) {
		held = false;
		for (size_t i = 0; i < 2 && !held; i++) {
			struct object *o;

			ck_assert_int_eq(
			    object_get(node[i].cache, str_of(KEY), &st, &o), 0);
			held = object_held(o, off, MIB(1));
			object_put(o);
		}
	}
	return held;
}

/* The workers have [0, len), and what they know of it is old. */
static void hold(uint64_t len)
{
	read_through(0, len);
	WAIT_UNTIL(are_held(len));
	read_through(0, len);
	usleep(1500000);
}

/*
 * A version that If-Match names is right at any age: what a worker holds of it
 * costs the store nothing (_i 0), and goes on when the store is gone (1: R4).
 */
START_TEST(what_a_worker_holds_is_served_however_old_its_metadata)
{
	unsigned before;

	hold(SIZE);
	before = asked();
	if (_i == 1) {
		for (size_t i = 0; i < 2; i++)
			atomic_store(&node[i].store.err, -EHOSTUNREACH);
		atomic_store(&far.err, -EHOSTUNREACH);
	}
	read_through(0, SIZE);
	ck_assert_uint_eq(asked(), before);
	ck_assert_uint_eq(far.gets, 0);
}
END_TEST

/*
 * The object has changed: what is held of the version before is served, and of
 * what is not the worker says that it is gone, in place of a body that ends.
 */
START_TEST(of_a_version_that_is_gone_what_is_held_is_served)
{
	unsigned before;

	hold(SIZE / 2);
	before = asked();
	version_now = "fedcba9876543210";
	ck_assert_int_eq(read_of(VERSION, 0, SIZE / 2), 0);
	ck_assert_uint_eq(asked(), before);
	ck_assert_int_eq(read_of(VERSION, SIZE / 2, SIZE / 2), -ESTALE);
	ck_assert_uint_gt(asked(), before);
	ck_assert_int_eq(grown(STAT_peer_errors), 0);
	read_through(0, SIZE);
}
END_TEST

/* The note on a node's disk of what was invalidated, locked; or -1. */
static int lock_note(const struct node *n)
{
	DIR *dir = opendir(n->dir);
	struct dirent *e;
	int fd = -1;

	while (dir != NULL && fd < 0 && (e = readdir(dir)) != NULL)
		if (strncmp(e->d_name, "forgotten-", 10) == 0)
			fd = openat(dirfd(dir), e->d_name, O_RDWR);
	closedir(dir);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	return fd;
}

/*
 * B5: that an object has changed is learnt by a worker when it is asked for the
 * new version (_i 0), or when its store does not have the old one any more, in
 * the middle of a body (1). Nobody waits for a note on a disk then (here for a
 * lock, else for fdatasync()), and the mounts to come are told of no rule, as
 * for what a mount has written.
 */
START_TEST(who_reads_what_has_changed_waits_for_no_note_on_the_disk)
{
	int64_t begun;
	int fd[2];

	read_through(0, SIZE / 2);
	usleep(500000);
	for (size_t i = 0; i < 2; i++)
		fd[i] = lock_note(&node[i]);
	version_now = "fedcba9876543210";
	begun = clock_ns();
	if (_i == 0)
		read_through(0, WIRE_PAGE);
	else
		ck_assert_int_eq(read_of(VERSION, SIZE / 2, WIRE_PAGE),
				 -ESTALE);
	ck_assert_msg(clock_ns() - begun < 300 * NSEC_PER_MSEC,
		      "it took %jd ms",
		      (intmax_t)((clock_ns() - begun) / NSEC_PER_MSEC));
	for (size_t i = 0; i < 2; i++)
		close(fd[i]);
}
END_TEST

static TCase *with_old(const char *name, void (*begin)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, begin, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(
	    t, what_a_worker_holds_is_served_however_old_its_metadata, 0, 2);
	tcase_add_test(t, of_a_version_that_is_gone_what_is_held_is_served);
	return t;
}

int main(void)
{
	TCase *t = tcase_create("pair");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(
	    t, what_the_owner_before_a_change_holds_costs_the_store_nothing, 0,
	    2);
	tcase_add_loop_test(
	    t, who_reads_what_has_changed_waits_for_no_note_on_the_disk, 0, 2);
	tcase_add_test(t, a_hot_object_is_served_by_both);
	return RUN_CASES(t, with_old("old", setup_old),
			 with_old("strict", setup_strict));
}
