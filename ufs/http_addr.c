/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_addr.c - a short book of hosts, for when the name server fails
 *
 * A name that was not resolved stays so for FAILING_NS: requests begun
 * meanwhile would all wait for the same silence. The first one after that
 * is let through to the name server; whoever resolves the name ends it.
 */
#include "ufs/http_addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"

#define FAILING_NS (30 * NSEC_PER_SEC) /* until one request asks again */

void addr_init(struct addr_book *b)
{
	memset(b, 0, sizeof(*b));
	lock_init(&b->lock, RANK_STORE);
}

void addr_fini(struct addr_book *b)
{
	lock_fini(&b->lock);
}

void addr_host_of(const char *url, struct addr_host *out)
{
	const char *name = strstr(url, "://"), *port;
	bool tls = strncasecmp(url, "https:", 6) == 0;
	struct in_addr v4;
	size_t n;

	out->name[0] = '\0';
	snprintf(out->port, sizeof(out->port), "%s", tls ? "443" : "80");
	if (name == NULL || name[3] == '[')
		return;
	name += 3;
	n = strcspn(name, ":/?#");
	if (n >= sizeof(out->name))
		return;
	memcpy(out->name, name, n);
	out->name[n] = '\0';
	port = name + n;
	if (*port == ':')
		snprintf(out->port, sizeof(out->port), "%.*s",
			 (int)strcspn(port + 1, "/?#"), port + 1);
	if (inet_pton(AF_INET, out->name, &v4) == 1)
		out->name[0] = '\0';
}

static struct addr_entry *find_locked(struct addr_book *b,
				      const struct addr_host *host)
{
	for (unsigned i = 0; i < ADDR_HOSTS; i++)
		if (b->entry[i].n > 0 &&
		    strcasecmp(b->entry[i].host.name, host->name) == 0 &&
		    strcmp(b->entry[i].host.port, host->port) == 0)
			return &b->entry[i];
	return NULL;
}

/* An entry for a host that has none: in place of the oldest. */
static struct addr_entry *make_locked(struct addr_book *b,
				      const struct addr_host *host)
{
	memmove(&b->entry[1], &b->entry[0],
		(ADDR_HOSTS - 1) * sizeof(b->entry[0]));
	b->entry[0] = (struct addr_entry){ .host = *host };
	return &b->entry[0];
}

void addr_learn(struct addr_book *b, const struct addr_host *host,
		const char *address, bool resolved)
{
	struct addr_entry *e;
	unsigned i = 0;

	if (host->name[0] == '\0' || strlen(address) >= ADDR_TEXT)
		return;
	lock_take(&b->lock);
	e = find_locked(b, host);
	if (e == NULL)
		e = make_locked(b, host);
	while (i < e->n && strcmp(e->text[i], address) != 0)
		i++;
	if (i == e->n && e->n < ADDR_EACH)
		e->n++;
	i = MIN(i, ADDR_EACH - 1);
	memmove(e->text[1], e->text[0], i * sizeof(e->text[0]));
	memcpy(e->text[0], address, strlen(address) + 1);
	if (resolved)
		b->failing_until = 0;
	lock_drop(&b->lock);
}

bool addr_unresolved(struct addr_book *b, const struct addr_host *host)
{
	bool known;

	lock_take(&b->lock);
	b->failing_until = clock_ns() + FAILING_NS;
	known = find_locked(b, host) != NULL;
	lock_drop(&b->lock);
	return known;
}

void addr_unreachable(struct addr_book *b)
{
	lock_take(&b->lock);
	b->failing_until = 0;
	lock_drop(&b->lock);
}

bool addr_line(struct addr_book *b, const struct addr_host *host,
	       char out[static ADDR_LINE_MAX])
{
	const struct addr_entry *e = NULL;
	int64_t now = clock_ns();
	int n;

	lock_take(&b->lock);
	if (now < b->failing_until)
		e = find_locked(b, host);
	else if (b->failing_until > 0) /* this one asks */
		b->failing_until = now + FAILING_NS;
	if (e != NULL) {
		n = snprintf(out, ADDR_LINE_MAX, "+%s:%s:", host->name,
			     host->port);
		for (unsigned i = 0; i < e->n; i++)
			n += snprintf(out + n, ADDR_LINE_MAX - (size_t)n,
				      "%s%s", i > 0 ? "," : "", e->text[i]);
	}
	lock_drop(&b->lock);
	return e != NULL;
}
