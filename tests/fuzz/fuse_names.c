/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_names.c - every key has one path, and every path one key (N1 to N8)
 *
 * Input: which way and which kind, and a component or a name.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "fuse/names.h"

/* A component of a key: it gets a name that leads back to it. */
static void there_and_back(struct str comp, enum name_kind kind)
{
	char name[NAME_LEN_MAX + 1], again[NAME_LEN_MAX + 1];
	struct name_key key;
	struct str n = { name, name_from_key(comp, kind, name) };

	CHECK(n.n > 0 && n.n <= NAME_LEN_MAX);
	CHECK(name[n.n] == '\0' && strlen(name) == n.n);
	CHECK(strchr(name, '/') == NULL);
	CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	CHECK(name_is_utf8(n));
	/* There is no object of the empty component beside a directory. */
	if (kind == NAME_TWIN && comp.n == 0)
		return;
	CHECK(name_to_key(n, &key) == 0);
	if (kind == NAME_DATA) {
		CHECK(key.kind == NAME_DATA);
	} else if (key.kind == NAME_LONG) {
		/* It lists by what the component begins with. */
		CHECK(key.n <= comp.n && memcmp(key.comp, comp.p, key.n) == 0);
	} else {
		CHECK(key.kind == kind);
		CHECK(str_eq((struct str){ key.comp, key.n }, comp));
		CHECK(name_from_key(comp, key.kind, again) == n.n &&
		      memcmp(again, name, n.n) == 0);
	}
	/* What may be made is its own name (N1), and what may not, is not. */
	if (name_check_new(comp) == 0 && kind == NAME_PLAIN)
		CHECK(str_eq(n, comp));
}

/* A name that a program asks for: no second spelling of anything. */
static void back_and_there(struct str name)
{
	char again[NAME_LEN_MAX + 1];
	struct name_key key;
	size_t n;
	int r = name_to_key(name, &key);

	CHECK(r == 0 || r == -ENOENT);
	if (r < 0) {
		CHECK(name_check_new(name) != 0);
		return;
	}
	CHECK(key.n <= UFS_KEY_MAX && key.comp[key.n] == '\0');
	CHECK(memchr(key.comp, '/', key.n) == NULL);
	if (key.kind == NAME_LONG)
		return;
	n = name_from_key((struct str){ key.comp, key.n }, key.kind, again);
	CHECK(str_eq((struct str){ again, n }, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum name_kind kinds[] = { NAME_PLAIN, NAME_TWIN,
						NAME_DATA };
	struct input in = { data, size };
	uint8_t way = take_u8(&in);
	AUTO_FREE char *text = NULL;
	struct str s = take_str(&in, UFS_KEY_MAX);

	/* A key is cut at its slashes before it comes here. */
	text = heap_text(s);
	for (size_t i = 0; i < s.n; i++)
		if (text[i] == '/' && way % 4 != 3)
			text[i] = '_';
	s.p = text;
	if (way % 4 == 3)
		back_and_there(s);
	else
		there_and_back(s, kinds[way % 4]);
	return 0;
}
