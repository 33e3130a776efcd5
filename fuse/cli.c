/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.c - messages, arguments and guesses of the tarn command
 */
#include "fuse/cli.h"

#include <limits.h>
#include <stdarg.h>

const char *cli_name = "tarn";

static void say(const char *fmt, va_list ap) PRINTF_LIKE(1, 0);

static void say(const char *fmt, va_list ap)
{
	char raw[2048], clean[4096];

	vsnprintf(raw, sizeof(raw), fmt, ap);
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", cli_name,
		cli_clean(raw, clean, sizeof(clean)));
}

int cli_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return CLI_FAILED;
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return CLI_USAGE;
}

const char *cli_clean(const char *s, char *buf, size_t size)
{
	size_t n = 0;

	for (; *s != '\0' && n + 5 <= size; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f)
			n += (size_t)snprintf(buf + n, size - n, "\\x%02x", c);
		else
			buf[n++] = *s;
	}
	buf[n] = '\0';
	return buf;
}

bool cli_terminal(FILE *f)
{
	const char *term = getenv("TERM");

	return isatty(fileno(f)) == 1 &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}

bool cli_colour(FILE *f)
{
	const char *no = getenv("NO_COLOR");

	return cli_terminal(f) && (no == NULL || *no == '\0');
}

/* Options and commands are short; longer words are no typing mistakes. */
#define WORD_MAX 40

unsigned cli_distance(const char *a, const char *b)
{
	unsigned row[3][WORD_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > WORD_MAX || nb > WORD_MAX)
		return UINT_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *now = row[i % 3], *up = row[(i + 2) % 3];
		const unsigned *up2 = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned d = up[j - 1] + (a[i - 1] != b[j - 1]);

			d = MIN(d, up[j] + 1);
			d = MIN(d, now[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				d = MIN(d, up2[j - 2] + 1);
			now[j] = d;
		}
	}
	return row[na % 3][nb];
}

const char *cli_nearest(const char *typed, const char *const *names, size_t n)
{
	const char *best = NULL;
	unsigned least = UINT_MAX;

	for (size_t i = 0; i < n; i++) {
		unsigned d = cli_distance(typed, names[i]);
		size_t longer = MAX(strlen(typed), strlen(names[i]));

		/* Up to a third of it may be wrong, and always one letter. */
		if (d < least && (d <= 1 || (size_t)d * 3 <= longer + 2)) {
			least = d;
			best = names[i];
		}
	}
	return best;
}

char *cli_absolute(const char *path)
{
	AUTO_FREE char *cwd = NULL, *joined = NULL;
	char *out, *w;

	if (*path != '/') {
		cwd = getcwd(NULL, 0);
		if (cwd == NULL || asprintf(&joined, "%s/%s", cwd, path) < 0)
			return NULL;
		path = joined;
	}
	out = malloc(strlen(path) + 2);
	if (out == NULL)
		return NULL;
	w = out;
	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (w > out && *--w != '/')
				;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			*w++ = '/';
			memcpy(w, path, n);
			w += n;
		}
		path += n;
		path += *path == '/';
	}
	if (w == out)
		*w++ = '/';
	*w = '\0';
	return out;
}

static int bad_flag(const char *command, const char *typed,
		    const struct cli_flag *flags, size_t nflags)
{
	const char *names[16];
	const char *near;
	size_t n = MIN(nflags, ARRAY_SIZE(names));

	for (size_t i = 0; i < n; i++)
		names[i] = flags[i].name;
	near = cli_nearest(typed, names, n);
	if (near != NULL)
		cli_usage("%s: unknown flag %s; did you mean %s?", command,
			  typed, near);
	else
		cli_usage("%s: unknown flag %s; see `tarn help %s`", command,
			  typed, command);
	return -1;
}

int cli_args(const char *command, int argc, char **argv,
	     const struct cli_flag *flags, size_t nflags)
{
	int operands = 0;
	bool only_operands = false;

	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		const char *eq = strchr(a, '=');
		size_t n = eq != NULL ? (size_t)(eq - a) : strlen(a);
		size_t f;

		if (only_operands || a[0] != '-' || a[1] == '\0') {
			argv[operands++] = argv[i];
			continue;
		}
		if (strcmp(a, "--") == 0) {
			only_operands = true;
			continue;
		}
		for (f = 0; f < nflags; f++)
			if (strlen(flags[f].name) == n &&
			    memcmp(flags[f].name, a, n) == 0)
				break;
		if (f == nflags)
			return bad_flag(command, a, flags, nflags);
		if (flags[f].value == NULL) {
			if (eq != NULL) {
				cli_usage("%s: %s takes no value", command,
					  flags[f].name);
				return -1;
			}
			*flags[f].on = true;
		} else if (eq != NULL) {
			*flags[f].value = eq + 1;
		} else if (i + 1 < argc) {
			*flags[f].value = argv[++i];
		} else {
			cli_usage("%s: %s needs a value after it", command,
				  flags[f].name);
			return -1;
		}
	}
	return operands;
}

const char *cli_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	if (n > 0 && top[n - 1] == '/') /* file:/// */
		return strncmp(path, top, n) == 0 ? path + n : NULL;
	if (strncmp(path, top, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path[n] == '/' ? path + n + 1 : path + n;
}
