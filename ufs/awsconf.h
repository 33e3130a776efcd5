/* SPDX-License-Identifier: Apache-2.0 */
/*
 * awsconf.h - AWS's own environment variables and files
 *
 * ~/.aws/credentials and ~/.aws/config (or AWS_SHARED_CREDENTIALS_FILE and
 * AWS_CONFIG_FILE), of which one profile counts: the one asked for, else
 * AWS_PROFILE, else "default".
 */
#ifndef UFS_AWSCONF_H
#define UFS_AWSCONF_H

#include "base/base.h"

struct ini;

struct awsconf {
	char *profile;
	bool profile_asked; /* by name: it must be there */
	char *credentials_path, *config_path;
	struct ini *credentials, *config; /* NULL: no such file */
};

/*
 * Read both files. A file that is there but cannot be read, and a profile
 * that was asked for and is in neither, are -EINVAL with *why set.
 */
int awsconf_read(const char *profile, struct awsconf *out,
		 char why[static 256]);
void awsconf_fini(struct awsconf *c);

/* A setting of the profile: credentials first, then config; or NULL. */
const char *awsconf_get(const struct awsconf *c, const char *key);

/*
 * What the environment and the profile say, or NULL; all live as long as c
 * and the environment.
 */
const char *awsconf_region(const struct awsconf *c);
const char *awsconf_endpoint(const struct awsconf *c);
const char *awsconf_ca_bundle(const struct awsconf *c);

/* getenv(), with "" as unset. */
const char *awsconf_env(const char *name);

#endif
