/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds.h - keys to sign with, and where they come from
 *
 * A provider (environment, profile; later STS, container and instance
 * metadata) fetches a set of keys, which may expire. The chain asks its
 * providers in order once and then stays with the one that had keys. A set
 * is immutable and counted; a refresh replaces it, and is done once for all
 * who wait for it.
 */
#ifndef UFS_CREDS_H
#define UFS_CREDS_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/cancel.h"

struct creds {
	atomic_uint refs;
	unsigned generation; /* a refresh that brought other keys adds one */
	int64_t expiry;      /* wall ns, 0 = never */
	char *access_key;
	char *secret;
	char *token; /* or NULL */
};

struct creds_provider {
	/* Fetch into set's strings and expiry. -ENOENT: it has no keys. */
	int (*fetch)(struct creds_provider *p, struct creds *set,
		     char why[static 256]);
	void (*close)(struct creds_provider *p);
	char *source; /* "environment", "profile default": owned */
	struct creds_provider *next;
};

struct creds_chain;

/*
 * The usual chain: a profile that was asked for by name; else environment,
 * then profile. -EINVAL with *why set when no keys are found, saying where
 * it looked.
 */
int creds_open(const char *profile, struct creds_chain **out,
	       char why[static 256]);

/* A chain of these providers, which it owns (also on failure). */
int creds_open_with(struct creds_provider *first, struct creds_chain **out,
		    char why[static 256]);
void creds_close(struct creds_chain *c); /* NULL is allowed */

/* The present set, one reference in *out, refreshed when it is to expire. */
int creds_get(struct creds_chain *c, struct creds **out, struct cancel *cancel);

/*
 * The store refused the set of this generation: fetch anew. True when there
 * are other keys now.
 */
bool creds_refresh(struct creds_chain *c, unsigned generation,
		   struct cancel *cancel);

void creds_unref(struct creds *set); /* NULL is allowed */

/* "environment", "profile default". */
const char *creds_source(const struct creds_chain *c);

#endif
