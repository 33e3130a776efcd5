/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.c - files of a cache directory: named, opened, made, published
 *
 * Names are hashes, so no key ever reaches a path. A lookup is one openat2()
 * relative to v1/ that refuses symlinks on the whole way; where the kernel
 * or a sandbox has no openat2, the shard is opened a step at a time with
 * O_NOFOLLOW. What makes, moves or removes a file first opens its shard the
 * same way, since renameat() would follow a planted symlink.
 *
 * What stands in the way of one of our names (a FIFO, a symlink, a file
 * where a shard should be) is unlinked: below v1/ everything is ours.
 */
#include "cache/disk_impl.h"

/* SHA256_Update and its like neither allocate nor fail; EVP does both. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/le.h"
#include "base/stats.h"

static void hash_u64(SHA256_CTX *h, uint64_t v)
{
	uint8_t b[8];

	put_le(b, v, 8);
	SHA256_Update(h, b, sizeof(b));
}

static void hash_part(SHA256_CTX *h, struct str s)
{
	hash_u64(h, s.n);
	if (s.n > 0)
		SHA256_Update(h, s.p, s.n);
}

static struct disk_id hash_end(SHA256_CTX *h)
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	struct disk_id id;

	SHA256_Final(sum, h);
	memcpy(id.b, sum, sizeof(id.b));
	return id;
}

struct disk_id disk_extent_id(struct str store, struct str key,
			      struct str version, uint64_t first,
			      uint64_t length)
{
	SHA256_CTX h;

	SHA256_Init(&h);
	hash_part(&h, str_of("extent"));
	hash_part(&h, store);
	hash_part(&h, key);
	hash_part(&h, version);
	hash_u64(&h, first);
	hash_u64(&h, length);
	return hash_end(&h);
}

struct disk_id disk_listing_id(struct str store, struct str access,
			       struct str dirkey)
{
	SHA256_CTX h;

	SHA256_Init(&h);
	hash_part(&h, str_of("listing"));
	hash_part(&h, store);
	hash_part(&h, access);
	hash_part(&h, dirkey);
	return hash_end(&h);
}

static void put_hex(char *out, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";

	out[0] = digits[byte >> 4];
	out[1] = digits[byte & 15];
}

/* "ab/cd/" and, from out + 6 on, the name within the shard. */
static void path_of(const struct disk_id *id, const char *suffix,
		    char out[static DISK_NAME_MAX])
{
	char *p = out;

	for (int i = 0; i < DISK_ID_LEN; i++) {
		put_hex(p, id->b[i]);
		p += 2;
		if (i < 2)
			*p++ = '/';
	}
	snprintf(p, (size_t)(out + DISK_NAME_MAX - p), "%s", suffix);
}

#define NAME_IN_SHARD (SHARD_NAME + 1)

static int unhex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool disk_parse_name(uint8_t first, uint8_t second, const char *name,
		     struct disk_id *id)
{
	id->b[0] = first;
	id->b[1] = second;
	for (int i = 2; i < DISK_ID_LEN; i++, name += 2) {
		int hi = unhex(name[0]);
		int lo = hi < 0 ? -1 : unhex(name[1]);

		if (lo < 0)
			return false;
		id->b[i] = (uint8_t)(hi << 4 | lo);
	}
	return *name == '\0' || strcmp(name, ".map") == 0 ||
	       strcmp(name, ".lst") == 0;
}

/* Kernels before 5.6 and some sandboxes refuse openat2 as a whole. */
static atomic_bool no_openat2;

static int open_beneath(int dirfd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};
	int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	return fd >= 0 ? fd : -errno;
}

static bool lacks_openat2(int r)
{
	if (r != -ENOSYS && r != -EPERM)
		return false;
	atomic_store_explicit(&no_openat2, true, memory_order_relaxed);
	return true;
}

int disk_subdir(int dirfd, const char *name)
{
	int fd = openat(dirfd, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 ? fd : -errno;
}

int disk_shard(struct disk *d, uint8_t first, uint8_t second)
{
	char path[SHARD_NAME + 1];
	AUTO_CLOSE int top = -1;
	int r;

	put_hex(path, first);
	path[2] = '/';
	put_hex(path + 3, second);
	path[5] = '\0';
	if (!atomic_load_explicit(&no_openat2, memory_order_relaxed)) {
		r = open_beneath(d->v1, path, O_RDONLY | O_DIRECTORY);
		if (!lacks_openat2(r))
			return r;
	}
	path[2] = '\0';
	top = disk_subdir(d->v1, path);
	return top < 0 ? top : disk_subdir(top, path + 3);
}

/* A subdirectory, made if need be; what else has its name goes. */
static int subdir_make(int dirfd, const char *name)
{
	int fd = -ENOENT;

	for (int tries = 0; tries < 4; tries++) {
		fd = disk_subdir(dirfd, name);
		if (fd == -ELOOP || fd == -ENOTDIR)
			unlinkat(dirfd, name, 0);
		else if (fd != -ENOENT)
			return fd;
		if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
			return -errno;
	}
	return fd;
}

static int shard_make(struct disk *d, const struct disk_id *id)
{
	char name[3] = "";
	AUTO_CLOSE int top = -1;
	int fd;

	fd = disk_shard(d, id->b[0], id->b[1]);
	if (fd != -ENOENT && fd != -ELOOP && fd != -ENOTDIR)
		return fd;
	put_hex(name, id->b[0]);
	top = subdir_make(d->v1, name);
	if (top < 0)
		return top;
	put_hex(name, id->b[1]);
	return subdir_make(top, name);
}

/* Unlink what has one of our names and is no file of ours. */
static void remove_foreign(struct disk *d, const struct disk_id *id,
			   const char *suffix)
{
	char path[DISK_NAME_MAX];
	AUTO_CLOSE int shard = disk_shard(d, id->b[0], id->b[1]);

	if (shard < 0)
		return; /* a foreign shard goes when the next file is made */
	path_of(id, suffix, path);
	if (unlinkat(shard, path + NAME_IN_SHARD, 0) < 0 && errno == EISDIR)
		unlinkat(shard, path + NAME_IN_SHARD, AT_REMOVEDIR);
}

static int open_path(struct disk *d, const struct disk_id *id, const char *path,
		     int flags)
{
	AUTO_CLOSE int shard = -1;
	int r;

	if (!atomic_load_explicit(&no_openat2, memory_order_relaxed)) {
		r = open_beneath(d->v1, path, flags);
		if (!lacks_openat2(r))
			return r;
	}
	shard = disk_shard(d, id->b[0], id->b[1]);
	if (shard < 0)
		return shard;
	r = openat(shard, path + NAME_IN_SHARD, flags | O_CLOEXEC | O_NOFOLLOW);
	return r >= 0 ? r : -errno;
}

int disk_open_stat(struct disk *d, const struct disk_id *id, const char *suffix,
		   int flags, int *fd, struct stat *st)
{
	char path[DISK_NAME_MAX];
	AUTO_CLOSE int file = -1;

	if (disk_state(d) == DISK_OFF)
		return -EIO;
	path_of(id, suffix, path);
	/* A FIFO must not block, a terminal not become ours. */
	file = open_path(d, id, path, flags | O_NONBLOCK | O_NOCTTY);
	switch (file) {
	case -ENOENT:
		return -ENOENT;
	case -ELOOP:
	case -ENXIO:
	case -EISDIR:
	case -ENOTDIR:
	case -EACCES:
	case -ENODEV:
		remove_foreign(d, id, suffix);
		return -ENOENT;
	default:
		break;
	}
	if (file < 0) {
		disk_failed(d, file, "open");
		return file;
	}
	if (fstat(file, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || st->st_uid != d->uid) {
		remove_foreign(d, id, suffix);
		return -ENOENT;
	}
	*fd = take_fd(&file);
	return 0;
}

int disk_open_file(struct disk *d, const struct disk_id *id, const char *suffix,
		   int flags, int *fd)
{
	struct stat st;

	return disk_open_stat(d, id, suffix, flags, fd, &st);
}

static void tmp_name(struct disk *d, char name[static DISK_TMP_MAX])
{
	uint64_t n =
	    atomic_fetch_add_explicit(&d->names, 1, memory_order_relaxed);

	snprintf(name, DISK_TMP_MAX, "%016jx-%jx", (uintmax_t)d->token,
		 (uintmax_t)n);
}

int disk_tmp(struct disk *d, char name[static DISK_TMP_MAX], int *fd)
{
	if (disk_state(d) == DISK_OFF)
		return -EIO;
	for (int tries = 0; tries < 8; tries++) {
		int r;

		tmp_name(d, name);
		*fd = openat(d->tmp, name,
			     O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			     0600);
		if (*fd >= 0)
			return 0;
		r = -errno;
		if (r == -EEXIST)
			continue;
		if (r == -ENOENT)
			disk_gone(d);
		else
			disk_failed(d, r, "make a file");
		return r;
	}
	return -EEXIST;
}

int disk_tmp_link(struct disk *d, int dirfd, const char *name,
		  char tmp[static DISK_TMP_MAX], int *fd)
{
	int r;

	if (disk_state(d) == DISK_OFF)
		return -EIO;
	tmp_name(d, tmp);
	if (linkat(dirfd, name, d->tmp, tmp, 0) < 0)
		return -errno;
	*fd = openat(d->tmp, tmp, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	r = -errno;
	disk_tmp_drop(d, tmp);
	return r;
}

void disk_tmp_drop(struct disk *d, const char *name)
{
	unlinkat(d->tmp, name, 0);
}

static int move_into(struct disk *d, const char *tmp, int shard,
		     const char *name, bool replace)
{
	if (renameat2(d->tmp, tmp, shard, name,
		      replace ? 0 : RENAME_NOREPLACE) == 0)
		return 0;
	if (replace || errno != EINVAL)
		return -errno;
	/* A file system without RENAME_NOREPLACE. */
	if (linkat(d->tmp, tmp, shard, name, 0) < 0)
		return -errno;
	unlinkat(d->tmp, tmp, 0);
	return 0;
}

static int64_t blocks_at(int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	return (int64_t)st.st_blocks * 512;
}

int disk_publish(struct disk *d, const char *tmp, const struct disk_id *id,
		 const char *suffix, bool replace)
{
	char path[DISK_NAME_MAX];
	int r = -ENOENT;

	path_of(id, suffix, path);
	/* The shard may vanish between its making and the move. */
	for (int tries = 0; tries < 4 && r == -ENOENT; tries++) {
		const char *name = path + NAME_IN_SHARD;
		AUTO_CLOSE int shard = shard_make(d, id);
		int64_t old = -1;

		if (shard < 0) {
			r = shard;
			continue;
		}
		if (replace)
			old = blocks_at(shard, name);
		r = move_into(d, tmp, shard, name, replace);
		if (r == -EISDIR && unlinkat(shard, name, AT_REMOVEDIR) == 0)
			r = move_into(d, tmp, shard, name, replace);
		if (r == 0 && old >= 0)
			disk_account(d, -old);
		else if (r == 0)
			atomic_fetch_add_explicit(&d->files, 1,
						  memory_order_relaxed);
	}
	if (r == -ENOENT)
		disk_gone(d);
	else if (r < 0 && r != -EEXIST)
		disk_failed(d, r, "publish");
	return r;
}

static int unlink_in(struct disk *d, int shard, const char *name,
		     const struct stat *st)
{
	if (unlinkat(shard, name, 0) < 0)
		return -errno;
	disk_account(d, -(int64_t)st->st_blocks * 512);
	if (atomic_load_explicit(&d->files, memory_order_relaxed) > 0)
		atomic_fetch_sub_explicit(&d->files, 1, memory_order_relaxed);
	return 0;
}

int disk_unlink(struct disk *d, const struct disk_id *id, const char *suffix)
{
	char path[DISK_NAME_MAX];
	AUTO_CLOSE int shard = disk_shard(d, id->b[0], id->b[1]);
	struct stat st;

	if (shard < 0)
		return shard;
	path_of(id, suffix, path);
	if (fstatat(shard, path + NAME_IN_SHARD, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return unlink_in(d, shard, path + NAME_IN_SHARD, &st);
}

void disk_unlink_same(struct disk *d, const struct disk_id *id,
		      const char *suffix, const struct stat *st)
{
	char path[DISK_NAME_MAX];
	AUTO_CLOSE int shard = disk_shard(d, id->b[0], id->b[1]);
	struct stat now;

	if (shard < 0)
		return;
	path_of(id, suffix, path);
	if (fstatat(shard, path + NAME_IN_SHARD, &now, AT_SYMLINK_NOFOLLOW) ==
		0 &&
	    now.st_ino == st->st_ino && now.st_dev == st->st_dev)
		unlink_in(d, shard, path + NAME_IN_SHARD, &now);
}

/*
 * flock() would wait for ever for a process that was stopped while it held
 * the lock. Holders work for microseconds, so asking again is rare.
 */
int disk_flock(int fd, int64_t timeout)
{
	int64_t deadline = clock_ns() + timeout;
	struct timespec pause = { .tv_nsec = 200000 };

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_ns() >= deadline)
			return -EBUSY;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 10 * NSEC_PER_MSEC)
			pause.tv_nsec *= 2;
	}
	return 0;
}

int disk_note(struct disk *d, const char *name, int *out)
{
	AUTO_CLOSE int fd = -1;
	int r;

	if (disk_state(d) == DISK_OFF)
		return -EIO;
	fd = disk_root_file(d, d->root, name);
	r = fd < 0 ? fd : disk_flock(fd, NSEC_PER_SEC);
	if (r == 0)
		*out = take_fd(&fd);
	return r;
}

int disk_note_look(struct disk *d, const char *name, int *out)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (disk_state(d) == DISK_OFF)
		return -EIO;
	fd = openat(d->root, name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != d->uid)
		return -EPERM;
	*out = take_fd(&fd);
	return 0;
}

int disk_lock_shard(struct disk *d, const struct disk_id *id)
{
	int r = -ENOENT;

	/* Again when eviction removed the empty shard before it was locked. */
	for (int tries = 0; tries < 4; tries++) {
		AUTO_CLOSE int shard = -1;
		struct stat st;

		if (disk_state(d) == DISK_OFF)
			return -EIO;
		shard = shard_make(d, id);
		if (shard < 0) {
			r = shard;
			break;
		}
		r = disk_flock(shard, 2 * NSEC_PER_SEC);
		if (r < 0)
			return r;
		if (fstat(shard, &st) == 0 && st.st_nlink > 0)
			return take_fd(&shard);
		r = -ENOENT;
	}
	if (r == -ENOENT)
		disk_gone(d);
	else
		disk_failed(d, r, "make a directory");
	return r;
}

void disk_touch(struct disk *d, int fd)
{
	struct timespec now, times[2];
	struct stat st;

	(void)d;
	clock_gettime(CLOCK_REALTIME, &now);
	if (fstat(fd, &st) < 0 ||
	    (now.tv_sec - st.st_atim.tv_sec < TOUCH_EVERY &&
	     now.tv_sec >= st.st_atim.tv_sec))
		return;
	times[0] = now;
	times[1] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	futimens(fd, times);
}

void disk_bad_page(struct disk *d)
{
	stat_inc(STAT_bad_pages);
	atomic_fetch_add_explicit(&d->bad_pages, 1, memory_order_relaxed);
}

bool disk_is_on(const struct disk *d, dev_t dev)
{
	struct stat st;

	return fstat(d->root, &st) == 0 && st.st_dev == dev;
}

const char *disk_dir(const struct disk *d)
{
	return d->dir;
}

const char *disk_why(const struct disk *d)
{
	return d->why;
}

uint64_t disk_limit(const struct disk *d)
{
	return atomic_load_explicit(&d->limit, memory_order_relaxed);
}

uint64_t disk_extent_limit(const struct disk *d)
{
	return atomic_load_explicit(&d->extent_limit, memory_order_relaxed);
}

bool disk_has_xattr(const struct disk *d)
{
	return atomic_load_explicit(&d->xattr, memory_order_relaxed);
}

void disk_numbers(const struct disk *d, struct disk_numbers *out)
{
	out->files = atomic_load(&d->files);
	out->evicted_bytes = atomic_load(&d->evicted_bytes);
	out->bad_pages = atomic_load(&d->bad_pages);
	out->scrub_bytes = atomic_load(&d->scrub_bytes);
	out->scrub_files = atomic_load(&d->scrub_files);
	out->scrub_bad = atomic_load(&d->scrub_bad);
	out->scrub_passes = atomic_load(&d->scrub_passes);
	out->scrubbed = atomic_load(&d->scrubbed);
}
