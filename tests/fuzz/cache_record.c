/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_record.c - records of a staging-dir, whatever lies there
 *
 * Input: what is done, the size of the data beside the record, and the bytes
 * of the record; or bytes that a record is made of, as the staging spells
 * them: then they are read as they were.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "cache/recover_impl.h"

#define ID "0123456789abcdef0123456789abcdef"
#define DATA ID ".data"
#define RECORD ID ".json"

enum { WITH_DATA = 1, MADE = 2, EDIT = 4, SAVE = 8, BASE = 16 };

static char path[64];
static int dir = -1;

static void clean(void)
{
	unlinkat(dir, DATA, 0);
	unlinkat(dir, RECORD, 0);
	rmdir(path);
}

static void set_up(void)
{
	/* Of memory if there is one: each input is a few fsyncs. */
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	if (dir >= 0)
		return;
	log_open("/dev/null");
	snprintf(path, sizeof(path), "%s/tarn-fuzz.XXXXXX", tmp);
	CHECK(mkdtemp(path) != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0);
	CHECK(atexit(clean) == 0);
}

static void put(const char *name, const void *p, size_t n, off_t size)
{
	int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	CHECK(ftruncate(fd, size) == 0);
	close(fd);
}

/* A record with these as its key and its upload. */
static char *made(struct str key, struct str upload, bool base)
{
	json_t *o = json_pack("{s:i, s:s, s:s, s:o, s:s, s:s, s:i, s:i, s:o}",
			      "format", RECORD_FORMAT, "store", "s", "prefix",
			      "p/", "key", record_text(key), "bound", "absent",
			      "version", "", "error", 5, "base_end",
			      base ? 100 : 0, "upload", record_text(upload));
	char *text;

	CHECK(o != NULL);
	if (base)
		json_object_set_new(o, "written", json_pack("[i, i]", 0, 100));
	text = json_dumps(o, 0);
	CHECK(text != NULL);
	json_decref(o);
	return text;
}

static void check(const struct recover_record *r)
{
	CHECK(strcmp(r->id, ID) == 0);
	CHECK(r->store != NULL && r->prefix != NULL && r->key != NULL);
	CHECK(r->key_len <= UFS_KEY_MAX && r->key[r->key_len] == '\0');
	CHECK(strlen(r->prefix) <= UFS_KEY_MAX);
	CHECK(memchr(r->version, '\0', sizeof(r->version)) != NULL);
	CHECK(r->bound != UFS_IF_VERSION || r->version[0] != '\0');
	/* It goes into a header line. */
	for (const char *c = r->version; *c != '\0'; c++)
		CHECK((unsigned char)*c > ' ' && *c != 0x7f && *c != '"');
	CHECK(r->err >= 0 && r->err <= ERRNO_MOST);
	CHECK(!recover_has(r) || r->data);
}

static void save(const struct recover_file *f)
{
	int fd = memfd_create("saved", MFD_CLOEXEC), r;

	CHECK(fd >= 0);
	r = recover_save(f, fd);
	CHECK(r == (f->r.whole && f->fd >= 0 ? 0 : -ENODATA));
	CHECK(r < 0 || lseek(fd, 0, SEEK_END) == (off_t)f->r.size);
	close(fd);
}

/* What is written into it does not change the rest. */
static void edit(struct recover_file *f)
{
	struct recover_record r;
	char *key = f->r.key;
	int e = recover_note_told(f);

	CHECK(e == 0 && recover_note_closed(f) == 0);
	CHECK(recover_read(dir, ID, &r) == 0);
	check(&r);
	CHECK(r.told && r.upload == NULL);
	CHECK(r.key_len == f->r.key_len && memcmp(r.key, key, r.key_len) == 0);
	CHECK(r.bound == f->r.bound && r.err == f->r.err);
	CHECK(strcmp(r.version, f->r.version) == 0);
	recover_record_fini(&r);
}

static void use(uint8_t how)
{
	struct recover_file f;
	int r = recover_claim_in(dir, ID, 0, &f);

	CHECK(r == 0);
	check(&f.r);
	if (how & SAVE)
		save(&f);
	if (how & EDIT)
		edit(&f);
	CHECK(recover_discard(&f) == 0);
	recover_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = take_u8(&in);
	uint16_t bytes = take_u16(&in);
	struct str key = STR_EMPTY, upload = STR_EMPTY;
	AUTO_FREE char *text = NULL;
	struct recover_record r;
	int err;

	set_up();
	unlinkat(dir, RECORD, 0);
	unlinkat(dir, DATA, 0);
	if (how & WITH_DATA)
		put(DATA, "data", 4, bytes);
	if (how & MADE) {
		key = take_str(&in, take_u16(&in));
		upload = take_str(&in, in.n);
		text = made(key, upload, how & BASE);
		put(RECORD, text, strlen(text), (off_t)strlen(text));
	} else {
		put(RECORD, in.p, in.n, (off_t)in.n);
	}
	err = recover_read(dir, ID, &r);
	if (err == 0) {
		check(&r);
		CHECK(r.data == ((how & WITH_DATA) != 0) && !r.live);
		CHECK(!r.data || r.size == bytes);
	}
	if (how & MADE) {
		bool right =
		    key.n <= UFS_KEY_MAX && upload.n <= 8192 &&
		    (upload.n == 0 || memchr(upload.p, '\0', upload.n) == NULL);

		CHECK((err == 0) == right);
		CHECK(err < 0 ||
		      (str_eq((struct str){ r.key, r.key_len }, key) &&
		       strlen(r.upload) == upload.n && r.whole));
	}
	if (err < 0)
		return 0;
	recover_record_fini(&r);
	use(how);
	return 0;
}
