/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_server.h - a name server that does what a test tells it
 *
 * It answers every name alike, on one port by UDP and TCP. What it answers to
 * each kind of question is text: "10.0.0.1 10.0.0.2" for A, "::1" for AAAA,
 * "PRIORITY WEIGHT PORT TARGET;..." for SRV; or one of the words below.
 */
#ifndef TESTS_UNIT_DNS_SERVER_H
#define TESTS_UNIT_DNS_SERVER_H

/* Ahead of the system's MIN and MAX. */
#include "base/base.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DNS_NXDOMAIN "NXDOMAIN"
#define DNS_SERVFAIL "SERVFAIL"
#define DNS_GARBAGE "GARBAGE" /* a right head, then bytes that are none */
#define DNS_NOISE "NOISE"     /* nothing that looks like an answer */
#define DNS_SILENT "SILENT"
#define DNS_CUT "CUT " /* before records: by UDP it is said to be too long */

#define DNS_ANSWER_MAX 65535

struct dns_server {
	int udp, tcp;
	char address[32]; /* "127.0.0.1:port" */
	pthread_t thread;
	atomic_bool stopping;
	pthread_mutex_t lock;
	/* under lock */
	char a[8192], aaaa[1024], srv[1024];
	unsigned by_tcp; /* questions */
};

struct dns_text {
	uint8_t *p;
	size_t n;
};

static void dns_u16(struct dns_text *t, unsigned v)
{
	t->p[t->n++] = (uint8_t)(v >> 8);
	t->p[t->n++] = (uint8_t)v;
}

/* "a.b" as labels. */
static void dns_name(struct dns_text *t, const char *name)
{
	while (*name != '\0' && *name != '.') {
		size_t n = strcspn(name, ".");

		t->p[t->n++] = (uint8_t)n;
		memcpy(t->p + t->n, name, n);
		t->n += n;
		name += n + (name[n] == '.');
	}
	t->p[t->n++] = 0;
}

static void dns_record(struct dns_text *t, int type, const char *value)
{
	unsigned priority, weight, port;
	char target[256];
	size_t length;

	dns_u16(t, 0xc00c); /* the question's name */
	dns_u16(t, (unsigned)type);
	dns_u16(t, ns_c_in);
	dns_u16(t, 0);
	dns_u16(t, 5); /* seconds to live */
	length = t->n;
	dns_u16(t, 0);
	if (type == ns_t_a) {
		ck_assert_int_eq(inet_pton(AF_INET, value, t->p + t->n), 1);
		t->n += 4;
	} else if (type == ns_t_aaaa) {
		ck_assert_int_eq(inet_pton(AF_INET6, value, t->p + t->n), 1);
		t->n += 16;
	} else {
		ck_assert_int_eq(sscanf(value, "%u %u %u %255s", &priority,
					&weight, &port, target),
				 4);
		dns_u16(t, priority);
		dns_u16(t, weight);
		dns_u16(t, port);
		dns_name(t, target);
	}
	t->p[length] = (uint8_t)((t->n - length - 2) >> 8);
	t->p[length + 1] = (uint8_t)(t->n - length - 2);
}

/* The answer to a question into t; false: none is given. */
static bool dns_answer(struct dns_server *s, const uint8_t *q, size_t n,
		       bool tcp, struct dns_text *t)
{
	static const uint8_t noise[] = "this is not the name service";
	size_t name = 12;
	char *words, *word, *save = NULL, all[8192];
	unsigned records = 0;
	int type;

	if (n < 17)
		return false;
	while (name < n && q[name] != 0)
		name += q[name] + 1u;
	if (name + 5 > n)
		return false;
	type = q[name + 1] << 8 | q[name + 2];
	pthread_mutex_lock(&s->lock);
	s->by_tcp += tcp;
	snprintf(all, sizeof(all), "%s",
		 type == ns_t_a      ? s->a
		 : type == ns_t_aaaa ? s->aaaa
		 : type == ns_t_srv  ? s->srv
				     : DNS_NXDOMAIN);
	pthread_mutex_unlock(&s->lock);
	words = all;
	if (strcmp(words, DNS_SILENT) == 0)
		return false;
	if (strcmp(words, DNS_NOISE) == 0) {
		memcpy(t->p, noise, sizeof(noise));
		t->n = sizeof(noise);
		return true;
	}
	t->n = name + 5;
	memcpy(t->p, q, t->n);
	t->p[2] = 0x81; /* an answer; recursion was desired, */
	t->p[3] = 0x80; /* and is available */
	memset(t->p + 6, 0, 6);
	if (strcmp(words, DNS_NXDOMAIN) == 0) {
		t->p[3] |= ns_r_nxdomain;
		return true;
	}
	if (strcmp(words, DNS_SERVFAIL) == 0) {
		t->p[3] |= ns_r_servfail;
		return true;
	}
	if (strcmp(words, DNS_GARBAGE) == 0) {
		t->p[7] = 9; /* records, of which none comes */
		memset(t->p + t->n, 0xff, 40);
		t->n += 40;
		return true;
	}
	if (strncmp(words, DNS_CUT, strlen(DNS_CUT)) == 0) {
		words += strlen(DNS_CUT);
		if (!tcp) {
			t->p[2] |= 2;
			return true;
		}
	}
	for (word = strtok_r(words, type == ns_t_srv ? ";" : " ", &save);
	     word != NULL;
	     word = strtok_r(NULL, type == ns_t_srv ? ";" : " ", &save)) {
		dns_record(t, type, word);
		records++;
	}
	t->p[6] = (uint8_t)(records >> 8);
	t->p[7] = (uint8_t)records;
	return true;
}

static void dns_udp(struct dns_server *s, uint8_t *out)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct dns_text t = { out, 0 };
	uint8_t q[512];
	ssize_t n =
	    recvfrom(s->udp, q, sizeof(q), 0, (struct sockaddr *)&from, &len);

	if (n > 0 && dns_answer(s, q, (size_t)n, false, &t))
		sendto(s->udp, out, t.n, 0, (struct sockaddr *)&from, len);
}

static void dns_tcp(struct dns_server *s, uint8_t *out)
{
	int fd = accept(s->tcp, NULL, NULL);
	struct dns_text t = { out + 2, 0 };
	uint8_t q[514];
	ssize_t n = 0, r = 1;

	/* One question a connection: what comes behind is not read. */
	while (fd >= 0 && r > 0 && (n < 2 || n < 2 + (q[0] << 8 | q[1]))) {
		r = recv(fd, q + n, sizeof(q) - (size_t)n, 0);
		n += r > 0 ? r : 0;
	}
	if (fd >= 0 && r > 0 && dns_answer(s, q + 2, (size_t)n - 2, true, &t)) {
		out[0] = (uint8_t)(t.n >> 8);
		out[1] = (uint8_t)t.n;
		send(fd, out, t.n + 2, MSG_NOSIGNAL);
	}
	if (fd >= 0)
		close(fd);
}

static void *dns_run(void *arg)
{
	struct dns_server *s = arg;
	static uint8_t out[2 + DNS_ANSWER_MAX];

	while (!atomic_load(&s->stopping)) {
		struct pollfd p[2] = { { s->udp, POLLIN, 0 },
				       { s->tcp, POLLIN, 0 } };

		if (poll(p, 2, 50) <= 0)
			continue;
		if (p[0].revents != 0)
			dns_udp(s, out);
		if (p[1].revents != 0)
			dns_tcp(s, out);
	}
	return NULL;
}

/* What is answered from now on; NULL: as before. */
static void dns_say(struct dns_server *s, const char *a, const char *aaaa,
		    const char *srv)
{
	pthread_mutex_lock(&s->lock);
	if (a != NULL)
		snprintf(s->a, sizeof(s->a), "%s", a);
	if (aaaa != NULL)
		snprintf(s->aaaa, sizeof(s->aaaa), "%s", aaaa);
	if (srv != NULL)
		snprintf(s->srv, sizeof(s->srv), "%s", srv);
	pthread_mutex_unlock(&s->lock);
}

/* Both sockets at one port that the kernel picks. */
static bool dns_bind(struct dns_server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert(s->udp >= 0 && s->tcp >= 0);
	ck_assert_int_eq(bind(s->udp, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(getsockname(s->udp, (struct sockaddr *)&a, &n), 0);
	snprintf(s->address, sizeof(s->address), "127.0.0.1:%d",
		 ntohs(a.sin_port));
	if (bind(s->tcp, (struct sockaddr *)&a, n) == 0 &&
	    listen(s->tcp, 8) == 0)
		return true;
	close(s->udp);
	close(s->tcp);
	return false;
}

static void dns_start(struct dns_server *s)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	while (!dns_bind(s))
		;
	ck_assert_int_eq(pthread_create(&s->thread, NULL, dns_run, s), 0);
}

static void dns_stop(struct dns_server *s)
{
	atomic_store(&s->stopping, true);
	pthread_join(s->thread, NULL);
	close(s->udp);
	close(s->tcp);
	pthread_mutex_destroy(&s->lock);
}

#endif
