/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_options.c - options from -o, from a file and from the environment
 *
 * Input: which of these, and its text. What is taken is within the bounds of
 * its row, what is refused is refused by a sentence.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "fuse/options.h"

/* A file that has no name, but a path. */
static int from_file(struct options *o, struct str text, char why[WHY_MAX])
{
	AUTO_CLOSE int fd = memfd_create("fuzz", MFD_CLOEXEC);
	char path[64];

	CHECK(fd >= 0 && fchmod(fd, 0600) == 0);
	CHECK(write(fd, text.p, text.n) == (ssize_t)text.n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return options_file(o, path, why);
}

/* Lines of NAME=value. */
static int from_env(struct options *o, struct str text, char why[WHY_MAX])
{
	AUTO_FREE char *copy = heap_text(text);
	char *env[65], *rest = copy, *line;
	size_t n = 0;

	while (n < 64 && (line = strsep(&rest, "\n")) != NULL)
		env[n++] = line;
	env[n] = NULL;
	return options_env(o, env, why);
}

static void within_bounds(const struct options *o)
{
	for (int i = 0; i < OPT_COUNT; i++) {
		const struct option_row *row = &option_rows[i];
		const struct option_value *v = &o->v[i];

		if (v->text == NULL || v->source == OPTION_DEFAULT)
			continue;
		CHECK(v->from != NULL && *v->text != '\0');
		switch (row->kind) {
		case OPTION_FLAG:
			CHECK(v->number == 0 || v->number == 1);
			break;
		case OPTION_SHARE:
			if (v->percent)
				CHECK(v->number >= 1 && v->number <= 95);
			else if (v->number != 0)
				CHECK(v->number >= row->least &&
				      v->number <= row->most);
			break;
		case OPTION_SIZE:
		case OPTION_NUMBER:
			CHECK(v->number >= row->least &&
			      v->number <= row->most);
			break;
		case OPTION_TIME:
			CHECK(v->number >= row->least * NSEC_PER_MSEC &&
			      v->number <= row->most * NSEC_PER_MSEC);
			break;
		case OPTION_MODE:
			CHECK(v->number >= 0 && v->number <= 0777);
			break;
		case OPTION_FILE:
		case OPTION_DIRS:
			CHECK(v->text[0] == '/');
			break;
		default:
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t way = take_u8(&in) % 3;
	struct str text = take_str(&in, in.n);
	AUTO_FREE char *word = heap_text(text);
	char why[WHY_MAX] = "";
	struct options *o;
	int64_t ttl;
	int r;

	CHECK(options_new(&o) == 0);
	r = way == 0   ? options_parse(o, word, why)
	    : way == 1 ? from_file(o, text, why)
		       : from_env(o, text, why);
	CHECK(r == 0 || r == -EINVAL || r == -ENOMEM);
	CHECK(memchr(why, '\0', sizeof(why)) != NULL);
	if (r == -EINVAL)
		CHECK(why[0] != '\0');
	within_bounds(o);
	(void)options_consistency(o, &ttl);
	CHECK(ttl >= 0);
	options_free(o);
	return 0;
}
