/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - every key has exactly one path (rules N1 to N8)
 *
 * A key is cut at its slashes into components; each becomes one name of at
 * most 255 bytes, and back. An ordinary component is its own name. The rest
 * are names that begin with `%~`:
 *
 *   %~e          the empty component (key `a//b`)               N2
 *   %~d          the data of the marker `a/`, in directory a    N3
 *   %~x...       `.`, `..`, what begins with `%~`, holds NUL or
 *                is not UTF-8; `%`, NUL and each byte that is
 *                not UTF-8 as %XX (`.` and `..`: their dots)    N4
 *   %~=NAME      the object `a` where `a/` exists too           N5
 *   %~#...~HASH  what would be longer than 255 bytes            N6
 *
 * Only the canonical spelling is a name: anything else that begins with `%~`
 * is -ENOENT to look up and -EINVAL to create.
 */
#ifndef FUSE_NAMES_H
#define FUSE_NAMES_H

#include "base/base.h"
#include "ufs/ufs.h"

#define NAME_LEN_MAX 255

enum name_kind {
	NAME_PLAIN, /* an object or directory, no other of that name */
	NAME_TWIN,  /* the object, where a directory of that name exists */
	NAME_DATA,  /* the data of the directory's own marker */
	NAME_LONG,  /* an alias: only its first bytes are known (N6) */
};

struct name_key {
	enum name_kind kind;
	/*
	 * PLAIN, TWIN: the key's component. DATA: "". LONG: what the
	 * component begins with, to list by; matching needs
	 * name_from_key() of each candidate.
	 */
	char comp[UFS_KEY_MAX + 1];
	size_t n;
};

/*
 * The name of component comp (PLAIN, TWIN; ignored for DATA) into name,
 * NUL-terminated. Returns its length.
 */
size_t name_from_key(struct str comp, enum name_kind kind,
		     char name[static NAME_LEN_MAX + 1]);

/* What a name means, or -ENOENT when no key has it. */
int name_to_key(struct str name, struct name_key *out);

/* May a file of this name be made (N7)? 0, -EINVAL, -EILSEQ, -ENAMETOOLONG. */
int name_check_new(struct str name);

/* Is it UTF-8 (RFC 3629: shortest forms, no surrogates, to U+10FFFF)? */
bool name_is_utf8(struct str s);

#endif
