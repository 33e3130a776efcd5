/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_upload.c - objects made of parts in an S3 store
 */
#include "tests/unit/ufs_write_rig.h"

#include "tests/unit/run.h"
#include "ufs/sigv4.h"

#define ID "id+1/2=&"
#define ID_SENT "uploadId=id%2B1%2F2%3D%26"
#define BEGUN                                                                  \
	"<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/"  \
	"2006-03-01/\"><Bucket>bucket</Bucket><Key>p/a</Key><UploadId>"        \
	"id+1/2=&amp;</UploadId></InitiateMultipartUploadResult>"
#define NONE_LISTED                                                            \
	"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"         \
	"</ListMultipartUploadsResult>"
#define ENDED                                                                  \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                         \
	"<CompleteMultipartUploadResult><Location>x</Location>"                \
	"<ETag>\"all-2\"</ETag></CompleteMultipartUploadResult>"

START_TEST(an_upload_begins_with_the_checksum_it_will_have)
{
	char *id = NULL;

	OPEN(PLAIN, SAYS(200, NULL, BEGUN));
	ck_assert_int_eq(st.w->upload_begin(st.u, str_of("a"), &id, NULL), 0);
	ck_assert_str_eq(id, ID);
	free(id);
	check_line(1, "POST /bucket/p/a?uploads= HTTP/1.1\r\n");
	ck_assert(has_header(1, "x-amz-checksum-algorithm: CRC64NVME\r\n"));
	ck_assert(has_header(1, "x-amz-checksum-type: FULL_OBJECT\r\n"));
	ck_assert(has_header(1, "Content-Length: 0\r\n"));
	close_store();
}
END_TEST

static const struct {
	struct step step[3];
	int r;
	unsigned requests;
} begins[] = {
	/* That may have begun one. */
	{ { SAYS(500, NULL, NULL), SAYS(200, NULL, BEGUN),
	    SAYS(200, NULL, NONE_LISTED) },
	  0,
	  3 },
	{ { SAYS(200, NULL, "<Initiate"), SAYS(200, NULL, BEGUN),
	    SAYS(200, NULL, NONE_LISTED) },
	  0,
	  3 },
	{ { SAYS(200, NULL,
		 "<InitiateMultipartUploadResult><UploadId></UploadId>"
		 "</InitiateMultipartUploadResult>") },
	  -EIO,
	  1 },
	{ { SAYS(403, NULL, ERROR("AccessDenied")) }, -EACCES, 1 },
	{ { SAYS(501, NULL, NULL) }, -EOPNOTSUPP, 1 },
	/* It knows nothing of checksums. */
	{ { SAYS(400, NULL, ERROR("InvalidArgument")), SAYS(200, NULL, BEGUN) },
	  0,
	  2 },
};

START_TEST(what_a_begin_comes_to)
{
	char *id = NULL;

	open_store(play, begins[_i].step, 3, PLAIN);
	ck_assert_int_eq(st.w->upload_begin(st.u, str_of("a"), &id, NULL),
			 begins[_i].r);
	ck_assert_uint_eq(requests(), begins[_i].requests);
	ck_assert((id != NULL) == (begins[_i].r == 0));
	free(id);
	close_store();
}
END_TEST

static int send_part(unsigned number, struct ufs_part *part)
{
	struct bytes b;

	memset(part, 0, sizeof(*part));
	part->number = number;
	return st.w->upload_part(st.u, str_of("a"), ID,
				 &bytes_init(&b, "hello", 5)->body, part, NULL);
}

START_TEST(a_part_goes_out_with_its_checksum_and_tells_its_etag)
{
	struct ufs_part part;

	OPEN(PLAIN, SAYS(200, "ETag: \"pe\"\r\n" CRC_LINE(HELLO_CRC), NULL));
	ck_assert_int_eq(send_part(7, &part), 0);
	check_line(1, "PUT /bucket/p/a?partNumber=7&" ID_SENT " HTTP/1.1\r\n");
	ck_assert(has_header(1, CRC_LINE(HELLO_CRC)));
	ck_assert(has_header(1, "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"));
	ck_assert_str_eq(body_of(1), "hello");
	ck_assert_str_eq(part.etag, "pe");
	ck_assert_uint_eq(part.size, 5);
	ck_assert_uint_eq(part.number, 7);
	ck_assert(part.has_crc);
	ck_assert_uint_eq(part.crc, crc_update(CRC_64NVME, 0, "hello", 5));
	close_store();
}
END_TEST

static const struct {
	struct step step[3];
	int r;
	unsigned requests;
} sent_parts[] = {
	{ { SAYS(404, NULL, ERROR("NoSuchUpload")) }, -ENOLINK, 1 },
	{ { SAYS(404, NULL, NULL) }, -ENOLINK, 1 },
	{ { SAYS(404, NULL, ERROR("NoSuchBucket")) }, -EIO, 1 },
	{ { SAYS(503, NULL, NULL), GOES,
	    SAYS(200, "ETag: \"e\"\r\n" CRC_LINE(HELLO_CRC), NULL) },
	  0,
	  3 },
	{ { SAYS(200, "ETag: \"e\"\r\n" CRC_LINE(OTHER_CRC), NULL),
	    SAYS(200, "ETag: \"e\"\r\n" CRC_LINE(HELLO_CRC), NULL) },
	  0,
	  2 },
	{ { SAYS(200, "ETag: \"e\"\r\n" CRC_LINE(OTHER_CRC), NULL),
	    SAYS(200, "ETag: \"e\"\r\n" CRC_LINE(OTHER_CRC), NULL) },
	  -EIO,
	  2 },
	{ { SAYS(200, NULL, NULL), SAYS(200, NULL, NULL),
	    SAYS(200, "ETag: \"e\"\r\n" CRC_LINE(HELLO_CRC), NULL) },
	  0,
	  3 },
	{ { SAYS(400, NULL, ERROR("BadDigest")),
	    SAYS(400, NULL, ERROR("BadDigest")) },
	  -EIO,
	  2 },
};

START_TEST(what_a_part_comes_to)
{
	struct ufs_part part;

	open_store(play, sent_parts[_i].step, 3, PLAIN);
	ck_assert_int_eq(send_part(1, &part), sent_parts[_i].r);
	ck_assert_uint_eq(requests(), sent_parts[_i].requests);
	close_store();
}
END_TEST

#define PART_COPIED                                                            \
	"<CopyPartResult><ETag>\"ce\"</ETag><ChecksumCRC64NVME>" HELLO_CRC     \
	"</ChecksumCRC64NVME></CopyPartResult>"

static int copy_part(struct ufs_part *part)
{
	memset(part, 0, sizeof(*part));
	part->number = 2;
	return st.w->upload_copy(st.u, str_of("a"), ID, str_of("from x"), "s1",
				 UINT64_C(5) << 20, UINT64_C(8) << 20, part,
				 NULL);
}

START_TEST(a_store_that_tells_wrong_checksums_of_copies_is_not_asked_for_any)
{
	struct ufs_part part;

	OPEN(PLAIN, SAYS(200, NULL, PART_COPIED),
	     TELLS("ETag: \"s1\"\r\n" CRC_LINE(HELLO_CRC), 64 << 20));
	ck_assert_int_eq(copy_part(&part), -EOPNOTSUPP);
	check_line(2, "HEAD /bucket/p/from%20x HTTP/1.1\r\n");
	ck_assert_int_eq(copy_part(&part), -EOPNOTSUPP);
	ck_assert_uint_eq(requests(), 2);
	close_store();
}
END_TEST

START_TEST(the_checksum_of_a_copy_of_all_is_that_of_its_source)
{
	struct ufs_part part;

	OPEN(PLAIN, SAYS(200, NULL, PART_COPIED),
	     TELLS("ETag: \"s1\"\r\n" CRC_LINE(HELLO_CRC), 8 << 20));
	ck_assert_int_eq(copy_part(&part), 0);
	close_store();
}
END_TEST

START_TEST(a_part_is_copied_of_one_version)
{
	struct ufs_part part;

	OPEN(PLAIN, SAYS(200, NULL, PART_COPIED),
	     TELLS("ETag: \"s1\"\r\n" CRC_LINE(OTHER_CRC), 64 << 20),
	     SAYS(200, NULL, PART_COPIED));
	ck_assert_int_eq(copy_part(&part), 0);
	check_line(1, "PUT /bucket/p/a?partNumber=2&" ID_SENT " HTTP/1.1\r\n");
	ck_assert(has_header(1, "x-amz-copy-source: /bucket/p/from%20x\r\n"));
	ck_assert(has_header(1, "x-amz-copy-source-if-match: \"s1\"\r\n"));
	ck_assert(has_header(
	    1, "x-amz-copy-source-range: bytes=5242880-13631487\r\n"));
	ck_assert_str_eq(part.etag, "ce");
	ck_assert_uint_eq(part.size, 8 << 20);
	ck_assert(part.has_crc);
	ck_assert_uint_eq(part.crc, crc_update(CRC_64NVME, 0, "hello", 5));
	/* Its checksums are those of the parts: looked at once. */
	ck_assert_uint_eq(requests(), 2);
	ck_assert_int_eq(copy_part(&part), 0);
	ck_assert_uint_eq(requests(), 3);
	close_store();
}
END_TEST

static const struct {
	struct step step[3];
	int r;
	unsigned requests;
	bool has_crc;
} copied_parts[] = {
	{ { SAYS(412, NULL, ERROR("PreconditionFailed")) }, -ESTALE, 1, false },
	{ { SAYS(404, NULL, ERROR("NoSuchKey")) }, -ENOENT, 1, false },
	{ { SAYS(404, NULL, ERROR("NoSuchUpload")) }, -ENOLINK, 1, false },
	{ { SAYS(200, NULL, ERROR("InternalError")),
	    SAYS(200, NULL, PART_COPIED), TELLS("", 64 << 20) },
	  0,
	  3,
	  true },
	{ { SAYS(200, NULL, ERROR("NoSuchUpload")) }, -ENOLINK, 1, false },
	{ { SAYS(400, NULL, ERROR("InvalidArgument")) },
	  -EOPNOTSUPP,
	  1,
	  false },
	{ { SAYS(400, NULL, ERROR("InvalidRequest")) }, -EOPNOTSUPP, 1, false },
	{ { SAYS(400, NULL, ERROR("Whatever")) }, -EIO, 1, false },
	{ { SAYS(200, NULL,
		 "<CopyPartResult><ETag>\"e\"</ETag>"
		 "</CopyPartResult>") },
	  0,
	  1,
	  false },
	{ { SAYS(200, NULL, "<CopyPartResult></CopyPartResult>"),
	    SAYS(200, NULL, PART_COPIED), TELLS("", 64 << 20) },
	  0,
	  3,
	  true },
};

START_TEST(what_a_copied_part_comes_to)
{
	struct ufs_part part;

	open_store(play, copied_parts[_i].step, 3, PLAIN);
	ck_assert_int_eq(copy_part(&part), copied_parts[_i].r);
	ck_assert_uint_eq(requests(), copied_parts[_i].requests);
	ck_assert_int_eq(part.has_crc, copied_parts[_i].has_crc);
	close_store();
}
END_TEST

/*
 * "hello" in two parts, whose ETags are MD5s, and that of the whole: md5 of
 * the two MD5s.
 */
static struct ufs_part parts[2];

static void lay_parts(void)
{
	static const char *const bytes[] = { "hel", "lo" };

	memset(parts, 0, sizeof(parts));
	for (unsigned i = 0; i < 2; i++) {
		size_t n = strlen(bytes[i]);
		unsigned char md5[16];

		EVP_Digest(bytes[i], n, md5, NULL, EVP_md5(), NULL);
		parts[i] = (struct ufs_part){ .number = 1 + 2 * i,
					      .size = n,
					      .has_crc = true };
		parts[i].crc = crc_update(CRC_64NVME, 0, bytes[i], n);
		for (size_t j = 0; j < 16; j++)
			snprintf(parts[i].etag + 2 * j, 3, "%02x", md5[j]);
	}
}

/* The ETag of the two, on the heap. */
static char *etag_of_parts(void)
{
	unsigned char both[32], md5[16];
	char *etag = malloc(64);

	ck_assert_ptr_nonnull(etag);
	EVP_Digest("hel", 3, both, NULL, EVP_md5(), NULL);
	EVP_Digest("lo", 2, both + 16, NULL, EVP_md5(), NULL);
	EVP_Digest(both, 32, md5, NULL, EVP_md5(), NULL);
	for (size_t j = 0; j < 16; j++)
		snprintf(etag + 2 * j, 3, "%02x", md5[j]);
	strcpy(etag + 32, "-2");
	return etag;
}

static int end_if(const struct ufs_cond *cond)
{
	memset(&st.out, 0xff, sizeof(st.out));
	return st.w->upload_end(st.u, str_of("a"), ID, parts, 2, cond, &st.out,
				NULL);
}

START_TEST(an_end_lists_the_parts_and_says_the_checksum_of_the_whole)
{
	char hash[65], line[128], crc[2][CHECKSUM_CRC64_TEXT], want[1024];

	OPEN(PLAIN, SAYS(200, NULL, ENDED));
	lay_parts();
	ck_assert_int_eq(end_if(&absent), 0);
	check_line(1, "POST /bucket/p/a?" ID_SENT " HTTP/1.1\r\n");
	ck_assert(has_header(1, "If-None-Match: *\r\n"));
	/* That of "hello". */
	ck_assert(has_header(1, CRC_LINE(HELLO_CRC)));
	ck_assert(has_header(1, "x-amz-checksum-type: FULL_OBJECT\r\n"));
	checksum_write_crc64(parts[0].crc, crc[0]);
	checksum_write_crc64(parts[1].crc, crc[1]);
	snprintf(want, sizeof(want),
		 "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/"
		 "doc/2006-03-01/\">"
		 "<Part><PartNumber>1</PartNumber><ETag>\"%s\"</ETag>"
		 "<ChecksumCRC64NVME>%s</ChecksumCRC64NVME></Part>"
		 "<Part><PartNumber>3</PartNumber><ETag>\"%s\"</ETag>"
		 "<ChecksumCRC64NVME>%s</ChecksumCRC64NVME></Part>"
		 "</CompleteMultipartUpload>",
		 parts[0].etag, crc[0], parts[1].etag, crc[1]);
	ck_assert_str_eq(body_of(1), want);
	ck_assert_int_eq(sigv4_body_hash(want, strlen(want), hash), 0);
	snprintf(line, sizeof(line), "x-amz-content-sha256: %s\r\n", hash);
	ck_assert(has_header(1, line));
	ck_assert_str_eq(st.out.version, "all-2");
	ck_assert_uint_eq(st.out.size, 5);
	ck_assert_int_eq(st.out.mtime, DATE_S * NSEC_PER_SEC);
	close_store();
}
END_TEST

START_TEST(a_part_without_a_checksum_leaves_the_whole_without_one)
{
	OPEN(PLAIN, SAYS(200, NULL, ENDED));
	lay_parts();
	parts[1].has_crc = false;
	ck_assert_int_eq(end_if(&version), 0);
	ck_assert(has_header(1, "If-Match: \"v1\"\r\n"));
	ck_assert(!has_header(1, "x-amz-checksum-"));
	close_store();
}
END_TEST

#define BLANKS "   \n   \n   "
#define REFUSED SAYS(412, NULL, ERROR("PreconditionFailed"))
#define NO_UPLOAD SAYS(404, NULL, ERROR("NoSuchUpload"))
#define IN_200(code) SAYS(200, NULL, BLANKS ERROR(code))
#define OURS TELLS("ETag: \"all-2\"\r\n" CRC_LINE(HELLO_CRC), 5)
#define ANOTHERS TELLS("ETag: \"x\"\r\n" CRC_LINE(OTHER_CRC), 5)
#define RAW_200                                                                \
	"HTTP/1.1 200 OK\r\nDate: " DATE "\r\nTransfer-Encoding: chunked"      \
	"\r\n\r\n"
#define CUT                                                                    \
	{                                                                      \
		0, NULL, RAW_200 "a\r\n<Complete\n\r\n", RAW, 0, 0             \
	}
#define ONLY_BLANKS                                                            \
	{                                                                      \
		0, NULL, RAW_200 "3\r\n  \n\r\n", RAW, 0, 0                    \
	}
#define CUT_SHORT SAYS(200, NULL, "<CompleteMultipartUploadResult><ETag>\"a")
#define NO_ETAG                                                                \
	SAYS(                                                                  \
	    200, NULL,                                                         \
	    "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
#define ENDED_WITH(crc)                                                        \
	SAYS(200, NULL,                                                        \
	     "<CompleteMultipartUploadResult><ETag>\"all-2\"</ETag>"           \
	     "<ChecksumCRC64NVME>" crc "</ChecksumCRC64NVME>"                  \
	     "<ChecksumType>FULL_OBJECT</ChecksumType>"                        \
	     "</CompleteMultipartUploadResult>")

static const struct {
	struct step step[4];
	const struct ufs_cond *cond;
	int r;
	unsigned requests;
} ends[] = {
	/* A14: only a whole result with an ETag is one. */
	{ { SAYS(200, NULL, BLANKS ENDED) }, &any, 0, 1 },
	{ { IN_200("InternalError"), SAYS(200, NULL, ENDED) }, &any, 0, 2 },
	{ { IN_200("InternalError"), NO_UPLOAD, OURS }, &any, 0, 3 },
	{ { IN_200("InternalError"), NO_UPLOAD, ANOTHERS }, &any, -ENOLINK, 3 },
	{ { CUT, SAYS(200, NULL, ENDED) }, &any, 0, 2 },
	{ { CUT, NO_UPLOAD, OURS }, &any, 0, 3 },
	{ { CUT_SHORT, SAYS(200, NULL, ENDED) }, &any, 0, 2 },
	{ { CUT_SHORT, NO_UPLOAD, OURS }, &absent, 0, 3 },
	{ { CUT_SHORT, REFUSED, ANOTHERS }, &absent, -EEXIST, 3 },
	{ { ONLY_BLANKS, SAYS(200, NULL, ENDED) }, &any, 0, 2 },
	{ { ONLY_BLANKS, NO_UPLOAD, OURS }, &any, 0, 3 },
	{ { ONLY_BLANKS, REFUSED, OURS }, &absent, 0, 3 },
	{ { NO_ETAG, NO_UPLOAD, OURS }, &any, 0, 3 },
	{ { SAYS(200, NULL, ""), SAYS(200, NULL, ENDED) }, &any, 0, 2 },
	{ { SAYS(200, NULL, "<!DOCTYPE x [<!ENTITY e \"1\">]>" ENDED),
	    SAYS(200, NULL, ENDED) },
	  &any,
	  0,
	  2 },
	/* What an error in a 200 means is what it means elsewhere. */
	{ { IN_200("PreconditionFailed") }, &absent, -EEXIST, 1 },
	{ { IN_200("PreconditionFailed") }, &version, -ESTALE, 1 },
	{ { IN_200("AccessDenied") }, &any, -EACCES, 1 },
	{ { IN_200("NoSuchUpload"), ANOTHERS }, &any, -ENOLINK, 2 },
	{ { IN_200("EntityTooLarge") }, &any, -EFBIG, 1 },
	{ { IN_200("SlowDown"), SAYS(200, NULL, ENDED) }, &any, 0, 2 },
	/* It may have ended well in the life of another process. */
	{ { NO_UPLOAD, OURS }, &any, 0, 2 },
	{ { NO_UPLOAD, ANOTHERS }, &any, -ENOLINK, 2 },
	{ { NO_UPLOAD, SAYS(404, NULL, NULL) }, &any, -ENOLINK, 2 },
	{ { GOES, NO_UPLOAD, OURS }, &any, 0, 3 },
	{ { REFUSED }, &absent, -EEXIST, 1 },
	{ { REFUSED }, &version, -ESTALE, 1 },
	{ { SAYS(404, NULL, ERROR("NoSuchKey")) }, &version, -ESTALE, 1 },
	{ { SAYS(409, NULL, ERROR("ConditionalRequestConflict")), NO_UPLOAD,
	    ANOTHERS },
	  &version,
	  -ENOLINK,
	  3 },
	{ { SAYS(400, NULL, ERROR("InvalidPart")) }, &any, -EIO, 1 },
	{ { ENDED_WITH(HELLO_CRC) }, &any, 0, 1 },
	{ { ENDED_WITH(OTHER_CRC), ENDED_WITH(HELLO_CRC) }, &any, 0, 2 },
	{ { ENDED_WITH(OTHER_CRC), ENDED_WITH(OTHER_CRC), ANOTHERS },
	  &any,
	  -EIO,
	  3 },
};

START_TEST(A14_an_end_is_what_the_answers_say)
{
	lay_parts();
	open_store(play, ends[_i].step, 4, PLAIN);
	ck_assert_int_eq(end_if(ends[_i].cond), ends[_i].r);
	ck_assert_uint_eq(requests(), ends[_i].requests);
	if (ends[_i].r == 0) {
		ck_assert_str_eq(st.out.version, "all-2");
		ck_assert_uint_eq(st.out.size, 5);
	}
	close_store();
}
END_TEST

START_TEST(A13_a_lost_end_is_found_by_the_etag_where_there_is_no_checksum)
{
	static char headers[2][80];
	static struct step step[3] = { NO_UPLOAD, TELLS(headers[0], 5),
				       NO_UPLOAD };
	char *etag = etag_of_parts();

	lay_parts();
	snprintf(headers[0], sizeof(headers[0]), "ETag: \"%s\"\r\n", etag);
	open_store(play, step, 3, PLAIN);
	ck_assert_int_eq(end_if(&any), 0);
	ck_assert_str_eq(st.out.version, etag);
	close_store();
	/* Of other parts. */
	headers[0][8] ^= 1;
	open_store(play, step, 3, PLAIN);
	ck_assert_int_eq(end_if(&any), -ENOLINK);
	close_store();
	free(etag);
}
END_TEST

/* A 200 at once, a blank now and then, and after half a second a result. */
static enum server_then thinking(struct server *server, int fd, unsigned nth,
				 const char *request)
{
	(void)server, (void)nth, (void)request;
	server_say(fd, RAW_200);
	for (int i = 0; i < 10; i++) {
		server_say(fd, "1\r\n \r\n");
		usleep(100000);
	}
	server_say(fd, "%zx\r\n%s\r\n0\r\n\r\n", strlen(ENDED), ENDED);
	return SERVER_KEEP;
}

START_TEST(an_end_that_takes_long_is_waited_for_while_there_are_blanks)
{
	lay_parts();
	open_store(thinking, NULL, 0,
		   (struct ufs_conf){ .commit_timeout = 400 * NSEC_PER_MSEC,
				      .stall_timeout = 200 * NSEC_PER_MSEC });
	ck_assert_int_eq(end_if(&any), 0);
	ck_assert_uint_eq(requests(), 1);
	close_store();
}
END_TEST

/* Each part from another place, in any order, and then the whole. */
START_TEST(the_whole_has_the_checksum_of_its_bytes)
{
	static unsigned char all[3 * 100000];
	static char headers[4][128];
	static struct step step[4];
	static const unsigned order[] = { 2, 0, 1 };
	struct ufs_part sent[3];
	char text[CHECKSUM_CRC64_TEXT], line[80];

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = object_byte(i);
	for (unsigned i = 0; i < 3; i++) {
		checksum_write_crc64(
		    crc_update(CRC_64NVME, 0, all + 100000 * order[i], 100000),
		    text);
		snprintf(headers[i], sizeof(headers[i]),
			 "ETag: \"e%u\"\r\nx-amz-checksum-crc64nvme: %s\r\n",
			 order[i], text);
		step[i] = (struct step){ .status = 200, .headers = headers[i] };
	}
	step[3] = (struct step){ .status = 200, .body = ENDED };
	open_store(play, step, 4, PLAIN);
	for (unsigned i = 0; i < 3; i++) {
		struct bytes b;

		bytes_init(&b, (char *)all + 100000 * order[i], 100000);
		sent[order[i]].number = order[i] + 1;
		ck_assert_int_eq(st.w->upload_part(st.u, str_of("a"), ID,
						   &b.body, &sent[order[i]],
						   NULL),
				 0);
		ck_assert_int_eq(
		    memcmp(body_of(i + 1), all + 100000 * order[i], 100000), 0);
	}
	ck_assert_int_eq(st.w->upload_end(st.u, str_of("a"), ID, sent, 3, &any,
					  &st.out, NULL),
			 0);
	checksum_write_crc64(crc_update(CRC_64NVME, 0, all, sizeof(all)), text);
	snprintf(line, sizeof(line), "x-amz-checksum-crc64nvme: %s\r\n", text);
	ck_assert(has_header(4, line));
	ck_assert_uint_eq(st.out.size, sizeof(all));
	close_store();
}
END_TEST

START_TEST(what_the_store_does_not_take_is_not_sent)
{
	struct ufs_part part = { .number = 10001 };
	struct bytes b;

	OPEN(PLAIN, SAYS(200, NULL, ENDED));
	bytes_init(&b, "hello", 5);
	ck_assert_int_eq(
	    st.w->upload_part(st.u, str_of("a"), ID, &b.body, &part, NULL),
	    -EFBIG);
	part.number = 1;
	b.body.size = (UINT64_C(5) << 30) + 1;
	ck_assert_int_eq(
	    st.w->upload_part(st.u, str_of("a"), ID, &b.body, &part, NULL),
	    -EFBIG);
	lay_parts();
	parts[0].size = UINT64_C(5) << 40;
	ck_assert_int_eq(end_if(&any), -EFBIG);
	ck_assert_uint_eq(requests(), 0);
	close_store();
}
END_TEST

static const struct {
	struct step step;
	int r;
} aborts[] = {
	{ SAYS(204, NULL, NULL), 0 },
	{ NO_UPLOAD, 0 },
	{ SAYS(404, NULL, NULL), 0 },
	{ SAYS(404, NULL, ERROR("NoSuchBucket")), -EIO },
	{ SAYS(403, NULL, NULL), -EACCES },
};

START_TEST(an_upload_that_is_gone_is_aborted)
{
	open_store(play, &aborts[_i].step, 1, PLAIN);
	ck_assert_int_eq(st.w->upload_abort(st.u, str_of("a"), ID, NULL),
			 aborts[_i].r);
	check_line(1, "DELETE /bucket/p/a?" ID_SENT " HTTP/1.1\r\n");
	close_store();
}
END_TEST

/* Those that have begun and not ended. */

#define LIST(more)                                                             \
	"<ListMultipartUploadsResult><EncodingType>url"                        \
	"</EncodingType>" more "</ListMultipartUploadsResult>"
#define BEGUN_AT(key, id, when)                                                \
	"<Upload><Key>" key "</Key><Initiator><ID>no</ID></Initiator>"         \
	"<UploadId>" id "</UploadId>"                                          \
	"<Initiated>" when ".000Z</Initiated></Upload>"
#define UPLOAD(key, id) BEGUN_AT(key, id, "2009-10-12T17:50:30")
#define NEXT(key, id)                                                          \
	"<NextKeyMarker>" key "</NextKeyMarker><NextUploadIdMarker>" id        \
	"</NextUploadIdMarker><IsTruncated>true</IsTruncated>"
#define LAST "<IsTruncated>false</IsTruncated>"

static char listed[1024];

static int note(void *arg, const struct ufs_upload *up)
{
	size_t n = strlen(listed);

	ck_assert_int_eq(up->begun, INT64_C(1255369830) * NSEC_PER_SEC);
	snprintf(listed + n, sizeof(listed) - n, "%.*s=%s;", (int)up->key.n,
		 up->key.p, up->id);
	return arg != NULL ? *(int *)arg : 0;
}

static const char *below = "";

static int list_all(void *arg)
{
	listed[0] = '\0';
	return st.w->upload_list(st.u, str_of(below), note, arg, NULL);
}

START_TEST(S17_all_uploads_below_the_prefix_are_listed)
{
	OPEN(PLAIN,
	     SAYS(200, NULL,
		  LIST(UPLOAD("p/a%2Bb+c", "1") UPLOAD("p/d", "2")
			   NEXT("p/d%2B", "2&amp;x"))),
	     SAYS(503, NULL, NULL),
	     SAYS(200, NULL,
		  LIST(UPLOAD("p/d%2B", "3") UPLOAD("q/no", "4")
			   UPLOAD("p/", "5") LAST)));
	ck_assert_int_eq(list_all(NULL), 0);
	ck_assert_str_eq(listed, "a+b c=1;d=2;d+=3;");
	check_line(1, "GET /bucket?encoding-type=url&max-uploads=1000&"
		      "prefix=p%2F&uploads= HTTP/1.1\r\n");
	check_line(3, "GET /bucket?encoding-type=url&key-marker=p%2Fd%2B&"
		      "max-uploads=1000&prefix=p%2F&upload-id-marker=2%26x&"
		      "uploads= HTTP/1.1\r\n");
	ck_assert_uint_eq(requests(), 3);
	close_store();
}
END_TEST

START_TEST(S17_the_uploads_of_one_key_are_listed)
{
	below = "d";
	OPEN(PLAIN, SAYS(200, NULL,
			 LIST(UPLOAD("p/d", "2") UPLOAD("p/da", "3")
				  UPLOAD("p/no", "4") LAST)));
	ck_assert_int_eq(list_all(NULL), 0);
	ck_assert_str_eq(listed, "d=2;da=3;");
	check_line(1, "GET /bucket?encoding-type=url&max-uploads=1000&"
		      "prefix=p%2Fd&uploads= HTTP/1.1\r\n");
	close_store();
	below = "";
}
END_TEST

/* The store may have begun one at the first try. */
START_TEST(S17_an_upload_whose_answer_was_lost_is_aborted)
{
	char *id = NULL;

	OPEN(PLAIN, GOES, SAYS(200, NULL, BEGUN),
	     SAYS(200, NULL,
		  LIST(UPLOAD("p/a", "lost") UPLOAD("p/a", "id+1/2=&amp;")
			   LAST)),
	     SAYS(200, NULL,
		  LIST(BEGUN_AT("p/a", "others", "2009-10-12T17:50:00")
			   UPLOAD("p/a", "lost") UPLOAD("p/a", "id+1/2=&amp;")
			       UPLOAD("p/ab", "no") LAST)),
	     SAYS(204, NULL, NULL));
	ck_assert_int_eq(st.w->upload_begin(st.u, str_of("a"), &id, NULL), 0);
	ck_assert_uint_eq(requests(), 5);
	check_line(5, "DELETE /bucket/p/a?uploadId=lost HTTP/1.1\r\n");
	free(id);
	close_store();
}
END_TEST

START_TEST(a_callback_ends_the_listing_of_uploads)
{
	int seven = 7;

	OPEN(PLAIN, SAYS(200, NULL,
			 LIST(UPLOAD("p/a", "1") UPLOAD("p/b", "2")
				  NEXT("p/b", "2"))));
	ck_assert_int_eq(list_all(&seven), 7);
	ck_assert_str_eq(listed, "a=1;");
	ck_assert_uint_eq(requests(), 1);
	close_store();
}
END_TEST

static const struct {
	const char *body;
	unsigned least; /* requests */
} no_lists[] = {
	/* Round in circles. */
	{ LIST(UPLOAD("p/a", "1") NEXT("p/a", "1")), 2 },
	{ LIST(UPLOAD("p/a", "") LAST), 2 },
	{ LIST("<Upload><Key>p/a</Key></Upload>" LAST), 2 },
	{ LIST("<Upload><UploadId>1</UploadId></Upload>" LAST), 2 },
	{ LIST(UPLOAD("p/a", "1")), 2 },
	{ LIST("<IsTruncated>true</IsTruncated>"), 2 },
	{ "<ListBucketResult>" LAST "</ListBucketResult>", 2 },
	{ "<ListMultipartUploadsResult>" LAST, 2 },
	{ "<!DOCTYPE a [<!ENTITY b \"c\">]>" LIST(LAST), 2 },
	{ LIST("<a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a>" LAST),
	  2 },
	{ "", 2 },
};

START_TEST(what_is_no_listing_of_uploads_is_refused)
{
	static struct step step;

	step = (struct step){ .status = 200, .body = no_lists[_i].body };
	open_store(play, &step, 1, PLAIN);
	ck_assert_int_eq(list_all(NULL), -EIO);
	ck_assert_uint_ge(requests(), no_lists[_i].least);
	close_store();
}
END_TEST

int main(void)
{
	TCase *steps = tcase_create("parts"), *end = tcase_create("end");
	TCase *list = tcase_create("list");

	tcase_add_test(steps, an_upload_begins_with_the_checksum_it_will_have);
	tcase_add_loop_test(steps, what_a_begin_comes_to, 0,
			    ARRAY_SIZE(begins));
	tcase_add_test(steps,
		       a_part_goes_out_with_its_checksum_and_tells_its_etag);
	tcase_add_loop_test(steps, what_a_part_comes_to, 0,
			    ARRAY_SIZE(sent_parts));
	tcase_add_test(steps, a_part_is_copied_of_one_version);
	tcase_add_test(
	    steps,
	    a_store_that_tells_wrong_checksums_of_copies_is_not_asked_for_any);
	tcase_add_test(steps,
		       the_checksum_of_a_copy_of_all_is_that_of_its_source);
	tcase_add_loop_test(steps, what_a_copied_part_comes_to, 0,
			    ARRAY_SIZE(copied_parts));
	tcase_add_test(steps, what_the_store_does_not_take_is_not_sent);
	tcase_add_loop_test(steps, an_upload_that_is_gone_is_aborted, 0,
			    ARRAY_SIZE(aborts));

	tcase_add_test(
	    end, an_end_lists_the_parts_and_says_the_checksum_of_the_whole);
	tcase_add_test(end,
		       a_part_without_a_checksum_leaves_the_whole_without_one);
	tcase_add_loop_test(end, A14_an_end_is_what_the_answers_say, 0,
			    ARRAY_SIZE(ends));
	tcase_add_test(
	    end,
	    A13_a_lost_end_is_found_by_the_etag_where_there_is_no_checksum);
	tcase_add_test(
	    end, an_end_that_takes_long_is_waited_for_while_there_are_blanks);
	tcase_add_test(end, the_whole_has_the_checksum_of_its_bytes);

	tcase_add_test(list, S17_all_uploads_below_the_prefix_are_listed);
	tcase_add_test(list, S17_the_uploads_of_one_key_are_listed);
	tcase_add_test(list, S17_an_upload_whose_answer_was_lost_is_aborted);
	tcase_add_test(list, a_callback_ends_the_listing_of_uploads);
	tcase_add_loop_test(list, what_is_no_listing_of_uploads_is_refused, 0,
			    ARRAY_SIZE(no_lists));
	return RUN_CASES(steps, end, list);
}
