/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_ini.c - AWS's files: any bytes can be read, and what was asked for is
 * found or is not
 *
 * Input: length of a section's name, of a key's, both, and the file.
 */
#include "tests/fuzz/fuzz.h"

#include "ufs/ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	size_t nsection = take_u8(&in), nkey = take_u8(&in);
	AUTO_FREE char *section = heap_text(take_str(&in, nsection));
	AUTO_FREE char *key = heap_text(take_str(&in, nkey));
	const char *const keys[] = { key, "region", "aws_secret_access_key",
				     "s3.endpoint_url" };
	const char *const sections[] = { section, "default", "profile x", "" };
	struct ini *ini;

	CHECK(ini_parse((const char *)in.p, in.n, &ini) == 0);
	for (size_t s = 0; s < ARRAY_SIZE(sections); s++)
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
			const char *v = ini_get(ini, sections[s], keys[k]);

			if (v == NULL)
				continue;
			CHECK(ini_has(ini, sections[s]));
			CHECK(strchr(v, '\n') == NULL);
		}
	ini_free(ini);
	return 0;
}
