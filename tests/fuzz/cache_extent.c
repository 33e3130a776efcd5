/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_extent.c - files of the cache, changed by somebody: attributes, maps,
 * bytes, lengths
 *
 * Input: small or large, the length, which pages were written; what is
 * changed (of data, map or attribute: offset, length, bytes; their lengths),
 * and whether the map's header hashes right again. No page is ever read that
 * is not the one written (INV1, B6 to B8).
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <xxhash.h>

#include "base/log.h"
#include "cache/extent_impl.h"

#define LARGE_PAGES 20 /* at most, of a large extent: 16 are 1 MiB */
#define HEADER_CHECK_AT 112

static char dir[64];
static struct disk *disk;
static struct disk_id id;
static uint8_t page_bytes[LARGE_PAGES][PAGE_BYTES];

static int drop(const char *path, const struct stat *st, int type,
		struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void clean_up(void)
{
	disk_close(disk);
	nftw(dir, drop, 16, FTW_DEPTH | FTW_PHYS);
}

static void start(void)
{
	struct disk_conf conf = { .dir = dir, .size = UINT64_C(1) << 30 };
	char why[256];

	snprintf(dir, sizeof(dir), "%s/tarn-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(dir) != NULL);
	log_open("/dev/null");
	CHECK(disk_open(&conf, &disk, why) == 0);
	atexit(clean_up);
	id = disk_extent_id(str_of("store"), str_of("key"), str_of("v"), 0, 1);
	for (size_t p = 0; p < LARGE_PAGES; p++)
		for (size_t i = 0; i < PAGE_BYTES; i++)
			page_bytes[p][i] =
			    (uint8_t)(i * 31 + i / 251 + p * 7 + 1);
}

static size_t span(uint64_t length, size_t page)
{
	return (size_t)MIN(length - page * PAGE_BYTES, (uint64_t)PAGE_BYTES);
}

/* Make the extent; written: a bit a page. */
static void make(uint64_t length, uint32_t written)
{
	void *pages[LARGE_PAGES];
	size_t n = (size_t)((length + PAGE_BYTES - 1) / PAGE_BYTES);
	struct extent *e;

	for (size_t p = 0; p < LARGE_PAGES; p++)
		pages[p] = page_bytes[p];
	if (length <= EXTENT_SMALL_MAX) {
		CHECK(extent_write_small(disk, &id, length, pages, NULL) == 0);
		return;
	}
	CHECK(extent_create(disk, &id, length, &e) == 0);
	for (size_t p = 0; p < n; p++)
		if (written >> p & 1)
			CHECK(extent_write(e, p, 1, &pages[p]) == 0);
	extent_close(e);
}

static void change_file(const char *suffix, uint64_t at, struct str bytes)
{
	AUTO_CLOSE int fd = -1;

	if (disk_open_file(disk, &id, suffix, O_RDWR, &fd) == 0)
		CHECK(pwrite(fd, bytes.p, bytes.n, (off_t)at) ==
		      (ssize_t)bytes.n);
}

static void cut_file(const char *suffix, uint64_t size)
{
	AUTO_CLOSE int fd = -1;

	if (disk_open_file(disk, &id, suffix, O_RDWR, &fd) == 0)
		CHECK(ftruncate(fd, (off_t)size) == 0);
}

static void change_attr(size_t at, struct str bytes, bool cut)
{
	AUTO_CLOSE int fd = -1;
	uint8_t attr[64];
	ssize_t n;

	if (disk_open_file(disk, &id, "", O_RDWR, &fd) < 0)
		return;
	n = fgetxattr(fd, EXTENT_ATTR, attr, sizeof(attr));
	if (n <= 0)
		return;
	at %= sizeof(attr);
	memcpy(attr + at, bytes.p, MIN(bytes.n, sizeof(attr) - at));
	if (cut)
		n = (ssize_t)at;
	CHECK(fsetxattr(fd, EXTENT_ATTR, attr, (size_t)n, 0) == 0);
}

/* As if it had been written so. */
static void fix_header(void)
{
	AUTO_CLOSE int fd = -1;
	uint8_t h[MAP_HEADER];

	if (disk_open_file(disk, &id, ".map", O_RDWR, &fd) < 0 ||
	    pread(fd, h, sizeof(h), 0) != sizeof(h))
		return;
	put_le(h + HEADER_CHECK_AT, XXH3_64bits(h, HEADER_CHECK_AT), 8);
	CHECK(pwrite(fd, h, sizeof(h), 0) == sizeof(h));
}

static void change(struct input *in, uint64_t length)
{
	for (int i = 0; i < 8 && in->n >= 4; i++) {
		uint8_t how = take_u8(in);
		uint64_t at = take_u16(in);
		struct str bytes = take_str(in, 1 + take_u8(in) % 16);

		switch (how % 8) {
		case 0: /* somewhere in the first page, or in the last */
			change_file("", how & 8 ? at : length - 1 - at % length,
				    bytes);
			break;
		case 1: /* the header and the words after it */
			change_file(".map", at % 512, bytes);
			break;
		case 2:
			change_attr(at, bytes, false);
			break;
		case 3:
			change_attr(at, bytes, true);
			break;
		case 4:
			cut_file("", how & 8 ? length + at : at);
			break;
		case 5:
			cut_file(".map", at % 1024);
			break;
		case 6: /* a page moved onto another */
			change_file(
			    "", (at % LARGE_PAGES) * PAGE_BYTES,
			    (struct str){ (char *)page_bytes[1], PAGE_BYTES });
			break;
		default:
			fix_header();
			break;
		}
	}
}

/* Whatever is read is what was written. */
static void use(struct extent *e, uint64_t length, uint32_t written)
{
	size_t n = (size_t)((length + PAGE_BYTES - 1) / PAGE_BYTES), room;
	bool small = length <= EXTENT_SMALL_MAX, present[LARGE_PAGES];
	AUTO_FREE uint8_t *buf = malloc(LARGE_PAGES * PAGE_BYTES);
	uint64_t bytes;
	int r;

	CHECK(buf != NULL);
	r = extent_present(e, 0, n, present, false);
	CHECK(r < 0 || r <= (int)n);
	for (size_t p = 0; p < n; p++) {
		room = n - p;
		r = extent_read(e, p, room, buf, false);
		CHECK(r <= (int)room);
		for (size_t i = 0; r > 0 && i < (size_t)r; i++) {
			CHECK(small || written >> (p + i) & 1);
			CHECK(memcmp(buf + i * PAGE_BYTES, page_bytes[p + i],
				     span(length, p + i)) == 0);
		}
		/* A few starts are enough. */
		if (p == 2)
			p = MAX(n - 2, 2);
	}
	if (extent_bytes(e, &bytes) == 0)
		CHECK(bytes <= length);
	r = extent_verify(e, MIB(4));
	CHECK(r <= 1);
	(void)extent_trusted(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	bool large = take_u8(&in) & 1;
	uint64_t length = take_u16(&in);
	uint32_t written = take_u16(&in) | (uint32_t)take_u8(&in) << 16;
	bool untouched;
	struct extent *e;
	int r;

	if (disk == NULL)
		start();
	length = large ? EXTENT_SMALL_MAX + 1 + length * 3 : MAX(length * 4, 1);
	/* Few pages: writing them is what takes the time. */
	written &= 0x10003 | (uint32_t)size << 2;
	make(length, written);
	untouched = in.n < 4;
	change(&in, length);
	r = extent_open(disk, &id, length, &e);
	if (untouched)
		CHECK(r == 0);
	if (r == 0) {
		use(e, length, written);
		extent_close(e);
	}
	disk_unlink(disk, &id, ".map");
	disk_unlink(disk, &id, "");
	return 0;
}
