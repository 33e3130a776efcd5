/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_rules.c - what was invalidated, for the mounts to come
 *
 * A listing on the disk that an invalidation covers, and could not reach, would
 * be believed by the next mount: for the rest of its time, or, under
 * `immutable`, for ever. So the rules of meta_invalidate.c are kept in a note
 * beside the listings, one a store, prefix and credentials (little-endian):
 *
 *     u32 magic, u32 format, u8 boot id[36], u32 how many, then of each
 *     i64 since, u16 length of above, u16 length of tree, and tree
 *     u64 XXH3 of all before
 *
 * Times mean something in their boot only. After another boot a rule forbids
 * what earlier boots listed, which has no time then. A note that is torn or
 * rotten may have said anything, and so forbids all that is older than its
 * being read. Mounts that share the directory add to it in turn, under flock,
 * and look at it for each listing that they find there.
 */
#include "cache/meta_impl.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/log.h"
#include "cache/listing_impl.h"

#define NOTE_MAGIC 0x314e5354u /* "TSN1" */
#define NOTE_FORMAT 1u
#define NOTE_HEADER (4 + 4 + BOOT_ID_LEN + 4)
#define NOTE_ROW 12
#define NOTE_MAX (NOTE_HEADER + RULES_MAX * (NOTE_ROW + UFS_KEY_MAX + 1) + 8)

#define NOTE_NAME 64

static void note_name(const struct meta *m, char name[static NOTE_NAME])
{
	struct disk_id id =
	    disk_listing_id(str_of(m->ufs->store), str_of(m->ufs->access),
			    str_of(m->ufs->prefix));
	int n = snprintf(name, NOTE_NAME, "forgotten-");

	for (size_t i = 0; i < DISK_ID_LEN; i++)
		n += snprintf(name + n, NOTE_NAME - (size_t)n, "%02x", id.b[i]);
}

static int note_open(const struct meta *m, int *fd)
{
	char name[NOTE_NAME];

	note_name(m, name);
	return disk_note(m->disk, name, fd);
}

static size_t encode(const struct rule *rules, size_t n, uint8_t *out)
{
	size_t at = NOTE_HEADER;

	put_le32(out, NOTE_MAGIC);
	put_le32(out + 4, NOTE_FORMAT);
	memcpy(out + 8, clock_boot_id(), BOOT_ID_LEN);
	put_le32(out + 8 + BOOT_ID_LEN, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		const struct rule *r = &rules[i];

		put_le64(out + at, (uint64_t)r->since);
		put_le16(out + at + 8, (uint16_t)r->above_n);
		put_le16(out + at + 10, (uint16_t)r->tree_n);
		memcpy(out + at + NOTE_ROW, r->tree, r->tree_n);
		at += NOTE_ROW + r->tree_n;
	}
	put_le64(out + at, XXH3_64bits(out, at));
	return at + 8;
}

/* False: it is not what was written. */
static bool decode(const uint8_t *in, size_t len, struct rule *rules, size_t *n)
{
	bool now;
	size_t at = NOTE_HEADER;

	if (len < NOTE_HEADER + 8 || get_le32(in) != NOTE_MAGIC ||
	    get_le32(in + 4) != NOTE_FORMAT ||
	    get_le64(in + len - 8) != XXH3_64bits(in, len - 8))
		return false;
	now = memcmp(in + 8, clock_boot_id(), BOOT_ID_LEN) == 0;
	*n = get_le32(in + 8 + BOOT_ID_LEN);
	if (*n > RULES_MAX)
		return false;
	for (size_t i = 0; i < *n; i++) {
		struct rule *r = &rules[i];

		if (len - 8 - at < NOTE_ROW)
			return false;
		/* Listings of earlier boots are of INT64_MIN. */
		r->since = now ? (int64_t)get_le64(in + at) : INT64_MIN + 1;
		r->above_n = get_le16(in + at + 8);
		r->tree_n = get_le16(in + at + 10);
		at += NOTE_ROW;
		if (r->tree_n > UFS_KEY_MAX || r->above_n > r->tree_n ||
		    len - 8 - at < r->tree_n)
			return false;
		memcpy(r->tree, in + at, r->tree_n);
		at += r->tree_n;
	}
	return at == len - 8;
}

/*
 * Into RULES_MAX rules. An error of the disk, or 0. *torn: it is not what was
 * written, and the rule is that nothing older than now is believed.
 */
static int note_read(int fd, uint8_t *buf, struct rule *rules, size_t *n,
		     bool *torn)
{
	struct stat st;
	size_t len;
	int r;

	*torn = false;
	*n = 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return 0; /* just made */
	len = (size_t)MIN(st.st_size, (off_t)NOTE_MAX);
	r = spool_pread(fd, 0, buf, len);
	if (r < 0)
		return r;
	if (len == (size_t)st.st_size && decode(buf, len, rules, n))
		return 0;
	*torn = true;
	*n = 1;
	memset(&rules[0], 0, sizeof(rules[0]));
	rules[0].since = clock_ns();
	return 0;
}

/* What it was longer before is cut off last: it is torn until then. */
static int note_write(int fd, uint8_t *buf, const struct rule *rules, size_t n)
{
	size_t len = encode(rules, n, buf);
	ssize_t wrote = pwrite(fd, buf, len, 0);

	if (wrote != (ssize_t)len)
		return wrote < 0 ? -errno : -ENOSPC;
	return ftruncate(fd, (off_t)len) < 0 ? -errno : 0;
}

void rules_load(struct meta *m)
{
	AUTO_FREE uint8_t *buf = malloc(NOTE_MAX);
	AUTO_CLOSE int fd = -1;
	bool torn = false;
	int r = -ENOMEM;

	if (m->disk == NULL)
		return;
	if (buf != NULL)
		r = note_open(m, &fd);
	if (r == 0)
		r = note_read(fd, buf, m->rules, &m->nrules, &torn);
	if (r < 0) {
		/* What it says is not known: as if it said everything. */
		memset(&m->rules[0], 0, sizeof(m->rules[0]));
		m->rules[0].since = clock_ns();
		m->nrules = 1;
	}
	/* That a torn one forbids all is told to those that come, too. */
	if (torn)
		(void)note_write(fd, buf, m->rules, m->nrules);
	/* What this mount asks itself is none of theirs. */
	for (size_t i = 0; i < m->nrules; i++)
		m->rules[i].since = MIN(m->rules[i].since, clock_ns());
}

int rules_save(struct meta *m, const struct rule *rule)
{
	AUTO_FREE struct rule *rules = NULL;
	AUTO_FREE uint8_t *buf = NULL;
	AUTO_CLOSE int fd = -1;
	bool torn;
	size_t n;
	int r;

	if (m->disk == NULL)
		return 0;
	rules = malloc(RULES_MAX * sizeof(*rules));
	buf = malloc(NOTE_MAX);
	if (rules == NULL || buf == NULL)
		return -ENOMEM;
	r = note_open(m, &fd);
	if (r == 0)
		r = note_read(fd, buf, rules, &n, &torn);
	if (r < 0)
		return r;
	rules_add(rules, &n, rule);
	r = note_write(fd, buf, rules, n);
	/* A person waits for it, and it is to outlive a power cut. */
	return r == 0 && fdatasync(fd) < 0 ? -errno : r;
}

/* Without the lock, unless it seems torn: it may just be being written. */
static int note_look(const struct meta *m, uint8_t *buf, struct rule *rules,
		     size_t *n)
{
	AUTO_CLOSE int look = -1;
	AUTO_CLOSE int fd = -1;
	char name[NOTE_NAME];
	bool torn;
	int r;

	*n = 0;
	note_name(m, name);
	r = disk_note_look(m->disk, name, &look);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = note_read(look, buf, rules, n, &torn);
	if (r == 0 && !torn)
		return 0;
	r = disk_note(m->disk, name, &fd);
	return r < 0 ? r : note_read(fd, buf, rules, n, &torn);
}

bool rules_forbid_saved(struct meta *m, struct str dirkey, int64_t taken)
{
	AUTO_FREE struct rule *rules = malloc(RULES_MAX * sizeof(*rules));
	AUTO_FREE uint8_t *buf = malloc(NOTE_MAX);
	size_t n;

	if (rules == NULL || buf == NULL || note_look(m, buf, rules, &n) < 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (taken < rules[i].since && rule_covers(&rules[i], dirkey))
			return true;
	return false;
}
