/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_fs.c - a mount of file:// in this process, so that sanitizers see it
 *
 * Needs root and /dev/fuse; without them there is nothing to test and the
 * suite is empty, with the reason on stderr.
 */
#include "fuse/fs.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "base/stats.h"
#include "cache/cache.h"
#include "fuse/mount.h"
#include "tests/unit/run.h"
#include "ufs/ufs.h"

#define BIG (3 * 1048576 + 4321)

static char top[64], src[96], mnt[96], dir_cache[96];
static unsigned char *big;

/* Of the mounts that a test makes; setup() puts them back. */
static size_t inode_bytes;
static bool prune_by_name;

static struct ufs *ufs;
static struct cache *cache;
static struct fs *fs;
static pthread_t server;
static int served;

static const char *path(const char *dir, const char *name)
{
	static _Thread_local char buf[4][PATH_MAX];
	static _Thread_local unsigned i;
	char *p = buf[i++ % 4];

	snprintf(p, PATH_MAX, "%s/%s", dir, name);
	return p;
}

/* By rename: a version is never changed in place. */
static void put(const char *name, const void *bytes, size_t n)
{
	int fd = open(path(src, "tmp~"), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, n), n);
	close(fd);
	ck_assert_int_eq(rename(path(src, "tmp~"), path(src, name)), 0);
}

static void *serve(void *arg)
{
	(void)arg;
	served = fs_serve(fs);
	return NULL;
}

static struct fs_conf fs_conf(enum consistency consistency, bool passthrough)
{
	return (struct fs_conf){
		.cache = cache,
		.file_mode = 0640,
		.dir_mode = 0750,
		.uid = 12,
		.gid = 34,
		.consistency = consistency,
		.small_file = MIB(1),
		.passthrough = passthrough,
		.inode_bytes = inode_bytes,
		.prune_by_name = prune_by_name,
		.source = src,
		.dir = mnt,
		.allow_other = true,
		.exec = true,
	};
}

static void mount_it(enum consistency consistency, bool passthrough, bool ssd)
{
	struct ufs_conf uc = {
		.metadata_timeout = 30000000000,
		.read_timeout = 60000000000,
		.stall_timeout = 10000000000,
	};
	struct cache_conf cc = {
		.percent = 50,
		.memory = MIB(64),
		.consistency = consistency,
		.ttl = 60000000000,
		.negative_ttl = 5000000000,
		.read_timeout = 60000000000,
		.small_file = MIB(1),
		.readahead = MIB(32),
		.max_connections = 16,
	};
	struct fs_conf fc;
	char url[128], why[256];

	snprintf(url, sizeof(url), "file://%s", src);
	uc.url = url;
	ck_assert_msg(ufs_open(&uc, &ufs, why) == 0, "%s", why);
	cc.ufs = ufs;
	cc.dirs[0] = dir_cache;
	cc.ndirs = ssd ? 1 : 0;
	ck_assert_msg(cache_new(&cc, &cache, why) == 0, "%s", why);
	fc = fs_conf(consistency, passthrough);
	ck_assert_int_eq(fs_new(&fc, &fs), 0);
	ck_assert_msg(fs_mount(fs, why) == 0, "%s", why);
}

static void start(enum consistency consistency, bool passthrough, bool ssd)
{
	mount_it(consistency, passthrough, ssd);
	ck_assert_int_eq(pthread_create(&server, NULL, serve, NULL), 0);
}

static void stop(void)
{
	struct mount_entry e;

	fs_stop(fs);
	ck_assert_int_eq(pthread_join(server, NULL), 0);
	ck_assert_int_eq(served, 0);
	fs_free(fs);
	cache_free(cache);
	ufs_close(ufs);
	ck_assert_int_eq(mount_find(mnt, &e), -ENOENT);
	ck_assert_int_eq(stat_read(STAT_inodes), 0);
	ck_assert_int_eq(stat_read(STAT_handles), 0);
}

static void setup(void)
{
	inode_bytes = 0;
	prune_by_name = false;
	strcpy(top, "/tmp/tarn-fs-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(src, sizeof(src), "%s/src", top);
	snprintf(mnt, sizeof(mnt), "%s/mnt", top);
	snprintf(dir_cache, sizeof(dir_cache), "%s/cache", top);
	ck_assert_int_eq(mkdir(src, 0755), 0);
	ck_assert_int_eq(mkdir(mnt, 0755), 0);
	ck_assert_int_eq(mkdir(path(src, "d"), 0755), 0);
	big = malloc(BIG);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (unsigned char)(i * 2654435761U >> 13);
	put("big", big, BIG);
	put("small", big, 110000);
	put("empty", big, 0);
	put("d/x", "x\n", 2);
}

static void teardown(void)
{
	char command[128];

	free(big);
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

/* All of a file, read in pieces of step bytes through flags. */
static void expect_file(const char *name, size_t n, size_t step, int flags)
{
	int fd = open(path(mnt, name), O_RDONLY | flags);
	unsigned char *buf = aligned_alloc(4096, MIB(1));
	size_t at = 0;

	ck_assert_msg(fd >= 0, "open %s: %s", name, strerror(errno));
	for (;;) {
		ssize_t got = pread(fd, buf, step, (off_t)at);

		ck_assert_msg(got >= 0, "read %s at %zu: %s", name, at,
			      strerror(errno));
		if (got == 0)
			break;
		ck_assert_int_eq(memcmp(buf, big + at, (size_t)got), 0);
		at += (size_t)got;
	}
	ck_assert_uint_eq(at, n);
	free(buf);
	close(fd);
}

static void expect_all(void)
{
	expect_file("big", BIG, MIB(1), 0);
	expect_file("big", BIG, 12345, 0);
	expect_file("big", BIG, MIB(1), O_DIRECT);
	expect_file("small", 110000, 4096, 0);
	expect_file("small", 110000, 4096, O_DIRECT);
	expect_file("empty", 0, 4096, 0);
}

/* consistency, passthrough, SSD */
static const struct {
	enum consistency consistency;
	bool passthrough, ssd;
} kinds[] = {
	{ CONSISTENCY_TTL, true, true },
	{ CONSISTENCY_TTL, false, true },
	{ CONSISTENCY_TTL, true, false },
	{ CONSISTENCY_STRICT, true, true },
	{ CONSISTENCY_IMMUTABLE, true, true },
};

START_TEST(every_way_of_reading_gives_the_bytes)
{
	unsigned char *map;
	int fd;

	start(kinds[_i].consistency, kinds[_i].passthrough, kinds[_i].ssd);
	expect_all();
	expect_all();
	fd = open(path(mnt, "big"), O_RDONLY);
	ck_assert_int_ge(fd, 0);
	map = mmap(NULL, BIG, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(memcmp(map, big, BIG), 0);
	munmap(map, BIG);
	ck_assert_int_eq(lseek(fd, 0, SEEK_HOLE), BIG);
	ck_assert_int_eq(lseek(fd, 5, SEEK_DATA), 5);
	close(fd);
	stop();
}
END_TEST

START_TEST(attributes_come_from_the_options_and_the_object)
{
	struct stat st, sd;
	struct statvfs sv;

	start(CONSISTENCY_TTL, true, true);
	ck_assert_int_eq(stat(path(mnt, "small"), &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
	ck_assert_uint_eq(st.st_uid, 12);
	ck_assert_uint_eq(st.st_gid, 34);
	ck_assert_uint_eq(st.st_nlink, 1);
	ck_assert_int_eq(st.st_size, 110000);
	ck_assert_int_eq(st.st_blocks, (110000 + 511) / 512);
	ck_assert_int_eq(stat(path(src, "small"), &sd), 0);
	ck_assert_int_eq(st.st_mtim.tv_sec, sd.st_mtim.tv_sec);
	ck_assert_int_eq(stat(path(mnt, "d"), &sd), 0);
	ck_assert_uint_eq(sd.st_mode, S_IFDIR | 0750);
	ck_assert(st.st_dev == fs_dev(fs));
	ck_assert_int_eq(statvfs(mnt, &sv), 0);
	ck_assert_uint_eq(sv.f_namemax, 255);
	ck_assert(sv.f_flag & ST_RDONLY);
	ck_assert(sv.f_flag & ST_NOSUID);
	stop();
}
END_TEST

START_TEST(a_directory_lists_its_entries_once_and_seeks)
{
	enum { N = 3000 };
	char *seen = calloc(N, 1), name[64];
	struct dirent *e;
	long middle = 0;
	unsigned n = 0, k;
	DIR *d;

	for (int i = 0; i < N; i++) {
		int fd;

		snprintf(name, sizeof(name), "d/file-with-a-long-name-%d", i);
		fd = open(path(src, name), O_WRONLY | O_CREAT, 0644);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
	start(CONSISTENCY_TTL, true, true);
	for (int round = 0; round < 2; round++) {
		d = opendir(path(mnt, "d"));
		ck_assert_ptr_nonnull(d);
		memset(seen, 0, N);
		n = 0;
		while ((e = readdir(d)) != NULL) {
			if (n++ == N / 2)
				middle = telldir(d);
			if (sscanf(e->d_name, "file-with-a-long-name-%u", &k) ==
			    1) {
				ck_assert_int_eq(seen[k]++, 0);
				ck_assert_int_eq(e->d_type, DT_REG);
			}
		}
		ck_assert_uint_eq(n, N + 3); /* x, . and .. */
		seekdir(d, middle);
		for (n = 0; readdir(d) != NULL; n++)
			;
		ck_assert_uint_eq(n, N + 3 - N / 2 - 1);
		closedir(d);
	}
	free(seen);
	stop();
}
END_TEST

/* A reader of the old listing misses nothing when another reads a new one. */
START_TEST(a_directory_that_changes_while_it_is_read_misses_no_name)
{
	enum { N = 1000 };
	char *seen = calloc(N, 1), name[64];
	DIR *slow, *quick;
	struct dirent *e;
	unsigned k;

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "d/y-some-name-%d", i);
		put(name, "", 0);
		snprintf(name, sizeof(name), "d/a-some-name-%d", i);
		put(name, "", 0);
	}
	start(CONSISTENCY_TTL, true, true);
	slow = opendir(path(mnt, "d"));
	for (int i = 0; i < 600; i++)
		ck_assert_ptr_nonnull(readdir(slow));
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "d/a-some-name-%d", i);
		ck_assert_int_eq(unlink(path(src, name)), 0);
	}
	ck_assert_int_eq(fs_invalidate(fs, "d"), 0);
	quick = opendir(path(mnt, "d"));
	k = 0;
	while (readdir(quick) != NULL)
		k++;
	ck_assert_uint_eq(k, N + 3);
	while ((e = readdir(slow)) != NULL)
		if (sscanf(e->d_name, "y-some-name-%u", &k) == 1)
			ck_assert_int_eq(seen[k]++, 0);
	for (int i = 0; i < N; i++)
		ck_assert_msg(seen[i] == 1, "y-some-name-%d", i);
	closedir(slow);
	closedir(quick);
	free(seen);
	stop();
}
END_TEST

START_TEST(all_that_would_write_is_EROFS)
{
	start(CONSISTENCY_TTL, true, true);
	/* Also where the kernel would let it through to us. */
	for (int round = 0; round < 2; round++) {
		errno = 0;
		ck_assert_int_eq(
		    open(path(mnt, "new"), O_CREAT | O_WRONLY, 0644), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(open(path(mnt, "small"), O_RDWR), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(truncate(path(mnt, "small"), 0), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(mkdir(path(mnt, "nd"), 0755), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(unlink(path(mnt, "small")), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(rmdir(path(mnt, "d")), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(rename(path(mnt, "small"), path(mnt, "s2")),
				 -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(symlink("a", path(mnt, "l")), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(link(path(mnt, "small"), path(mnt, "l")), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(chmod(path(mnt, "small"), 0600), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(
		    setxattr(path(mnt, "small"), "user.a", "b", 1, 0), -1);
		ck_assert_int_eq(errno, EROFS);
		ck_assert_int_eq(mount("", mnt, NULL, MS_REMOUNT, NULL), 0);
	}
	stop();
}
END_TEST

START_TEST(getfattr_shows_the_version_and_what_is_cached)
{
	char value[256], list[256];
	ssize_t n;

	start(CONSISTENCY_TTL, true, true);
	n = getxattr(path(mnt, "small"), "user.tarn.version", value, 256);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(
	    getxattr(path(mnt, "small"), "user.tarn.version", NULL, 0), n);
	ck_assert_int_eq(
	    getxattr(path(mnt, "small"), "user.tarn.version", value, 1), -1);
	ck_assert_int_eq(errno, ERANGE);
	n = getxattr(path(mnt, "small"), "user.tarn.cached", value, 255);
	ck_assert_int_gt(n, 0);
	value[n] = '\0';
	ck_assert_str_eq(value, "0");
	expect_file("small", 110000, 4096, 0);
	ck_assert_int_eq(getxattr(path(mnt, "small"), "user.other", value, 9),
			 -1);
	ck_assert_int_eq(errno, ENODATA);
	ck_assert_int_eq(getxattr(path(mnt, "small"), "security.x", value, 9),
			 -1);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	ck_assert_int_gt(listxattr(path(mnt, "small"), list, sizeof(list)), 0);
	ck_assert_int_eq(listxattr(path(mnt, "d"), list, sizeof(list)), 0);
	stop();
}
END_TEST

START_TEST(S3_a_new_version_is_a_new_inode_of_the_same_number)
{
	struct stat before, after, held;
	char text[8] = "";
	int fd;

	put("v", "one", 3);
	start(CONSISTENCY_STRICT, _i == 0, true);
	ck_assert_int_eq(stat(path(mnt, "v"), &before), 0);
	fd = open(path(mnt, "v"), O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, text, sizeof(text), 0), 3);
	put("v", "three", 5);
	ck_assert_int_eq(stat(path(mnt, "v"), &after), 0);
	ck_assert_int_eq(after.st_size, 5);
	ck_assert_uint_eq(after.st_ino, before.st_ino);
	/* The handle keeps its version (S2): size and bytes. */
	ck_assert_int_eq(fstat(fd, &held), 0);
	ck_assert_int_eq(held.st_size, 3);
	ck_assert_int_eq(pread(fd, text, sizeof(text), 0), 3);
	ck_assert_int_eq(memcmp(text, "one", 3), 0);
	close(fd);
	fd = open(path(mnt, "v"), O_RDONLY);
	ck_assert_int_eq(pread(fd, text, sizeof(text), 0), 5);
	ck_assert_int_eq(memcmp(text, "three", 5), 0);
	close(fd);
	ck_assert_int_eq(unlink(path(src, "v")), 0);
	ck_assert_int_eq(open(path(mnt, "v"), O_RDONLY), -1);
	ck_assert_int_eq(errno, ENOENT);
	stop();
}
END_TEST

static size_t count_names(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static bool becomes_at_most(enum stat_id s, int64_t most)
{
	for (int i = 0; i < 2000 && stat_read(s) > most; i++)
		usleep(10000);
	return stat_read(s) <= most;
}

/* By number and by name: what is used stays, what is not goes. */
START_TEST(the_kernel_is_asked_to_forget_above_the_share)
{
	char name[64], cwd[PATH_MAX];
	int held, dir, i;
	struct stat st;

	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "d/%06d", i);
		put(name, "y\n", 2);
	}
	ck_assert_int_eq(mkdir(path(src, "d/cwd"), 0755), 0);
	put("d/cwd/in", "z\n", 2);
	inode_bytes = KIB(200); /* some 1,300 of them */
	prune_by_name = _i == 1;
	start(CONSISTENCY_TTL, true, true);
	held = open(path(mnt, "d/000007"), O_RDONLY);
	ck_assert_int_ge(held, 0);
	dir = open(path(mnt, "d/cwd"), O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dir, 0);
	ck_assert_int_eq(fchdir(dir), 0);
	close(dir);
	ck_assert_uint_eq(count_names(path(mnt, "d")), 3000 + 4);
	for (int round = 0; round < 2; round++)
		for (i = 0; i < 3000; i++) {
			snprintf(name, sizeof(name), "d/%06d", i);
			ck_assert_int_eq(stat(path(mnt, name), &st), 0);
			ck_assert_int_eq(st.st_size, 2);
		}
	ck_assert_int_gt(stat_read(STAT_inode_asks), 0);
	ck_assert(becomes_at_most(STAT_inode_bytes, (int64_t)inode_bytes));
	ck_assert_uint_eq(count_names(path(mnt, "d")), 3000 + 4);
	ck_assert(becomes_at_most(STAT_inode_bytes, (int64_t)inode_bytes));
	/* In use all the time. */
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
	ck_assert_str_eq(cwd, path(mnt, "d/cwd"));
	ck_assert_int_eq(stat("in", &st), 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", held);
	ck_assert_int_gt(readlink(name, cwd, sizeof(cwd)), 0);
	ck_assert_int_eq(strncmp(cwd, path(mnt, "d/000007"), strlen(mnt) + 9),
			 0);
	ck_assert_ptr_null(memmem(cwd, sizeof(cwd), "deleted", 7));
	ck_assert_int_eq(pread(held, cwd, 2, 0), 2);
	close(held);
	ck_assert_int_eq(chdir("/"), 0);
	stop();
}
END_TEST

START_TEST(S1_an_O_DIRECT_open_asks_the_store_and_sees_the_new_version)
{
	char *buf = aligned_alloc(4096, 4096);
	int fd;

	put("v", "one", 3);
	start(CONSISTENCY_TTL, true, true);
	fd = open(path(mnt, "v"), O_RDONLY);
	ck_assert_int_eq(read(fd, buf, 8), 3);
	close(fd);
	put("v", "three", 5);
	fd = open(path(mnt, "v"), O_RDONLY | O_DIRECT);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, buf, 4096), 5);
	ck_assert_int_eq(memcmp(buf, "three", 5), 0);
	close(fd);
	free(buf);
	stop();
}
END_TEST

START_TEST(S7_invalidate_makes_the_next_stat_ask)
{
	struct stat st;

	put("d/v", "one", 3);
	start(CONSISTENCY_IMMUTABLE, true, true);
	ck_assert_int_eq(stat(path(mnt, "d/v"), &st), 0);
	ck_assert_int_eq(stat(path(mnt, "d/w"), &st), -1);
	put("d/v", "three", 5);
	put("d/w", "w", 1);
	ck_assert_int_eq(stat(path(mnt, "d/v"), &st), 0);
	ck_assert_int_eq(st.st_size, 3);
	switch (_i) {
	case 0:
		ck_assert_int_eq(fs_invalidate(fs, "d/v"), 0);
		ck_assert_int_eq(fs_invalidate(fs, "d/w"), 0);
		break;
	case 1:
		ck_assert_int_eq(fs_invalidate(fs, "d"), 0);
		break;
	default:
		ck_assert_int_eq(fs_invalidate(fs, ""), 0);
		break;
	}
	ck_assert_int_eq(stat(path(mnt, "d/v"), &st), 0);
	ck_assert_int_eq(st.st_size, 5);
	ck_assert_int_eq(stat(path(mnt, "d/w"), &st), 0);
	stop();
}
END_TEST

START_TEST(a_path_and_its_key_lead_to_each_other)
{
	char key[UFS_KEY_MAX + 1];
	struct ufs_stat st;
	char *p;
	bool dir;
	size_t n;

	start(CONSISTENCY_TTL, true, true);
	ck_assert_int_eq(fs_resolve(fs, "d/x", key, &n, &dir, &st), 0);
	ck_assert_str_eq(key, "d/x");
	ck_assert(!dir);
	ck_assert_uint_eq(st.size, 2);
	p = fs_path_of(fs, (struct str){ key, n }, dir);
	ck_assert_str_eq(p, "d/x");
	free(p);
	ck_assert_int_eq(fs_resolve(fs, "d/", key, &n, &dir, &st), 0);
	ck_assert_str_eq(key, "d/");
	ck_assert(dir);
	p = fs_path_of(fs, (struct str){ key, n }, dir);
	ck_assert_str_eq(p, "d");
	free(p);
	ck_assert_int_eq(fs_resolve(fs, "", key, &n, &dir, &st), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert(dir);
	p = fs_path_of(fs, STR_EMPTY, true);
	ck_assert_str_eq(p, "");
	free(p);
	p = fs_path_of(fs, str_of("a//b/"), false);
	ck_assert_str_eq(p, "a/%~e/b/%~d");
	free(p);
	ck_assert_int_eq(fs_resolve(fs, "d/none", key, &n, &dir, &st), -ENOENT);
	ck_assert_int_eq(fs_resolve(fs, "d/x/y", key, &n, &dir, &st), -ENOTDIR);
	stop();
}
END_TEST

/* Opens of all kinds of one file at once: which mix is backing.c's matter. */
static void *open_all_ways(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	unsigned char *buf = aligned_alloc(4096, MIB(1));
	intptr_t err = 0;

	for (int i = 0; i < 60 && err == 0; i++) {
		int flags = rand_r(&seed) % 3 == 0 ? O_DIRECT : 0;
		const char *name = rand_r(&seed) % 2 ? "big" : "small";
		size_t at = (size_t)(rand_r(&seed) % 20) * 4096;
		int fd = open(path(mnt, name), O_RDONLY | flags);
		ssize_t got = fd < 0 ? -1 : pread(fd, buf, 8192, (off_t)at);

		if (got != 8192)
			err = got < 0 ? errno : EPROTO;
		else if (memcmp(buf, big + at, 8192) != 0)
			err = EBADMSG;
		if (fd >= 0)
			close(fd);
	}
	free(buf);
	return (void *)err;
}

START_TEST(opens_of_every_kind_mix)
{
	pthread_t threads[8];
	void *err;

	start(kinds[_i].consistency, kinds[_i].passthrough, kinds[_i].ssd);
	for (uintptr_t i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						open_all_ways, (void *)(i + 1)),
				 0);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], &err);
		ck_assert_msg(err == NULL, "%s", strerror((int)(intptr_t)err));
	}
	stop();
}
END_TEST

START_TEST(a_stop_with_open_files_ends_the_mount)
{
	int fd, dirfd;

	start(CONSISTENCY_TTL, _i == 0, true);
	fd = open(path(mnt, "big"), O_RDONLY);
	dirfd = open(path(mnt, "d"), O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(dirfd, 0);
	stop();
	close(fd);
	close(dirfd);
}
END_TEST

START_TEST(an_unmount_from_outside_ends_the_serving)
{
	struct mount_entry e;

	start(CONSISTENCY_TTL, true, true);
	expect_file("d/../small", 110000, 4096, 0);
	ck_assert_int_eq(umount2(mnt, 0), 0);
	ck_assert_int_eq(pthread_join(server, NULL), 0);
	ck_assert_int_eq(served, 0);
	fs_free(fs);
	cache_free(cache);
	ufs_close(ufs);
	ck_assert_int_eq(mount_find(mnt, &e), -ENOENT);
}
END_TEST

START_TEST(a_stop_before_the_serving_is_not_lost)
{
	mount_it(CONSISTENCY_TTL, true, true);
	fs_stop(fs);
	ck_assert_int_eq(pthread_create(&server, NULL, serve, NULL), 0);
	stop();
}
END_TEST

START_TEST(a_mount_that_cannot_be_says_why_and_leaves_nothing)
{
	struct fs_conf fc;
	struct mount_entry e;
	struct fs *other;
	char why[256];

	start(CONSISTENCY_TTL, true, true);
	fc = fs_conf(CONSISTENCY_TTL, true);
	ck_assert_int_eq(fs_new(&fc, &other), 0);
	ck_assert_int_eq(fs_mount(other, why), -EBUSY);
	ck_assert_ptr_nonnull(strstr(why, "already a tarn mount"));
	fs_free(other);
	fc.dir = path(src, "small");
	ck_assert_int_eq(fs_new(&fc, &other), 0);
	ck_assert_int_eq(fs_mount(other, why), -ENOTDIR);
	ck_assert_ptr_nonnull(strstr(why, "not a directory"));
	fs_free(other);
	fc.dir = path(src, "none");
	ck_assert_int_eq(fs_new(&fc, &other), 0);
	ck_assert_int_eq(fs_mount(other, why), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "mkdir"));
	fs_free(other);
	ck_assert_int_eq(mount_find(path(src, "small"), &e), -ENOENT);
	expect_file("small", 110000, 4096, 0); /* the first one lives */
	stop();
}
END_TEST

int main(void)
{
	TCase *c;

	(void)log_open("stderr");
	log_set_level(LOG_LEVEL_WARN);
	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0) {
		fprintf(stderr, "skipped: needs root and /dev/fuse\n");
		return EXIT_SUCCESS;
	}
	c = tcase_create("a mount of file://");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, every_way_of_reading_gives_the_bytes, 0,
			    ARRAY_SIZE(kinds));
	tcase_add_test(c, attributes_come_from_the_options_and_the_object);
	tcase_add_test(c, a_directory_lists_its_entries_once_and_seeks);
	tcase_add_test(
	    c, a_directory_that_changes_while_it_is_read_misses_no_name);
	tcase_add_test(c, all_that_would_write_is_EROFS);
	tcase_add_test(c, getfattr_shows_the_version_and_what_is_cached);
	tcase_add_loop_test(
	    c, S3_a_new_version_is_a_new_inode_of_the_same_number, 0, 2);
	tcase_add_test(
	    c, S1_an_O_DIRECT_open_asks_the_store_and_sees_the_new_version);
	tcase_add_loop_test(c, the_kernel_is_asked_to_forget_above_the_share, 0,
			    2);
	tcase_add_loop_test(c, S7_invalidate_makes_the_next_stat_ask, 0, 3);
	tcase_add_test(c, a_path_and_its_key_lead_to_each_other);
	tcase_add_loop_test(c, opens_of_every_kind_mix, 0, ARRAY_SIZE(kinds));
	tcase_add_loop_test(c, a_stop_with_open_files_ends_the_mount, 0, 2);
	tcase_add_test(c, an_unmount_from_outside_ends_the_serving);
	tcase_add_test(c, a_stop_before_the_serving_is_not_lost);
	tcase_add_test(c, a_mount_that_cannot_be_says_why_and_leaves_nothing);
	return RUN_CASES(c);
}
