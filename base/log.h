/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line per fact
 *
 * A failure is logged once, where it stops travelling: subject first, values
 * as words. err: an operator must act; warn: degraded, still serving; info:
 * lifecycle; debug: by topic. Control bytes in arguments are escaped on the
 * way out, so that no key can forge a line. Logging never blocks on a full
 * disk or a closed pipe and never fails. Secrets never reach it.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level {
	LOG_LEVEL_ERR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

enum log_topic {
	LOG_UFS = 1 << 0,
	LOG_CACHE = 1 << 1,
	LOG_FUSE = 1 << 2,
	LOG_META = 1 << 3,
	LOG_RING = 1 << 4,
};

/*
 * Where lines go: "stderr", "syslog" or a file's path (appended, 0600).
 * Returns 0 or -errno when the file cannot be opened; then nothing changed.
 */
int log_open(const char *where);
void log_set_level(enum log_level level);

/* "err", "warn", "info", "debug"; -EINVAL for anything else. */
int log_level_parse(const char *name, enum log_level *out);

/* "ufs,cache" to a mask of topics; -EINVAL at an unknown one. */
int log_topics_parse(const char *names, unsigned *out);
void log_set_topics(unsigned mask);
bool log_topic_on(enum log_topic topic);

void log_err(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_write_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The arguments are only evaluated when the topic is on. */
#define log_debug(topic, ...)                                                  \
	do {                                                                   \
		if (log_topic_on(topic))                                       \
			log_write_debug(__VA_ARGS__);                          \
	} while (0)

#endif
