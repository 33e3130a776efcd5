/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_ring.c - tarn ring [PATH|WORKER] [--json]
 *
 * Without a path: the rings of all mounts of this host that have one. Of a
 * path: which worker has each of its segments, and who is asked next.
 */
#include "fuse/cli.h"

#include <errno.h>
#include <inttypes.h>

#include "base/units.h"
#include "fuse/client.h"
#include "fuse/client_ring.h"

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "";
}

static json_int_t number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static const char *size(json_int_t n, char buf[static 32])
{
	return units_format_size(n > 0 ? (uint64_t)n : 0, buf, 32);
}

/* Only etcd tells what the workers' caches hold; DNS has plain weights. */
static void print_worker(const json_t *w, json_int_t weights, bool sizes)
{
	const char *state = text(w, "state");
	bool bad = strcmp(state, "up") != 0 && strcmp(state, "listed") != 0;
	bool colour = bad && cli_colour(stdout);
	char weight[32], hits[32], clean[300];

	snprintf(weight, sizeof(weight), "%jd", (intmax_t)number(w, "weight"));
	printf("  %-22s %s%-11s%s weight %s (%.0f %%)",
	       cli_clean(text(w, "name"), clean, sizeof(clean)),
	       colour ? "\033[31m" : "", state, colour ? "\033[0m" : "",
	       sizes ? size(number(w, "weight"), hits) : weight,
	       weights > 0
		   ? 100.0 * (double)number(w, "weight") / (double)weights
		   : 0.0);
	if (json_object_get(w, "hit_bytes") != NULL)
		printf(", %s read, %jd errors",
		       size(number(w, "hit_bytes"), hits),
		       (intmax_t)number(w, "errors"));
	putchar('\n');
}

static void print_ring(const struct client_mount *m, const json_t *ring)
{
	const json_t *workers = json_object_get(ring, "workers");
	size_t n = json_array_size(workers);
	json_int_t weights = 0;
	char clean[1024];

	for (size_t i = 0; i < n; i++)
		weights += number(json_array_get(workers, i), "weight");
	printf("%s: %zu worker%s", cli_clean(m->dir, clean, sizeof(clean)), n,
	       n == 1 ? "" : "s");
	if (text(ring, "from")[0] != '\0')
		printf(" by %s, epoch %jd", text(ring, "from"),
		       (intmax_t)number(ring, "epoch"));
	putchar('\n');
	if (text(ring, "failing")[0] != '\0')
		printf("  %s\n",
		       cli_clean(text(ring, "failing"), clean, sizeof(clean)));
	for (size_t i = 0; i < n; i++)
		print_worker(json_array_get(workers, i), weights,
			     strcmp(text(ring, "from"), "etcd") == 0);
}

/* The rings of these, those without one left out. An exit code. */
static int show_rings(struct client_mount *mounts, bool json)
{
	json_t *all = json_array();
	int shown = 0;

	for (struct client_mount *m = mounts; m != NULL; m = m->next) {
		json_t *ring = json_object_get(m->status, "ring");

		if (json_array_size(json_object_get(ring, "workers")) == 0 &&
		    text(ring, "from")[0] == '\0')
			continue;
		shown++;
		if (json)
			json_array_append_new(
			    all, json_pack("{s:s, s:O}",
					   m->worker != NULL ? "worker" : "dir",
					   m->dir, "ring", ring));
		else
			print_ring(m, ring);
	}
	if (json)
		return client_print(json_pack("{s:o}", "rings", all));
	json_decref(all);
	if (shown > 0)
		return CLI_DONE;
	if (mounts != NULL && mounts->worker != NULL)
		return cli_fail("%s was started without workers=, and knows no "
				"ring; ask a mount",
				mounts->worker);
	return cli_fail("no mount of yours has workers; mount with workers=, "
			"as tarn.conf(5) tells");
}

static void print_names(const json_t *names)
{
	char clean[300];

	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *s = json_string_value(json_array_get(names, i));

		printf("%s%s",
		       i == 0   ? ""
		       : i == 1 ? ", then "
				: ", ",
		       cli_clean(s != NULL ? s : "?", clean, sizeof(clean)));
	}
	putchar('\n');
}

static void print_where(const char *path, const json_t *j)
{
	const json_t *segments = json_object_get(j, "segments");
	char clean[1024], buf[32], more[32];

	printf("%s", cli_clean(path, clean, sizeof(clean)));
	if (segments != NULL)
		printf(": %s in %zu segment%s", size(number(j, "bytes"), buf),
		       json_array_size(segments),
		       json_array_size(segments) == 1 ? "" : "s");
	printf("\n  names and attributes  ");
	print_names(json_object_get(j, "names"));
	for (size_t i = 0; i < json_array_size(segments); i++) {
		const json_t *s = json_array_get(segments, i);
		const char *from = size(number(s, "first"), buf);

		printf("  %-8s from %-8s ", size(number(s, "bytes"), more),
		       from);
		print_names(json_object_get(s, "workers"));
	}
}

/* Of a path on a mount. An exit code. */
static int show_where(struct client_mount *mounts, const char *path, bool json)
{
	json_t *answer;
	int r = client_post_path(mounts, path, "/-/where", &answer);

	if (r != CLI_DONE)
		return r;
	if (json)
		return client_print(answer);
	print_where(path, json_array_get(json_object_get(answer, "files"), 0));
	json_decref(answer);
	return CLI_DONE;
}

static int show_worker(const char *worker, const char *o, bool json)
{
	struct client_mount *m = NULL;
	struct client_ring r;
	char why[WHY_MAX];
	int code = client_ring_open(&r, o, NULL);

	if (code == CLI_DONE) {
		m = client_worker_at(&r, worker, why);
		code = m != NULL ? show_rings(m, json) : cli_fail("%s", why);
	}
	client_mounts_free(m);
	client_ring_close(&r);
	return code;
}

int cmd_ring(int argc, char **argv)
{
	bool json = false;
	const char *o = NULL;
	const struct cli_flag flags[] = {
		{ "--json", &json, NULL },
		{ "-o", NULL, &o },
	};
	int n = cli_args("ring", argc, argv, flags, ARRAY_SIZE(flags));
	struct client_mount *mounts;
	unsigned silent;
	int r;

	if (n < 0)
		return CLI_USAGE;
	if (n > 1)
		return cli_usage("ring takes one path or one worker: tarn ring "
				 "[PATH|WORKER]");
	if (n == 1 && tell_is_worker(argv[0]))
		return show_worker(argv[0], o, json);
	mounts = client_mounts(&silent);
	r = n == 1 ? show_where(mounts, argv[0], json)
		   : show_rings(mounts, json);
	client_mounts_free(mounts);
	return r;
}
