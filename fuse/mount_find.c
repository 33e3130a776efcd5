/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount_find.c - what is mounted where, and whether its daemon lives
 */
#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "fuse/mount.h"

/* Undo mountinfo's \040 and the like, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 +
				       (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/*
 * "36 35 98:0 /root /dir options [fields...] - fstype source super": cut it
 * up in place. False when it is none.
 */
static bool parse_line(char *line, char **dir, struct mount_entry *out)
{
	unsigned major, minor;
	char *save = NULL, *field = NULL, *type, *source;
	char *tail = strstr(line, " - ");

	if (tail == NULL)
		return false;
	*tail = '\0';
	for (int i = 0; i < 5; i++) {
		field = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (field == NULL ||
		    (i == 2 && sscanf(field, "%u:%u", &major, &minor) != 2))
			return false;
	}
	*dir = field;
	unescape(*dir);
	type = strtok_r(tail + 3, " \n", &save);
	source = strtok_r(NULL, " \n", &save);
	if (type == NULL || source == NULL)
		return false;
	unescape(source);
	out->dev = makedev(major, minor);
	snprintf(out->fstype, sizeof(out->fstype), "%s", type);
	snprintf(out->source, sizeof(out->source), "%s", source);
	return true;
}

int mount_find_in(const char *file, const char *dir, struct mount_entry *out)
{
	AUTO_FREE char *line = NULL;
	struct mount_entry entry;
	size_t room = 0;
	int r = -ENOENT;
	FILE *f = fopen(file, "re");
	char *at;

	if (f == NULL)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		if (parse_line(line, &at, &entry) && strcmp(at, dir) == 0) {
			*out = entry; /* a later line lies above */
			r = 0;
		}
	}
	fclose(f);
	return r;
}

int mount_find(const char *dir, struct mount_entry *out)
{
	return mount_find_in("/proc/self/mountinfo", dir, out);
}

/* ENOTCONN: the daemon is gone; ECONNABORTED: it was ended by force. */
bool mount_is_dead(const char *dir)
{
	struct statfs sfs;

	return statfs(dir, &sfs) < 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}
