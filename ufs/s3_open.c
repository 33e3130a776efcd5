/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_open.c - from options, the environment and AWS's files to a bucket
 *
 * Options beat the environment, which beats the files. The store is not asked
 * for anything, but who gives out keys may be.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "ufs/awsconf.h"
#include "ufs/endpoint.h"
#include "ufs/s3_impl.h"

#define REGION_DEFAULT "us-east-1"

static const char *given(const char *s)
{
	return s != NULL && *s != '\0' ? s : NULL;
}

static bool bucket_ok(const char *b)
{
	size_t n = strlen(b);

	if (n == 0 || n > 255 || strcmp(b, ".") == 0 || strcmp(b, "..") == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)b[i]) &&
		    strchr(".-_", b[i]) == NULL)
			return false;
	return true;
}

/* A bucket that can be a part of a host name and match a certificate. */
static bool bucket_is_label(const char *b)
{
	size_t n = strlen(b);

	if (n < 3 || n > 63 || b[0] == '-' || b[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!islower((unsigned char)b[i]) &&
		    !isdigit((unsigned char)b[i]) && b[i] != '-')
			return false;
	return true;
}

/* s3://bucket/prefix, taken as it is: nothing in it is decoded. */
static int parse_url(struct s3 *s3, const char *url, char why[static 256])
{
	const char *b = url + strlen("s3://"), *slash = strchr(b, '/');
	size_t n = slash != NULL ? (size_t)(slash - b) : strlen(b);
	const char *prefix = slash != NULL ? slash + 1 : "";
	size_t len = strlen(prefix);
	const char *end = len > 0 && prefix[len - 1] != '/' ? "/" : "";

	s3->bucket = strndup(b, n);
	if (s3->bucket == NULL ||
	    asprintf(&s3->ufs.prefix, "%s%s", prefix, end) < 0)
		return -ENOMEM;
	if (!bucket_ok(s3->bucket)) {
		snprintf(why, 256,
			 "\"%.100s\" cannot be a bucket: give "
			 "s3://BUCKET[/PREFIX]",
			 s3->bucket);
		return -EINVAL;
	}
	if (len + 1 >= UFS_KEY_MAX) {
		snprintf(why, 256, "the prefix is longer than a key can be");
		return -EINVAL;
	}
	return 0;
}

static int choose_endpoint(struct s3 *s3, const struct ufs_conf *conf,
			   const struct awsconf *aws, char why[static 256])
{
	const char *text = given(conf->endpoint);
	struct endpoint e;
	int r;

	if (text == NULL)
		text = awsconf_endpoint(aws, "S3");
	if (text != NULL) {
		r = endpoint_parse(text, &e, why);
		if (r < 0)
			return r;
		s3->scheme = e.scheme;
		s3->host = e.host;
		s3->base = e.base;
		return 0;
	}
	s3->scheme = strdup("https");
	s3->base = strdup("");
	return s3->scheme == NULL || s3->base == NULL ? -ENOMEM : 0;
}

static int choose_region(struct s3 *s3, const struct ufs_conf *conf,
			 const struct awsconf *aws, char why[static 256])
{
	const char *r = given(conf->region);

	if (r == NULL)
		r = awsconf_region(aws);
	if (r == NULL)
		r = REGION_DEFAULT;
	if (!awsconf_region_ok(r)) {
		snprintf(why, 256, "region: give one like eu-west-1");
		return -EINVAL;
	}
	snprintf(s3->region, sizeof(s3->region), "%s", r);
	return 0;
}

static int choose_style(struct s3 *s3, const struct ufs_conf *conf,
			char why[static 256])
{
	switch (conf->path_style) {
	case UFS_PATH_ON:
		return 0;
	case UFS_PATH_OFF:
		if (!bucket_is_label(s3->bucket) &&
		    strchr(s3->bucket, '.') == NULL) {
			snprintf(why, 256,
				 "bucket %.100s cannot be part of a host "
				 "name: leave path-style on",
				 s3->bucket);
			return -EINVAL;
		}
		s3->virtual_host = true;
		return 0;
	default:
		/* A dot in the bucket matches no wildcard certificate. */
		s3->virtual_host =
		    s3->host == NULL && bucket_is_label(s3->bucket);
		return 0;
	}
}

static int choose_keys(struct s3 *s3, const struct ufs_conf *conf,
		       char why[static 256])
{
	struct creds_conf c = { .profile = given(conf->profile),
				.region = given(conf->region),
				.ca_bundle = given(conf->ca_bundle),
				.cancel = conf->cancel };
	struct creds *set;
	int r;

	if (conf->anonymous) {
		s3->ufs.access = strdup("anonymous");
		return s3->ufs.access == NULL ? -ENOMEM : 0;
	}
	r = creds_open(&c, &s3->creds, why);
	if (r < 0)
		return r;
	set = creds_now(s3->creds);
	if (set->whose != NULL)
		s3->ufs.access = strdup(set->whose);
	else if (asprintf(&s3->ufs.access, "%s, key %s", set->source,
			  set->access_key) < 0)
		s3->ufs.access = NULL;
	creds_unref(set);
	return s3->ufs.access == NULL ? -ENOMEM : 0;
}

static int name_it(struct s3 *s3, const struct ufs_conf *conf)
{
	const char *host = s3->host != NULL ? s3->host : "s3.amazonaws.com";

	if (asprintf(&s3->where, "%s://%s%s/%s", s3->scheme, host, s3->base,
		     s3->bucket) < 0)
		return -ENOMEM;
	s3->ufs.where = s3->where;
	if (given(conf->store_id) != NULL)
		s3->ufs.store = strdup(conf->store_id);
	else if (asprintf(&s3->ufs.store, "s3://%s%s/%s", host, s3->base,
			  s3->bucket) < 0)
		s3->ufs.store = NULL;
	return s3->ufs.store == NULL ? -ENOMEM : 0;
}

static int start_http(struct s3 *s3, const struct ufs_conf *conf,
		      const struct awsconf *aws, char why[static 256])
{
	struct http_conf h = {
		.ca_bundle = given(conf->ca_bundle),
		.tls = strcmp(s3->scheme, "https") == 0,
		.max_connections = conf->max_connections,
		.memory = conf->memory,
		.stall_timeout = conf->stall_timeout,
		.bandwidth = conf->bandwidth_down,
		.bandwidth_up = conf->bandwidth_up,
	};

	if (h.ca_bundle == NULL)
		h.ca_bundle = awsconf_ca_bundle(aws);
	if (h.tls && h.ca_bundle != NULL && access(h.ca_bundle, R_OK) < 0) {
		snprintf(why, 256, "ca-bundle: cannot read %.150s: %s",
			 h.ca_bundle, strerror(errno));
		return -EINVAL;
	}
	return http_new(&h, &s3->http);
}

int ufs_s3_open(const struct ufs_conf *conf, struct ufs **out,
		char why[static 256])
{
	struct s3 *s3 = calloc(1, sizeof(*s3));
	struct awsconf aws = { 0 };
	int r;

	if (s3 == NULL)
		return -ENOMEM;
	lock_init(&s3->lock, RANK_STORE);
	sigv4_key_init(&s3->key);
	s3->ufs.ops = &s3_ops;
	s3->requester_pays = conf->requester_pays;
	s3->metadata_timeout = conf->metadata_timeout;
	s3->read_timeout = conf->read_timeout;
	s3->commit_timeout = conf->commit_timeout;
	r = parse_url(s3, conf->url, why);
	if (r == 0)
		r = awsconf_read(given(conf->profile), &aws, why);
	/* Not refused: it is how containers are given their files. */
	if (r == 0 && !conf->anonymous && awsconf_shown_to_others(&aws))
		log_warn("ufs: every user of this host can read %s; chmod 600 "
			 "it",
			 aws.credentials_path);
	if (r == 0)
		r = choose_endpoint(s3, conf, &aws, why);
	if (r == 0)
		r = choose_region(s3, conf, &aws, why);
	if (r == 0)
		r = choose_style(s3, conf, why);
	if (r == 0)
		r = name_it(s3, conf);
	if (r == 0)
		r = start_http(s3, conf, &aws, why);
	/* Last, as others may have to be asked. */
	if (r == 0)
		r = choose_keys(s3, conf, why);
	awsconf_fini(&aws);
	if (r < 0)
		s3->ufs.ops->close(&s3->ufs);
	else
		*out = &s3->ufs;
	return r;
}
