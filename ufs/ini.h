/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ini.h - files of [sections] and key = value lines, as AWS writes them
 *
 * Comments are lines that begin with '#' or ';', and what follows a space
 * and one of these. Indented lines below a key without a value are its own:
 * their keys read as "key.subkey". Later lines win. Anything else is skipped:
 * these files belong to other programs.
 */
#ifndef UFS_INI_H
#define UFS_INI_H

#include "base/base.h"

struct ini;

/*
 * Read a file. -ENOENT when there is none, -EACCES, -EFBIG above 1 MiB,
 * -ENOMEM, -EIO.
 */
int ini_read(const char *path, struct ini **out);
int ini_parse(const char *text, size_t n, struct ini **out);
void ini_free(struct ini *ini); /* wipes it; NULL is allowed */

/* The file's owner is another than root and this user, or all may write. */
bool ini_open_to_others(const struct ini *ini);  /* ini may be NULL */
bool ini_shown_to_others(const struct ini *ini); /* all may read it */

bool ini_has(const struct ini *ini, const char *section);

/* The value, valid as long as ini, or NULL. ini may be NULL. */
const char *ini_get(const struct ini *ini, const char *section,
		    const char *key);

#endif
