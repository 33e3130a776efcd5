/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evict.c - which files go
 *
 * No list of files exists, so the oldest are looked for among a sample: the
 * shards from where the last sample ended (at first: a random one), in order,
 * until enough files were seen. Names are hashes, so this is a fair sample,
 * and the hand passes all files equally often. Of a full sample the oldest
 * quarter goes, then the next is taken. When there are so few files that one
 * round sees them all, they go exactly in order of age. So a directory of a
 * few huge files and one of millions of small ones are the same case.
 *
 * An extent and its map are one candidate, as young as the younger of both.
 * The map goes first: data without a map is nothing, while a map without its
 * data might meet other data. Age is the last touch or write (disk_touch).
 */
#include "cache/disk_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/log.h"
#include "base/stats.h"

#define SAMPLE 512
#define SAMPLE_MAX 8192 /* a shard of a very full cache is cut here */

struct candidate {
	struct disk_id id;
	int64_t used; /* ns */
	uint64_t bytes;
	unsigned kinds;
};

/* In the order of unlinking. */
static const char *const suffixes[] = { ".map", "", ".lst" };
enum { KIND_MAP = 1, KIND_DATA = 2, KIND_LISTING = 4 };

struct sample {
	struct disk *d;
	size_t n, room;
	bool all;         /* nothing but these is there */
	uint64_t emptied; /* shards that went */
	struct candidate *v;
};

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static unsigned kind_of(const char *name)
{
	const char *suffix = name + 2 * (DISK_ID_LEN - 2);

	if (*suffix == '\0')
		return KIND_DATA;
	return strcmp(suffix, ".map") == 0 ? KIND_MAP : KIND_LISTING;
}

static struct candidate *sample_add(struct sample *s, size_t from,
				    const struct disk_id *id, unsigned kind)
{
	/* The other half of a pair is in the same shard. */
	if (kind != KIND_LISTING)
		for (size_t i = from; i < s->n; i++)
			if (s->v[i].kinds != KIND_LISTING &&
			    memcmp(&s->v[i].id, id, sizeof(*id)) == 0)
				return &s->v[i];
	if (s->n == s->room) {
		size_t room = s->room == 0 ? 2 * SAMPLE : s->room * 2;
		struct candidate *v = realloc(s->v, room * sizeof(*v));

		if (v == NULL)
			return NULL;
		s->v = v;
		s->room = room;
	}
	s->v[s->n] = (struct candidate){ .id = *id, .used = INT64_MIN };
	return &s->v[s->n++];
}

static void sample_leaf(struct sample *s, int top, uint8_t a, uint8_t b)
{
	char name[3];
	size_t from = s->n, entries = 0;
	struct dirent *e;
	DIR *dir;
	int fd;

	snprintf(name, sizeof(name), "%02x", b);
	fd = disk_subdir(top, name);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL && s->n - from < SAMPLE_MAX) {
		struct candidate *c;
		struct disk_id id;
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		entries++;
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) <
			0 ||
		    S_ISDIR(st.st_mode))
			continue;
		if (!disk_parse_name(a, b, e->d_name, &id)) {
			/* Never one of ours, yet it takes our space. */
			unlinkat(dirfd(dir), e->d_name, 0);
			disk_account(s->d, -(int64_t)st.st_blocks * 512);
			continue;
		}
		c = sample_add(s, from, &id, kind_of(e->d_name));
		if (c == NULL)
			break;
		c->kinds |= kind_of(e->d_name);
		c->bytes += (uint64_t)st.st_blocks * 512;
		c->used =
		    MAX(c->used, MAX(ns_of(st.st_atim), ns_of(st.st_mtim)));
	}
	/*
	 * An inode and a block, and each sweep would read it again. Not while
	 * somebody is about to make a file in it.
	 */
	if (entries == 0 && flock(dirfd(dir), LOCK_EX | LOCK_NB) == 0 &&
	    unlinkat(top, name, AT_REMOVEDIR) == 0)
		s->emptied++;
	closedir(dir);
}

/*
 * The lower shards [from, to) of one of the 256 upper ones. Where it stopped,
 * to when the sample is not yet full.
 */
static unsigned sample_top(struct sample *s, uint8_t a, unsigned from,
			   unsigned to)
{
	bool there[256] = { false };
	struct dirent *e;
	char name[3];
	unsigned v;
	DIR *dir;
	int fd;

	snprintf(name, sizeof(name), "%02x", a);
	fd = disk_subdir(s->d->v1, name);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return to;
	}
	while ((e = readdir(dir)) != NULL)
		if (strlen(e->d_name) == 2 &&
		    sscanf(e->d_name, "%2x", &v) == 1 && v < 256)
			there[v] = true;
	for (; from < to && s->n < SAMPLE; from++)
		if (there[from])
			sample_leaf(s, dirfd(dir), a, (uint8_t)from);
	closedir(dir);
	return from;
}

/* From the hand on, once around at most; the hand stays where it ended. */
static void sample_take(struct sample *s)
{
	unsigned hand = atomic_load(&s->d->hand);
	unsigned top = hand >> 8, from = hand & 255;

	s->n = 0;
	s->all = true;
	/* The first upper shard twice: its end, and at last its beginning. */
	for (unsigned i = 0; i <= 256; i++) {
		unsigned begin = i == 0 ? from : 0;
		unsigned end = i == 256 ? from : 256;
		unsigned at = sample_top(s, (uint8_t)(top + i), begin, end);

		if (s->n >= SAMPLE && (at < end || i < 256)) {
			s->all = false;
			atomic_store(&s->d->hand,
				     ((((top + i) & 255) << 8) + at) & 0xffff);
			return;
		}
	}
}

static int older(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;

	return (a->used > b->used) - (a->used < b->used);
}

static bool remove_candidate(struct disk *d, const struct candidate *c)
{
	bool gone = false;

	if (disk_pinned(d, &c->id))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (c->kinds & (1U << i) &&
		    disk_unlink(d, &c->id, suffixes[i]) == 0) {
			gone = true;
			stat_inc(STAT_evicted_files);
		}
	if (gone) {
		stat_add(STAT_evicted_bytes, (int64_t)c->bytes);
		atomic_fetch_add_explicit(&d->evicted_bytes, c->bytes,
					  memory_order_relaxed);
	}
	return gone;
}

uint64_t evict(struct disk *d, uint64_t bytes, uint64_t files)
{
	uint64_t freed = 0, removed = 0;
	struct sample s = { .d = d };
	unsigned idle = 0;

	/*
	 * A sample of nothing but pinned files is no reason to give up, yet
	 * a reason not to try for ever.
	 */
	while ((freed < bytes || removed < files) && idle < 8 &&
	       !atomic_load(&d->stopping)) {
		uint64_t before = removed;
		size_t most, gone = 0;

		sample_take(&s);
		removed += s.emptied;
		s.emptied = 0;
		most = s.all ? s.n : MAX(s.n / 4, (size_t)1);
		if (s.n > 0)
			qsort(s.v, s.n, sizeof(*s.v), older);
		for (size_t i = 0; i < s.n && gone < most &&
				   (freed < bytes || removed < files);
		     i++) {
			if (!remove_candidate(d, &s.v[i]))
				continue;
			freed += s.v[i].bytes;
			removed++;
			gone++;
		}
		disk_usage_sync(d);
		if (s.all)
			break;
		idle = removed > before ? 0 : idle + 1;
	}
	free(s.v);
	if (removed > 0)
		log_debug(LOG_CACHE, "cache: %s: evicted %ju files, %ju bytes",
			  d->dir, (uintmax_t)removed, (uintmax_t)freed);
	return freed;
}

uint64_t disk_evict_to(struct disk *d, uint64_t target)
{
	uint64_t held = disk_bytes(d);

	/* All means all, whatever the count says. */
	if (target == 0)
		return evict(d, UINT64_MAX, 0);
	return held > target ? evict(d, held - target, 0) : 0;
}
