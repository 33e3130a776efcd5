/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_xml.c - S3's listings and errors, right and hostile
 *
 * tests/data/should-fail-*.xml are documents that are no listing.
 */
#include <check.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/unit/run.h"
#include "ufs/encode.h"
#include "ufs/s3_answer.h"

#define BEGIN "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult>"
#define URL "<EncodingType>url</EncodingType>"
#define LAST "<IsTruncated>false</IsTruncated>"
#define END "</ListBucketResult>"
#define KEY(k) "<Contents><Key>" k "</Key><Size>1</Size></Contents>"
#define DIR(k) "<CommonPrefixes><Prefix>" k "</Prefix></CommonPrefixes>"

static struct s3_list_parser *parser;
static const struct s3_page *page;

static void begin(void)
{
	ck_assert_int_eq(s3_list_new(&parser), 0);
	page = NULL;
}

static void end(void)
{
	s3_list_free(parser);
	parser = NULL;
}

static int parse(const char *xml, size_t n, size_t piece)
{
	int r = 0;

	for (size_t at = 0; at < n && r == 0; at += piece)
		r = s3_list_feed(parser, xml + at, MIN(piece, n - at));
	return r == 0 ? s3_list_end(parser, &page) : r;
}

static struct str key(size_t i)
{
	ck_assert_uint_lt(i, page->n);
	return (struct str){ page->keys + page->entry[i].at, page->entry[i].n };
}

static void expect_key(size_t i, const char *want)
{
	ck_assert(str_eq(key(i), str_of(want)));
}

START_TEST(a_listing_gives_its_entries_however_it_is_cut)
{
	static const char xml[] =
	    BEGIN URL "<Name>b</Name><Prefix></Prefix><KeyCount>2</KeyCount>"
		      "<IsTruncated>true</IsTruncated>"
		      "<NextContinuationToken>to&amp;k+en/=="
		      "</NextContinuationToken>"
		      "<Contents><Key>a+b%2Bc%20d%25</Key>"
		      "<LastModified>2009-10-12T17:50:30.000Z</LastModified>"
		      "<ETag>&quot;fba9&quot;</ETag><Size>434234</Size>"
		      "<StorageClass>GLACIER</StorageClass>"
		      "<Owner><ID>x</ID></Owner></Contents>" DIR("a%2F") END;

	for (size_t piece = 1; piece < sizeof(xml); piece += 7) {
		begin();
		ck_assert_int_eq(parse(xml, sizeof(xml) - 1, piece), 0);
		ck_assert_uint_eq(page->n, 2);
		expect_key(0, "a b+c d%");
		ck_assert_uint_eq(page->entry[0].st.size, 434234);
		ck_assert_int_eq(page->entry[0].st.mtime,
				 INT64_C(1255369830) * NSEC_PER_SEC);
		ck_assert_str_eq(page->entry[0].st.version, "fba9");
		ck_assert_str_eq(page->entry[0].st.storage_class, "GLACIER");
		ck_assert_uint_eq(page->entry[0].st.flags, UFS_ARCHIVED);
		expect_key(1, "a/");
		ck_assert(page->entry[1].dir);
		ck_assert_str_eq(page->token, "to&k+en/==");
		end();
	}
}
END_TEST

START_TEST(A23_keys_and_prefixes_are_merged_in_byte_order_without_doubles)
{
	static const char xml[] = BEGIN LAST KEY("b") KEY("a-x") KEY("a0")
	    KEY("b") KEY("\xc3\xbc") DIR("z/") DIR("a/") DIR("a/") END;
	static const char *const want[] = { "a-x", "a/", "a0",
					    "b",   "z/", "\xc3\xbc" };

	begin();
	ck_assert_int_eq(parse(xml, sizeof(xml) - 1, 1000), 0);
	ck_assert_uint_eq(page->n, ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		expect_key(i, want[i]);
	ck_assert_ptr_null(page->token);
	end();
}
END_TEST

START_TEST(F4_encoded_keys_may_hold_any_byte)
{
	static const char xml[] =
	    BEGIN LAST KEY("n%00ul") KEY("%FF%FE") KEY("nl%0A") URL END;
	struct str nul = { "n\0ul", 4 };

	begin();
	ck_assert_int_eq(parse(xml, sizeof(xml) - 1, 1000), 0);
	ck_assert_uint_eq(page->n, 3);
	ck_assert(str_eq(key(0), nul));
	expect_key(1, "nl\n");
	expect_key(2, "\xff\xfe");
	end();
}
END_TEST

START_TEST(keys_that_are_not_said_to_be_encoded_stay)
{
	static const char xml[] = BEGIN LAST KEY("a%20b+c&amp;&lt;") END;

	begin();
	ck_assert_int_eq(parse(xml, sizeof(xml) - 1, 1000), 0);
	expect_key(0, "a%20b+c&<");
	end();
}
END_TEST

static const char *const sizes[] = {
	"-1",
	"9223372036854775808",
	"99999999999999999999",
	"",
	"1e3",
	"0x5",
	" 5",
	"5 ",
};

START_TEST(F5_an_impossible_size_costs_only_its_entry)
{
	struct text t = { 0 };

	text_addf(&t,
		  BEGIN LAST
		  "<Contents><Key>bad</Key><Size>%s</Size>"
		  "</Contents>" KEY(
		      "good") "<Contents><Key>max</Key>"
			      "<Size>9223372036854775807</Size></Contents>" END,
		  sizes[_i]);
	begin();
	ck_assert_int_eq(parse(t.p, t.n, 1000), 0);
	ck_assert_uint_eq(page->n, 3);
	ck_assert_uint_eq(page->unusable, 1);
	expect_key(0, "bad");
	ck_assert_uint_eq(page->entry[0].st.size, 0);
	ck_assert_uint_ne(page->entry[0].st.flags & UFS_UNUSABLE, 0);
	expect_key(1, "good");
	ck_assert_uint_eq(page->entry[1].st.flags & UFS_UNUSABLE, 0);
	ck_assert_uint_eq(page->entry[2].st.size, INT64_MAX);
	end();
	text_fini(&t);
}
END_TEST

static const struct {
	const char *text;
	int64_t seconds;
} times[] = {
	{ "1970-01-01T00:00:00.000Z", 0 },
	{ "1969-12-31T23:59:59.000Z", 0 },
	{ "0001-01-01T00:00:00Z", 0 },
	{ "2015-10-21T07:28:00Z", 1445412480 },
	{ "9999-12-31T23:59:59Z", INT64_MAX / NSEC_PER_SEC - 1 },
	{ "yesterday", 0 },
	{ "", 0 },
	{ "2015-13-41T07:28:00Z", 0 },
	{ "2015-10-21T\xc3\xbc:28:00Z", 0 },
};

START_TEST(F6_odd_times_are_clamped)
{
	struct text t = { 0 };

	text_addf(&t,
		  BEGIN LAST "<Contents><Key>k</Key><Size>1</Size>"
			     "<LastModified>%s</LastModified>"
			     "</Contents>" END,
		  times[_i].text);
	begin();
	ck_assert_int_eq(parse(t.p, t.n, 1000), 0);
	ck_assert_int_eq(page->entry[0].st.mtime,
			 times[_i].seconds * NSEC_PER_SEC);
	end();
	text_fini(&t);
}
END_TEST

static const struct {
	const char *etag, *version;
	unsigned flags;
} etags[] = {
	{ "\"abc-2\"", "abc-2", 0 },
	{ "abc", "abc", 0 },
	{ "W/\"abc\"", "~7-5", UFS_WEAK },
	{ "w/\"abc\"", "~7-5", UFS_WEAK },
	{ NULL, "~7-5", UFS_WEAK },
	{ "", "~7-5", UFS_WEAK },
	{ "\"\"", "~7-5", UFS_WEAK },
	{ "\"~7-5\"", "~7-5", UFS_WEAK },
	{ "\"a\"b\"", "~7-5", UFS_WEAK },
	{ "\"a\r\nX: y\"", "~7-5", UFS_WEAK },
};

START_TEST(a_version_is_the_etag_verbatim_or_time_and_size)
{
	struct ufs_stat st = { .size = 5 };
	char longest[UFS_VERSION_MAX + 1];

	s3_version(etags[_i].etag, 7, &st);
	ck_assert_str_eq(st.version, etags[_i].version);
	ck_assert_uint_eq(st.flags, etags[_i].flags);
	memset(longest, 'e', sizeof(longest) - 1);
	longest[UFS_VERSION_MAX] = '\0';
	st.flags = 0;
	s3_version(longest, 7, &st);
	ck_assert_str_eq(st.version, "~7-5");
	ck_assert_uint_eq(st.flags, UFS_WEAK);
}
END_TEST

static char *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "r");
	char *buf = malloc(1 << 20);

	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(buf);
	*n = fread(buf, 1, 1 << 20, f);
	fclose(f);
	return buf;
}

START_TEST(A23_what_is_no_listing_is_refused)
{
	glob_t g;

	ck_assert_int_eq(glob("tests/data/should-fail-*.xml", 0, NULL, &g), 0);
	ck_assert_uint_ge(g.gl_pathc, 10);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		size_t n;
		char *xml = read_file(g.gl_pathv[i], &n);

		for (size_t piece = 1; piece < 2000; piece += 333) {
			int r;

			begin();
			r = parse(xml, n, piece);
			ck_assert_msg(r == -EBADMSG || r == -EPROTO, "%s: %d",
				      g.gl_pathv[i], r);
			ck_assert_ptr_null(page);
			end();
		}
		free(xml);
	}
	globfree(&g);
}
END_TEST

START_TEST(A23_a_document_without_end_is_refused)
{
	char *junk = malloc(MIB(1));
	int r = 0;

	memset(junk, ' ', MIB(1));
	begin();
	ck_assert_int_eq(s3_list_feed(parser, BEGIN, strlen(BEGIN)), 0);
	for (int i = 0; i < 64 && r == 0; i++)
		r = s3_list_feed(parser, junk, MIB(1));
	ck_assert_int_lt(r, 0);
	end();
	free(junk);
}
END_TEST

START_TEST(A23_a_page_of_endless_entries_is_refused)
{
	static const char one[] = KEY("k");
	int r;

	begin();
	r = s3_list_feed(parser, BEGIN, strlen(BEGIN));
	for (int i = 0; i < 100000 && r == 0; i++)
		r = s3_list_feed(parser, one, sizeof(one) - 1);
	ck_assert_int_eq(r, -EBADMSG);
	end();
}
END_TEST

START_TEST(every_cut_and_every_flipped_byte_is_survived)
{
	static const char xml[] =
	    BEGIN URL LAST KEY("a%2Fb") KEY("c") DIR("d%2F") END;
	char bad[sizeof(xml)];

	for (size_t n = 0; n < sizeof(xml) - 1; n++) {
		begin();
		ck_assert_int_lt(parse(xml, n, 100), 0);
		end();
		memcpy(bad, xml, sizeof(xml));
		for (int flip = 1; flip < 256; flip <<= 1) {
			bad[n] = (char)(xml[n] ^ flip);
			begin();
			parse(bad, sizeof(xml) - 1, 100);
			end();
		}
	}
}
END_TEST

static const struct {
	const char *xml, *code, *region;
} errors[] = {
	{ "<Error><Code>NoSuchKey</Code><Message>x</Message></Error>",
	  "NoSuchKey", "" },
	{ "<?xml version=\"1.0\"?>\n<Error><Code>AuthorizationHeader"
	  "Malformed</Code><Region>eu-west-1</Region></Error>",
	  "AuthorizationHeaderMalformed", "eu-west-1" },
	{ "<Response><Errors><Error><Code>SlowDown</Code>", "SlowDown", "" },
	{ "<Error><Code>a\nb</Code></Error>", "", "" },
	{ "<Error><Code>%s%n</Code></Error>", "", "" },
	{ "<html>502</html>", "", "" },
	{ "not XML", "", "" },
	{ "", "", "" },
	{ "<!DOCTYPE x [<!ENTITY e \"AccessDenied\">]><Error><Code>&e;"
	  "</Code></Error>",
	  "", "" },
};

START_TEST(an_error_gives_its_words_and_nothing_else)
{
	struct s3_error e;

	ck_assert(s3_error_parse(errors[_i].xml, strlen(errors[_i].xml), &e));
	ck_assert_str_eq(e.code, errors[_i].code);
	ck_assert_str_eq(e.region, errors[_i].region);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_listing_gives_its_entries_however_it_is_cut);
	tcase_add_test(
	    t, A23_keys_and_prefixes_are_merged_in_byte_order_without_doubles);
	tcase_add_test(t, F4_encoded_keys_may_hold_any_byte);
	tcase_add_test(t, keys_that_are_not_said_to_be_encoded_stay);
	tcase_add_loop_test(t, F5_an_impossible_size_costs_only_its_entry, 0,
			    ARRAY_SIZE(sizes));
	tcase_add_loop_test(t, F6_odd_times_are_clamped, 0, ARRAY_SIZE(times));
	tcase_add_loop_test(t, a_version_is_the_etag_verbatim_or_time_and_size,
			    0, ARRAY_SIZE(etags));
	tcase_add_test(t, A23_what_is_no_listing_is_refused);
	tcase_add_test(t, A23_a_document_without_end_is_refused);
	tcase_add_test(t, A23_a_page_of_endless_entries_is_refused);
	tcase_add_test(t, every_cut_and_every_flipped_byte_is_survived);
	tcase_add_loop_test(t, an_error_gives_its_words_and_nothing_else, 0,
			    ARRAY_SIZE(errors));
	return RUN_CASES(t);
}
