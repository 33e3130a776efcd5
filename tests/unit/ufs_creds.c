/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_creds.c - keys and settings from the environment and AWS's files
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/creds_home.h"
#include "tests/unit/run.h"
#include "ufs/awsconf.h"
#include "ufs/creds_impl.h"
#include "ufs/ini.h"
#include "ufs/ufs.h"

static void put_usual(void)
{
	put("credentials", "# keys\n"
			   "[default]\n"
			   "aws_access_key_id = DEFAULTKEY\n"
			   "aws_secret_access_key=a/b+c=  ; a comment\n"
			   "\r\n"
			   "[work]\r\n"
			   "aws_access_key_id=WORKKEY\r\n"
			   "aws_secret_access_key=worksecret\r\n"
			   "aws_session_token = tok/en==\r\n"
			   "[half]\n"
			   "aws_access_key_id=HALF\n");
	put("config", "[default]\n"
		      "region = eu-west-3\n"
		      "[profile work]\n"
		      "region = ap-south-1 # near\n"
		      "endpoint_url = https://work.example\n"
		      "[profile \"my team\"]\n"
		      "aws_access_key_id = TEAMKEY\n"
		      "aws_secret_access_key = teamsecret\n"
		      "services = local\n"
		      "s3 =\n"
		      "  addressing_style = path\n"
		      "[profile role]\n"
		      "role_arn = arn:aws:iam::1:role/x\n"
		      "[services local]\n"
		      "s3 = \n"
		      "  endpoint_url = http://127.0.0.1:9000\n"
		      "dynamodb =\n"
		      "  endpoint_url = http://127.0.0.1:8000\n");
}

START_TEST(the_environment_comes_before_the_files)
{
	put_usual();
	ck_assert_str_eq(found(NULL), "profile default: DEFAULTKEY a/b+c= -");
	setenv("AWS_ACCESS_KEY_ID", "ENVKEY", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "envsecret", 1);
	ck_assert_str_eq(found(NULL), "environment: ENVKEY envsecret -");
	setenv("AWS_SESSION_TOKEN", "envtoken", 1);
	ck_assert_str_eq(found(NULL), "environment: ENVKEY envsecret envtoken");
	/* A profile that was asked for on the command line counts more. */
	ck_assert_str_eq(found("work"),
			 "profile work: WORKKEY worksecret tok/en==");
	setenv("AWS_ACCESS_KEY_ID", "", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "", 1);
	ck_assert_str_eq(found(NULL), "profile default: DEFAULTKEY a/b+c= -");
}
END_TEST

START_TEST(a_profile_may_be_named_by_the_environment_and_live_in_config)
{
	put_usual();
	setenv("AWS_PROFILE", "work", 1);
	ck_assert_str_eq(found(NULL),
			 "profile work: WORKKEY worksecret tok/en==");
	setenv("AWS_PROFILE", "my team", 1);
	ck_assert_str_eq(found(NULL), "profile my team: TEAMKEY teamsecret -");
}
END_TEST

START_TEST(files_may_stand_elsewhere)
{
	char from[128], to[128];

	put_usual();
	home_path("credentials", from);
	home_path("other", to);
	ck_assert_int_eq(rename(from, to), 0);
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	setenv("AWS_SHARED_CREDENTIALS_FILE", to, 1);
	ck_assert_str_eq(found(NULL), "profile default: DEFAULTKEY a/b+c= -");
	setenv("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/other", 1);
	ck_assert_str_eq(found(NULL), "profile default: DEFAULTKEY a/b+c= -");
	unlink(to);
}
END_TEST

START_TEST(when_no_keys_are_found_it_says_where_it_looked)
{
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	ck_assert_ptr_nonnull(strstr(why, "AWS_ACCESS_KEY_ID"));
	ck_assert_ptr_nonnull(strstr(why, "/.aws/credentials"));
	ck_assert_ptr_nonnull(strstr(why, "/.aws/config"));
	ck_assert_ptr_nonnull(strstr(why, "anonymous"));
}
END_TEST

static const struct {
	const char *profile, *key, *secret, *says;
} wrong[] = {
	{ "none", NULL, NULL, "profile none" },
	{ "half", NULL, NULL, "aws_secret_access_key" },
	{ "role", NULL, NULL, "source_profile" },
	{ NULL, "K", NULL, "AWS_SECRET_ACCESS_KEY is not" },
	{ NULL, NULL, "hunter2", "AWS_ACCESS_KEY_ID is not" },
	{ NULL, "K\r\nX: y", "hunter2", "control characters" },
	{ NULL, "two words", "hunter2", "spaces" },
};

START_TEST(what_a_person_can_mend_is_said_without_the_secret)
{
	put_usual();
	if (wrong[_i].key != NULL)
		setenv("AWS_ACCESS_KEY_ID", wrong[_i].key, 1);
	if (wrong[_i].secret != NULL)
		setenv("AWS_SECRET_ACCESS_KEY", wrong[_i].secret, 1);
	ck_assert_str_eq(found(wrong[_i].profile), EINVAL_TEXT);
	ck_assert_msg(strstr(why, wrong[_i].says) != NULL, "%s", why);
	ck_assert_ptr_null(strstr(why, "hunter2"));
	ck_assert_ptr_null(strstr(why, "a/b+c"));
}
END_TEST

START_TEST(region_and_endpoint_come_from_environment_then_profile)
{
	struct awsconf c;

	put_usual();
	ck_assert_int_eq(awsconf_read("my team", &c, why), 0);
	ck_assert_str_eq(awsconf_endpoint(&c, "S3"), "http://127.0.0.1:9000");
	ck_assert_ptr_null(awsconf_region(&c));
	awsconf_fini(&c);
	ck_assert_int_eq(awsconf_read("work", &c, why), 0);
	ck_assert_str_eq(awsconf_region(&c), "ap-south-1");
	ck_assert_str_eq(awsconf_endpoint(&c, "S3"), "https://work.example");
	setenv("AWS_DEFAULT_REGION", "eu-north-1", 1);
	ck_assert_str_eq(awsconf_region(&c), "eu-north-1");
	setenv("AWS_REGION", "eu-south-1", 1);
	ck_assert_str_eq(awsconf_region(&c), "eu-south-1");
	setenv("AWS_ENDPOINT_URL", "http://all", 1);
	ck_assert_str_eq(awsconf_endpoint(&c, "S3"), "http://all");
	setenv("AWS_ENDPOINT_URL_S3", "http://s3", 1);
	ck_assert_str_eq(awsconf_endpoint(&c, "S3"), "http://s3");
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
	ck_assert_ptr_null(awsconf_endpoint(&c, "S3"));
	setenv("AWS_CA_BUNDLE", "/ca.pem", 1);
	ck_assert_str_eq(awsconf_ca_bundle(&c), "/ca.pem");
	awsconf_fini(&c);
}
END_TEST

START_TEST(F7_a_file_that_others_can_read_or_change_is_known)
{
	struct awsconf c;
	char path[128];

	put_usual();
	home_path("credentials", path);
	chmod(path, 0600);
	ck_assert_int_eq(awsconf_read("work", &c, why), 0);
	ck_assert(!awsconf_shown_to_others(&c));
	ck_assert(!awsconf_open_to_others(&c));
	awsconf_fini(&c);
	chmod(path, 0644);
	ck_assert_int_eq(awsconf_read("work", &c, why), 0);
	ck_assert(awsconf_shown_to_others(&c));
	ck_assert(!awsconf_open_to_others(&c));
	awsconf_fini(&c);
	chmod(path, 0602);
	ck_assert_int_eq(awsconf_read("work", &c, why), 0);
	ck_assert(awsconf_open_to_others(&c));
	awsconf_fini(&c);
}
END_TEST

START_TEST(keys_are_hidden_from_the_environment_but_not_from_us)
{
	char *secret;

	setenv("AWS_ACCESS_KEY_ID", "ENVKEY", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "envsecret", 1);
	secret = getenv("AWS_SECRET_ACCESS_KEY");
	ck_assert_int_eq(awsconf_hide_keys(), 0);
	ck_assert_str_eq(secret, "");
	ck_assert_ptr_null(getenv("AWS_SECRET_ACCESS_KEY"));
	ck_assert_ptr_null(getenv("AWS_ACCESS_KEY_ID"));
	ck_assert_str_eq(found(NULL), "environment: ENVKEY envsecret -");
	/* What is set later counts more. */
	setenv("AWS_ACCESS_KEY_ID", "", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "", 1);
	put_usual();
	ck_assert_str_eq(found(NULL), "profile default: DEFAULTKEY a/b+c= -");
}
END_TEST

START_TEST(endpoints_are_those_of_the_service_and_the_partition)
{
	struct awsconf c;

	put_usual();
	ck_assert_int_eq(awsconf_read("my team", &c, why), 0);
	ck_assert_ptr_null(awsconf_endpoint(&c, "STS"));
	setenv("AWS_ENDPOINT_URL", "http://all", 1);
	ck_assert_str_eq(awsconf_endpoint(&c, "STS"), "http://all");
	setenv("AWS_ENDPOINT_URL_STS", "http://sts", 1);
	ck_assert_str_eq(awsconf_endpoint(&c, "STS"), "http://sts");
	ck_assert_str_eq(awsconf_endpoint(&c, "S3"), "http://all");
	awsconf_fini(&c);
	ck_assert_str_eq(awsconf_domain("eu-west-1"), "amazonaws.com");
	ck_assert_str_eq(awsconf_domain("us-gov-west-1"), "amazonaws.com");
	ck_assert_str_eq(awsconf_domain("cn-north-1"), "amazonaws.com.cn");
	ck_assert_str_eq(awsconf_domain("us-iso-east-1"), "c2s.ic.gov");
	ck_assert_str_eq(awsconf_domain("us-isob-east-1"), "sc2s.sgov.gov");
	ck_assert_str_eq(awsconf_domain("eusc-de-east-1"), "amazonaws.eu");
}
END_TEST

START_TEST(a_file_of_noise_is_no_keys_and_no_crash)
{
	char noise[4096];
	struct ini *ini;
	unsigned x = 1;

	for (int round = 0; round < 500; round++) {
		for (size_t i = 0; i < sizeof(noise); i++) {
			static const char set[] = "[]=#; \t\n\r\"'ab\0\xff.";

			x = x * 1103515245u + 12345u;
			noise[i] = set[(x >> 16) % (sizeof(set) - 1)];
		}
		ck_assert_int_eq(ini_parse(noise, sizeof(noise), &ini), 0);
		ini_get(ini, "a", "b");
		ini_get(NULL, "a", "b");
		ini_free(ini);
	}
}
END_TEST

static const struct {
	const char *url, *endpoint, *region, *says;
} sources[] = {
	{ "s3://", NULL, NULL, "bucket" },
	{ "s3:///x", NULL, NULL, "bucket" },
	{ "s3://a b/x", NULL, NULL, "bucket" },
	{ "s3://..", NULL, NULL, "bucket" },
	{ "s3://b", "127.0.0.1:9000", NULL, "https://" },
	{ "s3://b", "http://", NULL, "HOST" },
	{ "s3://b", "http://key:hunter2@host", NULL, "never" },
	{ "s3://b", "http://h/?x=1", NULL, "HOST" },
	{ "s3://b", "http://h\r\nX:", NULL, "bytes" },
	{ "s3://b", NULL, "eu west", "region" },
	{ "s3://b", NULL, "evil.example/", "region" },
	{ "s3://bkt", "https://:443", NULL, "HOST" },
	{ "s3://bkt", "http://:9000/s3", NULL, "HOST" },
};

START_TEST(a_source_that_cannot_be_is_refused_in_words)
{
	struct ufs_conf conf = { .url = sources[_i].url,
				 .endpoint = sources[_i].endpoint,
				 .region = sources[_i].region,
				 .anonymous = true };
	struct ufs *u = NULL;

	ck_assert_int_eq(ufs_open(&conf, &u, why), -EINVAL);
	ck_assert_ptr_null(u);
	ck_assert_msg(strstr(why, sources[_i].says) != NULL, "%s", why);
	ck_assert_ptr_null(strstr(why, "hunter2"));
}
END_TEST

static const struct {
	const char *url, *endpoint, *store, *prefix;
} stores[] = {
	{ "s3://bkt", NULL, "s3://s3.amazonaws.com/bkt", "" },
	{ "s3://bkt/", NULL, "s3://s3.amazonaws.com/bkt", "" },
	{ "s3://bkt/a/b", NULL, "s3://s3.amazonaws.com/bkt", "a/b/" },
	{ "s3://bkt/a/b/", NULL, "s3://s3.amazonaws.com/bkt", "a/b/" },
	{ "s3://bkt", "https://HOST:443/", "s3://host/bkt", "" },
	{ "s3://bkt", "http://host:80", "s3://host/bkt", "" },
	{ "s3://bkt", "http://[::1]:9000/s3", "s3://[::1]:9000/s3/bkt", "" },
};

START_TEST(a_store_is_named_by_its_normal_endpoint_and_bucket)
{
	struct ufs_conf conf = { .url = stores[_i].url,
				 .endpoint = stores[_i].endpoint,
				 .anonymous = true };
	struct ufs *u = NULL;

	ck_assert_msg(ufs_open(&conf, &u, why) == 0, "%s", why);
	ck_assert_str_eq(u->store, stores[_i].store);
	ck_assert_str_eq(u->prefix, stores[_i].prefix);
	ck_assert_str_eq(u->access, "anonymous");
	ufs_close(u);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, fresh_home, remove_home);
	tcase_add_test(t, the_environment_comes_before_the_files);
	tcase_add_test(
	    t, a_profile_may_be_named_by_the_environment_and_live_in_config);
	tcase_add_test(t, files_may_stand_elsewhere);
	tcase_add_test(t, when_no_keys_are_found_it_says_where_it_looked);
	tcase_add_loop_test(t,
			    what_a_person_can_mend_is_said_without_the_secret,
			    0, ARRAY_SIZE(wrong));
	tcase_add_test(t,
		       region_and_endpoint_come_from_environment_then_profile);
	tcase_add_test(t, F7_a_file_that_others_can_read_or_change_is_known);
	tcase_add_test(t, endpoints_are_those_of_the_service_and_the_partition);
	tcase_add_test(t, a_file_of_noise_is_no_keys_and_no_crash);
	tcase_add_loop_test(t, a_source_that_cannot_be_is_refused_in_words, 0,
			    ARRAY_SIZE(sources));
	tcase_add_loop_test(t,
			    a_store_is_named_by_its_normal_endpoint_and_bucket,
			    0, ARRAY_SIZE(stores));
	/* Last: what it hides stays hidden in this process. */
	tcase_add_test(t, keys_are_hidden_from_the_environment_but_not_from_us);
	return RUN_CASES(t);
}
