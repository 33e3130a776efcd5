/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_sts.c - keys of a role, from the Security Token Service
 *
 * AssumeRole, signed with the keys of another identity, and
 * AssumeRoleWithWebIdentity, which is not signed: its token says who asks.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 *
 * Asked is the endpoint of the region, or the one that AWS_ENDPOINT_URL_STS
 * names.
 */
#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "ufs/creds_http.h"
#include "ufs/creds_impl.h"
#include "ufs/endpoint.h"
#include "ufs/sigv4.h"
#include "ufs/ufs_impl.h"

#define TIMEOUT_NS (10 * NSEC_PER_SEC)
#define TOKEN_MAX 20000 /* of a web identity, as the API has it */
#define REGION_DEFAULT "us-east-1"
#define FORM_TYPE "application/x-www-form-urlencoded; charset=utf-8"
/* AWS allows 15 minutes; an answer's Date is exact to a second. */
#define SKEW_MIN_NS (5 * 60 * NSEC_PER_SEC)

/* ---- what it says ---- */

#define DEPTH_MAX 16
#define TEXT_MAX KIB(32)

enum field { F_CODE, F_KEY, F_SECRET, F_TOKEN, F_EXPIRY, FIELDS };

static const struct {
	const char *parent, *name;
} fields[FIELDS] = {
	[F_CODE] = { "Error", "Code" },
	[F_KEY] = { "Credentials", "AccessKeyId" },
	[F_SECRET] = { "Credentials", "SecretAccessKey" },
	[F_TOKEN] = { "Credentials", "SessionToken" },
	[F_EXPIRY] = { "Credentials", "Expiration" },
};

struct reader {
	XML_Parser xml;
	unsigned depth;
	char path[DEPTH_MAX][32]; /* names of the elements we are in */
	struct text text;         /* of the innermost */
	struct text got[FIELDS];
};

static void stop(struct reader *r)
{
	XML_StopParser(r->xml, XML_FALSE);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sys,
		       const XML_Char *pub, int subset)
{
	(void)name, (void)sys, (void)pub, (void)subset;
	stop(arg);
}

static void XMLCALL on_start(void *arg, const XML_Char *name,
			     const XML_Char **atts)
{
	struct reader *r = arg;
	const char *colon = strrchr(name, ':');

	(void)atts;
	if (r->depth == DEPTH_MAX) {
		stop(r);
		return;
	}
	snprintf(r->path[r->depth++], sizeof(r->path[0]), "%s",
		 colon != NULL ? colon + 1 : name);
	text_clear(&r->text);
}

static void XMLCALL on_text(void *arg, const XML_Char *s, int n)
{
	struct reader *r = arg;

	if (r->text.n + (size_t)n > TEXT_MAX)
		stop(r);
	else
		text_add(&r->text, s, (size_t)n);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct reader *r = arg;

	(void)name;
	if (r->depth == 0)
		return;
	r->depth--;
	for (size_t i = 0; r->depth > 0 && i < FIELDS; i++)
		if (strcmp(r->path[r->depth], fields[i].name) == 0 &&
		    strcmp(r->path[r->depth - 1], fields[i].parent) == 0 &&
		    r->got[i].n == 0 && r->text.n > 0)
			text_add(&r->got[i], r->text.p, r->text.n);
	text_clear(&r->text);
}

static void reader_wipe(struct reader *r)
{
	text_wipe(&r->text);
	for (size_t i = 0; i < FIELDS; i++)
		text_wipe(&r->got[i]);
}

/* False: it is no XML as STS writes it. What was found before counts. */
static bool read_xml(const struct text *body, struct reader *r)
{
	static const XML_Memory_Handling_Suite wiped = { malloc,
							 creds_wiped_realloc,
							 creds_wiped_free };
	bool ok;

	memset(r, 0, sizeof(*r));
	r->xml = XML_ParserCreate_MM("UTF-8", &wiped, NULL);
	if (r->xml == NULL)
		return false;
	XML_SetUserData(r->xml, r);
	XML_SetElementHandler(r->xml, on_start, on_end);
	XML_SetCharacterDataHandler(r->xml, on_text);
	XML_SetStartDoctypeDeclHandler(r->xml, on_doctype);
	ok = XML_Parse(r->xml, body->p != NULL ? body->p : "", (int)body->n,
		       1) == XML_STATUS_OK;
	XML_ParserFree(r->xml);
	return ok;
}

static const char *got(const struct reader *r, enum field f)
{
	return r->got[f].p != NULL && !r->got[f].failed ? r->got[f].p : "";
}

static const char *fix_for(const char *code, bool web)
{
	if (strcmp(code, "AccessDenied") == 0)
		return web ? "the role's trust policy must name this identity"
			   : "these keys need sts:AssumeRole, and the role's "
			     "trust policy must name their owner";
	if (strncmp(code, "ExpiredToken", 12) == 0)
		return web ? "the token in the file has expired"
			   : "the keys that ask have expired";
	if (strcmp(code, "InvalidIdentityToken") == 0)
		return "the token in the file is not of a provider that the "
		       "account knows";
	if (strcmp(code, "InvalidClientTokenId") == 0 ||
	    strcmp(code, "SignatureDoesNotMatch") == 0)
		return "check the keys that ask";
	if (strcmp(code, "RegionDisabled") == 0 ||
	    strcmp(code, "RegionDisabledException") == 0)
		return "STS is off in this region for the account; set another "
		       "AWS_REGION";
	if (strcmp(code, "ValidationError") == 0)
		return "check role_arn, duration_seconds and external_id";
	return "check role_arn and the endpoint of STS";
}

static int refusal(const struct creds_answer *a, const struct reader *r,
		   const char *arn, const char *host, bool web,
		   char why[static 256])
{
	char code[CREDS_CODE_MAX];
	bool passes;

	creds_code(got(r, F_CODE), code);
	passes = creds_status(a->status) == -EAGAIN ||
		 strcmp(code, "Throttling") == 0 ||
		 strcmp(code, "IDPCommunicationError") == 0;
	return ufs_why(why, passes ? -EAGAIN : -EINVAL,
		       "%.50s refused %.70s: %d%s%s; %s", host, arn, a->status,
		       code[0] != '\0' ? " " : "", code,
		       passes ? "it may do so later" : fix_for(code, web));
}

/* ---- what is asked ---- */

struct question {
	const struct creds_site *site;
	const struct creds_role *role;
	const struct creds *by; /* NULL: not signed */
	struct endpoint at;
	const char *region;
	struct text form;
	int64_t skew; /* the clock of STS less ours, ns */
};

static int choose_endpoint(struct question *q, const struct awsconf *aws,
			   char why[static 256])
{
	const char *url = awsconf_endpoint(aws, "STS");
	const char *region = q->site->region;
	char usual[200];

	if (region == NULL)
		region = awsconf_region(aws);
	q->region = region != NULL ? region : REGION_DEFAULT;
	if (!awsconf_region_ok(q->region))
		return ufs_why(why, -EINVAL, "region: give one like eu-west-1");
	snprintf(usual, sizeof(usual), "https://sts.%s.%s", q->region,
		 awsconf_domain(q->region));
	return endpoint_parse(url != NULL ? url : usual, &q->at, why);
}

static int sign(struct question *q, struct text *headers)
{
	struct sigv4_request r = { .method = "POST", .path = str_of("/") };
	struct sigv4_key key;
	struct text path = { 0 };
	char hash[65], date[17];
	int err = sigv4_body_hash(q->form.p, q->form.n, hash);

	if (err < 0)
		return err;
	text_adds(&path, q->at.base);
	text_adds(&path, "/");
	if (path.failed)
		return -ENOMEM;
	sigv4_date(clock_wall_ns() + q->skew, date);
	r.path = (struct str){ path.p, path.n };
	r.body_hash = hash;
	r.headers[r.nheaders++] =
	    (struct sigv4_pair){ str_of("content-type"), str_of(FORM_TYPE) };
	r.headers[r.nheaders++] =
	    (struct sigv4_pair){ str_of("host"), str_of(q->at.host) };
	r.headers[r.nheaders++] =
	    (struct sigv4_pair){ str_of("x-amz-date"), str_of(date) };
	if (q->by->token != NULL)
		r.headers[r.nheaders++] =
		    (struct sigv4_pair){ str_of("x-amz-security-token"),
					 str_of(q->by->token) };
	sigv4_key_init(&key);
	text_adds(headers, "Authorization: ");
	err = sigv4_sign(&key, &r, q->by->access_key, q->by->secret, q->region,
			 "sts", date, headers);
	sigv4_key_fini(&key);
	text_addf(headers, "\nx-amz-date: %s\n", date);
	if (q->by->token != NULL)
		text_addf(headers, "x-amz-security-token: %s\n", q->by->token);
	text_fini(&path);
	return err;
}

static int send(struct question *q, const struct awsconf *aws,
		struct creds_answer *a, char why[static 256])
{
	struct creds_call call = {
		.method = "POST",
		.timeout = TIMEOUT_NS,
		.ca_bundle = q->site->ca_bundle != NULL
				 ? q->site->ca_bundle
				 : awsconf_ca_bundle(aws),
		.cancel = q->site->cancel,
	};
	int r = 0;

	text_addf(&call.url, "%s://%s%s/", q->at.scheme, q->at.host,
		  q->at.base);
	text_addf(&call.headers,
		  "Host: %s\nContent-Type: " FORM_TYPE "\nAccept: text/xml\n",
		  q->at.host);
	if (q->by != NULL)
		r = sign(q, &call.headers);
	text_add(&call.body, q->form.p, q->form.n);
	if (r == 0)
		return creds_http(&call, a, why);
	creds_call_wipe(&call);
	return r;
}

/* A refusal whose Date is not our time: sign with its time, once. */
static bool learn_skew(struct question *q, const struct creds_answer *a)
{
	int64_t skew = a->now - clock_wall_ns();

	if (q->by == NULL || q->skew != 0 || a->now == 0 ||
	    (a->status != 400 && a->status != 403) || llabs(skew) < SKEW_MIN_NS)
		return false;
	q->skew = skew;
	return true;
}

static int take(const struct creds_answer *a, const struct reader *r,
		const char *host, struct creds *set, char why[static 256])
{
	const char *key = got(r, F_KEY), *secret = got(r, F_SECRET);
	const char *token = got(r, F_TOKEN);

	if (*key == '\0' || *secret == '\0' || *token == '\0' ||
	    !creds_time(got(r, F_EXPIRY), &set->expiry))
		return ufs_why(why, -EINVAL,
			       "%.100s answered, but with no keys of a role; "
			       "check the endpoint of STS",
			       host);
	set->issuer_now = a->now;
	return creds_keep(set, key, secret, token, host, why);
}

static int ask(struct question *q, const struct awsconf *aws, struct creds *set,
	       char why[static 256])
{
	struct creds_answer a = { 0 };
	struct reader r;
	bool xml;
	int err;

	if (q->form.failed)
		return -ENOMEM;
	err = choose_endpoint(q, aws, why);
	if (err < 0)
		return err;
	err = send(q, aws, &a, why);
	if (err == 0 && learn_skew(q, &a)) {
		creds_answer_wipe(&a);
		err = send(q, aws, &a, why);
	}
	if (err == 0) {
		xml = read_xml(&a.body, &r);
		if (a.status != 200)
			err = refusal(&a, &r, q->role->arn, q->at.host,
				      q->by == NULL, why);
		else if (!xml)
			err = ufs_why(why, -EINVAL,
				      "the answer of %.100s is not what STS "
				      "answers; check the endpoint",
				      q->at.host);
		else
			err = take(&a, &r, q->at.host, set, why);
		reader_wipe(&r);
	}
	creds_answer_wipe(&a);
	return err;
}

static void add_field(struct text *form, const char *name, const char *value)
{
	text_addf(form, "&%s=", name);
	text_add_encoded(form, str_of(value), false);
}

/* Shown in the account's logs; the API wants 2 to 64 of these characters. */
static bool session_name_ok(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) &&
		    strchr("_+=,.@-", s[i]) == NULL)
			return false;
	return n >= 2 && n <= 64;
}

static int add_role(struct text *form, const struct creds_role *role,
		    char why[static 256])
{
	char host[50] = "", usual[65];
	const char *name = role->session_name;
	char *end;
	long seconds;

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	snprintf(usual, sizeof(usual), "tarn-%s", host);
	if (!session_name_ok(usual))
		snprintf(usual, sizeof(usual), "tarn");
	if (name == NULL)
		name = usual;
	if (!session_name_ok(name))
		return ufs_why(why, -EINVAL,
			       "role_session_name of %.100s: give 2 to 64 "
			       "letters, digits and _+=,.@-",
			       role->arn);
	add_field(form, "RoleArn", role->arn);
	add_field(form, "RoleSessionName", name);
	if (role->external_id != NULL)
		add_field(form, "ExternalId", role->external_id);
	if (role->duration == NULL)
		return 0;
	seconds = strtol(role->duration, &end, 10);
	if (*end != '\0' || seconds < 900 || seconds > 43200)
		return ufs_why(why, -EINVAL,
			       "duration_seconds of %.100s: give 900 to 43200",
			       role->arn);
	add_field(form, "DurationSeconds", role->duration);
	return 0;
}

static void question_wipe(struct question *q)
{
	text_wipe(&q->form);
	endpoint_fini(&q->at);
}

int creds_sts_assume_role(const struct creds_site *site,
			  const struct awsconf *aws,
			  const struct creds_role *role, const struct creds *by,
			  struct creds *set, char why[static 256])
{
	struct question q = { .site = site, .role = role, .by = by };
	int r;

	text_adds(&q.form, "Action=AssumeRole&Version=2011-06-15");
	r = add_role(&q.form, role, why);
	if (r == 0)
		r = ask(&q, aws, set, why);
	question_wipe(&q);
	return r;
}

int creds_sts_web_identity(const struct creds_site *site,
			   const struct awsconf *aws,
			   const struct creds_role *role, const char *file,
			   struct creds *set, char why[static 256])
{
	struct question q = { .site = site, .role = role };
	struct text token = { 0 };
	int r;

	/* Each time: it is replaced by who runs the pod. */
	r = creds_read_file(file, TOKEN_MAX, "the web identity token", &token,
			    why);
	text_adds(&q.form,
		  "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
	if (r == 0)
		r = add_role(&q.form, role, why);
	if (r == 0) {
		add_field(&q.form, "WebIdentityToken", token.p);
		r = ask(&q, aws, set, why);
	}
	text_wipe(&token);
	question_wipe(&q);
	return r;
}
