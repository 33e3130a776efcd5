/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_s3.c - what the S3 driver asks for, and what it learns from refusals
 */
#include "tests/unit/ufs_server.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "tests/unit/run.h"
#include "ufs/sigv4.h"
#include "ufs/ufs.h"

#define ETAG "\"v1\""
#define SECRET "canarysecret"
#define TOKEN "canarytoken"

/* The script of a test: by the request's number. */
struct store {
	struct server server;
	struct ufs *u;
	char seen[16][4096];
	int test;        /* for scripts with several tricks */
	atomic_bool off; /* the trick is over */
};

static struct store st;

static void answer(int fd, int status, const char *headers, const char *body)
{
	server_say(fd, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n%s",
		   status, strlen(body), headers, body);
}

/* To a HEAD: the length of a body that is not sent. */
static void answer_head(int fd, int status, const char *headers)
{
	server_say(fd, "HTTP/1.1 %d X\r\nContent-Length: 5\r\n%s\r\n", status,
		   headers);
}

static bool is_head(const char *request)
{
	return strncmp(request, "HEAD ", 5) == 0;
}

static bool is_list(const char *request)
{
	return strstr(request, "list-type=2") != NULL;
}

static void keep(unsigned nth, const char *request)
{
	if (nth <= 16)
		snprintf(st.seen[nth - 1], sizeof(st.seen[0]), "%s", request);
}

#define OBJECT "ETag: " ETAG "\r\n"
#define EMPTY_LIST                                                             \
	"<ListBucketResult><IsTruncated>false</IsTruncated></"                 \
	"ListBucketResult>"

/* An object of five bytes at every key, and no listing. */
static void answer_right(int fd, const char *request)
{
	if (is_list(request))
		answer(fd, 200, "", EMPTY_LIST);
	else if (is_head(request))
		answer_head(fd, 200, OBJECT);
	else
		answer(fd, 206, OBJECT "Content-Range: bytes 0-4/5\r\n",
		       "hello");
}

static void start(server_script *script, struct ufs_conf conf)
{
	char why[256] = "", endpoint[64];

	memset(&st, 0, sizeof(st));
	server_start(&st.server, script, NULL);
	snprintf(endpoint, sizeof(endpoint), "%s:%d",
		 conf.endpoint != NULL ? conf.endpoint : "http://127.0.0.1",
		 st.server.port);
	conf.endpoint = endpoint;
	if (conf.url == NULL)
		conf.url = "s3://bucket";
	ck_assert_msg(ufs_open(&conf, &st.u, why) == 0, "%s", why);
}

static void stop(void)
{
	ufs_close(st.u);
	server_stop(&st.server);
}

static void set_keys(void)
{
	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	setenv("AWS_SESSION_TOKEN", TOKEN, 1);
	setenv("HOME", "/nonexistent", 1);
	setenv("AWS_REGION", "us-east-1", 1);
	unsetenv("AWS_PROFILE");
	unsetenv("AWS_ENDPOINT_URL");
	unsetenv("AWS_ENDPOINT_URL_S3");
	log_set_level(LOG_LEVEL_ERR);
}

static int head(void *arg, const struct ufs_stat *s)
{
	*(struct ufs_stat *)arg = *s;
	return 0;
}

static int data(void *arg, const void *p, size_t n)
{
	(void)arg, (void)p, (void)n;
	return 0;
}

static struct ufs_stat last;

static int get(const char *key, const char *want, uint64_t off, uint64_t len)
{
	struct ufs_sink sink = { .arg = &last, .head = head, .data = data };

	memset(&last, 0, sizeof(last));
	return st.u->ops->get(st.u, str_of(key), want, off, len, &sink, NULL);
}

static int stat_key(const char *key)
{
	memset(&last, 0, sizeof(last));
	return st.u->ops->stat(st.u, str_of(key), &last, NULL);
}

static unsigned requests(void)
{
	return atomic_load(&st.server.requests);
}

/* How the request asks: its line and headers. */

static enum server_then right(struct server *s, int fd, unsigned nth,
			      const char *request)
{
	(void)s;
	keep(nth, request);
	answer_right(fd, request);
	return SERVER_KEEP;
}

static const struct {
	const char *key, *line;
} keys[] = {
	{ "a", "GET /bucket/p/a HTTP/1.1\r\n" },
	{ "a b+c%d", "GET /bucket/p/a%20b%2Bc%25d HTTP/1.1\r\n" },
	{ "../../x/./y//z", "GET /bucket/p/../../x/./y//z HTTP/1.1\r\n" },
	{ "/lead", "GET /bucket/p//lead HTTP/1.1\r\n" },
	{ "\xc3\xbc\xff\n\x7f", "GET /bucket/p/%C3%BC%FF%0A%7F HTTP/1.1\r\n" },
	{ "?#&=;[]{}",
	  "GET /bucket/p/%3F%23%26%3D%3B%5B%5D%7B%7D HTTP/1.1\r\n" },
	{ "trailing/", "GET /bucket/p/trailing/ HTTP/1.1\r\n" },
};

START_TEST(F4_a_key_goes_out_encoded_once_and_is_not_shortened)
{
	const char *r = st.seen[0]; /* of the one store there is */

	start(right, (struct ufs_conf){ .url = "s3://bucket/p" });
	ck_assert_int_eq(get(keys[_i].key, "v1", 0, 5), 0);
	ck_assert_msg(strncmp(r, keys[_i].line, strlen(keys[_i].line)) == 0,
		      "%s", r);
	stop();
}
END_TEST

/* The value of a header, on the heap, or NULL. */
static char *value_of(const char *request, const char *name)
{
	char line[80];
	const char *v, *end;

	snprintf(line, sizeof(line), "\r\n%s: ", name);
	v = strcasestr(request, line);
	if (v == NULL)
		return NULL;
	v += strlen(line);
	end = strstr(v, "\r\n");
	return strndup(v, (size_t)(end - v));
}

START_TEST(what_is_sent_is_what_was_signed)
{
	char *auth, *date, *hash, *token, *host, *payer, *range;
	struct sigv4_request r = { .method = "GET",
				   .path = str_of("/bucket/a%20b"),
				   .body_hash = SIGV4_EMPTY_BODY };
	struct sigv4_key k;
	struct text mine = { 0 };

	start(right, (struct ufs_conf){ .requester_pays = true });
	ck_assert_int_eq(get("a b", NULL, 0, 5), 0);
	auth = value_of(st.seen[0], "Authorization");
	date = value_of(st.seen[0], "x-amz-date");
	hash = value_of(st.seen[0], "x-amz-content-sha256");
	token = value_of(st.seen[0], "x-amz-security-token");
	host = value_of(st.seen[0], "Host");
	payer = value_of(st.seen[0], "x-amz-request-payer");
	range = value_of(st.seen[0], "Range");
	ck_assert_str_eq(token, TOKEN);
	ck_assert_str_eq(hash, SIGV4_EMPTY_BODY);
	ck_assert_str_eq(payer, "requester");
	ck_assert_str_eq(range, "bytes=0-4");
	r.headers[0] = (struct sigv4_pair){ str_of("host"), str_of(host) };
	r.headers[1] =
	    (struct sigv4_pair){ str_of("x-amz-date"), str_of(date) };
	r.headers[2] =
	    (struct sigv4_pair){ str_of("x-amz-content-sha256"), str_of(hash) };
	r.headers[3] = (struct sigv4_pair){ str_of("x-amz-security-token"),
					    str_of(token) };
	r.headers[4] =
	    (struct sigv4_pair){ str_of("x-amz-request-payer"), str_of(payer) };
	r.nheaders = 5;
	sigv4_key_init(&k);
	ck_assert_int_eq(
	    sigv4_sign(&k, &r, "AKID", SECRET, "us-east-1", "s3", date, &mine),
	    0);
	ck_assert_str_eq(auth, mine.p);
	sigv4_key_fini(&k);
	text_fini(&mine);
	free(auth), free(date), free(hash), free(token), free(host);
	free(payer), free(range);
	stop();
}
END_TEST

START_TEST(anonymous_requests_carry_no_keys)
{
	start(right, (struct ufs_conf){ .anonymous = true });
	ck_assert_int_eq(get("a", NULL, 0, 5), 0);
	ck_assert_ptr_null(strcasestr(st.seen[0], "authorization"));
	ck_assert_ptr_null(strcasestr(st.seen[0], "x-amz-"));
	stop();
}
END_TEST

START_TEST(virtual_host_style_puts_the_bucket_into_the_host)
{
	char *host;

	start(right, (struct ufs_conf){ .endpoint = "http://localhost",
					.path_style = UFS_PATH_OFF });
	ck_assert_int_eq(get("a/b", NULL, 0, 5), 0);
	host = value_of(st.seen[0], "Host");
	ck_assert_ptr_eq(strstr(st.seen[0], "GET /a/b HTTP/1.1\r\n"),
			 st.seen[0]);
	ck_assert_ptr_eq(strstr(host, "bucket.localhost:"), host);
	free(host);
	stop();
}
END_TEST

START_TEST(INV7_no_secret_reaches_the_log_or_the_words)
{
	char path[] = "/tmp/ufs_s3.XXXXXX", *text = calloc(1, 1 << 20);
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(log_open(path), 0);
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_topics(LOG_UFS);
	start(right, (struct ufs_conf){ .metadata_timeout = NSEC_PER_SEC });
	ck_assert_int_eq(get("logged", NULL, 0, 5), 0);
	ck_assert_int_eq(stat_key("logged"), 0);
	stop();
	log_set_topics(0);
	log_set_level(LOG_LEVEL_ERR);
	log_open("stderr");
	ck_assert_int_gt(pread(fd, text, (1 << 20) - 1, 0), 0);
	ck_assert_ptr_nonnull(strstr(text, "/bucket/logged"));
	ck_assert_ptr_null(strstr(text, SECRET));
	ck_assert_ptr_null(strstr(text, TOKEN));
	ck_assert_ptr_null(strstr(text, "Signature"));
	ck_assert_ptr_null(strstr(ufs_last_error(), TOKEN));
	close(fd);
	unlink(path);
	free(text);
}
END_TEST

/* What refusals teach. */

static enum server_then region(struct server *s, int fd, unsigned nth,
			       const char *request)
{
	bool there = strstr(request, "/eu-west-9/s3/") != NULL;
	bool head_only = is_head(request);
	char headers[128];

	(void)s;
	keep(nth, request);
	/* Test 1: never content, and another region each time. */
	if (st.test == 0 && there) {
		answer_right(fd, request);
		return SERVER_KEEP;
	}
	snprintf(headers, sizeof(headers),
		 "x-amz-bucket-region: eu-west-%u\r\n", st.test == 0 ? 9 : nth);
	if (head_only)
		answer_head(fd, nth % 2 ? 301 : 400, headers);
	else
		answer(fd, 301, headers,
		       "<Error><Code>PermanentRedirect</Code></Error>");
	return SERVER_KEEP;
}

START_TEST(A20_a_region_is_learnt_once_and_remembered)
{
	start(region, (struct ufs_conf){ 0 });
	ck_assert_int_eq(_i == 0 ? get("a", NULL, 0, 5) : stat_key("a"), 0);
	ck_assert_uint_eq(requests(), 2);
	ck_assert_int_eq(get("b", NULL, 0, 5), 0);
	ck_assert_int_eq(stat_key("b"), 0);
	ck_assert_uint_eq(requests(), 4);
	stop();
}
END_TEST

START_TEST(A20_a_region_loop_is_EIO_after_one_move)
{
	start(region, (struct ufs_conf){ 0 });
	st.test = 1;
	ck_assert_int_eq(get("a", NULL, 0, 5), -EIO);
	ck_assert_uint_eq(requests(), 2);
	stop();
}
END_TEST

static enum server_then skewed(struct server *s, int fd, unsigned nth,
			       const char *request)
{
	time_t now = time(NULL) + 3600;
	char *date = value_of(request, "x-amz-date"), want[17], headers[80];
	struct tm tm;

	(void)s;
	keep(nth, request);
	/* It was signed a moment ago, or an hour. */
	sigv4_date((int64_t)(now - 1800) * NSEC_PER_SEC, want);
	if (!st.test && strcmp(date, want) > 0) {
		answer_right(fd, request);
	} else {
		gmtime_r(&now, &tm);
		strftime(headers, sizeof(headers),
			 "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		if (is_head(request))
			answer_head(fd, 403, headers);
		else
			answer(fd, 403, headers,
			       "<Error><Code>RequestTimeTooSkewed</Code>"
			       "</Error>");
	}
	free(date);
	return SERVER_KEEP;
}

START_TEST(A17_the_stores_clock_is_learnt_once_and_remembered)
{
	start(skewed, (struct ufs_conf){ 0 });
	ck_assert_int_eq(_i == 0 ? get("a", NULL, 0, 5) : stat_key("a"), 0);
	ck_assert_uint_eq(requests(), 2);
	ck_assert_int_eq(get("b", NULL, 0, 5), 0);
	ck_assert_uint_eq(requests(), 3);
	stop();
}
END_TEST

START_TEST(A17_a_store_that_is_never_content_with_the_time_is_EACCES)
{
	start(skewed, (struct ufs_conf){ 0 });
	st.test = 1;
	ck_assert_int_eq(get("a", NULL, 0, 5), -EACCES);
	ck_assert_uint_eq(requests(), 2);
	stop();
}
END_TEST

static const struct {
	int status;
	const char *body;
	int err;
	const char *words;
} refusals[] = {
	{ 403, "<Error><Code>AccessDenied</Code></Error>", -EACCES,
	  "403 AccessDenied" },
	{ 403, "<Error><Code>InvalidAccessKeyId</Code></Error>", -EACCES,
	  "InvalidAccessKeyId" },
	{ 403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", -EACCES,
	  "SignatureDoesNotMatch" },
	{ 403, "<Error><Code>InvalidObjectState</Code></Error>", -EACCES,
	  "InvalidObjectState" },
	{ 404, "<Error><Code>NoSuchKey</Code></Error>", -ENOENT, "NoSuchKey" },
	{ 404, "<Error><Code>NoSuchBucket</Code></Error>", -EIO,
	  "NoSuchBucket" },
	{ 400, "<Error><Code>InvalidArgument</Code></Error>", -EIO,
	  "InvalidArgument" },
	{ 400, "<Error><Code>NotImplemented</Code></Error>", -EOPNOTSUPP,
	  "NotImplemented" },
	{ 403, "<html>go away</html>", -EACCES, "403 from" },
};

static enum server_then refuse(struct server *s, int fd, unsigned nth,
			       const char *request)
{
	(void)s, (void)request;
	keep(nth, request);
	answer(fd, refusals[st.test].status, "", refusals[st.test].body);
	return SERVER_KEEP;
}

START_TEST(A16_a_refusal_is_told_at_once_with_the_stores_own_word)
{
	start(refuse, (struct ufs_conf){ 0 });
	st.test = _i;
	ck_assert_int_eq(get("a", NULL, 0, 5), refusals[_i].err);
	ck_assert_uint_eq(requests(), 1);
	ck_assert_msg(strstr(ufs_last_error(), refusals[_i].words) != NULL,
		      "%s", ufs_last_error());
	stop();
}
END_TEST

static enum server_then no_bucket(struct server *s, int fd, unsigned nth,
				  const char *request)
{
	(void)s;
	keep(nth, request);
	if (atomic_load(&st.off))
		answer_right(fd, request);
	else if (is_head(request))
		answer_head(fd, 404, "");
	else if (st.test == 0)
		answer(fd, 404, "", "<Error><Code>NoSuchBucket</Code></Error>");
	else
		answer(fd, 200, "", EMPTY_LIST);
	return SERVER_KEEP;
}

START_TEST(A26_a_bucket_that_is_gone_is_EIO_until_it_is_back)
{
	start(no_bucket, (struct ufs_conf){ 0 });
	ck_assert_int_eq(stat_key("a"), -EIO);
	ck_assert_ptr_nonnull(strstr(ufs_last_error(), "NoSuchBucket"));
	ck_assert(is_list(st.seen[1]));
	ck_assert_int_eq(stat_key("a"), -EIO);
	atomic_store(&st.off, true);
	ck_assert_int_eq(stat_key("a"), 0);
	stop();
}
END_TEST

START_TEST(an_absent_object_is_ENOENT_and_the_bucket_asked_for_once)
{
	start(no_bucket, (struct ufs_conf){ 0 });
	st.test = 1;
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(stat_key("a"), -ENOENT);
	ck_assert_uint_eq(requests(), 6);
	stop();
}
END_TEST

static char keys_path[64];

static void write_keys(const char *key)
{
	FILE *f = fopen(keys_path, "w");

	ck_assert_ptr_nonnull(f);
	fprintf(f,
		"[default]\naws_access_key_id = %s\n"
		"aws_secret_access_key = s\n",
		key);
	ck_assert_int_eq(fclose(f), 0);
}

static enum server_then expired(struct server *s, int fd, unsigned nth,
				const char *request)
{
	(void)s;
	keep(nth, request);
	if (strstr(request, "Credential=NEW/") != NULL) {
		answer_right(fd, request);
		return SERVER_KEEP;
	}
	/* Someone rotates them just now. */
	if (st.test != 1)
		write_keys("NEW");
	if (is_head(request))
		answer_head(fd, 400, "");
	else if (st.test == 2)
		answer(fd, 401, "", "");
	else
		answer(fd, 400, "", "<Error><Code>ExpiredToken</Code></Error>");
	return SERVER_KEEP;
}

/* Which request, and what it is to end in. */
static const struct {
	int test; /* 0, 2: someone rotates the keys */
	bool head;
	int wanted;
} expiries[] = {
	{ 0, false, 0 },
	{ 0, true, 0 },
	{ 1, false, -EACCES },
	{ 2, false, 0 },
};

START_TEST(A15_expired_keys_are_read_again)
{
	int fd;

	snprintf(keys_path, sizeof(keys_path), "/tmp/ufs_s3.XXXXXX");
	fd = mkstemp(keys_path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	write_keys("OLD");
	setenv("AWS_SHARED_CREDENTIALS_FILE", keys_path, 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	start(expired, (struct ufs_conf){ .read_timeout = NSEC_PER_SEC });
	st.test = expiries[_i].test;
	ck_assert_int_eq(expiries[_i].head ? stat_key("a")
					   : get("a", NULL, 0, 5),
			 expiries[_i].wanted);
	ck_assert_uint_ge(requests(), 2);
	stop();
	unlink(keys_path);
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
}
END_TEST

START_TEST(expired_keys_of_the_environment_are_EACCES_at_once)
{
	int64_t begin = clock_ns();

	setenv("AWS_ACCESS_KEY_ID", "OLD", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	start(expired, (struct ufs_conf){ .read_timeout = 60 * NSEC_PER_SEC });
	st.test = 1;
	ck_assert_int_eq(get("a", NULL, 0, 5), -EACCES);
	ck_assert_ptr_nonnull(strstr(ufs_last_error(), "ExpiredToken"));
	ck_assert_uint_eq(requests(), 1);
	ck_assert_int_lt(clock_ns() - begin, 20 * NSEC_PER_SEC);
	stop();
}
END_TEST

/* 416, and objects that are empty or archived. */

static enum server_then beyond(struct server *s, int fd, unsigned nth,
			       const char *request)
{
	(void)s;
	keep(nth, request);
	if (!is_head(request))
		answer(fd, 416, "", "<Error><Code>InvalidRange</Code></Error>");
	else
		server_say(fd,
			   "HTTP/1.1 200 X\r\nContent-Length: %d\r\n" OBJECT
			   "\r\n",
			   st.test);
	return SERVER_KEEP;
}

START_TEST(a_range_behind_the_end_is_the_end_if_a_HEAD_says_so)
{
	start(beyond, (struct ufs_conf){ 0 });
	ck_assert_int_eq(get("a", "v1", 0, 100), 0);
	ck_assert_uint_eq(last.size, 0);
	ck_assert_int_eq(get("a", "v0", 0, 100), -ESTALE);
	st.test = 50;
	ck_assert_int_eq(get("a", "v1", 50, 100), 0);
	ck_assert_uint_eq(last.size, 50);
	ck_assert_int_eq(get("a", "v1", 49, 100), -EIO);
	stop();
}
END_TEST

static enum server_then archived(struct server *s, int fd, unsigned nth,
				 const char *request)
{
	static const char *const headers[] = {
		OBJECT "x-amz-storage-class: GLACIER\r\n",
		OBJECT "x-amz-storage-class: DEEP_ARCHIVE\r\n"
		       "x-amz-restore: ongoing-request=\"true\"\r\n",
		OBJECT "x-amz-storage-class: GLACIER\r\n"
		       "x-amz-restore: ongoing-request=\"false\", "
		       "expiry-date=\"Fri, 21 Dec 2029 00:00:00 GMT\"\r\n",
		OBJECT "x-amz-storage-class: GLACIER_IR\r\n",
	};

	(void)s, (void)request;
	answer_head(fd, 200, headers[nth - 1]);
	return SERVER_KEEP;
}

START_TEST(F8_an_archived_object_is_told_apart)
{
	static const unsigned flags[] = { UFS_ARCHIVED, UFS_ARCHIVED, 0, 0 };

	start(archived, (struct ufs_conf){ 0 });
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		ck_assert_int_eq(stat_key("a"), 0);
		ck_assert_uint_eq(last.flags, flags[i]);
	}
	ck_assert_str_eq(last.storage_class, "GLACIER_IR");
	stop();
}
END_TEST

/* Listings. */

static char listed[1024];

static int entry(void *arg, const struct ufs_entry *e)
{
	(void)arg;
	strncat(listed, e->key.p, e->key.n);
	strcat(listed, ",");
	return 0;
}

static int list(const char *prefix, const char *after, bool deep,
		unsigned *pages)
{
	struct ufs_list q = { str_of(prefix), str_of(after), deep, 1000 };
	char *token = NULL;
	int r;

	listed[0] = '\0';
	*pages = 0;
	do {
		++*pages;
		ck_assert_uint_le(*pages, 100);
		r = st.u->ops->list(st.u, &q, &token, entry, NULL, NULL);
	} while (r == 0 && token != NULL);
	free(token);
	return r;
}

#define PAGE(inner) "<ListBucketResult>" inner "</ListBucketResult>"
#define MORE(t)                                                                \
	"<IsTruncated>true</IsTruncated><NextContinuationToken>" t             \
	"</NextContinuationToken>"
#define K(k) "<Contents><Key>" k "</Key><Size>1</Size></Contents>"

static enum server_then pages(struct server *s, int fd, unsigned nth,
			      const char *request)
{
	const char *body = EMPTY_LIST;

	(void)s;
	keep(nth, request);
	switch (st.test) {
	case 0: /* three pages, the second empty */
		if (strstr(request, "continuation-token=t%2B1") != NULL)
			body = PAGE(MORE("t2"));
		else if (strstr(request, "continuation-token=t2") != NULL)
			body =
			    PAGE("<IsTruncated>false</IsTruncated>" K("p/c"));
		else
			body = PAGE(MORE("t+1") K("p/") K("p/b") K("p/a"));
		break;
	case 1: /* a repeated token */
		body = PAGE(MORE("same") K("p/a"));
		break;
	case 2: /* a circle of three */
		body = nth % 3 == 0   ? PAGE(MORE("x"))
		       : nth % 3 == 1 ? PAGE(MORE("y"))
				      : PAGE(MORE("z"));
		break;
	case 3: /* keys that were not asked for */
		body = PAGE("<IsTruncated>false</IsTruncated>" K("q/a"));
		break;
	case 4:
		body = "<html></html>";
		break;
	case 5: /* an error with a 200 */
		body = "<Error><Code>InternalError</Code></Error>";
		break;
	case 6: /* half a page, then a whole one */
		body = nth == 1
			   ? "<ListBucketResult><Contents><Key>p/"
			   : PAGE("<IsTruncated>false</IsTruncated>" K("p/a"));
		break;
	case 7: /* always half a page */
		body = "<ListBucketResult><Contents><Key>p/";
		break;
	case 9: /* the store ignores the delimiter */
		body = PAGE("<IsTruncated>false</IsTruncated>" K("p/a")
				K("p/b/c"));
		break;
	case 8: /* the store ignores start-after */
		body = PAGE("<IsTruncated>false</IsTruncated>" K("p/a") K("p/b")
				K("p/c"));
		break;
	}
	answer(fd, 200, "", body);
	return SERVER_KEEP;
}

static const struct {
	const char *row;
	int err;
	const char *listed, *after;
	unsigned requests;
} listings[] = {
	{ "pages, with an empty one", 0, "a,b,c,", "", 3 },
	{ "A23 a repeated token", -EIO, "a,", "", 2 },
	{ "A23 a circle of tokens", -EIO, "", "", 0 },
	{ "keys that were not asked for", -EIO, "", "", 1 },
	{ "not a listing", -EIO, "", "", 1 },
	{ "an error with a 200", -EIO, "", "", 1 },
	{ "A23 half a page, once", 0, "a,", "", 2 },
	{ "A23 half a page, always", -EIO, "", "", 5 },
	{ "start-after ignored", 0, "b,c,", "a", 1 },
	{ "delimiter ignored", -EIO, "", "", 1 },
};

START_TEST(a_listing_is_right_or_EIO)
{
	unsigned n;
	int r;

	start(pages, (struct ufs_conf){ .url = "s3://bucket/p" });
	st.test = _i;
	r = list("", listings[_i].after, false, &n);
	ck_assert_msg(r == listings[_i].err, "%s: %d", listings[_i].row, r);
	ck_assert_msg(strcmp(listed, listings[_i].listed) == 0, "%s: %s",
		      listings[_i].row, listed);
	if (listings[_i].requests > 0)
		ck_assert_uint_eq(requests(), listings[_i].requests);
	stop();
}
END_TEST

START_TEST(a_listing_asks_for_what_it_wants)
{
	static const char want[] =
	    "GET /bucket?delimiter=%2F&encoding-type=url&list-type=2"
	    "&max-keys=1000&prefix=p%2Fa%20b%2F&start-after=p%2Fa%20b%2Fc"
	    " HTTP/1.1\r\n";
	static const char deep[] =
	    "GET /bucket?encoding-type=url&list-type=2&max-keys=1000"
	    "&prefix=p%2F HTTP/1.1\r\n";
	unsigned n;

	start(right, (struct ufs_conf){ .url = "s3://bucket/p/" });
	ck_assert_int_eq(list("a b/", "a b/c", false, &n), 0);
	ck_assert_msg(strncmp(st.seen[0], want, strlen(want)) == 0, "%s",
		      st.seen[0]);
	ck_assert_int_eq(list("", "", true, &n), 0);
	ck_assert_msg(strncmp(st.seen[1], deep, strlen(deep)) == 0, "%s",
		      st.seen[1]);
	stop();
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	signal(SIGPIPE, SIG_IGN);
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_keys, NULL);
	tcase_add_loop_test(t,
			    F4_a_key_goes_out_encoded_once_and_is_not_shortened,
			    0, ARRAY_SIZE(keys));
	tcase_add_test(t, what_is_sent_is_what_was_signed);
	tcase_add_test(t, anonymous_requests_carry_no_keys);
	tcase_add_test(t, virtual_host_style_puts_the_bucket_into_the_host);
	tcase_add_test(t, INV7_no_secret_reaches_the_log_or_the_words);
	tcase_add_loop_test(t, A20_a_region_is_learnt_once_and_remembered, 0,
			    2);
	tcase_add_test(t, A20_a_region_loop_is_EIO_after_one_move);
	tcase_add_loop_test(
	    t, A17_the_stores_clock_is_learnt_once_and_remembered, 0, 2);
	tcase_add_test(
	    t, A17_a_store_that_is_never_content_with_the_time_is_EACCES);
	tcase_add_loop_test(
	    t, A16_a_refusal_is_told_at_once_with_the_stores_own_word, 0,
	    ARRAY_SIZE(refusals));
	tcase_add_test(t, A26_a_bucket_that_is_gone_is_EIO_until_it_is_back);
	tcase_add_test(
	    t, an_absent_object_is_ENOENT_and_the_bucket_asked_for_once);
	tcase_add_loop_test(t, A15_expired_keys_are_read_again, 0,
			    ARRAY_SIZE(expiries));
	tcase_add_test(t, expired_keys_of_the_environment_are_EACCES_at_once);
	tcase_add_test(t, a_range_behind_the_end_is_the_end_if_a_HEAD_says_so);
	tcase_add_test(t, F8_an_archived_object_is_told_apart);
	tcase_add_loop_test(t, a_listing_is_right_or_EIO, 0,
			    ARRAY_SIZE(listings));
	tcase_add_test(t, a_listing_asks_for_what_it_wants);
	return RUN_CASES(t);
}
