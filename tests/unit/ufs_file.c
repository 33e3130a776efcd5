/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_file.c - a local directory as the store
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "tests/unit/run.h"
#include "ufs/ufs.h"

static char root[PATH_MAX];
static struct ufs *u;

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

static void make_root(void)
{
	struct ufs_conf conf = { .metadata_timeout = 20 * NSEC_PER_SEC };
	const char *tmp = getenv("TMPDIR");
	char url[PATH_MAX + 8], why[256] = "";

	snprintf(root, sizeof(root), "%s/ufs_file.XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(url, sizeof(url), "file://%s", root);
	conf.url = url;
	ck_assert_msg(ufs_open(&conf, &u, why) == 0, "%s", why);
}

static void remove_root(void)
{
	ufs_close(u);
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	ck_assert_int_lt(snprintf(path, sizeof(path), "%s/%s", root, name),
			 (int)sizeof(path));
	return path;
}

static void put(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s", path_of(name));
	for (char *c = path + strlen(root) + 1; (c = strchr(c, '/')); c++) {
		*c = '\0';
		mkdir(path, 0755);
		*c = '/';
	}
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

struct got {
	char bytes[1024];
	size_t n, total;
	unsigned heads;
	struct ufs_stat st;
	const char *rewrite; /* this file, when data comes */
};

static int head(void *arg, const struct ufs_stat *st)
{
	struct got *g = arg;

	g->heads++;
	g->st = *st;
	return 0;
}

static int data(void *arg, const void *p, size_t n)
{
	struct got *g = arg;
	size_t keep = MIN(n, sizeof(g->bytes) - g->n);

	memcpy(g->bytes + g->n, p, keep);
	g->n += keep;
	g->total += n;
	if (g->rewrite != NULL) {
		put(g->rewrite, "other");
		g->rewrite = NULL;
	}
	return 0;
}

static int get(const char *key, const char *want, uint64_t off, uint64_t len,
	       struct got *g)
{
	struct ufs_sink sink = { .arg = g, .head = head, .data = data };

	return u->ops->get(u, str_of(key), want, off, len, &sink, NULL);
}

START_TEST(an_object_gives_its_bytes)
{
	struct got g = { 0 };
	struct ufs_stat st;

	put("a/b", "hello world");
	ck_assert_int_eq(u->ops->stat(u, str_of("a/b"), &st, NULL), 0);
	ck_assert_uint_eq(st.size, 11);
	ck_assert_uint_eq(st.flags, 0);
	ck_assert_int_eq(get("a/b", st.version, 0, 100, &g), 0);
	ck_assert_uint_eq(g.n, 11);
	ck_assert_mem_eq(g.bytes, "hello world", 11);
	ck_assert_uint_eq(g.heads, 1);
	ck_assert_str_eq(g.st.version, st.version);
	memset(&g, 0, sizeof(g));
	ck_assert_int_eq(get("a/b", NULL, 6, 3, &g), 0);
	ck_assert_mem_eq(g.bytes, "wor", 3);
	memset(&g, 0, sizeof(g));
	ck_assert_int_eq(get("a/b", NULL, 11, 3, &g), 0);
	ck_assert_uint_eq(g.n, 0);
	ck_assert_uint_eq(g.heads, 1);
}
END_TEST

START_TEST(an_empty_object_has_a_head_and_no_data)
{
	struct got g = { 0 };

	put("empty", "");
	ck_assert_int_eq(get("empty", NULL, 0, 100, &g), 0);
	ck_assert_uint_eq(g.heads, 1);
	ck_assert_uint_eq(g.total, 0);
}
END_TEST

START_TEST(A21_a_changed_file_is_ESTALE_also_with_the_same_size)
{
	struct ufs_stat before, after;
	struct got g = { 0 };

	put("f", "one");
	ck_assert_int_eq(u->ops->stat(u, str_of("f"), &before, NULL), 0);
	put("f", "two");
	ck_assert_int_eq(u->ops->stat(u, str_of("f"), &after, NULL), 0);
	ck_assert_str_ne(before.version, after.version);
	ck_assert_int_eq(get("f", before.version, 0, 3, &g), -ESTALE);
	ck_assert_uint_eq(g.total, 0);
	ck_assert_int_eq(get("f", after.version, 0, 3, &g), 0);
	ck_assert_mem_eq(g.bytes, "two", 3);
}
END_TEST

START_TEST(A21_a_file_that_changes_while_it_is_read_is_ESTALE)
{
	struct got g = { .rewrite = "big" };
	char *text = malloc(MIB(2) + 1);

	memset(text, 'x', MIB(2));
	text[MIB(2)] = '\0';
	put("big", text);
	ck_assert_int_eq(get("big", NULL, 0, MIB(2), &g), -ESTALE);
	ck_assert_ptr_null(g.rewrite);
	ck_assert_uint_lt(g.total, MIB(2));
	free(text);
}
END_TEST

START_TEST(A22_a_removed_file_is_ESTALE_for_its_version_and_else_ENOENT)
{
	struct ufs_stat st;
	struct got g = { 0 };

	put("f", "one");
	ck_assert_int_eq(u->ops->stat(u, str_of("f"), &st, NULL), 0);
	ck_assert_int_eq(unlink(path_of("f")), 0);
	ck_assert_int_eq(get("f", st.version, 0, 3, &g), -ESTALE);
	ck_assert_int_eq(get("f", NULL, 0, 3, &g), -ENOENT);
	ck_assert_int_eq(u->ops->stat(u, str_of("f"), &st, NULL), -ENOENT);
}
END_TEST

static void *write_often(void *arg)
{
	atomic_bool *stop = arg;
	char path[PATH_MAX + 8];
	int fd = -1;

	snprintf(path, sizeof(path), "%s/live", root);
	/* A and B are the only contents that ever stand there together. */
	for (unsigned i = 0; !atomic_load(stop); i++) {
		char bytes[4096];

		if (fd < 0)
			fd = open(path, O_WRONLY);
		memset(bytes, i % 2 ? 'A' : 'B', sizeof(bytes));
		if (pwrite(fd, bytes, sizeof(bytes), 0) != sizeof(bytes))
			break;
		if (i % 16 == 0) { /* now and then it settles */
			close(take_fd(&fd));
			usleep(30000);
		}
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

START_TEST(INV1_bytes_of_two_contents_never_mix)
{
	char first[4097];
	atomic_bool stop = false;
	unsigned whole = 0;
	pthread_t t;

	memset(first, 'A', 4096);
	first[4096] = '\0';
	put("live", first);
	ck_assert_int_eq(pthread_create(&t, NULL, write_often, &stop), 0);
	for (int i = 0; i < 40; i++) {
		struct got g = { 0 };

		if (get("live", NULL, 0, 4096, &g) < 0)
			continue;
		whole++;
		for (size_t k = 1; k < g.n; k++)
			ck_assert_int_eq(g.bytes[k], g.bytes[0]);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	ck_assert_uint_ge(whole, 1);
}
END_TEST

START_TEST(a_fresh_file_that_is_open_for_writing_is_read_all_the_same)
{
	struct got g = { 0 };
	int fd;

	put("f", "one");
	fd = open(path_of("f"), O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(get("f", NULL, 0, 3, &g), 0);
	ck_assert_uint_eq(g.n, 3);
	close(fd);
}
END_TEST

static const char *const no_keys[] = {
	"",          "/",    "..",  ".",           "../x",   "a/../f", "a//f",
	"/f",        "f/",   "./f", "a/.",         "link",   "fifo",   "a",
	"dirlink/f", "a/..", "f/g", "/etc/passwd", "socket",
};

START_TEST(F1_what_is_no_key_here_does_not_exist)
{
	struct ufs_stat st;
	struct got g = { 0 };

	put("f", "x");
	put("a/f", "x");
	ck_assert_int_eq(symlink("f", path_of("link")), 0);
	ck_assert_int_eq(symlink("a", path_of("dirlink")), 0);
	ck_assert_int_eq(mkfifo(path_of("fifo"), 0644), 0);
	ck_assert_int_eq(u->ops->stat(u, str_of(no_keys[_i]), &st, NULL),
			 -ENOENT);
	ck_assert_int_eq(get(no_keys[_i], NULL, 0, 1, &g), -ENOENT);
	ck_assert_int_eq(u->ops->stat(u, (struct str){ "f\0x", 3 }, &st, NULL),
			 -ENOENT);
}
END_TEST

/* A listing as text: keys with a ',' after each, '|' between pages. */
struct listed {
	char text[4096];
	unsigned pages;
};

static int entry(void *arg, const struct ufs_entry *e)
{
	struct listed *l = arg;

	strncat(l->text, e->key.p, e->key.n);
	strcat(l->text, ",");
	/* Of the keys that end in '/' only an empty folder's is an object. */
	if (str_eq(e->key, str_of("empty/")) && !e->dir) {
		ck_assert_uint_eq(e->st.size, 0);
		return 0;
	}
	ck_assert_int_eq(e->dir, e->key.p[e->key.n - 1] == '/');
	if (!e->dir)
		ck_assert_str_ne(e->st.version, "");
	return 0;
}

static const char *list(const char *prefix, const char *after, bool deep,
			unsigned max)
{
	static struct listed l;
	struct ufs_list q = { str_of(prefix), str_of(after), deep, max };
	char *token = NULL;

	memset(&l, 0, sizeof(l));
	do {
		l.pages++;
		ck_assert_uint_le(l.pages, 1000);
		ck_assert_int_eq(u->ops->list(u, &q, &token, entry, &l, NULL),
				 0);
	} while (token != NULL);
	return l.text;
}

static void make_tree(void)
{
	put("a/1", "1");
	put("a/b/2", "2");
	put("a-b", "3");
	put("a0", "4");
	put("z", "5");
	put("a/b.c", "6");
	put("\xff\x01 name", "7");
	ck_assert_int_eq(mkdir(path_of("empty"), 0755), 0);
	ck_assert_int_eq(symlink("z", path_of("link")), 0);
	ck_assert_int_eq(mkfifo(path_of("fifo"), 0644), 0);
}

static const struct {
	const char *prefix, *after;
	bool deep;
	const char *expect;
} lists[] = {
	{ "", "", false, "a-b,a/,a0,empty/,z,\xff\x01 name," },
	{ "", "", true, "a-b,a/1,a/b.c,a/b/2,a0,z,\xff\x01 name," },
	{ "a", "", false, "a-b,a/,a0," },
	{ "a", "", true, "a-b,a/1,a/b.c,a/b/2,a0," },
	{ "a/", "", false, "a/1,a/b.c,a/b/," },
	{ "a/b", "", false, "a/b.c,a/b/," },
	{ "a/b/", "", false, "a/b/2," },
	{ "a/b", "", true, "a/b.c,a/b/2," },
	{ "", "a/", false, "a0,empty/,z,\xff\x01 name," },
	{ "", "a/1", false, "a0,empty/,z,\xff\x01 name," },
	{ "", "a/1", true, "a/b.c,a/b/2,a0,z,\xff\x01 name," },
	{ "", "a/b/", true, "a/b/2,a0,z,\xff\x01 name," },
	{ "", "a/b/2", true, "a0,z,\xff\x01 name," },
	{ "a/", "a/1", false, "a/b.c,a/b/," },
	{ "a/", "b", true, "" },
	{ "a/", "A", true, "a/1,a/b.c,a/b/2," },
	{ "none", "", false, "" },
	{ "none/", "", true, "" },
	{ "z/", "", false, "" },
	{ "../", "", false, "" },
	{ "empty/", "", false, "empty/," },
};

START_TEST(a_listing_is_in_key_order_whatever_the_page_size)
{
	make_tree();
	for (unsigned max = 1; max <= 9; max++)
		ck_assert_str_eq(list(lists[_i].prefix, lists[_i].after,
				      lists[_i].deep, max),
				 lists[_i].expect);
	ck_assert_str_eq(
	    list(lists[_i].prefix, lists[_i].after, lists[_i].deep, 1000),
	    lists[_i].expect);
}
END_TEST

static int count(void *arg, const struct ufs_entry *e)
{
	(void)e;
	++*(unsigned *)arg;
	return 0;
}

START_TEST(a_large_directory_that_changes_between_pages_goes_on_rightly)
{
	struct ufs_list q = { STR_EMPTY, STR_EMPTY, false, 100 };
	unsigned n = 0, pages = 0;
	char *token = NULL, name[32];

	for (int i = 0; i < 1500; i++) {
		snprintf(name, sizeof(name), "%05d", i);
		put(name, "");
	}
	do {
		ck_assert_int_eq(u->ops->list(u, &q, &token, count, &n, NULL),
				 0);
		/* Behind, ahead, and ahead again. */
		snprintf(name, sizeof(name), "%05d", (int)pages);
		ck_assert_int_eq(unlink(path_of(name)), 0);
		snprintf(name, sizeof(name), "%05d", 1499 - (int)pages);
		ck_assert_int_eq(unlink(path_of(name)), 0);
		put("99999", "");
		pages++;
	} while (token != NULL);
	ck_assert_uint_eq(n, 1500 - 14 + 1);
	ck_assert_uint_eq(pages, 15);
}
END_TEST

static int refuse(void *arg, const struct ufs_entry *e)
{
	(void)e;
	return ++*(unsigned *)arg == 3 ? -EXDEV : 0;
}

START_TEST(a_callback_that_refuses_ends_the_listing)
{
	struct ufs_list q = { STR_EMPTY, STR_EMPTY, false, 1000 };
	unsigned n = 0;
	char *token = NULL;

	make_tree();
	ck_assert_int_eq(u->ops->list(u, &q, &token, refuse, &n, NULL), -EXDEV);
	ck_assert_uint_eq(n, 3);
	ck_assert_ptr_null(token);
}
END_TEST

START_TEST(cancelled_calls_end)
{
	struct cancel cancel = { true };
	struct ufs_list q = { STR_EMPTY, STR_EMPTY, true, 1000 };
	struct got g = { 0 };
	struct ufs_sink sink = { .arg = &g, .head = head, .data = data };
	char *token = NULL;

	put("f", "x");
	ck_assert_int_eq(
	    u->ops->list(u, &q, &token, count, &(unsigned){ 0 }, &cancel),
	    -ECANCELED);
	ck_assert_int_eq(
	    u->ops->get(u, str_of("f"), NULL, 0, 1, &sink, &cancel),
	    -ECANCELED);
}
END_TEST

static const struct {
	const char *url, *says;
} bad[] = {
	{ "file://relative", "absolute path" },
	{ "file:///no/such/dir", "/no/such/dir" },
	{ "file:///dev/null", "/dev/null" },
	{ "ftp://x", "s3://" },
	{ "/srv", "s3://" },
	{ "", "s3://" },
};

START_TEST(a_source_that_cannot_be_is_refused_in_words)
{
	struct ufs_conf conf = { .url = bad[_i].url };
	struct ufs *none = NULL;
	char why[256] = "";

	ck_assert_int_eq(ufs_open(&conf, &none, why), -EINVAL);
	ck_assert_ptr_null(none);
	ck_assert_msg(strstr(why, bad[_i].says) != NULL, "%s", why);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, make_root, remove_root);
	tcase_add_test(t, an_object_gives_its_bytes);
	tcase_add_test(t, an_empty_object_has_a_head_and_no_data);
	tcase_add_test(t, A21_a_changed_file_is_ESTALE_also_with_the_same_size);
	tcase_add_test(t, A21_a_file_that_changes_while_it_is_read_is_ESTALE);
	tcase_add_test(
	    t, A22_a_removed_file_is_ESTALE_for_its_version_and_else_ENOENT);
	tcase_add_test(t, INV1_bytes_of_two_contents_never_mix);
	tcase_add_test(
	    t, a_fresh_file_that_is_open_for_writing_is_read_all_the_same);
	tcase_add_loop_test(t, F1_what_is_no_key_here_does_not_exist, 0,
			    ARRAY_SIZE(no_keys));
	tcase_add_loop_test(t, a_listing_is_in_key_order_whatever_the_page_size,
			    0, ARRAY_SIZE(lists));
	tcase_add_test(
	    t, a_large_directory_that_changes_between_pages_goes_on_rightly);
	tcase_add_test(t, a_callback_that_refuses_ends_the_listing);
	tcase_add_test(t, cancelled_calls_end);
	tcase_add_loop_test(t, a_source_that_cannot_be_is_refused_in_words, 0,
			    ARRAY_SIZE(bad));
	return RUN_CASES(t);
}
