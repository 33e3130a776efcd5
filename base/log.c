/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - one line per fact, and never a wait for it
 *
 * A line is made on the stack and handed over with one system call; there is
 * no lock and no queue, so logging is right from any thread and under any
 * lock. What cannot be taken at once (a full pipe, a stopped terminal, a full
 * disk, a deaf syslog) is lost.
 *
 * stderr is shared with whoever started us, so it may not be made
 * O_NONBLOCK, and no copy of it may be kept, or `x=$(tarn mount ...)` would
 * wait for the daemon's end: a pipe or terminal is opened anew for each line,
 * and a socket is asked with MSG_DONTWAIT. Syslog is one datagram a line to
 * /dev/log, by hand, since syslog(3) waits for a full socket.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"

/* At most PIPE_BUF, so that a pipe takes a line whole or not at all. */
#define LINE_SIZE 4096
#define CUT "..."

#define FACILITY_DAEMON (3 << 3)

enum sink { SINK_STDERR, SINK_FILE, SINK_SYSLOG };

static struct {
	_Atomic enum sink sink;
	/* Opened once; later ones are moved onto it, under whoever writes. */
	atomic_int file;
	atomic_int syslog;
	_Atomic enum log_level level;
	atomic_uint topics;
} out = { SINK_STDERR, -1, -1, LOG_LEVEL_INFO, 0 };

static const struct {
	const char *name;
	int severity; /* RFC 5424, section 6.2.1 */
} levels[] = {
	[LOG_LEVEL_ERR] = { "err", 3 },
	[LOG_LEVEL_WARN] = { "warn", 4 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

static const struct {
	const char *name;
	enum log_topic topic;
} topic_names[] = {
	{ "ufs", LOG_UFS },   { "cache", LOG_CACHE }, { "fuse", LOG_FUSE },
	{ "meta", LOG_META }, { "ring", LOG_RING },
};

/* Put fd where *slot's descriptor is, or keep it as the first one. */
static int descriptor_place(atomic_int *slot, int fd)
{
	int there = atomic_load(slot), r = 0;

	if (there < 0) {
		atomic_store(slot, fd);
		return 0;
	}
	if (dup3(fd, there, O_CLOEXEC) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int open_file(const char *path)
{
	/* O_NONBLOCK: a FIFO nobody reads is an error, not a wait. */
	int fd = open(path,
		      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY |
			  O_NONBLOCK,
		      0600);

	if (fd < 0)
		return -errno;
	return descriptor_place(&out.file, fd);
}

/* Not connected: a syslog that starts late or again is found by each line. */
static int open_syslog(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	return descriptor_place(&out.syslog, fd);
}

int log_open(const char *where)
{
	enum sink sink;
	int r = 0;

	if (strcmp(where, "stderr") == 0) {
		sink = SINK_STDERR;
	} else if (strcmp(where, "syslog") == 0) {
		sink = SINK_SYSLOG;
		r = open_syslog();
	} else {
		sink = SINK_FILE;
		r = open_file(where);
	}
	if (r < 0)
		return r;
	atomic_store(&out.sink, sink);
	return 0;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&out.level, level, memory_order_relaxed);
}

int log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i].name, name) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

int log_topics_parse(const char *names, unsigned *mask)
{
	unsigned found = 0;

	for (;;) {
		size_t n = strcspn(names, ","), i;

		for (i = 0; i < ARRAY_SIZE(topic_names); i++)
			if (str_eq((struct str){ names, n },
				   str_of(topic_names[i].name)))
				break;
		if (i == ARRAY_SIZE(topic_names))
			return -EINVAL;
		found |= topic_names[i].topic;
		if (names[n] == '\0')
			break;
		names += n + 1;
	}
	*mask = found;
	return 0;
}

void log_set_topics(unsigned mask)
{
	atomic_store_explicit(&out.topics, mask, memory_order_relaxed);
}

bool log_topic_on(enum log_topic topic)
{
	return (atomic_load_explicit(&out.topics, memory_order_relaxed) &
		topic) != 0;
}

/*
 * How many bytes at s may go out as they are: one printable ASCII character,
 * or one well-formed UTF-8 sequence that is no C1 control; else 0.
 */
static size_t printable(const unsigned char *s)
{
	size_t n;

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xc2 && s[1] < 0xa0) ||  /* C1: U+009B begins a command */
	    (s[0] == 0xe0 && s[1] < 0xa0) ||  /* overlong */
	    (s[0] == 0xed && s[1] >= 0xa0) || /* surrogates */
	    (s[0] == 0xf0 && s[1] < 0x90) ||  /* overlong */
	    (s[0] == 0xf4 && s[1] >= 0x90))   /* above U+10FFFF */
		return 0;
	return n;
}

/* Append text to line, at n, escaped; what does not fit is cut and shown so. */
static size_t escape(char *line, size_t n, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *)text;
	const size_t end = LINE_SIZE - sizeof(CUT "\n");

	while (*s != '\0') {
		size_t plain = printable(s);

		if (n + MAX(plain, 4) > end) {
			memcpy(line + n, CUT, strlen(CUT));
			return n + strlen(CUT);
		}
		if (plain > 0) {
			memcpy(line + n, s, plain);
			n += plain;
			s += plain;
			continue;
		}
		line[n++] = '\\';
		line[n++] = 'x';
		line[n++] = hex[*s >> 4];
		line[n++] = hex[*s & 15];
		s++;
	}
	return n;
}

/* A pipe without reader gives EPIPE, and the signal is taken back. */
static void write_pipe(int fd, const char *line, size_t n)
{
	const struct timespec now = { 0, 0 };
	sigset_t pipe_set, before, pending;
	int r;

	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	must(pthread_sigmask(SIG_BLOCK, &pipe_set, &before));
	sigpending(&pending);
	if (write(fd, line, n) < 0 && errno == EPIPE &&
	    !sigismember(&pending, SIGPIPE))
		do
			r = sigtimedwait(&pipe_set, NULL, &now);
		while (r < 0 && errno == EINTR);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL));
}

/* To a descriptor that others have too and that may not be O_NONBLOCK. */
static void write_shared(int fd, const char *line, size_t n)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	AUTO_CLOSE int own = -1;
	char path[32];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode)) {
		(void)!send(fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		return;
	}
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode)) {
		(void)!write(fd, line, n);
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	/* Without /proc, or not ours to open: look first, then write. */
	if (own >= 0)
		write_pipe(own, line, n);
	else if (poll(&ready, 1, 0) == 1 && ready.revents == POLLOUT)
		write_pipe(fd, line, n);
}

static void send_syslog(const char *line, size_t n)
{
	static const struct sockaddr_un to = { .sun_family = AF_UNIX,
					       .sun_path = "/dev/log" };

	(void)!sendto(atomic_load(&out.syslog), line, n,
		      MSG_DONTWAIT | MSG_NOSIGNAL, (const void *)&to,
		      sizeof(to));
}

/* What stands before the message: for people's eyes, or for syslog (RFC 3164).
 */
static size_t prefix(char *line, enum log_level level, enum sink sink)
{
	int64_t now = clock_wall_ns();
	time_t seconds = (time_t)(now / NSEC_PER_SEC);
	struct tm tm;
	size_t n;

	if (sink == SINK_SYSLOG) {
		n = (size_t)snprintf(line, LINE_SIZE, "<%d>",
				     FACILITY_DAEMON | levels[level].severity);
		localtime_r(&seconds, &tm);
		n += strftime(line + n, LINE_SIZE - n, "%b %e %T ", &tm);
		return n + (size_t)snprintf(line + n, LINE_SIZE - n,
					    "tarn[%d]: ", (int)getpid());
	}
	gmtime_r(&seconds, &tm);
	n = strftime(line, LINE_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(line + n, LINE_SIZE - n, ".%03dZ %-5s ",
				    (int)(now % NSEC_PER_SEC / NSEC_PER_MSEC),
				    levels[level].name);
}

static void emit(enum log_level level, const char *fmt, va_list args)
    PRINTF_LIKE(2, 0);

static void emit(enum log_level level, const char *fmt, va_list args)
{
	enum sink sink = atomic_load(&out.sink);
	char text[LINE_SIZE], line[LINE_SIZE];
	int saved = errno; /* the caller may still want to look at it */
	size_t n;

	if (vsnprintf(text, sizeof(text), fmt, args) >= 0) {
		n = escape(line, prefix(line, level, sink), text);
		if (sink != SINK_SYSLOG)
			line[n++] = '\n';
		if (sink == SINK_SYSLOG)
			send_syslog(line, n);
		else if (sink == SINK_FILE)
			write_pipe(atomic_load(&out.file), line, n);
		else
			write_shared(STDERR_FILENO, line, n);
	}
	errno = saved;
}

static bool level_on(enum log_level level)
{
	return level <= atomic_load_explicit(&out.level, memory_order_relaxed);
}

void log_err(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (level_on(LOG_LEVEL_ERR))
		emit(LOG_LEVEL_ERR, fmt, args);
	va_end(args);
}

void log_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (level_on(LOG_LEVEL_WARN))
		emit(LOG_LEVEL_WARN, fmt, args);
	va_end(args);
}

void log_info(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (level_on(LOG_LEVEL_INFO))
		emit(LOG_LEVEL_INFO, fmt, args);
	va_end(args);
}

/* By topic alone: who asked for a topic need not raise the level as well. */
void log_write_debug(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	emit(LOG_LEVEL_DEBUG, fmt, args);
	va_end(args);
}
