/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_status.c - tarn status [DIR] [--json]
 */
#include "fuse/cli.h"

#include <errno.h>
#include <inttypes.h>

#include "base/units.h"
#include "fuse/client.h"
#include "fuse/mount.h"

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

static void print_mount(const struct client_mount *m)
{
	const json_t *s = m->status;
	const json_t *ssd = json_object_get(s, "ssd");
	const char *c = json_string_value(json_object_get(s, "consistency"));
	bool pass = json_is_true(json_object_get(s, "passthrough"));
	char dir[1024], source[1024], up[32];

	printf("%s on %s\n", cli_clean(m->source, source, sizeof(source)),
	       cli_clean(m->dir, dir, sizeof(dir)));
	printf("  up           %s, pid %jd, %s, passthrough %s\n",
	       age(number(s, NULL, "uptime_s"), up),
	       (intmax_t)number(s, NULL, "pid"), c != NULL ? c : "?",
	       pass ? "on" : "off");
	printf("  read         %s by the daemon: %s from the ssd, %s from the "
	       "store\n",
	       size(number(s, "reads", "bytes")),
	       size(number(s, "reads", "ssd_bytes")),
	       size(number(s, "reads", "store_bytes")));
	printf("               %jd files opened by the kernel alone\n",
	       (intmax_t)number(s, "reads", "kernel_passthrough_opens"));
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
	if (number(s, "prefetch", "files") > 0)
		printf(
		    "  prefetched   %jd files, %s; %jd of them opened since\n",
		    (intmax_t)number(s, "prefetch", "files"),
		    size(number(s, "prefetch", "bytes")),
		    (intmax_t)number(s, "prefetch", "read_files"));
	for (size_t i = 0; i < json_array_size(ssd); i++)
		print_disk(json_array_get(ssd, i));
	printf("  memory       %s of %s, %jd inodes\n",
	       size(number(s, "memory", "used")),
	       size(number(s, "memory", "limit")),
	       (intmax_t)number(s, NULL, "inodes"));
}

static int print_json(const struct client_mount *first, bool only)
{
	json_t *list = json_array(), *all;
	int r = CLI_FAILED;

	for (const struct client_mount *m = first; m != NULL; m = m->next) {
		json_array_append(list, m->status);
		if (only)
			break;
	}
	all = json_pack("{s:s, s:o}", "version", TARN_VERSION, "mounts", list);
	if (all != NULL && json_dumpf(all, stdout, JSON_INDENT(1)) == 0) {
		printf("\n");
		r = CLI_DONE;
	}
	json_decref(all);
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
	const struct cli_flag flags[] = { { "--json", &json, NULL } };
	int n = cli_args("status", argc, argv, flags, ARRAY_SIZE(flags));
	struct client_mount *mounts, *first;
	AUTO_FREE char *below = NULL;
	int r;

	if (n < 0)
		return CLI_USAGE;
	if (n > 1)
		return cli_usage("status takes one directory at most; without "
				 "any it tells of all mounts");
	mounts = first = client_mounts();
	if (n == 1 && client_find_path(mounts, argv[0], &first, &below) < 0)
		r = dead_mount(argv[0])
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
