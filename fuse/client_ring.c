/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_ring.c - how commands speak with workers
 */
#include "fuse/client_ring.h"

#include <errno.h>

#include "base/clock.h"
#include "fuse/client.h"
#include "fuse/cluster.h"
#include "fuse/start.h"

#define CALL_TIME (10 * NSEC_PER_SEC)

static void read_key(struct client_ring *r)
{
	const char *file = options_text(r->options, OPT_CLUSTER_KEY_FILE);

	cluster_key_free(r->secret);
	r->secret = NULL;
	r->no_key[0] = '\0';
	if (file != NULL)
		(void)cluster_key_read(file, &r->secret, r->no_key);
}

int client_ring_open(struct client_ring *r, const char *o, const char *config)
{
	char why[WHY_MAX] = "out of memory";

	*r = (struct client_ring){ .options = NULL };
	if (options_new(&r->options) < 0)
		return cli_fail("%s", why);
	if (o != NULL && options_parse(r->options, o, why) < 0)
		return cli_usage("-o %s", why);
	if (start_options(r->options, config, why) < 0)
		return cli_usage("%s", why);
	read_key(r);
	return CLI_DONE;
}

int client_ring_adopt(struct client_ring *r, const struct client_mount *m)
{
	static const char *const names[] = { "workers", "cluster-key-file",
					     "tls-cert", "tls-key", "tls-ca" };
	const json_t *all = json_object_get(m->status, "options");
	char why[WHY_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *v = json_string_value(
		    json_object_get(json_object_get(all, names[i]), "value"));

		/* As strong as the environment: only -o is stronger. */
		if (v != NULL && options_set(r->options, names[i], v,
					     OPTION_FROM_ENV, m->dir, why) < 0)
			return cli_fail("%s: %s", m->dir, why);
	}
	read_key(r);
	return CLI_DONE;
}

void client_ring_close(struct client_ring *r)
{
	cluster_key_free(r->secret);
	options_free(r->options);
	*r = (struct client_ring){ .options = NULL };
}

struct ring_access client_ring_access(const struct client_ring *r)
{
	return (struct ring_access){ r->secret, cluster_tls(r->options) };
}

/* It answered, but not with what was asked for. */
static void refusal(const struct client_ring *r, const struct tell *t,
		    const json_t *j, char why[static WHY_MAX])
{
	const char *words = json_string_value(json_object_get(j, "error"));

	if (words != NULL) {
		snprintf(why, WHY_MAX, "%s: %s", t->worker, words);
	} else if (t->status == 403 && t->answer != NULL &&
		   strstr(t->answer, "RequestTimeTooSkewed") != NULL) {
		snprintf(why, WHY_MAX,
			 "%s refuses it, as this host's clock and its own are "
			 "more than five minutes apart: set them right",
			 t->worker);
	} else if (t->status == 403 && r->no_key[0] != '\0') {
		snprintf(why, WHY_MAX, "%s wants the cluster's key: %.400s",
			 t->worker, r->no_key);
	} else if (t->status == 403) {
		snprintf(why, WHY_MAX,
			 "%s refuses it: %s; name the file with the key that "
			 "it has by cluster-key-file, in TARN_CLUSTER_KEY_FILE "
			 "or the configuration file",
			 t->worker,
			 r->secret != NULL ? "its key is another"
					   : "it is not signed");
	} else {
		snprintf(why, WHY_MAX,
			 "%s answers %u and no JSON; is it a worker of this "
			 "version?",
			 t->worker, t->status);
	}
}

int client_ring_answer(const struct client_ring *r, const struct tell *t,
		       json_t **out, char why[static WHY_MAX])
{
	json_t *j = NULL;

	if (t->err == -ECONNREFUSED) {
		snprintf(why, WHY_MAX,
			 "no worker answers at %s; does `tarn worker` run "
			 "there, with listen= at this port?",
			 t->worker);
		return t->err;
	}
	if (t->err < 0) {
		/* So one that wants TLS ends what is none. */
		bool ended = strstr(t->words, "Empty reply") != NULL &&
			     !options_is_set(r->options, OPT_TLS_CA) &&
			     !options_is_set(r->options, OPT_TLS_CERT);

		snprintf(why, WHY_MAX, "%s: %s%s", t->worker, t->words,
			 ended ? "; if it speaks TLS, give tls-ca=, tls-cert= "
				 "and tls-key="
			       : "");
		return t->err;
	}
	if (t->answer != NULL)
		j = json_loadb(t->answer, t->n, 0, NULL);
	if (t->status / 100 == 2 && j != NULL) {
		*out = j;
		return 0;
	}
	refusal(r, t, j, why);
	json_decref(j);
	return t->status == 404 ? -ENOENT : t->status == 403 ? -EACCES : -EIO;
}

int client_ring_call(const struct client_ring *r, const char *worker,
		     const char *path, const json_t *body, json_t **out,
		     char why[static WHY_MAX])
{
	AUTO_FREE char *text = body != NULL ? json_dumps(body, 0) : NULL;
	struct ring_access a = client_ring_access(r);
	struct tell t = { .worker = worker, .path = path, .body = text };
	int err;

	if (body != NULL && text == NULL) {
		snprintf(why, WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	(void)tell_all(&a, &t, 1, clock_ns() + CALL_TIME, NULL);
	err = client_ring_answer(r, &t, out, why);
	tell_fini(&t, 1);
	return err;
}
