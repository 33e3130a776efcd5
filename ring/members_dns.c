/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_dns.c - workers as a name server knows them
 *
 * A headless service has one A or AAAA record a worker, or one SRV record.
 * c-ares asks: it can be ended at any moment, which libresolv cannot; it knows
 * resolv.conf's servers and search list; and it turns to TCP when thirty
 * workers no longer fit into a datagram. resolv.conf is read anew each time.
 *
 * That a name is not there, or has no records of the kind, is the answer
 * "nobody". Anything else that is no answer is a failure. A and AAAA are asked
 * together, and when one of them fails its last answer stands in: there are
 * servers that never answer for AAAA, and a lost datagram must not take half
 * of the workers away.
 *
 * Of SRV records those of the lowest priority count; a ring has no use for
 * spares. Weights that are all equal become 1: CoreDNS gives each of n workers
 * the weight 100/n, and whenever that passes a power of two all vnodes move.
 */
#define CARES_NO_DEPRECATED
#include "ring/members_impl.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"

#define DEADLINE_NS (5 * NSEC_PER_SEC) /* of one question to all servers */
#define TRY_MS 1000                    /* of one server, the first time */
#define STEP_MS 100                    /* between looks at cancel */
#define RECORD_MIN 12                  /* bytes of the shortest record */

struct dns {
	struct source source;
	/* set once at open */
	char *name;
	char *servers; /* or NULL */
	unsigned port;
	bool srv;
	/* of the thread that asks */
	struct member_list last[2]; /* answers of A and of AAAA */
};

struct question {
	const struct dns *dns;
	int type;
	int status; /* of c-ares; -1: none yet */
	struct member_list list;
};

static struct dns *of(struct source *s)
{
	return container_of(s, struct dns, source);
}

static void dns_close(struct source *s)
{
	struct dns *d = of(s);

	for (size_t i = 0; i < ARRAY_SIZE(d->last); i++)
		list_fini(&d->last[i]);
	free(d->name);
	free(d->servers);
	free(d);
}

/* NAME:PORT, or the name of an SRV record. */
static int read_text(struct dns *d, const char *text, char why[static 256])
{
	const char *colon = strchr(text, ':');
	struct str name = { text, strcspn(text, ":") };
	char checked[MEMBERS_NAME_MAX];
	struct in_addr v4;

	d->srv = name.n > 0 && name.p[0] == '_';
	d->name = str_dup(name);
	if (d->name == NULL)
		return -ENOMEM;
	if (colon != NULL && strchr(colon + 1, ':') != NULL)
		return ufs_why(why, -EINVAL,
			       "dns://%.80s: a name server is asked for a "
			       "name; an address stands in workers= itself",
			       text);
	if (d->srv && colon != NULL)
		return ufs_why(why, -EINVAL,
			       "dns://%.80s: SRV records have ports of their "
			       "own, leave out the one behind the name",
			       text);
	if (!d->srv && colon == NULL)
		return ufs_why(
		    why, -EINVAL,
		    "dns://%.80s has no port: it is dns://NAME:PORT, "
		    "or dns://_SERVICE._tcp.NAME for SRV records",
		    text);
	if (!d->srv && member_port((struct str){ colon + 1, strlen(colon + 1) },
				   &d->port) < 0)
		return ufs_why(why, -EINVAL,
			       "dns://%.80s: the port is not from 1 to 65535",
			       text);
	if (inet_pton(AF_INET, d->name, &v4) == 1)
		return ufs_why(why, -EINVAL,
			       "dns://%.80s is an address, not a name: it "
			       "stands in workers= itself",
			       text);
	/* A dot at the end says that no domain is to be searched. */
	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	return member_name_of(name, 1, checked, why);
}

static int library_error;
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
	library_error = ares_library_init(ARES_LIB_INIT_ALL);
}

static int dns_open(const struct members_conf *conf, const char *text,
		    struct source **out, char why[static 256])
{
	struct dns *d = calloc(1, sizeof(*d));
	int r;

	if (d == NULL)
		return -ENOMEM;
	d->source.ops = &source_dns;
	r = read_text(d, text, why);
	if (r == 0 && conf->dns_servers != NULL) {
		d->servers = strdup(conf->dns_servers);
		r = d->servers != NULL ? 0 : -ENOMEM;
	}
	must(pthread_once(&library_once, library_init));
	if (r == 0 && library_error != ARES_SUCCESS)
		r = ufs_why(why, -EINVAL, "c-ares does not start: %s",
			    ares_strerror(library_error));
	if (r < 0)
		dns_close(&d->source);
	else
		*out = &d->source;
	return r;
}

static void add_address(struct question *q, int family, const void *address)
{
	char text[INET6_ADDRSTRLEN], name[MEMBERS_NAME_MAX], why[256];

	inet_ntop(family, address, text, sizeof(text));
	if (member_name_of(str_of(text), q->dns->port, name, why) < 0)
		list_odd(&q->list, "%.150s", why);
	else
		list_add(&q->list, name, 1);
}

static int read_a(struct question *q, const unsigned char *p, int n)
{
	int found = n / RECORD_MIN + 1, status;
	AUTO_FREE struct ares_addrttl *a = calloc((size_t)found, sizeof(*a));

	if (a == NULL)
		return ARES_ENOMEM;
	status = ares_parse_a_reply(p, n, NULL, a, &found);
	for (int i = 0; status == ARES_SUCCESS && i < found; i++)
		add_address(q, AF_INET, &a[i].ipaddr);
	return status;
}

static int read_aaaa(struct question *q, const unsigned char *p, int n)
{
	int found = n / RECORD_MIN + 1, status;
	AUTO_FREE struct ares_addr6ttl *a = calloc((size_t)found, sizeof(*a));

	if (a == NULL)
		return ARES_ENOMEM;
	status = ares_parse_aaaa_reply(p, n, NULL, a, &found);
	for (int i = 0; status == ARES_SUCCESS && i < found; i++)
		add_address(q, AF_INET6, &a[i].ip6addr);
	return status;
}

static void add_srv(struct question *q, const struct ares_srv_reply *s,
		    bool equal)
{
	size_t n = strlen(s->host);
	char name[MEMBERS_NAME_MAX], why[256];

	if (n > 0 && s->host[n - 1] == '.')
		n--;
	if (n == 0) /* RFC 2782: decidedly not available here */
		return;
	if (s->port == 0)
		list_odd(&q->list, "%.100s has port 0", s->host);
	else if (member_name_of((struct str){ s->host, n }, s->port, name,
				why) < 0)
		list_odd(&q->list, "%.150s", why);
	else
		list_add(&q->list, name, equal ? 1 : MAX(s->weight, 1));
}

static int read_srv(struct question *q, const unsigned char *p, int n)
{
	struct ares_srv_reply *all = NULL, *s;
	int status = ares_parse_srv_reply(p, n, &all);
	unsigned lowest = UINT16_MAX, weight = UINT_MAX;
	bool equal = true;

	if (status != ARES_SUCCESS)
		return status;
	for (s = all; s != NULL; s = s->next)
		lowest = MIN(lowest, s->priority);
	for (s = all; s != NULL; s = s->next) {
		if (s->priority != lowest)
			continue;
		equal = equal && (weight == UINT_MAX || weight == s->weight);
		weight = s->weight;
	}
	for (s = all; s != NULL; s = s->next)
		if (s->priority == lowest)
			add_srv(q, s, equal);
	ares_free_data(all);
	return ARES_SUCCESS;
}

static void answered(void *arg, int status, int timeouts, unsigned char *p,
		     int n)
{
	struct question *q = arg;

	(void)timeouts;
	if (status == ARES_SUCCESS)
		status = q->type == ns_t_a      ? read_a(q, p, n)
			 : q->type == ns_t_aaaa ? read_aaaa(q, p, n)
						: read_srv(q, p, n);
	q->status = status;
}

static bool all_answered(const struct question *q, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (q[i].status < 0)
			return false;
	return true;
}

/* Wait for the sockets of c-ares, but not longer than a step. */
static void step(ares_channel channel)
{
	ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
	struct pollfd fds[ARES_GETSOCK_MAXNUM];
	/* Not by c-ares' macros, which shift an int by 31. */
	unsigned mask =
	    (unsigned)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
	nfds_t n = 0;

	for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
		bool in = (mask >> i & 1) != 0;
		bool out = (mask >> (i + ARES_GETSOCK_MAXNUM) & 1) != 0;

		if (in || out)
			fds[n++] = (struct pollfd){
				.fd = sockets[i],
				.events = (short)((in ? POLLIN : 0) |
						  (out ? POLLOUT : 0)),
			};
	}
	if (poll(fds, n, STEP_MS) < 0)
		n = 0;
	for (nfds_t i = 0; i < n; i++)
		ares_process_fd(
		    channel,
		    fds[i].revents & ~POLLOUT ? fds[i].fd : ARES_SOCKET_BAD,
		    fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
	/* And whatever has taken too long. */
	ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* Ask and wait; how each question ended stands in it. */
static int ask(const struct dns *d, struct question *q, size_t n,
	       struct cancel *cancel, char why[static 256])
{
	struct ares_options options = { .timeout = TRY_MS, .tries = 2 };
	int64_t deadline = clock_ns() + DEADLINE_NS;
	ares_channel channel;
	int status = ares_init_options(&channel, &options,
				       ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);

	if (status != ARES_SUCCESS)
		return ufs_why(why, status == ARES_ENOMEM ? -ENOMEM : -EAGAIN,
			       "the name servers of this host are not known: "
			       "%s",
			       ares_strerror(status));
	if (d->servers != NULL)
		status = ares_set_servers_ports_csv(channel, d->servers);
	if (status != ARES_SUCCESS) {
		ares_destroy(channel);
		return ufs_why(why, -EAGAIN, "%.100s is no name server: %s",
			       d->servers, ares_strerror(status));
	}
	for (size_t i = 0; i < n; i++)
		ares_search(channel, d->name, ns_c_in, q[i].type, answered,
			    &q[i]);
	while (!all_answered(q, n) && !cancelled(cancel) &&
	       clock_ns() < deadline)
		step(channel);
	ares_destroy(channel); /* answers what is open: ARES_EDESTRUCTION */
	return cancelled(cancel) ? -ECANCELED : 0;
}

static bool nobody(int status)
{
	return status == ARES_ENODATA || status == ARES_ENOTFOUND;
}

static int failure(const struct dns *d, int status, char why[static 256])
{
	if (status == ARES_ENOMEM)
		return -ENOMEM;
	if (status == ARES_ETIMEOUT || status == ARES_EDESTRUCTION)
		return ufs_why(why, -EAGAIN,
			       "%.100s: no name server answered in time",
			       d->name);
	if (status == ARES_EBADRESP || status == ARES_EFORMERR)
		return ufs_why(why, -EBADMSG,
			       "%.100s: a name server's answer is malformed",
			       d->name);
	/* So c-ares calls SERVFAIL and REFUSED of the last server as well. */
	if (status == ARES_ECONNREFUSED)
		return ufs_why(why, -EAGAIN,
			       "%.100s: no name server is there, or all of "
			       "them fail",
			       d->name);
	return ufs_why(why, -EAGAIN, "%.100s: %s", d->name,
		       ares_strerror(status));
}

static void list_append(struct member_list *l, const struct member_list *more)
{
	for (size_t i = 0; i < more->n; i++)
		list_add(l, more->at[i].name, more->at[i].weight);
	for (size_t i = 0; i < more->odd; i++)
		list_odd(l, "%s", more->odd_why);
	l->failed = l->failed || more->failed;
}

/* A and AAAA: an answer of one is one, the other may stay as it was. */
static int put_together(struct dns *d, struct question *q,
			struct member_list *out, char why[static 256])
{
	bool known[2];

	for (size_t i = 0; i < 2; i++)
		known[i] = q[i].status == ARES_SUCCESS || nobody(q[i].status);
	for (size_t i = 0; i < 2; i++)
		if (!known[i] && q[1 - i].status != ARES_SUCCESS)
			return failure(d, q[i].status, why);
	for (size_t i = 0; i < 2; i++) {
		if (known[i]) {
			list_fini(&d->last[i]);
			d->last[i] = q[i].list;
			memset(&q[i].list, 0, sizeof(q[i].list));
		}
		list_append(out, &d->last[i]);
	}
	return 0;
}

static int dns_next(struct source *s, bool anew, struct member_list *out,
		    struct cancel *cancel, char why[static 256])
{
	struct dns *d = of(s);
	struct question q[2] = {
		{ .dns = d, .type = d->srv ? ns_t_srv : ns_t_a, .status = -1 },
		{ .dns = d, .type = ns_t_aaaa, .status = -1 },
	};
	int r = ask(d, q, d->srv ? 1 : 2, cancel, why);

	(void)anew;
	if (r == 0 && !d->srv)
		r = put_together(d, q, out, why);
	else if (r == 0 && q[0].status == ARES_SUCCESS)
		list_append(out, &q[0].list);
	else if (r == 0 && !nobody(q[0].status))
		r = failure(d, q[0].status, why);
	list_fini(&q[0].list);
	list_fini(&q[1].list);
	return r;
}

const struct source_ops source_dns = {
	.kind = "dns",
	.scheme = "dns://",
	.open = dns_open,
	.close = dns_close,
	.next = dns_next,
};
