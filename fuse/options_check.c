/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options_check.c - is a value possible for an option?
 *
 * What a message quotes comes from the user and is cut short; a URL is never
 * quoted, as it may hold a secret.
 */
#include "fuse/options_check.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>

#include "base/clock.h"
#include "base/units.h"
#include "ring/members.h"

int option_refuse(char why[static WHY_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, WHY_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

const char *option_quoted(const char *v, char buf[static 80])
{
	return cli_clean(v, buf, 80);
}

static int check_flag(const char *v, struct option_checked *c)
{
	static const char *const on[] = { "on", "true", "yes", "1" };
	static const char *const off[] = { "off", "false", "no", "0" };

	for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
		if (strcmp(v, on[i]) == 0 || strcmp(v, off[i]) == 0) {
			c->number = strcmp(v, on[i]) == 0;
			strcpy(c->text, c->number ? "on" : "off");
			return 0;
		}
	}
	return -EINVAL;
}

/* choices: "auto/on/off" */
static int check_choice(const char *v, const char *choices,
			struct option_checked *c)
{
	size_t n = strlen(v);

	c->number = 0;
	for (;;) {
		size_t len = strcspn(choices, "/");

		if (len == n && memcmp(choices, v, n) == 0)
			return 0;
		if (choices[len] == '\0')
			return -EINVAL;
		choices += len + 1;
		c->number++;
	}
}

static int check_dirs(const char *v, char why[static WHY_MAX])
{
	size_t dirs = 0;

	for (;;) {
		size_t n = strcspn(v, ":");

		if (n == 0 || *v != '/')
			return option_refuse(
			    why, "cache-dir: each directory must "
				 "begin with /; write "
				 "cache-dir=/disk1/tarn:/disk2/tarn");
		if (++dirs > CACHE_DIRS_MAX)
			return option_refuse(
			    why, "cache-dir: at most %d directories",
			    CACHE_DIRS_MAX);
		if (v[n] == '\0')
			return 0;
		v += n + 1;
	}
}

static int check_url(const char *name, const char *v, char why[static WHY_MAX])
{
	const char *host;

	if (strncmp(v, "http://", 7) == 0)
		host = v + 7;
	else if (strncmp(v, "https://", 8) == 0)
		host = v + 8;
	else
		return option_refuse(
		    why, "%s: begin it with http:// or https://", name);
	if (memchr(host, '@', strcspn(host, "/?#")) != NULL)
		return option_refuse(
		    why,
		    "%s: keys do not belong in a URL; put them into "
		    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
		    "the shared credentials file",
		    name);
	if (*host == '\0' || *host == '/' || *host == ':')
		return option_refuse(why, "%s: there is no host in this URL",
				     name);
	return 0;
}

/* HOST:PORT or [ADDRESS]:PORT; what the host is, is found out at start. */
static bool is_address(const char *v)
{
	const char *colon = strrchr(v, ':');
	long port;

	if (colon == NULL || colon == v || colon[1] == '\0' ||
	    strlen(colon + 1) > 5 ||
	    colon[1 + strspn(colon + 1, "0123456789")] != '\0')
		return false;
	port = strtol(colon + 1, NULL, 10);
	if (v[0] != '[' && memchr(v, ':', (size_t)(colon - v)) != NULL)
		return false;
	for (const char *p = v; p < colon; p++)
		if (*p <= ' ' || *p > '~' || *p == '/' || *p == '@')
			return false;
	return port <= UINT16_MAX;
}

static int check_workers(const char *v, char why[static WHY_MAX])
{
	char words[256];

	if (members_check(v, words) == 0)
		return 0;
	return option_refuse(why, "%s", words);
}

static int parse_count(const char *v, int base, int64_t *out)
{
	const char *digits = base == 8 ? "01234567" : "0123456789";
	long long n;

	if (*v == '\0' || v[strspn(v, digits)] != '\0' || strlen(v) > 12)
		return -EINVAL;
	n = strtoll(v, NULL, base);
	*out = n;
	return 0;
}

static int check_id(const char *v, bool group, struct option_checked *c)
{
	if (parse_count(v, 10, &c->number) == 0)
		return c->number < (int64_t)UINT32_MAX ? 0 : -EINVAL;
	if (group) {
		const struct group *g = getgrnam(v);

		if (g != NULL)
			c->number = (int64_t)g->gr_gid;
		return g != NULL ? 0 : -EINVAL;
	} else {
		const struct passwd *p = getpwnam(v);

		if (p != NULL)
			c->number = (int64_t)p->pw_uid;
		return p != NULL ? 0 : -EINVAL;
	}
}

static int check_consistency(const char *v, struct option_checked *c)
{
	int64_t ttl;

	if (strcmp(v, "strict") == 0 || strcmp(v, "immutable") == 0)
		return 0;
	if (strncmp(v, "ttl:", 4) != 0 || units_parse_time(v + 4, &ttl) < 0 ||
	    ttl > 3650 * 24 * 3600 * NSEC_PER_SEC)
		return -EINVAL;
	c->number = ttl;
	return 0;
}

static int out_of_bounds(const struct option_row *row, const char *v,
			 char why[static WHY_MAX])
{
	char q[80], least[40], most[40];

	if (row->kind == OPTION_TIME) {
		units_format_time(row->least * NSEC_PER_MSEC, least,
				  sizeof(least));
		units_format_time(row->most * NSEC_PER_MSEC, most,
				  sizeof(most));
	} else if (row->kind == OPTION_NUMBER) {
		snprintf(least, sizeof(least), "%" PRId64, row->least);
		snprintf(most, sizeof(most), "%" PRId64, row->most);
	} else {
		units_format_size((uint64_t)row->least, least, sizeof(least));
		units_format_size((uint64_t)row->most, most, sizeof(most));
	}
	if (row->most == INT64_MAX)
		return option_refuse(why, "%s=%s is too small; the least is %s",
				     row->name, option_quoted(v, q), least);
	return option_refuse(why,
			     "%s=%s is impossible; it must be from %s to %s",
			     row->name, option_quoted(v, q), least, most);
}

static int check_size(const struct option_row *row, const char *v,
		      struct option_checked *c, char why[static WHY_MAX])
{
	size_t n = strlen(v);
	uint64_t bytes;
	char q[80];

	if (row->kind == OPTION_SHARE && n > 1 && v[n - 1] == '%') {
		char number[8];

		snprintf(number, sizeof(number), "%.*s", (int)MIN(n - 1, 7), v);
		if (parse_count(number, 10, &c->number) < 0 || c->number < 1 ||
		    c->number > 95)
			return option_refuse(
			    why,
			    "%s=%s is impossible; from 1%% to 95%% "
			    "(the last 5 %% of a disk stay free)",
			    row->name, option_quoted(v, q));
		c->percent = true;
		return 0;
	}
	if (units_parse_size(v, &bytes) < 0 || bytes > (uint64_t)INT64_MAX)
		return option_refuse(
		    why,
		    "%s=%s is not a size; write bytes or a number "
		    "and K, M, G or T, as in 64M%s",
		    row->name, option_quoted(v, q),
		    row->kind == OPTION_SHARE ? ", or 80%" : "");
	c->number = (int64_t)bytes;
	if (row->kind == OPTION_SHARE && bytes == 0)
		return 0;
	if (c->number < row->least || c->number > row->most)
		return out_of_bounds(row, v, why);
	return 0;
}

int option_check(const struct option_row *row, const char *v,
		 struct option_checked *c, char why[static WHY_MAX])
{
	char q[80];

	if (strlen(v) >= sizeof(c->text))
		return option_refuse(why,
				     "%s: the value is longer than %zu bytes",
				     row->name, sizeof(c->text) - 1);
	strcpy(c->text, v);
	if (*v == '\0')
		return option_refuse(
		    why, "%s needs a value: write %s=%s", row->name, row->name,
		    row->choices != NULL ? row->choices : "on");
	switch (row->kind) {
	case OPTION_FLAG:
		if (check_flag(v, c) < 0)
			return option_refuse(why, "%s=%s: write on or off",
					     row->name, option_quoted(v, q));
		return 0;
	case OPTION_CHOICE:
		if (check_choice(v, row->choices, c) < 0)
			return option_refuse(why, "%s=%s: choose one of %s",
					     row->name, option_quoted(v, q),
					     row->choices);
		return 0;
	case OPTION_CONSISTENCY:
		if (check_consistency(v, c) < 0)
			return option_refuse(
			    why, "%s=%s: choose one of %s, as in ttl:60s",
			    row->name, option_quoted(v, q), row->choices);
		return 0;
	case OPTION_TEXT:
		for (const char *p = v; *p != '\0'; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				return option_refuse(
				    why,
				    "%s: control bytes are not "
				    "allowed in it",
				    row->name);
		return 0;
	case OPTION_URL:
		return check_url(row->name, v, why);
	case OPTION_FILE:
		if (*v != '/')
			return option_refuse(why,
					     "%s=%s: give an absolute path",
					     row->name, option_quoted(v, q));
		return 0;
	case OPTION_LOG:
		if (*v != '/' && strcmp(v, "syslog") != 0 &&
		    strcmp(v, "stderr") != 0)
			return option_refuse(
			    why,
			    "%s=%s: choose syslog, stderr or the "
			    "absolute path of a file",
			    row->name, option_quoted(v, q));
		return 0;
	case OPTION_ADDRESS:
		if (!is_address(v))
			return option_refuse(why,
					     "%s=%s: write HOST:PORT, as in "
					     "127.0.0.1:7070 or [::1]:7070",
					     row->name, option_quoted(v, q));
		return 0;
	case OPTION_DIRS:
		return check_dirs(v, why);
	case OPTION_WORKERS:
		return check_workers(v, why);
	case OPTION_SIZE:
	case OPTION_SHARE:
		return check_size(row, v, c, why);
	case OPTION_TIME:
		if (units_parse_time(v, &c->number) < 0)
			return option_refuse(
			    why,
			    "%s=%s is not a time; write a number and "
			    "ms, s, m or h, as in 30s",
			    row->name, option_quoted(v, q));
		if (c->number < row->least * NSEC_PER_MSEC ||
		    c->number > row->most * NSEC_PER_MSEC)
			return out_of_bounds(row, v, why);
		return 0;
	case OPTION_NUMBER:
		if (parse_count(v, 10, &c->number) < 0)
			return option_refuse(why, "%s=%s is not a number",
					     row->name, option_quoted(v, q));
		if (c->number < row->least || c->number > row->most)
			return out_of_bounds(row, v, why);
		return 0;
	case OPTION_MODE:
		if (parse_count(v, 8, &c->number) < 0 || c->number > 0777)
			return option_refuse(
			    why,
			    "%s=%s: write permissions in octal, as "
			    "in %s",
			    row->name, option_quoted(v, q), row->def);
		return 0;
	case OPTION_UID:
	case OPTION_GID:
		if (check_id(v, row->kind == OPTION_GID, c) < 0)
			return option_refuse(why, "%s=%s: there is no such %s",
					     row->name, option_quoted(v, q),
					     row->kind == OPTION_GID ? "group"
								     : "user");
		return 0;
	}
	return -EINVAL;
}
