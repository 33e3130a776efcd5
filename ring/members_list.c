/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_list.c - names, lists of them, and the source that is a list
 *
 * The name of a worker is hashed as it is written, so there is one way to
 * write it: hosts in lower case, addresses as inet_ntop() has them, the port
 * without leading zeros.
 */
#include "ring/members_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define HOST_MAX 253 /* RFC 1035, without the dot at the end */

void list_add(struct member_list *l, const char *name, uint64_t weight)
{
	char *copy;

	if (l->n == l->room && !l->failed) {
		size_t room = l->room * 2 + 16;
		void *p = realloc(l->at, room * sizeof(*l->at));

		l->failed = p == NULL;
		if (p != NULL) {
			l->at = p;
			l->room = room;
		}
	}
	if (l->failed)
		return;
	copy = strdup(name);
	l->failed = copy == NULL;
	if (copy != NULL)
		l->at[l->n++] = (struct ring_member){ copy, weight };
}

void list_odd(struct member_list *l, const char *fmt, ...)
{
	va_list ap;

	if (l->odd++ > 0)
		return;
	va_start(ap, fmt);
	vsnprintf(l->odd_why, sizeof(l->odd_why), fmt, ap);
	va_end(ap);
}

/* The list owns its names: ring.h has them const because it only reads. */
static void free_name(const struct ring_member *m)
{
	free((void *)(uintptr_t)m->name);
}

void list_fini(struct member_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free_name(&l->at[i]);
	free(l->at);
	memset(l, 0, sizeof(*l));
}

static int by_name(const void *a, const void *b)
{
	const struct ring_member *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order != 0)
		return order;
	return (x->weight < y->weight) - (x->weight > y->weight);
}

void list_unique(struct member_list *l)
{
	size_t kept = 0;

	if (l->n == 0)
		return;
	qsort(l->at, l->n, sizeof(*l->at), by_name);
	for (size_t i = 0; i < l->n; i++)
		if (kept > 0 &&
		    strcmp(l->at[kept - 1].name, l->at[i].name) == 0)
			free_name(&l->at[i]);
		else
			l->at[kept++] = l->at[i];
	l->n = kept;
}

int member_port(struct str text, unsigned *out)
{
	unsigned port = 0;

	if (text.n == 0 || text.n > 5)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -EINVAL;
		port = port * 10 + (unsigned)(text.p[i] - '0');
	}
	if (port == 0 || port > 65535)
		return -EINVAL;
	*out = port;
	return 0;
}

static bool host_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_' || c == '.';
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* Into out in lower case; NULL, or what is wrong with it. */
static const char *host_read(struct str host, char out[static HOST_MAX + 1])
{
	bool letters = false;
	struct in_addr v4;

	if (host.n == 0)
		return "the host is missing";
	if (host.n > HOST_MAX)
		return "the host is longer than 253 bytes";
	for (size_t i = 0; i < host.n; i++) {
		char c = lower(host.p[i]);

		if (!host_byte(c))
			return "a host has letters, digits, '-', '_' and '.' "
			       "only";
		if (c == '.' && (i == 0 || out[i - 1] == '.'))
			return "the host has an empty label";
		letters = letters || !((c >= '0' && c <= '9') || c == '.');
		out[i] = c;
	}
	out[host.n] = '\0';
	if (out[host.n - 1] == '.')
		return "a host does not end with a dot";
	if (!letters && inet_pton(AF_INET, out, &v4) != 1)
		return "that is no IPv4 address";
	return NULL;
}

int member_name_of(struct str host, unsigned port,
		   char out[static MEMBERS_NAME_MAX], char why[static 256])
{
	char name[HOST_MAX + 1], v6_text[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	const char *wrong;

	snprintf(name, sizeof(name), "%.*s", (int)MIN(host.n, HOST_MAX),
		 host.p);
	if (memchr(host.p, ':', host.n) != NULL) {
		if (host.n > HOST_MAX || inet_pton(AF_INET6, name, &v6) != 1)
			return ufs_why(why, -EINVAL, "%.*s is no IPv6 address",
				       (int)MIN(host.n, 80), host.p);
		inet_ntop(AF_INET6, &v6, v6_text, sizeof(v6_text));
		snprintf(out, MEMBERS_NAME_MAX, "[%s]:%u", v6_text, port);
		return 0;
	}
	wrong = host_read(host, name);
	if (wrong != NULL)
		return ufs_why(why, -EINVAL, "%.*s: %s", (int)MIN(host.n, 80),
			       host.p, wrong);
	snprintf(out, MEMBERS_NAME_MAX, "%s:%u", name, port);
	return 0;
}

int member_name(struct str text, char out[static MEMBERS_NAME_MAX],
		char why[static 256])
{
	int shown = (int)MIN(text.n, 80);
	const char *colon = memrchr(text.p, ':', text.n);
	struct str host, port;
	unsigned number;

	if (text.n == 0)
		return ufs_why(why, -EINVAL, "a worker's name is empty");
	if (colon == NULL)
		return ufs_why(why, -EINVAL,
			       "%.*s has no port: a worker is HOST:PORT", shown,
			       text.p);
	host = (struct str){ text.p, (size_t)(colon - text.p) };
	port = (struct str){ colon + 1, text.n - host.n - 1 };
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
		host = (struct str){ host.p + 1, host.n - 2 };
		if (memchr(host.p, ':', host.n) == NULL)
			return ufs_why(why, -EINVAL,
				       "%.*s: brackets are for an IPv6 address",
				       shown, text.p);
	} else if (memchr(host.p, ':', host.n) != NULL) {
		return ufs_why(why, -EINVAL,
			       "%.*s: an IPv6 address stands in brackets, as "
			       "[::1]:PORT",
			       shown, text.p);
	}
	if (member_port(port, &number) < 0)
		return ufs_why(why, -EINVAL,
			       "%.*s: the port is not from 1 to 65535", shown,
			       text.p);
	return member_name_of(host, number, out, why);
}

const struct source_ops *source_find(const char *workers, const char **text)
{
	static const struct source_ops *const sources[] = {
		&source_list,
		&source_dns,
		&source_etcd,
	};
	size_t i = ARRAY_SIZE(sources) - 1;

	/* The list has no scheme: it is the last to be tried. */
	while (strncmp(workers, sources[i]->scheme,
		       strlen(sources[i]->scheme)) != 0)
		i--;
	*text = workers + strlen(sources[i]->scheme);
	return sources[i];
}

/* The source that is a list. */
struct listed {
	struct source source;
	struct member_list list;
};

static struct listed *of(struct source *s)
{
	return container_of(s, struct listed, source);
}

static void listed_close(struct source *s)
{
	list_fini(&of(s)->list);
	free(of(s));
}

static int listed_read(struct listed *l, const char *text, char why[static 256])
{
	char name[MEMBERS_NAME_MAX];
	size_t n;
	int r;

	if (strstr(text, "://") != NULL)
		return ufs_why(why, -EINVAL,
			       "workers= begins with dns:// or etcd://, or is "
			       "HOST:PORT[+HOST:PORT...]: %.80s",
			       text);
	if (strchr(text, ',') != NULL)
		return ufs_why(why, -EINVAL,
			       "workers in a list are joined by '+', not ','");
	for (;; text += n + 1) {
		n = strcspn(text, "+");
		r = member_name((struct str){ text, n }, name, why);
		if (r < 0)
			return r;
		for (size_t i = 0; i < l->list.n; i++)
			if (strcmp(l->list.at[i].name, name) == 0)
				return ufs_why(why, -EINVAL,
					       "%.80s is in the list twice",
					       name);
		list_add(&l->list, name, 1);
		if (l->list.n > RING_WORKERS_MAX)
			return ufs_why(why, -EINVAL,
				       "the list has more than %d workers",
				       RING_WORKERS_MAX);
		if (text[n] == '\0')
			return l->list.failed ? -ENOMEM : 0;
	}
}

static int listed_open(const struct members_conf *conf, const char *text,
		       struct source **out, char why[static 256])
{
	struct listed *l = calloc(1, sizeof(*l));
	int r;

	(void)conf;
	if (l == NULL)
		return -ENOMEM;
	l->source.ops = &source_list;
	r = listed_read(l, text, why);
	if (r < 0)
		listed_close(&l->source);
	else
		*out = &l->source;
	return r;
}

static int listed_next(struct source *s, bool anew, struct member_list *out,
		       struct cancel *cancel, char why[static 256])
{
	const struct member_list *l = &of(s)->list;

	(void)anew, (void)cancel, (void)why;
	for (size_t i = 0; i < l->n; i++)
		list_add(out, l->at[i].name, l->at[i].weight);
	return 0;
}

const struct source_ops source_list = {
	.kind = "list",
	.scheme = "",
	.open = listed_open,
	.close = listed_close,
	.next = listed_next,
	.once = true,
};
