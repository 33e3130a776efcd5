/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsx - random operations on a file, beside a buffer that is always right
 *
 *   fsx FILE SEED OPERATIONS SIZE LARGEST
 *
 * After the program of this name that Avadis Tevanian wrote at Apple: reads,
 * writes, maps, truncates, reserves, syncs, copies, renames, closes and opens
 * again FILE, of at most SIZE bytes, LARGEST at a time, and compares each byte
 * and each size that it is told with what it should be. What it does depends
 * on SEED alone. What is wrong is told with the last operations, with exit 1;
 * the file is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOGGED 24
#define PAGE ((uint64_t)4096)
#define BORDER ((uint64_t)5 << 20) /* parts of uploads begin there */

static char name[2][4000]; /* of the file; which one is its name now */
static int named, fd = -1;
static char *good, *seen; /* what it holds; room for what is read */
static uint64_t size, size_most, op_most;
static uint64_t seed, state, op;
static char said[LOGGED][100];

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void die(const char *fmt, ...)
{
	va_list ap;

	for (uint64_t i = op < LOGGED ? 0 : op - LOGGED + 1; i <= op; i++)
		fprintf(stderr, "%s\n", said[i % LOGGED]);
	fprintf(stderr, "fsx: %s: seed %ju, operation %ju: ", name[named],
		(uintmax_t)seed, (uintmax_t)op);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

static void note(const char *fmt, ...)
{
	char *line = said[op % LOGGED];
	int n = snprintf(line, sizeof(said[0]), "%6ju ", (uintmax_t)op);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(said[0]) - (size_t)n, fmt, ap);
	va_end(ap);
}

static void must(bool well, const char *what)
{
	if (!well)
		die("%s: %s", what, strerror(errno));
}

/* xorshift64* */
static uint64_t random_word(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(2685821657736338717);
}

static uint64_t below(uint64_t n)
{
	return n == 0 ? 0 : (random_word() >> 11) % n;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A place up to n, where mistakes are likely more often than elsewhere. */
static uint64_t place(uint64_t n)
{
	uint64_t at = below(n + 1);

	switch (below(6)) {
	case 0:
		return at / PAGE * PAGE;
	case 1:
		return least(n, at / BORDER * BORDER + below(3));
	case 2:
		return least(n, size);
	default:
		return at;
	}
}

/* Some bytes behind at, up to end; small ones as often as large ones. */
static uint64_t length(uint64_t at, uint64_t end)
{
	uint64_t most = least(op_most, end - at);

	return below((below(2) == 0 ? least(most, 3 * PAGE) : most) + 1);
}

static void compare(const char *how, const char *got, uint64_t at, uint64_t n)
{
	if (memcmp(got, good + at, n) == 0)
		return;
	for (uint64_t i = 0; i < n; i++)
		if (got[i] != good[at + i])
			die("%s: byte %ju is %#x and not %#x", how,
			    (uintmax_t)(at + i), got[i] & 0xff,
			    good[at + i] & 0xff);
}

static void check_size(void)
{
	struct stat by_fd, by_name;

	must(fstat(fd, &by_fd) == 0, "fstat");
	must(stat(name[named], &by_name) == 0, "stat");
	if ((uint64_t)by_fd.st_size != size ||
	    (uint64_t)by_name.st_size != size)
		die("it has %jd bytes, by its name %jd, and not %ju",
		    (intmax_t)by_fd.st_size, (intmax_t)by_name.st_size,
		    (uintmax_t)size);
	if (by_fd.st_ino != by_name.st_ino)
		die("its name is another file");
}

static void open_it(int flags)
{
	fd = open(name[named], O_RDWR | O_CLOEXEC | flags, 0644);
	must(fd >= 0, "open");
}

static void read_from(int from, const char *how, uint64_t at, uint64_t n)
{
	ssize_t got = pread(from, seen, n, (off_t)at);

	must(got >= 0, how);
	if ((uint64_t)got != (at < size ? least(n, size - at) : 0))
		die("%s: %jd bytes of %ju", how, (intmax_t)got, (uintmax_t)n);
	compare(how, seen, at, (uint64_t)got);
}

/* ---- the operations ---- */

static void op_read(void)
{
	uint64_t at = place(size), n = length(at, size_most);

	note("read %ju + %ju", (uintmax_t)at, (uintmax_t)n);
	read_from(fd, "read", at, n);
}

/* By a handle of its own, which may bypass the kernel's pages. */
static void op_read_elsewhere(void)
{
	uint64_t at = place(size), n = length(at, size_most);
	int flags = below(3) == 0 ? O_DIRECT : 0, other;

	note("open%s and read %ju + %ju", flags ? " O_DIRECT" : "",
	     (uintmax_t)at, (uintmax_t)n);
	other = open(name[named], O_RDONLY | O_CLOEXEC | flags);
	must(other >= 0, "open for reading");
	read_from(other, "read of another handle", at, n);
	must(close(other) == 0, "close of a reader");
}

static void op_send(void)
{
	uint64_t at = place(size), n = length(at, size), done = 0;
	off_t off = (off_t)at;
	int to = memfd_create("fsx", MFD_CLOEXEC);

	note("sendfile %ju + %ju", (uintmax_t)at, (uintmax_t)n);
	must(to >= 0, "memfd_create");
	while (done < n) {
		ssize_t r = sendfile(to, fd, &off, n - done);

		must(r > 0, "sendfile");
		done += (uint64_t)r;
	}
	must(pread(to, seen, n, 0) == (ssize_t)n, "read of a memfd");
	compare("sendfile", seen, at, n);
	close(to);
}

/* New bytes [at, at+n); what the file gets behind its end are zeros. */
static void renew(uint64_t at, uint64_t n)
{
	uint64_t word = random_word();

	if (at > size)
		memset(good + size, 0, at - size);
	for (uint64_t i = 0; i < n; i++) {
		if (i % 8 == 0)
			word = word * UINT64_C(6364136223846793005) + op;
		good[at + i] = (char)(word >> (8 + i % 8 * 7));
	}
	size = at + n > size && n > 0 ? at + n : size;
}

static void op_write(void)
{
	uint64_t at = place(size_most), n = length(at, size_most);

	note("write %ju + %ju", (uintmax_t)at, (uintmax_t)n);
	renew(at, n);
	must(pwrite(fd, good + at, n, (off_t)at) == (ssize_t)n, "write");
}

/* In order, as most do: parts are sent meanwhile. */
static void op_write_on(void)
{
	uint64_t at = size, n = length(at, size_most), step = below(100000) + 1;

	note("write on %ju + %ju, %ju at a time", (uintmax_t)at, (uintmax_t)n,
	     (uintmax_t)step);
	step = n / step > 200 ? n / 200 + 1 : step;
	renew(at, n);
	for (uint64_t i = 0; i < n; i += step) {
		uint64_t some = least(step, n - i);

		must(pwrite(fd, good + at + i, some, (off_t)(at + i)) ==
			 (ssize_t)some,
		     "write on");
	}
}

static void op_append(void)
{
	uint64_t at = size, n = length(at, size_most);
	int other;

	note("open O_APPEND and write %ju + %ju", (uintmax_t)at, (uintmax_t)n);
	renew(at, n);
	other = open(name[named], O_WRONLY | O_APPEND | O_CLOEXEC);
	must(other >= 0, "open O_APPEND");
	must(write(other, good + at, n) == (ssize_t)n, "append");
	must(close(other) == 0, "close after an append");
}

static char *map(int prot, uint64_t at, uint64_t n)
{
	char *p = mmap(NULL, n + at % PAGE, prot, MAP_SHARED, fd,
		       (off_t)(at - at % PAGE));

	must(p != MAP_FAILED, "mmap");
	return p;
}

static void op_map_read(void)
{
	uint64_t at = place(size), n = length(at, size);
	char *p;

	note("map and read %ju + %ju", (uintmax_t)at, (uintmax_t)n);
	if (n == 0)
		return;
	p = map(PROT_READ, at, n);
	compare("map", p + at % PAGE, at, n);
	munmap(p, n + at % PAGE);
}

static void op_map_write(void)
{
	uint64_t at = place(size_most), n = length(at, size_most);
	bool sync = below(2) == 0;
	char *p;

	note("map and write %ju + %ju%s", (uintmax_t)at, (uintmax_t)n,
	     sync ? ", msync" : "");
	if (n == 0)
		return;
	if (at + n > size)
		must(ftruncate(fd, (off_t)(at + n)) == 0, "ftruncate");
	renew(at, n);
	p = map(PROT_READ | PROT_WRITE, at, n);
	memcpy(p + at % PAGE, good + at, n);
	must(!sync || msync(p, n + at % PAGE, MS_SYNC) == 0, "msync");
	must(munmap(p, n + at % PAGE) == 0, "munmap");
}

static void op_truncate(void)
{
	uint64_t to = below(8) == 0 ? 0 : place(size_most);
	bool by_name = below(4) == 0;

	note("truncate%s %ju to %ju", by_name ? " by name" : "",
	     (uintmax_t)size, (uintmax_t)to);
	if (to > size)
		memset(good + size, 0, to - size);
	size = to;
	must((by_name ? truncate(name[named], (off_t)to)
		      : ftruncate(fd, (off_t)to)) == 0,
	     "truncate");
}

static void op_allocate(void)
{
	uint64_t at = place(size_most - 1), n = length(at, size_most - 1) + 1;

	note("fallocate %ju + %ju", (uintmax_t)at, (uintmax_t)n);
	must(fallocate(fd, 0, (off_t)at, (off_t)n) == 0, "fallocate");
	if (at + n > size) {
		memset(good + size, 0, at + n - size);
		size = at + n;
	}
}

static void op_copy(void)
{
	uint64_t from = place(size), n = length(from, size), to;
	off_t in = (off_t)from, out;

	to = place(size_most - n);
	note("copy %ju + %ju to %ju", (uintmax_t)from, (uintmax_t)n,
	     (uintmax_t)to);
	if (from < to + n && to < from + n)
		return; /* EINVAL */
	if (to > size)
		memset(good + size, 0, to - size);
	memcpy(good + to, good + from, n);
	size = n > 0 && to + n > size ? to + n : size;
	out = (off_t)to;
	while (n > 0) {
		ssize_t r = copy_file_range(fd, &in, fd, &out, n, 0);

		must(r > 0, "copy_file_range");
		n -= (uint64_t)r;
	}
}

/* Holes are zeros, and behind the last of them is the end. */
static void op_seek(void)
{
	uint64_t at = place(size);
	off_t data, hole;

	note("seek from %ju", (uintmax_t)at);
	if (at >= size)
		return;
	data = lseek(fd, (off_t)at, SEEK_DATA);
	must(data >= (off_t)at || errno == ENXIO, "SEEK_DATA");
	memset(seen, 0, size - at);
	compare("a hole", seen, at, (data < 0 ? size : (uint64_t)data) - at);
	hole = lseek(fd, (off_t)at, SEEK_HOLE);
	must(hole >= (off_t)at, "SEEK_HOLE");
	if ((uint64_t)hole > size)
		die("a hole at %jd, behind the end", (intmax_t)hole);
}

static void op_sync(void)
{
	bool data = below(2) == 0;

	note(data ? "fdatasync" : "fsync");
	must((data ? fdatasync(fd) : fsync(fd)) == 0, "sync");
}

static void op_close(void)
{
	int flags = below(12) == 0 ? O_TRUNC : 0;

	note("close, open%s", flags ? " O_TRUNC" : "");
	must(close(fd) == 0, "close");
	open_it(flags);
	size = flags ? 0 : size;
}

static void op_rename(void)
{
	note("rename");
	must(rename(name[named], name[!named]) == 0, "rename");
	named = !named;
}

static const struct {
	unsigned weight;
	void (*run)(void);
} ops[] = {
	{ 10, op_read },    { 4, op_read_elsewhere }, { 3, op_send },
	{ 10, op_write },   { 6, op_write_on },       { 2, op_append },
	{ 8, op_map_read }, { 8, op_map_write },      { 6, op_truncate },
	{ 2, op_allocate }, { 3, op_copy },           { 3, op_seek },
	{ 2, op_sync },     { 4, op_close },          { 1, op_rename },
};

static void step(void)
{
	unsigned all = 0, i = 0;
	uint64_t at;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		all += ops[i].weight;
	at = below(all);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	ops[i].run();
	check_size();
}

static uint64_t number(const char *s)
{
	char *end;
	unsigned long long n = strtoull(s, &end, 10);

	if (end == s || *end != '\0') {
		fprintf(stderr, "fsx: %s is no number\n", s);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	uint64_t n;

	if (argc != 6) {
		fprintf(stderr,
			"usage: fsx FILE SEED OPERATIONS SIZE LARGEST\n");
		return 2;
	}
	snprintf(name[0], sizeof(name[0]), "%s", argv[1]);
	snprintf(name[1], sizeof(name[1]), "%s.moved", argv[1]);
	seed = number(argv[2]);
	n = number(argv[3]);
	size_most = number(argv[4]);
	op_most = number(argv[5]);
	state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	good = calloc(1, size_most + 1);
	seen = calloc(1, size_most + 1);
	if (good == NULL || seen == NULL || size_most == 0) {
		fprintf(stderr, "fsx: no memory for %s bytes\n", argv[4]);
		return 2;
	}
	open_it(O_CREAT | O_TRUNC);
	for (op = 0; op < n; op++)
		step();
	must(close(fd) == 0, "the last close");
	open_it(0);
	read_from(fd, "at the end", 0, size_most);
	/* For whoever looks for it later. */
	if (named)
		op_rename();
	return close(fd) == 0 ? 0 : 1;
}
