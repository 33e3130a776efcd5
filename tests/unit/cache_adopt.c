/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_adopt.c - what was just committed is on the SSD without a fetch
 */
#include <fcntl.h>

#include "cache/disk_impl.h"
#include "cache/sums.h"
#include "tests/unit/object_rig.h"
#include "tests/unit/run.h"

/* A file of the version's first n bytes. The caller closes it. */
static int staged(uint64_t n)
{
	char name[] = "/tmp/tarn-adopt-XXXXXX";
	unsigned char buf[8192];
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	unlink(name);
	for (uint64_t off = 0; off < n; off += sizeof(buf)) {
		size_t len = (size_t)MIN(sizeof(buf), n - off);

		for (size_t i = 0; i < len; i++)
			buf[i] = fake_byte("v1", off + i);
		ck_assert_int_eq(pwrite(fd, buf, len, (off_t)off), len);
	}
	return fd;
}

static int adopt(struct rig *r, uint64_t bytes)
{
	int fd = staged(bytes), err = object_adopt(r->object, fd);

	close(fd);
	return err;
}

static void check_file(struct rig *r, struct cache_file *file)
{
	unsigned char byte;
	uint64_t last = r->store.size - 1;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(lseek(file->fd, 0, SEEK_END), r->store.size);
	ck_assert_int_eq(pread(file->fd, &byte, 1, (off_t)last), 1);
	ck_assert_uint_eq(byte, fake_byte("v1", last));
}

static const uint64_t sizes[] = { 1,          65536,      65537,
				  MIB(1),     MIB(1) + 1, MIB(4) + 65536,
				  MIB(3) + 17 };

START_TEST(what_was_adopted_is_read_and_opened_without_a_get)
{
	struct cache_file *file;
	struct rig r;

	rig_init(&r, sizes[_i], true);
	/* Nobody has it: that is remembered, and no longer so. */
	ck_assert(!object_held(r.object, 0, 1));
	ck_assert_int_eq(adopt(&r, sizes[_i]), 0);
	ck_assert_ptr_nonnull(object_backing(r.object));
	ck_assert_int_eq(open_now(&r, &file), 0);
	check_file(&r, file);
	read_all(&r, 100000);
	ck_assert_uint_eq(cached(&r), sizes[_i]);
	/* And by the next process, which verifies it all. */
	rig_reopen(&r);
	read_all(&r, MIB(1));
	ck_assert_int_eq(open_now(&r, &file), 0);
	check_file(&r, file);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 0);
	rig_fini(&r);
}
END_TEST

static uint64_t blocks;

static int add_blocks(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)path, (void)at;
	if (type == FTW_F)
		blocks += (uint64_t)st->st_blocks;
	return 0;
}

static char beside[80];

/* The version's bytes in a file beside the cache, and their sums. */
static struct sums *staged_beside(struct rig *r, uint64_t n, int *dir)
{
	struct sums *s = sums_new();
	unsigned char buf[8192];
	int fd;

	/* The same file system, and outside of what the rig counts. */
	snprintf(beside, sizeof(beside), "%s.staging", r->dir);
	ck_assert_int_eq(mkdir(beside, 0700), 0);
	*dir = open(beside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(*dir, "staged", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert(s != NULL && *dir >= 0 && fd >= 0);
	for (uint64_t off = 0; off < n; off += sizeof(buf)) {
		size_t len = (size_t)MIN(sizeof(buf), n - off);

		for (size_t i = 0; i < len; i++)
			buf[i] = fake_byte("v1", off + i);
		ck_assert_int_eq(pwrite(fd, buf, len, (off_t)off), len);
		ck_assert_int_eq(sums_room(s, off, len), 0);
		ck_assert_int_eq(sums_begin(s, fd, off, len), 0);
		sums_end(s, buf, len, off);
	}
	close(fd);
	return s;
}

static void remove_beside(int dir)
{
	unlinkat(dir, "staged", 0);
	close(dir);
	ck_assert_int_eq(rmdir(beside), 0);
}

START_TEST(a_large_file_on_the_disk_of_the_cache_is_taken_as_it_is)
{
	uint64_t size = MIB(3) + 17;
	struct cache_file *file;
	struct sums *s;
	struct stat st;
	struct rig r;
	int dir;

	rig_init(&r, size, true);
	s = staged_beside(&r, size, &dir);
	ck_assert_int_eq(object_take(r.object, dir, "staged", s), 0);
	ck_assert_int_eq(fstatat(dir, "staged", &st, 0), 0);
	ck_assert_uint_eq(st.st_nlink, 2);
	ck_assert_int_eq(unlinkat(dir, "staged", 0), 0);
	ck_assert_int_eq(open_now(&r, &file), 0);
	check_file(&r, file);
	read_all(&r, 100000);
	ck_assert_uint_eq(cached(&r), size);
	rig_reopen(&r);
	read_all(&r, MIB(1));
	ck_assert_int_eq(open_now(&r, &file), 0);
	check_file(&r, file);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 0);
	sums_free(s);
	remove_beside(dir);
	rig_fini(&r);
}
END_TEST

/* _i: a small one, a file that is too short, sums that are not of all. */
START_TEST(what_cannot_be_taken_leaves_nothing)
{
	uint64_t size = _i == 0 ? MIB(1) : MIB(2);
	struct sums *s;
	struct rig r;
	int dir;

	rig_init(&r, size, true);
	s = staged_beside(&r, size, &dir);
	if (_i == 1) {
		int fd = openat(dir, "staged", O_RDWR | O_CLOEXEC);

		ck_assert_int_eq(ftruncate(fd, MIB(2) - 1), 0);
		close(fd);
	}
	if (_i == 2)
		sums_cut(s, MIB(2) - SUM_PAGE);
	ck_assert_int_eq(object_take(r.object, dir, "staged", s),
			 _i == 0 ? -EXDEV : -ENODATA);
	ck_assert(!object_held(r.object, 0, 1));
	ck_assert_uint_eq(disk_bytes(r.cache->disks[0]), 0);
	blocks = 0;
	nftw(r.cache->conf.dirs[0], add_blocks, 16, FTW_PHYS);
	ck_assert_uint_lt(blocks * 512, KIB(256));
	sums_free(s);
	remove_beside(dir);
	rig_fini(&r);
}
END_TEST

START_TEST(an_empty_object_is_adopted_by_doing_nothing)
{
	struct rig r;

	rig_init(&r, 0, true);
	ck_assert_int_eq(adopt(&r, 0), 0);
	ck_assert_uint_eq(disk_bytes(r.cache->disks[0]), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(what_was_there_before_is_kept_and_the_rest_adopted)
{
	struct cache_file *file;
	unsigned gets;
	struct rig r;

	rig_init(&r, MIB(4) + 17, true);
	ck_assert_int_eq(read_now(&r, MIB(1) + 5, 3 * PAGE_BYTES),
			 3 * PAGE_BYTES);
	rig_reopen(&r);
	gets = fake_ufs_gets(&r.store);
	ck_assert_int_eq(adopt(&r, MIB(4) + 17), 0);
	ck_assert_int_eq(adopt(&r, MIB(4) + 17), 0);
	ck_assert_int_eq(open_now(&r, &file), 0);
	check_file(&r, file);
	read_all(&r, MIB(1));
	ck_assert_uint_eq(fake_ufs_gets(&r.store), gets);
	/* The count may be behind the walk at the start; the blocks are not. */
	blocks = 0;
	nftw(r.cache->conf.dirs[0], add_blocks, 16, FTW_PHYS);
	ck_assert_uint_le(blocks * 512, MIB(4) + KIB(256));
	rig_fini(&r);
}
END_TEST

/* As an object above the limit is cut, with smaller pieces. */
static void cut_in_extents(struct rig *r)
{
	r->store.size = r->object->st.size = 2 * MIB(2) + PAGE_BYTES + 17;
	r->object->extent_bytes = MIB(2);
	ck_assert_uint_eq(r->object->extents, 3);
}

START_TEST(an_object_above_the_extent_limit_is_adopted_in_several)
{
	struct rig r;

	rig_init(&r, 2 * OBJECT_SEGMENT + 17, true);
	cut_in_extents(&r);
	ck_assert_int_eq(adopt(&r, r.store.size), 0);
	ck_assert_uint_eq(cached(&r), r.store.size);
	for (size_t i = 0; i < 3; i++) {
		bool again;
		struct extent *e = object_extent(r.object, i, true, &again);

		ck_assert_ptr_nonnull(e);
		ck_assert(extent_trusted(e));
		extent_close(e);
	}
	read_all(&r, 100000);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 0);
	rig_fini(&r);
}
END_TEST

static const uint64_t short_of[] = { 1, MIB(1), MIB(1) + 1, MIB(4) };

START_TEST(of_a_file_that_is_too_short_nothing_is_adopted)
{
	struct rig r;

	rig_init(&r, short_of[_i], true);
	ck_assert_int_eq(adopt(&r, short_of[_i] - 1), -ENODATA);
	ck_assert_uint_eq(cached(&r), 0);
	ck_assert_uint_eq(disk_bytes(r.cache->disks[0]), 0);
	ck_assert_ptr_null(object_backing(r.object));
	read_all(&r, MIB(1));
	ck_assert_uint_gt(fake_ufs_gets(&r.store), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(without_a_disk_nothing_is_adopted)
{
	struct rig r;

	rig_init(&r, _i == 0 ? 4096 : MIB(4), false);
	ck_assert_int_eq(adopt(&r, r.store.size), -ENOSPC);
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	rig_fini(&r);
}
END_TEST

START_TEST(a_disk_that_is_off_adopts_nothing)
{
	struct disk *d;
	struct rig r;

	rig_init(&r, _i == 0 ? 4096 : MIB(4), true);
	d = r.cache->disks[0];
	while (disk_state(d) != DISK_OFF)
		disk_failed(d, -EIO, "a test");
	ck_assert_int_lt(adopt(&r, r.store.size), 0);
	ck_assert_ptr_null(object_backing(r.object));
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	ck_assert_uint_gt(fake_ufs_gets(&r.store), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(a_disk_that_is_full_adopts_nothing)
{
	struct disk *d;
	struct rig r;

	rig_init(&r, _i == 0 ? 4096 : MIB(4), true);
	d = r.cache->disks[0];
	atomic_store(&d->limit, 0);
	ck_assert_int_eq(adopt(&r, r.store.size), -ENOSPC);
	ck_assert_uint_eq(cached(&r), 0);
	rig_fini(&r);
}
END_TEST

/* An error of reading says nothing about the bytes that came before. */
START_TEST(a_file_that_cannot_be_read_is_an_error)
{
	char name[] = "/tmp/tarn-adopt-XXXXXX";
	struct rig r;
	int fd, made;

	rig_init(&r, _i == 0 ? 4096 : MIB(4), true);
	made = mkstemp(name);
	ck_assert_int_eq(ftruncate(made, MIB(4)), 0);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	unlink(name);
	ck_assert_int_eq(object_adopt(r.object, fd), -EBADF);
	close(made);
	close(fd);
	ck_assert_uint_eq(cached(&r), 0);
	ck_assert_int_eq(disk_state(r.cache->disks[0]), DISK_OK);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("adopt");

	tcase_add_loop_test(t,
			    what_was_adopted_is_read_and_opened_without_a_get,
			    0, ARRAY_SIZE(sizes));
	tcase_add_test(t,
		       a_large_file_on_the_disk_of_the_cache_is_taken_as_it_is);
	tcase_add_loop_test(t, what_cannot_be_taken_leaves_nothing, 0, 3);
	tcase_add_test(t, an_empty_object_is_adopted_by_doing_nothing);
	tcase_add_test(t, what_was_there_before_is_kept_and_the_rest_adopted);
	tcase_add_test(t,
		       an_object_above_the_extent_limit_is_adopted_in_several);
	tcase_add_loop_test(t, of_a_file_that_is_too_short_nothing_is_adopted,
			    0, ARRAY_SIZE(short_of));
	tcase_add_loop_test(t, without_a_disk_nothing_is_adopted, 0, 2);
	tcase_add_loop_test(t, a_disk_that_is_off_adopts_nothing, 0, 2);
	tcase_add_loop_test(t, a_disk_that_is_full_adopts_nothing, 0, 2);
	tcase_add_loop_test(t, a_file_that_cannot_be_read_is_an_error, 0, 2);
	return RUN_CASES(t);
}
