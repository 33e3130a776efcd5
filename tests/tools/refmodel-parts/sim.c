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
	long fired;     /* of the rules before the calm */
	long fired_all; /* of those before that one, too */
	int64_t calmed;
};

struct answer {
	char *p;
	size_t n, room;
};

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct answer *to = arg;
	size_t more = MIN(n * size, to->room - to->n);

	memcpy(to->p + to->n, p, more);
	to->n += more;
	return n * size;
}

/*
 * POST n bytes of body (NULL: a GET); as much of the answer as there is room
 * for. 200, or 404 if that may be.
 */
static long ask_for(struct sim *s, const char *what, const void *body, size_t n,
		    bool may_miss, struct answer *answer)
{
	char url[1024];
	long status = 0;
	CURLcode r;

	snprintf(url, sizeof(url), "%s/_sim/%s", s->url, what);
	curl_easy_reset(s->curl);
	curl_easy_setopt(s->curl, CURLOPT_URL, url);
	curl_easy_setopt(s->curl, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, answer);
	if (body != NULL) {
		curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(s->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)n);
	}
	r = curl_easy_perform(s->curl);
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	if (r != CURLE_OK || (status != 200 && (status != 404 || !may_miss))) {
		fprintf(stderr, "refmodel: %s: %s, %ld %.*s\n", url,
			curl_easy_strerror(r), status, (int)answer->n,
			answer->p);
		abort();
	}
	return status;
}

/* POST a text (NULL: a GET); the first 100 bytes of the answer. */
static void ask(struct sim *s, const char *what, const char *body,
		char answer[static 101])
{
	struct answer to = { .p = answer, .room = 100 };

	ask_for(s, what, body, body != NULL ? strlen(body) : 0, false, &to);
	answer[to.n] = '\0';
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

void sim_put_bytes(struct sim *s, const char *key, const void *p, size_t n)
{
	char what[200], answer[100];
	struct answer to = { .p = answer, .room = sizeof(answer) };

	snprintf(what, sizeof(what), "put?bucket=%s&key=%s", s->bucket, key);
	ask_for(s, what, p, n, false, &to);
}

bool sim_look(struct sim *s, const char *key, char version[static 100],
	      uint64_t *size)
{
	char what[200], answer[2000];
	struct answer to = { .p = answer, .room = sizeof(answer) };
	json_t *o;

	snprintf(what, sizeof(what), "head?bucket=%s&key=%s", s->bucket, key);
	if (ask_for(s, what, NULL, 0, true, &to) == 404)
		return false;
	o = json_loadb(answer, to.n, 0, NULL);
	must(o == NULL);
	snprintf(version, 100, "%s",
		 json_string_value(json_object_get(o, "etag")) + 1);
	version[strcspn(version, "\"")] = '\0';
	*size = (uint64_t)json_integer_value(json_object_get(o, "size"));
	json_decref(o);
	return true;
}

void sim_fetch(struct sim *s, const char *key, void *p, size_t n)
{
	char what[200];
	struct answer to = { .p = p, .room = n };

	snprintf(what, sizeof(what), "get?bucket=%s&key=%s", s->bucket, key);
	ask_for(s, what, NULL, 0, false, &to);
	must(to.n != n);
}

unsigned sim_uploads(struct sim *s, bool with_parts)
{
	char what[200], answer[101];

	snprintf(what, sizeof(what), "uploads?bucket=%s%s", s->bucket,
		 with_parts ? "&parts=1" : "");
	ask(s, what, NULL, answer);
	return (unsigned)strtoul(answer, NULL, 10);
}

void sim_delete(struct sim *s, const char *key)
{
	char what[200], answer[101];

	snprintf(what, sizeof(what), "delete?bucket=%s&key=%s", s->bucket, key);
	ask(s, what, "", answer);
}

static void rule(struct sim *s, const char *what, const struct op *op)
{
	char text[300], answer[101];

	snprintf(text, sizeof(text), "{%s,\"nth\":%u,\"count\":%u}", what,
		 1 + op->b % 3, 1 + op->c % 4);
	ask(s, "rules", text, answer);
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

	rule(s, faults[op->a % ARRAY_SIZE(faults)], op);
}

void sim_write_fault(struct sim *s, const struct op *op)
{
	static const char *const faults[] = {
		"\"op\":\"PUT\",\"status\":503",
		"\"op\":\"PUT\",\"status\":500,\"apply\":true",
		"\"op\":\"PUT\",\"apply\":true",
		"\"op\":\"PUT\",\"status\":403,\"code\":\"AccessDenied\"",
		"\"op\":\"PUT\",\"read_bytes\":1000",
		"\"op\":\"PUT\",\"delay_ms\":200",
		"\"op\":\"COPY\",\"status\":503",
		"\"op\":\"COPY\",\"apply\":true",
		"\"op\":\"COPY\",\"status\":403,\"code\":\"AccessDenied\"",
		"\"op\":\"DELETE\",\"status\":500",
		"\"op\":\"DELETE\",\"apply\":true",
		"\"op\":\"DELETE\",\"status\":403,\"code\":\"AccessDenied\"",
		"\"op\":\"CREATE_UPLOAD\",\"status\":503",
		"\"op\":\"PART\",\"status\":503",
		"\"op\":\"PART\",\"read_bytes\":100000",
		"\"op\":\"PART\",\"apply\":true",
		"\"op\":\"PART_COPY\",\"status\":500",
		"\"op\":\"COMPLETE\",\"status\":503",
		"\"op\":\"COMPLETE\",\"apply\":true",
		"\"op\":\"COMPLETE\",\"status\":403,\"code\":\"AccessDenied\"",
		"\"op\":\"GET\",\"status\":503",
		"\"op\":\"GET\",\"after_bytes\":3000,\"then\":\"rst\"",
		"\"op\":\"GET\",\"status\":403,\"code\":\"AccessDenied\"",
		"\"op\":\"HEAD\",\"status\":500",
		"\"op\":\"LIST\",\"status\":503",
		"\"op\":\"LIST\",\"after_bytes\":30,\"then\":\"fin\"",
	};

	rule(s, faults[op->a % ARRAY_SIZE(faults)], op);
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
	s->fired_all += s->fired;
	s->calmed = clock_ns();
	ask(s, "clear", "", answer);
}

bool sim_failed(struct sim *s)
{
	return fired(s) > 0 ||
	       (s->fired > 0 && clock_ns() - s->calmed < AFTER_CALM_NS);
}

long sim_fired(struct sim *s)
{
	return s->fired_all + fired(s);
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
