/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - the table of options, and how a value is checked
 *
 * A value is checked when it is set, whatever its source, and kept as text
 * (for status) and as a number (for use). What a message quotes comes from
 * the user and is cut short; a URL or an unknown option's value is never
 * quoted, as it may hold a secret.
 */
#include "fuse/options.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>

#include "base/clock.h"
#include "base/units.h"

#define ROW(id, name, kind, def, def_text, choices, least, most, about)        \
	{ name, OPTION_##kind, def, def_text, choices, least, most, about },
const struct option_row option_rows[OPT_COUNT] = { OPTIONS(ROW) };
#undef ROW

static int refuse(char why[static WHY_MAX], const char *fmt, ...)
    PRINTF_LIKE(2, 3);

static int refuse(char why[static WHY_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, WHY_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int options_new(struct options **out)
{
	struct options *o = calloc(1, sizeof(*o));
	char why[WHY_MAX];

	if (o == NULL)
		return -ENOMEM;
	o->exec = true;
	for (size_t i = 0; i < OPT_COUNT; i++) {
		if (option_rows[i].def == NULL)
			continue;
		if (options_set(o, option_rows[i].name, option_rows[i].def,
				OPTION_DEFAULT, "default", why) < 0) {
			options_free(o);
			return -ENOMEM; /* the table itself is tested */
		}
	}
	*out = o;
	return 0;
}

void options_free(struct options *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < OPT_COUNT; i++) {
		free(o->v[i].text);
		free(o->v[i].from);
	}
	free(o);
}

/* What is left of the text after a value was checked. */
struct checked {
	char text[4096];
	int64_t number;
	bool percent;
};

static int check_flag(const char *v, struct checked *c)
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
static int check_choice(const char *v, const char *choices, struct checked *c)
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
			return refuse(why, "cache-dir: each directory must "
					   "begin with /; write "
					   "cache-dir=/disk1/tarn:/disk2/tarn");
		if (++dirs > CACHE_DIRS_MAX)
			return refuse(why, "cache-dir: at most %d directories",
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
		return refuse(why, "%s: begin it with http:// or https://",
			      name);
	if (memchr(host, '@', strcspn(host, "/?#")) != NULL)
		return refuse(why,
			      "%s: keys do not belong in a URL; put them into "
			      "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
			      "the shared credentials file",
			      name);
	if (*host == '\0' || *host == '/' || *host == ':')
		return refuse(why, "%s: there is no host in this URL", name);
	return 0;
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

static int check_id(const char *v, bool group, struct checked *c)
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

static int check_consistency(const char *v, struct checked *c)
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

/* Text as a message may quote it. */
static const char *quoted(const char *v, char buf[static 80])
{
	return cli_clean(v, buf, 80);
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
		return refuse(why, "%s=%s is too small; the least is %s",
			      row->name, quoted(v, q), least);
	return refuse(why, "%s=%s is impossible; it must be from %s to %s",
		      row->name, quoted(v, q), least, most);
}

static int check_size(const struct option_row *row, const char *v,
		      struct checked *c, char why[static WHY_MAX])
{
	size_t n = strlen(v);
	uint64_t bytes;
	char q[80];

	if (row->kind == OPTION_SHARE && n > 1 && v[n - 1] == '%') {
		char number[8];

		snprintf(number, sizeof(number), "%.*s", (int)MIN(n - 1, 7), v);
		if (parse_count(number, 10, &c->number) < 0 || c->number < 1 ||
		    c->number > 95)
			return refuse(why,
				      "%s=%s is impossible; from 1%% to 95%% "
				      "(the last 5 %% of a disk stay free)",
				      row->name, quoted(v, q));
		c->percent = true;
		return 0;
	}
	if (units_parse_size(v, &bytes) < 0 || bytes > (uint64_t)INT64_MAX)
		return refuse(why,
			      "%s=%s is not a size; write bytes or a number "
			      "and K, M, G or T, as in 64M%s",
			      row->name, quoted(v, q),
			      row->kind == OPTION_SHARE ? ", or 80%" : "");
	c->number = (int64_t)bytes;
	if (row->kind == OPTION_SHARE && bytes == 0)
		return 0;
	if (c->number < row->least || c->number > row->most)
		return out_of_bounds(row, v, why);
	return 0;
}

static int check(const struct option_row *row, const char *v, struct checked *c,
		 char why[static WHY_MAX])
{
	char q[80];

	if (strlen(v) >= sizeof(c->text))
		return refuse(why, "%s: the value is longer than %zu bytes",
			      row->name, sizeof(c->text) - 1);
	strcpy(c->text, v);
	if (*v == '\0')
		return refuse(why, "%s needs a value: write %s=%s", row->name,
			      row->name,
			      row->choices != NULL ? row->choices : "on");
	switch (row->kind) {
	case OPTION_FLAG:
		if (check_flag(v, c) < 0)
			return refuse(why, "%s=%s: write on or off", row->name,
				      quoted(v, q));
		return 0;
	case OPTION_CHOICE:
		if (check_choice(v, row->choices, c) < 0)
			return refuse(why, "%s=%s: choose one of %s", row->name,
				      quoted(v, q), row->choices);
		return 0;
	case OPTION_CONSISTENCY:
		if (check_consistency(v, c) < 0)
			return refuse(why,
				      "%s=%s: choose one of %s, as in ttl:60s",
				      row->name, quoted(v, q), row->choices);
		return 0;
	case OPTION_TEXT:
		for (const char *p = v; *p != '\0'; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				return refuse(why,
					      "%s: control bytes are not "
					      "allowed in it",
					      row->name);
		return 0;
	case OPTION_URL:
		return check_url(row->name, v, why);
	case OPTION_FILE:
		if (*v != '/')
			return refuse(why, "%s=%s: give an absolute path",
				      row->name, quoted(v, q));
		return 0;
	case OPTION_LOG:
		if (*v != '/' && strcmp(v, "syslog") != 0 &&
		    strcmp(v, "stderr") != 0)
			return refuse(why,
				      "%s=%s: choose syslog, stderr or the "
				      "absolute path of a file",
				      row->name, quoted(v, q));
		return 0;
	case OPTION_DIRS:
		return check_dirs(v, why);
	case OPTION_SIZE:
	case OPTION_SHARE:
		return check_size(row, v, c, why);
	case OPTION_TIME:
		if (units_parse_time(v, &c->number) < 0)
			return refuse(why,
				      "%s=%s is not a time; write a number and "
				      "ms, s, m or h, as in 30s",
				      row->name, quoted(v, q));
		if (c->number < row->least * NSEC_PER_MSEC ||
		    c->number > row->most * NSEC_PER_MSEC)
			return out_of_bounds(row, v, why);
		return 0;
	case OPTION_NUMBER:
		if (parse_count(v, 10, &c->number) < 0)
			return refuse(why, "%s=%s is not a number", row->name,
				      quoted(v, q));
		if (c->number < row->least || c->number > row->most)
			return out_of_bounds(row, v, why);
		return 0;
	case OPTION_MODE:
		if (parse_count(v, 8, &c->number) < 0 || c->number > 0777)
			return refuse(why,
				      "%s=%s: write permissions in octal, as "
				      "in %s",
				      row->name, quoted(v, q), row->def);
		return 0;
	case OPTION_UID:
	case OPTION_GID:
		if (check_id(v, row->kind == OPTION_GID, c) < 0)
			return refuse(why, "%s=%s: there is no such %s",
				      row->name, quoted(v, q),
				      row->kind == OPTION_GID ? "group"
							      : "user");
		return 0;
	}
	return -EINVAL;
}

static const char *const secret_words[] = {
	"secret",     "password", "passwd",     "access-key",
	"access_key", "token",    "credential", "passphrase",
};

static int unknown(const char *name, char why[static WHY_MAX])
{
	const char *names[OPT_COUNT + 1];
	const char *near;
	char q[80], dashed[80];

	for (size_t i = 0; i < ARRAY_SIZE(secret_words); i++)
		if (strcasestr(name, secret_words[i]) != NULL)
			return refuse(why,
				      "option %s: keys are never options, "
				      "others could read them; put them into "
				      "AWS_ACCESS_KEY_ID and "
				      "AWS_SECRET_ACCESS_KEY or the shared "
				      "credentials file",
				      quoted(name, q));
	for (size_t i = 0; i < OPT_COUNT; i++)
		names[i] = option_rows[i].name;
	snprintf(dashed, sizeof(dashed), "%s", name);
	for (char *p = dashed; *p != '\0'; p++)
		if (*p == '_')
			*p = '-';
	near = cli_nearest(dashed, names, OPT_COUNT);
	if (near != NULL)
		return refuse(why, "unknown option %s; did you mean %s?",
			      quoted(name, q), near);
	return refuse(why, "unknown option %s; `tarn help mount` lists them",
		      quoted(name, q));
}

static int find(const char *name)
{
	for (int i = 0; i < OPT_COUNT; i++)
		if (strcmp(option_rows[i].name, name) == 0)
			return i;
	return -1;
}

bool options_known(const char *name)
{
	return find(name) >= 0;
}

static int replace(struct option_value *v, const char *text, const char *from,
		   enum option_source source)
{
	char *t = strdup(text);
	char *f = strdup(from);

	if (t == NULL || f == NULL) {
		free(t);
		free(f);
		return -ENOMEM;
	}
	free(v->text);
	free(v->from);
	v->text = t;
	v->from = f;
	v->source = source;
	return 0;
}

int options_set(struct options *o, const char *name, const char *value,
		enum option_source source, const char *from,
		char why[static WHY_MAX])
{
	const struct option_row *row;
	struct option_value *v;
	struct checked c = { .number = 0 };
	char q[80];
	int i, r;

	if (strcmp(name, "rw") == 0)
		return refuse(why, "rw: this version of tarn mounts read only; "
				   "write ro in its place");
	i = find(name);
	if (i < 0)
		return unknown(name, why);
	row = &option_rows[i];
	v = &o->v[i];
	if (value == NULL)
		value = row->kind == OPTION_FLAG ? "on" : "";
	r = check(row, value, &c, why);
	if (r < 0)
		return r;
	if (i == OPT_RO && c.number == 0)
		return refuse(why, "ro=off: this version of tarn mounts read "
				   "only; leave it out");
	if (v->text != NULL && v->source == source &&
	    source != OPTION_DEFAULT && strcmp(v->text, c.text) != 0)
		return refuse(
		    why, "%s is given twice; keep %s or the other", name,
		    row->kind == OPTION_URL ? "one" : quoted(c.text, q));
	if (v->text != NULL && v->source > source)
		return 0;
	r = replace(v, c.text, from, source);
	if (r < 0)
		return r;
	v->number = c.number;
	v->percent = c.percent;
	return 0;
}

/* What mount(8), fstab and systemd put among the options for themselves. */
static bool mount_word(struct options *o, const char *w)
{
	static const char *const words[] = {
		"_netdev",  "nofail",     "noauto",      "auto",
		"defaults", "user",       "nouser",      "users",
		"nousers",  "owner",      "noowner",     "group",
		"nogroup",  "sync",       "async",       "dirsync",
		"atime",    "noatime",    "relatime",    "norelatime",
		"diratime", "nodiratime", "strictatime", "nostrictatime",
		"lazytime", "nolazytime", "silent",      "loud",
		"iversion", "noiversion", "mand",        "nomand",
	};
	static const char *const starts[] = { "x-",      "X-",       "comment=",
					      "helper=", "uhelper=", "user=" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(w, words[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		if (strncmp(w, starts[i], strlen(starts[i])) == 0)
			return true;
	if (strcmp(w, "exec") == 0 || strcmp(w, "noexec") == 0)
		o->exec = *w == 'e';
	else if (strcmp(w, "suid") == 0 || strcmp(w, "nosuid") == 0)
		o->suid = *w == 's';
	else if (strcmp(w, "dev") == 0 || strcmp(w, "nodev") == 0)
		o->dev = *w == 'd';
	else
		return false;
	return true;
}

/* One word of -o, cut at the next comma that no backslash guards. */
static char *next_word(const char **text)
{
	const char *p = *text;
	char *word = malloc(strlen(p) + 1), *w = word;

	if (word == NULL)
		return NULL;
	while (*p != '\0' && *p != ',') {
		if (*p == '\\' && (p[1] == ',' || p[1] == '\\'))
			p++;
		*w++ = *p++;
	}
	*w = '\0';
	*text = *p == ',' ? p + 1 : p;
	return word;
}

int options_parse(struct options *o, const char *text, char why[static WHY_MAX])
{
	while (*text != '\0') {
		AUTO_FREE char *word = next_word(&text);
		char *eq;
		int r;

		if (word == NULL)
			return -ENOMEM;
		if (*word == '\0' || mount_word(o, word))
			continue;
		if (strcmp(word, "remount") == 0)
			return refuse(why, "remount is not supported; unmount "
					   "and mount again");
		eq = strchr(word, '=');
		if (eq != NULL)
			*eq = '\0';
		r = options_set(o, word, eq != NULL ? eq + 1 : NULL,
				OPTION_FROM_COMMAND, "command line", why);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Kubernetes sets TARN_PORT, TARN_SERVICE_HOST and the like for a Service
 * called tarn, so an unknown variable is only refused when it looks like a
 * mistyped option.
 */
int options_env(struct options *o, char *const *env, char why[static WHY_MAX])
{
	for (; *env != NULL; env++) {
		char name[64], inner[WHY_MAX];
		const char *eq = strchr(*env, '=');
		size_t n;
		int r;

		if (strncmp(*env, "TARN_", 5) != 0 || eq == NULL)
			continue;
		n = (size_t)(eq - *env) - 5;
		if (n == 0 || n >= sizeof(name))
			continue;
		for (size_t i = 0; i <= n; i++) {
			char c = i < n ? (*env)[5 + i] : '\0';

			if (c == '_')
				c = '-';
			else if (c >= 'A' && c <= 'Z')
				c = (char)(c - 'A' + 'a');
			name[i] = c;
		}
		if (find(name) < 0 && strcmp(name, "rw") != 0) {
			unsigned d = UINT32_MAX;

			for (size_t i = 0; i < OPT_COUNT; i++)
				d = MIN(
				    d, cli_distance(name, option_rows[i].name));
			if (n < 5 || d > 2)
				continue;
		}
		r = options_set(o, name, eq + 1, OPTION_FROM_ENV, "environment",
				inner);
		if (r == -EINVAL)
			snprintf(why, WHY_MAX, "%.*s: %.*s", (int)(eq - *env),
				 *env, WHY_MAX - 80, inner);
		if (r < 0)
			return r;
	}
	return 0;
}

int options_default(struct options *o, enum option opt, const char *text,
		    int64_t number)
{
	int r;

	if (o->v[opt].text != NULL)
		return 0;
	r = replace(&o->v[opt], text, "default", OPTION_DEFAULT);
	if (r == 0)
		o->v[opt].number = number;
	return r;
}

const char *options_text(const struct options *o, enum option opt)
{
	return o->v[opt].text;
}

int64_t options_number(const struct options *o, enum option opt)
{
	return o->v[opt].number;
}

bool options_is_set(const struct options *o, enum option opt)
{
	return o->v[opt].text != NULL;
}

enum consistency options_consistency(const struct options *o, int64_t *ttl)
{
	const char *v = options_text(o, OPT_CONSISTENCY);

	*ttl = options_number(o, OPT_CONSISTENCY);
	if (strcmp(v, "strict") == 0)
		return CONSISTENCY_STRICT;
	if (strcmp(v, "immutable") == 0)
		return CONSISTENCY_IMMUTABLE;
	return CONSISTENCY_TTL;
}

void options_help(FILE *f)
{
	for (size_t i = 0; i < OPT_COUNT; i++) {
		const struct option_row *r = &option_rows[i];

		fprintf(f, "  %s", r->name);
		if (r->choices != NULL)
			fprintf(f, "=%s", r->choices);
		fprintf(f, "\n      %s\n      default: %s\n", r->about,
			r->def != NULL ? r->def : r->def_text);
	}
}
