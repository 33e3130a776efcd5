/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sums.c - the checksums of S3, bit by bit: nothing of tarn's own code
 */
#include "sim.h"

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

static void crc(const char *p, size_t n, uint64_t polynomial, unsigned bytes,
		unsigned char *out)
{
	uint64_t ones = UINT64_MAX >> (64 - 8 * bytes), r = ones;

	while (n-- > 0) {
		r ^= (unsigned char)*p++;
		for (int bit = 0; bit < 8; bit++)
			r = r & 1 ? r >> 1 ^ polynomial : r >> 1;
	}
	r ^= ones;
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (unsigned char)(r >> 8 * (bytes - 1 - i));
}

bool sums_set(struct object *o, const char *name)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	char *data;

	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		if (strcmp(sums[i].name, name) != 0)
			continue;
		data = need(malloc(o->size + 1));
		object_fill(o, 0, data, o->size);
		if (sums[i].polynomial != 0)
			crc(data, o->size, sums[i].polynomial, sums[i].bytes,
			    sum);
		else
			EVP_Digest(data, o->size, sum, NULL,
				   EVP_get_digestbyname(name), NULL);
		free(data);
		EVP_EncodeBlock((unsigned char *)o->checksum_text, sum,
				(int)sums[i].bytes);
		snprintf(o->checksum, sizeof(o->checksum), "%s", name);
		return true;
	}
	return false;
}
