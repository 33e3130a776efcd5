/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_mount.c - what is mounted where, as /proc/self/mountinfo tells it
 */
#include "fuse/mount.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "tests/unit/run.h"

static char file[] = "/tmp/tarn-mountinfo-XXXXXX";

static void setup(void)
{
	static const char text[] =
	    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
	    "garbage\n"
	    "40 22 0:50 / /data rw shared:7 - tmpfs none rw\n"
	    "41 40 0:51 / /data ro,nosuid - fuse.tarn s3://b/p ro\n"
	    "42 22 0:52 / /my\\040data\\134x ro master:1 shared:2 -"
	    " fuse.tarn file:///a\\040b ro\n"
	    "43 22 x:y / /bad ro - fuse.tarn s ro\n"
	    "44 22 0:53 / /short - \n"
	    "45 22 0:54";
	int fd = mkstemp(file);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
}

static void teardown(void)
{
	unlink(file);
	memcpy(file + sizeof(file) - 7, "XXXXXX", 6);
}

START_TEST(the_uppermost_mount_of_a_directory_is_found)
{
	struct mount_entry e;

	ck_assert_int_eq(mount_find_in(file, "/data", &e), 0);
	ck_assert_str_eq(e.fstype, "fuse.tarn");
	ck_assert_str_eq(e.source, "s3://b/p");
	ck_assert(e.dev == makedev(0, 51));
}
END_TEST

START_TEST(escaped_bytes_of_names_are_read_right)
{
	struct mount_entry e;

	ck_assert_int_eq(mount_find_in(file, "/my data\\x", &e), 0);
	ck_assert_str_eq(e.source, "file:///a b");
}
END_TEST

START_TEST(lines_that_are_none_and_other_directories_are_not_found)
{
	struct mount_entry e;

	ck_assert_int_eq(mount_find_in(file, "/dat", &e), -ENOENT);
	ck_assert_int_eq(mount_find_in(file, "/bad", &e), -ENOENT);
	ck_assert_int_eq(mount_find_in(file, "/short", &e), -ENOENT);
	ck_assert_int_eq(mount_find_in("/nonexistent", "/", &e), -ENOENT);
}
END_TEST

START_TEST(the_root_of_this_machine_is_found)
{
	struct mount_entry e;

	ck_assert_int_eq(mount_find("/", &e), 0);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("mountinfo");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, the_uppermost_mount_of_a_directory_is_found);
	tcase_add_test(c, escaped_bytes_of_names_are_read_right);
	tcase_add_test(c,
		       lines_that_are_none_and_other_directories_are_not_found);
	tcase_add_test(c, the_root_of_this_machine_is_found);
	return RUN_CASES(c);
}
