/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_process.c - what /proc tells of this process
 */
#include "fuse/process.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/run.h"

/* A tmpfs, whose st_dev is what the list of mounts says it is. */
static char path[] = "/dev/shm/tarn-process.XXXXXX";
static int fd;
static dev_t dev;
static uint64_t ino;

static void setup(void)
{
	struct stat st;

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	dev = st.st_dev;
	ino = st.st_ino;
}

static void teardown(void)
{
	unlink(path);
}

START_TEST(a_thread_is_of_its_process)
{
	ck_assert_int_eq(process_of(gettid()), getpid());
	ck_assert_int_eq(process_of(0), 0);
	close(fd);
}
END_TEST

START_TEST(a_file_is_written_as_long_as_a_descriptor_of_it_is_open)
{
	int two = dup(fd), reader = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert(process_writes(gettid(), dev, ino));
	close(fd);
	ck_assert(process_writes(gettid(), dev, ino));
	close(two);
	ck_assert(!process_writes(gettid(), dev, ino));
	close(reader);
	ck_assert(!process_writes(0, dev, ino));
}
END_TEST

START_TEST(a_file_of_another_mount_with_its_number_is_another)
{
	ck_assert(process_writes(gettid(), dev, ino));
	ck_assert(!process_writes(gettid(), dev + 1, ino));
	close(fd);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("process");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_thread_is_of_its_process);
	tcase_add_test(t,
		       a_file_is_written_as_long_as_a_descriptor_of_it_is_open);
	tcase_add_test(t, a_file_of_another_mount_with_its_number_is_another);
	return RUN_CASES(t);
}
