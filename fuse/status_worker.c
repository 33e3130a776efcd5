/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_worker.c - what a worker tells of itself: JSON, metrics, the log
 */
#include "fuse/json_text.h"
#include "fuse/status_worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "fuse/status.h"
#include "fuse/status_impl.h"
#include "fuse/worker_control.h"
#include "fuse/workers.h"

static json_t *hot(const struct worker *w)
{
	AUTO_FREE struct cache **caches = calloc(w->nsources, sizeof(*caches));
	AUTO_FREE const char **buckets = calloc(w->nsources, sizeof(*buckets));

	if (caches == NULL || buckets == NULL)
		return json_array();
	for (size_t i = 0; i < w->nsources; i++) {
		caches[i] = w->sources[i].cache;
		buckets[i] = w->sources[i].bucket;
	}
	return status_hot(caches, buckets, w->nsources);
}

json_t *status_worker_json(struct worker *w)
{
	json_t *j =
	    status_common_json(w->options, w->started, w->sources[0].cache);
	json_t *sources = json_array();

	for (size_t i = 0; i < w->nsources; i++)
		json_array_append_new(
		    sources,
		    json_pack("{s:o, s:o}", "source",
			      json_text(w->sources[i].source), "bucket",
			      json_text(w->sources[i].bucket)));
	/* Names are for those who may read the files. */
	if (w->secret == NULL)
		json_object_set_new(j, "hot", hot(w));
	json_object_set_new(j, "ring", workers_listed(worker_members(w)));
	json_object_set_new(j, "source", json_text(w->sources[0].source));
	json_object_set_new(j, "sources", sources);
	json_object_set_new(j, "passthrough", json_false());
	json_object_set_new(j, "listen", json_text(server_address(w->server)));
	json_object_set_new(j, "advertise",
			    json_text(options_text(w->options, OPT_ADVERTISE)));
	json_object_set_new(j, "jobs", worker_control_jobs(w->control));
	json_object_set_new(j, "requests", /* that are being answered */
			    json_integer(server_active(w->server)));
	return json_pack("{s:s, s:o}", "version", TARN_VERSION, "worker", j);
}

char *status_worker_metrics(const struct worker *w)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	if (f == NULL)
		return NULL;
	fprintf(f, "# HELP tarn_info what is served\n# TYPE tarn_info gauge\n");
	for (size_t i = 0; i < w->nsources; i++) {
		fprintf(f, "tarn_info{version=\"%s\",source=\"", TARN_VERSION);
		status_put_label(f, w->sources[i].source);
		fputs("\",bucket=\"", f);
		status_put_label(f, w->sources[i].bucket);
		fputs("\"} 1\n", f);
	}
	status_all_metrics(w->sources[0].cache, f);
	workers_metrics(w->members, f);
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	return out;
}

void status_worker_log(const struct worker *w)
{
	log_info("state: worker on %s, up %jd s, %u requests under way",
		 server_address(w->server),
		 (intmax_t)((clock_ns() - w->started) / NSEC_PER_SEC),
		 server_active(w->server));
	status_log_all(w->sources[0].cache);
}
