/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds.h - keys to sign with, where they come from, how they stay valid
 *
 * A provider (environment, profile, container, instance metadata...) fetches
 * a set of keys, which may expire. The chain asks its providers in order once
 * and then stays with the one that had keys. A set is immutable and counted.
 *
 * One thread of the chain fetches the next set: in time before the present
 * one expires, when the store has refused it, when it is told to (SIGHUP). It
 * does so once for all who wait, and again with growing pauses while the
 * provider fails. Who signs takes the set at hand, and waits only for keys
 * that the store would take for certain not to be good any more.
 */
#ifndef UFS_CREDS_H
#define UFS_CREDS_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/cancel.h"

struct creds {
	atomic_uint refs;
	unsigned generation; /* a fetch that brought other keys adds one */
	int64_t expiry;      /* wall ns, 0 = never */
	int64_t issuer_now;  /* wall ns by the issuer's clock, 0 = unknown */
	char *access_key;
	char *secret;
	char *token;  /* or NULL */
	char *source; /* "role arn:... via profile x", for people */
	char *whose;  /* whose rights these are, when the key's id does not say
			 so because it changes with each fetch; or NULL */

	/* set by the chain before others see the set; clock_ns(), 0 = never */
	int64_t expires_at;
	int64_t renew_at;
};

struct creds_conf {
	const char *profile;   /* asked for by name, or NULL */
	const char *region;    /* of STS, or NULL: as the AWS files say */
	const char *ca_bundle; /* the same */
	struct cancel *cancel; /* ends the search, or NULL */
};

struct creds_chain;

/*
 * The usual chain: environment, web identity of the environment, profile,
 * container, instance metadata; with a profile that was asked for by name
 * only from there on. -EINVAL with *why set when no keys are found, saying
 * where it looked, or when one that should have had them failed. -ECANCELED,
 * -ENOMEM.
 */
int creds_open(const struct creds_conf *conf, struct creds_chain **out,
	       char why[static 256]);

/* A chain of these providers, which it owns (also on failure). */
struct creds_provider;
int creds_open_with(struct creds_provider *first, const struct creds_conf *conf,
		    struct creds_chain **out, char why[static 256]);
void creds_close(struct creds_chain *c); /* NULL is allowed */

/*
 * The present set, one reference in *out. Waits while there is only one that
 * the store has refused, and while one that has expired is being replaced.
 * -ECANCELED, or -EACCES when no better one came until deadline (clock_ns()).
 */
int creds_get(struct creds_chain *c, int64_t deadline, struct cancel *cancel,
	      struct creds **out);

/* The present set, in whatever state it is; one reference. */
struct creds *creds_now(struct creds_chain *c);

/* How certain it is that a refusal meant the keys. */
enum creds_doubt {
	CREDS_REFUSED, /* it said that they are expired or unknown */
	CREDS_DOUBTED, /* it may have meant something else: look, but rarely */
};

/*
 * The store refused the set of this generation: wait until it was fetched
 * anew once. CREDS_OTHER: there are other keys now; CREDS_SAME: not so, or
 * not in time; CREDS_FINAL: and there never will be.
 */
enum creds_news { CREDS_OTHER, CREDS_SAME, CREDS_FINAL };
enum creds_news creds_refresh(struct creds_chain *c, unsigned generation,
			      enum creds_doubt doubt, int64_t deadline,
			      struct cancel *cancel);

/* The present set has expired, by our clock. */
bool creds_expired(struct creds_chain *c);

/* Fetch anew soon, without waiting for it. */
void creds_reload(struct creds_chain *c);

/* Why the last fetch failed, "" if it did not. */
void creds_trouble(struct creds_chain *c, char why[static 256]);

void creds_unref(struct creds *set); /* NULL is allowed */

#endif
