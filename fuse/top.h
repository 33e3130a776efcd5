/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top.h - two looks at a mount's numbers, and what happened in between
 *
 * A look is what /-/status said at a moment. Counters become rates by the
 * look before; without one, or when the daemon is another by now, by the time
 * since the mount began.
 */
#ifndef FUSE_TOP_H
#define FUSE_TOP_H

#include <jansson.h>
#include <stdio.h>

#include "base/base.h"

/* X(name, member of status, member of that): a counter. */
#define TOP_COUNTERS(X)                                                        \
	X(kernel_opens, "reads", "kernel_passthrough_opens")                   \
	X(opens, "counters", "opens")                                          \
	X(read_bytes, "reads", "bytes")                                        \
	X(ssd_bytes, "reads", "ssd_bytes")                                     \
	X(peer_bytes, "reads", "peer_bytes")                                   \
	X(store_bytes, "reads", "store_bytes")                                 \
	X(get, "store", "get")                                                 \
	X(head, "store", "head")                                               \
	X(list, "store", "list")                                               \
	X(put, "store", "put")                                                 \
	X(copy, "store", "copy")                                               \
	X(delete, "store", "delete")                                           \
	X(errors, "store", "errors")                                           \
	X(retries, "store", "retries")                                         \
	X(bytes_in, "store", "bytes_in")                                       \
	X(bytes_out, "store", "bytes_out")

#define TOP_ENUM(name, group, member) TOP_##name,
enum top_counter { TOP_COUNTERS(TOP_ENUM) TOP_COUNT };
#undef TOP_ENUM

#define TOP_PREFETCH_MAX 8
#define TOP_DISKS_MAX 16

struct top_disk {
	char dir[256];
	char state[16];
	uint64_t bytes, limit;
};

/* Whatever counter of the status is called prefetch_NAME. */
struct top_prefetch {
	char name[32]; /* without "prefetch_" */
	uint64_t n;
	bool bytes; /* its name ends in "bytes" */
};

struct top_look {
	int64_t at;          /* clock_ns() */
	int64_t pid, uptime; /* s */
	uint64_t n[TOP_COUNT];
	uint64_t memory, memory_limit, inodes, handles;
	struct top_prefetch prefetch[TOP_PREFETCH_MAX];
	size_t nprefetch;
	struct top_disk disk[TOP_DISKS_MAX];
	size_t ndisks;
};

/* A mount's status, asked at that moment; what it lacks is 0. */
void top_look(const json_t *mount, int64_t at, struct top_look *out);

struct top_rates {
	double seconds;   /* that they are of */
	bool since_start; /* of the mount: there was no look before */
	double per_s[TOP_COUNT];
	double prefetch_per_s[TOP_PREFETCH_MAX]; /* as in now->prefetch */
	/* Of the bytes that the daemon answered, how many did no store send? */
	bool hit_known;
	double hit; /* 0 to 1 */
};

/* before: NULL, or an earlier look at a mount on the same directory. */
void top_rates(const struct top_look *before, const struct top_look *now,
	       struct top_rates *out);

/* An object of all of it: rates, gauges, totals; a new reference, or NULL. */
json_t *top_json(const struct top_look *now, const struct top_rates *r);

/* "12", "0.3", "1.2k": a number of things per second; returns buf. */
const char *top_number(double n, char buf[static 16]);

/* The same on one line, for people, without a line's end. */
void top_line(const struct top_look *now, const struct top_rates *r, FILE *f);

#endif
