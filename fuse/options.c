/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - the table of options, their sources, mount(8)'s words
 *
 * A value is checked when it is set, whatever its source, and kept as text
 * (for status) and as a number (for use).
 */
#include "fuse/options.h"

#include <errno.h>

#include "fuse/options_check.h"

#define ROW(id, name, kind, def, def_text, choices, least, most, about)        \
	{ name, OPTION_##kind, def, def_text, choices, least, most, about },
const struct option_row option_rows[OPT_COUNT] = { OPTIONS(ROW) };
#undef ROW

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
			return option_refuse(
			    why,
			    "option %s: keys are never options, "
			    "others could read them; put them into "
			    "AWS_ACCESS_KEY_ID and "
			    "AWS_SECRET_ACCESS_KEY or the shared "
			    "credentials file",
			    option_quoted(name, q));
	for (size_t i = 0; i < OPT_COUNT; i++)
		names[i] = option_rows[i].name;
	snprintf(dashed, sizeof(dashed), "%s", name);
	for (char *p = dashed; *p != '\0'; p++)
		if (*p == '_')
			*p = '-';
	near = cli_nearest(dashed, names, OPT_COUNT);
	if (near != NULL)
		return option_refuse(why, "unknown option %s; did you mean %s?",
				     option_quoted(name, q), near);
	return option_refuse(why,
			     "unknown option %s; `tarn help mount` lists them",
			     option_quoted(name, q));
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
	struct option_checked c = { .number = 0 };
	char q[80];
	int i, r;

	if (strcmp(name, "rw") == 0 && value == NULL) {
		name = "ro";
		value = "off";
	}
	i = find(name);
	if (i < 0)
		return unknown(name, why);
	row = &option_rows[i];
	v = &o->v[i];
	if (value == NULL)
		value = row->kind == OPTION_FLAG ? "on" : "";
	r = option_check(row, value, &c, why);
	if (r < 0)
		return r;
	if (v->text != NULL && v->source == source &&
	    source != OPTION_DEFAULT && strcmp(v->text, c.text) != 0)
		return option_refuse(
		    why, "%s is given twice; keep %s or the other", name,
		    row->kind == OPTION_URL ? "one" : option_quoted(c.text, q));
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
		if (*word == '\0' || mount_word(o, word) ||
		    (o->by_mount8 && strcmp(word, "rw") == 0))
			continue;
		if (strcmp(word, "remount") == 0)
			return option_refuse(
			    why, "remount is not supported; unmount "
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
		if (find(name) < 0) {
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

bool options_writes_asked(const struct options *o)
{
	return o->v[OPT_RO].number == 0 &&
	       o->v[OPT_RO].source != OPTION_DEFAULT;
}

bool options_writes_meant(const struct options *o)
{
	const enum option of_writes[] = { OPT_STAGING_DIR, OPT_COMMIT,
					  OPT_CONFLICT };

	if (o->v[OPT_RO].number != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(of_writes); i++)
		if (o->v[of_writes[i]].source == OPTION_FROM_COMMAND)
			return true;
	return options_writes_asked(o);
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
