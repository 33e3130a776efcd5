/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_file_write.c - changing a local directory that is the store
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/unit/run.h"
#include "ufs/ufs.h"
#include "ufs/write.h"

static char root[PATH_MAX];
static struct ufs *u;

static const struct ufs_cond any = { UFS_IF_ANY, NULL };
static const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

static struct ufs *open_store(void)
{
	struct ufs_conf conf = { .metadata_timeout = 20 * NSEC_PER_SEC };
	char url[PATH_MAX + 16], why[256] = "";
	struct ufs *s;

	snprintf(url, sizeof(url), "file://%s/store", root);
	conf.url = url;
	ck_assert_msg(ufs_open(&conf, &s, why) == 0, "%s", why);
	return s;
}

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	ck_assert_int_lt(
	    snprintf(path, sizeof(path), "%s/store/%s", root, name),
	    (int)sizeof(path));
	return path;
}

static void make_root(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(root, sizeof(root), "%s/ufs_file_write.XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(root));
	ck_assert_int_eq(mkdir(path_of(""), 0755), 0);
	u = open_store();
}

static void remove_root(void)
{
	ufs_close(u);
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What others do to the directory. */
static void plant(const char *name, const char *text)
{
	int fd = open(path_of(name), O_CREAT | O_TRUNC | O_WRONLY, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int read_text(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return 0;
}

static int put_to(struct ufs *s, const char *key, const char *text,
		  const struct ufs_cond *cond, struct ufs_stat *out)
{
	struct ufs_body body = { .arg = (char *)text,
				 .size = strlen(text),
				 .read = read_text };
	struct ufs_stat st;

	return s->ops->write->put(s, str_of(key), &body, cond,
				  out != NULL ? out : &st, NULL);
}

static int put(const char *key, const char *text, const struct ufs_cond *cond,
	       struct ufs_stat *out)
{
	return put_to(u, key, text, cond, out);
}

static int remove_key(const char *key, const struct ufs_cond *cond)
{
	return u->ops->write->remove(u, str_of(key), cond, NULL);
}

struct got {
	char bytes[64];
	size_t n;
};

static int head(void *arg, const struct ufs_stat *st)
{
	(void)arg, (void)st;
	return 0;
}

static int data(void *arg, const void *p, size_t n)
{
	struct got *g = arg;
	size_t keep = MIN(n, sizeof(g->bytes) - 1 - g->n);

	memcpy(g->bytes + g->n, p, keep);
	g->n += keep;
	return 0;
}

/* The first bytes of an object, "" also for none. */
static const char *text_of(const char *key)
{
	static struct got g;
	struct ufs_sink sink = { .arg = &g, .head = head, .data = data };

	memset(&g, 0, sizeof(g));
	u->ops->get(u, str_of(key), NULL, 0, UINT64_MAX / 2, &sink, NULL);
	return g.bytes;
}

static int version_of(const char *key, struct ufs_stat *st)
{
	return u->ops->stat(u, str_of(key), st, NULL);
}

static int add_key(void *arg, const struct ufs_entry *e)
{
	char *text = arg;

	strncat(text, e->key.p, e->key.n);
	strcat(text, ",");
	return 0;
}

static const char *list(const char *prefix)
{
	static char text[4096];
	struct ufs_list q = { str_of(prefix), STR_EMPTY, true, 1000 };
	char *token = NULL;

	text[0] = '\0';
	ck_assert_int_eq(u->ops->list(u, &q, &token, add_key, text, NULL), 0);
	ck_assert_ptr_null(token);
	return text;
}

/* All names in a directory, also those that a listing leaves out. */
static unsigned names_in(const char *dir)
{
	DIR *d = opendir(path_of(dir));
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

START_TEST(S10_an_object_that_is_put_is_what_stat_get_and_list_tell)
{
	struct ufs_stat put_st, st;

	ck_assert_ptr_eq(ufs_writable(u), u);
	ck_assert_int_eq(put("a/b/c", "hello", &any, &put_st), 0);
	ck_assert_int_eq(version_of("a/b/c", &st), 0);
	ck_assert_str_eq(put_st.version, st.version);
	ck_assert_uint_eq(put_st.size, 5);
	ck_assert_int_eq(put_st.mtime, st.mtime);
	ck_assert_uint_eq(put_st.flags, 0);
	ck_assert_str_eq(text_of("a/b/c"), "hello");
	ck_assert_str_eq(list(""), "a/b/c,");
	ck_assert_uint_eq(names_in("a/b"), 1);
	ck_assert_int_eq(put("a/b/c", "", &any, &put_st), 0);
	ck_assert_uint_eq(put_st.size, 0);
	ck_assert_str_eq(text_of("a/b/c"), "");
}
END_TEST

START_TEST(every_put_has_a_version_of_its_own_however_fast_they_come)
{
	char seen[24][UFS_VERSION_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		struct ufs_stat st;

		ck_assert_int_eq(put("f", i % 2 ? "one" : "two", &any, &st), 0);
		strcpy(seen[i], st.version);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(seen[k], seen[i]);
	}
}
END_TEST

START_TEST(a_file_that_replaces_another_has_its_mode)
{
	struct stat st;

	ck_assert_int_eq(put("run", "one", &any, NULL), 0);
	ck_assert_int_eq(chmod(path_of("run"), 0750), 0);
	ck_assert_int_eq(put("run", "two", &any, NULL), 0);
	ck_assert_int_eq(stat(path_of("run"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0750);
}
END_TEST

START_TEST(S15_a_change_is_bound_to_what_is_there)
{
	struct ufs_stat one, two;
	struct ufs_cond is_one = { UFS_IF_VERSION, one.version };
	struct ufs_cond is_two = { UFS_IF_VERSION, two.version };

	ck_assert_int_eq(put("f", "one", &absent, &one), 0);
	ck_assert_int_eq(put("f", "bad", &absent, NULL), -EEXIST);
	ck_assert_int_eq(put("f", "two", &is_one, &two), 0);
	ck_assert_int_eq(put("f", "bad", &is_one, NULL), -ESTALE);
	ck_assert_int_eq(put("g", "bad", &is_one, NULL), -ESTALE);
	ck_assert_int_eq(put("d/g", "bad", &is_one, NULL), -ESTALE);
	ck_assert_int_eq(access(path_of("d"), F_OK), -1);
	ck_assert_int_eq(put("f/g", "bad", &is_one, NULL), -ESTALE);
	ck_assert_str_eq(text_of("f"), "two");
	ck_assert_int_eq(remove_key("f", &is_one), -ESTALE);
	ck_assert_int_eq(remove_key("f", &is_two), 0);
	ck_assert_int_eq(remove_key("f", &is_two), -ESTALE);
	ck_assert_int_eq(remove_key("d/g", &is_two), -ESTALE);
	ck_assert_int_eq(remove_key("f", &any), 0);
	ck_assert_int_eq(remove_key("d/g", &any), 0);
	ck_assert_str_eq(list(""), "");
	ck_assert_uint_eq(names_in(""), 0);
}
END_TEST

START_TEST(S20_a_directory_is_its_marker)
{
	struct ufs_cond wrong = { UFS_IF_VERSION, "1-2-3-4.5" };

	ck_assert_int_eq(put("d/e/", "", &absent, NULL), 0);
	ck_assert_int_eq(put("d/e/", "", &absent, NULL), -EEXIST);
	ck_assert_int_eq(put("d/e/", "", &any, NULL), 0);
	ck_assert_int_eq(put("d/e/", "", &wrong, NULL), -ESTALE);
	ck_assert_int_eq(put("d/e/", "bytes", &any, NULL), -EISDIR);
	ck_assert_str_eq(list("d/e/"), "d/e/,");
	ck_assert_int_eq(put("d/e/f", "x", &any, NULL), 0);
	ck_assert_int_eq(remove_key("d/e/", &any), -ENOTEMPTY);
	ck_assert_int_eq(remove_key("d/e/f", &any), 0);
	ck_assert_str_eq(list("d/e/"), "d/e/,");
	ck_assert_int_eq(remove_key("d/e/", &wrong), -ESTALE);
	ck_assert_int_eq(remove_key("d/e/", &any), 0);
	ck_assert_int_eq(remove_key("d/e/", &any), 0);
	ck_assert_int_eq(remove_key("none/e/", &any), 0);
	ck_assert_str_eq(list("d/"), "d/,");
}
END_TEST

START_TEST(what_stands_in_the_way_is_told_and_stays)
{
	struct ufs_stat st;

	ck_assert_int_eq(put("dir/f", "x", &any, NULL), 0);
	ck_assert_int_eq(put("dir", "y", &any, NULL), -EISDIR);
	ck_assert_int_eq(put("dir", "y", &absent, NULL), -EISDIR);
	ck_assert_int_eq(put("dir/f/g", "y", &any, NULL), -ENOTDIR);
	ck_assert_int_eq(put("dir/f/g/h", "y", &any, NULL), -ENOTDIR);
	ck_assert_int_eq(put("dir/f/", "", &any, NULL), -ENOTDIR);
	/* No object of that key: nothing to remove. */
	ck_assert_int_eq(remove_key("dir", &any), 0);
	ck_assert_int_eq(remove_key("dir/f/", &any), 0);
	ck_assert_int_eq(remove_key("dir/f/g", &any), 0);
	ck_assert_str_eq(list(""), "dir/f,");
	ck_assert_int_eq(version_of("dir/f", &st), 0);
	ck_assert_uint_eq(st.size, 1);
}
END_TEST

START_TEST(F1_symlinks_are_neither_followed_nor_replaced)
{
	char outside[PATH_MAX + 16], file[PATH_MAX + 32];
	struct stat st;

	snprintf(outside, sizeof(outside), "%s/outside", root);
	snprintf(file, sizeof(file), "%s/f", outside);
	ck_assert_int_eq(mkdir(outside, 0755), 0);
	ck_assert_int_eq(symlink(outside, path_of("dir")), 0);
	ck_assert_int_eq(symlink(file, path_of("file")), 0);
	ck_assert_int_eq(put("dir/f", "x", &any, NULL), -ENOTDIR);
	ck_assert_int_eq(put("dir/d/f", "x", &any, NULL), -ENOTDIR);
	ck_assert_int_eq(put("dir/d/", "", &any, NULL), -ENOTDIR);
	ck_assert_int_eq(put("dir/", "", &any, NULL), -ENOTDIR);
	ck_assert_int_eq(put("file", "x", &any, NULL), -EACCES);
	ck_assert_int_eq(put("file", "x", &absent, NULL), -EEXIST);
	ck_assert_int_eq(remove_key("file", &any), 0);
	ck_assert_int_eq(remove_key("dir/", &any), 0);
	ck_assert_int_eq(lstat(path_of("file"), &st), 0);
	ck_assert_int_eq(lstat(path_of("dir"), &st), 0);
	ck_assert_int_eq(rmdir(outside), 0); /* so it is empty */
}
END_TEST

static const struct {
	const char *key;
	int error;
} bad_keys[] = {
	{ "", -EINVAL },
	{ "/", -EINVAL },
	{ "..", -EINVAL },
	{ "../x", -EINVAL },
	{ "a/../../x", -EINVAL },
	{ "a//x", -EINVAL },
	{ "/etc/x", -EINVAL },
	{ "./x", -EINVAL },
	{ "a/.", -EINVAL },
	{ ".tarn-tmp-0", -EACCES },
	{ ".tarn-tmp-0/x", -EACCES },
	{ "a/.tarn-tmp-/", -EACCES },
};

START_TEST(F1_a_key_that_is_no_path_below_the_root_is_refused)
{
	char names[300];
	struct ufs_stat st;
	struct ufs_body none = { .arg = names, .read = read_text };

	ck_assert_int_eq(put(bad_keys[_i].key, "x", &any, NULL),
			 bad_keys[_i].error);
	ck_assert_int_eq(remove_key(bad_keys[_i].key, &any),
			 bad_keys[_i].error);
	ck_assert_int_eq(u->ops->write->put(u, (struct str){ "a\0b", 3 }, &none,
					    &any, &st, NULL),
			 -EINVAL);
	memset(names, 'n', sizeof(names));
	names[256] = '\0';
	ck_assert_int_eq(put(names, "x", &any, NULL), -ENAMETOOLONG);
	names[255] = '\0';
	ck_assert_int_eq(put(names, "x", &any, NULL), 0);
	ck_assert_uint_eq(names_in(""), 1);
}
END_TEST

START_TEST(temporary_files_are_no_objects)
{
	struct ufs_stat st;

	ck_assert_int_eq(put("d/f", "x", &any, NULL), 0);
	plant("d/.tarn-tmp-0123456789abcdef", "half");
	ck_assert_str_eq(list(""), "d/f,");
	ck_assert_int_eq(version_of("d/.tarn-tmp-0123456789abcdef", &st),
			 -ENOENT);
	ck_assert_str_eq(text_of("d/.tarn-tmp-0123456789abcdef"), "");
}
END_TEST

START_TEST(a_directory_goes_with_what_dead_writers_left_in_it)
{
	int fd;

	ck_assert_int_eq(put("d/", "", &any, NULL), 0);
	plant("d/.tarn-tmp-0123456789abcdef", "half");
	fd = open(path_of("d/.tarn-tmp-0123456789abcdef"), O_RDONLY);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	/* It is being written. */
	ck_assert_int_eq(remove_key("d/", &any), -ENOTEMPTY);
	ck_assert_uint_eq(names_in("d"), 1);
	close(fd);
	ck_assert_int_eq(remove_key("d/", &any), 0);
	ck_assert_int_eq(access(path_of("d"), F_OK), -1);
}
END_TEST

static int copy(const char *from, const struct ufs_stat *st, const char *to,
		const struct ufs_cond *cond, struct ufs_stat *out)
{
	return u->ops->write->copy(u, str_of(from), st, str_of(to), cond, out,
				   NULL);
}

START_TEST(a_copy_is_of_just_the_version_that_was_named)
{
	struct ufs_stat one, two, out, st;

	ck_assert_int_eq(put("f", "first", &any, &one), 0);
	ck_assert_int_eq(copy("f", &one, "d/g", &absent, &out), 0);
	ck_assert_int_eq(version_of("d/g", &st), 0);
	ck_assert_str_eq(out.version, st.version);
	ck_assert_uint_eq(out.size, 5);
	ck_assert_str_eq(text_of("d/g"), "first");
	ck_assert_int_eq(copy("f", &one, "d/g", &absent, &out), -EEXIST);
	ck_assert_int_eq(put("f", "other", &any, &two), 0);
	ck_assert_int_eq(copy("f", &one, "d/h", &any, &out), -ESTALE);
	ck_assert_int_eq(copy("none", &one, "d/h", &any, &out), -ENOENT);
	ck_assert_int_eq(copy("f", &two, "d/", &any, &out), -EISDIR);
	ck_assert_int_eq(copy("f", &two, "f", &any, &out), 0);
	ck_assert_str_ne(out.version, two.version);
	ck_assert_str_eq(text_of("f"), "other");
	ck_assert_str_eq(list(""), "d/g,f,");
	ck_assert_uint_eq(names_in("d"), 1);
}
END_TEST

static int move(const char *from, const char *to)
{
	return u->ops->write->move_tree(u, str_of(from), str_of(to), NULL);
}

START_TEST(S22_a_directory_moves_at_once_with_its_versions)
{
	struct ufs_stat one, now;

	ck_assert_int_eq(put("d/sub/f", "first", &any, &one), 0);
	ck_assert_int_eq(put("full/f", "other", &any, NULL), 0);
	ck_assert_int_eq(put("empty/", "", &any, NULL), 0);
	plant("empty/.tarn-tmp-0123456789abcdef", "half");
	ck_assert_int_eq(move("d/", "full/"), -ENOTEMPTY);
	ck_assert_int_eq(move("d/", "d/sub/x/"), -EINVAL);
	ck_assert_int_eq(move("full/f/", "x/"), -ENOTDIR);
	ck_assert_int_eq(move("d/", "full/f/"), -ENOTDIR);
	ck_assert_int_eq(move("none/", "x/"), -ENOENT);
	ck_assert_int_eq(move("d/", "../x/"), -EINVAL);
	ck_assert_str_eq(text_of("d/sub/f"), "first");
	ck_assert_int_eq(move("d/", "empty/"), 0);
	ck_assert_str_eq(list(""), "empty/sub/f,full/f,");
	ck_assert_int_eq(version_of("empty/sub/f", &now), 0);
	ck_assert_str_eq(now.version, one.version);
	ck_assert_int_eq(move("empty/", "new/below/"), 0);
	ck_assert_str_eq(text_of("new/below/sub/f"), "first");
}
END_TEST

static int same(const char *a, const char *b)
{
	return u->ops->write->same(u, str_of(a), str_of(b), NULL);
}

START_TEST(files_are_the_same_by_all_their_bytes)
{
	ck_assert_int_eq(put("a", "bytes", &any, NULL), 0);
	ck_assert_int_eq(put("b", "bytes", &any, NULL), 0);
	ck_assert_int_eq(put("c", "bytez", &any, NULL), 0);
	ck_assert_int_eq(put("d", "byte", &any, NULL), 0);
	ck_assert_int_eq(put("e", "", &any, NULL), 0);
	ck_assert_int_eq(same("a", "b"), 1);
	ck_assert_int_eq(same("a", "c"), 0);
	ck_assert_int_eq(same("a", "d"), 0);
	ck_assert_int_eq(same("d", "a"), 0);
	ck_assert_int_eq(same("e", "a"), 0);
	ck_assert_int_eq(same("e", "e"), 1);
	ck_assert_int_eq(same("a", "none"), -ENOENT);
}
END_TEST

struct trouble {
	struct cancel cancel;
	int error;
	bool move_away;
};

static int read_in_trouble(void *arg, uint64_t off, void *buf, size_t len)
{
	struct trouble *t = arg;
	char from[PATH_MAX];

	memset(buf, 'x', len);
	if (off == 0 || off + len < MIB(1))
		return 0;
	if (t->move_away) {
		t->move_away = false;
		strcpy(from, path_of("d"));
		ck_assert_int_eq(rename(from, path_of("moved")), 0);
	}
	if (t->error == -ECANCELED)
		cancel_set(&t->cancel);
	else if (t->error < 0)
		return t->error;
	return 0;
}

static int put_in_trouble(struct trouble *t, uint64_t size)
{
	struct ufs_body body = { .arg = t,
				 .size = size,
				 .read = read_in_trouble };
	struct ufs_stat st;

	return u->ops->write->put(u, str_of("d/f"), &body, &any, &st,
				  &t->cancel);
}

START_TEST(a_body_that_fails_or_is_cancelled_leaves_the_old_object)
{
	struct trouble bad = { .error = -EBADMSG };
	struct trouble ended = { .error = -ECANCELED };

	ck_assert_int_eq(put("d/f", "old", &any, NULL), 0);
	ck_assert_int_eq(put_in_trouble(&bad, MIB(3)), -EBADMSG);
	ck_assert_int_eq(put_in_trouble(&ended, MIB(3)), -ECANCELED);
	ck_assert_str_eq(text_of("d/f"), "old");
	ck_assert_uint_eq(names_in("d"), 1);
}
END_TEST

START_TEST(a_directory_that_moves_away_does_not_take_the_object_with_it)
{
	struct trouble moved = { .move_away = true };
	struct ufs_stat st;

	ck_assert_int_eq(put("d/", "", &any, NULL), 0);
	ck_assert_int_eq(put_in_trouble(&moved, MIB(2)), 0);
	ck_assert_int_eq(version_of("d/f", &st), 0);
	ck_assert_uint_eq(st.size, MIB(2));
	ck_assert_uint_eq(names_in("moved"), 0);
}
END_TEST

START_TEST(a_file_larger_than_may_be_is_EFBIG)
{
	struct rlimit was, limit;
	struct trouble none = { 0 };
	int r;

	ck_assert_int_eq(put("d/f", "old", &any, NULL), 0);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	limit = (struct rlimit){ MIB(1), was.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	r = put_in_trouble(&none, MIB(2));
	setrlimit(RLIMIT_FSIZE, &was);
	ck_assert_int_eq(r, -EFBIG);
	ck_assert_int_eq(put_in_trouble(&none, UINT64_MAX), -EFBIG);
	ck_assert_str_eq(text_of("d/f"), "old");
	ck_assert_uint_eq(names_in("d"), 1);
}
END_TEST

static void *put_often(void *arg)
{
	atomic_bool *stop = arg;
	char text[8192];

	for (unsigned i = 0; i < 40; i++) {
		memset(text, 'A' + (int)(i % 26), sizeof(text));
		text[4096 + i % 26] = '\0';
		ck_assert_int_eq(put("live", text, &any, NULL), 0);
	}
	atomic_store(stop, true);
	return NULL;
}

struct whole {
	uint64_t size;
	char first;
	uint64_t n;
};

static int whole_head(void *arg, const struct ufs_stat *st)
{
	((struct whole *)arg)->size = st->size;
	return 0;
}

static int whole_data(void *arg, const void *p, size_t n)
{
	struct whole *w = arg;
	const char *bytes = p;
	size_t same = 0;

	if (w->n == 0)
		w->first = bytes[0];
	/* check notes each assertion: one for all is a hundred times faster. */
	while (same < n && bytes[same] == w->first)
		same++;
	ck_assert_uint_eq(same, n);
	w->n += n;
	return 0;
}

START_TEST(S10_readers_see_the_old_object_or_the_new_one)
{
	atomic_bool stop = false;
	unsigned read = 0;
	pthread_t t;

	ck_assert_int_eq(put("live", "A", &any, NULL), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, put_often, &stop), 0);
	while (!atomic_load(&stop)) {
		struct whole w = { 0 };
		struct ufs_sink sink = { .arg = &w,
					 .head = whole_head,
					 .data = whole_data };
		int r = u->ops->get(u, str_of("live"), NULL, 0, MIB(1), &sink,
				    NULL);

		/* A name that is replaced is never absent. */
		ck_assert_int_ne(r, -ENOENT);
		if (r < 0)
			continue;
		ck_assert_uint_eq(w.n, w.size);
		if (w.n > 1)
			ck_assert_uint_eq(w.n,
					  4096 + (unsigned)(w.first - 'A'));
		read++;
	}
	pthread_join(t, NULL);
	ck_assert_uint_ge(read, 1);
}
END_TEST

enum { WRITERS = 4, ROUNDS = 12 };

/* Exit statuses: 0 won, 1 lost as it should, 2 anything else. */
static int contend(const char *key, const struct ufs_cond *cond, int go)
{
	struct ufs *mine = open_store();
	char c, text[32];
	int r;

	snprintf(text, sizeof(text), "of %d", (int)getpid());
	if (read(go, &c, 1) != 0) /* all at once: when it is closed */
		return 2;
	r = put_to(mine, key, text, cond, NULL);
	ufs_close(mine);
	if (r == 0)
		return 0;
	return r == (cond->what == UFS_IF_ABSENT ? -EEXIST : -ESTALE) ? 1 : 2;
}

static void race(const char *key, const struct ufs_cond *cond)
{
	pid_t pid[WRITERS], winner = 0;
	int go[2];
	char text[32];

	ck_assert_int_eq(pipe(go), 0);
	for (int i = 0; i < WRITERS; i++) {
		pid[i] = fork();
		ck_assert_int_ge(pid[i], 0);
		if (pid[i] == 0) {
			close(go[1]);
			_exit(contend(key, cond, go[0]));
		}
	}
	close(go[0]);
	close(go[1]);
	for (int i = 0; i < WRITERS; i++) {
		int status;

		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		if (WEXITSTATUS(status) == 0) {
			ck_assert_int_eq(winner, 0);
			winner = pid[i];
		}
	}
	ck_assert_int_ne(winner, 0);
	snprintf(text, sizeof(text), "of %d", (int)winner);
	ck_assert_str_eq(text_of(key), text);
}

START_TEST(S15_of_several_processes_that_make_an_object_one_wins)
{
	char key[32];

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(key, sizeof(key), "d%d/f", i);
		race(key, &absent);
	}
}
END_TEST

START_TEST(S15_of_several_processes_that_change_a_version_one_wins)
{
	struct ufs_stat st;
	struct ufs_cond cond = { UFS_IF_VERSION, st.version };

	ck_assert_int_eq(put("f", "first", &any, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		ck_assert_int_eq(version_of("f", &st), 0);
		race("f", &cond);
	}
}
END_TEST

/*
 * Run a piece of a test where it may mount, in a process and a namespace of
 * its own. Nothing is tested where the system does not let us.
 */
static void with_mounts(void (*run)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 &&
		    unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			_exit(0);
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
			run();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "status %#x", (unsigned)status);
}

#define EXPECT(number, cond)                                                   \
	do {                                                                   \
		if (!(cond))                                                   \
			_exit(number);                                         \
	} while (0)

static void fill_the_disk(void)
{
	struct trouble none = { 0 };

	if (mount("none", path_of("d"), "tmpfs", 0, "size=1m") < 0)
		return;
	u = open_store(); /* the other one is still where it was */
	EXPECT(1, put("d/f", "old", &any, NULL) == 0);
	EXPECT(2, put_in_trouble(&none, MIB(2)) == -ENOSPC);
	EXPECT(3, names_in("d") == 1);
	EXPECT(4, strcmp(text_of("d/f"), "old") == 0);
	EXPECT(5, put_in_trouble(&none, KIB(64)) == 0);
	if (mount(NULL, path_of("d"), NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return;
	EXPECT(6, put("d/f", "new", &any, NULL) == -EROFS);
	EXPECT(7, put("d/e/", "", &any, NULL) == -EROFS);
	EXPECT(8, remove_key("d/f", &any) == -EROFS);
}

START_TEST(a_full_and_a_read_only_disk_are_told_as_such)
{
	ck_assert_int_eq(mkdir(path_of("d"), 0755), 0);
	with_mounts(fill_the_disk);
}
END_TEST

static int die(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg, (void)off, (void)buf, (void)len;
	raise(SIGKILL);
	return -EIO;
}

/* Without /proc a file cannot be written without a name. */
static void die_while_writing(void)
{
	struct ufs_body body = { .size = 100, .read = die };
	struct ufs_stat st;
	int status;
	pid_t pid;

	if (mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		return;
	EXPECT(1, put("d/f", "old", &any, NULL) == 0);
	EXPECT(2, put("d/f", "new", &any, &st) == 0);
	EXPECT(3, put("d/g", "new", &absent, NULL) == 0);
	EXPECT(4, put("d/g", "new", &absent, NULL) == -EEXIST);
	EXPECT(5, names_in("d") == 2);
	pid = fork();
	if (pid == 0)
		u->ops->write->put(u, str_of("d/f"), &body, &any, &st, NULL);
	EXPECT(6, waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	EXPECT(7, names_in("d") == 3);
	EXPECT(8, strcmp(list(""), "d/f,d/g,") == 0);
	EXPECT(9, strcmp(text_of("d/f"), "new") == 0);
	EXPECT(10, remove_key("d/f", &any) == 0);
	EXPECT(11, remove_key("d/g", &any) == 0);
	EXPECT(12, remove_key("d/", &any) == 0);
	EXPECT(13, names_in("") == 0);
}

START_TEST(C9_a_writer_that_dies_leaves_the_old_object_and_nothing_to_be_seen)
{
	with_mounts(die_while_writing);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, make_root, remove_root);
	tcase_add_test(
	    t, S10_an_object_that_is_put_is_what_stat_get_and_list_tell);
	tcase_add_test(
	    t, every_put_has_a_version_of_its_own_however_fast_they_come);
	tcase_add_test(t, a_file_that_replaces_another_has_its_mode);
	tcase_add_test(t, S15_a_change_is_bound_to_what_is_there);
	tcase_add_test(t, S20_a_directory_is_its_marker);
	tcase_add_test(t, what_stands_in_the_way_is_told_and_stays);
	tcase_add_test(t, F1_symlinks_are_neither_followed_nor_replaced);
	tcase_add_loop_test(t,
			    F1_a_key_that_is_no_path_below_the_root_is_refused,
			    0, ARRAY_SIZE(bad_keys));
	tcase_add_test(t, temporary_files_are_no_objects);
	tcase_add_test(t, a_directory_goes_with_what_dead_writers_left_in_it);
	tcase_add_test(t, a_copy_is_of_just_the_version_that_was_named);
	tcase_add_test(t, S22_a_directory_moves_at_once_with_its_versions);
	tcase_add_test(t, files_are_the_same_by_all_their_bytes);
	tcase_add_test(t,
		       a_body_that_fails_or_is_cancelled_leaves_the_old_object);
	tcase_add_test(
	    t, a_directory_that_moves_away_does_not_take_the_object_with_it);
	tcase_add_test(t, a_file_larger_than_may_be_is_EFBIG);
	tcase_add_test(t, S10_readers_see_the_old_object_or_the_new_one);
	tcase_add_test(t,
		       S15_of_several_processes_that_make_an_object_one_wins);
	tcase_add_test(t,
		       S15_of_several_processes_that_change_a_version_one_wins);
	tcase_add_test(t, a_full_and_a_read_only_disk_are_told_as_such);
	tcase_add_test(
	    t,
	    C9_a_writer_that_dies_leaves_the_old_object_and_nothing_to_be_seen);
	return RUN_CASES(t);
}
