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

#define AWSCONF_REGION_MAX 64

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

/*
 * The same files seen through another profile: valid as long as c, and not
 * to be ended. False when neither file has that profile.
 */
bool awsconf_view(const struct awsconf *c, const char *profile,
		  struct awsconf *out);

/* A setting of the profile: credentials first, then config; or NULL. */
const char *awsconf_get(const struct awsconf *c, const char *key);

/* A setting of [sso-session NAME] in config, or NULL. */
const char *awsconf_sso_session(const struct awsconf *c, const char *name,
				const char *key);

/*
 * What the environment and the profile say, or NULL; all live as long as c
 * and the environment. service: as AWS's variables call it, "S3", "STS".
 */
const char *awsconf_region(const struct awsconf *c);
const char *awsconf_endpoint(const struct awsconf *c, const char *service);
const char *awsconf_ca_bundle(const struct awsconf *c);

/* Others than root and this user can change the profile's files. */
bool awsconf_open_to_others(const struct awsconf *c);

/* Every user can read the credentials file. */
bool awsconf_shown_to_others(const struct awsconf *c);

/* "amazonaws.com", or what the hosts of that region's partition end in. */
const char *awsconf_domain(const char *region);

/* A region can stand in a host name. */
bool awsconf_region_ok(const char *region);

/* "true", in any case; v may be NULL. */
bool awsconf_true(const char *v);

/* ~/name (heap), or NULL. */
char *awsconf_home_file(const char *name);

/* getenv(), with "" as unset; also what was hidden. */
const char *awsconf_env(const char *name);

/*
 * Keep keys of the environment for ourselves: they are no longer to be seen
 * in /proc/PID/environ, nor by the programs that we run. Before threads start.
 */
int awsconf_hide_keys(void);

#endif
