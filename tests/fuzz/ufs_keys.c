/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_keys.c - what keys come in: JSON of containers, EC2 and programs, times,
 * commands of profiles, endpoints
 *
 * Input: which of these, and its text. Whatever is taken can stand in a
 * header and in a URL.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "ufs/creds_impl.h"
#include "ufs/endpoint.h"

#define WORDS 8

static void check_set(const struct creds *set)
{
	CHECK(creds_printable(set->access_key));
	CHECK(set->secret != NULL);
	CHECK(set->token == NULL || creds_printable(set->token));
	CHECK(set->expiry >= 0);
}

static void json(struct str s, bool temporary)
{
	static const struct creds_members members[2] = {
		{ "AccessKeyId", "SecretAccessKey", "Token", "Expiration",
		  true },
		{ "AccessKeyId", "SecretAccessKey", "SessionToken",
		  "Expiration", false },
	};
	struct text t = { 0 };
	struct creds *set = creds_new();
	char why[256] = "";
	json_t *o;
	int r;

	CHECK(set != NULL);
	text_add(&t, s.p, s.n);
	o = creds_json(&t);
	text_fini(&t);
	if (o != NULL) {
		r = creds_from_json(o, &members[temporary ? 0 : 1], set, "fuzz",
				    why);
		CHECK(r == 0 || r == -EINVAL || r == -ENOMEM);
		CHECK(r != -EINVAL || why[0] != '\0');
		if (r == 0)
			check_set(set);
		json_decref(o);
	}
	creds_unref(set);
}

static void times(const char *text)
{
	int64_t ns = 0;

	if (creds_time(text, &ns))
		CHECK(ns >= 0);
}

static void command(const char *text)
{
	AUTO_FREE char *words = malloc(strlen(text) + 1);
	char *argv[WORDS];
	size_t n = 0;
	int r;

	CHECK(words != NULL);
	r = creds_split(text, words, argv, WORDS);
	CHECK(r >= 0 || r == -EINVAL || r == -E2BIG);
	while (r >= 0 && n < WORDS && argv[n] != NULL)
		n += strlen(argv[n]) <= strlen(text);
	CHECK(r < 0 || (n > 0 && n < WORDS));
}

static void endpoint(const char *text)
{
	struct endpoint e = { 0 };
	char why[256] = "";
	int r = endpoint_parse(text, &e, why);

	CHECK(r == 0 || r == -EINVAL);
	CHECK(r == 0 || why[0] != '\0');
	if (r == 0) {
		CHECK(*e.host != '\0');
		for (const char *c = e.host; *c != '\0'; c++)
			CHECK((unsigned char)*c > ' ' && *c != '@' &&
			      *c != '/' && (unsigned char)*c < 0x7f);
	}
	endpoint_fini(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t way = take_u8(&in) % 5;
	struct str s = take_str(&in, in.n);
	AUTO_FREE char *text = heap_text(s);

	switch (way) {
	case 0:
	case 1:
		json(s, way == 1);
		break;
	case 2:
		times(text);
		break;
	case 3:
		command(text);
		break;
	default:
		endpoint(text);
		break;
	}
	return 0;
}
