/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.c - the table of checks, and how one says what it found
 *
 * In the order in which things would go wrong: later checks are skipped when
 * an earlier one took away what they need, so that one cause is one FAIL.
 */
#include "fuse/doctor_impl.h"

#include <stdarg.h>

#include "base/clock.h"

static const struct {
	const char *name;
	doctor_check *run;
} checks[] = {
	{ "fuse", doctor_device },
	{ "fusermount3", doctor_fusermount },
	{ "passthrough", doctor_passthrough },
	{ "source", doctor_source },
	{ "credentials", doctor_credentials },
	{ "dns", doctor_dns },
	{ "connect", doctor_connect },
	{ "tls", doctor_tls },
	{ "answer", doctor_answer },
	{ "clock", doctor_clock },
	{ "list", doctor_list },
	{ "get", doctor_get },
	{ "put", doctor_put },
	{ "conditions", doctor_conditions },
	{ "cache-dir", doctor_cache_dir },
	{ "cache-space", doctor_cache_space },
	{ "cache-xattr", doctor_cache_xattr },
	{ "cache-io", doctor_cache_io },
	{ "staging-dir", doctor_staging },
	{ "memory", doctor_memory },
	{ "descriptors", doctor_descriptors },
	{ "mount", doctor_mount },
	{ "membership", doctor_membership },
	{ "workers", doctor_workers },
};

const char *doctor_word(enum doctor_result r)
{
	static const char *const words[] = { "PASS", "FAIL", "SKIP" };

	return words[r];
}

static void say(struct doctor *d, enum doctor_result result, const char *fix,
		const char *fmt, va_list ap) PRINTF_LIKE(4, 0);

static void say(struct doctor *d, enum doctor_result result, const char *fix,
		const char *fmt, va_list ap)
{
	struct doctor_line line = { .check = d->check, .result = result };

	vsnprintf(line.text, sizeof(line.text), fmt, ap);
	snprintf(line.fix, sizeof(line.fix), "%s", fix);
	d->failed += result == DOCTOR_FAIL;
	d->cb(d->arg, &line);
}

void doctor_pass(struct doctor *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(d, DOCTOR_PASS, "", fmt, ap);
	va_end(ap);
}

void doctor_skip(struct doctor *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(d, DOCTOR_SKIP, "", fmt, ap);
	va_end(ap);
}

void doctor_fail(struct doctor *d, const char *fix, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(d, DOCTOR_FAIL, fix, fmt, ap);
	va_end(ap);
}

void doctor_fail_why(struct doctor *d, const char *why, const char *otherwise)
{
	const char *cut = strstr(why, "; ");

	if (cut == NULL)
		doctor_fail(d, otherwise, "%s", why);
	else
		doctor_fail(d, cut + 2, "%.*s", (int)(cut - why), why);
}

const char *doctor_ms(int64_t ns, char buf[static 32])
{
	double ms = (double)MAX(ns, 0) / (double)NSEC_PER_MSEC;

	snprintf(buf, 32, ms < 10 ? "%.1f ms" : "%.0f ms", ms);
	return buf;
}

void doctor_each_dir(struct doctor *d,
		     void (*fn)(struct doctor *d, const char *dir))
{
	const struct options *o = d->conf->options;
	const struct option_value *size = &o->v[OPT_CACHE_SIZE];
	AUTO_FREE char *dirs = strdup(options_text(o, OPT_CACHE_DIR));
	char *rest = dirs, *dir;

	if (size->number == 0) {
		doctor_skip(d, "no cache on the SSD (cache-size=0)");
		return;
	}
	while (rest != NULL && (dir = strsep(&rest, ":")) != NULL)
		fn(d, dir);
}

unsigned doctor_run(const struct doctor_conf *conf, doctor_cb *cb, void *arg)
{
	struct doctor d = { .conf = conf, .cb = cb, .arg = arg };

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		d.check = checks[i].name;
		checks[i].run(&d);
	}
	members_view_fini(&d.view);
	ufs_close(d.bare);
	ufs_close(d.ufs);
	return d.failed;
}
