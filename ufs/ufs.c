/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs.c - which driver serves a URL, and the words of the last failure
 *
 * The words are kept per thread beside the errno that travels, so that
 * whoever reports a failure to a person can say what the store said.
 */
#include "ufs/ufs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "ufs/ufs_impl.h"
#include "ufs/write.h"

#define CANCEL_STEP_NS (50 * NSEC_PER_MSEC)

static const struct {
	const char *scheme;
	int (*open)(const struct ufs_conf *conf, struct ufs **out,
		    char why[static 256]);
} drivers[] = {
	{ "s3", ufs_s3_open },
	{ "file", ufs_file_open },
};

static _Thread_local char last_error[256];
static _Thread_local int64_t last_age;

int ufs_open(const struct ufs_conf *conf, struct ufs **out,
	     char why[static 256])
{
	struct ufs_conf c = *conf;
	const char *colon = c.url != NULL ? strstr(c.url, "://") : NULL;

	last_error[0] = '\0';
	if (c.metadata_timeout <= 0)
		c.metadata_timeout = 30 * NSEC_PER_SEC;
	if (c.read_timeout <= 0)
		c.read_timeout = 60 * NSEC_PER_SEC;
	if (c.commit_timeout <= 0)
		c.commit_timeout = 60 * NSEC_PER_SEC;
	if (c.stall_timeout <= 0)
		c.stall_timeout = 10 * NSEC_PER_SEC;
	if (c.max_connections == 0)
		c.max_connections = 256;
	for (size_t i = 0; colon != NULL && i < ARRAY_SIZE(drivers); i++) {
		size_t n = strlen(drivers[i].scheme);

		if ((size_t)(colon - c.url) == n &&
		    strncmp(c.url, drivers[i].scheme, n) == 0)
			return drivers[i].open(&c, out, why);
	}
	snprintf(why, 256,
		 "not a source: give s3://BUCKET[/PREFIX] or file:///DIR");
	return -EINVAL;
}

void ufs_close(struct ufs *u)
{
	if (u != NULL)
		u->ops->close(u);
}

const char *ufs_last_error(void)
{
	return last_error;
}

int64_t ufs_last_age(void)
{
	return last_age;
}

void ufs_set_age(int64_t age)
{
	last_age = age;
}

static void write_words(char out[static 256], const char *fmt, va_list ap)
    PRINTF_LIKE(2, 0);

static void write_words(char out[static 256], const char *fmt, va_list ap)
{
	vsnprintf(out, 256, fmt, ap);
	for (char *c = out; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

int ufs_fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_words(last_error, fmt, ap);
	va_end(ap);
	return err;
}

int ufs_why(char why[static 256], int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_words(why, fmt, ap);
	va_end(ap);
	return err;
}

int64_t ufs_mtime(int64_t seconds, int64_t ns)
{
	if (seconds < 0)
		return 0;
	if (seconds > UFS_MTIME_MAX_S)
		return UFS_MTIME_MAX_S * NSEC_PER_SEC;
	return seconds * NSEC_PER_SEC + ns;
}

int64_t ufs_jitter(int64_t most)
{
	uint64_t x;

	if (getrandom(&x, sizeof(x), GRND_NONBLOCK) != sizeof(x))
		x = (uint64_t)clock_ns() * UINT64_C(0x9e3779b97f4a7c15);
	return (int64_t)(x % (uint64_t)MAX(most, 1));
}

int ufs_sleep_until(int64_t deadline, struct cancel *cancel)
{
	for (;;) {
		int64_t left = deadline - clock_ns();
		struct timespec t;

		if (cancelled(cancel))
			return -ECANCELED;
		if (left <= 0)
			return 0;
		left = MIN(left, CANCEL_STEP_NS);
		t.tv_sec = 0;
		t.tv_nsec = (long)left;
		nanosleep(&t, NULL);
	}
}

void ufs_fini(struct ufs *u)
{
	free(u->store);
	free(u->prefix);
	free(u->access);
}

struct ufs *ufs_writable(struct ufs *u)
{
	while (u->ops->store != NULL)
		u = u->ops->store(u);
	return u->ops->write != NULL ? u : NULL;
}
