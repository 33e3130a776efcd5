/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd.h - requests to etcd's JSON gateway
 *
 * etcd 3.4 and later answer JSON over HTTP at /v3/: keys and values in base64,
 * 64-bit numbers as strings, fields that are zero left out. A struct etcd
 * knows its endpoints and turns to the next one when one does not answer; it
 * authenticates when etcd says that it must, and again when a token has run
 * out (after five minutes, as etcd comes). One thread at a time uses it.
 */
#ifndef RING_ETCD_H
#define RING_ETCD_H

#include <jansson.h>

#include "base/base.h"
#include "base/cancel.h"
#include "ring/members.h"

struct etcd; /* opaque; laid out in etcd.c */

/*
 * text: "HOST:PORT[,HOST:PORT...]/PREFIX" ('+' is as good as ','; a list of
 * mount options has commas of its own). conf and the environment say the rest,
 * see members.h. Asks nobody. -EINVAL with a sentence, or -ENOMEM.
 */
int etcd_open(const struct members_conf *conf, const char *text,
	      struct etcd **out, char why[static 256]);
void etcd_close(struct etcd *e); /* NULL is allowed */

/* "PREFIX/", below which the workers are. Borrowed. */
struct str etcd_prefix(const struct etcd *e);

/*
 * POST body (taken over) to /v3/path. 0 and the answer (the caller's) in *out,
 * which may be NULL. -EAGAIN: no endpoint gave one, or etcd refused; -ENOENT:
 * what is meant is not there; -EBADMSG: an answer that is none; all with a
 * sentence. -ENOMEM, -ECANCELED soon after cancel is set. Takes a few seconds
 * for each endpoint at most.
 */
int etcd_call(struct etcd *e, const char *path, json_t *body, json_t **out,
	      struct cancel *cancel, char why[static 256]);

/*
 * Begin to watch: body as for etcd_call() to "watch". One watch at a time, on
 * the endpoint that answered last.
 */
int etcd_watch(struct etcd *e, json_t *body, char why[static 256]);
void etcd_unwatch(struct etcd *e); /* also when there is none */

/*
 * The next message of the watch, into *out. -ETIMEDOUT: none came until
 * deadline (clock_ns()); -EAGAIN: the watch has ended; -EBADMSG: it says what
 * is no message; -ENOMEM; -ECANCELED.
 */
int etcd_watched(struct etcd *e, int64_t deadline, json_t **out,
		 struct cancel *cancel, char why[static 256]);

/* The gateway's numbers: a string or a number; 0 when there is none. */
int64_t etcd_number(const json_t *object, const char *key);

/* A string of base64 for bytes, or NULL: out of memory. */
json_t *etcd_bytes(struct str bytes);

/* The bytes of a base64 field, NUL-terminated; the caller frees. NULL: none. */
char *etcd_text(const json_t *object, const char *key);

#endif
