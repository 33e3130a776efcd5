/* SPDX-License-Identifier: Apache-2.0 */
/*
 * awsconf.c - AWS's own environment variables and files
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */
#include "ufs/awsconf.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <strings.h>

#include "ufs/ini.h"

#define CREDENTIALS_FILE "AWS_SHARED_CREDENTIALS_FILE"
#define CONFIG_FILE "AWS_CONFIG_FILE"

static struct {
	const char *name;
	char *value; /* owned; NULL: not hidden */
} hidden[] = {
	{ "AWS_ACCESS_KEY_ID", NULL },
	{ "AWS_SECRET_ACCESS_KEY", NULL },
	{ "AWS_SESSION_TOKEN", NULL },
	{ "AWS_SECURITY_TOKEN", NULL },
	{ "AWS_CONTAINER_AUTHORIZATION_TOKEN", NULL },
};

const char *awsconf_env(const char *name)
{
	const char *v = getenv(name);

	for (size_t i = 0; v == NULL && i < ARRAY_SIZE(hidden); i++)
		if (strcmp(name, hidden[i].name) == 0)
			v = hidden[i].value;
	return v != NULL && *v != '\0' ? v : NULL;
}

int awsconf_hide_keys(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		char *v = getenv(hidden[i].name);

		if (v == NULL || *v == '\0')
			continue;
		hidden[i].value = strdup(v);
		if (hidden[i].value == NULL)
			return -ENOMEM;
		/* The kernel shows the memory that it put them in. */
		explicit_bzero(v, strlen(v));
		unsetenv(hidden[i].name);
	}
	return 0;
}

char *awsconf_home_file(const char *name)
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
		return awsconf_home_file(usual);
	if (v[0] == '~' && v[1] == '/')
		return awsconf_home_file(v + 2);
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

static bool has_profile(const struct awsconf *c)
{
	char section[160];

	config_section(c, section);
	return ini_has(c->credentials, c->profile) ||
	       ini_has(c->config, section);
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
		if (c.profile_asked && !has_profile(&c)) {
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

bool awsconf_view(const struct awsconf *c, const char *profile,
		  struct awsconf *out)
{
	*out = *c;
	out->profile = (char *)profile; /* borrowed, as all of it */
	return has_profile(out);
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

const char *awsconf_sso_session(const struct awsconf *c, const char *name,
				const char *key)
{
	char section[160];
	const char *v;

	snprintf(section, sizeof(section), "sso-session %.140s", name);
	v = ini_get(c->config, section, key);
	return v != NULL && *v != '\0' ? v : NULL;
}

bool awsconf_true(const char *v)
{
	return v != NULL && strcasecmp(v, "true") == 0;
}

const char *awsconf_endpoint(const struct awsconf *c, const char *service)
{
	const char *v = awsconf_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
	const char *services = awsconf_get(c, "services");
	char name[160];

	if (v == NULL)
		v = awsconf_get(c, "ignore_configured_endpoint_urls");
	if (awsconf_true(v))
		return NULL;
	snprintf(name, sizeof(name), "AWS_ENDPOINT_URL_%s", service);
	v = awsconf_env(name);
	if (v == NULL)
		v = awsconf_env("AWS_ENDPOINT_URL");
	if (v == NULL && services != NULL) {
		char section[160];

		snprintf(section, sizeof(section), "services %.140s", services);
		snprintf(name, sizeof(name), "%s.endpoint_url", service);
		for (char *p = name; *p != '.'; p++)
			*p = (char)tolower((unsigned char)*p);
		v = ini_get(c->config, section, name);
	}
	return v != NULL && *v != '\0' ? v : awsconf_get(c, "endpoint_url");
}

const char *awsconf_ca_bundle(const struct awsconf *c)
{
	const char *v = awsconf_env("AWS_CA_BUNDLE");

	return v != NULL ? v : awsconf_get(c, "ca_bundle");
}

bool awsconf_open_to_others(const struct awsconf *c)
{
	return ini_open_to_others(c->credentials) ||
	       ini_open_to_others(c->config);
}

bool awsconf_shown_to_others(const struct awsconf *c)
{
	return ini_shown_to_others(c->credentials);
}

/* As botocore's partitions.json has them. */
const char *awsconf_domain(const char *region)
{
	static const struct {
		const char *begins, *domain;
	} partitions[] = {
		{ "cn-", "amazonaws.com.cn" },
		{ "eusc-", "amazonaws.eu" },
		{ "us-iso-", "c2s.ic.gov" },
		{ "us-isob-", "sc2s.sgov.gov" },
		{ "eu-isoe-", "cloud.adc-e.uk" },
		{ "us-isof-", "csp.hci.ic.gov" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(partitions); i++)
		if (strncmp(region, partitions[i].begins,
			    strlen(partitions[i].begins)) == 0)
			return partitions[i].domain;
	return "amazonaws.com";
}

bool awsconf_region_ok(const char *region)
{
	for (const char *c = region; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && *c != '-')
			return false;
	return *region != '\0' && strlen(region) < AWSCONF_REGION_MAX;
}
