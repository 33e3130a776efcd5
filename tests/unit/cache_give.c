/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_give.c - a small object that was just written: bytes now, file later
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "cache/disk_impl.h"
#include "tests/unit/cache_dir.h"
#include "tests/unit/object_rig.h"
#include "tests/unit/run.h"

/* n bytes of the version, as a mount has them in memory. */
static int give(struct rig *r, struct object *o, uint64_t n)
{
	int fd = memfd_create("given", MFD_CLOEXEC), err;
	unsigned char *bytes = malloc(n);

	ck_assert(fd >= 0 && bytes != NULL);
	for (uint64_t off = 0; off < n; off++)
		bytes[off] = fake_byte(r->store.version, off);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	err = object_give(o, fd);
	free(bytes);
	close(fd);
	return err;
}

/*
 * What the SSD has of anything, looked at: what is added up meanwhile is an
 * estimate as long as the walk at the start goes on (disk_recount).
 */
static uint64_t on_disk(struct rig *r)
{
	uint64_t bytes = 0;

	ck_assert_int_eq(disk_recount(r->cache->disks[0], &bytes, NULL), 0);
	return bytes;
}

static const uint64_t sizes[] = { 1, 4096, 65536, 65537, 110000 };

START_TEST(what_was_given_is_read_at_once_and_written_when_it_is_due)
{
	struct rig r;

	rig_init(&r, sizes[_i], true);
	ck_assert_int_eq(give(&r, r.object, sizes[_i]), 0);
	read_all(&r, 1000);
	WAIT_UNTIL(on_disk(&r) >= sizes[_i]);
	rig_reopen(&r);
	read_all(&r, 1000);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 0);
	ck_assert_uint_eq(atomic_load(&r.cache->pending), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(who_opens_what_was_given_has_its_file)
{
	struct cache_file *file;
	unsigned char byte;
	struct rig r;

	rig_init(&r, sizes[_i], true);
	ck_assert_int_eq(give(&r, r.object, sizes[_i]), 0);
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(lseek(file->fd, 0, SEEK_END), sizes[_i]);
	ck_assert_int_eq(pread(file->fd, &byte, 1, (off_t)sizes[_i] - 1), 1);
	ck_assert_uint_eq(byte, fake_byte("v1", sizes[_i] - 1));
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(what_was_given_is_counted_and_freed)
{
	struct rig r;
	uint64_t bytes;

	rig_init(&r, 4096, true);
	ck_assert_int_eq(give(&r, r.object, 4096), 0);
	ck_assert_uint_eq(cached(&r), 4096);
	rig_fini(&r);

	rig_init(&r, 4096, true);
	ck_assert_int_eq(give(&r, r.object, 4096), 0);
	ck_assert_int_eq(object_free(r.object, &bytes), 0);
	ck_assert_uint_eq(bytes, 4096);
	rig_reopen(&r); /* nor does it come later */
	ck_assert_uint_eq(cached(&r), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(what_was_given_is_written_when_the_cache_ends)
{
	struct rig r;

	rig_init(&r, 4096, true);
	ck_assert_int_eq(give(&r, r.object, 4096), 0);
	rig_reopen(&r);
	ck_assert_uint_eq(cached(&r), 4096);
	read_all(&r, 4096);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(a_quarter_of_the_memory_is_given_and_written_for_who_needs_it)
{
	struct ufs_stat st = { .size = 4096, .version = "v1" };
	struct rig r;
	size_t most, n;
	int err = 0;

	rig_init(&r, 4096, true);
	most = r.cache->reserved_max / 4;
	for (n = 0; n <= most && err == 0; n++) {
		struct object *o;
		char key[32];

		snprintf(key, sizeof(key), "k%zu", n);
		ck_assert_int_eq(object_get(r.cache, str_of(key), &st, &o), 0);
		err = give(&r, o, 4096);
		object_put(o);
	}
	/* Unless this took so long that the first were written meanwhile. */
	ck_assert(err == -ENOMEM || on_disk(&r) > 0);
	/* All of it at once: they are written, and then there is room. */
	WAIT_UNTIL(memory_reserve(r.cache, r.cache->reserved_max));
	ck_assert_uint_ge(on_disk(&r), (uint64_t)(n - 1) * 4096);
	memory_release(r.cache, r.cache->reserved_max);
	rig_fini(&r);
}
END_TEST

/* Half of the budget is always left for reads (fill.c). */
START_TEST(nothing_is_given_while_memory_or_the_disk_is_wanted)
{
	struct cache *c;
	struct rig r;

	rig_init(&r, 4096, true);
	c = r.cache;
	lock_take(&c->memory_lock);
	c->writing = c->reserved_max / 4;
	lock_drop(&c->memory_lock);
	ck_assert_int_eq(give(&r, r.object, 4096), -ENOMEM);
	lock_take(&c->memory_lock);
	c->writing = 0;
	c->starved = 1;
	lock_drop(&c->memory_lock);
	ck_assert_int_eq(give(&r, r.object, 4096), -ENOMEM);
	lock_take(&c->memory_lock);
	c->starved = 0;
	lock_drop(&c->memory_lock);
	atomic_store(&c->disk_stalled, true);
	ck_assert_int_eq(give(&r, r.object, 4096), -ENOMEM);
	atomic_store(&c->disk_stalled, false);
	ck_assert_int_eq(give(&r, r.object, 4096), 0);
	rig_fini(&r);
}
END_TEST

/* More objects than are kept open, and each is found by who comes next. */
START_TEST(what_was_given_is_found_when_there_are_too_many_objects)
{
	struct ufs_stat st = { .size = 4096, .version = "v1" };
	struct object *o;
	struct rig r;
	uint64_t bytes;

	rig_init(&r, 4096, true);
	r.cache->idle_max = 2;
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < 20; i++) {
			char key[32];

			snprintf(key, sizeof(key), "k%d", i);
			ck_assert_int_eq(
			    object_get(r.cache, str_of(key), &st, &o), 0);
			if (pass == 0)
				ck_assert_int_eq(give(&r, o, 4096), 0);
			ck_assert(object_held(o, 0, 4096));
			object_put(o);
		}
	/* Whether it is due by now or not. */
	ck_assert_int_eq(object_get(r.cache, str_of("k7"), &st, &o), 0);
	ck_assert_int_eq(object_free(o, &bytes), 0);
	ck_assert_uint_eq(bytes, 4096);
	object_put(o);
	rig_fini(&r);
}
END_TEST

START_TEST(a_full_disk_leaves_what_was_given_in_memory)
{
	struct cache_file *file;
	struct rig r;

	rig_init(&r, 4096, true);
	atomic_store(&r.cache->disks[0]->limit, 0);
	ck_assert_int_eq(give(&r, r.object, 4096), 0);
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_ptr_null(file);
	read_all(&r, 1000);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(what_cannot_be_given_is_fetched)
{
	struct rig r;

	rig_init(&r, MIB(1) + 1, true); /* large */
	ck_assert_int_eq(give(&r, r.object, 1), -EXDEV);
	rig_fini(&r);

	rig_init(&r, 4096, false); /* no SSD */
	ck_assert_int_eq(give(&r, r.object, 4096), -EXDEV);
	rig_fini(&r);

	rig_init(&r, 70000, true); /* cut short */
	ck_assert_int_eq(give(&r, r.object, 69999), -ENODATA);
	read_all(&r, 70000);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 1);
	/* It is there already. */
	ck_assert_int_eq(give(&r, r.object, 70000), 0);
	read_all(&r, 1000);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 1);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("give");

	tcase_add_loop_test(
	    t, what_was_given_is_read_at_once_and_written_when_it_is_due, 0,
	    ARRAY_SIZE(sizes));
	tcase_add_loop_test(t, who_opens_what_was_given_has_its_file, 0,
			    ARRAY_SIZE(sizes));
	tcase_add_test(t, what_was_given_is_counted_and_freed);
	tcase_add_test(t, what_was_given_is_written_when_the_cache_ends);
	tcase_add_test(
	    t, a_quarter_of_the_memory_is_given_and_written_for_who_needs_it);
	tcase_add_test(t, nothing_is_given_while_memory_or_the_disk_is_wanted);
	tcase_add_test(t,
		       what_was_given_is_found_when_there_are_too_many_objects);
	tcase_add_test(t, a_full_disk_leaves_what_was_given_in_memory);
	tcase_add_test(t, what_cannot_be_given_is_fetched);
	tcase_set_timeout(t, 120);
	return RUN_CASES(t);
}
