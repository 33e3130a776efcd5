/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options_file.c - options from a JSON file
 *
 * One object of names and values. The parser of JSON reports the line of
 * what is not JSON; for what is JSON but no option, the line of each member
 * is found by walking the text again, which the parser has already proved
 * well-formed.
 */
#include "fuse/options.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sys/stat.h>

#define FILE_SIZE_MAX KIB(256)

/* p at the opening quote; returns what follows the closing one. */
static const char *skip_string(const char *p)
{
	for (p++; *p != '\0' && *p != '"'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	return *p == '"' ? p + 1 : p;
}

/* Does the JSON string [p, end) spell name? */
static bool spells(const char *p, const char *end, const char *name)
{
	json_t *s = json_loadb(p, (size_t)(end - p), JSON_DECODE_ANY, NULL);
	bool yes = json_is_string(s) && strcmp(json_string_value(s), name) == 0;

	json_decref(s);
	return yes;
}

static unsigned line_of(const char *text, const char *name)
{
	unsigned line = 1, depth = 0;
	const char *p = text;

	while (*p != '\0') {
		if (*p == '"') {
			const char *end = skip_string(p);
			const char *colon = end + strspn(end, " \t\r\n");

			if (depth == 1 && *colon == ':' && spells(p, end, name))
				return line;
			p = end; /* a JSON string holds no newline */
			continue;
		}
		line += *p == '\n';
		depth += *p == '{' || *p == '[';
		depth -= *p == '}' || *p == ']';
		p++;
	}
	return 1;
}

/* The value as -o would have it, on the heap. */
static int value_text(const json_t *v, char **out)
{
	int r = 0;

	*out = NULL;
	if (json_is_string(v) &&
	    strlen(json_string_value(v)) == json_string_length(v))
		*out = strdup(json_string_value(v));
	else if (json_is_boolean(v))
		*out = strdup(json_is_true(v) ? "on" : "off");
	else if (json_is_integer(v))
		r = asprintf(out, "%" JSON_INTEGER_FORMAT,
			     json_integer_value(v));
	else
		return -EINVAL;
	return r < 0 || *out == NULL ? -ENOMEM : 0;
}

static int set_member(struct options *o, const char *path, const char *text,
		      const char *name, const json_t *v,
		      char why[static WHY_MAX])
{
	AUTO_FREE char *value = NULL, *from = NULL;
	char inner[WHY_MAX];
	int r;

	if (asprintf(&from, "%s:%u", path, line_of(text, name)) < 0)
		return -ENOMEM;
	r = value_text(v, &value);
	if (r == -EINVAL && options_known(name))
		snprintf(inner, sizeof(inner),
			 "%s: write a string, a number or true or false", name);
	else if (r != -ENOMEM)
		r = options_set(o, name, r == 0 ? value : "", OPTION_FROM_FILE,
				from, inner);
	if (r == -EINVAL)
		snprintf(why, WHY_MAX, "%.200s: %.300s", from, inner);
	return r;
}

static int parse_text(struct options *o, const char *path, const char *text,
		      char why[static WHY_MAX])
{
	json_error_t e;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &e);
	const char *name;
	json_t *v;
	int r = 0;

	if (root == NULL) {
		snprintf(why, WHY_MAX, "%.200s:%d: %s", path, e.line, e.text);
		return -EINVAL;
	}
	if (!json_is_object(root)) {
		snprintf(why, WHY_MAX,
			 "%.200s:1: write one JSON object of options, as in "
			 "{ \"memory\": \"4G\" }",
			 path);
		r = -EINVAL;
	} else {
		json_object_foreach(root, name, v)
		{
			r = set_member(o, path, text, name, v, why);
			if (r < 0)
				break;
		}
	}
	json_decref(root);
	return r;
}

int options_file(struct options *o, const char *path, char why[static WHY_MAX])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO_FREE char *text = NULL;
	struct stat st;
	size_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int err = errno;

		snprintf(why, WHY_MAX, "%.200s: cannot read it: %s", path,
			 strerror(err));
		return err == ENOENT ? -ENOENT : -EINVAL;
	}
	if (!S_ISREG(st.st_mode) || (st.st_mode & S_IWOTH) != 0 ||
	    st.st_size > (off_t)FILE_SIZE_MAX) {
		snprintf(why, WHY_MAX,
			 !S_ISREG(st.st_mode) ? "%.200s is not a file"
			 : (st.st_mode & S_IWOTH) != 0
			     ? "%.200s: anyone may change it; run chmod o-w "
			       "on it"
			     : "%.200s is larger than 256 KiB",
			 path);
		return -EINVAL;
	}
	text = malloc(FILE_SIZE_MAX + 1);
	if (text == NULL)
		return -ENOMEM;
	while (n < FILE_SIZE_MAX) {
		ssize_t got = read(fd, text + n, FILE_SIZE_MAX - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			snprintf(why, WHY_MAX, "%.200s: cannot read it: %s",
				 path, strerror(errno));
			return -EINVAL;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
	if (strlen(text) != n) {
		snprintf(why, WHY_MAX, "%.200s: it is not JSON text", path);
		return -EINVAL;
	}
	return parse_text(o, path, text, why);
}

int options_default_file(struct options *o, char why[static WHY_MAX])
{
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	AUTO_FREE char *path = NULL;
	int r = -ENOENT;

	if (xdg != NULL && *xdg == '/')
		r = asprintf(&path, "%s/tarn/config.json", xdg);
	else if (home != NULL && *home == '/')
		r = asprintf(&path, "%s/.config/tarn/config.json", home);
	if (r == -1)
		return -ENOMEM;
	if (path != NULL)
		r = options_file(o, path, why);
	if (r == -ENOENT)
		r = options_file(o, "/etc/tarn/config.json", why);
	return r == -ENOENT ? 0 : r;
}
