/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_creds_sources.c - the places that hand out keys, as they behave
 *
 * A server in this process answers as STS, SSO, a container's endpoint and
 * instance metadata document it, and in the ways in which they fail.
 */
#include "tests/unit/ufs_server.h"

#include <fcntl.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/creds_home.h"
#include "tests/unit/run.h"
#include "ufs/creds_http.h"
#include "ufs/creds_impl.h"

#define SEEN_MAX 16

/* What the next answers are, and what was asked. */
static struct {
	struct server server;
	atomic_int status;
	const char *body; /* NULL: the right one */
	const char *headers;
	const char *path; /* only answers of this path are those above */
	atomic_bool hold; /* never answer */
	char seen[SEEN_MAX][8192];
} at;

#define ROLE "arn:aws:iam::123456789012:role/reader"

#define STS_OK                                                                 \
	"<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/"           \
	"2011-06-15/\"><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>"     \
	"ARO123:me</AssumedRoleId></AssumedRoleUser><Credentials>"             \
	"<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role/sec+ret"     \
	"</SecretAccessKey><SessionToken>role//token==</SessionToken>"         \
	"<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"          \
	"</AssumeRoleResult></AssumeRoleResponse>"
#define STS_ERROR(code)                                                        \
	"<ErrorResponse><Error><Type>Sender</Type><Code>" code                 \
	"</Code><Message>CANARY</Message></Error></ErrorResponse>"
#define JSON_OK                                                                \
	"{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":"         \
	"\"ASIAJSON\",\"SecretAccessKey\":\"jsonsecret\",\"Token\":"           \
	"\"jsontoken\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"
#define SSO_OK                                                                 \
	"{\"roleCredentials\":{\"accessKeyId\":\"ASIASSO\","                   \
	"\"secretAccessKey\":\"ssosecret\",\"sessionToken\":\"ssotoken\","     \
	"\"expiration\":4070908800000}}"

#define REFRESH_OK                                                             \
	"{\"accessToken\":\"CANARYnewtoken\",\"tokenType\":\"Bearer\","        \
	"\"expiresIn\":3600,\"refreshToken\":\"CANARYnewrefresh\"}"

static void answer(int fd, int status, const char *headers, const char *body)
{
	server_say(fd,
		   "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s"
		   "Connection: close\r\n\r\n",
		   status, strlen(body), headers);
	server_send(fd, body, strlen(body));
}

static bool asks(const char *request, const char *method, const char *path)
{
	size_t m = strlen(method), p = strlen(path);

	return strncmp(request, method, m) == 0 && request[m] == ' ' &&
	       strncmp(request + m + 1, path, p) == 0;
}

/* The right answer of whoever has this path. */
static void answer_right(int fd, const char *request)
{
	if (asks(request, "PUT", "/latest/api/token"))
		answer(fd,
		       strstr(request, "token-ttl-seconds: ") != NULL ? 200
								      : 400,
		       "", "IMDSTOKEN==");
	else if (asks(request, "GET", "/latest/") &&
		 strstr(request, "ec2-metadata-token: IMDSTOKEN==\r\n") == NULL)
		answer(fd, 401, "", "");
	else if (asks(request, "GET",
		      "/latest/meta-data/iam/security-credentials/ "))
		answer(fd, 200, "", "my-role\n");
	else if (asks(request, "GET",
		      "/latest/meta-data/iam/security-credentials/my-role ") ||
		 asks(request, "GET", "/container"))
		answer(fd, 200, "", JSON_OK);
	else if (asks(request, "GET", "/federation/credentials?"))
		answer(fd, 200, "", SSO_OK);
	else if (asks(request, "POST", "/token "))
		answer(fd, 200, "", REFRESH_OK);
	else if (asks(request, "POST", "/ "))
		answer(fd, 200, "", STS_OK);
	else
		answer(fd, 404, "", "");
}

static enum server_then serve(struct server *s, int fd, unsigned nth,
			      const char *request)
{
	(void)s;
	if (nth <= SEEN_MAX)
		snprintf(at.seen[nth - 1], sizeof(at.seen[0]), "%s", request);
	if (atomic_load(&at.hold))
		return SERVER_HOLD;
	if ((at.body != NULL || atomic_load(&at.status) != 0) &&
	    (at.path == NULL || strstr(request, at.path) != NULL))
		answer(fd,
		       atomic_load(&at.status) != 0 ? atomic_load(&at.status)
						    : 200,
		       at.headers != NULL ? at.headers : "",
		       at.body != NULL ? at.body : "");
	else
		answer_right(fd, request);
	return SERVER_CLOSE;
}

static void start(void)
{
	log_open("/dev/null");
	fresh_home();
	memset(&at, 0, sizeof(at));
	server_start(&at.server, serve, NULL);
	setenv("AWS_ENDPOINT_URL_STS", at.server.endpoint, 1);
	setenv("AWS_ENDPOINT_URL_SSO", at.server.endpoint, 1);
	setenv("AWS_ENDPOINT_URL_SSO_OIDC", at.server.endpoint, 1);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", at.server.endpoint, 1);
}

static void finish(void)
{
	server_stop(&at.server);
	remove_home();
	log_open("stderr");
}

static unsigned requests(void)
{
	return atomic_load(&at.server.requests);
}

static void says(const char *words)
{
	ck_assert_msg(strstr(why, words) != NULL, "\"%s\" is not in: %s", words,
		      why);
	ck_assert_ptr_null(strstr(why, "CANARY"));
}

/* ---- roles ---- */

#define ROLE_FOUND "ASIAROLE role/sec+ret role//token=="

static void put_roles(void)
{
	put("credentials", "[base]\naws_access_key_id = BASE\n"
			   "aws_secret_access_key = CANARYbase\n"
			   "aws_session_token = basetoken\n");
	put("config",
	    "[profile reader]\nrole_arn = " ROLE "\nsource_profile = base\n"
	    "external_id = a b&c\nrole_session_name = me@work\n"
	    "duration_seconds = 1800\nregion = eu-west-1\n"
	    "[profile chain]\nrole_arn = arn:aws:iam::1:role/second\n"
	    "source_profile = reader\n"
	    "[profile self]\nrole_arn = " ROLE "\nsource_profile = self\n"
	    "aws_access_key_id = SELF\naws_secret_access_key = CANARYself\n"
	    "[profile noself]\nrole_arn = " ROLE "\nsource_profile = noself\n"
	    "[profile loop1]\nrole_arn = " ROLE "\nsource_profile = loop2\n"
	    "[profile loop2]\nrole_arn = " ROLE "\nsource_profile = loop1\n"
	    "[profile both]\nrole_arn = " ROLE "\nsource_profile = base\n"
	    "credential_source = Environment\n"
	    "[profile gone]\nrole_arn = " ROLE "\nsource_profile = nowhere\n"
	    "[profile mfa]\nrole_arn = " ROLE "\nsource_profile = base\n"
	    "mfa_serial = arn:aws:iam::1:mfa/me\n"
	    "[profile empty]\nregion = eu-west-1\n"
	    "[profile ofempty]\nrole_arn = " ROLE "\nsource_profile = empty\n"
	    "[profile short]\nrole_arn = " ROLE "\nsource_profile = base\n"
	    "duration_seconds = 60\n"
	    "[profile name]\nrole_arn = " ROLE "\nsource_profile = base\n"
	    "role_session_name = two words\n"
	    "[profile env]\nrole_arn = " ROLE "\n"
	    "credential_source = Environment\n"
	    "[profile ecs]\nrole_arn = " ROLE "\n"
	    "credential_source = EcsContainer\n"
	    "[profile ec2]\nrole_arn = " ROLE "\n"
	    "credential_source = Ec2InstanceMetadata\n"
	    "[profile what]\nrole_arn = " ROLE "\ncredential_source = Moon\n"
	    "[profile web]\nrole_arn = " ROLE "\n"
	    "web_identity_token_file = /nowhere/token\n"
	    "[profile webless]\nweb_identity_token_file = /nowhere/token\n");
}

START_TEST(a_role_is_assumed_with_the_keys_of_another_profile)
{
	put_roles();
	ck_assert_str_eq(found("reader"),
			 "role " ROLE " via profile reader: " ROLE_FOUND);
	ck_assert_uint_eq(requests(), 1);
	ck_assert_ptr_nonnull(strstr(
	    at.seen[0],
	    "\r\n\r\nAction=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3A"
	    "iam%3A%3A123456789012%3Arole%2Freader&RoleSessionName=me%40work&"
	    "ExternalId=a%20b%26c&DurationSeconds=1800"));
	ck_assert_ptr_nonnull(strstr(at.seen[0], "Credential=BASE/"));
	ck_assert_ptr_nonnull(
	    strstr(at.seen[0], "/eu-west-1/sts/aws4_request,SignedHeaders="
			       "content-type;host;x-amz-date;"
			       "x-amz-security-token,Signature="));
	ck_assert_ptr_nonnull(
	    strstr(at.seen[0], "x-amz-security-token: basetoken\r\n"));
	ck_assert_ptr_null(strstr(at.seen[0], "CANARY"));
}
END_TEST

START_TEST(roles_may_be_assumed_one_by_another)
{
	put_roles();
	ck_assert_str_eq(
	    found("chain"),
	    "role arn:aws:iam::1:role/second via profile chain: " ROLE_FOUND);
	ck_assert_uint_eq(requests(), 2);
	ck_assert_ptr_nonnull(strstr(at.seen[0], "Credential=BASE/"));
	ck_assert_ptr_nonnull(strstr(at.seen[1], "Credential=ASIAROLE/"));
	ck_assert_ptr_nonnull(
	    strstr(at.seen[1], "x-amz-security-token: role//token==\r\n"));
	/* A profile may be its own source. */
	ck_assert_str_eq(found("self"),
			 "role " ROLE " via profile self: " ROLE_FOUND);
	ck_assert_ptr_nonnull(strstr(at.seen[2], "Credential=SELF/"));
}
END_TEST

START_TEST(the_source_of_a_role_may_be_elsewhere)
{
	put_roles();
	setenv("AWS_ACCESS_KEY_ID", "ENVKEY", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "CANARYenv", 1);
	ck_assert_str_eq(found("env"),
			 "role " ROLE " via profile env: " ROLE_FOUND);
	ck_assert_ptr_nonnull(strstr(at.seen[0], "Credential=ENVKEY/"));
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x", 1);
	ck_assert_str_eq(found("ecs"), EINVAL_TEXT);
	char url[128];
	snprintf(url, sizeof(url), "%s/container", at.server.endpoint);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	ck_assert_str_eq(found("ecs"),
			 "role " ROLE " via profile ecs: " ROLE_FOUND);
	unsetenv("AWS_EC2_METADATA_DISABLED");
	ck_assert_str_eq(found("ec2"),
			 "role " ROLE " via profile ec2: " ROLE_FOUND);
	ck_assert_uint_eq(requests(), 1 + 2 + 4);
	ck_assert_ptr_nonnull(strstr(at.seen[6], "Credential=ASIAJSON/"));
}
END_TEST

static const struct {
	const char *profile, *says;
} bad_roles[] = {
	{ "noself", "leads back to profile noself" },
	{ "loop1", "leads back to profile loop1" },
	{ "both", "one of source_profile and credential_source" },
	{ "gone", "source_profile nowhere of profile gone is neither in" },
	{ "mfa", "MFA" },
	{ "ofempty", "source_profile empty of profile ofempty has no keys" },
	{ "short", "duration_seconds of " ROLE ": give 900 to 43200" },
	{ "name", "role_session_name" },
	{ "env", "credential_source Environment, which has none here" },
	{ "ecs", "credential_source EcsContainer, which has none here" },
	{ "ec2", "profile ec2: EC2 metadata is switched off" },
	{ "what", "give Environment, EcsContainer or Ec2InstanceMetadata" },
	{ "web",
	  "cannot read the web identity token, /nowhere/token: No such" },
	{ "webless", "but no role_arn" },
};

START_TEST(a_role_that_cannot_be_is_refused_in_words)
{
	put_roles();
	ck_assert_str_eq(found(bad_roles[_i].profile), EINVAL_TEXT);
	says(bad_roles[_i].says);
	ck_assert_uint_eq(requests(), 0);
}
END_TEST

START_TEST(a_pod_has_the_role_of_its_web_identity)
{
	char path[128];

	put_roles();
	put("token", "eyJ.to+ken.sig\n");
	home_path("token", path);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	says("AWS_ROLE_ARN is not");
	setenv("AWS_ROLE_ARN", ROLE, 1);
	setenv("AWS_ROLE_SESSION_NAME", "pod-7", 1);
	ck_assert_str_eq(found(NULL),
			 "role " ROLE " via web identity: " ROLE_FOUND);
	ck_assert_ptr_nonnull(strstr(
	    at.seen[0], "\r\n\r\nAction=AssumeRoleWithWebIdentity&Version=2011-"
			"06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3A"
			"role%2Freader&RoleSessionName=pod-7&"
			"WebIdentityToken=eyJ.to%2Bken.sig"));
	ck_assert_ptr_null(strstr(at.seen[0], "Authorization"));
	/* Keys of the environment count more, a profile's do not. */
	setenv("AWS_ACCESS_KEY_ID", "ENVKEY", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	ck_assert_str_eq(found(NULL), "environment: ENVKEY s -");
}
END_TEST

static const struct {
	int status;
	const char *body, *says;
} bad_sts[] = {
	{ 403, STS_ERROR("AccessDenied"), "403 AccessDenied; these keys need" },
	{ 403, STS_ERROR("ExpiredToken"), "the keys that ask have expired" },
	{ 400, STS_ERROR("ValidationError"), "check role_arn" },
	{ 403, STS_ERROR("RegionDisabledException"), "AWS_REGION" },
	{ 403, STS_ERROR("CANARY <b>"), ": 403; check" },
	{ 403, "", ": 403; check" },
	{ 403, "{\"no\": \"XML\"}", ": 403; check" },
	{ 503, STS_ERROR("ServiceUnavailable"), "503 ServiceUnavailable" },
	{ 302, "", "302" },
	{ 200, "", "not what STS answers" },
	{ 200, "{\"CANARY\": 1}", "not what STS answers" },
	{ 200, "<html>CANARY</html>", "no keys of a role" },
	{ 200, "<a><Credentials><AccessKeyId>X</AccessKeyId></Credentials></a>",
	  "no keys of a role" },
	{ 200,
	  "<!DOCTYPE x [<!ENTITY e \"CANARY\">]><a><Credentials><AccessKeyId>"
	  "&e;</AccessKeyId></Credentials></a>",
	  "not what STS answers" },
	{ 200,
	  "<a><Credentials><AccessKeyId>X Y</AccessKeyId><SecretAccessKey>"
	  "CANARY</SecretAccessKey><SessionToken>t</SessionToken><Expiration>"
	  "2099-01-01T00:00:00Z</Expiration></Credentials></a>",
	  "spaces or control characters" },
	{ 200,
	  "<a><Credentials><AccessKeyId>X</AccessKeyId><SecretAccessKey>"
	  "CANARY</SecretAccessKey><SessionToken>t</SessionToken><Expiration>"
	  "soon</Expiration></Credentials></a>",
	  "no keys of a role" },
};

START_TEST(what_STS_refuses_or_gets_wrong_is_said_without_a_secret)
{
	put_roles();
	atomic_store(&at.status, bad_sts[_i].status);
	at.body = bad_sts[_i].body;
	at.headers = "Location: http://127.0.0.1:1/\r\n";
	ck_assert_str_eq(found("reader"), EINVAL_TEXT);
	says(bad_sts[_i].says);
	/* What may pass is tried again, and no redirect is followed. */
	ck_assert_uint_eq(requests(), bad_sts[_i].status == 503 ? 3 : 1);
}
END_TEST

START_TEST(STS_is_asked_again_with_its_own_time)
{
	put_roles();
	at.body = STS_ERROR("SignatureDoesNotMatch");
	atomic_store(&at.status, 403);
	at.headers = "Date: Tue, 01 Jan 2036 00:00:00 GMT\r\n";
	ck_assert_str_eq(found("reader"), EINVAL_TEXT);
	ck_assert_uint_eq(requests(), 2);
	ck_assert_ptr_nonnull(strstr(at.seen[1], "x-amz-date: 20360101T0000"));
}
END_TEST

/* ---- containers ---- */

static void container_url(const char *path)
{
	char url[160];

	snprintf(url, sizeof(url), "%s%s", at.server.endpoint, path);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
}

START_TEST(a_container_has_the_keys_of_its_endpoint)
{
	char wanted[256];

	container_url("/container?x=1");
	snprintf(wanted, sizeof(wanted),
		 "the container's role, from 127.0.0.1:%d: ASIAJSON "
		 "jsonsecret jsontoken",
		 at.server.port);
	ck_assert_str_eq(found(NULL), wanted);
	ck_assert(asks(at.seen[0], "GET", "/container?x=1 HTTP/1.1"));
	ck_assert_ptr_null(strcasestr(at.seen[0], "Authorization"));
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc", 1);
	ck_assert_str_eq(found(NULL), wanted);
	ck_assert_ptr_nonnull(
	    strstr(at.seen[1], "\r\nAuthorization: Basic abc\r\n"));
}
END_TEST

START_TEST(the_token_of_a_pod_is_read_each_time)
{
	const struct creds_conf conf = { 0 };
	struct creds_chain *c;
	char path[128];

	container_url("/container");
	put("token", "first\n");
	home_path("token", path);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this", 1);
	ck_assert_int_eq(creds_open(&conf, &c, why), 0);
	ck_assert_ptr_nonnull(
	    strstr(at.seen[0], "\r\nAuthorization: first\r\n"));
	put("token", "second");
	ck_assert_int_eq(creds_refresh(c, 0, CREDS_REFUSED,
				       clock_ns() + 20 * NSEC_PER_SEC, NULL),
			 CREDS_SAME);
	ck_assert_ptr_nonnull(
	    strstr(at.seen[1], "\r\nAuthorization: second\r\n"));
	creds_close(c);
	put("token", "two\nlines CANARY");
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	says("newline");
	put("token", "");
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	says("it is empty");
	ck_assert_uint_eq(requests(), 2);
}
END_TEST

static const struct {
	const char *variable, *value, *says;
} bad_containers[] = {
	{ "FULL", "http://10.0.0.1/x?CANARY", "only a loopback address" },
	{ "FULL", "http://example.com/CANARY", "only a loopback address" },
	{ "FULL", "http://169.254.169.254/x", "only a loopback address" },
	{ "FULL", "http://127.0.0.1.example.com/", "only a loopback address" },
	{ "FULL", "http://localhost:80@example.com/", "no URL of the form" },
	{ "FULL", "http://example.com\\@127.0.0.1/", "no URL of the form" },
	{ "FULL", "http://[::2]/", "only a loopback address" },
	{ "FULL", "file:///etc/passwd", "no URL of the form" },
	{ "FULL", "gopher://127.0.0.1/", "no URL of the form" },
	{ "FULL", "http://127.0.0.1/a b", "no URL of the form" },
	{ "RELATIVE", "@10.0.0.1/x", "no path that begins with /" },
	{ "RELATIVE", ".example.com/x", "no path that begins with /" },
};

START_TEST(only_the_hosts_that_AWS_names_are_asked_without_TLS)
{
	char name[64];

	snprintf(name, sizeof(name), "AWS_CONTAINER_CREDENTIALS_%s_URI",
		 bad_containers[_i].variable);
	setenv(name, bad_containers[_i].value, 1);
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	says(bad_containers[_i].says);
	ck_assert_uint_eq(requests(), 0);
}
END_TEST

static const struct {
	int status;
	const char *body, *says;
	unsigned tries;
} bad_json[] = {
	{ 401, "CANARY", "answered 401; check the container's token", 1 },
	{ 404, "", "404", 1 },
	{ 500, "", "500", 3 },
	{ 301, "", "a redirect is not followed", 1 },
	{ 200, "", "no JSON object", 1 },
	{ 200, "{\"AccessKeyId\": \"CANARY\"", "no JSON object", 1 },
	{ 200, "[1]", "no JSON object", 1 },
	{ 200, "{}", "has no AccessKeyId", 1 },
	{ 200, "{\"AccessKeyId\":7}", "has no AccessKeyId", 1 },
	{ 200,
	  "{\"AccessKeyId\":\"K\",\"SecretAccessKey\":\"CANARY\",\"Token\":"
	  "\"t\"}",
	  "has no Expiration", 1 },
	{ 200,
	  "{\"AccessKeyId\":\"K\",\"SecretAccessKey\":\"CANARY\",\"Token\":"
	  "\"t\",\"Expiration\":\"tomorrow\"}",
	  "Expiration is no time", 1 },
	{ 200,
	  "{\"AccessKeyId\":\"K\\nX\",\"SecretAccessKey\":\"CANARY\","
	  "\"Token\":\"t\",\"Expiration\":\"2099-01-01T00:00:00Z\"}",
	  "spaces or control characters", 1 },
};

START_TEST(what_a_container_gets_wrong_is_said_without_a_secret)
{
	container_url("/container");
	atomic_store(&at.status, bad_json[_i].status);
	at.body = bad_json[_i].body;
	at.headers = "Location: /container\r\n";
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	says(bad_json[_i].says);
	ck_assert_uint_eq(requests(), bad_json[_i].tries);
}
END_TEST

/* ---- instance metadata ---- */

START_TEST(an_instance_has_the_keys_of_its_role_by_IMDSv2_only)
{
	unsetenv("AWS_EC2_METADATA_DISABLED");
	ck_assert_str_eq(found(NULL), "role my-role of this EC2 instance: "
				      "ASIAJSON jsonsecret jsontoken");
	ck_assert_uint_eq(requests(), 3);
	ck_assert(asks(at.seen[0], "PUT", "/latest/api/token "));
	ck_assert_ptr_nonnull(strstr(
	    at.seen[0], "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"));
	ck_assert_ptr_nonnull(strstr(at.seen[0], "Content-Length: 0\r\n"));
	/* An IMDS that has no tokens is not asked without one. */
	at.path = "PUT ";
	atomic_store(&at.status, 405);
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	says("answered 405 to the request for a token");
	ck_assert_uint_eq(requests(), 4);
}
END_TEST

START_TEST(where_no_metadata_answers_it_takes_a_second_once)
{
	int64_t begin = clock_ns();

	unsetenv("AWS_EC2_METADATA_DISABLED");
	atomic_store(&at.hold, true);
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	says("no keys found");
	says("EC2 metadata does not answer");
	says("anonymous");
	ck_assert_uint_eq(requests(), 1);
	ck_assert_int_ge(clock_ns() - begin, NSEC_PER_SEC - NSEC_PER_MSEC);
	ck_assert_int_lt(clock_ns() - begin, 3 * NSEC_PER_SEC);
	/* A port that nobody listens on is no error either. */
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	says("no keys found");
}
END_TEST

static const struct {
	const char *path;
	int status;
	const char *body, *says;
} bad_imds[] = {
	{ "credentials/ ", 404, "", "the EC2 instance has no role" },
	{ "credentials/ ", 200, "\n", "the EC2 instance has no role" },
	{ "credentials/ ", 307, "", "a redirect is not followed" },
	{ "PUT ", 302, "", "a redirect is not followed" },
	{ "PUT ", 200, "two words", "a token that is none" },
	{ "my-role ", 200,
	  "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"CANARY\"}",
	  "my-role: AssumeRoleUnauthorizedAccess" },
	{ "my-role ", 200, "CANARY", "no JSON object" },
	{ "my-role ", 404, "CANARY", "answered 404 to the request for the" },
};

START_TEST(what_metadata_gets_wrong_is_said_without_a_secret)
{
	unsetenv("AWS_EC2_METADATA_DISABLED");
	at.path = bad_imds[_i].path;
	atomic_store(&at.status, bad_imds[_i].status);
	at.body = bad_imds[_i].body;
	at.headers = "Location: /container\r\n";
	ck_assert_str_eq(found(NULL), EINVAL_TEXT);
	says(bad_imds[_i].says);
	for (unsigned i = 0; i < SEEN_MAX; i++)
		ck_assert_ptr_null(strstr(at.seen[i], "/container"));
}
END_TEST

START_TEST(metadata_is_the_last_that_is_asked)
{
	unsetenv("AWS_EC2_METADATA_DISABLED");
	put("credentials", "[default]\naws_access_key_id = K\n"
			   "aws_secret_access_key = s\n");
	ck_assert_str_eq(found(NULL), "profile default: K s -");
	ck_assert_uint_eq(requests(), 0);
	/* A profile that says nothing of keys does not end the search. */
	put("config", "[profile region]\nregion = eu-west-1\n");
	ck_assert_str_eq(found("region"),
			 "role my-role of this EC2 instance: ASIAJSON "
			 "jsonsecret jsontoken");
	setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
	ck_assert_str_eq(found("region"), EINVAL_TEXT);
	says("profile region");
	says("switched off");
}
END_TEST

/* ---- SSO ---- */

static void put_sso(void)
{
	put("config",
	    "[sso-session corp]\nsso_region = eu-central-1\n"
	    "sso_start_url = https://corp.awsapps.com/start\n"
	    "[profile new]\nsso_session = corp\nsso_account_id = 123456789012\n"
	    "sso_role_name = Reader One\n"
	    "[profile old]\nsso_start_url = https://corp.awsapps.com/start\n"
	    "sso_region = eu-central-1\nsso_account_id = 123456789012\n"
	    "sso_role_name = Reader\n"
	    "[profile other]\nsso_session = corp\nsso_region = us-east-1\n"
	    "sso_account_id = 1\nsso_role_name = R\n"
	    "[profile lost]\nsso_session = none\nsso_account_id = 1\n"
	    "sso_role_name = R\n"
	    "[profile half]\nsso_session = corp\nsso_role_name = R\n");
}

/* In the file whose name is the SHA-1 of what the login is of. */
static void put_login(const char *of, const char *text)
{
	char command[256], name[128];
	FILE *p;

	snprintf(command, sizeof(command),
		 "mkdir -p %s/.aws/sso/cache; printf %%s '%s' | sha1sum", home,
		 of);
	p = popen(command, "r");
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(fscanf(p, "%40s", command), 1);
	pclose(p);
	snprintf(name, sizeof(name), "sso/cache/%.40s.json", command);
	put(name, text);
}

#define LOGIN(until)                                                           \
	"{\"accessToken\": \"CANARYtoken\", \"expiresAt\": \"" until           \
	"\", \"region\": \"eu-central-1\"}"

START_TEST(an_SSO_login_gives_keys_of_a_role)
{
	put_sso();
	put_login("corp", LOGIN("2099-01-01T00:00:00Z"));
	ck_assert_str_eq(found("new"),
			 "SSO role Reader One of account 123456789012 via "
			 "profile new: ASIASSO ssosecret ssotoken");
	ck_assert(asks(at.seen[0], "GET",
		       "/federation/credentials?role_name=Reader%20One&"
		       "account_id=123456789012 "));
	ck_assert_ptr_nonnull(
	    strstr(at.seen[0], "x-amz-sso_bearer_token: CANARYtoken\r\n"));
	/* As of old, with the time as of old. */
	put_login("https://corp.awsapps.com/start",
		  LOGIN("2099-01-01T00:00:00UTC"));
	ck_assert_str_eq(found("old"),
			 "SSO role Reader of account 123456789012 via "
			 "profile old: ASIASSO ssosecret ssotoken");
}
END_TEST

static const struct {
	const char *profile, *login;
	int status;
	const char *says;
} bad_sso[] = {
	{ "new", NULL, 0, "is not there; run `aws sso login --profile new`" },
	{ "new", LOGIN("2001-01-01T00:00:00Z"), 0,
	  "of profile new has expired; run `aws sso login --profile new`" },
	{ "new", LOGIN("never"), 0, "cannot be read; run `aws sso login" },
	{ "new", "{\"CANARY", 0, "cannot be read; run `aws sso login" },
	{ "new", LOGIN("2099-01-01T00:00:00Z"), 401,
	  "is not valid any more; run `aws sso login --profile new`" },
	{ "new", LOGIN("2099-01-01T00:00:00Z"), 403, "assigned to you" },
	{ "new", LOGIN("2099-01-01T00:00:00Z"), 200, "no roleCredentials" },
	{ "other", NULL, 0, "sso_region of profile other and of sso-session" },
	{ "lost", NULL, 0, "sso-session none has no sso_start_url" },
	{ "half", NULL, 0, "profile half has no sso_account_id" },
};

START_TEST(what_is_wrong_with_an_SSO_login_is_said)
{
	put_sso();
	if (bad_sso[_i].login != NULL)
		put_login("corp", bad_sso[_i].login);
	atomic_store(&at.status, bad_sso[_i].status);
	at.body = bad_sso[_i].status != 0 ? "{\"message\": \"CANARY\"}" : NULL;
	ck_assert_str_eq(found(bad_sso[_i].profile), EINVAL_TEXT);
	says(bad_sso[_i].says);
}
END_TEST

/* A login of the session that ends in so many seconds, as the CLI has it. */
static void put_session(int seconds, const char *registration)
{
	char text[640], until[40];
	time_t end = time(NULL) + seconds;
	struct tm tm;

	gmtime_r(&end, &tm);
	strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(
	    text, sizeof(text),
	    "{\"startUrl\": \"https://corp.awsapps.com/start\", "
	    "\"region\": \"eu-central-1\", \"accessToken\": "
	    "\"CANARYold\", \"expiresAt\": \"%s\", \"clientId\": \"client\", "
	    "\"clientSecret\": \"CANARYclient\", "
	    "\"registrationExpiresAt\": \"%s\", \"refreshToken\": "
	    "\"CANARYrefresh\"}",
	    until, registration);
	put_login("corp", text);
}

#define SSO_FOUND                                                              \
	"SSO role Reader One of account 123456789012 via profile new: "        \
	"ASIASSO ssosecret ssotoken"

static json_t *session_file(void)
{
	struct stat st;
	char path[256];
	json_t *o;
	FILE *p;

	snprintf(path, sizeof(path), "ls %s/.aws/sso/cache/*", home);
	p = popen(path, "r");
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(fscanf(p, "%255s", path), 1);
	pclose(p);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	o = json_load_file(path, 0, NULL);
	ck_assert_ptr_nonnull(o);
	return o;
}

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

START_TEST(an_SSO_session_is_refreshed_and_kept_for_all)
{
	json_t *o;
	int64_t end = 0;

	put_sso();
	/* Already over, or soon. */
	put_session(_i == 0 ? -10 : 600, "2099-01-01T00:00:00Z");
	ck_assert_str_eq(found("new"), SSO_FOUND);
	ck_assert_uint_eq(requests(), 2);
	ck_assert(asks(at.seen[0], "POST", "/token "));
	ck_assert_ptr_nonnull(
	    strstr(at.seen[0], "\r\nContent-Type: application/json\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(at.seen[0], "{\"grantType\":\"refresh_token\",\"clientId\":"
			       "\"client\",\"clientSecret\":\"CANARYclient\","
			       "\"refreshToken\":\"CANARYrefresh\"}"));
	ck_assert_ptr_nonnull(
	    strstr(at.seen[1], "x-amz-sso_bearer_token: CANARYnewtoken\r\n"));
	o = session_file();
	ck_assert_str_eq(text_of(o, "accessToken"), "CANARYnewtoken");
	ck_assert_str_eq(text_of(o, "refreshToken"), "CANARYnewrefresh");
	ck_assert_str_eq(text_of(o, "clientSecret"), "CANARYclient");
	ck_assert_str_eq(text_of(o, "startUrl"),
			 "https://corp.awsapps.com/start");
	ck_assert(creds_time(text_of(o, "expiresAt"), &end));
	ck_assert_int_gt(end, clock_wall_ns() + 3500 * NSEC_PER_SEC);
	json_decref(o);
	/* The next one finds it fresh. */
	ck_assert_str_eq(found("new"), SSO_FOUND);
	ck_assert_uint_eq(requests(), 3);
}
END_TEST

START_TEST(an_SSO_session_that_cannot_be_refreshed_serves_to_its_end)
{
	put_sso();
	at.path = "POST /token";
	atomic_store(&at.status, 400);
	at.body = "{\"error\": \"invalid_grant\", \"x\": \"CANARY\"}";
	put_session(600, "2099-01-01T00:00:00Z");
	ck_assert_str_eq(found("new"), SSO_FOUND);
	ck_assert_ptr_nonnull(
	    strstr(at.seen[1], "x-amz-sso_bearer_token: CANARYold\r\n"));
	ck_assert_uint_eq(requests(), 2);
	put_session(-10, "2099-01-01T00:00:00Z");
	ck_assert_str_eq(found("new"), EINVAL_TEXT);
	says("has expired; run `aws sso login --profile new`");
	ck_assert_uint_eq(requests(), 3);
	/* A registration that is over is not tried. */
	put_session(-10, "2001-01-01T00:00:00Z");
	ck_assert_str_eq(found("new"), EINVAL_TEXT);
	says("has expired; run `aws sso login --profile new`");
	ck_assert_uint_eq(requests(), 3);
	/* A failure that may pass is tried again. */
	atomic_store(&at.status, 503);
	put_session(-10, "2099-01-01T00:00:00Z");
	ck_assert_str_eq(found("new"), EINVAL_TEXT);
	says("cannot be refreshed now");
	ck_assert_uint_eq(requests(), 6);
}
END_TEST

/* ---- the connection ---- */

START_TEST(a_name_that_leads_elsewhere_gets_nothing_by_plain_HTTP)
{
	struct creds_call call = { .method = "GET", .timeout = NSEC_PER_SEC };
	struct creds_answer a;

	text_adds(&call.url, "http://192.0.2.1/");
	ck_assert_int_eq(creds_http(&call, &a, why), -EINVAL);
	says("192.0.2.1: keys are not fetched by plain HTTP");
	creds_answer_wipe(&a);
	text_adds(&call.url, "http://[2001:db8::1]/");
	ck_assert_int_eq(creds_http(&call, &a, why), -EINVAL);
	creds_answer_wipe(&a);
	/* Nor does a proxy see it. */
	setenv("http_proxy", "http://192.0.2.1:3128", 1);
	text_addf(&call.url, "%s/container", at.server.endpoint);
	ck_assert_int_eq(creds_http(&call, &a, why), 0);
	ck_assert_int_eq(a.status, 200);
	creds_answer_wipe(&a);
	text_adds(&call.url, "ftp://127.0.0.1/");
	ck_assert_int_eq(creds_http(&call, &a, why), -EINVAL);
	creds_answer_wipe(&a);
}
END_TEST

START_TEST(an_answer_without_end_is_cut)
{
	static char big[KIB(80)];
	struct creds_call call = { .method = "GET",
				   .timeout = 5 * NSEC_PER_SEC };
	struct creds_answer a;

	memset(big, 'x', sizeof(big) - 1);
	at.body = big;
	text_addf(&call.url, "%s/", at.server.endpoint);
	ck_assert_int_eq(creds_http(&call, &a, why), -EINVAL);
	says("too long");
	creds_answer_wipe(&a);
}
END_TEST

START_TEST(an_endpoint_that_hangs_is_given_up_and_can_be_cancelled)
{
	struct cancel cancel = { .set = true };
	struct creds_call call = { .method = "GET",
				   .timeout = NSEC_PER_SEC / 2 };
	struct creds_answer a;
	int64_t begin = clock_ns();

	atomic_store(&at.hold, true);
	text_addf(&call.url, "%s/x?CANARY", at.server.endpoint);
	ck_assert_int_eq(creds_http(&call, &a, why), -EAGAIN);
	says("did not answer within 0.5 s");
	ck_assert_int_lt(clock_ns() - begin, 3 * NSEC_PER_SEC);
	creds_answer_wipe(&a);
	call.timeout = 60 * NSEC_PER_SEC;
	call.cancel = &cancel;
	begin = clock_ns();
	text_addf(&call.url, "%s/", at.server.endpoint);
	ck_assert_int_eq(creds_http(&call, &a, why), -ECANCELED);
	ck_assert_int_lt(clock_ns() - begin, 5 * NSEC_PER_SEC);
	creds_answer_wipe(&a);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, start, finish);
	tcase_add_test(t, a_role_is_assumed_with_the_keys_of_another_profile);
	tcase_add_test(t, roles_may_be_assumed_one_by_another);
	tcase_add_test(t, the_source_of_a_role_may_be_elsewhere);
	tcase_add_loop_test(t, a_role_that_cannot_be_is_refused_in_words, 0,
			    ARRAY_SIZE(bad_roles));
	tcase_add_test(t, a_pod_has_the_role_of_its_web_identity);
	tcase_add_loop_test(
	    t, what_STS_refuses_or_gets_wrong_is_said_without_a_secret, 0,
	    ARRAY_SIZE(bad_sts));
	tcase_add_test(t, STS_is_asked_again_with_its_own_time);
	tcase_add_test(t, a_container_has_the_keys_of_its_endpoint);
	tcase_add_test(t, the_token_of_a_pod_is_read_each_time);
	tcase_add_loop_test(t,
			    only_the_hosts_that_AWS_names_are_asked_without_TLS,
			    0, ARRAY_SIZE(bad_containers));
	tcase_add_loop_test(
	    t, what_a_container_gets_wrong_is_said_without_a_secret, 0,
	    ARRAY_SIZE(bad_json));
	tcase_add_test(t, an_instance_has_the_keys_of_its_role_by_IMDSv2_only);
	tcase_add_test(t, where_no_metadata_answers_it_takes_a_second_once);
	tcase_add_loop_test(t,
			    what_metadata_gets_wrong_is_said_without_a_secret,
			    0, ARRAY_SIZE(bad_imds));
	tcase_add_test(t, metadata_is_the_last_that_is_asked);
	tcase_add_test(t, an_SSO_login_gives_keys_of_a_role);
	tcase_add_loop_test(t, what_is_wrong_with_an_SSO_login_is_said, 0,
			    ARRAY_SIZE(bad_sso));
	tcase_add_loop_test(t, an_SSO_session_is_refreshed_and_kept_for_all, 0,
			    2);
	tcase_add_test(
	    t, an_SSO_session_that_cannot_be_refreshed_serves_to_its_end);
	tcase_add_test(t,
		       a_name_that_leads_elsewhere_gets_nothing_by_plain_HTTP);
	tcase_add_test(t, an_answer_without_end_is_cut);
	tcase_add_test(t,
		       an_endpoint_that_hangs_is_given_up_and_can_be_cancelled);
	return RUN_CASES(t);
}
