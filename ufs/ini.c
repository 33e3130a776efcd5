/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ini.c - files of [sections] and key = value lines, as AWS writes them
 *
 * The text is kept as one run and cut into strings in place; entries point
 * into it.
 */
#include "ufs/ini.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FILE_MAX MIB(1)

struct entry {
	const char *section; /* these point into text; "" before the first */
	const char *parent;  /* of an indented line, else NULL */
	const char *key;     /* NULL: the section's own line */
	const char *value;
};

struct ini {
	char *text;
	size_t size;
	struct entry *entries;
	size_t n, room;
	bool open_to_others, shown_to_others;
};

void ini_free(struct ini *ini)
{
	if (ini == NULL)
		return;
	if (ini->text != NULL)
		explicit_bzero(ini->text, ini->size);
	free(ini->text);
	free(ini->entries);
	free(ini);
}

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s;
}

static void cut_comment(char *s)
{
	for (char *c = s; *c != '\0'; c++)
		if ((*c == '#' || *c == ';') &&
		    (c == s || isspace((unsigned char)c[-1]))) {
			*c = '\0';
			return;
		}
}

static int add(struct ini *ini, struct entry e)
{
	if (ini->n == ini->room) {
		size_t room = ini->room * 2 + 32;
		struct entry *p =
		    realloc(ini->entries, room * sizeof(ini->entries[0]));

		if (p == NULL)
			return -ENOMEM;
		ini->entries = p;
		ini->room = room;
	}
	ini->entries[ini->n++] = e;
	return 0;
}

/* `profile "my work"` reads as `profile my work`. */
static char *section_name(char *line)
{
	char *end = strchr(line, ']'), *out;

	if (end == NULL)
		return NULL;
	*end = '\0';
	line = trim(line + 1);
	out = line;
	for (const char *c = line; *c != '\0'; c++)
		if (*c != '"' && *c != '\'')
			*out++ = *c;
	*out = '\0';
	return line;
}

static int parse_lines(struct ini *ini)
{
	const char *section = "", *parent = NULL;
	char *rest = ini->text, *line;
	int r = 0;

	while (r == 0 && (line = strsep(&rest, "\n")) != NULL) {
		bool indented = *line == ' ' || *line == '\t';
		char *eq;

		cut_comment(line);
		line = trim(line);
		if (*line == '\0')
			continue;
		if (*line == '[' && !indented) {
			char *name = section_name(line);

			section = name != NULL ? name : "";
			parent = NULL;
			r = add(ini, (struct entry){ .section = section });
			continue;
		}
		eq = strchr(line, '=');
		if (eq == NULL)
			continue;
		*eq = '\0';
		line = trim(line);
		eq = trim(eq + 1);
		for (char *c = line; *c != '\0'; c++)
			*c = (char)tolower((unsigned char)*c);
		if (!indented)
			parent = *eq == '\0' ? line : NULL;
		r = add(ini, (struct entry){ .section = section,
					     .parent = indented ? parent : NULL,
					     .key = line,
					     .value = eq });
	}
	return r;
}

int ini_parse(const char *text, size_t n, struct ini **out)
{
	struct ini *ini = calloc(1, sizeof(*ini));
	int r;

	if (ini == NULL)
		return -ENOMEM;
	ini->size = n + 1;
	ini->text = malloc(ini->size);
	if (ini->text == NULL) {
		ini_free(ini);
		return -ENOMEM;
	}
	if (n > 0)
		memcpy(ini->text, text, n);
	ini->text[n] = '\0';
	/* A NUL would hide the rest of the file. */
	for (size_t i = 0; i < n; i++)
		if (ini->text[i] == '\0')
			ini->text[i] = ' ';
	r = parse_lines(ini);
	if (r < 0)
		ini_free(ini);
	else
		*out = ini;
	return r;
}

static int read_all(int fd, char *buf, size_t room, size_t *got)
{
	*got = 0;
	while (*got < room) {
		ssize_t n = read(fd, buf + *got, room - *got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -EIO;
		if (n == 0)
			return 0;
		*got += (size_t)n;
	}
	return -EFBIG;
}

int ini_read(const char *path, struct ini **out)
{
	/* Not to wait for a FIFO's other end. */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *buf;
	size_t n = 0, room;
	int r;

	if (fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (fstat(fd, &st) < 0)
		return -EIO;
	if (!S_ISREG(st.st_mode))
		return ini_parse("", 0, out); /* /dev/null means: none */
	room = (size_t)MIN(st.st_size, (off_t)FILE_MAX) + 1;
	buf = malloc(room);
	if (buf == NULL)
		return -ENOMEM;
	r = read_all(fd, buf, room, &n);
	if (r == 0)
		r = ini_parse(buf, n, out);
	if (r == 0) {
		(*out)->open_to_others =
		    (st.st_mode & S_IWOTH) != 0 ||
		    (st.st_uid != 0 && st.st_uid != geteuid());
		(*out)->shown_to_others = (st.st_mode & S_IROTH) != 0;
	}
	explicit_bzero(buf, room);
	free(buf);
	return r;
}

bool ini_open_to_others(const struct ini *ini)
{
	return ini != NULL && ini->open_to_others;
}

bool ini_shown_to_others(const struct ini *ini)
{
	return ini != NULL && ini->shown_to_others;
}

bool ini_has(const struct ini *ini, const char *section)
{
	for (size_t i = 0; ini != NULL && i < ini->n; i++)
		if (strcmp(ini->entries[i].section, section) == 0)
			return true;
	return false;
}

static bool is_key(const struct entry *e, const char *key)
{
	size_t n;

	if (e->key == NULL)
		return false;
	if (e->parent == NULL)
		return strcmp(e->key, key) == 0;
	n = strlen(e->parent);
	return strncmp(key, e->parent, n) == 0 && key[n] == '.' &&
	       strcmp(key + n + 1, e->key) == 0;
}

const char *ini_get(const struct ini *ini, const char *section, const char *key)
{
	for (size_t i = ini != NULL ? ini->n : 0; i > 0; i--) {
		const struct entry *e = &ini->entries[i - 1];

		if (is_key(e, key) && strcmp(e->section, section) == 0)
			return e->value;
	}
	return NULL;
}
