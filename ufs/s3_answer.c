/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_answer.c - see s3_answer.h
 */
#include "ufs/s3_answer.h"

#include <stdio.h>
#include <strings.h>

#include "ufs/http.h"
#include "ufs/ufs_impl.h"

bool s3_entry_right(const struct s3_page *page, const struct s3_page_entry *e,
		    struct str prefix, bool deep)
{
	struct str key = { page->keys + e->at, e->n };

	if (!str_starts(key, prefix))
		return false;
	if (e->dir)
		return key.n > 0 && key.p[key.n - 1] == '/';
	return deep || memchr(key.p + prefix.n, '/', key.n - prefix.n) == NULL;
}

int s3_page_give(const struct s3_page *page, const char *prefix,
		 struct str after, ufs_entry_cb *cb, void *arg)
{
	size_t n = strlen(prefix);

	for (size_t i = 0; i < page->n; i++) {
		const struct s3_page_entry *e = &page->entry[i];
		struct ufs_entry entry = {
			.key = { page->keys + e->at + n, e->n - n },
			.dir = e->dir,
			.st = e->st,
		};
		int r;

		/* The mount's own marker; what need not be repeated. */
		if (entry.key.n == 0 || entry.key.n > UFS_KEY_MAX ||
		    (after.n > 0 && str_cmp(entry.key, after) <= 0))
			continue;
		r = cb(arg, &entry);
		if (r != 0)
			return r;
	}
	return 0;
}

void s3_version(const char *etag, int64_t seconds, struct ufs_stat *st)
{
	size_t n = etag != NULL ? strlen(etag) : 0;
	bool weak = n == 0 || strncasecmp(etag, "W/", 2) == 0;

	if (n >= 2 && etag[0] == '"' && etag[n - 1] == '"') {
		etag++;
		n -= 2;
	}
	/* '~' marks the weak ones; no control byte may end a header line. */
	if (n == 0 || n >= sizeof(st->version) || etag[0] == '~')
		weak = true;
	for (size_t i = 0; i < n && !weak; i++)
		weak = (unsigned char)etag[i] <= ' ' || etag[i] == '"' ||
		       etag[i] == 0x7f;
	if (weak) {
		st->flags |= UFS_WEAK;
		snprintf(st->version, sizeof(st->version), "~%jd-%ju",
			 (intmax_t)seconds, (uintmax_t)st->size);
		return;
	}
	memcpy(st->version, etag, n);
	st->version[n] = '\0';
}

void s3_storage_class(const char *name, bool restored, struct ufs_stat *st)
{
	if (name == NULL || strcmp(name, "STANDARD") == 0)
		return;
	snprintf(st->storage_class, sizeof(st->storage_class), "%s", name);
	if (!restored &&
	    (strcmp(name, "GLACIER") == 0 || strcmp(name, "DEEP_ARCHIVE") == 0))
		st->flags |= UFS_ARCHIVED;
}

void s3_object(const struct s3_object_headers *h, struct ufs_stat *st)
{
	int64_t seconds = 0;

	if (h->modified == NULL || !http_date(h->modified, &seconds))
		seconds = 0;
	seconds = MAX(seconds, 0);
	st->mtime = ufs_mtime(seconds, 0);
	s3_version(h->etag, seconds, st);
	s3_storage_class(h->storage_class,
			 h->restore != NULL &&
			     strstr(h->restore, "ongoing-request=\"false\"") !=
				 NULL,
			 st);
}
