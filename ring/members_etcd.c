/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_etcd.c - workers as etcd knows them
 *
 * Each worker has a key PREFIX/NAME with a value that goes with its lease:
 *
 *     {"name": "host:port", "weight": N, "protocol": 1}
 *
 * The list is read once, and a watch from the revision behind it tells what
 * changed. A watch may be dead without a sign (the host behind it hangs), so
 * it is held for a minute, as a rule, and then the list is read anew. However
 * it ends, cut or compacted or garbage, the answer is the same: read the list,
 * watch again, but not more often than others would ask.
 *
 * Changes come in bursts, as when workers are restarted one by one, and a ring
 * of a thousand takes a good part of a second to build: news are collected
 * until it is quiet.
 *
 * A revision that is lower than before is an etcd that was put back from a
 * copy, or one that lags behind: its list is believed the third time running.
 */
#include "ring/members_impl.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "ring/etcd.h"
#include "ring/wire.h"
#include "ufs/encode.h"

#define WATCH_POLLS 6 /* of conf's: then the list is read anew */
#define QUIET_NS (200 * NSEC_PER_MSEC) /* no news: they are complete */
#define BURST_NS NSEC_PER_SEC          /* but this long at most */
#define POLL_NS (10 * NSEC_PER_SEC)    /* between two readings, watch or not */
#define VALUE_MAX KIB(16)              /* of base64 */
#define BELIEVED 3

struct entry {
	char *key;  /* in base64 */
	char *name; /* NULL: the value is of no use */
	uint64_t weight;
	char odd[120]; /* why it is of no use */
};

struct etcd_source {
	struct source source;
	/* set once at open */
	struct etcd *etcd;
	int64_t poll;
	/* of the thread that asks */
	struct entry *entries;
	size_t n, room;
	int64_t revision;
	char cluster[24]; /* whose revision it is */
	unsigned older;   /* answers in a row of a lower revision */
	bool watching;
	int64_t loaded_at; /* clock_ns() */
};

static struct etcd_source *of(struct source *s)
{
	return container_of(s, struct etcd_source, source);
}

static void entry_fini(struct entry *e)
{
	free(e->key);
	free(e->name);
}

static void forget(struct etcd_source *s)
{
	for (size_t i = 0; i < s->n; i++)
		entry_fini(&s->entries[i]);
	s->n = 0;
}

static void etcd_source_close(struct source *source)
{
	struct etcd_source *s = of(source);

	etcd_close(s->etcd);
	forget(s);
	free(s->entries);
	free(s);
}

static int etcd_source_open(const struct members_conf *conf, const char *text,
			    struct source **out, char why[static 256])
{
	struct etcd_source *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->source.ops = &source_etcd;
	s->poll = conf->poll > 0 ? conf->poll : POLL_NS;
	r = etcd_open(conf, text, &s->etcd, why);
	if (r < 0)
		etcd_source_close(&s->source);
	else
		*out = &s->source;
	return r;
}

/* The range of keys below the prefix, into a request. */
static int add_range(struct etcd_source *s, json_t *body)
{
	struct str prefix = etcd_prefix(s->etcd);
	AUTO_FREE char *behind = str_dup(prefix);
	int r;

	if (behind == NULL)
		return -ENOMEM;
	behind[prefix.n - 1]++; /* "PREFIX/" to "PREFIX0" */
	r = json_object_set_new(body, "key", etcd_bytes(prefix));
	r |= json_object_set_new(body, "range_end",
				 etcd_bytes((struct str){ behind, prefix.n }));
	return r == 0 ? 0 : -ENOMEM;
}

/* What is wrong with a value, or NULL and it is read into *e. */
static const char *read_value(const json_t *kv, struct entry *e)
{
	AUTO_FREE char *text = NULL;
	json_t *value, *weight, *protocol;
	const char *name, *wrong = NULL;
	char checked[MEMBERS_NAME_MAX], why[256];

	if (json_string_length(json_object_get(kv, "value")) > VALUE_MAX)
		return "the value is too long";
	text = etcd_text(kv, "value");
	value = text != NULL ? json_loads(text, 0, NULL) : NULL;
	name = json_string_value(json_object_get(value, "name"));
	weight = json_object_get(value, "weight");
	protocol = json_object_get(value, "protocol");
	if (value == NULL)
		wrong = "the value is no JSON";
	else if (name == NULL)
		wrong = "it has no name";
	else if (member_name(str_of(name), checked, why) < 0)
		wrong = "its name is not HOST:PORT";
	else if (weight != NULL && json_integer_value(weight) <= 0)
		wrong = "its weight is no number above 0";
	else if (protocol != NULL &&
		 json_integer_value(protocol) != atoi(WIRE_PROTOCOL))
		wrong = "it speaks another protocol";
	if (wrong == NULL) {
		e->weight =
		    weight != NULL ? (uint64_t)json_integer_value(weight) : 1;
		e->name = strdup(checked);
		wrong = e->name != NULL ? NULL : "out of memory";
	}
	json_decref(value);
	return wrong;
}

static struct entry *find(struct etcd_source *s, const char *key)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->entries[i].key, key) == 0)
			return &s->entries[i];
	return NULL;
}

static int put_entry(struct etcd_source *s, const json_t *kv, const char *key,
		     bool known)
{
	struct entry *e = known ? find(s, key) : NULL;
	AUTO_FREE char *text = NULL;
	const char *wrong;

	if (e == NULL) {
		if (s->n == s->room) {
			size_t room = s->room * 2 + 16;
			void *p = realloc(s->entries, room * sizeof(*e));

			if (p == NULL)
				return -ENOMEM;
			s->entries = p;
			s->room = room;
		}
		e = &s->entries[s->n];
		*e = (struct entry){ .key = strdup(key) };
		if (e->key == NULL)
			return -ENOMEM;
		s->n++;
	}
	free(e->name);
	e->name = NULL;
	wrong = read_value(kv, e);
	if (wrong == NULL)
		return 0;
	text = etcd_text(kv, "key");
	snprintf(e->odd, sizeof(e->odd), "%.80s: %s", text != NULL ? text : "",
		 wrong);
	return 0;
}

static void drop_entry(struct etcd_source *s, const char *key)
{
	struct entry *e = find(s, key);

	if (e == NULL)
		return;
	entry_fini(e);
	*e = s->entries[--s->n];
}

/* All entries of the answer to a range. */
static int read_entries(struct etcd_source *s, const json_t *answer)
{
	const json_t *kv;
	size_t i;
	int r = 0;

	forget(s);
	json_array_foreach(json_object_get(answer, "kvs"), i, kv)
	{
		const char *key = json_string_value(json_object_get(kv, "key"));

		if (r == 0 && key != NULL)
			r = put_entry(s, kv, key, false);
	}
	return r;
}

/* Is this answer of an etcd that knew more before? */
static bool is_older(struct etcd_source *s, const json_t *header,
		     int64_t revision)
{
	const char *cluster =
	    json_string_value(json_object_get(header, "cluster_id"));
	bool same;

	cluster = cluster != NULL ? cluster : "";
	same = strncmp(s->cluster, cluster, sizeof(s->cluster) - 1) == 0;
	if (same && revision < s->revision && ++s->older < BELIEVED)
		return true;
	snprintf(s->cluster, sizeof(s->cluster), "%s", cluster);
	s->revision = revision;
	s->older = 0;
	return false;
}

static int begin_watch(struct etcd_source *s, char why[static 256])
{
	json_t *range = json_object(), *body;
	char from[24];
	int r = range != NULL ? add_range(s, range) : -ENOMEM;

	snprintf(from, sizeof(from), "%jd", (intmax_t)s->revision + 1);
	if (r == 0 &&
	    json_object_set_new(range, "start_revision", json_string(from)) < 0)
		r = -ENOMEM;
	if (r < 0) {
		json_decref(range);
		return r;
	}
	body = json_pack("{so}", "create_request", range);
	r = body != NULL ? etcd_watch(s->etcd, body, why) : -ENOMEM;
	s->watching = r == 0;
	return r;
}

static void end_watch(struct etcd_source *s)
{
	etcd_unwatch(s->etcd);
	s->watching = false;
}

/* Read the list, and begin to watch what follows. */
static int load(struct etcd_source *s, const char **doubt,
		struct cancel *cancel, char why[static 256])
{
	json_t *body = json_object(), *answer = NULL;
	const json_t *header;
	int64_t revision;
	int r = body != NULL ? add_range(s, body) : -ENOMEM;

	end_watch(s);
	s->loaded_at = clock_ns();
	if (r < 0) {
		json_decref(body);
		return r;
	}
	r = etcd_call(s->etcd, "kv/range", body, &answer, cancel, why);
	if (r < 0)
		return r;
	header = json_object_get(answer, "header");
	revision = etcd_number(header, "revision");
	if (revision <= 0)
		r = ufs_why(why, -EBADMSG,
			    "etcd's answer does not say its revision");
	else if (is_older(s, header, revision))
		*doubt = "etcd knows less than it did";
	if (r == 0)
		r = read_entries(s, answer);
	json_decref(answer);
	if (r == 0 && *doubt == NULL)
		r = begin_watch(s, why);
	return r;
}

/* One message of the watch. True in *news when it has any. */
static int apply(struct etcd_source *s, const json_t *message, bool *news,
		 char why[static 256])
{
	const json_t *result = json_object_get(message, "result"), *event;
	int64_t revision =
	    etcd_number(json_object_get(result, "header"), "revision");
	size_t i;
	int r = 0;

	if (!json_is_object(result))
		return ufs_why(why, -EBADMSG, "etcd's watch has an error");
	if (json_is_true(json_object_get(result, "canceled")))
		return ufs_why(why, -EAGAIN, "etcd has cancelled the watch");
	json_array_foreach(json_object_get(result, "events"), i, event)
	{
		const json_t *kv = json_object_get(event, "kv");
		const char *type =
		    json_string_value(json_object_get(event, "type"));
		const char *key = json_string_value(json_object_get(kv, "key"));

		if (key == NULL)
			return ufs_why(why, -EBADMSG,
				       "etcd's watch has an event without a "
				       "key");
		*news = true;
		if (type != NULL && strcmp(type, "DELETE") == 0)
			drop_entry(s, key);
		else
			r = put_entry(s, kv, key, true);
		if (r < 0)
			return r;
	}
	s->revision = MAX(s->revision, revision);
	return 0;
}

/* Wait for news and collect them. -ETIMEDOUT: there were none for long. */
static int follow(struct etcd_source *s, struct cancel *cancel,
		  char why[static 256])
{
	int64_t until = clock_ns() + WATCH_POLLS * s->poll, burst = 0;
	bool news = false;
	json_t *message;
	int r;

	for (;;) {
		r = etcd_watched(s->etcd, until, &message, cancel, why);
		if (r == -ETIMEDOUT && news)
			return 0;
		if (r < 0)
			return r;
		r = apply(s, message, &news, why);
		json_decref(message);
		if (r < 0)
			return r;
		if (news && burst == 0)
			burst = clock_ns() + BURST_NS;
		if (news)
			until = MIN(burst, clock_ns() + QUIET_NS);
	}
}

static int list_of(const struct etcd_source *s, struct member_list *out)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->entries[i].name != NULL)
			list_add(out, s->entries[i].name, s->entries[i].weight);
		else
			list_odd(out, "%s", s->entries[i].odd);
	return 0;
}

static int etcd_source_next(struct source *source, bool anew,
			    struct member_list *out, struct cancel *cancel,
			    char why[static 256])
{
	struct etcd_source *s = of(source);
	int r = 0;

	if (!anew && s->watching) {
		r = follow(s, cancel, why);
		if (r == 0)
			return list_of(s, out);
		if (r == -ECANCELED)
			return r;
		end_watch(s);
		/* It was cut: that may happen as often as others ask. */
		if (r != -ETIMEDOUT &&
		    ufs_sleep_until(s->loaded_at + s->poll, cancel) < 0)
			return -ECANCELED;
	}
	r = load(s, &out->doubt, cancel, why);
	return r < 0 ? r : list_of(s, out);
}

const struct source_ops source_etcd = {
	.kind = "etcd",
	.scheme = "etcd://",
	.open = etcd_source_open,
	.close = etcd_source_close,
	.next = etcd_source_next,
	.told = true,
};
