/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - one line per fact
 *
 * A line is put together on the stack and written with one write(2) or
 * send(2) that never waits: what a full disk, a full pipe or a missing
 * syslog does not take is lost, and counted by nobody.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define LINE_MAX_BYTES 2048

static atomic_int level = LOG_LEVEL_INFO;
static atomic_uint topics;
static atomic_int out_fd = STDERR_FILENO;
static atomic_bool to_syslog;

static const char *const level_names[] = { "err", "warn", "info", "debug" };
static const char *const topic_names[] = { "ufs", "cache", "fuse", "meta" };

static int open_syslog(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX,
				 .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int log_open(const char *where)
{
	bool syslog = strcmp(where, "syslog") == 0;
	int fd, old;

	if (strcmp(where, "stderr") == 0)
		fd = STDERR_FILENO;
	else if (syslog)
		fd = open_syslog();
	else
		fd = open(where,
			  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY |
			      O_NONBLOCK,
			  0600);
	if (fd < 0 && !syslog)
		return -errno;
	/* A host without syslog keeps no log; that is no reason to fail. */
	atomic_store(&to_syslog, syslog);
	old = atomic_exchange(&out_fd, fd);
	if (old > STDERR_FILENO)
		close(old);
	return 0;
}

void log_set_level(enum log_level l)
{
	atomic_store(&level, (int)l);
}

int log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

int log_topics_parse(const char *names, unsigned *out)
{
	unsigned mask = 0;

	while (*names != '\0') {
		size_t n = strcspn(names, ","), i;

		for (i = 0; i < ARRAY_SIZE(topic_names); i++)
			if (strlen(topic_names[i]) == n &&
			    strncmp(names, topic_names[i], n) == 0)
				break;
		if (i == ARRAY_SIZE(topic_names))
			return -EINVAL;
		mask |= 1u << i;
		names += n;
		names += *names == ',';
	}
	*out = mask;
	return 0;
}

void log_set_topics(unsigned mask)
{
	atomic_store(&topics, mask);
}

bool log_topic_on(enum log_topic topic)
{
	return (atomic_load_explicit(&topics, memory_order_relaxed) & topic) !=
	       0;
}

/* Copy with control bytes as \xNN; returns the length. */
static size_t escape(char *to, size_t size, const char *from)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *from != '\0' && n + 5 < size; from++) {
		unsigned char c = (unsigned char)*from;

		if (c >= 0x20 && c != 0x7f) {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '\\';
		to[n++] = 'x';
		to[n++] = hex[c >> 4];
		to[n++] = hex[c & 15];
	}
	to[n] = '\0';
	return n;
}

static void put(int fd, const char *line, size_t n)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	ssize_t r;

	if (fd < 0)
		return;
	if (atomic_load(&to_syslog)) {
		r = send(fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		/* stderr is not ours to make O_NONBLOCK. */
		if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) == 0)
			return;
		r = write(fd, line, n);
	}
	(void)r;
}

static void line(enum log_level l, const char *fmt, va_list args)
    PRINTF_LIKE(2, 0);
static void line(enum log_level l, const char *fmt, va_list args)
{
	/* RFC 5424 severities, of facility daemon (3) */
	static const int severity[] = { 24 + 3, 24 + 4, 24 + 6, 24 + 7 };
	char text[LINE_MAX_BYTES - 64], buf[LINE_MAX_BYTES], when[32];
	struct timespec now;
	struct tm tm;
	int n, saved = errno;

	vsnprintf(text, sizeof(text), fmt, args);
	if (atomic_load(&to_syslog)) {
		n = snprintf(buf, sizeof(buf), "<%d>tarn[%d]: ", severity[l],
			     (int)getpid());
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
		n = snprintf(buf, sizeof(buf), "%s.%03ldZ %s ", when,
			     now.tv_nsec / 1000000, level_names[l]);
	}
	n += (int)escape(buf + n, sizeof(buf) - (size_t)n - 1, text);
	if (!atomic_load(&to_syslog))
		buf[n++] = '\n';
	put(atomic_load(&out_fd), buf, (size_t)n);
	errno = saved;
}

#define LOG_FUNCTION(name, l)                                                  \
	void name(const char *fmt, ...)                                        \
	{                                                                      \
		va_list args;                                                  \
		if (atomic_load(&level) < (int)(l))                            \
			return;                                                \
		va_start(args, fmt);                                           \
		line(l, fmt, args);                                            \
		va_end(args);                                                  \
	}

LOG_FUNCTION(log_err, LOG_LEVEL_ERR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)

/* A topic that was asked for is shown at any level. */
void log_write_debug(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line(LOG_LEVEL_DEBUG, fmt, args);
	va_end(args);
}
