/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_listing.c - the file of a listing, changed by somebody
 *
 * Input: which listing to begin with (or that the file itself follows), what
 * is made right again (hashes of blocks, of the index, of the header), the
 * file's length, changes (offset, length, bytes), a name. A file that is not
 * believed is refused; from one that is, nothing but entries within its
 * bounds comes, and every walk ends.
 */
/* Its own words about the file: it is made of these here. */
#include "cache/listing.c"

#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <xxhash.h>

#define FILE_MAX KIB(96)

enum {
	FIX_BLOCKS = 1,
	FIX_INDEX = 2,
	FIX_HEADER = 4,
	FIX_COUNTS = 8, /* entries, blocks: as the rows say */
};

static const struct disk_id id = { .b = { 7 } };

struct image {
	uint8_t bytes[FILE_MAX];
	size_t n;
};

static void add(struct listing_writer *w, const char *name, bool dir)
{
	struct ufs_entry e = { .key = str_of(name), .dir = dir };

	if (!dir) {
		e.st.size = 100;
		e.st.mtime = 5;
		strcpy(e.st.version, "etag");
		strcpy(e.st.storage_class, "GLACIER");
		e.st.flags = UFS_ARCHIVED;
	}
	CHECK(listing_writer_add(w, e.key, &e) == 0);
}

/* Shape 0: nothing; 1: a few, with twins; 2: several blocks. */
static void make(int shape, struct image *out)
{
	struct listing_writer *w;
	struct listing *l;
	char name[32];

	CHECK(listing_writer_new(NULL, &id, 1, &w) == 0);
	if (shape == 1) {
		add(w, "a", false);
		add(w, "a-b", false);
		add(w, "a/", true);
		add(w, "z/", true);
	}
	for (int i = 0; shape == 2 && i < 1200; i++) {
		snprintf(name, sizeof(name), "name-%06d", i);
		add(w, name, false);
	}
	CHECK(listing_writer_finish(w, &l) == 0);
	out->n = (size_t)lseek(l->fd, 0, SEEK_END);
	CHECK(out->n <= FILE_MAX);
	CHECK(pread(l->fd, out->bytes, out->n, 0) == (ssize_t)out->n);
	listing_unref(l);
}

/* header_encode(), but with what is not complete, too. */
static void put_header(struct image *m, const struct listing_header *h)
{
	uint8_t bytes[LISTING_HEADER];

	header_encode(h, bytes);
	memcpy(m->bytes, bytes, sizeof(bytes));
}

/* Without its hash: what stands there. */
static void get_header(const struct image *m, struct listing_header *h)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->id.b, m->bytes + 8, DISK_ID_LEN);
	h->flags = get_le32(m->bytes + 28);
	h->entries = get_le64(m->bytes + 32);
	h->blocks = get_le64(m->bytes + 40);
	h->index = get_le64(m->bytes + 48);
	h->taken = (int64_t)get_le64(m->bytes + 56);
	h->index_hash = get_le64(m->bytes + 100);
}

static void fix(struct image *m, uint8_t what)
{
	struct listing_header h;
	uint64_t entries = 0, blocks = 0;
	struct row row;
	size_t at;

	if (m->n < LISTING_HEADER)
		return;
	get_header(m, &h);
	at = (size_t)MIN(h.index, m->n);
	while (at < m->n) {
		size_t n = row_decode(m->bytes + at, m->n - at, &row);

		if (n == 0)
			break;
		if (what & FIX_BLOCKS && row.off <= m->n &&
		    row.len <= m->n - row.off)
			put_le64(m->bytes + at + ROW_HASH_AT,
				 XXH3_64bits(m->bytes + row.off, row.len));
		entries += row.entries;
		blocks++;
		at += n;
	}
	if (what & FIX_COUNTS) {
		h.entries = entries;
		h.blocks = blocks;
	}
	if (what & FIX_INDEX && h.index <= m->n)
		h.index_hash = XXH3_64bits(m->bytes + h.index, m->n - h.index);
	if (what & FIX_HEADER)
		put_header(m, &h);
}

static void change(struct image *m, struct input *in)
{
	for (int i = 0; i < 16 && in->n >= 3; i++) {
		size_t at = take_u16(in), n = 1 + take_u8(in) % 16;
		struct str bytes = take_str(in, n);

		/* From either end: the index is the last. */
		if (at & 0x8000)
			at = m->n - MIN(m->n, at & 0x7fff);
		if (at < FILE_MAX)
			memcpy(m->bytes + at, bytes.p,
			       MIN(bytes.n, FILE_MAX - at));
	}
}

struct walked {
	uint64_t n, last;
	bool any;
	bool all; /* none is left out */
};

static int on_entry(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct walked *w = arg;

	CHECK(!w->any || number > w->last);
	CHECK(!w->any || !w->all || number == w->last + 1);
	CHECK(e->name.n <= UFS_KEY_MAX);
	CHECK(memchr(e->st.version, '\0', sizeof(e->st.version)) != NULL);
	CHECK(memchr(e->st.storage_class, '\0', sizeof(e->st.storage_class)) !=
	      NULL);
	/* Every byte of the name is there. */
	for (size_t i = 0; i < e->name.n; i++)
		w->n += e->name.p[i] == 1;
	w->any = true;
	w->last = number;
	return 0;
}

static void use(struct listing *l, struct str name)
{
	struct walked w = { .all = true };
	struct ufs_stat st;
	bool object, dir;
	int r = listing_each(l, 0, on_entry, &w);

	CHECK(r == 0 || r == -EIO);
	CHECK(!w.any || w.last < listing_entries(l));
	if (r == 0)
		CHECK(w.any ? w.last + 1 == listing_entries(l)
			    : listing_entries(l) == 0);
	w.any = false;
	r = listing_each(l, listing_entries(l) / 2, on_entry, &w);
	CHECK(r == 0 || r == -EIO);
	w.any = w.all = false;
	r = listing_each_prefix(l, name, on_entry, &w);
	CHECK(r == 0 || r == -EIO);
	r = listing_find(l, name, &object, &dir, &st);
	CHECK(r == 0 || r == -EIO);
	r = listing_find(l, str_of("a"), &object, &dir, &st);
	CHECK(r == 0 || r == -EIO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct image shapes[3], m;
	struct input in = { data, size };
	uint8_t shape = take_u8(&in) % 4, what = take_u8(&in);
	size_t cut = take_u16(&in), nname = take_u8(&in) % 32;
	struct str name = take_str(&in, nname);
	AUTO_FREE char *text = heap_text(name);
	AUTO_CLOSE int fd = -1;
	struct listing *l;
	bool untouched;
	int r;

	if (shapes[0].n == 0)
		for (int i = 0; i < 3; i++)
			make(i, &shapes[i]);
	if (shape < 3) {
		memcpy(m.bytes, shapes[shape].bytes, FILE_MAX);
		m.n = shapes[shape].n;
	} else {
		m.n = MIN(in.n, (size_t)FILE_MAX);
		memset(m.bytes, 0, FILE_MAX);
		memcpy(m.bytes, in.p, m.n);
		in.n = 0;
	}
	untouched = shape < 3 && in.n < 3 && cut == 0;
	change(&m, &in);
	/* Shorter by that, or longer by zeros. */
	m.n = cut & 0x8000 ? MIN(m.n + (cut & 0x7fff), (size_t)FILE_MAX)
			   : m.n - MIN(m.n, cut);
	fix(&m, what);
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	CHECK(fd >= 0 && write(fd, m.bytes, m.n) == (ssize_t)m.n);
	r = listing_load(NULL, &id, fd, &l);
	CHECK(r == 0 || r == -ENOENT || r == -EIO);
	if (untouched)
		CHECK(r == 0);
	if (r < 0)
		return 0;
	take_fd(&fd);
	use(l, (struct str){ text, name.n });
	if (untouched)
		CHECK(!listing_is_bad(l));
	listing_unref(l);
	return 0;
}
