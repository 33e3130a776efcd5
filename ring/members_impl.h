/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_impl.h - the parts of membership
 *
 * members.c: the thread, and the view it publishes. members_list.c: names,
 * lists, and the source that is a list. members_dns.c, members_etcd.c: the
 * sources that ask. members_join.c: a worker in etcd. etcd.c: the requests.
 */
#ifndef RING_MEMBERS_IMPL_H
#define RING_MEMBERS_IMPL_H

#include "base/cancel.h"
#include "ring/members.h"
#include "ring/ring.h"
#include "ufs/ufs_impl.h"

/* Workers as a source names them. */
struct member_list {
	struct ring_member *at; /* owns the names */
	size_t n, room;
	bool failed; /* out of memory; asked for once at the end */

	/*
	 * Something is odd about all of it: as with an empty list it takes
	 * three in a row to be believed. NULL, or words.
	 */
	const char *doubt;

	/* Entries that were left out, and words about one of them. */
	size_t odd;
	char odd_why[160];
};

void list_add(struct member_list *l, const char *name, uint64_t weight);
void list_odd(struct member_list *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
void list_fini(struct member_list *l);

/* By name, each once: of two with one name the heavier stays. */
void list_unique(struct member_list *l);

/*
 * "host:port" as all write it. -EINVAL with a sentence that names text when
 * it is none.
 */
int member_name(struct str text, char out[static MEMBERS_NAME_MAX],
		char why[static 256]);

/* The same of a host (a name or an address, without brackets) and a port. */
int member_name_of(struct str host, unsigned port,
		   char out[static MEMBERS_NAME_MAX], char why[static 256]);

/* 1 to 65535 in decimal, or -EINVAL. */
int member_port(struct str text, unsigned *out);

struct source {
	const struct source_ops *ops;
};

struct source_ops {
	const char *kind;
	const char *scheme; /* "dns://", or "" */

	/*
	 * text is what stands behind the scheme. Asks nobody. -EINVAL with a
	 * sentence, -ENOMEM.
	 */
	int (*open)(const struct members_conf *conf, const char *text,
		    struct source **out, char why[static 256]);
	void (*close)(struct source *s);

	/*
	 * The workers, into an empty list. anew: ask and answer at once; else
	 * a source that is told of changes may wait for one, for some of
	 * conf's polls. -EAGAIN: no answer; -EBADMSG: one that cannot be; both
	 * with a sentence. -ENOMEM, or -ECANCELED soon after cancel is set.
	 */
	int (*next)(struct source *s, bool anew, struct member_list *out,
		    struct cancel *cancel, char why[static 256]);

	bool once; /* its first answer is the last, and takes no time */
	bool told; /* next() waits: no need to pause between two of them */
};

extern const struct source_ops source_list, source_dns, source_etcd;

/* The source that a text is for, and what stands behind its scheme. */
const struct source_ops *source_find(const char *workers, const char **text);

#endif
