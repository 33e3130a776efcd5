/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_home.h - a home directory with AWS's files, and no AWS variables
 */
#ifndef TESTS_UNIT_CREDS_HOME_H
#define TESTS_UNIT_CREDS_HOME_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ufs/creds.h"

static char home[64], why[256];

static void home_path(const char *name, char out[static 128])
{
	snprintf(out, 128, "%s/.aws/%s", home, name);
}

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	home_path(name, path);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

/* Variables of AWS, TARN and proxies away; no instance metadata is asked. */
static void fresh_home(void)
{
	extern char **environ;
	char dir[128], name[128];

	for (char **e = environ; *e != NULL;) {
		size_t n = strcspn(*e, "=");

		snprintf(name, sizeof(name), "%.*s", (int)n, *e);
		if (strncmp(name, "AWS_", 4) == 0 ||
		    strcasestr(name, "_proxy") != NULL)
			unsetenv(name), e = environ;
		else
			e++;
	}
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	snprintf(home, sizeof(home), "/tmp/ufs_creds.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(home));
	snprintf(dir, sizeof(dir), "%s/.aws", home);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	setenv("HOME", home, 1);
	why[0] = '\0';
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_home(void)
{
	nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* "source: key secret token" of what the chain finds, or "-errno". */
static const char *found(const char *profile)
{
	static char out[512];
	struct creds_conf conf = { .profile = profile };
	struct creds_chain *c;
	struct creds *set;
	int r = creds_open(&conf, &c, why);

	if (r < 0) {
		snprintf(out, sizeof(out), "%d", r);
		return out;
	}
	set = creds_now(c);
	snprintf(out, sizeof(out), "%s: %s %s %s", set->source, set->access_key,
		 set->secret, set->token != NULL ? set->token : "-");
	creds_unref(set);
	creds_close(c);
	return out;
}

#define EINVAL_TEXT "-22"

#endif
