/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts.c - what /proc/self/mountinfo says of a directory
 */
#include "fuse/mounts.h"

#include <errno.h>
#include <stdio.h>

/* Take the next word of the line; \040 and the like become their byte. */
static char *next_field(char **line)
{
	char *start = *line, *w = start, *p = start;

	while (*p != '\0' && *p != ' ' && *p != '\n') {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' &&
		    p[2] <= '7' && p[3] >= '0' && p[3] <= '7') {
			*w++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 |
				      (p[3] - '0'));
			p += 4;
		} else {
			*w++ = *p++;
		}
	}
	*line = *p != '\0' ? p + 1 : p;
	*w = '\0';
	return start;
}

/* ID PARENT MAJ:MIN ROOT DIR OPTIONS [TAGS...] - TYPE SOURCE OPTIONS */
static bool parse_line(char *line, const char *dir, struct mounts_entry *out)
{
	const char *at, *field;

	for (int i = 0; i < 4; i++)
		next_field(&line);
	at = next_field(&line);
	if (strcmp(at, dir) != 0)
		return false;
	do {
		if (*line == '\0')
			return false;
		field = next_field(&line);
	} while (strcmp(field, "-") != 0);
	snprintf(out->type, sizeof(out->type), "%s", next_field(&line));
	snprintf(out->source, sizeof(out->source), "%s", next_field(&line));
	return true;
}

int mounts_find(const char *dir, struct mounts_entry *out)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	AUTO_FREE char *line = NULL;
	size_t cap = 0;
	int r = -ENOENT;

	if (f == NULL)
		return -errno;
	/* The last line for a directory is the one on top. */
	while (getline(&line, &cap, f) > 0)
		if (parse_line(line, dir, out))
			r = 0;
	fclose(f);
	return r;
}

bool mounts_is_tarn(const struct mounts_entry *e)
{
	return strcmp(e->type, "fuse.tarn") == 0;
}
