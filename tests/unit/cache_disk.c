/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_disk.c - a cache directory is ours, stays in its place and gets well
 */
#include "cache/disk_impl.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cache/extent.h"
#include "tests/unit/cache_dir.h"
#include "tests/unit/run.h"

#define SIZE 10000

static struct dir dir;
static void *page[1];

static void setup(void)
{
	dir_make(&dir);
	page[0] = calloc(1, PAGE_BYTES);
	memset(page[0], 'x', SIZE);
}

static void teardown(void)
{
	dir_remove(&dir);
	free(page[0]);
}

static int sh(const char *fmt, ...) PRINTF_LIKE(1, 2);

static int sh(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

/* Probes as rare as a test wants: 0 is the default of ten seconds. */
static struct disk *open_probing(int64_t every)
{
	struct disk_conf conf = { .dir = dir.path,
				  .size = MIB(512),
				  .probe_every = every };
	struct disk *d = NULL;
	char why[256] = "";

	ck_assert_msg(disk_open(&conf, &d, why) == 0, "%s", why);
	return d;
}

static int try_open(const char *path, char why[static 256])
{
	struct disk_conf conf = { .dir = path, .size = MIB(512) };
	struct disk *d = NULL;
	int r = disk_open(&conf, &d, why);

	disk_close(d);
	return r;
}

static int store(struct disk *d, const char *key)
{
	struct disk_id id = id_of(key, SIZE);

	return extent_write_small(d, &id, SIZE, page, NULL);
}

static int fetch(struct disk *d, const char *key)
{
	struct disk_id id = id_of(key, SIZE);
	char buf[PAGE_BYTES];
	struct extent *e;
	int r = extent_open(d, &id, SIZE, &e);

	if (r < 0)
		return r;
	r = extent_read(e, 0, 1, buf, false);
	if (r == 1 && memcmp(buf, page[0], SIZE) != 0)
		r = -EBADMSG;
	extent_close(e);
	return r;
}

static void path_to(const struct disk_id *id, char out[static 256], int depth)
{
	int n = snprintf(out, 256, "%s/v1/%02x", dir.path, id->b[0]);

	if (depth > 1)
		n += snprintf(out + n, 256 - (size_t)n, "/%02x", id->b[1]);
	for (int i = 2; depth > 2 && i < DISK_ID_LEN; i++)
		n += snprintf(out + n, 256 - (size_t)n, "%s%02x",
			      i == 2 ? "/" : "", id->b[i]);
}

START_TEST(no_two_things_have_the_same_name)
{
	struct str a = str_of("a"), b = str_of("b"), ab = str_of("ab");
	struct disk_id ids[] = {
		disk_extent_id(a, b, ab, 0, 1),
		disk_extent_id(ab, STR_EMPTY, ab, 0, 1),
		disk_extent_id(STR_EMPTY, ab, ab, 0, 1),
		disk_extent_id(a, b, ab, 1, 0),
		disk_extent_id(a, b, ab, 0, 2),
		disk_extent_id(a, str_of("bab"), STR_EMPTY, 0, 1),
		disk_extent_id(a, (struct str){ "b\0", 2 }, ab, 0, 1),
		disk_listing_id(a, b, ab),
		disk_listing_id(a, ab, b),
	};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		for (size_t k = 0; k < i; k++)
			ck_assert(memcmp(&ids[i], &ids[k], sizeof(ids[0])));
	ids[1] = disk_extent_id(a, b, ab, 0, 1);
	ck_assert(memcmp(&ids[0], &ids[1], sizeof(ids[0])) == 0);
}
END_TEST

START_TEST(files_are_made_published_opened_and_removed)
{
	struct disk *d = dir_open(&dir, 0);
	struct disk_id id = id_of("k", 1);
	char name[DISK_TMP_MAX];
	int fd;

	ck_assert_int_eq(disk_open_file(d, &id, ".lst", O_RDONLY, &fd),
			 -ENOENT);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(disk_tmp(d, name, &fd), 0);
		ck_assert_int_eq(write(fd, i ? "two" : "one", 3), 3);
		close(fd);
		ck_assert_int_eq(disk_publish(d, name, &id, ".lst", i == 1), 0);
	}
	ck_assert_int_eq(disk_tmp(d, name, &fd), 0);
	close(fd);
	ck_assert_int_eq(disk_publish(d, name, &id, ".lst", false), -EEXIST);
	disk_tmp_drop(d, name);
	ck_assert_int_eq(disk_open_file(d, &id, ".lst", O_RDONLY, &fd), 0);
	ck_assert_int_eq(read(fd, name, 4), 3);
	ck_assert(memcmp(name, "two", 3) == 0);
	close(fd);
	ck_assert_int_eq(disk_open_file(d, &id, "", O_RDONLY, &fd), -ENOENT);
	ck_assert_int_eq(disk_unlink(d, &id, ".lst"), 0);
	ck_assert_int_eq(disk_unlink(d, &id, ".lst"), -ENOENT);
	/* Nothing is left behind but directories: a probe's file goes, too. */
	WAIT_UNTIL(sh("test -z \"$(find %s/v1 %s/tmp -type f)\"", dir.path,
		      dir.path) == 0);
	disk_close(d);
	disk_close(NULL);
}
END_TEST

START_TEST(a_missing_directory_is_made_with_its_parents)
{
	char path[200], why[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/a/b/c///", dir.base);
	ck_assert_int_eq(try_open(path, why), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	snprintf(path, sizeof(path), "%s/a/b", dir.base);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0077, 0055);
}
END_TEST

START_TEST(B12_a_directory_that_others_may_write_is_refused_with_the_fix)
{
	char why[256];

	ck_assert_int_eq(mkdir(dir.path, 0700), 0);
	ck_assert_int_eq(chmod(dir.path, _i ? 0770 : 0777), 0);
	ck_assert_int_eq(try_open(dir.path, why), -EPERM);
	ck_assert_ptr_nonnull(strstr(why, dir.path));
	ck_assert_ptr_nonnull(strstr(why, "chmod 700"));
	ck_assert_int_eq(chmod(dir.path, 0700), 0);
	ck_assert_int_eq(try_open(dir.path, why), 0);
}
END_TEST

START_TEST(B12_a_symlink_is_refused_with_the_fix)
{
	char target[100], why[256], path[100];

	snprintf(target, sizeof(target), "%s/target", dir.base);
	ck_assert_int_eq(mkdir(target, 0700), 0);
	ck_assert_int_eq(symlink(target, dir.path), 0);
	snprintf(path, sizeof(path), "%s%s", dir.path, _i ? "/" : "");
	ck_assert_int_eq(try_open(path, why), -EPERM);
	ck_assert_ptr_nonnull(strstr(why, "symlink"));
	ck_assert_int_eq(rmdir(target), 0); /* nothing was made in it */
}
END_TEST

START_TEST(B12_a_directory_of_another_owner_is_refused_with_the_fix)
{
	char why[256], part[128];

	if (geteuid() != 0)
		return;
	snprintf(part, sizeof(part), "%s%s", dir.path, _i ? "/v1" : "");
	ck_assert_int_eq(try_open(dir.path, why), 0);
	ck_assert_int_eq(chown(part, 12345, 12345), 0);
	ck_assert_int_eq(try_open(dir.path, why), -EPERM);
	ck_assert_ptr_nonnull(strstr(why, "12345"));
	ck_assert_ptr_nonnull(strstr(why, "chown"));
}
END_TEST

START_TEST(B12_a_directory_with_other_things_in_it_is_left_alone)
{
	char why[256], path[128];

	ck_assert_int_eq(mkdir(dir.path, 0700), 0);
	ck_assert_int_eq(sh("mkdir %s/tmp && touch -d '3 days ago' "
			    "%s/tmp/thesis",
			    dir.path, dir.path),
			 0);
	ck_assert_int_eq(try_open(dir.path, why), -ENOTEMPTY);
	ck_assert_ptr_nonnull(strstr(why, "'tmp'"));
	snprintf(path, sizeof(path), "%s/tmp/thesis", dir.path);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(sh("test \"$(ls %s)\" = tmp", dir.path), 0);
}
END_TEST

START_TEST(a_format_of_another_kind_is_refused)
{
	static const char *const texts[] = {
		"",
		"tarn cache 2\nextent-limit 1073741824\nsize 0\n",
		"tarn cache 1\nextent-limit 5\nsize 0\n",
		"tarn cache 1\nextent-limit 1073741824\nsize 0\nmore",
		"tarn cache 1\nextent-limit 107374",
	};
	char why[256], path[128];
	FILE *f;

	ck_assert_int_eq(try_open(dir.path, why), 0);
	snprintf(path, sizeof(path), "%s/format", dir.path);
	f = fopen(path, "w");
	fputs(texts[_i], f);
	fclose(f);
	ck_assert_int_eq(try_open(dir.path, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "remove"));
}
END_TEST

START_TEST(an_explicit_size_stays_with_the_directory)
{
	struct disk_conf conf = { .dir = dir.path, .size = MIB(64) };
	struct disk *d = NULL;
	char why[256];
	static const struct {
		uint64_t size;
		bool explicit;
		uint64_t limit;
	} opens[] = {
		{ 64 << 20, false, 64 << 20 }, { 32 << 20, false, 32 << 20 },
		{ 16 << 20, true, 16 << 20 },  { 32 << 20, false, 16 << 20 },
		{ 80 << 20, true, 80 << 20 },  { 32 << 20, false, 80 << 20 }
	};

	for (size_t i = 0; i < ARRAY_SIZE(opens); i++) {
		conf.size = opens[i].size;
		conf.size_explicit = opens[i].explicit;
		ck_assert_int_eq(disk_open(&conf, &d, why), 0);
		ck_assert_uint_eq(disk_limit(d), opens[i].limit);
		/* As it was made. */
		ck_assert_uint_eq(disk_extent_limit(d), 16 << 20);
		disk_close(d);
	}
}
END_TEST

static void plant_fifo(const char *path)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void plant_symlink(const char *path)
{
	char target[128];

	snprintf(target, sizeof(target), "%s/target", dir.base);
	ck_assert_int_eq(sh("echo precious > %s", target), 0);
	ck_assert_int_eq(symlink(target, path), 0);
}

static void plant_directory(const char *path)
{
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void plant_foreign(const char *path)
{
	ck_assert_int_eq(sh("head -c 10000 /dev/zero > %s", path), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(path, 12345, 12345), 0);
}

static void plant_old(const char *path)
{
	ck_assert_int_eq(sh("head -c 10000 /dev/zero > %s", path), 0);
}

static void (*const plants[])(const char *) = { plant_fifo, plant_symlink,
						plant_directory, plant_foreign,
						plant_old };

START_TEST(B7_what_is_planted_in_a_files_place_is_removed_and_never_followed)
{
	struct disk *d = dir_open(&dir, 0);
	struct disk_id id = id_of("k", SIZE);
	char path[256], target[128];
	int fd;

	ck_assert_int_eq(store(d, "k"), 0);
	path_to(&id, path, 3);
	for (int write = 0; write < 3; write++) {
		ck_assert_int_eq(unlink(path), 0);
		plants[_i](path);
		if (write == 0) {
			ck_assert_int_eq(fetch(d, "k"), -ENOENT);
			ck_assert_int_eq(access(path, F_OK), -1);
		} else if (write == 1 && plants[_i] != plant_old) {
			ck_assert_int_eq(
			    disk_open_file(d, &id, "", O_RDWR, &fd), -ENOENT);
			ck_assert_int_eq(access(path, F_OK), -1);
		}
		ck_assert_int_eq(store(d, "k"), 0);
		ck_assert_int_eq(fetch(d, "k"), 1);
	}
	if (plants[_i] == plant_symlink) {
		snprintf(target, sizeof(target), "%s/target", dir.base);
		ck_assert_int_eq(sh("grep -qx precious %s", target), 0);
	}
	disk_close(d);
}
END_TEST

START_TEST(B7_a_shard_that_is_a_symlink_leads_nowhere)
{
	struct disk *d = dir_open(&dir, 0);
	struct disk_id id = id_of("k", SIZE);
	char path[256], outside[128];

	snprintf(outside, sizeof(outside), "%s/outside", dir.base);
	ck_assert_int_eq(store(d, "k"), 0);
	path_to(&id, path, 1 + _i);
	ck_assert_int_eq(rename(path, outside), 0);
	ck_assert_int_eq(symlink(outside, path), 0);
	ck_assert_int_eq(fetch(d, "k"), -ENOENT);
	ck_assert_int_lt(disk_unlink(d, &id, ""), 0);
	ck_assert_int_eq(disk_evict_to(d, 0), 0);
	ck_assert_int_eq(sh("test $(find %s -type f | wc -l) = 1", outside), 0);
	ck_assert_int_eq(store(d, "k"), 0);
	ck_assert_int_eq(fetch(d, "k"), 1);
	ck_assert_int_eq(sh("test $(find %s -type f | wc -l) = 1", outside), 0);
	disk_close(d);
}
END_TEST

/* Refuse openat2 as an old kernel (ENOSYS) or a sandbox (EPERM) does. */
static void forbid_openat2(unsigned err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(9);
}

START_TEST(without_openat2_all_is_the_same)
{
	struct disk_id id = id_of("k", SIZE);
	char path[256], outside[128];
	pid_t pid = fork();
	struct disk *d;
	int status;

	if (pid == 0) {
		forbid_openat2(_i ? EPERM : ENOSYS);
		ck_assert_int_eq(syscall(SYS_openat2, 0, "", NULL, 0), -1);
		d = dir_open(&dir, 0);
		if (store(d, "k") != 0 || fetch(d, "k") != 1)
			_exit(1);
		path_to(&id, path, 1);
		snprintf(outside, sizeof(outside), "%s/outside", dir.base);
		if (rename(path, outside) < 0 || symlink(outside, path) < 0)
			_exit(2);
		if (fetch(d, "k") != -ENOENT || store(d, "k") != 0 ||
		    fetch(d, "k") != 1)
			_exit(3);
		disk_close(d);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(B10_a_removed_directory_is_made_again)
{
	struct disk *d = dir_open(&dir, 0);
	struct disk_id id = id_of("held", SIZE);
	struct extent *held;
	char buf[PAGE_BYTES];

	ck_assert_int_eq(extent_write_small(d, &id, SIZE, page, &held), 0);
	dir_rm(dir.path);
	/* Open files go on, new ones fail until the probe comes. */
	ck_assert_int_eq(extent_read(held, 0, 1, buf, false) | 1, 1);
	ck_assert_int_lt(fetch(d, "held"), 0);
	WAIT_UNTIL(store(d, "new") == 0);
	ck_assert_int_eq(fetch(d, "new"), 1);
	WAIT_UNTIL(disk_state(d) == DISK_OK);
	ck_assert_int_eq(extent_read(held, 0, 1, buf, false), 1);
	ck_assert(memcmp(buf, page[0], SIZE) == 0);
	extent_close(held);
	ck_assert_int_eq(disk_recount(d, NULL, NULL), 0);
	disk_close(d);
}
END_TEST

/* A thread of the daemon may make its file just while all is removed. */
START_TEST(B10_what_a_removal_missed_does_not_keep_it_from_being_made_again)
{
	static const char *const names[] = { "usage", "lock", "scrub",
					     "forgotten-0123" };
	char path[128];
	struct disk *d;
	int fd;

	ck_assert_int_eq(mkdir(dir.path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s", dir.path, names[_i]);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	d = dir_open(&dir, 0);
	WAIT_UNTIL(disk_state(d) == DISK_OK && store(d, "new") == 0);
	disk_close(d);
}
END_TEST

START_TEST(B10_a_moved_directory_is_not_written_to)
{
	struct disk *d = dir_open(&dir, 0);
	char moved[128];

	ck_assert_int_eq(store(d, "before"), 0);
	snprintf(moved, sizeof(moved), "%s/moved", dir.base);
	ck_assert_int_eq(rename(dir.path, moved), 0);
	/* The probe sees it and makes a new one. */
	WAIT_UNTIL(access(dir.path, F_OK) == 0);
	WAIT_UNTIL(disk_state(d) == DISK_OK);
	WAIT_UNTIL(fetch(d, "before") == -ENOENT);
	ck_assert_int_eq(store(d, "after"), 0);
	ck_assert_int_eq(fetch(d, "after"), 1);
	ck_assert_int_eq(sh("test $(find %s/v1 -type f | wc -l) = 1", moved),
			 0);
	disk_close(d);
}
END_TEST

START_TEST(B10_what_others_put_in_its_place_is_judged_first)
{
	struct disk *d = dir_open(&dir, 0);
	char moved[128], target[128];

	snprintf(moved, sizeof(moved), "%s/moved", dir.base);
	snprintf(target, sizeof(target), "%s/target", dir.base);
	ck_assert_int_eq(mkdir(target, 0700), 0);
	ck_assert_int_eq(rename(dir.path, moved), 0);
	ck_assert_int_eq(symlink(target, dir.path), 0);
	WAIT_UNTIL(disk_state(d) == DISK_OFF);
	ck_assert_int_eq(store(d, "k"), -EIO);
	ck_assert_int_eq(fetch(d, "k"), -EIO);
	ck_assert_int_eq(rmdir(target), 0);
	ck_assert_int_eq(unlink(dir.path), 0);
	WAIT_UNTIL(disk_state(d) == DISK_OK);
	ck_assert_int_eq(store(d, "k"), 0);
	disk_close(d);
}
END_TEST

static bool ok_once_probed(struct disk *d)
{
	disk_kick(d, &d->kick_health);
	return disk_state(d) == DISK_OK;
}

START_TEST(B3_errors_degrade_then_turn_off_and_a_probe_takes_back)
{
	struct disk *d = open_probing(0);

	for (int i = 0; i < 12; i++)
		disk_failed(d, i % 2 ? -ENOENT : -EMFILE, "not its fault");
	ck_assert(disk_state(d) == DISK_OK);
	for (int i = 0; i < 3; i++) {
		ck_assert(disk_state(d) == DISK_OK);
		ck_assert(disk_admit(d, 4096));
		disk_failed(d, -EIO, "test");
	}
	ck_assert(disk_state(d) == DISK_DEGRADED);
	ck_assert(!disk_admit(d, 4096));
	ck_assert_int_eq(store(d, "k"), 0);
	ck_assert_int_eq(fetch(d, "k"), 1);
	for (int i = 0; i < 7; i++)
		disk_failed(d, i % 2 ? -EROFS : -EIO, "test");
	ck_assert(disk_state(d) == DISK_OFF);
	ck_assert_int_eq(fetch(d, "k"), -EIO);
	/* Two: the first sees that errors came since the one before. */
	WAIT_UNTIL(ok_once_probed(d));
	ck_assert_int_eq(fetch(d, "k"), 1);
	ck_assert(disk_admit(d, 4096));
	disk_failed(d, -EIO, "test");
	ck_assert(disk_state(d) == DISK_OK);
	disk_close(d);
}
END_TEST

START_TEST(B4_a_disk_turned_read_only_is_off_until_it_is_writable)
{
	struct disk *d;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(mkdir(dir.path, 0700), 0);
	ck_assert_int_eq(
	    mount("tarn-test", dir.path, "tmpfs", 0, "size=16m,mode=0700"), 0);
	d = dir_open(&dir, 0);
	ck_assert_int_eq(store(d, "k"), 0);
	/* EBUSY while one of the disk's threads has a file open to write. */
	WAIT_UNTIL(
	    mount("", dir.path, "", MS_REMOUNT | MS_RDONLY, "size=16m") == 0);
	ck_assert_int_lt(store(d, "other"), 0);
	WAIT_UNTIL(disk_state(d) == DISK_OFF);
	ck_assert_int_eq(mount("", dir.path, "", MS_REMOUNT, "size=16m"), 0);
	WAIT_UNTIL(disk_state(d) == DISK_OK);
	ck_assert_int_eq(fetch(d, "k"), 1);
	ck_assert_int_eq(store(d, "other"), 0);
	disk_close(d);
	ck_assert_int_eq(umount2(dir.path, MNT_DETACH), 0);
}
END_TEST

START_TEST(B4_a_disk_that_is_read_only_at_first_is_taken_in_later)
{
	struct disk *d;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(mkdir(dir.path, 0700), 0);
	ck_assert_int_eq(mount("tarn-test", dir.path, "tmpfs", MS_RDONLY,
			       "size=16m,mode=0700"),
			 0);
	d = dir_open(&dir, 0);
	ck_assert(disk_state(d) == DISK_OFF);
	ck_assert_ptr_nonnull(strstr(disk_why(d), dir.path));
	ck_assert_ptr_nonnull(strstr(disk_why(d), "remount"));
	ck_assert(!disk_admit(d, SIZE));
	ck_assert_int_eq(store(d, "k"), -EIO);
	ck_assert_int_eq(fetch(d, "k"), -EIO);
	ck_assert_uint_eq(disk_evict_to(d, 0), 0);
	ck_assert_int_eq(mount("", dir.path, "", MS_REMOUNT, "size=16m"), 0);
	WAIT_UNTIL(disk_state(d) == DISK_OK);
	ck_assert_int_eq(store(d, "k"), 0);
	ck_assert_int_eq(fetch(d, "k"), 1);
	ck_assert_uint_eq(disk_limit(d), UINT64_C(1) << 30);
	disk_close(d);
	ck_assert_int_eq(umount2(dir.path, MNT_DETACH), 0);
}
END_TEST

#ifndef EXT4_IOC_SHUTDOWN
#define EXT4_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#endif

START_TEST(B3_a_dead_disk_is_an_error_and_never_a_signal)
{
	uint32_t nologflush = 2;
	struct disk *d;
	char image[128];
	int fd;

	if (geteuid() != 0)
		return;
	snprintf(image, sizeof(image), "%s/image", dir.base);
	ck_assert_int_eq(mkdir(dir.path, 0700), 0);
	if (sh("truncate -s 64M %s && mkfs.ext4 -q -F %s && "
	       "mount -o loop %s %s",
	       image, image, image, dir.path) != 0)
		return; /* no loop devices here */
	ck_assert_int_eq(chmod(dir.path, 0700), 0);
	d = dir_open(&dir, 0);
	ck_assert_int_eq(store(d, "k"), 0);
	ck_assert_int_eq(fetch(d, "k"), 1);
	fd = open(dir.path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(ioctl(fd, EXT4_IOC_SHUTDOWN, &nologflush), 0);
	close(fd);
	ck_assert_int_lt(store(d, "other"), 0);
	WAIT_UNTIL(disk_state(d) == DISK_OFF);
	disk_admit(d, 5 * 4096);
	disk_usage_sync(d);
	ck_assert_int_lt(disk_recount(d, NULL, NULL) | -1, 0);
	disk_close(d);
	ck_assert_int_eq(umount2(dir.path, MNT_DETACH), 0);
}
END_TEST

static uint64_t walked(struct disk *d)
{
	uint64_t bytes, files;

	ck_assert_int_eq(disk_recount(d, &bytes, &files), 0);
	return bytes;
}

START_TEST(B11_processes_count_together_and_a_walk_mends_what_a_kill_lost)
{
	struct disk *d[2] = { dir_open(&dir, 0), dir_open(&dir, 0) };
	char key[16];

	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "%d", i);
		ck_assert(disk_admit(d[i % 2], SIZE));
		ck_assert_int_eq(store(d[i % 2], key), 0);
	}
	disk_usage_sync(d[0]);
	disk_usage_sync(d[1]);
	disk_usage_sync(d[0]);
	ck_assert_uint_eq(disk_bytes(d[0]), disk_bytes(d[1]));
	ck_assert_uint_eq(walked(d[0]), 40 * 12288);
	ck_assert_uint_eq(disk_bytes(d[0]), 40 * 12288);
	ck_assert_uint_eq(numbers_of(d[0]).files, 40);
	/* Counted by nobody, as after a kill. */
	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "more %d", i);
		ck_assert_int_eq(store(d[1], key), 0);
	}
	ck_assert_uint_eq(walked(d[0]), 50 * 12288);
	disk_usage_sync(d[1]);
	ck_assert_uint_eq(disk_bytes(d[1]), 50 * 12288);
	disk_close(d[0]);
	disk_close(d[1]);
	/* A new start knows it at once. */
	d[0] = dir_open(&dir, 0);
	ck_assert_uint_eq(disk_bytes(d[0]), 50 * 12288);
	disk_close(d[0]);
}
END_TEST

START_TEST(a_count_that_rotted_is_mended)
{
	struct disk *d = dir_open(&dir, 0);
	char path[128];

	ck_assert(disk_admit(d, SIZE));
	ck_assert_int_eq(store(d, "k"), 0);
	disk_close(d);
	snprintf(path, sizeof(path), "%s/usage", dir.path);
	ck_assert_int_eq(sh(_i ? "truncate -s 3 %s"
			       : "printf '\\377\\377\\377\\377\\377\\377\\377"
				 "\\377more' > %s",
			    path),
			 0);
	d = dir_open(&dir, 0);
	ck_assert_uint_eq(walked(d), 12288);
	ck_assert_uint_eq(disk_bytes(d), 12288);
	disk_close(d);
}
END_TEST

START_TEST(strays_in_tmp_are_removed_after_an_hour)
{
	struct disk *d = dir_open(&dir, 0);
	char old[128], young[128];

	disk_close(d);
	snprintf(old, sizeof(old), "%s/tmp/old", dir.path);
	snprintf(young, sizeof(young), "%s/tmp/young", dir.path);
	ck_assert_int_eq(
	    sh("touch %s && touch -d '2 hours ago' %s", young, old), 0);
	d = dir_open(&dir, 0);
	WAIT_UNTIL(access(old, F_OK) < 0);
	ck_assert_int_eq(access(young, F_OK), 0);
	disk_close(d);
}
END_TEST

START_TEST(a_shard_is_locked_between_threads_and_never_for_ever)
{
	struct disk *d = dir_open(&dir, 0);
	struct disk_id a = id_of("a", 1), b = id_of("b", 1);
	int la = disk_lock_shard(d, &a), lb;

	ck_assert_int_ge(la, 0);
	lb = disk_lock_shard(d, &b);
	ck_assert_int_ge(lb, 0);
	close(lb);
	ck_assert_int_eq(disk_lock_shard(d, &a), -EBUSY);
	close(la);
	la = disk_lock_shard(d, &a);
	ck_assert_int_ge(la, 0);
	close(la);
	disk_close(d);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("disk");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, no_two_things_have_the_same_name);
	tcase_add_test(t, files_are_made_published_opened_and_removed);
	tcase_add_test(t, a_missing_directory_is_made_with_its_parents);
	tcase_add_loop_test(
	    t, B12_a_directory_that_others_may_write_is_refused_with_the_fix, 0,
	    2);
	tcase_add_loop_test(t, B12_a_symlink_is_refused_with_the_fix, 0, 2);
	tcase_add_loop_test(
	    t, B12_a_directory_of_another_owner_is_refused_with_the_fix, 0, 2);
	tcase_add_test(t,
		       B12_a_directory_with_other_things_in_it_is_left_alone);
	tcase_add_loop_test(t, a_format_of_another_kind_is_refused, 0, 5);
	tcase_add_test(t, an_explicit_size_stays_with_the_directory);
	tcase_add_loop_test(
	    t,
	    B7_what_is_planted_in_a_files_place_is_removed_and_never_followed,
	    0, ARRAY_SIZE(plants));
	tcase_add_loop_test(t, B7_a_shard_that_is_a_symlink_leads_nowhere, 0,
			    2);
	tcase_add_loop_test(t, without_openat2_all_is_the_same, 0, 2);
	tcase_add_test(t, B10_a_removed_directory_is_made_again);
	tcase_add_loop_test(
	    t, B10_what_a_removal_missed_does_not_keep_it_from_being_made_again,
	    0, 4);
	tcase_add_test(t, B10_a_moved_directory_is_not_written_to);
	tcase_add_test(t, B10_what_others_put_in_its_place_is_judged_first);
	tcase_add_test(t,
		       B3_errors_degrade_then_turn_off_and_a_probe_takes_back);
	tcase_add_test(t,
		       B4_a_disk_turned_read_only_is_off_until_it_is_writable);
	tcase_add_test(t,
		       B4_a_disk_that_is_read_only_at_first_is_taken_in_later);
	tcase_add_test(t, B3_a_dead_disk_is_an_error_and_never_a_signal);
	tcase_add_test(
	    t, B11_processes_count_together_and_a_walk_mends_what_a_kill_lost);
	tcase_add_loop_test(t, a_count_that_rotted_is_mended, 0, 2);
	tcase_add_test(t, strays_in_tmp_are_removed_after_an_hour);
	tcase_add_test(t, a_shard_is_locked_between_threads_and_never_for_ever);
	return RUN_CASES(t);
}
