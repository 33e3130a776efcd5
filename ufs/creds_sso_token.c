/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_sso_token.c - the login that `aws sso login` left
 *
 * It is a JSON object in ~/.aws/sso/cache, in a file named by the SHA-1 of the
 * session's name (or, as of old, of the start URL). The login of an sso-session
 * can be refreshed without a person until the session ends; its token lasts an
 * hour. As the SDKs do it, that is done when a quarter of an hour is left, and
 * the file is replaced, so that all programs go on with the same login. Each
 * refresh token may be good for one use: if writing the file fails, the new
 * token still serves once.
 * https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "ufs/creds_http.h"
#include "ufs/creds_impl.h"
#include "ufs/endpoint.h"
#include "ufs/ufs_impl.h"

#define TIMEOUT_NS (10 * NSEC_PER_SEC)
#define CACHE_MAX KIB(64)
#define EARLY_NS (15 * 60 * NSEC_PER_SEC)

int creds_sso_log_in(const struct awsconf *aws, const char *what,
		     char why[static 256])
{
	return ufs_why(why, -EINVAL,
		       "the SSO login of profile %.60s %s; run `aws sso login "
		       "--profile %.60s`",
		       aws->profile, what, aws->profile);
}

static char *cache_path(const struct creds_login *l)
{
	const char *of = l->session != NULL ? l->session : l->url;
	unsigned char hash[20];
	char name[80] = ".aws/sso/cache/";
	size_t n = strlen(name);

	if (EVP_Digest(of, strlen(of), hash, NULL, EVP_sha1(), NULL) != 1)
		return NULL;
	for (size_t i = 0; i < sizeof(hash); i++)
		n += (size_t)snprintf(name + n, sizeof(name) - n, "%02x",
				      hash[i]);
	snprintf(name + n, sizeof(name) - n, ".json");
	return awsconf_home_file(name);
}

static const char *member(const json_t *login, const char *name)
{
	return json_string_value(json_object_get(login, name));
}

/* When it ends, wall ns; 0: it does not say so. */
static int64_t time_of(const json_t *login, const char *name)
{
	const char *text = member(login, name);
	int64_t t;

	return text != NULL && creds_time(text, &t) ? t : 0;
}

static int read_login(const struct awsconf *aws, const char *path, json_t **out,
		      char why[static 256])
{
	struct text file = { 0 };
	json_t *o = NULL;
	int r;

	if (access(path, F_OK) < 0)
		return creds_sso_log_in(aws, "is not there", why);
	r = creds_read_file(path, CACHE_MAX, "the SSO login", &file, why);
	if (r == 0)
		o = creds_json(&file);
	if (r == 0 && (!creds_printable(member(o, "accessToken")) ||
		       time_of(o, "expiresAt") == 0)) {
		json_decref(o);
		r = creds_sso_log_in(aws, "cannot be read", why);
	}
	text_wipe(&file);
	if (r == 0)
		*out = o;
	return r;
}

/* A login of old has none of it. */
static bool refreshable(const struct creds_login *l, const json_t *login)
{
	return l->session != NULL && member(login, "refreshToken") != NULL &&
	       member(login, "clientId") != NULL &&
	       member(login, "clientSecret") != NULL &&
	       time_of(login, "registrationExpiresAt") > clock_wall_ns();
}

static int question(const json_t *login, struct text *body)
{
	json_t *o =
	    json_pack("{s:s, s:s, s:s, s:s}", "grantType", "refresh_token",
		      "clientId", member(login, "clientId"), "clientSecret",
		      member(login, "clientSecret"), "refreshToken",
		      member(login, "refreshToken"));
	char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	if (text == NULL)
		return -ENOMEM;
	text_adds(body, text);
	creds_wiped_free(text);
	return 0;
}

static int ask(const struct creds_site *site, const struct awsconf *aws,
	       const struct creds_login *l, const json_t *login,
	       struct creds_answer *a, char why[static 256])
{
	struct creds_call call = {
		.method = "POST",
		.timeout = TIMEOUT_NS,
		.ca_bundle = site->ca_bundle != NULL ? site->ca_bundle
						     : awsconf_ca_bundle(aws),
		.cancel = site->cancel,
	};
	const char *url = awsconf_endpoint(aws, "SSO_OIDC");
	struct endpoint at;
	char usual[200];
	int r;

	snprintf(usual, sizeof(usual), "https://oidc.%s.%s", l->region,
		 awsconf_domain(l->region));
	r = endpoint_parse(url != NULL ? url : usual, &at, why);
	if (r < 0)
		return r;
	text_addf(&call.url, "%s://%s%s/token", at.scheme, at.host, at.base);
	endpoint_fini(&at);
	text_adds(&call.headers, "Content-Type: application/json\n");
	r = question(login, &call.body);
	if (r == 0)
		return creds_http(&call, a, why);
	creds_call_wipe(&call);
	return r;
}

static int set_member(json_t *login, const char *name, const char *value)
{
	return json_object_set_new(login, name, json_string(value)) < 0
		   ? -ENOMEM
		   : 0;
}

/* The answer's token and time in place of those of the login. */
static int take(const struct creds_answer *a, json_t *login)
{
	json_t *o = creds_json(&a->body);
	const char *token = member(o, "accessToken");
	const char *refresh = member(o, "refreshToken");
	json_int_t life = json_integer_value(json_object_get(o, "expiresIn"));
	time_t end = (time_t)(clock_wall_ns() / NSEC_PER_SEC) + (time_t)life;
	char text[40];
	struct tm tm;
	int r = -EINVAL;

	if (creds_printable(token) && life > 0 && life < 1 << 30 &&
	    gmtime_r(&end, &tm) != NULL) {
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		r = set_member(login, "accessToken", token);
		if (r == 0)
			r = set_member(login, "expiresAt", text);
		if (r == 0 && refresh != NULL)
			r = set_member(login, "refreshToken", refresh);
	}
	json_decref(o);
	return r;
}

static int write_all(int fd, const char *p)
{
	for (size_t n = strlen(p); n > 0;) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno != EINTR)
			return -errno;
		if (w > 0) {
			p += w;
			n -= (size_t)w;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Beside it and then over it: no reader ever sees a half of it. */
static int keep(const char *path, const json_t *login)
{
	char *text = json_dumps(login, 0);
	AUTO_FREE char *beside = NULL;
	AUTO_CLOSE int fd = -1;
	int r = -ENOMEM;

	if (text != NULL && asprintf(&beside, "%s.XXXXXX", path) >= 0) {
		fd = mkostemp(beside, O_CLOEXEC);
		r = fd < 0 ? -errno : write_all(fd, text);
		if (r == 0 && rename(beside, path) < 0)
			r = -errno;
		if (r < 0 && fd >= 0)
			unlink(beside);
	}
	creds_wiped_free(text);
	return r;
}

/* -EINVAL: it is refused, or the answer is none. */
static int refresh(const struct creds_site *site, const struct awsconf *aws,
		   const struct creds_login *l, const char *path, json_t *login)
{
	struct creds_answer a = { 0 };
	char why[256] = "";
	int r = ask(site, aws, l, login, &a, why);

	if (r == 0 && a.status != 200)
		r = creds_status(a.status);
	if (r == 0)
		r = take(&a, login);
	creds_answer_wipe(&a);
	if (r < 0)
		return r;
	r = keep(path, login);
	if (r < 0)
		log_warn("ufs: the SSO login of profile %s was refreshed but "
			 "cannot be kept in %s: %s",
			 aws->profile, path, strerror(-r));
	return 0;
}

int creds_sso_token(const struct creds_site *site, const struct awsconf *aws,
		    const struct creds_login *l, struct text *token,
		    char why[static 256])
{
	AUTO_FREE char *path = cache_path(l);
	json_t *login = NULL;
	int64_t left;
	int r;

	if (path == NULL)
		return -ENOMEM;
	r = read_login(aws, path, &login, why);
	if (r < 0)
		return r;
	left = time_of(login, "expiresAt") - clock_wall_ns();
	if (left < EARLY_NS && refreshable(l, login)) {
		r = refresh(site, aws, l, path, login);
		left = time_of(login, "expiresAt") - clock_wall_ns();
	}
	/* One that cannot be refreshed yet still serves. */
	if (left > 0 && r != -ENOMEM && r != -ECANCELED) {
		text_adds(token, member(login, "accessToken"));
		r = token->failed ? -ENOMEM : 0;
	} else if (r == -EAGAIN) {
		ufs_why(why, r,
			"the SSO login of profile %.60s has expired and cannot "
			"be refreshed now; it may be later, else run `aws sso "
			"login --profile %.60s`",
			aws->profile, aws->profile);
	} else if (r == 0 || r == -EINVAL) {
		r = creds_sso_log_in(aws, "has expired", why);
	}
	json_decref(login);
	return r;
}
