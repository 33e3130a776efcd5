/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_write.c - objects put, removed and copied in an S3 store
 *
 * What is sent, what each answer comes to, and what is made of an answer that
 * was lost. Objects made of parts are ufs_upload.c's.
 */
#include "tests/unit/ufs_write_rig.h"

#include "tests/unit/run.h"

#define OK_HEADERS "ETag: \"e1\"\r\n" CRC_LINE(HELLO_CRC)
#define OK SAYS(200, OK_HEADERS, "")

/* Put "hello" at "a". */
static int put_if(const struct ufs_cond *cond)
{
	struct bytes b;

	memset(&st.out, 0xff, sizeof(st.out));
	return st.w->put(st.u, str_of("a"), &bytes_init(&b, "hello", 5)->body,
			 cond, &st.out, NULL);
}

/* What a put says, and what is said of it. */

START_TEST(a_put_sends_the_bytes_with_their_checksum_and_tells_the_object)
{
	struct bytes b;

	OPEN(((struct ufs_conf){ .requester_pays = true }), OK);
	ck_assert_int_eq(st.w->put(st.u, str_of("a b"),
				   &bytes_init(&b, "hello", 5)->body, &any,
				   &st.out, NULL),
			 0);
	ck_assert_uint_eq(requests(), 1);
	check_line(1, "PUT /bucket/p/a%20b HTTP/1.1\r\n");
	ck_assert_str_eq(body_of(1), "hello");
	ck_assert(has_header(1, "Content-Length: 5\r\n"));
	ck_assert(has_header(1, "x-amz-checksum-crc64nvme: " HELLO_CRC "\r\n"));
	ck_assert(has_header(1, "x-amz-sdk-checksum-algorithm: CRC64NVME\r\n"));
	ck_assert(has_header(1, "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"));
	ck_assert(has_header(1, "x-amz-request-payer: requester\r\n"));
	ck_assert(strstr(st.seen[0],
			 "SignedHeaders=host;x-amz-checksum-crc64nvme;"
			 "x-amz-content-sha256;x-amz-date;x-amz-request-payer;"
			 "x-amz-sdk-checksum-algorithm,") != NULL);
	ck_assert(!has_header(1, "If-"));
	ck_assert(!has_header(1, "Expect"));
	ck_assert(!has_header(1, "Transfer-Encoding"));
	ck_assert(!has_header(1, "Content-Type"));
	ck_assert_str_eq(st.out.version, "e1");
	ck_assert_uint_eq(st.out.size, 5);
	ck_assert_int_eq(st.out.mtime, DATE_S * NSEC_PER_SEC);
	ck_assert_uint_eq(st.out.flags, 0);
	ck_assert_uint_eq(b.reads, 2);
	close_store();
}
END_TEST

START_TEST(a_directorys_marker_is_an_empty_put)
{
	struct bytes b;

	OPEN(PLAIN, SAYS(200,
			 "ETag: \"e\"\r\nx-amz-checksum-crc64nvme: "
			 "AAAAAAAAAAA=\r\n",
			 NULL));
	ck_assert_int_eq(st.w->put(st.u, str_of("d/"),
				   &bytes_init(&b, "", 0)->body, &any, &st.out,
				   NULL),
			 0);
	check_line(1, "PUT /bucket/p/d/ HTTP/1.1\r\n");
	ck_assert(has_header(1, "Content-Length: 0\r\n"));
	ck_assert_uint_eq(st.out.size, 0);
	ck_assert_uint_eq(requests(), 1);
	close_store();
}
END_TEST

START_TEST(what_is_larger_than_a_put_may_be_is_not_sent)
{
	struct ufs_limits l;
	struct bytes b;

	OPEN(PLAIN, OK);
	st.w->limits(st.u, &l);
	ck_assert_uint_eq(l.put_most, UINT64_C(5) << 30);
	ck_assert_uint_eq(l.parts, 10000);
	bytes_init(&b, NULL, l.put_most + 1);
	ck_assert_int_eq(
	    st.w->put(st.u, str_of("a"), &b.body, &any, &st.out, NULL), -EFBIG);
	ck_assert_uint_eq(b.reads, 0);
	ck_assert_uint_eq(requests(), 0);
	close_store();
}
END_TEST

START_TEST(S15_a_condition_goes_along)
{
	OPEN(PLAIN, OK);
	ck_assert_int_eq(put_if(&absent), 0);
	ck_assert(has_header(1, "If-None-Match: *\r\n"));
	ck_assert_int_eq(put_if(&version), 0);
	ck_assert(has_header(2, "If-Match: \"v1\"\r\n"));
	close_store();
}
END_TEST

START_TEST(a_weak_version_is_looked_at_before_as_no_store_knows_it)
{
	struct ufs_cond weak = { UFS_IF_VERSION, "~784111777-5" };
	struct ufs_cond old = { UFS_IF_VERSION, "~784111776-5" };

	OPEN(PLAIN, TELLS("Last-Modified: " DATE "\r\n", 5), OK,
	     TELLS("Last-Modified: " DATE "\r\n", 5));
	ck_assert_int_eq(put_if(&weak), 0);
	check_line(1, "HEAD ");
	check_line(2, "PUT ");
	ck_assert(!has_header(2, "If-"));
	ck_assert_int_eq(put_if(&old), -ESTALE);
	ck_assert_uint_eq(requests(), 3);
	close_store();
}
END_TEST

START_TEST(a_store_without_etags_is_asked_what_the_object_is_like)
{
	OPEN(PLAIN,
	     SAYS(200, "x-amz-checksum-crc64nvme: " HELLO_CRC "\r\n", NULL),
	     TELLS("Last-Modified: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 5));
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_str_eq(st.out.version, "~784111776-5");
	ck_assert_uint_eq(st.out.flags, UFS_WEAK);
	close_store();
}
END_TEST

/* What each answer comes to: SEMANTICS' column "a commit gets". */
static const struct {
	const struct ufs_cond *cond;
	int status;
	const char *code;
	int err;
	unsigned requests; /* 0: as many as there is time for */
} table[] = {
	{ &absent, 412, "PreconditionFailed", -EEXIST, 1 },
	{ &version, 412, "PreconditionFailed", -ESTALE, 1 },
	{ &version, 404, "NoSuchKey", -ESTALE, 1 },
	{ &version, 404, "", -ESTALE, 1 },
	{ &any, 404, "NoSuchBucket", -EIO, 1 },
	{ &version, 404, "NoSuchBucket", -EIO, 1 },
	{ &any, 404, "", -EIO, 1 },
	{ &any, 403, "AccessDenied", -EACCES, 1 },
	{ &version, 403, "", -EACCES, 1 },
	{ &absent, 409, "ConditionalRequestConflict", -EBUSY, 4 },
	{ &any, 413, "", -EFBIG, 1 },
	{ &any, 400, "EntityTooLarge", -EFBIG, 1 },
	{ &any, 501, "", -EOPNOTSUPP, 1 },
	{ &any, 400, "BadDigest", -EIO, 2 },
	{ &any, 400, "XAmzContentChecksumMismatch", -EIO, 2 },
	{ &any, 400, "KeyTooLongError", -EIO, 1 },
	{ &any, 405, "", -EIO, 1 },
	{ &any, 507, "", -ENOSPC, 1 },
	{ &version, 507, "InsufficientStorage", -ENOSPC, 1 },
	{ &any, 503, "SlowDown", -ETIMEDOUT, 0 },
	{ &any, 429, "", -ETIMEDOUT, 0 },
	{ &any, 400, "RequestTimeout", -ETIMEDOUT, 0 },
	{ &any, 400, "IncompleteBody", -ETIMEDOUT, 0 },
};

START_TEST(a_refusal_is_the_errno_of_the_table)
{
	static struct step step;
	static char body[128];

	snprintf(body, sizeof(body), ERROR("%s"), table[_i].code);
	step = (struct step){ .status = table[_i].status, .body = body };
	open_store(
	    play, &step, 1,
	    (struct ufs_conf){ .commit_timeout = 300 * NSEC_PER_MSEC,
			       .metadata_timeout = 100 * NSEC_PER_MSEC });
	ck_assert_int_eq(put_if(table[_i].cond), table[_i].err);
	if (table[_i].requests > 0)
		ck_assert_uint_eq(requests(), table[_i].requests);
	else
		ck_assert_uint_gt(requests(), 1);
	close_store();
}
END_TEST

START_TEST(C4_the_whole_body_goes_out_again_after_a_refusal_of_load)
{
	OPEN(PLAIN, SAYS(503, NULL, ERROR("SlowDown")),
	     SAYS(500, NULL, ERROR("InternalError")), OK);
	ck_assert_int_eq(put_if(&version), 0);
	ck_assert_uint_eq(requests(), 3);
	for (unsigned i = 1; i <= 3; i++) {
		ck_assert_str_eq(body_of(i), "hello");
		ck_assert(has_header(i, "If-Match: \"v1\"\r\n"));
	}
	close_store();
}
END_TEST

START_TEST(C13_a_conflict_that_passes_is_none)
{
	OPEN(PLAIN, SAYS(409, NULL, ERROR("OperationAborted")),
	     SAYS(409, NULL, ERROR("OperationAborted")), OK);
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_uint_eq(requests(), 3);
	close_store();
}
END_TEST

START_TEST(C5_bytes_that_were_spoilt_on_the_way_are_sent_once_more)
{
	OPEN(PLAIN, SAYS(400, NULL, ERROR("BadDigest")), OK);
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_uint_eq(requests(), 2);
	close_store();
}
END_TEST

/* The bytes: from where they come to what the store says that it has. */

START_TEST(S13_bytes_that_rotted_since_they_were_summed_up_are_an_error)
{
	struct bytes b;

	OPEN(PLAIN, OK);
	bytes_init(&b, NULL, 300000);
	b.rot_first = 2;
	b.rot_last = 9;
	ck_assert_int_eq(
	    st.w->put(st.u, str_of("a"), &b.body, &any, &st.out, NULL), -EIO);
	ck_assert_uint_eq(b.reads, 3);
	/* It never got the last of them. */
	ck_assert_uint_eq(requests(), 0);
	close_store();
}
END_TEST

START_TEST(S13_bytes_read_wrongly_once_are_read_again)
{
	struct bytes b;

	OPEN(PLAIN, SAYS(200, OK_HEADERS, NULL));
	bytes_init(&b, "hello", 5);
	b.rot_first = b.rot_last = 2;
	ck_assert_int_eq(
	    st.w->put(st.u, str_of("a"), &b.body, &any, &st.out, NULL), 0);
	ck_assert_uint_eq(b.reads, 3);
	ck_assert_uint_eq(requests(), 1);
	ck_assert_str_eq(body_of(1), "hello");
	close_store();
}
END_TEST

START_TEST(a_body_that_cannot_be_read_ends_it_with_its_own_error)
{
	struct bytes b;

	OPEN(PLAIN, OK);
	bytes_init(&b, "hello", 5);
	b.fails = -ENXIO;
	ck_assert_int_eq(
	    st.w->put(st.u, str_of("a"), &b.body, &any, &st.out, NULL), -ENXIO);
	ck_assert_uint_eq(requests(), 0);
	close_store();
}
END_TEST

START_TEST(S11_a_store_that_has_other_bytes_is_sent_them_once_more)
{
	OPEN(PLAIN,
	     SAYS(200,
		  "ETag: \"bad\"\r\nx-amz-checksum-crc64nvme: " OTHER_CRC
		  "\r\n",
		  NULL),
	     OK);
	ck_assert_int_eq(put_if(&absent), 0);
	ck_assert_uint_eq(requests(), 2);
	/* In place of what it has, and nothing else. */
	ck_assert(has_header(2, "If-Match: \"bad\"\r\n"));
	ck_assert(!has_header(2, "If-None-Match"));
	ck_assert_str_eq(st.out.version, "e1");
	close_store();
}
END_TEST

START_TEST(S11_a_store_that_keeps_other_bytes_is_an_error)
{
	OPEN(PLAIN,
	     TELLS("ETag: \"bad\"\r\nx-amz-checksum-crc64nvme: " OTHER_CRC
		   "\r\n",
		   5));
	ck_assert_int_eq(put_if(&any), -EIO);
	check_line(1, "PUT ");
	check_line(2, "PUT ");
	check_line(3, "HEAD "); /* was it ours after all? */
	ck_assert_uint_eq(requests(), 3);
	close_store();
}
END_TEST

START_TEST(an_md5_for_an_etag_confirms_where_there_is_no_checksum)
{
	int64_t verified = stat_read(STAT_store_verified);

	OPEN(PLAIN, SAYS(200, "ETag: \"" HELLO_MD5 "\"\r\n", NULL));
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_uint_eq(requests(), 1);
	ck_assert_int_eq(stat_read(STAT_store_verified), verified + 1);
	close_store();
}
END_TEST

#define OTHER_MD5 "00000000000000000000000000000000"

START_TEST(an_etag_that_looks_like_an_md5_need_not_be_one)
{
	OPEN(PLAIN, SAYS(200, "ETag: \"" OTHER_MD5 "\"\r\n", NULL));
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_uint_eq(requests(), 2); /* doubted once */
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_uint_eq(requests(), 3);
	close_store();
}
END_TEST

START_TEST(another_etag_of_a_store_whose_etags_are_md5s_is_an_error)
{
	OPEN(PLAIN, SAYS(200, "ETag: \"" HELLO_MD5 "\"\r\n", NULL),
	     TELLS("ETag: \"" OTHER_MD5 "\"\r\n", 5));
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_int_eq(put_if(&any), -EIO);
	ck_assert_uint_eq(requests(), 4); /* two, and a look */
	close_store();
}
END_TEST

START_TEST(a_store_that_refuses_our_checksums_is_sent_none)
{
	OPEN(PLAIN, SAYS(400, NULL, ERROR("InvalidRequest")),
	     SAYS(200, "ETag: \"e\"\r\n", NULL));
	ck_assert_int_eq(put_if(&version), 0);
	ck_assert(has_header(1, "x-amz-checksum-crc64nvme"));
	ck_assert(!has_header(2, "x-amz-checksum-"));
	ck_assert(!has_header(2, "x-amz-sdk-checksum-"));
	ck_assert(has_header(2, "If-Match: \"v1\"\r\n"));
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert(!has_header(3, "x-amz-checksum-"));
	ck_assert_uint_eq(requests(), 3);
	close_store();
}
END_TEST

START_TEST(a_refusal_that_has_nothing_to_do_with_them_leaves_checksums_on)
{
	OPEN(PLAIN, SAYS(501, NULL, ERROR("NotImplemented")),
	     SAYS(501, NULL, ERROR("NotImplemented")), OK);
	ck_assert_int_eq(put_if(&absent), -EOPNOTSUPP);
	ck_assert_uint_eq(requests(), 2);
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert(has_header(3, "x-amz-checksum-crc64nvme"));
	close_store();
}
END_TEST

/* Answers that were lost. */

#define OURS TELLS(OK_HEADERS, 5)
#define OURS_BY_MD5 TELLS("ETag: \"" HELLO_MD5 "\"\r\n", 5)
#define ANOTHERS TELLS("ETag: \"x\"\r\n" CRC_LINE(OTHER_CRC), 5)
#define LONGER TELLS(OK_HEADERS, 6)
#define LOST GOES
#define GATEWAY SAYS(502, NULL, NULL)
#define REFUSED SAYS(412, NULL, ERROR("PreconditionFailed"))

static const struct {
	struct step step[3];
	const struct ufs_cond *cond;
	int r;
} lost[] = {
	{ { LOST, REFUSED, OURS }, &absent, 0 },
	{ { LOST, REFUSED, OURS }, &version, 0 },
	{ { GATEWAY, REFUSED, OURS }, &absent, 0 },
	{ { LOST, REFUSED, OURS_BY_MD5 }, &absent, 0 },
	{ { LOST, REFUSED, ANOTHERS }, &absent, -EEXIST },
	{ { LOST, REFUSED, ANOTHERS }, &version, -ESTALE },
	{ { LOST, REFUSED, LONGER }, &absent, -EEXIST },
	{ { LOST, SAYS(404, NULL, NULL), OURS }, &version, 0 },
	{ { LOST, SAYS(403, NULL, NULL), OURS }, &any, 0 },
	{ { LOST, REFUSED, SAYS(404, NULL, NULL) }, &version, -ESTALE },
};

/* On a connection that was used before libcurl sends it again by itself. */
START_TEST(A13_an_answer_lost_on_a_used_connection_is_made_up_for_as_well)
{
	OPEN(PLAIN, OK, LOST, REFUSED, OURS);
	ck_assert_int_eq(put_if(&absent), 0);
	ck_assert_int_eq(put_if(&absent), 0);
	ck_assert_uint_eq(requests(), 4);
	check_line(3, "PUT /bucket/p/a HTTP/1.1\r\n");
	check_line(4, "HEAD /bucket/p/a HTTP/1.1\r\n");
	close_store();
}
END_TEST

START_TEST(A13_a_lost_answer_is_made_up_for_by_a_look)
{
	open_store(play, lost[_i].step, 3, PLAIN);
	ck_assert_int_eq(put_if(lost[_i].cond), lost[_i].r);
	ck_assert_uint_eq(requests(), 3);
	check_line(3, "HEAD /bucket/p/a HTTP/1.1\r\n");
	ck_assert(has_header(3, "x-amz-checksum-mode: ENABLED\r\n"));
	if (lost[_i].r == 0) {
		ck_assert_uint_eq(st.out.size, 5);
		ck_assert_str_eq(st.out.version,
				 strstr(lost[_i].step[2].headers, HELLO_MD5)
				     ? HELLO_MD5
				     : "e1");
	} else {
		/* The words are those of the refusal. */
		ck_assert_ptr_nonnull(strstr(ufs_last_error(), "412"));
	}
	close_store();
}
END_TEST

static bool hello_crc(void *arg, uint64_t *out)
{
	(void)arg;
	return checksum_read_crc64(HELLO_CRC, out);
}

/*
 * The body was written to since it was sent, and can be read no more. _i: the
 * store keeps no CRC64, and has told an MD5 before.
 */
START_TEST(A13_a_lost_answer_is_made_up_for_also_where_the_body_has_gone)
{
	static const struct step told[] = {
		OK, SAYS(200, "ETag: \"" HELLO_MD5 "\"\r\n", NULL)
	};
	static const struct step ours[] = { OURS, OURS_BY_MD5 };
	const struct step steps[] = { told[_i], GATEWAY, ours[_i] };
	struct bytes b;

	open_store(play, steps, 3, PLAIN);
	ck_assert_int_eq(put_if(&any), 0);
	bytes_init(&b, "hello", 5);
	b.body.crc = hello_crc;
	b.fails = -EAGAIN;
	ck_assert_int_eq(
	    st.w->put(st.u, str_of("a"), &b.body, &absent, &st.out, NULL), 0);
	ck_assert_uint_eq(requests(), 3);
	check_line(3, "HEAD /bucket/p/a HTTP/1.1\r\n");
	close_store();
}
END_TEST

/* It is taken while it is sent, and what is not is not read once more. */
START_TEST(a_body_whose_md5_is_told_is_read_once_to_be_sent)
{
	struct bytes b;

	OPEN(PLAIN, SAYS(200, "ETag: \"" HELLO_MD5 "\"\r\n", NULL));
	for (int i = 0; i < 2; i++) {
		bytes_init(&b, "hello", 5);
		b.body.crc = hello_crc;
		ck_assert_int_eq(
		    st.w->put(st.u, str_of("a"), &b.body, &any, &st.out, NULL),
		    0);
		ck_assert_uint_eq(b.reads, i == 0 ? 2 : 1);
	}
	close_store();
}
END_TEST

START_TEST(a_refusal_without_a_loss_is_final_without_a_look)
{
	OPEN(PLAIN, SAYS(429, NULL, NULL), REFUSED, OURS);
	ck_assert_int_eq(put_if(&absent), -EEXIST);
	ck_assert_uint_eq(requests(), 2);
	close_store();
}
END_TEST

/* Changes are never answered, looks are: ours, or absent. */
static enum server_then only_looks(struct server *server, int fd, unsigned nth,
				   const char *request)
{
	(void)server, (void)nth;
	if (strncmp(request, "HEAD ", 5) != 0)
		return SERVER_RESET;
	say_step(fd, request, st.step);
	return SERVER_KEEP;
}

START_TEST(A13_no_try_was_answered_and_the_object_is_there_all_the_same)
{
	static const struct step ours = OURS;
	static const struct step none = SAYS(404, NULL, NULL);
	struct ufs_conf conf = { .commit_timeout = 300 * NSEC_PER_MSEC };

	open_store(only_looks, &ours, 1, conf);
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_str_eq(st.out.version, "e1");
	close_store();
	open_store(only_looks, &none, 1, conf);
	ck_assert_int_eq(put_if(&any), -ETIMEDOUT);
	close_store();
}
END_TEST

/* Time. */

static double seconds_of(int64_t since)
{
	return (double)(clock_ns() - since) / 1e9;
}

/* A piece of the body at a time, and then the answer. */
static enum server_then slow(struct server *server, int fd, unsigned nth,
			     const char *request)
{
	size_t left = server_length(request);
	char buf[65536];

	(void)server, (void)nth;
	while (left > 0) {
		ssize_t n =
		    recv(fd, buf, left < sizeof(buf) ? left : sizeof(buf), 0);

		if (n <= 0)
			return SERVER_CLOSE;
		left -= (size_t)n;
	}
	say_step(fd, request, st.step);
	return SERVER_KEEP;
}

START_TEST(a_commit_may_take_long_as_long_as_bytes_go_out)
{
	static const struct step ok = SAYS(200, "ETag: \"e\"\r\n", NULL);
	int64_t begin, out = stat_read(STAT_store_bytes_out);
	struct bytes b;

	open_store(slow, &ok, 1,
		   (struct ufs_conf){ .commit_timeout = 400 * NSEC_PER_MSEC,
				      .bandwidth_up = 400000 });
	atomic_store(&st.server.head_only, true);
	begin = clock_ns();
	bytes_init(&b, NULL, 600000);
	ck_assert_int_eq(
	    st.w->put(st.u, str_of("a"), &b.body, &any, &st.out, NULL), 0);
	ck_assert_uint_eq(requests(), 1);
	ck_assert_double_ge(seconds_of(begin), 1.2);
	ck_assert_int_eq(stat_read(STAT_store_bytes_out), out + 600000);
	close_store();
}
END_TEST

static enum server_then hold(struct server *server, int fd, unsigned nth,
			     const char *request)
{
	char c;

	(void)nth, (void)request;
	/* Nothing of the body is read, until the client has gone. */
	while (!atomic_load(&server->stopping) &&
	       recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) != 0 &&
	       !(errno == ECONNRESET))
		usleep(10000);
	return SERVER_CLOSE;
}

START_TEST(C7_a_store_that_takes_nothing_is_given_up)
{
	int64_t begin;
	struct bytes b;

	open_store(
	    hold, NULL, 0,
	    (struct ufs_conf){ .commit_timeout = 600 * NSEC_PER_MSEC,
			       .stall_timeout = 200 * NSEC_PER_MSEC,
			       .metadata_timeout = 200 * NSEC_PER_MSEC });
	atomic_store(&st.server.head_only, true);
	begin = clock_ns();
	bytes_init(&b, NULL, 32 << 20);
	ck_assert_int_eq(
	    st.w->put(st.u, str_of("a"), &b.body, &any, &st.out, NULL),
	    -ETIMEDOUT);
	ck_assert_double_lt(seconds_of(begin), 8);
	close_store();
}
END_TEST

static enum server_then eats_and_resets(struct server *server, int fd,
					unsigned nth, const char *request)
{
	(void)server, (void)fd, (void)nth;
	return strncmp(request, "HEAD ", 5) == 0 ? SERVER_CLOSE : SERVER_RESET;
}

START_TEST(a_store_that_takes_the_bytes_and_goes_is_not_sent_them_for_ever)
{
	int64_t begin = clock_ns();
	struct bytes b;

	open_store(
	    eats_and_resets, NULL, 0,
	    (struct ufs_conf){ .commit_timeout = 500 * NSEC_PER_MSEC,
			       .metadata_timeout = 200 * NSEC_PER_MSEC });
	bytes_init(&b, NULL, 1 << 20);
	ck_assert_int_eq(
	    st.w->put(st.u, str_of("a"), &b.body, &any, &st.out, NULL),
	    -ETIMEDOUT);
	ck_assert_double_lt(seconds_of(begin), 8);
	close_store();
}
END_TEST

/* A head with an answer that nothing of the body was read for. */
static enum server_then hasty(struct server *server, int fd, unsigned nth,
			      const char *request)
{
	say_step(fd, request, st.step);
	return hold(server, fd, nth, request);
}

START_TEST(a_success_before_all_was_sent_is_none)
{
	static const struct step ok = TELLS("ETag: \"e\"\r\n", 5);
	struct bytes b;

	open_store(
	    hasty, &ok, 1,
	    (struct ufs_conf){ .commit_timeout = 600 * NSEC_PER_MSEC,
			       .stall_timeout = 200 * NSEC_PER_MSEC,
			       .metadata_timeout = 200 * NSEC_PER_MSEC });
	atomic_store(&st.server.head_only, true);
	bytes_init(&b, NULL, 32 << 20);
	ck_assert_int_lt(
	    st.w->put(st.u, str_of("a"), &b.body, &any, &st.out, NULL), 0);
	close_store();
}
END_TEST

START_TEST(a_commit_can_be_cancelled)
{
	struct cancel cancel = { true };
	struct bytes b;

	OPEN(PLAIN, OK);
	ck_assert_int_eq(st.w->put(st.u, str_of("a"),
				   &bytes_init(&b, "hello", 5)->body, &any,
				   &st.out, &cancel),
			 -ECANCELED);
	ck_assert_uint_eq(requests(), 0);
	close_store();
}
END_TEST

/* One connection for all methods: none is left over for the next request. */
START_TEST(a_request_does_not_inherit_the_method_of_the_one_before)
{
	struct ufs_reach reach;
	int64_t put = stat_read(STAT_store_put);
	int64_t removed = stat_read(STAT_store_delete);

	OPEN(PLAIN, OK, SAYS(204, NULL, NULL), OURS, OK, SAYS(204, NULL, NULL),
	     SAYS(200, "ETag: \"e1\"\r\n", "hello"), SAYS(204, NULL, NULL),
	     SAYS(200, NULL, NULL));
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_int_eq(st.w->remove(st.u, str_of("a"), &any, NULL), 0);
	ck_assert_int_eq(st.u->ops->stat(st.u, str_of("a"), &st.out, NULL), 0);
	ck_assert_int_eq(put_if(&any), 0);
	ck_assert_int_eq(st.w->remove(st.u, str_of("a"), &any, NULL), 0);
	st.u->ops->stat(st.u, str_of("a"), &st.out, NULL);
	ck_assert_int_eq(st.w->remove(st.u, str_of("a"), &any, NULL), 0);
	ck_assert_int_eq(st.u->ops->reach(st.u, &reach), 0);
	check_line(1, "PUT ");
	check_line(2, "DELETE ");
	check_line(3, "HEAD ");
	check_line(4, "PUT ");
	check_line(5, "DELETE ");
	check_line(6, "HEAD ");
	check_line(7, "DELETE ");
	check_line(8, "HEAD / ");
	ck_assert(!has_header(2, "Content-Length"));
	ck_assert_int_eq(stat_read(STAT_store_put), put + 2);
	ck_assert_int_eq(stat_read(STAT_store_delete), removed + 3);
	close_store();
}
END_TEST

/* Removals. */

static const struct {
	struct step step[3];
	const struct ufs_cond *cond;
	int r;
	unsigned requests;
} removals[] = {
	{ { SAYS(204, NULL, NULL) }, &any, 0, 1 },
	{ { SAYS(200, NULL, NULL) }, &any, 0, 1 },
	{ { SAYS(204, NULL, NULL) }, &version, 0, 1 },
	{ { SAYS(404, NULL, ERROR("NoSuchKey")) }, &any, 0, 1 },
	{ { SAYS(404, NULL, ERROR("NoSuchBucket")) }, &any, -EIO, 1 },
	{ { SAYS(404, NULL, ERROR("NoSuchKey")) }, &version, -ESTALE, 1 },
	{ { REFUSED }, &version, -ESTALE, 1 },
	{ { SAYS(403, NULL, NULL) }, &any, -EACCES, 1 },
	{ { SAYS(503, NULL, NULL), SAYS(204, NULL, NULL) }, &any, 0, 2 },
	/* The first try was it. */
	{ { LOST, REFUSED, SAYS(404, NULL, NULL) }, &version, 0, 3 },
	{ { LOST, SAYS(404, NULL, NULL), SAYS(404, NULL, NULL) },
	  &version,
	  0,
	  3 },
	{ { LOST, REFUSED, ANOTHERS }, &version, -ESTALE, 3 },
};

START_TEST(a_removal_is_what_the_answer_says)
{
	open_store(play, removals[_i].step, 3, PLAIN);
	ck_assert_int_eq(
	    st.w->remove(st.u, str_of("a"), removals[_i].cond, NULL),
	    removals[_i].r);
	ck_assert_uint_eq(requests(), removals[_i].requests);
	check_line(1, "DELETE /bucket/p/a HTTP/1.1\r\n");
	ck_assert(has_header(1, "If-Match: \"v1\"\r\n") ==
		  (removals[_i].cond == &version));
	close_store();
}
END_TEST

/* Copies. */

#define COPIED                                                                 \
	"<?xml version=\"1.0\"?>\n<CopyObjectResult><LastModified>"            \
	"2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;c1&quot;</ETag>"   \
	"</CopyObjectResult>"
#define COPY_OK SAYS(200, NULL, COPIED)
#define SOURCE TELLS("ETag: \"s1\"\r\n", 7)
#define SOURCE_CRC TELLS("ETag: \"s1\"\r\n" CRC_LINE(HELLO_CRC), 7)
#define MADE_CRC TELLS("ETag: \"c9\"\r\n" CRC_LINE(HELLO_CRC), 7)
#define GONE SAYS(404, NULL, ERROR("NoSuchKey"))

static int copy_if(const struct ufs_cond *cond, const char *source)
{
	struct ufs_stat was = { .size = 7 };

	snprintf(was.version, sizeof(was.version), "%s", source);
	return st.w->copy(st.u, str_of("from +x/y"), &was, str_of("to"), cond,
			  &st.out, NULL);
}

START_TEST(a_copy_names_its_source_and_both_conditions)
{
	int64_t copies = stat_read(STAT_store_copy);

	OPEN(PLAIN, COPY_OK);
	ck_assert_int_eq(copy_if(&absent, "s1"), 0);
	check_line(1, "PUT /bucket/p/to HTTP/1.1\r\n");
	ck_assert(
	    has_header(1, "x-amz-copy-source: /bucket/p/from%20%2Bx/y\r\n"));
	ck_assert(has_header(1, "x-amz-copy-source-if-match: \"s1\"\r\n"));
	ck_assert(has_header(1, "If-None-Match: *\r\n"));
	ck_assert(has_header(1, "Content-Length: 0\r\n"));
	ck_assert_str_eq(st.out.version, "c1");
	ck_assert_uint_eq(st.out.size, 7);
	ck_assert_int_eq(st.out.mtime, INT64_C(1255369830) * NSEC_PER_SEC);
	ck_assert_int_eq(stat_read(STAT_store_copy), copies + 1);
	ck_assert_int_eq(copy_if(&version, "~784111777-7"), 0);
	ck_assert(has_header(2, "If-Match: \"v1\"\r\n"));
	ck_assert(has_header(2, "x-amz-copy-source-if-unmodified-since: Sun, "
				"06 Nov 1994 08:49:38 GMT\r\n"));
	close_store();
}
END_TEST

static const struct {
	struct step step[4];
	const struct ufs_cond *cond;
	int r;
	unsigned requests;
} copies[] = {
	{ { GONE }, &any, -ENOENT, 1 },
	{ { REFUSED }, &any, -ESTALE, 1 },
	/* A 200 with an error in it. */
	{ { SAYS(200, NULL, ERROR("InternalError")), COPY_OK }, &any, 0, 2 },
	{ { SAYS(200, NULL, ERROR("AccessDenied")) }, &any, -EACCES, 1 },
	{ { SAYS(200, NULL, "<CopyObjectResult><ETag>\"c"), COPY_OK },
	  &any,
	  0,
	  2 },
	/* Whose precondition? */
	{ { REFUSED, SOURCE }, &absent, -EEXIST, 2 },
	{ { REFUSED, ANOTHERS }, &absent, -ESTALE, 2 },
	{ { REFUSED, SOURCE }, &version, -ESTALE, 2 },
	{ { GONE, GONE }, &version, -ENOENT, 2 },
	{ { GONE, SOURCE }, &version, -ESTALE, 2 },
	/* Lost. */
	{ { LOST, REFUSED, SOURCE_CRC, MADE_CRC }, &absent, 0, 4 },
	{ { LOST, REFUSED, SOURCE, SOURCE }, &absent, 0, 4 },
	{ { LOST, REFUSED, SOURCE_CRC, ANOTHERS }, &absent, -EEXIST, 4 },
	{ { LOST, COPY_OK }, &absent, 0, 2 },
	{ { SAYS(501, NULL, NULL) }, &any, -EOPNOTSUPP, 1 },
};

START_TEST(a_copy_is_what_the_answers_say)
{
	open_store(play, copies[_i].step, 4, PLAIN);
	ck_assert_int_eq(copy_if(copies[_i].cond, "s1"), copies[_i].r);
	ck_assert_uint_eq(requests(), copies[_i].requests);
	close_store();
}
END_TEST

START_TEST(a_source_that_is_too_large_for_a_copy_is_EFBIG)
{
	struct ufs_stat was = { .size = MIB(100), .version = "s1" };

	/* As AWS says it (with a checksum and without), and as others do. */
	OPEN(PLAIN, SAYS(400, NULL, ERROR("InvalidRequest")),
	     SAYS(400, NULL, ERROR("InvalidRequest")),
	     SAYS(400, NULL, ERROR("EntityTooLarge")));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(st.w->copy(st.u, str_of("from"), &was,
					    str_of("to"), &any, &st.out, NULL),
				 -EFBIG);
	ck_assert_uint_eq(requests(), 3);
	close_store();
}
END_TEST

START_TEST(a_copy_that_takes_longer_than_a_stall_is_waited_for)
{
	OPEN(((struct ufs_conf){ .stall_timeout = 100 * NSEC_PER_MSEC }),
	     { 200, NULL, COPIED, SAY, 600, 0 });
	ck_assert_int_eq(copy_if(&any, "s1"), 0);
	ck_assert_uint_eq(requests(), 1);
	close_store();
}
END_TEST

int main(void)
{
	TCase *put = tcase_create("put"), *bytes = tcase_create("bytes");
	TCase *answers = tcase_create("lost"), *time = tcase_create("time");
	TCase *others = tcase_create("others");

	tcase_add_test(
	    put,
	    a_put_sends_the_bytes_with_their_checksum_and_tells_the_object);
	tcase_add_test(put, a_directorys_marker_is_an_empty_put);
	tcase_add_test(put, what_is_larger_than_a_put_may_be_is_not_sent);
	tcase_add_test(put, S15_a_condition_goes_along);
	tcase_add_test(put,
		       a_weak_version_is_looked_at_before_as_no_store_knows_it);
	tcase_add_test(put,
		       a_store_without_etags_is_asked_what_the_object_is_like);
	tcase_add_loop_test(put, a_refusal_is_the_errno_of_the_table, 0,
			    ARRAY_SIZE(table));
	tcase_add_test(
	    put, C4_the_whole_body_goes_out_again_after_a_refusal_of_load);
	tcase_add_test(put, C13_a_conflict_that_passes_is_none);
	tcase_add_test(put,
		       C5_bytes_that_were_spoilt_on_the_way_are_sent_once_more);

	tcase_add_test(
	    bytes,
	    S13_bytes_that_rotted_since_they_were_summed_up_are_an_error);
	tcase_add_test(bytes, S13_bytes_read_wrongly_once_are_read_again);
	tcase_add_test(bytes,
		       a_body_that_cannot_be_read_ends_it_with_its_own_error);
	tcase_add_test(bytes,
		       S11_a_store_that_has_other_bytes_is_sent_them_once_more);
	tcase_add_test(bytes, S11_a_store_that_keeps_other_bytes_is_an_error);
	tcase_add_test(bytes,
		       an_md5_for_an_etag_confirms_where_there_is_no_checksum);
	tcase_add_test(bytes, an_etag_that_looks_like_an_md5_need_not_be_one);
	tcase_add_test(
	    bytes, another_etag_of_a_store_whose_etags_are_md5s_is_an_error);
	tcase_add_test(bytes, a_store_that_refuses_our_checksums_is_sent_none);
	tcase_add_test(
	    bytes,
	    a_refusal_that_has_nothing_to_do_with_them_leaves_checksums_on);

	tcase_add_test(
	    answers,
	    A13_an_answer_lost_on_a_used_connection_is_made_up_for_as_well);
	tcase_add_loop_test(answers, A13_a_lost_answer_is_made_up_for_by_a_look,
			    0, ARRAY_SIZE(lost));
	tcase_add_loop_test(
	    answers,
	    A13_a_lost_answer_is_made_up_for_also_where_the_body_has_gone, 0,
	    2);
	tcase_add_test(answers,
		       a_body_whose_md5_is_told_is_read_once_to_be_sent);
	tcase_add_test(answers,
		       a_refusal_without_a_loss_is_final_without_a_look);
	tcase_add_test(
	    answers,
	    A13_no_try_was_answered_and_the_object_is_there_all_the_same);

	tcase_set_timeout(time, 30);
	tcase_add_test(time, a_commit_may_take_long_as_long_as_bytes_go_out);
	tcase_add_test(time, C7_a_store_that_takes_nothing_is_given_up);
	tcase_add_test(
	    time,
	    a_store_that_takes_the_bytes_and_goes_is_not_sent_them_for_ever);
	tcase_add_test(time, a_success_before_all_was_sent_is_none);
	tcase_add_test(time, a_commit_can_be_cancelled);

	tcase_add_test(others,
		       a_request_does_not_inherit_the_method_of_the_one_before);
	tcase_add_loop_test(others, a_removal_is_what_the_answer_says, 0,
			    ARRAY_SIZE(removals));
	tcase_add_test(others, a_copy_names_its_source_and_both_conditions);
	tcase_add_loop_test(others, a_copy_is_what_the_answers_say, 0,
			    ARRAY_SIZE(copies));
	tcase_add_test(others,
		       a_copy_that_takes_longer_than_a_stall_is_waited_for);
	tcase_add_loop_test(
	    others, a_source_that_is_too_large_for_a_copy_is_EFBIG, 0, 2);
	return RUN_CASES(put, bytes, answers, time, others);
}
