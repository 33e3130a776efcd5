/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.c - objsim's control interface, by libcurl
 *
 * A test's store has to be there: a request to it that fails ends the run.
 */
#include "tests/tools/refmodel-parts/sim.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>

#include "base/clock.h"

/* What was under way when the faults ended may still fail. */
#define AFTER_CALM_NS NSEC_PER_SEC

struct sim {
	const char *url;
	char bucket[24];
	CURL *curl;
	long fired; /* of the rules before the calm */
	int64_t calmed;
};

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	char *to = arg;
	size_t have = strlen(to), more = MIN(n * size, 100 - have);

	memcpy(to + have, p, more);
	to[have + more] = '\0';
	return n * size;
}

/* POST body (NULL: a GET); the first 100 bytes of the answer. */
static void ask(struct sim *s, const char *what, const char *body,
		char answer[static 101])
{
	char url[1024];
	long status = 0;
	CURLcode r;

	snprintf(url, sizeof(url), "%s/_sim/%s", s->url, what);
	answer[0] = '\0';
	curl_easy_reset(s->curl);
	curl_easy_setopt(s->curl, CURLOPT_URL, url);
	curl_easy_setopt(s->curl, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, answer);
	if (body != NULL)
		curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, body);
	r = curl_easy_perform(s->curl);
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	if (r != CURLE_OK || status != 200) {
		fprintf(stderr, "refmodel: %s: %s, %ld %s\n", url,
			curl_easy_strerror(r), status, answer);
		abort();
	}
}

struct sim *sim_new(unsigned number, unsigned filler)
{
	const char *url = getenv("REFMODEL_SIM");
	struct sim *s;
	char what[200], answer[101];

	if (url == NULL)
		return NULL;
	s = calloc(1, sizeof(*s));
	must(s == NULL);
	s->url = url;
	s->curl = curl_easy_init();
	must(s->curl == NULL);
	snprintf(s->bucket, sizeof(s->bucket), "bucket%u", number);
	snprintf(what, sizeof(what), "bucket?name=%s", s->bucket);
	ask(s, what, "", answer);
	snprintf(what, sizeof(what), "many?bucket=%s&prefix=w/f&n=%u&size=7",
		 s->bucket, filler);
	if (filler > 0)
		ask(s, what, "", answer);
	return s;
}

void sim_free(struct sim *s)
{
	char what[64], answer[101];

	if (s == NULL)
		return;
	snprintf(what, sizeof(what), "rmbucket?name=%s", s->bucket);
	ask(s, what, "", answer);
	curl_easy_cleanup(s->curl);
	free(s);
}

const char *sim_url(const struct sim *s)
{
	return s->url;
}

const char *sim_bucket(const struct sim *s)
{
	return s->bucket;
}

void sim_put(struct sim *s, const char *key, const struct version *v)
{
	char what[400], answer[101];

	snprintf(what, sizeof(what),
		 "put?bucket=%s&key=%s&size=%" PRIu64
		 "&seed=%u&etag=v%u&mtime=%" PRId64,
		 s->bucket, key, v->size, v->id, v->id,
		 v->mtime / NSEC_PER_SEC);
	ask(s, what, "", answer);
}

void sim_delete(struct sim *s, const char *key)
{
	char what[200], answer[101];

	snprintf(what, sizeof(what), "delete?bucket=%s&key=%s", s->bucket, key);
	ask(s, what, "", answer);
}

void sim_fault(struct sim *s, const struct op *op)
{
	static const char *const faults[] = {
		"\"op\":\"GET\",\"status\":503",
		"\"op\":\"GET\",\"after_bytes\":3000,\"then\":\"rst\"",
		"\"op\":\"GET\",\"after_bytes\":200000,\"then\":\"fin\"",
		"\"op\":\"GET\",\"content_range\":\"shifted\"",
		"\"op\":\"GET\",\"content_range\":\"absent\"",
		"\"op\":\"GET\",\"length_add\":-1",
		"\"op\":\"GET\",\"etag\":\"v888888\"",
		"\"op\":\"GET\",\"whole\":true",
		"\"op\":\"GET\",\"delay_ms\":150",
		"\"op\":\"GET\",\"status\":403,\"code\":\"AccessDenied\"",
		"\"op\":\"HEAD\",\"status\":500",
		"\"op\":\"LIST\",\"status\":503",
		"\"op\":\"LIST\",\"after_bytes\":30,\"then\":\"fin\"",
	};
	char rule[300], answer[101];

	snprintf(rule, sizeof(rule), "{%s,\"nth\":%u,\"count\":%u}",
		 faults[op->a % ARRAY_SIZE(faults)], 1 + op->b % 3,
		 1 + op->c % 4);
	ask(s, "rules", rule, answer);
}

static long fired(struct sim *s)
{
	char answer[101];

	ask(s, "fired", NULL, answer);
	return strtol(answer, NULL, 10);
}

void sim_calm(struct sim *s)
{
	char answer[101];

	s->fired = fired(s);
	s->calmed = clock_ns();
	ask(s, "clear", "", answer);
}

bool sim_failed(struct sim *s)
{
	return fired(s) > 0 ||
	       (s->fired > 0 && clock_ns() - s->calmed < AFTER_CALM_NS);
}

int sim_json_handles(FILE *status)
{
	json_t *all = json_loadf(status, 0, NULL);
	json_t *mount = json_array_get(json_object_get(all, "mounts"), 0);
	json_t *n =
	    json_object_get(json_object_get(mount, "counters"), "handles");
	int handles = json_is_integer(n) ? (int)json_integer_value(n) : -1;

	json_decref(all);
	return handles;
}
