/* SPDX-License-Identifier: Apache-2.0 */
/*
 * places.c - directories of ours, and the mounts that they must not be on
 */
#include "fuse/places.h"

#include <errno.h>

char *places_mount_of(const char *path, struct mount_entry *e)
{
	char *dir = cli_absolute(path), *slash;

	while (dir != NULL) {
		if (mount_find(dir, e) == 0 &&
		    strcmp(e->fstype, MOUNT_FSTYPE) == 0)
			return dir;
		slash = strrchr(dir, '/');
		if (slash == dir)
			break;
		*slash = '\0';
	}
	free(dir);
	return NULL;
}

char *places_nearest(const char *path)
{
	char *at = cli_absolute(path), *slash;

	while (at != NULL && access(at, F_OK) < 0 && errno == ENOENT &&
	       (slash = strrchr(at, '/')) != NULL && at[1] != '\0')
		slash[slash == at] = '\0';
	return at;
}

/* As it is written, or where its symlinks lead. */
static bool is_below(const char *path, const char *dir)
{
	AUTO_FREE char *abs = cli_absolute(path);
	AUTO_FREE char *at = NULL;
	AUTO_FREE char *real = NULL;

	if (abs != NULL && cli_below(abs, dir) != NULL)
		return true;
	at = places_nearest(path);
	real = at != NULL ? realpath(at, NULL) : NULL;
	return real != NULL && cli_below(real, dir) != NULL;
}

static int check(const char *option, const char *path, const char *dir,
		 const char * or, char why[static WHY_MAX])
{
	if (!is_below(path, dir))
		return 0;
	snprintf(why, WHY_MAX,
		 "%s=%.150s is at or below the mount point %.150s, and would "
		 "be hidden by the mount; name a directory elsewhere with "
		 "%s=%s",
		 option, path, dir, option, or);
	return -EINVAL;
}

int places_check(const struct options *o, const char *dir,
		 char why[static WHY_MAX])
{
	AUTO_FREE char *dirs = strdup(options_text(o, OPT_CACHE_DIR));
	char *rest = dirs, *one;
	int r = 0;

	if (dirs == NULL)
		return -ENOMEM;
	if (options_number(o, OPT_CACHE_SIZE) > 0)
		while (r == 0 && (one = strsep(&rest, ":")) != NULL)
			r = check("cache-dir", one, dir,
				  ", or do without (cache-size=0)", why);
	if (r == 0 && options_number(o, OPT_RO) == 0 &&
	    options_is_set(o, OPT_STAGING_DIR))
		r = check("staging-dir", options_text(o, OPT_STAGING_DIR), dir,
			  ", or mount with ro", why);
	return r;
}
