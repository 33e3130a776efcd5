/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds.c - keys to sign with, and where they come from
 */
#include "ufs/creds.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "ufs/awsconf.h"

/* Fetch new keys this long before the old ones expire. */
#define EARLY_NS (60 * NSEC_PER_SEC)
#define WAIT_STEP_NS (100 * NSEC_PER_MSEC)
#define AGAIN_NS (5 * NSEC_PER_SEC)

struct creds_chain {
	struct creds_provider *providers; /* owned */
	struct creds_provider *chosen;    /* set once at open */
	struct lock lock;
	/* under lock */
	struct event refreshed;
	struct creds *set; /* owns a ref */
	bool refreshing;
	int64_t not_before; /* the next early refresh, after one failed */
};

static void wipe(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

void creds_unref(struct creds *set)
{
	if (set == NULL ||
	    atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
		return;
	wipe(set->access_key);
	wipe(set->secret);
	wipe(set->token);
	free(set);
}

static int fetch(struct creds_provider *p, struct creds **out,
		 char why[static 256])
{
	struct creds *set = calloc(1, sizeof(*set));
	int r;

	if (set == NULL)
		return -ENOMEM;
	atomic_init(&set->refs, 1);
	r = p->fetch(p, set, why);
	if (r < 0)
		creds_unref(set);
	else
		*out = set;
	return r;
}

static bool same_string(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Called by the one thread that set c->refreshing. */
static bool refresh(struct creds_chain *c)
{
	struct creds *set = NULL, *old;
	char why[256] = "";
	int r = fetch(c->chosen, &set, why);
	bool changed = false;

	if (r < 0)
		log_warn("ufs: credentials of %s: %s", c->chosen->source,
			 why[0] != '\0' ? why : strerror(-r));
	lock_take(&c->lock);
	old = c->set;
	if (r == 0) {
		changed = !same_string(old->access_key, set->access_key) ||
			  !same_string(old->secret, set->secret) ||
			  !same_string(old->token, set->token);
		set->generation = old->generation + changed;
		c->set = set;
	} else {
		c->not_before = clock_ns() + AGAIN_NS;
		old = NULL;
	}
	c->refreshing = false;
	event_broadcast(&c->refreshed);
	lock_drop(&c->lock);
	creds_unref(old);
	return changed;
}

static bool expiring_locked(const struct creds_chain *c)
{
	return c->set->expiry != 0 && clock_ns() >= c->not_before &&
	       clock_wall_ns() + EARLY_NS >= c->set->expiry;
}

int creds_get(struct creds_chain *c, struct creds **out, struct cancel *cancel)
{
	bool mine;

	lock_take(&c->lock);
	/* While another fetches, keys that still serve are used. */
	while (c->refreshing && c->set->expiry != 0 &&
	       clock_wall_ns() >= c->set->expiry) {
		event_wait_until(&c->refreshed, &c->lock,
				 clock_ns() + WAIT_STEP_NS);
		if (cancelled(cancel)) {
			lock_drop(&c->lock);
			return -ECANCELED;
		}
	}
	mine = !c->refreshing && expiring_locked(c);
	if (mine)
		c->refreshing = true;
	lock_drop(&c->lock);
	if (mine)
		refresh(c);
	lock_take(&c->lock);
	*out = c->set;
	atomic_fetch_add_explicit(&c->set->refs, 1, memory_order_relaxed);
	lock_drop(&c->lock);
	return 0;
}

bool creds_refresh(struct creds_chain *c, unsigned generation,
		   struct cancel *cancel)
{
	bool changed;

	lock_take(&c->lock);
	while (c->refreshing && !cancelled(cancel))
		event_wait_until(&c->refreshed, &c->lock,
				 clock_ns() + WAIT_STEP_NS);
	changed = c->set->generation != generation;
	if (changed || c->refreshing) {
		lock_drop(&c->lock);
		return changed;
	}
	c->refreshing = true;
	lock_drop(&c->lock);
	return refresh(c);
}

const char *creds_source(const struct creds_chain *c)
{
	return c->chosen->source;
}

static void close_providers(struct creds_provider *p)
{
	while (p != NULL) {
		struct creds_provider *next = p->next;

		free(p->source);
		p->close(p);
		p = next;
	}
}

void creds_close(struct creds_chain *c)
{
	if (c == NULL)
		return;
	creds_unref(c->set);
	close_providers(c->providers);
	event_fini(&c->refreshed);
	lock_fini(&c->lock);
	free(c);
}

int creds_open_with(struct creds_provider *first, struct creds_chain **out,
		    char why[static 256])
{
	struct creds_chain *c = calloc(1, sizeof(*c));
	struct creds_provider *p;
	int r = -ENOENT;

	if (c == NULL) {
		close_providers(first);
		return -ENOMEM;
	}
	lock_init(&c->lock, RANK_STORE);
	event_init(&c->refreshed);
	c->providers = first;
	for (p = first; p != NULL && r == -ENOENT; p = p->next) {
		c->chosen = p;
		r = fetch(p, &c->set, why);
	}
	if (r < 0)
		creds_close(c);
	else
		*out = c;
	return r;
}

static void provider_free(struct creds_provider *p)
{
	free(p);
}

static int keep(struct creds *set, const char *key, const char *secret,
		const char *token)
{
	set->access_key = strdup(key);
	set->secret = strdup(secret);
	if (token != NULL && *token != '\0')
		set->token = strdup(token);
	if (set->access_key == NULL || set->secret == NULL ||
	    (token != NULL && *token != '\0' && set->token == NULL))
		return -ENOMEM;
	return 0;
}

/* A key id goes into a header: it must not be able to end the line. */
static bool printable(const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static int fetch_environment(struct creds_provider *p, struct creds *set,
			     char why[static 256])
{
	const char *key = awsconf_env("AWS_ACCESS_KEY_ID");
	const char *secret = awsconf_env("AWS_SECRET_ACCESS_KEY");
	const char *token = awsconf_env("AWS_SESSION_TOKEN");

	(void)p;
	if (key == NULL && secret == NULL)
		return -ENOENT;
	if (key == NULL || secret == NULL) {
		snprintf(why, 256, "%s is set but %s is not",
			 key != NULL ? "AWS_ACCESS_KEY_ID"
				     : "AWS_SECRET_ACCESS_KEY",
			 key == NULL ? "AWS_ACCESS_KEY_ID"
				     : "AWS_SECRET_ACCESS_KEY");
		return -EINVAL;
	}
	if (!printable(key) || !printable(token)) {
		snprintf(why, 256,
			 "AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN holds "
			 "spaces or control characters");
		return -EINVAL;
	}
	return keep(set, key, secret, token);
}

struct profile_provider {
	struct creds_provider provider;
	char *profile; /* as asked for, or NULL */
};

static void profile_close(struct creds_provider *p)
{
	struct profile_provider *f =
	    container_of(p, struct profile_provider, provider);

	free(f->profile);
	free(f);
}

/* Ways to keys that a profile may name and that are not served. */
static const char *unsupported(const struct awsconf *c)
{
	static const char *const ways[] = {
		"role_arn",      "credential_process",      "sso_session",
		"sso_start_url", "web_identity_token_file",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (awsconf_get(c, ways[i]) != NULL)
			return ways[i];
	return NULL;
}

static int keys_of(const struct awsconf *c, struct creds *set,
		   char why[static 256])
{
	const char *key = awsconf_get(c, "aws_access_key_id");
	const char *secret = awsconf_get(c, "aws_secret_access_key");
	const char *token = awsconf_get(c, "aws_session_token");
	const char *way = unsupported(c);

	if (key == NULL && secret == NULL && way != NULL) {
		snprintf(why, 256,
			 "profile %.80s gets its keys by %s, which is not "
			 "supported: export them with `aws configure "
			 "export-credentials`",
			 c->profile, way);
		return -EINVAL;
	}
	if (key == NULL && secret == NULL && c->profile_asked) {
		snprintf(why, 256,
			 "no keys in profile %.60s: neither %.60s nor %.60s "
			 "has aws_access_key_id in it",
			 c->profile, c->credentials_path, c->config_path);
		return -EINVAL;
	}
	if (key == NULL && secret == NULL) {
		snprintf(why, 256,
			 "no keys found: looked at AWS_ACCESS_KEY_ID and at "
			 "profile default in %.70s and %.70s; set them, or "
			 "use anonymous",
			 c->credentials_path, c->config_path);
		return -ENOENT;
	}
	if (key == NULL || secret == NULL) {
		snprintf(why, 256, "profile %.80s has no %s", c->profile,
			 key == NULL ? "aws_access_key_id"
				     : "aws_secret_access_key");
		return -EINVAL;
	}
	if (!printable(key) || !printable(token)) {
		snprintf(why, 256,
			 "the key or token of profile %.80s holds spaces or "
			 "control characters",
			 c->profile);
		return -EINVAL;
	}
	return keep(set, key, secret, token);
}

static int fetch_profile(struct creds_provider *p, struct creds *set,
			 char why[static 256])
{
	struct profile_provider *f =
	    container_of(p, struct profile_provider, provider);
	struct awsconf c;
	int r = awsconf_read(f->profile, &c, why);

	if (r < 0)
		return r;
	r = keys_of(&c, set, why);
	awsconf_fini(&c);
	return r;
}

static struct creds_provider *profile_provider(const char *profile)
{
	struct profile_provider *f = calloc(1, sizeof(*f));
	const char *env = awsconf_env("AWS_PROFILE");
	const char *name = profile != NULL ? profile
			   : env != NULL   ? env
					   : "default";

	if (f == NULL)
		return NULL;
	f->provider.fetch = fetch_profile;
	f->provider.close = profile_close;
	if (profile != NULL)
		f->profile = strdup(profile);
	if ((profile != NULL && f->profile == NULL) ||
	    asprintf(&f->provider.source, "profile %s", name) < 0) {
		free(f->profile);
		free(f);
		return NULL;
	}
	return &f->provider;
}

int creds_open(const char *profile, struct creds_chain **out,
	       char why[static 256])
{
	struct creds_provider *env, *file;
	int r;

	if (profile != NULL && *profile == '\0')
		profile = NULL;
	file = profile_provider(profile);
	if (file == NULL)
		return -ENOMEM;
	env = profile == NULL ? calloc(1, sizeof(*env)) : NULL;
	if (env != NULL) {
		env->fetch = fetch_environment;
		env->close = provider_free;
		env->source = strdup("environment");
		env->next = file;
	}
	if (profile == NULL && (env == NULL || env->source == NULL)) {
		close_providers(env != NULL ? env : file);
		return -ENOMEM;
	}
	r = creds_open_with(env != NULL ? env : file, out, why);
	return r == -ENOENT ? -EINVAL : r;
}
