/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_status.c - tarn status [DIR|WORKER] [--json]
 */
#include "fuse/cli.h"

#include <errno.h>
#include <inttypes.h>

#include "base/units.h"
#include "fuse/client.h"
#include "fuse/client_ring.h"
#include "fuse/mount.h"
#include "fuse/trial_kept.h"

static json_int_t number(const json_t *o, const char *group, const char *name)
{
	if (group != NULL)
		o = json_object_get(o, group);
	return json_integer_value(json_object_get(o, name));
}

/* A size as people read it; static buffers for one line of output. */
static const char *size(json_int_t n)
{
	static char ring[8][32];
	static unsigned next;
	char *buf = ring[next++ % ARRAY_SIZE(ring)];

	return units_format_size(n > 0 ? (uint64_t)n : 0, buf, 32);
}

static const char *age(json_int_t s, char buf[static 32])
{
	if (s < 120)
		snprintf(buf, 32, "%jd s", (intmax_t)s);
	else if (s < 7200)
		snprintf(buf, 32, "%jd min", (intmax_t)(s / 60));
	else if (s < 172800)
		snprintf(buf, 32, "%jd h", (intmax_t)(s / 3600));
	else
		snprintf(buf, 32, "%jd days", (intmax_t)(s / 86400));
	return buf;
}

static void print_disk(const json_t *d)
{
	const char *state = json_string_value(json_object_get(d, "state"));
	const char *dir = json_string_value(json_object_get(d, "dir"));
	bool bad = state == NULL || strcmp(state, "ok") != 0;
	bool colour = bad && cli_colour(stdout);
	char clean[1024];

	printf("  ssd          %s of %s in %s, ",
	       size(number(d, NULL, "bytes")), size(number(d, NULL, "limit")),
	       cli_clean(dir != NULL ? dir : "?", clean, sizeof(clean)));
	printf("%s%s%s", colour ? "\033[31m" : "", state != NULL ? state : "?",
	       colour ? "\033[0m" : "");
	if (number(d, NULL, "evicted_bytes") > 0)
		printf(", %s evicted", size(number(d, NULL, "evicted_bytes")));
	if (number(d, NULL, "bad_pages") > 0)
		printf(", %jd bad pages",
		       (intmax_t)number(d, NULL, "bad_pages"));
	printf("\n");
	if (number(d, "scrub", "files") > 0)
		printf("               scrubbed %s in %jd files, %jd bad pages "
		       "found\n",
		       size(number(d, "scrub", "bytes")),
		       (intmax_t)number(d, "scrub", "files"),
		       (intmax_t)number(d, "scrub", "bad_pages"));
}

static const char *about(const json_t *s, char buf[static 128])
{
	const char *c = json_string_value(json_object_get(s, "consistency"));
	char up[32], clean[64];

	snprintf(buf, 128, "%s, pid %jd, %s",
		 age(number(s, NULL, "uptime_s"), up),
		 (intmax_t)number(s, NULL, "pid"),
		 cli_clean(c != NULL ? c : "?", clean, sizeof(clean)));
	return buf;
}

static void print_store(const json_t *s)
{
	printf(
	    "  store        %jd GET, %jd HEAD, %jd LIST, %s in, %jd retries, "
	    "%jd errors\n",
	    (intmax_t)number(s, "store", "get"),
	    (intmax_t)number(s, "store", "head"),
	    (intmax_t)number(s, "store", "list"),
	    size(number(s, "store", "bytes_in")),
	    (intmax_t)number(s, "store", "retries"),
	    (intmax_t)number(s, "store", "errors"));
	printf("  saved        %jd GET, %jd HEAD, %jd LIST, %s, %.2f USD\n",
	       (intmax_t)number(s, "saved", "get"),
	       (intmax_t)number(s, "saved", "head"),
	       (intmax_t)number(s, "saved", "list"),
	       size(number(s, "saved", "bytes")),
	       json_number_value(
		   json_object_get(json_object_get(s, "saved"), "usd")));
}

static void print_disks(const json_t *s)
{
	const json_t *ssd = json_object_get(s, "ssd");

	for (size_t i = 0; i < json_array_size(ssd); i++)
		print_disk(json_array_get(ssd, i));
}

/* How many are up, and what they sent; nothing where there are none. */
static void print_workers(const json_t *ring)
{
	const json_t *workers = json_object_get(ring, "workers");
	size_t n = json_array_size(workers), up = 0;
	json_int_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		const json_t *w = json_array_get(workers, i);
		const char *state =
		    json_string_value(json_object_get(w, "state"));

		up += state != NULL && strcmp(state, "up") == 0;
		bytes += number(w, NULL, "hit_bytes");
	}
	if (n > 0)
		printf("  workers      %zu of %zu up, %s from them; `tarn "
		       "ring` tells more\n",
		       up, n, size(bytes));
}

#define FAILED_SHOWN 10

/* What was written here; nothing on a mount that only reads. */
static void print_commits(const json_t *s, const char *dir)
{
	json_int_t waiting = number(s, "commits", "waiting");
	const json_t *failed =
	    json_object_get(json_object_get(s, "commits"), "failed");
	json_int_t done = number(s, "commits", "done");
	json_int_t pending = number(s, "commits", "pending");
	size_t n = json_array_size(failed);
	const char *conditions = json_string_value(
	    json_object_get(json_object_get(s, "commits"), "conditions"));
	char date[32];

	if (conditions != NULL && (strcmp(conditions, "ignored") == 0 ||
				   strcmp(conditions, "refused") == 0))
		printf("  conditions   %s by the store, as of %s: see `tarn "
		       "doctor`\n",
		       conditions,
		       trial_date(number(s, "commits", "conditions_at"), date));
	if (json_is_true(
		json_object_get(json_object_get(s, "commits"), "refused")))
		printf("  refused      these keys may not write directly below "
		       "the source: see `tarn doctor`\n");
	if (done > 0 || pending > 0 || n > 0)
		printf("  written      %jd files, %s; %jd under way, %zu "
		       "failed\n",
		       (intmax_t)done, size(number(s, "store", "bytes_out")),
		       (intmax_t)pending, n);
	for (size_t i = 0; i < n && i < FAILED_SHOWN; i++) {
		const json_t *f = json_array_get(failed, i);
		const char *path =
		    json_string_value(json_object_get(f, "path"));
		const char *error =
		    json_string_value(json_object_get(f, "error"));
		char clean[256];

		printf(
		    "               not in the store: %s, %s: %s; kept\n",
		    cli_clean(path != NULL ? path : "?", clean, sizeof(clean)),
		    size(number(f, NULL, "bytes")),
		    error != NULL ? error : "?");
	}
	if (waiting > 0)
		printf("  recover      %jd file%s: `tarn recover %s` lists "
		       "%s\n",
		       (intmax_t)waiting, waiting == 1 ? "" : "s", dir,
		       waiting == 1 ? "it" : "them");
}

/* Why it is read only, when nobody asked for that. */
static void print_read_only(const json_t *s)
{
	const char *why =
	    json_string_value(json_object_get(s, "read_only_why"));
	char clean[2 * WHY_MAX];

	if (why != NULL && why[0] != '\0')
		printf("  read only    as nothing can be written: %s\n",
		       cli_clean(why, clean, sizeof(clean)));
}

static void print_mount(const struct client_mount *m)
{
	const json_t *s = m->status;
	bool pass = json_is_true(json_object_get(s, "passthrough"));
	char dir[1024], source[1024], text[128];

	printf("%s on %s\n", cli_clean(m->source, source, sizeof(source)),
	       cli_clean(m->dir, dir, sizeof(dir)));
	printf("  up           %s, passthrough %s\n", about(s, text),
	       pass ? "on" : "off");
	printf("  read         %s by the daemon: %s from the ssd, ",
	       size(number(s, "reads", "bytes")),
	       size(number(s, "reads", "ssd_bytes")));
	if (number(s, "reads", "peer_bytes") > 0)
		printf("%s from workers, ",
		       size(number(s, "reads", "peer_bytes")));
	printf("%s from the store\n", size(number(s, "reads", "store_bytes")));
	printf("               %jd files opened by the kernel alone\n",
	       (intmax_t)number(s, "reads", "kernel_passthrough_opens"));
	print_workers(json_object_get(s, "ring"));
	print_store(s);
	print_read_only(s);
	print_commits(s, dir);
	if (number(s, "prefetch", "files") > 0)
		printf(
		    "  prefetched   %jd files, %s; %jd of them opened since\n",
		    (intmax_t)number(s, "prefetch", "files"),
		    size(number(s, "prefetch", "bytes")),
		    (intmax_t)number(s, "prefetch", "read_files"));
	print_disks(s);
	printf("  memory       %s of %s, %jd inodes\n",
	       size(number(s, "memory", "used")),
	       size(number(s, "memory", "limit")),
	       (intmax_t)number(s, NULL, "inodes"));
}

static void print_jobs(const json_t *jobs)
{
	for (size_t i = 0; i < json_array_size(jobs); i++) {
		const json_t *j = json_array_get(jobs, i);
		const char *name = json_string_value(json_object_get(j, "job"));
		const char *kind =
		    json_string_value(json_object_get(j, "kind"));
		const char *state =
		    json_string_value(json_object_get(j, "state"));
		char clean[128];

		if (name == NULL || name[0] == '\0')
			name = json_string_value(json_object_get(j, "id"));
		printf(
		    "  job          %s: %s%s %s, %s of %s, %jd files, %jd "
		    "failed\n",
		    cli_clean(name != NULL ? name : "?", clean, sizeof(clean)),
		    kind != NULL ? kind : "?",
		    json_is_true(json_object_get(j, "dry_run")) ? " (dry run)"
								: "",
		    state != NULL ? state : "?",
		    size(number(j, NULL, "bytes_done")),
		    size(number(j, NULL, "bytes")),
		    (intmax_t)number(j, NULL, "files"),
		    (intmax_t)number(j, NULL, "failed"));
	}
}

static void print_worker(const struct client_mount *m)
{
	const json_t *s = m->status;
	const json_t *sources = json_object_get(s, "sources");
	const char *as = json_string_value(json_object_get(s, "advertise"));
	const char *at = json_string_value(json_object_get(s, "listen"));
	char clean[1024], text[128];

	for (size_t i = 0; i < json_array_size(sources); i++) {
		const char *source = json_string_value(
		    json_object_get(json_array_get(sources, i), "source"));

		printf("%s by worker ", cli_clean(source != NULL ? source : "?",
						  clean, sizeof(clean)));
		printf("%s\n", cli_clean(m->dir, clean, sizeof(clean)));
	}
	printf("  up           %s\n", about(s, text));
	printf("  listens      at %s, ",
	       cli_clean(at != NULL ? at : "?", clean, sizeof(clean)));
	printf("known as %s\n",
	       cli_clean(as != NULL ? as : "?", clean, sizeof(clean)));
	printf("  answered     %s: %s from the ssd, %s from the store; %jd "
	       "requests now\n",
	       size(number(s, "reads", "bytes")),
	       size(number(s, "reads", "ssd_bytes")),
	       size(number(s, "reads", "store_bytes")),
	       (intmax_t)number(s, NULL, "requests"));
	print_store(s);
	print_disks(s);
	printf("  memory       %s of %s\n", size(number(s, "memory", "used")),
	       size(number(s, "memory", "limit")));
	print_jobs(json_object_get(s, "jobs"));
}

static int print_json(const struct client_mount *first, bool only)
{
	json_t *list = json_array();

	for (const struct client_mount *m = first; m != NULL; m = m->next) {
		json_array_append(list, m->status);
		if (only)
			break;
	}
	return client_print(
	    json_pack("{s:s, s:o}", "version", TARN_VERSION, "mounts", list));
}

static int status_of_worker(const char *worker, const char *o,
			    const char *config, bool json)
{
	struct client_mount *m = NULL;
	struct client_ring ring;
	char why[WHY_MAX];
	int r = client_ring_open(&ring, o, config);

	if (r == CLI_DONE) {
		m = client_worker_at(&ring, worker, why);
		if (m == NULL)
			r = cli_fail("%s", why);
		else if (json)
			r = client_print(json_pack("{s:s, s:O}", "version",
						   TARN_VERSION, "worker",
						   m->status));
		else
			print_worker(m);
	}
	client_mounts_free(m);
	client_ring_close(&ring);
	return r;
}

/* Is where the mount point of a daemon that has died? */
static bool dead_mount(const char *where)
{
	AUTO_FREE char *dir = cli_absolute(where);
	struct mount_entry e;

	return dir != NULL && mount_find(dir, &e) == 0 && mount_is_dead(dir);
}

static int print_all(const struct client_mount *first, bool only)
{
	if (first == NULL)
		printf("no mounts\n");
	for (const struct client_mount *m = first; m != NULL; m = m->next) {
		print_mount(m);
		if (only)
			break;
	}
	return CLI_DONE;
}

int cmd_status(int argc, char **argv)
{
	bool json = false;
	const char *o = NULL, *config = NULL;
	const struct cli_flag flags[] = {
		{ "--json", &json, NULL },
		{ "-o", NULL, &o },
		{ "-c", NULL, &config },
	};
	int n = cli_args("status", argc, argv, flags, ARRAY_SIZE(flags));
	struct client_mount *mounts, *first;
	AUTO_FREE char *below = NULL;
	unsigned silent;
	int r;

	if (n < 0)
		return CLI_USAGE;
	if (n > 1)
		return cli_usage("status takes one directory or worker at "
				 "most; without any it tells of all mounts");
	if (n == 1 && tell_is_worker(argv[0]))
		return status_of_worker(argv[0], o, config, json);
	if (o != NULL || config != NULL)
		return cli_usage("status: -o and -c go with a worker");
	mounts = first = client_mounts(&silent);
	if (n == 1 && client_find_path(mounts, argv[0], &first, &below) < 0)
		r = silent == 0 && dead_mount(argv[0])
			? cli_fail("the daemon of %s is gone; mount it again, "
				   "or take it "
				   "away with `tarn umount`",
				   argv[0])
			: cli_fail(
			      "%s is on no mount of yours; `tarn status` lists "
			      "them",
			      argv[0]);
	else
		r = json ? print_json(first, n == 1) : print_all(first, n == 1);
	client_mounts_free(mounts);
	return r;
}
