/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objsim - a scriptable S3 store for tests
 *
 * Usage: objsim [-a ADDRESS] [-p PORT]
 * Listens on loopback or that address, prints its port (0, the default: the
 * kernel picks) and serves until it is killed or its standard input ends, so
 * that it never outlives the test that started it. Keys `tarn`, `tarnsecret`
 * until /_sim/settings says otherwise.
 *
 * It answers as S3 does: GET, HEAD, LIST; PUT, CopyObject and DELETE with
 * conditions; uploads of parts, those copied from other objects too, with
 * AWS' bounds unless the settings give others. Every checksum that comes with
 * a change is compared and kept. See objsim-parts/control.c for what it can be
 * told, objsim-parts/rules.c, s3.c and send.c for faults.
 */
#include "objsim-parts/sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *serve(void *arg)
{
	struct conn c = { .fd = (int)(intptr_t)arg };
	struct request r;
	bool keep = true;

	while (keep && request_read(&c, &r) > 0) {
		if (strncmp(r.path, "/_sim/", 6) == 0)
			keep = request_body(&c, &r, UINT64_MAX) &&
			       control_serve(&c, &r);
		else
			keep = s3_serve(&c, &r);
		request_free(&r);
	}
	close(c.fd);
	free(c.buf);
	return NULL;
}

/* The parent holds the other end of our standard input. */
static void *watch_stdin(void *arg)
{
	char buf[64];

	(void)arg;
	while (read(0, buf, sizeof(buf)) > 0)
		;
	_exit(0);
}

static int listen_on(struct in_addr at, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = at };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t n = sizeof(a);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		return -1;
	printf("%u\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	struct in_addr at = { htonl(INADDR_LOOPBACK) };
	pthread_attr_t attr;
	pthread_t t;
	int fd, opt, port = 0, one = 1;

	while ((opt = getopt(argc, argv, "a:p:")) != -1) {
		if (opt == 'p') {
			port = atoi(optarg);
		} else if (opt != 'a' || inet_pton(AF_INET, optarg, &at) != 1) {
			fprintf(stderr, "usage: objsim [-a ADDRESS] "
					"[-p PORT]\n");
			return 2;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	fd = listen_on(at, (uint16_t)port);
	if (fd < 0) {
		perror("objsim: listen");
		return 1;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 512 << 10);
	pthread_create(&t, &attr, watch_stdin, NULL);
	for (;;) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (c < 0) {
			if (errno != EINTR && errno != ECONNABORTED)
				usleep(10000); /* descriptors ran out */
			continue;
		}
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&t, &attr, serve, (void *)(intptr_t)c) != 0)
			close(c);
	}
}
