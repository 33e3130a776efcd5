/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum.c - the checksums of S3 (API reference: Checksum, GetObject)
 *
 * CPU s/GB on the project's machine: any CRC 0.08, SHA-1 and SHA-256 0.55
 * (with the processor's instructions for them), SHA-512 1.2, MD5 1.35. A GET
 * of 110 KB costs some 85 us; its CRC 8, its MD5 150. So the cheapest counts.
 *
 * Not used, because they are not of the object's bytes: composite checksums of
 * multipart uploads ("value-N", x-amz-checksum-type: COMPOSITE), ETags with a
 * "-N", and ETags of objects encrypted with KMS or a customer's key. Some
 * stores sent the whole's checksum with a range (ceph pull request 61901):
 * only a request without one, and only its 200, is asked for a checksum.
 *
 * Large objects are fetched in ranges and not compared with a checksum of the
 * whole: CRCs could be put together from those of the ranges, but only once
 * the last one came, long after the first were read.
 */
#include "ufs/checksum.h"

#include <errno.h>

struct checksum_kind {
	const char *header; /* NULL: the ETag */
	const char *name;
	size_t n; /* bytes */
	const EVP_MD *(*digest)(void);
	enum crc_kind crc; /* where digest is NULL */
};

/* Cheapest first. */
static const struct checksum_kind kinds[] = {
	{ "x-amz-checksum-crc64nvme", "crc64nvme", 8, NULL, CRC_64NVME },
	{ "x-amz-checksum-crc32c", "crc32c", 4, NULL, CRC_32C },
	{ "x-amz-checksum-crc32", "crc32", 4, NULL, CRC_32 },
	{ "x-amz-checksum-sha1", "sha1", 20, EVP_sha1, 0 },
	{ "x-amz-checksum-sha256", "sha256", 32, EVP_sha256, 0 },
	{ "x-amz-checksum-sha512", "sha512", 64, EVP_sha512, 0 },
	{ "x-amz-checksum-md5", "md5", 16, EVP_md5, 0 },
};
static const struct checksum_kind etag_kind = { NULL, "md5", 16, EVP_md5, 0 };

/* Base64 of just n bytes. */
static bool decode(const char *s, unsigned char *out, size_t n)
{
	unsigned char buf[EVP_MAX_MD_SIZE + 8];
	size_t len = strlen(s), full = (n + 2) / 3 * 4;

	if (len != full || full / 4 * 3 > sizeof(buf) ||
	    EVP_DecodeBlock(buf, (const unsigned char *)s, (int)len) !=
		(int)(full / 4 * 3))
		return false;
	/* Padding that is neither more nor less than n needs. */
	for (size_t i = 0; i < full; i++)
		if ((s[i] == '=') != (i >= full - (full / 4 * 3 - n)))
			return false;
	memcpy(out, buf, n);
	return true;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool checksum_read_md5(const char *s, unsigned char out[16])
{
	if (strlen(s) != 32)
		return false;
	for (size_t i = 0; i < 16; i++) {
		int hi = hex(s[2 * i]), lo = hex(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (unsigned char)(hi * 16 + lo);
	}
	return true;
}

/*
 * "32 lower-case digits", as S3 writes an MD5, of an object that is not
 * encrypted with a key whose ETags are something else.
 */
bool checksum_etag_md5(const struct http_answer *a, unsigned char out[16])
{
	char digits[33];
	const char *etag = http_header(a, "etag");
	const char *sse = http_header(a, "x-amz-server-side-encryption");

	if (etag == NULL || strlen(etag) != 34 || etag[0] != '"' ||
	    etag[33] != '"' || (sse != NULL && strcmp(sse, "AES256") != 0) ||
	    http_header(a, "x-amz-server-side-encryption-customer-algorithm") !=
		NULL)
		return false;
	memcpy(digits, etag + 1, 32);
	digits[32] = '\0';
	return checksum_read_md5(digits, out);
}

void checksum_write_crc64(uint64_t crc, char out[static CHECKSUM_CRC64_TEXT])
{
	unsigned char bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(crc >> 8 * (sizeof(bytes) - 1 - i));
	EVP_EncodeBlock((unsigned char *)out, bytes, sizeof(bytes));
}

bool checksum_read_crc64(const char *s, uint64_t *crc)
{
	unsigned char bytes[8];

	if (!decode(s, bytes, sizeof(bytes)))
		return false;
	*crc = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		*crc = *crc << 8 | bytes[i];
	return true;
}

static const struct checksum_kind *choose(const struct http_answer *a,
					  bool etag,
					  unsigned char want[EVP_MAX_MD_SIZE])
{
	const char *type = http_header(a, "x-amz-checksum-type"), *v;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		v = http_header(a, kinds[i].header);
		if (v != NULL &&
		    (type == NULL || strcmp(type, "COMPOSITE") != 0) &&
		    decode(v, want, kinds[i].n))
			return &kinds[i];
	}
	return etag && checksum_etag_md5(a, want) ? &etag_kind : NULL;
}

int checksum_begin(struct checksum *c, const struct http_answer *a, bool etag)
{
	c->kind = choose(a, etag, c->want);
	c->by_etag = c->kind == &etag_kind;
	c->crc = 0;
	if (c->kind == NULL || c->kind->digest == NULL)
		return 0;
	if (c->digest == NULL)
		c->digest = EVP_MD_CTX_new();
	if (c->digest == NULL)
		return -ENOMEM;
	/* A system in FIPS mode has no MD5: then it is not compared. */
	if (EVP_DigestInit_ex(c->digest, c->kind->digest(), NULL) != 1)
		c->kind = NULL;
	return 0;
}

void checksum_add(struct checksum *c, const void *p, size_t n)
{
	if (c->kind == NULL)
		return;
	if (c->kind->digest == NULL)
		c->crc = crc_update(c->kind->crc, c->crc, p, n);
	else
		EVP_DigestUpdate(c->digest, p, n);
}

bool checksum_right(struct checksum *c)
{
	if (c->kind == NULL)
		return true;
	if (c->kind->digest != NULL)
		EVP_DigestFinal_ex(c->digest, c->got, NULL);
	else
		for (size_t i = 0; i < c->kind->n; i++)
			c->got[i] =
			    (unsigned char)(c->crc >> 8 * (c->kind->n - 1 - i));
	return memcmp(c->got, c->want, c->kind->n) == 0;
}

void checksum_fini(struct checksum *c)
{
	EVP_MD_CTX_free(c->digest);
	c->digest = NULL;
}

const char *checksum_name(const struct checksum *c)
{
	return c->by_etag ? "ETag" : c->kind->name;
}
