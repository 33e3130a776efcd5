/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top.c - two looks at a mount's numbers, and what happened in between
 */
#include "fuse/top.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/units.h"
#include "fuse/cli.h"

#define PREFETCH "prefetch_"

#define ROW(name, group, member) { #name, group, member },
static const struct {
	const char *name, *group, *member;
} counters[TOP_COUNT] = { TOP_COUNTERS(ROW) };
#undef ROW

static uint64_t number(const json_t *o, const char *group, const char *name)
{
	json_int_t n;

	if (group != NULL)
		o = json_object_get(o, group);
	n = json_integer_value(json_object_get(o, name));
	return n > 0 ? (uint64_t)n : 0;
}

static void copy(char *to, size_t size, const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	cli_clean(s != NULL ? s : "?", to, size);
}

static void look_at_disks(const json_t *ssd, struct top_look *out)
{
	size_t n = MIN(json_array_size(ssd), (size_t)TOP_DISKS_MAX);

	for (size_t i = 0; i < n; i++) {
		const json_t *j = json_array_get(ssd, i);
		struct top_disk *d = &out->disk[out->ndisks++];

		copy(d->dir, sizeof(d->dir), j, "dir");
		copy(d->state, sizeof(d->state), j, "state");
		d->bytes = number(j, NULL, "bytes");
		d->limit = number(j, NULL, "limit");
	}
}

static void look_at_prefetch(json_t *all, struct top_look *out)
{
	const char *name;
	json_t *v;

	json_object_foreach(all, name, v)
	{
		struct top_prefetch *p = &out->prefetch[out->nprefetch];
		size_t n;

		if (strncmp(name, PREFETCH, strlen(PREFETCH)) != 0 ||
		    !json_is_integer(v) || out->nprefetch == TOP_PREFETCH_MAX)
			continue;
		cli_clean(name + strlen(PREFETCH), p->name, sizeof(p->name));
		n = strlen(p->name);
		p->bytes = n >= 5 && strcmp(p->name + n - 5, "bytes") == 0;
		p->n = number(all, NULL, name);
		out->nprefetch++;
	}
}

void top_look(const json_t *mount, int64_t at, struct top_look *out)
{
	memset(out, 0, sizeof(*out));
	out->at = at;
	out->pid = (int64_t)number(mount, NULL, "pid");
	out->uptime = (int64_t)number(mount, NULL, "uptime_s");
	for (int i = 0; i < TOP_COUNT; i++)
		out->n[i] =
		    number(mount, counters[i].group, counters[i].member);
	out->memory = number(mount, "memory", "used");
	out->memory_limit = number(mount, "memory", "limit");
	out->inodes = number(mount, NULL, "inodes");
	out->handles = number(mount, "counters", "handles");
	look_at_prefetch(json_object_get(mount, "counters"), out);
	look_at_disks(json_object_get(mount, "ssd"), out);
}

/* Is now a later look at the same daemon? Counters only grow. */
static bool continues(const struct top_look *before, const struct top_look *now)
{
	if (before == NULL || before->pid != now->pid ||
	    before->at >= now->at || before->uptime > now->uptime)
		return false;
	for (int i = 0; i < TOP_COUNT; i++)
		if (before->n[i] > now->n[i])
			return false;
	return true;
}

static uint64_t prefetch_of(const struct top_look *l, const char *name)
{
	for (size_t i = 0; l != NULL && i < l->nprefetch; i++)
		if (strcmp(l->prefetch[i].name, name) == 0)
			return l->prefetch[i].n;
	return 0;
}

void top_rates(const struct top_look *before, const struct top_look *now,
	       struct top_rates *out)
{
	double read, store;

	memset(out, 0, sizeof(*out));
	if (!continues(before, now))
		before = NULL;
	out->since_start = before == NULL;
	out->seconds = before == NULL ? (double)MAX(now->uptime, 1)
				      : (double)(now->at - before->at) / 1e9;
	for (int i = 0; i < TOP_COUNT; i++) {
		uint64_t base = before != NULL ? before->n[i] : 0;

		out->per_s[i] = (double)(now->n[i] - base) / out->seconds;
	}
	for (size_t i = 0; i < now->nprefetch; i++) {
		const struct top_prefetch *p = &now->prefetch[i];
		uint64_t base = prefetch_of(before, p->name);

		/* Some of them may be gauges: those fall as well. */
		if (p->n > base)
			out->prefetch_per_s[i] =
			    (double)(p->n - base) / out->seconds;
	}
	read = out->per_s[TOP_read_bytes];
	store = out->per_s[TOP_store_bytes];
	out->hit_known = read > 0;
	if (out->hit_known)
		out->hit = MIN(MAX(1 - store / read, 0.0), 1.0);
}

static json_t *disks_json(const struct top_look *now)
{
	json_t *a = json_array();

	for (size_t i = 0; i < now->ndisks; i++)
		json_array_append_new(
		    a,
		    json_pack("{s:s, s:I, s:I, s:s}", "dir", now->disk[i].dir,
			      "bytes", (json_int_t)now->disk[i].bytes, "limit",
			      (json_int_t)now->disk[i].limit, "state",
			      now->disk[i].state));
	return a;
}

json_t *top_json(const struct top_look *now, const struct top_rates *r)
{
	json_t *per_s = json_object(), *total = json_object();
	json_t *prefetch = json_object();

	for (int i = 0; i < TOP_COUNT; i++) {
		json_object_set_new(per_s, counters[i].name,
				    json_real(r->per_s[i]));
		json_object_set_new(total, counters[i].name,
				    json_integer((json_int_t)now->n[i]));
	}
	for (size_t i = 0; i < now->nprefetch; i++)
		json_object_set_new(prefetch, now->prefetch[i].name,
				    json_pack("{s:I, s:f}", "total",
					      (json_int_t)now->prefetch[i].n,
					      "per_s", r->prefetch_per_s[i]));
	return json_pack(
	    "{s:f, s:b, s:o, s:o, s:o, s:o, s:{s:I, s:I}, s:I, s:I, s:o}",
	    "seconds", r->seconds, "since_start", (int)r->since_start, "hit",
	    r->hit_known ? json_real(r->hit) : json_null(), "per_s", per_s,
	    "total", total, "prefetch", prefetch, "memory", "used",
	    (json_int_t)now->memory, "limit", (json_int_t)now->memory_limit,
	    "inodes", (json_int_t)now->inodes, "handles",
	    (json_int_t)now->handles, "ssd", disks_json(now));
}

const char *top_number(double n, char buf[static 16])
{
	if (n >= 1e9)
		snprintf(buf, 16, "%.3gG", MIN(n / 1e9, 1e9));
	else if (n >= 999500)
		snprintf(buf, 16, "%.3gM", n / 1e6);
	else if (n >= 9999.5)
		snprintf(buf, 16, "%.3gk", n / 1e3);
	else if (n >= 9.95 || n == 0)
		snprintf(buf, 16, "%.0f", n);
	else
		snprintf(buf, 16, "%.1f", n);
	return buf;
}

void top_line(const struct top_look *now, const struct top_rates *r, FILE *f)
{
	static const enum top_counter requests[] = { TOP_get, TOP_head,
						     TOP_list, TOP_retries,
						     TOP_errors };
	uint64_t held = 0, limit = 0;
	char n[16], a[32], b[32];

	for (size_t i = 0; i < now->ndisks; i++) {
		held += now->disk[i].bytes;
		limit += now->disk[i].limit;
	}
	fprintf(f, "kernel %s opens/s",
		top_number(r->per_s[TOP_kernel_opens], n));
	fprintf(
	    f, "  ssd %s/s",
	    units_format_size((uint64_t)r->per_s[TOP_ssd_bytes], a, sizeof(a)));
	fprintf(f, "  store %s/s",
		units_format_size((uint64_t)r->per_s[TOP_store_bytes], a,
				  sizeof(a)));
	if (r->hit_known)
		fprintf(f, "  hit %.1f %%", r->hit * 100);
	else
		fprintf(f, "  hit -");
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		fprintf(f, "  %s %s/s", counters[requests[i]].name,
			top_number(r->per_s[requests[i]], n));
	fprintf(f, "  memory %s of %s",
		units_format_size(now->memory, a, sizeof(a)),
		units_format_size(now->memory_limit, b, sizeof(b)));
	fprintf(f, "  held %s of %s", units_format_size(held, a, sizeof(a)),
		units_format_size(limit, b, sizeof(b)));
	fprintf(f, "  inodes %" PRIu64 "  handles %" PRIu64, now->inodes,
		now->handles);
}
