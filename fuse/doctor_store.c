/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_store.c - keys, the way to the server, LIST, GET, the clock
 *
 * The source is opened twice: without keys, so that the way to the server is
 * looked at even where there are none, and with them for what needs them.
 */
#include "fuse/doctor_impl.h"

#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/units.h"
#include "fuse/service.h"
#include "fuse/source.h"

/* Signatures bear 15 minutes, tokens and certificates less. */
#define SKEW_MAX (5 * 60 * NSEC_PER_SEC)
#define LOOK_AT 100 /* entries, to find an object to read */

static int open_without_keys(struct doctor *d, char why[static WHY_MAX])
{
	struct options *o = d->conf->options;
	int64_t was = o->v[OPT_ANONYMOUS].number;
	int r;

	o->v[OPT_ANONYMOUS].number = 1;
	r = source_open(o, d->conf->source, NULL, &d->bare, why);
	o->v[OPT_ANONYMOUS].number = was;
	return r;
}

void doctor_source(struct doctor *d)
{
	char why[WHY_MAX];

	if (open_without_keys(d, why) < 0) {
		doctor_fail(d, "see `tarn help mount`", "%s", why);
		return;
	}
	doctor_pass(d, "%s", d->conf->source);
	if (d->bare->ops->reach != NULL)
		d->has_reach = d->bare->ops->reach(d->bare, &d->reach) == 0;
}

void doctor_credentials(struct doctor *d)
{
	const struct options *o = d->conf->options;
	char why[WHY_MAX], words[256] = "";

	if (d->bare == NULL) {
		doctor_skip(d, "the source is not right");
		return;
	}
	if (source_open(o, d->conf->source, NULL, &d->ufs, why) < 0) {
		doctor_fail_why(d, why,
				"set AWS_ACCESS_KEY_ID and "
				"AWS_SECRET_ACCESS_KEY, name a profile=, or "
				"use anonymous for a public bucket");
		return;
	}
	if (d->ufs->ops->describe != NULL)
		d->ufs->ops->describe(d->ufs, words, sizeof(words));
	if (d->bare->ops->reach == NULL)
		doctor_skip(d, "a directory needs none");
	else if (options_number(o, OPT_ANONYMOUS))
		doctor_skip(d, "%s, as asked for", words);
	else
		doctor_pass(d, "%s", words);
}

/* Was this step come to? If not, that is said. */
static bool came_to(struct doctor *d, enum ufs_step step)
{
	if (d->bare == NULL)
		doctor_skip(d, "the source is not right");
	else if (d->bare->ops->reach == NULL)
		doctor_skip(d, "no server: the source is a directory");
	else if (!d->has_reach)
		doctor_skip(d, "out of memory or descriptors");
	else if (d->reach.failed < step)
		doctor_skip(d, "%s was not come to", d->reach.server);
	else
		return true;
	return false;
}

void doctor_dns(struct doctor *d)
{
	const struct ufs_reach *r = &d->reach;
	char ms[32];

	if (!came_to(d, UFS_STEP_NAME))
		return;
	if (r->failed == UFS_STEP_NAME)
		doctor_fail(d,
			    r->proxy ? "check the proxy's name in the "
				       "environment, and the name server"
				     : "check the host in endpoint=, and the "
				       "name server (/etc/resolv.conf)",
			    "%s: %s", r->server, r->words);
	else
		doctor_pass(d, "%s%s, %s", r->server,
			    r->proxy ? " through the proxy" : "",
			    doctor_ms(r->took[UFS_STEP_NAME], ms));
}

void doctor_connect(struct doctor *d)
{
	const struct ufs_reach *r = &d->reach;
	char ms[32];

	if (!came_to(d, UFS_STEP_CONNECT))
		return;
	if (r->failed == UFS_STEP_CONNECT)
		doctor_fail(d,
			    "check the host and port in endpoint=, that the "
			    "server runs, and firewalls on the way",
			    "%s", r->words);
	else
		doctor_pass(d, "%s, %s", r->address,
			    doctor_ms(r->took[UFS_STEP_CONNECT], ms));
}

static const char *tls_fix(const char *words)
{
	if (strcasestr(words, "expired") != NULL ||
	    strcasestr(words, "not yet valid") != NULL)
		return "renew the server's certificate, or set this host's "
		       "clock";
	if (strcasestr(words, "does not match") != NULL ||
	    strcasestr(words, "no alternative") != NULL)
		return "write in endpoint= a name that the server's "
		       "certificate has";
	if (strcasestr(words, "certificate") != NULL)
		return "name the authority that signed the server's "
		       "certificate with ca-bundle=FILE";
	if (strcasestr(words, "wrong version") != NULL)
		return "write http:// in endpoint= if the server has no TLS; "
		       "TLS 1.2 is the oldest that is spoken";
	return "check that the server speaks TLS 1.2 or newer at this port";
}

void doctor_tls(struct doctor *d)
{
	const struct ufs_reach *r = &d->reach;
	char ms[32];

	if (!came_to(d, UFS_STEP_TLS))
		return;
	if (!r->tls)
		doctor_skip(d, "plain HTTP, as the endpoint says");
	else if (r->failed == UFS_STEP_TLS)
		doctor_fail(d, tls_fix(r->words), "%s", r->words);
	else
		doctor_pass(d, "the certificate is believed, %s",
			    doctor_ms(r->took[UFS_STEP_TLS], ms));
}

void doctor_answer(struct doctor *d)
{
	const struct ufs_reach *r = &d->reach;
	char ms[32];

	if (!came_to(d, UFS_STEP_ANSWER))
		return;
	if (r->failed == UFS_STEP_ANSWER)
		doctor_fail(d,
			    "check the port in endpoint=, and whether it wants "
			    "https://",
			    "no HTTP answer: %s", r->words);
	else
		doctor_pass(d, "HTTP, %s",
			    doctor_ms(r->took[UFS_STEP_ANSWER], ms));
}

void doctor_clock(struct doctor *d)
{
	const struct ufs_reach *r = &d->reach;
	int64_t s = llabs(r->ahead) / NSEC_PER_SEC;

	if (!came_to(d, UFS_STEP_DONE))
		return;
	if (!r->has_date)
		doctor_skip(d, "the server does not say what time it is");
	else if (llabs(r->ahead) > SKEW_MAX)
		doctor_fail(d,
			    "set this host's clock, and keep it right with "
			    "NTP; or the server's, if that is the wrong one",
			    "this clock is %jd s %s the server's", (intmax_t)s,
			    r->ahead > 0 ? "behind" : "ahead of");
	else
		doctor_pass(d, "%jd s from the server's", (intmax_t)s);
}

/* Can the store be asked? If not, that is said. */
static bool can_ask(struct doctor *d)
{
	if (d->ufs == NULL)
		doctor_skip(d, d->bare == NULL ? "the source is not right"
					       : "there are no keys");
	else if (d->bare->ops->reach != NULL &&
		 d->reach.failed < UFS_STEP_ANSWER)
		doctor_skip(d, "the server was not reached");
	else
		return true;
	return false;
}

static void failed(struct doctor *d, int err, const char *denied)
{
	const char *words = ufs_last_error();

	doctor_fail(d,
		    err == -EACCES && denied != NULL
			? denied
			: source_fix(d->conf->source, err, words),
		    "%s", *words != '\0' ? words : strerror(-err));
}

/* The smallest object that was seen and can be read. */
struct found {
	size_t seen;
	char key[UFS_KEY_MAX + 1];
	size_t n;
	uint64_t size;
};

static int look(void *arg, const struct ufs_entry *e)
{
	struct found *f = arg;

	f->seen++;
	if (e->dir || e->st.size == 0 || e->key.n > UFS_KEY_MAX ||
	    (e->st.flags & (UFS_ARCHIVED | UFS_UNUSABLE)) != 0 ||
	    (f->n > 0 && f->size <= e->st.size))
		return 0;
	memcpy(f->key, e->key.p, e->key.n);
	f->n = e->key.n;
	f->key[f->n] = '\0';
	f->size = e->st.size;
	return 0;
}

static int list(struct doctor *d, const struct ufs_list *q, struct found *f)
{
	AUTO_FREE char *token = NULL;

	memset(f, 0, sizeof(*f));
	return d->ufs->ops->list(d->ufs, q, &token, look, f, NULL);
}

void doctor_list(struct doctor *d)
{
	struct ufs_list q = { .prefix = STR_EMPTY,
			      .after = STR_EMPTY,
			      .max = 1 };
	int64_t began = clock_ns();
	struct found f;
	char ms[32];
	int r;

	if (!can_ask(d))
		return;
	r = list(d, &q, &f);
	d->listed = r == 0;
	if (r < 0)
		failed(d, r, NULL);
	else
		doctor_pass(d, "answered in %s%s",
			    doctor_ms(clock_ns() - began, ms),
			    f.seen == 0 ? "; nothing is there yet: check the "
					  "prefix if that surprises"
					: "");
}

static int first_head(void *arg, const struct ufs_stat *st)
{
	(void)arg, (void)st;
	return 0;
}

static int first_byte(void *arg, const void *bytes, size_t n)
{
	bool *came = arg;

	(void)bytes, (void)n;
	*came = true;
	return 0;
}

/* *f: an object to read; false: there is none (said). */
static bool find_object(struct doctor *d, struct found *f)
{
	struct ufs_list q = { .prefix = STR_EMPTY,
			      .after = STR_EMPTY,
			      .deep = true,
			      .max = LOOK_AT };
	int r;

	if (!can_ask(d))
		return false;
	if (!d->listed) {
		doctor_skip(d, "LIST failed: no object is known");
		return false;
	}
	r = list(d, &q, f);
	if (r < 0)
		failed(d, r, NULL);
	else if (f->n == 0)
		doctor_skip(d, "there is no object to read%s",
			    f->seen > 0 ? " among the first" : "");
	return r == 0 && f->n > 0;
}

void doctor_get(struct doctor *d)
{
	bool came = false;
	struct ufs_sink sink = { .arg = &came,
				 .head = first_head,
				 .data = first_byte };
	char size[32], ms[32];
	int64_t began;
	struct found f;
	int r;

	if (!find_object(d, &f))
		return;
	began = clock_ns();
	r = d->ufs->ops->get(d->ufs, (struct str){ f.key, f.n }, NULL, 0, 1,
			     &sink, NULL);
	if (r < 0)
		failed(d, r,
		       "give these keys the right to read objects "
		       "(s3:GetObject, and kms:Decrypt if they are "
		       "encrypted)");
	else if (!came)
		doctor_fail(d, "try again: it was changed meanwhile",
			    "%.200s gave no byte", f.key);
	else
		doctor_pass(d, "the first byte of %.200s (%s) in %s", f.key,
			    units_format_size(f.size, size, sizeof(size)),
			    doctor_ms(clock_ns() - began, ms));
}
