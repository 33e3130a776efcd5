/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_set.c - a set of keys, and what all providers do to make one
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "ufs/creds_impl.h"
#include "ufs/ufs_impl.h"

void creds_wiped_free(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void *creds_wiped_realloc(void *p, size_t n)
{
	size_t old = p != NULL ? malloc_usable_size(p) : 0;
	void *q = malloc(n);

	if (q == NULL)
		return NULL;
	if (old > 0)
		memcpy(q, p, MIN(old, n));
	creds_wiped_free(p);
	return q;
}

static void set_json_memory(void)
{
	json_set_alloc_funcs(malloc, creds_wiped_free);
}

void creds_wipe_json(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	must(pthread_once(&once, set_json_memory));
}

void creds_free_string(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

struct creds *creds_new(void)
{
	struct creds *set = calloc(1, sizeof(*set));

	if (set != NULL)
		atomic_init(&set->refs, 1);
	return set;
}

void creds_unref(struct creds *set)
{
	if (set == NULL ||
	    atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
		return;
	creds_free_string(set->access_key);
	creds_free_string(set->secret);
	creds_free_string(set->token);
	free(set->source);
	free(set->whose);
	free(set);
}

/* What goes into a header must not be able to end the line. */
bool creds_printable(const char *s)
{
	if (s == NULL || *s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

int creds_keep(struct creds *set, const char *key, const char *secret,
	       const char *token, const char *what, char why[static 256])
{
	bool has_token = token != NULL && *token != '\0';

	if (!creds_printable(key) || (has_token && !creds_printable(token))) {
		return ufs_why(
		    why, -EINVAL,
		    "%.120s: the key's id or the token holds spaces or "
		    "control characters",
		    what);
	}
	set->access_key = strdup(key);
	set->secret = strdup(secret);
	set->token = has_token ? strdup(token) : NULL;
	return set->access_key == NULL || set->secret == NULL ||
		       (has_token && set->token == NULL)
		   ? -ENOMEM
		   : 0;
}

static int write_words(char **to, const char *fmt, va_list ap)
    PRINTF_LIKE(2, 0);

static int write_words(char **to, const char *fmt, va_list ap)
{
	free(*to);
	if (vasprintf(to, fmt, ap) >= 0)
		return 0;
	*to = NULL;
	return -ENOMEM;
}

int creds_source(struct creds *set, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = write_words(&set->source, fmt, ap);
	va_end(ap);
	return r;
}

int creds_whose(struct creds *set, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = write_words(&set->whose, fmt, ap);
	va_end(ap);
	return r;
}

static bool two_digits(const char **p, int *out)
{
	if (!isdigit((unsigned char)(*p)[0]) ||
	    !isdigit((unsigned char)(*p)[1]))
		return false;
	*out = ((*p)[0] - '0') * 10 + (*p)[1] - '0';
	*p += 2;
	return true;
}

/* "Z", "+01:00", "+0100", "UTC" or nothing, as seconds. */
static bool offset_of(const char *p, int64_t *out)
{
	int hours, minutes, sign = *p == '-' ? -1 : 1;

	*out = 0;
	if (*p == '\0' || strcmp(p, "Z") == 0 || strcmp(p, "UTC") == 0)
		return true;
	if (*p++ != '+' && sign > 0)
		return false;
	if (!two_digits(&p, &hours))
		return false;
	p += *p == ':';
	if (!two_digits(&p, &minutes) || *p != '\0')
		return false;
	*out = (int64_t)sign * (hours * 60 + minutes) * 60;
	return true;
}

bool creds_time(const char *text, int64_t *out)
{
	struct tm tm = { 0 };
	const char *p = text;
	int century, year;
	int64_t offset, t;

	if (!two_digits(&p, &century) || !two_digits(&p, &year) ||
	    *p++ != '-' || !two_digits(&p, &tm.tm_mon) || *p++ != '-' ||
	    !two_digits(&p, &tm.tm_mday) || (*p != 'T' && *p != ' '))
		return false;
	p++;
	if (!two_digits(&p, &tm.tm_hour) || *p++ != ':' ||
	    !two_digits(&p, &tm.tm_min) || *p++ != ':' ||
	    !two_digits(&p, &tm.tm_sec))
		return false;
	if (*p == '.')
		for (p++; isdigit((unsigned char)*p); p++)
			;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60 || !offset_of(p, &offset))
		return false;
	tm.tm_year = century * 100 + year - 1900;
	tm.tm_mon--;
	t = (int64_t)timegm(&tm) - offset;
	*out = MAX(MIN(t, UFS_MTIME_MAX_S), 1) * NSEC_PER_SEC;
	return true;
}

/* -errno, or -EFBIG for more than most bytes. */
static int read_all(int fd, size_t most, struct text *out)
{
	char buf[4096];
	ssize_t n;

	do {
		n = read(fd, buf, sizeof(buf));
		if (n > 0)
			text_add(out, buf, (size_t)n);
	} while ((n > 0 && out->n <= most) || (n < 0 && errno == EINTR));
	explicit_bzero(buf, sizeof(buf));
	if (n < 0)
		return -errno;
	return out->failed ? -ENOMEM : n > 0 ? -EFBIG : 0;
}

int creds_read_file(const char *path, size_t most, const char *what,
		    struct text *out, char why[static 256])
{
	/* Not to wait for a FIFO's other end. */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r = fd < 0 ? -errno : read_all(fd, most, out);

	if (r == -ENOMEM)
		return r;
	while (r == 0 && out->n > 0 &&
	       isspace((unsigned char)out->p[out->n - 1]))
		out->p[--out->n] = '\0';
	if (r == 0 && out->n > 0 && memchr(out->p, '\0', out->n) == NULL)
		return 0;
	return ufs_why(why, -EINVAL, "cannot read %.50s, %.120s: %s", what,
		       path,
		       r == 0        ? "it is empty or no text"
		       : r == -EFBIG ? "it is too long"
				     : strerror(-r));
}

json_t *creds_json(const struct text *t)
{
	return json_loadb(t->p != NULL ? t->p : "", t->n, 0, NULL);
}

/* A time as text, or as milliseconds since 1970 (SSO). */
static bool expiry_of(const json_t *v, int64_t *out)
{
	json_int_t ms = json_integer_value(v);

	if (json_is_string(v))
		return creds_time(json_string_value(v), out);
	if (!json_is_integer(v) || ms <= 0 || ms > INT64_MAX / NSEC_PER_MSEC)
		return false;
	*out = ms * NSEC_PER_MSEC;
	return true;
}

static bool given(const char *s)
{
	return s != NULL && *s != '\0';
}

int creds_from_json(const json_t *o, const struct creds_members *m,
		    struct creds *set, const char *what, char why[static 256])
{
	const char *key = json_string_value(json_object_get(o, m->key));
	const char *secret = json_string_value(json_object_get(o, m->secret));
	const char *token = json_string_value(json_object_get(o, m->token));
	const json_t *expiry = json_object_get(o, m->expiry);
	const char *missing = !given(key)      ? m->key
			      : !given(secret) ? m->secret
			      : !m->temporary  ? NULL
			      : !given(token)  ? m->token
			      : expiry == NULL ? m->expiry
					       : NULL;

	if (missing != NULL) {
		return ufs_why(why, -EINVAL, "the answer of %.150s has no %s",
			       what, missing);
	}
	if (expiry != NULL && !json_is_null(expiry) &&
	    !expiry_of(expiry, &set->expiry)) {
		return ufs_why(why, -EINVAL,
			       "the answer of %.150s: %s is no time", what,
			       m->expiry);
	}
	return creds_keep(set, key, secret, token, what, why);
}

void creds_code(const char *from, char out[static CREDS_CODE_MAX])
{
	size_t n = 0;

	for (; from != NULL && from[n] != '\0'; n++) {
		if (n == CREDS_CODE_MAX - 1 ||
		    (!isalnum((unsigned char)from[n]) &&
		     strchr(".-_", from[n]) == NULL)) {
			n = 0;
			break;
		}
		out[n] = from[n];
	}
	out[n] = '\0';
}
