/* SPDX-License-Identifier: Apache-2.0 */
/*
 * awsconf.c - AWS's own environment variables and files
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */
#include "ufs/awsconf.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <strings.h>

#include "ufs/ini.h"

#define CREDENTIALS_FILE "AWS_SHARED_CREDENTIALS_FILE"
#define CONFIG_FILE "AWS_CONFIG_FILE"

const char *awsconf_env(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && *v != '\0' ? v : NULL;
}

static char *home_file(const char *name)
{
	const char *home = awsconf_env("HOME");
	struct passwd pw, *found = NULL;
	char buf[4096], *path;

	if (home == NULL &&
	    getpwuid_r(geteuid(), &pw, buf, sizeof(buf), &found) == 0 &&
	    found != NULL)
		home = pw.pw_dir;
	if (asprintf(&path, "%s/%s", home != NULL ? home : "", name) < 0)
		return NULL;
	return path;
}

static char *file_path(const char *variable, const char *usual)
{
	const char *v = awsconf_env(variable);

	if (v == NULL)
		return home_file(usual);
	if (v[0] == '~' && v[1] == '/')
		return home_file(v + 2);
	return strdup(v);
}

void awsconf_fini(struct awsconf *c)
{
	free(c->profile);
	free(c->credentials_path);
	free(c->config_path);
	ini_free(c->credentials);
	ini_free(c->config);
	memset(c, 0, sizeof(*c));
}

/* "default" has no prefix in config, or has one all the same. */
static void config_section(const struct awsconf *c, char name[static 160])
{
	snprintf(name, 160, "profile %.140s", c->profile);
	if (strcmp(c->profile, "default") == 0 && !ini_has(c->config, name))
		snprintf(name, 160, "default");
}

/* A file that was not named, but is there by custom, may be another's. */
static int read_file(const char *path, bool named, struct ini **out,
		     char why[static 256])
{
	int r = ini_read(path, out);

	if (r == -ENOENT || (r == -EACCES && !named))
		return 0;
	if (r == 0 || r == -ENOMEM)
		return r;
	snprintf(why, 256, "cannot read %.180s: %s", path, strerror(-r));
	return -EINVAL;
}

int awsconf_read(const char *profile, struct awsconf *out, char why[static 256])
{
	struct awsconf c = { 0 };
	const char *env = awsconf_env("AWS_PROFILE");
	char section[160];
	int r;

	if (env == NULL)
		env = awsconf_env("AWS_DEFAULT_PROFILE");
	if (profile == NULL || *profile == '\0')
		profile = env;
	c.profile_asked = profile != NULL;
	c.profile = strdup(profile != NULL ? profile : "default");
	c.credentials_path = file_path(CREDENTIALS_FILE, ".aws/credentials");
	c.config_path = file_path(CONFIG_FILE, ".aws/config");
	r = c.profile == NULL || c.credentials_path == NULL ||
		    c.config_path == NULL
		? -ENOMEM
		: 0;
	if (r == 0)
		r = read_file(c.credentials_path,
			      awsconf_env(CREDENTIALS_FILE) != NULL,
			      &c.credentials, why);
	if (r == 0)
		r = read_file(c.config_path, awsconf_env(CONFIG_FILE) != NULL,
			      &c.config, why);
	if (r == 0) {
		config_section(&c, section);
		if (c.profile_asked && !ini_has(c.credentials, c.profile) &&
		    !ini_has(c.config, section)) {
			snprintf(why, 256,
				 "profile %.60s is neither in %.80s nor in "
				 "%.80s",
				 c.profile, c.credentials_path, c.config_path);
			r = -EINVAL;
		}
	}
	if (r < 0)
		awsconf_fini(&c);
	else
		*out = c;
	return r;
}

const char *awsconf_get(const struct awsconf *c, const char *key)
{
	const char *v = ini_get(c->credentials, c->profile, key);
	char section[160];

	if (v != NULL && *v != '\0')
		return v;
	config_section(c, section);
	v = ini_get(c->config, section, key);
	return v != NULL && *v != '\0' ? v : NULL;
}

const char *awsconf_region(const struct awsconf *c)
{
	const char *v = awsconf_env("AWS_REGION");

	if (v == NULL)
		v = awsconf_env("AWS_DEFAULT_REGION");
	return v != NULL ? v : awsconf_get(c, "region");
}

const char *awsconf_endpoint(const struct awsconf *c)
{
	const char *v = awsconf_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
	const char *services = awsconf_get(c, "services");
	char section[160];

	if (v != NULL && strcasecmp(v, "true") == 0)
		return NULL;
	v = awsconf_env("AWS_ENDPOINT_URL_S3");
	if (v == NULL)
		v = awsconf_env("AWS_ENDPOINT_URL");
	if (v == NULL && services != NULL) {
		snprintf(section, sizeof(section), "services %.140s", services);
		v = ini_get(c->config, section, "s3.endpoint_url");
	}
	return v != NULL && *v != '\0' ? v : awsconf_get(c, "endpoint_url");
}

const char *awsconf_ca_bundle(const struct awsconf *c)
{
	const char *v = awsconf_env("AWS_CA_BUNDLE");

	return v != NULL ? v : awsconf_get(c, "ca_bundle");
}
