/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sums.c - the checksums of S3, made from their polynomials: nothing of tarn's
 * own code
 */
#include "sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

static const struct {
	const char *name;
	uint64_t polynomial; /* reflected; 0: a digest of OpenSSL */
	unsigned bytes;
} sums[] = {
	{ "crc32", UINT64_C(0xedb88320), 4 },
	{ "crc32c", UINT64_C(0x82f63b78), 4 },
	{ "crc64nvme", UINT64_C(0x9a6c9329ac4bc9b5), 8 },
	{ "sha1", 0, 20 },
	{ "sha256", 0, 32 },
	{ "sha512", 0, 64 },
	{ "md5", 0, 16 },
};
enum { SUMS = sizeof(sums) / sizeof(sums[0]), CRCS = 3 };

/*
 * What a byte does to the CRC when it stands so many places before the end of
 * eight: eight at a time, so that gigabytes take seconds.
 */
static uint64_t tables[CRCS][8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
	for (int k = 0; k < CRCS; k++) {
		for (unsigned b = 0; b < 256; b++) {
			uint64_t r = b;

			for (int bit = 0; bit < 8; bit++)
				r = r & 1 ? r >> 1 ^ sums[k].polynomial
					  : r >> 1;
			tables[k][0][b] = r;
		}
		for (unsigned b = 0; b < 256; b++)
			for (int i = 1; i < 8; i++) {
				uint64_t r = tables[k][i - 1][b];

				tables[k][i][b] =
				    r >> 8 ^ tables[k][0][r & 255];
			}
	}
}

static uint64_t crc(uint64_t r, const unsigned char *p, size_t n,
		    uint64_t (*t)[256])
{
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t x = r, next = 0;

		for (int i = 0; i < 8; i++)
			x ^= (uint64_t)p[i] << 8 * i;
		for (int i = 0; i < 8; i++)
			next ^= t[7 - i][x >> 8 * i & 255];
		r = next;
	}
	for (; n > 0; p++, n--)
		r = r >> 8 ^ t[0][(r ^ *p) & 255];
	return r;
}

/* A checksum that is being made. */
struct running {
	int kind;
	uint64_t crc;
	EVP_MD_CTX *md;
};

static void begin(struct running *s, int kind)
{
	pthread_once(&once, make_tables);
	s->kind = kind;
	s->crc = 0;
	s->md = NULL;
	if (sums[kind].polynomial == 0) {
		s->md = need(EVP_MD_CTX_new());
		EVP_DigestInit_ex(s->md, EVP_get_digestbyname(sums[kind].name),
				  NULL);
	} else {
		s->crc = UINT64_MAX >> (64 - 8 * sums[kind].bytes);
	}
}

static void add(void *arg, const char *p, size_t n)
{
	struct running *s = arg;

	if (s->md != NULL)
		EVP_DigestUpdate(s->md, p, n);
	else
		s->crc =
		    crc(s->crc, (const unsigned char *)p, n, tables[s->kind]);
}

static unsigned end(struct running *s, unsigned char out[static SUM_MAX])
{
	unsigned n = sums[s->kind].bytes;

	if (s->md != NULL) {
		EVP_DigestFinal_ex(s->md, out, NULL);
		EVP_MD_CTX_free(s->md);
		return n;
	}
	s->crc ^= UINT64_MAX >> (64 - 8 * n);
	for (unsigned i = 0; i < n; i++)
		out[i] = (unsigned char)(s->crc >> 8 * (n - 1 - i));
	return n;
}

static int find(const char *name)
{
	for (int i = 0; i < SUMS; i++)
		if (strcmp(sums[i].name, name) == 0)
			return i;
	return -1;
}

const char *sums_name(size_t i)
{
	return i < SUMS ? sums[i].name : NULL;
}

unsigned sums_size(const char *name)
{
	int k = find(name);

	return k < 0 ? 0 : sums[k].bytes;
}

unsigned sums_of(const struct object *o, const char *name,
		 unsigned char out[static SUM_MAX])
{
	struct running s;
	int k = find(name);

	if (k < 0)
		return 0;
	begin(&s, k);
	object_each(o, add, &s);
	return end(&s, out);
}

unsigned sums_of_bytes(const void *p, size_t n, const char *name,
		       unsigned char out[static SUM_MAX])
{
	struct running s;
	int k = find(name);

	if (k < 0)
		return 0;
	begin(&s, k);
	add(&s, p, n);
	return end(&s, out);
}

void base64_of(const unsigned char *p, unsigned n, char to[static 96])
{
	EVP_EncodeBlock((unsigned char *)to, p, (int)n);
}

bool base64_to(const char *text, unsigned n, unsigned char *to)
{
	unsigned char out[96];
	size_t len = strlen(text), pad = (3 - n % 3) % 3;

	if (len != (n + 2) / 3 * 4 || len > 96)
		return false;
	for (size_t i = 0; i < pad; i++)
		if (text[len - 1 - i] != '=')
			return false;
	if (text[len - 1 - pad] == '=' ||
	    EVP_DecodeBlock(out, (const unsigned char *)text, (int)len) < 0)
		return false;
	memcpy(to, out, n);
	return true;
}

bool sums_set(struct object *o, const char *name)
{
	unsigned char sum[SUM_MAX];
	unsigned n = sums_of(o, name, sum);

	if (n == 0)
		return false;
	base64_of(sum, n, o->checksum_text);
	snprintf(o->checksum, sizeof(o->checksum), "%s", name);
	return true;
}
