/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - listening, starting, draining, ending
 *
 * The number of connections keeps to what descriptors there are, so that
 * accept() hardly ever fails for want of one (server_accept.c).
 */
#include "ring/server_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"

#define THREADS_MAX 16
#define POOL_MAX 32
#define CONNECTIONS 4096
#define PER_IP_SHARE 2   /* one address gets a half of them at most */
#define STUCK_SECONDS 60 /* nothing moves */
#define DRAIN_LOOK (20 * NSEC_PER_MSEC)

static bool is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)a;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (a->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)a;

		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	return false;
}

/* "host:port", "[::1]:port" */
static int split_address(const char *text, char host[static 256],
			 char port[static 8])
{
	const char *colon = strrchr(text, ':');
	size_t n;

	if (colon == NULL || strlen(colon + 1) >= 8 || colon[1] == '\0')
		return -EINVAL;
	n = (size_t)(colon - text);
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n == 0 || n >= 256)
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	strcpy(port, colon + 1);
	return 0;
}

static int bind_to(struct server *s, const struct addrinfo *a, int *out,
		   char why[static 256])
{
	AUTO_CLOSE int fd =
	    socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_storage got;
	socklen_t n = sizeof(got);
	char host[256], port[16];
	int on = 1;

	if (s->conf.access.secret == NULL && s->tls.ca == NULL &&
	    !is_loopback(a->ai_addr)) {
		snprintf(why, 256,
			 "%s=%.100s is no loopback address: give the "
			 "cluster's key with cluster-key-file=, or tls-cert=, "
			 "tls-key= and tls-ca=",
			 s->conf.option, s->conf.listen);
		return -EPERM;
	}
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&got, &n) < 0)
		return -errno;
	if (getnameinfo((struct sockaddr *)&got, n, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -EIO;
	snprintf(s->address, sizeof(s->address),
		 strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
	*out = take_fd(&fd);
	return 0;
}

static int open_socket(struct server *s, int *out, char why[static 256])
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found;
	char host[256], port[8];
	int r;

	if (split_address(s->conf.listen, host, port) < 0) {
		snprintf(why, 256, "%s=%.100s: write HOST:PORT", s->conf.option,
			 s->conf.listen);
		return -EINVAL;
	}
	r = getaddrinfo(host, port, &hints, &found);
	if (r != 0) {
		snprintf(why, 256, "%s=%.100s: %s", s->conf.option,
			 s->conf.listen, gai_strerror(r));
		return -EINVAL;
	}
	r = bind_to(s, found, out, why);
	if (r < 0 && r != -EPERM)
		snprintf(why, 256, "%s=%.100s: %s%s", s->conf.option,
			 s->conf.listen, strerror(-r),
			 r == -EADDRINUSE ? "; name another port" : "");
	freeaddrinfo(found);
	return r;
}

/* Each may need a second one, for the file that is sent on it. */
static unsigned connections(const struct server *s)
{
	unsigned most = s->conf.max_connections;
	struct rlimit limit;

	if (most == 0)
		most = CONNECTIONS;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY)
		most = (unsigned)MIN((rlim_t)most, limit.rlim_cur / 4);
	return MAX(most, 8);
}

static unsigned threads(const struct server *s)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = s->conf.threads;

	if (n == 0)
		n = cpus > 0 ? (unsigned)MIN(cpus, THREADS_MAX) : 1;
	return n;
}

static void library_log(void *arg, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void library_log(void *arg, const char *fmt, va_list ap)
{
	char line[256];

	(void)arg;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug(LOG_RING, "ring: http: %s", line);
}

static int start_daemon(struct server *s)
{
	unsigned n = threads(s), most = connections(s);
	char versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	bool tls = s->tls.cert != NULL;
	struct MHD_OptionItem secure[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, s->tls.cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, s->tls.key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, versions },
		{ s->tls.ca != NULL ? MHD_OPTION_HTTPS_MEM_TRUST
				    : MHD_OPTION_END,
		  0, s->tls.ca },
		{ MHD_OPTION_END, 0, NULL },
	};
	/* For each thread; the limit of all is kept in server_accept.c. */
	unsigned never = (most + 1) * n;
	struct MHD_OptionItem options[] = {
		{ MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)library_log, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, (intptr_t)never, NULL },
		{ MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		  (intptr_t)MAX(most / PER_IP_SHARE, 1), NULL },
		{ MHD_OPTION_CONNECTION_TIMEOUT, STUCK_SECONDS, NULL },
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		  (intptr_t)CONNECTION_MEMORY, NULL },
		{ MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)conn_notify, s },
		{ MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)exchange_completed,
		  s },
		{ MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)exchange_line, s },
#if MHD_VERSION >= 0x00097701
		{ MHD_OPTION_CLIENT_DISCIPLINE_LVL, 2, NULL },
#else
		{ MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL },
#endif
		{ MHD_OPTION_ARRAY, 0, tls ? secure : secure + 4 },
		{ n > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
		  (intptr_t)n, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};

	s->connections_max = most;
	s->daemon = MHD_start_daemon(
	    MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET |
		MHD_ALLOW_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0) |
		MHD_USE_ITC | MHD_USE_ERROR_LOG,
	    0, NULL, NULL, exchange_handle, s, MHD_OPTION_ARRAY, options,
	    MHD_OPTION_END);
	return s->daemon != NULL ? 0 : -EIO;
}

static int copy_sources(struct server *s, const struct server_conf *conf)
{
	s->sources = calloc(conf->nsources, sizeof(*s->sources));
	if (s->sources == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < conf->nsources; i++) {
		struct source *src = &s->sources[i];

		src->bucket = strdup(conf->sources[i].bucket);
		if (src->bucket == NULL)
			return -ENOMEM;
		s->nsources++;
		src->cache = conf->sources[i].cache;
		src->ufs = cache_ufs(src->cache);
	}
	return 0;
}

int server_start(const struct server_conf *conf, struct server **out,
		 char why[static 256])
{
	struct server *s = calloc(1, sizeof(*s));
	AUTO_CLOSE int fd = -1;
	uint64_t id;
	int r;

	why[0] = '\0';
	if (s == NULL)
		return -ENOMEM;
	s->conf = *conf;
	if (s->conf.option == NULL)
		s->conf.option = "listen";
	s->listening = s->accept_end = -1;
	lock_init(&s->lock, RANK_CONTROL);
	event_init(&s->changed);
	auth_init(&s->auth, conf->access.secret);
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = (uint64_t)clock_wall_ns();
	atomic_init(&s->request_ids, id);
	s->streams_max = MAX(conf->memory / STREAM_ROOM, 16);
	s->clocks_max = threads(s);
	s->clocks = calloc(s->clocks_max, sizeof(*s->clocks));
	r = s->clocks != NULL ? heat_new(threads(s), clock_ns(), &s->heat)
			      : -ENOMEM;
	if (r == 0)
		r = copy_sources(s, conf);
	if (r == 0)
		r = server_tls_read(&conf->access.tls, &s->tls, why);
	if (r == 0)
		r = open_socket(s, &fd, why);
	if (r == 0)
		r = pool_new("worker", POOL_MAX, &s->pool);
	if (r == 0)
		r = pool_new("worker-ssd", POOL_MAX, &s->near);
	if (r == 0)
		r = conn_watch_start(s);
	if (r == 0)
		r = early_start(s);
	if (r == 0)
		r = start_daemon(s);
	if (r == 0)
		r = accept_start(s, take_fd(&fd));
	if (r < 0) {
		if (why[0] == '\0')
			snprintf(why, 256, "cannot serve: %s", strerror(-r));
		server_stop(s);
		return r;
	}
	*out = s;
	return 0;
}

const char *server_address(const struct server *s)
{
	return s->address;
}

unsigned server_active(const struct server *s)
{
	return atomic_load(&s->active);
}

void server_hurry(struct server *s)
{
	atomic_store(&s->hurry, true);
}

void server_drain(struct server *s, int64_t deadline)
{
	struct timespec look = { .tv_nsec = DRAIN_LOOK };

	atomic_store(&s->draining, true);
	accept_stop(s);
	while (server_active(s) > 0 && clock_ns() < deadline &&
	       !atomic_load(&s->hurry))
		nanosleep(&look, NULL);
}

/*
 * The library must not be stopped while a connection is suspended, so what
 * waits is waited for: lookups and listings are cancelled, reads end by their
 * deadline at the latest.
 */
static void end_all(struct server *s)
{
	struct timespec look = { .tv_nsec = DRAIN_LOOK };

	if (!atomic_load(&s->draining))
		server_drain(s, 0);
	cancel_set(&s->stopping);
	while (atomic_load(&s->waiting) > 0)
		nanosleep(&look, NULL);
}

void server_stop(struct server *s)
{
	if (s == NULL)
		return;
	if (s->daemon != NULL) {
		end_all(s);
		MHD_stop_daemon(s->daemon);
	}
	accept_stop(s);
	conn_watch_stop(s);
	early_stop(s);
	pool_stop(s->pool);
	pool_stop(s->near);
	for (size_t i = 0; i < s->nsources; i++)
		free(s->sources[i].bucket);
	free(s->sources);
	free(s->clocks);
	heat_free(s->heat);
	auth_fini(&s->auth);
	server_tls_free(&s->tls);
	event_fini(&s->changed);
	lock_fini(&s->lock);
	free(s);
}
