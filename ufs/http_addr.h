/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_addr.h - the addresses at which a store was last reached
 *
 * When its name cannot be resolved any more, new connections go to the
 * addresses that answered before; who is there is proved by TLS, not by DNS.
 * The name server is asked again now and then by one request, while the
 * others go on. libcurl resolves in threads of its own, and remembers a name
 * for a minute in each handle.
 */
#ifndef UFS_HTTP_ADDR_H
#define UFS_HTTP_ADDR_H

#include "base/base.h"
#include "base/lock.h"

#define ADDR_HOSTS                                                             \
	4            /* a mount has one, and a few while it finds its region   \
		      */
#define ADDR_EACH 8  /* of a host */
#define ADDR_TEXT 48 /* of an address, with the NUL */
/* "+host:port:address,..." */
#define ADDR_LINE_MAX (272 + ADDR_EACH * ADDR_TEXT)

/* Whom a URL is sent to. */
struct addr_host {
	char name[256]; /* "" when it is an address itself */
	char port[8];
};

struct addr_book {
	struct lock lock;
	/* under lock */
	struct addr_entry {
		struct addr_host host;
		char text[ADDR_EACH][ADDR_TEXT]; /* the latest first */
		unsigned n;
	} entry[ADDR_HOSTS];   /* the latest first */
	int64_t failing_until; /* clock_ns(): do not ask the name server */
};

void addr_init(struct addr_book *b);
void addr_fini(struct addr_book *b);

void addr_host_of(const char *url, struct addr_host *out);

/* It answered from there; resolved: because its name was just resolved. */
void addr_learn(struct addr_book *b, const struct addr_host *host,
		const char *address, bool resolved);

/* Its name was not resolved. True: some addresses are known. */
bool addr_unresolved(struct addr_book *b, const struct addr_host *host);

/* No connection came about at the known addresses: ask the name server. */
void addr_unreachable(struct addr_book *b);

/*
 * For CURLOPT_RESOLVE, while names are not resolved: where to go. False: let
 * libcurl resolve.
 */
bool addr_line(struct addr_book *b, const struct addr_host *host,
	       char out[static ADDR_LINE_MAX]);

#endif
