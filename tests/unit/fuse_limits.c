/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_limits.c - memory limits of cgroups v1 and v2, in trees of our own
 */
#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fuse/limits.h"
#include "tests/unit/run.h"

static char root[] = "/tmp/tarn-cgroup-XXXXXX";

static void setup(void)
{
	strcpy(root + strlen(root) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static int drop(const char *path, const struct stat *st, int type,
		struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void teardown(void)
{
	ck_assert_int_eq(nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Write a file below root, making its directories. */
static void put(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL;
	     p++) {
		*p = '\0';
		ck_assert(mkdir(full, 0700) == 0 || errno == EEXIST);
		*p = '/';
	}
	f = fopen(full, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

START_TEST(the_least_limit_from_the_group_up_counts)
{
	put("a/b/c/memory.max", "max\n");
	put("a/b/memory.max", "1000000\n");
	put("a/memory.max", "5000000\n");
	ck_assert_uint_eq(limits_cgroup("0::/a/b/c\n", root), 1000000);
	ck_assert_uint_eq(limits_cgroup("0::/a\n", root), 5000000);
	ck_assert_uint_eq(limits_cgroup("0::/\n", root), UINT64_MAX);
}
END_TEST

START_TEST(a_container_whose_path_is_the_hosts_finds_its_own_group)
{
	put("memory.max", "777777\n");
	ck_assert_uint_eq(limits_cgroup("0::/kubepods/pod1/x\n", root), 777777);
	ck_assert_uint_eq(limits_cgroup("0::/../../x\n", root), 777777);
}
END_TEST

START_TEST(version_one_is_read_from_the_memory_controller)
{
	put("memory/docker/x/memory.limit_in_bytes", "123456789\n");
	put("memory/memory.limit_in_bytes", "9223372036854771712\n");
	ck_assert_uint_eq(limits_cgroup("12:cpu,cpuacct:/docker/x\n"
					"5:memory:/docker/x\n"
					"0::/docker/x\n",
					root),
			  123456789);
	ck_assert_uint_eq(limits_cgroup("5:hugetlb,memory:/docker/x\n", root),
			  123456789);
	ck_assert_uint_eq(limits_cgroup("5:notmemory:/docker/x\n", root),
			  UINT64_MAX);
}
END_TEST

static const char *const nonsense[] = {
	"", "\n", "x", "0:", "::", "0::", "0::\n0::", "0::/a/b", "5:memory:"
};

START_TEST(nonsense_is_no_limit)
{
	put("a/memory.max", "lots");
	put("a/b/memory.max", "");
	ck_assert_uint_eq(limits_cgroup(nonsense[_i], root), UINT64_MAX);
}
END_TEST

START_TEST(the_default_stays_within_its_bounds)
{
	uint64_t n = limits_memory_default();

	ck_assert_uint_ge(n, MIB(64));
	ck_assert_uint_le(n, MIB(16 << 10));
	ck_assert_uint_gt(limits_memory(), 0);
}
END_TEST

/* FAULTS E6: what is open anyway has room beside the connections. */
START_TEST(few_descriptors_are_few_connections)
{
	struct rlimit was, few;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = was;
	few.rlim_cur = 64;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_uint_eq(limits_connections(256), 8);
	ck_assert_uint_eq(limits_connections(3), 3);
	few.rlim_cur = 10;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_uint_eq(limits_connections(256), 1);
	few.rlim_cur = MIN(was.rlim_max, 1024);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_uint_eq(limits_connections(256), 256);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("limits");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_least_limit_from_the_group_up_counts);
	tcase_add_test(t,
		       a_container_whose_path_is_the_hosts_finds_its_own_group);
	tcase_add_test(t, version_one_is_read_from_the_memory_controller);
	tcase_add_loop_test(t, nonsense_is_no_limit, 0, ARRAY_SIZE(nonsense));
	tcase_add_test(t, the_default_stays_within_its_bounds);
	tcase_add_test(t, few_descriptors_are_few_connections);
	return RUN_CASES(t);
}
