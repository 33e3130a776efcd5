/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c - how a record beside a staged file is spelt and put there
 */
#include "cache/recover_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "cache/staging_io.h"

void record_escape(struct str s, char *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c > ' ' && c < 0x7f && c != '%' && c != '"' && c != '\\')
			*out++ = (char)c;
		else
			out += sprintf(out, "%%%02X", c);
	}
	*out = '\0';
}

json_t *record_text(struct str s)
{
	AUTO_FREE char *buf = malloc(3 * s.n + 1);

	if (buf == NULL)
		return NULL;
	record_escape(s, buf);
	return json_string(buf);
}

int record_put(int dir, const char *id, const char *words, bool sync)
{
	char tmp[RECOVER_ID + 12], name[RECOVER_ID + 8];
	AUTO_CLOSE int fd = -1;
	size_t done;
	int r;

	snprintf(tmp, sizeof(tmp), "%.*s.json.tmp", RECOVER_ID, id);
	snprintf(name, sizeof(name), "%.*s.json", RECOVER_ID, id);
	fd =
	    openat(dir, tmp,
		   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = staging_pwrite(fd, words, strlen(words), 0, &done);
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dir, tmp, dir, name) < 0)
		r = -errno;
	if (r == 0 && sync && fsync(dir) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, tmp, 0);
	return r;
}
